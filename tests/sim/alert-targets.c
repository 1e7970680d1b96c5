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
#define RETIRED_MAX (3 * USEC_PER_HOUR) /* a stage that was replaced may go on for as long */

/* The keys that a target has seen. */
typedef struct Keys {
        char (*items)[KEY_SIZE];
        size_t n, allocated;
} Keys;

/* What a service lets through: so many at once, and one more every so often. */
static const struct {
        unsigned burst;
        usec_t every, pace; /* pace: from an answer to the next request */
        const char *path;   /* to the text in the body */
        size_t max;
        bool bytes;      /* max: bytes, else units of UTF-16 */
        unsigned status; /* of what is taken */
        bool says_when;  /* Retry-After with a refusal */
} services[ALERT_TARGETS] = {
        [TARGET_LINE - ALERT_TARGET_FIRST] = { 2000, USEC_PER_MSEC, 0, "messages", 5000, false, 200, false },
        [TARGET_SLACK - ALERT_TARGET_FIRST] = { 5, USEC_PER_SEC, USEC_PER_SEC, "text", 3000, false, 200, true },
        [TARGET_PAGER - ALERT_TARGET_FIRST] = { 2000, USEC_PER_MSEC, 0, "message", SIZE_MAX, false, 200, false },
        [TARGET_NTFY - ALERT_TARGET_FIRST] = { 60, 5 * USEC_PER_SEC, USEC_PER_SEC, "message", 4096, true, 200, false },
        [TARGET_DISCORD -
                ALERT_TARGET_FIRST] = { 5, 2 * USEC_PER_SEC, 2 * USEC_PER_SEC, "content", 2000, false, 204, true },
};

struct AlertTargets {
        Keys keys[ALERT_TARGETS];
        usec_t free_at[ALERT_TARGETS];    /* of the limit: when all of the burst is there again */
        usec_t not_before[ALERT_TARGETS]; /* for the daemon of that life */
        unsigned life;
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

        unsigned device = room ? (unsigned) strtoul(room + strlen(ALERT_ROOM), NULL, 10) : ALERT_DEVICES - 1;
        unsigned rule = rule_of(text);

        if (rule == RULE_LONG && strstr(text, ALERT_RAISED))
                rule = RULE_RAISED;
        else if (rule == RULE_LONG && !strstr(text, ALERT_NOT_RAISED))
                rule = alerts_long_rule(x->target, device);
        alerts_told(x, word, rule, device, serial_of(text, word));
}

static void hear_lines(const Exchange *x, char *text) {
        char *rest = text, *line;

        while ((line = strsep(&rest, "\n")))
                hear(x, line);
}

/* ---- the service ---- */

static size_t index_of(const Exchange *x) {
        return x->target - ALERT_TARGET_FIRST;
}

/* As the service counts. */
static size_t measure(const char *text, bool bytes) {
        size_t n = 0;

        if (bytes)
                return strlen(text);
        for (; *text; text++)
                n += ((unsigned char) *text & 0xc0) == 0x80 ? 0 : (unsigned char) *text >= 0xf0 ? 2 : 1;
        return n;
}

static const char *text_of(const Exchange *x, struct json_object *body) {
        struct json_object *text = NULL;
        size_t size, max = services[index_of(x)].max;

        (void) json_object_object_get_ex(body, services[index_of(x)].path, &text);
        if (text && json_object_is_type(text, json_type_array))
                (void) json_object_object_get_ex(json_object_array_get_idx(text, 0), "text", &text);
        if (!text)
                world_fail("%s is sent something else than a message: %s", x->url, x->body);
        size = measure(json_object_get_string(text), services[index_of(x)].bytes);
        if (size > max)
                world_fail("%s is sent a message of %zu, and takes %zu", x->url, size, max);
        if (size > max / 4 * 3)
                world_count("a message is nearly full");
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

/* One more, when there was room for it. */
static bool has_room(const Exchange *x) {
        usec_t *free_at = &world->alert_targets->free_at[index_of(x)], every = services[index_of(x)].every;

        if (*free_at < world->now)
                *free_at = world->now;
        if (*free_at >= world->now + services[index_of(x)].burst * every)
                return false;
        *free_at += every;
        return true;
}

static void refuse(Exchange *x) {
        usec_t wait = services[index_of(x)].every;

        world_count("a target has enough for now");
        if (services[index_of(x)].says_when) {
                x->retry_after = wait > USEC_PER_SEC ? wait : USEC_PER_SEC;
                exchange_header(x, "Retry-After: %" PRIu64, x->retry_after / USEC_PER_SEC);
        }
        exchange_answer(x, 429, "{}", 2);
}

static void check_who(const Exchange *x) {
        if (x->target == TARGET_LINE && (!x->bearer && !strstr(x->headers, "Bearer " PLAN_LINE_TOKEN)))
                world_fail("LINE is asked without its token");
        if (x->target == TARGET_NTFY && (!x->bearer && !strstr(x->headers, "Bearer " PLAN_NTFY_TOKEN)))
                world_fail("ntfy is asked without its token");
        if (x->target == TARGET_DISCORD && strstr(x->url, "/slack"))
                world_fail("Discord is asked as Slack is: %s", x->url);
        if (x->target == TARGET_DISCORD && !strstr(x->url, "/api/v10/"))
                world_fail("Discord is asked by an API whose Retry-After counts milliseconds: %s", x->url);
}

static bool knows(const Exchange *x) {
        const char *header = x->target == TARGET_LINE ? "X-Line-Retry-Key" : "Idempotency-Key";
        char key[KEY_SIZE];

        if (x->target != TARGET_LINE && x->target != TARGET_PAGER)
                return false;
        if (*header_of(x, header, key) == '\0')
                world_fail("%s is asked without a key", x->url);
        return is_known(&world->alert_targets->keys[index_of(x)], key);
}

void alert_target_serve(Exchange *x) {
        bool known;

        x->progress = true;
        check_who(x);
        if (!has_room(x))
                return refuse(x);
        known = knows(x);
        if (known)
                world_count(x->target == TARGET_LINE ? "line knows the key" : "pager knows the key");
        else
                take(x);
        exchange_answer(x, known && x->target == TARGET_LINE ? 409 : (int) services[index_of(x)].status, "{}",
                x->target == TARGET_DISCORD ? 0 : 2);
}

/* ---- when it is asked ---- */

void alert_target_asked(const Exchange *x) {
        const struct AlertTargets *t = world->alert_targets;

        if (t->life != world->life || world->now >= t->not_before[index_of(x)] ||
                world->now < plan_reloaded() + RETIRED_MAX)
                return;
        world_fail("%s is asked %" PRIu64 " ms too early", x->url,
                (t->not_before[index_of(x)] - world->now) / USEC_PER_MSEC);
}

void alert_target_answered(const Exchange *x, bool good) {
        struct AlertTargets *t = world->alert_targets;
        usec_t wait = good ? services[index_of(x)].pace : x->retry_after;

        if (t->life != world->life)
                memset(t->not_before, 0, sizeof(t->not_before));
        t->life = world->life;
        t->not_before[index_of(x)] = world->now + wait;
        if (!good && wait > 0)
                world_count("a target says when");
}
