/* SPDX-License-Identifier: Apache-2.0 */
#include "page-answer.h"

#include <stdio.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/crypto.h"
#include "lib/gzip.h"
#include "lib/listen-address.h"
#include "web-listen.h"

#define POLICY                                                                                                         \
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "          \
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#define HEADERS_MAX 24
#define FILE_MAX ((size_t) 1024 * 1024)

#define FULL_USEC ((usec_t) PAGE_LOGIN_BURST * PAGE_LOGIN_REFILL_USEC)

/* ---- answers ---- */

/* Name, value, name, value, ...; NULL at the end. */
typedef struct Headers {
        const char *texts[HEADERS_MAX];
        size_t n;
} Headers;

static void headers_add(Headers *headers, const char *name, const char *value) {
        headers->texts[headers->n++] = name;
        headers->texts[headers->n++] = value;
}

/* *cache* is "no-cache" for content that has a tag, "no-store" for content that changes all the time. */
static Headers headers_of_page(const char *cache) {
        Headers headers = {};

        headers_add(&headers, "Content-Security-Policy", POLICY);
        headers_add(&headers, "X-Frame-Options", "DENY");
        headers_add(&headers, "Referrer-Policy", "no-referrer");
        headers_add(&headers, "Cross-Origin-Opener-Policy", "same-origin");
        headers_add(&headers, "Cross-Origin-Resource-Policy", "same-origin");
        headers_add(&headers, "Cache-Control", cache);
        return headers;
}

static void answer(ListenRequest *request, int status, const char *type, Headers *headers, Slice body) {
        listen_answer(request,
                &(ListenAnswer){ .status = status, .content_type = type, .headers = headers->texts, .body = body });
}

void page_answer_text(ListenRequest *request, int status, const char *name, const char *value, const char *text) {
        Headers headers = headers_of_page("no-store");

        headers_add(&headers, name, value);
        listen_answer_text(request, status, headers.texts, text);
}

/* Reads Accept-Encoding as browsers write it (RFC 9110 section 12.5.3): a list of codings; one with q=0 is refused. */
PageCoding page_answer_coding(const ListenRequest *request) {
        const char *header = listen_header(request, "Accept-Encoding"), *gzip = header ? strstr(header, "gzip") : NULL;
        const char *end = gzip ? gzip + strlen("gzip") : NULL;

        if (!gzip)
                return PAGE_CODING_PLAIN;
        end += strspn(end, " ");
        return strncmp(end, ";q=0", 4) == 0 && strspn(end + 4, ".0") == strcspn(end + 4, ", ") ? PAGE_CODING_PLAIN
                                                                                               : PAGE_CODING_GZIP;
}

void page_answer_file(ListenRequest *request, const PageFile *file) {
        const char *known = listen_header(request, "If-None-Match");
        bool same = known && (strstr(known, file->tag) || strcmp(known, "*") == 0);
        bool gzip = page_answer_coding(request) == PAGE_CODING_GZIP;
        Headers headers = headers_of_page("no-cache");
        _cleanup_bytes_ Bytes plain = {};

        if (!same && !gzip && gzip_undo(file->gzip, FILE_MAX, &plain) != GZIP_DONE)
                return page_answer_error(request, 503, "out of memory");
        headers_add(&headers, "ETag", file->tag);
        headers_add(&headers, "Vary", "Accept-Encoding");
        if (gzip && !same)
                headers_add(&headers, "Content-Encoding", "gzip");
        listen_answer(request, &(ListenAnswer){ .status = same ? 304 : 200,
                                       .content_type = same ? NULL : file->type,
                                       .headers = headers.texts,
                                       .body = gzip && !same ? file->gzip : bytes_slice(&plain),
                                       .constant = gzip || same });
}

void page_answer_made(ListenRequest *request, const char *type, Slice body, PageCoding coding) {
        Headers headers = headers_of_page("no-store");

        headers_add(&headers, "Vary", "Accept-Encoding");
        if (coding == PAGE_CODING_GZIP)
                headers_add(&headers, "Content-Encoding", "gzip");
        answer(request, 200, type, &headers, body);
}

void page_answer_error(ListenRequest *request, int status, const char *words) {
        Headers headers = headers_of_page("no-store");
        char text[256];
        int size = snprintf(text, sizeof(text), "{\"error\":\"%s\"}\n", words);

        answer(request, status, PAGE_ANSWER_JSON, &headers,
                (Slice){ text, size < (int) sizeof(text) ? (size_t) size : sizeof(text) - 1 });
}

/* ---- who may see the page ---- */

/* Returns the peer's entry; if there is none, the entry that has been without a wrong password for the longest time. */
static PageLoginPeer *peer_find(PageLogin *login, const char *name) {
        PageLoginPeer *best = login->peers;

        for (size_t i = 0; i < PAGE_LOGIN_PEERS; i++) {
                if (strcmp(login->peers[i].address, name) == 0)
                        return &login->peers[i];
                if (login->peers[i].clear < best->clear)
                        best = &login->peers[i];
        }
        return best;
}

int page_login_check(PageLogin *login, const char *password, const PageLoginTry *try, unsigned *ret_wait_sec) {
        char name[INET6_ADDRSTRLEN], given[WEB_LISTEN_PASSWORD_MAX];
        PageLoginPeer *known;
        usec_t now = try->now, clear;
        bool right;

        if (!try->authorization)
                return PAGE_LOGIN_NONE;
        listen_peer_host(try->peer, name);
        known = peer_find(login, name);
        clear = strcmp(known->address, name) == 0 && known->clear > now ? known->clear : now;
        if (clear + PAGE_LOGIN_REFILL_USEC > now + FULL_USEC) {
                *ret_wait_sec = (unsigned) ((clear + PAGE_LOGIN_REFILL_USEC - now - FULL_USEC) / USEC_PER_SEC) + 1;
                return PAGE_LOGIN_WAIT;
        }
        right = web_listen_password(try->authorization, given) && crypto_equal_texts(given, password);
        explicit_bzero(given, sizeof(given));
        if (right)
                return PAGE_LOGIN_OK;
        memcpy(known->address, name, sizeof(name));
        known->clear = clear + PAGE_LOGIN_REFILL_USEC;
        return PAGE_LOGIN_WRONG;
}
