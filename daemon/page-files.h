/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The files of the page, compiled in, compressed: daemon/page/embed.py generates page-files.c. */

#include "lib/bytes.h"

typedef struct PageFile {
        const char *path; /* "/page.css"; "/" for page.html */
        const char *type; /* Content-Type */
        const char *tag;  /* ETag with its quotes: a hash of the content */
        Slice gzip;
} PageFile;

/* Ends with a row whose path is NULL. */
extern const PageFile page_files[];
