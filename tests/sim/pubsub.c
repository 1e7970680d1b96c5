/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive.h"
#include "arena.h"
#include "ledger.h"
#include "plan.h"
#include "remotes.h"

#define DEADLINE_SEC 60
#define PARKED_MAX 64
#define ID_FIRST 1000000 /* ids look like numbers that say nothing */

typedef struct Message {
        uint64_t id;
        char *json; /* its members but id and time, without the braces */
        char published[CLOCK_RFC3339_SIZE];
        uint32_t serial;
} Message;

/* A message in one subscription. */
typedef struct Holding {
        Message *message;
        usec_t lease; /* until then it is a client's */
        uint64_t generation;
        unsigned deliveries;
        unsigned held; /* by that life of the daemon, as far as the lease goes */
        bool acknowledged;
} Holding;

typedef struct Sub {
        unsigned number;
        Holding *holdings; /* by order of the messages' ids */
        size_t n, allocated;
        size_t first; /* before it all are acknowledged */
        size_t n_open;
        Exchange *parked[PARKED_MAX];
        unsigned max[PARKED_MAX];
        size_t n_parked;
} Sub;

typedef struct Pubsub {
        Sub subs[SUBSCRIPTIONS_MAX];
        unsigned n_subs;
        uint64_t messages;
} Pubsub;

static void wake(void *subject, uint64_t number);

void pubsub_new(unsigned n) {
        world->pubsub = arena_alloc(sizeof(Pubsub));
        world->pubsub->n_subs = n;
        for (unsigned i = 0; i < n; i++)
                world->pubsub->subs[i].number = i;
}

size_t pubsub_backlog(void) {
        size_t n = 0;

        for (unsigned i = 0; i < world->pubsub->n_subs; i++)
                n += world->pubsub->subs[i].n_open;
        return n;
}

/* ---- words of the protocol ---- */

static void answer_error(Exchange *x, int status, const char *word) {
        char body[200];

        (void) snprintf(body, sizeof(body), "{\"error\":{\"code\":%d,\"message\":\"simulated\",\"status\":\"%s\"}}",
                status, word);
        exchange_answer(x, status, body, strlen(body));
}

static Sub *find_sub(const Exchange *x) {
        const char *name = strstr(x->url, "/subscriptions/sub-");
        unsigned number = name ? (unsigned) strtoul(name + strlen("/subscriptions/sub-"), NULL, 10) : UINT32_MAX;

        if (number >= world->pubsub->n_subs)
                world_fail("a request to a subscription that is not there: %s", x->url);
        return &world->pubsub->subs[number];
}

static const char *member_text(struct json_object *object, const char *name) {
        struct json_object *member;

        return json_object_object_get_ex(object, name, &member) ? json_object_get_string(member) : NULL;
}

static int64_t member_int(struct json_object *object, const char *name, int64_t fallback) {
        struct json_object *member;

        return json_object_object_get_ex(object, name, &member) ? json_object_get_int64(member) : fallback;
}

/* ---- publish ---- */

static uint32_t serial_of(struct json_object *message) {
        const char *data = member_text(message, "data");
        size_t size = data ? strlen(data) : 0;
        char *decoded = malloc(size + 1);
        uint32_t serial;

        if (!decoded)
                abort();
        if (!data || bytes_decode_base64(data, size, decoded, &size) < 0)
                world_fail("a message without data, or with data that is not base64");
        serial = ledger_find(decoded, size);
        free(decoded);
        return serial;
}

static void add_holding(Sub *sub, Message *message) {
        if (sub->n == sub->allocated) {
                sub->allocated = sub->allocated > 0 ? sub->allocated * 2 : 256;
                sub->holdings = arena_resize(sub->holdings, sub->allocated * sizeof(Holding));
        }
        sub->holdings[sub->n++] = (Holding){ .message = message };
        sub->n_open++;
}

static void add_message(struct json_object *object) {
        Message *message = arena_alloc(sizeof(Message));
        const char *text = json_object_to_json_string_ext(
                           object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                   *key;
        struct json_object *attributes;

        message->id = ID_FIRST + world->pubsub->messages++;
        message->serial = serial_of(object);
        message->json = arena_copy(text + 1, strlen(text) - 2);
        (void) clock_format_rfc3339(world_true_time(), message->published);
        key = json_object_object_get_ex(object, "attributes", &attributes) ? member_text(attributes, "idempotency_key")
                                                                           : NULL;
        ledger_published(message->serial, key ? key : "");
        for (unsigned i = 0; i < world->pubsub->n_subs; i++)
                add_holding(&world->pubsub->subs[i], message);
}

static void serve_publish(Exchange *x, struct json_object *body) {
        struct json_object *messages;
        size_t n, size = 0;
        char *answer;

        if (!json_object_object_get_ex(body, "messages", &messages))
                world_fail("a publish without messages");
        n = json_object_array_length(messages);
        if (n > 1000 || x->body_size > 10 * 1024 * 1024)
                world_fail("a publish over the service's limits: %zu messages, %zu bytes", n, x->body_size);
        answer = malloc(64 + n * 32);
        if (!answer)
                abort();
        size += (size_t) sprintf(answer, "{\"messageIds\":[");
        for (size_t i = 0; i < n; i++) {
                size += (size_t) sprintf(
                        answer + size, "%s\"%" PRIu64 "\"", i > 0 ? "," : "", ID_FIRST + world->pubsub->messages);
                add_message(json_object_array_get_idx(messages, i));
        }
        size += (size_t) sprintf(answer + size, "]}");
        x->progress = true;
        exchange_answer(x, 200, answer, size);
        free(answer);
        for (unsigned i = 0; i < world->pubsub->n_subs; i++)
                world_in(world_latency(100 * USEC_PER_MSEC), wake, NULL, i, 0);
}

/* ---- pull ---- */

static bool is_free(const Holding *h) {
        return !h->acknowledged && h->lease <= world->now;
}

static void append(Bytes *b, const Sub *sub, Holding *h) {
        h->generation++;
        h->deliveries++;
        h->lease = world->now + DEADLINE_SEC * USEC_PER_SEC;
        if (h->deliveries > 1)
                world_count("delivered again");
        if (bytes_append_format(b,
                    "%s{\"ackId\":\"%u:%zu:%" PRIu64 "\",\"message\":{%s,\"messageId\":\"%" PRIu64
                    "\",\"publishTime\":\"%s\"}}",
                    b->size > strlen("{\"receivedMessages\":[") ? "," : "", sub->number, (size_t) (h - sub->holdings),
                    h->generation, h->message->json, h->message->id, h->message->published) < 0)
                abort();
}

/* A message may come although another client has it. */
static bool is_due(const Holding *h) {
        return is_free(h) || (!h->acknowledged && draw_chance(&world->chance, 2000) && weather_may("delivered twice"));
}

/* Fills a pull with what is free. False: nothing is. */
static bool fill(Sub *sub, Exchange *x, unsigned max) {
        Bytes answer = {};
        size_t n = 0, most = 1 + draw_below(&world->chance, max);

        if (draw_below(&world->chance, 2) == 0)
                most = max;
        if (bytes_append_text(&answer, "{\"receivedMessages\":[") < 0)
                abort();
        for (size_t i = sub->first; i < sub->n && n < most; i++)
                if (is_due(&sub->holdings[i])) {
                        append(&answer, sub, &sub->holdings[i]);
                        n++;
                }
        if (n > 0) {
                if (bytes_append_text(&answer, "]}") < 0)
                        abort();
                x->progress = true;
                exchange_answer(x, 200, answer.data, answer.size);
                world_in(DEADLINE_SEC * USEC_PER_SEC, wake, NULL, sub->number, 0);
        }
        bytes_done(&answer);
        return n > 0;
}

static void unpark(Sub *sub, size_t i) {
        exchange_unref(sub->parked[i]);
        sub->n_parked--;
        sub->parked[i] = sub->parked[sub->n_parked];
        sub->max[i] = sub->max[sub->n_parked];
}

/* The service does not always notice that a client has gone: then what it sends is nobody's until the lease ends. */
static bool has_left(const Exchange *x) {
        return exchange_is_dropped(x) && draw_below(&world->chance, 4) > 0;
}

/* *number*: of the subscription. */
static void wake(void *subject, uint64_t number) {
        Sub *sub = &world->pubsub->subs[number];

        for (; sub->first < sub->n && sub->holdings[sub->first].acknowledged; sub->first++)
                ;
        for (size_t i = sub->n_parked; i > 0; i--)
                if (has_left(sub->parked[i - 1]) || fill(sub, sub->parked[i - 1], sub->max[i - 1]))
                        unpark(sub, i - 1);
}

/* A pull has hung for long enough: an empty answer. */
static void on_hung(void *subject, uint64_t number) {
        Exchange *x = subject;
        Sub *sub = &world->pubsub->subs[number];

        for (size_t i = 0; i < sub->n_parked; i++)
                if (sub->parked[i] == x) {
                        x->progress = world->now - x->started > 10 * USEC_PER_SEC;
                        exchange_answer(x, 200, "{}", 2);
                        unpark(sub, i);
                        break;
                }
        exchange_unref(x);
}

static void serve_pull(Exchange *x, struct json_object *body) {
        Sub *sub = find_sub(x);
        int64_t max = member_int(body, "maxMessages", 0);

        if (max < 1 || max > 1000)
                world_fail("a pull of %" PRIi64 " messages", max);
        if (fill(sub, x, (unsigned) max))
                return;
        if (sub->n_parked == PARKED_MAX || draw_chance(&world->chance, 10000)) {
                x->progress = true;
                return exchange_answer(x, 200, "{}", 2); /* sometimes it does not wait */
        }
        sub->parked[sub->n_parked] = exchange_ref(x);
        sub->max[sub->n_parked++] = (unsigned) max;
        world_in(20 * USEC_PER_SEC + draw_below(&world->chance, 70 * USEC_PER_SEC), on_hung, exchange_ref(x),
                sub->number, 0);
}

/* ---- acknowledge, modifyAckDeadline ---- */

/* The holding that an ack id names, and which delivery of it. */
static Holding *find_holding(const char *ack_id, uint64_t *ret_generation) {
        unsigned number;
        size_t index;

        if (!ack_id || sscanf(ack_id, "%u:%zu:%" SCNu64, &number, &index, ret_generation) != 3 ||
                number >= world->pubsub->n_subs || index >= world->pubsub->subs[number].n)
                world_fail("an ack id that nobody gave: %s", ack_id ? ack_id : "");
        return &world->pubsub->subs[number].holdings[index];
}

static void acknowledge(Sub *sub, const char *ack_id) {
        uint64_t generation;
        Holding *h = find_holding(ack_id, &generation);

        if (h->acknowledged)
                return;
        if (h->lease <= world->now && draw_below(&world->chance, 2) == 0)
                return; /* too late: it is delivered again */
        h->acknowledged = true;
        sub->n_open--;
        world_count("acknowledged");
}

static void modify(const char *ack_id, int64_t seconds) {
        uint64_t generation;
        Holding *h = find_holding(ack_id, &generation);

        if (h->acknowledged || h->lease <= world->now || generation != h->generation)
                return;
        h->lease = world->now + (usec_t) seconds * USEC_PER_SEC;
}

static void serve_ids(Exchange *x, struct json_object *body, bool ack) {
        int64_t seconds = member_int(body, "ackDeadlineSeconds", -1);
        Sub *sub = find_sub(x);
        struct json_object *ids;
        size_t n;

        if (!json_object_object_get_ex(body, "ackIds", &ids))
                world_fail("%s without ack ids", ack ? "acknowledge" : "modifyAckDeadline");
        n = json_object_array_length(ids);
        if (n == 0 || n > 1000 || x->body_size > 512 * 1024 || (!ack && (seconds < 0 || seconds > 600)))
                world_fail("%s over the service's limits: %zu ids, %zu bytes, %" PRIi64 " s", x->url, n, x->body_size,
                        seconds);
        for (size_t i = 0; i < n; i++) {
                const char *id = json_object_get_string(json_object_array_get_idx(ids, i));

                if (ack)
                        acknowledge(sub, id);
                else
                        modify(id, seconds);
        }
        x->progress = true;
        exchange_answer(x, 200, "{}", 2);
        if (!ack)
                world_in((usec_t) seconds * USEC_PER_SEC, wake, NULL, sub->number, 0);
}

/* ---- look ---- */

static void serve_look(Exchange *x) {
        char body[512];

        if (strstr(x->url, "/topics/"))
                (void) snprintf(
                        body, sizeof(body), "{\"name\":\"projects/" PUBSUB_PROJECT "/topics/" PUBSUB_TOPIC "\"}");
        else
                (void) snprintf(body, sizeof(body),
                        "{\"name\":\"projects/" PUBSUB_PROJECT
                        "/subscriptions/sub-%u\",\"topic\":\"projects/" PUBSUB_PROJECT "/topics/" PUBSUB_TOPIC
                        "\",\"ackDeadlineSeconds\":%d,\"messageRetentionDuration\":\"604800s\","
                        "\"expirationPolicy\":{},\"state\":\"ACTIVE\"}",
                        find_sub(x)->number, DEADLINE_SEC);
        x->progress = true;
        exchange_answer(x, 200, body, strlen(body));
}

void pubsub_serve(Exchange *x) {
        struct json_object *body;

        if (!remotes_token_is_good(x->bearer))
                return answer_error(x, 401, "UNAUTHENTICATED");
        if (x->target == TARGET_LOOK)
                return serve_look(x);
        body = json_tokener_parse(x->body);
        if (!body)
                world_fail("%s: the body is not JSON", x->url);
        if (x->target == TARGET_PUBLISH)
                serve_publish(x, body);
        else if (x->target == TARGET_PULL)
                serve_pull(x, body);
        else
                serve_ids(x, body, strstr(x->url, ":acknowledge") != NULL);
        json_object_put(body);
}

/* The holding of the next ack id in a text; NULL: there is none. */
static Holding *next_holding(const char **text) {
        static const char before[] = "\"ackId\":\"";
        uint64_t generation;

        *text = strstr(*text, before);
        if (!*text)
                return NULL;
        *text += strlen(before);
        return find_holding(*text, &generation);
}

void pubsub_delivered(const Exchange *x) {
        const Sub *sub = find_sub(x);
        const char *text = x->reply;
        Holding *h;
        size_t n = 0;

        while ((h = next_holding(&text)))
                h->held = world->life;
        for (size_t i = sub->first; i < sub->n; i++)
                n += !sub->holdings[i].acknowledged && sub->holdings[i].held == world->life &&
                     sub->holdings[i].lease > world->now;
        if (n > plan_held_max())
                world_fail("the daemon holds %zu messages of subscription %u, and may %zu", n, sub->number,
                        plan_held_max());
}

void pubsub_check(const Exchange *x) {
        struct json_object *body, *ids;
        uint64_t generation;

        if (x->target != TARGET_ACK || !strstr(x->url, ":acknowledge"))
                return;
        if (plan_sink(find_sub(x)->number) == SINK_FILE)
                archive_look(find_sub(x)->number);
        body = json_tokener_parse(x->body);
        if (!body || !json_object_object_get_ex(body, "ackIds", &ids))
                world_fail("acknowledge without ack ids");
        for (size_t i = 0; i < json_object_array_length(ids); i++) {
                const Holding *h = find_holding(json_object_get_string(json_object_array_get_idx(ids, i)), &generation);

                if (!ledger_is_stored(find_sub(x)->number, h->message->serial))
                        world_fail("reading %u is acknowledged and not stored by subscription %u", h->message->serial,
                                find_sub(x)->number);
        }
        json_object_put(body);
}
