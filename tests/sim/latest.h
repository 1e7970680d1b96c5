/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A model of an API that gives one value, and by its ETag 304 while that stays; its tokens are for client credentials.
 */

#include "exchange.h"

#define LATEST_SECRET "latest-secret" /* begins each token, and is the client's */

void latest_new(void);
void latest_serve(Exchange *x);
/* The daemon has that answer in its hands, whole. */
void latest_delivered(const Exchange *x);
/* The weather is over: the value stays. */
void latest_calm(void);
/* The value that there is was asked for and is on disk. */
bool latest_settled(void);
/* Names what is not: a failure. */
void latest_check(void);
