/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/sink-disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void sink_disk_answer(SinkAnswer *answer, int error, const char *path) {
        static const struct {
                int error;
                const char *reason, *words, *remedy;
        } table[] = {
                { -ENOSPC, "disk_full", "has no room", "free space on that disk; it goes on by itself" },
                { -EDQUOT, "disk_full", "has used up its quota", "free space there or raise the quota" },
                { -EFBIG, "too_large", "may not grow", "raise the limit on the size of files (LimitFSIZE=)" },
                { -EROFS, "read_only", "is read-only for sensorqd",
                        "name the directory in ReadWritePaths= (`systemctl edit sensorqd`); where the disk itself is "
                        "read-only, mount it for writing, and see `journalctl -k` whether it is broken" },
                { -EACCES, "forbidden", "may not be written to",
                        "give the directory to the user that runs sensorqd (chown), and name it in ReadWritePaths=" },
                { -EPERM, "forbidden", "may not be written to",
                        "give the directory to the user that runs sensorqd (chown)" },
                { -ENOENT, "missing", "has no directory, and the one above is missing too",
                        "mount the disk that belongs there, or make the directory above" },
                { -ENOTDIR, "missing", "has a file in place of its directory",
                        "move that file, or name another place" },
                { -EAGAIN, "in_use", "is locked by another process",
                        "stop the other sensorqd that writes there, or give each a directory of its own" },
                { -EBUSY, "in_use", "is locked by another process", "end what has the file open" },
                { 0, "failing", "cannot be written to", "look at the disk and at `journalctl -k`" },
        };
        size_t i = 0;

        while (table[i].error != 0 && table[i].error != error)
                i++;
        answer->fault = SINK_FAULT_PASSING;
        answer->reason = table[i].reason;
        answer->words = table[i].words;
        answer->remedy = table[i].remedy;
        (void) snprintf(answer->detail, sizeof(answer->detail), "%s: %s", path, strerror(-error));
}
