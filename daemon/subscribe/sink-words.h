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
        usec_t unkept_at; /* clock_now() when one could last have been refused where such are set apart */
} SinkSaid;

/* A message that waits aside is tried more often, and what was left to the queue is back sooner: its ack deadline and
 * the pause of a retry policy are at most 10 min each. */
#define SINK_UNKEPT_OVER_USEC (20 * USEC_PER_MINUTE + 10 * USEC_PER_SEC)

/* A try failed; the next one is made after *delay*. *scouts*: a message is pulled now and then meanwhile. */
void sink_said_down(SinkSaid *said, const SinkAnswer *answer, bool scouts, usec_t delay);
/* It works, as far as is known. */
void sink_said_up(SinkSaid *said);
/* Messages were set apart (*kept*), or that was *refused* with *words*; or both. */
void sink_said_apart(SinkSaid *said, const char *words, bool kept, bool refused);
/* The queue was asked: whether it answered and the remote was *ready*. Such messages may never come again: somebody
 * else stored them, they became too old, or came back as others and were stored. */
void sink_said_heard(SinkSaid *said, bool ready);

/* The fault of an *error* (negative errno) at *path*, a file or directory, in words that say what to do. */
void sink_disk_answer(SinkAnswer *answer, int error, const char *path);
