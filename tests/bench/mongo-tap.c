/* SPDX-License-Identifier: Apache-2.0 */
/* Stands between a client and a MongoDB server and tells how old each reading was when the server confirmed its insert:
 * the one place where the moment "is in MongoDB" can be seen from outside, the same for every client that is compared.
 *
 * On stdout: "listening PORT", "documents N" when --expect N were confirmed, and at SIGTERM one JSON object. */

#include "loop.h"
#include "mongo-wire.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Tap {
        Loop *loop;
        uint16_t server;
        uint64_t expect, documents, inserts;
        Latency latency, service;
} Tap;

/* One side of a connection; in peer->data. */
typedef struct Side {
        Peer *other;
        bool to_server; /* what this peer sends goes to the server */
        int32_t insert; /* request id of the insert that waits for its reply, on the server's side; 0: none */
        uint64_t started, n;
        Latency sent;
} Side;

static Side *side_new(Peer *other, bool to_server) {
        Side *side = calloc(1, sizeof *side);

        if (!side)
                err(EXIT_FAILURE, "calloc");
        side->other = other;
        side->to_server = to_server;
        return side;
}

static void on_open(Peer *peer) {
        Tap *tap = loop_userdata(peer->loop);
        Peer *server = loop_connect(peer->loop, tap->server);

        if (!server) {
                peer_close(peer);
                return;
        }
        peer->data = side_new(server, true);
        server->data = side_new(peer, false);
}

static void on_close(Peer *peer) {
        Side *side = peer->data;

        if (!side)
                return;
        peer->data = NULL;
        if (side->other && !side->other->dead) {
                Side *other = side->other->data;

                if (other)
                        other->other = NULL;
                peer_close(side->other);
        }
        free(side->sent.samples);
        free(side);
}

static void note_request(const MongoMessage *m, Side *server) {
        if (strcmp(m->command, "insert") != 0 && strcmp(m->command, "update") != 0)
                return;
        server->sent.n = 0;
        server->n = mongo_message_documents(m, &server->sent);
        server->insert = m->request_id;
        server->started = loop_now();
}

static void note_reply(Tap *tap, const MongoMessage *m, Side *server) {
        uint64_t now = loop_wall(), before = tap->documents;

        if (!server->insert || m->response_to != server->insert)
                return;
        server->insert = 0;
        tap->inserts++;
        tap->documents += server->n;
        latency_add(&tap->service, loop_now() - server->started);
        for (size_t i = 0; i < server->sent.n; i++)
                if (server->sent.samples[i] && server->sent.samples[i] <= now)
                        latency_add(&tap->latency, now - server->sent.samples[i]);
        if (before < tap->expect && tap->documents >= tap->expect) {
                (void) printf("documents %llu\n", (unsigned long long) tap->documents);
                (void) fflush(stdout);
        }
}

static ssize_t on_input(Peer *peer, char *data, size_t size) {
        Tap *tap = loop_userdata(peer->loop);
        Side *side = peer->data;
        MongoMessage m;
        ssize_t used = mongo_message_parse(data, size, &m);

        if (used <= 0)
                return used;
        if (!side || !side->other)
                return -1;
        if (side->to_server)
                note_request(&m, side->other->data);
        else
                note_reply(tap, &m, side);
        buffer_append(&side->other->out, data, (size_t) used);
        peer_flush(side->other);
        return used;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "port", required_argument, NULL, 'p' },
                { "server", required_argument, NULL, 's' },
                { "expect", required_argument, NULL, 'e' },
                {},
        };
        Tap tap = {};
        LoopHandler handler = { .on_input = on_input, .on_open = on_open, .on_close = on_close, .userdata = &tap };
        uint16_t port = 0;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'p')
                        port = (uint16_t) atoi(optarg);
                else if (c == 's')
                        tap.server = (uint16_t) atoi(optarg);
                else if (c == 'e')
                        tap.expect = strtoull(optarg, NULL, 10);
                else
                        errx(64, "usage: mongo-tap --server PORT [--port P] [--expect N]");
        tap.loop = loop_new(port, &handler);
        loop_run(tap.loop);
        (void) printf("{\"documents\": %llu, \"inserts\": %llu, ", (unsigned long long) tap.documents,
                (unsigned long long) tap.inserts);
        latency_print(&tap.latency, stdout);
        (void) printf(", \"insert\": {");
        latency_print(&tap.service, stdout);
        (void) printf("}}\n");
        free(tap.latency.samples);
        free(tap.service.samples);
        return EXIT_SUCCESS;
}
