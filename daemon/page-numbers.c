/* SPDX-License-Identifier: Apache-2.0 */
#include "page-numbers.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/json.h"
#include "lib/text.h"

#define DEPTH_MAX 8     /* levels above a number; deeper values are skipped */
#define READER_DEPTH 90 /* levels of a document */
#define ELEMENTS_MAX 16 /* of an array: more would be a spectrum or a log, not a sensor */
#define LABELS_MAX 20
#define AHEAD_MSEC (5 * 60 * 1000)
#define VALUE_MAX 1e290 /* limits values so that any sum of them is finite */

typedef struct Scan {
        const SinkPast *message;
        const char *id_attribute;
        PageFound *found;
        JsonReader reader;
        char path[PAGE_NUMBERS_TEXT_SIZE];
        size_t size;                          /* length of the path */
        bool unusable;                        /* the path would be too long */
        int64_t requested, measured, created; /* ms since 1970; created: of the sensor that is read now */
        WireAttribute labels[LABELS_MAX];     /* sorted by name */
        size_t n_labels;
} Scan;

/* ---- members at the top level that are not values ---- */

static const char *const own_names[] = { "source", "id", "name", "type", "device", "_id", "pubsub", "stored_at",
        "temperature_offset", "humidity_offset", NULL };

static const WireAttribute *attribute_find(const SinkPast *message, const char *name) {
        for (size_t i = 0; i < message->n_attributes; i++)
                if (slice_equal(message->attributes[i].key, name))
                        return &message->attributes[i];
        return NULL;
}

/* A label is both a member and an attribute, with the same value. An attribute alone does not distinguish devices. */
static void scan_label(Scan *scan, const char *name, Slice value) {
        const WireAttribute *attribute = attribute_find(scan->message, name);
        size_t i = scan->n_labels;

        if (!attribute || scan->n_labels == LABELS_MAX || text_is_among(name, own_names) ||
                !slice_same(attribute->value, value))
                return;
        if (scan->id_attribute && strcmp(name, scan->id_attribute) == 0)
                return;
        if (!bytes_is_utf8(value.data, value.size))
                return;
        for (; i > 0 && slice_order(scan->labels[i - 1].key, attribute->key) > 0; i--)
                scan->labels[i] = scan->labels[i - 1];
        scan->labels[i] = *attribute;
        scan->n_labels++;
}

/* What is not UTF-8 (an attribute in BSON) is left out. */
static void scan_copy(char *to, Slice text) {
        bool sound = bytes_is_utf8(text.data, text.size);
        size_t size = sound ? text_cut(text.data, text.size, PAGE_NUMBERS_TEXT_SIZE - 1) : 0;

        memcpy(to, text.data, size);
        to[text_clean(to, size)] = '\0'; /* a control character of several bytes becomes one space */
}

/* Handles a text at the top level; its name is the path without its slash. */
static void scan_text(Scan *scan, Slice text) {
        const char *name = scan->path + 1;

        if (strcmp(name, "source") == 0)
                scan_copy(scan->found->source, text);
        else if (strcmp(name, "id") == 0)
                scan_copy(scan->found->device, text);
        else if (strcmp(name, "name") == 0)
                scan_copy(scan->found->name, text);
        else if (strcmp(name, "request_at") == 0)
                (void) clock_parse_rfc3339(text.data, text.size, &scan->requested);
        else if (strcmp(name, "measured_at") == 0)
                (void) clock_parse_rfc3339(text.data, text.size, &scan->measured);
        else
                scan_label(scan, name, text);
}

static int scan_string(Scan *scan) {
        _cleanup_free_ char *copy = NULL;
        Slice text = scan->reader.slice;

        if (scan->unusable)
                return 0;
        if (scan->reader.escaped) {
                copy = malloc(text.size + 1);
                if (!copy)
                        return -ENOMEM;
                if (json_unescape(text, copy, &text.size) < 0)
                        return 0;
                text.data = copy;
        }
        scan_text(scan, text);
        return 0;
}

/* ---- sensors of a Nature Remo ---- */

#define EVENTS "/newest_events/"

/* Handles a text at /newest_events/SENSOR/created_at. */
static void scan_created(Scan *scan) {
        const char *sensor = scan->path + strlen(EVENTS);
        Slice text = scan->reader.slice;

        if (!scan->unusable && strncmp(scan->path, EVENTS, strlen(EVENTS)) == 0 &&
                strcmp(sensor + strcspn(sensor, "/"), "/created_at") == 0)
                (void) clock_parse_rfc3339(text.data, text.size, &scan->created);
}

static int scan_inside(Scan *scan, int begin, unsigned depth);

/* `created_at` may come before or after the value, so it is applied at the end. */
static int scan_sensor(Scan *scan) {
        PageFound *found = scan->found;
        size_t first = found->n;
        int r;

        scan->created = 0;
        r = scan_inside(scan, JSON_OBJECT, 2);
        for (size_t i = first; i < found->n; i++)
                found->numbers[i].changed = scan->created;
        found->moved = scan->created > found->moved ? scan->created : found->moved;
        return r;
}

/* ---- numbers ---- */

static int scan_number(Scan *scan, unsigned depth) {
        PageFound *found = scan->found;
        Slice text = scan->reader.slice;
        char copy[64];
        double value;
        int r;

        if (depth == 1 && strcmp(scan->path, "/id") == 0 && !scan->unusable)
                scan_copy(found->device, text);
        if (!scan->unusable && depth == 1 && text_is_among(scan->path + 1, own_names))
                return 0;
        if (scan->unusable || text.size >= sizeof(copy) || found->n == PAGE_NUMBERS_MAX) {
                found->beyond++;
                return 0;
        }
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
        value = strtod(copy, NULL);
        if (fabs(value) > VALUE_MAX)
                return 0;
        found->numbers[found->n] = (PageNumber){ found->fields.size, value, 0 };
        r = bytes_append(&found->fields, scan->path, scan->size + 1);
        found->n += r >= 0;
        return r;
}

/* Doors, leaks and switches say nothing else: it is drawn as 1 or 0. */
static int scan_truth(Scan *scan, bool truth, unsigned depth) {
        if (depth == 1 && strcmp(scan->path, "/online") == 0) {
                scan->found->offline = scan->found->offline || !truth;
                return 0;
        }
        scan->reader.slice = slice_of(truth ? "1" : "0");
        return scan_number(scan, depth);
}

/* ---- the way down ---- */

/* Adds one reference token to the path (RFC 6901 section 3). */
static void path_add(Scan *scan, Slice token) {
        char part[2 * PAGE_NUMBERS_TEXT_SIZE] = "/";
        size_t size = 1;

        for (size_t i = 0; i < token.size && size + 2 < sizeof(part); i++) {
                const char c = token.data[i];

                part[size++] = c == '~' || c == '/' ? '~' : c;
                if (c == '~' || c == '/')
                        part[size++] = c == '~' ? '0' : '1';
        }
        if (scan->size + size >= sizeof(scan->path) || memchr(part, '\0', size)) {
                scan->unusable = true;
                return;
        }
        memcpy(scan->path + scan->size, part, size);
        scan->size += size;
        scan->path[scan->size] = '\0';
}

static void path_add_key(Scan *scan) {
        Slice key = scan->reader.slice;
        char name[PAGE_NUMBERS_TEXT_SIZE];

        if (key.size >= sizeof(name))
                scan->unusable = true;
        else if (!scan->reader.escaped)
                path_add(scan, key);
        else if (json_unescape(key, name, &key.size) < 0)
                scan->unusable = true;
        else
                path_add(scan, (Slice){ name, key.size });
}

static int scan_value(Scan *scan, int token, unsigned depth);

/* Skips a value that is too deep, or too far back in its array, and counts its numbers. */
static int scan_past(Scan *scan, int token) {
        size_t open = 0;

        for (; token >= 0; token = json_reader_next(&scan->reader)) {
                scan->found->beyond += token == JSON_NUMBER || token == JSON_TRUE || token == JSON_FALSE;
                open += token == JSON_OBJECT || token == JSON_ARRAY;
                open -= token == JSON_OBJECT_END || token == JSON_ARRAY_END;
                if (open == 0)
                        return 0;
        }
        return token;
}

/* Reads one member or element; restores the path afterwards. */
static int scan_below(Scan *scan, int token, unsigned depth, unsigned n) {
        size_t size = scan->size;
        bool unusable = scan->unusable;
        char index[16];
        int r;

        if (token == JSON_KEY) {
                path_add_key(scan);
                token = json_reader_next(&scan->reader);
        } else {
                (void) snprintf(index, sizeof(index), "%u", n);
                path_add(scan, slice_of(index));
        }
        r = token < 0 ? token : scan_value(scan, token, depth + 1);
        scan->size = size;
        scan->path[size] = '\0';
        scan->unusable = unusable;
        return r;
}

static int scan_inside(Scan *scan, int begin, unsigned depth) {
        int end = begin == JSON_OBJECT ? JSON_OBJECT_END : JSON_ARRAY_END, token, r = 0;
        unsigned n = 0;

        while (r >= 0 && (token = json_reader_next(&scan->reader)) != end) {
                if (token < 0)
                        return token;
                if (begin == JSON_ARRAY && n >= ELEMENTS_MAX)
                        r = scan_past(scan, token);
                else
                        r = scan_below(scan, token, depth, n);
                n++;
        }
        return r;
}

static int scan_value(Scan *scan, int token, unsigned depth) {
        switch (token) {
        case JSON_OBJECT:
        case JSON_ARRAY:
                if (depth == 1 && text_is_among(scan->path + 1, own_names))
                        return json_reader_skip(&scan->reader, NULL);
                if (depth >= DEPTH_MAX)
                        return scan_past(scan, token);
                return depth == 2 && token == JSON_OBJECT ? scan_sensor(scan) : scan_inside(scan, token, depth);
        case JSON_NUMBER:
                return scan_number(scan, depth);
        case JSON_STRING:
                if (depth == 3)
                        scan_created(scan);
                return depth == 1 ? scan_string(scan) : 0;
        case JSON_TRUE:
        case JSON_FALSE:
                return scan_truth(scan, token == JSON_TRUE, depth);
        default:
                return 0;
        }
}

/* ---- the whole ---- */

static void fall_back(Scan *scan) {
        const WireAttribute *source = attribute_find(scan->message, "source");
        const WireAttribute *device = attribute_find(scan->message, "device");
        PageFound *found = scan->found;
        int64_t published = scan->message->published;

        if (found->source[0] == '\0' && source)
                scan_copy(found->source, source->value);
        if (found->device[0] == '\0' && device)
                scan_copy(found->device, device->value);
        found->time = scan->requested > 0 ? scan->requested : scan->measured;
        if (published > 0 && (found->time <= 0 || found->time > published + AHEAD_MSEC))
                found->time = published;
}

int page_numbers_find(const SinkPast *message, const char *id_attribute, PageFound *found) {
        Scan scan = { .message = message, .id_attribute = id_attribute, .found = found };
        int token, r;

        found->source[0] = found->device[0] = found->name[0] = '\0';
        bytes_cut(&found->labels, 0);
        bytes_cut(&found->fields, 0);
        found->n = found->beyond = 0;
        found->moved = 0;
        found->offline = false;
        json_reader_init(&scan.reader, message->text.data, message->text.size, READER_DEPTH);
        token = json_reader_next(&scan.reader);
        if (token != JSON_OBJECT)
                return PAGE_NUMBERS_NONE;
        r = scan_inside(&scan, token, 0);
        if (r == -ENOMEM)
                return r;
        fall_back(&scan);
        if (r < 0 || found->n == 0 || found->time <= 0)
                return PAGE_NUMBERS_NONE;
        return wire_put_attributes(&found->labels, scan.labels, scan.n_labels);
}

void page_numbers_done(PageFound *found) {
        bytes_done(&found->fields);
        bytes_done(&found->labels);
}
