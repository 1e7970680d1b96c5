/* SPDX-License-Identifier: Apache-2.0 */
/* What `init` makes without a terminal: the language, the text of the file, names of secrets, files on the disk. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "pubsub/credentials.h"
#include "secret.h"
#include "verbs/init-draft.h"
#include "verbs/init.h"
#include "verbs/init-text.h"

typedef struct Place {
        char directory[64], config[128];
        InitDraft *draft;
} Place;

static int set_up(void **state) {
        Place *place = calloc(1, sizeof(Place));

        (void) snprintf(place->directory, sizeof(place->directory), "/tmp/sensorqd-init-XXXXXX");
        if (!mkdtemp(place->directory))
                return -1;
        (void) snprintf(place->config, sizeof(place->config), "%s/etc/sensorqd.yaml", place->directory);
        *state = place;
        return init_draft_new(place->config, &place->draft);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where) {
        return remove(path);
}

static int tear_down(void **state) {
        Place *place = *state;

        init_draft_free(place->draft);
        (void) nftw(place->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        free(place);
        return 0;
}

static void write_text(const Place *place, const char *name, const char *text) {
        char path[256];
        FILE *file;

        (void) snprintf(path, sizeof(path), "%s/%s", place->directory, name);
        file = fopen(path, "w");
        assert_non_null(file);
        (void) fputs(text, file);
        (void) fclose(file);
}

static bool is_japanese(const char *all, const char *lang) {
        assert_int_equal(setenv("LC_ALL", all, true) + unsetenv("LC_MESSAGES") + setenv("LANG", lang, true), 0);
        return *init_words(&(InitWords){ "english", "japanese" }) == 'j';
}

static void speak(bool japanese) {
        assert_int_equal(is_japanese(japanese ? "ja_JP.UTF-8" : "C", ""), japanese);
}

static void test_language(void **state) {
        assert_true(is_japanese("", "ja_JP.UTF-8"));
        assert_false(is_japanese("en_GB.UTF-8", "ja_JP.UTF-8"));
        assert_false(is_japanese("", "ja_JP.SJIS"));
        assert_false(is_japanese("", ""));
}

/* Both languages have each text, and the same places to fill in. */
static void test_texts(void **state) {
        for (InitText text = 0; text <= INIT_COMMENT_SUBSCRIBE; text++) {
                const char *english, *japanese;

                speak(true);
                japanese = init_text(text);
                speak(false);
                english = init_text(text);
                assert_non_null(english);
                assert_non_null(japanese);
                assert_int_equal(strstr(english, "{1}") != NULL, strstr(japanese, "{1}") != NULL);
                assert_int_equal(strstr(english, "{2}") != NULL, strstr(japanese, "{2}") != NULL);
        }
}

static void fill(Place *place) {
        InitPart *part;

        assert_int_equal(init_draft_set(&place->draft->project, "my-project"), 0);
        assert_int_equal(init_draft_set(&place->draft->topic, "projects/other/topics/house"), 0);
        assert_int_equal(init_draft_add(place->draft, init_draft_recipe(INIT_SOURCE, "home"), &part), 0);
        assert_int_equal(init_draft_add(place->draft, init_draft_recipe(INIT_SINK, "mongodb"), &part), 0);
}

static InitPart *last(Place *place) {
        return &place->draft->parts[place->draft->n_parts - 1];
}

static void test_text(void **state) {
        Place *place = *state;
        _cleanup_bytes_ Bytes text = {};

        fill(place);
        assert_int_equal(init_draft_set(&last(place)->answers[1], NULL), 0); /* no password */
        assert_int_equal(init_draft_set(&last(place)->answers[2], "居間: \"x\" #1"), 0);
        assert_int_equal(init_draft_text(place->draft, false, &text), 0);
        assert_non_null(strstr(text.data, "\n  topic: projects/other/topics/house\n"));
        assert_non_null(strstr(text.data, "\n  - subscription: house-mongodb\n"));
        assert_non_null(strstr(text.data, "\n      database: \"居間: \\\"x\\\" #1\"\n"));
        assert_null(strstr(text.data, "password_file"));
        for (const char *p = text.data; *p; p++)
                assert_true(*p == '\n' || (unsigned char) *p >= ' '); /* no mark is left */
}

/* An instance's file does not send its reader to the other service. */
static void test_text_of_an_instance(void **state) {
        static const struct {
                const char *path, *check, *reload;
        } rows[] = {
                { "/etc/sensorqd/sensorqd.yaml", "\"sensorqd check\"", "\"systemctl reload sensorqd\"" },
                { "/etc/sensorqd/garden.yaml", "\"sensorqd -c /etc/sensorqd/garden.yaml check\"",
                        "\"systemctl reload sensorqd@garden\"" },
                { "/srv/garden.yaml", "\"sensorqd -c /srv/garden.yaml check\"", "\"systemctl reload sensorqd\"" },
        };

        for (size_t i = 0; i < 2 * ELEMENTSOF(rows); i++) {
                _cleanup_(init_draft_freep) InitDraft *draft = NULL;
                _cleanup_bytes_ Bytes text = {};

                speak(i % 2 == 0);
                assert_int_equal(init_draft_new(rows[i / 2].path, &draft), 0);
                assert_int_equal(init_draft_text(draft, false, &text), 0);
                assert_non_null(strstr(text.data, rows[i / 2].check));
                assert_non_null(strstr(text.data, rows[i / 2].reload));
        }
}

/* What people answer where the page has a part of an address, or an item of a list or table in one line. */
static void test_answers_inside_a_line(void **state) {
        static const struct {
                const char *recipe;
                size_t question;
                const char *answer, *line;
        } rows[] = {
                { "weather", 0, "New York,US", "weather?q=New%20York,US&units=metric\n" },
                { "weather", 0, "東京", "weather?q=%E6%9D%B1%E4%BA%AC&units=metric\n" },
                { "weather", 0, "Kyoto #2", "weather?q=Kyoto%20%232&units=metric\n" },
                { "weather", 0, "New%20York", "weather?q=New%20York&units=metric\n" },
                { "switchbot", 0, "B0:E9", "/devices/B0:E9/status\n" },
                { "switchbot", 0, "{B0}", "names: { \"{B0}\": study } }\n" },
                { "co2", 0, "/opt/a, b", "command: [\"/opt/a, b\"]\n" },
                { "co2", 1, "Living room, north", "reading: { name: \"Living room, north\" }\n" },
                { "co2", 1, "Dad's #1", "reading: { name: \"Dad's #1\" }\n" },
                { "co2", 1, "居間", "reading: { name: 居間 }\n" },
        };
        Place *place = *state;
        InitPart *part;

        assert_int_equal(init_draft_set(&place->draft->project, "my-project"), 0);
        assert_int_equal(init_draft_set(&place->draft->topic, "sensor-data"), 0);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_(config_unrefp) Config *config = NULL;
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                _cleanup_bytes_ Bytes text = {};

                assert_int_equal(
                        init_draft_add(place->draft, init_draft_recipe(INIT_SOURCE, rows[i].recipe), &part), 0);
                assert_int_equal(init_draft_set(&part->answers[rows[i].question], rows[i].answer), 0);
                assert_int_equal(init_draft_text(place->draft, false, &text), 0);
                assert_non_null(strstr(text.data, rows[i].line));
                assert_int_equal(init_draft_parse(place->draft, &config, &errors), 0);
        }
}

/* Every recipe as it stands on the page is a configuration. */
static void test_recipes(void **state) {
        Place *place = *state;
        _cleanup_(config_unrefp) Config *config = NULL;
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        InitPart *part;

        assert_int_equal(init_draft_set(&place->draft->project, "my-project"), 0);
        assert_int_equal(init_draft_set(&place->draft->topic, "sensor-data"), 0);
        for (const InitRecipe *recipe = init_recipes; recipe->name; recipe++)
                if (recipe->kind != INIT_PAGE)
                        assert_int_equal(init_draft_add(place->draft, recipe, &part), 0);
        assert_int_equal(init_draft_parse(place->draft, &config, &errors), 0);
        assert_int_equal(config->n_sources + config->n_subscriptions, place->draft->n_parts);
}

static void test_a_place_without_room_for_secrets(void **state) {
        Place *place = *state;
        const char *file;

        write_text(place, "etc", "");
        assert_int_equal(init_draft_keep_secret(place->draft, "a.token", "one", &file), -ENOTDIR);
        assert_int_equal(place->draft->n_secrets, 0);
}

static void test_names_of_secrets(void **state) {
        Place *place = *state;
        char path[256];
        const char *file;

        (void) snprintf(path, sizeof(path), "%s/etc", place->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        (void) snprintf(path, sizeof(path), "%s/etc/credentials", place->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        write_text(place, "etc/credentials/a.token", "one\r\n");
        assert_int_equal(init_draft_keep_secret(place->draft, "a.token", "one", &file), 0);
        assert_string_equal(file, "a.token");
        assert_true(place->draft->secrets[0].there);
        assert_int_equal(init_draft_keep_secret(place->draft, "a.token", "on", &file), 0);
        assert_string_equal(file, "a-2.token");
        assert_false(place->draft->secrets[1].there);
        assert_int_equal(init_draft_keep_secret(place->draft, "b", "two", &file), 0);
        init_draft_forget_secrets(place->draft, 2);
        assert_int_equal(init_draft_keep_secret(place->draft, "b", "three", &file), 0); /* it is not written yet */
        assert_string_equal(file, "b");
        assert_int_equal(init_draft_keep_secret(place->draft, "b", "three", &file), 0); /* one for two parts */
        assert_int_equal(place->draft->n_secrets, 3);
        assert_string_equal(place->draft->secrets[2].text, "three");
}

static int note_text(void *userdata, const ConfigRow *row, const char *file, ConfigSecret *secret) {
        if (secret)
                (void) snprintf(userdata, 64, "%s", secret->text ? secret->text : "");
        return 0;
}

/* A secret is tried as the daemon will read it, and what it will not take is said at once. */
static void test_secrets_as_they_are_read(void **state) {
        static const struct {
                const char *text, *read, *error;
        } rows[] = {
                { "tok \n", "tok", NULL },
                { "tok\xe3\x80\x80", "tok", NULL }, /* U+3000, pasted along */
                { "tok\n# made in May\n", NULL, "nature-remo.token: the secret holds line breaks" },
                { "Bearer tok", NULL, "leave only the token" },
                { "\"tok\"", NULL, "remove the quotes" },
                { "\n", NULL, "nature-remo.token: the secret is empty" },
        };
        Place *place = *state;
        InitPart *part;

        assert_int_equal(init_draft_set(&place->draft->project, "my-project"), 0);
        assert_int_equal(init_draft_set(&place->draft->topic, "sensor-data"), 0);
        assert_int_equal(init_draft_add(place->draft, init_draft_recipe(INIT_SOURCE, "home"), &part), 0);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_(config_unrefp) Config *config = NULL;
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                char text[64] = "";
                const char *file;

                init_draft_forget_secrets(place->draft, 0);
                assert_int_equal(init_draft_keep_secret(place->draft, "nature-remo.token", rows[i].text, &file), 0);
                assert_int_equal(init_draft_parse(place->draft, &config, &errors), rows[i].read ? 0 : -EBADMSG);
                if (rows[i].error)
                        assert_non_null(strstr(errors.texts[0], rows[i].error));
                else
                        (void) config_table_each_file(
                                config->sources[0].section, config->sources[0].keys, note_text, text);
                assert_string_equal(text, rows[i].read ? rows[i].read : "");
        }
}

/* What is there and is no secret keeps its name; where this user may not look, a dry run goes on. */
static void test_names_that_are_something_else(void **state) {
        Place *place = *state;
        const char *file;
        char path[256];

        (void) snprintf(path, sizeof(path), "%s/etc", place->directory);
        assert_int_equal(mkdir(path, 0755), 0);
        (void) snprintf(path, sizeof(path), "%s/etc/credentials", place->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        (void) snprintf(path, sizeof(path), "%s/etc/credentials/a.token", place->directory);
        assert_int_equal(symlink("nowhere", path), 0);
        write_text(place, "etc/credentials/b.token", "\xff\xfe");
        assert_int_equal(init_draft_keep_secret(place->draft, "a.token", "one", &file), 0);
        assert_string_equal(file, "a-2.token");
        assert_int_equal(init_draft_keep_secret(place->draft, "b.token", "two", &file), 0);
        assert_string_equal(file, "b-2.token");
        if (geteuid() != 0)
                return;
        assert_int_equal(chmod(place->directory, 0711), 0);
        assert_int_equal(seteuid(65534), 0);
        assert_int_equal(init_draft_keep_secret(place->draft, "c.token", "three", &file), 0);
        assert_string_equal(file, "c.token");
        assert_int_equal(seteuid(0), 0);
}

/* A key is named where it will be; to try it, where it is. */
static void test_key(void **state) {
        Place *place = *state;
        const char *file;

        assert_int_equal(init_draft_keep_secret(place->draft, CREDENTIALS_FILE_DEFAULT, "{}", &file), 0);
        assert_int_equal(init_draft_set(&place->draft->key_path, "/root/key.json"), 0);
        fill(place);
        for (size_t live = 0; live < 2; live++) {
                _cleanup_bytes_ Bytes text = {};

                assert_int_equal(init_draft_text(place->draft, live, &text), 0);
                assert_non_null(strstr(text.data, live ? "\n  credentials_file: /root/key.json\n"
                                                       : "\n  credentials_file: " CREDENTIALS_FILE_DEFAULT "\n"));
        }
}

/* Two meters of one maker: each has a name and a secret of its own; what is typed once more takes the place of a slip.
 */
static void test_twice(void **state) {
        static const char *const tokens[] = { "one", "slip", "two" }, *const names[] = { "switchbot.token",
                "switchbot-2.token", "switchbot-2.token" };
        Place *place = *state;
        _cleanup_(config_unrefp) Config *config = NULL;
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        InitPart *part = NULL;
        const char *file;

        assert_int_equal(init_draft_set(&place->draft->project, "my-project"), 0);
        assert_int_equal(init_draft_set(&place->draft->topic, "sensor-data"), 0);
        for (size_t i = 0; i < 3; i++) {
                if (i < 2)
                        assert_int_equal(
                                init_draft_add(place->draft, init_draft_recipe(INIT_SOURCE, "switchbot"), &part), 0);
                init_draft_forget_secrets(place->draft, part->first_secret);
                assert_int_equal(init_draft_keep_secret(place->draft, "switchbot.token", tokens[i], &file), 0);
                assert_string_equal(file, names[i]);
                assert_int_equal(init_draft_set(&part->answers[1], file), 0);
        }
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(init_draft_add(place->draft, init_draft_recipe(INIT_SINK, "mongodb"), &part), 0);
        assert_int_equal(init_draft_parse(place->draft, &config, &errors), 0);
        assert_string_equal(config->sources[0].name, "switchbot");
        assert_string_equal(config->sources[1].name, "switchbot-2");
        assert_string_equal(
                config->subscriptions[1].subscription, "projects/my-project/subscriptions/sensor-data-mongodb-2");
        assert_string_equal(place->draft->secrets[0].text, "one");
        assert_string_equal(place->draft->secrets[1].text, "two");
}

/* What was typed for an entry that is left out is not written, but what others use is. */
static void test_secrets_of_an_entry_that_is_left_out(void **state) {
        Place *place = *state;
        const char *file;
        InitPart *part;

        assert_int_equal(init_draft_keep_secret(place->draft, CREDENTIALS_FILE_DEFAULT, "{}", &file), 0);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(init_draft_add(place->draft, init_draft_recipe(INIT_SOURCE, "switchbot"), &part), 0);
                assert_int_equal(init_draft_keep_secret(place->draft, "switchbot.token", "one", &file), 0);
                assert_string_equal(file, "switchbot.token");
                assert_int_equal(
                        init_draft_keep_secret(place->draft, "switchbot.secret", i == 0 ? "x" : "y", &file), 0);
                assert_string_equal(file, i == 0 ? "switchbot.secret" : "switchbot-2.secret");
        }
        assert_int_equal(place->draft->n_secrets, 4);
        init_draft_drop_last(place->draft);
        assert_int_equal(place->draft->n_secrets, 3);
        assert_string_equal(place->draft->secrets[1].text, "one");
        init_draft_drop_last(place->draft);
        assert_int_equal(place->draft->n_secrets, 1);
        assert_string_equal(place->draft->secrets[0].file, CREDENTIALS_FILE_DEFAULT);
}

/* A house of many: no entry takes the place of another one's secret. */
static void test_a_name_for_each_secret(void **state) {
        Place *place = *state;
        const char *file;
        char text[16];
        InitPart *part;

        for (size_t i = 0; i < INIT_PARTS_MAX; i++) {
                assert_int_equal(init_draft_add(place->draft, init_draft_recipe(INIT_SOURCE, "home"), &part), 0);
                (void) snprintf(text, sizeof(text), "token-%zu", i);
                assert_int_equal(init_draft_keep_secret(place->draft, "nature-remo.token", text, &file), 0);
                assert_int_equal(init_draft_set(&part->answers[0], file), 0);
                assert_int_equal(place->draft->n_secrets, i + 1);
        }
        for (size_t i = 0; i < INIT_PARTS_MAX; i++) {
                (void) snprintf(text, sizeof(text), "token-%zu", i);
                assert_string_equal(place->draft->secrets[i].text, text);
                assert_string_equal(place->draft->secrets[i].file, place->draft->parts[i].answers[0]);
        }
}

static void assert_mode(const Place *place, const char *name, mode_t mode) {
        struct stat status;
        char path[256];

        (void) snprintf(path, sizeof(path), "%s/%s", place->directory, name);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, mode);
}

static void test_write(void **state) {
        Place *place = *state;
        _cleanup_bytes_ Bytes text = {};
        const char *file;

        (void) umask(0077);
        assert_int_equal(init_write_check(place->config), INIT_WRITE_FREE);
        assert_int_equal(init_draft_keep_secret(place->draft, "a.token", "one", &file), 0);
        assert_int_equal(bytes_append_text(&text, "log_level: info\n"), 0);
        assert_int_equal(init_write_all(place->draft, &text), INIT_WRITE_FREE);
        assert_mode(place, "etc/sensorqd.yaml", 0644);
        assert_mode(place, "etc/credentials", 0700);
        assert_mode(place, "etc/credentials/a.token", 0600);
        assert_int_equal(init_write_check(place->config), INIT_WRITE_EXISTS);
        assert_int_equal(init_write_all(place->draft, &text), INIT_WRITE_EXISTS);
}

/* A secret of that name that came after the question is left alone, and there is no configuration. */
static void test_write_beside(void **state) {
        Place *place = *state;
        _cleanup_bytes_ Bytes text = {};
        const char *file;
        char path[256];

        assert_int_equal(init_draft_keep_secret(place->draft, "a.token", "one", &file), 0);
        (void) snprintf(path, sizeof(path), "%s/etc", place->directory);
        assert_int_equal(mkdir(path, 0755), 0);
        (void) snprintf(path, sizeof(path), "%s/etc/credentials", place->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        write_text(place, "etc/credentials/a.token", "another");
        assert_int_equal(bytes_append_text(&text, "log_level: info\n"), 0);
        assert_int_equal(init_write_all(place->draft, &text), INIT_WRITE_EXISTS);
        assert_int_equal(access(place->config, F_OK), -1);
}

/* What a kill left under the temporary name is not taken for ours. */
static void test_write_over_the_example(void **state) {
        Place *place = *state;
        _cleanup_(secret_freep) char *there = NULL;
        _cleanup_bytes_ Bytes text = {};
        char path[256];
        size_t size;

        (void) snprintf(path, sizeof(path), "%s/etc", place->directory);
        assert_int_equal(mkdir(path, 0755), 0);
        write_text(place, "etc/sensorqd.yaml", init_example);
        write_text(place, "etc/.init.new", "half");
        assert_int_equal(init_write_check(place->config), INIT_WRITE_FREE);
        assert_int_equal(bytes_append_text(&text, "log_level: info\n"), 0);
        assert_int_equal(init_write_all(place->draft, &text), INIT_WRITE_FREE);
        assert_int_equal(secret_read_file(place->config, &there, &size), 0);
        assert_string_equal(there, "log_level: info\n");
        (void) snprintf(path, sizeof(path), "%s/etc/.init.new", place->directory);
        assert_int_equal(access(path, F_OK), -1);
}

/* ---- two at once ---- */

static InitDraft *other; /* another process writes it while our first file is synced; NULL: none does */
static pid_t writer;

int fsync(int fd) {
        _cleanup_bytes_ Bytes text = {};
        InitDraft *draft = other;

        other = NULL;
        if (!draft)
                return (int) syscall(SYS_fsync, fd);
        writer = fork();
        assert_true(writer >= 0);
        if (writer == 0)
                closefrom(STDERR_FILENO + 1); /* another init has none of ours, which hold the lock */
        if (writer == 0)
                _exit(bytes_append_text(&text, "log_level: debug\n") < 0 || init_write_all(draft, &text) != 0);
        (void) usleep(300000); /* enough for it, if it does not wait for us */
        return (int) syscall(SYS_fsync, fd);
}

static void assert_holds(const char *path, const char *text) {
        _cleanup_(secret_freep) char *there = NULL;
        size_t size;

        assert_int_equal(secret_read_file(path, &there, &size), 0);
        assert_string_equal(there, text);
}

static void test_two_at_once(void **state) {
        Place *place = *state;
        _cleanup_bytes_ Bytes text = {};
        InitDraft *beside;
        char path[256];
        int status;

        (void) snprintf(path, sizeof(path), "%s/etc/beside.yaml", place->directory);
        assert_int_equal(init_draft_new(path, &beside), 0);
        other = beside;
        assert_int_equal(bytes_append_text(&text, "log_level: info\n"), 0);
        assert_int_equal(init_write_all(place->draft, &text), INIT_WRITE_FREE);
        assert_int_equal(waitpid(writer, &status, 0), writer);
        assert_int_equal(status, 0);
        assert_holds(place->config, "log_level: info\n");
        assert_holds(path, "log_level: debug\n");
        init_draft_free(beside);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_language),
                cmocka_unit_test(test_texts),
                cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
                cmocka_unit_test(test_text_of_an_instance),
                cmocka_unit_test_setup_teardown(test_answers_inside_a_line, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_recipes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_place_without_room_for_secrets, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_names_of_secrets, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_secrets_as_they_are_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_names_that_are_something_else, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_key, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_twice, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_secrets_of_an_entry_that_is_left_out, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_name_for_each_secret, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_write, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_write_beside, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_write_over_the_example, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_two_at_once, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
