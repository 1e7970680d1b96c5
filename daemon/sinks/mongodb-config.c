/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb.h"

#include <ctype.h>
#include <errno.h>
#include <mongoc/mongoc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/bytes.h"
#include "lib/http.h"
#include "lib/log.h"
#include "lib/text.h"
#include "secret.h"

#define TEXT_MAX 1024
#define DATE_FIELDS_MAX 64
#define NAMESPACE_MAX 255 /* bytes of DATABASE.COLLECTION: MongoDB manual, "MongoDB Limits and Thresholds" */
#define COLLECTION_SUFFIX "_rejected"
#define SRV "mongodb+srv://"

#define OPTIONS_MAX 64
#define PROBLEM_ENCODING                                                                                               \
        "has a user or password with : / ? # [ ] @ or %% in it, which must be percent-encoded (@ as %%40)"

static void on_driver_log(mongoc_log_level_t level, const char *domain, const char *message, void *userdata) {
        log_debug("MongoDB driver: %s: %s", domain, message);
}

void mongodb_config_hear_driver(void) {
        mongoc_log_set_handler(on_driver_log, NULL);
}

/* ---- the connection string: what the driver takes although it is wrong ---- */

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

/* Whether the percent-encoding of a user, a password or a host is valid. */
static bool percent_valid(Slice text) {
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] == '%' && (i + 2 >= text.size || !isxdigit((unsigned char) text.data[i + 1]) ||
                                                   !isxdigit((unsigned char) text.data[i + 2])))
                        return false;

        return true;
}

static int user_check(Slice user, ConfigProblem *ret_problem) {
        const char *colon = memchr(user.data, ':', user.size);
        size_t size = colon ? (size_t) (colon - user.data) : user.size;

        if (size == 0)
                return config_problem_set(ret_problem, "has an empty user");
        if (colon && size + 1 == user.size)
                return config_problem_set(ret_problem, "has an empty password");
        if (memchr(user.data, '@', user.size) || (colon && memchr(colon + 1, ':', user.size - size - 1)) ||
                !percent_valid(user))
                return config_problem_set(ret_problem, PROBLEM_ENCODING);
        return 0;
}

/* The driver takes what begins with a digit: 27O17, with a letter, is 27 for it. */
static bool port_valid(Slice port) {
        unsigned value = 0;

        for (size_t i = 0; i < port.size; i++) {
                if (!bytes_is_digit(port.data[i]) || value > UINT16_MAX)
                        return false;
                value = value * 10 + (unsigned) (port.data[i] - '0');
        }
        return value > 0 && value <= UINT16_MAX;
}

/* Where no @HOST is behind USER:PASSWORD, the driver (2.1) quotes both as a host. */
static int host_check(Slice host, bool srv, ConfigProblem *ret_problem) {
        const char *from = host.data[0] == '[' ? memchr(host.data, ']', host.size) : host.data;
        const char *colon = from ? memchr(from, ':', host.size - (size_t) (from - host.data)) : NULL;
        const size_t size = colon ? (size_t) (colon - host.data) : host.size;
        bool letter = false;

        for (size_t i = 0; i < size; i++) {
                char c = host.data[i];

                if (!isalnum((unsigned char) c) && !strchr("-._%[]:", c))
                        return config_problem_set(ret_problem, "has a host with a character that cannot be in one");
                letter |= isalpha((unsigned char) c) != 0;
        }
        if (!percent_valid((Slice){ host.data, size })) /* such as fe80::1%eth0 */
                return config_problem_set(
                        ret_problem, "has a host with a %% that does not begin a percent-encoded byte: write %%25");
        if (colon && !port_valid((Slice){ colon + 1, host.size - size - 1 }))
                return config_problem_set(ret_problem, "has a port that is not one of 1..65535");
        if (size == 0)
                return config_problem_set(ret_problem, "lacks the name of a host");
        if (srv && (!letter || memchr(host.data, '%', size)))
                return config_problem_set(ret_problem, "has a host that is not a name, which mongodb+srv:// needs");
        if (srv && colon)
                return config_problem_set(
                        ret_problem, "has a port, but with mongodb+srv:// DNS names hosts and ports: remove it");
        return 0;
}

static int hosts_check(Slice hosts, bool srv, ConfigProblem *ret_problem) {
        const char *end = hosts.data + hosts.size, *comma;
        int r;

        while ((comma = memchr(hosts.data, ',', hosts.size))) {
                r = host_check((Slice){ hosts.data, (size_t) (comma - hosts.data) }, srv, ret_problem);
                if (r < 0)
                        return r;
                if (srv)
                        return config_problem_set(
                                ret_problem, "has more than one host, but mongodb+srv:// takes one name");
                hosts = (Slice){ comma + 1, (size_t) (end - comma - 1) };
        }
        return host_check(hosts, srv, ret_problem);
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
                        return config_problem_set(ret_problem, "sets %s, which sensorqd sets itself: remove it", name);
                if (!slice_equal_nocase(value, own))
                        return config_problem_set(ret_problem,
                                "sets %s to something other than %s, so that readings could be lost: remove it", name,
                                own);
                *ret_name = name;
                return 0;
        }
        return option_unknown(key, ret_problem);
}

static int option_check(Slice option, const char **ret_name, ConfigProblem *ret_problem) {
        const char *equals = memchr(option.data, '=', option.size);
        Slice key = { option.data, equals ? (size_t) (equals - option.data) : option.size }, value;

        if (!equals || equals + 1 == option.data + option.size)
                return config_problem_set(ret_problem, "has an option without a value");
        value = (Slice){ equals + 1, option.size - key.size - 1 };
        *ret_name = option_find(allowed_options, key);
        if (!*ret_name)
                return option_own(key, value, ret_name, ret_problem);
        if (!percent_valid(value))
                return config_problem_set(
                        ret_problem, "has a %% in %s that does not begin a percent-encoded byte", *ret_name);
        return 0;
}

static int options_check(const char *cursor, ConfigProblem *ret_problem) {
        const char *seen[OPTIONS_MAX];

        for (size_t n = 0; *cursor != '\0'; n++) {
                size_t size = strcspn(cursor, "&");
                int r;

                if (n == OPTIONS_MAX)
                        return config_problem_set(ret_problem, "has more than %d options", OPTIONS_MAX);
                r = option_check((Slice){ cursor, size }, &seen[n], ret_problem);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < n; i++)
                        if (seen[i] == seen[n])
                                return config_problem_set(ret_problem, "has the option %s twice", seen[n]);
                cursor += size + (cursor[size] == '&');
        }
        return 0;
}

static int parts_check(const char *uri, ConfigProblem *ret_problem) {
        bool srv = strncmp(uri, SRV, strlen(SRV)) == 0;
        const char *hosts, *end, *at, *query;
        int r = 0;

        if (!srv && strncmp(uri, "mongodb://", 10) != 0)
                return config_problem_set(ret_problem, "does not begin with mongodb:// or " SRV);
        hosts = strstr(uri, "://") + 3;
        end = hosts + strcspn(hosts, "/?");
        query = end + strcspn(end, "?");
        at = memrchr(hosts, '@', (size_t) (end - hosts));
        if (memchr(end, '@', *end == '?' ? strlen(end) : (size_t) (query - end)))
                return config_problem_set(ret_problem, PROBLEM_ENCODING);
        if (*end == '?')
                return config_problem_set(ret_problem, "has no / between the hosts and the options");
        if (at)
                r = user_check((Slice){ hosts, (size_t) (at - hosts) }, ret_problem);
        hosts = at ? at + 1 : hosts;
        if (r == 0)
                r = hosts_check((Slice){ hosts, (size_t) (end - hosts) }, srv, ret_problem);
        return r == 0 && *query == '?' ? options_check(query + 1, ret_problem) : r;
}

/* ---- the connection string: what the driver says ---- */

/* Whether the driver's words about what follows user and password may quote a secret. */
static bool may_hold_secret(const char *rest) {
        return strstr(rest, "%40") || strcasestr(rest, "password=") || strcasestr(rest, "properties=");
}

/* A name with fewer than two dots, which most versions of the driver refuse. */
static bool is_short_name(const char *host) {
        const size_t size = strcspn(host, "/");
        const char *dot = memchr(host, '.', size);

        return !dot || dot == host || !memchr(dot + 1, '.', size - (size_t) (dot + 1 - host));
}

/* Tells why the driver refuses the string: asked again with other words for user and password, it cannot repeat them.
 */
static int uri_refused(const char *text, ConfigProblem *ret_problem) {
        const char *user = strstr(text, "://") + 3, *at = memrchr(user, '@', strcspn(user, "/?"));
        const char *rest = at ? at + 1 : user;
        const bool password = at && memchr(user, ':', (size_t) (at - user));
        _cleanup_bytes_ Bytes bare = {};
        mongoc_uri_t *uri;
        bson_error_t error;

        bytes_append(&bare, text, (size_t) (user - text));
        bytes_append_text(&bare, password ? "USER:PASSWORD@" : at ? "USER@" : "");
        if (bytes_append_text(&bare, rest) < 0)
                return -ENOMEM;
        uri = mongoc_uri_new_with_error(bare.data, &error);
        mongoc_uri_destroy(uri);
        if (uri)
                return config_problem_set(ret_problem, "has a user or password that MongoDB's driver refuses");
        if (strncmp(text, SRV, strlen(SRV)) == 0 && is_short_name(rest))
                return config_problem_set(ret_problem,
                        "has a host that is not a full name like cluster0.example.net, which " SRV
                        " needs: DNS has the servers of such a name. Of a single server, write mongodb://");
        if (may_hold_secret(rest))
                return config_problem_set(ret_problem,
                        "is refused by MongoDB's driver, for a reason that is shown only when it holds no secret");
        return config_problem_set(ret_problem, "is refused by MongoDB's driver: %s", error.message);
}

static int uri_check(const char *text, ConfigProblem *ret_problem) {
        mongoc_uri_t *uri;
        int r = parts_check(text, ret_problem);

        if (r < 0)
                return r;
        mongodb_config_hear_driver();
        uri = mongoc_uri_new(text);
        mongoc_uri_destroy(uri);
        return uri ? 0 : uri_refused(text, ret_problem);
}

static bool holds_secret(const mongoc_uri_t *uri) {
        bson_t properties;

        return mongoc_uri_get_password(uri) || mongoc_uri_has_option(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD) ||
               (mongoc_uri_get_mechanism_properties(uri, &properties) &&
                       bson_has_field(&properties, "AWS_SESSION_TOKEN"));
}

/* Whether the server's certificate is not checked. */
static bool is_unchecked(const mongoc_uri_t *uri) {
        static const char *const options[] = { MONGOC_URI_TLSINSECURE, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES,
                MONGOC_URI_TLSALLOWINVALIDHOSTNAMES };

        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                if (mongoc_uri_get_option_as_bool(uri, options[i], false))
                        return true;
        return false;
}

/* Whether a host is another machine. With mongodb+srv:// the driver knows no host yet. */
static bool is_away(const mongoc_uri_t *uri) {
        const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri);

        if (!host)
                return true;
        for (; host; host = host->next) {
                _cleanup_bytes_ Bytes url = {};

                if (host->family != AF_UNIX && (bytes_append_format(&url, "http://%s/", host->host_and_port) < 0 ||
                                                       http_url_check(url.data) != HTTP_URL_OK))
                        return true;
        }
        return false;
}

static bool is_mechanism(const mongoc_uri_t *uri, const char *const *names) {
        const char *mechanism = mongoc_uri_get_auth_mechanism(uri);

        return mechanism && option_find(names, (Slice){ mechanism, strlen(mechanism) });
}

/* ---- the section ---- */

static int database_check(const char *text, ConfigProblem *ret_problem) {
        if (strcmp(text, "admin") == 0 || strcmp(text, "local") == 0 || strcmp(text, "config") == 0)
                return config_problem_set(ret_problem, "is a database that MongoDB keeps for itself");
        return 0;
}

static int collection_check(const char *text, ConfigProblem *ret_problem) {
        size_t size = strlen(text);

        if (strncmp(text, "system.", 7) == 0)
                return config_problem_set(ret_problem, "begins with system., which MongoDB keeps for itself");
        if (text[0] == '.' || text[size - 1] == '.' || strstr(text, ".."))
                return config_problem_set(ret_problem, "has a dot at an end, or two in a row");
        return 0;
}

static const ConfigType type_uri = { "MongoDB URI",
        "mongodb://[USER@]HOST[:PORT],.../[?OPTION=VALUE&...], or mongodb+srv://", CONFIG_TEXT, .text = uri_check,
        .private = true };
/* MongoDB manual, "MongoDB Limits and Thresholds": the characters allowed on Windows, so that a dump can be restored
 * there. */
static const ConfigType type_database = { "database", "1 to 63 bytes without / \\ . \" $ * < > : | ? or a space",
        CONFIG_TEXT, .text = database_check, .without = "/\\. \"$*<>:|?",
        .wrong = "holds a character that MongoDB does not allow in a database's name" };
static const ConfigType type_collection = { "collection", "a name without $ that does not begin with system.",
        CONFIG_TEXT, .text = collection_check, .without = "$", .wrong = "holds a $" };

#define MONGODB(field) offsetof(MongodbConfig, field)

/* clang-format off */
static const ConfigRow rows[] = {
        { "uri", &type_uri, MONGODB(uri), 1, 4 * TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "MongoDB connection string." },
        { "password_file", &config_type_secret, MONGODB(password), 1, TEXT_MAX,
                .doc = "Password of the user in uri." },
        { "database", &type_database, MONGODB(database), 1, 63, .flags = CONFIG_REQUIRED,
                .doc = "Database to store documents in." },
        { "collection", &type_collection, MONGODB(collection), 1, 200, .flags = CONFIG_REQUIRED,
                .doc = "Collection to store documents in." },
        { "rejected_collection", &type_collection, MONGODB(rejected_collection), 1, 200,
                .derived = "COLLECTION_rejected",
                .doc = "Collection for messages that can never be stored, each with the reason." },
        { "date_fields", &config_type_names, MONGODB(date_fields), 0, DATE_FIELDS_MAX, "[created_at, updated_at, request_at, measured_at]", .flags = CONFIG_UNIQUE,
                .doc = "Names of fields, at any depth, whose RFC 3339 strings become BSON dates." },
        { "backoff", &config_type_section, MONGODB(backoff), .section = &config_backoff_section,
                .doc = "Former place of the subscription's backoff." },
        {},
};
/* clang-format on */

static int rule_password(const ConfigPlace *place, const MongodbConfig *mongodb, const mongoc_uri_t *uri) {
        static const char *const keyless[] = { "MONGODB-X509", "GSSAPI", "MONGODB-AWS", "MONGODB-OIDC", NULL };
        static const char *const clear[] = { "PLAIN", NULL };
        const char *user = mongoc_uri_get_username(uri), *password = mongoc_uri_get_password(uri);
        int r = 0;

        if (mongodb->password.file && password)
                return config_place_fail(place, "password_file", "uri carries a password already; give one of the two");
        if (mongodb->password.file && !user)
                return config_place_fail(place, "password_file", "uri names no user; write mongodb://USER@HOST/...");
        if (user && !password && !mongodb->password.file && !is_mechanism(uri, keyless))
                return config_place_fail(place, "uri",
                        "names a user without a password; put it into a file, and name that in password_file");
        if (user && is_mechanism(uri, clear) && is_away(uri) && !mongoc_uri_get_tls(uri))
                r = config_place_warn(place, "uri",
                        "sends the password unencrypted to another machine (authMechanism=PLAIN); add tls=true");
        if (r == 0 && is_unchecked(uri))
                r = config_place_warn(place, "uri",
                        "does not check the server's certificate (tlsInsecure, tlsAllowInvalid...), so any machine on "
                        "the way can pose as the server: tlsCAFile=/PATH names an authority of your own");
        if (r == 0 && holds_secret(uri))
                r = config_place_warn(place, "uri",
                        "holds a password, so whoever may read this file knows it. It works, but is better kept "
                        "in a file of its own that password_file names");
        return r;
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
        mongoc_uri_t *uri = mongoc_uri_new(mongodb->uri);
        int r;

        if (!uri)
                return -ENOMEM;
        r = rule_password(place, mongodb, uri);
        mongoc_uri_destroy(uri);
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

const ConfigSection mongodb_config_section = { "mongodb", "Stores messages in MongoDB.", rows, sizeof(MongodbConfig),
        rule, NULL };
