/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-post.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/sha256.h"
#include "lib/text.h"

#define TIMEOUT_USEC (30 * USEC_PER_SEC)
#define REPLY_MAX (64 * 1024)

struct AlertPost {
        SinkMeans means;
        const char *subscription;
        const AlertTarget *target;
        Auth *auth;
        AlertRequest request; /* under way; libcurl has its body meanwhile */
        bool renewed;         /* the token was renewed for this message */
        HttpRequest *http_request;
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

static void post_fail(AlertPost *p, AlertClass class, Cause cause, const char *detail, const char *remedy) {
        AlertAnswer answer = { .class = class, .cause = cause, .remedy = remedy };

        text_copy(answer.detail, sizeof(answer.detail), detail);
        post_end(p, &answer);
}

static int post_ask(AlertPost *p);

static void on_reply(void *userdata, HttpReply *reply) {
        AlertPost *p = userdata;
        AlertAnswer answer;
        int r;

        p->http_request = NULL;
        if (!p->renewed && auth_reject(p->auth, reply->status)) {
                p->renewed = true;
                p->request.body = bytes_steal(&reply->sent);
                r = post_ask(p);
                return r < 0 ? post_fail(p, ALERT_LATER, cause_of_disk(r), auth_words(p->auth, r), NULL) : (void) 0;
        }
        alert_target_judge(p->target, reply, &answer);
        post_end(p, &answer);
}

static void on_token(void *userdata, AuthOutcome outcome, Cause cause, const char *detail) {
        AlertPost *p = userdata;
        int r;

        if (outcome != AUTH_FETCHED)
                return post_fail(p, outcome == AUTH_REFUSED ? ALERT_PERSON : ALERT_LATER, cause, detail,
                        "see what the token endpoint says");
        r = post_ask(p);
        if (r < 0)
                post_fail(p, ALERT_LATER, cause_of_disk(r), auth_words(p->auth, r), NULL);
}

static int post_ask(AlertPost *p) {
        HttpSpec spec = { .method = "POST",
                .url = p->request.url.data,
                .secret_path = p->target->at.url_file.text != NULL,
                .ca_file = p->target->at.ca_file,
                .certificate_file = p->target->at.tls.certificate_file,
                .key_file = p->target->at.tls.key_file,
                .headers = (const char *const[]){ p->request.key.data, NULL },
                .body = bytes_steal(&p->request.body),
                .timeout = TIMEOUT_USEC,
                .max_reply = REPLY_MAX };
        int r;

        r = auth_start(p->auth, &spec, on_reply, p, &p->http_request);
        p->request.body = bytes_steal(&spec.body);
        return r == AUTH_WAIT ? auth_fetch(p->auth, on_token, p) : r;
}

int alert_post_send(AlertPost *post, const AlertMessage *message, AlertPostDone done, void *userdata) {
        int r;

        post->done = done;
        post->userdata = userdata;
        post->renewed = false;
        r = alert_target_write(post->target, message, &post->request);
        if (r >= 0)
                r = post_ask(post);
        if (r < 0) {
                post->done = NULL;
                alert_target_request_done(&post->request);
        }
        return r;
}

const char *alert_post_words(const AlertPost *post, int error) {
        return auth_words(post->auth, error);
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
        post->http_request = http_cancel(post->http_request);
        post->auth = auth_free(post->auth);
        alert_target_request_done(&post->request);
        free(post);
        return NULL;
}

static int add_auth(AlertPost *p) {
        AuthSpec spec = alert_target_auth(p->target);
        char hash[SHA256_HEX_SIZE], name[160];

        (void) snprintf(name, sizeof(name), "alert-%.16s-%.63s",
                sha256_hex(p->subscription, strlen(p->subscription), hash), p->target->name);
        spec.state_dir = p->means.state_dir;
        spec.state_name = name;
        return auth_new(
                &(AuthHost){ .http = p->means.http, .secrets = p->means.secrets, .no_exchange = p->means.guest }, &spec,
                &p->auth);
}

static int post_make(AlertPost *p, char problem[static SINK_DETAIL_MAX]) {
        const WebPlace at = alert_target_at(p->target);
        int r;

        r = web_place_check(&at, problem);
        if (r >= 0)
                r = web_place_note(&at, p->means.secrets);
        return r < 0 ? r : add_auth(p);
}

int alert_post_new(const SinkMeans *means, const char *subscription, const AlertTarget *target, AlertPost **ret,
        char problem[static SINK_DETAIL_MAX]) {
        _cleanup_(alert_post_freep) AlertPost *post = calloc(1, sizeof(AlertPost));
        int r;

        if (!post)
                return -ENOMEM;
        post->means = *means;
        post->subscription = subscription;
        post->target = target;
        r = post_make(post, problem);
        if (r < 0)
                return r;
        *ret = cleanup_steal(post);
        return 0;
}
