/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_FIRST 8

int array_reserve(void *items, size_t *allocated, size_t wanted, size_t size) {
        size_t more = *allocated + *allocated / 2;
        void *array, *larger;

        if (wanted <= *allocated)
                return 0;
        if (more < wanted)
                more = wanted < ARRAY_FIRST ? ARRAY_FIRST : wanted;

        memcpy(&array, items, sizeof(array)); /* the pointer's bytes are copied: it may point to any type, and reading
                                                 it as a void * would break C's aliasing rules */
        larger = reallocarray(array, more, size);
        if (!larger)
                return -ENOMEM;

        memcpy(items, &larger, sizeof(larger));
        *allocated = more;
        return 0;
}

char **array_free_texts(char **texts) {
        for (size_t i = 0; texts && texts[i]; i++)
                free(texts[i]);
        free(texts);
        return NULL;
}

char **array_copy_texts(const char *const *texts) {
        size_t n = 0;
        char **copy;

        while (texts && texts[n])
                n++;
        copy = calloc(n + 1, sizeof(char *));
        for (size_t i = 0; copy && i < n; i++) {
                copy[i] = strdup(texts[i]);
                if (!copy[i])
                        return array_free_texts(copy);
        }
        return copy;
}
