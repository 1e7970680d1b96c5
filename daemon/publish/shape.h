/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Makes readings from a remote's text: the section `reading:` of a source. A document is JSON text or a bare text
 * (`ON`); an item is one object or bare value in it, and becomes one reading. Pure: time and randomness are arguments.
 *
 * The payload of a reading is the item, or its `fields`, followed by the labels, `source`, `id`, `name`, `request_at`
 * and `measured_at`. If a member of the item has one of these names and another value, it gets the name with `_`
 * appended. Numbers and nested values stay as they were written. shape-said.c logs what was odd. */

#include "lib/clock.h"
#include "match.h"
#include "publish/reading.h"

#define SHAPE_ITEMS_MAX 10000 /* of one document; more are left out, which is noted */

typedef enum ShapeTime {
        SHAPE_RFC3339,
        SHAPE_UNIX,
        SHAPE_UNIX_MS,
        SHAPE_LOCAL, /* without an offset: in the machine's zone */
} ShapeTime;

/* What makes two readings the same. */
typedef enum ShapeOnce {
        SHAPE_ARRIVAL,
        SHAPE_MEASUREMENT,
} ShapeOnce;

/* The keys of `reading:`. A text that begins with `/` is a pointer into the item; "*" is what the last `*` of `items`
 * stood for; any other text is the value itself. A pointer with `*` points into the document, and its `*` follow those
 * of `items`. */
typedef struct ShapeConfig {
        char **items; /* pointers, NULL at the end; NULL: the whole. A list that a pointer finds is replaced by its
                         elements */
        ConfigMap where;
        char *id, *name;  /* NULL: see ShapeOrigin */
        ConfigMap names;  /* id -> name */
        char *time;       /* pointer; NULL: none */
        int time_format;  /* ShapeTime */
        int once_per;     /* ShapeOnce */
        ConfigMap fields; /* name -> pointer; empty: the item as it is */
        char **numbers;   /* names whose text becomes a number; "*": every text that is one; NULL: none */
        char *thousands;  /* the character between groups of three digits; NULL: none */
        char **missing;   /* texts that count as no value; NULL: those in shape.c */
} ShapeConfig;

/* The rows of these keys, for a type's section: { "reading", &config_type_section, ..., .flags = CONFIG_IMPLIED, ...
 * }. */
extern const ConfigSection shape_section;
/* Returns these keys of a type's *keys*, whose rows *section* has; NULL: it has no such row, because it makes readings
 * by itself, and keeps no raw input. */
const ShapeConfig *shape_of(const ConfigSection *section, const void *keys);

/* Where a document came from. Borrowed. */
typedef struct ShapeOrigin {
        const char *source, *type;
        Slice topic;    /* stored with input that cannot be read; empty: none */
        Slice id, name; /* from the topic; empty: none. If there is no id, the source's name is used */
        Slice field;    /* the name of a bare value, from the topic; empty: "value" */
        Slice labels;   /* see reading_labels_add() */
        usec_t arrived; /* clock_wall() of the poll or arrival */
        bool history; /* the document is a history: a point whose time cannot be read also gets a name (Reading.seen) */
        uint64_t (*random)(void);
        /* Called when something is wrong but the work continues; *kind* is one of a few constant texts. Meant to be
         * logged once for each kind and device. NULL: not needed. */
        void (*note)(void *userdata, const char *kind, const char *device, const char *text);
        void *userdata;
} ShapeOrigin;

/* Fills *list*, which is empty, with a reading for each item of the document. An item that cannot become one is added
 * as unreadable; one that `where` excludes, or that has no value, is counted as left out, and so is a document in which
 * `items` leads to nothing. An item never affects others (P6). 0, or -ENOMEM with a part of them in the list: drop the
 * list. */
int shape_read(const ShapeConfig *config, const ShapeOrigin *origin, Slice document, ReadingList *list);

/* Returns how many items shape_read() finds in one JSON value; SHAPE_ITEMS_MAX + 1 if it leaves some out. */
size_t shape_count(const ShapeConfig *config, Slice json);

/* Like shape_read(), for raw input that was kept, which is a whole document or one item: it counts as an item if
 * `items` leads to nothing in it. */
int shape_reread(const ShapeConfig *config, const ShapeOrigin *origin, Slice raw, ReadingList *list);

/* Appends the labels of a source's section in the form that readings have. They are sorted by name, because the order
 * in the file must not change a reading's hash. Each name has one value. 0, or -ENOMEM. */
int shape_labels(const ConfigMap *map, Bytes *ret);

/* ---- texts as programs and devices write them: shape-text.c ---- */

#define SHAPE_DEPTH_MAX 80  /* a stored document must not be nested deeper than 90 */
#define SHAPE_BARE_MAX 1024 /* bytes of a text that is not JSON */

/* Makes one strict JSON value of *text*. JSON is kept as it is. A byte order mark before it and NUL bytes after it are
 * removed (programs in C often send strlen + 1); NaN and Infinity, which JSON does not have, become null. With *bare*,
 * any other text that does not begin like a part of JSON becomes a JSON string (`ON`). *ret* points into *text* or
 * *made*. 0; 1 with *why* when this is not possible; -ENOMEM. */
int shape_text_read(Slice text, bool bare, Bytes *made, Slice *ret, char why[static 100]);

/* True when each text in *json*, one JSON value, has a UTF-8 form. A lone surrogate has none, and no sink could store
 * it. 1, 0, or -ENOMEM. */
int shape_text_has_form(Slice json);

/* Writes the number in *text* as JSON: `25`, `+07.5`, `1,765,372` if *thousands* is ",". 1; 0 when it is not a number;
 * -ENOMEM. */
int shape_number(const char *text, const char *thousands, Bytes *ret);

/* Reads the time in *text* in *format*; *ret_msec* is in milliseconds since the epoch. 1; 0 when it is not such a time,
 * and for 1970, which a clock shows that was never set, and years above 9999; -ENOMEM. */
int shape_time(const char *text, ShapeTime format, int64_t *ret_msec);

/* ---- shape-said.c ---- */

#define SHAPE_UNREADABLE_MIN 3 /* so many from the start, and nothing else: the settings are wrong */

/* Logs what is odd about a source's readings, and input that cannot become a reading, once for each kind and device. */

/* Zeros except *source*, its name, which is borrowed, and *dropped*, the number that shape_said_dropped() does not
 * report again. */
typedef struct ShapeSaid {
        const char *source;
        uint64_t *hashes; /* hashes of kind and device */
        size_t n, allocated;
        bool nothing_readable, gone; /* logged: that nothing is readable; that some were deleted */
        uint64_t unreadable;         /* since the start */
        uint64_t left_out;           /* likewise: what became no reading, as `reading` wants it */
        uint64_t dropped;
} ShapeSaid;

void shape_said_done(ShapeSaid *said);

/* For ShapeOrigin.note; *said* is a ShapeSaid. */
void shape_said_note(void *said, const char *kind, const char *device, const char *text);

/* Counts and logs the unreadable inputs of the list, which the outbox keeps; counts what was left out. *first*: no
 * reading has come so far, this list included. */
void shape_said_unreadable(ShapeSaid *said, const ReadingList *list, bool first);

/* Logs when *dropped*, the number of unreadable inputs that were deleted, has increased. */
void shape_said_dropped(ShapeSaid *said, uint64_t dropped);
