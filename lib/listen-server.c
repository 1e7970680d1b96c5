/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd without threads: one epoll descriptor for everything that a server has open, and MHD_run() when it is
 * ready. A request that waits for its owner is suspended, so libmicrohttpd does not look at it. epoll does not show
 * that it was resumed, so the loop calls MHD_run() after each answer. */
#include "listen-internal.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "array.h"
#include "err.h"
#include "listen-address.h"
#include "log.h"

#define LIBRARY "libmicrohttpd.so.12"
/* bytes of a request's header, and of the memory that libmicrohttpd keeps for each connection */
#define HEADER_MAX ((size_t) 16 * 1024)
#define SENT_MAX (64 * 1024) /* bytes that the kernel keeps for a client that does not read; it takes twice as much */
/* Between two requests. Not an interval at which things are sent: a request that meets the end of its connection is
 * lost, and most clients do not send a POST again. */
#define IDLE_SEC 75u
#define PRIORITIES "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1" /* at least TLS 1.2, as to remotes (RFC 8996) */
/* applies three times: until the first line of a request, until its last byte, and until the answer is taken */
#define DEADLINE_USEC (30 * USEC_PER_SEC)
#define RUNS_MAX 64 /* per turn of the loop */
#define REFUSED_USEC (100 * USEC_PER_MSEC)
#define LONG_USEC (5 * USEC_PER_MSEC)
#define REST_MAX_USEC USEC_PER_SEC
#define ACCEPT_FAILED "Error accepting connection"

/* ---- the library ---- */

/* Loads the library unless it is loaded. -ENOTSUP: it is not installed, or it is another version. */
static int library_load(ListenLibrary *library) {
        void *handle;

        if (library->handle)
                return 0;
        handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
                return -ENOTSUP;
#define FIND(name)                                                                                                     \
        library->name = (__typeof__(name) *) dlsym(handle, #name);                                                     \
        if (!library->name) {                                                                                          \
                (void) dlclose(handle);                                                                                \
                return -ENOTSUP;                                                                                       \
        }
        LISTEN_LIBRARY_FUNCTIONS(FIND)
#undef FIND
        library->handle = handle; /* never unloaded: its TLS library does not support that */
        return 0;
}

/* ---- running ---- */

/* Returns how long libmicrohttpd wants to wait; 0: it has more to do. */
static usec_t server_work(ListenServer *server) {
        MHD_UNSIGNED_LONG_LONG msec = 0;

        for (int i = 0; i < RUNS_MAX && msec == 0; i++) {
                (void) server->library->MHD_run(server->mhd);
                if (server->refused < 0 && !loop_is_armed(server->sweep))
                        loop_arm_in(server->sweep, LISTEN_SWEEP_USEC);
                if (server->library->MHD_get_timeout(server->mhd, &msec) != MHD_YES)
                        return USEC_INFINITY;
        }
        return msec * USEC_PER_MSEC;
}

/* Strangers who only begin TLS connections would take nearly all the time of the loop, before anybody knows who they
 * are. So after a long turn the server rests for as long as that took, and the others have the loop to themselves. The
 * turn of another server is no rest. */
static void server_rest(ListenServer *server, usec_t began, usec_t took) {
        ListenServer *other;

        LIST_FOREACH(other, &server->listen->servers, link)
                if (other->rested > began)
                        other->rested += took;
        server->rested = began + took + usec_min(took, REST_MAX_USEC);
        (void) loop_set_events(server->io, 0);
        loop_arm(server->timer, server->rested);
}

static void server_run(ListenServer *server) {
        usec_t began = clock_now(), wait, took;

        if (server->running)
                return; /* an owner answered from inside MHD_run(), which goes on in server_work() */
        server->running = true;
        wait = server_work(server);
        server->running = false;
        took = clock_now() - began;
        server->rested = 0;
        if (took > LONG_USEC)
                server_rest(server, began, took);
        else if (wait == 0)
                loop_wake(server->again);
        else if (wait == USEC_INFINITY)
                loop_off(server->timer);
        else
                loop_arm_in(server->timer, wait);
}

static ListenServer *server_free(ListenServer *server);

/* Without a route it could only answer 404, which many senders take as final. */
static bool server_is_unused(const ListenServer *server) {
        return LIST_EMPTY(&server->routes) && !server->leaving;
}

static void server_close(ListenServer *server) {
        LIST_REMOVE(server, link);
        server_free(server);
}

static void on_due(void *userdata) {
        ListenServer *server = userdata;

        if (server_is_unused(server))
                return server_close(server);
        if (clock_now() < server->rested)
                return loop_arm(server->timer, server->rested);
        (void) loop_set_events(server->io, EPOLLIN);
        server_run(server);
        if (server->leaving && TAILQ_EMPTY(&server->connections))
                server_close(server);
}

/* While a connection is open, libmicrohttpd stops listening when there is no descriptor for another one. Else it would
 * be called again at once, without end. A server that is leaving is freed by on_due(), which the end of its last
 * connection wakes. */
static void on_ready(void *userdata, int fd, uint32_t events) {
        ListenServer *server = userdata;

        if (server_is_unused(server))
                return; /* on_due() closes it */
        server->moved = false;
        server_run(server);
        if (server->moved || !TAILQ_EMPTY(&server->connections) || loop_set_events(server->io, 0) < 0)
                return;
        loop_arm_in(server->timer, REFUSED_USEC);
}

/* Looks at the last try alone, every few seconds: many tries that fail and succeed in turn are not told one by one. */
static void server_tell_refused(ListenServer *server) {
        ListenRoute *route;

        if (server->refused == 0 && !server->told)
                return;
        server->told = server->refused < 0;
        LIST_FOREACH(route, &server->routes, link)
                if (route->handler.on_refused)
                        route->handler.on_refused(route->handler.userdata, server->refused);
}

static bool connection_is_late(const ListenConnection *connection, usec_t now) {
        return !connection->owed &&
               now > connection->since + (connection->idle ? IDLE_SEC * USEC_PER_SEC : DEADLINE_USEC);
}

/* Closes connections whose client does not send or receive its data in time. libmicrohttpd's own limit works only for
 * complete silence. */
static void on_sweep(void *userdata) {
        ListenServer *server = userdata;
        usec_t now = clock_now();
        ListenConnection *connection;

        TAILQ_FOREACH(connection, &server->connections, link)
                if (connection_is_late(connection, now))
                        (void) shutdown(connection->fd, SHUT_RDWR);
        server_tell_refused(server);
        if (!TAILQ_EMPTY(&server->connections) || server->told)
                loop_arm_in(server->sweep, LISTEN_SWEEP_USEC);
}

/* ---- servers ---- */

static ListenRoute *route_free(ListenRoute *route) {
        if (!route)
                return NULL;
        array_free_texts(route->hosts);
        free(route->path);
        free(route);
        return NULL;
}
CLEANUP_DEFINE(ListenRoute, route_free)

static ListenServer *server_free(ListenServer *server) {
        ListenRequest *request;
        ListenRoute *route;

        if (!server)
                return NULL;
        assert(LIST_EMPTY(&server->routes));
        TAILQ_FOREACH(request, &server->requests, link)
                listen_request_give_up(request);
        if (server->again) /* the server had started: send the last answers */
                server_run(server);
        if (server->mhd)
                server->library->MHD_stop_daemon(server->mhd);
        loop_drop(server->sweep);
        loop_drop(server->again);
        loop_drop(server->timer);
        loop_drop(server->io);
        listen_pem_done(&server->pem);
        while ((route = LIST_FIRST(&server->gone))) {
                LIST_REMOVE(route, link);
                route_free(route);
        }
        free(server->address);
        free(server);
        return NULL;
}
CLEANUP_DEFINE(ListenServer, server_free)

static bool socket_is_six(int fd) {
        struct sockaddr_storage address = {};
        socklen_t size = sizeof(address);

        return getsockname(fd, (struct sockaddr *) &address, &size) == 0 && address.ss_family == AF_INET6;
}

/* Its log is the only place where libmicrohttpd tells that accept(2) failed. */
static _printf_(2, 0) void on_log(void *userdata, const char *format, va_list arguments) {
        ListenServer *server = userdata;
        int error = -errno;
        char text[256];

        if (err_is_want(error) && strncmp(format, ACCEPT_FAILED, strlen(ACCEPT_FAILED)) == 0)
                server->refused = error;
        (void) vsnprintf(text, sizeof(text), format, arguments);
        log_debug("listen: %s", text);
}

/* Starts libmicrohttpd, which takes *fd*; its connections inherit the limit. When it cannot start, it may or may not
 * have closed the socket. The inode shows whether the descriptor is still that socket, or already another file. */
static int server_start(ListenServer *server, int fd) {
        struct stat before = {}, after = {};
        const ListenPem *pem = &server->pem;
        unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (pem->key ? MHD_USE_TLS : 0u) |
                         (socket_is_six(fd) ? MHD_USE_IPv6 : 0u);
        struct MHD_OptionItem tls[] = { { MHD_OPTION_HTTPS_MEM_CERT, 0, pem->certificate },
                { MHD_OPTION_HTTPS_MEM_KEY, 0, pem->key }, { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *) PRIORITIES },
                { MHD_OPTION_END, 0, NULL } };
        int error;

        (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ SENT_MAX }, sizeof(int));
        (void) fstat(fd, &before);
        errno = 0;
        server->mhd = server->library->MHD_start_daemon(flags, 0, NULL, NULL, listen_request_on_access, server,
                MHD_OPTION_EXTERNAL_LOGGER, on_log, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK,
                listen_request_on_line, server, MHD_OPTION_NOTIFY_COMPLETED, listen_request_on_completed, server,
                MHD_OPTION_NOTIFY_CONNECTION, listen_request_on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
                LISTEN_CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT, LISTEN_CONNECTIONS_OF_ADDRESS_MAX,
                MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SEC, MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEADER_MAX,
                MHD_OPTION_ARRAY, pem->key ? tls : tls + 3, MHD_OPTION_END);
        if (server->mhd)
                return 0;
        error = errno;
        if (fstat(fd, &after) == 0 && after.st_ino == before.st_ino)
                (void) close(fd);
        return err_is_want(-error) ? -error : pem->key ? -EKEYREJECTED : -ENOMEM;
}

static int server_watch(ListenServer *server) {
        const union MHD_DaemonInfo *info = server->library->MHD_get_daemon_info(server->mhd, MHD_DAEMON_INFO_EPOLL_FD);
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

static int server_make(Listen *listen, const ListenSpec *spec, ListenServer **ret) {
        _cleanup_(server_freep) ListenServer *server = calloc(1, sizeof(*server));
        int r;

        if (!server)
                return -ENOMEM;
        server->listen = listen;
        server->library = &listen->library;
        LIST_INIT(&server->routes);
        LIST_INIT(&server->gone);
        TAILQ_INIT(&server->connections);
        TAILQ_INIT(&server->requests);
        server->address = strdup(spec->address);
        if (!server->address)
                return -ENOMEM;
        r = listen_pem_name(&server->pem, spec->certificate_file, spec->key_file);
        if (r < 0)
                return r;
        r = listen_pem_read(&server->pem);
        if (r == 0)
                *ret = cleanup_steal(server);
        return r;
}

/* Serves on the listening socket *fd*, and takes it. */
static int server_serve(ListenServer *server, int fd) {
        int r;

        r = server_start(server, fd);
        listen_pem_forget(&server->pem);
        if (r < 0)
                return r;
        r = server_watch(server);
        if (r == 0)
                LIST_INSERT_HEAD(&server->listen->servers, server, link);
        return r;
}

static int server_new(Listen *listen, const ListenSpec *spec, ListenServer **ret) {
        _cleanup_(server_freep) ListenServer *server = NULL;
        int fd, r;

        r = server_make(listen, spec, &server);
        if (r < 0)
                return r;
        r = listen_address_open(spec->address, &fd);
        if (r < 0)
                return r;
        r = server_serve(server, fd);
        if (r == 0)
                *ret = cleanup_steal(server);
        return r;
}

ListenServer *listen_server_find(const Listen *listen, const char *address) {
        ListenServer *server;

        LIST_FOREACH(server, &listen->servers, link)
                if (!server->leaving && strcmp(server->address, address) == 0)
                        return server;
        return NULL;
}

/* The address is closed in the next turn of the loop, unless it has a route again by then: at a reload an owner drops
 * its route and takes another one. Meanwhile clients connect, and are served by the new one. */
static void server_leave(ListenServer *server) {
        if (!server_is_unused(server))
                return;
        (void) loop_set_events(server->io, 0);
        loop_wake(server->again);
}

/* Before another address is listened on: it may be a part of one that is about to be closed. */
static void listen_close_unused(Listen *listen) {
        ListenServer *server = LIST_FIRST(&listen->servers);

        while (server) {
                ListenServer *next = LIST_NEXT(server, link);

                if (server_is_unused(server))
                        server_close(server);
                server = next;
        }
}

/* ---- another certificate ---- */

/* Moves the routes to *server*. Open connections stay with *old* and end with their next answer. */
static void server_hand_over(ListenServer *old, ListenServer *server) {
        ListenRoute *route;

        while ((route = LIST_FIRST(&old->routes))) {
                LIST_REMOVE(route, link);
                LIST_INSERT_HEAD(&server->routes, route, link);
                route->server = server;
        }
        server->told = old->told; /* the first connection, or the next one that is refused, shows how it is now */
        server->refused = old->refused;
        if (server->told)
                loop_arm_in(server->sweep, LISTEN_SWEEP_USEC);
        old->leaving = true;
        (void) close(old->library->MHD_quiesce_daemon(old->mhd));
        loop_wake(old->again);
}

static int server_renew(ListenServer *old) {
        const union MHD_DaemonInfo *info = old->library->MHD_get_daemon_info(old->mhd, MHD_DAEMON_INFO_LISTEN_FD);
        const ListenSpec spec = {
                .address = old->address, .certificate_file = old->pem.certificate_file, .key_file = old->pem.key_file
        };
        _cleanup_(server_freep) ListenServer *server = NULL;
        int fd, r;

        r = server_make(old->listen, &spec, &server);
        if (r < 0 || strcmp(server->pem.digest, old->pem.digest) == 0)
                return r;
        fd = info ? fcntl(info->listen_fd, F_DUPFD_CLOEXEC, 3) : -1;
        if (fd < 0)
                return info ? -errno : -EIO;
        r = server_serve(server, fd);
        if (r == 0)
                server_hand_over(old, cleanup_steal(server));
        return r;
}

void listen_renew(Listen *listen, void (*on_failed)(const char *address, int error)) {
        ListenServer *server;
        int r;

        LIST_FOREACH(server, &listen->servers, link) { /* a new server is inserted in front, so it is not visited */
                r = server->leaving || server_is_unused(server) ? 0 : server_renew(server);
                if (r < 0)
                        on_failed(server->address, r);
        }
}

void listen_certificates(const Listen *listen,
        void (*each)(void *userdata, const char *address, usec_t begin, usec_t end), void *userdata) {
        const ListenServer *server;

        LIST_FOREACH(server, &listen->servers, link)
                if (!server->leaving && server->pem.end > 0)
                        each(userdata, server->address, server->pem.begin, server->pem.end);
}

void listen_stop(Listen *listen) {
        listen->stopping = true;
}

/* ---- routes ---- */

/* Includes requests on servers that still use an old certificate. */
static void route_give_up_requests(ListenRoute *route) {
        ListenRequest *request;
        ListenServer *server;

        LIST_FOREACH(server, &route->server->listen->servers, link)
                TAILQ_FOREACH(request, &server->requests, link) {
                        if (request->route != route)
                                continue;
                        listen_request_give_up(request);
                        request->route = NULL;
                }
}

/* Giving requests up resumes them only if they are suspended, which their state tells (listen-request.c). */
ListenRoute *listen_drop(ListenRoute *route) {
        ListenServer *server;

        if (!route)
                return NULL;
        server = route->server;
        route_give_up_requests(route);
        LIST_REMOVE(route, link);
        if (server->listen->stopping)
                LIST_INSERT_HEAD(&server->gone, route, link);
        else
                route_free(route);
        server_leave(server);
        return NULL;
}

static int route_new(ListenServer *server, const ListenSpec *spec, const ListenHandler *handler, ListenRoute **ret) {
        _cleanup_(route_freep) ListenRoute *route = NULL;
        ListenRoute *other;

        LIST_FOREACH(other, &server->routes, link)
                if (strcmp(other->path, spec->path) == 0)
                        return -EEXIST;
        route = calloc(1, sizeof(*route));
        if (!route)
                return -ENOMEM;
        route->path = strdup(spec->path);
        route->hosts = array_copy_texts(spec->hosts);
        if (!route->path || !route->hosts)
                return -ENOMEM;
        route->server = server;
        route->below = spec->below;
        route->max_body = spec->max_body;
        route->handler = *handler;
        LIST_INSERT_HEAD(&server->routes, route, link);
        *ret = cleanup_steal(route);
        return 0;
}

int listen_route(Listen *listen, const ListenSpec *spec, const ListenHandler *handler, ListenRoute **ret) {
        ListenServer *server = listen_server_find(listen, spec->address);
        int r;

        r = library_load(&listen->library);
        if (r < 0)
                return r;
        if (server && !listen_pem_is_of(&server->pem, spec->certificate_file, spec->key_file)) {
                if (!server_is_unused(server))
                        return -EADDRINUSE;
                server = NULL;
        }
        if (!server) {
                listen_close_unused(listen);
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
        ListenServer *server;

        if (!listen)
                return NULL;
        while ((server = LIST_FIRST(&listen->servers)))
                server_close(server); /* every route has been dropped */
        free(listen);
        return NULL;
}
