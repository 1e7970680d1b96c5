/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB as a type of sink. All functions but mongodb_open() run on the sink's thread, those of its history on
 * another. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "lib/text.h"
#include "sinks/mongodb.h"
#include "subscribe/sink-words.h"

#define DOCUMENTS_MAX 1000
#define DOCUMENTS_MIN 10      /* of a piece, even when the server is slow */
#define TEXT_MAX (512 * 1024) /* of a piece: with large documents it holds fewer */
#define ATTRIBUTES_MAX 100

typedef struct Mongodb {
        MongodbClient *client;
        char *place;
        char *apart; /* where rejected messages go */
        SinkApart said;
} Mongodb;

static void answer_with(SinkAnswer *answer, MongodbFault fault) {
        const MongodbWords *words = mongodb_fault_words(fault);

        if (fault == MONGODB_FAULT_NONE)
                return;
        answer->fault = words->lasting ? SINK_FAULT_LASTING : SINK_FAULT_PASSING;
        answer->cause = words->cause;
        answer->reason = words->name;
        answer->words = words->words;
        answer->remedy = words->remedy;
}

static void mongodb_probe(void *self, SinkAnswer *answer) {
        Mongodb *m = self;
        bool tried;

        answer_with(answer, mongodb_client_try(m->client, &tried, answer->detail));
        answer->untried = answer->fault == SINK_FAULT_NONE && !tried;
}

static void mongodb_store(void *self, SinkWork *work) {
        Mongodb *m = self;

        answer_with(&work->answer, mongodb_write(m->client, work, false));
}

/* ---- setting apart ---- */

static int key_of(const void *self, const WireMessage *message, Bytes *ret) {
        const Mongodb *m = self;
        const DocumentInput input = { .message = message, .rules = &m->client->rules };
        _cleanup_bytes_ Bytes scratch = {};
        Slice id;
        int r = document_id(&input, &scratch, &id);

        return r < 0 ? r : bytes_append(ret, id.data, id.size);
}

/* Names the collection that refuses: sink.c would name that of the readings. */
static void name_apart(const Mongodb *m, SinkAnswer *answer) {
        char detail[SINK_DETAIL_MAX];

        if (answer->detail[0] == '\0')
                return;
        text_copy(detail, sizeof(detail), answer->detail);
        text_print(answer->detail, sizeof(answer->detail), "%s: %s", m->apart, detail);
}

static void mongodb_set_apart(void *self, SinkWork *work) {
        Mongodb *m = self;

        answer_with(&work->answer, mongodb_write(m->client, work, true));
        sink_said_set_apart(&m->said, work);
        name_apart(m, &work->answer);
}

/* ---- life ---- */

static const char *mongodb_place(const void *self) {
        return ((const Mongodb *) self)->place;
}

/* May block up to the connect timeout: the pool waits for its monitors when it is destroyed. */
static void *mongodb_close(void *self) {
        Mongodb *m = self;

        if (!m)
                return NULL;
        m->client = mongodb_client_free(m->client);
        free(m->apart);
        free(m->place);
        free(m);
        return NULL;
}

static char *place_of(const char *database, const char *collection) {
        char *place;

        (void) text_format(&place, "%s.%s", database, collection);
        return place;
}

/* Tries the uri with the driver: only the driver knows everything that it refuses. */
static int mongodb_usable(const SubscriptionConfig *config, char problem[static SINK_DETAIL_MAX]) {
        char words[MONGODB_DETAIL_SIZE] = "";
        MongodbClient *client;
        int r;

        r = mongodb_client_new(config, NULL, &client, words);
        if (r < 0) {
                (void) snprintf(problem, SINK_DETAIL_MAX, "%.300s: %.200s", config->subscription, words);
                return r;
        }
        (void) mongodb_client_free(client);
        return 0;
}

static int mongodb_open(
        const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        const MongodbConfig *keys = config->keys;
        Mongodb *m;
        int r;

        m = calloc(1, sizeof(Mongodb));
        if (!m)
                return -ENOMEM;
        m->place = place_of(keys->database, keys->collection);
        m->apart = place_of(keys->database, keys->rejected_collection);
        r = m->place && m->apart ? mongodb_client_new(config, host, &m->client, problem) : -ENOMEM;
        if (r < 0) {
                (void) mongodb_close(m);
                return r;
        }
        m->said = (SinkApart){ .subscription = m->client->rules.subscription,
                .place = m->place,
                .where = m->apart,
                .field = FIELD_COLLECTION,
                .key = key_of,
                .userdata = m };
        *ret_self = m;
        return 0;
}

/* ---- history ---- */

/* Reads stored messages again, in pieces: by the index on _id, so that every piece costs the same, and with a time
 * limit on the server. It has a client of its own, so that the sink never waits for it. */
typedef struct History {
        MongodbClient *client;
        int64_t limit; /* number of documents of the next piece */
} History;

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
        if (!document_date(document, "pubsub.publish_time", &past.published)) /* it is of another program */
                (void) document_date(document, "stored_at", &past.published);
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
        fault = mongodb_client_end_find(history->client, cursor, piece->detail);
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

static const SinkHistory history = { history_open, history_next, history_close };

const SinkType sink_type_mongodb = {
        .keys = &mongodb_config_section,
        .what = "MongoDB",
        .blocks = true,
        .usable = mongodb_usable,
        .open = mongodb_open,
        .place = mongodb_place,
        .probe = mongodb_probe,
        .write = mongodb_store,
        .set_apart = mongodb_set_apart,
        .close = mongodb_close,
        .admin = &mongodb_admin,
        .history = &history,
};
