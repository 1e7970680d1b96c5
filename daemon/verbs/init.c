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

#include "config-file.h"
#include "lib/listen-address.h"
#include "lib/text.h"
#include "types.h"
#include "verbs/ask.h"
#include "verbs/unit.h"
#include "verbs/verbs.h"

/* ---- step 5: write ---- */

static void list_files(const Init *init) {
        const InitDraft *draft = init->draft;
        char path[4096];

        for (size_t i = 0; i < draft->n_secrets; i++) {
                (void) snprintf(path, sizeof(path), "%s/credentials/%s", draft->directory, draft->secrets[i].file);
                if (!draft->secrets[i].there)
                        init_say(init, INIT_SAY_SECRET, path, NULL);
        }
        init_say(init, INIT_SAY_FILE, draft->path, NULL);
}

static int refuse_existing(const char *path) {
        fprintf(stderr,
                "sensorqd init: %s is there already, and is not written over. Move it away, or name another one "
                "with --config.\n",
                path);
        return EX_CANTCREAT;
}

static int cannot_write(const char *path, int error) {
        fprintf(stderr, "sensorqd init: %s cannot be written: %s.%s\n", path, strerror(-error),
                error == -EACCES ? " Run it as root: sudo sensorqd init" : "");
        return EX_CANTCREAT;
}

static int write_files(const Init *init, const Bytes *text) {
        int r;

        r = init_write_all(init->draft, text);
        if (r == INIT_WRITE_EXISTS)
                return refuse_existing(init->draft->path);
        return r < 0 ? cannot_write(init->draft->path, r) : 0;
}

static int step_write(const Init *init) {
        _cleanup_bytes_ Bytes text = {};
        bool yes = true;
        int r;

        init_say(init, INIT_SAY_STEP_WRITE, NULL, NULL);
        r = init_draft_text(init->draft, false, &text);
        if (r < 0)
                return r;
        list_files(init);
        if (init->options.dry_run) {
                printf("\n%s\n", text.data);
                init_say(init, INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
                return 0;
        }
        if (init->asks)
                r = ask_yes(init_words(init, INIT_ASK_WRITE), true, &yes);
        if (r < 0)
                return r;
        if (yes)
                return write_files(init, &text);
        init_say(init, INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
        return EX_USAGE;
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

/* Returns the option with which a verb reads the written file: "", or " -c FILE". */
static const char *option_of_file(const Init *init, char option[static 4096]) {
        const char *path = init->draft->path;
        bool named = strcmp(path, CONFIG_FILE_DEFAULT) != 0;

        (void) snprintf(option, 4096, "%s%s", named ? " -c " : "", named ? path : "");
        return option;
}

static void say_by_hand(const Init *init) {
        char unit[CONFIG_UNIT_SIZE];

        if (config_unit(init->draft->path, unit))
                init_say(init, INIT_SAY_ENABLE_BY_HAND, unit, NULL);
}

static int step_enable(const Init *init) {
        const InitText ask = INIT_ASK_ENABLE;
        bool enable = init->options.enable, can = geteuid() == 0 && access("/run/systemd/system", F_OK) == 0;
        char unit[CONFIG_UNIT_SIZE], prompt[256], option[4096];
        const char *at = strstr(init_words(init, ask), "{1}");
        int r = 0;

        if (!config_unit(init->draft->path, unit))
                return 0;
        (void) snprintf(prompt, sizeof(prompt), "%.*s%s%s", (int) (at - init_words(init, ask)), init_words(init, ask),
                unit, at + 3);
        if (can && init->asks && !enable)
                r = ask_yes(prompt, true, &enable);
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
                init_say(init, INIT_SAY_DONE, unit, option_of_file(init, option));
        return r;
}

static void say_page(const Init *init, const InitPart *part) {
        const char *listen = part->answers[0], *port = listen ? strrchr(listen, ':') : NULL;
        char host[256] = "localhost", address[280];
        bool local;

        if (!port || strncmp(listen, "systemd:", strlen("systemd:")) == 0)
                return;
        if (listen_address_check(listen, &local) && !local)
                (void) gethostname(host, sizeof(host) - 1);
        (void) snprintf(address, sizeof(address), "%s%s", host, port);
        init_say(init, INIT_SAY_PAGE, address, NULL);
}

/* Whether the given key is the same file (inode) that the service will read. */
static bool is_key_in_place(const InitDraft *draft) {
        struct stat given, in_place;
        char path[4096];

        (void) snprintf(path, sizeof(path), "%s/credentials/%s", draft->directory, draft->key_file);
        return stat(draft->key_path, &given) == 0 && stat(path, &in_place) == 0 && given.st_dev == in_place.st_dev &&
               given.st_ino == in_place.st_ino;
}

static void say_key_left(const Init *init) {
        const InitDraft *draft = init->draft;
        size_t n = strlen(draft->directory);
        bool beside =
                draft->key_path && strncmp(draft->key_path, draft->directory, n) == 0 && draft->key_path[n] == '/';

        if (draft->key_path && !beside && !is_key_in_place(draft))
                init_say(init, INIT_SAY_KEY_LEFT, draft->key_path, NULL);
}

static int after_writing(const Init *init) {
        _cleanup_(config_unrefp) Config *config = NULL;
        char option[4096];
        int r;

        r = load_written(init, &config);
        if (r == 0 && !init->options.unchecked)
                r = set_up(init, config);
        say_key_left(init);
        if (r != 0) {
                init_say(init, INIT_SAY_NOT_ALL_WELL, option_of_file(init, option), NULL);
                say_by_hand(init);
                return r;
        }
        r = step_enable(init);
        for (size_t i = 0; i < init->draft->n_parts; i++)
                if (init->draft->parts[i].recipe->kind == INIT_PAGE)
                        say_page(init, &init->draft->parts[i]);
        return r;
}

/* ---- the whole ---- */

static int run(Init *init) {
        int r;

        if (init->asks)
                init_say(init, INIT_SAY_BEGIN, init->draft->path, NULL);
        if (init->options.dry_run)
                init_say(init, INIT_SAY_DRY_RUN, NULL, NULL);
        r = init_step_pubsub(init);
        if (r == 0)
                r = init_step_parts(init, INIT_SOURCE);
        if (r == 0)
                r = init_step_parts(init, INIT_SINK);
        if (r == 0 && !init_draft_has(init->draft, INIT_SOURCE) && !init_draft_has(init->draft, INIT_SINK)) {
                init_say(init, INIT_SAY_NOTHING_TO_DO, NULL, NULL);
                return EX_USAGE;
        }
        if (r == 0)
                r = init_step_parts(init, INIT_PAGE);
        if (r == 0)
                r = step_write(init);
        if (r == 0 && !init->options.dry_run)
                r = after_writing(init);
        if (r == -ENODATA)
                init_say(init, INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
        return r;
}

/* Fails with 73 before the first question when the file cannot be written. */
static int check_place(const Init *init, const char *path) {
        int r;

        r = init_write_check(path);
        if (r == INIT_WRITE_EXISTS)
                return refuse_existing(path);
        return r < 0 && !init->options.dry_run ? cannot_write(path, r) : 0;
}

static int begin(Init *init, const char *path) {
        const InitOptions *options = &init->options;
        int r;

        r = check_place(init, path);
        if (r == 0)
                r = init_draft_new(path, init->japanese, &init->draft);
        if (r == 0)
                r = init_draft_set(&init->draft->endpoint, options->endpoint);
        if (r == 0)
                r = init_draft_set(&init->draft->ca_file, options->ca_file);
        return r == 0 ? init_draft_set(&init->draft->state_dir, options->state_dir) : r;
}

int verb_init(const char *config_path, int argc, char **argv) {
        Init init = {};
        int r;

        r = init_options_parse(argc, argv, &init.options);
        if (r != 0)
                return r < 0 ? EX_OK : r;
        if (init.options.list)
                return init_options_list(), EX_OK;
        init.japanese = init_text_is_japanese();
        init.asks = isatty(STDIN_FILENO) && !init.options.yes;
        r = begin(&init, init.options.config ? init.options.config : config_path);
        if (r == 0)
                r = run(&init);
        init_draft_free(init.draft);
        if (r == -ENODATA)
                return EX_USAGE;
        if (r < 0)
                fprintf(stderr, "sensorqd init: %s\n", strerror(-r));
        return r < 0 ? EX_OSERR : r == EX_NOINPUT ? EX_USAGE : r;
}
