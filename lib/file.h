/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Small regular files, read and replaced as a whole. */

#include <sys/types.h>

#include "bytes.h"

/* Reads the first *most* bytes of the file into *ret*, which is empty; its memory does not move, so no part of a secret
 * is left behind. Does not wait at a FIFO. -EISDIR; -EINVAL for anything else that is not a regular file; errors of
 * open(2) and read(2); -ENOMEM. */
int file_load(const char *path, size_t most, Bytes *ret);

/* Like file_load(), for a file that file_replace() made. Does not follow a link: where root reads the directory of a
 * service's user, that user may have made the link. -ELOOP for a link. */
int file_load_own(const char *path, size_t most, Bytes *ret);

/* Reads until *size* bytes are there or the file ends; *ret_n* gets the number of bytes that were read. */
int file_read(int fd, void *buffer, size_t size, size_t *ret_n);

/* Writes all of *data*, with as many calls as needed. Errors of write(2): a part may be written then. */
int file_write_all(int fd, const void *data, size_t size);

/* Replaces the file DIRECTORY/NAME by these bytes; only its owner may read it. Readers see the whole old or the whole
 * new content, also after a power cut; the new content is on the disk on return. On an error the old file stays, or the
 * new one may not be durable yet. Errors of open(2), write(2), fsync(2), rename(2). */
int file_replace(const char *directory, const char *name, const void *data, size_t size);

/* The same for a file that everybody may read and that is only about this moment: it is not synced. */
int file_show(const char *directory, const char *name, const void *data, size_t size);

/* True if two paths, each of which may be a link, lead to the same file or directory; false if one leads nowhere. */
bool file_is_same(const char *a, const char *b);

/* Sets the mode of a new file or directory, whatever the umask is, and its owner as file_give() does. */
void file_settle(int fd, mode_t mode, int directory_fd);

/* If root made this file in the directory of another user, gives it to that user. Root may run a verb or try the daemon
 * by hand; the files that are made then must stay usable for the service. */
void file_give(int fd, const char *path);

/* Root may come by directories of other users, or which they may write to: they may have put links to root's files
 * there. So root follows links only where all directories above them are root's alone, or sticky as /tmp is. */
enum { FILE_OURS, FILE_FOREIGN };
/* FILE_FOREIGN: we are root, and *path* leads through such a directory. *ret* gets *path* with the links before that
 * directory resolved; its last name, which need not be there, must not be followed. -ELOOP: another name after that
 * directory is a link; errors of open(2). */
int file_find(const char *path, char **ret);

enum { FILE_OPENED, FILE_MADE };
/* Opens a directory for reading. If it is not there, it is made with *mode*, cut by the umask; not so those above it.
 * *path* has no slash at its end, and no two in a row. -ELOOP: a link that root does not follow; errors of mkdir(2) and
 * open(2). */
int file_open_directory(const char *path, mode_t mode, int *ret_fd);

/* Returns the directory that *path* is in: "/etc", "/", or "." for a mere name. malloc'ed; NULL: no memory. */
char *file_directory(const char *path);
