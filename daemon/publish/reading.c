/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/reading.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/err.h"

static void reading_done(Reading *reading) {
        bytes_done(&reading->payload);
        free(reading->key);
        free(reading->source);
        free(reading->type);
        free(reading->device);
        *reading = (Reading){};
}

uint64_t reading_bytes(const Reading *reading) {
        return (uint64_t) reading->payload.size + strlen(reading->key) + strlen(reading->source) +
               strlen(reading->type) + strlen(reading->device);
}

static int list_grow(ReadingList *list) {
        size_t allocated = list->allocated > 0 ? 2 * list->allocated : 8;
        Reading *items = reallocarray(list->items, allocated, sizeof(Reading));
        if (!items)
                return -ENOMEM;

        list->items = items;
        list->allocated = allocated;
        return 0;
}

int reading_list_add(ReadingList *list, Bytes *payload, const char *source, const char *type, const char *device,
        const char *request_at, uint64_t random) {
        Reading reading = {};

        if (list->n == list->allocated) {
                int r = list_grow(list);
                if (r < 0)
                        return r;
        }

        reading.source = strdup(source);
        reading.type = strdup(type);
        reading.device = strdup(device);
        if (asprintf(&reading.key, "%s:%s:%s:%016" PRIx64, source, device, request_at, random) < 0)
                reading.key = NULL; /* asprintf(3) leaves it undefined */
        if (!reading.source || !reading.type || !reading.device || !reading.key) {
                reading_done(&reading);
                return -ENOMEM;
        }

        reading.payload = bytes_steal(payload);
        list->items[list->n++] = reading;
        return 0;
}

uint64_t reading_list_bytes(const ReadingList *list) {
        uint64_t bytes = 0;
        for (size_t i = 0; i < list->n; i++)
                bytes += reading_bytes(&list->items[i]);
        return bytes;
}

void reading_list_truncate(ReadingList *list, size_t n) {
        while (list->n > n)
                reading_done(&list->items[--list->n]);
}

void reading_list_done(ReadingList *list) {
        reading_list_truncate(list, 0);
        free(list->items);
        *list = (ReadingList){};
}

ReadingList reading_list_steal(ReadingList *list) {
        ReadingList stolen = *list;
        *list = (ReadingList){};
        return stolen;
}
