/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Walks a YAML tree along the rows and fills in the structs; strict. What it does not understand is an error, and it
 * reads on, so that all errors of a file are told at once. */

#include "config-place.h"

/* Reads the whole file into the zeroed struct of the root section at *base*, whose content is config_table_done()'s to
 * free in any case. -EBADMSG with the errors filled in, or -ENOMEM. */
int config_reader_read(const ConfigReader *reader, const YamlNode *root, void *base);
