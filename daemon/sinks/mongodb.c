/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB as a type of sink. All functions but mongodb_open() run on the sink's thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/log.h"
#include "lib/text.h"
#include "sinks/mongodb-config.h"
#include "sinks/mongodb-write.h"

/* The first message that is set apart for a reason gets a log line; others are counted, in a line at most once in
 * COUNT_USEC, so that a faulty publisher cannot fill the journal. After QUIET_USEC without a message a reason is new
 * again. */
#define COUNT_USEC (10 * USEC_PER_MINUTE)
#define QUIET_USEC USEC_PER_HOUR
#define REASONS_MAX 16 /* document_reason() has fewer */

typedef struct Said {
        const char *reason;
        usec_t last; /* clock_now() of the last message that had it */
} Said;

typedef struct Mongodb {
        MongodbClient *client;
        char *place;
        char *apart; /* where rejected messages go */
        Said said[REASONS_MAX];
        uint64_t unsaid;
        usec_t counted; /* clock_now() of the last count; 0: none yet */
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

/* ---- setting apart, and logging it ---- */

static bool is_news(Mongodb *m, const char *reason, usec_t now) {
        Said *said = m->said;
        bool news;

        for (size_t i = 0; i + 1 < REASONS_MAX && said->reason && strcmp(said->reason, reason) != 0; i++)
                said++;
        news = !said->reason || strcmp(said->reason, reason) != 0 || now - said->last >= QUIET_USEC;
        *said = (Said){ .reason = reason, .last = now };
        return news;
}

static void log_rejected(const Mongodb *m, const SinkItem *item) {
        const DocumentInput input = { .message = item->message, .rules = &m->client->rules };
        _cleanup_bytes_ Bytes scratch = {}, key = {}, message = {};
        Slice id, own = item->message->message_id;
        int attempt = item->message->delivery_attempt;
        char number[16];

        if (document_id(&input, &scratch, &id) < 0 || bytes_append(&key, id.data, id.size) < 0 ||
                bytes_append(&message, own.data, own.size) < 0)
                return;
        (void) snprintf(number, sizeof(number), "%d", attempt);
        log_event(LOG_WARNING, EVENT_READING_REJECTED,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, m->client->rules.subscription }, { FIELD_MESSAGE_ID, message.data },
                        { FIELD_KEY, key.data }, { FIELD_REASON, item->reason }, { FIELD_ERROR, item->detail },
                        { FIELD_ATTEMPT, attempt > 0 ? number : NULL }, { FIELD_COLLECTION, m->apart }),
                "Message %s of %s cannot be stored in %s: %s (%s). Its bytes are kept in %s; `sensorqd rejected show` "
                "prints them, `replay` tries again. Others of this reason are only counted",
                message.data, m->client->rules.subscription, m->place, item->detail, item->reason, m->apart);
}

static void say_count(Mongodb *m, usec_t now) {
        if (m->unsaid == 0 || (m->counted > 0 && now - m->counted < COUNT_USEC))
                return;
        log_event(LOG_WARNING, EVENT_READING_REJECTED,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, m->client->rules.subscription }, { FIELD_COLLECTION, m->apart }),
                "%" PRIu64 " more messages of %s cannot be stored in %s and are kept in %s; `sensorqd rejected list` "
                "shows them",
                m->unsaid, m->client->rules.subscription, m->place, m->apart);
        m->unsaid = 0;
        m->counted = now;
}

static void say_rejected(Mongodb *m, const SinkWork *work) {
        usec_t now = clock_now();

        for (size_t i = 0; i < work->n; i++) {
                const SinkItem *item = &work->items[i];

                if (item->verdict != SINK_STORED && item->verdict != SINK_DUPLICATE)
                        continue;
                if (is_news(m, item->reason, now))
                        log_rejected(m, item);
                else
                        m->unsaid++;
        }
        say_count(m, now);
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
        say_rejected(m, work);
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
