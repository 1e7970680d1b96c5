/* SPDX-License-Identifier: Apache-2.0 */
/* lib/stream.h over a network of the simulation. */
#include "lib/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "broker.h"
#include "link.h"

#define STORM_SPAN USEC_PER_MINUTE
#define STORM_MAX 60 /* connections within a minute */

struct Link {
        const LinkServer *server; /* NULL: nobody listens to what is said */
        Target target;
        unsigned life, references;
        Stream *client;            /* of that life; NULL: it has closed */
        Fault fault;               /* of the connect */
        bool open;                 /* for the server */
        bool black;                /* nothing arrives any more, and nobody is told */
        bool ends;                 /* it is cut: nothing more is sent */
        usec_t last_to, last_from; /* arrival of what was sent last */
        size_t unread;
};

struct Stream {
        StreamCallbacks callbacks;
        Link *link;
        LoopWatch *again, *timeout;
        Bytes in;   /* arrived, not read */
        Bytes read; /* in this call of its owner */
        bool open, held, finished, lost, told;
        bool *gone; /* set when its owner frees it */
        const char *detail;
};

/* A piece on its way. */
typedef struct Chunk {
        Link *link;
        size_t size;
        char data[];
} Chunk;

/* ---- the link ---- */

static void link_unref(Link *link) {
        if (--link->references == 0)
                arena_free(link);
}

static Stream *client_of(const Link *link) {
        return link->life == world->life ? link->client : NULL;
}

static void at(usec_t when, void (*run)(void *subject, uint64_t number), Link *link) {
        link->references++;
        world_at(when, run, link, 0, 0);
}

size_t link_unread(const Link *link) {
        return link->unread;
}

Fault link_fault(const Link *link) {
        return link->fault;
}

/* ---- its end ---- */

static void on_server_lost(void *subject, uint64_t number) {
        Link *link = subject;

        if (link->open && !link->black) {
                link->open = false;
                link->server->on_lost(link);
                link_unref(link);
        }
        link_unref(link);
}

static void on_client_lost(void *subject, uint64_t number) {
        Link *link = subject;
        Stream *stream = link->black ? NULL : client_of(link);

        if (stream && !stream->finished) {
                stream->finished = true;
                if (draw_below(&world->chance, 2) == 0)
                        stream->in.size = 0; /* a reset: what was not read is gone */
                loop_wake(stream->again);
        }
        link_unref(link);
}

static void cut(Link *link, usec_t after) {
        usec_t to = after + world_latency(5 * USEC_PER_SEC), from = after + world_latency(5 * USEC_PER_SEC);

        if (link->ends)
                return;
        link->ends = true;
        link->last_to = to > link->last_to ? to : link->last_to + 1;
        link->last_from = from > link->last_from ? from : link->last_from + 1;
        at(link->last_to, on_server_lost, link);
        at(link->last_from, on_client_lost, link);
}

void link_close(Link *link) {
        usec_t when = world->now + world_latency(USEC_PER_SEC);

        link->open = false;
        if (!link->ends)
                at(when > link->last_from ? when : link->last_from + 1, on_client_lost, link);
        link->ends = true;
        link_unref(link);
}

/* ---- pieces ---- */

static void on_arrive_server(void *subject, uint64_t number) {
        Chunk *chunk = subject;

        if (chunk->link->open && !chunk->link->black)
                chunk->link->server->on_data(chunk->link, chunk->data, chunk->size);
        link_unref(chunk->link);
        arena_free(chunk);
}

static void on_arrive_client(void *subject, uint64_t number) {
        Chunk *chunk = subject;
        Stream *stream = chunk->link->black ? NULL : client_of(chunk->link);

        if (stream && !stream->finished) {
                if (bytes_append(&stream->in, chunk->data, chunk->size) < 0)
                        abort();
                loop_wake(stream->again);
        }
        link_unref(chunk->link);
        arena_free(chunk);
}

static void send_chunk(Link *link, bool to_server, const char *data, size_t size, usec_t delay) {
        usec_t *last = to_server ? &link->last_to : &link->last_from, when = world->now + world->ahead + delay;
        Chunk *chunk = arena_alloc(sizeof(Chunk) + size);

        *last = when > *last ? when : *last + 1;
        chunk->link = link;
        chunk->size = size;
        memcpy(chunk->data, data, size);
        link->references++;
        world_at(*last, to_server ? on_arrive_server : on_arrive_client, chunk, 0, 0);
}

/* In as many pieces as it likes. */
static void send_pieces(Link *link, bool to_server, const char *data, size_t size, usec_t delay) {
        while (size > 0) {
                size_t n = draw_below(&world->chance, 4) == 0 ? 1 + draw_below(&world->chance, size) : size;

                send_chunk(link, to_server, data, n, delay);
                data += n;
                size -= n;
        }
}

static void send_through(Link *link, bool to_server, const char *data, size_t size) {
        static const char nonsense[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
        usec_t delay = world_latency(100 * USEC_PER_MSEC);

        if (link->ends || link->black)
                return;
        switch (weather_fault(link->target)) {
        case FAULT_NONE:
                return send_pieces(link, to_server, data, size, delay);
        case FAULT_LOST:
                link->black = true;
                return;
        case FAULT_SLOW:
                return send_pieces(link, to_server, data, size, draw_below(&world->chance, USEC_PER_MINUTE));
        case FAULT_GARBLED:
                send_pieces(link, to_server, data, draw_below(&world->chance, size), delay);
                return cut(link, world->now + delay);
        case FAULT_UNANSWERED:
        case FAULT_CUT_LATE:
        case FAULT_BROKEN_LATE:
                send_pieces(link, to_server, data, size, delay);
                return cut(link, world->now + delay);
        case FAULT_PORTAL:
                if (!to_server)
                        send_pieces(link, to_server, nonsense, strlen(nonsense), delay);
                return cut(link, world->now + delay);
        default:
                return cut(link, world->now);
        }
}

/* To a daemon that has died: its kernel says so, where the machine is still there. */
void link_send(Link *link, const void *data, size_t size) {
        if (link->life != world->life && draw_below(&world->chance, 2) == 0)
                link->black = true;
        else if (link->life != world->life)
                cut(link, world->now);
        link->unread += size;
        send_through(link, false, data, size);
}

/* ---- the client ---- */

static void lose(Stream *stream, const char *detail) {
        if (stream->lost)
                return;
        stream->lost = true;
        stream->detail = detail;
        loop_wake(stream->again);
}

static void tell_lost(Stream *stream) {
        stream->told = true;
        world_door_of(weather_target_name(stream->link->target), " lost");
        world_trace("%s: %s", weather_target_name(stream->link->target), stream->detail);
        stream->callbacks.on_lost(stream->callbacks.userdata, stream->detail);
}

/* Its owner reads; what it read counts as taken when it still wants the connection then. */
static void tell_readable(Stream *stream) {
        Link *link = stream->link;
        bool gone = false;

        stream->gone = &gone;
        link->references++;
        loop_wake(stream->again);
        world_door_of(weather_target_name(link->target), " readable");
        stream->callbacks.on_readable(stream->callbacks.userdata);
        if (!gone) {
                stream->gone = NULL;
                if (link->server && stream->read.size > 0)
                        link->server->on_taken(link, stream->read.data, stream->read.size);
                stream->read.size = 0;
        }
        link_unref(link);
        world_door_of(weather_target_name(link->target), " read");
}

static void on_again(void *userdata) {
        Stream *stream = userdata;

        if (stream->lost) {
                if (!stream->told)
                        tell_lost(stream);
        } else if (!stream->held && stream->open && (stream->in.size > 0 || stream->finished))
                tell_readable(stream);
}

static void on_timeout(void *userdata) {
        Stream *stream = userdata;

        if (!stream->open)
                lose(stream, "no connection in time");
}

static void on_open(void *subject, uint64_t number) {
        Link *link = subject;
        Stream *stream = client_of(link);

        if (stream && !stream->lost) {
                stream->open = true;
                loop_off(stream->timeout);
                if (link->server) {
                        link->open = true;
                        link->references++; /* the server's */
                        link->server->on_open(link);
                }
                world_door_of(weather_target_name(link->target), " open");
                stream->callbacks.on_open(stream->callbacks.userdata);
        }
        link_unref(link);
}

static void on_refused(void *subject, uint64_t number) {
        Link *link = subject;

        if (client_of(link))
                lose(client_of(link), "connection refused");
        link_unref(link);
}

/* Connections must not come one after the other. */
static void watch_storm(Target target) {
        static struct {
                usec_t since;
                unsigned n;
        } storm[_TARGET_MAX];

        if (world->now - storm[target].since > STORM_SPAN) {
                storm[target].since = world->now;
                storm[target].n = 0;
        }
        if (++storm[target].n > STORM_MAX)
                world_fail("%u connections to %s within a minute", storm[target].n, weather_target_name(target));
}

static void depart(Link *link, bool listens) {
        usec_t soon = world->now + world_latency(USEC_PER_SEC);

        switch (listens ? link->fault : FAULT_UNREACHABLE) {
        case FAULT_UNREACHABLE:
        case FAULT_TLS:
        case FAULT_CUT_EARLY:
                return at(soon, on_refused, link);
        case FAULT_LOST:
                return;
        case FAULT_PROXY:
                at(soon, on_open, link);
                return cut(link, soon);
        default:
                at(soon, on_open, link);
        }
}

int stream_open(Loop *loop, const StreamSpec *spec, const StreamCallbacks *callbacks, Stream **ret) {
        const LinkServer *server = broker_server(spec->host);
        Stream *stream = calloc(1, sizeof(Stream));
        Link *link = arena_alloc(sizeof(Link));

        if (!stream)
                return -ENOMEM;
        *link = (Link){ .server = server,
                .target = server ? server->target : TARGET_HOOK,
                .life = world->life,
                .references = 1,
                .client = stream };
        stream->callbacks = *callbacks;
        stream->link = link;
        if (loop_add_defer(loop, on_again, stream, &stream->again) < 0 ||
                loop_add_timer(loop, LOOP_EXACT, on_timeout, stream, &stream->timeout) < 0)
                abort();
        loop_arm_in(stream->timeout, spec->timeout);
        watch_storm(link->target);
        link->fault = weather_fault(link->target);
        world_trace("connects to %s", spec->host);
        world_door_of(weather_target_name(link->target), " connect");
        depart(link, !server || broker_listens());
        *ret = stream;
        return 0;
}

Stream *stream_free(Stream *stream) {
        Link *link;

        if (!stream)
                return NULL;
        link = stream->link;
        if (stream->gone)
                *stream->gone = true;
        link->client = NULL;
        if (link->open && !link->ends) {
                usec_t when = world->now + world->ahead + world_latency(USEC_PER_SEC);

                link->ends = true;
                at(when > link->last_to ? when : link->last_to + 1, on_server_lost, link);
        }
        link_unref(link);
        loop_drop(stream->again);
        loop_drop(stream->timeout);
        bytes_done(&stream->in);
        bytes_done(&stream->read);
        free(stream);
        return NULL;
}

size_t stream_read(Stream *stream, char *buffer, size_t size) {
        size_t n = stream->in.size < size ? stream->in.size : size;

        if (stream->lost)
                return 0;
        if (n == 0 && stream->finished)
                lose(stream, "the peer closed the connection");
        if (n > 1 && draw_below(&world->chance, 8) == 0)
                n = 1 + draw_below(&world->chance, n - 1);
        if (n == 0)
                return 0;
        memcpy(buffer, stream->in.data, n);
        if (bytes_append(&stream->read, buffer, n) < 0)
                abort();
        memmove(stream->in.data, stream->in.data + n, stream->in.size - n);
        stream->in.size -= n;
        stream->link->unread -= n;
        return n;
}

int stream_write(Stream *stream, const void *data, size_t size) {
        Link *link = stream->link;

        if (size == 0 || stream->lost || !stream->open)
                return 0;
        world_door_of(weather_target_name(link->target), " write");
        if (link->server)
                link->server->on_written(link, data, size);
        if (stream->finished)
                lose(stream, "connection lost while sending");
        else
                send_through(link, true, data, size);
        world_door_of(weather_target_name(link->target), " written");
        return 0;
}

bool stream_is_want(const Stream *stream) {
        return false;
}

void stream_hold(Stream *stream, bool hold) {
        stream->held = hold;
        if (!hold)
                loop_wake(stream->again);
}
