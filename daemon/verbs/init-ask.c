/* SPDX-License-Identifier: Apache-2.0 */
/* The questions of `init`: Pub/Sub, and the parts that come from recipes. A group of answers is tried when it is
 * complete, and asked for once more if that fails. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/text.h"
#include "secret.h"
#include "verbs/ask.h"
#include "verbs/check.h"
#include "verbs/init-text.h"
#include "verbs/init.h"
#include "verbs/session.h"

#define TOPIC_DEFAULT "sensor-data"

/* Returns the text after "NAME=" in *list*, or NULL. */
static const char *find_option(const InitList *list, const char *name) {
        size_t size = strlen(name);

        for (size_t i = 0; i < list->n; i++)
                if (strncmp(list->items[i], name, size) == 0 && list->items[i][size] == '=')
                        return list->items[i] + size + 1;
        return NULL;
}

/* Nobody can be asked, so an option ("--secret ", NAME) is needed. */
static int missing(const char *option, const char *name) {
        fprintf(stderr, "sensorqd init: %s%s is needed where nobody can be asked. See sensorqd init --help.\n", option,
                name);
        return EX_USAGE;
}

/* Reads a file that the user named. 0; EX_NOINPUT when it cannot be read, with a printed reason; -ENOMEM. */
static int read_named(const char *path, char **ret) {
        char words[SECRET_WORDS_MAX];
        size_t size;
        int r = secret_read_file(path, ret, &size);

        if (r >= 0 || r == -ENOMEM)
                return r;
        init_say(INIT_SAY_KEY_BAD, path, secret_explain(NULL, path, r, words));
        return EX_NOINPUT;
}

/* ---- the account's key ---- */

/* Takes the project from the key, unless the draft has one. */
static int take_project(InitDraft *draft, const char *key) {
        _cleanup_(json_freep) Json *json = NULL;
        const char *project;

        if (draft->project || json_parse(key, strlen(key), &json) < 0)
                return 0;
        project = json_get_string(json, "project_id") ?: json_get_string(json, "quota_project_id");
        return init_draft_set(&draft->project, project);
}

/* There are no parts yet, so the key is the only secret. */
static int set_key(InitDraft *draft, const char *path) {
        init_draft_forget_secrets(draft, 0);
        return init_draft_set(&draft->key_path, path);
}

static int take_key(InitDraft *draft, const char *path) {
        bool another = draft->key_path && strcmp(draft->key_path, path) != 0;
        _cleanup_(secret_freep) char *text = NULL;
        const char *name;
        int r;

        r = read_named(path, &text);
        if (r != 0)
                return r;
        r = another ? init_draft_set(&draft->project, NULL) : 0; /* the project came from the earlier key */
        if (r >= 0)
                r = set_key(draft, path);
        if (r >= 0)
                r = init_draft_keep_secret(draft, CREDENTIALS_FILE_DEFAULT, text, &name);
        return r < 0 ? r : take_project(draft, text);
}

/* Returns the path that is offered as default; "-": no key was found. NULL: no memory. */
static char *likely_key(const InitDraft *draft) {
        const char *variable = getenv("GOOGLE_APPLICATION_CREDENTIALS");
        char *path;

        if (variable && *variable)
                return strdup(variable);
        if (text_format(&path, "%s/" CREDENTIALS_FILE_DEFAULT, draft->credentials) < 0 || access(path, F_OK) == 0)
                return path;
        free(path);
        return strdup(access(CREDENTIALS_FILE_DEFAULT, F_OK) == 0 ? CREDENTIALS_FILE_DEFAULT : "-");
}

/* Resolves "~/key.json" and a relative path. NULL: no memory. */
static char *full_path(const char *path) {
        const char *home = strncmp(path, "~/", 2) == 0 ? getenv("HOME") : NULL;
        _cleanup_free_ char *full = NULL;

        if (text_format(&full, "%s%s", home ?: "", home ? path + 1 : path) < 0)
                return NULL;
        return (*full == '/' ? NULL : realpath(full, NULL)) ?: cleanup_steal(full);
}

static int ask_key_once(const Init *init) {
        _cleanup_free_ char *likely = likely_key(init->draft), *answer = NULL, *path = NULL;
        const char *given = init->options.key_file ?: likely;
        int r;

        if (!likely)
                return -ENOMEM;
        if (init->asks && !init->options.key_file) {
                init_say(INIT_SAY_KEY_NONE, NULL, NULL);
                r = ask_text(init_text(INIT_ASK_KEY), likely, &answer);
                if (r < 0)
                        return r;
                given = answer;
        }
        if (strcmp(given, "-") == 0)
                return set_key(init->draft, NULL);
        path = full_path(given);
        return path ? take_key(init->draft, path) : -ENOMEM;
}

static int ask_key(const Init *init) {
        int r;

        do
                r = ask_key_once(init);
        while (r == EX_NOINPUT && init->asks && !init->options.key_file);
        return r;
}

/* ---- Pub/Sub ---- */

/* Sets a text of the draft from its option, else by asking a person, else to *fallback*. */
static int ask_field(const Init *init, char **field, const char *option, InitText prompt, const char *fallback) {
        _cleanup_free_ char *answer = NULL;
        int r;

        if (option || !init->asks)
                return init_draft_set(field, option ?: *field ?: fallback);
        do {
                free(cleanup_steal(answer));
                r = ask_text(init_text(prompt), *field ?: fallback, &answer);
                if (r < 0)
                        return r;
                if (*answer == '\0')
                        init_say(INIT_SAY_EMPTY, NULL, NULL);
        } while (*answer == '\0');
        return init_draft_set(field, answer);
}

static int answer_pubsub(const Init *init) {
        const InitOptions *options = &init->options;
        InitDraft *draft = init->draft;
        int r = 0;

        if (!getenv("PUBSUB_EMULATOR_HOST"))
                r = ask_key(init);
        if (r == 0)
                r = ask_field(init, &draft->project, options->project, INIT_ASK_PROJECT, NULL);
        if (r == 0 && !draft->project)
                return missing("--project", "");
        return r != 0 ? r : ask_field(init, &draft->topic, options->topic, INIT_ASK_TOPIC, TOPIC_DEFAULT);
}

/* ---- secrets of a part ---- */

static int keep(const Init *init, InitPart *part, size_t index, const char *text) {
        const char *file;
        int r;

        r = init_draft_keep_secret(init->draft, part->recipe->questions[index].fallback, text, &file);
        return r < 0 ? r : init_draft_set(&part->answers[index], file);
}

/* Offers to use the secret that is in credentials/ already. *ret_taken*: it is used. */
static int offer_secret(const Init *init, InitPart *part, size_t index, bool *ret_taken) {
        const char *file = part->recipe->questions[index].fallback;
        _cleanup_(secret_freep) char *text = NULL;
        _cleanup_bytes_ Bytes prompt = {};
        bool use = true;
        int r;

        *ret_taken = false;
        if (init_draft_find_secret(init->draft, file, &text) < 0)
                return 0;
        r = init_text_append(&prompt, INIT_ASK_USE_SECRET, (const char *const[3]){ file });
        if (r >= 0 && init->asks)
                r = ask_yes(prompt.data, true, &use);
        *ret_taken = r >= 0 && use;
        return r < 0 || !use ? r : keep(init, part, index, text);
}

static int type_secret(const Init *init, InitPart *part, size_t index) {
        const InitQuestion *question = &part->recipe->questions[index];
        bool optional = question->kind == INIT_OPTIONAL_SECRET;
        _cleanup_(secret_freep) char *text = NULL;
        char prompt[512];
        int r;

        (void) snprintf(prompt, sizeof(prompt), "%s %s", init_words(&question->words),
                init_text(optional ? INIT_SAY_OPTIONAL : INIT_SAY_HIDDEN));
        do {
                text = secret_free(text);
                r = ask_secret(prompt, &text);
                if (r >= 0 && *text == '\0' && !optional)
                        init_say(INIT_SAY_EMPTY, NULL, NULL);
        } while (r >= 0 && *text == '\0' && !optional);
        if (r < 0)
                return r;
        return *text ? keep(init, part, index, text) : init_draft_set(&part->answers[index], NULL);
}

static int answer_secret(const Init *init, InitPart *part, size_t index) {
        const InitQuestion *question = &part->recipe->questions[index];
        const char *path = find_option(&init->options.secrets, question->key);
        _cleanup_(secret_freep) char *text = NULL;
        bool taken;
        int r;

        if (path) {
                r = read_named(path, &text);
                return r != 0 ? r : keep(init, part, index, text);
        }
        r = offer_secret(init, part, index, &taken);
        if (r != 0 || taken)
                return r;
        if (init->asks)
                return type_secret(init, part, index);
        if (question->kind == INIT_OPTIONAL_SECRET)
                return init_draft_set(&part->answers[index], NULL);
        return missing("--secret ", question->key);
}

/* ---- texts of a part ---- */

/* Takes the password out of "mongodb://user:password@host": *ret* is the percent-decoded password, *uri* the rest. */
static bool split_password(char *uri, char **ret) {
        char *from = strstr(uri, "://"), *slash, *at, *colon, *out;

        if (!from)
                return false;
        from += 3;
        slash = from + strcspn(from, "/?");
        at = memrchr(from, '@', (size_t) (slash - from));
        colon = at ? memchr(from, ':', (size_t) (at - from)) : NULL;
        if (!colon || !(*ret = out = strndup(colon + 1, (size_t) (at - colon - 1))))
                return false;
        for (const char *in = *ret; *in; in++) {
                bool encoded = *in == '%' && isxdigit((unsigned char) in[1]) && isxdigit((unsigned char) in[2]);
                unsigned byte;

                if (encoded && sscanf(in + 1, "%2x", &byte) == 1 && byte > 0)
                        *out++ = (char) byte, in += 2;
                else
                        *out++ = *in;
        }
        *out = '\0';
        explicit_bzero(colon, (size_t) (at - colon));
        memmove(colon, at, strlen(at) + 1);
        return true;
}

/* Moves a password in a URL into the next question, if that asks for an optional secret. *ret_moved*: it did, and that
 * question is answered. */
static int move_password(const Init *init, InitPart *part, size_t index, bool *ret_moved) {
        const InitQuestion *next = &part->recipe->questions[index + 1];
        _cleanup_(secret_freep) char *password = NULL;

        *ret_moved = next->key && next->kind == INIT_OPTIONAL_SECRET && split_password(part->answers[index], &password);
        if (!*ret_moved)
                return 0;
        init_say(INIT_SAY_PASSWORD_MOVED, NULL, NULL);
        return keep(init, part, index + 1, password);
}

static int answer_text(const Init *init, InitPart *part, size_t index) {
        const InitQuestion *question = &part->recipe->questions[index];
        _cleanup_free_ char *answer = NULL;
        const char *given;
        char name[128];
        int r;

        (void) snprintf(name, sizeof(name), "%s.%s", part->recipe->name, question->key);
        given = find_option(&init->options.sets, name);
        if (given || !init->asks || question->kind == INIT_OPTION)
                return init_draft_set(&part->answers[index], given ?: part->answers[index]);
        r = ask_text(init_words(&question->words), part->answers[index], &answer);
        return r < 0 ? r : init_draft_set(&part->answers[index], answer);
}

static int answer_part(const Init *init, InitPart *part) {
        bool moved = false;
        int r = 0;

        init_draft_forget_secrets(init->draft, part->first_secret);
        for (size_t i = 0; part->recipe->questions[i].key && r == 0; i++) {
                if (part->recipe->questions[i].kind <= INIT_OPTION) {
                        r = answer_text(init, part, i);
                        if (r == 0)
                                r = move_password(init, part, i, &moved);
                } else if (moved)
                        moved = false;
                else
                        r = answer_secret(init, part, i);
        }
        return r;
}

/* ---- what the account may do ---- */

static void say_grant(const Session *session, const char *resource) {
        const Credentials *credentials = session->client ? client_credentials(session->client) : NULL;
        const char *account = credentials && credentials->client_email ? credentials->client_email : "ACCOUNT";
        const char *kind = strchr(account, '@') && !strstr(account, "gserviceaccount.com") ? "user" : "serviceAccount";
        const char *project = strchr(resource, '/') + 1; /* the topic may be in another project than the account */
        bool topic = strstr(resource, "/topics/") != NULL;
        int n = (int) strcspn(project, "/");

        init_say(INIT_SAY_FORBIDDEN, account, resource);
        init_say(INIT_SAY_GRANT, NULL, NULL);
        printf("        gcloud projects add-iam-policy-binding %.*s --member %s:%s --role roles/pubsub.editor\n"
               "        gcloud pubsub %s add-iam-policy-binding %s --project %.*s --member %s:%s --role "
               "roles/pubsub.%s\n",
                n, project, kind, account, topic ? "topics" : "subscriptions", strrchr(resource, '/') + 1, n, project,
                kind, account, topic ? "publisher" : "subscriber");
}

/* *detail*: why the resource may not be read; "": it may be. Tells how to grant a role only when a role is missing. */
static void say_refused(Session *session, const char *resource, const char *detail) {
        if (*detail == '\0' || strstr(detail, "the service account has no "))
                return say_grant(session, resource);
        if (!strstr(detail, "enable the Cloud Pub/Sub API"))
                return session_fail(session, resource, "%s", detail);
        init_say(INIT_SAY_API_OFF, NULL, NULL);
        printf("        gcloud services enable pubsub.googleapis.com --project %s\n", session->config->pubsub.project);
}

/* True when a topic or subscription may be used, or does not exist yet. Otherwise prints what is missing. */
static bool may_use(Session *session, const char *resource, const char *permission) {
        _cleanup_(session_reply_done) SessionReply reply = {};
        Reach reach = check_reach(session, resource, permission, &reply);

        if (reach == REACH_OPEN)
                session_ok(session, resource, "may be used");
        else if (reach == REACH_BLIND)
                session_ok(session, resource, "may be used; its settings may not be read, which is not needed");
        else if (reach == REACH_ABSENT)
                init_say(INIT_SAY_NOT_YET, resource, NULL);
        else if (reply.outcome == CLIENT_REFUSED || reply.outcome == CLIENT_OK)
                return say_refused(session, resource, reply.detail), false;
        else
                return session_fail(session, resource, "%s", reply.detail), false;
        return true;
}

/* ---- trying the answers ---- */

/* Opens a session with the answers so far; with *ret* NULL it only parses them. 0; EX_CONFIG, after messages, when they
 * do not form a valid configuration; an exit code of session_open(); -ENOMEM. */
static int open_draft(const Init *init, Config **ret_config, Session **ret) {
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        int r;

        r = init_draft_parse(init->draft, ret_config, &errors);
        for (size_t i = 0; i < errors.n; i++)
                printf("FAIL  config  %s\n", errors.texts[i]);
        if (r == -EBADMSG)
                return EX_CONFIG;
        return r < 0 || !ret ? r : session_open(*ret_config, ret);
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
static int try_pubsub(const Init *init) {
        _cleanup_(session_closep) Session *session = NULL;
        _cleanup_(config_unrefp) Config *config = NULL;
        InitPart *part;
        bool good;
        int r;

        if (init->options.unchecked)
                return 0;
        r = init_draft_add(init->draft, &init_recipes[0], &part);
        if (r < 0)
                return r;
        r = open_draft(init, &config, &session);
        init_draft_drop_last(init->draft);
        if (r != 0)
                return r;
        good = check_endpoint(session) && session->client && check_token(session) &&
               (!may_have_source(init) || may_use(session, config->topic, "pubsub.topics.publish"));
        if (good && !init->draft->key_path && !check_key(session))
                good = !init->asks; /* a script may know that the unit will have the variable */
        return good ? 0 : EX_UNAVAILABLE;
}

/* Tries the last entry of its kind. */
static bool check_last(Session *session, InitKind kind) {
        const Config *config = session->config;
        const SubscriptionConfig *subscription;
        bool good;

        if (kind == INIT_PAGE)
                return true; /* not tried: the running unit may use that address */
        if (kind == INIT_SOURCE) {
                check_source(session, &config->sources[config->n_sources - 1], false);
                return session->failed == 0;
        }
        subscription = &config->subscriptions[config->n_subscriptions - 1];
        session_sink(session, subscription, false);
        if (session->failed > 0 || !session->client)
                return session->failed == 0;
        good = may_use(session, subscription->subscription, "pubsub.subscriptions.consume");
        session->failed = 0; /* the recipe's advice is not about Pub/Sub */
        return good;
}

static int try_part(const Init *init, const InitRecipe *recipe) {
        _cleanup_(session_closep) Session *session = NULL;
        _cleanup_(config_unrefp) Config *config = NULL;
        bool good;
        int r;

        r = open_draft(init, &config, init->options.unchecked ? NULL : &session);
        if (r != 0 || !session)
                return r;
        session->failed = 0; /* the questions about Pub/Sub have reported its failures */
        good = check_last(session, recipe->kind);
        if (session->failed > 0 && recipe->failed.english)
                printf("      %s\n", init_words(&recipe->failed));
        return good ? 0 : EX_UNAVAILABLE;
}

/* ---- until the answers are good ---- */

enum { KEEP_IT = 0, ASK_AGAIN = 1, LEAVE_OUT = 2 };

/* Asks a person what to do about answers that failed with *code*; only a part can be left out. Nobody to ask, or a
 * person who quits: an exit code. */
static int what_now(const Init *init, bool part, int code) {
        char letter = 'q';
        int r = 0;

        if (init->asks)
                r = ask_letter(
                        init_text(part ? INIT_ASK_WHAT_NOW_ENTRY : INIT_ASK_WHAT_NOW), part ? "aklq" : "akq", &letter);
        if (r < 0 || letter == 'k')
                return r < 0 ? r : KEEP_IT;
        if (letter != 'q')
                return letter == 'a' ? ASK_AGAIN : LEAVE_OUT;
        init_say(INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
        return code == EX_CONFIG && !init->asks ? EX_USAGE : EX_UNAVAILABLE;
}

/* Asks for the answers of a part, of Pub/Sub without one, until they are good, or kept all the same. KEEP_IT,
 * LEAVE_OUT, or what ends the verb. */
static int ask_until_good(const Init *init, InitPart *part) {
        int r;

        do {
                r = part ? answer_part(init, part) : answer_pubsub(init);
                if (r == 0)
                        r = part ? try_part(init, part->recipe) : try_pubsub(init);
                if (r == EX_CONFIG || r == EX_UNAVAILABLE)
                        r = what_now(init, part != NULL, r);
        } while (r == ASK_AGAIN);
        return r;
}

int init_ask_pubsub(const Init *init) {
        init_say(INIT_SAY_STEP_PUBSUB, NULL, NULL);
        return ask_until_good(init, NULL);
}

static int add_part(const Init *init, const InitRecipe *recipe) {
        InitPart *part;
        int r;

        r = init_draft_add(init->draft, recipe, &part);
        if (r == 0)
                r = ask_until_good(init, part);
        if (r != LEAVE_OUT)
                return r;
        init_draft_drop_last(init->draft);
        return 0;
}

/* Lists the recipes of that kind by number and asks for one. The number after the last one means none: *ret* = NULL. */
static int choose_recipe(InitKind kind, const InitRecipe **ret) {
        const InitRecipe *choices[INIT_OPTIONS_MAX];
        char prompt[128];
        size_t n = 0, number;
        int r;

        for (const InitRecipe *recipe = init_recipes; recipe->name && n < INIT_OPTIONS_MAX; recipe++) {
                if (recipe->kind != kind)
                        continue;
                choices[n++] = recipe;
                printf("  %2zu  %s\n", n, init_words(&recipe->title));
        }
        printf("  %2zu  %s\n", n + 1, init_text(INIT_SAY_NONE_SOURCE + kind));
        (void) snprintf(prompt, sizeof(prompt), "%s 1-%zu", init_text(INIT_ASK_WHICH), n + 1);
        r = ask_number(prompt, n + 1, &number);
        *ret = r >= 0 && number <= n ? choices[number - 1] : NULL;
        return r;
}

static int choose_parts(const Init *init, InitKind kind) {
        const InitRecipe *recipe;
        bool more = true;
        int r = 0;

        while (more && r == 0) {
                r = choose_recipe(kind, &recipe);
                if (r == 0 && !recipe)
                        return 0;
                if (r == 0)
                        r = add_part(init, recipe);
                more = kind != INIT_PAGE;
                if (r == 0 && more)
                        r = ask_yes(init_text(INIT_ASK_ANOTHER_SOURCE + kind), false, &more);
        }
        return r;
}

int init_ask_parts(const Init *init, InitKind kind) {
        const InitList *names = &init->options.parts[kind];
        int r = 0;

        init_say(INIT_SAY_STEP_SOURCES + kind, NULL, NULL);
        if (names->n == 0 && init->asks)
                return choose_parts(init, kind);
        for (size_t i = 0; i < names->n && r == 0; i++)
                if (strcmp(names->items[i], "none") != 0)
                        r = add_part(init, init_draft_recipe(kind, names->items[i]));
        return r;
}
