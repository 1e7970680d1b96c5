/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One run of `sensorqd once`: each source polled, then the outbox published, then each subscription drained. */

#include "stages.h"

typedef enum OnceStep { ONCE_POLL, ONCE_PUBLISH, ONCE_DRAIN, ONCE_ENDED } OnceStep;

/* A plain value; zeros: the sources were just asked. */
typedef struct Once {
        OnceStep step;
        bool complete; /* at the end: everything is stored */
} Once;

/* After any change: takes every step that can be taken now. True when that was the last one; if something is left, what
 * and why was logged.
 */
bool once_advance(Once *once, Stages *stages);
