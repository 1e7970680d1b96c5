/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "events.h"
#include "lib/err.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/sql-aside.h"
#include "lib/text.h"

#define SCHEMA 1

static const char schema[] =
        "CREATE TABLE device (subscription TEXT NOT NULL, device BLOB NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,"
        " name TEXT NOT NULL, site TEXT NOT NULL, states TEXT NOT NULL, PRIMARY KEY (subscription, device))"
        " STRICT, WITHOUT ROWID;"
        "CREATE TABLE notice (id INTEGER PRIMARY KEY, subscription TEXT NOT NULL, device BLOB NOT NULL,"
        " rule_key TEXT NOT NULL, target TEXT NOT NULL, rule TEXT NOT NULL, field TEXT, \"limit\" TEXT, value TEXT NOT "
        "NULL,"
        " test INTEGER NOT NULL, span INTEGER NOT NULL, since INTEGER NOT NULL, fired INTEGER NOT NULL,"
        " until INTEGER NOT NULL, ended INTEGER NOT NULL, removed INTEGER NOT NULL, released INTEGER NOT NULL,"
        " told_since INTEGER NOT NULL, told_at INTEGER NOT NULL, closed INTEGER NOT NULL, sealed INTEGER NOT NULL,"
        " sealed_since INTEGER NOT NULL, sealed_until INTEGER NOT NULL, seal TEXT NOT NULL, turn INTEGER NOT NULL)"
        " STRICT;"
        "CREATE INDEX notice_of ON notice (subscription);"
        "PRAGMA user_version = 1;";

struct AlertStore {
        const SubscriptionConfig *config;
        char *path, *subscription; /* a copy: at the end of the process, a thread that is left behind may still write */
        AlertRules *rules;
        AlertBook *book; /* NULL: not read yet */
        Sql *sql;        /* NULL: not open */
        size_t unsound;  /* rows with impossible values that were left out when the book was read */
        bool anew;       /* the next commit replaces the stored book by all of this one */
};

int alert_store_new(const SubscriptionConfig *config, AlertStore **ret) {
        _cleanup_(alert_store_freep) AlertStore *store = calloc(1, sizeof(AlertStore));
        int r;

        if (!store)
                return -ENOMEM;
        store->config = config;
        store->subscription = strdup(config->subscription);
        if (!store->subscription || text_format(&store->path, "%s/" ALERT_STORE_FILE, config->state_dir) < 0)
                return -ENOMEM;
        r = alert_rules_new(config->keys, &store->rules);
        if (r == 0)
                *ret = cleanup_steal(store);
        return r;
}

AlertStore *alert_store_free(AlertStore *store) {
        if (!store)
                return NULL;
        store->sql = sql_close(store->sql);
        store->book = alert_book_free(store->book);
        store->rules = alert_rules_free(store->rules);
        free(store->path);
        free(store->subscription);
        free(store);
        return NULL;
}

const char *alert_store_path(const AlertStore *store) {
        return store->path;
}

AlertBook *alert_store_book(AlertStore *store) {
        return store->book;
}

const SubscriptionConfig *alert_store_config(const AlertStore *store) {
        return store->config;
}

/* ---- reading ---- */

static int column_text(SqlStatement *s, int column, char **ret) {
        Slice text = sql_column(s, column);

        *ret = text.data ? strndup(text.data, text.size) : NULL;
        if (!text.data || !*ret)
                return text.data ? -ENOMEM : 0;
        if (!bytes_is_utf8(*ret, strlen(*ret))) /* it is shown, and told to targets */
                (*ret)[text_clean(*ret, strlen(*ret))] = '\0';
        return 0;
}

static void column_copy(SqlStatement *s, int column, char *buffer, size_t size) {
        Slice text = sql_column(s, column);

        (void) snprintf(buffer, size, "%.*s", (int) text.size, text.data ?: "");
}

static bool next_number(JsonReader *reader, uint64_t *ret) {
        char text[24] = "";

        if (json_reader_next(reader) != JSON_NUMBER || !reader->integer || reader->slice.size >= sizeof(text) ||
                reader->slice.data[0] == '-')
                return false;
        memcpy(text, reader->slice.data, reader->slice.size);
        errno = 0;
        *ret = strtoull(text, NULL, 10);
        return errno == 0;
}

static bool next_text(JsonReader *reader, char *buffer, size_t size) {
        char text[ALERT_VALUE_SIZE * 6]; /* \uXXXX stands for at least one byte */
        size_t length;

        if (json_reader_next(reader) != JSON_STRING || reader->slice.size >= size * 6 ||
                json_unescape(reader->slice, text, &length) < 0 || length >= size)
                return false;
        *(char *) mempcpy(buffer, text, length) = '\0';
        return true;
}

/* Reads one state, after its opening bracket. */
static bool read_state(JsonReader *reader, char key[static ALERT_RULE_KEY_SIZE], AlertSlot *ret) {
        uint64_t n[7];

        if (!next_text(reader, key, ALERT_RULE_KEY_SIZE))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(n); i++)
                if (!next_number(reader, &n[i]))
                        return false;
        if (n[0] > PHASE_FIRING || !next_text(reader, ret->value, sizeof(ret->value)))
                return false;
        ret->state = (AlertState){ (AlertPhase) n[0], n[1], n[2], n[3], n[4] != 0 };
        ret->said = n[5] != 0;
        return json_reader_next(reader) == JSON_ARRAY_END;
}

int alert_store_read_states(AlertDevice *device, const AlertRules *rules, Slice text) {
        char key[ALERT_RULE_KEY_SIZE];
        JsonReader reader;
        int token, r = 0;

        json_reader_init(&reader, text.data, text.size, 2);
        if (json_reader_next(&reader) != JSON_ARRAY)
                return -EBADMSG;
        while (r == 0 && (token = json_reader_next(&reader)) == JSON_ARRAY) {
                AlertSlot found = {}, *slot;

                if (!read_state(&reader, key, &found))
                        return -EBADMSG;
                found.watch = alert_rules_find(rules, (Slice){ key, strlen(key) });
                if (found.watch == ALERT_NO_RULE)
                        device->dirty = true;
                else if ((r = alert_device_need(device, found.watch, &slot)) == 0)
                        *slot = found;
        }
        if (r < 0)
                return r;
        return token == JSON_ARRAY_END && json_reader_next(&reader) == JSON_END ? 0 : -EBADMSG;
}

/* Of a device with impossible states no state is kept. */
static int read_device(AlertStore *store, AlertBook *book, SqlStatement *s) {
        AlertDevice *device;
        int r = alert_book_device(book, sql_column(s, 0), &device);

        if (r == 0)
                r = alert_device_describe(device, &(AlertReading){ .source = sql_column(s, 1),
                                                          .id = sql_column(s, 2),
                                                          .name = sql_column(s, 3),
                                                          .site = sql_column(s, 4) });
        if (r == 0)
                r = alert_store_read_states(device, book->rules, sql_column(s, 5));
        if (r != -EBADMSG)
                return r;
        device->n_slots = 0;
        device->dirty = true;
        store->unsound++;
        return 0;
}

#define NOTICE_COLUMNS                                                                                                 \
        "device, rule_key, target, rule, field, \"limit\", value, test, span, since, until, removed, released, "       \
        "told_since, told_at, closed, sealed, sealed_since, sealed_until, seal, turn, id"

/* Reads the numbers of an entry, in the order of the columns, from `test` on. */
#define NOTICE_NUMBERS_FIRST 7
static void read_numbers(SqlStatement *s, AlertEntry *e) {
        int column = NOTICE_NUMBERS_FIRST;

        e->test = (AlertTest) sql_column_int(s, column++);
        e->span = (usec_t) sql_column_int(s, column++);
        e->since = (usec_t) sql_column_int(s, column++);
        e->until = (usec_t) sql_column_int(s, column++);
        e->end = (AlertEnd) sql_column_int(s, column++);
        e->was_due = sql_column_int(s, column++) != 0;
        e->told_since = (usec_t) sql_column_int(s, column++);
        e->told_at = (usec_t) sql_column_int(s, column++);
        e->closed = (usec_t) sql_column_int(s, column++);
        e->sealed = (AlertKind) sql_column_int(s, column++);
        e->sealed_since = (usec_t) sql_column_int(s, column++);
        e->sealed_until = (usec_t) sql_column_int(s, column++);
        column_copy(s, column++, e->seal, sizeof(e->seal));
        e->turn = sql_column_int(s, column++);
        e->id = sql_column_int(s, column);
}

/* An entry with an impossible value is deleted by the next commit. */
static int read_entry(AlertStore *store, AlertBook *book, SqlStatement *s) {
        _cleanup_(alert_entry_freep) AlertEntry *entry = calloc(1, sizeof(AlertEntry));
        AlertDevice *device;
        int r = entry ? column_text(s, 2, &entry->target) : -ENOMEM;

        if (r == 0)
                r = column_text(s, 3, &entry->rule);
        if (r == 0)
                r = column_text(s, 4, &entry->field);
        if (r == 0)
                r = column_text(s, 5, &entry->limit);
        if (r < 0)
                return r;
        column_copy(s, 1, entry->rule_key, sizeof(entry->rule_key));
        column_copy(s, 6, entry->value, sizeof(entry->value));
        read_numbers(s, entry);
        if (!entry->target || !entry->rule || entry->test >= ALERT_TESTS || entry->sealed >= ALERT_KINDS ||
                entry->end >= ALERT_ENDS || entry->id <= 0 || text_has_controls(entry->seal, strlen(entry->seal))) {
                entry->gone = entry->dirty = true;
                store->unsound++;
        }
        r = alert_book_device(book, sql_column(s, 0), &device);
        if (r == 0)
                alert_book_adopt(book, device, cleanup_steal(entry));
        return r;
}

static int read_rows(AlertStore *store, AlertBook *book, const char *query,
        int (*read)(AlertStore *store, AlertBook *book, SqlStatement *s)) {
        SqlStatement *s;
        int r;

        r = sql_use(store->sql, query, &s);
        if (r != 0)
                return r;
        sql_bind(s, SQL_VALUES(SQL_TEXT(store->subscription)));
        while (r >= 0 && (r = sql_step(s)) == SQL_ROW)
                r = read(store, book, s);
        sql_reset(s);
        return r;
}

/* Reads the book, without rows that have an impossible value. -EUCLEAN: the file is damaged. */
static int read_book(AlertStore *store, AlertBook **ret) {
        _cleanup_(alert_book_freep) AlertBook *book = NULL;
        int r = alert_book_new(store->config->keys, store->rules, &book);

        store->unsound = 0;
        if (r == 0)
                r = read_rows(store, book,
                        "SELECT device, source, id, name, site, states FROM device WHERE subscription = ?",
                        read_device);
        if (r == 0)
                r = read_rows(store, book, "SELECT " NOTICE_COLUMNS " FROM notice WHERE subscription = ?", read_entry);
        if (r == 0)
                *ret = cleanup_steal(book);
        return r;
}

/* ---- opening ---- */

static int make_tables(Sql *sql) {
        int64_t version;
        int r = sql_begin(sql, true);

        if (r != 0)
                return r;
        r = sql_query_int(sql, "PRAGMA user_version", &version);
        if (r == 0 && version == 0)
                r = sql_exec(sql, schema);
        return sql_end(sql, r);
}

static int open_file(AlertStore *store) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        int64_t version;
        int r;

        r = sql_open(store->path, &sql);
        if (r == 0) /* another subscription may be at its commit, on a slow disk */
                r = sql_exec(sql, "PRAGMA busy_timeout = 5000");
        if (r == 0)
                r = sql_query_int(sql, "PRAGMA user_version", &version);
        if (r == 0 && version == 0)
                r = make_tables(sql);
        if (r != 0)
                return r;
        if (version > SCHEMA)
                return -EOPNOTSUPP;
        store->sql = cleanup_steal(sql);
        return 0;
}

static int set_aside(AlertStore *store) {
        _cleanup_free_ char *aside = NULL;
        int r = sql_aside_name(store->path, &aside);

        store->sql = sql_close(store->sql);
        if (r == 0)
                r = sql_aside_move(store->path, aside);
        if (r < 0)
                return r;
        log_event(LOG_ERR, EVENT_ALERTS_DAMAGED,
                LOG_FIELDS({ FIELD_FILE, aside }, { FIELD_SUBSCRIPTION, store->subscription }),
                "%s is damaged. It was moved to %s, and a new one was created%s", store->path, aside,
                store->book ? ", with the states of the rules as they are known"
                            : ". It is no longer known what fired and who was notified: alerts that still fire are "
                              "sent again");
        return 0;
}

static void mark_all(AlertStore *store) {
        const AlertBook *book = store->book;

        store->anew = true;
        for (size_t i = 0; i < book->n_devices; i++) {
                book->devices[i]->dirty = true;
                for (AlertEntry *entry = book->devices[i]->entries; entry; entry = entry->next)
                        entry->dirty = true;
        }
}

/* Makes what will be read durable: a failed commit, or that of a killed process, may be in memory only. */
static int settle_log(Sql *sql) {
        int r = sql_begin(sql, true);

        return r != 0 ? r : sql_end(sql, 0);
}

/* Opens the file, and reads the book unless there is one. */
static int open_and_read(AlertStore *store, const AlertMoment *moment) {
        bool anew = store->book;
        int r = open_file(store);

        if (r == 0)
                r = settle_log(store->sql);
        if (r != 0)
                return r;
        if (anew) {
                mark_all(store);
                return 0;
        }
        r = read_book(store, &store->book);
        if (r != 0)
                return r;
        if (store->unsound > 0)
                log_error("%s: %zu %s: the alerts in question are unknown now, and those that still fire are sent "
                          "again. Check the disk (journalctl -k)",
                        store->path, store->unsound,
                        store->unsound == 1 ? "row has an impossible value" : "rows have impossible values");
        r = alert_book_settle(store->book, moment);
        if (r < 0)
                store->book = alert_book_free(store->book);
        return r;
}

int alert_store_open(AlertStore *store, const AlertMoment *moment) {
        int r;

        if (store->sql && sql_standing(store->sql) & SQL_MOVED) /* by another subscription, or it was removed */
                store->sql = sql_close(store->sql);
        if (store->sql && store->book)
                return 0;
        store->sql = sql_close(store->sql);
        r = open_and_read(store, moment);
        if (r == -EUCLEAN) {
                r = set_aside(store);
                if (r == 0)
                        r = open_and_read(store, moment);
        }
        if (r == 0)
                return 0;
        store->sql = sql_close(store->sql);
        return r == -EUCLEAN ? -EIO : r;
}

/* ---- writing ---- */

/* The second `since` is for 0.2.0. */
int alert_store_write_states(const AlertDevice *device, const AlertRules *rules, Bytes *ret) {
        const char *comma = "[";

        for (size_t i = 0; i < device->n_slots; i++) {
                const AlertSlot *slot = &device->slots[i];
                const AlertState *state = &slot->state;

                if (slot->gone)
                        continue;
                bytes_append_format(ret, "%s[\"%s\",%d,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%d,%d,%" PRIu64 ",", comma,
                        rules->items[slot->watch].key, state->phase, state->judged, state->since, state->heard,
                        state->offline, slot->said, state->since);
                bytes_append_json_string(ret, slot->value, strlen(slot->value));
                bytes_append_text(ret, "]");
                comma = ",";
        }
        return bytes_append_text(ret, comma[0] == '[' ? "[]" : "]");
}

static int write_device(const AlertStore *store, const AlertDevice *device) {
        _cleanup_bytes_ Bytes states = {};
        int r = alert_store_write_states(device, store->rules, &states);

        if (r < 0)
                return r;
        return sql_do(store->sql, "INSERT OR REPLACE INTO device VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                SQL_VALUES(SQL_TEXT(store->subscription), SQL_BLOB(device->key), SQL_TEXT(device->source),
                        SQL_TEXT(device->id), SQL_TEXT(device->name), SQL_TEXT(device->site), SQL_TEXT(states.data)));
}

/* In the order of NOTICE_COLUMNS. */
static int write_entry(const AlertStore *store, const AlertDevice *device, AlertEntry *e) {
        while (e->id == 0)
                e->id = (int64_t) (loop_random() >> 1);
        return sql_do(store->sql,
                "INSERT OR REPLACE INTO notice (" NOTICE_COLUMNS
                ", subscription, fired, ended) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, "
                "?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?10, ?11)", /* fired, ended: for 0.2.0 */
                SQL_VALUES(SQL_BLOB(device->key), SQL_TEXT(e->rule_key), SQL_TEXT(e->target), SQL_TEXT(e->rule),
                        SQL_TEXT(e->field), SQL_TEXT(e->limit), SQL_TEXT(e->value), SQL_INT(e->test), SQL_INT(e->span),
                        SQL_INT(e->since), SQL_INT(e->until), SQL_INT(e->end), SQL_INT(e->was_due),
                        SQL_INT(e->told_since), SQL_INT(e->told_at), SQL_INT(e->closed), SQL_INT(e->sealed),
                        SQL_INT(e->sealed_since), SQL_INT(e->sealed_until), SQL_TEXT(e->seal), SQL_INT(e->turn),
                        SQL_INT(e->id), SQL_TEXT(store->subscription)));
}

static int drop_all(const AlertStore *store) {
        const SqlValue *subscription = SQL_VALUES(SQL_TEXT(store->subscription));
        int r = sql_do(store->sql, "DELETE FROM device WHERE subscription = ?1", subscription);

        return r == 0 ? sql_do(store->sql, "DELETE FROM notice WHERE subscription = ?1", subscription) : r;
}

static int write_changes(const AlertStore *store, AlertDevice *device) {
        int r = 0;

        if (alert_device_is_empty(device))
                r = sql_do(store->sql, "DELETE FROM device WHERE subscription = ?1 AND device = ?2",
                        SQL_VALUES(SQL_TEXT(store->subscription), SQL_BLOB(device->key)));
        else if (device->dirty)
                r = write_device(store, device);
        for (AlertEntry *e = device->entries; r == 0 && e; e = e->next)
                if (e->dirty && e->gone)
                        r = sql_do(store->sql, "DELETE FROM notice WHERE id = ?1", SQL_VALUES(SQL_INT(e->id)));
                else if (e->dirty)
                        r = write_entry(store, device, e);
        return r;
}

static int write_all(const AlertStore *store) {
        int r = store->anew ? drop_all(store) : 0;

        for (size_t i = 0; r == 0 && i < store->book->n_devices; i++)
                r = write_changes(store, store->book->devices[i]);
        return r;
}

static bool has_changes(const AlertBook *book) {
        for (size_t i = 0; i < book->n_devices; i++) {
                const AlertEntry *e = book->devices[i]->entries;

                while (e && !e->dirty)
                        e = e->next;
                if (e || book->devices[i]->dirty)
                        return true;
        }
        return false;
}

static int write_book(const AlertStore *store) {
        int r = sql_begin(store->sql, true);

        return r != 0 ? r : sql_end(store->sql, write_all(store));
}

int alert_store_commit(AlertStore *store) {
        int r = store->anew || has_changes(store->book) ? write_book(store) : 0;

        if (r == -EUCLEAN) {
                r = set_aside(store);
                if (r == 0)
                        r = open_and_read(store, NULL); /* it has a book, which is written as a whole */
                if (r == 0)
                        r = write_book(store);
        }
        if (r == 0) {
                store->anew = false;
                alert_book_committed(store->book);
        } else if (r == -EIO || r == -EUCLEAN)
                store->sql = sql_close(store->sql);
        return r == -EUCLEAN ? -EIO : r;
}

/* ---- the verbs ---- */

int alert_store_look(const SubscriptionConfig *config, AlertStore **ret) {
        _cleanup_(alert_store_freep) AlertStore *store = NULL;
        int r = alert_store_new(config, &store);

        if (r == 0 && access(store->path, F_OK) < 0)
                r = err_errno();
        if (r == 0)
                r = open_file(store);
        if (r == 0)
                r = read_book(store, &store->book);
        if (r == 0)
                *ret = cleanup_steal(store);
        return r == -EUCLEAN ? -EIO : r;
}
