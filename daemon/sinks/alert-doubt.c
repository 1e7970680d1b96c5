/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-post.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/array.h"

void alert_doubt_done(AlertDoubt *doubt) {
        free(doubt->entries);
        *doubt = (AlertDoubt){};
}

static AlertDoubtEntry *find(const AlertDoubt *doubt, int64_t id) {
        for (size_t i = 0; i < doubt->n; i++)
                if (doubt->entries[i].id == id)
                        return &doubt->entries[i];
        return NULL;
}

static bool was_answered(const AlertDoubt *doubt, const AlertDoubtEntry *entry) {
        return entry->refused && doubt->accepted > entry->before;
}

AlertDoubtGrade alert_doubt_grade(const AlertDoubt *doubt, int64_t id) {
        const AlertDoubtEntry *entry = find(doubt, id);

        if (!entry)
                return ALERT_DOUBT_NONE;
        return entry->refused && !was_answered(doubt, entry) ? ALERT_DOUBT_HELD : ALERT_DOUBT_ALONE;
}

static void forget(AlertDoubt *doubt, AlertDoubtEntry *entry) {
        *entry = doubt->entries[--doubt->n];
}

void alert_doubt_accepted(AlertDoubt *doubt, const int64_t *ids, size_t n) {
        doubt->accepted++;
        doubt->refused = 0;
        for (size_t i = 0; i < n; i++) {
                AlertDoubtEntry *entry = find(doubt, ids[i]);

                if (entry)
                        forget(doubt, entry);
        }
}

/* Finds or makes the entry of *id*. NULL without memory. */
static AlertDoubtEntry *reach(AlertDoubt *doubt, int64_t id) {
        AlertDoubtEntry *entry = find(doubt, id);

        if (entry)
                return entry;
        if (array_reserve(&doubt->entries, &doubt->allocated, doubt->n + 1, sizeof(*doubt->entries)) < 0)
                return NULL;
        entry = &doubt->entries[doubt->n++];
        *entry = (AlertDoubtEntry){ .id = id };
        return entry;
}

int alert_doubt_refused(AlertDoubt *doubt, const int64_t *ids, size_t n) {
        for (size_t i = 0; i < n; i++) {
                AlertDoubtEntry *entry = reach(doubt, ids[i]);

                if (!entry)
                        return -ENOMEM;
                if (n > 1)
                        continue;
                doubt->refused++;
                if (was_answered(doubt, entry)) {
                        forget(doubt, entry);
                        return ALERT_DOUBT_FINAL;
                }
                entry->refused = true;
                entry->before = doubt->accepted;
        }
        return ALERT_DOUBT_BACK;
}

static bool is_due(const AlertExchange *answer, int64_t id) {
        for (size_t i = 0; i < answer->n_notices; i++)
                if (answer->notices[i].id == id)
                        return true;
        return false;
}

void alert_doubt_prune(AlertDoubt *doubt, const AlertExchange *answer) {
        for (size_t i = doubt->n; i-- > 0;)
                if (!is_due(answer, doubt->entries[i].id))
                        forget(doubt, &doubt->entries[i]);
}
