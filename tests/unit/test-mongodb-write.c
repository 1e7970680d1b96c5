/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over messages against a server whose answers the test decides: P3, P4, P6, P11 under every kind of answer.
 */
#include "scripted-mongodb.h"

#include "sinks/mongodb.h"
#include "side-by-side.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"
#define MESSAGES_MAX 3000
#define UNLUCKY 13

/* ---- the test's side ---- */

typedef struct World {
        Server server;
        char uri[160];
        MongodbClient *client;
        WirePull pull;
        Bytes body;
        SinkItem items[MESSAGES_MAX]; /* of all messages, with the last verdict */
        SinkAnswer answer;
        MongodbFault fault;
        bool tried;
} World;

static MongodbFault probe(World *w) {
        w->answer = (SinkAnswer){};
        w->fault = mongodb_client_try(w->client, &w->tried, w->answer.detail);
        return w->fault;
}

static World *world_new_with(const char *options) {
        static char database[] = "d", collection[] = "c", rejected[] = "c_rejected", subscription[] = SUBSCRIPTION,
                    id_attribute[] = "key", *none[] = { NULL };
        World *w = calloc(1, sizeof(*w));
        MongodbConfig mongodb = {
                .database = database, .collection = collection, .rejected_collection = rejected, .date_fields = none
        };
        SubscriptionConfig config = { .subscription = subscription, .id_attribute = id_attribute, .keys = &mongodb };
        char problem[MONGODB_DETAIL_SIZE];

        assert_non_null(w);
        server_start(&w->server);
        (void) snprintf(w->uri, sizeof(w->uri),
                "mongodb://127.0.0.1:%d/?heartbeatFrequencyMS=500&serverSelectionTimeoutMS=3000%s", w->server.port,
                options);
        mongodb.uri = w->uri;
        assert_int_equal(mongodb_client_new(&config, NULL, &w->client, problem), 0);
        for (int tries = 0; probe(w) != MONGODB_FAULT_NONE;) /* with a short time for answers, on a slow machine */
                assert_true(++tries < 20);
        return w;
}

static World *world_new(void) {
        return world_new_with("");
}

static void empty(World *w) {
        for (size_t i = 0; i < w->pull.n; i++)
                free(w->items[i].detail);
        wire_pull_done(&w->pull);
        bytes_done(&w->body);
        memset(w->items, 0, sizeof(w->items));
        w->pull = (WirePull){};
}

static void world_free(World *w) {
        w->client = mongodb_client_free(w->client);
        empty(w);
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

/* *n* messages {"val": 0, 1, 2, ...}, each *padding* bytes larger, published at that *hour*, with a *key* or without.
 */
static void fill_with(World *w, size_t n, size_t padding, int hour, bool key) {
        _cleanup_bytes_ Bytes data = {};
        _cleanup_free_ char *text = calloc(1, padding + 1);

        assert_non_null(text);
        assert_true(n <= MESSAGES_MAX);
        empty(w);
        memset(text, 'x', padding);
        (void) bytes_append_text(&w->body, "{\"receivedMessages\":[");
        for (size_t i = 0; i < n; i++) {
                data.size = 0;
                (void) bytes_append_format(&data, "{\"val\":%zu,\"text\":\"%s\"}", i, text);
                (void) bytes_append_format(&w->body,
                        "%s{\"ackId\":\"a%zu\",\"message\":{\"messageId\":\"%zu\",\"publishTime\":\"2026-11-24T%02d:00:00.5Z\","
                        "\"attributes\":{\"%s\":\"k%zu\"},\"data\":\"",
                        i > 0 ? "," : "", i, i, hour, key ? "key" : "other", i);
                (void) bytes_append_base64(&w->body, data.data, data.size);
                (void) bytes_append_text(&w->body, "\"}}");
        }
        (void) bytes_append_text(&w->body, "]}");
        assert_int_equal(wire_get_pull(w->body.data, w->body.size, &w->pull), 0);
        for (size_t i = 0; i < n; i++)
                w->items[i].message = &w->pull.messages[i];
}

static void fill(World *w, size_t n, size_t padding) {
        fill_with(w, n, padding, 6, true);
}

/* Writes what is not settled, those that were refused before alone. */
static MongodbFault pass(World *w) {
        SinkWork work = { .items = calloc(w->pull.n + 1, sizeof(SinkItem)) };

        assert_non_null(work.items);
        for (size_t i = 0; i < w->pull.n; i++)
                if (w->items[i].verdict == SINK_PENDING || w->items[i].verdict == SINK_REFUSED ||
                        w->items[i].verdict == SINK_LATER)
                        work.items[work.n++] = (SinkItem){ .message = w->items[i].message,
                                .alone = w->items[i].verdict == SINK_REFUSED };
        w->fault = mongodb_write(w->client, &work, false);
        w->answer = work.answer;
        for (size_t i = 0; i < work.n; i++) {
                SinkItem *item = &w->items[work.items[i].message - w->pull.messages];

                free(item->detail);
                *item = work.items[i];
                if (item->verdict != SINK_PENDING)
                        assert_int_equal(
                                item->verdict == SINK_BAD || item->verdict == SINK_REFUSED, item->detail != NULL);
        }
        free(work.items);
        return w->fault;
}

/* Sets apart what is bad or suspect. */
static MongodbFault set_apart(World *w) {
        SinkWork work = { .items = w->items, .n = w->pull.n };
        SinkVerdict before[MESSAGES_MAX];

        for (size_t i = 0; i < work.n; i++) {
                before[i] = w->items[i].verdict;
                if (before[i] == SINK_BAD || before[i] == SINK_REFUSED)
                        w->items[i].verdict = SINK_PENDING;
                else
                        w->items[i].verdict = SINK_STORED; /* not to be touched */
        }
        w->fault = mongodb_write(w->client, &work, true);
        w->answer = work.answer;
        for (size_t i = 0; i < work.n; i++)
                if (before[i] != SINK_BAD && before[i] != SINK_REFUSED)
                        w->items[i].verdict = before[i];
        return w->fault;
}

static size_t count_of(const World *w, SinkVerdict verdict) {
        size_t n = 0;

        for (size_t i = 0; i < w->pull.n; i++)
                n += w->items[i].verdict == verdict;
        return n;
}

/* P3, P4: whatever happened, what is called stored is there, and everything once. */
static void assert_honest(const World *w) {
        for (size_t i = 0; i < w->pull.n; i++) {
                char id[24];

                (void) snprintf(id, sizeof(id), "k%zu", i);
                if (w->items[i].verdict == SINK_STORED || w->items[i].verdict == SINK_DUPLICATE)
                        assert_true(find_stored(&w->server, id) >= 0);
        }
}

static int code_for_unlucky, code_for_all;

static int say_unlucky(double val, bool rejected) {
        return val == UNLUCKY ? code_for_unlucky : SAY_STORED;
}

static int say_all(double val, bool rejected) {
        return code_for_all;
}

static int say_two(double val, bool rejected) {
        return val == UNLUCKY || val == UNLUCKY + 1 ? code_for_unlucky : SAY_STORED;
}

static int say_unlucky_and_close(double val, bool rejected) {
        return rejected ? SAY_CLOSE : say_unlucky(val, rejected);
}

static int say_unlucky_and_refuse(double val, bool rejected) {
        return rejected ? SAY_COMMAND : say_unlucky(val, rejected);
}

/* ---- refusals ---- */

/* P6, P11: a code about the document, and one that says neither: the neighbours are stored, the message is suspect, and
 * goes alone. */
static void test_suspects(void **state) {
        static const struct {
                int code;
                bool about;
        } rows[] = { { 121, true }, { 10334, true }, { 16755, true }, { 171, true }, { 2, false }, { 9, false },
                { 14, false }, { 4711, false } };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                World *w = world_new();

                code_for_unlucky = rows[i].code;
                w->server.say = say_two;
                fill(w, 20, 0);
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                assert_true(w->answer.accepted);
                assert_int_equal(count_of(w, SINK_STORED), 18);
                assert_int_equal(w->items[UNLUCKY].verdict, SINK_REFUSED);
                assert_int_equal(w->items[UNLUCKY].code, rows[i].code);
                assert_int_equal(w->items[UNLUCKY].about_document, rows[i].about);
                assert_true(w->items[UNLUCKY].proven &&
                            !w->items[UNLUCKY].alone); /* others were stored by the same command */
                assert_int_equal(w->server.inserts, 1);
                w->server.largest = 0;
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                assert_false(w->answer.accepted);
                assert_true(!w->items[UNLUCKY].proven && w->items[UNLUCKY].alone);
                assert_int_equal(w->server.inserts, 3);
                assert_int_equal(w->server.largest, 1);
                assert_honest(w);
                world_free(w);
        }
}

/* P6: one document makes the whole command fail: found by halving, in one pass. The command's code says nothing about
 * it. */
static void test_poison(void **state) {
        static const int codes[] = { 22, 121, 4711, 2 };

        for (size_t i = 0; i < ELEMENTSOF(codes); i++) {
                World *w = world_new();

                code_for_unlucky = SAY_COMMAND;
                w->server.say = say_unlucky;
                w->server.command_code = codes[i];
                fill(w, 100, 0);
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                assert_int_equal(w->items[UNLUCKY].verdict, SINK_REFUSED);
                assert_int_equal(w->items[UNLUCKY].code, codes[i]);
                assert_false(w->items[UNLUCKY].about_document);
                assert_true(w->items[UNLUCKY].alone);
                assert_int_equal(count_of(w, SINK_STORED) + count_of(w, SINK_DUPLICATE),
                        99); /* what stood before it was applied */
                assert_true(w->server.inserts <= 2 * 7 + 1);
                assert_honest(w);
                world_free(w);
        }
}

/* P11: every command is refused: that is no document's fault, and not found out a thousand times. */
static void test_everything_refused(void **state) {
        static const int codes[] = { 1, 2, 8, 22, 301, 4711 };

        for (size_t i = 0; i < ELEMENTSOF(codes); i++) {
                World *w = world_new();

                code_for_all = SAY_COMMAND;
                w->server.say = say_all;
                w->server.command_code = codes[i];
                fill(w, 1000, 0);
                assert_int_equal(pass(w), MONGODB_FAULT_REFUSED);
                assert_true(!w->answer.accepted && w->answer.detail[0]);
                assert_int_equal(count_of(w, SINK_REFUSED), 3);
                assert_int_equal(count_of(w, SINK_PENDING), 997);
                assert_true(w->server.inserts < 20);
                fill(w, 1, 0);
                assert_int_equal(
                        pass(w), MONGODB_FAULT_NONE); /* a scout: what is to be made of it, the caller decides */
                assert_true(w->items[0].verdict == SINK_REFUSED && !w->answer.accepted);
                w->server.say = NULL;
                fill(w, 1000, 0);
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                assert_int_equal(count_of(w, SINK_STORED), 1000);
                world_free(w);
        }
}

/* P11: codes that are the server's in writeErrors hold up those documents, and are a fault; the others are stored. */
static void test_fault_for_one(void **state) {
        static const struct {
                int code;
                MongodbFault fault;
        } rows[] = { { 14031, MONGODB_FAULT_DISK_FULL }, { 16500, MONGODB_FAULT_BUSY }, { 12501, MONGODB_FAULT_QUOTA },
                { 112, MONGODB_FAULT_BUSY }, { 462, MONGODB_FAULT_BUSY }, { 13, MONGODB_FAULT_FORBIDDEN },
                { 319, MONGODB_FAULT_BUSY } };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                World *w = world_new();

                code_for_unlucky = rows[i].code;
                w->server.say = say_unlucky;
                fill(w, 20, 0);
                assert_int_equal(pass(w), rows[i].fault);
                assert_true(w->answer.accepted && w->answer.partial);
                assert_int_equal(count_of(w, SINK_STORED), 19);
                assert_true(w->items[UNLUCKY].verdict == SINK_LATER && w->items[UNLUCKY].code == rows[i].code);
                w->server.say = NULL;
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                assert_int_equal(count_of(w, SINK_STORED), 20);
                assert_honest(w);
                world_free(w);
        }
}

/* What is there already is found in the pass that has the fault, too: the next one sends only the rest. */
static void test_duplicates_beside_a_fault(void **state) {
        World *w = world_new();

        fill(w, 20, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        code_for_unlucky = 112;
        w->server.say = say_unlucky;
        fill(w, 20, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_BUSY);
        assert_true(w->answer.accepted && w->answer.partial);
        assert_non_null(strstr(w->answer.detail, "scripted"));
        assert_int_equal(count_of(w, SINK_DUPLICATE), 19);
        assert_int_equal(w->items[UNLUCKY].verdict, SINK_LATER);
        w->server.say = NULL;
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_DUPLICATE), 20);
        assert_honest(w);
        world_free(w);
}

/* P4: applied in part, and the connection breaks before the answer: nothing is concluded, and the next pass finds what
 * is there. */
static void test_cut_after_a_part(void **state) {
        World *w = world_new();

        code_for_unlucky = SAY_CLOSE;
        w->server.say = say_unlucky;
        fill(w, 20, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_UNREACHABLE);
        assert_int_equal(count_of(w, SINK_PENDING), 20);
        assert_true(w->items[0].unsure && w->items[19].unsure);
        set_say(w, NULL);
        assert_int_equal(w->server.n_stored, UNLUCKY);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_DUPLICATE), UNLUCKY);
        assert_int_equal(count_of(w, SINK_STORED), 20 - UNLUCKY);
        assert_honest(w);
        world_free(w);
}

/* An answer that does not account for the documents is no proof; the duplicates of the next pass are. */
static void test_count_not_understood(void **state) {
        World *w = world_new();

        w->server.count_as_double = true;
        fill(w, 5, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_REFUSED), 5);
        assert_true(w->items[0].unsure);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_DUPLICATE), 5);
        assert_honest(w);
        world_free(w);
}

/* ---- duplicates ---- */

/* A3: whatever a server says of a duplicate, what stands under the _id decides. */
static void test_duplicate_words(void **state) {
        static const char *const texts[] = {
                NULL, /* with keyPattern */
                "E11000 duplicate key error collection: home.readings",
                "E11000 duplicate key error collection: home.readings. Failed _id or unique index constraint.",
                "Duplicate key violation on the requested collection: Index '_id_'",
                "E11000 duplicate key error collection: d.c index: _id_",
                "",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                World *w = world_new();

                fill(w, 3, 0);
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                w->server.duplicate_text = texts[i];
                fill(w, 4, 0);
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                assert_true(w->answer.accepted);
                assert_int_equal(count_of(w, SINK_DUPLICATE), 3);
                assert_int_equal(count_of(w, SINK_STORED), 1);
                fill(w, 3, 5); /* another payload under the same key */
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                assert_int_equal(count_of(w, SINK_BAD), 3);
                assert_string_equal(w->items[0].reason, "id_conflict");
                assert_int_equal(w->server.n_stored, 4);
                world_free(w);
        }
}

/* A3: nothing is there although the server says so: alone once more, and then it is another unique index. */
static void test_other_index(void **state) {
        World *w = world_new();

        code_for_unlucky = 11000;
        w->server.duplicate_text = "E11000 duplicate key error";
        w->server.say = say_unlucky;
        fill(w, 20, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(w->items[UNLUCKY].verdict, SINK_REFUSED);
        assert_true(w->items[UNLUCKY].about_document);
        assert_int_equal(w->items[UNLUCKY].code, 11000);
        assert_non_null(strstr(w->items[UNLUCKY].detail, "E11000 duplicate key error")); /* the server's words */
        assert_int_equal(count_of(w, SINK_STORED), 19);
        assert_int_equal(w->server.inserts, 2);
        assert_int_equal(w->server.finds, 2);

        code_for_all = 11000; /* all of them: nothing was accepted */
        w->server.say = say_all;
        fill_with(w, 5, 0, 6, false);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_REFUSED), 5);
        assert_false(w->answer.accepted);
        world_free(w);
}

/* The document went away between the refusal and the look. */
static void test_vanished(void **state) {
        World *w = world_new();

        fill(w, 3, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        w->server.hide_found = true;
        fill(w, 3, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_REFUSED), 3); /* for all that the server tells, another index */
        w->server.hide_found = false;
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_DUPLICATE), 3);
        world_free(w);
}

/* A6: message ids that come again, with other data and with the same: kept under the _id with the publish time, once.
 */
static void test_ids_that_come_again(void **state) {
        World *w = world_new();

        fill_with(w, 3, 0, 6, false);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        for (int again = 0; again < 2; again++) {
                fill_with(w, 4, 7, 9, false);
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                assert_int_equal(count_of(w, again ? SINK_DUPLICATE : SINK_STORED), 4);
                assert_int_equal(w->server.n_stored, 7);
        }
        assert_true(find_stored(&w->server, SUBSCRIPTION ":2@2026-11-24T09:00:00.5Z") >= 0);
        fill_with(w, 3, 0, 6, false); /* the first ones once more */
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_DUPLICATE), 3);
        fill_with(w, 3, 0, 11, false); /* the same data at another time is another message */
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_STORED), 3);
        assert_int_equal(w->server.n_stored, 10);
        world_free(w);
}

/* P3, P4: a server without majority reads is asked for what its primary has, and only once in vain. */
static void test_no_majority_reads(void **state) {
        World *w = world_new();

        w->server.no_majority = true;
        fill(w, 5, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        fill(w, 6, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_DUPLICATE), 5);
        assert_int_equal(count_of(w, SINK_STORED), 1);
        assert_int_equal(w->server.finds, 1);
        world_free(w);
}

/* ---- set apart ---- */

/* P3 (c): durable there before it counts; once, also when the acknowledgement was lost and it comes again. */
static void test_set_apart(void **state) {
        World *w = world_new();

        code_for_unlucky = 121;
        w->server.say = say_unlucky_and_close;
        w->server.duplicate_text = "E11000 duplicate key error collection: d.c_rejected";
        fill(w, 20, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(set_apart(w), MONGODB_FAULT_UNREACHABLE);
        assert_int_equal(w->items[UNLUCKY].verdict, SINK_PENDING);
        set_say(w, say_unlucky);
        for (int again = 0; again < 3; again++) {
                w->items[UNLUCKY].verdict = SINK_REFUSED;
                assert_int_equal(set_apart(w), MONGODB_FAULT_NONE);
                assert_int_equal(w->items[UNLUCKY].verdict, again > 0 ? SINK_DUPLICATE : SINK_STORED);
                assert_int_equal(w->server.n_rejected, 1);
        }
        assert_true(find_stored(&w->server, "R" SUBSCRIPTION ":13") >= 0);
        world_free(w);
}

/* The rejected collection refuses, for whatever reason that waiting does not help against: that one stays, its
 * neighbours do not wait. */
static void test_apart_refused(void **state) {
        static const struct {
                int code, update_code; /* of the trial, which tells a busy server from a busy collection */
                bool document;
                MongodbFault fault;
        } rows[] = { { 13, 0, false, MONGODB_FAULT_NONE }, { 4711, 0, false, MONGODB_FAULT_NONE },
                { 121, 0, false, MONGODB_FAULT_NONE }, { 11600, 0, false, MONGODB_FAULT_NONE },
                { 11600, 11600, false, MONGODB_FAULT_BUSY }, { 16500, 0, true, MONGODB_FAULT_NONE } };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                World *w = world_new();

                code_for_unlucky = 121;
                w->server.say = say_unlucky;
                w->server.command_code = code_for_all = rows[i].code;
                w->server.update_code = rows[i].update_code;
                fill(w, 20, 0);
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                set_say(w, rows[i].document ? say_all : say_unlucky_and_refuse);
                assert_int_equal(set_apart(w), rows[i].fault);
                assert_int_equal(
                        w->items[UNLUCKY].verdict, rows[i].fault == MONGODB_FAULT_NONE ? SINK_BAD : SINK_PENDING);
                assert_true(strlen(w->answer.detail) > 0);
                assert_string_equal(w->items[UNLUCKY].reason, "refused");
                world_free(w);
        }
}

/* A6, for what is set apart. */
static void test_apart_ids_that_come_again(void **state) {
        World *w = world_new();

        code_for_unlucky = 121;
        w->server.say = say_unlucky;
        for (int hour = 6; hour < 9; hour++) {
                fill_with(w, 14, (size_t) hour, hour, false);
                assert_int_equal(pass(w), MONGODB_FAULT_NONE);
                assert_int_equal(set_apart(w), MONGODB_FAULT_NONE);
                assert_int_equal(w->items[UNLUCKY].verdict, SINK_STORED);
        }
        assert_int_equal(w->server.n_rejected, 3);
        world_free(w);
}

/* ---- the trial ---- */

/* A4, B14, P5: the trial takes the way of a write and stores, reads and brings back nothing. */
static void test_trial(void **state) {
        static const struct {
                int update_code;
                MongodbFault fault;
                bool tried;
        } rows[] = {
                { 0, MONGODB_FAULT_NONE, true },
                { 10107, MONGODB_FAULT_BUSY, false },
                { 64, MONGODB_FAULT_WRITE_CONCERN, false },
                { 13, MONGODB_FAULT_NONE, false },
                { 61, MONGODB_FAULT_NONE, false }, /* the second one: Cosmos DB, of a sharded collection */
                { 2, MONGODB_FAULT_REFUSED, false },
                { 8, MONGODB_FAULT_REFUSED, false },
                { 4711, MONGODB_FAULT_REFUSED, false },
                { 166, MONGODB_FAULT_TARGET, false },
                { 8000, MONGODB_FAULT_SETTINGS, false },
        };
        World *w = world_new();

        fill(w, 2, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        w->server.finds = w->server.inserts = 0;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                w->server.update_code = rows[i].update_code;
                if (probe(w) != rows[i].fault)
                        fail_msg("code %d: %s", rows[i].update_code, mongodb_fault_words(w->fault)->name);
                assert_int_equal(w->tried, rows[i].tried);
                assert_true(rows[i].fault == MONGODB_FAULT_NONE || strlen(w->answer.detail) > 0);
        }
        assert_int_equal(w->server.n_stored, 2);
        assert_int_equal(w->server.finds + w->server.inserts, 0);
        world_free(w);
}

/* A4: what cannot keep _id unique is refused, as far as the user may see what it is. */
static void test_target(void **state) {
        static const struct {
                const char *kind;
                int list_code;
                bool names;
                MongodbFault fault;
        } rows[] = {
                { "timeseries", 0, false, MONGODB_FAULT_TARGET },
                { "view", 0, false, MONGODB_FAULT_TARGET },
                { "capped", 0, false, MONGODB_FAULT_TARGET },
                { "timeseries", 13, true, MONGODB_FAULT_TARGET },
                { "view", 13, true, MONGODB_FAULT_TARGET },
                { "view", 13, false, MONGODB_FAULT_NONE },
                { NULL, 59, false, MONGODB_FAULT_NONE },
                { NULL, 0, false, MONGODB_FAULT_NONE },
        };
        World *w = world_new();

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                w->server.kind = rows[i].kind;
                w->server.list_code = rows[i].list_code;
                w->server.list_names = rows[i].names;
                if (probe(w) != rows[i].fault)
                        fail_msg("%zu: %s", i, mongodb_fault_words(w->fault)->name);
                assert_int_equal(rows[i].fault == MONGODB_FAULT_TARGET,
                        strstr(w->answer.detail, "d.c is a") || strstr(w->answer.detail, "d.c is c"));
        }
        world_free(w);
}

/* ---- sizes ---- */

/* Bounded memory: no bulk beyond a thousand documents or four megabytes. */
static void test_bulk_limits(void **state) {
        World *w = world_new();

        fill(w, 2500, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(w->server.inserts, 3);
        assert_int_equal(w->server.largest, 1000);
        assert_int_equal(count_of(w, SINK_STORED), 2500);
        world_free(w);

        w = world_new();
        fill(w, 8, 1500 * 1000);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(w->server.inserts, 4);
        assert_int_equal(w->server.largest, 2);
        world_free(w);
}

/* A1: what does not get through in time is sent in smaller pieces, until it does. 200 kB/s, and 0.4 s for an answer. */
static void test_slow_line(void **state) {
        World *w = world_new_with("&socketTimeoutMS=400&retryWrites=false");
        unsigned passes = 0;

        fill(w, 40, 10000);
        atomic_store(&w->server.msec_per_100k, 500);
        do
                assert_true(++passes < 20);
        while (pass(w) != MONGODB_FAULT_NONE);
        assert_int_equal(count_of(w, SINK_STORED) + count_of(w, SINK_DUPLICATE), 40);
        assert_true(passes > 1);
        assert_true(w->client->pace.limit < 100000);
        assert_honest(w);
        world_free(w);
}

static void test_no_messages(void **state) {
        World *w = world_new();

        fill(w, 0, 0);
        assert_int_equal(pass(w), MONGODB_FAULT_NONE);
        assert_int_equal(w->server.inserts, 0);
        world_free(w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_suspects),
                cmocka_unit_test(test_poison),
                cmocka_unit_test(test_everything_refused),
                cmocka_unit_test(test_fault_for_one),
                cmocka_unit_test(test_duplicates_beside_a_fault),
                cmocka_unit_test(test_cut_after_a_part),
                cmocka_unit_test(test_count_not_understood),
                cmocka_unit_test(test_duplicate_words),
                cmocka_unit_test(test_other_index),
                cmocka_unit_test(test_vanished),
                cmocka_unit_test(test_ids_that_come_again),
                cmocka_unit_test(test_no_majority_reads),
                cmocka_unit_test(test_set_apart),
                cmocka_unit_test(test_apart_refused),
                cmocka_unit_test(test_apart_ids_that_come_again),
                cmocka_unit_test(test_trial),
                cmocka_unit_test(test_target),
                cmocka_unit_test(test_bulk_limits),
                cmocka_unit_test(test_slow_line),
                cmocka_unit_test(test_no_messages),
        };

        return side_by_side(tests, ELEMENTSOF(tests));
}
