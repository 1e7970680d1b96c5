/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <strings.h>

#include "lib/http.h"
#include "lib/sha256.h"
#include "lib/text.h"
#include "match.h"
#include "sources/http-json.h"

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
        const HttpJsonSince *since, int64_t cursor, const HttpJsonWindow *window, HttpJsonClock verdict, int64_t told) {
        int64_t until = verdict == HTTP_JSON_CLOCK_WRONG ? lesser(window->until, told) : window->until;

        if (cursor == HTTP_JSON_NO_CURSOR && verdict == HTTP_JSON_CLOCK_WRONG)
                return told - seconds_of(since->initial);
        return verdict == HTTP_JSON_CLOCK_RIGHT || until > cursor ? until : cursor;
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

        (void) sha256_hex(url, strlen(url), hash);
        for (size_t i = 0; i < asked->size; i += PAGE_HASH)
                if (memcmp(asked->data + i, hash, PAGE_HASH) == 0)
                        return HTTP_JSON_BACK;
        r = bytes_append(asked, hash, PAGE_HASH);
        return r < 0 ? r : HTTP_JSON_MORE;
}
