/* SPDX-License-Identifier: Apache-2.0 */
#include "crashpoint.h"

#ifdef SENSORQD_CRASHPOINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define CRASHPOINTS_MAX 16

/* The n of entry "name" or "name:n", or 0 when the entry is for another place. */
static unsigned long crashpoint_match(const char *entry, size_t size, const char *name) {
        size_t length = strlen(name);

        if (size < length || memcmp(entry, name, length) != 0)
                return 0;
        if (size == length)
                return 1;
        return entry[length] == ':' ? strtoul(entry + length + 1, NULL, 10) : 0;
}

void crashpoint_pass(const char *name) {
        static atomic_ulong
                passed[CRASHPOINTS_MAX]; /* by place in the variable; a test build's only state besides the log level */
        const char *entry = getenv("SENSORQD_CRASHPOINT");

        for (size_t i = 0; entry && i < ELEMENTSOF(passed); i++) {
                size_t size = strcspn(entry, ",");
                unsigned long n = crashpoint_match(entry, size, name);

                if (n > 0 && atomic_fetch_add(&passed[i], 1) + 1 == n)
                        (void) raise(SIGKILL);
                entry = entry[size] == ',' ? entry + size + 1 : NULL;
        }
}

#endif
