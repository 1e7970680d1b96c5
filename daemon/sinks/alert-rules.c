/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/json.h"
#include "lib/pointer.h"
#include "lib/sha256.h"
#include "lib/text.h"
#include "match.h"

#define CREATED_AT "created_at"

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
        (void) snprintf(watch->key, sizeof(watch->key), "%.16s", sha256_hex(text.data, text.size, hash));
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

int alert_places_add(AlertPlaces *places, const char *place, size_t *ret) {
        char token[POINTER_TOKEN_SIZE];
        const char *key = place, *rest = "";
        int r;

        if (place[0] == '/') {
                key = token;
                rest = pointer_step(place, token);
        }
        if (!rest)
                return -EINVAL;
        for (*ret = 0; *ret < places->n; ++*ret)
                if (strcmp(places->items[*ret].key, key) == 0 && strcmp(places->items[*ret].rest, rest) == 0)
                        return 0;
        r = array_reserve(&places->items, &places->allocated, places->n + 1, sizeof(AlertPlace));
        if (r < 0)
                return r;
        places->items[places->n++] = (AlertPlace){ strdup(key), strdup(rest) };
        return places->items[*ret].key && places->items[*ret].rest ? 0 : -ENOMEM;
}

void alert_places_done(AlertPlaces *places) {
        for (size_t i = 0; i < places->n; i++) {
                free(places->items[i].key);
                free(places->items[i].rest);
        }
        free(places->items);
        *places = (AlertPlaces){};
}

bool alert_places_find(const AlertPlaces *places, Slice object, Slice *values) {
        JsonReader r;
        Slice value;

        for (size_t i = 0; i < places->n; i++)
                values[i] = (Slice){};
        json_reader_init(&r, object.data, object.size, JSON_READER_DEPTH);
        if (json_reader_next(&r) != JSON_OBJECT)
                return false;
        while (json_reader_next(&r) == JSON_KEY) {
                size_t first = 0;

                while (first < places->n && !json_reader_equal(&r, places->items[first].key))
                        first++;
                if (json_reader_skip(&r, &value) < 0)
                        return false;
                for (size_t i = first; i < places->n; i++) {
                        const AlertPlace *place = &places->items[i];

                        if (values[i].data || strcmp(place->key, places->items[first].key) != 0)
                                continue;
                        if (place->rest[0] == '\0')
                                values[i] = value;
                        else
                                (void) pointer_find(value, place->rest, &values[i]);
                }
        }
        return r.token == JSON_OBJECT_END && json_reader_next(&r) == JSON_END;
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
