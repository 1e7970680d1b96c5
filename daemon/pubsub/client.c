/* SPDX-License-Identifier: Apache-2.0 */
/* A call sends its request with the token, or waits until there is one. After a 401 the token is dropped, and the same
 * body is sent once more with the next one. */
#include "pubsub/client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/cleanup.h"
#include "lib/text.h"

struct Client {
        unsigned references;
        Http *http;
        const Secrets *secrets;
        Config *config;           /* its pubsub section is used; a reference is held */
        Credentials *credentials; /* NULL with the emulator */
        Token *token;
        char *quota_header; /* NULL: none */
        size_t n_calls;
        TAILQ_HEAD(CallList, ClientCall) waiting; /* for a token */
};

struct ClientCall {
        Client *client;
        ClientSpec spec; /* its body is empty after it was sent, and filled again for the second try */
        char *url;
        ClientDone done;
        void *userdata;
        bool waits; /* it is in client->waiting */
        bool ended; /* its owner is being told */
        TAILQ_ENTRY(ClientCall) link;
        HttpRequest *request;
        char *bearer; /* the token that was sent */
        bool retried, withdrawn;
};

static int call_begin(ClientCall *call);

static ClientCall *call_free(ClientCall *call) {
        if (!call)
                return NULL;
        call->request = http_cancel(call->request);
        if (call->waits)
                TAILQ_REMOVE(&call->client->waiting, call, link);
        call->bearer = secret_free(call->bearer);
        bytes_done(&call->spec.body);
        free(call->url);
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

/* A 401 may only mean that the token was revoked or has run out early. */
static bool call_try_again(ClientCall *call, HttpReply *http) {
        if (call->retried || !call->bearer)
                return false;
        token_reject(call->client->token, call->bearer);
        if (call->withdrawn)
                return false;
        call->retried = true;
        call->bearer = secret_free(call->bearer);
        call->spec.body = bytes_steal(&http->sent);
        return call_begin(call) >= 0;
}

static void on_answer(void *userdata, HttpReply *http) {
        ClientCall *call = userdata;
        char detail[CLIENT_DETAIL_MAX];
        ClientReply reply;

        call->request = NULL;
        if (http->outcome == HTTP_ANSWERED && http->status == 401 && call_try_again(call, http))
                return;
        client_sort(http, call->spec.resource,
                strcmp(call->spec.method, CLIENT_CREATE) == 0 ? CLIENT_CREATE : call->spec.verb, &reply, detail);
        if (call->withdrawn && !call->retried && reply.http_status == 401)
                reply.outcome = CLIENT_RETRY; /* the owner may call again, with a new token */
        if (reply.outcome != CLIENT_OK) {
                secrets_conceal(call->client->secrets, detail);
                secrets_conceal(call->client->secrets, reply.error.message);
        }
        reply.body = bytes_steal(&http->body);
        call_end(call, &reply);
}

/* *token*: NULL where none is needed. */
static int call_send(ClientCall *call, const char *token) {
        const char *headers[] = { call->client->quota_header, NULL };
        HttpSpec spec = {
                .method = call->spec.method,
                .url = call->url,
                .ca_file = call->client->config->pubsub.ca_file,
                .bearer = token,
                .headers = headers,
                .body = bytes_steal(&call->spec.body),
                .timeout = call->spec.timeout,
                .stall = call->spec.stall,
                .max_reply = call->spec.max_reply,
        };
        int r;

        call->bearer = token ? strdup(token) : NULL;
        r = token && !call->bearer ? -ENOMEM : http_start(call->client->http, &spec, on_answer, call, &call->request);
        call->spec.body = bytes_steal(&spec.body); /* still here if http_start() did not take it */
        return r;
}

static void call_end_without_token(ClientCall *call, int error, usec_t retry_after) {
        char detail[CLIENT_DETAIL_MAX];
        ClientReply reply = { .outcome = error == -EACCES ? CLIENT_REFUSED : CLIENT_RETRY,
                .no_token = true,
                .retry_after = retry_after,
                .detail = detail };
        TokenStatus status;

        token_status(call->client->token, &status);
        reply.cause = status.cause;
        (void) snprintf(detail, sizeof(detail), "no access token: %s",
                status.detail && *status.detail ? status.detail : strerror(-error));
        call_end(call, &reply);
}

/* False: an exchange runs, and the call goes on waiting. */
static bool call_take_token(ClientCall *call) {
        usec_t retry_after = 0;
        const char *value;
        int r = token_take(call->client->token, &value, &retry_after);

        if (r == TOKEN_WAIT)
                return false;
        TAILQ_REMOVE(&call->client->waiting, call, link);
        call->waits = false;
        if (r < 0)
                call_end_without_token(call, r, retry_after);
        else if ((r = call_send(call, value)) < 0)
                call_end(
                        call, &(ClientReply){ .outcome = CLIENT_RETRY, .cause = CAUSE_MEMORY, .detail = strerror(-r) });
        return true;
}

/* Calls that an owner starts from inside its callback are looked at in the next turn of the loop. */
static void on_token(void *userdata) {
        Client *client = userdata;
        ClientCall *call;
        size_t n = 0;

        TAILQ_FOREACH(call, &client->waiting, link)
                n++;
        while (n-- > 0 && (call = TAILQ_FIRST(&client->waiting)))
                if (!call_take_token(call))
                        return;
}

static int call_begin(ClientCall *call) {
        usec_t retry_after;
        const char *value;

        if (token_take(call->client->token, &value, &retry_after) == TOKEN_READY)
                return call_send(call, value);
        call->waits = true;
        TAILQ_INSERT_TAIL(&call->client->waiting, call, link);
        token_wake(call->client->token);
        return 0;
}

/* Escapes all but the unreserved characters of RFC 3986: names may contain `%` and `+`. The colon of a domain-scoped
 * project stays, as in official clients. */
static int build_url(const char *endpoint, const ClientSpec *spec, char **ret) {
        _cleanup_bytes_ Bytes url = {};
        int r;

        bytes_append_format(&url, "%s/v1/", endpoint);
        text_append_percent(&url, spec->resource, "/:");
        r = bytes_append_text(&url, spec->verb ? spec->verb : "");
        if (r < 0)
                return r;
        *ret = bytes_steal(&url).data;
        return 0;
}

int client_call(Client *client, ClientSpec *spec, ClientDone done, void *userdata, ClientCall **ret) {
        int r = bytes_result(&spec->body);
        ClientCall *call;

        if (r < 0)
                return r;
        call = calloc(1, sizeof(*call));
        if (!call)
                return -ENOMEM;
        *call = (ClientCall){ .client = client, .spec = *spec, .done = done, .userdata = userdata };
        client->n_calls++;
        spec->body = (Bytes){};
        r = build_url(client->config->pubsub.endpoint, spec, &call->url);
        if (r == 0 && http_url_check(call->url) == HTTP_URL_MALFORMED)
                r = -EINVAL;
        if (r == 0)
                r = call_begin(call);
        if (r < 0) {
                spec->body = bytes_steal(&call->spec.body);
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
        const char *quota_project;
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
        r = token_new(means->loop, means->http, client->credentials, config->pubsub.ca_file, &client->token);
        if (r < 0)
                return r;
        token_watch(client->token, on_token, client);
        quota_project = token_quota_project(client->token);
        if (quota_project && text_format(&client->quota_header, "x-goog-user-project: %s", quota_project) < 0)
                return -ENOMEM;
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
