/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Models of where alerts are told: LINE, which answers 409 to a key that it knows; a webhook that heeds
 * Idempotency-Key; Slack, ntfy and Discord, which have no key, but limits. */

#include "exchange.h"

void alert_targets_new(void);
void alert_target_serve(Exchange *x);
/* A request starts: not before the time that the target wants. */
void alert_target_asked(const Exchange *x);
/* The daemon has an answer. */
void alert_target_answered(const Exchange *x, bool good);
