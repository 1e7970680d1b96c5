/* SPDX-License-Identifier: Apache-2.0 */
/* How a document is read: shape-text.c makes strict JSON of it. The pointers of `items` find the items, one after the
 * other. Each item is tested with `where`, gets its id, name and time, and its members are written. A pointer with `*`
 * is a column: its values are found once for the whole document. */
#include "publish/shape.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/json.h"
#include "lib/pointer.h"
#include "lib/text.h"

#define TEXT_OF_(number) #number
#define TEXT_OF(number) TEXT_OF_(number)

#define COLUMNS_MAX 100     /* pointers with `*` in one configuration */
#define UNREADABLE_MAX 1000 /* kept from one document: the outbox keeps as many for a source */
#define UNTIMED_MAX (READING_ID_MAX + 20)

/* The values that a pointer with `*` found in the document, sorted by what its `*` stood for: another order than that
 * of the items must not cost more, because a remote chooses it. */
typedef struct Column {
        const char *pointer;
        unsigned n_stars;
        PointerMatch *matches;
        size_t n, allocated;
} Column;

typedef struct Shape {
        const ShapeConfig *config;
        const ShapeOrigin *origin;
        Slice document;
        ReadingList *list; /* NULL: items are only counted */
        Column columns[COLUMNS_MAX];
        size_t n_columns;
        size_t n_items;
        bool found; /* the pointers of `items` led to something, perhaps to an empty list */
        int error;  /* the first; after it nothing is added to the list, and the rest does not matter */
} Shape;

/* An item that is becoming a reading. */
typedef struct Item {
        const PointerMatch *match;
        Slice object; /* the item; for a bare value, an object made of it */
        Bytes bare;   /* the text of that object */
        Bytes id, name, text;
        Bytes odd_time; /* the text of a time that cannot be read */
        bool has_name, has_time;
        char request_at[CLOCK_RFC3339_SIZE], measured_at[CLOCK_RFC3339_SIZE];
        Bytes payload;
        size_t n_members;
} Item;

static void item_done(Item *item) {
        bytes_done(&item->bare);
        bytes_done(&item->id);
        bytes_done(&item->name);
        bytes_done(&item->text);
        bytes_done(&item->odd_time);
        bytes_done(&item->payload);
}

/* Notes *r* when it is an error. Returns true when it is a positive outcome. */
static bool shape_got(Shape *s, int r) {
        if (r < 0 && s->error == 0)
                s->error = r;
        return r > 0;
}

/* Notes something odd: "has no number in state (warm); it is left out". *what* and *instead* are constant texts;
 * *place* and the value may be cut. */
static void shape_note(const Shape *s, const Item *item, const char *what, const char *place, const char *instead) {
        char text[300], where[60], value[40];

        if (!s->origin->note || s->error < 0)
                return;
        text_copy(where, sizeof(where), place);
        text_copy(value, sizeof(value), item->text.size > 0 ? item->text.data : "nothing");
        (void) snprintf(text, sizeof(text), "has no %s in %s (%s); %s", what, where, value, instead);
        s->origin->note(s->origin->userdata, what, item->id.data, text);
}

/* ---- input that cannot be read ---- */

static void shape_keep_unread(Shape *s, Slice raw, const char *reason) {
        _cleanup_bytes_ Bytes payload = {};

        if (s->list->n_unreadable == UNREADABLE_MAX) {
                s->list->n_dropped++;
                return;
        }
        shape_got(s, bytes_append(&payload, raw.data, raw.size));
        if (s->error == 0)
                shape_got(
                        s, reading_list_add_unreadable(s->list, s->origin->source, s->origin->topic, reason, &payload));
}

/* ---- pointers ---- */

static int column_add(void *userdata, const PointerMatch *match) {
        Column *column = userdata;
        int r;

        if (column->n == SHAPE_ITEMS_MAX)
                return 1;
        r = array_reserve(&column->matches, &column->allocated, column->n + 1, sizeof(PointerMatch));
        if (r < 0)
                return r;
        column->matches[column->n++] = *match;
        return 0;
}

/* Compares the first *n* of what `*` stood for. */
static int stars_compare(const PointerMatch *a, const PointerMatch *b, unsigned n) {
        int r = 0;

        for (unsigned i = 0; r == 0 && i < n; i++)
                r = pointer_star_compare(&a->stars[i], &b->stars[i]);
        return r;
}

/* For qsort(3). Of two equal keys the first one counts. */
static int match_compare(const void *left, const void *right) {
        const PointerMatch *a = left, *b = right;
        int r = stars_compare(a, b, a->n_stars);

        return r != 0 ? r : (a->value.data > b->value.data) - (a->value.data < b->value.data);
}

/* Returns the column of a pointer with `*`, which is filled at the first call; NULL: there are too many. */
static const Column *shape_column(Shape *s, const char *pointer) {
        Column *column;
        int r;

        for (size_t i = 0; i < s->n_columns; i++)
                if (strcmp(s->columns[i].pointer, pointer) == 0)
                        return &s->columns[i];
        if (s->n_columns == COLUMNS_MAX)
                return NULL;
        column = &s->columns[s->n_columns];
        *column = (Column){ .pointer = pointer, .n_stars = pointer_count_stars(pointer) };
        s->n_columns++;
        r = pointer_each(s->document, pointer, column_add, column);
        shape_got(s, r == -ENOMEM ? r : 0);
        if (r < 0)
                return NULL;
        if (column->n > 0)
                qsort(column->matches, column->n, sizeof(PointerMatch), match_compare);
        return column;
}

/* Finds the column's value for this item. */
static bool column_find(const Column *column, const PointerMatch *match, Slice *ret) {
        size_t low = 0, high = column->n;

        if (match->n_stars < column->n_stars)
                return false;
        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (stars_compare(&column->matches[middle], match, column->n_stars) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == column->n || stars_compare(&column->matches[low], match, column->n_stars) != 0)
                return false;
        *ret = column->matches[low].value;
        return true;
}

/* Finds the value of a configured pointer for this item. */
static bool item_find(Shape *s, const Item *item, const char *pointer, Slice *ret) {
        const Column *column;

        if (pointer_count_stars(pointer) == 0)
                return pointer_find(item->object, pointer, ret);
        column = shape_column(s, pointer);
        return column && column_find(column, item->match, ret);
}

/* ---- id, name, time ---- */

/* Like item_word(), for "*": the key or index that the last `*` stood for. */
static bool item_star(Shape *s, const Item *item, Bytes *text) {
        const PointerStar *star;

        if (item->match->n_stars == 0)
                return false;
        star = &item->match->stars[item->match->n_stars - 1];
        if (star->key.data) /* including its quotes */
                return shape_got(s, match_text((Slice){ star->key.data - 1, star->key.size + 2 }, text));
        shape_got(s, bytes_append_format(text, "%zu", star->index));
        return true;
}

/* Reads what `id` or `name` says: a pointer, "*", or a text. null counts as no value, as in a member. */
static bool item_word(Shape *s, const Item *item, const char *word, Bytes *text) {
        Slice value;

        bytes_cut(text, 0);
        if (strcmp(word, "*") == 0)
                return item_star(s, item, text);
        if (word[0] == '/')
                return item_find(s, item, word, &value) && !slice_equal(value, "null") &&
                       shape_got(s, match_text(value, text));
        shape_got(s, bytes_append_text(text, word));
        return true;
}

/* Finds the id. Returns the reason if there is none. */
static const char *item_take_id(Shape *s, Item *item) {
        const ShapeConfig *config = s->config;
        Slice topic = s->origin->id;

        if (config->id && item_word(s, item, config->id, &item->id) && reading_id_is_good(item->id.data, item->id.size))
                return NULL;
        if (config->id && topic.size == 0)
                return "there is no usable id where `id` points";
        bytes_cut(&item->id, 0);
        shape_got(s, topic.size > 0 ? bytes_append(&item->id, topic.data, topic.size)
                                    : bytes_append_text(&item->id, s->origin->source));
        return reading_id_is_good(item->id.data, item->id.size)
                       ? NULL
                       : "its id is empty, too long, or holds a control character";
}

static void item_take_name(Shape *s, Item *item) {
        const ShapeConfig *config = s->config;
        const char *known = config_map_get(&config->names, item->id.data);

        if (!known && config->name && item_word(s, item, config->name, &item->name)) {
                item->has_name = true;
                return;
        }
        bytes_cut(&item->name, 0);
        shape_got(s, known ? bytes_append_text(&item->name, known)
                           : bytes_append(&item->name, s->origin->name.data, s->origin->name.size));
        item->has_name = known || item->name.size > 0;
}

static void item_take_time(Shape *s, Item *item) {
        const ShapeConfig *config = s->config;
        Slice value;
        int64_t msec;

        (void) clock_format_rfc3339(s->origin->arrived, item->request_at);
        if (!config->time)
                return;
        bytes_cut(&item->text, 0);
        if (!item_find(s, item, config->time, &value) || !shape_got(s, match_text(value, &item->text)) ||
                !shape_got(s, shape_time(item->text.data, (ShapeTime) config->time_format, &msec))) {
                item->odd_time = bytes_steal(&item->text);
                return;
        }
        item->has_time = true;
        (void) clock_format_rfc3339((usec_t) msec * USEC_PER_MSEC, item->measured_at);
        if (config->once_per == SHAPE_MEASUREMENT)
                memcpy(item->request_at, item->measured_at, sizeof(item->request_at));
}

/* ---- members ---- */

static const char *const missing[] = { "unavailable", "unknown", "nan", "NaN", "Infinity", "-Infinity", "inf", "null",
        NULL };

/* Returns the value that we write ourselves under that name; NULL: we write none. */
static const char *item_own(const Shape *s, const Item *item, const char *name) {
        Slice rest = s->origin->labels, label, value;

        if (strcmp(name, "source") == 0)
                return s->origin->source;
        if (strcmp(name, "id") == 0)
                return item->id.data;
        if (strcmp(name, "name") == 0)
                return item->has_name ? item->name.data : NULL;
        if (strcmp(name, "request_at") == 0)
                return item->request_at;
        if (strcmp(name, "measured_at") == 0)
                return item->has_time ? item->measured_at : NULL;
        while (reading_labels_next(&rest, &label, &value))
                if (slice_equal(label, name))
                        return value.data; /* NUL-terminated in its buffer */
        return NULL;
}

/* True when both are the same text, or the same time in another form. */
static bool is_same(const char *ours, const char *theirs) {
        int64_t a, b;

        return strcmp(ours, theirs) == 0 || (clock_parse_rfc3339(ours, strlen(ours), &a) &&
                                                    clock_parse_rfc3339(theirs, strlen(theirs), &b) && a == b);
}

/* Appends `_` to *name* until neither we nor the item nor `fields` use it. */
static void item_free_name(Shape *s, const Item *item, Bytes *name) {
        Slice ignored;

        do
                shape_got(s, bytes_append_text(name, "_"));
        while (s->error == 0 && (item_own(s, item, name->data) || match_find(item->object, name->data, &ignored) ||
                                        config_map_get(&s->config->fields, name->data)));
}

static void item_write_name(Item *item, const char *name, size_t size) {
        bytes_append_text(&item->payload, item->payload.size > 1 ? "," : "");
        bytes_append_json_string(&item->payload, name, size);
        bytes_append_text(&item->payload, ":");
}

/* Adds a member of the item, or one of its `fields`. Changes *name*. */
static void item_add(Shape *s, Item *item, Bytes *name, Slice value) {
        bool is_text = shape_got(s, match_text(value, &item->text)), named;
        const char *const *numbers = (const char *const *) s->config->numbers;
        _cleanup_bytes_ Bytes number = {};
        const char *own;

        if (is_text && text_is_among(item->text.data, (const char *const *) s->config->missing ?: missing))
                return;
        named = text_is_among(name->data, numbers);
        if (is_text && value.data[0] == '"' && (named || text_is_among("*", numbers))) {
                if (shape_got(s, shape_number(item->text.data, s->config->thousands, &number)))
                        value = (Slice){ number.data, number.size };
                else if (named)
                        return shape_note(s, item, "number", name->data, "it is left out");
        }
        item->n_members++;
        own = item_own(s, item, name->data);
        if (own && is_text && is_same(own, item->text.data))
                return;
        if (own)
                item_free_name(s, item, name);
        item_write_name(item, name->data, name->size);
        bytes_append(&item->payload, value.data, value.size);
}

static void item_add_fields(Shape *s, Item *item) {
        _cleanup_bytes_ Bytes name = {};
        Slice value;

        for (size_t i = 0; s->error == 0 && i < s->config->fields.n; i++) {
                const ConfigPair *field = &s->config->fields.items[i];

                if (!item_find(s, item, field->values[0], &value))
                        continue;
                bytes_cut(&name, 0);
                shape_got(s, bytes_append_text(&name, field->name));
                if (s->error == 0)
                        item_add(s, item, &name, value);
        }
}

#define NO_FORM "a text in it is cut in the middle of a character"

/* Returns the reason if a name has no UTF-8 form. */
static const char *item_add_members(Shape *s, Item *item) {
        _cleanup_bytes_ Bytes name = {};
        JsonReader reader;
        Slice value;

        json_reader_init(&reader, item->object.data, item->object.size, JSON_READER_DEPTH);
        (void) json_reader_next(&reader); /* the brace */
        while (s->error == 0 && json_reader_next(&reader) == JSON_KEY) {
                const Slice key = { reader.slice.data - 1, reader.slice.size + 2 };

                if (!shape_got(s, match_text(key, &name)))
                        return NO_FORM;
                shape_got(s, json_reader_skip(&reader, &value));
                if (s->error == 0)
                        item_add(s, item, &name, value);
        }
        return NULL;
}

/* ---- the reading ---- */

static void item_write_text(Item *item, const char *name, const char *text) {
        item_write_name(item, name, strlen(name));
        bytes_append_json_string(&item->payload, text, strlen(text));
}

/* Writes our own members after those of the item. */
static void item_write_own(Shape *s, Item *item) {
        static const char *const names[] = { "source", "id", "name", "request_at", "measured_at" };
        Slice rest = s->origin->labels, label, value;

        while (reading_labels_next(&rest, &label, &value))
                item_write_text(item, label.data, value.data);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *own = item_own(s, item, names[i]);

                if (own)
                        item_write_text(item, names[i], own);
        }
        shape_got(s, bytes_append_text(&item->payload, "}"));
}

/* Returns 64 bits of a hash of labels and payload: it is the same when the same measurement is fetched twice. */
static uint64_t item_hash(Shape *s, const Item *item) {
        const Slice parts[] = { s->origin->labels, bytes_slice(&item->odd_time), bytes_slice(&item->payload) };
        _cleanup_bytes_ Bytes all = {};
        char hex[SHA256_HEX_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                bytes_append(&all, parts[i].data, parts[i].size);
        shape_got(s, bytes_result(&all));
        (void) crypto_sha256_hex(all.data, all.size, hex);
        hex[16] = '\0';
        return strtoull(hex, NULL, 16);
}

/* Notes a missing time, but only for readings: a module that cannot be reached has neither a time nor a value. */
static void item_note_time(Shape *s, Item *item) {
        bytes_cut(&item->text, 0);
        if (item->has_time || !s->config->time ||
                bytes_append(&item->text, item->odd_time.data ?: "", item->odd_time.size) < 0)
                return;
        shape_note(s, item, "time", s->config->time,
                item->odd_time.size > 0 ? "the time of arrival is used (is `time_format` right?)"
                                        : "the time of arrival is used");
}

/* Notes a text that is meant as a place, `id` or `a.b`: the item has a text at `id`, or an object at `a`. */
static void item_note_word(const Shape *s, const Item *item, const char *key, const char *word) {
        char text[300], member[60];
        Slice value;

        if (!s->origin->note || !word || word[0] == '/')
                return;
        text_copy(member, sizeof(member), word);
        member[strcspn(member, ".")] = '\0';
        if (!match_find(item->object, member, &value) ||
                (strchr(word, '.') ? value.data[0] != '{' : value.data[0] != '"' && strcmp(word, key) != 0))
                return;
        (void) snprintf(text, sizeof(text),
                "`%s: %.60s` of `reading` is a literal text, the same for all devices; the item's own value is at /%s",
                key, word, member);
        s->origin->note(s->origin->userdata, key, "", text);
}

/* Returns the reason if a text has no UTF-8 form. */
static const char *item_put(Shape *s, Item *item) {
        bool once = item->has_time && s->config->once_per == SHAPE_MEASUREMENT,
             untimed = s->origin->history && item->odd_time.data && strpbrk(item->odd_time.data, "0123456789");
        ReadingOrigin origin = {
                .source = s->origin->source,
                .type = s->origin->type,
                .device = item->id.data,
                .at = item->request_at,
                .labels = s->origin->labels,
        };
        char name[UNTIMED_MAX];

        /* Names a point of a history whose time cannot be read. The text of the time distinguishes points, so this
         * comes before our own members are in the payload. Without a history such a time may be that of a clock that
         * was not set, the same for all; then the value counts as new. */
        if (untimed)
                (void) snprintf(name, sizeof(name), "%s:%016" PRIx64, item->id.data, item_hash(s, item));
        item_write_own(s, item);
        if (s->error < 0)
                return NULL;
        if (!shape_got(s, shape_text_has_form(bytes_slice(&item->payload))))
                return NO_FORM;
        origin.unique = once ? item_hash(s, item) : s->origin->random();
        origin.seen = untimed ? name : NULL;
        if (s->error == 0)
                shape_got(s, reading_list_add(s->list, &origin, &item->payload));
        if (s->error < 0)
                return NULL;
        item_note_time(s, item);
        item_note_word(s, item, "id", s->config->id);
        item_note_word(s, item, "name", s->config->name);
        return NULL;
}

/* Makes a reading of the item that has its id. Returns the reason if that is not possible. */
static const char *item_make(Shape *s, Item *item) {
        const char *why = NULL;

        item_take_name(s, item);
        item_take_time(s, item);
        shape_got(s, bytes_append_text(&item->payload, "{"));
        if (s->config->fields.n > 0)
                item_add_fields(s, item);
        else
                why = item_add_members(s, item);
        if (why || item->n_members > 0)
                return why ?: item_put(s, item);
        s->list->n_left_out++;
        return NULL;
}

/* Makes an object of the item. Returns the reason if that is not possible. */
static const char *item_begin(Shape *s, Item *item) {
        Slice value = item->match->value;
        Slice field = s->origin->field.size > 0 ? s->origin->field : (Slice){ "value", strlen("value") };

        item->object = value;
        if (value.data[0] == '[' && s->config->fields.n == 0)
                return "it is a list, whose values must be named in `fields`";
        if (value.data[0] == '{' || value.data[0] == '[')
                return NULL;
        bytes_append_text(&item->bare, "{");
        bytes_append_json_string(&item->bare, field.data, field.size);
        shape_got(s, bytes_append_format(&item->bare, ":%.*s}", (int) value.size, value.data));
        item->object = (Slice){ item->bare.data, item->bare.size };
        return NULL;
}

static void item_shape(Shape *s, Item *item) {
        const char *why = item_begin(s, item);

        if (s->error < 0)
                return;
        if (!why && !match_test(&s->config->where, item->object)) {
                s->list->n_left_out++;
                return;
        }
        why = why ?: item_take_id(s, item);
        if (s->error == 0 && !why)
                why = item_make(s, item);
        if (s->error == 0 && why)
                shape_keep_unread(s, item->match->value, why);
}

/* ---- the items ---- */

static int shape_item(Shape *s, const PointerMatch *match) {
        _cleanup_(item_done) Item item = { .match = match };

        if (s->n_items++ < SHAPE_ITEMS_MAX) {
                if (s->list)
                        item_shape(s, &item);
                return s->error;
        }
        if (s->origin->note)
                s->origin->note(s->origin->userdata, "items", "",
                        "more than " TEXT_OF(SHAPE_ITEMS_MAX) " items in one answer; the rest is left out");
        return 1;
}

/* A list is replaced by its elements, as if the pointer had one more `*`. */
static int shape_list(Shape *s, const PointerMatch *list) {
        PointerMatch match = *list;
        unsigned star = list->n_stars < POINTER_STARS_MAX ? match.n_stars++ : POINTER_STARS_MAX - 1;
        JsonReader reader;
        int token, r;

        json_reader_init(&reader, list->value.data, list->value.size, JSON_READER_DEPTH);
        (void) json_reader_next(&reader); /* the bracket */
        for (size_t i = 0; (token = json_reader_next(&reader)) != JSON_ARRAY_END; i++) {
                r = token < 0 ? token : json_reader_skip(&reader, &match.value);
                if (r < 0)
                        return r;
                match.stars[star] = (PointerStar){ .index = i };
                r = shape_item(s, &match);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int on_item(void *userdata, const PointerMatch *match) {
        ((Shape *) userdata)->found = true;
        return match->value.data[0] == '[' ? shape_list(userdata, match) : shape_item(userdata, match);
}

static int shape_items(Shape *s) {
        static const char *const whole[] = { "", NULL };
        const char *const *pointers = (const char *const *) s->config->items ?: whole;
        int r = 0;

        for (; *pointers && r == 0; pointers++)
                r = pointer_each(s->document, *pointers, on_item, s);
        return r < 0 ? r : 0;
}

/* Like shape_read(). *ret_found is false if `items` leads to nothing in the document. */
static int shape_document(
        const ShapeConfig *config, const ShapeOrigin *origin, Slice document, ReadingList *list, bool *ret_found) {
        Shape s = { .config = config, .origin = origin, .list = list };
        _cleanup_bytes_ Bytes made = {};
        char why[100];
        int r;

        r = shape_text_read(document, true, &made, &s.document, why);
        if (r == 0 && made.size > 0 && origin->note && !bytes_is_utf8(document.data, document.size))
                origin->note(origin->userdata, "encoding", "",
                        "its input is not UTF-8; invalid bytes are read as ?, so two names may become one. Make the "
                        "sender use UTF-8");
        if (shape_got(&s, r))
                shape_keep_unread(&s, document, why);
        else if (r == 0)
                shape_got(&s, shape_items(&s));
        for (size_t i = 0; i < s.n_columns; i++)
                free(s.columns[i].matches);
        *ret_found = s.found || r > 0;
        return s.error;
}

int shape_read(const ShapeConfig *config, const ShapeOrigin *origin, Slice document, ReadingList *list) {
        bool found;
        int r;

        r = shape_document(config, origin, document, list, &found);
        list->n_left_out += !found;
        return r;
}

size_t shape_count(const ShapeConfig *config, Slice json) {
        Shape s = { .config = config, .origin = &(ShapeOrigin){}, .document = json };

        (void) shape_items(&s);
        return s.n_items;
}

/* Raw input that was kept is one item, whatever it looks like: a list in it is not a list of items. */
static int shape_reread_item(const ShapeConfig *config, const ShapeOrigin *origin, Slice raw, ReadingList *list) {
        _cleanup_bytes_ Bytes text = {};
        ShapeConfig alone = *config;
        int r;

        alone.items = NULL;
        r = bytes_append_format(&text, "[%.*s]", (int) raw.size, raw.data);
        return r < 0 ? r : shape_read(&alone, origin, (Slice){ text.data, text.size }, list);
}

int shape_reread(const ShapeConfig *config, const ShapeOrigin *origin, Slice raw, ReadingList *list) {
        bool found;
        int r;

        if (!config->items && raw.size > 0 && raw.data[0] == '[')
                return shape_reread_item(config, origin, raw, list);
        r = shape_document(config, origin, raw, list, &found);
        return r < 0 || found ? r : shape_reread_item(config, origin, raw, list);
}

/* ---- labels ---- */

static int name_compare(const void *a, const void *b) {
        return strcmp((*(const ConfigPair *const *) a)->name, (*(const ConfigPair *const *) b)->name);
}

int shape_labels(const ConfigMap *map, Bytes *ret) {
        _cleanup_free_ const ConfigPair **pairs = calloc(map->n + 1, sizeof(ConfigPair *));

        if (!pairs)
                return -ENOMEM;
        for (size_t i = 0; i < map->n; i++)
                pairs[i] = &map->items[i];
        qsort(pairs, map->n, sizeof(ConfigPair *), name_compare);
        for (size_t i = 0; i < map->n; i++)
                reading_labels_add(ret, pairs[i]->name, pairs[i]->values[0]);
        return bytes_result(ret);
}
