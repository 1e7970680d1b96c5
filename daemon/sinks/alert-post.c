/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/sha256.h"
#include "lib/text.h"

#define TIMEOUT_USEC (30 * USEC_PER_SEC)
#define REPLY_MAX (1024 * 1024)

struct AlertPost {
        SinkMeans means;
        const AlertTarget *target;
        Auth *auth;
        AlertRequest request; /* under way; *auth* has its body meanwhile */
        AlertPostDone done;
        void *userdata;
};

static void post_end(AlertPost *p, AlertAnswer *answer) {
        AlertPostDone done = p->done;

        alert_target_request_done(&p->request);
        secrets_conceal(p->means.secrets, answer->detail);
        p->done = NULL;
        done(p->userdata, answer);
}

static void post_fail(AlertPost *p, WebClass class, Cause cause, const char *detail, const char *remedy) {
        AlertAnswer answer = { .class = class, .cause = cause };

        answer.remedy = cause == CAUSE_MEMORY ? "look " CAUSE_MEMORY_PLACES : remedy;
        text_copy(answer.detail, sizeof(answer.detail), detail);
        post_end(p, &answer);
}

/* There was no request: this machine is at fault, not the target. */
static void post_fail_here(AlertPost *p, int error, const char *detail) {
        if (error == -EINVAL)
                return post_fail(p, WEB_PERSON, CAUSE_SETTINGS, detail, "correct its url, headers and secrets");
        post_fail(p, WEB_LATER, cause_of_disk(error), detail,
                error == -ENOKEY ? "try again when the daemon has fetched one" : "free disk space on this machine");
}

static void on_reply(void *userdata, AuthReply *reply) {
        AlertPost *p = userdata;
        AlertAnswer answer;

        if (reply->outcome == AUTH_FAILED)
                return post_fail_here(p, reply->error, reply->detail);
        if (reply->outcome != AUTH_ANSWERED)
                return post_fail(p, reply->outcome == AUTH_REFUSED ? WEB_PERSON : WEB_LATER, reply->cause,
                        reply->detail, "see what the token endpoint says");
        alert_target_judge(p->target, reply->http, &answer);
        post_end(p, &answer);
}

void alert_post_send(AlertPost *p, const AlertMessage *message, AlertPostDone done, void *userdata) {
        int r;

        p->done = done;
        p->userdata = userdata;
        r = alert_target_write(p->target, message, &p->request);
        if (r < 0)
                return post_fail_here(p, r, strerror(-r));
        auth_start(p->auth, &(AuthCall){ .http = { .method = p->request.method,
                                                 .url = p->request.url.data,
                                                 .secret_path = p->target->at.url_file.text != NULL,
                                                 .ca_file = p->target->at.ca_file,
                                                 .certificate_file = p->target->at.tls.certificate_file,
                                                 .key_file = p->target->at.tls.key_file,
                                                 .body = bytes_steal(&p->request.body),
                                                 .timeout = TIMEOUT_USEC,
                                                 .max_reply = REPLY_MAX },
                                    .headers = { p->request.key.data },
                                    .guest = p->means.guest,
                                    .done = on_reply,
                                    .userdata = p });
}

void alert_post_draw_key(char key[static ALERT_KEY_SIZE]) {
        uint64_t a = loop_random(), b = loop_random();

        (void) snprintf(key, ALERT_KEY_SIZE, "%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
                a >> 32, a >> 16 & 0xffff, a & 0xfff, (b >> 48 & 0x3fff) | 0x8000, b & UINT64_C(0xffffffffffff));
}

/* ---- life ---- */

AlertPost *alert_post_free(AlertPost *post) {
        if (!post)
                return NULL;
        post->auth = auth_free(post->auth);
        alert_target_request_done(&post->request);
        free(post);
        return NULL;
}

static int add_auth(AlertPost *p, const char *subscription) {
        char hash[SHA256_HEX_SIZE], name[160];

        (void) snprintf(name, sizeof(name), "alert-%.16s-%.63s", sha256_hex(subscription, strlen(subscription), hash),
                p->target->name);
        return auth_new(&(AuthSpec){ .keys = alert_target_auth(p->target),
                                .http = p->means.http,
                                .secrets = p->means.secrets,
                                .ca_file = p->target->at.ca_file,
                                .headers = &p->target->headers,
                                .state_dir = p->means.state_dir,
                                .state_name = name },
                &p->auth);
}

int alert_post_new(const SinkMeans *means, const char *subscription, const AlertTarget *target, AlertPost **ret,
        char problem[static SINK_DETAIL_MAX]) {
        _cleanup_(alert_post_freep) AlertPost *post = calloc(1, sizeof(AlertPost));
        const WebPlace at = alert_target_at(target);
        int r;

        if (!post)
                return -ENOMEM;
        post->means = *means;
        post->target = target;
        r = web_place_check(&at, problem);
        if (r >= 0)
                r = web_place_note(&at, means->secrets);
        if (r >= 0)
                r = add_auth(post, subscription);
        if (r >= 0)
                *ret = cleanup_steal(post);
        return r;
}
