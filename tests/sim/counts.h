/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How often something was seen, by its name, over all seeds of a process. Not in the arena, which each seed empties,
 * but shared as well. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Once, before the first fork. */
void counts_open(void);
void counts_add(const char *name);
void counts_add_at(const char *what, const char *name);
void counts_add_n(const char *name, uint64_t n);
uint64_t counts_of(const char *name);
/* "COUNT NAME N" lines, in alphabetical order. */
void counts_print(FILE *stream);
