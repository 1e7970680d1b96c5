/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What goes back to a browser: every answer with the headers that keep a page to itself. */

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
