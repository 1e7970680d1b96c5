/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-sql.h"

static int counts_measure(Sql *sql, int64_t first, int64_t last, OutboxCount *ret) {
        int64_t size[2];
        int r = sql_ints(sql, "SELECT count(*), total(size) FROM readings WHERE id BETWEEN ?1 AND ?2",
                SQL_VALUES(SQL_INT(first), SQL_INT(last)), 2, size);

        if (r == 0)
                *ret = (OutboxCount){ (uint64_t) size[0], (uint64_t) size[1] };
        return r;
}

int outbox_counts_load(OutboxCounts *c, Sql *sql) {
        int64_t waiting[3], rejected[2];
        OutboxCount above = {};
        int r;

        r = sql_ints(sql, "SELECT n, bytes, upto FROM counts WHERE name = 'readings' AND upto <= " OUTBOX_SQL_LAST_ID,
                NULL, 3, waiting);
        if (r == 0)
                r = sql_ints(sql, "SELECT n, bytes FROM counts WHERE name = 'rejected'", NULL, 2, rejected);
        if (r == 0)
                r = counts_measure(sql, waiting[2] + 1, INT64_MAX, &above);
        if (r < 0)
                return r;
        *c = (OutboxCounts){
                .waiting = { (uint64_t) waiting[0] + above.rows, (uint64_t) waiting[1] + above.bytes },
                .rejected = { (uint64_t) rejected[0], (uint64_t) rejected[1] },
                .uncounted = above.rows,
                .upto = waiting[2],
        };
        return 0;
}

int outbox_counts_put(OutboxCounts *c, Sql *sql, const OutboxCount *put, int64_t last) {
        c->waiting.rows += put->rows;
        c->waiting.bytes += put->bytes;
        c->uncounted += put->rows;
        if (c->uncounted <= OUTBOX_SQL_UNCOUNTED_MAX)
                return 0;
        c->uncounted = 0;
        c->upto = last;
        return sql_do(sql, "UPDATE counts SET n = ?1, bytes = ?2, upto = ?3 WHERE name = 'readings'",
                SQL_VALUES(SQL_INT(c->waiting.rows), SQL_INT(c->waiting.bytes), SQL_INT(last)));
}

/* Changes the stored counts by these numbers, which may be negative. */
static int counts_add(Sql *sql, const char *name, int64_t rows, int64_t bytes) {
        return sql_do(sql, "UPDATE counts SET n = n + ?1, bytes = bytes + ?2 WHERE name = ?3",
                SQL_VALUES(SQL_INT(rows), SQL_INT(bytes), SQL_TEXT(name)));
}

/* Deletes a range of ids that is completely below or completely above *upto*. */
static int forget_range(OutboxCounts *c, Sql *sql, int64_t first, int64_t last) {
        OutboxCount size = {};
        int r;

        r = counts_measure(sql, first, last, &size);
        if (r < 0 || size.rows == 0)
                return r;
        r = sql_do(sql, "DELETE FROM readings WHERE id BETWEEN ?1 AND ?2", SQL_VALUES(SQL_INT(first), SQL_INT(last)));
        if (r < 0)
                return r;
        c->waiting.rows -= size.rows;
        c->waiting.bytes -= size.bytes;
        if (first <= c->upto)
                return counts_add(sql, "readings", -(int64_t) size.rows, -(int64_t) size.bytes);
        c->uncounted -= size.rows;
        return 0;
}

int outbox_counts_forget(OutboxCounts *c, Sql *sql, int64_t first, int64_t last) {
        int r;

        if (first > c->upto || last <= c->upto)
                return forget_range(c, sql, first, last);
        r = forget_range(c, sql, first, c->upto);
        return r < 0 ? r : forget_range(c, sql, c->upto + 1, last);
}

int outbox_counts_reject(OutboxCounts *c, Sql *sql, int64_t id) {
        OutboxCount size = {};
        int r;

        r = counts_measure(sql, id, id, &size);
        if (r < 0 || size.rows == 0)
                return r < 0 ? r : OUTBOX_COUNTS_NO_ROW;
        c->rejected.rows += size.rows;
        c->rejected.bytes += size.bytes;
        return counts_add(sql, "rejected", (int64_t) size.rows, (int64_t) size.bytes);
}
