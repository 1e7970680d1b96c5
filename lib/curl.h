/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* libcurl's multi handle on the event loop: it says which sockets to watch and when to wake it; we call
 * curl_multi_socket_action() and tell what it finished. For lib/http and lib/stream, which are the doors that others
 * use. */

#include <curl/curl.h>

#include "loop.h"

typedef struct CurlLoop CurlLoop;

/* *on_done*: a transfer has ended with *code*; libcurl is not on the stack, and the handle is in the multi handle
 * still. */
int curl_loop_new(
        Loop *loop, void (*on_done)(void *userdata, CURL *easy, CURLcode code), void *userdata, CurlLoop **ret);
/* Every handle must have been removed. */
CurlLoop *curl_loop_free(CurlLoop *curl);
CLEANUP_DEFINE(CurlLoop, curl_loop_free)

/* Starts a transfer. -ENOMEM. */
int curl_loop_add(CurlLoop *curl, CURL *easy);
void curl_loop_remove(CurlLoop *curl, CURL *easy);
/* The socket of a transfer, or CURL_SOCKET_BAD. libcurl 7.88 tells only that of one that has ended, and not where
 * others are on the connection still: until then it is known by its ports. */
curl_socket_t curl_loop_socket(const CurlLoop *curl, CURL *easy);
