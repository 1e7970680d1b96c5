/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Logs what is odd about a source's readings, and input that cannot become a reading, once for each kind and device.
 * Only source.c uses it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "publish/reading.h"

/* Zeros except *source*, its name, which is borrowed, and *dropped*, the number that source_said_dropped() does not
 * report again. */
typedef struct SourceSaid {
        const char *source;
        uint64_t *hashes; /* hashes of kind and device */
        size_t n, allocated;
        bool nothing_readable, gone; /* logged: that nothing is readable; that some were deleted */
        uint64_t unreadable;         /* since the start */
        uint64_t left_out;           /* likewise: what became no reading, as `reading` wants it */
        uint64_t dropped;
} SourceSaid;

void source_said_done(SourceSaid *said);

/* For ShapeOrigin.note; *said* is a SourceSaid. */
void source_said_note(void *said, const char *kind, const char *device, const char *text);

/* Counts and logs the unreadable inputs of the list, which the outbox keeps; counts what was left out. *first*: no
 * reading has come so far, this list included. */
void source_said_unreadable(SourceSaid *said, const ReadingList *list, bool first);

/* Logs when *dropped*, the number of unreadable inputs that were deleted, has increased. */
void source_said_dropped(SourceSaid *said, uint64_t dropped);
