/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Secrets, from their files to the end of the process. A relative NAME is looked for as $CREDENTIALS_DIRECTORY/NAME,
 * $CREDENTIALS_DIRECTORY/sensorqd_NAME (systemd puts the id of a directory credential before each of its files),
 * CONFIGDIR/credentials/NAME, CONFIGDIR/NAME. An absolute name is used as it is. Only names are ever logged. */

#include "config.h"

/* Wipes and frees one secret. Returns NULL. */
char *secret_free(char *secret);
CLEANUP_DEFINE(char, secret_free)

/* ---- all secrets in use ---- */

/* A remote may repeat a secret in an answer; to keep it from becoming public, each text that came from a remote goes
 * through secrets_conceal() first. One object for the process; only used on the loop. */
typedef struct Secrets Secrets;

/* The list is empty. -ENOMEM. */
int secrets_new(Secrets **ret);
/* Wipes and frees all secrets. Returns NULL. */
Secrets *secrets_free(Secrets *secrets);
CLEANUP_DEFINE(Secrets, secrets_free)

/* Remembers a copy of *secret* until secrets_free(): a late answer may contain it after its owner is gone. A known
 * secret is not added again; NULL and "" are ignored. *secrets* may be NULL, here and below: then nothing is done. */
int secrets_note(Secrets *secrets, const char *secret);

#define SECRETS_PASSING_MAX 64
/* Like secrets_note(), for secrets that change often (access tokens, assertions): only the last SECRETS_PASSING_MAX are
 * kept. */
int secrets_note_passing(Secrets *secrets, const char *secret);

#define SECRETS_MIN 4
#define SECRETS_SHORT_MAX 8
/* Replaces every secret in *text*, in place; the text never gets longer. It finds a secret as it is, percent-encoded,
 * with + for blanks, with backslashes before its characters, with escapes like \u0026, as JSON from Go, .NET and
 * Google has for &, <, >, + or =, or with the entities of HTML. It also finds the beginning of a long secret, since a
 * remote may have cut it (of a URL: the beginning of its path). A secret shorter than SECRETS_SHORT_MAX must be a
 * separate word; one shorter than SECRETS_MIN is not looked for, because it would match in most sentences. */
void secrets_conceal(const Secrets *secrets, char *text);

/* ---- their files ---- */

#define SECRET_SIZE_MAX (64 * 1024)

/* Returns the first of those places that exists, malloc'ed. -ENOENT when none does. -EACCES when none is found and this
 * user may not search a directory; but not in a unit, where a secret that is not in $CREDENTIALS_DIRECTORY is missing.
 * An error for which err_passes() is true when the disk does not answer. */
int secret_find(const Config *config, const char *name, char **ret_path);

/* True if the file is in CONFIGDIR/credentials, whose files systemd passes to the unit. */
bool secret_is_handed_over(const Config *config, const char *path);

/* Returns the name that a message should use for the file found at *path*, so that the reader finds the file to
 * correct: for systemd's copy of a file in a directory credential CONFIGDIR/credentials/NAME, for another credential
 * its name, else the path. malloc'ed; NULL: no memory. */
char *secret_origin(const Config *config, const char *name, const char *path);

typedef struct SecretProblem {
        char text[768]; /* "secret file NAME is neither among ...": what is wrong and what to do; contains no secret */
} SecretProblem;

/* Reads every token or password file that the section's struct names and that was not read yet, and notes its content
 * in *secrets*. White space at the end (also U+00A0, U+3000 and U+200B) and a byte order mark are cut. Returns 0,
 * -ENOMEM, or the first other error with *ret_problem* filled in: errors of secret_find() and open(2), -ENOENT,
 * -EACCES, ...; -EISDIR; -ENODATA when the file is empty; -EFBIG above SECRET_SIZE_MAX; -EILSEQ for UTF-16; -EBADMSG
 * when it has a line break in the middle or another control character, is not a regular file, or the row's type does
 * not accept the secret (a token with a quote in it). */
int secret_read_all(
        const Config *config, Secrets *secrets, const ConfigSection *section, void *keys, SecretProblem *ret_problem);

/* Makes a secret from a file's content without a byte order mark, as secret_read_all() does; free it with
 * secret_free(). -ENODATA, -EBADMSG, -ENOMEM have the same meaning. */
int secret_text(const char *content, size_t size, char **ret);

#define SECRET_WORDS_MAX 512

/* Explains why secret_find(), secret_text() or secret_read_file() failed with *error*, and what to do. The text follows
 * "secret file NAME": "is neither among ...". *config* NULL: of a file that is named at a prompt. */
const char *secret_explain(const Config *config, const char *name, int error, char words[static SECRET_WORDS_MAX]);

/* Reads a whole credentials file without its byte order mark, NUL-terminated; free it with secret_free(). Errors of
 * secret_read_all(); -EBADMSG only when it is not a regular file. */
int secret_read_file(const char *path, char **ret, size_t *ret_size);

/* True in a service from which ProtectHome= of its unit hides home directories, if *path* is in one. */
bool secret_home_is_hidden(const char *path);
