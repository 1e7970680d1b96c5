/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Checks of remote ends that `check` and `init` share. Each prints its lines and changes nothing. */

#include "lib/service.h"
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

/* What the account may do with a topic or subscription: use it, also where its settings may not be read; it is not
 * there; the permission is missing; UNKNOWN, for which *ret* has the reason. *ret*, which has the settings of an OPEN
 * one, is as for session_get(). Prints nothing. */
typedef enum Reach { REACH_OPEN, REACH_BLIND, REACH_ABSENT, REACH_FORBIDDEN, REACH_UNKNOWN } Reach;
Reach check_reach(Session *session, const char *resource, const char *permission, SessionReply *ret);

/* Polls a source once, shows one reading and discards all. Programs of exec sources run only with *run_programs*. */
void check_source(Session *session, const SourceConfig *section, bool run_programs);

/* Checks the directory of credentials beside the configuration, and every file that the configuration names. It finds
 * names and sizes that systemd refuses (the unit then ends with 243/CREDENTIALS and does not name the file), secrets
 * that others may read or (if they were read) that look like pasted quotes, and what the unit's user may not read or
 * write. 0 or -ENOMEM; a directory that may not be read is skipped. */
int check_files(Session *session);

/* ---- the unit, as whose user the service runs ---- */

/* Finds the user that programs of this configuration run as when root starts them: the unit's user; without a unit, the
 * package's user if it exists. All zeros: the present user. */
void check_unit_user(const char *path, ServiceUser *ret);

/* Whether that user may access the file (R_OK, W_OK, X_OK) by its mode and those of the directories above. Only root
 * can find that out for another user; returns true when it is unknown. */
bool check_unit_may(const ServiceUser *user, const char *path, int mode);

/* The setting of the unit that hides the file from the service ("ProtectHome="). NULL: none does, or it is unknown. */
const char *check_unit_hides(const ServiceUser *user, const char *path);
/* True if the service may write there only when the unit's ReadWritePaths= names it. */
bool check_unit_protects(const ServiceUser *user, const char *path);

/* True if the state_dir is the StateDirectory= of sensorqd.service, or of sensorqd@NAME for NAME.yaml: the unit makes
 * it at its first start. */
bool check_unit_makes(const Config *config);
