/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A message as the JSON text of the document that MongoDB would get: a line of a file sink, an element of a webhook's
 * array. The same rules decide what can be stored, and under which names. Pure. */

#include "sinks/document.h"

/* Appends the document to *ret*, without blanks or a line break: `_id` first, every text as it came (dates, too: the
 * rules' date_fields are passed over), numbers as short as they can be written to be read as the same, `stored_at` and
 * `pubsub.publish_time` RFC 3339 UTC with milliseconds. *document* is scratch space, initialised by the caller and used
 * again for the next message; it holds the document afterwards. DOCUMENT_OK, or a reason (> 0) with *detail*, or
 * -ENOMEM; *ret* is as it was then. */
int document_json(const DocumentInput *input, bson_t *document, Bytes *ret, char detail[static DOCUMENT_DETAIL_SIZE]);

/* The document's `pubsub.sha256` (see document.h), borrowed; "" when it has none. */
const char *document_json_hash(const bson_t *document);
