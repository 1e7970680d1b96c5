/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The section `file` of a subscription. */

#include "config.h"

typedef struct FileConfig {
        char *directory; /* relative: below state_dir */
        uint64_t max_size;
        int compress; /* 0: gzip, 1: none */
        usec_t keep;  /* 0: for ever */
} FileConfig;

extern const ConfigSection file_config_section;
