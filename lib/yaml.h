/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads a YAML document into a tree of nodes that know their line and column; only this module uses libyaml. It accepts
 * only what a configuration needs: mappings, sequences, scalars. One document in a file; anchors, aliases, tags and
 * duplicate or non-scalar keys are errors. */

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

#define YAML_SIZE_MAX (1024 * 1024)
#define YAML_DEPTH_MAX 32
#define YAML_CHILDREN_MAX 4096 /* a limit, because every new key of a mapping is compared with all others */

typedef enum YamlType { YAML_SCALAR, YAML_MAPPING, YAML_SEQUENCE } YamlType;

typedef struct YamlNode YamlNode;
struct YamlNode {
        YamlType type;
        unsigned line, column; /* from 1 */
        const char *key;       /* the key under which a mapping holds it; NULL in a sequence and at the top */
        unsigned key_line, key_column;
        const char *text;    /* SCALAR: its text, without NUL */
        bool plain;          /* SCALAR: written without quotes; a plain `~`, `null` or empty text is null */
        YamlNode **children; /* MAPPING and SEQUENCE, in their order */
        size_t n_children, allocated;
};

typedef struct YamlError {
        unsigned line, column; /* from 1; 0 when no place is known */
        char text[200];
} YamlError;

/* Parses *size* bytes. -EBADMSG fills in *ret_error*; -ENOMEM. An empty document gives an empty mapping. At most
 * YAML_SIZE_MAX bytes of UTF-8, YAML_DEPTH_MAX levels, and YAML_CHILDREN_MAX entries in a node. */
int yaml_parse(const char *text, size_t size, YamlNode **ret, YamlError *ret_error);

/* Not named yaml_free(): libyaml exports that name and would call ours. */
YamlNode *yaml_node_free(YamlNode *node);
CLEANUP_DEFINE(YamlNode, yaml_node_free)

/* Returns the child of that name; NULL when there is none, or *mapping* is NULL or not a mapping. */
const YamlNode *yaml_get(const YamlNode *mapping, const char *key);
/* True when *node* is NULL or null as YamlNode.plain describes. */
bool yaml_is_null(const YamlNode *node);
