/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/init-draft.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config-file.h"
#include "config-place.h"
#include "config-table.h"
#include "lib/text.h"
#include "secret.h"
#include "types.h"
#include "verbs/init-text.h"
#include "verbs/unit.h"

#define NAMES_MAX 999 /* highest number in a name, mongodb-999.password: more than there can be entries */

int init_draft_new(const char *path, bool japanese, InitDraft **ret) {
        _cleanup_(init_draft_freep) InitDraft *draft = calloc(1, sizeof(InitDraft));
        _cleanup_free_ char *copy = strdup(path);

        if (!draft || !copy)
                return -ENOMEM;
        draft->japanese = japanese;
        draft->path = strdup(path);
        draft->directory = strdup(dirname(copy));
        if (!draft->path || !draft->directory)
                return -ENOMEM;

        *ret = cleanup_steal(draft);
        return 0;
}

static void drop_last(InitDraft *draft) {
        InitPart *part = &draft->parts[--draft->n_parts];

        for (size_t i = 0; i < INIT_QUESTIONS_MAX; i++)
                free(part->answers[i]);
}

InitDraft *init_draft_free(InitDraft *draft) {
        if (!draft)
                return NULL;
        while (draft->n_parts > 0)
                drop_last(draft);
        for (size_t i = 0; i < draft->n_secrets; i++) {
                free(draft->secrets[i].file);
                secret_free(draft->secrets[i].text);
        }
        free(draft->path);
        free(draft->directory);
        free(draft->key_path);
        free(draft->key_file);
        free(draft->state_dir);
        free(draft->project);
        free(draft->topic);
        free(draft->endpoint);
        free(draft->ca_file);
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

/* ---- entries ---- */

int init_draft_add(InitDraft *draft, const InitRecipe *recipe, InitPart **ret) {
        InitPart *part = &draft->parts[draft->n_parts];

        if (draft->n_parts == INIT_PARTS_MAX)
                return -E2BIG;
        *part = (InitPart){ .recipe = recipe };
        draft->n_parts++;
        for (size_t i = 0; recipe->questions[i].key; i++)
                if (init_draft_set(&part->answers[i], recipe->questions[i].fallback) < 0)
                        return -ENOMEM;
        *ret = part;
        return 0;
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

        if (text_format(&path, "%s/credentials/%s", draft->directory, file) < 0)
                return -ENOMEM;
        return secret_read_file(path, ret, &size);
}

static InitSecret *find_kept(InitDraft *draft, const char *file) {
        for (size_t i = 0; i < draft->n_secrets; i++)
                if (strcmp(draft->secrets[i].file, file) == 0)
                        return &draft->secrets[i];
        return NULL;
}

/* White space at the end does not count: secret_read() cuts it off. */
static bool same_secret(const char *there, const char *text) {
        size_t n = strlen(text);

        while (n > 0 && strchr(" \t\r\n", text[n - 1]))
                n--;
        return strncmp(there, text, n) == 0 && strspn(there + n, " \t\r\n") == strlen(there + n);
}

/* Whether a file has that name. False when the directory may not be searched: nothing can be written there either, and
 * a dry run can go on. */
static bool is_there(const InitDraft *draft, const char *file) {
        _cleanup_free_ char *path = NULL;
        struct stat status;

        if (text_format(&path, "%s/credentials/%s", draft->directory, file) < 0)
                return true;
        return lstat(path, &status) == 0;
}

/* NAME_FREE; NAME_TAKEN: another file has the name; NAME_HAS_IT: that file has this text. -ENOMEM, -ENOTDIR. */
enum { NAME_FREE = 0, NAME_TAKEN = 1, NAME_HAS_IT = 2 };
static int check_name(const InitDraft *draft, const char *file, const char *text) {
        _cleanup_(secret_freep) char *there = NULL;
        int r;

        r = init_draft_find_secret(draft, file, &there);
        if (r == -ENOMEM || r == -ENOTDIR)
                return r;
        if (r < 0)
                return is_there(draft, file) ? NAME_TAKEN : NAME_FREE;
        return same_secret(there, text) ? NAME_HAS_IT : NAME_TAKEN;
}

static bool names_secret(const InitPart *part, const char *file) {
        for (size_t i = 0; part->recipe->questions[i].key; i++)
                if (part->recipe->questions[i].kind > INIT_OPTION && part->answers[i] &&
                        strcmp(part->answers[i], file) == 0)
                        return true;
        return false;
}

/* Whether an earlier entry uses that name for another secret. The last entry, which is being asked for, may change its
 * own. */
static bool is_of_another(InitDraft *draft, const char *name, const char *text) {
        const InitSecret *kept = find_kept(draft, name);

        for (size_t i = 0; kept && strcmp(kept->text, text) != 0 && i + 1 < draft->n_parts; i++)
                if (names_secret(&draft->parts[i], name))
                        return true;
        return false;
}

/* mongodb.password -> mongodb-2.password */
static int number_name(const char *file, unsigned number, char **ret) {
        const char *dot = strrchr(file, '.') ?: file + strlen(file);

        return text_format(ret, "%.*s-%u%s", (int) (dot - file), file, number, dot);
}

static int choose_name(InitDraft *draft, const char *file, const char *text, char **ret_name) {
        _cleanup_free_ char *name = strdup(file);
        int r = NAME_TAKEN;

        for (unsigned number = 2; name && number <= NAMES_MAX; number++) {
                r = is_of_another(draft, name, text) ? NAME_TAKEN : check_name(draft, name, text);
                if (r != NAME_TAKEN)
                        break;
                free(cleanup_steal(name));
                if (number_name(file, number, &name) < 0)
                        return -ENOMEM;
        }
        if (!name)
                return -ENOMEM;
        if (r == NAME_TAKEN)
                return -E2BIG;
        if (r >= 0)
                *ret_name = cleanup_steal(name);
        return r;
}

int init_draft_keep_secret(InitDraft *draft, const char *file, const char *text, const char **ret_file) {
        _cleanup_free_ char *name = NULL;
        InitSecret *secret;
        char *copy;
        int r;

        r = choose_name(draft, file, text, &name);
        if (r < 0)
                return r;
        secret = find_kept(draft, name);
        if (!secret && draft->n_secrets == INIT_SECRETS_MAX)
                return -E2BIG;
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        if (!secret) {
                secret = &draft->secrets[draft->n_secrets++];
                secret->file = cleanup_steal(name);
        }
        secret_free(secret->text);
        secret->text = copy;
        secret->there = r == NAME_HAS_IT;
        *ret_file = secret->file;
        return 0;
}

static void drop_secret(InitDraft *draft, InitSecret *kept) {
        free(kept->file);
        secret_free(kept->text);
        *kept = draft->secrets[--draft->n_secrets];
        draft->secrets[draft->n_secrets] = (InitSecret){};
}

void init_draft_end_last(InitDraft *draft, bool keep) {
        if (!keep)
                drop_last(draft);
        for (size_t i = draft->n_secrets; i-- > 0;) {
                InitSecret *secret = &draft->secrets[i];
                bool named = draft->key_file && strcmp(draft->key_file, secret->file) == 0;

                for (size_t k = 0; k < draft->n_parts && !named; k++)
                        named = names_secret(&draft->parts[k], secret->file);
                if (!named)
                        drop_secret(draft, secret);
        }
}

void init_draft_drop_key(InitDraft *draft) {
        InitSecret *kept = draft->key_file ? find_kept(draft, draft->key_file) : NULL;

        if (kept)
                drop_secret(draft, kept);
        (void) init_draft_set(&draft->key_file, NULL);
        (void) init_draft_set(&draft->key_path, NULL);
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

static void append_part(Bytes *b, const InitDraft *draft, const InitPart *part) {
        static const char *const before[] = { [INIT_SOURCE] = "    ", [INIT_SINK] = "  ", [INIT_PAGE] = "\n" };
        const char *title = draft->japanese ? part->recipe->title.japanese : part->recipe->title.english, *end;

        bytes_append_format(b, "%s# %s\n", before[part->recipe->kind], title);
        for (const char *line = part->recipe->block; (end = strchr(line, '\n')); line = end + 1)
                append_line(b, draft, part, (Slice){ line, (size_t) (end - line) + 1 });
}

static void append_parts(Bytes *b, const InitDraft *draft, InitKind kind) {
        for (size_t i = 0; i < draft->n_parts; i++)
                if (draft->parts[i].recipe->kind == kind)
                        append_part(b, draft, &draft->parts[i]);
}

static void append_comment(Bytes *b, const InitDraft *draft, InitText text) {
        const char *words = init_text(draft->japanese, text), *at;
        char unit[CONFIG_UNIT_SIZE];

        while ((at = strchr(words, '{'))) {
                bytes_append(b, words, (size_t) (at - words));
                if (at[1] == '1')
                        bytes_append_format(b, "%s/credentials", draft->directory);
                else if (at[1] == '2')
                        bytes_append_text(b, unit_in_words(draft->path, unit));
                else if (strcmp(draft->path, CONFIG_FILE_DEFAULT) != 0)
                        bytes_append_format(b, " -c %s", draft->path);
                words = at + 3;
        }
        bytes_append_text(b, words);
}

static void append_pubsub(Bytes *b, const InitDraft *draft, bool live) {
        bytes_append_text(b, "\npubsub:\n");
        append_comment(b, draft, INIT_COMMENT_PROJECT);
        append_key(b, "  project", draft->project);
        if (draft->key_file)
                append_comment(b, draft, INIT_COMMENT_KEY);
        append_key(b, "  credentials_file", live ? draft->key_path : draft->key_file);
        append_key(b, "  endpoint", draft->endpoint);
        append_key(b, "  ca_file", draft->ca_file);
}

static void append_publish(Bytes *b, const InitDraft *draft) {
        if (!init_draft_has(draft, INIT_SOURCE))
                return;
        append_comment(b, draft, INIT_COMMENT_PUBLISH);
        bytes_append_text(b, "publish:\n");
        append_key(b, "  topic", draft->topic);
        bytes_append_text(b, "  sources:\n");
        append_parts(b, draft, INIT_SOURCE);
}

static void append_subscribe(Bytes *b, const InitDraft *draft) {
        if (!init_draft_has(draft, INIT_SINK))
                return;
        append_comment(b, draft, INIT_COMMENT_SUBSCRIBE);
        bytes_append_text(b, "subscribe:\n");
        append_parts(b, draft, INIT_SINK);
}

int init_draft_text(const InitDraft *draft, bool live, Bytes *ret) {
        append_comment(ret, draft, INIT_COMMENT_TOP);
        if (draft->state_dir)
                bytes_append_text(ret, "\n");
        append_key(ret, "state_dir", draft->state_dir);
        append_pubsub(ret, draft, live);
        append_publish(ret, draft);
        append_subscribe(ret, draft);
        append_parts(ret, draft, INIT_PAGE);
        return bytes_result(ret);
}

/* ---- parsing the draft ---- */

typedef struct Filling {
        InitDraft *draft;
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
        r = config_table_each_file(&config_section, config, fill_in, &(Filling){ (InitDraft *) draft, errors });
        if (r < 0)
                return r;

        *ret = cleanup_steal(config);
        return 0;
}
