/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration keys of `auth:`. */
#include <stddef.h>

#include "auth.h"
#include "config-place.h"

#define TEXT_MAX 1024
#define FIELD(field) offsetof(AuthConfig, field)

static const char *const kinds[] = { [AUTH_NONE] = "none",
        [AUTH_BEARER] = "bearer",
        [AUTH_BASIC] = "basic",
        [AUTH_HEADER] = "header",
        [AUTH_QUERY] = "query",
        [AUTH_SWITCHBOT] = "switchbot",
        [AUTH_OAUTH2] = "oauth2",
        NULL };

/* The URL is kept as written: a slash at its end may matter to the server. */
static int token_url_check(const char *text, ConfigProblem *ret_problem) {
        if (http_url_check(text) == HTTP_URL_OK)
                return 0;
        return config_problem_set(ret_problem, "is not a URL that a secret may be sent to");
}

/* Values and keys are never quoted here: a secret may have been written in the place of any. */
static const ConfigType type_token_url = { "URL", "https://..., or http:// to this machine only", CONFIG_TEXT,
        .text = token_url_check, .private = true };
static const ConfigType type_kind = { "none, bearer, basic, header, query, switchbot or oauth2", NULL, CONFIG_INT,
        .words = kinds, .private = true };
/* A secret may stand behind the colon ("admin:PASSWORD", "X-Api-Key: VALUE") or the equals sign of these two. */
static const ConfigType type_field = { "name", "the name of a header or parameter", CONFIG_TEXT,
        .letters = CONFIG_LETTERS "!$'*+-.^_`|~", .wrong = "holds a character that such a name cannot have",
        .private = true };
static const ConfigType type_user = { "text", "a text without a colon", CONFIG_TEXT, .without = ":",
        .wrong = "holds a colon, which would end it", .private = true };

#define OF(kind) (1u << (kind))

/* clang-format off */
static const ConfigRow rows[] = {
        { "type", &type_kind, FIELD(type), .fallback = "none",
                .doc = "How requests authenticate." },
        { "token_file", &config_type_token, FIELD(token), 1, TEXT_MAX, .needed = OF(AUTH_BEARER) | OF(AUTH_SWITCHBOT),
                .doc = "bearer, switchbot: the token." },
        { "secret_file", &config_type_secret, FIELD(secret), 1, TEXT_MAX, .needed = OF(AUTH_SWITCHBOT),
                .doc = "switchbot: the client secret, which signs requests." },
        { "username", &type_user, FIELD(username), 1, TEXT_MAX, .needed = OF(AUTH_BASIC),
                .doc = "basic: the user name." },
        { "password_file", &config_type_secret, FIELD(password), 1, TEXT_MAX, .needed = OF(AUTH_BASIC),
                .doc = "basic: the user's password." },
        { "header", &type_field, FIELD(header), 1, 256, .needed = OF(AUTH_HEADER),
                .doc = "header: name of the header that carries the value." },
        { "parameter", &type_field, FIELD(parameter), 1, 256, .needed = OF(AUTH_QUERY),
                .doc = "query: name of the URL parameter that carries the value." },
        { "value_file", &config_type_value, FIELD(value), 1, TEXT_MAX, .needed = OF(AUTH_HEADER) | OF(AUTH_QUERY),
                .doc = "header, query: the value." },
        { "token_url", &type_token_url, FIELD(token_url), 1, TEXT_MAX, .needed = OF(AUTH_OAUTH2),
                .doc = "oauth2: the token endpoint." },
        { "client_id", &config_type_text, FIELD(client_id), 1, TEXT_MAX, .needed = OF(AUTH_OAUTH2),
                .doc = "oauth2: client id that is registered with the provider." },
        { "client_secret_file", &config_type_secret, FIELD(client_secret), 1, TEXT_MAX, .allowed = OF(AUTH_OAUTH2),
                .doc = "oauth2: the client secret." },
        { "scope", &config_type_text, FIELD(scope), 1, TEXT_MAX, .allowed = OF(AUTH_OAUTH2),
                .doc = "oauth2: scope to request, if the provider requires one." },
        { "refresh_token_file", &config_type_secret, FIELD(refresh_token), 1, TEXT_MAX, .allowed = OF(AUTH_OAUTH2),
                .doc = "oauth2: the first refresh token. Without it, sensorqd uses client credentials." },
        {},
};
/* clang-format on */

static int auth_rule(const ConfigPlace *place, void *self, void *around) {
        const AuthConfig *config = self;
        int r = config_place_kind(place, rows, config->type, kinds[config->type]);

        if (r < 0)
                return r;
        if (config->type == AUTH_OAUTH2 && !config->refresh_token.file && !config->client_secret.file)
                return config_place_fail(place, NULL, "needs refresh_token_file, or client_secret_file, or both");
        return 0;
}

const ConfigSection auth_section = {
        .shared = "auth", .rows = rows, .size = sizeof(AuthConfig), .rule = auth_rule, .private = true
};
