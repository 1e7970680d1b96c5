/* SPDX-License-Identifier: Apache-2.0 */
#include "web-listen.h"

#include <errno.h>
#include <string.h>

#include "events.h"
#include "lib/log.h"

const char *web_listen_words(int error) {
        switch (error) {
        case -EADDRINUSE:
                return "another program has that address; free it, or choose another to listen on";
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
                return "the library for it is not there; install libmicrohttpd12";
        default:
                return strerror(-error);
        }
}

static void on_failed(void *userdata, const char *address, int error) {
        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_ERROR, web_listen_words(error) }),
                "The certificate of %s from before is served on: %s.", address, web_listen_words(error));
}

void web_listen_renew(Listen *listen) {
        listen_renew(listen, on_failed, NULL);
}
