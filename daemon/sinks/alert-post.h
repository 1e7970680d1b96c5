/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One target as its sender sees it: the requests to it, one at a time, with the proof of who we are; and whether a
 * refusal was the fault of what it was sent. */

#include "sinks/alert-target.h"

typedef struct AlertPost AlertPost;

/* *subscription*: with the target's name, what tells its tokens from others. *target* is borrowed for the life of the
 * post, as what *means* points to; its secrets were read. A guest exchanges no token. -EBADMSG with a sentence in
 * *problem* for what they say. */
int alert_post_new(const SinkMeans *means, const char *subscription, const AlertTarget *target, AlertPost **ret,
        char problem[static SINK_DETAIL_MAX]);
/* Drops a request under way, without a callback. Returns NULL. */
AlertPost *alert_post_free(AlertPost *post);
CLEANUP_DEFINE(AlertPost, alert_post_free)

/* A random UUID (RFC 9562, version 4): the key of a message. */
void alert_post_draw_key(char key[static ALERT_KEY_SIZE]);

/* *answer* has secrets blotted out. */
typedef void (*AlertPostDone)(void *userdata, const AlertAnswer *answer);
/* Sends one message, and calls *done* once from the loop, never from inside. -ENOMEM, -EINVAL: nothing was begun. */
int alert_post_send(AlertPost *post, const AlertMessage *message, AlertPostDone done, void *userdata);

/* ---- alert-doubt.c ---- */

/* Who is to blame for a refusal: the notice, or the target. A notice is given up only when it was refused alone, then
 * another one was accepted, and then it was refused alone again. Pure. */
typedef struct AlertDoubtEntry {
        int64_t id;
        bool refused;    /* alone; else with others, and it is yet to be tried alone */
        uint64_t before; /* how many had been accepted then */
} AlertDoubtEntry;

/* `AlertDoubt d = {};` has no doubt. */
typedef struct AlertDoubt {
        AlertDoubtEntry *entries;
        size_t n, allocated;
        uint64_t accepted; /* messages */
        unsigned refused;  /* in a row, alone */
} AlertDoubt;
void alert_doubt_done(AlertDoubt *doubt);

typedef enum AlertDoubtGrade {
        ALERT_DOUBT_NONE,  /* to be sent, with others if there are */
        ALERT_DOUBT_ALONE, /* to be sent, alone */
        ALERT_DOUBT_HELD,  /* nothing else was accepted since: a try would say nothing new */
} AlertDoubtGrade;
/* What is known against a notice. */
AlertDoubtGrade alert_doubt_grade(const AlertDoubt *doubt, int64_t id);

/* The message with these notices was accepted. */
void alert_doubt_accepted(AlertDoubt *doubt, const int64_t *ids, size_t n);

enum { ALERT_DOUBT_BACK = 0, ALERT_DOUBT_FINAL = 1 };
/* The message with these notices was refused. ALERT_DOUBT_FINAL: the one in it is to be given up. -ENOMEM. */
int alert_doubt_refused(AlertDoubt *doubt, const int64_t *ids, size_t n);

/* Forgets every notice for which *keep* says no. */
void alert_doubt_prune(AlertDoubt *doubt, bool (*keep)(void *userdata, int64_t id), void *userdata);
