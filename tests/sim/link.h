/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A connection of lib/stream.h as its server sees it; in the arena, since it goes on when the daemon has died. Bytes
 * arrive in order, later, in other pieces, or not at all. */

#include "weather.h"

typedef struct Link Link;

typedef struct LinkServer {
        Target target;
        void (*on_open)(Link *link);
        /* The daemon hands over whole packets, which may never arrive. */
        void (*on_written)(Link *link, const char *data, size_t size);
        void (*on_data)(Link *link, const char *data, size_t size);
        /* Nothing more comes; the server lets go of it. */
        void (*on_lost)(Link *link);
        /* The daemon has these bytes in its hands, and has not given up the connection over them. */
        void (*on_taken)(Link *link, const char *data, size_t size);
} LinkServer;

/* Towards the daemon. */
void link_send(Link *link, const void *data, size_t size);
/* The server closes; what was sent arrives before. No on_lost. */
void link_close(Link *link);
/* Bytes that the daemon has not read. */
size_t link_unread(const Link *link);
/* What the weather did to the connection at its start; FAULT_NONE: nothing. */
Fault link_fault(const Link *link);
