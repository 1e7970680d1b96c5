/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

/* A BSON string element: type, name, NUL, little-endian length with its NUL. */
#define NEEDLE "\x02" LATENCY_ATTRIBUTE "\0\x11\0\0"
#define NEEDLE_SIZE (sizeof NEEDLE) /* with the last zero byte, which belongs to the length */

void latency_add(Latency *l, uint64_t usec) {
        if (l->n == l->allocated) {
                l->allocated = l->allocated ? l->allocated * 2 : 4096;
                l->samples = reallocarray(l->samples, l->allocated, sizeof *l->samples);
                if (!l->samples)
                        err(EXIT_FAILURE, "reallocarray");
        }
        l->samples[l->n++] = usec;
}

static int compare(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static double percentile_ms(const Latency *l, unsigned percent) {
        size_t i = l->n * percent / 100;

        return l->n == 0 ? 0 : (double) l->samples[i < l->n ? i : l->n - 1] / 1000.0;
}

void latency_print(Latency *l, FILE *out) {
        if (l->n > 0)
                qsort(l->samples, l->n, sizeof *l->samples, compare);
        (void) fprintf(out,
                "\"latency\": {\"n\": %zu, \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}",
                l->n, percentile_ms(l, 50), percentile_ms(l, 90), percentile_ms(l, 99), percentile_ms(l, 100));
}

uint64_t latency_sent(const uint8_t *document, size_t size) {
        const uint8_t *found = memmem(document, size, NEEDLE, NEEDLE_SIZE);
        char digits[LATENCY_DIGITS + 1] = "";

        if (!found || found + NEEDLE_SIZE + LATENCY_DIGITS > document + size)
                return 0;
        memcpy(digits, found + NEEDLE_SIZE, LATENCY_DIGITS);
        return strtoull(digits, NULL, 10);
}
