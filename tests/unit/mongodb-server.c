/* SPDX-License-Identifier: Apache-2.0 */
#include "mongodb-server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "free-port.h"
#include "lib/err.h"

#define PROGRAM "secantusd-py"
#define START_TRIES 300 /* of 100 ms */

static bool find_program(MongodbServer *server) {
        const char *own = getenv("SENSORQD_VENV"), *path = getenv("PATH");
        const char *const places[] = { own ? own : "/var/tmp/sensorqd-venv", NULL };
        _cleanup_free_ char *copy = strdup(path ? path : "");
        char *rest = copy;

        (void) snprintf(server->program, sizeof(server->program), "%s/bin/" PROGRAM, places[0]);
        if (access(server->program, X_OK) == 0)
                return true;
        for (char *directory; (directory = strsep(&rest, ":"));) {
                (void) snprintf(server->program, sizeof(server->program), "%s/" PROGRAM, directory);
                if (access(server->program, X_OK) == 0)
                        return true;
        }
        return false;
}

bool mongodb_server_setup(MongodbServer *server) {
        *server = (MongodbServer){};
        if (!find_program(server)) {
                print_message("SKIPPED: " PROGRAM
                              " is not installed; set SENSORQD_VENV to a venv with tests/requirements.txt\n");
                return false;
        }
        (void) snprintf(server->directory, sizeof(server->directory), "/tmp/sensorqd-mongodb-XXXXXX");
        assert_non_null(mkdtemp(server->directory));
        server->port = free_port();
        (void) snprintf(server->port_text, sizeof(server->port_text), "%d", server->port);
        return true;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
        return remove(path);
}

static void disconnect(MongodbServer *server) {
        if (server->client)
                mongoc_client_pool_push(server->pool, cleanup_steal(server->client));
        if (server->pool)
                mongoc_client_pool_destroy(cleanup_steal(server->pool));
}

void mongodb_server_teardown(MongodbServer *server) {
        mongodb_server_stop(server, SIGKILL);
        if (*server->directory)
                (void) nftw(server->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void run(MongodbServer *server, bool auth) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        sigset_t none;

        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL); /* the test blocks what ends this one */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) dup2(null, STDIN_FILENO);
        (void) dup2(null, STDOUT_FILENO);
        (void) dup2(null, STDERR_FILENO);
        (void) execl(server->program, PROGRAM, "--host", "127.0.0.1", "--port", server->port_text, "--storage-path",
                server->directory, "--enable-test-commands", auth ? "--auth" : NULL, NULL);
        _exit(127);
}

static bool answers(MongodbServer *server) {
        bson_t command = BSON_INITIALIZER;
        bson_error_t error;
        bool ok;

        (void) BSON_APPEND_INT32(&command, "ping", 1);
        ok = mongoc_client_command_simple(server->client, "admin", &command, NULL, NULL, &error);
        bson_destroy(&command);
        return ok;
}

void mongodb_server_start(MongodbServer *server, bool auth) {
        char uri_text[128];
        mongoc_uri_t *uri;

        assert_int_equal(server->pid, 0);
        server->pid = fork();
        assert_true(server->pid >= 0);
        if (server->pid == 0)
                run(server, auth);

        (void) snprintf(uri_text, sizeof(uri_text),
                "mongodb://127.0.0.1:%d/?serverSelectionTimeoutMS=500&connectTimeoutMS=500&heartbeatFrequencyMS=500",
                server->port);
        uri = mongoc_uri_new(uri_text);
        server->pool = mongoc_client_pool_new(uri);
        mongoc_uri_destroy(uri);
        server->client = mongoc_client_pool_pop(server->pool);
        for (int i = 0; i < START_TRIES; i++) {
                if (answers(server))
                        return;
                assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
                (void) usleep(100 * 1000);
        }
        fail_msg("the MongoDB server does not answer");
}

void mongodb_server_stop(MongodbServer *server, int signal_number) {
        disconnect(server);
        if (server->pid > 0) {
                (void) kill(server->pid, signal_number);
                (void) waitpid(server->pid, NULL, 0);
                server->pid = 0;
        }
}

void mongodb_server_command(MongodbServer *server, const char *database, const char *json) {
        bson_error_t error;
        bson_t *command = bson_new_from_json((const uint8_t *) json, -1, &error);

        if (!command || !mongoc_client_command_simple(server->client, database, command, NULL, NULL, &error))
                fail_msg("%s: %s", json, error.message);
        bson_destroy(command);
}

int64_t mongodb_server_count(MongodbServer *server, const char *database, const char *collection, const char *filter) {
        mongoc_collection_t *c = mongoc_client_get_collection(server->client, database, collection);
        bson_error_t error;
        bson_t *query = bson_new_from_json((const uint8_t *) filter, -1, &error);
        int64_t n;

        assert_non_null(query);
        n = mongoc_collection_count_documents(c, query, NULL, NULL, NULL, &error);
        if (n < 0)
                fail_msg("%s: %s", filter, error.message);
        bson_destroy(query);
        mongoc_collection_destroy(c);
        return n;
}
