/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is said of a time in which MongoDB cannot be written to: one line when it begins, one when it ends, one more
 * when it turns out that only a person can end it; and the words for the status. Pure but for the log: times come in.
 */

#include "config.h"
#include "lib/clock.h"
#include "subscribe/mongodb-client.h"

typedef struct MongodbOutage {
        char *subscription, *collection;
        MongodbFault fault;       /* the latest; NONE: none */
        usec_t since, since_wall; /* clock_now(), clock_wall(); 0: there is no outage; since_wall also until the first
                                     try failed */
        bool reported;            /* EVENT_SINK_DOWN was logged for it */
        bool reported_config;
        char error[MONGODB_DETAIL_SIZE];
        char detail[MONGODB_DETAIL_SIZE + 256]; /* for the status: what is wrong, and what to do; "" when nothing is */
} MongodbOutage;

/* Begins as an outage that nobody needs to hear of: nothing has been tried yet. -ENOMEM. */
int mongodb_outage_init(MongodbOutage *outage, const SubscriptionConfig *config, usec_t now);
void mongodb_outage_done(MongodbOutage *outage);

/* A try failed. */
void mongodb_outage_begin(MongodbOutage *outage, MongodbFault fault, const char *error, usec_t now, usec_t wall);
/* Says so, unless it was said; *delay*: until the next try. */
void mongodb_outage_report(MongodbOutage *outage, usec_t delay);
/* A try succeeded. Says so if the outage was reported. */
void mongodb_outage_end(MongodbOutage *outage, usec_t now);
