/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/subscription.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/text.h"
#include "pubsub/wire.h"
#include "trouble.h"

#define DEADLINE_DEFAULT_SEC 10
#define DEADLINE_MAX_SEC 600
#define DEADLINE_SHORT_SEC 20 /* below this, a slow uplink makes renewals late */
#define RETENTION_SHORT_USEC (24 * USEC_PER_HOUR)

static usec_t get_duration(Json *json, const char *key, usec_t fallback) {
        const char *text = json_get_string(json, key);
        usec_t duration;

        return text && wire_get_duration(text, &duration) ? duration : fallback;
}

static unsigned get_deadline(Json *json) {
        int64_t deadline;

        if (!json_get_int(json, "ackDeadlineSeconds", &deadline) || deadline <= 0)
                return DEADLINE_DEFAULT_SEC;
        return deadline > DEADLINE_MAX_SEC ? DEADLINE_MAX_SEC : (unsigned) deadline;
}

static bool has_transform(Json *json) {
        Json *list = json_get(json, "messageTransforms"), *transform;

        for (size_t i = 0; (transform = json_at(list, i)); i++)
                if (!json_get_flag(transform, "disabled"))
                        return true;
        return false;
}

bool subscription_transforms(const char *body, size_t size) {
        _cleanup_(json_freep) Json *json = NULL;

        return json_parse(body ? body : "", size, &json) == 0 && has_transform(json);
}

int subscription_parse(const char *body, size_t size, SubscriptionSettings *ret) {
        _cleanup_(json_freep) Json *json = NULL;
        SubscriptionSettings s;
        Json *expiration, *dead_letter;
        int r;

        memset(&s, 0, sizeof(s)); /* the padding too, since settings_found() compares whole structs */
        r = json_parse(body, size, &json);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        if (!json_get_string(json, "name") && !json_get_string(json, "topic"))
                return -EBADMSG;
        text_copy(s.topic, sizeof(s.topic), json_get_string(json, "topic") ?: "");
        text_copy(s.filter, sizeof(s.filter), json_get_string(json, "filter") ?: "");
        s.deadline_sec = get_deadline(json);
        s.retention = get_duration(json, "messageRetentionDuration", SUBSCRIPTION_RETENTION_DEFAULT_USEC);
        expiration = json_get(json, "expirationPolicy");
        s.expiration = expiration ? get_duration(expiration, "ttl", 0) : SUBSCRIPTION_EXPIRATION_DEFAULT_USEC;
        dead_letter = json_get(json, "deadLetterPolicy");
        text_copy(s.dead_letter, sizeof(s.dead_letter), json_get_string(dead_letter, "deadLetterTopic") ?: "");
        if (!json_get_int(dead_letter, "maxDeliveryAttempts", &s.dead_letter_attempts) || s.dead_letter_attempts <= 0)
                s.dead_letter_attempts = 5;
        s.topic_deleted = strcmp(s.topic, SUBSCRIPTION_TOPIC_DELETED) == 0;
        s.detached = json_get_flag(json, "detached");
        s.pushes = text_or_null(json_get_string(json_get(json, "pushConfig"), "pushEndpoint"));
        s.exports = json_get(json, "bigqueryConfig") || json_get(json, "cloudStorageConfig") ||
                    json_get(json, "bigtableConfig");
        s.broken = text_equal(json_get_string(json, "state"), "RESOURCE_ERROR");
        s.exactly_once = json_get_flag(json, "enableExactlyOnceDelivery");
        s.transforms = has_transform(json);
        *ret = s;
        return 0;
}

/* ---- warnings ---- */

typedef struct Warner {
        void (*each)(void *userdata, const char *text);
        void *userdata;
} Warner;

static _printf_(2, 3) void warn(const Warner *warner, const char *format, ...) {
        char text[1024];
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        warner->each(warner->userdata, text);
}

/* Warns of settings with which no message arrives. */
static void warn_of_silence(const Warner *warner, const SubscriptionSettings *s) {
        if (s->topic_deleted)
                warn(warner, "its topic was deleted: nothing that is published will ever reach it, not even to a new "
                             "topic of the same name; publishing pauses. Delete the subscription once it is empty and "
                             "run `sensorqd setup`");
        if (s->detached)
                warn(warner, "it is detached: its messages are gone and no more will come; publishing pauses. Delete "
                             "it and run `sensorqd setup`");
        if (s->pushes)
                warn(warner, "it pushes its messages to an endpoint, so none can be pulled. Remove its pushConfig, or "
                             "use another subscription");
        if (s->exports)
                warn(warner,
                        "it exports its messages to another service, so none can be pulled. Use another subscription");
        if (s->broken && !s->topic_deleted)
                warn(warner,
                        "its state is RESOURCE_ERROR: it does not deliver. See its page in the Google Cloud console");
        if (s->filter[0] != '\0')
                warn(warner,
                        "it has a filter (%s): messages that do not match are discarded by Pub/Sub and never stored",
                        s->filter);
        if (s->transforms)
                warn(warner,
                        "it has a message transform: the result is stored in place of the message, and a message that "
                        "it turns into null is discarded by Pub/Sub and never stored");
}

/* Warns of settings with which messages may be lost. */
static void warn_of_loss(const Warner *warner, const SubscriptionSettings *s) {
        char span[CLOCK_SPAN_SIZE];

        if (s->expiration > 0)
                warn(warner,
                        "Pub/Sub deletes it, and what it holds, after %s without activity: a long outage loses it. Set "
                        "its expiration to never (expirationPolicy {})",
                        clock_format_span(s->expiration, span, sizeof(span)));
        if (s->retention < RETENTION_SHORT_USEC)
                warn(warner,
                        "Pub/Sub drops its messages after %s: a longer outage of the sink loses readings. Better: "
                        "gcloud pubsub subscriptions update SUBSCRIPTION --message-retention-duration=7d",
                        clock_format_span(s->retention, span, sizeof(span)));
        if (s->dead_letter[0] != '\0')
                warn(warner,
                        "after %" PRIi64 " deliveries a message moves to %s, which sensorqd does not read: make sure "
                        "that this topic has a subscription of its own",
                        s->dead_letter_attempts, s->dead_letter);
        if (s->deadline_sec < DEADLINE_SHORT_SEC)
                warn(warner,
                        "its ack deadline is only %u s: leases are renewed every %u s, and messages are redelivered "
                        "whenever one is late. Better: gcloud pubsub subscriptions update SUBSCRIPTION "
                        "--ack-deadline=60",
                        s->deadline_sec, s->deadline_sec / 2);
}

void subscription_each_warning(
        const SubscriptionSettings *settings, void (*each)(void *userdata, const char *text), void *userdata) {
        const Warner warner = { each, userdata };

        warn_of_silence(&warner, settings);
        warn_of_loss(&warner, settings);
}

/* ---- failures, and what is logged of them ---- */

struct Subscription {
        Client *client;
        const char *name;
        void (*on_change)(void *userdata);
        void *userdata;
        ClientCall *call;
        LoopWatch *timer;
        Backoff backoff;
        SubscriptionSettings settings;
        char topic[sizeof(((SubscriptionSettings *) NULL)->topic)]; /* the last known topic, before it was deleted */
        bool once, known, not_found, checked, may_not_read, resting;
        bool doubted;        /* a read of the settings is due soon; do not put it off */
        bool refreshing;     /* only such a read makes it `checked` */
        usec_t not_found_at; /* clock_now() */
        unsigned failing;    /* a bit for each SubscriptionCause that fails */
        Trouble trouble;
};

/* What fails, and what that means for messages. */
static const struct {
        const char *what, *meanwhile;
} causes[] = {
        [SUBSCRIPTION_PULL] = { "cannot pull", "messages stay in Pub/Sub" },
        [SUBSCRIPTION_ACK] = { "cannot acknowledge", "stored messages will be redelivered, and recognised" },
        [SUBSCRIPTION_LEASE] = { "cannot extend leases", "waiting messages may be redelivered, and are recognised" },
        [SUBSCRIPTION_SETTINGS] = { "cannot be read",
                "publishing pauses: a topic without its subscription discards what is published" },
};

static void log_failing(const Subscription *s, SubscriptionCause cause, const ClientReply *reply, usec_t retry_in) {
        bool gone = reply->outcome == CLIENT_NOT_FOUND; /* its messages too */
        char status[16], retry[24];

        (void) snprintf(status, sizeof(status), "%d", reply->http_status);
        (void) snprintf(retry, sizeof(retry), "%" PRIu64, (retry_in + USEC_PER_SEC - 1) / USEC_PER_SEC);
        log_event(trouble_level(&s->trouble), EVENT_SUBSCRIPTION_FAILING,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, s->name }, { FIELD_ERROR, reply->detail },
                        { FIELD_STATUS, reply->http_status > 0 ? status : NULL },
                        { FIELD_RETRY_SEC, retry_in > 0 ? retry : NULL }),
                "%s: %s: %s. sensorqd keeps trying; %s", s->name, causes[cause].what, reply->detail,
                causes[gone ? SUBSCRIPTION_SETTINGS : cause].meanwhile);
}

static void subscription_gone(Subscription *s);
static void subscription_doubt(Subscription *s);

void subscription_fail(Subscription *s, SubscriptionCause cause, const ClientReply *reply, usec_t retry_in) {
        TroubleGrade grade = subscription_is_passing(reply->outcome) ? TROUBLE_PASSING : TROUBLE_LASTING;
        char detail[TROUBLE_DETAIL_MAX];

        s->failing |= 1U << cause;
        (void) snprintf(detail, sizeof(detail), "%s: %s", causes[cause].what, reply->detail);
        if (reply->no_token || s->resting) /* token.c, or the subscriber of the new configuration, reports it */
                trouble_note(&s->trouble, grade, reply->cause, detail);
        else if (trouble_fail(&s->trouble, grade, reply->cause, retry_in, detail))
                log_failing(s, cause, reply, retry_in);
        if (reply->outcome == CLIENT_NOT_FOUND && cause != SUBSCRIPTION_SETTINGS)
                subscription_gone(s);
        else if (cause == SUBSCRIPTION_PULL && strcmp(reply->error.status, "FAILED_PRECONDITION") == 0)
                subscription_doubt(s);
        s->on_change(s->userdata);
}

void subscription_mend(Subscription *s, SubscriptionCause cause) {
        bool failed = s->failing & 1U << cause;
        char span[CLOCK_SPAN_SIZE];

        s->failing &= ~(1U << cause);
        if (s->failing == 0 && trouble_mend_proven(&s->trouble, span))
                log_event(LOG_NOTICE, EVENT_SUBSCRIPTION_RECOVERED, LOG_FIELDS({ FIELD_SUBSCRIPTION, s->name }),
                        "%s: works again after %s", s->name, span);
        if (failed)
                s->on_change(s->userdata);
}

/* ---- reading the settings ---- */

static void log_warning_text(void *userdata, const char *text) {
        const Subscription *s = userdata;

        log_event(s->once ? LOG_INFO : LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_SUBSCRIPTION, s->name }),
                "%s: %s", s->name, text);
}

static usec_t next_try(Subscription *s, usec_t retry_after) {
        return backoff_next_at_least(&s->backoff, retry_after, loop_random());
}

/* Whether published messages will never reach it. */
static bool is_cut_off(const SubscriptionSettings *settings) {
        return settings->topic_deleted || settings->detached;
}

static bool is_missing(const Subscription *s) {
        return s->not_found || (s->known && is_cut_off(&s->settings));
}

/* The settings_ functions return the pause (usec) until the settings are read again. */
static usec_t settings_failed(Subscription *s, const ClientReply *reply) {
        usec_t pause = next_try(s, reply->retry_after);
        bool said = s->checked; /* failing pulls report this as well, but only after they have begun */

        if (reply->outcome == CLIENT_NOT_FOUND) {
                s->not_found = s->checked = true;
                s->not_found_at = clock_now();
                s->known = said = false;
        }
        if (!said)
                subscription_fail(s, SUBSCRIPTION_SETTINGS, reply, pause);
        return pause;
}

static usec_t settings_found(Subscription *s, const ClientReply *reply) {
        static const ClientReply foreign = { .outcome = CLIENT_FAILED,
                .cause = CAUSE_BETWEEN,
                .detail = "the answer is not from Pub/Sub (damaged, or from a proxy)" };
        static const ClientReply short_of = {
                .outcome = CLIENT_RETRY, .cause = CAUSE_MEMORY, .detail = "out of memory"
        };
        SubscriptionSettings settings;
        bool changed;
        int r = subscription_parse(reply->body.data, reply->body.size, &settings);

        if (r < 0)
                return settings_failed(s, r == -ENOMEM ? &short_of : &foreign);
        changed = !s->known || memcmp(&s->settings, &settings, sizeof(settings)) != 0;
        s->settings = settings;
        if (!settings.topic_deleted)
                text_copy(s->topic, sizeof(s->topic), settings.topic);
        s->known = s->checked = true;
        s->not_found = s->may_not_read = false;
        subscription_mend(s, SUBSCRIPTION_SETTINGS);
        if (changed)
                subscription_each_warning(&settings, log_warning_text, s);
        if (is_cut_off(&settings))
                return next_try(s, 0);
        backoff_reset(&s->backoff);
        return SUBSCRIPTION_REFRESH_USEC;
}

/* pubsub.subscriptions.get is in roles/pubsub.viewer, which is not needed to pull. */
static usec_t settings_forbidden(Subscription *s, const ClientReply *reply) {
        if (!s->may_not_read)
                log_info("%s: its settings may not be read (%s); sensorqd assumes an ack deadline of 10 s", s->name,
                        reply->detail);
        s->may_not_read = s->checked = true;
        s->known = false;
        subscription_mend(s, SUBSCRIPTION_SETTINGS);
        return SUBSCRIPTION_REFRESH_USEC; /* pulls show whether it exists */
}

static void on_reply(void *userdata, ClientReply *reply) {
        Subscription *s = userdata;
        usec_t pause;

        s->call = NULL;
        s->doubted = false;
        if (reply->outcome == CLIENT_OK)
                pause = settings_found(s, reply);
        else if (reply->outcome == CLIENT_REFUSED && reply->http_status == 403)
                pause = settings_forbidden(s, reply);
        else
                pause = settings_failed(s, reply);
        s->refreshing = s->refreshing && !s->checked;
        loop_arm_in(s->timer, pause);
        s->on_change(s->userdata);
}

int subscription_call(Subscription *s, ClientSpec *spec, ClientDone done, void *userdata, ClientCall **ret) {
        spec->resource = s->name;
        return client_call(s->client, spec, done, userdata, ret);
}

const char *subscription_name(const Subscription *s) {
        return s->name;
}

usec_t subscription_deadline(const Subscription *s) {
        return (s->known ? s->settings.deadline_sec : DEADLINE_DEFAULT_SEC) * USEC_PER_SEC;
}

static void read_settings(void *userdata) {
        Subscription *s = userdata;
        ClientSpec spec = { .method = "GET", .timeout = CLIENT_TIMEOUT_USEC, .max_reply = CLIENT_REPLY_MAX };

        if (s->call)
                return;
        if (subscription_call(s, &spec, on_reply, s, &s->call) < 0)
                loop_arm_in(s->timer, next_try(s, 0));
}

void subscription_refresh(Subscription *s) {
        s->checked = false;
        s->refreshing = true;
        s->call = client_cancel(s->call); /* its answer may be older than the event */
        read_settings(s);
}

/* Another call was answered 404: the settings are read again to confirm it. */
static void subscription_gone(Subscription *s) {
        s->checked = true;
        s->not_found_at = clock_now();
        if (!s->not_found) {
                s->call = client_cancel(s->call); /* its answer may be older */
                loop_arm_in(s->timer, next_try(s, 0));
        }
        s->not_found = true;
}

/* A pull was answered FAILED_PRECONDITION, for example since the subscription is detached: the settings are read again
 * to find out. `doubted` is needed because several pulls are refused together. */
static void subscription_doubt(Subscription *s) {
        if (!s->checked || s->doubted || s->resting || s->call || is_missing(s))
                return;
        s->doubted = true;
        loop_arm_in(s->timer, next_try(s, 0));
}

void subscription_found(Subscription *s, usec_t asked) {
        const bool news = s->not_found || !s->checked;

        if (s->refreshing || (s->not_found && asked <= s->not_found_at))
                return; /* a pull that began earlier may still bring messages of a deleted subscription */
        s->checked = true;
        s->not_found = false;
        subscription_mend(s, SUBSCRIPTION_SETTINGS);
        if (news)
                s->on_change(s->userdata);
}

/* ---- life ---- */

int subscription_new(Loop *loop, Client *client, const SubscriptionOptions *options, Subscription **ret) {
        _cleanup_(subscription_freep) Subscription *s = NULL;
        int r;

        s = calloc(1, sizeof(Subscription));
        if (!s)
                return -ENOMEM;
        s->client = client;
        s->name = options->name;
        s->on_change = options->on_change;
        s->userdata = options->userdata;
        s->once = options->once;
        s->backoff = (Backoff){ .initial = 1 * USEC_PER_SEC, .max = 60 * USEC_PER_SEC };
        r = loop_add_timer(loop, LOOP_RELAXED, read_settings, s, &s->timer);
        if (r < 0)
                return r;
        loop_arm_in(s->timer, 0); /* at once, but from the loop */
        *ret = cleanup_steal(s);
        return 0;
}

void subscription_rest(Subscription *s) {
        s->resting = true;
        s->call = client_cancel(s->call);
        loop_off(s->timer);
}

Subscription *subscription_free(Subscription *s) {
        if (!s)
                return NULL;
        s->call = client_cancel(s->call);
        s->timer = loop_drop(s->timer);
        free(s);
        return NULL;
}

void subscription_status(const Subscription *s, SubscriptionStatus *ret) {
        bool missing = is_missing(s);

        *ret = (SubscriptionStatus){ .settings = s->known ? &s->settings : NULL,
                .topic = s->topic,
                .checked = s->checked,
                .missing = missing,
                .failure = trouble_failure(&s->trouble) };
        if (s->failing == 0 && missing)
                ret->failure.cause = CAUSE_SETUP;
}
