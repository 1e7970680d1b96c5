/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The OAuth access token: fetched, cached, and refreshed early, while the old one is still usable. One refresh runs at
 * a time, whatever the number of waiters. */

#include "lib/http.h"
#include "pubsub/credentials.h"
#include "trouble.h"

typedef struct Token Token;

/* the metadata server answers with the old token until 4 min before its expiry */
#define TOKEN_REFRESH_EARLY_USEC (300 * USEC_PER_SEC)

typedef struct TokenStatus {
        Failure failure;
        usec_t expires;  /* clock_now(); 0: no token */
        usec_t retry_at; /* clock_now(); 0: none planned */
} TokenStatus;

/* Borrows all arguments. *credentials* NULL: no token is needed (emulator). *ca_file* as in HttpSpec. *ready* is a
 * deferred call of the owner's: it is woken when token_take() has something new to say. */
int token_new(Http *http, const Credentials *credentials, const char *ca_file, LoopWatch *ready, Token **ret);
Token *token_free(Token *token);
CLEANUP_DEFINE(Token, token_free)

enum {
        TOKEN_READY = 0,
        TOKEN_WAIT = 1,    /* an exchange runs */
        TOKEN_LATER = 2,   /* there is none now; it is worth another try at TokenStatus.retry_at */
        TOKEN_REFUSED = 3, /* the same, but a user must act */
};
/* TOKEN_READY: *ret_value* is a usable token, valid until the next call here, and *ret_number* names it; NULL and 0: no
 * token is needed. When the token ends soon, this starts the exchange for the next one. Otherwise one of the above. */
int token_take(Token *token, const char **ret_value, unsigned *ret_number);

/* The API answered 401 to this token: it is dropped, unless a newer one is here already. */
void token_reject(Token *token, unsigned number);

/* The state, for reports; the detail is borrowed until the next turn of the loop. */
void token_status(const Token *token, TokenStatus *ret);
