/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The file sink: its section of the configuration, and the directory of its files (file-archive.c). */

#include "config.h"
#include "lib/clock.h"
#include "sinks/file-keys.h"

/* The section `file` of a subscription. */
typedef struct FileConfig {
        char *directory; /* relative: below state_dir */
        uint64_t max_size;
        int compress; /* 0: gzip, 1: none */
        usec_t keep;  /* 0: for ever */
} FileConfig;

extern const ConfigSection file_config_section;

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

/* Copies *spec*; opens nothing. */
int file_archive_new(const FileArchiveSpec *spec, FileArchive **ret);
FileArchive *file_archive_free(FileArchive *archive);
CLEANUP_DEFINE(FileArchive, file_archive_free)

/* Waits some seconds for the lock. Reads the keys of the last lines where it does not know them; cuts off what a power
 * cut left torn, and says so. Where the disk is full, those are removed that file_archive_tidy() would remove. *told*:
 * the latest time that the queue told, 0: none; what is kept how long goes by it, and by the lines. -EAGAIN: another
 * process has the lock; -ENOSPC, -EROFS, -EACCES where a write would fail; as open(2), mkdir(2). Only after 0:
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
