/* SPDX-License-Identifier: Apache-2.0 */
/* The section of a webhook, and what `check` says of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config-place.h"
#include "lib/text.h"
#include "sinks/webhook.h"

#define TEXT_MAX 2048
#define CONNECT_TIMEOUT_USEC (15 * USEC_PER_SEC)
#define HTTPS "https://"

/* ---- the URL ---- */

const char *webhook_config_url(const WebhookConfig *keys) {
        return keys->url ?: keys->url_file.text;
}

static const char *authority_of(const char *url) {
        return strstr(url, "://") + strlen("://");
}

char *webhook_config_place(const WebhookConfig *keys) {
        const char *url = webhook_config_url(keys);

        if (!url)
                return strdup(keys->url_file.file); /* the verbs ask before they read it */
        if (keys->url)
                return strndup(url, strcspn(url, "?"));
        return strndup(url, (size_t) (authority_of(url) - url) + strcspn(authority_of(url), "/?"));
}

int webhook_config_check(const WebhookConfig *keys, char problem[static SINK_DETAIL_MAX]) {
        const char *words = NULL;

        switch (http_url_check(webhook_config_url(keys))) {
        case HTTP_URL_MALFORMED:
                words = "holds no URL; it begins with https:// and has no blank in it";
                break;
        case HTTP_URL_METADATA:
                words = "holds the URL of the metadata server, which is there for tokens only";
                break;
        case HTTP_URL_PLAIN:
                if (!keys->url_file.file || keys->allow_plain)
                        return 0;
                words = "holds a URL without TLS, which would travel in the clear; use https://, or allow_plain: true";
                break;
        default:
                return 0;
        }
        (void) snprintf(problem, SINK_DETAIL_MAX, "secret file %s %s", keys->url_file.file, words);
        return -EBADMSG;
}

/* As lib/http.h: only https to other machines goes through one. */
static bool is_proxied(const char *url) {
        static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strncasecmp(url, HTTPS, strlen(HTTPS)) == 0 && getenv(names[i]))
                        return true;
        return false;
}

bool webhook_config_stream(const WebhookConfig *keys, char host[static WEBHOOK_HOST_SIZE], StreamSpec *ret) {
        const char *url = webhook_config_url(keys), *begin = authority_of(url);
        const char *end = begin + strcspn(begin, "/?"), *port;
        bool tls = strncasecmp(url, HTTPS, strlen(HTTPS)) == 0, v6 = *begin == '[';
        size_t size;

        begin += v6;
        size = strcspn(begin, v6 ? "]" : ":/?");
        port = begin + size + v6;
        if (is_proxied(url) || size >= WEBHOOK_HOST_SIZE)
                return false;
        *(char *) mempcpy(host, begin, size) = '\0';
        *ret = (StreamSpec){ .host = host,
                .port = port < end && *port == ':' ? (uint16_t) atoi(port + 1)
                        : tls                      ? 443
                                                   : 80,
                .tls = tls,
                .ca_file = keys->ca_file,
                .timeout = CONNECT_TIMEOUT_USEC };
        return true;
}

/* ---- the section ---- */

static int headers_rule(const ConfigPlace *place, const WebhookConfig *keys) {
        static const char *const own[] = { "Idempotency-Key", "Content-Type", "Content-Length", "Content-Encoding",
                "Transfer-Encoding", "Host", "Expect" };

        for (size_t i = 0; i < keys->headers.n; i++)
                for (size_t k = 0; k < ELEMENTSOF(own); k++)
                        if (strcasecmp(keys->headers.items[i].name, own[k]) == 0)
                                return config_place_fail(
                                        place, "headers", "%s is set by sensorqd itself: leave it out", own[k]);
        return 0;
}

static int webhook_rule(const ConfigPlace *place, void *self, void *around) {
        const WebhookConfig *keys = self;

        if (!keys->url == !keys->url_file.file)
                return config_place_fail(place, keys->url ? "url_file" : NULL, "needs one of url and url_file");
        if (keys->auth.type != AUTH_NONE && keys->url && !keys->allow_plain &&
                http_url_check(keys->url) == HTTP_URL_PLAIN)
                return config_place_fail(place, "url",
                        "would send the secret of auth in the clear to another machine; needs https://, or "
                        "allow_plain: "
                        "true");
        return headers_rule(place, keys);
}

#define FIELD(field) offsetof(WebhookConfig, field)

/* clang-format off */
static const ConfigRow rows[] = {
        { "url", &config_type_web_url, FIELD(url), 1, TEXT_MAX,
                .doc = "Where documents are sent by POST; this or `url_file`." },
        { "url_file", &config_type_secret, FIELD(url_file), 1, TEXT_MAX,
                .doc = "Secret file with the URL, where whoever knows it may post." },
        { "headers", &config_type_headers, FIELD(headers), 0, 20,
                .doc = "Further headers of every request; none with a secret." },
        { "auth", &config_type_section, FIELD(auth), .flags = CONFIG_IMPLIED, .section = &auth_section,
                .doc = "How a request proves who it is." },
        { "batch", &config_type_unsigned, FIELD(batch), 1, 1000, "100",
                .doc = "The most documents in one request." },
        { "timeout", &config_type_duration, FIELD(timeout), 1 * USEC_PER_SEC, 5 * USEC_PER_MINUTE, "30s",
                .doc = "How long a request may take, its answer included." },
        { "ca_file", &config_type_path, FIELD(ca_file), 1, TEXT_MAX,
                .doc = "PEM file of the authority that signed the server's certificate, in place of the system's." },
        { "allow_plain", &config_type_bool, FIELD(allow_plain), .fallback = "false",
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
        _cleanup_free_ char *place = webhook_config_place(config->keys);

        text_copy(text, SINK_ADMIN_TEXT_MAX, place ?: "");
}

static int admin_open(const SubscriptionConfig *config, void **ret_self, char text[static SINK_ADMIN_TEXT_MAX]) {
        *ret_self = config->keys;
        return webhook_config_check(config->keys, text);
}

static void *admin_close(void *self) {
        return NULL;
}

typedef struct Trial {
        bool done, open;
        char detail[SINK_DETAIL_MAX];
} Trial;

static void on_open(void *userdata) {
        Trial *trial = userdata;

        trial->done = trial->open = true;
}

static void on_lost(void *userdata, const char *detail) {
        Trial *trial = userdata;

        trial->done = true;
        text_copy(trial->detail, sizeof(trial->detail), detail);
}

static int try_to_connect(const StreamSpec *spec, Trial *trial) {
        const StreamCallbacks callbacks = { .on_open = on_open, .on_lost = on_lost, .userdata = trial };
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(stream_freep) Stream *stream = NULL;
        int r;

        r = loop_new(&loop);
        if (r >= 0)
                r = stream_open(loop, spec, &callbacks, &stream);
        while (r >= 0 && !trial->done)
                r = loop_turn(loop, USEC_INFINITY);
        return r < 0 ? r : 0;
}

static void admin_check(void *self, const SinkTeller *teller) {
        const WebhookConfig *keys = self;
        char host[WEBHOOK_HOST_SIZE], text[SINK_ADMIN_TEXT_MAX];
        Trial trial = {};
        StreamSpec spec;
        int r;

        if (!webhook_config_stream(keys, host, &spec))
                return teller->tell(teller->userdata, SINK_GRADE_OK,
                        "is reached through the proxy of the environment; nothing was sent");
        r = try_to_connect(&spec, &trial);
        if (r < 0)
                text_copy(trial.detail, sizeof(trial.detail), strerror(-r));
        if (trial.open)
                (void) snprintf(text, sizeof(text),
                        "%s takes connections at port %u%s; nothing was sent, so whether it takes documents is seen "
                        "with the first",
                        host, spec.port, spec.tls ? ", and its certificate is good" : "");
        else
                (void) snprintf(text, sizeof(text),
                        "%s, port %u: %.256s. Look at the address, the network and, for a certificate, ca_file", host,
                        spec.port, trial.detail);
        teller->tell(teller->userdata, trial.open ? SINK_GRADE_OK : SINK_GRADE_FAIL, text);
}

const SinkAdmin webhook_config_admin = {
        .place = admin_place,
        .open = admin_open,
        .close = admin_close,
        .check = admin_check,
};
