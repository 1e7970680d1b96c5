/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* What every source does alike, whatever it reads: when to poll, when not to, what is kept in memory while the disk
 * refuses, when to hold the peer, what is logged and how often. A type (SourceType) knows one kind of remote. It is
 * polled, or it sends by itself. In both cases it passes its readings to source_put(), and stored() tells it when they
 * are on disk. All readings of one turn of the loop are one commit.
 *
 * What it does, and beside that, what it has in memory:
 *
 *      RESTING --a poll is due--> POLLING --source_polled()--> RESTING
 *      RESTING --a poll is due, and there is no room--> GATED --still none--> GATED   GATED --there is room--> RESTING
 *      RESTING --`once`, and it sends by itself--> LISTENING --it is silent, or fails--> RESTING
 *
 *      NONE --source_put()--> GATHERED --committed--> NONE
 *      GATHERED --the disk refuses--> REFUSED, which is tried again (P7)   REFUSED --committed, `once` ends--> NONE
 *
 * A poll begins only while no reading waits and there is room for the readings that it may bring. A type that is not
 * polled is held while the disk refuses or there is no room: with hold() it stops reading, so that the peer keeps its
 * data (P12).
 *
 * A new type needs its own file, one line in daemon/types.c, a test and a page. */
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

/* The result of one poll, reported by the type. */
typedef enum SourcePollOutcome {
        SOURCE_POLLED = 0,  /* the remote answered well, perhaps without a reading */
        SOURCE_UNREACHABLE, /* network, timeout, 5xx, malformed reply: tried again after a minute, then less often */
        SOURCE_LIMITED,     /* rate limit: no poll before *not_before* */
        SOURCE_REFUSED,     /* 401, 403, 404: only a user can solve it; tried slowly */
} SourcePollOutcome;

typedef struct SourcePoll {
        SourcePollOutcome outcome;
        Cause cause;        /* of a failure; not set: derived from the outcome */
        usec_t not_before;  /* clock_now() before which the remote wants no further poll; 0: none. For any outcome */
        const char *detail; /* for a failure: what happened and what to do. For a good poll, shown by `check`: what
                               answered; NULL: nothing to add */
        bool odd; /* a good poll whose *detail* needs attention (no device at all): logged once, like a failure */
        int http_status;      /* 0: none */
        int64_t clock_offset; /* microseconds that the remote's clock is ahead of ours, as used for request_at; 0: our
                                 clock was used */
        bool clock_doubted;   /* the remote may be a device at home, whose clock is the wrong one */
} SourcePoll;

#define SOURCE_EXCLUSIVE_MAX 256

/* What a type works with. */
typedef struct SourceMeans {
        Loop *loop;
        Http *http;
        Secrets *secrets; /* to note secrets, which the common code removes from every detail; may be NULL */
        Listen *listen;   /* for types that receive HTTP requests; NULL in `check` */
        const char *state_dir;
        bool may_run;                  /* `check` may run programs */
        const char *run_as;            /* ... as this user; NULL: as we are */
        const char *const *run_groups; /* ... with these groups, see ProcessSpec */
} SourceMeans;

/* What a type gets: the first member of its struct. Everything is borrowed and outlives it. */
typedef struct SourceContext {
        const SourceConfig *config;
        const void *keys; /* config->keys: the type's own struct; its secrets have been read */
        SourceMeans means;
        Source *source;      /* for source_put() and the others below */
        const bool *retired; /* no further poll starts; a running one may end, and may stop early */
        Slice labels;        /* for every reading: members and attributes, see reading_labels_next() */
        bool manual;         /* `once` (except for a type with `quiet`) and `check`: open() starts nothing */
} SourceContext;

/* A text from the remote, and what else is known about it. Borrowed. */
typedef struct SourceDocument {
        Slice text, topic; /* topic: see ShapeOrigin */
        usec_t arrived;    /* clock_wall() of the poll or arrival; 0: now */
        bool history;      /* see ShapeOrigin */
        const char *seen;  /* its name, if it may come again: see Reading; NULL: it cannot */
        bool anew;         /* see Reading */
        bool repeats; /* its measurements may come again in another document: with `once_per: measurement` each reading
                         is recognised by its key */
} SourceDocument;

typedef struct SourceType {
        const ConfigSection *keys; /* its name and its rows of the configuration */
        size_t size;               /* of its struct, which begins with a SourceContext */
        /* Called first; *self* has the context, and zeros behind it. If it fails, close() follows. */
        int (*open)(void *self);
        /* Writes the name of something that only one source can have at a time, the same text for the same thing:
         * "the program of source NAME". It begins a sentence of the log. At a reload the new source is opened after the
         * old one has ended. NULL: there is nothing. */
        void (*exclusive)(const SourceConfig *config, char name[static SOURCE_EXCLUSIVE_MAX]);
        /* Called once, before the first poll() and before anything is read from a peer, which hold() prevents until
         * then. *cursor* is the text that was last stored with a list (reading_list_set_cursor()); NULL: none yet. The
         * call may come late, if the disk cannot be read. NULL: the type keeps no cursor. */
        void (*recall)(void *self, const char *cursor);
        /* Starts one poll. Exactly one source_polled() follows, from inside or later, unless it returns an errno or is
         * closed before. NULL: the type sends by itself, from the end of open() on. */
        int (*poll)(void *self);
        /* True if, with these keys, it sends by itself although it has poll(). NULL: never. */
        bool (*speaks)(const void *keys);
        /* For a type that sends by itself: `once` listens from open() on until it has been silent for this time. 0:
         * `once` leaves it out, and logs that. */
        usec_t quiet;
        /* For `sensorqd check`: like poll(), but only checks whether the remote answers, and does not disturb a running
         * daemon. NULL: poll() is used. */
        int (*check)(void *self);
        /* Back-pressure: stop reading from the peer, or continue. NULL for a type that is only polled. */
        void (*hold)(void *self, bool hold);
        /* True if its present work must not be interrupted, because the remote would lose data permanently. A stop
         * waits for it, and holds the type meanwhile. NULL: never. */
        bool (*must_end)(const void *self);
        /* Everything that was put so far is on disk: the peer may be told (P12). NULL: not needed. */
        void (*stored)(void *self);
        /* Drops running work and what *self* owns; may still put what it has read. NULL: there is nothing. */
        void (*close)(void *self);
        /* Fills in what the topic of *origin* says by these keys: id, name and field. NULL: topics say nothing. */
        void (*place)(const void *keys, ShapeOrigin *origin);
} SourceType;

/* Whether a source of that type sends by itself and is not polled. */
static inline bool source_type_speaks(const SourceType *type, const SourceConfig *config) {
        return !type->poll || (type->speaks && type->speaks(config->keys));
}

/* What the sources of a daemon share, and how they reach it. Borrowed; outlives them. */
typedef struct SourceHost {
        SourceMeans means;
        bool manual;   /* only source_poll_now() starts polls: `once`, `check` */
        bool checking; /* source_poll_now() calls the type's check() */
        /* True if so many more readings fit now and the disk works. */
        bool (*has_room)(void *userdata, uint64_t rows, uint64_t bytes);
        /* Returns 0 when the list is on disk, except *ret_repeats (may be NULL) readings that are known. Anything else:
         * it is not on disk, and the source keeps it. */
        int (*store)(void *userdata, const Source *source, const ReadingList *readings, size_t *ret_repeats);
        /* Appends the cursor that was last stored under that name; nothing when there is none. NULL: none is kept. */
        int (*cursor)(void *userdata, const char *name, Bytes *ret);
        /* Returns how many inputs that could not become a reading were deleted. NULL: not counted. */
        uint64_t (*dropped)(void *userdata, const char *name);
        /* Called when source_status() has changed. */
        void (*on_change)(void *userdata);
        void *userdata;
} SourceHost;

typedef struct SourceStatus {
        const char *name;
        Failure failure;
        bool speaks;         /* it sends by itself and is not polled */
        usec_t last_poll;    /* clock_wall() of the last poll that answered well; 0: none yet */
        usec_t last_reading; /* clock_wall() of the last stored reading that was not a repeat; 0: none yet */
        usec_t next_poll;    /* clock_now(); 0: no poll is planned */
        bool limited;        /* the next poll waits because of a rate limit, or because the remote asked for it */
        bool clock_wrong;    /* this machine's clock differs from the remote's */
        usec_t true_start; /* while it is wrong: the remote's time when clock_now() was 0; 0: not known, or in doubt */
        uint64_t polls, failures, unreadable;
        uint64_t readings, repeats; /* stored readings; repeats, which were not stored again */
        uint64_t left_out;          /* items that `where` or `fields` exclude, or without a value */
        uint64_t dropped;           /* unreadable inputs that were deleted, until `rejected drop --all` */
        const char *answer;         /* detail of the last good poll, for `check`, which conceals secrets; "": none */
        bool odd;                   /* that answer needs attention */
        bool holding;               /* readings wait in memory for the disk */
        bool gated;                 /* a poll is due or the peer is held, but there is no room */
        uint64_t next_rows, next_bytes; /* size of what it holds, else of what its next poll may bring */
} SourceStatus;

/* *config* is borrowed, and its secrets must have been read. Polls begin at once unless the host is manual; those of
 * several sources are spread over a tenth of the interval. Errors of the type's open(). */
int source_new(const SourceHost *host, const SourceType *type, const SourceConfig *config, Source **ret);
/* Drops a running poll. Readings that wait are stored one last time; if the disk refuses them, it is logged that they
 * are lost. */
Source *source_free(Source *source);
CLEANUP_DEFINE(Source, source_free)

/* Starts no further poll. A running poll may end, still held as before, and its readings are stored. Until then
 * source_is_busy() is true. After that the peer is held permanently. */
void source_retire(Source *source);
/* True while a poll is running or readings wait for the disk. */
bool source_is_busy(const Source *source);
/* True if a stop must wait until the source is not busy. */
bool source_must_end(const Source *source);
/* Polls once now. A type that sends by itself is listened to until it is silent, and then held. -EBUSY while a poll is
 * running or readings wait. If there is no room, it returns 0 without a poll, and the source counts as failing. */
int source_poll_now(Source *source);
/* Call this when the disk begins or ceases to refuse readings, or rows have left the outbox: waiting work is tried now,
 * not after a backoff; and where there is no room any more, the peer is held before it sends. */
void source_resume(Source *source);
void source_status(const Source *source, SourceStatus *ret);

/* ---- for types ---- */

/* Takes the readings; the list is empty afterwards, and may be empty before. They are committed at the end of this turn
 * of the loop, together with all earlier ones; then stored() is called, never from inside this call. -ENOMEM: nothing
 * was taken. */
int source_put(Source *source, ReadingList *readings);
/* Reads one document of the remote with the source's `reading:` keys. Its readings, and input that cannot become one,
 * are taken as by source_put(); what is odd is logged once for each device. Returns the number of readings. -ENOMEM:
 * nothing was taken. */
int source_take(Source *source, const SourceDocument *document);
/* Reports the end of a poll, whose readings must have been put before. */
void source_polled(Source *source, const SourcePoll *poll);
/* For a type that is not polled: reports the state of its connection; *poll* as above, SOURCE_POLLED when it works. */
void source_tell(Source *source, const SourcePoll *poll, usec_t retry_in);

/* ---- pure decisions ---- */

/* Returns the first slot after *now* in the row of slots that contains *slot*. */
usec_t source_next_slot(usec_t slot, usec_t interval, usec_t now);
/* Returns when to poll next, after a poll that ended as *poll* says: at *slot*, unless the remote or a refusal requires
 * a longer wait. */
usec_t source_next_poll(const SourcePoll *poll, usec_t slot, usec_t interval, usec_t now);
