/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The OAuth access token: fetched, cached, and refreshed early, while the old one is still usable. One refresh runs at
 * a time, whatever the number of waiters. */

#include "cause.h"
#include "lib/http.h"
#include "pubsub/credentials.h"

typedef struct Token Token;

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

/* Borrows all arguments. *credentials* NULL: no token is needed (emulator). *ca_file* as in HttpSpec. */
int token_new(Loop *loop, Http *http, const Credentials *credentials, const char *ca_file, Token **ret);
Token *token_free(Token *token);
CLEANUP_DEFINE(Token, token_free)

/* *on_ready* is called from the loop when token_take() has something new to say. One listener: the client. */
void token_watch(Token *token, void (*on_ready)(void *userdata), void *userdata);

enum { TOKEN_READY = 0, TOKEN_WAIT = 1 };
/* TOKEN_READY: *ret_value* is a usable token, valid until the next call here; NULL: no token is needed. When the
 * token ends soon, this starts the exchange for the next one. TOKEN_WAIT: an exchange runs; on_ready follows. Otherwise
 * there is no token now: -EACCES when it was refused (a user must act), else -EAGAIN; asking again makes sense after
 * *ret_retry_after* (usec). */
int token_take(Token *token, const char **ret_value, usec_t *ret_retry_after);
/* Has on_ready called soon, whatever the state is. */
void token_wake(Token *token);

/* The API answered 401 to *value*: it is dropped, unless a newer one is here already. */
void token_reject(Token *token, const char *value);
/* Returns the project whose quota the requests use (`x-goog-user-project`); NULL: the account's own project. */
const char *token_quota_project(const Token *token);

/* The state, for reports; the detail is borrowed until the next turn of the loop. */
void token_status(const Token *token, TokenStatus *ret);
