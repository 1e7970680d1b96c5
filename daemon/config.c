/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/http.h"
#include "lib/listen-address.h"
#include "lib/pointer.h"
#include "lib/text.h"
#include "trouble.h"

#define TEXT_MAX 1024
#define NAME_MAX_SIZE 63
#define SOURCES_MAX 1000
#define SUBSCRIPTIONS_MAX 32 /* each has its own connections and thread */
#define LABELS_MAX 20
#define HOSTS_MAX 20
#define SERIES_MAX 200
#define GIB (UINT64_C(1) << 30)

#define TOP(field) offsetof(Config, field)
#define SOURCE(field) offsetof(SourceConfig, field)
#define SUBSCRIPTION(field) offsetof(SubscriptionConfig, field)
#define PAGE(field) offsetof(PageConfig, field)

/* ---- the rows that do not belong to a type ---- */

static const ConfigType type_payload = { "json or python", NULL, CONFIG_INT,
        .words = (const char *const[]){ "json", "python", NULL } };

/* clang-format off */
static const ConfigRow pubsub_rows[] = {
        { "project", &config_type_project, TOP(pubsub.project), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "Project of topics and subscriptions that are given as a bare id." },
        { "credentials_file", &config_type_secret_name, TOP(pubsub.credentials_file), 1, TEXT_MAX,
                .derived = "Google's usual search",
                .doc = "Key file of a service account, or the credentials file of a gcloud login." },
        { "endpoint", &config_type_url, TOP(pubsub.endpoint), 1, TEXT_MAX, .fallback = "https://pubsub.googleapis.com",
                .doc = "Server of the Pub/Sub API." },
        { "ca_file", &config_type_path, TOP(pubsub.ca_file), 1, TEXT_MAX,
                .doc = "PEM file of CA certificates, used instead of the system's for Pub/Sub and its token endpoint." },
        {},
};

static const ConfigRow outbox_rows[] = {
        { "max_rows", &config_type_count, offsetof(OutboxConfig, max_rows), 1, 100000000, "1000000",
                .doc = "Maximum number of readings in the outbox. Polling stops at this limit." },
        { "max_bytes", &config_type_size, offsetof(OutboxConfig, max_bytes), 64 * 1024, 1024 * GIB, "256MiB",
                .doc = "Maximum size of the payloads, attributes and rejected readings in the outbox. Polling stops at this limit." },
        {},
};

static const ConfigRow source_rows[] = {
        { "name", &config_type_name, SOURCE(name), 1, NAME_MAX_SIZE, .flags = CONFIG_REQUIRED | CONFIG_UNIQUE,
                .doc = "Unique name of the source in messages, logs and keys." },
        { "type", &config_type_variant, .flags = CONFIG_REQUIRED,
                .doc = "Type of the source." },
        { "interval", &config_type_duration, SOURCE(interval), 10 * USEC_PER_SEC, 24 * USEC_PER_HOUR, "60s",
                .doc = "Time between polls." },
        { "labels", &config_type_labels, SOURCE(labels), 0, LABELS_MAX,
                .doc = "Constant members and attributes of this source's readings, in addition to publish.labels." },
        {},
};

static const ConfigRow backoff_rows[] = {
        { "initial", &config_type_duration, offsetof(BackoffConfig, initial), USEC_PER_SEC, USEC_PER_HOUR, "1s",
                .doc = "Ceiling of the first wait." },
        { "max", &config_type_duration, offsetof(BackoffConfig, max), USEC_PER_SEC, USEC_PER_HOUR, "60s",
                .doc = "Ceiling of every wait." },
        {},
};

static const ConfigSection *source_at(const ConfigTypes *types, size_t index) {
        return types->source(index);
}

static const ConfigSection *sink_at(const ConfigTypes *types, size_t index) {
        return types->sink(index);
}

static int backoff_rule(const ConfigPlace *place, void *self, void *around) {
        const BackoffConfig *backoff = self;

        if (backoff->initial <= backoff->max)
                return 0;
        return config_place_fail(place, yaml_get(place->node, "initial") ? "initial" : "max",
                "initial (%" PRIu64 "s) is longer than max (%" PRIu64 "s); allowed: initial <= max",
                backoff->initial / USEC_PER_SEC, backoff->max / USEC_PER_SEC);
}

static int pubsub_rule(const ConfigPlace *place, void *self, void *around) {
        const Config *config = self;

        if (!strchr(strstr(config->pubsub.endpoint, "://") + 3, '/'))
                return 0;
        return config_place_fail(place, "endpoint",
                "has a path, but sensorqd appends /v1/projects/... itself; allowed: https://HOST[:PORT]");
}

/* Adds a copy of the label; the caller has made room for it. */
static int add_label(ConfigMap *labels, const ConfigPair *label) {
        ConfigPair *own = &labels->items[labels->n++];

        *own = (ConfigPair){ .name = strdup(label->name), .values = calloc(2, sizeof(char *)) };
        if (own->values)
                own->values[0] = strdup(label->values[0]);
        return own->name && own->values && own->values[0] ? 0 : -ENOMEM;
}

/* Adds the labels of *common* that *labels* does not have. */
static int add_labels(ConfigMap *labels, const ConfigMap *common) {
        size_t allocated = labels->n;
        int r = array_reserve(&labels->items, &allocated, labels->n + common->n, sizeof(ConfigPair));

        for (size_t i = 0; r == 0 && i < common->n; i++)
                if (!config_map_get(labels, common->items[i].name))
                        r = add_label(labels, &common->items[i]);
        return r;
}

/* Called only when the section is there. */
static int publish_rule(const ConfigPlace *place, void *self, void *around) {
        Config *config = self;
        int r = 0;

        config->publishes = true;
        for (size_t i = 0; r == 0 && i < config->n_sources; i++)
                r = add_labels(&config->sources[i].labels, &config->labels);
        return r;
}

static const ConfigSection pubsub_section = { .rows = pubsub_rows, .rule = pubsub_rule };
static const ConfigSection outbox_section = { .rows = outbox_rows };
static const ConfigSection source_section = { .rows = source_rows, .size = sizeof(SourceConfig),
        .variants = &(const ConfigVariants) { "source", false, source_at, SOURCE(type), SOURCE(section), SOURCE(keys) } };
const ConfigSection config_backoff_section = { .rows = backoff_rows, .rule = backoff_rule };

static const ConfigRow publish_rows[] = {
        { "topic", &config_type_topic, TOP(topic), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "Topic to publish readings to." },
        { "topic_has_other_subscribers", &config_type_bool, TOP(topic_has_other_subscribers),
                .derived = "true without a subscribe section, else false",
                .doc = "Publish even if no subscription in this file belongs to the topic." },
        { "labels", &config_type_labels, TOP(labels), 0, LABELS_MAX,
                .doc = "Constant members and attributes of every reading." },
        { "outbox", &config_type_section, TOP(outbox), .flags = CONFIG_IMPLIED, .section = &outbox_section,
                .doc = "Limits of the outbox." },
        { "sources", &config_type_list, TOP(sources), 1, SOURCES_MAX, .flags = CONFIG_REQUIRED,
                .section = &source_section, .count = TOP(n_sources),
                .doc = "The sensors." },
        {},
};

static const ConfigRow subscription_rows[] = {
        { "subscription", &config_type_subscription, SUBSCRIPTION(subscription), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "Subscription to pull from; unique." },
        { "interval", &config_type_duration, SUBSCRIPTION(interval), 0, USEC_PER_HOUR, "0s",
                .doc = "Wait after a pull that found the subscription empty. 0s means continuous long polling." },
        { "max_messages", &config_type_unsigned, SUBSCRIPTION(max_messages), 1, 1000, "1000",
                .doc = "Maximum number of messages per pull." },
        { "pulls", &config_type_unsigned, SUBSCRIPTION(pulls), 1, 16, "2",
                .doc = "Maximum number of pulls in progress plus batches not stored yet." },
        { "id_attribute", &config_type_attribute, SUBSCRIPTION(id_attribute), 1, 256, "idempotency_key",
                .doc = "Message attribute that becomes the document's _id. A message without it uses its message id." },
        { "max_hold", &config_type_duration, SUBSCRIPTION(max_hold), USEC_PER_MINUTE, 24 * USEC_PER_HOUR, "1h",
                .doc = "How long to hold a batch that cannot be stored before returning it to Pub/Sub." },
        { "payload", &type_payload, SUBSCRIPTION(payload), .fallback = "json",
                .doc = "Format of the message data." },
        { "backoff", &config_type_section, SUBSCRIPTION(backoff), .flags = CONFIG_IMPLIED, .section = &config_backoff_section,
                .doc = "Waits between attempts while the sink is down. Each is drawn at random below a ceiling that doubles." },
        {},
};

static const ConfigSection publish_section = { .rows = publish_rows, .rule = publish_rule };
static const ConfigSection subscription_section = { .rows = subscription_rows, .size = sizeof(SubscriptionConfig),
        .variants = &(const ConfigVariants) { "sink", true, sink_at, SUBSCRIPTION(sink), SUBSCRIPTION(section), SUBSCRIPTION(keys) } };

/* ---- the page ---- */

static int series_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] != '\0' && (text[0] != '/' || (pointer_is_valid(text) && pointer_count_stars(text) == 0)))
                return 0;
        return config_problem_set(ret_problem, "is neither a member nor a JSON pointer");
}

static const ConfigType type_series = { "map of texts", "FIELD: NAME lines, indented", CONFIG_MAP,
        .inside = series_check, .empty = true };

/* If other machines can reach the page, it needs a password, and the password needs encryption (P10). */
static int page_rule(const ConfigPlace *place, void *self, void *around) {
        const PageConfig *page = self;
        bool loopback;

        (void) listen_address_check(page->listen, &loopback);
        if (loopback)
                return 0;
        if (!page->password.file)
                return config_place_fail(place, "listen", "others can reach that address, so password_file is needed");
        if (!page->tls.certificate_file && !page->allow_plain)
                return config_place_fail(place, "listen",
                        "others can reach that address, and the password would travel unencrypted; needs tls, or "
                        "allow_plain: true");
        return 0;
}

static const ConfigRow page_rows[] = {
        { "listen", &config_type_address, PAGE(listen), 1, TEXT_MAX, "127.0.0.1:8480",
                .doc = "Address to serve the page on." },
        { "hosts", &config_type_names, PAGE(hosts), 0, HOSTS_MAX,
                .doc = "Additional names that browsers may use for this machine." },
        { "password_file", &config_type_secret, PAGE(password), 1, TEXT_MAX,
                .doc = "Password for the page." },
        { "tls", &config_type_section, PAGE(tls), .section = &config_tls_section,
                .doc = "Serve the page over HTTPS." },
        { "allow_plain", &config_type_bool, PAGE(allow_plain), .fallback = "false",
                .doc = "Accept the password from other machines without TLS." },
        { "subscription", &config_type_subscription, PAGE(subscription), 1, TEXT_MAX,
                .derived = "the first with a file sink, else with MongoDB, else any",
                .doc = "Subscription whose stored readings are drawn." },
        { "series", &type_series, PAGE(series), 0, SERIES_MAX,
                .doc = "Display names of fields, in display order. An empty name hides a field." },
        {},
};
const ConfigSection config_page_section = { .rows = page_rows, .size = sizeof(PageConfig), .rule = page_rule };

/* ---- parts that listen on the same address need the same certificate and different paths ---- */

/* A part that listens. */
typedef struct Listener {
        const char *address; /* NULL: it does not listen */
        const char *path, *certificate, *key;
        const char *path_key;    /* the key to blame for the path */
        const char *what, *name; /* for errors */
} Listener;

static const char *text_of(const SourceConfig *source, const char *key) {
        const ConfigRow *row = config_table_find(source->section, key);

        return row && row->type->storage == CONFIG_TEXT ? *(char *const *) ((const char *) source->keys + row->offset)
                                                        : NULL;
}

/* Returns the source with that index, or the page, which is behind the last. */
static Listener listener_at(const Config *config, size_t index) {
        const SourceConfig *source = &config->sources[index];
        const PageConfig *page = config->page;

        if (index == config->n_sources)
                return (Listener){ page->listen, "/", page->tls.certificate_file, page->tls.key_file, "listen",
                        "the page", "" };
        return (Listener){ text_of(source, "listen"), text_of(source, "path"), text_of(source, "certificate_file"),
                text_of(source, "key_file"), "path", "source ", source->name };
}

/* Checks *listener* against *other*, which comes before it in the file. */
static int listener_check(const ConfigPlace *place, const Listener *listener, const Listener *other) {
        if (!other->address || strcmp(listener->address, other->address) != 0)
                return 0;
        if (!text_equal(listener->certificate, other->certificate) || !text_equal(listener->key, other->key))
                return config_place_fail(place, "listen",
                        "%s%s listens there with another certificate or key, or without; allowed: the same files, or "
                        "an address of its own",
                        other->what, other->name);
        if (text_equal(listener->path, other->path))
                return config_place_fail(place, listener->path_key,
                        "%s%s already has the path %s at that address; use another",
                        other->what, other->name, other->path);
        return 0;
}

/* Returns the place of an entry of one of the file's lists; *within* is the section that has the list. */
static ConfigPlace place_of_entry(const ConfigPlace *within, const char *list, size_t index) {
        return (ConfigPlace){ within->reader, within, list, true, yaml_get(within->node, list)->children[index] };
}

static int rule_listen(const ConfigPlace *top, const ConfigPlace *page, const Config *config) {
        const ConfigPlace publish = { top->reader, top, "publish", false, yaml_get(top->node, "publish") };
        int r = 0;

        for (size_t i = 0; i < config->n_sources + (config->page != NULL); i++) {
                const ConfigPlace place = i < config->n_sources ? place_of_entry(&publish, "sources", i) : *page;
                const Listener listener = listener_at(config, i);

                for (size_t k = 0; r == 0 && listener.address && k < i; k++) {
                        const Listener other = listener_at(config, k);

                        r = listener_check(&place, &listener, &other);
                }
        }
        return r;
}

/* ---- the unit that runs a file ---- */

size_t config_name_size(const char *file) {
        size_t size = strlen(file), end = strlen(".yaml");

        return size > end && strcmp(file + size - end, ".yaml") == 0 ? size - end : size;
}

/* Whether *directory* is that of the default configuration, also as a relative path or through a link. */
static bool is_where_units_look(const char *directory) {
        _cleanup_free_ char *real = realpath(directory, NULL), *units = realpath(CONFIG_DIRECTORY_DEFAULT, NULL);

        return strcmp(real ?: directory, units ?: CONFIG_DIRECTORY_DEFAULT) == 0 ||
               strcmp(directory, CONFIG_DIRECTORY_DEFAULT) == 0;
}

bool config_unit(const char *path, char unit[static CONFIG_UNIT_SIZE]) {
        _cleanup_free_ char *directory = file_directory(path);
        const char *name = basename(path);
        size_t size = config_name_size(name);

        (void) strcpy(unit, "sensorqd");
        if (!directory || name[size] == '\0' || strlen("sensorqd@") + size >= CONFIG_UNIT_SIZE - 1 ||
                !is_where_units_look(directory))
                return false;
        if (strcmp(name, "sensorqd.yaml") != 0)
                (void) snprintf(unit, CONFIG_UNIT_SIZE, "sensorqd@%.*s", (int) size, name);
        return true;
}

/* For a process outside of the unit: the directory of an instance is taken if it exists. systemd.exec(5): several
 * directories in the variable are separated by colons; the first is ours. */
char *config_state_dir(const char *path, bool beside) {
        const char *given = getenv("STATE_DIRECTORY"), *name;
        char unit[CONFIG_UNIT_SIZE];
        _cleanup_free_ char *own = NULL;

        if (given && given[0] != '\0')
                return strndup(given, strcspn(given, ":"));
        name = config_unit(path, unit) ? strchr(unit, '@') : NULL;
        if (name && text_format(&own, CONFIG_STATE_DIR_DEFAULT "-%s", name + 1) < 0)
                return NULL;
        if (own && (access(own, F_OK) == 0 || (beside && access(CONFIG_FILE_DEFAULT, F_OK) == 0)))
                return cleanup_steal(own);
        return strdup(CONFIG_STATE_DIR_DEFAULT);
}

/* ---- what depends on the environment ---- */

static int rule_state_dir(const ConfigPlace *top, Config *config) {
        config->state_dir_given = config->state_dir != NULL;
        if (config->state_dir_given)
                return 0;
        config->state_dir = config_state_dir(config->path, false);
        if (!config->state_dir)
                return -ENOMEM;
        if (config->state_dir[0] != '/')
                return config_reader_fail(top->reader, 0, 0,
                        "state_dir: $STATE_DIRECTORY is not an absolute path; set state_dir, or correct the variable");
        return 0;
}

static int rule_emulator(const ConfigPlace *top, Config *config) {
        const char *host = getenv("PUBSUB_EMULATOR_HOST");
        size_t size;
        char *url;

        if (!host || host[0] == '\0')
                return 0;
        if (strncmp(host, "http://", 7) == 0)
                host += 7;
        for (size = strlen(host); size > 0 && host[size - 1] == '/';)
                size--;
        if (text_format(&url, "http://%.*s", (int) size, host) < 0)
                return -ENOMEM;

        free(config->pubsub.endpoint);
        config->pubsub.endpoint = url;
        config->pubsub.emulator = true;
        if (http_url_check(url) == HTTP_URL_MALFORMED || strpbrk(url + 7, "/?"))
                return config_reader_fail(top->reader, 0, 0,
                        "pubsub.endpoint: $PUBSUB_EMULATOR_HOST is set, but is not HOST:PORT; correct or unset the "
                        "variable");
        return 0;
}

/* ---- names ---- */

/* Turns an id into a full name, in place. */
static int make_full_name(const Config *config, const char *collection, char **name) {
        char *full;

        if (config_type_is_full_name(*name, collection))
                return 0;
        if (text_format(&full, "projects/%s/%s/%s", config->pubsub.project, collection, *name) < 0)
                return -ENOMEM;

        free(*name);
        *name = full;
        return 0;
}

static int rule_subscription(const ConfigPlace *top, Config *config, size_t index) {
        const ConfigPlace place = place_of_entry(top, "subscribe", index);
        SubscriptionConfig *subscription = &config->subscriptions[index];
        int r;

        subscription->state_dir = config->state_dir;
        r = make_full_name(config, "subscriptions", &subscription->subscription);
        if (r < 0)
                return r;
        for (size_t i = 0; i < index; i++)
                if (strcmp(subscription->subscription, config->subscriptions[i].subscription) == 0)
                        return config_place_fail(&place, "subscription",
                                "is already the subscription of line %u; each may be used once",
                                place_of_entry(top, "subscribe", i).node->line);

        return 0;
}

static int rule_page(const ConfigPlace *place, Config *config) {
        int r;

        if (!config->page || !config->page->subscription)
                return 0;
        r = make_full_name(config, "subscriptions", &config->page->subscription);
        if (r < 0 || config_find_subscription(config, slice_of(config->page->subscription)))
                return r;
        return config_place_fail(
                place, "subscription", "is not a subscription of this file; allowed: one that subscribe names");
}

/* ---- the whole file ---- */

/* Checks what spans sections, and fills in what depends on others or on the environment. *top* is the whole file, whose
 * rows are right. -EBADMSG with an error noted, or -ENOMEM. */
static int config_rules(const ConfigPlace *top, Config *config) {
        const ConfigPlace page = { top->reader, top, "page", false, yaml_get(top->node, "page") };
        int r;

        r = rule_listen(top, &page, config);
        if (r == 0)
                r = rule_state_dir(top, config);
        if (r == 0)
                r = rule_emulator(top, config);
        if (r == 0 && !config->publishes && config->n_subscriptions == 0)
                r = config_place_fail(top, "publish",
                        "is missing, and so is subscribe: nothing to do; write one of the two sections, or both");
        if (!yaml_get(yaml_get(top->node, "publish"), "topic_has_other_subscribers"))
                config->topic_has_other_subscribers = config->n_subscriptions == 0;
        if (r == 0 && config->publishes)
                r = make_full_name(config, "topics", &config->topic);
        for (size_t i = 0; r == 0 && i < config->n_subscriptions; i++)
                r = rule_subscription(top, config, i);
        return r < 0 ? r : rule_page(&page, config);
}

static const ConfigRow top_rows[] = {
        { "state_dir", &config_type_directory, TOP(state_dir), 1, TEXT_MAX,
                .derived = "$STATE_DIRECTORY, else " CONFIG_STATE_DIR_DEFAULT,
                .doc = "Directory of the outbox and of all other state that a restart keeps." },
        { "log_level", &config_type_log_level, TOP(log_level), .fallback = "info",
                .doc = "Lowest level that is logged." },
        { "pubsub", &config_type_section, 0, .flags = CONFIG_REQUIRED, .section = &pubsub_section,
                .doc = "The Google Cloud Pub/Sub project and how to reach it." },
        { "publish", &config_type_section, 0, .section = &publish_section,
                .doc = "Polls sensors and publishes their readings. Without this section the daemon only subscribes." },
        { "subscribe", &config_type_list, TOP(subscriptions), 1, SUBSCRIPTIONS_MAX,
                .section = &subscription_section, .count = TOP(n_subscriptions),
                .doc = "Subscriptions to pull from, each with its sink. Without this list the daemon only publishes." },
        { "page", &config_type_section, TOP(page), .flags = CONFIG_POINTER, .section = &config_page_section,
                .doc = "Web page with the present state and charts. Without this section there is none." },
        {},
};
/* clang-format on */

const ConfigSection config_section = { .rows = top_rows, .size = sizeof(Config) };

/* ---- the text ---- */

/* Returns the line of the first byte that is not UTF-8 or is NUL; 0: there is none. */
static unsigned find_bad_line(Slice text) {
        unsigned n = 1;

        for (Slice line; slice_next(&text, '\n', &line); n++)
                if (!bytes_is_utf8(line.data, line.size) || memchr(line.data, '\0', line.size))
                        return n;
        return 0;
}

static int check_coding(const ConfigReader *reader) {
        unsigned line = find_bad_line(reader->text);

        if (text_is_utf16(reader->text.data, reader->text.size))
                return config_reader_fail(reader, 0, 0, "the file is UTF-16; save it as UTF-8");
        if (reader->text.size > YAML_SIZE_MAX)
                return config_reader_fail(reader, 0, 0, "the file is larger than %d KiB", YAML_SIZE_MAX / 1024);
        if (line > 0)
                return config_reader_fail(
                        reader, line, 1, "the line holds a byte that is not UTF-8 text; save the file as UTF-8");
        return 0;
}

static int read_text(const ConfigReader *reader, Config *config) {
        _cleanup_(yaml_node_freep) YamlNode *root = NULL;
        YamlError error = {};
        int r, slips;

        r = check_coding(reader);
        if (r < 0)
                return r;
        r = yaml_parse(reader->text.data, reader->text.size, &root, &error);
        if (r == 0)
                r = config_reader_read(reader, root, config);
        if (r == 0) /* every line was understood, so no slip is the cause of what is wrong now */
                return config_rules(&(ConfigPlace){ reader, NULL, "", false, root }, config);
        if (r != -EBADMSG)
                return r;
        slips = config_slips_note(reader, error.line);
        if (slips < 0 || root || reader->errors->n > 0)
                return slips < 0 ? slips : r;
        return config_reader_fail(reader, error.line, error.column, "%s", error.text); /* the parser's own words */
}

static int config_new(const char *path, Config **ret) {
        _cleanup_(config_unrefp) Config *config = calloc(1, sizeof(Config));

        if (!config)
                return -ENOMEM;
        config->references = 1;
        config->path = strdup(path);
        config->directory = file_directory(path);
        if (!config->path || !config->directory)
                return -ENOMEM;

        *ret = cleanup_steal(config);
        return 0;
}

int config_parse(const ConfigInput *input, const char *text, size_t size, Config **ret, ConfigErrors *errors) {
        _cleanup_(config_unrefp) Config *config = NULL;
        const size_t mark = text_mark(text, size);
        const Slice content = { text + mark, size - mark };
        int r;

        r = config_new(input->path, &config);
        if (r < 0)
                return r;
        r = read_text(&(ConfigReader){ input->path, config->directory, content, &config_section, input->types, errors,
                              &config->warnings },
                config);
        if (r < 0)
                return r;

        *ret = cleanup_steal(config);
        return 0;
}

/* ---- the file ---- */

static int fail_open(const ConfigReader *reader, int error) {
        static const struct {
                int error;
                const char *words;
        } known[] = {
                { -ENOENT, "there is no such file; make one with `sensorqd init`, or name another with --config" },
                { -EISDIR, "is a directory; name the file itself with --config" },
                { -EINVAL, "is not a regular file" },
                { -EACCES, "may not be read by this user; run as root, or let the user of the service read it (chmod "
                           "0644)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (known[i].error == error) {
                        (void) config_reader_fail(reader, 0, 0, "%s", known[i].words);
                        return error;
                }
        (void) config_reader_fail(reader, 0, 0, "cannot be read: %s%s", strerror(-error),
                err_is_want(error) ? "; look " CAUSE_MEMORY_PLACES : "");
        return error;
}

int config_load(const ConfigInput *input, Config **ret, ConfigErrors *errors) {
        const ConfigReader reader = { .path = input->path, .errors = errors };
        _cleanup_bytes_ Bytes text = {};
        int r;

        r = file_load(input->path, YAML_SIZE_MAX + 1, &text); /* one byte more shows that it is too large */
        if (r < 0)
                return r == -ENOMEM ? r : fail_open(&reader, r);
        r = config_parse(input, text.data, text.size, ret, errors);
        explicit_bzero(text.data, text.size);
        return r;
}

/* ---- values ---- */

Config *config_ref(Config *config) {
        config->references++;
        return config;
}

Config *config_unref(Config *config) {
        if (!config || --config->references > 0)
                return NULL;

        config_table_done(&config_section, config);
        config_errors_done(&config->warnings);
        free(config->directory);
        free(config->path);
        free(config);
        return NULL;
}

const SubscriptionConfig *config_find_subscription(const Config *config, Slice name) {
        for (size_t i = 0; i < config->n_subscriptions; i++)
                if (slice_equal(name, config->subscriptions[i].subscription))
                        return &config->subscriptions[i];
        return NULL;
}

bool config_source_equal(const SourceConfig *a, const SourceConfig *b) {
        return config_table_equal(&source_section, a, b);
}

bool config_subscription_equal(const SubscriptionConfig *a, const SubscriptionConfig *b) {
        return config_table_equal(&subscription_section, a, b);
}

bool config_page_equal(const PageConfig *a, const PageConfig *b) {
        return a && b ? config_table_equal(&config_page_section, a, b) : a == b;
}

bool config_pubsub_equal(const Config *a, const Config *b) {
        return a->pubsub.emulator == b->pubsub.emulator && config_table_equal(&pubsub_section, a, b);
}
