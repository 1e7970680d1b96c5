/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What status.json and STATUS= say of alerts. */

#include "sinks/alert-sender.h"

typedef struct AlertReport {
        size_t firing, pending;
        const char *rules; /* what fires, as a JSON array of objects with `rule`, `name` and `device`; NULL: none */
        const AlertSender *sender;
        size_t n_targets;
} AlertReport;

/* Fills *json* with an object, and *words* with what belongs into STATUS=, "" where all is well. -ENOMEM. */
int alert_report_write(const AlertReport *report, Bytes *json, Bytes *words);
