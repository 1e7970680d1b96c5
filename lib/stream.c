/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "err.h"
#include "http-internal.h"
#include "text.h"

/* clang-format off */
/*      CONNECTING --connected--> OPEN --lost--> LOST
 *          |                                      ^
 *          +-------------- cannot ----------------+ */
/* clang-format on */
typedef enum StreamState { STREAM_CONNECTING, STREAM_OPEN, STREAM_LOST } StreamState;

struct Stream {
        Loop *loop;
        StreamState state;
        HttpLoop *curl;
        CURL *easy;
        LoopWatch *io;    /* exists from OPEN on */
        LoopWatch *again; /* woken when TLS still holds bytes, which epoll does not see, or a callback is due */
        bool held, drained;
        bool tell_open, told; /* tell_open: on_open is due; told: on_lost was called */
        Bytes out;   /* must not move: SSL_write(3) wants bytes that it could not send at the same address again */
        size_t sent; /* bytes of *out* that were sent */
        Bytes next;  /* bytes to send after *out* */
        usec_t timeout;
        bool want;
        HttpFailure failure;
        char detail[CURL_ERROR_SIZE + 64];
        StreamCallbacks callbacks;
};

static void stream_lose(Stream *stream, const char *detail) {
        if (stream->state == STREAM_LOST)
                return;
        stream->state = STREAM_LOST;
        if (detail != stream->detail)
                (void) snprintf(stream->detail, sizeof(stream->detail), "%s", detail);
        loop_off(stream->io);
        loop_wake(stream->again);
}

static bool stream_waits(const Stream *stream) {
        return stream->sent < stream->out.size || stream->next.size > 0;
}

static uint32_t stream_events(const Stream *stream) {
        return (stream->held ? 0u : (uint32_t) EPOLLIN) | (stream_waits(stream) ? (uint32_t) EPOLLOUT : 0u);
}

static void stream_watch(Stream *stream) {
        if (stream->state == STREAM_OPEN && loop_set_events(stream->io, stream_events(stream)) < 0)
                stream_lose(stream, "its socket cannot be watched");
}

/* ---- sending ---- */

/* Called when all of *out* is sent. */
static void stream_take_next(Stream *stream) {
        Bytes empty = bytes_steal(&stream->out);

        stream->out = bytes_steal(&stream->next);
        bytes_cut(&empty, 0);
        stream->sent = 0;
        stream->next = empty;
}

static void stream_flush(Stream *stream) {
        CURLcode code = CURLE_OK;

        while (stream->state == STREAM_OPEN && code == CURLE_OK && stream_waits(stream)) {
                size_t n = 0;

                if (stream->sent == stream->out.size)
                        stream_take_next(stream);
                code = curl_easy_send(
                        stream->easy, stream->out.data + stream->sent, stream->out.size - stream->sent, &n);
                stream->sent += n;
        }
        if (code != CURLE_OK && code != CURLE_AGAIN)
                stream_lose(stream, "connection lost while sending");
}

int stream_write(Stream *stream, const void *data, size_t size) {
        int r;

        if (size == 0)
                return 0;
        r = bytes_append(&stream->next, data, size);
        if (r < 0) {
                bytes_cut(&stream->next, stream->next.size); /* what was queued before is complete */
                return r;
        }
        stream_flush(stream);
        stream_watch(stream);
        return 0;
}

/* ---- receiving ---- */

size_t stream_read(Stream *stream, char *buffer, size_t size) {
        CURLcode code;
        size_t n = 0;

        stream->drained = true;
        if (stream->state != STREAM_OPEN)
                return 0;
        code = curl_easy_recv(stream->easy, buffer, size, &n);
        if (code == CURLE_AGAIN)
                return 0;
        if (code != CURLE_OK || n == 0) {
                stream_lose(stream, n == 0 && code == CURLE_OK ? "the peer closed the connection" : "connection lost");
                return 0;
        }
        stream->drained = false; /* there may be more until libcurl says that there is not */
        return n;
}

static void stream_tell_readable(Stream *stream) {
        if (stream->held || stream->state != STREAM_OPEN)
                return;
        stream->drained = true;
        loop_wake(stream->again); /* before the callback, which may free the stream */
        stream->callbacks.on_readable(stream->callbacks.userdata);
}

static void on_again(void *userdata) {
        Stream *stream = userdata;

        if (stream->state == STREAM_LOST && !stream->told) {
                stream->told = true;
                return stream->callbacks.on_lost(stream->callbacks.userdata, stream->detail);
        }
        if (stream->tell_open) {
                stream->tell_open = false;
                return stream->callbacks.on_open(stream->callbacks.userdata);
        }
        if (!stream->drained)
                stream_tell_readable(stream);
}

static void on_io(void *userdata, int fd, uint32_t events) {
        Stream *stream = userdata;

        if (events & EPOLLOUT) {
                stream_flush(stream);
                stream_watch(stream);
        }
        if (events & ~(uint32_t) EPOLLOUT)
                stream_tell_readable(stream);
}

void stream_hold(Stream *stream, bool hold) {
        if (hold == stream->held)
                return;
        stream->held = hold;
        stream_watch(stream);
        if (!hold)
                loop_wake(stream->again);
}

bool stream_is_want(const Stream *stream) {
        return stream->want;
}

/* ---- connecting ---- */

static void stream_failed(Stream *stream, CURLcode code) {
        HttpEnd end = http_end_of(stream->easy, &stream->failure, code);

        end.timeout = stream->timeout;
        (void) http_outcome(&end, stream->detail, sizeof(stream->detail));
        stream->want = http_end_is_want(&end);
        stream_lose(stream, stream->detail);
}

/* The handle stays in the multi handle, because the connection belongs to it. */
static void on_curl_done(void *userdata, CURL *easy, CURLcode code) {
        curl_socket_t fd = CURL_SOCKET_BAD;
        Stream *stream = userdata;

        if (stream->state != STREAM_CONNECTING)
                return;
        if (code != CURLE_OK)
                return stream_failed(stream, code);
        if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD ||
                loop_add_io(stream->loop, fd, EPOLLIN, on_io, stream, &stream->io) < 0)
                return stream_lose(stream, "its socket cannot be watched");
        stream->state = STREAM_OPEN;
        stream_flush(stream);
        stream_watch(stream);
        stream->tell_open = true;
        loop_wake(stream->again); /* not called here: the owner may free the stream, and libcurl is still running */
}

static int stream_prepare(Stream *stream, const StreamSpec *spec) {
        bool six = strchr(spec->host, ':') != NULL;
        CURL *easy = stream->easy = curl_easy_init();
        _cleanup_free_ char *url = NULL;
        int failed = 0;

        if (!easy || text_format(&url, "%s://%s%s%s:%u/", spec->tls ? "https" : "http", six ? "[" : "", spec->host,
                             six ? "]" : "", spec->port) < 0)
                return -ENOMEM;
        failed |= curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L); /* this is not HTTP */
        if (failed)
                return -ENOMEM;
        return http_loop_prepare(easy,
                &(HttpPeer){ url, spec->ca_file, spec->certificate_file, spec->key_file, spec->timeout },
                &stream->failure);
}

int stream_open(Loop *loop, const StreamSpec *spec, const StreamCallbacks *callbacks, Stream **ret) {
        _cleanup_(stream_freep) Stream *stream = NULL;
        int r;

        stream = calloc(1, sizeof(*stream));
        if (!stream)
                return -ENOMEM;
        stream->loop = loop;
        stream->callbacks = *callbacks;
        stream->timeout = spec->timeout;
        stream->drained = true;
        r = loop_add_defer(loop, on_again, stream, &stream->again);
        if (r < 0)
                return r;
        r = http_loop_new(loop, on_curl_done, stream, &stream->curl);
        if (r < 0)
                return r;
        r = stream_prepare(stream, spec);
        if (r < 0)
                return r;
        r = http_loop_add(stream->curl, stream->easy);
        if (r < 0)
                return r;
        *ret = cleanup_steal(stream);
        return 0;
}

Stream *stream_free(Stream *stream) {
        if (!stream)
                return NULL;
        loop_drop(stream->io);
        loop_drop(stream->again);
        if (stream->easy) {
                http_loop_remove(stream->curl, stream->easy);
                curl_easy_cleanup(stream->easy);
        }
        http_loop_free(stream->curl);
        bytes_wipe(&stream->out); /* it may hold a password */
        bytes_wipe(&stream->next);
        free(stream);
        return NULL;
}
