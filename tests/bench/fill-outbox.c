/* SPDX-License-Identifier: Apache-2.0 */
/* fill-outbox DIRECTORY COUNT: puts COUNT readings into the outbox in DIRECTORY, as polls of a thousand devices each would. */

#include "lib/bytes.h"
#include "publish/outbox.h"
#include "readings.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
                r = reading_list_add(list, &(ReadingOrigin){ .source = "home", .type = "nature_remo", .device = device, .at = "2026-01-15T08:13:00.123Z", .unique = number }, &payload);
        if (r < 0)
                errx(EXIT_FAILURE, "reading_list_add: %s", strerror(-r));
        bytes_done(&payload);
        buffer_done(&text);
}

int main(int argc, char **argv) {
        OutboxConfig caps = { .max_rows = 10000000, .max_bytes = 64ULL << 30 };
        uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
        OutboxSalvage salvage;
        Outbox *outbox = NULL;
        int r;

        if (count == 0)
                errx(64, "usage: fill-outbox DIRECTORY COUNT");
        r = outbox_open(argv[1], &caps, &outbox, &salvage);
        if (r != OUTBOX_OK)
                errx(EXIT_FAILURE, "outbox_open: %d", r);
        for (uint64_t put = 0; put < count;) {
                ReadingList list = {};

                for (unsigned i = 0; i < POLL_MAX && put < count; i++)
                        add(&list, put++);
                r = outbox_put(outbox, &list, NULL);
                if (r != OUTBOX_OK)
                        errx(EXIT_FAILURE, "outbox_put: %d", r);
                reading_list_done(&list);
        }
        (void) outbox_close(outbox);
        return EXIT_SUCCESS;
}
