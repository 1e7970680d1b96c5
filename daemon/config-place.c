/* SPDX-License-Identifier: Apache-2.0 */
#include "config-place.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/text.h"

void config_errors_done(ConfigErrors *errors) {
        for (size_t i = 0; i < errors->n; i++)
                free(errors->texts[i]);
        *errors = (ConfigErrors){};
}

void config_errors_sum_up(const ConfigErrors *errors, char *buffer, size_t size) {
        size_t more = errors->n + errors->left_out;

        (void) snprintf(buffer, size, "%s", errors->n > 0 ? errors->texts[0] : "");
        if (more > 1)
                (void) snprintf(buffer + strlen(buffer), size - strlen(buffer),
                        "; and %zu more error%s, see: sensorqd check", more - 1, more > 2 ? "s" : "");
}

void config_errors_drop(ConfigErrors *errors, unsigned from, unsigned to) {
        size_t n = 0;

        for (size_t i = 0; i < errors->n; i++) {
                if (errors->lines[i] >= from && errors->lines[i] <= to) {
                        free(errors->texts[i]);
                        continue;
                }
                errors->texts[n] = errors->texts[i];
                errors->lines[n++] = errors->lines[i];
        }
        errors->n = n;
}

/* Inserts *text* in the order of lines, and takes it; beyond the limit it only counts. */
static int errors_add(ConfigErrors *errors, unsigned line, char *text) {
        size_t i = errors->n;
        char *last;

        if (errors->n == CONFIG_ERRORS_MAX) {
                free(text);
                if (text_format(&last, "and %zu more", errors->left_out + 2) < 0)
                        return -ENOMEM;
                errors->left_out++;
                free(errors->texts[CONFIG_ERRORS_MAX - 1]);
                errors->texts[CONFIG_ERRORS_MAX - 1] = last;
                errors->lines[CONFIG_ERRORS_MAX - 1] = UINT_MAX;
                return 0;
        }
        for (; i > 0 && errors->lines[i - 1] > line; i--) {
                errors->texts[i] = errors->texts[i - 1];
                errors->lines[i] = errors->lines[i - 1];
        }
        errors->texts[i] = text;
        errors->lines[i] = line;
        errors->n++;
        return 0;
}

static void append_path(Bytes *out, const ConfigPlace *place) {
        if (!place->parent)
                return;
        append_path(out, place->parent);
        bytes_append_format(out, "%s%s%s", place->parent->parent ? "." : "", place->key, place->entry ? "[]" : "");
}

int config_place_tell(const ConfigPlace *place, ConfigErrors *errors, const char *key, const YamlNode *node,
        const char *format, ...) {
        _cleanup_bytes_ Bytes text = {};
        _cleanup_free_ char *words = NULL;
        size_t before;
        va_list list;
        int r;

        if (!node)
                node = key ? yaml_get(place->node, key) : NULL;
        if (!node)
                node = place->node;
        va_start(list, format);
        r = vasprintf(&words, format, list);
        va_end(list);
        if (r < 0) {
                words = NULL; /* asprintf(3) leaves it undefined */
                return -ENOMEM;
        }
        bytes_append_format(&text, "%s:", place->reader->path);
        if (node->line > 0)
                bytes_append_format(&text, "%u:%u:", node->line, node->column);
        bytes_append_text(&text, " ");
        before = text.size;
        append_path(&text, place);
        if (key && key[0] != '\0')
                bytes_append_format(&text, "%s%s", place->parent ? "." : "", key);
        r = bytes_append_format(&text, "%s%s", text.size > before ? ": " : "", words);
        if (r == 0)
                r = errors_add(errors, node->line, bytes_steal(&text).data);
        return r < 0 || errors != place->reader->errors ? r : -EBADMSG;
}

int config_place_unused(const ConfigPlace *place, const char *key, const char *why) {
        return yaml_get(place->node, key) ? config_place_warn(place, key, "has no effect: %s", why) : 0;
}

int config_place_path(const ConfigPlace *place, const char *key, const char *path) {
        if (!strchr("~$", path[0]) || !strchr(path, '/'))
                return 0;
        return config_place_warn(
                place, key, "begins with %c, which only a shell replaces: write the whole path", path[0]);
}

static int tls_rule(const ConfigPlace *place, void *self, void *around) {
        const ConfigTls *tls = self;

        if (!tls->certificate_file == !tls->key_file)
                return 0;
        return config_place_fail(place, tls->key_file ? "certificate_file" : "key_file",
                "is missing; certificate_file and key_file belong together");
}

static const ConfigRow tls_rows[] = {
        { "certificate_file", &config_type_path, offsetof(ConfigTls, certificate_file), 1, 1024,
                .doc = "PEM file of the certificate, followed by the intermediate certificates." },
        { "key_file", &config_type_path, offsetof(ConfigTls, key_file), 1, 1024,
                .doc = "PEM file of its private key, without a password." },
        {},
};

const ConfigSection config_tls_section = {
        .shared = "tls", .rows = tls_rows, .size = sizeof(ConfigTls), .rule = tls_rule
};

int config_place_tls(const ConfigPlace *place, ConfigTls *tls, char **certificate, char **key) {
        if (tls->certificate_file && (*certificate || *key))
                return config_place_fail(
                        place, "tls", "means the same as certificate_file and key_file beside it; leave those out");
        if (tls->certificate_file) {
                *certificate = cleanup_steal(tls->certificate_file);
                *key = cleanup_steal(tls->key_file);
        }
        if (!*certificate == !*key)
                return 0;
        return config_place_fail(place, *key ? "key_file" : "certificate_file",
                "is not enough: certificate_file and key_file belong together");
}

int config_place_kind(const ConfigPlace *place, const ConfigRow *rows, unsigned kind, const char *type) {
        char words[200] = "none of these";
        TextRoom room = { words, sizeof(words), 0 };

        for (const ConfigRow *row = rows; row->key; row++)
                if ((row->needed | row->allowed) & (1u << kind))
                        text_add(&room, "%s%s", room.used > 0 ? ", " : "", row->key);
        for (const ConfigRow *row = rows; row->key; row++) {
                bool there = yaml_get(place->node, row->key), own = (row->needed | row->allowed) & (1u << kind);

                if (!there && row->needed & (1u << kind))
                        return config_place_fail(place, row->key, "is missing; type %s needs it", type);
                if (there && !own && (row->needed | row->allowed) != 0)
                        return config_place_fail(place, row->key,
                                "is not a key of type %s, which takes %s; remove it, or correct type", type, words);
        }
        return 0;
}

int config_words(Bytes *out, const char *const *words, const char *between) {
        for (size_t i = 0; words[i]; i++)
                bytes_append_format(out, "%s%s", i > 0 ? between : "", words[i]);
        return bytes_result(out);
}
