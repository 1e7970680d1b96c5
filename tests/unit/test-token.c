/* SPDX-License-Identifier: Apache-2.0 */
/* The token endpoint is a server of the test's, and so is the boot-time clock: hours pass at once. */
#include "http-fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "events.h"
#include "lib/json.h"
#include "lib/log.h"
#include "pubsub/token.h"
#include "real-calls.h"

static usec_t passed;  /* beyond what really has */
static time_t stepped; /* how far the wall clock was set ahead */

int clock_gettime(clockid_t clock, struct timespec *now) {
        int r = real_clock_gettime(clock, now);

        if (clock == CLOCK_BOOTTIME)
                now->tv_sec += (time_t) (passed / USEC_PER_SEC);
        if (clock == CLOCK_REALTIME)
                now->tv_sec += stepped;
        return (int) r;
}

typedef struct TokenFixture {
        Fixture f;
        Credentials credentials;
        LoopWatch *ready;
        Token *token;
        struct Answer *waiting[24];
        size_t n_waiting;
        unsigned number; /* of the last token */
        char uri[100];

        pthread_mutex_t mutex;          /* over what the server's threads use: */
        char headers[200], answer[500]; /* %d in the answer becomes the number of the exchange */
        int status, n_exchanges;
        bool stall;
        char method[16], flavor[40];
        Bytes body; /* of the last request */
} TokenFixture;

typedef struct Answer {
        int n;
        char value[100];
        int error;
        usec_t retry_after;
        void (*then)(struct Answer *answer, const char *value);
        TokenFixture *t;
} Answer;

static bool serve(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        TokenFixture *t = userdata;
        char answer[600], headers[200];
        bool stall;
        int status;

        (void) pthread_mutex_lock(&t->mutex);
        t->n_exchanges++;
        (void) snprintf(t->method, sizeof(t->method), "%s", call->method);
        if (!http_server_header(call, "Metadata-Flavor", t->flavor, sizeof(t->flavor)))
                t->flavor[0] = '\0';
        bytes_done(&t->body);
        (void) bytes_append(&t->body, call->body.data, call->body.size);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void) snprintf(answer, sizeof(answer), t->answer, t->n_exchanges);
#pragma GCC diagnostic pop
        (void) snprintf(headers, sizeof(headers), "%s", t->headers);
        stall = t->stall;
        status = t->status;
        (void) pthread_mutex_unlock(&t->mutex);

        if (stall)
                http_server_stall(c);
        else
                http_server_reply(c, status, headers, answer);
        return !stall;
}

static void set_answer(TokenFixture *t, int status, const char *headers, const char *answer) {
        (void) pthread_mutex_lock(&t->mutex);
        t->status = status;
        (void) snprintf(t->headers, sizeof(t->headers), "%s", headers);
        (void) snprintf(t->answer, sizeof(t->answer), "%s", answer);
        (void) pthread_mutex_unlock(&t->mutex);
}

static int exchanges(TokenFixture *t) {
        int n;

        (void) pthread_mutex_lock(&t->mutex);
        n = t->n_exchanges;
        (void) pthread_mutex_unlock(&t->mutex);
        return n;
}

/* As a client does: those who wait are served in order. */
static void on_ready(void *userdata) {
        TokenFixture *t = userdata;

        for (size_t n = t->n_waiting; n > 0; n--) {
                Answer *a = t->waiting[0];
                const char *value = NULL;
                int r = token_take(t->token, &value, &t->number);
                TokenStatus status;

                if (r == TOKEN_WAIT)
                        return;
                memmove(t->waiting, t->waiting + 1, --t->n_waiting * sizeof(t->waiting[0]));
                token_status(t->token, &status);
                a->n++;
                a->error = r;
                a->retry_after = status.retry_at - usec_min(status.retry_at, clock_now());
                (void) snprintf(a->value, sizeof(a->value), "%s", value ? value : "(none)");
                if (a->then)
                        a->then(a, a->value);
        }
}

static int set_up(void **state) {
        TokenFixture *t = calloc(1, sizeof(*t));

        assert_non_null(t);
        passed = stepped = 0;
        log_set_level(LOG_EMERG);
        assert_int_equal(pthread_mutex_init(&t->mutex, NULL), 0);
        set_answer(t, 200, "", "{\"access_token\":\"token-%d\",\"expires_in\":3600,\"token_type\":\"Bearer\"}");
        fixture_set_up(&t->f, serve, t);
        (void) snprintf(t->uri, sizeof(t->uri), "http://127.0.0.1:%u/token", http_server_port(t->f.server));
        t->credentials = (Credentials){
                .kind = CREDENTIALS_AUTHORIZED_USER,
                .token_uri = t->uri,
                .origin = (char *) "/etc/user.json",
                .client_id = (char *) "id",
                .client_secret = (char *) "hush",
                .refresh_token = (char *) "1//hush-too",
        };
        assert_int_equal(secrets_new(&t->credentials.secrets), 0);
        assert_int_equal(secrets_note(t->credentials.secrets, "hush"), 0);
        assert_int_equal(secrets_note(t->credentials.secrets, "1//hush-too"), 0);
        assert_int_equal(loop_add_defer(t->f.event, on_ready, t, &t->ready), 0);
        assert_int_equal(token_new(t->f.http, &t->credentials, NULL, t->ready, &t->token), 0);
        *state = t;
        return 0;
}

static int tear_down(void **state) {
        TokenFixture *t = *state;

        t->token = token_free(t->token);
        t->ready = loop_drop(t->ready);
        secrets_free(t->credentials.secrets);
        fixture_tear_down(&t->f);
        bytes_done(&t->body);
        (void) pthread_mutex_destroy(&t->mutex);
        free(t);
        return 0;
}

static void start(TokenFixture *t, Answer *a) {
        a->t = t;
        assert_true(t->n_waiting < ELEMENTSOF(t->waiting));
        t->waiting[t->n_waiting++] = a;
        loop_wake(t->ready);
}

static void finish(TokenFixture *t, Answer *a, int n) {
        while (a->n < n)
                assert_true(loop_turn(t->f.event, UINT64_MAX) >= 0);
}

static void get(TokenFixture *t, Answer *a) {
        *a = (Answer){};
        start(t, a);
        finish(t, a, 1);
}

static void check_token(TokenFixture *t, const char *expected) {
        Answer a;

        get(t, &a);
        assert_int_equal(a.error, 0);
        assert_string_equal(a.value, expected);
}

/* Until the exchange that runs beside has ended. */
static void wait_for_expiry_after(TokenFixture *t, usec_t before) {
        TokenStatus status;

        do {
                assert_true(loop_turn(t->f.event, UINT64_MAX) >= 0);
                token_status(t->token, &status);
        } while (status.expires <= before && !status.failure.on);
}

static usec_t expiry(TokenFixture *t) {
        TokenStatus status;

        token_status(t->token, &status);
        return status.expires;
}

static void check_detail(TokenFixture *t, const char *words) {
        TokenStatus status;

        token_status(t->token, &status);
        if (!strstr(status.failure.detail, words))
                fail_msg("\"%s\" does not say \"%s\"", status.failure.detail, words);
        assert_null(strstr(status.failure.detail, "hush"));
}

/* ---- the cache ---- */

static void test_none_needed(void **state) {
        TokenFixture *t = *state;
        Answer a = {};

        t->token = token_free(t->token);
        assert_int_equal(token_new(t->f.http, NULL, NULL, t->ready, &t->token), 0);
        get(t, &a);
        assert_int_equal(a.error, 0);
        assert_string_equal(a.value, "(none)");
        assert_int_equal(exchanges(t), 0);
}

static void test_cached(void **state) {
        TokenFixture *t = *state;
        TokenStatus status;

        token_status(t->token, &status);
        assert_false(status.failure.on);
        assert_int_equal(status.expires, 0);
        assert_string_equal(status.failure.detail, "");

        for (int i = 0; i < 5; i++)
                check_token(t, "token-1");
        assert_int_equal(exchanges(t), 1);
        assert_string_equal(t->method, "POST");
        assert_true(expiry(t) > clock_now() + 3590 * USEC_PER_SEC && expiry(t) <= clock_now() + 3600 * USEC_PER_SEC);
}

static void test_one_exchange_for_all(void **state) {
        TokenFixture *t = *state;
        Answer answers[20] = {};

        for (size_t i = 0; i < ELEMENTSOF(answers); i++)
                start(t, &answers[i]);
        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                finish(t, &answers[i], 1);
                assert_string_equal(answers[i].value, "token-1");
        }
        assert_int_equal(exchanges(t), 1);
}

static void test_early_refresh(void **state) {
        TokenFixture *t = *state;
        usec_t before;

        check_token(t, "token-1");
        before = expiry(t);
        passed += 3290 * USEC_PER_SEC;
        check_token(t, "token-1");
        assert_int_equal(exchanges(t), 1);

        passed += 15 * USEC_PER_SEC;
        check_token(t, "token-1"); /* still serves, and sends for the next */
        wait_for_expiry_after(t, before);
        check_token(t, "token-2");
        assert_int_equal(exchanges(t), 2);
}

static void test_expired(void **state) {
        TokenFixture *t = *state;

        check_token(t, "token-1");
        passed += 3600 * USEC_PER_SEC;
        check_token(t, "token-2");
}

/* The metadata server hands out the old token until four minutes before its end: it is not asked at every call in that
 * minute. */
static void test_old_token_again(void **state) {
        TokenFixture *t = *state;
        usec_t before;

        set_answer(t, 200, "", "{\"access_token\":\"same\",\"expires_in\":3600}");
        check_token(t, "same");
        before = expiry(t) - USEC_PER_SEC;
        passed += 3301 * USEC_PER_SEC;
        set_answer(t, 200, "", "{\"access_token\":\"same\",\"expires_in\":299}");
        check_token(t, "same");
        while (exchanges(t) < 2 || expiry(t) < before)
                assert_true(loop_turn(t->f.event, 10000) >= 0);
        while (loop_turn(t->f.event, 100000) > 0)
                ;
        for (int i = 0; i < 10; i++)
                check_token(t, "same");
        assert_int_equal(exchanges(t), 2);
        passed += 151 * USEC_PER_SEC;
        check_token(t, "same");
        while (exchanges(t) < 3)
                assert_true(loop_turn(t->f.event, 10000) >= 0);
}

static void test_early_refresh_fails(void **state) {
        TokenFixture *t = *state;
        TokenStatus status;
        usec_t before;
        Answer a;

        check_token(t, "token-1");
        before = expiry(t);
        set_answer(t, 503, "Retry-After: 60\r\n", "");
        passed += 3400 * USEC_PER_SEC;
        check_token(t, "token-1");
        wait_for_expiry_after(t, before);
        token_status(t->token, &status);
        assert_true(status.failure.on && status.failure.since > 0);
        assert_true(status.retry_at >= clock_now() + 59 * USEC_PER_SEC);
        check_token(t, "token-1");
        assert_int_equal(exchanges(t), 2);

        passed += 199 * USEC_PER_SEC;
        check_token(t, "token-1");
        passed += 2 * USEC_PER_SEC;
        get(t, &a);
        assert_int_equal(a.error, TOKEN_LATER);
}

static void test_reject(void **state) {
        TokenFixture *t = *state;

        check_token(t, "token-1");
        token_reject(t->token, 1);
        assert_int_equal(expiry(t), 0);
        check_token(t, "token-2");
        token_reject(t->token, 1); /* a late 401 to the old one */
        check_token(t, "token-2");
        assert_int_equal(exchanges(t), 2);
}

static void reject_and_ask_again(Answer *a, const char *value) {
        a->then = NULL;
        token_reject(a->t->token, a->t->number);
        start(a->t, a);
}

static void test_callback_does_much(void **state) {
        TokenFixture *t = *state;
        Answer other = {}, a = { .then = reject_and_ask_again };

        start(t, &a);
        start(t, &other);
        finish(t, &a, 2);
        assert_string_equal(a.value, "token-2");
        assert_int_equal(other.n, 1);
}

static void ask_again(Answer *a, const char *value) {
        if (a->n < 1000)
                start(a->t, a);
}

/* One who asks for ever, in every callback, does not hold up the loop. */
static void test_callback_never_enough(void **state) {
        TokenFixture *t = *state;
        Answer a = { .then = ask_again };

        check_token(t, "token-1");
        start(t, &a);
        assert_true(loop_turn(t->f.event, UINT64_MAX) >= 0);
        assert_int_equal(a.n, 1);
        finish(t, &a, 1000);
}

static void test_free_during_exchange(void **state) {
        TokenFixture *t = *state;
        Answer dropped = {};

        t->stall = true;
        start(t, &dropped);
        while (exchanges(t) == 0)
                assert_true(loop_turn(t->f.event, 10000) >= 0);
        t->token = token_free(t->token);
}

/* ---- answers ---- */

static void check_lifetime(TokenFixture *t, const char *expires_in, usec_t lifetime) {
        char answer[200];

        (void) snprintf(answer, sizeof(answer), "{\"access_token\":\"token\"%s}", expires_in);
        set_answer(t, 200, "", answer);
        check_token(t, "token");
        assert_true(expiry(t) <= clock_now() + lifetime && expiry(t) + 5 * USEC_PER_SEC > clock_now() + lifetime);
        token_reject(t->token, t->number);
}

static void test_lifetimes(void **state) {
        TokenFixture *t = *state;

        check_lifetime(t, ",\"expires_in\":3599", 3599 * USEC_PER_SEC);
        check_lifetime(t, ",\"expires_in\":\"1200\"", 1200 * USEC_PER_SEC);
        check_lifetime(t, "", 600 * USEC_PER_SEC);
        check_lifetime(t, ",\"expires_in\":null", 600 * USEC_PER_SEC);
        check_lifetime(t, ",\"expires_in\":\"soon\"", 600 * USEC_PER_SEC);
        check_lifetime(t, ",\"expires_in\":{}", 600 * USEC_PER_SEC);
        check_lifetime(t, ",\"expires_in\":9000000000000000000", 24 * USEC_PER_HOUR);
        check_lifetime(t, ",\"expires_in\":1e300", 600 * USEC_PER_SEC);
}

#define GRANT(words) "{\"error\":\"invalid_grant\",\"error_description\":\"" words "\"}"

static void no_token(TokenFixture *t, int status, const char *headers, const char *answer, int r, const char *words) {
        int before;
        Answer a;

        set_answer(t, status, headers, answer);
        passed += USEC_PER_HOUR;
        before = exchanges(t);
        get(t, &a);
        check_detail(t, words);
        assert_int_equal(a.error, r);
        assert_string_equal(a.value, "(none)");
        assert_true(a.retry_after > 0 && a.retry_after <= USEC_PER_HOUR);

        get(t, &a); /* at once: the endpoint is left alone */
        assert_int_equal(a.error, r);
        assert_int_equal(exchanges(t), before + 1);
}

static void test_no_token_in_answer(void **state) {
        TokenFixture *t = *state;

        no_token(t, 200, "", "<html>Welcome to our hotel</html>", TOKEN_LATER,
                "the answer of the token endpoint holds no access token");
        no_token(t, 200, "", "", TOKEN_LATER, "holds no access token");
        no_token(t, 200, "", "{\"access_token\":7}", TOKEN_LATER, "holds no access token");
        no_token(t, 200, "", "{\"access_token\":\"\"}", TOKEN_LATER, "holds no access token");
        no_token(t, 200, "", "{\"access_token\":\"a\\r\\nX: hush\"}", TOKEN_LATER, "holds no access token");
        no_token(t, 200, "", "{\"access_token\":\"t\",\"expires_in\":0}", TOKEN_LATER, "has already expired");
        no_token(t, 200, "", "{\"access_token\":\"t\",\"expires_in\":-5}", TOKEN_LATER, "has already expired");
        no_token(t, 302, "Location: http://login.example/\r\n", "", TOKEN_LATER, "answered HTTP 302");
}

static void test_transient(void **state) {
        TokenFixture *t = *state;
        Answer a;

        no_token(t, 500, "", "", TOKEN_LATER, "the token endpoint answered HTTP 500");
        no_token(t, 503, "", "oops", TOKEN_LATER, "HTTP 503");
        no_token(t, 429, "", "{}", TOKEN_LATER, "HTTP 429");
        no_token(t, 408, "", "{}", TOKEN_LATER, "HTTP 408");
        no_token(t, 400, "", "{\"error\":\"internal_failure\"}", TOKEN_LATER, "HTTP 400 internal_failure");
        no_token(t, 400, "", "{\"error\":\"x\",\"error_description\":\"server_error\"}", TOKEN_LATER, "HTTP 400");

        set_answer(t, 503, "Retry-After: 1800\r\n", "");
        passed += USEC_PER_HOUR;
        get(t, &a);
        assert_true(a.retry_after > 1790 * USEC_PER_SEC);
        passed += 1795 * USEC_PER_SEC;
        get(t, &a);
        assert_int_equal(a.error, TOKEN_LATER);
        assert_true(a.retry_after < 10 * USEC_PER_SEC);
}

static void test_unreachable(void **state) {
        TokenFixture *t = *state;
        TokenStatus status;
        Answer a;

        t->f.server = http_server_free(t->f.server);
        get(t, &a);
        assert_int_equal(a.error, TOKEN_LATER);
        assert_true(a.retry_after > 0 && a.retry_after <= USEC_PER_SEC);
        token_status(t->token, &status);
        assert_non_null(strstr(status.failure.detail, "the token endpoint (http://127.0.0.1:"));
        assert_non_null(
                strstr(status.failure.detail, "/token) cannot be reached: connection refused; check the network"));
}

static void test_refused(void **state) {
        TokenFixture *t = *state;

        no_token(t, 400, "", GRANT("Token has been expired or revoked."), TOKEN_REFUSED,
                "the token endpoint refuses /etc/user.json: invalid_grant (Token has been expired or revoked); the login was revoked");
        no_token(t, 401, "", "{\"error\":\"invalid_client\"}", TOKEN_REFUSED, "invalid_client; the login was");
        no_token(t, 403, "", "<html>", TOKEN_REFUSED, "HTTP 403");
        no_token(t, 404, "", "", TOKEN_REFUSED, "HTTP 404");
        no_token(t, 403, "", "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\",\"message\":\"Nope.\"}}",
                TOKEN_REFUSED, "PERMISSION_DENIED (Nope)");
}

/* P10: a remote that repeats what it got does not make us log it. */
static void test_remote_repeats_secrets(void **state) {
        TokenFixture *t = *state;

        no_token(t, 400, "", GRANT("bad refresh_token 1//hush-too"), TOKEN_REFUSED,
                "invalid_grant (bad refresh_token [secret]); ");
        no_token(t, 400, "", "{\"error\":\"hush\",\"error_description\":\"x\"}", TOKEN_REFUSED, ": **** (x); ");
        set_answer(t, 200, "", "{\"access_token\":\"token-of-before\",\"expires_in\":1}");
        passed += USEC_PER_HOUR;
        check_token(t, "token-of-before");
        passed += USEC_PER_HOUR;
        no_token(t, 400, "", "{\"error\":\"no\",\"error_description\":\"not token-of-before again\"}", TOKEN_REFUSED,
                "no (not [secret] again); ");
}

static void test_recovers(void **state) {
        TokenFixture *t = *state;
        TokenStatus status;

        no_token(t, 400, "", "{\"error\":\"invalid_grant\"}", TOKEN_REFUSED, "invalid_grant");
        set_answer(t, 200, "", "{\"access_token\":\"fine\",\"expires_in\":3600}");
        passed += USEC_PER_HOUR;
        check_token(t, "fine");
        token_status(t->token, &status);
        assert_false(status.failure.on);
        assert_int_equal(status.failure.since, 0);
        assert_int_equal(status.retry_at, 0);
        assert_string_equal(status.failure.detail, "");
}

/* ---- kinds of credentials ---- */

static void use_service_account(TokenFixture *t) {
        EVP_PKEY *key = EVP_RSA_gen(2048);
        BIO *bio = BIO_new(BIO_s_mem());
        char *pem;

        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
        assert_int_equal(BIO_write(bio, "", 1), 1);
        (void) BIO_get_mem_data(bio, &pem);
        t->credentials.kind = CREDENTIALS_SERVICE_ACCOUNT;
        t->credentials.client_email = (char *) "a@p.iam.gserviceaccount.com";
        t->credentials.private_key_id = (char *) "kid";
        assert_int_equal(pem_key_parse(pem, &t->credentials.key), 0);
        BIO_free(bio);
        EVP_PKEY_free(key);
}

/* The assertion's iat, and a copy of the assertion. */
static int64_t sent_iat(TokenFixture *t, char **ret_assertion) {
        _cleanup_(json_freep) Json *json = NULL;
        char *assertion = strstr(t->body.data, "assertion=") + strlen("assertion="), *claims;
        size_t size;
        int64_t iat;

        *ret_assertion = strdup(assertion);
        claims = strchr(assertion, '.') + 1;
        assert_int_equal(bytes_decode_base64(claims, strcspn(claims, "."), claims, &size), 0);
        assert_int_equal(json_parse(claims, size, &json), 0);
        assert_true(json_get_int(json, "iat", &iat));
        return iat;
}

static void test_service_account(void **state) {
        _cleanup_free_ char *first = NULL, *second = NULL;
        TokenFixture *t = *state;
        int64_t before, iat;

        use_service_account(t);
        before = (int64_t) (clock_wall() / USEC_PER_SEC);
        check_token(t, "token-1");
        iat = sent_iat(t, &first);
        assert_in_range(iat, before - 60, clock_wall() / USEC_PER_SEC);

        no_token(t, 400, "", GRANT("Invalid JWT Signature."), TOKEN_REFUSED,
                "refuses /etc/user.json: invalid_grant (Invalid JWT Signature); the key was deleted or replaced: install one that is "
                "valid, and restart");
        no_token(t, 400, "", GRANT("Invalid grant: account not found"), TOKEN_REFUSED,
                "the service account was deleted or disabled: restore it, or install the key of another and restart");
        no_token(t, 400, "", GRANT("Robot is disabled."), TOKEN_REFUSED, "deleted or disabled");
        (void) sent_iat(t, &second);
        t->credentials.key = pem_key_free(t->credentials.key);
}

/* A machine that has lost its clock signs with the endpoint's time, as soon as it has heard it. */
static void test_clock_is_wrong(void **state) {
        _cleanup_free_ char *first = NULL, *second = NULL;
        TokenFixture *t = *state;
        char date[100];
        time_t ahead = (time_t) (clock_wall() / USEC_PER_SEC) + 3 * 86400 + 1800;
        struct tm tm;
        int64_t iat;

        use_service_account(t);
        assert_non_null(gmtime_r(&ahead, &tm));
        assert_true(strftime(date, sizeof(date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm) > 0);
        no_token(t, 400, date,
                "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                "reasonable timeframe.\"}",
                TOKEN_REFUSED, "this machine's clock is 3 d");
        check_detail(t, " slow, so the next try uses the endpoint's time");
        assert_true(sent_iat(t, &first) < (int64_t) ahead - 86400);

        set_answer(t, 200, date, "{\"access_token\":\"fine\",\"expires_in\":3600}");
        passed += USEC_PER_HOUR;
        check_token(t, "fine");
        iat = sent_iat(t, &second);
        assert_true(iat > (int64_t) ahead + 3540 && iat <= (int64_t) ahead + 3600);

        stepped = 7 * 86400; /* steps afterwards, to wherever, change nothing */
        passed += USEC_PER_HOUR;
        check_token(t, "fine");
        free(second);
        iat = sent_iat(t, &second);
        assert_true(iat > (int64_t) ahead + 3540 && iat <= (int64_t) ahead + 3660); /* its Date was the same again */
        t->credentials.key = pem_key_free(t->credentials.key);
}

static void test_metadata_server(void **state) {
        TokenFixture *t = *state;

        t->credentials.kind = CREDENTIALS_METADATA;
        t->credentials.client_secret = t->credentials.refresh_token = NULL;
        no_token(t, 404, "", "", TOKEN_LATER,
                "the metadata server answered HTTP 404; see whether this machine has a service account");
        set_answer(t, 200, "", "{\"access_token\":\"ya29.meta\",\"expires_in\":1800}");
        passed += USEC_PER_HOUR;
        check_token(t, "ya29.meta");
        assert_string_equal(t->method, "GET");
        assert_string_equal(t->flavor, "Google");
        assert_int_equal(t->body.size, 0);
        no_token(t, 403, "", "<html>", TOKEN_REFUSED, "give this machine a service account with access to Pub/Sub");
}

/* ---- the log ---- */

static unsigned count(const char *text, const char *part) {
        unsigned n = 0;

        for (; (text = strstr(text, part)); text += strlen(part))
                n++;
        return n;
}

/* One line when it begins, one when it ends, whatever lies between. A single 503 is no news, a refusal is at once. */
static void test_tells_once(void **state) {
        TokenFixture *t = *state;
        int stderr_fd = dup(STDERR_FILENO), fd = memfd_create("log", MFD_CLOEXEC);
        char text[8192] = "";

        assert_true(stderr_fd >= 0 && fd >= 0);
        assert_true(dup2(fd, STDERR_FILENO) >= 0);
        assert_int_equal(setenv("SENSORQD_LOG_FIELDS", "1", 1), 0);
        log_open("test");
        log_set_level(LOG_INFO);
        check_token(t, "token-1");
        for (int i = 0; i < 5; i++)
                no_token(t, i % 2 ? 400 : 503, "", "{}", i % 2 ? TOKEN_REFUSED : TOKEN_LATER, "HTTP");
        set_answer(t, 200, "", "{\"access_token\":\"fine\",\"expires_in\":3600}");
        passed += USEC_PER_HOUR;
        check_token(t, "fine");
        log_set_level(LOG_EMERG);
        assert_true(dup2(stderr_fd, STDERR_FILENO) >= 0);

        assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
        assert_int_equal(count(text, EVENT_TOKEN_REFUSED), 1);
        assert_int_equal(count(text, EVENT_TOKEN_RECOVERED), 1);
        assert_non_null(strstr(text, "HTTP 400"));
        assert_int_equal(count(text, "\n"), 2);
        assert_null(strstr(text, "hush"));
        (void) close(fd);
        (void) close(stderr_fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_none_needed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cached, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_one_exchange_for_all, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_early_refresh, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_expired, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_old_token_again, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_early_refresh_fails, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_reject, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_callback_does_much, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_callback_never_enough, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_free_during_exchange, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lifetimes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_token_in_answer, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_transient, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_unreachable, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_remote_repeats_secrets, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_recovers, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_service_account, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_clock_is_wrong, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_metadata_server, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_tells_once, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
