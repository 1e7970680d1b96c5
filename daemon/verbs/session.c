/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/session.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"
#include "secret.h"
#include "types.h"
#include "verbs/verbs.h"

/* Without it no part can be told of. */
static int no_session(int r) {
        fprintf(stderr, "sensorqd: %s\n", strerror(-r));
        return EX_OSERR;
}

/* An instance that has never run has no directory yet, and that of sensorqd.service is not its own; unless a daemon
 * that was started in another way, by hand or by a drop-in of that service, runs its file there. */
static int see_as_unit(Config *config) {
        char *state_dir;

        if (config->state_dir_given || verb_status_is_in(config->state_dir, config->path) ||
                verb_status_is_in("/run/sensorqd", config->path))
                return 0;
        state_dir = config_state_dir(config->path, true);
        if (!state_dir)
                return -ENOMEM;
        free(config->state_dir);
        config->state_dir = state_dir;
        for (size_t i = 0; i < config->n_subscriptions; i++)
                config->subscriptions[i].state_dir = state_dir;
        return 0;
}

int session_open_local(Config *config, Session **ret) {
        _cleanup_(session_closep) Session *session = NULL;
        int r;

        log_set_level(LOG_ALERT);
        session = calloc(1, sizeof(Session));
        if (!session)
                return no_session(-ENOMEM);
        session->config = config_ref(config);
        (void) signal(SIGPIPE, SIG_IGN);
        r = see_as_unit(config);
        if (r >= 0)
                r = loop_new(&session->loop);
        if (r >= 0)
                r = http_new(session->loop, "sensorqd/" SENSORQD_VERSION, &session->http);
        if (r >= 0)
                r = secrets_new(&session->secrets);
        if (r < 0)
                return no_session(r);

        *ret = cleanup_steal(session);
        return 0;
}

int session_open(Config *config, Session **ret) {
        _cleanup_(session_closep) Session *session = NULL;
        CredentialsError why = {};
        int r;

        r = session_open_local(config, &session);
        if (r != 0)
                return r;
        r = client_new(
                &(ClientMeans){ session->loop, session->http, session->secrets }, config, &session->client, &why);
        if (r < 0 && why.text[0] == '\0')
                return no_session(r);
        if (r < 0) {
                session->secret_exit = err_passes(r) ? EX_OSERR : EX_NOPERM;
                session_fail(session, "credentials", "%s", why.text);
        }

        *ret = cleanup_steal(session);
        return 0;
}

Session *session_close(Session *session) {
        if (!session)
                return NULL;
        client_unref(session->client);
        http_free(session->http);
        secrets_free(session->secrets);
        loop_free(session->loop);
        config_unref(session->config);
        free(session);
        return NULL;
}

void session_print(Slice text) {
        _cleanup_free_ char *copy = malloc(text.size + 1);

        if (!copy)
                return;
        memcpy(copy, text.data, text.size);
        (void) fwrite(copy, 1, text_clean(copy, text.size), stdout);
}

void session_print_data(Slice data) {
        const char *line = data.data, *end = line + data.size, *next;

        if (data.size == 0)
                return;
        if (!isatty(STDOUT_FILENO)) {
                (void) fwrite(line, 1, data.size, stdout);
                return;
        }
        while ((next = memchr(line, '\n', (size_t) (end - line)))) {
                session_print((Slice){ line, (size_t) (next - line) });
                (void) putchar('\n');
                line = next + 1;
        }
        session_print((Slice){ line, (size_t) (end - line) });
}

/* Conceals secrets: the words of a remote may repeat them. */
void session_tell(Session *session, SinkGrade grade, const char *name, const char *format, ...) {
        static const char *const words[] = {
                [SINK_GRADE_OK] = "ok", [SINK_GRADE_WARN] = "warn", [SINK_GRADE_FAIL] = "FAIL"
        };
        char text[1536];
        va_list arguments;

        session->failed += grade == SINK_GRADE_FAIL;
        va_start(arguments, format);
        (void) vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        secrets_conceal(session->secrets, text);
        printf("%-4s  ", words[grade]);
        session_print(slice_of(name));
        printf("  ");
        session_print(slice_of(text));
        (void) putchar('\n');
        (void) fflush(stdout);
}

int session_exit_code(const Session *session) {
        if (session->secret_exit != 0)
                return session->secret_exit;
        return session->failed > 0 ? EX_UNAVAILABLE : EX_OK;
}

/* Only method, resource and verb of *spec* are set by the caller. */
static void session_call(Session *session, ClientSpec spec, const char *body, SessionReply *ret) {
        ClientReply reply = {};
        int r;

        session_reply_done(ret);
        *ret = (SessionReply){};
        spec.timeout = SESSION_TIMEOUT_USEC;
        spec.max_reply = CLIENT_REPLY_MAX;
        r = body ? bytes_append_text(&spec.body, body) : 0;
        if (r >= 0)
                r = client_call_wait(session->loop, session->client, &spec, &reply, ret->detail);
        bytes_done(&spec.body);
        if (r < 0) {
                ret->outcome = CLIENT_FAILED;
                (void) snprintf(ret->detail, sizeof(ret->detail), "%s", strerror(-r));
                return;
        }
        ret->outcome = reply.outcome;
        ret->answered = reply.http_status > 0;
        (void) snprintf(ret->status, sizeof(ret->status), "%s", reply.error.status);
        ret->body = bytes_steal(&reply.body);
}

void session_get(Session *session, const char *resource, SessionReply *ret) {
        session_call(session, (ClientSpec){ .method = "GET", .resource = resource }, NULL, ret);
}

void session_put(Session *session, const char *resource, const char *body, SessionReply *ret) {
        session_call(session, (ClientSpec){ .method = "PUT", .resource = resource }, body, ret);
}

void session_post(Session *session, const char *resource, const char *verb, const char *body, SessionReply *ret) {
        session_call(session, (ClientSpec){ .method = "POST", .resource = resource, .verb = verb }, body, ret);
}

void session_reply_done(SessionReply *reply) {
        bytes_done(&reply->body);
}

bool session_secrets(Session *session, const char *name, const ConfigSection *section, void *keys) {
        SecretProblem problem;
        int r = secret_read_all(session->config, session->secrets, section, keys, &problem);

        if (r == 0)
                return true;
        if (session->secret_exit != EX_NOPERM)
                session->secret_exit = err_passes(r) ? EX_OSERR : EX_NOPERM;
        session_fail(session, name, "%s", problem.text);
        return false;
}

static void tell_sink(void *userdata, SinkGrade grade, const char *text) {
        const SessionNamed *named = userdata;

        session_tell(named->session, grade, named->name, "%s", text);
}

void session_sink(Session *session, const SubscriptionConfig *section, bool setup) {
        const SinkAdmin *admin = types_sink(section->sink)->admin;
        void (*ask)(void *, const SinkTeller *) = !admin ? NULL : setup ? admin->setup : admin->check;
        char place[SINK_ADMIN_TEXT_MAX], text[SINK_ADMIN_TEXT_MAX] = "", name[SINK_ADMIN_TEXT_MAX + 32];
        const SinkMeans means = { session->loop, session->http, session->secrets, session->config->state_dir, true };
        SessionNamed named = { session, name };
        void *self = (void *) section;
        int r;

        if (!ask && !setup)
                session_ok(session, section->subscription, "its sink (%s) has nothing to be checked", section->sink);
        if (!ask)
                return;
        admin->place(section, place);
        (void) snprintf(name, sizeof(name), "%s %s", section->sink, place);
        if (!session_secrets(session, name, section->section, section->keys))
                return;
        r = admin->open ? admin->open(section, &self, text) : 0;
        if (r < 0)
                return session_fail(session, name, "%s", text[0] ? text : strerror(-r));
        ask(self, &(SinkTeller){ tell_sink, &named, &means });
        if (admin->close)
                (void) admin->close(self);
}
