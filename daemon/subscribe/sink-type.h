/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a type of sink (MongoDB, ...) implements: it knows its remote, and nothing of batches, leases and retries. It is
 * given messages and says what became of each; sink.h does the rest. */

#include "cause.h"
#include "config.h"
#include "lib/http.h"
#include "pubsub/wire.h"
#include "secrets.h"

#define SINK_DETAIL_MAX 512
#define SINK_EXCLUSIVE_MAX 512

typedef enum SinkFault {
        SINK_FAULT_NONE,
        SINK_FAULT_PASSING, /* waiting helps: tried again with backoff, and soon after the type saw its remote again */
        SINK_FAULT_LASTING, /* only a person can end it, and trying often may lock an account: at the longest interval
                             */
} SinkFault;

/* Of a probe, a write or a set_apart as a whole. Zeros: the remote is well. The texts but *detail* are static. */
typedef struct SinkAnswer {
        SinkFault fault;
        bool accepted;      /* the remote took something just now, or had it already: it does take messages */
        bool single;        /* of a fault: the remote was at hand, and it is only that of the messages with `later` */
        Cause cause;        /* of the fault */
        bool untried;       /* of a probe without a fault: no write could be tried, so only a message can tell */
        const char *reason; /* of the fault in one word, for logs and tests: "unreachable" */
        const char *words;  /* what follows the remote's name: "cannot be reached" */
        const char *remedy; /* what the reader can do; without a fault, where everything is refused. NULL: the sink's */
        usec_t retry_after; /* of a fault: the remote wants no other try before; 0: it does not say */
        char detail[SINK_DETAIL_MAX]; /* what the remote said; printable */
} SinkAnswer;

typedef enum SinkVerdict {
        SINK_PENDING = 0, /* nothing may be concluded: to be sent again */
        SINK_STORED,      /* durable now; by set_apart: durable there, or there already */
        SINK_DUPLICATE,   /* the same was durable already */
        SINK_BAD,     /* never to be stored, however the remote is: not JSON, its name is taken by another payload. By
                       * set_apart: refused there for good */
        SINK_SUSPECT, /* refused with a code: by the message's fault or by the remote's */
} SinkVerdict;

/* One message of a SinkWork. */
typedef struct SinkItem {
        const WireMessage *message;
        bool alone; /* to be sent in a command of its own; the type may set it for one that was, and was refused */
        SinkVerdict verdict;
        bool later;          /* PENDING: refused by itself, with a code that passes and is no message's fault */
        bool unsure;         /* it was sent, and what was answered does not tell: it may be stored now */
        bool about_document; /* SUSPECT: the code speaks of the document, as far as codes can be trusted */
        bool proven;         /* ... and others were accepted in the same command, or between two refusals of it */
        int code;            /* SUSPECT, later: the remote's */
        const char *reason;  /* BAD, SUSPECT, and for set_apart: why in one word, "not_json"; static */
        char *detail;        /* ... and in words; owned, see sink_item_bad() */
} SinkItem;

typedef struct SinkWork {
        SinkItem *items; /* all of them PENDING at first */
        size_t n;
        bool again; /* a write of what is still pending of the last one */
        SinkAnswer answer;
} SinkWork;

/* Says that a message is SINK_BAD or SINK_SUSPECT. *detail* is copied; without memory the message stays PENDING. */
void sink_item_bad(SinkItem *item, const char *reason, const char *detail);
void sink_item_suspect(SinkItem *item, int code, bool about_document, const char *reason, const char *detail);

/* A type's door back to its shared half. It outlives the sink when a thread is stuck in the type's library. */
typedef struct SinkHost SinkHost;

/* What a type works with. All of it is used on the loop only, but for the path. */
typedef struct SinkMeans {
        Loop *loop;
        Http *http;
        Secrets *secrets;      /* may be NULL */
        const char *state_dir; /* where it may keep files of its own */
        bool guest;            /* a daemon may be running beside: what only one may do is left to that */
} SinkMeans;
/* Lives as long as the host. */
const SinkMeans *sink_host_means(const SinkHost *host);

/* Around every call into a library that may block, so that the loop can tell one that never returns. On the thread.
 * NULL: nobody is told. */
void sink_host_enter(SinkHost *host);
void sink_host_leave(SinkHost *host);

enum { SINK_SEEN_WRITABLE = 1, SINK_SEEN_LOST = 2, SINK_SEEN_CHANGE = 4 };
/* The type sees that its remote takes writes again, or that it is gone; or what is_busy() or figures() say has changed.
 * From any thread. */
void sink_host_seen(SinkHost *host, unsigned seen);

/* The answer of what was asked last is there. For types that do not block; also from inside the question. */
void sink_host_answer(SinkHost *host);

/* What happens around a type. */
typedef enum SinkNews {
        SINK_NEWS_ANSWERED, /* a pull of its subscription was, with messages */
        SINK_NEWS_EMPTY,    /* ... without: no more are waiting */
        SINK_NEWS_DEAF,     /* a pull failed */
        SINK_NEWS_STOP,     /* nothing new is to be begun */
        SINK_NEWS_END,      /* likewise, and the queue is empty: the end of `once` */
} SinkNews;

/* What a type tells of itself beyond what all sinks tell. Owned by the type, valid until it is asked again. */
typedef struct SinkFigures {
        const char *json;  /* value of the member "alerts" of status.json; NULL: none */
        const char *words; /* for STATUS=; NULL or "": nothing */
        bool waiting;      /* something that follows from what it stored is left for the next start */
        bool failing;      /* who is to be told of what it stored cannot be told */
} SinkFigures;

/* Who wants to know of each message that was stored just now. No duplicate, but one of a write that was left unsure:
 * when it is found, or when the sink is stopped, or lets go, before that. */
typedef struct SinkTap {
        void (*on_stored)(void *userdata, const char *subscription, const WireMessage *message);
        void *userdata;
} SinkTap;

/* What was stored once, in pieces: for who wants to draw it. Nothing is changed. */
typedef struct SinkPast {
        Slice text; /* JSON; numbers at any depth, and the texts at the top */
        const WireAttribute *attributes;
        size_t n_attributes;
        int64_t published; /* ms since 1970; 0: not known */
} SinkPast;

typedef struct SinkPiece {
        int64_t before; /* what was stored before that: ms since 1970 */
        Bytes mark;     /* where to begin; empty: at the beginning. Moved on to where the next piece begins */
        void (*each)(void *userdata, const SinkPast *past);
        void *userdata;
        char detail[SINK_DETAIL_MAX]; /* why there is none */
} SinkPiece;

enum { SINK_HISTORY_MORE = 0, SINK_HISTORY_END = 1, SINK_HISTORY_AWAY = 2, SINK_HISTORY_REFUSED = 3 };
typedef struct SinkHistory {
        /* As SinkType.open: a client of its own, and never blocks. */
        int (*open)(const SubscriptionConfig *config, void **ret_self, char problem[static SINK_DETAIL_MAX]);
        /* A piece of bounded size, in bounded time; on a thread of the caller's. AWAY: later perhaps. */
        int (*next)(void *self, SinkPiece *piece);
        /* May block. */
        void *(*close)(void *self);
} SinkHistory;

/* A series of values, as the page draws it: one number of one device. */
typedef struct SinkSeries {
        const char *source, *device, *name, *field; /* field: a JSON pointer */
        const char *labels;                         /* an object of texts, as text */
} SinkSeries;

/* What a type holds values against: a line in their chart. */
typedef struct SinkLimit {
        const char *rule, *kind; /* "above", "below" */
        double value, clear;
} SinkLimit;

/* What the verbs ask: sink-admin.h. */
typedef struct SinkAdmin SinkAdmin;

/* With *blocks* all functions but open() run on the sink's thread, one at a time, and answer by returning. Without it
 * they run on the loop and answer by sink_host_answer(), once for each probe, write and set_apart. */
typedef struct SinkType {
        const ConfigSection *keys; /* its section of the configuration, and its name: "mongodb" */
        const char *what;          /* the remote's name in words: "MongoDB" */
        bool blocks;
        /* config->keys is the type's own struct, its secrets read. Copies what it needs. -EBADMSG with a sentence in
         * *problem* for what only a user can mend in the config. Never blocks, never fails because the remote is down.
         */
        int (*open)(const SubscriptionConfig *config, SinkHost *host, void **ret_self,
                char problem[static SINK_DETAIL_MAX]);
        /* What open() would say of the secrets, since a reload must know it while the sink before still has what is
         * exclusive. NULL: nothing. */
        int (*usable)(const SubscriptionConfig *config, char problem[static SINK_DETAIL_MAX]);
        /* What only one sink can have at a time, in words that are equal for the same thing: "the directory /srv/a". At
         * a reload the new one is opened when the old one has ended. NULL: nothing. */
        void (*exclusive)(
                const SubscriptionConfig *config, const char *state_dir, char name[static SINK_EXCLUSIVE_MAX]);
        const char *(*place)(const void *self); /* what messages are stored in, for log entries: "home.readings" */
        /* Whether messages can be stored, without storing any. */
        void (*probe)(void *self, SinkAnswer *answer);
        /* Tries once to store every message of *work*. */
        void (*write)(void *self, SinkWork *work);
        /* Tries once to keep every message of *work* apart, with its reason and detail. NULL: the shared half keeps
         * them in state_dir (rejected.h). */
        void (*set_apart)(void *self, SinkWork *work);
        /* NULL when it is closed. A type that does not block answers itself where a thread of its own is still in the
         * middle of a write: the messages are left to that, and all of it goes with the process. */
        void *(*close)(void *self);
        /* For a type that has more to do than to store what it is given; always on the loop. NULL: it has not. */
        void (*told)(void *self, SinkNews news);
        bool (*is_busy)(const void *self); /* something is not to be cut off, neither by a stop nor by a reload */
        /* On the loop, of a type that does not block. NULL: it has none. */
        void (*figures)(void *self, SinkFigures *ret);
        /* Calls *each* for every limit of the series; *keys* as in open(). From any thread. NULL: it has none. */
        void (*limits)(
                const void *keys, const SinkSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to);
        const SinkAdmin *admin;     /* NULL: the verbs have nothing to ask */
        const SinkHistory *history; /* NULL: what is stored cannot be read again */
} SinkType;
