/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* A source is polled on a timer and yields readings. This file is the interface that every type of source implements, the table of types,
 * and the part that all share: when to poll, when not to (no room in the outbox, a rate limit, a refused token), what to say when a source
 * starts or stops failing.
 *
 * State of a source (source.c checks every move):
 *
 *      waiting --timer--> polling --readings--> handing over --stored--> waiting
 *         ^                  |                       |  ^
 *         +----- failed -----+                 disk refuses: readings stay in memory, tried again, no poll meanwhile (P7)
 *
 * A new type is one file with a SourceType, and one row in the table in source.c. */
/* clang-format on */

#include <systemd/sd-event.h>

#include "config.h"
#include "lib/http.h"
#include "publish/reading.h"
#include "secret.h"

typedef struct Source Source;

/* How one poll ended, told by the type. */
typedef enum SourcePollOutcome {
        SOURCE_POLLED = 0,  /* readings may be empty: no device is no error */
        SOURCE_UNREACHABLE, /* network, timeout, 5xx, nonsense in the reply: next try at the next interval */
        SOURCE_LIMITED,     /* rate limit: not before *not_before* */
        SOURCE_REFUSED,     /* 401, 403, 404: only a user can mend it; tried slowly */
} SourcePollOutcome;

typedef struct SourcePoll {
        SourcePollOutcome outcome;
        ReadingList readings; /* of SOURCE_POLLED; taken by source_polled() */
        usec_t not_before;    /* clock_now() before which the remote wants no further poll; 0: none. Any outcome */
        const char *detail;   /* failure in words: what happened and what the reader can do */
        int http_status;      /* 0: none */
        int64_t clock_offset; /* microseconds that the remote's clock is ahead of ours, as used for request_at; 0: ours
                                 was used */
} SourcePoll;

/* What a type is given. Everything is borrowed and outlives the instance. */
typedef struct SourceContext {
        const SourceConfig *config;
        const char *token; /* secret; NULL when the config names none */
        Http *http;
        sd_event *event;
        Source *source;   /* for source_polled() */
        Secrets *secrets; /* of the process: what the remote says passes secrets_conceal() */
} SourceContext;

typedef struct SourceType {
        const char *name;
        const char *default_url; /* NULL: `url` is required */
        bool needs_token;
        int (*open)(const SourceContext *context, void **ret_self);
        int (*poll)(void *self); /* starts one poll; exactly one source_polled() follows, later, unless closed before */
        void *(*close)(void *self); /* drops a poll under way; returns NULL */
} SourceType;

extern const SourceType source_type_nature_remo;

/* The table's row of that name, or NULL; source_type_names() for messages: "nature_remo, ...". */
const SourceType *source_type_find(const char *name);
const char *source_type_names(void);

/* What a source needs from its surroundings, wired in daemon.c. */
typedef struct SourceCallbacks {
        /* Whether a poll may be made now: room in the outbox (checked before, so that what is fetched always fits), no
         * disk trouble. */
        bool (*may_poll)(void *userdata);
        /* Hands the readings over for storing. 0: they are on disk and the list may be freed. Negative errno: the
         * source keeps them in memory and calls again later. */
        int (*on_readings)(void *userdata, Source *source, const ReadingList *readings);
        /* Something in source_status() changed. */
        void (*on_change)(void *userdata);
        void *userdata;
        Secrets *secrets; /* as in SourceContext; may be NULL */
} SourceCallbacks;

typedef struct SourceStatus {
        const char *name;
        bool failing;
        usec_t failing_since; /* clock_wall() */
        usec_t last_poll;     /* clock_wall() of the last poll that answered well; 0: none yet */
        usec_t next_poll;     /* clock_now() */
        uint64_t polls, readings, failures;
        const char *detail;             /* of the failure; "" when well */
        bool holding;                   /* readings wait in memory for the disk */
        bool gated;                     /* a poll is due, and may_poll says no */
        uint64_t next_rows, next_bytes; /* what it holds, or else what its next poll may bring */
} SourceStatus;

/* *config*, *token* and the callbacks are borrowed. Polls begin at once, spread by up to a tenth of the interval over
 * several sources; *manual*: never by itself, only through source_poll_now() (the verb `once`). */
int source_new(sd_event *event, Http *http, const SourceConfig *config, const char *token, bool manual,
        const SourceCallbacks *callbacks, Source **ret);
/* Drops a poll under way. Readings that the disk refused are handed over one last time. */
Source *source_free(Source *source);
CLEANUP_DEFINE(Source, source_free)

/* No further poll. One that is under way may end, and its readings are handed over: until then source_is_busy(). */
void source_retire(Source *source);

/* One poll now. -EBUSY while one is under way. While may_poll says no, none is made, and the source counts as failing:
 * 0 as well. */
int source_poll_now(Source *source);
/* True while a poll is under way or readings wait for the disk. */
bool source_is_busy(const Source *source);
/* Room in the outbox that the next poll may need: the size of the largest batch so far, at least one row. */
void source_room(const Source *source, uint64_t *ret_rows, uint64_t *ret_bytes);
/* For types: the poll has ended. Takes poll->readings. */
void source_polled(Source *source, SourcePoll *poll);
void source_status(const Source *source, SourceStatus *ret);

/* ---- pure decisions ---- */

/* The first slot after *now* of the row of slots that *slot* belongs to. */
usec_t source_next_slot(usec_t slot, usec_t interval, usec_t now);
/* When to poll after a poll that ended so: at the slot, unless the remote or its refusal asks for a longer wait. */
usec_t source_next_poll(const SourcePoll *poll, usec_t slot, usec_t interval, usec_t now);
