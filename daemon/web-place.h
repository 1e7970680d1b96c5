/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The URL that something is sent to: it stands in the configuration, or is a secret as a whole, because whoever knows
 * it may post there. Part of the struct of a sink's section, or of a target's. */

#include "auth.h"
#include "config-place.h"
#include "lib/stream.h"
#include "secrets.h"

typedef struct WebPlace {
        char *url; /* this, or url_file */
        ConfigSecret url_file;
        char *ca_file;
        bool allow_plain;
} WebPlace;

#define WEB_PLACE_HOST_SIZE 256
#define WEB_PLACE_WORDS_MAX 512

/* Where requests go. Borrowed; NULL: its secret was not read. */
const char *web_place_url(const WebPlace *place);
/* The URL as it may be shown: without a query, and of a secret one no more than its server, or the file's name while it
 * was not read. Owned; NULL without memory. */
char *web_place_shown(const WebPlace *place);
/* What is wrong with the URL, which is only known when its secret was read. -EBADMSG with a sentence in *problem*. */
int web_place_check(const WebPlace *place, char problem[static WEB_PLACE_WORDS_MAX]);

/* Of a URL that is a secret, its path alone is one: that is what a server repeats. -ENOMEM. */
int web_place_note(const WebPlace *place, Secrets *secrets);

/* How to connect there without sending anything, the host in *host*. False: not by itself, a proxy stands between. */
bool web_place_stream(const WebPlace *place, char host[static WEB_PLACE_HOST_SIZE], StreamSpec *ret);
enum { WEB_PLACE_OPEN = 0, WEB_PLACE_CLOSED = 1 };
/* Connects there, waits for that, and sends nothing. *words* says what came of it, and what to do. */
int web_place_try(const WebPlace *place, char words[static WEB_PLACE_WORDS_MAX]);

/* Fails where one of the headers is set by sensorqd itself. */
int web_place_headers_rule(const ConfigPlace *place, const ConfigMap *headers);

/* Warns where `ca_file` stands and no request needs it: none of *urls*, NULL at the end, is https, nor what *auth* asks
 * for tokens. Without any it is not known, and nothing is said. 0 or -ENOMEM. */
int web_place_ca_rule(const ConfigPlace *place, char *const *urls, const AuthConfig *auth);
