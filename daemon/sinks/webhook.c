/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* Documents are POSTed to an HTTP server, one request at a time, on the loop.
 *
 *                     +---------------------- taken: the next ones ----------------------+
 *                     v                                                                  |
 *      write ---> take the next documents, the halves of what was refused first ---> send it ---> answer:
 *                     |            ^                                                     |
 *                     | none left  +--- refused, more than one: both halves -------------+
 *                     |                 refused, alone: REFUSED. Once more as            |
 *                     v                 soon as another is taken, where the code is      |
 *                     |                 about it: again refused is proof                 |
 *                  the write's answer <--- a fault; or too many refused in a row --------+
 *
 * A request that had no answer may have been carried out. It is kept and sent again unchanged, with the same
 * Idempotency-Key, before any other request with its documents. */
/* clang-format on */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config-place.h"
#include "lib/text.h"
#include "sinks/webhook.h"
#include "subscribe/sink-type.h"

#define REPLY_MAX (8 * 1024 * 1024) /* the server may repeat the request in its answer */
#define REFUSED_MAX 10 /* refusals alone in a row: then the write ends, and blame.h decides who is at fault */
#define SPANS_MAX 32   /* for repeated halving */
/* a server may still be working on the same request for so long after the last try */
#define CONFLICT_MAX_USEC (10 * USEC_PER_MINUTE)
#define NOWHERE SIZE_MAX
#define TEXT_MAX 2048

/* ---- the section ---- */

static int webhook_rule(const ConfigPlace *place, void *self, void *around) {
        const WebhookConfig *keys = self;
        int r = web_place_one_rule(place, &keys->at);

        return r < 0 ? r : web_place_rule(place, &keys->at, &keys->auth, &keys->headers);
}

#define FIELD(field) offsetof(WebhookConfig, field)

/* clang-format off */
static const ConfigRow rows[] = {
        { "url", &config_type_web_url, FIELD(at.url), 1, TEXT_MAX,
                .doc = "URL to POST documents to. This or `url_file` is required." },
        { "url_file", &config_type_secret, FIELD(at.url_file), 1, TEXT_MAX,
                .doc = "The URL, if knowing it is enough to post." },
        { "headers", &config_type_headers, FIELD(headers), 0, 20,
                .doc = "Additional headers of every request, without secrets." },
        { "auth", &config_type_section, FIELD(auth), .flags = CONFIG_IMPLIED, .section = &auth_section,
                .doc = "How requests authenticate." },
        { "expect", &config_type_text, FIELD(expect), 1, 200,
                .doc = "Text in the server's answer that confirms that the documents are stored." },
        { "batch", &config_type_unsigned, FIELD(batch), 1, 1000, "100",
                .doc = "Maximum number of documents in one request." },
        { "timeout", &config_type_duration, FIELD(timeout), 1 * USEC_PER_SEC, 5 * USEC_PER_MINUTE, "30s",
                .doc = "Time limit for a request, including its answer." },
        { "ca_file", &config_type_path, FIELD(at.ca_file), 1, TEXT_MAX,
                .doc = "PEM file of CA certificates, used instead of the system's for this server." },
        { "tls", &config_type_section, FIELD(at.tls), .section = &config_tls_section,
                .doc = "Client certificate, for servers that require one." },
        { "allow_plain", &config_type_bool, FIELD(at.allow_plain), .fallback = "false",
                .doc = "Send secrets to other machines without TLS." },
        {},
};
/* clang-format on */

static const ConfigSection section = {
        .name = "webhook",
        .doc = "POSTs documents to an HTTP server, in JSON arrays.",
        .rows = rows,
        .size = sizeof(WebhookConfig),
        .rule = webhook_rule,
};

typedef struct Webhook {
        SinkHost *host;
        const WebhookConfig *keys; /* the host of a type that does not block ends before the configuration does */
        DocumentRules rules;
        char *place;
        Auth *auth;
        SinkWork *work; /* the running write; NULL: none */
        size_t next;    /* the first item that was not tried */
        WebhookSpan spans[SPANS_MAX];
        size_t n_spans;                /* halves to be tried first, beginning with the last */
        WebhookSpan late[REFUSED_MAX]; /* documents that were refused alone since something was accepted */
        size_t n_late;
        WebhookSpan span;  /* the items of the request */
        WebhookBody body;  /* of the request; kept until it has an answer */
        size_t again;      /* the first item of a kept request, until it is sent; or NOWHERE */
        WebhookSpan ahead; /* the items of a kept request, which are sent before earlier items */
        unsigned refused;  /* refusals alone since something was accepted */
        LoopWatch *later;  /* defer: goes on with the write */
        bool stopping;     /* the request in progress is the last one */
        Stream *stream;    /* of a probe */
        SinkAnswer *probed;
        HttpUrl url;                                             /* of the probe */
        char key[sizeof("Idempotency-Key: ") + SHA256_HEX_SIZE]; /* the header of the request */
} Webhook;

/* ---- faults ---- */

static void fail(SinkAnswer *answer, SinkFault fault, const char *reason, const char *words, const char *remedy) {
        answer->fault = fault;
        answer->reason = reason;
        answer->words = words;
        answer->remedy = remedy;
}

static void fail_here(SinkAnswer *answer, int error) {
        fail(answer, error == -EINVAL ? SINK_FAULT_LASTING : SINK_FAULT_PASSING, "local", "cannot be contacted",
                error == -EINVAL ? "correct url and headers in the configuration"
                                 : "free memory or disk space on this machine");
        answer->cause = error == -EINVAL ? CAUSE_SETTINGS : cause_of_disk(error);
        text_copy(answer->detail, sizeof(answer->detail), strerror(-error));
}

static void fail_to_reach(SinkAnswer *answer, Cause cause, const char *detail) {
        answer->cause = cause;
        fail(answer, SINK_FAULT_PASSING, "unreachable", "cannot be reached",
                cause == CAUSE_MEMORY ? "look " CAUSE_MEMORY_PLACES
                                      : "look at the network, the server and, for certificates, ca_file and tls");
        text_copy(answer->detail, sizeof(answer->detail), detail);
}

static void fail_as(SinkAnswer *answer, WebClass class, const HttpReply *reply) {
        if (reply->outcome == HTTP_UNREACHABLE || reply->outcome == HTTP_TLS)
                return fail_to_reach(answer, cause_of_http(reply), reply->detail);
        if (reply->outcome == HTTP_TOO_LARGE)
                fail(answer, SINK_FAULT_LASTING, "answer", "sends a larger answer than a webhook would",
                        "see whether url is that of the webhook");
        else if (reply->outcome != HTTP_ANSWERED)
                fail(answer, SINK_FAULT_PASSING, "no_answer", "does not answer",
                        reply->outcome == HTTP_TIMEOUT
                                ? "look at the server; where it needs longer, a smaller batch or a longer timeout"
                                : "look at the server and its log; if it asks for a client certificate, set tls");
        else if (class != WEB_PERSON)
                fail(answer, SINK_FAULT_PASSING, reply->status == 429 ? "throttled" : "server_error",
                        "accepts nothing at present", "nothing yet; if this persists, look at the server");
        else if (reply->status / 100 == 2)
                fail(answer, SINK_FAULT_LASTING, "answer",
                        http_reply_is_page(reply) ? "answers with a web page" : "does not answer as expect requires",
                        "see what answers: perhaps the login of a proxy or network, or a page beside the webhook; "
                        "expect can name what a good answer contains");
        else
                fail(answer, SINK_FAULT_LASTING, "refused", "refuses every request",
                        reply->status == 401 || reply->status == 407
                                ? "set auth, or put the right secret into the file that it names, and restart sensorqd"
                                : "correct url: redirects are not followed");
        answer->cause = cause_of_http(reply);
        answer->retry_after = reply->retry_after;
        http_reply_words(reply, answer->detail, sizeof(answer->detail));
}

/* ---- one request after the other ---- */

static void webhook_end(Webhook *w) {
        w->work = NULL;
        w->n_spans = 0;
        sink_host_answer(w->host);
}

/* Chooses the items that are tried next, and the most documents for the request. Returns false when none is left. */
static bool webhook_pick(Webhook *w, size_t *ret_most) {
        *ret_most = w->keys->batch;
        if (w->n_spans > 0) {
                w->span = w->spans[--w->n_spans];
                return true;
        }
        if (w->next == w->ahead.begin)
                w->next = w->ahead.end;
        if (w->again == NOWHERE && w->next == w->work->n)
                return false;
        w->span = (WebhookSpan){ w->again == NOWHERE ? w->next : w->again, w->work->n };
        if (w->again != NOWHERE)
                *ret_most = w->body.n;
        else if (w->next < w->ahead.begin && w->ahead.begin < w->span.end)
                w->span.end = w->ahead.begin;
        if (w->work->items[w->span.begin].alone)
                *ret_most = 1;
        return true;
}

/* Sets the body. If it has the same documents as the kept request, that is sent again unchanged. */
static void webhook_take_body(Webhook *w, WebhookBody *body) {
        if (w->again != NOWHERE && strcmp(body->key, w->body.key) == 0)
                return webhook_body_done(body);
        webhook_body_done(&w->body);
        w->body = *body;
}

/* Builds the next body. Returns 1 when there is something to send; 0: nothing is left; WEBHOOK_BODY_LATER; -ENOMEM. */
static int webhook_prepare(Webhook *w) {
        WebhookBody body = {};
        bool half, some;
        size_t most;
        int r;

        for (half = w->n_spans > 0; webhook_pick(w, &most); half = w->n_spans > 0) {
                r = webhook_body_build(&w->rules, w->work, most, &w->span, &body);
                some = r == 0 && body.n > 0;
                if (some)
                        webhook_take_body(w, &body);
                else
                        webhook_body_done(&body);
                if (r != 0) /* later: never of a half, whose bad ones are known */
                        return r;
                if (w->again != NOWHERE)
                        w->ahead = w->span;
                else if (!half)
                        w->next = w->span.end;
                w->again = NOWHERE;
                if (some)
                        return 1;
        }
        return 0;
}

static void on_reply(void *userdata, AuthReply *reply);

/* Sends the body, with our credentials. */
static void webhook_ask(Webhook *w) {
        AuthCall call = { .http = { .method = "POST",
                                  .url = web_place_url(&w->keys->at),
                                  .secret_path = w->keys->at.url_file.text != NULL,
                                  .ca_file = w->keys->at.ca_file,
                                  .certificate_file = w->keys->at.tls.certificate_file,
                                  .key_file = w->keys->at.tls.key_file,
                                  .body = bytes_steal(&w->body.text),
                                  .timeout = w->keys->timeout,
                                  .max_reply = REPLY_MAX },
                .headers = { w->key },
                .guest = sink_host_means(w->host)->guest,
                .done = on_reply,
                .userdata = w };

        (void) snprintf(w->key, sizeof(w->key), "Idempotency-Key: %s", w->body.key);
        auth_start(w->auth, &call);
}

static void webhook_go_on(Webhook *w) {
        int r;

        if (w->stopping) /* what was not sent goes back to Pub/Sub; a write of many requests may take minutes */
                return webhook_end(w);
        r = webhook_prepare(w);
        if (r == WEBHOOK_BODY_LATER)
                return loop_wake(w->later);
        if (r > 0)
                return webhook_ask(w);
        if (r < 0)
                fail_here(&w->work->answer, r);
        webhook_end(w);
}

static void on_later(void *userdata) {
        webhook_go_on(userdata);
}

/* ---- answers ---- */

static void webhook_taken(Webhook *w) {
        for (size_t i = w->span.begin; i < w->span.end; i++)
                if (w->work->items[i].verdict != SINK_BAD)
                        w->work->items[i].verdict = SINK_STORED;
        w->work->answer.accepted = true;
        w->refused = 0;
        for (size_t i = 0; w->span.again && i < w->n_spans; i++)
                w->spans[i].again = false; /* one got over it, so it was the server's: no proof for the others */
        while (w->n_late > 0)
                w->spans[w->n_spans++] = w->late[--w->n_late];
}

static void webhook_halve(Webhook *w) {
        size_t middle = w->span.begin + (w->span.end - w->span.begin) / 2;

        w->spans[w->n_spans++] = (WebhookSpan){ middle, w->span.end };
        w->spans[w->n_spans++] = (WebhookSpan){ w->span.begin, middle };
}

static void webhook_refused_alone(Webhook *w, const HttpReply *reply) {
        SinkItem *item = &w->work->items[w->span.begin];
        bool about_document = webhook_body_is_at_fault(reply->status);
        char detail[SINK_DETAIL_MAX];

        while (item->verdict == SINK_BAD)
                item++;
        http_reply_words(reply, detail, sizeof(detail));
        item->alone = true;
        item->proven = w->span.again;
        if (about_document && !w->span.again)
                w->late[w->n_late++] = (WebhookSpan){ w->span.begin, w->span.end, true };
        sink_item_refused(item, reply->status, about_document, document_reason(DOCUMENT_REFUSED), detail);
        w->work->answer.remedy =
                about_document ? "see what the server says of them, and whether url is that of a webhook that "
                                 "takes arrays of documents"
                               : "correct url, or the rights that the server grants: an address that was revoked or "
                                 "mistyped is the likely cause";
        w->refused++;
}

/* Handles a refusal. Returns false when the write must end. */
static bool webhook_refused(Webhook *w, const HttpReply *reply) {
        if (w->body.n > 1)
                webhook_halve(w);
        else
                webhook_refused_alone(w, reply);
        return w->refused < REFUSED_MAX;
}

/* A server that remembers keys answers 409 while it still works on an earlier copy of the request. That is not a
 * refusal: halves of it would have keys that the server does not know. */
static WebClass webhook_class(const Webhook *w, const HttpReply *reply) {
        if (reply->status == 409 && w->body.unanswered > 0 && clock_now() - w->body.unanswered < CONFLICT_MAX_USEC)
                return WEB_LATER;
        return web_place_class(reply, w->keys->expect);
}

static void webhook_answered(Webhook *w, AuthReply *reply) {
        WebClass class = webhook_class(w, reply->http);

        if (class != WEB_TAKEN && class != WEB_REFUSED) {
                w->body.text = bytes_steal(&reply->body);
                if (class != WEB_PERSON && reply->http->status != 409)
                        w->body.unanswered = clock_now();
                fail_as(&w->work->answer, class, reply->http);
                return webhook_end(w);
        }
        if (class == WEB_TAKEN)
                webhook_taken(w);
        else if (!webhook_refused(w, reply->http)) {
                webhook_body_done(&w->body);
                return webhook_end(w);
        }
        webhook_body_done(&w->body);
        webhook_go_on(w);
}

static void webhook_not_asked(Webhook *w, AuthReply *reply) {
        SinkAnswer *answer = &w->work->answer;

        w->body.text = bytes_steal(&reply->body);
        if (reply->outcome == AUTH_FAILED)
                fail_here(answer, reply->error);
        else if (reply->outcome == AUTH_REFUSED)
                fail(answer, SINK_FAULT_LASTING, "token", "gets no access token",
                        "correct what the token endpoint refuses: client_id, its secret, the refresh token");
        else
                fail(answer, SINK_FAULT_PASSING, "token", "gets no access token",
                        "nothing yet; if this persists, look at the token endpoint, the network and this machine");
        answer->cause = reply->outcome == AUTH_FAILED ? answer->cause : reply->cause;
        text_copy(answer->detail, sizeof(answer->detail), reply->detail);
        webhook_end(w);
}

static void on_reply(void *userdata, AuthReply *reply) {
        if (reply->outcome == AUTH_ANSWERED)
                webhook_answered(userdata, reply);
        else
                webhook_not_asked(userdata, reply);
}

/* ---- what the sink asks ---- */

/* Whether the kept request begins with that `_id`, which may have line feeds in it. */
static bool webhook_begins_with(const Webhook *w, Slice id) {
        const Bytes *ids = &w->body.ids;

        return id.size < ids->size && memcmp(ids->data, id.data, id.size) == 0 && ids->data[id.size] == '\n';
}

/* Returns the index of the kept request's first document among the items, or NOWHERE. */
static size_t webhook_find_again(const Webhook *w, const SinkWork *work) {
        _cleanup_bytes_ Bytes scratch = {};
        Slice id;

        for (size_t i = 0; w->body.n > 0 && i < work->n; i++) {
                const DocumentInput input = { .message = work->items[i].message, .rules = &w->rules };

                if (document_id(&input, &scratch, &id) >= 0 && webhook_begins_with(w, id))
                        return i;
        }
        return NOWHERE;
}

static void webhook_write(void *self, SinkWork *work) {
        Webhook *w = self;

        w->work = work;
        w->next = 0;
        w->refused = 0;
        w->n_late = 0;
        w->again = webhook_find_again(w, work);
        w->ahead = (WebhookSpan){ NOWHERE, NOWHERE };
        webhook_go_on(w);
}

static void probe_end(void *userdata) {
        Webhook *w = userdata;

        w->stream = stream_free(w->stream);
        sink_host_answer(w->host);
}

static void on_lost(void *userdata, const char *detail) {
        Webhook *w = userdata;

        fail_to_reach(w->probed, stream_is_want(w->stream) ? CAUSE_MEMORY : CAUSE_NETWORK, detail);
        probe_end(w);
}

static void webhook_told(void *self, SinkNews news) {
        Webhook *w = self;

        w->stopping = w->stopping || news == SINK_NEWS_STOP || news == SINK_NEWS_END;
}

/* Only connects and sends nothing: some servers would act on a request without documents. */
static void webhook_probe(void *self, SinkAnswer *answer) {
        Webhook *w = self;
        const StreamCallbacks callbacks = { .on_open = probe_end, .on_lost = on_lost, .userdata = w };
        StreamSpec spec;
        int r;

        if (!web_place_stream(&w->keys->at, &w->url, &spec))
                return sink_host_answer(w->host);
        w->probed = answer;
        r = stream_open(sink_host_means(w->host)->loop, &spec, &callbacks, &w->stream);
        if (r >= 0)
                return;
        fail_here(answer, r);
        sink_host_answer(w->host);
}

/* ---- life ---- */

static const char *webhook_place(const void *self) {
        return ((const Webhook *) self)->place;
}

static void *webhook_close(void *self) {
        Webhook *w = self;

        if (!w)
                return NULL;
        w->auth = auth_free(w->auth);
        w->stream = stream_free(w->stream);
        w->later = loop_drop(w->later);
        webhook_body_done(&w->body);
        free(w->place);
        free(w);
        return NULL;
}

static int webhook_make_auth(Webhook *w) {
        const SinkMeans *means = sink_host_means(w->host);
        char hash[SHA256_HEX_SIZE], name[64];

        (void) snprintf(name, sizeof(name), "webhook-%.16s",
                crypto_sha256_hex(w->rules.subscription, strlen(w->rules.subscription), hash));
        return auth_new(&(AuthSpec){ .keys = w->keys->auth,
                                .http = means->http,
                                .secrets = means->secrets,
                                .ca_file = w->keys->at.ca_file,
                                .headers = &w->keys->headers,
                                .state_dir = means->state_dir,
                                .state_name = name },
                &w->auth);
}

static int webhook_make(Webhook *w) {
        int r;

        w->place = web_place_shown(&w->keys->at);
        if (!w->place)
                return -ENOMEM;
        r = loop_add_defer(sink_host_means(w->host)->loop, on_later, w, &w->later);
        if (r < 0)
                return r;
        r = web_place_note(&w->keys->at, sink_host_means(w->host)->secrets);
        return r < 0 ? r : webhook_make_auth(w);
}

static int webhook_usable(const SubscriptionConfig *config, char problem[static SINK_DETAIL_MAX]) {
        return web_place_check(&((const WebhookConfig *) config->keys)->at, problem);
}

static int webhook_open(
        const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        Webhook *w;
        int r;

        r = webhook_usable(config, problem);
        if (r < 0)
                return r;
        w = calloc(1, sizeof(Webhook));
        if (!w)
                return -ENOMEM;
        w->host = host;
        w->keys = config->keys;
        w->rules = (DocumentRules){ .subscription = config->subscription,
                .id_attribute = config->id_attribute,
                .payload = (PayloadFormat) config->payload };
        r = webhook_make(w);
        if (r < 0) {
                (void) webhook_close(w);
                return r;
        }
        *ret_self = w;
        return 0;
}

/* Two sinks with the same refresh token would make each other's token invalid. */
static void webhook_exclusive(
        const SubscriptionConfig *config, const char *state_dir, char name[static SINK_EXCLUSIVE_MAX]) {
        const WebhookConfig *keys = config->keys;

        if (keys->auth.type == AUTH_OAUTH2)
                (void) snprintf(name, SINK_EXCLUSIVE_MAX, "the tokens of %s", config->subscription);
}

/* ---- check ---- */

static void admin_place(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]) {
        _cleanup_free_ char *place = web_place_shown(&((const WebhookConfig *) config->keys)->at);

        text_copy(text, SINK_ADMIN_TEXT_MAX, place ?: "");
}

static void admin_check(void *self, const SinkTeller *teller) {
        const WebhookConfig *keys = ((const SubscriptionConfig *) self)->keys;
        char words[WEB_PLACE_WORDS_MAX];
        bool open = web_place_check(&keys->at, words) >= 0 &&
                    web_place_try(&keys->at, teller->means->loop, words) == WEB_PLACE_OPEN;

        sink_admin_tell(teller, open ? SINK_GRADE_OK : SINK_GRADE_FAIL, "%s%s", words,
                open ? "; nothing was sent: the first document will show whether it accepts them" : "");
}

static const SinkAdmin webhook_admin = { .place = admin_place, .check = admin_check };

const SinkType sink_type_webhook = {
        .keys = &section,
        .what = "Webhook",
        .open = webhook_open,
        .place = webhook_place,
        .probe = webhook_probe,
        .write = webhook_write,
        .close = webhook_close,
        .told = webhook_told,
        .usable = webhook_usable,
        .exclusive = webhook_exclusive,
        .admin = &webhook_admin,
};
