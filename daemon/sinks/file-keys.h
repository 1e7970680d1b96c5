/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the file sink knows of the last lines, and how it reads them. */

#include "lib/bytes.h"

/* What the last lines of a directory are the documents of: each `_id` with its payload, as hashes. 24 bytes a line.
 * Pure. */

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

/* Forgets the oldest where there is no room. */
void file_keys_add(FileKeys *keys, const FileKey *key);
/* Takes back the last *n*, up to 2000 of them without the loss of older ones; SIZE_MAX: all. */
void file_keys_undo(FileKeys *keys, size_t n);
/* The one with that id, or NULL. Valid until the next change. */
const FileKey *file_keys_find(const FileKeys *keys, uint64_t id);

/* ---- file-lines.c ---- */

/* Where the lines of a file with holes go. */
typedef struct FileCopies {
        int whole, torn; /* files */
        uint64_t good;   /* as below */
} FileCopies;

/* What the lines of one file are. */
typedef struct FileLines {
        FileKey *keys; /* the caller's to free */
        size_t n, allocated;
        uint64_t good;  /* where the last good line ends */
        uint64_t end;   /* of what was read */
        uint64_t wrong; /* lines that are none of ours, before the last good one */
        uint64_t tail;  /* ... and after it */
        /* of both, those with zeros, which JSON has not: a power cut kept what was written around them */
        uint64_t holes, tail_holes;
        const FileCopies *copies; /* they are copied, not looked at */
} FileLines;

/* Reads a file, compressed or not, from where *fd* stands, and closes it. What is damaged ends it as a bad line. */
int file_lines_read(int fd, FileLines *lines);
