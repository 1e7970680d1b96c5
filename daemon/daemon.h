/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The daemon: it has the event loop and every stage, connects them, and orders start, reload and stop. Read daemon.c to
 * see the flow. */

#include "config.h"
#include "lib/err.h"

typedef struct Daemon Daemon;

/* Takes a reference to *config*. *once*: polls each source once, publishes, drains each subscription, stops. Blocks
 * signals: call it before any thread exists. 0; where the reason is logged, an exit code of sysexits(3): 73 when the
 * state directory, or the outbox in it, cannot be used, 75 when another sensorqd has it, 77 when a secret cannot be
 * read or is malformed. */
int daemon_new(Config *config, bool once, Daemon **ret);
Daemon *daemon_free(Daemon *daemon);
CLEANUP_DEFINE(Daemon, daemon_free)

/* Runs until SIGTERM or SIGINT, or until `once` is done. 0; 75 when `once` leaves readings in the outbox or messages in
 * the queue. */
int daemon_run(Daemon *daemon);
