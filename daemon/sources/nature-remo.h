/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Nature Remo's cloud API: GET /1/devices gives one reading for each device. The requests are made by a SourceType
 * (publish/source.h); this header is the pure part. Source: the API's OpenAPI text at swagger.nature.global, and
 * experience of its clients (docs/sources/nature-remo.md). */

#include "config.h"
#include "lib/clock.h"
#include "publish/reading.h"

#define NATURE_REMO_TYPE "nature_remo"
#define NATURE_REMO_REPLY_MAX (4 * 1024 * 1024)
#define NATURE_REMO_DEVICES_MAX 10000 /* more devices than fit into a reply of that size */
/* longest time between two readings of a device with on_change */
#define NATURE_REMO_SILENCE_MAX_USEC USEC_PER_HOUR
#define NATURE_REMO_STILL_USEC (24 * USEC_PER_HOUR) /* a sensor that has not changed for this time is logged */

typedef struct NatureRemoConfig {
        ConfigSecret token;
        char *url;     /* without a slash at its end */
        char *ca_file; /* NULL: the system's trust anchors */
        bool energy, on_change;
} NatureRemoConfig;

/* What is wrong with a reply, for a log line. */
typedef struct NatureRemoError {
        char text[200];
} NatureRemoError;

/* What is remembered about a device between polls. A plain value. */
typedef struct NatureRemoDevice {
        char *id;
        uint64_t values; /* hash of its last values; if two have the same hash, the new one is published at most an hour
                            later */
        usec_t put_at;   /* request_at of the last reading */
        bool still;      /* it was logged that it stands still */
} NatureRemoDevice;

typedef struct NatureRemoMemory {
        NatureRemoDevice *devices;
        size_t n, allocated;
} NatureRemoMemory;

/* Where a reply came from. Borrowed. */
typedef struct NatureRemoOrigin {
        const char *source;
        usec_t request_at; /* wall time */
        Slice labels;      /* see reading_labels_add() */
        uint64_t (*random)(void);
        NatureRemoMemory *memory; /* NULL: none, so every device is published */
        usec_t silence;           /* a device with unchanged values is published again after this time; 0: always */
        /* Called once when a sensor has not changed for NATURE_REMO_STILL_USEC; again only after it has changed. *keys*
         * is "te, hu", as many as fit; *span* is the time. */
        void (*still)(void *userdata, const char *id, const char *name, const char *keys, usec_t span);
        void *userdata;
} NatureRemoOrigin;

/* Reads the body of a 200 reply and appends a reading for each device that is to be published; an empty list and null
 * are valid. A device that cannot be read (no id, wrong types) is left out and named in *ret_error*; it does not affect
 * others (P6). Returns the number of such devices (>= 0). -EBADMSG with *ret_error* when the body is not a list of
 * devices. *ret_n* gets the number of all devices in the reply. */
int nature_remo_parse(
        Slice body, const NatureRemoOrigin *origin, ReadingList *list, size_t *ret_n, NatureRemoError *ret_error);

/* Like nature_remo_parse(), for the smart meters among the appliances: `id`, `name`, `power_w` (negative: selling),
 * `energy_kwh`, `energy_sold_kwh`, `measured_at`, each if the meter has it. */
int nature_remo_parse_meters(Slice body, const NatureRemoOrigin *origin, ReadingList *list, NatureRemoError *ret_error);

/* For both parsers: _is_list: whether the body is a JSON list of *what*, or null; if not, nothing of it may be
 * remembered, and *ret_error* says so; _is_wanted: whether a device with *values* is to be published now, which is
 * remembered; _append_labels: labels as members; _add: adds the reading; _id_is_good: whether an id can name a device.
 */
bool nature_remo_is_list(Slice body, const char *what, NatureRemoError *ret_error);
bool nature_remo_is_wanted(const NatureRemoOrigin *origin, const char *id, Slice values);
int nature_remo_append_labels(Bytes *payload, Slice labels);
int nature_remo_add(ReadingList *list, const NatureRemoOrigin *origin, const char *id, Bytes *payload);
bool nature_remo_id_is_good(const char *id, size_t size);

/* Calls origin->still() for the sensors of *events* that have not changed, once until they change. */
void nature_remo_check_still(const NatureRemoOrigin *origin, const char *id, const char *name, Slice events);
void nature_remo_memory_done(NatureRemoMemory *memory);

/* Returns the clock_now() before which no poll should be made, so that a *reserve* of requests is left for the user's
 * other clients; 0: none. It is computed from the rate limit headers, each of which may be NULL or invalid. *reset* is
 * in seconds since the epoch by the remote's clock, *remote_wall* is the remote's present time. */
usec_t nature_remo_not_before(
        const char *limit, const char *remaining, const char *reset, usec_t remote_wall, usec_t now);

/* Returns the clock_now() of *reset*, or 0 when it is not valid: not a number, in the past, or over an hour away. */
usec_t nature_remo_reset_at(const char *reset, usec_t remote_wall, usec_t now);
