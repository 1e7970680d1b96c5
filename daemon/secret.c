/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

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

int secret_read(const Config *config, const char *name, char **ret) {
        _cleanup_(secret_freep) char *content = NULL;
        _cleanup_free_ char *path = NULL;
        const char *begin;
        size_t size;
        char *text;
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

        *ret = text;
        return 0;
}
