/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/err.h"
#include "lib/crypto.h"
#include "publish/shape.h"

#define WALL (UINT64_C(1795501658123) * USEC_PER_MSEC) /* 2026-11-24T06:27:38.123Z */
#define AT "2026-11-24T06:27:38.123Z"
#define OWN "\"source\":\"src\",\"id\":\"src\",\"request_at\":\"" AT "\"}"

static char notes[2000];

static uint64_t fixed_random(void) {
        return 42;
}

static void take_note(void *userdata, const char *kind, const char *device, const char *text) {
        size_t n = strlen(notes);

        (void) snprintf(notes + n, sizeof(notes) - n, "%s/%s: %s\n", kind, device, text);
}

static ShapeOrigin origin_of(void) {
        notes[0] = '\0';
        return (ShapeOrigin){
                .source = "src", .type = "http_json", .arrived = WALL, .random = fixed_random, .note = take_note
        };
}

static size_t left_out; /* of the document that was read last */

/* The payloads of all readings, a line each. */
static char *shape_with(
        const ShapeConfig *config, const ShapeOrigin *origin, const char *text, size_t size, ReadingList *list) {
        static char lines[20000];
        size_t n = 0;

        assert_int_equal(shape_read(config, origin, (Slice){ text, size }, list), 0);
        left_out = list->n_left_out;
        lines[0] = '\0';
        for (size_t i = 0; i < list->n; i++)
                n += (size_t) snprintf(
                        lines + n, sizeof(lines) - n, "%s%s", i > 0 ? "\n" : "", list->items[i].payload.data);
        return lines;
}

static void check(const ShapeConfig *config, const char *text, const char *expected) {
        ShapeOrigin origin = origin_of();
        ReadingList list = {};

        assert_string_equal(shape_with(config, &origin, text, strlen(text), &list), expected);
        assert_int_equal(list.n_unreadable, 0);
        reading_list_done(&list);
}

static void check_unreadable(const ShapeConfig *config, const char *text, const char *part) {
        ShapeOrigin origin = origin_of();
        ReadingList list = {};

        (void) shape_with(config, &origin, text, strlen(text), &list);
        assert_int_equal(list.n_unreadable, 1);
        if (!strstr(list.unreadable[0].reason, part))
                fail_msg("%s: %s", text, list.unreadable[0].reason);
        reading_list_done(&list);
}

#define TEXTS(...) ((char *[]){ __VA_ARGS__, NULL })
#define TEXT(text) ((char *) (text))
#define PAIR(name, ...)                                                                                                \
        { TEXT(name), TEXTS(__VA_ARGS__) }
#define MAP(...)                                                                                                       \
        { (ConfigPair[]){ __VA_ARGS__ }, ELEMENTSOF(((ConfigPair[]){ __VA_ARGS__ })) }

/* ---- documents ---- */

static void test_as_it_is(void **state) {
        const ShapeConfig none = {};

        check(&none, "{\"t\": 21.50,\"big\":12345678901234567890, \"o\":{\"a\":[1, 2]}}",
                "{\"t\":21.50,\"big\":12345678901234567890,\"o\":{\"a\":[1, 2]}," OWN);
        check(&none, "[{\"a\":1},{\"a\":2}]", "{\"a\":1," OWN "\n{\"a\":2," OWN); /* a list gives its elements */
        check(&none, "[]", "");
        check(&none, "{\"\\u3042\":\"\\ud83d\\ude00\"}", "{\"\xe3\x81\x82\":\"\\ud83d\\ude00\"," OWN);
}

static void test_bare_values(void **state) {
        const ShapeConfig none = {};
        ShapeOrigin origin = origin_of();
        ReadingList list = {};

        check(&none, "23.4", "{\"value\":23.4," OWN);
        check(&none, " ON\r\n", "{\"value\":\"ON\"," OWN);
        check(&none, "\"ON\"", "{\"value\":\"ON\"," OWN);
        check(&none, "true", "{\"value\":true," OWN);
        check(&none,
                "25 \xc2\xb0"
                "C",
                "{\"value\":\"25 \xc2\xb0"
                "C\"," OWN);
        check(&none, "nan", ""); /* ESPHome */
        assert_int_equal(left_out, 1);
        check(&none, "unavailable", "");
        check(&none, "null", "");
        origin.field = slice_of("temperature");
        origin.id = slice_of("node/1");
        origin.name = slice_of("Node");
        assert_string_equal(shape_with(&none, &origin, "23.4", 4, &list),
                "{\"temperature\":23.4,\"source\":\"src\",\"id\":\"node/1\",\"name\":\"Node\",\"request_at\":\"" AT
                "\"}");
        assert_string_equal(list.items[0].device, "node/1");
        reading_list_done(&list);
}

/* JSON over several lines, of a program or in NDJSON: no line of it is a text that a device has measured. */
static void test_lines_of_json(void **state) {
        static const char *const lines[] = { "{", "\"te\": 21.5,", "  \"hu\": 40", "\"list\": [", "],", "}", "}," };
        const ShapeConfig none = {};

        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                check_unreadable(&none, lines[i], i == 0 ? "over several lines" : "neither JSON nor a text");
        check(&none, "\"ON\"", "{\"value\":\"ON\"," OWN);
}

/* As programs write it: strlen() + 1, a byte order mark, numbers that are none. */
static void test_nearly_json(void **state) {
        const ShapeConfig none = {};
        ShapeOrigin origin = origin_of();
        ReadingList list = {};

        assert_string_equal(shape_with(&none, &origin, "\xef\xbb\xbf{\"a\":1}\0\0", 12, &list), "{\"a\":1," OWN);
        reading_list_done(&list);
        check(&none, "{\"te\":21.5,\"unit\":\"\xb0\",\"\x83\":[\"\xff\"]}",
                "{\"te\":21.5,\"unit\":\"?\",\"?\":[\"?\"]," OWN);
        check(&none, "{\"a\":NaN,\"b\":1,\"c\":-Infinity,\"d\":[NaN, 2],\"e\":\"NaN is text\"}",
                "{\"b\":1,\"d\":[null, 2],\"e\":\"NaN is text\"," OWN);
        check_unreadable(&none, "{\"a\":1", "its JSON breaks off (byte 6), as if it were written over several lines");
        check_unreadable(&none, "{'a':1}", "not JSON");
        check_unreadable(&none, "", "empty");
        check_unreadable(&none, "{\"a\":1,}", "not JSON (byte 7)");
        check_unreadable(&none, "\x01", "neither JSON nor a text");
        check_unreadable(&none, "caf\xe9", "neither JSON nor a text");
        check_unreadable(&none, "{\"a\":\"\\ud800\"}", "cut in the middle of a character");
        check_unreadable(&none, "[[1,2]]", "fields");
        check_unreadable(&none,
                "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
                "nested more than 80 deep"); /* 81 */
}

/* An item that cannot be read does not harm its neighbours (P6), and is kept raw. */
static void test_neighbours(void **state) {
        const ShapeConfig config = { .id = TEXT("/id") };
        ShapeOrigin origin = origin_of();
        ReadingList list = {};
        const char *text =
                "[{\"id\":\"a\",\"v\":1},{\"v\":2},{\"id\":\"\",\"v\":3},{\"id\":7,\"v\":4},{\"id\":{},\"v\":5},{\"id\":null,\"v\":6}]";

        origin.topic = slice_of("t/1");
        assert_string_equal(shape_with(&config, &origin, text, strlen(text), &list),
                "{\"v\":1,\"source\":\"src\",\"id\":\"a\",\"request_at\":\"" AT "\"}\n"
                "{\"v\":4,\"source\":\"src\",\"id\":\"7\",\"request_at\":\"" AT "\"}");
        assert_int_equal(list.n_unreadable, 4);
        assert_string_equal(list.unreadable[0].payload.data, "{\"v\":2}");
        assert_string_equal(list.unreadable[0].topic, "t/1");
        assert_string_equal(list.items[1].key, AT ":src:7:000000000000002a");
        assert_string_equal(list.items[1].type, "http_json");
        reading_list_done(&list);
}

/* What is not kept is counted: nobody else tells that it came. */
static void test_many_unreadable(void **state) {
        const ShapeConfig config = { .id = (char *) "/id" };
        ShapeOrigin origin = origin_of();
        ReadingList list = {}, all = {};
        Bytes text = {};

        assert_int_equal(bytes_append_text(&text, "[{\"v\":0}"), 0);
        for (int i = 1; i < 1200; i++)
                assert_int_equal(bytes_append_format(&text, ",{\"v\":%d}", i), 0);
        assert_int_equal(bytes_append_text(&text, ",{\"id\":\"a\",\"v\":1}]"), 0);
        for (int i = 1; i <= 2; i++) {
                assert_int_equal(shape_read(&config, &origin, (Slice){ text.data, text.size }, &list), 0);
                assert_int_equal(list.n, 1);
                assert_int_equal(list.n_unreadable, 1000);
                assert_int_equal(list.n_dropped, 200);
                assert_int_equal(reading_list_move(&all, &list), 0);
                assert_int_equal(all.n_unreadable + all.n_dropped, 1200 * i);
        }
        reading_list_done(&all);
        bytes_done(&text);
}

/* A name that was cut in the middle of an emoji has no UTF-8 form. */
static void test_cut_character(void **state) {
        const ShapeConfig config = { .id = TEXT("/id") },
                          fields = { .id = TEXT("/id"), .fields = MAP(PAIR("v", TEXT("/v"))) },
                          columns = { .items = TEXTS(TEXT("/v/*")),
                                  .fields = MAP(PAIR("v", TEXT("/v/*")), PAIR("n", TEXT("/n/*"))) };
        ShapeOrigin origin = origin_of();
        ReadingList list = {};
        const char *text =
                "[{\"id\":\"a\",\"n\":\"x\\ud83d\",\"v\":1},{\"id\":\"b\",\"v\":2},{\"id\":\"c\",\"\\ud83d\":3}]";

        assert_string_equal(shape_with(&config, &origin, text, strlen(text), &list),
                "{\"v\":2,\"source\":\"src\",\"id\":\"b\",\"request_at\":\"" AT "\"}");
        assert_int_equal(list.n_unreadable, 2);
        assert_string_equal(list.unreadable[0].payload.data, "{\"id\":\"a\",\"n\":\"x\\ud83d\",\"v\":1}");
        reading_list_done(&list);
        check(&fields, "[{\"id\":\"a\",\"n\":\"x\\ud83d\",\"v\":1}]",
                "{\"v\":1,\"source\":\"src\",\"id\":\"a\",\"request_at\":\"" AT "\"}");
        text = "{\"v\":[1,2],\"n\":[\"\\ud83d\",\"b\"]}";
        assert_string_equal(shape_with(&columns, &origin, text, strlen(text), &list), "{\"v\":2,\"n\":\"b\"," OWN);
        assert_int_equal(list.n_unreadable, 1);
        reading_list_done(&list);
}

/* ---- items ---- */

static void test_items(void **state) {
        const ShapeConfig body = { .items = TEXTS(TEXT("/body")) };
        const ShapeConfig star = { .items = TEXTS(TEXT("/rooms/*")), .id = TEXT("*") };
        const ShapeConfig two = {
                .items = TEXTS(TEXT("/stations/*/modules/*")), .id = TEXT("/_id"), .name = TEXT("/stations/*/name")
        };
        const ShapeConfig several = { .items = TEXTS(TEXT("/a"), TEXT("/b/*"), TEXT("/none")) };

        check(&body, "{\"statusCode\":100,\"body\":{\"t\":1}}", "{\"t\":1," OWN);
        check(&body, "{\"body\":[{\"t\":1},{\"t\":2}]}", "{\"t\":1," OWN "\n{\"t\":2," OWN);
        check(&body, "{\"other\":1}", "");
        check(&star, "{\"rooms\":{\"bed \\\"1\\\"\":{\"t\":1},\"bath\":2}}",
                "{\"t\":1,\"source\":\"src\",\"id\":\"bed \\\"1\\\"\",\"request_at\":\"" AT "\"}\n"
                "{\"value\":2,\"source\":\"src\",\"id\":\"bath\",\"request_at\":\"" AT "\"}");
        check(&star, "{\"rooms\":[{\"t\":1},{\"t\":2}]}",
                "{\"t\":1,\"source\":\"src\",\"id\":\"0\",\"request_at\":\"" AT "\"}\n"
                "{\"t\":2,\"source\":\"src\",\"id\":\"1\",\"request_at\":\"" AT "\"}");
        check(&two,
                "{\"stations\":[{\"name\":\"A\",\"modules\":[{\"_id\":\"m1\",\"co2\":1},{\"_id\":\"m2\",\"co2\":2}]},{\"name\":\"B\",\"modules\":[{\"_id\":\"m3\",\"co2\":3}]}]}",
                "{\"_id\":\"m1\",\"co2\":1,\"source\":\"src\",\"id\":\"m1\",\"name\":\"A\",\"request_at\":\"" AT "\"}\n"
                "{\"_id\":\"m2\",\"co2\":2,\"source\":\"src\",\"id\":\"m2\",\"name\":\"A\",\"request_at\":\"" AT "\"}\n"
                "{\"_id\":\"m3\",\"co2\":3,\"source\":\"src\",\"id\":\"m3\",\"name\":\"B\",\"request_at\":\"" AT "\"}");
        check(&several, "{\"a\":{\"x\":1},\"b\":{\"k\":{\"x\":2}}}", "{\"x\":1," OWN "\n{\"x\":2," OWN);
}

static void test_parallel_arrays(void **state) {
        const ShapeConfig config = {
                .items = TEXTS(TEXT("/hourly/time/*")),
                .time = TEXT("/value"),
                .time_format = SHAPE_UNIX,
                .fields = MAP(PAIR("t", TEXT("/hourly/temp/*")), PAIR("h", TEXT("/hourly/hum/*"))),
        };

        check(&config,
                "{\"hourly\":{\"time\":[1700000000,1700000060,1700000120],\"temp\":[1.5,2.5],\"hum\":[10,null,30]}}",
                "{\"t\":1.5,\"h\":10,\"source\":\"src\",\"id\":\"src\",\"request_at\":\"" AT
                "\",\"measured_at\":\"2023-11-14T22:13:20.000Z\"}\n"
                "{\"t\":2.5,\"source\":\"src\",\"id\":\"src\",\"request_at\":\"" AT
                "\",\"measured_at\":\"2023-11-14T22:14:20.000Z\"}\n"
                "{\"h\":30,\"source\":\"src\",\"id\":\"src\",\"request_at\":\"" AT
                "\",\"measured_at\":\"2023-11-14T22:15:20.000Z\"}");
}

/* Many programs write the members of an object in any order, and not the same ones in each. */
static void test_parallel_objects(void **state) {
        const ShapeConfig config = { .items = TEXTS(TEXT("/te/*")),
                .fields = MAP(PAIR("te", TEXT("/value")), PAIR("hu", TEXT("/hu/*"))) };

        check(&config,
                "{\"te\":{\"b\":1,\"ab\":2,\"a\":3},\"hu\":{\"\":40,\"abc\":9,\"a\":30,\"b\":10,\"ba\":9,\"b\":11}}",
                "{\"te\":1,\"hu\":10," OWN "\n{\"te\":2," OWN "\n{\"te\":3,\"hu\":30," OWN);
}

static void test_pairs(void **state) {
        const ShapeConfig config = {
                .items = TEXTS(TEXT("/points")),
                .time = TEXT("/1"),
                .time_format = SHAPE_UNIX_MS,
                .fields = MAP(PAIR("v", TEXT("/0"))),
        };

        check(&config, "{\"points\":[[7,1700000001000.5],[8,\"1700000002000\"]]}",
                "{\"v\":7,\"source\":\"src\",\"id\":\"src\",\"request_at\":\"" AT
                "\",\"measured_at\":\"2023-11-14T22:13:21.001Z\"}\n"
                "{\"v\":8,\"source\":\"src\",\"id\":\"src\",\"request_at\":\"" AT
                "\",\"measured_at\":\"2023-11-14T22:13:22.000Z\"}");
}

static void test_many_items(void **state) {
        const ShapeConfig config = { .fields = MAP(PAIR("v", TEXT("/*"))) };
        ShapeOrigin origin = origin_of();
        ReadingList list = {};
        Bytes text = {};

        assert_int_equal(bytes_append_text(&text, "[0"), 0);
        for (int i = 1; i <= SHAPE_ITEMS_MAX; i++)
                assert_int_equal(bytes_append_format(&text, ",%d", i), 0);
        assert_int_equal(bytes_append_text(&text, "]"), 0);
        assert_int_equal(shape_read(&config, &origin, (Slice){ text.data, text.size }, &list), 0);
        assert_int_equal(list.n, SHAPE_ITEMS_MAX);
        assert_non_null(strstr(list.items[SHAPE_ITEMS_MAX - 1].payload.data, "{\"v\":9999,"));
        assert_non_null(strstr(notes, "more than 10000 items"));
        assert_int_equal(shape_count(&config, (Slice){ text.data, text.size }), SHAPE_ITEMS_MAX + 1);
        (void) strcpy(strrchr(text.data, ','), "]");
        assert_int_equal(shape_count(&config, (Slice){ text.data, strlen(text.data) }), SHAPE_ITEMS_MAX);
        reading_list_done(&list);
        bytes_done(&text);
}

/* Mostly `items` is wrong then: what is lost must be seen in the status. An empty list is a good answer. */
static void test_items_lead_nowhere(void **state) {
        const ShapeConfig config = { .items = TEXTS(TEXT("/points"), TEXT("/more/*")) };

        check(&config, "{\"data\":[1]}", "");
        assert_int_equal(left_out, 1);
        check(&config, "{\"points\":[],\"more\":[]}", "");
        assert_int_equal(left_out, 0);
        check(&config, "{\"more\":[7]}", "{\"value\":7," OWN);
        assert_int_equal(left_out, 0);
}

static void check_again(const ShapeConfig *config, const char *raw, const char *expected) {
        ShapeOrigin origin = origin_of();
        ReadingList list = {};

        assert_int_equal(shape_reread(config, &origin, (Slice){ raw, strlen(raw) }, &list), 0);
        assert_int_equal(list.n, expected ? 1 : 0);
        if (expected)
                assert_string_equal(list.items[0].payload.data, expected);
        reading_list_done(&list);
}

/* What was kept is a whole document, or one item of it. */
static void test_read_again(void **state) {
        const ShapeConfig none = {},
                          config = { .items = TEXTS(TEXT("/points")), .where = MAP(PAIR("ok", TEXT("true"))) },
                          fields = { .fields = MAP(PAIR("v", TEXT("/0"))) };

        check_again(&none, "{\"a\":1}", "{\"a\":1," OWN);
        check_again(&fields, "[7,8]", "{\"v\":7," OWN); /* an item, not a list of items */
        check_again(&config, "{\"points\":[{\"ok\":true}]}", "{\"ok\":true," OWN);
        check_again(&config, "{\"ok\":true}", "{\"ok\":true," OWN);
        check_again(&config, "{\"ok\":true,\"points\":[{\"ok\":false}]}", NULL); /* the item is left out */
        check_again(&config, "{\"ok\":true,\"points\":[]}", NULL);
        check_again(&config, "{", NULL);
}

/* ---- where, id, name ---- */

static void test_where(void **state) {
        const ShapeConfig config = { .where = MAP(PAIR("state", TEXT("on"), TEXT("25")),
                                             PAIR("/attributes/unit", TEXT("C"))) };

        check(&config,
                "[{\"state\":\"on\",\"attributes\":{\"unit\":\"C\"}},{\"state\":\"on\"},{\"state\":25.0,\"attributes\":{\"unit\":\"C\"}},"
                "{\"state\":\"25.0\",\"attributes\":{\"unit\":\"C\"}},{\"state\":\"off\",\"attributes\":{\"unit\":\"C\"}}]",
                "{\"state\":\"on\",\"attributes\":{\"unit\":\"C\"}," OWN
                "\n{\"state\":25.0,\"attributes\":{\"unit\":\"C\"}," OWN);
        assert_int_equal(left_out, 3);
}

static void test_names(void **state) {
        const ShapeConfig config = { .id = TEXT("/deviceId"),
                .name = TEXT("/label"),
                .names = MAP(PAIR("B0", TEXT("\xe5\xaf\x9d\xe5\xae\xa4"))) };
        const ShapeConfig fixed = { .id = TEXT("meter"), .name = TEXT("Meter") };

        check(&config,
                "[{\"deviceId\":\"B0\",\"label\":\"x\",\"v\":1},{\"deviceId\":\"B1\",\"label\":\"y\",\"v\":2},{\"deviceId\":\"B2\",\"label\":null,\"v\":3}]",
                "{\"deviceId\":\"B0\",\"label\":\"x\",\"v\":1,\"source\":\"src\",\"id\":\"B0\",\"name\":\"\xe5\xaf\x9d\xe5\xae\xa4\",\"request_at\":\"" AT
                "\"}\n"
                "{\"deviceId\":\"B1\",\"label\":\"y\",\"v\":2,\"source\":\"src\",\"id\":\"B1\",\"name\":\"y\",\"request_at\":\"" AT
                "\"}\n"
                "{\"deviceId\":\"B2\",\"v\":3,\"source\":\"src\",\"id\":\"B2\",\"request_at\":\"" AT "\"}");
        check(&fixed, "{\"v\":1}",
                "{\"v\":1,\"source\":\"src\",\"id\":\"meter\",\"name\":\"Meter\",\"request_at\":\"" AT "\"}");
}

/* An item's own members of our names keep theirs with `_` behind where they say something else. */
static void test_reserved_names(void **state) {
        const ShapeConfig config = { .id = TEXT("/id"), .time = TEXT("/measured_at") };
        Bytes labels = {};
        ShapeOrigin origin = origin_of();
        ReadingList list = {};
        const char *text = "{\"id\":12,\"source\":\"them\",\"source_\":1,\"request_at\":\"x\",\"name\":\"N\","
                           "\"measured_at\":\"2026-11-24T15:27:38+09:00\",\"site\":\"there\",\"v\":1}";

        assert_int_equal(reading_labels_add(&labels, "site", "here"), 0);
        origin.labels = bytes_slice(&labels);
        assert_string_equal(shape_with(&config, &origin, text, strlen(text), &list),
                "{\"source__\":\"them\",\"source_\":1,\"request_at_\":\"x\",\"name\":\"N\",\"site_\":\"there\",\"v\":1,"
                "\"site\":\"here\",\"source\":\"src\",\"id\":\"12\",\"request_at\":\"" AT
                "\",\"measured_at\":\"2026-11-24T06:27:38.000Z\"}");
        assert_int_equal(list.items[0].labels.size, sizeof("site") + sizeof("here"));
        reading_list_done(&list);
        bytes_done(&labels);
}

/* ... and never get a name that another of `fields` has: no sink takes two fields of one name. */
static void test_reserved_names_of_fields(void **state) {
        const ShapeConfig config = { .id = TEXT("/dev"),
                .fields = MAP(PAIR("id", TEXT("/a")), PAIR("id_", TEXT("/b"))) };

        check(&config, "{\"dev\":\"x\",\"a\":1,\"b\":2}",
                "{\"id__\":1,\"id_\":2,\"source\":\"src\",\"id\":\"x\",\"request_at\":\"" AT "\"}");
}

/* ---- time and key ---- */

static void test_time_missing(void **state) {
        const ShapeConfig config = { .id = TEXT("/id"), .time = TEXT("/at") };

        check(&config, "[{\"id\":\"a\",\"v\":1},{\"id\":\"b\",\"at\":\"soon\",\"v\":1}]",
                "{\"v\":1,\"source\":\"src\",\"id\":\"a\",\"request_at\":\"" AT "\"}\n"
                "{\"at\":\"soon\",\"v\":1,\"source\":\"src\",\"id\":\"b\",\"request_at\":\"" AT "\"}");
        assert_string_equal(notes,
                "time/a: has no time in /at (nothing); the time of arrival is used\n"
                "time/b: has no time in /at (soon); the time of arrival is used (is `time_format` right?)\n");
}

/* A module of Netatmo that is out of reach has no `dashboard_data`: it is no reading, and there is nothing to say. */
static void test_time_of_nothing(void **state) {
        const ShapeConfig config = {
                .id = TEXT("/id"), .time = TEXT("/data/at"), .fields = MAP(PAIR("v", TEXT("/data/v")))
        };

        check(&config, "[{\"id\":\"a\",\"reachable\":false}]", "");
        assert_int_equal(left_out, 1);
        assert_string_equal(notes, "");
}

/* A place without its slash would make one device of all. */
static void test_word_that_is_a_member(void **state) {
        const ShapeConfig config = { .id = TEXT("id"), .name = TEXT("info.label") };
        const ShapeConfig meant = { .id = TEXT("co2"), .name = TEXT("study.x") };

        check(&config, "[{\"id\":12,\"info\":{\"label\":\"A\"}}]",
                "{\"id_\":12,\"info\":{\"label\":\"A\"},\"source\":\"src\",\"id\":\"id\",\"name\":\"info.label\","
                "\"request_at\":\"" AT "\"}");
        assert_string_equal(notes,
                "id/: `id: id` of `reading` is a literal text, the same for all devices; the item's own value is at /id\n"
                "name/: `name: info.label` of `reading` is a literal text, the same for all devices; the item's own "
                "value is at /info\n");
        check(&meant, "{\"co2\":612,\"study\":1}",
                "{\"co2\":612,\"study\":1,\"source\":\"src\",\"id\":\"co2\",\"name\":\"study.x\","
                "\"request_at\":\"" AT "\"}");
        assert_string_equal(notes, "");
}

/* The same point fetched twice has one key and one payload, whenever it was fetched; another site's has another. */
static void test_once_per_measurement(void **state) {
        const ShapeConfig config = { .id = TEXT("/id"), .time = TEXT("/at"), .once_per = SHAPE_MEASUREMENT };
        const char *text = "{\"id\":\"a\",\"at\":\"2026-01-01T00:00:00Z\",\"v\":1}", *late = "{\"id\":\"a\",\"v\":1}";
        Bytes labels = {};
        ShapeOrigin origin = origin_of();
        ReadingList list = {};

        (void) shape_with(&config, &origin, text, strlen(text), &list);
        origin.arrived += USEC_PER_HOUR;
        assert_int_equal(shape_read(&config, &origin, (Slice){ text, strlen(text) }, &list), 0);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.items[0].payload.data,
                "{\"at\":\"2026-01-01T00:00:00Z\",\"v\":1,\"source\":\"src\",\"id\":\"a\",\"request_at\":\"2026-01-01T00:00:00.000Z\",\"measured_at\":\"2026-01-01T00:00:00.000Z\"}");
        assert_string_equal(list.items[1].payload.data, list.items[0].payload.data);
        assert_string_equal(list.items[0].key, list.items[1].key);

        char hex[SHA256_HEX_SIZE], key[100];
        (void) crypto_sha256_hex(list.items[0].payload.data, list.items[0].payload.size, hex);
        (void) snprintf(key, sizeof(key), "2026-01-01T00:00:00.000Z:src:a:%.16s", hex);
        assert_string_equal(list.items[0].key, key);

        assert_int_equal(reading_labels_add(&labels, "site", "b"), 0);
        origin.labels = bytes_slice(&labels);
        assert_int_equal(shape_read(&config, &origin, (Slice){ text, strlen(text) }, &list), 0);
        assert_string_not_equal(list.items[2].key, list.items[0].key);
        assert_int_equal(shape_read(&config, &origin, (Slice){ late, strlen(late) }, &list), 0);
        assert_non_null(strstr(list.items[3].key, ":000000000000002a")); /* random, where there is no time */
        reading_list_done(&list);
        bytes_done(&labels);
}

static void check_time(const char *text, ShapeTime format, int64_t expected) {
        int64_t msec = -1;

        assert_int_equal(shape_time(text, format, &msec), expected >= 0);
        assert_int_equal(msec, expected);
}

static void test_times(void **state) {
        check_time("1971-01-01T09:00:01.5+09:00", SHAPE_RFC3339, INT64_C(31536001500));
        check_time("1970-01-01T00:00:08Z", SHAPE_RFC3339, -1); /* a clock that was never set: of Tasmota, */
        check_time("5.01", SHAPE_UNIX, -1);                    /* of a Shelly that has just started */
        check_time("1970-01-01T00:00:01", SHAPE_RFC3339, -1);
        check_time("1969-01-01T00:00:01Z", SHAPE_RFC3339, -1);
        check_time("1700000000", SHAPE_UNIX, INT64_C(1700000000000));
        check_time("1680962879.62", SHAPE_UNIX, INT64_C(1680962879620));
        check_time("1.7e9", SHAPE_UNIX, INT64_C(1700000000000));
        check_time("1700000000123.9", SHAPE_UNIX_MS, INT64_C(1700000000124));
        check_time("-1", SHAPE_UNIX, -1);
        check_time("1e300", SHAPE_UNIX, -1);
        check_time("", SHAPE_UNIX, -1);
        assert_int_equal(setenv("TZ", "JST-9", 1), 0);
        tzset();
        check_time("2017-02-16T10:13:52", SHAPE_LOCAL, INT64_C(1487207632000)); /* Tasmota */
        check_time("2017-02-16 10:13:52.25", SHAPE_LOCAL, INT64_C(1487207632250));
        check_time("2017-02-16T10:13", SHAPE_LOCAL, INT64_C(1487207580000)); /* Open-Meteo */
        check_time("2017-02-16T10:1x", SHAPE_LOCAL, -1);
        check_time("2017-02-16T10:13:52+00:00", SHAPE_LOCAL, INT64_C(1487240032000));
        check_time("2017-02-30T10:13:52", SHAPE_LOCAL, -1);
        assert_int_equal(unsetenv("TZ"), 0);
}

/* What a clock shows twice has one time, whatever was read before it: a point that comes again is known by it. */
static void test_local_times_at_a_change(void **state) {
        static const char *const before[] = { "2026-10-25T01:30:00", "2026-10-25T04:30:00", "2026-07-01T00:00:00",
                "2026-12-01T00:00:00" };
        int64_t msec;

        assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
        for (size_t i = 0; i < ELEMENTSOF(before); i++) {
                assert_true(shape_time(before[i], SHAPE_LOCAL, &msec));
                check_time("2026-10-25T02:30:00", SHAPE_LOCAL, INT64_C(1792888200000)); /* the first time */
                assert_true(shape_time(before[i], SHAPE_LOCAL, &msec));
                check_time("2026-03-29T02:30:00", SHAPE_LOCAL, INT64_C(1774747800000)); /* never */
        }
        check_time("2026-10-25T01:59:59", SHAPE_LOCAL, INT64_C(1792886399000));
        check_time("2026-10-25T03:00:00", SHAPE_LOCAL, INT64_C(1792893600000));
        check_time("2026-03-29T01:59:59", SHAPE_LOCAL, INT64_C(1774745999000));
        check_time("2026-03-29T03:00:00", SHAPE_LOCAL, INT64_C(1774746000000));
        assert_int_equal(unsetenv("TZ"), 0);
}

/* ---- numbers, missing ---- */

static void check_number(const char *text, const char *thousands, const char *expected) {
        Bytes number = {};
        bool good = shape_number(text, thousands, &number);

        assert_int_equal(good, expected != NULL);
        if (good)
                assert_string_equal(number.data, expected);
        bytes_done(&number);
}

static void test_numbers(void **state) {
        static const struct {
                const char *text, *thousands, *expected;
        } rows[] = {
                { "25", NULL, "25" },
                { " 25.50 ", NULL, "25.50" },
                { "+7", NULL, "7" },
                { "-0.5", NULL, "-0.5" },
                { "007", NULL, "7" },
                { "000", NULL, "0" },
                { ".5", NULL, "0.5" },
                { "5.", NULL, "5" },
                { "5.e1", NULL, "5e1" },
                { "5..", NULL, NULL },
                { "0..5", NULL, NULL },
                { "1e3", NULL, "1e3" },
                { "-.5E-2", NULL, "-0.5E-2" },
                { "1,765,372", ",", "1765372" },
                { "1,765,372.5", ",", "1765372.5" },
                { "12", ",", "12" },
                { "1,76", ",", NULL },
                { "1234,567", ",", NULL },
                { "1,765,372", NULL, NULL },
                { "", NULL, NULL },
                { "abc", NULL, NULL },
                { "12 C", NULL, NULL },
                { "0x10", NULL, NULL },
                { "1e", NULL, NULL },
                { "1e999", NULL, NULL },
                { "--1", NULL, NULL },
                { ".", NULL, NULL },
                { "nan", NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                check_number(rows[i].text, rows[i].thousands, rows[i].expected);
}

static void test_number_members(void **state) {
        const ShapeConfig config = { .numbers = TEXTS(TEXT("state"), TEXT("n")), .thousands = TEXT(",") };
        const ShapeConfig every = { .numbers = TEXTS(TEXT("*"), TEXT("n")) };

        check(&config, "{\"state\":\"21.5\",\"n\":7,\"text\":\"25\"}", "{\"state\":21.5,\"n\":7,\"text\":\"25\"," OWN);
        assert_string_equal(notes, "");
        check(&config, "{\"state\":\"warm\",\"n\":\"1,024\"}", "{\"n\":1024," OWN);
        assert_string_equal(notes, "number/src: has no number in state (warm); it is left out\n");
        check(&every, "{\"te\":\"21.5\",\"model\":\"GW 1\",\"n\":\"x\",\"none\":\"\"}",
                "{\"te\":21.5,\"model\":\"GW 1\",\"none\":\"\"," OWN);
        assert_string_equal(notes, "number/src: has no number in n (x); it is left out\n");
        check(&config, "{\"state\":\"unavailable\",\"n\":\"1\"}", "{\"n\":1," OWN);
        assert_string_equal(notes, ""); /* known, and nothing to say */
}

static void test_missing(void **state) {
        const ShapeConfig none = {}, own = { .missing = TEXTS(TEXT("-999"), TEXT("")) };

        check(&none, "{\"a\":\"unknown\",\"b\":null,\"c\":\"NaN\",\"d\":0,\"e\":\"\"}", "{\"d\":0,\"e\":\"\"," OWN);
        check(&none, "{\"a\":\"unavailable\"}", "");
        check(&own, "{\"a\":-999,\"b\":null,\"c\":\"\",\"d\":\"unknown\"}", "{\"b\":null,\"d\":\"unknown\"," OWN);
}

/* ---- no memory ---- */

/* The call for memory that fails, counted from now; 0: none. */
static unsigned fails;
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t n, size_t size);
void *__wrap_reallocarray(void *memory, size_t n, size_t size);

void *__wrap_realloc(void *memory, size_t size) {
        return fails > 0 && --fails == 0 ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t n, size_t size) {
        return fails > 0 && --fails == 0 ? NULL : __real_reallocarray(memory, n, size);
}

/* Either all of it, or that there was no memory: nothing is left out, set apart or given another name. (P1, P6) */
static void check_without_memory(const ShapeConfig *config, const char *text, const char *expected) {
        ShapeOrigin origin = origin_of();
        unsigned n = 0, left;

        fails = 0;
        do {
                ReadingList list = {};
                int r;

                fails = ++n;
                r = shape_read(config, &origin, (Slice){ text, strlen(text) }, &list);
                left = fails;
                fails = 0;
                if (r == 0) {
                        assert_int_equal(list.n, 1);
                        assert_string_equal(list.items[0].payload.data, expected);
                } else
                        assert_int_equal(r, -ENOMEM);
                assert_string_equal(notes, "");
                reading_list_done(&list);
        } while (left == 0);
        assert_true(n > 5);
}

static void test_without_memory(void **state) {
        const ShapeConfig members = { .where = MAP(PAIR("kind", TEXT("a\nb"))),
                .id = TEXT("/id"),
                .name = TEXT("/n"),
                .time = TEXT("/at"),
                .once_per = SHAPE_MEASUREMENT };
        const ShapeConfig columns = { .items = TEXTS(TEXT("/time/*")),
                .time = TEXT("/time/*"),
                .id = TEXT("*"),
                .fields = MAP(PAIR("t", TEXT("/t/*")), PAIR("none", TEXT("/none/*"))) };
        const ShapeConfig numbers = { .numbers = TEXTS(TEXT("v")) };

        check_without_memory(&members,
                "{\"kind\":\"a\\nb\",\"id\":\"x\",\"n\":\"y\",\"at\":\"2026-11-24T06:27:38Z\",\"t\":1,\"none\":\"unknown\"}",
                "{\"kind\":\"a\\nb\",\"n\":\"y\",\"at\":\"2026-11-24T06:27:38Z\",\"t\":1,\"source\":\"src\",\"id\":\"x\",\"name\":\"y\","
                "\"request_at\":\"2026-11-24T06:27:38.000Z\",\"measured_at\":\"2026-11-24T06:27:38.000Z\"}");
        check_without_memory(&columns, "{\"time\":[\"2026-11-24T06:27:38Z\"],\"t\":[21.5]}",
                "{\"t\":21.5,\"source\":\"src\",\"id\":\"0\",\"request_at\":\"" AT
                "\",\"measured_at\":\"2026-11-24T06:27:38.000Z\"}");
        check_without_memory(&numbers, "{\"v\":\"12\"}", "{\"v\":12," OWN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_as_it_is),
                cmocka_unit_test(test_bare_values),
                cmocka_unit_test(test_lines_of_json),
                cmocka_unit_test(test_nearly_json),
                cmocka_unit_test(test_neighbours),
                cmocka_unit_test(test_many_unreadable),
                cmocka_unit_test(test_cut_character),
                cmocka_unit_test(test_items),
                cmocka_unit_test(test_parallel_arrays),
                cmocka_unit_test(test_parallel_objects),
                cmocka_unit_test(test_pairs),
                cmocka_unit_test(test_many_items),
                cmocka_unit_test(test_items_lead_nowhere),
                cmocka_unit_test(test_read_again),
                cmocka_unit_test(test_where),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_reserved_names),
                cmocka_unit_test(test_reserved_names_of_fields),
                cmocka_unit_test(test_time_missing),
                cmocka_unit_test(test_time_of_nothing),
                cmocka_unit_test(test_word_that_is_a_member),
                cmocka_unit_test(test_once_per_measurement),
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_local_times_at_a_change),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_number_members),
                cmocka_unit_test(test_missing),
                cmocka_unit_test(test_without_memory),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
