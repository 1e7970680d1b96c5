/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Addresses to listen on: "127.0.0.1:8480", "[::1]:8480", or "systemd:NAME" for a socket that the service manager hands
 * over. */

#include <stdbool.h>

/* Whether *address* is well-formed; *ret_loopback* says that nobody beyond this machine reaches it, which of
 * systemd:NAME is not known and counts as false. */
bool listen_address_check(const char *address, bool *ret_loopback);

/* A socket that listens there and does not block. -ENOENT: the service manager handed over no such socket; -EINVAL: not
 * well-formed; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, ...: as bind(2). */
int listen_address_open(const char *address, int *ret_fd);

/* Whether the name in a Host header is one of ours: an address, `localhost`, the machine's name and NAME.local, or one
 * of *hosts* (NULL at the end; may be NULL). Names that somebody else owns can be made to point here (DNS rebinding);
 * addresses cannot. */
bool listen_host_is_ours(const char *header, const char *const *hosts);
