/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of an archive go, and when: never by a clock that may be wrong. */
#include "file-fixture.h"

#include "lib/clock.h"

/* So much is our clock behind (the linker's --wrap). */
static usec_t behind;
usec_t __real_clock_wall(void);
usec_t __wrap_clock_wall(void);

usec_t __wrap_clock_wall(void) {
        return __real_clock_wall() - behind;
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

static void use(FileArchive *archive, FileKeys *keys, const char *gone) {
        assert_int_equal(file_archive_lock(archive, keys), 0);
        assert_true(!gone || unlink(gone) == 0);
        file_archive_tidy(archive, 0);
        file_archive_unlock(archive);
}

/* Another process takes a closed file away while we write: the others are compressed all the same. */
static void test_taken_away_meanwhile(void **state) {
        World *w = *state;
        const FileArchiveSpec spec = { .directory = w->archive, .max_size = 4096, .compress = true, .subscription = SUBSCRIPTION };
        char first[160], second[160];
        FileArchive *archive;
        FileKeys *keys;

        (void) snprintf(first, sizeof(first), "%s/2024-10-04.ndjson", w->archive); /* day 20000 */
        (void) snprintf(second, sizeof(second), "%s/2024-10-05.ndjson.gz", w->archive);
        assert_int_equal(file_keys_new(FILE_KEYS_MAX, &keys), 0);
        assert_int_equal(file_archive_new(&spec, &archive), 0);
        assert_int_equal(file_archive_lock(archive, keys), 0);
        for (usec_t day = 20000; day < 20003; day++)
                assert_int_equal(file_archive_append(archive, slice("{\"_id\":\"a\"}\n"), day * 24 * USEC_PER_HOUR), 0);
        file_archive_unlock(archive);
        use(archive, keys, first);
        use(archive, keys, NULL);
        assert_int_equal(access(second, F_OK), 0);
        archive = file_archive_free(archive);
        keys = file_keys_free(keys);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_keep),
                TEST(test_keep_with_a_clock_behind),
                TEST(test_taken_away_meanwhile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
