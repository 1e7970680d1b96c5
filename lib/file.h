/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Small regular files, read and replaced as a whole. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Opens *path* for reading; the caller closes *ret_fd. A FIFO does not hang. -EISDIR; -EINVAL for what else is no
 * regular file; as open(2).
 */
int file_open(const char *path, int *ret_fd);

/* The same of what file_replace() made: no link is followed, which a service's user may have put there for root.
 * -ELOOP. */
int file_open_own(const char *path, int *ret_fd);

/* Reads until *size* bytes are there or the file ends; *ret_n of them came. */
int file_read(int fd, void *buffer, size_t size, size_t *ret_n);

/* Writes all of it, however many calls that takes. As write(2): some of it may be there then. */
int file_write_all(int fd, const void *data, size_t size);

/* Makes DIRECTORY/NAME hold these bytes, readable for its owner only: a reader, and the next start after a power cut,
 * finds the old content or the new one, whole. Durable on return. The old file stays when it fails: as open(2),
 * write(2), fsync(2), rename(2). */
int file_replace(const char *directory, const char *name, const void *data, size_t size);

/* Gives a new file or directory this mode, whatever the umask, and file_give()s it. */
void file_settle(int fd, mode_t mode, int directory_fd);

/* Where root made this file in a directory of another user, it is that one's from now on: what root leaves beside a
 * service, by a verb or a daemon that was tried by hand, must not shut the service out. */
void file_give(int fd, const char *path);

/* Whether we are root and *path* is in a directory of another user: who may have put anything there, and a link to a
 * file of root's is not to be followed. */
bool file_is_foreign(const char *path);
