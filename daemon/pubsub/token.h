/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The OAuth access token: fetched, cached, and refreshed early, while the old one is still usable. One refresh runs at
 * a time, whatever the number of waiters. */

#include "cause.h"
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
        Cause cause;
        const char *detail; /* what failed and what to do; "" when nothing fails */
} TokenStatus;

/* Borrows all arguments. *credentials* NULL: no token is needed (emulator), and every wait is answered with NULL at
 * once. *ca_file* as in HttpSpec. */
int token_new(Loop *loop, Http *http, const Credentials *credentials, const char *ca_file, Token **ret);
/* All waits must have been answered or cancelled. */
Token *token_free(Token *token);
CLEANUP_DEFINE(Token, token_free)

/* *value* is valid during the call; NULL with *error* 0: no token is needed. *error* < 0: there is no token now;
 * -EACCES when it was refused (a user must act), else -EAGAIN. Asking again makes sense after *retry_after* (usec). */
typedef void (*TokenDone)(void *userdata, const char *value, int error, usec_t retry_after);

/* Returns true and a usable token in *ret_value*, valid until the next turn of the loop; NULL: no token is needed. When
 * the token ends soon, this starts the exchange for the next one. False: wait for one with token_get(). */
bool token_take(Token *token, const char **ret_value);

/* Calls *done* from the loop, never from inside token_get(), when there is a token or the exchange for one has failed.
 * -ENOMEM. */
int token_get(Token *token, TokenDone done, void *userdata, TokenWait **ret);
/* NULL is fine; returns NULL. */
TokenWait *token_cancel(TokenWait *wait);

/* The API answered 401 to *value*: it is dropped, unless a newer one is here already. */
void token_reject(Token *token, const char *value);
/* Returns the project whose quota the requests use (`x-goog-user-project`); NULL: the account's own project. */
const char *token_quota_project(const Token *token);

/* The state, for reports; the detail is borrowed until the next turn of the loop. */
void token_status(const Token *token, TokenStatus *ret);
