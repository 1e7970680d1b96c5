/* SPDX-License-Identifier: Apache-2.0 */
/* Http on the loop: many requests at once, requests that are dropped or started at awkward moments, and names that take
 * for ever. */
#include "http-fixture.h"

#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <semaphore.h>

#define MANY 50

/* ---- a resolver that hangs until it is told to go on ---- */

static sem_t resolving, go_on;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res) {
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

        if (strcmp(node, "slow.test") == 0) {
                (void) sem_post(&resolving);
                while (sem_wait(&go_on) < 0)
                        ;
                return EAI_AGAIN;
        }
        if (strcmp(node, "missing.test") == 0)
                return EAI_NONAME;

        real = (__typeof__(real)) dlsym(RTLD_NEXT, "getaddrinfo");
        return real(node, service, hints, res);
}

/* ---- fixture ---- */

static bool serve(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        if (strcmp(call->path, "/stall") == 0) {
                http_server_stall(c);
                return false;
        }
        if (strcmp(call->path, "/once") == 0) { /* looks kept alive, and is not */
                http_server_reply(c, 200, "", call->path);
                return false;
        }

        http_server_reply(c, 200, "", call->path);
        if (strcmp(call->path, "/twice") == 0) {
                (void) usleep(50000); /* libcurl finds what came at once */
                http_server_reply(c, 200, "", "again");
        }
        return true;
}

static int set_up(void **state) {
        static Fixture f;

        assert_int_equal(sem_init(&resolving, 0, 0), 0);
        assert_int_equal(sem_init(&go_on, 0, 0), 0);
        fixture_set_up(&f, serve, NULL);
        *state = &f;
        return 0;
}

static int tear_down(void **state) {
        fixture_tear_down(*state);
        return 0;
}

static void get(Fixture *f, const char *path, Result *result) {
        char url[300];
        HttpSpec spec = fixture_spec(f, path, url);

        fixture_start(f, &spec, result);
}

/* ---- tests ---- */

static void test_parallel(void **state) {
        Fixture *f = *state;
        Result results[MANY] = {}, hanging = {};
        char path[32];

        get(f, "/stall", &hanging);
        for (int i = 0; i < MANY; i++) {
                (void) snprintf(path, sizeof(path), "/%d", i);
                get(f, path, &results[i]);
        }
        for (int i = 0; i < MANY; i++) {
                fixture_run(f, &results[i]);
                (void) snprintf(path, sizeof(path), "/%d", i);
                assert_int_equal(results[i].outcome, HTTP_ANSWERED);
                assert_string_equal(results[i].body.data, path);
                bytes_done(&results[i].body);
        }
        assert_false(hanging.done);
        hanging.request = http_cancel(hanging.request);
}

static void test_cancel_in_flight(void **state) {
        Fixture *f = *state;
        Result dropped = {}, other = {};

        get(f, "/stall", &dropped);
        while (http_server_calls(f->server) == 0)
                assert_true(loop_turn(f->event, 1000) >= 0);
        dropped.request = http_cancel(dropped.request);
        get(f, "/other", &other);
        fixture_run(f, &other);
        assert_false(dropped.done);
        bytes_done(&other.body);
}

static void test_cancel_at_once(void **state) {
        Fixture *f = *state;
        Result dropped = {};

        get(f, "/dropped", &dropped);
        assert_null(http_cancel(dropped.request));
        assert_null(http_cancel(NULL));
        assert_int_equal(loop_turn(f->event, 0), 0);
}

static void cancel_others(Result *result) {
        Result *all = result->userdata;

        for (int i = 0; i < MANY; i++)
                all[i].request = http_cancel(all[i].request);
}

/* Some of the others are in flight, some have ended already and wait for their callback. */
static void test_cancel_in_callback(void **state) {
        Fixture *f = *state;
        Result results[MANY] = {};
        unsigned done = 0;

        for (int i = 0; i < MANY; i++) {
                results[i].then = cancel_others;
                results[i].userdata = results;
                get(f, i % 2 ? "/stall" : "/x", &results[i]);
        }
        while (done == 0) {
                assert_true(loop_turn(f->event, UINT64_MAX) >= 0);
                for (int i = 0; i < MANY; i++)
                        done += results[i].done;
        }
        for (int i = 0; i < MANY; i++)
                bytes_done(&results[i].body);
        assert_int_equal(done, 1);
        while (loop_turn(f->event, 0) > 0)
                ;
}

/* They time out together: when the first one is told, the others have ended too. */
static void test_cancel_of_those_that_ended_too(void **state) {
        Fixture *f = *state;
        Result results[MANY] = {}, again = {};
        unsigned done = 0;
        char url[300];

        for (int i = 0; i < MANY; i++) {
                HttpSpec spec = fixture_spec(f, "/stall", url);

                spec.timeout = 300 * USEC_PER_MSEC;
                results[i].then = cancel_others;
                results[i].userdata = results;
                fixture_start(f, &spec, &results[i]);
        }
        (void) poll(NULL, 0, 500);
        while (done == 0) {
                assert_true(loop_turn(f->event, UINT64_MAX) >= 0);
                for (int i = 0; i < MANY; i++)
                        done += results[i].done;
        }
        assert_int_equal(done, 1);
        get(f, "/x", &again);
        fixture_run(f, &again);
        bytes_done(&again.body);
}

static HttpRequest *own;

static void cancel_itself(void *userdata, HttpReply *reply) {
        Result *result = userdata;

        result->done = true;
        assert_null(http_cancel(own));
        assert_string_equal(http_reply_header(reply, "content-length"), "2");
}

static void test_cancel_itself(void **state) {
        Fixture *f = *state;
        Result result = {};
        char url[300];
        HttpSpec spec = fixture_spec(f, "/x", url);

        assert_int_equal(http_start(f->http, &spec, cancel_itself, &result, &own), 0);
        fixture_run(f, &result);
}

typedef struct Chain {
        Fixture *f;
        Result results[20];
        size_t n;
} Chain;

static void start_next(Result *result) {
        Chain *chain = result->userdata;

        bytes_done(&result->body);
        if (++chain->n == ELEMENTSOF(chain->results))
                return;

        chain->results[chain->n] = (Result){ .then = start_next, .userdata = chain };
        get(chain->f, "/next", &chain->results[chain->n]);
}

static void test_start_in_callback(void **state) {
        Chain chain = { .f = *state, .results = { { .then = start_next, .userdata = &chain } } };

        get(*state, "/first", &chain.results[0]);
        while (chain.n < ELEMENTSOF(chain.results))
                assert_true(loop_turn(chain.f->event, UINT64_MAX) >= 0);
        for (size_t i = 0; i < chain.n; i++)
                assert_int_equal(chain.results[i].status, 200);
        assert_int_equal(http_server_accepted(chain.f->server), 1);
}

/* The web server of a small device at home (the address is that of this machine, but not its loopback) is free for
 * others between our polls. */
static void test_small_server_is_let_go(void **state) {
        Fixture *f = *state;

        for (unsigned i = 1; i < 3; i++) {
                Result result = {};
                char url[300];
                HttpSpec spec = fixture_spec(f, "/", url);

                (void) snprintf(url, sizeof(url), "http://0.0.0.0:%u/", http_server_port(f->server));
                fixture_start(f, &spec, &result);
                fixture_run(f, &result);
                assert_int_equal(result.outcome, HTTP_ANSWERED);
                assert_int_equal(http_server_accepted(f->server), i);
                bytes_done(&result.body);
        }
}

/* The server closes a connection that looked kept alive: the next request goes out again on a fresh one. */
static void test_kept_connection_dies(void **state) {
        Fixture *f = *state;

        for (int i = 0; i < 10; i++) {
                Result result = {};

                fixture_get(f, "/once", &result);
                assert_int_equal(result.outcome, HTTP_ANSWERED);
                bytes_done(&result.body);
        }
        assert_int_equal(http_server_accepted(f->server), 10);
}

/* What comes on a connection that nobody uses is no answer to the next request on it. */
static void check_answered_twice(Fixture *f, bool busy) {
        Result first = {}, second = {}, third = {};

        get(f, "/twice", &first);
        fixture_run(f, &first);
        assert_string_equal(first.body.data, "/twice");
        if (busy)
                (void) usleep(200000);
        for (int i = 0; !busy && i < 20; i++)
                assert_true(loop_turn(f->event, 10 * USEC_PER_MSEC) >= 0);
        get(f, "/second", &second);
        fixture_run(f, &second);
        assert_int_equal(second.outcome, HTTP_ANSWERED);
        assert_string_equal(second.body.data, "/second");
        get(f, "/third", &third);
        fixture_run(f, &third);
        assert_string_equal(third.body.data, "/third");
        assert_int_equal(http_server_accepted(f->server), 2); /* the second connection is kept */
        bytes_done(&first.body);
        bytes_done(&second.body);
        bytes_done(&third.body);
}

static void test_answered_twice(void **state) {
        check_answered_twice(*state, false);
}

/* The second answer and the next request find each other in one turn of the loop. */
static void test_answered_twice_while_busy(void **state) {
        check_answered_twice(*state, true);
}

static void test_name_missing(void **state) {
        Fixture *f = *state;
        Result result = {};
        char url[300];
        HttpSpec spec = fixture_spec(f, "/", url);

        spec.url = "http://missing.test/";
        fixture_start(f, &spec, &result);
        fixture_run(f, &result);
        assert_int_equal(result.outcome, HTTP_UNREACHABLE);
        assert_string_equal(result.detail, "name not found (or DNS is down)");
}

static void wait_for_resolver(Fixture *f) {
        while (sem_trywait(&resolving) < 0)
                assert_true(loop_turn(f->event, 1000) >= 0);
}

/* A hanging resolver holds up neither other requests nor the end of its own, and not even the end of the whole client.
 */
static void test_slow_resolver(void **state) {
        Fixture *f = *state;
        Result slow = {}, late = {}, other = {};
        char url[300];
        HttpSpec spec = fixture_spec(f, "/", url);

        spec.url = "http://slow.test/";
        fixture_start(f, &spec, &slow);
        wait_for_resolver(f);
        get(f, "/other", &other);
        fixture_run(f, &other);
        bytes_done(&other.body);
        slow.request = http_cancel(slow.request);

        spec.timeout = 100 * USEC_PER_MSEC;
        fixture_start(f, &spec, &late);
        fixture_run(f, &late);
        assert_int_equal(late.outcome, HTTP_UNREACHABLE);
        assert_string_equal(late.detail, "name not resolved within 100 ms");

        fixture_start(f, &spec, &slow);
        wait_for_resolver(f);
        slow.request = http_cancel(slow.request);
        f->http = http_free(f->http);
        for (int i = 0; i < 3; i++)
                (void) sem_post(&go_on);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_parallel, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cancel_in_flight, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cancel_at_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cancel_in_callback, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cancel_of_those_that_ended_too, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cancel_itself, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_start_in_callback, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_small_server_is_let_go, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_kept_connection_dies, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answered_twice, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answered_twice_while_busy, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_name_missing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_slow_resolver, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
