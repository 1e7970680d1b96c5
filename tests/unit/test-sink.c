/* SPDX-License-Identifier: Apache-2.0 */
/* The MongoDB sink against a real server on loopback: P3 (what is called stored), P4 (once), P5 (outage and recovery),
 * P6 (one bad document), P8 (stop). */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/loop.h"
#include "lib/service.h"
#include "mongodb-server.h"
#include "sinks/mongodb.h"
#include "types.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"
#define WAIT_USEC (40 * USEC_PER_SEC)

static char created_at[] = "created_at";
static char *date_fields[] = { created_at, NULL };

typedef struct World {
        MongodbServer server;
        char uri[160], database[32];
        unsigned serial; /* a database for each test */
        SubscriptionConfig config;
        MongodbConfig mongodb;
        Loop *event;
        Sink *sink;
        Batch *settled;
        unsigned n_settled, n_changes;
} World;

static void on_settled(void *userdata, Batch *batch) {
        World *w = userdata;

        assert_null(w->settled);
        w->settled = batch;
        w->n_settled++;
}

static void on_change(void *userdata) {
        ((World *) userdata)->n_changes++;
}

static SinkStatus status(const World *w) {
        SinkStatus s;

        sink_status(w->sink, &s);
        return s;
}

static void turn(World *w) {
        assert_true(loop_turn(w->event, 20 * USEC_PER_MSEC) >= 0);
}

#define UNTIL(w, condition)                                                                                            \
        do {                                                                                                           \
                usec_t _end = clock_now() + WAIT_USEC;                                                                 \
                while (!(condition)) {                                                                                 \
                        if (clock_now() > _end)                                                                        \
                                fail_msg("not within %d s: %s (%s)", (int) (WAIT_USEC / USEC_PER_SEC), #condition,     \
                                        status(w).failure.detail);                                                     \
                        turn(w);                                                                                       \
                }                                                                                                      \
        } while (0)

static void run_for(World *w, usec_t span) {
        usec_t end = clock_now() + span;

        while (clock_now() < end)
                turn(w);
}

static void open_sink_as(World *w, const char *user, const char *secret) {
        const SinkCallbacks callbacks = {
                .on_settled = on_settled, .on_change = on_change, .userdata = w, .means.loop = w->event
        };

        (void) snprintf(w->uri, sizeof(w->uri),
                "mongodb://%s%s127.0.0.1:%d/?authSource=admin&heartbeatFrequencyMS=500&serverSelectionTimeoutMS=2000",
                user, *user ? "@" : "", w->server.port);
        (void) snprintf(w->database, sizeof(w->database), "test%u", ++w->serial);
        w->n_settled = w->n_changes = 0;
        w->mongodb.password.text = (char *) secret;
        assert_int_equal(sink_new(types_sink("mongodb"), &w->config, &callbacks, &w->sink), 0);
}

static void open_sink(World *w) {
        open_sink_as(w, "", NULL);
        UNTIL(w, sink_takes_batches(w->sink));
}

static void close_sink(World *w) {
        if (!w->sink)
                return;
        sink_stop(w->sink, false);
        UNTIL(w, !sink_is_busy(w->sink));
        w->sink = sink_free(w->sink);
        w->settled = batch_free(w->settled);
}

/* One message for each pair of id attribute (NULL: none) and data. */
static Batch *batch_of(const char *const *pairs, size_t n) {
        _cleanup_bytes_ Bytes body = {};
        Batch *batch;

        (void) bytes_append_text(&body, "{\"receivedMessages\":[");
        for (size_t i = 0; i < n; i++) {
                const char *id = pairs[2 * i], *data = pairs[2 * i + 1];

                (void) bytes_append_format(&body,
                        "%s{\"ackId\":\"a%zu\",\"message\":{\"messageId\":\"%zu\",\"publishTime\":\"2026-11-24T06:27:38.123Z\",\"data\":\"",
                        i > 0 ? "," : "", i, 100 + i);
                (void) bytes_append_base64(&body, data, strlen(data));
                (void) bytes_append_text(&body, "\",\"attributes\":{\"type\":\"test\"");
                if (id)
                        (void) bytes_append_format(&body, ",\"key\":\"%s\"", id);
                (void) bytes_append_text(&body, "}}}");
        }
        (void) bytes_append_text(&body, "]}");
        assert_int_equal(batch_new(&body, clock_now(), &batch), 0);
        assert_int_equal(batch->pull.n, n);
        return batch;
}

static Batch *numbered(size_t n) {
        const char **pairs = calloc(2 * n, sizeof(*pairs));
        char(*ids)[24] = calloc(n, sizeof(*ids));
        Batch *batch;

        assert_non_null(pairs);
        assert_non_null(ids);
        for (size_t i = 0; i < n; i++) {
                (void) snprintf(ids[i], sizeof(ids[i]), "n%zu", i);
                pairs[2 * i] = ids[i];
                pairs[2 * i + 1] = "{\"val\":23.1}";
        }
        batch = batch_of(pairs, n);
        free(pairs);
        free(ids);
        return batch;
}

/* One letter for each message: pending, stored, duplicate, rejected, failed. */
static void assert_fates(const Batch *batch, const char *letters) {
        char found[64] = "";

        assert_true(batch->pull.n < sizeof(found));
        for (size_t i = 0; i < batch->pull.n; i++)
                found[i] = "psdrf"[batch->fates[i]];
        assert_string_equal(found, letters);
}

static void write_and_wait(World *w, Batch *batch) {
        unsigned before = w->n_settled;

        assert_int_equal(sink_write(w->sink, batch), SINK_WRITE_STARTED);
        UNTIL(w, w->n_settled > before);
        assert_ptr_equal(w->settled, batch);
}

static int64_t count(World *w, const char *filter) {
        return mongodb_server_count(&w->server, w->database, "c", filter);
}

static int64_t count_rejected(World *w, const char *filter) {
        return mongodb_server_count(&w->server, w->database, "c_rejected", filter);
}

static void fail_point(World *w, const char *mode, const char *data) {
        char json[512];

        (void) snprintf(json, sizeof(json), "{\"configureFailPoint\":\"failCommand\",\"mode\":%s%s%s}", mode,
                data ? ",\"data\":" : "", data ? data : "");
        mongodb_server_command(&w->server, "admin", json);
}

/* ---- the tests ---- */

#define MIXED                                                                                                          \
        {                                                                                                              \
                "one", "{\"val\":1,\"created_at\":\"2026-11-24T06:27:38Z\"}",         /* stored */                     \
                        "two", "{\"val\":2}",                                         /* stored */                     \
                        "one", "{\"val\":1,\"created_at\":\"2026-11-24T06:27:38Z\"}", /* the same again */             \
                        "two", "{\"val\":3}", /* another payload under the same name */                                \
                        NULL, "{\"val\":",    /* no JSON */                                                            \
                        NULL, "{\"_id\":5}",  /* stored under its message id */                                        \
        }

/* P3, P4, P6: every fate in one batch; and the same batch delivered again changes nothing. */
static void test_fates(void **state) {
        static const char *const pairs[] = MIXED;
        World *w = *state;

        open_sink(w);
        write_and_wait(w, batch_of(pairs, 6));
        assert_fates(w->settled, "ssdrrs");
        assert_int_equal(count(w, "{}"), 3);
        assert_int_equal(
                count(w,
                        "{\"_id\":\"one\",\"val\":1,\"created_at\":{\"$date\":\"2026-11-24T06:27:38Z\"},\"pubsub.attributes."
                        "type\":\"test\"}"),
                1);
        assert_int_equal(count(w, "{\"_id\":\"" SUBSCRIPTION
                                  ":105\",\"_id_\":5,\"stored_at\":{\"$gt\":{\"$date\":\"2026-01-01T00:00:00Z\"}}}"),
                1);
        assert_int_equal(count_rejected(w, "{}"), 2);
        assert_int_equal(count_rejected(w, "{\"_id\":\"" SUBSCRIPTION ":103\",\"reason\":\"id_conflict\"}"), 1);
        assert_int_equal(
                count_rejected(w,
                        "{\"_id\":\"" SUBSCRIPTION
                        ":104\",\"reason\":\"not_json\",\"data\":{\"$binary\":{\"base64\":\"eyJ2YWwiOg==\",\"subType\":\"00\"}}}"),
                1);
        assert_int_equal(status(w).stored, 3);
        assert_int_equal(status(w).duplicates, 1);
        assert_int_equal(status(w).rejected, 2);
        assert_true(status(w).last_stored > 0);

        w->settled = batch_free(w->settled);
        write_and_wait(w, batch_of(pairs, 6));
        assert_fates(w->settled, "dddrrd");
        assert_int_equal(count(w, "{}"), 3);
        assert_int_equal(count_rejected(w, "{}"), 2);
}

/* P3 (c): a rejected id that is taken by other bytes is not taken for the same message. */
static void test_rejected_under_a_taken_id(void **state) {
        static const char *const first[] = { NULL, "{" }, *const second[] = { NULL, "[" };
        World *w = *state;

        open_sink(w);
        write_and_wait(w, batch_of(first, 1));
        assert_fates(w->settled, "r");
        for (int i = 0; i < 2; i++) {
                w->settled = batch_free(w->settled);
                write_and_wait(w, batch_of(second, 1));
                assert_fates(w->settled, "r");
                assert_int_equal(count_rejected(w, "{}"), 2);
        }
}

/* P6: a validator refuses one document of many; another unique index another one. */
static void test_refused_by_the_server(void **state) {
        static const char *const pairs[] = { "a", "{\"val\":1,\"serial\":1}", "b", "{\"val\":\"x\",\"serial\":2}", "c",
                "{\"val\":3,\"serial\":1}", "d", "{\"val\":4,\"serial\":4}" };
        World *w = *state;

        open_sink(w);
        mongodb_server_command(&w->server, w->database,
                "{\"collMod\":\"c\",\"validator\":{\"$jsonSchema\":{\"bsonType\":\"object\",\"properties\":{\"val\":{\"bsonType\":"
                "\"double\"}}}}}");
        mongodb_server_command(&w->server, w->database,
                "{\"createIndexes\":\"c\",\"indexes\":[{\"key\":{\"serial\":1},\"name\":\"serial_1\",\"unique\":true}]}");
        write_and_wait(w, batch_of(pairs, 4));
        assert_fates(w->settled, "srrs");
        assert_int_equal(count_rejected(w, "{\"reason\":\"refused\",\"detail\":{\"$regex\":\"121\"}}"), 1);
        assert_int_equal(count_rejected(w, "{\"reason\":\"refused\",\"detail\":{\"$regex\":\"11000\"}}"), 1);
}

/* P6: the rejected collection refuses as well: those messages stay unacknowledged, their neighbours do not. */
static void test_rejected_collection_refuses(void **state) {
        static const char *const pairs[] = { "a", "{\"val\":1}", "b", "{", "c", "{\"val\":3}", "d", "[]" };
        World *w = *state;

        open_sink(w);
        mongodb_server_command(&w->server, w->database,
                "{\"create\":\"c_rejected\",\"validator\":{\"$jsonSchema\":{\"bsonType\":\"object\",\"properties\":{\"reason\":{\"enum\":["
                "\"not_object\"]}}}}}");
        write_and_wait(w, batch_of(pairs, 4));
        assert_fates(w->settled, "sfsr");
        assert_int_equal(status(w).failed, 1);
        assert_true(status(w).ready);
}

/* A whole batch in one bulk, and more than one bulk. */
static void test_many(void **state) {
        World *w = *state;

        open_sink(w);
        write_and_wait(w, numbered(2500));
        assert_int_equal(batch_count(w->settled, FATE_STORED), 2500);
        assert_int_equal(count(w, "{}"), 2500);
        w->settled = batch_free(w->settled);
        write_and_wait(w, numbered(2500));
        assert_int_equal(batch_count(w->settled, FATE_DUPLICATE), 2500);
}

/* P6: the command fails as a whole because of what is in it: halved until it passes. */
static void test_poisoned_command(void **state) {
        World *w = *state;

        open_sink(w);
        fail_point(w, "{\"times\":3}", "{\"failCommands\":[\"insert\"],\"errorCode\":22}");
        write_and_wait(w, numbered(8));
        assert_int_equal(batch_count(w->settled, FATE_STORED) + batch_count(w->settled, FATE_REJECTED), 8);
        assert_true(batch_count(w->settled, FATE_STORED) >= 6);
        assert_int_equal(count(w, "{}"), (int64_t) batch_count(w->settled, FATE_STORED));
        assert_true(status(w).ready);
        fail_point(w, "\"off\"", NULL);
}

/* P5: faults of the remote hold the batch, and all of it is stored when they end. */
static void test_faults(void **state) {
        static const struct {
                const char *data, *name;
                int times;
        } rows[] = {
                { "{\"failCommands\":[\"insert\"],\"closeConnection\":true}", "unreachable", 4 },
                { "{\"failCommands\":[\"insert\"],\"errorCode\":10107,\"errorLabels\":[\"RetryableWriteError\"]}",
                        "busy", 4 },
                { "{\"failCommands\":[\"insert\"],\"errorCode\":14031}", "disk_full", 2 },
                { "{\"failCommands\":[\"insert\"],\"errorCode\":4711}", "refused", 5 },
                { "{\"failCommands\":[\"insert\"],\"writeConcernError\":{\"code\":64,\"errmsg\":\"waiting for replication timed out\"}}",
                        "write_concern", 2 },
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char mode[32];

                open_sink(w);
                (void) snprintf(mode, sizeof(mode), "{\"times\":%d}", rows[i].times);
                fail_point(w, mode, rows[i].data);
                assert_int_equal(sink_write(w->sink, numbered(3)), SINK_WRITE_STARTED);
                UNTIL(w, !status(w).ready || w->settled);
                assert_null(w->settled);
                assert_true(status(w).failure.since > 0);
                if (strncmp(status(w).failure.detail, rows[i].name, strlen(rows[i].name)) != 0)
                        fail_msg("%s: %s", rows[i].name, status(w).failure.detail);
                UNTIL(w, w->settled);
                assert_true(status(w).ready);
                assert_int_equal(status(w).failure.since, 0);
                assert_int_equal(batch_count(w->settled, FATE_STORED) + batch_count(w->settled, FATE_DUPLICATE), 3);
                assert_int_equal(count(w, "{}"), 3);
                fail_point(w, "\"off\"", NULL);
                close_sink(w);
        }
}

/* What only a person can mend is tried at the longest interval only. */
static void test_config_fault(void **state) {
        World *w = *state;

        w->config.backoff.max = 60 * USEC_PER_SEC;
        open_sink(w);
        fail_point(w, "\"alwaysOn\"", "{\"failCommands\":[\"insert\"],\"errorCode\":13}");
        assert_int_equal(sink_write(w->sink, numbered(2)), SINK_WRITE_STARTED);
        UNTIL(w, !status(w).ready);
        assert_non_null(strstr(status(w).failure.detail, "forbidden"));
        assert_true(status(w).retry_at > clock_now() + 50 * USEC_PER_SEC);
        fail_point(w, "\"off\"", NULL);
        sink_stop(w->sink, false);
        assert_non_null(w->settled);
        assert_fates(w->settled, "pp");
}

/* P8: a batch that waits for its next try comes back at once, nothing of it settled. */
static void test_stop_while_retrying(void **state) {
        World *w = *state;

        w->config.backoff.initial = w->config.backoff.max = 60 * USEC_PER_SEC;
        open_sink(w);
        fail_point(w, "\"alwaysOn\"", "{\"failCommands\":[\"insert\"],\"errorCode\":14031}");
        assert_int_equal(sink_write(w->sink, numbered(2)), SINK_WRITE_STARTED);
        assert_true(sink_is_busy(w->sink));
        UNTIL(w, !status(w).ready);
        assert_false(sink_is_busy(w->sink));
        assert_int_equal(sink_write(w->sink, NULL), SINK_WRITE_BUSY);
        sink_stop(w->sink, false);
        assert_int_equal(w->n_settled, 1);
        assert_fates(w->settled, "pp");
        fail_point(w, "\"off\"", NULL);
        assert_int_equal(count(w, "{}"), 0);
}

/* P8: a write in progress ends, and what it settled comes back settled; a close in the middle does not wait for the
 * driver. */
static void test_stop_while_writing(void **state) {
        World *w = *state;
        usec_t begin;

        open_sink(w);
        fail_point(w, "{\"times\":1}", "{\"failCommands\":[\"insert\"],\"blockConnection\":true,\"blockTimeMS\":500}");
        assert_int_equal(sink_write(w->sink, numbered(2)), SINK_WRITE_STARTED);
        (void) usleep(100 * 1000); /* the loop does not turn, and hears of no answer, however long this takes */
        sink_stop(w->sink, false);
        assert_true(sink_is_busy(w->sink));
        assert_null(w->settled);
        UNTIL(w, w->settled);
        assert_fates(w->settled, "ss");
        close_sink(w);

        open_sink(w);
        fail_point(w, "{\"times\":1}", "{\"failCommands\":[\"insert\"],\"blockConnection\":true,\"blockTimeMS\":6000}");
        assert_int_equal(sink_write(w->sink, numbered(2)), SINK_WRITE_STARTED);
        (void) usleep(100 * 1000);
        sink_stop(w->sink, false);
        begin = clock_now();
        w->sink = sink_free(w->sink);
        assert_true(clock_now() - begin < 5 * USEC_PER_SEC);
        run_for(w, 6500 * USEC_PER_MSEC);
        assert_null(w->settled);
        fail_point(w, "\"off\"", NULL);
}

/* P5: starts while MongoDB is down; ready soon after it is there although the backoff is long; notices when it goes. */
static void test_outage(void **state) {
        World *w = *state;
        usec_t up;

        w->config.backoff.initial = w->config.backoff.max = 60 * USEC_PER_SEC;
        mongodb_server_stop(&w->server, SIGTERM);
        open_sink_as(w, "", NULL);
        UNTIL(w, status(w).retry_at > 0);
        assert_true(status(w).retry_at > clock_now() + 3 * USEC_PER_SEC); /* not before a tenth of the backoff */
        assert_false(status(w).ready);
        assert_non_null(strstr(status(w).failure.detail, "unreachable"));
        assert_int_equal(sink_write(w->sink, NULL), SINK_WRITE_BUSY);

        mongodb_server_start(&w->server, false);
        up = clock_now();
        UNTIL(w, status(w).ready);
        assert_true(clock_now() - up < 20 * USEC_PER_SEC); /* not the minute of the backoff */

        mongodb_server_stop(&w->server, SIGKILL); /* idle: the monitors see it */
        UNTIL(w, !status(w).ready);
        mongodb_server_start(&w->server, false);
        UNTIL(w, status(w).ready);
        write_and_wait(w, numbered(2));
        assert_fates(w->settled, "ss");
}

/* ---- logins; last, since the server asks for them from here on ---- */

static void test_login(void **state) {
        World *w = *state;

        mongodb_server_command(
                &w->server, "admin", "{\"createUser\":\"u\",\"pwd\":\"p@ss:/%41\",\"roles\":[\"root\"]}");
        mongodb_server_stop(&w->server, SIGTERM);
        mongodb_server_start(&w->server, true);

        open_sink_as(w, "u", "wrong");
        UNTIL(w, status(w).retry_at > 0);
        assert_non_null(strstr(status(w).failure.detail, "login"));
        assert_null(strstr(status(w).failure.detail, "wrong"));
        close_sink(w);

        open_sink_as(w, "u", "p@ss:/%41");
        UNTIL(w, status(w).ready);
        write_and_wait(w, numbered(2));
        assert_fates(w->settled, "ss");
}

/* ---- without a server ---- */

static void test_type_table(void **state) {
        assert_string_equal(types_sink("mongodb")->keys->name, "mongodb");
        assert_null(types_sink("slack"));
        assert_null(types_sink(""));
}

/* P9: what only the config can mend is refused when the sink is opened, without reaching for anything. */
static void test_bad_uri(void **state) {
        World *w = *state;
        const SinkCallbacks callbacks = {
                .on_settled = on_settled, .on_change = on_change, .userdata = w, .means.loop = w->event
        };
        static char refused[] = "mongodb://127.0.0.1:99999/";
        Sink *sink = NULL;

        w->mongodb.uri = refused;
        assert_int_equal(sink_new(types_sink("mongodb"), &w->config, &callbacks, &sink), -EBADMSG);
        assert_null(sink);
}

/* ---- frame ---- */

static int setup(void **state) {
        static char collection[] = "c", rejected[] = "c_rejected", subscription[] = SUBSCRIPTION,
                    id_attribute[] = "key";
        World *w = *state;

        w->config = (SubscriptionConfig){ .subscription = subscription,
                .id_attribute = id_attribute,
                .sink = "mongodb",
                .backoff = { 50 * USEC_PER_MSEC, USEC_PER_SEC },
                .keys = &w->mongodb };
        w->mongodb = (MongodbConfig){ .uri = w->uri,
                .database = w->database,
                .collection = collection,
                .rejected_collection = rejected,
                .date_fields = date_fields };
        return loop_new(&w->event);
}

static int teardown(void **state) {
        World *w = *state;

        close_sink(w);
        w->event = loop_free(w->event);
        return 0;
}

static int setup_group(void **state) {
        static World world;

        *state = &world;
        return 0;
}

static int setup_server(void **state) {
        World *w;

        (void) setup_group(state);
        w = *state;
        mongodb_server_start(&w->server, false);
        return 0;
}

static int teardown_server(void **state) {
        World *w = *state;

        mongodb_server_teardown(&w->server);
        return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
        const struct CMUnitTest plain[] = { TEST(test_type_table), TEST(test_bad_uri) };
        const struct CMUnitTest live[] = {
                TEST(test_fates),
                TEST(test_rejected_under_a_taken_id),
                TEST(test_refused_by_the_server),
                TEST(test_rejected_collection_refuses),
                TEST(test_many),
                TEST(test_poisoned_command),
                TEST(test_faults),
                TEST(test_config_fault),
                TEST(test_stop_while_retrying),
                TEST(test_stop_while_writing),
                TEST(test_outage),
                TEST(test_login),
        };
        void *state = NULL;
        int r;

        (void) service_block_signals();
        r = cmocka_run_group_tests(plain, setup_group, NULL);
        (void) setup_group(&state);
        if (r != 0)
                return r;
        if (!mongodb_server_setup(&((World *) state)->server))
                return 77; /* meson: skipped */
        return cmocka_run_group_tests(live, setup_server, teardown_server);
}
