/* SPDX-License-Identifier: Apache-2.0 */
/* P9: what the driver would refuse of a connection string is told when the configuration is read, with the option that
 * it is about. */
#include <fcntl.h>
#include <unistd.h>

#include "config-fixture.h"
#include "sinks/mongodb.h"

#define TEXT_SIZE 600
#define REFUSED "subscribe[].mongodb.uri: the value is refused by MongoDB's driver: "

static void write_config(char text[static TEXT_SIZE], const char *rest) {
        (void) snprintf(text, TEXT_SIZE,
                PUBSUB "subscribe: [{subscription: sub, mongodb: {uri: 'mongodb://%s', database: d, collection: c}}]\n",
                rest);
}

static void test_refused(void **state) {
        static const char *const rows[] = {
                "h/?tls=on",
                "h/?retryWrites=NO",
                "h/?socketTimeoutMS=30s",
                "h/?connectTimeoutMS=1.5&tls=true",
                "h/?maxPoolSize=99999999999",
                "h/?heartbeatFrequencyMS=100",
                "h/?zlibCompressionLevel=10",
                "h/?tlsInsecure=true&tlsAllowInvalidCertificates=true",
                "h/?tlsDisableOCSPEndpointCheck=true&tlsAllowInvalidCertificates=true",
                "h/?tls=true&ssl=false",
                "a,b/?directConnection=true",
                "a,b/?loadBalanced=true",
                "h/?loadBalanced=true&replicaSet=r",
                "h/?authMechanism=SCRAM-SHA-256",
                "h/my db",
                "h/db/?tls=true",
                "h/ ",
                "[::1/",
        };
        char text[TEXT_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                write_config(text, rows[i]);
                refuse(text, REFUSED);
        }
}

static void test_taken(void **state) {
        static const char *const rows[] = { "h/?tls=TRUE&retryWrites=no", "h/?ssl=true&tls=true",
                "h/?tls=false&ssl=false", "h/?socketTimeoutMS=2147483647&connectTimeoutMS=-1",
                "h/?maxIdleTimeMS=120000&zlibCompressionLevel=-1", "h/?heartbeatFrequencyMS=500",
                "h/?directConnection=false&replicaSet=r", "a,b/?directConnection=false&replicaSet=r",
                "h/?loadBalanced=true", "h/?authMechanism=MONGODB-X509", "h/?authMechanism=MONGODB-AWS",
                "h/?authMechanism=MONGODB%2DX509", "id@h/?authMechanism=MONGODB-OIDC", "h/db?authSource=%24external",
                "h/db-1_x?tls=true", "h", "h:65535,[::1]:27017,[::2]", "[fe80::1%25eth0]:27017",
                "%2Ftmp%2Fm.sock:27017" };
        char text[TEXT_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                write_config(text, rows[i]);
                config_unref(parse(text));
        }
}

static void refuse_mongodb(const char *settings, const char *part) {
        char text[600];

        (void) snprintf(text, sizeof(text), PUBSUB "subscribe: [{subscription: sub, mongodb: {%s}}]", settings);
        refuse(text, part);
}

static void test_uri(void **state) {
        static const char *const short_names[] = { "localhost/", "u:p@localhost/?appName=a.b.c", "u@localhost",
                "u:p@example.net/db", ".example.net/" };

#define REST "', database: d, collection: c"
        refuse_mongodb("uri: 'mongodb://h/?authSource=a%" REST, "has a % in authSource that does not begin");
        refuse_mongodb("uri: 'mongodb://h$/" REST, "has a host with a character that cannot be in one");
        refuse_mongodb("uri: 'mongodb://%zz/" REST, "has a host with a % that does not begin");
        refuse_mongodb("uri: 'mongodb://u:p@[fe80::1%eth0]:27017/" REST, "percent-encoded byte: write %25");
        refuse_mongodb("uri: 'mongodb://u:p/ss@h/" REST, "which must be percent-encoded (@ as %40)");
        refuse_mongodb("uri: 'mongodb://u:p?ss@h/" REST, "which must be percent-encoded (@ as %40)");
        refuse_mongodb("uri: 'mongodb://" REST, "lacks the name of a host");
        refuse_mongodb("uri: 'mongodb:///db" REST, "lacks the name of a host");
        refuse_mongodb("uri: 'mongodb://u:p@h:0/" REST, "has a port that is not one of 1..65535");
        refuse_mongodb("uri: 'mongodb://u:p@h:65536/" REST, "has a port that is not one of 1..65535");
        refuse_mongodb("uri: 'mongodb://u:p@h:/" REST, "has a port that is not one of 1..65535");
        refuse_mongodb("uri: 'mongodb://u:p@h,[::1]:x/" REST, "has a port that is not one of 1..65535");
        /* the driver would take the digits before it: port 27 */
        refuse_mongodb("uri: 'mongodb://u:p@h:27O17/" REST, "has a port that is not one of 1..65535");
        refuse_mongodb("uri: 'mongodb://u:p@h:27017:/" REST, "has a port that is not one of 1..65535");
        refuse_mongodb("uri: 'mongodb://u:p@h,,i/" REST, "lacks the name of a host");
        refuse_mongodb("uri: 'mongodb://u:p@/" REST, "lacks the name of a host");
        refuse_mongodb("uri: 'mongodb://u:p@:27017/" REST, "lacks the name of a host");
        refuse_mongodb("uri: 'mongodb://u:p@h/?tls=true&replicaSet=r&directConnection=x" REST,
                REFUSED "Unsupported value for \"directconnection\": \"x\"");
        refuse_mongodb("uri: 'mongodb://u:p@h/?appName=me@home&directConnection=x" REST,
                REFUSED "Unsupported value for \"directconnection\": \"x\"");
        refuse_mongodb("uri: 'mongodb://u:p@h/?tls=x&tlsCertificateKeyFilePassword=s" REST,
                "is refused by MongoDB's driver, for a reason that is shown only when");
        refuse_mongodb("uri: 'mongodb://%ff:p@h/" REST, "has a user or password that MongoDB's driver refuses");
        refuse_mongodb("uri: 'mongodb://u:%ff@h/" REST, "has a user or password that MongoDB's driver refuses");
        refuse_mongodb("uri: 'mongodb://h/?tls=x&authMechanismProperties=AWS_SESSION_TOKEN:t" REST,
                "is refused by MongoDB's driver, for a reason that is shown only when");
        refuse_mongodb("uri: 'mongodb://u:secret" REST, "has a port that is not one of 1..65535");
        refuse_mongodb("uri: 'mongodb://u:123456/" REST, "has a port that is not one of 1..65535");
        refuse_mongodb("uri: 'mongodb+srv://u:secret%40a.example.net/" REST, "has a port that is not one of 1..65535");
        refuse_mongodb("uri: 'mongodb://u%3Asecret%40h/" REST, "for a reason that is shown only when");
        refuse_mongodb("uri: 'http://localhost" REST, "does not begin with mongodb://");
        refuse_mongodb("uri: 'mongodb+srv://h:1/" REST, "has a port, but with mongodb+srv:// DNS names");
        refuse_mongodb("uri: 'mongodb+srv://u:p@a.example.net:27017/" REST, "has a port, but with mongodb+srv://");
        refuse_mongodb("uri: 'mongodb+srv://u:p@a.example.net,b.example.net/" REST, "has more than one host, but");
        for (size_t i = 0; i < ELEMENTSOF(short_names); i++) {
                char uri[200];

                (void) snprintf(uri, sizeof(uri), "uri: 'mongodb+srv://%s" REST, short_names[i]);
                refuse_mongodb(uri, "has a host that is not a full name like cluster0.example.net");
        }
        refuse_mongodb("uri: 'mongodb+srv://127.0.0.1/" REST, "has a host that is not a name");
        refuse_mongodb("uri: 'mongodb+srv://[::1]/" REST, "has a host that is not a name");
        refuse_mongodb("uri: 'mongodb+srv://%2Ftmp%2Fa.b.c.sock/" REST, "has a host that is not a name");
        refuse_mongodb("uri: 'mongodb+srv://a.example.net/?directConnection=true" REST, REFUSED);
        refuse_mongodb("uri: 'mongodb+srv://a.example.net/?srvMaxHosts=2&replicaSet=r" REST, REFUSED);
        refuse_mongodb("uri: 'mongodb://h/?srvMaxHosts=2" REST, REFUSED);
        refuse_mongodb("uri: 'mongodb://h/?SRVSERVICENAME=x" REST, REFUSED);
        refuse_mongodb("uri: 'mongodb://h?tls=true" REST, "no / between the hosts and the options");
        refuse_mongodb("uri: 'mongodb://h/?w=1" REST,
                "sets w to something other than majority, so that readings could be lost: remove it");
        refuse_mongodb("uri: 'mongodb://h/?JOURNAL=false" REST, "sets journal");
        refuse_mongodb(
                "uri: 'mongodb://h/?wtimeoutMS=1" REST, "sets wtimeoutMS, which sensorqd sets itself: remove it");
        refuse_mongodb("uri: 'mongodb://h/?w=majority&W=majority" REST, "has the option w twice");
        refuse_mongodb("uri: 'mongodb://h/?readPreference=secondary" REST, "sets readPreference");
        refuse_mongodb("uri: 'mongodb://h/?tls=true&TLS=true" REST, "has the option tls twice");
        refuse_mongodb("uri: 'mongodb://h/?tls" REST, "option without a value");
        refuse_mongodb("uri: 'mongodb://h/?replicaSett=x" REST, "did you mean replicaSet?");
        refuse_mongodb("uri: 'mongodb://h/?=x" REST, "without a proper name");
        refuse_mongodb("uri: 'mongodb://u@h/" REST, "names a user without a password");
        refuse_mongodb("uri: 'mongodb://u:@h/" REST, "has an empty password");
        refuse_mongodb("uri: 'mongodb://:p@h/" REST, "has an empty user");
        refuse_mongodb("password_file: p, uri: 'mongodb://u:p@h/" REST, "uri carries a password already");
#undef REST
}

/* B10: a certificate with its key is sought where secrets are. */
static void test_uri_files(void **state) {
        char directory[] = "/tmp/sensorqd-config-XXXXXX", file[80], expected[200];
        Config *config;
        MongodbConfig *keys;
        int fd;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(file, sizeof(file), "%s/sensorqd_client.pem", directory);
        fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void) close(fd);
        (void) setenv("CREDENTIALS_DIRECTORY", directory, 1);
        config = parse(PUBSUB
                "subscribe: [{subscription: sub, mongodb: {uri: 'mongodb://h/?tlsCertificateKeyFile=client.pem&tlsCAFile=gone.pem&tls=true', "
                "database: d, collection: c}}]");
        keys = config->subscriptions[0].keys;
        (void) snprintf(
                expected, sizeof(expected), "mongodb://h/?tlsCertificateKeyFile=%s&tlsCAFile=gone.pem&tls=true", file);
        assert_string_equal(keys->uri, expected);
        (void) config_unref(config);
        (void) unsetenv("CREDENTIALS_DIRECTORY");
        (void) unlink(file);
        (void) rmdir(directory);
}

static void test_uri_right(void **state) {
        static const struct {
                const char *uri;
                bool secret;
        } rows[] = {
                { "mongodb://localhost", false },
                { "mongodb://[::1]:27017/", false },
                { "mongodb://%2Ftmp%2Fmongodb-27017.sock/", false },
                { "mongodb://u:p%40ss@h1:1,h2:65535/db?authSource=admin&tls=true", true },
                { "mongodb+srv://u:p@cluster.example.net/?appName=x", true },
                { "mongodb+srv://c.example.net/?retryWrites=true&w=majority&appName=Cluster0",
                        false }, /* as Atlas gives it */
                { "mongodb+srv://u:p@c.mongocluster.example.net/?tls=true&authMechanism=SCRAM-SHA-256&retrywrites=false&maxIdleTimeMS=120000",
                        true },
                { "mongodb://h/?retryWrites=false&journal=true&readPreference=primary&readConcernLevel=majority",
                        false },
                { "mongodb+srv://cluster.example.net/?srvMaxHosts=2&srvServiceName=x&tls=false", false },
                { "mongodb://CN=me@h/?authMechanism=MONGODB-X509&tlsCertificateKeyFile=/c.pem", false },
                { "mongodb://u:p@h/?authMechanism=PLAIN&tls=true", true },
                { "mongodb://u:p@h/?authMechanism=PLAIN&tlsCAFile=/ca.pem", true },
                { "mongodb://u:p@127.0.0.1:27018,[::1],%2Ftmp%2Fm.sock/?authMechanism=PLAIN", true },
                { "mongodb://h/?tlsCertificateKeyFile=/c.pem&tlsCertificateKeyFilePassword=x", true },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                char text[400];
                Config *config;

                (void) snprintf(text, sizeof(text),
                        PUBSUB "subscribe: [{subscription: sub, mongodb: {uri: '%s', database: d, collection: c}}]",
                        rows[i].uri);
                config = parse(text);
                assert_int_equal(config->warnings.n, rows[i].secret);
                if (rows[i].secret)
                        assert_contains(
                                config->warnings.texts[0], "c.yaml:2:48: subscribe[].mongodb.uri: holds a password");
                config_unref(config);
        }
}

static void test_uri_plain(void **state) {
        static const char *const uris[] = { "mongodb://u@h/?authMechanism=PLAIN",
                "mongodb://u@localhost,h/?authMechanism=plain",
                "mongodb+srv://u@a.example.net/?tls=false&authMechanism=PLAIN" };
        Config *config;

        for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
                char text[300];

                (void) snprintf(text, sizeof(text),
                        PUBSUB
                        "subscribe: [{subscription: sub, mongodb: {uri: '%s', password_file: p, database: d, collection: c}}]",
                        uris[i]);
                config = parse(text);
                assert_int_equal(config->warnings.n, 1);
                assert_contains(config->warnings.texts[0],
                        "subscribe[].mongodb.uri: sends the password unencrypted to another machine");
                config_unref(config);
        }
}

/* What is allowed, and deserves a word. */
static void test_uri_unchecked(void **state) {
        static const char *const options[] = { "tlsInsecure=true", "tlsAllowInvalidCertificates=true",
                "tlsAllowInvalidHostnames=TRUE", "tlsInsecure=1", "tlsAllowInvalidCertificates=yes" };
        Config *config;

        for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
                char text[300];

                (void) snprintf(text, sizeof(text),
                        PUBSUB
                        "subscribe: [{subscription: sub, mongodb: {uri: 'mongodb://h/?tls=true&%s', database: d, collection: c}}]",
                        options[i]);
                config = parse(text);
                assert_int_equal(config->warnings.n, 1);
                assert_contains(
                        config->warnings.texts[0], "subscribe[].mongodb.uri: does not check the server's certificate");
                config_unref(config);
        }
        config = parse(PUBSUB
                "subscribe: [{subscription: sub, mongodb: {uri: 'mongodb://h/?tlsInsecure=false', database: d, collection: c}}]");
        assert_int_equal(config->warnings.n, 0);
        config_unref(config);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_taken),
                cmocka_unit_test(test_uri),
                cmocka_unit_test(test_uri_files),
                cmocka_unit_test(test_uri_right),
                cmocka_unit_test(test_uri_plain),
                cmocka_unit_test(test_uri_unchecked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
