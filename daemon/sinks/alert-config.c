/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-config.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "config-place.h"
#include "lib/text.h"
#include "match.h"

#define NAME_CHARACTERS_MAX 63
#define UTF8_MAX 4 /* bytes of a character */
#define TEXT_MAX 1024
#define TEMPLATE_MAX 2000
#define URL_MAX 2048
#define BODY_MAX 8192
#define WHERE_MAX 20
#define DAY (24 * USEC_PER_HOUR)
/* a device that is read on changes is also read once an hour */
#define ON_CHANGE_USEC USEC_PER_HOUR

bool alert_config_tells(const AlertRule *rule, const char *target) {
        return !rule->to || text_is_among(target, (const char *const *) rule->to);
}

size_t alert_config_target(const AlertConfig *config, const char *name) {
        size_t i = 0;

        while (i < config->n_targets && strcmp(config->targets[i].name, name) != 0)
                i++;
        return i;
}

/* ---- kinds of values ---- */

static int name_check(const char *text, ConfigProblem *ret_problem) {
        size_t n = 0;

        for (const char *c = text; *c; c++)
                n += ((unsigned char) *c & 0xc0) != 0x80;
        if (n <= NAME_CHARACTERS_MAX)
                return 0;
        return config_problem_set(ret_problem, "has %zu characters", n);
}

static const ConfigType type_name = { "text", "a text of 1 to 63 characters", CONFIG_TEXT, .text = name_check };

/* ---- a target ---- */

static const char *const services[] = {
        [ALERT_SLACK] = "slack", [ALERT_NTFY] = "ntfy", [ALERT_LINE] = "line", [ALERT_WEBHOOK] = "webhook", NULL
};
static const char *const servers[ALERT_SERVICES] = { /* when there is no `url` */
        [ALERT_NTFY] = "https://ntfy.sh",
        [ALERT_LINE] = "https://api.line.me"
};

static int recipient_check(const char *text, ConfigProblem *ret_problem) {
        bool right = strchr("UCR", text[0]) != NULL;

        for (const char *c = text + 1; *c != '\0'; c++)
                right &= isalnum((unsigned char) *c) != 0;
        if (right)
                return 0;
        return config_problem_set(ret_problem, "is not the id of a user, group or room");
}

static const ConfigType type_service = { "slack, ntfy, line or webhook", NULL, CONFIG_INT, .words = services };
static const ConfigType type_topic = { "topic of ntfy", "1 to 64 of A-Z, a-z, 0-9, _, -", CONFIG_TEXT,
        .letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
        .wrong = "holds a character that a topic of ntfy cannot have" };
static const ConfigType type_recipient = { "id of LINE",
        "U, C or R and what follows it: the Messaging API's id, not the name that people search for", CONFIG_TEXT,
        .text = recipient_check };

#define FIELD(field) offsetof(AlertTarget, field)

#define OF(service) (1u << (service))

/* clang-format off */
static const ConfigRow target_rows[] = {
        { "name", &config_type_name, FIELD(name), 1, NAME_CHARACTERS_MAX, .flags = CONFIG_REQUIRED | CONFIG_UNIQUE,
                .doc = "Name of the target in rules and log entries." },
        { "type", &type_service, FIELD(type), .flags = CONFIG_REQUIRED,
                .doc = "The service." },
        { "url", &config_type_web_url, FIELD(at.url), 1, URL_MAX,
                .derived = "https://ntfy.sh, https://api.line.me",
                .allowed = OF(ALERT_NTFY) | OF(ALERT_LINE) | OF(ALERT_WEBHOOK),
                .doc = "ntfy, line: the server. webhook: URL to POST to." },
        { "url_file", &config_type_secret, FIELD(at.url_file), 1, URL_MAX,
                .needed = OF(ALERT_SLACK), .allowed = OF(ALERT_WEBHOOK),
                .doc = "slack, webhook: the URL, if knowing it is enough to post." },
        { "topic", &type_topic, FIELD(topic), 1, 64, .needed = OF(ALERT_NTFY),
                .doc = "ntfy: the topic. Anybody who knows its name can read it, unless the server restricts access." },
        { "token_file", &config_type_token, FIELD(token), 1, URL_MAX,
                .needed = OF(ALERT_LINE), .allowed = OF(ALERT_NTFY),
                .doc = "line: the channel access token. ntfy: an access token." },
        { "recipient", &type_recipient, FIELD(recipient), 2, 64, .needed = OF(ALERT_LINE),
                .doc = "line: id of the user, group or room." },
        { "headers", &config_type_headers, FIELD(headers), 0, 20, .allowed = OF(ALERT_WEBHOOK),
                .doc = "webhook: additional headers, without secrets." },
        { "auth", &config_type_section, FIELD(auth), .flags = CONFIG_IMPLIED, .section = &auth_section,
                .allowed = OF(ALERT_WEBHOOK),
                .doc = "webhook: how requests authenticate." },
        { "body", &alert_text_body, FIELD(body), 1, BODY_MAX,
                .derived = "an object with every word", .allowed = OF(ALERT_WEBHOOK),
                .doc = "webhook: the JSON to send." },
        { "ca_file", &config_type_path, FIELD(at.ca_file), 1, URL_MAX,
                .doc = "PEM file of CA certificates, used instead of the system's for this server." },
        { "tls", &config_type_section, FIELD(at.tls), .section = &config_tls_section,
                .doc = "Client certificate, for servers that require one." },
        { "allow_plain", &config_type_bool, FIELD(at.allow_plain), .fallback = "false",
                .doc = "Send secrets to other machines without TLS." },
        {},
};
/* clang-format on */

/* Whether the server's URL has a path: topic and path of the call must not be in it. */
static bool has_path(const char *url) {
        const char *path = strpbrk(strstr(url, "://") + 3, "/?#");

        return path && strcmp(path, "/") != 0;
}

static int target_rule(const ConfigPlace *place, void *self, void *around) {
        AlertTarget *target = self;
        const AuthConfig auth = alert_target_auth(target);
        int r = config_place_kind(place, target_rows, target->type, services[target->type]);

        if (r < 0)
                return r;
        if (!target->at.url && servers[target->type]) {
                target->at.url = strdup(servers[target->type]);
                if (!target->at.url)
                        return -ENOMEM;
        }
        if (target->type == ALERT_WEBHOOK)
                r = web_place_one_rule(place, &target->at);
        else if (target->at.url && has_path(target->at.url))
                r = config_place_fail(place, "url", "has a path; allowed: the server alone, https://HOST");
        return r < 0 ? r : web_place_rule(place, &target->at, &auth, &target->headers);
}

const ConfigSection alert_target_section = { .rows = target_rows, .size = sizeof(AlertTarget), .rule = target_rule };

#undef FIELD

/* ---- a rule ---- */

static const char *const tests[ALERT_TESTS] = { "above", "below", "is", "stale" };

static int check_test(const ConfigPlace *place, AlertRule *rule) {
        const char *found = NULL;

        for (size_t i = 0; i < ALERT_TESTS; i++) {
                if (!yaml_get(place->node, tests[i]))
                        continue;
                if (found)
                        return config_place_fail(place, tests[i],
                                "cannot be combined with %s: a rule has one of above, below, is and stale. Make a "
                                "second rule",
                                found);
                found = tests[i];
                rule->test = (AlertTest) i;
        }
        return found ? 0 : config_place_fail(place, NULL, "needs one of above, below, is and stale");
}

static int check_field(const ConfigPlace *place, const AlertRule *rule) {
        if (rule->field || rule->test == ALERT_STALE)
                return 0;
        return config_place_fail(place, "field", "is missing; it says where the value for %s is", tests[rule->test]);
}

/* `clear` must lie on the good side of the threshold. */
static int check_clear(const ConfigPlace *place, AlertRule *rule) {
        const char *test = tests[rule->test];

        if (rule->test != ALERT_ABOVE && rule->test != ALERT_BELOW)
                return isnan(rule->clear) ? 0
                                          : config_place_fail(place, "clear",
                                                    "belongs to above or below; a rule with %s has no threshold", test);
        rule->limit = rule->test == ALERT_ABOVE ? rule->above : rule->below;
        if (isnan(rule->clear))
                rule->clear = rule->limit;
        if (rule->test == ALERT_ABOVE ? rule->clear <= rule->limit : rule->clear >= rule->limit)
                return 0;
        return config_place_fail(place, "clear",
                "%g overlaps with %s: %g, so the alert would begin and end at the same value; allowed: %s %g",
                rule->clear, test, rule->limit, rule->test == ALERT_ABOVE ? "at most" : "at least", rule->limit);
}

/* Collects the names of the section's targets. A missing name is reported elsewhere. */
static void name_targets(const ConfigPlace *place, const char *names[static ALERT_TARGETS_MAX + 1]) {
        const YamlNode *list = place->parent ? yaml_get(place->parent->node, "targets") : NULL;
        size_t n = 0;

        for (size_t i = 0; list && list->type == YAML_SEQUENCE && i < list->n_children && n < ALERT_TARGETS_MAX; i++) {
                const YamlNode *name = yaml_get(list->children[i], "name");

                if (name && name->type == YAML_SCALAR)
                        names[n++] = name->text;
        }
        names[n] = NULL;
}

static int check_targets(const ConfigPlace *place, const AlertRule *rule) {
        const char *targets[ALERT_TARGETS_MAX + 1];
        _cleanup_bytes_ Bytes words = {};
        int r;

        name_targets(place, targets);
        r = config_words(&words, targets, ", ");
        if (r < 0)
                return r;
        for (char **to = rule->to; to && *to; to++)
                if (!text_is_among(*to, targets))
                        return config_place_fail(place, "to", "there is no target \"%s\"; allowed: %s", *to,
                                words.size > 0 ? words.data : "none, since there is none");
        if (rule->to && !rule->to[0])
                return config_place_fail(place, "to", "names no target; leave it out to notify all of them");
        return 0;
}

static bool is_true(const YamlNode *node) {
        return node && node->type == YAML_SCALAR && strcmp(node->text, "true") == 0;
}

/* Returns a source that is read on changes and to which the rule may apply; NULL: none. */
static const char *find_on_change(const ConfigPlace *place, const AlertRule *rule) {
        const ConfigPlace *top = place;
        const YamlNode *sources;

        while (top->parent)
                top = top->parent;
        sources = yaml_get(yaml_get(top->node, "publish"), "sources");
        for (size_t i = 0; sources && sources->type == YAML_SEQUENCE && i < sources->n_children; i++) {
                const YamlNode *name = yaml_get(sources->children[i], "name");
                const char *wanted = config_map_get(&rule->where, "source");

                if (!is_true(yaml_get(sources->children[i], "on_change")) || !name || name->type != YAML_SCALAR)
                        continue;
                if (!wanted || match_has(&rule->where, "source", name->text))
                        return name->text;
        }
        return NULL;
}

static int warn_on_change(const ConfigPlace *place, const AlertRule *rule) {
        const char *source = rule->stale > 0 && rule->stale <= ON_CHANGE_USEC ? find_on_change(place, rule) : NULL;

        if (!source)
                return 0;
        return config_place_warn(place, "stale",
                "source %s has on_change: true, so a room without changes is published only once an hour; more than "
                "1h tells that from a silent sensor",
                source);
}

static int rule_rule(const ConfigPlace *place, void *self, void *around) {
        AlertRule *rule = self;
        int r = check_targets(place, rule);

        if (r == 0)
                r = check_test(place, rule);
        if (r == 0)
                r = check_field(place, rule);
        if (r == 0)
                r = check_clear(place, rule);
        if (r == 0)
                r = match_warn(place, "where");
        if (r == 0)
                r = match_warn(place, "is");
        if (r == 0)
                r = match_warn_place(place, "field");
        return r < 0 ? r : warn_on_change(place, rule);
}

#define FIELD(field) offsetof(AlertRule, field)

/* clang-format off */
static const ConfigRow rule_rows[] = {
        { "name", &type_name, FIELD(name), 1, NAME_CHARACTERS_MAX * UTF8_MAX, .flags = CONFIG_REQUIRED | CONFIG_UNIQUE,
                .doc = "Name of the rule in messages." },
        { "where", &match_where_type, FIELD(where), 0, WHERE_MAX, .derived = "every device", .flags = CONFIG_MANY,
                .doc = "Only messages in which the given member or JSON pointer has the given value, or one of several." },
        { "field", &match_place_type, FIELD(field), 1, TEXT_MAX,
                .doc = "Where the value is: a member or a JSON pointer. With `stale`: the `created_at` beside it counts." },
        { "above", &config_type_decimal, FIELD(above),
                .doc = "Fires while the value is greater than this." },
        { "below", &config_type_decimal, FIELD(below),
                .doc = "Fires while the value is less than this." },
        { "is", &config_type_text, FIELD(is), 1, TEXT_MAX,
                .doc = "Fires while the value equals this number, text, true or false." },
        { "stale", &config_type_duration, FIELD(stale), 10 * USEC_PER_SEC, 366 * DAY,
                .doc = "Fires when a device has sent nothing for this long, or reports `online: false`." },
        { "clear", &config_type_decimal, FIELD(clear), .derived = "the threshold",
                .doc = "With `above` or `below`: the value at which the alert is over." },
        { "for", &config_type_duration, FIELD(wait), 0, 30 * DAY, "0s",
                .doc = "How long the condition must last before the alert fires." },
        { "repeat", &config_type_duration, FIELD(repeat), 5 * USEC_PER_SEC, 366 * DAY, .derived = "never",
                .doc = "Repeats the alert after this time while it lasts, counted from when the target last accepted it." },
        { "to", &config_type_names, FIELD(to), 0, ALERT_TARGETS_MAX, .derived = "all targets", .flags = CONFIG_ONE,
                .doc = "Targets that get this alert." },
        { "message", &alert_text_template, FIELD(message), 1, TEMPLATE_MAX, .derived = "by language",
                .doc = "Text when the alert fires, with {name} {rule} {source} {id} {site} {field} {value} {limit} {since} {duration}." },
        { "resolved", &alert_text_template, FIELD(resolved), 1, TEMPLATE_MAX, .derived = "by language",
                .doc = "Text when the alert is over." },
        {},
};

static const ConfigSection rule_section = { .rows = rule_rows, .size = sizeof(AlertRule), .rule = rule_rule };

#undef FIELD
#define FIELD(field) offsetof(AlertConfig, field)

static const ConfigRow rows[] = {
        { "language", &alert_text_language, FIELD(language), .fallback = "en",
                .doc = "Language of texts that the rules do not set." },
        { "targets", &config_type_list, FIELD(targets), 1, ALERT_TARGETS_MAX, .flags = CONFIG_REQUIRED,
                .section = &alert_target_section, .count = FIELD(n_targets),
                .doc = "Who gets the alerts." },
        { "rules", &config_type_list, FIELD(rules), 1, ALERT_RULES_MAX, .flags = CONFIG_REQUIRED,
                .section = &rule_section, .count = FIELD(n_rules),
                .doc = "Conditions that raise an alert." },
        { "forget", &config_type_duration, FIELD(forget), DAY, 3660 * DAY, "30d",
                .doc = "A device that sends nothing for this long is forgotten." },
        {},
};
/* clang-format on */

const ConfigSection alert_config_section = {
        .name = "alert",
        .doc = "Notifies people when a value crosses a threshold or a sensor is silent.",
        .rows = rows,
        .size = sizeof(AlertConfig),
};

/* ---- thresholds for a chart ---- */

/* Makes a JSON object for match_test() with what is known of all messages of the device. */
static int make_device(const SinkSeries *series, Bytes *json) {
        size_t labels = strlen(series->labels);

        bytes_append_text(json, "{");
        bytes_append_json_member(json, "source", series->source);
        bytes_append_json_member(json, "id", series->device);
        bytes_append_json_member(json, "name", series->name);
        if (labels > strlen("{}"))
                bytes_append_format(json, ",%.*s", (int) (labels - strlen("{}")), series->labels + 1);
        return bytes_append_text(json, "}");
}

/* Whether a rule's field (a JSON pointer, or the name of a member at the top) is that pointer. */
static bool field_is(const char *field, const char *pointer) {
        return field && strcmp(field, field[0] == '/' ? pointer : pointer + 1) == 0;
}

void alert_config_limits(
        const void *keys, const SinkSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to) {
        const AlertConfig *config = keys;
        _cleanup_bytes_ Bytes device = {};

        for (size_t i = 0; i < config->n_rules; i++) {
                const AlertRule *rule = &config->rules[i];

                if ((rule->test != ALERT_ABOVE && rule->test != ALERT_BELOW) || !field_is(rule->field, series->field))
                        continue;
                if (device.size == 0 && make_device(series, &device) < 0)
                        break; /* out of memory: the chart lacks lines */
                if (match_test(&rule->where, bytes_slice(&device)))
                        each(to, &(SinkLimit){ rule->name, tests[rule->test], rule->limit, rule->clear });
        }
}
