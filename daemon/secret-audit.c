/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config-table.h"
#include "secret.h"

#include "lib/text.h"

#define PREFIX "sensorqd_" /* systemd puts this before each name */
#define NAME_MAX_SIZE 255
/* systemd.exec(5), "Credentials": the limit for all credentials of a unit together */
#define TOTAL_MAX (1024 * 1024)

typedef struct Audit {
        const Config *config;
        void (*each)(void *userdata, const SecretFinding *finding);
        void *userdata;
        size_t total; /* bytes of names and contents */
        int result;
} Audit;

static void tell(const Audit *a, const char *path, bool fatal, const char *words) {
        a->each(a->userdata, &(SecretFinding){ path, fatal, words });
}

/* systemd.exec(5): a credential's name is printable ASCII without a colon. */
static bool name_is_valid(const char *name) {
        for (const char *c = name; *c != '\0'; c++)
                if (*c <= ' ' || *c > '~' || *c == ':')
                        return false;

        return strlen(PREFIX) + strlen(name) <= NAME_MAX_SIZE;
}

/* True if users other than the owner can read it: the modes of the file and of its directory allow that. */
static bool others_may_read(const char *path, const struct stat *file) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *directory = slash ? strndup(path, (size_t) (slash - path) + 1) : NULL;
        struct stat around;

        if (!directory || stat(directory, &around) < 0)
                return false;
        return (file->st_mode & S_IROTH && around.st_mode & S_IXOTH) ||
               (file->st_mode & S_IRGRP && file->st_gid != 0 && around.st_mode & (S_IXGRP | S_IXOTH));
}

static void audit_mode(const Audit *a, const char *path, const struct stat *file) {
        char words[160];

        if (!others_may_read(path, file))
                return;
        (void) snprintf(words, sizeof(words),
                "others may read this secret (mode %04o): sudo chmod 0600, and keep it in the directory of credentials",
                (unsigned) file->st_mode & 07777);
        tell(a, path, false, words);
}

/* ---- what systemd passes ---- */

static void audit_entry(Audit *a, const char *directory, const char *name) {
        _cleanup_free_ char *path = NULL;
        struct stat file;

        if (name[0] == '.') /* systemd skips it */
                return;
        if (text_format(&path, "%s/%s", directory, name) < 0) {
                a->result = -ENOMEM;
                return;
        }
        if (stat(path, &file) < 0 || !S_ISREG(file.st_mode))
                return;
        if (!name_is_valid(name))
                tell(a, path, true,
                        "systemd does not take this name, and the service ends with 243/CREDENTIALS: use ASCII "
                        "letters, digits, dots and dashes only");
        a->total += strlen(PREFIX) + strlen(name) + (size_t) file.st_size;
        if (file.st_size > TOTAL_MAX)
                tell(a, path, true,
                        "is larger than 1 MiB, which systemd does not take, and the service ends with 243/CREDENTIALS: "
                        "only secrets belong there");
        audit_mode(a, path, &file);
}

static void audit_directory(Audit *a) {
        _cleanup_free_ char *directory = NULL;
        struct dirent *entry;
        DIR *stream;

        if (text_format(&directory, "%s/credentials", a->config->directory) < 0) {
                a->result = -ENOMEM;
                return;
        }
        stream = opendir(directory);
        if (!stream)
                return;
        while ((entry = readdir(stream)))
                audit_entry(a, directory, entry->d_name);
        (void) closedir(stream);
        if (a->total > TOTAL_MAX)
                tell(a, directory, true,
                        "its files are larger than 1 MiB together, which systemd does not take, and the service ends "
                        "with 243/CREDENTIALS: only secrets belong there");
}

/* ---- what the configuration names ---- */

static void audit_file(Audit *a, const char *name) {
        _cleanup_free_ char *path = NULL;
        struct stat file;

        if (secret_find(a->config, name, &path) < 0)
                return;
        if (secret_is_handed_over(a->config, path))
                return; /* looked at already */
        if (stat(path, &file) == 0)
                audit_mode(a, path, &file);
}

static int audit_secret(void *userdata, const ConfigRow *row, ConfigSecret *secret) {
        Audit *a = userdata;
        size_t size = secret->text ? strlen(secret->text) : 0;

        audit_file(a, secret->file);
        if (size > 1 && strchr("\"'", secret->text[0]) && secret->text[0] == secret->text[size - 1])
                tell(a, secret->file, false,
                        "begins and ends with a quote: where they were pasted along, take them away");
        return 0;
}

int secret_audit(const Config *config, void (*each)(void *userdata, const SecretFinding *finding), void *userdata) {
        Audit a = { .config = config, .each = each, .userdata = userdata };

        audit_directory(&a);
        if (config->pubsub.credentials_file)
                audit_file(&a, config->pubsub.credentials_file);
        (void) config_table_each_secret(&config_section, (Config *) config, audit_secret, &a);
        return a.result;
}
