/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from their options to their callback. Owners' callbacks never run from inside libcurl: so they may start and
 * cancel requests. */
#include "http.h"

#include <assert.h>
#include <ctype.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "err.h"
#include "http-internal.h"
#include "log.h"
#include "text.h"

#define HEADERS_MAX (256 * 1024) /* bytes of one reply's headers; libcurl keeps all of them */
/* the most that is allocated because a server announced it; beyond that the buffer grows as bytes arrive */
#define RESERVE_MAX (4 * 1024 * 1024)
#define RETRY_AFTER_MAX_USEC USEC_PER_HOUR
#define AGE_MAX_USEC (366 * 24 * USEC_PER_HOUR)
#define DATE_MIN_USEC (UINT64_C(1704067200) * USEC_PER_SEC) /* 2024-01-01 */
/* reading the trust anchors takes 20 ms, on a Pi 200 ms; a replaced file is noticed after this time */
#define CA_CACHE_SEC 600L
#define KEEPALIVE_IDLE_SEC 30L /* shorter than any NAT keeps a connection that sends nothing */
#define KEEPALIVE_INTERVAL_SEC 10L
/* if nothing is acknowledged for this time, the connection is lost, and with HTTP/2 every request on it */
#define DEAD_PEER_MSEC 60000u
/* bytes that the kernel may hold unsent: on a slow line, other requests of an HTTP/2 connection wait behind them */
#define UNSENT_MAX (128u * 1024)
#define CONNECT_TIMEOUT_USEC (30 * USEC_PER_SEC)

struct Http {
        Loop *loop;
        HttpLoop *curl;
        char *user_agent;
        size_t n_active;
};

struct HttpRequest {
        Http *http;
        bool delivered; /* its callback runs; it is freed when that returns */
        CURL *easy;
        HttpFailure failure;
        struct curl_slist *headers;
        Bytes sent; /* libcurl reads the body from here */
        Bytes received;
        size_t max_reply, header_size;
        bool too_large, secret_path;
        bool headed; /* the empty line behind the header of the reply came */
        usec_t timeout, started;
        usec_t awake;           /* clock_monotonic() when it was started */
        usec_t stall, moved_at; /* stall: the limit, 0 = not watched; moved_at: clock_now() when bytes moved last */
        int64_t moved;          /* bytes that had moved at the last look */
        bool stalled;
        LoopWatch *stall_watch;
        char detail[CURL_ERROR_SIZE + 64];
        HttpDone done;
        void *userdata;
};

/* ---- a request: its options going out ---- */

static int request_add_header(HttpRequest *request, const char *name, const char *separator, const char *value) {
        _cleanup_(bytes_wipe) Bytes line = {};
        struct curl_slist *headers;
        int r;

        r = bytes_reserve(
                &line, strlen(name) + strlen(separator) + strlen(value)); /* the full size at once: a buffer that grows
                                                                             leaves copies of a secret behind */
        if (r < 0)
                return r;

        (void) bytes_append_text(&line, name);
        (void) bytes_append_text(&line, separator);
        (void) bytes_append_text(&line, value);
        headers = curl_slist_append(request->headers, line.data);
        if (!headers)
                return -ENOMEM;

        request->headers = headers;
        return 0;
}

static bool header_value_valid(const char *text) {
        return !text_has_controls(text, strlen(text));
}

/* True for one word. RFC 6750 section 2.1 allows token68 only, but some servers give tokens like `17|q3Fz`. If a token
 * was pasted wrongly, the server gives the best explanation. */
static bool bearer_valid(const char *bearer) {
        for (const char *c = bearer; *c != '\0'; c++)
                if (*c <= ' ' || *c > '~')
                        return false;

        return bearer[0] != '\0';
}

static bool spec_has_body(const HttpSpec *spec) {
        return spec->body.size > 0 || strcmp(spec->method, "POST") == 0 || strcmp(spec->method, "PUT") == 0 ||
               strcmp(spec->method, "PATCH") == 0;
}

static int request_set_headers(HttpRequest *request, const HttpSpec *spec) {
        int r = 0;

        if (spec->bearer)
                r = request_add_header(request, "Authorization", ": Bearer ", spec->bearer);
        if (r == 0 && spec_has_body(spec))
                r = request_add_header(
                        request, "Content-Type", ": ", spec->content_type ? spec->content_type : "application/json");
        if (r == 0)
                r = request_add_header(request, "Expect", ":", ""); /* none: a server that ignores it costs a second */
        for (const char *const *header = spec->headers; r == 0 && header && *header; header++)
                r = request_add_header(request, *header, "", "");

        return r;
}

static int on_socket_created(void *userdata, curl_socket_t fd, curlsocktype purpose) {
        unsigned timeout = DEAD_PEER_MSEC, unsent = UNSENT_MAX;

        (void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
        return CURL_SOCKOPT_OK;
}

static size_t on_body(char *data, size_t unit, size_t size, void *userdata) {
        HttpRequest *request = userdata;
        curl_off_t announced = -1;

        if (size > request->max_reply - request->received.size) {
                request->too_large = true;
                return 0;
        }

        if (!request->received.data) {
                (void) curl_easy_getinfo(request->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
                if (announced > 0 && bytes_reserve(&request->received,
                                             announced < RESERVE_MAX ? (size_t) announced : RESERVE_MAX) < 0)
                        return 0;
        }

        return bytes_append(&request->received, data, size) < 0 ? 0 : size;
}

/* True for `HTTP/1.1 200 OK`. A trailer, which is not followed by an empty line, may have a name that begins alike. */
static bool is_status_line(Slice line) {
        const char *blank = memchr(line.data, ' ', line.size), *colon = memchr(line.data, ':', line.size);

        return line.size >= strlen("HTTP/") && memcmp(line.data, "HTTP/", strlen("HTTP/")) == 0 && blank &&
               (!colon || blank < colon);
}

static size_t on_header(char *data, size_t unit, size_t size, void *userdata) {
        HttpRequest *request = userdata;

        if (is_status_line((Slice){ data, size }))
                request->headed = false;
        else if (data[0] == '\r' || data[0] == '\n')
                request->headed = true;
        request->header_size += size;
        request->too_large |= request->header_size > HEADERS_MAX;
        return request->too_large ? 0 : size;
}

/* Sets what an HTTP request has beyond other transfers. */
static bool request_set_options(HttpRequest *request, const HttpSpec *spec) {
        CURL *easy = request->easy;
        int failed = 0;

        failed |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
        failed |= curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SEC);
        failed |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) (spec->timeout / USEC_PER_MSEC));
        failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_SEC);
        failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SEC);
        failed |= curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_created);
        failed |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);

        /* The web server of a small device serves few clients at a time, often one: a connection that is kept until the
         * next poll shuts out all others. */
        if (http_url_check(spec->url) == HTTP_URL_PLAIN)
                failed |= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
        if (spec_has_body(spec)) {
                failed |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
                failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) spec->body.size);
                failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, spec->body.size > 0 ? spec->body.data : "");
        }
        failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, spec->method);
        failed |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
        failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, request->http->user_agent);
        failed |= curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");

        failed |= curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
        failed |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) request->max_reply);
        failed |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        failed |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
        failed |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        failed |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);

        return failed == 0;
}

/* Refuses a specification in which a caller's mistake or a remote's text could change the request, or that would send a
 * secret unencrypted. */
static bool spec_valid(const HttpSpec *spec) {
        int url = http_url_check(spec->url);

        if (url == HTTP_URL_MALFORMED || (spec->bearer && (url != HTTP_URL_OK || !bearer_valid(spec->bearer))))
                return false;
        if (spec->timeout < USEC_PER_MSEC || spec->timeout / USEC_PER_MSEC > INT32_MAX)
                return false;
        for (const char *const *header = spec->headers; header && *header; header++)
                if (!header_value_valid(*header) || !strchr(*header, ':'))
                        return false;

        return !spec->content_type || header_value_valid(spec->content_type);
}

/* The easy handle reads spec->body.data from then on. -EINVAL, -ENOMEM. */
static int request_prepare(HttpRequest *request, const HttpSpec *spec) {
        const HttpPeer peer = { spec->url, spec->ca_file, spec->certificate_file, spec->key_file,
                usec_min(spec->timeout, CONNECT_TIMEOUT_USEC) };
        int r;

        if (!spec_valid(spec))
                return -EINVAL;
        r = bytes_result(&spec->body);
        if (r < 0)
                return r;

        request->max_reply = spec->max_reply;
        request->timeout = spec->timeout;
        request->secret_path = spec->secret_path;
        r = request_set_headers(request, spec);
        if (r < 0)
                return r;
        r = http_loop_prepare(request->easy, &peer, &request->failure);
        if (r < 0)
                return r;
        return request_set_options(request, spec) ? 0 : -ENOMEM;
}

/* ---- its reply coming in ---- */

const char *http_reply_header(const HttpReply *reply, const char *name) {
        struct curl_header *header;

        if (reply->outcome != HTTP_ANSWERED)
                return NULL;
        if (curl_easy_header(reply->request->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
                return NULL;
        if (curl_easy_header(reply->request->easy, name, header->amount - 1, CURLH_HEADER, -1, &header) != CURLHE_OK)
                return NULL;

        return header->value;
}

/* Reads a number of seconds. Returns microseconds, at most *max*. */
static usec_t read_seconds(const char *text, usec_t max) {
        usec_t span = 0;

        for (; isdigit((unsigned char) *text) && span <= max; text++)
                span = span * 10 + (usec_t) (*text - '0') * USEC_PER_SEC;
        return usec_min(span, max);
}

/* RFC 9110 section 10.2.3. A date is compared with the server's own clock, if the reply has its Date. */
static usec_t reply_retry_after(const HttpReply *reply) {
        const char *text = http_reply_header(reply, "Retry-After");
        usec_t now = reply->date > 0 ? reply->date : clock_wall(), at, delay = 0;

        if (!text)
                return 0;

        if (isdigit((unsigned char) *text))
                delay = read_seconds(text, RETRY_AFTER_MAX_USEC);
        else if (clock_parse_http_date(text, &at) && at > now)
                delay = at - now;

        return usec_min(delay, RETRY_AFTER_MAX_USEC);
}

static void describe_peer(CURL *easy, char *text, size_t size) {
        const char *address = NULL;
        long port = 0;

        (void) curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
        (void) curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
        if (address && address[0] != '\0')
                (void) snprintf(text, size, strchr(address, ':') ? " [%s]:%ld" : " %s:%ld", address, port);
}

/* True when a CONNECT was sent to a proxy, which did not open the way. *sent* counts the CONNECT, but not from
 * libcurl 8.7 on. After a timeout there, the proxy itself may not have answered. */
static bool is_proxy_asked(CURL *easy, long sent, CURLcode code) {
#if LIBCURL_VERSION_NUM >= 0x080700
        curl_off_t connected = 0;
        long proxied = 0;

        (void) curl_easy_getinfo(easy, CURLINFO_USED_PROXY, &proxied);
        (void) curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
        return sent > 0 || (proxied && (connected > 0 || code == CURLE_OPERATION_TIMEDOUT));
#else
        return sent > 0;
#endif
}

/* For libcurl, a reply that breaks off within its header is a whole one without a body. */
static HttpEnd request_end(HttpRequest *request, CURLcode code) {
        CURLcode whole = code == CURLE_OK && !request->headed ? CURLE_PARTIAL_FILE : code;
        HttpEnd end = http_end_of(request->easy, &request->failure, whole);
        long sent = 0;
        curl_off_t begun = 0; /* when the connection was ready: *sent* counts a CONNECT too */

        (void) curl_easy_getinfo(request->easy, CURLINFO_REQUEST_SIZE, &sent);
        (void) curl_easy_getinfo(request->easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
        (void) curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &end.status);
        end.too_large = request->too_large;
        end.stalled = request->stalled;
        end.received = request->received.size;
        if (end.proxy_status != 0)
                describe_peer(request->easy, end.proxy, sizeof(end.proxy));
        end.sent = sent > 0 && begun > 0;
        end.proxy_asked = begun == 0 && is_proxy_asked(request->easy, sent, code);
        end.timeout = request->stalled ? request->stall : request->timeout;
        if (!end.sent)
                end.timeout = usec_min(end.timeout, CONNECT_TIMEOUT_USEC);

        return end;
}

static usec_t apart(usec_t a, usec_t b) {
        return a > b ? a - b : b - a;
}

/* Returns the server's wall time in microseconds: the Date header plus the Age header, the time that a cache has had
 * the reply (RFC 9111 section 5.1). Some caches (Cloudflare's, Edgio's) write the present time into Date and still send
 * Age; so the result is Date or Date + Age, whichever is nearer to our clock. Returns 0 (not known) for a date before
 * DATE_MIN_USEC: a device whose clock was never set says 1970 or 2000. Returns 0 too if the reply took longer than its
 * timeout: this machine slept, and nobody knows when the reply came. */
static usec_t reply_date(const HttpReply *reply) {
        const char *text = http_reply_header(reply, "Date"), *age = http_reply_header(reply, "Age");
        usec_t date, aged, now = clock_wall();

        if (!text || !clock_parse_http_date(text, &date) || date < DATE_MIN_USEC ||
                clock_now() - reply->request->started > reply->request->timeout)
                return 0;
        aged = date + (age ? read_seconds(age, AGE_MAX_USEC) : 0);
        return apart(aged, now) < apart(date, now) ? aged : date;
}

/* Builds the reply to a request that has ended; the bodies move into it. */
static HttpReply request_reply(HttpRequest *request, CURLcode code) {
        HttpEnd end = request_end(request, code);
        HttpReply reply = { .request = request, .detail = request->detail, .sent = bytes_steal(&request->sent) };

        reply.outcome = http_outcome(&end, request->detail, sizeof(request->detail));
        if (reply.outcome != HTTP_ANSWERED) {
                reply.begun = end.received > 0;
                reply.want = reply.outcome == HTTP_UNREACHABLE && http_end_is_want(&end);
                bytes_wipe(&request->received);
                return reply;
        }

        reply.status = (int) end.status;
        reply.body = bytes_steal(&request->received);
        reply.date = reply_date(&reply);
        reply.retry_after = reply_retry_after(&reply);

        return reply;
}

/* ---- from its start to its callback ---- */

/* Frees a request that libcurl does not use. The easy handle is freed too and not used again:
 * with libcurl 7.88 it still has buffers with pieces of the old body, if other requests use its HTTP/2 connection
 * (multi_done()). Connections belong to the multi handle, so none is lost. */
static HttpRequest *request_free(HttpRequest *request) {
        if (!request)
                return NULL;

        request->stall_watch = loop_drop(request->stall_watch);
        curl_easy_cleanup(request->easy);
        for (struct curl_slist *header = request->headers; header; header = header->next)
                explicit_bzero(header->data, strlen(header->data));
        curl_slist_free_all(request->headers);
        bytes_wipe(&request->sent); /* the bodies contain assertions, refresh tokens and access tokens */
        bytes_wipe(&request->received);
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

        request->delivered = true;
        request->http->n_active--;
        http_loop_remove(request->http->curl, request->easy);
        reply = request_reply(request, code);
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
        curl_socket_t fd = http_loop_socket(request->http->curl, request->easy);
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
        curl_socket_t fd = http_loop_socket(request->http->curl, request->easy);
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

        r = request_prepare(request, spec);
        if (r < 0)
                return r;
        r = request_watch_stall(request, spec->stall);
        if (r < 0)
                return r;
        r = http_loop_add(http->curl, request->easy);
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
        http_loop_remove(request->http->curl, request->easy);
        return request_free(request);
}

/* ---- loop ---- */

/* libcurl 7.88 (multi.c, MSTATE_DO) keeps a connection for the next request even if the first request on it could not
 * be sent. OpenSSL still holds the first request and sends it in place of the next one, which would then get the wrong
 * reply. libcurl finds that a connection which was shut down is dead, and does not use it. */
static void connection_spoil(const HttpRequest *request) {
        curl_socket_t fd = http_loop_socket(request->http->curl, request->easy);

        if (fd != CURL_SOCKET_BAD)
                (void) shutdown(fd, SHUT_RDWR);
}

static void on_curl_done(void *userdata, CURL *easy, CURLcode code) {
        HttpRequest *request;

        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
        if (code == CURLE_OK)
                http_loop_guard(request->http->curl, easy);
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

        r = http_loop_new(loop, on_curl_done, http, &http->curl);
        if (r < 0)
                return r;

        *ret = cleanup_steal(http);
        return 0;
}

Http *http_free(Http *http) {
        if (!http)
                return NULL;

        assert(http->n_active == 0);

        http_loop_free(http->curl);
        free(http->user_agent);
        free(http);
        return NULL;
}
