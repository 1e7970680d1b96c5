/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* An outbox in a directory of its own, for its tests. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sql.h"
#include "../outbox-rows.h"

typedef struct OutboxFixture {
        char directory[64];
        char file[128];
        Outbox *outbox;
} OutboxFixture;

static const OutboxConfig fixture_caps = { .max_rows = 1000000, .max_bytes = 256 * 1024 * 1024 };

static inline int fixture_setup(void **state) {
        OutboxFixture *f = calloc(1, sizeof(OutboxFixture));

        assert_non_null(f);
        (void) snprintf(f->directory, sizeof(f->directory), "/tmp/test-outbox.XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        (void) snprintf(f->file, sizeof(f->file), "%s/" OUTBOX_FILE, f->directory);
        *state = f;
        return 0;
}

static inline int fixture_teardown(void **state) {
        OutboxFixture *f = *state;
        char command[256];

        outbox_close(f->outbox);
        (void) snprintf(command, sizeof(command), "umount -lq %s 2>/dev/null; rm -rf %s", f->directory, f->directory);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

static inline int fixture_reopen(OutboxFixture *f) {
        f->outbox = outbox_close(f->outbox);
        return outbox_open(f->directory, &fixture_caps, &f->outbox, NULL);
}

/* Appends a reading of device d*number*; *seen* may be NULL. */
static inline void fixture_add(
        ReadingList *list, const char *source, unsigned number, const char *seen, const Bytes *labels) {
        ReadingOrigin origin = { .source = source,
                .type = "test",
                .at = "2026-11-24T06:27:38.123Z",
                .unique = number,
                .seen = seen,
                .labels = labels ? bytes_slice(labels) : (Slice){} };
        Bytes payload = {};
        char device[32];

        (void) snprintf(device, sizeof(device), "d%u", number);
        origin.device = device;
        assert_int_equal(bytes_append_format(&payload, "{\"n\":%u}", number), 0);
        assert_int_equal(reading_list_add(list, &origin, &payload), 0);
}

static inline int fixture_put(Outbox *outbox, unsigned first, unsigned n) {
        ReadingList list = {};
        int r;

        for (unsigned i = first; i < first + n; i++)
                fixture_add(&list, "home", i, NULL, NULL);
        r = outbox_put(outbox, &list, NULL);
        reading_list_done(&list);
        return r;
}

static inline uint64_t fixture_waiting(Outbox *outbox) {
        OutboxStatus status;

        outbox_status(outbox, &status);
        return status.rows;
}

/* The integer that a query of the file yields, by a connection of its own. */
static inline int64_t fixture_query(const OutboxFixture *f, const char *query) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        _cleanup_(sql_closep) Sql *sql = NULL;

        assert_int_equal(sql_open(f->file, &sql), 0);
        assert_int_equal(sql_prepare(sql, query, &statement), 0);
        assert_int_equal(sql_step(statement), SQL_ROW);
        return sql_column_int(statement, 0);
}

static inline void fixture_exec(const OutboxFixture *f, const char *statements) {
        _cleanup_(sql_closep) Sql *sql = NULL;

        assert_int_equal(sql_open(f->file, &sql), 0);
        assert_int_equal(sql_exec(sql, statements), 0);
}
