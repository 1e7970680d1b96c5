/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One run of `sensorqd once`: each source polled, then the outbox published, then each subscription drained. */

#include "stages.h"

/* Runs the loop until that is done, or until host->stopping. *ret_complete: everything is stored; else what is left,
 * and why, was logged. A negative errno when a poll cannot be begun or the loop cannot go on. */
int once_run(const StagesHost *host, bool *ret_complete);
