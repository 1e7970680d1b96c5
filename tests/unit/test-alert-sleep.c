/* SPDX-License-Identifier: Apache-2.0 */
/* A machine that sleeps while a rule waits for its `for`, in virtual time: what the queue has of that time comes first
 * (P14). */
#include "config-fixture.h"

#include <unistd.h>

#include "lib/http.h"
#include "lib/worker.h"
#include "sinks/alert-config.h"
#include "subscribe/sink.h"
#include "virtual-loop.h"

#define TEXT                                                                                                           \
        PUBSUB "subscribe:\n"                                                                                          \
               "  - subscription: sub\n"                                                                               \
               "    alert:\n"                                                                                          \
               "      targets: [{ name: a, type: ntfy, url: 'http://127.0.0.1:1', topic: alerts }]\n"                  \
               "      rules: [{ name: hot, field: t, above: 28, for: 30m }]\n"

extern const SinkType sink_type_alert; /* not by types.c, which has a loop's children with it */

static const ConfigSection *source_at(size_t index) {
        return NULL;
}

static const ConfigSection *sink_at(size_t index) {
        return index == 0 ? sink_type_alert.keys : NULL;
}

/* ---- a worker without a thread: in place of lib/worker.c ---- */

struct Worker {
        WorkerRun run;
        WorkerDone done;
        void *userdata, *job;
        LoopWatch *defer;
};

static void on_defer(void *userdata) {
        Worker *worker = userdata;
        void *job = worker->job;

        worker->job = NULL;
        worker->run(worker->userdata, job);
        worker->done(worker->userdata, job);
}

int worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret) {
        *ret = calloc(1, sizeof(Worker));
        **ret = (Worker){ .run = run, .done = done, .userdata = userdata };
        return loop_add_defer(loop, on_defer, *ret, &(*ret)->defer);
}

int worker_submit(Worker *worker, void *job) {
        worker->job = job;
        loop_wake(worker->defer);
        return WORKER_STARTED;
}

Worker *worker_free(Worker *worker) {
        if (worker)
                (void) loop_drop(worker->defer);
        free(worker);
        return NULL;
}

void worker_end(Worker *worker, void (*release)(void *what), void *what) {
        release(what);
        (void) worker_free(worker);
}

/* ---- a sink ---- */

typedef struct House {
        char directory[32];
        Config *config;
        Loop *loop;
        Http *http;
        Sink *sink;
} House;

static void on_settled(void *userdata, Batch *batch) {
        batch_free(batch);
}

static void house_open(House *h) {
        static const ConfigTypes types = { source_at, sink_at };

        *h = (House){ .directory = "/tmp/test-sleep.XXXXXX", .config = parse_as("c.yaml", TEXT, strlen(TEXT), &types) };
        assert_non_null(mkdtemp(h->directory));
        h->config->subscriptions[0].state_dir = h->directory;
        assert_int_equal(loop_new(&h->loop), 0);
        assert_int_equal(http_new(h->loop, "test/1", &h->http), 0);
        assert_int_equal(sink_new(&sink_type_alert, &h->config->subscriptions[0],
                                 &(SinkCallbacks){ .on_settled = on_settled,
                                         .means = { .loop = h->loop, .http = h->http, .state_dir = h->directory } },
                                 &h->sink),
                0);
        virtual_pass(h->loop, 0);
}

static void house_close(House *h) {
        char command[64];

        sink_stop(h->sink, false);
        virtual_pass(h->loop, 0); /* the last turn */
        h->sink = sink_free(h->sink);
        h->http = http_free(h->http);
        h->loop = loop_free(h->loop);
        config_unref(h->config);
        (void) snprintf(command, sizeof(command), "rm -rf %s", h->directory);
        assert_int_equal(system(command), 0);
}

static void house_hear(House *h, SinkNews news) {
        sink_heard(h->sink, news);
        virtual_pass(h->loop, 0);
}

/* A pull brings what was measured at that time. */
static void house_say(House *h, usec_t at, int t) {
        char time[CLOCK_RFC3339_SIZE];
        Bytes body = {}, text = {};
        Batch *batch;

        (void) clock_format_rfc3339(at, time);
        assert_int_equal(bytes_append_format(
                                 &text, "{\"id\":\"x\",\"source\":\"home\",\"request_at\":\"%s\",\"t\":%d}", time, t),
                0);
        assert_int_equal(
                bytes_append_text(
                        &body, "{\"receivedMessages\":[{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"data\":\""),
                0);
        assert_int_equal(bytes_append_base64(&body, text.data, text.size), 0);
        assert_int_equal(bytes_append_format(&body, "\",\"publishTime\":\"%s\"}}]}", time), 0);
        bytes_done(&text);
        assert_int_equal(batch_new(&body, clock_now(), &batch), 0);
        sink_heard(h->sink, SINK_NEWS_ANSWERED);
        assert_int_equal(sink_write(h->sink, batch), SINK_WRITE_STARTED);
        virtual_pass(h->loop, 0);
}

static void house_expect(House *h, const char *words) {
        SinkStatus status;

        sink_status(h->sink, &status);
        assert_true(strncmp(status.figures.words, words, strlen(words)) == 0);
        assert_true(words[0] || !status.figures.words[0]);
}

/* Too warm since a minute when the lid is closed, and cool again soon after: the queue knows. */
static void test_over_meanwhile(void **state) {
        House h;

        house_open(&h);
        house_say(&h, clock_wall(), 30);
        virtual_pass(h.loop, USEC_PER_MINUTE);
        house_hear(&h, SINK_NEWS_EMPTY);
        virtual_sleep(8 * USEC_PER_HOUR);
        virtual_pass(h.loop, 0); /* no pull is answered yet */
        house_expect(&h, "");
        house_say(&h, clock_wall() - 7 * USEC_PER_HOUR, 20);
        house_hear(&h, SINK_NEWS_EMPTY);
        virtual_pass(h.loop, USEC_PER_MINUTE);
        house_expect(&h, "");
        house_close(&h);
}

/* The queue has nothing else to say: it is told, after a moment for what may be on its way. */
static void test_goes_on(void **state) {
        House h;

        house_open(&h);
        house_say(&h, clock_wall(), 30);
        virtual_pass(h.loop, USEC_PER_MINUTE);
        house_hear(&h, SINK_NEWS_EMPTY);
        virtual_sleep(8 * USEC_PER_HOUR);
        house_hear(&h, SINK_NEWS_EMPTY);
        virtual_pass(h.loop, USEC_PER_MINUTE);
        house_expect(&h, "1 alert firing (hot: x)");
        house_close(&h);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_over_meanwhile),
                cmocka_unit_test(test_goes_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
