/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One value of the file, read along its row. */

#include "config-place.h"
#include "config-table.h"

typedef struct ConfigValue {
        const ConfigPlace *place; /* the section that it stands in */
        const ConfigRow *row;
        const YamlNode *node;
} ConfigValue;

/* Checks a scalar, or a list of them, and stores it at *place*. 0, -EBADMSG with the error noted, -ENOMEM. */
int config_value_read(const ConfigValue *value, void *place);

/* "is a list; allowed: ...". Both return as config_place_fail(). */
int config_value_fail_kind(const ConfigValue *value);
int config_value_fail(const ConfigValue *value, const char *format, ...) _printf_(2, 3);

/* What may be written there, in words. Returns *buffer*, or a text that stays. */
const char *config_value_allowed(const ConfigRow *row, char *buffer, size_t size);
