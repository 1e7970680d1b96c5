/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A model of a webhook's server, which knows a document by its `_id` and a request by its Idempotency-Key. */

#include "exchange.h"

void hook_serve(Exchange *x);
