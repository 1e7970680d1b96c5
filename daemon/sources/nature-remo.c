/* SPDX-License-Identifier: Apache-2.0 */
#include "sources/nature-remo.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "lib/err.h"
#include "lib/http.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "publish/source.h"

#define POLL_TIMEOUT_USEC (30 * USEC_PER_SEC)
/* a Date header is cut to seconds and some proxies are slow: less says nothing */
#define CLOCK_OFF_USEC (60 * USEC_PER_SEC)
#define WINDOW_USEC (5 * USEC_PER_MINUTE) /* of the rate limit, when a 429 does not say when it ends */

typedef struct NatureRemo {
        SourceContext context;
        const NatureRemoConfig *keys;
        char *url;
        HttpRequest *request;
        usec_t started;       /* clock_now() of the poll under way */
        bool device_left_out; /* said so already */
        char detail[256];
} NatureRemo;

static void *nature_remo_close(void *self) {
        NatureRemo *remo = self;

        if (!remo)
                return NULL;
        remo->request = http_cancel(remo->request);
        free(remo->url);
        free(remo);
        return NULL;
}

static void remo_freep(NatureRemo **remo) {
        (void) nature_remo_close(*remo);
}

static int nature_remo_open(const SourceContext *context, void **ret_self) {
        _cleanup_(remo_freep) NatureRemo *remo = NULL;
        const NatureRemoConfig *keys = context->keys;

        remo = calloc(1, sizeof(NatureRemo));
        if (!remo)
                return -ENOMEM;
        remo->context = *context;
        remo->keys = keys;
        if (asprintf(&remo->url, "%s/1/devices", keys->url) < 0) {
                remo->url = NULL;
                return -ENOMEM;
        }
        *ret_self = cleanup_steal(remo);
        return 0;
}

/* ---- the reply ---- */

/* How far the remote's clock is ahead of ours, when that is too far to be chance; else 0. */
static int64_t clock_offset(const HttpReply *reply, usec_t wall) {
        int64_t offset;

        if (reply->date == 0)
                return 0;
        offset = (int64_t) (reply->date - wall);
        return offset > (int64_t) CLOCK_OFF_USEC || offset < -(int64_t) CLOCK_OFF_USEC ? offset : 0;
}

/* Says once that a device cannot be read, and once more after it could. */
static void remo_left_out(NatureRemo *remo, int n, const char *error) {
        const char *name = remo->context.config->name;

        if (n > 0 && !remo->device_left_out)
                log_event(LOG_WARNING, NULL, LOG_FIELDS({ FIELD_SOURCE, name }, { FIELD_ERROR, error }),
                        "Source %s: %d of the devices in the reply cannot be read and are left out (%s). The others "
                        "are published.",
                        name, n, error);
        remo->device_left_out = n > 0;
}

/* What `check` shows; no device at all is a good answer that surely was not meant. */
static void remo_answered(NatureRemo *remo, size_t n, SourcePoll *poll) {
        const char *url = remo->keys->url;

        poll->odd = n == 0;
        if (poll->odd)
                (void) snprintf(remo->detail, sizeof(remo->detail),
                        "%.100s answers, but the account has no device: the token belongs to another account, or no "
                        "device is registered",
                        url);
        else
                (void) snprintf(remo->detail, sizeof(remo->detail), "%.100s answers with %zu device%s", url, n,
                        n == 1 ? "" : "s");
}

static void remo_read(NatureRemo *remo, HttpReply *reply, usec_t wall, usec_t now, SourcePoll *poll) {
        _cleanup_(reading_list_done) ReadingList readings = {};
        NatureRemoError error;
        usec_t request_at;
        int n_bad, r;

        poll->clock_offset = clock_offset(reply, wall);
        request_at = wall + (usec_t) poll->clock_offset - (now - remo->started);
        n_bad = nature_remo_parse(reply->body.data ?: "", reply->body.size, remo->context.config->name, request_at,
                loop_random, &readings, &error);
        if (n_bad == -EBADMSG) {
                poll->outcome = SOURCE_UNREACHABLE;
                (void) snprintf(remo->detail, sizeof(remo->detail),
                        "%s; check that url (%s) is that of Nature Remo's API", error.text, remo->keys->url);
                return;
        }
        remo_answered(remo, readings.n + (size_t) (n_bad > 0 ? n_bad : 0), poll);
        r = n_bad < 0 ? n_bad : source_put(remo->context.source, &readings, 0);
        if (r < 0) {
                poll->outcome = SOURCE_UNREACHABLE;
                (void) snprintf(remo->detail, sizeof(remo->detail), "%s", strerror(-r));
                return;
        }
        remo_left_out(remo, n_bad, error.text);
}

/* A status that is no answer to work with. */
static void remo_refused(NatureRemo *remo, const HttpReply *reply, SourcePoll *poll) {
        const NatureRemoConfig *keys = remo->keys;

        switch (reply->status) {
        case 401:
        case 403:
                poll->outcome = SOURCE_REFUSED;
                (void) snprintf(remo->detail, sizeof(remo->detail),
                        "Nature Remo refuses the access token (%d): it was revoked or mis-pasted; put a new one from "
                        "home.nature.global in "
                        "%s and restart sensorqd",
                        reply->status, keys->token.file);
                return;
        case 429:
                poll->outcome = SOURCE_LIMITED;
                (void) snprintf(remo->detail, sizeof(remo->detail),
                        "Nature Remo's rate limit is used up (429), by all clients of the account together; a longer "
                        "interval helps");
                return;
        case 300 ... 399:
        case 404:
        case 410:
                poll->outcome = SOURCE_REFUSED;
                (void) snprintf(remo->detail, sizeof(remo->detail),
                        "there is no device list under %s (%d): mend url, or the API was withdrawn", keys->url,
                        reply->status);
                return;
        default:
                poll->outcome = SOURCE_UNREACHABLE;
                (void) snprintf(remo->detail, sizeof(remo->detail), "Nature Remo answers %s", reply->detail);
        }
}

/* Whatever refuses for a time says for how long in Retry-After; a 429 of Nature Remo itself in its own header. */
static usec_t remo_not_before(const HttpReply *reply, usec_t remote_wall, usec_t now) {
        const char *reset = http_reply_header(reply, "X-Rate-Limit-Reset");
        usec_t at, after = reply->retry_after > 0 ? now + reply->retry_after : 0;

        if (reply->status == 429)
                at = nature_remo_reset_at(reset, remote_wall, now);
        else
                at = nature_remo_not_before(http_reply_header(reply, "X-Rate-Limit-Limit"),
                        http_reply_header(reply, "X-Rate-Limit-Remaining"), reset, remote_wall, now);
        at = after > at ? after : at;
        return at == 0 && reply->status == 429 ? now + WINDOW_USEC : at;
}

static void remo_unanswered(NatureRemo *remo, const HttpReply *reply) {
        const char *url = remo->keys->url;

        switch (reply->outcome) {
        case HTTP_TOO_LARGE:
                (void) snprintf(
                        remo->detail, sizeof(remo->detail), "the reply is larger than %d bytes", NATURE_REMO_REPLY_MAX);
                break;
        case HTTP_UNREACHABLE:
                (void) snprintf(remo->detail, sizeof(remo->detail),
                        "%.80s cannot be reached: %s; check the network and name resolution", url, reply->detail);
                break;
        case HTTP_TLS:
                (void) snprintf(remo->detail, sizeof(remo->detail),
                        "no secure connection to %.80s: %.90s; check the source's ca_file and this machine's clock",
                        url, reply->detail);
                break;
        default:
                (void) snprintf(
                        remo->detail, sizeof(remo->detail), "no whole answer from %.80s: %s", url, reply->detail);
        }
}

static void remo_done(void *userdata, HttpReply *reply) {
        NatureRemo *remo = userdata;
        SourcePoll poll = { .outcome = SOURCE_POLLED, .detail = remo->detail, .http_status = reply->status };
        usec_t wall = clock_wall(), now = clock_now();

        remo->request = NULL;
        remo->detail[0] = '\0';
        if (reply->outcome != HTTP_ANSWERED) {
                poll.outcome = SOURCE_UNREACHABLE;
                remo_unanswered(remo, reply);
        } else {
                poll.not_before = remo_not_before(reply, reply->date > 0 ? reply->date : wall, now);
                if (reply->status == 200)
                        remo_read(remo, reply, wall, now, &poll);
                else
                        remo_refused(remo, reply, &poll);
        }
        source_polled(remo->context.source, &poll);
}

static int nature_remo_poll(void *self) {
        NatureRemo *remo = self;
        HttpSpec spec = {
                .method = "GET",
                .url = remo->url,
                .ca_file = remo->keys->ca_file,
                .bearer = remo->keys->token.text,
                .headers = (const char *const[]){ "Accept: application/json", NULL },
                .timeout = POLL_TIMEOUT_USEC,
                .max_reply = NATURE_REMO_REPLY_MAX,
        };

        assert(!remo->request);
        remo->started = clock_now();
        return http_start(remo->context.http, &spec, remo_done, remo, &remo->request);
}

/* clang-format off */
static const ConfigRow rows[] = {
        { "token_file", &config_type_token, offsetof(NatureRemoConfig, token), 1, 1024, .flags = CONFIG_REQUIRED,
                .doc = "The access token of the account." },
        { "url", &config_type_url, offsetof(NatureRemoConfig, url), 1, 1024, "https://api.nature.global",
                .doc = "Server of Nature Remo's API." },
        { "ca_file", &config_type_path, offsetof(NatureRemoConfig, ca_file), 1, 1024,
                .doc = "PEM file of certificate authorities that replaces the system's for this source." },
        {},
};
/* clang-format on */

static const ConfigSection section = { NATURE_REMO_TYPE, "The cloud API of Nature Remo.", rows,
        sizeof(NatureRemoConfig), NULL, NULL };

extern const SourceType source_type_nature_remo; /* named in types.c only */

const SourceType source_type_nature_remo = {
        .keys = &section,
        .open = nature_remo_open,
        .poll = nature_remo_poll,
        .close = nature_remo_close,
};
