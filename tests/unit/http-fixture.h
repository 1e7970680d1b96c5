/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A loop, a client and a server, and requests whose replies are kept: what every test of http begins with. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "http-server.h"
#include "lib/http.h"

typedef struct Fixture {
        Loop *event;
        Http *http;
        HttpServer *server;
} Fixture;

typedef struct Result {
        HttpRequest *request;
        bool done, scarce; /* scarce: HttpReply.want */
        HttpOutcome outcome;
        int status;
        Bytes body;
        char detail[400];
        usec_t retry_after, date;
        char header[200]; /* of the last header named *want* */
        const char *want;
        void (*then)(struct Result *result); /* called at the end of the callback */
        void *userdata;
} Result;

static inline void result_done(void *userdata, HttpReply *reply) {
        Result *result = userdata;
        const char *value = result->want ? http_reply_header(reply, result->want) : NULL;

        assert_false(result->done);
        result->request = NULL;
        result->done = true;
        result->outcome = reply->outcome;
        result->scarce = reply->want;
        result->status = reply->status;
        result->body = bytes_steal(&reply->body);
        result->retry_after = reply->retry_after;
        result->date = reply->date;
        (void) snprintf(result->detail, sizeof(result->detail), "%s", reply->detail);
        (void) snprintf(result->header, sizeof(result->header), "%s", value ? value : "(none)");
        if (result->then)
                result->then(result);
}

static inline void fixture_run(Fixture *f, const Result *result) {
        while (!result->done)
                assert_true(loop_turn(f->event, UINT64_MAX) >= 0);
}

/* A GET of *path* with generous limits; tests change what they are about. */
static inline HttpSpec fixture_spec(Fixture *f, const char *path, char url[static 300]) {
        (void) snprintf(url, 300, "http://127.0.0.1:%u%s", http_server_port(f->server), path);
        return (HttpSpec){ .method = "GET", .url = url, .timeout = 20 * USEC_PER_SEC, .max_reply = 1024 * 1024 };
}

static inline void fixture_start(Fixture *f, HttpSpec *spec, Result *result) {
        assert_int_equal(http_start(f->http, spec, result_done, result, &result->request), 0);
        assert_false(result->done);
}

static inline void fixture_get(Fixture *f, const char *path, Result *result) {
        char url[300];
        HttpSpec spec = fixture_spec(f, path, url);

        fixture_start(f, &spec, result);
        fixture_run(f, result);
}

static inline void fixture_set_up(Fixture *f, HttpServerHandler handler, void *userdata) {
        (void) signal(SIGPIPE, SIG_IGN);
        assert_int_equal(loop_new(&f->event), 0);
        assert_int_equal(http_new(f->event, "test/1", &f->http), 0);
        f->server = handler ? http_server_new(handler, userdata) : NULL;
}

static inline void fixture_tear_down(Fixture *f) {
        f->http = http_free(f->http);
        f->event = loop_free(f->event);
        f->server = http_server_free(f->server);
}
