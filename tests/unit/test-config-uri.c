/* SPDX-License-Identifier: Apache-2.0 */
/* P9: what the driver would refuse of a connection string is told when the configuration is read, with the option that it is about. */
#include <fcntl.h>
#include <unistd.h>

#include "config-fixture.h"
#include "sinks/mongodb-config.h"

#define TEXT_SIZE 600

static void write_config(char text[static TEXT_SIZE], const char *rest) {
        (void) snprintf(text, TEXT_SIZE,
                PUBSUB "subscribe: [{subscription: sub, mongodb: {uri: 'mongodb://%s', database: d, collection: c}}]\n",
                rest);
}

static void test_refused(void **state) {
        static const char *const rows[][2] = {
                { "h/?tls=on", "sets tls to something other than true or false" },
                { "h/?retryWrites=NO", "sets retryWrites to something other than true or false" },
                { "h/?socketTimeoutMS=30s",
                        "sets socketTimeoutMS to something other than a whole number, without a unit" },
                { "h/?connectTimeoutMS=1.5&tls=true", "sets connectTimeoutMS to something other than a whole number" },
                { "h/?maxPoolSize=99999999999", "sets maxPoolSize to something other than a whole number" },
                { "h/?heartbeatFrequencyMS=100", "sets heartbeatFrequencyMS to less than 500" },
                { "h/?zlibCompressionLevel=10", "sets zlibCompressionLevel to something other than -1 to 9" },
                { "h/?authSource=a%", "has a % in authSource that does not begin a percent-encoded byte" },
                { "h/?tlsInsecure=true&tlsAllowInvalidCertificates=true",
                        "sets both tlsInsecure and tlsAllowInvalidCertificates, which exclude" },
                { "h/?tlsDisableOCSPEndpointCheck=true&tlsAllowInvalidCertificates=true", "which exclude each other" },
                { "h/?tls=true&ssl=false", "sets tls and ssl, one to true and one to false" },
                { "a,b/?directConnection=true", "sets directConnection, which goes with one host only" },
                { "a,b/?loadBalanced=true", "sets loadBalanced, which goes with one host" },
                { "h/?loadBalanced=true&replicaSet=r", "sets loadBalanced, which goes with one host" },
                { "h/?authMechanism=SCRAM-SHA-256", "sets an authMechanism, and names no user" },
                { "h/my db", "has a database behind the hosts with a character" },
                { "h/db/?tls=true", "has a database behind the hosts with a character" },
                { "h/ ", "has a database behind the hosts with a character" },
        };
        char text[TEXT_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                write_config(text, rows[i][0]);
                refuse(text, rows[i][1]);
        }
}

static void test_taken(void **state) {
        static const char *const rows[] = { "h/?tls=TRUE&retryWrites=no", "h/?ssl=true&tls=true", "h/?tls=false&ssl=0",
                "h/?socketTimeoutMS=2147483647&connectTimeoutMS=-1", "h/?maxIdleTimeMS=120000&zlibCompressionLevel=-1",
                "h/?heartbeatFrequencyMS=500", "h/?directConnection=false&replicaSet=r",
                "a,b/?directConnection=false&replicaSet=r", "h/?loadBalanced=true", "h/?authMechanism=MONGODB-X509",
                "h/?authMechanism=MONGODB-AWS", "h/?authMechanism=MONGODB%2DX509",
                "h/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:gcp",
                "id@h/?authMechanism=MONGODB-OIDC", "h/db?authSource=%24external", "h/db-1_x?tls=true", "h" };
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
#define REST "', database: d, collection: c"
        refuse_mongodb("uri: 'http://localhost" REST, "does not begin with mongodb://");
        refuse_mongodb("uri: 'mongodb://" REST, "has an empty host");
        refuse_mongodb("uri: 'mongodb:///db" REST, "has an empty host");
        refuse_mongodb("uri: 'mongodb://a,,b/" REST, "has an empty host");
        refuse_mongodb("uri: 'mongodb://h:0/" REST, "has a port that is not one of");
        refuse_mongodb("uri: 'mongodb://h:65536/" REST, "has a port that is not one of");
        refuse_mongodb("uri: 'mongodb://[::1/" REST, "has a [ without ]");
        refuse_mongodb("uri: 'mongodb+srv://h:1/" REST, "takes from DNS");
        refuse_mongodb("uri: 'mongodb+srv://a.example.net:1/" REST, "takes from DNS");
        refuse_mongodb("uri: 'mongodb+srv://a.example.net,b.example.net/" REST, "takes one name");
        refuse_mongodb("uri: 'mongodb+srv://localhost/" REST, "not a name of three parts");
        refuse_mongodb("uri: 'mongodb+srv://example.net/" REST, "not a name of three parts");
        refuse_mongodb("uri: 'mongodb+srv://.example.net/" REST, "not a name of three parts");
        refuse_mongodb("uri: 'mongodb+srv://127.0.0.1/" REST, "not a name of three parts");
        refuse_mongodb("uri: 'mongodb+srv://[::1]/" REST, "not a name of three parts");
        refuse_mongodb("uri: 'mongodb+srv://%2Ftmp%2Fa.b.c.sock/" REST, "not a name of three parts");
        refuse_mongodb("uri: 'mongodb+srv://a.example.net/?directConnection=true" REST, "mongodb+srv:// cannot have");
        refuse_mongodb(
                "uri: 'mongodb+srv://a.example.net/?srvMaxHosts=2&replicaSet=r" REST, "which exclude each other");
        refuse_mongodb("uri: 'mongodb://h/?srvMaxHosts=2" REST, "sets srvMaxHosts, which belongs to mongodb+srv://");
        refuse_mongodb(
                "uri: 'mongodb://h/?SRVSERVICENAME=x" REST, "sets srvServiceName, which belongs to mongodb+srv://");
        refuse_mongodb("uri: 'mongodb://h?tls=true" REST, "no / between the hosts and the options");
        refuse_mongodb("uri: 'mongodb://h/?w=1" REST,
                "sets w to something other than majority, so that readings could be lost: remove it");
        refuse_mongodb("uri: 'mongodb://h/?JOURNAL=false" REST, "sets journal");
        refuse_mongodb(
                "uri: 'mongodb://h/?wtimeoutMS=1" REST, "sets wtimeoutMS, which sensorqd sees to itself: remove it");
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
