/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "lib/clock.h"
#include "sinks/webhook.h"

/* for documents that are left out, in one turn of the loop: a gzip of 30 kB may hold 15 MiB of JSON */
#define BAD_MAX_USEC (100 * USEC_PER_MSEC)

void webhook_body_done(WebhookBody *body) {
        bytes_done(&body->text);
        bytes_done(&body->ids);
        *body = (WebhookBody){};
}

/* Appends a document and its `_id`. Returns DOCUMENT_OK, a reason, or -ENOMEM. */
static int append_document(
        WebhookBody *body, const DocumentInput *input, bson_t *scratch, char detail[static DOCUMENT_DETAIL_SIZE]) {
        Slice id;
        int r;

        bytes_append_text(&body->text, body->n == 0 ? "[" : ",");
        r = document_json(input, scratch, &body->text, detail);
        if (r != DOCUMENT_OK)
                return r;
        id = document_text(scratch, "_id");
        bytes_append(&body->ids, id.data, id.size);
        return bytes_append(&body->ids, "\n", 1);
}

/* Adds the documents of the span. Each is there as a whole or not at all. */
static int add_items(const DocumentRules *rules, SinkWork *work, size_t most, WebhookSpan *span, WebhookBody *body) {
        _cleanup_(bson_destroy) bson_t scratch = BSON_INITIALIZER;
        DocumentInput input = { .rules = rules, .at = clock_wall() };
        char detail[DOCUMENT_DETAIL_SIZE];
        usec_t spent = 0;
        size_t i = span->begin;

        for (; i < span->end && body->n < most; i++) {
                size_t text = body->text.size, ids = body->ids.size;
                usec_t begun;
                int r;

                if (work->items[i].verdict == SINK_BAD)
                        continue;
                begun = clock_now();
                input.message = work->items[i].message;
                r = append_document(body, &input, &scratch, detail);
                if (r < 0)
                        return r;
                if (r == DOCUMENT_OK && (body->n == 0 || body->text.size < WEBHOOK_BODY_MAX)) {
                        body->n++;
                        continue;
                }
                bytes_cut(&body->text, text);
                bytes_cut(&body->ids, ids);
                if (r == DOCUMENT_OK)
                        break;
                sink_item_bad(&work->items[i], document_reason((DocumentReason) r), detail);
                if (work->items[i].verdict != SINK_BAD)
                        return -ENOMEM; /* else it would count as sent */
                spent += clock_now() - begun;
                if (spent > BAD_MAX_USEC)
                        return WEBHOOK_BODY_LATER;
        }
        span->end = i;
        return 0;
}

int webhook_body_build(const DocumentRules *rules, SinkWork *work, size_t most, WebhookSpan *span, WebhookBody *ret) {
        int r = add_items(rules, work, most, span, ret);

        if (r != 0 || ret->n == 0)
                return r;
        (void) crypto_sha256_hex(ret->ids.data, ret->ids.size, ret->key);
        return bytes_append(&ret->text, "]", 1);
}

bool webhook_body_is_at_fault(int status) {
        return status == 400 || status == 413 || status == 422;
}
