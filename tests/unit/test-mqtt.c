/* SPDX-License-Identifier: Apache-2.0 */
/* The source over a real broker. */
#include "capture.h"
#include "mosquitto.h"
#include "source-fixture.h"
#include "side-by-side.h"

typedef struct MqttFixture {
        SourceFixture *f;
        Mosquitto *broker;
} MqttFixture;

static int set_up(void **state) {
        MqttFixture *m = calloc(1, sizeof(*m));

        assert_non_null(m);
        assert_int_equal(source_fixture_set_up((void **) &m->f), 0);
        m->broker = mosquitto_new("");
        *state = m;
        return 0;
}

static int tear_down(void **state) {
        MqttFixture *m = *state;

        assert_int_equal(source_fixture_tear_down((void **) &m->f), 0);
        mosquitto_free(m->broker);
        free(m);
        return 0;
}

static void start(MqttFixture *m, const char *more) {
        char lines[1000];

        (void) snprintf(lines, sizeof(lines), "      type: mqtt\n      url: mqtt://127.0.0.1:%u\n%s",
                mosquitto_port(m->broker), more);
        source_fixture_start(m->f, lines);
}

/* Its filters are in the file, which they are once the broker has taken them. */
static bool is_subscribed(const char *path) {
        char line[1000];
        FILE *file = fopen(path, "re");
        int lines = 0;

        while (file && fgets(line, sizeof(line), file))
                lines++;
        if (file)
                (void) fclose(file);
        return lines > 1;
}

static void start_and_wait(MqttFixture *m, const char *more) {
        char path[128];

        (void) snprintf(path, sizeof(path), "%s/mqtt-home.session", m->f->directory);
        start(m, more);
        SOURCE_FIXTURE_UNTIL(m->f, is_subscribed(path));
}

static void test_messages_are_readings(void **state) {
        MqttFixture *m = *state;

        start_and_wait(m, "      topics: ['zigbee2mqtt/{id*}', 'esphome/{id}/sensor/{field}/state']\n");
        mosquitto_publish(m->broker, "zigbee2mqtt/floor 1/kitchen", "{\"temperature\": 21.50, \"battery\": 90}", false);
        mosquitto_publish(m->broker, "esphome/study/sensor/co2/state", "612", false);
        mosquitto_publish(m->broker, "elsewhere/x", "1", false);
        SOURCE_FIXTURE_UNTIL(m->f, m->f->n == 2);
        assert_string_equal(m->f->devices.data, "floor 1/kitchen\nstudy\n");
        assert_non_null(strstr(source_fixture_payloads(m->f),
                "{\"temperature\":21.50,\"battery\":90,\"source\":\"home\",\"id\":\"floor 1/kitchen\","));
        assert_non_null(strstr(source_fixture_payloads(m->f), "{\"co2\":612,\"source\":\"home\",\"id\":\"study\","));
}

/* There is no memory for the next message. */
static bool untaken;
int __real_source_take(Source *source, const SourceDocument *document);
int __wrap_source_take(Source *source, const SourceDocument *document);

int __wrap_source_take(Source *source, const SourceDocument *document) {
        bool fails = untaken;

        untaken = false;
        return fails ? -ENOMEM : __real_source_take(source, document);
}

/* It comes again, and under the same name. */
static void test_without_memory(void **state) {
        MqttFixture *m = *state;

        start_and_wait(m, "      topics: ['esphome/{id}/sensor/{field}/state']\n");
        for (unsigned n = 1; n <= 2; n++) {
                untaken = true;
                mosquitto_publish(m->broker, "esphome/study/sensor/co2/state", "612", false);
                SOURCE_FIXTURE_UNTIL(m->f, m->f->n == n);
                assert_false(untaken);
        }
        assert_string_equal(m->f->devices.data, "study\nstudy\n");
        assert_null(strstr(source_fixture_payloads(m->f), "\"value\""));
}

/* While the disk refuses nothing is acknowledged, and nothing is missing or doubled when it is over. */
static void test_disk_refuses(void **state) {
        MqttFixture *m = *state;
        char command[200];

        start_and_wait(m, "      topics: 'n/#'\n");
        m->f->refuses = true;
        (void) snprintf(command, sizeof(command), "seq 1 500 | mosquitto_pub -h 127.0.0.1 -p %u -q 1 -t n/x -l",
                mosquitto_port(m->broker));
        assert_int_equal(system(command), 0);
        for (int i = 0; i < 30; i++)
                source_fixture_turn(m->f);
        assert_int_equal(m->f->n, 0);
        m->f->refuses = false;
        source_resume(m->f->source);
        SOURCE_FIXTURE_UNTIL(m->f, m->f->n >= 500);
        for (int i = 0; i < 10; i++)
                source_fixture_turn(m->f);
        assert_int_equal(m->f->n, 500);
}

/* Stored, and gone before the broker had heard of it: it comes again and is known. The same value measured again is
 * not. */
static void test_comes_again(void **state) {
        MqttFixture *m = *state;
        size_t n;

        start_and_wait(m, "      topics: 'n/#'\n");
        mosquitto_publish(m->broker, "n/x", "21.5", false);
        SOURCE_FIXTURE_UNTIL(m->f, m->f->n == 1);
        mosquitto_publish(m->broker, "n/x", "21.5", false);
        SOURCE_FIXTURE_UNTIL(m->f, m->f->n == 2); /* another message, whatever it says */

        /* A store that works, and a connection that ends before its acknowledgement is heard: stop the broker's
         * process. */
        n = m->f->n;
        for (int round = 0; round < 10; round++) {
                mosquitto_publish(m->broker, "n/x", "21.5", false);
                while (m->f->n == n + (size_t) round)
                        source_fixture_turn(m->f);
                source_fixture_stop(m->f); /* perhaps before the acknowledgement has left, perhaps after */
                start(m, "      topics: 'n/#'\n");
        }
        for (int i = 0; i < 20; i++)
                source_fixture_turn(m->f);
        assert_int_equal(m->f->n, n + 10);
}

static void test_retained(void **state) {
        MqttFixture *m = *state;

        mosquitto_publish(m->broker, "n/x", "old", true);
        start_and_wait(m, "      topics: 'n/#'\n");
        mosquitto_publish(m->broker, "n/x", "live", true);
        SOURCE_FIXTURE_UNTIL(m->f, m->f->n == 1);
        assert_non_null(strstr(source_fixture_payloads(m->f), "\"live\""));
        source_fixture_stop(m->f);
        start(m, "      topics: 'n/#'\n      client_id: another\n      retained: store\n");
        SOURCE_FIXTURE_UNTIL(m->f, m->f->n == 2);
        mosquitto_publish(m->broker, "n/x", "", true); /* deletes it: nothing to read */
        for (int i = 0; i < 10; i++)
                source_fixture_turn(m->f);
        assert_int_equal(m->f->n + m->f->n_unreadable, 2);
}

/* What cannot be a reading is kept raw, and holds up nobody. */
static void test_poison(void **state) {
        MqttFixture *m = *state;

        start_and_wait(m, "      topics: 'n/#'\n");
        mosquitto_publish(m->broker, "n/x", "{\"broken", false);
        mosquitto_publish(m->broker, "n/x", "5", false);
        SOURCE_FIXTURE_UNTIL(m->f, m->f->n == 1);
        assert_int_equal(m->f->n_unreadable, 1);
}

/* In the session are topics of the configuration before, or of another program: what they bring is read, and told of.
 * Not so the level above {id*}, which was subscribed to. */
static void test_other_subscriptions(void **state) {
        MqttFixture *m = *state;
        char command[200], *text;
        Capture capture;

        (void) snprintf(command, sizeof(command), "mosquitto_sub -h 127.0.0.1 -p %u -c -i c -q 1 -t b/# -E",
                mosquitto_port(m->broker));
        assert_int_equal(system(command), 0);
        capture = capture_begin();
        start_and_wait(m, "      topics: 'a/{id*}'\n      client_id: c\n");
        mosquitto_publish(m->broker, "a", "1", false);
        mosquitto_publish(m->broker, "a/x", "2", false);
        mosquitto_publish(m->broker, "b/x", "3", false);
        mosquitto_publish(m->broker, "b/y", "4", false);
        SOURCE_FIXTURE_UNTIL(m->f, m->f->n == 4);
        text = capture_end(&capture);
        assert_string_equal(m->f->devices.data, "home\nx\nhome\nhome\n");
        assert_int_equal(count_of(text, "matches none of `topics`"), 1);
        assert_non_null(strstr(text, "topic b/x matches none of `topics`, but is read. The broker's session of client "
                                     "id c has"));
}

/* It answers again before it has subscribed again: what is retained comes in either case, once. */
static void test_broker_dies(void **state) {
        MqttFixture *m = *state;

        start_and_wait(m, "      topics: 'n/#'\n      retained: store\n");
        mosquitto_kill(m->broker);
        SOURCE_FIXTURE_UNTIL(m->f, source_fixture_status(m->f).failure.on);
        mosquitto_start(m->broker);
        SOURCE_FIXTURE_UNTIL(m->f, !source_fixture_status(m->f).failure.on);
        mosquitto_publish(m->broker, "n/x", "1", true);
        SOURCE_FIXTURE_UNTIL(m->f, m->f->n == 1);
}

/* What the broker has kept is read until it is silent for 5 s; without a broker it is over at once. */
static void test_once(void **state) {
        MqttFixture *m = *state;
        usec_t begin;

        start_and_wait(m, "      topics: 'n/#'\n");
        source_fixture_stop(m->f);
        mosquitto_publish(m->broker, "n/x", "1", false);
        mosquitto_publish(m->broker, "n/x", "2", false);
        m->f->host.manual = true;
        for (size_t round = 0; round < 2; round++) { /* the second one finds all acknowledged */
                begin = clock_now();
                start(m, "      topics: 'n/#'\n");
                assert_int_equal(source_poll_now(m->f->source), 0);
                SOURCE_FIXTURE_UNTIL(m->f, !source_is_busy(m->f->source));
                assert_in_range(clock_now() - begin, 4900 * USEC_PER_MSEC, 12 * USEC_PER_SEC);
                assert_int_equal(m->f->n, 2);
                assert_int_equal(m->f->n_repeats, 0);
                assert_false(source_fixture_status(m->f).failure.on);
                source_fixture_stop(m->f);
        }
        mosquitto_kill(m->broker);
        start(m, "      topics: 'n/#'\n");
        assert_int_equal(source_poll_now(m->f->source), 0);
        SOURCE_FIXTURE_UNTIL(m->f, !source_is_busy(m->f->source));
        assert_true(source_fixture_status(m->f).failure.on);
        mosquitto_start(m->broker);
}

static void test_check(void **state) {
        MqttFixture *m = *state;

        m->f->host.manual = m->f->host.checking = true;
        start(m, "      topics: 'n/#'\n");
        assert_int_equal(source_poll_now(m->f->source), 0);
        SOURCE_FIXTURE_UNTIL(m->f, !source_is_busy(m->f->source));
        assert_non_null(strstr(source_fixture_status(m->f).answer, "accepts this user, and every topic"));
        mosquitto_kill(m->broker);
        assert_int_equal(source_poll_now(m->f->source), 0);
        SOURCE_FIXTURE_UNTIL(m->f, !source_is_busy(m->f->source));
        assert_true(source_fixture_status(m->f).failure.on);
        assert_non_null(strstr(source_fixture_status(m->f).failure.detail, "mqtt://"));
        assert_non_null(
                strstr(source_fixture_status(m->f).failure.detail, ": connection refused; check the broker, url"));
        mosquitto_start(m->broker);
}

/* A second source beside one whose client_id is c. */
#define TWO(url, id)                                                                                                   \
        "      url: mqtt://broker\n      client_id: c\n      topics: 'a/{id}'\n"                                       \
        "    - name: other\n      type: mqtt\n      url: " url "\n      client_id: " id "\n      topics: 'b/{id}'\n"

static void test_wrong_configuration(void **state) {
        static const struct {
                const char *lines, *words;
        } cases[] = {
                { "      url: mqtt://broker\n", "topics" },
                { "      topics: 'a/#'\n", "url" },
                { "      url: http://broker\n      topics: 'a/#'\n", "mqtt://" },
                { "      url: mqtt://u:p@broker\n      topics: 'a/#'\n", "username" },
                { "      url: mqtt://broker:99999\n      topics: 'a/#'\n", "url" },
                { "      url: 'mqtt://broker:'\n      topics: 'a/#'\n", "url" },
                { "      url: mqtt://broker/x\n      topics: 'a/#'\n", "url" },
                { "      url: mqtt://broker\n      topics: 'a/#/b'\n", "before its end" },
                { "      url: mqtt://broker\n      topics: ['a/{id}', 'a/+']\n", "can match the same topic" },
                { "      url: mqtt://broker\n      username: u\n      password_file: p\n      topics: 'a/#'\n",
                        "unencrypted" },
                { "      url: mqtt://127.0.0.1.example.com\n      username: u\n      password_file: p\n      topics: 'a/#'\n",
                        "unencrypted" },
                { "      url: mqtts://broker\n      password_file: p\n      topics: 'a/#'\n", "needs username" },
                { "      url: mqtts://broker\n      certificate_file: p\n      topics: 'a/#'\n", "belong together" },
        };
        static const char *const good[] = {
                TWO("mqtt://broker:1884", "c"),
                TWO("mqtt://broker", "d"),
                TWO("mqtt://broker", "c\n      username: u"), /* Mosquitto may go by the user, and this is warned of */
                TWO("mqtt://broker", "c\n      username: 'vhost:u'"), /* RabbitMQ has names for each virtual host */
                "      url: mqtts://broker.lan:8884\n      username: u\n      password_file: p\n      topics: 'a/#'\n",
                "      url: mqtt://[::1]:1884\n      username: u\n      password_file: p\n      topics: 'a/#'\n",
                "      url: mqtt://[127.0.0.1]:1884\n      username: u\n      password_file: p\n      topics: 'a/#'\n",
                "      url: mqtt://broker\n      username: u\n      password_file: p\n      allow_plain: true\n      topics: 'a/#'\n",
        };
        char error[1000], lines[500];
        SourceFixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases) + ELEMENTSOF(good); i++) {
                bool bad = i < ELEMENTSOF(cases);

                (void) snprintf(lines, sizeof(lines), "      type: mqtt\n%s",
                        bad ? cases[i].lines : good[i - ELEMENTSOF(cases)]);
                source_fixture_read(f, lines, error, sizeof(error));
                if (bad ? !strstr(error, cases[i].words) : error[0] != '\0')
                        fail_msg("%s: %s", lines, error);
                f->config = config_unref(f->config);
        }
}

/* 0.2.0 took them: who upgrades keeps all other sources. */
static void test_one_client_of_two(void **state) {
        static const struct {
                const char *lines, *warning; /* NULL: none */
        } cases[] = {
                { TWO("mqtt://BROKER:1883", "c"), "at the same broker: each takes the other's messages" },
                { TWO("mqtt://broker", "c\n      username: u"), "unless it goes by username there, each takes" },
                { TWO("mqtt://broker", "c\n      username: 'vhost:u'"), NULL },
                { TWO("mqtt://broker:1884", "c"), NULL },
                { TWO("mqtt://broker", "d"), NULL },
        };
        char error[1000], lines[500];
        SourceFixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                (void) snprintf(lines, sizeof(lines), "      type: mqtt\n%s", cases[i].lines);
                source_fixture_read(f, lines, error, sizeof(error));
                assert_string_equal(error, "");
                assert_int_equal(f->config->warnings.n, cases[i].warning ? 1 : 0);
                if (cases[i].warning)
                        assert_non_null(strstr(f->config->warnings.texts[0], cases[i].warning));
                f->config = config_unref(f->config);
        }
}

/* Nothing in a reading says of which topic it is, and alerts judge by device. */
static void test_topics_of_one_device(void **state) {
        static const struct {
                const char *lines;
                bool warns;
        } cases[] = {
                { "'zigbee2mqtt/#'", true },
                { "['a/{id}', 'b/+/{field}']", true },
                { "'{name}/te'", true },
                { "['a/{id}', 'b/{id*}', 'c/+/{id}']", false },
                { "'garden/{field}'", false },
                { "garden", false },
                { "'zigbee2mqtt/#'\n      reading: { id: /device/ieeeAddr }", false },
        };
        char error[1000], lines[500];
        SourceFixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                (void) snprintf(lines, sizeof(lines), "      type: mqtt\n      url: mqtt://broker\n      topics: %s\n",
                        cases[i].lines);
                source_fixture_read(f, lines, error, sizeof(error));
                assert_string_equal(error, "");
                if (f->config->warnings.n != (cases[i].warns ? 1 : 0))
                        fail_msg("%s: %zu warnings", cases[i].lines, f->config->warnings.n);
                if (cases[i].warns)
                        assert_non_null(strstr(f->config->warnings.texts[0], "has no {id}"));
                f->config = config_unref(f->config);
        }
}

int main(void) {
        const struct CMUnitTest offline[] = {
                cmocka_unit_test_setup_teardown(
                        test_topics_of_one_device, source_fixture_set_up, source_fixture_tear_down),
                cmocka_unit_test_setup_teardown(
                        test_one_client_of_two, source_fixture_set_up, source_fixture_tear_down),
                cmocka_unit_test_setup_teardown(
                        test_wrong_configuration, source_fixture_set_up, source_fixture_tear_down),
        };
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_messages_are_readings, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_without_memory, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_disk_refuses, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_comes_again, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_retained, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_poison, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_other_subscriptions, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_broker_dies, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
        };
        int failed = cmocka_run_group_tests_name("mqtt, configuration", offline, NULL, NULL);

        if (!mosquitto_is_installed())
                return failed;
        return failed + side_by_side(tests, ELEMENTSOF(tests));
}
