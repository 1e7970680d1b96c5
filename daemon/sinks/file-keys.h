/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the last lines of a directory are the documents of: each `_id` with its payload, as hashes. 24 bytes a line.
 * Pure. */

#include "lib/bytes.h"
#include "lib/clock.h"

#define FILE_KEYS_MAX 200000

typedef struct FileKey {
        uint64_t id, payload; /* hashes */
        int64_t published;    /* msec; 0: not known */
} FileKey;

/* Of a document: its `_id`, its `pubsub.sha256` ("" matches nothing) and its `pubsub.publish_time`. */
FileKey file_key(Slice id, const char *payload_hash, Slice publish_time);

typedef struct FileKeys FileKeys;

/* Room for *max* lines, but for such that are taken back: see below. */
int file_keys_new(size_t max, FileKeys **ret);
FileKeys *file_keys_free(FileKeys *keys);
CLEANUP_DEFINE(FileKeys, file_keys_free)

/* Forgets all. */
void file_keys_clear(FileKeys *keys);
/* Forgets the oldest where there is no room. */
void file_keys_add(FileKeys *keys, const FileKey *key);
/* Takes back the last *n*, up to 2000 of them without the loss of older ones. */
void file_keys_undo(FileKeys *keys, size_t n);
/* The one with that id, or NULL. Valid until the next change. */
const FileKey *file_keys_find(const FileKeys *keys, uint64_t id);
