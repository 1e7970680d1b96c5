/* SPDX-License-Identifier: Apache-2.0 */
/* A call sends its request with the token, or waits until there is one: on_token() goes on. After a 401 the token is
 * dropped, and the same body is sent once more with the next one. */
#include "pubsub/client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/err.h"
#include "lib/text.h"

struct Client {
        unsigned references;
        Http *http;
        const Secrets *secrets;
        Config *config;           /* its pubsub section is used; a reference is held */
        Credentials *credentials; /* NULL with the emulator */
        Token *token;
        LoopWatch *ready; /* runs on_token() */
        char *quota_header;
        const char *headers[2]; /* that one, if there is one */
        size_t n_calls;
        TAILQ_HEAD(CallList, ClientCall) waiting; /* for a token */
};

struct ClientCall {
        Client *client;
        HttpSpec http; /* its body is empty after it was sent, and filled again for the second try; its bearer is the
                          token's, for call_send() only */
        Bytes url;
        const char *resource, *verb; /* for client_sort() */
        ClientDone done;
        void *userdata;
        bool waits; /* it is in client->waiting */
        bool ended; /* its owner is being told */
        TAILQ_ENTRY(ClientCall) link;
        HttpRequest *request;
        unsigned token; /* number of the one that was sent; 0: none */
        bool retried, withdrawn;
};

static ClientCall *call_free(ClientCall *call) {
        if (!call)
                return NULL;
        call->request = http_cancel(call->request);
        if (call->waits)
                TAILQ_REMOVE(&call->client->waiting, call, link);
        bytes_done(&call->http.body);
        bytes_done(&call->url);
        if (!call->ended)
                call->client->n_calls--;
        free(call);
        return NULL;
}

/* Ends the call: tells the owner the result and frees the call. */
static void call_end(ClientCall *call, ClientReply *reply) {
        call->ended = true;
        call->client->n_calls--; /* before done(), in which the owner may free the client */
        call->done(call->userdata, reply);
        bytes_done(&reply->body);
        call_free(call);
}

static void call_wait(ClientCall *call) {
        call->waits = true;
        TAILQ_INSERT_TAIL(&call->client->waiting, call, link);
        loop_wake(call->client->ready);
}

/* A 401 may only mean that the token was revoked or has run out early. */
static bool call_try_again(ClientCall *call, HttpReply *http) {
        if (call->retried || call->token == 0)
                return false;
        token_reject(call->client->token, call->token);
        if (call->withdrawn)
                return false;
        call->retried = true;
        call->http.body = bytes_steal(&http->sent);
        call_wait(call);
        return true;
}

static void on_answer(void *userdata, HttpReply *http) {
        ClientCall *call = userdata;
        char detail[CLIENT_DETAIL_MAX];
        ClientReply reply;

        call->request = NULL;
        if (http->outcome == HTTP_ANSWERED && http->status == 401 && call_try_again(call, http))
                return;
        client_sort(http, call->resource, call->verb, &reply, detail);
        if (call->withdrawn && !call->retried && reply.http_status == 401)
                reply.outcome = CLIENT_RETRY; /* the owner may call again, with a new token */
        if (reply.outcome != CLIENT_OK) {
                secrets_conceal(call->client->secrets, detail);
                secrets_conceal(call->client->secrets, reply.error.message);
        }
        reply.body = bytes_steal(&http->body);
        call_end(call, &reply);
}

/* 0: it is sent. Positive: there is no token, see token_take(). Negative: the request cannot be made. */
static int call_send(ClientCall *call) {
        int r = token_take(call->client->token, &call->http.bearer, &call->token);

        return r != TOKEN_READY ? r : http_start(call->client->http, &call->http, on_answer, call, &call->request);
}

/* *result* as call_send() returns it. */
static void call_end_unsent(ClientCall *call, int result) {
        ClientReply reply = { .outcome = CLIENT_RETRY, .cause = CAUSE_MEMORY, .detail = strerror(-result) };
        char detail[CLIENT_DETAIL_MAX];
        usec_t now = clock_now();
        TokenStatus status;

        if (result > 0) {
                token_status(call->client->token, &status);
                (void) snprintf(detail, sizeof(detail), "no access token: %s", status.detail);
                reply = (ClientReply){
                        .outcome = result == TOKEN_REFUSED ? CLIENT_REFUSED : CLIENT_RETRY,
                        .no_token = true,
                        .retry_after = status.retry_at > now ? status.retry_at - now : 0,
                        .cause = status.cause,
                        .detail = detail,
                };
        }
        call_end(call, &reply);
}

/* Sends what waits for a token. Where there is none to be had, one call ends in each turn of the loop: its owner may
 * free the client, or begin another call. */
static void on_token(void *userdata) {
        Client *client = userdata;
        ClientCall *call;
        int r;

        while ((call = TAILQ_FIRST(&client->waiting))) {
                r = call_send(call);
                if (r == TOKEN_WAIT)
                        return;
                call->waits = false;
                TAILQ_REMOVE(&client->waiting, call, link);
                if (r == TOKEN_READY)
                        continue;
                loop_wake(client->ready);
                return call_end_unsent(call, r);
        }
}

int client_call(Client *client, ClientSpec *spec, ClientDone done, void *userdata, ClientCall **ret) {
        ClientCall *call = calloc(1, sizeof(*call));
        int r;

        if (!call)
                return -ENOMEM;
        *call = (ClientCall){
                .client = client,
                .http = { .method = spec->method,
                        .ca_file = client->config->pubsub.ca_file,
                        .headers = client->headers,
                        .body = bytes_steal(&spec->body),
                        .timeout = spec->timeout,
                        .stall = spec->stall,
                        .max_reply = spec->max_reply },
                .resource = spec->resource,
                .verb = strcmp(spec->method, CLIENT_CREATE) == 0 ? CLIENT_CREATE : spec->verb,
                .done = done,
                .userdata = userdata,
        };
        client->n_calls++;

        bytes_append_format(&call->url, "%s/v1/", client->config->pubsub.endpoint);
        /* All but the unreserved characters of RFC 3986: names may contain `%` and `+`. The colon of a domain-scoped
         * project stays, as in official clients. */
        text_append_percent(&call->url, spec->resource, "/:");
        r = bytes_append_text(&call->url, spec->verb ?: "");
        call->http.url = call->url.data;
        if (r == 0)
                r = call_send(call);
        if (r > 0)
                call_wait(call);
        if (r < 0) {
                spec->body = bytes_steal(&call->http.body);
                (void) call_free(call);
                return r;
        }
        *ret = call;
        return 0;
}

ClientCall *client_cancel(ClientCall *call) {
        if (call && call->ended) /* called from inside its own callback */
                return NULL;
        return call_free(call);
}

bool client_withdraw(ClientCall *call) {
        if (!call)
                return false;
        call->withdrawn = true;
        return call->waits;
}

/* ---- verbs ---- */

typedef struct Wait {
        bool ended;
        ClientReply reply;
        char *detail;
} Wait;

static void on_waited(void *userdata, ClientReply *reply) {
        Wait *wait = userdata;

        wait->ended = true;
        wait->reply = *reply;
        wait->reply.body = bytes_steal(&reply->body);
        (void) snprintf(wait->detail, CLIENT_DETAIL_MAX, "%s", reply->detail ? reply->detail : "");
        wait->reply.detail = wait->detail;
}

int client_call_wait(
        Loop *loop, Client *client, ClientSpec *spec, ClientReply *ret_reply, char detail[static CLIENT_DETAIL_MAX]) {
        Wait wait = { .detail = detail };
        ClientCall *call = NULL;
        int r;

        r = client_call(client, spec, on_waited, &wait, &call);
        if (r < 0)
                return r;
        while (!wait.ended) {
                r = loop_turn(loop, USEC_INFINITY);
                if (r < 0) {
                        if (!wait.ended)
                                client_cancel(call);
                        bytes_done(&wait.reply.body);
                        return r;
                }
        }
        *ret_reply = wait.reply;
        return 0;
}

/* ---- life ---- */

int client_new(const ClientMeans *means, Config *config, Client **ret, CredentialsError *ret_error) {
        _cleanup_(client_unrefp) Client *client = NULL;
        int r;

        ret_error->text[0] = '\0';
        client = calloc(1, sizeof(*client));
        if (!client)
                return -ENOMEM;
        client->references = 1;
        client->http = means->http;
        client->secrets = means->secrets;
        client->config = config_ref(config);
        TAILQ_INIT(&client->waiting);
        if (!config->pubsub.emulator) {
                r = credentials_load(config, means->secrets, &client->credentials, ret_error);
                if (r < 0)
                        return r;
        }
        r = loop_add_defer(means->loop, on_token, client, &client->ready);
        if (r == 0)
                r = token_new(means->http, client->credentials, config->pubsub.ca_file, client->ready, &client->token);
        if (r < 0)
                return r;
        if (client->credentials && client->credentials->quota_project &&
                text_format(&client->quota_header, "x-goog-user-project: %s", client->credentials->quota_project) < 0)
                return -ENOMEM;
        client->headers[0] = client->quota_header;
        *ret = cleanup_steal(client);
        return 0;
}

Client *client_ref(Client *client) {
        client->references++;
        return client;
}

Client *client_unref(Client *client) {
        if (!client || --client->references > 0)
                return NULL;
        assert(client->n_calls == 0);
        token_free(client->token);
        loop_drop(client->ready);
        credentials_free(client->credentials);
        config_unref(client->config);
        free(client->quota_header);
        free(client);
        return NULL;
}

const Credentials *client_credentials(const Client *client) {
        return client->credentials;
}

Token *client_token(const Client *client) {
        return client->token;
}
