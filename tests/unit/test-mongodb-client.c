/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's pool against a server that refuses to let it in, and without threads. */
#include "scripted-mongodb.h"

#include <pthread.h>
#include <sys/resource.h>

#include "sinks/mongodb.h"

static size_t left = SIZE_MAX; /* threads that this process may still have */

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *userdata) {
        if (left == 0)
                return EAGAIN;
        left -= left < SIZE_MAX;
        return __real_pthread_create(thread, attributes, run, userdata);
}

/* The driver would take it that its monitors run: it never found the server, also when there are threads again. */
static void test_no_threads(void **state) {
        static char name[] = "d", none[] = "", *dates[] = { NULL };
        char uri[160], text[MONGODB_DETAIL_SIZE];
        MongodbConfig mongodb = {
                .uri = uri, .database = name, .collection = name, .rejected_collection = name, .date_fields = dates
        };
        SubscriptionConfig config = { .subscription = none, .id_attribute = none, .keys = &mongodb };
        Server *server = calloc(1, sizeof(*server));
        _cleanup_(mongodb_client_freep) MongodbClient *client = NULL;

        assert_non_null(server);
        server_start(server);
        (void) snprintf(uri, sizeof(uri), "mongodb://127.0.0.1:%d/?serverSelectionTimeoutMS=5000", server->port);
        assert_int_equal(mongodb_client_new(&config, NULL, &client, text), 0);
        left = 1;
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_LOCAL);
        assert_non_null(strstr(text, "no threads for the driver"));
        assert_null(client->pool);
        assert_int_equal(left, 0);
        left = SIZE_MAX;
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_NONE);
        client = mongodb_client_free(client);
        server_stop(server);
        free(server);
}

/* The driver's client may not be able to log in any more although the server would let it in: after three refusals in a
 * row there is a new pool, and with it new connections. */
static void test_refused_logins_renew_the_pool(void **state) {
        static char name[] = "d", none[] = "", *dates[] = { NULL };
        char uri[160], text[MONGODB_DETAIL_SIZE];
        MongodbConfig mongodb = {
                .uri = uri, .database = name, .collection = name, .rejected_collection = name, .date_fields = dates
        };
        SubscriptionConfig config = { .subscription = none, .id_attribute = none, .keys = &mongodb };
        Server *server = calloc(1, sizeof(*server));
        _cleanup_(mongodb_client_freep) MongodbClient *client = NULL;
        const WireMessage message = { .data = { "{}", 2 }, .message_id = { "1", 1 } };
        SinkItem item = { .message = &message };
        SinkWork work = { .items = &item, .n = 1 };
        mongoc_client_pool_t *first;

        assert_non_null(server);
        server_start(server);
        (void) snprintf(uri, sizeof(uri),
                "mongodb://u:p@127.0.0.1:%d/?authMechanism=PLAIN&heartbeatFrequencyMS=500&serverSelectionTimeoutMS=5000",
                server->port);
        assert_int_equal(mongodb_client_new(&config, NULL, &client, text), 0);

        server->refuse_logins = true;
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_LOGIN);
        first = client->pool;
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_LOGIN);
        server->refuse_logins = false;
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_NONE);
        assert_non_null(first);
        assert_ptr_equal(client->pool, first);
        assert_int_equal(client->login_failures, 0); /* only those in a row count */
        client = mongodb_client_free(client);

        server->refuse_logins = true;
        assert_int_equal(mongodb_client_new(&config, NULL, &client, text), 0);
        for (unsigned refused = 1; refused <= 3; refused++) {
                assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_LOGIN);
                assert_int_equal(client->pool != NULL, refused < 3);
        }
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_LOGIN); /* of the new pool: it counts anew */
        assert_non_null(client->pool);
        server->refuse_logins = false;
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_NONE);
        client = mongodb_client_free(client);

        server->refuse_logins = true; /* while a batch is held, there are writes and no pings */
        assert_int_equal(mongodb_client_new(&config, NULL, &client, text), 0);
        for (unsigned refused = 1; refused <= 3; refused++) {
                assert_int_equal(mongodb_write(client, &work, false), MONGODB_FAULT_LOGIN);
                assert_int_equal(client->pool != NULL, refused < 3);
        }
        client = mongodb_client_free(client);
        server_stop(server);
        assert_in_range(
                server->logins, 3 + 5 + 3, 2 * (3 + 5 + 3)); /* libmongoc 1.30 logs in twice a try that is refused */
        free(server);
}

/* Newer drivers read the files of certificates once for a pool: a server whose certificate is replaced, and its
 * authority's or ours with it, would be out of reach until a restart. */
static void test_changed_certificates_renew_the_pool(void **state) {
        static char name[] = "d", none[] = "", *dates[] = { NULL };
        char path[] = "/tmp/sensorqd-ca-XXXXXX", uri[200], text[MONGODB_DETAIL_SIZE];
        MongodbConfig mongodb = {
                .uri = uri, .database = name, .collection = name, .rejected_collection = name, .date_fields = dates
        };
        SubscriptionConfig config = { .subscription = none, .id_attribute = none, .keys = &mongodb };
        _cleanup_(mongodb_client_freep) MongodbClient *client = NULL;
        const int fd = mkstemp(path);

        assert_true(fd >= 0);
        (void) snprintf(
                uri, sizeof(uri), "mongodb://127.0.0.1:1/?tls=true&tlsCAFile=%s&serverSelectionTimeoutMS=10", path);
        assert_int_equal(mongodb_client_new(&config, NULL, &client, text), 0);
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_UNREACHABLE);
        left = 0; /* the first that a new pool needs */
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_UNREACHABLE);
        assert_int_equal(write(fd, "new", 3), 3);
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_LOCAL);
        left = SIZE_MAX;
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_UNREACHABLE);
        left = 0;
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_LOCAL);
        left = SIZE_MAX;
        (void) close(fd);
}

/* A server that could not be looked for was said not to run. */
static void test_no_descriptors(void **state) {
        static char name[] = "d", none[] = "", *dates[] = { NULL };
        static char uri[] = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=10";
        char text[MONGODB_DETAIL_SIZE];
        MongodbConfig mongodb = {
                .uri = uri, .database = name, .collection = name, .rejected_collection = name, .date_fields = dates
        };
        SubscriptionConfig config = { .subscription = none, .id_attribute = none, .keys = &mongodb };
        _cleanup_(mongodb_client_freep) MongodbClient *client = NULL;
        struct rlimit before, few;

        assert_int_equal(mongodb_client_new(&config, NULL, &client, text), 0);
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_UNREACHABLE);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        few = (struct rlimit){ 0, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_LOCAL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(mongodb_client_ping(client, text), MONGODB_FAULT_UNREACHABLE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_threads),
                cmocka_unit_test(test_no_descriptors),
                cmocka_unit_test(test_refused_logins_renew_the_pool),
                cmocka_unit_test(test_changed_certificates_renew_the_pool),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
