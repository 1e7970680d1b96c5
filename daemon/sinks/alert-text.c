/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-notice.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#include "lib/json.h"
#include "lib/text.h"

#define WORD_SIZE_MAX 32 /* of an unknown word in an error */

/* ---- words ---- */

typedef enum Word {
        WORD_NAME,
        WORD_RULE,
        WORD_SOURCE,
        WORD_ID,
        WORD_SITE,
        WORD_FIELD,
        WORD_VALUE,
        WORD_LIMIT,
        WORD_SINCE,
        WORD_DURATION,
        WORD_STATE,   /* this and the next: in bodies only */
        WORD_MESSAGE, /* ... */
        WORD_UNTIL,   /* this and the following: in the default texts only */
        WORD_HEARD,
        WORD_SILENCE,
        WORD_NOTHING,
        WORD_AGAIN,
        WORDS,
} Word;

#define TEXT_WORDS WORD_STATE /* what a user may write in a text */
#define BODY_WORDS WORD_UNTIL
#define TEXT_WORDS_LIST "{name} {rule} {source} {id} {site} {field} {value} {limit} {since} {duration}"

/* Where the text of a word is in a notice; 0: it is made, see below. */
#define TEXT(member) offsetof(AlertNotice, member)
static const struct {
        const char *name;
        size_t text;
} words[WORDS] = {
        [WORD_NAME] = { "name" },
        [WORD_RULE] = { "rule", TEXT(rule) },
        [WORD_SOURCE] = { "source", TEXT(source) },
        [WORD_ID] = { "id", TEXT(device) },
        [WORD_SITE] = { "site", TEXT(site) },
        [WORD_FIELD] = { "field", TEXT(field) },
        [WORD_VALUE] = { "value", TEXT(value) },
        [WORD_LIMIT] = { "limit", TEXT(limit) },
        [WORD_SINCE] = { "since" },
        [WORD_DURATION] = { "duration" },
        [WORD_STATE] = { "state" },
        [WORD_MESSAGE] = { "message" },
        [WORD_UNTIL] = { "until" },
        [WORD_HEARD] = { "heard" },
        [WORD_SILENCE] = { "silence" },
        [WORD_NOTHING] = { "nothing" },
        [WORD_AGAIN] = { "again" },
};

static Word word_find(Slice name) {
        Word word = 0;

        while (word < WORDS && !slice_equal(name, words[word].name))
                word++;
        return word;
}

/* Takes the next part off *text*: the plain text before a `{word}`, and the word's name (data NULL at the end). */
static void template_next(const char **text, Slice *ret_plain, Slice *ret_word) {
        const char *begin = *text, *brace = begin, *end;

        while ((brace = strchr(brace, '{'))) {
                for (end = brace + 1; isalnum((unsigned char) *end) || *end == '_';)
                        end++;
                if (*end == '}' && end > brace + 1 && !isdigit((unsigned char) brace[1])) {
                        *ret_plain = (Slice){ begin, (size_t) (brace - begin) };
                        *ret_word = (Slice){ brace + 1, (size_t) (end - brace - 1) };
                        *text = end + 1;
                        return;
                }
                brace++;
        }
        *ret_plain = (Slice){ begin, strlen(begin) };
        *ret_word = (Slice){};
        *text = begin + ret_plain->size;
}

static int template_check(const char *text, Word known, ConfigProblem *ret_problem) {
        Slice plain, word = { .data = text };

        while (word.data) {
                template_next(&text, &plain, &word);
                if (word.data && word_find(word) >= known)
                        return config_problem_set(ret_problem, "has the unknown word {%.*s}; known are %s%s",
                                (int) (word.size < WORD_SIZE_MAX ? word.size : WORD_SIZE_MAX), word.data,
                                TEXT_WORDS_LIST, known == BODY_WORDS ? " {state} {message}" : "");
        }
        return 0;
}

/* ---- what the words stand for ---- */

typedef struct Writer {
        const AlertNotice *notice;
        AlertLanguage language;
        Bytes *to;
} Writer;

static const char *time_text(usec_t wall, char buffer[static CLOCK_LOCAL_SIZE]) {
        tzset(); /* the zone may have been changed */
        if (wall == 0)
                return NULL;
        *strrchr(clock_format_local(wall, buffer), ':') = '\0'; /* without seconds */
        return buffer;
}

static const char *unit_in_japanese(const char *unit) {
        static const struct {
                const char *unit, *word;
        } table[] = { { "ms", "ミリ秒" }, { "s", "秒" }, { "min", "分" }, { "h", "時間" }, { "d", "日" } };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcmp(table[i].unit, unit) == 0)
                        return table[i].word;
        return unit;
}

/* "2 h 5 min", "2時間5分". */
static int write_span(usec_t span, AlertLanguage language, Bytes *to) {
        char text[CLOCK_SPAN_SIZE], *rest = text, *part;

        (void) clock_format_span(span, text, sizeof(text));
        if (language == ALERT_ENGLISH)
                return bytes_append_text(to, text);
        while ((part = strsep(&rest, " ")))
                bytes_append_text(to, isdigit((unsigned char) *part) ? part : unit_in_japanese(part));
        return bytes_result(to);
}

static usec_t difference(usec_t later, usec_t earlier) {
        return later > earlier && earlier > 0 ? later - earlier : 0;
}

static const char *name_of(const Writer *w) {
        const AlertNotice *n = w->notice;
        static const char *const any[] = { [ALERT_ENGLISH] = "any device", [ALERT_JAPANESE] = "対象のデバイス" };
        static const char *const unnamed[] = {
                [ALERT_ENGLISH] = "a device without a name or id", [ALERT_JAPANESE] = "名前も ID もないデバイス"
        };

        return n->name ?: n->device ?: n->source ?: (n->nobody ? any : unnamed)[w->language];
}

/* Returns the text of a word that needs no conversion; NULL: there is none. */
static const char *word_text(const Writer *w, Word word, char buffer[static CLOCK_LOCAL_SIZE]) {
        static const char *const states[ALERT_KINDS] = { [ALERT_FIRING] = "firing",
                [ALERT_REPEAT] = "firing",
                [ALERT_RESOLVED] = "resolved",
                [ALERT_ENDED] = "ended",
                [ALERT_REMOVED] = "removed",
                [ALERT_TEST] = "test" };
        const AlertNotice *n = w->notice;

        switch (word) {
        case WORD_NAME:
                return name_of(w);
        case WORD_SINCE:
                return time_text(n->since, buffer);
        case WORD_UNTIL:
                return time_text(n->until, buffer);
        case WORD_HEARD:
                return time_text(n->span > 0 ? difference(n->since, n->span) : n->since, buffer);
        case WORD_STATE:
                return states[n->kind];
        default:
                if (word < WORDS && words[word].text > 0)
                        return *(const char *const *) ((const char *) n + words[word].text);
                return NULL;
        }
}

/* Appends a text of a device on one line, so that it cannot look like several notices. */
static int write_clean(const char *text, Bytes *to) {
        size_t size = text_cut(text, strlen(text), ALERT_TEXT_WORD_MAX), before = to->size;
        int r = bytes_append(to, text, size);

        if (r >= 0)
                to->size = before + text_clean(to->data + before, size);
        return r;
}

/* Appends what was not sent, or is sent again, for a firing by silence. It names the field if the rule has one, since
 * the device may send other fields. */
static int write_silent(const Writer *w, Word word) {
        static const char *const words_of[][2][3] = {
                [ALERT_ENGLISH] = { { "nothing", "nothing new at ", "" }, { "again", "", " again" } },
                [ALERT_JAPANESE] = { { "データ", " ", " の新しいデータ" }, { "データ", " ", " の新しいデータ" } },
        };
        const char *const *parts = words_of[w->language][word == WORD_AGAIN], *field = w->notice->field;

        if (!field)
                return bytes_append_text(w->to, parts[0]);
        bytes_append_text(w->to, parts[1]);
        write_clean(field, w->to);
        return bytes_append_text(w->to, parts[2]);
}

/* Appends the value of the word, without quotes. 1: it has no value; -ENOMEM. */
static int word_write(const Writer *w, Word word) {
        const AlertNotice *n = w->notice;
        char buffer[CLOCK_LOCAL_SIZE];
        const char *text;

        if (word == WORD_MESSAGE)
                return alert_text_write(n, w->language, w->to);
        if (word == WORD_DURATION)
                return write_span(difference(n->until, n->since), w->language, w->to);
        if (word == WORD_SILENCE)
                return write_span(difference(n->until, n->since) + n->span, w->language, w->to);
        if (word == WORD_LIMIT && n->test == ALERT_STALE && n->span > 0)
                return write_span(n->span, w->language, w->to);
        if (word == WORD_NOTHING || word == WORD_AGAIN)
                return write_silent(w, word);
        text = word_text(w, word, buffer);
        return text && *text ? write_clean(text, w->to) : 1;
}

/* ---- texts ---- */

#define LATE "; this could not be sent then"

/* The texts for rules without a text of their own. */
/* clang-format off */
static const char *const defaults[][ALERT_KINDS][ALERT_TESTS] = {
        [ALERT_ENGLISH] = {
                [ALERT_FIRING] = { "{rule}: {name} is at {value}, above {limit}, since {since}",
                        "{rule}: {name} is at {value}, below {limit}, since {since}",
                        "{rule}: {name} says {value} since {since}",
                        "{rule}: {name} has sent {nothing} since {heard} ({silence})" },
                [ALERT_REPEAT] = { "{rule}: {name} is still at {value}, above {limit}, since {since} ({duration})",
                        "{rule}: {name} is still at {value}, below {limit}, since {since} ({duration})",
                        "{rule}: {name} still says {value}, since {since} ({duration})",
                        "{rule}: {name} has still sent {nothing} since {heard} ({silence})" },
                [ALERT_RESOLVED] = { "{rule}: over after {duration}, {name} is at {value}",
                        "{rule}: over after {duration}, {name} is at {value}",
                        "{rule}: over after {duration}, {name} says {value}",
                        "{rule}: over, {name} sends {again} after {silence}" },
                [ALERT_ENDED] = { "{rule}: {name} was above {limit} from {since} to {until} ({duration})" LATE,
                        "{rule}: {name} was below {limit} from {since} to {until} ({duration})" LATE,
                        "{rule}: {name} said {limit} from {since} to {until} ({duration})" LATE,
                        "{rule}: {name} sent {nothing} from {heard} to {until} ({silence})" LATE },
                [ALERT_REMOVED] = { "{rule}: over, because this rule was removed; {name} was above {limit}, last at "
                                    "{value}",
                        "{rule}: over, because this rule was removed; {name} was below {limit}, last at {value}",
                        "{rule}: over, because this rule was removed; {name} said {value}",
                        "{rule}: over, because this rule was removed; {name} has sent {nothing} since {heard}" },
                [ALERT_TEST] = { "Test by sensorqd on {name}: messages to this target arrive" },
        },
        [ALERT_JAPANESE] = {
                [ALERT_FIRING] = { "{rule}: {name} が {value} です（上限 {limit}、{since} から）",
                        "{rule}: {name} が {value} です（下限 {limit}、{since} から）",
                        "{rule}: {name} が {value} です（{since} から）",
                        "{rule}: {name} から {heard} 以降{nothing}が届いていません（{silence}）" },
                [ALERT_REPEAT] = { "{rule}: {name} は引き続き {value} です（上限 {limit}、{since} から{duration}）",
                        "{rule}: {name} は引き続き {value} です（下限 {limit}、{since} から{duration}）",
                        "{rule}: {name} は引き続き {value} です（{since} から{duration}）",
                        "{rule}: {name} から引き続き{nothing}が届いていません（{heard} 以降、{silence}）" },
                [ALERT_RESOLVED] = { "{rule}: 解消しました。{name} は {value} です（継続 {duration}）",
                        "{rule}: 解消しました。{name} は {value} です（継続 {duration}）",
                        "{rule}: 解消しました。{name} は {value} です（継続 {duration}）",
                        "{rule}: 解消しました。{name} から再び{again}が届いています（途絶 {silence}）" },
                [ALERT_ENDED] = { "{rule}: {name} は {since} から {until} まで上限 {limit} を超えていました（{duration}）。当時は送信できませんでした",
                        "{rule}: {name} は {since} から {until} まで下限 {limit} を下回っていました（{duration}）。当時は送信できませんでした",
                        "{rule}: {name} は {since} から {until} まで {limit} でした（{duration}）。当時は送信できませんでした",
                        "{rule}: {name} は {heard} から {until} まで{nothing}が途絶えていました（{silence}）。当時は送信できませんでした" },
                [ALERT_REMOVED] = { "{rule}: ルールが削除されたため終了します。{name} は {value} でした（上限 {limit}）",
                        "{rule}: ルールが削除されたため終了します。{name} は {value} でした（下限 {limit}）",
                        "{rule}: ルールが削除されたため終了します。{name} は {value} でした",
                        "{rule}: ルールが削除されたため終了します。{name} からは {heard} 以降{nothing}が届いていません" },
                [ALERT_TEST] = { "sensorqd（{name}）からのテストです。この宛先に届いています" },
        },
};
/* clang-format on */

/* Instead of the texts above, while the value is between the threshold and `clear`: those would say that it is beyond
 * the threshold. The Japanese texts do not say so. */
static const char *const between[][ALERT_BELOW + 1] = {
        [ALERT_FIRING] = { "{rule}: {name} was above {limit}, and is at {value}; not over since {since}",
                "{rule}: {name} was below {limit}, and is at {value}; not over since {since}" },
        [ALERT_REPEAT] = { "{rule}: {name} was above {limit}, and is still at {value}; not over since {since} "
                           "({duration})",
                "{rule}: {name} was below {limit}, and is still at {value}; not over since {since} ({duration})" },
};

static bool is_between(const AlertNotice *notice) {
        double value, limit;

        if (!notice->value || !notice->limit || notice->kind > ALERT_REPEAT || notice->test > ALERT_BELOW)
                return false;
        value = strtod(notice->value, NULL);
        limit = strtod(notice->limit, NULL);
        return notice->test == ALERT_ABOVE ? value <= limit : value >= limit;
}

#define RENAMED "{rule}: over, the device is now called {name}, which this rule does not cover; "
#define RENAMED_JA "{rule}: デバイスの名前が {name} に変わり、ルールの対象外になったため終了します。"

/* For ALERT_REMOVED when the device ended it. */
/* clang-format off */
static const char *const renamed[][ALERT_TESTS] = {
        [ALERT_ENGLISH] = { RENAMED "it was above {limit}, last at {value}",
                RENAMED "it was below {limit}, last at {value}",
                RENAMED "it said {value}",
                RENAMED "it had sent {nothing} since {heard}" },
        [ALERT_JAPANESE] = { RENAMED_JA "{value} でした（上限 {limit}）",
                RENAMED_JA "{value} でした（下限 {limit}）",
                RENAMED_JA "{value} でした",
                RENAMED_JA "{heard} 以降{nothing}が届いていませんでした" },
};

static const char *const forgotten[][ALERT_TESTS] = {
        [ALERT_ENGLISH] = { "{rule}: over, {name} is forgotten: it was above {limit}, last at {value}, and is silent",
                "{rule}: over, {name} is forgotten: it was below {limit}, last at {value}, and is silent",
                "{rule}: over, {name} is forgotten: it said {value}, and is silent",
                "{rule}: over, {name} is forgotten: it has sent {nothing} since {heard} ({silence})" },
        [ALERT_JAPANESE] = { "{rule}: {name} は長い間データが届かないため監視対象から外しました（最後の値 {value}、上限 {limit}）",
                "{rule}: {name} は長い間データが届かないため監視対象から外しました（最後の値 {value}、下限 {limit}）",
                "{rule}: {name} は長い間データが届かないため監視対象から外しました（最後の値 {value}）",
                "{rule}: {name} は {heard} 以降{nothing}が届かないため（{silence}）監視対象から外しました" },
};
/* clang-format on */

/* For ALERT_STALE when the device itself said that it is offline. */
/* clang-format off */
static const char *const offline[][ALERT_REMOVED + 1] = {
        [ALERT_ENGLISH] = { "{rule}: {name} has been offline since {since}",
                "{rule}: {name} is still offline, since {since} ({duration})",
                "{rule}: over after {duration}, {name} is online again",
                "{rule}: {name} was offline from {since} to {until} ({duration})" LATE,
                "{rule}: over, because this rule was removed; {name} has been offline since {since}" },
        [ALERT_JAPANESE] = { "{rule}: {name} はオフラインです（{since} から）",
                "{rule}: {name} は引き続きオフラインです（{since} から{duration}）",
                "{rule}: 解消しました。{name} はオンラインに戻りました（継続 {duration}）",
                "{rule}: {name} は {since} から {until} までオフラインでした（{duration}）。"
                "当時は送信できませんでした",
                "{rule}: ルールが削除されたため終了します。"
                "{name} は {since} からオフラインです" },
};
/* clang-format on */

/* For ALERT_STALE when the rule has found no device: "any device" in the texts above could be one of many. The Japanese
 * texts are clear as they are. */
static const char *const nobody[ALERT_REMOVED + 1] = {
        "{rule}: no device that it covers has sent anything since {heard} ({silence})",
        "{rule}: still no device that it covers has sent anything, since {heard} ({silence})",
        "{rule}: over, a device that it covers sends after {silence}",
        ("{rule}: no device that it covers sent anything from {heard} to {until} ({silence})" LATE),
        "{rule}: over, because this rule was removed; no device that it covers has sent anything since {heard}",
};

static const char *default_of(const AlertNotice *notice, AlertLanguage language) {
        bool is_offline = notice->test == ALERT_STALE && notice->span == 0;

        if (language == ALERT_ENGLISH && notice->nobody)
                return nobody[notice->kind];
        return is_offline ? offline[language][notice->kind] : defaults[language][notice->kind][notice->test];
}

static const char *text_of(const AlertNotice *notice, AlertLanguage language) {
        if (!notice->text && language == ALERT_ENGLISH && is_between(notice))
                return between[notice->kind][notice->test];
        if (notice->kind == ALERT_TEST)
                return defaults[language][ALERT_TEST][0];
        if (notice->kind == ALERT_REMOVED && notice->end == ALERT_END_DEVICE)
                return forgotten[language][notice->test];
        if (notice->kind == ALERT_REMOVED && notice->end == ALERT_END_NAME)
                return renamed[language][notice->test];
        return notice->text ?: default_of(notice, language);
}

int alert_text_write(const AlertNotice *notice, AlertLanguage language, Bytes *ret) {
        const Writer w = { notice, language, ret };
        const char *text = text_of(notice, language);
        Slice plain, word = { .data = text };

        while (word.data) {
                template_next(&text, &plain, &word);
                bytes_append(ret, plain.data, plain.size);
                if (word.data && word_write(&w, word_find(word)) > 0)
                        bytes_append_text(ret, "-");
        }
        return bytes_result(ret);
}

/* ---- bodies ---- */

#define DEFAULT_BODY                                                                                                   \
        "{\"state\":{state},\"rule\":{rule},\"source\":{source},\"id\":{id},\"name\":{name},\"site\":{site},"          \
        "\"field\":{field},\"value\":{value},\"limit\":{limit},\"since\":{since},\"duration\":{duration},"             \
        "\"message\":{message}}"

/* The position in JSON after the template's text so far. */
typedef struct JsonPlace {
        bool quoted, escaped;
} JsonPlace;

static void json_place_pass(JsonPlace *place, Slice plain) {
        for (size_t i = 0; i < plain.size; i++)
                if (place->escaped)
                        place->escaped = false;
                else if (place->quoted && plain.data[i] == '\\')
                        place->escaped = true;
                else if (plain.data[i] == '"')
                        place->quoted = !place->quoted;
}

/* Whether the text is a JSON number, true or false. */
static bool is_json_scalar(Slice text) {
        JsonReader reader;
        int token;

        json_reader_init(&reader, text.data, text.size, 1);
        token = json_reader_next(&reader);
        return (token == JSON_NUMBER || token == JSON_TRUE || token == JSON_FALSE) &&
               json_reader_next(&reader) == JSON_END;
}

static int body_word(const AlertNotice *notice, AlertLanguage language, Word word, bool quoted, Bytes *to) {
        _cleanup_bytes_ Bytes text = {};
        const Writer w = { notice, language, &text };
        size_t before = to->size;
        int r;

        r = word_write(&w, word);
        if (r < 0)
                return r;
        if (r > 0 && !quoted)
                return bytes_append_text(to, "null");
        if (!quoted && (word == WORD_VALUE || word == WORD_LIMIT) && is_json_scalar(bytes_slice(&text)))
                return bytes_append(to, text.data, text.size);
        r = bytes_append_json_string(to, text.data ?: "", text.size);
        if (r < 0 || !quoted)
                return r;
        memmove(to->data + before, to->data + before + 1, to->size - before - 2); /* the template has the quotes */
        to->size -= 2;
        return 0;
}

int alert_text_write_body(const char *template, const AlertNotice *notice, AlertLanguage language, Bytes *ret) {
        const char *text = template ?: DEFAULT_BODY;
        Slice plain, word = { .data = text };
        JsonPlace place = {};

        while (word.data) {
                template_next(&text, &plain, &word);
                json_place_pass(&place, plain);
                bytes_append(ret, plain.data, plain.size);
                if (word.data)
                        bytes_fail(ret, body_word(notice, language, word_find(word), place.quoted, ret));
        }
        return bytes_result(ret);
}

/* ---- for the configuration ---- */

static int check_text(const char *text, ConfigProblem *ret_problem) {
        return template_check(text, TEXT_WORDS, ret_problem);
}

/* Checks that the body is JSON with each kind of value: a number next to a digit of the template would be valid, but a
 * text would not. */
static int check_body(const char *text, ConfigProblem *ret_problem) {
        static const char *const values[] = { "1", "a", NULL };
        int r;

        r = template_check(text, BODY_WORDS, ret_problem);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(values); i++) {
                const AlertNotice sample = {
                        .rule = "rule", .value = values[i], .limit = values[i], .since = 1, .until = 1
                };
                _cleanup_bytes_ Bytes body = {};

                r = alert_text_write_body(text, &sample, ALERT_ENGLISH, &body);
                if (r >= 0 && !json_is_whole(bytes_slice(&body), JSON_TREE_DEPTH, NULL))
                        return config_problem_set(ret_problem, "is not JSON once its words are filled in");
        }
        return r < 0 ? r : 0;
}

const ConfigType alert_text_template = { "text with {words}", "a text with " TEXT_WORDS_LIST, CONFIG_TEXT,
        .text = check_text };
const ConfigType alert_text_body = { "JSON with {words}", "JSON with " TEXT_WORDS_LIST " {state} {message}",
        CONFIG_TEXT, .text = check_body };
const ConfigType alert_text_language = { "en or ja", NULL, CONFIG_INT,
        .words = (const char *const[]){ [ALERT_ENGLISH] = "en", [ALERT_JAPANESE] = "ja", NULL } };

const char *alert_text_title(AlertKind kind, AlertLanguage language) {
        static const char *const titles[][3] = {
                [ALERT_ENGLISH] = { "Alert", "Over", "Test" },
                [ALERT_JAPANESE] = { "アラート", "解消", "テスト" },
        };
        unsigned which = kind == ALERT_TEST ? 2 : kind > ALERT_REPEAT;

        return titles[language][which];
}
