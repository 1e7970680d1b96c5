/* SPDX-License-Identifier: Apache-2.0 */
/* A Pub/Sub service over HTTP/1.1 that costs next to nothing, for benchmarks: a backlog of prepared messages, then long
 * polls that hang. It also lists devices like Nature Remo's API and gives out tokens, so that one process is all that a
 * measured daemon needs beside a database.
 *
 * On stdout: "listening PORT", "acknowledged N" when the whole backlog is acknowledged, "published N" when
 * --expect-published were published. */

#include "backlog.h"
#include "loop.h"
#include "messages.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TICK_USEC 1000

typedef struct Replay {
        Loop *loop;
        Backlog *backlog;
        Messages *messages;
        Buffer scratch;
        uint64_t hang, rate, started, start_delay;
        unsigned devices;
        int publish_status;
        uint64_t expect_published;
        uint64_t pulls, empty_pulls, acks, modacks, polls, publishes, published, refused;
        uint64_t first_pull, last_ack, first_publish, last_publish;
} Replay;

/* What a hanging pull waits for; in peer->data. */
typedef struct Pull {
        size_t max;
} Pull;

typedef struct Request {
        const char *method, *path; /* not NUL-terminated */
        size_t method_size, path_size, content_length;
        bool expects_continue;
        char *body;
} Request;

static void reply(Peer *peer, int status, const char *headers, const char *body, size_t size) {
        buffer_format(&peer->out,
                "HTTP/1.1 %d %s\r\nContent-Type: application/json; charset=UTF-8\r\n%sContent-Length: %zu\r\n\r\n",
                status, status == 200 ? "OK" : "Refused", headers, size);
        buffer_append(&peer->out, body, size);
}

static void reply_text(Peer *peer, int status, const char *body) {
        reply(peer, status, "", body, strlen(body));
}

static void parse_header(Request *r, const char *line, size_t size) {
        static const char length[] = "content-length:", expect[] = "expect:";

        if (size > strlen(length) && strncasecmp(line, length, strlen(length)) == 0)
                r->content_length = strtoull(line + strlen(length), NULL, 10);
        else if (size > strlen(expect) && strncasecmp(line, expect, strlen(expect)) == 0)
                r->expects_continue = true;
}

/* Size of the head, 0 when it is not all there. */
static size_t parse_head(Request *r, char *data, size_t size) {
        char *end = memmem(data, size, "\r\n\r\n", 4), *line = data, *space;

        if (!end)
                return 0;
        space = memchr(data, ' ', (size_t) (end - data));
        r->method = data;
        r->method_size = space ? (size_t) (space - data) : 0;
        r->path = space ? space + 1 : data;
        space = memchr(r->path, ' ', (size_t) (end - r->path));
        r->path_size = space ? (size_t) (space - r->path) : 0;
        while (line < end) {
                char *next = memmem(line, (size_t) (end + 2 - line), "\r\n", 2);

                parse_header(r, line, (size_t) (next - line));
                line = next + 2;
        }
        r->body = end + 4;
        return (size_t) (end + 4 - data);
}

static bool ends_with(const Request *r, const char *suffix) {
        size_t n = strlen(suffix);

        return r->path_size >= n && memcmp(r->path + r->path_size - n, suffix, n) == 0;
}

static uint64_t body_number(const Request *r, const char *key) {
        const char *at = memmem(r->body, r->content_length, key, strlen(key));

        return at ? strtoull(at + strlen(key) + strspn(at + strlen(key), " \t\r\n:\""), NULL, 10) : 0;
}

/* Answers the pull with what is there. False when nothing is. */
static bool pull_answer(Replay *replay, Peer *peer, size_t max) {
        uint64_t numbers[MESSAGES_MAX], sent[MESSAGES_MAX];
        size_t n = backlog_take(replay->backlog, max, numbers, sent);

        if (n == 0)
                return false;
        buffer_format(&peer->out,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %zu\r\n\r\n",
                messages_size(replay->messages, n));
        messages_append(replay->messages, numbers, replay->rate ? sent : NULL, n, &peer->out);
        return true;
}

static void pull_end(Peer *peer) {
        free(peer->data);
        peer->data = NULL;
        peer->due = 0;
}

static void on_pull(Replay *replay, Peer *peer, const Request *r) {
        uint64_t max = body_number(r, "\"maxMessages\"");
        bool immediately = memmem(r->body, r->content_length, "\"returnImmediately\":true",
                                   strlen("\"returnImmediately\":true")) ||
                           memmem(r->body, r->content_length, "\"returnImmediately\": true",
                                   strlen("\"returnImmediately\": true"));
        Pull *pull;

        if (max == 0) {
                reply_text(peer, 400,
                        "{\"error\":{\"code\":400,\"message\":\"No max_messages specified.\",\"status\":\"INVALID_ARGUMENT\"}}");
                return;
        }
        replay->pulls++;
        if (!replay->first_pull)
                replay->first_pull = loop_now();
        max = max > MESSAGES_MAX ? MESSAGES_MAX : max;
        if (pull_answer(replay, peer, max))
                return;
        if (immediately) {
                replay->empty_pulls++;
                reply_text(peer, 200, "{}\n");
                return;
        }
        pull = calloc(1, sizeof *pull);
        if (!pull)
                err(EXIT_FAILURE, "calloc");
        pull->max = max;
        peer->data = pull;
        peer->due = loop_now() + replay->hang;
}

static void on_due(Peer *peer) {
        Replay *replay = loop_userdata(peer->loop);

        pull_end(peer);
        replay->empty_pulls++;
        reply_text(peer, 200, "{}\n");
}

static void wake(Peer *peer, void *argument) {
        Replay *replay = argument;
        Pull *pull = peer->data;

        if (pull && pull_answer(replay, peer, pull->max)) {
                pull_end(peer);
                peer_flush(peer);
        }
}

/* Calls *each* with the number of every ack id in the body. Ids are the only strings of their length. */
static void each_ack_id(Replay *replay, const Request *r, void (*each)(Backlog *b, uint64_t number)) {
        const char *at = r->body, *end = r->body + r->content_length;

        while (at < end && (at = memchr(at, '"', (size_t) (end - at)))) {
                const char *close = ++at < end ? memchr(at, '"', (size_t) (end - at)) : NULL;

                if (!close)
                        return;
                if (close - at == MESSAGES_ACK_ID_SIZE)
                        each(replay->backlog, strtoull(close - MESSAGES_ACK_DIGITS, NULL, 10));
                at = close + 1;
        }
}

static void on_acknowledge(Replay *replay, Peer *peer, const Request *r) {
        BacklogStats before, after;

        backlog_stats(replay->backlog, &before);
        each_ack_id(replay, r, backlog_acknowledge);
        backlog_stats(replay->backlog, &after);
        replay->acks++;
        replay->last_ack = loop_now();
        reply_text(peer, 200, "{}\n");
        if (before.acknowledged < after.total && after.acknowledged == after.total) {
                (void) printf("acknowledged %llu\n", (unsigned long long) after.total);
                (void) fflush(stdout);
        }
}

static void on_modify(Replay *replay, Peer *peer, const Request *r) {
        replay->modacks++;
        if (body_number(r, "\"ackDeadlineSeconds\"") == 0) {
                each_ack_id(replay, r, backlog_return);
                loop_each(replay->loop, wake, replay);
        }
        reply_text(peer, 200, "{}\n");
}

static void on_publish(Replay *replay, Peer *peer, const Request *r) {
        static const char needle[] = "\"data\":";
        const char *at = r->body, *end = r->body + r->content_length;
        uint64_t before = replay->published;

        if (replay->publish_status != 200) {
                replay->refused++;
                reply_text(peer, replay->publish_status,
                        "{\"error\":{\"code\":503,\"message\":\"The benchmark refuses.\",\"status\":\"UNAVAILABLE\"}}");
                return;
        }
        replay->scratch.size = 0;
        buffer_format(&replay->scratch, "{\n  \"messageIds\": [");
        while (at < end && (at = memmem(at, (size_t) (end - at), needle, strlen(needle)))) {
                buffer_format(&replay->scratch, "%s\n    \"%llu\"", replay->published == before ? "" : ",",
                        1000000ULL + replay->published);
                replay->published++;
                at += strlen(needle);
        }
        buffer_format(&replay->scratch, "\n  ]\n}\n");
        replay->publishes++;
        replay->last_publish = loop_now();
        if (!replay->first_publish)
                replay->first_publish = replay->last_publish;
        reply(peer, 200, "", replay->scratch.data, replay->scratch.size);
        if (before < replay->expect_published && replay->published >= replay->expect_published) {
                (void) printf("published %llu\n", (unsigned long long) replay->published);
                (void) fflush(stdout);
        }
}

static void on_devices(Replay *replay, Peer *peer) {
        char headers[256], date[64];
        time_t now = time(NULL);
        struct tm tm;

        replay->polls++;
        (void) strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
        (void) snprintf(headers, sizeof headers,
                "Date: %s\r\nX-Rate-Limit-Limit: 30\r\nX-Rate-Limit-Remaining: 29\r\nX-Rate-Limit-Reset: %lld\r\n",
                date, (long long) now + 300);
        replay->scratch.size = 0;
        messages_devices(replay->devices, &replay->scratch);
        reply(peer, 200, headers, replay->scratch.data, replay->scratch.size);
}

static void on_stats(Replay *replay, Peer *peer) {
        BacklogStats s;
        char text[1024];

        backlog_stats(replay->backlog, &s);
        (void) snprintf(text, sizeof text,
                "{\"total\": %llu, \"produced\": %llu, \"delivered\": %llu, \"acknowledged\": %llu, \"acknowledged_again\": %llu, "
                "\"unknown\": %llu, "
                "\"returned\": %llu, \"pulls\": %llu, \"empty_pulls\": %llu, \"acks\": %llu, \"modacks\": %llu, \"polls\": %llu, "
                "\"publishes\": %llu, "
                "\"published\": %llu, \"refused\": %llu, \"first_pull\": %llu, \"last_ack\": %llu, \"first_publish\": %llu, "
                "\"last_publish\": %llu}\n",
                (unsigned long long) s.total, (unsigned long long) s.produced, (unsigned long long) s.delivered,
                (unsigned long long) s.acknowledged, (unsigned long long) s.again, (unsigned long long) s.unknown,
                (unsigned long long) s.returned, (unsigned long long) replay->pulls,
                (unsigned long long) replay->empty_pulls, (unsigned long long) replay->acks,
                (unsigned long long) replay->modacks, (unsigned long long) replay->polls,
                (unsigned long long) replay->publishes, (unsigned long long) replay->published,
                (unsigned long long) replay->refused, (unsigned long long) replay->first_pull,
                (unsigned long long) replay->last_ack, (unsigned long long) replay->first_publish,
                (unsigned long long) replay->last_publish);
        reply_text(peer, 200, text);
}

/* A topic, or a subscription of a topic of that name. */
static void on_resource(Peer *peer, const Request *r) {
        char text[1024];
        int n = (int) (r->path_size - strlen("/v1/"));

        if (memmem(r->path, r->path_size, "/topics/", 8))
                (void) snprintf(text, sizeof text, "{\n  \"name\": \"%.*s\"\n}\n", n, r->path + strlen("/v1/"));
        else
                (void) snprintf(text, sizeof text,
                        "{\n  \"name\": \"%.*s\",\n  \"topic\": \"projects/bench/topics/bench\",\n  \"pushConfig\": {},\n  "
                        "\"ackDeadlineSeconds\": 60,\n"
                        "  \"messageRetentionDuration\": \"604800s\",\n  \"expirationPolicy\": {},\n  \"state\": \"ACTIVE\"\n}\n",
                        n, r->path + strlen("/v1/"));
        reply_text(peer, 200, text);
}

static void route(Replay *replay, Peer *peer, const Request *r) {
        if (ends_with(r, ":pull"))
                on_pull(replay, peer, r);
        else if (ends_with(r, ":acknowledge"))
                on_acknowledge(replay, peer, r);
        else if (ends_with(r, ":modifyAckDeadline"))
                on_modify(replay, peer, r);
        else if (ends_with(r, ":publish"))
                on_publish(replay, peer, r);
        else if (ends_with(r, "/1/devices"))
                on_devices(replay, peer);
        else if (ends_with(r, "/token"))
                reply_text(peer, 200, "{\"access_token\":\"bench\",\"expires_in\":3600,\"token_type\":\"Bearer\"}\n");
        else if (ends_with(r, "/_stats"))
                on_stats(replay, peer);
        else if (r->path_size > 4 && memcmp(r->path, "/v1/", 4) == 0 && !memchr(r->path + 4, ':', r->path_size - 4))
                on_resource(peer, r);
        else
                reply_text(
                        peer, 404, "{\"error\":{\"code\":404,\"message\":\"Not replayed.\",\"status\":\"NOT_FOUND\"}}");
}

static ssize_t on_input(Peer *peer, char *data, size_t size) {
        Request request = {};
        size_t head = parse_head(&request, data, size);

        if (head == 0)
                return size > 64 * 1024 ? -1 : 0;
        if (size < head + request.content_length) {
                if (request.expects_continue && size == head && peer->out.size == 0)
                        buffer_format(&peer->out, "HTTP/1.1 100 Continue\r\n\r\n");
                return 0;
        }
        route(loop_userdata(peer->loop), peer, &request);
        return (ssize_t) (head + request.content_length);
}

/* Produces what is due by now and hands it to the pulls that hang. */
static void on_tick(void *userdata) {
        Replay *replay = userdata;
        uint64_t now = loop_now(), due;
        BacklogStats stats;

        backlog_stats(replay->backlog, &stats);
        due = now < replay->started ? 0 : (now - replay->started) * replay->rate / 1000000U;
        if (due > stats.produced)
                backlog_produce(replay->backlog, due - stats.produced, loop_wall());
        loop_each(replay->loop, wake, replay);
        if (stats.produced < stats.total)
                loop_set_tick(replay->loop, now + (replay->rate < 1000 ? 1000000U / replay->rate / 10 + 1 : TICK_USEC));
}

static void on_close(Peer *peer) {
        pull_end(peer);
}

static void parse_options(Replay *replay, int argc, char **argv, uint64_t *ret_backlog, uint16_t *ret_port) {
        static const struct option options[] = {
                { "port", required_argument, NULL, 'p' },
                { "backlog", required_argument, NULL, 'n' },
                { "hang-ms", required_argument, NULL, 'h' },
                { "rate", required_argument, NULL, 'r' },
                { "rate-delay-ms", required_argument, NULL, 'w' },
                { "devices", required_argument, NULL, 'd' },
                { "publish-status", required_argument, NULL, 's' },
                { "expect-published", required_argument, NULL, 'e' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                uint64_t value = optarg ? strtoull(optarg, NULL, 10) : 0;

                switch (c) {
                case 'p':
                        *ret_port = (uint16_t) value;
                        break;
                case 'n':
                        *ret_backlog = value;
                        break;
                case 'h':
                        replay->hang = value * 1000;
                        break;
                case 'r':
                        replay->rate = value;
                        break;
                case 'w':
                        replay->start_delay = value * 1000;
                        break;
                case 'd':
                        replay->devices = (unsigned) value;
                        break;
                case 's':
                        replay->publish_status = (int) value;
                        break;
                case 'e':
                        replay->expect_published = value;
                        break;
                default:
                        errx(64,
                                "usage: replay-pubsub [--port P] [--backlog N] [--hang-ms T] [--rate R [--rate-delay-ms T]] [--devices N] "
                                "[--publish-status CODE] [--expect-published N]");
                }
        }
}

int main(int argc, char **argv) {
        Replay replay = { .hang = 90 * 1000000ULL, .devices = 1, .publish_status = 200, .start_delay = 1000000 };
        LoopHandler handler = {
                .on_input = on_input, .on_due = on_due, .on_close = on_close, .on_tick = on_tick, .userdata = &replay
        };
        uint64_t backlog = 0;
        uint16_t port = 0;

        parse_options(&replay, argc, argv, &backlog, &port);
        replay.backlog = backlog_new(backlog, replay.rate > 0);
        replay.messages = messages_new(replay.rate > 0);
        replay.loop = loop_new(port, &handler);
        replay.started = loop_now() + replay.start_delay;
        if (replay.rate > 0)
                loop_set_tick(replay.loop, replay.started);
        loop_run(replay.loop);
        replay.backlog = backlog_free(replay.backlog);
        replay.messages = messages_free(replay.messages);
        buffer_done(&replay.scratch);
        return EXIT_SUCCESS;
}
