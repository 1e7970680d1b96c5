/* SPDX-License-Identifier: Apache-2.0 */
/* The type http_json against a server that follows a script. */
#include "capture.h"
#include "http-json-fixture.h"

#include <sys/stat.h>

static void put_file(World *w, const char *name, const char *text) {
        char path[200];
        FILE *file;

        (void) snprintf(path, sizeof(path), "%s/%s", w->f->directory, name);
        file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void test_simple(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/v1", 200, NULL, "{\"body\": {\"deviceId\": \"B0\", \"temperature\": 21.50}}" };
        run_once(w, HEAD
                "      url: '@/v1?units=metric'\n      headers: { X-Trace: on }\n      reading: { items: /body, id: /deviceId, names: { B0: study } }\n");
        assert_int_equal(w->f->n, 1);
        assert_true(has(source_fixture_payloads(w->f),
                "{\"deviceId\":\"B0\",\"temperature\":21.50,\"source\":\"home\",\"id\":\"B0\",\"name\":\"study\",\"request_at\":"));
        assert_string_equal(w->calls[0], "GET /v1?units=metric");
        assert_true(has(w->heads[0], "Accept: application/json\r\n") && has(w->heads[0], "X-Trace: on\r\n"));
        is_well(w);
        assert_true(has(source_fixture_status(w->f).answer, "/v1 answers with 1 reading"));
}

static void test_post_with_times(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/q", 200, NULL, "[1, 2]" };
        run_once(w, HEAD
                "      url: '@/q?at={now:unix_ms}'\n      method: POST\n      body: '{\"now\": \"{now}\", \"x\": {}}'\n      headers: { Content-Type: application/graphql }\n");
        assert_int_equal(w->f->n, 2);
        assert_true(has(w->calls[0], "POST /q?at=") && has(w->calls[0], "000"));
        assert_true(has(w->bodies[0], "{\"now\": \"20") && has(w->bodies[0], "Z\", \"x\": {}}"));
        assert_true(has(w->heads[0], "application/graphql"));
}

/* One URL that fails does not stop the others, and the first failure is told. */
static void test_urls(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/a", 500, NULL, "" };
        w->routes[1] = (Route){ "/b", 200, NULL, "1" };
        w->routes[2] = (Route){ "/d", 200, NULL, "2" };
        run_once(w, HEAD "      urls: ['@/a', '@/b', '@/c', '@/d']\n");
        assert_int_equal(w->n, 4);
        assert_int_equal(w->f->n, 2);
        fails_with(w, "/a answers HTTP 500");
}

/* A device at home may say local time, or have lost its clock: our time counts, which a network corrects. */
static void test_clock_of_a_device(void **state) {
        static const char *const hosts[] = { "127.0.0.1", "0.0.0.0" }; /* the other one is not the loopback */
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(hosts); i++) {
                char lines[200];

                w->routes[0] = (Route){ "/x", 200, "Date: Thu, 28 Nov 2024 00:00:00 GMT\r\n", "1" };
                (void) snprintf(lines, sizeof(lines), HEAD "      url: 'http://%s:%u/x?at={now}'\n", hosts[i],
                        http_server_port(w->server));
                run_once(w, lines);
                is_well(w);
                assert_int_equal(source_fixture_status(w->f).clock_wrong, i == 0);
                assert_int_equal(has(source_fixture_payloads(w->f), "\"request_at\":\"2024-11-2"), i == 0);
                source_fixture_stop(w->f);
                bytes_cut(&w->f->payloads, 0);
        }
}

/* The unit in Latin-1 does not cost the values. */
static void test_not_utf8(void **state) {
        World *w = *state;
        Capture capture = capture_begin();

        w->routes[0] = (Route){ "/x", 200, NULL,
                "{\"te\": 21.5, \"unit\": \"\xb0"
                "C\"}" };
        run_once(w, HEAD "      url: '@/x'\n");
        assert_true(has(source_fixture_payloads(w->f), "{\"te\":21.5,\"unit\":\"?C\","));
        assert_true(has(capture_end(&capture),
                "invalid bytes are read as ?, so two names may become one. Make the sender use"));
        assert_int_equal(w->f->n_unreadable, 0);
}

static void failing_answer(World *w, const Route *route, const char *words) {
        w->routes[0] = *route;
        run_once(w, HEAD "      url: '@/x?secret=hidden'\n      ok: { /status: ok, /n: [1, 2] }\n");
        fails_with(w, words);
        assert_false(has(source_fixture_status(w->f).failure.detail, "hidden"));
        assert_int_equal(w->f->n, 0);
        assert_int_equal(w->f->n_unreadable, 0);
        source_fixture_stop(w->f);
}

static void test_bad_answers(void **state) {
        static const struct {
                Route route;
                const char *words;
        } cases[] = {
                { { "/x", 200, NULL, "<!DOCTYPE html><title>Sign in</title>" },
                        "answers with a web page in place of JSON (200)" },
                { { "/x", 200, "Content-Type: text/html; charset=utf-8\r\n", "\n<html><p>Sign in" },
                        "answers with a web page" },
                { { "/x", 200, "Content-Type: text/html\r\n", "{\"status\":\"ok\",\"n\":3}" },
                        "has 3 at /n" }, /* of a small device */
                { { "/x", 200, NULL, "OK" }, "it is not JSON (byte 0)" },
                { { "/x", 200, NULL, "" }, "answers 200, but it is empty" },
                { { "/x", 200, NULL, "{\"a\": " }, "its JSON breaks off (byte 5)" },
                { { "/x", 200, NULL, "{\"status\":\"error\",\"n\":1}" }, "has error at /status, but ok requires ok" },
                { { "/x", 200, NULL, "{\"status\":\"ok\",\"n\":3}" }, "has 3 at /n" },
                { { "/x", 200, NULL, "{}" }, "has nothing at /status" },
                { { "/x", 401, NULL, "{}" }, "denies access (401)" },
                { { "/x", 404, NULL, "{}" }, "is not there (404)" },
                { { "/x", 302, "Location: https://evil/\r\n", "" }, "redirects (302)" },
                { { "/x", 304, NULL, "" }, "redirects (304)" },
                { { "/x", 400, NULL, "{}" }, "does not accept the request (HTTP 400)" },
                { { "/x", 503, NULL, "" }, "answers HTTP 503" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                failing_answer(*state, &cases[i].route, cases[i].words);
}

static void test_ok(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/x", 200, NULL, "{\"status\":\"ok\",\"n\":2.0,\"t\":1}" };
        run_once(w, HEAD "      url: '@/x'\n      ok: { /status: ok, /n: [1, 2] }\n");
        is_well(w);
        assert_int_equal(w->f->n, 1);
}

static void test_limits(void **state) {
        World *w = *state;
        SourceStatus status;

        w->routes[0] = (Route){ "/a", 429, "Retry-After: 900\r\n", "" };
        w->routes[1] = (Route){ "/b", 200, NULL, "1" };
        run_once(w, HEAD "      urls: ['@/a', '@/b']\n");
        status = source_fixture_status(w->f);
        fails_with(w, "limits the request rate (429)");
        assert_int_equal(w->n, 1); /* the same server is left alone */
        assert_true(status.next_poll > clock_now() + 800 * USEC_PER_SEC);
        source_fixture_stop(w->f);
        w->f->cursor[0] = '\0';
        w->routes[0] = (Route){ "/a", 503, "Retry-After: 600\r\n", "" };
        run_once(w, HEAD "      url: '@/a'\n");
        assert_true(source_fixture_status(w->f).next_poll > clock_now() + 500 * USEC_PER_SEC);
}

/* A state that has not changed since is one reading, however often it is asked for: a webhook would get it each time.
 */
static void test_same_point_again(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/x", 200, NULL, "{\"at\": \"2026-11-27T10:00:00Z\", \"v\": 1}", 2 };
        w->routes[1] = (Route){ "/x", 200, NULL, "{\"at\": \"2026-11-27T10:00:00Z\", \"v\": 2}" };
        run_once(w, HEAD "      url: '@/x'\n      reading: { time: /at, once_per: measurement }\n");
        poll_again(w);
        assert_int_equal(w->f->n, 1);
        assert_int_equal(w->f->n_repeats, 1);
        poll_again(w); /* corrected */
        is_well(w);
        assert_int_equal(w->f->n, 2);
}

/* A device whose clock was not set since it started says the same time of whatever it measures: no value is a repeat.
 */
static void test_clock_that_is_not_set(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/x", 200, NULL, "{\"unixtime\": 0, \"v\": 21.5}", 1 };
        w->routes[1] = (Route){ "/x", 200, NULL, "{\"unixtime\": 0, \"v\": 21.6}", 1 };
        w->routes[2] = (Route){ "/x", 200, NULL, "{\"unixtime\": 0, \"v\": 21.5}" };
        run_once(w, HEAD
                "      url: '@/x'\n      reading: { time: /unixtime, time_format: unix, once_per: measurement }\n");
        poll_again(w);
        poll_again(w);
        is_well(w);
        assert_int_equal(w->f->n, 3);
        assert_int_equal(w->f->n_repeats, 0);
}

/* ---- who we are ---- */

static void test_auth(void **state) {
        World *w = *state;

        put_file(w, "s", "s3cret-value");
        w->routes[0] = (Route){ "/x", 200, NULL, "1" };
        run_once(w, HEAD "      url: '@/x'\n      auth: { type: bearer, token_file: $/s }\n");
        assert_true(has(w->heads[0], "Authorization: Bearer s3cret-value\r\n"));
        source_fixture_stop(w->f);
        run_once(w, HEAD "      url: '@/x'\n      auth: { type: basic, username: me, password_file: $/s }\n");
        assert_true(has(w->heads[1], "Authorization: Basic bWU6czNjcmV0LXZhbHVl\r\n"));
        source_fixture_stop(w->f);
        run_once(w, HEAD "      url: '@/x'\n      auth: { type: header, header: X-Api-Key, value_file: $/s }\n");
        assert_true(has(w->heads[2], "X-Api-Key: s3cret-value\r\n"));
        assert_int_equal(w->f->n, 3);
}

/* The URL is a secret then: it is in no word that we say, even when the server repeats it. */
static void test_query_is_not_told(void **state) {
        World *w = *state;

        put_file(w, "s", "s3cret-value");
        w->routes[0] = (Route){ "/x", 200, NULL, "{\"status\": \"no such key s3cret-value\"}" };
        run_once(w, HEAD
                "      url: '@/x?q=1'\n      ok: { /status: ok }\n      auth: { type: query, parameter: appid, value_file: $/s }\n");
        assert_string_equal(w->calls[0], "GET /x?q=1&appid=s3cret-value");
        fails_with(w, "has no such key ");
        assert_false(has(source_fixture_status(w->f).failure.detail, "s3cret"));
}

static void test_switchbot(void **state) {
        World *w = *state;

        put_file(w, "t", "the-token");
        put_file(w, "s", "the-secret");
        w->routes[0] = (Route){ "/x", 200, NULL, "{\"statusCode\":190,\"message\":\"device offline\",\"body\":{}}", 1 };
        w->routes[1] = (Route){ "/x", 200, NULL, "{\"statusCode\":100,\"body\":{\"temperature\":20}}" };
        run_once(w, HEAD
                "      url: '@/x'\n      auth: { type: switchbot, token_file: $/t, secret_file: $/s }\n      reading: { items: /body }\n");
        fails_with(w, "answers with statusCode 190: device offline");
        assert_true(has(w->heads[0], "Authorization: the-token\r\n") && has(w->heads[0], "sign: ") &&
                    has(w->heads[0], "nonce: "));
        poll_again(w);
        is_well(w);
        assert_int_equal(w->f->n, 1);
}

/* Under the number of a device that is out of step, and for the whole account: the other devices are not asked. */
static void test_switchbot_used_up(void **state) {
        World *w = *state;

        put_file(w, "t", "the-token");
        put_file(w, "s", "the-secret");
        w->routes[0] = (Route){ "/x", 200, NULL,
                "{\"statusCode\":190,\"body\":{},\"message\":\"Requests reached the daily limit\"}" };
        w->routes[1] = (Route){ "/y", 200, NULL, "{\"statusCode\":100,\"body\":{\"temperature\":20}}" };
        run_once(w, HEAD
                "      urls: ['@/x', '@/y']\n      auth: { type: switchbot, token_file: $/t, secret_file: $/s }\n      reading: { items: /body }\n");
        fails_with(
                w, "accepts no more requests of this account today (statusCode 190: Requests reached the daily limit)");
        assert_int_equal(source_fixture_status(w->f).failure.cause, CAUSE_QUOTA);
        assert_int_equal(w->n, 1);
}

/* A token is fetched before, the refresh token that came with it is on disk, and after a refusal there is one fresh
 * try. */
static void check_oauth2(World *w, int status, const char *refusal) {
        char path[128];

        put_file(w, "r", "seed-token");
        put_file(w, "c", "client-secret");
        w->routes[0] = (Route){ "/token", 200, NULL,
                "{\"access_token\":\"access-1\",\"refresh_token\":\"refresh-1\",\"expires_in\":10800}", 1 };
        w->routes[1] = (Route){ "/token", 200, NULL,
                "{\"access_token\":\"access-2\",\"refresh_token\":\"refresh-2\",\"expires_in\":10800}", 1 };
        w->routes[2] = (Route){ "/x", status, NULL, refusal, 1 };
        w->routes[3] = (Route){ "/x", 200, NULL, "1" };
        run_once(w, HEAD
                "      url: '@/x'\n      auth: { type: oauth2, token_url: '@/token', client_id: me, client_secret_file: $/c, refresh_token_file: $/r }\n");
        is_well(w);
        assert_int_equal(w->n, 4);
        assert_string_equal(w->calls[0], "POST /token");
        assert_true(has(w->bodies[0], "refresh_token=seed-token"));
        assert_true(has(w->heads[1], "Authorization: Bearer access-1\r\n"));
        assert_true(has(w->bodies[2], "refresh_token=refresh-1"));
        assert_true(has(w->heads[3], "Authorization: Bearer access-2\r\n"));
        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json", w->f->directory);
        assert_int_equal(access(path, R_OK), 0);
        assert_int_equal(w->f->n, 1);
}

static void test_oauth2(void **state) {
        check_oauth2(*state, 401, "{}");
}

static void test_oauth2_of_netatmo(void **state) {
        check_oauth2(*state, 403, "{\"error\":{\"code\":3,\"message\":\"Access token expired\"}}");
}

/* A stop during the exchange, which uses up the refresh token: the new one is kept, and nothing more is asked. */
static void test_oauth2_and_a_stop(void **state) {
        World *w = *state;
        char path[128];

        put_file(w, "r", "seed-token");
        w->routes[0] = (Route){ "/token", 200, NULL,
                "{\"access_token\":\"access-1\",\"refresh_token\":\"refresh-1\",\"expires_in\":10800}", 1 };
        start(w, HEAD
                "      url: '@/x'\n      auth: { type: oauth2, token_url: '@/token', client_id: me, refresh_token_file: $/r }\n");
        SOURCE_FIXTURE_UNTIL(w->f, source_must_end(w->f->source));
        source_retire(w->f->source);
        SOURCE_FIXTURE_UNTIL(w->f, !source_is_busy(w->f->source));
        assert_false(source_must_end(w->f->source));
        assert_int_equal(w->n, 1);
        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json", w->f->directory);
        assert_int_equal(access(path, R_OK), 0);
}

static void test_oauth2_refused(void **state) {
        World *w = *state;

        put_file(w, "r", "seed-token");
        w->routes[0] = (Route){ "/token", 400, NULL, "{\"error\":\"invalid_grant\"}" };
        run_once(w, HEAD
                "      url: '@/x'\n      auth: { type: oauth2, token_url: '@/token', client_id: me, refresh_token_file: $/r }\n");
        fails_with(w, "Sign in again");
        assert_int_equal(w->n, 1);
}

/* A stop would lose a new refresh token that the disk refuses. The journal leaves out a first failure, so each one says
 * it. */
static void test_oauth2_unkept(void **state) {
        World *w = *state;
        char path[128];

        put_file(w, "r", "seed-token");
        (void) snprintf(path, sizeof(path), "%s/oauth2-home.json.new", w->f->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        w->routes[0] = (Route){ "/token", 200, NULL,
                "{\"access_token\":\"access-1\",\"refresh_token\":\"refresh-1\",\"expires_in\":10800}" };
        run_once(w, HEAD
                "      url: '@/x'\n      auth: { type: oauth2, token_url: '@/token', client_id: me, refresh_token_file: $/r }\n");
        for (unsigned i = 0; i < 2; i++) {
                fails_with(w, ": do not stop sensorqd");
                assert_int_equal(source_fixture_status(w->f).failure.cause, CAUSE_DISK);
                poll_again(w);
        }
        assert_int_equal(w->n, 1);
        assert_int_equal(rmdir(path), 0);
}

/* `check` fetches no token while a daemon may do so, and asks for one page only. */
static void test_check(void **state) {
        World *w = *state;
        int fd;

        put_file(w, "r", "seed-token");
        w->f->host.manual = w->f->host.checking = true;
        w->routes[0] = (Route){ "/token", 200, NULL, "{\"access_token\":\"access-1\",\"expires_in\":10800}" };
        w->routes[1] = (Route){ "/x", 200, NULL, "{\"v\": [1], \"next\": \"a\"}" };
        assert_int_equal(service_lock(w->f->directory, &fd), SERVICE_LOCKED);
        start(w, HEAD
                "      url: '@/x'\n      auth: { type: oauth2, token_url: '@/token', client_id: me, refresh_token_file: $/r }\n      paging: { next: /next, parameter: p }\n");
        poll_again(w);
        assert_int_equal(w->n, 0);
        assert_true(has(source_fixture_status(w->f).answer, "only the daemon may fetch one"));
        assert_int_equal(close(fd), 0);
        poll_again(w);
        is_well(w);
        assert_int_equal(w->n, 2);
        assert_true(has(source_fixture_status(w->f).answer, "/x answers with 1 reading"));
        source_fixture_stop(w->f);
        start(w, HEAD "      url: '@/x'\n      reading: { items: /nowhere }\n");
        poll_again(w);
        assert_true(source_fixture_status(w->f).odd);
        assert_true(has(source_fixture_status(w->f).answer, "nothing in the answer becomes a reading"));
}

/* ---- pages ---- */

#define PAGED "      paging: { next: /next, parameter: token, max: 3 }\n      reading: { items: /v }\n"

static void test_pages(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "token=b", 200, NULL, "{\"v\": [3]}" };
        w->routes[1] = (Route){ "token=a", 200, NULL, "{\"v\": [2], \"next\": \"b\"}" };
        w->routes[2] = (Route){ "/x", 200, NULL, "{\"v\": [1], \"next\": \"a\"}" };
        run_once(w, HEAD "      url: '@/x'\n" PAGED);
        is_well(w);
        assert_int_equal(w->f->n, 3);
        assert_int_equal(w->f->commits, 3); /* each page is on disk before the next one is asked for */
        assert_string_equal(w->calls[2], "GET /x?token=b");
}

static void test_page_cap(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "token=a", 200, NULL, "{\"v\": [2], \"next\": \"b\"}" };
        w->routes[1] = (Route){ "token=b", 200, NULL, "{\"v\": [3], \"next\": \"c\"}" };
        w->routes[2] = (Route){ "/x", 200, NULL, "{\"v\": [1], \"next\": \"a\"}" };
        run_once(w, HEAD "      url: '@/x'\n" PAGED);
        fails_with(w, "has more than 3 pages");
        assert_int_equal(w->n, 3);
        assert_int_equal(w->f->n, 3);
}

/* Where one URL fails, the others are read to their last page. */
static void test_pages_beside_a_failure(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "token=a", 200, NULL, "{\"v\": [2]}" };
        w->routes[1] = (Route){ "/x", 200, NULL, "{\"v\": [1], \"next\": \"a\"}" };
        w->routes[2] = (Route){ "/a", 500, NULL, "" };
        run_once(w, HEAD "      urls: ['@/a', '@/x']\n" PAGED);
        fails_with(w, "/a answers HTTP 500");
        assert_int_equal(w->n, 3);
        assert_int_equal(w->f->n, 2);
}

/* Pages that lead to one that came before: each is read once, not as often as paging.max allows. */
static void test_pages_in_a_circle(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/x", 200, NULL, "{\"v\": [1], \"next\": \"a\"}" };
        run_once(w, HEAD "      url: '@/x'\n" PAGED);
        fails_with(w, "leads back to a page that was read already");
        assert_int_equal(w->n, 2);
        source_fixture_stop(w->f);
        w->n = 0;
        w->f->n = 0;
        w->routes[0] = (Route){ "/b", 200, NULL, "{\"v\": [2], \"next\": \"/a\"}" };
        w->routes[1] = (Route){ "/a", 200, NULL, "{\"v\": [1], \"next\": \"/b\"}" };
        run_once(w, HEAD "      url: '@/a'\n      paging: { next: /next }\n      reading: { items: /v }\n");
        fails_with(w, "leads back to a page that was read already");
        assert_int_equal(w->n, 2);
        assert_int_equal(w->f->n, 2);
        poll_again(w); /* each poll begins anew */
        assert_int_equal(w->n, 4);
}

static void test_page_elsewhere(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/x", 200, NULL, "{\"v\": [1], \"next\": \"/y\"}" };
        w->routes[1] = (Route){ "/y", 200, NULL, "{\"v\": [2], \"next\": \"http://127.0.0.1:1/z\"}" };
        run_once(w, HEAD "      url: '@/x'\n      paging: { next: /next }\n      reading: { items: /v }\n");
        fails_with(w, "not a page of the same server");
        assert_int_equal(w->f->n, 2);
        assert_int_equal(w->n, 2);
}

/* No further page is asked for while the outbox has no room for it. */
static void test_no_room(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "token=a", 200, NULL, "{\"v\": [2]}" };
        w->routes[1] = (Route){ "/x", 200, NULL, "{\"v\": [1], \"next\": \"a\"}" };
        start(w, HEAD "      url: '@/x'\n" PAGED);
        SOURCE_FIXTURE_UNTIL(w->f, w->n == 1);
        w->f->no_room = true;
        wait_for_poll(w, 1);
        fails_with(w, "no room for more");
        assert_int_equal(w->n, 1);
        assert_int_equal(w->f->n, 1);
}

/* ---- configuration ---- */

static void test_configuration(void **state) {
        static const struct {
                const char *lines, *words;
        } cases[] = {
                { "", "has neither url nor urls" },
                { "      url: https://a/\n      urls: [https://b/]\n", "cannot be combined with url" },
                { "      url: ftp://a/\n", "is not a URL of a server" },
                { "      url: 'https://a/?appid=0123'\n", "has a secret in it (appid=)" },
                { "      url: 'https://a/{sinc}'\n",
                        "holds {, which no URL has as it is: write it percent-encoded, as %7B" },
                { "      url: https://a/?q=\xe6\x9d\xb1\xe4\xba\xac\n",
                        "something other than ASCII: write it percent-encoded" },
                { "      url: https://me:secret@a/\n", "the value has a user in front of the host" },
                { "      url: https://a/\n      headers: { Authorization: Bearer x }\n", "is a header for a secret" },
                { "      url: https://a/\n      headers: { X-Auth-Token: x }\n", "is a header for a secret" },
                { "      url: http://pi.lan/\n      auth: { type: bearer, token_file: t }\n",
                        "needs https://, or allow_plain: true" },
                { "      url: https://a/\n      body: x\n", "goes with method: POST only" },
                { "      url: 'https://a/?f={since}'\n", "since: is missing" },
                { "      url: https://a/\n      since: {}\n      reading: { time: /t }\n",
                        "needs {since} in url or body" },
                { "      url: 'https://a/?f={since}'\n      since: {}\n", "needs reading.time" },
                { "      url: 'https://a/?f={since}'\n      since: {}\n      reading: { time: /t, once_per: arrival }\n",
                        "does not go with since" },
                { "      url: https://a/\n      auth: { type: bearer }\n",
                        "token_file: is missing; type bearer needs it" },
                { "      url: https://a/\n      auth: { type: bearer, token_file: t, scope: x }\n",
                        "scope: is not a key of type bearer, which takes token_file; remove it" },
                { "      url: https://a/\n      auth: { token_file: t }\n", "token_file: is not a key of type none" },
                { "      url: https://a/\n      auth: { type: oauth2, token_url: https://a/, client_id: x }\n",
                        "needs refresh_token_file, or client_secret_file" },
                { "      url: https://a/\n      auth: { type: oauth2, token_url: http://a.lan/, client_id: x, refresh_token_file: r }\n",
                        "token_url" },
                { "      url: https://a/\n      paging: { next: next }\n", "is not a JSON pointer" },
                { "      url: https://a/\n      reading: { thousands: '.', numbers: [v] }\n", "thousands" },
                { "      url: https://a/\n      reading: { thousands: ',' }\n", "and there are no numbers" },
                { "      url: https://a/\n      reading: { time_format: unix }\n", "and there is no time" },
                { "      url: https://a/\n      reading: { once_per: measurement }\n", "measurement needs time" },
                { "      url: https://a/\n      ok: { /a/*: 1 }\n", "is not a JSON pointer" },
                { "      url: https://a/\n      auth: { type: oauth2, token_url: https://a/, client_id: x, refresh_token_file: r }\n"
                  "    - name: other\n      type: http_json\n      url: https://b/\n      auth: { type: oauth2, token_url: https://a/, client_id: x, refresh_token_file: r }\n",
                        "has the refresh_token_file of another source" },
        };
        World *w = *state;
        char text[2000], error[1000];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                (void) snprintf(text, sizeof(text), HEAD "%s", cases[i].lines);
                source_fixture_read(w->f, text, error, sizeof(error));
                if (!has(error, cases[i].words))
                        fail_msg("\"%s\" is not in \"%s\"", cases[i].words, error);
                assert_false(has(error, "0123"));
                w->f->config = config_unref(w->f->config);
        }
        source_fixture_read(w->f,
                HEAD
                "      url: http://pi.lan/\n      allow_plain: true\n      auth: { type: bearer, token_file: t }\n",
                error, sizeof(error));
        assert_string_equal(error, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_simple),
                TEST(test_post_with_times),
                TEST(test_urls),
                TEST(test_clock_of_a_device),
                TEST(test_not_utf8),
                TEST(test_bad_answers),
                TEST(test_ok),
                TEST(test_limits),
                TEST(test_same_point_again),
                TEST(test_clock_that_is_not_set),
                TEST(test_auth),
                TEST(test_query_is_not_told),
                TEST(test_switchbot),
                TEST(test_switchbot_used_up),
                TEST(test_oauth2),
                TEST(test_oauth2_of_netatmo),
                TEST(test_oauth2_and_a_stop),
                TEST(test_oauth2_unkept),
                TEST(test_oauth2_refused),
                TEST(test_check),
                TEST(test_pages),
                TEST(test_page_cap),
                TEST(test_pages_beside_a_failure),
                TEST(test_pages_in_a_circle),
                TEST(test_page_elsewhere),
                TEST(test_no_room),
                TEST(test_configuration),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
