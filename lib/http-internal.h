/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What lib/http and lib/stream share of libcurl: http-loop.c has the multi handle and the options that every transfer
 * has, http-outcome.c the words for how a transfer ended, http-url.c the rules for URLs. Nobody else includes this, or
 * <curl/curl.h>. */

#include <curl/curl.h>

#include "http.h"

/* ---- http-loop.c ---- */

/* libcurl's multi handle on the event loop. libcurl says which sockets to watch and when to wake it; this calls
 * curl_multi_socket_action() and reports finished transfers. */
typedef struct HttpLoop HttpLoop;

/* *on_done* is called when a transfer has ended with *code*. It is not called from inside libcurl, and the handle is
 * still in the multi handle. */
int http_loop_new(
        Loop *loop, void (*on_done)(void *userdata, CURL *easy, CURLcode code), void *userdata, HttpLoop **ret);
/* Every transfer must have been removed before. */
HttpLoop *http_loop_free(HttpLoop *curl);
CLEANUP_DEFINE(HttpLoop, http_loop_free)

/* Starts a transfer; http_loop_remove() ends it. -ENOMEM. */
int http_loop_add(HttpLoop *curl, CURL *easy);
void http_loop_remove(HttpLoop *curl, CURL *easy);
/* Call this when a transfer has ended well. With HTTP/1 its connection may wait for the next one; if something comes on
 * it meanwhile, that is no answer to anything, and the connection is not used again. */
void http_loop_guard(HttpLoop *curl, CURL *easy);
/* Returns the socket of a transfer, or CURL_SOCKET_BAD. libcurl 7.88 knows the socket only after the transfer has ended
 * and if no other transfer shares the connection; before that it is found by its two port numbers. */
curl_socket_t http_loop_socket(const HttpLoop *curl, CURL *easy);

/* Whom a transfer reaches, and how both prove who they are: as in HttpSpec. */
typedef struct HttpPeer {
        const char *url, *ca_file, *certificate_file, *key_file;
        usec_t connect_timeout;
} HttpPeer;

/* Filled in while the transfer runs. */
typedef struct HttpFailure {
        char text[CURL_ERROR_SIZE]; /* libcurl's; "" without one */
        int unopened; /* errno of the last socket if it could not be opened, which libcurl does not tell; else 0 */
} HttpFailure;

/* Sets the options that every transfer has, on a new handle. A proxy from the environment is used only for https to
 * other machines. -ENOMEM. */
int http_loop_prepare(CURL *easy, const HttpPeer *peer, HttpFailure *failure);

/* ---- http-outcome.c ---- */

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

/* Begins with what libcurl says of every transfer. *failure* must stay valid. */
HttpEnd http_end_of(CURL *easy, const HttpFailure *failure, CURLcode code);
/* Decides which outcome *end* is and writes *detail*, words for a log line. Pure. */
HttpOutcome http_outcome(const HttpEnd *end, char *detail, size_t size);
/* True when this machine had no descriptor, memory or thread for the connect, or for asking for the name. Pure. */
bool http_end_is_want(const HttpEnd *end);

/* ---- http-url.c ---- */

/* True for a loopback address or the metadata server, as http_url_check() knows them. These are never reached through a
 * proxy. */
bool http_url_is_local(const char *url);
