/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Delays in microseconds and their percentiles. The publisher puts the time of sending (CLOCK_REALTIME, 16 digits) into
 * the attribute `sent_usec`, which a stored document carries too: so whoever sees an insert go by can tell how old its
 * readings are. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LATENCY_ATTRIBUTE "sent_usec"
#define LATENCY_DIGITS 16

typedef struct Latency {
        uint64_t *samples;
        size_t n, allocated;
} Latency;

void latency_add(Latency *l, uint64_t usec);
/* Writes `"latency": {"n":.., "p50_ms":.., "p90_ms":.., "p99_ms":.., "max_ms":..}`. Sorts the samples. */
void latency_print(Latency *l, FILE *out);
/* The time that a BSON document carries in a string field LATENCY_ATTRIBUTE at any depth, or 0. */
uint64_t latency_sent(const uint8_t *document, size_t size);
