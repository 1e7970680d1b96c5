/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-book.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/json.h"
#include "lib/text.h"

/* A message older than this, when it is judged, may be history. Nothing is told while the device catches up, ... */
#define OLD_USEC (2 * USEC_PER_MINUTE)
/* ... and it has caught up when no newer message came for so long. */
#define QUIET_USEC (5 * USEC_PER_SEC)
/* A device that catches up for longer than this is not catching up: its times are wrong, or always late. */
#define CATCHING_MAX_USEC (10 * USEC_PER_MINUTE)
/* When we hear again after a gap, the first messages may take so long; until then no state changes by time alone. */
#define CALM_USEC (30 * USEC_PER_SEC)
/* A pull that hung while the machine slept is found dead in less than this. */
#define MISSED_MAX_USEC (3 * USEC_PER_MINUTE)
/* When the wall clock advanced by so much more or less than clock_now() between two passes, somebody set it. */
#define CLOCK_SET_USEC (5 * (int64_t) USEC_PER_SEC)
/* A device is forgotten only after we have heard for so long: messages that we missed may still come. */
#define FORGET_CALM_USEC (24 * USEC_PER_HOUR)
/* The value in the slot of a rule without a device: the rule had a device before. */
#define HAD_ONE "forgotten"

/* ---- life ---- */

int alert_book_new(const AlertConfig *config, const AlertRules *rules, AlertBook **ret) {
        AlertBook *book = calloc(1, sizeof(AlertBook));

        if (book)
                book->known = calloc(rules->n + 1, sizeof(size_t));
        if (!book || !book->known) {
                free(book);
                return -ENOMEM;
        }
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
        free(book->known);
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

/* ---- beginning and end ---- */

static int fire(AlertBook *book, AlertDevice *device, AlertSlot *slot, usec_t wall) {
        slot->fired = wall;
        return alert_book_tell(book, device, slot);
}

static void cease(const AlertDevice *device, AlertSlot *slot, usec_t until, usec_t wall, AlertEnd end) {
        slot->fired = 0;
        for (AlertEntry *entry = device->entries; entry; entry = entry->next)
                if (entry->watch == slot->watch && !entry->gone)
                        alert_entry_cease(entry, until, wall, end, slot->value);
}

/* ---- after reading the file ---- */

/* Whether this firing of a removed rule is to be logged as over: once, however many targets were to be told. */
static bool is_news(const AlertDevice *device, const AlertEntry *entry) {
        if (entry->watch != ALERT_NO_RULE || entry->ended > 0 || !entry->released)
                return false;
        for (const AlertEntry *other = device->entries; other; other = other->next)
                if (other->news && strcmp(other->rule_key, entry->rule_key) == 0)
                        return false;
        return true;
}

static void settle_entry(const AlertBook *book, const AlertDevice *device, AlertEntry *entry, usec_t wall) {
        const AlertSlot *slot = alert_device_find(device, entry->watch);
        bool lost = !slot && entry->watch != ALERT_NO_RULE && entry->ended == 0; /* its state could not be read */

        if (entry->gone)
                return;
        entry->news = is_news(device, entry);
        if (lost || alert_config_target(book->config, entry->target) == book->config->n_targets)
                entry->gone = entry->dirty = true;
        else if (!slot || !alert_config_tells(book->rules->items[entry->watch].rule, entry->target))
                alert_entry_cease(entry, wall, wall, ALERT_END_RULE, entry->value);
}

/* After a reload, a target that is new to a rule is told of what fires already. This includes a target that the rule
 * had left out meanwhile, and that is still to be told of an end. */
static int settle_slot(AlertBook *book, AlertDevice *device, AlertSlot *slot, const AlertMoment *moment) {
        const AlertWatch *watch = &book->rules->items[slot->watch];

        slot->seen = usec_max(slot->state.judged, slot->state.heard);
        if (slot->seen == 0)
                slot->seen = moment->wall;
        slot->left = watch->rule->test == ALERT_STALE && slot->state.phase == PHASE_OK && slot->state.judged > 0 &&
                     slot->state.heard == 0; /* only leave() produces this state */
        slot->moved = moment->now + CALM_USEC - QUIET_USEC;
        slot->catching = moment->now;
        slot->behind = USEC_INFINITY;
        return slot->state.phase == PHASE_FIRING ? alert_book_tell(book, device, slot) : 0;
}

/* If the state that goes with the entry could not be read, the rule fires, as the target was told, until a value ends
 * it. -ENOMEM. */
static int recover(AlertDevice *device, const AlertEntry *entry) {
        AlertSlot *slot;

        if (entry->gone || entry->ended > 0 || entry->watch == ALERT_NO_RULE || entry->told_since != entry->since ||
                alert_device_find(device, entry->watch))
                return 0;
        if (alert_device_add(device, entry->watch, &slot) < 0)
                return -ENOMEM;
        slot->state = (AlertState){ .phase = PHASE_FIRING, .since = entry->since, .judged = entry->since };
        slot->fired = entry->fired;
        slot->said = device->dirty = true;
        text_copy(slot->value, sizeof(slot->value), entry->value);
        return 0;
}

int alert_book_settle(AlertBook *book, const AlertMoment *moment) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < book->n_devices; i++) {
                AlertDevice *device = book->devices[i];

                for (const AlertEntry *entry = device->entries; r == 0 && entry; entry = entry->next)
                        r = recover(device, entry);
                book->n_slots += device->n_slots;
                for (AlertEntry *entry = device->entries; entry; entry = entry->next)
                        settle_entry(book, device, entry, moment->wall);
                for (size_t k = 0; r == 0 && k < device->n_slots; k++)
                        r = settle_slot(book, device, &device->slots[k], moment);
                device->dirty = device->dirty || alert_device_is_empty(device);
        }
        return r;
}

/* ---- the wall clock ---- */

/* Notices that the wall clock was set: that must not count as silence of a device, nor as a part of `for`, nor make a
 * repeat due. */
static void note_clock(AlertBook *book, const AlertMoment *moment) {
        int64_t offset = (int64_t) (moment->wall - moment->now), moved = offset - book->clock.offset;

        if (book->clock.offset != 0 && (moved > CLOCK_SET_USEC || moved < -CLOCK_SET_USEC)) {
                for (size_t i = 0; i < book->n_devices; i++)
                        alert_device_shift(book->devices[i], book->clock.offset,
                                book->clock.offset + (int64_t) moment->now, moved);
                book->clock.set_at = moment->now;
        }
        book->clock.offset = offset;
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

        if (behind <= OLD_USEC)
                slot->catching = 0;
        else if (slot->catching == 0 || moment->now > slot->moved + CATCHING_MAX_USEC ||
                 behind + CATCHING_MAX_USEC <= slot->behind) {
                slot->catching = moment->now;
                slot->behind = behind;
        }
        slot->moved = moment->now;
}

static int judge_slot(
        AlertBook *book, AlertDevice *device, AlertSlot *slot, const AlertReading *reading, const AlertMoment *moment) {
        const AlertWatch *watch = &book->rules->items[slot->watch];
        Slice value = watch->rule->field ? reading->values[watch->field] : (Slice){};
        AlertMove move;

        if (reading->at > slot->seen)
                slot->seen = reading->at;
        if (watch->rule->test == ALERT_STALE) {
                AlertLife life = alert_reading_life(book->rules, watch, reading);

                move = alert_judge_life(watch->rule, &slot->state, &life, moment->wall);
        } else
                move = alert_judge_message(
                        watch->rule, &slot->state, reading->at, alert_judge_value(watch->rule, value));
        if (move == ALERT_OLD)
                return 0;
        slot->left = false;
        set_value(slot, value);
        note_pace(slot, moment);
        device->dirty = true;
        if (move == ALERT_FIRED)
                return fire(book, device, slot, moment->wall);
        if (move == ALERT_CEASED)
                cease(device, slot, reading->at, moment->wall, ALERT_END_OVER);
        return 0;
}

/* Finds or makes the slot of a rule without a device. */
static int need_lost(AlertBook *book, size_t watch, AlertDevice **ret_nobody, AlertSlot **ret) {
        int r = alert_book_device(book, ALERT_NOBODY, ret_nobody);

        if (r < 0)
                return r;
        *ret = alert_device_find(*ret_nobody, watch);
        return *ret ? 0 : alert_device_add(*ret_nobody, watch, ret);
}

/* The device got another name, to which the rule does not apply. If the rule has no other device, it counts as having
 * found none since then. Late messages under the old name change nothing. */
static int leave(
        AlertBook *book, AlertDevice *device, AlertSlot *slot, const AlertReading *reading, const AlertMoment *moment) {
        AlertDevice *nobody;
        AlertSlot *lost;
        int r;

        if (slot->state.phase == PHASE_FIRING)
                cease(device, slot, reading->at, moment->wall, ALERT_END_NAME);
        slot->state = (AlertState){ .judged = reading->at };
        slot->left = device->dirty = true;
        note_pace(slot, moment);
        if (book->rules->items[slot->watch].rule->test != ALERT_STALE)
                return 0;
        r = need_lost(book, slot->watch, &nobody, &lost);
        if (r < 0)
                return r;
        lost->state.heard = usec_min(reading->at, moment->wall);
        nobody->dirty = true;
        return 0;
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

static int judge_rule(
        AlertBook *book, AlertDevice *device, size_t watch, const AlertReading *reading, const AlertMoment *moment) {
        AlertSlot *slot = alert_device_find(device, watch);
        int r;

        if (!alert_rules_match(&book->rules->items[watch], reading->values))
                return slot && is_leaving(book, slot, reading) ? leave(book, device, slot, reading, moment) : 0;
        if (!slot && book->n_slots >= ALERT_SLOTS_MAX) {
                book->left_out = true;
                return 0;
        }
        if (!slot) {
                r = alert_device_add(device, watch, &slot);
                if (r < 0)
                        return r;
                book->n_slots++;
        }
        return judge_slot(book, device, slot, reading, moment);
}

static int judge(AlertBook *book, const AlertReading *reading, const AlertMoment *moment) {
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
                r = judge_rule(book, device, i, reading, moment);
        return r;
}

/* Frees what is forgotten: the file does not have it any more. */
static void sweep(AlertBook *book) {
        size_t n = 0;

        for (size_t i = 0; i < book->n_devices; i++) {
                AlertDevice *device = book->devices[i];

                if (!device->dirty)
                        book->n_slots -= alert_device_shrink(device);
                if (device->dirty || alert_device_is_nobody(device) || device->n_slots > 0 || device->entries)
                        book->devices[n++] = device;
                else
                        (void) alert_device_free(device);
        }
        book->n_devices = n;
}

/* The queue delivers about the oldest first, so messages that it still has were published after these. */
static void note_proof(AlertBook *book, const AlertReadings *readings, const AlertMoment *moment) {
        usec_t age = moment->wall > readings->oldest ? moment->wall - readings->oldest : 0;

        if (readings->n > 0 && moment->now > book->proven + age)
                book->proven = moment->now - age;
}

int alert_book_judge(AlertBook *book, const AlertReadings *readings, const AlertMoment *moment) {
        int r = 0;

        note_clock(book, moment);
        sweep(book);
        note_proof(book, readings, moment);
        for (size_t i = 0; r == 0 && i < readings->n; i++)
                r = judge(book, &readings->items[i], moment);
        book->judged += readings->n;
        return r;
}

/* ---- time ---- */

/* Returns until when (clock_now()) nothing is told of the slot: its device catches up with the past, and what fires now
 * may be over in a moment. 0: it does not catch up. */
static usec_t held_until(const AlertSlot *slot, const AlertMoment *moment) {
        usec_t quiet = slot->moved + QUIET_USEC, patience = slot->catching + CATCHING_MAX_USEC;
        usec_t until = moment->caught_up ? 0 : usec_min(quiet, patience);

        return moment->wall > slot->state.judged + OLD_USEC && moment->now < until ? until : 0;
}

typedef struct Pass {
        AlertBook *book;
        const AlertMoment *moment;
        usec_t next; /* wall time */
} Pass;

static void wake_at(Pass *pass, usec_t wall) {
        if (wall < pass->next)
                pass->next = wall;
}

/* The same with a time of clock_now(). */
static void wake_in(Pass *pass, usec_t now) {
        wake_at(pass, pass->moment->wall + (now > pass->moment->now ? now - pass->moment->now : 0));
}

/* Returns since when (clock_now()) we hear without a gap and without a set clock. */
static usec_t heard_since(const Pass *pass) {
        return usec_max(pass->book->clock.set_at, pass->moment->hearing);
}

/* Returns the time (wall) before which no more messages can come: that is proven by the answers to pulls. */
static usec_t proven_until(const Pass *pass) {
        const AlertMoment *moment = pass->moment;

        return moment->wall - (moment->now - usec_max(pass->book->proven, moment->heard));
}

/* Whether the state may change because the time *at* (wall) has passed. If not, *ret_gate* is when to ask again, in
 * clock_now(); USEC_INFINITY: at the next answer to a pull. Silence counts only when it is proven, and when we have
 * heard for as long as the rule says: what we missed is not the sensor's fault. */
static bool is_open(const Pass *pass, const AlertRule *rule, const AlertState *state, usec_t at, usec_t *ret_gate) {
        const AlertMoment *moment = pass->moment;
        bool silence = rule->test == ALERT_STALE && !state->offline;

        *ret_gate = USEC_INFINITY;
        if (moment->hearing == 0 || moment->deaf || (silence && proven_until(pass) < at))
                return false;
        *ret_gate = silence             ? heard_since(pass) + rule->stale
                    : moment->caught_up ? moment->hearing
                                        : moment->hearing + CALM_USEC;
        return moment->now >= *ret_gate;
}

static int pass_time(Pass *pass, AlertDevice *device, AlertSlot *slot) {
        const AlertRule *rule = pass->book->rules->items[slot->watch].rule;
        usec_t wall = pass->moment->wall, at = alert_judge_next(rule, &slot->state), gate;
        AlertPhase before = slot->state.phase;
        int r = 0;

        if (at > wall) {
                wake_at(pass, at);
                return 0;
        }
        if (!is_open(pass, rule, &slot->state, at, &gate)) {
                if (gate != USEC_INFINITY)
                        wake_in(pass, gate);
                return 0;
        }
        if (alert_judge_time(rule, &slot->state, wall) == ALERT_FIRED)
                r = fire(pass->book, device, slot, wall);
        device->dirty = device->dirty || slot->state.phase != before;
        at = alert_judge_next(rule, &slot->state);
        if (at > wall)
                wake_at(pass, at);
        return r;
}

static void note_news(AlertDevice *device, AlertSlot *slot) {
        bool fires = slot->state.phase == PHASE_FIRING;

        if (fires == slot->said)
                return;
        slot->said = fires;
        slot->news = device->dirty = true;
}

/* Whether we listened for so long without a message that the device is to be forgotten. */
static bool is_forgotten(const Pass *pass, const AlertDevice *device, const AlertSlot *slot) {
        const AlertRule *rule = pass->book->rules->items[slot->watch].rule;
        const AlertMoment *moment = pass->moment;
        usec_t least = 2 * (rule->stale + rule->wait), forget = pass->book->config->forget;

        if (alert_device_is_nobody(device) || moment->hearing == 0 || moment->deaf)
                return false;
        return moment->now - heard_since(pass) >= FORGET_CALM_USEC &&
               proven_until(pass) >= slot->seen + usec_max(forget, least);
}

/* Notes that the rule had a device. If it has none later, that is not a mistake in the rule, and nothing is told. */
static int note_had_one(AlertBook *book, size_t watch) {
        AlertDevice *nobody; /* exists already: pass_lost_rules() made it */
        AlertSlot *slot;
        int r;

        if (book->rules->items[watch].rule->test != ALERT_STALE)
                return 0;
        r = need_lost(book, watch, &nobody, &slot);
        if (r < 0)
                return r;
        text_copy(slot->value, sizeof(slot->value), HAD_ONE);
        nobody->dirty = true;
        return 0;
}

static int forget(Pass *pass, AlertDevice *device, AlertSlot *slot) {
        usec_t wall = pass->moment->wall;

        if (slot->state.phase == PHASE_FIRING)
                cease(device, slot, wall, wall, ALERT_END_DEVICE);
        slot->state = (AlertState){};
        slot->gone = device->dirty = true;
        return slot->left ? 0 : note_had_one(pass->book, slot->watch);
}

static int pass_slots(Pass *pass, AlertDevice *device) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < device->n_slots; i++) {
                AlertSlot *slot = &device->slots[i];

                if (held_until(slot, pass->moment) > 0) {
                        wake_in(pass, held_until(slot, pass->moment));
                        continue;
                }
                r = pass_time(pass, device, slot);
                if (r == 0 && is_forgotten(pass, device, slot))
                        r = forget(pass, device, slot);
                note_news(device, slot);
        }
        return r;
}

/* Returns until when (clock_now()) a repeat ("still ...") waits for messages that the queue may hold, after a start or
 * a sleep of the machine; 0: it does not wait. In an outage the wait ends after MISSED_MAX_USEC. */
static usec_t repeat_held_until(const AlertMoment *moment) {
        if (moment->caught_up || (moment->hearing == 0 && moment->missed == 0))
                return 0;
        return moment->hearing > 0 ? moment->hearing + CALM_USEC : moment->missed + MISSED_MAX_USEC;
}

AlertDue alert_book_due(const AlertBook *book, const AlertDevice *device, const AlertEntry *entry,
        const AlertMoment *moment, AlertNext *ret) {
        const AlertSlot *slot = alert_device_find(device, entry->watch);
        usec_t repeat = entry->watch == ALERT_NO_RULE ? 0 : book->rules->items[entry->watch].rule->repeat;
        AlertDue due = alert_entry_due(entry, repeat, moment->wall, ret);
        usec_t until;

        if (due != ALERT_IS_DUE || alert_entry_is_sealed(entry) || !slot)
                return due;
        until = held_until(slot, moment);
        if (until == 0 && ret->kind == ALERT_REPEAT)
                until = repeat_held_until(moment);
        if (until <= moment->now)
                return due;
        ret->at = moment->wall + until - moment->now;
        return ALERT_IS_LATER;
}

static void pass_entry(Pass *pass, const AlertDevice *device, AlertEntry *entry) {
        const AlertSlot *slot = alert_device_find(device, entry->watch);
        AlertNext next;
        AlertDue due;

        if (!entry->released && entry->ended == 0 && (!slot || held_until(slot, pass->moment) == 0))
                entry->released = entry->dirty = true;
        if (entry->told_at > pass->moment->wall) { /* the clock was set back, which must not delay a repeat for long */
                entry->told_at = pass->moment->wall;
                entry->dirty = true;
        }
        due = alert_book_due(pass->book, device, entry, pass->moment, &next);
        if (due == ALERT_IS_DONE)
                entry->gone = entry->dirty = true;
        else if (due == ALERT_IS_LATER)
                wake_at(pass, next.at);
        else
                pass->book->due += !alert_entry_is_sealed(entry);
}

static void pass_entries(Pass *pass, const AlertDevice *device) {
        for (AlertEntry *entry = device->entries; entry; entry = entry->next)
                if (!entry->gone)
                        pass_entry(pass, device, entry);
}

static void count_known(AlertBook *book) {
        memset(book->known, 0, book->rules->n * sizeof(size_t));
        for (size_t i = 0; i < book->n_devices; i++)
                for (size_t k = 0; !alert_device_is_nobody(book->devices[i]) && k < book->devices[i]->n_slots; k++)
                        book->known[book->devices[i]->slots[k].watch] += !book->devices[i]->slots[k].left;
}

/* The rule has found a device: ends its state without a device. */
static void end_lost_rule(Pass *pass, AlertDevice *nobody, AlertSlot *slot) {
        if (slot->state.phase == PHASE_FIRING)
                cease(nobody, slot, pass->moment->wall, pass->moment->wall, ALERT_END_OVER);
        if (slot->state.phase != PHASE_OK || slot->value[0] != '\0') {
                slot->state = (AlertState){};
                slot->value[0] = '\0';
                nobody->dirty = true;
        }
        slot->state.heard = 0;
}

/* A rule without a device has a slot of its own. It was last heard of when we began to hear, or when its last device
 * got another name. */
static int pass_lost_rule(Pass *pass, size_t watch) {
        const AlertMoment *moment = pass->moment;
        usec_t hearing = moment->wall - (moment->now - moment->hearing);
        AlertDevice *nobody;
        AlertSlot *slot;
        int r = alert_book_device(pass->book, ALERT_NOBODY, &nobody);

        if (r < 0)
                return r;
        slot = alert_device_find(nobody, watch);
        if (pass->book->known[watch] > 0) {
                if (slot)
                        end_lost_rule(pass, nobody, slot);
                return 0;
        }
        if (!slot)
                r = alert_device_add(nobody, watch, &slot);
        if (r == 0 && slot->state.phase == PHASE_OK && moment->hearing > 0 && slot->value[0] == '\0' &&
                (hearing > slot->state.heard || slot->state.heard > moment->wall))
                slot->state.heard = hearing;
        return r;
}

static int pass_lost_rules(Pass *pass) {
        const AlertRules *rules = pass->book->rules;
        int r = 0;

        count_known(pass->book);
        for (size_t i = 0; r == 0 && i < rules->n; i++)
                if (rules->items[i].rule->test == ALERT_STALE)
                        r = pass_lost_rule(pass, i);
        return r;
}

/* Tells firings for which there was no room before. */
static int tell_rest(AlertBook *book) {
        int r = 0;

        if (!book->untold || book->n_entries >= ALERT_ENTRIES_MAX)
                return 0;
        book->untold = false;
        for (size_t i = 0; r == 0 && i < book->n_devices; i++)
                for (size_t k = 0; r == 0 && k < book->devices[i]->n_slots; k++)
                        if (book->devices[i]->slots[k].state.phase == PHASE_FIRING)
                                r = alert_book_tell(book, book->devices[i], &book->devices[i]->slots[k]);
        return r;
}

int alert_book_pass(AlertBook *book, const AlertMoment *moment, usec_t *ret_next) {
        Pass pass = { book, moment, USEC_INFINITY };
        int r;

        note_clock(book, moment);
        r = tell_rest(book);
        if (r == 0)
                r = pass_lost_rules(&pass);
        book->due = 0;
        for (size_t i = 0; r == 0 && i < book->n_devices; i++) {
                r = pass_slots(&pass, book->devices[i]);
                pass_entries(&pass, book->devices[i]);
        }
        *ret_next = pass.next;
        return r;
}

void alert_book_news(AlertBook *book, AlertBookEach each, void *userdata) {
        for (size_t i = 0; i < book->n_devices; i++)
                for (size_t k = 0; k < book->devices[i]->n_slots; k++) {
                        AlertSlot *slot = &book->devices[i]->slots[k];

                        if (slot->news)
                                each(userdata, book->devices[i], slot);
                        slot->news = false;
                }
}

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
