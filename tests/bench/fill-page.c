/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a page.sqlite and measures it. Each prints a line of JSON.
 *
 * fill-page DIRECTORY MESSAGES: as a daemon would have it after so many messages of six numbers over two years, the
 * last one now.
 *
 * fill-page DIRECTORY ask DAYS: what CPU time a chart of so many days takes, of the first six series.
 *
 * fill-page DIRECTORY devices N: the same of so many devices with four numbers, all of them of now.
 *
 * fill-page DIRECTORY hours N: what twenty series at 60 s write to the disk in so many hours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/gzip.h"
#include "page-render.h"
#include "page-store.h"
#include "written.h"

#define MINUTE INT64_C(60000)
#define YEARS (INT64_C(2) * 365 * 24 * 60 * MINUTE)
#define STEP 2000 /* messages of a save */

static void check(int r, const char *what) {
        if (r == 0)
                return;
        fprintf(stderr, "%s: %d\n", what, r);
        exit(EXIT_FAILURE);
}

static void add(PageStore *store, const char *device, int numbers, int64_t time) {
        PageFound found = { .source = "bench", .time = time };

        snprintf(found.device, sizeof(found.device), "%s", device);
        check(bytes_append_text(&found.labels, "{}"), "labels");
        for (int i = 0; i < numbers; i++) {
                char field[32];
                int size = snprintf(field, sizeof(field), "/values/field%d", i);

                found.numbers[found.n++] = (PageNumber){ found.fields.size, 20 + (double) (rand() % 1000) / 100 };
                check(bytes_append(&found.fields, field, (size_t) size + 1), "fields");
        }
        check(page_store_add(store, &found), "page_store_add");
        page_numbers_done(&found);
}

static void fill(PageStore *store, long messages) {
        int64_t end = (int64_t) (clock_wall() / USEC_PER_MSEC), step = YEARS / messages;
        usec_t began = clock_now();

        for (long i = 0; i < messages; i++) {
                add(store, "one", 6, end - (messages - 1 - i) * step);
                if (i % STEP == STEP - 1)
                        check(page_store_save(store), "page_store_save");
        }
        check(page_store_save(store), "page_store_save");
        printf("{\"seconds\": %.3f, \"lost\": %llu}\n", (double) (clock_now() - began) / USEC_PER_SEC,
                (unsigned long long) page_store_lost(store));
}

static void devices(PageStore *store, long n) {
        int64_t now = (int64_t) (clock_wall() / USEC_PER_MSEC);
        char name[32];

        for (long i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "device-%04ld", i);
                add(store, name, 4, now);
        }
        check(page_store_save(store), "page_store_save");
        printf("{\"devices\": %ld}\n", n);
}

/* Eight days first: the same is dropped as comes. */
static void hours(PageStore *store, long n) {
        int64_t at = 1795840000000;
        long warm = 8 * 24;
        long long before = 0;

        for (long hour = 0; hour < warm + n; hour++) {
                if (hour == warm)
                        before = written();
                for (int minute = 0; minute < 60; minute++, at += MINUTE) {
                        for (int device = 0; device < 5; device++) {
                                char name[16];

                                snprintf(name, sizeof(name), "device%d", device);
                                add(store, name, 4, at + device * 1000);
                        }
                        if (minute % 5 == 4) {
                                check(page_store_save(store), "page_store_save");
                                sync(); /* as the kernel does within half a minute */
                        }
                }
        }
        printf("{\"bytes_an_hour\": %lld}\n", (written() - before) / n);
}

static double cpu_msec(void) {
        struct timespec now;

        (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

static void ask(PageStore *store, long days) {
        PageQuery query = { .series = { 1, 2, 3, 4, 5, 6 }, .n = 6, .points = PAGE_QUERY_POINTS };
        double began, read, rendered, packed;
        PageValues values = {};
        Bytes json = {}, gzip = {};

        query.to = (int64_t) (clock_wall() / USEC_PER_MSEC);
        query.from = query.to - days * 24 * 60 * MINUTE;
        began = cpu_msec();
        check(page_store_values(store, &query, &values), "page_store_values");
        read = cpu_msec();
        check(page_render_values(&query, &values, &json), "page_render_values");
        rendered = cpu_msec();
        check(gzip_make((Slice){ json.data, json.size }, &gzip), "gzip_make");
        packed = cpu_msec();
        printf("{\"read\": %.2f, \"render\": %.2f, \"gzip\": %.2f, \"json\": %zu, \"bytes\": %zu}\n", read - began,
                rendered - read, packed - rendered, json.size, gzip.size);
        page_store_values_done(&values);
        bytes_done(&gzip);
        bytes_done(&json);
}

int main(int argc, char **argv) {
        PageStore *store;

        if (argc < 3)
                return EXIT_FAILURE;
        check(page_store_open(argv[1], clock_now(), &store), "page_store_open");
        if (argc > 3 && strcmp(argv[2], "ask") == 0)
                ask(store, atol(argv[3]));
        else if (argc > 3 && strcmp(argv[2], "devices") == 0)
                devices(store, atol(argv[3]));
        else if (argc > 3)
                hours(store, atol(argv[3]));
        else
                fill(store, atol(argv[2]));
        page_store_free(store);
        return EXIT_SUCCESS;
}
