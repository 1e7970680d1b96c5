/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd check`: a line for each remote end, with a remedy where it does not work. Nothing is created, nothing is
 * stored; one poll of each source is made and thrown away. */
#include "verbs/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/json.h"
#include "lib/text.h"
#include "publish/outbox-guest.h"
#include "secret.h"
#include "subscribe/subscription.h"
#include "types.h"
#include "verbs/verbs.h"
#include "web-listen.h"

#define ENDPOINT_GLOBAL "https://pubsub.googleapis.com"
#define CLOCK_TOLERANCE_USEC (60 * USEC_PER_SEC) /* Google's token endpoint accepts little more */

/* ---- clock and way to Pub/Sub ---- */

typedef struct Probe {
        bool done, answered;
        usec_t date, wall;
        char detail[CLIENT_DETAIL_MAX];
} Probe;

static void on_probed(void *userdata, HttpReply *reply) {
        Probe *probe = userdata;

        probe->done = true;
        probe->answered = reply->outcome == HTTP_ANSWERED;
        probe->date = reply->date;
        probe->wall = clock_wall();
        (void) snprintf(probe->detail, sizeof(probe->detail), "%s", reply->detail ? reply->detail : "");
}

/* Any answer is good: only the way to the endpoint and the Date header are checked. */
static int probe_endpoint(Session *session, Probe *ret) {
        const PubsubConfig *pubsub = &session->config->pubsub;
        HttpSpec spec = { .method = "GET",
                .url = pubsub->endpoint,
                .ca_file = pubsub->ca_file,
                .timeout = SESSION_TIMEOUT_USEC,
                .max_reply = CLIENT_REPLY_MAX };
        HttpRequest *request;
        int r;

        *ret = (Probe){};
        r = http_start(session->http, &spec, on_probed, ret, &request);
        while (r >= 0 && !ret->done)
                r = loop_turn(session->loop, USEC_INFINITY);
        return r < 0 ? r : 0;
}

bool check_endpoint(Session *session) {
        const char *endpoint = session->config->pubsub.endpoint;
        char span[CLOCK_SPAN_SIZE];
        usec_t off;
        Probe probe;
        int r;

        r = probe_endpoint(session, &probe);
        if (r < 0 || !probe.answered) {
                session_fail(session, endpoint,
                        "cannot be reached: %s; check the network, name resolution and, where one is used, "
                        "pubsub.ca_file",
                        r < 0 ? strerror(-r) : probe.detail);
                return false;
        }
        session_ok(session, endpoint, "reachable%s",
                session->config->pubsub.emulator ? " (emulator: PUBSUB_EMULATOR_HOST is set, no credentials are used)"
                                                 : "");
        if (probe.date == 0)
                return true;
        off = probe.date > probe.wall ? probe.date - probe.wall : probe.wall - probe.date;
        if (off > CLOCK_TOLERANCE_USEC)
                session_fail(session, "clock",
                        "this machine's clock is %s %s: Google refuses its tokens. Set it, or let systemd-timesyncd do "
                        "it.",
                        clock_format_span(off, span, sizeof(span)), probe.date > probe.wall ? "behind" : "ahead");
        else
                session_ok(session, "clock", "agrees with the server's");
        return true;
}

/* ---- token ---- */

bool check_token(Session *session) {
        const Credentials *credentials = client_credentials(session->client);
        int r, turned = 0;
        TokenStatus status;
        const char *value;
        unsigned number;

        if (!credentials)
                return true;
        while ((r = token_take(client_token(session->client), &value, &number)) == TOKEN_WAIT && turned >= 0)
                turned = loop_turn(session->loop, USEC_INFINITY);
        token_status(client_token(session->client), &status);
        if (r != TOKEN_READY) {
                session_fail(session, "token", "%s (credentials: %s)",
                        turned < 0 ? strerror(-turned) : status.failure.detail, credentials->origin);
                return false;
        }
        session_ok(session, "token", "issued for %s (%s)",
                credentials->client_email ? credentials->client_email : "the user or machine", credentials->origin);
        return true;
}

bool check_key(Session *session) {
        const Credentials *credentials = session->client ? client_credentials(session->client) : NULL;
        const char *origin = credentials ? credentials->origin : "";
        const Config *config = session->config;
        _cleanup_free_ char *path = NULL;
        char unit[CONFIG_UNIT_SIZE];

        if (*origin != '/' || secret_is_handed_over(config, origin) || !config_unit(config->path, unit))
                return true;
        if (secret_find(config, config->pubsub.credentials_file ?: CREDENTIALS_FILE_DEFAULT, &path) == 0 &&
                strcmp(path, origin) == 0)
                return true;
        session_warn(session, origin,
                "is found by the environment of who runs this, which the service does not have: put it into "
                "%s/credentials/" CREDENTIALS_FILE_DEFAULT,
                config->directory);
        return false;
}

/* ---- permissions ---- */

Grant check_grant(Session *session, const char *resource, const char *permission) {
        _cleanup_(json_freep) Json *json = NULL;
        _cleanup_(session_reply_done) SessionReply reply = {};
        char body[160];
        Grant grant = GRANT_UNKNOWN;

        (void) snprintf(body, sizeof(body), "{\"permissions\":[\"%s\"]}", permission);
        session_post(session, resource, ":testIamPermissions", body, &reply);
        if (reply.outcome == CLIENT_OK && json_parse(reply.body.data, reply.body.size, &json) >= 0)
                grant = json_at(json_get(json, "permissions"), 0) ? GRANT_YES : GRANT_NO;
        return grant;
}

Reach check_reach(Session *session, const char *resource, const char *permission, SessionReply *ret) {
        Grant grant = check_grant(session, resource, permission);

        session_get(session, resource, ret);
        if (ret->outcome == CLIENT_NOT_FOUND) /* `setup` makes nothing in a project that is not there */
                return strstr(ret->detail, "project not found") ? REACH_UNKNOWN : REACH_ABSENT;
        if (grant == GRANT_NO)
                return REACH_FORBIDDEN;
        if (ret->outcome == CLIENT_REFUSED && grant == GRANT_YES)
                return REACH_BLIND;
        return ret->outcome == CLIENT_OK ? REACH_OPEN : REACH_UNKNOWN;
}

/* ---- topic ---- */

/* Returns false only when the topic is known to have no subscription. */
static bool topic_has_subscription(Session *session, const char *topic) {
        _cleanup_(json_freep) Json *json = NULL;
        char resource[768];
        _cleanup_(session_reply_done) SessionReply reply = {};
        bool some = true;

        if (session->config->n_subscriptions > 0)
                return true; /* check_subscription() looks at each */
        (void) snprintf(resource, sizeof(resource), "%s/subscriptions", topic);
        session_get(session, resource, &reply);
        if (reply.outcome == CLIENT_OK && json_parse(reply.body.data, reply.body.size, &json) >= 0)
                some = json_at(json_get(json, "subscriptions"), 0) != NULL;
        return some;
}

static void check_topic(Session *session, const char *topic) {
        _cleanup_(session_reply_done) SessionReply reply = {};
        Reach reach = check_reach(session, topic, "pubsub.topics.publish", &reply);

        if (reach == REACH_ABSENT)
                session_fail(session, topic,
                        "does not exist: create it with `sensorqd setup`, or check pubsub.project and publish.topic");
        else if (reach == REACH_FORBIDDEN)
                session_fail(session, topic,
                        "the account may not publish to it: grant roles/pubsub.publisher on this topic");
        else if (reach == REACH_UNKNOWN)
                session_fail(session, topic, "%s", reply.detail);
        else if (!topic_has_subscription(session, topic))
                session_fail(session, topic,
                        "has no subscription: Pub/Sub discards what is published to it. Create one before the first "
                        "reading");
        else
                session_ok(session, topic, "%s",
                        reach == REACH_OPEN ? "exists, may be published to"
                                            : "may be published to; its settings may not be read, which is not needed");
        if (reply.outcome == CLIENT_OK && subscription_transforms(reply.body.data, reply.body.size))
                session_warn(session, topic,
                        "it has a message transform: the result is published in place of the reading, and a reading "
                        "that it turns into null is discarded");
}

/* ---- subscriptions ---- */

static void warn_of_setting(void *userdata, const char *text) {
        const SessionNamed *named = userdata;

        session_warn(named->session, named->name, "%s", text);
}

/* Returns false only when the subscription belongs to another topic than publish.topic. */
static bool check_settings(Session *session, const char *name, const SubscriptionSettings *settings) {
        const char *topic = session->config->topic;

        if (settings->topic_deleted || settings->detached || settings->pushes || settings->exports)
                session_fail(session, name, "cannot be used, see the warnings");
        else if (topic && strcmp(settings->topic, topic) != 0)
                session_warn(session, name,
                        "belongs to %s, not to publish.topic: what this daemon publishes does not come back through it",
                        settings->topic);
        else
                session_ok(session, name, "on %s, ack deadline %u s", settings->topic, settings->deadline_sec);
        subscription_each_warning(settings, warn_of_setting, &(SessionNamed){ session, name });
        if (settings->exactly_once && strcmp(session->config->pubsub.endpoint, ENDPOINT_GLOBAL) == 0)
                session_warn(session, name,
                        "it has exactly-once delivery, which holds within one region only: set pubsub.endpoint to that "
                        "of a region (https://REGION-pubsub.googleapis.com)");
        return !topic || settings->topic_deleted || strcmp(settings->topic, topic) == 0;
}

static bool check_subscription(Session *session, const char *name) {
        _cleanup_(session_reply_done) SessionReply reply = {};
        Reach reach = check_reach(session, name, "pubsub.subscriptions.consume", &reply);
        SubscriptionSettings settings;

        if (reach == REACH_OPEN && subscription_parse(reply.body.data, reply.body.size, &settings) >= 0)
                return check_settings(session, name, &settings);
        if (reach == REACH_ABSENT)
                session_fail(session, name,
                        "does not exist: create it with `sensorqd setup` before anything is published, which would be "
                        "lost");
        else if (reach == REACH_FORBIDDEN)
                session_fail(session, name,
                        "the account may not pull from it: grant roles/pubsub.subscriber on this subscription");
        else if (reach == REACH_BLIND)
                session_ok(session, name,
                        "may be pulled from; its settings may not be read: grant roles/pubsub.viewer to have its "
                        "retention watched");
        else
                session_fail(session, name, "%s", reply.detail[0] ? reply.detail : "the answer cannot be read");
        return true;
}

/* ---- sources ---- */

#define SAMPLE_MAX 160 /* bytes of a reading that are shown */

static bool probe_has_room(void *userdata, uint64_t rows, uint64_t bytes) {
        return true;
}

/* Keeps the first reading as a sample to show, and stores none. */
static int probe_store(void *userdata, const Source *source, const ReadingList *readings, size_t *ret_repeats) {
        char *sample = userdata;

        if (sample[0] == '\0' && readings->n > 0)
                text_copy(sample, SAMPLE_MAX, readings->items[0].payload.data);
        return 0;
}

static void probe_on_change(void *userdata) {}

static int poll_source(const SourceHost *host, const SourceConfig *section, Source **ret) {
        _cleanup_(source_freep) Source *source = NULL;
        int r;

        r = source_new(host, types_source(section->type), section, &source);
        if (r >= 0)
                r = source_poll_now(source);
        while (r >= 0 && source_is_busy(source))
                r = loop_turn(host->means.loop, USEC_INFINITY);
        if (r < 0)
                return r;

        *ret = cleanup_steal(source);
        return 0;
}

static void tell_source(Session *session, const char *name, const SourceStatus *status, const char *sample) {
        if (status->failure.on)
                session_fail(session, name, "%s", status->failure.detail);
        else if (status->odd)
                session_warn(session, name, "%s", status->answer);
        else
                session_ok(session, name, "%s%s%s", status->answer[0] ? status->answer : "answers",
                        sample[0] ? "; for example " : "", sample);
}

static void check_source_as(Session *session, const SourceConfig *section, bool run_programs, const ServiceUser *user) {
        _cleanup_(source_freep) Source *source = NULL;
        char name[96], sample[SAMPLE_MAX] = "";
        SourceStatus status;
        int r;
        const SourceHost host = {
                .means = { session->loop, session->http, session->secrets, .state_dir = session->config->state_dir,
                        .may_run = run_programs, .run_as = user->name && user->name[0] ? user->name : NULL,
                        .run_groups = (const char *const *) user->groups },
                .manual = true,
                .checking = true,
                .has_room = probe_has_room,
                .store = probe_store,
                .on_change = probe_on_change,
                .userdata = sample,
        };

        (void) snprintf(name, sizeof(name), "source %s", section->name);
        if (!session_secrets(session, name, section->section, section->keys))
                return;
        r = poll_source(&host, section, &source);
        if (r < 0)
                return session_fail(session, name, "%s", strerror(-r));
        source_status(source, &status);
        tell_source(session, name, &status, sample);
}

void check_source(Session *session, const SourceConfig *section, bool run_programs) {
        ServiceUser user = {};

        if (run_programs)
                check_unit_user(session->config->path, &user);
        check_source_as(session, section, run_programs, &user);
        service_user_done(&user);
}

/* ---- state_dir ---- */

#define STATE_SPACE_MIN (64 * UINT64_C(1048576)) /* a few days of a house, and room for SQLite's log */

static void check_state_dir(Session *session, const Config *config) {
        const char *directory = config->state_dir;
        struct statvfs space;
        uint64_t free_bytes;

        if (access(directory, F_OK) < 0 && check_unit_makes(config))
                return session_ok(session, directory, "state_dir: the unit makes it when it starts");
        if (access(directory, F_OK) < 0)
                return session_warn(session, directory,
                        "state_dir: %s, and without it sensorqd does not start. Create it for the user that runs "
                        "sensorqd, and name it in ReadWritePaths=",
                        strerror(errno));
        if (statvfs(directory, &space) < 0)
                return session_warn(
                        session, directory, "state_dir: its free space cannot be read: %s", strerror(errno));
        free_bytes = (uint64_t) space.f_bavail * space.f_frsize;
        if (access(directory, W_OK | X_OK) < 0 && errno == EROFS)
                session_fail(session, directory,
                        "state_dir: its file system is read-only, for the service too: mount its disk for writing, and "
                        "see `journalctl -k` whether it is broken");
        else if (access(directory, W_OK | X_OK) < 0)
                session_warn(session, directory,
                        "state_dir: this user may not write there, which says nothing about the service's user: %s",
                        strerror(errno));
        else if (free_bytes < STATE_SPACE_MIN)
                session_warn(session, directory,
                        "state_dir: only %" PRIu64
                        " MiB are free; once the disk is full, no reading is taken. Free some space",
                        free_bytes >> 20);
        else
                session_ok(session, directory, "state_dir: %" PRIu64 " MiB free", free_bytes >> 20);
}

/* ---- the whole ---- */

static void check_pubsub(Session *session) {
        const Config *config = session->config;
        bool reached = check_endpoint(session), some = config->topic_has_other_subscribers;

        if (!session->client || !check_token(session) || !reached)
                return; /* the other calls would fail for the same reason, each after a timeout */
        if (config->topic)
                check_topic(session, config->topic);
        for (size_t i = 0; i < config->n_subscriptions; i++)
                some |= check_subscription(session, config->subscriptions[i].subscription);
        if (config->topic && !some)
                session_fail(session, config->topic,
                        "no subscription of this configuration is on it: what is published there may be lost, so `run` "
                        "publishes nothing. Correct publish.topic or the subscriptions, or set "
                        "publish.topic_has_other_subscribers where something else reads the topic");
}

/* Warns of queued readings that this configuration does not publish any more. */
static void check_outbox(Session *session) {
        const Config *config = session->config;
        OutboxLeft left;

        outbox_left(config->state_dir, config->publishes, &left);
        if (left.rows > 0)
                session_warn(session, "outbox",
                        "%" PRIu64 " reading%s wait%s in %s, and this configuration does not publish from there. Put "
                        "the publish section, or state_dir, back until they are gone.",
                        left.rows, text_s(left.rows), text_verb_s(left.rows), left.directory);
}

static void check_page(Session *session) {
        PageConfig *page = session->config->page;
        const WebListenTry wanted = { page->listen, page->tls.certificate_file, page->tls.key_file,
                session->config->state_dir };
        const char *files[] = { page->tls.certificate_file, page->tls.key_file };
        char ending[WEB_LISTEN_WORDS_MAX];
        bool well = session_secrets(session, "page", &config_page_section, page);
        int r;

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (files[i] && access(files[i], R_OK) < 0) {
                        session_fail(session, "page", "%s: %s; the service's user must be able to read it", files[i],
                                strerror(errno));
                        well = false;
                }
        r = well ? web_listen_try(session->loop, &wanted) : 0;
        if (r < 0)
                session_fail(session, "page", "cannot be served on %s: %s", page->listen, web_listen_words(r));
        else if (well)
                session_tell(session,
                        web_listen_is_ending(page->tls.certificate_file, ending) ? SINK_GRADE_WARN : SINK_GRADE_OK,
                        "page", "%s on %s%s%s",
                        r == WEB_LISTEN_FREE   ? "can be served"
                        : r == WEB_LISTEN_HELD ? "is served, or would be,"
                                               : "would be served, which is not tried,",
                        page->listen, page->password.file ? ", with a password" : "", ending);
}

int verb_check(Config *config, bool offline, bool run_programs) {
        _cleanup_(session_closep) Session *session = NULL;
        int r;

        printf("ok    config  %s\n", config->path);
        for (size_t i = 0; offline && i < config->warnings.n; i++)
                printf("warn  config  %s\n", config->warnings.texts[i]);
        (void) fflush(stdout);
        if (offline)
                return EX_OK;
        r = session_open(config, &session);
        if (r != 0)
                return r;
        for (size_t i = 0; i < config->warnings.n; i++)
                session_warn(session, "config", "%s", config->warnings.texts[i]);
        check_state_dir(session, config);
        for (size_t i = 0; i < config->n_sources; i++)
                check_source(session, &config->sources[i], run_programs);
        check_outbox(session);
        check_pubsub(session);
        for (size_t i = 0; i < config->n_subscriptions; i++)
                session_sink(session, &config->subscriptions[i], false);
        if (config->page)
                check_page(session);
        if (check_files(session) < 0)
                return EX_OSERR;
        return session_exit_code(session);
}
