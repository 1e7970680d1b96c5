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
        TAILQ_ENTRY(ClientCall) link;
        HttpRequest *request;
        unsigned token; /* number of the one that was sent; 0: none */
        bool retried, withdrawn;
};

ClientCall *client_cancel(ClientCall *call) {
        if (!call)
                return NULL;
        call->request = http_cancel(call->request);
        if (call->waits)
                TAILQ_REMOVE(&call->client->waiting, call, link);
        bytes_done(&call->http.body);
        bytes_done(&call->url);
        call->client->n_calls--;
        free(call);
        return NULL;
}

/* Tells the owner the result. The call is freed first: the owner may free the client. */
static void call_end(ClientCall *call, ClientReply *reply) {
        ClientDone done = call->done;
        void *userdata = call->userdata;

        client_cancel(call);
        done(userdata, reply);
        bytes_done(&reply->body);
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
                (void) snprintf(detail, sizeof(detail), "no access token: %s", status.failure.detail);
                reply = (ClientReply){
                        .outcome = result == TOKEN_REFUSED ? CLIENT_REFUSED : CLIENT_RETRY,
                        .no_token = true,
                        .retry_after = status.retry_at > now ? status.retry_at - now : 0,
                        .cause = status.failure.cause,
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
                client_cancel(call);
                return r;
        }
        *ret = call;
        return 0;
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

/* ---- what an answer means; pure ---- */

/* google/rpc/code.proto maps several codes to one HTTP status, so the error body's status decides first, the HTTP
 * status where a front end or proxy answered without one. */

static bool has_status(const WireError *error, const char *status) {
        return strcmp(error->status, status) == 0;
}

/* Whether Pub/Sub itself answered: its error bodies have one of these fields, pages of proxies and firewalls do not. */
static bool is_pubsubs(const WireError *error) {
        return error->status[0] != '\0' || error->message[0] != '\0' || error->reason[0] != '\0';
}

static ClientOutcome sort_status(int status, const WireError *error) {
        switch (status) {
        case 200 ... 299:
                return CLIENT_OK;
        case 400:
                return has_status(error, "INVALID_ARGUMENT") || has_status(error, "OUT_OF_RANGE") ? CLIENT_INVALID
                                                                                                  : CLIENT_FAILED;
        case 401:
                return CLIENT_REFUSED;
        case 403:
                return is_pubsubs(error) ? CLIENT_REFUSED : CLIENT_FAILED;
        case 404:
                return is_pubsubs(error) ? CLIENT_NOT_FOUND : CLIENT_FAILED;
        case 409: /* ABORTED is worth another try, and so is a 409 from something that is not Pub/Sub */
                return has_status(error, "ALREADY_EXISTS") ? CLIENT_EXISTS : CLIENT_RETRY;
        case 413:
                return CLIENT_TOO_LARGE;
        case 408:
        case 429:
        case 499:
        case 500 ... 510:
        case 512 ... 599:
                return CLIENT_RETRY;
        default: /* 511 as well: a captive portal sends it, never the server itself (RFC 6585 section 6) */
                return CLIENT_FAILED;
        }
}

/* Whether the body begins with { and ends with }. Its reader finds other faults. */
static bool looks_like_object(const Bytes *body) {
        size_t first = 0, last = body->size;

        while (first < last && bytes_is_space(body->data[first]))
                first++;
        while (first < last && bytes_is_space(body->data[last - 1]))
                last--;
        return last - first >= 2 && body->data[first] == '{' && body->data[last - 1] == '}';
}

static const char *role_of(const char *verb) {
        if (!verb)
                return "pubsub.viewer";
        if (strcmp(verb, ":publish") == 0)
                return "pubsub.publisher";
        if (strcmp(verb, ":pull") == 0 || strcmp(verb, ":acknowledge") == 0 || strcmp(verb, ":modifyAckDeadline") == 0)
                return "pubsub.subscriber";
        return "pubsub.editor";
}

static const char *kind_of(const char *resource) {
        return strstr(resource, "/topics/")          ? "topic"
               : strstr(resource, "/subscriptions/") ? "subscription"
                                                     : "resource";
}

/* What to do about a `reason` in an error body. */
typedef struct Reason {
        const char *reason, *remedy;
        Cause cause;
} Reason;

static const Reason reasons[] = {
        { "SERVICE_DISABLED", "enable the Cloud Pub/Sub API in the project", CAUSE_PROJECT },
        { "BILLING_DISABLED", "enable billing for the project", CAUSE_PROJECT },
        { "CONSUMER_SUSPENDED", "the project is suspended: see its console", CAUSE_PROJECT },
        { "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "the credentials lack the scope https://www.googleapis.com/auth/pubsub",
                CAUSE_KEY },
        { "USER_PROJECT_DENIED", "the account needs serviceusage.services.use on its quota project", CAUSE_ROLE },
        { "SECURITY_POLICY_VIOLATED",
                "a service perimeter (VPC Service Controls) keeps this machine out: ask its administrator for access",
                CAUSE_PROJECT },
        { "RESOURCE_PROJECT_INVALID", "check `pubsub.project` in the configuration", CAUSE_SETTINGS },
        { "CONSUMER_INVALID",
                "Google knows no such project: check `pubsub.project` in the configuration, and `quota_project_id` of "
                "the credentials",
                CAUSE_SETTINGS },
};

/* Returns NULL when the reason is unknown. */
static const Reason *reason_of(const WireError *error) {
        for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
                if (strcmp(error->reason, reasons[i].reason) == 0)
                        return &reasons[i];
        return NULL;
}

/* " (HTTP 403 PERMISSION_DENIED: User not authorized)" */
static void add_answer(TextRoom *words, const ClientReply *reply) {
        text_add(words, " (HTTP %d", reply->http_status);
        if (reply->error.status[0] != '\0')
                text_add(words, " %s", reply->error.status);
        if (reply->error.message[0] != '\0')
                text_add(words, ": %s", reply->error.message);
        text_add(words, ")");
}

static Cause say_between(TextRoom *words) {
        text_add(words,
                "something between here and Pub/Sub refused the request, not Pub/Sub itself: a proxy, a firewall, or "
                "another server at `pubsub.endpoint`");
        return CAUSE_BETWEEN;
}

static Cause say_refused(TextRoom *words, const ClientReply *reply, const char *resource, const char *verb) {
        if (!is_pubsubs(&reply->error))
                return say_between(words);
        if (reply->http_status == 401) {
                text_add(words,
                        "Pub/Sub does not accept the access token, not even a fresh one: check the credentials and "
                        "this machine's clock");
                return CAUSE_KEY;
        }
        if (text_equal(verb, CLIENT_CREATE))
                text_add(words,
                        "the service account has no pubsub.editor role on the project, without which it cannot create "
                        "%s: grant it, or have another account create it",
                        resource);
        else
                text_add(words, "the service account has no %s role on this %s: grant it", role_of(verb),
                        kind_of(resource));
        return CAUSE_ROLE;
}

static Cause say_not_found(TextRoom *words, const ClientReply *reply, const char *resource) {
        if (strcasestr(reply->error.message, "project not found")) { /* a missing topic has the same code */
                text_add(words, "it is in no project that the account may see: check `pubsub.project`");
                return CAUSE_SETTINGS;
        }
        text_add(words,
                "it does not exist: create it with `sensorqd setup`, or check the %s's name and `pubsub.project`",
                kind_of(resource));
        return CAUSE_SETUP;
}

static Cause say_failed(TextRoom *words, const ClientReply *reply, const char *resource) {
        if (reply->http_status < 300)
                text_add(words,
                        "the answer to a request for %s was not Pub/Sub's: a captive portal or proxy? check "
                        "`pubsub.endpoint` and the network",
                        resource);
        else if (reply->http_status < 400)
                text_add(words,
                        "redirected (HTTP %d), which is not followed: a captive portal? check `pubsub.endpoint` and "
                        "the network",
                        reply->http_status);
        else if (!is_pubsubs(&reply->error))
                return say_between(words);
        else if (has_status(&reply->error, "FAILED_PRECONDITION"))
                text_add(words,
                        "%s cannot be used as it is: check billing, its encryption key, and whether it is detached or "
                        "pushes",
                        resource);
        else
                text_add(words, "Pub/Sub refused a request for %s", resource);
        return reply->http_status < 400 ? CAUSE_BETWEEN : CAUSE_SETTINGS;
}

/* Writes what happened and what to do; returns why. */
static Cause say(TextRoom *words, const ClientReply *reply, const char *resource, const char *verb) {
        switch (reply->outcome) {
        case CLIENT_OK:
                return CAUSE_NONE;
        case CLIENT_REFUSED:
                return say_refused(words, reply, resource, verb);
        case CLIENT_NOT_FOUND:
                return say_not_found(words, reply, resource);
        case CLIENT_FAILED:
                return say_failed(words, reply, resource);
        case CLIENT_RETRY:
        case CLIENT_UNSURE:
                text_add(words, reply->http_status == 429 ? "Pub/Sub limits the request rate: a quota is used up"
                                                          : "Pub/Sub is not available");
                return reply->http_status == 429 ? CAUSE_QUOTA : CAUSE_UNAVAILABLE;
        case CLIENT_EXISTS:
                text_add(words, "%s exists already", resource);
                break;
        case CLIENT_INVALID:
                text_add(words, "Pub/Sub rejects a request for %s as invalid", resource);
                break;
        case CLIENT_TOO_LARGE:
                text_add(words, "Pub/Sub rejects a request for %s as too large", resource);
                break;
        }
        return CAUSE_INVALID;
}

/* No whole answer came. */
static void sort_failure(const HttpReply *http, const char *resource, ClientReply *ret, TextRoom *words) {
        ret->outcome = CLIENT_RETRY;
        ret->cause = cause_of_http(http);
        switch (http->outcome) {
        case HTTP_ANSWERED:
                break;
        case HTTP_UNREACHABLE:
                return text_add(words, "Pub/Sub cannot be reached: %s%s", http->detail,
                        http->want ? "; look " CAUSE_MEMORY_PLACES : "");
        case HTTP_TLS:
                return text_add(words,
                        "no secure connection to Pub/Sub: %s; check `pubsub.ca_file`, a proxy in between, and this "
                        "machine's clock",
                        http->detail);
        case HTTP_TIMEOUT:
        case HTTP_CUT:
                ret->outcome = CLIENT_UNSURE;
                return text_add(words, "no complete answer from Pub/Sub: %s", http->detail);
        case HTTP_TOO_LARGE:
                ret->outcome = CLIENT_TOO_LARGE;
                return text_add(words, "the answer to a request for %s is larger than sensorqd accepts", resource);
        }
}

void client_sort(const HttpReply *http, const char *resource, const char *verb, ClientReply *ret,
        char detail[static CLIENT_DETAIL_MAX]) {
        TextRoom words = { .text = detail, .size = CLIENT_DETAIL_MAX };
        const Reason *reason;

        *ret = (ClientReply){ .detail = detail, .begun = http->begun };
        detail[0] = '\0';
        if (http->outcome != HTTP_ANSWERED)
                return sort_failure(http, resource, ret, &words);

        ret->http_status = http->status;
        if (http->status < 200 || http->status > 299)
                wire_get_error(http->body.data, http->body.size, &ret->error);
        ret->outcome = sort_status(http->status, &ret->error);
        if (ret->outcome == CLIENT_OK && !looks_like_object(&http->body))
                ret->outcome = CLIENT_FAILED;
        if (ret->outcome == CLIENT_OK)
                return;
        ret->retry_after = usec_min(usec_max(http->retry_after, ret->error.retry_delay), USEC_PER_HOUR);
        reason = reason_of(&ret->error);
        if (reason && (ret->outcome == CLIENT_REFUSED || ret->outcome == CLIENT_FAILED) && http->status >= 400 &&
                http->status != 401)
                text_add(&words, "%s", reason->remedy);
        else
                ret->cause = say(&words, ret, resource, verb);
        if (reason)
                ret->cause = reason->cause;
        if (http->status >= 400)
                add_answer(&words, ret);
}
