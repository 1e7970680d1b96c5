/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the verbs check, setup, rejected and alerts ask of a type of sink. Each call may block until the type's library
 * gives up, so the daemon never makes them. Texts are printable UTF-8 and hold no secret. */

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
