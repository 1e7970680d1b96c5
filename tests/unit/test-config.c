/* SPDX-License-Identifier: Apache-2.0 */
/* P9: a wrong configuration is refused, with the place, the key, what is wrong and what is allowed. P10: no error shows
 * a secret. */
#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "config-describe.h"
#include "config-fixture.h"
#include "lib/http.h"
#include "sources/nature-remo.h"
#include "sinks/mongodb.h"
#include "subscribe/payload.h"

static void refuse_with(const char *variable, const char *value, const char *part) {
        assert_int_equal(setenv(variable, value, true), 0);
        refuse(PUBSUB SUBSCRIBE, part);
        assert_int_equal(unsetenv(variable), 0);
}

static const MongodbConfig *mongodb_of(const Config *config) {
        return config->subscriptions[0].keys;
}

static const NatureRemoConfig *remo_of(const Config *config) {
        return config->sources[0].keys;
}

/* ---- what is right ---- */

static void test_defaults(void **state) {
        Config *config = parse(PUBSUB PUBLISH SUBSCRIBE);
        SubscriptionConfig *subscription = &config->subscriptions[0];

        assert_string_equal(config->path, "/etc/sensorqd/c.yaml");
        assert_string_equal(config->directory, "/etc/sensorqd");
        assert_string_equal(config->state_dir, CONFIG_STATE_DIR_DEFAULT);
        assert_int_equal(config->log_level, LOG_INFO);
        assert_string_equal(config->pubsub.endpoint, "https://pubsub.googleapis.com");
        assert_null(config->pubsub.credentials_file);
        assert_false(config->pubsub.emulator);
        assert_true(config->publishes);
        assert_string_equal(config->topic, "projects/my-project/topics/top");
        assert_int_equal(config->outbox.max_rows, 1000000);
        assert_int_equal(config->outbox.max_bytes, 256 * 1024 * 1024);
        assert_int_equal(config->n_sources, 1);
        assert_string_equal(remo_of(config)->url, "https://api.nature.global");
        assert_int_equal(config->sources[0].interval, 60 * USEC_PER_SEC);
        assert_int_equal(config->n_subscriptions, 1);
        assert_string_equal(subscription->subscription, "projects/my-project/subscriptions/sub");
        assert_int_equal(subscription->interval, 0);
        assert_int_equal(subscription->max_messages, 1000);
        assert_int_equal(subscription->pulls, 2);
        assert_string_equal(subscription->id_attribute, "idempotency_key");
        assert_int_equal(subscription->max_hold, USEC_PER_HOUR);
        assert_string_equal(subscription->sink, "mongodb");
        assert_string_equal(mongodb_of(config)->rejected_collection, "readings_rejected");
        assert_string_equal(mongodb_of(config)->date_fields[0], "created_at");
        assert_string_equal(mongodb_of(config)->date_fields[2], "request_at");
        assert_string_equal(mongodb_of(config)->date_fields[3], "measured_at");
        assert_null(mongodb_of(config)->date_fields[4]);
        assert_int_equal(subscription->backoff.initial, USEC_PER_SEC);
        assert_int_equal(subscription->backoff.max, 60 * USEC_PER_SEC);
        assert_int_equal(config->warnings.n, 0);
        config_unref(config);
}

static void test_everything_set(void **state) {
        Config *config = parse("state_dir: /srv/state\n"
                               "log_level: warning\n"
                               "pubsub:\n"
                               "  project: other\n"
                               "  credentials_file: key.json\n"
                               "  endpoint: http://127.0.0.1:8080/\n"
                               "  ca_file: ca.pem\n"
                               "publish:\n"
                               "  topic: projects/third/topics/top\n"
                               "  outbox: { max_rows: 5, max_bytes: 1GiB }\n"
                               "  sources:\n"
                               "    - name: a-1\n"
                               "      type: nature_remo\n"
                               "      interval: 24h\n"
                               "      token_file: /run/token\n"
                               "      url: https://proxy.example/remo//\n"
                               "      ca_file: /etc/ca.pem\n"
                               "subscribe:\n"
                               "  - subscription: projects/p/subscriptions/sub\n"
                               "    interval: 5m\n"
                               "    max_messages: 1\n"
                               "    pulls: 16\n"
                               "    id_attribute: id\n"
                               "    max_hold: 1m\n"
                               "    mongodb:\n"
                               "      uri: mongodb://u@h1:27017,h2/?replicaSet=rs&tls=true\n"
                               "      password_file: pw\n"
                               "      database: d\n"
                               "      collection: c\n"
                               "      rejected_collection: r\n"
                               "      date_fields: []\n"
                               "      backoff: { initial: 2s, max: 1h }\n");

        assert_string_equal(config->state_dir, "/srv/state");
        assert_int_equal(config->log_level, LOG_WARNING);
        assert_string_equal(config->pubsub.endpoint, "http://127.0.0.1:8080");
        assert_string_equal(config->pubsub.ca_file, "/etc/sensorqd/ca.pem");
        assert_string_equal(config->topic, "projects/third/topics/top");
        assert_int_equal(config->outbox.max_rows, 5);
        assert_int_equal(config->outbox.max_bytes, 1 << 30);
        assert_int_equal(config->sources[0].interval, 24 * USEC_PER_HOUR);
        assert_string_equal(remo_of(config)->url, "https://proxy.example/remo");
        assert_string_equal(remo_of(config)->ca_file, "/etc/ca.pem");
        assert_string_equal(config->subscriptions[0].subscription, "projects/p/subscriptions/sub");
        assert_int_equal(config->subscriptions[0].interval, 5 * USEC_PER_MINUTE);
        assert_int_equal(config->subscriptions[0].max_hold, USEC_PER_MINUTE);
        assert_null(mongodb_of(config)->date_fields[0]);
        assert_int_equal(config->subscriptions[0].backoff.max, USEC_PER_HOUR);
        assert_ptr_equal(config_ref(config), config);
        assert_null(config_unref(config));
        assert_null(config_unref(config));
        assert_null(config_unref(NULL));
}

static void test_environment(void **state) {
        Config *config = NULL;
        ConfigErrors errors = {};
        static const char own[] = "state_dir: /own\npubsub: {project: p}\n" SUBSCRIBE;
        const ConfigInput input = { "c.yaml", &types_of_config };

        assert_int_equal(setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", true), 0);
        assert_int_equal(setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085", true), 0);
        assert_int_equal(config_parse(&input, PUBSUB SUBSCRIBE, strlen(PUBSUB SUBSCRIBE), &config, &errors), 0);
        assert_string_equal(config->directory, ".");
        assert_string_equal(config->state_dir, "/var/lib/one");
        assert_string_equal(config->pubsub.endpoint, "http://127.0.0.1:8085");
        assert_true(config->pubsub.emulator);
        assert_false(config->publishes);
        config_unref(config);

        assert_int_equal(setenv("PUBSUB_EMULATOR_HOST", "http://emulator.example:8085/", true), 0);
        assert_int_equal(config_parse(&input, own, strlen(own), &config, &errors), 0);
        assert_string_equal(config->state_dir, "/own");
        assert_string_equal(config->pubsub.endpoint, "http://emulator.example:8085");
        config_unref(config);

        clear_environment();

        refuse_with("PUBSUB_EMULATOR_HOST", "ftp://127.0.0.1:8085", "c.yaml: pubsub.endpoint: $PUBSUB_EMULATOR_HOST");
        refuse_with("STATE_DIRECTORY", "state", "c.yaml: state_dir: $STATE_DIRECTORY");
}

static void test_two_subscriptions_may_share_a_collection(void **state) {
        Config *config = parse(PUBSUB "subscribe: [{subscription: one, mongodb: " MONGODB
                                      "}, {subscription: two, mongodb: " MONGODB "}]\n");

        assert_int_equal(config->n_subscriptions, 2);
        assert_false(config_subscription_equal(&config->subscriptions[0], &config->subscriptions[1]));
        config_unref(config);
}

static void test_equal(void **state) {
        Config *a = parse(PUBSUB PUBLISH SUBSCRIBE), *b = parse(PUBSUB PUBLISH SUBSCRIBE);

        assert_true(config_pubsub_equal(a, b));
        assert_true(config_source_equal(a->sources, b->sources));
        assert_true(config_subscription_equal(a->subscriptions, b->subscriptions));

        b->sources[0].interval++;
        assert_false(config_source_equal(a->sources, b->sources));
        b->subscriptions[0].backoff.max++;
        assert_false(config_subscription_equal(a->subscriptions, b->subscriptions));
        b->subscriptions[0].backoff.max--;
        mongodb_of(b)->date_fields[0][0] = 'x';
        assert_false(config_subscription_equal(a->subscriptions, b->subscriptions));
        b->pubsub.emulator = true;
        assert_false(config_pubsub_equal(a, b));
        b->pubsub.emulator = false;
        b->pubsub.credentials_file = strdup("x");
        assert_false(config_pubsub_equal(a, b));
        config_unref(a);
        config_unref(b);
}

/* ---- what is wrong (P9) ---- */

static void test_place_key_and_remedy(void **state) {
        refuse("pubsub:\n  project: p\nsubscribe:\n  - subscription: sub\n    max_mesages: 5\n    mongodb: " MONGODB
               "\n",
                "c.yaml:5:5: subscribe[].max_mesages: is not known, did you mean max_messages?");
        refuse("pubsub:\n  project: p\n  interval: 5s\n" SUBSCRIBE,
                "c.yaml:3:3: pubsub.interval: is not known; allowed: project, credentials_file, endpoint, ca_file");
        refuse("project: p\n" SUBSCRIBE,
                "c.yaml:1:1: project: is not known here, only as pubsub.project; allowed: state_dir");
        refuse(PUBSUB
                "publish:\n  topic: top\n  sources:\n    - name: home\n      type: nature_remo\n      token_file: t\n      interval: 5s\n",
                "c.yaml:8:17: publish.sources[].interval: \"5s\" is out of range; allowed: 10s..24h");
        refuse(PUBSUB PUBSUB SUBSCRIBE, "c.yaml:2:1: ");
        refuse("pubsub:\n\tproject: p\n" SUBSCRIBE, "indented by a tab, use spaces");
}

static void test_missing(void **state) {
        refuse("", "pubsub: is missing");
        refuse(SUBSCRIBE, "pubsub: is missing");
        refuse("pubsub: {}\n" SUBSCRIBE, "c.yaml:1:9: pubsub.project: is missing");
        refuse(PUBSUB, "publish: is missing, and so is subscribe");
        refuse(PUBSUB "publish: {sources: [" SOURCE "]}", "publish.topic: is missing");
        refuse(PUBSUB "publish: {topic: top}", "publish.sources: is missing");
        refuse(PUBSUB "publish: {topic: top, sources: []}", "publish.sources: has 0 entries; allowed: 1 to 1000");
        refuse(PUBSUB "publish: {topic: top, sources: [{type: nature_remo, token_file: t}]}",
                "publish.sources[].name: is missing");
        refuse(PUBSUB "publish: {topic: top, sources: [{name: a, type: nature_remo}]}",
                "c.yaml:2:33: publish.sources[].token_file: is missing");
        refuse(PUBSUB "subscribe: []", "subscribe: has 0 entries");
        refuse(PUBSUB "subscribe: [{subscription: sub}]", "c.yaml:2:13: subscribe[]: has no sink; allowed: a section");
        refuse(PUBSUB "subscribe: [{subscription: sub, mongodb: {}}]", "subscribe[].mongodb.uri: is missing");
}

static void test_wrong_kind(void **state) {
        refuse("- a\n", "the file is not a list of KEY: VALUE lines");
        refuse("just words\n", "c.yaml:1:1: ");
        refuse("pubsub: [1]\n" SUBSCRIBE, "pubsub: is a list; allowed: a section");
        refuse("pubsub:\n" SUBSCRIBE, "pubsub: is empty");
        refuse(PUBSUB "log_level: [info]\n" SUBSCRIBE, "log_level: is a list; allowed: debug, info");
        refuse(PUBSUB "log_level: loud\n" SUBSCRIBE,
                "\"loud\" is not allowed; allowed: debug, info, notice, warning, error");
        refuse(PUBSUB "log_level: ~\n" SUBSCRIBE, "log_level: is empty");
        refuse(PUBSUB "state_dir: ''\n" SUBSCRIBE, "state_dir: \"\" is empty");
        refuse(PUBSUB "state_dir: var\n" SUBSCRIBE, "state_dir: \"var\" is not absolute");
        refuse(PUBSUB "state_dir: \"/a\\tb\"\n" SUBSCRIBE, "control character");
        refuse(PUBSUB "subscribe: {subscription: sub}", "subscribe: is a section; allowed: a list");
        refuse(PUBSUB "subscribe: [sub]", "subscribe[]: an entry is not a section");
        refuse(PUBSUB "subscribe: [{subscription: {a: b}, mongodb: " MONGODB "}]",
                "subscribe[].subscription: is a section");
        refuse(PUBSUB "subscribe: [{subscription: sub, mongodb: yes}]", "subscribe[].mongodb: is a single value");
}

static void refuse_value(const char *key, const char *value, const char *part) {
        char text[400];

        (void) snprintf(text, sizeof(text), PUBSUB "subscribe: [{subscription: sub, %s: %s, mongodb: " MONGODB "}]",
                key, value);
        refuse(text, part);
}

static void test_durations(void **state) {
        refuse_value("interval", "60", "\"60\" has no unit: write 60s, 60m, 60h or 60d");
        refuse_value("interval", "0", "has no unit");
        refuse_value("interval", "-1s", "is not a number");
        refuse_value("interval", "1.5s", "is not a duration");
        refuse_value("interval", "1ms", "is not a duration");
        refuse_value("interval", "1 s", "is not a duration");
        refuse_value("interval", "010s", "begins with a zero");
        refuse_value("interval", "61m", "is out of range; allowed: 0s..1h");
        refuse_value("interval", "18446744073709551615s", "is out of range");
        refuse_value("interval", "18446744073709551616s", "is out of range");
        refuse_value("interval", "213503982335d", "is out of range");
        refuse_value("max_hold", "59s", "allowed: 60s..24h");
        refuse_value("max_hold", "2d", "allowed: 60s..24h");
}

static void test_numbers(void **state) {
        refuse_value("max_messages", "0", "\"0\" is out of range; allowed: 1..1000");
        refuse_value("max_messages", "1001", "is out of range");
        refuse_value("max_messages", "4294967297", "is out of range");
        refuse_value("max_messages", "'5'", "is in quotes");
        refuse_value("max_messages", "5s", "is not a whole number");
        refuse_value("max_messages", "five", "is not a number");
        refuse_value("pulls", "17", "allowed: 1..16");
        refuse_value("id_attribute", "googfoo", "begins with goog");
        refuse(PUBSUB "publish: {topic: top, outbox: {max_bytes: 1kB}, sources: [" SOURCE "]}",
                "\"1kB\" is not a size");
        refuse(PUBSUB "publish: {topic: top, outbox: {max_bytes: 17179869184GiB}, sources: [" SOURCE "]}",
                "is out of range; allowed: 64KiB..1024GiB");
        refuse(PUBSUB "publish: {topic: top, outbox: {max_rows: 0}, sources: [" SOURCE "]}",
                "is out of range; allowed: 1..100000000");
}

static void test_names(void **state) {
        refuse(PUBSUB "publish: {topic: t1, sources: [" SOURCE "]}", "publish.topic: \"t1\" has 2 characters");
        refuse(PUBSUB "publish: {topic: 1ab, sources: [" SOURCE "]}", "does not begin with a letter");
        refuse(PUBSUB "publish: {topic: google, sources: [" SOURCE "]}", "begins with goog");
        refuse(PUBSUB "publish: {topic: 'a b c', sources: [" SOURCE "]}", "does not allow");
        refuse(PUBSUB "publish: {topic: projects/p/subscriptions/sub, sources: [" SOURCE "]}",
                "neither an id nor projects/PROJECT/topics/ID");
        refuse(PUBSUB "publish: {topic: projects/p/topics/t, sources: [" SOURCE "]}", "has 1 character;");
        refuse(PUBSUB "publish: {topic: projects//topics/top, sources: [" SOURCE "]}", "neither an id");
        refuse(PUBSUB "publish: {topic: projects/p/topics/top/more, sources: [" SOURCE "]}", "does not allow");
        refuse("pubsub: {project: a/b}\n" SUBSCRIBE, "is not a project id");
        refuse(PUBSUB "publish: {topic: top, sources: [{name: Home, type: nature_remo, token_file: t}]}",
                "other than a-z, 0-9 and -");
        refuse(PUBSUB "publish: {topic: top, sources: [{name: a, type: nature_rem, token_file: t}]}",
                "c.yaml:2:49: publish.sources[].type: \"nature_rem\" is not a type of source, did you mean nature_remo; allowed: nature_remo");
        refuse(PUBSUB SUBSCRIBE "page:\n",
                "page: is empty; allowed: a section: KEY: VALUE lines, indented; write {} for its defaults");
        refuse(PUBSUB "subscribe: [{subscription: sub, webhook: }]\nodd: 1\n", "VALUE lines, indented\n"); /* no {} */
        refuse(PUBSUB "publish: {topic: top, sources: [{name: a, type: Nature Remo, token_file: t}]}",
                "publish.sources[].type: is not a type of source, did you mean nature_remo; allowed: nature_remo");
        refuse(PUBSUB "publish: {topic: top, sources: [" SOURCE ", " SOURCE "]}",
                "\"home\" is already the name of the entry in line 2");
        refuse(PUBSUB "subscribe: [{subscription: sub, mongodb: " MONGODB
                      "}, {subscription: projects/my-project/subscriptions/sub, mongodb: " MONGODB "}]",
                "is already the subscription of line 2");
}

static void test_urls(void **state) {
        refuse("pubsub: {project: p, endpoint: 'http://example.com'}\n" SUBSCRIBE, "is plain http to another machine");
        refuse("pubsub: {project: p, endpoint: example.com}\n" SUBSCRIBE, "is not a URL of a server");
        refuse("pubsub: {project: p, endpoint: 'https://host/v1'}\n" SUBSCRIBE,
                "c.yaml:1:32: pubsub.endpoint: has a path");
        refuse("pubsub: {project: p, endpoint: 'https://host/?x=y'}\n" SUBSCRIBE, "has a query");
        refuse(PUBSUB
                "publish: {topic: top, sources: [{name: a, type: nature_remo, token_file: t, url: 'http://10.0.0.1'}]}",
                "is plain http");
}

static void refuse_mongodb(const char *settings, const char *part) {
        char text[600];

        (void) snprintf(text, sizeof(text), PUBSUB "subscribe: [{subscription: sub, mongodb: {%s}}]", settings);
        refuse(text, part);
}

static void test_mongodb(void **state) {
#define URI "uri: 'mongodb://localhost/', "
        refuse_mongodb(URI "database: local, collection: c", "keeps for itself");
        refuse_mongodb(URI "database: a.b, collection: c", "does not allow in a database's name");
        refuse_mongodb(URI "database: d, collection: system.x", "begins with system.");
        refuse_mongodb(URI "database: d, collection: a$b", "holds a $");
        refuse_mongodb(URI "database: d, collection: .a", "has a dot at an end");
        refuse_mongodb(URI "database: d, collection: c, rejected_collection: c",
                "is the same as collection; choose another, such as c_rejected");
        refuse_mongodb(URI "database: d, collection: c, date_fields: created_at",
                "date_fields: is a single value; allowed: a list of names");
        refuse_mongodb(URI "database: d, collection: c, date_fields: [a, a]", "\"a\" is there twice");
        refuse_mongodb(URI "database: d, collection: c, date_fields: [a, '']", "is empty");
        refuse_mongodb(URI "database: d, collection: c, date_fields: [[a]]", "is a list");
        refuse_mongodb(URI "database: d, collection: c, backoff: {initial: 2m}",
                "subscribe[].mongodb.backoff.initial: initial (120s) is longer than max (60s)");
        refuse_mongodb(URI "database: d, collection: c, backoff: {max: 0s}", "allowed: 1s..1h");
        refuse_mongodb(URI "database: d, collection: c, password_file: p", "uri names no user");
#undef URI
}

/* P10 */
static void test_no_secret_in_errors(void **state) {
        static const char *const lines[] = {
                "mongodb: {uri: 'mongodb://u:hunter2@h:x/', database: d, collection: c}",
                "mongodb: {uri: 'mongodb://u:hunter2@h/?w=1', database: d, collection: c}",
                "mongodb: {uri: 'mongodb://u:hunter2@1@h/', database: d, collection: c}",
                "mongodb: {uri: 'mongodb://u:hunter2/1@h/', database: d, collection: c}",
                "mongodb: {uri: 'mongodb://u:p?hunter2@h/', database: d, collection: c}",
                "mongodb: {uri: 'mongodb://h/?hunter2=@', database: d, collection: c}",
                "mongodb: {uri: 'mongodb://h/?tls=true&hunter2', database: d, collection: c}",
                "mongodb: {uri: 'u:hunter2@h', database: d, collection: c}",
                "mongodb: {uri: \"mongodb://u:hunter2\\n@h\", database: d, collection: c}",
                "mongodb: {uri: 'mongodb://h/', password_file: 'hunter2/', database: d, collection: c}",
                "mongodb: {uri: 'mongodb://h/', database: 'mongodb://u:hunter2@h', collection: c}",
                "mongodb: {'mongodb://u:hunter2@h': , database: d, collection: c}",
                "interval: 'u:hunter2@h'",
                "mongodb: 'mongodb://u:hunter2@h'",
                "webhook: {url: 'https://h/', auth: {type: basic, username: 'u:hunter2', password_file: p}}",
                "webhook: {url: 'https://h/', auth: {type: header, header: 'X-Api-Key: hunter2', value_file: v}}",
                "webhook: {url: 'https://h/', auth: {type: query, parameter: 'key=hunter2', value_file: v}}",
                "webhook: {url: 'https://h/', auth: hunter2}",
                "webhook: {url: 'https://h/', auth: {type: hunter2}}",
                "webhook: {url: 'https://h/', auth: {hunter2: }}",
                "webhook: {url: 'https://h/', auth: {type: bearer, hunter2: token}}",
                "webhook: {url: 'https://h/', auth: {type: oauth2, client_id: c, token_url: hunter2}}",
        };

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
                _cleanup_free_ char *said = NULL;
                char text[400];

                (void) snprintf(text, sizeof(text), PUBSUB "subscribe: [{subscription: sub, %s}]", lines[i]);
                said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });
                if (strstr(said, "hunter2"))
                        fail_msg("%s", said);
        }
}

/* A slip is still named. */
static void test_slip_in_auth(void **state) {
        static const char text[] =
                PUBSUB "subscribe: [{subscription: sub, webhook: {url: 'https://h/', auth: {tokenfile: f}}}]";
        _cleanup_free_ char *said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });

        assert_contains(said, "auth.tokenfile: is not known, did you mean token_file?");
}

static void test_endpoint_with_password_is_not_shown(void **state) {
        static const char text[] = "pubsub: {project: p, endpoint: 'https://u:hunter2@host'}\n" SUBSCRIBE;
        _cleanup_free_ char *said = errors_of(text, strlen(text), &(ConfigInput){ "c.yaml", &types_of_config });

        assert_null(strstr(said, "hunter2"));
        assert_contains(said, "pubsub.endpoint: the value has a user in front of the host");
}

/* ---- files ---- */

static void assert_load(const char *path, int result, const char *part) {
        const ConfigInput input = { path, &types_of_config };
        Config *config = NULL;
        ConfigErrors errors = {};

        assert_int_equal(config_load(&input, &config, &errors), result);
        if (result == 0)
                config_unref(config);
        else {
                assert_null(config);
                assert_contains(errors.texts[0], path);
                assert_contains(errors.texts[0], part);
        }
        config_errors_done(&errors);
}

static void write_file(const char *path, const char *data, size_t size) {
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_int_equal(fwrite(data, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
}

static void test_files(void **state) {
        char directory[] = "/tmp/sensorqd-test-XXXXXX", path[64], fifo[64], *large;
        static const char latin[] = PUBSUB "# caf\xe9\n" SUBSCRIBE, nul[] = PUBSUB "\0" SUBSCRIBE,
                          windows[] = "pubsub: {project: p}\r\n" SUBSCRIBE;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/c.yaml", directory);
        (void) snprintf(fifo, sizeof(fifo), "%s/fifo", directory);

        assert_load(path, -ENOENT, "there is no such file");
        assert_load(directory, -EISDIR, "is a directory");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_load(fifo, -EINVAL, "is not a regular file");

        write_file(path, PUBSUB SUBSCRIBE, strlen(PUBSUB SUBSCRIBE));
        assert_load(path, 0, NULL);
        write_file(path, windows, sizeof(windows) - 1);
        assert_load(path, 0, NULL);
        write_file(path, latin, sizeof(latin) - 1);
        assert_load(path, -EBADMSG, ":2:1: the line holds a byte that is not UTF-8 text");
        write_file(path, nul, sizeof(nul) - 1);
        assert_load(path, -EBADMSG, ":2:1: ");
        write_file(path, "", 0);
        assert_load(path, -EBADMSG, "pubsub: is missing");

        large = malloc(YAML_SIZE_MAX + 1);
        assert_non_null(large);
        memset(large, '\n', YAML_SIZE_MAX + 1);
        write_file(path, large, YAML_SIZE_MAX + 1);
        assert_load(path, -EBADMSG, "larger than 1024 KiB");
        free(large);

        assert_int_equal(unlink(path), 0);
        assert_int_equal(unlink(fifo), 0);
        assert_int_equal(rmdir(directory), 0);
}

static void test_long_path_leaves_room(void **state) {
        char path[3000], *said;

        memset(path, 'x', sizeof(path));
        path[sizeof(path) - 1] = '\0';
        said = errors_of(PUBSUB, strlen(PUBSUB), &(ConfigInput){ path, &types_of_config });
        assert_contains(said, "nothing to do");
        free(said);
}

/* Every row: its default is itself allowed, since the reader takes it like a value; here, that each has the words a
 * reader needs. */
static void count_row(
        void *userdata, const char *key, const char *owner, const char *type, const char *fallback, const char *doc) {
        size_t *n = userdata;

        assert_true(strlen(key) > 0 && strlen(type) > 0 && strlen(doc) > 10);
        assert_int_equal(doc[strlen(doc) - 1], '.');
        (*n)++;
}

/* Labels of all sources, and those of one. */
static void test_labels(void **state) {
#define LABELS(all, own)                                                                                               \
        PUBSUB "publish: {topic: top, labels: {" all                                                                   \
               "}, sources: [{name: a, type: nature_remo, token_file: t, labels: {" own "}}]}\n"
        Config *config = parse(LABELS("site: 中野, floor: '1'", "floor: up")),
               *other = parse(LABELS("site: 中野", "floor: up"));
        const ConfigMap *labels = &config->sources[0].labels;

        assert_int_equal(labels->n, 2);
        assert_string_equal(config_map_get(labels, "site"), "中野");
        assert_string_equal(config_map_get(labels, "floor"), "up");
        assert_true(config_source_equal(config->sources, other->sources));
        config_unref(config);
        config_unref(other);
        config = parse(LABELS("", ""));
        other = parse(LABELS("site: x", ""));
        assert_false(config_source_equal(config->sources, other->sources));
        config_unref(config);
        config_unref(other);

        refuse(LABELS("Site: x", ""), "c.yaml:2:32: publish.labels: the name Site is not 1 to 63 of a-z, 0-9 and _");
        refuse(LABELS("", "source: x"),
                "publish.sources[].labels: the name source is a name that readings have already");
        refuse(LABELS("", "google: x"), "begins with goog");
        refuse(LABELS("site: ''", ""), "publish.labels: \"\" is empty");
        refuse(LABELS("site: [a, b]", ""), "publish.labels: is a list");
        refuse(LABELS("site: a, site: b", ""), "duplicate key");
#undef LABELS
}

static void test_publish_and_payload(void **state) {
        Config *config = parse(PUBSUB PUBLISH);

        assert_true(config->topic_has_other_subscribers); /* nothing of ours reads it, so something else must */
        config_unref(config);
        config = parse(PUBSUB PUBLISH SUBSCRIBE);
        assert_false(config->topic_has_other_subscribers);
        assert_int_equal(config->subscriptions[0].payload, PAYLOAD_JSON);
        config_unref(config);
        config = parse(PUBSUB
                "publish: {topic: top, topic_has_other_subscribers: true, sources: [" SOURCE "]}\n"
                "subscribe: [{subscription: sub, payload: python, backoff: {initial: 2s}, mongodb: " MONGODB "}]\n");
        assert_true(config->topic_has_other_subscribers);
        assert_int_equal(config->subscriptions[0].payload, PAYLOAD_PYTHON);
        assert_int_equal(config->subscriptions[0].backoff.initial, 2 * USEC_PER_SEC);
        config_unref(config);

        config = parse(PUBSUB "publish: {topic: top, topic_has_other_subscribers: false, sources: [" SOURCE "]}\n");
        assert_false(config->topic_has_other_subscribers);
        config_unref(config);
        refuse(PUBSUB "subscribe: [{subscription: sub, payload: xml, mongodb: " MONGODB "}]",
                "\"xml\" is not allowed; allowed: json or python");
        refuse(PUBSUB
                "subscribe: [{subscription: sub, backoff: {max: 3s}, mongodb: {uri: 'mongodb://h/', database: d, collection: c, "
                "backoff: {max: 2s}}}]",
                "subscribe[].mongodb.backoff: is there twice");
}

/* The metadata server is spoken to for its tokens only. */
static void test_metadata_server(void **state) {
        refuse("pubsub: {project: p, endpoint: 'http://metadata.google.internal'}\n" SUBSCRIBE,
                "is the metadata server, which is there for tokens");
        refuse("pubsub: {project: p, endpoint: 'http://169.254.169.254'}\n" SUBSCRIBE, "is the metadata server");
        refuse(PUBSUB
                "publish: {topic: top, sources: [{name: a, type: nature_remo, token_file: t, url: 'http://169.254.169.254'}]}",
                "publish.sources[].url: \"http://169.254.169.254\" is the metadata server");
}

static void test_describe(void **state) {
        size_t n = 0;

        config_describe(&types_of_config, count_row, &n);
        assert_true(n > 30);
}

static void test_source_type_unknown(void **state) {
        refuse(PUBSUB "publish: {topic: top, sources: [{name: a, type: none, token_file: t}]}", "nature_remo");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_everything_set),
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_two_subscriptions_may_share_a_collection),
                cmocka_unit_test(test_equal),
                cmocka_unit_test(test_place_key_and_remedy),
                cmocka_unit_test(test_missing),
                cmocka_unit_test(test_wrong_kind),
                cmocka_unit_test(test_durations),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_urls),
                cmocka_unit_test(test_mongodb),
                cmocka_unit_test(test_no_secret_in_errors),
                cmocka_unit_test(test_slip_in_auth),
                cmocka_unit_test(test_endpoint_with_password_is_not_shown),
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_long_path_leaves_room),
                cmocka_unit_test(test_labels),
                cmocka_unit_test(test_publish_and_payload),
                cmocka_unit_test(test_metadata_server),
                cmocka_unit_test(test_describe),
                cmocka_unit_test(test_source_type_unknown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
