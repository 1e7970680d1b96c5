/* SPDX-License-Identifier: Apache-2.0 */
/* status.json as a file. */
#include "report.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/err.h"

static int file_fill(int fd, const char *data, size_t size) {
        if (fchmod(fd, 0644) < 0) /* open(2) is under the umask */
                return err_errno();

        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno();
                data += n;
                size -= (size_t) n;
        }
        return 0;
}

int report_write(const char *directory, const char *json, size_t size) {
        _cleanup_free_ char *path = NULL, *temporary = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (asprintf(&path, "%s/status.json", directory) < 0)
                return path = NULL, -ENOMEM;
        if (asprintf(&temporary, "%s/.status.json.new", directory) < 0)
                return temporary = NULL, -ENOMEM;

        /* One left by a kill is used again. */
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0644);
        if (fd < 0)
                return err_errno();
        r = file_fill(fd, json, size);
        if (r >= 0 && rename(temporary, path) < 0)
                r = err_errno();
        if (r < 0)
                (void) unlink(temporary);
        return r;
}

void report_remove(const char *directory) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/status.json", directory) < 0)
                path = NULL;
        else
                (void) unlink(path);
}
