/* SPDX-License-Identifier: Apache-2.0 */
/* The example of docs/EXTENDING.md, "A source in an hour", as the page has it: its file, its line in types.c, its configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "config-file.h"
#include "lib/err.h"
#include "lib/file.h"
#include "types.h"

#define HEAD "pubsub: {project: my-project}\n"

/* The first YAML of the page, with the topic that every configuration has. */
static Config *config_of_the_page(const char *more) {
        const ConfigInput input = { "extending.yaml", &types_of_config, NULL };
        static char text[4000];
        char page[20000];
        ConfigErrors errors = {};
        const char *begin, *end;
        Config *config = NULL;
        FILE *file = fopen(SOURCE_ROOT "/docs/EXTENDING.md", "re");

        assert_non_null(file);
        page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
        (void) fclose(file);
        begin = strstr(page, "```yaml\npublish:\n");
        assert_non_null(begin);
        begin += strlen("```yaml\npublish:\n");
        end = strstr(begin, "```");
        assert_non_null(end);
        (void) snprintf(text, sizeof(text), HEAD "publish:\n  topic: sensor-data\n%.*s%s", (int) (end - begin), begin, more);
        if (config_parse(&input, text, strlen(text), &config, &errors) < 0)
                fail_msg("%s", errors.n > 0 ? errors.texts[0] : "no words");
        return config;
}

static bool has_room(void *userdata, uint64_t rows, uint64_t bytes) {
        return true;
}

static int store(void *userdata, const Source *source, const ReadingList *readings) {
        assert_int_equal(readings->n, 1);
        assert_string_equal(readings->items[0].type, "loadavg");
        (void) snprintf(userdata, 300, "%s", readings->items[0].payload.data);
        return 0;
}

static void on_change(void *userdata) {}

static SourceStatus poll_once(const Config *config, char payload[static 300], Source **ret, SourceHost *host) {
        SourceStatus status;

        payload[0] = '\0';
        *host = (SourceHost){ .manual = true, .has_room = has_room, .store = store, .on_change = on_change, .userdata = payload };
        assert_int_equal(loop_new(&host->loop), 0);
        assert_non_null(types_source(config->sources[0].type));
        assert_int_equal(source_new(host, types_source(config->sources[0].type), &config->sources[0], ret), 0);
        assert_int_equal(source_poll_now(*ret), 0);
        while (source_is_busy(*ret))
                assert_true(loop_turn(host->loop, USEC_PER_SEC) >= 0);
        source_status(*ret, &status);
        return status;
}

static void test_it_reads(void **state) {
        Config *config = config_of_the_page("");
        SourceHost host;
        Source *source;
        char payload[300];

        assert_false(poll_once(config, payload, &source, &host).failing);
        if (strncmp(payload, "{\"load\":", strlen("{\"load\":")) != 0 || !strstr(payload, "\"source\":\"load\",\"id\":\"load\",\"name\":\"rack\""))
                fail_msg("%s", payload);
        source_free(source);
        loop_free(host.loop);
        config_unref(config);
}

static void test_it_fails(void **state) {
        Config *config = config_of_the_page("      file: /none\n");
        SourceHost host;
        SourceStatus status;
        Source *source;
        char payload[300];

        status = poll_once(config, payload, &source, &host);
        assert_true(status.failing);
        assert_non_null(strstr(status.detail, "/none has no three numbers"));
        assert_string_equal(payload, "");
        source_free(source);
        loop_free(host.loop);
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
                cmocka_unit_test(test_the_others),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
