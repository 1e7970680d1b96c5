/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One call of the Pub/Sub API: token, request, deadline, one retry with a fresh token after 401, and the answer sorted
 * into what a caller can do about it. Source: google/rpc/code.proto and the service's page of error codes. */

#include "config.h"
#include "lib/http.h"
#include "pubsub/token.h"
#include "pubsub/wire.h"

typedef struct Client Client;
typedef struct ClientCall ClientCall;

typedef enum ClientOutcome {
        CLIENT_OK = 0,    /* 2xx */
        CLIENT_RETRY,     /* network, 408, 409 ABORTED, 429, 499, 5xx: backoff, honour retry_after */
        CLIENT_UNSURE,    /* as RETRY, but it may have been carried out: timeout or cut after sending */
        CLIENT_REFUSED,   /* no token to be had, 401 twice, 403 of Pub/Sub: slow retry, say so */
        CLIENT_NOT_FOUND, /* 404 of Pub/Sub: slow retry, say so */
        CLIENT_EXISTS,    /* 409 ALREADY_EXISTS */
        CLIENT_INVALID,   /* 400 INVALID_ARGUMENT or OUT_OF_RANGE: this request is at fault */
        CLIENT_TOO_LARGE, /* 413, or the reply was over its cap */
        CLIENT_FAILED, /* other 400 (billing, key, detached), other 4xx, of a proxy too, 3xx, a 2xx that is no reply of
                          Pub/Sub: slow retry, say so */
} ClientOutcome;

typedef struct ClientReply {
        ClientOutcome outcome;
        bool no_token;      /* nothing was asked, for want of an access token: the token has told of it */
        bool begun;         /* as in HttpReply */
        int http_status;    /* 0: none came */
        Bytes body;         /* bytes_steal() to keep */
        WireError error;    /* of an error body */
        usec_t retry_after; /* the longer of Retry-After and RetryInfo; 0: none */
        Cause cause;        /* of what is no success */
        const char *detail; /* in words with a remedy where there is one; no secret */
} ClientReply;

typedef void (*ClientDone)(void *userdata, ClientReply *reply);

typedef struct ClientSpec {
        const char *method;   /* "GET", "PUT", "POST"; static, as verb is */
        const char *resource; /* "projects/P/topics/T", not escaped */
        const char *verb;     /* ":publish", or NULL */
        Bytes body;           /* taken when client_call() succeeds; with an error, that fails with it */
        usec_t timeout;       /* as in HttpSpec, and so are the next two */
        usec_t stall;
        size_t max_reply;
} ClientSpec;

#define CLIENT_TIMEOUT_USEC (60 * USEC_PER_SEC) /* official clients' attempt timeout */
#define CLIENT_REPLY_MAX (1024 * 1024)
#define CLIENT_DETAIL_MAX 512
#define CLIENT_CREATE "PUT" /* stands for the verb where a resource is made, for client_sort() */

/* All of it is borrowed. *secrets* may be NULL; what it knows is in nothing that a reply says. -ENOMEM. */
int client_new(Http *http, Token *token, const Secrets *secrets, const PubsubConfig *config, Client **ret);
/* Every call must have been dropped or have come to its end. */
Client *client_free(Client *client);
CLEANUP_DEFINE(Client, client_free)

/* Calls *done* once from the loop, never from inside client_call(); the call is gone then, so the owner forgets its
 * handle first. Dropping the handle before that cancels. *resource* is copied. -ENOMEM, or -EINVAL where
 * `pubsub.endpoint` and the resource make no URL. */
int client_call(Client *client, ClientSpec *spec, ClientDone done, void *userdata, ClientCall **ret);
/* NULL is fine; returns NULL. */
ClientCall *client_cancel(ClientCall *call);
/* Nothing of it is sent from now on: it is not wanted any more. True: nothing is on its way, so that it may be dropped.
 * False: an answer comes, and where that is a 401, it is CLIENT_RETRY; or *call* is NULL. */
bool client_withdraw(ClientCall *call);

/* Pure, for client.c and its test: sorts an answer into ret->outcome, error, retry_after, http_status, and says in
 * *detail* what happened to *resource* and what the reader can do. *verb* as in ClientSpec. */
void client_sort(const HttpReply *http, const char *resource, const char *verb, ClientReply *ret,
        char detail[static CLIENT_DETAIL_MAX]);

/* Runs a call to its end on turns of *loop*: for verbs, which have nothing else to do. *ret_reply*'s body belongs to
 * the caller; its detail is in *detail*. */
int client_call_wait(
        Loop *loop, Client *client, ClientSpec *spec, ClientReply *ret_reply, char detail[static CLIENT_DETAIL_MAX]);
