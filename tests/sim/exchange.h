/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A request on its way, at a server, and on its way back; in the arena, since it goes on when the daemon that sent it
 * has died. */

#include "lib/http.h"
#include "weather.h"

typedef struct Exchange {
        unsigned life;       /* of the daemon that sent it */
        HttpRequest *client; /* of that daemon; NULL: it does not wait any more */
        unsigned references;
        Target target;
        Fault fault;
        char *method, *url, *body, *bearer;
        char *headers; /* "Name: value\n" each */
        size_t body_size, max_reply;
        usec_t started, deadline;
        bool carried;  /* out, by the server itself */
        bool deleted;  /* the server says that what it is about is missing */
        bool progress; /* the answer brings something: it is no storm */
        int status;
        char *reply, *reply_headers;
        size_t reply_size;
        usec_t retry_after;
} Exchange;

/* A server's answer. *body* is copied. */
void exchange_answer(Exchange *x, int status, const char *body, size_t size);
/* One more header, before the answer. */
void exchange_header(Exchange *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A server keeps it, to answer later; without an answer it lets go by exchange_unref(). */
Exchange *exchange_ref(Exchange *x);
Exchange *exchange_unref(Exchange *x);
/* The client has closed the connection. */
bool exchange_is_dropped(const Exchange *x);
