/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side of libcurl: it says which sockets to watch and when to wake it; we call curl_multi_socket_action()
 * and take what it finished. Owners' callbacks run from a source of their own, so that none is ever called while
 * libcurl is on the stack: they may start and cancel as they like. */
#include "http.h"

#include <assert.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "err.h"
#include "http-internal.h"
#include "log.h"

#define CONNECTIONS_KEPT 64L /* open ones count too: more than the pulls that ever hang at once */

typedef TAILQ_HEAD(RequestList, HttpRequest) RequestList;

typedef struct Socket {
        LoopWatch *watch;
        LIST_ENTRY(Socket) link;
} Socket;

struct Http {
        Loop *loop;
        CURLM *multi;
        char *user_agent;
        LoopWatch *timer;  /* libcurl's next deadline */
        LoopWatch *soon;   /* on when that is now: no timer, which would cost three system calls a request */
        LoopWatch *finish; /* on when finished is not empty */
        RequestList active, finished;
        LIST_HEAD(SocketList, Socket) sockets;
};

/* ---- requests ---- */

/* Of a request that is in no list and that libcurl does not have. The easy handle goes as well: one that is kept for
 * the next request still has its buffers, with pieces of the old body in them, when its HTTP/2 connection is in use by
 * others (libcurl 7.88, multi_done()). Connections belong to the multi handle, so nothing is lost. */
static HttpRequest *request_free(HttpRequest *request) {
        if (!request)
                return NULL;

        request->stall_watch = loop_drop(request->stall_watch);
        curl_easy_cleanup(request->easy);
        http_request_wipe(request);
        free(request);
        return NULL;
}
CLEANUP_DEFINE(HttpRequest, request_free)

/* libcurl has done with it. */
static void request_finish(HttpRequest *request, CURLcode code) {
        Http *http = request->http;

        request->code = code;
        request->state = HTTP_REQUEST_FINISHED;
        loop_off(request->stall_watch);
        (void) curl_multi_remove_handle(http->multi, request->easy);
        TAILQ_REMOVE(&http->active, request, link);
        TAILQ_INSERT_TAIL(&http->finished, request, link);
        loop_wake(http->finish);
}

/* What has come, and what the peer has taken: bytes that only wait in the kernel have not moved yet. */
static int64_t request_moved(const HttpRequest *request) {
        curl_off_t sent = 0, received = 0;
        curl_socket_t fd = CURL_SOCKET_BAD;
        int waiting = 0;

        (void) curl_easy_getinfo(request->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
        (void) curl_easy_getinfo(request->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
        if (curl_easy_getinfo(request->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
                (void) ioctl(fd, SIOCOUTQ, &waiting);
        return (int64_t) sent + (int64_t) received - waiting;
}

static void on_stall_look(void *userdata) {
        HttpRequest *request = userdata;
        int64_t moved = request_moved(request);
        usec_t now = clock_now();

        if (moved != request->moved) {
                request->moved = moved;
                request->moved_at = now;
        } else if (now - request->moved_at >= request->stall) {
                request->stalled = true;
                return request_finish(request, CURLE_OPERATION_TIMEDOUT);
        }
        loop_arm_in(request->stall_watch, request->stall / 4);
}

static int request_watch_stall(HttpRequest *request, usec_t stall) {
        int r;

        if (stall == 0)
                return 0;
        r = loop_add_timer(request->http->loop, LOOP_RELAXED, on_stall_look, request, &request->stall_watch);
        if (r < 0)
                return r;
        request->stall = stall;
        request->moved_at = request->started;
        loop_arm_in(request->stall_watch, stall / 4);
        return 0;
}

int http_start(Http *http, HttpSpec *spec, HttpDone done, void *userdata, HttpRequest **ret) {
        _cleanup_(request_freep) HttpRequest *request = NULL;
        int r;

        request = calloc(1, sizeof(*request));
        if (!request)
                return -ENOMEM;

        request->http = http;
        request->done = done;
        request->userdata = userdata;
        request->started = clock_now();
        request->easy = curl_easy_init(); /* not kept and reset: see request_free() */
        if (!request->easy)
                return -ENOMEM;

        r = http_request_prepare(request, spec, http->user_agent);
        if (r < 0)
                return r;
        r = request_watch_stall(request, spec->stall);
        if (r < 0)
                return r;
        if (curl_multi_add_handle(http->multi, request->easy) != CURLM_OK)
                return -ENOMEM;

        request->sent = bytes_steal(&spec->body);
        TAILQ_INSERT_TAIL(&http->active, request, link);
        *ret = cleanup_steal(request);
        return 0;
}

HttpRequest *http_cancel(HttpRequest *request) {
        if (!request)
                return NULL;

        switch (request->state) {
        case HTTP_REQUEST_ACTIVE:
                TAILQ_REMOVE(&request->http->active, request, link);
                (void) curl_multi_remove_handle(request->http->multi, request->easy);
                break;
        case HTTP_REQUEST_FINISHED:
                TAILQ_REMOVE(&request->http->finished, request, link);
                break;
        case HTTP_REQUEST_DELIVERED:
                return NULL;
        }

        return request_free(request);
}

/* ---- loop ---- */

static void request_trace(HttpRequest *request, const HttpReply *reply) {
        const char *url = NULL, *method = NULL;
        char span[32];

        if (log_level() < LOG_DEBUG)
                return;

        (void) curl_easy_getinfo(request->easy, CURLINFO_EFFECTIVE_URL, &url);
        (void) curl_easy_getinfo(request->easy, CURLINFO_EFFECTIVE_METHOD, &method);
        if (url && method)
                log_debug("http: %s %.*s: %s after %s, %zu bytes", method, (int) strcspn(url, "?"), url, reply->detail,
                        clock_format_span(clock_now() - request->started, span, sizeof(span)), reply->body.size);
}

static void on_finish(void *userdata) {
        Http *http = userdata;
        HttpRequest *request;

        while ((request = TAILQ_FIRST(&http->finished))) {
                HttpReply reply;

                TAILQ_REMOVE(&http->finished, request, link);
                request->state = HTTP_REQUEST_DELIVERED;
                reply = http_request_reply(request);
                request_trace(request, &reply);
                request->done(request->userdata, &reply);
                request->received = reply.body; /* what the owner left of them, to be wiped */
                request->sent = reply.sent;
                (void) request_free(request);
        }
}

/* libcurl (7.88, multi.c, MSTATE_DO) keeps a connection for the next request when the first one on it could not be
 * sent. OpenSSL still holds that one, and sends it in place of the next, whose reply would then be another's. What is
 * shut down is found dead, and not used. */
static void connection_spoil(CURL *easy) {
        curl_socket_t fd = CURL_SOCKET_BAD;

        if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
                (void) shutdown(fd, SHUT_RDWR);
}

/* Takes over all that libcurl has finished. */
static void http_drain(Http *http) {
        HttpRequest *request;
        CURLMsg *message;
        int left;

        while ((message = curl_multi_info_read(http->multi, &left))) {
                if (message->msg != CURLMSG_DONE)
                        continue;

                (void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
                if (message->data.result == CURLE_SEND_ERROR)
                        connection_spoil(request->easy);
                request_finish(request, message->data.result);
        }
}

static void http_action(Http *http, curl_socket_t fd, int events) {
        CURLMcode code;
        int running;

        code = curl_multi_socket_action(http->multi, fd, events, &running);
        if (code != CURLM_OK)
                log_debug("http: %s", curl_multi_strerror(code));
        http_drain(http);
}

static void on_io(void *userdata, int fd, uint32_t ready) {
        int events = 0;

        if (ready & EPOLLIN)
                events |= CURL_CSELECT_IN;
        if (ready & EPOLLOUT)
                events |= CURL_CSELECT_OUT;
        if (ready & (EPOLLERR | EPOLLHUP))
                events |= CURL_CSELECT_ERR;

        http_action(userdata, fd, events);
}

static void on_due(void *userdata) {
        http_action(userdata, CURL_SOCKET_TIMEOUT, 0);
}

static void socket_forget(Socket *socket) {
        LIST_REMOVE(socket, link);
        loop_drop(socket->watch);
        free(socket);
}

static int http_watch(Http *http, curl_socket_t fd, uint32_t events) {
        Socket *socket;
        int r;

        socket = calloc(1, sizeof(*socket));
        if (!socket)
                return -ENOMEM;

        r = loop_add_io(http->loop, fd, events, on_io, http, &socket->watch);
        if (r < 0) {
                free(socket);
                return r;
        }

        LIST_INSERT_HEAD(&http->sockets, socket, link);
        (void) curl_multi_assign(http->multi, fd, socket);
        return 0;
}

/* Never answers -1: that would break the whole multi handle. A socket that cannot be watched lets its request time out.
 */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *watched) {
        uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
        Socket *socket = watched;
        int r = 0;

        if (what == CURL_POLL_REMOVE) {
                if (socket)
                        socket_forget(socket);
                return 0;
        }

        r = socket ? loop_set_events(socket->watch, events) : http_watch(userdata, fd, events);
        if (r < 0)
                log_debug("http: cannot watch a socket: %s", strerror(-r));
        return 0;
}

/* Deadlines of libcurl are soon, or do not matter to the millisecond: it looks at its own clock when it is called. */
static int on_curl_timer(CURLM *multi, long timeout_msec, void *userdata) {
        Http *http = userdata;

        loop_off(http->timer);
        loop_off(http->soon);
        if (timeout_msec == 0)
                loop_wake(http->soon);
        else if (timeout_msec > 0)
                loop_arm_in(http->timer, (usec_t) timeout_msec * USEC_PER_MSEC);
        return 0;
}

/* ---- life ---- */

/* Never undone: libcurl's global state belongs to the process, like that of OpenSSL below it. */
static void global_init(void) {
        (void) curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int http_set_up_multi(Http *http) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        int failed = 0;

        (void) pthread_once(&once, global_init);
        http->multi = curl_multi_init();
        if (!http->multi)
                return -ENOMEM;

        failed |= curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
        failed |= curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
        failed |= curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
        failed |= curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
        failed |= curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
        failed |= curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long) CURLPIPE_MULTIPLEX);
        return failed == 0 ? 0 : -ENOMEM;
}

static int http_set_up_watches(Http *http) {
        int r;

        r = loop_add_timer(http->loop, LOOP_EXACT, on_due, http, &http->timer);
        if (r == 0)
                r = loop_add_defer(http->loop, on_due, http, &http->soon);
        if (r == 0)
                r = loop_add_defer(http->loop, on_finish, http, &http->finish);
        return r;
}

int http_new(Loop *loop, const char *user_agent, Http **ret) {
        _cleanup_(http_freep) Http *http = NULL;
        int r;

        http = calloc(1, sizeof(*http));
        if (!http)
                return -ENOMEM;

        TAILQ_INIT(&http->active);
        TAILQ_INIT(&http->finished);
        LIST_INIT(&http->sockets);
        http->loop = loop;
        http->user_agent = strdup(user_agent);
        if (!http->user_agent)
                return -ENOMEM;

        r = http_set_up_watches(http);
        if (r < 0)
                return r;
        r = http_set_up_multi(http);
        if (r < 0)
                return r;

        *ret = cleanup_steal(http);
        return 0;
}

Http *http_free(Http *http) {
        if (!http)
                return NULL;

        assert(TAILQ_EMPTY(&http->active) && TAILQ_EMPTY(&http->finished));

        (void) curl_multi_cleanup(http->multi); /* may still call our callbacks */
        while (!LIST_EMPTY(&http->sockets))
                socket_forget(LIST_FIRST(&http->sockets));
        loop_drop(http->finish);
        loop_drop(http->soon);
        loop_drop(http->timer);
        free(http->user_agent);
        free(http);
        return NULL;
}
