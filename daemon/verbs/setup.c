/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd setup`: creates what is missing, changes nothing that exists. The subscription comes right after the topic: what is published
 * to a topic without one is lost. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "lib/err.h"
#include "subscribe/subscription.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

static void setup_topic(Session *session, const char *topic) {
        SessionReply reply;

        session_call(session, "PUT", topic, NULL, "{}", &reply);
        if (reply.outcome == CLIENT_OK)
                session_ok(session, topic, "created");
        else if (reply.outcome == CLIENT_EXISTS)
                session_ok(session, topic, "exists");
        else
                session_fail(session, topic, "cannot be created: %s", reply.detail);
        session_reply_done(&reply);
}

static void warn_of_setting(void *userdata, const char *text) {
        const SessionNamed *named = userdata;

        session_warn(named->session, named->name, "exists and is left as it is, but %s", text);
}

static void setup_tell_existing(Session *session, const char *name) {
        SubscriptionSettings settings;
        SessionReply reply;

        session_call(session, "GET", name, NULL, NULL, &reply);
        if (reply.outcome != CLIENT_OK || subscription_parse(reply.body.data, reply.body.size, &settings) < 0)
                session_ok(session, name, "exists; its settings cannot be read: %s", reply.detail);
        else {
                session_ok(session, name, "exists, on %s", settings.topic);
                if (session->config->topic && strcmp(settings.topic, session->config->topic) != 0)
                        session_warn(session, name,
                                "it belongs to %s, not to publish.topic: what this daemon publishes does not come back through it",
                                settings.topic);
                subscription_each_warning(&settings, warn_of_setting, &(SessionNamed){ session, name });
        }
        session_reply_done(&reply);
}

/* As long a retention as the service takes: 31 days, or 7 where that is the limit. */
static void setup_create_subscription(Session *session, const char *subscription, const char *topic, SessionReply *ret) {
        static const char *const retentions[] = { "2678400s", "604800s" };
        char body[768];

        for (size_t i = 0; i < ELEMENTSOF(retentions); i++) {
                (void) snprintf(body, sizeof(body),
                        "{\"topic\":\"%s\",\"ackDeadlineSeconds\":60,\"messageRetentionDuration\":\"%s\",\"expirationPolicy\":{}}", topic,
                        retentions[i]);
                session_call(session, "PUT", subscription, NULL, body, ret);
                if (ret->outcome != CLIENT_INVALID)
                        return;
                if (i + 1 < ELEMENTSOF(retentions))
                        session_reply_done(ret);
        }
}

static void setup_subscription(Session *session, const SubscriptionConfig *section) {
        const char *name = section->subscription;
        SessionReply reply;

        if (!session->config->topic) {
                setup_tell_existing(session, name);
                return;
        }
        setup_create_subscription(session, name, session->config->topic, &reply);
        if (reply.outcome == CLIENT_OK)
                session_ok(session, name, "created on %s: ack deadline 60 s, never expires", session->config->topic);
        else if (reply.outcome == CLIENT_EXISTS)
                setup_tell_existing(session, name);
        else
                session_fail(session, name, "cannot be created: %s", reply.detail);
        session_reply_done(&reply);
}

int verb_setup(Config *config) {
        _cleanup_(session_closep) Session *session = NULL;
        int r;

        r = session_open(config, &session);
        if (r != 0)
                return r;
        if (config->topic && session->remote)
                setup_topic(session, config->topic);
        for (size_t i = 0; i < config->n_subscriptions && session->remote; i++)
                setup_subscription(session, &config->subscriptions[i]);
        for (size_t i = 0; i < config->n_subscriptions; i++)
                session_mongodb(session, &config->subscriptions[i], mongodb_admin_create_indexes);
        return session_exit_code(session);
}
