/* SPDX-License-Identifier: Apache-2.0 */
/* The section `page:` (P9, P10). */
#include "config-fixture.h"

#define MOST PUBSUB SUBSCRIBE

static Config *parse_page(const char *page) {
        char text[1000];
        int size = snprintf(text, sizeof(text), MOST "page: %s\n", page);

        return parse_as("page.yaml", text, (size_t) size, &types_of_config);
}

static void assert_refused(const char *page, const char *words) {
        char text[1000];
        int size = snprintf(text, sizeof(text), MOST "page: %s\n", page);
        char *said = errors_of(text, (size_t) size, &(ConfigInput){ "page.yaml", &types_of_config });

        assert_contains(said, words);
        free(said);
}

static void test_default_is_none(void **state) {
        static const char text[] = MOST;
        Config *config = parse_as("page.yaml", text, strlen(text), &types_of_config);

        assert_null(config->page);
        config_unref(config);
}

static void test_empty_section(void **state) {
        Config *config = parse_page("{}");

        assert_string_equal(config->page->listen, "127.0.0.1:8480");
        assert_null(config->page->password.file);
        assert_null(config->page->subscription);
        assert_false(config->page->allow_plain);
        assert_int_equal(config->page->series.n, 0);
        config_unref(config);
}

static void test_everything(void **state) {
        Config *config = parse_page(
                "{listen: '[::]:443', hosts: [pi.example], password_file: pw, tls: {certificate_file: c.pem, key_file: /k.pem},"
                " subscription: sub, series: {/newest_events/te/val: 温度, co2: ''}}");

        assert_string_equal(config->page->subscription, "projects/my-project/subscriptions/sub");
        assert_string_equal(config->page->hosts[0], "pi.example");
        assert_string_equal(config->page->tls.key_file, "/k.pem");
        assert_string_equal(config->page->series.items[0].name, "/newest_events/te/val");
        assert_string_equal(config_map_get(&config->page->series, "co2"), "");
        config_unref(config);
}

static int on_file(void *userdata, const ConfigRow *row, const char *file, ConfigSecret *secret) {
        strcat(strcat(userdata, file), secret ? "* " : " ");
        return 0;
}

/* Every file that is named, and which of them are secrets. */
static void test_files(void **state) {
        Config *config = parse_page("{password_file: pw, tls: {certificate_file: c.pem, key_file: /k.pem}}");
        char found[200] = "";

        assert_int_equal(config_table_each_file(&config_section, config, on_file, found), 0);
        assert_string_equal(found, "pw* ./c.pem /k.pem ");
        config_unref(config);
}

/* What others can reach has a password, and TLS or a word that it need not (P10). */
static void test_beyond_loopback(void **state) {
        static const char *const addresses[] = { "'0.0.0.0:8480'", "'192.168.1.5:80'", "'[::]:8480'",
                "'systemd:page'" };
        char page[200];

        for (size_t i = 0; i < ELEMENTSOF(addresses); i++) {
                (void) snprintf(page, sizeof(page), "{listen: %s}", addresses[i]);
                assert_refused(page, "page.listen: others can reach that address, so password_file is needed");
                (void) snprintf(page, sizeof(page), "{listen: %s, password_file: pw}", addresses[i]);
                assert_refused(page, "needs tls, or allow_plain: true");
                (void) snprintf(page, sizeof(page), "{listen: %s, allow_plain: true}", addresses[i]);
                assert_refused(page, "password_file is needed");
                (void) snprintf(page, sizeof(page), "{listen: %s, password_file: pw, allow_plain: true}", addresses[i]);
                config_unref(parse_page(page));
                (void) snprintf(page, sizeof(page),
                        "{listen: %s, password_file: pw, tls: {certificate_file: c, key_file: k}}", addresses[i]);
                config_unref(parse_page(page));
        }
        config_unref(parse_page("{listen: '[::1]:8480'}"));
        config_unref(parse_page("{listen: 'localhost:8480'}"));
}

#define PUSH(name, more) "    - { name: " name ", type: http_push, listen: '127.0.0.1:8480'" more " }\n"
#define FILES "certificate_file: c, key_file: k"

/* Who shares an address shares its certificate, and has a path of its own. */
static void test_shared_address(void **state) {
        static const struct {
                const char *sources, *page, *words; /* NULL: that is right */
        } cases[] = {
                { PUSH("a", "") PUSH("b", ", path: /b"), "", NULL },
                { PUSH("a", "") PUSH("b", ""), "",
                        "publish.sources[].path: source a already has the path /readings at that address; use another" },
                { PUSH("a", "") PUSH("b", ", path: /b, " FILES), "",
                        "publish.sources[].listen: source a listens there with another certificate or key, or without" },
                { PUSH("a", ", " FILES) PUSH("b", ", path: /b, " FILES), "", NULL },
                { PUSH("a", ", certificate_file: c, key_file: k2") PUSH("b", ", path: /b, " FILES), "",
                        "source a listens there with another certificate" },
                { PUSH("a", ""), "page: {}\n", NULL },
                { PUSH("a", ", hosts: [x.example]"), "page: { hosts: [y.example] }\n", NULL },
                { PUSH("a", ", " FILES), "page: { tls: { " FILES " } }\n", NULL },
                { PUSH("a", ""), "page: { tls: { " FILES " } }\n",
                        "page.listen: source a listens there with another certificate or key, or without" },
                { PUSH("a", ", " FILES), "page: {}\n", "page.listen: source a listens there with another certificate" },
                { PUSH("a", ", " FILES), "page: { listen: '127.0.0.1:8481' }\n", NULL },
                { PUSH("a", ", path: /"), "page: {}\n",
                        "page.listen: source a already has the path / at that address" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[1000];
                int size = snprintf(text, sizeof(text), MOST "publish:\n  topic: sensor-data\n  sources:\n%s%s",
                        cases[i].sources, cases[i].page);
                char *said;

                if (!cases[i].words) {
                        config_unref(parse_as("page.yaml", text, (size_t) size, &types_of_config));
                        continue;
                }
                said = errors_of(text, (size_t) size, &(ConfigInput){ "page.yaml", &types_of_config });
                assert_contains(said, cases[i].words);
                free(said);
        }
}

static void test_slips(void **state) {
        assert_refused("{listen: 8480}", "page.listen");
        assert_refused("{listen: 'pi.example:8480'}", "page.listen");
        assert_refused("{tls: {certificate_file: c}}", "key_file: is missing");
        assert_refused("{tls: {key_file: c}}", "certificate_file: is missing");
        assert_refused("{subscription: other}", "page.subscription: is not a subscription of this file");
        assert_refused("{series: {/a/*/b: x}}", "is neither a member nor a JSON pointer");
        assert_refused("{password: secret}", "page.password");
}

static void test_comparison(void **state) {
        Config *a = parse_page("{hosts: [a]}"), *b = parse_page("{hosts: [a]}"), *c = parse_page("{hosts: [c]}");

        assert_true(config_page_equal(a->page, b->page));
        assert_false(config_page_equal(a->page, c->page));
        assert_false(config_page_equal(a->page, NULL));
        assert_true(config_page_equal(NULL, NULL));
        config_unref(a);
        config_unref(b);
        config_unref(c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_default_is_none),
                cmocka_unit_test(test_empty_section),
                cmocka_unit_test(test_everything),
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_beyond_loopback),
                cmocka_unit_test(test_shared_address),
                cmocka_unit_test(test_slips),
                cmocka_unit_test(test_comparison),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
