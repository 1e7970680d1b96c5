/* SPDX-License-Identifier: Apache-2.0 */
/* Speaks TLS in front of a server of the benchmark that does not: one thread for each connection, and nothing of the
 * daemon's.
 *
 * On stdout: "listening PORT", and at SIGTERM one JSON object. */

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

typedef struct Front {
        SSL_CTX *context;
        int listen_fd;
        uint16_t server;
        atomic_uint connections;
} Front;

typedef struct Connection {
        SSL *ssl;
        int tls_fd, plain_fd;
} Connection;

static struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in){
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
        };
}

/* What came from the client. False when it has gone. */
static bool to_server(Connection *c, char *buffer) {
        int n = SSL_read(c->ssl, buffer, CHUNK);

        if (n <= 0)
                return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
        for (int sent = 0; sent < n;) {
                ssize_t k = send(c->plain_fd, buffer + sent, (size_t) (n - sent), MSG_NOSIGNAL);

                if (k < 0)
                        return false;
                sent += (int) k;
        }
        return true;
}

static bool to_client(Connection *c, char *buffer) {
        ssize_t n = recv(c->plain_fd, buffer, CHUNK, 0);

        return n > 0 && SSL_write(c->ssl, buffer, (int) n) > 0;
}

static void *relay(void *userdata) {
        Connection *c = userdata;
        struct pollfd fds[2] = { { .fd = c->tls_fd, .events = POLLIN }, { .fd = c->plain_fd, .events = POLLIN } };
        char *buffer = malloc(CHUNK);
        bool open = buffer && SSL_accept(c->ssl) > 0;

        while (open) {
                bool pending = SSL_pending(c->ssl) > 0;

                if (poll(fds, 2, pending ? 0 : -1) < 0)
                        break;
                if (pending || fds[0].revents)
                        open = to_server(c, buffer);
                if (open && fds[1].revents)
                        open = to_client(c, buffer);
        }
        free(buffer);
        SSL_free(c->ssl);
        (void) close(c->tls_fd);
        (void) close(c->plain_fd);
        free(c);
        return NULL;
}

static void connection_start(Front *front, int fd) {
        struct sockaddr_in address = loopback(front->server);
        Connection *c = calloc(1, sizeof *c);
        pthread_t thread;
        int on = 1;

        if (!c)
                err(EXIT_FAILURE, "calloc");
        *c = (Connection){
                .ssl = SSL_new(front->context), .tls_fd = fd, .plain_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
        };
        (void) setsockopt(c->tls_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void) setsockopt(c->plain_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1 ||
                connect(c->plain_fd, (struct sockaddr *) &address, sizeof address) < 0)
                err(EXIT_FAILURE, "cannot connect to port %u", front->server);
        if (pthread_create(&thread, NULL, relay, c) != 0)
                errx(EXIT_FAILURE, "cannot start a thread");
        (void) pthread_detach(thread);
        front->connections++;
}

static void *serve(void *userdata) {
        Front *front = userdata;

        for (;;) {
                int fd = accept4(front->listen_fd, NULL, NULL, SOCK_CLOEXEC);

                if (fd >= 0)
                        connection_start(front, fd);
        }
        return NULL;
}

static void front_listen(Front *front, const char *certificate) {
        struct sockaddr_in address = loopback(0);
        socklen_t size = sizeof address;

        front->context = SSL_CTX_new(TLS_server_method());
        if (!front->context || SSL_CTX_use_certificate_chain_file(front->context, certificate) != 1 ||
                SSL_CTX_use_PrivateKey_file(front->context, certificate, SSL_FILETYPE_PEM) != 1)
                errx(EXIT_FAILURE, "cannot use %s", certificate);
        (void) SSL_CTX_clear_mode(
                front->context, SSL_MODE_AUTO_RETRY); /* a read must not wait for data behind a record without any */
        front->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(front->listen_fd, (struct sockaddr *) &address, size) < 0 || listen(front->listen_fd, 128) < 0 ||
                getsockname(front->listen_fd, (struct sockaddr *) &address, &size) < 0)
                err(EXIT_FAILURE, "cannot listen");
        (void) printf("listening %u\n", ntohs(address.sin_port));
        (void) fflush(stdout);
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "server", required_argument, NULL, 's' },
                { "certificate", required_argument, NULL, 'c' }, {} };
        const char *certificate = NULL;
        Front front = {};
        pthread_t thread;
        sigset_t signals;
        int c, number;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 's')
                        front.server = (uint16_t) atoi(optarg);
                else if (c == 'c')
                        certificate = optarg;
        if (!front.server || !certificate)
                errx(64, "usage: tls-front --server PORT --certificate FILE");
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void) sigemptyset(&signals);
        (void) sigaddset(&signals, SIGTERM);
        (void) pthread_sigmask(SIG_BLOCK, &signals, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
        front_listen(&front, certificate);
        if (pthread_create(&thread, NULL, serve, &front) != 0)
                errx(EXIT_FAILURE, "cannot start a thread");
        (void) sigwait(&signals, &number);
        (void) printf("{\"connections\": %u}\n", front.connections);
        return EXIT_SUCCESS;
}
