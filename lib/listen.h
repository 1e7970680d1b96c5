/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP servers on the event loop; only this module uses libmicrohttpd, which is loaded when the first address is
 * listened on. Several owners can share an address: each has a route, which is one path or everything below it.
 *
 * The owner of a route answers a request, at once or much later; until then the client waits. This module does for
 * every server: it checks the name in Host (otherwise a page in a browser could reach us under a name of its own; a
 * device that sends no Host is no browser), sets a deadline for a request as a whole, and limits connections and sizes.
 */

#include "bytes.h"
#include "loop.h"

typedef struct Listen Listen;
typedef struct ListenRoute ListenRoute;
typedef struct ListenRequest ListenRequest;

/* Does not listen on any address yet. -ENOMEM. */
int listen_new(Loop *loop, Listen **ret);
/* Every route must have been dropped before. */
Listen *listen_free(Listen *listen);
CLEANUP_DEFINE(Listen, listen_free)

typedef struct ListenSpec {
        const char *address; /* "127.0.0.1:8480", "[::1]:8480", or "systemd:NAME" for a socket that the service manager
                                passes */
        const char *certificate_file, *key_file; /* PEM; NULL: plain http */
        const char *const *hosts; /* further names that Host may have for this route, NULL at the end; may be NULL */
        const char *path;         /* "/readings"; "/" with *below* is every path that no other route has */
        bool below;               /* also every path that begins with *path* */
        size_t max_body;          /* bytes; a longer body is answered 413 */
} ListenSpec;

typedef struct ListenHandler {
        /* The header is there, and nothing of the body was read: to refuse the request, call listen_answer() here.
         * Otherwise the body is read. NULL: accept all. */
        void (*on_header)(void *userdata, ListenRequest *request);
        /* The whole request is there. The owner calls listen_answer(), from inside or later. */
        void (*on_request)(void *userdata, ListenRequest *request);
        /* No connection can be taken now: *error* is -EMFILE, -ENFILE or -ENOMEM. Called every five seconds while that
         * lasts, and with 0 when it is over. NULL: not told. */
        void (*on_refused)(void *userdata, int error);
        void *userdata;
} ListenHandler;

/* Begins to listen, or adds a route to an address that is listened on already. -EEXIST: the path is taken; -ENOTSUP:
 * built without a server, or its library is not installed; -ENOENT: the service manager passed no such socket;
 * -EKEYREJECTED: certificate and key do not match; -EADDRINUSE: another program has the address, or a route there has
 * other files; -ENOKEY: a file may not be read; -EACCES, ...: other errors of bind(2), and of
 * open(2) for the files. */
int listen_route(Listen *listen, const ListenSpec *spec, const ListenHandler *handler, ListenRoute **ret);
/* Answers open requests with 503. The address is closed with its last route, in the next turn of the loop: a route that
 * is added before finds it open. */
ListenRoute *listen_drop(ListenRoute *route);

/* Reads certificates and keys again and uses the changed ones for new connections; open requests are still answered.
 * *on_failed* is called for each address whose files cannot be used, with an error of listen_route(); the old ones stay
 * in use. */
void listen_renew(Listen *listen, void (*on_failed)(const char *address, int error));

/* Calls *each* for every address with TLS: *begin* and *end* of the certificate that is served, by clock_wall(). */
void listen_certificates(const Listen *listen,
        void (*each)(void *userdata, const char *address, usec_t begin, usec_t end), void *userdata);

/* For a stop: from now on only GET and HEAD are served, and not at the path of a route that is dropped; all else gets
 * 503. A page may be served for longer than the routes that share its address, and their senders would take a refusal
 * by it as final. */
void listen_stop(Listen *listen);

/* ---- a request; all texts are valid until it is answered ---- */

/* Method and path of the request line. */
const char *listen_method(const ListenRequest *request); /* "GET" */
const char *listen_path(const ListenRequest *request);   /* decoded, without the query */
/* Return the first value with that name, in upper or lower case, or NULL. The query without a name is all of it as it
 * came, percent-encoded, or "". */
const char *listen_query(const ListenRequest *request, const char *name);
const char *listen_header(const ListenRequest *request, const char *name);
Slice listen_body(const ListenRequest *request);
/* The client's address, "127.0.0.1", for log lines and limits. */
const char *listen_peer(const ListenRequest *request);

typedef struct ListenAnswer {
        int status;
        const char *content_type;   /* NULL: none */
        const char *const *headers; /* name, value, name, value, ..., NULL at the end; may be NULL */
        Slice body;                 /* copied, unless it is *constant* */
        bool constant;              /* the body stays valid as long as any request, so it is not copied */
} ListenAnswer;
/* Answers the request and frees it. Without memory the connection is closed. A body that is copied is replaced by 503
 * while too many others were not taken by their clients. */
void listen_answer(ListenRequest *request, const ListenAnswer *answer);
/* The same with words for a person; *headers* as in ListenAnswer. */
static inline void listen_answer_text(
        ListenRequest *request, int status, const char *const *headers, const char *text) {
        listen_answer(request,
                &(ListenAnswer){ status, "text/plain; charset=utf-8", headers, .body = { text, strlen(text) } });
}
