/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Nature Remo's cloud API: GET /1/devices gives one reading for each device, and GET /1/appliances one for each smart
 * meter. The requests are made by a SourceType (publish/source.h); this header is the pure part. Source: the API's
 * OpenAPI text at swagger.nature.global, and experience of its clients (docs/sources/nature-remo.md). */

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

/* A reply that is read. */
typedef struct NatureRemoReply {
        /* where it came from; borrowed */
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
        /* what was found: zeros at first */
        ReadingList readings;
        size_t n;                    /* devices in the reply */
        int n_bad;                   /* those that cannot be read; they are left out */
        char error[200];             /* why the first of them cannot; or why the whole reply cannot */
        char at[CLOCK_RFC3339_SIZE]; /* request_at */
} NatureRemoReply;

/* Reads the body of a 200 reply: a reading for each device that is to be published; an empty list and null are valid. A
 * device that cannot be read (no id, wrong types) is left out; it does not affect others (P6). -EBADMSG when the body
 * is not a list of devices; -ENOMEM. */
int nature_remo_parse(NatureRemoReply *reply, Slice body);

/* Like nature_remo_parse(), for the smart meters among the appliances: `id`, `name`, `power_w` (negative: selling),
 * `energy_kwh`, `energy_sold_kwh`, `measured_at`, each if the meter has it. */
int nature_remo_parse_meters(NatureRemoReply *reply, Slice body);

void nature_remo_memory_done(NatureRemoMemory *memory);

/* Returns the clock_now() before which no poll should be made, so that a *reserve* of requests is left for the user's
 * other clients; 0: none. It is computed from the rate limit headers, each of which may be NULL or invalid. *reset* is
 * in seconds since the epoch by the remote's clock, *remote_wall* is the remote's present time. */
usec_t nature_remo_not_before(
        const char *limit, const char *remaining, const char *reset, usec_t remote_wall, usec_t now);

/* Returns the clock_now() of *reset*, or 0 when it is not valid: not a number, in the past, or over an hour away. */
usec_t nature_remo_reset_at(const char *reset, usec_t remote_wall, usec_t now);
