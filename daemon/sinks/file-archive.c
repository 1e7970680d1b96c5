/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "events.h"
#include "lib/array.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/gzip.h"
#include "lib/log.h"
#include "lib/text.h"

#define DAY_USEC (24 * USEC_PER_HOUR)
#define NAME_SIZE 64
#define LOCK_TRIES 500
#define LOCK_PAUSE_NSEC 20000000

/* One file of the directory; two files while it is being compressed. */
typedef struct File {
        int64_t day; /* since the epoch */
        unsigned n;
        bool plain, packed;
} File;

struct FileArchive {
        FileArchiveSpec spec;
        int lock_fd; /* of the directory; -1 unless locked */
        bool loaded;
        struct stat directory; /* when it was read, or we changed it last */
        File *files;           /* sorted by day and number */
        size_t n, allocated;
        int fd; /* of the last file if it still grows; else -1 */
        uint64_t size;
        size_t closed;  /* files that writes closed and that are not compressed yet */
        bool untidy;    /* it was logged that compressing or removing fails */
        bool full;      /* a write found the disk full, even if statvfs() shows room */
        char *unread;   /* path of the file that could not be read; NULL: none */
        usec_t told;    /* the latest publish time seen; 0: none yet */
        usec_t told_at; /* clock_now() when it was seen */
};

/* ---- the time ---- */

/* Returns the earliest possible present time, by publish times: our clock may be behind. 0: unknown. */
static usec_t time_told(const FileArchive *a) {
        return a->told > 0 ? a->told + (clock_now() - a->told_at) : 0;
}

static void note_time(FileArchive *a, usec_t told) {
        if (told <= time_told(a))
                return;
        a->told = told;
        a->told_at = clock_now();
}

/* ---- names ---- */

static char *name_of(const File *file, bool packed, char buffer[static NAME_SIZE]) {
        time_t second = (time_t) (file->day * 86400);
        struct tm tm = {};
        size_t size;

        (void) gmtime_r(&second, &tm);
        size = strftime(buffer, NAME_SIZE, "%Y-%m-%d", &tm);
        if (file->n > 0)
                size += (size_t) snprintf(buffer + size, NAME_SIZE - size, ".%u", file->n);
        (void) snprintf(buffer + size, NAME_SIZE - size, ".ndjson%s", packed ? ".gz" : "");
        return buffer;
}

/* Reads a name. Returns false unless it is exactly what name_of() makes: the file is not ours. */
static bool name_read(const char *name, File *ret) {
        struct tm tm = {};
        char again[NAME_SIZE];
        const char *rest = strptime(name, "%Y-%m-%d", &tm);
        char *end;

        if (!rest)
                return false;
        *ret = (File){ .day = (int64_t) timegm(&tm) / 86400 };
        if (rest[0] == '.' && rest[1] >= '1' && rest[1] <= '9') {
                ret->n = (unsigned) strtoul(rest + 1, &end, 10);
                rest = end;
        }
        ret->packed = strcmp(rest, ".ndjson.gz") == 0;
        ret->plain = !ret->packed;
        return strcmp(name_of(ret, ret->packed, again), name) == 0;
}

static int file_order(const void *a, const void *b) {
        const File *left = a, *right = b;

        if (left->day != right->day)
                return left->day < right->day ? -1 : 1;
        return (left->n > right->n) - (left->n < right->n);
}

/* ---- the directory ---- */

static void forget(FileArchive *a) {
        if (a->fd >= 0)
                (void) close(a->fd);
        a->fd = -1;
        a->loaded = false;
        a->n = 0;
}

static int add_file(FileArchive *a, const File *file) {
        int r = array_reserve(&a->files, &a->allocated, a->n + 1, sizeof(File));

        if (r == 0)
                a->files[a->n++] = *file;
        return r;
}

static int open_list(const FileArchive *a, DIR **ret) {
        _cleanup_close_ int fd = openat(a->lock_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        *ret = fd < 0 ? NULL : fdopendir(fd);
        if (!*ret)
                return err_errno();
        fd = -1;
        return 0;
}

/* Lists all files, sorted, each once, and removes unfinished copies. An incomplete list is an error: the name of a
 * missing file would be used again, and its lines be replaced when that one is compressed. */
static int list_files(FileArchive *a) {
        const struct dirent *entry;
        DIR *directory;
        size_t kept = 0;
        File file;
        int r;

        r = open_list(a, &directory);
        if (r < 0)
                return r;
        for (errno = 0; r == 0 && (entry = readdir(directory)); errno = 0) {
                size_t size = strlen(entry->d_name);

                if (entry->d_name[0] == '.' && size > 5 && strcmp(entry->d_name + size - 5, ".part") == 0)
                        (void) unlinkat(a->lock_fd, entry->d_name, 0);
                else if (name_read(entry->d_name, &file))
                        r = add_file(a, &file);
        }
        if (r == 0 && errno > 0) /* readdir(3): errno 0 means the end */
                r = -errno;
        (void) closedir(directory);
        if (a->n > 1)
                qsort(a->files, a->n, sizeof(File), file_order);
        for (size_t i = 0; i < a->n; i++)
                if (kept > 0 && file_order(&a->files[kept - 1], &a->files[i]) == 0) {
                        a->files[kept - 1].plain |= a->files[i].plain;
                        a->files[kept - 1].packed |= a->files[i].packed;
                } else
                        a->files[kept++] = a->files[i];
        a->n = kept;
        return r;
}

/* ---- repair ---- */

static int cut_tail(const FileArchive *a, const char *name, const FileLines *lines) {
        _cleanup_close_ int fd = openat(a->lock_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0 || ftruncate(fd, (off_t) lines->good) < 0 || fsync(fd) < 0)
                return err_errno();
        log_event(LOG_WARNING, NULL, LOG_FIELDS({ FIELD_SUBSCRIPTION, a->spec.subscription }, { FIELD_FILE, name }),
                "%s/%s ended in the middle of a write (a power cut, or a kill): what is incomplete was cut off "
                "(%" PRIu64 " byte%s). It was not acknowledged, so its messages are redelivered",
                a->spec.directory, name, lines->end - lines->good, text_s(lines->end - lines->good));
        return 0;
}

/* Copies the lines of the file into the two files of *to*. */
static int write_copies(const FileArchive *a, const char *name, const FileCopies *to) {
        int fd = openat(a->lock_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r;
        FileLines lines = { .copies = to };

        if (fd < 0)
                return err_errno();
        r = file_lines_read(fd, &lines);
        if (r < 0)
                return r;
        return fsync(to->whole) < 0 || fsync(to->torn) < 0 ? err_errno() : 0;
}

/* Replaces the file by its whole lines, and appends the others to a file named *.torn. */
static int take_out_holes(const FileArchive *a, const char *name, const FileLines *lines) {
        char part[NAME_SIZE + 8], torn[NAME_SIZE + 8];
        _cleanup_close_ int whole_fd = -1, torn_fd = -1;
        int r;

        (void) snprintf(part, sizeof(part), ".%s.part", name);
        (void) snprintf(
                torn, sizeof(torn), "%.*s.torn", (int) (strlen(name) - strlen(".ndjson")), name); /* not *.ndjson* */
        whole_fd = openat(a->lock_fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
        torn_fd = openat(a->lock_fd, torn, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (whole_fd < 0 || torn_fd < 0)
                return err_errno();
        file_settle(whole_fd, 0640, a->lock_fd);
        file_settle(torn_fd, 0640, a->lock_fd);
        r = write_copies(a, name, &(FileCopies){ .whole = whole_fd, .torn = torn_fd, .good = lines->good });
        if (r == 0 && (fsync(a->lock_fd) < 0 || renameat(a->lock_fd, part, a->lock_fd, name) < 0))
                r = err_errno();
        if (r < 0) {
                (void) unlinkat(a->lock_fd, part, 0);
                return r;
        }
        log_event(LOG_WARNING, NULL, LOG_FIELDS({ FIELD_SUBSCRIPTION, a->spec.subscription }, { FIELD_FILE, name }),
                "%s/%s had lines with holes (%" PRIu64
                "), as a power cut leaves behind. They were moved to %s. What was not acknowledged is redelivered. If "
                "there was no power cut, check the disk (journalctl -k)",
                a->spec.directory, name, lines->holes, torn);
        return 0;
}

static int repair(const FileArchive *a, const char *name, const FileLines *lines) {
        return lines->holes > 0           ? take_out_holes(a, name, lines)
               : lines->end > lines->good ? cut_tail(a, name, lines)
                                          : 0;
}

static int read_file(const FileArchive *a, const char *name, const File *file, FileLines *lines) {
        int fd, r;

        fd = openat(a->lock_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return err_errno();
        if (file->plain && fsync(fd) < 0) { /* lines that a killed process wrote may be in memory only */
                r = err_errno();
                (void) close(fd);
                return r;
        }
        /* after a failed sync, Linux still shows data that is not on the disk: drop the cache and read the disk */
        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        r = file_lines_read(fd, lines);
        if (r == 0 && file->plain)
                r = repair(a, name, lines);
        if (lines->wrong > (file->plain ? lines->holes : 0) || (!file->plain && lines->tail > 0))
                log_event(LOG_WARNING, NULL,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, a->spec.subscription }, { FIELD_FILE, name }),
                        "%s/%s has lines that are not documents of sensorqd, or is damaged: they are left as they "
                        "are, and their messages, if redelivered, are stored again",
                        a->spec.directory, name);
        return r;
}

static int load_file(FileArchive *a, const File *file, FileLines *lines) {
        char name[NAME_SIZE];
        int r = read_file(a, name_of(file, !file->plain, name), file, lines);

        if (r < 0)
                (void) text_format(&a->unread, "%s/%s", a->spec.directory, name);
        return r;
}

/* Reads the newest files first, until enough lines are known; then adds their keys in order, oldest first. */
static int load_keys(FileArchive *a, FileKeys *keys) {
        _cleanup_free_ FileLines *lines = calloc(a->n + 1, sizeof(FileLines));
        size_t from = a->n, total = 0;
        int64_t latest = 0;
        int r = 0;

        if (!lines)
                return -ENOMEM;
        file_keys_undo(keys, SIZE_MAX);
        while (r == 0 && from > 0 && total < FILE_KEYS_MAX) {
                from--;
                r = load_file(a, &a->files[from], &lines[from]);
                total += lines[from].n;
        }
        for (size_t i = from; i < a->n; i++) {
                for (size_t k = 0; r == 0 && k < lines[i].n; k++) {
                        file_keys_add(keys, &lines[i].keys[k]);
                        if (lines[i].keys[k].published > latest)
                                latest = lines[i].keys[k].published;
                }
                free(lines[i].keys);
        }
        note_time(a, (usec_t) latest * USEC_PER_MSEC);
        return r;
}

/* ---- opening ---- */

static int open_last(FileArchive *a) {
        const File *last = a->n > 0 ? &a->files[a->n - 1] : NULL;
        struct stat status;
        char name[NAME_SIZE];

        if (!last || !last->plain || last->packed)
                return 0;
        a->fd = openat(a->lock_fd, name_of(last, false, name), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
        if (a->fd < 0 || fstat(a->fd, &status) < 0)
                return err_errno();
        a->size = (uint64_t) status.st_size;
        return 0;
}

/* Remembers the state of the directory. */
static int note_directory(FileArchive *a) {
        return fstat(a->lock_fd, &a->directory) < 0 ? err_errno() : 0;
}

/* Whether the open file still has its name, and contains only what we wrote. */
static bool last_is_same(const FileArchive *a) {
        struct stat open, named;
        char name[NAME_SIZE];

        return a->fd < 0 || (fstat(a->fd, &open) == 0 &&
                                    fstatat(a->lock_fd, name_of(&a->files[a->n - 1], false, name), &named,
                                            AT_SYMLINK_NOFOLLOW) == 0 &&
                                    open.st_ino == named.st_ino && open.st_dev == named.st_dev &&
                                    (uint64_t) named.st_size == a->size);
}

static bool files_are_same(const FileArchive *a, const FileArchive *b) {
        for (size_t i = 0; a->n == b->n && i < a->n; i++)
                if (file_order(&a->files[i], &b->files[i]) != 0 || a->files[i].plain != b->files[i].plain ||
                        a->files[i].packed != b->files[i].packed)
                        return false;
        return a->n == b->n;
}

/* Whether our files are as we know them, even if others in the directory have changed: then nothing need be read again,
 * which takes seconds. */
static bool is_known(FileArchive *a) {
        const struct stat *before = &a->directory;
        FileArchive now = { .lock_fd = a->lock_fd };
        struct stat status;
        bool same;

        if (!a->loaded || fstat(a->lock_fd, &status) < 0 || status.st_dev != before->st_dev ||
                status.st_ino != before->st_ino)
                return false;
        if (status.st_mtim.tv_sec == before->st_mtim.tv_sec && status.st_mtim.tv_nsec == before->st_mtim.tv_nsec)
                return a->fd < 0 || (fstat(a->fd, &status) == 0 && (uint64_t) status.st_size == a->size);
        same = list_files(&now) == 0 && files_are_same(a, &now) && last_is_same(a) && note_directory(a) == 0;
        free(now.files);
        return same;
}

/* Reads the directory, unless it is known. */
static int learn(FileArchive *a, FileKeys *keys) {
        int r;

        if (is_known(a))
                return 0;
        forget(a);
        r = list_files(a);
        if (r == 0)
                r = load_keys(a, keys);
        if (r == 0)
                r = fsync(a->lock_fd) < 0 ? err_errno() : 0;
        if (r == 0)
                r = open_last(a);
        if (r == 0)
                r = note_directory(a);
        a->loaded = r == 0;
        return r;
}

/* ---- old files ---- */

static int drop_oldest(FileArchive *a) {
        char name[NAME_SIZE];

        for (unsigned packed = 0; packed < 2; packed++)
                if (unlinkat(a->lock_fd, name_of(&a->files[0], packed, name), 0) < 0 && errno != ENOENT)
                        return err_errno();
        a->n--;
        memmove(&a->files[0], &a->files[1], a->n * sizeof(File));
        return 0;
}

static int drop_old(FileArchive *a) {
        usec_t now = usec_min(time_told(a), clock_wall());
        int r = 0;

        while (r == 0 && a->spec.keep > 0 && now > 0 && a->n > (a->fd >= 0) &&
                (usec_t) (a->files[0].day + 1) * DAY_USEC + a->spec.keep <= now)
                r = drop_oldest(a);
        return r;
}

static void end_tidying(FileArchive *a, int r) {
        if (r == -ENOENT) /* another process moved it meanwhile: the next use reads the directory again */
                return forget(a);
        if (r < 0 && !a->untidy)
                log_event(LOG_WARNING, NULL,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, a->spec.subscription }, { FIELD_FILE, a->spec.directory }),
                        "Closed files in %s cannot be compressed or removed: %s. They stay as they are; sensorqd "
                        "keeps trying",
                        a->spec.directory, strerror(-r));
        a->untidy = r < 0;
        if (note_directory(a) < 0)
                forget(a);
}

/* ---- the lock ---- */

static int open_directory(FileArchive *a) {
        int r = file_open_directory(a->spec.directory, 0750, &a->lock_fd);
        _cleanup_close_ int above = r == FILE_MADE ? openat(a->lock_fd, "..", O_PATH | O_CLOEXEC) : -1;

        if (r < 0)
                return r;
        if (r == FILE_MADE)
                file_settle(a->lock_fd, 0750, above);
        if (r == FILE_MADE && a->loaded)
                log_event(LOG_WARNING, NULL,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, a->spec.subscription }, { FIELD_FILE, a->spec.directory }),
                        "%s was removed or moved away while in use. sensorqd creates it again, without its earlier "
                        "files. If that was not you, find out what removes it",
                        a->spec.directory);
        return 0;
}

static int take_lock(const FileArchive *a) {
        const struct timespec pause = { 0, LOCK_PAUSE_NSEC };

        for (unsigned i = 0; flock(a->lock_fd, LOCK_EX | LOCK_NB) < 0; i++) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return err_errno();
                if (i >= LOCK_TRIES)
                        return -EAGAIN;
                (void) nanosleep(&pause, NULL);
        }
        return 0;
}

static int check_disk(const FileArchive *a) {
        struct statvfs disk;

        if (faccessat(a->lock_fd, ".", W_OK | X_OK, 0) < 0 || fstatvfs(a->lock_fd, &disk) < 0)
                return err_errno();
        if (disk.f_flag & ST_RDONLY)
                return -EROFS;
        return disk.f_blocks > 0 && (uint64_t) disk.f_bavail * disk.f_frsize < FILE_FREE_MIN ? -ENOSPC : 0;
}

/* The disk is full: drops files older than `keep`. Nothing is compressed, since that needs room. */
static int make_room(FileArchive *a, FileKeys *keys) {
        int r = learn(a, keys);

        if (r < 0 && r != -ENOSPC && r != -EDQUOT)
                return r;
        end_tidying(a, drop_old(a));
        a->full = false;
        return check_disk(a);
}

int file_archive_lock(FileArchive *a, FileKeys *keys, usec_t told) {
        int r;

        free(cleanup_steal(a->unread));
        note_time(a, told);
        r = open_directory(a);
        if (r == 0)
                r = take_lock(a);
        if (r == 0)
                r = a->full ? -ENOSPC : check_disk(a);
        if (r == -ENOSPC && a->lock_fd >= 0)
                r = make_room(a, keys);
        if (r == 0)
                r = learn(a, keys);
        if (r != 0)
                file_archive_unlock(a, false);
        return r;
}

const char *file_archive_place(const FileArchive *a) {
        return a->unread ?: a->spec.directory;
}

/* ---- writing ---- */

static bool goes_on(const FileArchive *a, usec_t at) {
        return a->fd >= 0 && a->files[a->n - 1].day == (int64_t) (at / DAY_USEC);
}

uint64_t file_archive_room(const FileArchive *a, usec_t at) {
        if (!goes_on(a, at))
                return a->spec.max_size;
        return a->size < a->spec.max_size ? a->spec.max_size - a->size : 0;
}

/* Begins a file with the next free name of that day. */
static int begin_file(FileArchive *a, usec_t at) {
        File file = { .day = (int64_t) (at / DAY_USEC), .plain = true };
        char name[NAME_SIZE];
        int r;

        if (a->fd >= 0) {
                (void) close(a->fd);
                a->closed++;
        }
        a->fd = -1;
        for (size_t i = 0; i < a->n; i++)
                if (a->files[i].day == file.day && a->files[i].n >= file.n)
                        file.n = a->files[i].n + 1;
        r = add_file(a, &file);
        if (r < 0)
                return r;
        a->size = 0;
        a->fd = openat(a->lock_fd, name_of(&file, false, name),
                O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (a->fd < 0)
                return err_errno();
        file_settle(a->fd, 0640, a->lock_fd);
        r = fsync(a->lock_fd) < 0 ? err_errno() : note_directory(a);
        if (r < 0) {
                (void) close(a->fd);
                a->fd = -1; /* its name may not be durable: learn() syncs the directory before lines are written */
        }
        return r;
}

/* -ESTALE: somebody removed the file, perhaps just after the lock, so that the state of the directory does not show it:
 * the lines would be nowhere. */
static int write_lines(int fd, Slice lines) {
        struct stat status;
        int r = file_write_all(fd, lines.data, lines.size);

        if (r == 0 && (fsync(fd) < 0 || fstat(fd, &status) < 0))
                r = err_errno();
        return r == 0 && status.st_nlink == 0 ? -ESTALE : r;
}

int file_archive_append(FileArchive *a, Slice lines, usec_t at) {
        int r = 0;

        if (!goes_on(a, at) || (a->size > 0 && a->size + lines.size > a->spec.max_size))
                r = begin_file(a, at);
        if (r == 0)
                r = write_lines(a->fd, lines);
        if (r == 0) {
                a->size += lines.size;
                return 0;
        }
        a->full = r == -ENOSPC || r == -EDQUOT;
        if (a->fd < 0 || r == -ESTALE || ftruncate(a->fd, (off_t) a->size) < 0 || fsync(a->fd) < 0)
                forget(a); /* the next use reads the directory again */
        return r;
}

/* ---- closed files ---- */

static int pack_into(const FileArchive *a, const char *name, const char *part) {
        _cleanup_close_ int from = openat(a->lock_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_close_ int to = openat(a->lock_fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
        int r;

        if (from < 0 || to < 0)
                return err_errno();
        file_settle(to, 0640, a->lock_fd);
        r = gzip_copy(from, to);
        if (r < 0)
                return r;
        return fsync(to) < 0 ? err_errno() : 0;
}

/* Compresses a file: the new one is complete and durable before the old one is removed. */
static int pack(FileArchive *a, File *file) {
        char name[NAME_SIZE], packed[NAME_SIZE], part[NAME_SIZE + 8];
        int r;

        (void) snprintf(part, sizeof(part), ".%s.part", name_of(file, true, packed));
        r = pack_into(a, name_of(file, false, name), part);
        if (r == 0 && renameat(a->lock_fd, part, a->lock_fd, packed) < 0)
                r = err_errno();
        if (r < 0) {
                (void) unlinkat(a->lock_fd, part, 0);
                return r;
        }
        if (fsync(a->lock_fd) < 0 || unlinkat(a->lock_fd, name, 0) < 0)
                return err_errno();
        file->plain = false;
        file->packed = true;
        return 0;
}

static int pack_one(FileArchive *a) {
        for (size_t i = 0; a->spec.compress && i + (a->fd >= 0) < a->n; i++)
                if (a->files[i].plain)
                        return pack(a, &a->files[i]);
        return 0;
}

/* Compresses as many files as the writes closed, but at least one: what was closed earlier has its turn, too. */
static void tidy_up(FileArchive *a) {
        int r = drop_old(a);

        do {
                if (r == 0)
                        r = pack_one(a);
                if (r == 0 && a->closed > 0)
                        a->closed--;
        } while (r == 0 && a->closed > 0);
        end_tidying(a, r);
}

void file_archive_unlock(FileArchive *a, bool tidy) {
        if (tidy)
                tidy_up(a);
        if (a->lock_fd >= 0)
                (void) close(a->lock_fd); /* this releases the lock as well */
        a->lock_fd = -1;
}

/* ---- life ---- */

int file_archive_new(const FileArchiveSpec *spec, FileArchive **ret) {
        FileArchive *a = calloc(1, sizeof(FileArchive));

        if (!a)
                return -ENOMEM;
        a->spec = *spec;
        a->fd = a->lock_fd = -1;
        *ret = a;
        return 0;
}

FileArchive *file_archive_free(FileArchive *a) {
        if (!a)
                return NULL;
        forget(a);
        file_archive_unlock(a, false);
        free(a->unread);
        free(a->files);
        free(a);
        return NULL;
}
