/* SPDX-License-Identifier: Apache-2.0 */
#include "listen-internal.h"

#include <dlfcn.h>
#include <errno.h>

#define LIBRARY "libmicrohttpd.so.12"

int listen_library_load(ListenLibrary *library) {
        void *handle;

        if (library->handle)
                return 0;
        handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
                return -ENOTSUP;
#define FIND(name)                                                                                                     \
        library->name = (__typeof__(name) *) dlsym(handle, #name);                                                     \
        if (!library->name) {                                                                                          \
                (void) dlclose(handle);                                                                                \
                return -ENOTSUP;                                                                                       \
        }
        LISTEN_LIBRARY_FUNCTIONS(FIND)
#undef FIND
        library->handle = handle; /* for good: its own TLS library does not like to be unloaded */
        return 0;
}
