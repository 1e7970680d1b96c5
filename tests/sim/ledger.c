/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "counts.h"
#include "pubsub.h"

#define PATIENCE (5 * USEC_PER_MINUTE) /* for a reading that was fetched to be on disk, while the daemon lives */

typedef struct Entry {
        usec_t served, put_at;
        uint64_t key; /* hash of it; 0: not published yet */
        bool delivered, tried, putting, put, loose, doubtful;
        bool unnamed; /* it was put without a name, so that nobody can know it by one */
        bool stored[SUBSCRIPTIONS_MAX], rejected[SUBSCRIPTIONS_MAX], gone[SUBSCRIPTIONS_MAX];
} Entry;

typedef struct Ledger {
        Entry *entries; /* by serial number, from 1 */
        uint32_t n, allocated;
        unsigned subscriptions;
        size_t n_put, n_missing, n_stored;
} Ledger;

void ledger_new(unsigned subscriptions) {
        world->ledger = arena_alloc(sizeof(Ledger));
        world->ledger->subscriptions = subscriptions;
}

static Entry *find(uint32_t serial) {
        Ledger *l = world->ledger;

        if (serial == 0 || serial > l->n)
                world_fail("a reading that nobody sent: %u", serial);
        return &l->entries[serial];
}

uint32_t ledger_serve(void) {
        Ledger *l = world->ledger;

        if (++l->n >= l->allocated) {
                uint32_t before = l->allocated;

                l->allocated = before > 0 ? before * 2 : 1024;
                l->entries = arena_resize(l->entries, l->allocated * sizeof(Entry));
                memset(l->entries + before, 0, (l->allocated - before) * sizeof(Entry));
        }
        l->entries[l->n].served = world->now;
        return l->n;
}

uint32_t ledger_find(const char *text, size_t size) {
        static const char before[] = "\"te\":{\"val\":";
        const char *found = memmem(text, size, before, strlen(before));

        return found ? (uint32_t) strtoul(found + strlen(before), NULL, 10) : 0;
}

/* *number*: serial. */
static void on_patience(void *subject, uint64_t number) {
        const Entry *entry = find((uint32_t) number);
        usec_t from = world->disk_bad_until > world->woke ? world->disk_bad_until : world->woke;

        if (!entry->put && world->now < from + PATIENCE)
                return world_at(from + PATIENCE, on_patience, NULL, number, world->life);
        if (!entry->put)
                world_fail("reading %u was fetched %d min ago and is not on disk", (unsigned) number,
                        (int) (PATIENCE / USEC_PER_MINUTE));
}

void ledger_offered(uint32_t serial) {
        find(serial)->delivered = true;
}

void ledger_loosen(uint32_t serial) {
        find(serial)->delivered = find(serial)->loose = true;
}

void ledger_doubt(uint32_t serial) {
        find(serial)->doubtful = true;
}

bool ledger_is_put(uint32_t serial) {
        return find(serial)->put;
}

void ledger_delivered(uint32_t serial) {
        Entry *entry = find(serial);

        entry->delivered = true;
        if (entry->loose || entry->put)
                return;
        world_in(PATIENCE, on_patience, NULL, serial, world->life);
}

void ledger_putting(uint32_t serial, bool named) {
        Entry *entry = find(serial);

        if (!entry->delivered)
                world_fail("reading %u is put and was not fetched", serial);
        entry->tried = entry->putting; /* before */
        if (entry->tried && entry->doubtful && (!named || entry->unnamed) && !entry->loose) {
                world_count("came twice");
                entry->loose = true;
        }
        entry->unnamed |= !named;
        entry->putting = true;
}

static bool is_missing(const Entry *entry) {
        for (unsigned i = 0; i < world->ledger->subscriptions; i++)
                if (!entry->stored[i] && !entry->rejected[i] && !entry->gone[i])
                        return true;
        return false;
}

/* A daemon may have died over it, so that it is known although nobody was told. */
void ledger_put(uint32_t serial, bool repeat) {
        Ledger *l = world->ledger;
        Entry *entry = find(serial);

        if (repeat)
                world_count("repeat known");
        if (entry->put && !repeat && !entry->loose)
                world_fail("reading %u is put a second time", serial);
        if (entry->put)
                return;
        if (repeat && !entry->tried)
                world_fail("reading %u is taken for a repeat", serial);
        entry->put = true;
        entry->put_at = world->now;
        l->n_put++;
        l->n_missing += is_missing(entry);
}

static uint64_t hash(const char *text) {
        uint64_t value = UINT64_C(0xcbf29ce484222325);

        for (; *text; text++)
                value = (value ^ (unsigned char) *text) * UINT64_C(0x100000001b3);
        return value | 1;
}

void ledger_published(uint32_t serial, const char *key) {
        Entry *entry = find(serial);

        if (!entry->putting)
                world_fail("reading %u is published before it is on disk", serial);
        if (entry->key != 0)
                world_count("published again");
        if (entry->key != 0 && entry->key != hash(key) && !entry->loose)
                world_fail("reading %u is published under a second key: %s", serial, key);
        entry->key = hash(key);
}

void ledger_stored(unsigned subscription, uint32_t serial, const char *id) {
        Ledger *l = world->ledger;
        Entry *entry = find(serial);
        bool missing = entry->put && is_missing(entry);

        if (entry->loose && entry->stored[subscription])
                return;
        if (entry->stored[subscription])
                world_fail("reading %u is stored twice by subscription %u", serial, subscription);
        if (entry->key == 0)
                world_fail("reading %u is stored and was not published", serial);
        if (entry->key != hash(id) && !entry->loose)
                world_fail("reading %u is stored under an id that is not its key: %s", serial, id);
        entry->stored[subscription] = true;
        l->n_stored++;
        l->n_missing -= missing && !is_missing(entry);
}

void ledger_judged(unsigned subscription, uint32_t serial) {
        Ledger *l = world->ledger;
        Entry *entry = find(serial);
        bool missing = entry->put && is_missing(entry);

        if (entry->key == 0)
                world_fail("reading %u is judged and was not published", serial);
        entry->stored[subscription] = true;
        l->n_stored++;
        l->n_missing -= missing && !is_missing(entry);
}

void ledger_rejected(unsigned subscription, uint32_t serial) {
        Ledger *l = world->ledger;
        Entry *entry = find(serial);
        bool missing = entry->put && is_missing(entry);

        world_count("rejected");
        entry->rejected[subscription] = true;
        l->n_missing -= missing && !is_missing(entry);
}

void ledger_gone(unsigned subscription, uint32_t serial) {
        Ledger *l = world->ledger;
        Entry *entry = find(serial);
        bool missing = entry->put && is_missing(entry);

        entry->gone[subscription] = true;
        l->n_missing -= missing && !is_missing(entry);
}

bool ledger_is_stored(unsigned subscription, uint32_t serial) {
        return find(serial)->stored[subscription] || find(serial)->rejected[subscription];
}

size_t ledger_missing(void) {
        return world->ledger->n_missing;
}

void ledger_check(void) {
        Ledger *l = world->ledger;

        for (uint32_t i = 1; i <= l->n && l->n_missing > 0; i++)
                for (unsigned s = 0; s < l->subscriptions; s++)
                        if (l->entries[i].put && !ledger_is_stored(s, i) && !l->entries[i].gone[s])
                                world_fail("reading %u of %zu that are missing: put %" PRIu64
                                           " min ago, %s, not stored by "
                                           "subscription %u",
                                        i, l->n_missing, (world->now - l->entries[i].put_at) / USEC_PER_MINUTE,
                                        l->entries[i].key ? "published" : "not published", s);
}

void ledger_tell(void) {
        counts_add_n("readings served", world->ledger->n);
        counts_add_n("readings put", world->ledger->n_put);
        counts_add_n("readings stored", world->ledger->n_stored);
}

void ledger_forget(unsigned subscription) {
        Ledger *l = world->ledger;

        l->n_missing = 0;
        for (uint32_t i = 1; i <= l->n; i++) {
                Entry *entry = &l->entries[i];

                entry->stored[subscription] = false;
                l->n_missing += entry->put && is_missing(entry);
        }
}
