/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "lib/err.h"
#include "verbs/init-draft.h"
#include "verbs/init.h"

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

static int add(InitList *list, const char *text) {
        if (list->n == INIT_OPTIONS_MAX)
                return usage_error("an option too often, with: ", text);
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

int init_options_parse(int argc, char **argv, InitOptions *ret) {
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

const char *init_options_find(const InitList *list, const char *name) {
        size_t size = strlen(name);

        for (size_t i = 0; i < list->n; i++)
                if (strncmp(list->items[i], name, size) == 0 && list->items[i][size] == '=')
                        return list->items[i] + size + 1;
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
