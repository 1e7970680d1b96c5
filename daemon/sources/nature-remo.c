/* SPDX-License-Identifier: Apache-2.0 */
#include "sources/nature-remo.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "events.h"
#include "lib/err.h"
#include "lib/http.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/text.h"
#include "publish/source.h"

#define POLL_TIMEOUT_USEC (30 * USEC_PER_SEC)
/* a smaller difference is normal: Date has full seconds, and some proxies are slow */
#define CLOCK_OFF_USEC (60 * USEC_PER_SEC)
/* length of the rate limit's window, if a 429 does not say when it ends */
#define WINDOW_USEC (5 * USEC_PER_MINUTE)

typedef struct NatureRemo {
        SourceContext context;
        const NatureRemoConfig *keys;
        HttpRequest *request;
        NatureRemoMemory memory;
        bool left_out[2]; /* logged already: for devices, for meters */

        /* for the present poll */
        bool meters;    /* the present request is the second one: /1/appliances */
        usec_t started; /* clock_now() at the start of that request */
        SourcePoll poll;
        char detail[256];
} NatureRemo;

static void nature_remo_close(void *self) {
        NatureRemo *remo = self;

        remo->request = http_cancel(remo->request);
        nature_remo_memory_done(&remo->memory);
}

static int nature_remo_open(void *self) {
        NatureRemo *remo = self;

        remo->keys = remo->context.keys;
        return 0;
}

/* ---- messages ---- */

static _printf_(3, 4) void remo_fail(NatureRemo *remo, SourcePollOutcome outcome, const char *format, ...) {
        va_list arguments;

        remo->poll.outcome = outcome;
        va_start(arguments, format);
        text_print_list(remo->detail, sizeof(remo->detail), format, arguments);
        va_end(arguments);
}

/* Logs once for each request that a device cannot be read; again only after all could be read. */
static void remo_left_out(NatureRemo *remo, int n, const char *error) {
        const char *name = remo->context.config->name;
        bool *said = &remo->left_out[remo->meters];

        if (n > 0 && !*said)
                log_event(LOG_WARNING, NULL, LOG_FIELDS({ FIELD_SOURCE, name }, { FIELD_ERROR, error }),
                        "Source %s: %d of the devices in the reply cannot be read and are left out (%s). The others "
                        "are published.",
                        name, n, error);
        *said = n > 0;
}

static void remo_still(void *userdata, const char *id, const char *name, const char *keys, usec_t span) {
        const NatureRemo *remo = userdata;
        char words[CLOCK_SPAN_SIZE];

        /* each run of `once` would say it anew */
        log_event(remo->context.manual ? LOG_INFO : LOG_WARNING, EVENT_SENSOR_STILL,
                LOG_FIELDS({ FIELD_SOURCE, remo->context.config->name }, { FIELD_DEVICE, id }),
                "Source %s: device %s (%s) has not changed for %s (%s). Is it unplugged, or out of Wi-Fi range? "
                "Logged once until it changes.",
                remo->context.config->name, name[0] ? name : "without a name", id,
                clock_format_span(span, words, sizeof(words)), keys[0] ? keys : "a value");
}

/* Sets what `check` shows. An account without a device is a good answer, but probably not what the user wants. */
static void remo_answered(NatureRemo *remo, size_t n) {
        const char *url = remo->keys->url;

        remo->poll.odd = n == 0;
        if (n == 0)
                text_print(remo->detail, sizeof(remo->detail),
                        "%s answers, but the account has no device: the token belongs to another account, or no "
                        "device is registered",
                        url);
        else
                text_print(remo->detail, sizeof(remo->detail), "%s answers with %zu device%s", url, n, text_s(n));
}

/* ---- the reply ---- */

/* Returns the microseconds that the remote's clock is ahead of ours; 0 if the difference may be chance. */
static int64_t clock_offset(const HttpReply *reply, usec_t wall) {
        int64_t offset;

        if (reply->date == 0)
                return 0;
        offset = (int64_t) (reply->date - wall);
        return offset > (int64_t) CLOCK_OFF_USEC || offset < -(int64_t) CLOCK_OFF_USEC ? offset : 0;
}

static void remo_read(NatureRemo *remo, Slice body, usec_t request_at) {
        usec_t interval = remo->context.config->interval, silence = NATURE_REMO_SILENCE_MAX_USEC;
        NatureRemoReply reply = {
                .source = remo->context.config->name,
                .request_at = request_at,
                .labels = remo->context.labels,
                .random = loop_random,
                .memory = &remo->memory,
                .silence = remo->keys->on_change && interval < silence ? silence - interval : 0,
                .still = remo_still,
                .userdata = remo,
        };
        int r = remo->meters ? nature_remo_parse_meters(&reply, body) : nature_remo_parse(&reply, body);

        if (r == -EBADMSG)
                return remo_fail(remo, SOURCE_UNREACHABLE, "%s; check that url (%s) is that of Nature Remo's API",
                        reply.error, remo->keys->url);
        if (r == 0)
                r = source_put(remo->context.source, &reply.readings);
        if (r < 0) {
                reading_list_done(&reply.readings);
                nature_remo_memory_done(&remo->memory); /* it has noted as published what is not */
                remo->poll.cause = CAUSE_MEMORY;
                return remo_fail(remo, SOURCE_UNREACHABLE, "%s", strerror(-r));
        }
        if (!remo->meters)
                remo_answered(remo, reply.n);
        remo_left_out(remo, reply.n_bad, reply.error);
}

/* The API refuses in JSON: an HTML page comes from a proxy, a firewall or the login of a guest network. */
static bool is_page(const HttpReply *reply) {
        const char *type = http_reply_header(reply, "Content-Type");

        if (reply->status != 403)
                return reply->status == 407;
        return (reply->body.size > 0 && reply->body.data[0] == '<') ||
               (type && strncasecmp(type, "text/html", strlen("text/html")) == 0);
}

/* Handles a status without a usable answer. */
static void remo_refused(NatureRemo *remo, const HttpReply *reply) {
        const NatureRemoConfig *keys = remo->keys;

        if (is_page(reply)) {
                remo->poll.cause = CAUSE_BETWEEN;
                return remo_fail(remo, SOURCE_REFUSED,
                        "something between here and Nature Remo answers (%d), not Nature Remo itself: look at the "
                        "proxy, the firewall or the network's login page",
                        reply->status);
        }
        switch (reply->status) {
        case 401:
        case 403:
                remo_fail(remo, SOURCE_REFUSED,
                        "Nature Remo refuses the access token (%d): it was revoked or pasted wrongly; put a new one "
                        "from home.nature.global in %s and restart sensorqd",
                        reply->status, keys->token.file);
                return;
        case 429:
                remo_fail(remo, SOURCE_LIMITED,
                        "Nature Remo's rate limit is used up (429), by all clients of the account together; a longer "
                        "interval helps");
                return;
        case 300 ... 399:
        case 404:
        case 410:
                remo_fail(remo, SOURCE_REFUSED,
                        "there is no %s list under %s (%d): correct url, or the API was withdrawn",
                        remo->meters ? "appliance" : "device", keys->url, reply->status);
                return;
        default:
                remo_fail(remo, SOURCE_UNREACHABLE, "Nature Remo answers %s", reply->detail);
        }
}

/* Returns the clock_now() before which no poll should be made, the later one by Retry-After and by Nature Remo's own
 * headers; 0: none. */
static usec_t remo_not_before(const HttpReply *reply, usec_t remote_wall, usec_t now) {
        const char *reset = http_reply_header(reply, "X-Rate-Limit-Reset");
        usec_t at, after = reply->retry_after > 0 ? now + reply->retry_after : 0;

        if (reply->status == 429)
                at = nature_remo_reset_at(reset, remote_wall, now);
        else
                at = nature_remo_not_before(http_reply_header(reply, "X-Rate-Limit-Limit"),
                        http_reply_header(reply, "X-Rate-Limit-Remaining"), reset, remote_wall, now);
        at = usec_max(after, at);
        return at == 0 && reply->status == 429 ? now + WINDOW_USEC : at;
}

static void remo_unanswered(NatureRemo *remo, const HttpReply *reply) {
        const char *url = remo->keys->url;

        switch (reply->outcome) {
        case HTTP_TOO_LARGE:
                remo_fail(remo, SOURCE_UNREACHABLE, "the reply is larger than %d bytes", NATURE_REMO_REPLY_MAX);
                break;
        case HTTP_UNREACHABLE:
                remo_fail(remo, SOURCE_UNREACHABLE, "%s cannot be reached: %s; %s", url, reply->detail,
                        reply->want ? "look " CAUSE_MEMORY_PLACES : "check the network and name resolution");
                break;
        case HTTP_TLS:
                remo_fail(remo, SOURCE_UNREACHABLE,
                        "no secure connection to %s: %s; check the source's ca_file and this machine's clock", url,
                        reply->detail);
                break;
        default:
                remo_fail(remo, SOURCE_UNREACHABLE, "no complete answer from %s: %s", url, reply->detail);
        }
}

/* ---- a poll: the devices, then the meters ---- */

static int remo_ask(NatureRemo *remo, bool meters);

/* Handles a complete reply: takes its readings, or reports why it has none. */
static void remo_take(NatureRemo *remo, const HttpReply *reply) {
        usec_t wall = clock_wall(), now = clock_now(), not_before;

        not_before = remo_not_before(reply, reply->date > 0 ? reply->date : wall, now);
        remo->poll.not_before = usec_max(not_before, remo->poll.not_before);
        if (reply->status != 200)
                return remo_refused(remo, reply);
        remo->poll.clock_offset = clock_offset(reply, wall);
        remo_read(remo, (Slice){ reply->body.data ?: "", reply->body.size },
                wall + (usec_t) remo->poll.clock_offset - (now - remo->started));
}

static void remo_done(void *userdata, HttpReply *reply) {
        NatureRemo *remo = userdata;
        int r;

        remo->request = NULL;
        remo->poll.http_status = reply->status;
        if (reply->outcome == HTTP_ANSWERED)
                remo_take(remo, reply);
        else
                remo_unanswered(remo, reply);
        if (remo->poll.outcome != SOURCE_POLLED && remo->poll.cause == CAUSE_NONE)
                remo->poll.cause = cause_of_http(reply);
        if (remo->poll.outcome == SOURCE_POLLED && remo->keys->energy && !remo->meters) {
                r = remo_ask(remo, true);
                if (r >= 0)
                        return;
                remo->poll.cause = CAUSE_MEMORY;
                remo_fail(remo, SOURCE_UNREACHABLE, "%s", strerror(-r));
        }
        source_polled(remo->context.source, &remo->poll);
}

static int remo_ask(NatureRemo *remo, bool meters) {
        _cleanup_free_ char *url = NULL;
        HttpSpec spec = {
                .method = "GET",
                .ca_file = remo->keys->ca_file,
                .bearer = remo->keys->token.text,
                .headers = (const char *const[]){ "Accept: application/json", NULL },
                .timeout = POLL_TIMEOUT_USEC,
                .max_reply = NATURE_REMO_REPLY_MAX,
        };

        assert(!remo->request);
        if (text_format(&url, "%s/1/%s", remo->keys->url, meters ? "appliances" : "devices") < 0)
                return -ENOMEM;
        spec.url = url;
        remo->meters = meters;
        remo->started = clock_now();
        return http_start(remo->context.means.http, &spec, remo_done, remo, &remo->request);
}

static int nature_remo_poll(void *self) {
        NatureRemo *remo = self;

        remo->poll = (SourcePoll){ .outcome = SOURCE_POLLED, .detail = remo->detail };
        remo->detail[0] = '\0';
        return remo_ask(remo, false);
}

/* clang-format off */
static const ConfigRow rows[] = {
        { "token_file", &config_type_token, offsetof(NatureRemoConfig, token), 1, 1024, .flags = CONFIG_REQUIRED,
                .doc = "Access token of the account." },
        { "url", &config_type_url, offsetof(NatureRemoConfig, url), 1, 1024, "https://api.nature.global",
                .doc = "Server of the Nature Remo API." },
        { "ca_file", &config_type_path, offsetof(NatureRemoConfig, ca_file), 1, 1024,
                .doc = "PEM file of CA certificates, used instead of the system's for this source." },
        { "energy", &config_type_bool, offsetof(NatureRemoConfig, energy), .fallback = "false",
                .doc = "Also read the smart meters of Remo E and E lite, with a second request per poll." },
        { "on_change", &config_type_bool, offsetof(NatureRemoConfig, on_change), .fallback = "false",
                .doc = "Publish a device only when a value or its time has changed, and at least once an hour." },
        {},
};
/* clang-format on */

static const ConfigSection section = { NATURE_REMO_TYPE, "The cloud API of Nature Remo.", rows,
        sizeof(NatureRemoConfig), NULL, NULL };

const SourceType source_type_nature_remo = {
        .keys = &section,
        .size = sizeof(NatureRemo),
        .open = nature_remo_open,
        .poll = nature_remo_poll,
        .close = nature_remo_close,
};
