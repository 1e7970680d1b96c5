/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a type of sink (MongoDB, ...) implements. A type knows its remote, but nothing of batches, leases and retries.
 * It gets messages and returns a verdict on each; sink.h does the rest. */

#include "config.h"
#include "lib/http.h"
#include "pubsub/wire.h"
#include "secret.h"
#include "trouble.h"

#define SINK_DETAIL_MAX 512
#define SINK_EXCLUSIVE_MAX 512

typedef enum SinkFault {
        SINK_FAULT_NONE,
        SINK_FAULT_PASSING, /* waiting helps: tried again with backoff, and soon after SINK_SEEN_WRITABLE */
        SINK_FAULT_LASTING, /* only a person can end it; many tries may lock an account: tried at longest interval */
} SinkFault;

/* The result of a probe, a write or a set_apart as a whole. Zeros: no fault. All texts but *detail* are static. */
typedef struct SinkAnswer {
        SinkFault fault;
        bool accepted; /* the remote stored a message now, or had it already: so it accepts messages */
        bool partial;  /* with a fault: the remote answered, and the fault concerns only the items that are LATER */
        Cause cause;   /* of the fault */
        bool untried;  /* a probe without a fault could not try a write: only a message can show the rest */
        const char *reason; /* of the fault in one word, for logs and tests: "unreachable" */
        const char *words;  /* to follow the remote's name: "cannot be reached" */
        const char *remedy; /* what the reader can do; without a fault: if all is refused. NULL: the sink's text */
        usec_t retry_after; /* with a fault: the remote wants no try before this time has passed; 0: it does not say */
        char detail[SINK_DETAIL_MAX]; /* what the remote said; printable */
} SinkAnswer;

typedef enum SinkVerdict {
        SINK_PENDING = 0, /* nothing is known: send it again */
        SINK_STORED,      /* durable now; after set_apart: durable there, now or before */
        SINK_DUPLICATE,   /* the same message was durable before */
        SINK_BAD,     /* it can never be stored: not JSON, or another payload has its _id. After set_apart: it can never
                       * be kept there */
        SINK_REFUSED, /* refused with a code; the message or the remote may be at fault */
        SINK_LATER,   /* refused with a passing code, which is not the message's fault: send it again */
} SinkVerdict;

/* One message of a SinkWork. */
typedef struct SinkItem {
        const WireMessage *message;
        bool alone; /* send it in a command of its own; the type may set it when the message was refused alone */
        SinkVerdict verdict;
        bool unsure;         /* it was sent and the answer is unclear: it may be stored now */
        bool about_document; /* REFUSED: by its code, the document is at fault */
        bool proven;         /* ... and others were accepted in the same command, or between two refusals of it */
        int code;            /* REFUSED, LATER: the remote's code */
        const char *reason;  /* BAD, REFUSED, and in set_apart: why, in one word, "not_json"; static */
        char *detail;        /* why, in words; owned, see sink_item_bad() */
} SinkItem;

typedef struct SinkWork {
        SinkItem *items; /* all of them PENDING at first */
        size_t n;
        SinkAnswer answer;
} SinkWork;

/* Set the verdict to SINK_BAD or SINK_REFUSED. *detail* is copied; without memory the message stays PENDING. */
void sink_item_bad(SinkItem *item, const char *reason, const char *detail);
void sink_item_refused(SinkItem *item, int code, bool about_document, const char *reason, const char *detail);

/* What a type calls back. It outlives the sink when a thread is stuck in the type's library. */
typedef struct SinkHost SinkHost;

/* What a type may use; all but state_dir on the loop only. */
typedef struct SinkMeans {
        Loop *loop;
        Http *http;
        Secrets *secrets;      /* may be NULL */
        const char *state_dir; /* where it may keep files of its own */
        bool guest;            /* a daemon may run at the same time: leave to it what only one process may do */
} SinkMeans;
/* Returns what the type may use; valid as long as the host. */
const SinkMeans *sink_host_means(const SinkHost *host);

/* Call these on the thread before and after each library call that may block, so that the loop notices a call that
 * never returns. *host* NULL: does nothing. */
void sink_host_enter(SinkHost *host);
void sink_host_leave(SinkHost *host);

enum { SINK_SEEN_WRITABLE = 1, SINK_SEEN_LOST = 2, SINK_SEEN_CHANGE = 4 };
/* The type noticed that its remote takes writes again (WRITABLE), or is gone (LOST), or that is_busy() or figures()
 * have changed (CHANGE). May be called on any thread. */
void sink_host_seen(SinkHost *host, unsigned seen);

/* The last question is answered. For types that do not block; may be called from inside the question. */
void sink_host_answer(SinkHost *host);

/* Events that a type may want to know of. */
typedef enum SinkNews {
        SINK_NEWS_ANSWERED, /* a pull of its subscription was answered with messages */
        SINK_NEWS_EMPTY,    /* a pull was answered without messages: none wait */
        SINK_NEWS_DEAF,     /* a pull failed */
        SINK_NEWS_STOP,     /* the type must begin nothing new */
        SINK_NEWS_END,      /* the same, and the queue is empty: the end of `once` */
} SinkNews;

/* A type's own figures for reports. Owned by the type, valid until the next call. */
typedef struct SinkFigures {
        const char *json;  /* the value of "alerts" in status.json; NULL: none */
        const char *words; /* for STATUS=; NULL or "": nothing */
        bool waiting;      /* something that follows from stored messages is left for the next start */
        bool failing;      /* a receiver of what follows from stored messages cannot be reached */
} SinkFigures;

/* Is told of each message when it is stored, but not of duplicates. A message of a write with an unclear result is told
 * when it is found to be stored, or when the sink stops or lets it go before that. */
typedef struct SinkTap {
        void (*on_stored)(void *userdata, const char *subscription, const WireMessage *message);
        void *userdata;
} SinkTap;

/* A stored message, for charts: just now, or read again. Nothing is changed. */
typedef struct SinkPast {
        Slice text; /* JSON with the numbers of any depth and the texts at the top */
        const WireAttribute *attributes;
        size_t n_attributes;
        int64_t published; /* ms since 1970; 0: unknown */
} SinkPast;

typedef struct SinkPiece {
        int64_t before; /* only messages stored before this time: ms since 1970 */
        Bytes mark;     /* where to begin; empty: at the start. Set to where the next piece begins */
        void (*each)(void *userdata, const SinkPast *past);
        void *userdata;
        char detail[SINK_DETAIL_MAX]; /* why the piece could not be read */
} SinkPiece;

enum { SINK_HISTORY_MORE = 0, SINK_HISTORY_END = 1, SINK_HISTORY_AWAY = 2, SINK_HISTORY_REFUSED = 3 };
typedef struct SinkHistory {
        /* As SinkType.open. Makes a client of its own; never blocks. */
        int (*open)(const SubscriptionConfig *config, void **ret_self, char problem[static SINK_DETAIL_MAX]);
        /* Reads a piece of limited size in limited time, on a thread of the caller. AWAY: the remote does not answer
         * now. */
        int (*next)(void *self, SinkPiece *piece);
        /* May block. */
        void *(*close)(void *self);
} SinkHistory;

/* A series of values, as the page draws it: one number of one device. */
typedef struct SinkSeries {
        const char *source, *device, *name, *field; /* field: a JSON pointer */
        const char *labels;                         /* an object of texts, as text */
} SinkSeries;

/* A limit that a type checks values against: a line in their chart. */
typedef struct SinkLimit {
        const char *rule, *kind; /* "above", "below" */
        double value, clear;
} SinkLimit;

/* Functions for the verbs: at the end of this file. */
typedef struct SinkAdmin SinkAdmin;

/* With *blocks*, probe, write, set_apart and close run on a thread, one at a time, and the answer is complete when they
 * return. Without it they run on the loop, and the type calls sink_host_answer() once for each probe, write and
 * set_apart.
 *
 * As a model read file.c, which blocks, or webhook.c, which does not. alert.c is none: it is a daemon of its own, with
 * a thread, a store and targets, behind this interface. Only alert works on after a message is stored, hence is_busy
 * and figures, and only its rules have limits. Only MongoDB keeps what is set apart beside what is stored, and can be
 * asked for that again, hence set_apart and history. */
typedef struct SinkType {
        const ConfigSection *keys; /* its section of the configuration, whose name is the type's: "mongodb" */
        const char *what;          /* the remote's name in words: "MongoDB" */
        bool blocks;
        /* config->keys is the type's own struct with its secrets. Copies what it needs. -EBADMSG, with a sentence in
         * *problem*, for a mistake in the configuration. Never blocks, and never fails because the remote is down. */
        int (*open)(const SubscriptionConfig *config, SinkHost *host, void **ret_self,
                char problem[static SINK_DETAIL_MAX]);
        /* Checks the secrets as open() would: a reload needs the result while the old sink still holds what is
         * exclusive. May be NULL. */
        int (*usable)(const SubscriptionConfig *config, char problem[static SINK_DETAIL_MAX]);
        /* Names what only one sink can use at a time: "the directory /srv/a"; equal names mean the same thing. At a
         * reload the new sink is then opened after the old one has ended. NULL: nothing. */
        void (*exclusive)(
                const SubscriptionConfig *config, const char *state_dir, char name[static SINK_EXCLUSIVE_MAX]);
        const char *(*place)(const void *self); /* the place of stored messages, for logs: "home.readings" */
        /* Finds out whether messages can be stored, without storing any. */
        void (*probe)(void *self, SinkAnswer *answer);
        /* Tries once to store every message of *work*. */
        void (*write)(void *self, SinkWork *work);
        /* Tries once to set every message of *work* apart, with its reason and detail. NULL: they are kept in state_dir
         * (rejected.h). */
        void (*set_apart)(void *self, SinkWork *work);
        /* Returns NULL when it is closed. A type that does not block returns *self* while a thread of its own still
         * writes: the messages are then left to that thread and never freed. */
        void *(*close)(void *self);
        /* For a type that does more than storing messages; called on the loop. May be NULL. */
        void (*told)(void *self, SinkNews news);
        bool (*is_busy)(const void *self); /* a stop or reload must wait for the type; may be NULL */
        /* Called on the loop; only for a type that does not block. May be NULL. */
        void (*figures)(void *self, SinkFigures *ret);
        /* Calls *each* for every limit of the series; *keys* as in open(). Called on any thread. May be NULL. */
        void (*limits)(
                const void *keys, const SinkSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to);
        const SinkAdmin *admin;     /* NULL: the verbs ask nothing */
        const SinkHistory *history; /* NULL: stored messages cannot be read again */
} SinkType;

/* ---- for the verbs ---- */

/* What the verbs check, setup, rejected and alerts ask of a type. Each call may block until the type's library gives
 * up, so the daemon never makes them. Texts are printable UTF-8 and hold no secret. */

#define SINK_ADMIN_TEXT_MAX 768

enum { SINK_ADMIN_OK = 0, SINK_ADMIN_FAILED = 1, SINK_ADMIN_ABSENT = 2 };

/* A line of `check` or `setup`. */
typedef enum SinkGrade { SINK_GRADE_OK, SINK_GRADE_WARN, SINK_GRADE_FAIL } SinkGrade;

typedef struct SinkTeller {
        void (*tell)(void *userdata, SinkGrade grade, const char *text);
        void *userdata;
        const SinkMeans *means; /* what the type may use to ask */
} SinkTeller;

/* Calls teller->tell with a formatted text, cut to SINK_ADMIN_TEXT_MAX. In sink-words.c. */
void sink_admin_tell(const SinkTeller *teller, SinkGrade grade, const char *format, ...) _printf_(3, 4);

/* A message that was set apart. Borrowed until the callback returns. */
typedef struct SinkRejected {
        Slice id;     /* for replay() and drop(); unique among all sinks */
        Slice reason; /* one word */
        Slice detail;
        Slice data;             /* raw bytes as they came; only with `with_data` */
        uint64_t size;          /* of the data, in bytes */
        usec_t rejected_at;     /* clock_wall(); 0: unknown */
        const char *attributes; /* as JSON text */
} SinkRejected;

typedef struct SinkRejectedQuery {
        const char *id; /* NULL: all */
        bool with_data;
        bool (*each)(void *userdata, const SinkRejected *rejected); /* oldest first; false ends it */
        /* Called for each other subscription that has messages in the same place; may be NULL. */
        void (*other)(void *userdata, const char *subscription);
        void *userdata;
} SinkRejectedQuery;

/* The state of a rule for a device. Borrowed until the callback returns; texts may be NULL; time 0 means none. */
typedef struct SinkAlert {
        const char *rule, *state; /* "ok", "pending", "firing"; "unheard": no message had a value at *field* */
        const char *source, *id, *name, *field, *value;
        usec_t since;     /* wall time: begin of the state, unless it is ok */
        usec_t last_sent; /* wall time; to any target */
} SinkAlert;

typedef void (*SinkAlertEach)(void *userdata, const SinkAlert *alert);

/* With SINK_ADMIN_OK and SINK_ADMIN_FAILED, *text* says in one line what happened and what to do. Functions may also
 * return -ENOMEM. */
struct SinkAdmin {
        /* Writes the place that messages are stored in, for printed lines: "home.readings". */
        void (*place)(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]);
        /* config->keys has its secrets. Need not connect. -EBADMSG: the configuration is wrong; *text* says how. NULL,
         * as close then: check() gets the configuration itself. */
        int (*open)(const SubscriptionConfig *config, void **ret_self, char text[static SINK_ADMIN_TEXT_MAX]);
        void *(*close)(void *self);

        /* Tells whether the daemon's work would succeed, and which settings look like mistakes. Changes no data. */
        void (*check)(void *self, const SinkTeller *teller);
        /* Creates what is missing, and changes nothing that exists. NULL: there is nothing to create. */
        void (*setup)(void *self, const SinkTeller *teller);

        /* This and the next two are NULL when the type itself sets nothing apart. */
        int (*each_rejected)(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]);
        /* Stores a message by the present rules, then deletes it here; safe to repeat. */
        int (*replay)(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);
        int (*drop)(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);

        /* This and the next two are NULL when the type has no alerts. Needs no secrets; a daemon may run meanwhile.
         * SINK_ADMIN_ABSENT: no rule has judged anything yet. */
        int (*each_alert)(const SubscriptionConfig *config, SinkAlertEach each, void *userdata,
                char text[static SINK_ADMIN_TEXT_MAX]);
        /* Finds a target by name: its keys, and the section that describes them, so that only its secrets are read.
         * SINK_ADMIN_ABSENT: there is no such target; *text* lists those that exist. */
        int (*find_target)(const SubscriptionConfig *config, const char *name, const ConfigSection **ret_section,
                void **ret_target, char text[static SINK_ADMIN_TEXT_MAX]);
        /* Sends the target a test message. *means* is used only until this returns. */
        int (*test_alert)(const SubscriptionConfig *config, const SinkMeans *means, void *target,
                char text[static SINK_ADMIN_TEXT_MAX]);
};
