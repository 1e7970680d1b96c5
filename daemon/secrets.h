/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* All secrets in use. A remote may repeat a secret in an answer; to keep it from becoming public, each text that came
 * from a remote goes through secrets_conceal() first. One object for the process; only used on the loop. */

#include "lib/cleanup.h"

/* Wipes and frees one secret. Returns NULL. */
char *secret_free(char *secret);
CLEANUP_DEFINE(char, secret_free)

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
 * with + for blanks, with backslashes before its characters, or with escapes like \u0026, as JSON from Go, .NET and
 * Google has for &, <, >, + or =. It also finds the beginning of a long secret, since a remote may have cut it (of
 * a URL: the beginning of its path). A secret shorter than SECRETS_SHORT_MAX must be a separate word; one shorter than
 * SECRETS_MIN is not looked for, because it would match in most sentences. */
void secrets_conceal(const Secrets *secrets, char *text);
