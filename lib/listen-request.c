/* SPDX-License-Identifier: Apache-2.0 */
#include "listen-internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listen-address.h"
#include "log.h"

#define ANSWER_SHORT ((size_t) 16 * 1024)            /* as much as a connection takes anyway */
#define THROWN_AWAY_MAX (UINT64_C(16) * 1024 * 1024) /* bytes of a body whose request is refused */

/* ---- answers ---- */

static ListenRequest *request_free(ListenRequest *request) {
        ListenServer *server = request->connection->server;

        TAILQ_REMOVE(&server->requests, request, link);
        server->listen->untaken -= request->untaken;
        if (request->answer)
                server->library->MHD_destroy_response(request->answer);
        bytes_done(&request->body);
        free(request->path);
        free(request->method);
        free(request);
        return NULL;
}

/* Returns how many connections are open, and how many of them are of this client. */
static unsigned count_connections(const ListenConnection *connection, unsigned *ret_alike) {
        const ListenConnection *other;
        unsigned all = 0;

        *ret_alike = 0;
        TAILQ_FOREACH(other, &connection->server->connections, link) {
                all++;
                *ret_alike += strcmp(other->host, connection->host) == 0;
        }
        return all;
}

/* A client that keeps its connection open takes the place of others. When many connections are open, each is closed
 * after its answer. */
static bool is_crowded(const ListenConnection *connection) {
        unsigned alike, all = count_connections(connection, &alike);

        return all > LISTEN_CONNECTIONS_MAX / 2 || alike > LISTEN_CONNECTIONS_OF_ADDRESS_MAX / 2;
}

static struct MHD_Response *answer_make(const ListenConnection *connection, const ListenAnswer *answer) {
        enum MHD_ResponseMemoryMode mode = answer->constant ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY;
        const ListenLibrary *library = connection->server->library;
        struct MHD_Response *response;
        int failed = 0;

        response = library->MHD_create_response_from_buffer(answer->body.size, (void *) answer->body.data, mode);
        if (!response)
                return NULL;
        if (answer->content_type)
                failed |= library->MHD_add_response_header(response, "Content-Type", answer->content_type) != MHD_YES;
        failed |= library->MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") != MHD_YES;
        if (connection->server->leaving || is_crowded(connection))
                failed |= library->MHD_add_response_header(response, "Connection", "close") != MHD_YES;
        for (size_t i = 0; answer->headers && answer->headers[i]; i += 2)
                failed |= library->MHD_add_response_header(response, answer->headers[i], answer->headers[i + 1]) !=
                          MHD_YES;
        if (!failed)
                return response;
        library->MHD_destroy_response(response);
        return NULL;
}

/* Clients that ask and never read must not take up all memory. Short answers are always given: one may say that a
 * reading was stored. So is a single one of any size. */
static bool is_held_back(const Listen *listen, const ListenAnswer *answer) {
        return !answer->constant && answer->body.size > ANSWER_SHORT && listen->untaken > 0 &&
               answer->body.size + listen->untaken > LISTEN_UNTAKEN_MAX;
}

void listen_answer(ListenRequest *request, const ListenAnswer *answer) {
        ListenServer *server = request->connection->server;
        bool waited = request->state == LISTEN_REQUEST_WAITING;

        assert(request->state < LISTEN_REQUEST_ANSWERED);
        if (is_held_back(server->listen, answer))
                return listen_answer_text(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                        (const char *const[]){ "Retry-After", "30", NULL },
                        "Others have not read their answers yet. Try again later.\n");
        request->untaken = answer->constant ? 0 : answer->body.size;
        server->listen->untaken += request->untaken;
        request->status = answer->status;
        request->answer = answer_make(request->connection, answer);
        request->state = LISTEN_REQUEST_ANSWERED;
        request->route = NULL;
        request->connection->owed = false;
        request->connection->since = clock_now();
        if (!waited)
                return;
        server->library->MHD_resume_connection(request->mhd);
        loop_wake(server->again);
}

/* Of a path the log shows nothing from ? & or = on: some devices append the query without a ?, or encode it, and a
 * token would be in it. */
static enum MHD_Result request_queue(ListenRequest *request) {
        const ListenLibrary *library = request->connection->server->library;

        if (!request->answer)
                return MHD_NO; /* no memory: the connection is closed */
        log_debug("listen: %s %.*s from %s: HTTP %d", request->method, (int) strcspn(request->path, "?&="),
                request->path, request->connection->peer, request->status);
        request->state = LISTEN_REQUEST_QUEUED;
        return library->MHD_queue_response(request->mhd, (unsigned) request->status, request->answer);
}

static void answer_closing(ListenRequest *request) {
        listen_answer_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, (const char *const[]){ "Retry-After", "30", NULL },
                "This address is being closed. Try again later.\n");
}

void listen_request_give_up(ListenRequest *request) {
        if (request->state == LISTEN_REQUEST_WAITING)
                answer_closing(request);
}

/* ---- requests ---- */

/* After a new certificate, connections to the old server must still reach the same owners: their routes are at the new
 * server. */
static ListenRoute *route_find(const ListenServer *server, const char *path) {
        const ListenServer *serving = listen_server_find(server->listen, server->address);
        ListenRoute *route, *best = NULL;

        if (!serving)
                return NULL;
        LIST_FOREACH(route, &serving->routes, link) {
                size_t size = strlen(route->path);

                if (strcmp(route->path, path) == 0)
                        return route;
                if (route->below && strncmp(route->path, path, size) == 0 && (!best || size > strlen(best->path)))
                        best = route;
        }
        return best;
}

static bool route_is_gone(const ListenServer *serving, const char *path) {
        const ListenRoute *route;

        LIST_FOREACH(route, &serving->gone, link)
                if (strcmp(route->path, path) == 0)
                        return true;
        return false;
}

static bool request_is_served(const ListenRequest *request) {
        const Listen *listen = request->connection->server->listen;
        const ListenServer *serving = listen_server_find(listen, request->connection->server->address);

        if (!serving || !listen->stopping)
                return serving;
        return (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0) &&
               !route_is_gone(serving, request->path);
}

static uint64_t request_length(const ListenRequest *request) {
        const char *length = listen_header(request, "Content-Length");

        return length ? strtoull(length, NULL, 10) : 0;
}

static void request_look_at_header(ListenRequest *request) {
        const char *host = listen_header(request, "Host");
        const ListenServer *server = request->connection->server;
        ListenRoute *route = route_find(server, request->path);

        if (!request_is_served(request))
                return answer_closing(request); /* not 404: many senders take that as final */
        if (host && !listen_host_is_ours(host, route ? (const char *const *) route->hosts : NULL))
                return listen_answer_text(request, MHD_HTTP_FORBIDDEN, NULL,
                        "This server does not know the name in Host. Add it to `hosts`.\n");
        request->route = route;
        if (!route)
                return listen_answer_text(request, MHD_HTTP_NOT_FOUND, NULL, "There is nothing here.\n");
        if (request->route->handler.on_header) {
                request->state = LISTEN_REQUEST_ASKING;
                request->route->handler.on_header(request->route->handler.userdata, request);
                if (request->state == LISTEN_REQUEST_ANSWERED)
                        return;
        }
        request->state = LISTEN_REQUEST_READING;
        if (request_length(request) > request->route->max_body)
                listen_answer_text(request, MHD_HTTP_CONTENT_TOO_LARGE, NULL, "The body is too large.\n");
}

/* Appends a piece of the body. A body without a length, or with a wrong one, may be too long: the rest is then read and
 * thrown away, until the deadline. */
static void request_take(ListenRequest *request, const char *data, size_t size) {
        int r = -EMSGSIZE;

        if (request->state != LISTEN_REQUEST_READING || bytes_result(&request->body) < 0)
                return;
        if (request->route && size <= request->route->max_body - request->body.size)
                r = bytes_append(&request->body, data, size);
        if (r == 0)
                return;
        bytes_done(&request->body);
        (void) bytes_fail(&request->body, r); /* for request_hand_over() */
}

static void request_hand_over(ListenRequest *request) {
        if (!request->route)
                return answer_closing(request);
        if (bytes_result(&request->body) == -EMSGSIZE)
                return listen_answer_text(request, MHD_HTTP_CONTENT_TOO_LARGE, NULL, "The body is too large.\n");
        if (bytes_result(&request->body) < 0) /* not 413: many senders take that as final */
                return listen_answer_text(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, "Out of memory.\n");
        request->state = LISTEN_REQUEST_ASKING;
        request->connection->owed = true;
        request->route->handler.on_request(request->route->handler.userdata, request);
        if (request->state == LISTEN_REQUEST_ANSWERED)
                return;
        request->state = LISTEN_REQUEST_WAITING;
        request->connection->server->library->MHD_suspend_connection(request->mhd);
}

/* True if the client sends a body now, which must be read although the request is refused. Otherwise the connection
 * would be closed while bytes come, and the kernel would reset it: the client would read an error in place of our
 * answer (RFC 9112, 9.6). A client that waits for 100 (Continue) sends none. */
static bool request_brings_body(const ListenRequest *request) {
        uint64_t size = request_length(request);

        return !listen_header(request, "Expect") && size <= THROWN_AWAY_MAX &&
               (size > 0 || listen_header(request, "Transfer-Encoding"));
}

static ListenConnection *connection_of(const ListenServer *server, struct MHD_Connection *mhd) {
        const union MHD_ConnectionInfo *info =
                server->library->MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info ? info->socket_context : NULL;
}

static ListenRequest *request_new(
        ListenServer *server, struct MHD_Connection *mhd, const char *path, const char *method) {
        ListenConnection *connection = connection_of(server, mhd);
        ListenRequest *request;

        if (!connection || !connection->query)
                return NULL;
        request = calloc(1, sizeof(*request));
        if (!request)
                return NULL;
        request->connection = connection;
        request->mhd = mhd;
        request->path = strdup(path);
        request->method = strdup(method);
        TAILQ_INSERT_TAIL(&server->requests, request, link);
        if (!request->path || !request->method)
                return request_free(request);
        return request;
}

/* The deadline starts with the request line, however long the connection was idle before. libmicrohttpd decodes *uri*
 * in place afterwards. */
void *listen_request_on_line(void *userdata, const char *uri, struct MHD_Connection *mhd) {
        ListenConnection *connection = connection_of(userdata, mhd);
        const char *query = strchr(uri, '?');

        if (connection) {
                free(connection->query);
                connection->query = strdup(query ? query + 1 : "");
                connection->since = clock_now();
                connection->idle = false;
        }
        return NULL; /* no request object exists yet */
}

/* libmicrohttpd calls this with the header, then for each piece of the body, then once at its end, and again after a
 * suspended request was resumed. */
enum MHD_Result listen_request_on_access(void *userdata, struct MHD_Connection *mhd, const char *path,
        const char *method, const char *version, const char *data, size_t *size, void **context) {
        ListenRequest *request = *context;

        if (!request) {
                request = *context = request_new(userdata, mhd, path, method);
                if (!request)
                        return MHD_NO;
                request_look_at_header(request);
                return request->state != LISTEN_REQUEST_ANSWERED || request_brings_body(request)
                               ? MHD_YES
                               : request_queue(request);
        }
        if (*size > 0) {
                request_take(request, data, *size);
                request->received += *size;
                *size = 0;
                return request->state == LISTEN_REQUEST_ANSWERED && request->received > THROWN_AWAY_MAX ? MHD_NO
                                                                                                        : MHD_YES;
        }
        if (request->state == LISTEN_REQUEST_READING)
                request_hand_over(request);
        return request->state == LISTEN_REQUEST_ANSWERED ? request_queue(request) : MHD_YES;
}

void listen_request_on_completed(
        void *userdata, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code) {
        ListenRequest *request = *context;

        if (!request)
                return;
        request->connection->since = clock_now();
        request->connection->idle = true;
        *context = request_free(request);
}

static void peer_format(const struct sockaddr *address, char *ret) {
        if (address && address->sa_family == AF_INET)
                (void) inet_ntop(AF_INET, &((const struct sockaddr_in *) address)->sin_addr, ret, INET6_ADDRSTRLEN);
        else if (address && address->sa_family == AF_INET6)
                (void) inet_ntop(AF_INET6, &((const struct sockaddr_in6 *) address)->sin6_addr, ret, INET6_ADDRSTRLEN);
        else
                (void) snprintf(ret, INET6_ADDRSTRLEN, "local");
}

static void connection_start(ListenServer *server, struct MHD_Connection *mhd, void **context) {
        const ListenLibrary *library = server->library;
        ListenConnection *connection = calloc(1, sizeof(*connection));
        const union MHD_ConnectionInfo *info; /* libmicrohttpd 1.0 returns one type for all questions */
        unsigned alike;

        info = library->MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (!connection || !info) {
                free(connection);
                return; /* its requests will find no ListenConnection, and are refused */
        }
        connection->server = server;
        connection->fd = info->connect_fd;
        connection->since = clock_now();
        info = library->MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        peer_format(info ? info->client_addr : NULL, connection->peer);
        if (!loop_is_armed(server->sweep))
                loop_arm_in(server->sweep, LISTEN_SWEEP_USEC);
        listen_peer_host(connection->peer, connection->host);
        TAILQ_INSERT_TAIL(&server->connections, connection, link);
        *context = connection;
        (void) count_connections(connection, &alike);
        /* libmicrohttpd counts by the whole address; and not what comes through a socket of AF_UNIX, which has none */
        if (alike > LISTEN_CONNECTIONS_OF_ADDRESS_MAX && strcmp(connection->host, connection->peer) != 0)
                (void) shutdown(connection->fd, SHUT_RDWR);
}

void listen_request_on_connection(
        void *userdata, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code) {
        ListenConnection *connection = *context;
        ListenServer *server = userdata;

        server->moved = true;
        if (code == MHD_CONNECTION_NOTIFY_STARTED) {
                server->refused = 0;
                return connection_start(server, mhd, context);
        }
        loop_wake(server->again); /* libmicrohttpd stops listening when all connections are taken; its next run listens
                                     again */
        if (!connection)
                return;
        TAILQ_REMOVE(&server->connections, connection, link);
        free(connection->query);
        free(connection);
        *context = NULL;
}

const char *listen_method(const ListenRequest *request) {
        return request->method;
}

const char *listen_path(const ListenRequest *request) {
        return request->path;
}

const char *listen_query(const ListenRequest *request, const char *name) {
        if (!name)
                return request->connection->query;
        return request->connection->server->library->MHD_lookup_connection_value(
                request->mhd, MHD_GET_ARGUMENT_KIND, name);
}

const char *listen_header(const ListenRequest *request, const char *name) {
        return request->connection->server->library->MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

Slice listen_body(const ListenRequest *request) {
        return (Slice){ request->body.data ? request->body.data : "", request->body.size };
}

const char *listen_peer(const ListenRequest *request) {
        return request->connection->peer;
}
