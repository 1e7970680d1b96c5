/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/delivery.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/cleanup.h"

#define FATES (FATE_FAILED + 1)

/* Rows: from; columns: to. Nothing leaves a settled fate: what is once known to be durable is acknowledged (P3). */
_asserted_ static const bool moves[FATES][FATES] = {
        [FATE_PENDING] = { [FATE_STORED] = true,
                [FATE_DUPLICATE] = true,
                [FATE_REJECTED] = true,
                [FATE_FAILED] = true },
        [FATE_FAILED] = { [FATE_PENDING] = true },
};

static const char *const names[FATES] = {
        [FATE_PENDING] = "pending",
        [FATE_STORED] = "stored",
        [FATE_DUPLICATE] = "duplicate",
        [FATE_REJECTED] = "rejected",
        [FATE_FAILED] = "failed",
};

static usec_t find_oldest(const WirePull *pull) {
        usec_t oldest = 0;

        for (size_t i = 0; i < pull->n; i++) {
                const Slice time = pull->messages[i].publish_time;
                int64_t msec;

                if (!clock_parse_rfc3339(time.data, time.size, &msec) || msec <= 0)
                        continue;
                if (oldest == 0 || (usec_t) msec * USEC_PER_MSEC < oldest)
                        oldest = (usec_t) msec * USEC_PER_MSEC;
        }
        return oldest;
}

int batch_new(const char *subscription, Bytes *body, usec_t received, Batch **ret) {
        _cleanup_(batch_freep) Batch *batch = NULL;
        int r;

        batch = calloc(1, sizeof *batch);
        if (!batch)
                return -ENOMEM;
        batch->subscription = subscription;
        batch->received = received;
        r = wire_get_pull(body->data, body->size, &batch->pull);
        if (r < 0)
                return r;
        batch->fates = calloc(batch->pull.n + 1, sizeof *batch->fates); /* all FATE_PENDING; never of size 0 */
        batch->refusals = calloc(batch->pull.n + 1, sizeof(uint8_t));
        if (!batch->fates || !batch->refusals)
                return -ENOMEM;
        batch->oldest_publish = find_oldest(&batch->pull);
        batch->body = bytes_steal(body);
        *ret = cleanup_steal(batch);
        return 0;
}

Batch *batch_free(Batch *batch) {
        if (!batch)
                return NULL;
        free(batch->refusals);
        free(batch->fates);
        wire_pull_done(&batch->pull);
        bytes_done(&batch->body);
        free(batch);
        return NULL;
}

void delivery_set_fate(Batch *batch, size_t index, Fate fate) {
        assert(index < batch->pull.n);
        assert((unsigned) fate < FATES);
        assert(moves[batch->fates[index]][fate]);
        batch->fates[index] = fate;
}

bool fate_is_settled(Fate fate) {
        return fate == FATE_STORED || fate == FATE_DUPLICATE || fate == FATE_REJECTED;
}

const char *fate_name(Fate fate) {
        return (unsigned) fate < FATES ? names[fate] : "unknown";
}

size_t batch_count(const Batch *batch, Fate fate) {
        size_t n = 0;

        for (size_t i = 0; i < batch->pull.n; i++)
                n += batch->fates[i] == fate;
        return n;
}
