/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd init`: five steps (Pub/Sub, sensors, where readings are kept, the page, write). The answers of each step
 * are tried at once. Nothing is written before the last step, so a process that ends earlier leaves nothing behind. */
#include "verbs/init.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"
#include "lib/listen-address.h"
#include "lib/text.h"
#include "types.h"
#include "verbs/ask.h"
#include "verbs/verbs.h"

/* ---- step 5: write ---- */

static void list_files(const InitDraft *draft) {
        char path[4096];

        for (const InitSecret *secret = draft->secrets; secret < draft->secrets + draft->n_secrets; secret++) {
                (void) snprintf(path, sizeof(path), "%s/credentials/%s", draft->directory, secret->file);
                if (!secret->there)
                        init_say(INIT_SAY_SECRET, path, NULL);
        }
        init_say(INIT_SAY_FILE, draft->path, NULL);
}

/* Tells why the configuration is not written: EXISTS, or an errno. */
static int refuse(const char *path, int r) {
        if (r == INIT_WRITE_EXISTS)
                fprintf(stderr,
                        "sensorqd init: %s is there already, and is not written over. Move it away, or name another "
                        "one with --config.\n",
                        path);
        else
                fprintf(stderr, "sensorqd init: %s cannot be written: %s.%s\n", path, strerror(-r),
                        r == -EACCES ? " Run it as root: sudo sensorqd init" : "");
        return EX_CANTCREAT;
}

static int step_write(const Init *init) {
        _cleanup_bytes_ Bytes text = {};
        bool yes = true;
        int r;

        init_say(INIT_SAY_STEP_WRITE, NULL, NULL);
        r = init_draft_text(init->draft, false, &text);
        if (r < 0)
                return r;
        list_files(init->draft);
        if (init->options.dry_run) {
                printf("\n%s\n", text.data);
                init_say(INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
                return 0;
        }
        if (init->asks)
                r = ask_yes(init_text(INIT_ASK_WRITE), true, &yes);
        if (r < 0)
                return r;
        if (!yes) {
                init_say(INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
                return EX_USAGE;
        }
        r = init_write_all(init->draft, &text);
        return r == INIT_WRITE_FREE ? 0 : refuse(init->draft->path, r);
}

/* ---- afterwards ---- */

static bool lacks_subscription(Session *session) {
        _cleanup_(session_reply_done) SessionReply reply = {};
        bool lacks = false;

        for (size_t i = 0; session->client && i < session->config->n_subscriptions; i++) {
                session_get(session, session->config->subscriptions[i].subscription, &reply);
                lacks = lacks || reply.outcome == CLIENT_NOT_FOUND;
        }
        return lacks;
}

/* A configuration without sources has no topic. Missing subscriptions are then created on the topic that the user gave,
 * which is set here for `setup`. */
static int name_topic(const Init *init, Config *config) {
        _cleanup_(session_closep) Session *session = NULL;
        const char *topic = init->draft->topic;
        bool whole = strchr(topic, '/') != NULL;
        int r;

        r = config->topic ? 0 : session_open(config, &session);
        if (r != 0 || !session || !lacks_subscription(session))
                return r;
        if (text_format(&config->topic, "%s%s%s%s", whole ? "" : "projects/", whole ? "" : config->pubsub.project,
                    whole ? "" : "/topics/", topic) < 0)
                return -ENOMEM;
        return 0;
}

/* Loads the file as the service will. It may be invalid: the user may have kept a refused answer. */
static int load_written(const Init *init, Config **ret) {
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        int r;

        r = config_load(&(ConfigInput){ init->draft->path, &types_of_config }, ret, &errors);
        for (size_t i = 0; i < errors.n; i++)
                printf("FAIL  config  %s\n", errors.texts[i]);
        return r == -EBADMSG ? EX_CONFIG : r < 0 ? EX_SOFTWARE : 0;
}

/* Runs `setup`, then `check`. */
static int set_up(const Init *init, Config *config) {
        int r, checked;

        r = name_topic(init, config);
        if (r != 0)
                return r;
        printf("\n$ sensorqd setup\n");
        r = verb_setup(config);
        if (!config->publishes) {
                free(config->topic);
                config->topic = NULL;
        }
        printf("\n$ sensorqd check\n");
        checked = verb_check(config, false, false);
        puts("");
        return r != 0 || checked != 0 ? EX_UNAVAILABLE : 0;
}

static int run_systemctl(const char *verb, const char *unit) {
        const char *const arguments[] = { "systemctl", verb, unit, NULL };
        int status = 0;
        pid_t child;

        if (posix_spawnp(&child, arguments[0], NULL, NULL, (char *const *) arguments, environ) != 0)
                return EX_UNAVAILABLE;
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return EX_UNAVAILABLE;
        return status == 0 ? 0 : EX_UNAVAILABLE;
}

static void say_by_hand(const Init *init) {
        char unit[CONFIG_UNIT_SIZE];

        if (config_unit(init->draft->path, unit))
                init_say(INIT_SAY_ENABLE_BY_HAND, unit, NULL);
}

static int step_enable(const Init *init) {
        bool enable = init->options.enable, can = geteuid() == 0 && access("/run/systemd/system", F_OK) == 0;
        _cleanup_bytes_ Bytes prompt = {};
        char unit[CONFIG_UNIT_SIZE];
        int r = 0;

        if (!config_unit(init->draft->path, unit))
                return 0;
        if (can && init->asks && !enable) {
                r = init_text_append(&prompt, INIT_ASK_ENABLE, (const char *const[3]){ unit });
                if (r >= 0)
                        r = ask_yes(prompt.data, true, &enable);
        }
        if (r < 0 && r != -ENODATA) /* all is written; the end of the input counts as no */
                return r;
        if (!can || !enable) {
                say_by_hand(init);
                return enable && !can ? EX_UNAVAILABLE : 0;
        }
        r = run_systemctl("enable", unit);
        if (r == 0)
                r = run_systemctl("restart", unit); /* a running daemon must read the new file */
        if (r == 0)
                init_say(INIT_SAY_DONE, unit, init->draft->option);
        return r;
}

static void say_page(const InitPart *part) {
        const char *listen = part->answers[0], *port = listen ? strrchr(listen, ':') : NULL;
        char host[256] = "localhost", address[280];
        bool local;

        if (!port || strncmp(listen, "systemd:", strlen("systemd:")) == 0)
                return;
        if (listen_address_check(listen, &local) && !local)
                (void) gethostname(host, sizeof(host) - 1);
        (void) snprintf(address, sizeof(address), "%s%s", host, port);
        init_say(INIT_SAY_PAGE, address, NULL);
}

/* Whether both are the same file. */
static bool is_same_file(const char *a, const char *b) {
        struct stat first, second;

        return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
               first.st_ino == second.st_ino;
}

/* Tells of the original of a key that was copied, unless the service reads it, or it is beside the configuration. */
static void say_key_left(const InitDraft *draft) {
        size_t n = strlen(draft->directory);
        char copy[4096];

        if (!draft->key_path || (strncmp(draft->key_path, draft->directory, n) == 0 && draft->key_path[n] == '/'))
                return;
        (void) snprintf(copy, sizeof(copy), "%s/credentials/%s", draft->directory, draft->secrets[0].file);
        if (!is_same_file(draft->key_path, copy))
                init_say(INIT_SAY_KEY_LEFT, draft->key_path, NULL);
}

static int after_writing(const Init *init) {
        _cleanup_(config_unrefp) Config *config = NULL;
        int r;

        r = load_written(init, &config);
        if (r == 0 && !init->options.unchecked)
                r = set_up(init, config);
        say_key_left(init->draft);
        if (r != 0) {
                init_say(INIT_SAY_NOT_ALL_WELL, init->draft->option, NULL);
                say_by_hand(init);
                return r;
        }
        r = step_enable(init);
        for (size_t i = 0; i < init->draft->n_parts; i++)
                if (init->draft->parts[i].recipe->kind == INIT_PAGE)
                        say_page(&init->draft->parts[i]);
        return r;
}

/* ---- the whole ---- */

static int run(Init *init) {
        int r;

        init->draft->state_dir = init->options.state_dir;
        init->draft->endpoint = init->options.endpoint;
        init->draft->ca_file = init->options.ca_file;
        if (init->asks)
                init_say(INIT_SAY_BEGIN, init->draft->path, NULL);
        if (init->options.dry_run)
                init_say(INIT_SAY_DRY_RUN, NULL, NULL);
        r = init_ask_pubsub(init);
        if (r == 0)
                r = init_ask_parts(init, INIT_SOURCE);
        if (r == 0)
                r = init_ask_parts(init, INIT_SINK);
        if (r == 0 && !init_draft_has(init->draft, INIT_SOURCE) && !init_draft_has(init->draft, INIT_SINK)) {
                init_say(INIT_SAY_NOTHING_TO_DO, NULL, NULL);
                return EX_USAGE;
        }
        if (r == 0)
                r = init_ask_parts(init, INIT_PAGE);
        if (r == 0)
                r = step_write(init);
        if (r == 0 && !init->options.dry_run)
                r = after_writing(init);
        if (r == -ENODATA)
                init_say(INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
        return r;
}

int verb_init(const char *config_path, int argc, char **argv) {
        Init init = {};
        const char *path;
        int r;

        r = init_options_parse(argc, argv, &init.options);
        if (r != 0)
                return r < 0 ? EX_OK : r;
        if (init.options.list)
                return init_options_list(), EX_OK;
        path = init.options.config ?: config_path;
        init.asks = isatty(STDIN_FILENO) && !init.options.yes;
        r = init_write_check(path); /* before the first question */
        if (r == INIT_WRITE_EXISTS || (r < 0 && !init.options.dry_run))
                return refuse(path, r);
        r = init_draft_new(path, &init.draft);
        if (r == 0)
                r = run(&init);
        init_draft_free(init.draft);
        if (r == -ENODATA)
                return EX_USAGE;
        if (r < 0)
                fprintf(stderr, "sensorqd init: %s\n", strerror(-r));
        return r < 0 ? EX_OSERR : r == EX_NOINPUT ? EX_USAGE : r;
}
