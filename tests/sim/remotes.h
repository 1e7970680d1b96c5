/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Models of Google's token endpoint and of Nature Remo's API. */

#include "exchange.h"

void remotes_new(void);
void remotes_serve(Exchange *x);
/* Whether it is a token that serves now. */
bool remotes_token_is_good(const char *bearer);
/* All tokens that were given so far serve no longer. */
void remotes_revoke_tokens(void);
/* The daemon has that answer in its hands, whole. */
void remotes_remo_delivered(const char *body);
