/* SPDX-License-Identifier: Apache-2.0 */
/* Any HTTP API that answers JSON. A poll requests its URLs one after the other, and each page by page; a page is on
 * disk before the next one is requested. With `since`, a poll requests a window of time, and further windows until it
 * has caught up. The cursor moves with the last page of a window, in the same commit, and only if nothing in the window
 * failed. */
/* clang-format off */
/*      IDLE --poll()--> ASKING --a page came--> STORING --it is on disk, there is more--> ASKING
 *       ^                |                       |
 *       +--not asked-----+                       |
 *       +--nothing more, or no room for it-------+ */
/* clang-format on */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/text.h"
#include "publish/source.h"
#include "sources/http-json.h"

#define REQUEST_TIMEOUT_USEC (60 * USEC_PER_SEC)
#define WINDOWS_MAX 32               /* windows in one poll; the rest is for the next poll */
#define LIMITED_USEC USEC_PER_MINUTE /* wait after a 429 without Retry-After */
/* a smaller difference is normal: Date has full seconds, and some proxies are slow */
#define CLOCK_OFF_USEC (60 * USEC_PER_SEC)
#define DETAIL_MAX 400

typedef enum HttpJsonState { STATE_IDLE, STATE_ASKING, STATE_STORING, STATES } HttpJsonState;

_asserted_ static const bool moves[STATES][STATES] = {
        [STATE_IDLE] = { [STATE_ASKING] = true },
        [STATE_ASKING] = { [STATE_STORING] = true, [STATE_IDLE] = true },
        [STATE_STORING] = { [STATE_ASKING] = true, [STATE_IDLE] = true },
};

typedef struct HttpJson {
        SourceContext context;
        const HttpJsonConfig *keys;
        Auth *auth;
        HttpJsonState state;
        LoopWatch *go_on; /* defer: only after stored() is it known whether the data is stored and there is room */
        bool held, checking;
        size_t n_urls; /* in keys->urls */
        int64_t cursor;
        int64_t set;          /* clock_wall() - clock_now() at the last window; 0: there was none */
        bool dated;           /* a server tells the time: the cursor follows its clock, not ours */
        int64_t clock_offset; /* microseconds that the servers' clock is ahead of ours; 0 if that may be chance */
        bool clock_doubted;   /* it is that of a device at home */

        /* for the present poll */
        HttpJsonTimes times;
        HttpJsonWindow window;
        int64_t told; /* the earliest time that its answers told, in seconds; INT64_MAX: none did */
        unsigned windows, pages;
        size_t index;      /* index of the present URL */
        Bytes first, next; /* URLs of the first page and of the next page */
        Bytes asked;       /* see http_json_note_page() */
        bool more;         /* there is a page after the one that is being stored */
        size_t readings, failed;
        size_t points;       /* in this window, known ones included */
        bool too_many;       /* more points in one window than the outbox remembers */
        const char *limited; /* a URL whose server accepts no more requests in this poll; NULL: none */
        SourcePoll poll;
        char detail[DETAIL_MAX];
} HttpJson;

static void json_move(HttpJson *json, HttpJsonState state) {
        assert(moves[json->state][state]);
        json->state = state;
}

static usec_t json_wall(const HttpJson *json) {
        return clock_wall() + (usec_t) json->clock_offset;
}

/* Returns the URL that it is about now. */
static const char *json_url(const HttpJson *json) {
        return json->keys->urls[json->index];
}

/* ---- messages ---- */

/* Returns the length of the URL without its query, cut to 100 bytes. */
static int shown_size(const char *url) {
        return (int) text_cut(url, strcspn(url, "?{"), 100);
}

/* Counts a failure; the first one of a poll is reported. */
static _printf_(4, 5) void json_fail(HttpJson *json, SourcePollOutcome outcome, Cause cause, const char *format, ...) {
        const char *url = json_url(json);
        va_list arguments;
        int n;

        if (json->failed++ > 0)
                return;
        json->poll.outcome = outcome;
        json->poll.cause = cause;
        n = snprintf(json->detail, sizeof(json->detail), "%.*s ", shown_size(url), url);
        va_start(arguments, format);
        text_print_list(json->detail + n, sizeof(json->detail) - (size_t) n, format, arguments);
        va_end(arguments);
}

/* ---- one answer ---- */

/* Finds the next page. If that fails, this URL has failed, but not the others. */
static void json_find_next(HttpJson *json, Slice document) {
        const HttpJsonPaging *paging = json->keys->paging;
        _cleanup_bytes_ Bytes next = {};
        int r;

        if (!paging || json->checking)
                return;
        r = http_json_next(paging, document, json->first.data, &next);
        if (r == HTTP_JSON_MORE)
                r = http_json_note_page(&json->asked, next.data);
        if (r == HTTP_JSON_BACK)
                json_fail(json, SOURCE_UNREACHABLE, CAUSE_OTHER,
                        "leads back to a page that was read already: check paging.next");
        else if (r == HTTP_JSON_MORE && json->pages >= paging->max)
                json_fail(json, SOURCE_UNREACHABLE, CAUSE_OTHER,
                        "has more than %u pages: raise paging.max, or ask for less (since.window)", paging->max);
        else if (r == HTTP_JSON_ELSEWHERE)
                json_fail(json, SOURCE_UNREACHABLE, CAUSE_OTHER,
                        "has something at paging.next that is not a page of the same server (scheme, host and port)");
        else if (r < 0)
                json_fail(json, SOURCE_UNREACHABLE, CAUSE_MEMORY, "%s", strerror(-r));
        else if (r == HTTP_JSON_MORE) {
                bytes_done(&json->next);
                json->next = bytes_steal(&next);
                json->more = true;
        }
}

static bool json_is_last(const HttpJson *json) {
        return !json->more && json->index + 1 == json->n_urls;
}

/* Stores the cursor in the same commit as the last page of a window. */
static int json_put_cursor(HttpJson *json) {
        _cleanup_(reading_list_done) ReadingList list = {};
        int64_t cursor = json->cursor;
        char text[CLOCK_RFC3339_SIZE];
        int r = 0;

        if (json->keys->since && json_is_last(json) && json->failed == 0)
                cursor = http_json_advance(json->keys->since, cursor, &json->window, json->times.now, json->told);
        if (cursor != json->cursor)
                r = reading_list_set_cursor(
                        &list, json->context.config->name, clock_format_rfc3339((usec_t) cursor * USEC_PER_SEC, text));
        if (r >= 0)
                r = source_put(json->context.source, &list);
        if (r < 0)
                return r;
        json->cursor = cursor;
        return 0;
}

static void json_take_document(HttpJson *json, const AuthReply *reply, Slice document) {
        int n = source_take(json->context.source,
                &(SourceDocument){ .text = bytes_slice(&reply->http->body), /* what is odd is told */
                        .arrived = json_wall(json) - (clock_now() - reply->sent_at),
                        .history = json->keys->since != NULL,
                        .repeats = json->keys->reading.once_per == SHAPE_MEASUREMENT });

        if (n < 0)
                return json_fail(json, SOURCE_UNREACHABLE, CAUSE_MEMORY, "%s", strerror(-n));
        json->readings += (size_t) n;
        json->points += (size_t) n;
        json->too_many = json->too_many || (json->keys->since && json->points > READING_SEEN_MAX);
        if (json->keys->since && shape_count(&json->keys->reading, document) > SHAPE_ITEMS_MAX)
                json_fail(json, SOURCE_UNREACHABLE, CAUSE_OTHER,
                        "answers with more than %d items at once, and the rest is missing: ask for less, by paging or "
                        "a shorter since.window and since.overlap",
                        SHAPE_ITEMS_MAX);
        else
                json_find_next(json, document);
}

/* A device at home may have a wrong clock, or tell local time, for ever; ours is set soon. But of a history, the device
 * knows by its clock what was asked for. */
static bool json_knows_time(const HttpJson *json, const HttpReply *reply) {
        return reply->date > 0 && (json->keys->since || http_url_check(json->next.data) != HTTP_URL_PLAIN);
}

static void json_compare_clocks(HttpJson *json, const HttpReply *reply) {
        int64_t off, limit = (int64_t) CLOCK_OFF_USEC;

        if (!json_knows_time(json, reply))
                return;
        json->dated = true;
        if ((int64_t) (reply->date / USEC_PER_SEC) < json->told)
                json->told = (int64_t) (reply->date / USEC_PER_SEC);
        off = (int64_t) (reply->date - json_wall(json));
        if (off <= limit && off >= -limit)
                return;
        off = (int64_t) (reply->date - clock_wall());
        json->clock_offset = off <= limit && off >= -limit ? 0 : off;
        json->clock_doubted = http_url_check(json->next.data) == HTTP_URL_PLAIN;
}

static void json_take(HttpJson *json, const AuthReply *answered) {
        const HttpReply *reply = answered->http;
        HttpJsonAnswer answer;

        json_compare_clocks(json, reply);
        json->poll.clock_offset = json->clock_offset;
        json->poll.clock_doubted = json->clock_doubted;
        if (reply->status == 204)
                return;
        if (http_json_read(json->keys, reply, &answer))
                json_take_document(json, answered, answer.document);
        else {
                if (answer.outcome == SOURCE_LIMITED)
                        json->limited = json_url(json);
                json_fail(json, answer.outcome, answer.cause, "%s", answer.detail);
        }
        bytes_done(&answer.made);
}

/* ---- asking ---- */

static void json_ask(HttpJson *json);

static void json_end(HttpJson *json) {
        const char *url = json->keys->urls[0];

        /* if other URLs answered, one refusal must not slow all of them down */
        if (json->poll.outcome == SOURCE_REFUSED && json->failed < json->n_urls)
                json->poll.outcome = SOURCE_UNREACHABLE;
        json->poll.odd = json->failed == 0 && (json->too_many || (json->checking && json->readings == 0));
        if (json->poll.odd && json->too_many)
                (void) snprintf(json->detail, sizeof(json->detail),
                        "%.*s has more than %d points in one window, which is more than are remembered: each poll "
                        "publishes them again, under the same keys. Shorten since.overlap and since.window",
                        shown_size(url), url, READING_SEEN_MAX);
        else if (json->poll.odd)
                (void) snprintf(json->detail, sizeof(json->detail),
                        "%.*s answers, but nothing in the answer becomes a reading: check `reading`", shown_size(url),
                        url);
        else if (json->failed == 0)
                (void) snprintf(json->detail, sizeof(json->detail), "%.*s answers%s with %zu reading%s",
                        shown_size(url), url, json->n_urls > 1 ? ", and the others," : "", json->readings,
                        text_s(json->readings));
        json_move(json, STATE_IDLE);
        source_polled(json->context.source, &json->poll);
}

/* Makes the URL of the first page in this window. */
static int json_begin_url(HttpJson *json) {
        int r;

        bytes_done(&json->first);
        bytes_done(&json->next);
        bytes_cut(&json->asked, 0);
        json->pages = 0;
        json->more = false;
        r = http_json_expand(json_url(json), &json->times, true, &json->first);
        if (r == 0)
                r = bytes_append_text(&json->next, json->first.data);
        return r < 0 ? r : http_json_note_page(&json->asked, json->first.data);
}

static void json_begin_window(HttpJson *json) {
        int64_t set = (int64_t) (clock_wall() - clock_now()), moved = json->set && !json->dated ? set - json->set : 0;
        HttpJsonSince since;

        json->set = set;
        json->times.now = (int64_t) (json_wall(json) / USEC_PER_SEC);
        json->index = 0;
        json->told = INT64_MAX;
        json->points = 0;
        json->windows++;
        if (!json->keys->since)
                return;
        since = *json->keys->since;
        /* `check` asks for one window: the last one, since a sensor may be younger than the first */
        if (json->checking && since.initial > since.window)
                since.initial = since.window;
        json->cursor = http_json_set_back(json->cursor, moved / (int64_t) USEC_PER_SEC, json->times.now);
        json->window = http_json_window(&since, json->cursor, json->times.now);
        json->times.since = json->window.from;
        json->times.until = json->window.until;
}

static bool json_is_behind(const HttpJson *json) {
        return json->keys->since && json->failed == 0 && !json->checking && json->windows < WINDOWS_MAX &&
               json->cursor != HTTP_JSON_NO_CURSOR && json->cursor == json->window.until &&
               json->cursor < json->times.now;
}

static bool json_is_unwelcome(const HttpJson *json) {
        return json->limited && http_json_same_origin(json->limited, json_url(json));
}

/* Moves to the next page, else the next URL, else the next window. False when there is none. */
static bool json_step(HttpJson *json) {
        if (json->more)
                return true;
        do
                json->index++;
        while (json->index < json->n_urls && json_is_unwelcome(json));
        if (json->index == json->n_urls) {
                json->index = 0;
                if (!json_is_behind(json))
                        return false;
                json_begin_window(json);
        }
        if (json_begin_url(json) < 0) {
                json_fail(json, SOURCE_UNREACHABLE, CAUSE_MEMORY, "%s", strerror(ENOMEM));
                return false;
        }
        return true;
}

static bool json_is_held(const void *self) {
        const HttpJson *json = self;

        return json->held || *json->context.retired;
}

static void json_end_held(HttpJson *json) {
        json_fail(json, SOURCE_UNREACHABLE, CAUSE_OTHER,
                "was not read to the end: the outbox or the disk has no room for more. sensorqd asks again");
        json_end(json);
}

/* `check` while a daemon has the tokens. */
static void json_end_guest(HttpJson *json, const char *why) {
        (void) snprintf(json->detail, sizeof(json->detail), "not asked: %s", why);
        json_move(json, STATE_IDLE);
        source_polled(json->context.source, &json->poll);
}

static void json_go_on(HttpJson *json) {
        if (!json_step(json))
                return json_end(json);
        if (json_is_held(json))
                return json_end_held(json);
        json_move(json, STATE_ASKING);
        json_ask(json);
}

/* Stores the page; stored() is called when it is on disk, and then comes the next request. */
static void json_store(HttpJson *json) {
        int r;

        json_move(json, STATE_STORING);
        r = json_put_cursor(json);
        if (r >= 0)
                return;
        json_fail(json, SOURCE_UNREACHABLE, CAUSE_MEMORY, "%s", strerror(-r));
        loop_wake(json->go_on);
}

static void on_go_on(void *userdata) {
        HttpJson *json = userdata;

        if (json->state == STATE_STORING)
                json_go_on(json);
}

static void json_stored(void *self) {
        HttpJson *json = self;

        if (json->state == STATE_STORING)
                loop_wake(json->go_on);
}

static void json_hold(void *self, bool hold) {
        ((HttpJson *) self)->held = hold;
}

static bool json_must_end(const void *self) {
        return auth_is_fetching(((const HttpJson *) self)->auth);
}

static void json_note_wait(HttpJson *json, const HttpReply *reply) {
        usec_t wait = reply->retry_after, until;

        if (wait == 0 && reply->status == 429)
                wait = LIMITED_USEC;
        if (wait == 0 || (reply->status >= 200 && reply->status < 300))
                return;
        until = clock_now() + wait;
        json->limited = json_url(json);
        if (until > json->poll.not_before)
                json->poll.not_before = until;
}

static void on_reply(void *userdata, AuthReply *reply) {
        HttpJson *json = userdata;

        if (reply->outcome == AUTH_STOPPED)
                return json_end_held(json);
        if (reply->outcome == AUTH_ANSWERED) {
                json->poll.http_status = reply->http->status;
                json->pages++;
                json->more = false;
                json_note_wait(json, reply->http);
                json_take(json, reply);
                return json_store(json);
        }
        if (reply->error == -ENOKEY)
                return json_end_guest(json, reply->detail);
        json_fail(json, reply->outcome == AUTH_REFUSED ? SOURCE_REFUSED : SOURCE_UNREACHABLE, reply->cause,
                "is not asked: %s", reply->detail);
        json_end(json);
}

static bool has_header(const ConfigMap *headers, const char *name) {
        for (size_t i = 0; i < headers->n; i++)
                if (strcasecmp(headers->items[i].name, name) == 0)
                        return true;
        return false;
}

static void json_ask(HttpJson *json) {
        const HttpJsonConfig *keys = json->keys;
        AuthCall call = {
                .http = { .method = keys->method == 0 ? "GET" : "POST",
                        .url = json->next.data,
                        .ca_file = keys->ca_file,
                        .certificate_file = keys->tls.certificate_file,
                        .key_file = keys->tls.key_file,
                        .timeout = REQUEST_TIMEOUT_USEC,
                        .max_reply = HTTP_JSON_REPLY_MAX },
                .clock_offset = json->clock_offset,
                .guest = json->checking,
                .stops = json_is_held,
                .done = on_reply,
                .userdata = json,
        };

        if (!has_header(&keys->headers, "Accept"))
                call.headers[0] = "Accept: application/json";
        if (keys->body)
                (void) http_json_expand(keys->body, &json->times, false, &call.http.body);
        auth_start(json->auth, &call);
}

static int json_poll(void *self) {
        HttpJson *json = self;
        int r;

        json->poll = (SourcePoll){ .outcome = SOURCE_POLLED, .detail = json->detail };
        json->detail[0] = '\0';
        json->readings = json->failed = 0;
        json->too_many = false;
        json->windows = 0;
        json->limited = NULL;
        json_begin_window(json);
        r = json_begin_url(json);
        if (r < 0)
                return r;
        json_move(json, STATE_ASKING);
        json_ask(json);
        return 0;
}

static int json_check(void *self) {
        HttpJson *json = self;

        json->checking = true;
        return json_poll(json);
}

/* ---- life ---- */

static void json_close(void *self) {
        HttpJson *json = self;

        json->auth = auth_free(json->auth);
        loop_drop(json->go_on);
        bytes_done(&json->first);
        bytes_done(&json->next);
        bytes_done(&json->asked);
}

static int json_make_auth(HttpJson *json) {
        const SourceMeans *means = &json->context.means;

        return auth_new(&(AuthSpec){ .keys = json->keys->auth,
                                .http = means->http,
                                .secrets = means->secrets,
                                .ca_file = json->keys->ca_file,
                                .headers = &json->keys->headers,
                                .state_dir = means->state_dir,
                                .state_name = json->context.config->name },
                &json->auth);
}

static int64_t cursor_read(const char *text) {
        int64_t msec;

        return text && clock_parse_rfc3339(text, strlen(text), &msec) && msec >= 0 ? msec / 1000 : HTTP_JSON_NO_CURSOR;
}

static int json_open(void *self) {
        HttpJson *json = self;
        int r;

        json->keys = json->context.keys;
        json->cursor = HTTP_JSON_NO_CURSOR;
        while (json->keys->urls[json->n_urls])
                json->n_urls++;
        r = json_make_auth(json);
        if (r < 0)
                return r;
        return loop_add_defer(json->context.means.loop, on_go_on, json, &json->go_on);
}

static void json_recall(void *self, const char *cursor) {
        HttpJson *json = self;

        json->cursor = cursor_read(cursor);
}

/* Two sources with one refresh token would lock each other out. */
static void json_exclusive(const SourceConfig *config, char name[static SOURCE_EXCLUSIVE_MAX]) {
        const HttpJsonConfig *keys = config->keys;

        if (keys->auth.type == AUTH_OAUTH2)
                (void) snprintf(name, SOURCE_EXCLUSIVE_MAX, "the tokens of source %s", config->name);
}

const SourceType source_type_http_json = {
        .keys = &http_json_section,
        .size = sizeof(HttpJson),
        .open = json_open,
        .exclusive = json_exclusive,
        .recall = json_recall,
        .poll = json_poll,
        .check = json_check,
        .hold = json_hold,
        .must_end = json_must_end,
        .stored = json_stored,
        .close = json_close,
};
