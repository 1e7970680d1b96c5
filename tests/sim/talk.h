/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the daemon says in its log. */

#include <stddef.h>

void talk_new(void);
/* A text for others, with no secret in it: P10. */
void talk_check_secrets(const char *where, const char *text, size_t size);
/* A daemon starts: nothing was said yet. */
void talk_begin(void);
/* Other stages may take over from those that spoke: for a while, what those said needs no end, and an end no beginning.
 */
void talk_reloaded(void);
/* How many failures were said that are not over. */
unsigned talk_open(void);
/* All is well: every failure that was said must be over, and said to be. */
void talk_check(void);
