/* SPDX-License-Identifier: Apache-2.0 */
#include "http-internal.h"

#include <arpa/inet.h>
#include <ctype.h>

#define HOST_MAX 253 /* RFC 1035 section 2.3.4 */

/* RFC 3986 section 2, but without `#`: a fragment is never sent to a server, so it is a mistake. Characters beyond
 * ASCII must be percent-encoded, or IDNA in a host. */
static bool url_text_valid(const char *url) {
        for (const char *c = url; *c != '\0'; c++)
                if (*c <= ' ' || *c > '~' || strchr("\"#<>\\^`{|}", *c))
                        return false;

        return true;
}

/* ":1" to ":65535", or nothing. */
static bool url_port_valid(const char *port, const char *end) {
        unsigned value = 0;

        if (port == end)
                return true;

        if (*port++ != ':' || end - port < 1 || end - port > 5)
                return false;

        for (; port < end; port++) {
                if (!isdigit((unsigned char) *port))
                        return false;
                value = value * 10 + (unsigned) (*port - '0');
        }

        return value >= 1 && value <= 65535;
}

/* Resolvers and libcurl also read `127.1`, `0x7f000001` and `2130706433` as addresses. Here only the plain form counts
 * as an address. */
static bool url_looks_numeric(const char *host) {
        const char *last = strrchr(host, '.');

        last = last ? last + 1 : host;
        if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X'))
                return true;

        return *last != '\0' && last[strspn(last, "0123456789")] == '\0';
}

static bool url_name_valid(const char *host) {
        struct in_addr address;

        if (host[0] == '\0' || host[0] == '.' || strstr(host, ".."))
                return false;

        for (const char *c = host; *c != '\0'; c++)
                if (!isalnum((unsigned char) *c) && !strchr(".-_", *c))
                        return false;

        return !url_looks_numeric(host) || inet_pton(AF_INET, host, &address) == 1;
}

/* Copies the host from *authority* without brackets. */
static int url_split_host(const char *authority, const char *end, char host[static HOST_MAX + 1], bool *ret_v6) {
        const char *begin = authority, *stop;
        struct in6_addr address;
        bool v6 = *authority == '[';

        if (v6)
                begin++;
        stop = begin + strcspn(begin, v6 ? "]" : ":");
        if (stop > end)
                stop = end;
        if (stop - begin > HOST_MAX)
                return HTTP_URL_MALFORMED;

        *(char *) mempcpy(host, begin, (size_t) (stop - begin)) = '\0';
        if (v6 ? (stop == end || inet_pton(AF_INET6, host, &address) != 1) : !url_name_valid(host))
                return HTTP_URL_MALFORMED;
        if (!url_port_valid(v6 ? stop + 1 : stop, end))
                return HTTP_URL_MALFORMED;

        *ret_v6 = v6;
        return HTTP_URL_OK;
}

/* True for the metadata server of a virtual machine, above all Google's, by any of its names and addresses. */
static bool url_host_is_metadata(const char *host, bool v6) {
        static const char *const names[] = { "metadata.google.internal", "metadata.goog", "metadata",
                "169.254.169.254" };
        static const char *const addresses[] = { "::ffff:169.254.169.254", "fd20:ce::254", "fd00:ec2::254" };
        size_t size = strlen(host);
        struct in6_addr address, known;

        size -= size > 1 && host[size - 1] == '.';
        for (size_t i = 0; !v6 && i < ELEMENTSOF(names); i++)
                if (size == strlen(names[i]) && strncasecmp(host, names[i], size) == 0)
                        return true;
        for (size_t i = 0; v6 && i < ELEMENTSOF(addresses); i++)
                if (inet_pton(AF_INET6, host, &address) == 1 && inet_pton(AF_INET6, addresses[i], &known) == 1 &&
                        IN6_ARE_ADDR_EQUAL(&address, &known))
                        return true;
        return false;
}

static bool url_host_is_loopback(const char *host, bool v6) {
        struct in6_addr address6;
        struct in_addr address;

        if (v6)
                return inet_pton(AF_INET6, host, &address6) == 1 && IN6_IS_ADDR_LOOPBACK(&address6);

        if (inet_pton(AF_INET, host, &address) == 1)
                return ntohl(address.s_addr) >> 24 == 127;

        return strcasecmp(host, "localhost") == 0;
}

typedef struct Url {
        bool tls, loopback, metadata;
} Url;

static int url_parse(const char *url, Url *ret) {
        char host[HOST_MAX + 1];
        const char *authority;
        bool tls, v6;
        int r;

        tls = strncasecmp(url, "https://", strlen("https://")) == 0;
        if (!tls && strncasecmp(url, "http://", strlen("http://")) != 0)
                return HTTP_URL_MALFORMED;
        if (!url_text_valid(url))
                return HTTP_URL_MALFORMED;

        authority = url + (tls ? strlen("https://") : strlen("http://"));
        r = url_split_host(authority, authority + strcspn(authority, "/?"), host, &v6);
        if (r != HTTP_URL_OK)
                return r;

        *ret = (Url){
                .tls = tls, .loopback = url_host_is_loopback(host, v6), .metadata = url_host_is_metadata(host, v6)
        };
        return HTTP_URL_OK;
}

int http_url_check(const char *url) {
        Url parsed;
        int r;

        r = url_parse(url, &parsed);
        if (r != HTTP_URL_OK)
                return r;
        if (parsed.tls || parsed.loopback)
                return HTTP_URL_OK;
        return parsed.metadata ? HTTP_URL_METADATA : HTTP_URL_PLAIN;
}

bool http_url_is_local(const char *url) {
        Url parsed;

        return url_parse(url, &parsed) == HTTP_URL_OK && (parsed.loopback || parsed.metadata);
}
