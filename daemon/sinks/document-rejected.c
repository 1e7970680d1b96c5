/* SPDX-License-Identifier: Apache-2.0 */
/* The document for the rejected collection. It is written without the rules of document.c, because it must
 * always be possible. */
#include <errno.h>
#include <string.h>

#include "sinks/document.h"

#define ATTRIBUTES_PLAIN_MAX 256 /* the service allows 100 */

static bool append_text(bson_t *bson, const char *key, Slice text) {
        if (bytes_is_utf8(text.data, text.size))
                return bson_append_utf8(bson, key, -1, text.size > 0 ? text.data : "", (int) text.size);
        return bson_append_binary(
                bson, key, -1, BSON_SUBTYPE_BINARY, (const uint8_t *) text.data, (uint32_t) text.size);
}

static bool append_time(bson_t *bson, const char *key, Slice text) {
        int64_t msec;

        if (text.size > 0 && clock_parse_rfc3339(text.data, text.size, &msec))
                return bson_append_date_time(bson, key, -1, msec);
        return append_text(bson, key, text);
}

/* Whether all attributes can be fields of an object unchanged. */
static bool attributes_are_plain(const WireMessage *message) {
        if (message->n_attributes > ATTRIBUTES_PLAIN_MAX)
                return false;
        for (size_t i = 0; i < message->n_attributes; i++) {
                Slice name = message->attributes[i].key, value = message->attributes[i].value;

                if (!bytes_is_utf8(name.data, name.size) || !bytes_is_utf8(value.data, value.size) ||
                        !document_key_is_plain(name))
                        return false;
                for (size_t k = 0; k < i; k++)
                        if (slice_same(message->attributes[k].key, name))
                                return false;
        }
        return true;
}

static bool append_attribute_object(bson_t *pubsub, const WireMessage *message) {
        bson_t object;

        if (!bson_append_document_begin(pubsub, "attributes", -1, &object))
                return false;
        for (size_t i = 0; i < message->n_attributes; i++) {
                const WireAttribute *attribute = &message->attributes[i];

                if (!bson_append_utf8(&object, attribute->key.data, (int) attribute->key.size,
                            attribute->value.size > 0 ? attribute->value.data : "", (int) attribute->value.size))
                        return false;
        }
        return bson_append_document_end(pubsub, &object);
}

static bool append_attribute_list(bson_t *pubsub, const WireMessage *message) {
        bson_t list, element;

        if (!bson_append_array_begin(pubsub, "attributes", -1, &list))
                return false;
        for (size_t i = 0; i < message->n_attributes; i++) {
                const char *key;
                char buffer[16];

                (void) bson_uint32_to_string((uint32_t) i, &key, buffer, sizeof(buffer));
                if (!bson_append_document_begin(&list, key, -1, &element) ||
                        !append_text(&element, "name", message->attributes[i].key) ||
                        !append_text(&element, "value", message->attributes[i].value) ||
                        !bson_append_document_end(&list, &element))
                        return false;
        }
        return bson_append_array_end(pubsub, &list);
}

static bool append_pubsub(bson_t *document, const WireMessage *message, const DocumentRules *rules) {
        bson_t pubsub;

        return bson_append_document_begin(document, "pubsub", -1, &pubsub) &&
               append_text(&pubsub, "message_id", message->message_id) &&
               append_time(&pubsub, "publish_time", message->publish_time) &&
               bson_append_utf8(&pubsub, "subscription", -1, rules->subscription, -1) &&
               (attributes_are_plain(message) ? append_attribute_object(&pubsub, message)
                                              : append_attribute_list(&pubsub, message)) &&
               (message->ordering_key.size == 0 || append_text(&pubsub, "ordering_key", message->ordering_key)) &&
               bson_append_document_end(document, &pubsub);
}

int document_rejected_id(const DocumentInput *input, Bytes *scratch, Slice *ret) {
        const WireMessage *message = input->message;
        const WireMessage nameless = { .message_id = message->message_id, .publish_time = message->publish_time };
        const DocumentInput bare = { .message = &nameless, .rules = input->rules, .id_by_time = input->id_by_time };

        return document_id(&bare, scratch, ret);
}

int document_build_rejected(const DocumentInput *input, const char *reason, const char *detail, bson_t *document) {
        const WireMessage *message = input->message;
        _cleanup_bytes_ Bytes scratch = {};
        Slice id;
        bool ok;

        if (document_rejected_id(input, &scratch, &id) < 0)
                return -ENOMEM;
        ok = append_text(document, "_id", id) && bson_append_utf8(document, "reason", -1, reason, -1) &&
             append_text(document, "detail", (Slice){ detail, strlen(detail) }) &&
             bson_append_binary(document, "data", -1, BSON_SUBTYPE_BINARY,
                     (const uint8_t *) (message->data.size > 0 ? message->data.data : ""),
                     (uint32_t) message->data.size) &&
             append_pubsub(document, message, input->rules) &&
             bson_append_date_time(document, "rejected_at", -1, (int64_t) (input->at / USEC_PER_MSEC));
        return ok ? 0 : -ENOMEM;
}
