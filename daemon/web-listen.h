/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Listening as a section of the configuration says it, and what is said about that. */

#include "lib/listen.h"

/* An error of listen_route() in words, with what to do about it. */
const char *web_listen_words(int error);

typedef struct WebListenTry {
        const char *address, *certificate_file, *key_file; /* as in ListenSpec */
        const char *state_dir;                             /* of the daemon that may be running */
} WebListenTry;

enum { WEB_LISTEN_FREE = 0, WEB_LISTEN_HELD = 1, WEB_LISTEN_UNTRIED = 2 };
/* For `check`: whether the address can be had, with these files. HELD: it is taken, and a daemon that runs in
 * *state_dir* may be who has it. UNTRIED: the service manager hands it over, or lets no other than root have it. Errors
 * of listen_route(). */
int web_listen_try(Loop *loop, const WebListenTry *wanted);

/* At a reload: listen_renew(), and says what cannot be renewed. */
void web_listen_renew(Listen *listen);
