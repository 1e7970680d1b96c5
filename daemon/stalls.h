/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is watched and warned of, from the figures of a report: stages that stand still though nothing is known to be in
 * the way, messages that near the end of their retention, an outbox that fills. */

#include "report.h"

typedef struct Stalls Stalls;

/* Since when messages of each subscription wait is kept in STATE_DIR/unsettled, or each restart would begin to count
 * anew; NULL: it is not kept. -ENOMEM. */
int stalls_new(const char *state_dir, Stalls **ret);
Stalls *stalls_free(Stalls *stalls);
CLEANUP_DEFINE(Stalls, stalls_free)

/* Logs EVENT_STALLED, EVENT_RETENTION_NEAR (at half and nine tenths) and EVENT_OUTBOX_HIGH, _FULL, _DRAINED, once for
 * each crossing. To be called every minute or so, as often as anything changes, and at the stop. */
void stalls_look(Stalls *stalls, const Figures *figures);
