/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Secret files. A relative NAME is sought as $CREDENTIALS_DIRECTORY/NAME, $CREDENTIALS_DIRECTORY/sensorqd_NAME (systemd
 * puts the directory's id before each file of a directory credential), CONFIGDIR/credentials/NAME, CONFIGDIR/NAME; an
 * absolute one is taken as it is. Nothing here is ever logged but names. */

#include "config.h"
#include "secrets.h"

#define SECRET_SIZE_MAX (64 * 1024)

/* The first of those places that exists, malloc'ed. -ENOENT when none does. -EACCES when none is found, and a directory
 * may not be searched by this user; not under $CREDENTIALS_DIRECTORY, where a unit's secrets are, and what is not there
 * is missing. As err_passes() where the disk does not tell. */
int secret_find(const Config *config, const char *name, char **ret_path);

/* Whether it stands in CONFIGDIR/credentials, whose files systemd hands over. */
bool secret_is_handed_over(const Config *config, const char *path);

/* What a message calls the file that was found at *path*, so that the reader finds what to mend: of systemd's copy of a
 * file of the directory credential CONFIGDIR/credentials/NAME, of another credential its name, else the path.
 * malloc'ed; NULL: no memory. */
char *secret_origin(const Config *config, const char *name, const char *path);

/* The content of a token or password file, white space at its end (U+00A0, U+3000 and U+200B as well) and a byte order
 * mark cut, malloc'ed and NUL-terminated, and noted in *secrets*. -ENOENT, -EACCES, ... as open(2), -EISDIR; -ENODATA
 * when it is empty; -EFBIG above SECRET_SIZE_MAX; -EILSEQ for UTF-16; -EBADMSG when it holds a line break in the middle
 * or another control character, or is not a regular file. */
int secret_read(const Config *config, Secrets *secrets, const char *name, char **ret);

/* What secret_read() makes of a file's content without a byte order mark; released with secret_free(). -ENODATA,
 * -EBADMSG, -ENOMEM as there. */
int secret_text(const char *content, size_t size, char **ret);

typedef struct SecretProblem {
        char text[768]; /* "secret file NAME is neither among ...": what, and what to do; no secret */
} SecretProblem;

/* Reads every secret that the section's struct names and that was not read yet, and notes it in *secrets*. 0, or the
 * first error of secret_read() with *ret_problem* filled in, -EBADMSG also for one that its row's type does not take (a
 * token with a quote in it); -ENOMEM. */
int secret_read_all(
        const Config *config, Secrets *secrets, const ConfigSection *section, void *keys, SecretProblem *ret_problem);

#define SECRET_WORDS_MAX 512

/* Why secret_find() or secret_read() ended in *error*, and what to do, to be put behind "secret file NAME": "is neither
 * among ...". */
const char *secret_explain(const Config *config, const char *name, int error, char words[static SECRET_WORDS_MAX]);

/* The whole of a credentials file without a byte order mark, NUL-terminated; released with secret_free(). Errors as
 * secret_read(), -EBADMSG for its kind only. */
int secret_read_file(const char *path, char **ret, size_t *ret_size);

typedef struct SecretFinding {
        const char *path;
        bool fatal; /* the unit does not start because of it */
        const char *words;
} SecretFinding;

/* Looks at the directory of credentials beside the configuration, all of which systemd hands to the unit, and at every
 * secret file that the configuration names: names and sizes that systemd does not take (the unit then ends with
 * 243/CREDENTIALS and names no file), files that others may read, and secrets, where they were read, that look like
 * pasted quotes. Calls *each*, borrowed strings, for whatever deserves a word. 0 or -ENOMEM; a directory that may not
 * be read is passed over. */
int secret_audit(const Config *config, void (*each)(void *userdata, const SecretFinding *finding), void *userdata);
