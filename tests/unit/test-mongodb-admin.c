/* SPDX-License-Identifier: Apache-2.0 */
/* What check, setup and rejected say and do, against SecantusDB. */
#include "scripted-mongodb.h"

#include <signal.h>

#include "mongodb-server.h"

#include "sinks/mongodb.h"
#include "subscribe/sink-type.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"

static const SinkAdmin *const admin = &mongodb_admin;

typedef struct World {
        MongodbServer server;
        char uri[200], database[16];
        MongodbConfig mongodb;
        SubscriptionConfig config;
        unsigned serial;
        void *self;
        struct {
                SinkGrade grade;
                char text[SINK_ADMIN_TEXT_MAX];
        } lines[4];
        size_t n_lines;
} World;

static void open_as(World *w, const char *user, const char *password) {
        static char collection[] = "c", rejected[] = "c_rejected", subscription[] = SUBSCRIPTION,
                    id_attribute[] = "key", *none[] = { NULL };
        char text[SINK_ADMIN_TEXT_MAX];

        (void) snprintf(w->uri, sizeof(w->uri),
                "mongodb://%s%s127.0.0.1:%d/?authSource=admin&serverSelectionTimeoutMS=2000", user, *user ? "@" : "",
                w->server.port);
        (void) snprintf(w->database, sizeof(w->database), "d%u", w->serial);
        w->mongodb = (MongodbConfig){ .uri = w->uri,
                .password.text = (char *) password,
                .database = w->database,
                .collection = collection,
                .rejected_collection = rejected,
                .date_fields = none };
        w->config =
                (SubscriptionConfig){ .subscription = subscription, .id_attribute = id_attribute, .keys = &w->mongodb };
        assert_int_equal(admin->open(&w->config, &w->self, text), 0);
}

static void reopen(World *w) {
        w->self = admin->close(w->self);
        w->serial++;
        open_as(w, "", NULL);
}

static void on_tell(void *userdata, SinkGrade grade, const char *text) {
        World *w = userdata;

        assert_true(w->n_lines < 4);
        w->lines[w->n_lines].grade = grade;
        (void) snprintf(w->lines[w->n_lines++].text, SINK_ADMIN_TEXT_MAX, "%s", text);
}

static void ask(World *w, void (*what)(void *self, const SinkTeller *teller)) {
        w->n_lines = 0;
        what(w->self, &(SinkTeller){ on_tell, w, NULL });
        assert_true(w->n_lines > 0);
}

static void assert_line(const World *w, size_t i, SinkGrade grade, const char *words) {
        assert_true(i < w->n_lines);
        if (w->lines[i].grade != grade || !strstr(w->lines[i].text, words))
                fail_msg("line %zu: %d: %s", i, w->lines[i].grade, w->lines[i].text);
}

/* B21: a server of which it is not known that it keeps what it confirms. */
static void test_check(void **state) {
        World *w = *state;

        reopen(w);
        ask(w, admin->check);
        assert_line(w, 0, SINK_GRADE_OK, "may insert and read in d");
        assert_line(w, 1, SINK_GRADE_WARN, "on disk");
        assert_int_equal(w->n_lines, 2);
}

/* A4: what cannot keep _id unique. */
static void test_targets(void **state) {
        static const struct {
                const char *create, *words;
        } rows[] = {
                { "{\"create\":\"c\",\"timeseries\":{\"timeField\":\"t\"}}", "time-series" },
                { "{\"create\":\"c\",\"capped\":true,\"size\":100000}", "capped" },
                { "{\"create\":\"c\",\"viewOn\":\"other\",\"pipeline\":[]}", "view" },
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                reopen(w);
                mongodb_server_command(&w->server, w->database, rows[i].create);
                ask(w, admin->check);
                assert_line(w, 0, SINK_GRADE_FAIL, rows[i].words);
                assert_line(w, 0, SINK_GRADE_FAIL, "plain collection");
        }
}

static void test_setup(void **state) {
        World *w = *state;

        reopen(w);
        ask(w, admin->setup);
        assert_line(w, 0, SINK_GRADE_OK, "4 created, 4 in all");
        ask(w, admin->setup);
        assert_line(w, 0, SINK_GRADE_OK, "0 created, 4 in all");
}

/* B29: the user of the pages may not make indexes: said, and no failure. A server that refuses otherwise is one. */
static void test_setup_without_privilege(void **state) {
        Server *server = calloc(1, sizeof(*server));
        int port = 0;
        World *w = *state;

        assert_non_null(server);
        server_start(server);
        w->self = admin->close(w->self);
        port = w->server.port;
        w->server.port = server->port;
        open_as(w, "", NULL);
        server->index_code = 13;
        ask(w, admin->setup);
        assert_line(w, 0, SINK_GRADE_WARN, "request_at_1");
        assert_line(w, 0, SINK_GRADE_WARN, "grant createIndex");
        server->index_code = 8;
        ask(w, admin->setup);
        assert_line(w, 0, SINK_GRADE_FAIL, "code 8");
        w->self = admin->close(w->self);
        w->server.port = port;
        server_stop(server);
        free(server);
        open_as(w, "", NULL);
}

/* A connection that ends within the login says nothing of user and password. */
static void test_login_broken_off(void **state) {
        Server *server = calloc(1, sizeof(*server));
        int port = 0;
        World *w = *state;

        assert_non_null(server);
        server_start(server);
        server->cut_logins = true;
        w->self = admin->close(w->self);
        port = w->server.port;
        w->server.port = server->port;
        open_as(w, "u", "p");
        ask(w, admin->check);
        assert_line(w, 0, SINK_GRADE_FAIL, "check that it runs");
        w->self = admin->close(w->self);
        w->server.port = port;
        server_stop(server);
        assert_true(server->logins > 0);
        free(server);
        open_as(w, "", NULL);
}

/* A login that went well, at a server that does not say who we are, and takes no trial (Cosmos DB, of a collection that
 * is sharded by another key than _id): nobody is told to name the user who is named. */
static void test_login_that_is_not_told(void **state) {
        Server *server = calloc(1, sizeof(*server));
        char text[SINK_ADMIN_TEXT_MAX];
        World *w = *state;

        assert_non_null(server);
        server_start(server);
        server->update_code = 61;
        w->self = admin->close(w->self);
        (void) snprintf(w->uri, sizeof(w->uri),
                "mongodb://u:p@127.0.0.1:%d/?authMechanism=PLAIN&serverSelectionTimeoutMS=2000", server->port);
        assert_int_equal(admin->open(&w->config, &w->self, text), 0);
        ask(w, admin->check);
        assert_true(server->logins > 0);
        assert_line(w, 0, SINK_GRADE_OK, "the server does not report privileges");
        w->self = admin->close(w->self);
        server_stop(server);
        free(server);
        open_as(w, "", NULL);
}

/* What the server says that the user may do: in the collection, in its database, or everywhere; what is missing is
 * named. */
static void test_privileges(void **state) {
#define ON(db, collection, actions)                                                                                    \
        "{\"resource\":{\"db\":\"" db "\",\"collection\":\"" collection "\"},\"actions\":[" actions "]}"
#define BOTH "\"find\",\"insert\""
        static const struct {
                const char *privileges, *lacks;
        } rows[] = {
                { ON("", "", BOTH), NULL },
                { "{\"resource\":{\"anyResource\":true},\"actions\":[\"anyAction\"]}", NULL },
                { ON("home", "", BOTH), NULL },
                { ON("home", "c", BOTH) "," ON("home", "c_rejected", BOTH), NULL },
                { ON("home", "c", BOTH), "may not insert in home.c_rejected" },
                { ON("home", "c", "\"insert\"") "," ON("home", "c_rejected", BOTH), "may not find in home.c" },
                { ON("other", "", BOTH), "may not insert in home.c" },
                { "{\"resource\":{\"cluster\":true},\"actions\":[" BOTH "]}", "may not insert in home.c" },
        };
        Server *server = calloc(1, sizeof(*server));
        char text[SINK_ADMIN_TEXT_MAX], database[] = "home", status[600];
        World *w = *state;

        assert_non_null(server);
        server_start(server);
        w->self = admin->close(w->self);
        (void) snprintf(w->uri, sizeof(w->uri), "mongodb://127.0.0.1:%d/?serverSelectionTimeoutMS=2000", server->port);
        w->mongodb.database = database;
        assert_int_equal(admin->open(&w->config, &w->self, text), 0);
        server->status = status;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                (void) snprintf(status, sizeof(status),
                        "{\"ok\":1,\"authInfo\":{\"authenticatedUsers\":[{\"user\":\"u\",\"db\":\"admin\"}],"
                        "\"authenticatedUserPrivileges\":[%s]}}",
                        rows[i].privileges);
                ask(w, admin->check);
                assert_line(w, 0, rows[i].lacks ? SINK_GRADE_FAIL : SINK_GRADE_OK,
                        rows[i].lacks ? rows[i].lacks : "logged in as u of admin; may insert and read in home.c");
        }
        w->self = admin->close(w->self);
        server_stop(server);
        free(server);
        open_as(w, "", NULL);
}

/* ---- rejected ---- */

static size_t n_attributes = 1; /* with the second one they are kept as a list: its name has a dot */

static void put_rejected(World *w, const char *id, const char *data, const char *reason, const char *detail) {
        const WireAttribute attributes[] = { { { "key", 3 }, { "b", 1 } }, { { "x.y", 3 }, { "z", 1 } } };
        const WireMessage message = { .message_id = { id, strlen(id) },
                .publish_time = { "2026-11-24T06:27:38.123Z", 24 },
                .ordering_key = { "o", 1 },
                .data = { data, strlen(data) },
                .attributes = attributes,
                .n_attributes = n_attributes };
        char text[SINK_ADMIN_TEXT_MAX];
        SinkItem item = { .message = &message, .reason = reason, .detail = strdup(detail) };
        SinkWork work = { .items = &item, .n = 1 };
        MongodbClient *client;

        assert_int_equal(mongodb_client_new(&w->config, NULL, &client, text), 0);
        assert_int_equal(mongodb_write(client, &work, true), MONGODB_FAULT_NONE);
        assert_int_equal(item.verdict, SINK_STORED);
        free(item.detail);
        client = mongodb_client_free(client);
}

typedef struct Seen {
        size_t n;
        uint64_t size;
        char id[80], detail[SINK_ADMIN_TEXT_MAX], data[80], attributes[80];
        usec_t at;
} Seen;

static bool see(void *userdata, const SinkRejected *rejected) {
        Seen *seen = userdata;

        *seen = (Seen){ .n = seen->n + 1, .size = rejected->size, .at = rejected->rejected_at };
        (void) snprintf(seen->id, sizeof(seen->id), "%.*s", (int) rejected->id.size, rejected->id.data);
        (void) snprintf(seen->detail, sizeof(seen->detail), "%.*s", (int) rejected->detail.size, rejected->detail.data);
        (void) snprintf(seen->data, sizeof(seen->data), "%.*s", (int) rejected->data.size, rejected->data.data);
        (void) snprintf(seen->attributes, sizeof(seen->attributes), "%s", rejected->attributes);
        return true;
}

static size_t count_rejected(World *w, Seen *seen, bool with_data) {
        char text[SINK_ADMIN_TEXT_MAX];

        *seen = (Seen){};
        if (admin->each_rejected(w->self, &(SinkRejectedQuery){ .with_data = with_data, .each = see, .userdata = seen },
                    text) != SINK_ADMIN_OK)
                fail_msg("%s", text);
        return seen->n;
}

/* B6: a list carries no data, and the whole reason. */
static void test_rejected(void **state) {
        char words[400], text[SINK_ADMIN_TEXT_MAX];
        World *w = *state;
        Seen seen;

        memset(words, 'x', sizeof(words));
        (void) snprintf(words + 390, 10, " the end");
        reopen(w);
        mongodb_server_command(&w->server, w->database,
                "{\"create\":\"c\",\"validator\":{\"$jsonSchema\":{\"bsonType\":\"object\",\"properties\":{\"val\":{\"bsonType\":\"double\"}}}}}");
        put_rejected(w, "7", "{\"val\":\"x\"}", "refused", words);
        assert_int_equal(count_rejected(w, &seen, false), 1);
        assert_string_equal(seen.id, SUBSCRIPTION ":7");
        assert_string_equal(seen.detail, words);
        assert_string_equal(seen.data, "");
        assert_int_equal(seen.size, 11);
        assert_true(seen.at > 0);
        assert_int_equal(count_rejected(w, &seen, true), 1);
        assert_string_equal(seen.data, "{\"val\":\"x\"}");
        assert_int_equal(seen.size, 11);
        assert_non_null(strstr(seen.attributes, "\"key\" : \"b\""));

        assert_int_equal(admin->replay(w->self, seen.id, text), SINK_ADMIN_FAILED); /* still refused: stays */
        assert_non_null(strstr(text, "121"));
        assert_int_equal(admin->replay(w->self, "other", text), SINK_ADMIN_FAILED);
        assert_int_equal(count_rejected(w, &seen, false), 1);

        mongodb_server_command(&w->server, w->database, "{\"collMod\":\"c\",\"validator\":{}}");
        assert_int_equal(admin->replay(w->self, seen.id, text), SINK_ADMIN_OK);
        assert_int_equal(count_rejected(w, &seen, false), 0);
        assert_int_equal(
                mongodb_server_count(&w->server, w->database, "c",
                        "{\"_id\":\"b\",\"val\":\"x\",\"pubsub.message_id\":\"7\",\"pubsub.ordering_key\":\"o\"}"),
                1);
        put_rejected(w, "7", "{\"val\":\"x\"}", "refused", "again"); /* A3: what was stored meanwhile can be cleared */
        assert_int_equal(admin->replay(w->self, SUBSCRIPTION ":7", text), SINK_ADMIN_OK);
        assert_string_equal(text, "was stored already");
        assert_int_equal(admin->drop(w->self, SUBSCRIPTION ":7", text), SINK_ADMIN_FAILED);
}

static void test_rejected_with_odd_attributes(void **state) {
        char text[SINK_ADMIN_TEXT_MAX];
        World *w = *state;
        Seen seen;

        reopen(w);
        n_attributes = 2;
        put_rejected(w, "8", "{\"val\":1}", "refused", "words");
        n_attributes = 1;
        assert_int_equal(count_rejected(w, &seen, false), 1);
        assert_non_null(strstr(seen.attributes, "\"x.y\""));
        assert_int_equal(admin->replay(w->self, SUBSCRIPTION ":8", text), SINK_ADMIN_OK);
        assert_int_equal(mongodb_server_count(&w->server, w->database, "c",
                                 "{\"_id\":\"b\",\"pubsub.attributes\":{\"key\":\"b\",\"x_y\":\"z\"}}"),
                1);
}

/* Several subscriptions may share a rejected collection: an id of another one's is not touched. */
static void test_of_another_subscription(void **state) {
        static char other[] = "projects/p/subscriptions/other";
        char text[SINK_ADMIN_TEXT_MAX];
        World *w = *state;
        Seen seen;

        reopen(w);
        put_rejected(w, "7", "x", "not_json", "words");
        w->self = admin->close(w->self);
        w->config.subscription = other;
        assert_int_equal(admin->open(&w->config, &w->self, text), 0);
        assert_int_equal(count_rejected(w, &seen, false), 0);
        assert_int_equal(admin->replay(w->self, SUBSCRIPTION ":7", text), SINK_ADMIN_FAILED);
        assert_string_equal(text, "no such rejected message");
        assert_int_equal(admin->drop(w->self, SUBSCRIPTION ":7", text), SINK_ADMIN_FAILED);
        assert_int_equal(mongodb_server_count(&w->server, w->database, "c_rejected", "{}"), 1);
}

/* ---- logins; last, since the server asks for them from here on ---- */

/* B29, P10: a user who may do what the daemon does and no more; a wrong password is not repeated. */
static void test_users(void **state) {
        World *w = *state;

        reopen(w);
        mongodb_server_command(
                &w->server, "admin", "{\"createUser\":\"root\",\"pwd\":\"p@ss:/%41\",\"roles\":[\"root\"]}");
        mongodb_server_stop(&w->server, SIGTERM);
        mongodb_server_start(&w->server, true);
        w->self = admin->close(w->self);

        open_as(w, "root", "wrong-word");
        ask(w, admin->check);
        assert_line(w, 0, SINK_GRADE_FAIL, "check the user");
        assert_null(strstr(w->lines[0].text, "wrong-word"));
        w->self = admin->close(w->self);
        open_as(w, "", NULL); /* reached, and refused with the first message */
        ask(w, admin->check);
        assert_line(w, 0, SINK_GRADE_FAIL, "name the user in mongodb.uri");
        w->self = admin->close(w->self);
        open_as(w, "root", "p@ss:/%41");
        ask(w, admin->check);
        assert_line(w, 0, SINK_GRADE_OK, "logged in as root of admin");
}

static int setup_server(void **state) {
        World *w = *state;

        mongodb_server_start(&w->server, false);
        open_as(w, "", NULL);
        return 0;
}

static int teardown_server(void **state) {
        World *w = *state;

        w->self = admin->close(w->self);
        mongodb_server_teardown(&w->server);
        return 0;
}

static World world;

static int set_up_world(void **state) {
        *state = &world;
        return setup_server(state);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_targets),
                cmocka_unit_test(test_setup),
                cmocka_unit_test(test_setup_without_privilege),
                cmocka_unit_test(test_login_broken_off),
                cmocka_unit_test(test_login_that_is_not_told),
                cmocka_unit_test(test_privileges),
                cmocka_unit_test(test_rejected),
                cmocka_unit_test(test_rejected_with_odd_attributes),
                cmocka_unit_test(test_of_another_subscription),
                cmocka_unit_test(test_users),
        };

        if (!mongodb_server_setup(&world.server))
                return 77; /* meson: skipped */
        return cmocka_run_group_tests(tests, set_up_world, teardown_server);
}
