/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The way to Pub/Sub: credentials, the token made from them, and calls of the API. A call is a token, a request, a
 * deadline, one retry with a fresh token after 401, and the answer sorted into what a caller can do about it. Source:
 * google/rpc/code.proto and the service's page of error codes. */

#include "config.h"
#include "lib/http.h"
#include "pubsub/token.h"
#include "pubsub/wire.h"

typedef struct Client Client;
typedef struct ClientCall ClientCall;

typedef enum ClientOutcome {
        CLIENT_OK = 0,    /* 2xx */
        CLIENT_RETRY,     /* network, 408, 409 ABORTED, 429, 499, 5xx: backoff, honour retry_after */
        CLIENT_UNSURE,    /* as RETRY, but the request may have been carried out: timeout or cut after sending */
        CLIENT_REFUSED,   /* no token, 401 twice, 403 of Pub/Sub: retry slowly and log it */
        CLIENT_NOT_FOUND, /* 404 of Pub/Sub: retry slowly and log it */
        CLIENT_EXISTS,    /* 409 ALREADY_EXISTS */
        CLIENT_INVALID,   /* 400 INVALID_ARGUMENT or OUT_OF_RANGE: this request is at fault */
        CLIENT_TOO_LARGE, /* 413, or the reply was over its cap */
        CLIENT_FAILED,    /* other 400 (billing, key, detached), other 4xx (a proxy's too), 3xx, a 2xx that is not
                             Pub/Sub's: retry slowly and log it */
} ClientOutcome;

typedef struct ClientReply {
        ClientOutcome outcome;
        bool no_token;      /* nothing was sent, since there was no access token; token.c has logged why */
        bool begun;         /* as in HttpReply */
        int http_status;    /* 0: no answer came */
        Bytes body;         /* bytes_steal() to keep */
        WireError error;    /* read from an error body */
        usec_t retry_after; /* of a failure: the longer of Retry-After and RetryInfo; 0: none */
        Cause cause;        /* why the call failed */
        const char *detail; /* a sentence, with a remedy if there is one; holds no secret */
} ClientReply;

typedef void (*ClientDone)(void *userdata, ClientReply *reply);

typedef struct ClientSpec {
        const char *method;   /* "GET", "PUT", "POST"; static, as verb is */
        const char *resource; /* "projects/P/topics/T", not escaped; borrowed until the call has ended */
        const char *verb;     /* ":publish", or NULL */
        Bytes body;           /* client_call() takes it on success; a failed Bytes is an error of the request */
        usec_t timeout;       /* as in HttpSpec, and so are the next two */
        usec_t stall;
        size_t max_reply;
} ClientSpec;

#define CLIENT_TIMEOUT_USEC (60 * USEC_PER_SEC) /* official clients' attempt timeout */
#define CLIENT_REPLY_MAX (1024 * 1024)
#define CLIENT_DETAIL_MAX 512
#define CLIENT_CREATE "PUT" /* the *verb* of client_sort() when a resource is created */

/* What it works with; borrowed. What *secrets* (may be NULL) knows never appears in a reply's words. */
typedef struct ClientMeans {
        Loop *loop;
        Http *http;
        Secrets *secrets;
} ClientMeans;

/* Reads the credentials of *config* (none with the emulator) and holds a reference to it. Errors are those of
 * credentials_load(), and *ret_error* is filled in; for other errors its text is empty. Sends nothing yet. */
int client_new(const ClientMeans *means, Config *config, Client **ret, CredentialsError *ret_error);
/* References are counted: after a reload, stages of the old configuration may still use the old client while the new
 * ones use the new one. Adds a reference; returns *client*. */
Client *client_ref(Client *client);
/* Drops a reference; frees the client after the last one, before which every call must have ended or been cancelled.
 * NULL is allowed; returns NULL. */
Client *client_unref(Client *client);
CLEANUP_DEFINE(Client, client_unref)
/* NULL with the emulator. */
const Credentials *client_credentials(const Client *client);
Token *client_token(const Client *client);

/* Calls *done* once from the loop, never from inside client_call(); the call is freed by then, so *done* must forget
 * the handle. client_cancel() before that drops the call. -ENOMEM, or an error of http_start(); if the call has to wait
 * for a token, such an error is a CLIENT_RETRY. */
int client_call(Client *client, ClientSpec *spec, ClientDone done, void *userdata, ClientCall **ret);
/* NULL is fine; returns NULL. */
ClientCall *client_cancel(ClientCall *call);
/* For a call that is no longer wanted. Returns true when its request was not sent yet: the caller may cancel it.
 * Returns false when *call* is NULL or an answer is still to come; a 401 then gives CLIENT_RETRY and no second try. */
bool client_withdraw(ClientCall *call);

/* Pure, and here for its test: fills in *ret* from an answer, and writes into *detail* what happened to *resource*
 * and what the reader can do. *verb* as in ClientSpec, or CLIENT_CREATE. */
void client_sort(const HttpReply *http, const char *resource, const char *verb, ClientReply *ret,
        char detail[static CLIENT_DETAIL_MAX]);

/* Makes a call and runs *loop* until it has ended: for verbs, which have nothing else to do. The caller owns the body
 * of *ret_reply*; its detail points to *detail*. An errno when the call cannot start or the loop fails. */
int client_call_wait(
        Loop *loop, Client *client, ClientSpec *spec, ClientReply *ret_reply, char detail[static CLIENT_DETAIL_MAX]);
