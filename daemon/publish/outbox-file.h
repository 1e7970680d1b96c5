/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* The outbox's file: made, upgraded, checked, and mended when it is damaged. For outbox*.c only.
 *
 * A damaged file is set aside and never deleted; the rows that can still be read go into a new one.
 *
 *      outbox.sqlite (damaged) --rows--> outbox.sqlite.new --complete, synced, renamed--> outbox.sqlite.salvaged
 *
 * From that rename on the new file counts: outbox.sqlite and its -wal and -shm are renamed to outbox.sqlite.damaged-YYYYMMDDTHHMMSSZ, and
 * the new file takes their place. Killed before it, the next start begins again; killed after it, the next start goes on where this one
 * ended. */
/* clang-format on */

#include <stdint.h>

#include "lib/err.h"
#include "lib/sql.h"

#define OUTBOX_FILE "outbox.sqlite"

/* The check at start reads every row and finds each again by its id: 64 MiB, 130 000 readings, take a quarter of a
 * second from memory and about 2 s from an SD card; what a queue normally holds, 2 ms. So it is made up to a size only,
 * which is smaller after a clean end: then nothing was being written. In a larger file damage is found when the damaged
 * page is read, and mended in the same way. */
#define OUTBOX_FILE_CHECK_MAX (64 * 1024 * 1024)
#define OUTBOX_FILE_CHECK_CLEAN_MAX (8 * 1024 * 1024)

enum {
        OUTBOX_OK = 0,
        OUTBOX_SALVAGED = 2, /* the file was damaged and set aside; readable rows were carried over */
        OUTBOX_NEWER = 3,    /* made by a later version; left alone */
};

typedef struct OutboxSalvage {
        char aside[256]; /* name of the file set aside */
        uint64_t rows;   /* carried over */
        uint64_t needed; /* bytes on the disk; set when it failed with -ENOSPC */
} OutboxSalvage;

/* Opens or creates DIRECTORY/outbox.sqlite for its owner, however long a check or a salvage takes: the service manager
 * hears of it meanwhile. *damaged*: damage was met in it, so it is salvaged in any case. *last_id*: ids that are known
 * to be used, 0 for a fresh start; rows to come get ids above it. OUTBOX_OK, OUTBOX_SALVAGED (*ret_salvage filled in),
 * OUTBOX_NEWER (nothing was opened), or an errno; -ENOSPC: an outbox that is there opens also on a full disk, for
 * reading at least. */
int outbox_file_open(const char *directory, int64_t last_id, bool damaged, Sql **ret, OutboxSalvage *ret_salvage);

/* The same while it is open as *old*, and what stands at its place is another file, or none: all that *old* has goes
 * into a new one, under the same ids, and with it what another file there has, which is set aside (*ret_salvage; ""
 * when there was none). *old* stays open and is the caller's. OUTBOX_OK, OUTBOX_NEWER, or an errno. */
int outbox_file_renew(const char *directory, int64_t last_id, Sql *old, Sql **ret, OutboxSalvage *ret_salvage);

/* ---- outbox-salvage.c ---- */

/* The rows that can still be read in a damaged outbox, carried over into a new one: from the front, from the back, and
 * id by id between damaged places; each once, also where the damage shows it twice.
 *
 * Makes the tables in *to*, an empty file or one that it has filled before, and copies what *from* (NULL: nothing can
 * be read at all) still tells; where *to* has an id already, the row gets another one. All of it is in the file itself
 * then, and synced. *last_id*: ids that are known to be used, 0 for a fresh start; rows to
 * come get ids above it. The service manager hears of it meanwhile. Errors are those of *to*, with -EUCLEAN for damage
 * to it; -ENOMEM and -EBUSY may be those of *from*. */
int outbox_salvage(Sql *from, Sql *to, int64_t last_id, uint64_t *ret_rows);
