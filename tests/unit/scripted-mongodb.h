/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A MongoDB server whose answers the test decides, for what no real server can be made to say. It speaks just enough of
 * the wire protocol (OP_MSG, and OP_QUERY for the first hello). */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <mongoc/mongoc.h>

#include "lib/bytes.h"
#include "lib/err.h"

#define OP_REPLY 1
#define OP_QUERY 2004
#define OP_MSG 2013
#define MESSAGE_MAX (48 * 1000 * 1000)
#define STORED_MAX 4096
#define CONNECTIONS_MAX 256

/* What the server says to one document of an insert. */
enum { SAY_STORED = 0, SAY_CLOSE = -1, SAY_COMMAND = -2 }; /* else: a code for writeErrors */

typedef struct Connection {
        struct Server *server;
        int fd; /* open until the server stops, so that no other gets its number */
        pthread_t thread;
} Connection;

typedef struct Server {
        int fd, port;
        pthread_t thread;
        Connection connections[CONNECTIONS_MAX]; /* the accepting thread's */
        size_t n_connections;
        pthread_mutex_t mutex;    /* over all of the following */
        char *stored[STORED_MAX]; /* ids, with their documents; in the rejected collection behind an R */
        bson_t *documents[STORED_MAX];
        size_t n_stored;
        size_t n_rejected;
        unsigned inserts, rejected_inserts, finds, updates, lists, largest;
        unsigned weak; /* commands that do not ask for the majority */
        /* Decides about the document with this `val`. */
        int (*say)(double val, bool rejected);
        int command_code;                       /* for SAY_COMMAND: the whole insert fails with it */
        const char *command_text;               /* and with these words */
        int update_code, list_code, index_code; /* the command fails with it; 0: it is carried out */
        bool list_names;                        /* the list may be had of names only */
        const char *status;                     /* the answer to connectionStatus, in JSON; NULL: it says nothing */
        const char *kind;                       /* of the collection: "capped", "timeseries", "view"; NULL: plain */
        const char *duplicate_text; /* errmsg of duplicates, without a keyPattern; NULL: as a server of today */
        atomic_uint msec_per_100k;  /* how long a line this slow takes for what is sent */
        bool count_as_double;       /* `n` as a double, which the driver does not read */
        bool hide_found;            /* finds answer nothing */
        unsigned logins;            /* so far, refused ones too */
        atomic_bool refuse_logins;
        bool cut_logins;  /* the connection ends within them */
        bool no_majority; /* finds with read concern majority fail, as with enableMajorityReadConcern=false */
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
        if (send(fd, buffer, 16 + extra, MSG_NOSIGNAL) < 0 ||
                send(fd, bson_get_data(reply), reply->len, MSG_NOSIGNAL) < 0)
                (void) shutdown(fd, SHUT_RDWR);
}

static void answer_json(const char *json, bson_t *reply) {
        bson_t *answer = bson_new_from_json((const uint8_t *) json, -1, NULL);

        require(answer && bson_concat(reply, answer));
        bson_destroy(answer);
}

static void answer_error(int code, const char *text, bson_t *reply) {
        (void) BSON_APPEND_INT32(reply, "ok", 0);
        (void) BSON_APPEND_INT32(reply, "code", code);
        (void) BSON_APPEND_UTF8(reply, "errmsg", text ? text : "scripted failure of the command");
}

static double double_of(const bson_t *document, const char *key) {
        bson_iter_t iter;

        return bson_iter_init_find(&iter, document, key) && BSON_ITER_HOLDS_DOUBLE(&iter) ? bson_iter_double(&iter) : 0;
}

static const char *text_of(const bson_t *document, const char *key) {
        bson_iter_t iter;

        return bson_iter_init_find(&iter, document, key) && BSON_ITER_HOLDS_UTF8(&iter) ? bson_iter_utf8(&iter, NULL)
                                                                                        : "";
}

static ssize_t find_stored(const Server *server, const char *id) {
        for (size_t i = 0; i < server->n_stored; i++)
                if (strcmp(server->stored[i], id) == 0)
                        return (ssize_t) i;
        return -1;
}

static void put_error(const Server *server, bson_t *errors, uint32_t n, int32_t index, int code) {
        char buffer[16];
        const char *key;
        bson_t error, pattern;

        (void) bson_uint32_to_string(n, &key, buffer, sizeof(buffer));
        (void) bson_append_document_begin(errors, key, -1, &error);
        (void) BSON_APPEND_INT32(&error, "index", index);
        (void) BSON_APPEND_INT32(&error, "code", code);
        (void) BSON_APPEND_UTF8(
                &error, "errmsg", server->duplicate_text && code == 11000 ? server->duplicate_text : "scripted");
        if (!server->duplicate_text) {
                (void) BSON_APPEND_DOCUMENT_BEGIN(&error, "keyPattern", &pattern);
                (void) BSON_APPEND_INT32(&pattern, "_id", 1);
                (void) bson_append_document_end(&error, &pattern);
        }
        (void) bson_append_document_end(errors, &error);
}

/* The server's judgement of one document: 0, a code for writeErrors, SAY_CLOSE or SAY_COMMAND. */
static int insert_one(Server *server, const bson_t *document, bool rejected) {
        int said = server->say ? server->say(rejected ? 0 : double_of(document, "val"), rejected) : SAY_STORED;
        char id[256];

        if (said != SAY_STORED)
                return said;
        (void) snprintf(id, sizeof(id), "%s%s", rejected ? "R" : "", text_of(document, "_id"));
        if (find_stored(server, id) >= 0)
                return 11000;
        server->n_rejected += rejected;
        server->stored[server->n_stored] = strdup(id);
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
                        put_error(server, &errors, n_errors++, index, fail);
        }
        if ((unsigned) index > server->largest)
                server->largest = (unsigned) index;
        if (fail == SAY_COMMAND)
                answer_error(server->command_code, server->command_text, reply);
        else {
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

static bool says(const bson_t *command, const char *path, const char *word) {
        bson_iter_t iter, found;

        return bson_iter_init(&iter, command) && bson_iter_find_descendant(&iter, path, &found) &&
               BSON_ITER_HOLDS_UTF8(&found) && strcmp(bson_iter_utf8(&found, NULL), word) == 0;
}

/* P3: what a duplicate is compared with is what a majority has, as the primary sees it. */
static bool is_majority_read(const bson_t *command) {
        bson_iter_t iter, found;

        return says(command, "readConcern.level", "majority") &&
               (!bson_iter_init_find(&iter, command, "$readPreference") ||
                       says(command, "$readPreference.mode", "primary")) &&
               bson_iter_init(&iter, command) && bson_iter_find_descendant(&iter, "maxTimeMS", &found) &&
               bson_iter_as_int64(&found) > 0;
}

static void put_found(const Server *server, ssize_t place, uint32_t *n, bson_t *batch) {
        char buffer[16];
        const char *key;

        (void) bson_uint32_to_string(*n, &key, buffer, sizeof(buffer));
        if (place >= 0 && bson_append_document(batch, key, -1, server->documents[place]))
                (*n)++;
}

/* By _id. */
static void answer_find(Server *server, const bson_t *command, bson_t *reply) {
        bson_iter_t iter, found, ids;
        bson_t cursor, batch;
        uint32_t n = 0;
        char id[256];

        if (server->no_majority && says(command, "readConcern.level", "majority"))
                return answer_error(148, NULL, reply);
        require(bson_iter_init(&iter, command));
        require(bson_iter_find_descendant(&iter, "filter._id.$in", &found) && bson_iter_recurse(&found, &ids));
        server->finds++;
        server->weak += !server->no_majority && !is_majority_read(command);
        (void) BSON_APPEND_INT32(reply, "ok", 1);
        (void) BSON_APPEND_DOCUMENT_BEGIN(reply, "cursor", &cursor);
        (void) BSON_APPEND_INT64(&cursor, "id", 0);
        (void) BSON_APPEND_UTF8(&cursor, "ns", "d.c");
        (void) BSON_APPEND_ARRAY_BEGIN(&cursor, "firstBatch", &batch);
        while (!server->hide_found && bson_iter_next(&ids)) {
                (void) snprintf(
                        id, sizeof(id), "%s%s", says(command, "find", "c") ? "" : "R", bson_iter_utf8(&ids, NULL));
                put_found(server, find_stored(server, id), &n, &batch);
        }
        (void) bson_append_array_end(&cursor, &batch);
        (void) bson_append_document_end(reply, &cursor);
}

/* What kind of collection it is: type, and options where they may be seen. */
static void answer_list(Server *server, const bson_t *command, bson_t *reply) {
        bson_t cursor, batch, entry, options;
        bson_iter_t iter;
        bool names = bson_iter_init_find(&iter, command, "nameOnly") && bson_iter_as_bool(&iter);

        server->lists++;
        if (server->list_code > 0 && !(names && server->list_names))
                return answer_error(server->list_code, NULL, reply);
        (void) BSON_APPEND_INT32(reply, "ok", 1);
        (void) BSON_APPEND_DOCUMENT_BEGIN(reply, "cursor", &cursor);
        (void) BSON_APPEND_INT64(&cursor, "id", 0);
        (void) BSON_APPEND_UTF8(&cursor, "ns", "d.$cmd.listCollections");
        (void) BSON_APPEND_ARRAY_BEGIN(&cursor, "firstBatch", &batch);
        (void) BSON_APPEND_DOCUMENT_BEGIN(&batch, "0", &entry);
        (void) BSON_APPEND_UTF8(&entry, "name", "c");
        (void) BSON_APPEND_UTF8(
                &entry, "type", !server->kind || strcmp(server->kind, "capped") == 0 ? "collection" : server->kind);
        (void) BSON_APPEND_DOCUMENT_BEGIN(&entry, "options", &options);
        if (server->kind && !names && strcmp(server->kind, "capped") == 0)
                (void) BSON_APPEND_BOOL(&options, "capped", true);
        (void) bson_append_document_end(&entry, &options);
        (void) bson_append_document_end(&batch, &entry);
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

/* P3: every insert, also into the rejected collection, waits for a majority and its journals, for so long and no
 * longer. */
static bool is_durable_write(const bson_t *command) {
        bson_iter_t iter, found;

        return says(command, "writeConcern.w", "majority") && bson_iter_init(&iter, command) &&
               bson_iter_find_descendant(&iter, "writeConcern.j", &found) && bson_iter_as_bool(&found) &&
               bson_iter_init(&iter, command) && bson_iter_find_descendant(&iter, "writeConcern.wtimeout", &found) &&
               bson_iter_as_int64(&found) > 0;
}

/* The one step of PLAIN. */
static void answer_login(Server *server, bson_t *reply) {
        server->logins++;
        if (atomic_load(&server->refuse_logins))
                return answer_error(18, "Authentication failed.", reply);
        (void) BSON_APPEND_INT32(reply, "conversationId", 1);
        (void) BSON_APPEND_BOOL(reply, "done", true);
        (void) BSON_APPEND_BINARY(reply, "payload", BSON_SUBTYPE_BINARY, (const uint8_t *) "", 0);
        (void) BSON_APPEND_INT32(reply, "ok", 1);
}

/* The trial: an update of a document that nobody has. */
static void answer_update(Server *server, const bson_t *command, const uint8_t *data, bson_t *reply) {
        int32_t length;
        bson_iter_t iter;
        bson_t update;

        server->updates++;
        server->weak += !is_durable_write(command);
        if (data) {
                memcpy(&length, data, 4);
                require(bson_init_static(&update, data, (size_t) length));
                require(!(bson_iter_init_find(&iter, &update, "upsert") && bson_iter_as_bool(&iter)));
        }
        if (server->update_code > 0)
                return answer_error(server->update_code, NULL, reply);
        (void) BSON_APPEND_INT32(reply, "ok", 1);
        (void) BSON_APPEND_INT32(reply, "n", 0);
        (void) BSON_APPEND_INT32(reply, "nModified", 0);
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
                more = answer_insert(
                        server, strcmp(bson_iter_utf8(&iter, NULL), "c") != 0, documents, documents_size, reply);
        } else if (strcmp(bson_iter_key(&iter), "find") == 0)
                answer_find(server, &command, reply);
        else if (strcmp(bson_iter_key(&iter), "listCollections") == 0)
                answer_list(server, &command, reply);
        else if (strcmp(bson_iter_key(&iter), "connectionStatus") == 0 && server->status)
                answer_json(server->status, reply);
        else if (strcmp(bson_iter_key(&iter), "createIndexes") == 0 && server->index_code > 0)
                answer_error(server->index_code, "not authorized on d to execute command", reply);
        else if (strcmp(bson_iter_key(&iter), "update") == 0)
                answer_update(server, &command, documents, reply);
        else if (strcmp(bson_iter_key(&iter), "saslStart") == 0) {
                answer_login(server, reply);
                more = !server->cut_logins;
        } else if (strcmp(bson_iter_key(&iter), "ping") == 0)
                (void) BSON_APPEND_INT32(reply, "ok", 1);
        else
                answer_hello(reply);
        return more;
}

static void *serve_connection(void *userdata) {
        Connection *connection = userdata;
        uint8_t *body = malloc(MESSAGE_MAX);
        int32_t header[4];
        bool more = body;

        while (more && read_all(connection->fd, header, sizeof(header)) &&
                read_all(connection->fd, body, (size_t) header[0] - 16)) {
                bson_t reply = BSON_INITIALIZER;

                (void) usleep((unsigned) header[0] / 100 * atomic_load(&connection->server->msec_per_100k));
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
        (void) shutdown(connection->fd, SHUT_RDWR);
        return NULL;
}

static void *serve(void *userdata) {
        Server *server = userdata;

        for (;;) {
                Connection *connection = &server->connections[server->n_connections];
                int fd = accept(server->fd, NULL, NULL);

                if (fd < 0)
                        return NULL;
                require(server->n_connections++ < CONNECTIONS_MAX);
                *connection = (Connection){ .server = server, .fd = fd };
                require(pthread_create(&connection->thread, NULL, serve_connection, connection) == 0);
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
        for (size_t i = 0; i < server->n_connections; i++) {
                (void) shutdown(server->connections[i].fd, SHUT_RDWR);
                (void) pthread_join(server->connections[i].thread, NULL);
                (void) close(server->connections[i].fd);
        }
        for (size_t i = 0; i < server->n_stored; i++) {
                free(server->stored[i]);
                bson_destroy(server->documents[i]);
        }
}
