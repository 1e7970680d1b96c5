/* SPDX-License-Identifier: Apache-2.0 */
/* The webhook sink against an HTTP server that answers as the test says: P3 (what is called stored), P6 (one bad
 * document), P10, P11. */
#include "config-fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "http-server.h"
#include "lib/http.h"
#include "lib/json.h"
#include "lib/crypto.h"
#include "real-calls.h"
#include "sinks/webhook.h"
#include "subscribe/sink-host.h"
#include "subscribe/sink.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"
#define WAIT_USEC (30 * USEC_PER_SEC)
#define CALLS_MAX 64
#define NO_ANSWER (-1)

static _Atomic time_t passed; /* seconds of the boot-time clock, beyond what really has */

int clock_gettime(clockid_t clock, struct timespec *now) {
        int r = real_clock_gettime(clock, now);

        if (clock == CLOCK_BOOTTIME)
                now->tv_sec += passed;
        return r;
}

typedef struct Call {
        char key[SHA256_HEX_SIZE + 8], place[64], type[64], authorization[64];
        char *body;
        size_t n;
} Call;

typedef struct World {
        Loop *loop;
        Http *http;
        Secrets *secrets;
        HttpServer *server;
        pthread_mutex_t lock;
        Call calls[CALLS_MAX];
        size_t n_calls;
        int (*says)(const struct World *w, const Call *call); /* the status, or NO_ANSWER */
        const char *headers, *words;
        size_t outage, over; /* the first call that all is refused from, and is not any more */
        unsigned tokens;     /* given out by /token */
        char url[100], token_url[100], state_dir[64];
        WebhookConfig keys;
        SubscriptionConfig config;
        Sink *sink;
        Batch *settled;
} World;

static World world;
static char subscription[] = SUBSCRIPTION, id_attribute[] = "key", url_file[] = "hook.url", user[] = "me",
            password[] = "password";

/* ---- the server ---- */

static bool handle(void *userdata, HttpServerConnection *connection, const HttpServerCall *call) {
        World *w = userdata;
        Call *noted;
        _cleanup_(json_freep) Json *json = NULL;
        int status;

        if (strcmp(call->path, "/token") == 0) {
                char answer[100];

                (void) snprintf(answer, sizeof(answer),
                        "{\"access_token\":\"token-%u\",\"token_type\":\"Bearer\",\"expires_in\":3600}", ++w->tokens);
                http_server_reply(connection, 200, "Content-Type: application/json\r\n", answer);
                return true;
        }
        assert_int_equal(pthread_mutex_lock(&w->lock), 0);
        assert_true(w->n_calls < CALLS_MAX);
        noted = &w->calls[w->n_calls];
        (void) http_server_header(call, "Idempotency-Key", noted->key, sizeof(noted->key));
        (void) http_server_header(call, "X-Place", noted->place, sizeof(noted->place));
        (void) http_server_header(call, "Authorization", noted->authorization, sizeof(noted->authorization));
        (void) http_server_header(call, "Content-Type", noted->type, sizeof(noted->type));
        noted->body = strndup(call->body.data ? call->body.data : "", call->body.size);
        assert_int_equal(json_parse(call->body.data, call->body.size, &json), 0);
        while (json_at(json, noted->n))
                noted->n++;
        status = w->says(w, noted);
        w->n_calls++;
        assert_int_equal(pthread_mutex_unlock(&w->lock), 0);
        if (status == NO_ANSWER)
                return false;
        http_server_reply(connection, status, w->headers, w->words);
        return true;
}

static int says_yes(const World *w, const Call *call) {
        return 200;
}

static int says_no_to_poison(const World *w, const Call *call) {
        return strstr(call->body, "poison") ? 422 : 204;
}

static int says_too_large_in_the_outage(const World *w, const Call *call) {
        return w->n_calls >= w->outage && w->n_calls < w->over ? 413 : says_no_to_poison(w, call);
}

static int says_nothing_at_first(const World *w, const Call *call) {
        return w->n_calls == 1 ? NO_ANSWER : 200;
}

static int says_nothing_at_the_beginning(const World *w, const Call *call) {
        return w->n_calls == 0 ? NO_ANSWER : 200;
}

static int says_nothing_then_busy(const World *w, const Call *call) {
        return w->n_calls == 0 ? NO_ANSWER : w->n_calls == 1 ? 409 : 200;
}

static int says_nothing_twice_then_busy(const World *w, const Call *call) {
        return w->n_calls < 2 ? NO_ANSWER : w->n_calls == 2 ? 409 : 200;
}

static int says_wait_at_first(const World *w, const Call *call) {
        return w->n_calls == 0 ? 429 : 200;
}

static int says_forbidden(const World *w, const Call *call) {
        return 403;
}

static int says_who_are_you(const World *w, const Call *call) {
        return 401;
}

static int says_yes_to_the_second_token(const World *w, const Call *call) {
        return strcmp(call->authorization, "Bearer token-2") == 0 ? 200 : 401;
}

/* ---- the sink ---- */

static void on_settled(void *userdata, Batch *batch) {
        assert_null(world.settled);
        world.settled = batch;
}

static SinkStatus status(const World *w) {
        SinkStatus s;

        sink_status(w->sink, &s);
        return s;
}

#define UNTIL(w, condition)                                                                                            \
        do {                                                                                                           \
                usec_t _end = clock_now() + WAIT_USEC;                                                                 \
                while (!(condition)) {                                                                                 \
                        if (clock_now() > _end)                                                                        \
                                fail_msg("not within %d s: %s (%s)", (int) (WAIT_USEC / USEC_PER_SEC), #condition,     \
                                        status(w).failure.detail);                                                     \
                        assert_true(loop_turn((w)->loop, 20 * USEC_PER_MSEC) >= 0);                                    \
                }                                                                                                      \
        } while (0)

static int open_sink(World *w) {
        return sink_new(types_sink("webhook"), &w->config,
                &(SinkCallbacks){ .on_settled = on_settled, .means = { w->loop, w->http, w->secrets, w->state_dir } },
                &w->sink);
}

static void start(World *w, int (*says)(const World *w, const Call *call)) {
        w->says = says;
        assert_int_equal(open_sink(w), 0);
        UNTIL(w, sink_takes_batches(w->sink));
}

/* One message for each text, with keys n0, n1, ...; that of the second has a line feed in it. */
static Batch *batch_of(const char *const *texts, size_t n) {
        _cleanup_bytes_ Bytes body = {};
        Batch *batch;

        (void) bytes_append_text(&body, "{\"receivedMessages\":[");
        for (size_t i = 0; i < n; i++) {
                (void) bytes_append_format(&body,
                        "%s{\"ackId\":\"a%zu\",\"message\":{\"messageId\":\"%zu\",\"publishTime\":\"2026-11-24T06:27:38.123Z\",\"data\":\"",
                        i > 0 ? "," : "", i, 100 + i);
                (void) bytes_append_base64(&body, texts[i], strlen(texts[i]));
                (void) bytes_append_format(&body, "\",\"attributes\":{\"key\":\"n%zu%s\"}}}", i, i == 1 ? "\\nb" : "");
        }
        (void) bytes_append_text(&body, "]}");
        assert_int_equal(batch_new(&body, clock_now(), &batch), 0);
        assert_int_equal(batch->pull.n, n);
        return batch;
}

static void write_and_wait(World *w, const char *const *texts, size_t n) {
        assert_int_equal(sink_write(w->sink, batch_of(texts, n)), SINK_WRITE_STARTED);
        UNTIL(w, w->settled);
}

/* One letter for each message: pending, stored, duplicate, rejected, unkept, suspect. */
static void assert_fates(const Batch *batch, const char *letters) {
        char found[64] = "";

        for (size_t i = 0; i < batch->pull.n; i++)
                found[i] = "psdrfx"[batch->fates[i]];
        assert_string_equal(found, letters);
}

/* ---- the tests ---- */

static void test_a_request(void **state) {
        static const char *const texts[] = { "{\"val\":23.5,\"created_at\":\"2026-11-24T06:27:38Z\"}", "{\"val\":2}" };
        World *w = *state;
        ConfigPair pair = { (char[]){ "X-Place" }, (char *[]){ (char[]){ "home" }, NULL } };
        char key[SHA256_HEX_SIZE];

        w->keys.headers = (ConfigMap){ &pair, 1 };
        start(w, says_yes);
        write_and_wait(w, texts, 2);
        assert_fates(w->settled, "ss");
        assert_int_equal(w->n_calls, 1);
        assert_string_equal(w->calls[0].key, crypto_sha256_hex("n0\nn1\nb\n", 8, key));
        assert_string_equal(w->calls[0].place, "home");
        assert_string_equal(w->calls[0].type, "application/json");
        assert_ptr_equal(
                strstr(w->calls[0].body, "[{\"_id\":\"n0\",\"val\":23.5,\"created_at\":\"2026-11-24T06:27:38Z\","),
                w->calls[0].body);
        assert_contains(w->calls[0].body, ",{\"_id\":\"n1\\nb\",\"val\":2");
        assert_contains(w->calls[0].body, "\"publish_time\":\"2026-11-24T06:27:38.123Z\"");
        assert_int_equal(w->calls[0].body[strlen(w->calls[0].body) - 1], ']');
        assert_int_equal(status(w).stored, 2);
}

static void test_batches(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}", "not json", "{\"v\":3}", "{\"v\":4}", "[]" };
        World *w = *state;

        w->keys.batch = 3;
        start(w, says_yes);
        write_and_wait(w, texts, 6);
        assert_fates(w->settled, "ssrssr");
        assert_int_equal(w->n_calls, 2);
        assert_int_equal(w->calls[0].n, 3);
        assert_int_equal(w->calls[1].n, 1);
        assert_int_equal(status(w).rejected, 2);
}

/* P6: halves of halves, until it is alone; and once more when others were taken since. */
static void test_one_is_refused(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}", "{\"v\":2}", "{\"v\":3}", "{\"v\":4}",
                "{\"v\":\"poison\"}", "{\"v\":6}", "{\"v\":7}" };
        World *w = *state;

        start(w, says_no_to_poison);
        write_and_wait(w, texts, 8);
        assert_fates(w->settled, "sssssrss");
        assert_int_equal(w->n_calls, 8); /* 8, 4, 4, 2, 1, 1, 2, and the one again */
        assert_int_equal(w->calls[4].n, 1);
        assert_string_equal(w->calls[7].key, w->calls[5].key);
}

/* Nothing was taken since: that may be the server's fault as well, and is not known yet. */
static void test_the_last_one_is_refused(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}", "{\"v\":\"poison\"}" };
        World *w = *state;

        start(w, says_no_to_poison);
        write_and_wait(w, texts, 3);
        assert_fates(w->settled, "ssx");
        assert_int_equal(w->n_calls, 5);
}

/* Bad ones in a row, of which more than half of a write are: as many as are followed by a good one in time. */
static void test_many_are_refused(void **state) {
        static const char *const texts[] = { "{\"v\":\"poison\"}", "{\"v\":\"poison\"}", "{\"v\":\"poison\"}",
                "{\"v\":\"poison\"}", "{\"v\":\"poison\"}", "not json", "{\"v\":\"poison\"}", "{\"v\":7}",
                "{\"v\":\"poison\"}", "{\"v\":\"poison\"}", "{\"v\":10}", "{\"v\":\"poison\"}", "{\"v\":\"poison\"}",
                "{\"v\":\"poison\"}", "{\"v\":14}" };
        World *w = *state;

        w->keys.batch = 4;
        start(w, says_no_to_poison);
        write_and_wait(w, texts, 15);
        assert_fates(w->settled, "rrrrrrrsrrsrrrs");
}

/* P11: whatever call an outage begins with, and ends with: no document is held to be bad for it, but the one that is.
 */
static void test_an_outage_within_a_write(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}", "{\"v\":\"poison\"}", "{\"v\":3}", "{\"v\":4}",
                "{\"v\":5}", "{\"v\":6}", "{\"v\":7}" };
        World *w = *state;

        w->keys.batch = 3;
        for (size_t begin = 0; begin < 9; begin++)
                for (size_t n = 1; n < 9; n++) {
                        start(w, says_too_large_in_the_outage);
                        w->n_calls = 0;
                        w->outage = begin;
                        w->over = begin + n;
                        assert_int_equal(sink_write(w->sink, batch_of(texts, 8)), SINK_WRITE_STARTED);
                        UNTIL(w, w->settled);
                        for (size_t i = 0; i < 8; i++)
                                assert_true(i == 2 || w->settled->fates[i] == FATE_STORED ||
                                            w->settled->fates[i] == FATE_SUSPECT);
                        assert_true(status(w).rejected <= 1);
                        for (size_t i = 0; i < w->n_calls; i++)
                                free(w->calls[i].body);
                        w->n_calls = 0;
                        w->settled = batch_free(w->settled);
                        sink_stop(w->sink, true);
                        w->sink = sink_free(w->sink);
                }
}

/* It may have been carried out: the same bytes under the same key, however the rest stands. */
static void test_no_answer(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}", "{\"v\":2}", "{\"v\":3}", "{\"v\":4}" };
        World *w = *state;

        w->keys.batch = 2;
        start(w, says_nothing_at_first);
        write_and_wait(w, texts, 5);
        assert_fates(w->settled, "sssss");
        assert_int_equal(w->n_calls, 4);
        assert_int_equal(w->calls[1].n, 2);
        assert_string_equal(w->calls[1].key, w->calls[2].key);
        assert_string_equal(w->calls[1].body, w->calls[2].body);
        assert_int_equal(w->calls[3].n, 1);
}

/* ... and while the server is at work on it still (draft-ietf-httpapi-idempotency-key-header): not in halves. */
static void test_no_answer_yet(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}" };
        World *w = *state;

        start(w, says_nothing_then_busy);
        write_and_wait(w, texts, 2);
        assert_fates(w->settled, "ss");
        assert_int_equal(w->n_calls, 3);
        for (unsigned i = 1; i < 3; i++) {
                assert_string_equal(w->calls[i].key, w->calls[0].key);
                assert_string_equal(w->calls[i].body, w->calls[0].body);
        }
}

/* It is at work on what it was sent last, however long it was away before that. */
static void test_no_answer_yet_after_an_outage(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}" };
        World *w = *state;

        start(w, says_nothing_twice_then_busy);
        assert_int_equal(sink_write(w->sink, batch_of(texts, 2)), SINK_WRITE_STARTED);
        UNTIL(w, status(w).retry_at > 0);
        passed += 11 * 60;
        UNTIL(w, w->settled);
        assert_fates(w->settled, "ss");
        assert_int_equal(w->n_calls, 4); /* not in halves */
        for (unsigned i = 1; i < 4; i++)
                assert_string_equal(w->calls[i].key, w->calls[0].key);
}

static void on_host_answer(void *userdata, SinkStep step, SinkWork *work) {
        *(SinkWork **) userdata = work;
}

static void on_host_seen(void *userdata, unsigned seen) {}

/* One write of the messages *from* to *to*, without the sink's judgement. */
static void ask_host(World *w, SinkHost *host, SinkWork **answered, Batch *batch, size_t from, size_t to) {
        SinkWork *work;

        *answered = NULL;
        assert_int_equal(sink_host_prepare(host, to - from, &work), 0);
        for (size_t i = from; i < to; i++)
                work->items[i - from].message = &batch->pull.messages[i];
        sink_host_ask(host, SINK_STEP_WRITE, batch);
        while (!*answered)
                assert_true(loop_turn(w->loop, WAIT_USEC) > 0);
}

/* ... also where others stand in front of its documents: it goes first, and nothing is left out. */
static void test_no_answer_behind_another(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}", "{\"v\":2}", "{\"v\":3}" };
        World *w = *state;
        SinkWork *answered;
        const SinkHostCallbacks callbacks = { .on_answer = on_host_answer,
                .on_seen = on_host_seen,
                .userdata = &answered,
                .means = { .loop = w->loop, .http = w->http, .secrets = w->secrets, .state_dir = w->state_dir } };
        _cleanup_(batch_freep) Batch *batch = batch_of(texts, 4);
        char problem[SINK_DETAIL_MAX];
        SinkHost *host;

        w->says = says_nothing_at_the_beginning;
        w->keys.batch = 2;
        assert_int_equal(sink_host_new(types_sink("webhook"), &w->config, &callbacks, &host, problem), 0);
        ask_host(w, host, &answered, batch, 1, 3);
        ask_host(w, host, &answered, batch, 0, 4);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(answered->items[i].verdict, SINK_STORED);
        assert_null(sink_host_free(host));
        assert_int_equal(w->n_calls, 4);
        assert_string_equal(w->calls[0].key, w->calls[1].key);
        assert_string_equal(w->calls[0].body, w->calls[1].body);
        assert_contains(w->calls[2].body, "\"n0\"");
        assert_contains(w->calls[3].body, "\"n3\"");
}

static void test_retry_after(void **state) {
        static const char *const texts[] = { "{\"v\":0}" };
        World *w = *state;
        usec_t asked = clock_now();

        w->headers = "Retry-After: 2\r\n";
        start(w, says_wait_at_first);
        assert_int_equal(sink_write(w->sink, batch_of(texts, 1)), SINK_WRITE_STARTED);
        UNTIL(w, status(w).retry_at > 0);
        assert_in_range(status(w).retry_at, asked + 2 * USEC_PER_SEC, clock_now() + 2 * USEC_PER_SEC);
        UNTIL(w, w->settled);
        assert_fates(w->settled, "s");
        assert_int_equal(w->n_calls, 2);
}

/* P11: an outage, whatever its code; nothing is set apart, and it ends by itself. */
static void test_all_are_refused(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}", "{\"v\":2}", "{\"v\":3}" };
        World *w = *state;

        w->words = "no_service";
        start(w, says_forbidden);
        assert_int_equal(sink_write(w->sink, batch_of(texts, 4)), SINK_WRITE_STARTED);
        UNTIL(w, !status(w).ready);
        assert_contains(status(w).failure.detail, "HTTP 403");
        assert_contains(status(w).failure.detail, "no_service");
        assert_contains(status(w).failure.detail, "revoked");
        assert_true(sink_wants_scout(w->sink));
        assert_int_equal(pthread_mutex_lock(&w->lock), 0);
        w->says = says_yes;
        assert_int_equal(pthread_mutex_unlock(&w->lock), 0);
        UNTIL(w, w->settled);
        assert_fates(w->settled, "ssss");
        assert_int_equal(status(w).rejected, 0);
}

static void test_a_wrong_secret(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}" };
        World *w = *state;

        start(w, says_who_are_you);
        assert_int_equal(sink_write(w->sink, batch_of(texts, 2)), SINK_WRITE_STARTED);
        UNTIL(w, !status(w).ready);
        assert_contains(status(w).failure.detail, "the right secret");
        assert_int_equal(w->n_calls, 1);
        assert_false(sink_wants_scout(w->sink));
        sink_stop(w->sink, false);
        UNTIL(w, w->settled);
        assert_fates(w->settled, "pp");
}

static void test_a_password(void **state) {
        static const char *const texts[] = { "{\"v\":0}" };
        World *w = *state;

        w->keys.auth.type = AUTH_BASIC;
        w->keys.auth.username = user;
        w->keys.auth.password.text = password;
        start(w, says_yes);
        write_and_wait(w, texts, 1);
        assert_fates(w->settled, "s");
        assert_string_equal(w->calls[0].authorization, "Basic bWU6cGFzc3dvcmQ=");
}

/* A token is fetched first, and once more when it is refused; the request is the same. */
static void test_oauth2(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}" };
        World *w = *state;

        w->keys.auth.type = AUTH_OAUTH2;
        w->keys.auth.client_id = user;
        w->keys.auth.client_secret.text = password;
        w->keys.auth.token_url = w->token_url;
        start(w, says_yes_to_the_second_token);
        write_and_wait(w, texts, 2);
        assert_fates(w->settled, "ss");
        assert_int_equal(w->n_calls, 2);
        assert_string_equal(w->calls[0].authorization, "Bearer token-1");
        assert_string_equal(w->calls[0].key, w->calls[1].key);
        assert_string_equal(w->calls[0].body, w->calls[1].body);
}

/* ... but no more than once: a fresh token that is refused as well is a wrong secret. */
static void test_oauth2_refused(void **state) {
        static const char *const texts[] = { "{\"v\":0}" };
        World *w = *state;

        w->keys.auth.type = AUTH_OAUTH2;
        w->keys.auth.client_id = user;
        w->keys.auth.client_secret.text = password;
        w->keys.auth.token_url = w->token_url;
        start(w, says_who_are_you);
        assert_int_equal(sink_write(w->sink, batch_of(texts, 1)), SINK_WRITE_STARTED);
        UNTIL(w, !status(w).ready);
        assert_int_equal(w->n_calls, 2);
        assert_string_equal(w->calls[1].authorization, "Bearer token-2");
        sink_stop(w->sink, false);
        UNTIL(w, w->settled);
        assert_fates(w->settled, "p");
}

/* A token endpoint that is away refuses nothing: there is nothing to correct. */
static void test_oauth2_unreachable(void **state) {
        static const char *const texts[] = { "{\"v\":0}" };
        World *w = *state;

        w->keys.auth.type = AUTH_OAUTH2;
        w->keys.auth.client_id = user;
        w->keys.auth.client_secret.text = password;
        w->keys.auth.token_url = (char[]){ "http://127.0.0.1:9/token" }; /* discard: nobody listens */
        start(w, says_yes);
        assert_int_equal(sink_write(w->sink, batch_of(texts, 1)), SINK_WRITE_STARTED);
        UNTIL(w, status(w).failure.detail[0]);
        assert_contains(status(w).failure.detail, "token: the token endpoint: connection refused");
        assert_null(strstr(status(w).failure.detail, "client_id"));
        assert_int_equal(status(w).failure.cause, CAUSE_NETWORK);
}

/* A refresh token that rotates is used by one at a time: a reload opens the next one when the one before it has ended.
 */
static void test_tokens_are_of_one(void **state) {
        World *w = *state;
        char name[SINK_EXCLUSIVE_MAX] = "";

        types_sink("webhook")->exclusive(&w->config, "/var/lib/sensorqd", name);
        assert_string_equal(name, "");
        w->keys.auth = (AuthConfig){ .type = AUTH_OAUTH2 };
        types_sink("webhook")->exclusive(&w->config, "/var/lib/sensorqd", name);
        assert_non_null(strstr(name, w->config.subscription));
}

/* P10: the path of a URL that is a secret, repeated by the server. */
static void test_a_secret_url(void **state) {
        static const char *const texts[] = { "{\"v\":0}", "{\"v\":1}" };
        World *w = *state;

        w->keys.at.url = NULL;
        w->keys.at.url_file = (ConfigSecret){ url_file, w->url };
        w->words = "no such hook: /in/4Hd8sK2p9QxZ";
        start(w, says_forbidden);
        assert_int_equal(sink_write(w->sink, batch_of(texts, 2)), SINK_WRITE_STARTED);
        UNTIL(w, !status(w).ready);
        assert_contains(status(w).failure.detail, "no such hook");
        assert_null(strstr(status(w).failure.detail, "4Hd8sK2p9QxZ"));
}

static void test_unreachable(void **state) {
        World *w = *state;

        w->server = http_server_free(w->server);
        w->says = says_yes;
        assert_int_equal(open_sink(w), 0);
        UNTIL(w, status(w).failure.detail[0]);
        assert_false(sink_takes_batches(w->sink));
        assert_contains(status(w).failure.detail, "unreachable");
}

/* The network is not to blame. */
static void test_no_descriptor(void **state) {
        World *w = *state;
        struct rlimit before, none;
        int next;

        w->says = says_yes;
        assert_int_equal(open_sink(w), 0);
        next = dup(STDERR_FILENO); /* the lowest that is free */
        (void) close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ (rlim_t) next, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        UNTIL(w, status(w).failure.detail[0]);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(status(w).failure.cause, CAUSE_MEMORY);
        assert_contains(status(w).failure.detail, "LimitNOFILE=");
}

static void test_a_wrong_url_file(void **state) {
        World *w = *state;
        char problem[SINK_DETAIL_MAX];

        w->keys.at.url = NULL;
        w->keys.at.url_file = (ConfigSecret){ url_file, (char[]){ "hooks.example.com/x" } };
        assert_int_equal(web_place_check(&w->keys.at, problem), -EBADMSG);
        assert_contains(problem, "secret file hook.url does not hold a URL");
        assert_int_equal(types_sink("webhook")->usable(&w->config, problem), -EBADMSG);
        w->keys.at.url_file.text = (char[]){ "http://hooks.example.com/x" };
        assert_int_equal(web_place_check(&w->keys.at, problem), -EBADMSG);
        assert_contains(problem, "allow_plain");
        w->keys.at.allow_plain = true;
        assert_int_equal(web_place_check(&w->keys.at, problem), 0);
}

static void assert_refused(const char *section, const char *words) {
        char text[600];
        char *said;

        (void) snprintf(text, sizeof(text), PUBSUB "subscribe: [{subscription: sub, webhook: {%s}}]\n", section);
        said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });
        assert_contains(said, words);
        free(said);
}

static void test_the_section(void **state) {
        assert_refused("batch: 5", "needs one of url and url_file");
        assert_refused("url: 'https://h/', url_file: f", "url_file: cannot be combined with url; allowed: one of them");
        assert_refused("url: 'https://h/', headers: {idempotency-key: x}", "is set by sensorqd itself");
        assert_refused("url: 'https://h/', headers: {Authorization: x}", "a header for a secret");
        assert_refused("url: 'https://h/', batch: 0", "1..1000");
        assert_refused("url: 'http://h/', auth: {type: bearer, token_file: t}", "allow_plain: true");
}

/* ---- life ---- */

static int set_up(void **state) {
        World *w = &world;

        *w = (World){ .headers = "", .words = "" };
        assert_int_equal(pthread_mutex_init(&w->lock, NULL), 0);
        (void) signal(SIGPIPE, SIG_IGN);
        assert_int_equal(loop_new(&w->loop), 0);
        assert_int_equal(http_new(w->loop, "test/1", &w->http), 0);
        assert_int_equal(secrets_new(&w->secrets), 0);
        w->server = http_server_new(handle, w);
        (void) snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u/in/4Hd8sK2p9QxZ", http_server_port(w->server));
        (void) snprintf(w->token_url, sizeof(w->token_url), "http://127.0.0.1:%u/token", http_server_port(w->server));
        (void) snprintf(w->state_dir, sizeof(w->state_dir), "/tmp/test-webhook-XXXXXX");
        assert_non_null(mkdtemp(w->state_dir));
        w->keys = (WebhookConfig){ .at.url = w->url, .batch = 100, .timeout = 5 * USEC_PER_SEC };
        w->config = (SubscriptionConfig){ .subscription = subscription,
                .id_attribute = id_attribute,
                .backoff = { 100 * USEC_PER_MSEC, 300 * USEC_PER_MSEC },
                .sink = "webhook",
                .section = types_sink("webhook")->keys,
                .keys = &w->keys };
        *state = w;
        return 0;
}

static int tear_down(void **state) {
        World *w = *state;
        char command[128];

        w->sink = sink_free(w->sink);
        w->settled = batch_free(w->settled);
        w->http = http_free(w->http);
        w->secrets = secrets_free(w->secrets);
        w->loop = loop_free(w->loop);
        w->server = http_server_free(w->server);
        for (size_t i = 0; i < w->n_calls; i++)
                free(w->calls[i].body);
        (void) snprintf(command, sizeof(command), "rm -r %s", w->state_dir);
        assert_int_equal(system(command), 0);
        return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_request),
                TEST(test_batches),
                TEST(test_one_is_refused),
                TEST(test_the_last_one_is_refused),
                TEST(test_many_are_refused),
                TEST(test_an_outage_within_a_write),
                TEST(test_no_answer),
                TEST(test_no_answer_yet),
                TEST(test_no_answer_yet_after_an_outage),
                TEST(test_no_answer_behind_another),
                TEST(test_retry_after),
                TEST(test_all_are_refused),
                TEST(test_a_wrong_secret),
                TEST(test_a_password),
                TEST(test_oauth2),
                TEST(test_oauth2_refused),
                TEST(test_oauth2_unreachable),
                TEST(test_tokens_are_of_one),
                TEST(test_a_secret_url),
                TEST(test_unreachable),
                TEST(test_no_descriptor),
                TEST(test_a_wrong_url_file),
                cmocka_unit_test(test_the_section),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
