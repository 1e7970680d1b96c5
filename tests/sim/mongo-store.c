/* SPDX-License-Identifier: Apache-2.0 */
#include "mongo-store.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "ledger.h"
#include "mongo.h"
#include "plan.h"

#define SLOTS 4096
#define ELECTION_MAX USEC_PER_MINUTE

struct Collection {
        bool rejected;
        Document *slots[SLOTS];
};

typedef struct Mongo {
        Collection readings, rejected;
} Mongo;

void mongo_new(void) {
        world->mongo = arena_alloc(sizeof(Mongo));
        world->mongo->rejected.rejected = true;
}

Collection *mongo_store_collection(const char *name) {
        return strstr(name, "_rejected") ? &world->mongo->rejected : &world->mongo->readings;
}

static size_t slot_of(const char *id) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (; *id; id++)
                hash = (hash ^ (unsigned char) *id) * UINT64_C(0x100000001b3);
        return hash % SLOTS;
}

static Document *find(const Collection *c, const char *id) {
        Document *d = c->slots[slot_of(id)];

        while (d && (d->gone || strcmp(d->id, id) != 0))
                d = d->next;
        return d;
}

const Document *mongo_store_find(const Collection *c, const char *id, bool local) {
        const Document *d = find(c, id);

        return d && (local || d->majority) ? d : NULL;
}

/* ---- what it is ---- */

static uint32_t serial_of_reading(const bson_t *document) {
        bson_iter_t iter, value;

        if (!bson_iter_init(&iter, document) || !bson_iter_find_descendant(&iter, "newest_events.te.val", &value))
                world_fail("MongoDB is sent a document that nobody published");
        return (uint32_t) bson_iter_as_int64(&value);
}

static uint32_t serial_of_rejected(const bson_t *document) {
        bson_subtype_t subtype;
        const uint8_t *data;
        bson_iter_t iter;
        uint32_t size;

        if (!bson_iter_init_find(&iter, document, "data"))
                world_fail("MongoDB is sent a rejected message without data");
        if (BSON_ITER_HOLDS_UTF8(&iter)) {
                data = (const uint8_t *) bson_iter_utf8(&iter, &size);
        } else
                bson_iter_binary(&iter, &subtype, &size, &data);
        return ledger_find((const char *) data, size);
}

/* One reading has one payload, whoever stored it first. */
static void check_reason(const bson_t *document) {
        bson_iter_t iter;

        if (bson_iter_init_find(&iter, document, "reason") && strcmp(bson_iter_utf8(&iter, NULL), "id_conflict") == 0)
                world_fail("a reading is set apart as one whose _id another payload has");
}

/* The majority has it now, for ever. */
static void settle(Document *d) {
        d->majority = true;
        if (d->rejected)
                ledger_rejected(d->subscription, d->serial);
        else
                ledger_stored(d->subscription, d->serial, d->id);
}

/* An election is over: what was written without an answer has come through, or is gone. */
static void on_election(void *subject, uint64_t number) {
        Document *d = subject;

        if (draw_below(&world->chance, 3) > 0)
                return settle(d);
        world_count("mongo took a document back");
        d->gone = true;
}

bool mongo_store_insert(Collection *c, const bson_t *document, bool answered) {
        bson_iter_t iter;
        Document *d;

        if (!bson_iter_init_find(&iter, document, "_id") || !BSON_ITER_HOLDS_UTF8(&iter))
                world_fail("MongoDB is sent a document without an _id");
        if (find(c, bson_iter_utf8(&iter, NULL)))
                return false;
        if (c->rejected)
                check_reason(document);
        d = arena_alloc(sizeof(Document));
        d->id = arena_text(bson_iter_utf8(&iter, NULL));
        d->data = arena_copy(bson_get_data(document), document->len);
        d->size = document->len;
        d->rejected = c->rejected;
        d->serial = c->rejected ? serial_of_rejected(document) : serial_of_reading(document);
        d->subscription = (unsigned) plan_subscription(SINK_MONGO);
        d->next = c->slots[slot_of(d->id)];
        c->slots[slot_of(d->id)] = d;
        if (answered)
                settle(d);
        else
                world_in(draw_skewed(&world->chance, ELECTION_MAX), on_election, d, 0, 0);
        return true;
}
