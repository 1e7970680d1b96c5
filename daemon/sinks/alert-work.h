/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One turn of the thread that has alerts.sqlite: messages are judged, time passes, receipts are taken, all of it is
 * committed at once, and then the sender is given what is due. */

#include "sinks/alert-store.h"
#include "subscribe/sink-type.h"

typedef struct AlertWork AlertWork;

typedef struct AlertWorkSpec {
        AlertStoreSpec store;
        PayloadFormat payload;
} AlertWorkSpec;

int alert_work_new(const AlertWorkSpec *spec, AlertWork **ret);
AlertWork *alert_work_free(AlertWork *work);
CLEANUP_DEFINE(AlertWork, alert_work_free)

typedef struct AlertTurn {
        AlertMoment moment;
        const SinkItem *items; /* messages to be judged */
        size_t n_items;
        bool exchanges;
        AlertExchange exchange;
        /* Afterwards. Of a turn that failed nothing has happened, and only the result is set. */
        int result;
        usec_t next; /* wall time of the next turn, though nothing comes; USEC_INFINITY: none is needed */
        bool due;    /* there is something for the sender */
        AlertFigures figures;
        Bytes firing; /* a JSON array */
} AlertTurn;

/* Blocks. */
void alert_work_run(AlertWork *work, AlertTurn *turn);
