/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* The services:
 *
 *   Slack    https://api.slack.com/messaging/webhooks: 1 message a second; `& < >` are markup.
 *   Discord  https://discord.com/developers/docs/resources/webhook: 2000 characters, 30 messages a minute; markdown, in
 *            which a backslash escapes the next character. Its /slack address renders the same markdown, but its
 *            treatment of a backslash is not documented, so requests have Discord's own form.
 *   ntfy     https://docs.ntfy.sh/publish/, as JSON: 4096 bytes, a message every 5 s after a burst of 60; a limit for
 *            each day and address or account, which the server sets (ntfy.sh: 250).
 *   LINE     https://developers.line.biz/en/reference/messaging-api/, push: 5000 characters, counted as UTF-16;
 *            with X-Line-Retry-Key, 409 means that the message was accepted before. `info` sends nothing, and shows
 *            whether the token is valid. */
/* clang-format on */
#include "sinks/alert-target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/crypto.h"
#include "lib/text.h"

#define DISCORD_SLACK "/slack" /* end of the address that accepts Slack's requests */
#define DISCORD_WEBHOOKS "/webhooks/"
#define DISCORD_VERSION "/v10"   /* if the address has no version; from 8 on, Retry-After is in seconds */
#define NTFY_DAY_USED_UP "42908" /* its error code for that, in the JSON of its answer */
#define TOO_LARGE_PAUSE_USEC USEC_PER_HOUR
#define TIMEOUT_USEC (30 * USEC_PER_SEC)
#define REPLY_MAX (1024 * 1024)
#define LINE_ROOM 8 /* for a line feed, and for a value that becomes longer before it is sealed */
#define ELLIPSIS "\xe2\x80\xa6"
#define NO_CALL "\xe2\x80\x8b" /* U+200B after an @ or between ] and (: nobody is called, nothing becomes a link */

typedef struct Service {
        const char *what, *path; /* path of the request, ... */
        const char *look;        /* ... and of one that shows whether it would be taken */
        const char *key;         /* header that identifies repeated messages */
        usec_t pace;
        size_t max; /* of a message */
        bool bytes; /* counted in bytes, else in units of UTF-16 */
        /* Returns the escaped form of the character; NULL: it needs none. */
        const char *(*markup)(const char *at);
        bool links;         /* a URL in a text is one piece, in which nothing is escaped */
        const char *remedy; /* what to do about a refusal */
} Service;

static const char *slack_markup(const char *at) {
        switch (*at) {
        case '&':
                return "&amp;";
        case '<':
                return "&lt;";
        case '>':
                return "&gt;";
        case '@':
                return "@" NO_CALL;
        case ']':
                return at[1] == '(' ? "]" NO_CALL : NULL;
        default:
                return NULL;
        }
}

static const char *discord_markup(const char *at) {
        static const char escapes[][3] = { "\\\\", "\\*", "\\_", "\\~", "\\|", "\\`", "\\#", "\\>", "\\[", "\\]",
                "\\<" };

        for (size_t i = 0; i < ELEMENTSOF(escapes); i++)
                if (*at == escapes[i][1])
                        return escapes[i];
        return *at == '@' ? "@" NO_CALL : NULL;
}

static const Service services[ALERT_SERVICES] = {
        [ALERT_SLACK] = { .what = "Slack",
                .pace = USEC_PER_SEC,
                .max = 3000,
                .markup = slack_markup,
                .remedy = "make a new webhook where its channel is, and put the new URL into url_file" },
        [ALERT_NTFY] = { .what = "ntfy",
                .pace = USEC_PER_SEC,
                .max = 4096,
                .bytes = true,
                .remedy = "correct url, topic and token_file: an access token that may write to the topic" },
        [ALERT_LINE] = { .what = "LINE",
                .path = "/v2/bot/message/push",
                .look = "/v2/bot/info",
                .key = "X-Line-Retry-Key",
                .max = 5000,
                .remedy = "issue a channel access token for token_file, and see that recipient is an id of this "
                          "channel and has the account as a friend" },
        [ALERT_WEBHOOK] = { .what = "web server",
                .key = "Idempotency-Key",
                .remedy = "see what the server says, and whether url, auth and body are what it expects" },
};

static const Service discord = { .what = "Discord",
        .pace = 2 * USEC_PER_SEC,
        .max = 2000,
        .markup = discord_markup,
        .links = true,
        .remedy = "make a new webhook where its channel is, and put the new URL into url_file" };

/* Returns the part from /webhooks/ on of https://discord.com/api/webhooks/NUMBER/TOKEN or /api/v10/webhooks/...; NULL:
 * it is not Discord's URL. */
static const char *discord_path(const AlertTarget *target) {
        const char *url = target->at.url_file.text, *api = url ? strstr(url, "/api/") : NULL;

        if (target->type != ALERT_SLACK || !api)
                return NULL;
        api += strlen("/api");
        if (api[1] == 'v')
                api += 2 + strspn(api + 2, "0123456789");
        return strncmp(api, DISCORD_WEBHOOKS, strlen(DISCORD_WEBHOOKS)) == 0 ? api : NULL;
}

static const Service *service_of(const AlertTarget *target) {
        return discord_path(target) ? &discord : &services[target->type];
}

const char *alert_target_service(const AlertTarget *target) {
        return service_of(target)->what;
}

AuthConfig alert_target_auth(const AlertTarget *target) {
        if (target->type == ALERT_WEBHOOK || !target->token.file)
                return target->auth;
        return (AuthConfig){ .type = AUTH_BEARER, .token = target->token };
}

usec_t alert_target_pace(const AlertTarget *target) {
        return service_of(target)->pace;
}

bool alert_target_is_keyed(const AlertTarget *target) {
        return service_of(target)->key != NULL;
}

/* ---- escaping and cutting ---- */

/* A character or a link in the service's form, and how much room it takes there. */
typedef struct Piece {
        Slice text;
        size_t size; /* bytes in the original text */
        size_t room;
} Piece;

static size_t character_size(unsigned char lead) {
        return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Counts units of UTF-16. *text* is valid UTF-8. */
static size_t count_units(Slice text) {
        size_t n = 0;

        for (size_t i = 0; i < text.size; i += character_size((unsigned char) text.data[i]))
                n += character_size((unsigned char) text.data[i]) == 4 ? 2 : 1;
        return n;
}

/* Returns the length of the URL at *at*; 0: there is none. */
static size_t link_size(const char *at) {
        static const char *const schemes[] = { "https://", "http://" };

        for (size_t i = 0; i < ELEMENTSOF(schemes); i++)
                if (strncmp(at, schemes[i], strlen(schemes[i])) == 0)
                        return strcspn(at, " \t\n<");
        return 0;
}

static Piece piece_at(const Service *service, const char *at) {
        Piece piece = { .size = service->links ? link_size(at) : 0 };
        const char *markup = piece.size == 0 && service->markup ? service->markup(at) : NULL;

        if (piece.size == 0)
                piece.size = character_size((unsigned char) *at);
        piece.text = markup ? (Slice){ markup, strlen(markup) } : (Slice){ at, piece.size };
        piece.room = service->bytes ? piece.text.size : count_units(piece.text);
        return piece;
}

static size_t measure(const Service *service, Slice text) {
        size_t room = 0;

        for (size_t i = 0; i < text.size;) {
                Piece piece = piece_at(service, text.data + i);

                room += piece.room;
                i += piece.size;
        }
        return room;
}

/* Appends what fits, and an ellipsis when something does not. */
static int append_cut(const Service *service, Slice text, Bytes *to) {
        bool whole = measure(service, text) <= service->max;
        size_t left = whole ? service->max : service->max - (service->bytes ? strlen(ELLIPSIS) : 1);

        for (size_t i = 0; i < text.size;) {
                Piece piece = piece_at(service, text.data + i);

                if (piece.room > left)
                        break;
                bytes_append(to, piece.text.data, piece.text.size);
                left -= piece.room;
                i += piece.size;
        }
        return bytes_append_text(to, whole ? "" : ELLIPSIS);
}

/* ---- the text of a message ---- */

/* Writes a line for each notice. */
static int write_lines(const AlertMessage *message, Bytes *to) {
        for (size_t i = 0; i < message->n; i++) {
                bytes_append_text(to, i > 0 ? "\n" : "");
                alert_text_write(&message->notices[i], message->language, to);
        }
        return bytes_result(to);
}

int alert_target_fit(const AlertTarget *target, const AlertMessage *message) {
        const Service *service = service_of(target);
        size_t used = 0, fitting = 0, most = target->type == ALERT_WEBHOOK ? 1 : message->n;

        while (fitting < most) {
                _cleanup_bytes_ Bytes line = {};
                int r = alert_text_write(&message->notices[fitting], message->language, &line);

                if (r < 0)
                        return r;
                used += measure(service, bytes_slice(&line)) + LINE_ROOM;
                if (fitting > 0 && used > service->max)
                        break;
                fitting++;
        }
        return (int) fitting;
}

/* Appends `"KEY":"the lines"`, escaped twice: for the service, then for JSON. */
static void append_message(const AlertTarget *target, const char *key, Slice lines, Bytes *body) {
        _cleanup_bytes_ Bytes text = {};

        bytes_fail(body, append_cut(service_of(target), lines, &text));
        bytes_append_format(body, "\"%s\":", key);
        bytes_append_json_string(body, text.data ?: "", text.size);
}

/* ---- bodies ---- */

/* Without previews of links. */
static int write_chat(const AlertTarget *target, Slice lines, Bytes *body) {
        const bool for_discord = service_of(target) == &discord;

        bytes_append_text(body, "{");
        append_message(target, for_discord ? "content" : "text", lines, body);
        return bytes_append_text(body, for_discord
                                               ? ",\"allowed_mentions\":{\"parse\":[]},\"flags\":4}"
                                               : ",\"mrkdwn\":false,\"unfurl_links\":false,\"unfurl_media\":false}");
}

static int write_line(const AlertTarget *target, Slice lines, Bytes *body) {
        bytes_append_text(body, "{\"to\":");
        bytes_append_json_string(body, target->recipient, strlen(target->recipient));
        bytes_append_text(body, ",\"messages\":[{\"type\":\"text\",");
        append_message(target, "text", lines, body);
        return bytes_append_text(body, "}]}");
}

/* Returns the most serious kind of the notices. */
static AlertKind kind_of(const AlertMessage *message) {
        AlertKind kind = message->notices[0].kind;

        for (size_t i = 1; i < message->n; i++)
                if (message->notices[i].kind < kind)
                        kind = message->notices[i].kind;
        return kind;
}

static int write_ntfy(const AlertTarget *target, const AlertMessage *message, Slice lines, Bytes *body) {
        AlertKind kind = kind_of(message);
        const char *title = alert_text_title(kind, message->language);

        bytes_append_text(body, "{\"topic\":");
        bytes_append_json_string(body, target->topic, strlen(target->topic));
        bytes_append_format(body, ",\"title\":\"%s\",", title);
        append_message(target, "message", lines, body);
        return bytes_append_format(body, ",\"priority\":%d,\"tags\":[\"%s\"]}", kind <= ALERT_REPEAT ? 4 : 3,
                kind <= ALERT_REPEAT ? "warning" : "white_check_mark");
}

static int write_body(const AlertTarget *target, const AlertMessage *message, Bytes *body) {
        _cleanup_bytes_ Bytes text = {};
        Slice lines;
        int r;

        if (target->type == ALERT_WEBHOOK)
                return alert_text_write_body(target->body, message->notices, message->language, body);
        r = write_lines(message, &text);
        if (r < 0)
                return r;
        lines = (Slice){ text.data ?: "", text.size };
        if (target->type == ALERT_SLACK)
                return write_chat(target, lines, body);
        if (target->type == ALERT_LINE)
                return write_line(target, lines, body);
        return write_ntfy(target, message, lines, body);
}

void alert_target_request_done(AlertRequest *request) {
        bytes_done(&request->url);
        bytes_done(&request->body);
        bytes_done(&request->key);
}

static bool has_end(const char *text, size_t size, const char *end) {
        return size >= strlen(end) && memcmp(text + size - strlen(end), end, strlen(end)) == 0;
}

/* Discord shows addresses without a version. They mean version 6, whose Retry-After is in milliseconds, so a later
 * version is put in. */
static int write_discord_url(const char *url, const char *path, Bytes *to) {
        const char *version = has_end(url, (size_t) (path - url), "/api") ? DISCORD_VERSION : "";
        size_t size = strcspn(path, "?");
        const char *query = path + size;

        if (has_end(path, size, DISCORD_SLACK))
                size -= strlen(DISCORD_SLACK);
        return bytes_append_format(to, "%.*s%s%.*s%s", (int) (path - url), url, version, (int) size, path, query);
}

static int write_url(const AlertTarget *target, const char *path, Bytes *to) {
        const char *url = web_place_url(&target->at);
        size_t size = strlen(url);

        if (discord_path(target))
                return write_discord_url(url, discord_path(target), to);
        if (path && url[size - 1] == '/')
                size--;
        return bytes_append_format(to, "%.*s%s", (int) size, url, path ?: "");
}

int alert_target_write(const AlertTarget *target, const AlertMessage *message, AlertRequest *ret) {
        const Service *service = service_of(target);
        int r;

        ret->method = message ? "POST" : "GET";
        r = write_url(target, message ? service->path : service->look, &ret->url);
        if (r < 0 || !message)
                return r;
        r = write_body(target, message, &ret->body);
        if (r >= 0 && service->key)
                r = bytes_append_format(&ret->key, "%s: %s", service->key, message->key);
        return r;
}

/* ---- answers ---- */

/* Returns a remedy when the quota of the month (LINE) or the day (ntfy) is used up; NULL: it is not. Both answer with
 * the status of a rate limit. */
static const char *used_up(const AlertTarget *target, const HttpReply *reply) {
        const char *body = reply->body.data ?: "";

        if (reply->status != 429)
                return NULL;
        if (target->type == ALERT_LINE && strcasestr(body, "monthly limit"))
                return "this month's messages are used up; wait for the next month, or change the plan";
        if (target->type == ALERT_NTFY && strstr(body, NTFY_DAY_USED_UP))
                return "today's messages are used up; wait for the next day, or use an account (token_file) or a "
                       "server of your own";
        return NULL;
}

/* Returns what to do; NULL: there is no advice. */
static const char *remedy_for(const AlertTarget *target, const HttpReply *reply, WebClass class) {
        if (reply->want)
                return "look " CAUSE_MEMORY_PLACES;
        if (reply->outcome == HTTP_TOO_LARGE)
                return "correct its URL: no messaging service sends such a large answer";
        if (reply->status / 100 == 3)
                return "redirects are not followed; correct its URL";
        if (reply->status / 100 == 2)
                return "correct its URL: a web page answers, perhaps the login of a proxy";
        return class == WEB_PERSON || class == WEB_REFUSED ? service_of(target)->remedy : NULL;
}

void alert_target_judge(const AlertTarget *target, const HttpReply *reply, AlertAnswer *ret) {
        const char *quota = used_up(target, reply);

        *ret = (AlertAnswer){ .class = web_place_class(reply, NULL),
                .status = reply->status,
                .retry_after = reply->retry_after,
                .cause = quota ? CAUSE_QUOTA : cause_of_http(reply) };
        http_reply_words(reply, ret->detail, sizeof(ret->detail));
        if (quota)
                ret->class = WEB_PERSON;
        else if (reply->status == 409 && target->type == ALERT_LINE && !http_reply_is_page(reply))
                ret->class = WEB_TAKEN;
        else if (reply->outcome ==
                 HTTP_TOO_LARGE) /* it would answer so each time, and may take the message each time */
                ret->retry_after = TOO_LARGE_PAUSE_USEC;
        if (ret->class != WEB_TAKEN)
                ret->remedy = quota ?: remedy_for(target, reply, ret->class);
}

/* ---- one request with our credentials ---- */

struct AlertPost {
        SinkMeans means;
        const AlertTarget *target;
        Auth *auth;
        AlertRequest request; /* under way; *auth* has its body meanwhile */
        AlertPostDone done;
        void *userdata;
};

static void post_end(AlertPost *p, AlertAnswer *answer) {
        AlertPostDone done = p->done;

        alert_target_request_done(&p->request);
        secrets_conceal(p->means.secrets, answer->detail);
        p->done = NULL;
        done(p->userdata, answer);
}

static void post_fail(AlertPost *p, WebClass class, Cause cause, const char *detail, const char *remedy) {
        AlertAnswer answer = { .class = class, .cause = cause };

        answer.remedy = cause == CAUSE_MEMORY ? "look " CAUSE_MEMORY_PLACES : remedy;
        text_copy(answer.detail, sizeof(answer.detail), detail);
        post_end(p, &answer);
}

/* There was no request: this machine is at fault, not the target. */
static void post_fail_here(AlertPost *p, int error, const char *detail) {
        if (error == -EINVAL)
                return post_fail(p, WEB_PERSON, CAUSE_SETTINGS, detail, "correct its url, headers and secrets");
        post_fail(p, WEB_LATER, cause_of_disk(error), detail,
                error == -ENOKEY ? "try again when the daemon has fetched one" : "free disk space on this machine");
}

static void on_reply(void *userdata, AuthReply *reply) {
        AlertPost *p = userdata;
        AlertAnswer answer;

        if (reply->outcome == AUTH_FAILED)
                return post_fail_here(p, reply->error, reply->detail);
        if (reply->outcome != AUTH_ANSWERED)
                return post_fail(p, reply->outcome == AUTH_REFUSED ? WEB_PERSON : WEB_LATER, reply->cause,
                        reply->detail, "see what the token endpoint says");
        alert_target_judge(p->target, reply->http, &answer);
        post_end(p, &answer);
}

void alert_post_send(AlertPost *p, const AlertMessage *message, AlertPostDone done, void *userdata) {
        int r;

        p->done = done;
        p->userdata = userdata;
        r = alert_target_write(p->target, message, &p->request);
        if (r < 0)
                return post_fail_here(p, r, strerror(-r));
        auth_start(p->auth, &(AuthCall){ .http = { .method = p->request.method,
                                                 .url = p->request.url.data,
                                                 .secret_path = p->target->at.url_file.text != NULL,
                                                 .ca_file = p->target->at.ca_file,
                                                 .certificate_file = p->target->at.tls.certificate_file,
                                                 .key_file = p->target->at.tls.key_file,
                                                 .body = bytes_steal(&p->request.body),
                                                 .timeout = TIMEOUT_USEC,
                                                 .max_reply = REPLY_MAX },
                                    .headers = { p->request.key.data },
                                    .guest = p->means.guest,
                                    .done = on_reply,
                                    .userdata = p });
}

void alert_post_draw_key(char key[static ALERT_KEY_SIZE]) {
        uint64_t a = loop_random(), b = loop_random();

        (void) snprintf(key, ALERT_KEY_SIZE, "%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
                a >> 32, a >> 16 & 0xffff, a & 0xfff, (b >> 48 & 0x3fff) | 0x8000, b & UINT64_C(0xffffffffffff));
}

AlertPost *alert_post_free(AlertPost *post) {
        if (!post)
                return NULL;
        post->auth = auth_free(post->auth);
        alert_target_request_done(&post->request);
        free(post);
        return NULL;
}

static int add_auth(AlertPost *p, const char *subscription) {
        char hash[SHA256_HEX_SIZE], name[160];

        (void) snprintf(name, sizeof(name), "alert-%.16s-%.63s",
                crypto_sha256_hex(subscription, strlen(subscription), hash), p->target->name);
        return auth_new(&(AuthSpec){ .keys = alert_target_auth(p->target),
                                .http = p->means.http,
                                .secrets = p->means.secrets,
                                .ca_file = p->target->at.ca_file,
                                .headers = &p->target->headers,
                                .state_dir = p->means.state_dir,
                                .state_name = name },
                &p->auth);
}

int alert_post_new(const SinkMeans *means, const char *subscription, const AlertTarget *target, AlertPost **ret,
        char problem[static SINK_DETAIL_MAX]) {
        _cleanup_(alert_post_freep) AlertPost *post = calloc(1, sizeof(AlertPost));
        int r;

        if (!post)
                return -ENOMEM;
        post->means = *means;
        post->target = target;
        r = web_place_check(&target->at, problem);
        if (r >= 0)
                r = web_place_note(&target->at, means->secrets);
        if (r >= 0)
                r = add_auth(post, subscription);
        if (r >= 0)
                *ret = cleanup_steal(post);
        return r;
}
