/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/bytes.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/text.h"
#include "lib/yaml.h"
#include "trouble.h"

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
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        _cleanup_free_ char *directory = slash ? strndup(path, (size_t) (slash - path)) : strdup(".");
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

/* ---- the text ---- */

/* Returns the line of the first byte that is not UTF-8 or is NUL; 0: there is none. */
static unsigned find_bad_line(const char *text, size_t size) {
        const char *end = text + size, *newline;
        unsigned line = 1;

        for (; text < end; text = newline + (newline < end), line++) {
                newline = memchr(text, '\n', (size_t) (end - text)) ?: end;
                if (!bytes_is_utf8(text, (size_t) (newline - text)) || memchr(text, '\0', (size_t) (newline - text)))
                        return line;
        }
        return 0;
}

static int check_coding(const ConfigReader *reader) {
        unsigned line = find_bad_line(reader->text, reader->size);

        if (text_is_utf16(reader->text, reader->size))
                return config_reader_fail(reader, 0, 0, "the file is UTF-16; save it as UTF-8");
        if (reader->size > YAML_SIZE_MAX)
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
        r = yaml_parse(reader->text, reader->size, &root, &error);
        if (r == 0)
                r = config_reader_read(reader, root, config);
        if (r == 0) /* every line was understood, so no slip is the cause of what is wrong now */
                return config_rules(&(ConfigPlace){ reader, NULL, "", false, root }, config);
        if (r != -EBADMSG)
                return r;
        slips = config_slips_note(reader);
        if (slips < 0 || root || reader->errors->n > 0)
                return slips < 0 ? slips : r;
        return config_reader_fail(reader, error.line, error.column, "%s", error.text); /* the parser's own words */
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
        const size_t mark = text_mark(text, size);
        int r;

        r = config_new(input->path, &config);
        if (r < 0)
                return r;
        r = read_text(&(ConfigReader){ input->path, config->directory, text + mark, size - mark, &config_section,
                              input->types, errors, &config->warnings },
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
