/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/ack.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

/* the rest of the list, and one half for each halving of a request of at most WIRE_ACK_IDS_MAX ids */
#define RANGES_MAX 32

typedef struct Range {
        size_t start, n;
} Range;

struct Ack {
        AckSpec spec;
        Slice *ids; /* copies of those of *spec* */
        WireAckOutcome *outcomes;
        Range ranges[RANGES_MAX]; /* still to send, the next one last */
        size_t n_ranges;
        Range sent;
        unsigned requests;
        ClientCall *call;
};

Ack *ack_cancel(Ack *ack) {
        if (!ack)
                return NULL;
        ack->call = client_cancel(ack->call);
        free(ack->outcomes);
        free(ack->ids);
        free(ack);
        return NULL;
}
CLEANUP_DEFINE(Ack, ack_cancel)

static void push(Ack *ack, size_t start, size_t n) {
        if (n == 0)
                return;
        assert(ack->n_ranges < RANGES_MAX);
        ack->ranges[ack->n_ranges++] = (Range){ start, n };
}

static void set_outcomes(Ack *ack, Range range, WireAckOutcome outcome) {
        for (size_t i = range.start; i < range.start + range.n; i++)
                ack->outcomes[i] = outcome;
}

static void ack_end(Ack *ack, const ClientReply *reply) {
        ack->spec.done(ack->spec.userdata, &(AckResult){ ack->outcomes, ack->spec.n, reply });
        ack_cancel(ack);
}

/* ---- answers ---- */

static void on_failed_id(void *userdata, const char *ack_id, WireAckOutcome outcome) {
        Ack *ack = userdata;

        for (size_t i = ack->sent.start; i < ack->sent.start + ack->sent.n; i++)
                if (slice_equal(ack->ids[i], ack_id))
                        ack->outcomes[i] = outcome;
}

/* Sorts the ids of a refused request. An exactly-once subscription names the refused ones; else all were refused. */
static void sort_refusal(Ack *ack, const ClientReply *reply) {
        const Range sent = ack->sent;

        set_outcomes(ack, sent, WIRE_ACK_DONE); /* if the body names any ids, the others were acknowledged */
        if (wire_each_ack_failure(reply->body.data, reply->body.size, on_failed_id, ack) > 0)
                return;
        set_outcomes(ack, sent, WIRE_ACK_RETRY);
        if (sent.n == 1)
                return set_outcomes(ack, sent, WIRE_ACK_LOST);
        push(ack, sent.start + sent.n / 2, sent.n - sent.n / 2);
        push(ack, sent.start, sent.n / 2);
}

static int send_next(Ack *ack);

static void on_answer(void *userdata, ClientReply *reply) {
        static const ClientReply done = { .outcome = CLIENT_OK, .detail = "" };
        Ack *ack = userdata;
        int r;

        ack->call = NULL;
        if (reply->outcome == CLIENT_OK) {
                set_outcomes(ack, ack->sent, WIRE_ACK_DONE);
        } else if (reply->outcome == CLIENT_INVALID || reply->outcome == CLIENT_TOO_LARGE)
                sort_refusal(ack, reply);
        else
                return ack_end(ack, reply);
        if (ack->n_ranges == 0)
                return ack_end(ack, &done);
        if (ack->requests >= ACK_REQUESTS_MAX) {
                while (ack->n_ranges > 0)
                        set_outcomes(ack, ack->ranges[--ack->n_ranges], WIRE_ACK_LOST);
                return ack_end(ack, &done);
        }
        r = send_next(ack);
        if (r < 0)
                ack_end(ack, &(ClientReply){ .outcome = CLIENT_RETRY, .cause = CAUSE_MEMORY, .detail = strerror(-r) });
}

static int send_next(Ack *ack) {
        const bool forever = ack->spec.deadline_sec == ACK_FOREVER;
        const usec_t quarter = forever ? 0 : (usec_t) ack->spec.deadline_sec * USEC_PER_SEC / 4;
        Range range = ack->ranges[--ack->n_ranges];
        ClientSpec spec = {
                .method = "POST",
                .verb = forever ? ":acknowledge" : ":modifyAckDeadline",
                .timeout = forever ? CLIENT_TIMEOUT_USEC : usec_max(quarter, ACK_TIMEOUT_MIN_USEC),
                .max_reply = CLIENT_REPLY_MAX,
        };
        size_t taken;
        int r;

        r = wire_put_ack(&spec.body, ack->ids + range.start, range.n, ack->spec.deadline_sec, &taken);
        if (r == 0) {
                push(ack, range.start + taken, range.n - taken);
                ack->sent = (Range){ range.start, taken };
                ack->requests++;
                r = subscription_call(ack->spec.subscription, &spec, on_answer, ack, &ack->call);
        }
        bytes_done(&spec.body);
        return r;
}

int ack_start(const AckSpec *spec, Ack **ret) {
        _cleanup_(ack_cancelp) Ack *ack = NULL;
        size_t n = spec->n;
        int r;

        assert(n > 0);
        ack = calloc(1, sizeof(*ack));
        if (!ack)
                return -ENOMEM;
        ack->ids = calloc(n, sizeof(*ack->ids));
        ack->outcomes = calloc(n, sizeof(*ack->outcomes)); /* all WIRE_ACK_RETRY */
        if (!ack->ids || !ack->outcomes)
                return -ENOMEM;
        memcpy(ack->ids, spec->ids, n * sizeof(*ack->ids));
        ack->spec = *spec;
        push(ack, 0, n);
        r = send_next(ack);
        if (r < 0)
                return r;
        *ret = cleanup_steal(ack);
        return 0;
}

void ack_report(const AckResult *result, Subscription *subscription, SubscriptionCause cause) {
        static const ClientReply lapsed = { .outcome = CLIENT_INVALID,
                .cause = CAUSE_INVALID,
                .detail = "Pub/Sub reports every ack id of a batch as invalid or expired" };
        const ClientReply *reply = result->reply;
        size_t lost = 0;

        for (size_t i = 0; i < result->n; i++)
                lost += result->outcomes[i] == WIRE_ACK_LOST;
        if (reply->outcome == CLIENT_OK && lost < result->n)
                subscription_mend(subscription, cause);
        else
                subscription_fail(subscription, cause, reply->outcome == CLIENT_OK ? &lapsed : reply, 0);
}
