/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How a request to somebody else's API proves who it is: what its headers and its URL need for that. Shared by all that
 * sends requests: the http_json source, the webhook sink, targets of alerts. OAuth 2 has a token that must be fetched
 * first, and a refresh token that may change with each fetch (RFC 6749 section 6): the new one is on disk, in
 * state_dir, before anything is done with what came with it, since the old one is worth nothing any more. */

#include "config-type.h"
#include "lib/bytes.h"
#include "lib/http.h"
#include "secret.h"

typedef enum AuthKind {
        AUTH_NONE,
        AUTH_BEARER,    /* Authorization: Bearer SECRET */
        AUTH_BASIC,     /* Authorization: Basic, RFC 7617 */
        AUTH_HEADER,    /* NAME: SECRET */
        AUTH_QUERY,     /* ?NAME=SECRET: the URL is a secret then */
        AUTH_SWITCHBOT, /* token, sign, t, nonce of SwitchBot's API v1.1 */
        AUTH_OAUTH2,
} AuthKind;

/* What it is made of, with the secrets themselves. All texts are borrowed by auth_new() only. */
typedef struct AuthSpec {
        AuthKind kind;
        const char *name;   /* user, header or parameter */
        const char *secret; /* token, password or value; of OAuth 2 the client's secret, NULL: none */
        const char
                *second; /* SwitchBot's secret; of OAuth 2 the refresh token to begin with, NULL: client credentials */
        const char *token_url, *client_id, *scope; /* of OAuth 2; scope may be NULL */
        const char *ca_file;                       /* for token_url; NULL: the system's */
        const ConfigMap *headers;                  /* of every auth_start(); NULL: it is not called */
        const char *state_dir, *state_name;        /* of OAuth 2: where its tokens are kept, as oauth2-NAME.json */
} AuthSpec;

/* The section `auth:` of whatever sends requests: { "auth", &config_type_section, ..., .flags = CONFIG_IMPLIED,
 * .section = &auth_section, ... }. Its texts are secrets where they are of a ConfigSecret. */
typedef struct AuthConfig {
        int type; /* AuthKind */
        ConfigSecret token, secret, password, value, client_secret, refresh_token;
        char *username, *header, *parameter, *token_url, *client_id, *scope;
} AuthConfig;
extern const ConfigSection auth_section;

/* What auth_new() wants of it; the secrets were read. Borrowed from *config*; ca_file and the state are the caller's.
 */
AuthSpec auth_config_spec(const AuthConfig *config);

typedef struct AuthHost {
        Http *http;
        Secrets *secrets; /* may be NULL */
        bool no_exchange; /* another process has the tokens: only what is on disk and still good is used */
} AuthHost;

typedef struct Auth Auth;

/* Copies the spec; the host is borrowed. Asks nothing of anybody yet. -ENOMEM, or the errors of what OAuth 2 keeps in
 * state_dir. */
int auth_new(const AuthHost *host, const AuthSpec *spec, Auth **ret);
/* Drops an exchange under way, without a callback. Returns NULL. */
Auth *auth_free(Auth *auth);
CLEANUP_DEFINE(Auth, auth_free)

/* What one request gets. A plain value. */
#define AUTH_HEADERS_MAX 4
typedef struct AuthProof {
        char *headers[AUTH_HEADERS_MAX + 1]; /* `Name: value`, NULL at the end */
        char *url;
} AuthProof;

enum { AUTH_READY = 0, AUTH_WAIT = 1 };
/* Makes the proof for a request to *url*; *wall*: the time there, for a signature. AUTH_WAIT: there is no token that
 * serves: auth_fetch() first. -ENOMEM; of OAuth 2 also the errors of file_replace(): the disk does not take the tokens.
 */
int auth_prove(Auth *auth, const char *url, usec_t wall, AuthProof *ret);
/* Frees what it holds, and leaves zeros. */
void auth_proof_done(AuthProof *proof);

/* Starts *spec* under a proof, with the headers of AuthSpec and at most one of its own: http_start(), or AUTH_WAIT. Its
 * body is taken when it was started. */
int auth_start(Auth *auth, HttpSpec *spec, HttpDone done, void *userdata, HttpRequest **ret);

typedef enum AuthOutcome {
        AUTH_FETCHED,     /* auth_prove() works now */
        AUTH_UNREACHABLE, /* try again later */
        AUTH_REFUSED,     /* somebody has to act */
} AuthOutcome;
/* *detail* says what happened and what to do; "" when fetched. */
typedef void (*AuthDone)(void *userdata, AuthOutcome outcome, const char *detail);

/* Fetches a token of OAuth 2 and calls *done* once from the loop, never from inside; one fetch at a time. -EBUSY,
 * -ENOMEM. */
int auth_fetch(Auth *auth, AuthDone done, void *userdata);

/* What a request that carried the proof was answered: where that may mean the token of OAuth 2 (401; 403, but not each
 * time, as it may well mean something else), the token is not used again. True when a fresh one is worth another try.
 */
bool auth_reject(Auth *auth, int status);

/* SwitchBot's signature, in base64: HMAC-SHA-256 of token, milliseconds and nonce (API v1.1). Pure. */
int auth_switchbot_sign(const char *token, const char *secret, uint64_t msec, const char *nonce, Bytes *ret);
