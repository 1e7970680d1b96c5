/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "lib/text.h"
#include "sinks/alert-book.h"
#include "sinks/alert-device.h"

/* ---- a firing begins and ends ---- */

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

void alert_entry_tell(AlertBook *book, AlertDevice *device, const AlertSlot *slot) {
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

/* ---- what is due ---- */

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

/* Returns the rule's own text for this kind of notice, or NULL. */
static const char *template_of(const AlertBook *book, const AlertItem *item) {
        size_t watch = item->entry->watch;

        if (watch == ALERT_NO_RULE || item->next.kind > ALERT_RESOLVED)
                return NULL;
        return item->next.kind == ALERT_RESOLVED ? book->rules->items[watch].rule->resolved
                                                 : book->rules->items[watch].rule->message;
}

AlertNotice alert_entry_notice(const AlertBook *book, const AlertItem *item, usec_t wall) {
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
                notice.until = wall;
        notice.unnamed = !alert_device_is_nobody(device) && !notice.name && !notice.device && !notice.source;
        return notice;
}

/* ---- it is sent ---- */

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
