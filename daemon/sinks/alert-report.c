/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-sender.h"

#include "lib/json.h"
#include "lib/text.h"

#define NAMED_MAX 2 /* in STATUS= */

/* ---- status.json ---- */

/* Appends `"KEY":` and the text, or null; a comma before it unless *first*. */
static int add_text(Bytes *json, const char *key, const char *text, bool first) {
        int r;

        r = bytes_append_format(json, "%s\"%s\":", first ? "" : ",", key);
        if (r < 0)
                return r;
        return text ? bytes_append_json_string(json, text, strlen(text)) : bytes_append_text(json, "null");
}

static int add_time(Bytes *json, const char *key, usec_t wall) {
        char buffer[CLOCK_RFC3339_SIZE];

        return add_text(json, key, wall > 0 ? clock_format_rfc3339(wall, buffer) : NULL, false);
}

static int add_count(Bytes *json, const char *key, uint64_t count) {
        return bytes_append_format(json, ",\"%s\":%" PRIu64, key, count);
}

static usec_t wall_of(usec_t at) {
        return at > clock_now() ? clock_wall_of(at) : 0;
}

static int add_target(Bytes *json, const AlertTargetStatus *target) {
        int r;

        r = bytes_append_text(json, "{");
        if (r == 0)
                r = add_text(json, "name", target->name, true);
        if (r == 0)
                r = add_text(json, "service", target->service, false);
        if (r == 0)
                r = add_count(json, "waiting", target->waiting);
        if (r == 0)
                r = add_count(json, "sent", target->sent);
        if (r == 0)
                r = add_count(json, "refused", target->refused);
        if (r == 0)
                r = add_time(json, "last_sent", target->last_sent);
        if (r == 0)
                r = add_time(json, "failing_since", trouble_since(&target->trouble));
        if (r == 0)
                r = add_time(json, "retry_at", wall_of(target->next));
        if (r == 0)
                r = add_text(json, "detail", target->trouble.detail, false);
        if (r == 0)
                r = add_text(json, "kind", cause_kind(target->trouble.cause), false);
        if (r == 0)
                r = add_text(json, "remedy", cause_remedy(target->trouble.cause), false);
        return r < 0 ? r : bytes_append_text(json, "}");
}

static int write_json(const AlertReport *f, Bytes *json) {
        const AlertTargetStatus *target;
        int r;

        r = bytes_append_format(
                json, "{\"firing\":%zu,\"pending\":%zu,\"rules\":%s,\"targets\":[", f->firing, f->pending, f->rules);
        for (size_t i = 0; r == 0 && (target = alert_sender_status(f->sender, i)); i++) {
                r = i > 0 ? bytes_append_text(json, ",") : 0;
                if (r == 0)
                        r = add_target(json, target);
        }
        return r < 0 ? r : bytes_append_text(json, "]}");
}

/* ---- STATUS= ---- */

/* "hot: Bedroom, leak: Kitchen, ..." */
static int write_names(const AlertReport *f, Bytes *words) {
        _cleanup_(json_freep) Json *rules = NULL;
        Json *rule;
        int r = 0;

        if (json_parse(f->rules, strlen(f->rules), &rules) < 0)
                return bytes_append_text(words, "...");
        for (size_t i = 0; r == 0 && i < NAMED_MAX && (rule = json_at(rules, i)); i++) {
                const char *device = json_get_string(rule, "name") ?: json_get_string(rule, "device");

                r = bytes_append_format(words, "%s%s%s%s", i > 0 ? ", " : "", json_get_string(rule, "rule") ?: "",
                        device ? ": " : "", device ?: "");
        }
        return r == 0 && f->firing > NAMED_MAX ? bytes_append_text(words, ", ...") : r;
}

static int write_firing(const AlertReport *f, Bytes *words) {
        int r;

        if (f->firing == 0)
                return 0;
        r = bytes_append_format(words, "%zu alert%s firing (", f->firing, f->firing == 1 ? "" : "s");
        if (r == 0)
                r = write_names(f, words);
        return r < 0 ? r : bytes_append_text(words, ")");
}

static int write_targets(const AlertReport *f, Bytes *words) {
        const AlertTargetStatus *target;
        int r = 0;

        for (size_t i = 0; r == 0 && (target = alert_sender_status(f->sender, i)); i++) {
                if (!trouble_is_on(&target->trouble))
                        continue;
                r = bytes_append_format(words, "%salert target %s down, %" PRIu64 " waiting",
                        words->size > 0 ? ", " : "", target->name, target->waiting);
        }
        return r;
}

int alert_report_write(const AlertReport *report, Bytes *json, Bytes *words) {
        int r;

        json->size = words->size = 0;
        r = bytes_append_text(words, "");
        if (r == 0)
                r = write_json(report, json);
        if (r == 0)
                r = write_firing(report, words);
        if (r == 0)
                r = write_targets(report, words);
        if (r == 0)
                words->size = text_clean(words->data, words->size);
        if (r == 0)
                words->data[words->size] = '\0';
        return r;
}
