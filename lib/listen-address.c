/* SPDX-License-Identifier: Apache-2.0 */
#include "listen-address.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bytes.h"
#include "err.h"
#include "service.h"
#include "text.h"

#define BACKLOG 128

/* ---- addresses ---- */

typedef union Address {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
} Address;

static bool port_parse(const char *text, in_port_t *ret) {
        char *end;
        unsigned long port;

        if (text[0] < '0' || text[0] > '9')
                return false;
        port = strtoul(text, &end, 10);
        if (*end != '\0' || port > 65535)
                return false;
        *ret = htons((uint16_t) port);
        return true;
}

static bool address_parse(const char *text, Address *ret) {
        const char *colon = strrchr(text, ':');
        char host[INET6_ADDRSTRLEN + 2];
        size_t size;

        *ret = (Address){};
        if (!colon || (size = (size_t) (colon - text)) >= sizeof(host) || size == 0)
                return false;
        memcpy(host, text, size);
        host[size] = '\0';
        if (host[0] == '[' && host[size - 1] == ']') {
                host[size - 1] = '\0';
                ret->six.sin6_family = AF_INET6;
                return inet_pton(AF_INET6, host + 1, &ret->six.sin6_addr) == 1 &&
                       port_parse(colon + 1, &ret->six.sin6_port);
        }
        ret->four.sin_family = AF_INET;
        return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &ret->four.sin_addr) == 1 &&
               port_parse(colon + 1, &ret->four.sin_port);
}

static const char *address_socket_name(const char *address) {
        return strncmp(address, "systemd:", strlen("systemd:")) == 0 ? address + strlen("systemd:") : NULL;
}

bool listen_address_check(const char *address, bool *ret_loopback) {
        const char *name = address_socket_name(address);
        Address parsed;

        *ret_loopback = false;
        if (name)
                return name[0] != '\0';
        if (!address_parse(address, &parsed))
                return false;
        *ret_loopback = parsed.any.sa_family == AF_INET ? (ntohl(parsed.four.sin_addr.s_addr) >> 24) == 127
                                                        : IN6_IS_ADDR_LOOPBACK(&parsed.six.sin6_addr);
        return true;
}

int listen_address_open(const char *address, int *ret_fd) {
        const char *name = address_socket_name(address);
        _cleanup_close_ int fd = -1;
        Address parsed;
        int on = 1;

        if (name)
                return service_socket(name, ret_fd);
        if (!address_parse(address, &parsed))
                return -EINVAL;
        fd = socket(parsed.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return err_errno();
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (parsed.any.sa_family == AF_INET6)
                (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
        if (bind(fd, &parsed.any, parsed.any.sa_family == AF_INET6 ? sizeof(parsed.six) : sizeof(parsed.four)) < 0)
                return err_errno();
        if (listen(fd, BACKLOG) < 0)
                return err_errno();
        *ret_fd = cleanup_steal_fd(&fd);
        return 0;
}

/* ---- Host ---- */

/* People may write the name as a browser shows it, with a scheme, a port or a path. */
static bool host_is_named(Slice host, const char *name) {
        const char *scheme = strstr(name, "://"), *from = scheme ? scheme + strlen("://") : name;

        return host.size > 0 && host.size == strcspn(from, ":/") && strncasecmp(host.data, from, host.size) == 0;
}

static bool host_is_address(Slice host) {
        char text[INET6_ADDRSTRLEN];
        struct in6_addr address;

        if (host.size >= sizeof(text) || host.size == 0)
                return false;
        memcpy(text, host.data, host.size);
        text[host.size] = '\0';
        if (text[0] == '[' && text[host.size - 1] == ']') {
                text[strcspn(text, "%]")] = '\0'; /* before the zone, which some clients send, too (RFC 6874) */
                return inet_pton(AF_INET6, text + 1, &address) == 1;
        }
        return inet_pton(AF_INET, text, &address) == 1;
}

bool listen_host_is_ours(const char *header, const char *const *hosts) {
        char own[HOST_NAME_MAX + 1] = "", local[HOST_NAME_MAX + sizeof(".local")];
        const char *bracket = strchr(header, ']'), *colon = strchr(bracket ? bracket : header, ':');
        Slice host = { header, colon ? (size_t) (colon - header) : strlen(header) };

        if (host_is_address(host) || slice_equal_nocase(host, "localhost"))
                return true;
        for (size_t i = 0; hosts && hosts[i]; i++)
                if (host_is_named(host, hosts[i]))
                        return true;
        if (gethostname(own, sizeof(own) - 1) < 0 || own[0] == '\0')
                return false;
        (void) snprintf(local, sizeof(local), "%s.local", own);
        return slice_equal_nocase(host, own) || slice_equal_nocase(host, local);
}

/* ---- clients ---- */

void listen_peer_host(const char *peer, char ret[static INET6_ADDRSTRLEN]) {
        struct in6_addr six;

        text_copy(ret, INET6_ADDRSTRLEN, peer);
        if (inet_pton(AF_INET6, peer, &six) != 1 || IN6_IS_ADDR_V4MAPPED(&six))
                return;
        memset(six.s6_addr + 8, 0, 8);
        (void) inet_ntop(AF_INET6, &six, ret, INET6_ADDRSTRLEN);
}
