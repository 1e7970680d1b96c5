/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "array.h"
#include "err.h"

typedef struct Reader {
        yaml_parser_t parser;
        yaml_event_t event;
        YamlError *error;
        const char *text;
        size_t size;
} Reader;

static int fail(Reader *r, yaml_mark_t mark, const char *text) {
        r->error->line = (unsigned) mark.line + 1;
        r->error->column = (unsigned) mark.column + 1;
        (void) snprintf(r->error->text, sizeof(r->error->text), "%s", text);
        return -EBADMSG;
}

/* For bytes that are not text, libyaml gives only an offset: this finds line and column. */
static yaml_mark_t mark_of_offset(const Reader *r, size_t offset) {
        yaml_mark_t mark = {};

        for (size_t i = 0; i < offset && i < r->size; i++)
                if (r->text[i] == '\n') {
                        mark.line++;
                        mark.column = 0;
                } else if (((unsigned char) r->text[i] & 0xc0) != 0x80)
                        mark.column++;
        return mark;
}

/* Common mistakes that libyaml explains only in terms of its parser. */
static const struct {
        const char *problem, *words;
} slips[] = {
        { "mapping values are not allowed in this context",
                "a second `: ` in one line, or lines that are not indented alike; quote a value that holds `: `" },
        { "did not find expected ',' or '}'",
                "a comma or } is missing before this, or a text that holds { } [ ] or a comma is not in quotes" },
        { "did not find expected ',' or ']'",
                "a comma or ] is missing before this, or a text that holds { } [ ] or a comma is not in quotes" },
        { "did not find expected node content",
                "a value is missing here, or begins with a character that wants it in quotes" },
        { "did not find expected key", "this line is indented in another way than those that it belongs to, or has "
                                       "more behind the quote, ] or } "
                                       "that ends a value" },
        { "did not find expected '-' indicator",
                "by its indentation this line belongs to the list above it, but it does not begin with `- `; if it "
                "belongs to an entry, indent it like the entry's other keys" },
        { "found character that cannot start any token", "what begins with this character must be in quotes" },
};

/* Replaces libyaml's message or place where it would lead the reader to the wrong line, or say nothing useful. */
static int fail_in_words(Reader *r, const char *problem) {
        const yaml_parser_t *p = &r->parser;

        if (p->context && strcmp(p->context, "while scanning a quoted scalar") == 0 && strstr(problem, "unexpected"))
                return fail(r, p->context_mark, "the quote that opens here is never closed");
        if (strcmp(problem, "could not find expected ':'") == 0)
                return fail(r, p->context_mark, "there is no colon: write \"KEY: VALUE\"");
        for (size_t i = 0; i < ELEMENTSOF(slips); i++)
                if (strcmp(problem, slips[i].problem) == 0)
                        return fail(r, p->problem_mark, slips[i].words);
        return fail(r, p->problem_mark, problem);
}

static int parser_failed(Reader *r) {
        const yaml_parser_t *p = &r->parser;

        switch (p->error) {
        case YAML_MEMORY_ERROR:
                return -ENOMEM;
        case YAML_READER_ERROR:
                return fail(r, mark_of_offset(r, p->problem_offset), p->problem);
        default:
                return fail_in_words(r, p->problem ? p->problem : "not YAML");
        }
}

/* Reads the next event into r->event; the old one is freed. */
static int next_event(Reader *r) {
        yaml_event_delete(&r->event);
        return yaml_parser_parse(&r->parser, &r->event) ? 0 : parser_failed(r);
}

static YamlNode *node_new(YamlType type, yaml_mark_t mark) {
        YamlNode *node = calloc(1, sizeof(*node));

        if (!node)
                return NULL;
        node->type = type;
        node->line = (unsigned) mark.line + 1;
        node->column = (unsigned) mark.column + 1;
        return node;
}

/* Makes the node that r->event starts, without its children. */
static int start_node(Reader *r, YamlNode **ret) {
        const yaml_event_t *event = &r->event;
        _cleanup_(yaml_node_freep) YamlNode *node = NULL;

        if (event->type == YAML_ALIAS_EVENT)
                return fail(r, event->start_mark, "aliases are not supported");
        if (event->data.scalar.anchor) /* mappings and sequences begin with the same two members */
                return fail(r, event->start_mark, "anchors are not supported");
        if (event->data.scalar.tag)
                return fail(r, event->start_mark, "tags are not supported");
        node = node_new(event->type == YAML_SCALAR_EVENT          ? YAML_SCALAR
                        : event->type == YAML_MAPPING_START_EVENT ? YAML_MAPPING
                                                                  : YAML_SEQUENCE,
                event->start_mark);
        if (!node)
                return -ENOMEM;
        if (node->type == YAML_SCALAR) {
                if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
                        return fail(r, event->start_mark, "text with a NUL");
                node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
                node->text = strndup((const char *) event->data.scalar.value, event->data.scalar.length);
                if (!node->text)
                        return -ENOMEM;
        }
        *ret = cleanup_steal(node);
        return 0;
}

/* Reads the key that r->event starts, a scalar node, and goes on to its value. */
static int read_key(Reader *r, const YamlNode *mapping, YamlNode **ret) {
        char text[sizeof(r->error->text)];
        const YamlNode *other;
        int k;

        if (r->event.type == YAML_MAPPING_START_EVENT || r->event.type == YAML_SEQUENCE_START_EVENT)
                return fail(r, r->event.start_mark, "a key must be plain text");
        k = start_node(r, ret);
        if (k < 0)
                return k;
        other = yaml_get(mapping, (*ret)->text);
        if (!other)
                return next_event(r);
        (void) snprintf(text, sizeof(text), "duplicate key \"%.100s\", first on line %u", other->key, other->key_line);
        return fail(r, r->event.start_mark, text);
}

/* Adds *child* as the last one, under *key* (NULL: to a sequence). Takes the child, and the key's text. */
static int add_child(YamlNode *node, YamlNode *key, YamlNode **child) {
        int r = array_reserve(&node->children, &node->allocated, node->n_children + 1, sizeof(YamlNode *));

        if (r < 0)
                return r;
        if (key) {
                (*child)->key = key->text;
                (*child)->key_line = key->line;
                (*child)->key_column = key->column;
                key->text = NULL;
        }
        node->children[node->n_children++] = cleanup_steal(*child);
        return 0;
}

/* Reads the node that r->event starts. */
static int read_node(Reader *r, unsigned depth, YamlNode **ret) {
        _cleanup_(yaml_node_freep) YamlNode *node = NULL;
        int k = start_node(r, &node);

        if (k == 0 && node->type != YAML_SCALAR && depth >= YAML_DEPTH_MAX)
                return fail(r, r->event.start_mark, "nested too deep");
        while (k == 0 && node->type != YAML_SCALAR) {
                _cleanup_(yaml_node_freep) YamlNode *key = NULL, *child = NULL;

                k = next_event(r);
                if (r->event.type == YAML_MAPPING_END_EVENT || r->event.type == YAML_SEQUENCE_END_EVENT)
                        break;
                if (k == 0 && node->type == YAML_MAPPING)
                        k = read_key(r, node, &key);
                if (k == 0 && node->n_children >= YAML_CHILDREN_MAX)
                        k = fail(r, r->event.start_mark, "too many entries");
                if (k == 0)
                        k = read_node(r, depth + 1, &child);
                if (k == 0)
                        k = add_child(node, key, &child);
        }
        if (k == 0)
                *ret = cleanup_steal(node);
        return k;
}

/* Reads the stream. An empty document, or one with only `---`, is an empty mapping. */
static int read_stream(Reader *r, YamlNode **ret) {
        _cleanup_(yaml_node_freep) YamlNode *node = NULL;
        int k = next_event(r); /* the start of the stream */

        if (k == 0)
                k = next_event(r);
        if (k == 0 && r->event.type == YAML_DOCUMENT_START_EVENT) {
                k = next_event(r);
                if (k == 0)
                        k = read_node(r, 0, &node);
                if (k == 0)
                        k = next_event(r); /* the end of the document */
                if (k == 0)
                        k = next_event(r);
                if (k == 0 && r->event.type != YAML_STREAM_END_EVENT)
                        k = fail(r, r->event.start_mark, "more than one document");
        }
        if (k < 0)
                return k;
        if (!node || (node->type == YAML_SCALAR && node->plain && node->text[0] == '\0')) {
                (void) yaml_node_free(node);
                node = node_new(YAML_MAPPING, (yaml_mark_t){});
                if (!node)
                        return -ENOMEM;
        }
        *ret = cleanup_steal(node);
        return 0;
}

int yaml_parse(const char *text, size_t size, YamlNode **ret, YamlError *ret_error) {
        YamlError error = {};
        Reader r = { .error = &error, .text = text, .size = size };
        int k;

        if (size > YAML_SIZE_MAX) {
                *ret_error = (YamlError){ .text = "the file is larger than 1 MiB" };
                return -EBADMSG;
        }
        if (!yaml_parser_initialize(&r.parser))
                return -ENOMEM;

        yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING); /* otherwise two bytes at the start may mean UTF-16 */
        yaml_parser_set_input_string(&r.parser, (const unsigned char *) (size > 0 ? text : ""), size);
        k = read_stream(&r, ret);
        yaml_event_delete(&r.event);
        yaml_parser_delete(&r.parser);
        if (k == -EBADMSG)
                *ret_error = error;
        return k;
}

YamlNode *yaml_node_free(YamlNode *node) {
        if (!node)
                return NULL;

        for (size_t i = 0; i < node->n_children; i++)
                (void) yaml_node_free(node->children[i]);
        free(node->children);
        free((char *) node->text);
        free((char *) node->key);
        free(node);
        return NULL;
}

const YamlNode *yaml_get(const YamlNode *mapping, const char *key) {
        if (!mapping || mapping->type != YAML_MAPPING)
                return NULL;
        for (size_t i = 0; i < mapping->n_children; i++)
                if (strcmp(mapping->children[i]->key, key) == 0)
                        return mapping->children[i];
        return NULL;
}

bool yaml_is_null(const YamlNode *node) {
        if (!node)
                return true;
        return node->type == YAML_SCALAR && node->plain &&
               (node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}
