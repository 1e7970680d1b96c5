/* SPDX-License-Identifier: Apache-2.0 */
/* Any message as one that rules look at, and any text as the states of a device as they are kept: what is read lies in
 * its block, what is kept reads back as it was written, and what is told is JSON. The first byte: 0 to 8 attributes
 * (for each a size, a key, the value; then the payload), or a text of states. */
#include "fuzz.h"
#include "config.h"
#include "lib/json.h"
#include "sinks/alert-store.h"
#include "types.h"

#define ATTRIBUTES_MAX 8
#define NOW (UINT64_C(1795822800) * USEC_PER_SEC)

static const char config[] = "pubsub: { project: my-project }\n"
                             "subscribe:\n"
                             "  - subscription: sub\n"
                             "    alert:\n"
                             "      targets: [{ name: a, type: ntfy, topic: topic-of-a }]\n"
                             "      rules:\n"
                             "        - { name: hot, field: t, above: 28, clear: 27 }\n"
                             "        - { name: open, field: /a/0, is: on, where: { site: x } }\n"
                             "        - { name: silent, where: { source: x, name: [a, b], /a/b: 5 }, stale: 30m }\n"
                             "        - { name: mute, stale: 30m }\n"
                             "        - { name: cold, field: /newest_events/te/val, below: 3, for: 10m }\n";

static const AlertMoment moment = { .wall = NOW + USEC_PER_HOUR,
        .now = 3 * USEC_PER_HOUR,
        .hearing = 1,
        .heard = 3 * USEC_PER_HOUR,
        .caught_up = true };

static AlertBook *book_new(void) {
        static AlertRules *rules;
        static Config *parsed;
        AlertBook *book;
        ConfigErrors errors = {};

        if (!rules) {
                const ConfigInput input = { "/c.yaml", &types_of_config };

                require(config_parse(&input, config, strlen(config), &parsed, &errors) == 0);
                require(alert_rules_new(parsed->subscriptions[0].keys, &rules) == 0);
        }
        require(alert_book_new(parsed->subscriptions[0].keys, rules, &book) == 0);
        return book;
}

static size_t read_attributes(Slice *input, size_t wanted, WireAttribute attributes[static ATTRIBUTES_MAX]) {
        static const char *const keys[] = { "source", "device", "idempotency_key", "type", "site", "floor" };
        size_t n = 0;

        while (n < wanted && input->size >= 2) {
                const char *key = keys[(uint8_t) input->data[1] % ELEMENTSOF(keys)];
                size_t value = (uint8_t) input->data[0];

                if (value > input->size - 2)
                        value = input->size - 2;
                attributes[n++] = (WireAttribute){ { key, strlen(key) }, { input->data + 2, value } };
                *input = (Slice){ input->data + 2 + value, input->size - 2 - value };
        }
        return n;
}

/* Everything in a device that a restart needs is in its text. */
static void require_kept(const AlertRules *rules, const AlertDevice *device) {
        _cleanup_bytes_ Bytes kept = {}, again = {};
        _cleanup_(alert_device_freep) AlertDevice *copy = NULL;

        require(alert_device_new(device->key, &copy) == 0);
        require(alert_store_write_states(device, rules, &kept) == 0 && bytes_is_utf8(kept.data, kept.size));
        require(alert_store_read_states(copy, rules, (Slice){ kept.data, kept.size }) == 0);
        require(alert_store_write_states(copy, rules, &again) == 0 && copy->n_slots == device->n_slots);
        require(again.size == kept.size && memcmp(again.data, kept.data, kept.size) == 0);
}

/* What the page and the targets get of it. */
static void require_told(AlertBook *book) {
        _cleanup_(alert_figures_done) AlertFigures figures = {};

        require(alert_pass_time(book) == 0);
        require(alert_report_figures(book, &figures) == 0);
        require(figures.firing + figures.pending <= book->n_slots + book->rules->n); /* each may lack a device */
        require(json_is_whole((Slice){ figures.rules.data, figures.rules.size }, JSON_READER_DEPTH, NULL) &&
                bytes_is_utf8(figures.rules.data, figures.rules.size));
        for (size_t i = 0; i < book->n_devices; i++) {
                const AlertDevice *device = book->devices[i];

                for (size_t k = 0; k < device->n_slots; k++)
                        require(alert_device_find(device, device->slots[k].watch) == &device->slots[k]);
                require_kept(book->rules, device);
        }
}

static void fuzz_readings(AlertBook *book, const AlertReadings *readings) {
        for (size_t i = 0; i < readings->n; i++) {
                const AlertReading *reading = &readings->items[i];

                require(reading->at > 0 && reading->device.size > reading->source.size + reading->id.size);
                require(bytes_is_utf8(reading->source.data, reading->source.size) &&
                        bytes_is_utf8(reading->id.data, reading->id.size));
                require(!bytes_is_utf8(reading->device.data, reading->device.size) ||
                        memcmp(reading->device.data, reading->source.data, reading->source.size) == 0);
        }
        require(alert_book_judge(book, readings) == 0);
        require_told(book);
}

static void fuzz_states(AlertBook *book, Slice text) {
        AlertDevice *device;

        require(alert_book_device(book, (Slice){ "d", 1 }, &device) == 0);
        if (alert_store_read_states(device, book->rules, text) < 0)
                return;
        require_kept(book->rules, device);
        require(alert_book_settle(book, &moment) == 0);
        require_told(book);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char published[] = "2026-11-27T23:40:00Z";
        WireAttribute attributes[ATTRIBUTES_MAX];
        WireMessage message = { .publish_time = { published, strlen(published) }, .attributes = attributes };
        Slice input = { (const char *) data + 1, size - 1 };
        AlertReadings readings = {};
        AlertBook *book;

        if (size == 0)
                return 0;
        book = book_new();
        if (data[0] > ATTRIBUTES_MAX)
                fuzz_states(book, input);
        else {
                message.n_attributes = read_attributes(&input, data[0], attributes);
                message.data = input;
                require(alert_readings_add(&readings, book->rules, &message, PAYLOAD_JSON, NOW) == 0);
                require(readings.n + readings.unreadable <= 1);
                require(alert_book_settle(book, &moment) == 0);
                fuzz_readings(book, &readings);
        }
        alert_readings_done(&readings);
        (void) alert_book_free(book);
        return 0;
}
