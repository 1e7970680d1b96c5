/* SPDX-License-Identifier: Apache-2.0 */
/* What targets are to be told of a firing: an entry for each. */
#include <errno.h>
#include <stdlib.h>

#include "sinks/alert-book.h"

void alert_book_adopt(AlertBook *book, AlertDevice *device, AlertEntry *entry) {
        entry->next = device->entries;
        device->entries = entry;
        book->n_entries++;
}

static AlertEntry *find_entry(const AlertDevice *device, const AlertWatch *watch, const char *target) {
        AlertEntry *entry = device->entries;

        while (entry && (entry->gone || strcmp(entry->rule_key, watch->key) != 0 || strcmp(entry->target, target) != 0))
                entry = entry->next;
        return entry;
}

static int copy_text(const char *text, char **ret) {
        *ret = text ? strdup(text) : NULL;
        return text && !*ret ? -ENOMEM : 0;
}

static int new_entry(const AlertBook *book, size_t watch, const char *target, AlertEntry **ret) {
        const AlertWatch *of = &book->rules->items[watch];
        _cleanup_(alert_entry_freep) AlertEntry *entry = calloc(1, sizeof(AlertEntry));
        int r = entry ? copy_text(target, &entry->target) : -ENOMEM;

        if (r == 0)
                r = copy_text(of->rule->name, &entry->rule);
        if (r == 0)
                r = copy_text(of->rule->field, &entry->field);
        if (r == 0)
                r = copy_text(of->limit, &entry->limit);
        if (r < 0)
                return r;
        memcpy(entry->rule_key, of->key, sizeof(entry->rule_key));
        entry->watch = watch;
        entry->test = of->logic.test;
        *ret = cleanup_steal(entry);
        return 0;
}

/* *ret* NULL: there is no room for one. */
static int add_entry(AlertBook *book, AlertDevice *device, size_t watch, const char *target, AlertEntry **ret) {
        int r;

        if (book->n_entries >= ALERT_ENTRIES_MAX) {
                book->untold = true;
                *ret = NULL;
                return 0;
        }
        r = new_entry(book, watch, target, ret);
        if (r == 0)
                alert_book_adopt(book, device, *ret);
        return r;
}

int alert_book_tell(AlertBook *book, AlertDevice *device, const AlertSlot *slot) {
        const AlertWatch *watch = &book->rules->items[slot->watch];
        usec_t span = alert_judge_span(&watch->logic, &slot->state);

        for (size_t i = 0; i < book->config->n_targets; i++) {
                const char *target = book->config->targets[i].name;
                AlertEntry *entry = find_entry(device, watch, target);
                int r = 0;

                if (!alert_config_tells(watch->rule, target) || (entry && entry->ended == 0))
                        continue;
                if (!entry)
                        r = add_entry(book, device, slot->watch, target, &entry);
                if (r < 0)
                        return r;
                if (entry)
                        alert_entry_fire(entry, slot->state.since, slot->fired, slot->value, span);
        }
        return 0;
}
