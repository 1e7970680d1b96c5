/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Small regular files, read as a whole. */

#include <stddef.h>

/* Opens *path* for reading; the caller closes *ret_fd. A FIFO does not hang. -EISDIR; -EINVAL for what else is no
 * regular file; as open(2).
 */
int file_open(const char *path, int *ret_fd);

/* Reads until *size* bytes are there or the file ends; *ret_n of them came. */
int file_read(int fd, void *buffer, size_t size, size_t *ret_n);
