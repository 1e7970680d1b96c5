/* SPDX-License-Identifier: Apache-2.0 */
#include "secrets.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/bytes.h"

#define SECRETS_BEGINNING 16 /* the first bytes of a longer secret are concealed even without the rest */
#define SECRETS_BLOT "[secret]"
#define SECRETS_BLOT_SHORT "****" /* no longer than the shortest secret */

struct Secrets {
        char **items; /* the first SECRETS_PASSING_MAX are a ring, NULL: unused; after them the secrets that are kept */
        size_t n, allocated;
        size_t next; /* next index of the ring */
};

char *secret_free(char *secret) {
        if (secret)
                explicit_bzero(secret, malloc_usable_size(secret));
        free(secret);
        return NULL;
}

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

/* Returns how many bytes of *text* stand for the character *c*; 0: they stand for another one. */
static size_t letter_match(const char *text, char c) {
        if (text[0] == c)
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
        return 0;
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
static size_t secret_match(const char *text, const char *place, const char *secret) {
        size_t used = 0, letters = 0, n;

        while (secret[letters] != '\0' && (n = letter_match(place + used, secret[letters])) > 0) {
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
        size_t longest = 0;

        for (size_t i = 0; i < secrets->n; i++) {
                const char *secret = secrets->items[i];
                size_t used;

                if (!secret || (*place != *secret && !strchr("+\\%", *place)))
                        continue; /* fast for the usual case */
                used = secret_match(text, place, secret);
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
