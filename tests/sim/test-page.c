/* SPDX-License-Identifier: Apache-2.0 */
/* The charts' file through kills, power cuts and disks that refuse: what is lost was not saved yet, or saved so shortly
 * before a power cut that the kernel had not written it (half a minute); the rest is there once, and the file is never
 * damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "disk.h"
#include "page-store.h"

#define ROOT "/disk"
#define SEEDS 400
#define STEPS 60
#define MINUTE INT64_C(60000)
#define DAY (24 * 60 * MINUTE)
#define BEGIN (20000 * DAY) /* 2024-10-04 */

typedef struct World {
        Disk *disk;
        PageStore *store;
        uint64_t chance;
        int64_t now;               /* of what is measured */
        uint64_t saved[STEPS + 2]; /* values in the file after each save that may be all there is after a cut */
        size_t n_saved;
        uint64_t unsaved;
        unsigned calls, end_at; /* the life ends at that call; 0: it does not */
        bool cut;
        uint64_t deaths, inside, found_saved; /* for the test of the test */
} World;

/* SplitMix64 */
static uint64_t draw(World *w, uint64_t below) {
        uint64_t z = (w->chance += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (z ^ (z >> 31)) % below;
}

static void on_call(void *userdata, DiskCall call, const char *path, bool done) {
        World *w = userdata;

        if (done || ++w->calls != w->end_at)
                return;
        if (w->cut)
                disk_cut(w->disk);
        else
                disk_kill(w->disk);
}

/* All values of the one series, wherever they stand by now. */
static uint64_t count(World *w) {
        PageQuery query = {
                .series = { 1 }, .n = 1, .from = BEGIN - 100 * DAY, .to = BEGIN + 400 * DAY, .points = 1000
        };
        PageValues values = {};
        uint64_t n = 0;
        double total = 0;
        int r;

        r = page_store_values(w->store, &query, &values);
        if (r == -ENOENT)
                return 0;
        assert_int_equal(r, PAGE_STORE_OK);
        for (size_t i = 0; i < values.n; i++) {
                n += values.buckets[i].count;
                total += values.buckets[i].total;
                assert_true(
                        values.buckets[i].count == 0 || (values.buckets[i].low >= 1 && values.buckets[i].high <= 1));
        }
        assert_true(total > (double) n - 0.5 && total < (double) n + 0.5);
        page_store_values_done(&values);
        return n;
}

static void begin(World *w) {
        disk_mount(w->disk);
        w->calls = w->end_at = 0;
        assert_int_equal(page_store_open(ROOT, clock_now(), &w->store), PAGE_STORE_OK);
}

static void add(World *w) {
        PageFound found = { .source = "s", .device = "d", .name = "d", .n = 1, .numbers = { { 0, 1, 0 } } };
        int64_t late = draw(w, 10) == 0 ? (int64_t) draw(w, 40) * DAY : 0;

        w->now += draw(w, 12) == 0 ? (int64_t) draw(w, 3) * DAY : (int64_t) draw(w, 10) * MINUTE;
        found.time = w->now - late;
        assert_int_equal(bytes_append_text(&found.labels, "{}"), 0);
        assert_int_equal(bytes_append(&found.fields, "/v", sizeof("/v")), 0);
        assert_int_equal(page_store_add(w->store, &found), PAGE_STORE_OK);
        w->unsaved++;
        page_numbers_done(&found);
}

static uint64_t last_saved(const World *w) {
        return w->saved[w->n_saved - 1];
}

static void note_saved(World *w, uint64_t n) {
        if (n != last_saved(w))
                w->saved[w->n_saved++] = n;
        w->unsaved = 0;
}

static void note_settled(World *w) {
        w->saved[0] = last_saved(w);
        w->n_saved = 1;
}

/* What stands there afterwards. *inside*: it came while it was saved. */
static void die(World *w, bool inside) {
        size_t first = w->cut ? 0 : w->n_saved - 1;
        uint64_t n;
        bool known = false;

        w->store = page_store_free(w->store);
        begin(w);
        n = count(w);
        for (size_t i = first; i < w->n_saved; i++)
                known = known || n == w->saved[i];
        known = known || (inside && n == last_saved(w) + w->unsaved);
        if (!known)
                fail_msg("%llu values, of %llu that were saved and %llu that were not", (unsigned long long) n,
                        (unsigned long long) last_saved(w), (unsigned long long) w->unsaved);
        w->found_saved += n > 0;
        w->deaths++;
        w->inside += inside;
        note_saved(w, n);
        if (w->cut)
                note_settled(w); /* it was read from what the cut left */
}

static void save(World *w) {
        int r;

        if (draw(w, 3) == 0) {
                w->cut = draw(w, 2) == 0;
                w->calls = 0;
                w->end_at = 1 + (unsigned) draw(w, 12);
        }
        r = page_store_save(w->store);
        w->end_at = 0;
        if (disk_is_dead(w->disk))
                return die(w, true);
        assert_int_equal(r, PAGE_STORE_OK);
        note_saved(w, last_saved(w) + w->unsaved);
        assert_int_equal(count(w), last_saved(w));
        if (draw(w, 4) == 0)
                return; /* the next power cut may take it */
        disk_settle(w->disk);
        note_settled(w);
}

/* The disk refuses for a while: nothing is lost, nothing is damaged, and who looks gets what there is. */
static void refuse(World *w) {
        const DiskFaults faults[] = {
                { .size = disk_used(w->disk), .writes_back = 100000 },
                { .size = DISK_SIZE_MAX, .write_error = 500000, .writes_back = 100000 },
                { .size = DISK_SIZE_MAX, .sync_error = 1000000, .writes_back = 100000 },
                { .size = DISK_SIZE_MAX, .read_only = true, .writes_back = 100000 },
        };
        const DiskFaults *chosen = &faults[draw(w, 4)];
        uint64_t all = last_saved(w) + w->unsaved;

        disk_set_faults(w->disk, chosen);
        for (int i = 0; i < 3; i++) {
                int r = page_store_save(w->store);

                assert_true(r == PAGE_STORE_OK || r == -ENOSPC || r == -EIO || r == -EROFS);
                assert_int_equal(count(w), all);
        }
        disk_set_faults(w->disk, &DISK_FAULTS_NONE);
        assert_int_equal(page_store_save(w->store), PAGE_STORE_OK);
        assert_int_equal(count(w), all);
        note_saved(w, all);
        disk_settle(w->disk);
        note_settled(w);
}

static void live(World *w) {
        for (int i = 0; i < STEPS; i++) {
                uint64_t what = draw(w, 100);

                if (what < 70) {
                        add(w);
                } else if (what < 88) {
                        save(w);
                } else if (what < 96) {
                        w->cut = draw(w, 2) == 0;
                        if (w->cut)
                                disk_cut(w->disk);
                        else
                                disk_kill(w->disk);
                        die(w, false);
                } else
                        refuse(w);
        }
}

static void test_lives(void **state) {
        uint64_t deaths = 0, inside = 0, found = 0;

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                World w = { .chance = seed, .now = BEGIN, .n_saved = 1 };

                w.disk = disk_new(ROOT, seed);
                disk_set_hook(w.disk, on_call, &w);
                begin(&w);
                live(&w);
                page_store_free(w.store);
                disk_free(w.disk);
                deaths += w.deaths;
                inside += w.inside;
                found += w.found_saved;
        }
        print_message("%llu deaths, %llu of them while saving; after %llu there were values\n",
                (unsigned long long) deaths, (unsigned long long) inside, (unsigned long long) found);
        assert_true(deaths > 5 * SEEDS && inside > SEEDS && found > 2 * SEEDS);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lives),
        };

        return cmocka_run_group_tests_name("sim-page", tests, NULL, NULL);
}
