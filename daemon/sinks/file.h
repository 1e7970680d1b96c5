/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The file sink: its section of the configuration, what it knows of the last lines (file-keys.c), how it reads them
 * (file-lines.c), and the directory of its files (file-archive.c). */

#include "config.h"
#include "lib/bytes.h"
#include "lib/clock.h"

/* The section `file` of a subscription. */
typedef struct FileConfig {
        char *directory; /* relative: below state_dir */
        uint64_t max_size;
        int compress; /* 0: gzip, 1: none */
        usec_t keep;  /* 0: for ever */
} FileConfig;

/* ---- file-keys.c ---- */

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

/* ---- file-archive.c ---- */

#define FILE_FREE_MIN 65536 /* bytes of a disk that is not full */

/* A directory of NDJSON files, a UTC day each and more by size: YYYY-MM-DD.ndjson, YYYY-MM-DD.1.ndjson, ... The last
 * one grows; those before it are closed, and compressed if asked for (.ndjson.gz). Lines count only when they were
 * synced. Every use is under a lock, and begins with a look whether anybody else changed something: then all is read
 * anew. Blocks. */
typedef struct FileArchiveSpec {
        const char *directory; /* made with mode 0750 where it is missing; what stands above it is not */
        uint64_t max_size;     /* of a file before it is compressed */
        bool compress;
        usec_t keep;              /* 0: for ever */
        const char *subscription; /* for log entries */
} FileArchiveSpec;

typedef struct FileArchive FileArchive;

/* The texts of *spec* are borrowed for its life. Opens nothing. -ENOMEM. */
int file_archive_new(const FileArchiveSpec *spec, FileArchive **ret);
FileArchive *file_archive_free(FileArchive *archive);
CLEANUP_DEFINE(FileArchive, file_archive_free)

/* Waits some seconds for the lock. Reads the keys of the last lines where it does not know them, cuts off what a power
 * cut left torn, and says so. Where the disk is full, those are removed that file_archive_tidy() would remove. *told*:
 * the latest time that the queue told, 0: none. What is kept how long goes by it, and by the lines. -EAGAIN: another
 * process has the lock. -ENOSPC, -EROFS, -EACCES where a write would fail. As open(2), mkdir(2). Only after 0:
 * file_archive_unlock(). */
int file_archive_lock(FileArchive *archive, FileKeys *keys, usec_t told);
void file_archive_unlock(FileArchive *archive);

/* How many bytes the file takes that a line of that time goes to; a new one takes any line. */
uint64_t file_archive_room(const FileArchive *archive, usec_t at);
/* Appends whole lines, durable on return. On failure nothing is there; as open(2), write(2), fsync(2). */
int file_archive_append(FileArchive *archive, Slice lines, usec_t at);
/* Compresses one closed file, removes those that are older than they are kept, by the time that the queue told and that
 * has passed since, and by our clock. What does not work is said once. */
void file_archive_tidy(FileArchive *archive);
