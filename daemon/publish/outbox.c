/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/crashpoint.h"
#include "lib/err.h"
#include "publish/outbox-file.h"
#include "publish/outbox-internal.h"

/* ---- room and status ---- */

static bool outbox_fits(const Outbox *outbox, uint64_t rows, uint64_t bytes) {
        for (size_t i = 0; i < ELEMENTSOF(outbox->counts); i++)
                if (__builtin_add_overflow(rows, outbox->counts[i].rows, &rows) ||
                        __builtin_add_overflow(bytes, outbox->counts[i].bytes, &bytes))
                        return false;
        return rows <= outbox->caps.max_rows && bytes <= outbox->caps.max_bytes;
}

bool outbox_has_room(Outbox *outbox, uint64_t rows, uint64_t bytes) {
        if (outbox->sql)
                (void) outbox_refresh(
                        outbox); /* when it fails, the counters as last known; mending is for those who need the rows */
        return outbox_fits(outbox, rows, bytes);
}

static void outbox_look_at_oldest(Outbox *outbox) {
        int r = outbox_step(outbox, OUTBOX_OLDEST);

        if (r < 0)
                return;
        outbox->oldest = r == SQL_ROW ? (usec_t) sql_column_int(outbox->statements[OUTBOX_OLDEST], 0) : 0;
        sql_reset(outbox->statements[OUTBOX_OLDEST]);
}

void outbox_status(Outbox *outbox, OutboxStatus *ret) {
        if (outbox->sql && outbox_refresh(outbox) == 0)
                outbox_look_at_oldest(outbox);
        *ret = (OutboxStatus){
                .rows = outbox->counts[OUTBOX_READINGS].rows,
                .bytes = outbox->counts[OUTBOX_READINGS].bytes,
                .rejected_rows = outbox->counts[OUTBOX_REJECTED].rows,
                .rejected_bytes = outbox->counts[OUTBOX_REJECTED].bytes,
                .max_rows = outbox->caps.max_rows,
                .max_bytes = outbox->caps.max_bytes,
                .oldest = outbox->oldest,
        };
}

/* ---- put, peek, forget, reject ---- */

static int outbox_insert(Outbox *outbox, const Reading *reading, usec_t put_at) {
        SqlStatement *s = outbox->statements[OUTBOX_INSERT];
        int r;

        r = sql_bind_int(s, 1, (int64_t) reading_bytes(reading));
        if (r == 0)
                r = sql_bind_int(s, 2, (int64_t) put_at);
        if (r == 0)
                r = sql_bind_text(s, 3, reading->key, strlen(reading->key));
        if (r == 0)
                r = sql_bind_text(s, 4, reading->source, strlen(reading->source));
        if (r == 0)
                r = sql_bind_text(s, 5, reading->type, strlen(reading->type));
        if (r == 0)
                r = sql_bind_text(s, 6, reading->device, strlen(reading->device));
        if (r == 0)
                r = sql_bind_blob(s, 7, reading->payload.data ?: "", reading->payload.size);
        if (r == 0)
                r = outbox_step_once(outbox, OUTBOX_INSERT);
        return outbox_file_fault(r);
}

static int outbox_learn_last_id(Outbox *outbox) {
        SqlStatement *s = outbox->statements[OUTBOX_LAST_ID];
        int r = outbox_step(outbox, OUTBOX_LAST_ID);

        if (r != SQL_ROW)
                return r < 0 ? r : -EUCLEAN;
        outbox->last_id = sql_column_int(s, 0);
        sql_reset(s);
        return 0;
}

static int outbox_put_all(Outbox *outbox, void *arguments) {
        const ReadingList *readings = arguments;
        uint64_t bytes = reading_list_bytes(readings);
        usec_t now = clock_wall();
        int r = 0;

        for (size_t i = 0; r == 0 && i < readings->n; i++)
                r = outbox_insert(outbox, &readings->items[i], now);
        if (r == 0)
                r = outbox_learn_last_id(outbox);
        if (r == 0)
                r = outbox_count(outbox, OUTBOX_READINGS, (int64_t) readings->n, (int64_t) bytes);
        CRASHPOINT("outbox-put-before-commit");
        return r;
}

int outbox_put(Outbox *outbox, const ReadingList *readings) {
        int r;

        if (readings->n == 0)
                return OUTBOX_OK;
        r = outbox_change(outbox, outbox_put_all, (void *) readings);
        if (r == 0)
                CRASHPOINT("outbox-put-committed");
        return r;
}

typedef struct Peek {
        int64_t after;
        size_t max_rows, max_bytes;
        OutboxRows rows;
} Peek;

#define PEEK_TEXTS 5

/* The parts of a row in the order of the columns from 2 on. */
static void row_parts(OutboxRow *row, Slice *parts[static PEEK_TEXTS]) {
        parts[0] = &row->key;
        parts[1] = &row->source;
        parts[2] = &row->type;
        parts[3] = &row->device;
        parts[4] = &row->payload;
}

static int peek_row(Peek *peek, SqlStatement *statement) {
        OutboxRow *row = &peek->rows.items[peek->rows.n];
        Slice *parts[PEEK_TEXTS];

        *row = (OutboxRow){ .id = sql_column_int(statement, 0), .put_at = (usec_t) sql_column_int(statement, 1) };
        row_parts(row, parts);
        for (int i = 0; i < PEEK_TEXTS; i++) {
                Slice column = sql_column(statement, i + 2);
                int r = bytes_append(&peek->rows.text, column.data, column.size);
                if (r < 0)
                        return r;
                parts[i]->size = column.size;
        }
        peek->rows.n++;
        return 0;
}

/* The text moved while it grew: only now it is known where each part lies. */
static void peek_place(OutboxRows *rows) {
        const char *cursor = rows->text.data ?: "";

        for (size_t i = 0; i < rows->n; i++) {
                Slice *parts[PEEK_TEXTS];
                row_parts(&rows->items[i], parts);
                for (int j = 0; j < PEEK_TEXTS; j++) {
                        parts[j]->data = cursor;
                        cursor += parts[j]->size;
                }
        }
}

static int outbox_peek_rows(Outbox *outbox, void *arguments) {
        SqlStatement *statement = outbox->statements[OUTBOX_PEEK];
        Peek *peek = arguments;
        size_t payload = 0;
        int r;

        peek->rows.n = 0;
        peek->rows.text.size = 0;
        (void) sql_bind_int(statement, 1, peek->after);
        (void) sql_bind_int(statement, 2, (int64_t) peek->max_rows);
        while ((r = outbox_step(outbox, OUTBOX_PEEK)) == SQL_ROW) {
                payload += sql_column(statement, 6).size;
                if (peek->rows.n == peek->max_rows || (peek->rows.n > 0 && payload > peek->max_bytes)) {
                        r = 0;
                        break;
                }
                r = peek_row(peek, statement);
                if (r < 0)
                        break;
        }
        sql_reset(statement);
        return r;
}

int outbox_peek(Outbox *outbox, int64_t after, size_t max_rows, size_t max_bytes, OutboxRows *ret) {
        Peek peek = { .after = after, .max_rows = max_rows, .max_bytes = max_bytes };
        int r;

        assert(max_rows > 0);
        peek.rows.items = calloc(max_rows, sizeof(OutboxRow));
        if (!peek.rows.items)
                return -ENOMEM;

        r = outbox_read(outbox, outbox_peek_rows, &peek);
        if (r < 0) {
                outbox_rows_done(&peek.rows);
                return r;
        }
        peek_place(&peek.rows);
        if (peek.rows.n > 0 && peek.rows.items[peek.rows.n - 1].id > outbox->last_id)
                outbox->last_id = peek.rows.items[peek.rows.n - 1].id;
        *ret = peek.rows;
        return 0;
}

void outbox_rows_done(OutboxRows *rows) {
        bytes_done(&rows->text);
        free(rows->items);
        *rows = (OutboxRows){};
}

typedef struct Forget {
        const int64_t *ids;
        size_t n;
} Forget;

static int outbox_measure_range(Outbox *outbox, int64_t first, int64_t last, int64_t *ret_rows, int64_t *ret_bytes) {
        SqlStatement *sizes = outbox->statements[OUTBOX_RANGE_SIZE];
        int r;

        (void) sql_bind_int(sizes, 1, first);
        (void) sql_bind_int(sizes, 2, last);
        r = outbox_step(outbox, OUTBOX_RANGE_SIZE);
        if (r != SQL_ROW)
                return r < 0 ? r : -EUCLEAN;
        *ret_rows = sql_column_int(sizes, 0);
        *ret_bytes = sql_column_int(sizes, 1);
        sql_reset(sizes);
        return 0;
}

/* Deletes the rows from *first* to *last*: ids that follow each other go in one sweep. */
static int outbox_forget_range(Outbox *outbox, int64_t first, int64_t last) {
        SqlStatement *delete = outbox->statements[OUTBOX_RANGE_DELETE];
        int64_t rows, bytes;
        int r;

        r = outbox_measure_range(outbox, first, last, &rows, &bytes);
        if (r < 0)
                return r;
        (void) sql_bind_int(delete, 2, last);
        r = outbox_run(outbox, OUTBOX_RANGE_DELETE, first);
        return r < 0 ? r : outbox_count(outbox, OUTBOX_READINGS, -rows, -bytes);
}

static int outbox_forget_all(Outbox *outbox, void *arguments) {
        const Forget *forget = arguments;
        int r = 0;

        for (size_t i = 0, end; r == 0 && i < forget->n; i = end) {
                for (end = i + 1; end < forget->n && forget->ids[end] == forget->ids[end - 1] + 1; end++)
                        ;
                r = outbox_forget_range(outbox, forget->ids[i], forget->ids[end - 1]);
        }
        CRASHPOINT("outbox-forget-before-commit");
        return r;
}

int outbox_forget(Outbox *outbox, const int64_t *ids, size_t n) {
        int r;

        if (n == 0)
                return 0;
        r = outbox_change(outbox, outbox_forget_all, &(Forget){ ids, n });
        if (r == 0)
                CRASHPOINT("outbox-forget-committed");
        return r;
}

typedef struct Reject {
        int64_t id;
        const char *reason;
} Reject;

static int outbox_reject_one(Outbox *outbox, void *arguments) {
        SqlStatement *copy = outbox->statements[OUTBOX_REJECT];
        const Reject *reject = arguments;
        int64_t rows, bytes;
        int r;

        r = outbox_measure_range(outbox, reject->id, reject->id, &rows, &bytes);
        if (r < 0)
                return r;
        (void) sql_bind_int(copy, 2, (int64_t) clock_wall());
        (void) sql_bind_text(copy, 3, reject->reason, strlen(reject->reason));
        r = outbox_run(outbox, OUTBOX_REJECT, reject->id);
        if (r == 0)
                r = outbox_count(outbox, OUTBOX_REJECTED, rows, bytes);
        return r < 0 ? r : outbox_forget_range(outbox, reject->id, reject->id);
}

int outbox_reject(Outbox *outbox, int64_t id, const char *reason) {
        return outbox_change(outbox, outbox_reject_one, &(Reject){ id, reason });
}
