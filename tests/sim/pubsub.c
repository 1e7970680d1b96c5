/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub-internal.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive.h"
#include "arena.h"
#include "ledger.h"
#include "plan.h"
#include "remotes.h"

#define ID_FIRST 1000000 /* ids look like numbers that say nothing */

static void wake(void *subject, uint64_t number);

void pubsub_wake_later(const Sub *sub) {
        world_in(DEADLINE_SEC * USEC_PER_SEC, wake, NULL, sub->number, 0);
}

void pubsub_new(unsigned n) {
        world->pubsub = arena_alloc(sizeof(Pubsub));
        world->pubsub->n_subs = n;
        for (unsigned i = 0; i < n; i++) {
                world->pubsub->subs[i].number = i;
                subs_draw(&world->pubsub->subs[i]);
        }
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

Sub *pubsub_find(const Exchange *x) {
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
        message->at = world->now;
        message->json = arena_copy(text + 1, strlen(text) - 2);
        (void) clock_format_rfc3339(world_true_time(), message->published);
        key = json_object_object_get_ex(object, "attributes", &attributes) ? member_text(attributes, "idempotency_key")
                                                                           : NULL;
        ledger_published(message->serial, key ? key : "");
        for (unsigned i = 0; i < world->pubsub->n_subs; i++)
                if (world->pubsub->subs[i].deleted)
                        ledger_gone(i, message->serial);
                else
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

void pubsub_append(Bytes *answer, const Sub *sub, Holding *h) {
        char attempt[40] = "";

        if (h->deliveries > 0) {
                world_count("delivered again");
                subs_again(sub, h);
        }
        h->generation++;
        h->deliveries++;
        h->lease = world->now + DEADLINE_SEC * USEC_PER_SEC;
        h->given = h->failed = 0;
        if (sub->max_attempts > 0)
                (void) snprintf(attempt, sizeof(attempt), ",\"deliveryAttempt\":%u", h->deliveries);
        if (bytes_append_format(answer,
                    "%s{\"ackId\":\"%u:%zu:%" PRIu64 "\",\"message\":{%s,\"messageId\":\"%" PRIu64
                    "\",\"publishTime\":\"%s\"}%s}",
                    answer->size > strlen("{\"receivedMessages\":[") ? "," : "", sub->number,
                    (size_t) (h - sub->holdings), h->generation, h->message->json, h->message->id,
                    h->message->published, attempt) < 0)
                abort();
}

/* A message may come although another client has it. */
static bool is_due(Sub *sub, Holding *h) {
        if (is_free(h))
                return !subs_ends(sub, h);
        if (sub->exactly_once)
                return false;
        if (h->acknowledged || !draw_chance(&world->chance, 2000) || !weather_may("delivered twice"))
                return false;
        h->given = 0; /* that is reason enough */
        return true;
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
                if (is_due(sub, &sub->holdings[i])) {
                        pubsub_append(&answer, sub, &sub->holdings[i]);
                        n++;
                }
        if (n > 0) {
                if (bytes_append_text(&answer, "]}") < 0)
                        abort();
                x->progress = true;
                exchange_answer(x, 200, answer.data, answer.size);
                pubsub_wake_later(sub);
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

void pubsub_answer_deleted(Sub *sub) {
        while (sub->n_parked > 0) {
                answer_error(sub->parked[sub->n_parked - 1], 404, "NOT_FOUND");
                unpark(sub, sub->n_parked - 1);
        }
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
        peer_take(sub);
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
        Sub *sub = pubsub_find(x);
        int64_t max = member_int(body, "maxMessages", 0);

        if (max < 1 || max > 1000)
                world_fail("a pull of %" PRIi64 " messages", max);
        if (fill(sub, x, (unsigned) max))
                return;
        if (sub->n_parked == PARKED_MAX || member_int(body, "returnImmediately", 0) != 0 ||
                draw_chance(&world->chance, 10000)) {
                x->progress = true;
                return exchange_answer(x, 200, "{}", 2); /* sometimes it does not wait, though it was to */
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

void pubsub_settle(Sub *sub, Holding *h) {
        h->acknowledged = true;
        sub->n_open--;
        world_count("acknowledged");
}

/* What became of an id: NULL: all is well; else the word of an exactly-once subscription. */
static const char *acknowledge(Sub *sub, const char *ack_id, bool sure) {
        uint64_t generation;
        Holding *h = find_holding(ack_id, &generation);
        bool lapsed = h->lease <= world->now;

        if (sub->exactly_once && (h->acknowledged || lapsed || generation != h->generation))
                return "PERMANENT_FAILURE_INVALID_ACK_ID";
        if (h->acknowledged)
                return NULL;
        h->failed = 0;
        if (sub->exactly_once && draw_chance(&world->chance, 2000) && weather_may("an acknowledgement fails for now")) {
                world_count("ack failed for now");
                if (sure && h->lease > world->now + DEADLINE_SEC * USEC_PER_SEC / 2)
                        h->failed = world->now;
                return "TRANSIENT_FAILURE_INTERNAL_ERROR";
        }
        if (!lapsed || draw_below(&world->chance, 2) > 0) /* else it is too late: it is delivered again */
                pubsub_settle(sub, h);
        return NULL;
}

static const char *modify(Sub *sub, const Exchange *x, const char *ack_id, int64_t seconds) {
        uint64_t generation;
        Holding *h = find_holding(ack_id, &generation);

        if (h->acknowledged || h->lease <= world->now || generation != h->generation)
                return sub->exactly_once ? "PERMANENT_FAILURE_INVALID_ACK_ID" : NULL;
        if (seconds == 0)
                subs_given_back(sub, x);
        h->lease = world->now + (usec_t) seconds * USEC_PER_SEC;
        if (seconds == 0)
                h->given = 0;
        return NULL;
}

static void answer_ids(Exchange *x, Bytes *failures) {
        static const char before[] = "{\"error\":{\"code\":400,\"message\":\"Some acknowledgement ids in the request "
                                     "were invalid.\",\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":"
                                     "\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":"
                                     "\"EXACTLY_ONCE_ACKID_FAILURE\",\"domain\":\"pubsub.googleapis.com\","
                                     "\"metadata\":{";
        _cleanup_bytes_ Bytes body = {};

        if (failures->size == 0)
                return exchange_answer(x, 200, "{}", 2);
        world_count("ack ids refused");
        if (bytes_append_text(&body, before) < 0 || bytes_append(&body, failures->data, failures->size) < 0 ||
                bytes_append_text(&body, "}}]}}") < 0)
                abort();
        exchange_answer(x, 400, body.data, body.size);
}

static void serve_ids(Exchange *x, struct json_object *body, bool ack) {
        int64_t seconds = member_int(body, "ackDeadlineSeconds", -1);
        _cleanup_bytes_ Bytes failures = {};
        Sub *sub = pubsub_find(x);
        struct json_object *ids;
        size_t n;

        if (!json_object_object_get_ex(body, "ackIds", &ids))
                world_fail("%s without ack ids", ack ? "acknowledge" : "modifyAckDeadline");
        n = json_object_array_length(ids);
        if (n == 0 || n > 1000 || x->body_size > 512 * 1024 || (!ack && (seconds < 0 || seconds > 600)))
                world_fail("%s over the service's limits: %zu ids, %zu bytes, %" PRIi64 " s", x->url, n, x->body_size,
                        seconds);
        for (size_t i = 0; i < n; i++) {
                const char *id = json_object_get_string(json_object_array_get_idx(ids, i)),
                           *failure = ack ? acknowledge(sub, id, x->fault == FAULT_NONE) : modify(sub, x, id, seconds);

                if (failure && bytes_append_format(
                                       &failures, "%s\"%s\":\"%s\"", failures.size > 0 ? "," : "", id, failure) < 0)
                        abort();
        }
        x->progress = true;
        answer_ids(x, &failures);
        if (!ack)
                world_in((usec_t) seconds * USEC_PER_SEC, wake, NULL, sub->number, 0);
}

/* ---- look ---- */

static void serve_look(Exchange *x) {
        char body[800], dead[200] = "";
        const Sub *sub;

        if (strstr(x->url, "/topics/"))
                (void) snprintf(
                        body, sizeof(body), "{\"name\":\"projects/" PUBSUB_PROJECT "/topics/" PUBSUB_TOPIC "\"}");
        else {
                sub = pubsub_find(x);
                if (sub->max_attempts > 0)
                        (void) snprintf(dead, sizeof(dead),
                                ",\"deadLetterPolicy\":{\"deadLetterTopic\":\"projects/" PUBSUB_PROJECT
                                "/topics/dead\",\"maxDeliveryAttempts\":%u}",
                                sub->max_attempts);
                (void) snprintf(body, sizeof(body),
                        "{\"name\":\"projects/" PUBSUB_PROJECT
                        "/subscriptions/sub-%u\",\"topic\":\"projects/" PUBSUB_PROJECT "/topics/" PUBSUB_TOPIC
                        "\",\"ackDeadlineSeconds\":%d,\"messageRetentionDuration\":\"%" PRIu64 "s\","
                        "\"expirationPolicy\":{},\"state\":\"ACTIVE\"%s%s}",
                        sub->number, DEADLINE_SEC, sub->retention / USEC_PER_SEC,
                        sub->exactly_once ? ",\"enableExactlyOnceDelivery\":true" : "", dead);
        }
        x->progress = true;
        exchange_answer(x, 200, body, strlen(body));
}

void pubsub_serve(Exchange *x) {
        struct json_object *body;

        if (!remotes_token_is_good(x->bearer))
                return answer_error(x, 401, "UNAUTHENTICATED");
        if (strstr(x->url, "/subscriptions/") && pubsub_find(x)->deleted) {
                x->deleted = true;
                return answer_error(x, 404, "NOT_FOUND");
        }
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

void pubsub_troubled(const Exchange *x) {
        if (x->target == TARGET_TOKEN)
                world->pubsub->token_troubled = world->now;
        else if (x->target == TARGET_ACK)
                pubsub_find(x)->troubled = world->now;
}

void pubsub_answered(const Exchange *x, bool good) {
        Sub *sub = strstr(x->url, "/subscriptions/") ? pubsub_find(x) : NULL;

        if (!sub)
                return;
        if (good && x->fault == FAULT_NONE && x->target == TARGET_LOOK) {
                sub->looked = world->life;
                sub->looked_at = world->now;
        }
        if (good && (x->fault == FAULT_PORTAL || x->fault == FAULT_GARBLED))
                sub->told = 0; /* somebody else says that it is there */
        else if (x->deleted && x->status == 404 && x->fault != FAULT_GARBLED && sub->deleted &&
                 sub->told != world->life) { /* what is cut in the middle may be of anybody */
                sub->told = world->life;
                sub->told_at = world->now;
        }
}

void pubsub_near(const char *subscription) {
        const char *number = strstr(subscription, "sub-");
        unsigned i = number ? (unsigned) strtoul(number + strlen("sub-"), NULL, 10) : SUBSCRIPTIONS_MAX;

        if (i >= world->pubsub->n_subs)
                world_fail("a hint about a subscription that is not there: %s", subscription);
        subs_near(&world->pubsub->subs[i]);
}

void pubsub_calm(void) {
        for (unsigned i = 0; i < world->pubsub->n_subs; i++)
                subs_calm(&world->pubsub->subs[i]);
}

/* The holding of the next ack id in a text, and which delivery of it; NULL: there is none. */
static Holding *next_holding(const char **text, uint64_t *ret_generation) {
        static const char before[] = "\"ackId\":\"";

        *text = strstr(*text, before);
        if (!*text)
                return NULL;
        *text += strlen(before);
        return find_holding(*text, ret_generation);
}

void pubsub_delivered(const Exchange *x) {
        const Sub *sub = pubsub_find(x);
        const char *text = x->reply;
        uint64_t generation;
        Holding *h;
        size_t n = 0;

        while ((h = next_holding(&text, &generation))) {
                bool is_last = generation == h->generation; /* else this id renews nothing any more */

                h->held = world->life;
                h->given = x->fault == FAULT_NONE && is_last ? world->now : 0;
        }
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

        if (x->target == TARGET_PUBLISH)
                subs_check_publish();
        if (x->target != TARGET_ACK || !strstr(x->url, ":acknowledge"))
                return;
        if (plan_sink(pubsub_find(x)->number) == SINK_FILE)
                archive_look(pubsub_find(x)->number);
        body = json_tokener_parse(x->body);
        if (!body || !json_object_object_get_ex(body, "ackIds", &ids))
                world_fail("acknowledge without ack ids");
        for (size_t i = 0; i < json_object_array_length(ids); i++) {
                const Holding *h = find_holding(json_object_get_string(json_object_array_get_idx(ids, i)), &generation);

                if (!h->gone && !ledger_is_stored(pubsub_find(x)->number, h->message->serial))
                        world_fail("reading %u is acknowledged and not stored by subscription %u", h->message->serial,
                                pubsub_find(x)->number);
        }
        json_object_put(body);
}
