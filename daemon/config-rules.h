/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rules that span keys or look at the environment, after every key is right by itself; completes what follows from
 * other values: full names, default urls, the rejected collection, the endpoint. */

#include "config-reader.h"

typedef const char *(*ConfigGetenv)(const char *name);

/* -EBADMSG with the reader's error filled in, or -ENOMEM. */
int config_rules_apply(const ConfigReader *reader, const YamlNode *root, ConfigGetenv env, Config *config);
