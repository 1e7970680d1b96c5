/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/reading.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/array.h"
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

int reading_list_add(ReadingList *list, Bytes *payload, const char *source, const char *type, const char *device,
        const char *request_at, uint64_t random) {
        Reading reading = {};
        int r;

        r = array_reserve(&list->items, &list->allocated, list->n + 1, sizeof(Reading));
        if (r < 0)
                return r;

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

int reading_list_move(ReadingList *to, ReadingList *from) {
        int r;

        if (from->n == 0)
                return 0;
        if (to->n == 0) {
                reading_list_done(to);
                *to = reading_list_steal(from);
                return 0;
        }
        r = array_reserve(&to->items, &to->allocated, to->n + from->n, sizeof(Reading));
        if (r < 0)
                return r;
        memcpy(to->items + to->n, from->items, from->n * sizeof(Reading));
        to->n += from->n;
        from->n = 0; /* their owner is *to* now */
        reading_list_done(from);
        return 0;
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
