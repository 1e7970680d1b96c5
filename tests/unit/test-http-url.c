/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of http: which URLs may carry a secret, and what a user reads when a request failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/http-internal.h"

static void check_all(const char *const *urls, int expected) {
        for (; *urls; urls++)
                if (http_url_check(*urls) != expected)
                        fail_msg("%s: %d, not %d", *urls, http_url_check(*urls), expected);
}

static void test_ok(void **state) {
        static const char *const urls[] = {
                "https://pubsub.googleapis.com",
                "https://pubsub.googleapis.com/",
                "HTTPS://Example.COM/a/b:c?d=e%20f",
                "https://example.com.",
                "https://h:1",
                "https://h:65535/x",
                "https://10.0.0.1/x",
                "https://[2001:db8::1]:8443/x",
                "https://my_host-1/x",
                "https://3dprinter/x",
                "http://localhost",
                "http://LocalHost:8085/v1",
                "http://127.0.0.1:8085",
                "http://127.1.2.3/",
                "http://[::1]",
                "http://[::1]:8085/v1",
                "http://[0:0:0:0:0:0:0:1]/",
                "https://metadata.google.internal/",
                NULL,
        };

        check_all(urls, HTTP_URL_OK);
}

/* It gives tokens, and takes none. */
static void test_metadata(void **state) {
        static const char *const urls[] = {
                "http://metadata.google.internal/computeMetadata/v1/",
                "http://METADATA.google.internal./x",
                "http://metadata.goog/",
                "http://metadata/",
                "http://[::ffff:169.254.169.254]/",
                "http://[::ffff:a9fe:a9fe]:80/",
                "http://[fd20:ce::254]/",
                "http://[FD00:EC2:0::254]/",
                "http://169.254.169.254",
                NULL,
        };

        check_all(urls, HTTP_URL_METADATA);
}

static void test_plain(void **state) {
        static const char *const urls[] = {
                "http://example.com",
                "http://10.0.0.1:80/",
                "http://128.0.0.1/",
                "http://0.0.0.0/",
                "http://localhost.example.com/",
                "http://localhost./",
                "http://127.0.0.1.example.com/",
                "http://127.0.0.1.nip.io/",
                "http://[::]/",
                "http://[::2]/",
                "http://[::ffff:127.0.0.1]/",
                "http://[fe80::1]/",
                "http://169.254.169.253/",
                "http://metadata.google.internal.example/",
                "http://127.0.0.1./",
                "http://emulator:8085/",
                NULL,
        };

        check_all(urls, HTTP_URL_PLAIN);
}

static void test_malformed(void **state) {
        static const char *const urls[] = {
                "",
                "/",
                "example.com",
                "ftp://example.com",
                "file:///etc/passwd",
                "https:/example.com",
                "https:example.com",
                "https://",
                "https:///x",
                "https://:443/",
                "https://?x",
                "https://user@example.com/",
                "https://user:secret@example.com/",
                "https://@example.com/",
                "https://example.com@127.0.0.1/",
                "http://127.0.0.1@example.com/",
                "https://example.com:/",
                "https://example.com:0/",
                "https://example.com:65536/",
                "https://example.com:123456/",
                "https://example.com:8a/",
                "https://example.com:-1/",
                "https://exa mple.com/",
                "https://example.com/a b",
                "https://example.com/\r\nHost: x",
                "https://example.com/\x7f",
                "https://example.com\\@evil/",
                "https://example.com/#x",
                "https://b\xc3\xbc"
                "cher.example/",
                "https://.example.com/",
                "https://a..b/",
                "https://exa%6dple.com/",
                "https://[::1",
                "https://[::1]x/",
                "https://[::1%25lo]/",
                "https://[]/",
                "https://[1.2.3.4]/",
                "https://::1/",
                "http://127.1/",
                "http://2130706433/",
                "http://0x7f000001/",
                "http://0x7f.1/",
                "http://0177.0.0.1/",
                "http://127.0.0.256/",
                "http://1.2.3.4.5/",
                NULL,
        };

        check_all(urls, HTTP_URL_MALFORMED);
}

static void test_host_too_long(void **state) {
        char url[300] = "https://";

        memset(url + 8, 'a', 253);
        assert_int_equal(http_url_check(url), HTTP_URL_OK);
        url[8 + 253] = 'a';
        assert_int_equal(http_url_check(url), HTTP_URL_MALFORMED);
}

static void test_local(void **state) {
        assert_true(http_url_is_local("https://localhost:8443/x"));
        assert_true(http_url_is_local("http://metadata.google.internal/"));
        assert_false(http_url_is_local("https://example.com/"));
        assert_false(http_url_is_local("nonsense"));
}

static void test_words(void **state) {
        static const struct {
                HttpEnd end;
                HttpOutcome outcome;
                const char *detail;
        } cases[] = {
                { { .code = CURLE_OK, .status = 503, .sent = true }, HTTP_ANSWERED, "HTTP 503" },
                { { .code = CURLE_COULDNT_RESOLVE_HOST }, HTTP_UNREACHABLE, "name not found (or DNS is down)" },
                { { .code = CURLE_COULDNT_RESOLVE_HOST, .error = "getaddrinfo() thread failed to start" },
                        HTTP_UNREACHABLE,
                        "name not resolved: this machine is short of descriptors, memory or threads" },
                { { .code = CURLE_COULDNT_CONNECT, .system_error = ECONNREFUSED }, HTTP_UNREACHABLE,
                        "connection refused" },
                { { .code = CURLE_COULDNT_CONNECT, .system_error = ENETUNREACH }, HTTP_UNREACHABLE,
                        "network is unreachable" },
                { { .code = CURLE_COULDNT_CONNECT, .system_error = EHOSTUNREACH }, HTTP_UNREACHABLE,
                        "no route to the host" },
                { { .code = CURLE_COULDNT_CONNECT, .system_error = EACCES }, HTTP_UNREACHABLE,
                        "cannot connect (Permission denied)" },
                { { .code = CURLE_COULDNT_CONNECT }, HTTP_UNREACHABLE, "cannot connect" },
                { { .code = CURLE_COULDNT_CONNECT, .system_error = ECONNREFUSED, .sent = true }, HTTP_CUT,
                        "connection refused" },
                { { .code = CURLE_OPERATION_TIMEDOUT, .timeout = 30 * USEC_PER_SEC }, HTTP_UNREACHABLE,
                        "no connection within 30 s" },
                { { .code = CURLE_OPERATION_TIMEDOUT, .proxy_asked = true, .timeout = 30 * USEC_PER_SEC },
                        HTTP_UNREACHABLE, "no connection through the proxy within 30 s" },
                { { .code = CURLE_OPERATION_TIMEDOUT,
                          .timeout = 30 * USEC_PER_SEC,
                          .error = "Resolving timed out after 30001 milliseconds" },
                        HTTP_UNREACHABLE, "name not resolved within 30 s" },
                { { .code = CURLE_OPERATION_TIMEDOUT, .timeout = 120 * USEC_PER_SEC, .sent = true }, HTTP_TIMEOUT,
                        "no reply within 2 min" },
                { { .code = CURLE_OPERATION_TIMEDOUT, .timeout = 40 * USEC_PER_SEC, .sent = true, .received = 7 },
                        HTTP_TIMEOUT, "reply not complete within 40 s (7 bytes came)" },
                { { .code = CURLE_PEER_FAILED_VERIFICATION,
                          .error = "SSL certificate problem: certificate has expired" },
                        HTTP_TLS,
                        "certificate is not trusted (certificate has expired; is this machine's clock right?)" },
                { { .code = CURLE_PEER_FAILED_VERIFICATION,
                          .error = "SSL: no alternative certificate subject name matches target host name 'x'" },
                        HTTP_TLS, "certificate is for another host name" },
                { { .code = CURLE_SSL_CONNECT_ERROR, .error = "error:0A00010B:SSL routines::wrong version number" },
                        HTTP_TLS, "TLS handshake failed (wrong version number)" },
                { { .code = CURLE_SSL_CONNECT_ERROR }, HTTP_TLS, "TLS handshake failed" },
                { { .code = CURLE_SSL_CACERT_BADFILE }, HTTP_TLS,
                        "the CA file cannot be read or holds no certificate" },
                { { .code = CURLE_RECV_ERROR, .proxy_status = 403, .proxy = " 10.0.0.1:3128" }, HTTP_UNREACHABLE,
                        "the proxy 10.0.0.1:3128 answered 403" },
                { { .code = CURLE_RECV_ERROR, .proxy_status = 407 }, HTTP_UNREACHABLE,
                        "the proxy answered 407: it asks for a login (https_proxy)" },
                { { .code = CURLE_PEER_FAILED_VERIFICATION,
                          .sent = true,
                          .proxy_status = 200,
                          .error = "SSL certificate problem: self-signed certificate in certificate chain" },
                        HTTP_TLS, "certificate is not trusted (self-signed certificate in certificate chain)" },
                { { .code = CURLE_RECV_ERROR, .sent = true }, HTTP_CUT, "connection lost while waiting for the reply" },
                { { .code = CURLE_RECV_ERROR, .sent = true, .received = 1 }, HTTP_CUT,
                        "connection lost in the middle of the reply" },
                { { .code = CURLE_HTTP2_STREAM, .sent = true }, HTTP_CUT, "HTTP/2 stream broken off" },
                { { .code = CURLE_FILESIZE_EXCEEDED, .sent = true }, HTTP_TOO_LARGE,
                        "the reply is larger than allowed" },
                { { .code = CURLE_WRITE_ERROR, .sent = true, .too_large = true }, HTTP_TOO_LARGE,
                        "the reply is larger than allowed" },
                { { .code = CURLE_WRITE_ERROR, .sent = true }, HTTP_CUT, "out of memory" },
                { { .code = CURLE_BAD_FUNCTION_ARGUMENT, .sent = true, .error = "odd" }, HTTP_CUT,
                        "transfer failed (odd)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                HttpEnd end = cases[i].end;
                char detail[200];

                if (!end.error)
                        end.error = "";
                assert_int_equal(http_outcome(&end, detail, sizeof(detail)), cases[i].outcome);
                assert_string_equal(detail, cases[i].detail);
        }
}

static void test_pages(void **state) {
        static const struct {
                const char *body;
                bool page;
        } cases[] = {
                { "<!DOCTYPE html><title>Log in</title>", true },
                { "<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">", true },
                { "<html>", true },
                { "\r\n <HTML lang=\"en\"><body>", true },
                { "\xef\xbb\xbf<html><!-- ok -->", true },
                { "<!-- a portal --> <!-- of 2019 -->\n<html>", true },
                { "<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\">", true },
                { "<head><meta http-equiv=\"refresh\" content=\"0; url=/login\">", true },
                { "<meta http-equiv=\"refresh\" content=\"0; url=/login\">", true },
                { "<script>top.location = '/login'</script>", true },
                { "<style>form { margin: 1em }</style><form action=\"/login\">", true },
                { "<base href=\"/\"><form action=\"/login\">", true },
                { "<body onload=\"location = '/login'\">", true },
                { "", false },
                { "ok", false },
                { "{\"stored\": \"<html>\"}", false },
                { "Congratulations! You've fired the readings event", false }, /* IFTTT, as text/html */
                { "<h1>ok</h1>", false },
                { "<htmlish/>", false },
                { "<!-- without an end <html>", false },
                { "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const HttpReply reply = { .status = 200, .body = { (char *) cases[i].body, strlen(cases[i].body) } };

                assert_int_equal(http_reply_is_page(&reply), cases[i].page);
        }
        assert_false(http_reply_is_page(&(HttpReply){ .status = 200 }));
}

/* Many comments take no stack. */
static void test_page_behind_comments(void **state) {
        static char body[128 * 1024];
        HttpReply reply = { .status = 200, .body = { body, sizeof(body) - 1 } };

        for (char *p = body; p < body + sizeof(body) - 16; p += 7)
                memcpy(p, "<!---->", 7);
        assert_false(http_reply_is_page(&reply));
        memcpy(body + strlen(body), "<html>", 6);
        assert_true(http_reply_is_page(&reply));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ok),
                cmocka_unit_test(test_metadata),
                cmocka_unit_test(test_plain),
                cmocka_unit_test(test_malformed),
                cmocka_unit_test(test_host_too_long),
                cmocka_unit_test(test_local),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_pages),
                cmocka_unit_test(test_page_behind_comments),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
