/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The types that a configuration can name: one line each in types.c. */

#include "publish/source.h"
#include "subscribe/sink.h"

/* The type of that name, or NULL. */
const SourceType *types_source(const char *name);
const SinkType *types_sink(const char *name);

/* The rows that they bring, for config_load(). */
extern const ConfigTypes types_of_config;
