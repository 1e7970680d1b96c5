/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Puts what `init` made on the disk: secrets first, each whole or not at all, and the configuration last. What ends the
 * process in between, be it SIGKILL or the power, leaves secrets that the next `init` finds, and no configuration. */

#include "verbs/init-draft.h"

/* Whether the configuration may be written: FREE, or EXISTS, when there is one that somebody wrote. The example that a
 * fresh machine has, unchanged, is nobody's. -EACCES, -EROFS and such: its directory cannot be written to. */
enum { INIT_WRITE_FREE = 0, INIT_WRITE_EXISTS = 1 };
int init_write_look(const char *path);

/* Writes it all, and says each file on standard output; a file that is there is never replaced (but for that example).
 * Signals wait until it is done. FREE or EXISTS as above (it came meanwhile; nothing else was touched but secrets),
 * errno as open(2), write(2), link(2). */
int init_write_all(const InitDraft *draft, const Bytes *text);
