/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "config-table.h"
#include "config-uri.h"
#include "lib/bytes.h"

#define OPTIONS_MAX 64
#define PROBLEM_ENCODING                                                                                               \
        "has a user or password with : / ? # [ ] @ or %% in it, which must be percent-encoded (@ as %%40)"

/* Options of the driver that may be set; names are compared without case. */
static const char *const allowed_options[] = {
        "appName",
        "authMechanism",
        "authMechanismProperties",
        "authSource",
        "canonicalizeHostname",
        "compressors",
        "connectTimeoutMS",
        "directConnection",
        "gssapiServiceName",
        "heartbeatFrequencyMS",
        "loadBalanced",
        "localThresholdMS",
        "maxPoolSize",
        "replicaSet",
        "retryReads",
        "serverSelectionTimeoutMS",
        "socketTimeoutMS",
        "srvMaxHosts",
        "srvServiceName",
        "ssl",
        "tls",
        "tlsAllowInvalidCertificates",
        "tlsAllowInvalidHostnames",
        "tlsCAFile",
        "tlsCertificateKeyFile",
        "tlsCertificateKeyFilePassword",
        "tlsDisableCertificateRevocationCheck",
        "tlsDisableOCSPEndpointCheck",
        "tlsInsecure",
        "waitQueueTimeoutMS",
        "zlibCompressionLevel",
        NULL,
};

/* What promise P3 rests on: a majority has it on disk, and a read for comparison sees it. */
static const char *const refused_options[] = {
        "w",
        "wtimeout",
        "wtimeoutMS",
        "journal",
        "j",
        "fsync",
        "safe",
        "retryWrites",
        "readConcernLevel",
        "readPreference",
        "readPreferenceTags",
        "maxStalenessSeconds",
        "slaveOk",
        NULL,
};

static bool slice_equal_nocase(Slice slice, const char *text) {
        return slice.size == strlen(text) && strncasecmp(slice.data, text, slice.size) == 0;
}

static const char *option_find(const char *const *names, Slice name) {
        for (; *names; names++)
                if (slice_equal_nocase(name, *names))
                        return *names;

        return NULL;
}

static const char *option_next(const void *list, size_t index) {
        return ((const char *const *) list)[index];
}

/* Percent-encoding as it must be in a user, a password, a socket's path. */
static bool percent_valid(Slice text) {
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] == '%' && (i + 2 >= text.size || !isxdigit((unsigned char) text.data[i + 1]) ||
                                                   !isxdigit((unsigned char) text.data[i + 2])))
                        return false;

        return true;
}

static int user_parse(Slice user, ConfigUri *uri, ConfigProblem *ret_problem) {
        const char *colon = memchr(user.data, ':', user.size);
        size_t size = colon ? (size_t) (colon - user.data) : user.size;

        if (size == 0)
                return config_problem_set(ret_problem, "has an empty user");
        if (colon && size + 1 == user.size)
                return config_problem_set(ret_problem, "has an empty password");
        if (memchr(user.data, '@', user.size) || (colon && memchr(colon + 1, ':', user.size - size - 1)) ||
                !percent_valid(user))
                return config_problem_set(ret_problem, PROBLEM_ENCODING);

        uri->user = true;
        uri->user_password = uri->secret = colon != NULL;
        return 0;
}

static bool port_valid(const char *text, size_t size) {
        unsigned value = 0;

        if (size < 1 || size > 5)
                return false;
        for (size_t i = 0; i < size; i++) {
                if (!isdigit((unsigned char) text[i]))
                        return false;
                value = value * 10 + (unsigned) (text[i] - '0');
        }
        return value >= 1 && value <= 65535;
}

/* A name with a domain: what DNS answers must lie in the domain above it, says MongoDB's specification of the seed
 * list. */
static int seed_check(Slice name, ConfigProblem *ret_problem) {
        unsigned dots = 0;
        bool letter = false;

        for (size_t i = 0; i < name.size; i++) {
                dots += name.data[i] == '.' && i > 0 && i + 1 < name.size;
                letter |= isalpha((unsigned char) name.data[i]) != 0;
        }
        if (dots < 2 || !letter || memchr(name.data, '%', name.size) || *name.data == '[' || *name.data == '.')
                return config_problem_set(
                        ret_problem, "has a host that is no name of three parts or more, which mongodb+srv:// needs");
        return 0;
}

/* HOST, HOST:PORT, [ADDRESS], [ADDRESS]:PORT, or the percent-encoded path of a socket. */
static int host_check(Slice host, bool srv, ConfigProblem *ret_problem) {
        const char *end = host.data + host.size, *name_end, *c;

        name_end = host.size > 0 && *host.data == '[' ? memchr(host.data, ']', host.size)
                                                      : memchr(host.data, ':', host.size);
        if (host.size > 0 && *host.data == '[') {
                if (!name_end)
                        return config_problem_set(ret_problem, "has a [ without ]");
                name_end++;
        } else if (!name_end)
                name_end = end;

        if (name_end == host.data)
                return config_problem_set(ret_problem, "has an empty host");
        for (c = host.data; c < name_end; c++)
                if (!isalnum((unsigned char) *c) && !strchr("-._%[]:", *c))
                        return config_problem_set(ret_problem, "has a host with a character that cannot be in one");
        if (!percent_valid((Slice){ host.data, (size_t) (name_end - host.data) }))
                return config_problem_set(ret_problem, "has a %% in a host that does not begin a percent-encoded byte");
        if (name_end == end)
                return srv ? seed_check(host, ret_problem) : 0;
        if (srv)
                return config_problem_set(ret_problem, "has a port, which mongodb+srv:// takes from DNS");
        if (*name_end != ':' || !port_valid(name_end + 1, (size_t) (end - name_end - 1)))
                return config_problem_set(ret_problem, "has a port that is none (1..65535)");
        return 0;
}

static int hosts_check(Slice hosts, bool srv, ConfigProblem *ret_problem) {
        const char *cursor = hosts.data, *end = hosts.data + hosts.size;

        for (;;) {
                const char *comma = memchr(cursor, ',', (size_t) (end - cursor)), *stop = comma ? comma : end;
                int r;

                r = host_check((Slice){ cursor, (size_t) (stop - cursor) }, srv, ret_problem);
                if (r < 0)
                        return r;
                if (!comma)
                        return 0;
                if (srv)
                        return config_problem_set(ret_problem, "has several hosts, but mongodb+srv:// takes one name");
                cursor = comma + 1;
        }
}

static int option_unknown(Slice name, ConfigProblem *ret_problem) {
        char text[40];
        const char *nearest;

        for (size_t i = 0; i < name.size; i++)
                if (!isalnum((unsigned char) name.data[i]))
                        return config_problem_set(ret_problem, "has an option with an odd name");
        if (name.size == 0 || name.size >= sizeof(text))
                return config_problem_set(ret_problem, "has an option without a proper name");

        *(char *) mempcpy(text, name.data, name.size) = '\0';
        nearest = config_table_nearest(text, option_next, allowed_options);
        if (nearest)
                return config_problem_set(ret_problem, "has an unknown option, did you mean %s?", nearest);
        return config_problem_set(ret_problem, "has an unknown option");
}

static int option_parse(Slice option, const char **ret_name, ConfigUri *uri, ConfigProblem *ret_problem) {
        const char *equals = memchr(option.data, '=', option.size), *name;
        Slice key = { option.data, equals ? (size_t) (equals - option.data) : option.size }, value;

        if (!equals || equals + 1 == option.data + option.size)
                return config_problem_set(ret_problem, "has an option without a value");

        name = option_find(refused_options, key);
        if (name)
                return config_problem_set(
                        ret_problem, "sets %s, which sensorqd sets itself so that nothing is lost", name);
        name = option_find(allowed_options, key);
        if (!name)
                return option_unknown(key, ret_problem);

        value = (Slice){ equals + 1, option.size - key.size - 1 };
        if (strcmp(name, "tlsCertificateKeyFilePassword") == 0 ||
                (strcmp(name, "authMechanismProperties") == 0 && memmem(value.data, value.size, "TOKEN", 5)))
                uri->secret = true;
        if (strcmp(name, "directConnection") == 0)
                uri->direct = slice_equal_nocase(value, "true");
        if (strcmp(name, "authMechanism") == 0)
                uri->keyless = slice_equal_nocase(value, "MONGODB-X509") || slice_equal_nocase(value, "GSSAPI") ||
                               slice_equal_nocase(value, "MONGODB-AWS");

        *ret_name = name;
        return 0;
}

/* What the driver refuses when it is too late for a good message. */
static int options_check(
        const char *const *seen, size_t n, bool srv, const ConfigUri *uri, ConfigProblem *ret_problem) {
        bool max_hosts = false, replica_set = false;

        for (size_t i = 0; i < n; i++) {
                if (!srv && strncmp(seen[i], "srv", 3) == 0)
                        return config_problem_set(ret_problem, "sets %s, which belongs to mongodb+srv://", seen[i]);
                max_hosts |= strcmp(seen[i], "srvMaxHosts") == 0;
                replica_set |= strcmp(seen[i], "replicaSet") == 0;
        }
        if (srv && uri->direct)
                return config_problem_set(
                        ret_problem, "sets directConnection, which mongodb+srv:// cannot have: name the host itself");
        if (max_hosts && replica_set)
                return config_problem_set(
                        ret_problem, "sets both srvMaxHosts and replicaSet, which exclude each other");
        return 0;
}

static int options_parse(const char *cursor, bool srv, ConfigUri *uri, ConfigProblem *ret_problem) {
        const char *seen[OPTIONS_MAX];
        size_t n = 0;

        while (*cursor != '\0') {
                size_t size = strcspn(cursor, "&");
                int r;

                if (n == OPTIONS_MAX)
                        return config_problem_set(ret_problem, "has more than %d options", OPTIONS_MAX);
                r = option_parse((Slice){ cursor, size }, &seen[n], uri, ret_problem);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < n; i++)
                        if (seen[i] == seen[n])
                                return config_problem_set(ret_problem, "has the option %s twice", seen[n]);
                n++;
                cursor += size;
                if (*cursor == '&')
                        cursor++;
        }

        return options_check(seen, n, srv, uri, ret_problem);
}

int config_uri_parse(const char *uri, ConfigUri *ret, ConfigProblem *ret_problem) {
        bool srv = strncmp(uri, "mongodb+srv://", 14) == 0;
        const char *authority, *end, *at, *query;
        ConfigUri parsed = {};
        int r;

        if (!srv && strncmp(uri, "mongodb://", 10) != 0)
                return config_problem_set(ret_problem, "does not begin with mongodb:// or mongodb+srv://");

        authority = uri + (srv ? 14 : 10);
        end = authority + strcspn(authority, "/?");
        query = end + strcspn(end, "?");
        if (memchr(end, '@', (size_t) (query - end)))
                return config_problem_set(ret_problem, PROBLEM_ENCODING);

        at = memrchr(authority, '@', (size_t) (end - authority));
        if (at) {
                r = user_parse((Slice){ authority, (size_t) (at - authority) }, &parsed, ret_problem);
                if (r < 0)
                        return r;
                authority = at + 1;
        }

        r = hosts_check((Slice){ authority, (size_t) (end - authority) }, srv, ret_problem);
        if (r < 0 && !at && strchr(end, '@')) /* what looks like a host is the first half of a user and password */
                return config_problem_set(ret_problem, PROBLEM_ENCODING);
        if (r < 0)
                return r;
        if (*end == '?')
                return config_problem_set(ret_problem, "has no / between the hosts and the options");

        if (*query == '?') {
                r = options_parse(query + 1, srv, &parsed, ret_problem);
                if (r < 0)
                        return r;
        }

        *ret = parsed;
        return 0;
}
