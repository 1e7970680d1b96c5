/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Texts as programs and devices write them: what is nearly JSON, numbers as text, times. Pure. */

#include "lib/bytes.h"

typedef enum ShapeTime {
        SHAPE_RFC3339,
        SHAPE_UNIX,
        SHAPE_UNIX_MS,
        SHAPE_LOCAL, /* no offset: the machine's zone */
} ShapeTime;

#define SHAPE_DEPTH_MAX 80  /* what is stored must not be nested deeper than 90 */
#define SHAPE_BARE_MAX 1024 /* bytes of a text that is no JSON */

/* Makes one strict JSON value of *text*: as it is where it is one; without a byte order mark before it and NUL bytes
 * behind it (programs in C send strlen + 1); NaN and Infinity, which JSON has not, become null; anything else that does
 * not begin like an object or a list is a text by itself (`ON`). *ret* lies in *text* or in *made*. 0; 1 with *why*
 * when none of that helps; -ENOMEM. */
int shape_text_read(Slice text, Bytes *made, Slice *ret, char why[static 100]);

/* Whether each text in *json*, one JSON value, has a UTF-8 form: a lone surrogate has none, and no sink could store it.
 * 1, 0, or -ENOMEM. */
int shape_text_has_form(Slice json);

/* The number that *text* says, as JSON writes it: `25`, `+07.5`, `1,765,372` where *thousands* is ",". 1; 0 for
 * anything else; -ENOMEM. */
int shape_number(const char *text, const char *thousands, Bytes *ret);

/* The time that *text* says in *format*, in milliseconds since the epoch. 1; 0 for anything else, for 1970, which a
 * clock shows that was never set, and for years beyond 9999; -ENOMEM. */
int shape_time(const char *text, ShapeTime format, int64_t *ret_msec);
