/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The looks at remote ends that `check` and `init` share. Each prints its lines and changes nothing. */

#include "verbs/session.h"

/* Whether pubsub.endpoint answers at all, and whether this machine's clock agrees with it. False: nothing answers. */
bool check_endpoint(Session *session);

/* Whether an access token is to be had for session->remote, and for which account. True without credentials, too. */
bool check_token(Session *session);

/* Whether the unit of this configuration, where it is one's, finds the credentials, too: a login of gcloud's or a
 * variable is that of who runs this. Prints what is wrong. */
bool check_key(Session *session);

typedef enum Grant { GRANT_YES, GRANT_NO, GRANT_UNKNOWN } Grant;

/* Whether the account has one permission ("pubsub.topics.publish") on a topic or subscription. Prints nothing.
 * testIamPermissions needs no permission of its own, and answers an empty set for what does not exist. The emulator has
 * no such call. */
Grant check_grant(Session *session, const char *resource, const char *permission);

/* One poll of a source, thrown away, with a reading as a sample. *run_programs*: those of exec sources are run. */
void check_source(Session *session, const SourceConfig *section, bool run_programs);
