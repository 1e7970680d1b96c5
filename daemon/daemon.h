/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The daemon: it has the event loop and every stage, connects them, and orders start, reload and stop. Read daemon.c to
 * see the flow. */

#include "config.h"
#include "lib/err.h"

typedef struct Daemon Daemon;

/* Outcomes of daemon_new() and daemon_run(), which main.c turns into exit codes. */
enum {
        DAEMON_OK = 0,
        DAEMON_SECRET = 1, /* a secret cannot be read or is malformed; logged */
        DAEMON_LOCKED = 2, /* another sensorqd has the state directory; logged */
        DAEMON_LEFT = 3,   /* once: readings are left in the outbox or messages in the queue */
        DAEMON_PLACE = 4,  /* the state directory, or the outbox in it, cannot be used; logged */
};

/* Takes a reference to *config*. *once*: polls each source once, publishes, drains each subscription, stops. Blocks
 * signals: call it before any thread exists. */
int daemon_new(Config *config, bool once, Daemon **ret);
Daemon *daemon_free(Daemon *daemon);
CLEANUP_DEFINE(Daemon, daemon_free)

/* Runs until SIGTERM or SIGINT, or until `once` is done. */
int daemon_run(Daemon *daemon);
