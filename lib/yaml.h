/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A YAML document as a tree of nodes that know where they stand (libyaml's parser underneath, behind this door only). Only what a
 * configuration needs: mappings, sequences, scalars. One document a file; anchors, aliases, tags and duplicate or non-scalar keys are
 * errors. */

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"

#define YAML_SIZE_MAX (1024 * 1024)
#define YAML_DEPTH_MAX 32

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
        size_t n_children;
};

typedef struct YamlError {
        unsigned line, column; /* from 1; 0 when no place applies */
        char text[200];
} YamlError;

/* Parses *size* bytes. -EBADMSG with *ret_error* filled in; -ENOMEM. An empty document gives an empty mapping. */
int yaml_parse(const char *text, size_t size, YamlNode **ret, YamlError *ret_error);
YamlNode *yaml_free(YamlNode *node);
CLEANUP_DEFINE(YamlNode, yaml_free)

/* The child of that name, or NULL. */
const YamlNode *yaml_get(const YamlNode *mapping, const char *key);
bool yaml_is_null(const YamlNode *node);
