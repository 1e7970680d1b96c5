/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd setup`: creates what is missing, changes nothing that exists. Subscriptions are created right after the
 * topic: messages published to a topic without a subscription are lost. When Pub/Sub does not answer, no further call
 * is made: each would wait for its timeout. */
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "subscribe/subscription.h"
#include "verbs/check.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

enum { SETUP_READ = 0, SETUP_ABSENT = 1, SETUP_UNKNOWN = 2 };

/* Reads the settings of a subscription. SETUP_ABSENT: it does not exist, or may not be read and is assumed to be on the
 * topic. SETUP_UNKNOWN, after a message: nothing is known. */
static int setup_read(Session *session, const char *name, SubscriptionSettings *ret) {
        int outcome = SETUP_UNKNOWN;
        _cleanup_(session_reply_done) SessionReply reply = {};

        session_get(session, name, &reply);
        if (reply.outcome == CLIENT_OK && subscription_parse(reply.body.data, reply.body.size, ret) >= 0)
                outcome = SETUP_READ;
        else if (reply.outcome == CLIENT_NOT_FOUND || strcmp(reply.status, "PERMISSION_DENIED") == 0)
                outcome = SETUP_ABSENT;
        else
                session_fail(session, name, "cannot be looked at, so its topic is not made: %s",
                        reply.detail[0] ? reply.detail : "the answer cannot be read");
        return outcome;
}

/* Whether the topic may be created. A new topic only has the subscriptions that are created after it: one whose topic
 * was deleted never moves to a new topic of the same name. Returns false, after a message, when messages published to
 * the new topic would be lost. */
static bool setup_topic_is_safe(Session *session, const char *topic) {
        const Config *config = session->config;
        bool some = config->topic_has_other_subscribers;
        SubscriptionSettings settings = {};

        for (size_t i = 0; i < config->n_subscriptions; i++) {
                const char *name = config->subscriptions[i].subscription;
                int r = setup_read(session, name, &settings);

                if (r == SETUP_UNKNOWN)
                        return false;
                if (r == SETUP_ABSENT)
                        some = true; /* it is created after the topic */
                if (r == SETUP_ABSENT || !settings.topic_deleted)
                        continue;
                session_fail(session, topic,
                        "is not made again: %s stands on " SUBSCRIPTION_TOPIC_DELETED
                        " and would receive nothing from it. Either delete it once it is empty (gcloud pubsub "
                        "subscriptions delete %s) and run `sensorqd setup` again, or name a new subscription in the "
                        "configuration",
                        name, name);
                return false;
        }
        if (!some && config->n_subscriptions == 0)
                session_fail(session, topic,
                        "is not made: this configuration has no subscription, so what is published there would be "
                        "lost. Add one; if something else reads the topic, remove "
                        "publish.topic_has_other_subscribers: false");
        else if (!some)
                session_fail(session, topic,
                        "is not made: each subscription of this configuration stands on another topic (%s) and would "
                        "receive nothing from it. Either correct publish.topic, or name a new subscription; if "
                        "something else reads the topic, set publish.topic_has_other_subscribers",
                        settings.topic);
        return some;
}

/* Whether *name* exists although creating it was refused. Without the right to create, Pub/Sub refuses even when it
 * exists; but nobody has a permission on something that does not exist. */
static bool setup_is_there(Session *session, const SessionReply *reply, const char *name, const char *permission) {
        return reply->outcome == CLIENT_REFUSED && check_grant(session, name, permission) == GRANT_YES;
}

/* This function and the next return false when Pub/Sub does not answer. */
static bool setup_make_topic(Session *session, const char *topic) {
        _cleanup_(session_reply_done) SessionReply reply = {};

        session_put(session, topic, "{}", &reply);
        if (reply.outcome == CLIENT_OK)
                session_ok(session, topic, "created");
        else if (reply.outcome == CLIENT_EXISTS || setup_is_there(session, &reply, topic, "pubsub.topics.publish"))
                session_ok(session, topic, "exists");
        else
                session_fail(session, topic, "cannot be created: %s", reply.detail);
        return reply.answered;
}

static bool setup_topic(Session *session, const char *topic) {
        _cleanup_(session_reply_done) SessionReply reply = {};

        session_get(session, topic, &reply);
        if (!reply.answered)
                session_fail(session, topic, "cannot be looked at: %s", reply.detail);
        if (!reply.answered || (reply.outcome == CLIENT_NOT_FOUND && !setup_topic_is_safe(session, topic)))
                return reply.answered;
        return setup_make_topic(session, topic);
}

static void warn_of_setting(void *userdata, const char *text) {
        const SessionNamed *named = userdata;

        session_warn(named->session, named->name, "exists and is left as it is, but %s", text);
}

static void setup_tell_settings(Session *session, const char *name, const SubscriptionSettings *settings) {
        if (settings->topic_deleted || settings->detached)
                session_fail(session, name, "exists, on %s: see the warning", settings->topic);
        else
                session_ok(session, name, "exists, on %s", settings->topic);
        if (session->config->topic && !settings->topic_deleted && strcmp(settings->topic, session->config->topic) != 0)
                session_warn(session, name,
                        "it belongs to %s, not to publish.topic: what this daemon publishes does not come back through "
                        "it",
                        settings->topic);
        subscription_each_warning(settings, warn_of_setting, &(SessionNamed){ session, name });
}

/* *known*: the subscription is known to exist. */
static bool setup_tell_existing(Session *session, const char *name, bool known) {
        SubscriptionSettings settings;
        _cleanup_(session_reply_done) SessionReply reply = {};

        session_get(session, name, &reply);
        if (reply.outcome == CLIENT_OK && subscription_parse(reply.body.data, reply.body.size, &settings) >= 0)
                setup_tell_settings(session, name, &settings);
        else if (known)
                session_ok(session, name, "exists; its settings cannot be read: %s", reply.detail);
        else if (strcmp(reply.status, "PERMISSION_DENIED") == 0)
                session_warn(session, name, "cannot be looked at: %s", reply.detail);
        else if (reply.outcome == CLIENT_NOT_FOUND)
                session_fail(session, name,
                        "does not exist, and without publish.topic sensorqd does not know on which topic to create "
                        "it: create it with another client");
        else
                session_fail(session, name, "%s", reply.detail[0] ? reply.detail : "the answer cannot be read");
        return reply.answered;
}

/* Creates it with the longest retention that the service accepts: 31 days, or 7. */
static void setup_create_subscription(
        Session *session, const char *subscription, const char *topic, SessionReply *ret) {
        static const char *const retentions[] = { "2678400s", "604800s" };
        char body[768];

        for (size_t i = 0; i < ELEMENTSOF(retentions); i++) {
                (void) snprintf(body, sizeof(body),
                        "{\"topic\":\"%s\",\"ackDeadlineSeconds\":60,\"messageRetentionDuration\":\"%s\","
                        "\"expirationPolicy\":{}}",
                        topic, retentions[i]);
                session_put(session, subscription, body, ret);
                if (ret->outcome != CLIENT_INVALID)
                        return;
        }
}

static bool setup_subscription(Session *session, const SubscriptionConfig *section) {
        const char *name = section->subscription;
        _cleanup_(session_reply_done) SessionReply reply = {};

        if (!session->config->topic)
                return setup_tell_existing(session, name, false);
        setup_create_subscription(session, name, session->config->topic, &reply);
        if (reply.outcome == CLIENT_OK)
                session_ok(session, name, "created on %s: ack deadline 60 s, never expires", session->config->topic);
        else if (reply.outcome == CLIENT_EXISTS ||
                 setup_is_there(session, &reply, name, "pubsub.subscriptions.consume"))
                (void) setup_tell_existing(session, name, true);
        else
                session_fail(session, name, "cannot be created: %s", reply.detail);
        return reply.answered;
}

int verb_setup(Config *config) {
        _cleanup_(session_closep) Session *session = NULL;
        bool reached;
        int r;

        r = session_open(config, &session);
        if (r != 0)
                return r;
        reached = session->client != NULL;
        if (config->topic && reached)
                reached = setup_topic(session, config->topic);
        for (size_t i = 0; i < config->n_subscriptions && reached; i++)
                reached = setup_subscription(session, &config->subscriptions[i]);
        for (size_t i = 0; i < config->n_subscriptions; i++)
                session_sink(session, &config->subscriptions[i], true);
        return session_exit_code(session);
}
