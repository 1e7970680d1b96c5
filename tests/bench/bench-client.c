/* SPDX-License-Identifier: Apache-2.0 */
/* Clients without promises, to know what the servers of a benchmark can do by themselves. Each prints one JSON object.
 *
 * bench-client publish --pubsub PORT --topic NAME --count N [--rate R]: publishes prepared readings, R a second (0: as
 * fast as it can)
 *
 * bench-client carry --pubsub PORT --subscription NAME --mongo PORT --count N: pulls, inserts with write concern
 * majority, acknowledges */

#include "latency.h"
#include "loop.h"
#include "readings.h"

#include <curl/curl.h>
#include <err.h>
#include <getopt.h>
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define REQUEST_MAX 1000
#define TICK_USEC 10000
#define SLOTS 2 /* batches between the pulling and the writing thread */

typedef struct Options {
        const char *topic, *subscription, *database, *collection;
        unsigned pubsub, mongo;
        uint64_t count, rate;
} Options;

/* One HTTP connection. */
typedef struct Client {
        CURL *curl;
        struct curl_slist *headers;
        Buffer reply;
        const Options *options;
} Client;

static size_t on_reply(char *data, size_t size, size_t n, void *userdata) {
        Client *client = userdata;

        buffer_append(&client->reply, data, size * n);
        return size * n;
}

static void client_open(Client *client, const Options *options) {
        *client = (Client){ .curl = curl_easy_init(), .options = options };
        client->headers = curl_slist_append(NULL, "Content-Type: application/json");
        client->headers = curl_slist_append(client->headers, "Expect:");
        (void) curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, client->headers);
        (void) curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, on_reply);
        (void) curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, client);
        (void) curl_easy_setopt(client->curl, CURLOPT_BUFFERSIZE, 512L * 1024);
}

static void client_close(Client *client) {
        curl_easy_cleanup(client->curl);
        curl_slist_free_all(client->headers);
        buffer_done(&client->reply);
}

/* POSTs to NAME:VERB; the reply is in client->reply, NUL-terminated. Exits on any failure: a benchmark on a broken
 * server says nothing. */
static void client_post(Client *client, const char *name, const char *verb, const Buffer *body) {
        char url[512];
        long status = 0;
        CURLcode r;

        (void) snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/%s:%s", client->options->pubsub, name, verb);
        client->reply.size = 0;
        (void) curl_easy_setopt(client->curl, CURLOPT_URL, url);
        (void) curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body->data);
        (void) curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, (long) body->size);
        r = curl_easy_perform(client->curl);
        buffer_append(&client->reply, "", 1);
        client->reply.size--;
        if (r == CURLE_OK)
                r = curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
        if (r != CURLE_OK || status != 200)
                errx(EXIT_FAILURE, "%s: %s, status %ld: %.200s", url, curl_easy_strerror(r), status,
                        client->reply.data);
}

static uint64_t cpu_usec(void) {
        struct rusage u;

        (void) getrusage(RUSAGE_SELF, &u);
        return (uint64_t) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000U +
               (uint64_t) (u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* ---- publish ---- */

static void append_message(Buffer *out, Buffer *payload, uint64_t number, uint64_t run) {
        unsigned i = (unsigned) (number % 1000);
        char device[READINGS_DEVICE_SIZE + 1];

        reading_device(i, device);
        payload->size = 0;
        reading_append(payload, i);
        buffer_format(out, "{\"data\":\"");
        base64_append(out, payload->data, payload->size);
        buffer_format(out,
                "\",\"attributes\":{\"source\":\"home\",\"type\":\"nature_remo\",\"device\":\"%s\","
                "\"idempotency_key\":\"home:%s:%llx:%llx\",\"" LATENCY_ATTRIBUTE "\":\"%016llu\"}}",
                device, device, (unsigned long long) run, (unsigned long long) number,
                (unsigned long long) loop_wall());
}

/* Sleeps until the next message is due; at high rates for so long that some are, since no server takes a request a
 * millisecond on one connection. */
static void pace(uint64_t next, uint64_t rate) {
        uint64_t now = loop_now(), wait = next > now ? next - now : 0;
        struct timespec t;

        if (rate > 1000000U / TICK_USEC && wait < TICK_USEC)
                wait = TICK_USEC;
        t = (struct timespec){ .tv_sec = (time_t) (wait / 1000000U), .tv_nsec = (long) (wait % 1000000U) * 1000 };
        (void) nanosleep(&t, NULL);
}

static void publish(const Options *options) {
        uint64_t started = loop_now(), run = loop_wall(), sent = 0;
        Buffer body = {}, payload = {};
        Client client;

        client_open(&client, options);
        while (sent < options->count) {
                uint64_t due = options->rate ? (loop_now() - started) * options->rate / 1000000U + 1 : options->count,
                         n;

                if (due > options->count)
                        due = options->count;
                n = due - sent < REQUEST_MAX ? due - sent : REQUEST_MAX;
                body.size = 0;
                buffer_format(&body, "{\"messages\":[");
                for (uint64_t i = 0; i < n; i++) {
                        if (i > 0)
                                buffer_append(&body, ",", 1);
                        append_message(&body, &payload, sent + i, run);
                }
                buffer_append(&body, "]}", 2);
                if (n > 0)
                        client_post(&client, options->topic, "publish", &body);
                sent += n;
                if (options->rate && sent < options->count)
                        pace(started + sent * 1000000U / options->rate, options->rate);
        }
        (void) printf("{\"published\": %llu, \"usec\": %llu, \"cpu_usec\": %llu}\n", (unsigned long long) sent,
                (unsigned long long) (loop_now() - started), (unsigned long long) cpu_usec());
        buffer_done(&body);
        buffer_done(&payload);
        client_close(&client);
}

/* ---- carry ---- */

typedef struct Carry {
        const Options *options;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        Buffer slots[SLOTS];
        uint64_t filled, emptied; /* counts of slots */
} Carry;

/* The string after *key* between *at* and *end*, without escapes but `\/`, NUL-terminated in *out*. NULL when there is
 * none. */
static const char *next_string(const char *at, const char *end, const char *key, Buffer *out) {
        out->size = 0;
        at = memmem(at, (size_t) (end - at), key, strlen(key));
        if (!at)
                return NULL;
        at += strlen(key);
        at += strspn(at, " \t\r\n:");
        for (at++; *at && *at != '"'; at++)
                if (*at != '\\')
                        buffer_append(out, at, 1);
        buffer_append(out, "", 1);
        return at;
}

static bson_t *make_document(char *data, const char *id, const char *sent) {
        ssize_t n = base64_decode(data);
        bson_t *document = n < 0 ? NULL : bson_new_from_json((const uint8_t *) data, n, NULL);

        if (!document)
                errx(EXIT_FAILURE, "a message is not JSON");
        BSON_APPEND_UTF8(document, "_id", id);
        if (sent)
                BSON_APPEND_UTF8(document, LATENCY_ATTRIBUTE, sent);
        return document;
}

/* Reads the pull's reply into documents and the acknowledgement of them. */
static size_t read_batch(const char *reply, bson_t **documents, Buffer *ack) {
        Buffer value = {}, data = {}, id = {}, sent = {};
        const char *at = reply, *end = reply + strlen(reply), *next;
        size_t n = 0;

        ack->size = 0;
        buffer_format(ack, "{\"ackIds\":[");
        while (n < REQUEST_MAX && (at = next_string(at, end, "\"ackId\"", &value))) {
                next = strstr(at, "\"ackId\"");
                if (!next)
                        next = end;
                buffer_format(ack, "%s\"%s\"", n ? "," : "", value.data);
                if (!next_string(at, next, "\"data\"", &data) || !next_string(at, next, "\"messageId\"", &id))
                        errx(EXIT_FAILURE, "a message lacks what the benchmark put into it");
                (void) next_string(at, next, "\"" LATENCY_ATTRIBUTE "\"", &sent);
                documents[n++] = make_document(data.data, id.data, sent.size > 0 ? sent.data : NULL);
        }
        buffer_append(ack, "]}", 2);
        buffer_done(&value);
        buffer_done(&data);
        buffer_done(&id);
        buffer_done(&sent);
        return n;
}

static void *pulling(void *userdata) {
        Carry *carry = userdata;
        Buffer body = {}, *slot;
        Client client;

        client_open(&client, carry->options);
        buffer_format(&body, "{\"maxMessages\":1000}");
        for (;;) {
                client_post(&client, carry->options->subscription, "pull", &body);
                (void) pthread_mutex_lock(&carry->mutex);
                while (carry->filled - carry->emptied == SLOTS)
                        (void) pthread_cond_wait(&carry->changed, &carry->mutex);
                slot = &carry->slots[carry->filled++ % SLOTS];
                slot->size = 0;
                buffer_append(slot, client.reply.data, client.reply.size + 1);
                (void) pthread_cond_signal(&carry->changed);
                (void) pthread_mutex_unlock(&carry->mutex);
        }
        return NULL;
}

static void store(mongoc_collection_t *collection, bson_t **documents, size_t n) {
        bson_t *options = BCON_NEW("ordered", BCON_BOOL(false));
        bson_error_t error;

        if (n > 0 && !mongoc_collection_insert_many(collection, (const bson_t **) documents, n, options, NULL, &error))
                errx(EXIT_FAILURE, "insert: %s", error.message);
        bson_destroy(options);
        for (size_t i = 0; i < n; i++)
                bson_destroy(documents[i]);
}

static uint64_t writing(Carry *carry, mongoc_collection_t *collection) {
        static bson_t *documents[REQUEST_MAX];
        Buffer reply = {}, ack = {}, full;
        Client client;
        uint64_t done = 0;

        client_open(&client, carry->options);
        while (done < carry->options->count) {
                size_t n;

                (void) pthread_mutex_lock(&carry->mutex);
                while (carry->filled == carry->emptied)
                        (void) pthread_cond_wait(&carry->changed, &carry->mutex);
                full = carry->slots[carry->emptied % SLOTS];
                carry->slots[carry->emptied++ % SLOTS] = reply;
                reply = full;
                (void) pthread_cond_signal(&carry->changed);
                (void) pthread_mutex_unlock(&carry->mutex);
                n = read_batch(reply.data, documents, &ack);
                store(collection, documents, n);
                if (n > 0)
                        client_post(&client, carry->options->subscription, "acknowledge", &ack);
                done += n;
        }
        buffer_done(&reply);
        buffer_done(&ack);
        client_close(&client);
        return done;
}

static void carry_messages(const Options *options) {
        Carry carry = { .options = options, .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
        uint64_t started = loop_now(), done;
        mongoc_client_pool_t *pool;
        mongoc_client_t *client;
        mongoc_collection_t *collection;
        pthread_t thread;
        mongoc_uri_t *uri;
        char text[128];

        (void) snprintf(text, sizeof text,
                "mongodb://127.0.0.1:%u/?w=majority&journal=true&serverSelectionTimeoutMS=5000", options->mongo);
        mongoc_init();
        uri = mongoc_uri_new(text);
        pool = mongoc_client_pool_new(uri);
        client = mongoc_client_pool_pop(pool);
        collection = mongoc_client_get_collection(client, options->database, options->collection);
        if (pthread_create(&thread, NULL, pulling, &carry) != 0)
                errx(EXIT_FAILURE, "pthread_create");
        done = writing(&carry, collection);
        (void) printf("{\"carried\": %llu, \"usec\": %llu, \"cpu_usec\": %llu}\n", (unsigned long long) done,
                (unsigned long long) (loop_now() - started), (unsigned long long) cpu_usec());
        (void) fflush(stdout);
        _exit(EXIT_SUCCESS); /* a pull may hang */
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "pubsub", required_argument, NULL, 'p' },
                { "mongo", required_argument, NULL, 'm' },
                { "topic", required_argument, NULL, 't' },
                { "subscription", required_argument, NULL, 's' },
                { "database", required_argument, NULL, 'd' },
                { "collection", required_argument, NULL, 'c' },
                { "count", required_argument, NULL, 'n' },
                { "rate", required_argument, NULL, 'r' },
                {},
        };
        Options o = { .topic = "projects/bench/topics/bench",
                .subscription = "projects/bench/subscriptions/bench",
                .database = "bench",
                .collection = "bare" };
        const char *verb = argc > 1 ? argv[1] : "";
        int c;

        optind = 2;
        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'p')
                        o.pubsub = (unsigned) atoi(optarg);
                else if (c == 'm')
                        o.mongo = (unsigned) atoi(optarg);
                else if (c == 't')
                        o.topic = optarg;
                else if (c == 's')
                        o.subscription = optarg;
                else if (c == 'd')
                        o.database = optarg;
                else if (c == 'c')
                        o.collection = optarg;
                else if (c == 'n')
                        o.count = strtoull(optarg, NULL, 10);
                else if (c == 'r')
                        o.rate = strtoull(optarg, NULL, 10);
                else
                        errx(64, "usage: bench-client publish|carry --pubsub PORT --count N ...");
        (void) curl_global_init(CURL_GLOBAL_DEFAULT);
        if (strcmp(verb, "publish") == 0)
                publish(&o);
        else if (strcmp(verb, "carry") == 0)
                carry_messages(&o);
        else
                errx(64, "usage: bench-client publish|carry --pubsub PORT --count N ...");
        return EXIT_SUCCESS;
}
