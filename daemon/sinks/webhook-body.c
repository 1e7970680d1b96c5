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

/* A document that is being added, as a whole or not at all. */
typedef struct Adding {
        WebhookBody *body;
        bson_t *scratch;
        Bytes id;
        size_t text, ids; /* sizes before the document */
} Adding;

static int add_id(Adding *adding, const DocumentInput *input) {
        Bytes *ids = &adding->body->ids;
        Slice id;
        int r;

        r = document_id(input, &adding->id, &id);
        if (r < 0)
                return r;
        bytes_append(ids, id.data, id.size);
        return bytes_append(ids, "\n", 1);
}

/* Returns DOCUMENT_OK, a reason, or -ENOMEM. */
static int add_document(Adding *adding, const DocumentInput *input, char detail[static DOCUMENT_DETAIL_SIZE]) {
        WebhookBody *body = adding->body;
        int r;

        adding->text = body->text.size;
        adding->ids = body->ids.size;
        r = bytes_append_text(&body->text, body->n == 0 ? "[" : ",");
        if (r < 0)
                return r;
        r = document_json(input, adding->scratch, &body->text, detail);
        if (r != DOCUMENT_OK)
                return r;
        r = add_id(adding, input);
        if (r < 0)
                return r;
        body->n++;
        return DOCUMENT_OK;
}

static void take_back(Adding *adding) {
        bytes_cut(&adding->body->text, adding->text);
        bytes_cut(&adding->body->ids, adding->ids);
}

static int add_items(Adding *adding, const DocumentInput *input, SinkWork *work, size_t most, WebhookSpan *span) {
        char detail[DOCUMENT_DETAIL_SIZE];
        DocumentInput each = *input;
        usec_t begun, spent = 0;
        size_t i = span->begin;

        for (; i < span->end && adding->body->n < most; i++) {
                int r;

                if (work->items[i].verdict == SINK_BAD)
                        continue;
                begun = clock_now();
                each.message = work->items[i].message;
                r = add_document(adding, &each, detail);
                if (r < 0)
                        return r;
                if (r > 0)
                        sink_item_bad(&work->items[i], document_reason((DocumentReason) r), detail);
                if (r > 0 && work->items[i].verdict != SINK_BAD)
                        return -ENOMEM; /* else it would count as sent */
                if (r == DOCUMENT_OK && (adding->body->n == 1 || adding->body->text.size < WEBHOOK_BODY_MAX))
                        continue;
                take_back(adding);
                if (r == DOCUMENT_OK) {
                        adding->body->n--;
                        break;
                }
                spent += clock_now() - begun;
                if (spent > BAD_MAX_USEC)
                        return WEBHOOK_BODY_LATER;
        }
        span->end = i;
        return 0;
}

int webhook_body_build(const DocumentRules *rules, SinkWork *work, size_t most, WebhookSpan *span, WebhookBody *ret) {
        const DocumentInput input = { .rules = rules, .at = clock_wall() };
        bson_t scratch = BSON_INITIALIZER;
        Adding adding = { .body = ret, .scratch = &scratch };
        int r;

        r = add_items(&adding, &input, work, most, span);
        bson_destroy(&scratch);
        bytes_done(&adding.id);
        if (r != 0 || ret->n == 0)
                return r;
        (void) sha256_hex(ret->ids.data, ret->ids.size, ret->key);
        return bytes_append(&ret->text, "]", 1);
}

WebhookClass webhook_body_class(int status) {
        if (status >= 200 && status < 300)
                return WEBHOOK_TAKEN;
        if (status == 408 || status == 425 || status == 429 || status >= 500 || status < 200)
                return WEBHOOK_LATER;
        if (status < 400 || status == 401 || status == 407)
                return WEBHOOK_PERSON;
        return WEBHOOK_REFUSED;
}

bool webhook_body_is_at_fault(int status) {
        return status == 400 || status == 413 || status == 422;
}
