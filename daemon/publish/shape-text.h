/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads texts as programs and devices write them: nearly JSON, numbers as text, times. Pure. */

#include "lib/bytes.h"

typedef enum ShapeTime {
        SHAPE_RFC3339,
        SHAPE_UNIX,
        SHAPE_UNIX_MS,
        SHAPE_LOCAL, /* without an offset: in the machine's zone */
} ShapeTime;

#define SHAPE_DEPTH_MAX 80  /* a stored document must not be nested deeper than 90 */
#define SHAPE_BARE_MAX 1024 /* bytes of a text that is not JSON */

/* Makes one strict JSON value of *text*. JSON is kept as it is. A byte order mark before it and NUL bytes after it are
 * removed (programs in C often send strlen + 1); NaN and Infinity, which JSON does not have, become null. With *bare*,
 * any other text that does not begin like a part of JSON becomes a JSON string (`ON`). *ret* points into *text* or
 * *made*. 0; 1 with *why* when this is not possible; -ENOMEM. */
int shape_text_read(Slice text, bool bare, Bytes *made, Slice *ret, char why[static 100]);

/* True when each text in *json*, one JSON value, has a UTF-8 form. A lone surrogate has none, and no sink could store
 * it. 1, 0, or -ENOMEM. */
int shape_text_has_form(Slice json);

/* Writes the number in *text* as JSON: `25`, `+07.5`, `1,765,372` if *thousands* is ",". 1; 0 when it is not a number;
 * -ENOMEM. */
int shape_number(const char *text, const char *thousands, Bytes *ret);

/* Reads the time in *text* in *format*; *ret_msec* is in milliseconds since the epoch. 1; 0 when it is not such a time,
 * and for 1970, which a clock shows that was never set, and years above 9999; -ENOMEM. */
int shape_time(const char *text, ShapeTime format, int64_t *ret_msec);
