/* SPDX-License-Identifier: Apache-2.0 */
/* What MongoDB's answers mean (P3, P6): every class of error, alone and mixed, against what may be concluded from it.
 * And the connection string. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/bytes.h"
#include "sinks/mongodb-reply.h"
#include "sinks/mongodb.h"

#define N 4

/* One letter for each document: pending, Stored, Duplicate, About it, Other, Later. */
static void verdict_letters(const MongodbJudgement verdicts[static N], char letters[static N + 1]) {
        for (size_t i = 0; i < N; i++)
                letters[i] = verdicts[i].about_document ? 'A' : "?SD?OL"[verdicts[i].verdict];
        letters[N] = '\0';
}

static bson_t *reply_of(const char *json) {
        bson_error_t error;
        bson_t *reply = bson_new_from_json((const uint8_t *) json, -1, &error);

        if (!reply)
                fail_msg("%s: %s", json, error.message);
        return reply;
}

#define DUPLICATE(index)                                                                                               \
        "{\"index\":" #index                                                                                           \
        ",\"code\":11000,\"keyPattern\":{\"_id\":1},\"keyValue\":{\"_id\":\"x\"},\"errmsg\":\"E11000 dup key\"}"
#define DUPLICATE_OLD(index)                                                                                           \
        "{\"index\":" #index                                                                                           \
        ",\"code\":11000,\"errmsg\":\"E11000 duplicate key error collection: d.c index: _id_ dup key: { : 1 }\"}"
#define DUPLICATE_OLDER(index)                                                                                         \
        "{\"index\":" #index                                                                                           \
        ",\"code\":11000,\"errmsg\":\"E11000 duplicate key error index: d.c.$_id_ dup key: { : 1 }\"}"
#define DUPLICATE_OTHER(index)                                                                                         \
        "{\"index\":" #index                                                                                           \
        ",\"code\":11000,\"keyPattern\":{\"serial\":1},\"errmsg\":\"E11000 index: serial_1 dup key _id_ \"}"
#define DUPLICATE_OTHER_OLD(index) "{\"index\":" #index ",\"code\":11000,\"errmsg\":\"E11000 index: my_id_1 dup key\"}"
#define DUPLICATE_COMPOUND(index)                                                                                      \
        "{\"index\":" #index ",\"code\":11000,\"keyPattern\":{\"_id\":1,\"a\":1},\"errmsg\":\"E11000\"}"
#define ERROR(index, code) "{\"index\":" #index ",\"code\":" #code ",\"errmsg\":\"no\"}"

static void test_judge(void **state) {
        static const struct {
                const char *what;
                bool ok;
                uint32_t domain, code;
                const char *reply, *verdicts;
                MongodbFault fault;
        } rows[] = {
                { "all stored", true, 0, 0, "{\"nInserted\":4,\"writeErrors\":[]}", "SSSS", MONGODB_FAULT_NONE },
                { "all stored, counted as a double", true, 0, 0, "{\"nInserted\":4.0}", "SSSS", MONGODB_FAULT_NONE },
                { "counts that do not add up", true, 0, 0, "{\"nInserted\":3,\"writeErrors\":[]}", "????",
                        MONGODB_FAULT_NONE },
                { "no count", true, 0, 0, "{}", "????", MONGODB_FAULT_NONE },
                { "one duplicate", false, 17, 11000, "{\"nInserted\":3,\"writeErrors\":[" DUPLICATE(1) "]}", "SDSS",
                        MONGODB_FAULT_NONE },
                { "duplicates of old servers", false, 17, 11000,
                        "{\"nInserted\":2,\"writeErrors\":[" DUPLICATE_OLD(0) "," DUPLICATE_OLDER(3) "]}", "DSSD",
                        MONGODB_FAULT_NONE },
                { "other unique indexes", false, 17, 11000,
                        "{\"nInserted\":1,\"writeErrors\":[" DUPLICATE_OTHER(0) "," DUPLICATE_OTHER_OLD(
                                1) "," DUPLICATE_COMPOUND(2) "]}",
                        "DDDS", MONGODB_FAULT_NONE },
                { "refused, duplicate and odd together", false, 17, 121,
                        "{\"nInserted\":1,\"writeErrors\":[" ERROR(0, 121) "," DUPLICATE(1) "," ERROR(3, 4711) "]}",
                        "ADSO", MONGODB_FAULT_NONE },
                { "index and code as doubles and int64", false, 17, 121,
                        "{\"nInserted\":{\"$numberLong\":\"2\"},\"writeErrors\":[{\"index\":2.0,\"code\":121.0,\"errmsg\":\"\"},"
                        "{\"index\":{\"$numberLong\":\"3\"},\"code\":{\"$numberLong\":\"121\"},\"errmsg\":\"\"}]}",
                        "SSAA", MONGODB_FAULT_NONE },
                { "the whole batch refused", false, 17, 121,
                        "{\"nInserted\":0,\"writeErrors\":[" ERROR(0, 2) "," ERROR(1, 22) "," ERROR(2, 57) "," ERROR(
                                3, 10334) "]}",
                        "OAAA", MONGODB_FAULT_NONE },
                { "unlisted ones when a later part was cut off", false, 17, 11000,
                        "{\"nInserted\":1,\"writeErrors\":[" DUPLICATE(0) "]}", "D???", MONGODB_FAULT_NONE },
                { "the disk is full for one", false, 17, 14031,
                        "{\"nInserted\":3,\"writeErrors\":[" ERROR(2, 14031) "]}", "SSLS", MONGODB_FAULT_DISK_FULL },
                { "busy for one, refused another", false, 17, 112,
                        "{\"nInserted\":2,\"writeErrors\":[" ERROR(0, 112) "," ERROR(1, 121) "]}", "LASS",
                        MONGODB_FAULT_BUSY },
                { "an index twice", false, 17, 121,
                        "{\"nInserted\":2,\"writeErrors\":[" ERROR(1, 121) "," ERROR(1, 121) "]}", "????",
                        MONGODB_FAULT_BUSY },
                { "an index out of range", false, 17, 121, "{\"nInserted\":3,\"writeErrors\":[" ERROR(4, 121) "]}",
                        "????", MONGODB_FAULT_BUSY },
                { "an index below zero", false, 17, 121, "{\"nInserted\":3,\"writeErrors\":[" ERROR(-1, 121) "]}",
                        "????", MONGODB_FAULT_BUSY },
                { "no index", false, 17, 121, "{\"nInserted\":3,\"writeErrors\":[{\"code\":121}]}", "????",
                        MONGODB_FAULT_BUSY },
                { "write concern timeout", false, 16, 64,
                        "{\"nInserted\":4,\"writeErrors\":[],\"writeConcernErrors\":[{\"code\":64,\"errmsg\":\"waiting\"}]}",
                        "????", MONGODB_FAULT_WRITE_CONCERN },
                { "write concern that cannot be met", false, 16, 100,
                        "{\"nInserted\":4,\"writeConcernErrors\":[{\"code\":100,\"errmsg\":\"no\"}]}", "????",
                        MONGODB_FAULT_WRITE_CONCERN },
                { "unknown write concern", false, 16, 79,
                        "{\"nInserted\":4,\"writeConcernErrors\":[{\"code\":79,\"errmsg\":\"no\"}]}", "????",
                        MONGODB_FAULT_WRITE_CONCERN },
                { "write concern cut off by a shutdown", false, 16, 91,
                        "{\"nInserted\":4,\"writeConcernErrors\":[{\"code\":91,\"errmsg\":\"bye\"}]}", "????",
                        MONGODB_FAULT_BUSY },
                { "duplicates and a write concern error: nothing is settled", false, 17, 11000,
                        "{\"nInserted\":3,\"writeErrors\":[" DUPLICATE(
                                1) "],\"writeConcernErrors\":[{\"code\":64,\"errmsg\":\"waiting\"}]}",
                        "????", MONGODB_FAULT_WRITE_CONCERN },
                { "a write concern error although ok", true, 0, 0,
                        "{\"nInserted\":4,\"writeConcernErrors\":[{\"code\":64,\"errmsg\":\"waiting\"}]}", "????",
                        MONGODB_FAULT_WRITE_CONCERN },
                { "network", false, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "{\"nInserted\":0}", "????",
                        MONGODB_FAULT_UNREACHABLE },
                { "network after a part of it", false, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET,
                        "{\"nInserted\":3,\"writeErrors\":[" DUPLICATE(1) "]}", "????", MONGODB_FAULT_UNREACHABLE },
                { "no server", false, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE, "{}",
                        "????", MONGODB_FAULT_UNREACHABLE },
                { "protocol", false, MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_INVALID_REPLY, "{}", "????",
                        MONGODB_FAULT_UNREACHABLE },
                { "login", false, MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, "{}", "????",
                        MONGODB_FAULT_LOGIN },
                { "not ready", false, MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_NOT_READY, "{}", "????",
                        MONGODB_FAULT_UNREACHABLE },
                { "not authorized", false, 17, 13, "{}", "????", MONGODB_FAULT_FORBIDDEN },
                { "login by code", false, 17, 18, "{}", "????", MONGODB_FAULT_LOGIN },
                { "Atlas", false, 17, 8000, "{}", "????", MONGODB_FAULT_SETTINGS },
                { "a view", false, 17, 166, "{}", "????", MONGODB_FAULT_TARGET },
                { "a bad name", false, 17, 73, "{}", "????", MONGODB_FAULT_SETTINGS },
                { "writes blocked", false, 17, 371, "{}", "????", MONGODB_FAULT_SETTINGS },
                { "no primary", false, 17, 10107, "{\"errorLabels\":[\"RetryableWriteError\"]}", "????",
                        MONGODB_FAULT_BUSY },
                { "shutting down", false, 17, 11600, "{}", "????", MONGODB_FAULT_BUSY },
                { "a new code with the label", false, 17, 9999, "{\"errorLabels\":[\"SystemOverloadedError\"]}", "????",
                        MONGODB_FAULT_BUSY },
                { "the label says that no document is at fault", false, 17, 2,
                        "{\"errorLabels\":[\"RetryableWriteError\"]}", "????", MONGODB_FAULT_BUSY },
                { "not the object that a write concern error is", false, 17, 4711, "{\"writeConcernError\":1}", "????",
                        MONGODB_FAULT_REFUSED },
                { "disk full", false, 17, 14031, "{}", "????", MONGODB_FAULT_DISK_FULL },
                { "poison", false, 17, 22, "{}", "????", MONGODB_FAULT_REFUSED },
                { "too large, found by the driver", false, MONGOC_ERROR_BSON, MONGOC_ERROR_BSON_INVALID, "{}", "????",
                        MONGODB_FAULT_REFUSED },
                { "invalid, found by the driver", false, MONGOC_ERROR_COMMAND, MONGOC_ERROR_COMMAND_INVALID_ARG, "{}",
                        "????", MONGODB_FAULT_REFUSED },
                { "an unknown code", false, 17, 4711, "{}", "????", MONGODB_FAULT_REFUSED },
                { "failed without a code, counts add up", false, 0, 0, "{\"nInserted\":4}", "SSSS",
                        MONGODB_FAULT_NONE },
                { "failed without a code", false, 0, 0, "{\"nInserted\":2}", "????", MONGODB_FAULT_NONE },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                bson_error_t error = { .domain = rows[i].domain, .code = rows[i].code, .message = "no such user" };
                MongodbJudgement verdicts[N] = { { .verdict = SINK_STORED }, { .verdict = SINK_DUPLICATE } };
                bson_t *reply = reply_of(rows[i].reply);
                MongodbFault fault = mongodb_reply_judge(rows[i].ok, reply, &error, verdicts, N);
                char letters[N + 1];

                verdict_letters(verdicts, letters);
                if (fault != rows[i].fault || strcmp(letters, rows[i].verdicts) != 0)
                        fail_msg("%s: %s %s", rows[i].what, letters, mongodb_fault_words(fault)->name);
                bson_destroy(reply);
        }
}

/* Where it is to be looked first, then the driver's words. */
static void test_no_server_in_words(void **state) {
        static const struct {
                const char *message, *words, *host;
        } rows[] = {
                { "No suitable servers found: `serverSelectionTimeoutMS` expired: [Failed to connect to target host: localhost:1]",
                        "no answer from localhost:1 (No suitable servers found: `serverSelectionTimeoutMS` expired: [Failed to connect to "
                        "target host: localhost:1]) (code 13053)" },
                { "No suitable servers found: [connection refused calling hello on '[::1]:1']",
                        "no answer from [::1]:1 (No suitable servers found: [connection refused calling hello on '[::1]:1']) (code 13053)" },
                { "No suitable servers found: [Failed to connect to target host: [::1]:1]",
                        "no answer from [::1]:1 (No suitable servers found: [Failed to connect to target host: [::1]:1]) (code 13053)" },
                { "No suitable servers found: [Failed to resolve db.lan] [Failed to resolve db2.lan]",
                        "no address found for db.lan (No suitable servers found: [Failed to resolve db.lan] [Failed to resolve "
                        "db2.lan]) (code 13053)" },
                { "No suitable servers found: [connection refused calling hello on 'a:1']",
                        "no answer from a:1 (No suitable servers found: [connection refused calling hello on 'a:1']) (code 13053)",
                        "b:2" },
                { "No suitable servers found: `serverSelectionTimeoutMS` expired",
                        "no server to write to at db.lan:27017 (No suitable servers found: `serverSelectionTimeoutMS` expired) (code 13053)",
                        "db.lan:27017" },
                { "No primary", "No primary (code 13053)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                bson_error_t error = { .domain = MONGOC_ERROR_SERVER_SELECTION, .code = 13053 };
                char text[500];

                (void) snprintf(error.message, sizeof(error.message), "%s", rows[i].message);
                mongodb_reply_describe_error(&error, rows[i].host, text, sizeof(text));
                assert_string_equal(text, rows[i].words);
        }
}

/* P3: whatever the reply says, a document is only called stored when no part of the answer speaks against it. */
static void test_stored_is_certain(void **state) {
        static const uint32_t domains[] = { 0, 1, 2, 3, 8, 11, 15, 16, 17, 20 };

        for (size_t domain = 0; domain < ELEMENTSOF(domains); domain++)
                for (int inserted = 0; inserted <= N + 1; inserted++)
                        for (unsigned listed = 0; listed < 1 << N; listed++)
                                for (int concern = 0; concern < 2; concern++) {
                                        bson_error_t error = { .domain = domains[domain],
                                                .code = domains[domain] > 0 ? 121 : 0 };
                                        MongodbJudgement verdicts[N];
                                        _cleanup_bytes_ Bytes json = {};
                                        bson_t *reply;
                                        int n_listed = 0;

                                        (void) bytes_append_format(
                                                &json, "{\"nInserted\":%d,\"writeErrors\":[", inserted);
                                        for (unsigned i = 0; i < N; i++)
                                                if (listed & 1u << i)
                                                        (void) bytes_append_format(&json,
                                                                "%s{\"index\":%u,\"code\":121}", n_listed++ ? "," : "",
                                                                i);
                                        (void) bytes_append_format(&json, "]%s}",
                                                concern ? ",\"writeConcernErrors\":[{\"code\":64}]" : "");
                                        reply = reply_of(json.data);
                                        (void) mongodb_reply_judge(
                                                n_listed == 0 && !concern, reply, &error, verdicts, N);
                                        for (unsigned i = 0; i < N; i++)
                                                if (verdicts[i].verdict == SINK_STORED) {
                                                        assert_false(concern);
                                                        assert_false(listed & 1u << i);
                                                        assert_int_equal(inserted + n_listed, N);
                                                }
                                        bson_destroy(reply);
                                }
}

static void test_describe(void **state) {
        bson_t *reply = reply_of("{\"writeErrors\":[{\"index\":3,\"code\":121,\"errmsg\":\"Document "
                                 "failed\\nvalidation\",\"errInfo\":{\"details\":{\"missing\":[\"val\"]}}}],"
                                 "\"writeConcernErrors\":[{\"code\":64,\"errmsg\":\"waiting\"}]}");
        bson_error_t error = { .domain = 17, .code = 7, .message = "as a whole" },
                     cut = { .domain = MONGOC_ERROR_STREAM, .code = 4, .message = "cut" };
        char text[256], small[12];

        mongodb_reply_describe(reply, &error, 3, text, sizeof(text));
        assert_string_equal(
                text, "Document failed validation (code 121): { \"details\" : { \"missing\" : [ \"val\" ] } }");
        mongodb_reply_describe(reply, &error, 2, text, sizeof(text));
        assert_string_equal(text, "as a whole (code 7)");
        mongodb_reply_describe(reply, &error, 3, small, sizeof(small));
        assert_string_equal(small, "Document...");
        mongodb_reply_describe_fault(reply, &error, NULL, text, sizeof(text));
        assert_string_equal(text, "waiting (code 64)");
        mongodb_reply_describe_fault(reply, &cut, NULL, text, sizeof(text));
        assert_string_equal(text, "cut (code 4)");
        bson_destroy(reply);

        memcpy(error.message, "a\xff\x01\xc3\xa9", 6);
        mongodb_reply_describe_error(&error, "db.lan:27017", text, sizeof(text));
        assert_true(bytes_is_utf8(text, strlen(text)));
}

static void test_fault_words(void **state) {
        for (int fault = MONGODB_FAULT_NONE; fault <= MONGODB_FAULT_REFUSED; fault++) {
                const MongodbWords *words = mongodb_fault_words((MongodbFault) fault);

                assert_true(strlen(words->name) > 0 && strlen(words->words) > 0);
                assert_int_equal(fault != MONGODB_FAULT_NONE, strlen(words->remedy) > 0);
        }
        assert_true(mongodb_fault_words(MONGODB_FAULT_LOGIN)->lasting);
        assert_true(mongodb_fault_words(MONGODB_FAULT_FORBIDDEN)->lasting);
        assert_true(mongodb_fault_words(MONGODB_FAULT_TARGET)->lasting);
        assert_false(mongodb_fault_words(MONGODB_FAULT_UNREACHABLE)->lasting);
        assert_non_null(strstr(mongodb_fault_words(MONGODB_FAULT_UNREACHABLE)->remedy,
                "access list")); /* Atlas says "tlsv1 alert internal error" */
        assert_false(mongodb_fault_words(MONGODB_FAULT_REFUSED)->lasting);
}

/* A2: the server's own list of what can be tried again, and the states of a server that pass, are never held against a
 * document. */
static void test_retriable_codes(void **state) {
        static const int codes[] = { 6, 7, 24, 46, 50, 63, 70, 82, 89, 90, 91, 112, 134, 150, 189, 203, 211, 215, 216,
                249, 262, 279, 290, 317, 319, 355, 358, 365, 384, 402, 406, 407, 412, 433, 449, 450, 453, 462, 9001,
                10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436, 16500, 46841, 50915, 91331, 10045600 };
        /* a setting or the server's state can cause these as well as a document */
        static const int others[] = { 0, 1, 2, 8, 9, 14, 16, 17, 301, 303, 4711, 16501, 999999 };

        for (size_t i = 0; i < ELEMENTSOF(codes); i++) {
                MongodbFault fault = MONGODB_FAULT_NONE;

                if (mongodb_code_kind(codes[i], "", "", &fault) != MONGODB_KIND_FAULT || fault != MONGODB_FAULT_BUSY)
                        fail_msg("%d", codes[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                MongodbFault fault = MONGODB_FAULT_NONE;

                assert_int_equal(mongodb_code_kind(others[i], "", "", &fault), MONGODB_KIND_OTHER);
                assert_int_equal(mongodb_code_kind(others[i], "IngressRequestRateLimitExceeded", "", &fault),
                        MONGODB_KIND_FAULT);
        }
}

/* The driver has one code for every login that came to nothing: only a refused one is a person's to mend. */
static void test_login_broken_off(void **state) {
        static const struct {
                const char *message;
                MongodbFault fault;
        } rows[] = {
                { "Authentication failed.", MONGODB_FAULT_LOGIN },
                { "bad auth : Authentication failed.", MONGODB_FAULT_LOGIN },
                { "Failed to send \"saslStart\" command with database \"admin\": socket error or timeout",
                        MONGODB_FAULT_UNREACHABLE },
                { "Failed to send \"saslContinue\" command with database \"admin\": Failed to read 4 bytes: socket error or timeout",
                        MONGODB_FAULT_UNREACHABLE },
                { "Unsupported mechanism SCRAM-SHA-1", MONGODB_FAULT_LOGIN },
                { "There is no x.509 client certificate matching the user.", MONGODB_FAULT_LOGIN },
                { "Could not find user \"u\" for db \"admin\"", MONGODB_FAULT_LOGIN },
                { "Invalid key", MONGODB_FAULT_LOGIN },
                { "interrupted at shutdown", MONGODB_FAULT_BUSY },
                { "The server is in quiesce mode and will shut down", MONGODB_FAULT_BUSY },
                { "node is recovering", MONGODB_FAULT_BUSY },
                { "operation exceeded time limit", MONGODB_FAULT_BUSY },
                { "Couldn't connect to the LDAP server", MONGODB_FAULT_BUSY },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                bson_error_t error = { .domain = MONGOC_ERROR_CLIENT, .code = MONGOC_ERROR_CLIENT_AUTHENTICATE };

                (void) snprintf(error.message, sizeof(error.message), "%s", rows[i].message);
                assert_int_equal(mongodb_reply_fault(NULL, &error), rows[i].fault);
        }
}

/* B8: Atlas has one code for everything; its words tell what to do. */
static void test_atlas_words(void **state) {
        static const struct {
                const char *message;
                MongodbFault fault;
        } rows[] = {
                { "bad auth : Authentication failed.", MONGODB_FAULT_LOGIN },
                { "you are over your space quota, using 513 MB of 512 MB", MONGODB_FAULT_QUOTA },
                { "cannot create a new collection -- already using 500 collections of 500", MONGODB_FAULT_QUOTA },
                { "Error determining if update will go over space quota: Error computing current atlas size: internal atlas error checking "
                  "things: Failure getting dbStats: (MaxTimeMSExpired) operation exceeded time limit: context deadline exceeded",
                        MONGODB_FAULT_BUSY },
                { "internal atlas error checking things: Failure getting dbStats: read tcp 192.168.254.78:50064->192.168.254.78:27000: i/o "
                  "timeout",
                        MONGODB_FAULT_BUSY },
                { "user is not allowed to do action [insert] on [home.readings]", MONGODB_FAULT_FORBIDDEN },
                { "not authorized on home to execute command", MONGODB_FAULT_FORBIDDEN },
                { "something new", MONGODB_FAULT_SETTINGS },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                bson_error_t error = { .domain = MONGOC_ERROR_SERVER, .code = 8000 };

                (void) snprintf(error.message, sizeof(error.message), "%s", rows[i].message);
                assert_int_equal(mongodb_reply_fault(NULL, &error), rows[i].fault);
        }
}

/* Returns the uri of a new client, whose writes are as P3 needs them. */
static mongoc_uri_t *uri_of(const char *text, const char *secret, char problem[static MONGODB_DETAIL_SIZE]) {
        _cleanup_free_ char *copy = strdup(text), *password = secret ? strdup(secret) : NULL;
        char name[] = "name", *none[] = { NULL };
        MongodbConfig keys = { .uri = copy,
                .password.text = password,
                .database = name,
                .collection = name,
                .rejected_collection = name,
                .date_fields = none };
        const SubscriptionConfig config = { .subscription = name, .id_attribute = name, .keys = &keys };
        MongodbClient *client = NULL;
        mongoc_uri_t *uri;
        int r;

        problem[0] = '\0';
        r = mongodb_client_new(&config, NULL, &client, problem);
        assert_true(r == 0 || r == -EBADMSG);
        assert_int_equal(r == 0, client != NULL);
        if (!client)
                return NULL;
        assert_true(mongoc_write_concern_get_wmajority(client->concern));
        assert_true(mongoc_write_concern_get_journal(client->concern));
        assert_int_equal(mongoc_write_concern_get_wtimeout_int64(client->concern), MONGODB_WRITE_CONCERN_MSEC);
        uri = mongoc_uri_copy(client->uri);
        (void) mongodb_client_free(client);
        return uri;
}

static void test_uri_limits(void **state) {
        char problem[MONGODB_DETAIL_SIZE];
        mongoc_uri_t *uri =
                uri_of("mongodb://h/?serverSelectionTimeoutMS=2000&socketTimeoutMS=60000&heartbeatFrequencyMS=60000",
                        NULL, problem);

        assert_non_null(uri);
        assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 0),
                2000); /* smaller: the user's */
        assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0),
                60000); /* A1: up to the ceiling, too */
        assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 0), MONGODB_CONNECT_MSEC);
        assert_int_equal(
                mongoc_uri_get_option_as_int32(uri, MONGOC_URI_HEARTBEATFREQUENCYMS, 0), MONGODB_HEARTBEAT_MSEC);
        assert_true(mongoc_uri_get_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false));
        assert_string_equal(mongoc_uri_get_appname(uri), "sensorqd");
        mongoc_uri_destroy(uri);

        uri = uri_of("mongodb://h/?socketTimeoutMS=600000&retryWrites=false", NULL, problem);
        assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0), MONGODB_SOCKET_MAX_MSEC);
        assert_false(mongoc_uri_get_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true)); /* B9 */
        mongoc_uri_destroy(uri);

        uri = uri_of("mongodb://h/?appName=mine", NULL, problem);
        assert_int_equal(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0), MONGODB_SOCKET_MSEC);
        assert_string_equal(mongoc_uri_get_appname(uri), "mine");
        mongoc_uri_destroy(uri);
}

/* P10: no password in what is said about a uri. */
static void test_uri_refused(void **state) {
        static const char *const uris[] = {
                "mongodb://u:hunter2@h:99999/",
                "mongodb://u:hunter2%zz@h/",
                "http://u:hunter2@h/",
                "",
        };
        char problem[MONGODB_DETAIL_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(uris); i++) {
                assert_null(uri_of(uris[i], NULL, problem));
                assert_true(strlen(problem) > 0);
                assert_null(strstr(problem, "hunter2"));
        }
}

/* The password file holds the password as it is, not percent-encoded. */
static void test_uri_password(void **state) {
        char problem[MONGODB_DETAIL_SIZE];
        mongoc_uri_t *uri = uri_of("mongodb://u@h/?authSource=admin", "p@ss:/%41", problem);

        assert_non_null(uri);
        assert_string_equal(mongoc_uri_get_password(uri), "p@ss:/%41");
        mongoc_uri_destroy(uri);
}

static void quiet(mongoc_log_level_t level, const char *domain, const char *message, void *userdata) {}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_judge),
                cmocka_unit_test(test_no_server_in_words),
                cmocka_unit_test(test_stored_is_certain),
                cmocka_unit_test(test_describe),
                cmocka_unit_test(test_fault_words),
                cmocka_unit_test(test_retriable_codes),
                cmocka_unit_test(test_login_broken_off),
                cmocka_unit_test(test_atlas_words),
                cmocka_unit_test(test_uri_limits),
                cmocka_unit_test(test_uri_refused),
                cmocka_unit_test(test_uri_password),
        };

        mongoc_log_set_handler(quiet, NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
