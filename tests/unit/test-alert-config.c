/* SPDX-License-Identifier: Apache-2.0 */
/* The section of the alert sink: what is refused, where, and in which words (P9). */
#include "config-fixture.h"

#include <math.h>

#include "lib/err.h"
#include "sinks/alert-config.h"
#include "subscribe/sink-type.h"

static const ConfigSection *sink_at(size_t index) {
        return index == 0 ? &alert_config_section : NULL;
}

static const ConfigSection *source_at(size_t index) {
        return types_of_config.source(index);
}

static const ConfigTypes types = { source_at, sink_at };

#define HEAD                                                                                                           \
        PUBSUB "subscribe:\n"                                                                                          \
               "  - subscription: sub\n"                                                                               \
               "    alert:\n"                                                                                          \
               "      targets:\n"                                                                                      \
               "        - { name: family, type: ntfy, topic: home-of-tests }\n"                                        \
               "        - { name: work, type: ntfy, topic: work-of-tests }\n"                                          \
               "      rules:\n"
#define RULE_LINE "9"

static Config *parse_rules(const char *rules) {
        _cleanup_free_ char *text = NULL;

        assert_true(asprintf(&text, HEAD "%s", rules) > 0);
        return parse_as("c.yaml", text, strlen(text), &types);
}

static const AlertConfig *keys_of(const Config *config) {
        return config->subscriptions[0].keys;
}

static void test_what_is_not_said(void **state) {
        Config *config = parse_rules("        - { name: 暑い, field: /newest_events/te/val, above: 28.0 }\n"
                                     "        - { name: silent, where: { source: home, name: [a, b] }, stale: 30m, to: "
                                     "work, repeat: 6h, for: 10m }\n"
                                     "        - { name: leak, field: water_leak, is: true }\n"
                                     "        - { name: cold, field: t, below: 5, clear: 7.5 }\n");
        const AlertConfig *keys = keys_of(config);

        assert_int_equal(keys->language, ALERT_ENGLISH);
        assert_int_equal(keys->n_rules, 4);
        assert_int_equal(keys->n_targets, 2);
        assert_int_equal(keys->rules[0].test, ALERT_ABOVE);
        assert_true(keys->rules[0].clear == 28.0);
        assert_int_equal(keys->rules[0].wait, 0);
        assert_int_equal(keys->rules[0].repeat, 0);
        assert_true(alert_config_tells(&keys->rules[0], "family") && alert_config_tells(&keys->rules[0], "work"));
        assert_int_equal(keys->rules[1].test, ALERT_STALE);
        assert_false(alert_config_tells(&keys->rules[1], "family"));
        assert_true(alert_config_tells(&keys->rules[1], "work"));
        assert_int_equal(keys->rules[1].wait, 10 * USEC_PER_MINUTE);
        assert_string_equal(keys->rules[2].is, "true");
        assert_true(keys->rules[3].clear == 7.5);
        config_unref(config);
}

static void test_refused(void **state) {
        static const struct {
                const char *rule, *said;
        } cases[] = {
                { "{ name: a, field: t }",
                        RULE_LINE ":11: subscribe[].alert.rules[]: needs one of above, below, is and stale" },
                { "{ name: a, field: t, above: 1, below: 2 }",
                        RULE_LINE ":49: subscribe[].alert.rules[].below: cannot be combined with above" },
                { "{ name: a, field: t, is: x, stale: 1h }", "stale: cannot be combined with is" },
                { "{ name: a, above: 1 }", "field: is missing; it says where the value for above is" },
                { "{ name: a, is: x }", "field: is missing" },
                { "{ name: a, field: t, above: 28, clear: 29 }",
                        "clear: 29 overlaps with above: 28, so the alert would begin and end at the same value; "
                        "allowed: at most 28" },
                { "{ name: a, field: t, below: 5, clear: 4.5 }", "allowed: at least 5" },
                { "{ name: a, field: t, is: x, clear: 4 }",
                        "clear: belongs to above or below; a rule with is has no threshold" },
                { "{ name: a, stale: 1h, clear: 4 }", "a rule with stale has no threshold" },
                { "{ name: a, field: t, above: hot }", RULE_LINE ":39: subscribe[].alert.rules[].above: \"hot\"" },
                { "{ name: a, field: t, above: 1, to: [family, nobody] }",
                        "to: there is no target \"nobody\"; allowed: family, work" },
                { "{ name: a, field: t, above: 1, to: [] }", "to: names no target" },
                { "{ name: a, field: /x/*/y, above: 1 }", "field: \"/x/*/y\" has a step *" },
                { "{ name: a, field: /x~2, above: 1 }", "is not a JSON pointer" },
                { "{ name: a, field: t, above: 1, where: { /x/*: 1 } }", "has a step *" },
                { "{ name: a, field: t, above: 1, message: '{nmae}' }", "message: " },
                { "{ name: a, field: t, above: 1, resolved: 'x {limits}' }", "resolved: " },
                { "{ field: t, above: 1 }", "name" },
                { "{ name: a, field: t, above: 1, hysteresis: 2 }", "hysteresis" },
                { "{ name: a, stale: 1s }", "stale: \"1s\" is out of range" },
                { "{ name: a, field: t, above: 1, repeat: 1s }", "repeat: \"1s\" is out of range" },
                { "{ name: a, field: t, above: 1 }\n        - { name: a, field: u, above: 1 }",
                        "10:19: subscribe[].alert.rules[].name" },
                { "{ name: "
                  "暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑暑"
                  "暑暑暑暑暑暑暑暑暑暑暑暑暑暑, field: t, above: 1 }",
                        "has 64 characters" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, HEAD "        - %s\n", cases[i].rule) > 0);
                refuse_as(text, &(ConfigInput){ "c.yaml", &types }, cases[i].said);
        }
}

static void test_keys_of_another_service(void **state) {
        refuse_as(PUBSUB
                "subscribe: [{subscription: sub, alert: {targets: [{name: a, type: slack, url: 'https://h/'}], "
                "rules: [{name: a, stale: 1h}]}}]\n",
                &(ConfigInput){ "c.yaml", &types }, "url: is not a key of type slack, which takes url_file; remove it");
}

/* P10: no secret without TLS to another machine; and an address and a recipient that the service can have. */
static void test_targets_refused(void **state) {
        static const struct {
                const char *target, *said;
        } cases[] = {
                { "type: ntfy, topic: t, token_file: k, url: 'http://pi.lan'", "url: would send a secret unencrypted" },
                { "type: line, token_file: k, recipient: U1, url: 'http://pi.lan'",
                        "url: would send a secret unencrypted" },
                { "type: webhook, url: 'http://pi.lan/x', auth: { type: bearer, token_file: k }",
                        "url: would send a secret unencrypted" },
                { "type: webhook", "needs one of url and url_file" },
                { "type: webhook, url: 'https://h/', url_file: u", "url_file: cannot be combined with url" },
                { "type: ntfy, topic: t, url: 'https://h/t'", "url: has a path" },
                { "type: ntfy, topic: 'a b'", "holds a character that a topic of ntfy cannot have" },
                { "type: line, token_file: k, recipient: X1", "is not the id of a user, group or room" },
                { "type: line, token_file: k, recipient: U-1", "is not the id of a user, group or room" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text,
                                    PUBSUB "subscribe: [{subscription: sub, alert: {targets: [{name: a, %s}], rules: "
                                           "[{name: a, stale: 1h}]}}]\n",
                                    cases[i].target) > 0);
                refuse_as(text, &(ConfigInput){ "c.yaml", &types }, cases[i].said);
        }
}

static void test_sizes(void **state) {
        _cleanup_bytes_ Bytes text = {};

        refuse_as(PUBSUB "subscribe: [{subscription: sub, alert: {rules: [{name: a, stale: 1h}]}}]\n",
                &(ConfigInput){ "c.yaml", &types }, "alert.targets");
        refuse_as(PUBSUB "subscribe: [{subscription: sub, alert: {targets: [{name: a, type: ntfy, topic: t}]}}]\n",
                &(ConfigInput){ "c.yaml", &types }, "alert.rules");
        assert_int_equal(bytes_append_text(&text, HEAD), 0);
        for (int i = 0; i <= ALERT_RULES_MAX; i++)
                assert_int_equal(bytes_append_format(&text, "        - { name: r%d, field: t, above: 1 }\n", i), 0);
        refuse_as(text.data, &(ConfigInput){ "c.yaml", &types }, "alert.rules");
}

/* The same in `where`, which would match nothing. */
static void test_words_of_conditions(void **state) {
        static const struct {
                const char *where, *warned;
        } cases[] = { { "{ open: True }", "where: open: True is a text here" },
                { "{ name: Kitchen, /state/on: [true, yes] }", "where: /state/on: yes is a text here" },
                { "{ open: 'True', on: true, state: [open, ON] }", NULL } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *rules = NULL;
                Config *config;

                assert_true(asprintf(&rules, "        - { name: leak, where: %s, field: t, above: 1 }\n",
                                    cases[i].where) > 0);
                config = parse_rules(rules);
                assert_int_equal(config->warnings.n, cases[i].warned ? 1 : 0);
                if (cases[i].warned)
                        assert_contains(config->warnings.texts[0], cases[i].warned);
                config_unref(config);
        }
}

/* `is: True` would never fire on a message that says true. */
static void test_words(void **state) {
        static const struct {
                const char *is;
                bool warned;
        } cases[] = { { "True", true }, { "yes", true }, { "off", true }, { "'off'", false }, { "true", false },
                { "ON", false }, { "open", false }, { "3", false } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *rules = NULL;
                Config *config;

                assert_true(asprintf(&rules, "        - { name: leak, field: water_leak, is: %s }\n", cases[i].is) > 0);
                config = parse_rules(rules);
                assert_int_equal(config->warnings.n, cases[i].warned);
                if (cases[i].warned)
                        assert_contains(config->warnings.texts[0],
                                "is a text here, and no message that says true or false has it");
                config_unref(config);
        }
}

/* Grafana, Metabase and jq write a.b, which would never be found. */
static void test_dots(void **state) {
        static const struct {
                const char *rule, *warned;
        } cases[] = { { "field: newest_events.te.val, above: 1", "newest_events.te.val is one member" },
                { "field: .te, above: 1", ".te is one member, with a dot in its name. Write a place as /a/b" },
                { "where: { attributes.device_class: temperature }, stale: 1h",
                        "that member as /attributes.device_class" },
                { "field: /room.1/te, above: 1", NULL }, { "field: 1.8.0, above: 1", NULL },
                { "field: te, above: 1.5", NULL }, { "where: { name: a.b }, field: on, is: ON", NULL } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *rules = NULL;
                Config *config;

                assert_true(asprintf(&rules, "        - { name: hot, %s }\n", cases[i].rule) > 0);
                config = parse_rules(rules);
                assert_int_equal(config->warnings.n, cases[i].warned ? 1 : 0);
                if (cases[i].warned)
                        assert_contains(config->warnings.texts[0], cases[i].warned);
                config_unref(config);
        }
}

static void test_on_change(void **state) {
        static const struct {
                const char *rule;
                bool warned;
        } cases[] = {
                { "{ name: a, where: { source: home }, stale: 1h }", true },
                { "{ name: a, where: { source: [x, home] }, stale: 30m }", true },
                { "{ name: a, stale: 30m }", true },
                { "{ name: a, stale: 61m }", false },
                { "{ name: a, where: { source: other }, stale: 30m }", false },
                { "{ name: a, field: t, above: 3 }", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                Config *config;

                assert_true(asprintf(&text,
                                    "publish: {topic: top, sources: [{name: home, type: nature_remo, token_file: t, "
                                    "on_change: true}, {name: other, type: nature_remo, token_file: t}]}\n" HEAD
                                    "        - %s\n",
                                    cases[i].rule) > 0);
                config = parse_as("c.yaml", text, strlen(text), &types);
                assert_int_equal(config->warnings.n, cases[i].warned);
                if (cases[i].warned)
                        assert_contains(config->warnings.texts[0], "c.yaml:10:");
                if (cases[i].warned)
                        assert_contains(config->warnings.texts[0], "source home has on_change: true");
                config_unref(config);
        }
}

/* ---- what a chart shows of them ---- */

static void on_limit(void *to, const SinkLimit *limit) {
        Bytes *text = to;

        assert_int_equal(
                bytes_append_format(text, "%s %s %g %g\n", limit->rule, limit->kind, limit->value, limit->clear), 0);
}

static const char *limits_of(const Config *config, const SinkSeries *series, Bytes *text) {
        text->size = 0;
        assert_int_equal(bytes_append_text(text, ""), 0);
        alert_config_limits(keys_of(config), series, on_limit, text);
        assert_int_equal(bytes_append(text, "", 1), 0);
        return text->data;
}

static void test_limits(void **state) {
        Config *config =
                parse_rules("        - { name: hot, where: { source: home, name: [Bedroom, 居間] }, field: "
                            "/newest_events/te/val, above: 28, clear: 27 }\n"
                            "        - { name: cold, where: { site: x }, field: /newest_events/te/val, below: 5 "
                            "}\n"
                            "        - { name: air, field: co2, above: 1500 }\n"
                            "        - { name: other, where: { door: open }, field: co2, above: 1 }\n"
                            "        - { name: leak, field: co2, is: true }\n");
        SinkSeries series = { "home", "d\"0", "居間", "/newest_events/te/val", "{\"site\":\"x\"}" };
        Bytes text = {};

        assert_string_equal(limits_of(config, &series, &text), "hot above 28 27\ncold below 5 5\n");
        series.labels = "{}";
        assert_string_equal(limits_of(config, &series, &text), "hot above 28 27\n");
        series.name = "Kitchen";
        assert_string_equal(limits_of(config, &series, &text), "");
        series.field = "/co2"; /* what a rule looks at beside that is not known of a series */
        assert_string_equal(limits_of(config, &series, &text), "air above 1500 1500\n");
        bytes_done(&text);
        config_unref(config);
}

/* What `alerts test` says of a target that is there begins with nothing: not with the names before it. */
static void test_find_target(void **state) {
        Config *config = parse_rules("        - { name: leak, field: water_leak, is: true }\n");
        char text[SINK_ADMIN_TEXT_MAX];
        const ConfigSection *section;
        void *target;

        assert_int_equal(alert_config_admin.find_target(&config->subscriptions[0], "work", &section, &target, text),
                SINK_ADMIN_OK);
        assert_string_equal(text, "");
        assert_int_equal(alert_config_admin.find_target(&config->subscriptions[0], "x", &section, &target, text),
                SINK_ADMIN_ABSENT);
        assert_string_equal(text, "family, work");
        config_unref(config);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_find_target),
                cmocka_unit_test(test_what_is_not_said),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_keys_of_another_service),
                cmocka_unit_test(test_targets_refused),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_words_of_conditions),
                cmocka_unit_test(test_dots),
                cmocka_unit_test(test_on_change),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
