/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-rejected.h"

#include <stdlib.h>

#include "lib/err.h"
#include "publish/outbox-file.h"
#include "publish/outbox-internal.h"

int outbox_rejected_open(const char *directory, Outbox **ret) {
        _cleanup_(outbox_closep) Outbox *outbox = NULL;
        _cleanup_(sql_closep) Sql *sql = NULL;
        int r;

        outbox = calloc(1, sizeof(Outbox));
        if (!outbox)
                return -ENOMEM;
        outbox->guest = true;
        outbox->caps = (OutboxConfig){ UINT64_MAX, UINT64_MAX }; /* moving between its tables makes nothing larger */
        outbox->directory = strdup(directory);
        if (!outbox->directory)
                return -ENOMEM;

        r = outbox_file_visit(directory, &sql);
        if (r != OUTBOX_OK)
                return r;
        r = outbox_attach(outbox, sql);
        if (r < 0)
                return r;
        sql = NULL;
        *ret = cleanup_steal(outbox);
        return OUTBOX_OK;
}

typedef struct Walk {
        int64_t after;
        int (*each)(void *userdata, const OutboxRejected *row);
        void *userdata;
} Walk;

static int rejected_walk(Outbox *outbox, void *arguments) {
        SqlStatement *s = outbox->statements[OUTBOX_REJECTED_LIST];
        const Walk *walk = arguments;
        int r;

        (void) sql_bind_int(s, 1, walk->after);
        while ((r = outbox_step(outbox, OUTBOX_REJECTED_LIST)) == SQL_ROW) {
                r = walk->each(walk->userdata, &(OutboxRejected){
                                                       .id = sql_column_int(s, 0),
                                                       .put_at = (usec_t) sql_column_int(s, 1),
                                                       .rejected_at = (usec_t) sql_column_int(s, 2),
                                                       .key = sql_column(s, 3),
                                                       .source = sql_column(s, 4),
                                                       .type = sql_column(s, 5),
                                                       .device = sql_column(s, 6),
                                                       .reason = sql_column(s, 7),
                                                       .payload = sql_column(s, 8),
                                               });
                if (r != 0)
                        break;
        }
        sql_reset(s);
        return r;
}

int outbox_rejected_each(
        Outbox *outbox, int64_t after, int (*each)(void *userdata, const OutboxRejected *row), void *userdata) {
        return outbox_read(outbox, rejected_walk, &(Walk){ after, each, userdata });
}

/* Its size, for the counters. */
static int rejected_size(Outbox *outbox, int64_t id, int64_t *ret) {
        SqlStatement *s = outbox->statements[OUTBOX_REJECTED_SIZE];
        int r;

        (void) sql_bind_int(s, 1, id);
        r = outbox_step(outbox, OUTBOX_REJECTED_SIZE);
        if (r != SQL_ROW)
                return r < 0 ? r : -ENOENT;
        *ret = sql_column_int(s, 0);
        sql_reset(s);
        return 0;
}

static int rejected_drop(Outbox *outbox, void *arguments) {
        const int64_t *id = arguments;
        int64_t size;
        int r;

        r = rejected_size(outbox, *id, &size);
        if (r == 0)
                r = outbox_run(outbox, OUTBOX_REJECTED_DROP, *id);
        if (r == 0)
                r = outbox_count(outbox, OUTBOX_REJECTED, -1, -size);
        return r;
}

static int rejected_replay(Outbox *outbox, void *arguments) {
        const int64_t *id = arguments;
        int64_t size;
        int r;

        r = rejected_size(outbox, *id, &size);
        if (r == 0)
                r = outbox_run(outbox, OUTBOX_REJECTED_REPLAY, *id);
        if (r == 0)
                r = outbox_count(outbox, OUTBOX_READINGS, 1, size);
        return r < 0 ? r : rejected_drop(outbox, arguments);
}

int outbox_rejected_replay(Outbox *outbox, int64_t id) {
        return outbox_change(outbox, rejected_replay, &id);
}

int outbox_rejected_drop(Outbox *outbox, int64_t id) {
        return outbox_change(outbox, rejected_drop, &id);
}
