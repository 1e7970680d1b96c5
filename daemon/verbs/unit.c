/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define GROUPS_MAX 64

const char *unit_in_words(const char *path, char unit[static CONFIG_UNIT_SIZE]) {
        if (!config_unit(path, unit))
                (void) snprintf(unit, CONFIG_UNIT_SIZE, "sensorqd");
        return unit;
}

void unit_user(const char *path, ServiceUser *ret) {
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

bool unit_may(const ServiceUser *user, const char *path, int mode) {
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

const char *unit_hides(const ServiceUser *user, const char *path) {
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

bool unit_write_protects(const ServiceUser *user, const char *path) {
        _cleanup_free_ char *real = without_links(path);

        for (char **entry = user->writable; real && entry && *entry; entry++) {
                _cleanup_free_ char *writable = without_links(*entry + strspn(*entry, "-+"));

                if (!writable || is_below(real, strcmp(writable, "/") == 0 ? "" : writable))
                        return false;
        }
        return real && user->read_only;
}

bool unit_makes_state_dir(const Config *config) {
        char unit[CONFIG_UNIT_SIZE], own[sizeof(CONFIG_STATE_DIR_DEFAULT) + CONFIG_UNIT_SIZE];
        const char *name;

        if (!config_unit(config->path, unit))
                return false;
        name = strchr(unit, '@');
        (void) snprintf(own, sizeof(own), CONFIG_STATE_DIR_DEFAULT "-%s", name ? name + 1 : "");
        return strcmp(config->state_dir, name ? own : CONFIG_STATE_DIR_DEFAULT) == 0 ||
               strcmp(config->state_dir, CONFIG_STATE_DIR_DEFAULT) == 0;
}
