/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The thresholds of the rules as a chart shows them. Pure. */

#include "subscribe/sink-type.h"

/* SinkType.limits, with an AlertConfig: rules with `above` or `below` whose field that is, and whose `where` what is
 * known of the device satisfies. */
void alert_limits(const void *keys, const SinkSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to);
