/* SPDX-License-Identifier: Apache-2.0 */
/* The section of a webhook, and its part of `check`. */

#include "config-place.h"
#include "lib/text.h"
#include "sinks/webhook.h"

#define TEXT_MAX 2048

/* ---- the section ---- */

static int webhook_rule(const ConfigPlace *place, void *self, void *around) {
        const WebhookConfig *keys = self;
        int r;

        if (!keys->at.url == !keys->at.url_file.file)
                return config_place_fail(place, keys->at.url ? "url_file" : NULL,
                        keys->at.url ? "stands beside url; one of them" : "needs one of url and url_file");
        if (keys->auth.type != AUTH_NONE && keys->at.url && !keys->at.allow_plain &&
                http_url_check(keys->at.url) == HTTP_URL_PLAIN)
                return config_place_fail(place, "url",
                        "would send the secret of auth unencrypted to another machine; needs https://, or allow_plain: "
                        "true");
        r = web_place_tls_rule(place, (char *const[]){ keys->at.url, NULL }, &keys->auth);
        return r < 0 ? r : web_place_headers_rule(place, &keys->headers);
}

#define FIELD(field) offsetof(WebhookConfig, field)

/* clang-format off */
static const ConfigRow rows[] = {
        { "url", &config_type_web_url, FIELD(at.url), 1, TEXT_MAX,
                .doc = "Where documents are sent by POST; this or `url_file`." },
        { "url_file", &config_type_secret, FIELD(at.url_file), 1, TEXT_MAX,
                .doc = "Secret file with the URL, if whoever knows the URL may post." },
        { "headers", &config_type_headers, FIELD(headers), 0, 20,
                .doc = "Further headers of every request; none with a secret." },
        { "auth", &config_type_section, FIELD(auth), .flags = CONFIG_IMPLIED, .section = &auth_section,
                .doc = "How a request proves who it is." },
        { "expect", &config_type_text, FIELD(expect), 1, 200,
                .doc = "Text that the server's answer contains when the documents are stored." },
        { "batch", &config_type_unsigned, FIELD(batch), 1, 1000, "100",
                .doc = "The most documents in one request." },
        { "timeout", &config_type_duration, FIELD(timeout), 1 * USEC_PER_SEC, 5 * USEC_PER_MINUTE, "30s",
                .doc = "How long a request may take, its answer included." },
        { "ca_file", &config_type_path, FIELD(at.ca_file), 1, TEXT_MAX,
                .doc = "PEM file of the authority that signed the server's certificate, in place of the system's." },
        { "tls", &config_type_section, FIELD(at.tls), .section = &config_tls_section,
                .doc = "A certificate that tells the server who we are." },
        { "allow_plain", &config_type_bool, FIELD(at.allow_plain), .fallback = "false",
                .doc = "Send secrets without TLS to other machines." },
        {},
};
/* clang-format on */

const ConfigSection webhook_config_section = {
        .name = "webhook",
        .doc = "Documents are POSTed to an HTTP server, in arrays.",
        .rows = rows,
        .size = sizeof(WebhookConfig),
        .rule = webhook_rule,
};

/* ---- check ---- */

static void admin_place(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]) {
        _cleanup_free_ char *place = web_place_shown(&((const WebhookConfig *) config->keys)->at);

        text_copy(text, SINK_ADMIN_TEXT_MAX, place ?: "");
}

static void admin_check(void *self, const SinkTeller *teller) {
        const WebhookConfig *keys = ((const SubscriptionConfig *) self)->keys;
        char words[WEB_PLACE_WORDS_MAX];
        bool open = web_place_check(&keys->at, words) >= 0 &&
                    web_place_try(&keys->at, teller->means->loop, words) == WEB_PLACE_OPEN;

        sink_admin_tell(teller, open ? SINK_GRADE_OK : SINK_GRADE_FAIL, "%s%s", words,
                open ? "; nothing was sent, so whether it takes documents is seen with the first" : "");
}

const SinkAdmin webhook_config_admin = { .place = admin_place, .check = admin_check };
