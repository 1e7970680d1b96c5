/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB for the verbs check, setup and rejected. */
#include "sinks/mongodb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Writes "what went wrong: what to do". Returns SINK_ADMIN_FAILED. */
static int admin_failed(MongodbFault fault, const char *detail, char text[static SINK_ADMIN_TEXT_MAX]) {
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
typedef struct Login {
        char user[MONGODB_DETAIL_SIZE];
        bool nobody; /* nobody is logged in */
        bool listed; /* the server listed our privileges */
} Login;

/* Whether each connection begins with a login. Then every answer was for a logged-in user, although not every server
 * names that user. */
static bool logs_in(const MongodbClient *client) {
        return mongoc_uri_get_username(client->uri) || mongoc_uri_get_auth_mechanism(client->uri);
}

static void describe_user(const MongodbClient *client, const bson_t *status, Login *login) {
        bson_iter_t users;
        bool named = mongodb_reply_list(status, "authInfo.authenticatedUsers", &users) && bson_iter_next(&users);

        login->nobody = !named && !logs_in(client);
        if (!named)
                text_copy(login->user, sizeof(login->user), login->nobody ? "reached, without a login" : "reached");
        else
                text_print(login->user, sizeof(login->user), "logged in as %s of %s",
                        mongodb_reply_text(&users, "user", "?"), mongodb_reply_text(&users, "db", "?"));
}

/* Returns false, after a message, when a privilege is missing. */
static bool check_privileges(MongodbClient *client, const SinkTeller *teller, Login *login) {
        char text[MONGODB_DETAIL_SIZE];
        bson_iter_t privileges;
        MongodbFault fault;
        bool lacks = false;
        bson_t status;

        fault = ask(client, "connectionStatus", &status, text);
        login->nobody = fault == MONGODB_FAULT_FORBIDDEN; /* every logged-in user may ask that */
        if (fault == MONGODB_FAULT_NONE) {
                describe_user(client, &status, login);
                login->listed = mongodb_reply_list(&status, "authInfo.authenticatedUserPrivileges", &privileges);
                lacks = login->listed && lacks_privilege(client, &privileges, text);
        }
        bson_destroy(&status);
        if (lacks)
                tell_fault(teller, MONGODB_FAULT_FORBIDDEN, text);
        return !lacks;
}

static void admin_check(void *self, const SinkTeller *teller) {
        MongodbClient *client = self;
        Login login = { .user = "reached" };
        char text[MONGODB_DETAIL_SIZE];
        MongodbFault fault = mongodb_client_ping(client, text);
        bool tried;

        if (fault != MONGODB_FAULT_NONE)
                return tell_fault(teller, fault, text);
        if (!check_privileges(client, teller, &login))
                return;
        fault = mongodb_client_try(client, &tried, text);
        if (fault != MONGODB_FAULT_NONE)
                return tell_fault(teller, fault, text);
        if (login.nobody && !tried)
                return sink_admin_tell(teller, SINK_GRADE_FAIL,
                        "allows no writes without a login: name the user in mongodb.uri (mongodb://USER@HOST/), and "
                        "the file with the password in mongodb.password_file");
        sink_admin_tell(teller, SINK_GRADE_OK, "%s; %s in %s.%s and %s", login.user,
                login.listed || tried
                        ? "may insert and read"
                        : "the server does not report privileges: make sure that the user may insert and find",
                client->database, client->collection, client->rejected_collection);
        if (!keeps_what_it_confirms(client))
                sink_admin_tell(teller, SINK_GRADE_WARN,
                        "is not known to have a write on disk when it confirms it: what a crash loses is lost for "
                        "good. See \"MongoDB and servers like it\" in docs/DELIVERY.md");
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
                        "indexes of %s.%s: this user may not create them, so some may be missing:%s. Only the speed "
                        "of queries depends on them; grant createIndex, or create them as another user",
                        client->database, client->collection, count.missing);
        sink_admin_tell(teller, SINK_GRADE_OK, "indexes of %s.%s: %zu created, %zu in all%s%s", client->database,
                client->collection, count.created, ELEMENTSOF(indexes),
                *count.differing ? "; there with other options, and left as they are:" : "", count.differing);
}

/* ---- rejected: several subscriptions may share the collection, so only rows of this one are used ---- */

static usec_t find_time(const bson_t *document, const char *key) {
        int64_t msec;

        return document_date(document, key, &msec) && msec >= 0 ? (usec_t) msec * USEC_PER_MSEC : 0;
}

static char *attributes_json(const bson_t *document) {
        bson_iter_t found;
        const uint8_t *data;
        uint32_t size;
        bson_t attributes;

        if (!document_find(document, "pubsub.attributes", &found))
                return NULL;
        if (BSON_ITER_HOLDS_ARRAY(&found))
                bson_iter_array(&found, &size, &data);
        else if (BSON_ITER_HOLDS_DOCUMENT(&found))
                bson_iter_document(&found, &size, &data);
        else
                return NULL;
        return bson_init_static(&attributes, data, size) ? bson_as_relaxed_extended_json(&attributes, NULL) : NULL;
}

/* Projects all fields but the data, which may be megabytes; its size instead (needs a server of 4.4 or later). */
static void put_projection(bson_t *options) {
        BCON_APPEND(options, "projection", "{", "reason", BCON_INT32(1), "detail", BCON_INT32(1), "pubsub",
                BCON_INT32(1), "rejected_at", BCON_INT32(1), "size", "{", "$binarySize", BCON_UTF8("$data"), "}", "}");
}

/* Finds rejected documents in the order of insertion. */
static mongoc_cursor_t *find_rejected(MongodbClient *client, const char *id, bool with_data) {
        bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;
        mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
        mongoc_cursor_t *cursor;

        if (id)
                BCON_APPEND(&filter, "_id", BCON_UTF8(id));
        BCON_APPEND(&filter, "pubsub.subscription", BCON_UTF8(client->rules.subscription));
        if (!with_data)
                put_projection(&options);
        cursor = mongoc_collection_find_with_opts(client->rejected, &filter, &options, primary);
        mongoc_read_prefs_destroy(primary);
        bson_destroy(&options);
        bson_destroy(&filter);
        return cursor;
}

static bool tell_rejected(const bson_t *document, const SinkRejectedQuery *query) {
        char *attributes = attributes_json(document);
        const SinkRejected rejected = {
                .id = document_text(document, "_id"),
                .reason = document_text(document, "reason"),
                .detail = document_text(document, "detail"),
                .data = query->with_data ? document_data(document) : (Slice){ "", 0 },
                /* the server's count if the data was not read */
                .size = (uint64_t) document_number(document, "size", (int64_t) document_data(document).size),
                .rejected_at = find_time(document, "rejected_at"),
                .attributes = attributes ? attributes : "{}",
        };
        bool more = query->each(query->userdata, &rejected);

        bson_free(attributes);
        return more;
}

/* Calls query->each for the documents. *ret_n* is their number. Those whose `_id` is no text are not ours: none of our
 * verbs could name them. */
static MongodbFault tell_all(MongodbClient *client, const SinkRejectedQuery *query, bool with_data, size_t *ret_n,
        char detail[static MONGODB_DETAIL_SIZE]) {
        const bson_t *document;
        mongoc_cursor_t *cursor;
        bool more = true;

        *ret_n = 0;
        cursor = find_rejected(client, query->id, with_data);
        while (more && mongoc_cursor_next(cursor, &document)) {
                if (document_text(document, "_id").size == 0)
                        continue;
                (*ret_n)++;
                more = tell_rejected(document, query);
        }
        return mongodb_client_end_find(client, cursor, detail);
}

/* Calls query->other for subscriptions that share the collection, or were renamed. */
static MongodbFault tell_others(
        MongodbClient *client, const SinkRejectedQuery *query, char detail[static MONGODB_DETAIL_SIZE]) {
        bson_t command = BSON_INITIALIZER, reply;
        bson_iter_t iter, each;
        MongodbFault fault;

        BCON_APPEND(
                &command, "distinct", BCON_UTF8(client->rejected_collection), "key", BCON_UTF8("pubsub.subscription"));
        fault = mongodb_client_read_command(client, client->database, &command, &reply, detail);
        if (fault == MONGODB_FAULT_NONE && bson_iter_init_find(&iter, &reply, "values") &&
                BSON_ITER_HOLDS_ARRAY(&iter) && bson_iter_recurse(&iter, &each))
                while (bson_iter_next(&each))
                        if (BSON_ITER_HOLDS_UTF8(&each) &&
                                strcmp(bson_iter_utf8(&each, NULL), client->rules.subscription) != 0)
                                query->other(query->userdata, bson_iter_utf8(&each, NULL));
        bson_destroy(&reply);
        bson_destroy(&command);
        return fault;
}

/* Lists rows of this subscription, in the order of insertion. */
static int admin_each(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]) {
        char detail[MONGODB_DETAIL_SIZE];
        MongodbClient *client = self;
        MongodbFault fault;
        size_t n;

        fault = mongodb_client_connect(client, detail);
        if (fault != MONGODB_FAULT_NONE)
                return admin_failed(fault, detail, text);
        fault = tell_all(client, query, query->with_data, &n, detail);
        if (fault != MONGODB_FAULT_NONE && fault != MONGODB_FAULT_UNREACHABLE && n == 0 && !query->with_data)
                fault = tell_all(client, query, true, &n, detail); /* the server cannot compute the size */
        if (fault == MONGODB_FAULT_NONE && query->other)
                fault = tell_others(client, query, detail);
        if (fault != MONGODB_FAULT_NONE)
                return admin_failed(fault, detail, text);
        (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%zu in %s.%s", n, client->database, client->rejected_collection);
        return SINK_ADMIN_OK;
}

/* Drops a row, only of this subscription. */
static int admin_drop(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        bson_t command = BSON_INITIALIZER, reply;
        char detail[MONGODB_DETAIL_SIZE];
        MongodbClient *client = self;
        MongodbFault fault;
        bool gone;

        fault = mongodb_client_connect(client, detail);
        if (fault != MONGODB_FAULT_NONE)
                return admin_failed(fault, detail, text);
        BCON_APPEND(&command, "delete", BCON_UTF8(client->rejected_collection), "deletes", "[", "{", "q", "{", "_id",
                BCON_UTF8(id), "pubsub.subscription", BCON_UTF8(client->rules.subscription), "}", "limit",
                BCON_INT32(1), "}", "]");
        fault = mongodb_client_write_command(client, &command, &reply, detail);
        gone = fault == MONGODB_FAULT_NONE && document_number(&reply, "n", 0) > 0;
        bson_destroy(&command);
        bson_destroy(&reply);
        if (fault == MONGODB_FAULT_FORBIDDEN)
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s: grant the user remove on %s.%s", detail,
                        client->database, client->rejected_collection);
        else if (fault != MONGODB_FAULT_NONE)
                (void) admin_failed(fault, detail, text);
        else
                text_copy(text, SINK_ADMIN_TEXT_MAX, gone ? "deleted" : "no such rejected message");
        return gone ? SINK_ADMIN_OK : SINK_ADMIN_FAILED;
}

/* The message of a rejected document, as it came. */
typedef struct Message {
        WireMessage wire;
        WireAttribute *attributes;
        char publish_time[CLOCK_RFC3339_SIZE];
} Message;

static Slice iter_bytes(const bson_iter_t *iter) {
        const uint8_t *data = NULL;
        bson_subtype_t subtype;
        uint32_t size = 0;

        if (BSON_ITER_HOLDS_UTF8(iter)) {
                const char *text = bson_iter_utf8(iter, &size);

                return (Slice){ text, size };
        }
        if (BSON_ITER_HOLDS_BINARY(iter))
                bson_iter_binary(iter, &subtype, &size, &data);
        return (Slice){ data ? (const char *) data : "", size };
}

/* Reads an attribute: a field, or {name, value} in a list. */
static WireAttribute read_attribute(const bson_iter_t *iter, bool list) {
        WireAttribute attribute = { { "", 0 }, { "", 0 } };
        bson_iter_t member;

        if (!list)
                return (WireAttribute){ { bson_iter_key(iter), strlen(bson_iter_key(iter)) }, iter_bytes(iter) };
        if (BSON_ITER_HOLDS_DOCUMENT(iter) && bson_iter_recurse(iter, &member))
                while (bson_iter_next(&member))
                        *(strcmp(bson_iter_key(&member), "name") == 0 ? &attribute.key : &attribute.value) =
                                iter_bytes(&member);
        return attribute;
}

static int read_attributes(const bson_t *document, Message *message) {
        bson_iter_t found, each;
        size_t n = 0;
        bool list;

        if (!document_find(document, "pubsub.attributes", &found))
                return 0;
        list = BSON_ITER_HOLDS_ARRAY(&found);
        if ((!list && !BSON_ITER_HOLDS_DOCUMENT(&found)) || !bson_iter_recurse(&found, &each))
                return 0;
        while (bson_iter_next(&each))
                n++;
        message->attributes = calloc(n + 1, sizeof(*message->attributes));
        if (!message->attributes || !bson_iter_recurse(&found, &each))
                return -ENOMEM;
        for (size_t i = 0; i < n && bson_iter_next(&each); i++)
                message->attributes[i] = read_attribute(&each, list);
        message->wire.attributes = message->attributes;
        message->wire.n_attributes = n;
        return 0;
}

/* Reads the message; all but the array of attributes is borrowed from *document*. */
static int read_message(const bson_t *document, Message *ret) {
        int64_t published;

        *ret = (Message){ .wire = {
                                  .data = document_data(document),
                                  .data_bad = slice_equal(
                                          document_text(document, "reason"), document_reason(DOCUMENT_NOT_BASE64)),
                                  .message_id = document_text(document, "pubsub.message_id"),
                                  .publish_time = document_text(document, "pubsub.publish_time"),
                                  .ordering_key = document_text(document, "pubsub.ordering_key"),
                          } };
        if (document_date(document, "pubsub.publish_time", &published) && published >= 0) {
                (void) clock_format_rfc3339((usec_t) published * USEC_PER_MSEC, ret->publish_time);
                ret->wire.publish_time = (Slice){ ret->publish_time, strlen(ret->publish_time) };
        }
        return read_attributes(document, ret);
}

/* Stores the message as the daemon would now, then deletes it from the rejected ones. */
static int replay_document(
        MongodbClient *client, const bson_t *document, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        SinkItem item = {};
        SinkWork work = { .items = &item, .n = 1 };
        MongodbFault fault;
        Message message;
        int r;

        r = read_message(document, &message);
        if (r < 0)
                return r;
        item.message = &message.wire;
        fault = mongodb_write(client, &work, false);
        free(message.attributes);
        if (fault != MONGODB_FAULT_NONE)
                r = admin_failed(fault, work.answer.detail, text);
        else if (item.verdict != SINK_STORED && item.verdict != SINK_DUPLICATE) {
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "still cannot be stored: %s (%s)",
                        item.detail ? item.detail : "out of memory", item.reason ? item.reason : "memory");
                r = SINK_ADMIN_FAILED;
        } else
                r = admin_drop(client, id, text);
        free(item.detail);
        if (r == SINK_ADMIN_OK)
                text_copy(text, SINK_ADMIN_TEXT_MAX, item.verdict == SINK_STORED ? "stored" : "was stored already");
        return r;
}

/* Stores a message as the daemon would now, with its own message id and publish time. */
static int admin_replay(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        char detail[MONGODB_DETAIL_SIZE];
        MongodbClient *client = self;
        const bson_t *document;
        mongoc_cursor_t *cursor;
        MongodbFault fault;
        bson_t *copy = NULL;
        int r;

        fault = mongodb_client_connect(client, detail);
        if (fault != MONGODB_FAULT_NONE)
                return admin_failed(fault, detail, text);
        cursor = find_rejected(client, id, true);
        if (mongoc_cursor_next(cursor, &document))
                copy = bson_copy(document);
        fault = mongodb_client_end_find(client, cursor, detail);
        if (fault == MONGODB_FAULT_NONE && copy)
                r = replay_document(client, copy, id, text);
        else if (fault != MONGODB_FAULT_NONE)
                r = admin_failed(fault, detail, text);
        else {
                text_copy(text, SINK_ADMIN_TEXT_MAX, "no such rejected message");
                r = SINK_ADMIN_FAILED;
        }
        bson_destroy(copy);
        return r;
}

const SinkAdmin mongodb_admin = {
        .place = admin_place,
        .open = admin_open,
        .close = admin_close,
        .check = admin_check,
        .setup = admin_setup,
        .each_rejected = admin_each,
        .replay = admin_replay,
        .drop = admin_drop,
};
