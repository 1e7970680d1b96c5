/* SPDX-License-Identifier: Apache-2.0 */
/* What a message costs the alert sink: RULES rules, DEVICES devices, batches of BATCH messages as the sink gets them.
 * Usage: alert-turns DIRECTORY [MESSAGES [RULES [DEVICES [BATCH]]]]. Prints CPU and wall time a message, and syncs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "lib/err.h"
#include "lib/log.h"
#include "sinks/alert-store.h"
#include "types.h"

#define START (UINT64_C(1795822440) * USEC_PER_SEC)

typedef struct Text {
        char data[700], published[CLOCK_RFC3339_SIZE], key[100], id[40];
        WireAttribute attributes[4];
        WireMessage message;
} Text;

static Config *make_config(unsigned rules) {
        Bytes text = {};
        ConfigErrors errors = {};
        Config *config = NULL;

        (void) bytes_append_text(&text, "pubsub: {project: p123456}\nsubscribe:\n  - subscription: sub\n    alert:\n   "
                                        "   targets: [{name: a, type: "
                                        "ntfy, topic: abc}]\n      rules:\n");
        for (unsigned i = 0; i < rules; i++)
                (void) bytes_append_format(&text,
                        "        - { name: r%u, where: { source: home }, field: /newest_events/%s/val, %s: %u, for: 5m "
                        "}\n",
                        i, (const char *const[]){ "te", "hu", "il", "mo" }[i % 4], i % 2 ? "above" : "below",
                        i % 2 ? 900 + i : i);
        if (config_parse(&(ConfigInput){ "bench.yaml", &types_of_config }, text.data, text.size, &config, &errors) < 0)
                fprintf(stderr, "%s\n", errors.texts[0]);
        bytes_done(&text);
        return config;
}

static Slice slice(const char *text) {
        return (Slice){ text, strlen(text) };
}

static void make_message(Text *t, size_t i, unsigned devices) {
        char time[CLOCK_RFC3339_SIZE];
        usec_t at = START + i / devices * USEC_PER_MINUTE;

        (void) clock_format_rfc3339(at, time);
        (void) clock_format_rfc3339(at, t->published);
        (void) snprintf(t->id, sizeof(t->id), "1W3020010000%02zu", i % devices);
        (void) snprintf(t->key, sizeof(t->key), "%s:home:%s:0123456789abcdef", time, t->id);
        (void) snprintf(t->data, sizeof(t->data),
                "{\"name\":\"Room "
                "%zu\",\"newest_events\":{\"te\":{\"val\":%zu.4,\"created_at\":\"%s\"},\"hu\":{\"val\":55,\"created_"
                "at\":\"%s\"},"
                "\"il\":{\"val\":113.3,\"created_at\":\"%s\"},\"mo\":{\"val\":1,\"created_at\":\"%s\"}},\"updated_at\":"
                "\"%s\",\"request_at\":\"%s\","
                "\"id\":\"%s\",\"source\":\"home\",\"temperature_offset\":0,\"humidity_offset\":0}",
                i % devices, 20 + i % 7, time, time, time, time, time, time, t->id);
        t->attributes[0] = (WireAttribute){ slice("idempotency_key"), slice(t->key) };
        t->attributes[1] = (WireAttribute){ slice("source"), slice("home") };
        t->attributes[2] = (WireAttribute){ slice("type"), slice("nature_remo") };
        t->attributes[3] = (WireAttribute){ slice("device"), slice(t->id) };
        t->message = (WireMessage){ .data = slice(t->data),
                .message_id = slice("1"),
                .publish_time = slice(t->published),
                .attributes = t->attributes,
                .n_attributes = 4 };
}

static double seconds(clockid_t clock) {
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static unsigned argument(int argc, char **argv, int index, unsigned fallback) {
        return argc > index ? (unsigned) atoi(argv[index]) : fallback;
}

int main(int argc, char **argv) {
        unsigned n = argument(argc, argv, 2, 100000), rules = argument(argc, argv, 3, 20),
                 devices = argument(argc, argv, 4, 50), batch = argument(argc, argv, 5, 1000), turns = 0;
        double cpu = 0, wall = 0;
        Config *config = make_config(rules);
        AlertStore *store;
        Text *texts = calloc(batch, sizeof(Text));
        SinkItem *items = calloc(batch, sizeof(SinkItem));

        if (argc > 1 && config)
                config->subscriptions[0].state_dir = argv[1];
        if (argc < 2 || !config || !texts || !items || alert_store_new(&config->subscriptions[0], &store) < 0)
                return 1;
        for (size_t i = 0; i < n; i += batch, turns++) {
                AlertTurn turn = { .items = items, .n_items = i + batch < n ? batch : n - i };

                for (size_t k = 0; k < turn.n_items; k++) {
                        make_message(&texts[k], i + k, devices);
                        items[k] = (SinkItem){ .message = &texts[k].message };
                }
                turn.moment = (AlertMoment){ START + (i + batch) / devices * USEC_PER_MINUTE, clock_now(), 1,
                        clock_now(), false };
                cpu -= seconds(CLOCK_PROCESS_CPUTIME_ID);
                wall -= seconds(CLOCK_MONOTONIC);
                if (alert_store_book(store))
                        alert_book_begin(alert_store_book(store), &turn.moment);
                alert_work_run(store, &turn);
                cpu += seconds(CLOCK_PROCESS_CPUTIME_ID);
                wall += seconds(CLOCK_MONOTONIC);
                if (turn.result < 0)
                        return 1;
                alert_figures_done(&turn.figures);
        }
        printf("%u messages, %u rules, %u devices, batches of %u: %.2f us CPU, %.2f us in all a message; %u turns\n", n,
                rules, devices, batch, cpu / n * 1e6, wall / n * 1e6, turns);
        store = alert_store_free(store);
        config_unref(config);
        free(texts);
        free(items);
        return 0;
}
