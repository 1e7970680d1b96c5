/* SPDX-License-Identifier: Apache-2.0 */
/* Messages are judged. */
#include "sinks/alert-book.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/json.h"
#include "lib/text.h"

/* When the wall clock advanced by so much more or less than clock_now() between two turns, somebody set it. */
#define CLOCK_SET_USEC (5 * (int64_t) USEC_PER_SEC)

/* ---- life ---- */

int alert_book_new(const AlertConfig *config, const AlertRules *rules, AlertBook **ret) {
        AlertBook *book = calloc(1, sizeof(AlertBook));

        if (!book)
                return -ENOMEM;
        book->config = config;
        book->rules = rules;
        *ret = book;
        return 0;
}

AlertBook *alert_book_free(AlertBook *book) {
        if (!book)
                return NULL;
        for (size_t i = 0; i < book->n_devices; i++)
                (void) alert_device_free(book->devices[i]);
        free(book->devices);
        free(book->due);
        bytes_done(&book->ahead_device);
        free(book);
        return NULL;
}

/* Returns the index of the device with that key, or where it would be inserted. */
static size_t find_device(const AlertBook *book, Slice key, bool *ret_found) {
        size_t low = 0, high = book->n_devices;

        *ret_found = false;
        while (low < high && !*ret_found) {
                size_t middle = (low + high) / 2;
                int order = slice_order(key, book->devices[middle]->key);

                *ret_found = order == 0;
                if (order > 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return high;
}

int alert_book_device(AlertBook *book, Slice key, AlertDevice **ret) {
        bool found;
        size_t at = find_device(book, key, &found);
        int r;

        if (found) {
                *ret = book->devices[at];
                return 0;
        }
        r = array_reserve(&book->devices, &book->allocated, book->n_devices + 1, sizeof(AlertDevice *));
        if (r == 0)
                r = alert_device_new(key, ret);
        if (r < 0)
                return r;
        memmove(&book->devices[at + 1], &book->devices[at], (book->n_devices - at) * sizeof(AlertDevice *));
        book->devices[at] = *ret;
        book->n_devices++;
        return 0;
}

void alert_book_adopt(AlertBook *book, AlertDevice *device, AlertEntry *entry) {
        entry->watch = alert_rules_find(book->rules, (Slice){ entry->rule_key, strlen(entry->rule_key) });
        entry->to = entry->target ? alert_config_target(book->config, entry->target) : book->config->n_targets;
        entry->next = device->entries;
        device->entries = entry;
        book->n_entries++;
}

/* ---- the wall clock ---- */

/* That the wall clock was set must not count as silence of a device, nor as a part of `for`, nor make a repeat due. */
void alert_book_begin(AlertBook *book, const AlertMoment *moment) {
        int64_t boot = (int64_t) (book->moment.wall - book->moment.now); /* by the wall clock of the last turn */
        int64_t moved = (int64_t) (moment->wall - moment->now) - boot;

        if (book->moment.now > 0 && (moved > CLOCK_SET_USEC || moved < -CLOCK_SET_USEC)) {
                for (size_t i = 0; i < book->n_devices; i++)
                        alert_device_shift(book->devices[i], boot, boot + (int64_t) moment->now, moved);
                book->clock_set_at = moment->now;
        }
        book->moment = *moment;
}

/* ---- what targets are told ---- */

static int make_entry(const AlertBook *book, size_t watch, const char *target, AlertEntry **ret) {
        const AlertWatch *of = &book->rules->items[watch];
        _cleanup_(alert_entry_freep) AlertEntry *entry = calloc(1, sizeof(AlertEntry));

        if (!entry)
                return -ENOMEM;
        entry->target = strdup(target);
        entry->rule = strdup(of->rule->name);
        entry->field = of->rule->field ? strdup(of->rule->field) : NULL;
        entry->limit = of->limit ? strdup(of->limit) : NULL;
        if (!entry->target || !entry->rule || !entry->field != !of->rule->field || !entry->limit != !of->limit)
                return -ENOMEM;
        memcpy(entry->rule_key, of->key, sizeof(entry->rule_key));
        entry->test = of->rule->test;
        *ret = cleanup_steal(entry);
        return 0;
}

/* Returns the entry of that rule and target, and adds one if there is none. NULL: there is no room or no memory. */
static AlertEntry *need_entry(AlertBook *book, AlertDevice *device, size_t watch, size_t to) {
        AlertEntry *entry = device->entries;

        while (entry && (entry->gone || entry->watch != watch || entry->to != to))
                entry = entry->next;
        if (entry)
                return entry;
        book->full = book->n_entries >= ALERT_ENTRIES_MAX;
        if (book->full || make_entry(book, watch, book->config->targets[to].name, &entry) < 0) {
                book->untold = true;
                return NULL;
        }
        alert_book_adopt(book, device, entry);
        return entry;
}

/* A sealed entry keeps its value and span: a request with them may be on its way to the target. */
static void fire(AlertEntry *entry, const AlertSlot *slot, const AlertRule *rule) {
        entry->since = slot->state.since;
        entry->until = 0;
        entry->end = ALERT_END_OVER;
        entry->was_due = false;
        entry->dirty = true;
        if (alert_entry_is_sealed(entry))
                return;
        text_copy(entry->value, sizeof(entry->value), slot->value);
        entry->span = alert_slot_span(slot, rule);
}

void alert_book_tell(AlertBook *book, AlertDevice *device, const AlertSlot *slot) {
        const AlertRule *rule = book->rules->items[slot->watch].rule;

        for (size_t to = 0; to < book->config->n_targets; to++) {
                AlertEntry *entry;

                if (!alert_config_tells(rule, book->config->targets[to].name))
                        continue;
                entry = need_entry(book, device, slot->watch, to);
                if (entry && (entry->since == 0 || entry->until > 0))
                        fire(entry, slot, rule);
        }
}

/* Returns the rule's own text for this kind of notice, or NULL. */
static const char *template_of(const AlertBook *book, const AlertItem *item) {
        size_t watch = item->entry->watch;

        if (watch == ALERT_NO_RULE || item->next.kind > ALERT_RESOLVED)
                return NULL;
        return item->next.kind == ALERT_RESOLVED ? book->rules->items[watch].rule->resolved
                                                 : book->rules->items[watch].rule->message;
}

AlertNotice alert_book_notice(const AlertBook *book, const AlertItem *item) {
        const AlertDevice *device = item->device;
        const AlertEntry *entry = item->entry;
        const AlertSlot *slot = alert_device_find(device, entry->watch);
        bool sealed = alert_entry_is_sealed(entry);
        AlertNotice notice = { .kind = item->next.kind,
                .test = entry->test,
                .rule = entry->rule,
                .source = text_or_null(device->source),
                .device = text_or_null(device->id),
                .name = text_or_null(device->name),
                .site = text_or_null(device->site),
                .nobody = alert_device_is_nobody(device),
                .field = entry->field,
                .value = text_or_null(slot && !sealed ? slot->value : entry->value),
                .limit = entry->limit,
                .span = entry->span,
                .since = sealed ? entry->sealed_since : entry->since,
                .until = sealed ? entry->sealed_until : entry->until,
                .end = entry->end,
                .text = template_of(book, item) };

        if (notice.kind == ALERT_RESOLVED)
                notice.since = entry->told_since;
        if (!sealed && notice.kind <= ALERT_REPEAT)
                notice.until = book->moment.wall;
        return notice;
}

/* ---- after reading the file ---- */

/* Whether it fires in a backlog that is not read to its end, and nobody was told: nobody knows whether it still does.
 */
static bool is_history(const AlertEntry *entry) {
        return entry->until == 0 && entry->told_since == 0 && !entry->was_due && !alert_entry_is_sealed(entry);
}

/* Whether this firing of a removed rule is to be logged as over: once, however many targets were to be told. */
static bool is_news(const AlertDevice *device, const AlertEntry *entry) {
        if (entry->watch != ALERT_NO_RULE || entry->until > 0 || is_history(entry))
                return false;
        for (const AlertEntry *other = device->entries; other; other = other->next)
                if (other->news && strcmp(other->rule_key, entry->rule_key) == 0)
                        return false;
        return true;
}

static void settle_entry(const AlertBook *book, const AlertDevice *device, AlertEntry *entry) {
        const AlertSlot *slot = alert_device_find(device, entry->watch);
        bool lost = !slot && entry->watch != ALERT_NO_RULE && entry->until == 0; /* its state could not be read */
        bool ends = !slot || !alert_config_tells(book->rules->items[entry->watch].rule, entry->target);

        if (entry->gone)
                return;
        if (alert_entry_is_sealed(entry) && entry->sealed <= ALERT_REPEAT && entry->sealed_until == 0) { /* by 0.2.0 */
                entry->sealed_until = book->moment.wall;
                entry->dirty = true;
        }
        entry->news = is_news(device, entry);
        if (lost || entry->to == book->config->n_targets || (ends && is_history(entry)))
                entry->gone = entry->dirty = true;
        else if (ends)
                alert_entry_cease(entry, book->moment.wall, ALERT_END_RULE, entry->value);
}

/* After a reload, a target that is new to a rule is told of what fires already. This includes a target that the rule
 * had left out meanwhile, and that is still to be told of an end. */
static void settle_slot(AlertBook *book, AlertDevice *device, AlertSlot *slot) {
        const AlertMoment *moment = &book->moment;
        const AlertWatch *watch = &book->rules->items[slot->watch];

        slot->seen = usec_max(slot->state.judged, slot->state.heard);
        if (slot->seen == 0)
                slot->seen = moment->wall;
        slot->left = watch->rule->test == ALERT_STALE && slot->state.phase == PHASE_OK && slot->state.judged > 0 &&
                     slot->state.heard == 0; /* only leave() produces this state */
        slot->moved = moment->now + ALERT_CALM_USEC - ALERT_QUIET_USEC;
        slot->catching = moment->now;
        slot->behind = USEC_INFINITY;
        if (slot->state.phase == PHASE_FIRING)
                alert_book_tell(book, device, slot);
}

/* If the state that goes with the entry could not be read, the rule fires, as the target was told, until a value ends
 * it. -ENOMEM. */
static int recover(AlertDevice *device, const AlertEntry *entry) {
        AlertSlot *slot;

        if (entry->gone || entry->until > 0 || entry->watch == ALERT_NO_RULE || entry->told_since != entry->since ||
                alert_device_find(device, entry->watch))
                return 0;
        if (alert_device_need(device, entry->watch, &slot) < 0)
                return -ENOMEM;
        slot->state = (AlertState){ .phase = PHASE_FIRING, .since = entry->since, .judged = entry->since };
        slot->said = device->dirty = true;
        text_copy(slot->value, sizeof(slot->value), entry->value);
        return 0;
}

/* Each rule with `stale` has a state for the time when it has no device. -ENOMEM. */
static int add_nobody(AlertBook *book) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < book->rules->n; i++) {
                AlertSlot *slot;

                if (book->rules->items[i].rule->test != ALERT_STALE)
                        continue;
                r = alert_book_device(book, ALERT_NOBODY, &book->nobody);
                if (r == 0)
                        r = alert_device_need(book->nobody, i, &slot);
        }
        return r;
}

int alert_book_settle(AlertBook *book, const AlertMoment *moment) {
        int r = 0;

        alert_book_begin(book, moment);
        for (size_t i = 0; r == 0 && i < book->n_devices; i++) {
                AlertDevice *device = book->devices[i];

                for (const AlertEntry *entry = device->entries; r == 0 && entry; entry = entry->next)
                        r = recover(device, entry);
                book->n_slots += device->n_slots;
                for (AlertEntry *entry = device->entries; entry; entry = entry->next)
                        settle_entry(book, device, entry);
                for (size_t k = 0; k < device->n_slots; k++)
                        settle_slot(book, device, &device->slots[k]);
                device->dirty = device->dirty || alert_device_is_empty(device);
        }
        return r < 0 ? r : add_nobody(book);
}

/* ---- messages ---- */

/* Keeps the value as text for a reader, cut. */
static void set_value(AlertSlot *slot, Slice value) {
        char text[ALERT_VALUE_SIZE * 6]; /* \uXXXX stands for at least one byte */
        size_t size = 0;

        if (!value.data || value.data[0] == '{' || value.data[0] == '[')
                return;
        if (value.data[0] != '"' && value.size < sizeof(slot->value)) {
                *(char *) mempcpy(slot->value, value.data, value.size) = '\0';
                return;
        }
        if (value.data[0] == '"')
                value = (Slice){ value.data + 1, value.size - 2 };
        if (value.size >= sizeof(text) || json_unescape(value, text, &size) < 0) {
                size = text_cut(value.data, value.size, ALERT_VALUE_SIZE - 1);
                memcpy(text, value.data, size);
        }
        text[size] = '\0';
        text_copy(slot->value, sizeof(slot->value), text);
}

static void note_pace(AlertSlot *slot, const AlertMoment *moment) {
        usec_t behind = moment->wall > slot->state.judged ? moment->wall - slot->state.judged : 0;

        if (behind <= ALERT_OLD_USEC)
                slot->catching = 0;
        else if (slot->catching == 0 || moment->now > slot->moved + ALERT_CATCHING_MAX_USEC ||
                 behind + ALERT_CATCHING_MAX_USEC <= slot->behind) {
                slot->catching = moment->now;
                slot->behind = behind;
        }
        slot->moved = moment->now;
}

static void judge_slot(AlertBook *book, AlertDevice *device, AlertSlot *slot, const AlertReading *reading) {
        const AlertWatch *watch = &book->rules->items[slot->watch];
        Slice value = watch->rule->field ? reading->values[watch->field] : (Slice){};
        AlertMove move;

        if (reading->at > slot->seen)
                slot->seen = reading->at;
        if (watch->rule->test == ALERT_STALE) {
                AlertLife life = alert_reading_life(book->rules, watch, reading);

                move = alert_judge_life(watch->rule, &slot->state, &life, book->moment.wall);
        } else
                move = alert_judge_message(
                        watch->rule, &slot->state, reading->at, alert_judge_value(watch->rule, value));
        if (move == ALERT_OLD)
                return;
        slot->left = slot->gone = false;
        set_value(slot, value);
        note_pace(slot, &book->moment);
        device->dirty = true;
        if (move == ALERT_FIRED)
                alert_book_tell(book, device, slot);
        else if (move == ALERT_CEASED)
                alert_entry_end(device, slot, reading->at, ALERT_END_OVER);
}

/* The device got another name, to which the rule does not apply. If the rule has no other device, it counts as having
 * found none since then. Late messages under the old name change nothing. */
static void leave(AlertBook *book, AlertDevice *device, AlertSlot *slot, const AlertReading *reading) {
        if (slot->state.phase == PHASE_FIRING)
                alert_entry_end(device, slot, reading->at, ALERT_END_NAME);
        slot->state = (AlertState){ .judged = reading->at };
        slot->left = device->dirty = true;
        note_pace(slot, &book->moment);
        if (book->rules->items[slot->watch].rule->test != ALERT_STALE)
                return;
        alert_device_find(book->nobody, slot->watch)->state.heard = usec_min(reading->at, book->moment.wall);
        book->nobody->dirty = true;
}

static bool is_leaving(const AlertBook *book, const AlertSlot *slot, const AlertReading *reading) {
        return reading->named && !slot->left && reading->at > slot->seen &&
               !alert_rules_match_name(book->rules, &book->rules->items[slot->watch], reading->values);
}

/* Whether the device is known or a rule applies to it. Nothing is kept of other devices. */
static bool is_watched(const AlertBook *book, const AlertReading *reading) {
        bool found;

        (void) find_device(book, reading->device, &found);
        for (size_t i = 0; !found && i < book->rules->n; i++)
                found = alert_rules_match(&book->rules->items[i], reading->values);
        return found;
}

static int judge_rule(AlertBook *book, AlertDevice *device, size_t watch, const AlertReading *reading) {
        AlertSlot *slot = alert_device_find(device, watch);
        int r;

        if (!alert_rules_match(&book->rules->items[watch], reading->values)) {
                if (slot && is_leaving(book, slot, reading))
                        leave(book, device, slot, reading);
                return 0;
        }
        if (!slot && book->n_slots >= ALERT_SLOTS_MAX) {
                book->left_out = true;
                return 0;
        }
        if (!slot) {
                r = alert_device_need(device, watch, &slot);
                if (r < 0)
                        return r;
                book->n_slots++;
        }
        judge_slot(book, device, slot, reading);
        return 0;
}

static int judge(AlertBook *book, const AlertReading *reading) {
        AlertDevice *device;
        int r;

        if (!is_watched(book, reading))
                return 0;
        r = alert_book_device(book, reading->device, &device);
        if (r == 0)
                r = alert_device_describe(device, reading);
        if (r == 0 && reading->ahead && book->ahead_device.size == 0)
                (void) bytes_append(&book->ahead_device, reading->device.data, reading->device.size);
        for (size_t i = 0; r == 0 && i < book->rules->n; i++)
                r = judge_rule(book, device, i, reading);
        return r;
}

static void drop_gone(AlertBook *book, AlertDevice *device) {
        size_t n = 0;

        for (size_t i = 0; i < device->n_slots; i++)
                if (!device->slots[i].gone)
                        device->slots[n++] = device->slots[i];
        book->n_slots -= device->n_slots - n;
        device->n_slots = n;
}

/* Frees what is forgotten: the file does not have it any more. */
static void sweep(AlertBook *book) {
        size_t n = 0;

        for (size_t i = 0; i < book->n_devices; i++) {
                AlertDevice *device = book->devices[i];

                if (!device->dirty)
                        drop_gone(book, device);
                if (device->dirty || device == book->nobody || device->n_slots > 0 || device->entries)
                        book->devices[n++] = device;
                else
                        (void) alert_device_free(device);
        }
        book->n_devices = n;
}

/* The queue delivers about the oldest first, so messages that it still has were published after these. */
static void note_proof(AlertBook *book, const AlertReadings *readings) {
        const AlertMoment *moment = &book->moment;
        usec_t age = moment->wall > readings->oldest ? moment->wall - readings->oldest : 0;

        if (readings->n > 0 && moment->now > book->proven + age)
                book->proven = moment->now - age;
}

int alert_book_judge(AlertBook *book, const AlertReadings *readings) {
        int r = 0;

        book->n_due = 0;
        sweep(book);
        note_proof(book, readings);
        for (size_t i = 0; r == 0 && i < readings->n; i++)
                r = judge(book, &readings->items[i]);
        book->judged += readings->n;
        return r;
}

bool alert_book_has_heard(const AlertBook *book, size_t watch) {
        for (size_t i = 0; i < book->n_devices; i++) {
                const AlertSlot *slot = alert_device_find(book->devices[i], watch);

                if (slot && slot->state.judged > 0)
                        return true;
        }
        return false;
}

/* ---- stored ---- */

void alert_book_committed(AlertBook *book) {
        for (size_t i = 0; i < book->n_devices; i++) {
                AlertDevice *device = book->devices[i];
                AlertEntry **next = &device->entries;

                device->dirty = false;
                while (*next) {
                        AlertEntry *e = *next;

                        e->dirty = false;
                        if (!e->gone || e->news) {
                                next = &e->next;
                                continue;
                        }
                        *next = e->next;
                        (void) alert_entry_free(e);
                        book->n_entries--;
                }
        }
}
