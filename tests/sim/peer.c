/* SPDX-License-Identifier: Apache-2.0 */
/* A second daemon on the subscription that MongoDB stores: it pulls, stores the same documents and acknowledges, dies
 * on the way, and its leases last longer than it does. */
#include "peer.h"

#include <bson/bson.h>

#include "mongo-store.h"
#include "plan.h"
#include "pubsub-internal.h"
#include "sinks/document.h"
#include "weather.h"

#define MESSAGES_MAX 40 /* of a pull */

/* What is done with a pull. */
typedef enum Deed { DEED_ALL, DEED_STORE, DEED_NOTHING } Deed;

/* True: a majority has it. */
static bool store(const WireMessage *message) {
        static char created[] = "created_at", updated[] = "updated_at", requested[] = "request_at",
                    measured[] = "measured_at";
        static char *fields[] = { created, updated, requested, measured, NULL };
        static const DocumentRules rules = { .subscription = "projects/" PUBSUB_PROJECT "/subscriptions/sub",
                .id_attribute = "idempotency_key",
                .date_fields = fields };
        char detail[DOCUMENT_DETAIL_SIZE];
        Collection *readings = mongo_store_collection("readings");
        bson_t document = BSON_INITIALIZER;
        bson_iter_t id;
        bool stored;

        if (document_build(&(DocumentInput){ message, &rules, world_true_time(), false }, &document, detail) !=
                DOCUMENT_OK)
                world_fail("a second daemon cannot store a message: %s", detail);
        stored = mongo_store_insert(readings, &document, true);
        world_count(stored ? "stored by a second daemon" : "a second daemon finds it stored");
        if (!stored && bson_iter_init_find(&id, &document, "_id"))
                stored = mongo_store_find(readings, bson_iter_utf8(&id, NULL), false) != NULL;
        bson_destroy(&document);
        return stored;
}

static void work(Sub *sub, Holding *const *taken, const Bytes *answer, Deed deed) {
        Bytes copy = {};
        WirePull pull;

        if (bytes_append(&copy, answer->data, answer->size) < 0 || wire_get_pull(copy.data, copy.size, &pull) < 0)
                world_fail("a second daemon cannot read an answer");
        for (size_t i = 0; i < pull.n && deed != DEED_NOTHING; i++)
                if (store(&pull.messages[i]) && deed == DEED_ALL)
                        pubsub_settle(sub, taken[i]);
        wire_pull_done(&pull);
        bytes_done(&copy);
}

static void take_some(Sub *sub, Deed deed) {
        _cleanup_bytes_ Bytes answer = {};
        Holding *taken[MESSAGES_MAX];
        size_t n = 0, most = 1 + draw_skewed(&world->chance, MESSAGES_MAX - 1);

        if (bytes_append_text(&answer, "{\"receivedMessages\":[") < 0)
                abort();
        for (size_t i = sub->first; i < sub->n && n < most; i++) {
                Holding *h = &sub->holdings[i];

                if (h->acknowledged || h->lease > world->now || subs_ends(sub, h))
                        continue;
                pubsub_append(&answer, sub, h);
                h->held = 0;
                taken[n++] = h;
        }
        if (n == 0)
                return;
        if (bytes_append_text(&answer, "]}") < 0)
                abort();
        world_trace("a second daemon takes %zu messages%s", n,
                deed == DEED_ALL     ? ""
                : deed == DEED_STORE ? ", and dies before it has acknowledged"
                                     : ", and dies");
        work(sub, taken, &answer, deed);
        pubsub_wake_later(sub);
}

/* *number*: the mean time between two pulls. */
static void on_pull(void *subject, uint64_t number) {
        Sub *sub = subject;
        Deed deed = (Deed) draw_below(&world->chance, DEED_NOTHING + 1);

        if (world->phase != PHASE_WEATHER)
                return;
        world_in(number / 10 + draw_below(&world->chance, 2 * number), on_pull, sub, number, 0);
        if (!sub->deleted && (deed == DEED_ALL || weather_may("a second daemon dies")))
                take_some(sub, deed);
}

void peer_take(Sub *sub) {
        Deed deed = draw_below(&world->chance, 8) > 0 ? DEED_ALL : DEED_STORE;

        if (sub->shared && world->phase == PHASE_WEATHER && !sub->deleted && draw_below(&world->chance, 3) == 0 &&
                (deed == DEED_ALL || weather_may("a second daemon dies")))
                take_some(sub, deed);
}

void peer_new(void) {
        Draw d = draw_split(&world->chance, 'd');
        int subscription = plan_subscription(SINK_MONGO);

        if (subscription < 0 || world->home || draw_below(&d, 3) > 0)
                return;
        world_count("second daemon");
        world->pubsub->subs[subscription].shared = true;
        world_in(draw_below(&d, USEC_PER_HOUR), on_pull, &world->pubsub->subs[subscription],
                USEC_PER_MINUTE << draw_below(&d, 6), 0);
}
