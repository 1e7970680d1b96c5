/* SPDX-License-Identifier: Apache-2.0 */
/* status.json as a file. */
#include "report.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/err.h"
#include "lib/file.h"

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
        r = fchmod(fd, 0644) < 0 ? err_errno() : file_write_all(fd, json, size); /* open(2) is under the umask */
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
