/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* libcurl's multi handle on the event loop. libcurl says which sockets to watch and when to wake it; this module calls
 * curl_multi_socket_action() and reports finished transfers. Only lib/http and lib/stream use it. */

#include <curl/curl.h>

#include "loop.h"

typedef struct CurlLoop CurlLoop;

/* *on_done* is called when a transfer has ended with *code*. It is not called from inside libcurl, and the handle is
 * still in the multi handle. */
int curl_loop_new(
        Loop *loop, void (*on_done)(void *userdata, CURL *easy, CURLcode code), void *userdata, CurlLoop **ret);
/* Every transfer must have been removed before. */
CurlLoop *curl_loop_free(CurlLoop *curl);
CLEANUP_DEFINE(CurlLoop, curl_loop_free)

/* Starts a transfer; curl_loop_remove() ends it. -ENOMEM. */
int curl_loop_add(CurlLoop *curl, CURL *easy);
void curl_loop_remove(CurlLoop *curl, CURL *easy);
/* Call this when a transfer has ended well. With HTTP/1 its connection may wait for the next one; if something comes on
 * it meanwhile, that is no answer to anything, and the connection is not used again. */
void curl_loop_guard(CurlLoop *curl, CURL *easy);
/* Returns the socket of a transfer, or CURL_SOCKET_BAD. libcurl 7.88 knows the socket only after the transfer has ended
 * and if no other transfer shares the connection; before that it is found by its two port numbers. */
curl_socket_t curl_loop_socket(const CurlLoop *curl, CURL *easy);

/* For CURLOPT_OPENSOCKETFUNCTION, whose data is an int: opens the socket as libcurl would. The int gets the errno if
 * that fails, which libcurl does not tell; else 0. */
curl_socket_t curl_loop_open_socket(void *ret_errno, curlsocktype purpose, struct curl_sockaddr *address);
