/* SPDX-License-Identifier: Apache-2.0 */
#include "web-listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/file.h"

#define PEM_MAX (64 * 1024)

static int pem_read(const char *path, char **ret) {
        _cleanup_close_ int fd = -1;
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        if (!path)
                return 0;
        r = file_open(path, &fd);
        if (r < 0)
                return r;
        text = calloc(1, PEM_MAX);
        if (!text)
                return -ENOMEM;
        r = file_read(fd, text, PEM_MAX - 1, &n);
        if (r >= 0)
                *ret = cleanup_steal(text);
        return r;
}

int web_listen(Listen *listen, const WebListenFiles *files, const ListenSpec *spec, const ListenHandler *handler,
        ListenRoute **ret) {
        _cleanup_free_ char *certificate = NULL, *key = NULL;
        ListenSpec whole = *spec;
        int r;

        r = pem_read(files->certificate, &certificate);
        if (r < 0)
                return r;
        r = pem_read(files->key, &key);
        if (r < 0)
                return r;
        whole.certificate = certificate;
        whole.key = key;
        r = listen_route(listen, &whole, handler, ret);
        if (key)
                explicit_bzero(key, PEM_MAX);
        return r;
}

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
