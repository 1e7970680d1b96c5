/* SPDX-License-Identifier: Apache-2.0 */
/* Many requests on one connection, as with Google's servers. The server knows as much of HTTP/2 (RFC 9113) as is
 * needed: it counts requests and does with each what a script says, a letter for each request in the order in which
 * they end. */
#include "http-fixture.h"

#include <pthread.h>

#define BIG (300 * 1024)

enum {
        FRAME_DATA = 0,
        FRAME_HEADERS = 1,
        FRAME_RST_STREAM = 3,
        FRAME_SETTINGS = 4,
        FRAME_PING = 6,
        FRAME_GOAWAY = 7,
        FRAME_WINDOW_UPDATE = 8
};
enum { FLAG_ACK = 1, FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4 };

typedef struct H2Fixture {
        Fixture f;
        char directory[32], certificate[64];
        const char *script;    /* o: answer, h: hold, a: answer all that are held and this one, at once, r: reset, g:
                                  answer and go away, d:    drop the connection */
        pthread_mutex_t mutex; /* over the rest */
        unsigned n_calls;
        size_t n_body;
} H2Fixture;

typedef struct Connection {
        H2Fixture *h;
        HttpServerConnection *c;
        uint32_t held[64];
        size_t n_held;
        Bytes out;
} Connection;

static void put_frame(Connection *k, unsigned type, unsigned flags, uint32_t stream, const void *data, size_t size) {
        const unsigned char head[9] = {
                (unsigned char) (size >> 16),
                (unsigned char) (size >> 8),
                (unsigned char) size,
                (unsigned char) type,
                (unsigned char) flags,
                (unsigned char) (stream >> 24),
                (unsigned char) (stream >> 16),
                (unsigned char) (stream >> 8),
                (unsigned char) stream,
        };

        assert_int_equal(bytes_append(&k->out, head, sizeof(head)), 0);
        assert_int_equal(bytes_append(&k->out, data, size), 0);
}

static void flush(Connection *k) {
        http_server_send(k->c, k->out.data, k->out.size);
        bytes_done(&k->out);
}

static void put_answer(Connection *k, uint32_t stream) {
        put_frame(k, FRAME_HEADERS, FLAG_END_HEADERS, stream, "\x88", 1); /* :status 200, RFC 7541 appendix A */
        put_frame(k, FRAME_DATA, FLAG_END_STREAM, stream, "hello", 5);
}

/* False ends the connection. */
static bool do_as_scripted(Connection *k, uint32_t stream) {
        char what;

        (void) pthread_mutex_lock(&k->h->mutex);
        what = k->h->script[k->h->n_calls++];
        (void) pthread_mutex_unlock(&k->h->mutex);

        switch (what) {
        case 'h':
                k->held[k->n_held++] = stream;
                break;
        case 'a':
                while (k->n_held > 0)
                        put_answer(k, k->held[--k->n_held]);
                put_answer(k, stream);
                break;
        case 'r':
                put_frame(k, FRAME_RST_STREAM, 0, stream, "\0\0\0\2", 4); /* INTERNAL_ERROR */
                break;
        case 'g':
                put_frame(k, FRAME_GOAWAY, 0, 0, "\x7f\xff\xff\xff\0\0\0\0", 8);
                put_answer(k, stream);
                break;
        case 'd':
                return false;
        default:
                put_answer(k, stream);
        }
        return true;
}

static void take_data(Connection *k, uint32_t stream, size_t size) {
        const unsigned char increment[4] = { (unsigned char) (size >> 24), (unsigned char) (size >> 16),
                (unsigned char) (size >> 8), (unsigned char) size };

        if (size == 0)
                return;

        put_frame(k, FRAME_WINDOW_UPDATE, 0, 0, increment, 4);
        put_frame(k, FRAME_WINDOW_UPDATE, 0, stream, increment, 4);
        (void) pthread_mutex_lock(&k->h->mutex);
        k->h->n_body += size;
        (void) pthread_mutex_unlock(&k->h->mutex);
}

static bool serve_frame(Connection *k) {
        static const size_t max_frame = 16384;
        unsigned char head[9], payload[16384];
        uint32_t stream;
        size_t size;
        bool go_on = true;

        if (!http_server_receive(k->c, head, sizeof(head)))
                return false;

        size = (size_t) head[0] << 16 | (size_t) head[1] << 8 | head[2];
        stream = (uint32_t) (head[5] & 0x7f) << 24 | (uint32_t) head[6] << 16 | (uint32_t) head[7] << 8 | head[8];
        if (size > max_frame || !http_server_receive(k->c, payload, size))
                return false;

        if (head[3] == FRAME_DATA)
                take_data(k, stream, size);
        if (head[3] == FRAME_SETTINGS && !(head[4] & FLAG_ACK))
                put_frame(k, FRAME_SETTINGS, FLAG_ACK, 0, "", 0);
        if (head[3] == FRAME_PING && !(head[4] & FLAG_ACK))
                put_frame(k, FRAME_PING, FLAG_ACK, 0, payload, size);
        if ((head[3] == FRAME_DATA || head[3] == FRAME_HEADERS) && (head[4] & FLAG_END_STREAM))
                go_on = do_as_scripted(k, stream);
        flush(k);
        return go_on;
}

static void serve(void *userdata, HttpServerConnection *c) {
        Connection k = { .h = userdata, .c = c };
        char preface[24];

        if (!http_server_receive(c, preface, sizeof(preface)))
                return;

        put_frame(&k, FRAME_SETTINGS, 0, 0, "", 0);
        flush(&k);
        while (serve_frame(&k))
                ;
}

static int set_up(void **state) {
        static H2Fixture h;

        h = (H2Fixture){};
        (void) snprintf(h.directory, sizeof(h.directory), "/tmp/test-http2.XXXXXX");
        assert_non_null(mkdtemp(h.directory));
        (void) snprintf(h.certificate, sizeof(h.certificate), "%s/certificate.pem", h.directory);
        assert_int_equal(pthread_mutex_init(&h.mutex, NULL), 0);
        fixture_set_up(&h.f, NULL, NULL);
        *state = &h;
        return 0;
}

static void set_script(H2Fixture *h, const char *script) {
        h->script = script;
        h->f.server = http_server_new_h2(serve, h, h->certificate);
}

static int tear_down(void **state) {
        H2Fixture *h = *state;

        fixture_tear_down(&h->f);
        (void) pthread_mutex_destroy(&h->mutex);
        assert_int_equal(unlink(h->certificate), 0);
        assert_int_equal(rmdir(h->directory), 0);
        return 0;
}

static unsigned calls(H2Fixture *h) {
        unsigned n;

        (void) pthread_mutex_lock(&h->mutex);
        n = h->n_calls;
        (void) pthread_mutex_unlock(&h->mutex);
        return n;
}

static void start(H2Fixture *h, size_t body_size, Result *result) {
        char url[300];
        HttpSpec spec = fixture_spec(&h->f, "/", url);

        (void) snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http_server_port(h->f.server));
        spec.ca_file = h->certificate;
        if (body_size > 0) {
                spec.method = "POST";
                assert_int_equal(bytes_reserve(&spec.body, body_size), 0);
                memset(spec.body.data, 'x', body_size);
                spec.body.size = body_size;
        }
        *result = (Result){};
        fixture_start(&h->f, &spec, result);
}

/* Until the server has the whole of it, so that the script's letters fall where the test means them. */
static void start_and_arrive(H2Fixture *h, Result *result) {
        unsigned before = calls(h);

        start(h, 0, result);
        while (calls(h) == before)
                assert_true(loop_turn(h->f.event, 1000) >= 0);
}

static void expect(H2Fixture *h, Result *result, HttpOutcome outcome, const char *detail) {
        fixture_run(&h->f, result);
        assert_string_equal(result->detail, detail);
        assert_int_equal(result->outcome, outcome);
        if (outcome == HTTP_ANSWERED)
                assert_string_equal(result->body.data, "hello");
        bytes_done(&result->body);
}

static void get(H2Fixture *h, size_t body_size) {
        Result result;

        start(h, body_size, &result);
        expect(h, &result, HTTP_ANSWERED, "HTTP 200");
}

static void test_answers_come_together(void **state) {
        H2Fixture *h = *state;
        Result results[20];

        set_script(h, "ohhhhhhhhhhhhhhhhhhha");
        get(h, 0);
        for (size_t i = 0; i < ELEMENTSOF(results); i++)
                start(h, 0, &results[i]);
        for (size_t i = 0; i < ELEMENTSOF(results); i++)
                expect(h, &results[i], HTTP_ANSWERED, "HTTP 200");
        assert_int_equal(http_server_accepted(h->f.server), 1);
}

/* A pull hangs while publishes go out beside it. (Handles that had been kept for the next request could not be used
 * again then.) */
static void test_beside_a_hanging_request(void **state) {
        H2Fixture *h = *state;
        Result hanging;

        set_script(h, "ohooooooooooooooooooooa");
        get(h, 0);
        start_and_arrive(h, &hanging);
        for (int i = 0; i < 20; i++)
                get(h, i % 4 == 0 ? BIG : 10);
        assert_false(hanging.done);
        get(h, 0);
        expect(h, &hanging, HTTP_ANSWERED, "HTTP 200");
        assert_int_equal(h->n_body, 5 * BIG + 15 * 10);
        assert_int_equal(http_server_accepted(h->f.server), 1);
}

static void test_cancel_one(void **state) {
        H2Fixture *h = *state;
        Result dropped, other;

        set_script(h, "ohhoa");
        get(h, 0);
        start_and_arrive(h, &dropped);
        start_and_arrive(h, &other);
        dropped.request = http_cancel(dropped.request);
        get(h, 0);
        assert_false(other.done);
        get(h, 0);
        expect(h, &other, HTTP_ANSWERED, "HTTP 200");
        assert_false(dropped.done);
        assert_int_equal(http_server_accepted(h->f.server), 1);
}

static void test_reset(void **state) {
        H2Fixture *h = *state;
        Result result;

        set_script(h, "oro");
        get(h, 0);
        start(h, 0, &result);
        expect(h, &result, HTTP_CUT, "HTTP/2 stream broken off");
        get(h, 0);
        assert_int_equal(http_server_accepted(h->f.server), 1);
}

static void test_go_away(void **state) {
        H2Fixture *h = *state;

        set_script(h, "ogoo");
        for (int i = 0; i < 4; i++)
                get(h, 0);
        assert_int_equal(http_server_accepted(h->f.server), 2);
}

static void test_timeout_of_one(void **state) {
        H2Fixture *h = *state;
        Result hanging, late;
        char url[300];
        HttpSpec spec;

        set_script(h, "ohhoooooooooooooooooooooooooooooooooooooooooooooooo");
        get(h, 0);
        start_and_arrive(h, &hanging);
        spec = fixture_spec(&h->f, "/", url);
        (void) snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http_server_port(h->f.server));
        spec.ca_file = h->certificate;
        spec.timeout = 3 * USEC_PER_SEC; /* it must have got there: the script goes on with it */
        late = (Result){};
        fixture_start(&h->f, &spec, &late);
        while (!late.done) { /* the connection lives to the end */
                usec_t until = clock_now() + 100 * USEC_PER_MSEC;

                get(h, 0);
                while (!late.done && clock_now() < until)
                        assert_true(loop_turn(h->f.event, until - clock_now()) >= 0);
        }
        expect(h, &late, HTTP_TIMEOUT, "no reply within 3 s");
        (void) pthread_mutex_lock(&h->mutex);
        h->script = "oa";
        h->n_calls = 0;
        (void) pthread_mutex_unlock(&h->mutex);
        get(h, 0);
        get(h, 0);
        expect(h, &hanging, HTTP_ANSWERED, "HTTP 200");
        assert_int_equal(http_server_accepted(h->f.server), 1);
}

static usec_t before; /* a sleep that is to come */

usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);

usec_t __wrap_clock_now(void) {
        return __real_clock_now() - before;
}

static void expect_new_connection_after_silence(H2Fixture *h, usec_t sleep) {
        Result hanging, late = {};
        char url[300];
        HttpSpec spec;

        set_script(h, "ohhoo");
        get(h, 0);
        start_and_arrive(h, &hanging);
        spec = fixture_spec(&h->f, "/", url);
        (void) snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http_server_port(h->f.server));
        spec.ca_file = h->certificate;
        spec.timeout = 3 * USEC_PER_SEC;
        before = sleep;
        fixture_start(&h->f, &spec, &late);
        before = 0;
        expect(h, &late, HTTP_TIMEOUT, "no reply within 3 s");
        fixture_run(&h->f, &hanging);
        assert_true(hanging.outcome == HTTP_CUT || hanging.outcome == HTTP_ANSWERED); /* libcurl may send it anew */
        bytes_done(&hanging.body);
        get(h, 0);
        assert_int_equal(http_server_accepted(h->f.server), 2);
}

/* A proxy that has lost its way to the server takes what is sent, and nothing comes: the next request does not wait
 * behind that. */
static void test_silent_connection(void **state) {
        expect_new_connection_after_silence(*state, 0);
}

/* Nor when the machine slept meanwhile: that is no time in which something could have come. */
static void test_silent_connection_after_a_sleep(void **state) {
        expect_new_connection_after_silence(*state, 8 * USEC_PER_HOUR);
}

/* All requests on a connection end with it; none is left hanging, and the next one has a new connection. */
static void test_connection_drops(void **state) {
        H2Fixture *h = *state;
        Result results[3];

        set_script(h, "ohhdo");
        get(h, 0);
        for (size_t i = 0; i < ELEMENTSOF(results); i++)
                start_and_arrive(h, &results[i]);
        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                fixture_run(&h->f, &results[i]);
                assert_int_equal(results[i].outcome, HTTP_CUT);
        }
        get(h, 0);
        assert_int_equal(http_server_accepted(h->f.server), 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_answers_come_together, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_beside_a_hanging_request, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cancel_one, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_reset, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_go_away, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_timeout_of_one, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_silent_connection, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_silent_connection_after_a_sleep, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_connection_drops, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
