/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>

#include "array.h"
#include "clock.h"
#include "err.h"
#include "file.h"
#include "text.h"

#define STILL_WORKING_USEC (500 * USEC_PER_MSEC)

int service_block_signals(void) {
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGXFSZ, SIGCHLD };
        sigset_t set;

        (void) sigemptyset(&set);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                (void) sigaddset(&set, signals[i]);

        return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

bool service_ready(void) {
        return !err_is_want(sd_notify(false, "READY=1"));
}

/* Service managers from version 253 on use this time to recognise the reload (sd_notify(3)). */
bool service_reloading(void) {
        return !err_is_want(sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic()));
}

void service_stopping(void) {
        (void) sd_notify(false, "STOPPING=1");
}

void service_working(void *told) {
        usec_t *at = told, now = clock_now();

        if (at && now < *at + STILL_WORKING_USEC)
                return;
        (void) sd_notify(false, "EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1");
        if (at)
                *at = now;
}

void service_status(const char *text, char *last, size_t size) {
        _cleanup_free_ char *line = malloc(size);

        if (!line)
                return;
        text_copy(line, size, text);
        line[text_clean(line, strlen(line))] = '\0'; /* a new line would begin another assignment */
        if (strcmp(line, last) == 0)
                return;

        if (!err_is_want(sd_notifyf(false, "STATUS=%s", line)))
                memcpy(last, line, strlen(line) + 1);
}

/* Uses flock(2): the kernel releases the lock with the last descriptor, also after kill -9. The file stays, because
 * removing it would race with another process. */
int service_lock(const char *directory, int *ret_fd) {
        _cleanup_free_ char *path = NULL, *found = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (text_format(&path, "%s/lock", directory) < 0)
                return -ENOMEM;
        r = file_find(path, &found);
        if (r < 0)
                return r;

        fd = open(found ?: path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
        if (fd < 0)
                return err_errno();
        file_give(fd, path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? SERVICE_LOCK_HELD : err_errno();

        *ret_fd = cleanup_steal_fd(&fd);
        return SERVICE_LOCKED;
}

int service_socket(const char *name, int *ret_fd) {
        _cleanup_close_ int fd = -1;
        char **names = NULL;
        int n;

        n = sd_listen_fds_with_names(false, &names);
        for (int i = 0; i < n; i++) {
                if (fd < 0 && strcmp(names[i], name) == 0)
                        fd = fcntl(SD_LISTEN_FDS_START + i, F_DUPFD_CLOEXEC, 3);
                free(names[i]);
        }
        free(names);
        if (fd < 0)
                return -ENOENT;
        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return err_errno();
        *ret_fd = cleanup_steal_fd(&fd);
        return 0;
}

/* ---- knocking ---- */

/* A knock sets the time of the lock file: it needs no further file, and a kill leaves nothing behind. */
void service_knock(const char *directory) {
        _cleanup_free_ char *path = NULL;

        if (text_format(&path, "%s/lock", directory) == 0)
                (void) utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

int service_listen(const char *directory, int *ret_fd) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;

        if (text_format(&path, "%s/lock", directory) < 0)
                return -ENOMEM;
        fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (fd < 0 || inotify_add_watch(fd, path, IN_ATTRIB) < 0)
                return err_errno();
        *ret_fd = cleanup_steal_fd(&fd);
        return 0;
}

void service_hear(int fd) {
        char events[4096];

        while (read(fd, events, sizeof(events)) > 0)
                ;
}

/* ---- units ---- */

const char *service_own_unit(char unit[static SERVICE_UNIT_SIZE]) {
        _cleanup_free_ char *name = NULL;
        const char *of = "";
        size_t size, end = strlen(".service");
        int r = -ENOENT;

        if (getenv("NOTIFY_SOCKET")) { /* otherwise this is the unit of the user's login */
                r = sd_pid_get_user_unit(0, &name);
                of = r >= 0 ? "--user " : "";
                if (r < 0)
                        r = sd_pid_get_unit(0, &name);
        }
        size = r >= 0 ? strlen(name) : 0;
        if (size > end && strcmp(name + size - end, ".service") == 0)
                (void) snprintf(unit, SERVICE_UNIT_SIZE, "%s%.*s", of, (int) (size - end), name);
        else
                (void) snprintf(unit, SERVICE_UNIT_SIZE, "sensorqd");
        return unit;
}

#define MANAGER "org.freedesktop.systemd1"

static int unit_list(sd_bus *bus, const char *path, const char *name, char ***ret) {
        return sd_bus_get_property_strv(bus, MANAGER, path, MANAGER ".Service", name, NULL, ret);
}

/* Whether the unit has a text other than "" there, or that text. */
static bool unit_says(sd_bus *bus, const char *path, const char *name, const char *text) {
        _cleanup_free_ char *said = NULL;

        return sd_bus_get_property_string(bus, MANAGER, path, MANAGER ".Service", name, NULL, &said) >= 0 &&
               (text ? strcmp(said, text) == 0 : *said != '\0');
}

/* True unless it is sure that the unit binds nothing into its file system. */
static bool unit_binds(sd_bus *bus, const char *path, const char *name) {
        sd_bus_message *reply = NULL;
        bool none;

        none = sd_bus_get_property(bus, MANAGER, path, MANAGER ".Service", name, NULL, &reply, "a(ssbt)") >= 0 &&
               sd_bus_message_enter_container(reply, 'a', "(ssbt)") >= 0 && sd_bus_message_at_end(reply, false) > 0;
        sd_bus_message_unref(reply);
        return !none;
}

/* Adds the directories that systemd makes for the unit. */
static int unit_own(sd_bus *bus, const char *path, ServiceUser *ret) {
        static const char *const kinds[][2] = { { "StateDirectory", "/var/lib" }, { "CacheDirectory", "/var/cache" },
                { "LogsDirectory", "/var/log" }, { "RuntimeDirectory", "/run" } };
        size_t n = 0, allocated = 0;
        int r = 0;

        while (ret->writable && ret->writable[n])
                n++;
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(kinds); i++) {
                char **names = NULL;

                r = unit_list(bus, path, kinds[i][0], &names);
                for (size_t k = 0; r >= 0 && names && names[k]; k++) {
                        r = array_reserve(&ret->writable, &allocated, n + 2, sizeof(char *));
                        if (r < 0)
                                break;
                        ret->writable[n] = ret->writable[n + 1] = NULL;
                        r = text_format(&ret->writable[n++], "%s/%s", kinds[i][1], names[k]);
                }
                array_free_texts(names);
        }
        return r;
}

/* What cannot be found out is not kept from it: where something is bound into the file system, what it sees there. */
static void unit_sandbox(sd_bus *bus, const char *path, ServiceUser *ret) {
        bool sealed = unit_says(bus, path, "RootDirectory", NULL), binds = unit_binds(bus, path, "BindPaths");
        bool covers = !sealed && (binds || unit_binds(bus, path, "BindReadOnlyPaths"));
        int own = 0;

        ret->no_homes = !covers && unit_says(bus, path, "ProtectHome", "yes");
        ret->own_tmp = !covers &&
                       sd_bus_get_property_trivial(
                               bus, MANAGER, path, MANAGER ".Service", "PrivateTmp", NULL, 'b', &own) >= 0 &&
                       own;
        ret->read_only = unit_says(bus, path, "ProtectSystem", "strict") && !sealed && !binds &&
                         unit_list(bus, path, "ReadWritePaths", &ret->writable) >= 0 && unit_own(bus, path, ret) >= 0;
}

static int unit_user(sd_bus *bus, const char *unit, ServiceUser *ret) {
        _cleanup_free_ char *path = NULL, *state = NULL;
        int r;

        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
        if (r >= 0)
                r = sd_bus_get_property_string(bus, MANAGER, path, MANAGER ".Unit", "LoadState", NULL, &state);
        if (r >= 0 && strcmp(state, "loaded") != 0)
                r = -ENOENT;
        if (r >= 0)
                r = sd_bus_get_property_string(bus, MANAGER, path, MANAGER ".Service", "User", NULL, &ret->name);
        if (r >= 0)
                r = unit_list(bus, path, "SupplementaryGroups", &ret->groups);
        if (r >= 0)
                unit_sandbox(bus, path, ret);
        return r;
}

int service_unit_user(const char *unit, ServiceUser *ret) {
        ServiceUser user = {};
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = unit_user(bus, unit, &user);
        sd_bus_flush_close_unref(bus);
        if (r < 0) {
                service_user_done(&user);
                return r == -ENOMEM ? r : -ENOENT;
        }
        *ret = user;
        return 0;
}

void service_user_done(ServiceUser *user) {
        array_free_texts(user->groups);
        array_free_texts(user->writable);
        free(user->name);
        *user = (ServiceUser){};
}
