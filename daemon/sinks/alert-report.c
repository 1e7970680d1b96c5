/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-sender.h"

#include "lib/json.h"
#include "lib/text.h"

#define FIRING_MAX 200 /* listed in a status */
#define NAMED_MAX 2    /* in STATUS= */

/* ---- what fires ---- */

/* Appends a member with a number, or with a text in quotes: a number that was cut need not be one. */
static int append_value(Bytes *json, const char *name, const char *value, bool number) {
        return number && value && json_is_whole((Slice){ value, strlen(value) }, 1, NULL)
                       ? bytes_append_format(json, ",\"%s\":%s", name, value)
                       : bytes_append_json_member(json, name, text_or_null(value));
}

static void append_firing(const AlertBook *book, const AlertDevice *device, const AlertSlot *slot, Bytes *json) {
        const AlertWatch *watch = &book->rules->items[slot->watch];
        const struct {
                const char *name, *text;
        } members[] = { { "rule", watch->rule->name }, { "source", device->source }, { "device", device->id },
                { "name", device->name }, { "field", watch->rule->field } };
        bool number = watch->rule->test == ALERT_ABOVE || watch->rule->test == ALERT_BELOW;
        char since[CLOCK_RFC3339_SIZE];

        bytes_append_format(
                json, "%s{\"since\":\"%s\"", json->size > 1 ? "," : "", clock_format_rfc3339(slot->state.since, since));
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                bytes_append_json_member(json, members[i].name, text_or_null(members[i].text));
        append_value(json, "value", slot->value, number);
        append_value(json, "limit", watch->limit, number);
        bytes_append_text(json, "}");
}

/* "hot: Bedroom, leak: Kitchen, ..." */
static void append_name(const AlertBook *book, const AlertDevice *device, const AlertSlot *slot, AlertFigures *f) {
        const char *name = text_or_null(device->name) ?: text_or_null(device->id);

        if (f->firing <= NAMED_MAX)
                bytes_append_format(&f->names, "%s%s%s%s", f->firing > 1 ? ", " : "",
                        book->rules->items[slot->watch].rule->name, name ? ": " : "", name ?: "");
        else if (f->firing == NAMED_MAX + 1)
                bytes_append_text(&f->names, ", ...");
}

int alert_report_figures(const AlertBook *book, AlertFigures *ret) {
        bytes_append_text(&ret->rules, "[");
        for (size_t i = 0; i < book->n_devices; i++) {
                const AlertDevice *device = book->devices[i];

                for (size_t k = 0; k < device->n_slots; k++) {
                        const AlertSlot *slot = &device->slots[k];

                        ret->pending += slot->state.phase == PHASE_PENDING;
                        if (!slot->said)
                                continue;
                        if (ret->firing++ < FIRING_MAX)
                                append_firing(book, device, slot, &ret->rules);
                        append_name(book, device, slot, ret);
                }
        }
        bytes_append_text(&ret->rules, "]");
        return bytes_fail(&ret->rules, bytes_result(&ret->names));
}

/* ---- status.json ---- */

static void add_time(Bytes *json, const char *key, usec_t wall) {
        char buffer[CLOCK_RFC3339_SIZE];

        bytes_append_json_member(json, key, wall > 0 ? clock_format_rfc3339(wall, buffer) : NULL);
}

static usec_t wall_of(usec_t at) {
        return at > clock_now() ? clock_wall_of(at) : 0;
}

static void add_target(Bytes *json, const AlertTargetStatus *target) {
        bytes_append_text(json, "{");
        bytes_append_json_member(json, "name", target->name);
        bytes_append_json_member(json, "service", target->service);
        bytes_append_format(json, ",\"waiting\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"refused\":%" PRIu64, target->waiting,
                target->sent, target->refused);
        add_time(json, "last_sent", target->last_sent);
        add_time(json, "failing_since", trouble_since(&target->trouble));
        add_time(json, "retry_at", wall_of(target->next));
        bytes_append_json_member(json, "detail", target->trouble.detail);
        bytes_append_json_member(json, "kind", cause_kind(target->trouble.cause));
        bytes_append_json_member(json, "remedy", cause_remedy(target->trouble.cause));
        bytes_append_text(json, "}");
}

static int write_json(const AlertFigures *f, const AlertSender *sender, Bytes *json) {
        const AlertTargetStatus *target;

        bytes_append_format(json, "{\"firing\":%zu,\"pending\":%zu,\"rules\":%s,\"targets\":[", f->firing, f->pending,
                f->rules.data ?: "[]");
        for (size_t i = 0; (target = alert_sender_status(sender, i)); i++) {
                bytes_append_text(json, i > 0 ? "," : "");
                add_target(json, target);
        }
        return bytes_append_text(json, "]}");
}

/* ---- STATUS= ---- */

static int write_words(const AlertFigures *f, const AlertSender *sender, Bytes *words) {
        const AlertTargetStatus *target;

        bytes_append_text(words, "");
        if (f->firing > 0)
                bytes_append_format(
                        words, "%zu alert%s firing (%s)", f->firing, f->firing == 1 ? "" : "s", f->names.data);
        for (size_t i = 0; (target = alert_sender_status(sender, i)); i++)
                if (trouble_is_on(&target->trouble))
                        bytes_append_format(words, "%salert target %s down, %" PRIu64 " waiting",
                                words->size > 0 ? ", " : "", target->name, target->waiting);
        if (bytes_result(words) == 0)
                bytes_cut(words, text_clean(words->data, words->size));
        return bytes_result(words);
}

int alert_report_write(const AlertFigures *figures, const AlertSender *sender, Bytes *json, Bytes *words) {
        int r;

        bytes_cut(json, 0);
        bytes_cut(words, 0);
        r = write_words(figures, sender, words);
        return r < 0 ? r : write_json(figures, sender, json);
}
