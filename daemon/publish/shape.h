/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From what a remote says to readings: the section `reading:` of a source. A document is JSON text, or a bare text
 * (`ON`); an item is one object or bare value of it, and becomes one reading. Pure: time and randomness come in as
 * arguments.
 *
 * The payload of a reading is the item, or its `fields`, and behind it the labels, `source`, `id`, `name`, `request_at`
 * and `measured_at`. Members of the item that have one of these names and another value keep it under the name with `_`
 * behind. Numbers and everything nested stay as they were written. */

#include "lib/clock.h"
#include "match.h"
#include "publish/reading.h"
#include "publish/shape-text.h"

#define SHAPE_ITEMS_MAX 10000 /* of a document; the rest is left out, and that is noted */

/* When the same payload is the same reading. */
typedef enum ShapeOnce {
        SHAPE_ARRIVAL,
        SHAPE_MEASUREMENT,
} ShapeOnce;

/* The keys of `reading:`. Text that begins with `/` is a pointer into the item, "*" what the last `*` of `items` stood
 * for, other text is itself. A pointer with `*` is one into the document, and runs along with that of `items`. */
typedef struct ShapeConfig {
        char **items; /* pointers, NULL at the end; NULL: the whole. A list that a pointer leads to gives its elements
                       */
        ConfigMap where;
        char *id, *name;  /* NULL: see ShapeOrigin */
        ConfigMap names;  /* id -> name */
        char *time;       /* pointer; NULL: none */
        int time_format;  /* ShapeTime */
        int once_per;     /* ShapeOnce */
        ConfigMap fields; /* name -> pointer; none: the item as it is */
        char **numbers;   /* names whose text becomes a number; NULL: none */
        char *thousands;  /* the character between groups of three digits; NULL: none */
        char **missing;   /* texts that count as no value; NULL: those in shape.c */
} ShapeConfig;

/* Its rows, for a type's section: { "reading", &config_type_section, ..., .flags = CONFIG_IMPLIED, ... }. */
extern const ConfigSection shape_section;

/* Where a document came from. Borrowed. */
typedef struct ShapeOrigin {
        const char *source, *type;
        const char *topic;     /* for what is kept unread; NULL: none */
        const char *id, *name; /* as the topic says; NULL: none. Of id the source's name is the last resort */
        const char *field;     /* the name of a bare value; NULL: "value" */
        const Bytes *labels;   /* see reading_labels_add(); NULL: none */
        usec_t arrived;        /* clock_wall(): of the poll or arrival */
        bool history; /* what it gives is of before: a point whose time cannot be read is named, too (Reading.seen) */
        uint64_t (*random)(void);
        /* Something is not as it should be, and goes on; *kind* is one of a few constant texts. To be said once for
         * each kind and device. NULL: nobody listens. */
        void (*note)(void *userdata, const char *kind, const char *device, const char *text);
        void *userdata;
} ShapeOrigin;

typedef struct ShapeOutcome {
        size_t readings;
        size_t passed_over; /* `where` did not match, or no value was in it */
        size_t unreadable;  /* kept raw in the list */
        char reason[200];   /* of the first unreadable one */
} ShapeOutcome;

/* Appends a reading for each item of the document to *list*, and what cannot become one to its unreadable ones. An item
 * never harms its neighbours (P6). 0, or -ENOMEM with some of them in the list: drop it. */
int shape_read(
        const ShapeConfig *config, const ShapeOrigin *origin, Slice document, ReadingList *list, ShapeOutcome *ret);

/* How many items shape_read() finds; one more than SHAPE_ITEMS_MAX where it leaves some out. */
size_t shape_count(const ShapeConfig *config, Slice document);

/* As shape_read(), for what was kept unread, which is a whole document or one item of it: where `items` leads to
 * nothing in it, it is taken for an item. */
int shape_reread(const ShapeConfig *config, const ShapeOrigin *origin, Slice raw, ReadingList *list, ShapeOutcome *ret);

/* Appends the labels of a source's section as readings have them, in the order of their names: the file's order must
 * not change a reading's hash. Each name has one value. 0, or -ENOMEM. */
int shape_labels(const ConfigMap *map, Bytes *ret);
