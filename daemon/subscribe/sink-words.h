/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Words for the failures of a sink: each is logged once until it is over; for what it set apart; for errors of a
 * disk. */

#include "subscribe/sink-type.h"
#include "trouble.h"

/* What was logged of one sink. *down*: it cannot be written to. *apart*: messages cannot be stored or set apart. */
typedef struct SinkSaid {
        const char *subscription, *what, *place; /* borrowed */
        Trouble down, apart;
        usec_t unkept_at; /* the last time (clock_now()) at which set_apart may have refused a message */
} SinkSaid;

/* *apart* is over when no message was refused for so long. A message aside is tried more often, and one that was left
 * to Pub/Sub comes back sooner: its ack deadline and the delay of a retry policy are at most 10 min each. */
#define SINK_UNKEPT_OVER_USEC (20 * USEC_PER_MINUTE + 10 * USEC_PER_SEC)

/* A try failed; the next one follows after *delay* (usec). *scouts*: single messages are pulled meanwhile. */
void sink_said_down(SinkSaid *said, const SinkAnswer *answer, bool scouts, usec_t delay);
/* The sink works, as far as is known. */
void sink_said_up(SinkSaid *said);
/* Some messages were set apart (*done*), or setting apart was *refused* with *words*; or both. */
void sink_said_apart(SinkSaid *said, const char *words, bool done, bool refused);
/* A pull was answered or failed. *ready*: it was answered, and the remote was ready. When no message was refused for
 * long enough, *apart* is over: such messages may never come again, because somebody else stored them or they became
 * too old. */
void sink_said_heard(SinkSaid *said, bool ready);

/* What was logged of the messages that a sink set apart. Its owner sets all up to *userdata*; else zeros. */
typedef struct SinkApart {
        const char *subscription, *place; /* where they cannot be stored; all borrowed */
        const char *where, *field;        /* where they are kept, and the journal's field for that */
        int (*key)(const void *userdata, const WireMessage *message, Bytes *ret); /* may be NULL */
        const void *userdata;
        struct {
                const char *reason;
                usec_t last; /* clock_now() of the last message that had it */
        } reasons[16];
        uint64_t unsaid;
        usec_t counted; /* clock_now() of the last count; 0: none yet */
} SinkApart;

/* Logs what of *work* is stored apart: the first message of a reason, and how many others there are at most once in
 * 10 min, so that a faulty publisher cannot fill the journal. A reason that was not seen for an hour is new again. */
void sink_said_set_apart(SinkApart *apart, const SinkWork *work);

/* Fills in *answer* for an *error* (negative errno) at *path*, a file or directory, and says what to do. */
void sink_disk_answer(SinkAnswer *answer, int error, const char *path);
