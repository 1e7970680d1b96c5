/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A connection as plain bytes, over TCP or TLS, on the event loop: libcurl connects (names off the loop, certificates,
 * words for what fails), and from then on bytes are read and written. */

#include "bytes.h"
#include "loop.h"

typedef struct Stream Stream;

typedef struct StreamSpec {
        const char *host; /* a name or an address; an IPv6 address without brackets */
        uint16_t port;
        bool tls;
        const char *ca_file;                     /* replaces the system's trust anchors; NULL: the system's */
        const char *certificate_file, *key_file; /* of the client; NULL: none */
        usec_t timeout;                          /* until it is open */
} StreamSpec;

typedef struct StreamCallbacks {
        void (*on_open)(void *userdata);
        /* Bytes wait: stream_read(). */
        void (*on_readable)(void *userdata);
        /* The connection cannot be made, or is lost: *detail* in words, for a log line. Nothing comes after it; the
         * owner frees the stream, here or later. */
        void (*on_lost)(void *userdata, const char *detail);
        void *userdata;
} StreamCallbacks;

/* Begins to connect. Callbacks come from the loop, never from inside. -ENOMEM. */
int stream_open(Loop *loop, const StreamSpec *spec, const StreamCallbacks *callbacks, Stream **ret);
/* Closes at once: what was not sent yet is dropped. Returns NULL. */
Stream *stream_free(Stream *stream);
CLEANUP_DEFINE(Stream, stream_free)

/* Reads at most *size* bytes and returns how many, 0 when none wait now. on_readable comes again while bytes are left.
 */
size_t stream_read(Stream *stream, char *buffer, size_t size);

/* Sends the bytes, in order, as fast as the peer takes them. -ENOMEM. */
int stream_write(Stream *stream, const void *data, size_t size);

/* While held, on_readable is not called, and the peer is slowed down by TCP. */
void stream_hold(Stream *stream, bool hold);
