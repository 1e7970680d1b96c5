/* SPDX-License-Identifier: Apache-2.0 */
/* Reads stored messages again, in pieces: by the index on _id, so that every piece costs the same, and with a time
 * limit on the server. It has a client of its own, so that the sink never waits for it. */
#include <errno.h>

#include "sinks/mongodb-client.h"

#define DOCUMENTS_MAX 1000
#define DOCUMENTS_MIN 10      /* of a piece, even when the server is slow */
#define TEXT_MAX (512 * 1024) /* of a piece: with large documents it holds fewer */
#define ATTRIBUTES_MAX 100

typedef struct History {
        MongodbClient *client;
        int64_t limit; /* number of documents of the next piece */
} History;

/* ---- attributes ---- */

static size_t read_attributes(const bson_t *document, WireAttribute attributes[static ATTRIBUTES_MAX]) {
        bson_iter_t found, members;
        size_t n = 0;

        if (!document_find(document, "pubsub.attributes", &found) || !BSON_ITER_HOLDS_DOCUMENT(&found) ||
                !bson_iter_recurse(&found, &members))
                return 0;
        while (n < ATTRIBUTES_MAX && bson_iter_next(&members)) {
                uint32_t size;
                const char *value;

                if (!BSON_ITER_HOLDS_UTF8(&members))
                        continue;
                value = bson_iter_utf8(&members, &size);
                attributes[n++] =
                        (WireAttribute){ { bson_iter_key(&members), bson_iter_key_len(&members) }, { value, size } };
        }
        return n;
}

/* ---- a piece ---- */

static int note_mark(const bson_t *document, Bytes *mark) {
        Slice id = document_text(document, "_id");

        bytes_cut(mark, 0);
        return bytes_append(mark, id.data, id.size);
}

static int tell(const bson_t *document, const SinkPiece *piece, Bytes *json) {
        WireAttribute attributes[ATTRIBUTES_MAX];
        SinkPast past = { .attributes = attributes };
        int r;

        bytes_cut(json, 0);
        r = document_put_json(document, json);
        if (r < 0)
                return r;
        past.text = (Slice){ json->data, json->size };
        (void) document_date(document, "pubsub.publish_time", &past.published);
        past.n_attributes = read_attributes(document, attributes);
        piece->each(piece->userdata, &past);
        return 0;
}

/* Finds the documents of a piece. All our _ids are texts. */
static mongoc_cursor_t *find_piece(const History *history, const SinkPiece *piece) {
        bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER, part;
        mongoc_cursor_t *cursor;

        (void) BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &part);
        (void) bson_append_utf8(&part, "$gt", -1, piece->mark.data ? piece->mark.data : "", (int) piece->mark.size);
        (void) bson_append_document_end(&filter, &part);
        BCON_APPEND(&filter, "stored_at", "{", "$lt", BCON_DATE_TIME(piece->before), "}");
        BCON_APPEND(&options, "sort", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT64(history->limit), "maxTimeMS",
                BCON_INT64(MONGODB_FIND_MSEC));
        cursor = mongoc_collection_find_with_opts(history->client->readings, &filter, &options, NULL);
        bson_destroy(&filter);
        bson_destroy(&options);
        return cursor;
}

static int missed(MongodbFault fault) {
        return mongodb_fault_words(fault)->lasting ? SINK_HISTORY_REFUSED : SINK_HISTORY_AWAY;
}

static int read_piece(History *history, SinkPiece *piece) {
        _cleanup_bytes_ Bytes json = {}, mark = {};
        mongoc_cursor_t *cursor = find_piece(history, piece);
        const bson_t *document;
        MongodbFault fault;
        size_t text = 0;
        int64_t n = 0;
        int r = 0;

        for (; r >= 0 && text < TEXT_MAX && mongoc_cursor_next(cursor, &document); n++) {
                r = tell(document, piece, &json);
                if (r >= 0)
                        r = note_mark(document, &mark);
                text += json.size;
        }
        fault = mongodb_client_end_find(cursor, piece->detail);
        if (r < 0)
                return r;
        if (fault != MONGODB_FAULT_NONE) { /* perhaps it took too long: the next piece is smaller */
                history->limit = history->limit / 4 > DOCUMENTS_MIN ? history->limit / 4 : DOCUMENTS_MIN;
                return missed(fault);
        }
        if (n > 0) {
                bytes_done(&piece->mark);
                piece->mark = bytes_steal(&mark);
        }
        if (text < TEXT_MAX && n < history->limit)
                return SINK_HISTORY_END;
        if (history->limit < DOCUMENTS_MAX)
                history->limit *= 2;
        return SINK_HISTORY_MORE;
}

static int history_next(void *self, SinkPiece *piece) {
        History *history = self;
        MongodbFault fault = mongodb_client_ping(history->client, piece->detail);

        return fault == MONGODB_FAULT_NONE ? read_piece(history, piece) : missed(fault);
}

/* ---- life ---- */

static void *history_close(void *self) {
        History *history = self;

        if (!history)
                return NULL;
        mongodb_client_free(history->client);
        free(history);
        return NULL;
}

static int history_open(const SubscriptionConfig *config, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        History *history = calloc(1, sizeof(*history));
        int r;

        if (!history)
                return -ENOMEM;
        history->limit = DOCUMENTS_MAX;
        r = mongodb_client_new(config, NULL, &history->client, problem);
        if (r < 0) {
                free(history);
                return r;
        }
        *ret_self = history;
        return 0;
}

const SinkHistory sink_history_mongodb = { history_open, history_next, history_close };
