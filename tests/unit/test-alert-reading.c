/* SPDX-License-Identifier: Apache-2.0 */
/* What rules see of a message. */
#include "alert-fixture.h"

#include <malloc.h>

#include "match.h"

static void test_places(void **state) {
        static const char *const places[] = { "a", "/a", "/a/b", "/a/b/0", "/a/b/2/c", "/x~1y/~0", "z", "/", "/a/b/01",
                "deep", "/deep/er" };
        static const char *const documents[] = {
                "{\"a\":{\"b\":[1,[2],{\"c\":\"x\"}]},\"z\":null,\"x/y\":{\"~\":true},\"\":7}",
                "{\"z\":1,\"z\":2,\"a\":[],\"deep\":{\"er\":{\"er\":1}}}",
                "{\"a\":{},\"a\":{\"b\":[3]},\"deep\":1,\"deep\":{\"er\":2}}",
                "{\"a\":{\"b\":{\"\\u0030\":1,\"2\":{\"\\u0063\":2,\"c\":3}}},\"\\u0000\":4,\"x\\/y\":{\"~\":5}}",
                "{\"\\u0061\":{\"b\":{\"0\":-1.5e3}},\"deep\":5}",
                "{}",
                " { \"a\" : { \"b\" : [ ] } , \"deep\" : \"\\\"}\" } ",
        };
        size_t numbers[ELEMENTSOF(places)];
        Slice values[2 * ELEMENTSOF(places)];
        AlertPlaces p = {};

        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                assert_int_equal(alert_places_add(&p, places[i], &numbers[i]), 0);
        assert_int_equal(numbers[0], numbers[1]); /* a member is a pointer of one step */
        assert_int_equal(p.n, 12);                /* with /a/b/2 and /x~1y */
        for (size_t d = 0; d < ELEMENTSOF(documents); d++) {
                Slice object = text_slice(documents[d]);

                assert_true(alert_places_find(&p, object, values));
                for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                        Slice one = {};
                        bool found = match_find(object, places[i], &one);

                        assert_int_equal(found, values[numbers[i]].data != NULL);
                        if (found)
                                assert_true(one.data == values[numbers[i]].data && one.size == values[numbers[i]].size);
                }
        }
        alert_places_done(&p);
}

static void test_what_is_no_object(void **state) {
        static const char *const texts[] = { "", "1", "[]", "{", "{\"a\":}", "{\"a\":1}}", "{\"a\":1} x", "{\"a\":tru}",
                "{a:1}", "{\"b\":[1,}", "{\"a\":{\"b\":[1,2}}" };
        Slice values[3];
        size_t number;
        AlertPlaces p = {};

        assert_int_equal(alert_places_add(&p, "/a/b/1", &number), 0);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (alert_places_find(&p, text_slice(texts[i]), values))
                        fail_msg("taken: %s", texts[i]);
        alert_places_done(&p);
        assert_true(alert_places_find(&p, text_slice("{\"a\":1}"), NULL)); /* whoever looks at nothing */
}

/* A large value takes no memory, however many rules look into it. */
static void test_a_large_value(void **state) {
        enum { DEPTH = 30, SIZE = 100000 };
        _cleanup_free_ char *filler = calloc(1, SIZE + 1);
        Bytes rules = {}, field = {}, text = {};
        WireMessage message = {};
        AlertReadings readings = {};
        AlertRules *prepared;
        Config *config;

        for (unsigned i = 0; i < DEPTH; i++) {
                assert_int_equal(bytes_append_text(&field, "/a"), 0);
                assert_int_equal(bytes_append_text(&text, "{\"a\":"), 0);
                assert_int_equal(
                        bytes_append_format(&rules, "        - { name: r%u, field: %s, above: 1 }\n", i, field.data),
                        0);
        }
        memset(filler, 'x', SIZE);
        assert_int_equal(
                bytes_append_format(&text, "\"%s\"%.*s", filler, DEPTH, "}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}"), 0);
        config = alert_parse(rules.data);
        assert_int_equal(alert_rules_new(config->subscriptions[0].keys, &prepared), 0);
        message.data = (Slice){ text.data, text.size };
        assert_int_equal(alert_readings_add(&readings, prepared, &message, PAYLOAD_JSON, START), 0);
        assert_int_equal(readings.n, 1);
        assert_true(malloc_usable_size(readings.items[0].text) < SIZE);
        alert_readings_done(&readings);
        (void) alert_rules_free(prepared);
        config_unref(config);
        bytes_done(&rules);
        bytes_done(&field);
        bytes_done(&text);
}

typedef struct Read {
        Config *config;
        AlertRules *rules;
        AlertReadings readings;
} Read;

static Read begin(void) {
        Read read = { .config = alert_parse("        - { name: hot, field: t, above: 28 }\n") };

        assert_int_equal(alert_rules_new(read.config->subscriptions[0].keys, &read.rules), 0);
        return read;
}

static void end(Read *read) {
        alert_readings_done(&read->readings);
        read->rules = alert_rules_free(read->rules);
        config_unref(read->config);
}

static void add(Read *read, const char *data, const char *published, const WireAttribute *attributes, size_t n) {
        const WireMessage message = { .data = text_slice(data),
                .publish_time = text_slice(published),
                .attributes = attributes,
                .n_attributes = n };

        assert_int_equal(alert_readings_add(&read->readings, read->rules, &message, PAYLOAD_JSON, START), 0);
}

#define PUBLISHED "2026-11-27T23:40:00Z"

static void test_times(void **state) {
        static const struct {
                const char *data, *published;
                int64_t seconds; /* from START */
                bool ahead;
        } cases[] = {
                { "{\"request_at\":\"2026-11-27T23:35:00.000Z\"}", PUBLISHED, 60, false },
                { "{\"request_at\":\"2026-11-28T08:35:00+09:00\"}", PUBLISHED, 60, false },
                { "{\"request_at\":\"2026-11-27T23:45:00Z\"}", PUBLISHED, 660, false }, /* five minutes */
                { "{\"request_at\":\"2026-11-27T23:45:01Z\"}", PUBLISHED, 360, true },
                { "{\"request_at\":\"yesterday\"}", PUBLISHED, 360, false },
                { "{\"request_at\":1795822500}", PUBLISHED, 360, false },
                { "{}", PUBLISHED, 360, false },
                { "{}", "", 0, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Read read = begin();

                add(&read, cases[i].data, cases[i].published, NULL, 0);
                assert_true(read.readings.items[0].at == START + (usec_t) cases[i].seconds * USEC_PER_SEC);
                assert_int_equal(read.readings.items[0].ahead, cases[i].ahead);
                end(&read);
        }
}

/* Source, id and labels tell devices apart; what others write into attributes does not. */
static void test_devices(void **state) {
        const WireAttribute ours[] = { { text_slice("site"), text_slice("nakano") },
                { text_slice("source"), text_slice("home") }, { text_slice("idempotency_key"), text_slice("k1") },
                { text_slice("device"), text_slice("d1") }, { text_slice("floor"), text_slice("2") },
                { text_slice("googclient_x"), text_slice("1") } };
        const WireAttribute same[] = { ours[4], ours[3], { text_slice("idempotency_key"), text_slice("k2") }, ours[1],
                ours[0] };
        const WireAttribute other[] = { ours[1], ours[2], ours[3], { text_slice("site"), text_slice("osaka") } };
        const WireAttribute foreign[] = { { text_slice("trace"), text_slice("1234") } },
                            traced[] = { { text_slice("trace"), text_slice("5678") } };
        Read read = begin();
        const AlertReading *r;

        add(&read, "{\"name\":\"B\",\"site\":\"nakano\"}", PUBLISHED, ours, ELEMENTSOF(ours));
        add(&read, "{\"name\":\"B\"}", PUBLISHED, same, ELEMENTSOF(same));
        add(&read, "{\"name\":\"B\"}", PUBLISHED, other, ELEMENTSOF(other));
        add(&read, "{\"id\":7,\"source\":\"x\",\"name\":\"\\u5c45\\u9593\"}", PUBLISHED, foreign, 1);
        add(&read, "{\"id\":7,\"source\":\"x\",\"name\":null}", PUBLISHED, traced, 1);
        add(&read, "{\"name\":\"only a name\"}", PUBLISHED, NULL, 0);
        r = read.readings.items;
        assert_true(r[0].device.size == r[1].device.size &&
                    memcmp(r[0].device.data, r[1].device.data, r[0].device.size) == 0);
        assert_false(r[0].device.size == r[2].device.size &&
                     memcmp(r[0].device.data, r[2].device.data, r[0].device.size) == 0);
        assert_true(r[3].device.size == r[4].device.size &&
                    memcmp(r[3].device.data, r[4].device.data, r[3].device.size) == 0);
        assert_true(slice_equal(r[0].site, "nakano") && slice_equal(r[0].id, "d1") && slice_equal(r[0].source, "home"));
        assert_true(slice_equal(r[3].id, "7") && slice_equal(r[3].name, "居間") && slice_equal(r[4].name, ""));
        assert_true(slice_equal(r[5].id, "only a name"));
        end(&read);
}

/* What is shown of attributes is UTF-8, whatever their bytes are; those still tell devices apart. */
static void test_attributes_of_any_bytes(void **state) {
        static const WireAttribute one[] = { { { "source", 6 }, { "K\xfc", 2 } }, { { "device", 6 }, { "\xff", 1 } } },
                                   other[] = { { { "source", 6 }, { "K\xe4", 2 } },
                                           { { "device", 6 }, { "\xff", 1 } } };
        Read read = begin();
        const AlertReading *r;

        add(&read, "{}", PUBLISHED, one, 2);
        add(&read, "{}", PUBLISHED, other, 2);
        r = read.readings.items;
        assert_true(slice_equal(r[0].source, "K?") && slice_equal(r[0].id, "?"));
        assert_false(slice_same(r[0].device, r[1].device));
        end(&read);
}

/* What others publish without attributes: source and id of the payload, or its name, also tell devices apart. */
static void test_long_names(void **state) {
        char text[1001], data[3000];
        Read read = begin();
        const AlertReading *r;

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        (void) snprintf(data, sizeof(data), "{\"source\":\"%s\",\"id\":\"%s\"}", text, text);
        add(&read, data, PUBLISHED, NULL, 0);
        add(&read, data, PUBLISHED, NULL, 0);
        (void) snprintf(data, sizeof(data), "{\"source\":\"%s\",\"name\":\"%s\"}", text, text);
        add(&read, data, PUBLISHED, NULL, 0);
        r = read.readings.items;
        for (size_t i = 0; i < 3; i++) {
                assert_true(slice_equal(r[i].source, text) && slice_equal(r[i].id, text));
                assert_int_equal(r[i].device.size, 2 * strlen(text) + 1);
        }
        assert_true(slice_equal(r[2].name, text));
        end(&read);
}

static void test_order_of_readings(void **state) {
        static const char *const times[] = { "23:37", "23:35", "23:36", "23:35", "23:34" };
        Read read = begin();
        char data[100];

        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                (void) snprintf(data, sizeof(data), "{\"id\":%zu,\"request_at\":\"2026-11-27T%s:00Z\"}", i, times[i]);
                add(&read, data, PUBLISHED, NULL, 0);
        }
        alert_readings_sort(&read.readings);
        for (size_t i = 0; i < ELEMENTSOF(times); i++)
                assert_true(slice_equal(read.readings.items[i].id, &"4\0001\0003\0002\0000"[2 * i]));
        end(&read);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_places),
                cmocka_unit_test(test_what_is_no_object),
                cmocka_unit_test(test_a_large_value),
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_devices),
                cmocka_unit_test(test_attributes_of_any_bytes),
                cmocka_unit_test(test_long_names),
                cmocka_unit_test(test_order_of_readings),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
