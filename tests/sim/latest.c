/* SPDX-License-Identifier: Apache-2.0 */
#include "latest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "ledger.h"

#define TOKEN_SPAN (30 * USEC_PER_MINUTE)

typedef struct Latest {
        uint32_t serial; /* of the last answer that came whole; 0: none did */
        unsigned token;
        usec_t given; /* the last token */
} Latest;

static void serve_token(Exchange *x) {
        Latest *l = world->latest;
        char body[160];

        if (!strstr(x->body, "grant_type=client_credentials") || !strstr(x->body, "client_secret=" LATEST_SECRET))
                world_fail("a token is asked for without the client's secret: %s", x->body);
        l->token++;
        l->given = world->now;
        x->progress = true;
        world_count("latest token");
        (void) snprintf(body, sizeof(body), "{\"access_token\":\"" LATEST_SECRET "-%u\",\"expires_in\":%d}", l->token,
                (int) (TOKEN_SPAN / USEC_PER_SEC));
        exchange_answer(x, 200, body, strlen(body));
}

static bool token_is_good(const Exchange *x) {
        const Latest *l = world->latest;
        const char *found = x->headers ? strstr(x->headers, "Bearer " LATEST_SECRET "-") : NULL;
        const char *number = found ? found + strlen("Bearer " LATEST_SECRET "-")
                             : x->bearer && strncmp(x->bearer, LATEST_SECRET "-", strlen(LATEST_SECRET "-")) == 0
                                     ? x->bearer + strlen(LATEST_SECRET "-")
                                     : NULL;

        return number && strtoul(number, NULL, 10) == l->token && world->now < l->given + TOKEN_SPAN;
}

static void serve_value(Exchange *x) {
        char body[256], at[CLOCK_RFC3339_SIZE];

        x->progress = true;
        (void) snprintf(body, sizeof(body),
                "{\"status\":\"ok\",\"sensor\":\"latest\",\"at\":\"%s\",\"newest_events\":{\"te\":{\"val\":%u}}}",
                clock_format_rfc3339(world_true_time(), at), ledger_serve());
        exchange_answer(x, 200, body, strlen(body));
}

void latest_serve(Exchange *x) {
        if (strstr(x->url, "/token"))
                return serve_token(x);
        if (!token_is_good(x))
                return x->progress = true, exchange_answer(x, 401, "{}", 2);
        serve_value(x);
}

void latest_delivered(const Exchange *x) {
        uint32_t serial = x->reply ? ledger_find(x->reply, x->reply_size) : 0;

        if (serial == 0)
                return;
        ledger_delivered(serial);
        world->latest->serial = serial;
}

bool latest_settled(void) {
        const Latest *l = world->latest;

        return !l || (l->serial > 0 && ledger_is_put(l->serial));
}

void latest_check(void) {
        if (!latest_settled())
                world_fail("the latest value is not on disk");
}

void latest_new(void) {
        world->latest = arena_alloc(sizeof(Latest));
}
