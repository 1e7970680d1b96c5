/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The types that a configuration can name; each has one line in types.c. */

#include "publish/source.h"
#include "subscribe/sink.h"

/* Find a type by its name; NULL: there is none. */
const SourceType *types_source(const char *name);
const SinkType *types_sink(const char *name);

/* The rows of the types, for config_load(). */
extern const ConfigTypes types_of_config;
