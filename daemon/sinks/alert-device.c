/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-device.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/text.h"

/* ---- entries ---- */

AlertEntry *alert_entry_free(AlertEntry *entry) {
        if (!entry)
                return NULL;
        free(entry->target);
        free(entry->rule);
        free(entry->field);
        free(entry->limit);
        free(entry);
        return NULL;
}

void alert_entry_cease(AlertEntry *entry, usec_t until, AlertEnd end, const char *value) {
        if (!alert_entry_is_sealed(entry))
                text_copy(entry->value, sizeof(entry->value), value);
        if (entry->until > 0)
                return;
        entry->until = until;
        entry->end = end;
        entry->dirty = true;
}

void alert_entry_end(const AlertDevice *device, const AlertSlot *slot, usec_t until, AlertEnd end) {
        for (AlertEntry *entry = device->entries; entry; entry = entry->next)
                if (entry->watch == slot->watch && !entry->gone)
                        alert_entry_cease(entry, until, end, slot->value);
}

/* Returns when the sealed notice became due. */
static usec_t sealed_at(const AlertEntry *entry, usec_t repeat) {
        if (entry->sealed == ALERT_REPEAT)
                return entry->told_at + repeat;
        return entry->sealed == ALERT_FIRING ? entry->sealed_since : entry->sealed_until;
}

static AlertDue firing_due(const AlertEntry *entry, usec_t repeat, usec_t now, AlertNext *ret) {
        if (entry->told_since == entry->since) {
                *ret = (AlertNext){ ALERT_REPEAT, repeat > 0 ? entry->told_at + repeat : USEC_INFINITY };
                return now >= ret->at ? ALERT_IS_DUE : ALERT_IS_LATER;
        }
        *ret = (AlertNext){ ALERT_FIRING, entry->closed != entry->since ? entry->since : USEC_INFINITY };
        return entry->closed != entry->since ? ALERT_IS_DUE : ALERT_IS_LATER;
}

/* Nothing is told of the past when it is read at last (P14). What was due once is told, however late. */
static bool is_past(const AlertEntry *entry, usec_t now) {
        return !entry->was_due && now > entry->until + ALERT_PAST_USEC;
}

AlertDue alert_entry_due(const AlertEntry *entry, usec_t repeat, usec_t now, AlertNext *ret) {
        if (alert_entry_is_sealed(entry)) {
                *ret = (AlertNext){ entry->sealed, sealed_at(entry, repeat) };
                return ALERT_IS_DUE;
        }
        if (entry->until == 0)
                return firing_due(entry, repeat, now, ret);
        ret->at = entry->until;
        ret->kind = entry->told_since == 0         ? ALERT_ENDED
                    : entry->end == ALERT_END_OVER ? ALERT_RESOLVED
                                                   : ALERT_REMOVED;
        if (ret->kind == ALERT_ENDED && (entry->closed == entry->since || is_past(entry, now)))
                return ALERT_IS_DONE;
        return ALERT_IS_DUE;
}

/* In the message, a firing that goes on has lasted until *wall*. */
void alert_entry_seal(const AlertItem *item, const char *key, usec_t wall) {
        AlertEntry *entry = item->entry;
        const AlertSlot *slot = alert_device_find(item->device, entry->watch);

        if (slot)
                text_copy(entry->value, sizeof(entry->value), slot->value);
        entry->sealed = item->next.kind;
        entry->sealed_since = entry->since;
        entry->sealed_until = item->next.kind <= ALERT_REPEAT ? wall : entry->until;
        text_copy(entry->seal, sizeof(entry->seal), key);
        entry->doubtful = 0;
        entry->dirty = true;
}

void alert_entry_unseal(AlertEntry *entry) {
        entry->seal[0] = '\0';
        entry->dirty = true;
}

void alert_entry_answer(AlertEntry *entry, AlertVerdict verdict, usec_t wall) {
        alert_entry_unseal(entry);
        if (verdict == ALERT_BACK) {
                entry->turn++;
                return;
        }
        entry->suspect = false;
        entry->refused = 0;
        if (entry->sealed > ALERT_REPEAT) { /* its end */
                entry->told_since = 0;
                if (entry->until > 0) /* otherwise it fires again, perhaps with the same *since* */
                        entry->closed = entry->sealed_since;
                return;
        }
        entry->told_at = wall;
        if (entry->sealed == ALERT_FIRING && verdict == ALERT_ACCEPTED)
                entry->told_since = entry->sealed_since;
        else if (entry->sealed == ALERT_FIRING)
                entry->closed = entry->sealed_since;
}

/* ---- devices ---- */

int alert_device_new(Slice key, AlertDevice **ret) {
        _cleanup_(alert_device_freep) AlertDevice *device = calloc(1, sizeof(AlertDevice));
        char *copy = malloc(key.size + 1);

        if (!device || !copy) {
                free(copy);
                return -ENOMEM;
        }
        if (key.size > 0)
                memcpy(copy, key.data, key.size);
        device->key = (Slice){ copy, key.size };
        device->source = strdup("");
        device->id = strdup("");
        device->name = strdup("");
        device->site = strdup("");
        if (!device->source || !device->id || !device->name || !device->site)
                return -ENOMEM;
        *ret = cleanup_steal(device);
        return 0;
}

AlertDevice *alert_device_free(AlertDevice *device) {
        if (!device)
                return NULL;
        while (device->entries) {
                AlertEntry *next = device->entries->next;

                (void) alert_entry_free(device->entries);
                device->entries = next;
        }
        free((char *) device->key.data);
        free(device->source);
        free(device->id);
        free(device->name);
        free(device->site);
        free(device->slots);
        free(device);
        return NULL;
}

/* ---- description ---- */

static int take_text(AlertDevice *device, char **text, Slice said) {
        char *copy;

        if (slice_equal(said, *text))
                return 0;
        copy = strndup(said.data, said.size);
        if (!copy)
                return -ENOMEM;
        if (!bytes_is_utf8(copy, strlen(copy))) /* it is shown, and told to targets */
                copy[text_clean(copy, strlen(copy))] = '\0';
        free(*text);
        *text = copy;
        device->dirty = device->dirty || device->n_slots > 0;
        return 0;
}

int alert_device_describe(AlertDevice *device, const AlertReading *reading) {
        int r = take_text(device, &device->source, reading->source);

        if (r == 0)
                r = take_text(device, &device->id, reading->id);
        if (r == 0)
                r = take_text(device, &device->name, reading->name);
        return r < 0 ? r : take_text(device, &device->site, reading->site);
}

/* ---- the rules that apply to it ---- */

static int compare_watch(const void *watch, const void *slot) {
        size_t a = *(const size_t *) watch, b = ((const AlertSlot *) slot)->watch;

        return (a > b) - (a < b);
}

AlertSlot *alert_device_find(const AlertDevice *device, size_t watch) {
        return device->n_slots > 0 ? bsearch(&watch, device->slots, device->n_slots, sizeof(AlertSlot), compare_watch)
                                   : NULL;
}

int alert_device_need(AlertDevice *device, size_t watch, AlertSlot **ret) {
        size_t at = device->n_slots;

        *ret = alert_device_find(device, watch);
        if (*ret)
                return 0;
        if (array_reserve(&device->slots, &device->allocated, device->n_slots + 1, sizeof(AlertSlot)) < 0)
                return -ENOMEM;
        while (at > 0 && device->slots[at - 1].watch > watch) {
                device->slots[at] = device->slots[at - 1];
                at--;
        }
        device->slots[at] = (AlertSlot){ .watch = watch };
        device->n_slots++;
        *ret = &device->slots[at];
        return 0;
}

bool alert_device_is_empty(const AlertDevice *device) {
        for (const AlertEntry *e = device->entries; e; e = e->next)
                if (!e->gone)
                        return false;
        for (size_t i = 0; i < device->n_slots; i++)
                if (!device->slots[i].gone)
                        return false;
        return true;
}

/* ---- the wall clock was set ---- */

/* What was set, and the times that are taken along. */
typedef struct ClockStep {
        int64_t from, until, by;
} ClockStep;

static bool shift(usec_t *time, const ClockStep *step) {
        int64_t at = (int64_t) *time;

        if (at <= 0 || at < step->from || at > step->until)
                return false;
        *time = at + step->by > 0 ? (usec_t) (at + step->by) : 1;
        return true;
}

/* The times of a firing are those of its entries, which are known by them. */
static void shift_firing(AlertDevice *device, AlertSlot *slot, const ClockStep *step) {
        usec_t since = slot->state.since;

        for (const AlertEntry *entry = device->entries; entry; entry = entry->next)
                if (entry->watch == slot->watch && alert_entry_is_sealed(entry))
                        return;
        if (!shift(&slot->state.since, step))
                return;
        for (AlertEntry *entry = device->entries; entry; entry = entry->next) {
                if (entry->watch != slot->watch || entry->since != since)
                        continue;
                entry->told_since = entry->told_since == since ? slot->state.since : entry->told_since;
                entry->closed = entry->closed == since ? slot->state.since : entry->closed;
                entry->since = slot->state.since;
        }
}

/* A time that is still to come after the clock was set back is one of before, and `for` begins anew. */
static void shift_slot(AlertDevice *device, AlertSlot *slot, const ClockStep *step) {
        AlertState *state = &slot->state;
        usec_t wall = (usec_t) (step->until + step->by);

        if (step->by < 0) {
                state->since = state->phase == PHASE_PENDING ? usec_min(state->since, wall) : state->since;
                state->heard = usec_min(state->heard, wall);
                slot->seen = usec_min(slot->seen, wall);
                if (state->phase == PHASE_FIRING && state->since > wall)
                        shift_firing(device, slot, step);
                return;
        }
        (void) shift(&state->heard, step);
        (void) shift(&slot->seen, step);
        if (state->phase == PHASE_PENDING)
                (void) shift(&state->since, step);
        else if (state->phase == PHASE_FIRING)
                shift_firing(device, slot, step);
}

void alert_device_shift(AlertDevice *device, int64_t boot, int64_t now, int64_t by) {
        const ClockStep step = { boot, now, by };

        for (AlertEntry *entry = device->entries; entry; entry = entry->next)
                (void) shift(&entry->told_at, &step);
        for (size_t i = 0; i < device->n_slots; i++)
                shift_slot(device, &device->slots[i], &step);
        for (AlertEntry *entry = device->entries; entry; entry = entry->next)
                entry->dirty = true;
        device->dirty = device->dirty || device->n_slots > 0;
}
