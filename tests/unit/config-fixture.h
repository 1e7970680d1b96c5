/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations from text: what the tests of the configuration share. */
#pragma once
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "lib/bytes.h"
#include "types.h"

#define PUBSUB "pubsub: {project: my-project}\n"
#define MONGODB "{uri: 'mongodb://localhost/', database: home, collection: readings}"
#define SOURCE "{name: home, type: nature_remo, token_file: t}"
#define SUBSCRIBE "subscribe: [{subscription: sub, mongodb: " MONGODB "}]\n"
#define PUBLISH "publish: {topic: top, sources: [" SOURCE "]}\n"

/* The tests do not depend on the environment that they are run in. */
__attribute__((constructor)) static inline void clear_environment(void) {
        (void) unsetenv("STATE_DIRECTORY");
        (void) unsetenv("PUBSUB_EMULATOR_HOST");
}

static inline void assert_contains(const char *text, const char *part) {
        if (!strstr(text, part))
                fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* All that is said, a line each; freed by the caller. */
static inline char *errors_text(const ConfigErrors *errors) {
        Bytes text = {};

        assert_int_equal(bytes_append_text(&text, ""), 0);
        for (size_t i = 0; i < errors->n; i++)
                assert_int_equal(bytes_append_format(&text, "%s%s", i > 0 ? "\n" : "", errors->texts[i]), 0);
        return text.data;
}

static inline Config *parse_as(const char *path, const char *text, size_t size, const ConfigTypes *types) {
        ConfigErrors errors = {};
        Config *config = NULL;

        if (config_parse(&(ConfigInput){ path, types }, text, size, &config, &errors) < 0)
                fail_msg("%s in:\n%.*s", errors_text(&errors), (int) size, text);
        assert_int_equal(errors.n, 0);
        return config;
}

/* What is said of a text that is refused; freed by the caller. */
static inline char *errors_of(const char *text, size_t size, const ConfigInput *input) {
        ConfigErrors errors = {};
        Config *config = NULL;
        char *said;

        if (config_parse(input, text, size, &config, &errors) != -EBADMSG)
                fail_msg("accepted: %s", text);
        assert_null(config);
        assert_true(errors.n > 0);
        said = errors_text(&errors);
        config_errors_done(&errors);
        return said;
}

static inline void refuse_as(const char *text, const ConfigInput *input, const char *part) {
        _cleanup_free_ char *said = errors_of(text, strlen(text), input);

        assert_true(strncmp(said, "c.yaml:", 7) == 0);
        assert_contains(said, part);
}

static inline void refuse(const char *text, const char *part) {
        refuse_as(text, &(ConfigInput){ "c.yaml", &types_of_config }, part);
}

static inline Config *parse(const char *text) {
        return parse_as("/etc/sensorqd/c.yaml", text, strlen(text), &types_of_config);
}
