/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads the configuration file: text, tree, structs, and the rules that span sections or look at the environment. */

#include "config.h"

/* What reading depends on, apart from the content of the file, and from $STATE_DIRECTORY and $PUBSUB_EMULATOR_HOST. */
typedef struct ConfigInput {
        const char *path; /* name of the file */
        const ConfigTypes *types;
} ConfigInput;

/* -EBADMSG when the file is wrong (also when it is larger than YAML_SIZE_MAX): *errors*, which must be empty before,
 * then has everything that a user must correct. Another errno when the file cannot be read (-EISDIR for a directory,
 * -EINVAL if not a regular file, else errors of open(2)) or memory is short; *errors* is then filled in as far as
 * possible. Does not read secrets. */
int config_load(const ConfigInput *input, Config **ret, ConfigErrors *errors);

/* Like config_load(), but from memory; input->path is used for messages and config->directory. */
int config_parse(const ConfigInput *input, const char *text, size_t size, Config **ret, ConfigErrors *errors);
