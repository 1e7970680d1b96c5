/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/publisher-request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "publish/publisher.h"
#include "pubsub/wire.h"

#define REQUEST_FRAME_BYTES 64 /* {"messages":[ ]} */

#define KEY(text)                                                                                                      \
        { text, sizeof(text) - 1 }

static WireOutgoing request_message(const OutboxRow *row) {
        return (WireOutgoing){
                .data = row->payload,
                .attributes = {
                        { KEY("idempotency_key"), row->key },
                        { KEY("source"), row->source },
                        { KEY("type"), row->type },
                        { KEY("device"), row->device },
                },
                .n_attributes = 4,
        };
}

/* How many of the rows fit; the messages are filled in on the way. */
static size_t request_take(const OutboxRows *rows, size_t body_max, WireOutgoing *messages) {
        size_t size = REQUEST_FRAME_BYTES, n = 0;

        for (; n < rows->n; n++) {
                messages[n] = request_message(&rows->items[n]);
                size += wire_publish_size(&messages[n]);
                if (size > (n == 0 ? PUBLISHER_BODY_MAX : body_max))
                        break;
        }
        return n;
}

static int request_fill(PublisherRequest *request, const OutboxRows *rows, size_t body_max) {
        _cleanup_free_ WireOutgoing *messages = calloc(rows->n, sizeof(WireOutgoing));
        int r;

        if (!messages)
                return -ENOMEM;
        request->first_id = rows->items[0].id;
        request->first_key = strndup(rows->items[0].key.data, rows->items[0].key.size);
        request->ids = calloc(rows->n, sizeof(int64_t));
        if (!request->first_key || !request->ids)
                return -ENOMEM;

        request->n = request_take(rows, body_max, messages);
        if (request->n == 0)
                return PUBLISHER_REQUEST_TOO_LARGE;
        for (size_t i = 0; i < request->n; i++)
                request->ids[i] = rows->items[i].id;

        r = wire_put_publish(&request->body, messages, request->n);
        if (r < 0)
                return r;
        request->size = request->body.size;
        return PUBLISHER_REQUEST_MADE;
}

int publisher_request_make(PublisherRequest *request, Outbox *outbox, int64_t after, size_t max_rows, size_t body_max) {
        OutboxRows rows = {};
        int r;

        assert(request->n == 0 && !request->first_key);
        r = outbox_peek(outbox, after, max_rows, body_max / 4 * 3, &rows);
        if (r < 0)
                return r;
        r = rows.n == 0 ? PUBLISHER_REQUEST_EMPTY : request_fill(request, &rows, body_max);
        outbox_rows_done(&rows);
        if (r < 0)
                publisher_request_done(request);
        return r;
}

void publisher_request_done(PublisherRequest *request) {
        bytes_done(&request->body);
        free(request->ids);
        free(request->first_key);
        *request = (PublisherRequest){};
}
