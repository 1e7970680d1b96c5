/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Secret files. A relative NAME is looked for as $CREDENTIALS_DIRECTORY/NAME, $CREDENTIALS_DIRECTORY/sensorqd_NAME
 * (systemd puts the id of a directory credential before each of its files), CONFIGDIR/credentials/NAME, CONFIGDIR/NAME.
 * An absolute name is used as it is. Only names are ever logged. */

#include "config.h"
#include "secrets.h"

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

/* Reads a token or password file and notes its content in *secrets*. White space at the end (also U+00A0, U+3000 and
 * U+200B) and a byte order mark are cut; malloc'ed and NUL-terminated. Errors of open(2), -ENOENT, -EACCES, ...;
 * -EISDIR; -ENODATA when it is empty; -EFBIG above SECRET_SIZE_MAX; -EILSEQ for UTF-16; -EBADMSG when it has a line
 * break in the middle or another control character, or is not a regular file. */
int secret_read(const Config *config, Secrets *secrets, const char *name, char **ret);

/* Makes a secret from a file's content without a byte order mark, as secret_read() does; free it with secret_free().
 * -ENODATA, -EBADMSG, -ENOMEM have the same meaning. */
int secret_text(const char *content, size_t size, char **ret);

typedef struct SecretProblem {
        char text[768]; /* "secret file NAME is neither among ...": what is wrong and what to do; contains no secret */
} SecretProblem;

/* Reads every secret that the section's struct names and that was not read yet, and notes it in *secrets*. Returns 0,
 * or the first error of secret_read() with *ret_problem* filled in; also -EBADMSG if the row's type does not accept the
 * secret (a token with a quote in it); -ENOMEM. */
int secret_read_all(
        const Config *config, Secrets *secrets, const ConfigSection *section, void *keys, SecretProblem *ret_problem);

#define SECRET_WORDS_MAX 512

/* Explains why secret_find() or secret_read() failed with *error*, and what to do. The text follows "secret file NAME":
 * "is neither among ...". *config* NULL: of a file that is named at a prompt. */
const char *secret_explain(const Config *config, const char *name, int error, char words[static SECRET_WORDS_MAX]);

/* Reads a whole credentials file without its byte order mark, NUL-terminated; free it with secret_free(). Errors of
 * secret_read(); -EBADMSG only when it is not a regular file. */
int secret_read_file(const char *path, char **ret, size_t *ret_size);

/* True in a service from which ProtectHome= of its unit hides home directories, if *path* is in one. */
bool secret_home_is_hidden(const char *path);
