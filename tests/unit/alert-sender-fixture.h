/* SPDX-License-Identifier: Apache-2.0 */
/* The sender of alerts between a store that the test plays and an HTTP server that answers as the test says. Waiting
 * takes no time here: timers of the sender fire at once, and how long they would have waited is noted. */
#pragma once
#include "config-fixture.h"

#include <pthread.h>

#include "capture.h"
#include "events.h"
#include "http-server.h"
#include "lib/json.h"
#include "sinks/alert-config.h"
#include "sinks/alert-post.h"
#include "sinks/alert-sender.h"

#define WAIT_USEC (30 * USEC_PER_SEC)
#define CALLS_MAX 256
#define NOTICES_MAX 16
#define NO_ANSWER (-1)

typedef struct Call {
        char path[128], key[64], authorization[64];
        char *body;
} Call;

/* A notice of the store, and what became of it. */
typedef struct Stored {
        AlertNotice notice;
        bool due, refused;
        unsigned accepted;
} Stored;

typedef struct World {
        Loop *loop;
        Http *http;
        Secrets *secrets;
        HttpServer *server;
        pthread_mutex_t lock;
        Call calls[CALLS_MAX];
        size_t n_calls;
        int (*says)(const struct World *w, const Call *call); /* the status, or NO_ANSWER */
        const char *headers, *words;
        char url[100], hook[160];
        AlertTarget target;
        AlertConfig keys;
        SubscriptionConfig config;
        Stored stored[NOTICES_MAX];
        size_t n_stored;
        AlertExchange *asked;
        LoopWatch *answer;
        bool store_fails, forgets; /* forgets: what is sealed is not due any more */
        unsigned exchanges;
        unsigned starved; /* so many requests find no memory */
        usec_t longest_wait;
        AlertSender *sender;
} World;

static World world;
static char name[] = "family", file[] = "secret", token[] = "t0ken-of-line", topic[] = "house", recipient[] = "U123456";

/* ---- time ---- */

void __real_loop_arm(LoopWatch *timer, usec_t at);
void __wrap_loop_arm(LoopWatch *timer, usec_t at);

void __wrap_loop_arm(LoopWatch *timer, usec_t at) {
        usec_t now = clock_now();

        if (at > now && at - now > world.longest_wait)
                world.longest_wait = at - now;
        __real_loop_arm(timer, 0);
}

/* ---- this machine ---- */

int __real_http_start(Http *http, HttpSpec *spec, HttpDone done, void *userdata, HttpRequest **ret);
int __wrap_http_start(Http *http, HttpSpec *spec, HttpDone done, void *userdata, HttpRequest **ret);

int __wrap_http_start(Http *http, HttpSpec *spec, HttpDone done, void *userdata, HttpRequest **ret) {
        if (world.starved > 0) {
                world.starved--;
                return -ENOMEM;
        }
        return __real_http_start(http, spec, done, userdata, ret);
}

/* ---- the server ---- */

static bool handle(void *userdata, HttpServerConnection *connection, const HttpServerCall *call) {
        World *w = userdata;
        Call *noted;
        int status;

        assert_int_equal(pthread_mutex_lock(&w->lock), 0);
        assert_true(w->n_calls < CALLS_MAX);
        noted = &w->calls[w->n_calls];
        (void) snprintf(noted->path, sizeof(noted->path), "%.127s", call->path);
        if (!http_server_header(call, "X-Line-Retry-Key", noted->key, sizeof(noted->key)))
                (void) http_server_header(call, "Idempotency-Key", noted->key, sizeof(noted->key));
        (void) http_server_header(call, "Authorization", noted->authorization, sizeof(noted->authorization));
        noted->body = strndup(call->body.data ? call->body.data : "", call->body.size);
        status = w->says(w, noted);
        w->n_calls++;
        assert_int_equal(pthread_mutex_unlock(&w->lock), 0);
        if (status == NO_ANSWER)
                return false;
        http_server_reply(connection, status, w->headers, w->words);
        return true;
}

static void forget_calls(World *w) {
        for (size_t i = 0; i < w->n_calls; i++) {
                free(w->calls[i].body);
                w->calls[i] = (Call){};
        }
        w->n_calls = 0;
}

static int says_yes(const World *w, const Call *call) {
        return 200;
}

/* ---- the store ---- */

static Stored *find_stored(World *w, int64_t id) {
        assert_in_range(id, 1, w->n_stored);
        return &w->stored[id - 1];
}

static void take_receipt(World *w, const AlertReceipt *receipt) {
        Stored *stored = find_stored(w, receipt->id);

        switch (receipt->verdict) {
        case ALERT_SEALED:
                assert_true(stored->notice.key[0] == '\0');
                (void) memcpy(stored->notice.key, receipt->key, sizeof(receipt->key));
                stored->due &= !w->forgets;
                break;
        case ALERT_BACK:
                stored->notice.key[0] = '\0';
                break;
        default:
                assert_true(stored->due);
                stored->due = false;
                stored->refused = receipt->verdict == ALERT_REFUSED;
                stored->accepted += receipt->verdict == ALERT_ACCEPTED;
        }
}

static void on_answer(void *userdata) {
        World *w = userdata;
        AlertExchange *x = w->asked;

        w->asked = NULL;
        w->exchanges++;
        if (w->store_fails)
                return alert_sender_exchanged(w->sender, -ENOSPC);
        for (size_t i = 0; i < x->n_receipts; i++)
                take_receipt(w, &x->receipts[i]);
        x->notices = calloc(w->n_stored + 1, sizeof(*x->notices));
        assert_non_null(x->notices);
        for (size_t i = 0; i < w->n_stored; i++)
                if (w->stored[i].due)
                        x->notices[x->n_notices++] = w->stored[i].notice;
        alert_sender_exchanged(w->sender, 0);
}

static void on_exchange(void *userdata, AlertExchange *exchange) {
        World *w = userdata;

        assert_null(w->asked);
        w->asked = exchange;
        loop_wake(w->answer);
}

/* A notice whose whole text is *text*. */
static void due(World *w, const char *text) {
        Stored *stored = &w->stored[w->n_stored++];

        assert_true(w->n_stored <= NOTICES_MAX);
        *stored = (Stored){ .due = true,
                .notice = { .id = (int64_t) w->n_stored,
                        .kind = ALERT_FIRING,
                        .target = name,
                        .rule = "hot",
                        .name = text,
                        .since = USEC_PER_SEC,
                        .at = USEC_PER_SEC,
                        .text = "{name}" } };
}

/* ---- the sender ---- */

#define UNTIL(w, condition)                                                                                            \
        do {                                                                                                           \
                usec_t _end = clock_now() + WAIT_USEC;                                                                 \
                while (!(condition)) {                                                                                 \
                        assert_true(clock_now() < _end);                                                               \
                        assert_true(loop_turn((w)->loop, 20 * USEC_PER_MSEC) >= 0);                                    \
                }                                                                                                      \
        } while (0)

static void on_change(void *userdata) {}

static void start(World *w, int (*says)(const World *w, const Call *call)) {
        char problem[SINK_DETAIL_MAX];
        const AlertSenderHost host = { .means = { w->loop, w->http, w->secrets, "/nowhere", false },
                .config = &w->config,
                .exchange = on_exchange,
                .on_change = on_change,
                .userdata = w };

        w->keys = (AlertConfig){ .targets = &w->target, .n_targets = 1 };
        w->config = (SubscriptionConfig){ .subscription = (char[]){ "projects/p/subscriptions/s" },
                .backoff = { 1 * USEC_PER_SEC, 8 * USEC_PER_SEC },
                .keys = &w->keys };
        w->says = says;
        assert_int_equal(alert_sender_new(&host, &w->sender, problem), 0);
        alert_sender_wake(w->sender);
}

/* As after a kill: the requests are gone, and so is all that only the sender knew. */
static void restart(World *w) {
        loop_off(w->answer);
        w->asked = NULL;
        w->sender = alert_sender_free(w->sender);
        start(w, w->says);
}

static bool all_settled(const World *w) {
        for (size_t i = 0; i < w->n_stored; i++)
                if (w->stored[i].due)
                        return false;
        return true;
}

static void assert_all_accepted_once(const World *w) {
        for (size_t i = 0; i < w->n_stored; i++)
                assert_int_equal(w->stored[i].accepted, 1);
}

static AlertTargetStatus status(const World *w) {
        return *alert_sender_status(w->sender, 0);
}

static void as_slack(World *w) {
        (void) snprintf(w->hook, sizeof(w->hook), "%s/services/T0/4Hd8sK2p9QxZ", w->url);
        w->target = (AlertTarget){ .name = name, .type = ALERT_SLACK, .at.url_file = { file, w->hook } };
}

static void as_line(World *w) {
        w->target = (AlertTarget){
                .name = name, .type = ALERT_LINE, .at.url = w->url, .recipient = recipient, .token = { file, token }
        };
}

static void as_web(World *w) {
        w->target = (AlertTarget){ .name = name, .type = ALERT_WEBHOOK, .at.url = w->url };
}

/* ---- set up ---- */

static int set_up(void **state) {
        World *w = &world;

        *w = (World){ .headers = "", .words = "ok", .says = says_yes };
        assert_int_equal(pthread_mutex_init(&w->lock, NULL), 0);
        w->server = http_server_new(handle, w);
        (void) snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u", http_server_port(w->server));
        assert_int_equal(loop_new(&w->loop), 0);
        assert_int_equal(http_new(w->loop, "test", &w->http), 0);
        assert_int_equal(secrets_new(&w->secrets), 0);
        assert_int_equal(loop_add_defer(w->loop, on_answer, w, &w->answer), 0);
        as_slack(w);
        *state = w;
        return 0;
}

static int tear_down(void **state) {
        World *w = *state;

        w->sender = alert_sender_free(w->sender);
        w->answer = loop_drop(w->answer);
        w->server = http_server_free(w->server);
        w->secrets = secrets_free(w->secrets);
        w->http = http_free(w->http);
        w->loop = loop_free(w->loop);
        forget_calls(w);
        return 0;
}
