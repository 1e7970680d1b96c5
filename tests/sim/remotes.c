/* SPDX-License-Identifier: Apache-2.0 */
#include "remotes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alert-targets.h"
#include "alerts.h"
#include "arena.h"
#include "hook.h"
#include "latest.h"
#include "ledger.h"
#include "plan.h"
#include "points.h"

#define TOKEN_SPAN USEC_PER_HOUR
#define SKEW_MAX_SEC 300 /* of an assertion's times, at Google */
#define REMO_LIMIT 30    /* requests within a window */
#define REMO_WINDOW (5 * USEC_PER_MINUTE)

typedef struct Remotes {
        uint64_t token, token_first; /* the last one that was given; the first that was not revoked */
        usec_t *given;               /* by number */
        size_t given_allocated;
        usec_t window;
        unsigned requests;
} Remotes;

void remotes_new(void) {
        world->remotes = arena_alloc(sizeof(Remotes));
        world->remotes->token_first = 1;
}

/* ---- tokens ---- */

bool remotes_token_is_good(const char *bearer) {
        const Remotes *r = world->remotes;
        uint64_t number;

        if (!bearer || sscanf(bearer, "ya29.%" SCNu64, &number) != 1 || number == 0 || number > r->token)
                return false;
        return number >= r->token_first && world->now < r->given[number] + TOKEN_SPAN;
}

void remotes_revoke_tokens(void) {
        world->remotes->token_first = world->remotes->token + 1;
}

/* Whether the assertion's time is about the right one. */
static bool is_in_time(const Exchange *x) {
        const char *claims = strstr(x->body, "assertion=e30."), *iat;
        char text[1024];
        size_t size;
        int64_t off;

        if (!claims)
                world_fail("a request for a token without an assertion");
        claims += strlen("assertion=e30.");
        size = strcspn(claims, ".");
        if (size > sizeof(text) || bytes_decode_base64(claims, size, text, &size) < 0)
                world_fail("an assertion that cannot be read");
        text[size < sizeof(text) ? size : sizeof(text) - 1] = '\0';
        iat = strstr(text, "\"iat\":");
        off = iat ? strtoll(iat + strlen("\"iat\":"), NULL, 10) - (int64_t) (world_true_time() / USEC_PER_SEC)
                  : INT32_MAX;
        return off < SKEW_MAX_SEC && off > -SKEW_MAX_SEC;
}

static void serve_token(Exchange *x) {
        static const char refused[] =
                "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT: Token must be a "
                "short-lived token (60 minutes) and in a reasonable timeframe.\"}";
        Remotes *r = world->remotes;
        char body[160];

        x->progress = true;
        if (!is_in_time(x))
                return exchange_answer(x, 400, refused, strlen(refused));
        if (++r->token >= r->given_allocated) {
                r->given_allocated = r->given_allocated > 0 ? r->given_allocated * 2 : 64;
                r->given = arena_resize(r->given, r->given_allocated * sizeof(usec_t));
        }
        r->given[r->token] = world->now;
        (void) snprintf(body, sizeof(body),
                "{\"access_token\":\"ya29.%" PRIu64 "\",\"expires_in\":%d,\"token_type\":\"Bearer\"}", r->token,
                (int) (TOKEN_SPAN / USEC_PER_SEC) - 1);
        exchange_answer(x, 200, body, strlen(body));
}

/* ---- Nature Remo ---- */

static void remo_count(Exchange *x) {
        Remotes *r = world->remotes;

        if (world->now >= r->window) {
                r->window = world->now + REMO_WINDOW;
                r->requests = 0;
        }
        r->requests++;
        exchange_header(x, "X-Rate-Limit-Limit: %d", REMO_LIMIT);
        exchange_header(x, "X-Rate-Limit-Remaining: %d", r->requests < REMO_LIMIT ? REMO_LIMIT - (int) r->requests : 0);
        exchange_header(
                x, "X-Rate-Limit-Reset: %" PRIu64, (world_true_time() + (r->window - world->now)) / USEC_PER_SEC);
}

static void serve_remo(Exchange *x) {
        char body[8192], created[CLOCK_RFC3339_SIZE];
        size_t n = 0;
        uint32_t serial;
        double level;

        remo_count(x);
        if (world->remotes->requests > REMO_LIMIT)
                return exchange_answer(x, 429, "{\"code\":429001}", strlen("{\"code\":429001}"));
        (void) clock_format_rfc3339(world_true_time(), created);
        n += (size_t) snprintf(body, sizeof(body), "[");
        for (unsigned i = 0; i < plan_devices(); i++) {
                if (!alerts_level(i, &level) || (world->phase != PHASE_WEATHER && plan_is_silent()))
                        continue;
                serial = ledger_serve();
                n += (size_t) snprintf(body + n, sizeof(body) - n,
                        "%s{\"name\":\"" ALERT_ROOM
                        "%u%s\",\"id\":\"device-%u\",\"created_at\":\"2020-01-01T00:00:00Z\",\"updated_at\":\"%s\","
                        "\"temperature_offset\":0,\"humidity_offset\":0,\"newest_events\":{\"te\":{\"val\":%u,"
                        "\"created_at\":"
                        "\"%s\"},\"hu\":{\"val\":%.7f,\"created_at\":\"%s\"}}}",
                        n > 1 ? "," : "", i, plan_room_words(), i, created, serial, created,
                        level + (double) serial / PLAN_SERIALS, created);
        }
        n += (size_t) snprintf(body + n, sizeof(body) - n, "]");
        x->progress = true;
        exchange_answer(x, 200, body, n);
}

void remotes_remo_delivered(const char *body) {
        for (const char *at = body; (at = strstr(at, "\"te\":{")); at++)
                ledger_delivered(ledger_find(at, strlen(at)));
}

void remotes_serve(Exchange *x) {
        switch (x->target) {
        case TARGET_TOKEN:
                return serve_token(x);
        case TARGET_REMO:
                return serve_remo(x);
        case TARGET_LINE:
        case TARGET_SLACK:
        case TARGET_PAGER:
        case TARGET_NTFY:
        case TARGET_DISCORD:
                return alert_target_serve(x);
        case TARGET_POINTS:
                return world->latest && strstr(x->url, "//latest.example/") ? latest_serve(x) : points_serve(x);
        default:
                return hook_serve(x);
        }
}
