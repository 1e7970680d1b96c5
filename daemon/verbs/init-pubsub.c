/* SPDX-License-Identifier: Apache-2.0 */
/* Step 1 of `init`: asks for key, project and topic; shows the account and whether it may publish. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/text.h"
#include "secret.h"
#include "verbs/ask.h"
#include "verbs/check.h"
#include "verbs/init.h"

#define TOPIC_DEFAULT "sensor-data"

/* Replaces ~ in "~/key.json" by the home directory. */
static int expand_home(char **path) {
        const char *home = getenv("HOME");
        char *longer;

        if (strncmp(*path, "~/", 2) != 0 || !home)
                return 0;
        if (text_format(&longer, "%s%s", home, *path + 1) < 0)
                return -ENOMEM;
        free(*path);
        *path = longer;
        return 0;
}

/* Takes the project from the key, unless the draft has one. */
static int take_project(Init *init, const char *key) {
        _cleanup_(json_freep) Json *json = NULL;
        const char *project;

        if (init->draft->project || json_parse(key, strlen(key), &json) < 0)
                return 0;
        project = json_get_string(json, "project_id") ?: json_get_string(json, "quota_project_id");
        return init_draft_set(&init->draft->project, project);
}

/* Takes the key from *path*. 0; EX_DATAERR when it cannot be read, with a printed reason; an errno. */
static int take_key(Init *init, const char *path) {
        _cleanup_(secret_freep) char *text = NULL;
        InitDraft *draft = init->draft;
        bool another = draft->key_path && strcmp(draft->key_path, path) != 0;
        char words[SECRET_WORDS_MAX];
        const char *name;
        size_t size;
        int r;

        r = secret_read_file(path, &text, &size);
        if (r < 0) {
                init_say(init, INIT_SAY_KEY_BAD, path, secret_explain(NULL, path, r, words));
                return r == -ENOMEM ? r : EX_DATAERR;
        }
        init_draft_drop_key(draft);
        r = another ? init_draft_set(&draft->project, NULL) : 0; /* the project came from the earlier key */
        if (r >= 0)
                r = init_draft_keep_secret(draft, CREDENTIALS_FILE_DEFAULT, text, &name);
        if (r >= 0)
                r = init_draft_set(&draft->key_file, name);
        if (r >= 0)
                r = init_draft_set(&draft->key_path, path);
        return r < 0 ? r : take_project(init, text);
}

/* Finds the path that is offered as default; "-": no key was found. */
static int likely_key(const Init *init, char **ret) {
        const char *variable = getenv("GOOGLE_APPLICATION_CREDENTIALS");
        char *path = NULL;

        if (variable && *variable)
                path = strdup(variable);
        else if (text_format(&path, "%s/credentials/" CREDENTIALS_FILE_DEFAULT, init->draft->directory) < 0)
                return -ENOMEM;
        if (path && access(path, F_OK) < 0 && (!variable || !*variable)) {
                free(path);
                path = strdup(access(CREDENTIALS_FILE_DEFAULT, F_OK) == 0 ? CREDENTIALS_FILE_DEFAULT : "-");
        }
        if (!path)
                return -ENOMEM;
        *ret = path;
        return 0;
}

static void make_absolute(char **path) {
        char *real = **path == '/' ? NULL : realpath(*path, NULL);

        if (!real)
                return;
        free(*path);
        *path = real;
}

static int ask_key(Init *init) {
        _cleanup_free_ char *likely = NULL, *path = NULL;
        int r;

        r = likely_key(init, &likely);
        if (r >= 0 && init->options.key_file)
                path = strdup(init->options.key_file);
        else if (r >= 0 && init->asks) {
                init_say(init, INIT_SAY_KEY_NONE, NULL, NULL);
                r = ask_text(init_words(init, INIT_ASK_KEY), likely, &path);
        } else if (r >= 0)
                path = strdup(likely);
        if (r < 0 || !path)
                return r < 0 ? r : -ENOMEM;
        if (strcmp(path, "-") == 0) {
                init_draft_drop_key(init->draft);
                return 0;
        }
        r = expand_home(&path);
        if (r < 0)
                return r;
        make_absolute(&path);
        r = take_key(init, path);
        if (r != EX_DATAERR)
                return r;
        return init->asks && !init->options.key_file ? ask_key(init) : EX_NOINPUT;
}

/* Sets a text of the draft from its option, else by asking a person, else to *fallback*. */
static int ask_field(Init *init, char **field, const char *option, InitText prompt, const char *fallback) {
        _cleanup_free_ char *answer = NULL;
        int r;

        if (option || !init->asks)
                return init_draft_set(field, option ?: *field ?: fallback);
        do {
                free(cleanup_steal(answer));
                r = ask_text(init_words(init, prompt), *field ?: fallback, &answer);
                if (r < 0)
                        return r;
                if (*answer == '\0')
                        init_say(init, INIT_SAY_EMPTY, NULL, NULL);
        } while (*answer == '\0');
        return init_draft_set(field, answer);
}

static int ask_pubsub(Init *init) {
        const InitOptions *options = &init->options;
        InitDraft *draft = init->draft;
        int r = 0;

        if (!getenv("PUBSUB_EMULATOR_HOST"))
                r = ask_key(init);
        if (r == 0)
                r = ask_field(init, &draft->project, options->project, INIT_ASK_PROJECT, NULL);
        if (r == 0 && !draft->project)
                return init_missing("--project", "");
        return r != 0 ? r : ask_field(init, &draft->topic, options->topic, INIT_ASK_TOPIC, TOPIC_DEFAULT);
}

/* Whether this machine may get a source. If not, it only stores, and its account need not publish. */
static bool may_have_source(const Init *init) {
        const InitList *names = &init->options.parts[INIT_SOURCE];
        bool some = init->asks && names->n == 0;

        for (size_t i = 0; i < names->n; i++)
                some = some || strcmp(names->items[i], "none") != 0;
        return some;
}

/* Checks the account and whether it may publish. There is no source yet, so one is added for the check, without which
 * the draft would not be a valid configuration. */
static int try_pubsub(Init *init, bool *ret_good) {
        _cleanup_(session_closep) Session *session = NULL;
        _cleanup_(config_unrefp) Config *config = NULL;
        InitPart *part;
        int r;

        r = init_draft_add(init->draft, &init_recipes[0], &part);
        if (r < 0)
                return r;
        r = init_open_session(init, &config, &session);
        init_draft_end_last(init->draft, false);
        if (r != 0) {
                *ret_good = false;
                return r == EX_CONFIG ? init_wrong_answer(init) : r;
        }
        *ret_good = check_endpoint(session) && session->client && check_token(session) &&
                    (!may_have_source(init) || init_may_use(init, session, config->topic, "pubsub.topics.publish"));
        if (*ret_good && !init->draft->key_file && !check_key(session))
                *ret_good = !init->asks; /* a script may know that the unit will have the variable */
        return 0;
}

int init_step_pubsub(Init *init) {
        InitVerdict verdict = INIT_GOOD;
        bool good = true;
        int r;

        init_say(init, INIT_SAY_STEP_PUBSUB, NULL, NULL);
        do {
                r = ask_pubsub(init);
                if (r == 0 && !init->options.unchecked)
                        r = try_pubsub(init, &good);
                if (r == 0 && !good)
                        r = init_ask_verdict(init, false, &verdict);
                if (r != 0)
                        return r;
        } while (!good && verdict == INIT_AGAIN);
        return verdict == INIT_STOP ? EX_UNAVAILABLE : 0;
}
