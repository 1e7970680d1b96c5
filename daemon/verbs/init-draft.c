/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/init-draft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config-place.h"
#include "config.h"
#include "lib/file.h"
#include "lib/text.h"
#include "secret.h"
#include "types.h"

#define NAMES_MAX 999 /* highest number in a name, mongodb-999.password: more than there can be entries */

int init_draft_new(const char *path, InitDraft **ret) {
        _cleanup_(init_draft_freep) InitDraft *draft = calloc(1, sizeof(InitDraft));
        bool named = strcmp(path, CONFIG_FILE_DEFAULT) != 0;

        if (!draft)
                return -ENOMEM;
        draft->path = path;
        draft->directory = file_directory(path);
        if (!draft->directory || text_format(&draft->credentials, "%s/credentials", draft->directory) < 0 ||
                text_format(&draft->option, "%s%s", named ? " -c " : "", named ? path : "") < 0)
                return -ENOMEM;

        *ret = cleanup_steal(draft);
        return 0;
}

InitDraft *init_draft_free(InitDraft *draft) {
        if (!draft)
                return NULL;
        while (draft->n_parts > 0)
                init_draft_drop_last(draft);
        init_draft_forget_secrets(draft, 0);
        free(draft->directory);
        free(draft->credentials);
        free(draft->option);
        free(draft->key_path);
        free(draft->project);
        free(draft->topic);
        free(draft);
        return NULL;
}

int init_draft_set(char **text, const char *value) {
        char *copy = value ? strdup(value) : NULL;

        if (value && !copy)
                return -ENOMEM;
        free(*text);
        *text = copy;
        return 0;
}

/* ---- parts ---- */

int init_draft_add(InitDraft *draft, const InitRecipe *recipe, InitPart **ret) {
        InitPart *part = &draft->parts[draft->n_parts];

        if (draft->n_parts == INIT_PARTS_MAX)
                return -E2BIG;
        *part = (InitPart){ .recipe = recipe, .first_secret = draft->n_secrets };
        draft->n_parts++;
        for (size_t i = 0; recipe->questions[i].key; i++)
                if (init_draft_set(&part->answers[i], recipe->questions[i].fallback) < 0)
                        return -ENOMEM;
        *ret = part;
        return 0;
}

void init_draft_drop_last(InitDraft *draft) {
        InitPart *part = &draft->parts[--draft->n_parts];

        for (size_t i = 0; i < INIT_QUESTIONS_MAX; i++)
                free(part->answers[i]);
        init_draft_forget_secrets(draft, part->first_secret);
}

const InitRecipe *init_draft_recipe(InitKind kind, const char *name) {
        for (const InitRecipe *recipe = init_recipes; recipe->name; recipe++)
                if (recipe->kind == kind && strcmp(recipe->name, name) == 0)
                        return recipe;
        return NULL;
}

bool init_draft_has(const InitDraft *draft, InitKind kind) {
        for (size_t i = 0; i < draft->n_parts; i++)
                if (draft->parts[i].recipe->kind == kind)
                        return true;
        return false;
}

/* ---- secrets ---- */

int init_draft_find_secret(const InitDraft *draft, const char *file, char **ret) {
        _cleanup_free_ char *path = NULL;
        size_t size;

        if (text_format(&path, "%s/%s", draft->credentials, file) < 0)
                return -ENOMEM;
        return secret_read_file(path, ret, &size);
}

static const InitSecret *find_kept(const InitDraft *draft, const char *file) {
        for (size_t i = 0; i < draft->n_secrets; i++)
                if (strcmp(draft->secrets[i].file, file) == 0)
                        return &draft->secrets[i];
        return NULL;
}

/* White space at the end does not count: secret_text() cuts it off. */
static bool same_secret(const char *there, const char *text) {
        size_t n = strlen(text);

        while (n > 0 && strchr(" \t\r\n", text[n - 1]))
                n--;
        return strncmp(there, text, n) == 0 && strspn(there + n, " \t\r\n") == strlen(there + n);
}

/* NAME_FREE, also when the directory may not be searched: nothing can be written there either, and a dry run can go on.
 * NAME_TAKEN: another file has the name; NAME_HAS_IT: that file has this text. -ENOMEM, -ENOTDIR. */
enum { NAME_FREE = 0, NAME_TAKEN = 1, NAME_HAS_IT = 2 };
static int check_name(const char *path, const char *text) {
        _cleanup_(secret_freep) char *there = NULL;
        struct stat status;
        size_t size;
        int r = secret_read_file(path, &there, &size);

        if (r == -ENOMEM || r == -ENOTDIR)
                return r;
        if (r < 0)
                return lstat(path, &status) == 0 ? NAME_TAKEN : NAME_FREE;
        return same_secret(there, text) ? NAME_HAS_IT : NAME_TAKEN;
}

/* Finds a name that no other secret has: mongodb.password, mongodb-2.password, ... */
static int choose_name(const InitDraft *draft, const char *file, const char *text, InitSecret *ret) {
        const char *dot = strrchr(file, '.') ?: file + strlen(file);

        for (unsigned number = 1; number <= NAMES_MAX; number++) {
                _cleanup_free_ char *path = NULL;
                const char *name;
                const InitSecret *kept;
                char suffix[16] = "";
                int r;

                if (number > 1)
                        (void) snprintf(suffix, sizeof(suffix), "-%u", number);
                if (text_format(&path, "%s/%.*s%s%s", draft->credentials, (int) (dot - file), file, suffix, dot) < 0)
                        return -ENOMEM;
                name = path + strlen(draft->credentials) + 1;
                kept = find_kept(draft, name);
                if (kept && strcmp(kept->text, text) != 0)
                        continue;
                r = check_name(path, text);
                if (r == NAME_TAKEN)
                        continue;
                if (r >= 0)
                        *ret = (InitSecret){ cleanup_steal(path), name, NULL, r == NAME_HAS_IT };
                return r < 0 ? r : 0;
        }
        return -E2BIG;
}

static void secret_done(InitSecret *secret) {
        free(secret->path);
        secret_free(secret->text);
}

int init_draft_keep_secret(InitDraft *draft, const char *file, const char *text, const char **ret_file) {
        _cleanup_(secret_done) InitSecret secret = {};
        const InitSecret *kept;
        int r;

        r = choose_name(draft, file, text, &secret);
        if (r < 0)
                return r;
        kept = find_kept(draft, secret.file);
        if (kept) {
                *ret_file = kept->file;
                return 0;
        }
        if (draft->n_secrets == INIT_SECRETS_MAX)
                return -E2BIG;
        secret.text = strdup(text);
        if (!secret.text)
                return -ENOMEM;
        *ret_file = secret.file;
        draft->secrets[draft->n_secrets++] = secret;
        secret = (InitSecret){};
        return 0;
}

void init_draft_forget_secrets(InitDraft *draft, size_t n) {
        while (draft->n_secrets > n)
                secret_done(&draft->secrets[--draft->n_secrets]);
}

/* ---- text ---- */

/* Whether *text*, as a whole value or as an item of a list or table in one line, needs quotes in YAML. */
static bool needs_quotes(const char *text) {
        return *text == '\0' || strspn(text, "-?:,[]{}#&*!|>'\"%@` ") > 0 || strpbrk(text, "\"'\\{}[]&*#,\t\n") ||
               strstr(text, ": ") || text[strlen(text) - 1] == ':';
}

static int append_value(Bytes *b, const char *value) {
        if (needs_quotes(value))
                return bytes_append_json_string(b, value, strlen(value)); /* which is YAML */
        return bytes_append_text(b, value);
}

static void append_key(Bytes *b, const char *key, const char *value) {
        if (!value)
                return;
        bytes_append_format(b, "%s: ", key);
        append_value(b, value);
        bytes_append_text(b, "\n");
}

/* How many entries up to this one have the same recipe. */
static unsigned number_of(const InitDraft *draft, const InitPart *part) {
        unsigned number = 1;

        for (const InitPart *other = draft->parts; other < part; other++)
                number += other->recipe == part->recipe;
        return number;
}

static bool is_mark(char c) {
        return c >= INIT_MARK_FIRST && c < INIT_MARK_FIRST + INIT_QUESTIONS_MAX;
}

/* In a URL, blanks, # and bytes that are not ASCII are percent-encoded; a % that is there already is kept. */
static int append_answer(Bytes *b, Slice line, size_t at, const char *answer) {
        const char *scheme = memmem(line.data, at, "://", 3);
        bool value = at > 0 && strchr(" [", line.data[at - 1]) && strchr(" ]:,\n", line.data[at + 1]);

        if (scheme)
                return text_append_percent(b, answer, "%+,:");
        return value ? append_value(b, answer) : bytes_append_text(b, answer);
}

/* Appends one line of a block, unless the line's answer is NULL. The first line ends with the entry's name, which gets
 * a number when the recipe was used before. */
static void append_line(Bytes *b, const InitDraft *draft, const InitPart *part, Slice line) {
        unsigned number = line.data == part->recipe->block ? number_of(draft, part) : 1;
        const char *topic = strrchr(draft->topic, '/');

        for (size_t i = 0; i < line.size; i++)
                if (is_mark(line.data[i]) && !part->answers[line.data[i] - INIT_MARK_FIRST])
                        return;
        for (size_t i = 0; i < line.size; i++) {
                char c = line.data[i];

                if (c == '\n' && number > 1)
                        bytes_append_format(b, "-%u\n", number);
                else if (c == INIT_MARK_TOPIC)
                        bytes_append_text(b, topic ? topic + 1 : draft->topic);
                else if (is_mark(c))
                        append_answer(b, line, i, part->answers[c - INIT_MARK_FIRST]);
                else
                        bytes_append(b, &c, 1);
        }
}

static void append_parts(Bytes *b, const InitDraft *draft, InitKind kind) {
        static const char *const before[] = { [INIT_SOURCE] = "    ", [INIT_SINK] = "  ", [INIT_PAGE] = "\n" };

        for (const InitPart *part = draft->parts; part < draft->parts + draft->n_parts; part++) {
                const char *line = part->recipe->block, *end;

                if (part->recipe->kind != kind)
                        continue;
                bytes_append_format(b, "%s# %s\n", before[kind], init_words(&part->recipe->title));
                for (; (end = strchr(line, '\n')); line = end + 1)
                        append_line(b, draft, part, (Slice){ line, (size_t) (end - line) + 1 });
        }
}

static void append_comment(Bytes *b, const InitDraft *draft, InitText text) {
        char unit[CONFIG_UNIT_SIZE];

        (void) config_unit(draft->path, unit);
        (void) init_text_append(b, text, (const char *const[3]){ draft->directory, unit, draft->option });
}

static void append_pubsub(Bytes *b, const InitDraft *draft, bool live) {
        bytes_append_text(b, "\npubsub:\n");
        append_comment(b, draft, INIT_COMMENT_PROJECT);
        append_key(b, "  project", draft->project);
        if (draft->key_path) {
                append_comment(b, draft, INIT_COMMENT_KEY);
                append_key(b, "  credentials_file", live ? draft->key_path : draft->secrets[0].file);
        }
        append_key(b, "  endpoint", draft->endpoint);
        append_key(b, "  ca_file", draft->ca_file);
}

int init_draft_text(const InitDraft *draft, bool live, Bytes *ret) {
        append_comment(ret, draft, INIT_COMMENT_TOP);
        if (draft->state_dir)
                bytes_append_text(ret, "\n");
        append_key(ret, "state_dir", draft->state_dir);
        append_pubsub(ret, draft, live);
        if (init_draft_has(draft, INIT_SOURCE)) {
                append_comment(ret, draft, INIT_COMMENT_PUBLISH);
                bytes_append_text(ret, "publish:\n");
                append_key(ret, "  topic", draft->topic);
                bytes_append_text(ret, "  sources:\n");
                append_parts(ret, draft, INIT_SOURCE);
        }
        if (init_draft_has(draft, INIT_SINK)) {
                append_comment(ret, draft, INIT_COMMENT_SUBSCRIBE);
                bytes_append_text(ret, "subscribe:\n");
                append_parts(ret, draft, INIT_SINK);
        }
        append_parts(ret, draft, INIT_PAGE);
        return bytes_result(ret);
}

/* ---- parsing the draft ---- */

typedef struct Filling {
        const InitDraft *draft;
        ConfigErrors *errors;
} Filling;

static int fail_secret(const Filling *filling, const char *file, const char *words) {
        const ConfigReader reader = { .path = file, .errors = filling->errors };

        return config_reader_fail(&reader, 0, 0, "the secret %s", words);
}

/* Sets the secret's text, as if it had been read from its file. */
static int fill_in(void *userdata, const ConfigRow *row, const char *file, ConfigSecret *secret) {
        const Filling *filling = userdata;
        const InitSecret *kept = secret ? find_kept(filling->draft, file) : NULL;
        char words[SECRET_WORDS_MAX];
        ConfigProblem inside;
        int r;

        if (!kept)
                return 0;
        r = secret_text(kept->text, strlen(kept->text), &secret->text);
        if (r == -ENODATA || r == -EBADMSG)
                return fail_secret(filling, file, secret_explain(NULL, file, r, words));
        if (r < 0 || !row->type->inside || row->type->inside(secret->text, &inside) == 0)
                return r;
        secret->text = secret_free(secret->text);
        return fail_secret(filling, file, inside.text);
}

int init_draft_parse(const InitDraft *draft, Config **ret, ConfigErrors *errors) {
        _cleanup_(config_unrefp) Config *config = NULL;
        _cleanup_bytes_ Bytes text = {};
        int r;

        r = init_draft_text(draft, true, &text);
        if (r < 0)
                return r;
        r = config_parse(&(ConfigInput){ draft->path, &types_of_config }, text.data, text.size, &config, errors);
        if (r < 0)
                return r;
        r = config_table_each_file(&config_section, config, fill_in, &(Filling){ draft, errors });
        if (r < 0)
                return r;

        *ret = cleanup_steal(config);
        return 0;
}
