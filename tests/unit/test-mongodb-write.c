/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a batch against a server whose answers the test decides: P3, P4, P6 under every kind of answer. */
#include "scripted-mongodb.h"

#include "sinks/mongodb-config.h"
#include "sinks/mongodb-write.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"

/* ---- the test's side ---- */

typedef struct World {
        Server server;
        char uri[160];
        MongodbWriter *writer;
        struct {
                MongodbFault fault;
                bool again;
                char detail[SINK_DETAIL_MAX];
                size_t failed;
        } result;
        Batch *batch;
} World;

static MongodbFault probe(World *w) {
        SinkAnswer answer = {};

        w->result.fault = mongodb_writer_probe(w->writer, &answer);
        (void) snprintf(w->result.detail, sizeof(w->result.detail), "%s", answer.detail);
        return w->result.fault;
}

static World *world_new(void) {
        static char database[] = "d", collection[] = "c", rejected[] = "c_rejected", subscription[] = SUBSCRIPTION, id_attribute[] = "key",
                    *none[] = { NULL };
        World *w = calloc(1, sizeof(*w));
        MongodbConfig mongodb = { .database = database, .collection = collection, .rejected_collection = rejected, .date_fields = none };
        SubscriptionConfig config = { .subscription = subscription, .id_attribute = id_attribute, .keys = &mongodb };
        MongodbClient *client = NULL;
        char problem[256];

        assert_non_null(w);
        server_start(&w->server);
        (void) snprintf(
                w->uri, sizeof(w->uri), "mongodb://127.0.0.1:%d/?heartbeatFrequencyMS=500&serverSelectionTimeoutMS=3000", w->server.port);
        mongodb.uri = w->uri;
        assert_int_equal(mongodb_client_new(&config, NULL, &client, problem, sizeof(problem)), 0);
        assert_int_equal(mongodb_writer_new(client, &w->writer), 0);
        assert_int_equal(probe(w), MONGODB_FAULT_NONE);
        return w;
}

static void world_free(World *w) {
        w->writer = mongodb_writer_free(w->writer);
        w->batch = batch_free(w->batch);
        server_stop(&w->server);
        assert_int_equal(w->server.weak, 0);
        free(w);
}

/* For later, when a cut connection has told nothing of when the server was done. */
static void set_say(World *w, int (*say)(double val, bool rejected)) {
        (void) pthread_mutex_lock(&w->server.mutex);
        w->server.say = say;
        (void) pthread_mutex_unlock(&w->server.mutex);
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

/* What sink.c makes of the verdicts: those that are never to be stored become a work of their own. */
static size_t sort_verdicts(World *w, SinkWork *work) {
        size_t n = 0;

        for (size_t i = 0; i < work->n; i++) {
                SinkItem *item = &work->items[i], swap = *item;
                size_t index = (size_t) (item->message - w->batch->pull.messages);

                if (item->verdict == SINK_STORED || item->verdict == SINK_DUPLICATE)
                        delivery_set_fate(w->batch, index, item->verdict == SINK_STORED ? FATE_STORED : FATE_DUPLICATE);
                if (item->verdict != SINK_BAD && (item->verdict != SINK_SUSPECT || ++w->batch->refusals[index] < MONGODB_WRITE_ATTEMPTS))
                        continue;
                *item = work->items[n];
                swap.verdict = SINK_PENDING;
                work->items[n++] = swap;
        }
        return n;
}

static void set_apart(World *w, SinkWork *work, size_t n) {
        SinkWork apart = { .items = work->items, .n = n };

        w->result.fault = mongodb_writer_set_apart(w->writer, &apart);
        (void) snprintf(w->result.detail, sizeof(w->result.detail), "%s", apart.answer.detail);
        for (size_t i = 0; i < n; i++)
                if (work->items[i].verdict != SINK_PENDING)
                        delivery_set_fate(w->batch, (size_t) (work->items[i].message - w->batch->pull.messages),
                                work->items[i].verdict == SINK_STORED ? FATE_REJECTED : FATE_FAILED);
}

static void pass(World *w, bool again) {
        SinkWork work = { .items = calloc(w->batch->pull.n + 1, sizeof(SinkItem)), .again = again };
        size_t n;

        assert_non_null(work.items);
        for (size_t i = 0; i < w->batch->pull.n; i++)
                if (w->batch->fates[i] == FATE_PENDING)
                        work.items[work.n++] =
                                (SinkItem){ .message = &w->batch->pull.messages[i], .alone = w->batch->refusals[i] > 0 };
        w->result.fault = mongodb_writer_write(w->writer, &work);
        (void) snprintf(w->result.detail, sizeof(w->result.detail), "%s", work.answer.detail);
        n = sort_verdicts(w, &work);
        if (w->result.fault == MONGODB_FAULT_NONE && n > 0)
                set_apart(w, &work, n);
        w->result.failed = batch_count(w->batch, FATE_FAILED);
        w->result.again = w->result.fault == MONGODB_FAULT_NONE && batch_count(w->batch, FATE_PENDING) > 0;
        for (size_t i = 0; i < work.n; i++)
                free(work.items[i].detail);
        free(work.items);
}

/* Passes until nothing is pending; returns how many. */
static unsigned pass_all(World *w) {
        for (unsigned n = 1; n < 40; n++) {
                pass(w, n > 1);
                if (w->result.fault == MONGODB_FAULT_NONE && !w->result.again) {
                        assert_int_equal(batch_count(w->batch, FATE_PENDING), 0);
                        return n;
                }
                assert_true(w->result.again || strlen(w->result.detail) > 0);
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

static int say_all_full(double val, bool rejected) {
        return 14031;
}

static int say_all_refused(double val, bool rejected) {
        return 121;
}

static int say_all_close(double val, bool rejected) {
        return SAY_CLOSE;
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

/* P5: the probe writes, so that nothing is pulled in vain, and changes nothing. What is odd about its document does not count. */
static void test_probe(void **state) {
        static const struct {
                int (*say)(double val, bool rejected);
                int code;
                MongodbFault fault;
        } cases[] = {
                { NULL, 0, MONGODB_FAULT_NONE },
                { say_all_odd, 10107, MONGODB_FAULT_BUSY },
                { say_all_odd, 64, MONGODB_FAULT_WRITE_CONCERN },
                { say_all_odd, 13, MONGODB_FAULT_FORBIDDEN },
                { say_all_odd, 4711, MONGODB_FAULT_STRANGE },
                { say_all_odd, 10334, MONGODB_FAULT_NONE },
                { say_all_full, 0, MONGODB_FAULT_DISK_FULL },
                { say_all_refused, 0, MONGODB_FAULT_NONE },
                { say_all_close, 0, MONGODB_FAULT_UNREACHABLE },
        };
        World *w = world_new();

        w->server.say = say_all_odd;
        w->server.command_code = 10107;
        assert_int_equal(probe(w), MONGODB_FAULT_NONE); /* empty: a ping has to do */
        w->server.say = NULL;
        fill(w, 2, 0);
        pass(w, false);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                w->server.say = cases[i].say;
                w->server.command_code = cases[i].code;
                assert_int_equal(probe(w), cases[i].fault);
                assert_int_equal(cases[i].fault == MONGODB_FAULT_NONE, w->result.detail[0] == '\0' || cases[i].code == 10334);
        }
        assert_int_equal(w->server.n_stored, 2);
        assert_int_equal(w->server.n_rejected, 0);
        world_free(w);
}

/* P3, P4: a server without majority reads is asked for what its primary has, in readings and rejected alike, and only once in vain. */
static void test_no_majority_reads(void **state) {
        World *w = world_new();

        w->server.no_majority = true;
        fill(w, 5, 0);
        pass(w, false);
        w->batch = batch_free(w->batch);
        fill(w, 6, 0);
        pass(w, false);
        assert_int_equal(w->result.fault, MONGODB_FAULT_NONE);
        assert_int_equal(batch_count(w->batch, FATE_DUPLICATE), 5);
        assert_int_equal(batch_count(w->batch, FATE_STORED), 1);
        assert_int_equal(w->server.finds, 1);
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
        set_say(w, NULL);
        assert_int_equal(w->server.n_stored, UNLUCKY);
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
        set_say(w, say_refused);
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

/* The driver's client may not be able to log in any more although the server would let it in: after three refusals in a row there is a new
 * pool, and with it new connections. */
static void test_refused_logins_renew_the_pool(void **state) {
        static char name[] = "d", none[] = "", *dates[] = { NULL };
        char uri[160], text[256];
        MongodbConfig mongodb = { .uri = uri, .database = name, .collection = name, .rejected_collection = name, .date_fields = dates };
        SubscriptionConfig config = { .subscription = none, .id_attribute = none, .keys = &mongodb };
        Server *server = calloc(1, sizeof(*server));
        _cleanup_(mongodb_client_freep) MongodbClient *client = NULL;
        mongoc_client_pool_t *first;

        assert_non_null(server);
        server_start(server);
        (void) snprintf(uri, sizeof(uri),
                "mongodb://u:p@127.0.0.1:%d/?authMechanism=PLAIN&heartbeatFrequencyMS=500&serverSelectionTimeoutMS=5000", server->port);
        assert_int_equal(mongodb_client_new(&config, NULL, &client, text, sizeof(text)), 0);

        server->refused_logins = 2;
        assert_int_equal(mongodb_client_ping(client, text, sizeof(text)), MONGODB_FAULT_LOGIN);
        first = client->pool;
        assert_int_equal(mongodb_client_ping(client, text, sizeof(text)), MONGODB_FAULT_LOGIN);
        assert_int_equal(mongodb_client_ping(client, text, sizeof(text)), MONGODB_FAULT_NONE);
        assert_non_null(first);
        assert_ptr_equal(client->pool, first);
        assert_int_equal(client->login_failures, 0); /* only those in a row count */
        client = mongodb_client_free(client);

        server->refused_logins = 4;
        assert_int_equal(mongodb_client_new(&config, NULL, &client, text, sizeof(text)), 0);
        for (unsigned refused = 1; refused <= 3; refused++) {
                assert_int_equal(mongodb_client_ping(client, text, sizeof(text)), MONGODB_FAULT_LOGIN);
                assert_int_equal(client->pool != NULL, refused < 3);
        }
        assert_int_equal(mongodb_client_ping(client, text, sizeof(text)), MONGODB_FAULT_LOGIN); /* of the new pool: it counts anew */
        assert_non_null(client->pool);
        assert_int_equal(mongodb_client_ping(client, text, sizeof(text)), MONGODB_FAULT_NONE);
        client = mongodb_client_free(client);
        server_stop(server);
        assert_int_equal(server->logins, 3 + 5);
        free(server);
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
                cmocka_unit_test(test_probe),
                cmocka_unit_test(test_no_majority_reads),
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
                cmocka_unit_test(test_refused_logins_renew_the_pool),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
