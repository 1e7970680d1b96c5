/* SPDX-License-Identifier: Apache-2.0 */
#include "http-internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

/* RFC 3986 section 2, but without `#`: a fragment is never sent to a server, so it is a mistake. Characters beyond
 * ASCII must be percent-encoded, or IDNA in a host. */
static bool url_text_valid(const char *url) {
        for (const char *c = url; *c != '\0'; c++)
                if (*c <= ' ' || *c > '~' || strchr("\"#<>\\^`{|}", *c))
                        return false;

        return true;
}

bool http_url_split_host(const char *text, HttpUrl *ret) {
        bool v6 = text[0] == '[';
        const char *host = text + v6, *end = host + strcspn(host, v6 ? "]/?#" : ":/?#"), *port = end + v6;
        size_t size = (size_t) (end - host), digits;
        unsigned long value;

        if (size == 0 || size >= sizeof(ret->host) || (v6 && *end != ']'))
                return false;
        ret->v6 = v6;
        *(char *) mempcpy(ret->host, host, size) = '\0';
        if (strchr("/?#", *port)) /* the end, too */
                return true;
        digits = strspn(port + 1, "0123456789");
        value = strtoul(port + 1, NULL, 10);
        ret->port = (uint16_t) value;
        return *port == ':' && digits >= 1 && digits <= 5 && strchr("/?#", port[1 + digits]) && value >= 1 &&
               value <= UINT16_MAX;
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

        if (host[0] == '.' || strstr(host, ".."))
                return false;

        for (const char *c = host; *c != '\0'; c++)
                if (!isalnum((unsigned char) *c) && !strchr(".-_", *c))
                        return false;

        return !url_looks_numeric(host) || inet_pton(AF_INET, host, &address) == 1;
}

/* True for the metadata server of a virtual machine, above all Google's, by any of its names and addresses. */
static bool url_is_metadata(const HttpUrl *url) {
        static const char *const names[] = { "metadata.google.internal", "metadata.goog", "metadata",
                "169.254.169.254" };
        static const char *const addresses[] = { "::ffff:169.254.169.254", "fd20:ce::254", "fd00:ec2::254" };
        const char *host = url->host;
        size_t size = strlen(host);
        struct in6_addr address, known;

        size -= size > 1 && host[size - 1] == '.';
        for (size_t i = 0; !url->v6 && i < ELEMENTSOF(names); i++)
                if (size == strlen(names[i]) && strncasecmp(host, names[i], size) == 0)
                        return true;
        for (size_t i = 0; url->v6 && i < ELEMENTSOF(addresses); i++)
                if (inet_pton(AF_INET6, host, &address) == 1 && inet_pton(AF_INET6, addresses[i], &known) == 1 &&
                        IN6_ARE_ADDR_EQUAL(&address, &known))
                        return true;
        return false;
}

bool http_url_is_loopback(const HttpUrl *url) {
        struct in6_addr address6;
        struct in_addr address;

        if (url->v6 && inet_pton(AF_INET6, url->host, &address6) == 1)
                return IN6_IS_ADDR_LOOPBACK(&address6);
        if (inet_pton(AF_INET, url->host, &address) == 1)
                return ntohl(address.s_addr) >> 24 == 127;
        return strcasecmp(url->host, "localhost") == 0;
}

bool http_url_split(const char *url, HttpUrl *ret) {
        static const char tls[] = "https://", plain[] = "http://";
        bool is_tls = strncasecmp(url, tls, strlen(tls)) == 0;
        struct in6_addr address;

        if (!is_tls && strncasecmp(url, plain, strlen(plain)) != 0)
                return false;
        *ret = (HttpUrl){ .tls = is_tls, .port = is_tls ? 443 : 80 };
        return http_url_split_host(url + strlen(is_tls ? tls : plain), ret) &&
               (ret->v6 ? inet_pton(AF_INET6, ret->host, &address) == 1 : url_name_valid(ret->host));
}

int http_url_check(const char *url) {
        HttpUrl parsed;

        if (!url_text_valid(url) || !http_url_split(url, &parsed))
                return HTTP_URL_MALFORMED;
        if (parsed.tls || http_url_is_loopback(&parsed))
                return HTTP_URL_OK;
        return url_is_metadata(&parsed) ? HTTP_URL_METADATA : HTTP_URL_PLAIN;
}

bool http_url_is_local(const char *url) {
        HttpUrl parsed;

        return http_url_split(url, &parsed) && (http_url_is_loopback(&parsed) || url_is_metadata(&parsed));
}
