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
#define NATURE_REMO_DEVICES_MAX 10000               /* more than a reply of that size has */
#define NATURE_REMO_SILENCE_MAX_USEC USEC_PER_HOUR  /* between two readings of a device under on_change */
#define NATURE_REMO_STILL_USEC (24 * USEC_PER_HOUR) /* a sensor that has not moved for so long is said */

typedef struct NatureRemoConfig {
        ConfigSecret token;
        char *url;     /* without a slash at its end */
        char *ca_file; /* NULL: the system's trust anchors */
        bool energy, on_change;
} NatureRemoConfig;

/* What went wrong in a reply, for a log line. */
typedef struct NatureRemoError {
        char text[200];
} NatureRemoError;

/* What is remembered of the devices from one poll to the next. A plain value. */
typedef struct NatureRemoDevice {
        char *id;
        uint64_t values; /* hash of what it said last: two that share one are told apart an hour later at most */
        usec_t put_at;   /* request_at of its last reading */
        bool still;      /* said */
} NatureRemoDevice;

typedef struct NatureRemoMemory {
        NatureRemoDevice *devices;
        size_t n, allocated;
} NatureRemoMemory;

/* Where a reply came from. Borrowed. */
typedef struct NatureRemoOrigin {
        const char *source;
        usec_t request_at;   /* wall time */
        const Bytes *labels; /* see reading_labels_add(); NULL: none */
        uint64_t (*random)(void);
        NatureRemoMemory *memory; /* NULL: none, and every device is wanted */
        usec_t silence;           /* a device that says the same is wanted again after so long; 0: always */
        /* A sensor has not moved for NATURE_REMO_STILL_USEC, which is said once until it moves: *keys* is "te, hu", as
         * many as fit; *span* is how long. */
        void (*still)(void *userdata, const char *id, const char *name, const char *keys, usec_t span);
        void *userdata;
} NatureRemoOrigin;

/* Reads the body of a 200 reply and appends a reading for each wanted device; an empty list and null are fine. One that
 * cannot be read (no id, wrong types) is left out and named in *ret_error*, and does not harm its neighbours (P6):
 * returns the number of such devices (>= 0). -EBADMSG with *ret_error* when the body is no list of devices. *ret_n*:
 * all devices in the reply. */
int nature_remo_parse(
        Slice body, const NatureRemoOrigin *origin, ReadingList *list, size_t *ret_n, NatureRemoError *ret_error);

/* The same for the smart meters among the appliances: `id`, `name`, `power_w` (negative: selling), `energy_kwh`,
 * `energy_sold_kwh`, `measured_at`, each where the meter says it. */
int nature_remo_parse_meters(Slice body, const NatureRemoOrigin *origin, ReadingList *list, NatureRemoError *ret_error);

/* For both: whether a device that says *values* is to be published now, which is remembered; its labels as members; the
 * reading; whether an id can name a device. */
bool nature_remo_is_wanted(const NatureRemoOrigin *origin, const char *id, Slice values);
int nature_remo_append_labels(Bytes *payload, const Bytes *labels);
int nature_remo_add(ReadingList *list, const NatureRemoOrigin *origin, const char *id, Bytes *payload);
bool nature_remo_id_is_good(const char *id, size_t size);

/* Says through origin->still() which sensors of *events* stand still, once until they move. */
void nature_remo_look_still(const NatureRemoOrigin *origin, const char *id, const char *name, Slice events);
void nature_remo_memory_done(NatureRemoMemory *memory);

/* When to poll next, from the rate limit headers (any may be NULL or nonsense): the clock_now() time before which no
 * poll should be made so that a *reserve* of requests is left for the user's other clients, or 0. *reset* is epoch
 * seconds of the remote's clock, *remote_wall* its idea of now. */
usec_t nature_remo_not_before(
        const char *limit, const char *remaining, const char *reset, usec_t remote_wall, usec_t now);

/* The clock_now() time of *reset*, or 0 when it is nonsense: not a number, past, or over an hour away. */
usec_t nature_remo_reset_at(const char *reset, usec_t remote_wall, usec_t now);
