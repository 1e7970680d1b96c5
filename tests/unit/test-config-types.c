/* SPDX-License-Identifier: Apache-2.0 */
/* A type brings its own rows: they are accepted for that type only, read, compared and freed along its own table. Tried with two types of
 * source and two of sinks that the program does not have. */
#include "config-fixture.h"

#include <unistd.h>

#include "config-table.h"
#include "secret.h"

typedef struct AlphaConfig {
        ConfigSecret token, second;
        char *url;
} AlphaConfig;

typedef struct Target {
        char *name;
        ConfigSecret token;
        char **topics;
} Target;

typedef struct BetaConfig {
        uint64_t size;
        Target *targets;
        size_t n_targets;
} BetaConfig;

typedef struct BoxConfig {
        char *directory;
} BoxConfig;

static const ConfigRow alpha_rows[] = {
        { "token_file", &config_type_secret, offsetof(AlphaConfig, token), 1, 100, .flags = CONFIG_REQUIRED, .doc = "One." },
        { "second_file", &config_type_secret, offsetof(AlphaConfig, second), 1, 100, .doc = "Two." },
        { "url", &config_type_url, offsetof(AlphaConfig, url), 1, 100, "https://alpha.example/", .doc = "Place." },
        {},
};

static const ConfigRow target_rows[] = {
        { "name", &config_type_name, offsetof(Target, name), 1, 63, .flags = CONFIG_REQUIRED | CONFIG_UNIQUE, .doc = "Name." },
        { "token_file", &config_type_secret, offsetof(Target, token), 1, 100, .doc = "Token." },
        { "topics", &config_type_names, offsetof(Target, topics), 0, 5, "[]", .doc = "Topics." },
        {},
};
static const ConfigSection target_section = { .rows = target_rows, .size = sizeof(Target) };

static const ConfigRow beta_rows[] = {
        { "size", &config_type_size, offsetof(BetaConfig, size), 1, 1024, "5", .doc = "Size." },
        { "targets", &config_type_list, offsetof(BetaConfig, targets), 0, 3, .section = &target_section,
                .count = offsetof(BetaConfig, n_targets), .doc = "Targets." },
        {},
};

static int beta_rule(const ConfigPlace *place, void *self, void *around) {
        BetaConfig *beta = self;

        ((SourceConfig *) around)->interval = beta->size * USEC_PER_SEC;
        return beta->size == 13 ? config_place_fail(place, "size", "brings bad luck") : 0;
}

static const ConfigRow box_rows[] = {
        { "directory", &config_type_directory, offsetof(BoxConfig, directory), 1, 100, .flags = CONFIG_REQUIRED, .doc = "Where." },
        {},
};

static const ConfigSection sources[] = {
        { "alpha", "Alpha.", alpha_rows, sizeof(AlphaConfig), NULL, NULL },
        { "beta", "Beta.", beta_rows, sizeof(BetaConfig), beta_rule, NULL },
};
static const ConfigSection sinks[] = {
        { "box", "Boxes.", box_rows, sizeof(BoxConfig), NULL, NULL },
        { "crate", "Crates.", box_rows, sizeof(BoxConfig), NULL, NULL },
};

static const ConfigSection *source_at(size_t index) {
        return index < ELEMENTSOF(sources) ? &sources[index] : NULL;
}

static const ConfigSection *sink_at(size_t index) {
        return index < ELEMENTSOF(sinks) ? &sinks[index] : NULL;
}

static const ConfigTypes types = { source_at, sink_at };
static const ConfigInput input = { "c.yaml", &types, env_none };

#define HEAD "pubsub: {project: p}\n"
#define TOPIC HEAD "publish:\n  topic: top\n  sources:\n"
#define ALPHA "    - {name: a, type: alpha, token_file: t}\n"
#define BETA "    - {name: b, type: beta, targets: [{name: x, token_file: t1, topics: [u, v]}, {name: y}]}\n"

static Config *parse_types(const char *text) {
        return parse_as("c.yaml", text, strlen(text), &types);
}

static void refuse_types(const char *text, const char *part) {
        refuse_as(text, &input, part);
}

static void test_rows_of_a_type(void **state) {
        Config *config = parse_types(TOPIC ALPHA BETA "subscribe: [{subscription: sub, crate: {directory: /x}}]\n");
        const AlphaConfig *alpha = config->sources[0].keys;
        const BetaConfig *beta = config->sources[1].keys;
        const BoxConfig *crate = config->subscriptions[0].keys;

        assert_string_equal(config->sources[0].type, "alpha");
        assert_string_equal(alpha->token.file, "t");
        assert_null(alpha->second.file);
        assert_string_equal(alpha->url, "https://alpha.example");
        assert_int_equal(config->sources[1].interval, 5 * USEC_PER_SEC); /* the rule completes what is around */
        assert_int_equal(beta->n_targets, 2);
        assert_string_equal(beta->targets[0].topics[1], "v");
        assert_string_equal(beta->targets[1].name, "y");
        assert_string_equal(config->subscriptions[0].sink, "crate");
        assert_string_equal(crate->directory, "/x");
        config_unref(config);
}

static void test_comparison(void **state) {
        Config *a = parse_types(TOPIC ALPHA BETA), *b = parse_types(TOPIC ALPHA BETA);
        BetaConfig *beta = b->sources[1].keys;

        assert_true(source_config_equal(&a->sources[0], &b->sources[0]));
        assert_true(source_config_equal(&a->sources[1], &b->sources[1]));
        assert_false(source_config_equal(&a->sources[0], &b->sources[1]));
        ((AlphaConfig *) b->sources[0].keys)->token.text = strdup("read already");
        assert_true(source_config_equal(&a->sources[0], &b->sources[0]));
        beta->targets[0].topics[1][0] = 'w';
        assert_false(source_config_equal(&a->sources[1], &b->sources[1]));
        beta->targets[0].topics[1][0] = 'v';
        beta->n_targets = 1;
        assert_false(source_config_equal(&a->sources[1], &b->sources[1]));
        beta->n_targets = 2;
        config_unref(a);
        config_unref(b);

        a = parse_types(HEAD "subscribe: [{subscription: sub, crate: {directory: /x}}]\n");
        b = parse_types(HEAD "subscribe: [{subscription: sub, box: {directory: /x}}]\n");
        assert_false(subscription_config_equal(a->subscriptions, b->subscriptions));
        config_unref(a);
        config_unref(b);
}

static void test_keys_of_another_type(void **state) {
        refuse_types(TOPIC "    - {name: a, type: alpha, token_file: t, size: 5}\n",
                "c.yaml:5:45: publish.sources[].size: belongs to a source of type beta; allowed for alpha: name, type, interval, "
                "token_file, second_file, url");
        refuse_types(TOPIC "    - {name: a, type: gamma}\n", "publish.sources[].type: \"gamma\" is no type of source; allowed: alpha, beta");
        refuse_types(TOPIC "    - {name: a, type: alpah, token_file: t}\n", "did you mean alpha");
        refuse_types(TOPIC "    - {name: a, token_file: t}\n", "publish.sources[].type: is missing; allowed: alpha, beta");
        refuse_types(TOPIC "    - {name: a, type: alpha}\n", "publish.sources[].token_file: is missing");
        refuse_types(TOPIC "    - {name: a, type: beta, size: 13}\n", "c.yaml:5:35: publish.sources[].size: brings bad luck");
        refuse_types(TOPIC "    - {name: a, type: beta, targets: [{name: x}, {name: x}]}\n",
                "publish.sources[].targets[].name: \"x\" is the name of the entry in line 5 already");
        refuse_types(TOPIC "    - {name: a, type: beta, targets: [{nam: x}]}\n", "publish.sources[].targets[].nam: is not known");
}

static void test_one_sink(void **state) {
        refuse_types(HEAD "subscribe: [{subscription: sub}]", "c.yaml:2:13: subscribe[]: has no sink; allowed: a section box or crate");
        refuse_types(HEAD "subscribe: [{subscription: sub, box: {directory: /x}, crate: {directory: /y}}]",
                "subscribe[].crate: stands beside box; allowed: one sink");
        refuse_types(HEAD "subscribe: [{subscription: sub, boxx: {directory: /x}}]", "subscribe[].boxx: is not known, did you mean box?");
        refuse_types(HEAD "subscribe: [{subscription: sub, box: {}}]", "subscribe[].box.directory: is missing");
        refuse_types(HEAD "subscribe: [{subscription: sub, directory: /x, box: {directory: /x}}]", "subscribe[].directory: is not known");
}

/* What a file has wrong is told at once, each at its own place. */
static void test_all_errors(void **state) {
        static const char text[] = HEAD "log_level: loud\n"
                                        "publish:\n"
                                        "  topic: t\n"
                                        "  sources:\n"
                                        "    - {name: A, type: beta, size: x}\n"
                                        "    - {name: b, type: none}\n"
                                        "subscribe:\n"
                                        "  - {subscription: sub, pulls: 0, box: {}}\n";
        _cleanup_free_ char *said = errors_of(text, strlen(text), &input);
        static const char *const lines[] = { "c.yaml:2:12: log_level: ", "c.yaml:4:10: publish.topic: ",
                "c.yaml:6:14: publish.sources[].name: ", "c.yaml:6:35: publish.sources[].size: ", "c.yaml:7:23: publish.sources[].type: ",
                "c.yaml:9:32: subscribe[].pulls: ", "c.yaml:9:40: subscribe[].box.directory: is missing" };
        const char *place = said;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                assert_contains(place, lines[i]);
                place = strstr(place, lines[i]) + 1;
        }
        assert_null(strstr(place, "c.yaml"));
}

static void test_errors_have_an_end(void **state) {
        _cleanup_bytes_ Bytes text = {};
        _cleanup_free_ char *said = NULL;

        assert_int_equal(bytes_append_text(&text, HEAD), 0);
        for (unsigned i = 0; i < 50; i++)
                assert_int_equal(bytes_append_format(&text, "odd%u: 1\n", i), 0);
        said = errors_of(text.data, text.size, &input);
        assert_contains(said, "c.yaml:20:1: odd18");
        assert_null(strstr(said, "odd19"));
        assert_contains(said, "\nand 31 more");
}

/* Every secret of a type is read before it is opened, those in lists as well. */
static void test_secrets(void **state) {
        char directory[] = "/tmp/sensorqd-test-XXXXXX", path[64];
        Config *config;
        BetaConfig *beta;
        SecretProblem problem;
        FILE *file;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/c.yaml", directory);
        config = parse_as(path, TOPIC ALPHA BETA, strlen(TOPIC ALPHA BETA), &types);
        beta = config->sources[1].keys;
        assert_int_equal(secret_read_all(config, NULL, config->sources[1].section, beta, &problem), -ENOENT);
        assert_contains(problem.text, "secret file t1 is neither");

        (void) snprintf(path, sizeof(path), "%s/t1", directory);
        file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs("abc\n", file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(secret_read_all(config, NULL, config->sources[1].section, beta, &problem), 0);
        assert_string_equal(beta->targets[0].token.text, "abc");
        assert_null(beta->targets[1].token.text);
        config_unref(config);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(directory), 0);
}

static void see_row(void *userdata, const char *key, const char *owner, const char *kind, const char *fallback, const char *doc) {
        assert_int_equal(bytes_append_format(userdata, "%s(%s) ", key, owner ? owner : ""), 0);
}

static void test_description(void **state) {
        _cleanup_bytes_ Bytes seen = {};

        config_describe(&types, see_row, &seen);
        assert_contains(seen.data, "publish.sources[].interval() publish.sources[].token_file(alpha) ");
        assert_contains(seen.data, "publish.sources[].targets(beta) publish.sources[].targets[].name(beta) ");
        assert_contains(seen.data, "subscribe[].box() subscribe[].box.directory() subscribe[].crate() ");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows_of_a_type),
                cmocka_unit_test(test_comparison),
                cmocka_unit_test(test_keys_of_another_type),
                cmocka_unit_test(test_one_sink),
                cmocka_unit_test(test_all_errors),
                cmocka_unit_test(test_errors_have_an_end),
                cmocka_unit_test(test_secrets),
                cmocka_unit_test(test_description),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
