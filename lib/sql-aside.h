/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A damaged database is set aside: never deleted, since its rows may be of use to somebody. */

/* Makes a name for the file at *path*, which no file has: PATH.damaged-YYYYMMDDTHHMMSSZ, and a number if that is taken.
 * malloc'ed. -ENOMEM. */
int sql_aside_name(const char *path, char **ret);

enum { SQL_ASIDE_NOTHING = 1 };
/* Moves the file at *path* to *to*, with its log. Nobody may have it open. What an earlier file left under these names
 * is replaced. This is on the disk when sql_open() has made a new file there, or when the directory is synced.
 * SQL_ASIDE_NOTHING: there was no file, at most its log; -ENOMEM; errors of rename(2). */
int sql_aside_move(const char *path, const char *to);
