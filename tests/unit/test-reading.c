/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include "publish/reading.h"

static void add(ReadingList *list, const char *text, const char *device, uint64_t random) {
        Bytes payload = {};
        assert_int_equal(bytes_append_text(&payload, text), 0);
        assert_int_equal(reading_list_add(list,
                                 &(ReadingOrigin){ .source = "home",
                                         .type = "nature_remo",
                                         .device = device,
                                         .at = "2026-11-24T06:27:38.123Z",
                                         .unique = random },
                                 &payload),
                0);
        assert_null(payload.data); /* taken */
}

/* P4: the key names source, device and time, and is drawn once. */
static void test_key(void **state) {
        ReadingList list = {};

        add(&list, "{}", "d1", 0xabc);
        add(&list, "{\"a\":1}", "d2", UINT64_MAX);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.items[0].key, "2026-11-24T06:27:38.123Z:home:d1:0000000000000abc");
        assert_string_equal(list.items[1].key, "2026-11-24T06:27:38.123Z:home:d2:ffffffffffffffff");
        assert_string_equal(list.items[1].source, "home");
        assert_string_equal(list.items[1].type, "nature_remo");
        assert_string_equal(list.items[1].device, "d2");
        assert_string_equal(list.items[1].payload.data, "{\"a\":1}");
        reading_list_done(&list);
        assert_int_equal(list.n, 0);
}

static void test_bytes(void **state) {
        ReadingList list = {};

        assert_int_equal(list.bytes, 0);
        add(&list, "{}", "d1", 1);
        uint64_t one = strlen("{}") + strlen("2026-11-24T06:27:38.123Z:home:d1:0000000000000001") + strlen("home") +
                       strlen("nature_remo") + 2;
        assert_int_equal(list.bytes, one);
        add(&list, "{}", "d2", 2);
        assert_int_equal(list.bytes, 2 * one);
        reading_list_done(&list);
}

static void test_move(void **state) {
        ReadingList list = {}, moved = {};

        for (unsigned i = 0; i < 100; i++)
                add(&list, "{}", "d", i);
        assert_int_equal(reading_list_move(&moved, &list), 0);
        assert_int_equal(list.n, 0);
        assert_null(list.items);
        assert_int_equal(moved.n, 100);
        reading_list_done(&list);
        reading_list_done(&moved);
}

/* A damaged outbox may have cut them: half a value is none. */
static void test_labels(void **state) {
        static const char labels[] = "site\0nakano\0floor\0"; /* its last value is "" */
        Slice name, value, rest = { labels, sizeof(labels) };

        assert_true(reading_labels_next(&rest, &name, &value));
        assert_true(slice_equal(name, "site") && slice_equal(value, "nakano"));
        assert_true(reading_labels_next(&rest, &name, &value));
        assert_true(slice_equal(name, "floor") && slice_equal(value, ""));
        assert_false(reading_labels_next(&rest, &name, &value));
        for (size_t size = 0; size < sizeof("site") + sizeof("nakano"); size++) {
                rest = (Slice){ labels, size };
                assert_false(reading_labels_next(&rest, &name, &value));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_key),
                cmocka_unit_test(test_bytes),
                cmocka_unit_test(test_move),
                cmocka_unit_test(test_labels),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
