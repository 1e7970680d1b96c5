/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A model of an API that gives the latest value; its tokens are for client credentials. */

#include "exchange.h"

#define LATEST_SECRET "latest-secret" /* begins each token, and is the client's */

void latest_new(void);
void latest_serve(Exchange *x);
/* The daemon has that answer in its hands, whole. */
void latest_delivered(const Exchange *x);
/* The last value that the daemon got is on disk. */
bool latest_settled(void);
/* If it is not: a failure. */
void latest_check(void);
