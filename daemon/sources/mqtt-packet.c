/* SPDX-License-Identifier: Apache-2.0 */
#include "sources/mqtt-packet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define TEXT_MAX 65535                      /* its length has two bytes */
#define PUBLISH_HEAD_MAX (2 + TEXT_MAX + 2) /* size of topic and packet identifier */

typedef enum PacketType {
        TYPE_CONNECT = 1,
        TYPE_SUBSCRIBE = 8,
        TYPE_UNSUBSCRIBE = 10,
        TYPE_PINGREQ = 12,
        TYPE_DISCONNECT = 14,
        TYPE_AUTH = 15,
} PacketType;

/* The properties of MQTT 5 (table 2-4) that we use. */
typedef enum Property {
        PROPERTY_SESSION_EXPIRY = 0x11,
        PROPERTY_SERVER_KEEP_ALIVE = 0x13,
        PROPERTY_REASON_STRING = 0x1f,
        PROPERTY_RECEIVE_MAXIMUM = 0x21,
        PROPERTY_TOPIC_ALIAS = 0x23,
} Property;

/* ---- writing ---- */

static void put_number(Bytes *out, uint32_t value, size_t size) {
        char bytes[4];

        for (size_t i = 0; i < size; i++)
                bytes[i] = (char) (value >> 8 * (size - 1 - i));
        bytes_append(out, bytes, size);
}

static void put_text(Bytes *out, Slice text) {
        if (text.size > TEXT_MAX)
                bytes_fail(out, -EMSGSIZE);
        put_number(out, (uint32_t) text.size, 2);
        bytes_append(out, text.data, text.size);
}

static void put_property(Bytes *out, Property property, uint32_t value, size_t size) {
        put_number(out, property, 1);
        put_number(out, value, size);
}

/* Writes a length of one to four bytes, seven bits in each, the lowest first (1.5.5). */
static void put_length(Bytes *out, size_t size) {
        if (size >= 1u << 28)
                bytes_fail(out, -EMSGSIZE);
        do {
                put_number(out, (uint32_t) (size % 128 | (size >= 128 ? 128 : 0)), 1);
                size /= 128;
        } while (size > 0);
}

/* Writes a packet with *body*. */
static int put_packet(Bytes *out, PacketType type, unsigned flags, const Bytes *body) {
        bytes_fail(out, bytes_result(body));
        put_number(out, (unsigned) type << 4 | flags, 1);
        put_length(out, body->size);
        return bytes_append(out, body->data, body->size);
}

/* No Maximum Packet Size: Mochi 2.7.9 keeps a message that is larger, and closes each connection on which it is to be
 * sent again. We read past such a message ourselves. */
static void put_connect_properties(Bytes *body, const MqttConnect *connect) {
        if (connect->version != MQTT_5)
                return;
        put_length(body, 5 + 3);
        put_property(body, PROPERTY_SESSION_EXPIRY, connect->session_expiry, 4);
        put_property(body, PROPERTY_RECEIVE_MAXIMUM, connect->receive_max, 2);
}

static void put_connect_texts(Bytes *body, const MqttConnect *connect) {
        const char *texts[] = { connect->client_id, connect->username, connect->password };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (texts[i])
                        put_text(body, slice_of(texts[i]));
}

int mqtt_put_connect(Bytes *out, const MqttConnect *connect) {
        unsigned flags = (connect->username ? 0x80u : 0) | (connect->password ? 0x40u : 0) | (connect->clean ? 2u : 0);
        _cleanup_bytes_ Bytes body = {};

        put_text(&body, slice_of("MQTT"));
        put_number(&body, (unsigned) connect->version << 8 | flags, 2);
        put_number(&body, connect->keep_alive_sec, 2);
        put_connect_properties(&body, connect);
        put_connect_texts(&body, connect);
        return put_packet(out, TYPE_CONNECT, 0, &body);
}

static void put_filter(Bytes *body, MqttVersion version, uint16_t packet_id, Slice filter) {
        put_number(body, packet_id, 2);
        if (version == MQTT_5)
                put_length(body, 0); /* no properties */
        put_text(body, filter);
}

int mqtt_put_subscribe(Bytes *out, MqttVersion version, uint16_t packet_id, Slice filter, bool retained) {
        /* QoS 1. Retain Handling 2: send no retained messages; 1: only for a new subscription (3.8.3.1) */
        unsigned handling = retained ? 1 : 2, options = 1u | (version == MQTT_5 ? handling << 4 : 0);
        _cleanup_bytes_ Bytes body = {};

        put_filter(&body, version, packet_id, filter);
        put_number(&body, options, 1);
        return put_packet(out, TYPE_SUBSCRIBE, 2, &body);
}

int mqtt_put_unsubscribe(Bytes *out, MqttVersion version, uint16_t packet_id, Slice filter) {
        _cleanup_bytes_ Bytes body = {};

        put_filter(&body, version, packet_id, filter);
        return put_packet(out, TYPE_UNSUBSCRIBE, 2, &body);
}

int mqtt_put_answer(Bytes *out, MqttAnswer answer, uint16_t packet_id) {
        const char packet[] = { (char) (answer << 4), 2, (char) (packet_id >> 8),
                (char) packet_id }; /* reason 0 may be left out */

        return bytes_append(out, packet, sizeof(packet));
}

int mqtt_put_pingreq(Bytes *out) {
        return put_packet(out, TYPE_PINGREQ, 0, &(const Bytes){});
}

int mqtt_put_disconnect(Bytes *out) {
        return put_packet(out, TYPE_DISCONNECT, 0, &(const Bytes){});
}

/* ---- reading ---- */

/* The part of a packet's body that is not read yet. */
typedef struct Reader {
        const uint8_t *at, *end;
        bool bad;     /* a read went beyond the end */
        bool foreign; /* a text is not UTF-8, or contains a NUL (MQTT-1.5.4-1, -2) */
} Reader;

static size_t reader_left(const Reader *r) {
        return (size_t) (r->end - r->at);
}

static uint32_t get_number(Reader *r, size_t size) {
        uint32_t value = 0;

        if (reader_left(r) < size) {
                r->bad = true;
                return 0;
        }
        while (size-- > 0)
                value = value << 8 | *r->at++;
        return value;
}

static Slice get_bytes(Reader *r, size_t size) {
        Slice slice = { (const char *) r->at, size };

        if (reader_left(r) < size) {
                r->bad = true;
                return (Slice){};
        }
        r->at += size;
        return slice;
}

static Slice get_text(Reader *r) {
        Slice text = get_bytes(r, get_number(r, 2));

        if (text.size > 0 && (!bytes_is_utf8(text.data, text.size) || memchr(text.data, '\0', text.size)))
                r->foreign = true;
        return text;
}

/* Reads a length of one to four bytes; one that is longer than necessary is malformed (MQTT-1.5.5-1). */
static size_t get_length(Reader *r) {
        size_t value = 0;

        for (unsigned i = 0; i < 4; i++) {
                uint32_t byte = get_number(r, 1);

                value |= (size_t) (byte & 127) << 7 * i;
                if (byte < 128) {
                        r->bad = r->bad || (i > 0 && byte == 0);
                        return value;
                }
        }
        r->bad = true;
        return 0;
}

/* How a property's value is written (table 2-4). */
typedef enum Shape { SHAPE_NONE, SHAPE_1, SHAPE_2, SHAPE_4, SHAPE_LENGTH, SHAPE_TEXT, SHAPE_PAIR } Shape;

static const uint8_t property_shapes[] = {
        [0x01] = SHAPE_1,      /* payload format indicator */
        [0x02] = SHAPE_4,      /* message expiry interval */
        [0x03] = SHAPE_TEXT,   /* content type */
        [0x08] = SHAPE_TEXT,   /* response topic */
        [0x09] = SHAPE_TEXT,   /* correlation data: binary, but with the same layout */
        [0x0b] = SHAPE_LENGTH, /* subscription identifier */
        [0x11] = SHAPE_4,      /* session expiry interval */
        [0x12] = SHAPE_TEXT,   /* assigned client identifier */
        [0x13] = SHAPE_2,      /* server keep alive */
        [0x15] = SHAPE_TEXT,   /* authentication method */
        [0x16] = SHAPE_TEXT,   /* authentication data: binary */
        [0x1a] = SHAPE_TEXT,   /* response information */
        [0x1c] = SHAPE_TEXT,   /* server reference */
        [0x1f] = SHAPE_TEXT,   /* reason string */
        [0x21] = SHAPE_2,      /* receive maximum */
        [0x22] = SHAPE_2,      /* topic alias maximum */
        [0x23] = SHAPE_2,      /* topic alias */
        [0x24] = SHAPE_1,      /* maximum QoS */
        [0x25] = SHAPE_1,      /* retain available */
        [0x26] = SHAPE_PAIR,   /* user property */
        [0x27] = SHAPE_4,      /* maximum packet size */
        [0x28] = SHAPE_1,      /* wildcard subscription available */
        [0x29] = SHAPE_1,      /* subscription identifiers available */
        [0x2a] = SHAPE_1,      /* shared subscription available */
};

static bool property_is_binary(uint32_t property) {
        return property == 0x09 || property == 0x16;
}

static uint32_t get_property_number(Reader *r, Shape shape) {
        switch (shape) {
        case SHAPE_1:
                return get_number(r, 1);
        case SHAPE_2:
                return get_number(r, 2);
        case SHAPE_4:
                return get_number(r, 4);
        default:
                return (uint32_t) get_length(r);
        }
}

static void get_property(Reader *r, MqttPacket *packet) {
        uint32_t property = get_number(r, 1), value;
        Shape shape = property < sizeof(property_shapes) ? property_shapes[property] : SHAPE_NONE;
        Slice text;

        switch (shape) {
        case SHAPE_NONE:
                r->bad = true;
                return;
        case SHAPE_TEXT:
                text = property_is_binary(property) ? get_bytes(r, get_number(r, 2)) : get_text(r);
                if (property == PROPERTY_REASON_STRING)
                        packet->words = text;
                return;
        case SHAPE_PAIR:
                (void) get_text(r);
                (void) get_text(r);
                return;
        default:
                value = get_property_number(r, shape);
        }
        if (property == PROPERTY_SERVER_KEEP_ALIVE)
                packet->keep_alive_sec = (uint16_t) value;
        else if (property == PROPERTY_SESSION_EXPIRY)
                packet->session_expiry = value;
        else if (property == PROPERTY_TOPIC_ALIAS)
                r->bad = true; /* we allow no aliases: the topic would be empty (MQTT-3.1.2-27) */
}

static void get_properties(MqttVersion version, Reader *r, MqttPacket *packet) {
        Reader properties;

        if (version != MQTT_5)
                return;
        properties.at = (const uint8_t *) get_bytes(r, get_length(r)).data;
        if (r->bad)
                return;
        properties = (Reader){ .at = properties.at, .end = r->at };
        while (!properties.bad && reader_left(&properties) > 0)
                get_property(&properties, packet);
        r->bad = properties.bad;
        r->foreign = r->foreign || properties.foreign;
}

static const char *read_connack(MqttVersion version, Reader *r, MqttPacket *packet) {
        uint32_t flags = get_number(r, 1);

        packet->session_present = flags & 1;
        packet->session_expiry = MQTT_SESSION_FOR_EVER;
        packet->reason = (uint8_t) get_number(r, 1);
        /* a broker that knows only 3.1.1 answers in its own form, without properties */
        if (version == MQTT_5 && reader_left(r) > 0)
                get_properties(version, r, packet);
        return flags > 1 ? "a CONNACK with reserved flags" : NULL;
}

/* Reads everything before the properties. */
static const char *read_publish_head(unsigned flags, Reader *r, MqttPacket *packet) {
        packet->dup = flags & 8;
        packet->qos = flags >> 1 & 3;
        packet->retain = flags & 1;
        if (packet->qos > 2)
                return "a PUBLISH with QoS 3"; /* MQTT-3.3.1-4 */
        packet->topic = get_text(r);
        packet->foreign = r->foreign;
        if (packet->topic.size == 0)
                return "a PUBLISH without a topic";
        if (memchr(packet->topic.data, '+', packet->topic.size) || memchr(packet->topic.data, '#', packet->topic.size))
                return "a PUBLISH with a wildcard in its topic"; /* MQTT-3.3.2-2 */
        if (packet->qos > 0) {
                packet->packet_id = (uint16_t) get_number(r, 2);
                if (packet->packet_id == 0 && !r->bad)
                        return "a PUBLISH with packet identifier 0"; /* MQTT-2.2.1-3 */
        }
        return NULL;
}

static const char *read_publish(MqttVersion version, unsigned flags, Reader *r, MqttPacket *packet) {
        const char *problem = read_publish_head(flags, r, packet);

        if (problem)
                return problem;
        get_properties(version, r, packet);
        if (!r->bad)
                packet->payload = get_bytes(r, reader_left(r));
        return NULL;
}

static const char *read_pubrel(MqttVersion version, Reader *r, MqttPacket *packet) {
        packet->packet_id = (uint16_t) get_number(r, 2);
        if (reader_left(r) > 0)
                packet->reason = (uint8_t) get_number(r, 1);
        if (reader_left(r) > 0)
                get_properties(version, r, packet);
        return NULL;
}

static const char *read_suback(MqttVersion version, Reader *r, MqttPacket *packet) {
        packet->packet_id = (uint16_t) get_number(r, 2);
        if (packet->type == MQTT_UNSUBACK && version != MQTT_5)
                return NULL;
        get_properties(version, r, packet);
        if (r->bad)
                return NULL;
        packet->codes = get_bytes(r, reader_left(r));
        return packet->codes.size == 0 ? "an answer to a subscription without a code" : NULL;
}

static const char *read_disconnect(MqttVersion version, Reader *r, MqttPacket *packet) {
        if (version != MQTT_5)
                return "a DISCONNECT, which a broker of MQTT 3.1.1 does not send";
        if (reader_left(r) > 0)
                packet->reason = (uint8_t) get_number(r, 1);
        if (reader_left(r) > 0)
                get_properties(version, r, packet);
        return NULL;
}

/* Checks the first byte before the length: a wrong length could make us wait for bytes that never come. */
static const char *check_header(unsigned header) {
        switch (header >> 4) {
        case MQTT_PUBLISH:
                return NULL;
        case MQTT_CONNACK:
        case MQTT_PUBREL:
        case MQTT_SUBACK:
        case MQTT_UNSUBACK:
        case MQTT_PINGRESP:
        case MQTT_DISCONNECT:
                return (header & 15) == (header >> 4 == MQTT_PUBREL ? 2 : 0)
                               ? NULL
                               : "a packet with reserved flags"; /* MQTT-2.1.3-1 */
        case TYPE_AUTH:
                return "a request for an extended login, which was not offered";
        default:
                return "a packet that a broker does not send to a receiver";
        }
}

static const char *read_body(MqttVersion version, unsigned header, Reader *r, MqttPacket *packet) {
        packet->type = (MqttType) (header >> 4);
        switch (packet->type) {
        case MQTT_CONNACK:
                return read_connack(version, r, packet);
        case MQTT_PUBLISH:
                return read_publish(version, header & 15, r, packet);
        case MQTT_PUBREL:
                return read_pubrel(version, r, packet);
        case MQTT_SUBACK:
        case MQTT_UNSUBACK:
                return read_suback(version, r, packet);
        case MQTT_PINGRESP:
                return NULL;
        case MQTT_DISCONNECT:
                return read_disconnect(version, r, packet);
        }
        return NULL; /* check_header() allows no other type */
}

/* Returns the size of the packet at the start of *data*, with its header; 0: more bytes are needed. -EBADMSG. */
static int packet_size(Slice data, size_t *ret_header, size_t *ret_size) {
        size_t value = 0;

        for (size_t i = 1; i < data.size && i <= 4; i++) {
                uint8_t byte = (uint8_t) data.data[i];

                value |= (size_t) (byte & 127) << 7 * (i - 1);
                if (byte < 128) {
                        *ret_header = i + 1;
                        *ret_size = i + 1 + value;
                        return i > 1 && byte == 0 ? -EBADMSG : 0;
                }
        }
        *ret_header = *ret_size = 0;
        return data.size > 4 ? -EBADMSG : 0;
}

/* Reads the head of a PUBLISH of *size* bytes, which is too large; *data* has the bytes that have come. */
static int read_too_large(Slice data, size_t header, size_t size, MqttPacket *ret, const char **problem) {
        size_t come = data.size < size ? data.size : size;
        Reader reader = { .at = (const uint8_t *) data.data + header, .end = (const uint8_t *) data.data + come };
        MqttPacket packet = { .type = MQTT_PUBLISH, .too_large = true };

        *problem = read_publish_head((uint8_t) data.data[0] & 15, &reader, &packet);
        if (reader.bad && come < size && come < header + PUBLISH_HEAD_MAX)
                return MQTT_MORE;
        if (*problem || reader.bad)
                return -EBADMSG;
        *ret = packet;
        return MQTT_PACKET;
}

int mqtt_read(MqttVersion version, Slice data, size_t max, MqttPacket *ret, size_t *ret_size, const char **problem) {
        MqttPacket packet = {};
        size_t header, size;
        Reader reader;

        *problem = data.size > 0 ? check_header((uint8_t) data.data[0]) : NULL;
        if (*problem)
                return -EBADMSG;
        *problem = "a length that cannot be";
        if (packet_size(data, &header, &size) < 0)
                return -EBADMSG;
        *problem = "a packet that is larger than allowed";
        if (size > max && (uint8_t) data.data[0] >> 4 != MQTT_PUBLISH)
                return -EMSGSIZE;
        if (size > max) {
                int r = read_too_large(data, header, size, ret, problem);

                *ret_size = r == MQTT_MORE ? data.size + 1 : size;
                return r;
        }
        *problem = NULL;
        if (size == 0 || size > data.size) {
                *ret_size = size > 0 ? size : data.size + 1;
                return MQTT_MORE;
        }
        reader = (Reader){ .at = (const uint8_t *) data.data + header, .end = (const uint8_t *) data.data + size };
        *problem = read_body(version, (uint8_t) data.data[0], &reader, &packet);
        if (!*problem && reader.bad)
                *problem = "a packet that breaks off in the middle of a field";
        if (!*problem && reader.foreign && packet.type != MQTT_PUBLISH)
                *problem = "a text that is not UTF-8";
        if (!*problem && reader_left(&reader) > 0)
                *problem = "a packet with bytes behind its end";
        if (*problem)
                return -EBADMSG;
        *ret = packet;
        *ret_size = size;
        return MQTT_PACKET;
}

/* ---- words ---- */

typedef struct Reason {
        uint8_t code;
        const char *words;
} Reason;

/* Section 2.4 of MQTT 5. */
static const Reason reasons_5[] = {
        { 0x80, "unspecified error" },
        { 0x81, "it calls our packet malformed" },
        { 0x82, "it calls our packet a protocol error" },
        { 0x83, "refused by a rule of the broker" },
        { 0x84, "it does not know MQTT 5" },
        { 0x85, "it does not accept the client identifier" },
        { 0x86, "wrong user name or password" },
        { 0x87, "not authorized" },
        { 0x88, "the broker is not available" },
        { 0x89, "the broker is busy" },
        { 0x8a, "banned by the broker" },
        { 0x8b, "the broker is shutting down" },
        { 0x8c, "it requires another authentication method" },
        { 0x8d, "nothing was heard of us within the keep-alive time" },
        { 0x8e, "another client took over the session" },
        { 0x8f, "it does not accept a topic filter" },
        { 0x90, "it does not accept a topic name" },
        { 0x91, "it calls our packet identifier used" },
        { 0x93, "more messages than Receive Maximum" },
        { 0x95, "a packet that is too large" },
        { 0x96, "messages come too fast" },
        { 0x97, "a quota is exceeded" },
        { 0x98, "an administrator ended the connection" },
        { 0x9c, "use another server" },
        { 0x9d, "the server has moved" },
        { 0x9e, "shared subscriptions are not supported" },
        { 0x9f, "connections come too fast" },
        { 0xa0, "the maximum time of a connection is over" },
        { 0xa2, "wildcard subscriptions are not supported" },
};

/* Table 3.1 of MQTT 3.1.1. */
static const Reason reasons_connack_3[] = {
        { 1, "it does not know MQTT 3.1.1" },
        { 2, "it does not accept the client identifier" },
        { 3, "the broker is not available" },
        { 4, "wrong user name or password" },
        { 5, "not authorized" },
};

static const char *find_reason(const Reason *reasons, size_t n, uint8_t code) {
        for (size_t i = 0; i < n; i++)
                if (reasons[i].code == code)
                        return reasons[i].words;
        return NULL;
}

const char *mqtt_reason(MqttVersion version, MqttType type, uint8_t reason) {
        const char *words = NULL;

        if (type == MQTT_CONNACK && reason < 0x80) /* a 3.1.1 broker answers like this to MQTT 5 too */
                words = find_reason(reasons_connack_3, ELEMENTSOF(reasons_connack_3), reason);
        else if (version == MQTT_5)
                words = find_reason(reasons_5, ELEMENTSOF(reasons_5), reason);
        else if (type == MQTT_SUBACK && reason == 0x80)
                words = "refused by the broker";
        return words ? words : "a reason that MQTT does not name";
}

bool mqtt_refuses_version(MqttVersion version, const MqttPacket *connack) {
        return version == MQTT_5 && (connack->reason == 0x84 || connack->reason == 1);
}

/* ---- numbers ---- */

#define PACKET_IDS UINT16_MAX /* 1 to 65 535 */

/* Returns the first number above *low* whose message has that identifier. */
static uint64_t number_above(uint64_t low, uint16_t packet_id) {
        uint64_t begun = low % PACKET_IDS; /* identifier of low + 1, minus 1 */

        return low + 1 + (PACKET_IDS + (uint64_t) packet_id - 1 - begun) % PACKET_IDS;
}

void mqtt_numbers_renew(MqttNumbers *n) {
        n->from = 0;
        n->counts = false;
}

void mqtt_numbers_hear(MqttNumbers *n, uint64_t number) {
        if (number > n->heard)
                n->heard = number;
}

/* True if the number cannot be used again. A repeat (DUP) can only be a message whose acknowledgement the broker has
 * not heard. */
static bool number_is_used_up(const MqttNumbers *n, uint64_t number, bool dup) {
        return number <= (dup ? n->heard : n->last);
}

/* Continues with a number above all earlier ones, also above those that were used since the last save. */
static uint64_t number_begin(MqttNumbers *n, uint16_t packet_id) {
        n->counts = false;
        n->from = number_above(n->last + MQTT_NUMBER_BACK, packet_id);
        return n->from;
}

/* True if this message proves that the broker counts: it was sent when the broker knew free identifiers, and does not
 * use one of them. A message that is sent again got its identifier earlier, so it proves nothing. */
static bool number_proves(const MqttNumbers *n, uint64_t number, bool dup) {
        return !dup && n->heard >= n->from && number > n->last && number - n->last <= MQTT_NUMBER_BACK;
}

uint64_t mqtt_numbers_take(MqttNumbers *n, uint16_t packet_id, bool dup) {
        uint64_t number = n->from > 0 ? number_above(n->last - MQTT_NUMBER_BACK, packet_id) : 0;

        if (n->from == 0 || number_is_used_up(n, number, dup))
                number = number_begin(n, packet_id);
        else if (number_proves(n, number, dup))
                n->counts = true;
        if (number > n->last)
                n->last = number;
        return number;
}

void mqtt_numbers_print(const MqttNumbers *n, char text[static MQTT_NUMBERS_TEXT]) {
        (void) snprintf(text, MQTT_NUMBERS_TEXT, "%" PRIu64 " %" PRIu64 " %d", n->last, n->heard, n->counts);
}

/* If messages had no number of their own (counts is false), the numbers need not be known. */
void mqtt_numbers_read(MqttNumbers *n, const char *text) {
        uint64_t last, heard;
        int counts;

        *n = (MqttNumbers){};
        if (sscanf(text, "%" SCNu64 " %" SCNu64 " %d", &last, &heard, &counts) != 3)
                return;
        n->last = last;
        n->heard = heard;
        n->counts = counts == 1 && last > MQTT_NUMBER_BACK;
        n->from = n->counts ? 1 : 0;
}
