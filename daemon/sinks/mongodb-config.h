/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The section `mongodb` of a subscription. Its connection string is checked as text, with line and column: the driver
 * warns about most slips only in its log, and leaves repeated options undefined. Source: MongoDB's connection string
 * specification, mongoc_uri_t(3). Pure. */

#include "config.h"

typedef struct MongodbConfig {
        char *uri; /* sets nothing that sensorqd sets itself */
        ConfigSecret password;
        char *database;
        char *collection;
        char *rejected_collection; /* filled in: COLLECTION_rejected */
        char **date_fields;        /* NULL at the end; never NULL itself */
        BackoffConfig backoff;     /* where it stood in 0.1.0; handed to the subscription */
} MongodbConfig;

extern const ConfigSection mongodb_config_section;
