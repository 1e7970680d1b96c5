/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A connection that carries plain bytes, over TCP or TLS, on the event loop. libcurl connects: it resolves names
 * outside of the loop, checks certificates and explains failures. After that, bytes are read and written. */

#include "bytes.h"
#include "loop.h"

typedef struct Stream Stream;

typedef struct StreamSpec {
        const char *host; /* a name or an address; an IPv6 address without brackets */
        uint16_t port;
        bool tls;
        const char *ca_file;                     /* replaces the system's trust anchors; NULL: the system's */
        const char *certificate_file, *key_file; /* the client's; NULL: none */
        usec_t timeout;                          /* for connecting */
} StreamSpec;

typedef struct StreamCallbacks {
        void (*on_open)(void *userdata);
        /* Bytes are there: call stream_read(). */
        void (*on_readable)(void *userdata);
        /* The connection cannot be made, or is lost; *detail* are words for a log line. No callback comes after this;
         * the owner frees the stream, here or later. */
        void (*on_lost)(void *userdata, const char *detail);
        void *userdata;
} StreamCallbacks;

/* Begins to connect. Callbacks come from the loop, never from inside a call. -ENOMEM. */
int stream_open(Loop *loop, const StreamSpec *spec, const StreamCallbacks *callbacks, Stream **ret);
/* Closes at once and drops bytes that were not sent yet. Returns NULL. */
Stream *stream_free(Stream *stream);
CLEANUP_DEFINE(Stream, stream_free)

/* Reads at most *size* bytes and returns their number, 0 when none are there now. on_readable is called again while
 * bytes are left. */
size_t stream_read(Stream *stream, char *buffer, size_t size);

/* Sends the bytes, in order, as fast as the peer takes them. -ENOMEM. */
int stream_write(Stream *stream, const void *data, size_t size);

/* In on_lost: true when this machine was short of descriptors, memory or threads. */
bool stream_is_want(const Stream *stream);

/* While held, on_readable is not called, and TCP slows the peer down. */
void stream_hold(Stream *stream, bool hold);
