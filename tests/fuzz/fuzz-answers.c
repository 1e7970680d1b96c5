/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the body of an answer: of a token endpoint, of Pub/Sub, of an alert's target, of an API; or as libcurl's
 * words for its end. The first byte says whose and its status, the second the rest of the question. Each is judged, in
 * words that fit and are UTF-8. */
#include <errno.h>
#include <stdio.h>

#include "fuzz.h"
#include "lib/http-request.c" /* for the parts of a request */
#include "lib/json.h"
#include "pubsub/client.h"
#include "pubsub/credentials.h"
#include "sinks/alert-target.h"
#include "sources/http-json.h"
#include "subscribe/subscription.h"

#define WALL (UINT64_C(1795822800) * USEC_PER_SEC)

static void require_words(const char *words, size_t size) {
        require(memchr(words, '\0', size) && bytes_is_utf8(words, strlen(words)));
}

static void fuzz_credentials(const HttpReply *reply, uint8_t choice) {
        char origin[] = "f", field[] = "a", url[] = "https://h/";
        const Credentials credentials = { .kind = (CredentialsKind) (choice % 4),
                .origin = origin,
                .subject_field = choice & 64 ? field : NULL,
                .token_uri = url,
                .subject_url = url,
                .impersonation_url = url };
        const CredentialsStep step = (CredentialsStep) (choice / 4 % 3);
        CredentialsAnswer answer = {};
        int r = credentials_answer(&credentials, step, WALL, reply, &answer);

        require((r == 0) == (answer.value && answer.value[0] != '\0') && (r == 0 || answer.cause != CAUSE_NONE));
        require(r == 0 || r == -EACCES || r == -EAGAIN);
        require(r < 0 || step == CREDENTIALS_SUBJECT ||
                (answer.lifetime > 0 && answer.lifetime <= CREDENTIALS_LIFETIME_MAX_USEC));
        require((r < 0) == (answer.detail[0] != '\0'));
        require_words(answer.detail, sizeof(answer.detail));
        free(answer.value);
}

static void fuzz_client(const HttpReply *reply, uint8_t choice) {
        static const char *const verbs[] = { NULL, ":publish", ":pull", CLIENT_CREATE };
        char detail[CLIENT_DETAIL_MAX];
        ClientReply sorted;

        client_sort(reply, "projects/p/topics/t", verbs[choice % 4], &sorted, detail);
        require((sorted.outcome == CLIENT_OK) == (detail[0] == '\0') && sorted.retry_after <= USEC_PER_HOUR);
        require((sorted.outcome == CLIENT_OK) == (sorted.cause == CAUSE_NONE));
        require_words(detail, sizeof(detail));
}

static void on_text(void *userdata, const char *text) {
        require(text[0] != '\0' && bytes_is_utf8(text, strlen(text)));
}

static void fuzz_subscription(const HttpReply *reply) {
        SubscriptionSettings settings;

        (void) subscription_transforms(reply->body.data ?: "", reply->body.size);
        if (subscription_parse(reply->body.data ?: "", reply->body.size, &settings) < 0)
                return;
        require_words(settings.topic, sizeof(settings.topic));
        require_words(settings.filter, sizeof(settings.filter));
        require_words(settings.dead_letter, sizeof(settings.dead_letter));
        subscription_each_warning(&settings, on_text, NULL);
}

static void fuzz_target(const HttpReply *reply, uint8_t choice) {
        static char url[] = "https://h/";
        AlertAnswer answer;

        alert_target_judge(&(AlertTarget){ .type = choice % ALERT_SERVICES, .at.url = url }, reply, &answer);
        require_words(answer.detail, sizeof(answer.detail));
}

static void fuzz_api(const HttpReply *reply, uint8_t choice) {
        char place[] = "/ok/0", *values[] = { (char[]){ "1" }, NULL };
        ConfigPair pair = { place, values };
        HttpJsonConfig keys = { .auth.type = choice & 1 ? AUTH_SWITCHBOT : AUTH_NONE,
                .ok = { &pair, choice & 2 ? 1 : 0 } };
        HttpJsonAnswer answer;

        if (http_json_read(&keys, reply, &answer))
                require(json_is_whole(answer.document, JSON_READER_DEPTH, NULL));
        else
                require(answer.detail[0] != '\0');
        require_words(answer.detail, sizeof(answer.detail));
        bytes_done(&answer.made);
}

/* libcurl's words quote the remote: names in its certificate, what it sent in place of HTTP. */
static void fuzz_end(const HttpReply *reply, uint8_t choice, const char *words) {
        char error[CURL_ERROR_SIZE], detail[CURL_ERROR_SIZE + 64] = "";
        HttpEnd end = { .code = (CURLcode) (choice % CURL_LAST),
                .error = error,
                .sent = reply->date > 0,
                .status = reply->status };
        HttpOutcome outcome;

        (void) snprintf(error, sizeof(error), "%s", words);
        end.timeout = USEC_PER_SEC;
        outcome = http_outcome(&end, detail, sizeof(detail));
        require(detail[0] != '\0' && (outcome == HTTP_ANSWERED) == (end.code == CURLE_OK));
        require(!end.sent || (outcome != HTTP_UNREACHABLE && outcome != HTTP_TLS));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const int statuses[] = { 0, 200, 204, 302, 400, 401, 403, 404, 408, 409, 413, 429, 500, 503 };
        static HttpRequest request;
        HttpReply reply = { .request = &request, .detail = "HTTP 1" };

        if (size < 3)
                return 0;
        if (!request.easy)
                request.easy = curl_easy_init();
        reply.status = statuses[data[0] / 8 % ELEMENTSOF(statuses)];
        reply.outcome = reply.status == 0 ? (HttpOutcome) (1 + data[1] % HTTP_TOO_LARGE) : HTTP_ANSWERED;
        reply.date = data[1] & 128 ? WALL + USEC_PER_HOUR : 0;
        require(bytes_append(&reply.body, data + 2, reply.status == 0 ? 0 : size - 2) == 0);
        switch (data[0] % 8) {
        case 0:
                fuzz_client(&reply, data[1]);
                break;
        case 1:
                fuzz_subscription(&reply);
                break;
        case 2:
                fuzz_target(&reply, data[1]);
                break;
        case 3:
                fuzz_api(&reply, data[1]);
                break;
        case 7:
                fuzz_end(&reply, data[1], reply.body.data ?: "");
                break;
        default:
                fuzz_credentials(&reply, data[1]);
        }
        bytes_done(&reply.body);
        return 0;
}
