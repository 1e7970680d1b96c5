/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/aside.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/log.h"
#include "subscribe/blame.h"
#include "subscribe/lease.h"

#define TRY_BYTES_MAX (1024 * 1024)

typedef struct Item {
        Batch *copy; /* a batch with this message only */
        size_t size;
        bool trying;
} Item;

struct Aside {
        HeldHost *host;
        Item *items[ASIDE_MESSAGES_MAX];
        size_t n, bytes;
        Item *tried[ASIDE_TRY_MAX]; /* in the order of the batch that is out */
        size_t n_tried;
        Lease *lease;
        bool unlisted; /* for want of memory, the lease lacks some messages */
        Ack *release;
        void (*released)(void *userdata);
        void *userdata;
};

static Item *item_free(Item *item) {
        if (!item)
                return NULL;
        batch_free(item->copy);
        free(item);
        return NULL;
}

int aside_new(HeldHost *host, Aside **ret) {
        Aside *aside = calloc(1, sizeof(Aside));

        if (!aside)
                return -ENOMEM;
        aside->host = host;
        *ret = aside;
        return 0;
}

Aside *aside_free(Aside *aside) {
        if (!aside)
                return NULL;
        aside->release = ack_cancel(aside->release);
        aside->lease = lease_free(aside->lease);
        while (aside->n > 0)
                item_free(aside->items[--aside->n]);
        free(aside);
        return NULL;
}

/* ---- the lease of all ---- */

static Suspicion *suspicion_of(const Item *item) {
        return &item->copy->suspicions[0];
}

static Slice *list_ids(const Aside *aside) {
        Slice *ids = calloc(aside->n + 1, sizeof(Slice));

        for (size_t i = 0; ids && i < aside->n; i++)
                ids[i] = aside->items[i]->copy->pull.messages[0].ack_id;
        return ids;
}

/* Gives the lease all ids after messages were added. Without memory the new ones are not renewed until the next call,
 * and may be delivered again. */
static void renew_more(Aside *aside) {
        const HeldHost *host = aside->host;
        _cleanup_free_ Slice *ids = list_ids(aside);
        const LeaseSpec spec = {
                .subscription = host->subscription, .ids = ids, .n = aside->n, .end = LEASE_ENDLESS_USEC
        };
        int r = -ENOMEM;

        if (ids && aside->lease)
                r = lease_set(aside->lease, ids, aside->n);
        else if (ids)
                r = lease_new(host->loop, &spec, &aside->lease);
        aside->unlisted = r < 0;
        if (r < 0)
                log_debug("%s: out of memory: the leases of messages that wait aside cannot be renewed",
                        subscription_name(host->subscription));
}

/* Gives the lease the remaining ids after messages were removed: the texts of the other ids are freed, and a renewal
 * under way would still read them. */
static void renew_less(Aside *aside) {
        _cleanup_free_ Slice *ids = aside->n > 0 ? list_ids(aside) : NULL;

        if (ids && aside->lease && !aside->unlisted && !lease_is_renewing(aside->lease))
                return lease_narrow(aside->lease, ids, aside->n);
        aside->lease = lease_free(aside->lease);
        aside->unlisted = aside->n > 0;
        if (aside->unlisted)
                renew_more(aside);
}

/* ---- coming and going ---- */

static bool has_room(const Aside *aside, size_t size) {
        return aside->n < ASIDE_MESSAGES_MAX && aside->bytes + size <= ASIDE_BYTES_MAX;
}

static int take_one(Aside *aside, const Batch *batch, size_t index) {
        Item *item;
        int r;

        item = calloc(1, sizeof(Item));
        if (!item)
                return -ENOMEM;
        r = batch_gather(&(BatchPick){ batch, index }, 1, &item->copy);
        if (r < 0) {
                item_free(item);
                return r;
        }
        item->size = batch_message_size(batch, index);
        aside->bytes += item->size;
        aside->items[aside->n++] = item;
        return 0;
}

void aside_take(Aside *aside, Batch *batch) {
        size_t before = aside->n;

        for (size_t i = 0; i < batch->pull.n; i++) {
                if (batch->fates[i] != FATE_SUSPECT && batch->fates[i] != FATE_UNKEPT)
                        continue;
                if (has_room(aside, batch_message_size(batch, i)) && take_one(aside, batch, i) == 0)
                        batch_set_fate(batch, i, FATE_MOVED);
        }
        if (aside->n > before)
                renew_more(aside);
}

static void drop(Aside *aside, size_t index) {
        aside->bytes -= aside->items[index]->size;
        item_free(aside->items[index]);
        aside->items[index] = aside->items[--aside->n];
}

static bool ends(const Aside *aside, const Item *item, usec_t now) {
        return !item->trying && now >= item->copy->received + aside->host->max_hold;
}

void aside_expire(Aside *aside, usec_t now) {
        size_t n = 0;

        for (size_t i = aside->n; i-- > 0;)
                if (ends(aside, aside->items[i], now)) {
                        drop(aside, i);
                        n++;
                }
        if (n == 0)
                return;
        renew_less(aside);
        aside->host->left = true;
        held_log_left(aside->host, n);
}

usec_t aside_next(const Aside *aside, bool free) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < aside->n; i++) {
                const Item *item = aside->items[i];
                usec_t end = item->copy->received + aside->host->max_hold, due = suspicion_of(item)->due;

                if (item->trying)
                        continue;
                if (!free || aside->n_tried > 0 || end < due)
                        due = end;
                next = usec_min(due, next);
        }
        return next;
}

/* ---- tries ---- */

Batch *aside_try(Aside *aside, usec_t now) {
        BatchPick picks[ASIDE_TRY_MAX];
        size_t n = 0, bytes = 0;
        Batch *batch;

        if (aside->n_tried > 0)
                return NULL;
        for (size_t i = 0; i < aside->n && n < ASIDE_TRY_MAX && bytes < TRY_BYTES_MAX; i++) {
                if (suspicion_of(aside->items[i])->due > now)
                        continue;
                aside->tried[n] = aside->items[i];
                bytes += aside->items[i]->size;
                picks[n++] = (BatchPick){ aside->items[i]->copy, 0 };
        }
        if (n == 0 || batch_gather(picks, n, &batch) < 0)
                return NULL;
        batch->aside = true;
        for (size_t i = 0; i < n; i++)
                aside->tried[i]->trying = true;
        aside->n_tried = n;
        return batch;
}

void aside_note(Aside *aside, const Batch *batch) {
        for (size_t i = 0; i < aside->n_tried; i++) {
                Item *item = aside->tried[i];

                item->trying = false;
                *suspicion_of(item) = batch->suspicions[i];
                for (size_t k = 0; batch_is_settled(batch, i) && k < aside->n; k++)
                        if (aside->items[k] == item) {
                                drop(aside, k);
                                break;
                        }
        }
        aside->n_tried = 0;
        renew_less(aside);
}

/* ---- stop ---- */

static void on_released(void *userdata, const AckResult *result) {
        Aside *aside = userdata;

        aside->release = NULL;
        while (aside->n > 0)
                drop(aside, aside->n - 1);
        aside->released(aside->userdata);
}

void aside_release(Aside *aside, void (*done)(void *userdata), void *userdata) {
        const HeldHost *host = aside->host;
        _cleanup_free_ Slice *ids = NULL;
        AckSpec spec;

        aside->lease = lease_free(aside->lease);
        aside->unlisted = false;
        if (aside->n == 0 || aside->release || aside->n_tried > 0)
                return;
        aside->released = done;
        aside->userdata = userdata;
        ids = list_ids(aside);
        spec = (AckSpec){ .subscription = host->subscription,
                .ids = ids,
                .n = aside->n,
                .deadline_sec = ACK_RELEASE,
                .done = on_released,
                .userdata = aside };
        if (!ids || ack_start(&spec, &aside->release) < 0)
                while (aside->n > 0) /* they come back after their deadline */
                        drop(aside, aside->n - 1);
}

bool aside_has_room(const Aside *aside) {
        return has_room(aside, aside->bytes / (aside->n + 1));
}

bool aside_is_empty(const Aside *aside) {
        return aside->n == 0;
}

void aside_status(const Aside *aside, AsideStatus *ret) {
        *ret = (AsideStatus){ .n = aside->n };
        for (size_t i = 0; i < aside->n; i++) {
                usec_t time = aside->items[i]->copy->oldest_publish;

                clock_keep_oldest(&ret->oldest, time);
                if (!suspicion_of(aside->items[i])->unkept)
                        continue;
                ret->unkept++;
                clock_keep_oldest(&ret->oldest_unkept, time);
        }
}
