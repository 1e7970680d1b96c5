/* SPDX-License-Identifier: Apache-2.0 */
/* What http makes of replies: good ones, bad ones, and none. */
#include <sys/resource.h>
#include <unistd.h>

#include "http-fixture.h"

#include "lib/clock.h"
#include "real-calls.h"

#define BODY_SIZE (1024 * 1024)

/* What the server sends byte for byte, and what it does then. */
static const struct {
        const char *path, *text;
        enum { KEEP, STALL, CLOSE } then;
} replies[] = {
        { "/ok",
                "HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 06:27:38 GMT\r\nX-Limit: first\r\nX-Limit:   29  \r\nContent-Length: "
                "5\r\n\r\nhello" },
        { "/cached",
                "HTTP/1.1 503 Busy\r\nDate: Tue, 02 Jan 2024 06:00:00 GMT\r\nAge: 60\r\nRetry-After: Tue, 02 Jan 2024 06:01:30 "
                "GMT\r\nContent-Length: 0\r\n\r\n" },
        { "/dated-anew",
                "HTTP/1.1 200 OK\r\nDate: Mon, 02 Jan 2090 06:00:00 GMT\r\nAge: 3600\r\nContent-Length: 0\r\n\r\n" },
        { "/empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
        { "/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n" },
        { "/trailers",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n0\r\nX-Sum: 1\r\nHTTP/Sum: 1\r\n\r\n" },
        { "/until-close", "HTTP/1.1 200 OK\r\n\r\nall of it", CLOSE },
        { "/redirect", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 5\r\n\r\nmoved" },
        { "/503-seconds", "HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n" },
        { "/503-date",
                "HTTP/1.1 503 Busy\r\nDate: Tue, 24 Nov 2026 06:00:00 GMT\r\nRetry-After: Tue, 24 Nov 2026 06:01:30 "
                "GMT\r\nContent-Length: 0\r\n\r\n" },
        { "/503-past",
                "HTTP/1.1 503 Busy\r\nDate: Tue, 24 Nov 2026 06:00:00 GMT\r\nRetry-After: Tue, 24 Nov 2026 05:00:00 "
                "GMT\r\nContent-Length: 0\r\n\r\n" },
        { "/503-huge", "HTTP/1.1 503 Busy\r\nRetry-After: 99999999999999999999999999\r\nContent-Length: 0\r\n\r\n" },
        { "/503-garbage", "HTTP/1.1 503 Busy\r\nDate: yesterday\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n" },
        { "/stall", "", STALL },
        { "/half", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", STALL },
        { "/cut", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", CLOSE },
        { "/cut-head", "HTTP/1.1 200 OK\r\nContent-Ty", CLOSE },
        { "/cut-line", "HTTP/1.1 200 OK\r\n", CLOSE },
        { "/close", "", CLOSE },
        { "/garbage", "220 smtp.example.com ESMTP\r\n\r\n", CLOSE },
        { "/announced", "HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\n", STALL },
};

/* 100 000 zero bytes, compressed. */
static const unsigned char bomb[132] = {
        0x1f,
        0x8b,
        0x08,
        0x00,
        0x00,
        0x00,
        0x00,
        0x00,
        0x02,
        0x03,
        0xed,
        0xc1,
        0x31,
        0x01,
        0x00,
        0x00,
        0x00,
        0xc2,
        0xa0,
        0xf5,
        0x4f,
        0x6d,
        0x0d,
        0x0f,
        0xa0,
        [121] = 0x80,
        0x57,
        0x03,
        0x7d,
        0x95,
        0x11,
        0xd4,
        0xa0,
        0x86,
        0x01,
        0x00,
};

static void send_odd(HttpServerConnection *c, const char *path) {
        if (strcmp(path, "/endless") == 0) {
                http_server_send_text(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                for (int i = 0; i < 100; i++)
                        http_server_send_text(c, "400\r\n%01024d\r\n", 0);
                http_server_stall(c);
        } else if (strcmp(path, "/headers") == 0) {
                http_server_send_text(c, "HTTP/1.1 200 OK\r\n");
                for (int i = 0; i < 1000; i++)
                        http_server_send_text(c, "X-%d: %01024d\r\n", i, 0);
                http_server_send_text(c, "Content-Length: 0\r\n\r\n");
        } else if (strcmp(path, "/trickle") == 0) {
                for (const char *p = "HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n"; *p != '\0'; p++)
                        http_server_send(c, p, 1);
                for (int i = 0; i < 300; i++)
                        http_server_send(c, &"0123456789"[i % 10], 1);
        } else if (strcmp(path, "/compressed") == 0) {
                http_server_send_text(
                        c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", sizeof(bomb));
                http_server_send(c, bomb, sizeof(bomb));
        } else {
                http_server_reply(c, 404, "", "no such test");
        }
}

/* Tells what arrived: the method and the body's size, or a header. */
static bool send_back(HttpServerConnection *c, const HttpServerCall *call) {
        char value[300];

        if (strcmp(call->path, "/length") == 0) {
                (void) snprintf(value, sizeof(value), "%s %zu", call->method, call->body.size);
                for (size_t i = 0; i < call->body.size; i++)
                        if (call->body.data[i] != (char) ('a' + i % 26))
                                (void) snprintf(value, sizeof(value), "byte %zu differs", i);
        } else if (strncmp(call->path, "/header?", 8) == 0) {
                if (!http_server_header(call, call->path + 8, value, sizeof(value)))
                        (void) snprintf(value, sizeof(value), "(none)");
        } else {
                return false;
        }

        http_server_reply(c, 200, "", value);
        return true;
}

static bool serve(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        for (size_t i = 0; i < ELEMENTSOF(replies); i++) {
                if (strcmp(call->path, replies[i].path) != 0)
                        continue;

                http_server_send_text(c, "%s", replies[i].text);
                if (replies[i].then == STALL)
                        http_server_stall(c);
                return replies[i].then == KEEP;
        }

        if (!send_back(c, call))
                send_odd(c, call->path);
        return true;
}

static int set_up(void **state) {
        static Fixture f;

        fixture_set_up(&f, serve, NULL);
        *state = &f;
        return 0;
}

static int tear_down(void **state) {
        fixture_tear_down(*state);
        return 0;
}

static void check_reply(Fixture *f, const char *path, int status, const char *body) {
        Result result = {};

        fixture_get(f, path, &result);
        assert_int_equal(result.outcome, HTTP_ANSWERED);
        assert_int_equal(result.status, status);
        assert_string_equal(result.body.data ? result.body.data : "", body);
        bytes_done(&result.body);
}

static void check_failure(Fixture *f, const char *path, HttpOutcome outcome, const char *detail) {
        Result result = { .want = "Date" };
        char url[300];
        HttpSpec spec = fixture_spec(f, path, url);

        spec.max_reply = 50000;
        fixture_start(f, &spec, &result);
        fixture_run(f, &result);
        assert_string_equal(result.detail, detail);
        assert_int_equal(result.outcome, outcome);
        assert_int_equal(result.status, 0);
        assert_null(result.body.data);
        assert_string_equal(result.header, "(none)");
}

static void test_reply(void **state) {
        Result result = { .want = "x-limit" };
        usec_t date;

        fixture_get(*state, "/ok", &result);
        assert_int_equal(result.outcome, HTTP_ANSWERED);
        assert_int_equal(result.status, 200);
        assert_string_equal(result.detail, "HTTP 200");
        assert_string_equal(result.body.data, "hello");
        assert_string_equal(result.header, "29");
        assert_true(clock_parse_http_date("Tue, 24 Nov 2026 06:27:38 GMT", &date));
        assert_int_equal(result.date, date);
        assert_int_equal(result.retry_after, 0);
        bytes_done(&result.body);
}

static usec_t slept;

usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);

usec_t __wrap_clock_now(void) {
        return __real_clock_now() + slept;
}

/* The lid is closed between question and answer: Date is of then, and says nothing of our clock. */
static void test_date_after_a_sleep(void **state) {
        Result result = {};
        char url[300];
        HttpSpec spec = fixture_spec(*state, "/ok", url);

        fixture_start(*state, &spec, &result);
        slept = 8 * USEC_PER_HOUR;
        fixture_run(*state, &result);
        slept = 0;
        assert_int_equal(result.status, 200);
        assert_int_equal(result.date, 0);
        bytes_done(&result.body);
}

/* A cache leaves Date as the server wrote it, and says in Age how old that is; or it writes its own present into Date.
 * What is nearer to our clock counts: one of these is behind it, the other ahead of it. */
static void test_date_of_a_cached_reply(void **state) {
        Result result = {};
        usec_t date;

        fixture_get(*state, "/cached", &result);
        assert_true(clock_parse_http_date("Tue, 02 Jan 2024 06:01:00 GMT", &date));
        assert_int_equal(result.date, date);
        assert_int_equal(result.retry_after, 30 * USEC_PER_SEC);
        bytes_done(&result.body);
        result = (Result){};
        fixture_get(*state, "/dated-anew", &result);
        assert_true(clock_parse_http_date("Mon, 02 Jan 2090 06:00:00 GMT", &date));
        assert_int_equal(result.date, date);
        bytes_done(&result.body);
}

static void test_bodies(void **state) {
        char digits[301] = "";

        for (int i = 0; i < 300; i++)
                digits[i] = (char) ('0' + i % 10);
        check_reply(*state, "/empty", 200, "");
        check_reply(*state, "/chunked", 200, "hello, world");
        check_reply(*state, "/trailers", 200, "all"); /* one of them begins as a status line does */
        check_reply(*state, "/trickle", 200, digits);
        check_reply(*state, "/until-close", 200, "all of it");
        check_reply(*state, "/redirect", 302, "moved");
        check_reply(*state, "/no-such", 404, "no such test");
}

static void check_retry_after(Fixture *f, const char *path, usec_t expected) {
        Result result = {};

        fixture_get(f, path, &result);
        assert_int_equal(result.status, 503);
        assert_string_equal(result.detail, "HTTP 503");
        assert_int_equal(result.retry_after, expected);
        bytes_done(&result.body);
}

static void test_retry_after(void **state) {
        check_retry_after(*state, "/503-seconds", 2 * USEC_PER_MINUTE);
        check_retry_after(*state, "/503-date", 90 * USEC_PER_SEC);
        check_retry_after(*state, "/503-past", 0);
        check_retry_after(*state, "/503-huge", USEC_PER_HOUR);
        check_retry_after(*state, "/503-garbage", 0);
}

/* The detail is *before*, the limit, *behind*. A busy machine may need more than the first limit to get so far. */
static void check_timeout(Fixture *f, const char *path, const char *before, const char *behind) {
        char expected[200], span[CLOCK_SPAN_SIZE];
        usec_t limit = 100 * USEC_PER_MSEC;
        Result result;

        for (;; limit *= 20) {
                char url[300];
                HttpSpec spec = fixture_spec(f, path, url);

                result = (Result){};
                spec.timeout = limit;
                fixture_start(f, &spec, &result);
                fixture_run(f, &result);
                (void) snprintf(expected, sizeof(expected), "%s %s%s", before,
                        clock_format_span(limit, span, sizeof(span)), behind);
                if (strcmp(result.detail, expected) == 0 || limit > 10 * USEC_PER_SEC)
                        break;
        }
        assert_string_equal(result.detail, expected);
        assert_int_equal(result.outcome, HTTP_TIMEOUT);
        assert_int_equal(result.status, 0);
        assert_null(result.body.data);
}

static void test_no_reply(void **state) {
        check_timeout(*state, "/stall", "no reply within", "");
        check_timeout(*state, "/half", "reply not complete within", " (4 bytes came)");
        check_failure(*state, "/cut", HTTP_CUT, "connection lost in the middle of the reply");
        check_failure(*state, "/cut-head", HTTP_CUT, "connection lost in the middle of the reply");
        check_failure(*state, "/cut-line", HTTP_CUT, "connection lost in the middle of the reply");
        check_failure(*state, "/close", HTTP_CUT, "connection closed without a reply");
        check_failure(*state, "/garbage", HTTP_CUT, "the reply is not HTTP");
}

static void test_too_large(void **state) {
        check_failure(*state, "/announced", HTTP_TOO_LARGE, "the reply is larger than allowed");
        check_failure(*state, "/endless", HTTP_TOO_LARGE, "the reply is larger than allowed");
        check_failure(*state, "/compressed", HTTP_TOO_LARGE, "the reply is larger than allowed");
        check_failure(*state, "/headers", HTTP_TOO_LARGE, "the reply is larger than allowed");
}

static void test_compressed(void **state) {
        Result result = {};

        fixture_get(*state, "/compressed", &result);
        assert_int_equal(result.outcome, HTTP_ANSWERED);
        assert_int_equal(result.body.size, 100000);
        bytes_done(&result.body);
}

static void test_largest_allowed(void **state) {
        Result result = {};
        char url[300];
        HttpSpec spec = fixture_spec(*state, "/ok", url);

        spec.max_reply = 5;
        fixture_start(*state, &spec, &result);
        fixture_run(*state, &result);
        assert_string_equal(result.body.data, "hello");
        bytes_done(&result.body);
}

static void test_refused(void **state) {
        Fixture *f = *state;
        Result result = {};
        char url[300];
        HttpSpec spec = fixture_spec(f, "/ok", url);

        f->server = http_server_free(f->server);
        fixture_start(f, &spec, &result);
        fixture_run(f, &result);
        assert_int_equal(result.outcome, HTTP_UNREACHABLE);
        assert_string_equal(result.detail, "connection refused");
}

/* It is not the network that is to blame, nor the resolver. */
static void check_no_descriptor(Fixture *f, const char *url, const char *detail) {
        Result result = {};
        char own[300];
        HttpSpec spec = fixture_spec(f, "/ok", own);
        struct rlimit before, none;
        int next = dup(STDERR_FILENO); /* the lowest that is free */

        (void) close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ (rlim_t) next, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        spec.url = url ? url : own;
        fixture_start(f, &spec, &result);
        fixture_run(f, &result);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(result.outcome, HTTP_UNREACHABLE);
        assert_string_equal(result.detail, detail);
        assert_true(result.scarce);
}

static void test_no_descriptor(void **state) {
        if (is_in_valgrind())
                skip();
        check_no_descriptor(
                *state, NULL, "cannot connect: this machine is short of descriptors or memory (Too many open files)");
        check_no_descriptor(*state, "http://name.invalid/",
                "name not resolved: this machine is short of descriptors, memory or threads");
}

static void send_body(Fixture *f, const char *method, size_t size, const char *expected) {
        Result result = {};
        char url[300];
        HttpSpec spec = fixture_spec(f, "/length", url);

        spec.method = method;
        for (size_t i = 0; i < size; i++)
                assert_int_equal(bytes_append(&spec.body, &(char){ (char) ('a' + i % 26) }, 1), 0);
        fixture_start(f, &spec, &result);
        assert_null(spec.body.data);
        fixture_run(f, &result);
        assert_string_equal(result.body.data, expected);
        bytes_done(&result.body);
}

static void test_methods(void **state) {
        send_body(*state, "POST", BODY_SIZE, "POST 1048576");
        send_body(*state, "POST", 0, "POST 0");
        send_body(*state, "PUT", 26, "PUT 26");
        send_body(*state, "PUT", 0, "PUT 0");
        send_body(*state, "PATCH", 1, "PATCH 1");
        send_body(*state, "DELETE", 0, "DELETE 0");
        send_body(*state, "GET", 0, "GET 0");
}

static void check_sent_header(Fixture *f, HttpSpec *spec, const char *name, const char *expected) {
        Result result = {};
        HttpSpec copy = *spec;
        char url[300], path[100];

        (void) snprintf(path, sizeof(path), "/header?%s", name);
        copy.url = fixture_spec(f, path, url).url;
        if (strcmp(spec->method, "POST") == 0)
                assert_int_equal(bytes_append_text(&copy.body, "{}"), 0);
        fixture_start(f, &copy, &result);
        fixture_run(f, &result);
        assert_string_equal(result.body.data, expected);
        bytes_done(&result.body);
}

static void test_sent_headers(void **state) {
        static const char *const headers[] = { "X-One: 1", "X-Two: zwei", NULL };
        char url[300];
        HttpSpec spec = fixture_spec(*state, "/", url);

        spec.bearer = "ya29.a-b_c~d+e/f==";
        spec.headers = headers;
        check_sent_header(*state, &spec, "Authorization", "Bearer ya29.a-b_c~d+e/f==");
        spec.bearer = "17|q3Fz<>%,;@"; /* not RFC 6750, but what some servers give and some people paste */
        check_sent_header(*state, &spec, "Authorization", "Bearer 17|q3Fz<>%,;@");
        check_sent_header(*state, &spec, "X-Two", "zwei");
        check_sent_header(*state, &spec, "User-Agent", "test/1");
        check_sent_header(*state, &spec, "Content-Type", "(none)");
        spec.method = "POST";
        check_sent_header(*state, &spec, "Content-Type", "application/json");
        check_sent_header(*state, &spec, "Expect", "(none)");
        spec.content_type = "application/x-www-form-urlencoded";
        spec.bearer = NULL;
        check_sent_header(*state, &spec, "Content-Type", "application/x-www-form-urlencoded");
        check_sent_header(*state, &spec, "Authorization",
                "(none)"); /* handles are used again: nothing of the last request stays */
}

static void check_refused_spec(Fixture *f, const HttpSpec *spec) {
        HttpSpec copy = *spec;
        Result result = {};

        assert_int_equal(bytes_append_text(&copy.body, "kept"), 0);
        assert_int_equal(http_start(f->http, &copy, result_done, &result, &result.request), -EINVAL);
        assert_string_equal(copy.body.data, "kept");
        bytes_done(&copy.body);
}

/* P10: a token neither leaves unencrypted nor opens a second header line. */
static void test_invalid(void **state) {
        Fixture *f = *state;
        char url[300];
        HttpSpec good = fixture_spec(f, "/ok", url), spec;

        spec = good, spec.url = "https://user:secret@example.com/";
        check_refused_spec(f, &spec);
        spec = good, spec.url = "http://example.com/", spec.bearer = "token";
        check_refused_spec(f, &spec);
        spec = good, spec.bearer = "to\r\nken";
        check_refused_spec(f, &spec);
        spec = good, spec.bearer = "token\n";
        check_refused_spec(f, &spec);
        spec = good, spec.bearer = "";
        check_refused_spec(f, &spec);
        spec = good, spec.headers = (const char *const[]){ "X: 1\r\nY: 2", NULL };
        check_refused_spec(f, &spec);
        spec = good, spec.headers = (const char *const[]){ "no colon", NULL };
        check_refused_spec(f, &spec);
        spec = good, spec.content_type = "a\nb";
        check_refused_spec(f, &spec);
        spec = good, spec.timeout = 0;
        check_refused_spec(f, &spec);
        spec = good, spec.timeout = USEC_INFINITY;
        check_refused_spec(f, &spec);
}

/* A proxy of the environment gets what goes to other machines over https, and of that nothing but the host. */
static bool serve_proxy(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        char token[100];

        if (strcmp(call->method, "CONNECT") == 0 && strcmp(call->path, "example.test:443") == 0 &&
                !http_server_header(call, "Authorization", token, sizeof(token)))
                http_server_reply(c, 403, "", "no");
        else if (strcmp(call->path, "closed.test:443") == 0)
                return false;
        else if (strcmp(call->path, "silent.test:443") == 0)
                http_server_stall(c);
        else
                http_server_reply(c, 500, "", "not what a proxy should get");
        return true;
}

static void check_unreachable(Fixture *f, HttpSpec *spec, const char *url, const char *detail) {
        Result result = {};

        spec->url = url;
        fixture_start(f, spec, &result);
        fixture_run(f, &result);
        assert_int_equal(result.outcome, HTTP_UNREACHABLE);
        assert_string_equal(result.detail, detail);
}

static void test_proxy(void **state) {
        Fixture *f = *state;
        HttpServer *proxy = http_server_new(serve_proxy, NULL);
        Result result = {};
        char url[300], proxy_url[100], refused[100];
        HttpSpec spec = fixture_spec(f, "/ok", url);

        (void) snprintf(proxy_url, sizeof(proxy_url), "http://127.0.0.1:%u", http_server_port(proxy));
        assert_int_equal(setenv("http_proxy", proxy_url, 1), 0);
        assert_int_equal(setenv("https_proxy", proxy_url, 1), 0);
        assert_int_equal(unsetenv("no_proxy"), 0);
        assert_int_equal(unsetenv("NO_PROXY"), 0);
        check_reply(f, "/ok", 200, "hello");
        assert_int_equal(http_server_accepted(proxy), 0);

        spec.url = "https://example.test/";
        spec.bearer = "token";
        fixture_start(f, &spec, &result);
        fixture_run(f, &result);
        (void) snprintf(refused, sizeof(refused), "the proxy 127.0.0.1:%u answered 403", http_server_port(proxy));
        if (strcmp(result.detail, "the proxy answered 403") != 0) /* libcurl 8.14 has forgotten by then whom it asked */
                assert_string_equal(result.detail, refused);
        assert_int_equal(result.outcome, HTTP_UNREACHABLE);
        check_unreachable(f, &spec, "https://closed.test/", "the proxy closed the connection");
        spec.timeout = USEC_PER_SEC;
        check_unreachable(f, &spec, "https://silent.test/", "no connection through the proxy within 1 s");

        assert_int_equal(unsetenv("http_proxy"), 0);
        assert_int_equal(unsetenv("https_proxy"), 0);
        proxy = http_server_free(proxy);
}

static void test_keep_alive(void **state) {
        Fixture *f = *state;

        for (int i = 0; i < 10; i++)
                check_reply(f, "/ok", 200, "hello");
        assert_int_equal(http_server_accepted(f->server), 1);
        assert_int_equal(http_server_calls(f->server), 10);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_reply, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_date_of_a_cached_reply, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_date_after_a_sleep, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_bodies, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_retry_after, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_reply, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_compressed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_largest_allowed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_descriptor, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_methods, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_sent_headers, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_invalid, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_proxy, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_keep_alive, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
