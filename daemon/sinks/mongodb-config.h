/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The section `mongodb` of a subscription. Its connection string is checked here, with line and column: the driver
 * warns of most mistakes only in its log, and repeated options are undefined. Source: MongoDB's connection string
 * specification, mongoc_uri_t(3). Pure. */

#include "config.h"

typedef struct MongodbConfig {
        char *uri; /* has no options that sensorqd sets itself */
        ConfigSecret password;
        char *database;
        char *collection;
        char *rejected_collection; /* default: COLLECTION_rejected */
        char **date_fields;        /* NULL at the end; never NULL itself */
        BackoffConfig backoff;     /* its place in 0.1.0; copied to the subscription */
} MongodbConfig;

extern const ConfigSection mongodb_config_section;
