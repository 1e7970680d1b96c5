/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/health.h"

#include <stdio.h>

#include "events.h"
#include "lib/log.h"

/* What does not work, and what that means for messages. */
static const struct {
        const char *what, *meanwhile;
} causes[HEALTH_CAUSES] = {
        [HEALTH_PULL] = { "cannot pull", "messages stay in Pub/Sub" },
        [HEALTH_ACK] = { "cannot acknowledge", "what is stored will be delivered again, and recognised" },
        [HEALTH_LEASE] = { "cannot extend leases", "messages that wait may be delivered again, and are recognised" },
        [HEALTH_SETTINGS] = { "cannot be read",
                "publishing pauses: a topic without its subscription discards what it is sent" },
};

bool health_is_passing(ClientOutcome outcome) {
        return outcome == CLIENT_RETRY || outcome == CLIENT_UNSURE;
}

bool health_is_failing(const Health *health) {
        for (size_t i = 0; i < HEALTH_CAUSES; i++)
                if (health->failing[i])
                        return true;
        return false;
}

static void say(const Health *health, HealthCause cause, const HealthFailure *failure) {
        char status[16], retry[24];

        (void) snprintf(status, sizeof status, "%d", failure->http_status);
        (void) snprintf(retry, sizeof retry, "%" PRIu64, (failure->retry_in + USEC_PER_SEC - 1) / USEC_PER_SEC);
        log_event(health_is_passing(failure->outcome) ? LOG_WARNING : LOG_ERR, EVENT_SUBSCRIPTION_FAILING,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, health->subscription }, { FIELD_ERROR, failure->detail },
                        { FIELD_STATUS, failure->http_status > 0 ? status : NULL },
                        { FIELD_RETRY_SEC, failure->retry_in > 0 ? retry : NULL }),
                "%s: %s: %s. sensorqd keeps trying; %s", health->subscription, causes[cause].what, failure->detail,
                causes[cause].meanwhile);
}

void health_fail(Health *health, HealthCause cause, const HealthFailure *failure) {
        bool *said = health_is_passing(failure->outcome) ? &health->said_passing : &health->said_lasting;

        if (!health_is_failing(health)) {
                health->since = clock_now();
                health->since_wall = clock_wall();
        }
        health->failing[cause] = true;
        (void) snprintf(health->detail, sizeof health->detail, "%s: %s", causes[cause].what, failure->detail);
        if (*said || health->said_lasting)
                return;
        *said = true;
        say(health, cause, failure);
}

void health_mend(Health *health, HealthCause cause) {
        char span[32];

        if (!health->failing[cause])
                return;
        health->failing[cause] = false;
        if (health_is_failing(health))
                return;
        log_event(LOG_NOTICE, EVENT_SUBSCRIPTION_RECOVERED, LOG_FIELDS({ FIELD_SUBSCRIPTION, health->subscription }),
                "%s: works again after %s", health->subscription,
                clock_format_span(clock_now() - health->since, span, sizeof span));
        *health = (Health){ .subscription = health->subscription };
}
