/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/service.h"
#include "lib/text.h"

#define EXCHANGE_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define ANSWER_MAX (64 * 1024)
/* assumed for a token without expires_in: if it is too short, a token is fetched more often than needed */
#define LIFETIME_UNKNOWN_SEC 600
#define LIFETIME_MAX_SEC (30 * 24 * 3600)
#define EARLY_USEC                                                                                                     \
        USEC_PER_MINUTE /* a token that ends within this time is replaced: clocks differ, and requests take time */
#define FORBIDDEN_USEC (10 * USEC_PER_MINUTE) /* at most one 403 in this time makes us drop a token */
#define STATE_MAX (64 * 1024)
#define DETAIL_MAX 512

struct Auth {
        AuthSpec spec;
        const char **headers;     /* `Name: value`; has room for those of a call, of a proof, and NULL */
        size_t n_headers;         /* our own, of the configuration */
        const char *content_type; /* of the headers; NULL: as the call says */
        AuthCall call;            /* the present one; its `done` is NULL: there is none */
        bool renewed;             /* a token was fetched because the answer blamed the one before */
        HttpRequest *request;     /* of the call, or to fetch a token */
        usec_t sent_at;
        /* OAuth 2 only: */
        char *state_file;    /* name in state_dir */
        char *refresh_token; /* the one in use; NULL: client credentials */
        char *access_token;
        usec_t ends;                /* clock_now() at which it ends, whatever the wall clock says */
        uint64_t expires, lifetime; /* seconds: its end by clock_wall(), its life; for the next process */
        usec_t forbidden;           /* clock_now() when a 403 made us drop a token; 0: never */
        bool fresh;                 /* the access token was not used yet: it serves once, however short its life is */
        bool unsaved;               /* the disk refused a new refresh token: it is written before anything is sent */
        bool fetching;
        int lock;    /* on state_dir, while a guest uses up a refresh token; else -1 */
        Cause cause; /* of the failure in *detail* */
        char detail[DETAIL_MAX];
};

/* ---- proofs that need no token ---- */

static int add_header(AuthProof *proof, const char *name, const char *before, const char *value) {
        size_t n = 0;

        while (proof->headers[n])
                n++;
        assert(n < AUTH_HEADERS_MAX);
        return text_format(&proof->headers[n], "%s: %s%s", name, before, value);
}

/* base64 of USER:PASSWORD (RFC 7617). */
static int append_login(const AuthConfig *keys, Bytes *ret) {
        _cleanup_(bytes_wipe) Bytes login = {};
        int r;

        r = bytes_append_format(&login, "%s:%s", keys->username, keys->password.text);
        return r < 0 ? r : bytes_append_base64(ret, login.data, login.size);
}

static int add_basic(const AuthConfig *keys, AuthProof *proof) {
        _cleanup_(bytes_wipe) Bytes login = {};
        int r = append_login(keys, &login);

        return r < 0 ? r : add_header(proof, "Authorization", "Basic ", login.data);
}

/* The parameter is added at the end of the query. A fragment is dropped, because it is never sent. */
static int add_query(const AuthConfig *keys, const char *url, AuthProof *proof) {
        size_t size = strcspn(url, "#");
        _cleanup_(bytes_wipe) Bytes text = {};
        int r;

        bytes_append(&text, url, size);
        bytes_append_format(&text, "%c%s=", memchr(url, '?', size) ? '&' : '?', keys->parameter);
        r = text_append_percent(&text, keys->value.text, "");
        if (r < 0)
                return r;
        proof->url = bytes_steal(&text).data;
        return 0;
}

int auth_switchbot_sign(const char *token, const char *secret, uint64_t msec, const char *nonce, Bytes *ret) {
        unsigned char hash[SHA256_SIZE];
        _cleanup_(bytes_wipe) Bytes text = {};
        int r;

        r = bytes_append_format(&text, "%s%" PRIu64 "%s", token, msec, nonce);
        if (r < 0)
                return r;
        crypto_hmac_sha256(secret, text.data, text.size, hash);
        return bytes_append_base64(ret, hash, sizeof(hash));
}

static int add_switchbot(const AuthConfig *keys, usec_t wall, AuthProof *proof) {
        _cleanup_bytes_ Bytes sign = {};
        char nonce[40], msec[24];
        int r;

        (void) snprintf(nonce, sizeof(nonce), "%016" PRIx64 "%016" PRIx64, loop_random(), loop_random());
        (void) snprintf(msec, sizeof(msec), "%" PRIu64, wall / USEC_PER_MSEC);
        r = auth_switchbot_sign(keys->token.text, keys->secret.text, wall / USEC_PER_MSEC, nonce, &sign);
        if (r == 0)
                r = add_header(proof, "Authorization", "", keys->token.text);
        if (r == 0)
                r = add_header(proof, "sign", "", sign.data);
        if (r == 0)
                r = add_header(proof, "t", "", msec);
        return r < 0 ? r : add_header(proof, "nonce", "", nonce);
}

/* ---- OAuth 2: what is on disk ---- */

static void replace_text(char **place, char *text) {
        secret_free(*place);
        *place = text;
}

/* Whether http_start() takes the token in a header. */
static bool token_fits(const char *token) {
        return token && token[0] != '\0' && !text_has_controls(token, strlen(token));
}

static int set_token(Auth *auth, char **place, const char *text) {
        char *copy = strdup(text);

        if (!copy)
                return -ENOMEM;
        replace_text(place, copy);
        return secrets_note_passing(auth->spec.secrets, text);
}

/* The state file contains the hash of the seed, the refresh token that the user gave. When the user changes it, the
 * stored tokens do not count any more. */
static char *seed_hash(const Auth *auth, char hash[static SHA256_HEX_SIZE]) {
        const char *seed = auth->spec.keys.refresh_token.text ?: "";

        return crypto_sha256_hex(seed, strlen(seed), hash);
}

static void append_member(Bytes *text, const char *name, const char *value) {
        bytes_append_format(text, "%c\n  \"%s\": ", text->size > 0 ? ',' : '{', name);
        bytes_append_json_string(text, value, strlen(value));
}

static int state_write(const Auth *auth) {
        _cleanup_(bytes_wipe) Bytes text = {};
        char hash[SHA256_HEX_SIZE];
        int r;

        append_member(&text, "seed_sha256", seed_hash(auth, hash));
        if (auth->refresh_token)
                append_member(&text, "refresh_token", auth->refresh_token);
        if (auth->access_token)
                append_member(&text, "access_token", auth->access_token);
        r = bytes_append_format(&text, ",\n  \"expires\": %" PRIu64 ",\n  \"lifetime\": %" PRIu64 "\n}\n",
                auth->expires, auth->lifetime);
        return r < 0 ? r : file_replace(auth->spec.state_dir, auth->state_file, text.data, text.size);
}

/* Returns how many seconds a stored token still serves. 0 if more than its whole life is left: the wall clock was set
 * back, and nobody knows when it ends. */
static uint64_t state_left(Json *json) {
        int64_t expires, lifetime = LIFETIME_MAX_SEC, now = (int64_t) (clock_wall() / USEC_PER_SEC);

        if (!json_get_int(json, "expires", &expires) || expires <= now)
                return 0;
        (void) json_get_int(json, "lifetime", &lifetime); /* versions before 0.3.0 did not write it */
        return expires - now <= lifetime ? (uint64_t) (expires - now) : 0;
}

static int state_take(Auth *auth, const char *text, size_t size) {
        _cleanup_(json_freep) Json *json = NULL;
        const char *refresh_token, *access_token;
        char hash[SHA256_HEX_SIZE];
        uint64_t left;
        int r;

        r = json_parse(text, size, &json);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || strcmp(json_get_string(json, "seed_sha256") ?: "", seed_hash(auth, hash)) != 0)
                return 0; /* made from another seed, or damaged: begin with the seed */
        refresh_token = json_get_string(json, "refresh_token");
        access_token = json_get_string(json, "access_token");
        if (refresh_token && auth->spec.keys.refresh_token.text) {
                r = set_token(auth, &auth->refresh_token, refresh_token);
                if (r < 0)
                        return r;
        }
        left = state_left(json);
        if (left == 0 || !token_fits(access_token))
                return 0;
        auth->ends = clock_now() + left * USEC_PER_SEC;
        return set_token(auth, &auth->access_token, access_token);
}

static int state_read(Auth *auth) {
        _cleanup_(bytes_wipe) Bytes text = {};
        _cleanup_free_ char *path = NULL;
        int r;

        if (text_format(&auth->state_file, "oauth2-%s.json", auth->spec.state_name) < 0 ||
                text_format(&path, "%s/%s", auth->spec.state_dir, auth->state_file) < 0)
                return -ENOMEM;
        r = file_load_own(path, STATE_MAX, &text);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        return state_take(auth, text.data, text.size);
}

/* ---- OAuth 2: the exchange ---- */

static _printf_(4, 5) AuthOutcome fetch_failed(Auth *auth, AuthOutcome outcome, Cause cause, const char *format, ...) {
        va_list arguments;

        auth->cause = cause;
        va_start(arguments, format);
        text_print_list(auth->detail, sizeof(auth->detail), format, arguments);
        va_end(arguments);
        return outcome;
}

static AuthOutcome fetch_refused(Auth *auth, const HttpReply *reply, Json *json) {
        const char *error = json_get_string(json, "error"), *description = json_get_string(json, "error_description");
        char words[201];

        text_copy_words(words, sizeof(words), error && description ? description : "");
        if (reply->status / 100 != 4 || reply->status == 408 || reply->status == 429)
                return fetch_failed(auth, AUTH_UNREACHABLE, cause_of_http(reply),
                        "the token endpoint answers HTTP %d%s%s%s%s", reply->status, error ? ": " : "", error ?: "",
                        words[0] ? ": " : "", words);
        if (!error)
                return fetch_failed(
                        auth, AUTH_REFUSED, CAUSE_TOKEN, "the token endpoint answers HTTP %d", reply->status);
        if (strcmp(error, "invalid_grant") == 0 && auth->refresh_token)
                return fetch_failed(auth, AUTH_REFUSED, CAUSE_TOKEN,
                        "the token endpoint rejects the refresh token%s%s: it was used elsewhere, was revoked or has "
                        "expired. Sign in again, replace the refresh token and restart sensorqd",
                        words[0] ? ": " : "", words);
        return fetch_failed(auth, AUTH_REFUSED, CAUSE_TOKEN,
                "the token endpoint refuses: %s%s%s; check client_id, client_secret_file and scope", error,
                words[0] ? ": " : "", words);
}

static uint64_t lifetime_of(Json *json) {
        int64_t lifetime;

        if (!json_get_int(json, "expires_in", &lifetime) || lifetime <= 0)
                return LIFETIME_UNKNOWN_SEC;
        return lifetime < LIFETIME_MAX_SEC ? (uint64_t) lifetime : LIFETIME_MAX_SEC;
}

/* When a new refresh token cannot be saved, the access token that came with it is not used until it can. An access
 * token that no header can carry is not kept, but the refresh token beside it is: the old one may be used up. */
static AuthOutcome fetch_keep(Auth *auth, Json *json) {
        const char *access_token = json_get_string(json, "access_token"),
                   *refresh_token = json_get_string(json, "refresh_token");
        bool fits = token_fits(access_token),
             renews = refresh_token && auth->refresh_token && strcmp(refresh_token, auth->refresh_token) != 0;
        int r = 0;

        if (fits)
                r = set_token(auth, &auth->access_token, access_token);
        else
                replace_text(&auth->access_token, NULL);
        if (r == 0 && renews)
                r = set_token(auth, &auth->refresh_token, refresh_token);
        if (r < 0)
                return fetch_failed(auth, AUTH_UNREACHABLE, CAUSE_MEMORY, "%s", strerror(-r));
        auth->lifetime = lifetime_of(json);
        auth->expires = clock_wall() / USEC_PER_SEC + auth->lifetime;
        auth->ends = clock_now() + auth->lifetime * USEC_PER_SEC;
        auth->fresh = true;
        /* a guest that uses nothing up writes nothing: the directory may not be there yet, or be another user's */
        r = auth->call.guest && !auth->refresh_token ? 0 : state_write(auth);
        auth->unsaved = r < 0 && renews; /* else the next process fetches an access token of its own */
        if (auth->unsaved)
                return fetch_failed(auth, AUTH_UNREACHABLE, cause_of_disk(r),
                        "the new refresh token cannot be saved in %s: %s. It is in memory only: do not stop sensorqd "
                        "before there is room",
                        auth->spec.state_dir, strerror(-r));
        if (fits)
                return AUTH_ANSWERED;
        return fetch_failed(auth, AUTH_UNREACHABLE, CAUSE_NONSENSE,
                access_token && access_token[0] != '\0'
                        ? "the token endpoint's access_token contains a line break or another control character, so "
                          "no request can carry it"
                        : "the token endpoint's answer has no access_token");
}

static AuthOutcome fetch_read(Auth *auth, HttpReply *reply) {
        _cleanup_(json_freep) Json *json = NULL;

        if (reply->outcome != HTTP_ANSWERED)
                return fetch_failed(
                        auth, AUTH_UNREACHABLE, cause_of_http(reply), "the token endpoint: %s", reply->detail);
        (void) json_parse(reply->body.data ?: "", reply->body.size, &json);
        if (reply->status != 200)
                return fetch_refused(auth, reply, json);
        if (!json)
                return fetch_failed(
                        auth, AUTH_UNREACHABLE, cause_of_http(reply), "the token endpoint's answer is not JSON");
        return fetch_keep(auth, json);
}

static void append_grant(const Auth *auth, Bytes *body) {
        const AuthConfig *keys = &auth->spec.keys;

        text_append_field(body, "grant_type", auth->refresh_token ? "refresh_token" : "client_credentials");
        if (auth->refresh_token)
                text_append_field(body, "refresh_token", auth->refresh_token);
        text_append_field(body, "client_id", keys->client_id);
        if (keys->client_secret.text)
                text_append_field(body, "client_secret", keys->client_secret.text);
        if (keys->scope)
                text_append_field(body, "scope", keys->scope);
}

static void on_fetched(void *userdata, HttpReply *reply);

/* A guest may use up a refresh token only if no daemon runs, nor starts before the new one is kept, and if the daemon
 * will be able to read that: what root writes is given to the owner of state_dir. */
static bool may_fetch(Auth *auth) {
        struct stat st;

        if (!auth->call.guest || !auth->refresh_token || auth->lock >= 0)
                return true;
        return stat(auth->spec.state_dir, &st) == 0 && (st.st_uid == geteuid() || geteuid() == 0) &&
               service_lock(auth->spec.state_dir, &auth->lock) == SERVICE_LOCKED;
}

static void fetch_unlock(Auth *auth) {
        if (auth->lock >= 0)
                (void) close(auth->lock);
        auth->lock = -1;
}

static int fetch_start(Auth *auth) {
        HttpSpec spec = {
                .method = "POST",
                .url = auth->spec.keys.token_url,
                .ca_file = auth->spec.ca_file,
                .content_type = "application/x-www-form-urlencoded",
                .timeout = EXCHANGE_TIMEOUT_USEC,
                .max_reply = ANSWER_MAX,
        };
        int r;

        if (!may_fetch(auth))
                return -ENOKEY;
        append_grant(auth, &spec.body);
        r = http_start(auth->spec.http, &spec, on_fetched, auth, &auth->request);
        bytes_wipe(&spec.body);
        auth->fetching = r >= 0;
        if (r < 0)
                fetch_unlock(auth);
        return r;
}

bool auth_is_fetching(const Auth *auth) {
        return auth->fetching;
}

/* Netatmo answers an old token with 403, but also everything that an account may not do. */
static bool may_be_the_token(Auth *auth, int status) {
        usec_t now = clock_now();

        if (status != 403)
                return status == 401;
        if (auth->forbidden > 0 && now < auth->forbidden + FORBIDDEN_USEC)
                return false;
        auth->forbidden = now;
        return true;
}

bool auth_reject(Auth *auth, int status) {
        if (auth->spec.keys.type != AUTH_OAUTH2 || !may_be_the_token(auth, status))
                return false;
        auth->ends = auth->expires = 0;
        replace_text(&auth->access_token, NULL);
        return true;
}

/* ---- all of them ---- */

static int prove_token(Auth *auth, AuthProof *proof) {
        int r = auth->unsaved ? state_write(auth) : 0;

        if (r < 0)
                return r;
        auth->unsaved = false;
        if (!auth->access_token || (!auth->fresh && auth->ends < clock_now() + EARLY_USEC))
                return AUTH_WAIT;
        auth->fresh = false;
        return add_header(proof, "Authorization", "Bearer ", auth->access_token);
}

int auth_prove(Auth *auth, const char *url, usec_t wall, AuthProof *proof) {
        const AuthConfig *keys = &auth->spec.keys;

        switch ((AuthKind) keys->type) {
        case AUTH_NONE:
                return AUTH_READY;
        case AUTH_BEARER:
                return add_header(proof, "Authorization", "Bearer ", keys->token.text);
        case AUTH_BASIC:
                return add_basic(keys, proof);
        case AUTH_HEADER:
                return add_header(proof, keys->header, "", keys->value.text);
        case AUTH_QUERY:
                return add_query(keys, url, proof);
        case AUTH_SWITCHBOT:
                return add_switchbot(keys, wall, proof);
        case AUTH_OAUTH2:
                return prove_token(auth, proof);
        }
        return -EINVAL;
}

void auth_proof_done(AuthProof *proof) {
        for (size_t i = 0; i < AUTH_HEADERS_MAX; i++)
                secret_free(proof->headers[i]);
        secret_free(proof->url);
        *proof = (AuthProof){};
}

/* ---- a call ---- */

/* The owner may start the next call, or free *auth*, from inside *done*. */
static void call_end(Auth *auth, AuthReply *reply) {
        const AuthCall call = auth->call;

        if (!reply->http)
                reply->body = auth->call.http.body;
        auth->call = (AuthCall){};
        call.done(call.userdata, reply);
        bytes_wipe(&reply->body);
}

static void on_answer(void *userdata, HttpReply *reply);

static int call_send(Auth *auth) {
        _cleanup_(auth_proof_done) AuthProof proof = {};
        HttpSpec spec = auth->call.http;
        size_t n = auth->n_headers;
        int r;

        r = auth_prove(auth, spec.url, clock_wall() + (usec_t) auth->call.clock_offset, &proof);
        if (r != AUTH_READY)
                return r == AUTH_WAIT ? fetch_start(auth) : r;
        for (size_t i = 0; auth->call.headers[i]; i++)
                auth->headers[n++] = auth->call.headers[i];
        for (size_t i = 0; proof.headers[i]; i++)
                auth->headers[n++] = proof.headers[i];
        auth->headers[n] = NULL;
        spec.url = proof.url ?: spec.url;
        spec.headers = auth->headers;
        spec.content_type = auth->content_type ?: spec.content_type;
        auth->sent_at = clock_now();
        r = http_start(auth->spec.http, &spec, on_answer, auth, &auth->request);
        auth->call.http.body = bytes_steal(&spec.body);
        return r;
}

static void call_go_on(Auth *auth) {
        int r = call_send(auth);
        AuthReply reply = {
                .outcome = AUTH_FAILED, .error = r, .cause = r == -EINVAL ? CAUSE_OTHER : cause_of_disk(r)
        };

        if (r >= 0)
                return;
        reply.detail = r == -ENOKEY && auth->renewed
                               ? "the access token is refused, and only the daemon may fetch another one"
                       : r == -ENOKEY  ? "there is no access token now, and only the daemon may fetch one"
                       : auth->unsaved ? auth->detail /* still that of fetch_keep() */
                                       : strerror(-r);
        call_end(auth, &reply);
}

static void on_fetched(void *userdata, HttpReply *http) {
        Auth *auth = userdata;
        AuthOutcome outcome = fetch_read(auth, http);

        auth->request = NULL;
        auth->fetching = false;
        fetch_unlock(auth);
        secrets_conceal(auth->spec.secrets, auth->detail);
        if (outcome == AUTH_ANSWERED && (!auth->call.stops || !auth->call.stops(auth->call.userdata)))
                return call_go_on(auth);
        call_end(auth, &(AuthReply){ .outcome = outcome == AUTH_ANSWERED ? AUTH_STOPPED : outcome,
                               .cause = auth->cause,
                               .detail = auth->detail });
}

static void on_answer(void *userdata, HttpReply *http) {
        Auth *auth = userdata;
        AuthReply reply = { .http = http, .sent_at = auth->sent_at, .body = bytes_steal(&http->sent) };

        auth->request = NULL;
        if (auth->renewed || !auth_reject(auth, http->status))
                return call_end(auth, &reply);
        auth->renewed = true;
        auth->call.http.body = reply.body;
        call_go_on(auth);
}

void auth_start(Auth *auth, const AuthCall *call) {
        assert(!auth->call.done);
        auth->call = *call;
        auth->renewed = false;
        call_go_on(auth);
}

/* ---- life ---- */

static int auth_copy_headers(Auth *auth, const ConfigMap *map) {
        size_t n = map ? map->n : 0;

        auth->headers = calloc(n + AUTH_OWN_MAX + AUTH_HEADERS_MAX + 1, sizeof(*auth->headers));
        if (!auth->headers)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (strcasecmp(map->items[i].name, "Content-Type") == 0)
                        auth->content_type = map->items[i].values[0];
                else if (text_format((char **) &auth->headers[auth->n_headers], "%s: %s", map->items[i].name,
                                 map->items[i].values[0]) < 0)
                        return -ENOMEM;
                else
                        auth->n_headers++;
        return 0;
}

/* Notes what a login puts into the header, too. */
static int auth_note_login(const Auth *auth) {
        _cleanup_(bytes_wipe) Bytes login = {};
        int r = append_login(&auth->spec.keys, &login);

        return r < 0 ? r : secrets_note(auth->spec.secrets, login.data);
}

static int auth_make(Auth *auth) {
        const AuthConfig *keys = &auth->spec.keys;
        int r = auth_copy_headers(auth, auth->spec.headers);

        if (r == 0 && keys->type == AUTH_BASIC)
                r = auth_note_login(auth);
        if (r < 0 || keys->type != AUTH_OAUTH2)
                return r;
        auth->refresh_token = keys->refresh_token.text ? strdup(keys->refresh_token.text) : NULL;
        return keys->refresh_token.text && !auth->refresh_token ? -ENOMEM : state_read(auth);
}

int auth_new(const AuthSpec *spec, Auth **ret) {
        _cleanup_(auth_freep) Auth *auth = calloc(1, sizeof(*auth));
        int r;

        if (!auth)
                return -ENOMEM;
        auth->spec = *spec;
        auth->lock = -1;
        r = auth_make(auth);
        if (r == 0)
                *ret = cleanup_steal(auth);
        return r;
}

Auth *auth_free(Auth *auth) {
        if (!auth)
                return NULL;
        auth->request = http_cancel(auth->request);
        fetch_unlock(auth);
        bytes_wipe(&auth->call.http.body);
        if (auth->unsaved)
                (void) state_write(auth); /* the disk may have room now, and the tokens are stored nowhere else */
        secret_free(auth->access_token);
        secret_free(auth->refresh_token);
        while (auth->n_headers > 0)
                free((char *) auth->headers[--auth->n_headers]);
        free(auth->headers);
        free(auth->state_file);
        free(auth);
        return NULL;
}
