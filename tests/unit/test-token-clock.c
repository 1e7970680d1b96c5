/* SPDX-License-Identifier: Apache-2.0 */
/* How long a token serves: counted from the start of its exchange, by the clock that no step moves. Both clocks are the
 * test's, and the endpoint answers when the test lets it. And what is said when no exchange can be started. */
#include "http-fixture.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "lib/log.h"
#include "pubsub/token.h"
#include "real-calls.h"

#define DAY (24 * 60 * 60)
#define UNDER_WAY (40 * USEC_PER_SEC) /* less than an exchange may take */

static usec_t passed;  /* beyond what really has */
static time_t stepped; /* how far the wall clock was set ahead */

int clock_gettime(clockid_t clock, struct timespec *now) {
        int r = real_clock_gettime(clock, now);

        if (clock == CLOCK_BOOTTIME)
                now->tv_sec += (time_t) (passed / USEC_PER_SEC);
        if (clock == CLOCK_REALTIME)
                now->tv_sec += stepped;
        return r;
}

typedef struct Clocks {
        Fixture f;
        Credentials credentials;
        LoopWatch *ready;
        Token *token;
        char uri[100];
        int answers, error; /* of token_take() */
        char value[40];

        pthread_mutex_t mutex; /* over the rest, which the server's threads use too */
        pthread_cond_t changed;
        bool hold; /* no answer yet */
        int lifetime, exchanges;
} Clocks;

static bool serve(void *userdata, HttpServerConnection *connection, const HttpServerCall *call) {
        Clocks *c = userdata;
        char answer[100];

        (void) pthread_mutex_lock(&c->mutex);
        c->exchanges++;
        while (c->hold)
                (void) pthread_cond_wait(&c->changed, &c->mutex);
        (void) snprintf(
                answer, sizeof(answer), "{\"access_token\":\"token-%d\",\"expires_in\":%d}", c->exchanges, c->lifetime);
        (void) pthread_mutex_unlock(&c->mutex);
        http_server_reply(connection, 200, "", answer);
        return true;
}

static void set_hold(Clocks *c, bool hold) {
        (void) pthread_mutex_lock(&c->mutex);
        c->hold = hold;
        (void) pthread_cond_broadcast(&c->changed);
        (void) pthread_mutex_unlock(&c->mutex);
}

static int exchanges(Clocks *c) {
        int n;

        (void) pthread_mutex_lock(&c->mutex);
        n = c->exchanges;
        (void) pthread_mutex_unlock(&c->mutex);
        return n;
}

static void on_ready(void *userdata) {
        const char *value = NULL;
        Clocks *c = userdata;
        unsigned number;
        int r = token_take(c->token, &value, &number);

        if (r == TOKEN_WAIT || c->answers > 0)
                return;
        c->answers++;
        c->error = r;
        (void) snprintf(c->value, sizeof(c->value), "%s", value ? value : "");
}

static int set_up(void **state) {
        Clocks *c = calloc(1, sizeof(*c));

        assert_non_null(c);
        passed = 0;
        stepped = 0;
        log_set_level(LOG_EMERG);
        assert_int_equal(pthread_mutex_init(&c->mutex, NULL), 0);
        assert_int_equal(pthread_cond_init(&c->changed, NULL), 0);
        c->lifetime = 3600;
        fixture_set_up(&c->f, serve, c);
        (void) snprintf(c->uri, sizeof(c->uri), "http://127.0.0.1:%u/token", http_server_port(c->f.server));
        c->credentials =
                (Credentials){ .kind = CREDENTIALS_METADATA, .token_uri = c->uri, .origin = (char *) "metadata" };
        assert_int_equal(loop_add_defer(c->f.event, on_ready, c, &c->ready), 0);
        assert_int_equal(token_new(c->f.http, &c->credentials, NULL, c->ready, &c->token), 0);
        *state = c;
        return 0;
}

static int tear_down(void **state) {
        Clocks *c = *state;

        set_hold(c, false);
        c->token = token_free(c->token);
        c->ready = loop_drop(c->ready);
        fixture_tear_down(&c->f);
        (void) pthread_cond_destroy(&c->changed);
        (void) pthread_mutex_destroy(&c->mutex);
        free(c);
        return 0;
}

static void start(Clocks *c) {
        c->answers = 0;
        loop_wake(c->ready);
}

static void finish(Clocks *c) {
        while (c->answers == 0)
                assert_true(loop_turn(c->f.event, UINT64_MAX) >= 0);
}

static void check_token(Clocks *c, const char *expected) {
        start(c);
        finish(c);
        assert_int_equal(c->error, 0);
        assert_string_equal(c->value, expected);
}

static void set_lifetime(Clocks *c, int lifetime) {
        (void) pthread_mutex_lock(&c->mutex);
        c->lifetime = lifetime;
        (void) pthread_mutex_unlock(&c->mutex);
}

static usec_t expiry(Clocks *c) {
        TokenStatus status;

        token_status(c->token, &status);
        return status.expires;
}

/* Begins an exchange whose answer is held back. Returns when it was under way for certain. */
static usec_t begin_slow_exchange(Clocks *c) {
        set_hold(c, true);
        start(c);
        while (exchanges(c) == 0)
                assert_true(loop_turn(c->f.event, 10 * USEC_PER_MSEC) >= 0);
        return clock_now();
}

static void test_slow_exchange(void **state) {
        Clocks *c = *state;
        usec_t before = clock_now(), under_way = begin_slow_exchange(c);

        passed += UNDER_WAY;
        set_hold(c, false);
        finish(c);
        assert_string_equal(c->value, "token-1");
        assert_in_range(expiry(c), before + USEC_PER_HOUR, under_way + USEC_PER_HOUR);
}

/* What has run out while it was on its way is not used, not even once. */
static void test_run_out_on_the_way(void **state) {
        Clocks *c = *state;

        set_lifetime(c, 30);
        (void) begin_slow_exchange(c);
        passed += UNDER_WAY;
        set_hold(c, false);
        finish(c);
        assert_int_equal(c->error, TOKEN_LATER);
        assert_string_equal(c->value, "");
        assert_int_equal(expiry(c), 0);
}

static void test_step_under_way(void **state) {
        Clocks *c = *state;
        usec_t before = clock_now(), under_way = begin_slow_exchange(c);

        stepped = DAY;
        set_hold(c, false);
        finish(c);
        assert_in_range(expiry(c), before + USEC_PER_HOUR, under_way + USEC_PER_HOUR);
        stepped = 0;
        check_token(c, "token-1");
        assert_int_equal(exchanges(c), 1);
}

/* Neither ends it early nor keeps it beyond its time. */
static void test_steps_later(void **state) {
        Clocks *c = *state;
        usec_t expires;

        check_token(c, "token-1");
        expires = expiry(c);
        stepped = DAY;
        check_token(c, "token-1");
        stepped = -DAY;
        check_token(c, "token-1");
        assert_int_equal(expiry(c), expires);
        assert_int_equal(exchanges(c), 1);
        passed += USEC_PER_HOUR;
        check_token(c, "token-2");
}

/* The next one is not fetched before it is due, whether it would be used or not. */
static void test_no_refresh_too_early(void **state) {
        static const struct {
                int lifetime;
                usec_t early;
        } rows[] = { { 3600, 300 }, { 400, 200 } };
        Clocks *c = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                int before = exchanges(c);

                passed += USEC_PER_HOUR;
                set_lifetime(c, rows[i].lifetime);
                start(c);
                finish(c);
                passed += ((usec_t) rows[i].lifetime - rows[i].early - 15) * USEC_PER_SEC;
                start(c);
                finish(c);
                while (loop_turn(c->f.event, 200 * USEC_PER_MSEC) > 0)
                        continue;
                assert_int_equal(exchanges(c), before + 1);
        }
}

/* Without descriptors the identity's file is not to blame. */
static void test_no_descriptors(void **state) {
        struct rlimit before, none;
        TokenStatus status;
        Clocks *c = *state;

        if (is_in_valgrind())
                skip();
        c->credentials.kind = CREDENTIALS_EXTERNAL_ACCOUNT;
        c->credentials.subject_file = (char *) "/dev/null";
        c->credentials.audience = c->credentials.subject_token_type = (char *) "a";
        start(c);
        finish(c);
        token_status(c->token, &status);
        assert_string_equal(status.failure.detail,
                "/dev/null, with the identity of this machine: it holds no token; see what writes it");
        assert_int_equal(c->error, TOKEN_REFUSED);
        assert_int_equal(status.failure.cause, CAUSE_KEY);

        passed += USEC_PER_HOUR;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ 0, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        start(c);
        finish(c);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        token_status(c->token, &status);
        assert_non_null(strstr(status.failure.detail, "the request for it cannot be made: Too many open files; look "));
        assert_int_equal(c->error, TOKEN_LATER);
        assert_int_equal(status.failure.cause, CAUSE_MEMORY);
        assert_int_equal(exchanges(c), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_slow_exchange, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_run_out_on_the_way, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_step_under_way, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_steps_later, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_refresh_too_early, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_descriptors, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
