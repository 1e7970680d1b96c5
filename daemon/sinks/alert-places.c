/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-places.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/json.h"

#define NOWHERE SIZE_MAX

/* A step of a pointer, as a node of a tree: *below* is its first child, *beside* its next sibling. */
typedef struct Step {
        char *key;
        size_t index;  /* the key as an index of an array; NOWHERE: it is not a number */
        size_t number; /* of the place that ends here, or NOWHERE */
        size_t below, beside;
} Step;

struct AlertPlaces {
        Step *steps; /* the first one is the object itself */
        size_t n_steps, allocated;
        size_t n;
};

static int add_step(AlertPlaces *p, char *key, size_t *ret) {
        char *end;
        int r = key ? array_reserve(&p->steps, &p->allocated, p->n_steps + 1, sizeof(Step)) : -ENOMEM;

        if (r < 0) {
                free(key);
                return r;
        }
        *ret = p->n_steps++;
        p->steps[*ret] = (Step){ key, NOWHERE, NOWHERE, NOWHERE, NOWHERE };
        if ((key[0] > '0' && key[0] <= '9') || strcmp(key, "0") == 0) {
                size_t index = strtoull(key, &end, 10);

                if (*end == '\0')
                        p->steps[*ret].index = index;
        }
        return 0;
}

int alert_places_new(AlertPlaces **ret) {
        _cleanup_(alert_places_freep) AlertPlaces *p = calloc(1, sizeof(AlertPlaces));
        size_t root;
        int r = p ? add_step(p, strdup(""), &root) : -ENOMEM;

        if (r == 0)
                *ret = cleanup_steal(p);
        return r;
}

AlertPlaces *alert_places_free(AlertPlaces *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n_steps; i++)
                free(p->steps[i].key);
        free(p->steps);
        free(p);
        return NULL;
}

size_t alert_places_count(const AlertPlaces *p) {
        return p->n;
}

/* Finds or makes the step *key* below *parent*. Takes *key*. */
static int enter(AlertPlaces *p, size_t parent, char *key, size_t *ret) {
        int r;

        for (size_t i = key ? p->steps[parent].below : NOWHERE; i != NOWHERE; i = p->steps[i].beside)
                if (strcmp(p->steps[i].key, key) == 0) {
                        free(key);
                        *ret = i;
                        return 0;
                }
        r = add_step(p, key, ret);
        if (r < 0)
                return r;
        p->steps[*ret].beside = p->steps[parent].below;
        p->steps[parent].below = *ret;
        return 0;
}

/* Unescapes a reference token of RFC 6901. */
static char *token_key(const char *token, size_t size) {
        char *key = malloc(size + 1), *out = key;

        for (size_t i = 0; key && i < size; i++)
                if (token[i] == '~' && i + 1 < size)
                        *out++ = token[++i] == '1' ? '/' : '~';
                else
                        *out++ = token[i];
        if (key)
                *out = '\0';
        return key;
}

int alert_places_add(AlertPlaces *p, const char *place, size_t *ret) {
        size_t at = 0;
        int r = 0;

        if (place[0] != '/')
                r = enter(p, 0, strdup(place), &at);
        while (r == 0 && place[0] == '/') {
                size_t size = strcspn(++place, "/");

                r = enter(p, at, token_key(place, size), &at);
                place += size;
        }
        if (r < 0)
                return r;
        if (p->steps[at].number == NOWHERE)
                p->steps[at].number = p->n++;
        *ret = p->steps[at].number;
        return 0;
}

/* ---- finding ---- */

static size_t find_key(const AlertPlaces *p, size_t parent, const JsonReader *reader) {
        size_t i = p->steps[parent].below;

        while (i != NOWHERE && !json_reader_equal(reader, p->steps[i].key))
                i = p->steps[i].beside;
        return i;
}

static size_t find_index(const AlertPlaces *p, size_t parent, size_t index) {
        size_t i = p->steps[parent].below;

        while (i != NOWHERE && p->steps[i].index != index)
                i = p->steps[i].beside;
        return i;
}

typedef struct Finding {
        const AlertPlaces *places;
        JsonReader reader;
        Slice *values;
} Finding;

static int find_below(Finding *f, size_t step, int token);

/* Reads the value whose first token was just read. *step* is its place, or NOWHERE. */
static int find_at(Finding *f, size_t step, int token) {
        const Step *at = step == NOWHERE ? NULL : &f->places->steps[step];
        Slice raw = { f->reader.cursor - 1, 0 };
        int r;

        if (at && at->below != NOWHERE && (token == JSON_OBJECT || token == JSON_ARRAY)) {
                r = find_below(f, step, token);
                raw.size = (size_t) (f->reader.cursor - raw.data);
        } else
                r = json_reader_skip(&f->reader, &raw);
        if (r >= 0 && at && at->number != NOWHERE && !f->values[at->number].data)
                f->values[at->number] = raw;
        return r;
}

static int find_in_object(Finding *f, size_t step) {
        int token, r = 0;

        while (r >= 0 && (token = json_reader_next(&f->reader)) == JSON_KEY) {
                size_t child = find_key(f->places, step, &f->reader);

                if (child == NOWHERE) {
                        r = json_reader_skip(&f->reader, NULL);
                        continue;
                }
                token = json_reader_next(&f->reader);
                r = token < 0 ? token : find_at(f, child, token);
        }
        return r < 0 ? r : token < 0 ? token : 0;
}

static int find_in_array(Finding *f, size_t step) {
        int token, r = 0;

        for (size_t i = 0; r >= 0 && (token = json_reader_next(&f->reader)) != JSON_ARRAY_END; i++)
                r = token < 0 ? token : find_at(f, find_index(f->places, step, i), token);
        return r;
}

static int find_below(Finding *f, size_t step, int token) {
        return token == JSON_OBJECT ? find_in_object(f, step) : find_in_array(f, step);
}

bool alert_places_find(const AlertPlaces *p, Slice object, Slice *values) {
        Finding f = { .places = p, .values = values };

        memset(values, 0, p->n * sizeof(Slice));
        json_reader_init(&f.reader, object.data, object.size, JSON_READER_DEPTH);
        return json_reader_next(&f.reader) == JSON_OBJECT && find_in_object(&f, 0) >= 0 &&
               json_reader_next(&f.reader) == JSON_END;
}
