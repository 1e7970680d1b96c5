/* SPDX-License-Identifier: Apache-2.0 */
#include "types.h"

#include <string.h>

#include "publish/publisher.h"
#include "sinks/file.h"

_Static_assert(PUBLISHER_SENT_MAX <= FILE_KEYS_MAX / 2, "a file sink finds what is published again after a kill");

/* The lists of types. NAME stands for the type's object source_type_NAME (SourceType) or sink_type_NAME (SinkType). */
/* clang-format off */
#define SOURCES(type) \
        type(nature_remo) \
        type(exec) \
        type(http_json) \
        type(http_push) \
        type(mqtt)

#define SINKS(type) \
        type(alert) \
        type(file) \
        type(mongodb) \
        type(webhook)
/* clang-format on */

#define DECLARE_SOURCE(name) extern const SourceType source_type_##name;
#define DECLARE_SINK(name) extern const SinkType sink_type_##name;
#define SOURCE(name) &source_type_##name,
#define SINK(name) &sink_type_##name,

SOURCES(DECLARE_SOURCE)
SINKS(DECLARE_SINK)

static const SourceType *const source_types[] = { SOURCES(SOURCE) };
static const SinkType *const sink_types[] = { SINKS(SINK) };

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
