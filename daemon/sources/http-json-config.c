/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration keys of the type http_json. */
#include <errno.h>

#include "config-place.h"
#include "lib/http.h"
#include "lib/pointer.h"
#include "lib/text.h"
#include "sources/http-json.h"
#include "web-place.h"

#define TEXT_MAX 4096
#define URLS_MAX 100
#define FIELD(field) offsetof(HttpJsonConfig, field)
#define DAY (24 * USEC_PER_HOUR)

/* ---- kinds of values ---- */

/* Checks the URL after its placeholders are replaced: their braces are not allowed in a URL. */
static int url_check(const char *text, ConfigProblem *ret_problem) {
        _cleanup_bytes_ Bytes url = {};

        if (http_json_expand(text, &(HttpJsonTimes){}, true, &url) < 0)
                return -ENOMEM;
        return config_type_web_url.text(url.data ?: "", ret_problem);
}

static int pointer_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] == '/' && pointer_is_valid(text) && pointer_count_stars(text) == 0)
                return 0;
        return config_problem_set(ret_problem, "is not a JSON pointer to one place: /a/b");
}

static const ConfigType type_url = { "URL",
        "https://HOST/... or http://HOST/..., with {since}, {until}, {now} if need be", CONFIG_TEXT,
        .text = url_check };
static const ConfigType type_urls = { "list of URLs", "a list of URLs", CONFIG_TEXTS, .text = url_check };
static const ConfigType type_method = { "GET or POST", NULL, CONFIG_INT,
        .words = (const char *const[]){ "GET", "POST", NULL } };
static const ConfigType type_pointer = { "JSON pointer", "a JSON pointer, as /a/b", CONFIG_TEXT,
        .text = pointer_check };
static const ConfigType type_ok = { "map of texts", "/POINTER: TEXT lines, indented", CONFIG_MAP,
        .inside = pointer_check };

/* ---- rows ---- */

/* clang-format off */
static const ConfigRow paging_rows[] = {
        { "next", &type_pointer, offsetof(HttpJsonPaging, next), 1, 1024, .flags = CONFIG_REQUIRED,
                .doc = "Where an answer names the next page: a token, or a URL." },
        { "parameter", &config_type_text, offsetof(HttpJsonPaging, parameter), 1, 256,
                .derived = "none: next leads to a URL",
                .doc = "The parameter of the URL that takes the token." },
        { "max", &config_type_unsigned, offsetof(HttpJsonPaging, max), 1, 1000, "20",
                .doc = "The most pages of one answer." },
        {},
};

static const ConfigRow since_rows[] = {
        { "initial", &config_type_duration, offsetof(HttpJsonSince, initial), USEC_PER_MINUTE, 365 * DAY, "24h",
                .doc = "How far the very first poll looks back." },
        { "overlap", &config_type_duration, offsetof(HttpJsonSince, overlap), USEC_PER_MINUTE, 6 * DAY, "24h",
                .doc = "How far each poll goes back behind the last one, for points that reach the server late." },
        { "window", &config_type_duration, offsetof(HttpJsonSince, window), USEC_PER_MINUTE, 31 * DAY, "24h",
                .doc = "The longest time beyond the overlap that one request asks for; a longer outage takes several requests." },
        {},
};

static const ConfigSection paging_section = { .rows = paging_rows, .size = sizeof(HttpJsonPaging) };
static const ConfigSection since_section = { .rows = since_rows, .size = sizeof(HttpJsonSince) };

static const ConfigRow rows[] = {
        { "url", &type_url, FIELD(url), 1, TEXT_MAX, .derived = "see urls",
                .doc = "The URL to ask." },
        { "urls", &type_urls, FIELD(urls), 1, URLS_MAX, .derived = "see url",
                .doc = "Several URLs, asked in order, in place of one." },
        { "method", &type_method, FIELD(method), .fallback = "GET",
                .doc = "The HTTP method." },
        { "body", &config_type_text, FIELD(body), 1, 65536,
                .doc = "The body of a POST." },
        { "headers", &config_type_headers, FIELD(headers), 0, 50,
                .doc = "Headers of each request; secrets belong in auth." },
        { "auth", &config_type_section, FIELD(auth), .flags = CONFIG_IMPLIED, .section = &auth_section,
                .doc = "How a request proves who it is." },
        { "ok", &type_ok, FIELD(ok), 0, 20, .flags = CONFIG_MANY,
                .doc = "What a good answer has, and where; every other answer is a failure, whatever its status." },
        { "paging", &config_type_section, FIELD(paging), .flags = CONFIG_POINTER, .section = &paging_section,
                .doc = "For answers that come in several pages." },
        { "since", &config_type_section, FIELD(since), .flags = CONFIG_POINTER, .section = &since_section,
                .doc = "For servers that keep history: sensorqd asks later for what it missed while anything was down." },
        { "ca_file", &config_type_path, FIELD(ca_file), 1, 1024,
                .doc = "PEM file of certificate authorities that replaces the system's for this source." },
        { "tls", &config_type_section, FIELD(tls), .section = &config_tls_section,
                .doc = "A certificate that tells the server who we are." },
        { "allow_plain", &config_type_bool, FIELD(allow_plain), .fallback = "false",
                .doc = "Send the secret of auth without TLS to another machine." },
        { "reading", &config_type_section, FIELD(reading), .flags = CONFIG_IMPLIED, .section = &shape_section,
                .doc = "How an answer becomes readings." },
        {},
};
/* clang-format on */

/* ---- rules that a single row cannot check ---- */

static bool any_mentions(const HttpJsonConfig *keys, const char *name) {
        if (keys->body && http_json_mentions(keys->body, name))
                return true;
        for (char **url = keys->urls; *url; url++)
                if (http_json_mentions(*url, name))
                        return true;
        return false;
}

static int plain_rule(const ConfigPlace *place, const HttpJsonConfig *keys, const char *key, const char *url) {
        _cleanup_bytes_ Bytes real = {};

        if (http_json_expand(url, &(HttpJsonTimes){}, true, &real) < 0)
                return -ENOMEM;
        if (keys->auth.type == AUTH_NONE || keys->allow_plain || http_url_check(real.data ?: "") != HTTP_URL_PLAIN)
                return 0;
        return config_place_fail(place, key,
                "would send the secret of auth unencrypted to another machine; needs https://, or allow_plain: true");
}

static int urls_rule(const ConfigPlace *place, HttpJsonConfig *keys) {
        const char *key = keys->url ? "url" : "urls";
        int r = 0;

        if (!keys->url == !keys->urls)
                return config_place_fail(place, keys->url ? "urls" : NULL,
                        keys->url ? "stands beside url; one of them"
                                  : "has neither url nor urls; allowed: one of them");
        if (keys->url) {
                keys->urls = calloc(2, sizeof(char *));
                if (!keys->urls)
                        return -ENOMEM;
                keys->urls[0] = cleanup_steal(keys->url);
        }
        for (char **url = keys->urls; r == 0 && *url; url++) {
                r = plain_rule(place, keys, key, *url);
                if (r == 0 && text_is_among(*url, (const char *const *) url + 1))
                        r = config_place_warn(place, "urls", "has one of them twice: %s",
                                keys->since || keys->reading.once_per == SHAPE_MEASUREMENT
                                        ? "it is asked again for what is known"
                                        : "each of its readings comes twice");
        }
        return r;
}

static int since_rule(const ConfigPlace *place, HttpJsonConfig *keys) {
        const YamlNode *once = yaml_get(yaml_get(place->node, "reading"), "once_per");

        if (!keys->since && (any_mentions(keys, "since") || any_mentions(keys, "until")))
                return config_place_fail(place, "since",
                        "is missing, and {since} or {until} is asked for; allowed: a section, as since: {}");
        if (!keys->since)
                return 0;
        if (!any_mentions(keys, "since"))
                return config_place_fail(place, "since", "needs {since} in url or body, or the same is asked for ever");
        if (!keys->reading.time)
                return config_place_fail(place, "since", "needs reading.time, which tells one point from another");
        if (once && keys->reading.once_per != SHAPE_MEASUREMENT)
                return config_place_fail(
                        place, "reading", "once_per: arrival does not go with since, where the same points come again");
        keys->reading.once_per = SHAPE_MEASUREMENT;
        return 0;
}

/* The first use of a refresh token makes it invalid: two sources with the same one would lock each other out. */
static int refresh_rule(const ConfigPlace *place, const HttpJsonConfig *keys) {
        const YamlNode *sources = place->parent ? yaml_get(place->parent->node, "sources") : NULL;

        for (size_t i = 0; keys->auth.refresh_token.file && sources && i < sources->n_children; i++) {
                const YamlNode *other = sources->children[i],
                               *file = yaml_get(yaml_get(other, "auth"), "refresh_token_file");

                if (other == place->node)
                        return 0;
                if (file && file->type == YAML_SCALAR && strcmp(file->text, keys->auth.refresh_token.file) == 0)
                        return config_place_fail(place, "auth",
                                "has the refresh_token_file of another source; each use makes the token of the other "
                                "invalid, so each needs one of its own, or both are one source with urls");
        }
        return 0;
}

static int http_json_rule(const ConfigPlace *place, void *self, void *around) {
        HttpJsonConfig *keys = self;
        int r;

        r = urls_rule(place, keys);
        if (r == 0)
                r = web_place_tls_rule(place, keys->urls, &keys->auth);
        if (r < 0)
                return r;
        if (keys->body && keys->method == 0)
                return config_place_fail(place, "body", "goes with method: POST only");
        r = since_rule(place, keys);
        return r < 0 ? r : refresh_rule(place, keys);
}

const ConfigSection http_json_section = {
        .name = "http_json",
        .doc = "Any HTTP API that answers JSON.",
        .rows = rows,
        .size = sizeof(HttpJsonConfig),
        .rule = http_json_rule,
};
