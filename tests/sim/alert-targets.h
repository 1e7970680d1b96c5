/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Models of where alerts are told: LINE, which answers 409 to a key that it knows; a webhook that heeds
 * Idempotency-Key; Slack, which has no key. */

#include "exchange.h"

void alert_targets_new(void);
void alert_target_serve(Exchange *x);
