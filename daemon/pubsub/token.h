/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The OAuth access token: fetched, cached, refreshed early while the old one still serves, one refresh in flight
 * whatever the number of waiters. */

#include <systemd/sd-event.h>

#include "lib/http.h"
#include "pubsub/credentials.h"

typedef struct Token Token;
typedef struct TokenWait TokenWait;

/* the metadata server answers with the old token until 4 min before its expiry */
#define TOKEN_REFRESH_EARLY_USEC (300 * USEC_PER_SEC)

typedef struct TokenStatus {
        bool failing;
        usec_t failing_since; /* clock_wall() */
        usec_t expires;       /* clock_now(); 0: no token */
        usec_t retry_at;      /* clock_now(); 0: none planned */
        const char *detail;   /* what and what to do; "" when well */
} TokenStatus;

/* *credentials* is borrowed; NULL: no token is needed (emulator), and every wait is answered with NULL at once.
 * *ca_file* as in HttpSpec.
 */
int token_new(sd_event *event, Http *http, const Credentials *credentials, const char *ca_file, Token **ret);
/* All waits must have been answered or cancelled. */
Token *token_free(Token *token);
CLEANUP_DEFINE(Token, token_free)

/* *value* is valid during the call; NULL with *error* 0: none is needed; *error* < 0: none is to be had now, -EACCES
 * when refused (a user must act), -EAGAIN otherwise; *retry_after* says when asking again makes sense. */
typedef void (*TokenDone)(void *userdata, const char *value, int error, usec_t retry_after);

/* Calls *done* from the loop, never from inside token_get(). */
int token_get(Token *token, TokenDone done, void *userdata, TokenWait **ret);
TokenWait *token_cancel(TokenWait *wait);

/* The API answered 401 to *value*: it is dropped, unless a newer one is here already. */
void token_reject(Token *token, const char *value);
void token_status(const Token *token, TokenStatus *ret);
