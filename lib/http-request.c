/* SPDX-License-Identifier: Apache-2.0 */
/* One request: its options going out, its reply coming in. */
#include "http-internal.h"

#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "curl.h"
#include "err.h"
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

/* Sets which server to reach, and how to verify it. */
static bool request_set_target(HttpRequest *request, const HttpSpec *spec) {
        CURL *easy = request->easy;
        bool plain = strncasecmp(spec->url, "http:", strlen("http:")) == 0;
        int failed = 0;

        failed |= curl_easy_setopt(easy, CURLOPT_URL, spec->url);
        failed |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
        failed |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        failed |= curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SEC);
        /* A CA directory would be trusted in addition to ca_file, and libcurl would not cache the anchors. */
        if (spec->ca_file || curl_version_info(CURLVERSION_NOW)->cainfo)
                failed |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        if (spec->ca_file)
                failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, spec->ca_file);
        if (spec->certificate_file) {
                failed |= curl_easy_setopt(easy, CURLOPT_SSLCERT, spec->certificate_file);
                failed |= curl_easy_setopt(easy, CURLOPT_SSLKEY, spec->key_file);
        }
        if (plain || http_url_is_local(spec->url))
                failed |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");

        return failed == 0;
}

/* Sets how the connection behaves. */
static bool request_set_transport(HttpRequest *request, const HttpSpec *spec) {
        usec_t connect_timeout = usec_min(spec->timeout, HTTP_CONNECT_TIMEOUT_USEC);
        CURL *easy = request->easy;
        int failed = 0;

        failed |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) (spec->timeout / USEC_PER_MSEC));
        failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) (connect_timeout / USEC_PER_MSEC));
        failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        failed |= curl_easy_setopt(
                easy, CURLOPT_QUICK_EXIT, 1L); /* a dropped request does not wait for its resolver thread */
        failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_SEC);
        failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SEC);
        failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, curl_loop_open_socket);
        failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &request->unopened);
        failed |= curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_created);
        failed |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);

        return failed == 0;
}

static bool request_set_message(HttpRequest *request, const HttpSpec *spec, const char *user_agent) {
        CURL *easy = request->easy;
        int failed = 0;

        if (spec_has_body(spec)) {
                failed |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
                failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) spec->body.size);
                failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, spec->body.size > 0 ? spec->body.data : "");
        }
        failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, spec->method);
        failed |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
        failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent);
        failed |= curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");

        return failed == 0;
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

static size_t on_header(char *data, size_t unit, size_t size, void *userdata) {
        HttpRequest *request = userdata;

        if (size >= strlen("HTTP/") && memcmp(data, "HTTP/", strlen("HTTP/")) == 0)
                request->headed = false;
        else if (data[0] == '\r' || data[0] == '\n')
                request->headed = true;
        request->header_size += size;
        request->too_large |= request->header_size > HEADERS_MAX;
        return request->too_large ? 0 : size;
}

static bool request_set_receiver(HttpRequest *request) {
        CURL *easy = request->easy;
        int failed = 0;

        failed |= curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
        failed |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
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

int http_request_prepare(HttpRequest *request, const HttpSpec *spec, const char *user_agent) {
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
        if (!request_set_target(request, spec) || !request_set_transport(request, spec) ||
                !request_set_message(request, spec, user_agent) || !request_set_receiver(request))
                return -ENOMEM; /* a known option on a new handle can fail only for want of memory */

        return 0;
}

/* The bodies contain assertions, refresh tokens and access tokens. */
void http_request_wipe(HttpRequest *request) {
        for (struct curl_slist *header = request->headers; header; header = header->next)
                explicit_bzero(header->data, strlen(header->data));
        curl_slist_free_all(request->headers);
        request->headers = NULL;
        bytes_wipe(&request->sent);
        bytes_wipe(&request->received);
}

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
static HttpEnd request_end(HttpRequest *request) {
        HttpEnd end = {
                .code = request->code == CURLE_OK && !request->headed ? CURLE_PARTIAL_FILE : request->code,
                .error = request->error,
                .too_large = request->too_large,
                .stalled = request->stalled,
                .received = request->received.size,
                .timeout = request->stalled ? request->stall : request->timeout,
        };
        long sent = 0, system_error = 0;
        curl_off_t begun = 0; /* when the connection was ready: *sent* counts a CONNECT too */

        (void) curl_easy_getinfo(request->easy, CURLINFO_REQUEST_SIZE, &sent);
        (void) curl_easy_getinfo(request->easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
        (void) curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &system_error);
        (void) curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &end.status);
        (void) curl_easy_getinfo(request->easy, CURLINFO_HTTP_CONNECTCODE, &end.proxy_status);
        if (end.proxy_status != 0)
                describe_peer(request->easy, end.proxy, sizeof(end.proxy));
        end.sent = sent > 0 && begun > 0;
        end.proxy_asked = begun == 0 && is_proxy_asked(request->easy, sent, end.code);
        end.system_error = err_is_want(-request->unopened) ? request->unopened : (int) system_error;
        if (!end.sent && end.timeout > HTTP_CONNECT_TIMEOUT_USEC)
                end.timeout = HTTP_CONNECT_TIMEOUT_USEC;

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

HttpReply http_request_reply(HttpRequest *request) {
        HttpEnd end = request_end(request);
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
