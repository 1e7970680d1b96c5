/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where an access token comes from: a service account's key file, a user's refresh token (`gcloud auth
 * application-default login`), an identity of another provider (workload identity federation: external_account), one
 * of these speaking for a service account (impersonation), or the metadata server of a machine in Google Cloud.
 * Google's usual search: the config's file, $GOOGLE_APPLICATION_CREDENTIALS, `pubsub-credential.json` if it is there,
 * gcloud's own file, the metadata server. Source: google-auth's _default.py, service_account.py, identity_pool.py,
 * impersonated_credentials.py; AIP-4110, AIP-4117. */

#include "config.h"
#include "lib/crypto.h"
#include "lib/http.h"
#include "secret.h"
#include "trouble.h"

/* the key without pubsub.credentials_file: the name that the scripts used which sensorqd replaces */
#define CREDENTIALS_FILE_DEFAULT "pubsub-credential.json"
#define CREDENTIALS_TOKEN_ENDPOINT "https://oauth2.googleapis.com/token"
#define CREDENTIALS_STS_ENDPOINT "https://sts.googleapis.com/v1/token"
#define CREDENTIALS_SCOPE "https://www.googleapis.com/auth/pubsub"
/* scope of a token that is only used to request another one in a service account's name */
#define CREDENTIALS_SCOPE_IAM "https://www.googleapis.com/auth/cloud-platform"

typedef enum CredentialsKind {
        CREDENTIALS_SERVICE_ACCOUNT,
        CREDENTIALS_AUTHORIZED_USER,
        CREDENTIALS_EXTERNAL_ACCOUNT,
        CREDENTIALS_METADATA
} CredentialsKind;

typedef struct Credentials {
        CredentialsKind kind;
        Secrets *secrets;    /* borrowed: the tokens that are obtained are noted there; may be NULL */
        char *token_uri;     /* https, or http to loopback or the metadata server */
        char *origin;        /* where they were found, for messages: a path, or "metadata server" */
        char *quota_project; /* for x-goog-user-project; NULL: none */
        /* service account */
        char *client_email, *private_key_id;
        PemKey *key;
        /* authorized user */
        char *client_id, *client_secret, *refresh_token;
        /* external account: the other provider's token comes from a file or a URL, either as the whole text or as a
         * member of a JSON object */
        char *audience, *subject_token_type;
        char *subject_file, *subject_url, *subject_field; /* NULL: not used */
        char **subject_headers;                           /* "Name: value", NULL at the end; NULL: none */
        /* any kind: our token requests a service account's token at this URL; NULL: our token is the access token */
        char *impersonation_url;
        char *delegates; /* a JSON array */
} Credentials;

/* Each step is a request; its answer is the `held` of the next step. */
typedef enum CredentialsStep {
        CREDENTIALS_SUBJECT,     /* the other provider's token, from a URL */
        CREDENTIALS_EXCHANGE,    /* an access token, in exchange for what we have */
        CREDENTIALS_IMPERSONATE, /* a service account's token, in exchange for that one */
        CREDENTIALS_DONE,
} CredentialsStep;

typedef struct CredentialsError {
        char text[512]; /* what, in which file, what to do; no secret */
} CredentialsError;

/* Finds and reads the credentials. -ENOENT/-EACCES/-EBADMSG/-ENOTSUP (an unsupported type or feature) fill in
 * *ret_error; the daemon exits 77 on each. When a named file cannot be read, that is an error: the search does not go
 * on. Nothing is sent: the metadata server is chosen when $GCE_METADATA_HOST or $GCE_METADATA_ROOT names it, or when
 * the firmware says that the machine is Google's ($NO_GCE_CHECK=true: never). The file's secrets are noted in *secrets*
 * (borrowed, may be NULL). */
int credentials_load(const Config *config, Secrets *secrets, Credentials **ret, CredentialsError *ret_error);
/* NULL is fine; returns NULL. */
Credentials *credentials_free(Credentials *credentials);
CLEANUP_DEFINE(Credentials, credentials_free)

/* ---- an exchange of them for an access token: credentials-exchange.c ---- */

/* The step that an exchange begins with. */
CredentialsStep credentials_first_step(const Credentials *credentials);
/* The step after *step*; CREDENTIALS_DONE: its answer is the access token. */
CredentialsStep credentials_next_step(const Credentials *credentials, CredentialsStep step);

/* Fills in method, URL, headers and body of a step's request. *wall* is the time now; *held* is the answer of the step
 * before, NULL for the first step. An assertion is made anew each time: the endpoint refuses old ones. Secrets in the
 * body are noted. *spec* owns its body and borrows the rest from *credentials* and *held*. -ENOMEM, or the errno of a
 * token's file. */
int credentials_request(
        const Credentials *credentials, CredentialsStep step, const char *held, usec_t wall, HttpSpec *spec);

/* What the reply to such a request means. Pure. Sources: RFC 6749 sections 5.1 and 5.2, google-auth's _client.py. */
#define CREDENTIALS_DETAIL_MAX 400
/* assumed for a token without a usable expires_in; too short only costs more exchanges */
#define CREDENTIALS_LIFETIME_UNKNOWN_USEC (10 * USEC_PER_MINUTE)
#define CREDENTIALS_LIFETIME_MAX_USEC (24 * USEC_PER_HOUR) /* Google's longest is 12 h */
/* assertions are accepted with a difference up to this, and the delay of a reply may explain it */
#define CREDENTIALS_CLOCK_ERROR_USEC (30 * USEC_PER_SEC)

typedef struct CredentialsAnswer {
        char *value;                         /* the caller's, see secret_free() */
        usec_t lifetime;                     /* of an access token */
        Cause cause;                         /* of a failure */
        char detail[CREDENTIALS_DETAIL_MAX]; /* what happened, and what to do. It quotes the remote, which may repeat a
                                              * secret: pass it through secrets_conceal() */
} CredentialsAnswer;

/* *wall* is the time now. 0: *ret*, which was all zeros, has a value. -EACCES: refused, a user must act. -EAGAIN: to be
 * tried again. With both errors it has cause and detail. */
int credentials_answer(const Credentials *credentials, CredentialsStep step, usec_t wall, const HttpReply *reply,
        CredentialsAnswer *ret);

/* Returns the time to sign an assertion with. That is *wall*, unless it differs by more than
 * CREDENTIALS_CLOCK_ERROR_USEC from the endpoint's time, *now* (clock_now()) + *endpoint_ahead* (0: unknown). So a
 * machine without a battery clock gets a token before NTP has set the time, and a step of the wall clock does not cause
 * a refusal. */
usec_t credentials_signing_time(usec_t endpoint_ahead, usec_t now, usec_t wall);
