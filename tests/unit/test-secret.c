/* SPDX-License-Identifier: Apache-2.0 */
/* Secret files are found where systemd and the administrator put them, and what cannot be meant is refused before it is
 * sent anywhere (P10). */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "said.h"
#include "secret.h"
#include "verbs/check.h"
#include "web-place.h"

/* A disk that does not say whether a file of that name is there. */
static const char *dead;

int faccessat(int directory, const char *path, int mode, int flags) {
        int (*real)(int, const char *, int, int) = (__typeof__(real)) dlsym(RTLD_NEXT, "faccessat");
        const char *name = strrchr(path, '/');

        if (dead && name && strcmp(name + 1, dead) == 0)
                return errno = EIO, -1;
        return real(directory, path, mode, flags);
}

typedef struct Fixture {
        char root[32];
        char credentials[64], config_directory[64], config_credentials[96];
        Config config;
} Fixture;

static void make_directory(char *path, size_t size, const char *parent, const char *name) {
        assert_true(snprintf(path, size, "%s/%s", parent, name) < (int) size);
        assert_int_equal(mkdir(path, 0700), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));

        assert_non_null(f);
        (void) snprintf(f->root, sizeof(f->root), "/tmp/sensorqd-test-XXXXXX");
        assert_non_null(mkdtemp(f->root));
        make_directory(f->credentials, sizeof(f->credentials), f->root, "run");
        make_directory(f->config_directory, sizeof(f->config_directory), f->root, "etc");
        make_directory(f->config_credentials, sizeof(f->config_credentials), f->config_directory, "credentials");
        f->config.directory = f->config_directory;
        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", f->credentials, 1), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        char command[64];

        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        (void) snprintf(command, sizeof(command), "rm -r %s", f->root);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

static void put(const char *directory, const char *name, const void *data, size_t size) {
        char path[160];
        FILE *file;

        (void) snprintf(path, sizeof(path), "%s/%s", directory, name);
        file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(data, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
}

static void assert_found(Fixture *f, const char *name, const char *directory, const char *file) {
        char path[160], *found = NULL;

        (void) snprintf(path, sizeof(path), "%s/%s", directory, file);
        assert_int_equal(secret_find(&f->config, name, &found), 0);
        assert_string_equal(found, path);
        free(found);
}

static void test_order(void **state) {
        Fixture *f = *state;
        char *found = NULL, absolute[160];

        assert_int_equal(secret_find(&f->config, "t", &found), -ENOENT);
        put(f->config_directory, "t", "4", 1);
        assert_found(f, "t", f->config_directory, "t");
        put(f->config_credentials, "t", "3", 1);
        assert_found(f, "t", f->config_credentials, "t");
        put(f->credentials, "sensorqd_t", "2", 1);
        assert_found(f, "t", f->credentials, "sensorqd_t");
        put(f->credentials, "t", "1", 1);
        assert_found(f, "t", f->credentials, "t");

        (void) snprintf(absolute, sizeof(absolute), "%s/t", f->config_directory);
        assert_found(f, absolute, f->config_directory, "t");
        (void) snprintf(absolute, sizeof(absolute), "%s/none", f->config_directory);
        assert_int_equal(secret_find(&f->config, absolute, &found), -ENOENT);

        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        assert_found(f, "t", f->config_credentials, "t");
        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
        assert_found(f, "t", f->config_credentials, "t");
        assert_null(found);
}

/* Nothing is missing then, so that the unit tries again; and no other file is taken in its place. */
static void test_a_disk_that_does_not_tell(void **state) {
        Fixture *f = *state;
        char *found = NULL, absolute[160];

        put(f->config_directory, "t", "4", 1);
        (void) snprintf(absolute, sizeof(absolute), "%s/t", f->config_directory);
        dead = "t";
        assert_int_equal(secret_find(&f->config, "t", &found), -EIO);
        assert_int_equal(secret_find(&f->config, absolute, &found), -EIO);
        dead = "sensorqd_t";
        assert_int_equal(secret_find(&f->config, "t", &found), -EIO);
        dead = NULL;
        assert_null(found);
        assert_found(f, "t", f->config_directory, "t");
}

/* What a message calls it: the file to mend, where that is known, and never the copy. */
static void test_origin(void **state) {
        static const ConfigRow rows[] = { { "token_file", &config_type_token, 0, 1, 100, .doc = "" }, {} };
        static const ConfigSection section = { .rows = rows, .size = sizeof(ConfigSecret) };
        char name[] = "t", expected[256];
        ConfigSecret secret = { .file = name };
        SecretProblem problem = {};
        Fixture *f = *state;

        put(f->credentials, "sensorqd_t", "Bearer x", 8);
        assert_int_equal(secret_read_all(&f->config, NULL, &section, &secret, &problem), -EBADMSG);
        (void) snprintf(expected, sizeof(expected), "secret file %s/t begins with", f->config_credentials);
        assert_non_null(strstr(problem.text, expected));
        put(f->credentials, "t", "Bearer x", 8);
        assert_int_equal(secret_read_all(&f->config, NULL, &section, &secret, &problem), -EBADMSG);
        assert_non_null(strstr(problem.text, "secret file t begins with"));
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        put(f->config_directory, "t", "Bearer x", 8);
        assert_int_equal(secret_read_all(&f->config, NULL, &section, &secret, &problem), -EBADMSG);
        (void) snprintf(expected, sizeof(expected), "secret file %s/t begins with", f->config_directory);
        assert_non_null(strstr(problem.text, expected));
}

/* P10: a token in place of the name of its file is not repeated. */
static void test_a_secret_for_a_name(void **state) {
        static const ConfigRow rows[] = { { "token_file", &config_type_token, 0, 1, 100, .doc = "" }, {} };
        static const ConfigSection section = { .rows = rows, .size = sizeof(ConfigSecret) };
        static const char *const names[][2] = {
                { "ory_at_4Zc8yQ1pWm2Xn7Lk3Vb9TsRgHd.5eF6jK", "secret file (not named here: " },
                { "0123456789abcdef0123456789abcdef", "secret file (not named here: " },
                { "kJ3/9fQz+81kslLLq0cVf3h2S8dk2J3hsk29sl+Fq3s=", "secret file (not named here: " },
                { "home-assistant-long-lived-access.token", "secret file home-assistant-long-lived-access.token is" },
                { "/etc/0123456789abcdef0123456789abcdef", "secret file /etc/0123456789abcdef0123456789abcdef does" },
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                ConfigSecret secret = { .file = (char *) names[i][0] };
                SecretProblem problem = {};

                assert_int_equal(secret_read_all(&f->config, NULL, &section, &secret, &problem), -ENOENT);
                assert_non_null(strstr(problem.text, names[i][1]));
        }
}

/* Root may search any directory, so this is only told apart for other users. */
static void test_unsearchable_directory(void **state) {
        Fixture *f = *state;
        char *found = NULL;

        if (geteuid() == 0) {
                assert_int_equal(chmod(f->root, 0755), 0);
                assert_int_equal(chmod(f->config_directory, 0755), 0);
                assert_int_equal(seteuid(65534), 0);
        } else
                assert_int_equal(chmod(f->config_credentials, 0), 0);

        assert_int_equal(secret_find(&f->config, "t", &found), -ENOENT);
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        assert_int_equal(secret_find(&f->config, "t", &found), -EACCES);

        if (getuid() == 0)
                assert_int_equal(seteuid(0), 0);
        assert_int_equal(chmod(f->config_credentials, 0700), 0);
        assert_null(found);
}

static int read_secret(const Fixture *f, Secrets *secrets, const char *name, char **ret) {
        static const ConfigRow rows[] = { { "secret_file", &config_type_secret, 0, 1, 100, .doc = "" }, {} };
        static const ConfigSection section = { .rows = rows, .size = sizeof(ConfigSecret) };
        ConfigSecret secret = { .file = (char *) name };
        SecretProblem problem;
        int r = secret_read_all(&f->config, secrets, &section, &secret, &problem);

        *ret = secret.text;
        return r;
}

static void assert_read(Fixture *f, const void *data, size_t size, const char *text) {
        char *secret = NULL;

        put(f->credentials, "s", data, size);
        assert_int_equal(read_secret(f, NULL, "s", &secret), 0);
        assert_string_equal(secret, text);
        assert_null(secret_free(secret));
}

static void assert_refused(Fixture *f, const void *data, size_t size, int error) {
        char *secret = NULL;

        put(f->credentials, "s", data, size);
        assert_int_equal(read_secret(f, NULL, "s", &secret), error);
        assert_null(secret);
}

static void test_content(void **state) {
        Fixture *f = *state;

        assert_read(f, "abc", 3, "abc");
        assert_read(f, "abc\r\n\n \t", 8, "abc");
        assert_read(f,
                "\xef\xbb\xbf"
                "abc\n",
                7, "abc");
        assert_read(f, " a b ", 5, " a b");
        assert_read(f, "p\xc3\xa4ss", 5, "p\xc3\xa4ss");
        assert_read(f, "abc\xc2\xa0\xe3\x80\x80\n \xc2\xa0\n", 13, "abc"); /* as pasted from a web page */

        assert_refused(f, "", 0, -ENODATA);
        assert_refused(f, " \n", 2, -ENODATA);
        assert_refused(f, "\xef\xbb\xbf\n", 4, -ENODATA);
        assert_refused(f, "a\nb", 3, -EBADMSG);
        assert_refused(f, "a\tb", 3, -EBADMSG);
        assert_refused(f, "a\0b", 3, -EBADMSG);
        assert_refused(f, "a\x7f", 2, -EBADMSG);
        assert_refused(f,
                "\xff\xfe"
                "a\0b\0",
                6, -EILSEQ); /* UTF-16 */
}

static void test_size(void **state) {
        Fixture *f = *state;
        char *data = malloc(SECRET_SIZE_MAX + 1), *secret = NULL;

        assert_non_null(data);
        memset(data, 'x', SECRET_SIZE_MAX + 1);
        put(f->credentials, "s", data, SECRET_SIZE_MAX);
        assert_int_equal(read_secret(f, NULL, "s", &secret), 0);
        assert_int_equal(strlen(secret), SECRET_SIZE_MAX);
        secret = secret_free(secret);
        assert_refused(f, data, SECRET_SIZE_MAX + 1, -EFBIG);
        free(data);
}

static void test_kinds(void **state) {
        Fixture *f = *state;
        char path[128], *secret = NULL;
        size_t size;

        assert_int_equal(read_secret(f, NULL, f->config_directory, &secret), -EISDIR);
        assert_int_equal(read_secret(f, NULL, "/dev/null", &secret), -EBADMSG);
        (void) snprintf(path, sizeof(path), "%s/fifo", f->credentials);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(read_secret(f, NULL, "fifo", &secret), -EBADMSG);
        assert_int_equal(secret_read_file(path, &secret, &size), -EBADMSG);
        assert_int_equal(secret_read_file("/nowhere/x", &secret, &size), -ENOENT);

        put(f->credentials, "k", "{\n}\n", 4);
        (void) snprintf(path, sizeof(path), "%s/k", f->credentials);
        assert_int_equal(secret_read_file(path, &secret, &size), 0);
        assert_int_equal(size, 4);
        assert_string_equal(secret, "{\n}\n");
        assert_null(secret_free(secret));
        put(f->credentials, "k", "\xef\xbb\xbf{}", 5);
        assert_int_equal(secret_read_file(path, &secret, &size), 0);
        assert_int_equal(size, 2);
        assert_string_equal(secret, "{}");
        assert_null(secret_free(secret));
        put(f->credentials, "k", "{\0}\0", 4);
        assert_int_equal(secret_read_file(path, &secret, &size), -EILSEQ);
        assert_null(secret_free(NULL));
}

/* Whoever reads it knows where to put what. */
static void test_explain(void **state) {
        static const struct {
                const char *name;
                int error;
                const char *words;
        } rows[] = {
                { "t", -ENOENT, "/etc/credentials: put it there, and restart" },
                { "/nowhere/t", -ENOENT, "does not exist" },
                { "t", -EACCES, "sudo" },
                { "t", -EBADMSG, "put the secret alone into it" },
                { "t", -ENODATA, "is empty" },
                { "t", -EFBIG, "is larger than 64 KiB" },
                { "t", -EILSEQ, "is UTF-16: save it as UTF-8" },
                { "t", -EIO, "cannot be read: " },
        };
        Fixture *f = *state;
        char words[SECRET_WORDS_MAX];

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                if (!strstr(secret_explain(&f->config, rows[i].name, rows[i].error, words), rows[i].words))
                        fail_msg("%s: %s", rows[i].words, words);
}

static bool homes_are_hidden; /* as ProtectHome=yes does */
int __wrap_access(const char *path, int mode);
int __real_access(const char *path, int mode);

int __wrap_access(const char *path, int mode) {
        if (!homes_are_hidden || strcmp(path, "/home") != 0)
                return __real_access(path, mode);
        errno = EACCES;
        return -1;
}

/* Neither sudo nor another mode helps a service whose credentials a drop-in took away. */
static void test_explain_a_unit_without_credentials(void **state) {
        Fixture *f = *state;
        char words[SECRET_WORDS_MAX];

        assert_int_equal(setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1), 0);
        assert_int_equal(setenv("INVOCATION_ID", "0", 1), 0);
        assert_non_null(
                strstr(secret_explain(&f->config, "t", -EACCES, words), "sudo")); /* it has a directory of them */
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        assert_int_equal(unsetenv("INVOCATION_ID"), 0);
        assert_non_null(
                strstr(secret_explain(&f->config, "t", -EACCES, words), "sudo")); /* podman has no credentials */
        assert_int_equal(setenv("INVOCATION_ID", "0", 1), 0);
        assert_non_null(strstr(secret_explain(&f->config, "t", -EACCES, words), "LoadCredential="));
        assert_non_null(strstr(secret_explain(&f->config, "/etc/t", -EACCES, words), "sudo"));
        assert_null(strstr(secret_explain(&f->config, "/home/pi/t", -EACCES, words), "ProtectHome=")); /* home.conf */
        homes_are_hidden = true;
        assert_non_null(strstr(secret_explain(&f->config, "/home/pi/t", -EACCES, words), "ProtectHome="));
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_non_null(strstr(secret_explain(&f->config, "/home/pi/t", -EACCES, words), "sudo"));
        homes_are_hidden = false;
        assert_non_null(strstr(secret_explain(&f->config, "t", -EACCES, words), "sudo")); /* a login */
        assert_int_equal(unsetenv("INVOCATION_ID"), 0);
}

static void assert_concealed(const Secrets *secrets, const char *said, const char *shown) {
        char *text = strdup(said);

        assert_non_null(text);
        secrets_conceal(secrets, text);
        assert_string_equal(text, shown);
        free(text);
}

/* A remote that repeats a secret, in whatever form, makes nothing public (P10). */
static void test_conceal(void **state) {
        Secrets *secrets = NULL;

        assert_int_equal(secrets_new(&secrets), 0);
        assert_int_equal(secrets_note(secrets, "p@ss w\"rd/1"), 0);
        assert_int_equal(secrets_note(secrets, "ya29.abcdefghijklmnopqrstuvwxyz"), 0);
        assert_int_equal(secrets_note(secrets, NULL), 0);
        assert_int_equal(secrets_note(secrets, ""), 0);

        assert_concealed(secrets, "", "");
        assert_concealed(secrets, "nothing of it", "nothing of it");
        assert_concealed(secrets, "bad p@ss w\"rd/1", "bad [secret]");
        assert_concealed(secrets, "p%40ss%20w%22rd%2f1&p%40ss+w%22rd%2F1.", "[secret]&[secret].");
        assert_concealed(secrets, "{\"p\":\"p@ss w\\\"rd\\/1\"}", "{\"p\":\"[secret]\"}");
        assert_concealed(secrets, "{\"p\":\"p\\u0040ss w\\u0022rd\\u002F1\"}", "{\"p\":\"[secret]\"}");
        assert_concealed(secrets, "Bearer ya29.abcdefghijklmnopqrstuvwxyz, ya29.abcdefghijklmnopqrstuvwxyz",
                "Bearer [secret], [secret]");
        assert_concealed(secrets, "cut: ya29.abcdefghijklmnop", "cut: [secret]");
        assert_concealed(secrets, "cut short: ya29.abcdefghi %", "cut short: ya29.abcdefghi %");
        assert_null(secrets_free(secrets));
        assert_null(secrets_free(NULL));

        secrets_conceal(NULL, NULL);
        assert_int_equal(secrets_note(NULL, "whatever"), 0);
}

/* A character that also begins an escape is repeated as it is, or escaped. */
static void test_conceal_escapes(void **state) {
        Secrets *secrets = NULL;

        assert_int_equal(secrets_new(&secrets), 0);
        assert_int_equal(secrets_note(secrets, "50%off\\\\2026"), 0);
        assert_int_equal(secrets_note(secrets, "\"Q&A\" <it's>"), 0);
        assert_concealed(secrets, "login: 50%off\\\\2026", "login: [secret]");
        assert_concealed(secrets, "?p=50%25off%5C%5C2026&q", "?p=[secret]&q");
        assert_concealed(secrets, "{\"p\":\"50%off\\\\\\\\2026\"}", "{\"p\":\"[secret]\"}");
        assert_concealed(secrets, "<p>&quot;Q&amp;A&quot; &lt;it&#39;s&gt;: &#34;Q&A&#34; <it&#x27;s></p>",
                "<p>[secret]: [secret]</p>");
        assert_concealed(secrets, "{\"p\":\"50\\u0025off\\u005c\\u005c2026\"}", "{\"p\":\"[secret]\"}");
        assert_null(secrets_free(secrets));
}

/* A short password does not blot out half of every sentence. */
static void test_conceal_short(void **state) {
        Secrets *secrets = NULL;

        assert_int_equal(secrets_new(&secrets), 0);
        assert_int_equal(secrets_note(secrets, "a"), 0);
        assert_int_equal(secrets_note(secrets, "home"), 0);
        assert_concealed(secrets, "a user at home, homely: home", "a user at ****, homely: ****");
        assert_concealed(secrets, "\"home\"=home", "\"****\"=****");
        assert_null(secrets_free(secrets));
}

/* A url_file of the home network made "[secret]30/status cannot be reached" of every other device of it. */
static void test_conceal_url(void **state) {
        Secrets *secrets = NULL;

        assert_int_equal(secrets_new(&secrets), 0);
        assert_int_equal(secrets_note(secrets, "http://192.168.1.20:8123/api/webhook/k3yOfThe-house-4711"), 0);
        assert_int_equal(secrets_note(secrets, "https://user:pass-word@192.168.1.21/in"), 0);
        assert_concealed(secrets, "http://192.168.1.30/status cannot be reached",
                "http://192.168.1.30/status cannot be reached");
        assert_concealed(
                secrets, "http://192.168.1.20:8123/api/states refuses", "http://192.168.1.20:8123/api/states refuses");
        assert_concealed(
                secrets, "http://192.168.1.20:8123/api/webhook/k3yOfThe-house-4711 refuses", "[secret] refuses");
        assert_concealed(secrets, "http://192.168.1.20:8123/api/webhook/k3yO, cut", "[secret], cut");
        assert_concealed(secrets, "https://user:pass-wo, cut", "[secret], cut");
        assert_null(secrets_free(secrets));
}

/* A server that names a part of a secret URL alone, or escapes the URL for HTML. */
static void test_conceal_part_of_url(void **state) {
        static char url[] = "https://flows.example/webhook/5f9a2c1e-77aa-4b1c?version=1&sig=hZ8dC3vW5yKqT1nB7";
        const WebPlace at = { .url_file = { url, url } };
        Secrets *secrets = NULL;

        assert_int_equal(secrets_new(&secrets), 0);
        assert_int_equal(web_place_note(&at, secrets), 0);
        assert_concealed(secrets, "webhook \\\"POST 5f9a2c1e-77aa-4b1c\\\" is not registered",
                "webhook \\\"POST [secret]\\\" is not registered");
        assert_concealed(
                secrets, "<p>/webhook/5f9a2c1e-77aa-4b1c?version=1&amp;sig=hZ8dC3vW5yKqT1nB7</p>", "<p>/[secret]</p>");
        assert_null(secrets_free(secrets));
}

/* What is made anew all the time does not grow without end, and does not push out what stays. */
static void test_conceal_passing(void **state) {
        Secrets *secrets = NULL;
        char text[32];

        assert_int_equal(secrets_new(&secrets), 0);
        for (unsigned i = 0; i < 100; i++) {
                (void) snprintf(text, sizeof(text), "kept-%03u-kept", i);
                assert_int_equal(secrets_note(secrets, text), 0);
                assert_int_equal(secrets_note(secrets, text), 0);
        }
        for (unsigned i = 0; i < SECRETS_PASSING_MAX + 1; i++) {
                (void) snprintf(text, sizeof(text), "passing-%03u-passing", i);
                assert_int_equal(secrets_note_passing(secrets, text), 0);
        }
        assert_concealed(secrets, "kept-000-kept kept-099-kept", "[secret] [secret]");
        assert_concealed(secrets, "passing-000-pass", "passing-000-pass");
        assert_concealed(secrets, "passing-001-passing passing-064-passing", "[secret] [secret]");
        assert_null(secrets_free(secrets));
}

/* What was read from a file is in use. */
static void test_read_notes(void **state) {
        Fixture *f = *state;
        Secrets *secrets = NULL;
        char *secret = NULL;

        assert_int_equal(secrets_new(&secrets), 0);
        put(f->credentials, "s", "token-of-the-sensor\n", 20);
        assert_int_equal(read_secret(f, secrets, "s", &secret), 0);
        assert_concealed(secrets, "401 token-of-the-sensor", "401 [secret]");
        assert_null(secret_free(secret));
        assert_null(secrets_free(secrets));
}

/* A token that cannot be in a header is found when it is read, not when it is sent: the file, the place and the remedy,
 * not the token. */
static void test_token(void **state) {
        static const ConfigRow rows[] = { { "token_file", &config_type_token, 0, 1, 100, .doc = "" }, {} };
        static const ConfigSection section = { .rows = rows, .size = sizeof(ConfigSecret) };
        static const struct {
                const char *text, *words;
        } wrong[] = {
                { "\"hunter2\"\n", "secret file t holds a quote (character 1), which is not part of a token" },
                { "hunter'2", "holds a quote (character 7)" },
                { "Bearer hunter2", "begins with \"Bearer \"" },
                { "hunt er2", "holds a space (character 5): leave only the token" },
                { "\xe3\x81\x82\xc2\xa0hunter2", "has a character that is not ASCII (character 1)" },
                { "hunter\xc2\xa0"
                  "2",
                        "has a character that is not ASCII (character 7)" },
        };
        char name[] = "t";
        Fixture *f = *state;
        ConfigProblem inside;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                ConfigSecret secret = { .file = name };
                SecretProblem problem = {};

                put(f->credentials, "t", wrong[i].text, strlen(wrong[i].text));
                assert_int_equal(secret_read_all(&f->config, NULL, &section, &secret, &problem), -EBADMSG);
                assert_null(secret.text);
                assert_non_null(strstr(problem.text, wrong[i].words));
                assert_null(strstr(problem.text, "unter"));
        }
        assert_ptr_equal(config_type_tokens.inside, config_type_token.inside);
        assert_int_equal(config_type_value.inside("hunt\xe2\x80\x99"
                                                  "er2",
                                 &inside),
                -EBADMSG);
        assert_string_equal(inside.text, "has a character that is not ASCII (character 5): copy it again");
        assert_int_equal(config_type_value.inside("Token \"hunter 2\"", &inside), 0);
        for (const char *text = "ory_at_5.x-y~z+/=="; text; text = NULL) {
                ConfigSecret secret = { .file = name };
                SecretProblem problem;

                put(f->credentials, "t", text, strlen(text));
                assert_int_equal(secret_read_all(&f->config, NULL, &section, &secret, &problem), 0);
                assert_string_equal(secret.text, text);
                free(secret.text);
        }
}

static int run_check_files(Config *config, int argc, char **argv) {
        Session session = { .config = config };

        assert_int_equal(check_files(&session), 0);
        return (int) session.failed;
}

/* What would end in 243/CREDENTIALS without a name, and what others may read, is told by its name. */
static void test_audit(void **state) {
        Fixture *f = *state;
        char path[160], *large, name[] = "c.yaml";
        Said said;
        static char outside[] = "key.json";

        f->config.path = name;
        f->config.state_dir = f->root;
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        put(f->config_credentials, "good.token", "x", 1);
        put(f->config_credentials, ".hidden\xc3\xa4", "x", 1);
        put(f->config_credentials, "a blank", "x", 1);
        (void) snprintf(path, sizeof(path), "%s/good.token", f->config_credentials);
        assert_int_equal(chmod(path, 0600), 0);
        (void) snprintf(path, sizeof(path), "%s/a blank", f->config_credentials);
        assert_int_equal(chmod(path, 0600), 0);
        said_run(&f->config, run_check_files, 0, NULL, &said);
        assert_string_equal(said.out, "");

        put(f->config_credentials, "\xe3\x83\x88\xe3\x83\xbc\xe3\x82\xaf\xe3\x83\xb3", "x", 1);
        put(f->config_credentials, "a:b", "x", 1);
        large = calloc(1, 1024 * 1024 + 1);
        put(f->config_credentials, "backup.tar", large, 1024 * 1024 + 1);
        free(large);
        put(f->config_directory, outside, "x", 1);
        (void) snprintf(path, sizeof(path), "%s/%s", f->config_directory, outside);
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(chmod(f->config_directory, 0755), 0);
        f->config.pubsub.credentials_file = outside;
        said_run(&f->config, run_check_files, 0, NULL, &said);
        assert_int_equal(said.code, 4);
        assert_non_null(strstr(
                said.out, "\xe3\x83\x88\xe3\x83\xbc\xe3\x82\xaf\xe3\x83\xb3  systemd does not accept this name"));
        assert_non_null(strstr(said.out, "a:b  systemd does not accept this name"));
        assert_non_null(strstr(said.out, "backup.tar  is larger than 1 MiB"));
        assert_non_null(strstr(said.out, "credentials  its files are larger than 1 MiB together"));
        assert_non_null(strstr(said.out, "key.json  others may read this secret (mode 0644)"));
        assert_null(strstr(said.out, "good.token"));
        assert_null(strstr(said.out, "hidden"));
        assert_null(strstr(said.out, "blank"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_disk_that_does_not_tell, setup, teardown),
                cmocka_unit_test_setup_teardown(test_origin, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_secret_for_a_name, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unsearchable_directory, setup, teardown),
                cmocka_unit_test_setup_teardown(test_content, setup, teardown),
                cmocka_unit_test_setup_teardown(test_size, setup, teardown),
                cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
                cmocka_unit_test_setup_teardown(test_explain, setup, teardown),
                cmocka_unit_test_setup_teardown(test_explain_a_unit_without_credentials, setup, teardown),
                cmocka_unit_test_setup_teardown(test_token, setup, teardown),
                cmocka_unit_test_setup_teardown(test_audit, setup, teardown),
                cmocka_unit_test(test_conceal),
                cmocka_unit_test(test_conceal_escapes),
                cmocka_unit_test(test_conceal_short),
                cmocka_unit_test(test_conceal_url),
                cmocka_unit_test(test_conceal_part_of_url),
                cmocka_unit_test(test_conceal_passing),
                cmocka_unit_test_setup_teardown(test_read_notes, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
