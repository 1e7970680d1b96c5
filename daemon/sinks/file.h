/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The file sink: its section of the configuration, the keys of the last lines and how they are read (file-keys.c), and
 * the directory of its files (file-archive.c). */

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

/* The keys of a directory's last lines: `_id` and payload of each document, as hashes. 24 bytes a line. Pure. */

#define FILE_KEYS_MAX 200000

typedef struct FileKey {
        uint64_t id, payload; /* hashes */
        int64_t published;    /* msec; 0: unknown */
} FileKey;

/* Makes the key of a document from its `_id`, `pubsub.sha256` ("" matches nothing) and `pubsub.publish_time`. */
FileKey file_key(Slice id, const char *payload_hash, Slice publish_time);

typedef struct FileKeys FileKeys;

/* Makes room for *max* lines, and for those that may be taken back. -ENOMEM. */
int file_keys_new(size_t max, FileKeys **ret);
FileKeys *file_keys_free(FileKeys *keys);
CLEANUP_DEFINE(FileKeys, file_keys_free)

/* Adds a key. When there is no room it forgets the oldest. */
void file_keys_add(FileKeys *keys, const FileKey *key);
/* Takes back the last *n* keys; up to 2000 without losing older ones. SIZE_MAX: all. */
void file_keys_undo(FileKeys *keys, size_t n);
/* Returns the key with that id, or NULL. Valid until the next change. */
const FileKey *file_keys_find(const FileKeys *keys, uint64_t id);

/* Where the lines of a file with holes are copied to. */
typedef struct FileCopies {
        int whole, torn; /* file descriptors */
        uint64_t good;   /* FileLines.good of the file */
} FileCopies;

/* The lines of one file. */
typedef struct FileLines {
        FileKey *keys; /* the caller's to free */
        size_t n, allocated;
        uint64_t good;  /* offset where the last good line ends */
        uint64_t end;   /* offset where reading ended */
        uint64_t wrong; /* lines before the last good one that are not ours */
        uint64_t tail;  /* the same after it */
        /* among both, lines with zero bytes, which JSON never has: a power cut lost some blocks of them */
        uint64_t holes, tail_holes;
        const FileCopies *copies; /* if set, lines are only copied there */
} FileLines;

/* Reads a file, compressed or not, from the position of *fd*, and closes it. Damaged data counts as a bad last line. */
int file_lines_read(int fd, FileLines *lines);

/* ---- file-archive.c ---- */

#define FILE_FREE_MIN 65536 /* with less free bytes a disk counts as full */

/* A directory of NDJSON files, one or more for each UTC day, by size: YYYY-MM-DD.ndjson, YYYY-MM-DD.1.ndjson, ... The
 * last file grows; earlier ones are closed, and compressed if wanted (.ndjson.gz). Lines count only after a sync. Each
 * use takes a lock, and reads the directory again if another process has changed it. The functions block. */
typedef struct FileArchiveSpec {
        const char *directory; /* created with mode 0750 if missing; its parent is not created */
        uint64_t max_size;     /* of a file before it is compressed */
        bool compress;
        usec_t keep;              /* 0: for ever */
        const char *subscription; /* for log entries */
} FileArchiveSpec;

typedef struct FileArchive FileArchive;

/* Makes an archive; borrows the texts of *spec*. Opens nothing. -ENOMEM. */
int file_archive_new(const FileArchiveSpec *spec, FileArchive **ret);
FileArchive *file_archive_free(FileArchive *archive);
CLEANUP_DEFINE(FileArchive, file_archive_free)

/* Takes the lock, and waits some seconds for it. Reads the keys of the last lines if they are unknown, and removes
 * lines that a power cut left incomplete, which is logged. When the disk is full, old files are removed as by
 * file_archive_unlock(). *told* is the latest publish time (0: none). How long files are kept depends on it and on the
 * times of the lines. -EAGAIN: another process has the lock. -ENOSPC, -EROFS, -EACCES: a write would fail. Errors of
 * open(2), mkdir(2). Call file_archive_unlock() only after 0. */
int file_archive_lock(FileArchive *archive, FileKeys *keys, usec_t told);
/* With *tidy*, it first compresses one closed file, or all that were closed since the lock, and removes files that are
 * older than `keep`, both by the latest publish time (and the time since) and by our clock. A failure is logged once.
 */
void file_archive_unlock(FileArchive *archive, bool tidy);
/* Returns the place that the last failure was about: the directory, or a file in it that could not be read. */
const char *file_archive_place(const FileArchive *archive);

/* Returns how many bytes still fit into the file for lines of that time. A new file accepts a line of any size. */
uint64_t file_archive_room(const FileArchive *archive, usec_t at);
/* Appends complete lines, which are durable on return. After an error nothing was appended, or the next
 * file_archive_lock() finds what was. Errors as open(2),
 * write(2), fsync(2). */
int file_archive_append(FileArchive *archive, Slice lines, usec_t at);
