/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-entry.h"

#include <stdlib.h>

#include "lib/text.h"

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

/* A sealed entry keeps its value: a request with it may be on its way to the target. */
static void note_value(AlertEntry *entry, const char *value) {
        if (!alert_entry_is_sealed(entry))
                text_copy(entry->value, sizeof(entry->value), value);
}

void alert_entry_fire(AlertEntry *entry, usec_t since, usec_t now, const char *value, usec_t span) {
        entry->since = since;
        entry->fired = now;
        entry->until = entry->ended = 0;
        entry->end = ALERT_END_OVER;
        entry->released = false;
        entry->dirty = true;
        note_value(entry, value);
        if (!alert_entry_is_sealed(entry))
                entry->span = span;
}

void alert_entry_cease(AlertEntry *entry, usec_t until, usec_t now, AlertEnd end, const char *value) {
        note_value(entry, value);
        if (entry->ended > 0)
                return;
        entry->until = until;
        entry->ended = now;
        entry->end = end;
        entry->dirty = true;
}

static AlertDue repeat_due(const AlertEntry *entry, usec_t repeat, usec_t now, AlertNext *ret) {
        ret->at = repeat == 0 ? USEC_INFINITY : entry->told_at + repeat;
        return now >= ret->at ? ALERT_IS_DUE : ALERT_IS_LATER;
}

static AlertDue firing_due(const AlertEntry *entry, AlertNext *ret) {
        if (entry->released && entry->closed != entry->since)
                return ALERT_IS_DUE;
        ret->at = USEC_INFINITY;
        return ALERT_IS_LATER;
}

static AlertDue ended_due(const AlertEntry *entry, AlertNext *ret) {
        if (entry->told_since > 0)
                ret->kind = entry->end == ALERT_END_OVER ? ALERT_RESOLVED : ALERT_REMOVED;
        else if (entry->released && entry->closed != entry->since)
                ret->kind = ALERT_ENDED;
        else
                return ALERT_IS_DONE;
        return ALERT_IS_DUE;
}

/* Returns when the sealed notice became due. */
static usec_t sealed_at(const AlertEntry *entry, usec_t repeat) {
        if (entry->sealed == ALERT_REPEAT)
                return entry->told_at + repeat;
        return entry->sealed == ALERT_FIRING || entry->ended == 0 ? entry->fired : entry->ended;
}

AlertDue alert_entry_due(const AlertEntry *entry, usec_t repeat, usec_t now, AlertNext *ret) {
        if (alert_entry_is_sealed(entry)) {
                ret->kind = entry->sealed;
                ret->at = sealed_at(entry, repeat);
                return ALERT_IS_DUE;
        }
        ret->at = entry->ended > 0 ? entry->ended : entry->fired;
        if (entry->ended > 0)
                return ended_due(entry, ret);
        ret->kind = entry->told_since == entry->since ? ALERT_REPEAT : ALERT_FIRING;
        return ret->kind == ALERT_REPEAT ? repeat_due(entry, repeat, now, ret) : firing_due(entry, ret);
}

/* ---- receipts ---- */

/* Seals the entry. In the message, a firing that goes on has lasted until *now*. */
static void set_seal(AlertEntry *entry, AlertKind kind, const char *key, usec_t now) {
        entry->sealed = kind;
        entry->sealed_since = entry->since;
        entry->sealed_until = kind <= ALERT_REPEAT ? now : entry->until;
        memcpy(entry->seal, key, sizeof(entry->seal));
}

static void settle(AlertEntry *entry, AlertKind kind, usec_t since, AlertVerdict verdict, usec_t wall) {
        if (kind > ALERT_REPEAT) {
                entry->told_since = 0;
                if (entry->ended > 0) /* otherwise it fires again, perhaps with the same *since* */
                        entry->closed = since;
                return;
        }
        entry->told_at = wall;
        if (kind == ALERT_REPEAT)
                return;
        if (verdict == ALERT_ACCEPTED)
                entry->told_since = since;
        else
                entry->closed = since;
}

void alert_entry_receive(AlertEntry *entry, AlertKind kind, const AlertReceipt *receipt, usec_t wall) {
        bool sealed = alert_entry_is_sealed(entry);

        entry->dirty = true;
        if (receipt->verdict == ALERT_SEALED) {
                if (!sealed)
                        set_seal(entry, kind, receipt->key, wall);
                return;
        }
        entry->seal[0] = '\0';
        if (receipt->verdict == ALERT_BACK)
                entry->turn++;
        else
                settle(entry, sealed ? entry->sealed : kind, sealed ? entry->sealed_since : entry->since,
                        receipt->verdict, wall);
}
