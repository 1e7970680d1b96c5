/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of any values, of any type, in the tables of SQLite files that are sound otherwise, as after a bit error or by
 * another's hand: they end nothing, go round nowhere, keep no new row out, and take no good row with them.
 *
 * The first byte: which file, and whether its tables keep their types. Then for each row: a table, a row that it is
 * like, how many columns differ; and for each of those which one, a type, a value. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "config.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/sql.h"
#include "lib/text.h"
#include "page-render.h"
#include "page-store.h"
#include "publish/outbox-guest.h"
#include "../outbox-rows.h"
#include "sinks/alert-store.h"
#include "subscribe/rejected.h"
#include "types.h"

#define ROWS_MAX 16
#define TABLES_MAX 8
#define COLUMNS_MAX 32
#define NOW (UINT64_C(1795822800) * USEC_PER_SEC)
#define SUBSCRIPTION "projects/p/subscriptions/s"

static char directory[] = "/dev/shm/fuzz-rows-XXXXXX";

static void empty_directory(void) {
        DIR *entries = opendir(directory);
        struct dirent *entry;

        while ((entry = readdir(entries)))
                if (entry->d_name[0] != '.')
                        (void) unlinkat(dirfd(entries), entry->d_name, 0);
        (void) closedir(entries);
}

static void remove_directory(void) {
        empty_directory();
        (void) rmdir(directory);
}

/* ---- input ---- */

typedef struct Input {
        const uint8_t *data;
        size_t size;
} Input;

static uint8_t take(Input *input) {
        return input->size > 0 ? (input->size--, *input->data++) : 0;
}

static int64_t take_int(Input *input) {
        static const int64_t odd[] = { 0, 1, -1, INT64_MAX, INT64_MIN, INT64_C(1) << 53, INT64_C(1) << 32, UINT32_MAX,
                (int64_t) NOW, (int64_t) (NOW / USEC_PER_MSEC), (int64_t) (NOW / USEC_PER_MINUTE) };
        uint8_t which = take(input);
        int64_t value = 0;

        if (which < ELEMENTSOF(odd))
                return odd[which];
        for (int i = 0; i < which % 9; i++)
                value = (int64_t) ((uint64_t) value << 8 | take(input));
        return value;
}

static void bind_any(SqlStatement *s, int index, Input *input) {
        static const double reals[] = { 0, -1.5, 1e308, -1e308, 1.0 / 0.0, -1.0 / 0.0, 5e-324, 21.5 };
        const char *text;
        size_t size;

        switch (take(input) % 5) {
        case 0:
                return sql_bind_text(s, index, NULL);
        case 1:
                return sql_bind_int(s, index, take_int(input));
        case 2:
                return sql_bind_value(s, index, &(const SqlValue) SQL_DOUBLE(reals[take(input) % ELEMENTSOF(reals)]));
        }
        size = take(input);
        size = size < input->size ? size : input->size;
        text = (const char *) input->data;
        input->data += size;
        input->size -= size;
        sql_bind_value(s, index, &(const SqlValue) SQL_BLOB(((Slice){ text, size })));
}

/* ---- a file ---- */

typedef struct Table {
        char *name, *sql, *columns[COLUMNS_MAX];
        size_t n;
} Table;

typedef struct Kind {
        const char *file;
        void (*make)(void); /* with good rows */
        void (*use)(bool typed, bool whole);
        Bytes content; /* of the file whose tables have no types */
        Table tables[TABLES_MAX];
        size_t n;
} Kind;

static Sql *open_file(const Kind *kind) {
        _cleanup_free_ char *path = NULL;
        Sql *sql = NULL;

        require(asprintf(&path, "%s/%s", directory, kind->file) > 0 && sql_open(path, &sql) == 0);
        return sql;
}

static char *column_copy(SqlStatement *s, int column) {
        Slice text = sql_column(s, column);

        return strndup(text.data, text.size);
}

static void learn_columns(Sql *sql, Table *table) {
        _cleanup_(sql_finalizep) SqlStatement *s = NULL;
        int r;

        require(sql_prepare(sql, "SELECT name FROM pragma_table_info(?)", &s) == 0);
        sql_bind_text(s, 1, table->name);
        while ((r = sql_step(s)) == SQL_ROW && table->n < COLUMNS_MAX)
                table->columns[table->n++] = column_copy(s, 0);
        require(r == SQL_DONE);
}

static void learn(Sql *sql, Kind *kind) {
        _cleanup_(sql_finalizep) SqlStatement *s = NULL;
        int r;

        require(sql_prepare(sql, "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name", &s) == 0);
        while ((r = sql_step(s)) == SQL_ROW && kind->n < TABLES_MAX)
                kind->tables[kind->n++] = (Table){ .name = column_copy(s, 0), .sql = column_copy(s, 1) };
        require(r == SQL_DONE);
        for (size_t i = 0; i < kind->n; i++)
                learn_columns(sql, &kind->tables[i]);
}

/* The same pages under a schema in which every column takes everything. */
#define LOOSEN                                                                                                         \
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(replace(replace(replace(replace(replace(" \
        "replace(replace(replace(sql, ' INTEGER PRIMARY', '@'), ' STRICT,', ''), ' STRICT', ''), ' NOT NULL', ''), "   \
        "' TEXT', ''), ' BLOB', ''), ' REAL', ''), ' INTEGER', ''), '@', ' INTEGER PRIMARY') WHERE type = 'table' "    \
        "AND name <> 'sqlite_sequence'; PRAGMA writable_schema = OFF"

static void make(Kind *kind) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;
        struct stat st;
        Sql *sql;

        empty_directory();
        kind->make();
        sql = open_file(kind);
        learn(sql, kind);
        require(sql_exec(sql, LOOSEN) == 0);
        sql_close(sql);
        require(asprintf(&path, "%s/%s", directory, kind->file) > 0);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        require(fd >= 0 && fstat(fd, &st) == 0 && bytes_reserve(&kind->content, (size_t) st.st_size) == 0);
        require(file_read(fd, kind->content.data, (size_t) st.st_size, &kind->content.size) == 0);
}

/* Puts a row that is like one that is there but for some columns; without a new key it takes its place. */
static bool put_row(Sql *sql, const Table *table, Input *input) {
        _cleanup_(sql_finalizep) SqlStatement *s = NULL;
        _cleanup_bytes_ Bytes query = {};
        bool other[COLUMNS_MAX] = {};
        uint8_t row = take(input) % 4, n = take(input) % 4 + 1;

        for (uint8_t i = 0; i < n; i++)
                other[take(input) % table->n] = true;
        bytes_append_format(&query, "INSERT OR REPLACE INTO %s SELECT ", table->name);
        for (size_t i = 0; i < table->n; i++)
                if (other[i])
                        bytes_append_format(&query, "%s?%zu", i > 0 ? ", " : "", i + 1);
                else
                        bytes_append_format(&query, "%s\"%s\"", i > 0 ? ", " : "", table->columns[i]);
        require(bytes_append_format(&query, " FROM %s LIMIT 1 OFFSET %u", table->name, row) == 0);
        require(sql_prepare(sql, query.data, &s) == 0);
        for (size_t i = 0; i < table->n; i++)
                if (other[i])
                        bind_any(s, (int) i + 1, input);
        return sql_run(s) == SQL_DONE;
}

static void tighten(Sql *sql, const Kind *kind) {
        require(sql_exec(sql, "PRAGMA writable_schema = ON") == 0);
        for (size_t i = 0; i < kind->n; i++) {
                _cleanup_(sql_finalizep) SqlStatement *s = NULL;

                require(sql_prepare(sql, "UPDATE sqlite_schema SET sql = ?1 WHERE type = 'table' AND name = ?2", &s) ==
                        0);
                sql_bind_text(s, 1, kind->tables[i].sql);
                sql_bind_text(s, 2, kind->tables[i].name);
                require(sql_run(s) == SQL_DONE);
        }
        require(sql_exec(sql, "PRAGMA writable_schema = OFF") == 0);
}

#define ONE_OF_EACH                                                                                                    \
        "DELETE FROM sqlite_sequence WHERE rowid NOT IN (SELECT max(rowid) FROM sqlite_sequence GROUP BY name)"

/* Returns whether no reading was touched. */
static bool spoil(const Kind *kind, bool typed, Input *input) {
        Sql *sql = open_file(kind);
        bool whole = true;

        for (int i = 0; i < ROWS_MAX && input->size > 0; i++) {
                const Table *table = &kind->tables[take(input) % kind->n];

                whole = whole && strcmp(table->name, "readings") != 0;
                (void) put_row(sql, table, input);
                if (strcmp(table->name, "sqlite_sequence") ==
                        0) /* it has no key: the new row takes the place by hand */
                        require(sql_exec(sql, ONE_OF_EACH) == 0);
        }
        if (typed)
                tighten(sql, kind);
        sql_close(sql);
        return whole;
}

/* ---- alerts.sqlite ---- */

static const char config[] = "pubsub: { project: my-project }\n"
                             "subscribe:\n"
                             "  - subscription: sub\n"
                             "    alert:\n"
                             "      targets: [{ name: a, type: ntfy, topic: topic-of-a }]\n"
                             "      rules:\n"
                             "        - { name: hot, field: t, above: 28, clear: 27 }\n"
                             "        - { name: silent, where: { source: x }, stale: 30m }\n";

static const SubscriptionConfig *alert_config(void) {
        static Config *parsed;
        ConfigErrors errors = {};

        if (!parsed)
                require(config_parse(&(ConfigInput){ "/c.yaml", &types_of_config }, config, strlen(config), &parsed,
                                &errors) == 0);
        free(parsed->subscriptions[0].subscription);
        parsed->subscriptions[0].subscription = strdup(SUBSCRIPTION);
        parsed->subscriptions[0].state_dir = directory;
        return &parsed->subscriptions[0];
}

static AlertStore *alert_store(void) {
        AlertStore *store;

        require(alert_store_new(alert_config(), &store) == 0);
        return store;
}

/* What is due after a turn with a message: it is sealed, or else answered. */
static void alert_turn(AlertStore *store, const char *text, AlertVerdict verdict) {
        static const char published[] = "2026-11-27T23:40:00Z";
        const WireMessage message = { .data = { text, strlen(text) },
                .publish_time = { published, strlen(published) } };
        const SinkItem item = { .message = &message };
        AlertTurn turn = { .moment = { .wall = NOW + USEC_PER_HOUR,
                                   .now = 3 * USEC_PER_HOUR,
                                   .hearing = 1,
                                   .heard = 3 * USEC_PER_HOUR,
                                   .caught_up = true },
                .items = &item,
                .n_items = 1 };
        const AlertBook *book;

        alert_work_run(store, &turn);
        require(turn.result == 0);
        require(json_is_whole((Slice){ turn.figures.rules.data, turn.figures.rules.size }, 4, NULL) &&
                bytes_is_utf8(turn.figures.rules.data, turn.figures.rules.size));
        book = alert_store_book(store);
        for (size_t i = 0; i < book->n_due; i++) {
                _cleanup_bytes_ Bytes words = {};
                const AlertNotice notice = alert_book_notice(book, &book->due[i]);
                AlertEntry *entry = book->due[i].entry;

                require(alert_text_write(&notice, ALERT_JAPANESE, &words) == 0);
                require(bytes_is_utf8(words.data, words.size));
                require(!text_has_controls(entry->seal, strlen(entry->seal)) && entry->id > 0);
                if (alert_entry_is_sealed(entry))
                        alert_entry_answer(entry, verdict, NOW);
                else
                        alert_entry_seal(&book->due[i], "key", NOW);
        }
        alert_figures_done(&turn.figures);
}

static void alert_make(void) {
        AlertStore *store = alert_store();

        alert_turn(store, "{\"id\":\"1\",\"source\":\"x\",\"name\":\"n\",\"t\":29}", ALERT_ACCEPTED);
        alert_turn(store, "{\"id\":\"2\",\"source\":\"x\",\"t\":29}", ALERT_ACCEPTED);
        alert_store_free(store);
}

static void alert_look(void) {
        AlertStore *store;

        if (alert_store_look(alert_config(), &store) < 0)
                return;
        for (size_t i = 0; i < alert_store_book(store)->n_devices; i++) {
                const AlertDevice *device = alert_store_book(store)->devices[i];

                require(bytes_is_utf8(device->name, strlen(device->name)));
                for (size_t k = 0; k < device->n_slots; k++)
                        require(device->slots[k].state.phase < PHASES &&
                                bytes_is_utf8(device->slots[k].value, strlen(device->slots[k].value)));
        }
        alert_store_free(store);
}

static void alert_use(bool typed, bool whole) {
        alert_look();
        for (int i = 0; i < 2; i++) { /* what is found, and what was made of it */
                AlertStore *store = alert_store();

                for (AlertVerdict verdict = 0; verdict <= ALERT_BACK; verdict++)
                        alert_turn(store, "{\"id\":\"3\",\"source\":\"x\",\"t\":20}", verdict);
                alert_store_free(store);
        }
}

/* ---- page.sqlite ---- */

static void page_add(PageStore *store, const char *device, int64_t at) {
        PageFound found = { .time = at, .numbers = { { 0, 21.5, 0 } }, .n = 1 };

        (void) snprintf(found.device, sizeof(found.device), "%s", device);
        require(bytes_append_text(&found.labels, "{}") == 0 && bytes_append(&found.fields, "/t", 3) == 0);
        require(page_store_add(store, &found) == 0);
        page_numbers_done(&found);
}

static void page_make(void) {
        static const int64_t ago[] = { 400, 40, 40, 4, 0 }; /* days */
        int64_t now = (int64_t) (NOW / USEC_PER_MSEC), day = INT64_C(24) * 3600 * 1000;
        PageStore *store;

        require(page_store_open(directory, 1, &store) == 0);
        for (size_t i = 0; i < ELEMENTSOF(ago); i++) {
                page_add(store, i % 2 ? "a" : "b", now - ago[i] * day);
                require(page_store_save(store) == 0);
        }
        page_store_free(store);
}

static void page_use(bool typed, bool whole) {
        int64_t now = (int64_t) (NOW / USEC_PER_MSEC), hour = INT64_C(3600) * 1000;
        const ConfigMap names = {};
        _cleanup_bytes_ Bytes json = {}, values = {};
        PageQuery query = { .from = now - 30 * 24 * hour, .to = now + hour, .points = 100, .n = 1 };
        PageValues found;
        PageStore *store;

        require(page_store_open(directory, 1, &store) >= 0);
        (void) page_store_past_goes_on(store);
        page_add(store, "a", now);
        require(page_store_save(store) >= 0);
        require(page_render_series(page_store_series(store), &(PageShown){ .names = &names }, &json) == 0);
        require(json_is_whole((Slice){ json.data, json.size }, 8, NULL) && bytes_is_utf8(json.data, json.size));
        query.series[0] = page_series_at(page_store_series(store), 0)->id;
        if (page_store_values(store, &query, &found) >= 0) {
                require(page_render_values(&query, &found, &values) == 0);
                require(json_is_whole((Slice){ values.data, values.size }, 8, NULL));
                page_store_values_done(&found);
        }
        page_add(store, "c", now + 40 * 24 * hour);
        require(page_store_save(store) >= 0);
        page_add(store, "c", now + 41 * 24 * hour);
        require(page_store_save(store) == 0);
        page_store_free(store);
        require(page_store_open(directory, 1, &store) == 0); /* nothing that cannot be read was written */
        page_store_free(store);
}

/* ---- outbox.sqlite ---- */

static const OutboxConfig caps = { .max_rows = 1000, .max_bytes = UINT64_C(1) << 40 };

static void outbox_add(Outbox *outbox, const char *device, const char *seen) {
        ReadingOrigin origin = { "home", "exec", device, "2026-11-24T06:27:38.123Z", 1, seen, {} };
        ReadingList list = {};
        Bytes payload = {};

        require(bytes_append_text(&payload, "{\"a\":1}") == 0 && reading_list_add(&list, &origin, &payload) == 0);
        payload = (Bytes){};
        require(bytes_append_text(&payload, "odd") == 0 &&
                reading_list_add_unreadable(&list, "home", slice_of("topic"), "reason", &payload) == 0);
        require(reading_list_set_cursor(&list, "home", "cursor") == 0);
        require(outbox_put(outbox, &list, NULL) == 0);
        reading_list_done(&list);
}

static void outbox_make(void) {
        static const char *const devices[] = { "a", "b", "c", "d", "e" };
        Outbox *outbox;

        require(outbox_open(directory, &caps, &outbox, NULL) == 0);
        for (size_t i = 0; i < ELEMENTSOF(devices); i++)
                outbox_add(outbox, devices[i], devices[i]);
        require(outbox_reject(outbox, 1, "reason") == 0 && outbox_reject(outbox, 2, "reason") == 0);
        outbox_close(outbox);
}

/* Every good row is there, and so are two new ones. */
static void outbox_peek_all(Outbox *outbox, bool whole) {
        OutboxRows rows = {};
        size_t good = 0, new = 0;

        require(outbox_rows_peek(outbox, 0, 1000, 1024 * 1024, &rows) == 0);
        for (size_t i = 0; i < rows.n; i++) {
                good += slice_equal(rows.items[i].device, "c") || slice_equal(rows.items[i].device, "d") ||
                        slice_equal(rows.items[i].device, "e");
                new += slice_equal(rows.items[i].device, "new");
        }
        require(new == 2 && (!whole || good == 3));
        for (size_t i = 0; i < rows.n; i++)
                require(outbox_forget(outbox, &rows.items[i].id, 1) == 0);
        outbox_rows_done(&rows);
        require(outbox_rows_peek(outbox, 0, 10, 100, &rows) == 0 && rows.n == 0);
}

static int on_outbox_row(void *userdata, const OutboxRejected *row) {
        int64_t *id = userdata;

        require(*id < row->id);
        *id = row->id;
        return 0;
}

static void on_dropped(void *userdata, Slice source, uint64_t n) {}

static void outbox_use(bool typed, bool whole) {
        int64_t rejected = INT64_MIN, unread = INT64_MIN;
        _cleanup_bytes_ Bytes cursor = {};
        OutboxStatus status;
        uint64_t waiting;
        OutboxGuest *guest;
        Outbox *outbox;

        require(outbox_open(directory, &caps, &outbox, NULL) >= 0);
        (void) outbox_cursor(outbox, "home", &cursor);
        (void) outbox_dropped(outbox, "home");
        require(outbox_has_room(outbox, 1, 100));
        outbox_add(outbox, "new", "no damage makes this");
        outbox_add(outbox, "new", "or that");
        outbox_status(outbox, &status);
        require(status.failure.since == 0 && status.rows > 0);
        outbox_peek_all(outbox, whole);
        outbox_status(outbox, &status);
        require(status.rows == 0 && status.bytes == 0);
        outbox_close(outbox);

        require(outbox_guest_open(directory, &guest) == OUTBOX_OK);
        require(outbox_rejected_each(guest, INT64_MIN, true, on_outbox_row, &rejected) == 0);
        require(outbox_unread_each(guest, INT64_MIN, true, on_outbox_row, &unread) == 0);
        (void) outbox_unread_each_dropped(guest, on_dropped, NULL);
        if (rejected > 0 && outbox_rejected_replay(guest, rejected) == 0)
                require(outbox_guest_waiting(guest, &waiting) == 0 && waiting == 1);
        else if (rejected > 0) /* a NULL, which no reading may have */
                require(outbox_rejected_drop(guest, rejected) == 0);
        require(unread < 1 || outbox_unread_settle(guest, unread, NULL) == 0);
        outbox_guest_close(guest);
}

/* ---- rejected.sqlite ---- */

static void keep(const char *id, SinkVerdict expected) {
        WireAttribute attribute = { { "k", 1 }, { "v", 1 } };
        WireMessage message = { .data = { "x", 1 },
                .message_id = { id, strlen(id) },
                .publish_time = { "t", 1 },
                .attributes = &attribute,
                .n_attributes = 1 };
        SinkItem item = { .message = &message, .reason = "not_json" };
        RejectedKeeper keeper = { .state_dir = directory, .said = { .subscription = "s" } };
        SinkWork work = { .items = &item, .n = 1 };

        rejected_set_apart(&keeper, &work);
        require(item.verdict == expected);
}

static void rejected_make(void) {
        keep("1", SINK_STORED);
        keep("2", SINK_STORED);
}

static bool on_rejected(void *userdata, const SinkRejected *rejected) {
        require(json_is_whole((Slice){ rejected->attributes, strlen(rejected->attributes) }, 2, NULL));
        return true;
}

static void rejected_use(bool typed, bool whole) {
        RejectedMessage message = {};
        Sql *guest;

        keep("3", SINK_STORED);
        require(rejected_guest_open(directory, &guest) == 0);
        require(rejected_guest_each(guest, &(SinkRejectedQuery){ .with_data = true, .each = on_rejected }) == 0);
        (void) rejected_guest_message(guest, "s:1", &message);
        rejected_message_done(&message);
        require(rejected_guest_drop(guest, "s:3") == 0);
        sql_close(guest);
}

static Kind kinds[] = {
        { ALERT_STORE_FILE, alert_make, alert_use },
        { PAGE_TABLES_FILE, page_make, page_use },
        { OUTBOX_FILE, outbox_make, outbox_use },
        { REJECTED_FILE, rejected_make, rejected_use },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Input input = { data, size };
        bool typed, whole;
        uint8_t first;
        static bool made;
        Kind *kind;

        if (!made) {
                log_set_level(LOG_EMERG);
                require(mkdtemp(directory) && atexit(remove_directory) == 0);
        }
        made = true;
        if (size < 4)
                return 0;
        first = take(&input);
        kind = &kinds[first % ELEMENTSOF(kinds)];
        typed = !(first & 128);
        if (kind->n == 0)
                make(kind);
        empty_directory();
        require(file_replace(directory, kind->file, kind->content.data, kind->content.size) == 0);
        whole = spoil(kind, typed, &input);
        kind->use(typed, whole);
        return 0;
}
