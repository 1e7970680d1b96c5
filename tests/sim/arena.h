/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Memory that outlives a daemon: shared by the program and all its forks, mapped at one address, so that pointers into
 * it hold in each of them. What the simulated remotes and disks know is here; what a daemon knows is in malloc's memory
 * and goes with its process. Never returns NULL: a simulation without memory ends. */

#include <stddef.h>

/* Maps *size* bytes; before the first fork. Without it the functions below are malloc's. */
void arena_open(size_t size);
/* Forgets everything that was allocated. */
void arena_reset(void);
/* Bytes given out so far. */
size_t arena_used(void);

/* Zeroed. */
void *arena_alloc(size_t size);
/* What is added may hold anything. */
void *arena_resize(void *pointer, size_t size);
/* What is added is zeroed, and not touched for it where it is much. *from*: the size before. */
void *arena_grow(void *pointer, size_t from, size_t to);
void *arena_free(void *pointer);
char *arena_text(const char *text);
void *arena_copy(const void *data, size_t size);
