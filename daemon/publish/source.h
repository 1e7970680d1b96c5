/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* What every source does alike, whatever it reads: when to poll, when not to, what is kept in memory while the disk
 * refuses, when to hold the peer, what is said and how often. A type (SourceType) knows one kind of remote. It is polled,
 * or it speaks when it likes; either way it hands its readings over with source_put(), and hears of them again with
 * stored() when they are on disk. All that was handed over in one turn of the loop is one commit.
 *
 * Two machines; source.c checks every move:
 *
 *      poll      waiting --due, room--> polling --source_polled()--> waiting
 *
 *      readings  none --source_put()--> gathered --committed--> none
 *                                           |                    ^
 *                                      disk refuses              |
 *                                           v                    |
 *                                        refused --committed-----+        what is in memory is tried again (P7)
 *
 * A poll begins only while no reading waits and there is room for what it may bring. A type that is not polled is held
 * (hold(): read nothing more from the peer) while the disk refuses or there is no room, so that the peer keeps what it
 * has (P12).
 *
 * A new type is its own file, one line in daemon/types.c, its test and its page. */
/* clang-format on */

#include "config.h"
#include "lib/http.h"
#include "lib/listen.h"
#include "lib/loop.h"
#include "publish/reading.h"
#include "publish/shape.h"
#include "secret.h"
#include "trouble.h"

typedef struct Source Source;

/* How one poll ended, told by the type. */
typedef enum SourcePollOutcome {
        SOURCE_POLLED = 0,  /* the remote answered well: no reading is no error */
        SOURCE_UNREACHABLE, /* network, timeout, 5xx, nonsense in the reply: next try at the next interval */
        SOURCE_LIMITED,     /* rate limit: not before *not_before* */
        SOURCE_REFUSED,     /* 401, 403, 404: only a user can mend it; tried slowly */
} SourcePollOutcome;

typedef struct SourcePoll {
        SourcePollOutcome outcome;
        Cause cause;        /* of a failure; left out: what goes with the outcome */
        usec_t not_before;  /* clock_now() before which the remote wants no further poll; 0: none. Any outcome */
        const char *detail; /* of a failure: what happened and what the reader can do. Of a good poll, for `check`: what
                               answered; NULL: nothing to add */
        bool odd;        /* a good poll whose *detail* deserves a look (no device at all): said once, like a failure */
        int http_status; /* 0: none */
        int64_t clock_offset; /* microseconds that the remote's clock is ahead of ours, as used for request_at; 0: ours
                                 was used */
} SourcePoll;

#define SOURCE_EXCLUSIVE_MAX 256

/* What a type works with. */
typedef struct SourceMeans {
        Loop *loop;
        Http *http;
        Secrets *secrets; /* where it notes what it may not tell; the shared half takes that out of every detail. May be
                             NULL */
        Listen *listen;   /* for types that are spoken to by HTTP; NULL in `check` */
        const char *state_dir;
        bool may_run;                  /* `check` may run programs, */
        const char *run_as;            /* as this user; NULL: as we are, */
        const char *const *run_groups; /* and with these groups, see ProcessSpec */
} SourceMeans;

/* What a type is given. Everything is borrowed and outlives the instance. */
typedef struct SourceContext {
        const SourceConfig *config;
        const void *keys; /* config->keys: the type's own struct, its secrets read */
        SourceMeans means;
        Source *source;      /* for source_put() and the others below */
        const bool *retired; /* no further poll; one under way may end, and need not go as far as it could */
        const Bytes *labels; /* of every reading: members and attributes, see reading_labels_next() */
        bool manual;         /* `once` (but for a type with `quiet`), `check`: open() begins nothing */
} SourceContext;

/* What came from the remote, and what is known of it beside its text. Borrowed. */
typedef struct SourceDocument {
        const char *text;
        size_t size;
        const char *topic, *id, *name, *field; /* see ShapeOrigin; NULL: none */
        usec_t arrived;                        /* clock_wall(); 0: now */
        const char *seen;                      /* names it, where it may come again: see Reading; NULL: it cannot */
        bool anew;                             /* see Reading */
        bool repeats; /* what is measured may come again in another document: each reading's key tells it, where it is
                         of `once_per: measurement` */
        bool history; /* see ShapeOrigin */
} SourceDocument;

typedef struct SourceType {
        const ConfigSection *keys; /* its name and its rows of the configuration */
        int (*open)(const SourceContext *context, void **ret_self);
        /* What only one source can have at a time, in words that are equal for the same thing: "listener
         * 127.0.0.1:8427". At a reload the new one is opened when the old one has ended. NULL: nothing. */
        void (*exclusive)(const SourceConfig *config, char name[static SOURCE_EXCLUSIVE_MAX]);
        /* Once, before the first poll() and before anything of a peer is read, which hold() holds until then: what a
         * list that was put has set last (reading_list_set_cursor()); *cursor* NULL: nothing yet. The disk may not tell
         * at once. NULL: the type keeps none. */
        void (*recall)(void *self, const char *cursor);
        /* Starts one poll; exactly one source_polled() follows, from inside it or later, unless closed before or an
         * errno is returned. NULL: it speaks when it likes, from the end of open() on. */
        int (*poll)(void *self);
        /* Whether, with these keys, it speaks when it likes although it has poll(). NULL: never. */
        bool (*speaks)(const void *keys);
        /* Of one that speaks when it likes: `once` listens to it, from open() on, until it has been silent for so long.
         * 0: `once` leaves it out, and says so. */
        usec_t quiet;
        /* `sensorqd check`: like poll(), but tells only whether the remote answers, and disturbs no running daemon.
         * NULL: poll() does. */
        int (*check)(void *self);
        /* Back-pressure: stop, or go on, reading the peer. NULL for a type that is only polled. */
        void (*hold)(void *self, bool hold);
        /* What it does now may not be cut: it would be lost at the remote for good. A stop waits for it, and holds it.
         * NULL: never. */
        bool (*must_end)(const void *self);
        /* Every source_put() up to that ticket is on disk: the peer may be told (P12). NULL: nobody waits. */
        void (*stored)(void *self, uint64_t ticket);
        void *(*close)(void *self); /* drops what is under way; returns NULL */
        /* What was kept unread is read once more, as by shape_reread(), with these keys; *origin* has everything but
         * what its topic says. NULL: the type keeps nothing unread. */
        int (*reread)(const void *keys, const ShapeOrigin *origin, Slice raw, ReadingList *list, ShapeOutcome *ret);
} SourceType;

/* What the sources of a daemon share, and how they are wired to it. Borrowed; outlives them. */
typedef struct SourceHost {
        SourceMeans means;
        bool manual;   /* nothing is polled but by source_poll_now(): `once`, `check` */
        bool checking; /* source_poll_now() asks the type's check() */
        /* Whether so many readings more would fit now, and the disk takes them. */
        bool (*has_room)(void *userdata, uint64_t rows, uint64_t bytes);
        /* 0: the list is on disk, but for *ret_repeats (may be NULL) readings that were there before. Anything else: it
         * is not, and stays with the source. */
        int (*store)(void *userdata, const Source *source, const ReadingList *readings, size_t *ret_repeats);
        /* Appends the cursor that was stored under that name last, nothing when there is none. NULL: none is kept. */
        int (*cursor)(void *userdata, const char *name, Bytes *ret);
        /* How many of those that could not become a reading are gone. NULL: nobody counts. */
        uint64_t (*dropped)(void *userdata, const char *name);
        /* Something in source_status() changed. */
        void (*on_change)(void *userdata);
        void *userdata;
} SourceHost;

typedef struct SourceStatus {
        const char *name;
        bool failing;
        usec_t failing_since; /* clock_wall() */
        bool speaks;          /* when it likes: it is not polled */
        usec_t last_poll;     /* clock_wall() of the last poll that answered well; 0: none yet */
        usec_t last_reading;  /* clock_wall() of the last reading that was stored, no repeat; 0: none yet */
        usec_t next_poll;     /* clock_now(); 0: none is planned */
        bool limited;         /* that poll waits for the remote's rate limit, or for what else it asked to wait */
        bool clock_wrong;     /* this machine's clock is not that of the remote */
        uint64_t polls, failures, unreadable;
        uint64_t readings, repeats;     /* stored; known, and not stored again */
        uint64_t dropped;               /* unreadable ones that were more than is kept, until `rejected drop --all` */
        Cause cause;                    /* of the failure */
        const char *detail;             /* of the failure; "" when well */
        const char *answer;             /* detail of the last good poll, for `check`; "" when it had none */
        bool odd;                       /* that answer deserves a look */
        bool holding;                   /* readings wait in memory for the disk */
        bool gated;                     /* a poll is due, or the peer is held, and there is no room */
        uint64_t next_rows, next_bytes; /* what it holds, or else what its next poll may bring */
} SourceStatus;

/* *config* is borrowed, its secrets were read. Polls begin at once, spread by up to a tenth of the interval over
 * several sources, unless the host is manual. Errors of the type's open(). */
int source_new(const SourceHost *host, const SourceType *type, const SourceConfig *config, Source **ret);
/* Drops a poll under way. Readings that wait are stored one last time; what the disk refuses then is said to be lost.
 */
Source *source_free(Source *source);
CLEANUP_DEFINE(Source, source_free)

/* No further poll. One that is under way may end, held as before, and what waits is stored: until then
 * source_is_busy(). Then the peer is held for good. */
void source_retire(Source *source);
/* True while a poll is under way or readings wait for the disk. */
bool source_is_busy(const Source *source);
/* A stop waits until it is not busy. */
bool source_must_end(const Source *source);
/* One poll now; a type that speaks when it likes is listened to until it is silent, and is held from then on. -EBUSY
 * while a poll is under way or readings wait. While there is no room none is made, and the source counts as failing: 0
 * as well. */
int source_poll_now(Source *source);
/* The disk takes readings again, or rows have left the outbox: what waits is tried now, not after a backoff. */
void source_resume(Source *source);
void source_status(const Source *source, SourceStatus *ret);

/* ---- for types ---- */

/* Takes the readings (the list is empty afterwards; it may be empty before). They are committed at the end of this turn
 * of the loop, after what was put before them; then stored(*ticket*), never inside this call. Tickets rise; 0: no word
 * is wanted. -ENOMEM: nothing was taken. */
int source_put(Source *source, ReadingList *readings, uint64_t ticket);
/* One document of the remote through the source's `reading:`: its readings, and what cannot become one, are taken as
 * by source_put(); what is odd about them is said once for each device. -ENOMEM: nothing was taken. */
int source_take(
        Source *source, const ShapeConfig *shape, const SourceDocument *document, uint64_t ticket, ShapeOutcome *ret);
/* The poll has ended. What it brought was handed over before with source_put(). */
void source_polled(Source *source, const SourcePoll *poll);
/* How a type that is not polled stands with its peer; *poll* as above, SOURCE_POLLED when it speaks. */
void source_tell(Source *source, const SourcePoll *poll, usec_t retry_in);

/* ---- pure decisions ---- */

/* The first slot after *now* of the row of slots that *slot* belongs to. */
usec_t source_next_slot(usec_t slot, usec_t interval, usec_t now);
/* When to poll after a poll that ended so: at the slot, unless the remote or its refusal asks for a longer wait. */
usec_t source_next_poll(const SourcePoll *poll, usec_t slot, usec_t interval, usec_t now);
