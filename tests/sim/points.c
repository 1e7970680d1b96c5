/* SPDX-License-Identifier: Apache-2.0 */
#include "points.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "ledger.h"

#define POINT_EVERY (8 * USEC_PER_MINUTE)
#define LATE_MAX (100 * USEC_PER_MINUTE) /* less than since.overlap */
#define PAGE 10
#define SENSORS 3
#define TOKEN_SPAN USEC_PER_HOUR
#define MANY 40 /* points that come at once */

typedef struct Point {
        usec_t at, seen; /* true time; when it can be seen */
        unsigned sensor;
        uint32_t serial;
} Point;

typedef struct Points {
        Point *items; /* in the order in which they came up */
        size_t n, allocated, n_settled;
        unsigned token; /* number of the last access and refresh token */
        unsigned shown; /* the last one that somebody had in his hands: those before serve no longer */
        usec_t given;   /* clock of the world */
} Points;

/* ---- tokens ---- */

static void serve_token(Exchange *x) {
        static const char refused[] = "{\"error\":\"invalid_grant\"}";
        Points *p = world->points;
        const char *found = strstr(x->body, "refresh_token=" POINTS_SECRET "-r");
        unsigned number =
                found ? (unsigned) strtoul(found + strlen("refresh_token=" POINTS_SECRET "-r"), NULL, 10) : UINT32_MAX;
        char body[256];

        if (x->life != world->life &&
                number < p->shown) /* it comes after what a later daemon asked; nobody hears the answer */
                return exchange_answer(x, 400, refused, strlen(refused));
        x->progress = p->shown == p->token; /* of a token that nobody used nothing comes */
        if (number > p->token || number < p->shown)
                world_fail("refresh token %u is shown, and %u was had already: that is lost", number, p->shown);
        p->shown = number;
        if (draw_below(&world->chance, 50) == 0 && weather_may("a token is refused"))
                return exchange_answer(x, 400, refused, strlen(refused));
        p->token++;
        p->given = world->now;
        world_count(number + 1 == p->token ? "points token" : "points token again");
        (void) snprintf(body, sizeof(body),
                "{\"access_token\":\"" POINTS_SECRET "-a%u\",\"refresh_token\":\"" POINTS_SECRET
                "-r%u\",\"expires_in\":%d,\"token_type\":\"Bearer\"}",
                p->token, p->token, (int) (TOKEN_SPAN / USEC_PER_SEC));
        exchange_answer(x, 200, body, strlen(body));
}

static bool token_is_good(const Exchange *x) {
        static const char before[] = "Authorization: Bearer " POINTS_SECRET "-a";
        Points *p = world->points;
        const char *found = x->headers ? strstr(x->headers, before) : NULL;
        unsigned number = found ? (unsigned) strtoul(found + strlen(before), NULL, 10) : 0;

        if (!found && x->bearer && strncmp(x->bearer, POINTS_SECRET "-a", strlen(POINTS_SECRET "-a")) == 0)
                number = (unsigned) strtoul(x->bearer + strlen(POINTS_SECRET "-a"), NULL, 10);
        if (number == 0 || number > p->token || number < p->shown || world->now >= p->given + TOKEN_SPAN)
                return false;
        p->shown = number;
        return true;
}

/* ---- points ---- */

static usec_t time_of(const Exchange *x, const char *name) {
        const char *found = strstr(x->url, name);

        if (!found)
                world_fail("no %s in %s", name, x->url);
        return strtoull(found + strlen(name), NULL, 10) * USEC_PER_SEC;
}

static int newest_first(const void *a, const void *b) {
        const Point *one = *(const Point *const *) a, *other = *(const Point *const *) b;

        return one->at != other->at ? (one->at < other->at ? 1 : -1) : one->serial < other->serial ? 1 : -1;
}

/* Those of that span that can be seen; malloc'ed. */
static const Point **find_points(usec_t from, usec_t to, size_t *ret_n) {
        const Points *p = world->points;
        const Point **found = calloc(p->n + 1, sizeof(Point *));
        size_t n = 0;

        if (!found)
                abort();
        for (size_t i = 0; i < p->n; i++)
                if (p->items[i].seen <= world->now && p->items[i].at >= from && p->items[i].at <= to)
                        found[n++] = &p->items[i];
        qsort(found, n, sizeof(Point *), newest_first);
        *ret_n = n;
        return found;
}

static size_t print_point(char *text, size_t size, const Point *point, bool first) {
        char at[CLOCK_RFC3339_SIZE];

        ledger_offered(point->serial);
        return (size_t) snprintf(text, size,
                "%s{\"sensor\":\"s-%u\",\"at\":\"%s\",\"newest_events\":{\"te\":{\"val\":%u}}}", first ? "" : ",",
                point->sensor, clock_format_rfc3339(point->at, at), point->serial);
}

static void serve_page(Exchange *x) {
        const char *page = strstr(x->url, "page=");
        size_t first = page ? strtoul(page + strlen("page="), NULL, 10) * PAGE : 0, n, at;
        const Point **found = find_points(time_of(x, "from="), time_of(x, "to="), &n);
        char body[4096];

        at = (size_t) snprintf(body, sizeof(body), "{\"status\":\"ok\",\"points\":[");
        for (size_t i = first; i < n && i < first + PAGE; i++)
                at += print_point(body + at, sizeof(body) - at, found[i], i == first);
        if (first > 0)
                world_count("points page");
        if (n > first + PAGE)
                at += (size_t) snprintf(body + at, sizeof(body) - at, "],\"next\":\"%zu\"}", first / PAGE + 1);
        else
                at += (size_t) snprintf(body + at, sizeof(body) - at, "],\"next\":null}");
        free(found);
        x->progress = true;
        exchange_answer(x, 200, body, at);
}

/* Now and then it says 200, and means something else. */
void points_serve(Exchange *x) {
        static const char failed[] = "{\"status\":\"error\",\"points\":[]}";

        if (strstr(x->url, "/token"))
                return serve_token(x);
        if (!token_is_good(x)) {
                world_count("points token expired");
                x->progress = true;
                return exchange_answer(x, 401, "{}", 2);
        }
        if (draw_below(&world->chance, 200) == 0 && weather_may("the API says 200 and means an error"))
                return exchange_answer(x, 200, failed, strlen(failed));
        serve_page(x);
}

void points_delivered(const Exchange *x) {
        for (const char *at = x->reply; (at = strstr(at, "\"te\":{")); at++)
                ledger_delivered(ledger_find(at, strlen(at)));
}

/* ---- sensors ---- */

static void add_point(void) {
        Points *p = world->points;

        if (p->n == p->allocated) {
                p->allocated = p->allocated * 2 + 64;
                p->items = arena_resize(p->items, p->allocated * sizeof(Point));
        }
        p->items[p->n++] = (Point){ .at = world_true_time() / USEC_PER_SEC * USEC_PER_SEC,
                .seen = world->now + (draw_below(&world->chance, 3) == 0 ? draw_skewed(&world->chance, LATE_MAX) : 0),
                .sensor = (unsigned) draw_below(&world->chance, SENSORS),
                .serial = ledger_serve() };
}

static void on_point(void *subject, uint64_t number) {
        uint64_t n = draw_below(&world->chance, 60) == 0 ? draw_below(&world->chance, MANY) : 1;

        if (world->phase != PHASE_WEATHER)
                return;
        while (n-- > 0)
                add_point();
        world_in(draw_skewed(&world->chance, 5 * POINT_EVERY), on_point, NULL, 0, 0);
}

void points_calm(void) {
        for (size_t i = 0; world->points && i < world->points->n; i++)
                if (world->points->items[i].seen > world->now)
                        world->points->items[i].seen = world->now;
}

bool points_settled(void) {
        Points *p = world->points;

        while (p && p->n_settled < p->n && ledger_is_put(p->items[p->n_settled].serial))
                p->n_settled++;
        return !p || p->n_settled == p->n;
}

void points_check(void) {
        const Point *point;

        if (points_settled())
                return;
        point = &world->points->items[world->points->n_settled];
        world_fail("point %u is not fetched: it is of %" PRIu64 " min ago, and was to be seen %" PRIu64 " min later",
                point->serial, (world_true_time() - point->at) / USEC_PER_MINUTE,
                (point->seen - (point->at - WORLD_EPOCH + WORLD_BOOT)) / USEC_PER_MINUTE);
}

void points_new(void) {
        world->points = arena_alloc(sizeof(Points));
        world_in(draw_below(&world->chance, POINT_EVERY), on_point, NULL, 0, 0);
}
