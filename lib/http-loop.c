/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http-internal.h"
#include "log.h"

/* libcurl counts open connections too: this must be more than the number of pulls that wait at once */
#define CONNECTIONS_KEPT 64L
#define THROWN_AWAY_MAX 16 /* reads of what came on a connection that nobody uses */

typedef struct Socket {
        curl_socket_t fd;
        LoopWatch *watch;
        LIST_ENTRY(Socket) link;
} Socket;

struct HttpLoop {
        Loop *loop;
        CURLM *multi;
        LoopWatch *timer; /* libcurl's next deadline */
        LoopWatch *soon;  /* woken when it is due now: a timer would cost three system calls a request */
        LIST_HEAD(, Socket) sockets;
        void (*on_done)(void *userdata, CURL *easy, CURLcode code);
        void *userdata;
};

static void curl_drain(HttpLoop *curl) {
        CURLMsg *message;
        int left;

        while ((message = curl_multi_info_read(curl->multi, &left)))
                if (message->msg == CURLMSG_DONE)
                        curl->on_done(curl->userdata, message->easy_handle, message->data.result);
}

static void curl_action(HttpLoop *curl, curl_socket_t fd, int events) {
        CURLMcode code;
        int running;

        code = curl_multi_socket_action(curl->multi, fd, events, &running);
        if (code != CURLM_OK)
                log_debug("curl: %s", curl_multi_strerror(code));
        curl_drain(curl);
}

static void on_io(void *userdata, int fd, uint32_t ready) {
        int events = 0;

        if (ready & EPOLLIN)
                events |= CURL_CSELECT_IN;
        if (ready & EPOLLOUT)
                events |= CURL_CSELECT_OUT;
        if (ready & (EPOLLERR | EPOLLHUP))
                events |= CURL_CSELECT_ERR;
        curl_action(userdata, fd, events);
}

static void on_due(void *userdata) {
        curl_action(userdata, CURL_SOCKET_TIMEOUT, 0);
}

static void socket_forget(Socket *socket) {
        if (!socket)
                return;
        LIST_REMOVE(socket, link);
        loop_drop(socket->watch);
        free(socket);
}

static Socket *socket_find(const HttpLoop *curl, curl_socket_t fd) {
        Socket *socket;

        LIST_FOREACH(socket, &curl->sockets, link)
                if (socket->fd == fd)
                        return socket;
        return NULL;
}

static int socket_watch(HttpLoop *curl, curl_socket_t fd, uint32_t events,
        void (*ready)(void *userdata, int fd, uint32_t events), Socket **ret) {
        Socket *socket;
        int r;

        socket = calloc(1, sizeof(*socket));
        if (!socket)
                return -ENOMEM;
        r = loop_add_io(curl->loop, fd, events, ready, curl, &socket->watch);
        if (r < 0) {
                free(socket);
                return r;
        }
        socket->fd = fd;
        LIST_INSERT_HEAD(&curl->sockets, socket, link);
        *ret = socket;
        return 0;
}

static int curl_watch(HttpLoop *curl, curl_socket_t fd, uint32_t events) {
        Socket *socket;
        int r;

        socket_forget(socket_find(curl, fd)); /* nobody used it until now */
        r = socket_watch(curl, fd, events, on_io, &socket);
        if (r == 0)
                (void) curl_multi_assign(curl->multi, fd, socket);
        return r;
}

/* Something came before the next request was sent. libcurl before 8.1 would take it for the answer to that one: some
 * servers answer twice. So the connection ends. What came is read, since libcurl would hold a connection with unread
 * bytes for a living one. */
static void on_idle(void *userdata, int fd, uint32_t ready) {
        char thrown_away[4096];

        socket_forget(socket_find(userdata, fd));
        (void) shutdown(fd, SHUT_RDWR);
        for (int i = 0; i < THROWN_AWAY_MAX; i++)
                if (recv(fd, thrown_away, sizeof(thrown_away), MSG_DONTWAIT) <= 0)
                        break;
}

/* The watch goes first: what came while the loop was busy is seen before the next request is sent. */
void http_loop_guard(HttpLoop *curl, CURL *easy) {
        curl_socket_t fd = CURL_SOCKET_BAD; /* remains if the connection is closed */
        long version = CURL_HTTP_VERSION_NONE;
        Socket *socket;

        (void) curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd);
        (void) curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
        if (fd != CURL_SOCKET_BAD && version <= CURL_HTTP_VERSION_1_1 && !socket_find(curl, fd) &&
                socket_watch(curl, fd, EPOLLIN, on_idle, &socket) == 0)
                loop_go_first(socket->watch);
}

static int on_close(void *userdata, curl_socket_t fd) {
        socket_forget(socket_find(userdata, fd));
        return close(fd);
}

/* Never returns -1, which would make the whole multi handle unusable. If a socket cannot be watched, its transfer times
 * out. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *watched) {
        uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
        Socket *socket = watched;
        int r;

        if (what == CURL_POLL_REMOVE) {
                socket_forget(socket);
                return 0;
        }
        r = socket ? loop_set_events(socket->watch, events) : curl_watch(userdata, fd, events);
        if (r < 0)
                log_debug("curl: cannot watch a socket: %s", strerror(-r));
        return 0;
}

/* libcurl's deadlines are either close, or a millisecond more does not matter: libcurl reads its own clock when it is
 * called. */
static int on_curl_timer(CURLM *multi, long timeout_msec, void *userdata) {
        HttpLoop *curl = userdata;

        loop_off(curl->timer);
        loop_off(curl->soon);
        if (timeout_msec == 0)
                loop_wake(curl->soon);
        else if (timeout_msec > 0)
                loop_arm_in(curl->timer, (usec_t) timeout_msec * USEC_PER_MSEC);
        return 0;
}

int http_loop_add(HttpLoop *curl, CURL *easy) {
        (void) curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
        (void) curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, curl);
        return curl_multi_add_handle(curl->multi, easy) == CURLM_OK ? 0 : -ENOMEM;
}

void http_loop_remove(HttpLoop *curl, CURL *easy) {
        (void) curl_multi_remove_handle(curl->multi, easy);
}

/* ---- a transfer's socket ---- */

typedef int (*SocketName)(int fd, struct sockaddr *address, socklen_t *size); /* getsockname(2) or getpeername(2) */

static long socket_port(curl_socket_t fd, SocketName name) {
        union {
                struct sockaddr any;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } address;
        socklen_t size = sizeof(address);

        if (name(fd, &address.any, &size) < 0)
                return -1;
        return ntohs(address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in.sin_port);
}

curl_socket_t http_loop_socket(const HttpLoop *curl, CURL *easy) {
        curl_socket_t fd = CURL_SOCKET_BAD;
        long here = 0, there = 0;

        if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
                return fd;
        (void) curl_easy_getinfo(easy, CURLINFO_LOCAL_PORT, &here);
        (void) curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &there);
        for (const Socket *socket = LIST_FIRST(&curl->sockets); socket; socket = LIST_NEXT(socket, link))
                if (here > 0 && socket_port(socket->fd, getsockname) == here &&
                        socket_port(socket->fd, getpeername) == there)
                        return socket->fd;
        return CURL_SOCKET_BAD;
}

/* ---- a transfer's options ---- */

/* Opens the socket as libcurl would. */
static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *address) {
        int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
        HttpFailure *failure = userdata;

        failure->unopened = fd < 0 ? errno : 0;
        return fd;
}

int http_loop_prepare(CURL *easy, const HttpPeer *peer, HttpFailure *failure) {
        bool plain = strncasecmp(peer->url, "http:", strlen("http:")) == 0;
        int failed = 0;

        failed |= curl_easy_setopt(easy, CURLOPT_URL, peer->url);
        if (plain || http_url_is_local(peer->url))
                failed |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
        failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) (peer->connect_timeout / USEC_PER_MSEC));
        failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        /* a transfer that is dropped does not wait for its resolver thread */
        failed |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
        failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, failure);
        failed |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, failure->text);

        failed |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        /* A CA directory would be trusted in addition to ca_file, and libcurl would not cache the anchors. */
        if (peer->ca_file || curl_version_info(CURLVERSION_NOW)->cainfo)
                failed |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        if (peer->ca_file)
                failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, peer->ca_file);
        if (peer->certificate_file) {
                failed |= curl_easy_setopt(easy, CURLOPT_SSLCERT, peer->certificate_file);
                failed |= curl_easy_setopt(easy, CURLOPT_SSLKEY, peer->key_file);
        }
        return failed == 0 ? 0 : -ENOMEM; /* a known option on a new handle can fail only for want of memory */
}

/* ---- life ---- */

/* This is never undone: libcurl's global state belongs to the whole process, like that of OpenSSL below it. */
static void global_init(void) {
        (void) curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int curl_set_up_multi(HttpLoop *curl) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        int failed = 0;

        (void) pthread_once(&once, global_init);
        curl->multi = curl_multi_init();
        if (!curl->multi)
                return -ENOMEM;
        failed |= curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
        failed |= curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
        failed |= curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
        failed |= curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
        failed |= curl_multi_setopt(curl->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
        failed |= curl_multi_setopt(curl->multi, CURLMOPT_PIPELINING, (long) CURLPIPE_MULTIPLEX);
        return failed == 0 ? 0 : -ENOMEM;
}

int http_loop_new(
        Loop *loop, void (*on_done)(void *userdata, CURL *easy, CURLcode code), void *userdata, HttpLoop **ret) {
        _cleanup_(http_loop_freep) HttpLoop *curl = NULL;
        int r;

        curl = calloc(1, sizeof(*curl));
        if (!curl)
                return -ENOMEM;
        LIST_INIT(&curl->sockets);
        curl->loop = loop;
        curl->on_done = on_done;
        curl->userdata = userdata;
        r = loop_add_timer(loop, LOOP_EXACT, on_due, curl, &curl->timer);
        if (r < 0)
                return r;
        r = loop_add_defer(loop, on_due, curl, &curl->soon);
        if (r < 0)
                return r;
        r = curl_set_up_multi(curl);
        if (r < 0)
                return r;
        *ret = cleanup_steal(curl);
        return 0;
}

HttpLoop *http_loop_free(HttpLoop *curl) {
        if (!curl)
                return NULL;
        (void) curl_multi_cleanup(curl->multi); /* may still call our callbacks */
        while (!LIST_EMPTY(&curl->sockets))
                socket_forget(LIST_FIRST(&curl->sockets));
        loop_drop(curl->soon);
        loop_drop(curl->timer);
        free(curl);
        return NULL;
}
