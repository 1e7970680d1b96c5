/* SPDX-License-Identifier: Apache-2.0 */
/* lib/http.h over a network of the simulation: each request is an Exchange, whose fate is drawn when it starts. */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alert-targets.h"
#include "alerts.h"
#include "arena.h"
#include "counts.h"
#include "exchange.h"
#include "latest.h"
#include "plan.h"
#include "points.h"
#include "pubsub.h"
#include "remotes.h"

#define PULLS_SPARE 2 /* those of a configuration that ends, too */
#define STORM_SPAN USEC_PER_MINUTE
#define STORM_MAX 240 /* requests to one end within a minute that brought nothing */
#define STORM_ACKS_MAX (SUBSCRIPTIONS_MAX * 10 * STORM_MAX) /* each batch has its own, and of those there are many */

struct Http {
        unsigned requests, pulls;
};

struct HttpRequest {
        Http *http;
        Exchange *exchange;
        HttpDone done;
        void *userdata;
        Bytes sent;
};

static bool is_alert_target(Target target) {
        return target >= ALERT_TARGET_FIRST && target < ALERT_TARGET_FIRST + ALERT_TARGETS;
}

/* ---- the exchange ---- */

Exchange *exchange_ref(Exchange *x) {
        x->references++;
        return x;
}

Exchange *exchange_unref(Exchange *x) {
        if (--x->references > 0)
                return NULL;
        arena_free(x->method);
        arena_free(x->url);
        arena_free(x->body);
        arena_free(x->bearer);
        arena_free(x->headers);
        arena_free(x->reply);
        arena_free(x->reply_headers);
        arena_free(x);
        return NULL;
}

bool exchange_is_dropped(const Exchange *x) {
        return x->life != world->life || !x->client;
}

static char *append_line(char *lines, const char *line) {
        size_t before = lines ? strlen(lines) : 0, size = strlen(line);

        lines = arena_resize(lines, before + size + 2);
        memcpy(lines + before, line, size);
        memcpy(lines + before + size, "\n", 2);
        return lines;
}

void exchange_header(Exchange *x, const char *format, ...) {
        char line[512];
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(line, sizeof(line), format, arguments);
        va_end(arguments);
        x->reply_headers = append_line(x->reply_headers, line);
}

static void later(Exchange *x, usec_t at, void (*run)(void *subject, uint64_t number), uint64_t number) {
        world_at(at, run, exchange_ref(x), number, 0);
}

/* ---- the way back ---- */

/* Requests in one direction that bring nothing must not come one after the other. */
static void watch_storm(const Exchange *x, bool progress) {
        static struct {
                usec_t since;
                unsigned n;
        } storms[_TARGET_MAX];
        static unsigned life;

        if (life != world->life) {
                memset(storms, 0, sizeof(storms));
                life = world->life;
        }
        if (progress && x->target == TARGET_HOOK) /* which is asked for each document that another was refused with */
                storms[x->target].n = 0;
        if (progress && storms[x->target].n > 0) /* of many that bring something, as many may bring nothing */
                storms[x->target].n--;
        if (progress)
                return;
        if (world->now - storms[x->target].since > STORM_SPAN) {
                storms[x->target].since = world->now;
                storms[x->target].n = 0;
        }
        if (++storms[x->target].n > (x->target == TARGET_ACK ? STORM_ACKS_MAX : STORM_MAX))
                world_fail("%u requests to %s within a minute brought nothing", storms[x->target].n,
                        weather_target_name(x->target));
}

static const char *describe(HttpOutcome outcome, int status, char *text, size_t size) {
        switch (outcome) {
        case HTTP_ANSWERED:
                (void) snprintf(text, size, "HTTP %d", status);
                return text;
        case HTTP_UNREACHABLE:
                return "connection refused";
        case HTTP_TLS:
                return "TLS handshake failed";
        case HTTP_TIMEOUT:
                return "no reply in time";
        case HTTP_CUT:
                return "connection lost while waiting for the reply";
        case HTTP_TOO_LARGE:
                return "the reply is larger than allowed";
        }
        return "";
}

static void leave(HttpRequest *request) {
        request->http->requests--;
        request->http->pulls -= request->exchange->target == TARGET_PULL;
}

static HttpReply make_reply(Exchange *x, HttpOutcome outcome, char *detail, size_t size) {
        HttpReply reply = { .outcome = outcome, .request = x->client, .sent = bytes_steal(&x->client->sent) };

        if (outcome == HTTP_ANSWERED) {
                reply.status = x->status;
                reply.retry_after = x->retry_after;
                reply.date = world_true_time() / USEC_PER_SEC * USEC_PER_SEC;
                if (x->reply_size > 0 && bytes_append(&reply.body, x->reply, x->reply_size) < 0)
                        abort();
        }
        reply.detail = describe(outcome, reply.status, detail, size);
        return reply;
}

static void deliver(Exchange *x, HttpOutcome outcome) {
        HttpRequest *request = x->client;
        bool good = outcome == HTTP_ANSWERED && x->status < 300;
        char detail[64];
        HttpReply reply;

        if (outcome == HTTP_ANSWERED && x->reply_size > x->max_reply)
                outcome = HTTP_TOO_LARGE;
        world_trace("http %s %s: %s", x->method, x->url, describe(outcome, x->status, detail, sizeof(detail)));
        reply = make_reply(x, outcome, detail, sizeof(detail));
        watch_storm(x, good && x->progress);
        if (outcome == HTTP_ANSWERED)
                pubsub_answered(x, good);
        if (!good && x->fault != FAULT_NONE)
                pubsub_troubled(x);
        world_door_of(weather_target_name(x->target), good ? " answer good" : " answer bad");
        if (good && x->fault != FAULT_GARBLED && x->fault != FAULT_PORTAL && x->target == TARGET_REMO)
                remotes_remo_delivered(x->reply);
        if (good && x->fault != FAULT_GARBLED && x->fault != FAULT_PORTAL && x->target == TARGET_POINTS)
                strstr(x->url, "//latest.example/") ? latest_delivered(x) : points_delivered(x);
        if (good && x->fault != FAULT_GARBLED && x->fault != FAULT_PORTAL && x->target == TARGET_PULL)
                pubsub_delivered(x);
        if (is_alert_target(x->target) && x->carried && outcome == HTTP_ANSWERED && (good || x->status == 409))
                alerts_answered(x);
        if (is_alert_target(x->target) && outcome == HTTP_ANSWERED)
                alert_target_answered(x, good);
        x->client = NULL;
        request->done(request->userdata, &reply);
        bytes_done(&reply.body);
        bytes_done(&reply.sent);
        leave(request);
        free(request);
        world_door_of(weather_target_name(x->target), " done");
}

/* *number*: HttpOutcome. */
static void on_end(void *subject, uint64_t number) {
        Exchange *x = subject;

        if (!exchange_is_dropped(x))
                deliver(x, (HttpOutcome) number);
        exchange_unref(x);
}

static void end(Exchange *x, usec_t at, HttpOutcome outcome) {
        later(x, at < x->deadline ? at : x->deadline, on_end, at < x->deadline ? outcome : HTTP_TIMEOUT);
}

void exchange_answer(Exchange *x, int status, const char *body, size_t size) {
        usec_t now = world->now, patience = x->deadline > now ? x->deadline - now : 0;

        x->status = status;
        x->reply = arena_copy(body, size);
        x->reply_size = size;
        switch (x->fault) {
        case FAULT_UNANSWERED:
                return end(x, x->deadline, HTTP_TIMEOUT);
        case FAULT_CUT_LATE:
                return end(x, now + world_latency(20 * USEC_PER_SEC), HTTP_CUT);
        case FAULT_SLOW:
                return end(x, now + draw_below(&world->chance, patience + patience / 4), HTTP_ANSWERED);
        case FAULT_BROKEN_LATE:
                x->status = 503;
                x->reply_size = 0;
                return end(x, now + world_latency(10 * USEC_PER_SEC), HTTP_ANSWERED);
        case FAULT_GARBLED:
                x->reply_size = draw_below(&world->chance, size);
                return end(x, now + world_latency(USEC_PER_SEC), HTTP_ANSWERED);
        default:
                return end(x, now + world_latency(100 * USEC_PER_MSEC), HTTP_ANSWERED);
        }
}

/* ---- the way there ---- */

static void on_arrival(void *subject, uint64_t number) {
        Exchange *x = subject;

        switch (x->target) {
        case TARGET_PULL:
        case TARGET_PUBLISH:
        case TARGET_ACK:
        case TARGET_LOOK:
                pubsub_serve(x);
                break;
        default:
                x->carried = true;
                remotes_serve(x);
        }
        exchange_unref(x);
}

/* Now and then they repeat what they were asked, secrets too. */
static const char *words_of(const Exchange *x) {
        if (draw_below(&world->chance, 2) == 0)
                return "simulated";
        return x->bearer && draw_below(&world->chance, 2) == 0 ? x->bearer : x->url;
}

static void answer_error(Exchange *x, int status, const char *word) {
        static const char page[] = "<!doctype html><html><head><title>Error</title></head><body>Sorry.</body></html>";
        char body[512];

        if (!word)
                return exchange_answer(x, status, page, strlen(page));
        (void) snprintf(body, sizeof(body), "{\"error\":{\"code\":%d,\"message\":\"%s\",\"status\":\"%s\"}}", status,
                words_of(x), word);
        exchange_answer(x, status, body, strlen(body));
}

static void answer_busy(Exchange *x) {
        static const int statuses[] = { 429, 503, 503 };

        if (draw_below(&world->chance, 2) == 0) {
                x->retry_after = (1 + draw_skewed(&world->chance, 300)) * USEC_PER_SEC;
                exchange_header(x, "Retry-After: %" PRIu64, x->retry_after / USEC_PER_SEC);
        }
        answer_error(x, statuses[draw_below(&world->chance, 3)],
                draw_below(&world->chance, 2) == 0 ? "RESOURCE_EXHAUSTED" : NULL);
}

/* A page, or an object that says nothing. */
static void answer_portal(Exchange *x) {
        if (x->target == TARGET_HOOK || (is_alert_target(x->target) && draw_below(&world->chance, 2) == 0))
                return answer_error(x, 302, NULL);
        if (is_alert_target(x->target) || draw_below(&world->chance, 2) == 0)
                return answer_error(x, 200, NULL);
        exchange_answer(x, 200, "{}", 2);
}

/* What stands before the server answers in its place. */
static void on_front(void *subject, uint64_t number) {
        static const int broken[] = { 500, 502, 504, 408, 500 };
        Exchange *x = subject;

        switch (x->fault) {
        case FAULT_DENIED:
                answer_error(x, 403, "PERMISSION_DENIED");
                break;
        case FAULT_MISSING:
                answer_error(x, x->target == TARGET_HOOK ? 408 : 404, "NOT_FOUND");
                break;
        case FAULT_BUSY:
                answer_busy(x);
                break;
        case FAULT_UNAUTHORIZED:
                answer_error(x, 401, "UNAUTHENTICATED");
                break;
        case FAULT_PORTAL:
                answer_portal(x);
                break;
        case FAULT_PROXY:
                answer_error(x, x->target == TARGET_HOOK ? 407 : 403 + (int) draw_below(&world->chance, 2), NULL);
                break;
        default:
                answer_error(x, broken[draw_below(&world->chance, 5)],
                        draw_below(&world->chance, 2) == 0 ? "UNAVAILABLE" : NULL);
        }
        exchange_unref(x);
}

static void depart(Exchange *x) {
        usec_t now = world->now;

        switch (x->fault) {
        case FAULT_UNREACHABLE:
                return end(x, now + world_latency(30 * USEC_PER_SEC), HTTP_UNREACHABLE);
        case FAULT_TLS:
                return end(x, now + world_latency(USEC_PER_SEC), HTTP_TLS);
        case FAULT_LOST:
                return end(x, x->deadline, HTTP_TIMEOUT);
        case FAULT_CUT_EARLY:
                return end(x, now + world_latency(20 * USEC_PER_SEC), HTTP_CUT);
        case FAULT_DENIED:
        case FAULT_MISSING:
        case FAULT_BUSY:
        case FAULT_BROKEN:
        case FAULT_UNAUTHORIZED:
        case FAULT_PORTAL:
        case FAULT_PROXY:
                return later(x, now + world_latency(USEC_PER_SEC), on_front, 0);
        default:
                later(x, now + world_latency(100 * USEC_PER_MSEC), on_arrival, 0);
                return later(x, x->deadline, on_end, HTTP_TIMEOUT);
        }
}

/* ---- the client ---- */

int http_new(Loop *loop, const char *user_agent, Http **ret) {
        *ret = calloc(1, sizeof(Http));
        return *ret ? 0 : -ENOMEM;
}

Http *http_free(Http *http) {
        if (!http)
                return NULL;
        if (http->requests > 0)
                world_fail("%u requests are left at the end", http->requests);
        free(http);
        return NULL;
}

static Target target_of(const HttpSpec *spec) {
        static const struct {
                const char *part;
                Target target;
        } parts[] = {
                { ":pull", TARGET_PULL },
                { ":publish", TARGET_PUBLISH },
                { ":acknowledge", TARGET_ACK },
                { ":modifyAckDeadline", TARGET_ACK },
                { "//pubsub.googleapis.com/", TARGET_LOOK },
                { "//oauth2.googleapis.com/", TARGET_TOKEN },
                { "//api.nature.global/", TARGET_REMO },
                { "//points.example/", TARGET_POINTS },
                { "//latest.example/", TARGET_POINTS },
                { "//hook.example/", TARGET_HOOK },
                { "//api.line.me/", TARGET_LINE },
                { "//hooks.slack.example/", TARGET_SLACK },
                { "//pager.example/", TARGET_PAGER },
                { "//ntfy.example", TARGET_NTFY },
                { "//discord.example/", TARGET_DISCORD },
        };

        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
                if (strstr(spec->url, parts[i].part))
                        return parts[i].target;
        world_fail("a request to a place that is not there: %s", spec->url);
}

static Exchange *make_exchange(const HttpSpec *spec) {
        Exchange *x = arena_alloc(sizeof(Exchange));
        usec_t patience = spec->timeout;

        if (spec->stall > 0 && spec->stall + spec->stall / 4 < patience)
                patience = spec->stall + spec->stall / 4;
        x->life = world->life;
        x->references = 1;
        x->target = target_of(spec);
        x->method = arena_text(spec->method);
        x->url = arena_text(spec->url);
        x->bearer = spec->bearer ? arena_text(spec->bearer) : NULL;
        for (const char *const *header = spec->headers; header && *header; header++)
                x->headers = append_line(x->headers, *header);
        x->body = arena_copy(spec->body.data, spec->body.size);
        x->body_size = spec->body.size;
        x->started = world->now;
        x->deadline = world->now + patience;
        x->max_reply = spec->max_reply;
        x->fault = weather_fault(x->target);
        if (x->fault != FAULT_NONE)
                pubsub_troubled(x);
        return x;
}

int http_start(Http *http, HttpSpec *spec, HttpDone done, void *userdata, HttpRequest **ret) {
        HttpRequest *request;

        if (http_url_check(spec->url) == HTTP_URL_MALFORMED)
                return -EINVAL;
        request = calloc(1, sizeof(HttpRequest));
        if (!request)
                return -ENOMEM;
        *request = (HttpRequest){ http, make_exchange(spec), done, userdata, bytes_steal(&spec->body) };
        request->exchange->client = request;
        world_door_of(weather_target_name(request->exchange->target), " start");
        pubsub_check(request->exchange);
        world_trace("http %s %s, %zu bytes", spec->method, spec->url, request->sent.size);
        if (is_alert_target(request->exchange->target)) {
                alert_target_asked(request->exchange);
                alerts_asked(request->exchange->target);
        }
        depart(request->exchange);
        exchange_unref(request->exchange);
        http->requests++;
        http->pulls += request->exchange->target == TARGET_PULL;
        if (http->pulls > PULLS_SPARE * plan_subscriptions() * plan_pulls_max())
                world_fail("%u pulls at once", http->pulls);
        *ret = request;
        world_door_of(weather_target_name(request->exchange->target), " sent");
        return 0;
}

HttpRequest *http_cancel(HttpRequest *request) {
        if (!request)
                return NULL;
        request->exchange->client = NULL;
        leave(request);
        bytes_done(&request->sent);
        free(request);
        return NULL;
}

const char *http_reply_header(const HttpReply *reply, const char *name) {
        size_t size = strlen(name);
        char *line = reply->request->exchange->reply_headers;
        static char value[256];

        for (; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (strncasecmp(line, name, size) == 0 && line[size] == ':') {
                        (void) snprintf(
                                value, sizeof(value), "%.*s", (int) strcspn(line + size + 2, "\n"), line + size + 2);
                        return value;
                }
        return NULL;
}
