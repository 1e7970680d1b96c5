/* SPDX-License-Identifier: Apache-2.0 */
#include "types.h"

#include <string.h>

extern const SourceType source_type_nature_remo;

static const SourceType *const source_types[] = {
        &source_type_nature_remo,
};

const SourceType *types_source(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(source_types); i++)
                if (strcmp(source_types[i]->name, name) == 0)
                        return source_types[i];
        return NULL;
}
