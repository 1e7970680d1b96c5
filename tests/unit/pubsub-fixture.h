/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A loop, a client, and a scripted Pub/Sub: what it is asked is written down, what it answers is queued by the test for
 * each kind of call. Without a queued answer a pull hangs, and everything else is well. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "http-server.h"
#include "lib/http.h"
#include "lib/log.h"
#include "pubsub/client.h"
#include "subscribe/subscription.h"

#define FIXTURE_SUBSCRIPTION "projects/p/subscriptions/s"
#define FIXTURE_SETTINGS                                                                                               \
        "{\"name\":\"" FIXTURE_SUBSCRIPTION                                                                            \
        "\",\"topic\":\"projects/p/topics/t\",\"ackDeadlineSeconds\":60,\"messageRetentionDuration\":\"604800s\",\"expirationPolicy\":{}}"
#define FIXTURE_CUT (-1)   /* the connection closes instead of an answer */
#define FIXTURE_FLOOD (-2) /* a reply of FIXTURE_FLOOD_BYTES, whose length is not announced */
#define FIXTURE_SLOW (-3)  /* a reply that begins, and goes on no more */
#define FIXTURE_FLOOD_BYTES (256 * 1024 * 1024)
#define FIXTURE_PATIENCE_USEC (20 * USEC_PER_SEC)

typedef enum CallKind { CALL_GET, CALL_PULL, CALL_ACK, CALL_LEASE, CALL_KINDS } CallKind;

typedef struct Scripted {
        int status;
        char *body;
        char headers[100];
} Scripted;

typedef struct Fixture {
        Loop *event;
        Http *http;
        Config config;
        Client *client;
        Token *token; /* the client's */
        HttpServer *server;
        char endpoint[64];
        int log_fd, stderr_fd;

        pthread_mutex_t mutex; /* over the rest, which the server's threads use too */
        pthread_cond_t queued;
        bool closing;
        Scripted *scripted[CALL_KINDS];
        size_t n_scripted[CALL_KINDS];
        Scripted standing[CALL_KINDS]; /* instead of being well, while status is not 0 */
        unsigned calls[CALL_KINDS], answered[CALL_KINDS];
        unsigned hanging; /* pulls that wait now */
        bool begun;       /* the beginning of a slow reply is sent */
        bool cut;         /* its connection is closed */
        Bytes asked;      /* "KIND BODY\n" for each call */
} Fixture;

static inline CallKind fixture_kind(const HttpServerCall *call) {
        if (strstr(call->path, ":pull"))
                return CALL_PULL;
        if (strstr(call->path, ":acknowledge"))
                return CALL_ACK;
        return strstr(call->path, ":modifyAckDeadline") ? CALL_LEASE : CALL_GET;
}

/* The answer to a call, waiting for one where a real pull would. Its body is the caller's. */
static inline Scripted fixture_take(Fixture *f, CallKind kind, const HttpServerCall *call) {
        static const char *const well[CALL_KINDS] = { FIXTURE_SETTINGS, "{}", "{}", "{}" };
        bool hangs = kind == CALL_PULL && !strstr(call->body.data, "returnImmediately");
        Scripted answer = { .status = 200, .body = (char *) well[kind] };

        while (hangs && f->n_scripted[kind] == 0 && f->standing[kind].status == 0 && !f->closing) {
                f->hanging++;
                (void) pthread_cond_wait(&f->queued, &f->mutex);
                f->hanging--;
        }
        if (f->n_scripted[kind] > 0) {
                answer = f->scripted[kind][0];
                memmove(f->scripted[kind], f->scripted[kind] + 1, --f->n_scripted[kind] * sizeof answer);
                return answer;
        }
        if (f->standing[kind].status != 0)
                answer = f->standing[kind];
        answer.body = strdup(answer.body);
        return answer;
}

static inline void fixture_flood(HttpServerConnection *c) {
        char blank[65536];

        memset(blank, ' ', sizeof blank);
        http_server_send_text(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"receivedMessages\":[");
        for (size_t sent = 0; sent < FIXTURE_FLOOD_BYTES; sent += sizeof blank)
                http_server_send(c, blank, sizeof blank);
}

static inline bool fixture_serve(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        static const char *const names[CALL_KINDS] = { "get", "pull", "ack", "lease" };
        CallKind kind = fixture_kind(call);
        Fixture *f = userdata;
        Scripted answer;

        (void) pthread_mutex_lock(&f->mutex);
        f->calls[kind]++;
        (void) bytes_append_format(&f->asked, "%s %s\n", names[kind], call->body.data ? call->body.data : "");
        answer = fixture_take(f, kind, call);
        (void) pthread_mutex_unlock(&f->mutex);
        if (answer.status == FIXTURE_FLOOD)
                fixture_flood(c);
        else if (answer.status == FIXTURE_SLOW) {
                http_server_send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{\"receivedMessages\":[");
                (void) pthread_mutex_lock(&f->mutex);
                f->begun = true;
                while (!f->cut && !f->closing)
                        (void) pthread_cond_wait(&f->queued, &f->mutex);
                (void) pthread_mutex_unlock(&f->mutex);
        } else if (answer.status != FIXTURE_CUT)
                http_server_reply(c, answer.status, answer.headers, answer.body);
        (void) pthread_mutex_lock(&f->mutex);
        f->answered[kind]++;
        (void) pthread_mutex_unlock(&f->mutex);
        free(answer.body);
        return answer.status > 0;
}

/* The next call of *kind* gets this. */
static inline void fixture_script(Fixture *f, CallKind kind, int status, const char *headers, const char *body) {
        (void) pthread_mutex_lock(&f->mutex);
        f->scripted[kind] = reallocarray(f->scripted[kind], f->n_scripted[kind] + 1, sizeof(Scripted));
        f->scripted[kind][f->n_scripted[kind]] = (Scripted){ .status = status, .body = strdup(body) };
        (void) snprintf(
                f->scripted[kind][f->n_scripted[kind]++].headers, sizeof f->scripted[kind]->headers, "%s", headers);
        (void) pthread_cond_broadcast(&f->queued);
        (void) pthread_mutex_unlock(&f->mutex);
}

/* Every call of *kind* gets this; status 0: all is well again. *body* is borrowed. */
static inline void fixture_stand(Fixture *f, CallKind kind, int status, const char *body) {
        (void) pthread_mutex_lock(&f->mutex);
        f->standing[kind] = (Scripted){ .status = status, .body = (char *) body };
        (void) pthread_cond_broadcast(&f->queued);
        (void) pthread_mutex_unlock(&f->mutex);
}

static inline unsigned fixture_calls(Fixture *f, CallKind kind) {
        unsigned n;

        (void) pthread_mutex_lock(&f->mutex);
        n = f->calls[kind];
        (void) pthread_mutex_unlock(&f->mutex);
        return n;
}

/* Calls whose answer is sent. */
static inline unsigned fixture_answered(Fixture *f, CallKind kind) {
        unsigned n;

        (void) pthread_mutex_lock(&f->mutex);
        n = f->answered[kind];
        (void) pthread_mutex_unlock(&f->mutex);
        return n;
}

static inline unsigned fixture_hanging(Fixture *f) {
        unsigned n;

        (void) pthread_mutex_lock(&f->mutex);
        n = f->hanging;
        (void) pthread_mutex_unlock(&f->mutex);
        return n;
}

static inline bool fixture_has_begun(Fixture *f) {
        bool begun;

        (void) pthread_mutex_lock(&f->mutex);
        begun = f->begun;
        (void) pthread_mutex_unlock(&f->mutex);
        return begun;
}

/* Ends the connections of slow replies. */
static inline void fixture_cut(Fixture *f) {
        (void) pthread_mutex_lock(&f->mutex);
        f->cut = true;
        (void) pthread_cond_broadcast(&f->queued);
        (void) pthread_mutex_unlock(&f->mutex);
}

/* How often *text* is in what was asked. */
static inline unsigned fixture_asked(Fixture *f, const char *text) {
        unsigned n = 0;

        (void) pthread_mutex_lock(&f->mutex);
        for (const char *p = f->asked.data; p && (p = strstr(p, text)); p += strlen(text))
                n++;
        (void) pthread_mutex_unlock(&f->mutex);
        return n;
}

/* How often *text* (a message id, say) is in the log. */
static inline unsigned fixture_logged(Fixture *f, const char *text) {
        char log[65536];
        ssize_t size = pread(f->log_fd, log, sizeof log - 1, 0);
        unsigned n = 0;

        assert_true(size >= 0);
        log[size] = '\0';
        for (const char *p = log; (p = strstr(p, text)); p += strlen(text))
                n++;
        return n;
}

/* Turns the loop until *condition* holds. */
#define fixture_until(f, condition)                                                                                    \
        do {                                                                                                           \
                usec_t end_ = clock_monotonic() + FIXTURE_PATIENCE_USEC;                                               \
                while (!(condition)) {                                                                                 \
                        if (clock_monotonic() > end_)                                                                  \
                                fail_msg("in vain: %s; asked:\n%s", #condition,                                        \
                                        (f)->asked.data ? (f)->asked.data : "");                                       \
                        assert_true(loop_turn((f)->event, 10 * USEC_PER_MSEC) >= 0);                                   \
                }                                                                                                      \
        } while (0)

/* Turns the loop until it has nothing left to do for *span*: what should not happen would have happened. */
static inline void fixture_settle(Fixture *f, usec_t span) {
        usec_t end = clock_monotonic() + span;

        while (clock_monotonic() < end)
                assert_true(loop_turn(f->event, 10 * USEC_PER_MSEC) >= 0);
        for (int i = 0; i < 100 && loop_turn(f->event, 0) > 0; i++) /* the machine may have stood still for so long */
                continue;
}

static inline void fixture_catch_log(Fixture *f) {
        f->log_fd = memfd_create("log", MFD_CLOEXEC);
        assert_true(f->log_fd >= 0);
        (void) fflush(stderr);
        f->stderr_fd = dup(STDERR_FILENO);
        assert_true(dup2(f->log_fd, STDERR_FILENO) >= 0);
        assert_int_equal(setenv("SENSORQD_LOG_FIELDS", "1", 1), 0);
        log_open("test");
}

static inline void fixture_set_up(Fixture *f) {
        *f = (Fixture){ .log_fd = -1, .stderr_fd = -1 };
        assert_int_equal(pthread_mutex_init(&f->mutex, NULL), 0);
        assert_int_equal(pthread_cond_init(&f->queued, NULL), 0);
        f->server = http_server_new(fixture_serve, f);
        (void) snprintf(f->endpoint, sizeof f->endpoint, "http://127.0.0.1:%u", http_server_port(f->server));
        f->config = (Config){ .references = 1, .pubsub = { .endpoint = f->endpoint, .emulator = true } };
        assert_true(loop_new(&f->event) >= 0);
        assert_int_equal(http_new(f->event, "test", &f->http), 0);
        assert_int_equal(
                client_new(&(ClientMeans){ f->event, f->http }, &f->config, &f->client, &(CredentialsError){}), 0);
        f->token = client_token(f->client);
        fixture_catch_log(f);
}

static inline void fixture_tear_down(Fixture *f) {
        (void) dup2(f->stderr_fd, STDERR_FILENO);
        (void) close(f->stderr_fd);
        (void) close(f->log_fd);
        f->client = client_unref(f->client);
        f->http = http_free(f->http);
        loop_free(f->event);
        (void) pthread_mutex_lock(&f->mutex);
        f->closing = true;
        (void) pthread_cond_broadcast(&f->queued);
        (void) pthread_mutex_unlock(&f->mutex);
        http_server_free(f->server);
        for (CallKind kind = 0; kind < CALL_KINDS; kind++) {
                while (f->n_scripted[kind] > 0)
                        free(f->scripted[kind][--f->n_scripted[kind]].body);
                free(f->scripted[kind]);
        }
        bytes_done(&f->asked);
        (void) pthread_cond_destroy(&f->queued);
        (void) pthread_mutex_destroy(&f->mutex);
}

static inline void fixture_on_subscription(void *userdata) {}

/* A subscription whose settings are never read. */
static inline Subscription *fixture_subscription(Fixture *f) {
        const SubscriptionOptions options = { FIXTURE_SUBSCRIPTION, fixture_on_subscription };
        Subscription *subscription;

        assert_int_equal(subscription_new(f->event, f->client, &options, &subscription), 0);
        subscription_rest(subscription);
        return subscription;
}
