/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinks/mongodb-admin-internal.h"

#define CODE_INDEX_OPTIONS_CONFLICT 85
#define CODE_INDEX_KEY_SPECS_CONFLICT 86

/* For readers by time of measurement and by device, and for those who follow what arrives. */
static const struct {
        const char *name;
        struct {
                const char *field;
                int order;
        } keys[2];
} indexes[] = {
        { "pubsub.publish_time_1", { { "pubsub.publish_time", 1 } } },
        { "stored_at_1", { { "stored_at", 1 } } },
        { "id_1_request_at_-1", { { "id", 1 }, { "request_at", -1 } } },
};

int mongodb_admin_open(
        const SubscriptionConfig *config, const char *secret, MongodbAdmin **ret, MongodbAdminDetail *ret_detail) {
        _cleanup_(mongodb_admin_closep) MongodbAdmin *admin = NULL;
        int r;

        ret_detail->text[0] = '\0';
        admin = calloc(1, sizeof(*admin));
        if (!admin)
                return -ENOMEM;
        r = mongodb_client_new(config, NULL, &admin->client, ret_detail->text);
        if (r < 0)
                return r;
        *ret = cleanup_steal(admin);
        return 0;
}

MongodbAdmin *mongodb_admin_close(MongodbAdmin *admin) {
        if (!admin)
                return NULL;
        admin->client = mongodb_client_free(admin->client);
        free(admin);
        return NULL;
}

int mongodb_admin_failed(MongodbAdminDetail *detail, MongodbFault fault, const char *text) {
        (void) snprintf(detail->text, sizeof(detail->text), "%s: %s", text, mongodb_fault_words(fault)->remedy);
        return MONGODB_ADMIN_FAILED;
}

int64_t mongodb_admin_number(const bson_t *reply, const char *key, int64_t fallback) {
        bson_iter_t iter;

        if (!bson_iter_init_find(&iter, reply, key) || !BSON_ITER_HOLDS_NUMBER(&iter))
                return fallback;
        return bson_iter_as_int64(&iter);
}

/* ---- login ---- */

/* {connectionStatus: 1, showPrivileges: true} */
static MongodbFault read_status(MongodbAdmin *admin, bson_t *reply, char text[static MONGODB_DETAIL_SIZE]) {
        bson_t command = BSON_INITIALIZER;
        MongodbFault fault;

        (void) BSON_APPEND_INT32(&command, "connectionStatus", 1);
        (void) BSON_APPEND_BOOL(&command, "showPrivileges", true);
        fault = mongodb_client_read_command(admin->client, "admin", &command, reply, text);
        bson_destroy(&command);
        return fault;
}

/* The list at *path* in the status, from which *ret* reads. False when it is not there or empty. */
static bool status_list(const bson_t *status, const char *path, bson_iter_t *ret) {
        bson_iter_t iter, found, probe;

        if (!bson_iter_init(&iter, status) || !bson_iter_find_descendant(&iter, path, &found) ||
                !BSON_ITER_HOLDS_ARRAY(&found) || !bson_iter_recurse(&found, ret))
                return false;
        probe = *ret;
        return bson_iter_next(&probe);
}

static const char *member_text(const bson_iter_t *element, const char *key, const char *fallback) {
        bson_iter_t iter;

        if (!bson_iter_recurse(element, &iter) || !bson_iter_find(&iter, key) || !BSON_ITER_HOLDS_UTF8(&iter))
                return fallback;
        return bson_iter_utf8(&iter, NULL);
}

int mongodb_admin_check_login(MongodbAdmin *admin, MongodbAdminDetail *ret_detail) {
        char text[MONGODB_DETAIL_SIZE];
        MongodbFault fault;
        bson_iter_t users;
        bson_t status;

        fault = mongodb_client_ping(admin->client, text);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(ret_detail, fault, text);
        fault = read_status(admin, &status, text);
        if (fault == MONGODB_FAULT_NONE && status_list(&status, "authInfo.authenticatedUsers", &users) &&
                bson_iter_next(&users))
                (void) snprintf(ret_detail->text, sizeof(ret_detail->text), "logged in as %s of %s",
                        member_text(&users, "user", "?"), member_text(&users, "db", "?"));
        else
                (void) snprintf(ret_detail->text, sizeof(ret_detail->text), "reached, without a login");
        bson_destroy(&status);
        return MONGODB_ADMIN_OK;
}

/* ---- privileges ---- */

static bool resource_covers(const bson_iter_t *privilege, const char *database, const char *collection) {
        const char *of_database, *of_collection;
        bson_iter_t resource;

        if (!bson_iter_recurse(privilege, &resource) || !bson_iter_find(&resource, "resource") ||
                !BSON_ITER_HOLDS_DOCUMENT(&resource))
                return false;
        of_database = member_text(&resource, "db", NULL);
        of_collection = member_text(&resource, "collection", NULL);
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

static bool is_granted(bson_iter_t privileges, const MongodbAdmin *admin, const char *collection, const char *action) {
        while (bson_iter_next(&privileges))
                if (resource_covers(&privileges, admin->client->database, collection) &&
                        has_action(&privileges, action))
                        return true;
        return false;
}

/* The first thing that the list of privileges does not grant, as a sentence in *text*. */
static bool lacks_privilege(const MongodbAdmin *admin, const bson_iter_t *privileges, char *text, size_t size) {
        const char *const collections[] = { admin->client->collection, admin->client->rejected_collection },
                          *const actions[] = { "insert", "find" };

        for (size_t i = 0; i < ELEMENTSOF(collections); i++)
                for (size_t k = 0; k < ELEMENTSOF(actions); k++)
                        if (!is_granted(*privileges, admin, collections[i], actions[k])) {
                                (void) snprintf(text, size, "the user may not %s in %s.%s", actions[k],
                                        admin->client->database, collections[i]);
                                return true;
                        }
        return false;
}

int mongodb_admin_check_write(MongodbAdmin *admin, MongodbAdminDetail *ret_detail) {
        bool listed, tried, lacks = false;
        char text[MONGODB_DETAIL_SIZE];
        bson_iter_t privileges;
        MongodbFault fault;
        bson_t status;

        fault = mongodb_client_connect(admin->client, text);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(ret_detail, fault, text);
        fault = read_status(admin, &status, text);
        listed = fault == MONGODB_FAULT_NONE &&
                 status_list(&status, "authInfo.authenticatedUserPrivileges", &privileges);
        if (listed)
                lacks = lacks_privilege(admin, &privileges, text, sizeof(text));
        bson_destroy(&status);
        if (lacks)
                return mongodb_admin_failed(ret_detail, MONGODB_FAULT_FORBIDDEN, text);

        fault = mongodb_client_try(admin->client, &tried, text);
        if (fault != MONGODB_FAULT_NONE)
                return mongodb_admin_failed(ret_detail, fault, text);
        (void) snprintf(ret_detail->text, sizeof(ret_detail->text), "%s in %s.%s and %s",
                listed || tried
                        ? "may insert and read"
                        : "logged in; the server does not tell privileges: make sure that the user may insert and find",
                admin->client->database, admin->client->collection, admin->client->rejected_collection);
        return MONGODB_ADMIN_OK;
}

/* ---- indexes ---- */

static MongodbFault create_index(
        MongodbAdmin *admin, size_t i, bool *ret_created, bool *ret_differs, char text[static MONGODB_DETAIL_SIZE]) {
        bson_t command = BSON_INITIALIZER, list, index, key, reply;
        MongodbFault fault;
        int64_t code;

        (void) BSON_APPEND_UTF8(&command, "createIndexes", admin->client->collection);
        (void) BSON_APPEND_ARRAY_BEGIN(&command, "indexes", &list);
        (void) BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &index);
        (void) BSON_APPEND_DOCUMENT_BEGIN(&index, "key", &key);
        for (size_t k = 0; k < ELEMENTSOF(indexes[i].keys) && indexes[i].keys[k].field; k++)
                (void) bson_append_int32(&key, indexes[i].keys[k].field, -1, indexes[i].keys[k].order);
        (void) bson_append_document_end(&index, &key);
        (void) BSON_APPEND_UTF8(&index, "name", indexes[i].name);
        (void) bson_append_document_end(&list, &index);
        (void) bson_append_array_end(&command, &list);

        fault = mongodb_client_write_command(admin->client, &command, &reply, text);
        code = mongodb_admin_number(&reply, "code", 0);
        *ret_created = fault == MONGODB_FAULT_NONE && mongodb_admin_number(&reply, "numIndexesAfter", 0) >
                                                              mongodb_admin_number(&reply, "numIndexesBefore", 0);
        *ret_differs = code == CODE_INDEX_OPTIONS_CONFLICT || code == CODE_INDEX_KEY_SPECS_CONFLICT;
        bson_destroy(&command);
        bson_destroy(&reply);
        return *ret_differs ? MONGODB_FAULT_NONE : fault;
}

int mongodb_admin_create_indexes(MongodbAdmin *admin, MongodbAdminDetail *ret_detail) {
        char text[MONGODB_DETAIL_SIZE], differing[128] = "";
        MongodbFault fault;
        size_t n_created = 0;

        fault = mongodb_client_connect(admin->client, text);
        for (size_t i = 0; fault == MONGODB_FAULT_NONE && i < ELEMENTSOF(indexes); i++) {
                bool created, differs;

                fault = create_index(admin, i, &created, &differs, text);
                n_created += created;
                if (differs)
                        (void) snprintf(differing + strlen(differing), sizeof(differing) - strlen(differing), " %s",
                                indexes[i].name);
        }
        if (fault == MONGODB_FAULT_FORBIDDEN)
                (void) snprintf(ret_detail->text, sizeof(ret_detail->text),
                        "%s: grant the user createIndex on %s.%s, or create them as another user", text,
                        admin->client->database, admin->client->collection);
        else if (fault != MONGODB_FAULT_NONE)
                (void) mongodb_admin_failed(ret_detail, fault, text);
        else
                (void) snprintf(ret_detail->text, sizeof(ret_detail->text),
                        "indexes of %s.%s: %zu created, %zu in all%s%s", admin->client->database,
                        admin->client->collection, n_created, ELEMENTSOF(indexes),
                        *differing ? "; there with other options, and left so:" : "", differing);
        return fault == MONGODB_FAULT_NONE ? MONGODB_ADMIN_OK : MONGODB_ADMIN_FAILED;
}
