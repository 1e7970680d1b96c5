/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/err.h"
#include "lib/json.h"
#include "lib/pointer.h"
#include "match.h"
#include "publish/shape-text.h"
#include "sources/nature-remo.h"

#define EVENTS_DEPTH_MAX 80     /* levels in newest_events: a stored document must not be nested deeper than 90 */
#define LIMIT_DEFAULT 30        /* requests in five minutes for an account, when the header is missing */
#define RESERVE_MIN 5           /* requests that are left for other clients of the account: the app, a home hub */
#define RESET_MAX USEC_PER_HOUR /* a later reset cannot be right: the window is five minutes */

/* The fields of a device that are published as the API wrote them, in the order of the message: values are copied as
 * text, so that numbers do not change. */
typedef enum Field {
        DEVICE_NAME,
        DEVICE_NEWEST_EVENTS,
        DEVICE_UPDATED_AT,
        DEVICE_ID,
        DEVICE_ONLINE,
        DEVICE_TEMPERATURE_OFFSET,
        DEVICE_HUMIDITY_OFFSET,
        _DEVICE_FIELD_MAX,
} Field;

static const struct {
        const char *name, *begins; /* the first byte of a value shows its type: the reader has checked the rest */
} fields[] = {
        [DEVICE_NAME] = { "name", "\"" },
        [DEVICE_NEWEST_EVENTS] = { "newest_events", "{n" },
        [DEVICE_UPDATED_AT] = { "updated_at", "\"" },
        [DEVICE_ID] = { "id", "\"" },
        [DEVICE_ONLINE] = { "online", "tf" },
        [DEVICE_TEMPERATURE_OFFSET] = { "temperature_offset", "-0123456789" },
        [DEVICE_HUMIDITY_OFFSET] = { "humidity_offset", "-0123456789" },
};

typedef struct Device {
        Slice raw[_DEVICE_FIELD_MAX]; /* the value's text; empty: missing, or not what the API promises */
        bool odd_events;              /* newest_events is neither an object nor null, or nested too deep */
} Device;

void nature_remo_leave_out(NatureRemoReply *reply, const char *format, ...) {
        va_list arguments;

        if (reply->n_bad++ > 0)
                return;
        va_start(arguments, format);
        (void) vsnprintf(reply->error, sizeof(reply->error), format, arguments);
        va_end(arguments);
}

/* ---- what is remembered: the API returns the newest value of each sensor again and again ---- */

/* Returns the device of that id, and adds it if it is new. NULL: no memory, or too many devices. */
static NatureRemoDevice *memory_find(NatureRemoMemory *memory, const char *id) {
        NatureRemoDevice device = {};

        for (size_t i = 0; i < memory->n; i++)
                if (strcmp(memory->devices[i].id, id) == 0)
                        return &memory->devices[i];
        if (memory->n == NATURE_REMO_DEVICES_MAX ||
                array_reserve(&memory->devices, &memory->allocated, memory->n + 1, sizeof(NatureRemoDevice)) < 0)
                return NULL;
        device.id = strdup(id);
        if (!device.id)
                return NULL;
        memory->devices[memory->n] = device;
        return &memory->devices[memory->n++];
}

void nature_remo_memory_done(NatureRemoMemory *memory) {
        for (size_t i = 0; i < memory->n; i++)
                free(memory->devices[i].id);
        free(memory->devices);
        *memory = (NatureRemoMemory){};
}

bool nature_remo_is_wanted(const NatureRemoReply *reply, const char *id, uint64_t values) {
        NatureRemoDevice *device = reply->memory ? memory_find(reply->memory, id) : NULL;
        usec_t at = reply->request_at;

        if (!device)
                return true;
        if (device->put_at > 0 && device->values == values && at >= device->put_at &&
                at - device->put_at < reply->silence)
                return false;
        device->values = values;
        device->put_at = at;
        return true;
}

/* ---- sensors that stand still ---- */

typedef struct Still {
        usec_t now, since; /* since: the oldest time */
        char keys[100];
} Still;

static int on_created(void *userdata, const PointerMatch *match) {
        _cleanup_bytes_ Bytes text = {};
        Still *still = userdata;
        size_t n = strlen(still->keys);
        Slice key = match->stars[0].key;
        int64_t msec;
        usec_t at;

        if (match_text(match->value, &text) <= 0 || !clock_parse_rfc3339(text.data, text.size, &msec) || msec <= 0)
                return 0;
        at = (usec_t) msec * USEC_PER_MSEC;
        if (at >= still->now || still->now - at < NATURE_REMO_STILL_USEC)
                return 0;
        if (!key.data || slice_equal(key, "mo")) /* nobody has moved there, which is not a fault */
                return 0;
        still->since = still->since == 0 || at < still->since ? at : still->since;
        if (n + key.size + 3 < sizeof(still->keys))
                (void) snprintf(still->keys + n, sizeof(still->keys) - n, "%s%.*s", n > 0 ? ", " : "", (int) key.size,
                        key.data);
        return 0;
}

/* Calls reply->still() for the sensors of *events* that have not changed, once until they change. -ENOMEM. */
static int check_still(const NatureRemoReply *reply, const char *id, Slice name, Slice events) {
        NatureRemoDevice *device = reply->memory ? memory_find(reply->memory, id) : NULL;
        Still still = { .now = reply->request_at };
        _cleanup_bytes_ Bytes text = {};

        if (!device || !reply->still || events.data[0] != '{')
                return 0;
        (void) pointer_each(events, "/*/created_at", on_created, &still);
        if (still.since > 0 && !device->still) {
                if (match_text(name, &text) < 0)
                        return -ENOMEM;
                reply->still(reply->userdata, id, text.data ?: "", still.keys, still.now - still.since);
        }
        device->still = still.since > 0;
        return 0;
}

/* ---- what devices and meters share ---- */

int nature_remo_append_labels(Bytes *payload, Slice labels) {
        Slice name, value;

        while (reading_labels_next(&labels, &name, &value))
                bytes_append_json_member(payload, name.data, value.data);
        return bytes_result(payload);
}

int nature_remo_add(NatureRemoReply *reply, const char *id, Bytes *payload) {
        return reading_list_add(&reply->readings,
                &(ReadingOrigin){
                        .source = reply->source,
                        .type = NATURE_REMO_TYPE,
                        .device = id,
                        .at = reply->at,
                        .unique = reply->random(),
                        .labels = reply->labels,
                },
                payload);
}

/* ---- one device ---- */

/* Writes the message; its first four fields are in the order of the old scripts. */
static int device_format(const NatureRemoReply *reply, const Device *device, Bytes *payload) {
        bytes_append_text(payload, "{");
        for (Field field = 0; field < _DEVICE_FIELD_MAX; field++) {
                const Slice raw = device->raw[field];

                if (raw.size > 0) {
                        bytes_append_format(payload, "%s\"%s\":", payload->size > 1 ? "," : "", fields[field].name);
                        bytes_append(payload, raw.data, raw.size);
                }
                if (field == DEVICE_UPDATED_AT)
                        bytes_append_format(payload, ",\"request_at\":\"%s\"", reply->at);
                if (field == DEVICE_ID)
                        bytes_append_format(payload, ",\"source\":\"%s\"", reply->source);
        }
        nature_remo_append_labels(payload, reply->labels);
        return bytes_append_text(payload, "}");
}

/* A device is published if a value, its time, or whether it is online has changed. */
static uint64_t device_hash(const Device *device) {
        Slice events = device->raw[DEVICE_NEWEST_EVENTS], online = device->raw[DEVICE_ONLINE];

        return bytes_hash(bytes_hash(BYTES_HASH, events.data, events.size), online.data, online.size);
}

static int device_add(NatureRemoReply *reply, const Device *device) {
        _cleanup_bytes_ Bytes id = {}, payload = {};
        int r;

        r = match_text(device->raw[DEVICE_ID], &id);
        if (r < 0)
                return r;
        if (r == 0 || !reading_id_is_good(id.data, id.size)) {
                nature_remo_leave_out(reply, "device %zu has no usable id", reply->n);
                return 0;
        }
        if (device->odd_events) {
                nature_remo_leave_out(
                        reply, "device %zu: newest_events is neither an object nor null, or nested too deep", reply->n);
                return 0;
        }
        r = check_still(reply, id.data, device->raw[DEVICE_NAME], device->raw[DEVICE_NEWEST_EVENTS]);
        if (r < 0 || !nature_remo_is_wanted(reply, id.data, device_hash(device)))
                return r;
        r = device_format(reply, device, &payload);
        return r < 0 ? r : nature_remo_add(reply, id.data, &payload);
}

/* ---- the list ---- */

/* Keeps the value of a field if it has the type that the API promises, and can be stored: a text with a lone surrogate
 * cannot. Another value is left out; only id and newest_events can make the whole device unusable. -ENOMEM. */
static int device_keep(Device *device, Field field, Slice raw) {
        bool right = strchr(fields[field].begins, raw.data[0]);
        int good = right && raw.data[0] == '"' ? shape_text_has_form(raw) : right;

        if (good < 0)
                return good;
        device->raw[field] = good ? raw : (Slice){};
        if (field == DEVICE_NEWEST_EVENTS)
                device->odd_events = !good || !json_is_whole(raw, EVENTS_DEPTH_MAX, NULL);
        return 0;
}

/* Reads the rest of an object. Of two equal keys the last one counts, as in all common parsers. */
static int read_device(JsonReader *reader, Device *device) {
        int token, r = 0;

        while (r >= 0 && (token = json_reader_next(reader)) == JSON_KEY) {
                Field field = 0;
                Slice raw;

                while (field < _DEVICE_FIELD_MAX && !json_reader_equal(reader, fields[field].name))
                        field++;
                r = json_reader_skip(reader, &raw);
                if (r >= 0 && field < _DEVICE_FIELD_MAX)
                        r = device_keep(device, field, raw);
        }
        return r < 0 ? r : token < 0 ? token : 0;
}

/* Reads one element of the list, whose first token is *token*. */
static int read_element(NatureRemoReply *reply, JsonReader *reader, int token) {
        Device device = { .raw[DEVICE_NEWEST_EVENTS] = slice_of("null") };
        int r;

        reply->n++;
        if (token != JSON_OBJECT) {
                nature_remo_leave_out(reply, "element %zu of the list is not an object", reply->n);
                return json_reader_skip(reader, NULL);
        }
        r = read_device(reader, &device);
        if (r < 0)
                return r;
        if (reply->n > NATURE_REMO_DEVICES_MAX) {
                nature_remo_leave_out(reply, "more than %d devices: the rest is left out", NATURE_REMO_DEVICES_MAX);
                return 0;
        }
        return device_add(reply, &device);
}

bool nature_remo_begin(NatureRemoReply *reply, Slice body, const char *what) {
        JsonReader reader;
        size_t byte;
        int first;

        (void) clock_format_rfc3339(reply->request_at, reply->at);
        json_reader_init(&reader, body.data, body.size, JSON_READER_DEPTH);
        first = json_reader_next(&reader);
        if (json_is_whole(body, JSON_READER_DEPTH, &byte) && (first == JSON_ARRAY || first == JSON_NULL))
                return true;
        (void) snprintf(
                reply->error, sizeof(reply->error), "the reply is not a JSON list of %s (byte %zu)", what, byte);
        return false;
}

int nature_remo_parse(NatureRemoReply *reply, Slice body) {
        JsonReader reader;
        int token, r = 0;

        if (!nature_remo_begin(reply, body, "devices"))
                return -EBADMSG;
        json_reader_init(&reader, body.data, body.size, JSON_READER_DEPTH);
        if (json_reader_next(&reader) == JSON_ARRAY)
                while (r >= 0 && (token = json_reader_next(&reader)) != JSON_ARRAY_END)
                        r = read_element(reply, &reader, token);
        return r < 0 ? r : 0;
}

/* ---- rate limit ---- */

static bool header_number(const char *text, uint64_t *ret) {
        char *end;

        if (!text || *text < '0' || *text > '9')
                return false;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        return errno == 0 && *end == '\0';
}

usec_t nature_remo_reset_at(const char *reset, usec_t remote_wall, usec_t now) {
        uint64_t seconds;
        usec_t wait;

        if (!header_number(reset, &seconds) || seconds > UINT64_MAX / USEC_PER_SEC - 1)
                return 0;
        if (seconds * USEC_PER_SEC <= remote_wall)
                return 0;
        wait = seconds * USEC_PER_SEC - remote_wall;
        return wait > RESET_MAX ? 0 : now + wait + USEC_PER_SEC; /* + 1 s: both clocks are cut */
}

usec_t nature_remo_not_before(
        const char *limit, const char *remaining, const char *reset, usec_t remote_wall, usec_t now) {
        uint64_t n_limit, n_remaining, reserve;

        if (!header_number(remaining, &n_remaining))
                return 0;
        if (!header_number(limit, &n_limit) || n_limit == 0)
                n_limit = LIMIT_DEFAULT;

        reserve = n_limit / 3 > RESERVE_MIN ? n_limit / 3 : RESERVE_MIN;
        if (reserve >= n_limit)
                reserve = n_limit - 1; /* at least one poll in each window must be possible */
        return n_remaining > reserve ? 0 : nature_remo_reset_at(reset, remote_wall, now);
}
