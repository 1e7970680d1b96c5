/* SPDX-License-Identifier: Apache-2.0 */
#include "http-server.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define MUST(expression)                                                                                               \
        do {                                                                                                           \
                if (!(expression)) {                                                                                   \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expression);                               \
                        abort();                                                                                       \
                }                                                                                                      \
        } while (0)

struct HttpServerConnection {
        HttpServer *server;
        int fd;
        SSL *ssl;
        pthread_t thread;
        Bytes input;
        LIST_ENTRY(HttpServerConnection) link;
};

struct HttpServer {
        HttpServerHandler handler;
        HttpServerRawHandler raw_handler; /* instead */
        void *userdata;
        SSL_CTX *tls;
        int fd;
        unsigned port;
        pthread_t thread;
        pthread_mutex_t mutex; /* over the rest */
        unsigned n_accepted, n_calls;
        LIST_HEAD(ConnectionList, HttpServerConnection) connections;
};

/* ---- bytes ---- */

static bool connection_read(HttpServerConnection *c) {
        char buffer[16384];
        int n;

        n = c->ssl ? SSL_read(c->ssl, buffer, sizeof(buffer)) : (int) recv(c->fd, buffer, sizeof(buffer), 0);
        if (n <= 0)
                return false;

        MUST(bytes_append(&c->input, buffer, (size_t) n) == 0);
        return true;
}

void http_server_send(HttpServerConnection *c, const void *data, size_t size) {
        const char *p = data;

        while (size > 0) {
                int part = size > 65536 ? 65536 : (int) size;
                int n = c->ssl ? SSL_write(c->ssl, p, part) : (int) send(c->fd, p, (size_t) part, MSG_NOSIGNAL);

                if (n <= 0)
                        return; /* the peer is gone; so be it */
                p += n;
                size -= (size_t) n;
        }
}

void http_server_send_text(HttpServerConnection *c, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vasprintf(&text, format, arguments);
        va_end(arguments);
        MUST(n >= 0);
        http_server_send(c, text, (size_t) n);
}

void http_server_reply(HttpServerConnection *c, int status, const char *headers, const char *body) {
        http_server_send_text(
                c, "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), headers, body);
}

bool http_server_receive(HttpServerConnection *c, void *data, size_t size) {
        while (c->input.size < size)
                if (!connection_read(c))
                        return false;

        if (size > 0) {
                memcpy(data, c->input.data, size);
                memmove(c->input.data, c->input.data + size, c->input.size - size + 1);
                c->input.size -= size;
        }
        return true;
}

void http_server_stall(HttpServerConnection *c) {
        while (connection_read(c))
                ;
}

/* ---- requests ---- */

bool http_server_header(const HttpServerCall *call, const char *name, char *value, size_t size) {
        for (const char *line = strstr(call->head.data, "\r\n"); line; line = strstr(line, "\r\n")) {
                line += 2;
                if (strncasecmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ':')
                        continue;

                line += strlen(name) + 1;
                line += strspn(line, " ");
                (void) snprintf(value, size, "%.*s", (int) strcspn(line, "\r"), line);
                return true;
        }
        return false;
}

static void connection_shift(HttpServerConnection *c, size_t size, Bytes *ret) {
        MUST(bytes_append(ret, c->input.data, size) == 0);
        memmove(c->input.data, c->input.data + size, c->input.size - size + 1);
        c->input.size -= size;
}

static bool connection_read_call(HttpServerConnection *c, HttpServerCall *call) {
        char length[32] = "0";
        const char *end;

        while (!c->input.data || !(end = strstr(c->input.data, "\r\n\r\n")))
                if (!connection_read(c))
                        return false;

        connection_shift(c, (size_t) (end + 4 - c->input.data), &call->head);
        MUST(sscanf(call->head.data, "%15s %1023s HTTP/1.1", call->method, call->path) == 2);
        (void) http_server_header(call, "Content-Length", length, sizeof(length));
        while (c->input.size < strtoul(length, NULL, 10))
                if (!connection_read(c))
                        return false;

        connection_shift(c, strtoul(length, NULL, 10), &call->body);
        return true;
}

static bool connection_serve_one(HttpServerConnection *c) {
        HttpServer *server = c->server;
        HttpServerCall call = {};
        bool keep;

        keep = connection_read_call(c, &call);
        if (keep) {
                (void) pthread_mutex_lock(&server->mutex);
                server->n_calls++;
                (void) pthread_mutex_unlock(&server->mutex);
                keep = server->handler(server->userdata, c, &call);
        }

        bytes_done(&call.head);
        bytes_done(&call.body);
        return keep;
}

/* The descriptor stays open until the server goes, so that no other gets its number while http_server_free() may shut
 * it down. */
static void *connection_thread(void *userdata) {
        HttpServerConnection *c = userdata;

        if (!c->ssl || SSL_accept(c->ssl) == 1) {
                if (c->server->raw_handler)
                        c->server->raw_handler(c->server->userdata, c);
                else
                        while (connection_serve_one(c))
                                ;
        }
        if (c->ssl)
                (void) SSL_shutdown(c->ssl);
        (void) shutdown(c->fd, SHUT_RDWR);
        return NULL;
}

/* ---- life ---- */

static void server_add_connection(HttpServer *server, int fd) {
        HttpServerConnection *c = calloc(1, sizeof(*c));

        MUST(c);
        c->server = server;
        c->fd = fd;
        if (server->tls) {
                c->ssl = SSL_new(server->tls);
                MUST(c->ssl && SSL_set_fd(c->ssl, fd) == 1);
        }

        (void) pthread_mutex_lock(&server->mutex);
        server->n_accepted++;
        LIST_INSERT_HEAD(&server->connections, c, link);
        MUST(pthread_create(&c->thread, NULL, connection_thread, c) == 0);
        (void) pthread_mutex_unlock(&server->mutex);
}

static void *server_thread(void *userdata) {
        HttpServer *server = userdata;

        for (;;) {
                int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0)
                        return NULL; /* http_server_free() shut it down */
                server_add_connection(server, fd);
        }
}

static HttpServer *server_new(
        HttpServerHandler handler, HttpServerRawHandler raw_handler, void *userdata, SSL_CTX *tls) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        HttpServer *server = calloc(1, sizeof(*server));

        MUST(server);
        (void) signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
        server->handler = handler;
        server->raw_handler = raw_handler;
        server->userdata = userdata;
        server->tls = tls;
        LIST_INIT(&server->connections);
        MUST(pthread_mutex_init(&server->mutex, NULL) == 0);
        server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        MUST(server->fd >= 0);
        MUST(bind(server->fd, (struct sockaddr *) &address, sizeof(address)) == 0);
        MUST(listen(server->fd, 128) == 0);
        MUST(getsockname(server->fd, (struct sockaddr *) &address, &size) == 0);
        server->port = ntohs(address.sin_port);
        MUST(pthread_create(&server->thread, NULL, server_thread, server) == 0);
        return server;
}

HttpServer *http_server_new(HttpServerHandler handler, void *userdata) {
        return server_new(handler, NULL, userdata, NULL);
}

static X509 *make_certificate(EVP_PKEY *key) {
        X509 *certificate = X509_new();
        X509_NAME *name;
        X509_EXTENSION *names;

        MUST(certificate && X509_set_version(certificate, 2) == 1);
        MUST(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1);
        MUST(X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
                X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
        name = X509_get_subject_name(certificate);
        MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *) "test", -1, -1, 0) == 1);
        MUST(X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1);
        names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
        MUST(names && X509_add_ext(certificate, names, -1) == 1);
        X509_EXTENSION_free(names);
        MUST(X509_sign(certificate, key, EVP_sha256()) > 0);
        return certificate;
}

static SSL_CTX *make_tls(const char *certificate_file) {
        SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *certificate = make_certificate(key);
        FILE *file = fopen(certificate_file, "we");

        MUST(tls && file);
        MUST(PEM_write_X509(file, certificate) == 1 && fclose(file) == 0);
        MUST(SSL_CTX_use_certificate(tls, certificate) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1);
        X509_free(certificate);
        EVP_PKEY_free(key);
        return tls;
}

HttpServer *http_server_new_tls(HttpServerHandler handler, void *userdata, const char *certificate_file) {
        return server_new(handler, NULL, userdata, make_tls(certificate_file));
}

HttpServer *http_server_new_asking(
        HttpServerHandler handler, void *userdata, const char *certificate_file, const char *key_file) {
        SSL_CTX *tls = make_tls(certificate_file);
        FILE *file = fopen(key_file, "we");

        MUST(file && PEM_write_PrivateKey(file, SSL_CTX_get0_privatekey(tls), NULL, NULL, 0, NULL, NULL) == 1);
        MUST(fclose(file) == 0 && SSL_CTX_load_verify_locations(tls, certificate_file, NULL) == 1);
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        return server_new(handler, NULL, userdata, tls);
}

static int select_h2(SSL *ssl, const unsigned char **ret, unsigned char *ret_size, const unsigned char *offered,
        unsigned size, void *userdata) {
        static const unsigned char h2[] = "\x02h2";
        unsigned char *selected;

        if (SSL_select_next_proto(&selected, ret_size, h2, 3, offered, size) != OPENSSL_NPN_NEGOTIATED)
                return SSL_TLSEXT_ERR_ALERT_FATAL;

        *ret = selected;
        return SSL_TLSEXT_ERR_OK;
}

HttpServer *http_server_new_h2(HttpServerRawHandler handler, void *userdata, const char *certificate_file) {
        SSL_CTX *tls = make_tls(certificate_file);

        SSL_CTX_set_alpn_select_cb(tls, select_h2, NULL);
        return server_new(NULL, handler, userdata, tls);
}

HttpServer *http_server_free(HttpServer *server) {
        HttpServerConnection *c;

        if (!server)
                return NULL;

        (void) shutdown(server->fd, SHUT_RDWR);
        (void) pthread_join(server->thread, NULL);
        (void) close(server->fd);

        LIST_FOREACH(c, &server->connections, link)
                (void) shutdown(c->fd, SHUT_RDWR);
        while ((c = LIST_FIRST(&server->connections))) {
                LIST_REMOVE(c, link);
                (void) pthread_join(c->thread, NULL);
                SSL_free(c->ssl);
                (void) close(c->fd);
                bytes_done(&c->input);
                free(c);
        }
        SSL_CTX_free(server->tls);
        (void) pthread_mutex_destroy(&server->mutex);
        free(server);
        return NULL;
}

unsigned http_server_port(const HttpServer *server) {
        return server->port;
}

static unsigned server_read(HttpServer *server, const unsigned *counter) {
        unsigned n;

        (void) pthread_mutex_lock(&server->mutex);
        n = *counter;
        (void) pthread_mutex_unlock(&server->mutex);
        return n;
}

unsigned http_server_accepted(HttpServer *server) {
        return server_read(server, &server->n_accepted);
}

unsigned http_server_calls(HttpServer *server) {
        return server_read(server, &server->n_calls);
}
