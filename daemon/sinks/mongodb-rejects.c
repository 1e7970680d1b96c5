/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-rejects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/crashpoint.h"
#include "lib/log.h"
#include "sinks/mongodb-bulk.h"

#define LINES_MAX 10 /* log lines for each batch: a publisher gone mad shall not fill the journal */

typedef struct Rejects {
        MongodbClient *client;
        SinkItem *items;
        size_t n;
        bool *taken; /* for each: its _id is taken in the rejected collection */
        unsigned lines;
        bool complained;
        uint64_t unlogged;
        bool suffixed; /* the second try of those that are taken */
} Rejects;

static DocumentReason reason_of(const char *word) {
        for (int i = DOCUMENT_NOT_BASE64; i < DOCUMENT_ID_CONFLICT; i++)
                if (strcmp(document_reason((DocumentReason) i), word) == 0)
                        return (DocumentReason) i;
        return DOCUMENT_ID_CONFLICT;
}

/* ---- fates ---- */

static void log_rejected(Rejects *rejects, const SinkItem *item) {
        const MongodbClient *client = rejects->client;
        Slice id = item->message->message_id;
        char text[64];

        if (++rejects->lines > LINES_MAX) {
                rejects->unlogged++;
                return;
        }
        (void) snprintf(text, sizeof(text), "%.*s", (int) (id.size < sizeof(text) ? id.size : sizeof(text) - 1),
                id.data ? id.data : "");
        log_event(LOG_WARNING, EVENT_READING_REJECTED,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, client->rules.subscription }, { FIELD_MESSAGE_ID, text },
                        { FIELD_REASON, item->reason }, { FIELD_ERROR, item->detail },
                        { FIELD_COLLECTION, client->rejected_collection }),
                "Message %s of %s cannot be stored in %s.%s: %s (%s). Its bytes are kept in %s; `sensorqd rejected "
                "show` prints them, "
                "`replay` tries again",
                text, client->rules.subscription, client->database, client->collection, item->detail, item->reason,
                client->rejected_collection);
}

static void log_summary(Rejects *rejects) {
        const MongodbClient *client = rejects->client;

        if (rejects->unlogged == 0)
                return;
        log_event(LOG_WARNING, EVENT_READING_REJECTED,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, client->rules.subscription },
                        { FIELD_COLLECTION, client->rejected_collection }),
                "%" PRIu64 " more messages of %s cannot be stored in %s.%s and are kept in %s; `sensorqd rejected "
                "list` shows them",
                rejects->unlogged, client->rules.subscription, client->database, client->collection,
                client->rejected_collection);
        rejects->unlogged = 0;
}

static void complain(Rejects *rejects, const SinkItem *item, const char *detail) {
        const MongodbClient *client = rejects->client;

        if (rejects->complained)
                return;
        rejects->complained = true;
        log_event(LOG_ERR, EVENT_READING_REJECTED,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, client->rules.subscription }, { FIELD_REASON, item->reason },
                        { FIELD_ERROR, detail }, { FIELD_COLLECTION, client->rejected_collection }),
                "Messages of %s can neither be stored in %s.%s (the first: %s) nor set apart in %s: %s. They stay "
                "unacknowledged in "
                "Pub/Sub and come back until they "
                "expire there; let the user insert and find in %s, and remove what refuses them there",
                client->rules.subscription, client->database, client->collection, item->detail,
                client->rejected_collection, detail, client->rejected_collection);
}

static void settle(Rejects *rejects, SinkItem *item) {
        item->verdict = SINK_STORED;
        log_rejected(rejects, item);
}

static void give_up(Rejects *rejects, SinkItem *item, const char *detail) {
        item->verdict = SINK_BAD;
        complain(rejects, item, detail);
}

/* ---- writing ---- */

/* SUBSCRIPTION:MESSAGE_ID; for a message whose id is taken by other bytes (an emulator that counts from 1 again) with a
 * suffix made of its data, so that a repetition finds it again. */
static int put_id(const Rejects *rejects, const SinkItem *item, Bytes *ret) {
        const WireMessage *message = item->message;
        uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
        int r;

        ret->size = 0;
        r = bytes_append_format(ret, "%s:", rejects->client->rules.subscription);
        if (r == 0)
                r = bytes_append(ret, message->message_id.data, message->message_id.size);
        if (r < 0 || !rejects->suffixed)
                return r;
        for (size_t i = 0; i < message->data.size; i++)
                hash = (hash ^ (uint8_t) message->data.data[i]) * UINT64_C(1099511628211);
        return bytes_append_format(ret, ":%016" PRIx64, hash);
}

static int build(void *userdata, size_t item_index, bson_t *document) {
        Rejects *rejects = userdata;
        const SinkItem *item = &rejects->items[item_index];
        _cleanup_bytes_ Bytes id = {};
        bson_t plain = BSON_INITIALIZER;
        const DocumentInput input = { .message = item->message, .rules = &rejects->client->rules, .at = clock_wall() };
        int r;

        if (!rejects->suffixed)
                return document_build_rejected(&input, reason_of(item->reason), item->detail, document);

        r = put_id(rejects, item, &id);
        if (r == 0)
                r = document_build_rejected(&input, reason_of(item->reason), item->detail, &plain);
        if (r == 0 && !bson_append_utf8(document, "_id", 3, id.data, (int) id.size))
                r = -ENOMEM;
        if (r == 0)
                bson_copy_to_excluding_noinit(&plain, document, "_id", NULL);
        bson_destroy(&plain);
        return r;
}

static void on_verdict(void *userdata, size_t item_index, MongodbVerdict verdict, const char *detail) {
        Rejects *rejects = userdata;
        SinkItem *item = &rejects->items[item_index];

        switch (verdict) {
        case MONGODB_STORED:
                settle(rejects, item);
                break;
        case MONGODB_DUPLICATE:
                rejects->taken[item_index] = true;
                break;
        case MONGODB_REFUSED:
        case MONGODB_ODD:
                give_up(rejects, item, detail);
                break;
        case MONGODB_UNKNOWN:
        case MONGODB_LATER:
                break;
        }
}

static bool is_open(const SinkItem *item) {
        return item->verdict == SINK_PENDING;
}

/* Sends those that are pending; in the second round only those whose first id was taken. */
static MongodbFault send_open(Rejects *rejects, char *detail, size_t size) {
        _cleanup_free_ size_t *open = NULL;
        MongodbFault fault;
        MongodbBulk bulk;
        size_t n = 0;

        open = calloc(rejects->n, sizeof(*open));
        if (!open)
                return MONGODB_FAULT_LOCAL;
        for (size_t i = 0; i < rejects->n; i++)
                if (is_open(&rejects->items[i]) && rejects->taken[i] == rejects->suffixed) {
                        rejects->taken[i] = false;
                        open[n++] = i;
                }

        mongodb_bulk_init(&bulk, rejects->client, rejects->client->rejected);
        bulk.build = build;
        bulk.on_verdict = on_verdict;
        bulk.userdata = rejects;
        bulk.halve_strange = true;
        fault = mongodb_bulk_send(&bulk, open, n);
        if (fault != MONGODB_FAULT_NONE)
                (void) snprintf(detail, size, "%s", bulk.detail);
        mongodb_bulk_done(&bulk);
        return fault;
}

/* ---- ids that are taken ---- */

static bool put_taken_ids(const Rejects *rejects, bson_t *ids, size_t *ret_n) {
        _cleanup_bytes_ Bytes id = {};
        size_t n = 0;

        for (size_t i = 0; i < rejects->n; i++) {
                char buffer[16];
                const char *key;

                if (!rejects->taken[i])
                        continue;
                (void) bson_uint32_to_string((uint32_t) n++, &key, buffer, sizeof(buffer));
                if (put_id(rejects, &rejects->items[i], &id) < 0 ||
                        !bson_append_utf8(ids, key, -1, id.data, (int) id.size))
                        return false;
        }
        *ret_n = n;
        return true;
}

static bool has_data(const bson_t *document, Slice data) {
        const uint8_t *binary;
        bson_subtype_t subtype;
        bson_iter_t iter;
        uint32_t size;

        if (!bson_iter_init_find(&iter, document, "data") || !BSON_ITER_HOLDS_BINARY(&iter))
                return false;
        bson_iter_binary(&iter, &subtype, &size, &binary);
        return size == data.size && (size == 0 || memcmp(binary, data.data, size) == 0);
}

/* A message whose very bytes are there already is set apart. */
static void match_taken(void *userdata, const bson_t *document) {
        Rejects *rejects = userdata;
        _cleanup_bytes_ Bytes id = {};
        bson_iter_t iter;
        const char *text;
        uint32_t size;

        if (!bson_iter_init_find(&iter, document, "_id") || !BSON_ITER_HOLDS_UTF8(&iter))
                return;
        text = bson_iter_utf8(&iter, &size);
        for (size_t i = 0; i < rejects->n; i++) {
                SinkItem *item = &rejects->items[i];

                if (!rejects->taken[i] || put_id(rejects, item, &id) < 0 || id.size != size ||
                        memcmp(id.data, text, size) != 0)
                        continue;
                if (has_data(document, item->message->data)) {
                        rejects->taken[i] = false;
                        settle(rejects, item);
                }
        }
}

/* Looks at what stands under the ids that are taken. */
static MongodbFault check_taken(Rejects *rejects, char *detail, size_t size) {
        bson_t ids = BSON_INITIALIZER;
        MongodbFault fault = MONGODB_FAULT_NONE;
        size_t n;

        if (put_taken_ids(rejects, &ids, &n) && n > 0)
                fault = mongodb_client_read_ids(
                        rejects->client, rejects->client->rejected, &ids, match_taken, rejects, detail, size);
        bson_destroy(&ids);
        return fault;
}

static void give_up_open(Rejects *rejects, const char *detail) {
        for (size_t i = 0; i < rejects->n; i++)
                if (is_open(&rejects->items[i]))
                        give_up(rejects, &rejects->items[i], detail);
}

static bool has_taken(const Rejects *rejects) {
        for (size_t i = 0; i < rejects->n; i++)
                if (rejects->taken[i])
                        return true;
        return false;
}

static MongodbFault write_all(Rejects *rejects, char *detail, size_t size) {
        MongodbFault fault = MONGODB_FAULT_NONE;

        for (int round = 0; round < 2 && fault == MONGODB_FAULT_NONE && (round == 0 || has_taken(rejects)); round++) {
                rejects->suffixed = round > 0;
                fault = send_open(rejects, detail, size);
                if (fault == MONGODB_FAULT_NONE)
                        fault = check_taken(rejects, detail, size);
        }
        if (fault == MONGODB_FAULT_NONE && has_taken(rejects))
                give_up_open(rejects, "its id is taken there by other data");
        else if (fault == MONGODB_FAULT_FORBIDDEN || fault == MONGODB_FAULT_SETTINGS ||
                 fault == MONGODB_FAULT_STRANGE || fault == MONGODB_FAULT_POISON) {
                give_up_open(rejects, detail); /* for good: the neighbours shall not wait for it */
                fault = MONGODB_FAULT_NONE;
        }
        return fault;
}

MongodbFault mongodb_rejects_write(MongodbClient *client, SinkWork *work) {
        Rejects rejects = { .client = client, .items = work->items, .n = work->n };
        SinkAnswer *answer = &work->answer;
        MongodbFault fault;

        rejects.taken = calloc(work->n + 1, sizeof(bool));
        if (!rejects.taken) {
                (void) snprintf(answer->detail, sizeof(answer->detail), "out of memory");
                return MONGODB_FAULT_LOCAL;
        }
        fault = write_all(&rejects, answer->detail, sizeof(answer->detail));
        log_summary(&rejects);
        CRASHPOINT("sink-rejected-written");
        free(rejects.taken);
        return fault;
}
