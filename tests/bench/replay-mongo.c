/* SPDX-License-Identifier: Apache-2.0 */
/* A MongoDB server that counts what is inserted and keeps nothing, for benchmarks: a replica set of one member, so that
 * the driver uses retryable writes and write concern majority as it does in earnest.
 *
 * On stdout: "listening PORT", "documents N" when --expect N were inserted, and at SIGTERM one JSON object. */

#include "loop.h"
#include "mongo-wire.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ReplayMongo {
        Loop *loop;
        uint16_t port;
        uint64_t delay, expect;
        bool timed;
        uint64_t connections, commands, inserts, documents, finds, unknown;
        uint64_t first_insert, last_insert;
        Latency latency;
} ReplayMongo;

/* The answer to an insert, held back for --delay-ms; in peer->data. */
typedef struct Held {
        Buffer reply;
        Latency sent;
} Held;

static void append_hello(const ReplayMongo *r, bson_t *reply) {
        char me[32];
        bson_t hosts;

        (void) snprintf(me, sizeof me, "127.0.0.1:%u", r->port);
        BSON_APPEND_BOOL(reply, "helloOk", true);
        BSON_APPEND_BOOL(reply, "ismaster", true);
        BSON_APPEND_BOOL(reply, "isWritablePrimary", true);
        BSON_APPEND_BOOL(reply, "secondary", false);
        BSON_APPEND_UTF8(reply, "setName", "replay");
        BSON_APPEND_INT32(reply, "setVersion", 1);
        BSON_APPEND_ARRAY_BEGIN(reply, "hosts", &hosts);
        BSON_APPEND_UTF8(&hosts, "0", me);
        bson_append_array_end(reply, &hosts);
        BSON_APPEND_UTF8(reply, "primary", me);
        BSON_APPEND_UTF8(reply, "me", me);
        BSON_APPEND_INT32(reply, "maxBsonObjectSize", 16777216);
        BSON_APPEND_INT32(reply, "maxMessageSizeBytes", 48000000);
        BSON_APPEND_INT32(reply, "maxWriteBatchSize", 100000);
        BSON_APPEND_DATE_TIME(reply, "localTime", (int64_t) (loop_wall() / 1000));
        BSON_APPEND_INT32(reply, "logicalSessionTimeoutMinutes", 30);
        BSON_APPEND_INT32(reply, "connectionId", 1);
        BSON_APPEND_INT32(reply, "minWireVersion", 0);
        BSON_APPEND_INT32(reply, "maxWireVersion", 17);
        BSON_APPEND_BOOL(reply, "readOnly", false);
}

static void append_empty_cursor(bson_t *reply) {
        bson_t cursor, batch;

        BSON_APPEND_DOCUMENT_BEGIN(reply, "cursor", &cursor);
        BSON_APPEND_ARRAY_BEGIN(&cursor, "firstBatch", &batch);
        bson_append_array_end(&cursor, &batch);
        BSON_APPEND_INT64(&cursor, "id", 0);
        BSON_APPEND_UTF8(&cursor, "ns", "replay.empty");
        bson_append_document_end(reply, &cursor);
}

static bool is(const MongoMessage *m, const char *command) {
        return strcasecmp(m->command, command) == 0;
}

static void append_answer(ReplayMongo *r, const MongoMessage *m, uint64_t documents, bson_t *reply) {
        bool known = true;

        if (is(m, "insert"))
                BSON_APPEND_INT32(reply, "n", (int32_t) documents);
        else if (is(m, "update")) { /* the trial before the first pull: it matches nothing */
                BSON_APPEND_INT32(reply, "n", 0);
                BSON_APPEND_INT32(reply, "nModified", 0);
        } else if (is(m, "hello") || is(m, "ismaster"))
                append_hello(r, reply);
        else if (is(m, "find") || is(m, "listCollections") || is(m, "listIndexes"))
                append_empty_cursor(reply);
        else
                known = is(m, "ping") || is(m, "endSessions") || is(m, "createIndexes") || is(m, "create");
        if (!known) {
                r->unknown++;
                BSON_APPEND_UTF8(reply, "errmsg", "the benchmark's server does not know this command");
                BSON_APPEND_INT32(reply, "code", 59);
                BSON_APPEND_UTF8(reply, "codeName", "CommandNotFound");
        }
        BSON_APPEND_DOUBLE(reply, "ok", known ? 1.0 : 0.0);
}

static void add_latencies(ReplayMongo *r, Latency *sent) {
        uint64_t now = loop_wall();

        for (size_t i = 0; i < sent->n; i++)
                if (sent->samples[i] && sent->samples[i] <= now)
                        latency_add(&r->latency, now - sent->samples[i]);
        free(sent->samples);
        *sent = (Latency){};
}

static void held_send(Peer *peer) {
        Held *held = peer->data;

        buffer_append(&peer->out, held->reply.data, held->reply.size);
        add_latencies(loop_userdata(peer->loop), &held->sent);
        buffer_done(&held->reply);
        free(held);
        peer->data = NULL;
}

static void hold(const ReplayMongo *r, Peer *peer, const MongoMessage *m, const bson_t *reply, Latency sent) {
        Held *held = calloc(1, sizeof *held);

        if (!held || peer->data)
                errx(EXIT_FAILURE, "a second insert on a connection that waits for the first");
        mongo_reply(m, reply, &held->reply);
        held->sent = sent;
        peer->data = held;
        peer->due = loop_now() + r->delay;
}

static uint64_t on_insert(ReplayMongo *r, const MongoMessage *m, Latency *sent) {
        uint64_t n = mongo_message_documents(m, r->timed ? sent : NULL), before = r->documents;

        r->inserts++;
        r->documents += n;
        r->last_insert = loop_now();
        if (!r->first_insert)
                r->first_insert = r->last_insert;
        if (before < r->expect && r->documents >= r->expect) {
                (void) printf("documents %llu\n", (unsigned long long) r->documents);
                (void) fflush(stdout);
        }
        return n;
}

static ssize_t on_input(Peer *peer, char *data, size_t size) {
        ReplayMongo *r = loop_userdata(peer->loop);
        MongoMessage m;
        ssize_t used = mongo_message_parse(data, size, &m);
        uint64_t documents = 0;
        Latency sent = {};
        bson_t reply;

        if (used <= 0)
                return used;
        r->commands++;
        if (is(&m, "insert"))
                documents = on_insert(r, &m, &sent);
        else if (is(&m, "find"))
                r->finds++;
        bson_init(&reply);
        append_answer(r, &m, documents, &reply);
        if (m.more_to_come)
                add_latencies(r, &sent);
        else if (documents > 0 && r->delay > 0)
                hold(r, peer, &m, &reply, sent);
        else {
                mongo_reply(&m, &reply, &peer->out);
                add_latencies(r, &sent);
        }
        bson_destroy(&reply);
        return used;
}

static void on_open(Peer *peer) {
        ReplayMongo *r = loop_userdata(peer->loop);

        r->connections++;
}

static void on_close(Peer *peer) {
        Held *held = peer->data;

        if (held) {
                buffer_done(&held->reply);
                free(held->sent.samples);
        }
        free(held);
        peer->data = NULL;
}

static void print_stats(ReplayMongo *r) {
        (void) printf(
                "{\"connections\": %llu, \"commands\": %llu, \"inserts\": %llu, \"documents\": %llu, \"finds\": %llu, \"unknown\": %llu, "
                "\"first_insert\": %llu, \"last_insert\": %llu, ",
                (unsigned long long) r->connections, (unsigned long long) r->commands, (unsigned long long) r->inserts,
                (unsigned long long) r->documents, (unsigned long long) r->finds, (unsigned long long) r->unknown,
                (unsigned long long) r->first_insert, (unsigned long long) r->last_insert);
        latency_print(&r->latency, stdout);
        (void) printf("}\n");
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "port", required_argument, NULL, 'p' },
                { "delay-ms", required_argument, NULL, 'd' },
                { "expect", required_argument, NULL, 'e' },
                { "timed", no_argument, NULL, 't' },
                {},
        };
        ReplayMongo r = {};
        LoopHandler handler = {
                .on_input = on_input, .on_due = held_send, .on_open = on_open, .on_close = on_close, .userdata = &r
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'p')
                        r.port = (uint16_t) atoi(optarg);
                else if (c == 'd')
                        r.delay = strtoull(optarg, NULL, 10) * 1000;
                else if (c == 'e')
                        r.expect = strtoull(optarg, NULL, 10);
                else if (c == 't')
                        r.timed = true;
                else
                        errx(64, "usage: replay-mongo [--port P] [--delay-ms T] [--expect N] [--timed]");
        r.loop = loop_new(r.port, &handler);
        r.port = loop_port(r.loop);
        loop_run(r.loop);
        print_stats(&r);
        free(r.latency.samples);
        return EXIT_SUCCESS;
}
