/* SPDX-License-Identifier: Apache-2.0 */
#include "pointer.h"

#include <stdint.h>

#include "json.h"

typedef struct Walk {
        int (*each)(void *userdata, const PointerMatch *match);
        void *userdata;
        PointerMatch match;
} Walk;

/* ---- the pointer's own text ---- */

const char *pointer_step(const char *pointer, char token[static POINTER_TOKEN_SIZE]) {
        size_t n = 0;

        if (*pointer++ != '/')
                return NULL;
        for (; *pointer != '\0' && *pointer != '/'; pointer++) {
                char c = *pointer;

                if (n == POINTER_TOKEN_SIZE - 1)
                        return NULL;
                if (c == '~') {
                        c = *++pointer == '0' ? '~' : '/';
                        if (*pointer != '0' && *pointer != '1')
                                return NULL;
                }
                token[n++] = c;
        }
        token[n] = '\0';
        return pointer;
}

static bool token_is_star(const char *token) {
        return token[0] == '*' && token[1] == '\0';
}

/* RFC 6901 section 4: digits without leading zeros. */
static bool token_is_index(const char *token, size_t index) {
        size_t value = 0;

        if (token[0] == '0')
                return token[1] == '\0' && index == 0;
        for (const char *p = token; *p; p++) {
                if (!bytes_is_digit(*p) || value > SIZE_MAX / 10 - 1)
                        return false;
                value = 10 * value + (size_t) (*p - '0');
        }
        return token[0] != '\0' && value == index;
}

bool pointer_is_valid(const char *text) {
        char token[POINTER_TOKEN_SIZE];
        unsigned tokens = 0;

        for (const char *rest = text; *rest != '\0';) {
                rest = pointer_step(rest, token);
                if (!rest || ++tokens > POINTER_TOKENS_MAX)
                        return false;
        }
        return pointer_count_stars(text) <= POINTER_STARS_MAX;
}

unsigned pointer_count_stars(const char *pointer) {
        char token[POINTER_TOKEN_SIZE];
        unsigned stars = 0;

        while (*pointer != '\0' && (pointer = pointer_step(pointer, token)))
                stars += token_is_star(token);
        return stars;
}

/* ---- the walk ---- */

static int walk_value(Walk *w, JsonReader *r, const char *pointer);

/* One step of the pointer. */
typedef struct Step {
        char token[POINTER_TOKEN_SIZE];
        bool star;
        const char *rest; /* the pointer behind this step */
} Step;

/* Enters a value that the step leads to; its first token was just read. *here* is the key or index that a `*` stands
 * for. */
static int walk_in(Walk *w, JsonReader *r, const Step *step, const PointerStar *here) {
        int k;

        if (step->star)
                w->match.stars[w->match.n_stars++] = *here;
        k = walk_value(w, r, step->rest);
        if (step->star)
                w->match.n_stars--;
        return k;
}

static int walk_array(Walk *w, JsonReader *r, const Step *step) {
        int next, k;

        for (size_t i = 0; (next = json_reader_next(r)) != JSON_ARRAY_END; i++) {
                bool wanted = step->star || token_is_index(step->token, i);

                if (next < 0)
                        return next;
                k = wanted ? walk_in(w, r, step, &(PointerStar){ .index = i }) : json_reader_skip(r, NULL);
                if (k != 0)
                        return k;
        }
        return 0;
}

static int walk_object(Walk *w, JsonReader *r, const Step *step) {
        bool found = false;
        int next, k;

        while ((next = json_reader_next(r)) == JSON_KEY) {
                PointerStar here = { .key = r->slice };
                bool wanted = step->star || (!found && json_reader_equal(r, step->token));

                next = json_reader_next(r);
                if (next < 0)
                        return next;
                k = wanted ? walk_in(w, r, step, &here) : json_reader_skip(r, NULL);
                if (k != 0)
                        return k;
                found = found || wanted;
        }
        return next < 0 ? next : 0;
}

/* Reads a value whose first token was just read, to its end. */
static int walk_value(Walk *w, JsonReader *r, const char *pointer) {
        Step step;
        int k;

        if (*pointer == '\0') {
                k = json_reader_skip(r, &w->match.value);
                return k < 0 ? k : w->each(w->userdata, &w->match);
        }
        step.rest = pointer_step(pointer, step.token);
        if (!step.rest)
                return -EINVAL;
        step.star = token_is_star(step.token);
        if (r->token == JSON_OBJECT)
                return walk_object(w, r, &step);
        if (r->token == JSON_ARRAY)
                return walk_array(w, r, &step);
        return 0;
}

int pointer_each(
        Slice json, const char *pointer, int (*each)(void *userdata, const PointerMatch *match), void *userdata) {
        Walk w = { .each = each, .userdata = userdata };
        JsonReader r;
        int k;

        json_reader_init(&r, json.data, json.size, JSON_READER_DEPTH);
        k = json_reader_next(&r);
        return k < 0 ? k : walk_value(&w, &r, pointer);
}

static int take_first(void *userdata, const PointerMatch *match) {
        *(Slice *) userdata = match->value;
        return 1;
}

bool pointer_find(Slice json, const char *pointer, Slice *ret) {
        return pointer_each(json, pointer, take_first, ret) == 1;
}

int pointer_star_compare(const PointerStar *a, const PointerStar *b) {
        if (!a->key.data || !b->key.data)
                return a->key.data ? 1 : b->key.data ? -1 : (a->index > b->index) - (a->index < b->index);
        return slice_order(a->key, b->key);
}
