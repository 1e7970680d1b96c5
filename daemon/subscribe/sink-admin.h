/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the verbs check, setup and rejected ask of a type of sink. Every call may block for as long as the type's
 * library takes to give up; never called on the daemon's loop. No text holds a secret, or any byte that is not
 * printable UTF-8. */

#include "config.h"
#include "lib/bytes.h"
#include "subscribe/sink-type.h"

#define SINK_ADMIN_TEXT_MAX 768

enum { SINK_ADMIN_OK = 0, SINK_ADMIN_FAILED = 1, SINK_ADMIN_ABSENT = 2 };

/* A line of `check` or `setup`. */
typedef enum SinkGrade { SINK_GRADE_OK, SINK_GRADE_WARN, SINK_GRADE_FAIL } SinkGrade;

typedef struct SinkTeller {
        void (*tell)(void *userdata, SinkGrade grade, const char *text);
        void *userdata;
} SinkTeller;

/* The same with a format; what is longer than SINK_ADMIN_TEXT_MAX is cut. In sink-words.c. */
void sink_admin_tell(const SinkTeller *teller, SinkGrade grade, const char *format, ...) _printf_(3, 4);

/* A message that was set apart. Borrowed until the callback returns. */
typedef struct SinkRejected {
        Slice id;     /* what replay() and drop() take; no other sink has one like it */
        Slice reason; /* in one word */
        Slice detail;
        Slice data;             /* the raw bytes as they came; only when they were asked for */
        uint64_t size;          /* of the data, in bytes */
        usec_t rejected_at;     /* clock_wall(); 0: not known */
        const char *attributes; /* as JSON text */
} SinkRejected;

typedef struct SinkRejectedQuery {
        const char *id; /* NULL: all */
        bool with_data;
        bool (*each)(void *userdata, const SinkRejected *rejected); /* oldest first, until it returns false */
        /* Once for each other subscription that left some in the same place; NULL: not asked. */
        void (*other)(void *userdata, const char *subscription);
        void *userdata;
} SinkRejectedQuery;

/* What a rule thinks of a device. Borrowed until the callback returns; texts may be NULL, a time of 0 is none. */
typedef struct SinkAlert {
        const char *rule, *state; /* "ok", "pending", "firing" */
        const char *source, *id, *name, *value;
        usec_t since;     /* wall time, as the next: of the state, unless it is ok */
        usec_t last_sent; /* to any target */
} SinkAlert;

typedef void (*SinkAlertEach)(void *userdata, const SinkAlert *alert);

/* Where a function answers SINK_ADMIN_OK or SINK_ADMIN_FAILED, *text* says in one line what came of it, and what to do.
 * -ENOMEM. */
struct SinkAdmin {
        /* What messages are stored in, for the names of lines: "home.readings". */
        void (*place)(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]);
        /* config->keys has its secrets. Need not connect. -EBADMSG: the configuration is at fault; *text* says how. */
        int (*open)(const SubscriptionConfig *config, void **ret_self, char text[static SINK_ADMIN_TEXT_MAX]);
        void *(*close)(void *self); /* NULL: nothing is left to do */

        /* Whether what the daemon does would work, and what is likely not meant. Changes no data. */
        void (*check)(void *self, const SinkTeller *teller);
        /* Creates what is missing, and changes nothing that is there; NULL: there is nothing to create. */
        void (*setup)(void *self, const SinkTeller *teller);

        /* The three of them NULL: the type keeps nothing apart by itself. */
        int (*each_rejected)(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]);
        /* Stores it by the rules of today, then forgets it here; safe to repeat. */
        int (*replay)(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);
        int (*drop)(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);

        /* NULL, as the next two: the type has no alerts. Needs no secrets; a daemon may run beside. SINK_ADMIN_ABSENT:
         * no rule has judged anything yet. */
        int (*each_alert)(void *self, SinkAlertEach each, void *userdata, char text[static SINK_ADMIN_TEXT_MAX]);
        /* What *ret_section* reads into *ret_target*: whose secrets a test needs, and no other's. SINK_ADMIN_ABSENT:
         * there is no target of that name; *text* lists those that are. */
        int (*find_target)(void *self, const char *name, const ConfigSection **ret_section, void **ret_target,
                char text[static SINK_ADMIN_TEXT_MAX]);
        /* Sends it a test message; *means* are used until it returns. */
        int (*test_alert)(void *self, const SinkMeans *means, void *target, char text[static SINK_ADMIN_TEXT_MAX]);
};
