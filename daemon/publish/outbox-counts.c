/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-sql.h"

enum { WAITING, REJECTED, SET, ADD, RANGE_SIZE, RANGE_DELETE };

static const char *const statements[] = {
        [WAITING] = ("SELECT n, bytes, upto FROM counts WHERE name = 'readings' AND upto <= " OUTBOX_SQL_LAST_ID),
        [REJECTED] = "SELECT n, bytes FROM counts WHERE name = 'rejected'",
        [SET] = "UPDATE counts SET n = ?1, bytes = ?2, upto = ?3 WHERE name = 'readings'",
        [ADD] = "UPDATE counts SET n = n + ?1, bytes = bytes + ?2 WHERE name = ?3",
        [RANGE_SIZE] = "SELECT count(*), total(size) FROM readings WHERE id BETWEEN ?1 AND ?2",
        [RANGE_DELETE] = "DELETE FROM readings WHERE id BETWEEN ?1 AND ?2",
};
_Static_assert(ELEMENTSOF(statements) == ELEMENTSOF(((OutboxCounts *) 0)->statements), "room for each");

int outbox_counts_open(OutboxCounts *c, Sql *sql) {
        return outbox_sql_prepare(sql, statements, ELEMENTSOF(statements), c->statements);
}

void outbox_counts_close(OutboxCounts *c) {
        sql_finalize_all(c->statements, ELEMENTSOF(c->statements));
}

/* Runs a statement that returns rows and bytes, and perhaps an id. -EUCLEAN: it returns nothing. */
static int counts_read(OutboxCounts *c, int statement, OutboxCount *ret, int64_t *ret_upto) {
        SqlStatement *s = c->statements[statement];
        int r = sql_step(s);

        if (r == SQL_ROW) {
                *ret = (OutboxCount){ (uint64_t) sql_column_int(s, 0), (uint64_t) sql_column_int(s, 1) };
                if (ret_upto)
                        *ret_upto = sql_column_int(s, 2);
        }
        sql_reset(s);
        return r == SQL_ROW ? 0 : r == SQL_DONE ? -EUCLEAN : r;
}

static int counts_measure(OutboxCounts *c, int64_t first, int64_t last, OutboxCount *ret) {
        sql_bind(c->statements[RANGE_SIZE], SQL_VALUES(SQL_INT(first), SQL_INT(last)));
        return counts_read(c, RANGE_SIZE, ret, NULL);
}

int outbox_counts_load(OutboxCounts *c) {
        OutboxCount waiting, rejected, above;
        int64_t upto;
        int r;

        r = counts_read(c, WAITING, &waiting, &upto);
        if (r == 0)
                r = counts_read(c, REJECTED, &rejected, NULL);
        if (r == 0)
                r = counts_measure(c, upto + 1, INT64_MAX, &above);
        if (r < 0)
                return r;
        c->waiting = (OutboxCount){ waiting.rows + above.rows, waiting.bytes + above.bytes };
        c->rejected = rejected;
        c->uncounted = above.rows;
        c->upto = upto;
        return 0;
}

int outbox_counts_put(OutboxCounts *c, uint64_t rows, uint64_t bytes, int64_t last) {
        c->waiting.rows += rows;
        c->waiting.bytes += bytes;
        c->uncounted += rows;
        if (c->uncounted <= OUTBOX_SQL_UNCOUNTED_MAX)
                return 0;
        c->uncounted = 0;
        c->upto = last;
        return sql_run_with(
                c->statements[SET], SQL_VALUES(SQL_INT(c->waiting.rows), SQL_INT(c->waiting.bytes), SQL_INT(last)));
}

/* Changes the stored counts by these numbers, which may be negative. */
static int counts_add(OutboxCounts *c, const char *name, int64_t rows, int64_t bytes) {
        return sql_run_with(c->statements[ADD], SQL_VALUES(SQL_INT(rows), SQL_INT(bytes), SQL_TEXT(name)));
}

/* Deletes a range of ids that is completely below or completely above *upto*. */
static int forget_range(OutboxCounts *c, int64_t first, int64_t last) {
        OutboxCount size;
        int r;

        r = counts_measure(c, first, last, &size);
        if (r < 0 || size.rows == 0)
                return r;
        r = sql_run_with(c->statements[RANGE_DELETE], SQL_VALUES(SQL_INT(first), SQL_INT(last)));
        if (r < 0)
                return r;
        c->waiting.rows -= size.rows;
        c->waiting.bytes -= size.bytes;
        if (first <= c->upto)
                return counts_add(c, "readings", -(int64_t) size.rows, -(int64_t) size.bytes);
        c->uncounted -= size.rows;
        return 0;
}

int outbox_counts_forget(OutboxCounts *c, int64_t first, int64_t last) {
        int r;

        if (first > c->upto || last <= c->upto)
                return forget_range(c, first, last);
        r = forget_range(c, first, c->upto);
        return r < 0 ? r : forget_range(c, c->upto + 1, last);
}

int outbox_counts_reject(OutboxCounts *c, int64_t id) {
        OutboxCount size;
        int r;

        r = counts_measure(c, id, id, &size);
        if (r < 0 || size.rows == 0)
                return r < 0 ? r : OUTBOX_COUNTS_NO_ROW;
        c->rejected.rows += size.rows;
        c->rejected.bytes += size.bytes;
        return counts_add(c, "rejected", (int64_t) size.rows, (int64_t) size.bytes);
}
