/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Models of those who POST readings: under an Idempotency-Key or without one, again and again until they are answered
 * 200, or once and never again; and some who send nonsense, or who have no token. */

#include "world.h"

#define PUSHERS_TOKEN "push-token"

void pushers_new(void);
/* Nobody has anything left to send. */
bool pushers_settled(void);
/* Names who has: a failure. */
void pushers_check(void);
