/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/err.h"
#include "lib/json.h"
#include "lib/pointer.h"
#include "match.h"
#include "publish/shape.h"
#include "sources/nature-remo.h"

#define EVENTS_DEPTH_MAX 80     /* levels in newest_events: a stored document must not be nested deeper than 90 */
#define LIMIT_DEFAULT 30        /* requests in five minutes for an account, when the header is missing */
#define RESERVE_MIN 5           /* requests that are left for other clients of the account: the app, a home hub */
#define RESET_MAX USEC_PER_HOUR /* a later reset cannot be right: the window is five minutes */

/* ---- what devices and meters share ---- */

/* Whether the body is a JSON list of *what*, or null; if not, nothing of it may be remembered. */
static bool reply_begin(NatureRemoReply *reply, Slice body, const char *what) {
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

/* Counts what cannot be read. */
static _printf_(2, 3) void reply_leave_out(NatureRemoReply *reply, const char *format, ...) {
        va_list arguments;

        if (reply->n_bad++ > 0)
                return;
        va_start(arguments, format);
        (void) vsnprintf(reply->error, sizeof(reply->error), format, arguments);
        va_end(arguments);
}

/* Completes the payload, and adds it as a reading. */
static int reply_add(NatureRemoReply *reply, const char *id, Bytes *payload) {
        Slice labels = reply->labels, name, value;
        int r;

        while (reading_labels_next(&labels, &name, &value))
                bytes_append_json_member(payload, name.data, value.data);
        r = bytes_append_text(payload, "}");
        if (r < 0)
                return r;
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

/* ---- what is remembered: the API returns the newest value of each sensor again and again ---- */

/* Returns what is remembered of that id, and adds it if it is new. NULL: nothing, for want of memory, or since there
 * are too many devices. */
static NatureRemoDevice *memory_find(NatureRemoMemory *memory, const char *id) {
        NatureRemoDevice device = {};

        if (!memory)
                return NULL;
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

/* Whether a device with this hash of its *values* is to be published now, which is remembered. */
static bool reply_wants(const NatureRemoReply *reply, NatureRemoDevice *device, uint64_t values) {
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

/* ---- devices: GET /1/devices ---- */

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

/* Sensors that stand still. */
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
static int check_still(const NatureRemoReply *reply, NatureRemoDevice *device, Slice name, Slice events) {
        Still still = { .now = reply->request_at };
        _cleanup_bytes_ Bytes text = {};

        if (!device || !reply->still || events.data[0] != '{')
                return 0;
        (void) pointer_each(events, "/*/created_at", on_created, &still);
        if (still.since > 0 && !device->still) {
                if (match_text(name, &text) < 0)
                        return -ENOMEM;
                reply->still(reply->userdata, device->id, text.data ?: "", still.keys, still.now - still.since);
        }
        device->still = still.since > 0;
        return 0;
}

/* Writes the fields of the message; the first four are in the order of the old scripts. */
static void device_format(const NatureRemoReply *reply, const Device *device, Bytes *payload) {
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
}

/* A device is published if a value, its time, or whether it is online has changed. */
static uint64_t device_hash(const Device *device) {
        Slice events = device->raw[DEVICE_NEWEST_EVENTS], online = device->raw[DEVICE_ONLINE];

        return bytes_hash(bytes_hash(BYTES_HASH, events.data, events.size), online.data, online.size);
}

static int device_add(NatureRemoReply *reply, const Device *device) {
        _cleanup_bytes_ Bytes id = {}, payload = {};
        NatureRemoDevice *known;
        int r;

        r = match_text(device->raw[DEVICE_ID], &id);
        if (r < 0)
                return r;
        if (r == 0 || !reading_id_is_good(id.data, id.size)) {
                reply_leave_out(reply, "device %zu has no usable id", reply->n);
                return 0;
        }
        if (device->odd_events) {
                reply_leave_out(
                        reply, "device %zu: newest_events is neither an object nor null, or nested too deep", reply->n);
                return 0;
        }
        known = memory_find(reply->memory, id.data);
        r = check_still(reply, known, device->raw[DEVICE_NAME], device->raw[DEVICE_NEWEST_EVENTS]);
        if (r < 0 || !reply_wants(reply, known, device_hash(device)))
                return r;
        device_format(reply, device, &payload);
        return reply_add(reply, id.data, &payload);
}

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
                reply_leave_out(reply, "element %zu of the list is not an object", reply->n);
                return json_reader_skip(reader, NULL);
        }
        r = read_device(reader, &device);
        if (r < 0)
                return r;
        if (reply->n > NATURE_REMO_DEVICES_MAX) {
                reply_leave_out(reply, "more than %d devices: the rest is left out", NATURE_REMO_DEVICES_MAX);
                return 0;
        }
        return device_add(reply, &device);
}

int nature_remo_parse(NatureRemoReply *reply, Slice body) {
        JsonReader reader;
        int token, r = 0;

        if (!reply_begin(reply, body, "devices"))
                return -EBADMSG;
        json_reader_init(&reader, body.data, body.size, JSON_READER_DEPTH);
        if (json_reader_next(&reader) == JSON_ARRAY)
                while (r >= 0 && (token = json_reader_next(&reader)) != JSON_ARRAY_END)
                        r = read_element(reply, &reader, token);
        return r < 0 ? r : 0;
}

/* ---- smart meters: GET /1/appliances (Remo E, E lite) ---- */

/* A meter's data is ECHONET Lite (Appendix, "Low-voltage smart electric energy meter"): one property for each value,
 * and the value as text. */

/* The properties of a meter that are used, with their EPC. */
typedef enum Property {
        METER_COEFFICIENT, /* 211: factor of both energies; 1 when it is missing */
        METER_UNIT,        /* 225: a code, see unit_exponent() */
        METER_BOUGHT,      /* 224: cumulative, normal direction */
        METER_SOLD,        /* 227: cumulative, reverse direction */
        METER_POWER,       /* 231: W, negative while selling */
        _METER_PROPERTY_MAX,
} Property;

static const struct {
        int64_t epc, min, max; /* a value outside of these limits means "no data" or an overflow */
} properties[] = {
        [METER_COEFFICIENT] = { 211, 0, 999999 },
        [METER_UNIT] = { 225, 0, 13 },
        [METER_BOUGHT] = { 224, 0, 99999999 },
        [METER_SOLD] = { 227, 0, 99999999 },
        [METER_POWER] = { 231, -2147483647, 2147483645 },
};

typedef struct Meter {
        bool known[_METER_PROPERTY_MAX];
        int64_t value[_METER_PROPERTY_MAX];
        int64_t power_msec; /* when METER_POWER was measured; 0: not known */
} Meter;

/* Reads a text or a number as text. 1; 0: it is neither; -ENOMEM. */
static int read_text(Slice json, const char *pointer, Bytes *text) {
        Slice value;

        bytes_cut(text, 0);
        return pointer_find(json, pointer, &value) ? match_text(value, text) : 0;
}

/* Reads an integer, written as a number or as text. 1; 0: there is none; -ENOMEM. */
static int read_integer(Slice json, const char *pointer, int64_t *ret) {
        _cleanup_bytes_ Bytes text = {};
        char *end;
        int r;

        r = read_text(json, pointer, &text);
        if (r <= 0 || text.size == 0 || text.size > 20)
                return r < 0 ? r : 0;
        errno = 0;
        *ret = strtoll(text.data, &end, 10);
        return errno == 0 && *end == '\0';
}

static int read_time(Slice json, int64_t *ret) {
        _cleanup_bytes_ Bytes text = {};
        int r;

        r = read_text(json, "/updated_at", &text);
        if (r <= 0 || !clock_parse_rfc3339(text.data, text.size, ret) || *ret < 0)
                *ret = 0;
        return r < 0 ? r : 0;
}

static int on_property(void *userdata, const PointerMatch *match) {
        Meter *meter = userdata;
        int64_t epc, value;
        int r;

        r = read_integer(match->value, "/epc", &epc);
        if (r > 0)
                r = read_integer(match->value, "/val", &value);
        if (r <= 0)
                return r;
        for (Property p = 0; p < _METER_PROPERTY_MAX; p++) {
                if (properties[p].epc != epc || value < properties[p].min || value > properties[p].max)
                        continue;
                meter->known[p] = true;
                meter->value[p] = value;
                if (p == METER_POWER)
                        r = read_time(match->value, &meter->power_msec);
        }
        return r < 0 ? r : 0;
}

/* *ret* gets the exponent of ten for a unit's code. False for an unknown code. */
static bool unit_exponent(int64_t code, int *ret) {
        if (code >= 0 && code <= 4)
                *ret = (int) -code;
        else if (code >= 10 && code <= 13)
                *ret = (int) (code - 9);
        else
                return false;
        return true;
}

/* Appends count * coefficient * unit in kWh, exactly: a double would change 12345.6. */
static void append_energy(Bytes *payload, const Meter *meter, Property property, const char *name) {
        uint64_t whole, scale = 1;
        int exponent;

        if (!meter->known[property] || !meter->known[METER_UNIT] || !unit_exponent(meter->value[METER_UNIT], &exponent))
                return;
        whole = (uint64_t) meter->value[property] *
                (uint64_t) (meter->known[METER_COEFFICIENT] ? meter->value[METER_COEFFICIENT] : 1);
        for (int i = 0; i < (exponent < 0 ? -exponent : exponent); i++)
                scale *= 10;
        if (exponent >= 0) /* at most 10^8 * 10^6 * 10^4 */
                bytes_append_format(payload, ",\"%s\":%" PRIu64, name, whole * scale);
        else
                bytes_append_format(
                        payload, ",\"%s\":%" PRIu64 ".%0*" PRIu64, name, whole / scale, -exponent, whole % scale);
}

static int append_values(Bytes *payload, const Meter *meter) {
        char at[CLOCK_RFC3339_SIZE];

        if (meter->known[METER_POWER] && meter->power_msec > 0)
                bytes_append_format(payload, ",\"measured_at\":\"%s\"",
                        clock_format_rfc3339((usec_t) meter->power_msec * USEC_PER_MSEC, at));
        if (meter->known[METER_POWER])
                bytes_append_format(payload, ",\"power_w\":%" PRId64, meter->value[METER_POWER]);
        append_energy(payload, meter, METER_BOUGHT, "energy_kwh");
        append_energy(payload, meter, METER_SOLD, "energy_sold_kwh");
        return bytes_result(payload);
}

static void append_text(Bytes *payload, const char *name, Slice appliance, const char *pointer) {
        _cleanup_bytes_ Bytes text = {};
        Slice value;
        int r;

        r = pointer_find(appliance, pointer, &value) && value.data[0] == '"' ? match_text(value, &text) : 0;
        if (bytes_fail(payload, r) < 0 || r == 0)
                return;
        bytes_append_format(payload, ",\"%s\":", name);
        bytes_append_json_string(payload, text.data, text.size);
}

static void meter_format(const NatureRemoReply *reply, Slice appliance, Slice values, const char *id, Bytes *payload) {
        bytes_append_text(payload, "{\"id\":");
        bytes_append_json_string(payload, id, strlen(id));
        append_text(payload, "name", appliance, "/nickname");
        bytes_append_format(payload, ",\"source\":\"%s\",\"request_at\":\"%s\"", reply->source, reply->at);
        bytes_append(payload, values.data, values.size);
}

static int meter_add(NatureRemoReply *reply, Slice appliance, const Meter *meter, const char *id) {
        _cleanup_bytes_ Bytes payload = {}, values = {};
        int r;

        r = append_values(&values, meter);
        if (r < 0)
                return r;
        if (values.size == 0)
                return 0; /* now and then the properties are missing in one poll */
        if (!reply_wants(reply, memory_find(reply->memory, id), bytes_hash(BYTES_HASH, values.data, values.size)))
                return 0;
        meter_format(reply, appliance, bytes_slice(&values), id, &payload);
        return reply_add(reply, id, &payload);
}

static int on_appliance(void *userdata, const PointerMatch *match) {
        NatureRemoReply *reply = userdata;
        _cleanup_bytes_ Bytes text = {};
        Meter meter = {};
        Slice value;
        int r;

        r = read_text(match->value, "/type", &text);
        if (r <= 0 || strcmp(text.data, "EL_SMART_METER") != 0)
                return r < 0 ? r : 0;
        r = pointer_find(match->value, "/id", &value) && value.data[0] == '"' ? match_text(value, &text) : 0;
        if (r < 0)
                return r;
        if (r == 0 || !reading_id_is_good(text.data, text.size)) {
                reply_leave_out(reply, "a smart meter has no usable id");
                return 0;
        }
        r = pointer_each(match->value, "/smart_meter/echonetlite_properties/*", on_property, &meter);
        return r < 0 ? r : meter_add(reply, match->value, &meter, text.data);
}

int nature_remo_parse_meters(NatureRemoReply *reply, Slice body) {
        if (!reply_begin(reply, body, "appliances"))
                return -EBADMSG;
        return pointer_each(body, "/*", on_appliance, reply);
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
