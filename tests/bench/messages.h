/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages as `:pull` answers them, in the service's indented JSON: readings like Nature Remo's of about 350 bytes,
 * base64, with attributes and ack ids of 180 characters. Made once; an answer is a copy of the first n of them with the
 * numbers patched, so that a message costs about a tenth of a microsecond. */

#include "loop.h"

#define MESSAGES_MAX 1000 /* the service's limit of a pull */
#define MESSAGES_ACK_ID_SIZE 180
#define MESSAGES_ACK_DIGITS 10 /* the last characters of an ack id: the message's number */

typedef struct Messages Messages;

/* *timed*: with the attribute sent_usec (latency.h). */
Messages *messages_new(bool timed);
Messages *messages_free(Messages *m);
/* Bytes of an answer with *n* messages. */
size_t messages_size(const Messages *m, size_t n);
/* Appends the answer. *numbers*: of the messages; *sent*: their wall times in microseconds, or NULL when not timed. */
void messages_append(const Messages *m, const uint64_t *numbers, const uint64_t *sent, size_t n, Buffer *out);
/* The JSON of *n* devices as the sensor API lists them, for one poll. */
void messages_devices(unsigned n, Buffer *out);
