/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd alerts`: lists the state of each rule for each device, also while the daemon runs; sends a test message. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "lib/err.h"
#include "lib/text.h"
#include "types.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

/* In the order of the list: what fires comes first. */
static const char *const states[] = { "firing", "pending", "unheard", "ok" };
#define UNHEARD 2

typedef struct Alerts {
        Config *config;
        bool json;
        const char *subscription;
        Bytes lists[ELEMENTSOF(states)];
        size_t sinks, found, failed;
} Alerts;

static const SinkAdmin *admin_of(const SubscriptionConfig *subscription) {
        const SinkAdmin *admin = types_sink(subscription->sink)->admin;

        return admin && admin->each_alert ? admin : NULL;
}

/* ---- list ---- */

static const char *time_text(usec_t wall, char buffer[static CLOCK_LOCAL_SIZE]) {
        return wall > 0 ? clock_format_local(wall, buffer) : "never";
}

/* Removes control characters: the text comes from a device and goes to a terminal. */
static void add_clean(Bytes *line, const char *before, const char *text) {
        size_t from = line->size;

        if (text && *text && bytes_append_format(line, "%s%s", before, text) == 0)
                bytes_cut(line, from + text_clean(line->data + from, line->size - from));
}

static void add_device(Bytes *line, const SinkAlert *alert) {
        bool named = alert->name && *alert->name, from = alert->source && *alert->source;
        const char *id = from || !text_equal(alert->id, alert->name) ? alert->id : NULL; /* a name stands for no id */

        add_clean(line, ", ", alert->name);
        add_clean(line, named ? " (" : ", ", alert->source);
        add_clean(line, from ? " " : named ? " (" : ", ", id);
        if (named && (from || (id && *id)))
                bytes_append_text(line, ")");
}

static void add_line(Bytes *line, const SinkAlert *alert, bool unheard) {
        char since[CLOCK_LOCAL_SIZE], sent[CLOCK_LOCAL_SIZE];

        bytes_append_format(line, "%-8s", alert->state);
        add_clean(line, " ", alert->rule);
        add_device(line, alert);
        if (unheard) {
                add_clean(line, ": no message is known that had a value at ", alert->field);
                bytes_append_text(line, "\n");
                return;
        }
        bytes_append_text(line, ":");
        if (alert->since > 0)
                bytes_append_format(line, " since %s,", time_text(alert->since, since));
        add_clean(line, " value ", alert->value && *alert->value ? alert->value : "unknown");
        bytes_append_format(line, ", last sent %s\n", time_text(alert->last_sent, sent));
}

static void add_object(Bytes *json, const char *subscription, const SinkAlert *alert) {
        char since[CLOCK_RFC3339_SIZE], sent[CLOCK_RFC3339_SIZE];
        const struct {
                const char *key, *text;
        } members[] = { { "subscription", subscription }, { "rule", alert->rule }, { "state", alert->state },
                { "source", alert->source }, { "id", alert->id }, { "name", alert->name }, { "field", alert->field },
                { "value", alert->value },
                { "since", alert->since > 0 ? clock_format_rfc3339(alert->since, since) : NULL },
                { "last_sent", alert->last_sent > 0 ? clock_format_rfc3339(alert->last_sent, sent) : NULL } };

        bytes_append_text(json, json->size > 0 ? ",\n{" : "{");
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                bytes_append_json_member(json, members[i].key, text_or_null(members[i].text));
        bytes_append_text(json, "}");
}

static void each_alert(void *userdata, const SinkAlert *alert) {
        Alerts *a = userdata;
        size_t i = 0;

        while (strcmp(alert->state, states[i]) != 0)
                i++;
        if (a->json)
                add_object(&a->lists[i], a->subscription, alert);
        else
                add_line(&a->lists[i], alert, i == UNHEARD);
        a->found++;
}

static void list_subscription(Alerts *a, const SubscriptionConfig *subscription) {
        const SinkAdmin *admin = admin_of(subscription);
        char text[SINK_ADMIN_TEXT_MAX] = "";
        int r;

        if (!admin)
                return;
        a->sinks++;
        a->subscription = subscription->subscription;
        r = admin->each_alert(subscription, each_alert, a, text);
        if (r < 0 || r == SINK_ADMIN_FAILED) {
                fprintf(stderr, "sensorqd: %s: %s\n", subscription->subscription, text[0] ? text : strerror(-r));
                a->failed++;
        }
}

/* Prints the lists. -ENOMEM. */
static int print_lists(Alerts *a) {
        const char *comma = "";
        int r = 0;

        printf("%s", a->json ? "[" : "");
        for (size_t i = 0; i < ELEMENTSOF(states); i++) {
                printf("%s", a->lists[i].size > 0 ? comma : "");
                session_print_data(bytes_slice(&a->lists[i]));
                if (a->lists[i].size > 0 && a->json)
                        comma = ",\n";
                r = r < 0 ? r : bytes_result(&a->lists[i]);
                bytes_done(&a->lists[i]);
        }
        printf("%s", a->json ? "]\n" : "");
        return r;
}

static int alerts_list(Alerts *a) {
        for (size_t i = 0; i < a->config->n_subscriptions; i++)
                list_subscription(a, &a->config->subscriptions[i]);
        if (print_lists(a) < 0) {
                fprintf(stderr, "sensorqd: %s\n", strerror(ENOMEM));
                return EX_OSERR;
        }
        if (!a->json && a->found == 0 && a->failed == 0)
                fprintf(stderr, "sensorqd: %s\n",
                        a->sinks > 0
                                ? "no rule has judged anything yet"
                                : "there are no alerts: no subscription of this configuration has a section alert");
        return a->failed > 0 ? EX_UNAVAILABLE : EX_OK;
}

/* ---- test ---- */

typedef struct Trial {
        Session *session;
        const char *target;
        size_t tried;
        Bytes known; /* names of the other targets, for the error message */
} Trial;

/* Only this target's secrets are read: a fault in another target must not stop the test. */
static void test_target(Trial *t, const SubscriptionConfig *subscription) {
        const SinkAdmin *admin = admin_of(subscription);
        Session *session = t->session;
        const SinkMeans means = { session->loop, session->http, session->secrets, session->config->state_dir,
                .guest = true };
        char text[SINK_ADMIN_TEXT_MAX] = "", name[96];
        const ConfigSection *section;
        void *target;
        int r;

        if (!admin)
                return;
        r = admin->find_target(subscription, t->target, &section, &target, text);
        if (r == SINK_ADMIN_ABSENT) {
                (void) bytes_append_format(&t->known, "%s%s", t->known.size > 0 ? ", " : "", text);
                return;
        }
        t->tried++;
        (void) snprintf(name, sizeof(name), "target %.63s", t->target);
        if (!session_secrets(session, name, section, target))
                return;
        r = admin->test_alert(subscription, &means, target, text);
        session_tell(session, r == SINK_ADMIN_OK ? SINK_GRADE_OK : SINK_GRADE_FAIL, name, "%s",
                text[0] ? text : strerror(-r));
}

static int alerts_test(Config *config, const char *target) {
        _cleanup_(session_closep) Session *session = NULL;
        Trial t = { .target = target };
        int r;

        r = session_open_local(config, &session);
        if (r != 0)
                return r;
        t.session = session;
        for (size_t i = 0; i < config->n_subscriptions; i++)
                test_target(&t, &config->subscriptions[i]);
        r = session_exit_code(session);
        if (t.tried == 0 && r == EX_OK) {
                fprintf(stderr, "sensorqd: there is no alert target of that name; there are: %s\n",
                        t.known.size > 0 ? t.known.data : "none");
                r = EX_USAGE;
        }
        bytes_done(&t.known);
        return r;
}

/* ---- the verb ---- */

bool verb_alerts_understands(int argc, char **argv, bool json) {
        if (argc == 0 || (argc == 1 && strcmp(argv[0], "list") == 0))
                return true;
        return argc == 2 && strcmp(argv[0], "test") == 0 && !json;
}

int verb_alerts(Config *config, int argc, char **argv, bool json) {
        Alerts alerts = { .config = config, .json = json };

        if (!verb_alerts_understands(argc, argv, json))
                return EX_USAGE;
        return argc == 2 ? alerts_test(config, argv[1]) : alerts_list(&alerts);
}
