/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of alerts share: rules from text, messages as sensorqd publishes them, and a target that is one call
 * away. */
#pragma once
#include "config-fixture.h"

#include "lib/err.h"
#include "lib/text.h"
#include "sinks/alert-store.h"

#define MINUTE USEC_PER_MINUTE
#define HOUR USEC_PER_HOUR
#define START (UINT64_C(1795822440) * USEC_PER_SEC) /* 2026-11-27 23:34 UTC */
#define BOOT (100 * HOUR)                           /* clock_now() at that time */

static inline const ConfigSection *alert_sink_at(size_t index) {
        return index == 0 ? &alert_config_section : NULL;
}

static inline const ConfigSection *alert_source_at(size_t index) {
        return types_of_config.source(index);
}

/* With targets a and b. */
static inline Config *alert_parse(const char *rules) {
        static const ConfigTypes types = { alert_source_at, alert_sink_at };
        _cleanup_free_ char *text = NULL;

        assert_true(asprintf(&text,
                            PUBSUB "subscribe:\n"
                                   "  - subscription: sub\n"
                                   "    alert:\n"
                                   "      targets: [{ name: a, type: ntfy, topic: topic-of-a }, { name: b, type: ntfy, "
                                   "topic: topic-of-b }]\n"
                                   "      rules:\n%s",
                            rules) > 0);
        return parse_as("c.yaml", text, strlen(text), &types);
}

/* A message with everything that it points to. */
typedef struct Said {
        char data[1000], published[CLOCK_RFC3339_SIZE], key[64], id[64];
        WireAttribute attributes[4];
        WireMessage message;
        SinkItem item;
} Said;

static inline Slice text_slice(const char *text) {
        return (Slice){ text, strlen(text) };
}

/* Of a device of the source home; *members* stand beside id, name and request_at. */
static inline void said_init(Said *said, const char *device, usec_t at, usec_t published, const char *members) {
        char time[CLOCK_RFC3339_SIZE];

        (void) clock_format_rfc3339(at, time);
        (void) clock_format_rfc3339(published, said->published);
        (void) snprintf(said->data, sizeof(said->data),
                "{\"name\":\"Room %s\",\"id\":\"%s\",\"source\":\"home\",\"request_at\":\"%s\"%s%s}", device, device,
                time, members[0] ? "," : "", members);
        (void) snprintf(said->key, sizeof(said->key), "%s:home:%s:0123456789abcdef", time, device);
        (void) snprintf(said->id, sizeof(said->id), "%s", device);
        said->attributes[0] = (WireAttribute){ text_slice("idempotency_key"), text_slice(said->key) };
        said->attributes[1] = (WireAttribute){ text_slice("source"), text_slice("home") };
        said->attributes[2] = (WireAttribute){ text_slice("type"), text_slice("nature_remo") };
        said->attributes[3] = (WireAttribute){ text_slice("device"), text_slice(said->id) };
        said->message = (WireMessage){ .data = text_slice(said->data),
                .message_id = text_slice("1"),
                .publish_time = text_slice(said->published),
                .attributes = said->attributes,
                .n_attributes = 4 };
        said->item = (SinkItem){ .message = &said->message };
}

/* A book, without a file. */
typedef struct World {
        Config *config;
        const AlertConfig *keys;
        AlertRules *rules;
        AlertBook *book;
        AlertMoment moment;
        int64_t ids;
        unsigned fired, ceased; /* as they would be logged */
} World;

static inline void world_open(World *w, const char *rules) {
        *w = (World){ .config = alert_parse(rules), .moment = { START, BOOT, BOOT - 100 * HOUR + 1, BOOT, false } };
        w->keys = w->config->subscriptions[0].keys;
        assert_int_equal(alert_rules_new(w->keys, &w->rules), 0);
        assert_int_equal(alert_book_new(w->keys, w->rules, &w->book), 0);
        assert_int_equal(alert_book_settle(w->book, &w->moment), 0);
}

static inline void world_close(World *w) {
        w->book = alert_book_free(w->book);
        w->rules = alert_rules_free(w->rules);
        config_unref(w->config);
}

/* Time goes on, and pulls are answered. */
static inline void world_go(World *w, usec_t span) {
        w->moment.wall += span;
        w->moment.now += span;
        w->moment.heard = w->moment.now;
}

/* What a commit does. */
static inline void world_commit(World *w) {
        for (size_t i = 0; i < w->book->n_devices; i++)
                for (AlertEntry *e = w->book->devices[i]->entries; e; e = e->next)
                        e->id = e->id > 0 ? e->id : ++w->ids;
        alert_book_committed(w->book);
}

static inline void world_pass(World *w) {
        alert_book_begin(w->book, &w->moment);
        assert_int_equal(alert_pass_time(w->book), 0);
        for (size_t i = 0; i < w->book->n_devices; i++)
                for (size_t k = 0; k < w->book->devices[i]->n_slots; k++) {
                        AlertSlot *slot = &w->book->devices[i]->slots[k];

                        w->fired += slot->news && slot->said;
                        w->ceased += slot->news && !slot->said;
                        slot->news = false;
                }
        world_commit(w);
}

static inline void world_judge(World *w, Said *said, size_t n) {
        AlertReadings readings = {};

        for (size_t i = 0; i < n; i++)
                assert_int_equal(
                        alert_readings_add(&readings, w->rules, &said[i].message, PAYLOAD_JSON, w->moment.wall), 0);
        alert_readings_sort(&readings);
        alert_book_begin(w->book, &w->moment);
        assert_int_equal(alert_book_judge(w->book, &readings), 0);
        alert_readings_done(&readings);
        world_pass(w);
}

/* One message of now. */
static inline void world_say(World *w, const char *device, const char *members) {
        Said said;

        said_init(&said, device, w->moment.wall, w->moment.wall, members);
        world_judge(w, &said, 1);
}

/* The notice of what is due. */
static inline AlertNotice world_notice(const World *w, size_t index) {
        assert_true(index < w->book->n_due);
        return alert_book_notice(w->book, &w->book->due[index]);
}

enum { SEALED = ALERT_BACK + 1 };

/* Seals what is due for a target, unless it is, and answers it with *verdict*, if that is not SEALED. Returns it:
 * "FIRING hot Room x 29", one a line. Freed by the caller. */
static inline char *world_tell(World *w, const char *target, int verdict) {
        static const char *const kinds[] = { "FIRING", "REPEAT", "RESOLVED", "ENDED", "REMOVED", "TEST" };
        Bytes text = {};

        assert_int_equal(bytes_append_text(&text, ""), 0);
        world_pass(w);
        for (size_t i = 0; i < w->book->n_due; i++) {
                const AlertItem *item = &w->book->due[i];
                const AlertNotice notice = world_notice(w, i);

                if (strcmp(item->entry->target, target) != 0)
                        continue;
                assert_int_equal(bytes_append_format(&text, "%s%s %s %s %s", text.size > 0 ? "\n" : "",
                                         kinds[notice.kind], notice.rule, notice.name ?: "-", notice.value ?: "-"),
                        0);
                if (!alert_entry_is_sealed(item->entry))
                        alert_entry_seal(item, "k", w->moment.wall);
                if (verdict != SEALED)
                        alert_entry_answer(item->entry, (AlertVerdict) verdict, w->moment.wall);
        }
        world_pass(w);
        return text.data;
}

static inline void world_expect(World *w, const char *target, int verdict, const char *expected) {
        _cleanup_free_ char *found = world_tell(w, target, verdict);

        assert_string_equal(found, expected);
}

static inline void world_quiet(World *w) {
        world_expect(w, "a", ALERT_ACCEPTED, "");
        world_expect(w, "b", ALERT_ACCEPTED, "");
}

/* A reload: what the file would carry over: the states by rule, and the entries. */
static inline void world_reload(World *w, const char *rules) {
        World other = { .config = alert_parse(rules), .moment = w->moment, .ids = w->ids };

        other.keys = other.config->subscriptions[0].keys;
        assert_int_equal(alert_rules_new(other.keys, &other.rules), 0);
        assert_int_equal(alert_book_new(other.keys, other.rules, &other.book), 0);
        for (size_t i = 0; i < w->book->n_devices; i++) {
                AlertDevice *from = w->book->devices[i], *to;

                assert_int_equal(alert_book_device(other.book, from->key, &to), 0);
                free(to->name);
                to->name = strdup(from->name);
                for (size_t k = 0; k < from->n_slots; k++) {
                        const AlertSlot *slot = &from->slots[k];
                        size_t watch = alert_rules_find(other.rules, text_slice(w->rules->items[slot->watch].key));
                        AlertSlot *copy;

                        if (watch == ALERT_NO_RULE)
                                continue;
                        assert_int_equal(alert_device_need(to, watch, &copy), 0);
                        *copy = (AlertSlot){ .watch = watch, .said = slot->said, .state = slot->state };
                        text_copy(copy->value, sizeof(copy->value), slot->value);
                }
                while (from->entries) {
                        AlertEntry *entry = from->entries;

                        from->entries = entry->next;
                        alert_book_adopt(other.book, to, entry);
                }
        }
        world_close(w);
        assert_int_equal(alert_book_settle(other.book, &other.moment), 0);
        *w = other;
        world_pass(w);
}
