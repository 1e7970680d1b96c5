/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/subscription.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "pubsub/wire.h"

#define DEADLINE_DEFAULT_SEC 10
#define DEADLINE_MAX_SEC 600
#define DEADLINE_SHORT_SEC 20 /* below this, a slow uplink makes renewals late */
#define RETENTION_SHORT_USEC (24 * USEC_PER_HOUR)

static void copy_text(char *out, size_t size, Json *json, const char *key) {
        const char *text = json_get_string(json, key);

        (void) snprintf(out, size, "%s", text ? text : "");
}

static usec_t get_duration(Json *json, const char *key, usec_t fallback) {
        const char *text = json_get_string(json, key);
        usec_t duration;

        return text && wire_get_duration(text, &duration) ? duration : fallback;
}

static bool get_flag(Json *json, const char *key) {
        bool value = false;

        return json_get_bool(json, key, &value) && value;
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
                if (!get_flag(transform, "disabled"))
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
        const char *state, *push;
        int r;

        memset(&s, 0, sizeof s); /* with its padding: who keeps one compares it whole */
        r = json_parse(body, size, &json);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        if (!json_get_string(json, "name") && !json_get_string(json, "topic"))
                return -EBADMSG;
        copy_text(s.topic, sizeof s.topic, json, "topic");
        copy_text(s.filter, sizeof s.filter, json, "filter");
        s.deadline_sec = get_deadline(json);
        s.retention = get_duration(json, "messageRetentionDuration", SUBSCRIPTION_RETENTION_DEFAULT_USEC);
        expiration = json_get(json, "expirationPolicy");
        s.expiration = expiration ? get_duration(expiration, "ttl", 0) : SUBSCRIPTION_EXPIRATION_DEFAULT_USEC;
        dead_letter = json_get(json, "deadLetterPolicy");
        copy_text(s.dead_letter, sizeof s.dead_letter, dead_letter, "deadLetterTopic");
        if (!json_get_int(dead_letter, "maxDeliveryAttempts", &s.dead_letter_attempts) || s.dead_letter_attempts <= 0)
                s.dead_letter_attempts = 5;
        state = json_get_string(json, "state");
        push = json_get_string(json_get(json, "pushConfig"), "pushEndpoint");
        s.topic_deleted = strcmp(s.topic, SUBSCRIPTION_TOPIC_DELETED) == 0;
        s.detached = get_flag(json, "detached");
        s.pushes = push && *push;
        s.exports = json_get(json, "bigqueryConfig") || json_get(json, "cloudStorageConfig") ||
                    json_get(json, "bigtableConfig");
        s.broken = state && strcmp(state, "RESOURCE_ERROR") == 0;
        s.exactly_once = get_flag(json, "enableExactlyOnceDelivery");
        s.ordered = get_flag(json, "enableMessageOrdering");
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
        (void) vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        warner->each(warner->userdata, text);
}

/* Nothing arrives here. */
static void warn_of_silence(const Warner *warner, const SubscriptionSettings *s) {
        if (s->topic_deleted)
                warn(warner, "its topic was deleted: nothing that is published will ever reach it, not even to a new "
                             "topic of the same "
                             "name; publishing pauses. "
                             "Delete the subscription once it is empty and run `sensorqd setup`");
        if (s->detached)
                warn(warner, "it is detached: its messages are gone and no more will come. Delete it and run `sensorqd "
                             "setup`");
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
                        "it has a message transform: its answer is stored in place of the message, and what it answers "
                        "null for is discarded by Pub/Sub and never stored");
}

/* What arrives may be lost. */
static void warn_of_loss(const Warner *warner, const SubscriptionSettings *s) {
        char span[32];

        if (s->expiration > 0)
                warn(warner,
                        "Pub/Sub deletes it, and what it holds, after %s without activity: a long outage loses it. Set "
                        "its expiration to "
                        "never "
                        "(expirationPolicy {})",
                        clock_format_span(s->expiration, span, sizeof span));
        if (s->retention < RETENTION_SHORT_USEC)
                warn(warner,
                        "Pub/Sub drops its messages after %s: a longer outage of the sink loses readings. Set "
                        "messageRetentionDuration to "
                        "7 d or more",
                        clock_format_span(s->retention, span, sizeof span));
        if (s->dead_letter[0] != '\0')
                warn(warner,
                        "after %" PRIi64 " deliveries a message moves to %s, which sensorqd does not read: see that "
                        "this topic has a subscription of its "
                        "own",
                        s->dead_letter_attempts, s->dead_letter);
        if (s->deadline_sec < DEADLINE_SHORT_SEC)
                warn(warner,
                        "its ack deadline is only %u s: leases are renewed every %u s, and whenever one is late "
                        "messages come a second "
                        "time. Better: gcloud pubsub subscriptions update --ack-deadline=60",
                        s->deadline_sec, s->deadline_sec / 2);
}

void subscription_each_warning(
        const SubscriptionSettings *settings, void (*each)(void *userdata, const char *text), void *userdata) {
        const Warner warner = { each, userdata };

        warn_of_silence(&warner, settings);
        warn_of_loss(&warner, settings);
}
