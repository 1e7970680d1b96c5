/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A request to the daemon's own HTTP server, and its answer; in the arena, since it goes on when the daemon dies. */

#include "lib/listen.h"
#include "weather.h"

typedef struct Visit {
        Target target;
        const char *method, *path; /* constants */
        char *headers;             /* "Name: value\n" each; in the arena, as is *body*; freed with it */
        char *body;
        size_t size;
        usec_t patience; /* of the client */
        /* The daemon has read all of it and has not refused it. */
        void (*on_taken)(struct Visit *visit);
        /* The daemon answers: it may never arrive. */
        void (*on_told)(struct Visit *visit, int status);
        /* The client hears it, or, with 0, gives up. Comes once. */
        void (*on_end)(struct Visit *visit, int status);
        void *subject;
        uint32_t first, n; /* the subject's, as is the next */
        bool good;

        /* of the door */
        unsigned life, references;
        ListenRequest *request; /* of that life */
        Fault fault;
        bool ended;
} Visit;

/* *visit* is in the arena, and the door's from now on. */
void visit_start(Visit *visit);
