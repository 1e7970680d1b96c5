/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinks/mongodb-admin-internal.h"
#include "sinks/mongodb-write.h"

/* One rejected document read back: the message as it came. */
typedef struct Message {
        WireMessage wire;
        WireAttribute *attributes;
        char publish_time[CLOCK_RFC3339_SIZE];
} Message;

/* ---- reading ---- */

static Slice find_text(const bson_t *document, const char *path) {
        bson_iter_t iter, found;
        uint32_t size;
        const char *text;

        if (!bson_iter_init(&iter, document) || !bson_iter_find_descendant(&iter, path, &found) ||
                !BSON_ITER_HOLDS_UTF8(&found))
                return (Slice){ "", 0 };
        text = bson_iter_utf8(&found, &size);
        return (Slice){ text, size };
}

static Slice find_data(const bson_t *document) {
        const uint8_t *data = NULL;
        bson_subtype_t subtype;
        bson_iter_t iter;
        uint32_t size = 0;

        if (bson_iter_init_find(&iter, document, "data") && BSON_ITER_HOLDS_BINARY(&iter))
                bson_iter_binary(&iter, &subtype, &size, &data);
        return (Slice){ data ? (const char *) data : "", size };
}

static int64_t find_date(const bson_t *document, const char *key) {
        bson_iter_t iter;

        return bson_iter_init_find(&iter, document, key) && BSON_ITER_HOLDS_DATE_TIME(&iter)
                       ? bson_iter_date_time(&iter)
                       : 0;
}

static char *attributes_json(const bson_t *document) {
        bson_iter_t iter, found;
        const uint8_t *data;
        uint32_t size;
        bson_t attributes;

        if (!bson_iter_init(&iter, document) || !bson_iter_find_descendant(&iter, "pubsub.attributes", &found))
                return NULL;
        if (BSON_ITER_HOLDS_ARRAY(&found)) {
                bson_iter_array(&found, &size, &data);
                return bson_init_static(&attributes, data, size) ? bson_as_relaxed_extended_json(&attributes, NULL)
                                                                 : NULL;
        }
        if (!BSON_ITER_HOLDS_DOCUMENT(&found))
                return NULL;
        bson_iter_document(&found, &size, &data);
        return bson_init_static(&attributes, data, size) ? bson_as_relaxed_extended_json(&attributes, NULL) : NULL;
}

static mongoc_cursor_t *find_rejected(MongodbAdmin *admin, const char *id) {
        bson_t filter = BSON_INITIALIZER;
        mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
        mongoc_cursor_t *cursor;

        if (id)
                (void) BSON_APPEND_UTF8(&filter, "_id", id);
        (void) BSON_APPEND_UTF8(&filter, "pubsub.subscription", admin->client->rules.subscription);
        cursor = mongoc_collection_find_with_opts(
                admin->client->rejected, &filter, NULL, primary); /* in the order of insertion */
        mongoc_read_prefs_destroy(primary);
        bson_destroy(&filter);
        return cursor;
}

static bool tell(
        const bson_t *document, bool (*each)(void *userdata, const MongodbRejected *rejected), void *userdata) {
        char *attributes = attributes_json(document);
        const MongodbRejected rejected = {
                .id = find_text(document, "_id"),
                .reason = find_text(document, "reason"),
                .detail = find_text(document, "detail"),
                .data = find_data(document),
                .message_id = find_text(document, "pubsub.message_id"),
                .rejected_at = find_date(document, "rejected_at"),
                .attributes = attributes ? attributes : "{}",
        };
        bool more = each(userdata, &rejected);

        bson_free(attributes);
        return more;
}

int mongodb_admin_each_rejected(MongodbAdmin *admin, const char *id,
        bool (*each)(void *userdata, const MongodbRejected *rejected), void *userdata, size_t *ret_n,
        MongodbAdminDetail *ret_detail) {
        char text[MONGODB_DETAIL_SIZE];
        const bson_t *document, *reply;
        mongoc_cursor_t *cursor;
        bson_error_t error;
        MongodbFault fault;
        size_t n = 0;
        bool more = true;

        ret_detail->text[0] = '\0';
        fault = mongodb_client_connect(admin->client, text);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(ret_detail, fault, text);
        cursor = find_rejected(admin, id);
        while (more && mongoc_cursor_next(cursor, &document)) {
                n++;
                more = tell(document, each, userdata);
        }
        if (mongoc_cursor_error_document(cursor, &error, &reply)) {
                fault = mongodb_reply_fault(reply, &error);
                mongodb_reply_describe_error(&error, text, sizeof(text));
        }
        mongoc_cursor_destroy(cursor);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(ret_detail, fault, text);
        *ret_n = n;
        (void) snprintf(ret_detail->text, sizeof(ret_detail->text), "%zu in %s.%s", n, admin->client->database,
                admin->client->rejected_collection);
        return MONGODB_ADMIN_OK;
}

/* ---- deleting ---- */

int mongodb_admin_drop(MongodbAdmin *admin, const char *id, MongodbAdminDetail *ret_detail) {
        bson_t command = BSON_INITIALIZER, list, delete, query, reply;
        char text[MONGODB_DETAIL_SIZE];
        MongodbFault fault;
        int64_t n;

        fault = mongodb_client_connect(admin->client, text);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(ret_detail, fault, text);
        (void) BSON_APPEND_UTF8(&command, "delete", admin->client->rejected_collection);
        (void) BSON_APPEND_ARRAY_BEGIN(&command, "deletes", &list);
        (void) BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &delete);
        (void) BSON_APPEND_DOCUMENT_BEGIN(&delete, "q", &query);
        (void) BSON_APPEND_UTF8(&query, "_id", id);
        (void) BSON_APPEND_UTF8(&query, "pubsub.subscription", admin->client->rules.subscription);
        (void) bson_append_document_end(&delete, &query);
        (void) BSON_APPEND_INT32(&delete, "limit", 1);
        (void) bson_append_document_end(&list, &delete);
        (void) bson_append_array_end(&command, &list);

        fault = mongodb_client_write_command(admin->client, &command, &reply, text);
        n = fault == MONGODB_FAULT_NONE ? mongodb_admin_number(&reply, "n", 0) : 0;
        bson_destroy(&command);
        bson_destroy(&reply);
        if (fault == MONGODB_FAULT_FORBIDDEN)
                (void) snprintf(ret_detail->text, sizeof(ret_detail->text), "%s: grant the user remove on %s.%s", text,
                        admin->client->database, admin->client->rejected_collection);
        else if (fault != MONGODB_FAULT_NONE)
                (void) mongodb_admin_failed(ret_detail, fault, text);
        else
                (void) snprintf(
                        ret_detail->text, sizeof(ret_detail->text), n > 0 ? "deleted" : "no such rejected message");
        return n > 0 ? MONGODB_ADMIN_OK : MONGODB_ADMIN_FAILED;
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

/* One attribute: a field, or {name, value} in a list. */
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
        bson_iter_t iter, found, each;
        size_t n = 0;
        bool list;

        if (!bson_iter_init(&iter, document) || !bson_iter_find_descendant(&iter, "pubsub.attributes", &found))
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

/* Everything is borrowed from *document* but the array of attributes. */
static int read_message(const bson_t *document, Message *ret) {
        bson_iter_t iter, found;

        *ret = (Message){ .wire = {
                                  .data = find_data(document),
                                  .data_bad = slice_equal(
                                          find_text(document, "reason"), document_reason(DOCUMENT_NOT_BASE64)),
                                  .message_id = find_text(document, "pubsub.message_id"),
                                  .publish_time = find_text(document, "pubsub.publish_time"),
                          } };
        if (bson_iter_init(&iter, document) && bson_iter_find_descendant(&iter, "pubsub.publish_time", &found) &&
                BSON_ITER_HOLDS_DATE_TIME(&found) && bson_iter_date_time(&found) >= 0) {
                (void) clock_format_rfc3339((usec_t) bson_iter_date_time(&found) * USEC_PER_MSEC, ret->publish_time);
                ret->wire.publish_time = (Slice){ ret->publish_time, strlen(ret->publish_time) };
        }
        return read_attributes(document, ret);
}

/* Stored as the daemon would store it now; then it is no longer among the rejected. */
static int replay_document(
        MongodbAdmin *admin, const bson_t *document, const char *id, MongodbAdminDetail *ret_detail) {
        MongodbAdminDetail dropped;
        SinkItem item = {};
        SinkWork work = { .items = &item, .n = 1 };
        MongodbFault fault;
        Message message;
        int r;

        r = read_message(document, &message);
        if (r < 0)
                return r;
        item.message = &message.wire;
        fault = mongodb_write(admin->client, &work, false);
        free(message.attributes);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(ret_detail, fault, work.answer.detail);
        if (item.verdict != SINK_STORED && item.verdict != SINK_DUPLICATE) {
                (void) snprintf(ret_detail->text, sizeof(ret_detail->text), "still cannot be stored: %s (%s)",
                        item.detail ? item.detail : "out of memory", item.reason ? item.reason : "memory");
                free(item.detail);
                return MONGODB_ADMIN_FAILED;
        }

        r = mongodb_admin_drop(admin, id, &dropped);
        if (r == MONGODB_ADMIN_OK)
                text_copy(ret_detail->text, sizeof(ret_detail->text),
                        item.verdict == SINK_STORED ? "stored" : "was stored already");
        else
                (void) snprintf(ret_detail->text, sizeof(ret_detail->text),
                        "stored, but still among the rejected (safe to repeat): %.500s", dropped.text);
        return r;
}

int mongodb_admin_replay(MongodbAdmin *admin, const char *id, MongodbAdminDetail *ret_detail) {
        char text[MONGODB_DETAIL_SIZE] = "";
        const bson_t *document, *reply;
        mongoc_cursor_t *cursor;
        bson_t *copy = NULL;
        bson_error_t error;
        MongodbFault fault;
        int r;

        fault = mongodb_client_connect(admin->client, text);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(ret_detail, fault, text);
        cursor = find_rejected(admin, id);
        if (mongoc_cursor_next(cursor, &document))
                copy = bson_copy(document);
        else if (mongoc_cursor_error_document(cursor, &error, &reply)) {
                fault = mongodb_reply_fault(reply, &error);
                mongodb_reply_describe_error(&error, text, sizeof(text));
        }
        mongoc_cursor_destroy(cursor);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(ret_detail, fault, text);
        if (!copy) {
                (void) snprintf(ret_detail->text, sizeof(ret_detail->text), "no such rejected message");
                return MONGODB_ADMIN_FAILED;
        }
        r = replay_document(admin, copy, id, ret_detail);
        bson_destroy(copy);
        return r;
}
