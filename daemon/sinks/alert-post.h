/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Sends requests to one target, one at a time, with our credentials; and decides whether a refusal was the fault of the
 * notice. */

#include "sinks/alert-target.h"

typedef struct AlertPost AlertPost;

/* *subscription*, together with the target's name, identifies its stored tokens. *target*, whose secrets were read, and
 * what *means* points to are borrowed for the life of the post. A guest uses up no refresh token (AuthCall.guest).
 * -EBADMSG, with a sentence in *problem*, when a secret is wrong. */
int alert_post_new(const SinkMeans *means, const char *subscription, const AlertTarget *target, AlertPost **ret,
        char problem[static SINK_DETAIL_MAX]);
/* Drops a request under way without a callback. Returns NULL. */
AlertPost *alert_post_free(AlertPost *post);
CLEANUP_DEFINE(AlertPost, alert_post_free)

/* Draws a random UUID (RFC 9562, version 4) as the key of a message. */
void alert_post_draw_key(char key[static ALERT_KEY_SIZE]);

/* Secrets are concealed in *answer*. */
typedef void (*AlertPostDone)(void *userdata, const AlertAnswer *answer);
/* Sends one message (NULL: as alert_target_write()) and calls *done* once, perhaps from inside. */
void alert_post_send(AlertPost *post, const AlertMessage *message, AlertPostDone done, void *userdata);

/* ---- alert-doubt.c ---- */

/* Decides whether the notice or the target is at fault for a refusal. A notice is given up only when it was refused
 * alone, then another one was accepted, and then it was refused alone again. Pure. */
typedef struct AlertDoubtEntry {
        int64_t id;
        bool refused;    /* refused alone; false: refused with others, and to be tried alone next */
        uint64_t before; /* number of accepted messages at that time */
} AlertDoubtEntry;

/* `AlertDoubt d = {};` has no doubt. */
typedef struct AlertDoubt {
        AlertDoubtEntry *entries;
        size_t n, allocated;
        uint64_t accepted; /* number of messages */
        unsigned refused;  /* number of refusals alone, in a row */
} AlertDoubt;
void alert_doubt_done(AlertDoubt *doubt);

typedef enum AlertDoubtGrade {
        ALERT_DOUBT_NONE,  /* send it, together with others */
        ALERT_DOUBT_ALONE, /* send it alone */
        ALERT_DOUBT_HELD,  /* nothing was accepted since its refusal: a try would show nothing new */
} AlertDoubtGrade;
/* Returns how a notice may be sent. */
AlertDoubtGrade alert_doubt_grade(const AlertDoubt *doubt, int64_t id);

/* A message with these notices was accepted. */
void alert_doubt_accepted(AlertDoubt *doubt, const int64_t *ids, size_t n);

enum { ALERT_DOUBT_BACK = 0, ALERT_DOUBT_FINAL = 1 };
/* A message with these notices was refused. ALERT_DOUBT_FINAL: give up its single notice. -ENOMEM. */
int alert_doubt_refused(AlertDoubt *doubt, const int64_t *ids, size_t n);

/* Forgets every notice that is not due any more. */
void alert_doubt_prune(AlertDoubt *doubt, const AlertExchange *answer);
