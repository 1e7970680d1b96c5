/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark's servers against the libraries that the daemon uses: libmongoc and libcurl. A figure from a server
 * that cheats is worth nothing.
 *
 * usage: test-replay REPLAY_PUBSUB REPLAY_MONGO MONGO_TAP */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <mongoc/mongoc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Server {
        pid_t pid;
        FILE *out;
        unsigned port;
} Server;

static char **programs;

static Server server_start(const char *program, const char *option, const char *value) {
        Server s = {};
        char line[64];
        int pipes[2];

        assert_int_equal(pipe(pipes), 0);
        s.pid = fork();
        assert_true(s.pid >= 0);
        if (s.pid == 0) {
                (void) dup2(pipes[1], STDOUT_FILENO);
                (void) execl(program, program, option, value, NULL);
                _exit(127);
        }
        (void) close(pipes[1]);
        s.out = fdopen(pipes[0], "r");
        assert_non_null(s.out);
        assert_non_null(fgets(line, sizeof line, s.out));
        assert_int_equal(sscanf(line, "listening %u", &s.port), 1);
        return s;
}

/* Ends it; the rest of what it said is in *text*. */
static void server_stop(Server *s, char *text, size_t size) {
        int status;

        assert_int_equal(kill(s->pid, SIGTERM), 0);
        size = fread(text, 1, size - 1, s->out);
        text[size] = 0;
        (void) fclose(s->out);
        assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static size_t on_data(char *data, size_t size, size_t n, void *userdata) {
        char **text = userdata;
        size_t old = *text ? strlen(*text) : 0;

        *text = realloc(*text, old + size * n + 1);
        assert_non_null(*text);
        memcpy(*text + old, data, size * n);
        (*text)[old + size * n] = 0;
        return size * n;
}

/* GET when *body* is NULL. The reply is malloc'ed. */
static char *call(const Server *s, const char *path, const char *body) {
        CURL *curl = curl_easy_init();
        char url[256], *text = NULL;

        (void) snprintf(url, sizeof url, "http://127.0.0.1:%u%s", s->port, path);
        (void) curl_easy_setopt(curl, CURLOPT_URL, url);
        (void) curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
        (void) curl_easy_setopt(curl, CURLOPT_WRITEDATA, &text);
        if (body)
                (void) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        assert_int_equal(curl_easy_perform(curl), CURLE_OK);
        curl_easy_cleanup(curl);
        assert_non_null(text);
        return text;
}

static unsigned long long number(const char *json, const char *key) {
        char quoted[64];
        const char *at;

        (void) snprintf(quoted, sizeof quoted, "\"%s\": ", key);
        at = strstr(json, quoted);
        assert_non_null(at);
        return strtoull(at + strlen(quoted), NULL, 10);
}

#define SUBSCRIPTION "/v1/projects/bench/subscriptions/bench"

/* Every message once, acknowledged ids counted once, and an empty long poll that ends. */
static void test_backlog(void **state) {
        Server s = server_start(programs[1], "--backlog", "3");
        char *reply = call(&s, SUBSCRIPTION ":pull", "{\"maxMessages\":2}"), *stats, ack[512], said[256];
        const char *id = strstr(reply, "\"ackId\": \"") + strlen("\"ackId\": \"");

        (void) snprintf(ack, sizeof ack, "{\"ackIds\":[\"%.180s\",\"%.180s\"]}", id, id);
        free(call(&s, SUBSCRIPTION ":acknowledge", ack));
        (void) snprintf(ack, sizeof ack, "{\"ackIds\":[\"%.180s\"],\"ackDeadlineSeconds\":0}",
                strstr(id, "\"ackId\": \"") + strlen("\"ackId\": \""));
        free(call(&s, SUBSCRIPTION ":modifyAckDeadline", ack));
        free(reply);
        reply = call(&s, SUBSCRIPTION ":pull", "{\"maxMessages\":1000}");
        assert_non_null(strstr(reply, "0000000000000001"));
        assert_non_null(strstr(reply, "0000000000000002"));
        free(reply);
        reply = call(&s, SUBSCRIPTION ":pull", "{\"maxMessages\":1000,\"returnImmediately\":true}");
        assert_null(strstr(reply, "ackId"));
        free(reply);
        stats = call(&s, "/_stats", NULL);
        assert_int_equal(number(stats, "acknowledged"), 1);
        assert_int_equal(number(stats, "acknowledged_again"), 1);
        assert_int_equal(number(stats, "returned"), 1);
        assert_int_equal(number(stats, "delivered"), 4);
        assert_int_equal(number(stats, "empty_pulls"), 1);
        free(stats);
        server_stop(&s, said, sizeof said);
}

static void test_publish(void **state) {
        Server s = server_start(programs[1], "--expect-published", "2");
        char *reply = call(&s, "/v1/projects/bench/topics/bench:publish",
                     "{\"messages\":[{\"data\":\"e30=\"},{\"data\":\"e30=\"}]}"),
             said[256];

        assert_non_null(strstr(reply, "\"1000000\""));
        assert_non_null(strstr(reply, "\"1000001\""));
        assert_null(strstr(reply, "\"1000002\""));
        free(reply);
        reply = call(&s, "/1/devices", NULL);
        assert_non_null(strstr(reply, "newest_events"));
        free(reply);
        server_stop(&s, said, sizeof said);
        assert_string_equal(said, "published 2\n");
}

/* *n* documents by one insert, as the daemon's driver does it: pool, replica set, majority, retryable write. */
static void insert(unsigned port, int n) {
        mongoc_uri_t *uri;
        bson_t *documents[10], *options = BCON_NEW("ordered", BCON_BOOL(false)), *filter = bson_new(),
                               *ping = BCON_NEW("ping", BCON_INT32(1));
        mongoc_client_pool_t *pool;
        mongoc_client_t *client;
        mongoc_collection_t *collection;
        mongoc_cursor_t *cursor;
        bson_error_t error;
        const bson_t *found;
        bson_t reply;
        bson_iter_t iter;
        char text[128];

        (void) snprintf(text, sizeof text,
                "mongodb://127.0.0.1:%u/?w=majority&journal=true&serverSelectionTimeoutMS=5000", port);
        uri = mongoc_uri_new(text);
        pool = mongoc_client_pool_new(uri);
        client = mongoc_client_pool_pop(pool);
        assert_true(mongoc_client_command_simple(client, "admin", ping, NULL, NULL, &error));
        collection = mongoc_client_get_collection(client, "bench", "readings");
        for (int i = 0; i < n; i++)
                documents[i] = BCON_NEW("_id", BCON_INT32(i), "pubsub", "{", "attributes", "{", "sent_usec",
                        BCON_UTF8("0000000000000001"), "}", "}");
        assert_true(mongoc_collection_insert_many(
                collection, (const bson_t **) documents, (size_t) n, options, &reply, &error));
        assert_true(bson_iter_init_find(&iter, &reply, "insertedCount"));
        assert_int_equal(bson_iter_as_int64(&iter), n);
        bson_destroy(&reply);
        cursor = mongoc_collection_find_with_opts(collection, filter, NULL, NULL);
        assert_false(mongoc_cursor_next(cursor, &found));
        assert_false(mongoc_cursor_error(cursor, &error));
        mongoc_cursor_destroy(cursor);
        for (int i = 0; i < n; i++)
                bson_destroy(documents[i]);
        bson_destroy(options);
        bson_destroy(filter);
        bson_destroy(ping);
        mongoc_collection_destroy(collection);
        mongoc_client_pool_push(pool, client);
        mongoc_client_pool_destroy(pool);
        mongoc_uri_destroy(uri);
}

static void test_mongo(void **state) {
        Server s = server_start(programs[2], "--expect", "10");
        char said[2048];

        insert(s.port, 10);
        server_stop(&s, said, sizeof said);
        assert_non_null(strstr(said, "documents 10\n"));
        assert_int_equal(number(said, "inserts"), 1);
        assert_int_equal(number(said, "unknown"), 0);
        assert_int_equal(number(said, "finds"), 1);
}

static void test_mongo_delay(void **state) {
        Server s = server_start(programs[2], "--delay-ms", "50");
        char said[2048];
        int64_t started = bson_get_monotonic_time();

        insert(s.port, 3);
        assert_true(bson_get_monotonic_time() - started >= 50000);
        server_stop(&s, said, sizeof said);
        assert_int_equal(number(said, "documents"), 3);
}

static void test_tap(void **state) {
        Server s = server_start(programs[2], "--delay-ms", "1"), tap;
        char port[16], said[2048];

        (void) snprintf(port, sizeof port, "%u", s.port);
        tap = server_start(programs[3], "--server", port);
        insert(tap.port, 7);
        server_stop(&tap, said, sizeof said);
        assert_int_equal(number(said, "documents"), 7);
        assert_int_equal(number(strstr(said, "latency"), "n"), 7);
        server_stop(&s, said, sizeof said);
        assert_int_equal(number(said, "documents"), 7);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_backlog),
                cmocka_unit_test(test_publish),
                cmocka_unit_test(test_mongo),
                cmocka_unit_test(test_mongo_delay),
                cmocka_unit_test(test_tap),
        };
        int failed;

        if (argc != 4)
                return 64;
        programs = argv;
        (void) curl_global_init(CURL_GLOBAL_DEFAULT);
        mongoc_init();
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        mongoc_cleanup();
        curl_global_cleanup();
        return failed;
}
