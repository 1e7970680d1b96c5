/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-uri.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/bytes.h"

static int bad(char *problem, size_t size, const char *format, ...) _printf_(3, 4);

static int bad(char *problem, size_t size, const char *format, ...) {
        va_list args;

        va_start(args, format);
        (void) vsnprintf(problem, size, format, args);
        va_end(args);
        return -EBADMSG;
}

static bool set_limit(mongoc_uri_t *uri, const char *option, int32_t limit) {
        int32_t own = mongoc_uri_get_option_as_int32(uri, option, 0);

        return (own > 0 && own <= limit) || mongoc_uri_set_option_as_int32(uri, option, limit);
}

static int set_password(mongoc_uri_t *uri, const char *secret, char *problem, size_t size) {
        if (!secret)
                return 0;
        if (!mongoc_uri_get_username(uri))
                return bad(problem, size,
                        "mongodb.password_file is set, but mongodb.uri names no user: write mongodb://USER@HOST/");
        if (!mongoc_uri_set_password(uri, secret))
                return bad(problem, size, "the password in mongodb.password_file is not UTF-8");
        return 0;
}

int mongodb_uri_new(
        const MongodbConfig *config, const char *secret, mongoc_uri_t **ret, char *problem, size_t problem_size) {
        mongoc_uri_t *uri;
        bson_error_t error;
        int r;

        uri = mongoc_uri_new_with_error(config->uri, &error);
        if (!uri) /* the driver's own words may quote the uri, and a password with it */
                return bad(problem, problem_size,
                        "mongodb.uri is no connection string that the driver understands (code %u)", error.code);

        r = set_password(uri, secret, problem, problem_size);
        if (r == 0 && (!set_limit(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, MONGODB_SELECTION_MSEC) ||
                              !set_limit(uri, MONGOC_URI_CONNECTTIMEOUTMS, MONGODB_CONNECT_MSEC) ||
                              !set_limit(uri, MONGOC_URI_SOCKETTIMEOUTMS, MONGODB_SOCKET_MSEC) ||
                              !set_limit(uri, MONGOC_URI_HEARTBEATFREQUENCYMS, MONGODB_HEARTBEAT_MSEC) ||
                              !mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true)))
                r = bad(problem, problem_size, "the driver refuses the time limits beside the options of mongodb.uri");
        if (r == 0 && !mongoc_uri_get_appname(uri) && !mongoc_uri_set_appname(uri, "sensorqd"))
                r = -ENOMEM;
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
