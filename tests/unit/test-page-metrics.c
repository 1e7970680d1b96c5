/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "page-render.h"

#define NOW INT64_C(1795824000000)

static bool has_line(const Bytes *text, const char *line) {
        char wanted[300];
        int size = snprintf(wanted, sizeof(wanted), "\n%s\n", line);

        assert_in_range(size, 1, sizeof(wanted) - 1);
        return strstr(text->data, wanted);
}

static void test_figures(void **state) {
        _cleanup_(bytes_done) Bytes text = {};
        SourceStatus sources[] = {
                { .name = "home",
                        .failure.on = true,
                        .polls = 7,
                        .last_poll = UINT64_C(1795824000123456),
                        .failure.detail = "" },
                { .name = "garden", .failure.detail = "" },
        };
        SubscriberStatus subscriber = { .subscription = "a\"b\\c\nd",
                .retention = 90 * USEC_PER_SEC + 500 * USEC_PER_MSEC,
                .held = 3,
                .failure.detail = "",
                .sink = { .what = "MongoDB", .ready = true, .stored = 1234567890123, .failure.detail = "" } };
        const Figures figures = { .publishes = true,
                .sources = sources,
                .n_sources = 2,
                .subscribers = &subscriber,
                .n_subscribers = 1,
                .outbox = { .rows = 5, .max_rows = 100, .max_bytes = 1000 },
                .publisher.failure.detail = "",
                .token.failure.detail = "" };

        assert_int_equal(page_metrics_figures(&figures, &text), 0);
        assert_true(has_line(&text, "sensorqd_source_failing{source=\"home\"} 1"));
        assert_true(has_line(&text, "sensorqd_source_failing{source=\"garden\"} 0"));
        assert_true(has_line(&text, "sensorqd_source_polls_total{source=\"home\"} 7"));
        assert_true(has_line(&text, "# TYPE sensorqd_source_polls_total counter"));
        assert_true(has_line(&text, "sensorqd_source_last_poll_timestamp_seconds{source=\"home\"} 1795824000.123"));
        assert_null(strstr(text.data, "sensorqd_source_last_poll_timestamp_seconds{source=\"garden\"}"));
        assert_true(has_line(
                &text, "sensorqd_subscription_held_messages{subscription=\"a\\\"b\\\\c\\nd\",sink=\"MongoDB\"} 3"));
        assert_true(has_line(&text,
                "sensorqd_subscription_retention_seconds{subscription=\"a\\\"b\\\\c\\nd\",sink=\"MongoDB\"} 90.500"));
        assert_true(has_line(
                &text, "sensorqd_sink_stored_total{subscription=\"a\\\"b\\\\c\\nd\",sink=\"MongoDB\"} 1234567890123"));
        assert_true(has_line(&text, "sensorqd_outbox_readings 5"));
        assert_true(has_line(&text, "sensorqd_well 0"));
        assert_int_equal(text.data[text.size - 1], '\n');
}

/* What is not known is not there: a rule that compares with it would fire for ever. */
static void test_retention_unknown(void **state) {
        _cleanup_(bytes_done) Bytes text = {};
        SubscriberStatus subscriber = {
                .subscription = "s", .failure.detail = "", .sink = { .what = "MongoDB", .failure.detail = "" }
        };

        assert_int_equal(
                page_metrics_figures(
                        &(Figures){ .subscribers = &subscriber, .n_subscribers = 1, .token.failure.detail = "" },
                        &text),
                0);
        assert_null(strstr(text.data, "sensorqd_subscription_retention_seconds{"));
}

/* Without a section `publish` there is neither an outbox nor a source to tell of. */
static void test_subscribes_only(void **state) {
        _cleanup_(bytes_done) Bytes text = {};

        assert_int_equal(page_metrics_figures(&(Figures){ .token.failure.detail = "" }, &text), 0);
        assert_null(strstr(text.data, "sensorqd_outbox"));
        assert_null(strstr(text.data, "sensorqd_source"));
}

static void put_with(
        PageSeriesTable *table, const PageSeriesKey *key, int64_t time, double value, const PageSigns *signs) {
        PageSeries *series;

        assert_int_equal(page_series_find(table, key, 0, &series), PAGE_SERIES_ADDED);
        assert_int_equal(page_series_note(series, "居間 \"x\"", time, value, signs), 0);
}

static void put(PageSeriesTable *table, const PageSeriesKey *key, int64_t time, double value) {
        put_with(table, key, time, value, &(PageSigns){});
}

static void test_latest(void **state) {
        _cleanup_(page_series_freep) PageSeriesTable *table = NULL;
        _cleanup_(bytes_done) Bytes text = {};
        ConfigMap names = {};

        assert_int_equal(page_series_new(&table), 0);
        put(table, &(PageSeriesKey){ "home", "d", "{\"site\":\"nakano\"}", "/te" }, NOW - 60000, 21.5);
        put(table, &(PageSeriesKey){ "home", "old", "{}", "/te" }, NOW - PAGE_METRICS_FRESH_MSEC - 1, 5);
        put_with(table, &(PageSeriesKey){ "home", "off", "{}", "/te" }, NOW, 5, &(PageSigns){ 0, 0, true, 0 });
        put_with(table, &(PageSeriesKey){ "home", "still", "{}", "/te" }, NOW, 5,
                &(PageSigns){ NOW - PAGE_STILL_MSEC - 2, NOW - PAGE_STILL_MSEC - 1, false, 0 });
        put_with(table, &(PageSeriesKey){ "home", "cellar", "{}", "/te" }, NOW, 5,
                &(PageSigns){ NOW - PAGE_STILL_MSEC - 2, NOW - PAGE_STILL_MSEC, false, 0 });
        put(table, &(PageSeriesKey){ "home", "z", "{}", "/last_seen" }, NOW, 1795824000123);
        put(table, &(PageSeriesKey){ "home", "z", "{}", "/te" }, NOW, 23.1);
        assert_int_equal(page_metrics_latest(table, &names, NOW, &text), 0);
        assert_true(has_line(
                &text, "sensorqd_reading_value{source=\"home\",device=\"z\",field=\"/last_seen\"} 1795824000123"));
        assert_true(has_line(&text, "sensorqd_reading_value{source=\"home\",device=\"z\",field=\"/te\"} 23.1"));
        assert_null(strstr(text.data, "sensorqd_reading_value{source=\"home\",device=\"off\""));
        assert_null(strstr(text.data, "sensorqd_reading_value{source=\"home\",device=\"still\""));
        assert_true(has_line(&text, "sensorqd_reading_value{source=\"home\",device=\"cellar\",field=\"/te\"} 5"));
        assert_true(has_line(&text,
                "sensorqd_reading_changed_timestamp_seconds{source=\"home\",device=\"still\",field=\"/te\"} 1795737599.998"));
        assert_true(has_line(&text,
                "sensorqd_reading_value{source=\"home\",device=\"d\",field=\"/te\",label_site=\"nakano\"} 21.5"));
        assert_null(strstr(text.data, "sensorqd_reading_value{source=\"home\",device=\"old\""));
        assert_true(has_line(&text,
                "sensorqd_reading_timestamp_seconds{source=\"home\",device=\"old\",field=\"/te\"} 1795823099.999"));
        assert_true(has_line(&text, "sensorqd_reading_info{source=\"home\",device=\"d\",field=\"/"
                                    "te\",label_site=\"nakano\",name=\"居間 \\\"x\\\"\"} 1"));
}

/* Labels of somebody else's messages: a name that Prometheus does not take would cost the whole answer, and two that
 * become one would cost it, too. */
static void test_names_of_labels(void **state) {
        _cleanup_(page_series_freep) PageSeriesTable *table = NULL;
        _cleanup_(bytes_done) Bytes text = {};
        ConfigMap names = {};

        assert_int_equal(page_series_new(&table), 0);
        put(table,
                &(PageSeriesKey){
                        "home", "d", "{\"a-b_c\":\"1\",\"a_b_c\":\"2\",\"場\":\"3\",\"U__a_2d_b__c\":\"4\"}", "/te" },
                NOW, 5);
        assert_int_equal(page_metrics_latest(table, &names, NOW, &text), 0);
        assert_true(has_line(&text, "sensorqd_reading_value{source=\"home\",device=\"d\",field=\"/te\","
                                    "label_U__a_2d_b__c=\"1\",label_a_b_c=\"2\",label_U___e5__a0__b4_=\"3\","
                                    "label_U__U____a__2d__b____c=\"4\"} 5"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_figures),
                cmocka_unit_test(test_retention_unknown),
                cmocka_unit_test(test_subscribes_only),
                cmocka_unit_test(test_names_of_labels),
                cmocka_unit_test(test_latest),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
