/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* Makes, upgrades, checks and repairs the outbox's file. Only outbox*.c use it.
 *
 * A damaged file is set aside and never deleted; the rows that can still be read go into a new one.
 *
 *      outbox.sqlite (damaged) --rows--> outbox.sqlite.new --complete, synced, renamed--> outbox.sqlite.salvaged
 *
 * After that rename the new file is the valid one: outbox.sqlite and its -wal and -shm are renamed to outbox.sqlite.damaged-YYYYMMDDTHHMMSSZ, and
 * the new file takes their place. After a kill before the rename, the next start begins again; after a kill later,
 * the next start continues. */
/* clang-format on */

#include <stdint.h>

#include "lib/err.h"
#include "lib/sql.h"

#define OUTBOX_FILE "outbox.sqlite"

enum {
        OUTBOX_OK = 0,
        OUTBOX_SALVAGED = 2, /* the file was damaged and set aside; the rows that can be read are in a new one */
        OUTBOX_NEWER = 3,    /* made by a later version; not changed */
};

typedef struct OutboxSalvage {
        char aside[256]; /* name of the file that was set aside */
        uint64_t rows;   /* rows that were copied */
        uint64_t needed; /* bytes needed on the disk; set when it fails with -ENOSPC */
} OutboxSalvage;

/* Opens or creates DIRECTORY/outbox.sqlite. A check or salvage may take long; the service manager is told meanwhile.
 * *damaged*: damage is known, so the file is salvaged in any case. *last_id* is the highest id known to be used, 0 at
 * the start; new rows get higher ids. OUTBOX_OK, OUTBOX_SALVAGED (*ret_salvage filled in), OUTBOX_NEWER (nothing was
 * opened), or an errno. An existing outbox opens also on a full disk, at least for reading. */
int outbox_file_open(const char *directory, int64_t last_id, bool damaged, Sql **ret, OutboxSalvage *ret_salvage);

/* Makes a new file while the old one is open as *old*, but was removed or replaced by another file. The new file gets
 * all rows of *old* with the same ids, and those of the other file, which is set aside (*ret_salvage; "" when there was
 * none). The caller keeps *old*, which stays open. OUTBOX_OK, OUTBOX_NEWER, or an errno. */
int outbox_file_renew(const char *directory, int64_t last_id, Sql *old, Sql **ret, OutboxSalvage *ret_salvage);

/* ---- outbox-salvage.c ---- */

/* Copies the rows that can still be read from a damaged outbox into a new one: from the front, from the back, and id by
 * id between damaged places. Each row is copied once, even if damage shows it twice.
 *
 * Makes the tables in *to*, which is empty or was filled by an earlier call, and copies the rows of *from* (NULL:
 * nothing can be read). If *to* already has an id, the row gets another one. On return, all rows are in the file
 * itself, not in its log, and synced. *last_id* is the highest id known to be used, 0 at the start; new rows get higher
 * ids. The service manager is told meanwhile. Errors are those of *to*, with -EUCLEAN if it is damaged; -ENOMEM and
 * -EBUSY may come from *from*. */
int outbox_salvage(Sql *from, Sql *to, int64_t last_id, uint64_t *ret_rows);
