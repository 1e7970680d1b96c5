/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Pure: the body of a push, as JSON documents one behind the other. */

#include <stdbool.h>

#include "lib/bytes.h"

/* Takes the next line of NDJSON that is not blank off *rest*; of other bodies the whole. *number*, 0 to begin with,
 * counts the lines, blank ones too. False at the end. */
bool http_push_body_next(Slice *rest, bool lines, size_t *number, Slice *ret);
/* Whether each of them is JSON. False: *words* say which one is not, and where. */
bool http_push_body_check(Slice body, bool lines, char *words, size_t size);
