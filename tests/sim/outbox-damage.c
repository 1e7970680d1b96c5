/* SPDX-License-Identifier: Apache-2.0 */
/* Damage to the file of an outbox, and what must be left of it. */
#include "outbox-world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sql.h"

#define COPY WORLD_ROOT "/copy"
#define FILE_NAME "/" OUTBOX_FILE
#define ROWS_MAX 600
#define OPENINGS 12 /* the last ones without a death */

/* ---- what SELECT finds ---- */

typedef struct Selection {
        uint64_t rows[ROWS_MAX]; /* a hash of each */
        size_t n;
} Selection;

static uint64_t hash(uint64_t seed, Slice text) {
        for (size_t i = 0; i < text.size; i++)
                seed = (seed ^ (unsigned char) text.data[i]) * UINT64_C(0x100000001b3);
        return (seed ^ text.size) * UINT64_C(0x100000001b3);
}

static int by_value(const void *a, const void *b) {
        uint64_t left = *(const uint64_t *) a, right = *(const uint64_t *) b;

        return (left > right) - (left < right);
}

/* The rows up to the first place that cannot be read; what is no text or bytes counts as what it is cast to. */
static void select_rows(const char *path, const char *table, Selection *ret) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        _cleanup_(sql_closep) Sql *sql = NULL;
        char query[256];

        (void) snprintf(query, sizeof(query),
                "SELECT CAST(coalesce(key, '') AS BLOB), CAST(coalesce(payload, '') AS BLOB), put_at, source, type, "
                "device, labels FROM %s",
                table);
        if (sql_open(path, &sql) != 0 || sql_prepare(sql, query, &statement) != 0)
                return;
        while (ret->n < ROWS_MAX && sql_step(statement) == SQL_ROW)
                ret->rows[ret->n++] =
                        hash(hash(UINT64_C(0xcbf29ce484222325), sql_column(statement, 0)), sql_column(statement, 1));
        qsort(ret->rows, ret->n, sizeof(uint64_t), by_value);
}

/* A copy to look at: whoever opens a database changes it. */
static void copy_file(World *w, const char *suffix) {
        char from[64], to[64];
        const uint8_t *data;
        size_t size;
        int fd;

        (void) snprintf(from, sizeof(from), WORLD_DIRECTORY FILE_NAME "%s", suffix);
        (void) snprintf(to, sizeof(to), COPY FILE_NAME "%s", suffix);
        (void) unlink(to);
        data = disk_contents(w->disk, from, &size);
        if (!data)
                return;
        fd = open(to, O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || (size > 0 && write(fd, data, size) != (ssize_t) size))
                world_wrong(w, "no copy could be made");
        (void) close(fd);
}

static void select_from_copy(World *w, const char *table, Selection *ret) {
        copy_file(w, "");
        copy_file(w, "-wal");
        select_rows(COPY FILE_NAME, table, ret);
}

/* ---- damage ---- */

static void damage(World *w) {
        static const uint8_t zeros[4096], ones[4096] = { [0 ... 4095] = 0xa5 };
        const char *path = draw_below(&w->draw, 4) == 0 ? WORLD_DIRECTORY FILE_NAME "-wal" : WORLD_DIRECTORY FILE_NAME;
        size_t size = 0, at;
        const uint8_t *data = disk_contents(w->disk, path, &size);
        uint64_t kind = draw_below(&w->draw, 4);
        uint8_t byte;

        if (!data || size == 0)
                return;
        w->seen->damages++;
        at = draw_below(&w->draw, size);
        if (kind == 0 &&
                size > 4096) /* not in the schema's text: a table whose columns have other names is not found */
                at = draw_between(&w->draw, 4096, size - 1);
        WORLD_TRACE(w, "  damage %u of %s at %zu of %zu\n", (unsigned) kind, path, at, size);
        if (kind == 0) {
                for (uint64_t n = 1 + draw_below(&w->draw, 8); n > 0; n--) {
                        byte = (uint8_t) (data[at] ^ 1U << draw_below(&w->draw, 8));
                        disk_damage(w->disk, path, at, &byte, 1);
                        at = size > 4096 ? draw_between(&w->draw, 4096, size - 1) : draw_below(&w->draw, size);
                }
        } else if (kind == 1)
                disk_damage(w->disk, path, at / 4096 * 4096, zeros, 4096);
        else if (kind == 2)
                disk_damage(w->disk, path, at / 512 * 512, ones, 512 * draw_between(&w->draw, 1, 8));
        else { /* not within zeros: a start makes the log longer by zeros, and what was cut would be whole again */
                while (at > 0 && data[at] == 0)
                        at--;
                disk_damage(w->disk, path, at, NULL, 0);
        }
}

/* Until it is open: a start may die in the middle of a salvage. */
static bool open_through_deaths(World *w) {
        OutboxSalvage salvage = {};
        int r = -1;

        for (unsigned i = 0; i < OPENINGS && r < 0; i++) {
                disk_mount(w->disk);
                world_draw_death(w);
                if (i > OPENINGS / 2)
                        w->dies_at = 0;
                WORLD_TRACE(w, " life of a salvage\n");
                r = outbox_open(WORLD_DIRECTORY, &w->caps, &w->outbox, &salvage);
                if (disk_is_dead(w->disk)) {
                        w->seen->died_salvaging++;
                        w->outbox = outbox_close(w->outbox);
                        r = -1;
                }
        }
        w->dies_at = 0;
        w->seen->salvages += r == OUTBOX_SALVAGED;
        if (r == OUTBOX_NEWER)
                return false; /* the version itself was hit */
        if (r < 0) {
                WORLD_TRACE(w, "  %s\n", strerror(-r));
                world_wrong(w, "a damaged outbox does not open");
        }
        return r >= 0;
}

static bool is_twice(const Selection *selection, uint64_t row) {
        size_t n = 0;

        for (size_t i = 0; i < selection->n; i++)
                n += selection->rows[i] == row;
        return n > 1;
}

static void compare(World *w, const Selection *before, const Selection *after) {
        for (size_t i = 1; i < after->n;
                i++) /* rows of nothing, which a torn page may show, are alike from the beginning */
                if (after->rows[i] == after->rows[i - 1] && !is_twice(before, after->rows[i]))
                        world_wrong(w, "a row is there twice after a salvage");
        for (size_t i = 0; i < before->n; i++)
                if (!bsearch(&before->rows[i], after->rows, after->n, sizeof(uint64_t), by_value))
                        world_wrong(w, "a row that SELECT found before is not there after a salvage");
        w->seen->selected += before->n;
        w->seen->carried += after->n;
}

void world_damage(World *w) {
        Selection *found = calloc(4, sizeof(Selection));

        if (!found)
                abort();
        disk_mount(w->disk);
        world_fair_weather(w);
        w->dies_at = 0;
        disk_settle(w->disk);
        disk_cut(w->disk); /* what a failed sync forgot: SELECT would see it, and a start after a cut not */
        disk_mount(w->disk);
        damage(w);
        if (mkdir(COPY, 0750) == 0) {
                select_from_copy(w, "readings", &found[0]);
                select_from_copy(w, "rejected", &found[1]);
        }
        if (open_through_deaths(w)) {
                w->outbox = outbox_close(w->outbox);
                select_rows(WORLD_DIRECTORY FILE_NAME, "readings", &found[2]);
                select_rows(WORLD_DIRECTORY FILE_NAME, "rejected", &found[3]);
                compare(w, &found[0], &found[2]);
                compare(w, &found[1], &found[3]);
        }
        free(found);
}
