/* SPDX-License-Identifier: Apache-2.0 */
/* The connection string as the driver takes it, with what sensorqd sets itself. */
#include <errno.h>
#include <stdio.h>

#include "sinks/mongodb-client.h"

static int bad(char problem[static MONGODB_DETAIL_SIZE], const char *text) {
        text_copy(problem, MONGODB_DETAIL_SIZE, text);
        return -EBADMSG;
}

/* What the uri says counts, up to *most*; *usual* where it says nothing. */
static bool set_limit(mongoc_uri_t *uri, const char *option, int32_t usual, int32_t most) {
        int32_t own = mongoc_uri_get_option_as_int32(uri, option, 0);

        if (own > 0 && own <= most)
                return true;
        return mongoc_uri_set_option_as_int32(uri, option, own > most ? most : usual);
}

static bool set_limits(mongoc_uri_t *uri) {
        return set_limit(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, MONGODB_SELECTION_MSEC, MONGODB_SELECTION_MSEC) &&
               set_limit(uri, MONGOC_URI_CONNECTTIMEOUTMS, MONGODB_CONNECT_MSEC, MONGODB_CONNECT_MSEC) &&
               set_limit(uri, MONGOC_URI_SOCKETTIMEOUTMS, MONGODB_SOCKET_MSEC, MONGODB_SOCKET_MAX_MSEC) &&
               set_limit(uri, MONGOC_URI_HEARTBEATFREQUENCYMS, MONGODB_HEARTBEAT_MSEC, MONGODB_HEARTBEAT_MSEC);
}

static int set_password(mongoc_uri_t *uri, const char *password, char problem[static MONGODB_DETAIL_SIZE]) {
        if (!password)
                return 0;
        if (!mongoc_uri_get_username(uri))
                return bad(problem,
                        "mongodb.password_file is set, but mongodb.uri names no user: write mongodb://USER@HOST/");
        if (!mongoc_uri_set_password(uri, password))
                return bad(problem, "the password in mongodb.password_file is not UTF-8");
        return 0;
}

/* Retryable writes where nothing else is said. Amazon DocumentDB and Azure Cosmos DB cannot have them; every write has
 * its key, so it is as safe without. */
static bool set_retries(mongoc_uri_t *uri) {
        return mongoc_uri_has_option(uri, MONGOC_URI_RETRYWRITES) ||
               mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true);
}

static int complete(const MongodbConfig *config, mongoc_uri_t *uri, char problem[static MONGODB_DETAIL_SIZE]) {
        int r = set_password(uri, config->password.text, problem);

        if (r < 0)
                return r;
        if (!set_limits(uri) || !set_retries(uri))
                return bad(problem, "the driver refuses the time limits beside the options of mongodb.uri");
        return mongoc_uri_get_appname(uri) || mongoc_uri_set_appname(uri, "sensorqd") ? 0 : -ENOMEM;
}

int mongodb_uri_new(const MongodbConfig *config, mongoc_uri_t **ret, char problem[static MONGODB_DETAIL_SIZE]) {
        mongoc_uri_t *uri;
        bson_error_t error;
        int r;

        uri = mongoc_uri_new_with_error(config->uri, &error);
        if (!uri) { /* the driver's own words may quote the uri, and a password with it */
                (void) snprintf(problem, MONGODB_DETAIL_SIZE,
                        "mongodb.uri is not a connection string that the driver understands (code %u)", error.code);
                return -EBADMSG;
        }
        r = complete(config, uri, problem);
        if (r < 0) {
                mongoc_uri_destroy(uri);
                return r;
        }
        *ret = uri;
        return 0;
}

mongoc_write_concern_t *mongodb_write_concern_new(void) {
        mongoc_write_concern_t *concern = mongoc_write_concern_new();

        mongoc_write_concern_set_wmajority(concern, MONGODB_WRITE_CONCERN_MSEC);
        mongoc_write_concern_set_journal(concern, true);
        return concern;
}
