/* SPDX-License-Identifier: Apache-2.0 */
/* The rule of the whole file about addresses that several parts listen on: one certificate for all, and each a path of
 * its own. */
#include <string.h>

#include "config-place.h"
#include "config-table.h"
#include "config.h"
#include "lib/text.h"

/* A part that listens. */
typedef struct Listener {
        const char *address; /* NULL: it does not */
        const char *path, *certificate, *key;
        const char *path_key;    /* whose fault the path is */
        const char *what, *name; /* for errors */
} Listener;

static const char *text_of(const SourceConfig *source, const char *key) {
        const ConfigRow *row = config_table_find(source->section, key);

        return row && row->type->storage == CONFIG_TEXT ? *(char *const *) ((const char *) source->keys + row->offset)
                                                        : NULL;
}

static Listener listener_of_source(const SourceConfig *source) {
        return (Listener){ text_of(source, "listen"), text_of(source, "path"), text_of(source, "certificate_file"),
                text_of(source, "key_file"), "path", "source ", source->name };
}

static Listener listener_of_page(const PageConfig *page) {
        return (Listener){ page->listen, "/", page->certificate_file, page->key_file, "listen", "the page", "" };
}

/* *other* stands in the file before. */
static int listener_check(const ConfigPlace *place, const Listener *listener, const Listener *other) {
        if (!other->address || strcmp(listener->address, other->address) != 0)
                return 0;
        if (!text_equal(listener->certificate, other->certificate) || !text_equal(listener->key, other->key))
                return config_place_fail(place, "listen",
                        "%s%s listens there with another certificate or key, or without; allowed: the same files, or "
                        "an address of its own",
                        other->what, other->name);
        if (text_equal(listener->path, other->path))
                return config_place_fail(place, listener->path_key, "%s%s has the path %s at that address; each once",
                        other->what, other->name, other->path);
        return 0;
}

static int source_check(const ConfigPlace *publish, const Config *config, size_t index) {
        const YamlNode *list = yaml_get(publish->node, "sources");
        const ConfigPlace place = { publish->reader, publish, "sources", true, list->children[index] };
        const Listener listener = listener_of_source(&config->sources[index]);
        int r = 0;

        for (size_t i = 0; r == 0 && listener.address && i < index; i++) {
                const Listener other = listener_of_source(&config->sources[i]);

                r = listener_check(&place, &listener, &other);
        }
        return r;
}

static int page_check(const ConfigPlace *root, const Config *config) {
        const ConfigPlace place = { root->reader, root, "page", false, yaml_get(root->node, "page") };
        const Listener page = listener_of_page(config->page);
        int r = 0;

        for (size_t i = 0; r == 0 && i < config->n_sources; i++) {
                const Listener other = listener_of_source(&config->sources[i]);

                r = listener_check(&place, &page, &other);
        }
        return r;
}

int config_listen_rule(const ConfigPlace *place, void *self, void *around) {
        const ConfigPlace publish = { place->reader, place, "publish", false, yaml_get(place->node, "publish") };
        const Config *config = self;
        int r = 0;

        for (size_t i = 0; r == 0 && i < config->n_sources; i++)
                r = source_check(&publish, config, i);
        return r == 0 && config->page ? page_check(place, config) : r;
}
