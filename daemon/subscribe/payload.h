/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The JSON text that a message's data stands for, before any sink looks at it: gzip is undone where the data begins
 * with its magic, a byte order mark before and NULs behind the text are passed over (programs in C publish strlen() +
 * 1), and where the subscription says so the text that `str()` of a Python dict gave is made JSON. Pure. */

#include "lib/bytes.h"
#include "lib/cleanup.h"

/* Content of gzip: more cannot become a document, and a small message may hold a thousand times its size. */
#define PAYLOAD_GZIP_MAX (16 * 1024 * 1024)
#define PAYLOAD_DEPTH_MAX 100 /* brackets of Python; no sink takes as many */

typedef enum PayloadFormat {
        PAYLOAD_JSON = 0,
        PAYLOAD_PYTHON = 1, /* what is JSON counts as JSON, the rest must be one literal of Python (lib/python.h) */
} PayloadFormat;

enum {
        PAYLOAD_OK = 0,        /* which does not say that it is JSON */
        PAYLOAD_BAD = 1,       /* gzip that is damaged, or neither JSON nor Python */
        PAYLOAD_NOT_UTF8 = 2,  /* Python's text with half a surrogate pair */
        PAYLOAD_TOO_LARGE = 3, /* over PAYLOAD_GZIP_MAX */
        PAYLOAD_TOO_DEEP = 4,
};

/* `Payload p = {};`, and payload_done() in any case. */
typedef struct Payload {
        Slice data;       /* as it was published, gzip undone: what a hash is made of */
        Slice text;       /* JSON, or what is to be refused as JSON; in the data or in a buffer below */
        char problem[96]; /* of any outcome but OK: what and where, printable */
        Bytes content, json;
} Payload;

/* *data* must outlive *ret*. PAYLOAD_*, -ENOMEM. */
int payload_open(Slice data, PayloadFormat format, Payload *ret);
void payload_done(Payload *payload);
