/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where an access token comes from: a service account's key file, a user's refresh token (`gcloud auth
 * application-default login`), or the metadata server of a machine in Google Cloud. Google's usual search: the config's
 * file, $GOOGLE_APPLICATION_CREDENTIALS, `pubsub-credential.json` if it is there, gcloud's own file, the metadata
 * server. Source: google-auth's _default.py, service_account.py; AIP-4110. */

#include "config.h"
#include "lib/bytes.h"
#include "lib/jws.h"
#include "secret.h"

#define CREDENTIALS_TOKEN_ENDPOINT "https://oauth2.googleapis.com/token"
#define CREDENTIALS_SCOPE "https://www.googleapis.com/auth/pubsub"

typedef enum CredentialsKind {
        CREDENTIALS_SERVICE_ACCOUNT,
        CREDENTIALS_AUTHORIZED_USER,
        CREDENTIALS_METADATA
} CredentialsKind;

typedef struct Credentials {
        CredentialsKind kind;
        Secrets *secrets;    /* borrowed: where what is made of them is noted; may be NULL */
        char *token_uri;     /* https, or http to loopback or the metadata server */
        char *origin;        /* where it was found, for messages: a path, or "metadata server" */
        char *quota_project; /* for x-goog-user-project; NULL: none */
        /* service account */
        char *client_email, *private_key_id;
        JwsKey *key;
        /* authorized user */
        char *client_id, *client_secret, *refresh_token;
} Credentials;

typedef struct CredentialsError {
        char text[512]; /* what, in which file, what to do; no secret */
} CredentialsError;

/* Finds and reads the credentials. -ENOENT/-EACCES/-EBADMSG/-ENOTSUP (a type that is not supported) with *ret_error
 * filled in; the daemon exits 77 on each. A file that was named but cannot be read is an error, not a reason to search
 * on. Nothing is sent: the metadata server is taken where $GCE_METADATA_HOST or $GCE_METADATA_ROOT names it, or the
 * firmware says that the machine is Google's ($NO_GCE_CHECK=true: never). *secrets* (borrowed, may be NULL) learns what
 * the file holds. */
int credentials_load(const Config *config, Secrets *secrets, Credentials **ret, CredentialsError *ret_error);
/* NULL is fine; returns NULL. */
Credentials *credentials_free(Credentials *credentials);
CLEANUP_DEFINE(Credentials, credentials_free)

/* The request body for the token endpoint (application/x-www-form-urlencoded), for *wall* time now; empty for the
 * metadata server (a GET). A fresh assertion each time: the endpoint refuses old ones. It is noted in the credentials'
 * secrets. -ENOMEM. */
int credentials_token_request(const Credentials *credentials, usec_t wall, Bytes *ret_body);
