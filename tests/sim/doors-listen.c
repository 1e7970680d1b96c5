/* SPDX-License-Identifier: Apache-2.0 */
/* lib/listen.h: nobody listens; those who visit come by themselves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "visit.h"

#define ROUTES_MAX 8
#define DEADLINE (30 * USEC_PER_SEC) /* for a request as a whole; see lib/listen-server.c */

struct Listen {
        ListenRoute *routes[ROUTES_MAX];
};

struct ListenRoute {
        Listen *listen;
        char *path;
        bool below;
        size_t max_body;
        ListenHandler handler;
        ListenRequest *first;
};

struct ListenRequest {
        ListenRoute *route;
        Visit *visit;
        ListenRequest *next;
        bool answered;
};

static Listen *the_listen; /* of the daemon that runs */

/* ---- a visit ---- */

static void visit_unref(Visit *visit) {
        if (--visit->references > 0)
                return;
        arena_free(visit->headers);
        arena_free(visit->body);
        arena_free(visit);
}

static void visit_later(Visit *visit, usec_t delay, void (*run)(void *subject, uint64_t number), uint64_t number) {
        visit->references++;
        world_in(delay, run, visit, number, 0);
}

static void visit_end(Visit *visit, int status) {
        if (visit->ended)
                return;
        visit->ended = true;
        visit->on_end(visit, status);
}

/* *number*: the status, 0: none. */
static void on_end(void *subject, uint64_t number) {
        Visit *visit = subject;

        visit_end(visit, (int) number);
        visit_unref(visit);
}

static bool answer_is_lost(Fault fault) {
        return fault == FAULT_UNANSWERED || fault == FAULT_CUT_LATE || fault == FAULT_GARBLED ||
               fault == FAULT_BROKEN_LATE || fault == FAULT_PORTAL;
}

/* ---- requests ---- */

static void request_free(ListenRequest *request) {
        ListenRequest **at = &request->route->first;

        while (*at != request)
                at = &(*at)->next;
        *at = request->next;
        request->visit->request = NULL;
        visit_unref(request->visit);
        free(request);
}

void listen_answer(ListenRequest *request, const ListenAnswer *answer) {
        Visit *visit = request->visit;

        world_door_of(weather_target_name(visit->target), " answers");
        world_trace("%s is answered %d", weather_target_name(visit->target), answer->status);
        visit->on_told(visit, answer->status);
        if (!answer_is_lost(visit->fault))
                visit_later(visit, world_latency(USEC_PER_SEC), on_end, (uint64_t) answer->status);
        else
                visit_later(visit, world_latency(USEC_PER_SEC), on_end, 0);
        request->answered = true;
        request_free(request);
        world_door_of(weather_target_name(visit->target), " answered");
}

static ListenRoute *find_route(const char *path) {
        for (size_t i = 0; the_listen && i < ROUTES_MAX; i++) {
                ListenRoute *route = the_listen->routes[i];

                if (route && (strcmp(route->path, path) == 0 ||
                                     (route->below && strncmp(path, route->path, strlen(route->path)) == 0)))
                        return route;
        }
        return NULL;
}

/* The rest of it is there; or the connection is gone. */
static void on_body(void *subject, uint64_t number) {
        Visit *visit = subject;
        ListenRequest *request = visit->life == world->life ? visit->request : NULL;

        if (request && (visit->fault == FAULT_CUT_EARLY || visit->fault == FAULT_BROKEN)) {
                request_free(request);
                visit_later(visit, world_latency(USEC_PER_SEC), on_end, 0);
        } else if (request) {
                if (visit->size > request->route->max_body)
                        world_fail("a body that is too large");
                world_door_of(weather_target_name(visit->target), " arrives");
                request->route->handler.on_request(request->route->handler.userdata, request);
                if (visit->request)
                        visit->on_taken(visit);
                world_door_of(weather_target_name(visit->target), " arrived");
        } else
                visit_end(visit, 0);
        visit_unref(visit);
}

static void on_header(void *subject, uint64_t number) {
        Visit *visit = subject;
        ListenRoute *route = find_route(visit->path);
        ListenRequest *request;

        if (!route) {
                visit_end(visit, 0);
                return visit_unref(visit);
        }
        request = calloc(1, sizeof(ListenRequest));
        if (!request)
                abort();
        *request = (ListenRequest){ .route = route, .visit = visit, .next = route->first };
        route->first = request;
        visit->references++;
        visit->request = request;
        visit->life = world->life;
        if (route->handler.on_header)
                route->handler.on_header(route->handler.userdata, request);
        if (visit->request)
                visit_later(visit,
                        visit->fault == FAULT_SLOW ? draw_below(&world->chance, DEADLINE)
                                                   : world_latency(100 * USEC_PER_MSEC),
                        on_body, 0);
        visit_unref(visit);
}

void visit_start(Visit *visit) {
        visit->references++;
        visit->fault = weather_fault(visit->target);
        visit_later(visit, visit->patience, on_end, 0);
        switch (visit->fault) {
        case FAULT_UNREACHABLE:
        case FAULT_TLS:
        case FAULT_DENIED:
        case FAULT_MISSING:
        case FAULT_BUSY:
        case FAULT_UNAUTHORIZED:
        case FAULT_PROXY:
                visit_later(visit, world_latency(USEC_PER_SEC), on_end, 0);
                break;
        case FAULT_LOST:
                break;
        default:
                visit_later(visit, world_latency(100 * USEC_PER_MSEC), on_header, 0);
        }
        visit_unref(visit);
}

/* ---- the server ---- */

int listen_new(Loop *loop, Listen **ret) {
        *ret = the_listen = calloc(1, sizeof(Listen));
        return *ret ? 0 : -ENOMEM;
}

Listen *listen_free(Listen *listen) {
        for (size_t i = 0; listen && i < ROUTES_MAX; i++)
                if (listen->routes[i])
                        world_fail("%s is listened on at the end", listen->routes[i]->path);
        if (listen == the_listen)
                the_listen = NULL;
        free(listen);
        return NULL;
}

/* Another program has the address, now and then. */
int listen_route(Listen *listen, const ListenSpec *spec, const ListenHandler *handler, ListenRoute **ret) {
        ListenRoute *route;
        size_t i = 0;

        if (find_route(spec->path))
                return -EEXIST;
        if (weather_fault(TARGET_PUSH) != FAULT_NONE) {
                world_count("address in use");
                return -EADDRINUSE;
        }
        while (i < ROUTES_MAX && listen->routes[i])
                i++;
        if (i == ROUTES_MAX)
                abort();
        route = calloc(1, sizeof(ListenRoute));
        if (!route)
                return -ENOMEM;
        *route = (ListenRoute){ listen, strdup(spec->path), spec->below, spec->max_body, *handler, NULL };
        *ret = listen->routes[i] = route;
        return 0;
}

ListenRoute *listen_drop(ListenRoute *route) {
        if (!route)
                return NULL;
        while (route->first)
                listen_answer(route->first, &(ListenAnswer){ .status = 503 });
        for (size_t i = 0; i < ROUTES_MAX; i++)
                if (route->listen->routes[i] == route)
                        route->listen->routes[i] = NULL;
        free(route->path);
        free(route);
        return NULL;
}

void listen_renew(Listen *listen, void (*on_failed)(const char *address, int error)) {}

void listen_certificates(const Listen *listen,
        void (*each)(void *userdata, const char *address, usec_t begin, usec_t end), void *userdata) {}

void listen_stop(Listen *listen) {}

/* ---- what it says ---- */

const char *listen_method(const ListenRequest *request) {
        return request->visit->method;
}

const char *listen_path(const ListenRequest *request) {
        return request->visit->path;
}

const char *listen_query(const ListenRequest *request, const char *name) {
        return NULL;
}

const char *listen_header(const ListenRequest *request, const char *name) {
        static char value[256];
        size_t size = strlen(name);

        for (char *line = request->visit->headers; line && *line;
                line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (strncasecmp(line, name, size) == 0 && line[size] == ':') {
                        (void) snprintf(
                                value, sizeof(value), "%.*s", (int) strcspn(line + size + 2, "\n"), line + size + 2);
                        return value;
                }
        return NULL;
}

Slice listen_body(const ListenRequest *request) {
        return (Slice){ request->visit->body, request->visit->size };
}

const char *listen_peer(const ListenRequest *request) {
        return "127.0.0.1";
}
