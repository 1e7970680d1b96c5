/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The requests to one target, one at a time, and the proof of who we are. */

#include "sinks/alert-target.h"

typedef struct AlertPost AlertPost;

typedef struct AlertPostHost {
        Http *http;
        Secrets *secrets;         /* may be NULL */
        const char *state_dir;    /* where OAuth 2 keeps its tokens */
        bool guest;               /* a daemon may be running beside: no token is exchanged */
        const char *subscription; /* with the target's name, what tells its tokens from others */
} AlertPostHost;

/* *target* is borrowed for the life of the post; its secrets were read. -EBADMSG with a sentence in *problem* for what
 * they say. */
int alert_post_new(
        const AlertPostHost *host, const AlertTarget *target, AlertPost **ret, char problem[static SINK_DETAIL_MAX]);
/* Drops a request under way, without a callback. Returns NULL. */
AlertPost *alert_post_free(AlertPost *post);
CLEANUP_DEFINE(AlertPost, alert_post_free)

/* A random UUID (RFC 9562, version 4): the key of a message. */
void alert_post_draw_key(char key[static ALERT_KEY_SIZE]);

/* *answer* has secrets blotted out. */
typedef void (*AlertPostDone)(void *userdata, const AlertAnswer *answer);
/* Sends one message, and calls *done* once from the loop, never from inside. -ENOMEM, -EINVAL: nothing was begun. */
int alert_post_send(AlertPost *post, const AlertMessage *message, AlertPostDone done, void *userdata);
