/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Part of token: what the token endpoint's reply means. Pure. Sources: RFC 6749 sections 5.1 and 5.2, google-auth's _client.py. */

#include "lib/http.h"
#include "pubsub/credentials.h"

#define TOKEN_DETAIL_MAX 400
#define TOKEN_LIFETIME_UNKNOWN_USEC (10 * USEC_PER_MINUTE) /* of a token without a usable expires_in: too short only costs exchanges */
#define TOKEN_LIFETIME_MAX_USEC (24 * USEC_PER_HOUR)       /* Google's longest is 12 h */
#define TOKEN_CLOCK_ERROR_USEC (30 * USEC_PER_SEC)         /* a difference that assertions survive, and that replies on their way explain */

typedef struct TokenAnswer {
        char *value; /* the caller's, see secret_free() */
        usec_t lifetime;
} TokenAnswer;

/* 0: *ret is filled in. -EACCES: refused, a user must act. -EAGAIN: to be tried again. With both, *detail* says what and what to do; it
 * holds no secret, even where the remote's words repeat one. *clock_error*: see below. */
int token_answer_read(const Credentials *credentials, const HttpReply *reply, int64_t clock_error, TokenAnswer *ret,
        char detail[static TOKEN_DETAIL_MAX]);

/* What must be added to *wall* (usec) to have the time of *reply*'s Date header; 0 when both agree well enough or there is none. A machine
 * without a clock of its own signs with this until NTP has set the time. */
int64_t token_clock_error(const HttpReply *reply, usec_t wall);
