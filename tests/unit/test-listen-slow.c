/* SPDX-License-Identifier: Apache-2.0 */
/* Who drips, in virtual time: a request has half a minute as a whole, however alive its connection is. And who connects
 * while routes change. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "free-port.h"
#include "lib/clock.h"
#include "lib/listen.h"
#include "real-calls.h"
#include "virtual-loop.h"

#define DEADLINE_SEC 30
#define SWEEP_SEC 5 /* how late it may be noticed */
#define IDLE_SEC 74 /* of a connection between two requests */
#define LARGE (16 * 1024 * 1024)

typedef struct Fixture {
        Loop *loop;
        Listen *listen;
        ListenRoute *route;
        ListenRequest *owed; /* where the test answers later */
        const char *body;    /* of the answer; NULL: later */
        size_t body_size;
        usec_t takes; /* how long we work on a request */
        int requests;
        int refused, over; /* how often on_refused() told one and the other */
        uint16_t port;
        int fd;
} Fixture;

static void on_request(void *userdata, ListenRequest *request) {
        Fixture *f = userdata;

        f->requests++;
        f->owed = request;
        virtual_sleep(f->takes);
        if (f->body)
                listen_answer(request,
                        &(ListenAnswer){
                                .status = 200, .content_type = "text/plain", .body = { f->body, f->body_size } });
}

static void on_refused(void *userdata, int error) {
        Fixture *f = userdata;

        assert_true(error == 0 || error == -EMFILE);
        f->refused += error < 0;
        f->over += error == 0;
}

static void dial(Fixture *f) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(f->port)
        };

        f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(f->fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(fcntl(f->fd, F_SETFL, O_NONBLOCK), 0);
}

static int set_up(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        char listened[64];

        assert_non_null(f);
        (void) signal(SIGPIPE, SIG_IGN);
        f->port = free_port();
        (void) snprintf(listened, sizeof(listened), "127.0.0.1:%u", f->port);

        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(listen_new(f->loop, &f->listen), 0);
        assert_int_equal(listen_route(f->listen,
                                 &(ListenSpec){ .address = listened, .path = "/", .below = true, .max_body = 10000 },
                                 &(ListenHandler){ NULL, on_request, on_refused, f }, &f->route),
                0);
        dial(f);
        f->body = "done\n";
        f->body_size = 5;
        *state = f;
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;

        if (f->fd >= 0)
                close(f->fd);
        virtual_pass(f->loop, 0);
        listen_drop(f->route);
        listen_free(f->listen);
        loop_free(f->loop);
        free(f);
        return 0;
}

static void say(Fixture *f, const char *text) {
        assert_int_equal(send(f->fd, text, strlen(text), 0), strlen(text));
        virtual_pass(f->loop, 0);
}

/* Nothing came, and the connection stands. */
static void assert_open(const Fixture *f) {
        char c;

        assert_int_equal(recv(f->fd, &c, 1, MSG_PEEK), -1);
        assert_int_equal(errno, EAGAIN);
}

/* It is closed without an answer; its end may take a moment of real time to get here. */
static void assert_cut(Fixture *f) {
        char c;
        ssize_t n = recv(f->fd, &c, 1, 0);

        for (int i = 0; i < 10000 && n < 0 && errno == EAGAIN; i++) {
                assert_int_equal(usleep(1000), 0);
                virtual_pass(f->loop, 0);
                n = recv(f->fd, &c, 1, 0);
        }
        assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

/* What was sent may take a moment of real time to get there. */
static void await_requests(Fixture *f, int n) {
        for (int i = 0; i < 10000 && f->requests < n; i++) {
                assert_int_equal(usleep(1000), 0);
                virtual_pass(f->loop, 0);
        }
        assert_int_equal(f->requests, n);
}

static void await_bytes(Fixture *f, char *buffer, size_t size) {
        ssize_t n = recv(f->fd, buffer, size, 0);

        for (int i = 0; i < 10000 && n < 0 && errno == EAGAIN; i++) {
                assert_int_equal(usleep(1000), 0);
                virtual_pass(f->loop, 0);
                n = recv(f->fd, buffer, size, 0);
        }
        assert_true(n > 0);
}

/* A byte a second for *seconds*. */
static void drip(Fixture *f, unsigned seconds) {
        for (unsigned i = 0; i < seconds; i++) {
                say(f, "x");
                virtual_pass(f->loop, USEC_PER_SEC);
        }
}

static void test_header(void **state) {
        Fixture *f = *state;

        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
        drip(f, DEADLINE_SEC - 1);
        assert_open(f);
        virtual_pass(f->loop, (1 + SWEEP_SEC) * USEC_PER_SEC);
        assert_cut(f);
        assert_int_equal(f->requests, 0);
}

static void test_body(void **state) {
        Fixture *f = *state;

        say(f, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
        drip(f, DEADLINE_SEC - 1);
        assert_open(f);
        virtual_pass(f->loop, (1 + SWEEP_SEC) * USEC_PER_SEC);
        assert_cut(f);
        assert_int_equal(f->requests, 0);
}

/* One that takes its answer too slowly is cut off in the middle of it. */
static void test_answer(void **state) {
        Fixture *f = *state;
        char *large = calloc(1, LARGE), buffer[4096];
        size_t taken = 0;
        ssize_t n = 1;

        assert_non_null(large);
        f->body = large;
        f->body_size = LARGE;
        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await_requests(f, 1);
        for (unsigned i = 0; i < DEADLINE_SEC + SWEEP_SEC; i++) {
                n = recv(f->fd, buffer, sizeof(buffer), 0);
                taken += n > 0 ? (size_t) n : 0;
                virtual_pass(f->loop, USEC_PER_SEC);
        }
        for (int i = 0; i < 10000 && (n > 0 || errno == EAGAIN); i++) { /* what lay in the sockets */
                n = recv(f->fd, buffer, sizeof(buffer), 0);
                taken += n > 0 ? (size_t) n : 0;
                if (n < 0 && errno == EAGAIN)
                        assert_int_equal(usleep(1000), 0);
                else if (n <= 0)
                        break;
        }
        assert_true(n == 0 || errno == ECONNRESET);
        assert_in_range(taken, 1, LARGE - 1);
        free(large);
}

/* Returns the status of the answer to another client, who reads no more than that; *f->fd* is theirs. */
static int ask(Fixture *f, int n) {
        char reply[13] = "";

        dial(f);
        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await_requests(f, n);
        await_bytes(f, reply, 12);
        return atoi(reply + strlen("HTTP/1.1 "));
}

/* However many clients never read: what they are sent takes up little memory, others get short answers meanwhile, and
 * what they were to get is gone with them. */
static void test_many_who_never_read(void **state) {
        char *large = calloc(2, LARGE);
        int fds[20], first, n = 0;
        Fixture *f = *state;

        first = f->fd;
        f->body = large;
        f->body_size = LARGE / 16;
        for (; n < 20; n++) {
                assert_int_equal(ask(f, n + 1), n < 16 ? 200 : 503);
                fds[n] = f->fd;
        }
        f->body_size = 16 * 1024;
        assert_int_equal(ask(f, ++n), 200);
        close(f->fd);
        virtual_pass(f->loop, (DEADLINE_SEC + SWEEP_SEC + 1) * USEC_PER_SEC);
        f->body_size = LARGE * 2; /* a single one may be larger */
        assert_int_equal(ask(f, ++n), 200);
        for (int i = 0; i < 20; i++)
                close(fds[i]);
        close(first);
        free(large);
}

/* Many devices send the header first: whoever is refused reads why, not that the connection was reset. */
static void test_refused_while_the_body_comes(void **state) {
        char piece[10001], reply[13] = "";
        Fixture *f = *state;

        memset(piece, 'x', 10000);
        piece[10000] = '\0';
        say(f, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n");
        for (int i = 0; i < 5; i++) {
                assert_int_equal(usleep(10000), 0);
                virtual_pass(f->loop, USEC_PER_SEC);
                say(f, piece);
        }
        await_bytes(f, reply, 12);
        assert_string_equal(reply, "HTTP/1.1 413");
}

/* A stranger whose body has no length and no end does not keep us busy until the deadline. */
static void test_refused_without_an_end(void **state) {
        char *piece = calloc(1, LARGE);
        size_t sent = 0;
        ssize_t n = 0;
        Fixture *f = *state;

        say(f, "POST / HTTP/1.1\r\nHost: stranger.example\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n");
        for (int i = 0; i < 100000 && (n >= 0 || errno == EAGAIN) && sent < 4 * (size_t) LARGE; i++) {
                n = send(f->fd, piece, LARGE, 0);
                sent += n > 0 ? (size_t) n : 0;
                virtual_pass(f->loop, 0);
        }
        assert_true(n < 0 && errno != EAGAIN);
        assert_in_range(sent, LARGE, 3 * LARGE); /* what is under way counts, too */
        free(piece);
}

/* The time that we need for an answer is not the client's. */
static void test_answer_that_we_owe(void **state) {
        Fixture *f = *state;
        char reply[16] = "";

        f->body = NULL;
        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await_requests(f, 1);
        virtual_pass(f->loop, 10 * DEADLINE_SEC * USEC_PER_SEC);
        assert_open(f);
        listen_answer(f->owed, &(ListenAnswer){ .status = 200, .content_type = "text/plain", .body = { "done\n", 5 } });
        virtual_pass(f->loop, 0);
        await_bytes(f, reply, 12);
        assert_string_equal(reply, "HTTP/1.1 200");
}

/* Each request of a connection has the whole time, however long that was idle before. */
static void test_the_next_request(void **state) {
        Fixture *f = *state;
        char buffer[4096];

        for (int i = 1; i <= 3; i++) {
                say(f, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
                drip(f, DEADLINE_SEC - 10);
                say(f, "\r\n\r\n");
                await_requests(f, i);
                await_bytes(f, buffer, sizeof(buffer));
                virtual_pass(f->loop, IDLE_SEC * USEC_PER_SEC);
        }
}

/* What takes us long (TLS connections that strangers begin) leaves half of the time to the rest of the daemon. */
static void test_rest_after_a_long_turn(void **state) {
        Fixture *f = *state;
        int first = f->fd;

        f->takes = 200 * USEC_PER_MSEC;
        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await_requests(f, 1);
        f->takes = 0;
        dial(f);
        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        virtual_pass(f->loop, 199 * USEC_PER_MSEC);
        assert_int_equal(f->requests, 1);
        virtual_pass(f->loop, 2 * USEC_PER_MSEC);
        await_requests(f, 2);
        close(first);
}

/* Two addresses leave time to the rest of the daemon, too: the turn of one is no rest for the other. */
static void test_rest_of_two_addresses(void **state) {
        Fixture *f = *state;
        uint16_t port = f->port;
        ListenRoute *route;
        char listened[64];
        int fds[2];

        fds[0] = f->fd;
        f->port = free_port();
        (void) snprintf(listened, sizeof(listened), "127.0.0.1:%u", f->port);
        assert_int_equal(listen_route(f->listen,
                                 &(ListenSpec){ .address = listened, .path = "/", .below = true, .max_body = 10000 },
                                 &(ListenHandler){ NULL, on_request, on_refused, f }, &route),
                0);
        dial(f);
        fds[1] = f->fd;
        f->takes = 200 * USEC_PER_MSEC;
        for (int i = 0; i < 2; i++) {
                f->fd = fds[i];
                say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
                await_requests(f, i + 1);
        }
        f->takes = 0;
        f->port = port;
        dial(f);
        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        virtual_pass(f->loop, 199 * USEC_PER_MSEC);
        assert_int_equal(f->requests, 2);
        virtual_pass(f->loop, 2 * USEC_PER_MSEC);
        await_requests(f, 3);
        close(fds[0]);
        close(fds[1]);
        virtual_pass(f->loop, 0);
        listen_drop(route);
}

/* Lets no descriptor be opened, or again. */
static void allow_descriptors(bool allow) {
        int next = dup(STDERR_FILENO); /* the lowest that is free */
        struct rlimit limit;

        close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = allow ? limit.rlim_max : (rlim_t) next;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* The owner of an address hears of it while nobody can be let in, and when it is over. */
static void test_no_descriptor(void **state) {
        Fixture *f = *state;

        if (is_in_valgrind())
                skip();
        allow_descriptors(false);
        virtual_pass(f->loop, (SWEEP_SEC + 1) * USEC_PER_SEC);
        assert_int_equal(f->refused, 1);
        virtual_pass(f->loop, SWEEP_SEC * USEC_PER_SEC);
        assert_int_equal(f->refused, 2);
        assert_int_equal(f->over, 0);
        allow_descriptors(true);
        virtual_pass(f->loop, SWEEP_SEC * USEC_PER_SEC);
        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await_requests(f, 1);
        virtual_pass(f->loop, 3 * SWEEP_SEC * USEC_PER_SEC);
        assert_int_equal(f->refused, 2);
        assert_int_equal(f->over, 1);
}

/* While others are let in, libmicrohttpd does not try again before one of them goes. */
static void test_no_further_descriptor(void **state) {
        Fixture *f = *state;
        int first = f->fd;

        if (is_in_valgrind())
                skip();
        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await_requests(f, 1);
        dial(f);
        allow_descriptors(false);
        virtual_pass(f->loop, 3 * SWEEP_SEC * USEC_PER_SEC);
        assert_in_range(f->refused, 2, 3);
        assert_int_equal(f->over, 0);
        close(first);
        allow_descriptors(true);
        say(f, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await_requests(f, 2);
        virtual_pass(f->loop, SWEEP_SEC * USEC_PER_SEC);
        assert_in_range(f->refused, 2, 3);
        assert_int_equal(f->over, 1);
}

/* ---- the only route is dropped, and comes back in the same turn ---- */

static void route_again(Fixture *f, const char *address) {
        char listened[64];

        (void) snprintf(listened, sizeof(listened), "%s:%u", address, f->port);
        assert_int_equal(
                listen_route(f->listen, &(ListenSpec){ .address = listened, .path = "/again", .max_body = 10000 },
                        &(ListenHandler){ NULL, on_request, on_refused, f }, &f->route),
                0);
}

/* As at a reload: nobody who connects meanwhile is refused. */
static void test_who_waits_is_served_by_the_next_route(void **state) {
        Fixture *f = *state;

        close(f->fd);
        virtual_pass(f->loop, 0);
        dial(f); /* it waits to be accepted */
        f->route = listen_drop(f->route);
        route_again(f, "127.0.0.1");
        say(f, "GET /again HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_int_equal(f->requests, 1);
        close(f->fd);
        dial(f);
        f->route = listen_drop(f->route);
        route_again(f, "0.0.0.0"); /* which takes in the address that is not closed yet */
        close(f->fd);
        dial(f);
        say(f, "GET /again HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_int_equal(f->requests, 2);
}

static void test_without_a_route_the_address_is_free(void **state) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        Fixture *f = *state;

        address.sin_port = htons(f->port);
        f->route = listen_drop(f->route);
        virtual_pass(f->loop, 0);
        close(f->fd);
        f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(f->fd, (struct sockaddr *) &address, sizeof(address)), -1);
        assert_int_equal(errno, ECONNREFUSED);
}

/* One host has many addresses in a network of its own, here that of fd00::. */
static void make_network(unsigned n) {
        struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK };
        struct {
                struct in6_addr address;
                uint32_t bits;
                int index;
        } more = { .bits = 128 }; /* in6_ifreq of the kernel */
        int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
        more.index = (int) if_nametoindex("lo");
        assert_int_equal(inet_pton(AF_INET6, "fd00::", &more.address), 1);
        for (unsigned i = 1; i <= n; i++) {
                more.address.s6_addr[15] = (uint8_t) i;
                assert_int_equal(ioctl(fd, SIOCSIFADDR, &more), 0);
        }
        assert_int_equal(inet_pton(AF_INET6, "fd00:0:0:1::1", &more.address), 1);
        assert_int_equal(ioctl(fd, SIOCSIFADDR, &more), 0);
        (void) close(fd);
}

/* A new address can be used after a moment only. */
static void bind_soon(int fd, const struct sockaddr_in6 *address) {
        for (int i = 0; bind(fd, (const struct sockaddr *) address, sizeof(*address)) < 0; i++) {
                assert_int_equal(errno, EADDRNOTAVAIL);
                assert_true(i < 10000 && usleep(1000) == 0);
        }
}

static int dial_from(const Fixture *f, const char *host, const char *to) {
        struct sockaddr_in6 ours = { .sin6_family = AF_INET6 },
                            theirs = { .sin6_family = AF_INET6, .sin6_port = htons(f->port) };
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(inet_pton(AF_INET6, host, &ours.sin6_addr), 1);
        assert_int_equal(inet_pton(AF_INET6, to, &theirs.sin6_addr), 1);
        bind_soon(fd, &ours);
        assert_int_equal(connect(fd, (struct sockaddr *) &theirs, sizeof(theirs)), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        return fd;
}

/* A host that connects from each address of its network, and says nothing, keeps nobody else out. */
static void test_many_addresses_of_one_host(void **state) {
        struct sockaddr_in6 server = { .sin6_family = AF_INET6 };
        ListenRoute *route;
        Fixture *f = *state;
        char text[64];
        int fds[150];

        if (unshare(CLONE_NEWNET) < 0)
                skip(); /* needs root. Last of all tests: nothing else can be reached from here */
        make_network(ELEMENTSOF(fds));
        fds[0] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(inet_pton(AF_INET6, "fd00::1", &server.sin6_addr), 1);
        bind_soon(fds[0], &server);
        (void) close(fds[0]);
        (void) snprintf(text, sizeof(text), "[fd00::1]:%u", f->port);
        assert_int_equal(listen_route(f->listen, &(ListenSpec){ .address = text, .path = "/", .below = true },
                                 &(ListenHandler){ NULL, on_request, on_refused, f }, &route),
                0);
        for (unsigned i = 0; i < ELEMENTSOF(fds); i++) {
                (void) snprintf(text, sizeof(text), "fd00::%x", i + 1);
                fds[i] = dial_from(f, text, "fd00::1");
                virtual_pass(f->loop, 0);
        }
        (void) close(f->fd);
        f->fd = dial_from(f, "fd00:0:0:1::1", "fd00::1");
        say(f, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        for (int i = 0; i < 1000 && f->requests == 0; i++) {
                assert_int_equal(usleep(1000), 0);
                virtual_pass(f->loop, 0);
        }
        assert_int_equal(f->requests, 1);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                (void) close(fds[i]);
        listen_drop(route);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_header, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_body, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answer, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many_who_never_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused_while_the_body_comes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused_without_an_end, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answer_that_we_owe, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_the_next_request, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_rest_after_a_long_turn, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_rest_of_two_addresses, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_descriptor, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_further_descriptor, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_who_waits_is_served_by_the_next_route, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_without_a_route_the_address_is_free, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many_addresses_of_one_host, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
