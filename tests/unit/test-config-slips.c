/* SPDX-License-Identifier: Apache-2.0 */
/* P9: slips in YAML as people type them are told at their own place, in words that say what to write. */
#include "config-fixture.h"

#define SUB                                                                                                            \
        "subscribe:\n  - subscription: sub\n    mongodb:\n      uri: mongodb://localhost/\n      database: home\n      collection: readings\n"

static void test_keys(void **state) {
        /* no colon, no blank behind it, and the two that Japanese keyboards give */
        refuse("pubsub:\n  project my-project\n  endpoint: https://e\n" SUB,
                "c.yaml:2:10: there is no colon: write \"project: VALUE\"");
        refuse("pubsub:\n  project my-project\n" SUB, "c.yaml:2:10: there is no colon");
        refuse("pubsub:\n  project: p\npublish\n  topic: top\n" SUB,
                "c.yaml:3:8: there is no colon: write \"publish: VALUE\"");
        refuse("pubsub:\n  project:my-project\n  endpoint: https://e\n" SUB,
                "c.yaml:2:10: there is no space after the colon: write \"project: VALUE\"");
        refuse("pubsub:\n  project:my-project\n" SUB, "c.yaml:2:10: there is no space after the colon");
        refuse("pubsub:\n  project\xef\xbc\x9amy-project\n" SUB,
                "c.yaml:2:10: there is a full-width colon (U+FF1A): write \"project: VALUE\"");
        refuse("pubsub:\n  project:\xe3\x80\x80my-project\n  endpoint: https://e\n" SUB,
                "c.yaml:2:10: the space after the colon is not an ordinary one");
        refuse("pubsub:\n\xe3\x80\x80project: my-project\n" SUB,
                "c.yaml:2:1: the line is indented by a full-width space (U+3000)");
        refuse("pubsub:\n  project: p\n\xc2\xa0 endpoint: https://e\n" SUB,
                "c.yaml:3:1: the line is indented by a no-break space");
        refuse("pubsub:\n\tproject: p\n" SUB, "c.yaml:2:1: the line is indented by a tab, use spaces");
        refuse("pubsub:\n  project: p\nsubscribe:\n  -subscription: sub\n    pulls: 2\n",
                "c.yaml:4:3: there is no space after the dash");
}

static void test_indentation(void **state) {
        refuse("pubsub:\n  project: p\n endpoint: https://e\n" SUB,
                "c.yaml:3:2: the line is indented by 1 space, its neighbours above by 2: lines of one section begin in the same column");
        refuse("pubsub:\n  project: p\n   endpoint: https://e\n" SUB,
                "c.yaml:3:4: the line is indented by 3 spaces, its neighbours above by 2");
        refuse("pubsub:\n  project: p\nsubscribe:\n  - subscription: sub\n   pulls: 2\n    mongodb:\n      uri: mongodb://h/\n",
                "c.yaml:5:4: the line is indented by 3 spaces, its neighbours above by 4");
        refuse("pubsub:\n  project: p\nsubscribe:\n  - subscription: sub\n    mongodb:\n      uri: mongodb://h/\n     database: d\n      collection: c\n",
                "c.yaml:7:6: the line is indented by 5 spaces, its neighbours above by 6");
        /* the line above is the odd one, also with a comment between them */
        refuse("pubsub:\n   project: p\n  # more\n  endpoint: https://e\n  ca_file: c\n" SUB,
                "c.yaml:2:4: the line is indented by 3 spaces, its neighbours below by 2");
        refuse("pubsub:\n  project: p\nsubscribe:\n   - subscription: sub\n     pulls: 2\n  - subscription: other\n",
                "c.yaml:6:3: the line is indented by 2 spaces, its neighbours above by 3");
        /* neighbours are lines of the nearest section, not of one within it */
        refuse("pubsub:\n  project: p\npublish:\n  topic: top\n  outbox:\n    max_rows: 5\n log_level: info\n" SUB,
                "c.yaml:7:2: the line is indented by 1 space, its neighbours above by 2");
}

static void refuse_value(const char *value, const char *part) {
        char text[300];

        (void) snprintf(text, sizeof(text),
                "pubsub:\n  project: p\n  credentials_file: %s\n  endpoint: https://e\n" SUB, value);
        refuse(text, part);
}

static void test_values(void **state) {
        refuse_value("*.json", "c.yaml:3:21: a value that begins with * must be in quotes");
        refuse_value("&x", "c.yaml:3:21: a value that begins with & must be in quotes");
        refuse_value("@x", "c.yaml:3:21: a value that begins with @ must be in quotes");
        refuse_value("%x", "c.yaml:3:21: a value that begins with % must be in quotes");
        refuse_value("`x`", "c.yaml:3:21: a value that begins with ` must be in quotes");
        refuse_value("{name}.json", "c.yaml:3:21: a value that holds { } or [ ] must be in quotes");
        refuse_value("[a] b", "c.yaml:3:21: a value that holds { } or [ ] must be in quotes");
        refuse_value("{name", "c.yaml:3:21: what opens here is never closed; if it is text, put it in single quotes");
        refuse_value("\"x", "c.yaml:3:21: what opens here is never closed");
        refuse_value("\"x\" y", "c.yaml:3:21: there is text after the closing quote");
        refuse_value("a: b", "c.yaml:3:21: a value that holds a colon and a space must be in quotes");
        refuse_value("- a", "c.yaml:3:21: a list begins in the next line");
        /* what YAML takes, but not as a text */
        refuse_value("{name}",
                "c.yaml:3:21: pubsub.credentials_file: is a section; allowed: a file name; if it is text, put it in single");
        refuse_value("[name]",
                "c.yaml:3:21: pubsub.credentials_file: is a list; allowed: a file name; if it is text, put it in single quotes");
        refuse_value("#name",
                "pubsub.credentials_file: is empty; allowed: a file name; a value that begins with # must be in quotes");
        refuse("pubsub: {project:p}\n" SUB, "c.yaml:1:10: pubsub: there is no space after the colon: write KEY: VALUE");
}

/* Of what other programs take, only that it is not supported is told, and of a fence only where it stands. */
static void test_other_yaml(void **state) {
        static const char *const texts[][2] = {
                { "pubsub: &p\n  project: p\n" SUB,
                        "c.yaml:1:9: a value that begins with & must be in quotes; anchors, aliases and tags are not supported" },
                { "pubsub: {project: p}\nsubscribe:\n  - &s\n    subscription: sub\n    mongodb:\n      uri: mongodb://h/\n      database: d\n      collection: c\n",
                        "c.yaml:3:5: a value that begins with & must be in quotes; anchors, aliases and tags are not supported" },
                { "```yaml\npubsub:\n  project: p\n" SUB,
                        "c.yaml:1:1: the line comes from the page that this was copied from: remove it" },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_free_ char *said =
                        errors_of(texts[i][0], strlen(texts[i][0]), &(ConfigInput){ "c.yaml", &types_of_config });

                assert_string_equal(said, texts[i][1]);
        }
}

/* All of them at once, and nothing of what follows from them. Only how a line is indented is told of the first line at
 * which the parser stops, when nothing is wrong above it. */
static void test_all_at_once(void **state) {
        static const char text[] = "pubsub:\n"
                                   "  project my-project\n"
                                   "log_level:info\n"
                                   "subscribe:\n"
                                   "  - subscription: *sub\n"
                                   "    pulls\xef\xbc\x9a"
                                   "2\n"
                                   "    mongodb:\n"
                                   "      uri: mongodb://localhost/\n"
                                   "     database: home\n"
                                   "      collection: readings\n";
        _cleanup_free_ char *said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });

        assert_string_equal(said,
                "c.yaml:2:10: there is no colon: write \"project: VALUE\"\n"
                "c.yaml:3:10: there is no space after the colon: write \"log_level: VALUE\"\n"
                "c.yaml:5:19: a value that begins with * must be in quotes; anchors, aliases and tags are not supported\n"
                "c.yaml:6:10: there is a full-width colon (U+FF1A): write \"pulls: VALUE\"");
}

/* A slip does not hide what else is wrong, where YAML can be read all the same. */
static void test_slips_beside_errors(void **state) {
        static const char text[] = "pubsub:\n  project:my-project\nlog_level: loud\n" SUB;
        _cleanup_free_ char *said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });

        assert_string_equal(said,
                "c.yaml:2:10: there is no space after the colon: write \"project: VALUE\"\n"
                "c.yaml:3:12: log_level: \"loud\" is not allowed; allowed: debug, info, notice, warning, error");
}

/* What is legal YAML is no slip: here beside one error that makes the file wrong. */
static void test_no_false_alarm(void **state) {
        static const char text[] = "---\n"
                                   "# pubsub\n"
                                   "pubsub:   # project my-project\n"
                                   "    project : p\r\n"
                                   "    endpoint: \"https://e\"  # quoted\n"
                                   "    credentials_file:\n"
                                   "        key.json\n"
                                   "log_level: loud\n"
                                   "publish:\n"
                                   "  topic: >-\n"
                                   "    project no colon: here\n"
                                   "  labels: { site: nakano,\n"
                                   "    floor: 'one'\n"
                                   "  }\n"
                                   "  sources:\n"
                                   "  - name: home\n"
                                   "    type: nature_remo\n"
                                   "    token_file: t\n"
                                   "  - name: web\n"
                                   "    type: http_json\n"
                                   "    urls:\n"
                                   "    - https://a/1\n"
                                   "    - 'https://a/2'\n"
                                   "    - http://127.0.0.1:80/3\n"
                                   "    reading:\n"
                                   "      names:\n"
                                   "        kitchen: x\n"
                                   "        aa:bb:cc: y\n"
                                   "        Living Room: z\n"
                                   "      fields: { te: /bob's/te, time: /t,\n"
                                   "        name: /n }\n"
                                   "      numbers:\n"
                                   "      - te\n"
                                   "      - time\n"
                                   "      missing:\n"
                                   "      - { a: b,\n"
                                   "        name: c }\n"
                                   "      - |\n"
                                   "        for all of it\n"
                                   "  -\n"
                                   "    name: 'it''s'\n"
                                   "    type: nature_remo\n"
                                   "    token_file: |\n"
                                   "      interval no colon\n"
                                   "subscribe:\n"
                                   "- subscription: sub\n"
                                   "  mongodb: {uri: 'mongodb://localhost/', database: d,\n"
                                   "    collection: c, date_fields: [ name, topic,\n"
                                   "project ]}\n"
                                   "- { subscription: other, mongodb: " MONGODB " }\n";
        _cleanup_free_ char *said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });
        static const char *const words[] = { "there is", "indented", "must be", "opens here" };

        assert_contains(said, "c.yaml:8:12: log_level: ");
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strstr(said, words[i]))
                        fail_msg("%s", said);
}

/* Programs that write YAML put keys in quotes, or the whole of it in brackets. */
static void test_written_by_programs(void **state) {
        static const char *const texts[][2] = {
                { "\"pubsub\":\n  \"project\": \"p\"\n\"subscribe\":\n- \"subscription\": \"sub\"\n  \"mongodb\":\n    \"uri\": \"mongodb://localhost/\"\n"
                  "    \"database\": \"d\"\n    \"collection\": \"c\"\n    'date_fields':\n    - \"a\"\n    - \"b\"\n\"log_level\": \"loud\"\n",
                        "c.yaml:12:14: log_level: \"loud\" is not allowed; allowed: debug, info, notice, warning, error" },
                { "{pubsub: {project: p}, log_level: loud, subscribe: [{subscription: sub,\n      mongodb: {uri: 'mongodb://localhost/',\n"
                  "        database: d, collection: c}}]}\n",
                        "c.yaml:1:35: log_level: \"loud\" is not allowed; allowed: debug, info, notice, warning, error" },
                { "{\n  \"pubsub\": {\n    \"project\": \"p\"\n  },\n  \"subscribe\": [\n",
                        "c.yaml:6:1: a value is missing here, or begins with a character that wants it in quotes" },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_free_ char *said =
                        errors_of(texts[i][0], strlen(texts[i][0]), &(ConfigInput){ "c.yaml", &types_of_config });

                assert_string_equal(said, texts[i][1]);
        }
        refuse("\"pubsub\"\xef\xbc\x9a\n  \"project\": p\n" SUB,
                "c.yaml:1:9: there is a full-width colon (U+FF1A): write \"KEY: VALUE\"");
}

/* However long a line is, it is looked at once. */
static void test_many_dashes(void **state) {
        _cleanup_free_ char *text = malloc(200001), *said = NULL;

        assert_non_null(text);
        for (size_t i = 0; i < 200000; i += 2)
                memcpy(text + i, "- ", 2);
        text[200000] = '\0';
        said = errors_of(text, 200000, &(ConfigInput){ "c.yaml", &types_of_config });
        assert_non_null(said);
}

/* What is wrong with an address of a list is told, and not a slip that is none in its place. */
static void test_addresses(void **state) {
        static const char text[] =
                "pubsub:\n  project: p\npublish:\n  topic: top\n  sources:\n    - name: web\n      type: http_json\n"
                "      urls:\n        - https://a/1\n        - ftp://a/2\n" SUB;
        _cleanup_free_ char *said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });

        assert_contains(said, "c.yaml:10:11: publish.sources[].urls: ");
        assert_null(strchr(said, '\n'));
}

/* P10: what stands in a line is never repeated. */
static void test_no_secret(void **state) {
        static const char *const lines[] = { "project hunter2", "project:hunter2", "project: *hunter2",
                "project: {hunter2} x", "hunter2 is here", "project: \"hunter2", "project\xef\xbc\x9ahunter2",
                "project: hunter2: x", "   hunter2: y" };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                _cleanup_free_ char *said = NULL;
                char text[200];

                (void) snprintf(text, sizeof(text), "pubsub:\n  endpoint: https://e\n  %s\n" SUB, lines[i]);
                said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });
                if (strstr(said, "hunter2") && i != 8)
                        fail_msg("%s", said);
        }
}

static void test_codings(void **state) {
        static const char utf16[] = "\xff\xfep\0u\0b\0", big[] = "\xfe\xff\0p\0u\0b", bare[] = "p\0u\0b\0s\0u\0b\0",
                          bom[] = "\xef\xbb\xbfpubsub:\n  project: p\n" SUB;
        static const struct {
                const char *text;
                size_t size;
        } rows[] = { { utf16, sizeof(utf16) - 1 }, { big, sizeof(big) - 1 }, { bare, sizeof(bare) - 1 } };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_free_ char *said =
                        errors_of(rows[i].text, rows[i].size, &(ConfigInput){ "c.yaml", &types_of_config });

                assert_string_equal(said, "c.yaml: the file is UTF-16; save it as UTF-8");
        }
        config_unref(parse_as("c.yaml", bom, sizeof(bom) - 1, &types_of_config));
}

/* What is behind the text is not looked at. */
static void test_end_of_the_text(void **state) {
        static const char text[] = "pubsub:\n  project: p\nsubscribe:\n  -subscription:";
        const ConfigInput input = { "c.yaml", &types_of_config };
        _cleanup_free_ char *cut = errors_of(text, strlen(text) - 1, &input),
                            *whole = errors_of(text, strlen(text), &input);

        assert_null(strstr(cut, "after the dash"));
        assert_contains(whole, "c.yaml:4:3: there is no space after the dash");
}

/* A colon that is missing, glued or full-width in any line of a whole file is told there, and nothing else is. */
static void test_every_line(void **state) {
        static const char *const colons[] = { " ", ":", "\xef\xbc\x9a ", ":\xe3\x80\x80" };
        static const char good[] =
                "state_dir: /var/lib/sensorqd\nlog_level: info\npubsub:\n  project: p\n  endpoint: https://e\n"
                "publish:\n  topic: top\n  outbox:\n    max_rows: 5\n    max_bytes: 1MiB\n  sources:\n    - name: home\n"
                "      type: nature_remo\n      token_file: t\n      interval: 60s\n" SUB;
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(colons); i++) {
                unsigned line = 1;

                for (const char *c = good; *c != '\0'; line += *c++ == '\n') {
                        char text[sizeof(good) + 8], place[32];
                        _cleanup_free_ char *said = NULL;

                        if (strncmp(c, ": ", 2) != 0)
                                continue;
                        (void) snprintf(text, sizeof(text), "%.*s%s%s", (int) (c - good), good, colons[i], c + 2);
                        (void) snprintf(place, sizeof(place), "c.yaml:%u:", line);
                        said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });
                        if (strncmp(said, place, strlen(place)) != 0 || strchr(said, '\n'))
                                fail_msg("line %u: %s", line, said);
                        n++;
                }
        }
        assert_true(n >= 4 * 14);
}

/* Where every line was understood, and only the sections do not go together, nothing is guessed about its lines. */
static void test_no_slip_where_all_is_understood(void **state) {
        static const char *const rows[][2] = {
                { PUBSUB "subscribe:\n  - subscription: abc\n    file: { directory: /a }\n  - subscription: abc\n"
                         "    webhook: { url: 'https://h/', expect: \"one\n      # two\" }\n",
                        "c.yaml:5:19: subscribe[].subscription: is already the subscription of line 3; each may be "
                        "used once" },
                { PUBSUB "publish:\n  topic: top\n  sources:\n    - name: a\n      type: exec\n      command:\n"
                         "        - echo\n        - some\n          topic\npage:\n  subscription: abc\n",
                        "c.yaml:12:17: page.subscription: is not a subscription of this file; allowed: one that subscribe "
                        "names" },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_free_ char *said =
                        errors_of(rows[i][0], strlen(rows[i][0]), &(ConfigInput){ "c.yaml", &types_of_config });

                assert_string_equal(said, rows[i][1]);
        }
}

/* Whatever a file holds, it is taken or refused with words. */
static void test_any_damage(void **state) {
        static const char letters[] = " \t\n:-#'\"{}[],*&|>%@`a1\xe3\x80";
        static const char good[] =
                "pubsub:\n  project: p\npublish:\n  topic: top\n  labels: { a: 'b' }\n  sources:\n    - name: home\n"
                "      type: nature_remo\n      token_file: t\n" SUB;
        const ConfigInput input = { "c.yaml", &types_of_config };
        uint64_t random = 88172645463325252;

        for (unsigned i = 0; i < 3000; i++) {
                ConfigErrors errors = {};
                Config *config = NULL;
                char text[sizeof(good)];
                int r;

                memcpy(text, good, sizeof(good));
                for (unsigned n = 0; n <= i % 4; n++) {
                        random ^= random << 13, random ^= random >> 7,
                                random ^= random << 17; /* xorshift64, Marsaglia 2003 */
                        text[random % (sizeof(good) - 1)] = letters[(random >> 32) % (sizeof(letters) - 1)];
                }
                r = config_parse(&input, text, sizeof(good) - 1, &config, &errors);
                assert_true(r == 0 || (r == -EBADMSG && errors.n > 0));
                config_unref(config);
                config_errors_done(&errors);
        }
}

/* A key that the type has, and this source does not use. */
static void test_keys_without_effect(void **state) {
        static const struct {
                const char *source, *said; /* NULL: nothing */
        } rows[] = {
                { "type: mqtt, url: 'mqtt://localhost', topics: [a], interval: 60s",
                        "publish.sources[].interval: has no effect: the broker" },
                { "type: http_push, listen: '127.0.0.1:8080', interval: 60s",
                        "publish.sources[].interval: has no effect: others send" },
                { "type: exec, command: [a], mode: stream, interval: 60s",
                        "publish.sources[].interval: has no effect: a program of" },
                { "type: exec, command: [a], mode: stream, timeout: 60s",
                        "publish.sources[].timeout: has no effect: a program of" },
                { "type: mqtt, url: 'mqtt://localhost', topics: [a], reading: { where: { a: [] } }",
                        "publish.sources[].reading.where: a: is an empty list" },
                { "type: mqtt, url: 'mqtt://b', topics: [a], client_id: c}, {name: b, type: mqtt, url: 'mqtt://b', topics: [b], client_id: c, username: u",
                        "publish.sources[].client_id: is that of the source in line 2, at the same broker" },
                { "type: mqtt, url: 'mqtt://localhost', topics: [a], ca_file: /ca",
                        "publish.sources[].ca_file: has no effect: mqtt:// has" },
                { "type: http_json, url: 'http://a/', ca_file: /ca",
                        "publish.sources[].ca_file: has no effect: http:// has" },
                { "type: http_json, url: 'https://a/?user=me&Password=p'",
                        "publish.sources[].url: has a secret in it (password=): put it into a file" },
                { "type: http_json, urls: ['https://a/', 'https://b/?passwd=p']",
                        "publish.sources[].urls: has a secret in it (passwd=)" },
                { "type: http_json, url: 'https://a/?password=p', auth: {type: bearer, token_file: t}", NULL },
                { "type: http_json, url: 'https://a/?passwords=p&x=password=&password'", NULL },
                { "type: http_json, urls: ['http://a/', 'http://b/'], ca_file: /ca",
                        "publish.sources[].ca_file: has no effect: http:// has" },
                { "type: http_json, urls: ['http://a/', 'HTTPS://b/'], ca_file: /ca", NULL },
                { "type: http_json, urls: ['http://a/', 'http://b/', 'http://a/']",
                        "publish.sources[].urls: has one of them twice: each of" },
                { "type: http_json, urls: ['http://a/', 'http://a/'], reading: { time: /t, once_per: measurement }",
                        "publish.sources[].urls: has one of them twice: it is asked" },
                { "type: http_json, url: 'http://localhost/', ca_file: /ca, auth: {type: oauth2, token_url: 'https://b/', client_id: c, client_secret_file: d}",
                        NULL },
                { "type: mqtt, url: 'mqtts://localhost', topics: [a], ca_file: /ca", NULL },
                { "type: exec, command: [a], timeout: 5s, interval: 60s", NULL },
                { "type: exec, command: [a], mode: stream", NULL },
                { "type: mqtt, url: 'mqtt://localhost', topics: [a]", NULL },
                { "type: http_push, listen: '127.0.0.1:8080'", NULL },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char text[300];
                Config *config;

                (void) snprintf(
                        text, sizeof(text), PUBSUB "publish: {topic: top, sources: [{name: a, %s}]}\n", rows[i].source);
                config = parse(text);
                assert_int_equal(config->warnings.n, rows[i].said ? 1 : 0);
                if (rows[i].said)
                        assert_contains(config->warnings.texts[0], rows[i].said);
                config_unref(config);
        }
}

static void see_warnings(const char *sink, size_t n, const char *said) {
        char text[600];
        Config *config;

        (void) snprintf(text, sizeof(text), PUBSUB "subscribe: [{subscription: sub, %s}]\n", sink);
        config = parse(text);
        assert_int_equal(config->warnings.n, n);
        for (size_t i = 0; i < n; i++)
                assert_contains(config->warnings.texts[i], said);
        config_unref(config);
}

/* A URL that is a secret is not known yet. */
static void test_certificates_without_effect(void **state) {
        see_warnings("webhook: {url: 'http://a/', ca_file: /ca}", 1,
                "subscribe[].webhook.ca_file: has no effect: http:// has");
        see_warnings("webhook: {url: 'https://a/', ca_file: /ca}", 0, NULL);
        see_warnings("webhook: {url: 'https://a/?pwd=p'}", 1, "webhook.url: has a secret in it (pwd=)");
        see_warnings("webhook: {url_file: a, ca_file: /ca}", 0, NULL);
        see_warnings("webhook: {url: 'https://a/', ca_file: ~/ca}", 1, "ca_file: begins with ~, which only a shell");
        see_warnings("webhook: {url_file: $HOME/url}", 1, "url_file: begins with $, which only a shell replaces");
        see_warnings("webhook: {url_file: ~url}", 0, NULL);
        see_warnings("file: {directory: ~/archive}", 1, "directory: begins with ~, which only a shell replaces");
        see_warnings(
                "alert: {targets: [{name: a, type: ntfy, topic: t, url: 'http://a', ca_file: /ca}, {name: b, type: ntfy, topic: t, ca_file: /ca},"
                " {name: c, type: webhook, url: 'http://a/', ca_file: /ca}], rules: [{name: r, field: f, above: 1}]}",
                2, "subscribe[].alert.targets[].ca_file: has no effect: http:// has");
}

/* sensorqd@attic has been here; sensorqd.service has the configuration of a package. */
char *__wrap_realpath(const char *path, char *resolved);
int __wrap_access(const char *path, int mode);

char *__wrap_realpath(const char *path, char *resolved) {
        return strdup(path);
}

int __wrap_access(const char *path, int mode) {
        return strcmp(path, CONFIG_STATE_DIR_DEFAULT "-attic") == 0 || strcmp(path, CONFIG_FILE_DEFAULT) == 0 ? 0 : -1;
}

/* Where a relative directory is goes by the unit that runs the file, also for who asks without it. */
static void test_one_directory_of_an_instance(void **state) {
#define TWO(directory)                                                                                                           \
        PUBSUB "subscribe: [{subscription: sub, file: {directory: archive}}, {subscription: other, file: {directory: " directory \
               "}}]\n"
        static const char other[] = TWO(CONFIG_STATE_DIR_DEFAULT "/archive"),
                          same[] = TWO(CONFIG_STATE_DIR_DEFAULT "-attic/archive");
        Config *config = parse_as("/etc/sensorqd/attic.yaml", same, strlen(same), &types_of_config);

        assert_int_equal(config->warnings.n, 1);
        assert_contains(config->warnings.texts[0], "is the directory of line 2, written in another way");
        config_unref(config);
        config = parse_as("/etc/sensorqd/attic.yaml", other, strlen(other), &types_of_config);
        assert_int_equal(config->warnings.n, 0);
        config_unref(config);
}

/* Which directory verbs look at: not that of sensorqd.service for an instance that has never run. */
static void test_a_directory_that_is_not_made_yet(void **state) {
        static const struct {
                const char *path, *run, *beside;
        } cases[] = {
                { "/etc/sensorqd/cellar.yaml", CONFIG_STATE_DIR_DEFAULT, CONFIG_STATE_DIR_DEFAULT "-cellar" },
                { "/etc/sensorqd/attic.yaml", CONFIG_STATE_DIR_DEFAULT "-attic", CONFIG_STATE_DIR_DEFAULT "-attic" },
                { "/etc/sensorqd/sensorqd.yaml", CONFIG_STATE_DIR_DEFAULT, CONFIG_STATE_DIR_DEFAULT },
                { "/srv/cellar.yaml", CONFIG_STATE_DIR_DEFAULT, CONFIG_STATE_DIR_DEFAULT },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *run = config_state_dir(cases[i].path, false), *beside = config_state_dir(cases[i].path, true);

                assert_string_equal(run, cases[i].run);
                assert_string_equal(beside, cases[i].beside);
                free(run);
                free(beside);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_keys),
                cmocka_unit_test(test_indentation),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_other_yaml),
                cmocka_unit_test(test_all_at_once),
                cmocka_unit_test(test_slips_beside_errors),
                cmocka_unit_test(test_no_false_alarm),
                cmocka_unit_test(test_written_by_programs),
                cmocka_unit_test(test_many_dashes),
                cmocka_unit_test(test_addresses),
                cmocka_unit_test(test_no_secret),
                cmocka_unit_test(test_codings),
                cmocka_unit_test(test_end_of_the_text),
                cmocka_unit_test(test_every_line),
                cmocka_unit_test(test_keys_without_effect),
                cmocka_unit_test(test_certificates_without_effect),
                cmocka_unit_test(test_no_slip_where_all_is_understood),
                cmocka_unit_test(test_any_damage),
                cmocka_unit_test(test_one_directory_of_an_instance),
                cmocka_unit_test(test_a_directory_that_is_not_made_yet),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
