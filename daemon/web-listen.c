/* SPDX-License-Identifier: Apache-2.0 */
#include "web-listen.h"

#include <errno.h>
#include <string.h>

#include "events.h"
#include "lib/log.h"

const char *web_listen_words(int error) {
        switch (error) {
        case -EADDRINUSE:
                return "another program has that address, or another part of this configuration under another name "
                       "(localhost, 0.0.0.0); free it, or choose another to listen on";
        case -EADDRNOTAVAIL:
                return "this machine has no such address; correct `listen`";
        case -EEXIST:
                return "another part of this configuration has that path there; choose another path or address";
        case -EACCES:
                return "this user may not listen there, or not read a file of tls: ports below 1024 need a socket of "
                       "systemd";
        case -ENOENT:
                return "the service manager handed over no such socket, or a file of tls is missing";
        case -EKEYREJECTED:
                return "certificate and key of tls do not fit, or are not PEM";
        case -ENOTSUP:
                return "the library for it is not there; install libmicrohttpd12 (Debian 13: libmicrohttpd12t64)";
        default:
                return strerror(-error);
        }
}

int web_listen_try(Loop *loop, const char *certificate_file, const char *key_file) {
        const ListenSpec spec = {
                .address = "127.0.0.1:0", .certificate_file = certificate_file, .key_file = key_file, .path = "/"
        };
        _cleanup_(listen_freep) Listen *listen = NULL;
        ListenRoute *route;
        int r;

        r = listen_new(loop, &listen);
        if (r == 0)
                r = listen_route(listen, &spec, &(ListenHandler){}, &route);
        if (r == 0)
                listen_drop(route);
        return r;
}

static void on_failed(void *userdata, const char *address, int error) {
        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_ERROR, web_listen_words(error) }),
                "The certificate of %s from before is served on: %s.", address, web_listen_words(error));
}

void web_listen_renew(Listen *listen) {
        listen_renew(listen, on_failed, NULL);
}
