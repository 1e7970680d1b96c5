/* SPDX-License-Identifier: Apache-2.0 */
/* A type brings its own rows: they are accepted for that type only, read, compared and freed along its own table. Tried
 * with two types of source and two of sinks that the program does not have. */
#include "config-describe.h"
#include "config-fixture.h"

#include <math.h>
#include <unistd.h>

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
        { "token_file", &config_type_secret, offsetof(AlphaConfig, token), 1, 100, .flags = CONFIG_REQUIRED,
                .doc = "One." },
        { "second_file", &config_type_secret, offsetof(AlphaConfig, second), 1, 100, .doc = "Two." },
        { "url", &config_type_url, offsetof(AlphaConfig, url), 1, 100, "https://alpha.example/", .doc = "Place." },
        {},
};

static const ConfigRow target_rows[] = {
        { "name", &config_type_name, offsetof(Target, name), 1, 63, .flags = CONFIG_REQUIRED | CONFIG_UNIQUE,
                .doc = "Name." },
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

/* Everything that the language has. */
typedef struct Since {
        uint64_t initial, window;
} Since;

typedef struct AuthConfig {
        const char *kind;
        const ConfigSection *section;
        void *keys;
} AuthConfig;

typedef struct BearerConfig {
        ConfigSecrets tokens;
} BearerConfig;

typedef struct GammaConfig {
        char **urls, **command, **to;
        ConfigMap headers, where;
        double above, clear;
        bool energy;
        int mode;
        Since *since;
        AuthConfig auth;
} GammaConfig;

static const ConfigRow since_rows[] = {
        { "initial", &config_type_duration, offsetof(Since, initial), 0, USEC_PER_HOUR, "60s", .doc = "First." },
        { "window", &config_type_duration, offsetof(Since, window), 0, USEC_PER_HOUR, "1h", .doc = "Window." },
        {},
};
static const ConfigSection since_section = { .rows = since_rows, .size = sizeof(Since) };

static const ConfigRow bearer_rows[] = {
        { "token_file", &(const ConfigType){ "secret files", "a file name, or a list of two", CONFIG_SECRETS }, 0, 1, 2,
                .flags = CONFIG_REQUIRED | CONFIG_ONE, .doc = "Tokens." },
        {},
};
static const ConfigSection auth_kinds[] = {
        { "none", "None.", since_rows + 2, sizeof(int), NULL, NULL },
        { "bearer", "A token.", bearer_rows, sizeof(BearerConfig), NULL, NULL },
};

static const ConfigSection *auth_at(const ConfigTypes *unused, size_t index) {
        return index < ELEMENTSOF(auth_kinds) ? &auth_kinds[index] : NULL;
}

static const ConfigRow auth_rows[] = {
        { "type", &config_type_variant, .flags = CONFIG_REQUIRED, .doc = "Kind." },
        {},
};
static const ConfigSection auth_section = { .rows = auth_rows,
        .size = sizeof(AuthConfig),
        .variants = &(const ConfigVariants){ "auth", false, auth_at, offsetof(AuthConfig, kind),
                offsetof(AuthConfig, section), offsetof(AuthConfig, keys) } };

static const ConfigType type_mode = { "mode", "interval or stream", CONFIG_INT,
        .words = (const char *const[]){ "interval", "stream", NULL } };
static const ConfigType type_urls = { "list of URLs", "a URL, or a list of them", CONFIG_TEXTS };

#define GAMMA(field) offsetof(GammaConfig, field)
static const ConfigRow gamma_rows[] = {
        { "url", &type_urls, GAMMA(urls), 1, 3, .flags = CONFIG_ONE, .doc = "Places." },
        { "command", &config_type_texts, GAMMA(command), 1, 100, .doc = "Program." },
        { "to", &config_type_names, GAMMA(to), 0, 5, .doc = "Targets." },
        { "headers", &config_type_headers, GAMMA(headers), 0, 3, .doc = "Headers." },
        { "where", &config_type_map, GAMMA(where), 0, 3, .flags = CONFIG_MANY, .doc = "Which." },
        { "above", &config_type_decimal, GAMMA(above), .doc = "Threshold." },
        { "clear", &config_type_decimal, GAMMA(clear), .fallback = "-0.5", .doc = "End." },
        { "energy", &config_type_bool, GAMMA(energy), .fallback = "false", .doc = "More." },
        { "mode", &type_mode, GAMMA(mode), .fallback = "interval", .doc = "Mode." },
        { "since", &config_type_section, GAMMA(since), .flags = CONFIG_POINTER, .section = &since_section,
                .doc = "History." },
        { "auth", &config_type_section, GAMMA(auth), .section = &auth_section, .doc = "Who." },
        {},
};

static int gamma_rule(const ConfigPlace *place, void *self, void *around) {
        const GammaConfig *gamma = self;

        return gamma->to && strcmp(gamma->to[0], "work") != 0 ? config_place_fail(place, "to", "is not work") : 0;
}

static int beta_rule(const ConfigPlace *place, void *self, void *around) {
        BetaConfig *beta = self;

        ((SourceConfig *) around)->interval = beta->size * USEC_PER_SEC;
        return beta->size == 13 ? config_place_fail(place, "size", "brings bad luck") : 0;
}

static const ConfigRow box_rows[] = {
        { "directory", &config_type_directory, offsetof(BoxConfig, directory), 1, 100, .flags = CONFIG_REQUIRED,
                .doc = "Where." },
        {},
};

static const ConfigSection sources[] = {
        { "alpha", "Alpha.", alpha_rows, sizeof(AlphaConfig), NULL, NULL },
        { "beta", "Beta.", beta_rows, sizeof(BetaConfig), beta_rule, NULL },
        { "gamma", "Gamma.", gamma_rows, sizeof(GammaConfig), gamma_rule, NULL },
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
static const ConfigInput input = { "c.yaml", &types };

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

        assert_true(config_source_equal(&a->sources[0], &b->sources[0]));
        assert_true(config_source_equal(&a->sources[1], &b->sources[1]));
        assert_false(config_source_equal(&a->sources[0], &b->sources[1]));
        ((AlphaConfig *) b->sources[0].keys)->token.text = strdup("read already");
        assert_true(config_source_equal(&a->sources[0], &b->sources[0]));
        beta->targets[0].topics[1][0] = 'w';
        assert_false(config_source_equal(&a->sources[1], &b->sources[1]));
        beta->targets[0].topics[1][0] = 'v';
        beta->n_targets = 1;
        assert_false(config_source_equal(&a->sources[1], &b->sources[1]));
        beta->n_targets = 2;
        config_unref(a);
        config_unref(b);

        a = parse_types(HEAD "subscribe: [{subscription: sub, crate: {directory: /x}}]\n");
        b = parse_types(HEAD "subscribe: [{subscription: sub, box: {directory: /x}}]\n");
        assert_false(config_subscription_equal(a->subscriptions, b->subscriptions));
        config_unref(a);
        config_unref(b);
}

static void test_keys_of_another_type(void **state) {
        refuse_types(TOPIC "    - {name: a, type: alpha, token_file: t, size: 5}\n",
                "c.yaml:5:45: publish.sources[].size: is for type beta only; allowed for type alpha: name, type, interval, "
                "labels, token_file, second_file, url");
        refuse_types(TOPIC "    - {name: a, type: beta, url: x}\n",
                "publish.sources[].url: is for type alpha, gamma only; allowed for type beta: ");
        refuse_types(TOPIC "    - {name: a, type: omega}\n",
                "publish.sources[].type: \"omega\" is not a type of source; allowed: alpha, beta, gamma");
        refuse_types(TOPIC "    - {name: a, type: alpah, token_file: t}\n", "did you mean alpha");
        refuse_types(TOPIC "    - {name: a, token_file: t}\n",
                "publish.sources[].type: is missing; allowed: alpha, beta, gamma");
        refuse_types(TOPIC "    - {name: a, type: alpha}\n", "publish.sources[].token_file: is missing");
        refuse_types(TOPIC "    - {name: a, type: beta, size: 13}\n",
                "c.yaml:5:35: publish.sources[].size: brings bad luck");
        refuse_types(TOPIC "    - {name: a, type: beta, targets: [{name: x}, {name: x}]}\n",
                "publish.sources[].targets[].name: \"x\" is already the name of the entry in line 5");
        refuse_types(TOPIC "    - {name: a, type: beta, targets: [{nam: x}]}\n",
                "publish.sources[].targets[].nam: is not known");
}

#define G(rest) TOPIC "    - { name: g, type: gamma, " rest " }\n"

static const GammaConfig *gamma_of(const Config *config) {
        return config->sources[0].keys;
}

static void test_language(void **state) {
        Config *config = parse_types(
                G("url: one, command: [echo, '', echo], to: [work], headers: {Accept: a b, X: '1'}, "
                  "where: {source: home, name: [Bedroom, 居間]}, above: 28.50, clear: -40, energy: true, mode: stream, "
                  "since: {initial: 5s}, auth: {type: bearer, token_file: [new, old]}"));
        const GammaConfig *gamma = gamma_of(config);
        const BearerConfig *bearer = gamma->auth.keys;

        assert_string_equal(gamma->urls[0], "one");
        assert_null(gamma->urls[1]);
        assert_string_equal(gamma->command[1], "");
        assert_string_equal(gamma->command[2], "echo");
        assert_int_equal(gamma->headers.n, 2);
        assert_string_equal(config_map_get(&gamma->headers, "Accept"), "a b");
        assert_null(config_map_get(&gamma->headers, "accept"));
        assert_string_equal(gamma->where.items[1].values[1], "居間");
        assert_null(gamma->where.items[1].values[2]);
        assert_true(gamma->above > 28.49 && gamma->above < 28.51 && gamma->clear < -39);
        assert_true(gamma->energy);
        assert_int_equal(gamma->mode, 1);
        assert_int_equal(gamma->since->initial, 5 * USEC_PER_SEC);
        assert_int_equal(gamma->since->window, USEC_PER_HOUR);
        assert_string_equal(gamma->auth.kind, "bearer");
        assert_int_equal(bearer->tokens.n, 2);
        assert_string_equal(bearer->tokens.items[1].file, "old");
        config_unref(config);

        config = parse_types(G("auth: {type: none}"));
        gamma = gamma_of(config);
        assert_null(gamma->urls);
        assert_null(gamma->since);
        assert_int_equal(gamma->headers.n, 0);
        assert_true(isnan(gamma->above));
        assert_true(gamma->clear < -0.4);
        assert_string_equal(gamma->auth.kind, "none");
        config_unref(config);
}

static void test_language_is_compared(void **state) {
        static const char *const changes[] = { "url: two", "command: [x]", "to: [work]", "headers: {a: b}",
                "where: {a: [b, c]}", "above: 1", "clear: 2", "energy: true", "mode: stream", "since: {initial: 1s}",
                "since: {window: 1s}", "auth: {type: bearer, token_file: x}" };
        Config *plain = parse_types(G("auth: {type: none}"));

        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                char text[300];
                Config *one, *other;

                (void) snprintf(text, sizeof(text), G("%s%s"), changes[i],
                        strncmp(changes[i], "auth", 4) == 0 ? "" : ", auth: {type: none}");
                one = parse_types(text);
                other = parse_types(text);
                assert_true(config_source_equal(one->sources, other->sources));
                if (config_source_equal(one->sources, plain->sources))
                        fail_msg("%s makes no difference", changes[i]);
                config_unref(one);
                config_unref(other);
        }
        config_unref(plain);
}

static void test_language_is_strict(void **state) {
        refuse_types(G("auth: {type: none}, url: {a: b}"),
                "publish.sources[].url: is a section; allowed: a URL, or a list of them");
        refuse_types(G("auth: {type: none}, url: [a, b, c, d]"), "has 4 entries; allowed: 1 to 3");
        refuse_types(G("auth: {type: none}, command: x"),
                "publish.sources[].command: is a single value; allowed: a list of texts");
        refuse_types(G("auth: {type: none}, to: [famly]"), "publish.sources[].to: is not work");
        refuse_types(G("auth: {type: none}, headers: {a: [b]}"),
                "publish.sources[].headers: is a list; allowed: NAME: TEXT lines, indented; if it");
        refuse_types(G("auth: {type: none}, headers: [a]"), "publish.sources[].headers: is a list");
        refuse_types(G("auth: {type: none}, headers: {Authorization: hunter2}"),
                "publish.sources[].headers: the name Authorization is a header for a secret: put that into a file, and name it in auth");
        refuse_types(
                G("auth: {type: none}, headers: {x-api-key: hunter2}"), "the name x-api-key is a header for a secret");
        refuse_types(G("auth: {type: none}, headers: {X-Auth-Token: hunter2}"), "is a header for a secret");
        refuse_types(G("auth: {type: none}, headers: {'a b': c}"), "the name in this line is not the name of a header");
        refuse_types(G("auth: {type: none}, headers: {a: }"), "publish.sources[].headers: is empty");
        refuse_types(G("auth: {type: none}, headers: {a: 1, b: 2, c: 3, d: 4}"), "has 4 entries; allowed: 0 to 3");
        refuse_types(G("auth: {type: none}, above: 1,5"), "publish.sources[].5: ");
        refuse_types(G("auth: {type: none}, above: 1.e"),
                "\"1.e\" ends in its decimal point; allowed: a number: 28, 28.5, -3");
        refuse_types(G("auth: {type: none}, above: '1'"), "is in quotes, which makes it a text");
        refuse_types(G("auth: {type: none}, above: nan"), "\"nan\" is not a number");
        refuse_types(G("auth: {type: none}, above: 1e400"), "is not a number");
        refuse_types(G("auth: {type: none}, energy: yes"), "\"yes\" is not allowed; allowed: true or false");
        refuse_types(G("auth: {type: none}, energy: 'true'"), "is in quotes");
        refuse_types(G("auth: {type: none}, mode: poll"), "\"poll\" is not allowed; allowed: interval or stream");
        refuse_types(G("auth: {type: none}, since: {initial: 2h}"),
                "publish.sources[].since.initial: \"2h\" is out of range");
        refuse_types(G("auth: {type: none}, since: [1s]"), "publish.sources[].since: is a list; allowed: a section");
        refuse_types(G("auth: {type: bearer}"), "publish.sources[].auth.token_file: is missing");
        refuse_types(G("auth: {type: basic}"),
                "publish.sources[].auth.type: \"basic\" is not a type of auth; allowed: none, bearer");
        refuse_types(
                G("auth: {type: none, token_file: x}"), "publish.sources[].auth.token_file: is for type bearer only");
        refuse_types(G("auth: {type: bearer, token_file: [a, b, c]}"), "has 3 entries; allowed: 1 to 2");
}

/* A URL is logged, and travels as it is: a secret does not belong there, and is not repeated. */
static void test_web_urls(void **state) {
        static const char *const wrong[] = { "https://h/?appid=hunter2", "http://h/x?a=b&TOKEN=hunter2",
                "https://h/?api_key=hunter2", "http://169.254.169.254/?a=hunter2", "ftp://h/?hunter2",
                "https://u:hunter2@h/" };
        ConfigProblem problem;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                assert_int_equal(config_type_web_url.text(wrong[i], &problem), -EBADMSG);
                assert_null(strstr(problem.text, "hunter2"));
        }
        assert_int_equal(config_type_web_url.text("http://10.0.0.1/x?from=1&keys=2&key", &problem), 0);
}

static void test_one_sink(void **state) {
        refuse_types(HEAD "subscribe: [{subscription: sub}]",
                "c.yaml:2:13: subscribe[]: has no sink; allowed: a section box or crate");
        refuse_types(HEAD "subscribe: [{subscription: sub, box: {directory: /x}, crate: {directory: /y}}]",
                "subscribe[].crate: cannot be combined with box; allowed: one sink");
        refuse_types(HEAD "subscribe: [{subscription: sub, boxx: {directory: /x}}]",
                "subscribe[].boxx: is not known, did you mean box?");
        refuse_types(HEAD "subscribe: [{subscription: sub, box: {}}]", "subscribe[].box.directory: is missing");
        refuse_types(HEAD "subscribe: [{subscription: sub, directory: /x, box: {directory: /x}}]",
                "subscribe[].directory: is not known");
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
                "c.yaml:6:14: publish.sources[].name: ", "c.yaml:6:35: publish.sources[].size: ",
                "c.yaml:7:23: publish.sources[].type: ", "c.yaml:9:32: subscribe[].pulls: ",
                "c.yaml:9:40: subscribe[].box.directory: is missing" };
        const char *place = said;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                assert_contains(place, lines[i]);
                place = strstr(place, lines[i]) + 1;
        }
        assert_null(strstr(place, "c.yaml"));
}

/* A key that was mistyped is one mistake: that the right one is missing is not said as well. */
static void test_mistyped_key_is_one_error(void **state) {
        static const char *const texts[] = { TOPIC "    - {name: a, type: alpha, token: x}\n",
                TOPIC "    - {name: a, type: alpha, tokn_file: x}\n",
                HEAD "publish: {topik: top, sources: [{name: a, type: alpha, token_file: t}]}\n" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_free_ char *said = errors_of(texts[i], strlen(texts[i]), &input);

                assert_contains(said,
                        i < 2 ? ": is not known, did you mean token_file? Allowed: " : "did you mean topic? Allowed: ");
                assert_null(strchr(said, '\n'));
        }

        /* Also where another section has that very key. */
        refuse_types(HEAD "publish: {topics: top, sources: [{name: a, type: alpha, token_file: t}]}\n",
                "publish.topics: is not known here, only as publish.sources[].targets[].topics; did you mean topic? "
                "Allowed: topic, ");

        /* But where nothing near is allowed, what is missing has to be said. */
        refuse_types(HEAD "publish: {queue: top, sources: [{name: a, type: alpha, token_file: t}]}\n",
                "publish.topic: is missing");
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

static void see_row(
        void *userdata, const char *key, const char *owner, const char *kind, const char *fallback, const char *doc) {
        assert_int_equal(bytes_append_format(userdata, "%s(%s) ", key, owner ? owner : ""), 0);
}

static void test_description(void **state) {
        _cleanup_bytes_ Bytes seen = {};

        config_describe(&types, see_row, &seen);
        assert_contains(seen.data, "publish.sources[].labels() publish.sources[].token_file(alpha) ");
        assert_contains(seen.data, "publish.sources[].targets(beta) publish.sources[].targets[].name(beta) ");
        assert_contains(seen.data, "subscribe[].box() subscribe[].box.directory() subscribe[].crate() ");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows_of_a_type),
                cmocka_unit_test(test_comparison),
                cmocka_unit_test(test_keys_of_another_type),
                cmocka_unit_test(test_language),
                cmocka_unit_test(test_language_is_compared),
                cmocka_unit_test(test_language_is_strict),
                cmocka_unit_test(test_web_urls),
                cmocka_unit_test(test_one_sink),
                cmocka_unit_test(test_all_errors),
                cmocka_unit_test(test_mistyped_key_is_one_error),
                cmocka_unit_test(test_errors_have_an_end),
                cmocka_unit_test(test_secrets),
                cmocka_unit_test(test_description),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
