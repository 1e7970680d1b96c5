/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of http share: http-loop.c has the loop's side, http-request.c one request's options and reply,
 * http-outcome.c the words for how it ended, http-url.c the rules for URLs. Nobody else includes this, or
 * <curl/curl.h>. */

#include <curl/curl.h>

#include "http.h"

#define HTTP_CONNECT_TIMEOUT_USEC (30 * USEC_PER_SEC)

struct HttpRequest {
        Http *http;
        bool delivered; /* its callback runs; it is freed when that returns */
        CURL *easy;
        struct curl_slist *headers;
        Bytes sent; /* libcurl reads the body from here */
        Bytes received;
        size_t max_reply, header_size;
        bool too_large, secret_path;
        bool headed; /* the empty line behind the reply's header came */
        usec_t timeout, started;
        usec_t awake;           /* clock_monotonic() when it was started */
        usec_t stall, moved_at; /* stall: the limit, 0 = not watched; moved_at: clock_now() when bytes moved last */
        int64_t moved;          /* bytes that had moved at the last look */
        bool stalled;
        int unopened; /* errno of the last socket if it could not be opened; else 0 */
        LoopWatch *stall_watch;
        CURLcode code; /* valid once it has ended */
        char error[CURL_ERROR_SIZE];
        char detail[CURL_ERROR_SIZE + 64];
        HttpDone done;
        void *userdata;
};

/* How a transfer ended. */
typedef struct HttpEnd {
        CURLcode code;
        const char *error; /* libcurl's text for it, "" without one */
        bool sent;         /* a part of the request was sent */
        bool proxy_asked;  /* only a CONNECT to a proxy was sent, nothing of the request itself */
        bool too_large;    /* we ended it: the reply was longer than its limit */
        bool stalled;      /* we ended it: no byte moved for *timeout* */
        int system_error;  /* errno of a failed connect, or of a socket that could not be opened, or 0 */
        long status;       /* of the reply, 0 without one */
        long proxy_status; /* of the proxy's reply to CONNECT, 0 without one */
        char proxy[64];    /* the proxy's address and port, with proxy_status */
        size_t received;   /* bytes of the body */
        usec_t timeout; /* the limit that applied: for the connect until something is sent, then for the whole request
                           or for a stall */
} HttpEnd;

/* Decides which outcome *end* is and writes *detail*, words for a log line. Pure. */
HttpOutcome http_outcome(const HttpEnd *end, char *detail, size_t size);
/* True when this machine had no descriptor, memory or thread for the connect, or for asking for the name. Pure. */
bool http_end_is_want(const HttpEnd *end);

/* Sets up request->easy for *spec*. -EINVAL, -ENOMEM. The easy handle reads spec->body.data from then on. */
int http_request_prepare(HttpRequest *request, const HttpSpec *spec, const char *user_agent);

/* Builds the reply to a request that has ended; the body moves into it. */
HttpReply http_request_reply(HttpRequest *request);

/* Releases all but the easy handle, which must not be used any more. Secrets are overwritten. */
void http_request_wipe(HttpRequest *request);

/* True for a loopback address or the metadata server, as http_url_check() knows them. These are never reached through a
 * proxy. */
bool http_url_is_local(const char *url);
