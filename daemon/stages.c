/* SPDX-License-Identifier: Apache-2.0 */
#include "stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/array.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/service.h"
#include "publish/publisher.h"
#include "subscribe/subscriber.h"
#include "types.h"

/* The status of a stage has changed. This only takes a note, because it is called from inside that stage. */
static void host_changed(void *userdata) {
        StagesHost *host = userdata;

        if (!host->once && !host->stopping && !loop_is_armed(host->report))
                loop_arm_in(host->report, STAGES_REPORT_USEC);
        if (host->stopping || (host->stages && host->stages->unsettled > 0))
                loop_wake(host->settle);
}

/* ---- a source ---- */

static bool host_has_room(void *userdata, uint64_t rows, uint64_t bytes) {
        StagesHost *host = userdata;

        if (!host->stopping && outbox_has_room(host->outbox, rows, bytes))
                return true;
        host->short_of_room = true;
        return false;
}

static int host_store(void *userdata, const Source *source, const ReadingList *readings, size_t *ret_repeats) {
        StagesHost *host = userdata;
        int r = outbox_put(host->outbox, readings, ret_repeats);

        if (r == 0 && host->stages)
                stages_wake(host->stages);
        return r;
}

static int host_cursor(void *userdata, const char *name, Bytes *ret) {
        return outbox_cursor(((StagesHost *) userdata)->outbox, name, ret);
}

static uint64_t host_dropped(void *userdata, const char *name) {
        return outbox_dropped(((StagesHost *) userdata)->outbox, name);
}

/* Called from inside an outbox operation, when the disk begins or ceases to fail. */
static void host_on_outbox(void *userdata) {
        StagesHost *host = userdata;

        host->resume = true;
        host_changed(host);
        loop_wake(host->settle);
}

static void host_wire(StagesHost *host) {
        if (host->outbox)
                outbox_watch(host->outbox, host_on_outbox, host);
        host->sources = (SourceHost){
                .means = { host->loop, host->http, host->secrets, host->listen, .state_dir = host->state_dir },
                .manual = host->once,
                .has_room = host_has_room,
                .store = host_store,
                .cursor = host_cursor,
                .dropped = host_dropped,
                .on_change = host_changed,
                .userdata = host,
        };
}

static int stages_read_secrets(const Stages *stages, const char *owner, const ConfigSection *section, void *keys,
        char error[static STAGES_ERROR_MAX]) {
        SecretProblem problem;
        int r = secret_read_all(stages->config, stages->host->secrets, section, keys, &problem);

        if (r == 0 || r == -ENOMEM)
                return r;
        (void) snprintf(error, STAGES_ERROR_MAX, "%s: %s", owner, problem.text);
        return err_passes(r) ? r : STAGES_SECRET;
}

static int stage_prepare_source(Stage *stage, char error[static STAGES_ERROR_MAX]) {
        const SourceConfig *section = stage->section;
        const SourceType *type = types_source(section->type);
        char owner[96];

        (void) snprintf(owner, sizeof(owner), "source %s", section->name);
        if (type->exclusive)
                type->exclusive(section, stage->exclusive);
        return stages_read_secrets(stage->stages, owner, section->section, section->keys, error);
}

static int stage_open_source(Stage *stage) {
        const SourceConfig *section = stage->section;
        Source *source = NULL;
        int r = source_new(&stage->stages->host->sources, types_source(section->type), section, &source);

        stage->self = source;
        return r;
}

/* ---- the publisher ---- */

static void on_missing_topic(void *userdata) {
        Stage *stage = userdata;

        stage->stages->missed_topic = true;
        loop_wake(stage->stages->host->settle);
}

static void on_publisher(void *userdata) {
        Stage *stage = userdata;
        StagesHost *host = stage->stages->host;

        if (host->short_of_room)
                host->resume = true;
        if (host->resume)
                loop_wake(host->settle);
        host_changed(host);
}

static int stage_open_publisher(Stage *stage) {
        const StagesHost *host = stage->stages->host;
        Publisher *publisher;
        int r;

        r = publisher_new(&(PublisherSpec){ .loop = host->loop,
                                  .client = stage->client,
                                  .outbox = host->outbox,
                                  .topic = stage->config->topic,
                                  .on_change = on_publisher,
                                  .on_missing = on_missing_topic,
                                  .userdata = stage },
                &publisher);
        if (r < 0)
                return r;
        stage->self = publisher;
        publisher_pause(publisher, PUBLISHER_SAID_ELSEWHERE); /* until stages_settle() knows every subscription */
        return 0;
}

/* ---- a subscription ---- */

static void host_on_subscription(void *userdata) {
        StagesHost *host = userdata;

        loop_wake(host->settle);
        host_changed(host);
}

static int stage_prepare_subscriber(Stage *stage, char error[static STAGES_ERROR_MAX]) {
        const SubscriptionConfig *section = stage->section;
        const SinkType *type = types_sink(section->sink);
        int r = stages_read_secrets(stage->stages, section->subscription, section->section, section->keys, error);

        if (type->exclusive)
                type->exclusive(section, stage->config->state_dir, stage->exclusive);
        return r == 0 && type->usable ? type->usable(section, error) : r;
}

static int stage_open_subscriber(Stage *stage, char error[static STAGES_ERROR_MAX]) {
        const SubscriptionConfig *section = stage->section;
        StagesHost *host = stage->stages->host;
        const SubscriberOptions options = { .config = section,
                .means = { host->loop, host->http, host->secrets, stage->config->state_dir },
                .once = host->once,
                .sink_type = types_sink(section->sink),
                .tap = host->tap,
                .on_change = host_changed,
                .on_subscription = host_on_subscription,
                .userdata = host };
        Subscriber *subscriber = NULL;
        int r = subscriber_new(stage->client, &options, &subscriber);

        if (r == -EBADMSG)
                (void) snprintf(error, STAGES_ERROR_MAX, "%s: its %s section cannot be used", section->subscription,
                        section->sink);
        stage->self = subscriber;
        return r;
}

/* ---- a stage of any kind ---- */

static bool stage_is_same(const Stage *stage, const void *section) {
        switch (stage->kind) {
        case STAGE_SOURCE:
                return config_source_equal(stage->section, section);
        case STAGE_PUBLISHER:
                return strcmp(stage->config->topic, ((const Config *) section)->topic) == 0;
        case STAGE_SUBSCRIBER:
                break;
        }
        return config_subscription_equal(stage->section, section);
}

static int stage_open(Stage *stage, char error[static STAGES_ERROR_MAX]) {
        if (stage->kind == STAGE_PUBLISHER)
                return stage_open_publisher(stage);
        return stage->kind == STAGE_SOURCE ? stage_open_source(stage) : stage_open_subscriber(stage, error);
}

static void stage_retire(Stage *stage) {
        if (stage->self && !stage->retired && stage->kind == STAGE_SOURCE)
                source_retire(stage->self);
        else if (stage->self && !stage->retired && stage->kind == STAGE_SUBSCRIBER)
                subscriber_stop(stage->self);
        stage->retired = true;
}

/* A publisher ends at once, even during a request: its rows stay, and the next publisher sends them with the same
 * keys. */
static bool stage_has_ended(const Stage *stage) {
        if (!stage->self || stage->kind == STAGE_PUBLISHER)
                return true;
        return stage->kind == STAGE_SOURCE ? !source_is_busy(stage->self) : subscriber_is_stopped(stage->self);
}

static void stage_close(Stage *stage) {
        service_working(&stage->stages->host->told); /* what a part still has for the disk may take long */
        if (stage->kind == STAGE_SOURCE)
                (void) source_free(stage->self);
        else if (stage->kind == STAGE_PUBLISHER)
                (void) publisher_free(stage->self);
        else
                (void) subscriber_free(stage->self);
        stage->self = NULL;
}

static Stage *stage_free(Stage *stage) {
        if (!stage)
                return NULL;
        stage_close(stage);
        client_unref(stage->client);
        config_unref(stage->config);
        free(stage);
        return NULL;
}
CLEANUP_DEFINE(Stage, stage_free)

/* ---- a set ---- */

Stage *stages_next(const Stages *stages, StageKind kind, size_t *i) {
        while (*i < stages->n) {
                Stage *stage = stages->items[(*i)++];

                if (stage->kind == kind && stage->self && !stage->retired)
                        return stage;
        }
        return NULL;
}

/* Returns the stage that the working set already has for that section, or NULL. */
static Stage *stages_find(const Stages *stages, StageKind kind, const void *section) {
        const Stages *old = stages->host->stages;

        for (size_t i = 0; old && i < old->n; i++) {
                Stage *stage = old->items[i];

                if (stage->kind == kind && !stage->retired &&
                        (kind == STAGE_SOURCE || stage->client == stages->client) && stage_is_same(stage, section))
                        return stage;
        }
        return NULL;
}

/* True if another stage of the set has what only one stage can have; with *ending*, only one that is about to end. */
static bool stages_hold_exclusive(const Stages *stages, const Stage *stage, bool ending) {
        for (size_t i = 0; stages && stage->exclusive[0] != '\0' && i < stages->n; i++)
                if (stages->items[i] != stage && stages->items[i]->self && stages->items[i]->retired >= ending &&
                        strcmp(stages->items[i]->exclusive, stage->exclusive) == 0)
                        return true;
        return false;
}

/* Makes a stage and reads its secrets; it does not work yet. */
static int stage_new(
        Stages *stages, StageKind kind, const void *section, Stage **ret, char error[static STAGES_ERROR_MAX]) {
        _cleanup_(stage_freep) Stage *stage = calloc(1, sizeof(Stage));
        int r;

        if (!stage)
                return -ENOMEM;
        stage->kind = kind;
        stage->stages = stages;
        stage->config = config_ref(stages->config);
        stage->section = section;
        stage->client = client_ref(stages->client);
        r = kind == STAGE_SOURCE       ? stage_prepare_source(stage, error)
            : kind == STAGE_SUBSCRIBER ? stage_prepare_subscriber(stage, error)
                                       : 0;
        if (r == 0)
                *ret = cleanup_steal(stage);
        return r;
}

static int stages_add(Stages *stages, StageKind kind, const void *section, char error[static STAGES_ERROR_MAX]) {
        Stage *stage = stages_find(stages, kind, section);
        bool known = stage;
        int r = known ? 0 : stage_new(stages, kind, section, &stage, error);

        if (r != 0)
                return r;
        stages->items[stages->n++] = stage;
        return known || stages_hold_exclusive(stages->host->stages, stage, false) ? 0 : stage_open(stage, error);
}

static int stages_add_all(Stages *stages, char error[static STAGES_ERROR_MAX]) {
        const Config *config = stages->config;
        int r = 0;

        if (config->publishes)
                r = stages_add(stages, STAGE_PUBLISHER, config, error);
        for (size_t i = 0; r == 0 && i < config->n_sources; i++)
                r = stages_add(stages, STAGE_SOURCE, &config->sources[i], error);
        for (size_t i = 0; r == 0 && i < config->n_subscriptions; i++)
                r = stages_add(stages, STAGE_SUBSCRIBER, &config->subscriptions[i], error);
        return r;
}

static int stages_make_client(Stages *stages, char error[static STAGES_ERROR_MAX]) {
        const StagesHost *host = stages->host;
        const Stages *old = host->stages;
        CredentialsError why = {};
        int r;

        if (old && config_pubsub_equal(old->config, stages->config)) {
                stages->client = client_ref(old->client);
                return 0;
        }
        r = client_new(&(ClientMeans){ host->loop, host->http, host->secrets }, stages->config, &stages->client, &why);
        if (r < 0 && why.text[0] != '\0') {
                (void) snprintf(error, STAGES_ERROR_MAX, "%s", why.text);
                return err_passes(r) ? r : STAGES_SECRET;
        }
        return r;
}

int stages_new(StagesHost *host, Config *config, Stages **ret, char error[static STAGES_ERROR_MAX]) {
        _cleanup_(stages_freep) Stages *stages = calloc(1, sizeof(Stages));
        size_t most = 1 + config->n_sources + config->n_subscriptions + (host->stages ? host->stages->n : 0);
        int r;

        error[0] = '\0';
        if (!stages)
                return -ENOMEM;
        stages->host = host;
        stages->config = config_ref(config);
        r = array_reserve(&stages->items, &stages->allocated, most, sizeof(Stage *));
        if (r < 0)
                return r;
        host_wire(host);
        if (config->page) /* page_use() needs its password, and a reload is refused without it */
                r = stages_read_secrets(stages, "page", &config_page_section, config->page, error);
        if (r == 0)
                r = stages_make_client(stages, error);
        if (r == 0)
                r = stages_add_all(stages, error);
        if (r != 0)
                return r;
        stages->publisher = config->publishes ? stages->items[0]->self : NULL;
        *ret = cleanup_steal(stages);
        return 0;
}

Stages *stages_free(Stages *stages) {
        if (!stages)
                return NULL;
        if (stages->host->stages == stages)
                stages->host->stages = NULL;
        for (size_t i = 0; i < stages->n; i++)
                if (stages->items[i]->stages == stages)
                        stage_free(stages->items[i]);
        free(stages->items);
        client_unref(stages->client);
        config_unref(stages->config);
        free(stages);
        return NULL;
}

/* ---- a reload ---- */

/* Frees retired stages that have ended. */
static void stages_reap(Stages *stages) {
        size_t kept = 0;

        for (size_t i = 0; i < stages->n; i++) {
                Stage *stage = stages->items[i];

                if (stage->retired && stage_has_ended(stage))
                        stage_free(stage);
                else
                        stages->items[kept++] = stage;
        }
        stages->n = kept;
}

/* Opens a stage whose exclusive thing is free now. */
static void stage_open_late(Stage *stage) {
        const StagesHost *host = stage->stages->host;
        char error[STAGES_ERROR_MAX] = "", span[CLOCK_SPAN_SIZE];
        int r = stage_open(stage, error);
        Cause cause = err_is_want(r) || r == -EAGAIN ? CAUSE_MEMORY : CAUSE_OTHER; /* EAGAIN: no more threads */
        const char *words = error[0] ? error : strerror(r < 0 ? -r : EIO);

        if (r == 0 && trouble_mend(&stage->unopened, span))
                log_event(LOG_NOTICE, EVENT_PART_RECOVERED, NULL, "%s works again after %s.", stage->exclusive, span);
        if (r != 0 && trouble_fail(&stage->unopened, TROUBLE_LASTING, cause, 0, words))
                log_event(LOG_ERR, EVENT_PART_FAILING, LOG_FIELDS({ FIELD_ERROR, words }),
                        "%s cannot be started: %s. sensorqd keeps trying.", stage->exclusive, words);
        if (!loop_is_armed(host->report)) /* not host_changed(), which would have this tried again at once */
                loop_arm_in(host->report, STAGES_REPORT_USEC);
}

static void stages_open_waiting(Stages *stages) {
        stages->unsettled = 0;
        for (size_t i = 0; i < stages->n; i++) {
                Stage *stage = stages->items[i];

                if (!stage->self && !stage->retired && !stages_hold_exclusive(stages, stage, true))
                        stage_open_late(stage);
                stages->unsettled += stage->retired || !stage->self;
        }
}

/* A stage whose failure was logged gets an end in the log; what comes in its place tells of its own failures. */
static void stage_log_left(const Stage *stage) {
        SubscriberStatus subscriber = {};
        PublisherStatus publisher = {};
        SourceStatus source = {};
        char span[CLOCK_SPAN_SIZE];
        usec_t since, wall = clock_wall();

        if (stage->kind == STAGE_SOURCE)
                source_status(stage->self, &source);
        else if (stage->kind == STAGE_SUBSCRIBER)
                subscriber_status(stage->self, &subscriber);
        else
                publisher_status(stage->self, &publisher);
        since = source.failure.logged_since ?: publisher.failure.logged_since ?: subscriber.sink.failure.logged_since
                ?: subscriber.failure.logged_since;
        if (since > 0)
                log_event(LOG_NOTICE, EVENT_PART_RECOVERED,
                        LOG_FIELDS({ FIELD_SOURCE, source.name }, { FIELD_SUBSCRIPTION, subscriber.subscription }),
                        "%s had been failing for %s, and was changed or removed by a reload.",
                        source.name ?: subscriber.subscription ?: stage->config->topic,
                        clock_format_span(wall > since ? wall - since : 0, span, sizeof(span)));
}

/* A sink of alerts that a reload takes away knows the targets no more, so only the log tells of what fired. */
static void stage_log_unended(const Stage *stage, const Stages *next) {
        const SubscriptionConfig *section = stage->section, *other;
        SubscriberStatus status;

        if (stage->kind != STAGE_SUBSCRIBER)
                return;
        other = config_find_subscription(next->config, (Slice){ section->subscription, strlen(section->subscription) });
        subscriber_status(stage->self, &status);
        if (status.sink.figures.words && status.sink.figures.words[0] &&
                (!other || strcmp(other->sink, section->sink) != 0))
                log_event(LOG_WARNING, NULL, LOG_FIELDS({ FIELD_SUBSCRIPTION, section->subscription }),
                        "%s was removed by a reload, and with it: %s. Nobody will be notified when that is over.",
                        section->subscription, status.sink.figures.words);
}

void stages_take_over(Stages *stages) {
        Stages *old = stages->host->stages;
        char span[CLOCK_SPAN_SIZE];

        for (size_t i = 0; i < stages->n; i++)
                stages->items[i]->stages = stages;
        for (size_t i = 0; old && i < old->n; i++) {
                Stage *stage = old->items[i];

                if (stage->stages != old)
                        continue;
                if (trouble_mend(&stage->unopened, span))
                        log_event(LOG_NOTICE, EVENT_PART_RECOVERED, NULL,
                                "What could not be started for %s was changed or removed by a reload: %s.", span,
                                stage->exclusive);
                if (stage->self && !stage->retired) {
                        stage_log_left(stage);
                        stage_log_unended(stage, stages);
                }
                stage_retire(stage);
                stage->stages = stages;
                stages->items[stages->n++] = stage;
        }
        stages->host->stages = stages;
        stages->missed_topic = old && old->missed_topic;
        stages_free(old);
        stages_reap(stages);
        stages_open_waiting(stages);
}

/* ---- how a stage affects others ---- */

/* True if two full names begin with the same projects/P/. */
static bool is_same_project(const char *a, const char *b) {
        size_t size = strcspn(a, "/") + 1;

        return strncmp(a, b, size + strcspn(a + size, "/") + 1) == 0;
}

/* True if a subscription belongs to publish.topic. One that we may not read counts as such. One that is missing and was
 * never seen counts if `setup` would create it on the topic: if it is in the topic's project. */
static bool status_is_on_topic(const SubscriptionStatus *status, const char *subscription, const char *topic) {
        if (status->topic[0] != '\0')
                return strcmp(status->topic, topic) == 0;
        return !status->missing || is_same_project(subscription, topic);
}

/* What a subscription means for publishing. */
typedef enum Standing {
        STANDING_UNKNOWN,   /* not checked yet */
        STANDING_ELSEWHERE, /* it belongs to another topic */
        STANDING_MISSING,
        STANDING_KEEPS, /* it gets what is published to publish.topic */
} Standing;

static Standing stage_standing(const Stage *stage) {
        const SubscriptionConfig *section = stage->section;
        SubscriptionStatus status;

        subscriber_subscription(stage->self, &status);
        if (!status.checked)
                return STANDING_UNKNOWN;
        if (!status_is_on_topic(&status, section->subscription, stage->stages->config->topic))
                return STANDING_ELSEWHERE;
        return status.missing ? STANDING_MISSING : STANDING_KEEPS;
}

/* Returns why readings published now would be lost, for publisher_pause(). */
static const char *stages_why_paused(const Stages *stages) {
        bool some = stages->config->topic_has_other_subscribers, unknown = stages->host->stopping;
        const Stage *stage;

        for (size_t i = 0; (stage = stages_next(stages, STAGE_SUBSCRIBER, &i));) {
                Standing standing = stage_standing(stage);

                unknown = unknown || standing == STANDING_UNKNOWN || standing == STANDING_MISSING;
                some = some || standing == STANDING_KEEPS;
        }
        if (unknown || (!some && stages->unsettled > 0)) /* missing, or waiting for its predecessor: there soon */
                return PUBLISHER_SAID_ELSEWHERE;
        return some ? PUBLISHER_GO_ON
                    : "no subscription of this configuration is on this topic, so what is published there may be lost. "
                      "Correct publish.topic or the subscriptions";
}

/* Looks at the outbox anew. If it fails, the sources hold their peers, and the publisher goes on as it was. */
static void stages_resume(const Stages *stages) {
        for (size_t i = 0; i < stages->n; i++)
                if (stages->items[i]->kind == STAGE_SOURCE && stages->items[i]->self)
                        source_resume(stages->items[i]->self);
        if (stages->publisher && !outbox_is_failing(stages->host->outbox))
                publisher_resume(stages->publisher);
}

static void stages_refresh_subscriptions(const Stages *stages) {
        const Stage *stage;

        for (size_t i = 0; (stage = stages_next(stages, STAGE_SUBSCRIBER, &i));)
                subscriber_refresh(stage->self);
}

void stages_settle(Stages *stages) {
        StagesHost *host = stages->host;

        if (stages->unsettled > 0) {
                stages_reap(stages);
                stages_open_waiting(stages);
        }
        if (host->resume) {
                host->resume = host->short_of_room = false;
                stages_resume(stages);
        }
        if (stages->missed_topic) {
                stages->missed_topic = false;
                stages_refresh_subscriptions(stages);
        }
        if (stages->publisher)
                publisher_pause(stages->publisher, stages_why_paused(stages));
}

void stages_wake(Stages *stages) {
        if (stages->publisher)
                publisher_wake(stages->publisher);
}

/* ---- figures ---- */

/* A stage that could not be opened stands in the figures, too: as failing, or with a sink that is down. */
static void stage_source_status(const Stage *stage, SourceStatus *ret) {
        const SourceConfig *section = stage->section;

        if (stage->self)
                return source_status(stage->self, ret);
        *ret = (SourceStatus){ .name = section->name,
                .failure = trouble_failure(&stage->unopened),
                .speaks = source_type_speaks(types_source(section->type), section),
                .dropped = host_dropped(stage->stages->host, section->name) };
}

static void stage_subscriber_status(const Stage *stage, SubscriberStatus *ret) {
        const SubscriptionConfig *section = stage->section;
        const Failure failure = trouble_failure(&stage->unopened);

        if (stage->self)
                return subscriber_status(stage->self, ret);
        *ret = (SubscriberStatus){ .subscription = section->subscription,
                .paused = true,
                .paused_since = failure.since,
                .failure.detail = "",
                .sink = { .what = types_sink(section->sink)->what, .failure = failure } };
}

int stages_figures(const Stages *stages, Figures *figures) {
        Outbox *outbox = stages->host->outbox;

        figures->sources = calloc(stages->n + 1, sizeof(SourceStatus));
        figures->subscribers = calloc(stages->n + 1, sizeof(SubscriberStatus));
        if (!figures->sources || !figures->subscribers)
                return -ENOMEM;
        for (size_t i = 0; i < stages->n; i++) {
                const Stage *stage = stages->items[i];

                if (stage->retired || (!stage->self && !trouble_is_on(&stage->unopened)))
                        continue;
                if (stage->kind == STAGE_SOURCE)
                        stage_source_status(stage, &figures->sources[figures->n_sources++]);
                else if (stage->kind == STAGE_SUBSCRIBER)
                        stage_subscriber_status(stage, &figures->subscribers[figures->n_subscribers++]);
        }
        if (stages->publisher)
                publisher_status(stages->publisher, &figures->publisher);
        token_status(client_token(stages->client), &figures->token);
        figures->publishes = stages->config->publishes;
        if (outbox)
                outbox_status(outbox, &figures->outbox);
        return 0;
}

/* ---- stop ---- */

void stages_stop(Stages *stages) {
        stages->host->told = clock_now();
        for (size_t i = 0; i < stages->n; i++) {
                Stage *stage = stages->items[i];

                if (stage->self && stage->kind == STAGE_SOURCE && !source_must_end(stage->self))
                        stage_close(stage);
                if (!stage->self || stage->kind == STAGE_SOURCE)
                        stage_retire(stage); /* a stage that waits is not opened any more */
                else if (stage->kind == STAGE_SUBSCRIBER)
                        subscriber_stop(stage->self);
                else if (!stage->retired)
                        publisher_pause(stage->self, PUBLISHER_SAID_ELSEWHERE);
        }
        stages_reap(stages);
}

bool stages_are_stopped(const Stages *stages) {
        for (size_t i = 0; i < stages->n; i++) {
                const Stage *stage = stages->items[i];

                if (stage->self && stage->kind == STAGE_PUBLISHER && !publisher_is_idle(stage->self))
                        return false;
                if (stage->self && stage->kind != STAGE_PUBLISHER && !stage_has_ended(stage))
                        return false;
        }
        return true;
}
