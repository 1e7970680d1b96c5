/* SPDX-License-Identifier: Apache-2.0 */
/* A rule that has never had a value to judge looks like one that is content. It is listed, and told once. */
#include "alert-store-fixture.h"

#include "sinks/alert-config.h"
#include "subscribe/sink-type.h"

#define MESSAGES 1000

static void start(Place *p, const char *rules) {
        p->store = alert_store_free(p->store);
        config_unref(p->config);
        p->config = alert_parse(rules);
        open_store(p);
}

static void each(void *userdata, const SinkAlert *alert) {
        bytes_append_format(userdata, "%s %s %s\n", alert->state, alert->rule, alert->field ?: "-");
}

static void expect_list(Place *p, const char *expected) {
        const SubscriptionConfig config = config_of(p, sub_name);
        char text[SINK_ADMIN_TEXT_MAX] = "";
        _cleanup_bytes_ Bytes found = {};

        assert_int_equal(alert_config_admin.each_alert(&config, each, &found, text), SINK_ADMIN_OK);
        assert_string_equal(found.data, expected);
}

static void say_often(Place *p, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                p->wall += USEC_PER_SEC;
                assert_int_equal(say(p, "x", "\"t\":20,\"h\":\"wet\""), 0);
        }
}

static void test_a_typing_error_in_field(void **state) {
        Place *p = *state;
        Capture capture;
        const char *log;

        start(p, "        - { name: hot, field: t, above: 28 }\n"
                 "        - { name: typo, field: /T, above: 28 }\n"
                 "        - { name: damp, field: h, above: 70 }\n"
                 "        - { name: nowhere, where: { id: y }, field: t, above: 28 }\n"
                 "        - { name: silent, where: { id: y }, stale: 100h }\n");
        capture = capture_begin();
        say_often(p, MESSAGES - 1);
        log = capture_end(&capture);
        assert_int_equal(count_of(log, "typo"), 0);
        expect_list(p, "ok hot t\nok typo /T\nok damp h\nunheard typo /T\nunheard damp h\nunheard nowhere t\n");

        capture = capture_begin();
        say_often(p, 2);
        log = capture_end(&capture);
        assert_int_equal(count_of(log, "Rule typo has found no value at /T"), 1);
        assert_int_equal(count_of(log, "Rule damp has found no value at h"), 1);
        assert_int_equal(count_of(log, "Rule nowhere has found no value at t"), 1);
        assert_int_equal(count_of(log, "rule hot"), 0);
        assert_int_equal(count_of(log, "rule silent"), 0);
}

/* A door that was opened last week: its state is known from before. */
static void test_what_was_heard_before_the_start(void **state) {
        Place *p = *state;
        Capture capture;
        const char *log;

        start(p, "        - { name: door, field: open, is: true }\n");
        assert_int_equal(say(p, "x", "\"open\":true"), 0);
        start(p, "        - { name: door, field: open, is: true }\n");
        capture = capture_begin();
        say_often(p, MESSAGES + 1);
        log = capture_end(&capture);
        assert_int_equal(count_of(log, "door"), 0);
        expect_list(p, "firing door open\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_typing_error_in_field, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_was_heard_before_the_start, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
