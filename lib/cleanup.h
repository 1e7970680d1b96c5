/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Scope cleanup: a variable that names its destructor is released however its scope is left.
 *
 *     _cleanup_(json_freep) Json *reply = NULL;
 *
 * A destructor accepts NULL and half-built objects, releases in reverse order and returns NULL: `self->poll =
 * http_cancel(self->poll);` */

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _asserted_ __attribute__((unused)) /* only assert() uses it, and NDEBUG removes assert() */
#define _printf_(string, first) __attribute__((format(printf, string, first)))

/* Defines `NAMEp`, the form of destructor NAME that _cleanup_ takes. */
#define CLEANUP_DEFINE(type, name)                                                                                     \
        static inline void name##p(type **object) {                                                                    \
                if (*object)                                                                                           \
                        (void) name(*object);                                                                          \
        }

static inline void cleanup_freep(void *pointer) {
        free(*(void **) pointer);
}

static inline void cleanup_closep(const int *fd) {
        if (*fd >= 0)
                (void) close(*fd);
}

#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)

/* Returns the pointer and sets the variable to NULL: the caller's new owner has it now. */
#define cleanup_steal(pointer)                                                                                         \
        ({                                                                                                             \
                __typeof__(pointer) _stolen = (pointer);                                                               \
                (pointer) = NULL;                                                                                      \
                _stolen;                                                                                               \
        })

/* The same for a descriptor. */
static inline int cleanup_steal_fd(int *fd) {
        int stolen = *fd;

        *fd = -1;
        return stolen;
}

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))
