/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rows that can still be read in a damaged outbox, carried over into a new one: from the front, from the back, and
 * id by id between damaged places; each once, also where the damage shows it twice. */

#include <stdint.h>

#include "lib/sql.h"

/* Makes the tables in *to*, an empty file, and copies what *from* (NULL: nothing can be read at all) still tells. All
 * of it is in the file itself then, and synced. *last_id*: ids that are known to be used, 0 for a fresh start; rows to
 * come get ids above it. The service manager hears of it meanwhile. Errors are those of *to*, with -EUCLEAN for damage
 * to it; -ENOMEM and -EBUSY may be those of *from*. */
int outbox_salvage(Sql *from, Sql *to, int64_t last_id, uint64_t *ret_rows);
