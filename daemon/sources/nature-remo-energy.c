/* SPDX-License-Identifier: Apache-2.0 */
/* GET /1/appliances: the smart meters among the appliances (Remo E, E lite). A meter's data is ECHONET Lite (Appendix,
 * "Low-voltage smart electric energy meter"): one property for each value, and the value as text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/pointer.h"
#include "match.h"
#include "sources/nature-remo.h"

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

/* ---- properties ---- */

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

/* ---- the reading ---- */

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
static int append_energy(Bytes *payload, const Meter *meter, Property property, const char *name) {
        uint64_t whole, scale = 1;
        int exponent;

        if (!meter->known[property] || !meter->known[METER_UNIT] || !unit_exponent(meter->value[METER_UNIT], &exponent))
                return 0;
        whole = (uint64_t) meter->value[property] *
                (uint64_t) (meter->known[METER_COEFFICIENT] ? meter->value[METER_COEFFICIENT] : 1);
        for (int i = 0; i < (exponent < 0 ? -exponent : exponent); i++)
                scale *= 10;
        if (exponent >= 0) /* at most 10^8 * 10^6 * 10^4 */
                return bytes_append_format(payload, ",\"%s\":%" PRIu64, name, whole * scale);
        return bytes_append_format(
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

static int meter_format(
        const NatureRemoReply *reply, Slice appliance, const Meter *meter, const char *id, Bytes *payload) {
        bytes_append_text(payload, "{\"id\":");
        bytes_append_json_string(payload, id, strlen(id));
        append_text(payload, "name", appliance, "/nickname");
        bytes_append_format(payload, ",\"source\":\"%s\",\"request_at\":\"%s\"", reply->source, reply->at);
        append_values(payload, meter);
        nature_remo_append_labels(payload, reply->labels);
        return bytes_append_text(payload, "}");
}

static int meter_add(NatureRemoReply *reply, Slice appliance, const Meter *meter, const char *id) {
        _cleanup_bytes_ Bytes payload = {}, values = {};
        int r;

        r = append_values(&values, meter);
        if (r < 0)
                return r;
        if (values.size == 0)
                return 0; /* now and then the properties are missing in one poll */
        if (!nature_remo_is_wanted(reply, id, bytes_hash(BYTES_HASH, values.data, values.size)))
                return 0;
        r = meter_format(reply, appliance, meter, id, &payload);
        return r < 0 ? r : nature_remo_add(reply, id, &payload);
}

/* ---- the list ---- */

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
                nature_remo_leave_out(reply, "a smart meter has no usable id");
                return 0;
        }
        r = pointer_each(match->value, "/smart_meter/echonetlite_properties/*", on_property, &meter);
        return r < 0 ? r : meter_add(reply, match->value, &meter, text.data);
}

int nature_remo_parse_meters(NatureRemoReply *reply, Slice body) {
        if (!nature_remo_begin(reply, body, "appliances"))
                return -EBADMSG;
        return pointer_each(body, "/*", on_appliance, reply);
}
