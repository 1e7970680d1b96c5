/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads the configuration file: text, tree, structs, and the rules that span sections or look at the environment. */

#include "config.h"

/* What the reading depends on, beside the file. */
typedef struct ConfigInput {
        const char *path; /* of the file */
        const ConfigTypes *types;
        const char *(*getenv)(const char *name); /* NULL: the process's; $STATE_DIRECTORY, $PUBSUB_EMULATOR_HOST */
} ConfigInput;

/* -EBADMSG with all that is wrong in *errors*, which is empty before, for what a user can mend in the file (larger than
 * YAML_SIZE_MAX included); another errno when it cannot be read (-EISDIR a directory, -EINVAL no regular file, else as
 * open(2)) or memory is short, *errors* filled in as far as possible. Opens no secret. */
int config_load(const ConfigInput *input, Config **ret, ConfigErrors *errors);

/* The same from memory; input->path is for messages and config->directory. */
int config_parse(const ConfigInput *input, const char *text, size_t size, Config **ret, ConfigErrors *errors);
