/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/rejected.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/text.h"

#define SCHEMA 1
#define NAMES_MAX 3   /* ids tried for one row */
#define BUSY_TRIES 25 /* while another subscription is at its commit; each waits 200 ms, see lib/sql.c */

#define COLUMNS                                                                                                        \
        "id, subscription, reason, detail, size, rejected_at, message_id, publish_time, ordering_key, attributes"

/* The index gives the total size without reading the rows. */
static const char schema[] =
        "CREATE TABLE rejected (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, subscription TEXT NOT NULL, reason "
        "TEXT NOT NULL,"
        " detail TEXT NOT NULL, size INTEGER NOT NULL, rejected_at INTEGER NOT NULL, message_id BLOB NOT NULL,"
        " publish_time BLOB NOT NULL, ordering_key BLOB NOT NULL, attributes BLOB NOT NULL, data_bad INTEGER NOT NULL,"
        " data BLOB NOT NULL) STRICT;"
        "CREATE INDEX rejected_size ON rejected (size);"
        "PRAGMA user_version = 1;";

static int open_file(const char *state_dir, bool create, Sql **ret) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        _cleanup_free_ char *path = NULL;
        int64_t version = 0;
        int r;

        if (text_format(&path, "%s/" REJECTED_FILE, state_dir) < 0)
                return -ENOMEM;
        if (!create && access(path, F_OK) < 0)
                return -errno;
        r = sql_open(path, &sql);
        if (r != 0)
                return r;
        r = sql_query_int(sql, "PRAGMA user_version", &version);
        if (r != 0)
                return r;
        if (version == 0 && !create)
                return -ENOENT;
        if (version > SCHEMA)
                return -EOPNOTSUPP;
        *ret = cleanup_steal(sql);
        return 0;
}

/* ---- attributes may hold any bytes: stored as "SIZE:SIZE:KEYVALUE" ---- */

static int put_attributes(const WireMessage *message, Bytes *ret) {
        for (size_t i = 0; i < message->n_attributes; i++) {
                const WireAttribute *attribute = &message->attributes[i];

                bytes_append_format(ret, "%zu:%zu:", attribute->key.size, attribute->value.size);
                bytes_append(ret, attribute->key.data, attribute->key.size);
                bytes_append(ret, attribute->value.data, attribute->value.size);
        }
        return bytes_result(ret);
}

static bool get_size(Slice *text, size_t *ret) {
        size_t value = 0, i = 0;

        for (; i < text->size && i < 10 && text->data[i] >= '0' && text->data[i] <= '9'; i++)
                value = value * 10 + (size_t) (text->data[i] - '0');
        if (i == 0 || i == text->size || text->data[i] != ':')
                return false;
        *text = (Slice){ text->data + i + 1, text->size - i - 1 };
        *ret = value;
        return true;
}

/* Takes the next attribute off *text*. Returns false at the end, or when *text* is damaged. */
static bool get_attribute(Slice *text, WireAttribute *ret) {
        size_t key, value;

        if (!get_size(text, &key) || !get_size(text, &value) || key > text->size || value > text->size - key)
                return false;
        *ret = (WireAttribute){ { text->data, key }, { text->data + key, value } };
        *text = (Slice){ text->data + key + value, text->size - key - value };
        return true;
}

static int put_text_json(Slice text, Bytes *ret) {
        _cleanup_free_ char *copy = NULL;

        if (bytes_is_utf8(text.data, text.size))
                return bytes_append_json_string(ret, text.data, text.size);
        copy = malloc(text.size + 1);
        if (!copy)
                return bytes_fail(ret, -ENOMEM);
        memcpy(copy, text.data, text.size);
        return bytes_append_json_string(ret, copy, text_clean(copy, text.size));
}

static int attributes_json(Slice text, Bytes *ret) {
        WireAttribute attribute;

        bytes_append_text(ret, "{");
        for (bool first = true; get_attribute(&text, &attribute); first = false) {
                bytes_append_text(ret, first ? "" : ",");
                put_text_json(attribute.key, ret);
                bytes_append_text(ret, ":");
                put_text_json(attribute.value, ret);
        }
        return bytes_append_text(ret, "}");
}

/* ---- keeping ---- */

typedef struct Keeping {
        const RejectedKeeper *keeper;
        Sql *sql;
        SqlStatement *find, *insert;
        int64_t rows, bytes;
        usec_t at;
} Keeping;

/* Makes the id SUBSCRIPTION:MESSAGE_ID. Later attempts, when another message has it, append the publish time, then the
 * present time. */
static int put_name(const Keeping *k, const WireMessage *message, unsigned attempt, Bytes *ret) {
        int r;

        bytes_cut(ret, 0);
        bytes_append_format(
                ret, "%s:%.*s", k->keeper->said.subscription, (int) message->message_id.size, message->message_id.data);
        if (attempt > 0)
                bytes_append_format(ret, "@%.*s", (int) message->publish_time.size, message->publish_time.data);
        if (attempt > 1)
                bytes_append_format(ret, "@%" PRIu64, k->at);
        r = bytes_result(ret);
        if (r == 0)
                bytes_cut(ret, text_clean(ret->data, ret->size));
        return r;
}

/* Returns 0: the id is free; 1: this message has it; 2: another message has it. Or an errno. */
static int find_name(Keeping *k, const WireMessage *message, const Bytes *name) {
        int r;

        sql_reset(k->find);
        sql_bind_text(k->find, 1, name->data);
        r = sql_step(k->find);
        if (r == SQL_ROW)
                r = slice_same(sql_column(k->find, 0), message->publish_time) &&
                                    slice_same(sql_column(k->find, 1), message->data)
                            ? 1
                            : 2;
        sql_reset(k->find);
        return r;
}

static int64_t bytes_max(const Keeping *k) {
        return (int64_t) (k->keeper->bytes_max ? k->keeper->bytes_max : REJECTED_BYTES_MAX);
}

static int insert(Keeping *k, const SinkItem *item, const Bytes *name) {
        const WireMessage *message = item->message;
        _cleanup_bytes_ Bytes attributes = {};
        SqlStatement *s = k->insert;
        int64_t size;
        int r;

        r = put_attributes(message, &attributes);
        if (r < 0)
                return r;
        size = (int64_t) (message->data.size + attributes.size);
        if (k->rows + 1 > (int64_t) (k->keeper->rows_max ? k->keeper->rows_max : REJECTED_ROWS_MAX) ||
                k->bytes + size > bytes_max(k))
                return -EDQUOT;
        sql_reset(s);
        sql_bind(s, SQL_VALUES(SQL_TEXT(name->data), SQL_TEXT(k->keeper->said.subscription), SQL_TEXT(item->reason),
                            SQL_TEXT(item->detail ?: ""), SQL_INT(size), SQL_INT(k->at), SQL_BLOB(message->message_id),
                            SQL_BLOB(message->publish_time), SQL_BLOB(message->ordering_key), SQL_BLOB(attributes),
                            SQL_INT(message->data_bad), SQL_BLOB(message->data)));
        r = sql_step(s);
        sql_reset(s);
        if (r != SQL_DONE)
                return r;
        k->rows++;
        k->bytes += size;
        return 0;
}

static int keep_one(Keeping *k, const SinkItem *item) {
        _cleanup_bytes_ Bytes name = {};
        int r = 2;

        for (unsigned attempt = 0; r == 2 && attempt < NAMES_MAX; attempt++) {
                r = put_name(k, item->message, attempt, &name);
                if (r == 0)
                        r = find_name(k, item->message, &name);
        }
        if (r == 1)
                return 0;
        return r == 2 ? -EEXIST : r < 0 ? r : insert(k, item, &name);
}

/* A damaged size must not make the file full: where there is more than was ever let in, the rows themselves are
 * measured, which takes longer. */
static int measure(Keeping *k) {
        int r = sql_query_int(
                k->sql, "SELECT coalesce(sum(size), 0) FROM rejected WHERE size BETWEEN 0 AND 1000000000", &k->bytes);

        if (r == 0 && k->bytes > bytes_max(k))
                r = sql_query_int(
                        k->sql, "SELECT coalesce(sum(length(data) + length(attributes)), 0) FROM rejected", &k->bytes);
        return r;
}

static int prepare(Keeping *k) {
        int64_t version;
        int r;

        r = sql_query_int(k->sql, "PRAGMA user_version", &version);
        if (r == 0 && version == 0)
                r = sql_exec(k->sql, schema);
        if (r == 0)
                r = sql_query_int(k->sql, "SELECT count(*) FROM rejected", &k->rows);
        if (r == 0)
                r = measure(k);
        if (r == 0)
                r = sql_prepare(k->sql, "SELECT publish_time, data FROM rejected WHERE id = ?", &k->find);
        if (r == 0)
                r = sql_prepare(k->sql,
                        "INSERT INTO rejected (" COLUMNS
                        ", data_bad, data) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
                        &k->insert);
        return r;
}

/* Keeps all messages or none, in one transaction. */
static int keep_all(Keeping *k, const SinkWork *work) {
        int r;

        r = sql_begin(k->sql, true);
        if (r != 0)
                return r;
        r = prepare(k);
        for (size_t i = 0; r == 0 && i < work->n; i++)
                r = keep_one(k, &work->items[i]);
        k->find = sql_finalize(k->find);
        k->insert = sql_finalize(k->insert);
        return sql_end(k->sql, r);
}

static void answer_fault(SinkAnswer *answer, const RejectedKeeper *keeper, int r) {
        bool full = r == -EDQUOT;

        answer->fault = full ? SINK_FAULT_LASTING : SINK_FAULT_PASSING;
        answer->cause = full ? CAUSE_APART_FULL : r == -EUCLEAN ? CAUSE_DISK : cause_of_disk(r);
        answer->reason = full ? "rejected_full" : "rejected_failing";
        answer->words = "waits: a message that can never be stored cannot be set apart either";
        answer->remedy = full               ? "look at `sensorqd rejected list`, then replay or drop what is there"
                         : r == -EUCLEAN    ? "move it away and keep it; a new one is created"
                         : r == -EOPNOTSUPP ? "install that version again, or move the file away"
                                            : cause_disk_remedy(r);
        if (full)
                (void) snprintf(
                        answer->detail, sizeof(answer->detail), "%s/" REJECTED_FILE " is full", keeper->state_dir);
        else
                (void) snprintf(answer->detail, sizeof(answer->detail), "%s/" REJECTED_FILE ": %s", keeper->state_dir,
                        r == -EUCLEAN      ? "is damaged"
                        : r == -EOPNOTSUPP ? "was made by a later sensorqd"
                                           : strerror(-r));
}

static int keep(const RejectedKeeper *keeper, const SinkWork *work) {
        Keeping k = { .keeper = keeper, .at = clock_wall() };
        int r = open_file(keeper->state_dir, true, &k.sql);

        if (r == 0)
                r = keep_all(&k, work);
        k.sql = sql_close(k.sql);
        return r;
}

void rejected_set_apart(RejectedKeeper *keeper, SinkWork *work) {
        int r = keep(keeper, work);

        for (unsigned tries = 1; r == -EBUSY && tries < BUSY_TRIES; tries++)
                r = keep(keeper, work);
        if (r != 0)
                return answer_fault(&work->answer, keeper, r);
        for (size_t i = 0; i < work->n; i++)
                work->items[i].verdict = SINK_STORED;
        sink_said_set_apart(&keeper->said, work);
}

/* ---- the verbs ---- */

int rejected_guest_open(const char *state_dir, Sql **ret) {
        return open_file(state_dir, false, ret);
}

/* A copy of one row. */
typedef struct Copy {
        SinkRejected shown;
        int64_t row;
        Bytes text, json;
} Copy;

/* Reads the next row after copy->row. No transaction stays open meanwhile: while a person reads in a pager, it would
 * keep SQLite's log from being reset. */
static int next_row(SqlStatement *s, const SinkRejectedQuery *query, Copy *copy) {
        Slice attributes, *const parts[] = { &copy->shown.id, &copy->shown.reason, &copy->shown.detail, &attributes,
                &copy->shown.data };
        int r;

        sql_bind(s, SQL_VALUES(SQL_INT(query->with_data), SQL_TEXT(query->id), SQL_INT(copy->row)));
        r = sql_step(s);
        if (r != SQL_ROW)
                return r;
        copy->shown.rejected_at = (usec_t) sql_column_int(s, 5);
        copy->shown.size = (uint64_t) sql_column_int(s, 6);
        copy->row = sql_column_int(s, 7);
        r = sql_copy_columns(s, 0, ELEMENTSOF(parts), parts, &copy->text);
        sql_reset(s);
        if (r < 0)
                return r;
        bytes_cut(&copy->json, 0);
        copy->shown.attributes = attributes_json(attributes, &copy->json) < 0 ? "{}" : copy->json.data;
        return SQL_ROW;
}

int rejected_guest_each(Sql *guest, const SinkRejectedQuery *query) {
        _cleanup_(sql_finalizep) SqlStatement *s = NULL;
        Copy copy = {};
        int r;

        r = sql_prepare(guest,
                "SELECT id, reason, detail, attributes, CASE ?1 WHEN 1 THEN data ELSE x'' END, rejected_at, "
                "length(data), row FROM rejected WHERE row > ?3 AND (?2 IS NULL OR id = ?2) ORDER BY row LIMIT 1",
                &s);
        if (r != 0)
                return r;
        while ((r = next_row(s, query, &copy)) == SQL_ROW)
                if (!query->each(query->userdata, &copy.shown))
                        break;
        bytes_done(&copy.text);
        bytes_done(&copy.json);
        return r == SQL_ROW ? 0 : r;
}

static int read_attributes(Slice text, RejectedMessage *ret) {
        Slice left = text;
        WireAttribute attribute;
        size_t n = 0;

        while (get_attribute(&left, &attribute))
                n++;
        if (left.size > 0)
                return -EBADMSG;
        ret->attributes = calloc(n + 1, sizeof(*ret->attributes));
        if (!ret->attributes)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                (void) get_attribute(&text, &ret->attributes[i]);
        ret->wire.attributes = ret->attributes;
        ret->wire.n_attributes = n;
        return 0;
}

int rejected_guest_message(Sql *guest, const char *id, RejectedMessage *ret) {
        _cleanup_(sql_finalizep) SqlStatement *s = NULL;
        Slice attributes, *const parts[] = { &ret->subscription, &ret->wire.message_id, &ret->wire.publish_time,
                &ret->wire.ordering_key, &attributes, &ret->wire.data };
        int r;

        r = sql_prepare(guest,
                "SELECT subscription, message_id, publish_time, ordering_key, attributes, data, data_bad FROM rejected "
                "WHERE id = ?",
                &s);
        if (r != 0)
                return r;
        sql_bind_text(s, 1, id);
        r = sql_step(s);
        if (r != SQL_ROW)
                return r == SQL_DONE ? -ENOENT : r;
        ret->wire.data_bad = sql_column_int(s, 6) != 0;
        r = sql_copy_columns(s, 0, ELEMENTSOF(parts), parts, &ret->text);
        return r < 0 ? r : read_attributes(attributes, ret);
}

void rejected_message_done(RejectedMessage *message) {
        free(message->attributes);
        bytes_done(&message->text);
}

static int drop_row(Sql *sql, const char *id) {
        _cleanup_(sql_finalizep) SqlStatement *s = NULL;
        int r;

        r = sql_prepare(sql, "DELETE FROM rejected WHERE id = ? RETURNING row", &s);
        if (r != 0)
                return r;
        sql_bind_text(s, 1, id);
        r = sql_step(s);
        if (r == SQL_ROW)
                return sql_step(s) == SQL_DONE ? 0 : -EIO;
        return r == SQL_DONE ? -ENOENT : r;
}

int rejected_guest_drop(Sql *guest, const char *id) {
        int r = sql_begin(guest, true);

        return r != 0 ? r : sql_end(guest, drop_row(guest, id));
}
