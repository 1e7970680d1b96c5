/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/text.h"
#include "lib/yaml.h"

#define TEMPORARY ".init.new" /* in the directory of the file; one that a killed run left is replaced */

/* SHA-256 of the example files of earlier releases: an upgrade does not change an installed one. */
static const struct {
        const char *version, *hash;
} examples[] = {
        { "0.1.0", "0f57cb53b9ee51745cc0384c56d149fdd7193bf4fea277dc9705578ce866a313" },
        { "0.2.0", "954c55d3abfce123bf580b88b4a0b8f69836d56e34edc1d85f8e6fdb88b239f3" },
};

/* Returns 1 when the file is the unchanged example of this or an earlier release, else 0, or an errno. */
static int is_example(const char *path) {
        _cleanup_bytes_ Bytes text = {};
        char hash[SHA256_HEX_SIZE];
        int r = file_load(path, YAML_SIZE_MAX, &text);

        if (r < 0)
                return r;
        if (slice_equal(bytes_slice(&text), init_example))
                return 1;
        (void) crypto_sha256_hex(text.data, text.size, hash);
        for (size_t i = 0; i < ELEMENTSOF(examples); i++)
                if (strcmp(examples[i].hash, hash) == 0)
                        return 1;
        return 0;
}

/* Whether the nearest existing directory may be written to, so that missing ones can be made in it. 0, or an errno. */
static int may_make(const char *directory) {
        _cleanup_free_ char *path = strdup(directory);
        char *slash;

        if (!path)
                return -ENOMEM;
        while (access(path, F_OK) < 0 && errno == ENOENT && (slash = strrchr(path, '/')) && slash != path)
                *slash = '\0';
        return access(path, W_OK | X_OK) < 0 ? err_errno() : 0;
}

/* For file_directory(), "x/" is in the directory that has x; here it is in x, which must be there. */
static char *directory_of(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash && slash != path ? strndup(path, (size_t) (slash - path)) : strdup(slash ? "/" : ".");
}

int init_write_check(const char *path) {
        _cleanup_free_ char *directory = directory_of(path);
        struct stat status;

        if (!directory)
                return -ENOMEM;
        if (lstat(path, &status) == 0 && is_example(path) != 1)
                return INIT_WRITE_EXISTS;
        return may_make(directory);
}

/* ---- writing ---- */

static int make_directory(const char *path, mode_t mode) {
        _cleanup_free_ char *above = directory_of(path);
        int r;

        if (!above)
                return -ENOMEM;
        if (mkdir(path, mode) == 0 || errno == EEXIST)
                return 0;
        if (errno != ENOENT || strcmp(above, path) == 0)
                return err_errno();
        r = make_directory(above, 0755);
        if (r < 0)
                return r;
        return mkdir(path, mode) < 0 ? err_errno() : 0;
}

/* Writes and syncs a file with the temporary name. */
static int write_temporary(int directory, Slice text, mode_t mode) {
        _cleanup_close_ int fd = -1;
        int r;

        (void) unlinkat(directory, TEMPORARY, 0);
        fd = openat(directory, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno();
        r = file_write_all(fd, text.data, text.size);
        if (r < 0)
                return r;
        return fchmod(fd, mode) < 0 || fsync(fd) < 0 ? err_errno() : 0;
}

/* Gives it its name, which must be free, or that of the example. */
static int name_it(int directory, const char *path, const char *name) {
        int r = linkat(directory, TEMPORARY, directory, name, 0) < 0 ? err_errno() : 0;

        if (r != -EEXIST || is_example(path) != 1)
                return r;
        return renameat(directory, TEMPORARY, directory, name) < 0 ? err_errno() : 0;
}

/* Writes a file durably and prints a line. */
static int write_file(const char *directory, const char *name, Slice text, mode_t mode) {
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *path = NULL;
        int r;

        if (fd < 0)
                return err_errno();
        if (text_format(&path, "%s/%s", directory, name) < 0)
                return -ENOMEM;
        (void) flock(fd, LOCK_EX); /* another init has the same temporary name; until it is closed */
        r = write_temporary(fd, text, mode);
        if (r >= 0)
                r = name_it(fd, path, name);
        (void) unlinkat(fd, TEMPORARY, 0);
        if (r >= 0 && fsync(fd) < 0)
                r = err_errno();
        if (r < 0)
                return r;
        init_say(INIT_SAY_WRITTEN, path, NULL);
        return 0;
}

static int write_secrets(const InitDraft *draft) {
        int r = make_directory(draft->credentials, 0700);

        for (const InitSecret *secret = draft->secrets; r >= 0 && secret < draft->secrets + draft->n_secrets; secret++)
                if (!secret->there)
                        r = write_file(draft->credentials, secret->file, slice_of(secret->text), 0600);
        return r;
}

int init_write_all(const InitDraft *draft, const Bytes *text) {
        const char *slash = strrchr(draft->path, '/');
        sigset_t all, old;
        int r;

        (void) sigfillset(&all);
        (void) sigprocmask(SIG_BLOCK, &all, &old);
        r = init_write_check(draft->path);
        if (r == INIT_WRITE_FREE)
                r = write_secrets(draft);
        if (r == INIT_WRITE_FREE)
                r = write_file(draft->directory, slash ? slash + 1 : draft->path, bytes_slice(text), 0644);
        (void) sigprocmask(SIG_SETMASK, &old, NULL);
        return r == -EEXIST ? INIT_WRITE_EXISTS : r;
}
