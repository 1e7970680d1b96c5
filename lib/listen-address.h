/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Addresses to listen on: "127.0.0.1:8480", "[::1]:8480", or "systemd:NAME" for a socket that the service manager
 * passes. */

#include <arpa/inet.h>
#include <stdbool.h>

/* True when *address* is well-formed. *ret_loopback* is true when only this machine can reach it; for systemd:NAME that
 * is not known, and it is false. */
bool listen_address_check(const char *address, bool *ret_loopback);

/* *ret_fd* gets a listening socket that does not block. -ENOENT: the service manager passed no such socket; -EINVAL:
 * not well-formed; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, ...: errors of bind(2). */
int listen_address_open(const char *address, int *ret_fd);

/* True when the name in a Host header is one of ours: an address, `localhost`, the machine's name and NAME.local, or
 * one of *hosts* (NULL at the end; may be NULL). A stranger can make his own name point to this machine (DNS
 * rebinding), but not an address. */
bool listen_host_is_ours(const char *header, const char *const *hosts);

/* Writes what counts as one client: the address of *peer*, or of IPv6 its first half. One host has all addresses of
 * that. */
void listen_peer_host(const char *peer, char ret[static INET6_ADDRSTRLEN]);
