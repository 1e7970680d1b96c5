/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Turns a message's data into JSON text, for all sinks: data that begins with gzip's magic is unpacked; a byte order
 * mark before and NULs after the text are skipped (programs in C may publish strlen() + 1 bytes); and with `payload:
 * python` the output of Python's `str()` of a dict becomes JSON. Pure. */

#include "lib/bytes.h"

/* Of unpacked gzip: more cannot become a document, and a small message may unpack to a thousand times its size. */
#define PAYLOAD_GZIP_MAX (16 * 1024 * 1024)
#define PAYLOAD_DEPTH_MAX 100 /* nested brackets in Python text; no sink accepts so many */

typedef enum PayloadFormat {
        PAYLOAD_JSON = 0,
        PAYLOAD_PYTHON = 1, /* JSON is accepted as well; other text must be as Python's repr() writes it */
} PayloadFormat;

enum {
        PAYLOAD_OK = 0,        /* the text may still be invalid JSON */
        PAYLOAD_BAD = 1,       /* damaged gzip, or neither JSON nor Python */
        PAYLOAD_NOT_UTF8 = 2,  /* a Python text with half a surrogate pair */
        PAYLOAD_TOO_LARGE = 3, /* over PAYLOAD_GZIP_MAX */
        PAYLOAD_TOO_DEEP = 4,
};

/* Begin with `Payload p = {};` and call payload_done() in any case. */
typedef struct Payload {
        Slice data;       /* as published, but unpacked; hashes are made of this */
        Slice text;       /* JSON, or what a sink will refuse as JSON; points into the data or a buffer below */
        char problem[96]; /* unless OK: what is wrong and where, printable */
        Bytes content, json;
} Payload;

/* *data* must outlive *ret*. Returns PAYLOAD_* or -ENOMEM. */
int payload_open(Slice data, PayloadFormat format, Payload *ret);
void payload_done(Payload *payload);

/* ---- Python text ---- */

typedef struct PayloadError {
        size_t place;     /* byte offset in the text */
        const char *what; /* "expected a value", ... */
} PayloadError;

/* Appends *text*, one value as Python's repr() writes it, to *json* as JSON: dict, list, tuple (an array), str, int,
 * float, True, False, None, with any blanks between them. Keys that are numbers, True, False or None become text, as
 * json.dumps() makes them; numbers keep their digits. Everything else is refused: bytes, sets, nan and inf, and what
 * Python reads but repr() does not write (r'', 0x1f, 1_000, comments). Equal keys are all kept. -EBADMSG; -EILSEQ for
 * text that is not UTF-8 or has a lone surrogate, which has no UTF-8 form (both fill in *ret*); -E2BIG beyond
 * *max_depth* brackets; -ENOMEM. Source: The Python Language Reference, chapter 2 (lexical analysis), and repr() of
 * CPython. */
int payload_from_python(Slice text, unsigned max_depth, Bytes *json, PayloadError *ret);
