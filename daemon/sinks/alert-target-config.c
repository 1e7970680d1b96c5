/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration rows of an alert target. */
#include <ctype.h>

#include "config-place.h"
#include "sinks/alert-target.h"

#define TEXT_MAX 2048
#define BODY_MAX 8192
#define NAME_MAX_LENGTH 63

static const char *const services[] = {
        [ALERT_SLACK] = "slack", [ALERT_NTFY] = "ntfy", [ALERT_LINE] = "line", [ALERT_WEBHOOK] = "webhook", NULL
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
static const ConfigRow rows[] = {
        { "name", &config_type_name, FIELD(name), 1, NAME_MAX_LENGTH, .flags = CONFIG_REQUIRED | CONFIG_UNIQUE,
                .doc = "The name of the target in rules and log entries." },
        { "type", &type_service, FIELD(type), .flags = CONFIG_REQUIRED,
                .doc = "The service." },
        { "url", &config_type_web_url, FIELD(at.url), 1, TEXT_MAX,
                .derived = "https://ntfy.sh, https://api.line.me",
                .allowed = OF(ALERT_NTFY) | OF(ALERT_LINE) | OF(ALERT_WEBHOOK),
                .doc = "ntfy, line: the server. webhook: where the body is sent by POST." },
        { "url_file", &config_type_secret, FIELD(at.url_file), 1, TEXT_MAX,
                .needed = OF(ALERT_SLACK), .allowed = OF(ALERT_WEBHOOK),
                .doc = "slack, webhook: secret file with the URL, if whoever knows the URL may post." },
        { "topic", &type_topic, FIELD(topic), 1, 64, .needed = OF(ALERT_NTFY),
                .doc = "ntfy: the topic; whoever knows its name may read it, unless the server says otherwise." },
        { "token_file", &config_type_token, FIELD(token), 1, TEXT_MAX,
                .needed = OF(ALERT_LINE), .allowed = OF(ALERT_NTFY),
                .doc = "line: secret file with the channel access token. ntfy: secret file with an access token." },
        { "recipient", &type_recipient, FIELD(recipient), 2, 64, .needed = OF(ALERT_LINE),
                .doc = "line: id of the user, group or room." },
        { "headers", &config_type_headers, FIELD(headers), 0, 20, .allowed = OF(ALERT_WEBHOOK),
                .doc = "webhook: further headers; none with a secret." },
        { "auth", &config_type_section, FIELD(auth), .flags = CONFIG_IMPLIED, .section = &auth_section,
                .allowed = OF(ALERT_WEBHOOK),
                .doc = "webhook: how a request proves who it is." },
        { "body", &alert_text_body, FIELD(body), 1, BODY_MAX,
                .derived = "an object with every word", .allowed = OF(ALERT_WEBHOOK),
                .doc = "webhook: the JSON that is sent." },
        { "ca_file", &config_type_path, FIELD(at.ca_file), 1, TEXT_MAX,
                .doc = "PEM file of the authority that signed the server's certificate, in place of the system's." },
        { "tls", &config_type_section, FIELD(at.tls), .section = &config_tls_section,
                .doc = "A certificate that tells the server who we are." },
        { "allow_plain", &config_type_bool, FIELD(at.allow_plain), .fallback = "false",
                .doc = "Send secrets without TLS to other machines." },
        {},
};
/* clang-format on */

/* Whether the server's URL has a path: topic and path of the call must not be in it. */
static bool has_path(const char *url) {
        const char *path = strpbrk(strstr(url, "://") + 3, "/?#");

        return path && strcmp(path, "/") != 0;
}

static int url_rule(const ConfigPlace *place, const AlertTarget *target) {
        bool secret = target->token.file || target->auth.type != AUTH_NONE;

        if (target->type == ALERT_WEBHOOK && !target->at.url == !target->at.url_file.file)
                return config_place_fail(place, target->at.url ? "url_file" : NULL,
                        target->at.url ? "stands beside url; one of them" : "needs one of url and url_file");
        if (!target->at.url)
                return 0;
        if (target->type != ALERT_WEBHOOK && has_path(target->at.url))
                return config_place_fail(place, "url", "has a path; allowed: the server alone, https://HOST");
        if (secret && !target->at.allow_plain && http_url_check(target->at.url) == HTTP_URL_PLAIN)
                return config_place_fail(place, "url",
                        "would send a secret unencrypted to another machine; needs https://, or allow_plain: true");
        return 0;
}

static int rule(const ConfigPlace *place, void *self, void *around) {
        const AlertTarget *target = self;
        int r;

        r = config_place_kind(place, rows, target->type, services[target->type]);
        if (r >= 0)
                r = url_rule(place, target);
        if (r >= 0)
                r = web_place_tls_rule(place, (char *const[]){ target->at.url, NULL }, &target->auth);
        return r < 0 ? r : web_place_headers_rule(place, &target->headers);
}

const ConfigSection alert_target_section = { .rows = rows, .size = sizeof(AlertTarget), .rule = rule };

AuthConfig alert_target_auth(const AlertTarget *target) {
        if (target->type == ALERT_WEBHOOK || !target->token.text)
                return target->auth;
        return (AuthConfig){ .type = AUTH_BEARER, .token = target->token };
}
