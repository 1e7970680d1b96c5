/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>

#include "lib/text.h"
#include "sources/http-json.h"

static _printf_(3, 4) void answer_fail(HttpJsonAnswer *answer, SourcePollOutcome outcome, const char *format, ...) {
        va_list arguments;

        answer->outcome = outcome;
        va_start(arguments, format);
        text_print_list(answer->detail, sizeof(answer->detail), format, arguments);
        va_end(arguments);
}

/* ---- replies without a usable answer ---- */

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
                        "has no secure connection for us: %s; check the source's ca_file and tls, and this machine's "
                        "clock",
                        reply->detail);
        default:
                return answer_fail(answer, SOURCE_UNREACHABLE, "gives no whole answer: %s", reply->detail);
        }
}

static void answer_refused(HttpJsonAnswer *answer, const HttpReply *reply) {
        switch (reply->status) {
        case 401:
        case 403:
                return answer_fail(answer, SOURCE_REFUSED,
                        "refuses us (%d): check auth, and what this account may read", reply->status);
        case 404:
        case 410:
                return answer_fail(answer, SOURCE_REFUSED, "is not there (%d): correct url, or the API was withdrawn",
                        reply->status);
        case 300 ... 399:
                return answer_fail(answer, SOURCE_REFUSED,
                        "sends us elsewhere (%d), which is not followed: put the new address into url", reply->status);
        case 429:
                return answer_fail(answer, SOURCE_LIMITED, "wants fewer requests (429); a longer interval helps");
        case 408:
        case 500 ... 599:
                return answer_fail(answer, SOURCE_UNREACHABLE, "answers %s", reply->detail);
        default:
                return answer_fail(answer, SOURCE_REFUSED,
                        "does not take the request (%s): check url, body and headers", reply->detail);
        }
}

/* ---- usable answers ---- */

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
                "takes no more requests of this account today (statusCode %s: %s); a longer interval helps",
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
                answer_fail(answer, SOURCE_UNREACHABLE, "says %s at %s, and ok wants %s",
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
