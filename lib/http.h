/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP on the event loop; libcurl's multi interface does the work. Connections are kept and used again; nothing blocks
 * (names are resolved on libcurl's own thread). A request is a handle: dropping it cancels it, without a callback.
 * Redirects are never followed, and a proxy from the environment is used only for https to other machines. HTTP/2 where
 * TLS negotiates it. */

#include "bytes.h"
#include "clock.h"
#include "loop.h"

typedef struct Http Http;
typedef struct HttpRequest HttpRequest;

typedef enum HttpOutcome {
        HTTP_ANSWERED = 0, /* a complete reply: look at status */
        HTTP_UNREACHABLE,  /* no name, no route, or refused: nothing was sent */
        HTTP_TLS,          /* handshake or certificate failed: nothing was sent */
        HTTP_TIMEOUT,      /* the request may have been carried out */
        HTTP_CUT,          /* connection lost or reply malformed: the request may have been carried out */
        HTTP_TOO_LARGE,    /* the reply was longer than max_reply and was thrown away */
} HttpOutcome;

typedef struct HttpSpec {
        const char *method;  /* "GET", "POST", "PUT", ... */
        const char *url;     /* http where no secret travels, or to loopback: callers check, see http_url_check() */
        bool secret_path;    /* only the server part of *url* may be logged */
        const char *ca_file; /* replaces the system's trust anchors; NULL: the system's */
        const char *certificate_file, *key_file; /* ours, for a server that asks who we are; NULL: none */
        const char *bearer; /* sent as `Authorization: Bearer ...`; NULL: none. Copied; the copy is wiped afterwards */
        const char *content_type;   /* of the body; NULL: application/json */
        const char *const *headers; /* more `Name: value` lines, NULL at the end; may be NULL */
        Bytes body;     /* taken when http_start() succeeds; if the buffer has an error, http_start() returns it */
        usec_t timeout; /* of the whole request */
        usec_t stall; /* also ends the request if for this time no byte came, was sent, or was acknowledged by the peer;
                         noticed up to a quarter later. 0: only *timeout* counts */
        size_t max_reply; /* bytes */
} HttpSpec;

typedef struct HttpReply {
        HttpOutcome outcome;
        int status;         /* HTTP status if HTTP_ANSWERED, else 0 */
        bool begun;         /* the outcome is not HTTP_ANSWERED, but a part of the reply's body had come */
        bool want;          /* HTTP_UNREACHABLE because this machine is short of descriptors, memory or threads */
        Bytes body;         /* bytes_steal() to keep it; NUL-terminated when not empty */
        Bytes sent;         /* the request's body: bytes_steal() to send it again */
        const char *detail; /* in words for a log line: "connection refused", "HTTP 503"; no secret, no URL query */
        usec_t retry_after; /* from Retry-After, seconds or date; 0: none. At most an hour */
        usec_t date; /* the server's present wall time, by its headers Date and Age. 0: not known: no Date, the server's
                        clock was never set, or this machine slept during the request */
        HttpRequest *request; /* for http_reply_header() */
} HttpReply;

/* Called once, from the loop, never from inside http_start(). The request is freed afterwards: the owner must first
 * forget its handle. */
typedef void (*HttpDone)(void *userdata, HttpReply *reply);

/* SIGPIPE must be blocked or ignored, because OpenSSL may write to a connection that the peer has closed. */
int http_new(Loop *loop, const char *user_agent, Http **ret);
/* Every request must have been dropped before. Does not wait for names that are still being resolved. */
Http *http_free(Http *http);
CLEANUP_DEFINE(Http, http_free)

/* Starts a request. -EINVAL for a malformed URL, header or bearer token, and for a bearer token unless http_url_check()
 * says HTTP_URL_OK. libcurl may send a request twice, whatever its method: if a kept connection ends before any answer
 * came on it. */
int http_start(Http *http, HttpSpec *spec, HttpDone done, void *userdata, HttpRequest **ret);
HttpRequest *http_cancel(HttpRequest *request);

/* The last header of that name, trimmed, or NULL. Valid until the callback returns. */
const char *http_reply_header(const HttpReply *reply, const char *name);

#define HTTP_WORDS_MAX 200

/* Writes "HTTP 422: what the server said" on one line, with at most HTTP_WORDS_MAX bytes of the server's text. */
void http_reply_words(const HttpReply *reply, char *buffer, size_t size);

/* Whether the body begins as a whole HTML document does: that of a captive portal, a proxy or a login, which answer any
 * request with 200. The content type says less: many servers send their `ok` as text/html, some portals send none. */
bool http_reply_is_page(const HttpReply *reply);

typedef struct HttpUrl {
        bool tls, v6;   /* v6: the host is an address of IPv6 */
        char host[254]; /* without brackets; RFC 1035 section 2.3.4 allows 253 bytes */
        uint16_t port;
} HttpUrl;
/* Reads scheme, host and port. False: one of them is malformed. */
bool http_url_split(const char *url, HttpUrl *ret);
/* Reads HOST, HOST:PORT or [ADDRESS]:PORT up to a slash, `?`, `#` or the end, whatever the host is; without a port,
 * *ret* keeps its own. False: there is no host, it is too long, or what follows is no port. */
bool http_url_split_host(const char *text, HttpUrl *ret);
/* True for `localhost` and the addresses of this machine alone. */
bool http_url_is_loopback(const HttpUrl *url);

enum { HTTP_URL_OK = 0, HTTP_URL_MALFORMED = 1, HTTP_URL_PLAIN = 2, HTTP_URL_METADATA = 3 };
/* Whether *url* may carry a secret: HTTP_URL_OK for https, and for http to a loopback address or `localhost`;
 * HTTP_URL_METADATA for http to metadata.google.internal / 169.254.169.254, which gives tokens and takes none;
 * HTTP_URL_PLAIN for other http; HTTP_URL_MALFORMED for anything else, user:password@ included. */
int http_url_check(const char *url);
