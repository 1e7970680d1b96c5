/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The section `mongodb` of a subscription. Its connection string is checked here, with line and column: what MongoDB's
 * driver refuses, and what it takes although it is wrong (mongoc_uri_t(3)): it ignores options that it does not know,
 * and repeated ones are undefined. */

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

/* From now on, what the driver logs goes to our log, at level debug. */
void mongodb_config_hear_driver(void);
