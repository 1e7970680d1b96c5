/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP servers on the event loop: libmicrohttpd behind this door. It is loaded when the first address is listened on,
 * so that a process that listens nowhere does not pay for it. Addresses that several owners listen on are shared: each
 * owner has a route, which is one path or all that begins with it.
 *
 * A request is answered by its owner, now or much later: until then the client waits. What belongs to every server is
 * done here: the name in Host is one of ours (a page in a browser may otherwise reach us under a name of its own), a
 * request has a deadline as a whole, connections and sizes have caps. */

#include "bytes.h"
#include "loop.h"

typedef struct Listen Listen;
typedef struct ListenRoute ListenRoute;
typedef struct ListenRequest ListenRequest;

/* Nothing is listened on yet. -ENOMEM. */
int listen_new(Loop *loop, Listen **ret);
/* Every route must have been dropped. */
Listen *listen_free(Listen *listen);
CLEANUP_DEFINE(Listen, listen_free)

typedef struct ListenSpec {
        const char *address; /* "127.0.0.1:8480", "[::1]:8480", or "systemd:NAME" for a socket that the service manager
                                hands over */
        const char *certificate_file, *key_file; /* PEM; NULL: plain http */
        const char *const *hosts; /* further names that Host may have for this route, NULL at the end; may be NULL */
        const char *path;         /* "/readings"; "/" with *below* is everything that no other route has */
        bool below;               /* also what begins with *path* */
        size_t max_body;          /* bytes; a longer body is answered 413 */
} ListenSpec;

typedef struct ListenHandler {
        /* The header is there, and nothing of the body was read: the place to refuse by listen_answer(). Otherwise the
         * body is read. NULL: never refuses. */
        void (*on_header)(void *userdata, ListenRequest *request);
        /* The whole request is there. The owner answers it by listen_answer(), from inside or later. */
        void (*on_request)(void *userdata, ListenRequest *request);
        void *userdata;
} ListenHandler;

/* Begins to listen, or joins the route to an address that is listened on already. -EEXIST: that path is taken;
 * -ENOTSUP: built without a server, or its library is not installed; -ENOENT: the service manager handed over no such
 * socket; -EKEYREJECTED: certificate and key do not go together; -EADDRINUSE: another program has the address, or a
 * route there has other files; -EACCES, ...: as bind(2), and as open(2) of the files. */
int listen_route(Listen *listen, const ListenSpec *spec, const ListenHandler *handler, ListenRoute **ret);
/* Requests that were not answered yet are answered 503. The address is closed with its last route. */
ListenRoute *listen_drop(ListenRoute *route);

/* Certificates and keys that changed on the disk are served from now on; requests under way are answered as they are.
 * *on_failed*: those of this address cannot be used, for the reasons of listen_route(); the ones from before stay. */
void listen_renew(Listen *listen, void (*on_failed)(void *userdata, const char *address, int error), void *userdata);

/* ---- a request; all texts are valid until it is answered ---- */

/* Of the request line. */
const char *listen_method(const ListenRequest *request); /* "GET" */
const char *listen_path(const ListenRequest *request);   /* decoded, without the query */
/* NULL when it is not there. */
const char *listen_query(const ListenRequest *request, const char *name);
const char *listen_header(const ListenRequest *request, const char *name);
Slice listen_body(const ListenRequest *request);
/* Of the peer, "127.0.0.1"; for log lines and limits. */
const char *listen_peer(const ListenRequest *request);

typedef struct ListenAnswer {
        int status;
        const char *content_type;   /* NULL: none */
        const char *const *headers; /* name, value, name, value, ..., NULL at the end; may be NULL */
        Slice body;                 /* copied, unless it is *constant* */
        bool constant;              /* the body outlives the process's requests: it is not copied */
} ListenAnswer;
/* The request is gone afterwards. Without memory the connection is closed. */
void listen_answer(ListenRequest *request, const ListenAnswer *answer);
