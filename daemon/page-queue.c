/* SPDX-License-Identifier: Apache-2.0 */
#include "page-thread.h"

#include <stdint.h>

typedef struct Header {
        int64_t published;
        uint32_t text, n_attributes;
} Header;

static void put_slice(Bytes *queue, Slice slice) {
        uint32_t size = (uint32_t) slice.size;

        bytes_append(queue, &size, sizeof(size));
        bytes_append(queue, slice.data, slice.size);
}

int page_queue_put(Bytes *queue, const SinkPast *message) {
        Header header = { .published = message->published, .text = (uint32_t) message->text.size };
        size_t before = queue->size;
        int r;

        header.n_attributes = (uint32_t) message->n_attributes;
        if (message->n_attributes > PAGE_QUEUE_ATTRIBUTES_MAX)
                header.n_attributes = PAGE_QUEUE_ATTRIBUTES_MAX;
        bytes_append(queue, &header, sizeof(header));
        bytes_append(queue, message->text.data, message->text.size);
        for (size_t i = 0; i < header.n_attributes; i++) {
                put_slice(queue, message->attributes[i].key);
                put_slice(queue, message->attributes[i].value);
        }
        r = bytes_result(queue);
        if (r < 0)
                bytes_cut(queue, before);
        return r;
}

static const char *take(Slice *queue, size_t size) {
        const char *data = queue->data;

        *queue = (Slice){ data + size, queue->size - size };
        return data;
}

static Slice take_slice(Slice *queue) {
        uint32_t size;

        memcpy(&size, take(queue, sizeof(size)), sizeof(size));
        return (Slice){ take(queue, size), size };
}

bool page_queue_next(Slice *queue, PageQueueItem *ret) {
        Header header;

        if (queue->size == 0)
                return false;
        memcpy(&header, take(queue, sizeof(header)), sizeof(header));
        ret->message = (SinkPast){ .text = { take(queue, header.text), header.text },
                .attributes = ret->attributes,
                .n_attributes = header.n_attributes,
                .published = header.published };
        for (size_t i = 0; i < header.n_attributes; i++) {
                ret->attributes[i].key = take_slice(queue);
                ret->attributes[i].value = take_slice(queue);
        }
        return true;
}
