/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* A damaged outbox: the rows that can still be read go into a new file, the damaged one is set aside and never deleted. For outbox-file.c
 * only.
 *
 *      outbox.sqlite (damaged) --rows--> outbox.sqlite.new --complete, synced, renamed--> outbox.sqlite.salvaged
 *
 * From that rename on the new file counts: outbox.sqlite and its -wal and -shm are renamed to outbox.sqlite.damaged-YYYYMMDDTHHMMSSZ, and
 * the new file takes their place. Killed before it, the next start begins again; killed after it, the next start goes on where this one
 * ended. */
/* clang-format on */

#include <stdint.h>

#include "publish/outbox.h"

/* Makes the new file and swaps it in. Nothing may have the old one open. *last_id*: new rows get ids above it. A
 * negative errno leaves the old file where it is. */
int outbox_salvage(const char *directory, int64_t last_id, OutboxSalvage *ret);

enum { OUTBOX_SALVAGE_NONE = 0, OUTBOX_SALVAGE_FINISHED = 1 };
/* Ends a swap that was interrupted. ret->rows stays unset. */
int outbox_salvage_finish(const char *directory, OutboxSalvage *ret);
