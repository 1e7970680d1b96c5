/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-sender.h"

#include "lib/json.h"
#include "lib/text.h"

#define NAMED_MAX 2 /* in STATUS= */

/* ---- status.json ---- */

static void add_time(Bytes *json, const char *key, usec_t wall) {
        char buffer[CLOCK_RFC3339_SIZE];

        bytes_append_json_member(json, key, wall > 0 ? clock_format_rfc3339(wall, buffer) : NULL);
}

static void add_count(Bytes *json, const char *key, uint64_t count) {
        bytes_append_format(json, ",\"%s\":%" PRIu64, key, count);
}

static usec_t wall_of(usec_t at) {
        return at > clock_now() ? clock_wall_of(at) : 0;
}

static void add_target(Bytes *json, const AlertTargetStatus *target) {
        bytes_append_text(json, "{");
        bytes_append_json_member(json, "name", target->name);
        bytes_append_json_member(json, "service", target->service);
        add_count(json, "waiting", target->waiting);
        add_count(json, "sent", target->sent);
        add_count(json, "refused", target->refused);
        add_time(json, "last_sent", target->last_sent);
        add_time(json, "failing_since", trouble_since(&target->trouble));
        add_time(json, "retry_at", wall_of(target->next));
        bytes_append_json_member(json, "detail", target->trouble.detail);
        bytes_append_json_member(json, "kind", cause_kind(target->trouble.cause));
        bytes_append_json_member(json, "remedy", cause_remedy(target->trouble.cause));
        bytes_append_text(json, "}");
}

static int write_json(const AlertReport *f, Bytes *json) {
        const AlertTargetStatus *target;

        bytes_append_format(
                json, "{\"firing\":%zu,\"pending\":%zu,\"rules\":%s,\"targets\":[", f->firing, f->pending, f->rules);
        for (size_t i = 0; (target = alert_sender_status(f->sender, i)); i++) {
                bytes_append_text(json, i > 0 ? "," : "");
                add_target(json, target);
        }
        return bytes_append_text(json, "]}");
}

/* ---- STATUS= ---- */

/* "hot: Bedroom, leak: Kitchen, ..." */
static int write_names(const AlertReport *f, Bytes *words) {
        _cleanup_(json_freep) Json *rules = NULL;
        Json *rule;

        if (json_parse(f->rules, strlen(f->rules), &rules) < 0)
                return bytes_append_text(words, "...");
        for (size_t i = 0; i < NAMED_MAX && (rule = json_at(rules, i)); i++) {
                const char *device = json_get_string(rule, "name") ?: json_get_string(rule, "device");

                bytes_append_format(words, "%s%s%s%s", i > 0 ? ", " : "", json_get_string(rule, "rule") ?: "",
                        device ? ": " : "", device ?: "");
        }
        return bytes_append_text(words, f->firing > NAMED_MAX ? ", ..." : "");
}

static void write_firing(const AlertReport *f, Bytes *words) {
        if (f->firing == 0)
                return;
        bytes_append_format(words, "%zu alert%s firing (", f->firing, f->firing == 1 ? "" : "s");
        write_names(f, words);
        bytes_append_text(words, ")");
}

static void write_targets(const AlertReport *f, Bytes *words) {
        const AlertTargetStatus *target;

        for (size_t i = 0; (target = alert_sender_status(f->sender, i)); i++)
                if (trouble_is_on(&target->trouble))
                        bytes_append_format(words, "%salert target %s down, %" PRIu64 " waiting",
                                words->size > 0 ? ", " : "", target->name, target->waiting);
}

int alert_report_write(const AlertReport *report, Bytes *json, Bytes *words) {
        int r;

        bytes_cut(json, 0);
        bytes_cut(words, 0);
        bytes_append_text(words, "");
        write_firing(report, words);
        write_targets(report, words);
        r = bytes_result(words);
        if (r == 0)
                bytes_cut(words, text_clean(words->data, words->size));
        return r < 0 ? r : write_json(report, json);
}
