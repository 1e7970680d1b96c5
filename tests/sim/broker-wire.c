/* SPDX-License-Identifier: Apache-2.0 */
#include "broker-wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* ---- reading ---- */

typedef struct Reader {
        const uint8_t *at, *end;
} Reader;

static unsigned get(Reader *r, unsigned size) {
        unsigned value = 0;

        for (; size > 0; size--) {
                if (r->at >= r->end)
                        world_fail("a packet to the broker ends too early");
                value = value << 8 | *r->at++;
        }
        return value;
}

static Slice get_rest(Reader *r, size_t size) {
        Slice slice = { (const char *) r->at, size };

        if ((size_t) (r->end - r->at) < size)
                world_fail("a packet to the broker ends too early");
        r->at += size;
        return slice;
}

static void get_text(Reader *r, char *buffer, size_t size) {
        Slice text = get_rest(r, get(r, 2));

        if (buffer)
                (void) snprintf(buffer, size, "%.*s", (int) text.size, text.data);
}

/* Properties: of all only CONNECT's Receive Maximum means something here; those of fixed size that the daemon sends. */
static void get_properties(Reader *r, unsigned version, BrokerPacket *ret) {
        const uint8_t *end;

        if (version != 5)
                return;
        end = r->at + 1;
        end += get(r, 1);
        while (r->at < end)
                switch (get(r, 1)) {
                case 0x21:
                        ret->receive_max = get(r, 2);
                        break;
                case 0x11:
                case 0x27:
                        (void) get(r, 4);
                        break;
                default:
                        world_fail("a property that the broker does not know");
                }
}

static void get_connect(Reader *r, BrokerPacket *ret) {
        unsigned flags;

        get_text(r, NULL, 0);
        ret->version = get(r, 1);
        flags = get(r, 1);
        ret->clean = flags & 2;
        ret->keep_alive = get(r, 2);
        get_properties(r, ret->version, ret);
        get_text(r, ret->client_id, sizeof(ret->client_id));
        if (flags & 0x80)
                get_text(r, NULL, 0);
        if (flags & 0x40)
                get_text(r, ret->password, sizeof(ret->password));
}

static void get_body(Reader *r, unsigned version, BrokerPacket *ret) {
        switch (ret->type) {
        case 1:
                return get_connect(r, ret);
        case 3:
                get_text(r, ret->topic, sizeof(ret->topic));
                if (ret->flags & 6)
                        ret->id = get(r, 2);
                get_properties(r, version, ret);
                ret->payload = get_rest(r, (size_t) (r->end - r->at));
                return;
        case 4:
                ret->id = get(r, 2);
                return;
        case 8:
        case 10:
                ret->id = get(r, 2);
                get_properties(r, version, ret);
                get_text(r, ret->topic, sizeof(ret->topic));
                if (ret->type == 8)
                        ret->handling = get(r, 1) >> 4;
                if (r->at < r->end)
                        world_fail("more than one filter in a packet");
        }
}

size_t broker_wire_read(unsigned version, Slice data, BrokerPacket *ret) {
        size_t length = 0, at = 1;
        Reader reader;

        do {
                if (at >= data.size)
                        return 0;
                length |= (size_t) (data.data[at] & 127) << 7 * (at - 1);
        } while (data.data[at++] & 128);
        if (data.size < at + length)
                return 0;
        *ret = (BrokerPacket){ .type = (uint8_t) data.data[0] >> 4, .flags = data.data[0] & 15 };
        reader = (Reader){ (const uint8_t *) data.data + at, (const uint8_t *) data.data + at + length };
        get_body(&reader, version, ret);
        return at + length;
}

/* ---- writing ---- */

static void put(Bytes *out, unsigned value, unsigned size) {
        for (; size > 0; size--)
                if (bytes_append(out, &(char){ (char) (value >> 8 * (size - 1)) }, 1) < 0)
                        abort();
}

static void put_text(Bytes *out, const char *text) {
        put(out, (unsigned) strlen(text), 2);
        if (bytes_append_text(out, text) < 0)
                abort();
}

static void put_packet(Bytes *out, unsigned first, Bytes *body) {
        size_t size = body->size;

        put(out, first, 1);
        do {
                put(out, (unsigned) (size % 128 | (size >= 128 ? 128 : 0)), 1);
                size /= 128;
        } while (size > 0);
        if (body->size > 0 && bytes_append(out, body->data, body->size) < 0)
                abort();
        bytes_done(body);
}

void broker_wire_connack(
        Bytes *out, unsigned version, bool present, unsigned reason, unsigned keep_alive, const char *words) {
        Bytes body = {}, properties = {};

        put(&body, present, 1);
        put(&body, reason, 1);
        if (keep_alive > 0) {
                put(&properties, 0x13, 1);
                put(&properties, keep_alive, 2);
        }
        if (words) {
                put(&properties, 0x1f, 1);
                put_text(&properties, words);
        }
        if (version == 5) {
                put(&body, (unsigned) properties.size, 1);
                if (properties.size > 0 && bytes_append(&body, properties.data, properties.size) < 0)
                        abort();
        }
        bytes_done(&properties);
        put_packet(out, 2 << 4, &body);
}

void broker_wire_answer(Bytes *out, unsigned version, bool suback, unsigned id, unsigned code) {
        Bytes body = {};

        put(&body, id, 2);
        if (version == 5)
                put(&body, 0, 1);
        if (suback || version == 5)
                put(&body, code, 1);
        put_packet(out, suback ? 9 << 4 : 11 << 4, &body);
}

void broker_wire_publish(Bytes *out, unsigned version, unsigned flags, const char *topic, unsigned id, Slice payload) {
        Bytes body = {};

        put_text(&body, topic);
        if (flags & 6)
                put(&body, id, 2);
        if (version == 5)
                put(&body, 0, 1);
        if (bytes_append(&body, payload.data, payload.size) < 0)
                abort();
        put_packet(out, 3 << 4 | flags, &body);
}

void broker_wire_pingresp(Bytes *out) {
        put(out, 13 << 4, 1);
        put(out, 0, 1);
}

void broker_wire_disconnect(Bytes *out, unsigned reason) {
        Bytes body = {};

        put(&body, reason, 1);
        put_packet(out, 14 << 4, &body);
}
