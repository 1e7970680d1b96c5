/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What it means for a sink that its disk refuses. */

#include "subscribe/sink-type.h"

/* The fault of an *error* (negative errno) at *path*, a file or directory, in words that say what to do. */
void sink_disk_answer(SinkAnswer *answer, int error, const char *path);
