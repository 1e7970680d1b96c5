/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The pure half of the type http_json: its keys, what a request asks for, and where the next page is. Times are whole
 * seconds of wall time, since an API may know no smaller ones. */

#include "auth.h"
#include "lib/clock.h"
#include "publish/shape.h"
#include "publish/source.h"

#define HTTP_JSON_REPLY_MAX (8 * 1024 * 1024)

typedef struct HttpJsonPaging {
        char *next;      /* pointer into the document */
        char *parameter; /* that takes what stands there; NULL: what stands there is a URL */
        unsigned max;    /* pages */
} HttpJsonPaging;

typedef struct HttpJsonSince {
        usec_t initial, overlap, window;
} HttpJsonSince;

typedef struct HttpJsonConfig {
        char *url, **urls; /* one of them; urls ends with NULL */
        int method;        /* 0: GET, 1: POST */
        char *body;
        ConfigMap headers;
        AuthConfig auth;
        ConfigMap ok;
        HttpJsonPaging *paging; /* NULL: one page */
        HttpJsonSince *since;   /* NULL: it knows no history */
        char *ca_file;
        bool allow_plain;
        ShapeConfig reading;
} HttpJsonConfig;

extern const ConfigSection http_json_section;

/* ---- placeholders ---- */

/* What the placeholders stand for. */
typedef struct HttpJsonTimes {
        int64_t since, until, now;
} HttpJsonTimes;

/* Appends *text* with `{since}`, `{until}` and `{now}` replaced by the time as RFC 3339, and with `:unix` or `:unix_ms`
 * as a number; percent-encoded in a URL. Every other brace is literal. -ENOMEM. */
int http_json_expand(const char *text, const HttpJsonTimes *times, bool url, Bytes *ret);
/* Whether *text* has the placeholder of that name, in any of its forms. */
bool http_json_mentions(const char *text, const char *name);

/* ---- windows ---- */

typedef struct HttpJsonWindow {
        int64_t from, until;
} HttpJsonWindow;

#define HTTP_JSON_NO_CURSOR INT64_MIN

/* The cursor at *now* where our clock was set by *moved* seconds since it was written: one that it ran ahead of goes
 * back as far, or an outage after that would not be made up for. Not with a clock of before 2024, which is not set. */
int64_t http_json_set_back(int64_t cursor, int64_t moved, int64_t now);

/* What to ask for at *now*: from the cursor, less the overlap, one window long, and never beyond *now*. */
HttpJsonWindow http_json_window(const HttpJsonSince *since, int64_t cursor, int64_t now);

/* What a reply's Date header says of our clock. */
typedef enum HttpJsonClock { HTTP_JSON_CLOCK_UNKNOWN, HTTP_JSON_CLOCK_RIGHT, HTTP_JSON_CLOCK_WRONG } HttpJsonClock;

/* The cursor once all of the window is stored. It goes back only where the server says that our clock is right now, so
 * that it was wrong before; where a server calls it wrong, it follows to *told*, the earliest time of their clocks, and
 * not beyond. A first window that a wrong clock laid out is laid out again by theirs. */
int64_t http_json_advance(
        const HttpJsonSince *since, int64_t cursor, const HttpJsonWindow *window, HttpJsonClock verdict, int64_t told);

/* ---- pages ---- */

enum { HTTP_JSON_LAST = 0, HTTP_JSON_MORE = 1, HTTP_JSON_ELSEWHERE = 2, HTTP_JSON_BACK = 3 };
/* Where the page behind *document*, one JSON value, is: HTTP_JSON_MORE with its URL in *ret*. *first* is the URL of the
 * first page. HTTP_JSON_LAST: there is none. HTTP_JSON_ELSEWHERE: it names another scheme, host or port, or is no URL.
 * -ENOMEM. */
int http_json_next(const HttpJsonPaging *paging, Slice document, const char *first, Bytes *ret);
/* HTTP_JSON_MORE, and *asked* knows the page: it begins empty. HTTP_JSON_BACK: it was there already. -ENOMEM. */
int http_json_note_page(Bytes *asked, const char *url);
/* Whether both have the same scheme, host and port. */
bool http_json_same_origin(const char *a, const char *b);

/* ---- answers ---- */

typedef struct HttpJsonAnswer {
        SourcePollOutcome outcome; /* of a failure */
        Cause cause;
        char detail[300]; /* of a failure: what the server does, to be put behind its URL */
        Slice document;   /* one JSON value: in the reply, or in *made* */
        Bytes made;
} HttpJsonAnswer;

/* Whether the reply is a good answer, by its status, its form, and what it says of itself. *ret* is filled in either
 * way; its *made* is the caller's to release. */
bool http_json_read(const HttpJsonConfig *keys, const HttpReply *reply, HttpJsonAnswer *ret);
