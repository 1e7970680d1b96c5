/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd rejected` over what came to a source and could not become a reading, beside the daemon that has the outbox
 * open. */
#include "config-fixture.h"

#include <sysexits.h>

#include "lib/err.h"
#include "outbox-fixture.h"
#include "publish/outbox-guest.h"
#include "said.h"
#include "types.h"

#define MQTT(topics, reading)                                                                                          \
        "  - {name: zigbee, type: mqtt, labels: {site: nakano}, url: 'mqtt://127.0.0.1:9', topics: [" topics           \
        "], reading: {" reading "}}\n"
#define OF_MQTT "'tele/{id}/{field}', 'z/{id}'"

static int set_up(void **state) {
        assert_int_equal(fixture_setup(state), 0);
        assert_int_equal(fixture_reopen(*state), OUTBOX_OK);
        return 0;
}

/* The configuration whose sources are *sources*. */
static Config *load(const OutboxFixture *f, const char *sources) {
        _cleanup_bytes_ Bytes text = {};
        ConfigErrors errors = {};
        Config *config = NULL;

        assert_int_equal(bytes_append_format(&text,
                                 "state_dir: %s\npubsub: {project: my-project}\npublish:\n  topic: sensors\n  "
                                 "sources:\n%s",
                                 f->directory, sources),
                0);
        if (config_parse(&(ConfigInput){ .path = "/f.yaml", .types = &types_of_config }, text.data, text.size, &config,
                    &errors) < 0)
                fail_msg("%s", errors_text(&errors));
        config_errors_done(&errors);
        return config;
}

static void rejected(const OutboxFixture *f, const char *sources, const char *action, const char *id, Said *said) {
        Config *config = load(f, sources);

        said_rejected(config, action, id, said);
        config_unref(config);
}

static void keep(OutboxFixture *f, const char *source, const char *topic, const char *reason, const char *raw) {
        ReadingList list = {};
        Bytes payload = {};

        assert_int_equal(bytes_append_text(&payload, raw), 0);
        assert_int_equal(reading_list_add_unreadable(&list, source, slice_of(topic), reason, &payload), 0);
        assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
        reading_list_done(&list);
}

/* Device and payload of what waits, a line each. */
static void look(const OutboxFixture *f, Bytes *text) {
        OutboxRows rows = {};

        assert_int_equal(outbox_rows_peek(f->outbox, 0, 100, 1 << 20, &rows), 0);
        for (size_t i = 0; i < rows.n; i++)
                assert_int_equal(bytes_append_format(text, "%.*s %.*s\n", (int) rows.items[i].device.size,
                                         rows.items[i].device.data, (int) rows.items[i].payload.size,
                                         rows.items[i].payload.data),
                        0);
        outbox_rows_done(&rows);
}

#define REASON                                                                                                         \
        "a reason that is far longer than what a line of a terminal takes, since its end says what to do: look there"

static void test_list(void **state) {
        OutboxFixture *f = *state;
        Said said;

        keep(f, "zigbee", "tele/\x1b[2Jx", REASON, "raw\x1b[2J");
        keep(f, "gone", "", "odd \x1b]0;title\x07", "{}");
        rejected(f, MQTT(OF_MQTT, ""), "list", NULL, &said);
        assert_int_equal(said.code, EX_OK);
        assert_contains(said.out, "source:zigbee:1  20");
        assert_contains(said.out, "Z  unreadable: " REASON "  (7 bytes)\n");
        assert_contains(said.out, "source:gone:2  20");
        assert_contains(said.out, "unreadable: odd  ]0;title   (2 bytes)\n");
        assert_null(strstr(said.out, "raw"));
        assert_null(strchr(said.out, '\x1b'));

        rejected(f, MQTT(OF_MQTT, ""), "show", "source:zigbee:1", &said);
        assert_int_equal(said.code, EX_OK);
        assert_contains(said.out, "\nattributes: source=zigbee topic=tele/ [2Jx\nraw\x1b[2J\n"); /* no terminal */
        for (size_t i = 0; i < 4; i++) {
                static const char *const slips[] = { "source:zigbee:2", "source:zigbee:01", "source:gone:1",
                        "source:" };

                rejected(f, MQTT(OF_MQTT, ""), "drop", slips[i], &said);
                assert_int_equal(said.code, EX_UNAVAILABLE);
                assert_contains(said.out, "no rejected reading of that name");
        }
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable"), 2);
}

/* More came than is kept: how many are gone is said. */
static void test_dropped(void **state) {
        OutboxFixture *f = *state;
        ReadingList list = {};
        Said said;

        for (unsigned i = 0; i < 1003; i++) {
                Bytes payload = {};

                assert_int_equal(bytes_append_format(&payload, "%u", i), 0);
                assert_int_equal(reading_list_add_unreadable(&list, "zigbee", slice_of("z/attic"), "odd", &payload), 0);
        }
        assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
        reading_list_done(&list);
        rejected(f, MQTT(OF_MQTT, ""), "list", NULL, &said);
        assert_int_equal(said.code, EX_OK);
        assert_contains(said.err, "source zigbee: more could not become readings, 3 deleted so far");

        /* one of them is dropped: the rest is as it was; all of them: somebody has seen it */
        rejected(f, MQTT(OF_MQTT, ""), "drop", "source:zigbee:1000", &said);
        assert_int_equal(outbox_dropped(f->outbox, "zigbee"), 3);
        rejected(f, MQTT(OF_MQTT, ""), "drop", NULL, &said);
        assert_int_equal(said.code, EX_OK);
        assert_int_equal(outbox_dropped(f->outbox, "zigbee"), 0);
}

/* With the configuration as it is now: the topic's parts, labels, and the time when it came. */
static void test_replay(void **state) {
        OutboxFixture *f = *state;
        OutboxStatus status;
        Bytes text = {};
        Said said;

        keep(f, "zigbee", "tele/hall/co2", "not JSON", "612");
        keep(f, "zigbee", "z/attic", "it is a list", "{\"list\":[{\"v\":1},{\"v\":2}]}");
        keep(f, "zigbee", "z/cellar", "no id", "{\"v\":3}"); /* an item of a document */
        keep(f, "zigbee", "z/attic", "not JSON", "{broken");
        keep(f, "zigbee", "z/attic", "not of use", "{\"list\":[]}");
        keep(f, "gone", "", "not JSON", "{}");
        rejected(f, MQTT(OF_MQTT, "items: /list"), "replay", NULL, &said);
        assert_int_equal(said.code, EX_UNAVAILABLE);
        assert_contains(said.out, "ok    source:zigbee:1  is queued\n");
        assert_contains(said.out, "ok    source:zigbee:2  is queued\n");
        assert_contains(said.out, "ok    source:zigbee:3  is queued\n");
        assert_contains(said.out, "FAIL  source:zigbee:4  ");
        assert_contains(said.out, "FAIL  source:gone:6  the configuration has no source of that name");
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable WHERE id IN (1, 2, 3)"), 0);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable WHERE id IN (4, 6)"), 2);

        look(f, &text);
        assert_contains(text.data, "hall {\"co2\":612,\"site\":\"nakano\",\"source\":\"zigbee\",\"id\":\"hall\",");
        assert_contains(text.data, "attic {\"v\":1,\"site\":");
        assert_contains(text.data, "attic {\"v\":2,\"site\":");
        assert_contains(text.data, "cellar {\"v\":3,\"site\":");
        bytes_done(&text);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.bytes, fixture_query(f, "SELECT sum(size) FROM readings"));
        assert_int_equal(status.rows, fixture_query(f, "SELECT count(*) FROM readings"));
}

/* What had no names for its values has them now. */
static void test_replay_of_a_list(void **state) {
        OutboxFixture *f = *state;
        Bytes text = {};
        Said said;

        keep(f, "zigbee", "z/attic", "it is a list, whose values must be named in `fields`", "[5,6]");
        rejected(f, MQTT(OF_MQTT, ""), "replay", "source:zigbee:1", &said);
        assert_int_equal(said.code, EX_UNAVAILABLE);
        rejected(f, MQTT(OF_MQTT, "fields: {a: /0, b: /1}"), "replay", "source:zigbee:1", &said);
        assert_int_equal(said.code, EX_OK);
        look(f, &text);
        assert_contains(text.data, "attic {\"a\":5,\"b\":6,\"site\":");
        bytes_done(&text);
}

static void test_drop(void **state) {
        OutboxFixture *f = *state;
        Said said;

        keep(f, "zigbee", "z/attic", "not JSON", "{broken");
        keep(f, "zigbee", "z/attic", "not JSON", "{broken");
        rejected(f, MQTT(OF_MQTT, ""), "drop", "source:zigbee:2", &said);
        assert_int_equal(said.code, EX_OK);
        assert_string_equal(said.out, "ok    source:zigbee:2  dropped\n");
        assert_int_equal(fixture_query(f, "SELECT max(id) FROM unreadable"), 1);
        rejected(f, MQTT(OF_MQTT, ""), "drop", NULL, &said);
        assert_int_equal(said.code, EX_OK);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable"), 0);
        assert_int_equal(fixture_waiting(f->outbox), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_list, set_up, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_dropped, set_up, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_replay, set_up, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_replay_of_a_list, set_up, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_drop, set_up, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
