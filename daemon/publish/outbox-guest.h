/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Access to an outbox that another process may own, for the verb `sensorqd rejected` and to find readings that nobody
 * publishes: the readings that wait, those that Pub/Sub refused permanently, and input of sources that could not become
 * a reading. The daemon may be using the file: each change is one transaction, and the daemon sees it before it next
 * uses its counters. This never creates, upgrades, checks or repairs the file. */

#include "lib/bytes.h"
#include "lib/clock.h"
#include "publish/outbox.h"

typedef struct OutboxGuest OutboxGuest;

/* A reading that Pub/Sub refused, or input of a source that could not become one, unchanged: *topic* is of the latter,
 * *key*, *type* and *device* are of the former. */
typedef struct OutboxRejected {
        int64_t id;
        usec_t at;   /* when it was set apart; clock_wall() */
        size_t size; /* bytes of the payload */
        Slice source, topic, key, type, device, reason;
        Slice payload; /* empty unless requested */
} OutboxRejected;

/* Opens an existing outbox. OUTBOX_OK, OUTBOX_NEWER, -ENOENT, -EUCLEAN (damaged: the daemon repairs it at its next
 * start), or another errno. */
int outbox_guest_open(const char *directory, OutboxGuest **ret);
OutboxGuest *outbox_guest_close(OutboxGuest *guest);
CLEANUP_DEFINE(OutboxGuest, outbox_guest_close)

/* How many readings wait to be published. */
int outbox_guest_waiting(OutboxGuest *guest, uint64_t *ret_rows);

/* Calls *each* for the rejected rows with ids above *after*, oldest first, until it returns other than 0, which is
 * returned. The slices are valid during the call. No read of the file is open meanwhile, so *each* may take its time
 * and may change the outbox. Payloads are read only if *payloads* is true. */
int outbox_rejected_each(OutboxGuest *guest, int64_t after, bool payloads,
        int (*each)(void *userdata, const OutboxRejected *row), void *userdata);

/* Puts one row back at the end of the queue, with the same key. -ENOENT: there is no such row. Durable on return. */
int outbox_rejected_replay(OutboxGuest *guest, int64_t id);

/* Deletes one row permanently. -ENOENT: there is no such row. Durable on return. */
int outbox_rejected_drop(OutboxGuest *guest, int64_t id);

/* The same for input that could not become a reading. An outbox of schema 1 has no such rows. */
int outbox_unread_each(OutboxGuest *guest, int64_t after, bool payloads,
        int (*each)(void *userdata, const OutboxRejected *row), void *userdata);

/* Calls *each* for every source of which more came than is kept; *n* were deleted. */
int outbox_unread_each_dropped(
        OutboxGuest *guest, void (*each)(void *userdata, Slice source, uint64_t n), void *userdata);
/* Resets these numbers to 0, when somebody has seen them. */
int outbox_unread_forget_dropped(OutboxGuest *guest);

/* Deletes one row permanently, and queues the *readings* made from it (NULL: none) in the same transaction. -ENOENT:
 * there is no such row, and nothing is queued. Durable on return. */
int outbox_unread_settle(OutboxGuest *guest, int64_t id, const ReadingList *readings);

/* ---- readings that nobody publishes, because they were queued before the configuration changed ---- */

typedef struct OutboxLeft {
        uint64_t rows; /* 0: there are none */
        char directory[256];
} OutboxLeft;

/* Looks for such readings: in *state_dir* if the configuration has no publish section any more; in the directory that
 * the service manager gives ($STATE_DIRECTORY) or would give; and in the directories that outbox_left_note() has noted
 * there. A directory that another process has locked is in use, so it does not count. */
void outbox_left(const char *state_dir, bool publishes, OutboxLeft *ret);

/* Notes in $STATE_DIRECTORY that readings are queued in *state_dir* from now on. Removes notes of directories that are
 * in use or have no readings; a note stays if its directory cannot be read, because its disk may come back. Does
 * nothing when the service manager gives no directory. Errors of file_replace(). */
int outbox_left_note(const char *state_dir);
