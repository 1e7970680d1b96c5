/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/sink.h"

#include <string.h>

static const SinkType *const types[] = { &sink_type_mongodb };

const SinkType *sink_type_find(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (strcmp(types[i]->name, name) == 0)
                        return types[i];
        return NULL;
}
