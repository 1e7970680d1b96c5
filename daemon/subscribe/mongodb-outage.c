/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/mongodb-outage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/log.h"

int mongodb_outage_init(MongodbOutage *outage, const SubscriptionConfig *config, usec_t now) {
        *outage = (MongodbOutage){ .since = now };
        outage->subscription = strdup(config->subscription);
        if (asprintf(&outage->collection, "%s.%s", config->mongodb.database, config->mongodb.collection) < 0)
                outage->collection = NULL;
        return outage->subscription && outage->collection ? 0 : -ENOMEM;
}

void mongodb_outage_done(MongodbOutage *outage) {
        free(outage->collection);
        free(outage->subscription);
        *outage = (MongodbOutage){};
}

void mongodb_outage_begin(MongodbOutage *outage, MongodbFault fault, const char *error, usec_t now, usec_t wall) {
        if (outage->since == 0)
                outage->since = now;
        if (outage->since_wall == 0)
                outage->since_wall = wall;
        outage->fault = fault;
        (void) snprintf(outage->error, sizeof(outage->error), "%s", error);
        (void) snprintf(outage->detail, sizeof(outage->detail), "%s: %s; %s", mongodb_fault_name(fault), error,
                mongodb_fault_remedy(fault));
}

static const char *fault_words(MongodbFault fault) {
        switch (fault) {
        case MONGODB_FAULT_UNREACHABLE:
                return "cannot be reached";
        case MONGODB_FAULT_BUSY:
                return "cannot write now";
        case MONGODB_FAULT_WRITE_CONCERN:
                return "cannot make writes durable";
        case MONGODB_FAULT_DISK_FULL:
                return "has no disk space left";
        case MONGODB_FAULT_LOGIN:
                return "refuses the login";
        case MONGODB_FAULT_FORBIDDEN:
                return "does not let the user do what is needed";
        case MONGODB_FAULT_SETTINGS:
                return "refuses to write, and only a person can change that";
        case MONGODB_FAULT_LOCAL:
                return "is not written to, because sensorqd is out of memory";
        default:
                return "fails in a way that is not known";
        }
}

static void log_down(const MongodbOutage *outage, const char *event, usec_t delay) {
        char seconds[24];

        (void) snprintf(seconds, sizeof(seconds), "%.1f", (double) delay / (double) USEC_PER_SEC);
        log_event(mongodb_fault_is_config(outage->fault) ? LOG_ERR : LOG_WARNING, event,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, outage->subscription }, { FIELD_COLLECTION, outage->collection },
                        { FIELD_REASON, mongodb_fault_name(outage->fault) }, { FIELD_ERROR, outage->error },
                        { FIELD_RETRY_SEC, seconds }),
                "MongoDB for %s %s: %s. No message is pulled meanwhile and none is lost; sensorqd keeps trying. To do: "
                "%s",
                outage->subscription, fault_words(outage->fault), outage->error, mongodb_fault_remedy(outage->fault));
}

void mongodb_outage_report(MongodbOutage *outage, usec_t delay) {
        bool config = mongodb_fault_is_config(outage->fault);

        if (!outage->reported)
                log_down(outage, EVENT_SINK_DOWN, delay);
        else if (config && !outage->reported_config)
                log_down(outage, NULL, delay);
        outage->reported = true;
        outage->reported_config |= config;
}

void mongodb_outage_end(MongodbOutage *outage, usec_t now) {
        char span[64];

        if (outage->since > 0 && outage->reported) {
                (void) clock_format_span(now - outage->since, span, sizeof(span));
                log_event(LOG_NOTICE, EVENT_SINK_UP,
                        LOG_FIELDS(
                                { FIELD_SUBSCRIPTION, outage->subscription }, { FIELD_COLLECTION, outage->collection }),
                        "MongoDB for %s is back after %s; pulling goes on", outage->subscription, span);
        }
        outage->fault = MONGODB_FAULT_NONE;
        outage->since = outage->since_wall = 0;
        outage->reported = outage->reported_config = false;
        outage->error[0] = outage->detail[0] = '\0';
}
