/* SPDX-License-Identifier: Apache-2.0 */
/* The sender of alerts between a book, whose turns the test plays, and an HTTP server that answers as the test says.
 * Waiting takes no time here: timers of the sender fire at once, and how long they would have waited is noted. */
#pragma once
#include "config-fixture.h"

#include <pthread.h>

#include "capture.h"
#include "events.h"
#include "http-server.h"
#include "lib/json.h"
#include "sinks/alert-config.h"
#include "sinks/alert-sender.h"

#define WAIT_USEC (30 * USEC_PER_SEC)
#define CALLS_MAX 256
#define NOTICES_MAX 16
#define NO_ANSWER (-1)

typedef struct Call {
        char path[128], key[64], authorization[64];
        char *body;
} Call;

/* An entry, and what the disk has of it. */
typedef struct Stored {
        AlertEntry *entry; /* NULL: it is gone */
        AlertEntry saved;
} Stored;

typedef struct World {
        Loop *loop;
        Http *http;
        Secrets *secrets;
        HttpServer *server;
        pthread_mutex_t lock;
        Call calls[CALLS_MAX];
        _Atomic size_t n_calls;
        int (*says)(const struct World *w, const Call *call); /* the status, or NO_ANSWER */
        const char *headers, *words;
        char url[100], hook[160];
        AlertTarget target;
        AlertConfig keys;
        SubscriptionConfig config;
        Stored stored[NOTICES_MAX];
        size_t n_stored;
        AlertRule rule;
        AlertRules *rules;
        AlertBook *book;
        LoopWatch *turn;
        bool wanted, store_fails, deaf;
        unsigned turns;
        unsigned starved; /* so many requests find no memory */
        usec_t longest_wait;
        AlertSender *sender;
} World;

static World world;
static char name[] = "family", file[] = "secret", token[] = "t0ken-of-line", topic[] = "house", recipient[] = "U123456",
            rule_name[] = "hot", message[] = "{name}", subscription[] = "projects/p/subscriptions/s";

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

static AlertMoment now(void) {
        return (AlertMoment){ .wall = clock_wall(),
                .now = clock_now(),
                .hearing = !world.deaf,
                .caught_up = !world.deaf,
                .missed = world.deaf ? clock_now() : 0 };
}

static void save(World *w) {
        for (size_t i = 0; i < w->n_stored; i++) {
                Stored *stored = &w->stored[i];

                stored->entry = stored->entry && stored->entry->gone ? NULL : stored->entry;
                stored->saved = stored->entry ? *stored->entry : (AlertEntry){};
        }
        alert_book_committed(w->book);
}

static void on_turn(void *userdata) {
        World *w = userdata;
        const AlertMoment moment = now();

        w->wanted = false;
        w->turns++;
        alert_book_begin(w->book, &moment);
        alert_sender_note(w->sender, w->book);
        assert_int_equal(alert_pass_time(w->book), 0);
        if (!w->store_fails)
                save(w);
        alert_sender_noted(w->sender, w->book, !w->store_fails);
        if (w->store_fails)
                loop_wake(w->turn);
}

static void want(void *userdata) {
        World *w = userdata;

        w->wanted = true;
        loop_wake(w->turn);
}

/* A notice whose whole text is *text*. */
static void due(World *w, const char *text) {
        Stored *stored = &w->stored[w->n_stored++];
        const Slice key = { text, strlen(text) };
        AlertDevice *device;
        AlertSlot *slot;

        assert_true(w->n_stored <= NOTICES_MAX);
        assert_int_equal(alert_book_device(w->book, key, &device), 0);
        assert_int_equal(alert_device_describe(device, &(AlertReading){ .name = key }), 0);
        assert_int_equal(alert_device_need(device, 0, &slot), 0);
        slot->state = (AlertState){ .phase = PHASE_FIRING, .since = w->n_stored, .judged = USEC_PER_SEC };
        alert_book_tell(w->book, device, slot);
        stored->entry = device->entries;
        if (w->sender)
                want(w);
}

static bool is_due(const World *w, size_t index) {
        const AlertEntry *entry = w->stored[index].entry;

        return entry && entry->told_since != entry->since && entry->closed != entry->since;
}

static bool is_sealed(const World *w, size_t index) {
        return alert_entry_is_sealed(w->stored[index].entry);
}

static bool is_accepted(const World *w, size_t index) {
        return w->stored[index].entry->told_since > 0;
}

static bool is_refused(const World *w, size_t index) {
        return w->stored[index].entry->closed > 0;
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
                .want = want,
                .on_change = on_change,
                .userdata = w };

        w->config = (SubscriptionConfig){
                .subscription = subscription, .backoff = { 1 * USEC_PER_SEC, 8 * USEC_PER_SEC }, .keys = &w->keys
        };
        w->says = says;
        assert_int_equal(alert_sender_new(&host, &w->sender, problem), 0);
        want(w);
}

static void stop(World *w) {
        w->sender = alert_sender_free(w->sender);
}

/* As after a kill: the requests are gone, and so is all that is not on the disk. */
static void restart(World *w) {
        stop(w);
        for (size_t i = 0; i < w->n_stored; i++)
                *w->stored[i].entry = w->stored[i].saved;
        start(w, w->says);
}

static bool is_drained(const World *w) {
        return !w->wanted && alert_sender_is_drained(w->sender);
}

static bool all_settled(const World *w) {
        for (size_t i = 0; i < w->n_stored; i++)
                if (is_due(w, i))
                        return false;
        return true;
}

static void assert_all_accepted_once(const World *w) {
        for (size_t i = 0; i < w->n_stored; i++)
                assert_true(is_accepted(w, i));
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
        assert_int_equal(loop_add_defer(w->loop, on_turn, w, &w->turn), 0);
        w->rule = (AlertRule){ .name = rule_name, .field = name, .test = ALERT_ABOVE, .message = message };
        w->keys = (AlertConfig){ .targets = &w->target, .n_targets = 1, .rules = &w->rule, .n_rules = 1 };
        assert_int_equal(alert_rules_new(&w->keys, &w->rules), 0);
        assert_int_equal(alert_book_new(&w->keys, w->rules, &w->book), 0);
        as_slack(w);
        *state = w;
        return 0;
}

static int tear_down(void **state) {
        World *w = *state;

        w->sender = alert_sender_free(w->sender);
        w->turn = loop_drop(w->turn);
        w->book = alert_book_free(w->book);
        w->rules = alert_rules_free(w->rules);
        w->server = http_server_free(w->server);
        w->secrets = secrets_free(w->secrets);
        w->http = http_free(w->http);
        w->loop = loop_free(w->loop);
        forget_calls(w);
        return 0;
}
