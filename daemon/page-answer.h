/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who gets an answer, and answers to a browser: each has the headers that protect a page. */

#include <netinet/in.h>

#include "lib/clock.h"
#include "lib/listen.h"

/* ---- answers ---- */

/* Answers with a sentence for a person, and a line end; *name* and *value* are one more header (NULL: none). */
void page_answer_text(ListenRequest *request, int status, const char *name, const char *value, const char *text);

typedef enum PageCoding { PAGE_CODING_PLAIN, PAGE_CODING_GZIP } PageCoding;
/* Says whether the client accepts gzip. */
PageCoding page_answer_coding(const ListenRequest *request);

/* The files of the page, compiled in, compressed: daemon/page/embed.py generates page-files.c. */
typedef struct PageFile {
        const char *path; /* "/page.css"; "/" for page.html */
        const char *type; /* Content-Type */
        const char *tag;  /* ETag with its quotes: a hash of the content */
        Slice gzip;
} PageFile;

extern const PageFile page_files[]; /* ends with a row whose path is NULL */

/* Answers with a file of the page, or with 304 if the client already has it. */
void page_answer_file(ListenRequest *request, const PageFile *file);
#define PAGE_ANSWER_JSON "application/json"
/* Answers with content that was made for this request; *body* is copied. */
void page_answer_made(ListenRequest *request, const char *type, Slice body, PageCoding coding);
/* Answers {"error": "..."}; *words* must not need escaping. */
void page_answer_error(ListenRequest *request, int status, const char *words);

/* ---- who may see the page ---- */

/* Decides who may see the page: HTTP's Basic scheme (RFC 7617), any user name with the one password. It slows down
 * guessing: an address may be wrong a few times, then only once in a while; in between its requests are not checked. A
 * plain value; all zeros: nobody was wrong yet. Pure. */

#define PAGE_LOGIN_BURST 5                         /* wrong passwords that are allowed in a row */
#define PAGE_LOGIN_REFILL_USEC (10 * USEC_PER_SEC) /* ... and one more after each such time */
#define PAGE_LOGIN_PEERS 64                        /* addresses that are remembered */

typedef struct PageLoginPeer {
        char address[INET6_ADDRSTRLEN]; /* for IPv6 the network: 64 bits usually belong to one user */
        usec_t clear;                   /* when PAGE_LOGIN_BURST wrong passwords are allowed again */
} PageLoginPeer;

typedef struct PageLogin {
        PageLoginPeer peers[PAGE_LOGIN_PEERS];
} PageLogin;

enum {
        PAGE_LOGIN_OK = 0,
        PAGE_LOGIN_NONE = 1,  /* the request has no password */
        PAGE_LOGIN_WRONG = 2, /* the password is wrong; this is counted */
        PAGE_LOGIN_WAIT = 3,  /* the password was not checked; *ret_wait_sec says how long to wait */
};
typedef struct PageLoginTry {
        const char *authorization; /* the header's value, or NULL */
        const char *peer;          /* the client's address */
        usec_t now;
} PageLoginTry;
/* Checks one request. */
int page_login_check(PageLogin *login, const char *password, const PageLoginTry *try, unsigned *ret_wait_sec);
