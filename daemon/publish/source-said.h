/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a source says of its readings, once for each kind and device: what is odd about them, and what cannot become
 * one. Apart from source.c, which decides; for it alone. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "publish/reading.h"

/* Zeros but for *source*, its name, which is borrowed, and *dropped*, what source_said_dropped() is not told anew. */
typedef struct SourceSaid {
        const char *source;
        uint64_t *hashes; /* of kind and device */
        size_t n, allocated;
        bool nothing_readable, gone; /* said: that none is, that some are gone */
        uint64_t unreadable;         /* since the start */
        uint64_t dropped;
} SourceSaid;

void source_said_done(SourceSaid *said);

/* ShapeOrigin.note; *said* is a SourceSaid. */
void source_said_note(void *said, const char *kind, const char *device, const char *text);

/* Counts the unreadable ones of the list, which the outbox keeps. *first*: no reading has come so far, in this list
 * neither. */
void source_said_unreadable(SourceSaid *said, const ReadingList *list, bool first);

/* So many unreadable ones are gone by now, since only the newest are kept. */
void source_said_dropped(SourceSaid *said, uint64_t dropped);
