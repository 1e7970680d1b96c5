/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "http-server.h"
#include "lib/stream.h"

typedef struct Fixture {
        Loop *loop;
        LoopWatch *tick;
        Stream *stream;
        int listen_fd, peer_fd;
        uint16_t port;
        Bytes got;
        bool open, lost, want, free_when_open, free_when_readable;
        size_t piece; /* bytes read at once, once for each call; 0: all */
        int readable;
        char detail[300];
} Fixture;

static void on_open(void *userdata) {
        Fixture *f = userdata;

        assert_false(f->open);
        f->open = true;
        if (f->free_when_open)
                f->stream = stream_free(f->stream);
}

static void on_readable(void *userdata) {
        char buffer[512];
        Fixture *f = userdata;
        size_t n;

        f->readable++;
        if (f->free_when_readable) {
                f->stream = stream_free(f->stream);
                return;
        }
        do {
                n = stream_read(f->stream, buffer, f->piece > 0 ? f->piece : sizeof(buffer));
                assert_int_equal(bytes_append(&f->got, buffer, n), 0);
        } while (n > 0 && f->piece == 0);
}

static void on_lost(void *userdata, const char *detail) {
        Fixture *f = userdata;

        assert_false(f->lost);
        f->lost = true;
        f->want = stream_is_want(f->stream);
        (void) snprintf(f->detail, sizeof(f->detail), "%s", detail);
}

static void on_tick(void *userdata) {
        Fixture *f = userdata;

        loop_arm_in(f->tick, 5 * USEC_PER_MSEC);
}

static int set_up(void **state) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void) signal(SIGPIPE, SIG_IGN);
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_tick, f, &f->tick), 0);
        loop_arm_in(f->tick, 0);
        f->peer_fd = -1;
        f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(f->listen_fd >= 0);
        assert_int_equal(bind(f->listen_fd, (struct sockaddr *) &address, size), 0);
        assert_int_equal(listen(f->listen_fd, 8), 0);
        assert_int_equal(getsockname(f->listen_fd, (struct sockaddr *) &address, &size), 0);
        f->port = ntohs(address.sin_port);
        *state = f;
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;

        stream_free(f->stream);
        if (f->peer_fd >= 0)
                close(f->peer_fd);
        close(f->listen_fd);
        bytes_done(&f->got);
        loop_drop(f->tick);
        loop_free(f->loop);
        free(f);
        return 0;
}

static void turn(Fixture *f) {
        assert_true(loop_turn(f->loop, 20 * USEC_PER_MSEC) >= 0);
}

static void open_stream(Fixture *f, const char *host, uint16_t port, bool tls, const char *ca_file) {
        assert_int_equal(stream_open(f->loop,
                                 &(StreamSpec){ .host = host,
                                         .port = port,
                                         .tls = tls,
                                         .ca_file = ca_file,
                                         .timeout = 5 * USEC_PER_SEC },
                                 &(StreamCallbacks){ on_open, on_readable, on_lost, f }, &f->stream),
                0);
}

static void open_to_peer(Fixture *f) {
        open_stream(f, "127.0.0.1", f->port, false, NULL);
        assert_false(f->open); /* never from inside */
        while (f->peer_fd < 0 || !(f->open || f->free_when_open)) {
                if (f->peer_fd < 0)
                        f->peer_fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                turn(f);
        }
}

static void say(Fixture *f, const char *text) {
        assert_int_equal(send(f->peer_fd, text, strlen(text), 0), strlen(text));
}

static void test_both_ways(void **state) {
        Fixture *f = *state;
        char buffer[16] = "";

        open_to_peer(f);
        assert_int_equal(stream_write(f->stream, "hello", 5), 0);
        while (recv(f->peer_fd, buffer, sizeof(buffer) - 1, 0) < 0)
                turn(f);
        assert_string_equal(buffer, "hello");
        say(f, "good day");
        while (f->got.size < 8)
                turn(f);
        assert_string_equal(f->got.data, "good day");
        assert_false(f->lost);
        close(f->peer_fd);
        f->peer_fd = -1;
        while (!f->lost)
                turn(f);
        assert_string_equal(f->detail, "the peer closed the connection");
        for (int i = 0; i < 3; i++)
                turn(f); /* told once */
}

/* What was written before the connection stood is sent when it does. */
static void test_written_early(void **state) {
        Fixture *f = *state;
        char buffer[16] = "";

        open_stream(f, "localhost", f->port, false, NULL);
        assert_int_equal(stream_write(f->stream, "early", 5), 0);
        while (!f->open)
                turn(f);
        f->peer_fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(f->peer_fd >= 0);
        assert_int_equal(recv(f->peer_fd, buffer, sizeof(buffer) - 1, MSG_WAITALL * 0), 5);
        assert_string_equal(buffer, "early");
}

static void test_reads_a_piece_at_a_time(void **state) {
        Fixture *f = *state;

        f->piece = 3;
        open_to_peer(f);
        say(f, "0123456789");
        while (f->got.size < 10)
                turn(f);
        assert_string_equal(f->got.data, "0123456789");
        assert_true(f->readable >= 4);
}

static void test_hold(void **state) {
        Fixture *f = *state;

        open_to_peer(f);
        stream_hold(f->stream, true);
        say(f, "later");
        for (int i = 0; i < 5; i++)
                turn(f);
        assert_int_equal(f->readable, 0);
        stream_hold(f->stream, false);
        while (f->got.size < 5)
                turn(f);
        assert_string_equal(f->got.data, "later");
}

/* More than the kernel's buffers hold: it goes out as the peer takes it. */
static void test_large_write(void **state) {
        static char block[4 * 1024 * 1024], buffer[65536];
        Fixture *f = *state;
        size_t got = 0;

        for (size_t i = 0; i < sizeof(block); i++)
                block[i] = (char) (i * 7 + i / 4096);
        open_to_peer(f);
        assert_int_equal(stream_write(f->stream, block, sizeof(block)), 0);
        while (got < sizeof(block)) {
                ssize_t n = recv(f->peer_fd, buffer, sizeof(buffer), 0);

                if (n > 0) {
                        assert_memory_equal(buffer, block + got, (size_t) n);
                        got += (size_t) n;
                } else
                        turn(f);
        }
}

static size_t count_descriptors(void) {
        DIR *directory = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(directory);
        while (readdir(directory))
                n++;
        closedir(directory);
        return n;
}

/* A thousand sources may have one each: what the unit's LimitNOFILE= is counted for. */
static void test_descriptors(void **state) {
        Fixture *f = *state;
        size_t before = count_descriptors();

        open_to_peer(f);
        assert_true(count_descriptors() - before <= 3 + 1 /* the peer's */);
}

static void test_refused(void **state) {
        Fixture *f = *state;

        close(f->listen_fd);
        open_stream(f, "127.0.0.1", f->port, false, NULL);
        while (!f->lost)
                turn(f);
        assert_string_equal(f->detail, "connection refused");
        assert_false(f->want);
        assert_false(f->open);
        f->listen_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void test_no_descriptor(void **state) {
        struct rlimit before, none;
        Fixture *f = *state;
        int next;

        open_stream(f, "127.0.0.1", f->port, false, NULL);
        next = dup(STDERR_FILENO); /* the lowest that is free */
        (void) close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ (rlim_t) next, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        while (!f->lost)
                turn(f);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_string_equal(
                f->detail, "cannot connect: this machine is short of descriptors or memory (Too many open files)");
        assert_true(f->want);
}

static void test_freed_from_inside(void **state) {
        Fixture *f = *state;

        f->free_when_open = true;
        open_to_peer(f);
        while (f->stream)
                turn(f);
        close(f->peer_fd);
        f->peer_fd = -1;
        f->open = f->free_when_open = false;
        f->free_when_readable = true;
        open_to_peer(f);
        say(f, "x");
        while (f->stream)
                turn(f);
        assert_false(f->lost);
}

static bool serve(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        http_server_reply(c, 200, "", "over TLS");
        return true;
}

static void test_tls(void **state) {
        char directory[] = "/tmp/test-stream.XXXXXX", certificate[64];
        static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        Fixture *f = *state;
        HttpServer *server;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(certificate, sizeof(certificate), "%s/certificate.pem", directory);
        server = http_server_new_tls(serve, NULL, certificate);
        f->piece = 5;
        open_stream(f, "127.0.0.1", (uint16_t) http_server_port(server), true, certificate);
        while (!f->open)
                turn(f);
        assert_int_equal(stream_write(f->stream, request, strlen(request)), 0);
        while (!f->got.data || !strstr(f->got.data, "over TLS"))
                turn(f);
        f->stream = stream_free(f->stream);

        f->open = false; /* the system's anchors do not know it */
        open_stream(f, "127.0.0.1", (uint16_t) http_server_port(server), true, NULL);
        while (!f->lost)
                turn(f);
        assert_non_null(strstr(f->detail, "certificate is not trusted"));
        assert_false(f->open);
        f->stream = stream_free(f->stream);
        http_server_free(server);
        assert_int_equal(unlink(certificate), 0);
        assert_int_equal(rmdir(directory), 0);
}

typedef struct Slow {
        atomic_bool begin, good, done;
} Slow;

#define SLOW_PIECE 50000u
#define SLOW_PIECES 500 /* more than the kernel's buffers hold */

static bool take_late(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        static char piece[SLOW_PIECE];
        Slow *slow = userdata;
        bool good = true;

        while (!atomic_load(&slow->begin))
                (void) usleep(1000);
        for (int i = 0; i < SLOW_PIECES && good; i++) {
                good = http_server_receive(c, piece, sizeof(piece));
                for (size_t j = 0; good && j < sizeof(piece); j++)
                        good = piece[j] == (char) i;
        }
        atomic_store(&slow->good, good);
        atomic_store(&slow->done, true);
        return false;
}

/* What is written while earlier bytes wait for the peer goes out behind them, wherever the buffer has moved to. */
static void test_tls_peer_that_is_slow(void **state) {
        char directory[] = "/tmp/test-stream.XXXXXX", certificate[64], piece[SLOW_PIECE];
        static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        Fixture *f = *state;
        HttpServer *server;
        Slow slow = {};

        assert_non_null(mkdtemp(directory));
        (void) snprintf(certificate, sizeof(certificate), "%s/certificate.pem", directory);
        server = http_server_new_tls(take_late, &slow, certificate);
        open_stream(f, "127.0.0.1", (uint16_t) http_server_port(server), true, certificate);
        while (!f->open)
                turn(f);
        assert_int_equal(stream_write(f->stream, request, strlen(request)), 0);
        while (http_server_calls(server) == 0)
                turn(f);
        for (int i = 0; i < SLOW_PIECES; i++) {
                memset(piece, i, sizeof(piece));
                assert_int_equal(stream_write(f->stream, piece, sizeof(piece)), 0);
                assert_false(f->lost);
        }
        turn(f);
        atomic_store(&slow.begin, true);
        while (!atomic_load(&slow.done)) {
                assert_string_equal(f->detail, ""); /* not lost */
                turn(f);
        }
        assert_true(atomic_load(&slow.good));
        f->stream = stream_free(f->stream);
        http_server_free(server);
        assert_int_equal(unlink(certificate), 0);
        assert_int_equal(rmdir(directory), 0);
}

static bool send_without_end(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        static const char piece[65536] = "";
        atomic_bool *stop = userdata;

        while (!atomic_load(stop))
                http_server_send(c, piece, sizeof(piece));
        return false;
}

static void on_late(void *userdata) {
        *(bool *) userdata = true;
}

/* Others have their turn, too. */
static void test_peer_that_is_fast(void **state) {
        static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        atomic_bool stop = false;
        HttpServer *server = http_server_new(send_without_end, &stop);
        Fixture *f = *state;
        LoopWatch *timer;
        bool late = false;

        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_late, &late, &timer), 0);
        f->piece = 16;
        open_stream(f, "127.0.0.1", (uint16_t) http_server_port(server), false, NULL);
        while (!f->open)
                turn(f);
        assert_int_equal(stream_write(f->stream, request, strlen(request)), 0);
        while (f->got.size < 10000)
                turn(f);
        loop_arm_in(timer, 0);
        for (int i = 0; i < 1000 && !late; i++)
                turn(f);
        assert_true(late);
        atomic_store(&stop, true);
        f->stream = stream_free(f->stream);
        loop_drop(timer);
        http_server_free(server);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_both_ways, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_written_early, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_reads_a_piece_at_a_time, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hold, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_large_write, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_descriptors, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_descriptor, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_freed_from_inside, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_tls, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_tls_peer_that_is_slow, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_peer_that_is_fast, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
