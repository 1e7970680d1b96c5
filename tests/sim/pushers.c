/* SPDX-License-Identifier: Apache-2.0 */
#include "pushers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "ledger.h"
#include "visit.h"

#define PUSHERS 4
#define PUSH_EVERY (10 * USEC_PER_MINUTE)
#define MANY 60 /* readings of a large body */
#define RETRY_MAX (4 * USEC_PER_MINUTE)

typedef enum Manner { WITH_KEY, WITHOUT_KEY, ONCE, STRANGER } Manner;
typedef enum Form { OBJECT, ARRAY, LINES, _FORM_MAX } Form;

typedef struct Body {
        struct Body *next;
        unsigned number; /* its key */
        Form form;
        bool broken;       /* a line is not JSON: it must be refused as a whole */
        bool again;        /* it was sent before */
        uint32_t first, n; /* serials */
} Body;

typedef struct Pusher {
        Manner manner;
        Body *bodies; /* the oldest first: that is sent until it is taken */
        bool busy;
        unsigned failures;
} Pusher;

typedef struct Pushers {
        Pusher items[PUSHERS];
        unsigned bodies;
} Pushers;

/* ---- a body ---- */

static void append(char **text, size_t *size, const char *more) {
        size_t n = strlen(more);

        *text = arena_resize(*text, *size + n + 1);
        memcpy(*text + *size, more, n + 1);
        *size += n;
}

static char *write_body(const Body *body, size_t *ret_size) {
        char *text = arena_text(body->form == ARRAY ? "[" : ""), item[96];
        size_t size = strlen(text);

        for (uint32_t i = 0; i < body->n; i++) {
                (void) snprintf(item, sizeof(item), "%s{\"id\":\"p-%u\",\"newest_events\":{\"te\":{\"val\":%u}}}",
                        i == 0                ? ""
                        : body->form == ARRAY ? ","
                                              : "\n",
                        i % 3, body->first + i);
                append(&text, &size, item);
        }
        append(&text, &size, body->broken ? "{" : body->form == ARRAY ? "]" : "\n");
        *ret_size = size;
        return text;
}

static char *write_headers(const Pusher *pusher, const Body *body) {
        char *text = arena_text("Host: localhost\n"), line[96];
        size_t size = strlen(text);

        (void) snprintf(line, sizeof(line), "Content-Type: application/%s\n",
                body->form == LINES ? "x-ndjson" : "json; charset=utf-8");
        append(&text, &size, line);
        if (pusher->manner != STRANGER)
                append(&text, &size, "Authorization: Bearer " PUSHERS_TOKEN "\n");
        (void) snprintf(line, sizeof(line), "Idempotency-Key: body-%u\n", body->number);
        if (pusher->manner == WITH_KEY)
                append(&text, &size, line);
        return text;
}

static void drop_body(Pusher *pusher) {
        Body *body = pusher->bodies;

        pusher->bodies = body->next;
        pusher->failures = 0;
        arena_free(body);
}

/* ---- sending ---- */

static void send_first(Pusher *pusher);

static void on_again(void *subject, uint64_t number) {
        send_first(subject);
}

/* It is in the daemon's hands, and no word was said against it. */
static void on_taken(Visit *visit) {
        for (uint32_t i = 0; visit->good && i < visit->n; i++)
                ledger_delivered(visit->first + i);
}

/* P12: 200 is said of what is on disk. */
static void on_told(Visit *visit, int status) {
        world_count(status == 200 ? "push stored" : status == 503 ? "push told to wait" : "push refused");
        if (visit->good ? status != 200 && status != 503 : status == 200)
                world_fail("a %s push is answered %d", visit->good ? "good" : "bad", status);
        for (uint32_t i = 0; status == 200 && i < visit->n; i++)
                if (!ledger_is_put(visit->first + i))
                        world_fail("reading %u is answered 200 and not on disk", visit->first + i);
}

static void on_end(Visit *visit, int status) {
        Pusher *pusher = visit->subject;
        usec_t pause = USEC_PER_SEC << (pusher->failures < 8 ? pusher->failures : 8);

        pusher->busy = false;
        if (status == 200 || (status >= 400 && status < 500) || pusher->manner == ONCE) {
                drop_body(pusher);
        } else {
                pusher->failures++;
                world_count("push again");
        }
        if (pusher->bodies)
                world_in(pause < RETRY_MAX ? pause : RETRY_MAX, on_again, pusher, 0, 0);
}

static void send_first(Pusher *pusher) {
        Body *body = pusher->bodies;
        bool good = body && pusher->manner != STRANGER && !body->broken;
        Visit *visit;

        if (!body || pusher->busy)
                return;
        for (uint32_t i = 0; good && i < body->n; i++) {
                ledger_offered(body->first + i);
                if (pusher->manner == WITHOUT_KEY && body->again)
                        ledger_loosen(body->first + i);
        }
        body->again = true;
        pusher->busy = true;
        visit = arena_alloc(sizeof(Visit));
        *visit = (Visit){ .target = TARGET_PUSH,
                .method = "POST",
                .path = "/readings",
                .headers = write_headers(pusher, body),
                .patience = 5 * USEC_PER_SEC + draw_below(&world->chance, USEC_PER_MINUTE),
                .on_taken = on_taken,
                .on_told = on_told,
                .on_end = on_end,
                .subject = pusher,
                .first = body->first,
                .n = body->n,
                .good = good };
        visit->body = write_body(body, &visit->size);
        visit_start(visit);
}

static void add_body(Pusher *pusher) {
        Body **end = &pusher->bodies, *body = arena_alloc(sizeof(Body));

        body->number = world->pushers->bodies++;
        body->form = (Form) draw_below(&world->chance, _FORM_MAX);
        body->broken = pusher->manner != STRANGER && draw_below(&world->chance, 20) == 0;
        body->n = body->form == OBJECT ? 1 : 1 + (uint32_t) draw_skewed(&world->chance, MANY);
        for (uint32_t i = 0; i < body->n; i++)
                if (i == 0)
                        body->first = ledger_serve();
                else
                        (void) ledger_serve();
        while (*end)
                end = &(*end)->next;
        *end = body;
}

/* *number*: of the pusher. */
static void on_push(void *subject, uint64_t number) {
        Pusher *pusher = &world->pushers->items[number];

        if (world->phase != PHASE_WEATHER)
                return;
        add_body(pusher);
        if (!pusher->bodies->next)
                send_first(pusher);
        world_in(draw_skewed(&world->chance, 6 * PUSH_EVERY), on_push, NULL, number, 0);
}

bool pushers_settled(void) {
        for (unsigned i = 0; world->pushers && i < PUSHERS; i++)
                if (world->pushers->items[i].bodies)
                        return false;
        return true;
}

void pushers_check(void) {
        for (unsigned i = 0; world->pushers && i < PUSHERS; i++)
                if (world->pushers->items[i].bodies)
                        world_fail("what was pushed is not taken: body %u, after %u failures",
                                world->pushers->items[i].bodies->number, world->pushers->items[i].failures);
}

void pushers_new(void) {
        world->pushers = arena_alloc(sizeof(Pushers));
        for (unsigned i = 0; i < PUSHERS; i++) {
                world->pushers->items[i].manner = (Manner) i;
                world_in(draw_below(&world->chance, PUSH_EVERY), on_push, NULL, i, 0);
        }
}
