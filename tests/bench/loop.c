/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (256 * 1024)
#define INPUT_MAX (64 * 1024 * 1024)

struct Loop {
        LoopHandler handler;
        int epoll_fd, listen_fd, signal_fd;
        uint16_t port;
        uint64_t tick;
        Peer *peers;
        bool ended;
};

static uint64_t clock_usec(clockid_t clock) {
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (uint64_t) t.tv_sec * 1000000U + (uint64_t) t.tv_nsec / 1000U;
}

uint64_t loop_now(void) {
        return clock_usec(CLOCK_MONOTONIC);
}

uint64_t loop_wall(void) {
        return clock_usec(CLOCK_REALTIME);
}

void buffer_reserve(Buffer *b, size_t size) {
        size_t wanted = b->size + size + 1;

        if (wanted <= b->allocated)
                return;
        if (wanted < b->allocated * 2)
                wanted = b->allocated * 2;
        b->data = realloc(b->data, wanted);
        if (!b->data)
                err(EXIT_FAILURE, "realloc");
        b->allocated = wanted;
}

void buffer_append(Buffer *b, const void *data, size_t size) {
        buffer_reserve(b, size);
        memcpy(b->data + b->size, data, size);
        b->size += size;
}

void buffer_format(Buffer *b, const char *format, ...) {
        va_list arguments;
        int n;

        buffer_reserve(b, 1024);
        va_start(arguments, format);
        n = vsnprintf(b->data + b->size, 1024, format, arguments);
        va_end(arguments);
        if (n < 0 || n >= 1024)
                errx(EXIT_FAILURE, "a formatted line is too long");
        b->size += (size_t) n;
}

void buffer_done(Buffer *b) {
        free(b->data);
        *b = (Buffer){};
}

static void loop_watch(Loop *loop, int op, int fd, uint32_t events, void *pointer) {
        struct epoll_event event = { .events = events, .data.ptr = pointer };

        if (epoll_ctl(loop->epoll_fd, op, fd, &event) < 0)
                err(EXIT_FAILURE, "epoll_ctl");
}

static Peer *peer_new(Loop *loop, int fd) {
        int on = 1;
        Peer *peer = calloc(1, sizeof *peer);

        if (!peer)
                err(EXIT_FAILURE, "calloc");
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        peer->loop = loop;
        peer->fd = fd;
        peer->next = loop->peers;
        loop->peers = peer;
        loop_watch(loop, EPOLL_CTL_ADD, fd, EPOLLIN, peer);
        return peer;
}

void peer_close(Peer *peer) {
        if (peer->dead)
                return;
        peer->dead = true;
        (void) close(peer->fd);
        if (peer->loop->handler.on_close)
                peer->loop->handler.on_close(peer);
}

void peer_flush(Peer *peer) {
        bool wait;

        while (!peer->dead && peer->sent < peer->out.size) {
                ssize_t n = send(peer->fd, peer->out.data + peer->sent, peer->out.size - peer->sent,
                        MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        peer_close(peer);
                        return;
                }
                peer->sent += (size_t) n;
        }
        if (peer->dead)
                return;
        wait = peer->sent < peer->out.size;
        if (!wait)
                peer->out.size = peer->sent = 0;
        if (wait != peer->waits_to_send) {
                peer->waits_to_send = wait;
                loop_watch(peer->loop, EPOLL_CTL_MOD, peer->fd, EPOLLIN | (wait ? (uint32_t) EPOLLOUT : 0), peer);
        }
}

/* Lets the handler use up what is there, request by request. */
static void peer_consume(Peer *peer) {
        size_t used = 0;

        while (used < peer->in.size && !peer->dead) {
                ssize_t n = peer->loop->handler.on_input(peer, peer->in.data + used, peer->in.size - used);

                if (n < 0) {
                        peer_close(peer);
                        return;
                }
                if (n == 0)
                        break;
                used += (size_t) n;
        }
        if (used > 0) {
                memmove(peer->in.data, peer->in.data + used, peer->in.size - used);
                peer->in.size -= used;
        }
}

static void peer_read(Peer *peer) {
        ssize_t n;

        if (peer->in.size > INPUT_MAX) {
                peer_close(peer);
                return;
        }
        buffer_reserve(&peer->in, READ_SIZE);
        n = recv(peer->fd, peer->in.data + peer->in.size, peer->in.allocated - peer->in.size - 1, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0) {
                peer_close(peer);
                return;
        }
        peer->in.size += (size_t) n;
        peer_consume(peer);
        peer_flush(peer);
}

Loop *loop_new(uint16_t port, const LoopHandler *handler) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
        };
        socklen_t size = sizeof address;
        Loop *loop = calloc(1, sizeof *loop);
        sigset_t signals;
        int on = 1;

        if (!loop)
                err(EXIT_FAILURE, "calloc");
        loop->handler = *handler;
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void) sigemptyset(&signals);
        (void) sigaddset(&signals, SIGTERM);
        (void) sigaddset(&signals, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &signals, NULL);
        loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        loop->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
        loop->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void) setsockopt(loop->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(loop->listen_fd, (struct sockaddr *) &address, size) < 0 || listen(loop->listen_fd, 128) < 0 ||
                getsockname(loop->listen_fd, (struct sockaddr *) &address, &size) < 0)
                err(EXIT_FAILURE, "cannot listen on port %u", port);
        loop_watch(loop, EPOLL_CTL_ADD, loop->listen_fd, EPOLLIN, &loop->listen_fd);
        loop_watch(loop, EPOLL_CTL_ADD, loop->signal_fd, EPOLLIN, &loop->signal_fd);
        loop->port = ntohs(address.sin_port);
        (void) printf("listening %u\n", loop->port);
        (void) fflush(stdout);
        return loop;
}

void *loop_userdata(Loop *loop) {
        return loop->handler.userdata;
}

uint16_t loop_port(const Loop *loop) {
        return loop->port;
}

void loop_set_tick(Loop *loop, uint64_t at) {
        loop->tick = at;
}

void loop_each(Loop *loop, void (*each)(Peer *peer, void *argument), void *argument) {
        for (Peer *peer = loop->peers; peer; peer = peer->next)
                if (!peer->dead)
                        each(peer, argument);
}

Peer *loop_connect(Loop *loop, uint16_t port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
        };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0) {
                if (fd >= 0)
                        (void) close(fd);
                return NULL;
        }
        return peer_new(loop, fd);
}

static void loop_accept(Loop *loop) {
        int fd = accept4(loop->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        Peer *peer;

        if (fd < 0)
                return;
        peer = peer_new(loop, fd);
        if (loop->handler.on_open)
                loop->handler.on_open(peer);
}

static uint64_t loop_next(const Loop *loop) {
        uint64_t next = loop->tick ? loop->tick : UINT64_MAX;

        for (const Peer *peer = loop->peers; peer; peer = peer->next)
                if (!peer->dead && peer->due && peer->due < next)
                        next = peer->due;
        return next;
}

static void loop_timers(Loop *loop) {
        uint64_t now = loop_now();

        if (loop->tick && loop->tick <= now) {
                loop->tick = 0;
                loop->handler.on_tick(loop->handler.userdata);
        }
        for (Peer *peer = loop->peers; peer; peer = peer->next)
                if (!peer->dead && peer->due && peer->due <= now) {
                        peer->due = 0;
                        loop->handler.on_due(peer);
                        peer_flush(peer);
                }
}

static void loop_bury(Loop *loop) {
        for (Peer **link = &loop->peers; *link;) {
                Peer *peer = *link;

                if (!peer->dead) {
                        link = &peer->next;
                        continue;
                }
                *link = peer->next;
                buffer_done(&peer->in);
                buffer_done(&peer->out);
                free(peer);
        }
}

static void loop_dispatch(Loop *loop, const struct epoll_event *event) {
        Peer *peer = event->data.ptr;

        if (event->data.ptr == &loop->listen_fd)
                loop_accept(loop);
        else if (event->data.ptr == &loop->signal_fd)
                loop->ended = true;
        else if (!peer->dead) {
                if (event->events & EPOLLOUT)
                        peer_flush(peer);
                if (!peer->dead && event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                        peer_read(peer);
        }
}

static void loop_free(Loop *loop) {
        for (Peer *peer = loop->peers; peer; peer = peer->next)
                peer_close(peer);
        loop_bury(loop);
        (void) close(loop->listen_fd);
        (void) close(loop->signal_fd);
        (void) close(loop->epoll_fd);
        free(loop);
}

void loop_run(Loop *loop) {
        struct epoll_event events[32];

        while (!loop->ended) {
                uint64_t next = loop_next(loop), now = loop_now(), left = next > now ? next - now : 0;
                struct timespec timeout = { .tv_sec = (time_t) (left / 1000000U),
                        .tv_nsec = (long) (left % 1000000U) * 1000 };
                int n = epoll_pwait2(loop->epoll_fd, events, 32, next == UINT64_MAX ? NULL : &timeout, NULL);

                for (int i = 0; i < n; i++)
                        loop_dispatch(loop, &events[i]);
                loop_timers(loop);
                loop_bury(loop);
        }
        loop_free(loop);
}
