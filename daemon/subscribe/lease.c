/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/lease.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/backoff.h"
#include "lib/err.h"
#include "lib/loop.h"

struct Lease {
        LeaseSpec spec; /* without ids */
        Slice *ids;
        size_t n, n_allocated;
        LeaseTimes times;
        usec_t asked, asked_span;
        usec_t added; /* clock_now() by which ids added since the last renewal need one; 0: none were added */
        Backoff backoff;
        bool narrowed; /* the ids changed since the renewal under way was sent: its results are for other ids */
        Ack *renewal;  /* NULL: it rests, or has lapsed */
        LoopWatch *timer;
};

static usec_t renewal_of(usec_t deadline, const LeaseTimes *times) {
        return times->retry_at > 0 ? times->retry_at : times->granted + (times->span > 0 ? times->span : deadline) / 2;
}

LeaseStep lease_step(usec_t deadline, const LeaseTimes *times, usec_t now, usec_t *ret_at) {
        usec_t renew_at = renewal_of(deadline, times);

        if (now >= times->end)
                return LEASE_LAPSE;
        if (now >= renew_at)
                return LEASE_RENEW;
        *ret_at = usec_min(renew_at, times->end);
        return LEASE_REST;
}

static void lease_fail(Lease *lease, usec_t retry_after, usec_t now) {
        usec_t floor = usec_max(retry_after, LEASE_RETRY_MIN_USEC);

        lease->backoff.max = usec_max(subscription_deadline(lease->spec.subscription) / 4, LEASE_RETRY_MIN_USEC);
        lease->times.retry_at = now + backoff_next_at_least(&lease->backoff, floor, loop_random());
}

/* Forgets ids that the service calls lost: they need no more renewals. */
static void lease_drop_lost(Lease *lease, const AckResult *result) {
        size_t kept = 0;

        if (lease->narrowed)
                return;
        for (size_t i = 0; i < result->n; i++)
                if (result->outcomes[i] != WIRE_ACK_LOST)
                        lease->ids[kept++] = lease->ids[i];
        lease->n = kept;
}

static void lease_advance(void *userdata);

static void on_renewed(void *userdata, const AckResult *result) {
        Lease *lease = userdata;
        bool again = result->reply->outcome != CLIENT_OK;

        lease->renewal = NULL;
        for (size_t i = 0; i < result->n && !again; i++)
                again = result->outcomes[i] == WIRE_ACK_RETRY;
        if (again)
                lease_fail(lease, result->reply->retry_after, clock_now());
        else {
                lease->times.granted = lease->asked;
                lease->times.span = lease->asked_span;
                lease->times.retry_at = lease->added;
                backoff_reset(&lease->backoff);
        }
        lease_drop_lost(lease, result);
        ack_report(result, lease->spec.subscription, SUBSCRIPTION_LEASE);
        lease_advance(lease);
}

static void lease_renew(Lease *lease, usec_t now) {
        int r;

        lease->narrowed = false;
        lease->added = 0;
        lease->asked = now; /* the service counts from a later moment, so this is on the safe side */
        lease->asked_span = subscription_deadline(lease->spec.subscription);
        r = ack_start(&(AckSpec){ .subscription = lease->spec.subscription,
                              .ids = lease->ids,
                              .n = lease->n,
                              .deadline_sec = (int) (lease->asked_span / USEC_PER_SEC),
                              .done = on_renewed,
                              .userdata = lease },
                &lease->renewal);
        if (r < 0) {
                lease_fail(lease, 0, now);
                loop_arm(lease->timer, lease->times.retry_at);
        }
}

/* Does what is due. The lease may have been freed when this returns. */
static void lease_advance(void *userdata) {
        Lease *lease = userdata;
        usec_t now = clock_now(), at = 0;

        switch (lease_step(subscription_deadline(lease->spec.subscription), &lease->times, now, &at)) {
        case LEASE_REST:
                return loop_arm(lease->timer, at);
        case LEASE_RENEW:
                loop_arm(lease->timer, lease->times.end);
                if (!lease->renewal && lease->n > 0)
                        lease_renew(lease, now);
                return;
        case LEASE_LAPSE:
                lease->renewal = ack_cancel(lease->renewal);
                loop_off(lease->timer);
                return lease->spec.on_lapsed(lease->spec.userdata);
        }
}

int lease_new(Loop *loop, const LeaseSpec *spec, Lease **ret) {
        _cleanup_(lease_freep) Lease *lease = NULL;
        const usec_t now = clock_now(), deadline = subscription_deadline(spec->subscription);
        usec_t first = now; /* at once, but from the loop */
        int r;

        lease = calloc(1, sizeof(Lease));
        if (!lease)
                return -ENOMEM;
        lease->spec = *spec;
        lease->times = (LeaseTimes){ .end = spec->end, .granted = spec->granted, .span = deadline };
        lease->backoff = (Backoff){ .initial = LEASE_RETRY_MIN_USEC, .max = LEASE_RETRY_MIN_USEC };
        lease->ids = calloc(spec->n + 1, sizeof(Slice));
        if (!lease->ids)
                return -ENOMEM;
        memcpy(lease->ids, spec->ids, spec->n * sizeof(Slice));
        lease->n = lease->n_allocated = spec->n;
        r = loop_add_timer(loop, LOOP_EXACT, lease_advance, lease, &lease->timer);
        if (r < 0)
                return r;
        (void) lease_step(deadline, &lease->times, now, &first);
        loop_arm(lease->timer, first);
        *ret = cleanup_steal(lease);
        return 0;
}

Lease *lease_free(Lease *lease) {
        if (!lease)
                return NULL;
        lease->renewal = ack_cancel(lease->renewal);
        lease->timer = loop_drop(lease->timer);
        free(lease->ids);
        free(lease);
        return NULL;
}

int lease_set(Lease *lease, const Slice *ids, size_t n) {
        const usec_t deadline = subscription_deadline(lease->spec.subscription);
        int r;

        r = array_reserve(&lease->ids, &lease->n_allocated, n, sizeof(Slice));
        if (r < 0)
                return r;
        lease_narrow(lease, ids, n);
        if (lease->added == 0)
                lease->added = clock_now() + deadline / 8;
        if (lease->renewal)
                return 0;
        if (renewal_of(deadline, &lease->times) > lease->added)
                lease->times.retry_at = lease->added;
        /* this may be in the past: nothing was renewed while all ids were lost */
        loop_arm(lease->timer, renewal_of(deadline, &lease->times));
        return 0;
}

void lease_narrow(Lease *lease, const Slice *ids, size_t n) {
        assert(n <= lease->n_allocated);
        memcpy(lease->ids, ids, n * sizeof(Slice));
        lease->n = n;
        lease->narrowed = true;
}

bool lease_is_renewing(const Lease *lease) {
        return lease->renewal != NULL;
}

bool lease_is_live(const Lease *lease, usec_t now) {
        return now < lease->times.granted + lease->times.span;
}
