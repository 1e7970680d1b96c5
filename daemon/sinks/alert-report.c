/* SPDX-License-Identifier: Apache-2.0 */
/* How the alerts stand: for status.json and STATUS=, and for the verbs check, alerts and alerts test. */
#include "sinks/alert-sender.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/text.h"
#include "sinks/alert-config.h"
#include "sinks/alert-store.h"
#include "subscribe/sink-type.h"

#define FIRING_MAX 200 /* listed in a status */
#define NAMED_MAX 2    /* in STATUS= */
#define HOST_SIZE 65

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
                bytes_append_format(words, "%zu alert%s firing (%s)", f->firing, text_s(f->firing), f->names.data);
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

/* ---- the verb check ---- */

typedef struct Trial {
        bool done;
        AlertAnswer answer;
} Trial;

static void on_posted(void *userdata, const AlertAnswer *answer) {
        Trial *trial = userdata;

        trial->done = true;
        trial->answer = *answer;
}

/* Sends the message, and waits for the answer. */
static int try_post(AlertPost *post, const AlertMessage *message, const SinkMeans *means, AlertAnswer *ret) {
        Trial trial = {};
        int r = 0;

        alert_post_send(post, message, on_posted, &trial);
        while (r >= 0 && !trial.done)
                r = loop_turn(means->loop, USEC_INFINITY);
        *ret = trial.answer;
        return r < 0 ? r : 0;
}

/* Asks LINE without sending a message
 * (https://developers.line.biz/en/reference/messaging-api/#get-bot-info). Returns SINK_GRADE_OK when it accepts the
 * token. */
static SinkGrade check_token(const SubscriptionConfig *config, const AlertTarget *target, const SinkMeans *means,
        char words[static WEB_PLACE_WORDS_MAX]) {
        _cleanup_(alert_post_freep) AlertPost *post = NULL;
        AlertAnswer answer = {};
        int r = alert_post_new(means, config->subscription, target, &post, answer.detail);

        if (r >= 0)
                r = try_post(post, NULL, means, &answer);
        text_copy(words, WEB_PLACE_WORDS_MAX, answer.status == 200 ? "accepts the token" : answer.detail);
        if (r < 0)
                text_copy(words, WEB_PLACE_WORDS_MAX, strerror(-r));
        if (answer.status == 401 || answer.status == 403)
                (void) snprintf(words, WEB_PLACE_WORDS_MAX,
                        "%.200s; issue a channel access token, and put it into token_file", answer.detail);
        if (answer.status == 0 || answer.status == 401 || answer.status == 403)
                return SINK_GRADE_FAIL;
        return answer.status == 200 ? SINK_GRADE_OK : SINK_GRADE_WARN;
}

static void admin_place(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]) {
        const char *slash = strrchr(config->subscription, '/');

        text_copy(text, SINK_ADMIN_TEXT_MAX, slash ? slash + 1 : config->subscription);
}

static SinkGrade check_target(const SubscriptionConfig *config, const AlertTarget *target, const SinkMeans *means,
        char words[static WEB_PLACE_WORDS_MAX]) {
        if (web_place_check(&target->at, words) < 0 || web_place_try(&target->at, means->loop, words) != WEB_PLACE_OPEN)
                return SINK_GRADE_FAIL;
        return target->type == ALERT_LINE ? check_token(config, target, means, words) : SINK_GRADE_OK;
}

static void admin_check(void *self, const SinkTeller *teller) {
        const SubscriptionConfig *config = self;
        const AlertConfig *keys = config->keys;
        char words[WEB_PLACE_WORDS_MAX];

        for (size_t i = 0; i < keys->n_targets; i++) {
                const AlertTarget *target = &keys->targets[i];
                SinkGrade grade = check_target(config, target, teller->means, words);

                sink_admin_tell(teller, grade, "target %.63s (%s): %.500s%s", target->name,
                        alert_target_service(target), words,
                        grade == SINK_GRADE_OK ? "; nothing was sent (sensorqd alerts test)" : "");
        }
}

/* ---- the verb alerts ---- */

static usec_t last_sent(const AlertDevice *device, size_t watch) {
        usec_t last = 0;

        for (const AlertEntry *entry = device->entries; entry; entry = entry->next)
                if (entry->watch == watch && entry->told_at > last)
                        last = entry->told_at;
        return last;
}

static void list_state(
        const AlertDevice *device, const AlertSlot *slot, const AlertRule *rule, SinkAlertEach each, void *userdata) {
        static const char *const states[PHASES] = {
                [PHASE_OK] = "ok", [PHASE_PENDING] = "pending", [PHASE_FIRING] = "firing"
        };
        const SinkAlert alert = { .rule = rule->name,
                .field = rule->field,
                .state = states[slot->state.phase],
                .source = device->source,
                .id = device->id,
                .name = device->name,
                .value = slot->value,
                .since = slot->state.phase == PHASE_OK ? 0 : slot->state.since,
                .last_sent = last_sent(device, slot->watch) };

        each(userdata, &alert);
}

/* Lists all states. A rule without any device has a state of its own, which is left out while it is ok. A rule for
 * values that has never had one is silent, whatever happens. */
static void list(const AlertBook *book, SinkAlertEach each, void *userdata) {
        const AlertConfig *keys = book->config;

        for (size_t i = 0; i < book->n_devices; i++) {
                const AlertDevice *device = book->devices[i];

                for (size_t k = 0; k < device->n_slots; k++) {
                        const AlertSlot *slot = &device->slots[k];

                        if (!alert_device_is_nobody(device) || slot->state.phase != PHASE_OK)
                                list_state(device, slot, &keys->rules[slot->watch], each, userdata);
                }
        }
        for (size_t i = 0; i < keys->n_rules; i++) {
                const AlertRule *rule = &keys->rules[i];

                if (rule->test != ALERT_STALE && !alert_book_has_heard(book, i))
                        each(userdata, &(SinkAlert){ .rule = rule->name, .state = "unheard", .field = rule->field });
        }
}

static int admin_each(
        const SubscriptionConfig *config, SinkAlertEach each, void *userdata, char text[static SINK_ADMIN_TEXT_MAX]) {
        _cleanup_(alert_store_freep) AlertStore *store = NULL;
        int r = alert_store_look(config, &store);

        if (r == 0)
                list(alert_store_book(store), each, userdata);
        if (r == -ENOENT)
                return SINK_ADMIN_ABSENT;
        if (r < 0)
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s/" ALERT_STORE_FILE ": %s", config->state_dir,
                        r == -EOPNOTSUPP ? "was made by a later sensorqd"
                        : r == -EACCES   ? "may not be read by this user: run this as root (sudo)"
                                         : strerror(-r));
        return r < 0 ? SINK_ADMIN_FAILED : SINK_ADMIN_OK;
}

/* ---- alerts test ---- */

static int admin_find(const SubscriptionConfig *config, const char *name, const ConfigSection **ret_section,
        void **ret_target, char text[static SINK_ADMIN_TEXT_MAX]) {
        const AlertConfig *keys = config->keys;
        TextRoom names = { text, SINK_ADMIN_TEXT_MAX };

        text[0] = '\0';
        for (size_t i = 0; i < keys->n_targets; i++) {
                if (strcmp(keys->targets[i].name, name) == 0) {
                        text[0] = '\0';
                        *ret_section = &alert_target_section;
                        *ret_target = &keys->targets[i];
                        return SINK_ADMIN_OK;
                }
                text_add(&names, "%s%s", i > 0 ? ", " : "", keys->targets[i].name);
        }
        return SINK_ADMIN_ABSENT;
}

static int admin_test(
        const SubscriptionConfig *config, const SinkMeans *means, void *chosen, char text[static SINK_ADMIN_TEXT_MAX]) {
        const AlertConfig *keys = config->keys;
        const AlertTarget *target = chosen;
        _cleanup_(alert_post_freep) AlertPost *post = NULL;
        char host[HOST_SIZE] = "", key[ALERT_KEY_SIZE];
        const AlertNotice notice = { .kind = ALERT_TEST, .rule = "test", .name = host, .since = clock_wall() };
        AlertAnswer answer;
        int r;

        (void) gethostname(host, sizeof(host) - 1);
        alert_post_draw_key(key);
        r = alert_post_new(means, config->subscription, target, &post, text);
        if (r >= 0)
                r = try_post(post, &(AlertMessage){ &notice, 1, (AlertLanguage) keys->language, key }, means, &answer);
        if (r < 0)
                return r;
        if (answer.class == WEB_TAKEN)
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s has taken a test message", alert_target_service(target));
        else
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s has not taken it: %.400s. %s",
                        alert_target_service(target), answer.detail,
                        answer.remedy ?: "Look at the network and the service");
        return answer.class == WEB_TAKEN ? SINK_ADMIN_OK : SINK_ADMIN_FAILED;
}

const SinkAdmin alert_config_admin = {
        .place = admin_place,
        .check = admin_check,
        .each_alert = admin_each,
        .find_target = admin_find,
        .test_alert = admin_test,
};
