/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of http share: http-loop.c has the loop's side, http-request.c one request's options and reply,
 * http-outcome.c the words for how it ended, http-url.c the rules for URLs. Nobody else includes this, or
 * <curl/curl.h>. */

#include <curl/curl.h>
#include <sys/queue.h>

#include "http.h"

#define HTTP_CONNECT_TIMEOUT_USEC (30 * USEC_PER_SEC)

typedef enum HttpRequestState {
        HTTP_REQUEST_ACTIVE,    /* libcurl has it */
        HTTP_REQUEST_FINISHED,  /* waits for its callback */
        HTTP_REQUEST_DELIVERED, /* its callback runs; it goes when that returns */
} HttpRequestState;

struct HttpRequest {
        Http *http;
        HttpRequestState state;
        CURL *easy;
        struct curl_slist *headers;
        Bytes sent; /* libcurl reads the body from here */
        Bytes received;
        size_t max_reply, header_size;
        bool too_large, secret_path;
        usec_t timeout, started;
        usec_t awake;           /* clock_monotonic() when it was started */
        usec_t stall, moved_at; /* 0: not watched */
        int64_t moved;          /* bytes, when it was looked at last */
        bool stalled;
        int unopened; /* errno of a socket that was not to be had; 0: none */
        LoopWatch *stall_watch;
        CURLcode code; /* from FINISHED on */
        char error[CURL_ERROR_SIZE];
        char detail[CURL_ERROR_SIZE + 64];
        HttpDone done;
        void *userdata;
        TAILQ_ENTRY(HttpRequest) link;
};

/* How a transfer ended. */
typedef struct HttpEnd {
        CURLcode code;
        const char *error; /* libcurl's text for it, "" without one */
        bool sent;         /* some of the request has left */
        bool proxy_asked;  /* nothing of it has, but a CONNECT that asks a proxy for the way */
        bool too_large;    /* ended by us: the reply was over its cap */
        bool stalled;      /* ended by us: nothing moved for *timeout* */
        int system_error;  /* errno of a failed connect, or of no socket for it, or 0 */
        long status;       /* of the reply, 0 without one */
        long proxy_status; /* of the proxy's reply to CONNECT, 0 without one */
        char proxy[64];    /* address and port, with proxy_status */
        size_t received;   /* bytes of the body */
        usec_t timeout;    /* the one that applied: of the connect until something is sent, then of the whole request,
                              or of a stall */
} HttpEnd;

/* Sorts *end* and puts it in words. Pure. */
HttpOutcome http_outcome(const HttpEnd *end, char *detail, size_t size);

/* Sets up request->easy for *spec*. -EINVAL, -ENOMEM. The easy handle reads spec->body.data from then on. */
int http_request_prepare(HttpRequest *request, const HttpSpec *spec, const char *user_agent);

/* The reply to a FINISHED request, with the body moved into it. */
HttpReply http_request_reply(HttpRequest *request);

/* Releases all but the easy handle, which must not be used any more. Secrets are overwritten. */
void http_request_wipe(HttpRequest *request);

/* A loopback address or the metadata server, as http_url_check() knows them: never through a proxy. */
bool http_url_is_local(const char *url);
