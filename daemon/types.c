/* SPDX-License-Identifier: Apache-2.0 */
#include "types.h"

#include <string.h>

extern const SourceType source_type_nature_remo, source_type_exec;
extern const SinkType sink_type_mongodb;

static const SourceType *const source_types[] = {
        &source_type_nature_remo,
        &source_type_exec,
};

static const SinkType *const sink_types[] = {
        &sink_type_mongodb,
};

const SourceType *types_source(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(source_types); i++)
                if (strcmp(source_types[i]->keys->name, name) == 0)
                        return source_types[i];
        return NULL;
}

const SinkType *types_sink(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(sink_types); i++)
                if (strcmp(sink_types[i]->keys->name, name) == 0)
                        return sink_types[i];
        return NULL;
}

static const ConfigSection *source_section(size_t index) {
        return index < ELEMENTSOF(source_types) ? source_types[index]->keys : NULL;
}

static const ConfigSection *sink_section(size_t index) {
        return index < ELEMENTSOF(sink_types) ? sink_types[index]->keys : NULL;
}

const ConfigTypes types_of_config = { source_section, sink_section };
