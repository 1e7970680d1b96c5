/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a reply of Pub/Sub. The first byte chooses the kind. A pull is read in place: nothing outside of the
 * buffer is touched, what is taken can be acknowledged, and slices stay inside. */
#include <stdlib.h>

#include "fuzz.h"
#include "pubsub/wire.h"

static void require_inside(Slice slice, const char *text, size_t size) {
        require(slice.size == 0 || (slice.data >= text && slice.data + slice.size <= text + size));
}

static void check_message(const WireMessage *m, const char *text, size_t size) {
        require(m->ack_id.size > 0 && m->message_id.size > 0);
        require(bytes_is_utf8(m->ack_id.data, m->ack_id.size));
        require_inside(m->ack_id, text, size);
        require_inside(m->message_id, text, size);
        require_inside(m->data, text, size);
        require_inside(m->publish_time, text, size);
        require_inside(m->ordering_key, text, size);
        for (size_t i = 0; i < m->n_attributes; i++) {
                require_inside(m->attributes[i].key, text, size);
                require_inside(m->attributes[i].value, text, size);
        }
}

static void check_ack(const WirePull *pull) {
        _cleanup_bytes_ Bytes body = {};
        size_t taken;

        require(wire_put_ack(&body, &pull->messages[0].ack_id, 1, -1, &taken) == 0 && taken == 1);
}

static void fuzz_pull(const uint8_t *data, size_t size) {
        char *text = malloc(size + 1); /* of its own size: a sanitizer sees every step beyond */
        WirePull pull;

        require(text != NULL);
        memcpy(text, data, size);
        text[size] = '\0';
        if (wire_get_pull(text, size, &pull) == 0) {
                size_t n = 0;

                for (size_t i = 0; i < pull.n; i++) {
                        check_message(&pull.messages[i], text, size);
                        n += pull.messages[i].n_attributes;
                }
                require(n == pull.n_attributes);
                if (pull.n > 0)
                        check_ack(&pull);
                wire_pull_done(&pull);
        }
        free(text);
}

static void on_failure(void *userdata, const char *ack_id, WireAckOutcome outcome) {
        size_t *n = userdata;

        require(outcome == WIRE_ACK_RETRY || outcome == WIRE_ACK_LOST);
        (*n)++;
}

static void fuzz_error(const char *text, size_t size) {
        WireError error;
        size_t n = 0;

        wire_get_error(text, size, &error);
        require(strlen(error.status) < sizeof error.status && strlen(error.message) < sizeof error.message);
        require(bytes_is_utf8(error.message, strlen(error.message)));
        require(wire_each_ack_failure(text, size, on_failure, &n) == (int) n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t n = 0;

        if (size == 0)
                return 0;
        switch (data[0] % 3) {
        case 0:
                fuzz_pull(data + 1, size - 1);
                break;
        case 1:
                fuzz_error((const char *) data + 1, size - 1);
                break;
        default:
                if (wire_get_publish((const char *) data + 1, size - 1, &n) == 0)
                        require(n <= size);
        }
        return 0;
}
