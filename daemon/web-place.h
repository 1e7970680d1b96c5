/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The URL that requests are sent to. It is written in the configuration, or the whole URL is a secret, because
 * everybody who knows it may post there. Part of the struct of a sink's section, or of a target's. */

#include "auth.h"
#include "config-place.h"
#include "lib/stream.h"
#include "secret.h"

typedef struct WebPlace {
        char *url; /* either this or url_file */
        ConfigSecret url_file;
        char *ca_file;
        ConfigTls tls;
        bool allow_plain;
} WebPlace;

#define WEB_PLACE_WORDS_MAX 512

/* Returns the URL for requests, borrowed; NULL: its secret was not read. */
const char *web_place_url(const WebPlace *place);
/* Returns the URL in a form that may be shown: without a query; of a secret URL only the server, or the file's name if
 * the secret was not read. The caller frees it; NULL without memory. */
char *web_place_shown(const WebPlace *place);
/* Checks the URL, which is possible only after its secret was read. -EBADMSG with a sentence in *problem*. */
int web_place_check(const WebPlace *place, char problem[static WEB_PLACE_WORDS_MAX]);

/* Notes the path of a secret URL as a secret, and each long part of it and of the query, because servers repeat them in
 * answers. -ENOMEM. */
int web_place_note(const WebPlace *place, Secrets *secrets);

/* Writes how to connect there without sending anything; *ret* borrows the host from *url*. False when that is not
 * possible, because a proxy is used. */
bool web_place_stream(const WebPlace *place, HttpUrl *url, StreamSpec *ret);
enum { WEB_PLACE_OPEN = 0, WEB_PLACE_CLOSED = 1 };
/* Connects, runs the loop until the result is there, and sends nothing. *words* says what happened, and what to do. */
int web_place_try(const WebPlace *place, Loop *loop, char words[static WEB_PLACE_WORDS_MAX]);

typedef enum WebClass {
        WEB_TAKEN,
        WEB_LATER,   /* not accepted; waiting helps */
        WEB_UNKNOWN, /* perhaps accepted; waiting helps */
        WEB_PERSON,  /* not accepted, because of the address or our credentials: a person must act */
        WEB_REFUSED, /* not accepted; what was sent or the server may be at fault */
} WebClass;
/* Returns what an answer to a POST, or the lack of one, means. A 2xx counts where it has *expect* in it; NULL: where it
 * is not a web page, which a captive portal, a proxy or a login gives to any request. */
WebClass web_place_class(const HttpReply *reply, const char *expect);

/* The rules of a section with such a place. The first refuses both and none of url and url_file. The second refuses to
 * send a secret of *auth* without TLS, and headers that sensorqd sets itself, and warns as web_place_urls_rule(). */
int web_place_one_rule(const ConfigPlace *place, const WebPlace *at);
int web_place_rule(const ConfigPlace *place, const WebPlace *at, const AuthConfig *auth, const ConfigMap *headers);

/* Warns if a password is typed into one of *urls* and *auth* has room for it. Warns if `tls` or `ca_file` is set and no
 * request uses it: none of *urls* (NULL at the end) is https, and for `ca_file` neither is the token endpoint of
 * *auth*. Without any URL it is not known, and there is no warning. 0 or -ENOMEM. */
int web_place_urls_rule(const ConfigPlace *place, char *const *urls, const AuthConfig *auth);
