/* SPDX-License-Identifier: Apache-2.0 */
#include "stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/err.h"
#include "lib/log.h"
#include "secret.h"
#include "types.h"

/* ---- one source ---- */

static bool host_has_room(void *userdata, uint64_t rows, uint64_t bytes) {
        StagesHost *host = userdata;

        return !host->stopping && outbox_has_room(host->outbox, rows, bytes);
}

/* From inside an operation on the outbox: stages_settle() acts on it. */
static void host_on_outbox(void *userdata) {
        StagesHost *host = userdata;

        host->outbox_changed = true;
        host->on_change(host->userdata);
}

static int host_store(void *userdata, const Source *source, const ReadingList *readings) {
        StagesHost *host = userdata;
        int r;

        r = outbox_put(host->outbox, readings, NULL);
        if (r < 0)
                return r;
        host->on_change(host->userdata);
        return 0;
}

static void host_changed(void *userdata) {
        StagesHost *host = userdata;

        host->on_change(host->userdata);
}

static int host_cursor(void *userdata, const char *name, Bytes *ret) {
        StagesHost *host = userdata;

        return outbox_cursor(host->outbox, name, ret);
}

static void host_wire_sources(StagesHost *host) {
        if (host->outbox)
                outbox_watch(host->outbox, host_on_outbox, host);
        host->sources = (SourceHost){
                .loop = host->loop,
                .http = host->http,
                .secrets = host->secrets,
                .listen = host->listen,
                .state_dir = host->state_dir,
                .manual = host->once,
                .has_room = host_has_room,
                .store = host_store,
                .cursor = host_cursor,
                .on_change = host_changed,
                .userdata = host,
        };
}

static SourceSlot *source_slot_free(SourceSlot *slot) {
        if (!slot)
                return NULL;
        source_free(slot->source);
        config_unref(slot->config);
        free(slot);
        return NULL;
}
CLEANUP_DEFINE(SourceSlot, source_slot_free)

static int slot_read_secrets(const Stages *stages, const char *owner, const ConfigSection *section, void *keys,
        char error[static STAGES_ERROR_MAX]) {
        SecretProblem problem;
        int r;

        r = secret_read_all(stages->config, stages->host->secrets, section, keys, &problem);
        if (r == 0 || r == -ENOMEM)
                return r;
        (void) snprintf(error, STAGES_ERROR_MAX, "%s: %s", owner, problem.text);
        return STAGES_SECRET;
}

static int source_slot_new(
        Stages *stages, const SourceConfig *section, SourceSlot **ret, char error[static STAGES_ERROR_MAX]) {
        _cleanup_(source_slot_freep) SourceSlot *slot = NULL;
        StagesHost *host = stages->host;
        char owner[96];
        int r;

        slot = calloc(1, sizeof(SourceSlot));
        if (!slot)
                return -ENOMEM;
        slot->config = config_ref(stages->config);
        slot->section = section;
        (void) snprintf(owner, sizeof(owner), "source %s", section->name);
        r = slot_read_secrets(stages, owner, section->section, section->keys, error);
        if (r != 0)
                return r;
        r = source_new(&host->sources, types_source(section->type), section, &slot->source);
        if (r < 0)
                return r;

        *ret = cleanup_steal(slot);
        return 0;
}

/* ---- one subscription ---- */

static SubscriberSlot *subscriber_slot_free(SubscriberSlot *slot) {
        if (!slot)
                return NULL;
        subscriber_free(slot->subscriber);
        remote_unref(slot->remote);
        config_unref(slot->config);
        free(slot);
        return NULL;
}
CLEANUP_DEFINE(SubscriberSlot, subscriber_slot_free)

static int subscriber_slot_new(
        Stages *stages, const SubscriptionConfig *section, SubscriberSlot **ret, char error[static STAGES_ERROR_MAX]) {
        _cleanup_(subscriber_slot_freep) SubscriberSlot *slot = NULL;
        StagesHost *host = stages->host;
        SubscriberOptions options = {
                .config = section, .secrets = host->secrets, .once = host->once, .sink_type = types_sink(section->sink)
        };
        int r;

        slot = calloc(1, sizeof(SubscriberSlot));
        if (!slot)
                return -ENOMEM;
        slot->config = config_ref(stages->config);
        slot->section = section;
        slot->remote = remote_ref(stages->remote);
        r = slot_read_secrets(stages, section->subscription, section->section, section->keys, error);
        if (r != 0)
                return r;
        r = subscriber_new(
                host->loop, slot->remote->client, &options, host->on_change, host->userdata, &slot->subscriber);
        if (r == -EBADMSG)
                (void) snprintf(error, STAGES_ERROR_MAX,
                        "%s: the %s section of this subscription cannot be used: see its uri", section->subscription,
                        section->sink);
        if (r < 0)
                return r;

        *ret = cleanup_steal(slot);
        return 0;
}

/* ---- the publisher ---- */

static PublisherSlot *publisher_slot_free(PublisherSlot *slot) {
        if (!slot)
                return NULL;
        publisher_free(slot->publisher);
        remote_unref(slot->remote);
        config_unref(slot->config);
        free(slot);
        return NULL;
}
CLEANUP_DEFINE(PublisherSlot, publisher_slot_free)

static int publisher_slot_new(Stages *stages, PublisherSlot **ret) {
        _cleanup_(publisher_slot_freep) PublisherSlot *slot = NULL;
        StagesHost *host = stages->host;
        int r;

        slot = calloc(1, sizeof(PublisherSlot));
        if (!slot)
                return -ENOMEM;
        slot->config = config_ref(stages->config);
        slot->remote = remote_ref(stages->remote);
        r = publisher_new(&(PublisherSpec){ .loop = host->loop,
                                  .client = slot->remote->client,
                                  .outbox = host->outbox,
                                  .topic = stages->config->topic,
                                  .on_change = host->on_change,
                                  .userdata = host->userdata },
                &slot->publisher);
        if (r < 0)
                return r;
        publisher_pause(slot->publisher, ""); /* until stages_settle() knows every subscription */

        *ret = cleanup_steal(slot);
        return 0;
}

static bool publisher_can_stay(const Stages *old, const Stages *stages) {
        return old && old->publisher && old->publisher->remote == stages->remote &&
               strcmp(old->publisher->config->topic, stages->config->topic) == 0;
}

/* ---- the set ---- */

/* Whether *old* has a slot for this section already, and where. */
static SourceSlot **find_source(const Stages *old, const SourceConfig *section) {
        for (size_t i = 0; old && i < old->n_sources; i++)
                if (old->sources[i] && source_config_equal(old->sources[i]->section, section))
                        return &old->sources[i];
        return NULL;
}

static SubscriberSlot **find_subscriber(const Stages *old, const SubscriptionConfig *section, const Remote *remote) {
        for (size_t i = 0; old && i < old->n_subscribers; i++)
                if (old->subscribers[i] && old->subscribers[i]->remote == remote &&
                        subscription_config_equal(old->subscribers[i]->section, section))
                        return &old->subscribers[i];
        return NULL;
}

static int stages_make_remote(Stages *stages, Stages *old, char error[static STAGES_ERROR_MAX]) {
        CredentialsError why = {};
        int r;

        if (old && pubsub_config_equal(&old->config->pubsub, &stages->config->pubsub)) {
                stages->remote = remote_ref(old->remote);
                return 0;
        }
        r = remote_new(
                stages->host->loop, stages->host->http, stages->host->secrets, stages->config, &stages->remote, &why);
        if (r < 0 && why.text[0] != '\0') {
                (void) snprintf(error, STAGES_ERROR_MAX, "%s", why.text);
                return STAGES_SECRET;
        }
        return r;
}

/* Slots that *old* has stay NULL here until stages_take_over(). */
static int stages_make_sources(Stages *stages, const Stages *old, char error[static STAGES_ERROR_MAX]) {
        int r;

        for (size_t i = 0; i < stages->n_sources; i++) {
                if (find_source(old, &stages->config->sources[i]))
                        continue;
                r = source_slot_new(stages, &stages->config->sources[i], &stages->sources[i], error);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int stages_make_subscribers(Stages *stages, const Stages *old, char error[static STAGES_ERROR_MAX]) {
        int r;

        for (size_t i = 0; i < stages->config->n_subscriptions; i++) {
                if (find_subscriber(old, &stages->config->subscriptions[i], stages->remote))
                        continue;
                r = subscriber_slot_new(stages, &stages->config->subscriptions[i], &stages->subscribers[i], error);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int stages_allocate(StagesHost *host, Config *config, Stages *old, Stages **ret) {
        _cleanup_(stages_freep) Stages *stages = NULL;
        size_t n_old_sources = old ? old->n_sources + old->n_retired_sources : 0;
        size_t n_old_subscribers = old ? old->n_subscribers + old->n_retired_subscribers : 0;

        stages = calloc(1, sizeof(Stages));
        if (!stages)
                return -ENOMEM;
        stages->host = host;
        stages->config = config_ref(config);
        stages->n_sources = config->n_sources;
        stages->n_subscribers = config->n_subscriptions;
        stages->sources = calloc(config->n_sources + 1, sizeof(SourceSlot *));
        stages->subscribers = calloc(config->n_subscriptions + 1, sizeof(SubscriberSlot *));
        stages->retired_sources = calloc(n_old_sources + 1, sizeof(SourceSlot *));
        stages->retired_subscribers = calloc(n_old_subscribers + 1, sizeof(SubscriberSlot *));
        if (!stages->sources || !stages->subscribers || !stages->retired_sources || !stages->retired_subscribers)
                return -ENOMEM;

        *ret = cleanup_steal(stages);
        return 0;
}

int stages_new(StagesHost *host, Config *config, Stages *old, Stages **ret, char error[static STAGES_ERROR_MAX]) {
        _cleanup_(stages_freep) Stages *stages = NULL;
        int r;

        error[0] = '\0';
        host_wire_sources(host);
        r = stages_allocate(host, config, old, &stages);
        if (r < 0)
                return r;
        r = stages_make_remote(stages, old, error);
        if (r != 0)
                return r;
        if (config->publishes && !publisher_can_stay(old, stages)) {
                r = publisher_slot_new(stages, &stages->publisher);
                if (r < 0)
                        return r;
        }
        r = stages_make_sources(stages, old, error);
        if (r != 0)
                return r;
        r = stages_make_subscribers(stages, old, error);
        if (r != 0)
                return r;

        *ret = cleanup_steal(stages);
        return 0;
}

/* Room for every old slot was made in stages_allocate(). */
static void stages_retire_source(Stages *stages, SourceSlot *slot) {
        if (!slot)
                return;
        source_retire(slot->source);
        stages->retired_sources[stages->n_retired_sources++] = slot;
}

static void stages_retire_subscriber(Stages *stages, SubscriberSlot *slot) {
        if (!slot)
                return;
        subscriber_stop(slot->subscriber);
        stages->retired_subscribers[stages->n_retired_subscribers++] = slot;
}

static void stages_take_sources(Stages *stages, Stages *old) {
        for (size_t i = 0; i < stages->n_sources; i++) {
                SourceSlot **slot = stages->sources[i] ? NULL : find_source(old, &stages->config->sources[i]);

                if (slot)
                        stages->sources[i] = cleanup_steal(*slot);
        }
        for (size_t i = 0; i < old->n_sources; i++)
                stages_retire_source(stages, cleanup_steal(old->sources[i]));
        for (size_t i = 0; i < old->n_retired_sources; i++)
                stages_retire_source(stages, cleanup_steal(old->retired_sources[i]));
}

static void stages_take_subscribers(Stages *stages, Stages *old) {
        for (size_t i = 0; i < stages->n_subscribers; i++) {
                SubscriberSlot **slot = stages->subscribers[i] ? NULL
                                                               : find_subscriber(old, &stages->config->subscriptions[i],
                                                                         stages->remote);

                if (slot)
                        stages->subscribers[i] = cleanup_steal(*slot);
        }
        for (size_t i = 0; i < old->n_subscribers; i++)
                stages_retire_subscriber(stages, cleanup_steal(old->subscribers[i]));
        for (size_t i = 0; i < old->n_retired_subscribers; i++)
                stages_retire_subscriber(stages, cleanup_steal(old->retired_subscribers[i]));
}

void stages_take_over(Stages *stages, Stages *old) {
        if (!old)
                return;
        if (stages->config->publishes && !stages->publisher)
                stages->publisher = cleanup_steal(old->publisher);
        stages_take_sources(stages, old);
        stages_take_subscribers(stages, old);
        stages_free(old);
}

/* The part of a full name that says whose project it is: projects/P/ */
static size_t project_size(const char *name) {
        const char *end = strchr(name + strcspn(name, "/") + 1, '/');

        return end ? (size_t) (end - name) + 1 : 0;
}

/* Whether a subscription is on publish.topic. One that may not be read counts as if it were; one that is missing, and
 * was never seen, where `setup` would make it: in the topic's project. */
static bool stages_is_on_topic(const Stages *stages, const SubscriberStatus *status) {
        const char *topic = stages->config->topic;
        size_t project = project_size(topic);

        if (status->topic[0] != '\0')
                return strcmp(status->topic, topic) == 0;
        return !status->missing ||
               (project == project_size(status->subscription) && strncmp(status->subscription, topic, project) == 0);
}

/* Why what is published now would be lost; publisher_pause() has it. */
static const char *stages_why_paused(const Stages *stages) {
        bool some = stages->n_subscribers == 0;

        for (size_t i = 0; i < stages->n_subscribers; i++) {
                SubscriberStatus status;

                subscriber_status(stages->subscribers[i]->subscriber, &status);
                if (!status.checked)
                        return "";
                if (!stages_is_on_topic(stages, &status))
                        continue;
                if (status.missing)
                        return ""; /* said by the subscriber */
                some = true;
        }
        if (stages->host->stopping)
                return "";
        return some ? NULL
                    : "no subscription of this configuration is on this topic, so what is published there may be lost. "
                      "Correct publish.topic or the subscriptions";
}

static void stages_reap(Stages *stages) {
        for (size_t i = stages->n_retired_sources; i-- > 0;)
                if (!source_is_busy(stages->retired_sources[i]->source)) {
                        source_slot_free(stages->retired_sources[i]);
                        stages->retired_sources[i] = stages->retired_sources[--stages->n_retired_sources];
                }
        for (size_t i = stages->n_retired_subscribers; i-- > 0;)
                if (subscriber_is_stopped(stages->retired_subscribers[i]->subscriber)) {
                        subscriber_slot_free(stages->retired_subscribers[i]);
                        stages->retired_subscribers[i] = stages->retired_subscribers[--stages->n_retired_subscribers];
                }
}

/* The disk took a turn: what waits for it goes on at once, not after its own backoff. */
static void stages_resume(Stages *stages) {
        for (size_t i = 0; i < stages->n_sources; i++)
                source_resume(stages->sources[i]->source);
        for (size_t i = 0; i < stages->n_retired_sources; i++)
                source_resume(stages->retired_sources[i]->source);
        if (stages->publisher)
                publisher_resume(stages->publisher->publisher);
}

void stages_settle(Stages *stages) {
        stages_reap(stages);
        if (stages->host->outbox_changed && !outbox_is_failing(stages->host->outbox))
                stages_resume(stages);
        stages->host->outbox_changed = false;
        if (!stages->publisher)
                return;
        if (publisher_missed_topic(stages->publisher->publisher))
                for (size_t i = 0; i < stages->n_subscribers; i++)
                        subscriber_look_again(stages->subscribers[i]->subscriber);
        publisher_pause(stages->publisher->publisher, stages_why_paused(stages));
        publisher_wake(stages->publisher->publisher);
}

static void stages_drop_sources(Stages *stages) {
        for (size_t i = 0; i < stages->n_sources; i++)
                stages->sources[i] = source_slot_free(stages->sources[i]);
        for (size_t i = 0; i < stages->n_retired_sources; i++)
                stages->retired_sources[i] = source_slot_free(stages->retired_sources[i]);
        stages->n_sources = stages->n_retired_sources = 0;
}

void stages_stop(Stages *stages) {
        stages_drop_sources(stages);
        if (stages->publisher)
                publisher_pause(stages->publisher->publisher, "");
        for (size_t i = 0; i < stages->n_subscribers; i++)
                subscriber_stop(stages->subscribers[i]->subscriber);
}

bool stages_are_stopped(const Stages *stages) {
        if (stages->publisher && !publisher_is_idle(stages->publisher->publisher))
                return false;
        for (size_t i = 0; i < stages->n_subscribers; i++)
                if (!subscriber_is_stopped(stages->subscribers[i]->subscriber))
                        return false;
        return stages->n_retired_subscribers == 0;
}

Stages *stages_free(Stages *stages) {
        if (!stages)
                return NULL;
        if (stages->sources && stages->retired_sources)
                stages_drop_sources(stages);
        for (size_t i = 0; stages->subscribers && i < stages->n_subscribers; i++)
                subscriber_slot_free(stages->subscribers[i]);
        for (size_t i = 0; i < stages->n_retired_subscribers; i++)
                subscriber_slot_free(stages->retired_subscribers[i]);
        publisher_slot_free(stages->publisher);
        remote_unref(stages->remote);
        free(stages->retired_subscribers);
        free(stages->retired_sources);
        free(stages->subscribers);
        free(stages->sources);
        config_unref(stages->config);
        free(stages);
        return NULL;
}

/* ---- once ---- */

int stages_poll_once(Stages *stages) {
        int r;

        for (size_t i = 0; i < stages->n_sources; i++) {
                r = source_poll_now(stages->sources[i]->source);
                if (r < 0)
                        return r;
        }
        return 0;
}

bool stages_are_polled(const Stages *stages) {
        for (size_t i = 0; i < stages->n_sources; i++)
                if (source_is_busy(stages->sources[i]->source))
                        return false;
        return true;
}

static bool stages_know_subscriptions(const Stages *stages) {
        for (size_t i = 0; i < stages->n_subscribers; i++) {
                SubscriberStatus status;

                subscriber_status(stages->subscribers[i]->subscriber, &status);
                if (!status.checked && !status.failing)
                        return false;
        }
        return true;
}

bool stages_are_published(const Stages *stages) {
        return !stages->publisher ||
               (stages_know_subscriptions(stages) && publisher_is_idle(stages->publisher->publisher));
}

void stages_drain(Stages *stages) {
        for (size_t i = 0; i < stages->n_subscribers; i++)
                subscriber_begin(stages->subscribers[i]->subscriber);
}

bool stages_are_drained(const Stages *stages, bool *ret_complete) {
        bool all = true;

        for (size_t i = 0; i < stages->n_subscribers; i++) {
                bool complete = false;

                if (!subscriber_is_drained(stages->subscribers[i]->subscriber, &complete))
                        return false;
                all = all && complete;
        }
        *ret_complete = all;
        return true;
}
