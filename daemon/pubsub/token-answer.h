/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Part of token: what the token endpoint's reply means. Pure. Sources: RFC 6749 sections 5.1 and 5.2, google-auth's
 * _client.py. */

#include "lib/http.h"
#include "pubsub/credentials.h"

#define TOKEN_DETAIL_MAX 400
/* of a token without a usable expires_in: too short only costs exchanges */
#define TOKEN_LIFETIME_UNKNOWN_USEC (10 * USEC_PER_MINUTE)
#define TOKEN_LIFETIME_MAX_USEC (24 * USEC_PER_HOUR) /* Google's longest is 12 h */
/* a difference that assertions survive, and that replies on their way explain */
#define TOKEN_CLOCK_ERROR_USEC (30 * USEC_PER_SEC)

typedef struct TokenAnswer {
        char *value;     /* the caller's, see secret_free() */
        usec_t lifetime; /* of an access token */
} TokenAnswer;

/* What was asked. */
typedef struct TokenQuestion {
        const Credentials *credentials;
        CredentialsStep step;
        const char *url;
        usec_t wall; /* clock_wall() */
} TokenQuestion;

/* 0: *ret is filled in. -EACCES: refused, a user must act. -EAGAIN: to be tried again. With both, *detail* says what
 * and what to do, in the remote's words, which may repeat a secret: secrets_conceal(). */
int token_answer_read(
        const TokenQuestion *question, const HttpReply *reply, TokenAnswer *ret, char detail[static TOKEN_DETAIL_MAX]);

/* The time to sign an assertion with: *wall*, unless it is off by more than TOKEN_CLOCK_ERROR_USEC from the endpoint's
 * time, which is *now* (clock_now()) + *endpoint_ahead* (0: not known). So a machine without a clock of its own gets a
 * token before NTP has set the time, and a step of the wall clock, in either direction, costs no refusal. */
usec_t token_signing_time(usec_t endpoint_ahead, usec_t now, usec_t wall);
