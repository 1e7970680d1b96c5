/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Listening with the settings of a configuration section, and words and causes for its errors. */

#include "lib/listen.h"
#include "trouble.h"

/* Return words for an error of listen_route() or web_listen_try(), with what to do, and its cause. */
const char *web_listen_words(int error);
Cause web_listen_cause(int error);

typedef struct WebListenTry {
        const char *address, *certificate_file, *key_file; /* as in ListenSpec */
        const char *state_dir;                             /* state_dir of a daemon that may be running */
} WebListenTry;

enum { WEB_LISTEN_FREE = 0, WEB_LISTEN_HELD = 1, WEB_LISTEN_UNTRIED = 2 };
/* For `check`: tries to listen on the address with these files. HELD: the address is in use, probably by the daemon
 * that runs in *state_dir*. UNTRIED: the address was not tried, since the service manager passes the socket, or only
 * root may have that port. -EBUSY: it is in use, and no daemon runs in *state_dir*. Errors of listen_route(). */
int web_listen_try(Loop *loop, const WebListenTry *wanted);

#define WEB_LISTEN_WORDS_MAX 128
/* For `check`: true when the certificate (NULL: none) is not valid yet, has ended, or ends within two weeks
 * (one for less than eight weeks: in the last quarter of its time); *words* says which, to stand behind a sentence, and
 * is "" otherwise. */
bool web_listen_is_ending(const char *certificate_file, char words[static WEB_LISTEN_WORDS_MAX]);

/* For the daemon: logs, once a day at most, which certificates that are served are so. *warned* begins with 0. */
void web_listen_warn(const Listen *listen, usec_t *warned);

#define WEB_LISTEN_PASSWORD_MAX 1024 /* user and colon included */
/* Reads the password in the value of a header Authorization: `Basic base64(USER:PASSWORD)` (RFC 7617). False: there is
 * none. The caller wipes *ret* in both cases. */
bool web_listen_password(const char *authorization, char ret[static WEB_LISTEN_PASSWORD_MAX]);

/* At a reload: calls listen_renew(), and logs what cannot be renewed. */
void web_listen_renew(Listen *listen);
