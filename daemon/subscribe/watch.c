/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/text.h"

struct Watch {
        sd_event *event;
        Client *client;
        const char *subscription;
        Health *health;
        void (*on_change)(void *userdata);
        void *userdata;
        ClientCall *call;
        sd_event_source *timer;
        Backoff backoff;
        SubscriptionSettings settings;
        char topic[sizeof(((SubscriptionSettings *) NULL)->topic)]; /* the last one, until it was deleted */
        bool known, not_found, checked, may_not_read;
        usec_t not_found_at; /* clock_now() */
};

static int watch_look(Watch *watch);

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        return watch_look(userdata);
}

static void watch_wake_in(Watch *watch, usec_t pause) {
        if (sd_event_source_set_time(watch->timer, clock_now() + pause) < 0 ||
                sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT) < 0)
                log_debug("%s: cannot set the timer that reads the settings", watch->subscription);
}

static usec_t watch_next_try(Watch *watch, usec_t retry_after) {
        return backoff_next_at_least(&watch->backoff, retry_after, loop_random());
}

static void log_warning_text(void *userdata, const char *text) {
        const Watch *watch = userdata;

        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_SUBSCRIPTION, watch->subscription }), "%s: %s",
                watch->subscription, text);
}

/* Returns the pause until the next look. */
static usec_t watch_found(Watch *watch, const ClientReply *reply) {
        SubscriptionSettings settings;
        bool changed;

        if (subscription_parse(reply->body.data, reply->body.size, &settings) < 0) {
                log_debug("%s: its settings cannot be read: no reply of Pub/Sub", watch->subscription);
                return watch_next_try(watch, 0);
        }
        changed = !watch->known || memcmp(&watch->settings, &settings, sizeof settings) != 0;
        watch->settings = settings;
        if (!settings.topic_deleted)
                text_copy(watch->topic, sizeof(watch->topic), settings.topic);
        watch->known = watch->checked = true;
        watch->not_found = watch->may_not_read = false;
        health_mend(watch->health, HEALTH_SETTINGS);
        if (changed)
                subscription_each_warning(&settings, log_warning_text, watch);
        if (settings.topic_deleted)
                return watch_next_try(watch, 0);
        backoff_reset(&watch->backoff);
        return WATCH_EVERY_USEC;
}

static void watch_fail(Watch *watch, const ClientReply *reply, usec_t pause) {
        health_fail(watch->health, HEALTH_SETTINGS,
                &(HealthFailure){ .outcome = reply->outcome,
                        .http_status = reply->http_status,
                        .detail = reply->detail,
                        .retry_in = pause });
}

static usec_t watch_not_found(Watch *watch, const ClientReply *reply) {
        usec_t pause = watch_next_try(watch, reply->retry_after);

        watch->not_found = watch->checked = true;
        watch->not_found_at = clock_now();
        watch->known = false;
        watch_fail(watch, reply, pause);
        return pause;
}

/* Pulls tell of these as well, but only once they have begun. */
static usec_t watch_failed(Watch *watch, const ClientReply *reply) {
        usec_t pause = watch_next_try(watch, reply->retry_after);

        if (!watch->checked)
                watch_fail(watch, reply, pause);
        return pause;
}

/* pubsub.subscriptions.get is in roles/pubsub.viewer, which is not needed to pull. */
static usec_t watch_forbidden(Watch *watch, const ClientReply *reply) {
        if (!watch->may_not_read)
                log_info("%s: its settings may not be read (%s); sensorqd counts on an ack deadline of 10 s",
                        watch->subscription, reply->detail);
        watch->may_not_read = watch->checked = true;
        watch->known = false;
        health_mend(watch->health, HEALTH_SETTINGS);
        return WATCH_EVERY_USEC; /* pulls tell whether it is there */
}

static void on_reply(void *userdata, ClientReply *reply) {
        Watch *watch = userdata;
        usec_t pause;

        watch->call = NULL;
        if (reply->outcome == CLIENT_OK)
                pause = watch_found(watch, reply);
        else if (reply->outcome == CLIENT_NOT_FOUND)
                pause = watch_not_found(watch, reply);
        else if (reply->outcome == CLIENT_REFUSED && reply->http_status == 403)
                pause = watch_forbidden(watch, reply);
        else
                pause = watch_failed(watch, reply);
        watch_wake_in(watch, pause);
        watch->on_change(watch->userdata);
}

static int watch_look(Watch *watch) {
        ClientSpec spec = { .method = "GET",
                .resource = watch->subscription,
                .timeout = CLIENT_TIMEOUT_USEC,
                .max_reply = CLIENT_REPLY_MAX };

        if (watch->call)
                return 0;
        if (client_call(watch->client, &spec, on_reply, watch, &watch->call) < 0)
                watch_wake_in(watch, watch_next_try(watch, 0));
        return 0;
}

void watch_look_again(Watch *watch) {
        watch->checked = false;
        watch->call = client_cancel(watch->call); /* its answer may be from before */
        (void) watch_look(watch);
}

void watch_tell(Watch *watch, bool found, usec_t asked) {
        bool before = watch_is_missing(watch);

        if (watch->not_found && found && asked <= watch->not_found_at)
                return; /* an old pull may still bring messages of a subscription that is gone */
        watch->checked = true;
        if (!found) {
                watch->not_found_at = clock_now();
                if (!watch->not_found && !watch->call)
                        watch_wake_in(watch, watch_next_try(watch, 0));
                watch->not_found = true;
        } else {
                watch->not_found = false;
                health_mend(watch->health, HEALTH_SETTINGS);
        }
        if (watch_is_missing(watch) != before)
                watch->on_change(watch->userdata);
}

int watch_new(sd_event *event, Client *client, const char *subscription, Health *health,
        void (*on_change)(void *userdata), void *userdata, Watch **ret) {
        _cleanup_(watch_freep) Watch *watch = NULL;
        int r;

        watch = calloc(1, sizeof *watch);
        if (!watch)
                return -ENOMEM;
        watch->event = sd_event_ref(event);
        watch->client = client;
        watch->subscription = subscription;
        watch->health = health;
        watch->on_change = on_change;
        watch->userdata = userdata;
        watch->backoff = (Backoff){ .initial = 1 * USEC_PER_SEC, .max = 60 * USEC_PER_SEC };
        r = sd_event_add_time(
                event, &watch->timer, CLOCK_BOOTTIME, 0, 0, on_timer, watch); /* at once, but from the loop */
        if (r < 0)
                return r;
        *ret = cleanup_steal(watch);
        return 0;
}

Watch *watch_free(Watch *watch) {
        if (!watch)
                return NULL;
        watch->call = client_cancel(watch->call);
        sd_event_source_disable_unref(watch->timer);
        sd_event_unref(watch->event);
        free(watch);
        return NULL;
}

const SubscriptionSettings *watch_settings(const Watch *watch) {
        return watch->known ? &watch->settings : NULL;
}

bool watch_is_missing(const Watch *watch) {
        return watch->not_found || (watch->known && watch->settings.topic_deleted);
}

const char *watch_topic(const Watch *watch) {
        return watch->topic;
}

bool watch_is_checked(const Watch *watch) {
        return watch->checked;
}
