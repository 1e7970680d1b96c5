/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB for the verbs check and setup; rejected is in mongodb-rejected.c. */
#include "sinks/mongodb-write.h"

#include <stdio.h>
#include <string.h>

#include "lib/text.h"

#define CODE_INDEX_OPTIONS_CONFLICT 85
#define CODE_INDEX_KEY_SPECS_CONFLICT 86

/* For queries by time of measurement, by device, and by time of arrival. */
static const struct {
        const char *name;
        struct {
                const char *field;
                int order;
        } keys[2];
} indexes[] = {
        { "pubsub.publish_time_1", { { "pubsub.publish_time", 1 } } },
        { "stored_at_1", { { "stored_at", 1 } } },
        { "request_at_1", { { "request_at", 1 } } },
        { "id_1_request_at_-1", { { "id", 1 }, { "request_at", -1 } } },
};

static void admin_place(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]) {
        const MongodbConfig *keys = config->keys;

        (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s.%s", keys->database, keys->collection);
}

static int admin_open(const SubscriptionConfig *config, void **ret_self, char text[static SINK_ADMIN_TEXT_MAX]) {
        MongodbClient *client = NULL;
        int r = mongodb_client_new(config, NULL, &client, text);

        if (r >= 0)
                *ret_self = client;
        return r;
}

static void *admin_close(void *self) {
        return mongodb_client_free(self);
}

int mongodb_admin_failed(MongodbFault fault, const char *detail, char text[static SINK_ADMIN_TEXT_MAX]) {
        (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s: %s", detail, mongodb_fault_words(fault)->remedy);
        return SINK_ADMIN_FAILED;
}

static void tell_fault(const SinkTeller *teller, MongodbFault fault, const char *detail) {
        sink_admin_tell(teller, SINK_GRADE_FAIL, "%s: %s", detail, mongodb_fault_words(fault)->remedy);
}

/* ---- questions to the server ---- */

/* Runs {NAME: 1} on database admin, with `showPrivileges` for connectionStatus. */
static MongodbFault ask(MongodbClient *client, const char *name, bson_t *reply, char text[static MONGODB_DETAIL_SIZE]) {
        bson_t command = BSON_INITIALIZER;
        MongodbFault fault;

        BCON_APPEND(&command, name, BCON_INT32(1));
        if (strcmp(name, "connectionStatus") == 0)
                BCON_APPEND(&command, "showPrivileges", BCON_BOOL(true));
        fault = mongodb_client_read_command(client, "admin", &command, reply, text);
        bson_destroy(&command);
        return fault;
}

/* ---- privileges ---- */

static bool resource_covers(const bson_iter_t *privilege, const char *database, const char *collection) {
        const char *of_database, *of_collection;
        bson_iter_t resource;

        if (!bson_iter_recurse(privilege, &resource) || !bson_iter_find(&resource, "resource") ||
                !BSON_ITER_HOLDS_DOCUMENT(&resource))
                return false;
        of_database = mongodb_reply_text(&resource, "db", NULL);
        of_collection = mongodb_reply_text(&resource, "collection", NULL);
        if (!of_database || !of_collection) {
                bson_iter_t any;

                return bson_iter_recurse(&resource, &any) && bson_iter_find(&any, "anyResource");
        }
        return (strcmp(of_database, database) == 0 || *of_database == '\0') &&
               (strcmp(of_collection, collection) == 0 || *of_collection == '\0');
}

static bool has_action(const bson_iter_t *privilege, const char *action) {
        bson_iter_t actions, each;

        if (!bson_iter_recurse(privilege, &actions) || !bson_iter_find(&actions, "actions") ||
                !BSON_ITER_HOLDS_ARRAY(&actions) || !bson_iter_recurse(&actions, &each))
                return false;
        while (bson_iter_next(&each))
                if (BSON_ITER_HOLDS_UTF8(&each) && (strcmp(bson_iter_utf8(&each, NULL), action) == 0 ||
                                                           strcmp(bson_iter_utf8(&each, NULL), "anyAction") == 0))
                        return true;
        return false;
}

static bool is_granted(
        bson_iter_t privileges, const MongodbClient *client, const char *collection, const char *action) {
        while (bson_iter_next(&privileges))
                if (resource_covers(&privileges, client->database, collection) && has_action(&privileges, action))
                        return true;
        return false;
}

/* Returns true, and a sentence in *text*, for the first privilege that the list does not grant. */
static bool lacks_privilege(
        const MongodbClient *client, const bson_iter_t *privileges, char text[static MONGODB_DETAIL_SIZE]) {
        const char *const collections[] = { client->collection, client->rejected_collection }, *const actions[] = {
                "insert", "find"
        };

        for (size_t i = 0; i < ELEMENTSOF(collections); i++)
                for (size_t k = 0; k < ELEMENTSOF(actions); k++)
                        if (!is_granted(*privileges, client, collections[i], actions[k])) {
                                (void) snprintf(text, MONGODB_DETAIL_SIZE, "the user may not %s in %s.%s", actions[k],
                                        client->database, collections[i]);
                                return true;
                        }
        return false;
}

/* ---- check ---- */

/* Whether the server is known to confirm a write with `j: true` only when it is journaled. MongoDB's own programs
 * report how they were built, FerretDB reports its name, and hosted services are known by their host names. */
static bool keeps_what_it_confirms(MongodbClient *client) {
        static const char *const members[] = { "buildEnvironment", "storageEngines", "ferretdb", "ferretdbVersion" },
                                 *const hosts[] = { ".mongodb.net", ".cosmos.azure.com", ".docdb.amazonaws.com" };
        const mongoc_host_list_t *host = mongoc_uri_get_hosts(client->uri);
        char text[MONGODB_DETAIL_SIZE];
        bool known = false;
        bson_t reply;

        for (size_t i = 0; host && i < ELEMENTSOF(hosts); i++)
                known |= strlen(host->host) > strlen(hosts[i]) &&
                         strcmp(host->host + strlen(host->host) - strlen(hosts[i]), hosts[i]) == 0;
        if (ask(client, "buildInfo", &reply, text) != MONGODB_FAULT_NONE)
                known = true; /* the server does not tell: then no warning */
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                known |= bson_has_field(&reply, members[i]);
        bson_destroy(&reply);
        return known;
}

/* What is known of our login. */
typedef struct Standing {
        char user[MONGODB_DETAIL_SIZE];
        bool nobody; /* nobody is logged in */
        bool listed; /* the server listed our privileges */
} Standing;

/* Whether each connection begins with a login. Then every answer was for a logged-in user, although not every server
 * names that user. */
static bool logs_in(const MongodbClient *client) {
        return mongoc_uri_get_username(client->uri) || mongoc_uri_get_auth_mechanism(client->uri);
}

static void describe_user(const MongodbClient *client, const bson_t *status, Standing *standing) {
        bson_iter_t users;
        bool named = mongodb_reply_list(status, "authInfo.authenticatedUsers", &users) && bson_iter_next(&users);

        standing->nobody = !named && !logs_in(client);
        if (!named)
                text_copy(standing->user, sizeof(standing->user),
                        standing->nobody ? "reached, without a login" : "reached");
        else
                text_print(standing->user, sizeof(standing->user), "logged in as %s of %s",
                        mongodb_reply_text(&users, "user", "?"), mongodb_reply_text(&users, "db", "?"));
}

/* Returns false, after a message, when a privilege is missing. */
static bool check_privileges(MongodbClient *client, const SinkTeller *teller, Standing *standing) {
        char text[MONGODB_DETAIL_SIZE];
        bson_iter_t privileges;
        MongodbFault fault;
        bool lacks = false;
        bson_t status;

        fault = ask(client, "connectionStatus", &status, text);
        standing->nobody = fault == MONGODB_FAULT_FORBIDDEN; /* every logged-in user may ask that */
        if (fault == MONGODB_FAULT_NONE) {
                describe_user(client, &status, standing);
                standing->listed = mongodb_reply_list(&status, "authInfo.authenticatedUserPrivileges", &privileges);
                lacks = standing->listed && lacks_privilege(client, &privileges, text);
        }
        bson_destroy(&status);
        if (lacks)
                tell_fault(teller, MONGODB_FAULT_FORBIDDEN, text);
        return !lacks;
}

static void admin_check(void *self, const SinkTeller *teller) {
        MongodbClient *client = self;
        Standing standing = { .user = "reached" };
        char text[MONGODB_DETAIL_SIZE];
        MongodbFault fault = mongodb_client_ping(client, text);
        bool tried;

        if (fault != MONGODB_FAULT_NONE)
                return tell_fault(teller, fault, text);
        if (!check_privileges(client, teller, &standing))
                return;
        fault = mongodb_client_try(client, &tried, text);
        if (fault != MONGODB_FAULT_NONE)
                return tell_fault(teller, fault, text);
        if (standing.nobody && !tried)
                return sink_admin_tell(teller, SINK_GRADE_FAIL,
                        "lets nobody write who is not logged in: name the user in mongodb.uri (mongodb://USER@HOST/), "
                        "and the file with the password in mongodb.password_file");
        sink_admin_tell(teller, SINK_GRADE_OK, "%s; %s in %s.%s and %s", standing.user,
                standing.listed || tried
                        ? "may insert and read"
                        : "the server does not tell privileges: make sure that the user may insert and find",
                client->database, client->collection, client->rejected_collection);
        if (!keeps_what_it_confirms(client))
                sink_admin_tell(teller, SINK_GRADE_WARN,
                        "is not known to have a write on disk when it confirms it: what it loses in a "
                        "crash is lost. See \"MongoDB and servers like it\" in docs/DELIVERY.md");
}

/* ---- setup ---- */

typedef struct IndexCount {
        size_t created, forbidden;
        char differing[160]; /* names of indexes */
        char missing[160];
} IndexCount;

static void append_name(char *list, size_t size, const char *name) {
        size_t used = strlen(list);

        (void) snprintf(list + used, size - used, " %s", name);
}

static MongodbFault create_index(
        MongodbClient *client, size_t i, IndexCount *count, char text[static MONGODB_DETAIL_SIZE]) {
        bson_t command = BSON_INITIALIZER, key = BSON_INITIALIZER, reply;
        MongodbFault fault;
        int64_t code;

        for (size_t k = 0; k < ELEMENTSOF(indexes[i].keys) && indexes[i].keys[k].field; k++)
                BCON_APPEND(&key, indexes[i].keys[k].field, BCON_INT32(indexes[i].keys[k].order));
        BCON_APPEND(&command, "createIndexes", BCON_UTF8(client->collection), "indexes", "[", "{", "key",
                BCON_DOCUMENT(&key), "name", BCON_UTF8(indexes[i].name), "}", "]");
        fault = mongodb_client_write_command(client, &command, &reply, text);
        code = document_number(&reply, "code", 0);
        if (fault == MONGODB_FAULT_NONE)
                count->created +=
                        document_number(&reply, "numIndexesAfter", 0) > document_number(&reply, "numIndexesBefore", 0);
        bson_destroy(&command);
        bson_destroy(&key);
        bson_destroy(&reply);
        if (code == CODE_INDEX_OPTIONS_CONFLICT || code == CODE_INDEX_KEY_SPECS_CONFLICT) {
                append_name(count->differing, sizeof(count->differing), indexes[i].name);
                return MONGODB_FAULT_NONE;
        }
        if (fault != MONGODB_FAULT_FORBIDDEN)
                return fault;
        count->forbidden++;
        append_name(count->missing, sizeof(count->missing), indexes[i].name);
        return MONGODB_FAULT_NONE;
}

static void admin_setup(void *self, const SinkTeller *teller) {
        MongodbClient *client = self;
        char text[MONGODB_DETAIL_SIZE];
        MongodbFault fault = mongodb_client_connect(client, text);
        IndexCount count = {};

        for (size_t i = 0; fault == MONGODB_FAULT_NONE && i < ELEMENTSOF(indexes); i++)
                fault = create_index(client, i, &count, text);
        if (fault != MONGODB_FAULT_NONE)
                return tell_fault(teller, fault, text);
        if (count.forbidden > 0)
                return sink_admin_tell(teller, SINK_GRADE_WARN,
                        "indexes of %s.%s may not be made by this user, and may be missing:%s. Nothing depends on them "
                        "but the speed of queries; to have them, grant createIndex or make them as another user",
                        client->database, client->collection, count.missing);
        sink_admin_tell(teller, SINK_GRADE_OK, "indexes of %s.%s: %zu created, %zu in all%s%s", client->database,
                client->collection, count.created, ELEMENTSOF(indexes),
                *count.differing ? "; there with other options, and left so:" : "", count.differing);
}

const SinkAdmin sink_admin_mongodb = {
        .place = admin_place,
        .open = admin_open,
        .close = admin_close,
        .check = admin_check,
        .setup = admin_setup,
        .each_rejected = mongodb_rejected_each,
        .replay = mongodb_rejected_replay,
        .drop = mongodb_rejected_drop,
};
