/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A model of an API that keeps a history: points come late, newest first, a page at a time; and of the endpoint of its
 * tokens, which rotate: a new refresh token ends the one before, as soon as anybody shows that he has it. */

#include "exchange.h"

#define POINTS_SECRET "points-secret" /* begins each token */
#define POINTS_FIRST POINTS_SECRET "-r0"

void points_new(void);
void points_serve(Exchange *x);
/* The daemon has that answer in its hands, whole. */
void points_delivered(const Exchange *x);
/* The weather is over: no new points, and those there are can be seen. */
void points_calm(void);
/* All that there is was asked for and is on disk. */
bool points_settled(void);
/* Names what is not: a failure. */
void points_check(void);
