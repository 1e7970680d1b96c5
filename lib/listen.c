/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd in its form without threads: one descriptor of epoll for all that a server has open, and MHD_run() when
 * it is ready. A request that waits for its owner is suspended, so libmicrohttpd does not look at it; resuming it is
 * not seen by epoll, hence the call from the loop after each answer. */
#include "listen.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "listen-address.h"
#include "log.h"

#define LIBRARY "libmicrohttpd.so.12"
#define CONNECTIONS_MAX 128u
#define CONNECTIONS_OF_ADDRESS_MAX 64u
#define HEADER_MAX ((size_t) 16 * 1024) /* of a request, and what libmicrohttpd keeps for a connection */
#define IDLE_SEC 15u
#define DEADLINE_USEC                                                                                                  \
        (30 * USEC_PER_SEC) /* from the first byte of a request to its last, and for the answer to be taken */
#define SWEEP_USEC (5 * USEC_PER_SEC)
#define RUNS_MAX 64 /* in one turn of the loop */

/* What is used of the library. */
#define FUNCTIONS(each)                                                                                                \
        each(MHD_start_daemon) each(MHD_stop_daemon) each(MHD_run) each(MHD_get_timeout) each(MHD_get_daemon_info)     \
                each(MHD_get_connection_info) each(MHD_lookup_connection_value) each(MHD_create_response_from_buffer)  \
                        each(MHD_add_response_header) each(MHD_queue_response) each(MHD_destroy_response)              \
                                each(MHD_suspend_connection) each(MHD_resume_connection)

typedef struct Library {
#define DECLARE(name) __typeof__(name) *name;
        FUNCTIONS(DECLARE)
#undef DECLARE
} Library;

typedef struct Server Server;

/* One client. */
typedef struct Connection {
        Server *server;
        int fd;
        usec_t since; /* clock_now() since which its next move is awaited */
        bool owed;    /* an answer: the next move is ours */
        char peer[INET6_ADDRSTRLEN];
        TAILQ_ENTRY(Connection) link;
} Connection;

typedef enum RequestState {
        REQUEST_READING,  /* the body */
        REQUEST_ASKING,   /* a callback of its owner runs */
        REQUEST_WAITING,  /* suspended until its owner answers */
        REQUEST_ANSWERED, /* the answer waits for libmicrohttpd to ask, or is with it */
} RequestState;

struct ListenRequest {
        ListenRoute *route; /* NULL: nobody's */
        Connection *connection;
        struct MHD_Connection *mhd;
        RequestState state;
        char *method, *path;
        Bytes body;
        bool too_large, queued;
        int status;
        struct MHD_Response *answer; /* from ANSWERED on; NULL: no memory */
        TAILQ_ENTRY(ListenRequest) link;
};

struct ListenRoute {
        Server *server;
        char *path;
        bool below;
        size_t max_body;
        ListenHandler handler;
        LIST_ENTRY(ListenRoute) link;
};

/* One address. */
struct Server {
        Listen *listen;
        char *address;
        char **hosts;
        struct MHD_Daemon *mhd;
        LoopWatch *io, *timer, *again, *sweep;
        bool running;
        LIST_HEAD(, ListenRoute) routes;
        TAILQ_HEAD(, Connection) connections;
        TAILQ_HEAD(, ListenRequest) requests;
        LIST_ENTRY(Server) link;
};

struct Listen {
        Loop *loop;
        void *handle; /* of dlopen(3); NULL: not loaded */
        Library library;
        LIST_HEAD(, Server) servers;
};

/* ---- running ---- */

static const Library *server_library(const Server *server) {
        return &server->listen->library;
}

static void server_run(Server *server) {
        MHD_UNSIGNED_LONG_LONG msec;

        if (server->running)
                return; /* an owner answered from inside */
        server->running = true;
        for (int i = 0; i < RUNS_MAX; i++) {
                (void) server_library(server)->MHD_run(server->mhd);
                if (server_library(server)->MHD_get_timeout(server->mhd, &msec) != MHD_YES) {
                        loop_off(server->timer);
                        server->running = false;
                        return;
                }
                if (msec > 0) {
                        loop_arm_in(server->timer, msec * USEC_PER_MSEC);
                        server->running = false;
                        return;
                }
        }
        loop_wake(server->again);
        server->running = false;
}

static void on_ready(void *userdata, int fd, uint32_t events) {
        server_run(userdata);
}

static void on_due(void *userdata) {
        server_run(userdata);
}

/* Who does not send, or does not take, for too long is cut off: libmicrohttpd's own limit is for silence only. */
static void on_sweep(void *userdata) {
        Server *server = userdata;
        usec_t now = clock_now();
        Connection *connection;

        TAILQ_FOREACH(connection, &server->connections, link)
        if (!connection->owed && now > connection->since + DEADLINE_USEC)
                (void) shutdown(connection->fd, SHUT_RDWR);
        if (!TAILQ_EMPTY(&server->connections))
                loop_arm_in(server->sweep, SWEEP_USEC);
}

/* ---- answers ---- */

static ListenRequest *request_free(ListenRequest *request) {
        Server *server = request->connection->server;

        TAILQ_REMOVE(&server->requests, request, link);
        if (request->answer)
                server_library(server)->MHD_destroy_response(request->answer);
        bytes_done(&request->body);
        free(request->path);
        free(request->method);
        free(request);
        return NULL;
}

static struct MHD_Response *answer_make(const Library *library, const ListenAnswer *answer) {
        enum MHD_ResponseMemoryMode mode = answer->constant ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY;
        struct MHD_Response *response;
        int failed = 0;

        response = library->MHD_create_response_from_buffer(answer->body.size, (void *) answer->body.data, mode);
        if (!response)
                return NULL;
        if (answer->content_type)
                failed |= library->MHD_add_response_header(response, "Content-Type", answer->content_type) != MHD_YES;
        failed |= library->MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") != MHD_YES;
        for (size_t i = 0; answer->headers && answer->headers[i]; i += 2)
                failed |= library->MHD_add_response_header(response, answer->headers[i], answer->headers[i + 1]) !=
                          MHD_YES;
        if (!failed)
                return response;
        library->MHD_destroy_response(response);
        return NULL;
}

void listen_answer(ListenRequest *request, const ListenAnswer *answer) {
        Server *server = request->connection->server;
        bool waited = request->state == REQUEST_WAITING;

        assert(request->state != REQUEST_ANSWERED);
        request->status = answer->status;
        request->answer = answer_make(server_library(server), answer);
        request->state = REQUEST_ANSWERED;
        request->route = NULL;
        request->connection->owed = false;
        request->connection->since = clock_now();
        if (!waited)
                return;
        server_library(server)->MHD_resume_connection(request->mhd);
        loop_wake(server->again);
}

static void answer_text(ListenRequest *request, int status, const char *text) {
        listen_answer(request, &(ListenAnswer){ .status = status,
                                       .content_type = "text/plain; charset=utf-8",
                                       .body = { text, strlen(text) } });
}

static enum MHD_Result request_queue(ListenRequest *request) {
        const Library *library = server_library(request->connection->server);

        if (!request->answer)
                return MHD_NO; /* no memory: the connection is closed */
        request->queued = true;
        return library->MHD_queue_response(request->mhd, (unsigned) request->status, request->answer);
}

/* ---- requests ---- */

static ListenRoute *route_find(const Server *server, const char *path) {
        ListenRoute *route, *best = NULL;

        LIST_FOREACH(route, &server->routes, link) {
                size_t size = strlen(route->path);

                if (strcmp(route->path, path) == 0)
                        return route;
                if (route->below && strncmp(route->path, path, size) == 0 && (!best || size > strlen(best->path)))
                        best = route;
        }
        return best;
}

static void request_look_at_header(ListenRequest *request) {
        const char *host = listen_header(request, "Host"), *length = listen_header(request, "Content-Length");
        Server *server = request->connection->server;

        if (!host || !listen_host_is_ours(host, (const char *const *) server->hosts))
                return answer_text(request, MHD_HTTP_FORBIDDEN,
                        "This server does not know the name in Host. Add it to `hosts`.\n");
        request->route = route_find(server, request->path);
        if (!request->route)
                return answer_text(request, MHD_HTTP_NOT_FOUND, "There is nothing here.\n");
        if (request->route->handler.on_header) {
                request->state = REQUEST_ASKING;
                request->route->handler.on_header(request->route->handler.userdata, request);
                if (request->state == REQUEST_ANSWERED)
                        return;
        }
        request->state = REQUEST_READING;
        if (length && strtoull(length, NULL, 10) > request->route->max_body)
                answer_text(request, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large.\n");
}

/* Of a body without a length, or with a wrong one: what is too long is read and thrown away, until the deadline. */
static void request_take(ListenRequest *request, const char *data, size_t size) {
        if (request->state != REQUEST_READING || request->too_large)
                return;
        if (!request->route || size > request->route->max_body - request->body.size ||
                bytes_append(&request->body, data, size) < 0) {
                request->too_large = true;
                bytes_done(&request->body);
        }
}

static void request_hand_over(ListenRequest *request) {
        if (!request->route)
                return answer_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "This address is being closed.\n");
        if (request->too_large)
                return answer_text(request, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large.\n");
        request->state = REQUEST_ASKING;
        request->connection->owed = true;
        request->route->handler.on_request(request->route->handler.userdata, request);
        if (request->state == REQUEST_ANSWERED)
                return;
        request->state = REQUEST_WAITING;
        server_library(request->connection->server)->MHD_suspend_connection(request->mhd);
}

static ListenRequest *request_new(Server *server, struct MHD_Connection *mhd, const char *path, const char *method) {
        const union MHD_ConnectionInfo *info =
                server_library(server)->MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        ListenRequest *request;

        if (!info || !info->socket_context)
                return NULL;
        request = calloc(1, sizeof(*request));
        if (!request)
                return NULL;
        request->connection = info->socket_context;
        request->mhd = mhd;
        request->path = strdup(path);
        request->method = strdup(method);
        TAILQ_INSERT_TAIL(&server->requests, request, link);
        if (!request->path || !request->method)
                return request_free(request);
        return request;
}

/* Called with the header, then for each piece of the body, then once more at its end; and again when a suspended one
 * was resumed. */
static enum MHD_Result on_access(void *userdata, struct MHD_Connection *mhd, const char *path, const char *method,
        const char *version, const char *data, size_t *size, void **context) {
        ListenRequest *request = *context;

        if (!request) {
                request = *context = request_new(userdata, mhd, path, method);
                if (!request)
                        return MHD_NO;
                request_look_at_header(request);
                return request->state == REQUEST_ANSWERED ? request_queue(request) : MHD_YES;
        }
        if (*size > 0) {
                request_take(request, data, *size);
                *size = 0;
                return MHD_YES;
        }
        if (request->state == REQUEST_READING)
                request_hand_over(request);
        if (request->state != REQUEST_ANSWERED || request->queued)
                return MHD_YES;
        return request_queue(request);
}

static void on_completed(
        void *userdata, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code) {
        ListenRequest *request = *context;

        if (!request)
                return;
        request->connection->since = clock_now();
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

static void connection_start(Server *server, struct MHD_Connection *mhd, void **context) {
        const union MHD_ConnectionInfo *fd =
                server_library(server)->MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        const union MHD_ConnectionInfo *peer =
                server_library(server)->MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        Connection *connection = calloc(1, sizeof(*connection));

        if (!connection || !fd) {
                free(connection);
                return; /* its requests find no context, and are refused */
        }
        connection->server = server;
        connection->fd = fd->connect_fd;
        connection->since = clock_now();
        peer_format(peer ? peer->client_addr : NULL, connection->peer);
        if (TAILQ_EMPTY(&server->connections))
                loop_arm_in(server->sweep, SWEEP_USEC);
        TAILQ_INSERT_TAIL(&server->connections, connection, link);
        *context = connection;
}

static void on_connection(
        void *userdata, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code) {
        Connection *connection = *context;

        if (code == MHD_CONNECTION_NOTIFY_STARTED)
                return connection_start(userdata, mhd, context);
        if (!connection)
                return;
        TAILQ_REMOVE(&connection->server->connections, connection, link);
        free(connection);
        *context = NULL;
}

static _printf_(2, 0) void on_log(void *userdata, const char *format, va_list arguments) {
        char text[256];

        (void) vsnprintf(text, sizeof(text), format, arguments);
        log_debug("listen: %s", text);
}

const char *listen_method(const ListenRequest *request) {
        return request->method;
}

const char *listen_path(const ListenRequest *request) {
        return request->path;
}

const char *listen_query(const ListenRequest *request, const char *name) {
        return server_library(request->connection->server)
                ->MHD_lookup_connection_value(request->mhd, MHD_GET_ARGUMENT_KIND, name);
}

const char *listen_header(const ListenRequest *request, const char *name) {
        return server_library(request->connection->server)
                ->MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

Slice listen_body(const ListenRequest *request) {
        return (Slice){ request->body.data ? request->body.data : "", request->body.size };
}

const char *listen_peer(const ListenRequest *request) {
        return request->connection->peer;
}

/* ---- servers ---- */

static char **hosts_free(char **hosts) {
        for (size_t i = 0; hosts && hosts[i]; i++)
                free(hosts[i]);
        free(hosts);
        return NULL;
}

static int hosts_copy(const char *const *hosts, char ***ret) {
        size_t n = 0;

        while (hosts && hosts[n])
                n++;
        *ret = calloc(n + 1, sizeof(char *));
        if (!*ret)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                (*ret)[i] = strdup(hosts[i]);
                if (!(*ret)[i])
                        return -ENOMEM;
        }
        return 0;
}

static Server *server_free(Server *server) {
        ListenRequest *request;

        if (!server)
                return NULL;
        assert(LIST_EMPTY(&server->routes));
        TAILQ_FOREACH(request, &server->requests, link)
        if (request->state == REQUEST_WAITING)
                answer_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "This address is being closed.\n");
        if (server->again) /* it was complete: the last answers go out */
                server_run(server);
        if (server->mhd)
                server_library(server)->MHD_stop_daemon(server->mhd);
        loop_drop(server->sweep);
        loop_drop(server->again);
        loop_drop(server->timer);
        loop_drop(server->io);
        hosts_free(server->hosts);
        free(server->address);
        free(server);
        return NULL;
}
CLEANUP_DEFINE(Server, server_free)

static bool socket_is_six(int fd) {
        struct sockaddr_storage address = {};
        socklen_t size = sizeof(address);

        return getsockname(fd, (struct sockaddr *) &address, &size) == 0 && address.ss_family == AF_INET6;
}

/* The socket is libmicrohttpd's once it has started. */
static int server_start(Server *server, const ListenSpec *spec) {
        unsigned flags =
                MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (spec->certificate ? MHD_USE_TLS : 0u);
        struct MHD_OptionItem tls[] = { { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *) spec->certificate },
                { MHD_OPTION_HTTPS_MEM_KEY, 0, (void *) spec->key }, { MHD_OPTION_END, 0, NULL } };
        _cleanup_close_ int fd = -1;
        int r;

        r = listen_address_open(spec->address, &fd);
        if (r < 0)
                return r;
        if (socket_is_six(fd))
                flags |= MHD_USE_IPv6;
        server->mhd = server_library(server)->MHD_start_daemon(flags, 0, NULL, NULL, on_access, server,
                MHD_OPTION_EXTERNAL_LOGGER, on_log, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
                on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
                CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_OF_ADDRESS_MAX,
                MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SEC, MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEADER_MAX,
                MHD_OPTION_ARRAY, spec->certificate ? tls : tls + 2, MHD_OPTION_END);
        if (!server->mhd)
                return spec->certificate ? -EKEYREJECTED : -ENOMEM;
        (void) cleanup_steal_fd(&fd);
        return 0;
}

static int server_watch(Server *server) {
        const union MHD_DaemonInfo *info =
                server_library(server)->MHD_get_daemon_info(server->mhd, MHD_DAEMON_INFO_EPOLL_FD);
        Loop *loop = server->listen->loop;
        int r;

        if (!info)
                return -EIO;
        r = loop_add_io(loop, info->epoll_fd, EPOLLIN, on_ready, server, &server->io);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, LOOP_EXACT, on_due, server, &server->timer);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, LOOP_RELAXED, on_sweep, server, &server->sweep);
        if (r < 0)
                return r;
        return loop_add_defer(loop, on_due, server, &server->again);
}

static int server_new(Listen *listen, const ListenSpec *spec, Server **ret) {
        _cleanup_(server_freep) Server *server = NULL;
        int r;

        server = calloc(1, sizeof(*server));
        if (!server)
                return -ENOMEM;
        server->listen = listen;
        LIST_INIT(&server->routes);
        TAILQ_INIT(&server->connections);
        TAILQ_INIT(&server->requests);
        server->address = strdup(spec->address);
        if (!server->address)
                return -ENOMEM;
        r = hosts_copy(spec->hosts, &server->hosts);
        if (r < 0)
                return r;
        r = server_start(server, spec);
        if (r < 0)
                return r;
        r = server_watch(server);
        if (r < 0)
                return r;
        LIST_INSERT_HEAD(&listen->servers, server, link);
        *ret = cleanup_steal(server);
        return 0;
}

static Server *server_find(const Listen *listen, const char *address) {
        Server *server;

        LIST_FOREACH(server, &listen->servers, link)
        if (strcmp(server->address, address) == 0)
                return server;
        return NULL;
}

static void server_leave(Server *server) {
        if (!LIST_EMPTY(&server->routes))
                return;
        LIST_REMOVE(server, link);
        server_free(server);
}

/* ---- routes ---- */

static void route_give_up_requests(ListenRoute *route) {
        ListenRequest *request;

        TAILQ_FOREACH(request, &route->server->requests, link) {
                if (request->route != route)
                        continue;
                if (request->state == REQUEST_WAITING)
                        answer_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "This address is being closed.\n");
                request->route = NULL;
        }
}

/* listen_answer() above resumes only what is suspended: the state says so. */
ListenRoute *listen_drop(ListenRoute *route) {
        Server *server;

        if (!route)
                return NULL;
        server = route->server;
        route_give_up_requests(route);
        LIST_REMOVE(route, link);
        free(route->path);
        free(route);
        server_leave(server);
        return NULL;
}

static int route_new(Server *server, const ListenSpec *spec, const ListenHandler *handler, ListenRoute **ret) {
        ListenRoute *route, *other;

        LIST_FOREACH(other, &server->routes, link)
        if (strcmp(other->path, spec->path) == 0)
                return -EEXIST;
        route = calloc(1, sizeof(*route));
        if (!route)
                return -ENOMEM;
        route->path = strdup(spec->path);
        if (!route->path) {
                free(route);
                return -ENOMEM;
        }
        route->server = server;
        route->below = spec->below;
        route->max_body = spec->max_body;
        route->handler = *handler;
        LIST_INSERT_HEAD(&server->routes, route, link);
        *ret = route;
        return 0;
}

static int library_load(Listen *listen) {
        void *handle;

        if (listen->handle)
                return 0;
        handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
                return -ENOTSUP;
#define FIND(name)                                                                                                     \
        listen->library.name = (__typeof__(name) *) dlsym(handle, #name);                                              \
        if (!listen->library.name) {                                                                                   \
                (void) dlclose(handle);                                                                                \
                return -ENOTSUP;                                                                                       \
        }
        FUNCTIONS(FIND)
#undef FIND
        listen->handle = handle; /* for good: its own TLS library does not like to be unloaded */
        return 0;
}

int listen_route(Listen *listen, const ListenSpec *spec, const ListenHandler *handler, ListenRoute **ret) {
        Server *server = server_find(listen, spec->address);
        int r;

        r = library_load(listen);
        if (r < 0)
                return r;
        if (!server) {
                r = server_new(listen, spec, &server);
                if (r < 0)
                        return r;
        }
        r = route_new(server, spec, handler, ret);
        if (r < 0)
                server_leave(server);
        return r;
}

/* ---- life ---- */

int listen_new(Loop *loop, Listen **ret) {
        Listen *listen = calloc(1, sizeof(*listen));

        if (!listen)
                return -ENOMEM;
        listen->loop = loop;
        LIST_INIT(&listen->servers);
        *ret = listen;
        return 0;
}

Listen *listen_free(Listen *listen) {
        if (!listen)
                return NULL;
        assert(LIST_EMPTY(&listen->servers));
        free(listen);
        return NULL;
}
