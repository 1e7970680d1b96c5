/* SPDX-License-Identifier: Apache-2.0 */
/* Any message as one that rules look at, and any text as the states of a device as they are kept: what is read lies in
 * its block, and what is kept reads back as it was written. The first byte: 0 to 8 attributes (for each a size, a key,
 * the value; then the payload), or a text of states. */
#include "fuzz.h"
#include "config-file.h"
#include "sinks/alert-device.h"
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

static const AlertRules *rules_get(void) {
        static AlertRules *rules;
        static Config *parsed;
        ConfigErrors errors = {};

        if (!rules) {
                const ConfigInput input = { "/c.yaml", &types_of_config, NULL };

                require(config_parse(&input, config, strlen(config), &parsed, &errors) == 0);
                require(alert_rules_new(parsed->subscriptions[0].keys, &rules) == 0);
        }
        return rules;
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
        require(alert_device_write(device, rules, &kept) == 0 && bytes_is_utf8(kept.data, kept.size));
        require(alert_device_read(copy, rules, (Slice){ kept.data, kept.size }) == 0);
        require(alert_device_write(copy, rules, &again) == 0 && copy->n_slots == device->n_slots);
        require(again.size == kept.size && memcmp(again.data, kept.data, kept.size) == 0);
}

static void judge(const AlertRules *rules, AlertSlot *slot, const AlertReading *reading) {
        const AlertWatch *watch = &rules->items[slot->watch];
        AlertLife life = alert_reading_life(rules, watch, reading);
        AlertTruth truth =
                watch->has_field ? alert_judge_value(&watch->logic, reading->values[watch->field]) : ALERT_SAYS_NOTHING;

        if (watch->logic.test == ALERT_STALE)
                (void) alert_judge_life(&watch->logic, &slot->state, &life, NOW);
        else
                (void) alert_judge_message(&watch->logic, &slot->state, reading->at, truth);
        (void) alert_judge_time(&watch->logic, &slot->state, NOW + USEC_PER_HOUR, true);
        require(slot->state.phase < PHASES && (slot->state.phase == PHASE_OK || slot->state.since > 0));
}

static void fuzz_reading(const AlertRules *rules, const AlertReading *reading) {
        _cleanup_(alert_device_freep) AlertDevice *device = NULL;
        size_t added;

        require(reading->at > 0 && reading->device.size > reading->source.size + reading->id.size);
        require(memcmp(reading->device.data, reading->source.data, reading->source.size) == 0);
        require(alert_device_new(reading->device, &device) == 0);
        require(alert_device_describe(device, reading) == 0);
        require(alert_device_place(device, rules, reading, 100, &added) == 0 && added == device->n_slots);
        for (size_t i = 0; i < device->n_slots; i++)
                judge(rules, &device->slots[i], reading);
        require_kept(rules, device);
}

static void fuzz_states(const AlertRules *rules, Slice text) {
        _cleanup_(alert_device_freep) AlertDevice *device = NULL;

        require(alert_device_new((Slice){ "d", 1 }, &device) == 0);
        if (alert_device_read(device, rules, text) == 0)
                require_kept(rules, device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char published[] = "2026-11-27T23:40:00Z";
        WireAttribute attributes[ATTRIBUTES_MAX];
        WireMessage message = { .publish_time = { published, strlen(published) }, .attributes = attributes };
        const AlertRules *rules = rules_get();
        Slice input = { (const char *) data + 1, size - 1 };
        AlertReadings readings = {};

        if (size == 0)
                return 0;
        if (data[0] > ATTRIBUTES_MAX)
                return fuzz_states(rules, input), 0;
        message.n_attributes = read_attributes(&input, data[0], attributes);
        message.data = input;
        require(alert_readings_add(&readings, rules, &message, PAYLOAD_JSON, NOW) == 0 &&
                readings.n + readings.unreadable <= 1);
        for (size_t i = 0; i < readings.n; i++)
                fuzz_reading(rules, &readings.items[i]);
        alert_readings_done(&readings);
        return 0;
}
