/* SPDX-License-Identifier: Apache-2.0 */
#include "http-internal.h"

#include <arpa/inet.h>
#include <ctype.h>

/* RFC 3986 section 2, but without `#`: a fragment is never sent to a server, so it is a mistake. Characters beyond
 * ASCII must be percent-encoded, or IDNA in a host. */
static bool url_text_valid(const char *url) {
        for (const char *c = url; *c != '\0'; c++)
                if (*c <= ' ' || *c > '~' || strchr("\"#<>\\^`{|}", *c))
                        return false;

        return true;
}

/* Reads ":1" to ":65535", or nothing, which leaves *ret as it is. */
static bool url_read_port(const char *port, const char *end, uint16_t *ret) {
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

        *ret = (uint16_t) value;
        return value >= 1 && value <= UINT16_MAX;
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

bool http_url_split(const char *url, HttpUrl *ret) {
        static const char tls[] = "https://", plain[] = "http://";
        bool is_tls = strncasecmp(url, tls, strlen(tls)) == 0;
        const char *begin = url + strlen(is_tls ? tls : plain), *end, *stop;
        struct in6_addr address;

        if (!is_tls && strncasecmp(url, plain, strlen(plain)) != 0)
                return false;
        end = begin + strcspn(begin, "/?#");
        *ret = (HttpUrl){ .tls = is_tls, .v6 = *begin == '[', .port = is_tls ? 443 : 80 };
        begin += ret->v6;
        stop = begin + strcspn(begin, ret->v6 ? "]" : ":");
        if (stop > end)
                stop = end;
        if ((size_t) (stop - begin) >= sizeof(ret->host))
                return false;
        memcpy(ret->host, begin, (size_t) (stop - begin));
        if (ret->v6 ? (stop == end || inet_pton(AF_INET6, ret->host, &address) != 1) : !url_name_valid(ret->host))
                return false;
        return url_read_port(ret->v6 ? stop + 1 : stop, end, &ret->port);
}

int http_url_check(const char *url) {
        HttpUrl parsed;

        if (!url_text_valid(url) || !http_url_split(url, &parsed))
                return HTTP_URL_MALFORMED;
        if (parsed.tls || url_host_is_loopback(parsed.host, parsed.v6))
                return HTTP_URL_OK;
        return url_host_is_metadata(parsed.host, parsed.v6) ? HTTP_URL_METADATA : HTTP_URL_PLAIN;
}

bool http_url_is_local(const char *url) {
        HttpUrl parsed;

        return http_url_split(url, &parsed) &&
               (url_host_is_loopback(parsed.host, parsed.v6) || url_host_is_metadata(parsed.host, parsed.v6));
}
