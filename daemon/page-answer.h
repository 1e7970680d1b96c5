/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What goes back to a browser: every answer with the headers that keep a page to itself; and who gets one. */

#include <netinet/in.h>

#include "lib/clock.h"
#include "lib/listen.h"
#include "page-files.h"

/* Words for a person, with an end of line. */
void page_answer_text(ListenRequest *request, int status, const char *text);
/* A password is asked for. */
void page_answer_login(ListenRequest *request);
/* Too many wrong passwords came from there. */
void page_answer_wait(ListenRequest *request, unsigned seconds);
/* Only GET and HEAD. */
void page_answer_method(ListenRequest *request);

typedef enum PageCoding { PAGE_CODING_PLAIN, PAGE_CODING_GZIP } PageCoding;
/* Whether the client takes gzip. */
PageCoding page_answer_coding(const ListenRequest *request);

/* A file of the page; 304 where the client has it already. */
void page_answer_file(ListenRequest *request, const PageFile *file);
/* What was made for this request only; *body* is copied. */
void page_answer_made(ListenRequest *request, const char *type, Slice body, PageCoding coding);
/* {"error": "..."}; *words* need no escaping. */
void page_answer_error(ListenRequest *request, int status, const char *words);

/* ---- page-login.c ---- */

/* Who may see the page: HTTP's Basic scheme (RFC 7617), any user with the one password. Who guesses is slowed: an
 * address may be wrong a few times, then once in a while; until then what it sends is not looked at. A plain value;
 * zeros: nobody was wrong yet. Pure. */

#define PAGE_LOGIN_BURST 5                         /* wrong passwords in a row */
#define PAGE_LOGIN_REFILL_USEC (10 * USEC_PER_SEC) /* ... and one more after each of these */
#define PAGE_LOGIN_PEERS 64                        /* addresses that are remembered */

typedef struct PageLoginPeer {
        char address[INET6_ADDRSTRLEN]; /* of IPv6 the network: somebody's 64 bits count as one */
        usec_t clear;                   /* when it may be wrong PAGE_LOGIN_BURST times again */
} PageLoginPeer;

typedef struct PageLogin {
        PageLoginPeer peers[PAGE_LOGIN_PEERS];
} PageLogin;

enum {
        PAGE_LOGIN_OK = 0,
        PAGE_LOGIN_NONE = 1,  /* no password came */
        PAGE_LOGIN_WRONG = 2, /* it came, and is another one: counted */
        PAGE_LOGIN_WAIT = 3,  /* not looked at; *ret_wait_sec says for how long */
};
typedef struct PageLoginTry {
        const char *authorization; /* the header, or NULL */
        const char *peer;          /* the address that it came from */
        usec_t now;
} PageLoginTry;
/* Looks at one request. */
int page_login_check(PageLogin *login, const char *password, const PageLoginTry *try, unsigned *ret_wait_sec);
