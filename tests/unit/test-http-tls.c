/* SPDX-License-Identifier: Apache-2.0 */
/* Who is trusted, and what a user reads when nobody is. */
#include "http-fixture.h"

#include <sys/socket.h>

typedef struct TlsFixture {
        Fixture f;
        char directory[32], certificate[64], other[64];
} TlsFixture;

static bool serve(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        http_server_reply(c, 200, "", "secret hello");
        return true;
}

static int set_up(void **state) {
        static TlsFixture t;

        (void) snprintf(t.directory, sizeof(t.directory), "/tmp/test-http-tls.XXXXXX");
        assert_non_null(mkdtemp(t.directory));
        (void) snprintf(t.certificate, sizeof(t.certificate), "%s/certificate.pem", t.directory);
        (void) snprintf(t.other, sizeof(t.other), "%s/other.pem", t.directory);
        fixture_set_up(&t.f, NULL, NULL);
        t.f.server = http_server_new_tls(serve, NULL, t.other);
        t.f.server = http_server_free(t.f.server);
        t.f.server = http_server_new_tls(serve, NULL, t.certificate);
        *state = &t;
        return 0;
}

static int tear_down(void **state) {
        TlsFixture *t = *state;

        fixture_tear_down(&t->f);
        assert_int_equal(unlink(t->certificate), 0);
        assert_int_equal(unlink(t->other), 0);
        assert_int_equal(rmdir(t->directory), 0);
        return 0;
}

static void get(TlsFixture *t, const char *host, const char *ca_file, Result *result) {
        char url[300];
        HttpSpec spec = fixture_spec(&t->f, "/", url);

        (void) snprintf(url, sizeof(url), "https://%s:%u/", host, http_server_port(t->f.server));
        spec.ca_file = ca_file;
        spec.bearer = "token";
        *result = (Result){};
        fixture_start(&t->f, &spec, result);
        fixture_run(&t->f, result);
}

static void test_own_authority(void **state) {
        TlsFixture *t = *state;
        Result result;

        for (int i = 0; i < 3; i++) {
                get(t, "127.0.0.1", t->certificate, &result);
                assert_string_equal(result.detail, "HTTP 200");
                assert_string_equal(result.body.data, "secret hello");
                bytes_done(&result.body);
        }
        assert_int_equal(http_server_accepted(t->f.server), 1);
}

/* Nothing is sent to a server that is not trusted, also not on a connection that another ca_file has opened. */
static void test_untrusted(void **state) {
        TlsFixture *t = *state;
        Result result;

        get(t, "127.0.0.1", NULL, &result);
        assert_int_equal(result.outcome, HTTP_TLS);
        assert_string_equal(result.detail, "certificate is not trusted (self-signed certificate)");

        get(t, "127.0.0.1", t->other, &result);
        assert_int_equal(result.outcome, HTTP_TLS);
        assert_int_equal(http_server_calls(t->f.server), 0);

        get(t, "127.0.0.1", t->certificate, &result);
        assert_int_equal(result.outcome, HTTP_ANSWERED);
        bytes_done(&result.body);
        get(t, "127.0.0.1", NULL, &result);
        assert_int_equal(result.outcome, HTTP_TLS);
        assert_int_equal(http_server_calls(t->f.server), 1);
}

static void test_other_name(void **state) {
        TlsFixture *t = *state;
        Result result;

        get(t, "127.0.0.2", t->certificate, &result);
        assert_int_equal(result.outcome, HTTP_UNREACHABLE); /* the server is on 127.0.0.1 only */
        get(t, "localhost", t->certificate, &result);
        assert_int_equal(result.outcome, HTTP_ANSWERED);
        bytes_done(&result.body);
}

/* A proxy of the environment is not asked for this machine. */
static void test_no_proxy_here(void **state) {
        TlsFixture *t = *state;
        Result result;

        assert_int_equal(setenv("https_proxy", "http://127.0.0.1:1", 1), 0);
        get(t, "localhost", t->certificate, &result);
        assert_int_equal(unsetenv("https_proxy"), 0);
        assert_string_equal(result.detail, "HTTP 200");
        bytes_done(&result.body);
}

static void test_ca_file_missing(void **state) {
        TlsFixture *t = *state;
        Result result;

        get(t, "127.0.0.1", "/nonexistent/ca.pem", &result);
        assert_int_equal(result.outcome, HTTP_TLS);
        assert_string_equal(result.detail, "the CA file cannot be read or holds no certificate");
}

static bool refuse_send;

/* libcurl's; the handshake's last record looks the same but is shorter. */
ssize_t send(int fd, const void *data, size_t size, int flags) {
        if (refuse_send && size > 100 && *(const unsigned char *) data == 23) { /* application data */
                refuse_send = false;
                errno = ECONNRESET;
                return -1;
        }
        return sendto(fd, data, size, flags, NULL, 0);
}

/* A server that asks who we are: with the certificate, with one that its key does not fit, with one that is
 * not there, and without. */
static void test_our_certificate(void **state) {
        TlsFixture *t = *state;
        char url[300], key[64];
        const char *const certificates[] = { t->certificate, t->other, "/nowhere.pem", NULL };
        static const char *const words[] = { "HTTP 200", "our own certificate or key cannot be used (",
                "our own certificate or key cannot be used (No such file or directory)",
                "ended TLS (alert certificate required)" };
        static const HttpOutcome outcomes[] = { HTTP_ANSWERED, HTTP_TLS, HTTP_TLS, HTTP_CUT };

        (void) snprintf(key, sizeof(key), "%s/key.pem", t->directory);
        t->f.server = http_server_free(t->f.server);
        t->f.server = http_server_new_asking(serve, NULL, t->certificate, key);
        for (size_t i = 0; i < ELEMENTSOF(certificates); i++) {
                HttpSpec spec = fixture_spec(&t->f, "/", url);
                Result result = {};

                (void) snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http_server_port(t->f.server));
                spec.ca_file = t->certificate;
                spec.certificate_file = certificates[i];
                spec.key_file = key;
                fixture_start(&t->f, &spec, &result);
                fixture_run(&t->f, &result);
                assert_int_equal(result.outcome, outcomes[i]);
                assert_non_null(strstr(result.detail, words[i]));
                bytes_done(&result.body);
        }
        assert_int_equal(http_server_calls(t->f.server), 1);
        assert_int_equal(unlink(key), 0);
}

static bool serve_path(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        http_server_reply(c, 200, "", call->path);
        return true;
}

/* No request gets the reply to another, not even after one that the kernel did not take and OpenSSL still holds. */
static void test_send_fails(void **state) {
        static const char *const paths[] = { "/first", "/other" };
        TlsFixture *t = *state;
        char url[300];

        t->f.server = http_server_free(t->f.server);
        t->f.server = http_server_new_tls(serve_path, NULL, t->certificate);
        refuse_send = true;
        for (int i = 0; i < 2; i++) {
                HttpSpec spec = fixture_spec(&t->f, "/", url);
                Result result = {};

                (void) snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", http_server_port(t->f.server), paths[i]);
                spec.ca_file = t->certificate;
                spec.bearer = "token";
                fixture_start(&t->f, &spec, &result);
                fixture_run(&t->f, &result);
                assert_string_equal(result.detail, i == 0 ? "connection lost while sending" : "HTTP 200");
                if (i > 0)
                        assert_string_equal(result.body.data, paths[i]);
                bytes_done(&result.body);
        }
        assert_false(refuse_send);
        assert_int_equal(http_server_calls(t->f.server), 1);
}

static bool serve_plain(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        return false;
}

static void test_no_tls_there(void **state) {
        TlsFixture *t = *state;
        HttpServer *tls = t->f.server;
        Result result;

        /* the handshake is no request, and gets no reply */
        t->f.server = http_server_new(serve_plain, NULL);
        {
                char url[300];
                HttpSpec spec = fixture_spec(&t->f, "/", url);

                (void) snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http_server_port(t->f.server));
                spec.timeout = 100 * USEC_PER_MSEC;
                result = (Result){};
                fixture_start(&t->f, &spec, &result);
                fixture_run(&t->f, &result);
        }
        assert_int_equal(result.outcome, HTTP_UNREACHABLE);
        assert_string_equal(result.detail, "no connection within 100 ms");
        t->f.server = http_server_free(t->f.server);
        t->f.server = tls;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_own_authority, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_untrusted, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_our_certificate, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_other_name, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_proxy_here, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_ca_file_missing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_send_fails, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_tls_there, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
