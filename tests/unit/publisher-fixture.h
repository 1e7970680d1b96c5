/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A publisher with an outbox of its own, and a topic that answers what the test says. */
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include "capture.h"
#include "events.h"
#include "http-server.h"
#include "lib/loop.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/sql.h"
#include "publish/publisher.h"
#include "side-by-side.h"

#define PATIENCE (60 * USEC_PER_SEC) /* under sanitizers, too */
#define TOPIC "projects/p/topics/t"
#define KEY_MARK "\"idempotency_key\":\""

/* ---- a topic that answers what the test says ---- */

typedef struct Fixture {
        Loop *event;
        Http *http;
        Config config;
        char endpoint[64];
        Client *client;
        char directory[64];
        Outbox *outbox;
        Publisher *publisher;
        Sql *other; /* who holds the outbox's lock */
        HttpServer *server;
        unsigned changes, missing;
        PublisherStatus told; /* at the last change */

        pthread_mutex_t lock; /* of what follows: the server answers on its own thread */
        int status;           /* 0: accept */
        char headers[100];
        char bad[16];                  /* a batch that holds a device of this name gets a 400; "" none, "*" each */
        size_t body_max;               /* over it: 413, or */
        int over;                      /* that, with a page; 0: not */
        bool one_id_less;              /* in a reply */
        bool no_reply;                 /* accepts, and closes the connection */
        bool huge;                     /* a reply that is none of Pub/Sub's, and larger than any */
        unsigned accepted, most, last; /* messages in all; in the largest request and in the last one */
        char last_path[100];
        char keys[20000]; /* accepted, in their order */
        bool labelled;    /* a message with the attribute site=nakano came */
} Fixture;

static void remember_keys(Fixture *f, const char *body) {
        for (const char *p = body; (p = strstr(p, KEY_MARK));) {
                p += strlen(KEY_MARK);
                size_t used = strlen(f->keys), size = strcspn(p, "\"");
                if (used + size + 2 < sizeof(f->keys))
                        (void) snprintf(f->keys + used, sizeof(f->keys) - used, "%.*s\n", (int) size, p);
        }
}

static void reply_ids(Fixture *f, HttpServerConnection *connection, unsigned n) {
        _cleanup_bytes_ Bytes reply = {};

        (void) bytes_append_text(&reply, "{\"messageIds\":[");
        for (unsigned i = 0; i < n - f->one_id_less; i++)
                (void) bytes_append_format(&reply, "%s\"%u\"", i > 0 ? "," : "", f->accepted + i);
        (void) bytes_append_text(&reply, "]}");
        http_server_reply(connection, 200, "Content-Type: application/json\r\n", reply.data);
}

static const char bad_request[] = "{\"error\":{\"code\":400,\"message\":\"no good\",\"status\":\"INVALID_ARGUMENT\"}}";

static bool answer(void *userdata, HttpServerConnection *connection, const HttpServerCall *call) {
        const char *body = call->body.data ? call->body.data : "";
        Fixture *f = userdata;
        bool goes_on;
        char bad[64];

        pthread_mutex_lock(&f->lock);
        unsigned n = count_of(body, KEY_MARK);
        (void) snprintf(bad, sizeof(bad), "\"device\":\"%s\"", f->bad);
        (void) snprintf(f->last_path, sizeof(f->last_path), "%s %.80s", call->method, call->path);
        if (f->huge) {
                _cleanup_bytes_ Bytes page = {};

                (void) bytes_append_format(&page, "<html>%0*d</html>", CLIENT_REPLY_MAX, 0);
                http_server_reply(connection, 200, "", page.data);
        } else if (f->status != 0)
                http_server_reply(connection, f->status, f->headers, "{\"error\":{\"message\":\"as the test wants\"}}");
        else if (call->body.size > f->body_max)
                http_server_reply(connection, f->over > 0 ? f->over : 413, "", f->over > 0 ? "<html>no</html>" : "");
        else if (strcmp(f->bad, "*") == 0 || (f->bad[0] && strstr(body, bad)))
                http_server_reply(connection, 400, "", bad_request);
        else {
                if (!f->no_reply)
                        reply_ids(f, connection, n);
                f->labelled |= strstr(body, "\"device\":\"d1\",\"site\":\"nakano\"}") != NULL;
                f->accepted += n;
                f->last = n;
                f->most = n > f->most ? n : f->most;
                remember_keys(f, body);
        }
        goes_on = !f->no_reply;
        pthread_mutex_unlock(&f->lock);
        return goes_on;
}

static void on_change(void *userdata) {
        Fixture *f = userdata;

        f->changes++;
        if (f->publisher)
                publisher_status(f->publisher, &f->told);
}

static void on_missing(void *userdata) {
        ((Fixture *) userdata)->missing++;
}

static const OutboxConfig caps = { 1000000, 1 << 30 };

static void start(Fixture *f) {
        f->publisher = publisher_free(f->publisher);
        assert_int_equal(
                publisher_new(&(PublisherSpec){ f->event, f->client, f->outbox, TOPIC, on_change, on_missing, f },
                        &f->publisher),
                0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));

        assert_non_null(f);
        (void) signal(SIGPIPE, SIG_IGN);
        pthread_mutex_init(&f->lock, NULL);
        f->body_max = SIZE_MAX;
        (void) snprintf(f->directory, sizeof(f->directory), "/tmp/test-publisher.XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        assert_true(loop_new(&f->event) >= 0);
        assert_int_equal(http_new(f->event, "test/1", &f->http), 0);
        f->server = http_server_new(answer, f);
        (void) snprintf(f->endpoint, sizeof(f->endpoint), "http://127.0.0.1:%u", http_server_port(f->server));
        f->config = (Config){ .references = 1, .pubsub = { .endpoint = f->endpoint, .emulator = true } };
        assert_int_equal(
                client_new(&(ClientMeans){ f->event, f->http }, &f->config, &f->client, &(CredentialsError){}), 0);
        assert_int_equal(outbox_open(f->directory, &caps, &f->outbox, NULL), 0);
        start(f);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        char command[100];

        publisher_free(f->publisher);
        outbox_close(f->outbox);
        client_unref(f->client);
        http_free(f->http);
        loop_free(f->event);
        http_server_free(f->server);
        pthread_mutex_destroy(&f->lock);
        (void) snprintf(command, sizeof(command), "rm -rf %s", f->directory);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

#define LOCKED(f, statement)                                                                                           \
        do {                                                                                                           \
                pthread_mutex_lock(&(f)->lock);                                                                        \
                statement;                                                                                             \
                pthread_mutex_unlock(&(f)->lock);                                                                      \
        } while (0)

/* The lock also waits for the server to have counted what it has just answered. */
static unsigned accepted(Fixture *f) {
        unsigned n;
        LOCKED(f, n = f->accepted);
        return n;
}

static void set_status(Fixture *f, int status, const char *headers) {
        LOCKED(f, f->status = status; (void) snprintf(f->headers, sizeof(f->headers), "%s", headers));
}

/* Readings of the devices d*first*..., with payloads of about *padding* bytes. */
static void put(Fixture *f, unsigned first, unsigned n, size_t padding) {
        ReadingList list = {};

        for (unsigned i = first; i < first + n; i++) {
                Bytes payload = {};
                char device[32];
                (void) snprintf(device, sizeof(device), "d%u", i);
                assert_int_equal(bytes_append_format(&payload, "{\"n\":%u,\"text\":\"%0*d\"}", i, (int) padding, 7), 0);
                assert_int_equal(reading_list_add(&list,
                                         &(ReadingOrigin){ .source = "home",
                                                 .type = "nature_remo",
                                                 .device = device,
                                                 .at = "2026-11-24T06:27:38.123Z",
                                                 .unique = i },
                                         &payload),
                        0);
        }
        assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
        reading_list_done(&list);
        publisher_wake(f->publisher);
}

static uint64_t waiting(Fixture *f) {
        OutboxStatus status;
        outbox_status(f->outbox, &status);
        return status.rows;
}

static PublisherStatus status_of(Fixture *f) {
        PublisherStatus status;
        publisher_status(f->publisher, &status);
        return status;
}

static void run_once(Fixture *f) {
        assert_true(loop_turn(f->event, USEC_PER_SEC) >= 0);
}

#define RUN_UNTIL(f, condition)                                                                                        \
        do {                                                                                                           \
                usec_t begin = clock_now();                                                                            \
                while (!(condition)) {                                                                                 \
                        assert_true(clock_now() - begin < PATIENCE);                                                   \
                        run_once(f);                                                                                   \
                }                                                                                                      \
        } while (0)

/* Waits as if the pause was over: what comes next is what the timer would do. */
static void skip_wait(Fixture *f) {
        start(f);
        publisher_wake(f->publisher);
}
