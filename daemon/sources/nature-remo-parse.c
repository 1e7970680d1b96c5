/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/json.h"
#include "match.h"
#include "sources/nature-remo.h"

#define EVENTS_DEPTH_MAX 80     /* levels in newest_events: a stored document must not be nested deeper than 90 */
#define LIMIT_DEFAULT 30        /* requests in five minutes for an account, when the header is missing */
#define RESERVE_MIN 5           /* requests that are left for other clients of the account: the app, a home hub */
#define RESET_MAX USEC_PER_HOUR /* a later reset cannot be right: the window is five minutes */

/* The fields of a device that are published as the API wrote them: values are copied as text, so that numbers do not
 * change. */
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
        Slice raw[_DEVICE_FIELD_MAX]; /* the value's text; empty: missing */
} Device;

void nature_remo_leave_out(NatureRemoReply *reply, const char *format, ...) {
        va_list arguments;

        if (reply->n_bad++ > 0)
                return;
        va_start(arguments, format);
        (void) vsnprintf(reply->error, sizeof(reply->error), format, arguments);
        va_end(arguments);
}

/* ---- one device ---- */

/* Checks the type of a field. 1: it is the type that the API promises, and *text* gets its content if it is a text; 0;
 * -ENOMEM. A text with a lone surrogate cannot be stored, so it returns 0. A wrong field is left out; only id and
 * newest_events can make the whole device unusable. */
static int field_read(const Device *device, Field field, Bytes *text) {
        Slice raw = device->raw[field];

        if (raw.size == 0 || !strchr(fields[field].begins, raw.data[0]))
                return 0;
        return raw.data[0] == '"' ? match_text(raw, text) : 1;
}

static bool events_are_good(const Device *device) {
        Slice raw = device->raw[DEVICE_NEWEST_EVENTS];
        JsonReader r;
        int token;

        if (raw.size == 0)
                return true; /* published as null */
        if (!field_read(device, DEVICE_NEWEST_EVENTS, NULL))
                return false;
        json_reader_init(&r, raw.data, raw.size, EVENTS_DEPTH_MAX);
        while ((token = json_reader_next(&r)) > 0)
                ;
        return token == JSON_END;
}

static void append_field(Bytes *payload, const Device *device, Field field) {
        _cleanup_bytes_ Bytes text = {};
        Slice raw = device->raw[field];
        int r = field_read(device, field, &text);

        if (bytes_fail(payload, r) < 0 || r == 0)
                return;
        bytes_append_format(payload, "%s\"%s\":", payload->size > 1 ? "," : "", fields[field].name);
        bytes_append(payload, raw.data, raw.size);
}

/* Writes the message; its first four fields are in the order of the old scripts. */
static int device_format(const NatureRemoReply *reply, const Device *device, Bytes *payload) {
        bytes_append_text(payload, "{");
        append_field(payload, device, DEVICE_NAME);
        if (device->raw[DEVICE_NEWEST_EVENTS].size == 0)
                bytes_append_format(payload, "%s\"newest_events\":null", payload->size > 1 ? "," : "");
        else
                append_field(payload, device, DEVICE_NEWEST_EVENTS);
        append_field(payload, device, DEVICE_UPDATED_AT);
        bytes_append_format(payload, ",\"request_at\":\"%s\"", reply->at);
        append_field(payload, device, DEVICE_ID);
        bytes_append_format(payload, ",\"source\":\"%s\"", reply->source);
        for (Field field = DEVICE_ONLINE; field < _DEVICE_FIELD_MAX; field++)
                append_field(payload, device, field);
        nature_remo_append_labels(payload, reply->labels);
        return bytes_append_text(payload, "}");
}

/* A device is published if a value, its time, or whether it is online has changed. */
static bool device_is_wanted(const NatureRemoReply *reply, const Device *device, const char *id) {
        _cleanup_bytes_ Bytes values = {};

        bytes_append(&values, device->raw[DEVICE_NEWEST_EVENTS].data, device->raw[DEVICE_NEWEST_EVENTS].size);
        if (bytes_append(&values, device->raw[DEVICE_ONLINE].data, device->raw[DEVICE_ONLINE].size) < 0)
                return true;
        return nature_remo_is_wanted(reply, id, (Slice){ values.data, values.size });
}

static int device_add(NatureRemoReply *reply, const Device *device) {
        _cleanup_bytes_ Bytes id = {}, name = {}, payload = {};
        int r, named;

        r = field_read(device, DEVICE_ID, &id);
        named = field_read(device, DEVICE_NAME, &name);
        if (r < 0 || named < 0)
                return -ENOMEM;
        if (r == 0 || !nature_remo_id_is_good(id.data, id.size)) {
                nature_remo_leave_out(reply, "device %zu has no usable id", reply->n);
                return 0;
        }
        if (!events_are_good(device)) {
                nature_remo_leave_out(
                        reply, "device %zu: newest_events is neither an object nor null, or nested too deep", reply->n);
                return 0;
        }
        nature_remo_check_still(reply, id.data, named > 0 ? name.data : "", device->raw[DEVICE_NEWEST_EVENTS]);
        if (!device_is_wanted(reply, device, id.data))
                return 0;
        r = device_format(reply, device, &payload);
        return r < 0 ? r : nature_remo_add(reply, id.data, &payload);
}

/* ---- the list ---- */

static Field field_find(const JsonReader *reader) {
        for (Field field = 0; field < _DEVICE_FIELD_MAX; field++)
                if (json_reader_equal(reader, fields[field].name))
                        return field;
        return _DEVICE_FIELD_MAX;
}

/* Reads the rest of an object. Of two equal keys the last one counts, as in all common parsers. */
static int read_device(JsonReader *reader, Device *device) {
        int token;

        while ((token = json_reader_next(reader)) == JSON_KEY) {
                Field field = field_find(reader);
                Slice raw;
                int r = json_reader_skip(reader, &raw);
                if (r < 0)
                        return r;
                if (field < _DEVICE_FIELD_MAX)
                        device->raw[field] = raw;
        }
        return token < 0 ? token : 0;
}

/* Reads one element of the list, whose first token is *token*. */
static int read_element(NatureRemoReply *reply, JsonReader *reader, int token) {
        Device device = {};
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
        int first, token;

        (void) clock_format_rfc3339(reply->request_at, reply->at);
        json_reader_init(&reader, body.data, body.size, JSON_READER_DEPTH);
        first = token = json_reader_next(&reader);
        while (token > JSON_END)
                token = json_reader_next(&reader);
        if (token == JSON_END && (first == JSON_ARRAY || first == JSON_NULL))
                return true;
        (void) snprintf(reply->error, sizeof(reply->error), "the reply is not a JSON list of %s (byte %zu)", what,
                (size_t) (reader.cursor - reader.begin));
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
