/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of an archive go, and when: never by a clock that may be wrong. */
#include "file-fixture.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "lib/clock.h"

/* So much is our clock behind (the linker's --wrap). */
static usec_t behind;
usec_t __real_clock_wall(void);
usec_t __wrap_clock_wall(void);

usec_t __wrap_clock_wall(void) {
        return __real_clock_wall() - behind;
}

/* So much time has passed since. */
static usec_t later;
usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);

usec_t __wrap_clock_now(void) {
        return __real_clock_now() + later;
}

/* The disk is full as long as there is this file. A write is told so, too, and statvfs() tells it unless it is a quota
 * that is used up. */
static const char *fills;
static bool by_quota;
int __real_fstatvfs64(int fd, struct statvfs *ret);
int __wrap_fstatvfs64(int fd, struct statvfs *ret);
int __real_file_write_all(int fd, const void *data, size_t size);
int __wrap_file_write_all(int fd, const void *data, size_t size);

static bool is_full(void) {
        return fills && access(fills, F_OK) == 0;
}

int __wrap_fstatvfs64(int fd, struct statvfs *ret) {
        int r = __real_fstatvfs64(fd, ret);

        if (is_full() && !by_quota)
                ret->f_bavail = 0;
        return r;
}

int __wrap_file_write_all(int fd, const void *data, size_t size) {
        return is_full() ? by_quota ? -EDQUOT : -ENOSPC : __real_file_write_all(fd, data, size);
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);

int __wrap_mkdir(const char *path, mode_t mode) {
        if (!is_full() || access(path, F_OK) == 0)
                return __real_mkdir(path, mode);
        errno = ENOSPC;
        return -1;
}

/* The disk does not give the list of the directory. */
static bool unlisted;
struct dirent *__real_readdir64(DIR *directory);
struct dirent *__wrap_readdir64(DIR *directory);

struct dirent *__wrap_readdir64(DIR *directory) {
        if (!unlisted)
                return __real_readdir64(directory);
        errno = EIO;
        return NULL;
}

/* Its file system grants no locks. */
static bool unlockable;
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

int __wrap_flock(int fd, int operation) {
        if (!unlockable)
                return __real_flock(fd, operation);
        errno = ENOLCK;
        return -1;
}

/* The disk does not write the list of the directory; how often it did. */
static bool unwritten;
static unsigned written;
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd) {
        struct stat status;

        if (fstat(fd, &status) < 0 || !S_ISDIR(status.st_mode))
                return __real_fsync(fd);
        if (unwritten) {
                errno = EIO;
                return -1;
        }
        written++;
        return __real_fsync(fd);
}

/* The call for memory that fails, counted from now; 0: none. */
static unsigned fails;
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size) {
        return fails > 0 && --fails == 0 ? NULL : __real_realloc(memory, size);
}

/* Nothing can be noted, for want of memory. */
static bool unnoted;
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text) {
        return unnoted ? NULL : __real_strdup(text);
}

/* Old files go by the time that the queue tells, not by a clock that may be wrong. */
static void test_keep(void **state) {
        World *w = *state;
        char path[420];
        int fd;

        close_sink(w);
        w->keys.keep = 24 * USEC_PER_HOUR;
        open_sink(w);
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
        (void) snprintf(path, sizeof(path), "%s/2026-11-20.ndjson", w->archive);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        (void) close(fd);
        (void) write_as(w, SINK_STEP_WRITE, &(Given){ "a", "{}", "2026-11-20T23:00:00Z" }, 1, "S");
        (void) snprintf(path, sizeof(path), "%s/2026-11-20.ndjson.gz", w->archive);
        assert_int_equal(access(path, F_OK), 0);
        (void) write_as(w, SINK_STEP_WRITE, &(Given){ "b", "{}", "2026-11-22T00:00:00Z" }, 1, "S");
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(lines_of(w), 2);
}

/* A machine without a clock of its own was off for ten days, and stores what waited before a time server answers. */
static void test_keep_with_a_clock_behind(void **state) {
        World *w = *state;
        char now[CLOCK_RFC3339_SIZE];

        close_sink(w);
        w->keys.keep = 7 * 24 * USEC_PER_HOUR;
        open_sink(w);
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
        (void) clock_format_rfc3339(clock_wall(), now);
        behind = 10 * 24 * USEC_PER_HOUR;
        (void) write_as(w, SINK_STEP_WRITE, &(Given){ "a", "{}", now }, 1, "S");
        behind = 0;
        for (const char *id = "bcd"; *id != '\0'; id++)
                (void) write_as(w, SINK_STEP_WRITE, &(Given){ (const char[]){ *id, '\0' }, "{}", now }, 1, "S");
        assert_int_equal(lines_of(w), 4);
}

static char old[420];

/* An archive with one line, of 2026-11-20 23:00, and an old file that fills the disk until it is removed. */
static void fill(World *w) {
        close_sink(w);
        w->keys.keep = 24 * USEC_PER_HOUR;
        open_sink(w);
        (void) write_as(w, SINK_STEP_WRITE, &(Given){ "a", "{}", "2026-11-20T23:00:00Z" }, 1, "S");
        (void) snprintf(old, sizeof(old), "%s/2026-11-20.ndjson", w->archive);
        (void) close(open(old, O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
        fills = old;
}

/* What is past its time makes the room that the next line needs. */
static void test_keep_on_a_full_disk(void **state) {
        World *w = *state;

        fill(w);
        assert_string_equal(probe(w).reason, "disk_full");
        (void) write_as(w, SINK_STEP_WRITE, &(Given){ "b", "{}", "2026-11-21T23:59:59Z" }, 1, "P");
        assert_int_equal(access(old, F_OK), 0); /* its time is not over */
        (void) write_as(w, SINK_STEP_WRITE, &(Given){ "b", "{}", "2026-11-22T00:00:00Z" }, 1, "S");
        assert_int_equal(access(old, F_OK), -1);
        assert_int_equal(lines_of(w), 2);
}

/* A quota is met in the write only. */
static void test_keep_within_a_quota(void **state) {
        World *w = *state;

        fill(w);
        by_quota = true;
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
        (void) write_as(w, SINK_STEP_WRITE, &(Given){ "b", "{}", "2026-11-22T00:00:00Z" }, 1, "P");
        (void) write_as(w, SINK_STEP_WRITE, &(Given){ "b", "{}", "2026-11-22T00:00:00Z" }, 1, "S");
        assert_int_equal(access(old, F_OK), -1);
        assert_int_equal(lines_of(w), 2);
}

/* A full disk has no room for the directory either. It was "Bad file descriptor". */
static void test_no_room_for_the_directory(void **state) {
        World *w = *state;

        close_sink(w);
        (void) rmdir(w->archive);
        open_sink(w);
        fills = "/";
        assert_string_equal(probe(w).reason, "disk_full");
        fills = NULL;
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
}

/* Nothing is pulled while the sink is down, so nothing tells the time: it is known from the last line on, over a start,
 * and goes on as fast as ours. */
static void test_keep_while_it_is_down(void **state) {
        World *w = *state;

        fill(w);
        close_sink(w);
        open_sink(w);
        assert_string_equal(probe(w).reason, "disk_full");
        later = 24 * USEC_PER_HOUR;
        assert_string_equal(probe(w).reason, "disk_full");
        later = 25 * USEC_PER_HOUR;
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
        assert_int_equal(access(old, F_OK), -1);
        assert_int_equal(lines_of(w), 1);
}

/* ... but never beyond what our own clock says. */
static void test_keep_with_a_clock_behind_on_a_full_disk(void **state) {
        World *w = *state;

        fill(w);
        behind = clock_wall() - UINT64_C(1795305599) * USEC_PER_SEC; /* it says 2026-11-21 23:59:59, and goes on */
        later = 48 * USEC_PER_HOUR;
        behind += USEC_PER_HOUR;
        assert_string_equal(probe(w).reason, "disk_full");
        assert_int_equal(access(old, F_OK), 0);
}

static int forget_all(void **state) {
        fills = NULL;
        by_quota = false;
        behind = later = 0;
        return tear_down(state);
}

#define TEST_FULL(name) cmocka_unit_test_setup_teardown(name, set_up, forget_all)

static void use(FileArchive *archive, FileKeys *keys, const char *gone) {
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        assert_true(!gone || unlink(gone) == 0);
        file_archive_unlock(archive, true);
}

/* Another process takes a closed file away while we write: the others are compressed all the same. */
static void test_taken_away_meanwhile(void **state) {
        World *w = *state;
        const FileArchiveSpec spec = {
                .directory = w->archive, .max_size = 4096, .compress = true, .subscription = SUBSCRIPTION
        };
        char first[160], second[160];
        FileArchive *archive;
        FileKeys *keys;

        (void) snprintf(first, sizeof(first), "%s/2024-10-04.ndjson", w->archive); /* day 20000 */
        (void) snprintf(second, sizeof(second), "%s/2024-10-05.ndjson.gz", w->archive);
        assert_int_equal(file_keys_new(FILE_KEYS_MAX, &keys), 0);
        assert_int_equal(file_archive_new(&spec, &archive), 0);
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        for (usec_t day = 20000; day < 20003; day++)
                assert_int_equal(file_archive_append(archive, slice("{\"_id\":\"a\"}\n"), day * 24 * USEC_PER_HOUR), 0);
        file_archive_unlock(archive, false);
        use(archive, keys, first);
        use(archive, keys, NULL);
        assert_int_equal(access(second, F_OK), 0);
        archive = file_archive_free(archive);
        keys = file_keys_free(keys);
}

/* A write may fill several files: all of them are compressed after it, and none waits for later writes. */
static void test_closed_together(void **state) {
        World *w = *state;
        const FileArchiveSpec spec = {
                .directory = w->archive, .max_size = 4096, .compress = true, .subscription = SUBSCRIPTION
        };
        FileArchive *archive;
        FileKeys *keys;
        Found found;

        assert_int_equal(file_keys_new(FILE_KEYS_MAX, &keys), 0);
        assert_int_equal(file_archive_new(&spec, &archive), 0);
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        for (usec_t day = 20000; day < 20005; day++)
                assert_int_equal(file_archive_append(archive, slice("{\"_id\":\"a\"}\n"), day * 24 * USEC_PER_HOUR), 0);
        file_archive_unlock(archive, true);
        archive = file_archive_free(archive);
        keys = file_keys_free(keys);
        found = look(w);
        assert_int_equal(found.files, 5);
        assert_int_equal(found.packed, 4);
        assert_int_equal(found.lines, 5);
        bytes_done(&found.text);
}

/* Another process removes the last file while we write, which the time of the directory does not show afterwards: no
 * line is stored in a file that is gone. (P3) */
static void test_last_removed_meanwhile(void **state) {
        World *w = *state;
        const FileArchiveSpec spec = { .directory = w->archive, .max_size = 4096, .subscription = SUBSCRIPTION };
        const usec_t at = UINT64_C(20000) * 24 * USEC_PER_HOUR;
        FileArchive *archive;
        FileKeys *keys;
        char path[160];

        (void) snprintf(path, sizeof(path), "%s/2024-10-04.ndjson", w->archive);
        assert_int_equal(file_keys_new(FILE_KEYS_MAX, &keys), 0);
        assert_int_equal(file_archive_new(&spec, &archive), 0);
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        assert_int_equal(file_archive_append(archive, slice("{\"_id\":\"a\"}\n"), at), 0);
        file_archive_unlock(archive, false);
        use(archive, keys, path);
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        assert_int_equal(file_archive_append(archive, slice("{\"_id\":\"b\"}\n"), at), -ESTALE);
        file_archive_unlock(archive, false);
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        assert_int_equal(file_archive_append(archive, slice("{\"_id\":\"b\"}\n"), at), 0);
        assert_int_equal(access(path, F_OK), 0);
        archive = file_archive_free(archive);
        keys = file_keys_free(keys);
        assert_int_equal(lines_of(w), 1);
}

/* The name of a file that is not seen must not be taken again: its lines would be replaced by those of the new one.
 * (P3) */
static void test_not_listed(void **state) {
        World *w = *state;
        const FileArchiveSpec spec = {
                .directory = w->archive, .max_size = 4096, .compress = true, .subscription = SUBSCRIPTION
        };
        FileArchive *archive;
        FileKeys *keys;

        assert_int_equal(file_keys_new(FILE_KEYS_MAX, &keys), 0);
        assert_int_equal(file_archive_new(&spec, &archive), 0);
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        for (usec_t day = 20000; day < 20002; day++)
                assert_int_equal(file_archive_append(archive, slice("{\"_id\":\"a\"}\n"), day * 24 * USEC_PER_HOUR), 0);
        file_archive_unlock(archive, true); /* the first is compressed */
        archive = file_archive_free(archive);
        assert_int_equal(file_archive_new(&spec, &archive), 0);
        unlisted = true;
        assert_int_equal(file_archive_lock(archive, keys, 0), -EIO);
        unlisted = false;
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        assert_int_equal(
                file_archive_append(archive, slice("{\"_id\":\"b\"}\n"), UINT64_C(20000) * 24 * USEC_PER_HOUR), 0);
        file_archive_unlock(archive, true);
        archive = file_archive_free(archive);
        keys = file_keys_free(keys);
        assert_int_equal(lines_of(w), 3);
}

/* A new file whose name did not come to the disk: nothing in it is stored before it has. (P3) */
static void test_name_not_written(void **state) {
        World *w = *state;
        const FileArchiveSpec spec = { .directory = w->archive, .max_size = 4096, .subscription = SUBSCRIPTION };
        const usec_t at = UINT64_C(20000) * 24 * USEC_PER_HOUR;
        FileArchive *archive;
        FileKeys *keys;

        assert_int_equal(file_keys_new(FILE_KEYS_MAX, &keys), 0);
        assert_int_equal(file_archive_new(&spec, &archive), 0);
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        unwritten = true;
        assert_int_equal(file_archive_append(archive, slice("{\"_id\":\"a\"}\n"), at), -EIO);
        unwritten = false;
        file_archive_unlock(archive, false);
        written = 0;
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        assert_int_equal(file_archive_append(archive, slice("{\"_id\":\"a\"}\n"), at), 0);
        assert_true(written > 0);
        archive = file_archive_free(archive);
        keys = file_keys_free(keys);
        assert_int_equal(lines_of(w), 1);
}

/* Without memory a line is not read, which is said; it is not taken for one without an id, whose message would be
 * stored twice. */
static void test_without_memory(void **state) {
        World *w = *state;
        const FileArchiveSpec spec = { .directory = w->archive, .max_size = 4096, .subscription = SUBSCRIPTION };
        uint64_t id = file_key(slice("a"), "", slice("")).id;
        FileArchive *archive;
        FileKeys *keys;
        int r = -ENOMEM;

        assert_int_equal(file_keys_new(FILE_KEYS_MAX, &keys), 0);
        assert_int_equal(file_archive_new(&spec, &archive), 0);
        assert_int_equal(file_archive_lock(archive, keys, 0), 0);
        assert_int_equal(file_archive_append(archive,
                                 slice("{\"_id\":\"a\",\"pubsub\":{\"publish_time\":\"2026-11-20T23:00:00Z\"}}\n"), 1),
                0);
        archive = file_archive_free(archive);
        for (unsigned n = 1; r != 0; n++) {
                assert_int_equal(r, -ENOMEM);
                file_keys_undo(keys, SIZE_MAX);
                assert_int_equal(file_archive_new(&spec, &archive), 0);
                fails = n;
                r = file_archive_lock(archive, keys, 0);
                assert_true(r == -ENOMEM || file_keys_find(keys, id));
                r = fails > 0 ? r : -ENOMEM; /* what failed was no call that counts: the next one, then */
                fails = 0;
                archive = file_archive_free(archive);
        }
        keys = file_keys_free(keys);
        assert_int_equal(lines_of(w), 1);
}

/* A message that is no document must not become an empty line, and count as stored, where nobody can note why. (P3) */
static void test_bad_without_memory(void **state) {
        World *w = *state;

        unnoted = true;
        store(w, "a", "no JSON", "P");
        unnoted = false;
        store(w, "a", "no JSON", "B");
        assert_int_equal(lines_of(w), 0);
}

/* It was "look at the disk and at `journalctl -k`". */
static void test_the_disk_is_not_to_blame(void **state) {
        World *w = *state;
        struct rlimit before, none;
        SinkAnswer answer;

        close_sink(w);
        open_sink(w);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ 0, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        answer = probe(w);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_string_equal(answer.reason, "memory");
        assert_int_equal(answer.cause, CAUSE_MEMORY);
        assert_null(strstr(answer.remedy, "disk"));

        unlockable = true;
        answer = probe(w);
        unlockable = false;
        assert_non_null(strstr(answer.remedy, "its file server"));
        assert_int_equal(answer.cause, CAUSE_SETTINGS);
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
}

/* A closed file that somebody moved to another disk, and left a link: its lines are not known. The file is named. */
static void test_a_file_that_cannot_be_read(void **state) {
        World *w = *state;
        char path[420];

        store(w, "a", "{\"v\":1}", "S");
        (void) snprintf(path, sizeof(path), "%s/2020-02-02.ndjson.gz", w->archive);
        assert_int_equal(symlink("/nowhere/2020-02-02.ndjson.gz", path), 0);
        assert_memory_equal(probe(w).detail, path, strlen(path));
        assert_int_equal(unlink(path), 0);
        store(w, "a", "{\"v\":1}", "D");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_keep),
                TEST(test_keep_with_a_clock_behind),
                TEST_FULL(test_keep_on_a_full_disk),
                TEST_FULL(test_keep_within_a_quota),
                TEST_FULL(test_no_room_for_the_directory),
                TEST_FULL(test_keep_while_it_is_down),
                TEST_FULL(test_keep_with_a_clock_behind_on_a_full_disk),
                TEST(test_taken_away_meanwhile),
                TEST(test_closed_together),
                TEST(test_last_removed_meanwhile),
                TEST(test_not_listed),
                TEST(test_name_not_written),
                TEST(test_without_memory),
                TEST(test_bad_without_memory),
                TEST(test_the_disk_is_not_to_blame),
                TEST(test_a_file_that_cannot_be_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
