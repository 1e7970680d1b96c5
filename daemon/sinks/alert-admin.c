/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs check, alerts and alerts test ask of the alert sink. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/text.h"
#include "sinks/alert-config.h"
#include "sinks/alert-post.h"
#include "sinks/alert-store.h"
#include "subscribe/sink-admin.h"

#define HOST_SIZE 65
#define INFO_PATH "/v2/bot/info"
#define INFO_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define INFO_MAX (64 * 1024)

static void admin_place(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]) {
        const char *slash = strrchr(config->subscription, '/');

        text_copy(text, SINK_ADMIN_TEXT_MAX, slash ? slash + 1 : config->subscription);
}

/* ---- check ---- */

/* A request to LINE that sends no message and shows whether the token is valid
 * (https://developers.line.biz/en/reference/messaging-api/#get-bot-info). */
typedef struct Info {
        bool done;
        HttpOutcome outcome;
        int status;
        char words[WEB_PLACE_WORDS_MAX];
} Info;

static void on_info(void *userdata, HttpReply *reply) {
        Info *info = userdata;

        info->done = true;
        info->outcome = reply->outcome;
        info->status = reply->status;
        http_reply_words(reply, info->words, sizeof(info->words));
}

static int start_info(const AlertTarget *target, Http *http, Info *info) {
        const WebPlace at = alert_target_at(target);
        _cleanup_bytes_ Bytes url = {}, proof = {};
        const char *headers[2] = {};
        HttpRequest *request;
        HttpSpec spec = { .method = "GET",
                .ca_file = at.ca_file,
                .certificate_file = at.tls.certificate_file,
                .key_file = at.tls.key_file,
                .headers = headers, /* not .bearer, which needs TLS: with allow_plain, this does not */
                .timeout = INFO_TIMEOUT_USEC,
                .max_reply = INFO_MAX };
        int r;

        r = bytes_append_format(
                &url, "%.*s" INFO_PATH, (int) (strlen(at.url) - (at.url[strlen(at.url) - 1] == '/')), at.url);
        if (r >= 0)
                r = bytes_append_format(&proof, "Authorization: Bearer %s", target->token.text);
        if (r >= 0) {
                spec.url = url.data;
                headers[0] = proof.data;
                r = http_start(http, &spec, on_info, info, &request);
        }
        bytes_wipe(&proof);
        return r;
}

static int ask_info(const AlertTarget *target, const SinkMeans *means, Info *info) {
        int r = start_info(target, means->http, info);

        while (r >= 0 && !info->done)
                r = loop_turn(means->loop, USEC_INFINITY);
        secrets_conceal(means->secrets, info->words);
        return r < 0 ? r : 0;
}

/* Returns SINK_GRADE_OK when the service accepts the token or was not asked. */
static SinkGrade check_token(
        const AlertTarget *target, const SinkMeans *means, char words[static WEB_PLACE_WORDS_MAX]) {
        Info info = {};
        int r = ask_info(target, means, &info);

        if (r < 0 || info.outcome != HTTP_ANSWERED) {
                text_copy(words, WEB_PLACE_WORDS_MAX, r < 0 ? strerror(-r) : info.words);
                return SINK_GRADE_FAIL;
        }
        if (info.status == 401 || info.status == 403) {
                (void) snprintf(words, WEB_PLACE_WORDS_MAX,
                        "%.200s; issue a channel access token, and put it into token_file", info.words);
                return SINK_GRADE_FAIL;
        }
        text_copy(words, WEB_PLACE_WORDS_MAX, info.status == 200 ? "takes the token" : info.words);
        return info.status == 200 ? SINK_GRADE_OK : SINK_GRADE_WARN;
}

static SinkGrade check_target(
        const AlertTarget *target, const SinkMeans *means, char words[static WEB_PLACE_WORDS_MAX]) {
        const WebPlace at = alert_target_at(target);

        if (web_place_check(&at, words) < 0 || web_place_try(&at, means->loop, words) != WEB_PLACE_OPEN)
                return SINK_GRADE_FAIL;
        return target->type == ALERT_LINE ? check_token(target, means, words) : SINK_GRADE_OK;
}

static void admin_check(void *self, const SinkTeller *teller) {
        const AlertConfig *keys = ((const SubscriptionConfig *) self)->keys;
        char words[WEB_PLACE_WORDS_MAX];

        for (size_t i = 0; i < keys->n_targets; i++) {
                const AlertTarget *target = &keys->targets[i];
                SinkGrade grade = check_target(target, teller->means, words);

                sink_admin_tell(teller, grade, "target %.63s (%s): %.500s%s", target->name,
                        alert_target_service(target), words,
                        grade == SINK_GRADE_OK ? "; nothing was sent (sensorqd alerts test)" : "");
        }
}

/* ---- list ---- */

typedef struct Listing {
        const AlertConfig *keys;
        SinkAlertEach each;
        void *userdata;
} Listing;

static usec_t last_sent(const AlertDevice *device, size_t watch) {
        usec_t last = 0;

        for (const AlertEntry *entry = device->entries; entry; entry = entry->next)
                if (entry->watch == watch && entry->told_at > last)
                        last = entry->told_at;
        return last;
}

/* Lists a state. A rule without any device has a state of its own, which is left out while it is ok. */
static void each_slot(void *userdata, const AlertDevice *device, const AlertSlot *slot) {
        static const char *const states[PHASES] = {
                [PHASE_OK] = "ok", [PHASE_PENDING] = "pending", [PHASE_FIRING] = "firing"
        };
        const Listing *listing = userdata;
        const SinkAlert alert = { .rule = listing->keys->rules[slot->watch].name,
                .state = states[slot->state.phase],
                .source = device->source,
                .id = device->id,
                .name = device->name,
                .value = slot->value,
                .since = slot->state.phase == PHASE_OK ? 0 : slot->state.since,
                .last_sent = last_sent(device, slot->watch) };

        if (alert_device_is_nobody(device) && slot->state.phase == PHASE_OK)
                return;
        listing->each(listing->userdata, &alert);
}

static int admin_each(
        const SubscriptionConfig *config, SinkAlertEach each, void *userdata, char text[static SINK_ADMIN_TEXT_MAX]) {
        Listing listing = { config->keys, each, userdata };
        int r = alert_store_each(config, each_slot, &listing);

        if (r == -ENOENT)
                return SINK_ADMIN_ABSENT;
        if (r < 0)
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s/" ALERT_STORE_FILE ": %s", config->state_dir,
                        r == -EOPNOTSUPP ? "was made by a later sensorqd"
                        : r == -EACCES   ? "may not be read by this user: run this as root (sudo)"
                                         : strerror(-r));
        return r < 0 ? SINK_ADMIN_FAILED : SINK_ADMIN_OK;
}

/* ---- test ---- */

typedef struct Trial {
        bool done;
        AlertAnswer answer;
} Trial;

static void on_posted(void *userdata, const AlertAnswer *answer) {
        Trial *trial = userdata;

        trial->done = true;
        trial->answer = *answer;
}

static int send_test(
        AlertPost *post, const AlertTarget *target, AlertLanguage language, const SinkMeans *means, Trial *trial) {
        char host[HOST_SIZE] = "", key[ALERT_KEY_SIZE];
        const AlertNotice notice = { .kind = ALERT_TEST,
                .target = target->name,
                .rule = "test",
                .name = host,
                .since = clock_wall(),
                .at = clock_wall() };
        int r = 0;

        (void) gethostname(host, sizeof(host) - 1);
        alert_post_draw_key(key);
        alert_post_send(post, &(AlertMessage){ &notice, 1, language, key }, on_posted, trial);
        while (r >= 0 && !trial->done)
                r = loop_turn(means->loop, USEC_INFINITY);
        return r < 0 ? r : 0;
}

static int admin_find(const SubscriptionConfig *config, const char *name, const ConfigSection **ret_section,
        void **ret_target, char text[static SINK_ADMIN_TEXT_MAX]) {
        const AlertConfig *keys = config->keys;
        TextRoom names = { text, SINK_ADMIN_TEXT_MAX };

        text[0] = '\0';
        for (size_t i = 0; i < keys->n_targets; i++) {
                if (strcmp(keys->targets[i].name, name) == 0) {
                        text[0] = '\0';
                        *ret_section = &alert_target_section;
                        *ret_target = &keys->targets[i];
                        return SINK_ADMIN_OK;
                }
                text_add(&names, "%s%s", i > 0 ? ", " : "", keys->targets[i].name);
        }
        return SINK_ADMIN_ABSENT;
}

static int admin_test(
        const SubscriptionConfig *config, const SinkMeans *means, void *chosen, char text[static SINK_ADMIN_TEXT_MAX]) {
        const AlertConfig *keys = config->keys;
        const AlertTarget *target = chosen;
        _cleanup_(alert_post_freep) AlertPost *post = NULL;
        Trial trial = {};
        int r;

        r = alert_post_new(means, config->subscription, target, &post, text);
        if (r >= 0)
                r = send_test(post, target, (AlertLanguage) keys->language, means, &trial);
        if (r < 0)
                return r;
        if (trial.answer.class == ALERT_TAKEN)
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s has taken a test message", alert_target_service(target));
        else
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s has not taken it: %.400s. %s",
                        alert_target_service(target), trial.answer.detail,
                        trial.answer.remedy ?: "Look at the network and the service");
        return trial.answer.class == ALERT_TAKEN ? SINK_ADMIN_OK : SINK_ADMIN_FAILED;
}

const SinkAdmin alert_config_admin = {
        .place = admin_place,
        .check = admin_check,
        .each_alert = admin_each,
        .find_target = admin_find,
        .test_alert = admin_test,
};
