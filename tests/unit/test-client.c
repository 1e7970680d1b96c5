/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the API: what is sent, how answers are sorted, one retry after 401. P10: no token in what a call says. */
#include "pubsub-fixture.h"

#define OLD_TOKEN "old-token-7f3a"
#define NEW_TOKEN "new-token-91bc"

/* ---- a token in place of the real one: it answers from the loop, as the test says ---- */

struct Token {
        const char *values[4];
        int failure;
        usec_t retry_at;
        bool at_hand; /* the next value need not be waited for */
        bool told;    /* that it must be waited for */
        unsigned asked, waited;
        LoopWatch *ready; /* the client's */
        unsigned rejected, n_rejected;
};

/* Every token has to be waited for, but those of a test that says otherwise. */
int token_take(Token *token, const char **ret_value, unsigned *ret_number) {
        token->told = !token->at_hand && !token->told;
        if (token->told) {
                token->waited++;
                loop_wake(token->ready);
                return TOKEN_WAIT;
        }
        if (token->failure)
                return token->failure;
        *ret_value = token->values[token->asked++];
        *ret_number = *ret_value ? token->asked : 0;
        return TOKEN_READY;
}

void token_reject(Token *token, unsigned number) {
        token->n_rejected++;
        token->rejected = number;
}

void token_status(const Token *token, TokenStatus *ret) {
        *ret = (TokenStatus){ .failure = { .on = token->failure,
                                      .detail = token->failure ? "the key was deleted" : "" },
                .retry_at = token->retry_at };
}

int token_new(Http *http, const Credentials *credentials, const char *ca_file, LoopWatch *ready, Token **ret) {
        *ret = calloc(1, sizeof **ret);
        (*ret)->ready = ready;
        return 0;
}

Token *token_free(Token *token) {
        free(token);
        return NULL;
}

/* ---- fixture ---- */

typedef struct Call {
        ClientCall *call;
        bool done;
        ClientReply reply;
        char detail[CLIENT_DETAIL_MAX];
} Call;

static Fixture fixture;
static Call call;

static void on_done(void *userdata, ClientReply *reply) {
        Call *c = userdata;

        assert_false(c->done);
        c->call = NULL;
        c->done = true;
        c->reply = *reply;
        c->reply.body = bytes_steal(&reply->body);
        (void) snprintf(c->detail, sizeof c->detail, "%s", reply->detail);
        assert_null(strstr(c->detail, OLD_TOKEN));
        assert_null(strstr(c->detail, NEW_TOKEN));
}

static int set_up(void **state) {
        fixture_set_up(&fixture);
        call = (Call){};
        return 0;
}

static int tear_down(void **state) {
        call.call = client_cancel(call.call);
        bytes_done(&call.reply.body);
        assert_int_equal(fixture_logged(&fixture, OLD_TOKEN), 0);
        fixture_tear_down(&fixture);
        return 0;
}

static ClientSpec make_spec(const char *verb, const char *body) {
        ClientSpec spec = { .method = body ? "POST" : "GET",
                .resource = FIXTURE_SUBSCRIPTION,
                .verb = verb,
                .timeout = 10 * USEC_PER_SEC,
                .max_reply = CLIENT_REPLY_MAX };

        if (body)
                assert_int_equal(bytes_append_text(&spec.body, body), 0);
        return spec;
}

static void start(const char *verb, const char *body) {
        ClientSpec spec = make_spec(verb, body);

        bytes_done(&call.reply.body);
        call = (Call){};
        assert_int_equal(client_call(fixture.client, &spec, on_done, &call, &call.call), 0);
        assert_int_equal(spec.body.size, 0);
        assert_false(call.done);
}

static void finish(const char *verb, const char *body) {
        start(verb, body);
        fixture_until(&fixture, call.done);
}

/* ---- what is sent ---- */

typedef struct Seen {
        char path[200], bearer[100], project[100], type[100];
} Seen;

static bool look_at_request(void *userdata, HttpServerConnection *c, const HttpServerCall *http) {
        Seen *seen = userdata;

        (void) snprintf(seen->path, sizeof seen->path, "%.180s", http->path);
        if (!http_server_header(http, "Authorization", seen->bearer, sizeof seen->bearer))
                seen->bearer[0] = '\0';
        if (!http_server_header(http, "x-goog-user-project", seen->project, sizeof seen->project))
                seen->project[0] = '\0';
        if (!http_server_header(http, "Content-Type", seen->type, sizeof seen->type))
                seen->type[0] = '\0';
        http_server_reply(c, 200, "", "{}");
        return true;
}

static Client *new_client(Secrets *secrets) {
        const ClientMeans means = { fixture.event, fixture.http, secrets };
        CredentialsError error;
        Client *client;

        assert_int_equal(client_new(&means, &fixture.config, &client, &error), 0);
        return client;
}

static void test_request(void **state) {
        static const char key[] = "{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"s\","
                                  "\"refresh_token\":\"r\",\"quota_project_id\":\"payer\"}";
        Seen seen = {};
        HttpServer *server = http_server_new(look_at_request, &seen);
        ClientSpec spec = make_spec(":publish", "{}");
        char endpoint[64], path[64];
        int fd = memfd_create("key", MFD_CLOEXEC);
        Client *client;

        assert_int_equal(write(fd, key, strlen(key)), strlen(key));
        (void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        (void) snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", http_server_port(server));
        fixture.config.pubsub = (PubsubConfig){ .endpoint = endpoint, .credentials_file = path };
        client = new_client(NULL);
        client_token(client)->values[0] = OLD_TOKEN;
        spec.resource = "projects/example.com:p/topics/a%b+c~d";
        assert_int_equal(client_call(client, &spec, on_done, &call, &call.call), 0);
        fixture_until(&fixture, call.done);
        assert_int_equal(call.reply.outcome, CLIENT_OK);
        assert_string_equal(seen.path, "/v1/projects/example.com:p/topics/a%25b%2Bc~d:publish");
        assert_string_equal(seen.bearer, "Bearer " OLD_TOKEN);
        assert_string_equal(seen.project, "payer");
        assert_string_equal(seen.type, "application/json");
        client_unref(client);
        fixture.config.pubsub = (PubsubConfig){ .endpoint = fixture.endpoint, .emulator = true };
        http_server_free(server);
        (void) close(fd);
}

/* ---- tokens ---- */

static void test_one_retry_with_a_fresh_token(void **state) {
        fixture.token->values[0] = OLD_TOKEN;
        fixture.token->values[1] = NEW_TOKEN;
        fixture_script(&fixture, CALL_ACK, 401, "", "{\"error\":{\"status\":\"UNAUTHENTICATED\"}}");
        finish(":acknowledge", "{\"ackIds\":[\"a\"]}");
        assert_int_equal(call.reply.outcome, CLIENT_OK);
        assert_int_equal(fixture.token->rejected, 1);
        assert_int_equal(fixture_asked(&fixture, "ack {\"ackIds\":[\"a\"]}\n"), 2);
}

/* A token that serves is had without a turn of the loop, and so is the fresh one after a 401. */
static void test_token_at_hand(void **state) {
        fixture.token->at_hand = true;
        fixture.token->values[0] = OLD_TOKEN;
        fixture.token->values[1] = NEW_TOKEN;
        fixture_script(&fixture, CALL_ACK, 401, "", "{\"error\":{\"status\":\"UNAUTHENTICATED\"}}");
        finish(":acknowledge", "{\"ackIds\":[\"a\"]}");
        assert_int_equal(call.reply.outcome, CLIENT_OK);
        assert_int_equal(fixture.token->waited, 0);
        assert_int_equal(fixture_asked(&fixture, "ack {\"ackIds\":[\"a\"]}\n"), 2);
}

/* P10: a remote that repeats what it was sent does not make us say it. */
static void test_remote_repeats_the_token(void **state) {
        _cleanup_(secrets_freep) Secrets *secrets = NULL;
        ClientSpec spec = make_spec(":publish", "{}");
        Client *client;

        assert_int_equal(secrets_new(&secrets), 0);
        assert_int_equal(secrets_note_passing(secrets, OLD_TOKEN), 0);
        client = new_client(secrets);
        fixture_script(&fixture, CALL_GET, 403, "",
                "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\",\"message\":\"got Bearer " OLD_TOKEN
                ", no\"}}");
        assert_int_equal(client_call(client, &spec, on_done, &call, &call.call), 0);
        fixture_until(&fixture, call.done); /* on_done() looks for it */
        assert_non_null(strstr(call.detail, "got Bearer [secret], no"));
        assert_string_equal(call.reply.error.message, "got Bearer [secret], no");
        client_unref(client);
}

static void test_401_twice_is_refused(void **state) {
        fixture.token->values[0] = OLD_TOKEN;
        fixture.token->values[1] = NEW_TOKEN;
        fixture_stand(&fixture, CALL_ACK, 401, "{\"error\":{\"status\":\"UNAUTHENTICATED\"}}");
        finish(":acknowledge", "{}");
        assert_int_equal(call.reply.outcome, CLIENT_REFUSED);
        assert_int_equal(call.reply.http_status, 401);
        assert_int_equal(fixture_calls(&fixture, CALL_ACK), 2);
        assert_int_equal(fixture.token->n_rejected, 1);
        assert_non_null(strstr(call.detail, "clock"));
}

/* Nothing goes out for the first time, nor once more after a 401; the next call has a fresh token. */
static void test_withdrawn(void **state) {
        fixture.token->values[0] = fixture.token->values[1] = OLD_TOKEN;
        start(":publish", "{}");
        assert_true(client_withdraw(call.call));
        call.call = client_cancel(call.call);
        fixture_settle(&fixture, 30 * USEC_PER_MSEC);
        assert_int_equal(fixture.token->asked, 0);

        fixture_stand(&fixture, CALL_ACK, 401, "{\"error\":{\"status\":\"UNAUTHENTICATED\"}}");
        fixture.token->at_hand = true;
        start(":acknowledge", "{}");
        assert_false(client_withdraw(call.call));
        fixture_until(&fixture, call.done);
        assert_int_equal(call.reply.outcome, CLIENT_RETRY);
        assert_int_equal(fixture_calls(&fixture, CALL_ACK), 1);
        assert_int_equal(fixture.token->rejected, 1);
}

static void test_401_without_token(void **state) {
        fixture_stand(&fixture, CALL_ACK, 401, "");
        finish(":acknowledge", "{}");
        assert_int_equal(call.reply.outcome, CLIENT_REFUSED);
        assert_int_equal(fixture_calls(&fixture, CALL_ACK), 1);
        assert_int_equal(fixture.token->n_rejected, 0);
}

static void test_no_token_to_be_had(void **state) {
        fixture.token->failure = TOKEN_REFUSED;
        finish(":acknowledge", "{}");
        assert_int_equal(call.reply.outcome, CLIENT_REFUSED);
        assert_int_equal(call.reply.http_status, 0);
        assert_string_equal(call.detail, "no access token: the key was deleted");
        assert_true(call.reply.no_token);
        fixture.token->failure = TOKEN_LATER;
        fixture.token->retry_at = clock_now() + 9 * USEC_PER_SEC;
        finish(":acknowledge", "{}");
        assert_int_equal(call.reply.outcome, CLIENT_RETRY);
        assert_in_range(call.reply.retry_after, USEC_PER_SEC, 9 * USEC_PER_SEC);
        assert_int_equal(fixture_calls(&fixture, CALL_ACK), 0);
}

typedef struct Owner {
        Client *client;
        ClientCall *calls[3];
} Owner;

static void on_owner_done(void *userdata, ClientReply *reply) {
        Owner *owner = userdata;

        assert_true(reply->no_token);
        owner->calls[0] = NULL; /* the first ends first */
        for (size_t i = 0; i < ELEMENTSOF(owner->calls); i++)
                owner->calls[i] = client_cancel(owner->calls[i]);
        owner->client = client_unref(owner->client);
}

/* Its owner may end everything when the first of several calls ends for want of a token. */
static void test_owner_ends_all(void **state) {
        Owner owner = { .client = new_client(NULL) };

        client_token(owner.client)->failure = TOKEN_REFUSED;
        for (size_t i = 0; i < ELEMENTSOF(owner.calls); i++) {
                ClientSpec spec = make_spec(":pull", "{}");

                client_token(owner.client)->told = false;
                assert_int_equal(client_call(owner.client, &spec, on_owner_done, &owner, &owner.calls[i]), 0);
        }
        fixture_until(&fixture, !owner.client);
        fixture_settle(&fixture, 30 * USEC_PER_MSEC);
}

/* Each call ends, none of them from inside client_call(). */
static void test_many_without_a_token(void **state) {
        Call calls[5] = {};

        fixture.token->failure = TOKEN_LATER;
        fixture.token->at_hand = true;
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                ClientSpec spec = make_spec(":pull", "{}");

                assert_int_equal(client_call(fixture.client, &spec, on_done, &calls[i], &calls[i].call), 0);
                assert_false(calls[i].done);
        }
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                fixture_until(&fixture, calls[i].done);
                assert_int_equal(calls[i].reply.outcome, CLIENT_RETRY);
        }
}

/* ---- sorting ---- */

#define ERROR(code, status) "{\"error\":{\"code\":" #code ",\"message\":\"words\",\"status\":\"" status "\"}}"

/* A login page in place of Pub/Sub confirms nothing, whatever was asked: not that messages were taken, nor that there
 * are none, nor that a deadline was moved. */
static void test_a_page_is_no_answer(void **state) {
        static const char *const verbs[] = { ":publish", ":pull", ":acknowledge", ":modifyAckDeadline",
                ":testIamPermissions", CLIENT_CREATE, NULL };
        static char page[] = "<!doctype html><html><body>Log in {}</body></html>";

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                for (int status = 200; status < 205; status++) {
                        HttpReply http = { .status = status, .body = { page, strlen(page) }, .detail = "HTTP 200" };
                        char detail[CLIENT_DETAIL_MAX];
                        ClientReply reply;

                        client_sort(&http, "projects/p/topics/t", verbs[i], &reply, detail);
                        assert_int_equal(reply.outcome, CLIENT_FAILED);
                        assert_int_equal(reply.cause, CAUSE_BETWEEN);
                }
}

static void test_outcomes(void **state) {
        static const struct {
                int status;
                const char *body;
                ClientOutcome outcome;
                const char *word;
                Cause cause;
        } cases[] = {
                { 200, "{}", CLIENT_OK, "", CAUSE_NONE },
                { 200, " \n{\n}\n", CLIENT_OK, "", CAUSE_NONE },
                { 200, "", CLIENT_FAILED, "captive portal", CAUSE_BETWEEN },
                { 200, "<html></html>", CLIENT_FAILED, "captive portal", CAUSE_BETWEEN },
                { 200, "[]", CLIENT_FAILED, "captive portal", CAUSE_BETWEEN },
                { 302, "", CLIENT_FAILED, "redirected", CAUSE_BETWEEN },
                { 400, ERROR(400, "INVALID_ARGUMENT"), CLIENT_INVALID, "invalid (HTTP 400 INVALID_ARGUMENT: words)",
                        CAUSE_INVALID },
                { 400, ERROR(400, "OUT_OF_RANGE"), CLIENT_INVALID, "", CAUSE_INVALID },
                { 400, ERROR(400, "FAILED_PRECONDITION"), CLIENT_FAILED, "billing", CAUSE_SETTINGS },
                { 400, "<html>", CLIENT_FAILED, "HTTP 400", CAUSE_BETWEEN },
                { 403, ERROR(403, "PERMISSION_DENIED"), CLIENT_REFUSED, "pubsub.publisher role on this subscription",
                        CAUSE_ROLE },
                { 403,
                        "{\"error\":{\"details\":[{\"@type\":\"type.googleapis.com/"
                        "google.rpc.ErrorInfo\",\"reason\":\"SERVICE_DISABLED\"}]}}",
                        CLIENT_REFUSED, "enable the Cloud Pub/Sub API", CAUSE_PROJECT },
                { 404, ERROR(404, "NOT_FOUND"), CLIENT_NOT_FOUND,
                        "check the subscription's name and `pubsub.project` (HTTP 404", CAUSE_SETUP },
                { 404,
                        "{\"error\":{\"status\":\"NOT_FOUND\",\"message\":\"Requested project not found or user does not "
                        "have access to it (project=p).\"}}",
                        CLIENT_NOT_FOUND, "may see: check `pubsub.project` (HTTP 404", CAUSE_SETTINGS },
                { 403,
                        "{\"error\":{\"status\":\"PERMISSION_DENIED\",\"details\":[{\"@type\":\"type.googleapis.com/"
                        "google.rpc.ErrorInfo\",\"reason\":\"CONSUMER_INVALID\"}]}}",
                        CLIENT_REFUSED, "no such project", CAUSE_SETTINGS },
                { 403,
                        "{\"error\":{\"status\":\"PERMISSION_DENIED\",\"details\":[{\"@type\":\"type.googleapis.com/"
                        "google.rpc.ErrorInfo\",\"reason\":\"SECURITY_POLICY_VIOLATED\"}]}}",
                        CLIENT_REFUSED, "service perimeter", CAUSE_PROJECT },
                { 401, "<html>", CLIENT_REFUSED, "between here and Pub/Sub", CAUSE_BETWEEN },
                { 403, "<html>Forbidden</html>", CLIENT_FAILED, "between here and Pub/Sub",
                        CAUSE_BETWEEN }, /* the account is not to blame, */
                { 404, "", CLIENT_FAILED, "between here and Pub/Sub", CAUSE_BETWEEN }, /* and nothing is missing */
                { 407, "<html>", CLIENT_FAILED, "between here and Pub/Sub", CAUSE_BETWEEN },
                { 408, "", CLIENT_RETRY, "", CAUSE_UNAVAILABLE },
                { 409, ERROR(409, "ABORTED"), CLIENT_RETRY, "", CAUSE_UNAVAILABLE },
                { 409, ERROR(409, "ALREADY_EXISTS"), CLIENT_EXISTS, "exists already (HTTP 409", CAUSE_INVALID },
                { 413, "", CLIENT_TOO_LARGE, "too large (HTTP 413)", CAUSE_INVALID },
                { 418, "", CLIENT_FAILED, "418", CAUSE_BETWEEN },
                { 429, ERROR(429, "RESOURCE_EXHAUSTED"), CLIENT_RETRY, "a quota is used up (HTTP 429", CAUSE_QUOTA },
                { 499, "", CLIENT_RETRY, "", CAUSE_UNAVAILABLE },
                { 500, "", CLIENT_RETRY, "not available (HTTP 500)", CAUSE_UNAVAILABLE },
                { 503, "<html>busy</html>", CLIENT_RETRY, "HTTP 503", CAUSE_UNAVAILABLE },
                { 504, "", CLIENT_RETRY, "", CAUSE_UNAVAILABLE },
                { 511, "<html>log in</html>", CLIENT_FAILED, "between here and Pub/Sub", CAUSE_BETWEEN },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                HttpReply http = { .outcome = HTTP_ANSWERED, .status = cases[i].status, .detail = "" };
                char detail[CLIENT_DETAIL_MAX];
                ClientReply reply;

                assert_int_equal(bytes_append_text(&http.body, cases[i].body), 0);
                client_sort(&http, FIXTURE_SUBSCRIPTION, ":publish", &reply, detail);
                assert_int_equal(reply.outcome, cases[i].outcome);
                assert_int_equal(reply.cause, cases[i].cause);
                assert_int_equal(reply.http_status, cases[i].status);
                if (!strstr(detail, cases[i].word))
                        fail_msg("%d: %s", cases[i].status, detail);
                assert_int_equal(detail[0] == '\0', cases[i].outcome == CLIENT_OK);
                bytes_done(&http.body);
        }
}

static void test_outcomes_without_an_answer(void **state) {
        static const struct {
                HttpOutcome http;
                ClientOutcome outcome;
                Cause cause;
        } cases[] = {
                { HTTP_UNREACHABLE, CLIENT_RETRY, CAUSE_NETWORK },
                { HTTP_TLS, CLIENT_RETRY, CAUSE_TLS },
                { HTTP_TIMEOUT, CLIENT_UNSURE, CAUSE_UNANSWERED },
                { HTTP_CUT, CLIENT_UNSURE, CAUSE_UNANSWERED },
                { HTTP_TOO_LARGE, CLIENT_TOO_LARGE, CAUSE_NONSENSE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                HttpReply http = { .outcome = cases[i].http, .detail = "why" };
                char detail[CLIENT_DETAIL_MAX];
                ClientReply reply;

                client_sort(&http, FIXTURE_SUBSCRIPTION, NULL, &reply, detail);
                assert_int_equal(reply.outcome, cases[i].outcome);
                assert_int_equal(reply.cause, cases[i].cause);
                assert_int_equal(reply.http_status, 0);
                assert_string_not_equal(detail, "");
                assert_null(strstr(detail, "MemoryMax="));
        }
}

/* Nothing is wrong with the network where this machine has no descriptor left. */
static void test_want_is_told(void **state) {
        HttpReply http = { .outcome = HTTP_UNREACHABLE, .want = true, .detail = "too many open files" };
        char detail[CLIENT_DETAIL_MAX];
        ClientReply reply;

        client_sort(&http, FIXTURE_SUBSCRIPTION, NULL, &reply, detail);
        assert_int_equal(reply.outcome, CLIENT_RETRY);
        assert_int_equal(reply.cause, CAUSE_MEMORY);
        assert_non_null(strstr(detail, "too many open files; look at this machine's memory"));
}

static void test_detail_is_cut_and_whole(void **state) {
        HttpReply http = { .outcome = HTTP_ANSWERED, .status = 400, .detail = "" };
        char detail[CLIENT_DETAIL_MAX], resource[2 * CLIENT_DETAIL_MAX];
        ClientReply reply;

        assert_int_equal(bytes_append_text(&http.body, ERROR(400, "INVALID_ARGUMENT")), 0);
        memset(resource, 'x', sizeof resource - 1);
        resource[sizeof resource - 1] = '\0';
        client_sort(&http, resource, ":pull", &reply, detail);
        bytes_done(&http.body);
        assert_int_equal(strlen(detail), sizeof detail - 1);
}

static void test_retry_after_is_the_longer(void **state) {
        HttpReply http = { .outcome = HTTP_ANSWERED, .status = 429, .detail = "", .retry_after = 3 * USEC_PER_SEC };
        char detail[CLIENT_DETAIL_MAX];
        ClientReply reply;

        assert_int_equal(bytes_append_text(&http.body, "{\"error\":{\"details\":[{\"@type\":\"type.googleapis.com/"
                                                       "google.rpc.RetryInfo\",\"retryDelay\":\"8s\"}]}}"),
                0);
        client_sort(&http, FIXTURE_SUBSCRIPTION, NULL, &reply, detail);
        assert_int_equal(reply.retry_after, 8 * USEC_PER_SEC);
        http.retry_after = 11 * USEC_PER_SEC;
        client_sort(&http, FIXTURE_SUBSCRIPTION, NULL, &reply, detail);
        assert_int_equal(reply.retry_after, 11 * USEC_PER_SEC);
        http.retry_after = 100 * USEC_PER_HOUR; /* it is asked again anyway */
        client_sort(&http, FIXTURE_SUBSCRIPTION, NULL, &reply, detail);
        assert_int_equal(reply.retry_after, USEC_PER_HOUR);
        bytes_done(&http.body);
}

static void test_cut(void **state) {
        fixture_script(&fixture, CALL_ACK, FIXTURE_CUT, "", "");
        finish(":acknowledge", "{}");
        assert_int_equal(call.reply.outcome, CLIENT_UNSURE);
}

static void test_timeout(void **state) {
        ClientSpec spec = make_spec(":pull", "{\"maxMessages\":1}");

        spec.timeout = 100 * USEC_PER_MSEC;
        assert_int_equal(client_call(fixture.client, &spec, on_done, &call, &call.call), 0);
        fixture_until(&fixture, call.done);
        assert_int_equal(call.reply.outcome, CLIENT_UNSURE);
}

static void test_reply_over_cap(void **state) {
        ClientSpec spec = make_spec(NULL, NULL);

        spec.max_reply = 10;
        assert_int_equal(client_call(fixture.client, &spec, on_done, &call, &call.call), 0);
        fixture_until(&fixture, call.done);
        assert_int_equal(call.reply.outcome, CLIENT_TOO_LARGE);
}

static void test_nobody_there(void **state) {
        char endpoint[] = "http://127.0.0.1:1";

        fixture.config.pubsub.endpoint = endpoint;
        finish(NULL, NULL);
        assert_int_equal(call.reply.outcome, CLIENT_RETRY);
        fixture.config.pubsub.endpoint = fixture.endpoint;
}

static void test_bad_endpoint_fails(void **state) {
        ClientSpec spec = make_spec(NULL, NULL);
        char endpoint[] = "http://[";

        fixture.config.pubsub.endpoint = endpoint;
        fixture.token->at_hand = true;
        assert_int_equal(client_call(fixture.client, &spec, on_done, &call, &call.call), -EINVAL);
        fixture.config.pubsub.endpoint = fixture.endpoint;
}

/* ---- life ---- */

static void test_cancel(void **state) {
        start(":pull", "{\"maxMessages\":1}"); /* while the token is awaited */
        call.call = client_cancel(call.call);
        fixture_settle(&fixture, 30 * USEC_PER_MSEC);
        assert_int_equal(fixture.token->asked, 0);
        start(":pull", "{\"maxMessages\":1}"); /* while the answer is awaited */
        fixture_until(&fixture, fixture_hanging(&fixture) == 1);
        call.call = client_cancel(call.call);
        fixture_settle(&fixture, 30 * USEC_PER_MSEC);
        assert_false(call.done);
}

static void test_wait(void **state) {
        ClientSpec spec = make_spec(NULL, NULL);
        char detail[CLIENT_DETAIL_MAX];
        ClientReply reply;

        assert_int_equal(client_call_wait(fixture.event, fixture.client, &spec, &reply, detail), 0);
        assert_int_equal(reply.outcome, CLIENT_OK);
        assert_string_equal(reply.body.data, FIXTURE_SETTINGS);
        bytes_done(&reply.body);

        spec = make_spec(NULL, NULL);
        fixture_stand(&fixture, CALL_GET, 404, ERROR(404, "NOT_FOUND"));
        assert_int_equal(client_call_wait(fixture.event, fixture.client, &spec, &reply, detail), 0);
        assert_int_equal(reply.outcome, CLIENT_NOT_FOUND);
        assert_ptr_equal(reply.detail, detail);
        assert_non_null(strstr(detail, "it does not exist"));
        bytes_done(&reply.body);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_request, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_one_retry_with_a_fresh_token, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_token_at_hand, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_remote_repeats_the_token, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_401_twice_is_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_withdrawn, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_401_without_token, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_token_to_be_had, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_owner_ends_all, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many_without_a_token, set_up, tear_down),
                cmocka_unit_test(test_outcomes),
                cmocka_unit_test(test_a_page_is_no_answer),
                cmocka_unit_test(test_outcomes_without_an_answer),
                cmocka_unit_test(test_want_is_told),
                cmocka_unit_test(test_detail_is_cut_and_whole),
                cmocka_unit_test(test_retry_after_is_the_longer),
                cmocka_unit_test_setup_teardown(test_cut, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_timeout, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_reply_over_cap, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_nobody_there, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_bad_endpoint_fails, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_wait, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
