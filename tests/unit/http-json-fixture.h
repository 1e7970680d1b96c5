/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A source of the type http_json, and a server that follows a script. */

#include "source-fixture.h"

#include <time.h>

#include "http-server.h"

#define CALLS_MAX 64
#define ROUTES_MAX 16

typedef struct Route {
        const char *path; /* what is somewhere in the path; the first that fits answers */
        int status;
        const char *headers, *body;
        unsigned times; /* how often; 0: always */
} Route;

typedef struct World {
        SourceFixture *f;
        HttpServer *server;
        Route routes[ROUTES_MAX];
        char calls[CALLS_MAX][1024]; /* method and path */
        char heads[CALLS_MAX][1024];
        char bodies[CALLS_MAX][256];
        unsigned n;
} World;

static inline bool serve(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        World *w = userdata;
        Route *route = w->routes;

        (void) snprintf(w->calls[w->n % CALLS_MAX], sizeof(w->calls[0]), "%s %.1000s", call->method, call->path);
        (void) snprintf(w->heads[w->n % CALLS_MAX], sizeof(w->heads[0]), "%s", call->head.data);
        (void) snprintf(
                w->bodies[w->n % CALLS_MAX], sizeof(w->bodies[0]), "%s", call->body.data ? call->body.data : "");
        w->n++;
        while (route->path && !strstr(call->path, route->path))
                route++;
        if (!route->path) {
                http_server_reply(c, 404, "", "nothing here");
                return true;
        }
        http_server_reply(c, route->status, route->headers ? route->headers : "", route->body);
        if (route->times > 0 && --route->times == 0)
                route->path = "\n";
        return true;
}

static inline int set_up(void **state) {
        World *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        assert_int_equal(source_fixture_set_up((void **) &w->f), 0);
        w->server = http_server_new(serve, w);
        *state = w;
        return 0;
}

static inline int tear_down(void **state) {
        World *w = *state;

        assert_int_equal(source_fixture_tear_down((void **) &w->f), 0);
        http_server_free(w->server);
        free(w);
        return 0;
}

/* The lines with each `@` as the server's address, and each `$` as the fixture's directory. */
static inline void fill_in(const World *w, const char *lines, char *text, size_t size) {
        char *out = text;

        for (; *lines; lines++) {
                size_t room = size - (size_t) (out - text);
                int n = *lines == '@'   ? snprintf(out, room, "http://127.0.0.1:%u", http_server_port(w->server))
                        : *lines == '$' ? snprintf(out, room, "%s", w->f->directory)
                                        : snprintf(out, room, "%c", *lines);

                assert_true((size_t) n < room);
                out += n;
        }
}

static inline void start(World *w, const char *lines) {
        char text[3000];

        fill_in(w, lines, text, sizeof(text));
        source_fixture_start(w->f, text);
}

static inline void wait_for_poll(World *w, unsigned n) {
        SOURCE_FIXTURE_UNTIL(w->f, source_fixture_status(w->f).polls == n && !source_is_busy(w->f->source));
}

static inline void run_once(World *w, const char *lines) {
        start(w, lines);
        wait_for_poll(w, 1);
}

static inline void poll_again(World *w) {
        unsigned n = (unsigned) source_fixture_status(w->f).polls + 1;

        assert_int_equal(source_poll_now(w->f->source), 0);
        wait_for_poll(w, n);
}

static inline void is_well(const World *w) {
        assert_string_equal(source_fixture_status(w->f).failure.detail, "");
        assert_false(source_fixture_status(w->f).failure.on);
}

static inline void fails_with(const World *w, const char *words) {
        SourceStatus status = source_fixture_status(w->f);

        assert_true(status.failure.on);
        if (!strstr(status.failure.detail, words))
                fail_msg("\"%s\" is not in \"%s\"", words, status.failure.detail);
}

static inline bool has(const char *text, const char *part) {
        return strstr(text, part) != NULL;
}

/* The interval: poll_again() polls, and on a slow machine the source shall not by itself, in the midst of that. */
#define HEAD "      type: http_json\n      interval: 24h\n"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
