/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/init-text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

/* clang-format off */
static const InitWords texts[] = {
        [INIT_SAY_BEGIN] = {
                "This creates {1}. Nothing is changed before you say yes at the end;\nCtrl-C leaves everything as it is. Enter alone accepts what is in [brackets].\n",
                "{1} を作ります。最後に確認するまで何も変更しません。\nCtrl-C でいつでも中止できます。Enter だけを押すと [ ] の中の値になります。\n" },
        [INIT_SAY_DRY_RUN] = {
                "Dry run: nothing will be written.\n",
                "試行（--dry-run）：何も書き込みません。\n" },
        [INIT_SAY_STEP_PUBSUB] = { "\n1/5  Google Cloud Pub/Sub\n", "\n1/5  Google Cloud Pub/Sub\n" },
        [INIT_SAY_STEP_SOURCES] = { "\n2/5  Sensors\n", "\n2/5  センサー\n" },
        [INIT_SAY_STEP_SINKS] = { "\n3/5  Where readings are kept\n", "\n3/5  保存先\n" },
        [INIT_SAY_STEP_PAGE] = { "\n4/5  Web page with charts\n", "\n4/5  グラフの Web ページ\n" },
        [INIT_SAY_STEP_WRITE] = { "\n5/5  Write\n", "\n5/5  書き込み\n" },
        [INIT_ASK_KEY] = { "Key file of the service account", "サービスアカウントの鍵ファイル" },
        [INIT_SAY_KEY_NONE] = {
                "(\"-\": no key; a gcloud login or the machine's own account in Google Cloud is used)\n",
                "（\"-\"：鍵なし。gcloud のログイン、または Google Cloud のマシン自身のアカウントを使います）\n" },
        [INIT_SAY_KEY_BAD] = { "{1}: {2}\n", "{1}：{2}\n" },
        [INIT_ASK_PROJECT] = { "Project", "プロジェクト" },
        [INIT_ASK_TOPIC] = { "Topic", "トピック" },
        [INIT_SAY_NOT_YET] = {
                "new   {1}  does not exist yet; it will be created\n",
                "new   {1}  まだありません。あとで作成します\n" },
        [INIT_SAY_FORBIDDEN] = {
                "FAIL  {1}  may not use {2}.\n",
                "FAIL  {1} には {2} を使う権限がありません。\n" },
        [INIT_SAY_GRANT] = {
                "      An administrator of the project can grant it with one of these lines. With the first,\n      sensorqd can also create what is missing; the second is the least that it needs.\n",
                "      プロジェクトの管理者が次のどちらかを実行すると使えるようになります。1 行目では\n      足りないものの作成もできます。2 行目は必要最小限の権限です。\n" },
        [INIT_SAY_API_OFF] = {
                "      The Pub/Sub API is not enabled in this project:\n",
                "      このプロジェクトでは Pub/Sub API が有効になっていません。次で有効にします：\n" },
        [INIT_ASK_WHICH] = { "Number", "番号" },
        [INIT_SAY_NONE_SOURCE] = { "none: this machine only stores", "なし（このマシンでは保存だけを行う）" },
        [INIT_SAY_NONE_SINK] = { "nowhere: this machine only measures", "なし（このマシンでは測定だけを行う）" },
        [INIT_SAY_NONE_PAGE] = { "none", "なし" },
        [INIT_ASK_ANOTHER_SOURCE] = { "Another sensor?", "ほかのセンサーも追加しますか" },
        [INIT_ASK_ANOTHER_SINK] = { "Another place as well?", "ほかの保存先も追加しますか" },
        [INIT_ASK_USE_SECRET] = { "{1} is there already. Use it?", "{1} はすでにあります。これを使いますか" },
        [INIT_SAY_HIDDEN] = { "(not shown)", "（表示されません）" },
        [INIT_SAY_OPTIONAL] = { "(not shown; Enter alone: none)", "（表示されません。なければ Enter だけ）" },
        [INIT_SAY_EMPTY] = { "An answer is required.\n", "入力してください。\n" },
        [INIT_SAY_PASSWORD_MOVED] = {
                "The password in the address is moved to a file of its own.\n",
                "アドレスの中のパスワードは、専用のファイルに移します。\n" },
        [INIT_ASK_WHAT_NOW] = {
                "Try again (a), keep it anyway (k), or quit (q)?",
                "やり直す (a)、このまま使う (k)、やめる (q)" },
        [INIT_ASK_WHAT_NOW_ENTRY] = {
                "Try again (a), keep it anyway (k), leave it out (l), or quit (q)?",
                "やり直す (a)、このまま使う (k)、これは入れない (l)、やめる (q)" },
        [INIT_SAY_NOTHING_TO_DO] = {
                "There is neither a sensor nor a place to keep readings: nothing to do.\n",
                "センサーも保存先も選ばれていないため、作成する設定がありません。\n" },
        [INIT_SAY_FILE] = { "      {1}\n", "      {1}\n" },
        [INIT_SAY_SECRET] = { "      {1}  (secret, mode 0600)\n", "      {1}（秘密情報。モード 0600）\n" },
        [INIT_ASK_WRITE] = { "Write these files?", "以上のファイルを書き込みますか" },
        [INIT_SAY_WRITTEN] = { "ok    {1}  written\n", "ok    {1}  書き込みました\n" },
        [INIT_SAY_NOTHING_WRITTEN] = { "Nothing was written.\n", "何も書き込みませんでした。\n" },
        [INIT_SAY_KEY_LEFT] = {
                "The key was copied. Delete the original: rm {1}\n",
                "鍵はコピーしました。元のファイルは消してください： rm {1}\n" },
        [INIT_ASK_ENABLE] = { "Start {1} now, and at every boot?", "{1} を今から開始し、起動時にも開始しますか" },
        [INIT_SAY_ENABLE_BY_HAND] = {
                "Start it, now and at every boot: sudo systemctl enable {1} && sudo systemctl restart {1}\n",
                "今すぐ、および起動時に開始するには： sudo systemctl enable {1} && sudo systemctl restart {1}\n" },
        [INIT_SAY_NOT_ALL_WELL] = {
                "Not all is well yet: see FAIL above. Correct that, then run: sudo sensorqd{1} setup && sudo sensorqd{1} check\n",
                "まだ問題があります（上の FAIL）。直してから実行してください： sudo sensorqd{1} setup && sudo sensorqd{1} check\n" },
        [INIT_SAY_DONE] = {
                "Done. Status: sensorqd{2} status. Log: sudo journalctl -u {1}\n",
                "完了しました。現在の状態： sensorqd{2} status　ログ： sudo journalctl -u {1}\n" },
        [INIT_SAY_PAGE] = { "The page: http://{1}\n", "ページ： http://{1}\n" },
        [INIT_COMMENT_TOP] = {
                "# Configuration of sensorqd, made by \"sensorqd init\". Every key: sensorqd.yaml(5). Secrets are files in\n"
                "# {1}/credentials, named here without a path.\n"
                "# After a change: \"sensorqd{3} check\", then \"systemctl reload {2}\"; a new secret needs a restart.\n",
                "# sensorqd の設定。\"sensorqd init\" が作成。すべてのキー： sensorqd.yaml(5)\n"
                "# 秘密情報（トークン、パスワード、鍵）は {1}/credentials のファイルで、ここには名前だけを書く。\n"
                "# 変更したら \"sensorqd{3} check\"、次に \"systemctl reload {2}\"。秘密情報を変えたときは restart。\n" },
        [INIT_COMMENT_PROJECT] = {
                "  # The Google Cloud project of the topic and the subscriptions.\n",
                "  # トピックとサブスクリプションがある Google Cloud のプロジェクト。\n" },
        [INIT_COMMENT_KEY] = {
                "  # The service account's key.\n",
                "  # サービスアカウントの鍵。\n" },
        [INIT_COMMENT_PUBLISH] = {
                "\n# Sensors, and the topic that their readings are published to. A source's name becomes part of every key.\n",
                "\n# センサーと、測定値を送るトピック。name はすべてのキーに入るので、あとから変えない。\n" },
        [INIT_COMMENT_SUBSCRIBE] = {
                "\n# Where messages are stored, each with a subscription of its own.\n",
                "\n# 保存先。それぞれに専用のサブスクリプションがある。\n" },
};
/* clang-format on */

static bool is_japanese(void) {
        static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *value = getenv(names[i]);

                if (value && *value)
                        return strncmp(value, "ja", 2) == 0 && (strcasestr(value, "utf") || !strchr(value, '.'));
        }
        return false;
}

const char *init_words(const InitWords *words) {
        return is_japanese() ? words->japanese : words->english;
}

const char *init_text(InitText text) {
        return init_words(&texts[text]);
}

int init_text_append(Bytes *out, InitText text, const char *const values[static 3]) {
        const char *rest = init_text(text), *at;

        for (; (at = strchr(rest, '{')); rest = at + strlen("{1}")) {
                bytes_append(out, rest, (size_t) (at - rest));
                bytes_append_text(out, values[at[1] - '1'] ?: "");
        }
        return bytes_append_text(out, rest);
}

void init_say(InitText text, const char *first, const char *second) {
        _cleanup_bytes_ Bytes words = {};

        if (init_text_append(&words, text, (const char *const[3]){ first, second }) == 0)
                fputs(words.data, stdout);
        (void) fflush(stdout);
}
