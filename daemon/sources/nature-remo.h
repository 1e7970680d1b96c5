/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Nature Remo's cloud API: GET /1/devices -> one reading for each device. The request is a SourceType
 * (publish/source.h); this header is its pure half. Source: the API's OpenAPI text at swagger.nature.global, and what
 * its clients met (docs/sources/nature-remo.md). */

#include "config.h"
#include "lib/clock.h"
#include "publish/reading.h"

#define NATURE_REMO_TYPE "nature_remo"
#define NATURE_REMO_REPLY_MAX (4 * 1024 * 1024)
#define NATURE_REMO_DEVICES_MAX 1000

typedef struct NatureRemoConfig {
        ConfigSecret token;
        char *url;     /* without a slash at its end */
        char *ca_file; /* NULL: the system's trust anchors */
} NatureRemoConfig;

/* What went wrong in a reply, for a log line. */
typedef struct NatureRemoError {
        char text[200];
} NatureRemoError;

/* Reads the body of a 200 reply and appends a reading for each device (message of DESIGN.md section 3.3). *request_at*
 * is wall time. A device that cannot be read (no id, wrong types) is left out and named in *ret_error*, and does not
 * harm its neighbours (P6): returns the number of such devices (>= 0). -EBADMSG with *ret_error* when the body is no
 * list of devices; an empty list and null are fine. */
int nature_remo_parse(const char *body, size_t size, const char *source, usec_t request_at, uint64_t (*random)(void),
        ReadingList *list, NatureRemoError *ret_error);

/* When to poll next, from the rate limit headers (any may be NULL or nonsense): the clock_now() time before which no
 * poll should be made so that a *reserve* of requests is left for the user's other clients, or 0. *reset* is epoch
 * seconds of the remote's clock, *remote_wall* its idea of now. */
usec_t nature_remo_not_before(
        const char *limit, const char *remaining, const char *reset, usec_t remote_wall, usec_t now);

/* The clock_now() time of *reset*, or 0 when it is nonsense: not a number, past, or over an hour away. */
usec_t nature_remo_reset_at(const char *reset, usec_t remote_wall, usec_t now);
