/* SPDX-License-Identifier: Apache-2.0 */
#include "sql-aside.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "text.h"

int sql_aside_name(const char *path, char **ret) {
        time_t now = (time_t) (clock_wall() / USEC_PER_SEC);
        char stamp[32], number[16] = "";
        struct tm tm;

        (void) strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
        for (unsigned i = 2;; i++) {
                _cleanup_free_ char *name = NULL;

                if (text_format(&name, "%s.damaged-%s%s", path, stamp, number) < 0)
                        return -ENOMEM;
                if (access(name, F_OK) < 0) {
                        *ret = cleanup_steal(name);
                        return 0;
                }
                (void) snprintf(number, sizeof(number), "-%u", i);
        }
}

/* The log first: SQLite would apply one that is left behind to a new file. */
int sql_aside_move(const char *path, const char *to) {
        static const char *const suffixes[] = { "-shm", "-wal", "" };
        bool there = false;

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                _cleanup_free_ char *from = NULL, *name = NULL;

                if (text_format(&from, "%s%s", path, suffixes[i]) < 0 ||
                        text_format(&name, "%s%s", to, suffixes[i]) < 0)
                        return -ENOMEM;
                there = rename(from, name) >= 0;
                if (!there && errno != ENOENT)
                        return err_errno();
                if (!there)
                        (void) unlink(name);
        }
        return there ? 0 : SQL_ASIDE_NOTHING;
}
