/* SPDX-License-Identifier: Apache-2.0 */
/* Time passes: `for` and silence are over, devices are forgotten, and what is due is listed. */
#include <stdlib.h>

#include "lib/array.h"
#include "lib/text.h"
#include "sinks/alert-book.h"
#include "sinks/alert-rules.h"

/* A pull that hung while the machine slept is found dead in less than this. */
#define MISSED_MAX_USEC (3 * USEC_PER_MINUTE)
/* A device is forgotten only after we have heard for so long: messages that we missed may still come. */
#define FORGET_CALM_USEC (24 * USEC_PER_HOUR)
/* The value in the slot of a rule without a device: the rule had a device before. */
#define HAD_ONE "forgotten"

/* Returns until when (clock_now()) nothing is told of the slot: its device catches up with the past, and what fires now
 * may be over in a moment. 0: it does not catch up. */
static usec_t held_until(const AlertSlot *slot, const AlertMoment *moment) {
        usec_t quiet = slot->moved + ALERT_QUIET_USEC, patience = slot->catching + ALERT_CATCHING_MAX_USEC;
        usec_t until = moment->caught_up ? 0 : usec_min(quiet, patience);

        return moment->wall > slot->state.judged + ALERT_OLD_USEC && moment->now < until ? until : 0;
}

static void wake_at(AlertBook *book, usec_t wall) {
        book->next = usec_min(book->next, wall);
}

/* The same with a time of clock_now(). */
static void wake_in(AlertBook *book, usec_t now) {
        if (now != USEC_INFINITY)
                wake_at(book, book->moment.wall + (now > book->moment.now ? now - book->moment.now : 0));
}

/* Returns since when (clock_now()) we hear without a gap and without a set clock. */
static usec_t heard_since(const AlertBook *book) {
        return usec_max(book->clock_set_at, book->moment.hearing);
}

/* Returns the time (wall) before which no more messages can come: that is proven by the answers to pulls. */
static usec_t proven_until(const AlertBook *book) {
        const AlertMoment *moment = &book->moment;

        return moment->wall - (moment->now - usec_max(book->proven, moment->heard));
}

/* Returns from when on (clock_now()) the state may change because the time *at* (wall) has passed; USEC_INFINITY: not
 * before the next answer to a pull. Silence counts only when it is proven, and when we have heard for as long as the
 * rule says: what we missed is not the sensor's fault. */
static usec_t gate_of(const AlertBook *book, const AlertRule *rule, const AlertState *state, usec_t at) {
        const AlertMoment *moment = &book->moment;
        bool silence = rule->test == ALERT_STALE && !state->offline;

        if (moment->hearing == 0 || moment->deaf || (silence && proven_until(book) < at))
                return USEC_INFINITY;
        if (silence)
                return heard_since(book) + rule->stale;
        return moment->caught_up ? moment->hearing : moment->hearing + ALERT_CALM_USEC;
}

static void pass_time(AlertBook *book, AlertDevice *device, AlertSlot *slot) {
        const AlertRule *rule = book->rules->items[slot->watch].rule;
        usec_t wall = book->moment.wall, at = alert_judge_next(rule, &slot->state);
        usec_t gate = at <= wall ? gate_of(book, rule, &slot->state, at) : 0;
        AlertPhase before = slot->state.phase;

        if (gate > book->moment.now)
                return wake_in(book, gate);
        if (at <= wall && alert_judge_time(rule, &slot->state, wall) == ALERT_FIRED)
                alert_book_tell(book, device, slot);
        device->dirty = device->dirty || slot->state.phase != before;
        at = alert_judge_next(rule, &slot->state);
        if (at > wall)
                wake_at(book, at);
}

static void note_news(AlertDevice *device, AlertSlot *slot) {
        bool fires = slot->state.phase == PHASE_FIRING;

        if (fires == slot->said)
                return;
        slot->said = fires;
        slot->news = !slot->news; /* what began and ended while nothing could be stored is no news */
        device->dirty = true;
}

/* Whether we listened for so long without a message that the device is to be forgotten. */
static bool is_forgotten(const AlertBook *book, const AlertDevice *device, const AlertSlot *slot) {
        const AlertRule *rule = book->rules->items[slot->watch].rule;
        const AlertMoment *moment = &book->moment;
        usec_t least = 2 * (rule->stale + rule->wait), forget = book->config->forget;

        if (alert_device_is_nobody(device) || moment->hearing == 0 || moment->deaf)
                return false;
        return moment->now - heard_since(book) >= FORGET_CALM_USEC &&
               proven_until(book) >= slot->seen + usec_max(forget, least);
}

/* If a rule with `stale` has no device later, that is not a mistake in the rule, and nothing is told. */
static void forget(AlertBook *book, AlertDevice *device, AlertSlot *slot) {
        bool stale = book->rules->items[slot->watch].rule->test == ALERT_STALE;
        usec_t wall = book->moment.wall;

        if (slot->state.phase == PHASE_FIRING)
                alert_entry_end(device, slot, wall, ALERT_END_DEVICE);
        slot->state = (AlertState){};
        slot->gone = device->dirty = true;
        if (!stale || slot->left)
                return;
        slot = alert_device_find(book->nobody, slot->watch);
        text_copy(slot->value, sizeof(slot->value), HAD_ONE);
        book->nobody->dirty = true;
}

static void pass_slot(AlertBook *book, AlertDevice *device, AlertSlot *slot) {
        usec_t held = held_until(slot, &book->moment);

        if (held > 0)
                return wake_in(book, held);
        if (is_forgotten(book, device, slot))
                forget(book, device, slot);
        else
                pass_time(book, device, slot);
        note_news(device, slot);
}

/* ---- rules without a device ---- */

/* Notes which rules have a device. */
static void find_known(const AlertBook *book, bool known[static ALERT_RULES_MAX]) {
        for (size_t i = 0; i < book->n_devices; i++)
                for (size_t k = 0; book->devices[i] != book->nobody && k < book->devices[i]->n_slots; k++)
                        known[book->devices[i]->slots[k].watch] |= !book->devices[i]->slots[k].left;
}

/* A rule without a device was last heard of when we began to hear, or when its last device got another name. When it
 * has found one, its state without a device ends. */
static void pass_lost_rule(AlertBook *book, AlertSlot *slot, bool known) {
        usec_t wall = book->moment.wall, hearing = wall - (book->moment.now - book->moment.hearing);
        AlertDevice *nobody = book->nobody;
        bool is_ok = slot->state.phase == PHASE_OK;

        if (known) {
                if (slot->state.phase == PHASE_FIRING)
                        alert_entry_end(nobody, slot, wall, ALERT_END_OVER);
                nobody->dirty = nobody->dirty || !is_ok || slot->value[0] != '\0';
                slot->state = (AlertState){};
                slot->value[0] = '\0';
        } else if (is_ok && book->moment.hearing > 0 && slot->value[0] == '\0' &&
                   (hearing > slot->state.heard || slot->state.heard > wall))
                slot->state.heard = hearing;
}

static void pass_lost_rules(AlertBook *book) {
        AlertDevice *nobody = book->nobody;
        bool known[ALERT_RULES_MAX] = {};

        if (!nobody)
                return;
        find_known(book, known);
        for (size_t i = 0; i < nobody->n_slots; i++)
                pass_lost_rule(book, &nobody->slots[i], known[nobody->slots[i].watch]);
}

/* ---- what is due ---- */

/* Returns until when (clock_now()) a repeat ("still ...") waits for messages that the queue may hold, after a start or
 * a sleep of the machine; 0: it does not wait. In an outage the wait ends after MISSED_MAX_USEC. */
static usec_t repeat_held_until(const AlertMoment *moment) {
        if (moment->caught_up || (moment->hearing == 0 && moment->missed == 0))
                return 0;
        return moment->hearing > 0 ? moment->hearing + ALERT_CALM_USEC : moment->missed + MISSED_MAX_USEC;
}

/* Nothing is due while the device catches up with the past. */
static AlertDue due_of(const AlertBook *book, const AlertDevice *device, const AlertEntry *entry, AlertNext *ret) {
        const AlertSlot *slot = alert_device_find(device, entry->watch);
        const AlertMoment *moment = &book->moment;
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

/* After a reload a rule may fire again with another limit. The end of the old firing must be told first, or it would be
 * taken for the end of the new one. */
static bool waits_for_end(const AlertBook *book, const AlertDevice *device, const AlertEntry *entry) {
        AlertNext next;

        if (entry->until > 0 || alert_entry_is_sealed(entry))
                return false;
        for (const AlertEntry *other = device->entries; other; other = other->next)
                if (other != entry && !other->gone && other->until > 0 && other->to == entry->to &&
                        strcmp(other->rule, entry->rule) == 0 && due_of(book, device, other, &next) == ALERT_IS_DUE)
                        return true;
        return false;
}

static void pass_entry(AlertBook *book, AlertDevice *device, AlertEntry *entry) {
        const AlertSlot *slot = alert_device_find(device, entry->watch);
        AlertItem item = { device, entry };

        if (entry->told_at > book->moment.wall) { /* the clock was set back, which must not delay a repeat for long */
                entry->told_at = book->moment.wall;
                entry->dirty = true;
        }
        if (slot && entry->until == 0 && !alert_entry_is_sealed(entry))
                entry->span = alert_slot_span(slot, book->rules->items[slot->watch].rule);
        switch (due_of(book, device, entry, &item.next)) {
        case ALERT_IS_DONE:
                entry->gone = entry->dirty = true;
                break;
        case ALERT_IS_LATER:
                return wake_at(book, item.next.at);
        case ALERT_IS_DUE:
                if (!entry->was_due && !alert_entry_is_sealed(entry))
                        entry->was_due = entry->dirty = true;
                if (!waits_for_end(book, device, entry))
                        book->due[book->n_due++] = item;
        }
}

/* Order: by target, then those that were given back less often, then the oldest. A message that is sent again has its
 * lines in the same order. */
static int compare_items(const void *a, const void *b) {
        const AlertItem *one = a, *other = b;

        if (one->entry->to != other->entry->to)
                return one->entry->to > other->entry->to ? 1 : -1;
        if (one->entry->turn != other->entry->turn)
                return one->entry->turn > other->entry->turn ? 1 : -1;
        if (one->next.at != other->next.at)
                return one->next.at > other->next.at ? 1 : -1;
        return strcmp(one->entry->rule, other->entry->rule) ?: slice_order(one->device->key, other->device->key);
}

/* ---- a pass ---- */

/* Tells firings for which there was no room or no memory before. */
static void tell_rest(AlertBook *book) {
        if (!book->untold || book->n_entries >= ALERT_ENTRIES_MAX)
                return;
        book->untold = book->full = false;
        for (size_t i = 0; i < book->n_devices; i++)
                for (size_t k = 0; k < book->devices[i]->n_slots; k++)
                        if (book->devices[i]->slots[k].state.phase == PHASE_FIRING)
                                alert_book_tell(book, book->devices[i], &book->devices[i]->slots[k]);
}

static void pass_entries(AlertBook *book) {
        for (size_t i = 0; i < book->n_devices; i++)
                for (AlertEntry *entry = book->devices[i]->entries; entry; entry = entry->next)
                        if (!entry->gone)
                                pass_entry(book, book->devices[i], entry);
        if (book->n_due > 1)
                qsort(book->due, book->n_due, sizeof(AlertItem), compare_items);
}

int alert_pass_time(AlertBook *book) {
        int r;

        book->n_due = 0;
        book->next = USEC_INFINITY;
        tell_rest(book);
        pass_lost_rules(book);
        for (size_t i = 0; i < book->n_devices; i++)
                for (size_t k = 0; k < book->devices[i]->n_slots; k++)
                        pass_slot(book, book->devices[i], &book->devices[i]->slots[k]);
        r = array_reserve(&book->due, &book->due_allocated, book->n_entries, sizeof(AlertItem));
        if (r == 0)
                pass_entries(book);
        return r;
}
