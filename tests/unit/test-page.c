/* SPDX-License-Identifier: Apache-2.0 */
/* The page over real connections. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config-fixture.h"
#include "free-port.h"
#include "lib/gzip.h"
#include "lib/listen-internal.h"
#include "page-answer.h"
#include "page.h"

typedef struct Fixture {
        Loop *loop;
        Listen *listen;
        Secrets *secrets;
        Page *page;
        Config *config;
        uint16_t port;
        char directory[64];
        bool failing;
        char reply[100000];
} Fixture;

static int look(void *userdata, Figures *ret) {
        const Fixture *f = userdata;

        *ret = (Figures){ .wall = clock_wall(),
                .now = clock_now(),
                .config = "/etc/<img onerror>",
                .token.failure.on = f->failing,
                .token.failure.detail = "",
                .reload_error = "" };
        return 0;
}

static void on_stopped(void *userdata) {}

static void turn(Fixture *f) {
        assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
}

/* The page as *more* of its section says. It listens at once: nobody has to wait for a turn of the loop. */
static void use(Fixture *f, const char *more) {
        char text[1000];
        Config *config;
        int size;

        size = snprintf(text, sizeof(text), PUBSUB SUBSCRIBE "state_dir: %s\npage: {listen: '127.0.0.1:%u'%s}\n",
                f->directory, f->port, more);
        config = parse_as("page.yaml", text, (size_t) size, &types_of_config);
        if (config->page->password.file)
                config->page->password.text = strdup("secret");
        page_use(f->page, config);
        config_unref(f->config);
        f->config = config;
}

static int set_up(void **state) {
        Fixture *f = *state = calloc(1, sizeof(*f));

        strcpy(f->directory, "/tmp/test-page-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(listen_new(f->loop, &f->listen), 0);
        assert_int_equal(secrets_new(&f->secrets), 0);
        assert_int_equal(
                page_new(&(PageHost){ f->loop, f->listen, f->secrets, f->directory, look, on_stopped, f }, &f->page),
                0);
        f->port = free_port();
        return 0;
}

static void stop(Fixture *f) {
        usec_t until = clock_now() + 20 * USEC_PER_SEC;

        for (page_stop(f->page); !page_is_stopped(f->page); turn(f))
                assert_true(clock_now() < until);
}

static int tear_down(void **state) {
        Fixture *f = *state;

        char path[100];

        stop(f);
        page_free(f->page);
        (void) snprintf(path, sizeof(path), "%s/page.sqlite", f->directory);
        (void) unlink(path);
        listen_free(f->listen);
        secrets_free(f->secrets);
        config_unref(f->config);
        loop_free(f->loop);
        assert_int_equal(rmdir(f->directory), 0);
        free(f);
        return 0;
}

/* The status, and the reply in *reply*. */
static int ask(Fixture *f, const char *line, const char *headers, char reply[static 100000]) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(f->port)
        };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n, status = 0;
        usec_t until = clock_now() + 20 * USEC_PER_SEC;
        char text[4000];
        size_t total = 0;
        ssize_t got;

        n = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nConnection: close\r\n%s%s\r\n", line,
                strstr(headers, "Host:") ? "" : "Host: localhost\r\n", headers);
        assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(send(fd, text, (size_t) n, 0), n);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        while ((got = recv(fd, reply + total, 99999 - total, 0)) != 0) {
                if (got < 0 && errno == ECONNRESET)
                        break;
                total += got > 0 ? (size_t) got : 0;
                assert_true(clock_now() < until);
                turn(f);
        }
        reply[total] = '\0';
        close(fd);
        assert_int_equal(sscanf(reply, "HTTP/1.1 %d", &status), 1);
        return status;
}

static const char *body_of(const char *reply) {
        return strstr(reply, "\r\n\r\n") + 4;
}

static void assert_guarded(const char *reply) {
        assert_contains(reply,
                "\r\nContent-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n");
        assert_contains(reply, "\r\nX-Frame-Options: DENY\r\n");
        assert_contains(reply, "\r\nX-Content-Type-Options: nosniff\r\n");
        assert_contains(reply, "\r\nReferrer-Policy: no-referrer\r\n");
        assert_contains(reply, "\r\nCross-Origin-Resource-Policy: same-origin\r\n");
        assert_null(strstr(reply, "Set-Cookie"));
        assert_null(strstr(reply, "Access-Control"));
}

static void test_files(void **state) {
        Fixture *f = *state;
        char *reply = f->reply, line[100], header[100];

        use(f, "");
        for (const PageFile *file = page_files; file->path; file++) {
                _cleanup_bytes_ Bytes plain = {};

                assert_int_equal(gzip_undo(file->gzip, (size_t) 1 << 20, &plain), GZIP_DONE);
                (void) snprintf(line, sizeof(line), "GET %s", file->path);
                assert_int_equal(ask(f, line, "", reply), 200);
                assert_guarded(reply);
                assert_contains(reply, "\r\nCache-Control: no-cache\r\n");
                assert_int_equal(strlen(body_of(reply)), plain.size);
                assert_memory_equal(body_of(reply), plain.data, plain.size);

                assert_int_equal(ask(f, line, "Accept-Encoding: br, gzip\r\n", reply), 200);
                assert_contains(reply, "\r\nContent-Encoding: gzip\r\n");
                assert_contains(reply, "\r\nVary: Accept-Encoding\r\n");
                assert_memory_equal(body_of(reply), file->gzip.data, file->gzip.size);
                assert_int_equal(ask(f, line, "Accept-Encoding: gzip;q=0\r\n", reply), 200);
                assert_null(strstr(reply, "Content-Encoding"));

                (void) snprintf(header, sizeof(header), "If-None-Match: \"other\", %s\r\n", file->tag);
                assert_int_equal(ask(f, line, header, reply), 304);
                assert_string_equal(body_of(reply), "");
                assert_guarded(reply);

                (void) snprintf(line, sizeof(line), "HEAD %s", file->path);
                assert_int_equal(ask(f, line, "", reply), 200);
                assert_string_equal(body_of(reply), "");
        }
}

static void test_status(void **state) {
        Fixture *f = *state;
        char *reply = f->reply;

        use(f, "");
        assert_int_equal(ask(f, "GET /api/status", "", reply), 200);
        assert_guarded(reply);
        assert_contains(reply, "\r\nContent-Type: application/json\r\n");
        assert_contains(reply, "\r\nCache-Control: no-store\r\n");
        assert_contains(reply, "\"config\":\"/etc/<img onerror>\"");
        assert_contains(reply, ",\"page\":{\"version\":\"" SENSORQD_VERSION "\",\"time\":");
        assert_contains(reply, ",\"subscription\":\"projects/my-project/subscriptions/sub\"}}\n");

        assert_int_equal(ask(f, "GET /healthz", "", reply), 200);
        f->failing = true;
        assert_int_equal(ask(f, "GET /healthz", "", reply), 503);
        assert_guarded(reply);
}

static void test_refusals(void **state) {
        static const char *const methods[] = { "POST /", "PUT /", "DELETE /api/status", "OPTIONS /", "PATCH /",
                "TRACE /" };
        static const char *const paths[] = { "GET /nothing", "GET /api/", "GET /../etc/passwd", "GET //",
                "GET /page.html", "GET /%2e%2e/x", "GET /api/status/" };
        Fixture *f = *state;
        char *reply = f->reply;

        use(f, "");
        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                assert_int_equal(ask(f, methods[i], "", reply), 405);
                assert_contains(reply, "\r\nAllow: GET, HEAD\r\n");
                assert_guarded(reply);
        }
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                assert_int_equal(ask(f, paths[i], "", reply), 404);
                assert_null(strstr(body_of(reply), "etc"));
        }
}

/* A name that somebody else made point here is refused (DNS rebinding). */
static void test_hosts(void **state) {
        static const char *const ours[] = { "localhost", "localhost:8480", "127.0.0.1", "[::1]:80", "192.168.1.5:8480",
                "pi.example", "PI.EXAMPLE:8480" };
        static const char *const others[] = { "evil.example", "pi.example.evil.example", "localhost.evil.example", "",
                "127.0.0.1.evil.example" };
        Fixture *f = *state;
        char *reply = f->reply, header[100];

        use(f, ", hosts: [pi.example]");
        for (size_t i = 0; i < ELEMENTSOF(ours); i++) {
                (void) snprintf(header, sizeof(header), "Host: %s\r\n", ours[i]);
                assert_int_equal(ask(f, "GET /api/status", header, reply), 200);
        }
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                (void) snprintf(header, sizeof(header), "Host: %s\r\n", others[i]);
                assert_int_equal(ask(f, "GET /api/status", header, reply), 403);
                assert_null(strstr(reply, "version"));
        }
}

static void test_password(void **state) {
        static const char *const paths[] = { "GET /", "GET /page.js", "GET /api/status", "GET /healthz", "GET /nothing",
                "HEAD /" };
        Fixture *f = *state;
        char *reply = f->reply;

        use(f, ", password_file: pw");
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                assert_int_equal(ask(f, paths[i], "", reply), 401);
                assert_contains(reply, "\r\nWWW-Authenticate: Basic realm=\"sensorqd\"");
                assert_guarded(reply);
        }
        assert_int_equal(ask(f, "GET /", "Authorization: Basic eDpzZWNyZXQ=\r\n", reply), 200);
        for (int i = 0; i < 5; i++)
                assert_int_equal(ask(f, "GET /", "Authorization: Basic eDpndWVzcw==\r\n", reply), 401);
        assert_int_equal(ask(f, "GET /", "Authorization: Basic eDpzZWNyZXQ=\r\n", reply), 429);
        assert_contains(reply, "\r\nRetry-After: 1");
        assert_null(strstr(reply, "secret"));
}

/* A reload that changes the page, or takes it away. */
static void test_reload(void **state) {
        Fixture *f = *state;
        char *reply = f->reply;
        Config *without;

        use(f, "");
        assert_int_equal(ask(f, "GET /", "", reply), 200);
        use(f, "");
        assert_int_equal(ask(f, "GET /", "", reply), 200);
        use(f, ", password_file: pw");
        assert_int_equal(ask(f, "GET /", "", reply), 401);
        f->port = free_port();
        use(f, "");
        assert_int_equal(ask(f, "GET /", "", reply), 200);

        without = parse_as("page.yaml", PUBSUB SUBSCRIBE, strlen(PUBSUB SUBSCRIBE), &types_of_config);
        page_use(f->page, without);
        config_unref(without);
        f->port = free_port();
        use(f, "");
        stop(f);
}

/* A stop right after a reload that takes the page away: what is saved under way is the last there is to wait for. */
static void test_stop_while_it_rests(void **state) {
        Fixture *f = *state;
        Config *without;

        use(f, "");
        assert_int_equal(ask(f, "GET /api/series", "", f->reply), 200); /* the file is open */
        without = parse_as("page.yaml", PUBSUB SUBSCRIBE, strlen(PUBSUB SUBSCRIBE), &types_of_config);
        page_use(f->page, without);
        config_unref(without);
        stop(f);
}

/* An address that is taken is had when it is free. */
static void test_address_taken(void **state) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        usec_t until = clock_now() + 20 * USEC_PER_SEC;
        Fixture *f = *state;
        char *reply = f->reply;

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
        address.sin_port = htons(f->port);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 1), 0);
        use(f, "");
        close(fd);
        for (fd = -1; fd < 0; turn(f)) {
                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                assert_true(clock_now() < until);
                if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                        close(fd);
                        fd = -1;
                }
        }
        close(fd);
        assert_int_equal(ask(f, "GET /", "", reply), 200);
}

/* While no connection can be taken the page is failing: from the second time on that it is told, and until it is
 * over. */
static void test_no_connection(void **state) {
        Fixture *f = *state;
        const ListenHandler *handler;
        char address[64];

        use(f, "");
        (void) snprintf(address, sizeof(address), "127.0.0.1:%u", f->port);
        handler = &LIST_FIRST(&listen_server_find(f->listen, address)->routes)->handler;
        handler->on_refused(handler->userdata, -EMFILE);
        assert_int_equal(page_trouble(f->page)->said, TROUBLE_NONE);
        handler->on_refused(handler->userdata, -EMFILE);
        assert_int_equal(page_trouble(f->page)->said, TROUBLE_PASSING);
        assert_int_equal(page_trouble(f->page)->cause, CAUSE_MEMORY);
        assert_contains(page_trouble(f->page)->detail, "LimitNOFILE=");
        handler->on_refused(handler->userdata, 0);
        assert_false(trouble_is_on(page_trouble(f->page)));
}

/* As the daemon ends: the thread that reads history may still be in the driver (end_without_handlers() of main.c). */
int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hosts, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_password, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_reload, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stop_while_it_rests, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_address_taken, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_connection, set_up, tear_down),
        };

        int failed = cmocka_run_group_tests(tests, NULL, NULL);

#ifndef __SANITIZE_ADDRESS__
        (void) fflush(NULL);
        _exit(failed);
#endif
        return failed;
}
