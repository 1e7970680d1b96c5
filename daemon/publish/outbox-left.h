/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Readings that nobody publishes: they were queued before a change of the configuration. */

#include <stdbool.h>
#include <stdint.h>

typedef struct OutboxLeft {
        uint64_t rows; /* 0: there are none */
        char directory[256];
} OutboxLeft;

/* Looks for them where a configuration without a publish section leaves them, and where readings were queued before
 * *state_dir* was changed: in the directory that the service manager gives ($STATE_DIRECTORY), or the one that it would
 * give, and in those of which outbox_left_note() has left a note there. What another process has locked is in use, and
 * not left. */
void outbox_left(const char *state_dir, bool publishes, OutboxLeft *ret);

/* Notes in $STATE_DIRECTORY that readings are queued in *state_dir* from now on, and drops the notes of directories
 * that are in use, or in which none waits: not of one that cannot be looked into, whose disk may be back later. Nothing
 * where the service manager gives no directory. As file_replace(). */
int outbox_left_note(const char *state_dir);
