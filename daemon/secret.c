/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "lib/array.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/text.h"

/* with LoadCredential=sensorqd:DIRECTORY, systemd puts this before the name of each file */
#define DIRECTORY_ID "sensorqd_"
#define TOKEN_SIZE_MIN 32    /* OpenWeather's and ntfy's; those of others are longer */
#define SECRETS_BEGINNING 16 /* the first bytes of a longer secret are concealed even without the rest */
#define SECRETS_BLOT "[secret]"
#define SECRETS_BLOT_SHORT "****" /* no longer than the shortest secret */

char *secret_free(char *secret) {
        if (secret)
                explicit_bzero(secret, malloc_usable_size(secret));
        free(secret);
        return NULL;
}

/* ---- where a file is ---- */

/* Returns 0 and *ret_path if the file is there. -ENOENT; if that cannot be found out, -EACCES or an error for which
 * err_passes() is true. */
static int secret_try(const char *directory, const char *prefix, const char *name, char **ret_path) {
        _cleanup_free_ char *path = NULL;

        if (text_format(&path, "%s/%s%s", directory, prefix, name) < 0)
                return -ENOMEM;

        if (faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0) {
                *ret_path = cleanup_steal(path);
                return 0;
        }
        return errno == EACCES || err_passes(-errno) ? -errno : -ENOENT;
}

int secret_find(const Config *config, const char *name, char **ret_path) {
        const char *credentials = getenv("CREDENTIALS_DIRECTORY");
        const bool unit = credentials && credentials[0] != '\0';
        const struct {
                const char *directory, *prefix;
        } places[] = {
                { credentials, "" },           /* a credential that is a file: systemd.exec(5), LoadCredential= */
                { credentials, DIRECTORY_ID }, /* a file of a credential that is a directory */
                { config->directory, "credentials/" },
                { config->directory, "" },
        };
        bool denied = false;

        if (name[0] == '/')
                return secret_try("", "", name + 1, ret_path);
        for (size_t i = unit ? 0 : 2; i < ELEMENTSOF(places); i++) {
                int r = secret_try(places[i].directory, places[i].prefix, name, ret_path);

                if (r == 0 || err_passes(r))
                        return r;
                denied |= r == -EACCES;
        }
        /* The unit's user cannot read CONFIGDIR/credentials, which is intended. A secret that is not among the unit's
         * credentials is missing there. */
        return denied && !unit ? -EACCES : -ENOENT;
}

bool secret_is_handed_over(const Config *config, const char *path) {
        size_t size = strlen(config->directory);

        return strncmp(path, config->directory, size) == 0 &&
               strncmp(path + size, "/credentials/", strlen("/credentials/")) == 0;
}

char *secret_origin(const Config *config, const char *name, const char *path) {
        const char *credentials = getenv("CREDENTIALS_DIRECTORY"), *file = strrchr(path, '/');
        char *origin = NULL;

        if (!credentials || !file || strlen(credentials) != (size_t) (file - path) ||
                strncmp(path, credentials, strlen(credentials)) != 0)
                return strdup(path);
        if (strncmp(file, "/" DIRECTORY_ID, strlen("/" DIRECTORY_ID)) != 0)
                return strdup(name);
        (void) text_format(&origin, "%s/credentials/%s", config->directory, file + strlen("/" DIRECTORY_ID));
        return origin;
}

/* ---- why it cannot be read ---- */

/* The words for each error of a file; other errors get the system's words. */
static const struct {
        int error;
        const char *words;
} explanations[] = {
        { -EACCES, "may not be read by this user: run this as root (sudo), or look at its mode" },
        { -EPERM, "may not be read by this user: run this as root (sudo), or look at its mode" },
        { -EISDIR, "is a directory: name a file" },
        { -ENODATA, "is empty: put the secret into it" },
        { -EFBIG, "is larger than 64 KiB, so it is not a secret" },
        { -EILSEQ, "is UTF-16: save it as UTF-8" },
        { -EBADMSG,
                "holds line breaks or control characters inside, or is not a regular file: put the secret alone into "
                "it" },
};

/* podman sets only NOTIFY_SOCKET, a login only INVOCATION_ID. */
static bool is_unit(void) {
        return getenv("NOTIFY_SOCKET") && getenv("INVOCATION_ID");
}

/* True in a service for which systemd made no directory of credentials, not even an empty one: the unit has no
 * LoadCredential=, or something removed it, like LXC's images in a container. */
static bool is_unit_without_credentials(void) {
        return is_unit() && !getenv("CREDENTIALS_DIRECTORY");
}

/* ProtectHome=yes shuts /home itself, which a system does not; home.conf, a drop-in, opens it again. */
bool secret_home_is_hidden(const char *path) {
        bool is_home = strncmp(path, "/home/", strlen("/home/")) == 0 || strncmp(path, "/root/", strlen("/root/")) == 0;

        return is_home && is_unit() && access("/home", X_OK) < 0 && errno == EACCES;
}

const char *secret_explain(const Config *config, const char *name, int error, char words[static SECRET_WORDS_MAX]) {
        (void) snprintf(words, SECRET_WORDS_MAX, "cannot be read: %s", strerror(-error));
        for (size_t i = 0; i < ELEMENTSOF(explanations); i++)
                if (explanations[i].error == error)
                        (void) snprintf(words, SECRET_WORDS_MAX, "%s", explanations[i].words);
        if (error == -EACCES && name[0] != '/' && is_unit_without_credentials())
                (void) snprintf(words, SECRET_WORDS_MAX,
                        "was not handed over: the unit has no LoadCredential=, or a drop-in empties it (LXC "
                        "containers have one): see `systemctl cat`, and OPERATIONS.md for what helps");
        else if (error == -EACCES && secret_home_is_hidden(name))
                (void) snprintf(words, SECRET_WORDS_MAX,
                        "may not be read by the service, from which ProtectHome= of its unit hides home directories, "
                        "whatever the file's mode is: put it into %.160s/credentials, and name it without a path",
                        config ? config->directory : "/etc/sensorqd");
        else if (error == -ENOENT && (name[0] == '/' || !config))
                (void) snprintf(words, SECRET_WORDS_MAX, "does not exist");
        else if (error == -ENOENT && getenv("CREDENTIALS_DIRECTORY"))
                (void) snprintf(words, SECRET_WORDS_MAX,
                        "is neither among the unit's credentials nor in %.160s/credentials: put it there, and restart "
                        "the service",
                        config->directory);
        else if (error == -ENOENT) /* a verb, or no systemd */
                (void) snprintf(words, SECRET_WORDS_MAX,
                        "is neither in %.160s/credentials nor handed to this program. Put it there, and restart the "
                        "service. If a drop-in hands it to the unit, verbs do not see it: OPERATIONS.md (First start) "
                        "helps",
                        config->directory);
        return words;
}

/* ---- what is in it ---- */

int secret_read_file(const char *path, char **ret, size_t *ret_size) {
        _cleanup_(bytes_wipe) Bytes text = {};
        size_t mark;
        int r;

        r = file_load(path, SECRET_SIZE_MAX + 1, &text); /* one byte more shows that it is too large */
        if (r < 0)
                return r == -EINVAL ? -EBADMSG : r;
        if (text.size > SECRET_SIZE_MAX)
                return -EFBIG;
        if (text_is_utf16(text.data, text.size))
                return -EILSEQ;

        mark = text_mark(text.data, text.size);
        *ret_size = text.size - mark;
        memmove(text.data, text.data + mark, *ret_size + 1);
        *ret = bytes_steal(&text).data;
        return 0;
}

/* Returns the length in bytes of a blank at the end of a text; 0: there is none. Such blanks are often pasted with a
 * secret. */
static size_t secret_blank_at_end(const char *text, size_t size) {
        static const char *const blanks[] = { " ", "\t", "\n", "\r", "\xc2\xa0" /* U+00A0 */,
                "\xe3\x80\x80" /* U+3000 */, "\xe2\x80\x8b" /* U+200B */ };

        for (size_t i = 0; i < ELEMENTSOF(blanks); i++) {
                size_t n = strlen(blanks[i]);

                if (size >= n && memcmp(text + size - n, blanks[i], n) == 0)
                        return n;
        }
        return 0;
}

int secret_text(const char *content, size_t size, char **ret) {
        size_t blank;
        char *text;

        while ((blank = secret_blank_at_end(content, size)) > 0)
                size -= blank;
        if (size == 0)
                return -ENODATA;
        if (text_has_controls(content, size))
                return -EBADMSG;
        text = strndup(content, size);
        if (!text)
                return -ENOMEM;

        *ret = text;
        return 0;
}

static int secret_read(const Config *config, Secrets *secrets, const char *name, char **ret) {
        _cleanup_(secret_freep) char *content = NULL, *text = NULL;
        _cleanup_free_ char *path = NULL;
        size_t size;
        int r;

        r = secret_find(config, name, &path);
        if (r < 0)
                return r;
        r = secret_read_file(path, &content, &size);
        if (r < 0)
                return r;

        r = secret_text(content, size, &text);
        if (r < 0)
                return r;
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

/* A secret that was written in place of the name of its file is not repeated: a long name with a digit may be one, also
 * with slashes, as base64 has them, but for a whole path. */
static const char *name_shown(const char *name) {
        bool doubtful = strlen(name) >= TOKEN_SIZE_MIN && name[0] != '/' && strpbrk(name, "0123456789");

        return doubtful ? "(not named here: if it is the secret itself, write that into a file, and name the file)"
                        : name;
}

static int read_one(void *userdata, const ConfigRow *row, const char *file, ConfigSecret *secret) {
        const ReadAll *all = userdata;
        _cleanup_free_ char *path = NULL, *origin = NULL;
        char words[SECRET_WORDS_MAX];
        ConfigProblem inside;
        int r;

        if (!secret || secret->text)
                return 0;
        r = secret_read(all->config, all->secrets, file, &secret->text);
        if (r < 0)
                (void) secret_explain(all->config, file, r, words);
        else if (row->type->inside && row->type->inside(secret->text, &inside) < 0) {
                secret->text = secret_free(secret->text);
                (void) snprintf(words, sizeof(words), "%s", inside.text);
                r = -EBADMSG;
        }
        if (r < 0 && secret_find(all->config, file, &path) == 0)
                origin = secret_origin(all->config, file, path);
        if (r < 0)
                (void) snprintf(all->problem->text, sizeof(all->problem->text), "secret file %.200s %s",
                        origin ?: name_shown(file), words);
        return r;
}

int secret_read_all(
        const Config *config, Secrets *secrets, const ConfigSection *section, void *keys, SecretProblem *ret_problem) {
        ReadAll all = { config, secrets, ret_problem };

        return config_table_each_file(section, keys, read_one, &all);
}

/* ---- all secrets in use ---- */

struct Secrets {
        char **items; /* the first SECRETS_PASSING_MAX are a ring, NULL: unused; after them the secrets that are kept */
        size_t n, allocated;
        size_t next; /* next index of the ring */
};

int secrets_new(Secrets **ret) {
        _cleanup_(secrets_freep) Secrets *secrets = calloc(1, sizeof(Secrets));
        int r;

        if (!secrets)
                return -ENOMEM;
        r = array_reserve(&secrets->items, &secrets->allocated, SECRETS_PASSING_MAX, sizeof(char *));
        if (r < 0)
                return r;
        while (secrets->n < SECRETS_PASSING_MAX)
                secrets->items[secrets->n++] = NULL;
        *ret = cleanup_steal(secrets);
        return 0;
}

Secrets *secrets_free(Secrets *secrets) {
        if (!secrets)
                return NULL;
        for (size_t i = 0; i < secrets->n; i++)
                secret_free(secrets->items[i]);
        free(secrets->items);
        free(secrets);
        return NULL;
}

/* True if there is nothing to note: *secrets* is NULL, there is no secret, or it is known. */
static bool secrets_know(const Secrets *secrets, const char *secret) {
        if (!secrets || !secret || strlen(secret) < SECRETS_MIN)
                return true;
        for (size_t i = 0; i < secrets->n; i++)
                if (secrets->items[i] && strcmp(secrets->items[i], secret) == 0)
                        return true;
        return false;
}

int secrets_note(Secrets *secrets, const char *secret) {
        char *copy;
        int r;

        if (secrets_know(secrets, secret))
                return 0;
        r = array_reserve(&secrets->items, &secrets->allocated, secrets->n + 1, sizeof(char *));
        if (r < 0)
                return r;
        copy = strdup(secret);
        if (!copy)
                return -ENOMEM;

        secrets->items[secrets->n++] = copy;
        return 0;
}

int secrets_note_passing(Secrets *secrets, const char *secret) {
        char *copy;

        if (secrets_know(secrets, secret))
                return 0;
        copy = strdup(secret);
        if (!copy)
                return -ENOMEM;

        secret_free(secrets->items[secrets->next]);
        secrets->items[secrets->next] = copy;
        secrets->next = (secrets->next + 1) % SECRETS_PASSING_MAX;
        return 0;
}

/* Returns the length of the HTML entity at *text* if it stands for the character *c*; else 0. */
static size_t entity_match(const char *text, char c) {
        static const struct {
                const char *name;
                char c;
        } entities[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&#34;", '"' },
                { "&#39;", '\'' }, { "&#039;", '\'' }, { "&#x27;", '\'' }, { "&apos;", '\'' } };

        for (size_t i = 0; text[0] == '&' && i < ELEMENTSOF(entities); i++)
                if (entities[i].c == c && strncasecmp(text, entities[i].name, strlen(entities[i].name)) == 0)
                        return strlen(entities[i].name);
        return 0;
}

/* Returns how many bytes of *text* stand for the character *c*; 0: they stand for another one. *escape*: this character
 * does not stand for itself; 0: each one does. */
static size_t letter_match(const char *text, char c, char escape) {
        if (text[0] == c && c != escape)
                return 1;
        if (text[0] == '+' && c == ' ')
                return 1;
        if (strncmp(text, "\\u00", 4) == 0 && bytes_hex_digit(text[4]) >= 0 && bytes_hex_digit(text[5]) >= 0 &&
                (char) (bytes_hex_digit(text[4]) << 4 | bytes_hex_digit(text[5])) == c)
                return 6;
        if (text[0] == '\\' && text[1] == c)
                return 2;
        if (text[0] == '%' && bytes_hex_digit(text[1]) >= 0 && bytes_hex_digit(text[2]) >= 0 &&
                (char) (bytes_hex_digit(text[1]) << 4 | bytes_hex_digit(text[2])) == c)
                return 3;
        return entity_match(text, c);
}

/* Returns how many bytes at the beginning of *secret* are no secret: in a URL (url_file) the scheme and the host, which
 * other URLs of the house may begin with, too. */
static size_t secret_public(const char *secret) {
        const char *host = strstr(secret, "://"), *end = host ? strpbrk(host + strlen("://"), "/?#") : NULL;

        return end && !memchr(host, '@', (size_t) (end - host)) ? (size_t) (end - secret) : 0;
}

static bool is_word(char c) {
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Returns how many bytes at *place* in *text* are *secret*, or the beginning of a long one; 0: none. */
static size_t secret_match(const char *text, const char *place, const char *secret, char escape) {
        size_t used = 0, letters = 0, n;

        while (secret[letters] != '\0' && (n = letter_match(place + used, secret[letters], escape)) > 0) {
                used += n;
                letters++;
        }
        if (secret[letters] != '\0')
                return letters >= secret_public(secret) + SECRETS_BEGINNING ? used : 0;
        if (letters < SECRETS_SHORT_MAX && (is_word(place[used]) || (place > text && is_word(place[-1]))))
                return 0;
        return used;
}

static size_t secrets_match(const Secrets *secrets, const char *text, const char *place) {
        static const char escapes[] = { '\0', '%', '\\', '&' };
        size_t longest = 0;

        for (size_t i = 0; i < secrets->n; i++) {
                const char *secret = secrets->items[i];
                size_t used;

                if (!secret || (*place != *secret && !strchr("+\\%&", *place)))
                        continue; /* fast for the usual case */
                for (size_t k = 0; k < sizeof(escapes); k++) {
                        used = secret_match(text, place, secret, escapes[k]);
                        longest = used > longest ? used : longest;
                }
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
