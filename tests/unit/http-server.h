/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A small HTTP/1.1 server inside the test's process, on a free port of 127.0.0.1, a thread a connection. What it
 * answers is up to the test's handler, down to the byte. Its failures are the test's: they end the process. */

#include <stdarg.h>
#include <stdbool.h>

#include "lib/bytes.h"

typedef struct HttpServer HttpServer;
typedef struct HttpServerCall HttpServerCall;

struct HttpServerCall {
        char method[16];
        char path[1024]; /* with the query */
        Bytes head;      /* request line and header lines */
        Bytes body;
};

typedef struct HttpServerConnection HttpServerConnection;

/* Answers one request, on the connection's thread. False closes the connection. */
typedef bool (*HttpServerHandler)(void *userdata, HttpServerConnection *connection, const HttpServerCall *call);

HttpServer *http_server_new(HttpServerHandler handler, void *userdata);
/* With TLS and a fresh self-signed certificate for 127.0.0.1 and localhost, which is left in *certificate_file*
 * (created) as PEM. */
HttpServer *http_server_new_tls(HttpServerHandler handler, void *userdata, const char *certificate_file);
/* The same, but it serves only whoever shows that certificate, too; its key is left in *key_file* (created). */
HttpServer *http_server_new_asking(
        HttpServerHandler handler, void *userdata, const char *certificate_file, const char *key_file);
/* With TLS, where HTTP/2 is agreed on. *handler* has each connection as it is, until it returns. */
typedef void (*HttpServerRawHandler)(void *userdata, HttpServerConnection *connection);
HttpServer *http_server_new_h2(HttpServerRawHandler handler, void *userdata, const char *certificate_file);
/* Closes everything, and waits for every handler to return. */
HttpServer *http_server_free(HttpServer *server);

unsigned http_server_port(const HttpServer *server);
/* Connections accepted, and requests read, so far. */
unsigned http_server_accepted(HttpServer *server);
unsigned http_server_calls(HttpServer *server);

void http_server_send(HttpServerConnection *connection, const void *data, size_t size);
void http_server_send_text(HttpServerConnection *connection, const char *format, ...) _printf_(2, 3);
/* A whole reply. *headers* are lines that end in CRLF, or "". */
void http_server_reply(HttpServerConnection *connection, int status, const char *headers, const char *body);
/* Takes exactly *size* bytes; false when the peer closed before. */
bool http_server_receive(HttpServerConnection *connection, void *data, size_t size);
/* Says nothing until the peer closes. */
void http_server_stall(HttpServerConnection *connection);

/* The value of a header of *call*, copied to *value*; false without one. */
bool http_server_header(const HttpServerCall *call, const char *name, char *value, size_t size);
