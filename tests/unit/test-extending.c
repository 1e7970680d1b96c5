/* SPDX-License-Identifier: Apache-2.0 */
/* The examples of docs/EXTENDING.md, "A source in an hour" and "A sink in an hour", as the page has them: their files,
 * their lines in types.c, their configurations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "lib/err.h"
#include "lib/crypto.h"
#include "types.h"

#define PROJECT "pubsub: {project: my-project}\n"
#define SOURCE_HEAD PROJECT "publish:\n  topic: sensor-data\n"
#define SINK_HEAD PROJECT "subscribe:\n"
#define SPOOL "/var/lib/sensorqd/spool" /* of the page */

/* The YAML of the page that begins with that section, from its second line on, between *head* and *more*. */
static char *yaml_of_the_page(const char *section, const char *head, const char *more) {
        char page[40000], begins[40], *begin, *end, *text;
        FILE *file = fopen(SOURCE_ROOT "/docs/EXTENDING.md", "re");

        assert_non_null(file);
        page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
        assert_true(feof(file));
        (void) fclose(file);
        (void) snprintf(begins, sizeof(begins), "```yaml\n%s:\n", section);
        begin = strstr(page, begins);
        assert_non_null(begin);
        begin += strlen(begins);
        end = strstr(begin, "```");
        assert_non_null(end);
        *end = '\0';
        assert_true(asprintf(&text, "%s%s%s", head, begin, more) > 0);
        return text;
}

static Config *config_of(const char *text) {
        const ConfigInput input = { "extending.yaml", &types_of_config };
        ConfigErrors errors = {};
        Config *config = NULL;

        if (config_parse(&input, text, strlen(text), &config, &errors) < 0)
                fail_msg("%s", errors.n > 0 ? errors.texts[0] : "no words");
        return config;
}

static Config *config_of_the_page(const char *more) {
        _cleanup_free_ char *text = yaml_of_the_page("publish", SOURCE_HEAD, more);

        return config_of(text);
}

static bool has_room(void *userdata, uint64_t rows, uint64_t bytes) {
        return true;
}

static int store(void *userdata, const Source *source, const ReadingList *readings, size_t *ret_repeats) {
        assert_int_equal(readings->n, 1);
        assert_string_equal(readings->items[0].type, "loadavg");
        (void) snprintf(userdata, 300, "%s", readings->items[0].payload.data);
        return 0;
}

static void on_change(void *userdata) {}

static SourceStatus poll_once(const Config *config, char payload[static 300], Source **ret, SourceHost *host) {
        SourceStatus status;

        payload[0] = '\0';
        *host = (SourceHost){
                .manual = true, .has_room = has_room, .store = store, .on_change = on_change, .userdata = payload
        };
        assert_int_equal(loop_new(&host->means.loop), 0);
        assert_non_null(types_source(config->sources[0].type));
        assert_int_equal(source_new(host, types_source(config->sources[0].type), &config->sources[0], ret), 0);
        assert_int_equal(source_poll_now(*ret), 0);
        while (source_is_busy(*ret))
                assert_true(loop_turn(host->means.loop, USEC_PER_SEC) >= 0);
        source_status(*ret, &status);
        return status;
}

static void test_it_reads(void **state) {
        Config *config = config_of_the_page("");
        SourceHost host;
        Source *source;
        char payload[300];

        assert_false(poll_once(config, payload, &source, &host).failure.on);
        if (strncmp(payload, "{\"load\":", strlen("{\"load\":")) != 0 ||
                !strstr(payload, "\"source\":\"load\",\"id\":\"load\",\"name\":\"rack\""))
                fail_msg("%s", payload);
        source_free(source);
        loop_free(host.means.loop);
        config_unref(config);
}

static void test_it_fails(void **state) {
        Config *config = config_of_the_page("      file: /none\n");
        SourceHost host;
        SourceStatus status;
        Source *source;
        char payload[300];

        status = poll_once(config, payload, &source, &host);
        assert_true(status.failure.on);
        assert_non_null(strstr(status.failure.detail, "/none has no three numbers"));
        assert_string_equal(payload, "");
        source_free(source);
        loop_free(host.means.loop);
        config_unref(config);
}

/* ---- the sink ---- */

/* The page's configuration with a directory of the test's own. */
static Config *config_with_spool(const char *directory) {
        _cleanup_free_ char *text = yaml_of_the_page("subscribe", SINK_HEAD, ""), *mine = NULL;
        char *at = strstr(text, SPOOL);

        assert_non_null(at);
        assert_true(asprintf(&mine, "%.*s%s%s", (int) (at - text), text, directory, at + strlen(SPOOL)) > 0);
        return config_of(mine);
}

static void on_settled(void *userdata, Batch *batch) {
        *(Batch **) userdata = batch;
}

static void turn_until_settled(Loop *loop, Batch *const *settled) {
        for (unsigned turns = 0; !*settled && turns < 100; turns++)
                assert_true(loop_turn(loop, USEC_PER_SEC) >= 0);
        assert_non_null(*settled);
}

/* Two messages, the second without data. */
static Batch *two_messages(void) {
        _cleanup_bytes_ Bytes body = {};
        Batch *batch;

        assert_int_equal(
                bytes_append_text(&body,
                        "{\"receivedMessages\":[{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"data\":\"eyJhIjoxfQ==\"}},"
                        "{\"ackId\":\"b\",\"message\":{\"messageId\":\"2\",\"attributes\":{\"a\":\"1\"}}}]}"),
                0);
        assert_int_equal(batch_new(&body, clock_now(), &batch), 0);
        return batch;
}

static off_t size_in(const char *directory, const char *id, const char *suffix) {
        char hash[SHA256_HEX_SIZE], path[300];
        struct stat file;

        (void) snprintf(path, sizeof(path), "%s/%s%s", directory, crypto_sha256_hex(id, strlen(id), hash), suffix);
        return stat(path, &file) < 0 ? -1 : file.st_size;
}

/* Written while the directory is away, it is held; then it is stored, once, and what cannot be is set apart. */
static void test_it_stores(void **state) {
        char directory[] = "/tmp/test-extending-XXXXXX", away[sizeof(directory) + 5];
        Batch *settled = NULL;
        SinkCallbacks callbacks = { .on_settled = on_settled, .userdata = &settled };
        Config *config;
        Batch *batch;
        Loop *loop;
        Sink *sink;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(away, sizeof(away), "%s.away", directory);
        config = config_with_spool(directory);
        assert_int_equal(loop_new(&loop), 0);
        callbacks.means.loop = loop;
        assert_int_equal(sink_new(types_sink("spool"), &config->subscriptions[0], &callbacks, &sink), 0);
        while (!sink_takes_batches(sink))
                assert_true(loop_turn(loop, USEC_PER_SEC) >= 0);

        assert_int_equal(rename(directory, away), 0);
        batch = two_messages();
        assert_int_equal(sink_write(sink, batch), SINK_WRITE_STARTED);
        while (sink_is_busy(sink))
                assert_true(loop_turn(loop, USEC_PER_SEC) >= 0);
        assert_null(settled);
        assert_int_equal(rename(away, directory), 0);
        turn_until_settled(loop, &settled);

        assert_int_equal(batch->fates[0], FATE_STORED);
        assert_int_equal(batch->fates[1], FATE_REJECTED);
        assert_int_equal(size_in(directory, "1", ".json"), strlen("{\"a\":1}"));
        assert_int_equal(size_in(directory, "2", ".rejected"), 0);
        batch_free(batch);

        settled = NULL;
        batch = two_messages(); /* delivered again */
        assert_int_equal(sink_write(sink, batch), SINK_WRITE_STARTED);
        turn_until_settled(loop, &settled);
        assert_int_equal(batch->fates[0], FATE_STORED);
        batch_free(batch);

        sink_stop(sink, false);
        sink_free(sink);
        loop_free(loop);
        config_unref(config);
}

/* The types that were there before are still there. */
static void test_the_others(void **state) {
        assert_non_null(types_source("nature_remo"));
        assert_non_null(types_sink("mongodb"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_reads),
                cmocka_unit_test(test_it_fails),
                cmocka_unit_test(test_it_stores),
                cmocka_unit_test(test_the_others),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
