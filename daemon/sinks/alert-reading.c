/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-reading.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/json.h"
#include "lib/pointer.h"
#include "lib/text.h"

#define STILL_USEC (24 * USEC_PER_HOUR)
#define LABELS_MAX 64
#define VALUE_SIZE_MAX 4096 /* a longer value cannot equal any that a rule names */

void alert_readings_done(AlertReadings *readings) {
        for (size_t i = 0; i < readings->n; i++)
                free(readings->items[i].text);
        free(readings->items);
        free(readings->scratch);
        *readings = (AlertReadings){};
}

/* ---- attributes ---- */

static Slice find_attribute(const WireMessage *message, const char *key) {
        for (size_t i = 0; i < message->n_attributes; i++)
                if (slice_equal(message->attributes[i].key, key))
                        return message->attributes[i].value;
        return (Slice){};
}

/* Whether sensorqd published the message: then every other attribute is a label. Other publishers may add an attribute
 * that differs in each message. */
static bool is_ours(const WireMessage *message) {
        return find_attribute(message, "idempotency_key").data && find_attribute(message, "source").data &&
               find_attribute(message, "device").data;
}

static bool is_label(const WireAttribute *attribute) {
        static const char *const others[] = { "idempotency_key", "source", "type", "device", NULL };

        for (size_t i = 0; others[i]; i++)
                if (slice_equal(attribute->key, others[i]))
                        return false;
        return attribute->key.size < 4 || memcmp(attribute->key.data, "goog", 4) != 0;
}

static int compare_labels(const void *a, const void *b) {
        return slice_order((*(const WireAttribute *const *) a)->key, (*(const WireAttribute *const *) b)->key);
}

/* Sorts labels by name: Pub/Sub keeps no order. */
static size_t sort_labels(const WireMessage *message, const WireAttribute *labels[static LABELS_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < message->n_attributes && n < LABELS_MAX && is_ours(message); i++)
                if (is_label(&message->attributes[i]))
                        labels[n++] = &message->attributes[i];
        if (n > 1)
                qsort(labels, n, sizeof(labels[0]), compare_labels);
        return n;
}

/* ---- one message ---- */

/* Returns enough room for copies of everything, so that the text never moves. */
static size_t measure(const WireMessage *message, const Slice *values, size_t n) {
        size_t size = n * sizeof(Slice);

        for (size_t i = 0; i < n; i++)
                if (values[i].size <= VALUE_SIZE_MAX)
                        size += 3 * values[i].size; /* some are copied as texts as well, and source and id once more */
        for (size_t i = 0; i < message->n_attributes; i++)
                size += 2 * (message->attributes[i].key.size + message->attributes[i].value.size + 2);
        return size + 4;
}

/* Appends to the reading's text. */
static Slice put(char **end, Slice part) {
        char *begin = *end;

        if (part.size > 0)
                *end = mempcpy(*end, part.data, part.size);
        return (Slice){ begin, part.size };
}

/* Appends a JSON value as plain text: nothing for an object, a list or null. */
static Slice put_text(char **end, Slice value) {
        size_t size = 0;

        if (value.size == 0 || strchr("{[n", value.data[0]))
                return (Slice){ *end, 0 };
        if (value.data[0] != '"')
                return put(end, value);
        if (json_unescape((Slice){ value.data + 1, value.size - 2 }, *end, &size) < 0)
                size = 0;
        *end += size;
        return (Slice){ *end - size, size };
}

static void put_name(char **end, AlertReading *reading, const AlertRules *rules, const WireMessage *message) {
        Slice source = find_attribute(message, "source"), device = find_attribute(message, "device");
        const Slice *values = reading->values;

        reading->name = put_text(end, values[rules->name]);
        reading->site = put_text(end, values[rules->site]);
        reading->source = source.size > 0 ? put(end, source) : put_text(end, values[rules->source]);
        reading->id = device.size > 0 ? put(end, device) : put_text(end, values[rules->id]);
        if (reading->id.size == 0)
                reading->id = reading->name;
        reading->named = values[rules->events].data;
}

static void put_device(char **end, AlertReading *reading, const WireMessage *message) {
        const WireAttribute *labels[LABELS_MAX];
        size_t n = sort_labels(message, labels);
        const char *begin = *end;

        (void) put(end, reading->source);
        (void) put(end, (Slice){ "", 1 });
        (void) put(end, reading->id);
        for (size_t i = 0; i < n; i++) {
                (void) put(end, (Slice){ "", 1 });
                (void) put(end, labels[i]->key);
                (void) put(end, (Slice){ "=", 1 });
                (void) put(end, labels[i]->value);
        }
        reading->device = (Slice){ begin, (size_t) (*end - begin) };
}

/* What is shown is UTF-8. The key keeps the bytes as they came, which may distinguish devices. */
static void make_utf8(Slice *text) {
        if (!bytes_is_utf8(text->data, text->size))
                text->size = text_clean((char *) text->data, text->size);
}

static bool get_time(Slice text, usec_t *ret) {
        int64_t msec;

        if (text.size == 0 || !clock_parse_rfc3339(text.data, text.size, &msec) || msec <= 0)
                return false;
        *ret = (usec_t) msec * USEC_PER_MSEC;
        return true;
}

/* Returns the text between the quotes; dates need no unescaping. */
static Slice unquote(Slice value) {
        return value.size > 2 && value.data[0] == '"' ? (Slice){ value.data + 1, value.size - 2 } : (Slice){};
}

/* Sets the reading's time. Returns the publish time. */
static usec_t set_time(AlertReading *reading, const AlertRules *rules, const WireMessage *message, usec_t now) {
        usec_t published;

        if (!get_time(message->publish_time, &published))
                published = now;
        if (!get_time(unquote(reading->values[rules->request_at]), &reading->at))
                reading->at = published;
        reading->ahead = reading->at > published + ALERT_AHEAD_USEC;
        if (reading->ahead)
                reading->at = published;
        return published;
}

static int fill(AlertReading *reading, const AlertRules *rules, const WireMessage *message, const Slice *values) {
        size_t n = rules->places.n;
        char *end;

        *reading = (AlertReading){ .text = malloc(measure(message, values, n)) };
        if (!reading->text)
                return -ENOMEM;
        reading->values = (Slice *) reading->text;
        end = reading->text + n * sizeof(Slice);
        for (size_t i = 0; i < n; i++)
                reading->values[i] =
                        values[i].size <= VALUE_SIZE_MAX && values[i].data ? put(&end, values[i]) : (Slice){};
        put_name(&end, reading, rules, message);
        put_device(&end, reading, message);
        make_utf8(&reading->source);
        make_utf8(&reading->id);
        return 0;
}

int alert_readings_add(AlertReadings *readings, const AlertRules *rules, const WireMessage *message,
        PayloadFormat format, usec_t now) {
        _cleanup_(payload_done) Payload payload = {};
        AlertReading *reading;
        int r;

        if (!readings->scratch)
                readings->scratch = calloc(rules->places.n, sizeof(Slice));
        if (!readings->scratch)
                return -ENOMEM;
        r = array_reserve(&readings->items, &readings->allocated, readings->n + 1, sizeof(AlertReading));
        if (r == 0)
                r = message->data_bad ? PAYLOAD_BAD : payload_open(message->data, format, &payload);
        if (r < 0)
                return r;
        if (r != PAYLOAD_OK || !alert_places_find(&rules->places, payload.text, readings->scratch)) {
                readings->unreadable += message->data.size > 0;
                return 0;
        }
        reading = &readings->items[readings->n];
        r = fill(reading, rules, message, readings->scratch);
        if (r < 0)
                return r;
        reading->order = readings->n;
        clock_keep_oldest(&readings->oldest, set_time(reading, rules, message, now));
        readings->n++;
        return 0;
}

/* ---- life ---- */

static int on_sensor(void *userdata, const PointerMatch *match) {
        usec_t *newest = userdata, created;
        Slice value;

        if (pointer_find(match->value, "/created_at", &value) && get_time(unquote(value), &created) &&
                created > *newest)
                *newest = created;
        return 0;
}

/* Returns when the device was last heard of. Nature Remo's API repeats the last values of an unplugged device. So when
 * no sensor has changed for a day, that is when the last one changed. */
static usec_t heard_at(const AlertReading *reading, Slice events) {
        usec_t newest = 0;

        if (events.data && events.data[0] == '{')
                (void) pointer_each(events, "/*", on_sensor, &newest);
        return newest > 0 && newest + STILL_USEC <= reading->at ? newest : reading->at;
}

AlertLife alert_reading_life(const AlertRules *rules, const AlertWatch *watch, const AlertReading *reading) {
        Slice online = reading->values[rules->online];
        AlertLife life = { reading->at, 0, slice_equal(online, "false"), slice_equal(online, "true") };
        usec_t created;

        if (life.offline)
                return life;
        if (!watch->rule->field)
                life.heard = heard_at(reading, reading->values[rules->events]);
        else if (reading->values[watch->field].data && !slice_equal(reading->values[watch->field], "null"))
                life.heard = get_time(unquote(reading->values[watch->created]), &created) && created < reading->at
                                     ? created
                                     : reading->at;
        return life;
}

/* ---- in order ---- */

static int compare_readings(const void *a, const void *b) {
        const AlertReading *one = a, *other = b;

        if (one->at != other->at)
                return one->at > other->at ? 1 : -1;
        return one->order > other->order ? 1 : -1;
}

void alert_readings_sort(AlertReadings *readings) {
        if (readings->n > 1)
                qsort(readings->items, readings->n, sizeof(AlertReading), compare_readings);
}
