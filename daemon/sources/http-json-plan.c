/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <strings.h>

#include "config-place.h"
#include "lib/crypto.h"
#include "lib/http.h"
#include "lib/pointer.h"
#include "lib/text.h"
#include "match.h"
#include "sources/http-json.h"
#include "web-place.h"

#define DAY (24 * USEC_PER_HOUR)
#define NEXT_MAX 4096 /* bytes of a token or URL */
#define CLOCK_SET_SEC 60
#define SET_MIN_SEC INT64_C(1704067200) /* 2024-01-01 */
#define PAGE_HASH 16                    /* digits of the hash of a page's URL that are kept */

/* ---- placeholders ---- */

typedef enum Form { FORM_RFC3339, FORM_UNIX, FORM_UNIX_MS } Form;

typedef struct Placeholder {
        const char *name;
        size_t size; /* length with the braces */
        Form form;
} Placeholder;

/* Reads the placeholder at the start of *text*; false when there is none. */
static bool placeholder_at(const char *text, Placeholder *ret) {
        static const char *const names[] = { "since", "until", "now" };
        static const char *const forms[] = {
                [FORM_RFC3339] = "}", [FORM_UNIX] = ":unix}", [FORM_UNIX_MS] = ":unix_ms}"
        };

        for (size_t i = 0; *text == '{' && i < ELEMENTSOF(names); i++)
                for (size_t form = 0; form < ELEMENTSOF(forms); form++) {
                        size_t size = strlen(names[i]), rest = strlen(forms[form]);

                        if (strncmp(text + 1, names[i], size) != 0 || strncmp(text + 1 + size, forms[form], rest) != 0)
                                continue;
                        *ret = (Placeholder){ names[i], 1 + size + rest, (Form) form };
                        return true;
                }
        return false;
}

static int64_t time_of(const HttpJsonTimes *times, const char *name) {
        return name[0] == 's' ? times->since : name[0] == 'u' ? times->until : times->now;
}

static int append_time(int64_t seconds, Form form, bool url, Bytes *ret) {
        char text[CLOCK_RFC3339_SIZE];

        if (form != FORM_RFC3339)
                return bytes_append_format(ret, "%" PRId64 "%s", seconds, form == FORM_UNIX_MS ? "000" : "");
        (void) clock_format_rfc3339(seconds > 0 ? (usec_t) seconds * USEC_PER_SEC : 0, text);
        (void) strcpy(strchr(text, '.'), "Z"); /* cuts the milliseconds */
        return url ? text_append_percent(ret, text, "") : bytes_append_text(ret, text);
}

int http_json_expand(const char *text, const HttpJsonTimes *times, bool url, Bytes *ret) {
        Placeholder placeholder;

        while (*text != '\0')
                if (placeholder_at(text, &placeholder)) {
                        append_time(time_of(times, placeholder.name), placeholder.form, url, ret);
                        text += placeholder.size;
                } else
                        bytes_append(ret, text++, 1);
        return bytes_result(ret);
}

bool http_json_mentions(const char *text, const char *name) {
        Placeholder placeholder;

        for (; *text != '\0'; text++)
                if (placeholder_at(text, &placeholder) && strcmp(placeholder.name, name) == 0)
                        return true;
        return false;
}

/* ---- windows ---- */

static int64_t seconds_of(usec_t span) {
        return (int64_t) (span / USEC_PER_SEC);
}

static int64_t lesser(int64_t a, int64_t b) {
        return a < b ? a : b;
}

int64_t http_json_set_back(int64_t cursor, int64_t moved, int64_t now) {
        if (cursor == HTTP_JSON_NO_CURSOR || cursor <= now || moved >= -CLOCK_SET_SEC || now < SET_MIN_SEC)
                return cursor;
        return lesser(cursor + moved, now);
}

HttpJsonWindow http_json_window(const HttpJsonSince *since, int64_t cursor, int64_t now) {
        int64_t begin = cursor == HTTP_JSON_NO_CURSOR ? now - seconds_of(since->initial) : lesser(cursor, now);
        int64_t from = cursor == HTTP_JSON_NO_CURSOR ? begin : begin - seconds_of(since->overlap);

        return (HttpJsonWindow){ from > 0 ? from : 0, lesser(now, begin + seconds_of(since->window)) };
}

int64_t http_json_advance(
        const HttpJsonSince *since, int64_t cursor, const HttpJsonWindow *window, int64_t now, int64_t told) {
        const bool agrees = told >= now - CLOCK_SET_SEC && told <= now + CLOCK_SET_SEC;
        int64_t until = agrees ? window->until : lesser(window->until, told);

        if (cursor == HTTP_JSON_NO_CURSOR && !agrees && told < INT64_MAX)
                return told - seconds_of(since->initial);
        return agrees || until > cursor ? until : cursor;
}

/* ---- pages ---- */

bool http_json_same_origin(const char *a, const char *b) {
        HttpUrl one, other;

        return http_url_split(a, &one) && http_url_split(b, &other) && one.tls == other.tls && one.port == other.port &&
               strcasecmp(one.host, other.host) == 0;
}

/* Writes the first page's URL with that parameter: it replaces the old value of the parameter, and is added at the
 * end. */
static int next_by_parameter(const char *first, const char *name, const char *token, Bytes *ret) {
        const char *query = strchr(first, '?'), *part = query ? query + 1 : first + strlen(first);
        char between = '?';

        bytes_append(ret, first, (size_t) ((query ?: part) - first));
        while (*part != '\0') {
                size_t size = strcspn(part, "&"), n = strlen(name);

                if (!(size > n && part[n] == '=' && strncmp(part, name, n) == 0)) {
                        bytes_append_format(ret, "%c%.*s", between, (int) size, part);
                        between = '&';
                }
                part += size + (part[size] == '&');
        }
        bytes_append_format(ret, "%c%s=", between, name);
        return text_append_percent(ret, token, "");
}

static int next_by_url(const char *first, const char *next, Bytes *ret) {
        const char *host = strstr(first, "://") + strlen("://");
        int r;

        if (next[0] == '/' && next[1] != '/')
                bytes_append(ret, first, (size_t) (host + strcspn(host, "/?") - first));
        r = bytes_append_text(ret, next);
        if (r < 0)
                return r;
        r = http_url_check(ret->data);
        if ((r != HTTP_URL_OK && r != HTTP_URL_PLAIN) || !http_json_same_origin(first, ret->data))
                return HTTP_JSON_ELSEWHERE;
        return HTTP_JSON_MORE;
}

int http_json_next(const HttpJsonPaging *paging, Slice document, const char *first, Bytes *ret) {
        _cleanup_bytes_ Bytes text = {};
        Slice value;
        int r;

        if (!match_find(document, paging->next, &value) || slice_equal(value, "null") || slice_equal(value, "false"))
                return HTTP_JSON_LAST;
        r = match_text(value, &text);
        if (r < 0)
                return r;
        if (r == 0 || text.size > NEXT_MAX || (text.size > 0 && strlen(text.data) != text.size))
                return HTTP_JSON_ELSEWHERE;
        if (text.size == 0)
                return HTTP_JSON_LAST;
        if (!paging->parameter)
                return next_by_url(first, text.data, ret);
        r = next_by_parameter(first, paging->parameter, text.data, ret);
        return r < 0 ? r : HTTP_JSON_MORE;
}

int http_json_note_page(Bytes *asked, const char *url) {
        char hash[SHA256_HEX_SIZE];
        int r;

        (void) crypto_sha256_hex(url, strlen(url), hash);
        for (size_t i = 0; i < asked->size; i += PAGE_HASH)
                if (memcmp(asked->data + i, hash, PAGE_HASH) == 0)
                        return HTTP_JSON_BACK;
        r = bytes_append(asked, hash, PAGE_HASH);
        return r < 0 ? r : HTTP_JSON_MORE;
}

/* ---- answers ---- */

static _printf_(3, 4) void answer_fail(HttpJsonAnswer *answer, SourcePollOutcome outcome, const char *format, ...) {
        va_list arguments;

        answer->outcome = outcome;
        va_start(arguments, format);
        text_print_list(answer->detail, sizeof(answer->detail), format, arguments);
        va_end(arguments);
}

static void answer_missing(HttpJsonAnswer *answer, const HttpReply *reply) {
        switch (reply->outcome) {
        case HTTP_TOO_LARGE:
                return answer_fail(answer, SOURCE_UNREACHABLE,
                        "answers with more than %d MiB: ask for less at once, by paging or a shorter since.window",
                        HTTP_JSON_REPLY_MAX >> 20);
        case HTTP_UNREACHABLE:
                return answer_fail(answer, SOURCE_UNREACHABLE, "cannot be reached: %s; %s", reply->detail,
                        reply->want ? "look " CAUSE_MEMORY_PLACES
                                    : "check url, the server, the network and name resolution");
        case HTTP_TLS:
                return answer_fail(answer, SOURCE_UNREACHABLE,
                        "cannot be reached securely: %s; check the source's ca_file and tls, and this machine's clock",
                        reply->detail);
        default:
                return answer_fail(answer, SOURCE_UNREACHABLE, "gives no complete answer: %s", reply->detail);
        }
}

static void answer_refused(HttpJsonAnswer *answer, const HttpReply *reply) {
        switch (reply->status) {
        case 401:
        case 403:
                return answer_fail(answer, SOURCE_REFUSED,
                        "denies access (%d): check auth, and what this account may read", reply->status);
        case 404:
        case 410:
                return answer_fail(answer, SOURCE_REFUSED, "is not there (%d): correct url, or the API was withdrawn",
                        reply->status);
        case 300 ... 399:
                return answer_fail(answer, SOURCE_REFUSED,
                        "redirects (%d), which is not followed: put the new address into url", reply->status);
        case 429:
                return answer_fail(answer, SOURCE_LIMITED, "limits the request rate (429); a longer interval helps");
        case 408:
        case 500 ... 599:
                return answer_fail(answer, SOURCE_UNREACHABLE, "answers %s", reply->detail);
        default:
                return answer_fail(answer, SOURCE_REFUSED,
                        "does not accept the request (%s): check url, body and headers", reply->detail);
        }
}

/* Reads the answer as one JSON value; false when it is not one. */
static bool answer_read(const HttpReply *reply, HttpJsonAnswer *answer) {
        char why[100];

        if (http_reply_is_page(reply)) {
                answer_fail(answer, SOURCE_UNREACHABLE,
                        "answers with a web page in place of JSON (%d): check url, and whether it wants a login",
                        reply->status);
                return false;
        }
        if (shape_text_read((Slice){ reply->body.data ?: "", reply->body.size }, false, &answer->made,
                    &answer->document, why) != 0) {
                answer_fail(answer, SOURCE_UNREACHABLE, "answers %d, but %s", reply->status, why);
                return false;
        }
        return true;
}

#define SAID_MAX 151

/* Returns the text at *place*, cut to fit into a sentence; NULL: there is none. */
static const char *text_at(Slice document, const char *place, char said[static SAID_MAX]) {
        _cleanup_bytes_ Bytes text = {};
        Slice value;

        if (!match_find(document, place, &value) || match_text(value, &text) <= 0)
                return NULL;
        text_copy_words(said, SAID_MAX, text.data);
        return said;
}

/* SwitchBot's API answers every request with 200 and puts the result into the body: 190 with "Requests reached the
 * daily limit", but 190 also for a device that does not answer. */
static bool switchbot_is_well(HttpJsonAnswer *answer, Slice document) {
        char code[SAID_MAX], message[SAID_MAX];
        const char *text = text_at(document, "statusCode", code), *said;

        if (text && strcmp(text, "100") == 0)
                return true;
        said = text_at(document, "message", message) ?: "";
        answer->cause = CAUSE_UNAVAILABLE;
        answer_fail(answer, SOURCE_UNREACHABLE, "answers with statusCode %s: %s", text ?: "missing", said);
        if (!strcasestr(said, "daily limit"))
                return false;
        answer->cause = CAUSE_QUOTA;
        answer_fail(answer, SOURCE_LIMITED,
                "accepts no more requests of this account today (statusCode %s: %s); a longer interval helps",
                text ?: "missing", said);
        return false;
}

static bool is_well(const HttpJsonConfig *keys, HttpJsonAnswer *answer) {
        if (keys->auth.type == AUTH_SWITCHBOT && !switchbot_is_well(answer, answer->document))
                return false;
        for (size_t i = 0; i < keys->ok.n; i++) {
                ConfigPair *pair = &keys->ok.items[i];
                char text[SAID_MAX];

                if (match_test(&(ConfigMap){ pair, 1 }, answer->document))
                        continue;
                answer->cause = CAUSE_UNAVAILABLE;
                answer_fail(answer, SOURCE_UNREACHABLE, "has %s at %s, but ok requires %s",
                        text_at(answer->document, pair->name, text) ?: "nothing", pair->name, pair->values[0]);
                return false;
        }
        return true;
}

bool http_json_read(const HttpJsonConfig *keys, const HttpReply *reply, HttpJsonAnswer *ret) {
        *ret = (HttpJsonAnswer){ .cause = cause_of_http(reply) };
        if (reply->outcome != HTTP_ANSWERED)
                answer_missing(ret, reply);
        else if (reply->status < 200 || reply->status > 299)
                answer_refused(ret, reply);
        else
                return answer_read(reply, ret) && is_well(keys, ret);
        return false;
}

/* ---- configuration ---- */

/* Checks the URL after its placeholders are replaced: their braces are not allowed in a URL. */
static int url_check(const char *text, ConfigProblem *ret_problem) {
        _cleanup_bytes_ Bytes url = {};

        if (http_json_expand(text, &(HttpJsonTimes){}, true, &url) < 0)
                return -ENOMEM;
        return config_type_web_url.text(url.data ?: "", ret_problem);
}

static int pointer_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] == '/' && pointer_is_valid(text) && pointer_count_stars(text) == 0)
                return 0;
        return config_problem_set(ret_problem, "is not a JSON pointer to one place: /a/b");
}

static const ConfigType type_url = { "URL",
        "https://HOST/... or http://HOST/..., with {since}, {until}, {now} if need be", CONFIG_TEXT,
        .text = url_check };
static const ConfigType type_urls = { "list of URLs", "a list of URLs", CONFIG_TEXTS, .text = url_check };
static const ConfigType type_method = { "GET or POST", NULL, CONFIG_INT,
        .words = (const char *const[]){ "GET", "POST", NULL } };
static const ConfigType type_pointer = { "JSON pointer", "a JSON pointer, as /a/b", CONFIG_TEXT,
        .text = pointer_check };
static const ConfigType type_ok = { "map of texts", "/POINTER: TEXT lines, indented", CONFIG_MAP,
        .inside = pointer_check };

#define FIELD(field) offsetof(HttpJsonConfig, field)
#define TEXT_MAX 4096
#define URLS_MAX 100

/* clang-format off */
static const ConfigRow paging_rows[] = {
        { "next", &type_pointer, offsetof(HttpJsonPaging, next), 1, 1024, .flags = CONFIG_REQUIRED,
                .doc = "Where an answer names the next page: a token or a URL." },
        { "parameter", &config_type_text, offsetof(HttpJsonPaging, parameter), 1, 256,
                .derived = "none: next leads to a URL",
                .doc = "URL parameter that carries the token." },
        { "max", &config_type_unsigned, offsetof(HttpJsonPaging, max), 1, 1000, "20",
                .doc = "Maximum number of pages of one answer." },
        {},
};

static const ConfigRow since_rows[] = {
        { "initial", &config_type_duration, offsetof(HttpJsonSince, initial), USEC_PER_MINUTE, 365 * DAY, "24h",
                .doc = "How far back the very first poll asks." },
        { "overlap", &config_type_duration, offsetof(HttpJsonSince, overlap), USEC_PER_MINUTE, 6 * DAY, "24h",
                .doc = "How far before the previous poll each poll begins, for points that reach the server late." },
        { "window", &config_type_duration, offsetof(HttpJsonSince, window), USEC_PER_MINUTE, 31 * DAY, "24h",
                .doc = "Longest time span of one request, apart from the overlap. A longer outage takes several requests." },
        {},
};

static const ConfigSection paging_section = { .rows = paging_rows, .size = sizeof(HttpJsonPaging) };
static const ConfigSection since_section = { .rows = since_rows, .size = sizeof(HttpJsonSince) };

static const ConfigRow rows[] = {
        { "url", &type_url, FIELD(url), 1, TEXT_MAX, .derived = "see urls",
                .doc = "URL to request." },
        { "urls", &type_urls, FIELD(urls), 1, URLS_MAX, .derived = "see url",
                .doc = "Several URLs to request in order, instead of url." },
        { "method", &type_method, FIELD(method), .fallback = "GET",
                .doc = "HTTP method." },
        { "body", &config_type_text, FIELD(body), 1, 65536,
                .doc = "Body of a POST request." },
        { "headers", &config_type_headers, FIELD(headers), 0, 50,
                .doc = "Headers of each request. Secrets belong in auth." },
        { "auth", &config_type_section, FIELD(auth), .flags = CONFIG_IMPLIED, .section = &auth_section,
                .doc = "How requests authenticate." },
        { "ok", &type_ok, FIELD(ok), 0, 20, .flags = CONFIG_MANY,
                .doc = "Values that a good answer contains. Any other answer is a failure, whatever its status." },
        { "paging", &config_type_section, FIELD(paging), .flags = CONFIG_POINTER, .section = &paging_section,
                .doc = "For APIs that split an answer into pages." },
        { "since", &config_type_section, FIELD(since), .flags = CONFIG_POINTER, .section = &since_section,
                .doc = "For APIs that keep history: sensorqd later fetches what it missed during an outage." },
        { "ca_file", &config_type_path, FIELD(ca_file), 1, 1024,
                .doc = "PEM file of CA certificates, used instead of the system's for this source." },
        { "tls", &config_type_section, FIELD(tls), .section = &config_tls_section,
                .doc = "Client certificate, for servers that require one." },
        { "allow_plain", &config_type_bool, FIELD(allow_plain), .fallback = "false",
                .doc = "Send the secret of auth to another machine without TLS." },
        { "reading", &config_type_section, FIELD(reading), .flags = CONFIG_IMPLIED, .section = &shape_section,
                .doc = "How an answer becomes readings." },
        {},
};
/* clang-format on */

static bool any_mentions(const HttpJsonConfig *keys, const char *name) {
        if (keys->body && http_json_mentions(keys->body, name))
                return true;
        for (char **url = keys->urls; *url; url++)
                if (http_json_mentions(*url, name))
                        return true;
        return false;
}

static int plain_rule(const ConfigPlace *place, const HttpJsonConfig *keys, const char *key, const char *url) {
        _cleanup_bytes_ Bytes real = {};

        if (http_json_expand(url, &(HttpJsonTimes){}, true, &real) < 0)
                return -ENOMEM;
        if (keys->auth.type == AUTH_NONE || keys->allow_plain || http_url_check(real.data ?: "") != HTTP_URL_PLAIN)
                return 0;
        return config_place_fail(place, key,
                "would send the secret of auth unencrypted to another machine; needs https://, or allow_plain: true");
}

static int urls_rule(const ConfigPlace *place, HttpJsonConfig *keys) {
        const char *key = keys->url ? "url" : "urls";
        int r = 0;

        if (!keys->url == !keys->urls)
                return config_place_fail(place, keys->url ? "urls" : NULL,
                        keys->url ? "cannot be combined with url; allowed: one of them"
                                  : "has neither url nor urls; allowed: one of them");
        if (keys->url) {
                keys->urls = calloc(2, sizeof(char *));
                if (!keys->urls)
                        return -ENOMEM;
                keys->urls[0] = cleanup_steal(keys->url);
        }
        for (char **url = keys->urls; r == 0 && *url; url++) {
                r = plain_rule(place, keys, key, *url);
                if (r == 0 && text_is_among(*url, (const char *const *) url + 1))
                        r = config_place_warn(place, "urls", "has one of them twice: %s",
                                keys->since || keys->reading.once_per == SHAPE_MEASUREMENT
                                        ? "it is asked again for what is known"
                                        : "each of its readings comes twice");
        }
        return r;
}

static int since_rule(const ConfigPlace *place, HttpJsonConfig *keys) {
        const YamlNode *once = yaml_get(yaml_get(place->node, "reading"), "once_per");

        if (!keys->since && (any_mentions(keys, "since") || any_mentions(keys, "until")))
                return config_place_fail(
                        place, "since", "is missing, but {since} or {until} is used; allowed: a section, as since: {}");
        if (!keys->since)
                return 0;
        if (!any_mentions(keys, "since"))
                return config_place_fail(place, "since",
                        "needs {since} in url or body; without it, every poll asks "
                        "for the same");
        if (!keys->reading.time)
                return config_place_fail(place, "since", "needs reading.time, which tells one point from another");
        if (once && keys->reading.once_per != SHAPE_MEASUREMENT)
                return config_place_fail(
                        place, "reading", "once_per: arrival does not go with since, where the same points come again");
        keys->reading.once_per = SHAPE_MEASUREMENT;
        return 0;
}

/* The first use of a refresh token makes it invalid: two sources with the same one would lock each other out. */
static int refresh_rule(const ConfigPlace *place, const HttpJsonConfig *keys) {
        const YamlNode *sources = place->parent ? yaml_get(place->parent->node, "sources") : NULL;

        for (size_t i = 0; keys->auth.refresh_token.file && sources && i < sources->n_children; i++) {
                const YamlNode *other = sources->children[i],
                               *file = yaml_get(yaml_get(other, "auth"), "refresh_token_file");

                if (other == place->node)
                        return 0;
                if (file && file->type == YAML_SCALAR && strcmp(file->text, keys->auth.refresh_token.file) == 0)
                        return config_place_fail(place, "auth",
                                "has the refresh_token_file of another source; each use makes the token of the other "
                                "invalid, so each needs one of its own, or both are one source with urls");
        }
        return 0;
}

static int http_json_rule(const ConfigPlace *place, void *self, void *around) {
        HttpJsonConfig *keys = self;
        int r;

        r = urls_rule(place, keys);
        if (r == 0)
                r = web_place_urls_rule(place, keys->urls, &keys->auth);
        if (r < 0)
                return r;
        if (keys->body && keys->method == 0)
                return config_place_fail(place, "body", "goes with method: POST only");
        r = since_rule(place, keys);
        return r < 0 ? r : refresh_rule(place, keys);
}

const ConfigSection http_json_section = {
        .name = "http_json",
        .doc = "Any HTTP API that answers JSON.",
        .rows = rows,
        .size = sizeof(HttpJsonConfig),
        .rule = http_json_rule,
};
