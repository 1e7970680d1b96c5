/* SPDX-License-Identifier: Apache-2.0 */
#include "mongo-wire.h"

#include <string.h>

#define HEADER_SIZE 16
#define FLAG_CHECKSUM 1U
#define FLAG_MORE_TO_COME 2U

/* The protocol is little-endian. */
static int32_t get_int(const char *at) {
        int32_t value;

        memcpy(&value, at, sizeof value);
        return BSON_UINT32_FROM_LE(value);
}

static void put_int(Buffer *out, int32_t value) {
        int32_t le = BSON_UINT32_TO_LE(value);

        buffer_append(out, &le, sizeof le);
}

/* One section at *at*. Returns its size or -1. */
static ssize_t parse_section(const char *at, size_t left, MongoMessage *ret) {
        int32_t size = left > 5 ? get_int(at + 1) : -1;
        const char *end;

        if (size < 5 || (size_t) size + 1 > left)
                return -1;
        if (*at == 0) {
                ret->body = (const uint8_t *) at + 1;
                ret->body_size = (size_t) size;
        } else if (*at == 1) {
                end = memchr(at + 5, 0, (size_t) size - 4);
                if (!end)
                        return -1;
                ret->documents = (const uint8_t *) end + 1;
                ret->documents_size = (size_t) (at + 1 + size - (end + 1));
        } else
                return -1;
        return size + 1;
}

static ssize_t parse_msg(const char *data, size_t size, MongoMessage *ret) {
        uint32_t flags = (uint32_t) get_int(data + HEADER_SIZE);
        size_t at = HEADER_SIZE + 4, end = size - (flags & FLAG_CHECKSUM ? 4 : 0);

        ret->more_to_come = flags & FLAG_MORE_TO_COME;
        while (at < end) {
                ssize_t n = parse_section(data + at, end - at, ret);

                if (n < 0)
                        return -1;
                at += (size_t) n;
        }
        return ret->body ? (ssize_t) size : -1;
}

static ssize_t parse_query(const char *data, size_t size, MongoMessage *ret) {
        const char *name = data + HEADER_SIZE + 4, *end = memchr(name, 0, size - HEADER_SIZE - 4);
        size_t at = end ? (size_t) (end + 1 - data) + 8 : size;

        if (at + 5 > size || get_int(data + at) < 5 || at + (size_t) get_int(data + at) > size)
                return -1;
        ret->body = (const uint8_t *) data + at;
        ret->body_size = (size_t) get_int(data + at);
        return (ssize_t) size;
}

ssize_t mongo_message_parse(const char *data, size_t size, MongoMessage *ret) {
        MongoMessage m = { .command = "" };
        ssize_t n;

        if (size < HEADER_SIZE)
                return 0;
        m.length = get_int(data);
        m.request_id = get_int(data + 4);
        m.response_to = get_int(data + 8);
        m.opcode = get_int(data + 12);
        if (m.length < HEADER_SIZE + 9 || m.length > 48000000 + 16384)
                return -1;
        if ((size_t) m.length > size)
                return 0;
        if (m.opcode == MONGO_OP_MSG)
                n = parse_msg(data, (size_t) m.length, &m);
        else if (m.opcode == MONGO_OP_QUERY)
                n = parse_query(data, (size_t) m.length, &m);
        else
                n = m.length;
        if (n > 0 && m.body && m.body_size > 6)
                m.command = (const char *) m.body + 5;
        *ret = m;
        return n;
}

static uint64_t count_array(const MongoMessage *m, Latency *sent) {
        bson_t body;
        bson_iter_t iter, child;
        uint64_t n = 0;

        if (!bson_init_static(&body, m->body, m->body_size) || !bson_iter_init_find(&iter, &body, "documents") ||
                !bson_iter_recurse(&iter, &child))
                return 0;
        while (bson_iter_next(&child)) {
                const uint8_t *data = NULL;
                uint32_t size = 0;

                bson_iter_document(&child, &size, &data);
                if (sent && data)
                        latency_add(sent, latency_sent(data, size));
                n++;
        }
        return n;
}

uint64_t mongo_message_documents(const MongoMessage *m, Latency *sent) {
        uint64_t n = 0;

        if (!m->documents)
                return count_array(m, sent);
        for (size_t at = 0; at + 4 <= m->documents_size; n++) {
                int32_t size = get_int((const char *) m->documents + at);

                if (size < 5 || at + (size_t) size > m->documents_size)
                        break;
                if (sent)
                        latency_add(sent, latency_sent(m->documents + at, (size_t) size));
                at += (size_t) size;
        }
        return n;
}

void mongo_reply(const MongoMessage *m, const bson_t *document, Buffer *out) {
        bool legacy = m->opcode == MONGO_OP_QUERY;

        put_int(out, (int32_t) (HEADER_SIZE + (legacy ? 20 : 5) + document->len));
        put_int(out, m->request_id + 1);
        put_int(out, m->request_id);
        put_int(out, legacy ? MONGO_OP_REPLY : MONGO_OP_MSG);
        put_int(out, legacy ? 8 : 0); /* AwaitCapable, as every server says; flags */
        if (legacy) {
                put_int(out, 0); /* cursor id */
                put_int(out, 0);
                put_int(out, 0); /* first */
                put_int(out, 1); /* documents */
        } else
                buffer_append(out, "", 1); /* section of kind 0 */
        buffer_append(out, bson_get_data(document), document->len);
}
