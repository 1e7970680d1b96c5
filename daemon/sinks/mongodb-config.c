/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config-table.h"
#include "lib/bytes.h"
#include "lib/http.h"
#include "lib/text.h"
#include "secret.h"

#define TEXT_MAX 1024
#define DATE_FIELDS_MAX 64
#define NAMESPACE_MAX 255 /* bytes of DATABASE.COLLECTION: MongoDB manual, "MongoDB Limits and Thresholds" */
#define COLLECTION_SUFFIX "_rejected"
#define HEARTBEAT_MIN 500 /* the driver's limit */

#define OPTIONS_MAX 64
#define PROBLEM_ENCODING                                                                                               \
        "has a user or password with : / ? # [ ] @ or %% in it, which must be percent-encoded (@ as %%40)"

/* What a connection string contains. */
typedef struct Uri {
        bool user;          /* names a user */
        bool user_password; /* has a password after the user */
        bool secret;        /* has a password there or in an option */
        bool direct;        /* directConnection=true */
        bool balanced;      /* loadBalanced=true */
        bool several;       /* names several hosts */
        bool needs_user;    /* its mechanism needs a user (SCRAM, PLAIN, Kerberos) */
        bool unchecked;     /* the server's certificate is not checked */
        bool keyless;       /* its mechanism needs no password (X.509, Kerberos, AWS, OIDC) */
        bool clear;         /* its mechanism sends the password in clear text (PLAIN) */
        bool tls, tls_said; /* TLS is on; tls= or ssl= is given */
        bool torn;          /* tls= and ssl= contradict each other */
        bool away;          /* a host is another machine */
} Uri;

/* ---- the connection string ---- */

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
        "maxIdleTimeMS", /* in Azure's strings; the driver does not know it */
        "maxPoolSize",
        "replicaSet",
        "retryReads",
        "retryWrites", /* both values are safe: every write has a key and may be repeated */
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

/* Options that are true or false, and options that are numbers. With other values the driver refuses the string. */
static const char *const switches[] = { "canonicalizeHostname", "directConnection", "loadBalanced", "retryReads",
        "retryWrites", "ssl", "tls", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames",
        "tlsDisableCertificateRevocationCheck", "tlsDisableOCSPEndpointCheck", "tlsInsecure", NULL };
static const char *const numbers[] = { "connectTimeoutMS", "heartbeatFrequencyMS", "localThresholdMS", "maxIdleTimeMS",
        "maxPoolSize", "serverSelectionTimeoutMS", "socketTimeoutMS", "srvMaxHosts", "waitQueueTimeoutMS",
        "zlibCompressionLevel", NULL };

/* Pairs of options that the driver refuses together. */
static const char *const exclusive[][2] = {
        { "srvMaxHosts", "replicaSet" },
        { "tlsInsecure", "tlsAllowInvalidCertificates" },
        { "tlsInsecure", "tlsAllowInvalidHostnames" },
        { "tlsInsecure", "tlsDisableOCSPEndpointCheck" },
        { "tlsInsecure", "tlsDisableCertificateRevocationCheck" },
        { "tlsAllowInvalidCertificates", "tlsDisableOCSPEndpointCheck" },
        { "tlsAllowInvalidCertificates", "tlsDisableCertificateRevocationCheck" },
        { "tlsDisableOCSPEndpointCheck", "tlsDisableCertificateRevocationCheck" },
};

/* Options on which promise P3 depends: a majority has a write on disk, and reads for comparison see it. An option may
 * repeat the value that sensorqd sets, as in Atlas's strings. */
static const struct {
        const char *name, *value; /* NULL: no value is allowed */
} own_options[] = {
        { "w", "majority" },
        { "journal", "true" },
        { "j", "true" },
        { "safe", "true" },
        { "readConcernLevel", "majority" },
        { "readPreference", "primary" },
        { "wtimeout", NULL },
        { "wtimeoutMS", NULL },
        { "fsync", NULL },
        { "readPreferenceTags", NULL },
        { "maxStalenessSeconds", NULL },
        { "slaveOk", NULL },
};

static const char *option_find(const char *const *names, Slice name) {
        for (; *names; names++)
                if (slice_equal_nocase(name, *names))
                        return *names;

        return NULL;
}

/* Whether the percent-encoding of a user, a password or a socket's path is valid. */
static bool percent_valid(Slice text) {
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] == '%' && (i + 2 >= text.size || !isxdigit((unsigned char) text.data[i + 1]) ||
                                                   !isxdigit((unsigned char) text.data[i + 2])))
                        return false;

        return true;
}

static int user_parse(Slice user, Uri *uri, ConfigProblem *ret_problem) {
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

/* Checks a mongodb+srv name. It needs a domain: by MongoDB's specification of the seed list, the hosts that DNS returns
 * must be in its parent domain. */
static int seed_check(Slice name, ConfigProblem *ret_problem) {
        unsigned dots = 0;
        bool letter = false;

        for (size_t i = 0; i < name.size; i++) {
                dots += name.data[i] == '.' && i > 0 && i + 1 < name.size;
                letter |= isalpha((unsigned char) name.data[i]) != 0;
        }
        if (dots < 2 || !letter || memchr(name.data, '%', name.size) || *name.data == '[' || *name.data == '.')
                return config_problem_set(ret_problem,
                        "has a host that is not a name of three parts or more, which mongodb+srv:// needs");
        return 0;
}

/* Checks HOST, HOST:PORT, [ADDRESS], [ADDRESS]:PORT, or the percent-encoded path of a socket. */
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
                return config_problem_set(ret_problem, "has a port that is not one of 1..65535");
        return 0;
}

/* Whether the host is this machine or a socket on it. */
static bool host_is_here(Slice host) {
        _cleanup_bytes_ Bytes url = {};

        if (host.size > 3 && strncasecmp(host.data, "%2f", 3) == 0)
                return true;
        return bytes_append_format(&url, "http://%.*s/", (int) host.size, host.data) == 0 &&
               http_url_check(url.data) == HTTP_URL_OK;
}

static int hosts_check(Slice hosts, bool srv, Uri *uri, ConfigProblem *ret_problem) {
        const char *cursor = hosts.data, *end = hosts.data + hosts.size;

        for (;;) {
                const char *comma = memchr(cursor, ',', (size_t) (end - cursor)), *stop = comma ? comma : end;
                int r;

                r = host_check((Slice){ cursor, (size_t) (stop - cursor) }, srv, ret_problem);
                if (r < 0)
                        return r;
                uri->away |= srv || !host_is_here((Slice){ cursor, (size_t) (stop - cursor) });
                if (!comma)
                        return 0;
                uri->several = true;
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
        nearest = config_table_nearest(text, allowed_options);
        if (nearest)
                return config_problem_set(ret_problem, "has an unknown option, did you mean %s?", nearest);
        return config_problem_set(ret_problem, "has an unknown option");
}

/* Handles an option that sensorqd sets itself, or an unknown one. */
static int option_own(Slice key, Slice value, const char **ret_name, ConfigProblem *ret_problem) {
        for (size_t i = 0; i < ELEMENTSOF(own_options); i++) {
                const char *name = own_options[i].name, *own = own_options[i].value;

                if (!slice_equal_nocase(key, name))
                        continue;
                if (!own)
                        return config_problem_set(
                                ret_problem, "sets %s, which sensorqd sees to itself: remove it", name);
                if (!slice_equal_nocase(value, own))
                        return config_problem_set(ret_problem,
                                "sets %s to something other than %s, so that readings could be lost: remove it", name,
                                own);
                *ret_name = name;
                return 0;
        }
        return option_unknown(key, ret_problem);
}

/* Reads a boolean as the driver does, which warns of odd values only in its own log. */
static bool is_true(Slice value) {
        static const char *const words[] = { "true", "1", "yes", "y", "t", NULL };

        return option_find(words, value) != NULL;
}

static bool is_false(Slice value) {
        static const char *const words[] = { "0", "-1", "no", "n", "f" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (slice_equal(value, words[i]))
                        return true;
        return slice_equal_nocase(value, "false");
}

static int number_check(const char *name, Slice value, ConfigProblem *ret_problem) {
        char *end;
        long long number = strtoll(value.data, &end, 10); /* a long may have 32 bits (Raspberry Pi) */

        if (end != value.data + value.size || number < INT32_MIN || number > INT32_MAX)
                return config_problem_set(
                        ret_problem, "sets %s to something other than a whole number, without a unit", name);
        if (strcmp(name, "heartbeatFrequencyMS") == 0 && number < HEARTBEAT_MIN)
                return config_problem_set(ret_problem, "sets %s to less than %d", name, HEARTBEAT_MIN);
        if (strcmp(name, "zlibCompressionLevel") == 0 && (number < -1 || number > 9))
                return config_problem_set(ret_problem, "sets %s to something other than -1 to 9", name);
        return 0;
}

static int value_check(const char *name, Slice value, ConfigProblem *ret_problem) {
        if (!percent_valid(value))
                return config_problem_set(
                        ret_problem, "has a %% in %s that does not begin a percent-encoded byte", name);
        if (option_find(switches, (Slice){ name, strlen(name) }) && !is_true(value) && !is_false(value))
                return config_problem_set(ret_problem, "sets %s to something other than true or false", name);
        return option_find(numbers, (Slice){ name, strlen(name) }) ? number_check(name, value, ret_problem) : 0;
}

/* As mongoc_uri_get_tls(): any other TLS option means tls=true unless tls= or ssl= is given. */
static void option_tls(const char *name, Slice value, Uri *uri) {
        if (strcmp(name, "tls") == 0 || strcmp(name, "ssl") == 0) {
                uri->torn |= uri->tls_said && uri->tls != is_true(value);
                uri->tls = is_true(value);
                uri->tls_said = true;
        } else if (strncmp(name, "tls", 3) == 0 && !uri->tls_said)
                uri->tls = true;
}

static void option_authentication(Slice value, Uri *uri) {
        static const char *const with_user[] = { "SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN", "GSSAPI", NULL };
        static const char *const without_password[] = { "MONGODB-X509", "GSSAPI", "MONGODB-AWS", "MONGODB-OIDC", NULL };

        uri->needs_user = option_find(with_user, value) != NULL;
        uri->keyless = option_find(without_password, value) != NULL;
        uri->clear = slice_equal_nocase(value, "PLAIN");
}

static int option_parse(Slice option, const char **ret_name, Uri *uri, ConfigProblem *ret_problem) {
        const char *equals = memchr(option.data, '=', option.size), *name;
        Slice key = { option.data, equals ? (size_t) (equals - option.data) : option.size }, value;
        int r;

        if (!equals || equals + 1 == option.data + option.size)
                return config_problem_set(ret_problem, "has an option without a value");

        value = (Slice){ equals + 1, option.size - key.size - 1 };
        name = option_find(allowed_options, key);
        if (!name)
                return option_own(key, value, ret_name, ret_problem);
        r = value_check(name, value, ret_problem);
        if (r < 0)
                return r;

        if (strcmp(name, "tlsCertificateKeyFilePassword") == 0 ||
                (strcmp(name, "authMechanismProperties") == 0 && memmem(value.data, value.size, "TOKEN", 5)))
                uri->secret = true;
        if (strcmp(name, "tlsInsecure") == 0 || strncmp(name, "tlsAllowInvalid", 15) == 0)
                uri->unchecked |= is_true(value);
        option_tls(name, value, uri);
        if (strcmp(name, "directConnection") == 0)
                uri->direct = is_true(value);
        if (strcmp(name, "loadBalanced") == 0)
                uri->balanced = is_true(value);
        if (strcmp(name, "authMechanism") == 0)
                option_authentication(value, uri);

        *ret_name = name;
        return 0;
}

static bool is_seen(const char *const *seen, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(seen[i], name) == 0)
                        return true;
        return false;
}

/* Checks what the driver would refuse later, when a good message is not possible any more. */
static int options_check(const char *const *seen, size_t n, bool srv, const Uri *uri, ConfigProblem *ret_problem) {
        for (size_t i = 0; i < n; i++)
                if (!srv && strncmp(seen[i], "srv", 3) == 0)
                        return config_problem_set(ret_problem, "sets %s, which belongs to mongodb+srv://", seen[i]);
        for (size_t i = 0; i < ELEMENTSOF(exclusive); i++)
                if (is_seen(seen, n, exclusive[i][0]) && is_seen(seen, n, exclusive[i][1]))
                        return config_problem_set(ret_problem, "sets both %s and %s, which exclude each other",
                                exclusive[i][0], exclusive[i][1]);
        if (uri->torn)
                return config_problem_set(ret_problem, "sets tls and ssl, one to true and one to false");
        if (srv && uri->direct)
                return config_problem_set(
                        ret_problem, "sets directConnection, which mongodb+srv:// cannot have: name the host itself");
        if (uri->direct && uri->several)
                return config_problem_set(ret_problem, "sets directConnection, which goes with one host only");
        if (uri->balanced && (uri->several || uri->direct || is_seen(seen, n, "replicaSet")))
                return config_problem_set(ret_problem,
                        "sets loadBalanced, which goes with one host, and without replicaSet and directConnection");
        if (uri->needs_user && !uri->user)
                return config_problem_set(ret_problem, "sets an authMechanism, and names no user");
        return 0;
}

static int options_parse(const char *cursor, bool srv, Uri *uri, ConfigProblem *ret_problem) {
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

/* Parses a connection string. -EBADMSG, with *ret_problem* filled in: no scheme, no host, a bad port, an unknown or
 * repeated option, one that sensorqd sets itself, or one that does not fit mongodb+srv://. */
static int uri_parse(const char *uri, Uri *ret, ConfigProblem *ret_problem) {
        bool srv = strncmp(uri, "mongodb+srv://", 14) == 0;
        const char *authority, *end, *at, *query;
        Uri parsed = { .tls = srv };
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

        r = hosts_check((Slice){ authority, (size_t) (end - authority) }, srv, &parsed, ret_problem);
        if (r < 0 && !at && strchr(end, '@')) /* what looks like a host is the first part of a user and password */
                return config_problem_set(ret_problem, PROBLEM_ENCODING);
        if (r < 0)
                return r;
        if (*end == '?')
                return config_problem_set(ret_problem, "has no / between the hosts and the options");
        for (const char *c = end + 1; c < query; c++)
                if (strchr("/\\. \"$", *c))
                        return config_problem_set(ret_problem,
                                "has a database behind the hosts with a character that MongoDB does not allow there");

        if (*query == '?') {
                r = options_parse(query + 1, srv, &parsed, ret_problem);
                if (r < 0)
                        return r;
        }

        *ret = parsed;
        return 0;
}

/* ---- the section ---- */

static int uri_check(const char *text, ConfigProblem *ret_problem) {
        Uri uri;

        return uri_parse(text, &uri, ret_problem);
}

/* MongoDB manual, "MongoDB Limits and Thresholds": the characters allowed on Windows, so that a dump can be restored
 * there. */
static int database_check(const char *text, ConfigProblem *ret_problem) {
        if (strcmp(text, "admin") == 0 || strcmp(text, "local") == 0 || strcmp(text, "config") == 0)
                return config_problem_set(ret_problem, "is a database that MongoDB keeps for itself");
        if (strpbrk(text, "/\\. \"$*<>:|?"))
                return config_problem_set(
                        ret_problem, "holds a character that MongoDB does not allow in a database's name");
        return 0;
}

static int collection_check(const char *text, ConfigProblem *ret_problem) {
        size_t size = strlen(text);

        if (strncmp(text, "system.", 7) == 0)
                return config_problem_set(ret_problem, "begins with system., which MongoDB keeps for itself");
        if (strchr(text, '$'))
                return config_problem_set(ret_problem, "holds a $");
        if (text[0] == '.' || text[size - 1] == '.' || strstr(text, ".."))
                return config_problem_set(ret_problem, "has a dot at an end, or two in a row");
        return 0;
}

static const ConfigType type_uri = { "MongoDB URI",
        "mongodb://[USER@]HOST[:PORT],.../[?OPTION=VALUE&...], or mongodb+srv://", CONFIG_TEXT, .text = uri_check,
        .private = true };
static const ConfigType type_database = { "database", "1 to 63 bytes without / \\ . \" $ * < > : | ? or a space",
        CONFIG_TEXT, .text = database_check };
static const ConfigType type_collection = { "collection", "a name without $ that does not begin with system.",
        CONFIG_TEXT, .text = collection_check };

#define MONGODB(field) offsetof(MongodbConfig, field)

/* clang-format off */
static const ConfigRow rows[] = {
        { "uri", &type_uri, MONGODB(uri), 1, 4 * TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "MongoDB's connection string." },
        { "password_file", &config_type_secret, MONGODB(password), 1, TEXT_MAX,
                .doc = "The password of the user in uri." },
        { "database", &type_database, MONGODB(database), 1, 63, .flags = CONFIG_REQUIRED,
                .doc = "The database that documents are stored in." },
        { "collection", &type_collection, MONGODB(collection), 1, 200, .flags = CONFIG_REQUIRED,
                .doc = "The collection that documents are stored in." },
        { "rejected_collection", &type_collection, MONGODB(rejected_collection), 1, 200,
                .derived = "COLLECTION_rejected",
                .doc = "The collection for messages that can never be stored, each with the reason." },
        { "date_fields", &config_type_names, MONGODB(date_fields), 0, DATE_FIELDS_MAX, "[created_at, updated_at, request_at, measured_at]", .flags = CONFIG_UNIQUE,
                .doc = "Names, at any depth, whose RFC 3339 strings become BSON dates." },
        { "backoff", &config_type_section, MONGODB(backoff), .section = &config_backoff_section,
                .doc = "The old place of the subscription's backoff." },
        {},
};
/* clang-format on */

static int rule_password(const ConfigPlace *place, const MongodbConfig *mongodb) {
        ConfigProblem problem;
        Uri uri;
        int r;

        r = uri_parse(mongodb->uri, &uri, &problem);
        if (r < 0)
                return r;

        if (mongodb->password.file && uri.user_password)
                return config_place_fail(place, "password_file", "uri carries a password already; give one of the two");
        if (mongodb->password.file && !uri.user)
                return config_place_fail(place, "password_file", "uri names no user; write mongodb://USER@HOST/...");
        if (uri.user && !uri.user_password && !mongodb->password.file && !uri.keyless)
                return config_place_fail(place, "uri",
                        "names a user without a password; put it into a file, and name that in password_file");
        if (uri.user && uri.clear && uri.away && !uri.tls) {
                r = config_place_warn(place, "uri",
                        "sends the password unencrypted to another machine (authMechanism=PLAIN); add tls=true");
                if (r < 0)
                        return r;
        }
        if (uri.unchecked) {
                r = config_place_warn(place, "uri",
                        "does not check the server's certificate (tlsInsecure, tlsAllowInvalid...), so any machine on "
                        "the way can pose as the server: tlsCAFile=/PATH names an authority of your own");
                if (r < 0)
                        return r;
        }
        if (!uri.secret)
                return 0;
        return config_place_warn(place, "uri",
                "holds a password, so everybody who may read this file knows it. It works all the same; better move "
                "it to a file of its own, and name that in password_file");
}

static int rule_collections(const ConfigPlace *place, MongodbConfig *mongodb) {
        if (!mongodb->rejected_collection &&
                text_format(&mongodb->rejected_collection, "%s" COLLECTION_SUFFIX, mongodb->collection) < 0)
                return -ENOMEM;

        if (strcmp(mongodb->collection, mongodb->rejected_collection) == 0)
                return config_place_fail(place, "rejected_collection",
                        "is the same as collection; choose another, such as %s%s", mongodb->collection,
                        COLLECTION_SUFFIX);
        if (strlen(mongodb->database) + 1 + strlen(mongodb->rejected_collection) > NAMESPACE_MAX)
                return config_place_fail(place, "rejected_collection",
                        "is too long together with the database; allowed: %d bytes for both and the dot between",
                        NAMESPACE_MAX);
        return 0;
}

/* Returns the value of a file option of the uri if it is a relative path; else an empty slice. */
static Slice relative_file(const char *uri, const char *option) {
        size_t size = strlen(option);

        for (const char *at = strchr(uri, '?'); at; at = strchr(at + 1, '&')) {
                Slice value = { at + 1 + size + 1, 0 };

                if (strncasecmp(at + 1, option, size) != 0 || at[1 + size] != '=')
                        continue;
                value.size = strcspn(value.data, "&");
                if (value.size > 0 && *value.data != '/' && !memchr(value.data, '%', value.size))
                        return value;
        }
        return (Slice){ "", 0 };
}

/* Replaces a relative path by that of a file where secrets are searched, so that a certificate with its key can be a
 * credential of the unit. The driver would search in the working directory. A file that is not found is left to the
 * driver, which reports it. */
static int rule_file(const ConfigPlace *place, MongodbConfig *mongodb, const char *option) {
        const Config beside = { .directory = (char *) place->reader->directory };
        Slice value = relative_file(mongodb->uri, option);
        _cleanup_free_ char *name = NULL, *path = NULL;
        _cleanup_bytes_ Bytes uri = {};
        int r;

        if (value.size == 0)
                return 0;
        name = strndup(value.data, value.size);
        if (!name)
                return -ENOMEM;
        if (secret_find(&beside, name, &path) < 0)
                return 0;
        bytes_append(&uri, mongodb->uri, (size_t) (value.data - mongodb->uri));
        text_append_percent(&uri, path, "/");
        r = bytes_append_text(&uri, value.data + value.size);
        if (r < 0)
                return r;
        free(mongodb->uri);
        mongodb->uri = bytes_steal(&uri).data;
        return 0;
}

static int rule_files(const ConfigPlace *place, MongodbConfig *mongodb) {
        int r = rule_file(place, mongodb, "tlsCertificateKeyFile");

        return r < 0 ? r : rule_file(place, mongodb, "tlsCAFile");
}

static int rule(const ConfigPlace *place, void *self, void *around) {
        SubscriptionConfig *subscription = around;
        MongodbConfig *mongodb = self;
        int r;

        r = rule_password(place, mongodb);
        if (r < 0)
                return r;
        r = rule_files(place, mongodb);
        if (r < 0)
                return r;
        if (mongodb->backoff.max > 0 && yaml_get(place->parent->node, "backoff"))
                return config_place_fail(
                        place, "backoff", "is there twice: here, and in the subscription; keep the latter");
        if (mongodb->backoff.max > 0)
                subscription->backoff = mongodb->backoff;
        return rule_collections(place, mongodb);
}

const ConfigSection mongodb_config_section = { "mongodb", "Stores the messages in MongoDB.", rows,
        sizeof(MongodbConfig), rule, NULL };
