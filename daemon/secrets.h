/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Every secret in use, so that a remote that repeats one cannot make it public: each text that came from a remote
 * passes secrets_conceal() before it goes anywhere. One for the process; only used on the loop. */

#include "lib/cleanup.h"

/* Wipes and frees one. Returns NULL. */
char *secret_free(char *secret);
CLEANUP_DEFINE(char, secret_free)

typedef struct Secrets Secrets;

/* Empty. -ENOMEM. */
int secrets_new(Secrets **ret);
/* Wipes what it remembers. Returns NULL. */
Secrets *secrets_free(Secrets *secrets);
CLEANUP_DEFINE(Secrets, secrets_free)

/* Remembers a copy of *secret* until secrets_free(): it may come back in a late answer when its owner is long gone. The
 * same one twice is remembered once. NULL and "" are nothing. *secrets* may be NULL here and below: nothing is done. */
int secrets_note(Secrets *secrets, const char *secret);

#define SECRETS_PASSING_MAX 64
/* The same for what is made anew all the time (access tokens, assertions): only the last SECRETS_PASSING_MAX stay. */
int secrets_note_passing(Secrets *secrets, const char *secret);

/* Remembers what a login puts into an Authorization header (RFC 7617: base64 of USER:PASSWORD), and the password. */
int secrets_note_login(Secrets *secrets, const char *user, const char *password);

#define SECRETS_MIN 4
#define SECRETS_SHORT_MAX 8
/* Blots every secret out of *text*, in place, which never grows: as it is, percent-encoded, with blanks as +, with
 * backslashes before its characters, or as \u0026: so JSON of Go, .NET and Google has &, <, >, + or =. Of a long one
 * also its beginning, which a remote may have cut. One that is shorter than SECRETS_SHORT_MAX counts as a word of its
 * own only, and below SECRETS_MIN not at all: it would blot out half of every sentence. */
void secrets_conceal(const Secrets *secrets, char *text);
