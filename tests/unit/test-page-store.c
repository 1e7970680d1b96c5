/* SPDX-License-Identifier: Apache-2.0 */
/* The charts' values against a naive model: whatever the order, nothing is lost, and nothing counts twice. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/sql.h"
#include "page-thread.h"
#include "page-series.h"
#include "page-store.h"
#include "page-tables.h"

#define MINUTE INT64_C(60000) /* ms */
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define NOW (INT64_C(1795840000000) / HOUR * HOUR)
#define SERIES 3

static int make_directory(void **state) {
        char *path = strdup("/tmp/test-page-store-XXXXXX");

        assert_non_null(mkdtemp(path));
        *state = path;
        return 0;
}

static int remove_files(const char *path) {
        DIR *directory = opendir(path);
        struct dirent *entry;

        while ((entry = readdir(directory)))
                if (entry->d_name[0] != '.')
                        assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
        return closedir(directory);
}

static int remove_directory(void **state) {
        assert_int_equal(remove_files(*state), 0);
        assert_int_equal(rmdir(*state), 0);
        free(*state);
        return 0;
}

static PageStore *open_store(const char *directory, int outcome) {
        PageStore *store;

        assert_int_equal(page_store_open(directory, clock_now(), &store), outcome);
        return store;
}

/* ---- the model: every value there ever was ---- */

typedef struct Value {
        unsigned series; /* 0.. */
        int64_t time;
        double value;
} Value;

typedef struct Model {
        Value *items;
        size_t n;
        uint64_t seed;
} Model;

static uint64_t draw(Model *model) {
        model->seed = model->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return model->seed >> 33;
}

static void add(PageStore *store, const Value *value) {
        static const char *const fields[SERIES] = { "/newest_events/te/val", "/newest_events/hu/val", "/co2" };
        PageFound found = { .source = "home",
                .device = "id",
                .name = "Bedroom",
                .time = value->time,
                .numbers = { { 0, value->value } },
                .n = 1 };

        assert_int_equal(bytes_append_text(&found.labels, "{}"), 0);
        assert_int_equal(bytes_append_text(&found.fields, fields[value->series]), 0);
        assert_int_equal(page_store_add(store, &found), 0);
        page_numbers_done(&found);
}

static void assert_close(double a, double b) {
        if (fabs(a - b) > 1e-6 * (1 + fabs(a)))
                fail_msg("%.12g is not %.12g", a, b);
}

/* Every bucket of every series holds exactly what the model has in its time. */
static void compare(PageStore *store, const Model *model, int64_t from, int64_t to, unsigned points) {
        PageQuery query = { .series = { 1, 2, 3 }, .n = SERIES, .from = from, .to = to, .points = points };
        PageValues values;
        PageBucket *expected;

        assert_int_equal(page_store_values(store, &query, &values), 0);
        assert_true(values.from <= from && values.to >= to &&
                    values.from + (int64_t) values.n * values.bucket == values.to);
        assert_true(values.n <= points + 1);
        expected = calloc(values.n * SERIES, sizeof(*expected));
        for (size_t i = 0; i < model->n; i++) {
                const Value *value = &model->items[i];
                PageBucket *bucket;

                if (value->time < values.from || value->time >= values.to)
                        continue;
                bucket = &expected[value->series * values.n + (size_t) ((value->time - values.from) / values.bucket)];
                bucket->low = bucket->count == 0 || value->value < bucket->low ? value->value : bucket->low;
                bucket->high = bucket->count == 0 || value->value > bucket->high ? value->value : bucket->high;
                bucket->total += value->value;
                bucket->count++;
        }
        for (size_t i = 0; i < values.n * SERIES; i++) {
                assert_int_equal(values.buckets[i].count, expected[i].count);
                if (expected[i].count == 0)
                        continue;
                assert_close(values.buckets[i].low, expected[i].low);
                assert_close(values.buckets[i].high, expected[i].high);
                assert_close(values.buckets[i].total, expected[i].total);
        }
        free(expected);
        page_store_values_done(&values);
}

static void compare_all(PageStore *store, const Model *model) {
        compare(store, model, NOW - DAY, NOW + MINUTE, 1500);
        compare(store, model, NOW - DAY, NOW + MINUTE, 600);
        compare(store, model, NOW - 7 * DAY, NOW + MINUTE, 600);
        compare(store, model, NOW - 31 * DAY, NOW + MINUTE, 600);
        compare(store, model, NOW - 366 * DAY, NOW + MINUTE, 2000);
        compare(store, model, NOW - 3 * DAY, NOW - 2 * DAY, 100);
        compare(store, model, NOW - 5 * 366 * DAY, NOW + MINUTE, 1);
        compare(store, model, NOW - 40 * DAY, NOW - 30 * DAY, 250);
}

/* *n* values in the last *span*; most of them near its end. */
static Model model_new(uint64_t seed, size_t n, int64_t span) {
        Model model = { calloc(n, sizeof(Value)), n, seed };

        for (size_t i = 0; i < n; i++) {
                double part = (double) draw(&model) / (double) (UINT64_C(1) << 31);

                model.items[i] = (Value){ (unsigned) (draw(&model) % SERIES),
                        NOW - (int64_t) (part * part * part * (double) span), (double) (draw(&model) % 1000) / 8 - 30 };
        }
        model.items[0] = (Value){ 0, NOW - span / 2, 1 };
        model.items[1] = (Value){ 1, NOW - span / 3, 2 };
        model.items[2] = (Value){ 2, NOW - span / 4, 3 };
        return model;
}

static void test_any_order(void **state) {
        for (uint64_t seed = 1; seed <= 4; seed++) {
                Model model = model_new(seed, 20000, 1000 * DAY);
                PageStore *store = open_store(*state, 0);
                char path[100];

                for (size_t i = 0; i < model.n; i++) {
                        add(store, &model.items[i]);
                        if (draw(&model) % 1500 == 0)
                                assert_int_equal(page_store_save(store), 0);
                        if (draw(&model) % 6000 == 0) { /* a clean stop */
                                assert_int_equal(page_store_save(store), 0);
                                page_store_free(store);
                                store = open_store(*state, 0);
                        }
                        if (i == model.n / 2) {
                                Model half = { model.items, i + 1, 0 };

                                compare_all(store, &half);
                        }
                }
                compare_all(store, &model); /* some of it in memory */
                assert_int_equal(page_store_save(store), 0);
                compare_all(store, &model);
                assert_int_equal(page_store_lost(store), 0);
                page_store_free(store);
                (void) snprintf(path, sizeof(path), "%s/page.sqlite", (char *) *state);
                assert_int_equal(unlink(path), 0);
                free(model.items);
        }
}

/* Time goes by, as in a daemon: what is old becomes coarser, and none of it is lost on the way. */
static void test_year_by_year(void **state) {
        Model model = { calloc(60000, sizeof(Value)), 0, 7 };
        PageStore *store = open_store(*state, 0);

        for (int64_t at = NOW - 400 * DAY; at <= NOW; at += 61 * MINUTE) {
                for (unsigned series = 0; series < SERIES; series++) {
                        model.items[model.n] =
                                (Value){ series, at + (int64_t) (draw(&model) % 60000), (double) (draw(&model) % 100) };
                        add(store, &model.items[model.n++]);
                }
                if (model.n % 300 == 0)
                        assert_int_equal(page_store_save(store), 0);
        }
        assert_int_equal(page_store_save(store), 0);
        compare_all(store, &model);
        page_store_free(store);
        free(model.items);
}

#define OTHERS 40

static void add_others(PageStore *store, int64_t time) {
        for (int i = 0; i < OTHERS; i++) {
                PageFound found = { .source = "others", .time = time, .numbers = { { 0, i } }, .n = 1 };

                (void) snprintf(found.device, sizeof(found.device), "%d", i);
                assert_int_equal(bytes_append_text(&found.labels, "{}"), 0);
                assert_int_equal(bytes_append_text(&found.fields, "/co2"), 0);
                assert_int_equal(page_store_add(store, &found), 0);
                page_numbers_done(&found);
        }
}

typedef struct Seen {
        size_t asked, others;
} Seen;

static void see(void *userdata, const PageBucket *bucket) {
        Seen *seen = userdata;

        *(bucket->series <= SERIES ? &seen->asked : &seen->others) += 1;
}

/* A chart of a few among many series costs what those have, not what all have. */
static void test_few_among_many(void **state) {
        const int64_t few[] = { 2, 3 }, to = NOW / MINUTE + 1;
        Model model = model_new(11, 20000, 400 * DAY);
        PageSeriesTable *series;
        PageTables *tables;
        PagePast past = {};
        Seen seen = {};
        PageStore *store = open_store(*state, 0);

        for (size_t i = 0; i < model.n; i++)
                add(store, &model.items[i]);
        for (int64_t at = NOW - 100 * MINUTE; at <= NOW; at += MINUTE)
                add_others(store, at);
        assert_int_equal(page_store_save(store), 0);
        compare_all(store, &model);
        page_store_free(store);

        assert_int_equal(page_tables_open(*state, &tables), 0);
        assert_int_equal(page_series_new(&series), 0);
        assert_int_equal(page_tables_load(tables, series, &past), 0);
        assert_int_equal(page_series_count(series), SERIES + OTHERS);
        assert_int_equal(
                page_tables_read(tables, &(PageRange){ to - 366 * 1440, to, few, 2, SERIES + OTHERS, see, &seen }), 0);
        assert_true(seen.asked > 1000);
        assert_int_equal(seen.others, 0);
        bytes_done(&past.mark);
        page_series_free(series);
        page_tables_free(tables);
        free(model.items);
}

static uint32_t count_of_series(PageStore *store, int64_t series, int64_t from, int64_t to) {
        PageQuery query = { .series = { series }, .n = 1, .from = from, .to = to, .points = 2000 };
        PageValues values;
        uint32_t n = 0;

        assert_int_equal(page_store_values(store, &query, &values), 0);
        for (size_t i = 0; i < values.n; i++)
                n += values.buckets[i].count;
        page_store_values_done(&values);
        return n;
}

static uint32_t count_of(PageStore *store, int64_t from, int64_t to) {
        return count_of_series(store, 1, from, to);
}

static void test_pruning(void **state) {
        PageStore *store = open_store(*state, 0);

        add(store, &(Value){ 0, NOW - 6 * 366 * DAY, 1 });
        assert_int_equal(page_store_save(store), 0);
        add(store, &(Value){ 0, NOW - 4 * 366 * DAY, 1 });
        add(store, &(Value){ 0, NOW, 1 });
        assert_int_equal(page_store_save(store), 0);
        add(store, &(Value){ 0, NOW + DAY, 1 });
        assert_int_equal(page_store_save(store), 0);
        add(store, &(Value){ 0, NOW - 7 * 366 * DAY, 1 }); /* too late */
        assert_int_equal(page_store_save(store), 0);
        assert_int_equal(count_of(store, NOW - 9 * 366 * DAY, NOW - 5 * 366 * DAY), 0);
        assert_int_equal(count_of(store, NOW - 5 * 366 * DAY, NOW + 2 * DAY), 3);
        page_store_free(store);
}

/* Only what was not saved is lost by a kill; and nothing after a save. */
static void test_kill(void **state) {
        PageStore *store = open_store(*state, 0);

        add(store, &(Value){ 0, NOW - 2 * MINUTE, 1 });
        assert_int_equal(page_store_save(store), 0);
        add(store, &(Value){ 0, NOW - MINUTE, 1 });
        page_store_free(store);
        store = open_store(*state, 0);
        assert_int_equal(count_of(store, NOW - HOUR, NOW), 1);
        assert_int_equal(page_series_get(page_store_series(store), 1)->last, NOW - 2 * MINUTE);
        page_store_free(store);
}

static void scribble(const char *directory, off_t from, size_t size) {
        char path[200], *rubbish = malloc(size);
        int fd;

        memset(rubbish, 0x5a, size);
        (void) snprintf(path, sizeof(path), "%s/page.sqlite", directory);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, rubbish, size, from), (ssize_t) size);
        close(fd);
        free(rubbish);
}

static void assert_aside(const char *directory) {
        char path[200];

        (void) snprintf(path, sizeof(path), "%s/page.sqlite.damaged", directory);
        assert_int_equal(access(path, F_OK), 0);
}

static void test_damage_at_the_start(void **state) {
        PageStore *store = open_store(*state, 0);

        add(store, &(Value){ 0, NOW, 1 });
        assert_int_equal(page_store_save(store), 0);
        page_store_free(store);
        scribble(*state, 0, 4096);
        store = open_store(*state, PAGE_STORE_ASIDE);
        assert_aside(*state);
        assert_int_equal(page_store_past(store)->complete, false);
        add(store, &(Value){ 0, NOW, 1 });
        assert_int_equal(page_store_save(store), 0);
        assert_int_equal(count_of(store, NOW - HOUR, NOW + HOUR), 1);
        page_store_free(store);
        page_store_free(open_store(*state, 0));
}

static void change_file(const char *directory, const char *statements) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        char path[200];

        (void) snprintf(path, sizeof(path), "%s/page.sqlite", directory);
        assert_int_equal(sql_open(path, &sql), 0);
        assert_int_equal(sql_exec(sql, statements), 0);
}

#define ANY_VALUE                                                                                                      \
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(replace(sql, ' STRICT,', ''), "           \
        "' STRICT', ''); PRAGMA writable_schema = RESET; "

/* Rows that can be read, with values that cannot be right: only these rows go. The page gets JSON, and saving neither
 * fails for ever nor goes on for ever. */
static void test_odd_rows(void **state) {
        static const struct {
                const char *damage;
                int open, save;
                uint32_t left; /* values of series 3 */
        } cases[] = {
                { "UPDATE series SET id = 9223372036854775807 WHERE id = 3", PAGE_STORE_MENDED, 0 },
                { "UPDATE series SET id = -1 WHERE id = 3", PAGE_STORE_MENDED, 0 },
                { "UPDATE series SET last = 9223372036854775807 WHERE id = 3", PAGE_STORE_MENDED, 0 },
                { "UPDATE series SET value = 9e999 WHERE id = 3", PAGE_STORE_MENDED, 0 },
                { "UPDATE series SET labels = '{\"a\"}' WHERE id = 3", PAGE_STORE_MENDED, 0 },
                { "UPDATE series SET field = '/newest_events/te/val' WHERE id = 3", PAGE_STORE_MENDED, 0 },
                { "UPDATE past SET begun = -9223372036854775807 - 1", PAGE_STORE_MENDED, 0, 2 },
                { "UPDATE past SET minutes_from = 9223372036854775807", PAGE_STORE_MENDED, 0, 2 },
                { "UPDATE minutes SET n = 9223372036854775807 WHERE series = 3", 0, PAGE_STORE_MENDED },
                { "UPDATE minutes SET total = iif(at % 5, 9e999, -9e999) WHERE series = 3", 0, PAGE_STORE_MENDED },
                { ANY_VALUE "UPDATE minutes SET at = x'41' WHERE series = 3 AND at = (SELECT min(at) FROM minutes)", 0,
                        PAGE_STORE_MENDED, 1 },
        };
        const int64_t begin = NOW / (5 * MINUTE) * 5 * MINUTE;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                PageStore *store = open_store(*state, 0);
                const PageSeries *series;

                for (unsigned k = 0; k < 2 * SERIES; k++)
                        add(store, &(Value){ k % SERIES, begin + k / SERIES * MINUTE, 1 });
                assert_int_equal(page_store_save(store), 0);
                page_store_free(store);
                change_file(*state, cases[i].damage);
                store = open_store(*state, cases[i].open);
                for (size_t k = 0; (series = page_series_at(page_store_series(store), k)); k++)
                        assert_true(isfinite(series->value) && series->id == (int64_t) k + 1);
                add(store, &(Value){ 0, NOW + 10 * DAY, 1 });
                assert_int_equal(page_store_save(store), cases[i].save);
                assert_int_equal(count_of(store, begin, begin + HOUR), 2);
                add(store, &(Value){ 2, NOW + 10 * DAY, 1 }); /* where its row was dropped, its values were, too */
                assert_int_equal(count_of_series(store, 3, begin, begin + HOUR), cases[i].left);
                page_store_free(store);
                assert_int_equal(remove_files(*state), 0);
        }
}

/* Met in the middle: what is in memory goes into the new file, under the same numbers. */
static void test_damage_later(void **state) {
        Model model = model_new(3, 20000, 20 * DAY);
        PageQuery query = { .series = { 1 }, .n = 1, .from = NOW - 30 * DAY, .to = NOW, .points = 600 };
        PageStore *store = open_store(*state, 0);
        PageValues values = {};
        struct stat status;
        char path[200];
        int r;

        for (size_t i = 0; i < model.n; i++)
                add(store, &model.items[i]);
        assert_int_equal(page_store_save(store), 0);
        page_store_free(store); /* all of it is in the file itself now */
        (void) snprintf(path, sizeof(path), "%s/page.sqlite", (char *) *state);
        assert_int_equal(stat(path, &status), 0);
        store = open_store(*state, 0);
        scribble(*state, 3 * 4096, (size_t) status.st_size - 3 * 4096);
        add(store, &(Value){ 1, NOW, 5 });
        r = page_store_values(store, &query, &values);
        if (r == PAGE_STORE_OK) { /* not met yet: its pages were in memory */
                page_store_values_done(&values);
                r = page_store_save(store);
        } else
                page_store_values_done(&values);
        assert_int_equal(r, PAGE_STORE_ASIDE);
        assert_aside(*state);
        add(store, &(Value){ 1, NOW, 6 });
        assert_int_equal(page_store_save(store), 0);
        assert_non_null(page_series_get(page_store_series(store), 3));
        page_store_free(store);
        store = open_store(*state, 0);
        assert_non_null(page_series_get(page_store_series(store), 3));
        page_store_free(store);
        free(model.items);
}

/* Met while the disk refuses the new file, too: that it was set aside is told when the new one is there. */
static void test_damage_and_no_room(void **state) {
        static const struct rlimit small = { 1, RLIM_INFINITY }, large = { RLIM_INFINITY, RLIM_INFINITY };
        Model model = model_new(3, 20000, 20 * DAY);
        PageQuery query = { .series = { 1 }, .n = 1, .from = NOW - 30 * DAY, .to = NOW, .points = 600 };
        PageStore *store = open_store(*state, 0);
        PageValues values = {};
        struct stat status;
        char path[200];

        for (size_t i = 0; i < model.n; i++)
                add(store, &model.items[i]);
        assert_int_equal(page_store_note_past(store, (Slice){ "m", 1 }, true), 0);
        assert_int_equal(page_store_save(store), 0);
        page_store_free(store);
        (void) snprintf(path, sizeof(path), "%s/page.sqlite", (char *) *state);
        assert_int_equal(stat(path, &status), 0);
        store = open_store(*state, 0);
        scribble(*state, 3 * 4096, (size_t) status.st_size - 3 * 4096);
        add(store, &(Value){ 1, NOW, 5 });
        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        assert_true(page_store_values(store, &query, &values) < 0);
        assert_true(page_store_save(store) < 0);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &large), 0);
        assert_int_equal(page_store_save(store), PAGE_STORE_ASIDE);
        assert_false(page_store_past(store)->complete);
        assert_aside(*state);
        assert_int_equal(count_of(store, NOW - HOUR, NOW + HOUR), 0);
        page_store_free(store);
        free(model.items);
}

/* Their sum is no number: the others are drawn without it. */
static void test_sums_that_are_no_numbers(void **state) {
        PageQuery query = { .series = { 1 }, .n = 1, .from = NOW - HOUR, .to = NOW + HOUR, .points = 600 };
        PageStore *store = open_store(*state, 0);
        PageValues values;

        add(store, &(Value){ 0, NOW, 1.7e308 });
        add(store, &(Value){ 0, NOW, 1.7e308 });
        add(store, &(Value){ 0, NOW + MINUTE, 5 });
        assert_int_equal(page_store_values(store, &query, &values), 0);
        for (size_t i = 0; i < values.n; i++)
                assert_true(isfinite(values.buckets[i].total));
        page_store_values_done(&values);
        assert_int_equal(count_of(store, NOW - HOUR, NOW + HOUR), 1);
        page_store_free(store);
}

static void test_newer(void **state) {
        char path[200];
        Sql *sql;

        (void) snprintf(path, sizeof(path), "%s/page.sqlite", (char *) *state);
        assert_int_equal(sql_open(path, &sql), 0);
        assert_int_equal(sql_exec(sql, "CREATE TABLE a (b); PRAGMA user_version = 2"), 0);
        sql_close(sql);
        open_store(*state, PAGE_STORE_NEWER);
        assert_int_equal(sql_open(path, &sql), 0); /* as it was */
        assert_int_equal(sql_exec(sql, "INSERT INTO a VALUES (1)"), 0);
        sql_close(sql);
}

/* A directory that may not be written to keeps nothing, and says so. */
static void test_no_directory(void **state) {
        PageStore *store;

        assert_int_equal(page_store_open("/nonexistent", 0, &store), -ENOENT);
}

static void test_past(void **state) {
        PageStore *store = open_store(*state, 0);
        int64_t begun = page_store_past(store)->begun;

        assert_in_range(begun, clock_wall() / USEC_PER_MSEC - 10000, clock_wall() / USEC_PER_MSEC);
        assert_int_equal(page_store_past(store)->mark.size, 0);
        assert_int_equal(page_store_note_past(store, (Slice){ "a\0b", 3 }, false), 0);
        assert_int_equal(page_store_save(store), 0);
        page_store_free(store);
        assert_int_equal(page_store_open(*state, clock_now() + USEC_PER_HOUR, &store), 0);
        assert_in_range(page_store_past(store)->begun, begun - 100, begun + 100);
        assert_memory_equal(page_store_past(store)->mark.data, "a\0b", 3);
        assert_false(page_store_past(store)->complete);
        page_store_free(store);
}

/* A publisher gone mad cannot fill the memory: what is too much is counted. */
static void test_many_series(void **state) {
        PageStore *store = open_store(*state, 0);
        PageFound found = { .source = "home", .time = NOW, .numbers = { { 0, 1.5 } }, .n = 1 };

        assert_int_equal(bytes_append_text(&found.labels, "{}"), 0);
        assert_int_equal(bytes_append_text(&found.fields, "/a"), 0);
        for (unsigned i = 0; i < PAGE_SERIES_MAX + 10; i++) {
                (void) snprintf(found.device, sizeof(found.device), "%u", i);
                assert_int_equal(page_store_add(store, &found), 0);
        }
        assert_int_equal(page_store_lost(store), 10);
        assert_int_equal(page_store_save(store), 0);
        page_store_free(store);
        store = open_store(*state, 0);
        assert_non_null(page_series_at(page_store_series(store), PAGE_SERIES_MAX - 1));
        assert_null(page_series_at(page_store_series(store), PAGE_SERIES_MAX));
        page_numbers_done(&found);
        page_store_free(store);
}

static void add_of(PageStore *store, unsigned device, int64_t time) {
        PageFound found = { .source = "home", .time = time, .numbers = { { 0, 1.5 } }, .n = 1 };

        assert_int_equal(bytes_append_text(&found.labels, "{}"), 0);
        assert_int_equal(bytes_append_text(&found.fields, "/a"), 0);
        (void) snprintf(found.device, sizeof(found.device), "%u", device);
        assert_int_equal(page_store_add(store, &found), 0);
        page_numbers_done(&found);
}

static PageSeries *series_of(PageStore *store, unsigned device) {
        PageSeries *series;

        for (size_t i = 0; (series = page_series_at(page_store_series(store), i)); i++)
                if (strtoul(series->key.device, NULL, 10) == device)
                        return series;
        return NULL;
}

/* Ids that change all the time: those that were silent for a month make room, but a device of years does not. */
static void test_room_for_new_series(void **state) {
        PageQuery query = { .n = 1, .from = NOW - 400 * DAY, .to = NOW + 3 * DAY, .points = 2000 };
        PageStore *store = open_store(*state, 0);
        PageValues values;
        int64_t last;

        add_of(store, 0, NOW - 300 * DAY);
        add_of(store, 0, NOW - 60 * DAY);
        for (unsigned i = 1; i < PAGE_SERIES_MAX - 1; i++)
                add_of(store, i, NOW - (i < 10 ? 40 : 30) * DAY);
        add_of(store, PAGE_SERIES_MAX - 1, NOW);
        assert_int_equal(page_store_save(store), 0);
        assert_null(series_of(store, 1));
        for (unsigned i = 0; i < 20; i++) { /* nine are old and short */
                add_of(store, PAGE_SERIES_MAX + i, NOW + i * MINUTE);
                assert_int_equal(page_store_save(store), 0);
        }
        assert_int_equal(page_store_lost(store), 10);
        assert_non_null(series_of(store, PAGE_SERIES_MAX + 9));
        page_store_free(store);
        store = open_store(*state, 0);
        assert_null(series_of(store, 9));
        assert_non_null(series_of(store, 10));
        last = series_of(store, PAGE_SERIES_MAX + 8)->id;
        assert_true(last > PAGE_SERIES_MAX);
        query.series[0] = last;
        assert_int_equal(page_store_values(store, &query, &values), 0);
        for (size_t i = last = 0; i < values.n; i++)
                last += values.buckets[i].count;
        assert_int_equal(last, 1);
        page_store_values_done(&values);
        page_store_free(store);
}

/* A disk that refuses takes no series away. */
static void test_no_room_while_the_disk_refuses(void **state) {
        static const struct rlimit small = { 1, RLIM_INFINITY }, large = { RLIM_INFINITY, RLIM_INFINITY };
        PageStore *store = open_store(*state, 0);

        for (unsigned i = 0; i < PAGE_SERIES_MAX; i++)
                add_of(store, i, NOW - (i == 0 ? 0 : 40) * DAY);
        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        assert_true(page_store_save(store) < 0);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &large), 0);
        assert_non_null(series_of(store, 1));
        add_of(store, 1, NOW);
        assert_int_equal(page_store_save(store), 0);
        assert_non_null(series_of(store, 1));
        assert_null(series_of(store, 2));
        page_store_free(store);
}

static void test_many_minutes(void **state) {
        PageStore *store = open_store(*state, 0);

        for (int64_t i = 0; i < 70000; i++)
                add(store, &(Value){ 0, NOW - i * MINUTE, 1 });
        assert_true(page_store_is_full(store));
        assert_int_equal(page_store_lost(store), 70000 - 65536);
        assert_int_equal(page_store_save(store), 0);
        assert_false(page_store_is_full(store));
        assert_int_equal(count_of(store, NOW - 60 * DAY, NOW + MINUTE), 65536);
        page_store_free(store);
}

/* A backlog: more at once than the memory holds. */
static void test_more_than_memory_at_once(void **state) {
        PageJob job = { .kind = PAGE_JOB_TAKE };
        Bytes text = {};
        PageThread *thread;
        PageStore *store;

        for (int64_t minute = 0; minute < 1200; minute++) {
                text.size = 0;
                assert_int_equal(bytes_append_text(&text, "{\"source\":\"s\",\"id\":\"d\""), 0);
                for (unsigned i = 0; i < 60; i++)
                        assert_int_equal(bytes_append_format(&text, ",\"n%u\":1", i), 0);
                assert_int_equal(bytes_append_text(&text, "}"), 0);
                assert_int_equal(page_queue_put(&job.queue, &(SinkPast){ .text = { text.data, text.size },
                                                                    .published = NOW + minute * MINUTE }),
                        0);
        }
        assert_int_equal(page_thread_new(*state, &thread), 0);
        page_thread_do(thread, &job);
        job.kind = PAGE_JOB_CLOSE;
        page_thread_do(thread, &job);
        page_thread_free(thread);
        store = open_store(*state, 0);
        assert_int_equal(count_of(store, NOW, NOW + 1200 * MINUTE), 1200);
        page_store_free(store);
        bytes_done(&job.queue);
        bytes_done(&text);
}

static void test_unknown_series(void **state) {
        PageStore *store = open_store(*state, 0);
        PageQuery query = { .series = { 1 }, .n = 1, .from = 0, .to = NOW, .points = 600 };
        PageValues values;

        assert_int_equal(page_store_values(store, &query, &values), -ENOENT);
        query.series[0] = 4294967295;
        assert_int_equal(page_store_values(store, &query, &values), -ENOENT);
        page_store_free(store);
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
        const struct CMUnitTest tests[] = {
                EACH(test_any_order),
                EACH(test_year_by_year),
                EACH(test_few_among_many),
                EACH(test_pruning),
                EACH(test_kill),
                EACH(test_odd_rows),
                EACH(test_damage_at_the_start),
                EACH(test_damage_later),
                EACH(test_damage_and_no_room),
                EACH(test_sums_that_are_no_numbers),
                EACH(test_newer),
                EACH(test_no_directory),
                EACH(test_past),
                EACH(test_many_series),
                EACH(test_room_for_new_series),
                EACH(test_no_room_while_the_disk_refuses),
                EACH(test_many_minutes),
                EACH(test_more_than_memory_at_once),
                EACH(test_unknown_series),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
