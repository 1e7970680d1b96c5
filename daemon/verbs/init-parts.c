/* SPDX-License-Identifier: Apache-2.0 */
/* Steps 2 to 4 of `init`: sensors, where readings are kept, and the page. Each entry comes from a recipe. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "secret.h"
#include "verbs/ask.h"
#include "verbs/check.h"
#include "verbs/init.h"

static int keep(Init *init, InitPart *part, size_t index, const char *text) {
        const char *file;
        int r;

        r = init_draft_keep_secret(init->draft, part->recipe->questions[index].fallback, text, &file);
        return r < 0 ? r : init_draft_set(&part->answers[index], file);
}

/* Reads a secret from the file that an option names. 0; EX_NOINPUT, printed; an errno. */
static int read_secret(Init *init, InitPart *part, size_t index, const char *path) {
        _cleanup_(secret_freep) char *text = NULL;
        char words[SECRET_WORDS_MAX];
        size_t size;
        int r;

        r = secret_read_file(path, &text, &size);
        if (r >= 0)
                return keep(init, part, index, text);
        init_say(init, INIT_SAY_KEY_BAD, path, secret_explain(NULL, path, r, words));
        return EX_NOINPUT;
}

/* Offers to use the secret that is in credentials/ already. *ret_taken*: it is used. */
static int offer_secret(Init *init, InitPart *part, size_t index, bool *ret_taken) {
        const char *file = part->recipe->questions[index].fallback;
        _cleanup_(secret_freep) char *text = NULL;
        char prompt[256];
        bool use = true;
        int r;

        *ret_taken = false;
        if (init_draft_find_secret(init->draft, file, &text) < 0)
                return 0;
        (void) snprintf(
                prompt, sizeof(prompt), "%.100s%s", file, strstr(init_words(init, INIT_ASK_USE_SECRET), "{1}") + 3);
        r = init->asks ? ask_yes(prompt, true, &use) : 0;
        *ret_taken = r >= 0 && use;
        return r < 0 || !use ? r : keep(init, part, index, text);
}

static int type_secret(Init *init, InitPart *part, size_t index) {
        const InitQuestion *question = &part->recipe->questions[index];
        bool optional = question->kind == INIT_OPTIONAL_SECRET;
        _cleanup_(secret_freep) char *text = NULL;
        char prompt[512];
        int r;

        (void) snprintf(prompt, sizeof(prompt), "%s %s",
                init->japanese ? question->words.japanese : question->words.english,
                init_words(init, optional ? INIT_SAY_OPTIONAL : INIT_SAY_HIDDEN));
        do {
                text = secret_free(text);
                r = ask_secret(prompt, &text);
                if (r >= 0 && *text == '\0' && !optional)
                        init_say(init, INIT_SAY_EMPTY, NULL, NULL);
        } while (r >= 0 && *text == '\0' && !optional);
        if (r < 0)
                return r;
        return *text ? keep(init, part, index, text) : init_draft_set(&part->answers[index], NULL);
}

static int answer_secret(Init *init, InitPart *part, size_t index) {
        const InitQuestion *question = &part->recipe->questions[index];
        const char *path = init_options_find(&init->options.secrets, question->key);
        bool taken;
        int r;

        if (path)
                return read_secret(init, part, index, path);
        r = offer_secret(init, part, index, &taken);
        if (r != 0 || taken)
                return r;
        if (init->asks)
                return type_secret(init, part, index);
        if (question->kind == INIT_OPTIONAL_SECRET)
                return init_draft_set(&part->answers[index], NULL);
        return init_missing("--secret ", question->key);
}

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
static int move_password(Init *init, InitPart *part, size_t index, bool *ret_moved) {
        _cleanup_(secret_freep) char *password = NULL;

        *ret_moved = part->recipe->questions[index + 1].kind == INIT_OPTIONAL_SECRET &&
                     part->recipe->questions[index + 1].key && split_password(part->answers[index], &password);
        if (!*ret_moved)
                return 0;
        init_say(init, INIT_SAY_PASSWORD_MOVED, NULL, NULL);
        return keep(init, part, index + 1, password);
}

static int answer_text(Init *init, InitPart *part, size_t index) {
        const InitQuestion *question = &part->recipe->questions[index];
        _cleanup_free_ char *answer = NULL;
        const char *given;
        char name[128];
        int r;

        (void) snprintf(name, sizeof(name), "%s.%s", part->recipe->name, question->key);
        given = init_options_find(&init->options.sets, name);
        if (given || !init->asks || question->kind == INIT_OPTION)
                return init_draft_set(&part->answers[index], given ?: part->answers[index]);
        r = ask_text(
                init->japanese ? question->words.japanese : question->words.english, part->answers[index], &answer);
        return r < 0 ? r : init_draft_set(&part->answers[index], answer);
}

static int answer_all(Init *init, InitPart *part) {
        bool moved = false;
        int r = 0;

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

/* Tries the draft's last entry, which is also the last of its kind in the configuration. */
static bool check_last(const Init *init, Session *session) {
        const Config *config = session->config;
        const InitPart *part = &init->draft->parts[init->draft->n_parts - 1];
        const SubscriptionConfig *subscription;
        bool good;

        if (part->recipe->kind == INIT_PAGE)
                return true; /* not tried: the running unit may use that address */
        if (part->recipe->kind == INIT_SOURCE) {
                check_source(session, &config->sources[config->n_sources - 1], false);
                return session->failed == 0;
        }
        subscription = &config->subscriptions[config->n_subscriptions - 1];
        session_sink(session, subscription, false);
        if (session->failed > 0 || !session->client)
                return session->failed == 0;
        good = init_may_use(init, session, subscription->subscription, "pubsub.subscriptions.consume");
        session->failed = 0; /* the recipe's advice is not about Pub/Sub */
        return good;
}

static int try_last(const Init *init, bool *ret_good) {
        const InitWords *failed = &init->draft->parts[init->draft->n_parts - 1].recipe->failed;
        _cleanup_(session_closep) Session *session = NULL;
        _cleanup_(config_unrefp) Config *config = NULL;
        int r;

        r = init_open_session(init, &config, init->options.unchecked ? NULL : &session);
        *ret_good = r == 0;
        if (r != 0 || !session)
                return r == EX_CONFIG ? init_wrong_answer(init) : r;
        session->failed = 0; /* step 1 has reported failures of Pub/Sub */
        *ret_good = check_last(init, session);
        if (session->failed > 0 && failed->english)
                printf("      %s\n", init->japanese ? failed->japanese : failed->english);
        return 0;
}

static int add_part(Init *init, const InitRecipe *recipe) {
        InitVerdict verdict = INIT_GOOD;
        InitPart *part;
        bool good;
        int r;

        r = init_draft_add(init->draft, recipe, &part);
        if (r < 0)
                return r;
        do {
                r = answer_all(init, part);
                if (r == 0)
                        r = try_last(init, &good);
                if (r == 0 && !good)
                        r = init_ask_verdict(init, true, &verdict);
                if (r != 0)
                        return r;
        } while (!good && verdict == INIT_AGAIN);
        init_draft_end_last(init->draft, verdict != INIT_LEAVE_OUT);
        return verdict == INIT_STOP ? EX_UNAVAILABLE : 0;
}

/* Lists the recipes of that kind by number and asks for one. The number after the last one means none: *ret* = NULL. */
static int choose_recipe(const Init *init, InitKind kind, const InitRecipe **ret) {
        const InitRecipe *choices[INIT_OPTIONS_MAX];
        char prompt[128];
        size_t n = 0, number;
        int r;

        for (const InitRecipe *recipe = init_recipes; recipe->name && n < INIT_OPTIONS_MAX; recipe++) {
                if (recipe->kind != kind)
                        continue;
                choices[n++] = recipe;
                printf("  %2zu  %s\n", n, init->japanese ? recipe->title.japanese : recipe->title.english);
        }
        printf("  %2zu  %s\n", n + 1, init_words(init, INIT_SAY_NONE_SOURCE + kind));
        (void) snprintf(prompt, sizeof(prompt), "%s 1-%zu", init_words(init, INIT_ASK_WHICH), n + 1);
        r = ask_number(prompt, n + 1, &number);
        *ret = r >= 0 && number <= n ? choices[number - 1] : NULL;
        return r;
}

static int ask_parts(Init *init, InitKind kind) {
        const InitRecipe *recipe;
        bool more = true;
        int r = 0;

        while (more && r == 0) {
                r = choose_recipe(init, kind, &recipe);
                if (r == 0 && !recipe)
                        return 0;
                if (r == 0)
                        r = add_part(init, recipe);
                if (r == 0 && kind == INIT_PAGE)
                        return 0;
                if (r == 0)
                        r = ask_yes(init_words(init, INIT_ASK_ANOTHER_SOURCE + kind), false, &more);
        }
        return r;
}

int init_step_parts(Init *init, InitKind kind) {
        const InitList *names = &init->options.parts[kind];
        int r = 0;

        init_say(init, INIT_SAY_STEP_SOURCES + kind, NULL, NULL);
        if (names->n == 0 && init->asks)
                return ask_parts(init, kind);
        for (size_t i = 0; i < names->n && r == 0; i++)
                if (strcmp(names->items[i], "none") != 0)
                        r = add_part(init, init_draft_recipe(kind, names->items[i]));
        return r;
}
