/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Checks of remote ends that `check` and `init` share. Each prints its lines and changes nothing. */

#include "verbs/session.h"

/* Checks that pubsub.endpoint answers, and that this machine's clock agrees with it. Returns false when nothing
 * answers. */
bool check_endpoint(Session *session);

/* Checks that session->client gets an access token, and prints the account. Returns true also without credentials. */
bool check_token(Session *session);

/* Returns whether the unit that runs this configuration, if any, finds the credentials as well: a gcloud login or an
 * environment variable belongs to the caller only. Prints what is wrong. */
bool check_key(Session *session);

typedef enum Grant { GRANT_YES, GRANT_NO, GRANT_UNKNOWN } Grant;

/* Returns whether the account has one permission ("pubsub.topics.publish") on a topic or subscription. Prints nothing.
 * testIamPermissions needs no permission itself, and returns an empty set for a resource that does not exist. The
 * emulator does not have this call: GRANT_UNKNOWN. */
Grant check_grant(Session *session, const char *resource, const char *permission);

/* Polls a source once, shows one reading and discards all. Programs of exec sources run only with *run_programs*. */
void check_source(Session *session, const SourceConfig *section, bool run_programs);

/* Checks the directory of credentials beside the configuration, and every file that the configuration names. It finds
 * names and sizes that systemd refuses (the unit then ends with 243/CREDENTIALS and does not name the file), secrets
 * that others may read or (if they were read) that look like pasted quotes, and what the unit's user may not read or
 * write. 0 or -ENOMEM; a directory that may not be read is skipped. */
int check_files(Session *session);
