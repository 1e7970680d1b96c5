/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-limits.h"

#include <string.h>

#include "match.h"
#include "sinks/alert-config.h"

static int add_member(Bytes *json, const char *name, const char *text) {
        int r;

        r = bytes_append_format(json, "%s\"%s\":", json->size > 1 ? "," : "", name);
        return r < 0 ? r : bytes_append_json_string(json, text, strlen(text));
}

/* What every message of the device has, as far as it is known: an object for match_test(). */
static int make_device(const SinkSeries *series, Bytes *json) {
        size_t labels = strlen(series->labels);
        int r;

        r = bytes_append_text(json, "{");
        if (r >= 0)
                r = add_member(json, "source", series->source);
        if (r >= 0)
                r = add_member(json, "id", series->device);
        if (r >= 0)
                r = add_member(json, "name", series->name);
        if (r >= 0 && labels > strlen("{}"))
                r = bytes_append_format(json, ",%.*s", (int) (labels - strlen("{}")), series->labels + 1);
        return r < 0 ? r : bytes_append_text(json, "}");
}

/* A rule's field is a pointer, or a member at the top. */
static bool field_is(const char *field, const char *pointer) {
        return field && strcmp(field, field[0] == '/' ? pointer : pointer + 1) == 0;
}

void alert_limits(
        const void *keys, const SinkSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to) {
        const AlertConfig *config = keys;
        Bytes device = {};

        for (size_t i = 0; i < config->n_rules; i++) {
                const AlertRule *rule = &config->rules[i];
                AlertTest test = alert_config_test(rule);

                if ((test != ALERT_ABOVE && test != ALERT_BELOW) || !field_is(rule->field, series->field))
                        continue;
                if (device.size == 0 && make_device(series, &device) < 0)
                        break; /* out of memory: a chart without lines */
                if (match_test(&rule->where, (Slice){ device.data, device.size }))
                        each(to, &(SinkLimit){ rule->name, test == ALERT_ABOVE ? "above" : "below",
                                         test == ALERT_ABOVE ? rule->above : rule->below, rule->clear });
        }
        bytes_done(&device);
}
