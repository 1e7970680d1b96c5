/* SPDX-License-Identifier: Apache-2.0 */
#include "web-place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/http.h"
#include "lib/text.h"

#define CONNECT_TIMEOUT_USEC (15 * USEC_PER_SEC)
#define HTTPS "https://"
#define PART_MIN 16 /* bytes; a shorter part of a path may be an ordinary word */

const char *web_place_url(const WebPlace *place) {
        return place->url ?: place->url_file.text;
}

static const char *authority_of(const char *url) {
        return strstr(url, "://") + strlen("://");
}

char *web_place_shown(const WebPlace *place) {
        const char *url = web_place_url(place);

        if (!url)
                return strdup(place->url_file.file); /* verbs may call this before the secret is read */
        if (place->url)
                return strndup(url, strcspn(url, "?"));
        return strndup(url, (size_t) (authority_of(url) - url) + strcspn(authority_of(url), "/?"));
}

int web_place_check(const WebPlace *place, char problem[static WEB_PLACE_WORDS_MAX]) {
        const char *words = NULL;

        switch (http_url_check(web_place_url(place))) {
        case HTTP_URL_MALFORMED:
                words = "does not hold a URL: one line that begins with https://, without spaces";
                break;
        case HTTP_URL_METADATA:
                words = "holds the URL of the metadata server, which is there for tokens only";
                break;
        case HTTP_URL_PLAIN:
                if (!place->url_file.file || place->allow_plain)
                        return 0;
                words = "holds a URL without TLS, which would travel unencrypted; use https://, or allow_plain: true";
                break;
        default:
                return 0;
        }
        (void) snprintf(problem, WEB_PLACE_WORDS_MAX, "secret file %s %s", place->url_file.file, words);
        return -EBADMSG;
}

int web_place_note(const WebPlace *place, Secrets *secrets) {
        const char *part = place->url_file.text ? strpbrk(authority_of(place->url_file.text), "/?") : NULL;
        int r = part ? secrets_note(secrets, part + 1) : 0;

        while (r == 0 && part && *part != '\0') {
                size_t size = strcspn(++part, "/?&=");
                _cleanup_(secret_freep) char *text = size >= PART_MIN ? strndup(part, size) : NULL;

                if (size >= PART_MIN)
                        r = text ? secrets_note(secrets, text) : -ENOMEM;
                part += size;
        }
        return r;
}

static bool has_tls(const char *url) {
        return strncasecmp(url, HTTPS, strlen(HTTPS)) == 0;
}

/* A proxy is used only for https to other machines, as in lib/http.h. */
static bool is_proxied(const char *url) {
        static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (has_tls(url) && getenv(names[i]))
                        return true;
        return false;
}

bool web_place_stream(const WebPlace *place, HttpUrl *url, StreamSpec *ret) {
        if (is_proxied(web_place_url(place)) || !http_url_split(web_place_url(place), url))
                return false;
        *ret = (StreamSpec){ .host = url->host,
                .port = url->port,
                .tls = url->tls,
                .ca_file = place->ca_file,
                .certificate_file = place->tls.certificate_file,
                .key_file = place->tls.key_file,
                .timeout = CONNECT_TIMEOUT_USEC };
        return true;
}

/* ---- answers ---- */

static bool is_wanted(const HttpReply *reply, const char *expect) {
        if (!expect)
                return !http_reply_is_page(reply);
        return memmem(reply->body.data ?: "", reply->body.size, expect, strlen(expect)) != NULL;
}

WebClass web_place_class(const HttpReply *reply, const char *expect) {
        int status = reply->status;

        if (reply->outcome == HTTP_UNREACHABLE || reply->outcome == HTTP_TLS)
                return WEB_LATER;
        if (reply->outcome != HTTP_ANSWERED)
                return WEB_UNKNOWN;
        if (status >= 200 && status < 300)
                return is_wanted(reply, expect) ? WEB_TAKEN : WEB_PERSON;
        if (status == 408 || status == 425 || status == 429)
                return WEB_LATER;
        if (status >= 500) /* a gateway may have answered after the server behind it accepted the request */
                return WEB_UNKNOWN;
        return status < 400 || status == 401 || status == 407 ? WEB_PERSON : WEB_REFUSED;
}

/* ---- rules ---- */

static int headers_rule(const ConfigPlace *place, const ConfigMap *headers) {
        static const char *const own[] = { "Idempotency-Key", "Content-Type", "Content-Length", "Content-Encoding",
                "Transfer-Encoding", "Host", "Expect" };

        for (size_t i = 0; i < headers->n; i++)
                for (size_t k = 0; k < ELEMENTSOF(own); k++)
                        if (strcasecmp(headers->items[i].name, own[k]) == 0)
                                return config_place_fail(
                                        place, "headers", "%s is set by sensorqd itself: leave it out", own[k]);
        return 0;
}

/* Not refused, as other secrets in a URL are, because 0.2.0 took it. Where `auth` has another secret, there is no
 * better place for it. */
static int password_rule(const ConfigPlace *place, char *const *urls, const AuthConfig *auth) {
        static const char *const names[] = { "password", "passwd", "pass", "pwd", "secret", "client_secret", NULL };
        const char *name = NULL;

        for (size_t i = 0; urls[i] && !name && auth->type == AUTH_NONE; i++)
                name = config_type_query_names(urls[i], names);
        return !name ? 0
                     : config_place_warn(place, yaml_get(place->node, "urls") ? "urls" : "url",
                               "has a secret in it (%s=): put it into a file, and name that in auth, with type: query",
                               name);
}

int web_place_urls_rule(const ConfigPlace *place, char *const *urls, const AuthConfig *auth) {
        static const char why[] = "http:// has no TLS; for TLS, write https://";
        int r = password_rule(place, urls, auth);
        bool used = !urls[0];

        if (r < 0)
                return r;
        for (size_t i = 0; urls[i]; i++)
                used |= has_tls(urls[i]);
        r = used ? 0 : config_place_unused(place, "tls", why);
        used |= auth->token_url && has_tls(auth->token_url);
        return r < 0 || used ? r : config_place_unused(place, "ca_file", why);
}

int web_place_one_rule(const ConfigPlace *place, const WebPlace *at) {
        if (!at->url != !at->url_file.file)
                return 0;
        return config_place_fail(place, at->url ? "url_file" : NULL,
                at->url ? "cannot be combined with url; allowed: one of them" : "needs one of url and url_file");
}

int web_place_rule(const ConfigPlace *place, const WebPlace *at, const AuthConfig *auth, const ConfigMap *headers) {
        bool plain = at->url && !at->allow_plain && http_url_check(at->url) == HTTP_URL_PLAIN;
        int r;

        if (plain && auth->type != AUTH_NONE)
                return config_place_fail(place, "url",
                        "would send a secret unencrypted to another machine; needs https://, or allow_plain: true");
        r = web_place_urls_rule(place, (char *const[]){ at->url, NULL }, auth);
        return r < 0 ? r : headers_rule(place, headers);
}

/* ---- a connection ---- */

typedef struct Trial {
        bool done, open;
        char detail[WEB_PLACE_WORDS_MAX];
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

static int try_to_connect(Loop *loop, const StreamSpec *spec, Trial *trial) {
        const StreamCallbacks callbacks = { .on_open = on_open, .on_lost = on_lost, .userdata = trial };
        _cleanup_(stream_freep) Stream *stream = NULL;
        int r = stream_open(loop, spec, &callbacks, &stream);

        while (r >= 0 && !trial->done)
                r = loop_turn(loop, USEC_INFINITY);
        return r < 0 ? r : 0;
}

int web_place_try(const WebPlace *place, Loop *loop, char words[static WEB_PLACE_WORDS_MAX]) {
        Trial trial = {};
        StreamSpec spec;
        HttpUrl url;
        int r;

        if (!web_place_stream(place, &url, &spec)) {
                (void) snprintf(words, WEB_PLACE_WORDS_MAX, "is reached through the proxy of the environment");
                return WEB_PLACE_OPEN;
        }
        r = try_to_connect(loop, &spec, &trial);
        if (r < 0)
                text_copy(trial.detail, sizeof(trial.detail), strerror(-r));
        if (trial.open)
                (void) snprintf(words, WEB_PLACE_WORDS_MAX, "%s takes connections at port %u%s", url.host, url.port,
                        url.tls ? ", and its certificate is good" : "");
        else
                text_print(words, WEB_PLACE_WORDS_MAX,
                        "%s, port %u: %s. Look at the address, the network and, for certificates, ca_file and tls",
                        url.host, url.port, trial.detail);
        return trial.open ? WEB_PLACE_OPEN : WEB_PLACE_CLOSED;
}
