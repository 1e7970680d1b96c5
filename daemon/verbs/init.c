/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd init`: five steps (Pub/Sub, sensors, where readings are kept, the page, write). The answers of each step
 * are tried at once. Nothing is written before the last step, so a process that ends earlier leaves nothing behind. */
#include "verbs/init.h"

#include <errno.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/listen-address.h"
#include "lib/text.h"
#include "types.h"
#include "verbs/ask.h"
#include "verbs/init-draft.h"
#include "verbs/init-text.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

/* ---- options ---- */

/* What an option sets in InitOptions: a text; with no_argument, that it was given; a list, which it adds to. */
static const struct {
        const char *name;
        int argument;
        size_t place;
        bool list;
} known[] = {
        { "project", required_argument, offsetof(InitOptions, project) },
        { "key-file", required_argument, offsetof(InitOptions, key_file) },
        { "topic", required_argument, offsetof(InitOptions, topic) },
        { "endpoint", required_argument, offsetof(InitOptions, endpoint) },
        { "ca-file", required_argument, offsetof(InitOptions, ca_file) },
        { "state-dir", required_argument, offsetof(InitOptions, state_dir) },
        { "source", required_argument, offsetof(InitOptions, parts[INIT_SOURCE]), .list = true },
        { "sink", required_argument, offsetof(InitOptions, parts[INIT_SINK]), .list = true },
        { "page", required_argument, offsetof(InitOptions, parts[INIT_PAGE]), .list = true },
        { "set", required_argument, offsetof(InitOptions, sets), .list = true },
        { "secret", required_argument, offsetof(InitOptions, secrets), .list = true },
        { "yes", no_argument, offsetof(InitOptions, yes) },
        { "dry-run", no_argument, offsetof(InitOptions, dry_run) },
        { "unchecked", no_argument, offsetof(InitOptions, unchecked) },
        { "enable", no_argument, offsetof(InitOptions, enable) },
        { "list", no_argument, offsetof(InitOptions, list) },
        { "config", required_argument, offsetof(InitOptions, config) },
        { "help", no_argument, offsetof(InitOptions, help) },
};

static void print_help(void) {
        fputs("sensorqd [-c|--config FILE] init [OPTION...]\n"
              "Creates a first configuration. On a terminal it asks for what no option gives. It tries all answers,\n"
              "and writes the files.\n"
              "\n"
              "      --project ID       Google Cloud project (default: that of the key)\n"
              "      --key-file FILE    key of the service account; - for none\n"
              "      --topic ID         default sensor-data\n"
              "      --endpoint URL, --ca-file FILE, --state-dir DIR\n"
              "                         as in sensorqd.yaml(5)\n"
              "      --source NAME      a sensor's recipe, or none; may be given again\n"
              "      --sink NAME        where readings are kept, or none; may be given again\n"
              "      --page NAME        the web page: local, network, or none\n"
              "      --set NAME.KEY=TEXT\n"
              "                         an answer to a question of a recipe\n"
              "      --secret NAME=FILE a secret, read from a file\n"
              "      --list             the recipes, their keys and secrets\n"
              "      --yes              ask nothing: a question without an option takes its default\n"
              "      --unchecked        contact no remote end: no tries, no setup, no check\n"
              "      --enable           enable and start the unit at the end\n"
              "      --dry-run          ask and try, print the configuration, write nothing\n",
                stdout);
}

static int usage_error(const char *what, const char *value) {
        fprintf(stderr, "sensorqd init: %s%s. See sensorqd init --help.\n", what, value);
        return EX_USAGE;
}

static int add(InitList *list, const char *text) {
        if (list->n == INIT_OPTIONS_MAX)
                return usage_error("option given too often, with: ", text);
        list->items[list->n++] = text;
        return 0;
}

/* Takes an option: the index of a row, or a letter. */
static int take(int option, InitOptions *o) {
        void *place = option >= 0 && option < (int) ELEMENTSOF(known) ? (char *) o + known[option].place : NULL;

        if (option == 'c')
                o->config = optarg;
        else if (option == 'h')
                o->help = true;
        else if (!place) {
                fputs("See sensorqd init --help.\n", stderr); /* getopt_long(3) has printed what is wrong */
                return EX_USAGE;
        } else if (known[option].list)
                return add(place, optarg);
        else if (known[option].argument == no_argument)
                *(bool *) place = true;
        else
                *(const char **) place = optarg;
        return 0;
}

static const InitRecipe *recipe_named(const char *name, size_t n) {
        for (const InitRecipe *recipe = init_recipes; recipe->name; recipe++)
                if (strlen(recipe->name) == n && strncmp(recipe->name, name, n) == 0)
                        return recipe;
        return NULL;
}

static bool has_key(const InitRecipe *recipe, bool secret, const char *key) {
        for (const InitQuestion *question = recipe->questions; question->key; question++)
                if ((question->kind > INIT_OPTION) == secret && strlen(question->key) == strcspn(key, "=") &&
                        strncmp(question->key, key, strlen(question->key)) == 0)
                        return strchr(key, '=') != NULL;
        return false;
}

static bool is_secret(const char *text) {
        for (const InitRecipe *recipe = init_recipes; recipe->name; recipe++)
                if (has_key(recipe, true, text))
                        return true;
        return false;
}

static int check_lists(const InitOptions *o) {
        if (o->parts[INIT_PAGE].n > 1)
                return usage_error("there is one page, not a second one: --page ", o->parts[INIT_PAGE].items[1]);
        for (InitKind kind = 0; kind < ELEMENTSOF(o->parts); kind++)
                for (size_t i = 0; i < o->parts[kind].n; i++) {
                        const char *name = o->parts[kind].items[i];

                        if (strcmp(name, "none") != 0 && !init_draft_recipe(kind, name))
                                return usage_error("no such recipe of this kind: ", name);
                }
        for (size_t i = 0; i < o->sets.n; i++) {
                const char *set = o->sets.items[i];
                size_t n = strcspn(set, ".=");
                const InitRecipe *recipe = set[n] == '.' ? recipe_named(set, n) : NULL;

                if (!recipe || !has_key(recipe, false, set + n + 1))
                        return usage_error("--set takes RECIPE.KEY=TEXT, not ", set);
        }
        for (size_t i = 0; i < o->secrets.n; i++)
                if (!is_secret(o->secrets.items[i]))
                        return usage_error("--secret takes NAME=FILE, not ", o->secrets.items[i]);
        return 0;
}

/* Parses the options; argv[0] is the verb. 0; 64 with a line on standard error; -1 for --help. */
static int parse_options(int argc, char **argv, InitOptions *ret) {
        static char name[] = "sensorqd init"; /* all errors begin with it */
        struct option options[ELEMENTSOF(known) + 1] = {};
        InitOptions o = {};
        int c, r;

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                options[i] = (struct option){ known[i].name, known[i].argument, NULL, (int) i };
        argv[0] = name;
        optind = 0;
        while ((c = getopt_long(argc, argv, "c:h", options, NULL)) >= 0) {
                r = take(c, &o);
                if (r != 0)
                        return r;
                if (o.help)
                        return print_help(), -1;
        }
        if (optind < argc)
                return usage_error("superfluous argument: ", argv[optind]);
        r = check_lists(&o);
        *ret = o;
        return r;
}

/* Prints the recipes for --source, --sink and --page, and the keys for --set and --secret. */
static void list_recipes(void) {
        static const char *const kinds[] = { "source", "sink", "page" };

        for (const InitRecipe *recipe = init_recipes; recipe->name; recipe++) {
                printf("--%s %s  (%s)\n", kinds[recipe->kind], recipe->name, recipe->title.english);
                for (const InitQuestion *question = recipe->questions; question->key; question++)
                        if (question->kind <= INIT_OPTION)
                                printf("        --set %s.%s=%s\n", recipe->name, question->key, question->fallback);
                        else
                                printf("        --secret %s=FILE%s\n", question->key,
                                        question->kind == INIT_OPTIONAL_SECRET ? "  (may be left out)" : "");
        }
}

/* ---- step 5: write ---- */

static void list_files(const InitDraft *draft) {
        for (const InitSecret *secret = draft->secrets; secret < draft->secrets + draft->n_secrets; secret++)
                if (!secret->there)
                        init_say(INIT_SAY_SECRET, secret->path, NULL);
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

/* Tells of the original of a key that was copied, unless the service reads it, or it is beside the configuration. */
static void say_key_left(const InitDraft *draft) {
        size_t n = strlen(draft->directory);

        if (!draft->key_path || (strncmp(draft->key_path, draft->directory, n) == 0 && draft->key_path[n] == '/'))
                return;
        if (!file_is_same(draft->key_path, draft->secrets[0].path))
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

        r = parse_options(argc, argv, &init.options);
        if (r != 0)
                return r < 0 ? EX_OK : r;
        if (init.options.list)
                return list_recipes(), EX_OK;
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
