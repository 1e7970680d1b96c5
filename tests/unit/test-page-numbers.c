/* SPDX-License-Identifier: Apache-2.0 */
/* What is found in messages, what can be asked for, and how it is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/json.h"
#include "page-numbers.h"
#include "page-render.h"
#include "page-thread.h"

#define PUBLISHED INT64_C(1795840000000)
#define ATTRIBUTE(k, v)                                                                                                \
        {                                                                                                              \
                { k, sizeof(k) - 1 }, {                                                                                \
                        v, sizeof(v) - 1                                                                               \
                }                                                                                                      \
        }
#define LOOK(found, text, ...)                                                                                         \
        look(found, text, sizeof(text) - 1, (const WireAttribute[]){ __VA_ARGS__ },                                    \
                sizeof((const WireAttribute[]){ __VA_ARGS__ }) / sizeof(WireAttribute))

static int look(PageFound *found, const char *text, size_t size, const WireAttribute *attributes, size_t n) {
        const SinkPast message = {
                .text = { text, size }, .attributes = attributes, .n_attributes = n, .published = PUBLISHED
        };

        return page_numbers_find(&message, "idempotency_key", found);
}

static const char *field(const PageFound *found, size_t i) {
        return found->fields.data + found->numbers[i].field;
}

static void test_nature_remo(void **state) {
        PageFound found = {};

        assert_int_equal(
                LOOK(&found,
                        "{\"id\":\"a1\",\"name\":\"居間\",\"source\":\"home\",\"request_at\":\"2026-11-24T06:27:38.123Z\",\"temperature_offset\":0,"
                        "\"newest_events\":{\"te\":{\"val\":23.1,\"created_at\":\"2026-11-24T06:00:00Z\"},\"mo\":{\"val\":1}},\"online\":true}",
                        ATTRIBUTE("idempotency_key", "x"), ATTRIBUTE("source", "home")),
                PAGE_NUMBERS_FOUND);
        assert_string_equal(found.source, "home");
        assert_string_equal(found.device, "a1");
        assert_string_equal(found.name, "居間");
        assert_string_equal(found.labels.data, "{}");
        assert_int_equal(found.time, 1795501658123);
        assert_int_equal(found.n, 2);
        assert_string_equal(field(&found, 0), "/newest_events/te/val");
        assert_string_equal(field(&found, 1), "/newest_events/mo/val");
        assert_true(found.numbers[0].value > 23 && found.numbers[0].value < 23.2);
        assert_int_equal(found.numbers[0].changed, 1795500000000);
        assert_int_equal(found.numbers[1].changed, 0);
        assert_int_equal(found.moved, 1795500000000);
        assert_false(found.offline);
        page_numbers_done(&found);
}

/* U+2028 and U+0085 are no characters to show: one blank each, and nothing of them is left at the end. */
static void test_controls(void **state) {
        PageFound found = {};

        assert_int_equal(LOOK(&found, "{\"source\":\"home\",\"id\":\"a\\u0085b\",\"name\":\"居\\u2028間\",\"v\":1}",
                                 ATTRIBUTE("source", "home")),
                PAGE_NUMBERS_FOUND);
        assert_string_equal(found.device, "a b");
        assert_string_equal(found.name, "居 間");
        page_numbers_done(&found);
}

/* Zigbee2MQTT says of a door and of a leak nothing but this. */
static void test_true_and_false(void **state) {
        PageFound found = {};

        assert_int_equal(
                LOOK(&found,
                        "{\"contact\":true,\"water_leak\":false,\"online\":true,\"type\":true,\"in\":{\"online\":false}}"),
                PAGE_NUMBERS_FOUND);
        assert_int_equal(found.n, 3);
        assert_string_equal(field(&found, 0), "/contact");
        assert_true(found.numbers[0].value > 0.5 && found.numbers[1].value < 0.5);
        assert_string_equal(field(&found, 1), "/water_leak");
        assert_string_equal(field(&found, 2), "/in/online");
        assert_false(found.offline);
        page_numbers_done(&found);
}

/* What a device says of itself, in any order; nowhere else are these words of that meaning. */
static void test_signs(void **state) {
        PageFound found = {};

        assert_int_equal(
                LOOK(&found,
                        "{\"online\":false,\"newest_events\":{\"hu\":{\"created_at\":\"2026-11-24T05:00:00Z\",\"val\":40},"
                        "\"te\":{\"val\":1,\"created_at\":\"2026-11-24T06:00:00Z\"},\"il\":{\"val\":2,\"created_at\":\"soon\"}}}",
                        ATTRIBUTE("source", "home")),
                PAGE_NUMBERS_FOUND);
        assert_true(found.offline);
        assert_int_equal(found.numbers[0].changed, 1795496400000);
        assert_int_equal(found.numbers[1].changed, 1795500000000);
        assert_int_equal(found.numbers[2].changed, 0);
        assert_int_equal(found.moved, 1795500000000);
        assert_int_equal(
                LOOK(&found,
                        "{\"a\":{\"online\":false,\"b\":{\"val\":1,\"created_at\":\"2026-11-24T06:00:00Z\"}},\"created_at\":\"2026-11-24T06:00:00Z\","
                        "\"newest_events\":{\"te\":{\"deep\":{\"val\":1,\"created_at\":\"2026-11-24T06:00:00Z\"}}}}",
                        ATTRIBUTE("source", "home")),
                PAGE_NUMBERS_FOUND);
        assert_false(found.offline);
        assert_int_equal(found.moved, 0);
        page_numbers_done(&found);
}

/* Members that are attributes as well, whatever the order that they come in. */
static void test_labels(void **state) {
        PageFound found = {};

        assert_int_equal(LOOK(&found, "{\"site\":\"x\",\"floor\":\"\\u0031\",\"key\":\"other\",\"v\":1}",
                                 ATTRIBUTE("site", "x"), ATTRIBUTE("floor", "1"), ATTRIBUTE("key", "k"),
                                 ATTRIBUTE("nonce", "17"), ATTRIBUTE("device", "d"), ATTRIBUTE("source", "s")),
                PAGE_NUMBERS_FOUND);
        assert_string_equal(found.labels.data, "{\"floor\":\"1\",\"site\":\"x\"}");
        assert_string_equal(found.source, "s");
        assert_string_equal(found.device, "d");
        assert_int_equal(found.time, PUBLISHED);
        /* BSON may have any bytes; page.sqlite would be taken for damaged, and set aside */
        assert_int_equal(LOOK(&found, "{\"v\":1}", ATTRIBUTE("device", "d\xff"), ATTRIBUTE("source", "\xe5\xb1")),
                PAGE_NUMBERS_FOUND);
        assert_string_equal(found.source, "");
        assert_string_equal(found.device, "");
        page_numbers_done(&found);
}

static void test_times(void **state) {
        PageFound found = {};

        assert_int_equal(LOOK(&found, "{\"v\":1,\"measured_at\":\"2026-11-24T06:27:38Z\"}"), PAGE_NUMBERS_FOUND);
        assert_int_equal(found.time, 1795501658000);
        assert_int_equal(
                LOOK(&found,
                        "{\"v\":1,\"measured_at\":\"2026-11-24T06:27:38Z\",\"request_at\":\"2026-11-24T06:27:39Z\"}"),
                PAGE_NUMBERS_FOUND);
        assert_int_equal(found.time, 1795501659000);
        assert_int_equal(LOOK(&found, "{\"v\":1,\"request_at\":\"2036-11-24T06:27:38Z\"}"),
                PAGE_NUMBERS_FOUND); /* a clock that is off */
        assert_int_equal(found.time, PUBLISHED);
        assert_int_equal(LOOK(&found, "{\"v\":1,\"request_at\":\"yesterday\"}"), PAGE_NUMBERS_FOUND);
        assert_int_equal(found.time, PUBLISHED);
        page_numbers_done(&found);
}

static void test_any_shape(void **state) {
        PageFound found = {};

        assert_int_equal(
                LOOK(&found,
                        "{\"a\":{\"b/c~d\":{\"\\u0065\":-1.5e3}},\"l\":[[1],2],\"id\":7,\"big\":1e999,\"s\":\"25\",\"n\":null,\"_id\":{\"x\":1},\"pubsub\":[1]}"),
                PAGE_NUMBERS_FOUND);
        assert_int_equal(found.n, 3);
        assert_string_equal(field(&found, 0), "/a/b~1c~0d/e");
        assert_string_equal(field(&found, 1), "/l/0/0");
        assert_string_equal(field(&found, 2), "/l/1");
        assert_string_equal(found.device, "7");
        page_numbers_done(&found);
}

static void test_nothing(void **state) {
        static const char *const texts[] = { "", "1", "[1]", "\"x\"", "{", "{}", "{\"a\":\"b\"}", "{\"a\":1,}",
                "{\"id\":1}", "nan", "{\"a\":1e999}",
                "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}" };
        PageFound found = {};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_int_equal(look(&found, texts[i], strlen(texts[i]), NULL, 0), PAGE_NUMBERS_NONE);
        page_numbers_done(&found);
}

/* Large messages have an end. */
/* A device that has no value sends the largest that there is; two of them have no sum. */
static void test_too_large(void **state) {
        static const char text[] =
                "{\"a\":1.7976931348623157e308,\"b\":-1e300,\"c\":1e38,\"request_at\":\"2026-11-01T00:00:00Z\"}";
        PageFound found = {};

        assert_int_equal(look(&found, text, sizeof(text) - 1, NULL, 0), PAGE_NUMBERS_FOUND);
        assert_int_equal(found.n, 1);
        assert_string_equal(field(&found, 0), "/c");
        page_numbers_done(&found);
}

static void test_caps(void **state) {
        PageFound found = {};
        Bytes text = {};

        assert_int_equal(bytes_append_text(&text, "{\"list\":["), 0);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(bytes_append_text(&text, "1,"), 0);
        assert_int_equal(bytes_append_text(&text, "1]"), 0);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(bytes_append_format(&text, ",\"m%d\":%d", i, i), 0);
        assert_int_equal(bytes_append_text(&text, ",\""), 0);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(bytes_append_text(&text, "k"), 0);
        assert_int_equal(bytes_append_text(&text, "\":1}"), 0);
        assert_int_equal(look(&found, text.data, text.size, NULL, 0), PAGE_NUMBERS_FOUND);
        assert_int_equal(found.n, PAGE_NUMBERS_MAX);
        assert_string_equal(field(&found, 15), "/list/15");
        assert_string_equal(field(&found, 16), "/m0");
        assert_int_equal(found.beyond, 1001 - 16 + 1000 - 48 + 1);
        assert_int_equal(
                LOOK(&found,
                        "{\"a\":1,\"b\":[[[[[[[2,[3,{\"c\":4}],\"5\"]]]]]]],\"id\":5,\"pubsub\":{\"x\":6},\"online\":true}",
                        ATTRIBUTE("source", "home")),
                PAGE_NUMBERS_FOUND);
        assert_int_equal(found.n, 2);
        assert_int_equal(found.beyond, 2);
        bytes_done(&text);
        page_numbers_done(&found);
}

static void test_queue(void **state) {
        const WireAttribute attributes[] = { ATTRIBUTE("a", "b\0c"), ATTRIBUTE("", "") };
        PageQueueItem item;
        Bytes queue = {};
        Slice rest;

        for (int i = 0; i < 3; i++)
                assert_int_equal(
                        page_queue_put(&queue, &(SinkPast){ { "text", (size_t) i }, attributes, (size_t) i, i }), 0);
        rest = (Slice){ queue.data, queue.size };
        for (int i = 0; i < 3; i++) {
                assert_true(page_queue_next(&rest, &item));
                assert_int_equal(item.message.text.size, i);
                assert_int_equal(item.message.published, i);
                assert_int_equal(item.message.n_attributes, i);
                if (i > 0)
                        assert_memory_equal(item.message.attributes[0].value.data, "b\0c", 3);
        }
        assert_false(page_queue_next(&rest, &item));
        bytes_done(&queue);
}

/* ---- queries ---- */

static void test_queries(void **state) {
        static const PageQueryText wrong[] = { { NULL, "1", "2", NULL }, { "", "1", "2", NULL },
                { ",", "1", "2", NULL }, { "1,", "1", "2", NULL }, { "1,,2", "1", "2", NULL }, { "1 ", "1", "2", NULL },
                { "-1", "1", "2", NULL }, { "4294967296", "1", "2", NULL }, { "1", NULL, "2", NULL },
                { "1", "1", NULL, NULL }, { "1", "2", "2", NULL }, { "1", "3", "2", NULL },
                { "1", "0", "4102444800001", NULL }, { "1", "0", "99999999999999999999999", NULL },
                { "1", "0", "2000000000000", NULL }, { "1", "1", "2", "" }, { "1", "1", "2", "0" },
                { "1", "1", "2", "2001" }, { "1", "1", "2", "1e3" }, { "1", "1.5", "2", NULL },
                { "{\"$gt\":0}", "1", "2", NULL }, { "1;drop table series", "1", "2", NULL } };
        PageQuery query;

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                const char *words = page_query_parse(&wrong[i], &query);

                assert_non_null(words);
                assert_null(strpbrk(words, "\"\\"));
        }
        assert_null(page_query_parse(&(PageQueryText){ "17,18,17", "1000", "2000", NULL }, &query));
        assert_int_equal(query.n, 2);
        assert_int_equal(query.series[1], 18);
        assert_int_equal(query.points, PAGE_QUERY_POINTS);
        assert_int_equal(query.to - query.from, 1000);
}

static void test_too_much(void **state) {
        PageQuery query;
        Bytes ids = {};

        for (int i = 1; i <= PAGE_QUERY_SERIES_MAX; i++)
                assert_int_equal(bytes_append_format(&ids, "%s%d", i > 1 ? "," : "", i), 0);
        assert_null(page_query_parse(&(PageQueryText){ ids.data, "0", "1", "300" }, &query));
        assert_non_null(page_query_parse(&(PageQueryText){ ids.data, "0", "1", "600" }, &query));
        assert_int_equal(bytes_append_text(&ids, ",1000"), 0);
        assert_non_null(page_query_parse(&(PageQueryText){ ids.data, "0", "1", "1" }, &query));
        bytes_done(&ids);
}

/* ---- answers ---- */

static void limits(void *userdata, const PageSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to) {
        each(to, &(SinkLimit){ "<b>hot</b>", "above", 28, 27.5 });
}

static void test_render_series(void **state) {
        char *name = (char *) "co2", *value = (char *) "CO₂", *hidden = (char *) "/gone", *nothing = (char *) "";
        ConfigPair pairs[] = { { hidden, &nothing }, { name, &value } };
        const PageShown shown = { .names = &(ConfigMap){ pairs, 2 }, .limits = limits };
        PageSeriesTable *table;
        PageSeries *series;
        Bytes json = {};
        Json *tree, *one;
        int64_t number;

        assert_int_equal(page_series_new(&table), 0);
        assert_int_equal(
                page_series_find(table, &(PageSeriesKey){ "s", "</script>", "{\"site\":\"x\"}", "/co2" }, 0, &series),
                PAGE_SERIES_ADDED);
        assert_int_equal(page_series_note(series, "<img onerror=\"x\">\xe2\x80\xae", PUBLISHED, 612.5,
                                 &(PageSigns){ PUBLISHED - 5, PUBLISHED - 4, true, 7 }),
                0);
        assert_int_equal(page_series_note(series, "late", PUBLISHED - 1, 1, &(PageSigns){ 1, 2, false, 0 }), 0);
        assert_int_equal(
                page_series_find(table, &(PageSeriesKey){ "s", "d", "{}", "/gone" }, 0, &series), PAGE_SERIES_ADDED);
        assert_int_equal(page_render_series(table, &shown, &json), 0);
        assert_int_equal(json_parse(json.data, json.size, &tree), 0);
        one = json_at(json_get(tree, "series"), 0);
        assert_null(json_at(json_get(tree, "series"), 1)); /* the other one is hidden */
        assert_string_equal(json_get_string(one, "device"), "</script>");
        assert_string_equal(json_get_string(one, "name"), "<img onerror=\"x\">\xe2\x80\xae");
        assert_string_equal(json_get_string(one, "label"), "CO₂");
        assert_string_equal(json_get_string(json_get(one, "labels"), "site"), "x");
        assert_true(json_get_int(one, "order", &number) && number == 1);
        assert_true(json_get_int(json_get(one, "last"), "time", &number) && number == PUBLISHED);
        assert_string_equal(json_get_string(json_at(json_get(one, "limits"), 0), "rule"), "<b>hot</b>");
        assert_true(json_get_int(one, "changed", &number) && number == PUBLISHED - 5);
        assert_true(json_get_int(one, "moved", &number) && number == PUBLISHED - 4);
        assert_true(json_get_int(one, "beyond", &number) && number == 7);
        assert_non_null(strstr(json.data, "\"online\":false"));
        json_free(tree);
        bytes_done(&json);
        page_series_free(table);
}

static void test_render_values(void **state) {
        PageBucket buckets[] = { { .count = 2, .low = -1, .total = 1, .high = 2 }, {},
                { .count = 1, .low = 5, .total = 5, .high = 5 }, {}, {}, {} };
        const PageValues values = { 60000, 0, 180000, 3, buckets };
        const PageQuery query = { .series = { 3, 9 }, .n = 2 };
        Bytes json = {};

        assert_int_equal(page_render_values(&query, &values, &json), 0);
        assert_string_equal(json.data,
                "{\"bucket\":60000,\"from\":0,\"to\":180000,\"series\":[{\"id\":3,\"time\":[0,120000],\"minimum\":[-1,5],\"mean\":[0.5,5],\"maximum\":[2,5],\"count\":[2,1]},"
                "{\"id\":9,\"time\":[],\"minimum\":[],\"mean\":[],\"maximum\":[],\"count\":[]}]}\n");
        bytes_done(&json);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nature_remo),
                cmocka_unit_test(test_controls),
                cmocka_unit_test(test_true_and_false),
                cmocka_unit_test(test_signs),
                cmocka_unit_test(test_labels),
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_any_shape),
                cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_too_large),
                cmocka_unit_test(test_caps),
                cmocka_unit_test(test_queue),
                cmocka_unit_test(test_queries),
                cmocka_unit_test(test_too_much),
                cmocka_unit_test(test_render_series),
                cmocka_unit_test(test_render_values),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
