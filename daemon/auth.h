/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How a request to a foreign API proves who sends it: the headers and the URL that it needs. Used by all that send
 * requests: the http_json source, the webhook sink, targets of alerts. OAuth 2 has an access token that must be fetched
 * first, and a refresh token that may change with each fetch (RFC 6749 section 6). A new refresh token makes the old
 * one worthless, so it is saved in state_dir before the access token that came with it is used. */

#include "config-type.h"
#include "lib/bytes.h"
#include "lib/http.h"
#include "secret.h"
#include "trouble.h"

typedef enum AuthKind {
        AUTH_NONE,
        AUTH_BEARER,    /* Authorization: Bearer SECRET */
        AUTH_BASIC,     /* Authorization: Basic, RFC 7617 */
        AUTH_HEADER,    /* NAME: SECRET */
        AUTH_QUERY,     /* ?NAME=SECRET: the whole URL is then a secret */
        AUTH_SWITCHBOT, /* headers token, sign, t, nonce of SwitchBot's API v1.1 */
        AUTH_OAUTH2,
} AuthKind;

/* The section `auth:` of every part that sends requests: { "auth", &config_type_section, ..., .flags = CONFIG_IMPLIED,
 * .section = &auth_section, ... }. Texts of type ConfigSecret are secrets. */
typedef struct AuthConfig {
        int type; /* AuthKind */
        ConfigSecret token, secret, password, value, client_secret, refresh_token;
        char *username, *header, *parameter, *token_url, *client_id, *scope;
} AuthConfig;
extern const ConfigSection auth_section;

typedef struct AuthSpec {
        AuthConfig keys; /* its secrets must have been read; all texts are borrowed until auth_free() */
        Http *http;
        Secrets *secrets;         /* may be NULL */
        const char *ca_file;      /* for token_url; NULL: the system's */
        const ConfigMap *headers; /* sent with every request; NULL: none */
        const char *state_dir;    /* OAuth 2: its tokens are kept in this directory, */
        const char *state_name;   /* ... as oauth2-NAME.json; borrowed only during auth_new() */
} AuthSpec;

typedef struct Auth Auth;

/* Sends nothing yet. -ENOMEM, or the errors of reading OAuth 2's tokens from state_dir. */
int auth_new(const AuthSpec *spec, Auth **ret);
/* Drops a running request without a callback. Returns NULL. */
Auth *auth_free(Auth *auth);
CLEANUP_DEFINE(Auth, auth_free)

typedef enum AuthOutcome {
        AUTH_ANSWERED,    /* the request was sent */
        AUTH_UNREACHABLE, /* no token could be fetched: try again later */
        AUTH_REFUSED,     /* the same, and a person has to act */
        AUTH_STOPPED,     /* AuthCall.stops() said so */
        AUTH_FAILED,      /* see AuthReply.error */
} AuthOutcome;

typedef struct AuthReply {
        AuthOutcome outcome;
        HttpReply *http; /* ANSWERED: as HttpDone gets it, but without the request's body */
        usec_t sent_at;  /* clock_now() */
        Bytes body;      /* of the request; bytes_steal() to send it again */
        /* FAILED: an error of http_start(). With OAuth 2 also of file_replace(), when a new refresh token cannot be
         * saved: it must not be lost in a restart. -ENOKEY: a guest would have to fetch a token */
        int error;
        Cause cause;        /* of what is not ANSWERED */
        const char *detail; /* of that: what happened and what to do */
} AuthReply;

#define AUTH_OWN_MAX 2
typedef struct AuthCall {
        HttpSpec http; /* without headers; all but the body is borrowed until *done*, and so are these: */
        const char *headers[AUTH_OWN_MAX + 1]; /* `Name: value`, NULL at the end */
        int64_t clock_offset; /* microseconds that the server's clock is ahead of ours, for a signature */
        bool guest;           /* a daemon may run, and has the tokens: no refresh token is used up, unless none does */
        bool (*stops)(const void *userdata); /* asked after a token was fetched: do not send any more; may be NULL */
        void (*done)(void *userdata, AuthReply *reply);
        void *userdata;
} AuthCall;

/* Sends a request with the proof and the headers of AuthSpec, takes its body, and calls *done* once, perhaps from
 * inside. With OAuth 2 it first fetches a token if none serves; if the answer may mean that the token is no longer
 * valid (401, and sometimes 403, which often has other causes), it fetches another one, and sends the request once
 * more. One call at a time. */
void auth_start(Auth *auth, const AuthCall *call);
/* True while a token is fetched: the exchange makes the refresh token invalid, so if its answer is lost, the user must
 * sign in again. */
bool auth_is_fetching(const Auth *auth);

/* ---- for auth.c and its test ---- */

/* The proof for one request. A plain value. */
#define AUTH_HEADERS_MAX 4
typedef struct AuthProof {
        char *headers[AUTH_HEADERS_MAX + 1]; /* `Name: value`, NULL at the end */
        char *url;                           /* NULL: as it was */
} AuthProof;

enum { AUTH_READY = 0, AUTH_WAIT = 1 };
/* Makes the proof for a request to *url*. *wall* is the server's time, for a signature. AUTH_WAIT: there is no valid
 * token. Errors as AuthReply.error. *proof* is all zeros; call auth_proof_done() in any case. */
int auth_prove(Auth *auth, const char *url, usec_t wall, AuthProof *proof);
/* Frees what the proof holds and clears it. */
void auth_proof_done(AuthProof *proof);
/* Drops the OAuth 2 token if the *status* of an answer may be about it. True when another try is worth it. */
bool auth_reject(Auth *auth, int status);

/* Appends SwitchBot's signature in base64: the HMAC-SHA-256 of token, milliseconds and nonce (API v1.1). Pure. */
int auth_switchbot_sign(const char *token, const char *secret, uint64_t msec, const char *nonce, Bytes *ret);
