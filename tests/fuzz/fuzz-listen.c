/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a client sends to a listener: a request has a path, and a body within the limit, and each is
 * answered; what its query and its login say is understood or refused. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "lib/listen.h"
#include "page-answer.h"
#include "page-render.h"

#define BODY_MAX 256
#define QUIET_TURNS 4
#define TURNS_MAX 200 /* of 10 ms */

static void on_header(void *userdata, ListenRequest *request) {
        const PageLoginTry try = { listen_header(request, "Authorization"), listen_peer(request), 1 };
        PageLogin login = {};
        unsigned seconds;

        require(listen_query(request, NULL));
        require(listen_path(request) && listen_method(request)[0] != '\0' && listen_body(request).size == 0);
        if (page_login_check(&login, "secret", &try, &seconds) == PAGE_LOGIN_WRONG)
                page_answer_text(request, 401, "WWW-Authenticate", "Basic", "a password\n");
}

static void on_request(void *userdata, ListenRequest *request) {
        const PageQueryText text = {
                .series = listen_query(request, "series"),
                .from = listen_query(request, "from"),
                .to = listen_query(request, "to"),
                .points = listen_query(request, "points"),
        };
        PageQuery query;

        require(listen_body(request).size <= BODY_MAX);
        if (page_query_parse(&text, &query))
                return page_answer_error(request, 400, "query");
        page_answer_file(request, &page_files[0]);
}

/* Listens as long as the process lives. Returns the port; *ret_loop is its loop. */
static uint16_t listener(Loop **ret_loop) {
        const ListenHandler handler = { on_header, on_request, NULL };
        static Loop *loop;
        static uint16_t port;
        ListenRoute *route;
        Listen *listen;
        char address[32];
        int r = -EADDRINUSE;

        if (port == 0)
                require(loop_new(&loop) == 0 && listen_new(loop, &listen) == 0);
        while (r == -EADDRINUSE && port == 0) {
                uint16_t drawn = (uint16_t) (20000 + loop_random() % 12000);

                (void) snprintf(address, sizeof(address), "127.0.0.1:%u", drawn);
                r = listen_route(listen,
                        &(ListenSpec){ .address = address, .path = "/", .below = true, .max_body = BODY_MAX }, &handler,
                        &route);
                require(r == 0 || r == -EADDRINUSE);
                port = r == 0 ? drawn : 0;
        }
        *ret_loop = loop;
        return port;
}

/* The client half-closes when nothing more is answered; then the listener ends the connection. libmicrohttpd does not
 * see an end that it finds together with the last bytes (the listener rested), and would wait until the connection was
 * silent for 75 s: the client does not. */
static void converse(Loop *loop, int fd, Slice text) {
        char answer[4096];
        ssize_t n = -1;

        require(send(fd, text.data, text.size, MSG_NOSIGNAL) == (ssize_t) text.size);
        for (int i = 0; i < TURNS_MAX && n != 0; i++) {
                require(loop_turn(loop, i < QUIET_TURNS ? 0 : 10 * USEC_PER_MSEC) >= 0);
                n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
                if (n < 0 && errno == ECONNRESET)
                        n = 0;
                if (i == QUIET_TURNS)
                        (void) shutdown(fd, SHUT_WR);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        Loop *loop;

        address.sin_port = htons(listener(&loop));
        require(connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0);
        converse(loop, fd, (Slice){ (const char *) data, size < 16384 ? size : 16384 });
        (void) close(fd);
        return 0;
}
