/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whether a subscription works: what fails, since when, and what was said about it. One entry when it starts to fail,
 * one more if a passing failure turns out to need a human, one when all is well again; never one for each try. */

#include "pubsub/client.h"

typedef enum HealthCause { HEALTH_PULL, HEALTH_ACK, HEALTH_LEASE, HEALTH_SETTINGS } HealthCause;
#define HEALTH_CAUSES (HEALTH_SETTINGS + 1)

typedef struct Health {
        const char *subscription; /* borrowed */
        bool failing[HEALTH_CAUSES];
        bool said_passing, said_lasting;
        usec_t since, since_wall; /* clock_now() and clock_wall(); 0 while well */
        char detail[CLIENT_DETAIL_MAX + 64];
} Health;

typedef struct HealthFailure {
        ClientOutcome outcome;
        int http_status; /* 0: none */
        const char *detail;
        usec_t retry_in; /* 0: not known */
} HealthFailure;

void health_fail(Health *health, HealthCause cause, const HealthFailure *failure);
void health_mend(Health *health, HealthCause cause);
bool health_is_failing(const Health *health);
/* Whether waiting helps against *outcome*; otherwise somebody has to act. */
bool health_is_passing(ClientOutcome outcome);
