/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from their start to their callback. Owners' callbacks never run from inside libcurl: so they may start and
 * cancel requests. */
#include "http.h"

#include <assert.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "curl.h"
#include "err.h"
#include "http-internal.h"
#include "log.h"

struct Http {
        Loop *loop;
        CurlLoop *curl;
        char *user_agent;
        size_t n_active;
};

/* ---- requests ---- */

/* Frees a request that libcurl does not use. The easy handle is freed too and not used again:
 * with libcurl 7.88 it still has buffers with pieces of the old body, if other requests use its HTTP/2 connection
 * (multi_done()). Connections belong to the multi handle, so none is lost. */
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

/* Returns how many bytes of the URL may be logged, since the rest may be secret. */
static size_t shown_size(const HttpRequest *request, const char *url) {
        const char *authority = strstr(url, "://");

        if (!request->secret_path || !authority)
                return strcspn(url, "?");
        authority += strlen("://");
        return (size_t) (authority - url) + strcspn(authority, "/?");
}

static void request_trace(HttpRequest *request, const HttpReply *reply) {
        const char *url = NULL, *method = NULL;
        char span[CLOCK_SPAN_SIZE];

        if (log_level() < LOG_DEBUG)
                return;

        (void) curl_easy_getinfo(request->easy, CURLINFO_EFFECTIVE_URL, &url);
        (void) curl_easy_getinfo(request->easy, CURLINFO_EFFECTIVE_METHOD, &method);
        if (url && method)
                log_debug("http: %s %.*s: %s after %s, %zu bytes", method, (int) shown_size(request, url), url,
                        reply->detail, clock_format_span(clock_now() - request->started, span, sizeof(span)),
                        reply->body.size);
}

/* libcurl is done with the request: tells its owner, and frees it. */
static void request_finish(HttpRequest *request, CURLcode code) {
        HttpReply reply;

        request->code = code;
        request->delivered = true;
        request->http->n_active--;
        curl_loop_remove(request->http->curl, request->easy);
        reply = http_request_reply(request);
        request_trace(request, &reply);
        request->done(request->userdata, &reply);
        request->received = reply.body; /* the owner may have left the bodies here; they are wiped */
        request->sent = reply.sent;
        (void) request_free(request);
}

/* Returns the bytes that came plus the bytes that the peer has acknowledged: bytes that wait in the kernel have not
 * moved yet. */
static int64_t request_moved(const HttpRequest *request) {
        curl_off_t sent = 0, received = 0;
        curl_socket_t fd = curl_loop_socket(request->http->curl, request->easy);
        int waiting = 0;

        (void) curl_easy_getinfo(request->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
        (void) curl_easy_getinfo(request->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
        if (fd != CURL_SOCKET_BAD)
                (void) ioctl(fd, SIOCOUTQ, &waiting);
        return (int64_t) sent + (int64_t) received - waiting;
}

/* A request has run out of time. libcurl closes its connection, except with HTTP/2: there the next request uses it
 * again. If a proxy has lost its way to the server, the proxy's kernel still acknowledges, and no request on that
 * connection would ever be answered. So a connection that received nothing for half of the time is shut down: other
 * requests on it end too, and the next one gets a new connection. */
static void connection_spoil_if_silent(HttpRequest *request) {
        curl_socket_t fd = curl_loop_socket(request->http->curl, request->easy);
        usec_t waited = clock_monotonic() - request->awake; /* the kernel does not count sleep either */
        struct tcp_info info = {};
        socklen_t size = sizeof(info);

        if (fd == CURL_SOCKET_BAD || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
                return;
        if (2 * info.tcpi_last_data_recv * USEC_PER_MSEC >= waited)
                (void) shutdown(fd, SHUT_RDWR);
}

static void on_stall_check(void *userdata) {
        HttpRequest *request = userdata;
        int64_t moved = request_moved(request);
        usec_t now = clock_now();

        if (moved != request->moved) {
                request->moved = moved;
                request->moved_at = now;
        } else if (now - request->moved_at >= request->stall) {
                request->stalled = true;
                connection_spoil_if_silent(request);
                return request_finish(request, CURLE_OPERATION_TIMEDOUT);
        }
        loop_arm_in(request->stall_watch, request->stall / 4);
}

static int request_watch_stall(HttpRequest *request, usec_t stall) {
        int r;

        if (stall == 0)
                return 0;
        r = loop_add_timer(request->http->loop, LOOP_RELAXED, on_stall_check, request, &request->stall_watch);
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
        request->awake = clock_monotonic();
        request->easy = curl_easy_init(); /* a new handle each time: see request_free() */
        if (!request->easy)
                return -ENOMEM;

        r = http_request_prepare(request, spec, http->user_agent);
        if (r < 0)
                return r;
        r = request_watch_stall(request, spec->stall);
        if (r < 0)
                return r;
        r = curl_loop_add(http->curl, request->easy);
        if (r < 0)
                return r;

        request->sent = bytes_steal(&spec->body);
        http->n_active++;
        *ret = cleanup_steal(request);
        return 0;
}

HttpRequest *http_cancel(HttpRequest *request) {
        if (!request || request->delivered)
                return NULL;

        request->http->n_active--;
        curl_loop_remove(request->http->curl, request->easy);
        return request_free(request);
}

/* ---- loop ---- */

/* libcurl 7.88 (multi.c, MSTATE_DO) keeps a connection for the next request even if the first request on it could not
 * be sent. OpenSSL still holds the first request and sends it in place of the next one, which would then get the wrong
 * reply. libcurl finds that a connection which was shut down is dead, and does not use it. */
static void connection_spoil(const HttpRequest *request) {
        curl_socket_t fd = curl_loop_socket(request->http->curl, request->easy);

        if (fd != CURL_SOCKET_BAD)
                (void) shutdown(fd, SHUT_RDWR);
}

static void on_curl_done(void *userdata, CURL *easy, CURLcode code) {
        HttpRequest *request;

        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
        if (code == CURLE_OK)
                curl_loop_guard(request->http->curl, easy);
        if (code == CURLE_SEND_ERROR)
                connection_spoil(request);
        if (code == CURLE_OPERATION_TIMEDOUT)
                connection_spoil_if_silent(request);
        request_finish(request, code);
}

/* ---- life ---- */

int http_new(Loop *loop, const char *user_agent, Http **ret) {
        _cleanup_(http_freep) Http *http = NULL;
        int r;

        http = calloc(1, sizeof(*http));
        if (!http)
                return -ENOMEM;

        http->loop = loop;
        http->user_agent = strdup(user_agent);
        if (!http->user_agent)
                return -ENOMEM;

        r = curl_loop_new(loop, on_curl_done, http, &http->curl);
        if (r < 0)
                return r;

        *ret = cleanup_steal(http);
        return 0;
}

Http *http_free(Http *http) {
        if (!http)
                return NULL;

        assert(http->n_active == 0);

        curl_loop_free(http->curl);
        free(http->user_agent);
        free(http);
        return NULL;
}
