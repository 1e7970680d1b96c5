/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a stored document is that of the same message. */
#include "sinks/document.h"

#include <string.h>

/* Moves on to the next element of the payload and skips sensorqd's own fields. Writes the element's offset. */
static bool next_field(bson_iter_t *iter, uint32_t *ret_offset) {
        while (bson_iter_next(iter)) {
                const char *key = bson_iter_key(iter);

                if (strcmp(key, "pubsub") != 0 && strcmp(key, "stored_at") != 0) {
                        *ret_offset = bson_iter_offset(iter);
                        return true;
                }
        }
        return false;
}

/* Returns the bytes of the element that begins at *offset* and on which *iter* stands. */
static Slice field_bytes(const bson_t *document, const bson_iter_t *iter, uint32_t offset) {
        bson_iter_t ahead = *iter;
        uint32_t end = bson_iter_next(&ahead) ? bson_iter_offset(&ahead) : document->len - 1;

        return (Slice){ (const char *) bson_get_data(document) + offset, end - offset };
}

/* Compares as 0.1.0 did: byte by byte. (bson_copy_to_excluding_noinit() aborts where a value is broken.) */
static bool same_fields(const bson_t *a, const bson_t *b) {
        bson_iter_t left, right;
        uint32_t left_offset, right_offset;

        if (!bson_iter_init(&left, a) || !bson_iter_init(&right, b))
                return false;
        for (;;) {
                bool more = next_field(&left, &left_offset);

                if (next_field(&right, &right_offset) != more)
                        return false;
                if (!more)
                        return true;
                if (!slice_same(field_bytes(a, &left, left_offset), field_bytes(b, &right, right_offset)))
                        return false;
        }
}

bool document_same_payload(const bson_t *stored, const bson_t *document) {
        Slice there = document_text(stored, "pubsub.sha256"), ours = document_text(document, "pubsub.sha256");

        return there.size > 0 && ours.size > 0 ? slice_same(there, ours) : same_fields(stored, document);
}

bool document_same_time(const bson_t *stored, const bson_t *document) {
        bson_iter_t there, ours;
        int64_t then, now;

        if (document_date(stored, "pubsub.publish_time", &then) && document_date(document, "pubsub.publish_time", &now))
                return then == now;
        if (!document_find(document, "pubsub.publish_time", &ours) ||
                !document_find(stored, "pubsub.publish_time", &there))
                return false;
        return BSON_ITER_HOLDS_UTF8(&there) && BSON_ITER_HOLDS_UTF8(&ours) &&
               strcmp(bson_iter_utf8(&there, NULL), bson_iter_utf8(&ours, NULL)) == 0;
}

Slice document_data(const bson_t *document) {
        const uint8_t *data = (const uint8_t *) "";
        bson_subtype_t subtype;
        bson_iter_t iter;
        uint32_t size = 0;

        if (bson_iter_init_find(&iter, document, "data") && BSON_ITER_HOLDS_BINARY(&iter))
                bson_iter_binary(&iter, &subtype, &size, &data);
        return (Slice){ (const char *) data, size };
}

bool document_same_data(const bson_t *stored, const bson_t *document) {
        bson_iter_t iter;

        return bson_iter_init_find(&iter, stored, "data") && BSON_ITER_HOLDS_BINARY(&iter) &&
               slice_same(document_data(stored), document_data(document));
}
