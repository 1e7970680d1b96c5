/* SPDX-License-Identifier: Apache-2.0 */
#include "http-fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "auth.h"
#include "lib/service.h"

#define WALL (UINT64_C(1700000000) * USEC_PER_SEC)

typedef struct AuthFixture {
        Fixture f;
        char directory[64], url[300];
        Secrets *secrets;
        /* the token endpoint */
        char bodies[8][512];
        unsigned n;
        const char *reply;
        int status;
        /* the call */
        bool guest;
        /* the answer */
        bool done;
        AuthOutcome outcome;
        int error;
        Cause cause;
        char detail[600];
} AuthFixture;

static bool serve(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        AuthFixture *a = userdata;

        (void) snprintf(a->bodies[a->n++ % 8], sizeof(a->bodies[0]), "%s", call->body.data ? call->body.data : "");
        http_server_reply(c, a->status, "", a->reply);
        return true;
}

static int set_up(void **state) {
        AuthFixture *a = calloc(1, sizeof(*a));

        assert_non_null(a);
        fixture_set_up(&a->f, serve, a);
        (void) snprintf(a->directory, sizeof(a->directory), "/tmp/test-auth.XXXXXX");
        assert_non_null(mkdtemp(a->directory));
        (void) snprintf(a->url, sizeof(a->url), "http://127.0.0.1:%u/token", http_server_port(a->f.server));
        assert_int_equal(secrets_new(&a->secrets), 0);
        a->status = 200;
        *state = a;
        return 0;
}

static int tear_down(void **state) {
        AuthFixture *a = *state;
        char path[128];

        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json", a->directory);
        (void) unlink(path);
        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json.new", a->directory);
        (void) unlink(path);
        assert_int_equal(rmdir(a->directory), 0);
        secrets_free(a->secrets);
        fixture_tear_down(&a->f);
        free(a);
        return 0;
}

/* So much is our wall clock ahead (the linker's --wrap). */
static usec_t ahead;
usec_t __real_clock_wall(void);
usec_t __wrap_clock_wall(void);

usec_t __wrap_clock_wall(void) {
        return __real_clock_wall() + ahead;
}

#define TEXT(text) ((char[]){ text })

static AuthProof prove(AuthFixture *a, const AuthConfig *keys, const char *url) {
        AuthProof proof = {};
        Auth *auth;

        assert_int_equal(auth_new(&(AuthSpec){ .keys = *keys, .http = a->f.http, .secrets = a->secrets }, &auth), 0);
        assert_int_equal(auth_prove(auth, url, WALL, &proof), AUTH_READY);
        assert_false(auth_reject(auth, 401)); /* nothing that could be fetched anew */
        auth_free(auth);
        return proof;
}

static void test_simple_kinds(void **state) {
        char login[] = "401 QWxhZGRpbjpvcGVuIHNlc2FtZQ== for Aladdin";
        AuthFixture *a = *state;
        AuthProof proof;

        proof = prove(a, &(AuthConfig){ .type = AUTH_NONE }, "https://a/");
        assert_null(proof.headers[0]);
        assert_null(proof.url);
        auth_proof_done(&proof);
        proof = prove(a, &(AuthConfig){ .type = AUTH_BEARER, .token.text = TEXT("abc") }, "https://a/");
        assert_string_equal(proof.headers[0], "Authorization: Bearer abc");
        auth_proof_done(&proof);
        proof = prove(a,
                &(AuthConfig){ .type = AUTH_BASIC, .username = TEXT("Aladdin"), .password.text = TEXT("open sesame") },
                "https://a/");
        assert_string_equal(
                proof.headers[0], "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="); /* RFC 7617 section 2 */
        auth_proof_done(&proof);
        secrets_conceal(a->secrets, login);
        assert_string_equal(login, "401 [secret] for Aladdin");
        proof = prove(a, &(AuthConfig){ .type = AUTH_HEADER, .header = TEXT("X-Api-Key"), .value.text = TEXT("k") },
                "https://a/");
        assert_string_equal(proof.headers[0], "X-Api-Key: k");
        auth_proof_done(&proof);
}

static void test_query(void **state) {
        static const struct {
                const char *url, *expected;
        } cases[] = {
                { "https://a/w", "https://a/w?appid=s%26%2B%20x" },
                { "https://a/w?q=1", "https://a/w?q=1&appid=s%26%2B%20x" },
                { "https://a/w#part", "https://a/w?appid=s%26%2B%20x" },
                { "https://a/w?q=1#a?b", "https://a/w?q=1&appid=s%26%2B%20x" },
        };
        AuthFixture *a = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                AuthProof proof = prove(a,
                        &(AuthConfig){ .type = AUTH_QUERY, .parameter = TEXT("appid"), .value.text = TEXT("s&+ x") },
                        cases[i].url);

                assert_string_equal(proof.url, cases[i].expected);
                assert_null(proof.headers[0]);
                auth_proof_done(&proof);
        }
}

/* The value was computed with another implementation of HMAC (Python's). */
static void test_switchbot(void **state) {
        const AuthConfig keys = { .type = AUTH_SWITCHBOT, .token.text = TEXT("token"), .secret.text = TEXT("secret") };
        _cleanup_bytes_ Bytes sign = {};
        AuthFixture *a = *state;
        AuthProof proof, other;

        assert_int_equal(auth_switchbot_sign("token", "secret", UINT64_C(1700000000123), "nonce", &sign), 0);
        assert_string_equal(sign.data, "36uwP7yeXXl7qrXWU/o+niftSbDXnhJaVZ9ngov462k=");
        proof = prove(a, &keys, "https://a/");
        other = prove(a, &keys, "https://a/");
        assert_string_equal(proof.headers[0], "Authorization: token");
        assert_string_equal(proof.headers[2], "t: 1700000000000");
        assert_int_equal(strncmp(proof.headers[1], "sign: ", 6), 0);
        assert_string_not_equal(proof.headers[3], other.headers[3]); /* a nonce of its own */
        auth_proof_done(&other);
        auth_proof_done(&proof);
}

static bool stops(const void *userdata) {
        return true;
}

static void on_done(void *userdata, AuthReply *reply) {
        AuthFixture *a = userdata;

        assert_false(a->done);
        assert_null(reply->http);
        a->done = true;
        a->outcome = reply->outcome;
        a->error = reply->error;
        a->cause = reply->cause;
        (void) snprintf(a->detail, sizeof(a->detail), "%s", reply->detail ?: "");
}

static void begin(AuthFixture *a, Auth *auth) {
        const AuthCall call = { .http = { .method = "GET", .url = "https://a/" },
                .guest = a->guest,
                .stops = stops,
                .done = on_done,
                .userdata = a };

        a->done = false;
        auth_start(auth, &call);
}

static void wait_until_done(AuthFixture *a) {
        while (!a->done)
                assert_true(loop_turn(a->f.event, UINT64_MAX) >= 0);
}

/* Fetches a token, and sends nothing with it: AUTH_STOPPED. */
static void fetch(AuthFixture *a, Auth *auth) {
        begin(a, auth);
        wait_until_done(a);
}

static Auth *oauth(AuthFixture *a, const char *seed) {
        static char secret[] = "client secret", id[] = "me", scope[] = "read_station";
        Auth *auth;

        assert_int_equal(auth_new(&(AuthSpec){ .keys = { .type = AUTH_OAUTH2,
                                                       .client_secret.text = secret,
                                                       .refresh_token.text = (char *) seed,
                                                       .token_url = a->url,
                                                       .client_id = id,
                                                       .scope = scope },
                                          .http = a->f.http,
                                          .secrets = a->secrets,
                                          .state_dir = a->directory,
                                          .state_name = "home" },
                                 &auth),
                0);
        return auth;
}

static void assert_bearer(Auth *auth, const char *expected) {
        AuthProof proof = {};

        assert_int_equal(auth_prove(auth, "https://a/", clock_wall(), &proof), AUTH_READY);
        assert_string_equal(proof.headers[0], expected);
        auth_proof_done(&proof);
}

static void assert_waits(Auth *auth) {
        AuthProof proof = {};

        assert_int_equal(auth_prove(auth, "https://a/", clock_wall(), &proof), AUTH_WAIT);
}

/* Each refresh token is good once: the newest is on disk as soon as what came with it is used. */
static void test_refresh_token_rotates(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed-0");
        struct stat status;
        char path[128];

        assert_waits(auth);
        a->reply = "{\"access_token\":\"access-1\",\"expires_in\":10800,\"refresh_token\":\"refresh-1\"}";
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_STOPPED);
        assert_string_equal(a->bodies[0],
                "grant_type=refresh_token&refresh_token=seed-0&client_id=me&client_secret=client%20secret&scope=read_station");
        assert_bearer(auth, "Authorization: Bearer access-1");
        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json", a->directory);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        auth_free(auth);

        auth = oauth(a, "seed-0"); /* after a restart: both are there */
        assert_bearer(auth, "Authorization: Bearer access-1");
        assert_true(auth_reject(auth, 401));
        assert_waits(auth);
        a->reply = "{\"access_token\":\"access-2\",\"expires_in\":10800}"; /* none came: the old one stays */
        fetch(a, auth);
        assert_non_null(strstr(a->bodies[1], "refresh_token=refresh-1&"));
        assert_bearer(auth, "Authorization: Bearer access-2");
        auth_free(auth);

        auth = oauth(a, "seed-NEW"); /* the user signed in again: that counts */
        assert_waits(auth);
        fetch(a, auth);
        assert_non_null(strstr(a->bodies[2], "refresh_token=seed-NEW&"));
        auth_free(auth);
}

/* 403 may mean the token, as Netatmo says it, or what the account may not do: then a fresh one changes nothing. */
static void test_forbidden(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed");

        a->reply = "{\"access_token\":\"x\",\"expires_in\":10800}";
        fetch(a, auth);
        assert_false(auth_reject(auth, 404));
        assert_false(auth_reject(auth, 0)); /* no answer */
        assert_true(auth_reject(auth, 403));
        assert_waits(auth);
        fetch(a, auth);
        assert_false(auth_reject(auth, 403));
        assert_bearer(auth, "Authorization: Bearer x");
        assert_true(auth_reject(auth, 401));
        auth_free(auth);
}

static void test_client_credentials(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, NULL);

        a->reply = "{\"access_token\":\"x\",\"expires_in\":\"3600\"}";
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_STOPPED);
        assert_string_equal(a->bodies[0],
                "grant_type=client_credentials&client_id=me&client_secret=client%20secret&scope=read_station");
        assert_bearer(auth, "Authorization: Bearer x");
        auth_free(auth);
}

static void test_short_lifetime(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed");

        a->reply = "{\"access_token\":\"x\",\"expires_in\":30}";
        fetch(a, auth);
        assert_bearer(auth, "Authorization: Bearer x"); /* or it would be fetched for ever */
        assert_waits(auth);                             /* it would end on its way */
        auth_free(auth);
}

/* Ours is hours behind: what was fetched serves as long as the server said, and is not fetched again and again. */
static void test_server_with_another_clock(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed");
        AuthProof proof = {};

        a->reply = "{\"access_token\":\"x\",\"expires_in\":3600}";
        fetch(a, auth);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(auth_prove(auth, "https://a/", clock_wall() + 5 * USEC_PER_HOUR, &proof), AUTH_READY);
                auth_proof_done(&proof);
        }
        auth_free(auth);
}

/* Ours was a day ahead, and is set right: the token ends when the server said. */
static void test_clock_is_set_back(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed");

        ahead = 24 * USEC_PER_HOUR;
        a->reply = "{\"access_token\":\"x\",\"expires_in\":30}";
        fetch(a, auth);
        ahead = 0;
        assert_bearer(auth, "Authorization: Bearer x");
        assert_waits(auth);
        auth_free(auth);

        auth = oauth(a, "seed"); /* after a restart: it cannot have a day to live */
        assert_waits(auth);
        auth_free(auth);
}

static void test_refused(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed-of-mine");

        a->status = 400;
        a->reply = "{\"error\":\"invalid_grant\",\"error_description\":\"token seed-of-mine is used up\"}";
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_REFUSED);
        assert_non_null(strstr(a->detail, "Sign in again"));
        assert_int_equal(secrets_note(a->secrets, "seed-of-mine"), 0);
        fetch(a, auth);
        assert_null(strstr(a->detail, "seed-of-mine")); /* a secret that a remote repeats goes nowhere */
        a->reply = "{\"error\":\"invalid_client\"}";
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_REFUSED);
        assert_non_null(strstr(a->detail, "invalid_client; check client_id"));
        assert_int_equal(a->cause, CAUSE_TOKEN);
        a->status = 503;
        a->reply = "{\"error\":\"temporarily_unavailable\",\"error_description\":\"come back later\"}";
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_UNREACHABLE);
        assert_string_equal(a->detail, "the token endpoint answers HTTP 503: temporarily_unavailable: come back later");
        a->reply = "<html>";
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_UNREACHABLE);
        assert_string_equal(a->detail, "the token endpoint answers HTTP 503");
        assert_int_equal(a->cause, CAUSE_UNAVAILABLE);
        a->status = 200;
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_UNREACHABLE);
        assert_int_equal(a->cause, CAUSE_BETWEEN);
        assert_non_null(strstr(a->detail, "not JSON"));
        assert_waits(auth);
        auth_free(auth);
}

/* The disk refuses: what came is not used, and not fetched again, but used as soon as it could be kept. */
static void test_disk_refuses(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed");
        char path[128];

        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json.new", a->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        a->reply = "{\"access_token\":\"access-1\",\"expires_in\":10800,\"refresh_token\":\"refresh-1\"}";
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_UNREACHABLE);
        assert_non_null(strstr(a->detail, "cannot be saved"));
        assert_int_equal(a->cause, CAUSE_DISK);
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_FAILED);
        assert_int_equal(a->error, -EISDIR);
        assert_non_null(strstr(a->detail, "do not stop sensorqd"));
        assert_int_equal(rmdir(path), 0);
        assert_bearer(auth, "Authorization: Bearer access-1");
        assert_int_equal(a->n, 1);
        auth_free(auth);
        auth = oauth(a, "seed");
        assert_bearer(auth, "Authorization: Bearer access-1");
        auth_free(auth);
}

/* Without a new refresh token there is nothing to lose: what came is used. */
static void test_disk_refuses_nothing_new(void **state) {
        AuthFixture *a = *state;
        Auth *same = oauth(a, "seed"), *none = oauth(a, NULL);
        char path[128];

        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json.new", a->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        a->reply = "{\"access_token\":\"x\",\"expires_in\":10800,\"refresh_token\":\"seed\"}";
        fetch(a, same);
        assert_int_equal(a->outcome, AUTH_STOPPED);
        assert_bearer(same, "Authorization: Bearer x");
        a->reply = "{\"access_token\":\"y\",\"expires_in\":10800}";
        fetch(a, none);
        assert_int_equal(a->outcome, AUTH_STOPPED);
        assert_bearer(none, "Authorization: Bearer y");
        assert_int_equal(rmdir(path), 0);
        auth_free(none);
        auth_free(same);
}

/* Somebody made room, and restarts or reloads before the next poll: the new refresh token must not go with us. */
static void test_room_before_the_end(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed");
        char path[128];

        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json.new", a->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        a->reply = "{\"access_token\":\"access-1\",\"expires_in\":10800,\"refresh_token\":\"refresh-1\"}";
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_UNREACHABLE);
        assert_int_equal(rmdir(path), 0);
        auth_free(auth);
        auth = oauth(a, "seed");
        assert_bearer(auth, "Authorization: Bearer access-1");
        assert_int_equal(a->n, 1);
        auth_free(auth);
}

/* A token that no header can carry is not used, neither a new one nor one on the disk, and the words say why. */
static void test_token_of_two_lines(void **state) {
        static const char token[] = "access-1", broken[] = "a\\u000a1";
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed");
        char path[128], text[500] = "";
        int fd;

        a->reply = "{\"access_token\":\"a\\r\\nX: y\",\"expires_in\":10800,\"refresh_token\":\"refresh-1\"}";
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_UNREACHABLE);
        assert_int_equal(a->cause, CAUSE_NONSENSE);
        assert_non_null(strstr(a->detail, "contains a line break"));
        assert_waits(auth);
        auth_free(auth);
        auth = oauth(a, "seed"); /* the seed is used up */
        assert_waits(auth);
        a->reply = "{\"access_token\":\"access-1\",\"expires_in\":10800}";
        fetch(a, auth);
        assert_non_null(strstr(a->bodies[1], "refresh_token=refresh-1&"));
        assert_bearer(auth, "Authorization: Bearer access-1");
        auth_free(auth);

        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json", a->directory);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(read(fd, text, sizeof(text) - 1) > 0);
        assert_int_equal(pwrite(fd, broken, strlen(broken), strstr(text, token) - text), strlen(token));
        close(fd);
        auth = oauth(a, "seed");
        assert_waits(auth);
        auth_free(auth);
}

static void test_damaged_state(void **state) {
        AuthFixture *a = *state;
        char path[128];
        Auth *auth;
        int fd;

        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json", a->directory);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "{\"seed_sha", 10), 10);
        close(fd);
        auth = oauth(a, "seed"); /* begins with the seed */
        assert_waits(auth);
        auth_free(auth);
}

static void test_dropped_while_fetching(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed");

        a->reply = "{}";
        begin(a, auth);
        assert_true(auth_is_fetching(auth));
        auth_free(auth);
        assert_false(a->done);
}

/* While a daemon runs, a verb uses up no refresh token: the daemon would go on with the old one. */
static void test_guest(void **state) {
        AuthFixture *a = *state;
        Auth *auth = oauth(a, "seed"), *harmless = oauth(a, NULL);
        char path[128];
        int fd;

        a->guest = true;
        a->reply = "{\"access_token\":\"x\",\"expires_in\":10800,\"refresh_token\":\"refresh-1\"}";
        assert_int_equal(service_lock(a->directory, &fd), SERVICE_LOCKED);
        fetch(a, auth);
        assert_int_equal(a->outcome, AUTH_FAILED);
        assert_int_equal(a->error, -ENOKEY);
        assert_non_null(strstr(a->detail, "only the daemon may fetch one"));
        assert_int_equal(a->n, 0);
        fetch(a, harmless); /* there is none to be used up, and none to be kept beside the daemon's */
        assert_int_equal(a->outcome, AUTH_STOPPED);
        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json", a->directory);
        assert_int_not_equal(access(path, F_OK), 0);
        close(fd);
        a->url[0] = '-'; /* nothing can be sent there */
        fetch(a, auth);
        assert_int_equal(a->error, -EINVAL);
        assert_int_equal(service_lock(a->directory, &fd), SERVICE_LOCKED); /* a daemon may start */
        close(fd);
        a->url[0] = 'h';
        begin(a, auth);
        assert_int_equal(service_lock(a->directory, &fd), SERVICE_LOCK_HELD); /* it would read the old one */
        wait_until_done(a);
        assert_int_equal(a->outcome, AUTH_STOPPED);
        assert_int_equal(a->n, 2);
        assert_int_equal(service_lock(a->directory, &fd), SERVICE_LOCKED);
        a->status = 401; /* of what is asked with the token that is there now */
        auth_start(auth,
                &(AuthCall){ .http = { .method = "GET", .url = a->url, .timeout = USEC_PER_MINUTE, .max_reply = 100 },
                        .guest = true,
                        .done = on_done,
                        .userdata = a });
        a->done = false;
        wait_until_done(a);
        assert_int_equal(a->error, -ENOKEY);
        assert_non_null(strstr(a->detail, "is refused, and only the daemon"));
        close(fd);
        auth_free(harmless);
        auth_free(auth);
        (void) snprintf(path, sizeof(path), "%s/lock", a->directory);
        assert_int_equal(unlink(path), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_simple_kinds, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_query, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_switchbot, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refresh_token_rotates, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_forbidden, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_client_credentials, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_short_lifetime, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_server_with_another_clock, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_clock_is_set_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_disk_refuses, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_disk_refuses_nothing_new, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_room_before_the_end, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_token_of_two_lines, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_damaged_state, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dropped_while_fetching, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_guest, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
