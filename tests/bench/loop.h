/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The event loop of the benchmark's servers: one listening socket on loopback, any number of peers, one timer, SIGTERM
 * ends it. It shares no code with the daemon, so that a mistake there cannot hide here, and costs little, so that the
 * limit seen in a benchmark is the daemon's. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Buffer {
        char *data;
        size_t size, allocated;
} Buffer;

typedef struct Loop Loop;

/* One connection. Handlers append to *out*; the loop sends it. */
typedef struct Peer {
        Loop *loop;
        int fd;
        Buffer in, out;
        size_t sent;        /* of out */
        bool waits_to_send; /* EPOLLOUT is on */
        bool dead;          /* freed at the end of the turn */
        uint64_t due;       /* loop_now() at which on_due is called; 0: never */
        void *data;         /* the handler's */
        struct Peer *next;
} Peer;

typedef struct LoopHandler {
        /* What has arrived and was not used yet. Returns the number of bytes used (0: needs more), or -1 to close. */
        ssize_t (*on_input)(Peer *peer, char *data, size_t size);
        void (*on_due)(Peer *peer);      /* may be NULL */
        void (*on_open)(Peer *peer);     /* may be NULL: somebody connected */
        void (*on_close)(Peer *peer);    /* may be NULL */
        void (*on_tick)(void *userdata); /* may be NULL: loop_set_tick()'s time has come */
        void *userdata;
} LoopHandler;

uint64_t loop_now(void);  /* microseconds, CLOCK_MONOTONIC */
uint64_t loop_wall(void); /* microseconds, CLOCK_REALTIME */

/* Listens on 127.0.0.1:*port* (0: a free one), writes "listening PORT" to stdout and dies with its parent. Exits on
 * errors. */
Loop *loop_new(uint16_t port, const LoopHandler *handler);
void *loop_userdata(Loop *loop);
uint16_t loop_port(const Loop *loop);
void loop_set_tick(Loop *loop, uint64_t at);
/* Calls *each* for every live peer, in no order. */
void loop_each(Loop *loop, void (*each)(Peer *peer, void *argument), void *argument);
/* Connects to 127.0.0.1:*port*; the new peer is served like any other. NULL when refused. */
Peer *loop_connect(Loop *loop, uint16_t port);
/* Until SIGTERM or SIGINT. Then every peer is closed and the loop freed. */
void loop_run(Loop *loop);

/* Sends what is in peer->out as far as it goes; the loop does the rest. Called by itself after on_input and on_due. */
void peer_flush(Peer *peer);
void peer_close(Peer *peer);

void buffer_reserve(Buffer *b, size_t size);
void buffer_append(Buffer *b, const void *data, size_t size);
void buffer_format(Buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_done(Buffer *b);
