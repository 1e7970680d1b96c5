/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "events.h"
#include "http-server.h"
#include "lib/loop.h"
#include "lib/err.h"
#include "sources/nature-remo.h"
#include "types.h"

#define PATIENCE (20 * USEC_PER_SEC)
#define TWO_DEVICES "[{\"id\":\"a\",\"name\":\"A\",\"newest_events\":{\"te\":{\"val\":1.0}}},{\"id\":\"b\"}]"

/* ---- an API that answers what the test says, and a taker that stores or refuses ---- */

typedef struct Fixture {
        Loop *event;
        Http *http;
        HttpServer *server;
        pthread_mutex_t lock; /* of the next three: the server answers on its own thread */
        int status;
        char headers[300], body[600];
        const char *meters; /* the body of /1/appliances */
        char bearer[100], path[100];

        SourceConfig config;
        NatureRemoConfig keys;
        SourceHost host;
        Secrets *secrets;
        char url[64];
        Source *source;
        bool may_poll;
        int store_error; /* what store answers */
        unsigned handed, stored;
        char first_key[200], key[200], payload[600]; /* of the first reading: ever handed over, and of the last batch */
        unsigned changes;
        char wait[32]; /* what the source remembers of a rate limit */
} Fixture;

static bool answer(void *userdata, HttpServerConnection *connection, const HttpServerCall *call) {
        Fixture *f = userdata;
        char headers[300], body[600];
        int status;

        pthread_mutex_lock(&f->lock);
        status = f->status;
        (void) strcpy(headers, f->headers);
        (void) strcpy(body, strcmp(call->path, "/1/appliances") == 0 ? f->meters : f->body);
        (void) snprintf(f->path, sizeof(f->path), "%s %.80s", call->method, call->path);
        if (!http_server_header(call, "Authorization", f->bearer, sizeof(f->bearer)))
                f->bearer[0] = '\0';
        pthread_mutex_unlock(&f->lock);
        http_server_reply(connection, status, headers, body);
        return true;
}

static void set_answer(Fixture *f, int status, const char *headers, const char *body) {
        pthread_mutex_lock(&f->lock);
        f->status = status;
        (void) snprintf(f->headers, sizeof(f->headers), "%s", headers);
        (void) snprintf(f->body, sizeof(f->body), "%s", body);
        pthread_mutex_unlock(&f->lock);
}

static unsigned short_of_memory; /* so many puts of readings fail */
int __real_source_put(Source *source, ReadingList *readings);
int __wrap_source_put(Source *source, ReadingList *readings);

int __wrap_source_put(Source *source, ReadingList *readings) {
        if (short_of_memory == 0 || readings->n == 0)
                return __real_source_put(source, readings);
        short_of_memory--;
        return -ENOMEM;
}

static bool has_room(void *userdata, uint64_t rows, uint64_t bytes) {
        return ((Fixture *) userdata)->may_poll;
}

static int store(void *userdata, const Source *source, const ReadingList *readings, size_t *ret_repeats) {
        Fixture *f = userdata;

        if (readings->cursor) {
                assert_string_equal(readings->source, "home/wait");
                (void) snprintf(f->wait, sizeof(f->wait), "%s", readings->cursor);
                return 0;
        }
        assert_true(readings->n > 0);
        if (f->handed++ == 0)
                (void) snprintf(f->first_key, sizeof(f->first_key), "%s", readings->items[0].key);
        (void) snprintf(f->key, sizeof(f->key), "%s", readings->items[0].key);
        (void) snprintf(f->payload, sizeof(f->payload), "%s", readings->items[0].payload.data);
        if (f->store_error == 0)
                f->stored += (unsigned) readings->n;
        return f->store_error;
}

static int cursor(void *userdata, const char *name, Bytes *ret) {
        Fixture *f = userdata;

        return strcmp(name, "home/wait") == 0 ? bytes_append_text(ret, f->wait) : 0;
}

static void on_change(void *userdata) {
        ((Fixture *) userdata)->changes++;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));
        static char name[] = "home", token_file[] = "nature-remo.token", token[] = "secret-token";

        assert_non_null(f);
        (void) signal(SIGPIPE, SIG_IGN);
        pthread_mutex_init(&f->lock, NULL);
        assert_true(loop_new(&f->event) >= 0);
        assert_int_equal(http_new(f->event, "test/1", &f->http), 0);
        f->server = http_server_new(answer, f);
        (void) snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u", http_server_port(f->server));
        f->config =
                (SourceConfig){ .name = name, .type = "nature_remo", .keys = &f->keys, .interval = 50 * USEC_PER_MSEC };
        f->keys = (NatureRemoConfig){ .token = { token_file, token }, .url = f->url };
        f->may_poll = true;
        f->meters = "no JSON";
        set_answer(f, 200, "", TWO_DEVICES);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        source_free(f->source);
        secrets_free(f->secrets);
        http_free(f->http);
        loop_free(f->event);
        http_server_free(f->server);
        pthread_mutex_destroy(&f->lock);
        free(f);
        return 0;
}

static void start(Fixture *f, bool manual) {
        f->host = (SourceHost){ .means = { f->event, f->http },
                .manual = manual,
                .has_room = has_room,
                .store = store,
                .cursor = cursor,
                .on_change = on_change,
                .userdata = f };
        assert_int_equal(source_new(&f->host, types_source(f->config.type), &f->config, &f->source), 0);
}

static SourceStatus status_of(Fixture *f) {
        SourceStatus status;
        source_status(f->source, &status);
        return status;
}

/* Runs the loop until *condition* holds. */
#define RUN_UNTIL(f, condition)                                                                                        \
        do {                                                                                                           \
                usec_t begin = clock_now();                                                                            \
                while (!(condition)) {                                                                                 \
                        assert_true(clock_now() - begin < PATIENCE);                                                   \
                        assert_true(loop_turn((f)->event, USEC_PER_SEC) >= 0);                                         \
                }                                                                                                      \
        } while (0)

/* ---- polls ---- */

static void test_polls_and_hands_over(void **state) {
        Fixture *f = *state;

        start(f, false);
        RUN_UNTIL(f, f->stored >= 6); /* three polls */
        SourceStatus status = status_of(f);
        assert_true(status.polls >= 3);
        assert_int_equal(status.readings, f->stored);
        assert_false(status.failure.on);
        assert_string_equal(status.failure.detail, "");
        assert_true(status.last_poll > 0);
        assert_true(f->changes > 0);
        pthread_mutex_lock(&f->lock);
        assert_string_equal(f->path, "GET /1/devices"); /* the slash at the end of url is not doubled */
        assert_string_equal(f->bearer, "Bearer secret-token");
        pthread_mutex_unlock(&f->lock);
        assert_string_not_equal(f->first_key, f->key); /* each poll's readings are their own */
        assert_non_null(
                strstr(f->payload, "{\"name\":\"A\",\"newest_events\":{\"te\":{\"val\":1.0}},\"request_at\":\"2"));
}

/* P7: what the disk refuses stays in memory and is tried again, the same; nothing is polled meanwhile. */
static void test_disk_refuses(void **state) {
        Fixture *f = *state;

        f->store_error = -ENOSPC;
        start(f, false);
        RUN_UNTIL(f, f->handed >= 2);
        assert_true(status_of(f).holding);
        assert_true(source_is_busy(f->source));
        assert_int_equal(http_server_calls(f->server), 1);
        assert_string_equal(f->first_key, f->key);
        f->store_error = 0;
        RUN_UNTIL(f, f->stored > 0);
        assert_string_equal(f->first_key, f->key);
        assert_false(status_of(f).holding);
        RUN_UNTIL(f, f->stored > 2); /* polling goes on */
}

/* An outbox that says "full" (a positive outcome) has not stored anything either. */
static void test_full_is_not_stored(void **state) {
        Fixture *f = *state;

        f->store_error = 1;
        start(f, false);
        RUN_UNTIL(f, f->handed >= 1);
        assert_true(status_of(f).holding);
}

static void test_last_chance(void **state) {
        Fixture *f = *state;

        f->store_error = -EIO;
        start(f, false);
        RUN_UNTIL(f, f->handed >= 1);
        f->store_error = 0;
        f->source = source_free(f->source);
        assert_int_equal(f->stored, 2);
        assert_string_equal(f->first_key, f->key);
}

static void test_lost_at_the_end_is_said(void **state) {
        Fixture *f = *state;
        Capture c;

        f->store_error = -EIO;
        start(f, false);
        RUN_UNTIL(f, f->handed >= 1);
        c = capture_begin();
        f->source = source_free(f->source);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_non_null(strstr(log, "2 readings"));
}

static void test_no_room(void **state) {
        Fixture *f = *state;
        usec_t begun = clock_now();

        f->may_poll = false;
        start(f, false);
        assert_int_equal(status_of(f).next_rows, 1);
        assert_true(loop_turn(f->event, USEC_PER_SEC) >= 0);
        assert_int_equal(http_server_calls(f->server), 0);
        assert_in_range(status_of(f).next_poll, begun + USEC_PER_SEC / 10, clock_now() + USEC_PER_SEC);
        assert_true(status_of(f).gated);
        f->may_poll = true;
        RUN_UNTIL(f, f->stored >= 2);
        assert_false(status_of(f).gated);
        assert_int_equal(status_of(f).next_rows, 2); /* now it knows */
        assert_true(status_of(f).next_bytes > 100);
}

static void test_empty_list(void **state) {
        Fixture *f = *state;

        set_answer(f, 200, "", "[]");
        start(f, false);
        RUN_UNTIL(f, status_of(f).polls >= 2);
        assert_false(status_of(f).failure.on);
        assert_int_equal(f->handed, 0);
}

/* Smart meters are a second request of the same poll; that it fails does not touch what the first one brought. */
static void test_energy(void **state) {
        Fixture *f = *state;

        f->keys.energy = true;
        f->meters =
                "[{\"id\":\"m\",\"type\":\"EL_SMART_METER\",\"smart_meter\":{\"echonetlite_properties\":[{\"epc\":231,\"val\":\"52\"}]}}]";
        start(f, true);
        assert_int_equal(source_poll_now(f->source), 0);
        RUN_UNTIL(f, !source_is_busy(f->source));
        assert_int_equal(f->stored, 3);
        assert_int_equal(http_server_calls(f->server), 2);
        assert_non_null(strstr(f->payload, "\"power_w\":52"));
        assert_non_null(strstr(status_of(f).answer, "2 devices"));

        f->meters = "no JSON";
        assert_int_equal(source_poll_now(f->source), 0);
        RUN_UNTIL(f, !source_is_busy(f->source));
        assert_int_equal(f->stored, 5);
        assert_non_null(strstr(status_of(f).failure.detail, "not a JSON list of appliances"));
}

/* What is left out of one of the two answers is said once, however well the other can be read. */
static void test_left_out_is_said_once(void **state) {
        Fixture *f = *state;
        Capture c;

        f->keys.energy = true;
        f->meters = "[]";
        set_answer(f, 200, "", "[{\"id\":\"a\"},{\"name\":\"no id\"}]");
        c = capture_begin();
        start(f, false);
        RUN_UNTIL(f, status_of(f).polls >= 4);
        f->source = source_free(f->source);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, "cannot be read and are left out"), 1);
}

static void test_on_change(void **state) {
        Fixture *f = *state;

        f->keys.on_change = true;
        start(f, false);
        RUN_UNTIL(f, status_of(f).polls >= 4);
        assert_int_equal(f->stored, 2);
        set_answer(
                f, 200, "", "[{\"id\":\"a\",\"name\":\"A\",\"newest_events\":{\"te\":{\"val\":2.0}}},{\"id\":\"b\"}]");
        RUN_UNTIL(f, f->stored > 2);
        assert_int_equal(f->stored, 3);
        short_of_memory = 1; /* what changed comes with the next poll, and all others with it */
        set_answer(
                f, 200, "", "[{\"id\":\"a\",\"name\":\"A\",\"newest_events\":{\"te\":{\"val\":3.0}}},{\"id\":\"b\"}]");
        RUN_UNTIL(f, f->stored > 3);
        assert_int_equal(f->stored, 5);
}

/* ---- failures ---- */

static void check_failure(
        Fixture *f, int status, const char *headers, const char *part_of_detail, usec_t least, usec_t most) {
        usec_t begun = clock_now();

        f->wait[0] = '\0';
        set_answer(f, status, headers, "<html>no JSON</html>");
        start(f, false);
        RUN_UNTIL(f, status_of(f).failures >= 1);
        SourceStatus now = status_of(f);
        assert_true(now.failure.on);
        assert_true(now.failure.since > 0);
        if (!strstr(now.failure.detail, part_of_detail))
                fail_msg("%d: %s", status, now.failure.detail);
        assert_null(strstr(now.failure.detail, "secret-token")); /* P10 */
        assert_in_range(now.next_poll, begun + least - USEC_PER_SEC, clock_now() + most);
        f->source = source_free(f->source);
}

static void test_failures(void **state) {
        Fixture *f = *state;
        char reset[100];

        f->config.interval = 10 * USEC_PER_SEC;
        check_failure(f, 401, "", "nature-remo.token", 300 * USEC_PER_SEC, 300 * USEC_PER_SEC);
        check_failure(f, 403, "", "something between here and Nature Remo answers (403)", 300 * USEC_PER_SEC,
                300 * USEC_PER_SEC);
        check_failure(f, 407, "", "something between", 300 * USEC_PER_SEC, 300 * USEC_PER_SEC);
        check_failure(f, 404, "", "url", 300 * USEC_PER_SEC, 300 * USEC_PER_SEC);
        check_failure(f, 301, "Location: http://example.com/\r\n", "url", 300 * USEC_PER_SEC, 300 * USEC_PER_SEC);
        check_failure(f, 500, "", "500", 9 * USEC_PER_SEC, 10 * USEC_PER_SEC);
        check_failure(f, 503, "Retry-After: 42\r\n", "503", 42 * USEC_PER_SEC, 42 * USEC_PER_SEC);
        check_failure(f, 502, "", "502", 9 * USEC_PER_SEC, 10 * USEC_PER_SEC);
        check_failure(f, 200, "", "not a JSON list", 9 * USEC_PER_SEC, 10 * USEC_PER_SEC);
        check_failure(f, 429, "", "rate limit", 300 * USEC_PER_SEC,
                300 * USEC_PER_SEC); /* the window, when nothing tells its end */
        check_failure(f, 429, "Retry-After: 42\r\n", "rate limit", 42 * USEC_PER_SEC, 42 * USEC_PER_SEC);
        check_failure(f, 429, "Retry-After: 1\r\n", "rate limit", 10 * USEC_PER_SEC,
                10 * USEC_PER_SEC); /* never less than the interval */
        (void) snprintf(reset, sizeof(reset), "X-Rate-Limit-Reset: %" PRIu64 "\r\n", clock_wall() / USEC_PER_SEC + 100);
        check_failure(f, 429, reset, "rate limit", 100 * USEC_PER_SEC, 101 * USEC_PER_SEC);
        f->wait[0] = '\0';
        set_answer(f, 403, "", "{\"code\":403001}"); /* its own */
        start(f, false);
        RUN_UNTIL(f, status_of(f).failures >= 1);
        assert_non_null(strstr(status_of(f).failure.detail, "nature-remo.token"));
}

/* A rate limit outlives a restart; neither the daemon nor `once` asks before it is over. */
static void test_limit_is_remembered(void **state) {
        Fixture *f = *state;
        unsigned calls;

        f->config.interval = 10 * USEC_PER_SEC;
        check_failure(f, 429, "Retry-After: 42\r\n", "rate limit", 42 * USEC_PER_SEC, 42 * USEC_PER_SEC);
        assert_in_range(
                strtoull(f->wait, NULL, 10), clock_wall() / USEC_PER_SEC + 38, clock_wall() / USEC_PER_SEC + 42);
        calls = http_server_calls(f->server);
        start(f, false);
        assert_in_range(status_of(f).next_poll, clock_now() + 37 * USEC_PER_SEC, clock_now() + 42 * USEC_PER_SEC);
        assert_true(status_of(f).limited);
        f->source = source_free(f->source);
        start(f, true);
        assert_int_equal(source_poll_now(f->source), 0);
        assert_false(source_is_busy(f->source));
        assert_true(status_of(f).failure.on);
        assert_int_equal(http_server_calls(f->server), calls);
        f->source = source_free(f->source);

        (void) snprintf(f->wait, sizeof(f->wait), "%" PRIu64, clock_wall() / USEC_PER_SEC - 1); /* over, or nonsense */
        start(f, false);
        assert_true(status_of(f).next_poll <= clock_now());
        assert_false(status_of(f).limited);
}

static void test_unreachable(void **state) {
        Fixture *f = *state;

        (void) snprintf(f->url, sizeof(f->url), "http://127.0.0.1:1");
        f->config.interval = 10 * USEC_PER_SEC;
        start(f, false);
        RUN_UNTIL(f, status_of(f).failures >= 1);
        assert_true(status_of(f).failure.detail[0] != '\0');
        assert_in_range(status_of(f).next_poll, clock_now() + 8 * USEC_PER_SEC, clock_now() + 10 * USEC_PER_SEC);
        assert_false(status_of(f).limited);
        f->source = source_free(f->source);
        f->config.interval = 24 * USEC_PER_HOUR; /* no reading of a day is lost to a minute without network */
        start(f, false);
        RUN_UNTIL(f, status_of(f).failures >= 1);
        assert_in_range(status_of(f).next_poll, clock_now() + 58 * USEC_PER_SEC, clock_now() + USEC_PER_MINUTE);
}

/* A reserve is left for the account's other clients although the poll went well. */
static void test_reserve(void **state) {
        Fixture *f = *state;
        char headers[200];

        (void) snprintf(headers, sizeof(headers),
                "X-Rate-Limit-Limit: 30\r\nX-Rate-Limit-Remaining: 9\r\nX-Rate-Limit-Reset: %" PRIu64 "\r\n",
                clock_wall() / USEC_PER_SEC + 100);
        set_answer(f, 200, headers, TWO_DEVICES);
        start(f, false);
        RUN_UNTIL(f, f->stored >= 2);
        assert_false(status_of(f).failure.on);
        assert_in_range(status_of(f).next_poll, clock_now() + 98 * USEC_PER_SEC, clock_now() + 102 * USEC_PER_SEC);
        assert_true(status_of(f).limited);
}

/* One line when it begins, one when it ends, however often it failed between; one more when only a user can mend it. A
 * single failure between two good answers is not worth a line. */
static void test_said_once(void **state) {
        Fixture *f = *state;
        Capture c = capture_begin();

        set_answer(f, 503, "", "");
        start(f, false);
        RUN_UNTIL(f, status_of(f).failures >= 4);
        set_answer(f, 200, "", TWO_DEVICES);
        RUN_UNTIL(f, f->stored >= 2);
        set_answer(f, 503, "", "");
        RUN_UNTIL(f, status_of(f).failure.on);
        set_answer(f, 401, "", "");
        RUN_UNTIL(f, strstr(status_of(f).failure.detail, "401"));
        char *log = capture_end(&c);
        unsigned again = (unsigned) status_of(f).failures - 5 >= 2; /* the second 503 may have come twice */
        assert_in_range(count_of(log, EVENT_SOURCE_FAILING), 2, 2 + again);
        assert_int_equal(count_of(log, EVENT_SOURCE_RECOVERED), 1);
        assert_null(strstr(log, "secret-token")); /* P10 */
}

static void test_single_failure_is_not_said(void **state) {
        Fixture *f = *state;
        Capture c = capture_begin();

        f->config.interval = USEC_PER_MINUTE; /* none by itself, in the midst of those */
        start(f, true);
        f->host.manual = false; /* polled by hand, but failures are told as in the daemon */
        for (int i = 0; i < 3; i++) {
                set_answer(f, i == 1 ? 503 : 200, "", TWO_DEVICES);
                assert_int_equal(source_poll_now(f->source), 0);
                RUN_UNTIL(f, !source_is_busy(f->source));
                assert_int_equal(status_of(f).failure.on, i == 1);
        }
        assert_int_equal(status_of(f).failures, 1);
        assert_null(strstr(capture_end(&c), "Source home"));
}

/* The token in the remote's words goes nowhere. */
static void test_echoed_secret(void **state) {
        Fixture *f = *state;
        SourcePoll poll = { .outcome = SOURCE_UNREACHABLE, .detail = "it says: bad token secret-token!" };

        start(f, true);
        assert_int_equal(secrets_new(&f->secrets), 0);
        assert_int_equal(secrets_note(f->secrets, "secret-token"), 0);
        f->host.means.secrets = f->secrets;
        source_tell(f->source, &poll, 0);
        assert_null(strstr(status_of(f).failure.detail, "secret-token"));
        assert_non_null(strstr(status_of(f).failure.detail, "bad token"));
}

/* An account without a device is said once, and again when it is so again. */
static void test_no_device_is_said(void **state) {
        Fixture *f = *state;
        Capture c = capture_begin();

        set_answer(f, 200, "", "[]");
        start(f, false);
        RUN_UNTIL(f, status_of(f).polls >= 4);
        assert_true(status_of(f).odd);
        set_answer(f, 200, "", TWO_DEVICES);
        RUN_UNTIL(f, f->stored > 0);
        assert_false(status_of(f).odd);
        set_answer(f, 200, "", "[]");
        RUN_UNTIL(f, status_of(f).odd);
        assert_int_equal(count_of(capture_end(&c), EVENT_CONFIG_WARNING), 2);
}

/* ---- the clock ---- */

static void date_header(char *header, size_t size, int64_t offset_sec) {
        time_t then = (time_t) ((int64_t) (clock_wall() / USEC_PER_SEC) + offset_sec);
        struct tm tm;
        assert_true(strftime(header, size, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime_r(&then, &tm)) > 0);
}

static int64_t request_at_of(const char *payload) {
        const char *at = strstr(payload, "\"request_at\":\"");
        int64_t msec;
        assert_non_null(at);
        at += strlen("\"request_at\":\"");
        assert_true(clock_parse_rfc3339(at, (size_t) (strchr(at, '"') - at), &msec));
        return msec;
}

static void test_clock(void **state) {
        Fixture *f = *state;
        Capture c = capture_begin();
        char header[100];
        unsigned stored;

        date_header(header, sizeof(header), 3600);
        set_answer(f, 200, header, TWO_DEVICES);
        start(f, false);
        RUN_UNTIL(f, f->stored >= 4);
        int64_t ahead = request_at_of(f->payload) - (int64_t) (clock_wall() / USEC_PER_MSEC);
        assert_in_range(ahead, 3600000 - 20000, 3600000 + 20000);
        ahead = (int64_t) (status_of(f).true_start + clock_now() - clock_wall());
        assert_in_range(ahead, 3580 * USEC_PER_SEC, 3620 * USEC_PER_SEC);

        date_header(header, sizeof(header), 20); /* too little to say anything */
        set_answer(f, 200, header, TWO_DEVICES);
        stored = f->stored;
        RUN_UNTIL(f, f->stored >= stored + 4);
        ahead = request_at_of(f->payload) - (int64_t) (clock_wall() / USEC_PER_MSEC);
        assert_true(ahead > -20000 && ahead <= 0);
        assert_int_equal(status_of(f).true_start, 0);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_CLOCK_WRONG), 1);
        assert_int_equal(count_of(log, EVENT_CLOCK_RIGHT), 1);
}

/* ---- once ---- */

static void test_manual(void **state) {
        Fixture *f = *state;

        start(f, true);
        assert_int_equal(loop_turn(f->event, 100 * USEC_PER_MSEC), 0);
        assert_int_equal(source_poll_now(f->source), 0);
        assert_int_equal(source_poll_now(f->source), -EBUSY);
        assert_true(source_is_busy(f->source));
        RUN_UNTIL(f, !source_is_busy(f->source));
        assert_int_equal(f->stored, 2);
        f->may_poll = false;
        assert_int_equal(source_poll_now(f->source), 0);
        assert_false(source_is_busy(f->source));
        assert_true(status_of(f).failure.on);
        assert_int_equal(http_server_calls(f->server), 1);
}

/* What is under way ends, well or not; nothing follows. */
static void test_retire_while_polling(void **state) {
        static const struct {
                int status;
                unsigned stored;
        } rows[] = { { 200, 2 }, { 503, 0 } };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                unsigned calls = http_server_calls(f->server);

                f->stored = 0;
                set_answer(f, rows[i].status, "", TWO_DEVICES);
                start(f, false);
                RUN_UNTIL(f, source_is_busy(f->source));
                source_retire(f->source);
                RUN_UNTIL(f, !source_is_busy(f->source));
                assert_int_equal(f->stored, rows[i].stored);
                assert_int_equal(loop_turn(f->event, 200 * USEC_PER_MSEC), 0);
                assert_int_equal(http_server_calls(f->server), calls + 1);
                f->source = source_free(f->source);
        }
}

/* Readings that wait for the disk go on waiting; without any, there is no poll either. */
static void test_retire_otherwise(void **state) {
        Fixture *f = *state;

        f->store_error = -ENOSPC;
        start(f, false);
        RUN_UNTIL(f, f->handed >= 1);
        source_retire(f->source);
        assert_true(source_is_busy(f->source));
        f->store_error = 0;
        RUN_UNTIL(f, !source_is_busy(f->source));
        assert_int_equal(f->stored, 2);
        f->source = source_free(f->source);

        start(f, false);
        source_retire(f->source);
        assert_false(source_is_busy(f->source));
        assert_int_equal(loop_turn(f->event, 200 * USEC_PER_MSEC), 0);
        assert_int_equal(http_server_calls(f->server), 1);
}

static void test_free_while_polling(void **state) {
        Fixture *f = *state;

        start(f, true);
        assert_int_equal(source_poll_now(f->source), 0);
        assert_true(loop_turn(f->event, 0) >= 0);
        f->source = source_free(f->source);
        assert_int_equal(f->handed, 0);
}

/* ---- decisions ---- */

static void test_slots(void **state) {
        assert_int_equal(source_next_slot(1000, 60, 900), 1000);
        assert_int_equal(source_next_slot(1000, 60, 1000), 1060);
        assert_int_equal(source_next_slot(1000, 60, 1059), 1060);
        assert_int_equal(source_next_slot(1000, 60, 10000), 10060); /* a long sleep: missed ones are not made up for */
}

static void test_next_poll(void **state) {
        usec_t s = USEC_PER_SEC, now = 10000 * s;

        assert_int_equal(
                source_next_poll(&(SourcePoll){ .outcome = SOURCE_POLLED }, now + 5 * s, 60 * s, now), now + 5 * s);
        assert_int_equal(source_next_poll(&(SourcePoll){ .outcome = SOURCE_UNREACHABLE }, now + 5 * s, 60 * s, now),
                now + 5 * s);
        assert_int_equal(source_next_poll(&(SourcePoll){ .outcome = SOURCE_POLLED, .not_before = now + 90 * s },
                                 now + 5 * s, 60 * s, now),
                now + 90 * s);
        assert_int_equal(
                source_next_poll(&(SourcePoll){ .outcome = SOURCE_LIMITED }, now + 5 * s, 60 * s, now), now + 60 * s);
        assert_int_equal(
                source_next_poll(&(SourcePoll){ .outcome = SOURCE_REFUSED }, now + 5 * s, 60 * s, now), now + 300 * s);
        assert_int_equal(source_next_poll(&(SourcePoll){ .outcome = SOURCE_REFUSED }, now + 5 * s, 3600 * s, now),
                now + 3600 * s);
        assert_int_equal(source_next_poll(&(SourcePoll){ .outcome = SOURCE_LIMITED, .not_before = USEC_INFINITY },
                                 now + 5 * s, 60 * s, now),
                now + 3600 * s);
}

static void test_types(void **state) {
        const SourceType *type = types_source("nature_remo");

        assert_string_equal(type->keys->name, "nature_remo");
        assert_null(types_source("nature-remo"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_polls_and_hands_over),
                TEST(test_disk_refuses),
                TEST(test_full_is_not_stored),
                TEST(test_last_chance),
                TEST(test_lost_at_the_end_is_said),
                TEST(test_no_room),
                TEST(test_empty_list),
                TEST(test_energy),
                TEST(test_left_out_is_said_once),
                TEST(test_on_change),
                TEST(test_failures),
                TEST(test_limit_is_remembered),
                TEST(test_unreachable),
                TEST(test_reserve),
                TEST(test_said_once),
                TEST(test_single_failure_is_not_said),
                TEST(test_echoed_secret),
                TEST(test_no_device_is_said),
                TEST(test_clock),
                TEST(test_manual),
                TEST(test_retire_while_polling),
                TEST(test_retire_otherwise),
                TEST(test_free_while_polling),
                cmocka_unit_test(test_slots),
                cmocka_unit_test(test_next_poll),
                cmocka_unit_test(test_types),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
