/* SPDX-License-Identifier: Apache-2.0 */
/* lib/log.h: nothing is written; ids are counted, and each word of a failure is held against that of its end. */
#include "talk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alerts.h"
#include "arena.h"
#include "broker.h"
#include "counts.h"
#include "events.h"
#include "latest.h"
#include "lib/log.h"
#include "plan.h"
#include "points.h"
#include "pubsub.h"
#include "pushers.h"
#include "world.h"

#define OPEN_MAX 32
#define LOOSE (3 * USEC_PER_HOUR) /* a stage that ends may hold a batch for as long as max_hold */

/* What fails, and what ends it; each of the same source, subscription or topic. */
static const struct {
        const char *name, *failing, *recovered;
} pairs[] = {
        { "source", EVENT_SOURCE_FAILING, EVENT_SOURCE_RECOVERED },
        { "publish", EVENT_PUBLISH_FAILING, EVENT_PUBLISH_RECOVERED },
        { "token", EVENT_TOKEN_REFUSED, EVENT_TOKEN_RECOVERED },
        { "subscription", EVENT_SUBSCRIPTION_FAILING, EVENT_SUBSCRIPTION_RECOVERED },
        { "sink", EVENT_SINK_DOWN, EVENT_SINK_UP },
        { "apart", EVENT_APART_FAILING, EVENT_APART_RECOVERED },
        { "outbox full", EVENT_OUTBOX_FULL, EVENT_OUTBOX_DRAINED },
        { "outbox", EVENT_OUTBOX_FAILING, EVENT_OUTBOX_RECOVERED },
        { "clock", EVENT_CLOCK_WRONG, EVENT_CLOCK_RIGHT },
        { "alert target", EVENT_ALERT_TARGET_DOWN, EVENT_ALERT_TARGET_UP },
};

#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))

/* A failure that was said and is not over. */
typedef struct Open {
        unsigned pair; /* from 1; 0: none */
        bool loose;    /* whoever said it may have ended since */
        char subject[100];
} Open;

typedef struct Talk {
        Open open[OPEN_MAX];
        usec_t loose; /* until then */
} Talk;

void talk_new(void) {
        world->talk = arena_alloc(sizeof(Talk));
}

void talk_begin(void) {
        *world->talk = (Talk){};
}

void talk_reloaded(void) {
        for (size_t i = 0; i < OPEN_MAX; i++)
                world->talk->open[i].loose = true;
        world->talk->loose = world->now + LOOSE;
}

unsigned talk_open(void) {
        unsigned n = 0;

        for (size_t i = 0; i < OPEN_MAX; i++)
                n += world->talk->open[i].pair > 0 && !world->talk->open[i].loose;
        return n;
}

void talk_check(void) {
        for (size_t i = 0; i < OPEN_MAX; i++)
                if (world->talk->open[i].pair > 0 && !world->talk->open[i].loose)
                        world_fail("the failing of %s (%s) was said, and its end was not",
                                pairs[world->talk->open[i].pair - 1].name, world->talk->open[i].subject);
}

static Open *find_open(unsigned pair, const char *subject) {
        for (size_t i = 0; i < OPEN_MAX; i++)
                if (world->talk->open[i].pair == pair && strcmp(world->talk->open[i].subject, subject) == 0)
                        return &world->talk->open[i];
        return NULL;
}

static void open_pair(unsigned pair, const char *subject) {
        Open *open = find_open(pair, subject) ?: find_open(0, "");

        if (!open)
                world_fail("more than %d failures at once", OPEN_MAX);
        open->pair = pair;
        open->loose = false;
        (void) snprintf(open->subject, sizeof(open->subject), "%s", subject);
}

static void close_pair(unsigned pair, const char *subject) {
        Open *open = find_open(pair, subject);

        if (!open && world->now < world->talk->loose)
                return;
        if (!open)
                world_fail("the end of what fails was said of %s (%s), and its beginning was not", pairs[pair - 1].name,
                        subject);
        *open = (Open){};
}

static const char *field_of(const LogField *fields, const char *name) {
        for (; fields && fields->name; fields++)
                if (strcmp(fields->name, name) == 0)
                        return fields->value;
        return "";
}

static const char *subject_of(unsigned pair, const LogField *fields) {
        static const char *const names[] = { FIELD_SOURCE, FIELD_TARGET, FIELD_SUBSCRIPTION, FIELD_TOPIC };

        if (strcmp(pairs[pair].failing, EVENT_OUTBOX_FAILING) == 0)
                return ""; /* there is one; the word of its failure names the source that met it */
        for (; fields && fields->name; fields++)
                for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                        if (fields->value && strcmp(fields->name, names[i]) == 0)
                                return fields->value;
        return "";
}

static void note(const char *id, const LogField *fields) {
        for (unsigned i = 0; i < PAIRS; i++) {
                /* what is nearly full ends as what is full does */
                if (strcmp(id, EVENT_OUTBOX_HIGH) == 0 && strcmp(pairs[i].failing, EVENT_OUTBOX_FULL) == 0)
                        open_pair(i + 1, subject_of(i, fields));
                if (strcmp(id, pairs[i].failing) == 0) {
                        counts_add_at("says failing ", pairs[i].name);
                        open_pair(i + 1, subject_of(i, fields));
                }
                if (strcmp(id, pairs[i].recovered) == 0) {
                        counts_add_at("says recovered ", pairs[i].name);
                        close_pair(i + 1, subject_of(i, fields));
                }
        }
}

void talk_check_secrets(const char *where, const char *text, size_t size) {
        static const char *const secrets[] = { "ya29.", "remo-token", PLAN_LINE_TOKEN, PLAN_SLACK_PATH,
                PLAN_DISCORD_PATH, PLAN_NTFY_TOKEN, BROKER_PASSWORD, PUSHERS_TOKEN, POINTS_SECRET, LATEST_SECRET,
                "PRIVATE KEY" };

        for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
                if (memmem(text, size, secrets[i], strlen(secrets[i])))
                        world_fail("a secret is in %s: %.*s", where, (int) size, text);
}

static void note_text(const char *id, const LogField *fields, const char *text) {
        const char *about = strstr(text, "It was about: ");

        talk_check_secrets("the log", text, strlen(text));
        for (const LogField *field = fields; field && field->name; field++)
                if (field->value)
                        talk_check_secrets(field->name, field->value, strlen(field->value));
        if (id && strcmp(id, EVENT_RETENTION_NEAR) == 0)
                pubsub_near(field_of(fields, FIELD_SUBSCRIPTION));
        if (id && strcmp(id, EVENT_ALERT_REFUSED) == 0 && about)
                alerts_refused(field_of(fields, FIELD_TARGET), about + strlen("It was about: "));
}

void log_event(int level, const char *message_id, const LogField *fields, const char *format, ...) {
        char text[2048];
        va_list arguments;

        if (message_id && world->life > 0)
                note(message_id, fields);
        va_start(arguments, format);
        (void) vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        note_text(message_id, fields, text);
        world_trace("says <%d> %s", level & 0xff, text);
}

void log_open(const char *identifier) {}

void log_set_level(int level) {}

int log_level(void) {
        return LOG_INFO;
}
