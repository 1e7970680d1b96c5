/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The files of the page, compiled in: daemon/page/embed.py makes page-files.c of them. */

#include "lib/bytes.h"

typedef struct PageFile {
        const char *path; /* "/page.css"; that of page.html is "/" */
        const char *type; /* for Content-Type */
        const char *tag;  /* for ETag, with its quotes: of the content */
        Slice plain, gzip;
} PageFile;

/* A row without a path ends them. */
extern const PageFile page_files[];
