/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Listening as a section of the configuration says it: certificate and key are files there. */

#include "lib/listen.h"

typedef struct WebListenFiles {
        const char *certificate, *key; /* PEM; NULL: plain http */
} WebListenFiles;

/* As listen_route(), with the content of *files* in place of spec->certificate and spec->key. Errors of reading them,
 * too. */
int web_listen(Listen *listen, const WebListenFiles *files, const ListenSpec *spec, const ListenHandler *handler,
        ListenRoute **ret);
/* Such an error in words, with what to do about it. */
const char *web_listen_words(int error);
