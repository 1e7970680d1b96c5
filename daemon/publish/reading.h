/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A reading: one JSON object for one device and one poll, with its attributes. Plain values. */

#include "lib/bytes.h"
#include "lib/clock.h"

#define READING_ID_MAX 256      /* an attribute's value may have 1024 bytes, and the key contains more than the id */
#define READING_SEEN_MAX 100000 /* how many readings of a source that may come again are remembered */

typedef struct Reading {
        Bytes payload; /* one JSON object, UTF-8 */
        char *key;     /* idempotency key: AT:SOURCE:DEVICE:16 hex digits, made once, the same in every retry (P4) */
        const char *source, *type; /* of the source in the config; borrowed */
        Slice labels;              /* of the source, see reading_labels_add(); borrowed */
        char *device;              /* the device's stable id */
        char *seen;                /* names the measurement, if it can come twice; NULL: it cannot */
        bool anew;                 /* the name is used again for a new measurement: this is not a repeat */
        bool again;    /* the remote sends it as long as it is asked: remembered from its last arrival, not its first */
        uint64_t size; /* bytes that it counts for in the outbox: payload and attributes */
} Reading;

/* Input that could not become a reading; kept unchanged. */
typedef struct Unreadable {
        char *topic, *reason;
        Bytes payload;
        bool repeats; /* the same input may come again; it is kept once */
        char *seen;   /* like Reading.seen */
        bool anew;
} Unreadable;

/* What one source delivered at once; stored in one transaction. */
typedef struct ReadingList {
        Reading *items;
        size_t n, allocated;
        uint64_t bytes; /* the sizes of the readings */
        Unreadable *unreadable;
        size_t n_unreadable, unreadable_allocated;
        size_t n_dropped;   /* how many unreadable ones were left out because there were too many */
        size_t n_left_out;  /* items that `where` or `fields` exclude, or without a value */
        const char *source; /* the source of `cursor` and `unreadable`, borrowed; NULL: there are none */
        char *cursor;       /* where the source continues next time; NULL: unchanged */
} ReadingList;

/* What a reading is made from, in addition to its payload. Borrowed; source, type and labels as long as the list
 * lives. */
typedef struct ReadingOrigin {
        const char *source, *type, *device;
        const char *at;   /* RFC 3339: time of the poll or arrival, or of the measurement */
        uint64_t unique;  /* random; or a hash, if the same measurement must have the same key */
        const char *seen; /* see Reading */
        Slice labels;
} ReadingOrigin;

/* True if the text can name a device: 1 to READING_ID_MAX bytes without a control character. */
bool reading_id_is_good(const char *id, size_t size);

/* Appends a reading; takes *payload* (empties it) when it succeeds. The key begins with the time, so that an index over
 * keys grows at its end. */
int reading_list_add(ReadingList *list, const ReadingOrigin *origin, Bytes *payload);

/* Appends input that could not be read; takes *payload* (empties it) when it succeeds. *source* is borrowed by the
 * list. */
int reading_list_add_unreadable(ReadingList *list, const char *source, Slice topic, const char *reason, Bytes *payload);

/* Sets the source's cursor, a text that is stored together with the readings. *source* is borrowed by the list. */
int reading_list_set_cursor(ReadingList *list, const char *source, const char *cursor);

/* True when there is nothing to store: no reading, nothing unreadable, no cursor. */
bool reading_list_is_empty(const ReadingList *list);

/* For readings that may come again, in another list and for an unknown time: each reading without a `seen` name gets
 * its key as name. -ENOMEM. */
int reading_list_name(ReadingList *list);
/* For a list that may come again as a whole under the name *seen*: each reading and each unreadable input gets a name
 * made of it. *anew*: see Reading. -ENOMEM. */
int reading_list_name_by(ReadingList *list, const char *seen, bool anew);

/* Appends everything of *from* to *to*; *from* is empty afterwards. -ENOMEM: nothing was moved. */
int reading_list_move(ReadingList *to, ReadingList *from);

/* Frees the content; the list is empty afterwards. */
void reading_list_done(ReadingList *list);

/* Appends a label. Labels are pairs of name and value, each with its NUL, one after the other; the outbox stores them
 * in this form. */
int reading_labels_add(Bytes *labels, const char *name, const char *value);
/* Takes the next pair from *rest*. False at the end, or if the rest is malformed. */
bool reading_labels_next(Slice *rest, Slice *ret_name, Slice *ret_value);
