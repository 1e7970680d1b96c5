/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"

int file_open(const char *path, int *ret_fd) {
        _cleanup_close_ int fd = -1;
        struct stat status;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &status) < 0)
                return err_errno();
        if (S_ISDIR(status.st_mode))
                return -EISDIR;
        if (!S_ISREG(status.st_mode))
                return -EINVAL;

        *ret_fd = fd;
        fd = -1;
        return 0;
}

int file_read(int fd, void *buffer, size_t size, size_t *ret_n) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = read(fd, (char *) buffer + done, size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno();
                if (n == 0)
                        break;
                done += (size_t) n;
        }

        *ret_n = done;
        return 0;
}
