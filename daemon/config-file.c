/* SPDX-License-Identifier: Apache-2.0 */
#include "config-file.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config-internal.h"
#include "lib/bytes.h"
#include "lib/file.h"
#include "lib/http.h"
#include "lib/text.h"
#include "lib/yaml.h"

/* ---- rules that span sections, or look at the environment ---- */

size_t config_name_size(const char *file) {
        size_t size = strlen(file), end = strlen(".yaml");

        return size > end && strcmp(file + size - end, ".yaml") == 0 ? size - end : size;
}

static bool is_default_directory(const char *directory) {
        const size_t n = strlen(CONFIG_FILE_DEFAULT) - strlen("/sensorqd.yaml");

        return strncmp(directory, CONFIG_FILE_DEFAULT, n) == 0 && directory[n] == '\0';
}

/* Whether *directory* is that of the default configuration, also as a relative path or through a link. */
static bool is_where_units_look(const char *directory) {
        _cleanup_free_ char *real = realpath(directory, NULL);

        return is_default_directory(directory) || (real && is_default_directory(real));
}

bool config_unit(const char *path, char unit[static CONFIG_UNIT_SIZE]) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        _cleanup_free_ char *directory = slash ? strndup(path, (size_t) (slash - path)) : strdup(".");
        size_t size = config_name_size(name);

        if (!directory || name[size] == '\0' || !is_where_units_look(directory))
                return false;
        if (strcmp(name, "sensorqd.yaml") == 0)
                (void) snprintf(unit, CONFIG_UNIT_SIZE, "sensorqd");
        else
                (void) snprintf(unit, CONFIG_UNIT_SIZE, "sensorqd@%.*s", (int) size, name);
        return strlen(unit) < CONFIG_UNIT_SIZE - 1;
}

/* For a process outside of the unit: the directory of an instance is taken if it exists. systemd.exec(5): several
 * directories in the variable are separated by colons; the first is ours. */
char *config_state_dir(const char *path) {
        const char *given = getenv("STATE_DIRECTORY"), *name;
        char unit[CONFIG_UNIT_SIZE];
        _cleanup_free_ char *own = NULL;

        if (given && given[0] != '\0')
                return strndup(given, strcspn(given, ":"));
        name = config_unit(path, unit) ? strchr(unit, '@') : NULL;
        if (name && text_format(&own, CONFIG_STATE_DIR_DEFAULT "-%s", name + 1) < 0)
                return NULL;
        return own && access(own, F_OK) == 0 ? cleanup_steal(own) : strdup(CONFIG_STATE_DIR_DEFAULT);
}

static int rule_state_dir(const ConfigPlace *top, Config *config) {
        if (config->state_dir)
                return 0;
        config->state_dir = config_state_dir(config->path);
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
        const YamlNode *list = yaml_get(top->node, "subscribe");
        const ConfigPlace place = { top->reader, top, "subscribe", true, list->children[index] };
        SubscriptionConfig *subscription = &config->subscriptions[index];
        int r;

        subscription->state_dir = config->state_dir;
        r = make_full_name(config, "subscriptions", &subscription->subscription);
        if (r < 0)
                return r;
        for (size_t i = 0; i < index; i++)
                if (strcmp(subscription->subscription, config->subscriptions[i].subscription) == 0)
                        return config_place_fail(&place, "subscription",
                                "is the subscription of line %u already; each subscription once",
                                list->children[i]->line);

        return 0;
}

static int rule_page(const ConfigPlace *top, Config *config) {
        const ConfigPlace place = { top->reader, top, "page", false, yaml_get(top->node, "page") };
        const char *name;
        int r;

        if (!config->page || !config->page->subscription)
                return 0;
        r = make_full_name(config, "subscriptions", &config->page->subscription);
        if (r < 0)
                return r;
        name = config->page->subscription;
        if (config_find_subscription(config, (Slice){ name, strlen(name) }))
                return 0;
        return config_place_fail(
                &place, "subscription", "is not a subscription of this file; allowed: one that subscribe names");
}

static int apply_rules(const ConfigPlace *top, Config *config) {
        int r;

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
        return r < 0 ? r : rule_page(top, config);
}

/* ---- text ---- */

/* Returns the line of the first byte that is not UTF-8 or is NUL; 0: there is none. */
static unsigned text_find_bad(const char *text, size_t size) {
        unsigned line = 1;
        size_t begin = 0;

        if (bytes_is_utf8(text, size) && !memchr(text, '\0', size))
                return 0;

        while (begin < size) {
                const char *end = memchr(text + begin, '\n', size - begin);
                size_t n = end ? (size_t) (end - text) - begin : size - begin;

                if (!bytes_is_utf8(text + begin, n) || memchr(text + begin, '\0', n))
                        break;
                begin += n + 1;
                line++;
        }

        return line;
}

static int check_coding(const ConfigReader *reader) {
        unsigned line = text_find_bad(reader->text, reader->size);

        if (text_is_utf16(reader->text, reader->size))
                return config_reader_fail(reader, 0, 0, "the file is UTF-16; save it as UTF-8");
        if (reader->size > YAML_SIZE_MAX)
                return config_reader_fail(reader, 0, 0, "the file is larger than %d KiB", YAML_SIZE_MAX / 1024);
        if (line > 0)
                return config_reader_fail(
                        reader, line, 1, "the line holds a byte that is not UTF-8 text; save the file as UTF-8");
        return 0;
}

/* Reports common mistakes in YAML. *error* is the parser's own error; it is reported when no such mistake was found.
 * NULL: the parser found none. */
static int tell_slips(const ConfigReader *reader, const YamlError *error) {
        int r = config_slips_note(reader);

        if (r < 0)
                return r;
        if (reader->errors->n == 0 && error)
                return config_reader_fail(reader, error->line, error->column, "%s", error->text);
        return -EBADMSG;
}

static int parse_file(const ConfigReader *reader, YamlNode **root, Config *config) {
        YamlError error = {};
        int r;

        r = check_coding(reader);
        if (r < 0)
                return r;
        r = yaml_parse(reader->text, reader->size, root, &error);
        if (r == -EBADMSG)
                return tell_slips(reader, &error);
        if (r < 0)
                return r;
        r = config_reader_read(reader, *root, config);
        return r == -EBADMSG ? tell_slips(reader, NULL) : r;
}

static int config_new(const char *path, Config **ret) {
        _cleanup_(config_unrefp) Config *config = NULL;
        _cleanup_free_ char *copy = NULL;

        config = calloc(1, sizeof(Config));
        if (!config)
                return -ENOMEM;

        config->references = 1;
        config->path = strdup(path);
        copy = strdup(path);
        if (!config->path || !copy)
                return -ENOMEM;

        config->directory = strdup(dirname(copy));
        if (!config->directory)
                return -ENOMEM;

        *ret = cleanup_steal(config);
        return 0;
}

int config_parse(const ConfigInput *input, const char *text, size_t size, Config **ret, ConfigErrors *errors) {
        _cleanup_(config_unrefp) Config *config = NULL;
        _cleanup_(yaml_node_freep) YamlNode *root = NULL;
        ConfigReader reader;
        size_t mark;
        int r;

        r = config_new(input->path, &config);
        if (r < 0)
                return r;
        mark = text_mark(text, size);
        text += mark;
        size -= mark;
        reader = (ConfigReader){ input->path, config->directory, text, size, &config_section, input->types, errors,
                &config->warnings };
        r = parse_file(&reader, &root, config);
        if (r < 0)
                return r;
        r = apply_rules(&(ConfigPlace){ &reader, NULL, "", false, root }, config);
        if (r < 0)
                return r;

        *ret = cleanup_steal(config);
        return 0;
}

/* ---- file ---- */

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
        (void) config_reader_fail(reader, 0, 0, "cannot be read: %s", strerror(-error));
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
