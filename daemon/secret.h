/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Secret files. A relative NAME is sought as $CREDENTIALS_DIRECTORY/NAME, $CREDENTIALS_DIRECTORY/sensorqd_NAME (systemd
 * puts the directory's id before each file of a directory credential), CONFIGDIR/credentials/NAME, CONFIGDIR/NAME; an
 * absolute one is taken as it is. Nothing here is ever logged but names.
 *
 * Secrets remembers every secret in use, so that a remote that repeats one cannot make it public: each text that came
 * from a remote passes secrets_conceal() before it goes anywhere. One for the process; only used on the loop. */

#include "config.h"

#define SECRET_SIZE_MAX (64 * 1024)

typedef struct Secrets Secrets;

int secrets_new(Secrets **ret);
/* Wipes what it remembers. Returns NULL. */
Secrets *secrets_free(Secrets *secrets);
CLEANUP_DEFINE(Secrets, secrets_free)

/* Remembers a copy of *secret* until secrets_free(): it may come back in a late answer when its owner is long gone. The
 * same one twice is remembered once. NULL and "" are nothing. *secrets* may be NULL here and below: nothing is done. */
int secrets_note(Secrets *secrets, const char *secret);

/* The same for what is made anew all the time (access tokens, assertions): only the last SECRETS_PASSING_MAX stay. */
#define SECRETS_PASSING_MAX 64
int secrets_note_passing(Secrets *secrets, const char *secret);

/* Remembers what a login puts into an Authorization header (RFC 7617: base64 of USER:PASSWORD), and the password. */
int secrets_note_login(Secrets *secrets, const char *user, const char *password);

/* Blots every secret out of *text*, in place, which never grows: as it is, percent-encoded, with blanks as +, or with
 * backslashes before its characters. Of a long one also its beginning, which a remote may have cut. One that is shorter
 * than SECRETS_SHORT_MAX counts as a word of its own only, and below SECRETS_MIN not at all: it would blot out half of
 * every sentence. */
#define SECRETS_MIN 4
#define SECRETS_SHORT_MAX 8
void secrets_conceal(const Secrets *secrets, char *text);

/* The first of those places that exists, malloc'ed. -ENOENT when none does. -EACCES when none is found, and a directory
 * may not be searched by this user; not under $CREDENTIALS_DIRECTORY, where a unit's secrets are, and what is not there
 * is missing. */
int secret_find(const Config *config, const char *name, char **ret_path);

/* The content of a token or password file, trailing white space and a leading byte order mark cut, malloc'ed and
 * NUL-terminated, and noted in *secrets*. -ENOENT, -EACCES, ... as open(2), -EISDIR; -EBADMSG when it is empty, holds a
 * NUL, a line break in the middle or another control character, is larger than SECRET_SIZE_MAX, or no regular file. */
int secret_read(const Config *config, Secrets *secrets, const char *name, char **ret);

typedef struct SecretProblem {
        char text[768]; /* "secret file NAME is neither among ...": what, and what to do; no secret */
} SecretProblem;

/* Reads every secret that the section's struct names and that was not read yet, and notes it in *secrets*. 0, or the
 * first error of secret_read() with *ret_problem* filled in; -ENOMEM. */
int secret_read_all(
        const Config *config, Secrets *secrets, const ConfigSection *section, void *keys, SecretProblem *ret_problem);

#define SECRET_WORDS_MAX 512

/* Why secret_find() or secret_read() ended in *error*, and what to do, to be put behind "secret file NAME": "is neither
 * among ...". */
const char *secret_explain(const Config *config, const char *name, int error, char words[static SECRET_WORDS_MAX]);

/* The whole of a credentials file as it is, NUL-terminated; released with secret_free(). Errors as secret_read(),
 * -EBADMSG for size and kind only. */
int secret_read_file(const char *path, char **ret, size_t *ret_size);

/* Wipes and frees. Returns NULL. */
char *secret_free(char *secret);
CLEANUP_DEFINE(char, secret_free)
