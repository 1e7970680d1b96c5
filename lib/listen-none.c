/* SPDX-License-Identifier: Apache-2.0 */
/* Used in place of the other files of listen in a build without libmicrohttpd: listening always fails, so no request
 * ever comes. */
#include "listen.h"

#include <errno.h>

int listen_new(Loop *loop, Listen **ret) {
        *ret = NULL;
        return 0;
}

Listen *listen_free(Listen *listen) {
        return NULL;
}

int listen_route(Listen *listen, const ListenSpec *spec, const ListenHandler *handler, ListenRoute **ret) {
        return -ENOTSUP;
}

ListenRoute *listen_drop(ListenRoute *route) {
        return NULL;
}

void listen_renew(Listen *listen, void (*on_failed)(const char *address, int error)) {}

void listen_certificates(const Listen *listen,
        void (*each)(void *userdata, const char *address, usec_t begin, usec_t end), void *userdata) {}

void listen_stop(Listen *listen) {}

const char *listen_method(const ListenRequest *request) {
        return "";
}

const char *listen_path(const ListenRequest *request) {
        return "";
}

const char *listen_query(const ListenRequest *request, const char *name) {
        return NULL;
}

const char *listen_header(const ListenRequest *request, const char *name) {
        return NULL;
}

Slice listen_body(const ListenRequest *request) {
        return (Slice){};
}

const char *listen_peer(const ListenRequest *request) {
        return "";
}

void listen_answer(ListenRequest *request, const ListenAnswer *answer) {}
