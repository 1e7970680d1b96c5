/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What travels: one JSON object for one device and one poll, with the attributes that go beside it. A plain value. */

#include "lib/bytes.h"
#include "lib/clock.h"

typedef struct Reading {
        Bytes payload; /* one JSON object, UTF-8 */
        char *key;     /* idempotency key: SOURCE:DEVICE:REQUEST_AT:16 hex digits, drawn once, the same over every retry
                          (P4) */
        char *source;  /* name of the source in the config */
        char *type;    /* its type */
        char *device;  /* the device's stable id */
} Reading;

typedef struct ReadingList {
        Reading *items;
        size_t n, allocated;
} ReadingList;

/* Appends a reading; takes *payload* (emptied) when it succeeds and makes the key from the rest and *random*.
 * *request_at* is RFC 3339. */
int reading_list_add(ReadingList *list, Bytes *payload, const char *source, const char *type, const char *device,
        const char *request_at, uint64_t random);

/* Bytes that one reading counts for in the outbox: payload and attributes. */
uint64_t reading_bytes(const Reading *reading);

/* Bytes that the list will take in the outbox: payloads, attributes. */
uint64_t reading_list_bytes(const ReadingList *list);

/* Drops the readings from index *n* on. */
void reading_list_truncate(ReadingList *list, size_t n);

/* Appends all of *from* to *to*, and leaves *from* empty. -ENOMEM: nothing has moved. */
int reading_list_move(ReadingList *to, ReadingList *from);

void reading_list_done(ReadingList *list);
ReadingList reading_list_steal(ReadingList *list);
