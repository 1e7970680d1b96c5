/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Listening as a section of the configuration says it, and what is said about that. */

#include "lib/listen.h"

/* An error of listen_route() in words, with what to do about it. */
const char *web_listen_words(int error);

/* At a reload: listen_renew(), and says what cannot be renewed. */
void web_listen_renew(Listen *listen);
