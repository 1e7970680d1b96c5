/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a sink says of its troubles, once for a time of each: that it cannot be written to, and that what can never be
 * stored cannot be set apart either. Apart from sink.c, which decides; for it alone. */

#include "subscribe/sink-type.h"
#include "trouble.h"

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
