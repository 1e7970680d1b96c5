/* SPDX-License-Identifier: Apache-2.0 */
/* The part of `check` that looks at files: what systemd does not pass to the unit, secrets that others may read, and
 * what the unit's user may not read or write, although this process (root) may. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/text.h"
#include "secret.h"
#include "verbs/check.h"

#define GROUPS_MAX 64
#define PREFIX "sensorqd_" /* systemd puts this before each name */
#define NAME_MAX_SIZE 255
/* systemd.exec(5), "Credentials": the limit for all credentials of a unit together */
#define TOTAL_MAX (1024 * 1024)
#define UNIT_ENDS "which systemd does not accept, and the service ends with 243/CREDENTIALS: only secrets belong there"

/* ---- the unit and its user ---- */

void check_unit_user(const char *path, ServiceUser *ret) {
        char unit[CONFIG_UNIT_SIZE], service[140];

        *ret = (ServiceUser){};
        if (geteuid() != 0)
                return;
        if (config_unit(path, unit)) {
                (void) snprintf(service, sizeof(service), "%s.service", unit);
                if (service_unit_user(service, ret) == 0)
                        return;
        }
        if (getpwnam("sensorqd"))
                ret->name = strdup("sensorqd");
}

/* Fills in the user's own groups and those that the unit adds. Returns their number. */
static size_t groups_of(const ServiceUser *user, const struct passwd *entry, gid_t groups[static GROUPS_MAX]) {
        int own = GROUPS_MAX;
        size_t n;

        n = getgrouplist(entry->pw_name, entry->pw_gid, groups, &own) < 0 ? GROUPS_MAX : (size_t) own;
        for (size_t i = 0; user->groups && user->groups[i] && n < GROUPS_MAX; i++) {
                const struct group *group = getgrnam(user->groups[i]);

                groups[n++] = group ? group->gr_gid : (gid_t) strtoul(user->groups[i], NULL, 10);
        }
        return n;
}

/* Tests access with the effective ids of that user. The real user id stays root, so the ids can be set back. */
static bool may_as(uid_t user, gid_t group, const char *path, int mode) {
        bool refused = setegid(group) == 0 && seteuid(user) == 0 && faccessat(AT_FDCWD, path, mode, AT_EACCESS) < 0 &&
                       errno == EACCES;

        (void) !seteuid(0);
        (void) !setegid(getgid());
        return !refused;
}

bool check_unit_may(const ServiceUser *user, const char *path, int mode) {
        const struct passwd *entry = geteuid() == 0 && user->name && *user->name ? getpwnam(user->name) : NULL;
        gid_t ours[GROUPS_MAX], theirs[GROUPS_MAX];
        int n = entry ? getgroups(GROUPS_MAX, ours) : -1;
        bool may = true;

        if (n < 0)
                return true;
        if (setgroups(groups_of(user, entry, theirs), theirs) == 0)
                may = may_as(entry->pw_uid, entry->pw_gid, path, mode);
        (void) !setgroups((size_t) n, ours);
        return may;
}

/* Both without links. */
static bool is_below(const char *path, const char *directory) {
        size_t n = strlen(directory);

        return strncmp(path, directory, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static char *without_links(const char *path) {
        return realpath(path, NULL) ?: strdup(path);
}

const char *check_unit_hides(const ServiceUser *user, const char *path) {
        _cleanup_free_ char *real = without_links(path);
        const struct {
                const char *directory, *setting;
                bool set;
        } places[] = {
                { "/home", "ProtectHome=", user->no_homes },
                { "/root", "ProtectHome=", user->no_homes },
                { "/run/user", "ProtectHome=", user->no_homes },
                { "/tmp", "PrivateTmp=", user->own_tmp },
                { "/var/tmp", "PrivateTmp=", user->own_tmp },
        };

        for (size_t i = 0; real && i < ELEMENTSOF(places); i++)
                if (places[i].set && is_below(real, places[i].directory))
                        return places[i].setting;
        return NULL;
}

bool check_unit_protects(const ServiceUser *user, const char *path) {
        _cleanup_free_ char *real = without_links(path);

        for (char **entry = user->writable; real && entry && *entry; entry++) {
                _cleanup_free_ char *writable = without_links(*entry + strspn(*entry, "-+"));

                if (!writable || is_below(real, strcmp(writable, "/") == 0 ? "" : writable))
                        return false;
        }
        return real && user->read_only;
}

bool check_unit_makes(const Config *config) {
        char unit[CONFIG_UNIT_SIZE], own[sizeof(CONFIG_STATE_DIR_DEFAULT) + CONFIG_UNIT_SIZE];
        const char *name;

        if (!config_unit(config->path, unit))
                return false;
        name = strchr(unit, '@');
        (void) snprintf(own, sizeof(own), CONFIG_STATE_DIR_DEFAULT "-%s", name ? name + 1 : "");
        return strcmp(config->state_dir, name ? own : CONFIG_STATE_DIR_DEFAULT) == 0 ||
               (!config->state_dir_given && strcmp(config->state_dir, CONFIG_STATE_DIR_DEFAULT) == 0);
}

/* ---- secrets that others may read ---- */

typedef struct Files {
        Session *session;
        bool service; /* a unit runs this configuration, as *user* */
        bool state;   /* see check_state() */
        ServiceUser user;
} Files;

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

static void check_mode(Session *session, const char *path, const struct stat *file) {
        if (others_may_read(path, file))
                session_warn(session, path,
                        "others may read this secret (mode %04o): sudo chmod 0600, and keep it in the directory of "
                        "credentials",
                        (unsigned) file->st_mode & 07777);
}

/* ---- the directory of credentials beside the configuration, which systemd passes as a whole ---- */

/* systemd.exec(5): a credential's name is printable ASCII without a colon. */
static bool name_is_valid(const char *name) {
        for (const char *c = name; *c != '\0'; c++)
                if (*c < ' ' || *c > '~' || *c == ':')
                        return false;

        return strlen(PREFIX) + strlen(name) <= NAME_MAX_SIZE;
}

/* Returns how much of TOTAL_MAX the file takes. */
static size_t check_credential(Session *session, const char *path, const char *name) {
        struct stat file;

        if (name[0] == '.' || stat(path, &file) < 0 || !S_ISREG(file.st_mode)) /* systemd skips it */
                return 0;
        if (!name_is_valid(name))
                session_fail(session, path,
                        "systemd does not accept this name, and the service ends with 243/CREDENTIALS: use ASCII "
                        "letters, digits, dots and dashes only");
        if (file.st_size > TOTAL_MAX)
                session_fail(session, path, "is larger than 1 MiB, " UNIT_ENDS);
        check_mode(session, path, &file);
        return strlen(PREFIX) + strlen(name) + (size_t) file.st_size;
}

static int check_credentials(Session *session) {
        _cleanup_free_ char *directory = NULL;
        struct dirent *entry;
        size_t total = 0;
        DIR *stream;
        int r = 0;

        if (text_format(&directory, "%s/credentials", session->config->directory) < 0)
                return -ENOMEM;
        stream = opendir(directory);
        while (stream && r == 0 && (entry = readdir(stream))) {
                _cleanup_free_ char *path = NULL;

                r = text_format(&path, "%s/%s", directory, entry->d_name);
                if (r == 0)
                        total += check_credential(session, path, entry->d_name);
        }
        if (stream)
                (void) closedir(stream);
        if (total > TOTAL_MAX)
                session_fail(session, directory, "its files are larger than 1 MiB together, " UNIT_ENDS);
        return r;
}

/* ---- what the configuration names ---- */

static void check_file(const Files *f, const char *path) {
        const char *hidden = f->service ? check_unit_hides(&f->user, path) : NULL;

        if (hidden)
                session_warn(f->session, path,
                        "the service does not see it, because %s of its unit hides it: put it into %s", hidden,
                        f->session->config->directory);
        else if (f->service && !check_unit_may(&f->user, path, R_OK))
                session_warn(f->session, path,
                        "the service runs as %s, who may not read it: give it to that user or a group of theirs, and "
                        "let them search the directories above",
                        f->user.name);
}

/* The only one of the files here without which nothing starts: systemd does not even try again. */
static void check_configuration(const Files *f, const char *path) {
        if (!check_unit_may(&f->user, path, R_OK))
                session_fail(f->session, path,
                        "the service runs as %s, who may not read it, and does not start: chmod 0644, and let that "
                        "user search the directories above",
                        f->user.name);
}

static void check_secret(const Files *f, const char *name) {
        const Config *config = f->session->config;
        _cleanup_free_ char *path = NULL;
        const char *hidden;
        struct stat file;

        if (secret_find(config, name, &path) < 0 || secret_is_handed_over(config, path))
                return;
        if (stat(path, &file) == 0)
                check_mode(f->session, path, &file);
        if (f->service && !check_unit_may(&f->user, path, R_OK))
                session_warn(f->session, path,
                        "the service runs as %s, who may not read it: put it into %s/credentials, and name it without "
                        "a path",
                        f->user.name, config->directory);
        else if (f->service && (hidden = check_unit_hides(&f->user, path)))
                session_warn(f->session, path,
                        "the service does not see it, because %s of its unit hides it: put it into %s/credentials, and "
                        "name it without a path",
                        hidden, config->directory);
}

/* A directory of files that is not made yet is made by the service, which must be able to write to the one above. */
static char *present(const char *place) {
        char *directory = strdup(place), *slash = directory ? strrchr(directory, '/') : NULL;

        if (slash && access(directory, F_OK) < 0)
                slash[slash == directory] = '\0';
        return directory;
}

/* Returns false, after a warning, if the service may not write to a directory. */
static bool check_directory(const Files *f, const char *place) {
        _cleanup_free_ char *directory = present(place);
        const char *hidden = directory ? check_unit_hides(&f->user, directory) : NULL;

        if (hidden)
                session_warn(f->session, place,
                        "the service does not see it, because %s of its unit hides it: name another directory", hidden);
        else if (directory && check_unit_protects(&f->user, directory))
                session_warn(f->session, place,
                        "the unit lets the service write to its StateDirectory= only: name %s in ReadWritePaths= of a "
                        "drop-in, and give it to %s",
                        directory, f->user.name);
        else if (directory && !check_unit_may(&f->user, directory, W_OK | X_OK))
                session_warn(f->session, place,
                        "the service runs as %s, who may not write to %s: give it to that user (chown)", f->user.name,
                        directory);
        else
                return true;
        return false;
}

/* Warns of a state_dir, or of files in it, that the service may not write to, for example after root restored them.
 * Returns whether what else is in it needs a look: systemd gives all of its StateDirectory= to the user when the
 * directory itself does not belong to that user. */
static bool check_state(const Files *f) {
        static const char *const names[] = { "lock", "outbox.sqlite", "outbox.sqlite-wal", "alerts.sqlite",
                "rejected.sqlite", "page.sqlite", NULL };
        const Config *config = f->session->config;
        const char *state_dir = config->state_dir;

        if (!check_unit_makes(config) && (access(state_dir, F_OK) < 0 || !check_directory(f, state_dir)))
                return false;
        if (!check_unit_may(&f->user, state_dir, W_OK | X_OK))
                return false;
        for (size_t i = 0; names[i]; i++) {
                _cleanup_free_ char *path = NULL;

                if (text_format(&path, "%s/%s", state_dir, names[i]) < 0 || check_unit_may(&f->user, path, R_OK | W_OK))
                        continue;
                session_warn(f->session, path,
                        "the service runs as %s, who may not write to it: give it to that user (chown)", f->user.name);
                break;
        }
        return true;
}

static void check_place(const Files *f, const char *place) {
        const char *state_dir = f->session->config->state_dir;
        _cleanup_free_ char *path = NULL;

        if (!f->service || (place[0] != '/' && text_format(&path, "%s/%s", state_dir, place) < 0))
                return;
        place = path ?: place;
        if (f->state || !is_below(place, state_dir))
                (void) check_directory(f, place);
}

static int check_named(void *userdata, const ConfigRow *row, const char *file, ConfigSecret *secret) {
        const Files *f = userdata;
        size_t size = secret && secret->text ? strlen(secret->text) : 0;

        if (row->type == &config_type_path)
                check_file(f, file);
        else if (row->type == &config_type_state_directory)
                check_place(f, file);
        else
                check_secret(f, file);
        if (size > 1 && strchr("\"'", secret->text[0]) && secret->text[0] == secret->text[size - 1])
                session_warn(f->session, file,
                        "begins and ends with a quote: remove them if they were pasted along with it");
        return 0;
}

int check_files(Session *session) {
        const Config *config = session->config;
        Files f = { .session = session };
        char unit[CONFIG_UNIT_SIZE];

        f.service = config_unit(config->path, unit);
        if (f.service) {
                if (access("/run/systemd/system", F_OK) ==
                        0) /* else it runs as whoever starts it: in a container, root */
                        check_unit_user(config->path, &f.user);
                check_configuration(&f, config->path);
                f.state = check_state(&f);
                if (check_key(session) && !config->pubsub.credentials_file)
                        check_secret(&f, CREDENTIALS_FILE_DEFAULT);
        }
        (void) config_table_each_file(&config_section, config, check_named, &f);
        service_user_done(&f.user);
        return check_credentials(session);
}
