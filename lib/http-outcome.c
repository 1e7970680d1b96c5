/* SPDX-License-Identifier: Apache-2.0 */
#include "http-internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "err.h"
#include "text.h"

HttpEnd http_end_of(CURL *easy, const HttpFailure *failure, CURLcode code) {
        HttpEnd end = { .code = code, .error = failure->text };
        long system_error = 0;

        (void) curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);
        (void) curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &end.proxy_status);
        end.system_error = err_is_want(-failure->unopened) ? failure->unopened : (int) system_error;
        return end;
}

static HttpOutcome outcome_timeout(const HttpEnd *end, char *detail, size_t size) {
        char span[CLOCK_SPAN_SIZE];

        clock_format_span(end->timeout, span, sizeof(span));
        if (!end->sent) {
                /* only libcurl's text says that the name was not resolved yet */
                bool resolving = strncmp(end->error, "Resolving", strlen("Resolving")) == 0;

                snprintf(detail, size,
                        end->proxy_asked ? "no connection through the proxy within %s"
                        : resolving      ? "name not resolved within %s"
                                         : "no connection within %s",
                        span);
                return HTTP_UNREACHABLE;
        }

        if (end->stalled && end->received == 0)
                snprintf(detail, size, "no reply, and nothing sent, for %s", span);
        else if (end->received > 0)
                snprintf(detail, size, "reply not complete within %s (%zu bytes came)", span, end->received);
        else
                snprintf(detail, size, "no reply within %s", span);
        return HTTP_TIMEOUT;
}

static void describe_connect(const HttpEnd *end, char *detail, size_t size) {
        errno = end->system_error;
        switch (end->system_error) {
        case 0:
                snprintf(detail, size, "cannot connect");
                break;
        case ECONNREFUSED:
                snprintf(detail, size, "connection refused");
                break;
        case ETIMEDOUT:
                snprintf(detail, size, "no answer to the connect");
                break;
        case ENETUNREACH:
        case EADDRNOTAVAIL: /* IPv6 without an own IPv6 address */
                snprintf(detail, size, "network is unreachable");
                break;
        case EHOSTUNREACH:
                snprintf(detail, size, "no route to the host");
                break;
        case EMFILE:
        case ENFILE:
        case ENOMEM:
                snprintf(detail, size, "cannot connect: this machine is short of descriptors or memory (%m)");
                break;
        default:
                snprintf(detail, size, "cannot connect (%m)");
        }
}

static void describe_tls(const HttpEnd *end, char *detail, size_t size) {
        static const char untrusted[] = "SSL certificate problem: ";
        const char *text = end->error, *part;

        if (end->code == CURLE_SSL_CACERT_BADFILE) {
                snprintf(detail, size, "the CA file cannot be read or holds no certificate");
        } else if (end->code == CURLE_SSL_CERTPROBLEM) {
                part = strstr(text, "::"); /* system library::No such file or directory, (no key found, ... */
                text = part ? part + strlen("::") : text;
                snprintf(detail, size, "our own certificate or key cannot be used (%.*s)", (int) strcspn(text, ","),
                        text);
        } else if (strncmp(text, untrusted, strlen(untrusted)) == 0) {
                text += strlen(untrusted);
                snprintf(detail, size, "certificate is not trusted (%s%s)", text,
                        strstr(text, "not yet valid") || strstr(text, "expired") ? "; is this machine's clock right?"
                                                                                 : "");
        } else if (strstr(text, "subject name")) {
                snprintf(detail, size, "certificate is for another host name");
        } else if (text[0] == '\0') {
                snprintf(detail, size, "TLS handshake failed");
        } else {
                part = strstr(text, "::"); /* error:0A00010B:SSL routines::wrong version number */
                snprintf(detail, size, "TLS handshake failed (%s)", part ? part + strlen("::") : text);
        }
}

/* Of a resolver that could not even start, libcurl says the same as of a name that does not exist, but for its text. */
static bool is_unasked(const HttpEnd *end) {
        return strstr(end->error, "thread failed to start") != NULL;
}

bool http_end_is_want(const HttpEnd *end) {
        switch (end->code) {
        case CURLE_COULDNT_CONNECT:
                return err_is_want(-end->system_error);
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
                return is_unasked(end);
        default:
                return false;
        }
}

static void describe_resolve(const HttpEnd *end, const char *words, char *detail, size_t size) {
        snprintf(detail, size, "%s",
                is_unasked(end) ? "name not resolved: this machine is short of descriptors, memory or threads" : words);
}

/* The words leave out this machine's side of the connection: it does not help the reader. */
static const char *describe_cut(const HttpEnd *end) {
        switch (end->code) {
        case CURLE_PARTIAL_FILE:
                return "connection lost in the middle of the reply";
        case CURLE_GOT_NOTHING:
                return "connection closed without a reply";
        case CURLE_SEND_ERROR:
                return "connection lost while sending";
        case CURLE_RECV_ERROR:
                return end->received > 0 ? "connection lost in the middle of the reply"
                                         : "connection lost while waiting for the reply";
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM:
                return "HTTP/2 stream broken off";
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9: no status line */
                return "the reply is not HTTP";
        case CURLE_BAD_CONTENT_ENCODING:
                return "the reply's compression is damaged";
        case CURLE_WRITE_ERROR: /* libcurl reports any error of our write callback as this */
        case CURLE_OUT_OF_MEMORY:
                return "out of memory";
        default:
                return NULL;
        }
}

static HttpOutcome outcome_cut(const HttpEnd *end, char *detail, size_t size) {
        const char *words = describe_cut(end), *alert = strstr(end->error, "alert ");

        if (end->proxy_asked)
                snprintf(detail, size, "the proxy closed the connection");
        else if (alert) /* "SSL routines::tlsv13 alert certificate required, errno 0": a certificate of ours */
                snprintf(detail, size, "the server ended TLS (%.*s)", (int) strcspn(alert, ","), alert);
        else if (words)
                snprintf(detail, size, "%s", words);
        else
                snprintf(detail, size, "transfer failed (%s)",
                        end->error[0] != '\0' ? end->error : curl_easy_strerror(end->code));

        return end->sent ? HTTP_CUT : HTTP_UNREACHABLE;
}

/* A request may fail to connect after it was sent: if a kept connection ends before any answer, libcurl tries again on
 * a new connection. Then the server may already have carried the request out. */
static HttpOutcome unless_sent(const HttpEnd *end, HttpOutcome outcome) {
        return end->sent ? HTTP_CUT : outcome;
}

/* If a proxy answered, only the CONNECT was sent before the TLS handshake. */
static HttpOutcome outcome_tls(const HttpEnd *end, char *detail, size_t size) {
        describe_tls(end, detail, size);
        return end->proxy_status != 0 ? HTTP_TLS : unless_sent(end, HTTP_TLS);
}

HttpOutcome http_outcome(const HttpEnd *end, char *detail, size_t size) {
        if (end->too_large || end->code == CURLE_FILESIZE_EXCEEDED) {
                snprintf(detail, size, "the reply is larger than allowed");
                return HTTP_TOO_LARGE;
        }
        if (end->code != CURLE_OK && end->proxy_status != 0 && end->proxy_status / 100 != 2) {
                snprintf(detail, size, "the proxy%s answered %ld%s", end->proxy, end->proxy_status,
                        end->proxy_status == 407 ? ": it asks for a login (https_proxy)" : "");
                return HTTP_UNREACHABLE;
        }

        switch (end->code) {
        case CURLE_OK:
                snprintf(detail, size, "HTTP %ld", end->status);
                return HTTP_ANSWERED;
        case CURLE_OPERATION_TIMEDOUT:
                return outcome_timeout(end, detail, size);
        case CURLE_COULDNT_RESOLVE_HOST:
                describe_resolve(end, "name not found (or DNS is down)", detail, size);
                return unless_sent(end, HTTP_UNREACHABLE);
        case CURLE_COULDNT_RESOLVE_PROXY:
                describe_resolve(end, "the proxy's name was not found", detail, size);
                return unless_sent(end, HTTP_UNREACHABLE);
        case CURLE_COULDNT_CONNECT:
                describe_connect(end, detail, size);
                return unless_sent(end, HTTP_UNREACHABLE);
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
                return outcome_tls(end, detail, size);
        default:
                return outcome_cut(end, detail, size);
        }
}

void http_reply_words(const HttpReply *reply, char *buffer, size_t size) {
        const char *body = reply->body.data ?: "";
        size_t said = text_cut(body, reply->body.size, HTTP_WORDS_MAX);
        int n = snprintf(buffer, size, "%s%s%.*s", reply->detail, said > 0 ? ": " : "", (int) said, body);

        buffer[text_clean(buffer, n < (int) size ? (size_t) n : size - 1)] = '\0';
}

static const char *skip_space(const char *p) {
        while (isspace((unsigned char) *p))
                p++;
        return p;
}

/* Returns what follows a comment, or the declaration of XHTML; NULL: neither stands here. */
static const char *skip_one(const char *p) {
        static const char *const prefaces[][2] = { { "<!--", "-->" }, { "<?xml", "?>" } };

        for (size_t i = 0; i < ELEMENTSOF(prefaces); i++) {
                const char *end =
                        strncmp(p, prefaces[i][0], strlen(prefaces[i][0])) == 0 ? strstr(p, prefaces[i][1]) : NULL;

                if (end)
                        return end + strlen(prefaces[i][1]);
        }
        return NULL;
}

/* There may be a million of them. */
static const char *skip_preface(const char *p) {
        for (const char *next = p; next; next = skip_one(p))
                p = skip_space(next);
        return p;
}

bool http_reply_is_page(const HttpReply *reply) {
        /* html itself, and what may only stand at the top of it, since the tags around that may be left out: a portal's
         * redirect may be a script alone */
        static const char *const tags[] = { "!doctype html", "html", "head", "meta", "title", "script", "style", "link",
                "base", "noscript", "body" };
        const char *body = reply->body.data ?: "";

        body = skip_preface(body + text_mark(body, strlen(body)));
        for (size_t i = 0; *body == '<' && i < ELEMENTSOF(tags); i++)
                if (strncasecmp(body + 1, tags[i], strlen(tags[i])) == 0 &&
                        !isalnum((unsigned char) body[1 + strlen(tags[i])]))
                        return true;
        return false;
}
