/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a daemon tells its service manager (sd_notify(3); all no-ops when $NOTIFY_SOCKET is unset), and the lock that
 * keeps a second one away. */

#include <stdbool.h>

#include "cleanup.h"

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGPIPE and SIGCHLD for this and every later thread; call before any thread starts.
 */
int service_block_signals(void);

/* Tell the service manager; nothing where there is none. */
void service_ready(void);
void service_reloading(void); /* RELOADING=1 with MONOTONIC_USEC; service_ready() ends it */
void service_stopping(void);
/* In a long step that the loop cannot be left for: another minute of start timeout and watchdog from now on. */
void service_working(void);
/* One line of UTF-8. Sent only when it differs from *last* (caller's buffer of *size* bytes, updated). */
void service_status(const char *text, char *last, size_t size);

enum { SERVICE_LOCKED = 0, SERVICE_LOCK_HELD = 1 };
/* Takes the lock file DIRECTORY/lock (created 0600; released by closing the descriptor or by dying). SERVICE_LOCK_HELD
 * when another process has it. */
int service_lock(const char *directory, int *ret_fd);

/* The socket that the service manager handed over under that name (FileDescriptorName=, sd_listen_fds(3)): a descriptor
 * of the caller's own, not blocking. -ENOENT when there is none. */
int service_socket(const char *name, int *ret_fd);

#define SERVICE_UNIT_SIZE 300
/* The unit that runs this process, as `systemctl restart` takes it: "sensorqd@attic", "--user sensorqd". "sensorqd"
 * where that is not known, as without a service manager. Returns *unit*. */
const char *service_own_unit(char unit[static SERVICE_UNIT_SIZE]);

/* As whom the service manager runs a unit. */
typedef struct ServiceUser {
        char *name;
        char **groups; /* beside those of the user, names or numbers; NULL at the end. NULL: none */
} ServiceUser;
/* Of the *unit* ("NAME.service"); a name of "" is root. -ENOENT: no such unit, or no service manager. */
int service_unit_user(const char *unit, ServiceUser *ret);
void service_user_done(ServiceUser *user);

/* Another process has changed what is in DIRECTORY: the one that holds its lock, if any, hears of it. */
void service_knock(const char *directory);
/* A descriptor that becomes readable at each service_knock() on DIRECTORY, whose lock is there, until
 * service_hear(). Errors of inotify(7). */
int service_listen(const char *directory, int *ret_fd);
void service_hear(int fd);
