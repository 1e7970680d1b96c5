/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a reply of a MongoDB, or of something that answers in its place: each document of the bulk has one
 * verdict, none counts as stored that the reply lists as refused, and the words are UTF-8 and fit. The first byte: how
 * many documents, and the driver's own result.
 *
 * With its highest bit: any documents as what the collections hold, for the page's history and for `rejected`; the
 * functions of the driver that ask a server are replaced. The next bytes: the code of an error, who gets it. */
#include <stdio.h>

#include "fuzz.h"
#include "lib/bytes.h"
#include "lib/err.h"
#include "page-numbers.h"
#include "sinks/document.h"
#include "sinks/mongodb.h"
#include "types.h"

#define DOCUMENTS_MAX 8

static void require_words(const char *words, size_t size) {
        require(memchr(words, '\0', size) && bytes_is_utf8(words, strlen(words)));
}

static void describe(const bson_t *reply, const bson_error_t *error, size_t n, size_t room) {
        char *text = malloc(room);

        for (size_t i = 0; i <= n; i++) {
                mongodb_reply_describe(reply, error, i, text, room);
                require_words(text, room);
        }
        mongodb_reply_describe_fault(reply, error, "h:1", text, room);
        require_words(text, room);
        free(text);
}

static void judge(const bson_t *reply, const bson_error_t *error, bool ok, size_t n) {
        MongodbJudgement judgements[DOCUMENTS_MAX];
        MongodbFault fault = mongodb_reply_judge(ok, reply, error, judgements, n);
        size_t listed = 0, stored = 0;

        for (size_t i = 0; i < n; i++) {
                listed += judgements[i].verdict > SINK_STORED;
                stored += judgements[i].verdict == SINK_STORED;
        }
        require(stored == 0 || stored + listed == n);
        require(mongodb_fault_words(fault)->words || fault == MONGODB_FAULT_NONE);
        require(mongodb_reply_fault(reply, error) != MONGODB_FAULT_NONE);
}

/* ---- a driver that has what the input holds ---- */

enum { FIND_FAILS = 1, COMMAND_FAILS = 2, BULK_FAILS = 4 };

static struct {
        Slice rest;
        uint8_t *data; /* of the document that was handed out last */
        bson_t document;
        uint8_t code, fails;
} driver;

/* The next document, in memory of its own. */
static bool next_document(void) {
        uint32_t size;

        free(cleanup_steal(driver.data));
        if (driver.rest.size < 5)
                return false;
        memcpy(&size, driver.rest.data, sizeof(size));
        if (size < 5 || size > driver.rest.size)
                return false;
        driver.data = malloc(size);
        memcpy(driver.data, driver.rest.data, size);
        driver.rest = (Slice){ driver.rest.data + size, driver.rest.size - size };
        return bson_init_static(&driver.document, driver.data, size);
}

static bool answer(int what, bson_t *reply, bson_error_t *error) {
        bool ok = !(driver.fails & what);

        if (next_document())
                bson_copy_to(&driver.document, reply);
        else
                bson_init(reply);
        if (!ok)
                bson_set_error(error, MONGOC_ERROR_SERVER, driver.code, "an error");
        return ok;
}

mongoc_client_t *mongoc_client_pool_pop(mongoc_client_pool_t *pool) {
        mongoc_uri_t *uri = mongoc_uri_new("mongodb://127.0.0.1:1/");
        mongoc_client_t *client = mongoc_client_new_from_uri(uri);

        mongoc_uri_destroy(uri);
        return client;
}

void mongoc_client_pool_push(mongoc_client_pool_t *pool, mongoc_client_t *client) {
        mongoc_client_destroy(client);
}

bool mongoc_cursor_next(mongoc_cursor_t *cursor, const bson_t **ret) {
        *ret = &driver.document;
        return next_document();
}

bool mongoc_cursor_error_document(mongoc_cursor_t *cursor, bson_error_t *error, const bson_t **ret) {
        static bson_t empty = BSON_INITIALIZER;

        *ret = &empty;
        if (driver.fails & FIND_FAILS)
                bson_set_error(error, MONGOC_ERROR_SERVER, driver.code, "an error");
        return driver.fails & FIND_FAILS;
}

bool mongoc_cursor_error(mongoc_cursor_t *cursor, bson_error_t *error) {
        const bson_t *reply;

        return mongoc_cursor_error_document(cursor, error, &reply);
}

bool mongoc_client_command_simple(mongoc_client_t *client, const char *database, const bson_t *command,
        const mongoc_read_prefs_t *prefs, bson_t *reply, bson_error_t *error) {
        if (bson_has_field(command, "ping")) {
                bson_init(reply);
                return true;
        }
        return answer(COMMAND_FAILS, reply, error);
}

bool mongoc_client_write_command_with_opts(mongoc_client_t *client, const char *database, const bson_t *command,
        const bson_t *options, bson_t *reply, bson_error_t *error) {
        return answer(COMMAND_FAILS, reply, error);
}

uint32_t mongoc_bulk_operation_execute(mongoc_bulk_operation_t *bulk, bson_t *reply, bson_error_t *error) {
        return answer(BULK_FAILS, reply, error);
}

/* ---- what is read back ---- */

static void on_past(void *userdata, const SinkPast *past) {
        PageFound found = {};

        require(json_is_whole(past->text, 32, NULL) || !bytes_is_utf8(past->text.data, past->text.size));
        if (page_numbers_find(past, "id", &found) == PAGE_NUMBERS_FOUND)
                require(json_is_whole((Slice){ found.labels.data, found.labels.size }, 2, NULL) &&
                        bytes_is_utf8(found.labels.data, found.labels.size) &&
                        bytes_is_utf8(found.source, strlen(found.source)) &&
                        bytes_is_utf8(found.device, strlen(found.device)) &&
                        bytes_is_utf8(found.name, strlen(found.name)));
        page_numbers_done(&found);
}

static bool on_rejected(void *userdata, const SinkRejected *rejected) {
        return rejected->data.data && strlen(rejected->attributes) >= 2; /* libbson's words for a broken document */
}

static void on_other(void *userdata, const char *subscription) {
        require(strlen(subscription) <= driver.document.len);
}

static void read_back(Slice documents) {
        static char uri[] = "mongodb://127.0.0.1:1/", name[] = "n", *dates[] = { NULL };
        static MongodbConfig keys = {
                .uri = uri, .database = name, .collection = name, .rejected_collection = name, .date_fields = dates
        };
        const SubscriptionConfig config = { .subscription = name, .id_attribute = name, .keys = &keys };
        SinkPiece piece = { .before = INT64_MAX, .each = on_past };
        char text[SINK_ADMIN_TEXT_MAX] = "";
        const SinkType *sink = types_sink("mongodb");
        static MongodbClient *client;
        static void *history;

        if (!client)
                require(mongodb_client_new(&config, NULL, &client, text) == 0 &&
                        sink->history->open(&config, &history, text) == 0);
        driver.rest = documents;
        require(sink->history->next(history, &piece) >= 0);
        require_words(piece.detail, sizeof(piece.detail));
        bytes_done(&piece.mark);
        driver.rest = documents;
        require(sink->admin->each_rejected(client,
                        &(SinkRejectedQuery){ .with_data = true, .each = on_rejected, .other = on_other }, text) >= 0);
        require_words(text, sizeof(text));
        driver.rest = documents;
        require(sink->admin->replay(client, "i", text) >= 0);
        require_words(text, sizeof(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        bson_error_t error = {};
        uint8_t *copy;
        bson_t reply;

        if (size < 3)
                return 0;
        if (data[0] & 128) {
                driver.code = data[1];
                driver.fails = data[2];
                read_back((Slice){ (const char *) data + 3, size - 3 });
                return 0;
        }
        error.domain = data[1] % 24;
        error.code = data[1];
        (void) snprintf(error.message, sizeof(error.message), "%.*s", (int) (size - 2), (const char *) data + 2);
        copy = malloc(size - 2);
        memcpy(copy, data + 2, size - 2);
        if (bson_init_static(&reply, copy, size - 2)) {
                judge(&reply, &error, data[0] & 64, data[0] % (DOCUMENTS_MAX + 1));
                describe(&reply, &error, data[0] % (DOCUMENTS_MAX + 1), 48 + data[1] % 200);
                (void) document_same_payload(&reply, &reply);
                (void) document_same_data(&reply, &reply);
                (void) document_same_time(&reply, &reply);
        } else
                describe(NULL, &error, 1, 48 + data[0]);
        free(copy);
        return 0;
}
