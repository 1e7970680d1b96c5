/* SPDX-License-Identifier: Apache-2.0 */
/* What token_take() returns:
 *
 *   there is a usable token        it; in its last five minutes the exchange for the next one already runs
 *   none, an exchange runs         TOKEN_WAIT
 *   none, the last exchange failed its failure, until the backoff has passed
 *   none                           starts an exchange: TOKEN_WAIT */
#include "pubsub/token.h"

#include <stdio.h>
#include <string.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"
#include "trouble.h"

#define EXCHANGE_TIMEOUT_USEC USEC_PER_MINUTE
#define METADATA_TIMEOUT_USEC (10 * USEC_PER_SEC) /* the server is on the host of this virtual machine */
#define ANSWER_MAX (64 * 1024)
#define BACKOFF_INITIAL_USEC USEC_PER_SEC
#define BACKOFF_MAX_USEC USEC_PER_MINUTE
/* after a refusal a user must act, or NTP must set the clock: that takes a while, and is to be noticed soon */
#define REFUSED_INITIAL_USEC (5 * USEC_PER_SEC)
#define REFUSED_MAX_USEC (5 * USEC_PER_MINUTE)

struct Token {
        Http *http;
        const Credentials *credentials;
        const char *ca_file;
        LoopWatch *ready; /* the owner's */

        char *value;     /* NULL: none */
        unsigned number; /* how many there were */
        usec_t refresh_at, expires;

        HttpRequest *exchange;
        CredentialsStep step; /* the current step of the exchange */
        char *held;           /* the answer of the step before; NULL: it is the first one */
        usec_t exchange_started;
        usec_t endpoint_ahead; /* the endpoint's time minus clock_now(); 0: unknown */
        Backoff backoff, refused_backoff;
        usec_t retry_at; /* no exchange before that */

        Trouble trouble; /* LASTING: the last exchange was refused */
};

static void token_drop(Token *token) {
        token->value = secret_free(token->value);
        token->expires = token->refresh_at = 0;
}

/* ---- exchange ---- */

/* While the old token is still usable, only a refusal, which needs a person, is logged. */
static void token_tell_failure(Token *token) {
        if (token->trouble.grade == TROUBLE_PASSING && token->value && clock_now() < token->expires) {
                token->trouble.said = TROUBLE_NONE;
                return;
        }
        log_event(trouble_level(&token->trouble), EVENT_TOKEN_REFUSED,
                LOG_FIELDS({ FIELD_ERROR, token->trouble.detail }),
                "No access token for Pub/Sub: %s. sensorqd keeps trying; meanwhile readings wait in the outbox, "
                "messages in the subscription",
                token->trouble.detail);
}

static void token_failed(Token *token, TroubleGrade grade, Cause cause, usec_t retry_after, const char *detail) {
        Backoff *backoff = grade == TROUBLE_LASTING ? &token->refused_backoff : &token->backoff;
        usec_t delay = backoff_next_at_least(backoff, retry_after, loop_random());

        token->retry_at = clock_now() + delay;
        if (trouble_fail(&token->trouble, grade, cause, delay, detail))
                token_tell_failure(token);
        loop_wake(token->ready);
}

static void token_works(Token *token) {
        char span[CLOCK_SPAN_SIZE];

        if (trouble_mend(&token->trouble, span))
                log_event(LOG_NOTICE, EVENT_TOKEN_RECOVERED, NULL, "Access token for Pub/Sub obtained again, after %s",
                        span);
        token->retry_at = 0;
        backoff_reset(&token->backoff);
        backoff_reset(&token->refused_backoff);
}

static void token_obtained(Token *token, CredentialsAnswer *answer) {
        usec_t early = usec_min(answer->lifetime / 2, TOKEN_REFRESH_EARLY_USEC);

        token_drop(token);
        token->value = cleanup_steal(answer->value);
        token->number++;
        (void) secrets_note_passing(token->credentials->secrets, token->value); /* without memory only this fails */
        token->expires = token->exchange_started +
                         answer->lifetime; /* counted from before the request: never later than the endpoint's */
        token->refresh_at = token->expires - early;

        token_works(token);
        loop_wake(token->ready);
}

static void token_send(Token *token);

static void token_not_sent(Token *token, int error) {
        const Credentials *c = token->credentials;
        const bool want = err_is_want(error);
        char detail[CREDENTIALS_DETAIL_MAX];

        if (want)
                text_print(detail, sizeof(detail), "the request for it cannot be made: %s; look " CAUSE_MEMORY_PLACES,
                        strerror(-error));
        else if (c->subject_file)
                text_print(detail, sizeof(detail), "%s, with the identity of this machine: %s", c->subject_file,
                        error == -EBADMSG ? "it holds no token; see what writes it" : strerror(-error));
        else
                text_print(detail, sizeof(detail),
                        "the request for it cannot be made: %s; correct the URLs and headers in %s", strerror(-error),
                        c->origin);
        token_failed(token, want ? TROUBLE_PASSING : TROUBLE_LASTING, want ? CAUSE_MEMORY : CAUSE_KEY, 0, detail);
}

static void token_go_on(Token *token, CredentialsAnswer *answer) {
        (void) secret_free(token->held);
        token->held = cleanup_steal(answer->value);
        (void) secrets_note_passing(token->credentials->secrets, token->held);
        token_send(token);
}

static void on_exchanged(void *userdata, HttpReply *reply) {
        Token *token = userdata;
        CredentialsAnswer answer = {};
        int r;

        token->exchange = NULL;
        if (reply->date > 0)
                token->endpoint_ahead = reply->date - clock_now();
        r = credentials_answer(token->credentials, token->step, clock_wall(), reply, &answer);
        token->step = credentials_next_step(token->credentials, token->step);
        if (r == 0 && token->step != CREDENTIALS_DONE)
                return token_go_on(token, &answer);
        if (r == 0 && clock_now() >= token->exchange_started + answer.lifetime) {
                (void) snprintf(answer.detail, sizeof(answer.detail),
                        "the token had expired when it arrived; check the network, which takes longer than the token "
                        "is valid");
                (void) secret_free(answer.value);
                answer.cause = CAUSE_NETWORK;
                r = -EAGAIN;
        }
        if (r == 0)
                return token_obtained(token, &answer);
        secrets_conceal(token->credentials->secrets, answer.detail);
        token_failed(token, r == -EACCES ? TROUBLE_LASTING : TROUBLE_PASSING, answer.cause, reply->retry_after,
                answer.detail);
}

/* Sends the request of the current step. */
static void token_send(Token *token) {
        bool metadata = token->credentials->kind == CREDENTIALS_METADATA;
        HttpSpec spec = {
                .ca_file = token->step == CREDENTIALS_SUBJECT ? NULL : token->ca_file,
                .timeout = metadata ? METADATA_TIMEOUT_USEC : EXCHANGE_TIMEOUT_USEC,
                .max_reply = ANSWER_MAX,
        };
        int r;

        token->exchange_started = clock_now();
        r = credentials_request(token->credentials, token->step, token->held,
                credentials_signing_time(token->endpoint_ahead, token->exchange_started, clock_wall()), &spec);
        if (r == 0)
                r = http_start(token->http, &spec, on_exchanged, token, &token->exchange);
        bytes_done(&spec.body);
        if (r < 0)
                token_not_sent(token, r);
}

/* ---- for the client ---- */

int token_take(Token *token, const char **ret_value, unsigned *ret_number) {
        usec_t now = clock_now();

        if (token->credentials && now >= token->refresh_at && now >= token->retry_at && !token->exchange) {
                token->step = credentials_first_step(token->credentials);
                token->held = secret_free(token->held);
                token_send(token);
        }
        if (token->credentials && (!token->value || now >= token->expires))
                return token->exchange                           ? TOKEN_WAIT
                       : token->trouble.grade == TROUBLE_LASTING ? TOKEN_REFUSED
                                                                 : TOKEN_LATER;
        *ret_value = token->value;
        *ret_number = token->number;
        return TOKEN_READY;
}

void token_reject(Token *token, unsigned number) {
        if (number == token->number)
                token_drop(token);
}

void token_status(const Token *token, TokenStatus *ret) {
        *ret = (TokenStatus){
                .failure = trouble_failure(&token->trouble),
                .expires = token->value ? token->expires : 0,
                .retry_at = token->retry_at > clock_now() ? token->retry_at : 0,
        };
}

/* ---- life ---- */

int token_new(Http *http, const Credentials *credentials, const char *ca_file, LoopWatch *ready, Token **ret) {
        Token *token = calloc(1, sizeof(*token));

        if (!token)
                return -ENOMEM;
        token->http = http;
        token->credentials = credentials;
        token->ca_file = ca_file;
        token->ready = ready;
        token->backoff = (Backoff){ .initial = BACKOFF_INITIAL_USEC, .max = BACKOFF_MAX_USEC };
        token->refused_backoff = (Backoff){ .initial = REFUSED_INITIAL_USEC, .max = REFUSED_MAX_USEC };
        *ret = token;
        return 0;
}

Token *token_free(Token *token) {
        if (!token)
                return NULL;

        token->exchange = http_cancel(token->exchange);
        (void) secret_free(token->held);
        (void) secret_free(token->value);
        free(token);
        return NULL;
}
