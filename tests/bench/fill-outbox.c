/* SPDX-License-Identifier: Apache-2.0 */
/* fill-outbox DIRECTORY COUNT: puts COUNT readings into the outbox in DIRECTORY, as polls of a thousand devices each
 * would.
 *
 * fill-outbox DIRECTORY COUNT DEVICES: as polls of that many devices, each of which Pub/Sub has at once, and prints
 * what it cost. */

#include "lib/bytes.h"
#include "../outbox-rows.h"
#include "readings.h"
#include "written.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_MAX 1000

static void add(ReadingList *list, uint64_t number) {
        char device[READINGS_DEVICE_SIZE + 1];
        Buffer text = {};
        Bytes payload = {};
        int r;

        reading_device((unsigned) (number % POLL_MAX), device);
        reading_append(&text, (unsigned) (number % POLL_MAX));
        r = bytes_append(&payload, text.data, text.size);
        if (r == 0)
                r = reading_list_add(list,
                        &(ReadingOrigin){ .source = "home",
                                .type = "nature_remo",
                                .device = device,
                                .at = "2026-01-15T08:13:00.123Z",
                                .unique = number },
                        &payload);
        if (r < 0)
                errx(EXIT_FAILURE, "reading_list_add: %s", strerror(-r));
        bytes_done(&payload);
        buffer_done(&text);
}

static void put(Outbox *outbox, uint64_t first, uint64_t n) {
        ReadingList list = {};
        int r;

        for (uint64_t i = 0; i < n; i++)
                add(&list, first + i);
        r = outbox_put(outbox, &list, NULL);
        if (r != OUTBOX_OK)
                errx(EXIT_FAILURE, "outbox_put: %d", r);
        reading_list_done(&list);
}

static void forget(Outbox *outbox) {
        int64_t ids[POLL_MAX];
        OutboxRows rows;
        int r;

        r = outbox_rows_peek(outbox, 0, POLL_MAX, SIZE_MAX, &rows);
        if (r < 0)
                errx(EXIT_FAILURE, "outbox_peek: %d", r);
        for (size_t i = 0; i < rows.n; i++)
                ids[i] = rows.items[i].id;
        r = outbox_forget(outbox, ids, rows.n);
        if (r < 0)
                errx(EXIT_FAILURE, "outbox_forget: %d", r);
        outbox_rows_done(&rows);
}

static void poll_and_forget(Outbox *outbox, uint64_t count, uint64_t devices) {
        long long before = written();
        struct timespec begin, end;

        (void) clock_gettime(CLOCK_MONOTONIC, &begin);
        for (uint64_t done = 0; done < count; done += devices) {
                put(outbox, done, devices);
                forget(outbox);
        }
        (void) clock_gettime(CLOCK_MONOTONIC, &end);
        (void) printf("{\"bytes\": %lld, \"seconds\": %.6f}\n", written() - before,
                (double) (end.tv_sec - begin.tv_sec) + (double) (end.tv_nsec - begin.tv_nsec) / 1e9);
}

int main(int argc, char **argv) {
        OutboxConfig caps = { .max_rows = 10000000, .max_bytes = 64ULL << 30 };
        uint64_t count = argc >= 3 ? strtoull(argv[2], NULL, 10) : 0,
                 devices = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
        OutboxSalvage salvage;
        Outbox *outbox = NULL;
        int r;

        if (count == 0 || argc > 4 || devices > POLL_MAX || (argc == 4 && devices == 0))
                errx(64, "usage: fill-outbox DIRECTORY COUNT [DEVICES]");
        r = outbox_open(argv[1], &caps, &outbox, &salvage);
        if (r != OUTBOX_OK)
                errx(EXIT_FAILURE, "outbox_open: %d", r);
        if (devices > 0)
                poll_and_forget(outbox, count, devices);
        else
                for (uint64_t done = 0; done < count; done += POLL_MAX)
                        put(outbox, done, count - done < POLL_MAX ? count - done : POLL_MAX);
        (void) outbox_close(outbox);
        return EXIT_SUCCESS;
}
