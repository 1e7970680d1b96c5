/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB as a type of sink. All functions but mongodb_open() run on the sink's thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "lib/text.h"
#include "sinks/mongodb-config.h"
#include "sinks/mongodb-write.h"
#include "subscribe/sink-words.h"

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

extern const SinkAdmin sink_admin_mongodb;     /* mongodb-admin.c */
extern const SinkHistory sink_history_mongodb; /* mongodb-history.c */

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
        .admin = &sink_admin_mongodb,
        .history = &sink_history_mongodb,
};
