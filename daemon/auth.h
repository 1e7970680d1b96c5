/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How a request to a foreign API proves who sends it: the headers and the URL that it needs. Used by all that send
 * requests: the http_json source, the webhook sink, targets of alerts. OAuth 2 has an access token that must be fetched
 * first, and a refresh token that may change with each fetch (RFC 6749 section 6). A new refresh token makes the old
 * one worthless, so it is saved in state_dir before the access token that came with it is used. */

#include "cause.h"
#include "config-type.h"
#include "lib/bytes.h"
#include "lib/http.h"
#include "secret.h"

typedef enum AuthKind {
        AUTH_NONE,
        AUTH_BEARER,    /* Authorization: Bearer SECRET */
        AUTH_BASIC,     /* Authorization: Basic, RFC 7617 */
        AUTH_HEADER,    /* NAME: SECRET */
        AUTH_QUERY,     /* ?NAME=SECRET: the whole URL is then a secret */
        AUTH_SWITCHBOT, /* headers token, sign, t, nonce of SwitchBot's API v1.1 */
        AUTH_OAUTH2,
} AuthKind;

/* The parts of a proof, with the secrets themselves. All texts are borrowed until auth_free(). */
typedef struct AuthSpec {
        AuthKind kind;
        const char *name;   /* name of a user, header or parameter */
        const char *secret; /* token, password or value; OAuth 2: the client's secret, NULL: none */
        const char *second; /* SwitchBot: its secret; OAuth 2: the first refresh token, NULL: client credentials */
        const char *token_url, *client_id, *scope; /* OAuth 2 only; scope may be NULL */
        const char *ca_file;                       /* for token_url; NULL: the system's */
        const ConfigMap *headers;                  /* sent with every auth_start(); NULL: auth_start() is not called */
        const char *state_dir;                     /* OAuth 2: its tokens are kept in this directory, */
        const char *state_name;                    /* ... as oauth2-NAME.json; borrowed only during auth_new() */
} AuthSpec;

/* The section `auth:` of every part that sends requests: { "auth", &config_type_section, ..., .flags = CONFIG_IMPLIED,
 * .section = &auth_section, ... }. Texts of type ConfigSecret are secrets. */
typedef struct AuthConfig {
        int type; /* AuthKind */
        ConfigSecret token, secret, password, value, client_secret, refresh_token;
        char *username, *header, *parameter, *token_url, *client_id, *scope;
} AuthConfig;
extern const ConfigSection auth_section;

/* Makes the spec for auth_new() from *config*, whose secrets must have been read. It borrows from *config*; the caller
 * fills in ca_file and the state. */
AuthSpec auth_config_spec(const AuthConfig *config);

typedef struct AuthHost {
        Http *http;
        Secrets *secrets; /* may be NULL */
        bool no_exchange; /* another process has the tokens: use only a valid token that is on disk */
} AuthHost;

typedef struct Auth Auth;

/* Borrows the host. Sends nothing yet. -ENOMEM, or the errors of reading OAuth 2's tokens from state_dir. */
int auth_new(const AuthHost *host, const AuthSpec *spec, Auth **ret);
/* Drops a running exchange without a callback. Returns NULL. */
Auth *auth_free(Auth *auth);
CLEANUP_DEFINE(Auth, auth_free)

/* The proof for one request. A plain value. */
#define AUTH_HEADERS_MAX 4
typedef struct AuthProof {
        char *headers[AUTH_HEADERS_MAX + 1]; /* `Name: value`, NULL at the end */
        char *url;
} AuthProof;

enum { AUTH_READY = 0, AUTH_WAIT = 1 };
/* Makes the proof for a request to *url*. *wall* is the server's time, for a signature. AUTH_WAIT: there is no valid
 * token, call auth_fetch() first. -ENOMEM; with OAuth 2 also the errors of file_replace(), when the tokens cannot be
 * saved. */
int auth_prove(Auth *auth, const char *url, usec_t wall, AuthProof *ret);
/* Frees what the proof holds and clears it. */
void auth_proof_done(AuthProof *proof);

/* Starts *spec* with a proof, the headers of AuthSpec, and at most one header of its own. Returns the result of
 * http_start(), or AUTH_WAIT. The body is taken only when the request was started. */
int auth_start(Auth *auth, HttpSpec *spec, HttpDone done, void *userdata, HttpRequest **ret);

/* Words for an error of these two: a new refresh token that the disk refuses must not be lost in a restart. */
const char *auth_words(const Auth *auth, int error);

typedef enum AuthOutcome {
        AUTH_FETCHED,     /* auth_prove() works now */
        AUTH_UNREACHABLE, /* try again later */
        AUTH_REFUSED,     /* a person has to act */
} AuthOutcome;
/* *detail* says what happened and what to do; "" when fetched, and *cause* then says nothing. */
typedef void (*AuthDone)(void *userdata, AuthOutcome outcome, Cause cause, const char *detail);

/* Fetches an OAuth 2 token and calls *done* once, from the loop, never from inside. One fetch at a time. -EBUSY,
 * -ENOMEM. */
int auth_fetch(Auth *auth, AuthDone done, void *userdata);

/* Call this with the status of the answer to a request that carried the proof. If the status may mean that the OAuth 2
 * token is no longer valid, the token is not used again: 401, and sometimes 403, which often has other causes. True
 * when another try with a new token is worth it. */
bool auth_reject(Auth *auth, int status);

/* Appends SwitchBot's signature in base64: the HMAC-SHA-256 of token, milliseconds and nonce (API v1.1). Pure. */
int auth_switchbot_sign(const char *token, const char *secret, uint64_t msec, const char *nonce, Bytes *ret);
