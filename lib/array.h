/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Growing an array of plain values. */

#include <stddef.h>

/* Makes room for *wanted* items of *size* bytes in all. *items* is the address of the array's pointer, *allocated* the
 * number of items that fit into it now. Grows by half at least; items move bytewise, new ones are not cleared. -ENOMEM
 * leaves everything as it was. */
int array_reserve(void *items, size_t *allocated, size_t wanted, size_t size);
