/* SPDX-License-Identifier: Apache-2.0 */
/* P9: what the driver would refuse of a connection string is told when the configuration is read, with the option that it is about. */
#include "config-fixture.h"

#define TEXT_SIZE 600

static void write_config(char text[static TEXT_SIZE], const char *rest) {
        (void) snprintf(text, TEXT_SIZE, PUBSUB "subscribe: [{subscription: sub, mongodb: {uri: 'mongodb://%s', database: d, collection: c}}]\n", rest);
}

static void test_refused(void **state) {
        static const char *const rows[][2] = {
                { "h/?tls=on", "sets tls to something other than true or false" },
                { "h/?retryWrites=NO", "sets retryWrites to something other than true or false" },
                { "h/?socketTimeoutMS=30s", "sets socketTimeoutMS to something other than a whole number, without a unit" },
                { "h/?connectTimeoutMS=1.5&tls=true", "sets connectTimeoutMS to something other than a whole number" },
                { "h/?maxPoolSize=99999999999", "sets maxPoolSize to something other than a whole number" },
                { "h/?heartbeatFrequencyMS=100", "sets heartbeatFrequencyMS to less than 500" },
                { "h/?zlibCompressionLevel=10", "sets zlibCompressionLevel to something other than -1 to 9" },
                { "h/?authSource=a%", "has a % in authSource that does not begin a percent-encoded byte" },
                { "h/?tlsInsecure=true&tlsAllowInvalidCertificates=true", "sets both tlsInsecure and tlsAllowInvalidCertificates, which exclude" },
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
                "h/?socketTimeoutMS=2147483647&connectTimeoutMS=-1", "h/?maxIdleTimeMS=120000&zlibCompressionLevel=-1", "h/?heartbeatFrequencyMS=500",
                "h/?directConnection=false&replicaSet=r", "a,b/?directConnection=false&replicaSet=r", "h/?loadBalanced=true",
                "h/?authMechanism=MONGODB-X509", "h/?authMechanism=MONGODB-AWS", "h/?authMechanism=MONGODB%2DX509",
                "h/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:gcp", "id@h/?authMechanism=MONGODB-OIDC", "h/db?authSource=%24external", "h/db-1_x?tls=true", "h" };
        char text[TEXT_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                write_config(text, rows[i]);
                config_unref(parse(text));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_taken),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
