/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "config-table.h"
#include "lib/array.h"
#include "lib/bytes.h"
#include "lib/err.h"
#include "lib/file.h"
#include "secret.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* some editors begin a text file with it */

char *secret_free(char *secret) {
        if (secret)
                explicit_bzero(secret, malloc_usable_size(secret));
        free(secret);
        return NULL;
}

/* 0: there, *ret_path filled in. -ENOENT, -EACCES (cannot be told), -ENOMEM. */
static int secret_try(const char *directory, const char *prefix, const char *name, char **ret_path) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s%s", directory, prefix, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }

        if (faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0) {
                *ret_path = cleanup_steal(path);
                return 0;
        }
        return errno == EACCES ? -EACCES : -ENOENT;
}

/* An id credential is CREDENTIALS/NAME, a file of a directory credential CREDENTIALS/ID_NAME: systemd.exec(5),
 * LoadCredential=. */
static int secret_find_credential(const char *credentials, const char *name, char **ret_path) {
        int r;

        r = secret_try(credentials, "", name, ret_path);
        if (r == 0 || r == -ENOMEM)
                return r;

        return secret_try(credentials, "sensorqd_", name, ret_path);
}

static int secret_find_beside(const Config *config, const char *name, char **ret_path) {
        int first, second;

        first = secret_try(config->directory, "credentials/", name, ret_path);
        if (first == 0 || first == -ENOMEM)
                return first;

        second = secret_try(config->directory, "", name, ret_path);
        return second == -ENOENT ? first : second;
}

int secret_find(const Config *config, const char *name, char **ret_path) {
        const char *credentials = getenv("CREDENTIALS_DIRECTORY");
        bool unit = credentials && credentials[0] != '\0';
        int r;

        if (name[0] == '/')
                return secret_try("", "", name + 1, ret_path);

        if (unit) {
                r = secret_find_credential(credentials, name, ret_path);
                if (r == 0 || r == -ENOMEM)
                        return r;
        }

        r = secret_find_beside(config, name, ret_path);
        /* The unit's user is not meant to look into CONFIGDIR/credentials: what is not among its credentials was not
         * put there. */
        return unit && r == -EACCES ? -ENOENT : r;
}

const char *secret_explain(const Config *config, const char *name, int error, char words[static SECRET_WORDS_MAX]) {
        if (error == -ENOENT && name[0] == '/')
                (void) snprintf(words, SECRET_WORDS_MAX, "does not exist");
        else if (error == -ENOENT)
                (void) snprintf(words, SECRET_WORDS_MAX,
                        "is neither among the unit's credentials nor in %.160s/credentials: put it there, and restart "
                        "the service",
                        config->directory);
        else if (error == -EACCES || error == -EPERM)
                (void) snprintf(words, SECRET_WORDS_MAX,
                        "may not be read by this user: run this as root (sudo), or look at its mode");
        else if (error == -EBADMSG)
                (void) snprintf(words, SECRET_WORDS_MAX,
                        "is empty, too large, or holds line breaks or control characters inside: put the secret alone "
                        "into it");
        else
                (void) snprintf(words, SECRET_WORDS_MAX, "cannot be read: %s", strerror(-error));
        return words;
}

int secret_read_file(const char *path, char **ret, size_t *ret_size) {
        _cleanup_(secret_freep) char *buffer = NULL;
        _cleanup_close_ int fd = -1;
        size_t size;
        int r;

        r = file_open(path, &fd);
        if (r < 0)
                return r == -EINVAL ? -EBADMSG : r;

        buffer = malloc(SECRET_SIZE_MAX + 2); /* at once: a buffer that grows leaves copies behind */
        if (!buffer)
                return -ENOMEM;

        r = file_read(fd, buffer, SECRET_SIZE_MAX + 1, &size); /* one more byte tells a file that is too large */
        if (r < 0)
                return r;
        if (size > SECRET_SIZE_MAX)
                return -EBADMSG;

        buffer[size] = '\0';
        *ret = cleanup_steal(buffer);
        *ret_size = size;
        return 0;
}

static bool secret_is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool secret_is_line(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if ((unsigned char) text[i] < ' ' || text[i] == 0x7f)
                        return false;

        return size > 0;
}

int secret_read(const Config *config, Secrets *secrets, const char *name, char **ret) {
        _cleanup_(secret_freep) char *content = NULL, *text = NULL;
        _cleanup_free_ char *path = NULL;
        const char *begin;
        size_t size;
        int r;

        r = secret_find(config, name, &path);
        if (r < 0)
                return r;
        r = secret_read_file(path, &content, &size);
        if (r < 0)
                return r;

        begin = content;
        if (size >= strlen(BYTE_ORDER_MARK) && memcmp(begin, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) {
                begin += strlen(BYTE_ORDER_MARK);
                size -= strlen(BYTE_ORDER_MARK);
        }
        while (size > 0 && secret_is_blank(begin[size - 1]))
                size--;
        if (!secret_is_line(begin, size))
                return -EBADMSG;

        text = strndup(begin, size);
        if (!text)
                return -ENOMEM;
        r = secrets_note(secrets, text);
        if (r < 0)
                return r;

        *ret = cleanup_steal(text);
        return 0;
}

typedef struct ReadAll {
        const Config *config;
        Secrets *secrets;
        SecretProblem *problem;
} ReadAll;

static int read_one(void *userdata, const ConfigRow *row, ConfigSecret *secret) {
        const ReadAll *all = userdata;
        char words[SECRET_WORDS_MAX];
        int r;

        if (secret->text)
                return 0;
        r = secret_read(all->config, all->secrets, secret->file, &secret->text);
        if (r < 0)
                (void) snprintf(all->problem->text, sizeof(all->problem->text), "secret file %.200s %s", secret->file,
                        secret_explain(all->config, secret->file, r, words));
        return r;
}

int secret_read_all(
        const Config *config, Secrets *secrets, const ConfigSection *section, void *keys, SecretProblem *ret_problem) {
        ReadAll all = { config, secrets, ret_problem };

        return config_table_each_secret(section, keys, read_one, &all);
}

/* ---- what is in use ---- */

#define SECRETS_BEGINNING 16 /* this much of a longer secret is concealed without the rest */
#define SECRETS_BLOT "[secret]"
#define SECRETS_BLOT_SHORT "****" /* no longer than the shortest secret */

struct Secrets {
        char **kept;
        size_t n_kept, allocated;
        char *passing[SECRETS_PASSING_MAX]; /* a ring */
        size_t next;
};

int secrets_new(Secrets **ret) {
        Secrets *secrets = calloc(1, sizeof(Secrets));

        if (!secrets)
                return -ENOMEM;
        *ret = secrets;
        return 0;
}

Secrets *secrets_free(Secrets *secrets) {
        if (!secrets)
                return NULL;
        for (size_t i = 0; i < SECRETS_PASSING_MAX; i++)
                secret_free(secrets->passing[i]);
        for (size_t i = 0; i < secrets->n_kept; i++)
                secret_free(secrets->kept[i]);
        free(secrets->kept);
        free(secrets);
        return NULL;
}

/* The secret at *index* of all, or NULL past the end. */
static const char *secrets_at(const Secrets *secrets, size_t index) {
        if (index < secrets->n_kept)
                return secrets->kept[index];
        index -= secrets->n_kept;
        return index < SECRETS_PASSING_MAX ? secrets->passing[index] : NULL;
}

/* Whether there is nothing to note: no object, no secret, or one that is known. */
static bool secrets_know(const Secrets *secrets, const char *secret) {
        const char *known;

        if (!secrets || !secret || strlen(secret) < SECRETS_MIN)
                return true;
        for (size_t i = 0; (known = secrets_at(secrets, i)); i++)
                if (strcmp(known, secret) == 0)
                        return true;
        return false;
}

int secrets_note(Secrets *secrets, const char *secret) {
        char *copy;
        int r;

        if (secrets_know(secrets, secret))
                return 0;
        r = array_reserve(&secrets->kept, &secrets->allocated, secrets->n_kept + 1, sizeof(char *));
        if (r < 0)
                return r;
        copy = strdup(secret);
        if (!copy)
                return -ENOMEM;

        secrets->kept[secrets->n_kept++] = copy;
        return 0;
}

int secrets_note_passing(Secrets *secrets, const char *secret) {
        char *copy;

        if (secrets_know(secrets, secret))
                return 0;
        copy = strdup(secret);
        if (!copy)
                return -ENOMEM;

        secret_free(secrets->passing[secrets->next]);
        secrets->passing[secrets->next] = copy;
        secrets->next = (secrets->next + 1) % SECRETS_PASSING_MAX;
        return 0;
}

int secrets_note_login(Secrets *secrets, const char *user, const char *password) {
        _cleanup_(secret_freep) char *login = NULL;
        Bytes encoded = {};
        int r;

        r = secrets_note(secrets, password);
        if (r < 0 || !secrets || !password)
                return r;
        if (asprintf(&login, "%s:%s", user, password) < 0) {
                login = NULL;
                return -ENOMEM;
        }
        r = bytes_append_base64(&encoded, login, strlen(login));
        if (r >= 0)
                r = secrets_note(secrets, encoded.data);
        if (encoded.data)
                explicit_bzero(encoded.data, encoded.size);
        bytes_done(&encoded);
        return r;
}

static int hex_digit(char c) {
        return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* How many bytes of *text* stand for the character *c*; 0: they stand for another. */
static size_t letter_match(const char *text, char c) {
        if (text[0] == c)
                return 1;
        if (text[0] == '+' && c == ' ')
                return 1;
        if (text[0] == '\\' && text[1] == c)
                return 2;
        if (text[0] == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0 &&
                (char) (hex_digit(text[1]) << 4 | hex_digit(text[2])) == c)
                return 3;
        return 0;
}

static bool is_word(char c) {
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* How many bytes at *place* of *text* are *secret*, or the beginning of a long one; 0: none. */
static size_t secret_match(const char *text, const char *place, const char *secret) {
        size_t used = 0, letters = 0, n;

        while (secret[letters] != '\0' && (n = letter_match(place + used, secret[letters])) > 0) {
                used += n;
                letters++;
        }
        if (secret[letters] != '\0')
                return letters >= SECRETS_BEGINNING ? used : 0;
        if (letters < SECRETS_SHORT_MAX && (is_word(place[used]) || (place > text && is_word(place[-1]))))
                return 0;
        return used;
}

static size_t secrets_match(const Secrets *secrets, const char *text, const char *place) {
        const char *secret;
        size_t longest = 0;

        for (size_t i = 0; (secret = secrets_at(secrets, i)); i++) {
                size_t used = secret_match(text, place, secret);

                longest = used > longest ? used : longest;
        }
        return longest;
}

void secrets_conceal(const Secrets *secrets, char *text) {
        char *place = text;

        while (secrets && *place != '\0') {
                size_t used = secrets_match(secrets, text, place);
                const char *blot = used < strlen(SECRETS_BLOT) ? SECRETS_BLOT_SHORT : SECRETS_BLOT;

                if (used == 0) {
                        place++;
                        continue;
                }
                memmove(place + strlen(blot), place + used, strlen(place + used) + 1);
                place = mempcpy(place, blot, strlen(blot));
        }
}
