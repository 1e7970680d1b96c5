/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as texts that stand in our own sentences, headers and URLs. The first byte says which, NUL separates them.
 * What is cut fits and is UTF-8, no secret is left, and what is read of a time, place or URL agrees with its other
 * readers. */
#include "fuzz.h"

#include <errno.h>

#include "lib/http-request.c" /* for the parts of a request */
#include "lib/http.h"
#include "lib/json.h"
#include "lib/listen-address.h"
#include "lib/text.h"
#include "match.h"
#include "secret.h"
#include "sinks/alert-rules.h"
#include "sources/mqtt.h"
#include "web-place.h"

#define TEXTS_MAX 5

static void fuzz_words(char **texts, size_t n) {
        size_t room = 4 + strlen(texts[0]) % 40;
        char *buffer = malloc(room), *copy = strdup(texts[0]);

        for (size_t i = 0; i < n; i++) {
                text_copy_words(buffer, room, texts[i]);
                require(strlen(buffer) < room && bytes_is_utf8(buffer, strlen(buffer)));
                text_print(buffer, room, "%s: %s", texts[i], texts[n - 1]);
                require(strlen(buffer) < room && bytes_is_utf8(buffer, strlen(buffer)));
                text_copy(buffer, room, texts[i]);
                require(strlen(buffer) < room && strncmp(buffer, texts[i], strlen(buffer)) == 0);
                require(!bytes_is_utf8(texts[i], strlen(texts[i])) || bytes_is_utf8(buffer, strlen(buffer)));
        }
        copy[text_clean(copy, strlen(copy))] = '\0';
        require(strlen(copy) <= strlen(texts[0]) && bytes_is_utf8(copy, strlen(copy)));
        free(copy);
        free(buffer);
}

/* Secrets of at least 12 letters leave nothing; shorter ones may be words of ours. */
static void fuzz_secrets(char **texts, size_t n) {
        _cleanup_(secrets_freep) Secrets *secrets = NULL;
        char *text = strdup(texts[0]);

        require(secrets_new(&secrets) == 0);
        for (size_t i = 1; i < n; i++)
                require(secrets_note(secrets, texts[i]) == 0);
        secrets_conceal(secrets, text);
        require(strlen(text) <= strlen(texts[0]));
        for (size_t i = 1; i < n; i++)
                require(strlen(texts[i]) < 12 || !strstr(text, texts[i]) || strspn(texts[i], "*") > 0);
        free(text);
}

/* Alerts and `where` find the same value at the same place. */
static void fuzz_places(char **texts, size_t n) {
        _cleanup_(alert_places_done) AlertPlaces places = {};
        Slice object = { texts[0], strlen(texts[0]) };
        _cleanup_free_ Slice *values = NULL;
        size_t at[TEXTS_MAX];
        int r;

        for (size_t i = 1; i < n; i++)
                require((r = alert_places_add(&places, texts[i], &at[i])) == 0 || r == -EINVAL);
        values = calloc(places.n + 1, sizeof(Slice));
        require(values);
        if (!json_is_whole(object, 64, NULL) || !alert_places_find(&places, object, values))
                return;
        for (size_t i = 1; i < n; i++) {
                Slice found = {};

                if (strlen(texts[i]) < 60 && !strchr(texts[i], '*') && match_find(object, texts[i], &found))
                        require(values[at[i]].data == found.data && values[at[i]].size == found.size);
        }
}

static void fuzz_patterns(char **texts, size_t n) {
        MqttTopic found;
        bool overlap;

        if (n < 3 || mqtt_topic_check(texts[0]) || mqtt_topic_check(texts[1]))
                return;
        overlap = mqtt_topic_overlap(texts[0], texts[1]);
        require(overlap == mqtt_topic_overlap(texts[1], texts[0]));
        for (size_t i = 2; i < n; i++) {
                Slice topic = { texts[i], strlen(texts[i]) };

                require(overlap || topic.size == 0 || strpbrk(texts[i], "+#") ||
                        !mqtt_topic_match(texts[0], topic, &found) || !mqtt_topic_match(texts[1], topic, &found));
        }
}

static void fuzz_time(const char *text) {
        char shown[CLOCK_RFC3339_SIZE];
        int64_t msec, again;
        usec_t wall;

        if (clock_parse_http_date(text, &wall))
                (void) clock_format_rfc3339(wall, shown);
        if (clock_parse_rfc3339(text, strlen(text), &msec) && msec >= 0) {
                (void) clock_format_rfc3339((usec_t) msec * USEC_PER_MSEC, shown);
                require(clock_parse_rfc3339(shown, strlen(shown), &again) && again == msec);
        }
}

static void fuzz_url(char *text) {
        static const char *const hosts[] = { "pi.example", "http://page.example:8480/", NULL };
        char problem[WEB_PLACE_WORDS_MAX];
        HttpUrl url;
        const WebPlace place = { .url = text };
        StreamSpec spec;
        bool loopback;
        char *shown;

        (void) listen_host_is_ours(text, hosts);
        require(!listen_address_check(text, &loopback) || strchr(text, ':'));
        if (http_url_check(text) == HTTP_URL_MALFORMED)
                return;
        shown = web_place_shown(&place);
        require(shown && bytes_is_utf8(shown, strlen(shown)));
        free(shown);
        if (web_place_check(&place, problem) == 0)
                (void) web_place_stream(&place, &url, &spec);
}

/* ---- the headers of a reply; libcurl's are replaced ---- */

static struct curl_header headers[3];
static const char *const header_names[] = { "Date", "Age", "Retry-After" };

CURLHcode curl_easy_header(
        CURL *easy, const char *name, size_t index, unsigned origin, int request, struct curl_header **ret) {
        for (size_t i = 0; i < ELEMENTSOF(headers); i++)
                if (headers[i].value && strcmp(name, header_names[i]) == 0) {
                        *ret = &headers[i];
                        return CURLHE_OK;
                }
        return CURLHE_MISSING;
}

#undef curl_easy_getinfo
CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...) {
        va_list arguments;

        va_start(arguments, info);
        if (info == CURLINFO_RESPONSE_CODE)
                *va_arg(arguments, long *) = 503;
        va_end(arguments);
        return CURLE_OK;
}

static void fuzz_reply(char **texts, size_t n) {
        HttpRequest request = { .headed = true, .timeout = USEC_PER_MINUTE, .started = clock_now() };
        HttpReply reply;

        for (size_t i = 0; i < ELEMENTSOF(headers); i++)
                headers[i] = (struct curl_header){ .value = i < n ? texts[i] : NULL, .amount = 1 };
        reply = request_reply(&request, CURLE_OK);
        require(reply.outcome == HTTP_ANSWERED && reply.retry_after <= USEC_PER_HOUR);
        require(reply.date == 0 || reply.date >= UINT64_C(1704067200) * USEC_PER_SEC);
}

static void fuzz_each(char **texts, size_t n) {
        fuzz_reply(texts, n);
        for (size_t i = 0; i < n; i++) {
                fuzz_time(texts[i]);
                fuzz_url(texts[i]);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static void (*const parts[])(
                char **texts, size_t n) = { fuzz_words, fuzz_secrets, fuzz_places, fuzz_patterns, fuzz_each };
        char *texts[TEXTS_MAX] = {};
        size_t n = 0;

        for (size_t at = 1; at <= size && size > 0 && n < TEXTS_MAX; at += strlen(texts[n++]) + 1)
                texts[n] = strndup((const char *) data + at, size - at);
        if (n > 0)
                parts[data[0] % ELEMENTSOF(parts)](texts, n);
        while (n > 0)
                free(texts[--n]);
        return 0;
}
