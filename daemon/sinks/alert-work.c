/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-store.h"

#include <stdio.h>

#include "events.h"
#include "lib/log.h"
#include "lib/text.h"
#include "sinks/alert-reading.h"

#define LINES_MAX 20        /* log lines of one turn */
#define UNHEARD_AFTER 1000U /* messages without a value for a rule, after which its `field` may be a typing error */

enum { WARNED_UNREADABLE = 1, WARNED_AHEAD = 2, WARNED_LEFT_OUT = 4, WARNED_UNTOLD = 8, WARNED_UNHEARD = 16 };

/* ---- logging ---- */

/* "t is 29.1, limit 28", "nothing was heard for 30 min". Returns *buffer*. */
static const char *reason(const AlertWatch *watch, const AlertSlot *slot, char *buffer, size_t size) {
        char span[CLOCK_SPAN_SIZE];

        if (watch->rule->test != ALERT_STALE)
                (void) snprintf(buffer, size, "%s is %s, limit %s", watch->rule->field, slot->value, watch->limit);
        else if (slot->state.offline)
                (void) snprintf(buffer, size, "it says that it is offline");
        else
                (void) snprintf(buffer, size, "nothing%s%s was heard for %s", watch->rule->field ? " new at " : "",
                        watch->rule->field ? watch->rule->field : "",
                        clock_format_span(watch->rule->stale, span, sizeof(span)));
        return buffer;
}

static const char *name_of(const AlertDevice *device) {
        if (device->name[0])
                return device->name;
        if (device->id[0])
                return device->id;
        return alert_device_is_nobody(device) ? "no device at all" : "a device without a name or id";
}

typedef struct Saying {
        AlertStore *store;
        size_t n; /* lines of this turn */
} Saying;

static void say(Saying *saying, const AlertDevice *device, AlertSlot *slot) {
        const AlertWatch *watch = &alert_store_book(saying->store)->rules->items[slot->watch];
        const char *name = name_of(device);
        char since[CLOCK_RFC3339_SIZE], words[200];
        const LogField fields[] = { { FIELD_SUBSCRIPTION, alert_store_config(saying->store)->subscription },
                { FIELD_RULE, watch->rule->name }, { FIELD_SOURCE, device->source }, { FIELD_DEVICE, device->id }, {} };

        slot->news = false;
        if (++saying->n > LINES_MAX)
                return;
        if (slot->said)
                log_event(LOG_NOTICE, EVENT_ALERT_FIRING, fields, "Alert %s fires for %s since %s: %s",
                        watch->rule->name, name, clock_format_rfc3339(slot->state.since, since),
                        reason(watch, slot, words, sizeof(words)));
        else
                log_event(LOG_NOTICE, EVENT_ALERT_RESOLVED, fields, "Alert %s is over for %s%s", watch->rule->name,
                        name,
                        slot->gone   ? ", which is forgotten: it was silent for too long"
                        : slot->left ? ", as the device is now called: the rule does not cover that name"
                                     : "");
}

static void say_removed(Saying *saying, const AlertDevice *device, AlertEntry *entry) {
        entry->news = false;
        if (++saying->n <= LINES_MAX)
                log_event(LOG_NOTICE, EVENT_ALERT_RESOLVED,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, alert_store_config(saying->store)->subscription },
                                { FIELD_RULE, entry->rule }, { FIELD_SOURCE, device->source },
                                { FIELD_DEVICE, device->id }),
                        "Alert %s is over for %s: the rule was removed or changed", entry->rule, name_of(device));
}

static void say_all(AlertStore *store) {
        const AlertBook *book = alert_store_book(store);
        Saying saying = { store, 0 };

        for (size_t i = 0; i < book->n_devices; i++) {
                AlertDevice *device = book->devices[i];

                for (AlertEntry *entry = device->entries; entry; entry = entry->next)
                        if (entry->news)
                                say_removed(&saying, device, entry);
                for (size_t k = 0; k < device->n_slots; k++)
                        if (device->slots[k].news)
                                say(&saying, device, &device->slots[k]);
        }
        if (saying.n > LINES_MAX)
                log_notice("%s: %zu more alert%s began or ended at once; `sensorqd alerts` lists them",
                        alert_store_config(store)->subscription, saying.n - LINES_MAX, text_s(saying.n - LINES_MAX));
}

/* A key is source, id and labels, with a NUL after each but the last: alert-reading.c. */
static void warn_ahead(const char *subscription, const Bytes *key) {
        const char *source = key->size > 0 ? key->data : "";
        const char *id = memchr(source, '\0', key->size);

        id = id ? id + 1 : "";
        log_event(LOG_WARNING, EVENT_READING_ODD,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, subscription }, { FIELD_SOURCE, source }, { FIELD_DEVICE, id }),
                "%s: the request_at of a message of device %.200s, source %.200s, is more than 5 min after its "
                "publish time; rules go by the publish time of such messages. Check the publisher's clock",
                subscription, id[0] ? id : "(no id)", source[0] ? source : "(none)");
}

/* Whether it is to be warned of: once only, since it may apply to every message. */
static bool is_first(AlertBook *book, unsigned warning, bool found) {
        bool first = found && !(book->warned & warning);

        book->warned |= found ? warning : 0;
        return first;
}

static void warn_unheard(AlertStore *store) {
        const AlertBook *book = alert_store_book(store);
        size_t n = 0;

        for (size_t i = 0; i < book->rules->n && n < LINES_MAX; i++) {
                const AlertRule *rule = book->rules->items[i].rule;

                if (rule->test == ALERT_STALE || alert_book_has_heard(book, i))
                        continue;
                n++;
                log_event(LOG_WARNING, NULL,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, alert_store_config(store)->subscription },
                                { FIELD_RULE, rule->name }),
                        "Rule %s has found no value at %s in %u messages so far. That is normal for a sensor that "
                        "reports only events; otherwise check its field and where for typing errors",
                        rule->name, rule->field, UNHEARD_AFTER);
        }
}

static void warn(AlertStore *store, bool unreadable) {
        AlertBook *book = alert_store_book(store);
        const char *subscription = alert_store_config(store)->subscription;

        if (is_first(book, WARNED_UNREADABLE, unreadable))
                log_warning(
                        "%s: a message is not a JSON object, so no rule can evaluate it; it is acknowledged. Further "
                        "ones are not logged",
                        subscription);
        if (is_first(book, WARNED_AHEAD, book->ahead_device.size > 0))
                warn_ahead(subscription, &book->ahead_device);
        if (is_first(book, WARNED_UNHEARD, book->judged >= UNHEARD_AFTER))
                warn_unheard(store);
        if (is_first(book, WARNED_LEFT_OUT, book->left_out))
                log_event(LOG_ERR, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_SUBSCRIPTION, subscription }),
                        "%s: there are more devices than rules can watch (%d states); the remaining ones are not "
                        "watched. Narrow the rules by `where`",
                        subscription, ALERT_SLOTS_MAX);
        if (is_first(book, WARNED_UNTOLD, book->full))
                log_event(LOG_ERR, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_SUBSCRIPTION, subscription }),
                        "%s: more alerts fire than can wait for targets (%d); further ones are sent when there is "
                        "room, if they still fire. Narrow the rules by `where`, or restore targets that are down",
                        subscription, ALERT_ENTRIES_MAX);
}

/* ---- a turn ---- */

static int judge(AlertStore *store, const AlertTurn *turn, bool *ret_unreadable) {
        AlertBook *book = alert_store_book(store);
        AlertReadings readings = {};
        int r = 0;

        for (size_t i = 0; r == 0 && i < turn->n_items; i++)
                r = alert_readings_add(&readings, book->rules, turn->items[i].message,
                        (PayloadFormat) alert_store_config(store)->payload, turn->moment.wall);
        if (r == 0) {
                alert_readings_sort(&readings);
                r = alert_book_judge(book, &readings);
        }
        *ret_unreadable = readings.unreadable > 0;
        alert_readings_done(&readings);
        return r;
}

static int take_turn(AlertStore *store, AlertTurn *turn) {
        bool unreadable;
        int r;

        r = alert_store_open(store, &turn->moment);
        if (r == 0)
                r = judge(store, turn, &unreadable);
        if (r == 0)
                r = alert_pass_time(alert_store_book(store));
        if (r == 0)
                r = alert_store_commit(store);
        if (r != 0)
                return r;
        say_all(store);
        warn(store, unreadable);
        return alert_report_figures(alert_store_book(store), &turn->figures);
}

void alert_work_run(AlertStore *store, AlertTurn *turn) {
        turn->result = take_turn(store, turn);
}
