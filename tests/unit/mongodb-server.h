/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SecantusDB (tests/requirements.txt) as a MongoDB server for a unit test, on loopback, with a temporary storage. */

#include <mongoc/mongoc.h>
#include <stdbool.h>

typedef struct MongodbServer {
        char program[512], directory[64], port_text[8];
        int port;
        pid_t pid; /* 0: not running */
        mongoc_client_pool_t *pool;
        mongoc_client_t *client; /* of the test itself */
} MongodbServer;

/* False, with the reason printed, when the program is not installed ($SENSORQD_VENV, else /var/tmp/sensorqd-venv, else
 * the path). */
bool mongodb_server_setup(MongodbServer *server);
void mongodb_server_teardown(MongodbServer *server);

/* Starts it on its port and waits for a ping; *auth*: it asks for logins. */
void mongodb_server_start(MongodbServer *server, bool auth);
void mongodb_server_stop(MongodbServer *server, int signal_number);

/* Runs a command given as JSON; fails the test when it fails. */
void mongodb_server_command(MongodbServer *server, const char *database, const char *json);
/* How many documents of the collection match *filter* (JSON). */
int64_t mongodb_server_count(MongodbServer *server, const char *database, const char *collection, const char *filter);
