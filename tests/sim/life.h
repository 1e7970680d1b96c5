/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A run: one daemon after the other in the world of one seed, each a fork that ends where it dies, until the weather is
 * over and all is stored. */

#include "world.h"

typedef struct RunOptions {
        usec_t hours; /* of weather, in microseconds */
        uint64_t fault_limit;
        bool tracing;
        bool home;             /* three devices, once a minute, into MongoDB; the weather is as drawn */
        const char *directory; /* for the daemon's files */
} RunOptions;

typedef struct RunResult {
        bool failed;
        char failure[2048];
        uint64_t digest, faults, steps;
        usec_t span; /* of simulated time */
} RunResult;

void run_seed(uint64_t seed, const RunOptions *options, RunResult *ret);
