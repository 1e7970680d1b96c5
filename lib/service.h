/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a daemon tells its service manager (sd_notify(3); does nothing when $NOTIFY_SOCKET is unset), and the lock that
 * keeps a second daemon away. */

#include <stdbool.h>

#include "err.h"

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGCHLD and those of a failed write (SIGPIPE; SIGXFSZ, where LimitFSIZE= is reached)
 * for this thread and those that it starts; call it before any thread starts. */
int service_block_signals(void);

/* Tell the service manager; they do nothing without one. The first two are false if it could not be told, for want of a
 * descriptor or memory: who does not repeat it is taken for one that does not get ready. */
bool service_ready(void);
bool service_reloading(void); /* RELOADING=1 with MONOTONIC_USEC; service_ready() ends the reload */
void service_stopping(void);
/* Call this in a long step that blocks the loop: the timeout of the start or stop, and the watchdog, are extended to a
 * minute from now. Where it is called often, as for sql_set_ping(), *told* is a usec_t with the clock_now() of when the
 * service manager was last told, or of the beginning: it is told twice a second at most. */
void service_working(void *told);
/* Sends one line of UTF-8 as the status, only when it differs from *last* (caller's buffer of *size* bytes,
 * updated). What could not be sent for such a want is sent by the next call. */
void service_status(const char *text, char *last, size_t size);

enum { SERVICE_LOCKED = 0, SERVICE_LOCK_HELD = 1 };
/* Takes the lock file DIRECTORY/lock (created with mode 0600); closing the descriptor or the end of the process
 * releases it. SERVICE_LOCK_HELD when another process has it. */
int service_lock(const char *directory, int *ret_fd);

/* *ret_fd* gets the socket that the service manager passed under that name (FileDescriptorName=, sd_listen_fds(3)): a
 * descriptor that the caller owns and that does not block. -ENOENT when there is none. */
int service_socket(const char *name, int *ret_fd);

#define SERVICE_UNIT_SIZE 300
/* Writes the unit that runs this process, as `systemctl restart` takes it: "sensorqd@attic", "--user sensorqd". It is
 * "sensorqd" when the unit is not known, for instance without a service manager. Returns *unit*. */
const char *service_own_unit(char unit[static SERVICE_UNIT_SIZE]);

/* The user that the service manager runs a unit as, and what its sandbox (systemd.exec(5)) keeps from it. */
typedef struct ServiceUser {
        char *name;
        char **groups;   /* in addition to the user's own groups: names or numbers, NULL at the end. NULL: none */
        bool no_homes;   /* ProtectHome=yes: /home, /root and /run/user are empty */
        bool own_tmp;    /* PrivateTmp=yes: it has another /tmp and /var/tmp */
        bool read_only;  /* ProtectSystem=strict: it writes to directories of its own and to *writable* only */
        char **writable; /* ReadWritePaths=, as written there, and its StateDirectory= and the like; NULL at the end */
} ServiceUser;
/* Finds that of *unit* ("NAME.service"); the name is "" for root. -ENOENT: no such unit, or no service manager. */
int service_unit_user(const char *unit, ServiceUser *ret);
void service_user_done(ServiceUser *user);

/* Tells the process that holds the lock of DIRECTORY, if any, that another process has changed something there. */
void service_knock(const char *directory);
/* *ret_fd* gets a descriptor that becomes readable at each service_knock() on DIRECTORY. service_hear() makes it
 * unreadable again. The lock file must exist. Errors of inotify(7). */
int service_listen(const char *directory, int *ret_fd);
void service_hear(int fd);
