/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a batch against a server whose answers the test decides, for what no real server can be made to say: P3, P4, P6 under every
 * kind of answer. The server speaks just enough of the wire protocol (OP_MSG, and OP_QUERY for the first hello). */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "subscribe/mongodb-write.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"
#define OP_REPLY 1
#define OP_QUERY 2004
#define OP_MSG 2013
#define MESSAGE_MAX (48 * 1000 * 1000)
#define STORED_MAX 4096

/* What the server says to one document of an insert. */
enum { SAY_STORED = 0, SAY_CLOSE = -1, SAY_COMMAND = -2 }; /* else: a code for writeErrors */

typedef struct Server {
        int fd, port;
        pthread_t thread;
        pthread_mutex_t mutex;    /* over all of the following */
        char *stored[STORED_MAX]; /* ids in the main collection, with their documents */
        bson_t *documents[STORED_MAX];
        size_t n_stored;
        size_t n_rejected;
        unsigned inserts, rejected_inserts, finds, largest;
        unsigned weak; /* commands that do not ask for the majority */
        /* Decides about the document with this `val`. */
        int (*say)(double val, bool rejected);
        int command_code;     /* for SAY_COMMAND: the whole insert fails with it */
        bool count_as_double; /* `n` as a double, which the driver does not read */
        bool hide_found;      /* finds answer nothing */
} Server;

/* On the server's threads, where cmocka's assertions do not work. */
static void require(bool ok) {
        if (!ok)
                abort();
}

/* ---- the wire ---- */

static bool read_all(int fd, void *buffer, size_t size) {
        for (char *p = buffer; size > 0;) {
                ssize_t n = read(fd, p, size);

                if (n <= 0)
                        return false;
                p += n;
                size -= (size_t) n;
        }
        return true;
}

static void write_reply(int fd, int32_t op, int32_t request, const bson_t *reply) {
        const int32_t old[5] = { 8, 0, 0, 0, 1 }; /* flags, cursor id, start, number returned */
        size_t extra = op == OP_MSG ? 5 : sizeof(old);
        int32_t header[4] = { (int32_t) (16 + extra + reply->len), 1, request, op == OP_MSG ? OP_MSG : OP_REPLY };
        char buffer[64] = "";

        memcpy(buffer, header, 16);
        if (op != OP_MSG)
                memcpy(buffer + 16, old, sizeof(old));
        if (write(fd, buffer, 16 + extra) < 0 || write(fd, bson_get_data(reply), reply->len) < 0)
                (void) shutdown(fd, SHUT_RDWR);
}

static double double_of(const bson_t *document, const char *key) {
        bson_iter_t iter;

        return bson_iter_init_find(&iter, document, key) && BSON_ITER_HOLDS_DOUBLE(&iter) ? bson_iter_double(&iter) : 0;
}

static const char *text_of(const bson_t *document, const char *key) {
        bson_iter_t iter;

        return bson_iter_init_find(&iter, document, key) && BSON_ITER_HOLDS_UTF8(&iter) ? bson_iter_utf8(&iter, NULL) : "";
}

static ssize_t find_stored(const Server *server, const char *id) {
        for (size_t i = 0; i < server->n_stored; i++)
                if (strcmp(server->stored[i], id) == 0)
                        return (ssize_t) i;
        return -1;
}

static void put_error(bson_t *errors, uint32_t n, int32_t index, int code) {
        char buffer[16];
        const char *key;
        bson_t error, pattern;

        (void) bson_uint32_to_string(n, &key, buffer, sizeof(buffer));
        (void) bson_append_document_begin(errors, key, -1, &error);
        (void) BSON_APPEND_INT32(&error, "index", index);
        (void) BSON_APPEND_INT32(&error, "code", code);
        (void) BSON_APPEND_UTF8(&error, "errmsg", "scripted");
        (void) BSON_APPEND_DOCUMENT_BEGIN(&error, "keyPattern", &pattern);
        (void) BSON_APPEND_INT32(&pattern, "_id", 1);
        (void) bson_append_document_end(&error, &pattern);
        (void) bson_append_document_end(errors, &error);
}

/* The server's judgement of one document: 0, a code for writeErrors, SAY_CLOSE or SAY_COMMAND. */
static int insert_one(Server *server, const bson_t *document, bool rejected) {
        int said = server->say ? server->say(rejected ? 0 : double_of(document, "val"), rejected) : SAY_STORED;

        if (said != SAY_STORED)
                return said;
        if (rejected) {
                server->n_rejected++;
                return SAY_STORED;
        }
        if (find_stored(server, text_of(document, "_id")) >= 0)
                return 11000;
        server->stored[server->n_stored] = strdup(text_of(document, "_id"));
        server->documents[server->n_stored++] = bson_copy(document);
        return SAY_STORED;
}

/* False: the connection is to be closed without an answer. */
static bool answer_insert(Server *server, bool rejected, const uint8_t *data, size_t size, bson_t *reply) {
        bson_t errors = BSON_INITIALIZER, document;
        int32_t index = 0, length;
        uint32_t n_errors = 0;
        int fail = 0;

        *(rejected ? &server->rejected_inserts : &server->inserts) += 1;
        for (size_t at = 0; at < size; at += (size_t) length, index++) {
                memcpy(&length, data + at, 4);
                require(bson_init_static(&document, data + at, (size_t) length));
                fail = insert_one(server, &document, rejected);
                if (fail < 0)
                        break;
                if (fail > 0)
                        put_error(&errors, n_errors++, index, fail);
        }
        if ((unsigned) index > server->largest)
                server->largest = (unsigned) index;
        if (fail == SAY_COMMAND) {
                (void) BSON_APPEND_INT32(reply, "ok", 0);
                (void) BSON_APPEND_INT32(reply, "code", server->command_code);
                (void) BSON_APPEND_UTF8(reply, "errmsg", "scripted failure of the command");
        } else {
                (void) BSON_APPEND_INT32(reply, "ok", 1);
                if (server->count_as_double)
                        (void) BSON_APPEND_DOUBLE(reply, "n", index - (int32_t) n_errors);
                else
                        (void) BSON_APPEND_INT32(reply, "n", index - (int32_t) n_errors);
                if (n_errors > 0)
                        (void) BSON_APPEND_ARRAY(reply, "writeErrors", &errors);
        }
        bson_destroy(&errors);
        return fail != SAY_CLOSE;
}

static void answer_find(Server *server, const bson_t *command, bson_t *reply) {
        bson_t cursor, batch;
        bson_iter_t iter, found, ids;
        uint32_t n = 0;

        server->finds++;
        (void) BSON_APPEND_INT32(reply, "ok", 1);
        (void) BSON_APPEND_DOCUMENT_BEGIN(reply, "cursor", &cursor);
        (void) BSON_APPEND_INT64(&cursor, "id", 0);
        (void) BSON_APPEND_UTF8(&cursor, "ns", "d.c");
        (void) BSON_APPEND_ARRAY_BEGIN(&cursor, "firstBatch", &batch);
        require(bson_iter_init(&iter, command) && bson_iter_find_descendant(&iter, "filter._id.$in", &found) &&
                bson_iter_recurse(&found, &ids));
        while (!server->hide_found && bson_iter_next(&ids)) {
                ssize_t place = find_stored(server, bson_iter_utf8(&ids, NULL));
                char buffer[16];
                const char *key;

                (void) bson_uint32_to_string(n, &key, buffer, sizeof(buffer));
                if (place >= 0 && bson_append_document(&batch, key, -1, server->documents[place]))
                        n++;
        }
        (void) bson_append_array_end(&cursor, &batch);
        (void) bson_append_document_end(reply, &cursor);
}

static void answer_hello(bson_t *reply) {
        (void) BSON_APPEND_BOOL(reply, "ismaster", true);
        (void) BSON_APPEND_BOOL(reply, "isWritablePrimary", true);
        (void) BSON_APPEND_INT32(reply, "maxWireVersion", 17);
        (void) BSON_APPEND_INT32(reply, "minWireVersion", 0);
        (void) BSON_APPEND_INT32(reply, "maxBsonObjectSize", 16777216);
        (void) BSON_APPEND_INT32(reply, "maxMessageSizeBytes", MESSAGE_MAX);
        (void) BSON_APPEND_INT32(reply, "maxWriteBatchSize", 100000);
        (void) BSON_APPEND_INT32(reply, "ok", 1);
}

static bool says(const bson_t *command, const char *path, const char *word) {
        bson_iter_t iter, found;

        return bson_iter_init(&iter, command) && bson_iter_find_descendant(&iter, path, &found) && BSON_ITER_HOLDS_UTF8(&found) &&
               strcmp(bson_iter_utf8(&found, NULL), word) == 0;
}

/* P3: every insert, also into the rejected collection, waits for a majority and its journals, for so long and no longer. */
static bool is_durable_write(const bson_t *command) {
        bson_iter_t iter, found;

        return says(command, "writeConcern.w", "majority") && bson_iter_init(&iter, command) &&
               bson_iter_find_descendant(&iter, "writeConcern.j", &found) && bson_iter_as_bool(&found) && bson_iter_init(&iter, command) &&
               bson_iter_find_descendant(&iter, "writeConcern.wtimeout", &found) && bson_iter_as_int64(&found) > 0;
}

/* P3: what a duplicate is compared with is what a majority has, as the primary sees it. */
static bool is_majority_read(const bson_t *command) {
        bson_iter_t iter, found;

        return says(command, "readConcern.level", "majority") &&
               (!bson_iter_init_find(&iter, command, "$readPreference") || says(command, "$readPreference.mode", "primary")) &&
               bson_iter_init(&iter, command) && bson_iter_find_descendant(&iter, "maxTimeMS", &found) && bson_iter_as_int64(&found) > 0;
}

/* One OP_MSG: a command (section 0) and, for an insert, its documents (section 1). */
static bool answer(Server *server, const uint8_t *body, size_t size, bson_t *reply) {
        const uint8_t *p = body + 4, *end = body + size, *documents = NULL;
        size_t documents_size = 0;
        bson_t command = BSON_INITIALIZER;
        bson_iter_t iter;
        int32_t length;
        bool more = true;

        while (p < end) {
                bool list = *p++ == 1;

                memcpy(&length, p, 4);
                if (list) {
                        size_t skipped = 4 + strlen((const char *) p + 4) + 1;

                        documents = p + skipped;
                        documents_size = (size_t) length - skipped;
                } else
                        require(bson_init_static(&command, p, (size_t) length));
                p += length;
        }
        require(bson_iter_init(&iter, &command) && bson_iter_next(&iter));
        if (strcmp(bson_iter_key(&iter), "insert") == 0) {
                server->weak += !is_durable_write(&command);
                more = answer_insert(server, strcmp(bson_iter_utf8(&iter, NULL), "c") != 0, documents, documents_size, reply);
        } else if (strcmp(bson_iter_key(&iter), "find") == 0) {
                server->weak += !is_majority_read(&command);
                answer_find(server, &command, reply);
        } else if (strcmp(bson_iter_key(&iter), "ping") == 0)
                (void) BSON_APPEND_INT32(reply, "ok", 1);
        else
                answer_hello(reply);
        return more;
}

typedef struct Connection {
        Server *server;
        int fd;
} Connection;

static void *serve_connection(void *userdata) {
        Connection *connection = userdata;
        uint8_t *body = malloc(MESSAGE_MAX);
        int32_t header[4];
        bool more = body;

        while (more && read_all(connection->fd, header, sizeof(header)) && read_all(connection->fd, body, (size_t) header[0] - 16)) {
                bson_t reply = BSON_INITIALIZER;

                (void) pthread_mutex_lock(&connection->server->mutex);
                if (header[3] == OP_MSG)
                        more = answer(connection->server, body, (size_t) header[0] - 16, &reply);
                else
                        answer_hello(&reply);
                (void) pthread_mutex_unlock(&connection->server->mutex);
                if (more)
                        write_reply(connection->fd, header[3], header[1], &reply);
                bson_destroy(&reply);
        }
        free(body);
        (void) close(connection->fd);
        free(connection);
        return NULL;
}

static void *serve(void *userdata) {
        Server *server = userdata;

        for (;;) {
                Connection *connection;
                pthread_t thread;
                int fd = accept(server->fd, NULL, NULL);

                if (fd < 0)
                        return NULL;
                connection = malloc(sizeof(*connection));
                *connection = (Connection){ server, fd };
                (void) pthread_create(&thread, NULL, serve_connection, connection);
                (void) pthread_detach(thread);
        }
}

static void server_start(Server *server) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);

        *server = (Server){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        (void) pthread_mutex_init(&server->mutex, NULL);
        assert_int_equal(bind(server->fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(getsockname(server->fd, (struct sockaddr *) &address, &size), 0);
        assert_int_equal(listen(server->fd, 16), 0);
        server->port = ntohs(address.sin_port);
        assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(Server *server) {
        (void) shutdown(server->fd, SHUT_RDWR);
        (void) pthread_join(server->thread, NULL);
        (void) close(server->fd);
        for (size_t i = 0; i < server->n_stored; i++) {
                free(server->stored[i]);
                bson_destroy(server->documents[i]);
        }
}

/* ---- the test's side ---- */

typedef struct World {
        Server server;
        char uri[160];
        MongodbWriter *writer;
        MongodbWriteResult result;
        Batch *batch;
} World;

static World *world_new(void) {
        static char database[] = "d", collection[] = "c", rejected[] = "c_rejected", subscription[] = SUBSCRIPTION, id_attribute[] = "key",
                    *none[] = { NULL };
        World *w = calloc(1, sizeof(*w));
        SubscriptionConfig config = { .subscription = subscription,
                .id_attribute = id_attribute,
                .mongodb = { .database = database, .collection = collection, .rejected_collection = rejected, .date_fields = none } };
        MongodbClient *client = NULL;
        char problem[256];

        assert_non_null(w);
        server_start(&w->server);
        (void) snprintf(
                w->uri, sizeof(w->uri), "mongodb://127.0.0.1:%d/?heartbeatFrequencyMS=500&serverSelectionTimeoutMS=3000", w->server.port);
        config.mongodb.uri = w->uri;
        assert_int_equal(mongodb_client_new(&config, NULL, &client, problem, sizeof(problem)), 0);
        assert_int_equal(mongodb_writer_new(client, &w->writer), 0);
        mongodb_writer_probe(w->writer, &w->result);
        assert_int_equal(w->result.fault, MONGODB_FAULT_NONE);
        return w;
}

static void world_free(World *w) {
        w->writer = mongodb_writer_free(w->writer);
        w->batch = batch_free(w->batch);
        server_stop(&w->server);
        assert_int_equal(w->server.weak, 0);
        (void) usleep(20 * 1000); /* the server's threads see that their connections are gone */
        free(w);
}

/* *n* messages {"val": 0, 1, 2, ...}, each *padding* bytes larger. */
static void fill(World *w, size_t n, size_t padding) {
        _cleanup_bytes_ Bytes body = {}, data = {};
        _cleanup_free_ char *text = calloc(1, padding + 1);

        assert_non_null(text);
        memset(text, 'x', padding);
        (void) bytes_append_text(&body, "{\"receivedMessages\":[");
        for (size_t i = 0; i < n; i++) {
                data.size = 0;
                (void) bytes_append_format(&data, "{\"val\":%zu,\"text\":\"%s\"}", i, text);
                (void) bytes_append_format(&body,
                        "%s{\"ackId\":\"a%zu\",\"message\":{\"messageId\":\"%zu\",\"attributes\":{\"key\":\"k%zu\"},\"data\":\"",
                        i > 0 ? "," : "", i, i, i);
                (void) bytes_append_base64(&body, data.data, data.size);
                (void) bytes_append_text(&body, "\"}}");
        }
        (void) bytes_append_text(&body, "]}");
        assert_int_equal(batch_new(SUBSCRIPTION, &body, 0, &w->batch), 0);
}

static void pass(World *w, bool again) {
        mongodb_writer_write(w->writer, w->batch, again, &w->result);
}

/* Passes until nothing is pending; returns how many. */
static unsigned pass_all(World *w) {
        for (unsigned n = 1; n < 40; n++) {
                pass(w, n > 1);
                if (w->result.fault == MONGODB_FAULT_NONE && !w->result.again) {
                        assert_int_equal(batch_count(w->batch, FATE_PENDING), 0);
                        return n;
                }
                assert_true(strlen(w->result.detail) > 0);
        }
        fail_msg("no end: %s", w->result.detail);
        return 0;
}

/* P3, P4: whatever happened, what is called stored is there, and everything once. */
static void assert_honest(const World *w) {
        for (size_t i = 0; i < w->batch->pull.n; i++) {
                char id[24];

                (void) snprintf(id, sizeof(id), "k%zu", i);
                if (w->batch->fates[i] == FATE_STORED || w->batch->fates[i] == FATE_DUPLICATE)
                        assert_true(find_stored(&w->server, id) >= 0);
        }
        assert_true(w->server.n_rejected >= batch_count(w->batch, FATE_REJECTED));
}

static size_t n_there(const World *w) {
        return batch_count(w->batch, FATE_STORED) + batch_count(w->batch, FATE_DUPLICATE);
}

#define UNLUCKY 13

static int say_odd(double val, bool rejected) {
        return val == UNLUCKY ? 4711 : SAY_STORED;
}

static int say_poison(double val, bool rejected) {
        return val == UNLUCKY ? SAY_COMMAND : SAY_STORED;
}

static int say_full(double val, bool rejected) {
        return val == UNLUCKY ? 14031 : SAY_STORED;
}

static int say_close(double val, bool rejected) {
        return val == UNLUCKY ? SAY_CLOSE : SAY_STORED;
}

static int say_refused(double val, bool rejected) {
        return val == UNLUCKY ? 121 : SAY_STORED;
}

static int say_refused_and_forbidden(double val, bool rejected) {
        return rejected ? SAY_COMMAND : say_refused(val, rejected);
}

static int say_refused_and_close(double val, bool rejected) {
        return rejected ? SAY_CLOSE : say_refused(val, rejected);
}

static int say_all_odd(double val, bool rejected) {
        return SAY_COMMAND;
}

static int say_two_odd(double val, bool rejected) {
        return say_odd(val == UNLUCKY + 1 ? UNLUCKY : val, rejected);
}

/* P6: a code that says neither "never" nor "later": the message is tried alone, five times in all, then set apart; its neighbours are
 * settled at once. */
static void test_odd_code(void **state) {
        World *w = world_new();

        w->server.say = say_two_odd;
        fill(w, 20, 0);
        pass(w, false);
        assert_int_equal(w->result.fault, MONGODB_FAULT_NONE);
        assert_true(w->result.again);
        assert_int_equal(batch_count(w->batch, FATE_STORED), 18);
        assert_int_equal(w->server.inserts, 1);
        w->server.largest = 0;
        for (unsigned i = 2; i < MONGODB_WRITE_ATTEMPTS; i++) {
                pass(w, true);
                assert_int_equal(w->server.inserts, 1 + 2 * (i - 1));
                assert_int_equal(batch_count(w->batch, FATE_PENDING), 2);
        }
        assert_int_equal(w->server.largest, 1);
        pass(w, true);
        assert_int_equal(w->batch->fates[UNLUCKY], FATE_REJECTED);
        assert_int_equal(w->server.n_rejected, 2);
        assert_honest(w);
        world_free(w);
}

/* P6: one document makes the whole command fail: found by halving, in one pass. */
static void test_poison(void **state) {
        World *w = world_new();

        w->server.say = say_poison;
        w->server.command_code = 22;
        fill(w, 100, 0);
        assert_int_equal(pass_all(w), 1);
        assert_int_equal(w->batch->fates[UNLUCKY], FATE_REJECTED);
        assert_int_equal(n_there(w), 99);
        assert_true(w->server.inserts <= 2 * 7 + 1);
        assert_honest(w);
        world_free(w);
}

/* The same with a code that nobody knows: taken for a fault of the server at first, and for one of the document only after some passes. */
static void test_strange_command(void **state) {
        World *w = world_new();

        w->server.say = say_poison;
        w->server.command_code = 4711;
        fill(w, 20, 0);
        pass(w, false);
        assert_int_equal(w->result.fault, MONGODB_FAULT_STRANGE);
        assert_true(pass_all(w) > MONGODB_WRITE_ATTEMPTS);
        assert_int_equal(w->batch->fates[UNLUCKY], FATE_REJECTED);
        assert_int_equal(n_there(w), 19);
        assert_honest(w);
        world_free(w);
}

/* When every insert fails so, in the rejected collection too, nothing is acknowledged. */
static void test_strange_server(void **state) {
        World *w = world_new();

        w->server.say = say_all_odd;
        w->server.command_code = 4711;
        fill(w, 3, 0);
        (void) pass_all(w);
        assert_int_equal(batch_count(w->batch, FATE_FAILED), 3);
        world_free(w);
}

/* A full disk for one of many: the others are settled, that one waits. */
static void test_full_for_one(void **state) {
        World *w = world_new();

        w->server.say = say_full;
        fill(w, 20, 0);
        pass(w, false);
        assert_int_equal(w->result.fault, MONGODB_FAULT_DISK_FULL);
        assert_int_equal(batch_count(w->batch, FATE_STORED), 19);
        assert_int_equal(w->batch->fates[UNLUCKY], FATE_PENDING);
        w->server.say = NULL;
        pass(w, true);
        assert_int_equal(batch_count(w->batch, FATE_STORED), 20);
        assert_honest(w);
        world_free(w);
}

/* P4: applied in part, and the connection breaks before the answer: nothing is concluded, and the next pass finds what is there. */
static void test_cut_after_a_part(void **state) {
        World *w = world_new();

        w->server.say = say_close;
        fill(w, 20, 0);
        pass(w, false);
        assert_int_equal(w->result.fault, MONGODB_FAULT_UNREACHABLE);
        assert_int_equal(batch_count(w->batch, FATE_PENDING), 20);
        assert_int_equal(w->server.n_stored, UNLUCKY);
        w->server.say = NULL;
        (void) pass_all(w);
        assert_int_equal(batch_count(w->batch, FATE_DUPLICATE), UNLUCKY);
        assert_int_equal(batch_count(w->batch, FATE_STORED), 20 - UNLUCKY);
        assert_honest(w);
        world_free(w);
}

/* An answer that does not account for the documents is no proof; the duplicates of the next pass are. */
static void test_count_not_understood(void **state) {
        World *w = world_new();

        w->server.count_as_double = true;
        fill(w, 5, 0);
        pass(w, false);
        assert_true(w->result.again);
        assert_int_equal(batch_count(w->batch, FATE_PENDING), 5);
        (void) pass_all(w);
        assert_int_equal(batch_count(w->batch, FATE_DUPLICATE), 5);
        assert_honest(w);
        world_free(w);
}

/* The document vanished between the refusal and the look: tried again, and not for ever. */
static void test_vanished(void **state) {
        World *w = world_new();

        fill(w, 3, 0);
        assert_int_equal(pass_all(w), 1);
        w->batch = batch_free(w->batch);
        fill(w, 3, 0);
        w->server.hide_found = true;
        pass(w, false);
        assert_true(w->result.again);
        assert_int_equal(batch_count(w->batch, FATE_PENDING), 3);
        w->server.hide_found = false;
        pass(w, true);
        assert_int_equal(batch_count(w->batch, FATE_DUPLICATE), 3);

        w->batch = batch_free(w->batch);
        fill(w, 3, 0);
        w->server.hide_found = true;
        assert_int_equal(pass_all(w), MONGODB_WRITE_ATTEMPTS);
        assert_int_equal(batch_count(w->batch, FATE_REJECTED), 3);
        world_free(w);
}

/* P6: the rejected collection is closed to the user: that message stays unacknowledged, its neighbours are settled, the sink goes on. */
static void test_rejected_forbidden(void **state) {
        World *w = world_new();

        w->server.say = say_refused_and_forbidden;
        w->server.command_code = 13;
        fill(w, 20, 0);
        assert_int_equal(pass_all(w), 1);
        assert_int_equal(w->batch->fates[UNLUCKY], FATE_FAILED);
        assert_int_equal(batch_count(w->batch, FATE_STORED), 19);
        assert_int_equal(w->result.failed, 1);
        world_free(w);
}

/* P3 (c): not settled before its bytes are durable. */
static void test_rejected_cut(void **state) {
        World *w = world_new();

        w->server.say = say_refused_and_close;
        fill(w, 20, 0);
        pass(w, false);
        assert_int_equal(w->result.fault, MONGODB_FAULT_UNREACHABLE);
        assert_int_equal(w->batch->fates[UNLUCKY], FATE_PENDING);
        assert_int_equal(batch_count(w->batch, FATE_STORED), 19);
        w->server.say = say_refused;
        (void) pass_all(w);
        assert_int_equal(w->batch->fates[UNLUCKY], FATE_REJECTED);
        assert_honest(w);
        world_free(w);
}

/* Bounded memory: no bulk beyond a thousand documents or four megabytes. */
static void test_bulk_limits(void **state) {
        World *w = world_new();

        fill(w, 2500, 0);
        assert_int_equal(pass_all(w), 1);
        assert_int_equal(w->server.inserts, 3);
        assert_int_equal(w->server.largest, 1000);
        assert_int_equal(batch_count(w->batch, FATE_STORED), 2500);
        world_free(w);

        w = world_new();
        fill(w, 8, 1500 * 1000);
        assert_int_equal(pass_all(w), 1);
        assert_int_equal(w->server.inserts, 4);
        assert_int_equal(w->server.largest, 2);
        world_free(w);
}

static void test_empty_batch(void **state) {
        World *w = world_new();

        fill(w, 0, 0);
        assert_int_equal(pass_all(w), 1);
        assert_int_equal(w->server.inserts, 0);
        world_free(w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_odd_code),
                cmocka_unit_test(test_poison),
                cmocka_unit_test(test_strange_command),
                cmocka_unit_test(test_strange_server),
                cmocka_unit_test(test_full_for_one),
                cmocka_unit_test(test_cut_after_a_part),
                cmocka_unit_test(test_count_not_understood),
                cmocka_unit_test(test_vanished),
                cmocka_unit_test(test_rejected_forbidden),
                cmocka_unit_test(test_rejected_cut),
                cmocka_unit_test(test_bulk_limits),
                cmocka_unit_test(test_empty_batch),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
