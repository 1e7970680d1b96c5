/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the verbs that talk to remote ends: a loop, the connection to Pub/Sub, and one printed line for each thing
 * that is checked. */

#include "lib/bytes.h"
#include "pubsub/client.h"
#include "subscribe/sink-type.h"

#define SESSION_TIMEOUT_USEC (30 * USEC_PER_SEC) /* of a request: a person waits for it */

typedef struct Session {
        Config *config;
        Loop *loop;
        Http *http;
        Secrets *secrets;
        Client *client;  /* NULL: no credentials, which was printed */
        unsigned failed; /* lines printed as FAIL */
        int secret_exit; /* the exit code when a secret could not be read; 0: all could */
} Session;

/* For callbacks that print lines with this name. */
typedef struct SessionNamed {
        Session *session;
        const char *name;
} SessionNamed;

/* Returns 0 or an exit code. Credentials that cannot be read are printed as FAIL and leave *client* NULL; checks that
 * do not need them go on. The log lines of the stages are switched off: the verb prints everything. The configuration
 * gets the state_dir of the unit that runs it, also before the unit makes it: see config_state_dir(). */
int session_open(Config *config, Session **ret);
/* The same without Pub/Sub: *client* stays NULL and no credentials are read. */
int session_open_local(Config *config, Session **ret);
Session *session_close(Session *session);
CLEANUP_DEFINE(Session, session_close)

/* Prints a text that came from outside without control characters: it goes to a terminal. */
void session_print(Slice text);
/* Prints a text of several lines, which may hold any bytes: unchanged into a file, on a terminal by session_print(). */
void session_print_data(Slice data);
/* Prints `ok    NAME  detail`, `warn  NAME  what, and what to do`, or `FAIL  NAME  what, and what to do`, by
 * session_print(). */
void session_tell(Session *session, SinkGrade grade, const char *name, const char *format, ...) _printf_(4, 5);
#define session_ok(session, ...) session_tell(session, SINK_GRADE_OK, __VA_ARGS__)
#define session_warn(session, ...) session_tell(session, SINK_GRADE_WARN, __VA_ARGS__)
#define session_fail(session, ...) session_tell(session, SINK_GRADE_FAIL, __VA_ARGS__)
/* Returns secret_exit when a secret could not be read; else 69 when anything was printed as FAIL; else 0. */
int session_exit_code(const Session *session);

typedef struct SessionReply {
        ClientOutcome outcome;
        bool answered;   /* an HTTP answer came, of whatever status */
        char status[64]; /* of the error body */
        char detail[CLIENT_DETAIL_MAX];
        Bytes body;
} SessionReply;

/* Makes one call and waits for its end: GET, PUT, or POST with the *verb* of a method (":testIamPermissions"). *body*
 * is JSON text. Never fails: an error becomes an outcome. *ret* is empty, or has an earlier reply, which is freed. */
void session_get(Session *session, const char *resource, SessionReply *ret);
void session_put(Session *session, const char *resource, const char *body, SessionReply *ret);
void session_post(Session *session, const char *resource, const char *verb, const char *body, SessionReply *ret);
void session_reply_done(SessionReply *reply);

/* Reads the secrets of a source or sink. When one cannot be read, it prints FAIL and returns false. */
bool session_secrets(Session *session, const char *name, const ConfigSection *section, void *keys);

/* Checks the sink of a subscription and prints the result; with *setup* creates what is missing instead. Prints nothing
 * when the type has no such function. */
void session_sink(Session *session, const SubscriptionConfig *section, bool setup);
