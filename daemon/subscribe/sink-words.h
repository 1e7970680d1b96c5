/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The words for a sink's troubles: what is logged of them, once for a time of each, and what it means that a disk
 * refuses. */

#include "subscribe/sink-type.h"
#include "trouble.h"

/* Of one sink: that it cannot be written to, and that what can never be stored cannot be set apart either. */
typedef struct SinkSaid {
        const char *subscription, *what, *place; /* borrowed */
        Trouble down, apart;
} SinkSaid;

/* A try failed; the next one is made after *delay*. *scouts*: a message is pulled now and then meanwhile. */
void sink_said_down(SinkSaid *said, const SinkAnswer *answer, bool scouts, usec_t delay);
/* It works, as far as is known. */
void sink_said_up(SinkSaid *said);
/* Messages were set apart (*kept*), or that was *refused* with *words*; or both. */
void sink_said_apart(SinkSaid *said, const char *words, bool kept, bool refused);

/* The fault of an *error* (negative errno) at *path*, a file or directory, in words that say what to do. */
void sink_disk_answer(SinkAnswer *answer, int error, const char *path);
