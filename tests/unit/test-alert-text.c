/* SPDX-License-Identifier: Apache-2.0 */
/* What alerts say: templates, default texts in both languages, the body of each service, and what its answers mean. */
#include "config-fixture.h"

#include <stdlib.h>
#include <time.h>

#include "lib/json.h"
#include "sinks/alert-notice.h"
#include "sinks/alert-target.h"

#define SINCE (UINT64_C(1795822440) * USEC_PER_SEC) /* 2026-11-27 23:34 UTC, 08:34 of the next day in Tokyo */
#define KEY "7d9f2c11-6c1e-4a9a-8a0e-0123456789ab"

static const AlertNotice hot = { .kind = ALERT_FIRING,
        .test = ALERT_ABOVE,
        .rule = "hot",
        .source = "home",
        .device = "d-1",
        .name = "Bedroom",
        .site = "nakano",
        .field = "/newest_events/te/val",
        .value = "29.1",
        .limit = "28",
        .since = SINCE,
        .until = SINCE + 125 * USEC_PER_MINUTE };

static void assert_text(const AlertNotice *notice, AlertLanguage language, const char *expected) {
        _cleanup_bytes_ Bytes text = {};

        assert_int_equal(alert_text_write(notice, language, &text), 0);
        assert_string_equal(text.data, expected);
}

static AlertNotice with_text(const char *text) {
        AlertNotice notice = hot;

        notice.text = text;
        return notice;
}

static void test_words(void **state) {
        AlertNotice notice = with_text("{name}|{rule}|{source}|{id}|{site}|{field}|{value}|{limit}|{since}|{duration}");

        assert_text(&notice, ALERT_ENGLISH,
                "Bedroom|hot|home|d-1|nakano|/newest_events/te/val|29.1|28|2026-11-28 08:34|2 h 5 min");
        assert_text(&notice, ALERT_JAPANESE,
                "Bedroom|hot|home|d-1|nakano|/newest_events/te/val|29.1|28|2026-11-28 08:34|2時間5分");
        notice.name = notice.site = NULL;
        assert_text(
                &notice, ALERT_ENGLISH, "d-1|hot|home|d-1|-|/newest_events/te/val|29.1|28|2026-11-28 08:34|2 h 5 min");
}

static void test_other_braces_stand_for_themselves(void **state) {
        AlertNotice notice = with_text("{ {} {{name}} { name } {1} }{");

        assert_text(&notice, ALERT_ENGLISH, "{ {} {Bedroom} { name } {1} }{");
}

/* One device is one line, however it is called. */
static void test_a_name_stays_on_its_line(void **state) {
        AlertNotice notice = with_text("{name}!");
        char name[1000];

        notice.name = "a\nALERT: b\r\x1b[31m";
        assert_text(&notice, ALERT_ENGLISH, "a ALERT: b  [31m!");
        (void) memset(name, 'x', sizeof(name));
        name[sizeof(name) - 1] = '\0';
        notice.name = name;
        _cleanup_bytes_ Bytes text = {};
        assert_int_equal(alert_text_write(&notice, ALERT_ENGLISH, &text), 0);
        assert_int_equal(text.size, ALERT_TEXT_WORD_MAX + 1);
}

static void test_default_texts(void **state) {
        AlertNotice notice = hot;

        assert_text(&notice, ALERT_ENGLISH, "hot: Bedroom is at 29.1, above 28, since 2026-11-28 08:34");
        assert_text(&notice, ALERT_JAPANESE, "hot: Bedroom が 29.1 です（上限 28、2026-11-28 08:34 から）");
        notice.kind = ALERT_REPEAT;
        assert_text(
                &notice, ALERT_ENGLISH, "hot: Bedroom is still at 29.1, above 28, since 2026-11-28 08:34 (2 h 5 min)");
        notice.value = "27.5"; /* over at 27 */
        assert_text(&notice, ALERT_ENGLISH,
                "hot: Bedroom was above 28, and is still at 27.5; not over since 2026-11-28 08:34 (2 h 5 min)");
        notice.kind = ALERT_FIRING;
        assert_text(
                &notice, ALERT_ENGLISH, "hot: Bedroom was above 28, and is at 27.5; not over since 2026-11-28 08:34");
        notice.value = "29.1";
        notice.kind = ALERT_RESOLVED;
        notice.until = SINCE + 10 * USEC_PER_MINUTE;
        assert_text(&notice, ALERT_ENGLISH, "hot: over after 10 min, Bedroom is at 29.1");
        assert_text(&notice, ALERT_JAPANESE, "hot: 解消しました。Bedroom は 29.1 です（継続 10分）");
        notice.kind = ALERT_REMOVED;
        notice.end = ALERT_END_RULE;
        notice.value = "27.5"; /* not over the limit any more, and not over at 27 */
        assert_text(
                &notice, ALERT_ENGLISH, "hot: over, because this rule was removed; Bedroom was above 28, last at 27.5");
        notice.value = "29.1";
        notice.end = ALERT_END_NAME;
        assert_text(&notice, ALERT_JAPANESE,
                "hot: デバイスの名前が Bedroom に変わり、ルールの対象外になったため終了します。29.1 でした（上限 28）");
        notice.kind = ALERT_ENDED;
        assert_text(&notice, ALERT_ENGLISH,
                "hot: Bedroom was above 28 from 2026-11-28 08:34 to 2026-11-28 08:44 (10 min); this could not be sent "
                "then");
        notice.test = ALERT_IS;
        notice.limit = "open";
        notice.value = "shut"; /* by then */
        assert_text(&notice, ALERT_ENGLISH,
                "hot: Bedroom said open from 2026-11-28 08:34 to 2026-11-28 08:44 (10 min); this could not be sent "
                "then");
        assert_text(&notice, ALERT_JAPANESE,
                "hot: Bedroom は 2026-11-28 08:34 から 2026-11-28 08:44 まで open でした（10分）。当時は送信できませんでした");
}

static void test_silence(void **state) {
        AlertNotice notice = hot;

        notice.test = ALERT_STALE;
        notice.span = 30 * USEC_PER_MINUTE;
        notice.limit = notice.field = NULL;
        notice.until = SINCE;
        assert_text(&notice, ALERT_ENGLISH, "hot: Bedroom has sent nothing since 2026-11-28 08:04 (30 min)");
        assert_text(&notice, ALERT_JAPANESE, "hot: Bedroom から 2026-11-28 08:04 以降データが届いていません（30分）");
        notice.kind = ALERT_RESOLVED;
        notice.until = SINCE + 30 * USEC_PER_MINUTE;
        assert_text(&notice, ALERT_ENGLISH, "hot: over, Bedroom sends again after 1 h");
        notice.text = "{limit}";
        assert_text(&notice, ALERT_ENGLISH, "30 min");
        notice = (AlertNotice){ .kind = ALERT_FIRING,
                .test = ALERT_STALE,
                .rule = "gone",
                .nobody = true,
                .span = 30 * USEC_PER_MINUTE,
                .since = SINCE,
                .until = SINCE };
        assert_text(&notice, ALERT_ENGLISH,
                "gone: no device that it covers has sent anything since 2026-11-28 08:04 (30 min)");
        assert_text(&notice, ALERT_JAPANESE,
                "gone: 対象のデバイス から 2026-11-28 08:04 以降データが届いていません（30分）");
        notice.kind = ALERT_RESOLVED;
        notice.until = SINCE + 30 * USEC_PER_MINUTE;
        assert_text(&notice, ALERT_ENGLISH, "gone: over, a device that it covers sends after 1 h");
        notice.nobody = false; /* there is one: it says no more of itself */
        assert_text(&notice, ALERT_ENGLISH, "gone: over, a device without a name or id sends again after 1 h");
        assert_text(&notice, ALERT_JAPANESE,
                "gone: 解消しました。名前も ID もないデバイス から再びデータが届いています（途絶 1時間）");
}

/* The rule looks at one field: the device may have sent others all the while. */
static void test_silence_of_a_field(void **state) {
        AlertNotice notice = hot;

        notice.test = ALERT_STALE;
        notice.span = 30 * USEC_PER_MINUTE;
        notice.limit = NULL;
        notice.until = SINCE;
        assert_text(&notice, ALERT_ENGLISH,
                "hot: Bedroom has sent nothing new at /newest_events/te/val since 2026-11-28 08:04 (30 min)");
        assert_text(&notice, ALERT_JAPANESE,
                "hot: Bedroom から 2026-11-28 08:04 以降 /newest_events/te/val の新しいデータが届いていません（30分）");
        notice.kind = ALERT_RESOLVED;
        notice.until = SINCE + 30 * USEC_PER_MINUTE;
        assert_text(&notice, ALERT_ENGLISH, "hot: over, Bedroom sends /newest_events/te/val again after 1 h");
        assert_text(&notice, ALERT_JAPANESE,
                "hot: 解消しました。Bedroom から再び /newest_events/te/val の新しいデータが届いています（途絶 1時間）");
}

/* Its last message came a moment ago, and says so. */
static void test_offline(void **state) {
        AlertNotice notice = hot;

        notice.test = ALERT_STALE;
        notice.span = 0;
        notice.limit = notice.value = NULL;
        assert_text(&notice, ALERT_ENGLISH, "hot: Bedroom has been offline since 2026-11-28 08:34");
        assert_text(&notice, ALERT_JAPANESE, "hot: Bedroom はオフラインです（2026-11-28 08:34 から）");
        notice.kind = ALERT_RESOLVED;
        notice.until = SINCE + 30 * USEC_PER_MINUTE;
        assert_text(&notice, ALERT_ENGLISH, "hot: over after 30 min, Bedroom is online again");
}

static void assert_wrong(const ConfigType *type, const char *text, const char *words) {
        ConfigProblem problem = {};

        assert_int_equal(type->text(text, &problem), -EBADMSG);
        assert_contains(problem.text, words);
}

static void test_unknown_words_are_wrong(void **state) {
        ConfigProblem problem;

        assert_int_equal(alert_text_template.text("{name}: {value} (limit {limit})", &problem), 0);
        assert_wrong(&alert_text_template, "{nmae} is hot", "has the unknown word {nmae}");
        assert_wrong(&alert_text_template, "{Name}", "{Name}");
        assert_wrong(&alert_text_template, "{until}", "{until}");
        assert_wrong(&alert_text_template, "{state}", "{state}");
        assert_int_equal(alert_text_body.text("{\"a\":\"{state} {message}\",\"b\":{value}}", &problem), 0);
        assert_wrong(&alert_text_body, "{\"a\":{nmae}}", "{nmae}");
        assert_wrong(&alert_text_body, "{\"a\":{value}", "is not JSON");
        assert_wrong(&alert_text_body, "text={message}", "is not JSON");
        assert_wrong(&alert_text_body, "{value}5", "is not JSON"); /* with a number, and with nothing else */
        assert_wrong(&alert_text_body, "-{value}", "is not JSON");
}

/* ---- bodies ---- */

static void assert_body(const char *template, const AlertNotice *notice, const char *expected) {
        _cleanup_bytes_ Bytes body = {};

        assert_int_equal(alert_text_write_body(template, notice, ALERT_ENGLISH, &body), 0);
        assert_string_equal(body.data, expected);
}

static void test_a_body_stays_json(void **state) {
        AlertNotice notice = hot;

        notice.name = "a\"b\\";
        assert_body("{\"n\":\"<{name}>\",\"v\":{value},\"s\":\"{state}\"}", &notice,
                "{\"n\":\"<a\\\"b\\\\>\",\"v\":29.1,\"s\":\"firing\"}");
        assert_body("[{name},{site},\"\\\"{id}\"]", &notice, "[\"a\\\"b\\\\\",\"nakano\",\"\\\"d-1\"]");
        notice.value = "open";
        notice.site = NULL;
        assert_body("[{value},{site},\"{site}\"]", &notice, "[\"open\",null,\"\"]");
        notice.value = "1, 2";
        assert_body("[{value}]", &notice, "[\"1, 2\"]");
}

static void test_the_default_body(void **state) {
        _cleanup_bytes_ Bytes body = {};
        _cleanup_(json_freep) Json *json = NULL;

        assert_int_equal(alert_text_write_body(NULL, &hot, ALERT_ENGLISH, &body), 0);
        assert_int_equal(json_parse(body.data, body.size, &json), 0);
        assert_string_equal(json_get_string(json, "state"), "firing");
        assert_string_equal(
                json_get_string(json, "message"), "hot: Bedroom is at 29.1, above 28, since 2026-11-28 08:34");
        assert_contains(body.data, "\"value\":29.1,\"limit\":28,");
}

/* ---- services ---- */

static char token[] = "t0ken", recipient[] = "U4af4980629", topic[] = "house";
static char slack_url[] = "https://hooks.slack.com/services/T0/B0/x",
            discord_url[] = "https://discord.com/api/webhooks/1/x/slack", ntfy_url[] = "https://ntfy.sh",
            line_url[] = "https://api.line.me";

static const AlertTarget slack = { .type = ALERT_SLACK, .at.url_file = { token, slack_url } },
                         discord = { .type = ALERT_SLACK, .at.url_file = { token, discord_url } },
                         ntfy = { .type = ALERT_NTFY, .at.url = ntfy_url, .topic = topic },
                         line = { .type = ALERT_LINE,
                                 .at.url = line_url,
                                 .recipient = recipient,
                                 .token = { token, token } },
                         hook = { .type = ALERT_WEBHOOK, .at.url = slack_url };

static void write_request(const AlertTarget *target, const AlertNotice *notices, size_t n, AlertRequest *ret) {
        assert_int_equal(alert_target_write(target, &(AlertMessage){ notices, n, ALERT_ENGLISH, KEY }, ret), 0);
}

static void assert_request(
        const AlertTarget *target, const AlertNotice *notice, const char *url, const char *key, const char *body) {
        AlertRequest request = {};

        write_request(target, notice, 1, &request);
        assert_string_equal(request.url.data, url);
        assert_string_equal(request.body.data, body);
        assert_string_equal(request.key.data ?: "", key);
        alert_target_request_done(&request);
}

static void test_requests(void **state) {
        AlertNotice notice = with_text("{name} {value}");

        assert_request(&slack, &notice, slack_url, "",
                "{\"text\":\"Bedroom 29.1\",\"mrkdwn\":false,\"unfurl_links\":false,\"unfurl_media\":false}");
        assert_request(&ntfy, &notice, "https://ntfy.sh", "",
                "{\"topic\":\"house\",\"title\":\"Alert\",\"message\":\"Bedroom "
                "29.1\",\"priority\":4,\"tags\":[\"warning\"]}");
        assert_request(&line, &notice, "https://api.line.me/v2/bot/message/push", "X-Line-Retry-Key: " KEY,
                "{\"to\":\"U4af4980629\",\"messages\":[{\"type\":\"text\",\"text\":\"Bedroom 29.1\"}]}");
        assert_request(&discord, &notice, "https://discord.com/api/v10/webhooks/1/x", "",
                "{\"content\":\"Bedroom 29.1\",\"allowed_mentions\":{\"parse\":[]},\"flags\":4}");
        notice.kind = ALERT_RESOLVED;
        assert_request(&ntfy, &notice, "https://ntfy.sh", "",
                "{\"topic\":\"house\",\"title\":\"Over\",\"message\":\"Bedroom "
                "29.1\",\"priority\":3,\"tags\":[\"white_check_mark\"]}");
}

/* A device that is called so calls nobody. */
static void test_no_markup_comes_from_a_device(void **state) {
        static const struct {
                const char *name, *slack;
        } table[] = {
                { "<!channel> & *b*", "&lt;!channel&gt; &amp; *b*" },
                { "@everyone", "@\u200beveryone" },
                { "[here](https://x)", "[here]\u200b(https://x)" },
                { "a\"b\\c", "a\\\"b\\\\c" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                AlertNotice notice = with_text("{name}");
                AlertRequest request = {};
                char expected[200];

                notice.name = table[i].name;
                write_request(&slack, &notice, 1, &request);
                (void) snprintf(expected, sizeof(expected), "{\"text\":\"%s\",\"mrkdwn\":false", table[i].slack);
                assert_contains(request.body.data, expected);
                alert_target_request_done(&request);
        }
}

/* Discord's own address, or that which takes what Slack does, both are asked as Discord wants it; and nobody else is.
 */
static void test_addresses_of_discord(void **state) {
        static const struct {
                const char *url, *asked, *service;
        } table[] = {
                { "https://discord.com/api/webhooks/1/x", "https://discord.com/api/v10/webhooks/1/x", "Discord" },
                { "https://discord.com/api/webhooks/1/x/slack?thread_id=7",
                        "https://discord.com/api/v10/webhooks/1/x?thread_id=7", "Discord" },
                { "https://discord.com/api/v10/webhooks/1/x/slack?thread_id=7",
                        "https://discord.com/api/v10/webhooks/1/x?thread_id=7", "Discord" },
                { "https://chat.example/hooks/x/slack", "https://chat.example/hooks/x/slack", "Slack" },
                { "https://chat.example/api/v/hooks", "https://chat.example/api/v/hooks", "Slack" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const AlertTarget target = { .type = ALERT_SLACK, .at.url_file = { token, (char *) table[i].url } };
                AlertNotice notice = with_text("{name}");
                AlertRequest request = {};

                assert_string_equal(alert_target_service(&target), table[i].service);
                write_request(&target, &notice, 1, &request);
                assert_string_equal(request.url.data, table[i].asked);
                alert_target_request_done(&request);
        }
}

/* P10: under which address it is asked is not that of the configuration. */
static void test_token_of_discord_is_a_secret(void **state) {
        static char url[] = "https://discord.com/api/webhooks/1234567890/k3yOfD1scord-k3yOfD1scord/slack?thread_id=7";
        const WebPlace at = { .url_file = { token, url } };
        char said[200] = "Cannot POST /api/v10/webhooks/1234567890/k3yOfD1scord-k3yOfD1scord?thread_id=7";
        _cleanup_(secrets_freep) Secrets *secrets = NULL;

        assert_int_equal(secrets_new(&secrets), 0);
        assert_int_equal(web_place_note(&at, secrets), 0);
        secrets_conceal(secrets, said);
        assert_string_equal(said, "Cannot POST /api/v10/webhooks/1234567890/[secret]?thread_id=7");
}

static void test_no_markdown_comes_from_a_device(void **state) {
        static const struct {
                const char *name, *content;
        } table[] = {
                { "**living_room**", "\\\\*\\\\*living\\\\_room\\\\*\\\\*" },
                { "~~a~~ ||b|| `c`", "\\\\~\\\\~a\\\\~\\\\~ \\\\|\\\\|b\\\\|\\\\| \\\\`c\\\\`" },
                { "# a", "\\\\# a" },
                { "> a", "\\\\> a" },
                { "a\\*b", "a\\\\\\\\\\\\*b" },
                { "[here](https://x/a_b)", "\\\\[here\\\\](https://x/a_b)" },
                { "<@1> & @everyone", "\\\\<@\u200b1\\\\> & @\u200beveryone" },
                { "https://x/a_b c_d", "https://x/a_b c\\\\_d" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                AlertNotice notice = with_text("{name}");
                AlertRequest request = {};
                char expected[200];

                notice.name = table[i].name;
                write_request(&discord, &notice, 1, &request);
                (void) snprintf(expected, sizeof(expected), "{\"content\":\"%s\",\"allowed", table[i].content);
                assert_contains(request.body.data, expected);
                alert_target_request_done(&request);
        }
}

/* The text of a message in its body, unescaped. */
static size_t text_size(const AlertTarget *target, const char *text, bool *ret_utf8) {
        AlertNotice notice = with_text(text);
        AlertRequest request = {};
        _cleanup_(json_freep) Json *json = NULL;
        const char *cut;
        size_t size;

        write_request(target, &notice, 1, &request);
        assert_int_equal(json_parse(request.body.data, request.body.size, &json), 0);
        cut = target->type == ALERT_NTFY   ? json_get_string(json, "message")
              : target->type == ALERT_LINE ? json_get_string(json_at(json_get(json, "messages"), 0), "text")
              : target == &discord         ? json_get_string(json, "content")
                                           : json_get_string(json, "text");
        size = strlen(cut);
        *ret_utf8 = bytes_is_utf8(cut, size) && strcmp(cut + size - 3, "…") == 0;
        alert_target_request_done(&request);
        return size;
}

static char *repeat(const char *what, size_t n) {
        char *text = malloc(n * strlen(what) + 1), *end = text;

        assert_non_null(text);
        for (size_t i = 0; i < n; i++)
                end = stpcpy(end, what);
        *end = '\0';
        return text;
}

static void test_long_texts_are_cut_between_characters(void **state) {
        static const struct {
                const AlertTarget *target;
                const char *what;
                size_t n, size;
        } table[] = {
                { &slack, "&", 4000, (2999 / 5) * 5 + 3 }, { &discord, "室", 4000, 1999 * 3 + 3 },
                { &discord, "_", 4000, 1998 + 3 }, /* two characters each, and never half of them */
                { &ntfy, "室", 4000, (4093 / 3) * 3 + 3 }, { &line, "室", 6000, 4999 * 3 + 3 },
                { &line, "🌡", 3000, 2499 * 4 + 3 }, /* two units of UTF-16 each */
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *text = repeat(table[i].what, table[i].n);
                bool right;

                assert_int_equal(text_size(table[i].target, text, &right), table[i].size);
                assert_true(right);
        }
}

static void test_several_in_one_message(void **state) {
        AlertNotice notices[100];
        AlertRequest request = {};

        for (size_t i = 0; i < ELEMENTSOF(notices); i++)
                notices[i] = with_text("{name}: 1234567890123456789012345678901234567890"); /* 49, and 8 beside */
        assert_int_equal(alert_target_fit(&discord, &(AlertMessage){ notices, 100, ALERT_ENGLISH, NULL }), 35);
        assert_int_equal(alert_target_fit(&slack, &(AlertMessage){ notices, 100, ALERT_ENGLISH, NULL }), 52);
        assert_int_equal(alert_target_fit(&line, &(AlertMessage){ notices, 100, ALERT_ENGLISH, NULL }), 87);
        assert_int_equal(alert_target_fit(&hook, &(AlertMessage){ notices, 100, ALERT_ENGLISH, NULL }), 1);
        notices[0] = with_text("a");
        notices[1] = with_text("b");
        write_request(&slack, notices, 2, &request);
        assert_contains(request.body.data, "{\"text\":\"a\\nb\",");
        alert_target_request_done(&request);
}

/* The same status says "not so fast" and "no more before the month, or the day, is over". */
static void test_what_is_used_up(void **state) {
        static const struct {
                const AlertTarget *target;
                const char *body;
                WebClass class;
                const char *remedy;
        } rows[] = {
                { &line, "{\"message\":\"You have reached your monthly limit.\"}", WEB_PERSON,
                        "this month's messages are used up" },
                { &line, "{\"message\":\"The API rate limit has been exceeded. Try again later.\"}", WEB_LATER, NULL },
                { &ntfy, "{\"code\":42908,\"http\":429,\"error\":\"limit reached: daily message quota reached\"}",
                        WEB_PERSON, "today's messages are used up" },
                { &ntfy, "{\"code\":42901,\"http\":429,\"error\":\"limit reached: too many requests\"}", WEB_LATER,
                        NULL },
                { &slack, "42908", WEB_LATER, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                HttpReply reply = { .outcome = HTTP_ANSWERED, .status = 429, .detail = "HTTP 429" };
                AlertAnswer answer;

                assert_int_equal(bytes_append_text(&reply.body, rows[i].body), 0);
                alert_target_judge(rows[i].target, &reply, &answer);
                assert_int_equal(answer.class, rows[i].class);
                assert_int_equal(answer.cause, rows[i].remedy ? CAUSE_QUOTA : CAUSE_LIMITED);
                if (rows[i].remedy)
                        assert_non_null(strstr(answer.remedy, rows[i].remedy));
                else
                        assert_null(answer.remedy);
                bytes_done(&reply.body);
        }
}

/* Whoever answers with a megabyte took the message perhaps, and is not told it once a minute. */
static void test_an_answer_that_is_too_large(void **state) {
        const HttpReply reply = { .outcome = HTTP_TOO_LARGE, .detail = "the reply is larger than allowed" };
        AlertAnswer answer;

        alert_target_judge(&hook, &reply, &answer);
        assert_int_equal(answer.class, WEB_UNKNOWN);
        assert_int_equal(answer.retry_after, USEC_PER_HOUR);
        assert_int_equal(answer.cause, CAUSE_NONSENSE);
        assert_non_null(strstr(answer.remedy, "correct its URL"));
}

/* timedatectl set-timezone, while the daemon runs. */
static void test_the_zone_of_now(void **state) {
        AlertNotice notice = with_text("{since}");

        assert_text(&notice, ALERT_ENGLISH, "2026-11-28 08:34");
        (void) setenv("TZ", "UTC0", 1);
        assert_text(&notice, ALERT_ENGLISH, "2026-11-27 23:34");
        (void) setenv("TZ", "Asia/Tokyo", 1);
}

static int set_zone(void **state) {
        (void) setenv("TZ", "Asia/Tokyo", 1);
        tzset();
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_an_answer_that_is_too_large),
                cmocka_unit_test(test_the_zone_of_now),
                cmocka_unit_test(test_other_braces_stand_for_themselves),
                cmocka_unit_test(test_a_name_stays_on_its_line),
                cmocka_unit_test(test_default_texts),
                cmocka_unit_test(test_silence),
                cmocka_unit_test(test_silence_of_a_field),
                cmocka_unit_test(test_offline),
                cmocka_unit_test(test_unknown_words_are_wrong),
                cmocka_unit_test(test_a_body_stays_json),
                cmocka_unit_test(test_the_default_body),
                cmocka_unit_test(test_requests),
                cmocka_unit_test(test_no_markup_comes_from_a_device),
                cmocka_unit_test(test_addresses_of_discord),
                cmocka_unit_test(test_token_of_discord_is_a_secret),
                cmocka_unit_test(test_no_markdown_comes_from_a_device),
                cmocka_unit_test(test_long_texts_are_cut_between_characters),
                cmocka_unit_test(test_several_in_one_message),
                cmocka_unit_test(test_what_is_used_up),
        };

        return cmocka_run_group_tests(tests, set_zone, NULL);
}
