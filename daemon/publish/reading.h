/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What travels: one JSON object for one device and one poll, with the attributes that go beside it. Plain values. */

#include "lib/bytes.h"
#include "lib/clock.h"

#define READING_SEEN_MAX 100000 /* that can come twice: so many of a source are known again */

typedef struct Reading {
        Bytes payload; /* one JSON object, UTF-8 */
        char *key;     /* idempotency key: AT:SOURCE:DEVICE:16 hex digits, made once, the same over every retry (P4) */
        char *source;  /* name of the source in the config */
        char *type;    /* its type */
        char *device;  /* the device's stable id */
        char *seen;    /* names what was measured, where it can come twice; NULL: it cannot */
        bool anew;     /* another thing than what had that name before: names are used again */
        bool again;    /* it is given for as long as it is asked for: known from when it came last, not first */
        Bytes labels;  /* see reading_labels_add() */
} Reading;

/* What came and could not become a reading; kept raw. */
typedef struct Unreadable {
        char *topic, *reason;
        Bytes payload;
        bool repeats; /* the same may come again, which is kept once */
        char *seen;   /* as of a reading */
        bool anew;
} Unreadable;

/* What one source brought at once: it is put in one transaction. */
typedef struct ReadingList {
        Reading *items;
        size_t n, allocated;
        Unreadable *unreadable;
        size_t n_unreadable, unreadable_allocated;
        size_t n_dropped; /* unreadable ones that are not in it, since they were too many: they are counted */
        char *source;     /* of `cursor` and `unreadable`; NULL: there are none */
        char *cursor;     /* where the source goes on next time; NULL: as before */
} ReadingList;

/* What a reading is made from, apart from its payload. Borrowed. */
typedef struct ReadingOrigin {
        const char *source, *type, *device;
        const char *at;      /* RFC 3339: of the poll or arrival, or of the measurement */
        uint64_t unique;     /* random, or a hash where the same measurement shall have the same key */
        const char *seen;    /* as above */
        const Bytes *labels; /* NULL: none */
} ReadingOrigin;

/* Appends a reading; takes *payload* (emptied) when it succeeds. The key begins with the time, so that an index by it
 * grows at its end. */
int reading_list_add(ReadingList *list, const ReadingOrigin *origin, Bytes *payload);

/* Appends what could not be read; takes *payload* (emptied) when it succeeds. */
int reading_list_add_unreadable(
        ReadingList *list, const char *source, const char *topic, const char *reason, Bytes *payload);

/* Moves the source's cursor, a text of its own, together with the readings. */
int reading_list_set_cursor(ReadingList *list, const char *source, const char *cursor);

/* Bytes that one reading counts for in the outbox: payload and attributes. */
uint64_t reading_bytes(const Reading *reading);

/* Bytes that the list will take in the outbox: payloads and attributes of its readings. */
uint64_t reading_list_bytes(const ReadingList *list);

/* True when there is nothing to put: no reading, nothing unreadable, no cursor. */
bool reading_list_is_empty(const ReadingList *list);

/* What is in it may come again, whatever else comes with it, and for how long nobody knows: a reading that has no name
 * yet is named by its key. */
int reading_list_name(ReadingList *list);
/* All of it came under that name, and may come again under it: each gets a name of its own by it, unreadable or not.
 * *anew*: see Reading. -ENOMEM. */
int reading_list_name_by(ReadingList *list, const char *seen, bool anew);

/* Drops the readings from index *n* on. */
void reading_list_truncate(ReadingList *list, size_t n);

/* Appends all of *from* to *to*, and leaves *from* empty. -ENOMEM: nothing has moved. */
int reading_list_move(ReadingList *to, ReadingList *from);

/* Frees what it holds, and leaves it empty. */
void reading_list_done(ReadingList *list);

/* Labels are pairs of name and value, each with its NUL, one after the other: so they lie in the outbox. */
int reading_labels_add(Bytes *labels, const char *name, const char *value);
/* Takes the next pair off *rest*. False at the end, and at anything that is no pair. */
bool reading_labels_next(Slice *rest, Slice *ret_name, Slice *ret_value);
