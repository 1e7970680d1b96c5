/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Splits the body of a push into JSON documents, and makes one of a form. Pure. */

#include <stdbool.h>

#include "publish/shape.h"

/* With *lines*, takes the next line of NDJSON that is not blank from *rest*; else the whole body. *number* must be 0 at
 * first and counts the lines, blank ones too. False at the end. */
bool http_push_body_next(Slice *rest, bool lines, size_t *number, Slice *ret);
/* Returns 0 if each document is JSON, as shape_text_read() reads it, and has not too many items; else the HTTP status
 * that refuses the whole body, and *words* for the answer. */
int http_push_body_check(const ShapeConfig *reading, Slice body, bool lines, char *words, size_t size);
/* Names by which a URL shows the token, the second in Weather Underground's protocol. A form's fields of these names,
 * in any case, are left out. */
#define HTTP_PUSH_TOKEN "token"
#define HTTP_PUSH_PASSWORD "PASSWORD"

/* Appends a JSON object of a form (application/x-www-form-urlencoded) to *ret*, which is empty; its values are texts.
 * Of a form without fields nothing. False: *words* say which field is wrong. Without memory *ret* has the error. */
bool http_push_body_form(Slice form, Bytes *ret, char *words, size_t size);
