/* SPDX-License-Identifier: Apache-2.0 */
#include "counts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS 2048 /* a power of two */
#define NAME_SIZE 56

typedef struct Count {
        char name[NAME_SIZE];
        uint64_t n;
} Count;

static Count *counts;

void counts_open(void) {
        counts = mmap(NULL, SLOTS * sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (counts == MAP_FAILED) {
                perror("counts");
                exit(70);
        }
}

/* The slot of that name, or the empty one where it would be. */
static Count *find(const char *name) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (const char *c = name; *c; c++)
                hash = (hash ^ (unsigned char) *c) * UINT64_C(0x100000001b3);
        for (size_t i = 0; i < SLOTS; i++) {
                Count *count = &counts[(hash + i) % SLOTS];

                if (count->name[0] == '\0' || strncmp(count->name, name, NAME_SIZE - 1) == 0)
                        return count;
        }
        fprintf(stderr, "counts: too many names\n");
        abort();
}

void counts_add_n(const char *name, uint64_t n) {
        Count *count = find(name);

        if (count->name[0] == '\0')
                (void) snprintf(count->name, NAME_SIZE, "%s", name);
        count->n += n;
}

void counts_add(const char *name) {
        counts_add_n(name, 1);
}

void counts_add_at(const char *what, const char *name) {
        char text[NAME_SIZE];

        (void) snprintf(text, sizeof(text), "%s%s", what, name);
        counts_add(text);
}

uint64_t counts_of(const char *name) {
        return find(name)->n;
}

static int by_name(const void *a, const void *b) {
        return strcmp(((const Count *) a)->name, ((const Count *) b)->name);
}

void counts_print(FILE *stream) {
        Count *sorted = malloc(SLOTS * sizeof(Count));

        if (!sorted)
                abort();
        memcpy(sorted, counts, SLOTS * sizeof(Count));
        qsort(sorted, SLOTS, sizeof(Count), by_name);
        for (size_t i = 0; i < SLOTS; i++)
                if (sorted[i].n > 0)
                        fprintf(stream, "COUNT %" PRIu64 " %s\n", sorted[i].n, sorted[i].name);
        free(sorted);
}
