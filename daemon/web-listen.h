/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Listening as a section of the configuration says it, and what is said about that. */

#include "lib/listen.h"

/* An error of listen_route() in words, with what to do about it. */
const char *web_listen_words(int error);

/* Whether something could be served with these files (NULL: without TLS), at an address that nobody else has. Errors of
 * listen_route(). */
int web_listen_try(Loop *loop, const char *certificate_file, const char *key_file);

/* At a reload: listen_renew(), and says what cannot be renewed. */
void web_listen_renew(Listen *listen);
