/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "capture.h"
#include "free-port.h"
#include "lib/listen.h"
#include "lib/listen-address.h"
#include "lib/listen-internal.h"
#include "real-calls.h"

static usec_t later; /* added to the clock */

usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);

usec_t __wrap_clock_now(void) {
        return __real_clock_now() + later;
}

/* There is no memory to keep this text. */
static const char *unkept;
int __real_bytes_append(Bytes *b, const void *data, size_t size);
int __wrap_bytes_append(Bytes *b, const void *data, size_t size);

int __wrap_bytes_append(Bytes *b, const void *data, size_t size) {
        if (unkept && slice_equal((Slice){ data, size }, unkept))
                return bytes_fail(b, -ENOMEM);
        return __real_bytes_append(b, data, size);
}

typedef struct Fixture {
        Loop *loop;
        LoopWatch *tick;
        Listen *listen;
        ListenRoute *route;
        char address[64];
        uint16_t port;
        int requests;
        bool later; /* requests are answered by the test */
        const char *refuse;
        ListenRequest *waiting[8];
        int n_waiting;
        char method[16], path[64], query[64], header[64], body[256], peer[64];
} Fixture;

static void answer(ListenRequest *request, int status, const char *text) {
        listen_answer(request, &(ListenAnswer){ .status = status,
                                       .content_type = "text/plain",
                                       .body = { text, strlen(text) },
                                       .headers = (const char *const[]){ "X-Test", "yes", NULL } });
}

static void on_header(void *userdata, ListenRequest *request) {
        Fixture *f = userdata;

        assert_int_equal(listen_body(request).size, 0);
        if (f->refuse)
                answer(request, 401, f->refuse);
}

static void copy(char *to, size_t size, const char *from) {
        (void) snprintf(to, size, "%s", from ? from : "(null)");
}

static void on_request(void *userdata, ListenRequest *request) {
        Fixture *f = userdata;

        f->requests++;
        copy(f->method, sizeof(f->method), listen_method(request));
        copy(f->path, sizeof(f->path), listen_path(request));
        (void) snprintf(f->query, sizeof(f->query), "%s %s", listen_query(request, NULL), listen_query(request, "q"));
        copy(f->header, sizeof(f->header), listen_header(request, "x-mine"));
        copy(f->peer, sizeof(f->peer), listen_peer(request));
        (void) snprintf(f->body, sizeof(f->body), "%.*s", (int) listen_body(request).size, listen_body(request).data);
        if (f->later)
                f->waiting[f->n_waiting++] = request;
        else
                answer(request, 200, "done\n");
}

static void on_tick(void *userdata) {
        Fixture *f = userdata;

        loop_arm_in(f->tick, 5 * USEC_PER_MSEC);
}

static ListenRoute *route(Fixture *f, const char *path, bool below) {
        static const char *const hosts[] = { "pi.example", "http://page.example:8480/", ":80", NULL };
        ListenRoute *ret = NULL;

        assert_int_equal(
                listen_route(f->listen,
                        &(ListenSpec){
                                .address = f->address, .hosts = hosts, .path = path, .below = below, .max_body = 200 },
                        &(ListenHandler){ on_header, on_request, .userdata = f }, &ret),
                0);
        return ret;
}

static int set_up(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void) signal(SIGPIPE, SIG_IGN);
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_tick, f, &f->tick), 0);
        loop_arm_in(f->tick, 0);
        assert_int_equal(listen_new(f->loop, &f->listen), 0);
        f->port = free_port();
        (void) snprintf(f->address, sizeof(f->address), "127.0.0.1:%u", f->port);
        f->route = route(f, "/readings", false);
        *state = f;
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;

        listen_drop(f->route);
        listen_free(f->listen);
        loop_drop(f->tick);
        loop_free(f->loop);
        free(f);
        return 0;
}

static int dial_from(const Fixture *f, uint32_t host) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(f->port)
        };
        const struct sockaddr_in ours = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(host) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (const struct sockaddr *) &ours, sizeof(ours)), 0);
        assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        return fd;
}

static int dial(const Fixture *f) {
        return dial_from(f, INADDR_LOOPBACK);
}

/* Until the server closes the connection. */
static const char *hear(Fixture *f, int fd, Bytes *reply) {
        char buffer[1024];
        ssize_t n;

        for (int i = 0; i < 100000; i++) {
                n = recv(fd, buffer, sizeof(buffer), 0);
                if (n == 0 || (n < 0 && errno == ECONNRESET)) {
                        close(fd);
                        return reply->data ? reply->data : "";
                }
                if (n > 0)
                        assert_int_equal(bytes_append(reply, buffer, (size_t) n), 0);
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        }
        fail_msg("no end of the connection");
        return "";
}

static const char *ask(Fixture *f, const char *text, Bytes *reply) {
        int fd = dial(f);

        bytes_done(reply);
        assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
        return hear(f, fd, reply);
}

#define HOST "Host: localhost\r\nConnection: close\r\n"
#define WAITS "Expect: 100-continue\r\n"

static void assert_status(const char *reply, int status) {
        int found = 0;

        assert_int_equal(sscanf(reply, "HTTP/1.1 %d", &found), 1);
        assert_int_equal(found, status);
}

static void test_request_and_answer(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        const char *text;

        text = ask(f,
                "POST /readings?q=a%20b HTTP/1.1\r\n" HOST "X-Mine: value\r\nContent-Length: 11\r\n\r\nhello world",
                &reply);
        assert_status(text, 200);
        assert_non_null(strstr(text, "\r\nX-Test: yes\r\n"));
        assert_non_null(strstr(text, "\r\nX-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(text, "\r\n\r\ndone\n"));
        assert_string_equal(f->method, "POST");
        assert_string_equal(f->path, "/readings");
        assert_string_equal(f->query, "q=a%20b a b");
        assert_string_equal(f->header, "value");
        assert_string_equal(f->body, "hello world");
        assert_string_equal(f->peer, "127.0.0.1");
}

/* Answers that come later, in another order. How long that took. */
static usec_t answer_later(Fixture *f) {
        Bytes replies[4] = {};
        int fds[4];
        usec_t began;

        f->n_waiting = 0;
        for (int i = 0; i < 4; i++) {
                char text[200];

                fds[i] = dial(f);
                (void) snprintf(
                        text, sizeof(text), "POST /readings HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n%d", i);
                assert_int_equal(send(fds[i], text, strlen(text), 0), strlen(text));
                while (f->n_waiting <= i)
                        assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        }
        began = clock_now();
        for (int i = 3; i >= 0; i--)
                answer(f->waiting[i], 200 + i, "later\n");
        for (int i = 0; i < 4; i++) {
                assert_status(hear(f, fds[i], &replies[i]), 200 + i);
                bytes_done(&replies[i]);
        }
        return clock_now() - began;
}

/* An answer waits for no timer, which would cost a second each time; a busy machine may cost that now and then. */
static void test_answered_later(void **state) {
        Fixture *f = *state;
        int i = 0;

        f->later = true;
        while (answer_later(f) >= USEC_PER_SEC)
                assert_true(++i < 10);
}

static void test_refused_before_the_body(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;

        f->refuse = "who are you?\n";
        assert_status(ask(f, "POST /readings HTTP/1.1\r\n" HOST WAITS "Content-Length: 100\r\n\r\n", &reply), 401);
        assert_int_equal(f->requests, 0);
}

static void test_hosts(void **state) {
        static const struct {
                const char *host;
                int status;
        } cases[] = { { "localhost", 200 }, { "LOCALHOST:8427", 200 }, { "127.0.0.1:1", 200 }, { "192.168.1.5", 200 },
                { "[::1]:8480", 200 }, { "[fe80::1]", 200 }, { "[fe80::1%25wlan0]:80", 200 }, { "[%25wlan0]", 403 },
                { "pi.example:80", 200 }, { "evil.example", 403 }, { "localhost.evil.example", 403 },
                { "page.example", 200 }, { "page.example:8480", 200 }, { ":80", 403 },
                { "127.0.0.1.evil.example", 403 }, { "[evil]", 403 }, { "pi.example.evil", 403 } };
        _cleanup_bytes_ Bytes reply = {};
        char text[300], own[100] = "";
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                (void) snprintf(text, sizeof(text), "GET /readings HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                        cases[i].host);
                assert_status(ask(f, text, &reply), cases[i].status);
        }
        assert_int_equal(gethostname(own, sizeof(own) - 1), 0);
        (void) snprintf(
                text, sizeof(text), "GET /readings HTTP/1.1\r\nHost: %s.local\r\nConnection: close\r\n\r\n", own);
        assert_status(ask(f, text, &reply), 200);
        assert_status(ask(f, "GET /readings HTTP/1.0\r\n\r\n", &reply), 200); /* not from a browser */
}

/* A device rarely shows how it was answered. */
static void test_requests_are_shown(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        Capture capture = capture_begin();
        const char *log;

        log_set_level(LOG_DEBUG);
        assert_status(ask(f, "GET /a%0Ab?token=abc HTTP/1.1\r\n" HOST "\r\n", &reply), 404);
        assert_status(ask(f, "GET /update.phpID=1&PASSWORD=abc HTTP/1.1\r\n" HOST "\r\n", &reply), 404);
        log_set_level(LOG_INFO);
        log = capture_end(&capture);
        if (!strstr(log, "listen: GET /a") || !strstr(log, "b from 127.0.0.1: HTTP 404\n") ||
                !strstr(log, "GET /update.phpID from") || count_of(log, "\n") != 2 || strstr(log, "abc"))
                fail_msg("%s", log);
}

static void test_routes(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        ListenRoute *page, *again = NULL;

        assert_status(ask(f, "GET /other HTTP/1.1\r\n" HOST "\r\n", &reply), 404);
        assert_status(ask(f, "GET /readings/x HTTP/1.1\r\n" HOST "\r\n", &reply), 404);
        page = route(f, "/", true);
        assert_status(ask(f, "GET /other HTTP/1.1\r\n" HOST "\r\n", &reply), 200);
        assert_string_equal(f->path, "/other");
        assert_int_equal(listen_route(f->listen, &(ListenSpec){ .address = f->address, .path = "/" },
                                 &(ListenHandler){}, &again),
                -EEXIST);
        page = listen_drop(page);
        assert_status(ask(f, "GET /other HTTP/1.1\r\n" HOST "\r\n", &reply), 404);
}

static void test_too_large(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;

        assert_status(ask(f, "POST /readings HTTP/1.1\r\n" HOST WAITS "Content-Length: 201\r\n\r\n", &reply), 413);
        assert_status(
                ask(f,
                        "POST /readings HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                        "64\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n"
                        "64\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n"
                        "1\r\nx\r\n0\r\n\r\n",
                        &reply),
                413);
        assert_int_equal(f->requests, 0);
        assert_status(
                ask(f, "POST /readings HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                        &reply),
                200);
        assert_string_equal(f->body, "hello");
}

/* Many senders take 413 as final, and what they sent would be lost. (P12) */
static void test_no_memory_for_the_body(void **state) {
        const char *text = "POST /readings HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello";
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;

        unkept = "hello";
        assert_status(ask(f, text, &reply), 500);
        unkept = NULL;
        assert_int_equal(f->requests, 0);
        assert_status(ask(f, text, &reply), 200);
        assert_string_equal(f->body, "hello");
}

static void test_dropped_while_a_request_waits(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        const char *text = "POST /readings HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx";
        int fd = dial(f);

        f->later = true;
        assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
        while (f->n_waiting == 0)
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        f->route = listen_drop(f->route);
        assert_status(hear(f, fd, &reply), 503);
        f->route = route(f, "/readings", false); /* the address is free again at once */
        f->later = false;
        assert_status(ask(f, text, &reply), 200);
}

/* Its header is read when nobody is there any more: it got 404, which many senders take as final. */
static void test_dropped_before_the_header(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        const char *text = "POST /readings HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx";
        int fd = dial(f);

        assert_int_equal(send(fd, "P", 1, 0), 1);
        for (int i = 0; i < 5; i++)
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        assert_int_equal(send(fd, text + 1, strlen(text) - 1, 0), strlen(text) - 1);
        f->route = listen_drop(f->route);
        assert_status(hear(f, fd, &reply), 503);
        f->route = route(f, "/readings", false);
}

static void test_dropped_while_others_stay(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        ListenRoute *other = route(f, "/other", false);
        const char *text = "POST /readings HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx";
        int fd = dial(f);

        f->later = true;
        assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
        while (f->n_waiting == 0)
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        f->route = listen_drop(f->route);
        assert_status(hear(f, fd, &reply), 503);
        listen_drop(other);
}

/* What was meant for a source that has ended, with a name that only that one had, got 403 of the page. */
static void test_stop(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        ListenRoute *page = NULL;

        assert_int_equal(listen_route(f->listen, &(ListenSpec){ .address = f->address, .path = "/", .below = true },
                                 &(ListenHandler){ on_header, on_request, .userdata = f }, &page),
                0);
        listen_stop(f->listen);
        f->route = listen_drop(f->route);
        assert_status(ask(f, "POST /readings HTTP/1.0\r\nHost: pi.example\r\nContent-Length: 1\r\n\r\nx", &reply), 503);
        assert_non_null(strstr(reply.data, "\r\nRetry-After: "));
        assert_status(ask(f, "GET /readings?te=21.5 HTTP/1.0\r\n\r\n", &reply), 503);
        assert_int_equal(f->requests, 0);
        assert_status(ask(f, "GET /status HTTP/1.1\r\n" HOST "\r\n", &reply), 200);
        listen_drop(page);
}

/* Until the server closes, which does not wait for silence. */
static void drip_to_the_end(Fixture *f, int fd) {
        char buffer[64];

        for (int i = 0; recv(fd, buffer, sizeof(buffer), 0) < 0 && errno == EAGAIN; i++) {
                assert_true(i < 4000);
                if (i % 50 == 0)
                        (void) send(fd, "X", 1, MSG_NOSIGNAL);
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        }
        close(fd);
}

/* A line of the head, or a byte of the body, now and then is no silence: after 30 s it is enough. Who is slow holds up
 * nobody. */
static void test_dripping(void **state) {
        static const char *const begun[] = { "POST /readings HTTP/1.1\r\nHost: localhost\r\n",
                "POST /readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n" };
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        int fds[2];

        for (int i = 0; i < 2; i++) {
                fds[i] = dial(f);
                assert_int_equal(send(fds[i], begun[i], strlen(begun[i]), 0), strlen(begun[i]));
        }
        assert_status(ask(f, "POST /readings HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", &reply), 200);
        later = 31 * USEC_PER_SEC;
        for (int i = 0; i < 2; i++)
                drip_to_the_end(f, fds[i]);
        later = 0;
        assert_int_equal(f->requests, 1);
}

static void test_client_goes_away(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        const char *text = "POST /readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
        int fd = dial(f);

        f->later = true;
        assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
        while (f->n_waiting == 0)
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        close(fd);
        for (int i = 0; i < 5; i++)
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        answer(f->waiting[0], 200, "too late\n"); /* still ours to answer */
        f->later = false;
        assert_status(ask(f, "GET /readings HTTP/1.1\r\n" HOST "\r\n", &reply), 200);
}

static void test_cannot_listen(void **state) {
        Fixture *f = *state;
        ListenRoute *other = NULL;
        char address[64];
        Listen *second;

        (void) snprintf(address, sizeof(address), "127.0.0.1:%u", free_port());
        assert_int_equal(listen_new(f->loop, &second), 0);
        assert_int_equal(
                listen_route(second, &(ListenSpec){ .address = f->address, .path = "/" }, &(ListenHandler){}, &other),
                -EADDRINUSE);
        assert_int_equal(listen_route(second, &(ListenSpec){ .address = "203.0.113.1:1", .path = "/" },
                                 &(ListenHandler){}, &other),
                -EADDRNOTAVAIL);
        assert_int_equal(listen_route(second, &(ListenSpec){ .address = "systemd:nothing", .path = "/" },
                                 &(ListenHandler){}, &other),
                -ENOENT);
        assert_int_equal(listen_route(second,
                                 &(ListenSpec){ .address = "127.0.0.1:0",
                                         .path = "/",
                                         .certificate_file = "/dev/null/x",
                                         .key_file = "/x" },
                                 &(ListenHandler){}, &other),
                -ENOTDIR);
        assert_int_equal(listen_route(second,
                                 &(ListenSpec){ .address = f->address,
                                         .path = "/",
                                         .certificate_file = SOURCE_ROOT "/LICENSE",
                                         .key_file = SOURCE_ROOT "/LICENSE" },
                                 &(ListenHandler){}, &other),
                -EADDRINUSE);
        for (int i = 0; i < 2; i++) /* and the address is free again */
                assert_int_equal(listen_route(second,
                                         &(ListenSpec){ .address = address,
                                                 .path = "/",
                                                 .certificate_file = SOURCE_ROOT "/LICENSE",
                                                 .key_file = SOURCE_ROOT "/LICENSE" },
                                         &(ListenHandler){}, &other),
                        -EKEYREJECTED);
        /* The route there is served without TLS. */
        assert_int_equal(listen_route(f->listen,
                                 &(ListenSpec){ .address = f->address,
                                         .path = "/",
                                         .certificate_file = SOURCE_ROOT "/LICENSE",
                                         .key_file = SOURCE_ROOT "/LICENSE" },
                                 &(ListenHandler){}, &other),
                -EADDRINUSE);
        assert_null(other);
        listen_free(second);
}

/* A socket, and none for libmicrohttpd: neither memory nor a certificate is to blame. */
static void test_no_descriptor(void **state) {
        Fixture *f = *state;
        int next = dup(STDERR_FILENO), r; /* the lowest that is free */
        ListenRoute *other = NULL;
        struct rlimit before, one;

        close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        one = (struct rlimit){ (rlim_t) next + 1, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &one), 0);
        r = listen_route(f->listen, &(ListenSpec){ .address = "127.0.0.1:0", .path = "/" }, &(ListenHandler){}, &other);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(r, -EMFILE);
        assert_null(other);
}

/* A connection that cannot be taken for want of descriptors, and no other one is open: it is not tried without a pause,
 * and taken when there is a descriptor again. */
static void test_no_descriptor_for_a_connection(void **state) {
        static const char text[] = "POST /readings HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n";
        _cleanup_bytes_ Bytes reply = {};
        struct rlimit before, none;
        Fixture *f = *state;
        int fd, next, busy = 0;

        if (is_in_valgrind())
                skip();
        loop_off(f->tick);
        fd = dial(f);
        next = dup(STDERR_FILENO);
        close(next);
        assert_int_equal(send(fd, text, sizeof(text) - 1, 0), sizeof(text) - 1);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ (rlim_t) next, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        for (int i = 0; i < 1000; i++)
                busy += loop_turn(f->loop, 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_in_range(busy, 1, 500);
        assert_status(hear(f, fd, &reply), 200);
}

static void file_put(const char *path, const char *text) {
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

/* One pair is told from the next, whatever changed; a file that is away leaves what was known. */
static void test_pem(void **state) {
        char directory[] = "/tmp/test-listen-XXXXXX", certificate[64], key[64], first[SHA256_HEX_SIZE],
             second[SHA256_HEX_SIZE];
        ListenPem pem = {};

        assert_int_equal(listen_pem_read(&pem), 0);
        assert_true(listen_pem_is_of(&pem, NULL, NULL) && !listen_pem_is_of(&pem, "c", "k"));
        assert_non_null(mkdtemp(directory));
        (void) snprintf(certificate, sizeof(certificate), "%s/c", directory);
        (void) snprintf(key, sizeof(key), "%s/k", directory);
        assert_int_equal(listen_pem_name(&pem, certificate, key), 0);
        assert_true(listen_pem_is_of(&pem, certificate, key) && !listen_pem_is_of(&pem, certificate, "k") &&
                    !listen_pem_is_of(&pem, NULL, NULL));
        assert_int_equal(listen_pem_read(&pem), -ENOENT);
        assert_string_equal(pem.digest, "");
        file_put(certificate, "ab");
        file_put(key, "c");
        assert_int_equal(listen_pem_read(&pem), 0);
        assert_string_equal(pem.certificate, "ab");
        assert_string_equal(pem.key, "c");
        memcpy(first, pem.digest, sizeof(first));
        listen_pem_forget(&pem);
        assert_null(pem.key);
        file_put(certificate, "a");
        file_put(key, "bc");
        assert_int_equal(listen_pem_read(&pem), 0);
        assert_string_not_equal(pem.digest, first);
        memcpy(second, pem.digest, sizeof(second));
        listen_pem_forget(&pem);
        assert_int_equal(unlink(key), 0);
        assert_int_equal(listen_pem_read(&pem), -ENOENT);
        assert_null(pem.certificate);
        assert_string_equal(pem.digest, second);
        assert_int_equal(unlink(certificate), 0);
        assert_int_equal(rmdir(directory), 0);
        listen_pem_done(&pem);
}

/* The answer to one request on a connection that stays open for more. */
static bool ask_and_keep(Fixture *f, int fd) {
        static const char request[] = "GET /readings HTTP/1.1\r\nHost: localhost\r\n\r\n";
        char reply[1024] = "";
        ssize_t n = -1;

        assert_int_equal(send(fd, request, strlen(request), 0), (ssize_t) strlen(request));
        for (int i = 0; i < 100000 && n < 0; i++) {
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
                n = recv(fd, reply, sizeof(reply) - 1, 0);
        }
        assert_true(n > 0); /* 0: cut off, without a word */
        return !strstr(reply, "Connection: close");
}

/* Clients that leave their connections open keep nobody out. */
static void test_many_clients(void **state) {
        Fixture *f = *state;
        int fds[LISTEN_CONNECTIONS_OF_ADDRESS_MAX + 10]; /* within the time that a connection may be idle */
        unsigned kept = 0;

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = dial(f);
                kept += ask_and_keep(f, fds[i]);
        }
        assert_int_equal(f->requests, (int) ELEMENTSOF(fds));
        assert_int_equal(kept, LISTEN_CONNECTIONS_OF_ADDRESS_MAX / 2);
        assert_true(ask_and_keep(f, fds[0])); /* who came first goes on */
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                (void) close(fds[i]);
}

/* One more than there may be, and then all of them go at once: who comes next is heard. */
static void test_all_taken(void **state) {
        _cleanup_bytes_ Bytes reply = {};
        Fixture *f = *state;
        int fds[LISTEN_CONNECTIONS_MAX + 1];

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = dial_from(f, INADDR_LOOPBACK + 1 + (uint32_t) i / (LISTEN_CONNECTIONS_OF_ADDRESS_MAX / 2));
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                (void) close(fds[i]);
        for (int i = 0; i < 10; i++)
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        assert_status(ask(f, "GET /readings HTTP/1.1\r\n" HOST "\r\n", &reply), 200);
}

static void test_address_check(void **state) {
        static const char *const wrong[] = { "systemd:", "8480", ":8480", "127.0.0.1", "127.0.0.1:65536",
                "127.0.0.1:80x", "::1:80", "pi.example:80" };
        bool loopback;

        assert_true(listen_address_check("127.0.0.1:8480", &loopback) && loopback);
        assert_true(listen_address_check("127.9.9.9:8480", &loopback) && loopback);
        assert_true(listen_address_check("[::1]:8480", &loopback) && loopback);
        assert_true(listen_address_check("localhost:80", &loopback) && loopback);
        assert_true(listen_address_check("0.0.0.0:8480", &loopback) && !loopback);
        assert_true(listen_address_check("[::]:8480", &loopback) && !loopback);
        assert_true(listen_address_check("192.168.1.2:1", &loopback) && !loopback);
        assert_true(listen_address_check("systemd:push", &loopback) && !loopback);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_false(listen_address_check(wrong[i], &loopback));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_request_and_answer, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answered_later, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused_before_the_body, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hosts, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_requests_are_shown, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_routes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_memory_for_the_body, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dropped_while_a_request_waits, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dropped_before_the_header, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dropped_while_others_stay, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dripping, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_client_goes_away, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cannot_listen, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_descriptor, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_descriptor_for_a_connection, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many_clients, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_all_taken, set_up, tear_down),
                cmocka_unit_test(test_pem),
                cmocka_unit_test(test_address_check),
        };

        return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
