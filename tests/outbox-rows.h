/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Rows of the outbox, copied. */

#include <stdlib.h>
#include <string.h>

#include "publish/outbox.h"

#define OUTBOX_ROWS_MAX 1000

typedef struct OutboxRows {
        OutboxRow items[OUTBOX_ROWS_MAX];
        char *texts[OUTBOX_ROWS_MAX]; /* the memory of their slices */
        size_t n, bytes, max_bytes;
} OutboxRows;

static inline void outbox_rows_done(OutboxRows *rows) {
        while (rows->n > 0)
                free(rows->texts[--rows->n]);
        rows->bytes = 0;
}

static inline bool outbox_rows_take(void *userdata, const OutboxRow *row) {
        OutboxRows *rows = userdata;
        OutboxRow *copy = &rows->items[rows->n];
        Slice *const parts[] = { &copy->payload, &copy->key, &copy->source, &copy->type, &copy->device, &copy->labels };
        size_t total = 0;
        char *text;

        if (!row) {
                outbox_rows_done(rows);
                return true;
        }
        rows->bytes += row->payload.size;
        if (rows->n == OUTBOX_ROWS_MAX || (rows->n > 0 && rows->bytes > rows->max_bytes))
                return false;
        *copy = *row;
        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                total += parts[i]->size;
        text = rows->texts[rows->n] = malloc(total + 1);
        if (!text)
                abort();
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                if (parts[i]->size > 0)
                        memcpy(text, parts[i]->data, parts[i]->size);
                parts[i]->data = text;
                text += parts[i]->size;
        }
        rows->n++;
        return rows->bytes <= rows->max_bytes;
}

/* Up to *max_rows* rows and about *max_bytes* of payload (at least one row) with ids above *after*, oldest first. */
static inline int outbox_rows_peek(Outbox *outbox, int64_t after, size_t max_rows, size_t max_bytes, OutboxRows *rows) {
        int r;

        rows->n = rows->bytes = 0;
        rows->max_bytes = max_bytes;
        r = outbox_peek(outbox, after, max_rows, outbox_rows_take, rows);
        if (r < 0)
                outbox_rows_done(rows);
        return r;
}
