/* SPDX-License-Identifier: Apache-2.0 */
/* `rejected` for a rejected collection: list, show, replay, drop. Several subscriptions may share the collection, so
 * only rows of this subscription are used. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinks/mongodb-write.h"

/* The message of a rejected document, as it came. */
typedef struct Message {
        WireMessage wire;
        WireAttribute *attributes;
        char publish_time[CLOCK_RFC3339_SIZE];
} Message;

/* ---- reading ---- */

static usec_t find_time(const bson_t *document, const char *key) {
        int64_t msec;

        return document_date(document, key, &msec) && msec >= 0 ? (usec_t) msec * USEC_PER_MSEC : 0;
}

static char *attributes_json(const bson_t *document) {
        bson_iter_t found;
        const uint8_t *data;
        uint32_t size;
        bson_t attributes;

        if (!document_find(document, "pubsub.attributes", &found))
                return NULL;
        if (BSON_ITER_HOLDS_ARRAY(&found))
                bson_iter_array(&found, &size, &data);
        else if (BSON_ITER_HOLDS_DOCUMENT(&found))
                bson_iter_document(&found, &size, &data);
        else
                return NULL;
        return bson_init_static(&attributes, data, size) ? bson_as_relaxed_extended_json(&attributes, NULL) : NULL;
}

/* Projects all fields but the data, which may be megabytes; its size instead (needs a server of 4.4 or later). */
static void put_projection(bson_t *options) {
        BCON_APPEND(options, "projection", "{", "reason", BCON_INT32(1), "detail", BCON_INT32(1), "pubsub",
                BCON_INT32(1), "rejected_at", BCON_INT32(1), "size", "{", "$binarySize", BCON_UTF8("$data"), "}", "}");
}

/* Finds rejected documents in the order of insertion. */
static mongoc_cursor_t *find_rejected(MongodbClient *client, const char *id, bool with_data) {
        bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;
        mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
        mongoc_cursor_t *cursor;

        if (id)
                BCON_APPEND(&filter, "_id", BCON_UTF8(id));
        BCON_APPEND(&filter, "pubsub.subscription", BCON_UTF8(client->rules.subscription));
        if (!with_data)
                put_projection(&options);
        cursor = mongoc_collection_find_with_opts(client->rejected, &filter, &options, primary);
        mongoc_read_prefs_destroy(primary);
        bson_destroy(&options);
        bson_destroy(&filter);
        return cursor;
}

static bool tell(const bson_t *document, const SinkRejectedQuery *query) {
        char *attributes = attributes_json(document);
        const SinkRejected rejected = {
                .id = document_text(document, "_id"),
                .reason = document_text(document, "reason"),
                .detail = document_text(document, "detail"),
                .data = query->with_data ? document_data(document) : (Slice){ "", 0 },
                /* the server's count if the data was not read */
                .size = (uint64_t) document_number(document, "size", (int64_t) document_data(document).size),
                .rejected_at = find_time(document, "rejected_at"),
                .attributes = attributes ? attributes : "{}",
        };
        bool more = query->each(query->userdata, &rejected);

        bson_free(attributes);
        return more;
}

/* Calls query->each for the documents. *ret_n* is their number. Those whose `_id` is no text are not ours: none of our
 * verbs could name them. */
static MongodbFault tell_all(MongodbClient *client, const SinkRejectedQuery *query, bool with_data, size_t *ret_n,
        char detail[static MONGODB_DETAIL_SIZE]) {
        const bson_t *document;
        mongoc_cursor_t *cursor;
        bool more = true;

        *ret_n = 0;
        cursor = find_rejected(client, query->id, with_data);
        while (more && mongoc_cursor_next(cursor, &document)) {
                if (document_text(document, "_id").size == 0)
                        continue;
                (*ret_n)++;
                more = tell(document, query);
        }
        return mongodb_client_end_find(cursor, detail);
}

/* Calls query->other for subscriptions that share the collection, or were renamed. */
static MongodbFault tell_others(
        MongodbClient *client, const SinkRejectedQuery *query, char detail[static MONGODB_DETAIL_SIZE]) {
        bson_t command = BSON_INITIALIZER, reply;
        bson_iter_t iter, each;
        MongodbFault fault;

        BCON_APPEND(
                &command, "distinct", BCON_UTF8(client->rejected_collection), "key", BCON_UTF8("pubsub.subscription"));
        fault = mongodb_client_read_command(client, client->database, &command, &reply, detail);
        if (fault == MONGODB_FAULT_NONE && bson_iter_init_find(&iter, &reply, "values") &&
                BSON_ITER_HOLDS_ARRAY(&iter) && bson_iter_recurse(&iter, &each))
                while (bson_iter_next(&each))
                        if (BSON_ITER_HOLDS_UTF8(&each) &&
                                strcmp(bson_iter_utf8(&each, NULL), client->rules.subscription) != 0)
                                query->other(query->userdata, bson_iter_utf8(&each, NULL));
        bson_destroy(&reply);
        bson_destroy(&command);
        return fault;
}

int mongodb_rejected_each(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]) {
        char detail[MONGODB_DETAIL_SIZE];
        MongodbClient *client = self;
        MongodbFault fault;
        size_t n;

        fault = mongodb_client_connect(client, detail);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(fault, detail, text);
        fault = tell_all(client, query, query->with_data, &n, detail);
        if (fault != MONGODB_FAULT_NONE && fault != MONGODB_FAULT_UNREACHABLE && n == 0 && !query->with_data)
                fault = tell_all(client, query, true, &n, detail); /* the server cannot compute the size */
        if (fault == MONGODB_FAULT_NONE && query->other)
                fault = tell_others(client, query, detail);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(fault, detail, text);
        (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%zu in %s.%s", n, client->database, client->rejected_collection);
        return SINK_ADMIN_OK;
}

/* ---- deleting ---- */

int mongodb_rejected_drop(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        bson_t command = BSON_INITIALIZER, reply;
        char detail[MONGODB_DETAIL_SIZE];
        MongodbClient *client = self;
        MongodbFault fault;
        bool gone;

        fault = mongodb_client_connect(client, detail);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(fault, detail, text);
        BCON_APPEND(&command, "delete", BCON_UTF8(client->rejected_collection), "deletes", "[", "{", "q", "{", "_id",
                BCON_UTF8(id), "pubsub.subscription", BCON_UTF8(client->rules.subscription), "}", "limit",
                BCON_INT32(1), "}", "]");
        fault = mongodb_client_write_command(client, &command, &reply, detail);
        gone = fault == MONGODB_FAULT_NONE && document_number(&reply, "n", 0) > 0;
        bson_destroy(&command);
        bson_destroy(&reply);
        if (fault == MONGODB_FAULT_FORBIDDEN)
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s: grant the user remove on %s.%s", detail,
                        client->database, client->rejected_collection);
        else if (fault != MONGODB_FAULT_NONE)
                (void) mongodb_admin_failed(fault, detail, text);
        else
                text_copy(text, SINK_ADMIN_TEXT_MAX, gone ? "deleted" : "no such rejected message");
        return gone ? SINK_ADMIN_OK : SINK_ADMIN_FAILED;
}

/* ---- storing again ---- */

static Slice iter_bytes(const bson_iter_t *iter) {
        const uint8_t *data = NULL;
        bson_subtype_t subtype;
        uint32_t size = 0;

        if (BSON_ITER_HOLDS_UTF8(iter)) {
                const char *text = bson_iter_utf8(iter, &size);

                return (Slice){ text, size };
        }
        if (BSON_ITER_HOLDS_BINARY(iter))
                bson_iter_binary(iter, &subtype, &size, &data);
        return (Slice){ data ? (const char *) data : "", size };
}

/* Reads an attribute: a field, or {name, value} in a list. */
static WireAttribute read_attribute(const bson_iter_t *iter, bool list) {
        WireAttribute attribute = { { "", 0 }, { "", 0 } };
        bson_iter_t member;

        if (!list)
                return (WireAttribute){ { bson_iter_key(iter), strlen(bson_iter_key(iter)) }, iter_bytes(iter) };
        if (BSON_ITER_HOLDS_DOCUMENT(iter) && bson_iter_recurse(iter, &member))
                while (bson_iter_next(&member))
                        *(strcmp(bson_iter_key(&member), "name") == 0 ? &attribute.key : &attribute.value) =
                                iter_bytes(&member);
        return attribute;
}

static int read_attributes(const bson_t *document, Message *message) {
        bson_iter_t found, each;
        size_t n = 0;
        bool list;

        if (!document_find(document, "pubsub.attributes", &found))
                return 0;
        list = BSON_ITER_HOLDS_ARRAY(&found);
        if ((!list && !BSON_ITER_HOLDS_DOCUMENT(&found)) || !bson_iter_recurse(&found, &each))
                return 0;
        while (bson_iter_next(&each))
                n++;
        message->attributes = calloc(n + 1, sizeof(*message->attributes));
        if (!message->attributes || !bson_iter_recurse(&found, &each))
                return -ENOMEM;
        for (size_t i = 0; i < n && bson_iter_next(&each); i++)
                message->attributes[i] = read_attribute(&each, list);
        message->wire.attributes = message->attributes;
        message->wire.n_attributes = n;
        return 0;
}

/* Reads the message; all but the array of attributes is borrowed from *document*. */
static int read_message(const bson_t *document, Message *ret) {
        int64_t published;

        *ret = (Message){ .wire = {
                                  .data = document_data(document),
                                  .data_bad = slice_equal(
                                          document_text(document, "reason"), document_reason(DOCUMENT_NOT_BASE64)),
                                  .message_id = document_text(document, "pubsub.message_id"),
                                  .publish_time = document_text(document, "pubsub.publish_time"),
                                  .ordering_key = document_text(document, "pubsub.ordering_key"),
                          } };
        if (document_date(document, "pubsub.publish_time", &published) && published >= 0) {
                (void) clock_format_rfc3339((usec_t) published * USEC_PER_MSEC, ret->publish_time);
                ret->wire.publish_time = (Slice){ ret->publish_time, strlen(ret->publish_time) };
        }
        return read_attributes(document, ret);
}

/* Stores the message as the daemon would now, then deletes it from the rejected ones. */
static int replay_document(
        MongodbClient *client, const bson_t *document, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        SinkItem item = {};
        SinkWork work = { .items = &item, .n = 1 };
        MongodbFault fault;
        Message message;
        int r;

        r = read_message(document, &message);
        if (r < 0)
                return r;
        item.message = &message.wire;
        fault = mongodb_write(client, &work, false);
        free(message.attributes);
        if (fault != MONGODB_FAULT_NONE)
                r = mongodb_admin_failed(fault, work.answer.detail, text);
        else if (item.verdict != SINK_STORED && item.verdict != SINK_DUPLICATE) {
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "still cannot be stored: %s (%s)",
                        item.detail ? item.detail : "out of memory", item.reason ? item.reason : "memory");
                r = SINK_ADMIN_FAILED;
        } else
                r = mongodb_rejected_drop(client, id, text);
        free(item.detail);
        if (r == SINK_ADMIN_OK)
                text_copy(text, SINK_ADMIN_TEXT_MAX, item.verdict == SINK_STORED ? "stored" : "was stored already");
        return r;
}

int mongodb_rejected_replay(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        char detail[MONGODB_DETAIL_SIZE];
        MongodbClient *client = self;
        const bson_t *document;
        mongoc_cursor_t *cursor;
        MongodbFault fault;
        bson_t *copy = NULL;
        int r;

        fault = mongodb_client_connect(client, detail);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(fault, detail, text);
        cursor = find_rejected(client, id, true);
        if (mongoc_cursor_next(cursor, &document))
                copy = bson_copy(document);
        fault = mongodb_client_end_find(cursor, detail);
        if (fault == MONGODB_FAULT_NONE && copy)
                r = replay_document(client, copy, id, text);
        else if (fault != MONGODB_FAULT_NONE)
                r = mongodb_admin_failed(fault, detail, text);
        else {
                text_copy(text, SINK_ADMIN_TEXT_MAX, "no such rejected message");
                r = SINK_ADMIN_FAILED;
        }
        bson_destroy(copy);
        return r;
}
