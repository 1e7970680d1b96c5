/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sources/mqtt.h"

static void test_check(void **state) {
        static const char *const good[] = { "zigbee2mqtt/{id*}", "tele/{id}/SENSOR",
                "esphome/{id}/sensor/{field}/state", "#", "+", "/", "a//b", "a/#", "$SYS/broker/{field}",
                "{name}/{id}/{field}", "a b/c" };
        static const char *const bad[] = { "", "a/#/b", "{id*}/a", "a+/b", "a/b#", "a/{id}x", "a/{nothing}",
                "{id}/{id}", "{id}/{id*}", "a/{", "a/}", "$share/group/a" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_null(mqtt_topic_check(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_non_null(mqtt_topic_check(bad[i]));
}

static void assert_filter(const char *pattern, const char *expected) {
        _cleanup_bytes_ Bytes filter = {};

        assert_int_equal(mqtt_topic_filter(pattern, &filter), 0);
        assert_string_equal(filter.data, expected);
}

static void test_filter(void **state) {
        assert_filter("zigbee2mqtt/{id*}", "zigbee2mqtt/#");
        assert_filter("tele/{id}/SENSOR", "tele/+/SENSOR");
        assert_filter("esphome/{id}/sensor/{field}/state", "esphome/+/sensor/+/state");
        assert_filter("#", "#");
        assert_filter("/", "/");
        assert_filter("a//b", "a//b");
}

static bool match(const char *pattern, const char *topic, MqttTopic *ret) {
        return mqtt_topic_match(pattern, (Slice){ topic, strlen(topic) }, ret);
}

static void test_names(void **state) {
        MqttTopic topic;

        assert_true(match("zigbee2mqtt/{id*}", "zigbee2mqtt/floor 1/kitchen", &topic));
        assert_true(slice_equal(topic.id, "floor 1/kitchen"));
        assert_int_equal(topic.name.size, 0);
        assert_true(match("esphome/{id}/sensor/{field}/state", "esphome/co2/sensor/ppm/state", &topic));
        assert_true(slice_equal(topic.id, "co2") && slice_equal(topic.field, "ppm"));
        assert_true(match("x/{id*}", "x", &topic));
        assert_int_equal(topic.id.size, 0);
        assert_true(match("{name}/+/{id}/#", "a/b/c", &topic));
        assert_true(slice_equal(topic.name, "a") && slice_equal(topic.id, "c"));
}

/* Those of the standard's section 4.7, and their neighbours. */
static void test_match(void **state) {
        static const struct {
                const char *pattern, *topic;
                bool matches;
        } cases[] = {
                { "sport/tennis/player1/#", "sport/tennis/player1", true },
                { "sport/tennis/player1/#", "sport/tennis/player1/ranking", true },
                { "sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true },
                { "sport/tennis/player1/#", "sport/tennis/player2", false },
                { "sport/tennis/player1/{id*}", "sport/tennis/player1", true },
                { "sport/{id*}", "sport/", true },
                { "sport/+", "sport", false },
                { "sport/+", "sport/", true },
                { "+/+", "/finance", true },
                { "/+", "/finance", true },
                { "+", "/finance", false },
                { "#", "$SYS/broker", false },
                { "+/monitor/Clients", "$SYS/monitor/Clients", false },
                { "$SYS/#", "$SYS/broker", true },
                { "a/b", "a/b", true },
                { "a/b", "a/B", false },
                { "a/b", "a/b/c", false },
                { "a/b/c", "a/b", false },
                { "a", "ab", false },
        };
        MqttTopic topic;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(match(cases[i].pattern, cases[i].topic, &topic), cases[i].matches);
}

static void test_overlap(void **state) {
        static const struct {
                const char *a, *b;
                bool overlap;
        } cases[] = {
                { "a/{id}", "a/+", true },
                { "a/{id}", "b/{id}", false },
                { "a/{id}", "a/b/{id}", false },
                { "a/{id*}", "a/b/{id}", true },
                { "a/#", "a", true },
                { "a/{id*}", "a", true }, /* the broker is asked for a/# and a */
                { "a/b/{id*}", "a", false },
                { "a/b", "a/b", true },
                { "+/b", "a/+", true },
                { "+/b", "a/c", false },
                { "#", "$SYS/a", false },
                { "$SYS/#", "$SYS/a", true },
                { "+/a", "$SYS/a", false },
                { "#", "/", true },
                { "tele/{id}/SENSOR", "tele/{id}/STATE", false },
                { "a/+/c/#", "a/b/{id*}", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(mqtt_topic_overlap(cases[i].a, cases[i].b), cases[i].overlap);
                assert_int_equal(mqtt_topic_overlap(cases[i].b, cases[i].a), cases[i].overlap);
        }
}

/* What two patterns both match lets them overlap, and what a pattern matches its filter does: over all short topics. */
static void test_agree(void **state) {
        static const char *const levels[] = { "", "a", "$b" };
        static const char *const patterns[] = { "a", "+", "#", "a/+", "+/a", "a/#", "+/+", "{id}/{id*}", "a/{id*}",
                "$b/#", "$b/+", "/+", "a//+", "+/#" };

        for (size_t n = 0; n < 3 * 3 * 3 * 3; n++) {
                char topic[64];
                int levels_used = (int) (n % 3) + 1;
                MqttTopic found;

                topic[0] = '\0';
                for (int i = 0, code = (int) n / 3; i < levels_used; i++, code /= 3) {
                        if (i > 0)
                                strcat(topic, "/");
                        strcat(topic, levels[code % 3]);
                }
                for (size_t i = 0; i < ELEMENTSOF(patterns); i++)
                        for (size_t j = 0; j < ELEMENTSOF(patterns); j++)
                                if (match(patterns[i], topic, &found) && match(patterns[j], topic, &found))
                                        assert_true(mqtt_topic_overlap(patterns[i], patterns[j]));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_filter),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_match),
                cmocka_unit_test(test_overlap),
                cmocka_unit_test(test_agree),
        };

        return cmocka_run_group_tests_name("mqtt-topic", tests, NULL, NULL);
}
