/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/err.h"

#define FATES (FATE_MOVED + 1)

/* Rows: from; columns: to. A settled fate never changes: a message that is known to be durable is acknowledged (P3). */
_asserted_ static const bool moves[FATES][FATES] = {
        [FATE_PENDING] = { [FATE_STORED] = true,
                [FATE_DUPLICATE] = true,
                [FATE_REJECTED] = true,
                [FATE_UNKEPT] = true,
                [FATE_SUSPECT] = true,
                [FATE_MOVED] = true },
        [FATE_UNKEPT] = { [FATE_MOVED] = true },
        [FATE_SUSPECT] = { [FATE_MOVED] = true },
};

/* Returns wall time; 0: unknown. */
static usec_t publish_time(const Batch *batch, size_t index) {
        const Slice time = batch->pull.messages[index].publish_time;
        int64_t msec;

        if (!clock_parse_rfc3339(time.data, time.size, &msec) || msec <= 0)
                return 0;
        return (usec_t) msec * USEC_PER_MSEC;
}

static int batch_complete(Batch *batch) {
        batch->fates = calloc(batch->pull.n + 1, sizeof(Fate)); /* all FATE_PENDING; never of size 0 */
        batch->suspicions = calloc(batch->pull.n + 1, sizeof(Suspicion));
        if (!batch->fates || !batch->suspicions)
                return -ENOMEM;
        for (size_t i = 0; i < batch->pull.n; i++)
                clock_keep_oldest(&batch->oldest_publish, publish_time(batch, i));
        return 0;
}

int batch_new(Bytes *body, usec_t received, Batch **ret) {
        _cleanup_(batch_freep) Batch *batch = NULL;
        int r;

        batch = calloc(1, sizeof(Batch));
        if (!batch)
                return -ENOMEM;
        batch->received = received;
        r = wire_get_pull(body->data, body->size, &batch->pull);
        if (r < 0)
                return r;
        r = batch_complete(batch);
        if (r < 0)
                return r;
        batch->body = bytes_steal(body);
        *ret = cleanup_steal(batch);
        return 0;
}

Batch *batch_free(Batch *batch) {
        if (!batch)
                return NULL;
        free(batch->suspicions);
        free(batch->fates);
        wire_pull_done(&batch->pull);
        bytes_done(&batch->body);
        free(batch);
        return NULL;
}

/* ---- copies ---- */

size_t batch_message_size(const Batch *batch, size_t index) {
        const WireMessage *message = &batch->pull.messages[index];
        size_t size = message->ack_id.size + message->data.size + message->message_id.size +
                      message->publish_time.size + message->ordering_key.size;

        for (size_t i = 0; i < message->n_attributes; i++)
                size += message->attributes[i].key.size + message->attributes[i].value.size;
        return size;
}

/* The body has enough room reserved, so it does not move. */
static Slice copy_slice(Batch *batch, Slice slice) {
        const char *start = batch->body.data + batch->body.size;

        if (slice.size == 0)
                return (Slice){};
        (void) bytes_append(&batch->body, slice.data, slice.size);
        return (Slice){ start, slice.size };
}

static void copy_message(Batch *batch, const WireMessage *from) {
        WireMessage *to = &batch->pull.messages[batch->pull.n++];
        WireAttribute *attributes = &batch->pull.attributes[batch->pull.n_attributes];

        *to = (WireMessage){ .ack_id = copy_slice(batch, from->ack_id),
                .data = copy_slice(batch, from->data),
                .data_bad = from->data_bad,
                .message_id = copy_slice(batch, from->message_id),
                .publish_time = copy_slice(batch, from->publish_time),
                .ordering_key = copy_slice(batch, from->ordering_key),
                .attributes = attributes,
                .n_attributes = from->n_attributes,
                .delivery_attempt = from->delivery_attempt };
        for (size_t i = 0; i < from->n_attributes; i++)
                attributes[i] = (WireAttribute){ .key = copy_slice(batch, from->attributes[i].key),
                        .value = copy_slice(batch, from->attributes[i].value) };
        batch->pull.n_attributes += from->n_attributes;
}

static int make_room(Batch *batch, const BatchPick *picks, size_t n) {
        size_t size = 0, n_attributes = 0;

        for (size_t i = 0; i < n; i++) {
                size += batch_message_size(picks[i].batch, picks[i].index);
                n_attributes += picks[i].batch->pull.messages[picks[i].index].n_attributes;
        }
        batch->pull.messages = calloc(n, sizeof(WireMessage));
        batch->pull.attributes = calloc(n_attributes + 1, sizeof(WireAttribute));
        if (!batch->pull.messages || !batch->pull.attributes)
                return -ENOMEM;
        return bytes_reserve(&batch->body, size + 1);
}

int batch_gather(const BatchPick *picks, size_t n, Batch **ret) {
        _cleanup_(batch_freep) Batch *batch = NULL;
        int r;

        assert(n > 0);
        batch = calloc(1, sizeof(Batch));
        if (!batch)
                return -ENOMEM;
        batch->received = picks[0].batch->received;
        r = make_room(batch, picks, n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                copy_message(batch, &picks[i].batch->pull.messages[picks[i].index]);
                batch->received = usec_min(batch->received, picks[i].batch->received);
        }
        r = batch_complete(batch);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                batch->suspicions[i] = picks[i].batch->suspicions[picks[i].index];
        *ret = cleanup_steal(batch);
        return 0;
}

/* ---- fates ---- */

void batch_set_fate(Batch *batch, size_t index, Fate fate) {
        assert(index < batch->pull.n);
        assert((unsigned) fate < FATES);
        assert(moves[batch->fates[index]][fate]);
        batch->fates[index] = fate;
}

bool batch_is_settled(const Batch *batch, size_t index) {
        const Fate fate = batch->fates[index];

        return fate == FATE_STORED || fate == FATE_DUPLICATE || fate == FATE_REJECTED;
}

bool batch_meets_outage(const Batch *batch) {
        for (size_t i = 0; i < batch->pull.n; i++)
                if (batch->fates[i] == FATE_PENDING && batch->suspicions[i].state == BLAME_OUTAGE)
                        return true;
        return false;
}

bool batch_is_untried(const Batch *batch, size_t index) {
        const Suspicion *suspicion = &batch->suspicions[index];

        return batch->fates[index] == FATE_PENDING && suspicion->state == BLAME_CLEAR && suspicion->first == 0;
}

bool batch_has_untried(const Batch *batch) {
        for (size_t i = 0; i < batch->pull.n; i++)
                if (batch_is_untried(batch, i))
                        return true;
        return false;
}

size_t batch_count(const Batch *batch, Fate fate) {
        size_t n = 0;

        for (size_t i = 0; i < batch->pull.n; i++)
                n += batch->fates[i] == fate;
        return n;
}
