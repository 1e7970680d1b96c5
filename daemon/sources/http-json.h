/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The pure part of the type http_json: its keys, what a request asks for, and what an answer says. Times are full
 * seconds of wall time, because some APIs know no fractions. */

#include "auth.h"
#include "lib/clock.h"
#include "publish/shape.h"
#include "publish/source.h"

#define HTTP_JSON_REPLY_MAX (8 * 1024 * 1024)

typedef struct HttpJsonPaging {
        char *next;      /* pointer into the document */
        char *parameter; /* parameter of the URL that gets the value found at *next*; NULL: that value is a URL */
        unsigned max;    /* most pages */
} HttpJsonPaging;

typedef struct HttpJsonSince {
        usec_t initial, overlap, window;
} HttpJsonSince;

typedef struct HttpJsonConfig {
        char *url, **urls; /* one of them; url moves to urls, which ends with NULL */
        int method;        /* 0: GET, 1: POST */
        char *body;
        ConfigMap headers;
        AuthConfig auth;
        ConfigMap ok;
        HttpJsonPaging *paging; /* NULL: one page */
        HttpJsonSince *since;   /* NULL: without history */
        char *ca_file;
        ConfigTls tls;
        bool allow_plain;
        ShapeConfig reading;
} HttpJsonConfig;

extern const ConfigSection http_json_section;

/* ---- placeholders ---- */

/* The values of the placeholders, in seconds. */
typedef struct HttpJsonTimes {
        int64_t since, until, now;
} HttpJsonTimes;

/* Appends *text* with `{since}`, `{until}` and `{now}` replaced by the time as RFC 3339, or with `:unix` or `:unix_ms`
 * by a number. With *url* it is percent-encoded. Other braces stay as they are. -ENOMEM. */
int http_json_expand(const char *text, const HttpJsonTimes *times, bool url, Bytes *ret);
/* True if *text* contains the placeholder of that name, in any form. */
bool http_json_mentions(const char *text, const char *name);

/* ---- windows ---- */

typedef struct HttpJsonWindow {
        int64_t from, until;
} HttpJsonWindow;

#define HTTP_JSON_NO_CURSOR INT64_MIN

/* Corrects the cursor after our clock was set by *moved* seconds. If the clock was ahead, the cursor goes back by the
 * same amount; otherwise data from a later outage would never be fetched. It does nothing while the clock shows a time
 * before 2024, which means that it is not set. */
int64_t http_json_set_back(int64_t cursor, int64_t moved, int64_t now);

/* Returns the window to ask for at *now*: it begins at the cursor minus the overlap, is one window long, and does not
 * go beyond *now*. */
HttpJsonWindow http_json_window(const HttpJsonSince *since, int64_t cursor, int64_t now);

/* Returns the new cursor when a whole window, made at *now*, is stored. *told* is the earliest time that the servers
 * told in their answers; INT64_MAX: none did. The cursor goes back only if that is our time, which means that our clock
 * was wrong before. If it is another time, the cursor does not go beyond it, and a first window is made again by it. */
int64_t http_json_advance(
        const HttpJsonSince *since, int64_t cursor, const HttpJsonWindow *window, int64_t now, int64_t told);

/* ---- pages ---- */

enum { HTTP_JSON_LAST = 0, HTTP_JSON_MORE = 1, HTTP_JSON_ELSEWHERE = 2, HTTP_JSON_BACK = 3 };
/* Finds the page after *document*, one JSON value. HTTP_JSON_MORE: *ret* has its URL. *first* is the URL of the first
 * page. HTTP_JSON_LAST: there is none. HTTP_JSON_ELSEWHERE: it has another scheme, host or port, or is not a URL.
 * -ENOMEM. */
int http_json_next(const HttpJsonPaging *paging, Slice document, const char *first, Bytes *ret);
/* Notes that a page is requested; *asked* is empty at first. HTTP_JSON_MORE: it is new. HTTP_JSON_BACK: it was
 * requested before. -ENOMEM. */
int http_json_note_page(Bytes *asked, const char *url);
/* True if both have the same scheme, host and port. */
bool http_json_same_origin(const char *a, const char *b);

/* ---- answers ---- */

typedef struct HttpJsonAnswer {
        SourcePollOutcome outcome; /* of a failure */
        Cause cause;
        char detail[300]; /* of a failure: what the server does; it follows the server's URL */
        Slice document;   /* one JSON value; points into the reply or *made* */
        Bytes made;
} HttpJsonAnswer;

/* True if the reply is a good answer, by its status, its form, and its content. Fills in *ret* in both cases; the
 * caller frees *made*. */
bool http_json_read(const HttpJsonConfig *keys, const HttpReply *reply, HttpJsonAnswer *ret);
