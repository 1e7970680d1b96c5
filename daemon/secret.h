/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Secret files. A relative NAME is sought as $CREDENTIALS_DIRECTORY/NAME, $CREDENTIALS_DIRECTORY/sensorqd_NAME (systemd
 * puts the directory's id before each file of a directory credential), CONFIGDIR/credentials/NAME, CONFIGDIR/NAME; an
 * absolute one is taken as it is. Nothing here is ever logged but names. */

#include "config.h"

#define SECRET_SIZE_MAX (64 * 1024)

/* The first of those places that exists, malloc'ed. -ENOENT when none does. -EACCES when none is found, and a directory
 * may not be searched by this user; not under $CREDENTIALS_DIRECTORY, where a unit's secrets are, and what is not there
 * is missing. */
int secret_find(const Config *config, const char *name, char **ret_path);

/* The content of a token or password file, trailing white space and a leading byte order mark cut, malloc'ed and
 * NUL-terminated. -ENOENT, -EACCES, ... as open(2), -EISDIR; -EBADMSG when it is empty, holds a NUL, a line break in
 * the middle or another control character, is larger than SECRET_SIZE_MAX, or no regular file. */
int secret_read(const Config *config, const char *name, char **ret);

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
