/* SPDX-License-Identifier: Apache-2.0 */
#include "alert-targets.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alerts.h"
#include "arena.h"
#include "plan.h"

#define KEY_SIZE 40

/* The keys that a target has seen. */
typedef struct Keys {
        char (*items)[KEY_SIZE];
        size_t n, allocated;
} Keys;

struct AlertTargets {
        Keys keys[ALERT_TARGETS];
};

void alert_targets_new(void) {
        world->alert_targets = arena_alloc(sizeof(struct AlertTargets));
}

/* The value of a header; "": it is not there. */
static const char *header_of(const Exchange *x, const char *name, char value[static KEY_SIZE]) {
        const char *line = x->headers;
        size_t size = strlen(name);

        value[0] = '\0';
        for (; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (strncmp(line, name, size) == 0 && line[size] == ':')
                        (void) snprintf(value, KEY_SIZE, "%.*s", (int) strcspn(line + size + 2, "\n"), line + size + 2);
        return value;
}

/* Notes the key of a request. True: it is there already. */
static bool is_known(Keys *keys, const char *key) {
        for (size_t i = 0; i < keys->n; i++)
                if (strcmp(keys->items[i], key) == 0)
                        return true;
        if (keys->n == keys->allocated) {
                keys->allocated = keys->allocated > 0 ? 2 * keys->allocated : 64;
                keys->items = arena_resize(keys->items, keys->allocated * KEY_SIZE);
        }
        (void) snprintf(keys->items[keys->n++], KEY_SIZE, "%s", key);
        return false;
}

/* ---- what a text says ---- */

static AlertWord word_of(const char *text) {
        static const struct {
                const char *part;
                AlertWord word;
        } parts[] = {
                { "this could not be sent then", SAYS_ENDED },
                { "this rule was removed", SAYS_REMOVED },
                { ": over", SAYS_RESOLVED },
                { " still ", SAYS_REPEAT },
        };

        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
                if (strstr(text, parts[i].part))
                        return parts[i].word;
        return SAYS_FIRING;
}

static unsigned rule_of(const char *text) {
        for (unsigned rule = 0; rule < _RULE_MAX; rule++) {
                size_t size = strlen(alerts_rule_names[rule]);

                if (strncmp(text, alerts_rule_names[rule], size) == 0 && text[size] == ':')
                        return rule;
        }
        world_fail("an alert that no rule says: %s", text);
}

/* The fraction of a value is the serial number of its reading: remotes.c. */
static uint32_t serial_of(const char *text, AlertWord word) {
        const char *at = strstr(text, " at "), *since = strstr(text, "since ");
        double value = at ? strtod(at + strlen(" at "), NULL) : 0;
        unsigned hour = 0, minute = 0;

        if (!at && since && sscanf(since, "since %*u-%*u-%*u %u:%u", &hour, &minute) == 2)
                return hour * 60 + minute;
        if (at && word <= SAYS_REPEAT && value < 50)
                world_fail("a value that no rule is about: %s", text);
        return (uint32_t) lround((value - floor(value)) * PLAN_SERIALS);
}

static void hear(const Exchange *x, const char *text) {
        const char *room = strstr(text, ALERT_ROOM);
        AlertWord word = word_of(text);

        alerts_told(x, word, rule_of(text),
                room ? (unsigned) strtoul(room + strlen(ALERT_ROOM), NULL, 10) : ALERT_DEVICES - 1,
                serial_of(text, word));
}

static void hear_lines(const Exchange *x, char *text) {
        char *rest = text, *line;

        while ((line = strsep(&rest, "\n")))
                hear(x, line);
}

/* ---- the service ---- */

static const char *text_of(const Exchange *x, struct json_object *body) {
        struct json_object *list, *text = NULL;

        if (x->target == TARGET_LINE && json_object_object_get_ex(body, "messages", &list))
                (void) json_object_object_get_ex(json_object_array_get_idx(list, 0), "text", &text);
        else if (x->target == TARGET_SLACK)
                (void) json_object_object_get_ex(body, "text", &text);
        else if (x->target == TARGET_PAGER)
                (void) json_object_object_get_ex(body, "message", &text);
        if (!text)
                world_fail("%s is sent something else than a message: %s", x->url, x->body);
        return json_object_get_string(text);
}

static void take(Exchange *x) {
        struct json_object *body = json_tokener_parse(x->body);
        char *text = body ? strdup(text_of(x, body)) : NULL;

        if (!text)
                world_fail("%s is sent something else than JSON: %s", x->url, x->body);
        hear_lines(x, text);
        free(text);
        json_object_put(body);
}

void alert_target_serve(Exchange *x) {
        const char *header = x->target == TARGET_LINE ? "X-Line-Retry-Key" : "Idempotency-Key";
        char key[KEY_SIZE];
        bool known = false;

        x->progress = true;
        if (x->target != TARGET_SLACK && *header_of(x, header, key) == '\0')
                world_fail("%s is asked without a key", x->url);
        if (x->target == TARGET_LINE && (!x->bearer && !strstr(x->headers, "Bearer " PLAN_LINE_TOKEN)))
                world_fail("LINE is asked without its token");
        if (x->target != TARGET_SLACK)
                known = is_known(&world->alert_targets->keys[x->target - ALERT_TARGET_FIRST], key);
        if (known)
                world_count(x->target == TARGET_LINE ? "line knows the key" : "pager knows the key");
        else
                take(x);
        if (x->target == TARGET_SLACK)
                return exchange_answer(x, 200, "ok", 2);
        exchange_answer(x, known && x->target == TARGET_LINE ? 409 : 200, "{}", 2);
}
