/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/array.h"
#include "lib/text.h"

/* then a new pool is made: with MONGODB-X509, libmongoc before 1.23.4 may not log in again after a network error */
#define LOGIN_FAILURES_MAX 3

/* of one bulk. MAX: the driver copies every document once more. MIN: one or two readings, for the slowest network */
#define BULK_BYTES_MAX (4 * 1024 * 1024)
#define BULK_BYTES_MIN 1024

#define THREADS_EACH 2 /* threads of the driver for each member of a replica set */
#define THREADS_MAX 64

/* an _id that no document has */
#define NOBODY "sensorqd: nobody"

/* ---- the driver as a whole ---- */

static void init_driver(void) {
        mongodb_config_hear_driver();
        mongoc_init();
        (void) mongoc_handshake_data_append("sensorqd", SENSORQD_VERSION, NULL);
}

/* ---- the driver's monitors ---- */

static bool is_writable(const mongoc_server_description_t *server) {
        static const char *const types[] = { "RSPrimary", "Standalone", "Mongos", "LoadBalancer" };
        const char *type = mongoc_server_description_type(server);

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (strcmp(type, types[i]) == 0)
                        return true;
        return false;
}

/* Runs on a monitor's thread with the driver's locks held, so it only sets a flag and wakes the loop. */
static void on_server_changed(const mongoc_apm_server_changed_t *event) {
        MongodbClient *client = mongoc_apm_server_changed_get_context(event);
        bool now = is_writable(mongoc_apm_server_changed_get_new_description(event));
        bool before = is_writable(mongoc_apm_server_changed_get_previous_description(event));

        if (now != before && client->host)
                sink_host_seen(client->host, now ? SINK_SEEN_WRITABLE : SINK_SEEN_LOST);
}

/* ---- the connection string ---- */

static int bad(char problem[static MONGODB_DETAIL_SIZE], const char *text) {
        text_copy(problem, MONGODB_DETAIL_SIZE, text);
        return -EBADMSG;
}

/* Sets a limit: the uri's value up to *most*, or *usual* when the uri has none. */
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

/* Switches retryable writes on unless the uri sets them. Amazon DocumentDB and Azure Cosmos DB do not support them;
 * every write has a key, so it is as safe without them. */
static bool set_retries(mongoc_uri_t *uri) {
        return mongoc_uri_has_option(uri, MONGOC_URI_RETRYWRITES) ||
               mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true);
}

static int complete(const MongodbConfig *config, mongoc_uri_t *uri, char problem[static MONGODB_DETAIL_SIZE]) {
        if (config->password.text && !mongoc_uri_set_password(uri, config->password.text))
                return bad(problem, "the password in mongodb.password_file is not UTF-8");
        if (!set_limits(uri) || !set_retries(uri))
                return bad(problem, "the driver refuses the time limits beside the options of mongodb.uri");
        return mongoc_uri_get_appname(uri) || mongoc_uri_set_appname(uri, "sensorqd") ? 0 : -ENOMEM;
}

/* Parses config->uri, which the configuration has checked, and sets time limits, appName and retryable writes if the
 * uri does not, and the password. It makes no lookup and no connection. */
static int uri_new(const MongodbConfig *config, mongoc_uri_t **ret, char problem[static MONGODB_DETAIL_SIZE]) {
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

static const char *host_of(const mongoc_uri_t *uri) {
        const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri);

        return host ? host->host_and_port : mongoc_uri_get_srv_hostname(uri);
}

static mongoc_write_concern_t *write_concern_new(void) {
        mongoc_write_concern_t *concern = mongoc_write_concern_new();

        mongoc_write_concern_set_wmajority(concern, MONGODB_WRITE_CONCERN_MSEC);
        mongoc_write_concern_set_journal(concern, true);
        return concern;
}

/* ---- life ---- */

static int copy_config(MongodbClient *client, const SubscriptionConfig *config) {
        const MongodbConfig *keys = config->keys;

        client->database = strdup(keys->database);
        client->collection = strdup(keys->collection);
        client->rejected_collection = strdup(keys->rejected_collection);
        client->rules.subscription = strdup(config->subscription);
        client->rules.id_attribute = strdup(config->id_attribute);
        client->rules.date_fields = array_copy_texts((const char *const *) keys->date_fields);
        client->rules.payload = (PayloadFormat) config->payload;
        if (!client->database || !client->collection || !client->rejected_collection || !client->rules.subscription ||
                !client->rules.id_attribute || !client->rules.date_fields)
                return -ENOMEM;
        return 0;
}

int mongodb_client_new(const SubscriptionConfig *config, SinkHost *host, MongodbClient **ret,
        char problem[static MONGODB_DETAIL_SIZE]) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        _cleanup_(mongodb_client_freep) MongodbClient *client = NULL;
        int r;

        (void) pthread_once(&once, init_driver);
        client = calloc(1, sizeof(*client));
        if (!client)
                return -ENOMEM;
        r = copy_config(client, config);
        if (r < 0)
                return r;
        client->host = host;
        r = uri_new(config->keys, &client->uri, problem);
        if (r < 0)
                return r;
        client->host_name = host_of(client->uri);
        client->concern = write_concern_new();
        client->good =
                (usec_t) mongoc_uri_get_option_as_int32(client->uri, MONGOC_URI_SOCKETTIMEOUTMS, MONGODB_SOCKET_MSEC) *
                USEC_PER_MSEC / 4;
        client->pace = (Pace){ .min = BULK_BYTES_MIN, .max = BULK_BYTES_MAX, .limit = BULK_BYTES_MAX };
        *ret = cleanup_steal(client);
        return 0;
}

static void disconnect(MongodbClient *client) {
        sink_host_enter(client->host);
        if (client->rejected)
                mongoc_collection_destroy(cleanup_steal(client->rejected));
        if (client->readings)
                mongoc_collection_destroy(cleanup_steal(client->readings));
        if (client->client)
                mongoc_client_pool_push(client->pool, cleanup_steal(client->client));
        if (client->pool)
                mongoc_client_pool_destroy(cleanup_steal(client->pool));
        sink_host_leave(client->host);
}

MongodbClient *mongodb_client_free(MongodbClient *client) {
        if (!client)
                return NULL;
        disconnect(client);
        mongoc_write_concern_destroy(client->concern);
        mongoc_uri_destroy(client->uri);
        array_free_texts(client->rules.date_fields);
        free((char *) client->rules.id_attribute);
        free((char *) client->rules.subscription);
        free(client->rejected_collection);
        free(client->collection);
        free(client->database);
        free(client);
        return NULL;
}

/* ---- the driver's threads ---- */

static void *pass(void *gate) {
        (void) pthread_mutex_lock(gate);
        (void) pthread_mutex_unlock(gate);
        return NULL;
}

/* The driver does not look whether it got its threads. Without them a pool never finds a server, and crashes when it is
 * to end. So there is no pool before as many can be made at once. */
static int try_threads(const mongoc_uri_t *uri) {
        const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri);
        pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
        pthread_t threads[THREADS_MAX];
        size_t most = THREADS_EACH, n = 0;
        int r = 0;

        for (; host && host->next && most < THREADS_MAX; host = host->next)
                most += THREADS_EACH;
        (void) pthread_mutex_lock(&gate);
        while (n < most && r == 0) {
                r = pthread_create(&threads[n], NULL, pass, &gate);
                n += r == 0;
        }
        (void) pthread_mutex_unlock(&gate);
        while (n > 0)
                (void) pthread_join(threads[--n], NULL);
        return -r;
}

/* ---- calls ---- */

/* Returns a number that changes with the files of certificates that the uri names. */
static uint64_t files_state(const mongoc_uri_t *uri) {
        static const char *const options[] = { MONGOC_URI_TLSCAFILE, MONGOC_URI_TLSCERTIFICATEKEYFILE };
        uint64_t hash = BYTES_HASH;

        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                const char *path = mongoc_uri_get_option_as_utf8(uri, options[i], NULL);
                struct stat st;

                if (!path || stat(path, &st) < 0)
                        continue;
                hash = bytes_hash(hash, (const char *) &st.st_mtim, sizeof(st.st_mtim));
                hash = bytes_hash(hash, (const char *) &st.st_ino, sizeof(st.st_ino));
                hash = bytes_hash(hash, (const char *) &st.st_size, sizeof(st.st_size));
        }
        return hash;
}

static int new_pool(MongodbClient *client, bson_error_t *error) {
        mongoc_apm_callbacks_t *callbacks;

        client->files = files_state(client->uri);
        client->pool = mongoc_client_pool_new_with_error(client->uri, error);
        if (!client->pool)
                return -EIO;
        callbacks = mongoc_apm_callbacks_new();
        mongoc_apm_set_server_changed_cb(callbacks, on_server_changed);
        (void) mongoc_client_pool_set_apm_callbacks(client->pool, callbacks, client);
        mongoc_apm_callbacks_destroy(callbacks);
        (void) mongoc_client_pool_set_error_api(client->pool, MONGOC_ERROR_API_VERSION_2);
        mongoc_client_pool_max_size(client->pool, 1);
        return 0;
}

MongodbFault mongodb_client_connect(MongodbClient *client, char detail[static MONGODB_DETAIL_SIZE]) {
        bson_error_t error = {};
        int r = 0;

        if (client->failed && client->pool && client->files != files_state(client->uri))
                disconnect(client); /* libmongoc 1.30 reads them only for a pool */
        if (client->client)
                return MONGODB_FAULT_NONE;
        if (!client->pool)
                r = try_threads(client->uri);
        if (r < 0) {
                text_print(detail, MONGODB_DETAIL_SIZE, "no threads for the driver: %s", strerror(-r));
                return MONGODB_FAULT_LOCAL;
        }
        sink_host_enter(client->host);
        if (!client->pool)
                r = new_pool(client, &error);
        if (r == 0)
                client->client = mongoc_client_pool_pop(client->pool);
        sink_host_leave(client->host);
        if (!client->client) {
                text_copy(detail, MONGODB_DETAIL_SIZE, r < 0 ? error.message : "the driver provides no client");
                return MONGODB_FAULT_UNREACHABLE;
        }

        client->readings = mongoc_client_get_collection(client->client, client->database, client->collection);
        client->rejected = mongoc_client_get_collection(client->client, client->database, client->rejected_collection);
        mongoc_collection_set_write_concern(client->readings, client->concern);
        mongoc_collection_set_write_concern(client->rejected, client->concern);
        return MONGODB_FAULT_NONE;
}

void mongodb_client_note(MongodbClient *client, MongodbFault fault) {
        client->failed = fault != MONGODB_FAULT_NONE;
        client->login_failures = fault == MONGODB_FAULT_LOGIN ? client->login_failures + 1 : 0;
        if (client->login_failures < LOGIN_FAILURES_MAX)
                return;
        client->login_failures = 0;
        disconnect(client);
}

MongodbFault mongodb_client_read_command(MongodbClient *client, const char *database, const bson_t *command,
        bson_t *reply, char detail[static MONGODB_DETAIL_SIZE]) {
        bson_error_t error = {};
        bool ok;

        sink_host_enter(client->host);
        ok = mongoc_client_command_simple(client->client, database, command, NULL, reply, &error);
        sink_host_leave(client->host);
        if (ok)
                return MONGODB_FAULT_NONE;
        mongodb_reply_describe_error(&error, client->host_name, detail, MONGODB_DETAIL_SIZE);
        return mongodb_reply_fault(reply, &error);
}

/* Finds the first of writeErrors, which the driver ignores when the command as a whole is ok. */
static bool first_write_error(const bson_t *reply, bson_error_t *error) {
        bson_iter_t found;

        if (!document_find(reply, "writeErrors.0.code", &found) || !BSON_ITER_HOLDS_NUMBER(&found))
                return false;
        bson_set_error(error, MONGOC_ERROR_SERVER, (uint32_t) bson_iter_as_int64(&found), "a write was refused");
        return true;
}

MongodbFault mongodb_client_write_command(
        MongodbClient *client, const bson_t *command, bson_t *reply, char detail[static MONGODB_DETAIL_SIZE]) {
        bson_t options = BSON_INITIALIZER;
        bson_error_t error = {};
        bool ok;

        (void) mongoc_write_concern_append(client->concern, &options);
        sink_host_enter(client->host);
        ok = mongoc_client_write_command_with_opts(client->client, client->database, command, &options, reply, &error);
        sink_host_leave(client->host);
        bson_destroy(&options);
        if (ok && !first_write_error(reply, &error))
                return MONGODB_FAULT_NONE;
        if (ok)
                mongodb_reply_describe(reply, &error, 0, detail, MONGODB_DETAIL_SIZE);
        else
                mongodb_reply_describe_error(&error, client->host_name, detail, MONGODB_DETAIL_SIZE);
        return mongodb_reply_fault(reply, &error);
}

MongodbFault mongodb_client_end_find(
        const MongodbClient *client, mongoc_cursor_t *cursor, char detail[static MONGODB_DETAIL_SIZE]) {
        MongodbFault fault = MONGODB_FAULT_NONE;
        const bson_t *reply;
        bson_error_t error;

        if (mongoc_cursor_error_document(cursor, &error, &reply)) {
                fault = mongodb_reply_fault(reply, &error);
                mongodb_reply_describe_error(&error, client->host_name, detail, MONGODB_DETAIL_SIZE);
        }
        mongoc_cursor_destroy(cursor);
        return fault;
}

MongodbFault mongodb_client_ping(MongodbClient *client, char detail[static MONGODB_DETAIL_SIZE]) {
        MongodbFault fault = mongodb_client_connect(client, detail);
        bson_t command = BSON_INITIALIZER, reply;

        if (fault != MONGODB_FAULT_NONE)
                return fault;
        BCON_APPEND(&command, "ping", BCON_INT32(1));
        fault = mongodb_client_read_command(client, client->database, &command, &reply, detail);
        bson_destroy(&command);
        bson_destroy(&reply);
        mongodb_client_note(client, fault);
        return fault;
}

/* ---- the test of a write ---- */

/* Asks listCollections about the collection of readings. *names_only* needs no privilege, but omits the options. */
static MongodbFault list_target(
        MongodbClient *client, bool names_only, bson_t *reply, char detail[static MONGODB_DETAIL_SIZE]) {
        bson_t command = BSON_INITIALIZER;
        MongodbFault fault;

        BCON_APPEND(
                &command, "listCollections", BCON_INT32(1), "filter", "{", "name", BCON_UTF8(client->collection), "}");
        if (names_only)
                BCON_APPEND(&command, "nameOnly", BCON_BOOL(true), "authorizedCollections", BCON_BOOL(true));
        fault = mongodb_client_read_command(client, client->database, &command, reply, detail);
        bson_destroy(&command);
        return fault;
}

/* Returns a word for a kind of collection in which _id is not unique or documents disappear; NULL for a normal one. */
static const char *odd_kind(const bson_t *reply) {
        bson_iter_t found;

        if (document_find(reply, "cursor.firstBatch.0.options.capped", &found) && bson_iter_as_bool(&found))
                return "capped";
        if (document_find(reply, "cursor.firstBatch.0.options.timeseries", &found))
                return "a time-series collection";
        if (!document_find(reply, "cursor.firstBatch.0.type", &found) || !BSON_ITER_HOLDS_UTF8(&found))
                return NULL;
        if (strcmp(bson_iter_utf8(&found, NULL), "timeseries") == 0)
                return "a time-series collection";
        return strcmp(bson_iter_utf8(&found, NULL), "view") == 0 ? "a view" : NULL;
}

/* Checks the kind of the collection. Without a list, the collection counts as normal. */
static MongodbFault check_target(MongodbClient *client, char detail[static MONGODB_DETAIL_SIZE]) {
        const char *kind = NULL;
        MongodbFault fault;
        bson_t reply;

        fault = list_target(client, false, &reply, detail);
        if (fault != MONGODB_FAULT_NONE && fault != MONGODB_FAULT_UNREACHABLE) {
                bson_destroy(&reply);
                fault = list_target(client, true, &reply, detail);
        }
        if (fault == MONGODB_FAULT_NONE)
                kind = odd_kind(&reply);
        bson_destroy(&reply);
        if (kind)
                (void) snprintf(detail, MONGODB_DETAIL_SIZE, "%s.%s is %s", client->database, client->collection, kind);
        return kind ? MONGODB_FAULT_TARGET : fault == MONGODB_FAULT_UNREACHABLE ? fault : MONGODB_FAULT_NONE;
}

/* Whether the error is about a document. There is none in this command, so it is about the command: some servers refuse
 * an update whose filter lacks the shard key (61), but accept inserts. */
static bool speaks_of_a_document(const bson_t *reply) {
        MongodbFault fault;
        bson_iter_t found;

        if (!document_find(reply, "code", &found) && !document_find(reply, "writeErrors.0.code", &found))
                return false;
        return mongodb_code_kind(bson_iter_as_int64(&found), "", "", &fault) == MONGODB_KIND_DOCUMENT;
}

/* Updates a document that does not exist. MONGODB_FAULT_FORBIDDEN: the user may not update, or the server does not
 * support this update; inserts may still work. */
static MongodbFault update_nobody(MongodbClient *client, char detail[static MONGODB_DETAIL_SIZE]) {
        bson_t command = BSON_INITIALIZER, reply;
        MongodbFault fault;

        BCON_APPEND(&command, "update", BCON_UTF8(client->collection), "updates", "[", "{", "q", "{", "_id",
                BCON_UTF8(NOBODY), "}", "u", "{", "$set", "{", "tried", BCON_BOOL(true), "}", "}", "}", "]");
        fault = mongodb_client_write_command(client, &command, &reply, detail);
        if (fault == MONGODB_FAULT_REFUSED && speaks_of_a_document(&reply))
                fault = MONGODB_FAULT_FORBIDDEN;
        bson_destroy(&command);
        bson_destroy(&reply);
        return fault;
}

MongodbFault mongodb_client_try(MongodbClient *client, bool *ret_tried, char detail[static MONGODB_DETAIL_SIZE]) {
        MongodbFault fault = mongodb_client_ping(client, detail);

        *ret_tried = false;
        if (fault != MONGODB_FAULT_NONE)
                return fault;
        fault = check_target(client, detail);
        if (fault != MONGODB_FAULT_NONE)
                return fault;
        fault = update_nobody(client, detail);
        if (fault == MONGODB_FAULT_FORBIDDEN)
                return MONGODB_FAULT_NONE;
        *ret_tried = fault == MONGODB_FAULT_NONE;
        return fault;
}

/* ---- a function of the C library, replaced for the whole process ---- */

/* more than any wait of the driver: a selection's and a heartbeat's limits are set above */
#define WAIT_MAX_USEC USEC_PER_MINUTE

/* Returns how long it is until a time of the wall clock, or of the monotonic one: not every wait uses the former. */
static usec_t wait_until(const struct timespec *until) {
        const usec_t end = (usec_t) until->tv_sec * USEC_PER_SEC + (usec_t) until->tv_nsec / 1000;
        const usec_t wall = clock_wall(), monotonic = clock_monotonic();

        return end > wall ? end - wall : end > monotonic ? end - monotonic : 0;
}

/* Takes the place of the C library's for this process. libmongoc waits for a server, and between two looks at one,
 * until a time of the wall clock: where that is set back meanwhile, it would wait for as much longer, and never return
 * in time. Here a wait takes as long as it was meant to when it began, by a clock that nobody sets. One of over a
 * minute, which the driver has not, ends after a minute as if it had been woken, and whoever waits looks again. Its
 * visibility is set here, since a build with -fvisibility=hidden would leave it out without a word. */
__attribute__((visibility("default"))) int pthread_cond_timedwait(
        pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
        const usec_t wait = wait_until(until), end = clock_monotonic() + usec_min(wait, WAIT_MAX_USEC);
        const struct timespec by_monotonic = { (time_t) (end / USEC_PER_SEC), (long) (end % USEC_PER_SEC * 1000) };
        int r = pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &by_monotonic);

        return r == ETIMEDOUT && wait > WAIT_MAX_USEC ? 0 : r;
}
