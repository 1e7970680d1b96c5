/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the verbs that talk to remote ends share: a loop, the way to Pub/Sub, and one printed line for each thing looked
 * at. */

#include "lib/bytes.h"
#include "remote.h"

#define SESSION_TIMEOUT_USEC (30 * USEC_PER_SEC) /* of a request: somebody sits and waits */

typedef struct Session {
        Config *config;
        Loop *loop;
        Http *http;
        Secrets *secrets;
        Remote *remote;  /* NULL: no credentials; said so */
        unsigned failed; /* lines printed as FAIL */
        int secret_exit; /* one of them because of a secret: the exit code for that; 0: none */
} Session;

/* For callbacks that print about one thing. */
typedef struct SessionNamed {
        Session *session;
        const char *name;
} SessionNamed;

/* 0, or an exit code. Credentials that cannot be read are printed as FAIL, and *remote* stays NULL: what needs none
 * goes on. The stages' own log lines are silenced: the verb says everything. */
int session_open(Config *config, Session **ret);
/* The same without the way to Pub/Sub, which stays NULL: nothing of it is read. */
int session_open_local(Config *config, Session **ret);
Session *session_close(Session *session);
CLEANUP_DEFINE(Session, session_close)

/* `ok    NAME  detail`, `warn  NAME  what, and what to do`, `FAIL  NAME  what, and what to do`; controls become spaces.
 */
void session_ok(Session *session, const char *name, const char *format, ...) _printf_(3, 4);
void session_warn(Session *session, const char *name, const char *format, ...) _printf_(3, 4);
void session_fail(Session *session, const char *name, const char *format, ...) _printf_(3, 4);
/* 0; that when a secret could not be read; else 69 when anything was printed as FAIL. */
int session_exit_code(const Session *session);

typedef struct SessionReply {
        ClientOutcome outcome;
        bool answered;   /* by Pub/Sub, whatever it said */
        char status[64]; /* of the error body */
        char detail[CLIENT_DETAIL_MAX];
        Bytes body;
} SessionReply;

/* One call to its end: GET, PUT, or POST with the *verb* of a method (":testIamPermissions"). *body* is JSON text.
 * Never fails: what went wrong becomes an outcome. session_reply_done() in any case. */
void session_get(Session *session, const char *resource, SessionReply *ret);
void session_put(Session *session, const char *resource, const char *body, SessionReply *ret);
void session_post(Session *session, const char *resource, const char *verb, const char *body, SessionReply *ret);
void session_reply_done(SessionReply *reply);

/* Reads the secrets of a source or sink. False with FAIL printed when one cannot be read. */
bool session_secrets(Session *session, const char *name, const ConfigSection *section, void *keys);

/* Asks the sink of a subscription, as far as its type has something to say, and prints that. *setup*: creates what is
 * missing; else checks. */
void session_sink(Session *session, const SubscriptionConfig *section, bool setup);
