/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

/* Bytes that this process had written to disks; -1: the kernel does not count them. proc(5), write_bytes. */
static inline long long written(void) {
        FILE *file = fopen("/proc/self/io", "re");
        char line[100];
        long long bytes = -1;

        while (file && fgets(line, sizeof(line), file))
                (void) sscanf(line, "write_bytes: %lld", &bytes);
        if (file)
                fclose(file);
        return bytes;
}
