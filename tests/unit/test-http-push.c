/* SPDX-License-Identifier: Apache-2.0 */
/* The source over real connections. */
#include "free-port.h"
#include "lib/gzip.h"
#include "lib/listen-internal.h"
#include "source-fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

static uint16_t start(SourceFixture *f, const char *more) {
        uint16_t port = free_port();
        char lines[1000];

        (void) snprintf(lines, sizeof(lines), "      type: http_push\n      listen: 127.0.0.1:%u\n%s", port, more);
        source_fixture_start(f, lines); /* it listens at once: nobody has to wait for a turn of the loop */
        assert_false(source_fixture_status(f).failure.on);
        return port;
}

/* All of it, while the source reads. */
static void send_all(SourceFixture *f, int fd, const char *text, size_t size) {
        usec_t until = clock_now() + 20 * USEC_PER_SEC;

        while (size > 0) {
                ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

                assert_true(n >= 0 || errno == EAGAIN);
                assert_true(clock_now() < until);
                text += n > 0 ? n : 0;
                size -= n > 0 ? (size_t) n : 0;
                if (n < 0)
                        source_fixture_turn(f);
        }
}

/* *line*: method and path. */
static int send_sized(SourceFixture *f, uint16_t port, const char *line, const char *headers, Slice body) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)
        };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n;
        char head[2000];

        assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        n = snprintf(head, sizeof(head),
                "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n", line, body.size,
                headers);
        send_all(f, fd, head, (size_t) n);
        send_all(f, fd, body.data, body.size);
        return fd;
}

static int send_with(SourceFixture *f, uint16_t port, const char *line, const char *headers, const char *body) {
        return send_sized(f, port, line, headers, slice_of(body));
}

static int send_request(SourceFixture *f, uint16_t port, const char *headers, const char *body) {
        return send_with(f, port, "POST /readings", headers, body);
}

/* The status, and the reply in *reply*. */
static int hear(SourceFixture *f, int fd, char *reply, size_t size) {
        usec_t until = clock_now() + 20 * USEC_PER_SEC;
        size_t total = 0;
        int status = 0;
        ssize_t n;

        for (;;) {
                n = recv(fd, reply + total, size - 1 - total, 0);
                if (n == 0 || (n < 0 && errno == ECONNRESET))
                        break;
                total += n > 0 ? (size_t) n : 0;
                assert_true(clock_now() < until);
                source_fixture_turn(f);
        }
        reply[total] = '\0';
        close(fd);
        assert_int_equal(sscanf(reply, "HTTP/1.1 %d", &status), 1);
        return status;
}

#define JSON "Content-Type: application/json\r\n"
#define LINES "Content-Type: application/x-ndjson; charset=utf-8\r\n"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"

static int post(SourceFixture *f, uint16_t port, const char *headers, const char *body, char reply[static 2000]) {
        return hear(f, send_request(f, port, headers, body), reply, 2000);
}

static void test_bodies(void **state) {
        SourceFixture *f = *state;
        uint16_t port = start(f, "      reading: { id: /id }\n");
        char reply[2000];

        assert_int_equal(post(f, port, JSON, "{\"id\": \"a\", \"co2\": 612}", reply), 200);
        assert_non_null(strstr(reply, "{\"stored\": 1}"));
        assert_int_equal(post(f, port, JSON, "[{\"id\": \"b\", \"x\": 1}, {\"id\": \"c\", \"x\": 2}]", reply), 200);
        assert_non_null(strstr(reply, "{\"stored\": 2}"));
        assert_int_equal(
                post(f, port, LINES,
                        "{\"id\": \"d\", \"x\": 1}\n\n{\"id\": \"e\", \"x\": 2}\r\n{\"id\": \"f\", \"x\": 3}", reply),
                200);
        assert_non_null(strstr(reply, "{\"stored\": 3}"));
        assert_string_equal(f->devices.data, "a\nb\nc\nd\ne\nf\n");
        assert_int_equal(f->n, 6);
}

static void test_forms(void **state) {
        SourceFixture *f = *state;
        uint16_t port =
                start(f, "      reading: { id: station, fields: { te: /tempf, model: /model }, numbers: '*' }\n");
        char reply[2000];

        assert_int_equal(post(f, port, FORM, "PASSKEY=A1&tempf=70.9&model=GW+1100", reply), 200);
        assert_non_null(strstr(reply, "{\"stored\": 1}"));
        assert_non_null(strstr(source_fixture_payloads(f), "{\"te\":70.9,\"model\":\"GW 1100\","));
        assert_int_equal(hear(f, send_with(f, port, "POST /readings?tempf=71", FORM, ""), reply, sizeof(reply)), 400);
        assert_non_null(strstr(reply, "a POST has them in its body"));
        for (int i = 0; i < 2; i++)
                assert_int_equal(post(f, port, FORM "Idempotency-Key: abc\r\n", "tempf=71", reply), 200);
        assert_int_equal(f->n, 2);
        assert_int_equal(post(f, port, FORM, "tempf=71&tempf=%zz", reply), 400);
        assert_non_null(strstr(reply, "Field 2 is not NAME=VALUE"));
        assert_int_equal(post(f, port, FORM, "{\"tempf\": 71}", reply), 400);
        assert_int_equal(f->n + f->n_unreadable, 2);
}

/* Wrong anywhere: nothing of it is stored, and the sender learns where. */
static void test_wrong_bodies(void **state) {
        SourceFixture *f = *state;
        uint16_t port = start(f, "      max_body: 1KiB\n");
        char reply[2000], large[2000];

        assert_int_equal(post(f, port, JSON, "{\"a\": 1,}", reply), 400);
        assert_non_null(strstr(reply, "Line 1: it is not JSON (byte 8)"));
        assert_int_equal(post(f, port, LINES, "{\"a\": 1}\n{\"a\": none}\n", reply), 400);
        assert_non_null(strstr(reply, "Line 2: it is not JSON"));
        assert_int_equal(post(f, port, "Content-Type: text/plain\r\n", "{}", reply), 415);
        assert_int_equal(post(f, port, "", "{}", reply), 415);
        assert_int_equal(post(f, port, JSON "Content-Encoding: br\r\n", "{}", reply), 415);
        assert_non_null(strstr(reply, "\r\nAccept-Encoding: gzip, identity\r\n"));
        memset(large, ' ', sizeof(large));
        large[1999] = '\0';
        assert_int_equal(post(f, port, JSON, large, reply), 413);
        assert_int_equal(post(f, port, JSON "Origin: https://evil.example\r\n", "{}", reply), 403);
        assert_int_equal(hear(f, send_with(f, port, "GET /readings", "", ""), reply, sizeof(reply)), 405);
        assert_non_null(strstr(reply, "\r\nAllow: POST\r\n")); /* RFC 9110, 15.5.6 */
        assert_int_equal(f->n + f->n_unreadable, 0);
}

/* Python, MicroPython and C print NaN for a sensor that fails: the others count. */
static void test_numbers_that_are_none(void **state) {
        SourceFixture *f = *state;
        uint16_t port = start(f, "");
        char reply[2000];

        assert_int_equal(post(f, port, JSON, "\xef\xbb\xbf{\"te\": NaN, \"hu\": 40}", reply), 200);
        assert_non_null(strstr(source_fixture_payloads(f), "{\"hu\":40,"));
        assert_int_equal(post(f, port, JSON "Content-Encoding: identity\r\n", "{\"te\": nan}", reply), 200);
        assert_int_equal(f->n, 1);
        assert_int_equal(f->n_unreadable, 0);
}

/* A sender that gets 200 forgets what it sent: what is more than is read at once must not be among it (P12). */
static void test_too_many_at_once(void **state) {
        SourceFixture *f = *state;
        uint16_t port = start(f, "      reading: { items: /r }\n");
        char reply[2000];
        Bytes body = {};

        assert_int_equal(bytes_append_text(&body, "{\"r\":[0"), 0);
        for (int i = 1; i < SHAPE_ITEMS_MAX; i++)
                assert_int_equal(bytes_append_text(&body, ",0"), 0);
        assert_int_equal(bytes_append_text(&body, ",1]}"), 0);
        assert_int_equal(post(f, port, JSON, body.data, reply), 413);
        assert_non_null(strstr(reply, "More than 10000 readings at once. Nothing of this body was stored."));
        assert_int_equal(f->n, 0);
        (void) strcpy(strrchr(body.data, ','), "]}");
        assert_int_equal(post(f, port, JSON, body.data, reply), 200);
        assert_int_equal(f->n, SHAPE_ITEMS_MAX);
        bytes_done(&body);
}

/* Each line is a document of its own: all that come under one key are known when they come again, and one commit stays
 * within a second. */
static void test_too_many_lines(void **state) {
        SourceFixture *f = *state;
        uint16_t port = start(f, "");
        char reply[2000];
        Bytes body = {};

        for (int i = 0; i <= READING_SEEN_MAX; i++)
                assert_int_equal(bytes_append_text(&body, i % 2 ? "1\n" : "1\n\n"), 0);
        assert_int_equal(post(f, port, LINES, body.data, reply), 413);
        assert_non_null(strstr(reply, "More than 100000 readings at once. Nothing of this body was stored."));
        assert_int_equal(f->n, 0);
        assert_int_equal(post(f, port, LINES, body.data + strlen("1\n\n"), reply), 200);
        assert_int_equal(f->n, READING_SEEN_MAX);
        bytes_done(&body);
}

static void write_secret(const char *name, const char *text) {
        FILE *file = fopen(name, "we");

        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void test_tokens(void **state) {
        SourceFixture *f = *state;
        char lines[300], path[2][100], reply[2000];
        uint16_t port;

        for (int i = 0; i < 2; i++) {
                (void) snprintf(path[i], sizeof(path[i]), "%s/token%d", f->directory, i);
                write_secret(path[i], i == 0 ? "new-token-1\n" : "old-token-2");
        }
        (void) snprintf(lines, sizeof(lines), "      token_file: [%s, %s]\n", path[0], path[1]);
        port = start(f, lines);
        assert_int_equal(post(f, port, JSON, "{\"a\": 1}", reply), 401);
        assert_non_null(strstr(reply, "WWW-Authenticate: Basic"));
        assert_int_equal(post(f, port, JSON "Authorization: Bearer wrong\r\n", "{\"a\": 1}", reply), 401);
        assert_int_equal(post(f, port, JSON "Authorization: Bearer new-token-1\r\n", "{\"a\": 1}", reply), 200);
        assert_int_equal(post(f, port, JSON "Authorization: Bearer old-token-2\r\n", "{\"a\": 1}", reply), 200);
        assert_int_equal(post(f, port, JSON "Authorization: Basic dTpvbGQtdG9rZW4tMg==\r\n", "{\"a\": 1}", reply), 200);
        assert_int_equal(post(f, port, JSON "Authorization: Basic dTp3cm9uZw==\r\n", "{\"a\": 1}", reply), 401);
        assert_int_equal(post(f, port, JSON "Authorization: Basic %%%\r\n", "{\"a\": 1}", reply), 401);
        /* a NUL behind the token */
        assert_int_equal(post(f, port, JSON "Authorization: Basic dTpvbGQtdG9rZW4tMgBh\r\n", "{\"a\": 1}", reply), 401);
        assert_int_equal(f->n, 3);
}

static void post_gzip(SourceFixture *f, uint16_t port, const char *type, Slice plain, int status, const char *words) {
        char head[200], reply[2000];
        Bytes packed = {};
        int fd;

        assert_int_equal(gzip_make(plain, &packed), 0);
        (void) snprintf(head, sizeof(head), "%sContent-Encoding: gzip\r\n", type);
        fd = send_sized(f, port, "POST /readings", head, bytes_slice(&packed));
        assert_int_equal(hear(f, fd, reply, sizeof(reply)), status);
        assert_non_null(strstr(reply, words));
        bytes_done(&packed);
}

static void test_compressed(void **state) {
        SourceFixture *f = *state;
        uint16_t port = start(f, "      max_body: 1MiB\n");
        char *large = calloc(1, 2 * 1024 * 1024), reply[2000];

        post_gzip(f, port, JSON, slice_of("{\"te\": 21.5}"), 200, "{\"stored\": 1}");
        post_gzip(f, port, LINES, slice_of("1\n2\n"), 200, "{\"stored\": 2}");
        post_gzip(f, port, FORM, slice_of("te=21.5"), 200, "{\"stored\": 1}");
        assert_non_null(strstr(source_fixture_payloads(f), "{\"te\":21.5,"));
        post_gzip(f, port, JSON, slice_of("{\"te\": }"), 400, "Line 1: it is not JSON (byte 7)");
        assert_non_null(large);
        post_gzip(f, port, JSON, (Slice){ large, (size_t) 2 * 1024 * 1024 }, 413, "The body is too large.");
        free(large);
        assert_int_equal(post(f, port, JSON "Content-Encoding: gzip\r\n", "{\"te\": 21.5}", reply), 400);
        assert_non_null(strstr(reply, "The body is not gzip"));
        assert_int_equal(f->n, 4);
}

/* Shelly and weather stations can only call a URL. */
static void test_calls(void **state) {
        static const struct {
                const char *line, *headers;
                int status;
                const char *words;
        } cases[] = {
                { "GET /readings?token=t%2Bk&tempf=70.9&model=GW+1100", "", 200, "\r\nCache-Control: no-store\r\n" },
                { "GET /readings?ID=a&PASSWORD=t%2Bk&dateutc=now&tempf=71", "", 200, "{\"stored\": 1}" },
                { "GET /readings?tempf=72", "Authorization: Bearer t+k\r\n", 200, "{\"stored\": 1}" },
                { "GET /readings?tempf=73&token=t%2Bk", "Content-Encoding: br\r\n", 200, "{\"stored\": 1}" },
                /* a browser that was told the password would send it with any page's images */
                { "GET /readings?tempf=99", "Authorization: Basic dTp0K2s=\r\n", 401, "No valid token" },
                { "GET /readings?tempf=99&token=t%2Bk", "Authorization: Bearer wrong\r\n", 401, "No valid token" },
                { "GET /readings?tempf=99&token=t%2Bk", "Origin: https://evil.example\r\n", 403, "" },
                { "GET /readings?tempf=99", "", 401, "No valid token" },
                { "GET /readings?token=t%2Bk", "", 400, "No fields were sent" },
                { "GET /readings", "Authorization: Bearer t+k\r\n", 400, "No fields were sent" },
                { "GET /readings?token=t%2Bk&tempf=%zz", "", 400, "Field 2 is not NAME=VALUE" },
                { "HEAD /readings?token=t%2Bk&tempf=99", "", 405, "\r\nAllow: GET, POST\r\n" },
                { "PUT /readings?token=t%2Bk&tempf=99", FORM, 405, "Send readings with POST" },
        };
        SourceFixture *f = *state;
        char lines[300], path[100], reply[2000];
        uint16_t port;

        (void) snprintf(path, sizeof(path), "%s/token", f->directory);
        write_secret(path, "t+k\n");
        (void) snprintf(lines, sizeof(lines), "      token_file: %s\n      reading: { numbers: '*' }\n", path);
        port = start(f, lines);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int status = hear(f, send_with(f, port, cases[i].line, cases[i].headers, ""), reply, sizeof(reply));

                if (status != cases[i].status || !strstr(reply, cases[i].words))
                        fail_msg("%s: %s", cases[i].line, reply);
        }
        assert_int_equal(f->n, 4);
        assert_int_equal(f->n_unreadable, 0);
        assert_non_null(strstr(source_fixture_payloads(f), "{\"tempf\":70.9,\"model\":\"GW 1100\",\"source\""));
        assert_non_null(strstr(source_fixture_payloads(f), "{\"ID\":\"a\",\"dateutc\":\"now\",\"tempf\":71,"));
        assert_null(strstr(source_fixture_payloads(f), "t+k"));
}

/* A weather station has a path to set, and no header. What a header says counts more. */
static void test_token_in_the_url(void **state) {
        static const struct {
                const char *line, *headers;
                int status;
        } cases[] = {
                { "POST /readings?token=t%2Bk", FORM, 200 },
                { "POST /readings?token=t%2Bk", FORM "Authorization: Bearer wrong\r\n", 401 },
                { "POST /readings?token=wrong", FORM, 401 },
                { "POST /readings?token", FORM, 401 },
                { "POST /readings?token=", FORM, 401 },
        };
        SourceFixture *f = *state;
        char lines[300], path[100], reply[2000];
        uint16_t port;

        (void) snprintf(path, sizeof(path), "%s/token", f->directory);
        write_secret(path, "t+k\n");
        (void) snprintf(lines, sizeof(lines), "      token_file: %s\n", path);
        port = start(f, lines);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(hear(f, send_with(f, port, cases[i].line, cases[i].headers, "a=1"), reply, 2000),
                        cases[i].status);
        assert_int_equal(f->n, 1);
}

/* No answer before all is on disk, and a refusal while it is full. */
static void test_disk_refuses(void **state) {
        SourceFixture *f = *state;
        uint16_t port = start(f, "");
        char reply[2000], byte;
        int fd;

        f->refuses = true;
        fd = send_request(f, port, JSON, "{\"a\": 1}");
        for (int i = 0; i < 20; i++)
                source_fixture_turn(f);
        assert_int_equal(recv(fd, &byte, 1, 0), -1);
        assert_int_equal(errno, EAGAIN); /* it waits */
        assert_int_equal(post(f, port, JSON, "{\"a\": 2}", reply), 503);
        assert_non_null(strstr(reply, "Retry-After: "));
        f->refuses = false;
        source_resume(f->source);
        assert_int_equal(hear(f, fd, reply, sizeof(reply)), 200);
        assert_int_equal(f->n, 1);
        assert_int_equal(post(f, port, JSON, "{\"a\": 2}", reply), 200);
}

static int send_to_a_full_disk(SourceFixture *f) {
        uint16_t port = start(f, "");
        int fd;

        f->refuses = true;
        fd = send_request(f, port, JSON, "{\"a\": 1}");
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).holding);
        return fd;
}

/* What the stop still stores is said to be stored: the sender does not send it once more. */
static void test_stored_at_the_stop(void **state) {
        SourceFixture *f = *state;
        int fd = send_to_a_full_disk(f);
        char reply[2000];

        f->refuses = false;
        source_fixture_stop(f);
        assert_int_equal(f->n, 1);
        assert_int_equal(hear(f, fd, reply, sizeof(reply)), 200);
}

static void test_refused_at_the_stop(void **state) {
        SourceFixture *f = *state;
        int fd = send_to_a_full_disk(f);
        char reply[2000];

        source_fixture_stop(f);
        assert_int_equal(hear(f, fd, reply, sizeof(reply)), 503);
        assert_int_equal(f->n, 0);
}

static void test_idempotency_key(void **state) {
        SourceFixture *f = *state;
        uint16_t port = start(f, "");
        char reply[2000];

        for (int i = 0; i < 3; i++)
                assert_int_equal(
                        post(f, port, LINES "Idempotency-Key: abc\r\n", "{\"a\": 1}\n{\"a\": 1}\n", reply), 200);
        assert_int_equal(f->n, 2); /* two lines, each once */
        assert_int_equal(post(f, port, LINES "Idempotency-Key: abd\r\n", "{\"a\": 1}\n", reply), 200);
        assert_int_equal(post(f, port, LINES, "{\"a\": 1}\n", reply), 200);
        assert_int_equal(f->n, 4);
        for (int i = 0; i < 2; i++)
                assert_int_equal(post(f, port, LINES "Idempotency-Key:\r\n", "{\"a\": 1}\n", reply), 200);
        assert_int_equal(f->n, 6); /* an empty one is none */
}

static void test_owntracks(void **state) {
        SourceFixture *f = *state;
        uint16_t port = start(f,
                "      answer: owntracks\n      reading: { where: { _type: location }, id: /tid, time: /tst, time_format: unix }\n");
        char reply[2000];

        assert_int_equal(
                post(f, port, JSON,
                        "{\"_type\":\"location\",\"tid\":\"ab\",\"lat\":35.7,\"lon\":139.7,\"tst\":1700000000}", reply),
                200);
        assert_non_null(strstr(reply, "\r\n\r\n[]"));
        assert_int_equal(post(f, port, JSON, "", reply), 200); /* a friend was deleted */
        assert_int_equal(post(f, port, JSON, "{\"_type\":\"lwt\"}", reply), 200);
        assert_int_equal(f->n, 1);
        assert_non_null(strstr(source_fixture_payloads(f), "\"measured_at\":\"2023-11-14T22:13:20.000Z\""));
}

static void test_address_taken(void **state) {
        SourceFixture *f = *state;
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(free_port())
        };
        char lines[200];
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 1), 0);
        (void) snprintf(
                lines, sizeof(lines), "      type: http_push\n      listen: 127.0.0.1:%u\n", ntohs(address.sin_port));
        source_fixture_start(f, lines);
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).failure.on);
        assert_non_null(strstr(source_fixture_status(f).failure.detail, "another program has that address"));
        close(fd);
        SOURCE_FIXTURE_UNTIL(f, !source_fixture_status(f).failure.on);
}

/* While no connection can be taken the source is failing. */
static void test_no_connection(void **state) {
        SourceFixture *f = *state;
        const ListenHandler *handler;
        char address[64];

        (void) snprintf(address, sizeof(address), "127.0.0.1:%u", start(f, ""));
        handler = &LIST_FIRST(&listen_server_find(f->host.means.listen, address)->routes)->handler;
        handler->on_refused(handler->userdata, -EMFILE);
        assert_true(source_fixture_status(f).failure.on);
        assert_int_equal(source_fixture_status(f).failure.cause, CAUSE_MEMORY);
        assert_non_null(strstr(source_fixture_status(f).failure.detail, "LimitNOFILE="));
        handler->on_refused(handler->userdata, 0);
        assert_false(source_fixture_status(f).failure.on);
}

static void test_wrong_configuration(void **state) {
        static const struct {
                const char *lines, *words;
        } cases[] = {
                { "", "listen" },
                { "      listen: 8427\n", "is not an address" },
                { "      listen: 0.0.0.0:8427\n", "token_file is needed" },
                { "      listen: 0.0.0.0:8427\n      token_file: t\n", "unencrypted" },
                { "      listen: systemd:push\n", "token_file is needed" },
                { "      listen: 127.0.0.1:8427\n      path: readings\n", "path" },
                { "      listen: 127.0.0.1:8427\n      token_file: [a, b, c]\n", "token_file" },
                { "      listen: 127.0.0.1:8427\n      key_file: a\n", "belong together" },
                { "      listen: 127.0.0.1:8427\n      tls: { key_file: a }\n", "tls.certificate_file: is missing" },
                { "      listen: 127.0.0.1:8427\n      tls: { certificate_file: a, key_file: a }\n      certificate_file: b\n",
                        "leave those out" },
        };
        static const char *const good[] = {
                "      listen: 0.0.0.0:8427\n      token_file: t\n      allow_plain: true\n",
                "      listen: 0.0.0.0:8427\n      token_file: t\n      tls: { certificate_file: c, key_file: k }\n",
                "      listen: '[::]:8427'\n      token_file: [t, u]\n      certificate_file: c\n      key_file: k\n      hosts: [pi.example]\n",
        };
        char error[1000], lines[500];
        SourceFixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases) + ELEMENTSOF(good); i++) {
                bool bad = i < ELEMENTSOF(cases);

                (void) snprintf(lines, sizeof(lines), "      type: http_push\n%s",
                        bad ? cases[i].lines : good[i - ELEMENTSOF(cases)]);
                source_fixture_read(f, lines, error, sizeof(error));
                if (bad ? !strstr(error, cases[i].words) : error[0] != '\0')
                        fail_msg("%s: %s", lines, error);
                f->config = config_unref(f->config);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, source_fixture_set_up, source_fixture_tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_bodies),
                TEST(test_forms),
                TEST(test_wrong_bodies),
                TEST(test_numbers_that_are_none),
                TEST(test_too_many_at_once),
                TEST(test_too_many_lines),
                TEST(test_tokens),
                TEST(test_compressed),
                TEST(test_calls),
                TEST(test_token_in_the_url),
                TEST(test_disk_refuses),
                TEST(test_stored_at_the_stop),
                TEST(test_refused_at_the_stop),
                TEST(test_idempotency_key),
                TEST(test_owntracks),
                TEST(test_address_taken),
                TEST(test_no_connection),
                TEST(test_wrong_configuration),
        };

        return cmocka_run_group_tests_name("http-push", tests, NULL, NULL);
}
