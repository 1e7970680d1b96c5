/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Readings that nobody publishes, because they were queued before the configuration changed. */

#include <stdbool.h>
#include <stdint.h>

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
