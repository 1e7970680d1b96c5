/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "lib/cleanup.h"
#include "verbs/init-draft.h"
#include "verbs/init.h"

enum {
        OPTION_PROJECT = 256,
        OPTION_KEY_FILE,
        OPTION_TOPIC,
        OPTION_ENDPOINT,
        OPTION_CA_FILE,
        OPTION_STATE_DIR,
        OPTION_SOURCE,
        OPTION_SINK,
        OPTION_PAGE,
        OPTION_SET,
        OPTION_SECRET,
        OPTION_YES,
        OPTION_DRY_RUN,
        OPTION_UNCHECKED,
        OPTION_ENABLE,
        OPTION_LIST,
};

static const struct option known[] = {
        { "project", required_argument, NULL, OPTION_PROJECT },
        { "key-file", required_argument, NULL, OPTION_KEY_FILE },
        { "topic", required_argument, NULL, OPTION_TOPIC },
        { "endpoint", required_argument, NULL, OPTION_ENDPOINT },
        { "ca-file", required_argument, NULL, OPTION_CA_FILE },
        { "state-dir", required_argument, NULL, OPTION_STATE_DIR },
        { "source", required_argument, NULL, OPTION_SOURCE },
        { "sink", required_argument, NULL, OPTION_SINK },
        { "page", required_argument, NULL, OPTION_PAGE },
        { "set", required_argument, NULL, OPTION_SET },
        { "secret", required_argument, NULL, OPTION_SECRET },
        { "yes", no_argument, NULL, OPTION_YES },
        { "dry-run", no_argument, NULL, OPTION_DRY_RUN },
        { "unchecked", no_argument, NULL, OPTION_UNCHECKED },
        { "enable", no_argument, NULL, OPTION_ENABLE },
        { "list", no_argument, NULL, OPTION_LIST },
        { "config", required_argument, NULL, 'c' },
        { "help", no_argument, NULL, 'h' },
        {},
};

static void print_help(void) {
        fputs("sensorqd [-c|--config FILE] init [OPTION...]\n"
              "Makes a first configuration. On a terminal it asks for what no option gives. It tries all answers,\n"
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

static int add(const char **list, size_t *n, const char *text) {
        if (*n == INIT_OPTIONS_MAX)
                return usage_error("an option too often, with: ", text);
        list[(*n)++] = text;
        return 0;
}

static int take_list(int option, InitOptions *o) {
        switch (option) {
        case OPTION_SOURCE ... OPTION_PAGE:
                return add(o->parts[option - OPTION_SOURCE], &o->n_parts[option - OPTION_SOURCE], optarg);
        case OPTION_SET:
                return add(o->sets, &o->n_sets, optarg);
        case OPTION_SECRET:
                return add(o->secrets, &o->n_secrets, optarg);
        default:
                fputs("See sensorqd init --help.\n", stderr); /* getopt_long(3) has printed what is wrong */
                return EX_USAGE;
        }
}

static int take(int option, InitOptions *o) {
        const char **const texts[] = { &o->project, &o->key_file, &o->topic, &o->endpoint, &o->ca_file, &o->state_dir };
        bool *const switches[] = { &o->yes, &o->dry_run, &o->unchecked, &o->enable, &o->list };

        if (option == 'c')
                o->config = optarg;
        else if (option >= OPTION_PROJECT && option <= OPTION_STATE_DIR)
                *texts[option - OPTION_PROJECT] = optarg;
        else if (option >= OPTION_YES && option <= OPTION_LIST)
                *switches[option - OPTION_YES] = true;
        else
                return take_list(option, o);
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
        if (o->n_parts[INIT_PAGE] > 1)
                return usage_error("there is one page, not a second one: --page ", o->parts[INIT_PAGE][1]);
        for (InitKind kind = 0; kind < ELEMENTSOF(o->parts); kind++)
                for (size_t i = 0; i < o->n_parts[kind]; i++)
                        if (strcmp(o->parts[kind][i], "none") != 0 && !init_draft_recipe(kind, o->parts[kind][i]))
                                return usage_error("no such recipe of this kind: ", o->parts[kind][i]);
        for (size_t i = 0; i < o->n_sets; i++) {
                size_t n = strcspn(o->sets[i], ".=");
                const InitRecipe *recipe = o->sets[i][n] == '.' ? recipe_named(o->sets[i], n) : NULL;

                if (!recipe || !has_key(recipe, false, o->sets[i] + n + 1))
                        return usage_error("--set takes RECIPE.KEY=TEXT, not ", o->sets[i]);
        }
        for (size_t i = 0; i < o->n_secrets; i++)
                if (!is_secret(o->secrets[i]))
                        return usage_error("--secret takes NAME=FILE, not ", o->secrets[i]);
        return 0;
}

int init_options_parse(int argc, char **argv, InitOptions *ret) {
        static char name[] = "sensorqd init"; /* all errors begin with it */
        InitOptions o = {};
        int c, r;

        argv[0] = name;
        optind = 0;
        while ((c = getopt_long(argc, argv, "c:h", known, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(), -1;
                r = take(c, &o);
                if (r != 0)
                        return r;
        }
        if (optind < argc)
                return usage_error("superfluous argument: ", argv[optind]);
        r = check_lists(&o);
        *ret = o;
        return r;
}

const char *init_options_find(const char *const *list, size_t n, const char *name) {
        size_t size = strlen(name);

        for (size_t i = 0; i < n; i++)
                if (strncmp(list[i], name, size) == 0 && list[i][size] == '=')
                        return list[i] + size + 1;
        return NULL;
}

void init_options_list(void) {
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
