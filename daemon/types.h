/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The types that a configuration can name: one line each in types.c. */

#include "publish/source.h"

/* The type of source of that name, or NULL. */
const SourceType *types_source(const char *name);
