/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>

#include "lib/err.h"
#include "lib/json.h"
#include "sources/nature-remo.h"

#define WALL (UINT64_C(1795501658123) * USEC_PER_MSEC) /* 2026-11-24T06:27:38.123Z */
#define AT "2026-11-24T06:27:38.123Z"

static uint64_t fixed_random(void) {
        return 42;
}

static NatureRemoReply reply_at(usec_t request_at) {
        return (NatureRemoReply){ .source = "home", .request_at = request_at, .random = fixed_random };
}

typedef struct Error {
        char text[200];
} Error;

/* An errno, or the number of devices that cannot be read. */
static int parse(const char *body, ReadingList *list, Error *error) {
        NatureRemoReply reply = reply_at(WALL);
        int r = nature_remo_parse(&reply, slice_of(body));

        *list = reply.readings;
        memcpy(error->text, reply.error, sizeof(reply.error));
        return r < 0 ? r : reply.n_bad;
}

/* One device's message, or the number of devices that could not be read. */
static void check_message(const char *body, const char *expected) {
        ReadingList list;
        Error error;

        assert_int_equal(parse(body, &list, &error), 0);
        assert_int_equal(list.n, 1);
        assert_string_equal(list.items[0].payload.data, expected);
        reading_list_done(&list);
}

static void check_bad(const char *body, int n_bad, size_t n_good) {
        ReadingList list;
        Error error;

        assert_int_equal(parse(body, &list, &error), n_bad);
        assert_int_equal(list.n, n_good);
        assert_true(error.text[0] != '\0');
        reading_list_done(&list);
}

static void check_nonsense(const char *body) {
        ReadingList list;
        Error error;

        assert_int_equal(parse(body, &list, &error), -EBADMSG);
        assert_int_equal(list.n, 0);
        assert_non_null(strstr(error.text, "not a JSON list"));
        reading_list_done(&list);
}

static void test_message(void **state) {
        /* a mini as the API gives it: personal data stays behind */
        check_message(
                "[{\"name\":\"Master Bedroom "
                "\",\"id\":\"u-1\",\"created_at\":\"2021-03-24T04:13:15Z\",\"updated_at\":\"2021-03-24T09:10:11Z\","
                "\"mac_address\":\"aa:bb\",\"bt_mac_address\":\"cc:dd\",\"serial_number\":\"1W\",\"firmware_version\":\"Remo-mini/1.4.9\","
                "\"temperature_offset\":0,\"humidity_offset\":-1.50,\"users\":[{\"id\":\"p\",\"nickname\":\"n\",\"superuser\":true}],"
                "\"newest_events\":{\"te\":{\"val\":23.10,\"created_at\":\"2021-03-25T06:08:42Z\"}}}]",
                "{\"name\":\"Master Bedroom \",\"newest_events\":{\"te\":{\"val\":23.10,\"created_at\":\"2021-03-25T06:08:42Z\"}},"
                "\"updated_at\":\"2021-03-24T09:10:11Z\",\"request_at\":\"" AT "\",\"id\":\"u-1\",\"source\":\"home\","
                "\"temperature_offset\":0,\"humidity_offset\":-1.50}");
}

static void test_key_and_attributes(void **state) {
        ReadingList list;
        Error error;

        assert_int_equal(parse("[{\"id\":\"u-1\"},{\"id\":\"\\u3042\"}]", &list, &error), 0);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.items[0].key, AT ":home:u-1:000000000000002a");
        assert_string_equal(list.items[0].type, "nature_remo");
        assert_string_equal(list.items[0].source, "home");
        assert_string_equal(list.items[1].device, "\xe3\x81\x82");                 /* unescaped where it is no JSON */
        assert_non_null(strstr(list.items[1].payload.data, "\"id\":\"\\u3042\"")); /* as given where it is */
        reading_list_done(&list);
}

static void test_events_as_given(void **state) {
        static const char *const events[] = {
                "{}",
                "null",
                "{ \"te\" : { \"val\" : 1e2 } }", /* spaces and numbers stay */
                "{\"te\":{\"val\":24.0},\"co2\":{\"val\":12345678901234567890,\"unit\":[\"ppm\",null,{}]}}", /* unknown
                                                                                                                keys too
                                                                                                              */
                "{\"te\":null}",
        };

        for (size_t i = 0; i < ELEMENTSOF(events); i++) {
                char body[300], message[300];
                (void) snprintf(body, sizeof(body), "[{\"id\":\"d\",\"newest_events\":%s}]", events[i]);
                (void) snprintf(message, sizeof(message),
                        "{\"newest_events\":%s,\"request_at\":\"" AT "\",\"id\":\"d\",\"source\":\"home\"}", events[i]);
                check_message(body, message);
        }
        check_message("[{\"id\":\"d\"}]",
                "{\"newest_events\":null,\"request_at\":\"" AT "\",\"id\":\"d\",\"source\":\"home\"}");
}

/* Fields of another type than promised are left out, and the reading still goes. */
static void test_odd_fields(void **state) {
        check_message(
                "[{\"id\":\"d\",\"name\":5,\"updated_at\":null,\"online\":null,\"temperature_offset\":\"1\",\"humidity_offset\":true}]",
                "{\"newest_events\":null,\"request_at\":\"" AT "\",\"id\":\"d\",\"source\":\"home\"}");
        check_message("[{\"id\":\"d\",\"online\":false}]",
                "{\"newest_events\":null,\"request_at\":\"" AT "\",\"id\":\"d\",\"source\":\"home\",\"online\":false}");
        check_message("[{\"id\":\"d\",\"name\":\"\\ud83d\"}]", /* a lone surrogate could be stored nowhere */
                "{\"newest_events\":null,\"request_at\":\"" AT "\",\"id\":\"d\",\"source\":\"home\"}");
        check_message(
                "[{\"id\":\"x\",\"name\":\"a\",\"name\":\"b\",\"id\":\"d\",\"\\u006eame\":\"c\"}]", /* the last of equal
                                                                                                       keys */
                "{\"name\":\"c\",\"newest_events\":null,\"request_at\":\"" AT "\",\"id\":\"d\",\"source\":\"home\"}");
}

/* P6: a device that cannot be read harms none beside it. */
static void test_bad_devices(void **state) {
        check_bad("[{\"id\":\"a\"},{\"name\":\"no id\"},{\"id\":\"b\"}]", 1, 2);
        check_bad(
                "[{\"id\":\"\"},{\"id\":7},{\"id\":null},{\"id\":\"a\\u0000b\"},{\"id\":\"\\udc00\"},{\"id\":\"ok\"}]",
                5, 1);
        check_bad("[5,null,\"x\",[{\"id\":\"no\"}],{\"id\":\"ok\"}]", 4, 1);
        check_bad(
                "[{\"id\":\"a\",\"newest_events\":[]},{\"id\":\"b\",\"newest_events\":\"\"},{\"id\":\"c\",\"newest_events\":0},{\"id\":"
                "\"d\"}]",
                3, 1);
}

static void append_nested(Bytes *body, unsigned depth) {
        for (unsigned i = 0; i < depth; i++)
                assert_int_equal(bytes_append_text(body, "{\"a\":"), 0);
        assert_int_equal(bytes_append_text(body, "1"), 0);
        for (unsigned i = 0; i < depth; i++)
                assert_int_equal(bytes_append_text(body, "}"), 0);
}

static void test_depth(void **state) {
        _cleanup_bytes_ Bytes body = {};
        ReadingList list;
        Error error;

        assert_int_equal(bytes_append_text(&body, "[{\"id\":\"a\",\"newest_events\":"), 0);
        append_nested(&body, 80);
        assert_int_equal(bytes_append_text(&body, "},{\"id\":\"b\",\"newest_events\":"), 0);
        append_nested(&body, 81);
        assert_int_equal(bytes_append_text(&body, "},{\"id\":\"c\",\"users\":"), 0);
        append_nested(&body, 200); /* what does not travel may be as deep as it likes */
        assert_int_equal(bytes_append_text(&body, "}]"), 0);
        assert_int_equal(parse(body.data, &list, &error), 1);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.items[1].device, "c");
        assert_non_null(strstr(error.text, "device 2"));
        reading_list_done(&list);
}

static void test_cap(void **state) {
        _cleanup_bytes_ Bytes body = {};
        ReadingList list;
        Error error;

        for (unsigned i = 0; i < NATURE_REMO_DEVICES_MAX + 3; i++)
                assert_int_equal(bytes_append_format(&body, "%c{\"id\":\"%u\"}", i == 0 ? '[' : ',', i), 0);
        assert_int_equal(bytes_append_text(&body, "]"), 0);
        assert_int_equal(parse(body.data, &list, &error), 3);
        assert_int_equal(list.n, NATURE_REMO_DEVICES_MAX);
        reading_list_done(&list);
}

static void test_empty_and_nonsense(void **state) {
        static const char *const empty[] = { "[]", " [ ] ", "null" };
        static const char *const nonsense[] = { "", "{}", "[", "[{\"id\":\"a\"}", "[{\"id\":\"a\"}] x",
                "[{\"id\":\"a\"},]", "<html>", "\"a\"", "null null", "{\"code\":401001,\"message\":\"Unauthorized\"}",
                "[{\"id\":\"\xff\"}]", "[{\"id\":\"a\",\"n\":01}]" };
        ReadingList list;
        Error error;

        for (size_t i = 0; i < ELEMENTSOF(empty); i++) {
                assert_int_equal(parse(empty[i], &list, &error), 0);
                assert_int_equal(list.n, 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(nonsense); i++)
                check_nonsense(nonsense[i]);
        reading_list_done(&list);
}

/* Every message is JSON of the strict kind: what cannot be read here would be rejected at the other end. */
static void test_messages_are_json(void **state) {
        ReadingList list;
        Error error;
        JsonReader reader;
        int token;

        assert_int_equal(
                parse("[{\"id\":\"a\\\"\\\\\\u00e9\",\"name\":\"\\n\xe3\x81\x82\",\"newest_events\":{\"a\":[1,{\"b\":\"\\\"\"}]},"
                      "\"online\":true}]",
                        &list, &error),
                0);
        json_reader_init(&reader, list.items[0].payload.data, list.items[0].payload.size, 90);
        while ((token = json_reader_next(&reader)) > 0)
                ;
        assert_int_equal(token, JSON_END);
        reading_list_done(&list);
}

static void test_labels(void **state) {
        _cleanup_bytes_ Bytes labels = {};
        NatureRemoReply reply = reply_at(WALL);

        assert_int_equal(reading_labels_add(&labels, "site", "na\"kano"), 0);
        assert_int_equal(reading_labels_add(&labels, "floor", "2"), 0);
        reply.labels = bytes_slice(&labels);
        assert_int_equal(nature_remo_parse(&reply, slice_of("[{\"id\":\"d\"}]")), 0);
        assert_string_equal(reply.readings.items[0].payload.data,
                "{\"newest_events\":null,\"request_at\":\"" AT "\",\"id\":\"d\",\"source\":\"home\","
                "\"site\":\"na\\\"kano\",\"floor\":\"2\"}");
        assert_int_equal(reply.readings.items[0].labels.size, labels.size);
        reading_list_done(&reply.readings);
}

/* ---- what is remembered ---- */

#define TE(value, at) "{\"te\":{\"val\":" value ",\"created_at\":\"" at "\"}}"
#define MINUTE_AGO "2026-11-24T06:26:00Z"

/* How many of the devices in *body* are published *later* than WALL. */
static size_t wanted(NatureRemoMemory *memory, usec_t later, const char *body) {
        NatureRemoReply reply = reply_at(WALL + later);
        size_t n;

        reply.memory = memory;
        reply.silence = USEC_PER_HOUR;
        (void) nature_remo_parse(&reply, slice_of(body));
        n = reply.readings.n;
        reading_list_done(&reply.readings);
        return n;
}

static void test_on_change(void **state) {
        static const char first[] =
                "[{\"id\":\"a\",\"newest_events\":" TE("1", MINUTE_AGO) "},{\"id\":\"b\",\"newest_events\":{}}]";
        static const char value[] =
                "[{\"id\":\"a\",\"newest_events\":" TE("2", MINUTE_AGO) "},{\"id\":\"b\",\"newest_events\":{}}]";
        static const char time[] = "[{\"id\":\"a\",\"newest_events\":" TE(
                "2", "2026-11-24T06:27:00Z") "},{\"id\":\"b\",\"newest_events\":{}}]";
        static const char cut[] = "[{\"id\":\"a\",\"newest_events\":" TE("3", "2026-11-24T06:27:00Z") "},";
        static const char moved[] = "[{\"id\":\"a\",\"newest_events\":" TE(
                "3", "2026-11-24T06:27:00Z") "},{\"id\":\"b\",\"online\":false,\"newest_events\":{}}]";
        NatureRemoMemory memory = {};

        assert_int_equal(wanted(&memory, 0, first), 2);
        assert_int_equal(wanted(&memory, USEC_PER_MINUTE, first), 0);
        assert_int_equal(wanted(&memory, 2 * USEC_PER_MINUTE, value), 1);
        assert_int_equal(wanted(&memory, 3 * USEC_PER_MINUTE, time), 1);
        assert_int_equal(wanted(&memory, 4 * USEC_PER_MINUTE, time), 0);
        assert_int_equal(
                wanted(&memory, 5 * USEC_PER_MINUTE, cut), 0); /* nothing came of it, so nothing is remembered */
        assert_int_equal(wanted(&memory, 6 * USEC_PER_MINUTE, moved), 2); /* gone offline is news, too */
        assert_int_equal(wanted(&memory, 65 * USEC_PER_MINUTE, moved), 0);
        assert_int_equal(wanted(&memory, 66 * USEC_PER_MINUTE, moved), 2); /* at least once an hour */
        nature_remo_memory_done(&memory);
        assert_int_equal(wanted(&memory, 66 * USEC_PER_MINUTE, moved), 2);
        nature_remo_memory_done(&memory);
}

static char said[300];

static void on_still(void *userdata, const char *id, const char *name, const char *keys, usec_t span) {
        size_t n = strlen(said);

        (void) snprintf(said + n, sizeof(said) - n, "%s/%s/%s/%" PRIu64 ";", id, name, keys, span / USEC_PER_SEC);
}

static const char *still_in(NatureRemoMemory *memory, const char *body) {
        NatureRemoReply reply = reply_at(WALL);

        said[0] = '\0';
        reply.memory = memory;
        reply.still = on_still;
        assert_int_equal(nature_remo_parse(&reply, slice_of(body)), 0);
        assert_int_equal(reply.readings.n, reply.n); /* published all the same */
        reading_list_done(&reply.readings);
        return said;
}

/* A value that has not moved for a day is said once, and again when it stands still again; movement is not such a
 * value. */
static void test_still(void **state) {
        static const char body[] =
                "[{\"id\":\"a\",\"name\":\"A\",\"newest_events\":{\"te\":{\"val\":1,\"created_at\":\"2026-11-23T06:27:00Z\"},"
                "\"hu\":{\"val\":1,\"created_at\":\"2026-11-20T00:00:00Z\"},\"il\":{\"val\":1,\"created_at\":\"2026-11-24T00:00:00Z\"},"
                "\"mo\":{\"val\":1,\"created_at\":\"2023-04-11T00:00:00Z\"}}},{\"id\":\"b\",\"newest_events\":{}},"
                "{\"id\":\"c\",\"newest_events\":{\"te\":5,\"hu\":{\"created_at\":\"soon\"}}}]";
        static const char moves[] = "[{\"id\":\"a\",\"newest_events\":" TE("1", MINUTE_AGO) "}]";
        NatureRemoMemory memory = {};

        assert_string_equal(still_in(&memory, body), "a/A/te, hu/368858;");
        assert_string_equal(still_in(&memory, body), "");
        assert_string_equal(still_in(&memory, moves), "");
        assert_string_equal(still_in(&memory, body), "a/A/te, hu/368858;");
        nature_remo_memory_done(&memory);
}

/* ---- smart meters ---- */

#define METER(properties)                                                                                                    \
        "[{\"id\":\"ac\",\"type\":\"AC\"},{\"id\":\"m\",\"type\":\"EL_SMART_METER\",\"nickname\":\"Meter\",\"smart_meter\":" \
        "{\"echonetlite_properties\":" properties "}}]"
#define PROPERTY(epc, value)                                                                                           \
        "{\"name\":\"x\",\"epc\":" epc ",\"val\":\"" value "\",\"updated_at\":\"2026-11-24T06:27:00Z\"}"
#define HEAD "{\"id\":\"m\",\"name\":\"Meter\",\"source\":\"home\",\"request_at\":\"" AT "\""
#define MEASURED ",\"measured_at\":\"2026-11-24T06:27:00.000Z\""

static void check_meter(const char *body, const char *expected) {
        NatureRemoReply reply = reply_at(WALL);

        assert_int_equal(nature_remo_parse_meters(&reply, slice_of(body)), 0);
        assert_int_equal(reply.readings.n, expected ? 1 : 0);
        if (expected) {
                assert_string_equal(reply.readings.items[0].payload.data, expected);
                assert_string_equal(reply.readings.items[0].device, "m");
        }
        reading_list_done(&reply.readings);
}

static void test_meter(void **state) {
        check_meter(METER("[" PROPERTY("211", "1") "," PROPERTY("215", "6") "," PROPERTY("224", "123456") "," PROPERTY(
                            "225", "1") "," PROPERTY("227", "10") "," PROPERTY("231", "-520") "]"),
                HEAD MEASURED ",\"power_w\":-520,\"energy_kwh\":12345.6,\"energy_sold_kwh\":1.0}");
        /* no coefficient: 1; a code beyond 9 counts upwards; numbers as numbers */
        check_meter(METER("[{\"epc\":224,\"val\":5},{\"epc\":225,\"val\":11}]"), HEAD ",\"energy_kwh\":500}");
        check_meter(METER("[" PROPERTY("211", "20") "," PROPERTY("224", "7") "," PROPERTY("225", "4") "]"),
                HEAD ",\"energy_kwh\":0.0140}");
        check_meter(METER("[" PROPERTY("231", "0") "," PROPERTY("224", "7") "]"),
                HEAD MEASURED ",\"power_w\":0}"); /* no unit */
        check_meter(METER("[" PROPERTY("231", "1") "," PROPERTY("224", "7") "," PROPERTY("225", "7") "]"),
                HEAD MEASURED ",\"power_w\":1}"); /* no such unit */
        /* what stands for "no data" is none */
        check_meter(
                METER("[" PROPERTY("231", "2147483646") "," PROPERTY("224", "4294967294") "," PROPERTY("225", "0") "]"),
                NULL);
        check_meter(METER("[" PROPERTY("231", "") "," PROPERTY("231", "1.5") "]"), NULL);
        check_meter(METER("null"), NULL);
        check_meter("[]", NULL);
        check_meter("null", NULL);
        check_meter("[5,{\"id\":\"a\"},{\"type\":\"EL_SMART_METER\",\"id\":\"m\"}]", NULL);
}

static void test_meter_nonsense(void **state) {
        static const char *const rows[] = { "", "{}", "[", "<html>", "[{}] x" };
        NatureRemoReply reply = reply_at(WALL);

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                assert_int_equal(nature_remo_parse_meters(&reply, slice_of(rows[i])), -EBADMSG);
                assert_non_null(strstr(reply.error, "not a JSON list"));
        }
        assert_int_equal(nature_remo_parse_meters(&reply, slice_of("[{\"type\":\"EL_SMART_METER\"}]")), 0);
        assert_int_equal(reply.n_bad, 1);
        assert_non_null(strstr(reply.error, "no usable id"));
        assert_int_equal(reply.readings.n, 0);
}

#define NOW (1000 * USEC_PER_SEC)
#define RESET(seconds) text_of(WALL / USEC_PER_SEC + (seconds))

static const char *text_of(uint64_t number) {
        static char text[32];
        (void) snprintf(text, sizeof(text), "%" PRIu64, number);
        return text;
}

static void test_rate_limit(void **state) {
        /* a third of the limit is the others' */
        assert_int_equal(nature_remo_not_before("30", "11", RESET(200), WALL, NOW), 0);
        assert_in_range(nature_remo_not_before("30", "10", RESET(200), WALL, NOW), NOW + 200 * USEC_PER_SEC,
                NOW + 202 * USEC_PER_SEC);
        assert_true(nature_remo_not_before("30", "0", RESET(200), WALL, NOW) > NOW);
        assert_true(nature_remo_not_before(NULL, "10", RESET(200), WALL, NOW) > NOW);
        assert_int_equal(nature_remo_not_before("12", "6", RESET(200), WALL, NOW), 0);
        assert_true(nature_remo_not_before("12", "5", RESET(200), WALL, NOW) > NOW); /* five at least */
        assert_int_equal(
                nature_remo_not_before("2", "2", RESET(200), WALL, NOW), 0); /* one poll a window must be possible */
        assert_true(nature_remo_not_before("1", "0", RESET(200), WALL, NOW) > NOW);
        /* missing and nonsense */
        assert_int_equal(nature_remo_not_before(NULL, NULL, NULL, WALL, NOW), 0);
        assert_int_equal(nature_remo_not_before("30", "-1", RESET(200), WALL, NOW), 0);
        assert_int_equal(nature_remo_not_before("30", "0", NULL, WALL, NOW), 0);
        assert_int_equal(nature_remo_not_before("30", "0", "soon", WALL, NOW), 0);
        assert_int_equal(nature_remo_not_before("30", "0", "99999999999999999999999", WALL, NOW), 0);
        assert_int_equal(nature_remo_not_before("30", "0", "18446744073709551615", WALL, NOW), 0);
        assert_int_equal(nature_remo_not_before("30", "0", RESET(-10), WALL, NOW), 0);
        assert_int_equal(nature_remo_not_before("30", "0", RESET(3 * 3600), WALL, NOW), 0);
}

/* ---- no memory ---- */

/* The call for memory that fails, counted from now; 0: none. */
static unsigned fails;
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size) {
        return fails > 0 && --fails == 0 ? NULL : __real_realloc(memory, size);
}

/* All of it, or that there was no memory: a coefficient that is not read would make another number of the energy. */
static void check_without_memory(bool meters, const char *body, const char *expected) {
        unsigned n = 0, left;

        do {
                NatureRemoReply reply = reply_at(WALL);
                int r;

                fails = ++n;
                r = meters ? nature_remo_parse_meters(&reply, slice_of(body))
                           : nature_remo_parse(&reply, slice_of(body));
                left = fails;
                fails = 0;
                if (r != -ENOMEM) {
                        assert_int_equal(r, 0);
                        assert_int_equal(reply.n_bad, 0);
                        assert_int_equal(reply.readings.n, 1);
                        assert_string_equal(reply.readings.items[0].payload.data, expected);
                }
                reading_list_done(&reply.readings);
        } while (left == 0);
        assert_true(n > 2);
}

static void test_without_memory(void **state) {
        check_without_memory(false, "[{\"id\":\"d\",\"name\":\"n\",\"updated_at\":\"2021-03-24T09:10:11Z\"}]",
                "{\"name\":\"n\",\"newest_events\":null,\"updated_at\":\"2021-03-24T09:10:11Z\",\"request_at\":\"" AT
                "\",\"id\":\"d\",\"source\":\"home\"}");
        check_without_memory(true,
                "[{\"type\":\"EL_SMART_METER\",\"id\":\"m\",\"nickname\":\"n\",\"smart_meter\":{\"echonetlite_properties\":["
                "{\"epc\":211,\"val\":\"10\"},{\"epc\":225,\"val\":\"1\"},{\"epc\":224,\"val\":\"123\"}]}}]",
                "{\"id\":\"m\",\"name\":\"n\",\"source\":\"home\",\"request_at\":\"" AT "\",\"energy_kwh\":123.0}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without_memory),
                cmocka_unit_test(test_message),
                cmocka_unit_test(test_key_and_attributes),
                cmocka_unit_test(test_events_as_given),
                cmocka_unit_test(test_odd_fields),
                cmocka_unit_test(test_bad_devices),
                cmocka_unit_test(test_depth),
                cmocka_unit_test(test_cap),
                cmocka_unit_test(test_empty_and_nonsense),
                cmocka_unit_test(test_messages_are_json),
                cmocka_unit_test(test_labels),
                cmocka_unit_test(test_on_change),
                cmocka_unit_test(test_still),
                cmocka_unit_test(test_meter),
                cmocka_unit_test(test_meter_nonsense),
                cmocka_unit_test(test_rate_limit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
