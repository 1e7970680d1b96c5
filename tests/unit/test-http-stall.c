/* SPDX-License-Identifier: Apache-2.0 */
/* A request on a slow line: it may take as long as it moves, and ends soon after nothing does. */
#include "http-fixture.h"

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>

#define BODY_SIZE ((size_t) 600 * 1000)
#define STALL (400 * USEC_PER_MSEC)

/* A server that takes a request as slowly as a bad uplink does, and the first *taken* bytes of it at most. */
typedef struct SlowServer {
        int fd;
        size_t piece, taken;
        usec_t pause, stall;
        bool answers;
        sem_t over; /* the client has ended */
        pthread_t thread;
        unsigned port;
} SlowServer;

static void *slow_serve(void *userdata) {
        SlowServer *s = userdata;
        _cleanup_close_ int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        static char buffer[65536];
        size_t n = 0;
        ssize_t r = 1;

        while (r > 0 && n < s->taken) {
                r = recv(fd, buffer, s->piece, 0);
                n += r > 0 ? (size_t) r : 0;
                (void) usleep((useconds_t) s->pause);
        }
        if (s->answers)
                (void) !send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
        (void) sem_wait(&s->over); /* what was not taken stays where it is */
        return NULL;
}

static void slow_start(SlowServer *s) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        int small = 8192;

        s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(s->fd >= 0);
        assert_int_equal(setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        assert_int_equal(bind(s->fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(s->fd, 1), 0);
        assert_int_equal(getsockname(s->fd, (struct sockaddr *) &address, &size), 0);
        s->port = ntohs(address.sin_port);
        assert_int_equal(sem_init(&s->over, 0, 0), 0);
        assert_int_equal(pthread_create(&s->thread, NULL, slow_serve, s), 0);
}

/* Sends BODY_SIZE bytes there, and says how long that took. */
static usec_t slow_post(SlowServer *s, Result *result) {
        usec_t begin = clock_now();
        Fixture f = {};
        char url[64];
        HttpSpec spec = {
                .method = "POST", .url = url, .stall = s->stall, .timeout = 60 * USEC_PER_SEC, .max_reply = 1000
        };

        slow_start(s);
        fixture_set_up(&f, NULL, NULL);
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%u/", s->port);
        assert_int_equal(bytes_reserve(&spec.body, BODY_SIZE), 0);
        memset(spec.body.data, 'x', BODY_SIZE);
        spec.body.size = BODY_SIZE;
        fixture_start(&f, &spec, result);
        fixture_run(&f, result);
        fixture_tear_down(&f);
        assert_int_equal(sem_post(&s->over), 0);
        assert_int_equal(pthread_join(s->thread, NULL), 0);
        (void) close(s->fd);
        bytes_done(&result->body);
        return clock_now() - begin;
}

/* About 400 kB/s: four times as long as nothing may move. All of it ten times as slow where the machine itself stood
 * still for so long. */
static void test_slow_is_not_stuck(void **state) {
        Result result;

        for (usec_t scale = 1;; scale *= 10) {
                SlowServer s = { .piece = 4000,
                        .pause = scale * 10 * USEC_PER_MSEC,
                        .stall = scale * STALL,
                        .taken = BODY_SIZE,
                        .answers = true };

                result = (Result){};
                assert_true(slow_post(&s, &result) > 3 * s.stall || result.outcome != HTTP_ANSWERED);
                if (result.outcome == HTTP_ANSWERED || scale > 1)
                        break;
        }
        assert_int_equal(result.outcome, HTTP_ANSWERED);
        assert_int_equal(result.status, 200);
}

static void test_stops_in_the_middle(void **state) {
        SlowServer s = { .piece = 4000, .pause = USEC_PER_MSEC, .stall = STALL, .taken = BODY_SIZE / 4 };
        Result result = {};

        assert_true(slow_post(&s, &result) < 20 * STALL);
        assert_int_equal(result.outcome, HTTP_TIMEOUT);
        assert_string_equal(result.detail, "no reply, and nothing sent, for 400 ms");
}

static void test_no_reply(void **state) {
        SlowServer s = { .piece = 65536, .stall = STALL, .taken = BODY_SIZE };
        Result result = {};

        assert_true(slow_post(&s, &result) < 20 * STALL);
        assert_int_equal(result.outcome, HTTP_TIMEOUT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_slow_is_not_stuck),
                cmocka_unit_test(test_stops_in_the_middle),
                cmocka_unit_test(test_no_reply),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
