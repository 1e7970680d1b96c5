/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "sources/mqtt-packet.h"

#define SLICE(literal) ((Slice){ literal, sizeof(literal) - 1 })

static void assert_bytes(const Bytes *b, Slice expected) {
        assert_int_equal(b->size, expected.size);
        assert_memory_equal(b->data, expected.data, expected.size);
}

static void test_connect(void **state) {
        _cleanup_bytes_ Bytes out = {}, old = {};
        MqttConnect connect = { .version = MQTT_5,
                .client_id = "c",
                .username = "u",
                .password = "pw",
                .keep_alive_sec = 60,
                .receive_max = 100,
                .session_expiry = MQTT_SESSION_FOR_EVER };

        assert_int_equal(mqtt_put_connect(&out, &connect), 0);
        assert_bytes(&out, SLICE("\x10\x1d\x00\x04MQTT\x05\xc0\x00\x3c\x08\x11\xff\xff\xff\xff\x21\x00\x64\x00"
                                 "\x01"
                                 "c\x00\x01u\x00\x02pw"));
        connect = (MqttConnect){ .version = MQTT_3_1_1, .client_id = "abc", .clean = true, .keep_alive_sec = 300 };
        assert_int_equal(mqtt_put_connect(&old, &connect), 0);
        assert_bytes(&old, SLICE("\x10\x0f\x00\x04MQTT\x04\x02\x01\x2c\x00\x03"
                                 "abc"));
}

static void test_subscribe(void **state) {
        const Slice filter = slice_of("a/+"), other = slice_of("b");
        _cleanup_bytes_ Bytes five = {}, retained = {}, old = {}, un = {}, un_old = {};

        assert_int_equal(mqtt_put_subscribe(&five, MQTT_5, 0x0102, filter, false), 0);
        assert_bytes(&five, SLICE("\x82\x09\x01\x02\x00\x00\x03"
                                  "a/+\x21"));
        assert_int_equal(mqtt_put_unsubscribe(&un, MQTT_5, 0x0102, filter), 0);
        assert_bytes(&un, SLICE("\xa2\x08\x01\x02\x00\x00\x03"
                                "a/+"));
        assert_int_equal(mqtt_put_subscribe(&retained, MQTT_5, 1, filter, true), 0);
        assert_int_equal(retained.data[10], 0x11);
        assert_int_equal(mqtt_put_subscribe(&old, MQTT_3_1_1, 1, other, false), 0);
        assert_bytes(&old, SLICE("\x82\x06\x00\x01\x00\x01"
                                 "b\x01"));
        assert_int_equal(mqtt_put_unsubscribe(&un_old, MQTT_3_1_1, 1, other), 0);
        assert_bytes(&un_old, SLICE("\xa2\x05\x00\x01\x00\x01"
                                    "b"));
}

static void test_short_ones(void **state) {
        _cleanup_bytes_ Bytes out = {};

        assert_int_equal(mqtt_put_answer(&out, MQTT_PUBACK, 0x1234), 0);
        assert_int_equal(mqtt_put_answer(&out, MQTT_PUBREC, 1), 0);
        assert_int_equal(mqtt_put_answer(&out, MQTT_PUBCOMP, 2), 0);
        assert_int_equal(mqtt_put_pingreq(&out), 0);
        assert_int_equal(mqtt_put_disconnect(&out), 0);
        assert_bytes(&out, SLICE("\x40\x02\x12\x34\x50\x02\x00\x01\x70\x02\x00\x02\xc0\x00\xe0\x00"));
}

static void test_text_too_long(void **state) {
        _cleanup_free_ char *text = malloc(65537);
        _cleanup_bytes_ Bytes out = {};

        assert_non_null(text);
        memset(text, 'x', 65536);
        text[65536] = '\0';
        assert_int_equal(mqtt_put_connect(&out, &(MqttConnect){ .version = MQTT_5, .client_id = text }), -EMSGSIZE);
        assert_int_equal(out.size, 0);
        bytes_cut(&out, 0);
        text[65535] = '\0';
        assert_int_equal(mqtt_put_connect(&out, &(MqttConnect){ .version = MQTT_5, .client_id = text }), 0);
}

/* Reads the whole, and finds that every shorter piece of it needs more. */
static MqttPacket must_read(MqttVersion version, Slice data) {
        const char *problem = "";
        MqttPacket packet;
        size_t size = 0;

        for (size_t n = 0; n < data.size; n++) {
                assert_int_equal(
                        mqtt_read(version, (Slice){ data.data, n }, 65536, &packet, &size, &problem), MQTT_MORE);
                assert_true(size > n && size <= data.size);
        }
        assert_int_equal(mqtt_read(version, data, 65536, &packet, &size, &problem), MQTT_PACKET);
        assert_int_equal(size, data.size);
        return packet;
}

static void test_connack(void **state) {
        MqttPacket packet = must_read(MQTT_5, SLICE("\x20\x03\x01\x00\x00"));

        assert_int_equal(packet.type, MQTT_CONNACK);
        assert_true(packet.session_present);
        assert_int_equal(packet.reason, 0);
        assert_int_equal(packet.session_expiry, MQTT_SESSION_FOR_EVER);

        packet = must_read(MQTT_5, SLICE("\x20\x10\x00\x87\x0d\x13\x00\x0a\x11\x00\x00\x0e\x10\x1f\x00\x02no"));
        assert_int_equal(packet.reason, 0x87);
        assert_int_equal(packet.keep_alive_sec, 10);
        assert_int_equal(packet.session_expiry, 3600);
        assert_true(slice_equal(packet.words, "no"));
        assert_string_equal(mqtt_reason(MQTT_5, MQTT_CONNACK, packet.reason), "not authorized");
        assert_false(mqtt_refuses_version(MQTT_5, &packet));

        packet = must_read(MQTT_3_1_1, SLICE("\x20\x02\x00\x05"));
        assert_string_equal(mqtt_reason(MQTT_3_1_1, MQTT_CONNACK, packet.reason), "not authorized");
}

/* A broker of 3.1.1 answers MQTT 5 in its own form; one that knows MQTT 5 but does not speak it says 0x84. */
static void test_version_refused(void **state) {
        MqttPacket packet = must_read(MQTT_5, SLICE("\x20\x02\x00\x01"));

        assert_true(mqtt_refuses_version(MQTT_5, &packet));
        packet = must_read(MQTT_5, SLICE("\x20\x03\x00\x84\x00"));
        assert_true(mqtt_refuses_version(MQTT_5, &packet));
        assert_false(mqtt_refuses_version(MQTT_3_1_1, &packet));
}

static void test_publish(void **state) {
        MqttPacket packet = must_read(MQTT_5, SLICE("\x3b\x0b\x00\x03"
                                                    "a/b\x12\x34\x00"
                                                    "21."));

        assert_int_equal(packet.type, MQTT_PUBLISH);
        assert_true(packet.dup && packet.retain);
        assert_int_equal(packet.qos, 1);
        assert_int_equal(packet.packet_id, 0x1234);
        assert_true(slice_equal(packet.topic, "a/b") && slice_equal(packet.payload, "21."));

        packet = must_read(MQTT_3_1_1, SLICE("\x30\x03\x00\x01"
                                             "a")); /* empty payload, QoS 0 */
        assert_int_equal(packet.qos, 0);
        assert_false(packet.dup || packet.retain);
        assert_int_equal(packet.payload.size, 0);

        /* properties are passed over: format, expiry, user property, subscription identifier, binary correlation data
         */
        packet = must_read(MQTT_5,
                SLICE("\x32\x23\x00\x01"
                      "a\x00\x07\x16\x01\x01\x02\x00\x00\x00\x05\x26\x00\x01k\x00\x01v\x0b\x80\x01\x09\x00\x02\xff\x00"
                      "payload"));
        assert_int_equal(packet.packet_id, 7);
        assert_true(slice_equal(packet.payload, "payload"));
}

/* aedes sends QoS 2 although we subscribe with QoS 1. */
static void test_qos_2(void **state) {
        MqttPacket packet = must_read(MQTT_3_1_1, SLICE("\x34\x06\x00\x01"
                                                        "a\x00\x07"
                                                        "5"));

        assert_int_equal(packet.qos, 2);
        assert_int_equal(packet.packet_id, 7);
        assert_true(slice_equal(packet.payload, "5"));
        packet = must_read(MQTT_3_1_1, SLICE("\x62\x02\x00\x07"));
        assert_int_equal(packet.type, MQTT_PUBREL);
        assert_int_equal(packet.packet_id, 7);
        packet = must_read(MQTT_5, SLICE("\x62\x0b\x12\x34\x00\x07\x26\x00\x01k\x00\x01v"));
        assert_int_equal(packet.packet_id, 0x1234);
}

static void test_suback(void **state) {
        MqttPacket packet = must_read(MQTT_5, SLICE("\x90\x05\x00\x07\x00\x01\x87"));

        assert_int_equal(packet.type, MQTT_SUBACK);
        assert_int_equal(packet.packet_id, 7);
        assert_true(slice_equal(packet.codes, "\x01\x87"));
        packet = must_read(MQTT_3_1_1, SLICE("\x90\x03\x00\x07\x80"));
        assert_string_equal(
                mqtt_reason(MQTT_3_1_1, MQTT_SUBACK, (uint8_t) packet.codes.data[0]), "refused by the broker");
        packet = must_read(MQTT_3_1_1, SLICE("\xb0\x02\x00\x07"));
        assert_int_equal(packet.type, MQTT_UNSUBACK);
        packet = must_read(MQTT_5, SLICE("\xb0\x04\x00\x07\x00\x11"));
        assert_true(slice_equal(packet.codes, "\x11"));
}

static void test_pingresp_and_disconnect(void **state) {
        MqttPacket packet = must_read(MQTT_5, SLICE("\xd0\x00"));

        assert_int_equal(packet.type, MQTT_PINGRESP);
        packet = must_read(MQTT_5, SLICE("\xe0\x00"));
        assert_int_equal(packet.type, MQTT_DISCONNECT);
        assert_int_equal(packet.reason, 0);
        packet = must_read(MQTT_5, SLICE("\xe0\x01\x8e"));
        assert_int_equal(packet.reason, 0x8e);
        assert_non_null(strstr(mqtt_reason(MQTT_5, MQTT_DISCONNECT, packet.reason), "took over"));
}

static void test_malformed(void **state) {
        static const struct {
                MqttVersion version;
                Slice data;
                int expected;
        } cases[] = {
                { MQTT_5, { "\x00\x00", 2 }, -EBADMSG },                             /* type 0 */
                { MQTT_5, { "\x10\x00", 2 }, -EBADMSG },                             /* CONNECT from a broker */
                { MQTT_5, { "\x40\x02\x00\x01", 4 }, -EBADMSG },                     /* PUBACK: we publish nothing */
                { MQTT_5, { "\xf0\x00", 2 }, -EBADMSG },                             /* AUTH */
                { MQTT_5, { "\x21\x03\x00\x00\x00", 5 }, -EBADMSG },                 /* reserved flags */
                { MQTT_5, { "\x20\x03\x02\x00\x00", 5 }, -EBADMSG },                 /* reserved flags of CONNACK */
                { MQTT_5, { "\x20\x01\x00", 3 }, -EBADMSG },                         /* breaks off */
                { MQTT_5, { "\x20\x04\x00\x00\x00\x00", 6 }, -EBADMSG },             /* bytes behind */
                { MQTT_5, { "\x20\x05\x00\x00\x02\x99\x00", 7 }, -EBADMSG },         /* no such property */
                { MQTT_5, { "\x20\x04\x00\x00\x05\x11", 6 }, -EBADMSG },             /* properties beyond the end */
                { MQTT_5, { "\x50\x02\x00\x01", 4 }, -EBADMSG },                     /* PUBREC */
                { MQTT_5, { "\x60\x02\x00\x01", 4 }, -EBADMSG },                     /* reserved flags of PUBREL */
                { MQTT_5, { "\x62\x01\x00", 3 }, -EBADMSG },                         /* breaks off */
                { MQTT_5, { "\x36\x06\x00\x01x\x00\x01\x00", 8 }, -EBADMSG },        /* QoS 3 */
                { MQTT_5, { "\x32\x06\x00\x01x\x00\x00\x00", 8 }, -EBADMSG },        /* packet identifier 0 */
                { MQTT_5, { "\x30\x03\x00\x00\x00", 5 }, -EBADMSG },                 /* no topic */
                { MQTT_5, { "\x30\x04\x00\x01#\x00", 6 }, -EBADMSG },                /* a wildcard */
                { MQTT_5, { "\x20\x07\x00\x87\x04\x1f\x00\x01\xff", 9 }, -EBADMSG }, /* words that are not UTF-8 */
                { MQTT_5, { "\x30\x07\x00\x01x\x03\x23\x00\x01", 9 }, -EBADMSG },    /* topic alias */
                { MQTT_5, { "\x90\x03\x00\x07\x00", 5 }, -EBADMSG },                 /* no code */
                { MQTT_3_1_1, { "\xe0\x00", 2 }, -EBADMSG },                         /* DISCONNECT of 3.1.1 */
                { MQTT_5, { "\xd0\x80\x00", 3 }, -EBADMSG },             /* a length longer than it must be */
                { MQTT_5, { "\xd0\xff\xff\xff\xff\x01", 6 }, -EBADMSG }, /* a length of five bytes */
                { MQTT_5, { "\x20\x81\x80\x04", 4 }, -EMSGSIZE },        /* 64 KiB and more */
                { MQTT_5, { "\x90\xff\xff\xff\x7f", 5 }, -EMSGSIZE },
                { MQTT_5, { "\x36\xff\xff\xff\x7f\x00\x01x", 8 }, -EBADMSG }, /* too large, and QoS 3 */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *problem = NULL;
                MqttPacket packet;
                size_t size;

                assert_int_equal(
                        mqtt_read(cases[i].version, cases[i].data, 65536, &packet, &size, &problem), cases[i].expected);
                assert_non_null(problem);
        }
}

/* mosquitto 1.4, VerneMQ and hmq hand on such a topic, EMQX before 6.3 such properties: what is behind such a
 * message can be read. */
static void test_foreign(void **state) {
        MqttPacket packet = must_read(MQTT_3_1_1, SLICE("\x32\x08\x00\x03"
                                                        "K\xfc"
                                                        "e\x00\x07"
                                                        "5"));

        assert_true(packet.foreign);
        assert_int_equal(packet.packet_id, 7);
        assert_int_equal(packet.topic.size, 3);
        assert_true(slice_equal(packet.payload, "5"));
        packet = must_read(MQTT_5, SLICE("\x30\x06\x00\x02x\x00\x00"
                                         "5"));
        assert_true(packet.foreign);
        packet = must_read(MQTT_5, SLICE("\x30\x09\x00\x01x\x04\x03\x00\x01\xff"
                                         "5")); /* content type */
        assert_false(packet.foreign);
        assert_true(slice_equal(packet.payload, "5"));
        packet = must_read(MQTT_5, SLICE("\x30\x0c\x00\x01x\x07\x26\x00\x01\xff\x00\x01\xff"
                                         "5")); /* user property */
        assert_false(packet.foreign);
}

/* Of a message that is too large all is read but its payload: it can be acknowledged, and what is behind it can be
 * read. */
static void test_too_large(void **state) {
        const char data[] = "\x3a\xff\xff\xff\x7f\x00\x03x/y\x01\x02";
        const char *problem;
        MqttPacket packet;
        size_t size;

        for (size_t n = 5; n < sizeof(data) - 1; n++) {
                assert_int_equal(mqtt_read(MQTT_3_1_1, (Slice){ data, n }, 65536, &packet, &size, &problem), MQTT_MORE);
                assert_int_equal(size, n + 1);
        }
        assert_int_equal(
                mqtt_read(MQTT_3_1_1, (Slice){ data, sizeof(data) - 1 }, 65536, &packet, &size, &problem), MQTT_PACKET);
        assert_int_equal(size, 5 + (1 << 28) - 1);
        assert_true(packet.too_large && packet.dup);
        assert_int_equal(packet.packet_id, 0x102);
        assert_int_equal(packet.payload.size, 0);
        assert_true(slice_equal(packet.topic, "x/y"));
}

static void test_two_in_one_buffer(void **state) {
        Slice data = SLICE("\xd0\x00\x30\x04\x00\x01"
                           "a\x00");
        const char *problem;
        MqttPacket packet;
        size_t size;

        assert_int_equal(mqtt_read(MQTT_5, data, 100, &packet, &size, &problem), MQTT_PACKET);
        assert_int_equal(size, 2);
        data = (Slice){ data.data + size, data.size - size };
        assert_int_equal(mqtt_read(MQTT_5, data, 100, &packet, &size, &problem), MQTT_PACKET);
        assert_int_equal(packet.type, MQTT_PUBLISH);
        assert_int_equal(size, data.size);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_connect),
                cmocka_unit_test(test_subscribe),
                cmocka_unit_test(test_short_ones),
                cmocka_unit_test(test_text_too_long),
                cmocka_unit_test(test_connack),
                cmocka_unit_test(test_version_refused),
                cmocka_unit_test(test_publish),
                cmocka_unit_test(test_qos_2),
                cmocka_unit_test(test_suback),
                cmocka_unit_test(test_pingresp_and_disconnect),
                cmocka_unit_test(test_malformed),
                cmocka_unit_test(test_foreign),
                cmocka_unit_test(test_too_large),
                cmocka_unit_test(test_two_in_one_buffer),
        };

        return cmocka_run_group_tests_name("mqtt-packet", tests, NULL, NULL);
}
