/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration parser: every tree is within its limits and names real places, and every refusal says something. */

#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "lib/yaml.h"

#define CHECK(condition)                                                                                               \
        do                                                                                                             \
                if (!(condition))                                                                                      \
                        __builtin_trap();                                                                              \
        while (0)

static void check_node(const YamlNode *node, unsigned depth, size_t size) {
        CHECK(depth <= YAML_DEPTH_MAX && node->n_children <= YAML_CHILDREN_MAX);
        CHECK(node->line >= 1 && node->line <= size + 1 && node->column >= 1 && node->column <= size + 1);
        CHECK((node->text != NULL) == (node->type == YAML_SCALAR));
        CHECK(node->n_children == 0 || node->type != YAML_SCALAR);
        CHECK(!yaml_is_null(node) || (node->type == YAML_SCALAR && node->plain));

        for (size_t i = 0; i < node->n_children; i++) {
                const YamlNode *child = node->children[i];

                CHECK((child->key != NULL) == (node->type == YAML_MAPPING));
                CHECK(child->line > node->line || (child->line == node->line && child->column >= node->column));
                if (child->key)
                        CHECK(child->key_line >= 1 && child->key_line <= child->line &&
                                yaml_get(node, child->key) == child);
                check_node(child, depth + 1, size);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        YamlError error = {};
        YamlNode *node = NULL;
        int r = yaml_parse((const char *) data, size, &node, &error);

        if (r == 0) {
                CHECK(node && !node->key);
                check_node(node, 0, size);
        } else
                CHECK(r == -EBADMSG && !node && error.text[0] != '\0' && memchr(error.text, '\0', sizeof(error.text)));
        (void) yaml_node_free(node);
        return 0;
}
