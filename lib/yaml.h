/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A YAML document as a tree of nodes that know where they stand (libyaml's parser underneath, behind this door only).
 * Only what a configuration needs: mappings, sequences, scalars. One document a file; anchors, aliases, tags and
 * duplicate or non-scalar keys are errors. */

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"

#define YAML_SIZE_MAX (1024 * 1024)
#define YAML_DEPTH_MAX 32
#define YAML_CHILDREN_MAX 4096 /* every new key of a mapping is compared with the others */

typedef enum YamlType { YAML_SCALAR, YAML_MAPPING, YAML_SEQUENCE } YamlType;

typedef struct YamlNode YamlNode;
struct YamlNode {
        YamlType type;
        unsigned line, column; /* from 1 */
        const char *key;       /* the key under which a mapping holds it; NULL in a sequence and at the top */
        unsigned key_line, key_column;
        const char *text;    /* SCALAR: its text, NUL-free */
        bool plain;          /* SCALAR: written without quotes; plain `~`, `null` and nothing at all are null */
        YamlNode **children; /* MAPPING and SEQUENCE, in their order */
        size_t n_children, allocated;
};

typedef struct YamlError {
        unsigned line, column; /* from 1; 0 when no place applies */
        char text[200];
} YamlError;

/* Parses *size* bytes. -EBADMSG with *ret_error* filled in; -ENOMEM. An empty document gives an empty mapping. At most
 * YAML_SIZE_MAX bytes of UTF-8, YAML_DEPTH_MAX levels and YAML_CHILDREN_MAX entries of one node. */
int yaml_parse(const char *text, size_t size, YamlNode **ret, YamlError *ret_error);

/* Not yaml_free(): libyaml exports that name, and would call ours. */
YamlNode *yaml_node_free(YamlNode *node);
static inline void yaml_freep(YamlNode **node) {
        (void) yaml_node_free(*node);
}

/* The child of that name, or NULL; NULL too when *mapping* is NULL or no mapping. */
const YamlNode *yaml_get(const YamlNode *mapping, const char *key);
/* As YamlNode.plain says; true for no node at all, too. */
bool yaml_is_null(const YamlNode *node);
