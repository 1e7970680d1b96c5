/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Growing an array of plain values; and lists of texts, which end with NULL. */

#include <stddef.h>

/* Makes room for *wanted* items of *size* bytes each, counted from the start of the array. *items* is the address of
 * the array's pointer, *allocated* the number of items that fit into it now. An array that is too small grows at least
 * by half; its items are copied byte by byte, new ones are not cleared. -ENOMEM changes nothing. */
int array_reserve(void *items, size_t *allocated, size_t wanted, size_t size);

/* Copies a list; one that is NULL is an empty one. NULL without memory. */
char **array_copy_texts(const char *const *texts);
/* Frees a list and its texts; it may be NULL. */
char **array_free_texts(char **texts);
