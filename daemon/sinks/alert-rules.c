/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-rules.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/crypto.h"
#include "lib/json.h"
#include "lib/pointer.h"
#include "lib/text.h"
#include "match.h"

#define CREATED_AT "created_at"
#define NOWHERE SIZE_MAX
#define KEY_MAX 1024 /* of a place, see alert-config.c */
#define NUMBER_SIZE_MAX 64
#define NUMBER_MAX 1e290 /* as for charts: a device without a value may send the largest possible number */

/* ---- the identity of a rule ---- */

static void append_part(Bytes *text, const char *part) {
        bytes_append(text, part ?: "", part ? strlen(part) + 1 : 1);
}

static int describe(const AlertRule *rule, Bytes *text) {
        append_part(text, rule->name);
        for (size_t i = 0; i < rule->where.n; i++) {
                append_part(text, rule->where.items[i].name);
                for (char **v = rule->where.items[i].values; *v; v++)
                        append_part(text, *v);
                append_part(text, "");
        }
        append_part(text, rule->field);
        append_part(text, rule->is);
        return bytes_append_format(text, "%a %a %a %" PRIu64, rule->above, rule->below, rule->clear, rule->stale);
}

static int make_key(AlertWatch *watch) {
        _cleanup_bytes_ Bytes text = {};
        char hash[SHA256_HEX_SIZE];
        int r = describe(watch->rule, &text);

        if (r < 0)
                return r;
        (void) snprintf(watch->key, sizeof(watch->key), "%.16s", crypto_sha256_hex(text.data, text.size, hash));
        return 0;
}

static void make_limit(AlertWatch *watch) {
        const AlertRule *rule = watch->rule;

        watch->limit = rule->is;
        if (rule->test != ALERT_ABOVE && rule->test != ALERT_BELOW)
                return;
        (void) snprintf(watch->number, sizeof(watch->number), "%.10g", rule->limit);
        watch->limit = watch->number;
}

/* ---- places ---- */

static size_t chain_of(size_t within, Slice key) {
        size_t hash = within;

        for (size_t i = 0; i < key.size; i++)
                hash = hash * 31 + (unsigned char) key.data[i];
        return hash % ALERT_CHAINS;
}

/* Returns the index of the place, or NOWHERE. */
static size_t find_place(const AlertPlaces *places, size_t within, Slice key) {
        size_t link = places->chains[chain_of(within, key)];

        while (link > 0 && (places->items[link - 1].within != within || !slice_equal(key, places->items[link - 1].key)))
                link = places->items[link - 1].next;
        return link > 0 ? link - 1 : NOWHERE;
}

/* How many elements of an array must be looked at for the one with that index; 0: the key is not an index. */
static size_t elements_for(const char *key) {
        char again[24];
        unsigned long index = strtoul(key, NULL, 10);

        (void) snprintf(again, sizeof(again), "%lu", index);
        return index < SIZE_MAX && strcmp(again, key) == 0 ? index + 1 : 0;
}

static int add_place(AlertPlaces *places, size_t within, const char *key, size_t *ret) {
        size_t *chain = &places->chains[chain_of(within, slice_of(key))], elements = elements_for(key);
        AlertPlace place = { .within = within, .next = *chain };
        int r;

        *ret = find_place(places, within, slice_of(key));
        if (*ret != NOWHERE)
                return 0;
        r = array_reserve(&places->items, &places->allocated, places->n + 1, sizeof(AlertPlace));
        if (r < 0)
                return r;
        place.key = strdup(key);
        if (!place.key)
                return -ENOMEM;
        if (within != NOWHERE) {
                places->items[within].inner = true;
                if (elements > places->items[within].elements)
                        places->items[within].elements = elements;
        }
        places->items[places->n] = place;
        *ret = places->n++;
        *chain = places->n;
        return 0;
}

int alert_places_add(AlertPlaces *places, const char *place, size_t *ret) {
        char token[POINTER_TOKEN_SIZE];
        int r;

        if (place[0] != '/')
                return add_place(places, NOWHERE, place, ret);
        for (*ret = NOWHERE; *place != '\0';) {
                place = pointer_step(place, token);
                r = place ? add_place(places, *ret, token, ret) : -EINVAL;
                if (r < 0)
                        return r;
        }
        return 0;
}

void alert_places_done(AlertPlaces *places) {
        for (size_t i = 0; i < places->n; i++)
                free(places->items[i].key);
        free(places->items);
        *places = (AlertPlaces){};
}

typedef struct Walk {
        const AlertPlaces *places;
        JsonReader reader;
        Slice *values;
} Walk;

static int walk_object(Walk *w, size_t within);
static int walk_array(Walk *w, size_t within);

/* Reads a value whose first token was just read, to its end; *place* may be NOWHERE. Returns a negative error, or not.
 */
static int walk_value(Walk *w, size_t place) {
        const char *begin = w->reader.cursor - 1;
        bool wanted = place != NOWHERE && !w->values[place].data, is_array = w->reader.token == JSON_ARRAY;
        int r;

        if (!wanted || !w->places->items[place].inner || (!is_array && w->reader.token != JSON_OBJECT))
                return json_reader_skip(&w->reader, wanted ? &w->values[place] : NULL);
        r = is_array ? walk_array(w, place) : walk_object(w, place);
        w->values[place] = (Slice){ begin, (size_t) (w->reader.cursor - begin) };
        return r;
}

/* Returns the place of the key that was just read. */
static size_t place_of_key(const Walk *w, size_t within) {
        Slice key = w->reader.slice;
        char text[KEY_MAX * 6]; /* \uXXXX stands for at least one byte */

        if (w->reader.escaped && (key.size > sizeof(text) || json_unescape(key, text, &key.size) < 0))
                return NOWHERE;
        return find_place(w->places, within, (Slice){ w->reader.escaped ? text : key.data, key.size });
}

static int walk_object(Walk *w, size_t within) {
        int r;

        while ((r = json_reader_next(&w->reader)) == JSON_KEY) {
                size_t place = place_of_key(w, within);

                r = json_reader_next(&w->reader);
                if (r >= 0)
                        r = walk_value(w, place);
                if (r < 0)
                        break;
        }
        return r;
}

static int walk_array(Walk *w, size_t within) {
        size_t elements = w->places->items[within].elements;
        char key[24];
        int r;

        for (size_t i = 0; (r = json_reader_next(&w->reader)) >= 0 && r != JSON_ARRAY_END; i++) {
                size_t size = i < elements ? (size_t) snprintf(key, sizeof(key), "%zu", i) : 0;

                r = walk_value(w, size > 0 ? find_place(w->places, within, (Slice){ key, size }) : NOWHERE);
                if (r < 0)
                        break;
        }
        return r;
}

bool alert_places_find(const AlertPlaces *places, Slice object, Slice *values) {
        Walk w = { .places = places, .values = values };

        for (size_t i = 0; i < places->n; i++)
                values[i] = (Slice){};
        json_reader_init(&w.reader, object.data, object.size, JSON_READER_DEPTH);
        return json_reader_next(&w.reader) == JSON_OBJECT && walk_object(&w, NOWHERE) >= 0 &&
               json_reader_next(&w.reader) == JSON_END;
}

/* ---- the places that a rule looks at ---- */

/* Returns the place of the `created_at` next to the field. */
static char *created_beside(const char *field) {
        const char *end = field[0] == '/' ? strrchr(field, '/') : NULL;
        char *place;

        if (!end)
                return strdup(CREATED_AT);
        (void) text_format(&place, "%.*s/" CREATED_AT, (int) (end - field), field);
        return place;
}

static int add_field(AlertRules *rules, AlertWatch *watch) {
        _cleanup_free_ char *created = NULL;
        int r;

        if (!watch->rule->field)
                return 0;
        created = created_beside(watch->rule->field);
        if (!created)
                return -ENOMEM;
        r = alert_places_add(&rules->places, watch->rule->field, &watch->field);
        return r < 0 ? r : alert_places_add(&rules->places, created, &watch->created);
}

static int add_where(AlertRules *rules, AlertWatch *watch) {
        const ConfigMap *where = &watch->rule->where;
        int r = 0;

        watch->where = calloc(where->n + 1, sizeof(size_t));
        if (!watch->where)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < where->n; i++)
                r = alert_places_add(&rules->places, where->items[i].name, &watch->where[i]);
        return r;
}

static int add_rule(AlertRules *rules, const AlertRule *rule) {
        AlertWatch *watch = &rules->items[rules->n++];
        int r;

        watch->rule = rule;
        make_limit(watch);
        r = make_key(watch);
        if (r == 0)
                r = add_field(rules, watch);
        return r < 0 ? r : add_where(rules, watch);
}

static int add_own_places(AlertRules *rules) {
        const struct {
                const char *place;
                size_t *ret;
        } own[] = { { "source", &rules->source }, { "id", &rules->id }, { "name", &rules->name },
                { "site", &rules->site }, { "request_at", &rules->request_at }, { "online", &rules->online },
                { "newest_events", &rules->events } };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(own); i++)
                r = alert_places_add(&rules->places, own[i].place, own[i].ret);
        return r;
}

int alert_rules_new(const AlertConfig *config, AlertRules **ret) {
        _cleanup_(alert_rules_freep) AlertRules *rules = calloc(1, sizeof(AlertRules));
        int r;

        if (!rules)
                return -ENOMEM;
        rules->items = calloc(config->n_rules + 1, sizeof(AlertWatch));
        if (!rules->items)
                return -ENOMEM;
        r = add_own_places(rules);
        for (size_t i = 0; r == 0 && i < config->n_rules; i++)
                r = add_rule(rules, &config->rules[i]);
        if (r == 0)
                *ret = cleanup_steal(rules);
        return r;
}

AlertRules *alert_rules_free(AlertRules *rules) {
        if (!rules)
                return NULL;
        for (size_t i = 0; i < rules->n; i++)
                free(rules->items[i].where);
        alert_places_done(&rules->places);
        free(rules->items);
        free(rules);
        return NULL;
}

size_t alert_rules_find(const AlertRules *rules, Slice key) {
        for (size_t i = 0; i < rules->n; i++)
                if (slice_equal(key, rules->items[i].key))
                        return i;
        return ALERT_NO_RULE;
}

static bool condition_holds(const AlertWatch *watch, size_t i, const Slice *values) {
        Slice value = values[watch->where[i]];

        return value.data && match_value(watch->rule->where.items[i].values, value);
}

bool alert_rules_match(const AlertWatch *watch, const Slice *values) {
        for (size_t i = 0; i < watch->rule->where.n; i++)
                if (!condition_holds(watch, i, values))
                        return false;
        return true;
}

bool alert_rules_match_name(const AlertRules *rules, const AlertWatch *watch, const Slice *values) {
        Slice name = values[rules->name];

        for (size_t i = 0; name.data && name.data[0] == '"' && i < watch->rule->where.n; i++)
                if (watch->where[i] == rules->name && !condition_holds(watch, i, values))
                        return false;
        return true;
}

/* ---- the state of one rule for one device ---- */

/* clang-format off */
/*             holds                       held for `for`
 *      OK -----------------> PENDING -----------------------> FIRING
 *       ^                       |                                |
 *       +--- no longer holds ---+        over (past `clear`) ----+--> OK */
/* clang-format on */
_asserted_ static const bool moves[PHASES][PHASES] = {
        [PHASE_OK] = { [PHASE_PENDING] = true },
        [PHASE_PENDING] = { [PHASE_OK] = true, [PHASE_FIRING] = true },
        [PHASE_FIRING] = { [PHASE_OK] = true },
};

static void move(AlertState *state, AlertPhase phase) {
        assert(moves[state->phase][phase]);
        state->phase = phase;
}

/* Reads a JSON number. Returns false for any other text. */
static bool get_number(Slice value, double *ret) {
        char text[NUMBER_SIZE_MAX + 1];

        if (value.size == 0 || value.size > NUMBER_SIZE_MAX || !strchr("-0123456789", value.data[0]))
                return false;
        *(char *) mempcpy(text, value.data, value.size) = '\0';
        *ret = strtod(text, NULL);
        return fabs(*ret) <= NUMBER_MAX;
}

AlertTruth alert_judge_value(const AlertRule *rule, Slice value) {
        double number;

        if (!value.data || slice_equal(value, "null"))
                return ALERT_SAYS_NOTHING;
        if (rule->test == ALERT_IS) {
                if (value.data[0] == '{' || value.data[0] == '[')
                        return ALERT_SAYS_NOTHING;
                return match_value((char *const[]){ rule->is, NULL }, value) ? ALERT_HOLDS : ALERT_OVER;
        }
        if (!get_number(value, &number))
                return ALERT_SAYS_NOTHING;
        if (rule->test == ALERT_ABOVE ? number > rule->limit : number < rule->limit)
                return ALERT_HOLDS;
        return (rule->test == ALERT_ABOVE ? number <= rule->clear : number >= rule->clear) ? ALERT_OVER : ALERT_BETWEEN;
}

static bool has_passed(usec_t from, usec_t span, usec_t now) {
        return now >= from && now - from >= span;
}

static AlertMove hold(const AlertRule *rule, AlertState *state, usec_t since, usec_t now) {
        if (state->phase == PHASE_OK) {
                move(state, PHASE_PENDING);
                state->since = since;
        }
        if (state->phase != PHASE_PENDING || !has_passed(state->since, rule->wait, now))
                return ALERT_STAYS;
        move(state, PHASE_FIRING);
        return ALERT_FIRED;
}

static AlertMove cease(AlertState *state) {
        bool fired = state->phase == PHASE_FIRING;

        if (state->phase != PHASE_OK)
                move(state, PHASE_OK);
        return fired ? ALERT_CEASED : ALERT_STAYS;
}

AlertMove alert_judge_message(const AlertRule *rule, AlertState *state, usec_t at, AlertTruth truth) {
        if (truth == ALERT_SAYS_NOTHING || at <= state->judged)
                return ALERT_OLD;
        state->judged = at;
        if (truth == ALERT_HOLDS)
                return hold(rule, state, at, at);
        return truth == ALERT_OVER || state->phase == PHASE_PENDING ? cease(state) : ALERT_STAYS;
}

AlertMove alert_judge_life(const AlertRule *rule, AlertState *state, const AlertLife *life, usec_t now) {
        bool was_offline = state->offline;

        if (life->at <= state->judged || (life->heard == 0 && !life->offline && !(was_offline && life->online)))
                return ALERT_OLD;
        state->judged = life->at;
        if (life->heard > state->heard)
                state->heard = life->heard;
        state->offline = life->offline && (was_offline || state->phase != PHASE_FIRING); /* silence stays silence */
        if (life->offline)
                return hold(rule, state, life->at, life->at);
        return !was_offline && has_passed(state->heard, rule->stale, now) ? ALERT_STAYS : cease(state);
}

static bool is_silent(const AlertRule *rule, const AlertState *state, usec_t now) {
        return rule->test == ALERT_STALE && state->heard > 0 && has_passed(state->heard, rule->stale, now);
}

AlertMove alert_judge_time(const AlertRule *rule, AlertState *state, usec_t now) {
        AlertPhase before = state->phase;
        AlertMove moved = ALERT_STAYS;

        if (before == PHASE_FIRING)
                return ALERT_OLD;
        if (is_silent(rule, state, now))
                moved = hold(rule, state, state->heard + rule->stale, now);
        else if (before == PHASE_PENDING && (rule->test != ALERT_STALE || state->offline))
                moved = hold(rule, state, state->since, now);
        return state->phase == before ? ALERT_OLD : moved;
}

usec_t alert_judge_next(const AlertRule *rule, const AlertState *state) {
        if (state->phase == PHASE_PENDING)
                return state->since + rule->wait;
        if (state->phase == PHASE_OK && rule->test == ALERT_STALE && state->heard > 0)
                return state->heard + rule->stale;
        return USEC_INFINITY;
}
