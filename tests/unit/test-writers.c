/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is written into a Bytes as a whole is there as a whole, or its writer says that memory was lacking: nothing
 * half is sent, stored or shown. (P1, P6) */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "auth.h"
#include "page-render.h"
#include "page-thread.h"
#include "publish/reading.h"
#include "pubsub/wire.h"
#include "report.h"
#include "sinks/alert-target.h"
#include "sinks/document.h"
#include "sources/http-json.h"
#include "sources/mqtt-packet.h"
#include "lib/text.h"

#define SLICE(text) ((Slice){ text, sizeof(text) - 1 })
#define LONG "0123456789 \xe5\xb1\x85\xe9\x96\x93 \"quoted\" 0123456789 0123456789 0123456789 0123456789 0123456789"

/* The call for memory that fails, counted from now; 0: none. */
static unsigned fails;
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size) {
        return fails > 0 && --fails == 0 ? NULL : __real_realloc(memory, size);
}

static const WireAttribute attributes[] = { { SLICE("key"), SLICE(LONG) }, { SLICE("device"), SLICE("d") } };

static int write_message(Bytes *to) {
        const WireOutgoing message = { .data = SLICE(LONG), .attributes = attributes, .n_attributes = 2 };
        int r = wire_add_message(to, &message, 10000);

        return r < 0 ? r : wire_end_publish(to);
}

static int write_ack(Bytes *to) {
        const Slice ids[] = { SLICE(LONG), SLICE(LONG "2"), SLICE("3") };
        size_t taken;

        return wire_put_ack(to, ids, 3, 60, &taken);
}

static int write_queue(Bytes *to) {
        return page_queue_put(to, &(SinkPast){ .text = SLICE(LONG), .attributes = attributes, .n_attributes = 2 });
}

static int write_labels(Bytes *to) {
        return reading_labels_add(to, "site", LONG);
}

static int write_key(Bytes *to) {
        return document_key_wide(SLICE("$" LONG ".a.b"), 7, to);
}

static int write_expanded(Bytes *to) {
        const HttpJsonTimes times = { 1795824000, 1795827600, 1795831200 };

        return http_json_expand(
                "http://127.0.0.1/?from={since}&to={until}&now={now:unix_ms}&id=" LONG, &times, true, to);
}

static int write_field(Bytes *to) {
        return text_append_field(to, "refresh_token", LONG);
}

static int write_connect(Bytes *to) {
        return mqtt_put_connect(
                to, &(MqttConnect){ .version = MQTT_5, .client_id = LONG, .username = LONG, .password = LONG });
}

static int write_subscribe(Bytes *to) {
        return mqtt_put_subscribe(to, MQTT_5, 7, slice_of(LONG), false);
}

static int write_unsubscribe(Bytes *to) {
        return mqtt_put_unsubscribe(to, MQTT_3_1_1, 7, slice_of(LONG));
}

static int write_alert(Bytes *to, int type, char *body) {
        const AlertNotice notices[] = { { .rule = "hot",
                                                .source = "home",
                                                .device = "d",
                                                .name = LONG,
                                                .value = "31",
                                                .limit = "28",
                                                .since = 1,
                                                .until = 2 },
                { .rule = "gone",
                        .kind = ALERT_REPEAT,
                        .test = ALERT_STALE,
                        .device = "d",
                        .field = "te",
                        .since = 1,
                        .until = 2 } };
        char text[] = "topic";
        char url[] = "http://127.0.0.1/";
        const AlertTarget target = {
                .at.url = url, .name = text, .type = type, .topic = text, .recipient = text, .body = body
        };
        AlertRequest request = {};
        int r;

        r = alert_target_write(
                &target, &(AlertMessage){ notices, type == ALERT_WEBHOOK ? 1 : 2, ALERT_JAPANESE, "k" }, &request);
        bytes_done(&request.url);
        bytes_done(&request.key);
        *to = request.body;
        return r;
}

static int write_slack(Bytes *to) {
        return write_alert(to, ALERT_SLACK, NULL);
}

static int write_line(Bytes *to) {
        return write_alert(to, ALERT_LINE, NULL);
}

static int write_ntfy(Bytes *to) {
        return write_alert(to, ALERT_NTFY, NULL);
}

static int write_webhook(Bytes *to) {
        static char body[] = "{\"text\":\"{message} at {name}\",\"value\":{value},\"site\":{site},\"for\":{duration}}";

        return write_alert(to, ALERT_WEBHOOK, body);
}

static const SourceStatus source = { .name = "home\"\n", .failure.detail = "" };
static const Figures figures = {
        .publishes = true, .sources = (SourceStatus *) &source, .n_sources = 1, .token.failure.detail = ""
};

static int write_figures(Bytes *to) {
        return page_metrics_figures(&figures, to);
}

static int write_status(Bytes *to) {
        return report_format_json(&figures, to);
}

static PageSeriesTable *table;
static const ConfigMap names;

static void limits(void *userdata, const PageSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to) {
        each(to, &(SinkLimit){ "hot", "above", 28, 27 });
        each(to, &(SinkLimit){ LONG, "below", 3, 4 });
}

static int write_series(Bytes *to) {
        return page_render_series(table, &(PageShown){ .names = &names, .limits = limits }, to);
}

static int write_latest(Bytes *to) {
        return page_metrics_latest(table, &names, 1000, to);
}

static void check(int (*write)(Bytes *to), const char *name) {
        _cleanup_bytes_ Bytes whole = {};
        unsigned n = 0, left;

        assert_int_equal(write(&whole), 0);
        do {
                _cleanup_bytes_ Bytes b = {};
                int r;

                fails = ++n;
                r = write(&b);
                left = fails;
                fails = 0;
                if (r != (left == 0 ? -ENOMEM : 0))
                        fail_msg("%s: %d although call %u %s", name, r, n, left == 0 ? "failed" : "was not made");
                if (r == 0)
                        assert_true(slice_same((Slice){ b.data, b.size }, (Slice){ whole.data, whole.size }));
        } while (left == 0);
        assert_true(n > 1);
}

static void test_writers(void **state) {
        static const PageSeriesKey keys[] = { { "home", "d", "{\"site\":\"nakano\",\"a-b\":\"1\"}", "/te" },
                { "home", LONG, "{}", "/hu" } };
        PageSeries *series;

        assert_int_equal(page_series_new(&table), 0);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(page_series_find(table, &keys[i], 0, &series), PAGE_SERIES_ADDED);
                assert_int_equal(page_series_note(series, LONG, 900, 21.5, &(PageSigns){}), 0);
        }
#define CHECK(name) check(name, #name)
        CHECK(write_message);
        CHECK(write_ack);
        CHECK(write_queue);
        CHECK(write_labels);
        CHECK(write_key);
        CHECK(write_expanded);
        CHECK(write_field);
        CHECK(write_connect);
        CHECK(write_subscribe);
        CHECK(write_unsubscribe);
        CHECK(write_slack);
        CHECK(write_line);
        CHECK(write_ntfy);
        CHECK(write_webhook);
        CHECK(write_figures);
        CHECK(write_status);
        CHECK(write_series);
        CHECK(write_latest);
        table = page_series_free(table);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_writers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
