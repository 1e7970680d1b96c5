/* SPDX-License-Identifier: Apache-2.0 */
#include "sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* NULL when OpenSSL has no memory or no SHA-256. */
static const EVP_MD *algorithm(void) {
        static _Atomic(EVP_MD *) fetched;
        EVP_MD *mine, *none = NULL;

        if (fetched)
                return fetched;
        mine = EVP_MD_fetch(NULL, "SHA256", NULL);
        if (!atomic_compare_exchange_strong(&fetched, &none, mine))
                EVP_MD_free(mine); /* another thread was first */
        return fetched;
}

/* SHA256() would look the algorithm up each time, which takes as long as hashing a reading. */
static void make_hash(const void *data, size_t size, unsigned char ret[static SHA256_SIZE]) {
        if (!EVP_Digest(size > 0 ? data : "", size, ret, NULL, algorithm(), NULL))
                abort();
}

char *sha256_hex(const void *data, size_t size, char buffer[static SHA256_HEX_SIZE]) {
        static const char digits[] = "0123456789abcdef";
        unsigned char hash[SHA256_SIZE];

        make_hash(data, size, hash);
        for (size_t i = 0; i < sizeof(hash); i++) {
                buffer[2 * i] = digits[hash[i] >> 4];
                buffer[2 * i + 1] = digits[hash[i] & 15];
        }
        buffer[2 * sizeof(hash)] = '\0';
        return buffer;
}

void sha256_hmac(const char *key, const void *data, size_t size, unsigned char ret[static SHA256_SIZE]) {
        unsigned n = 0;

        if (!HMAC(EVP_sha256(), key, (int) strlen(key), data, size, ret, &n) || n != SHA256_SIZE)
                abort();
}

/* The hashes have the same length, and how far they agree says nothing about the texts. */
bool sha256_equal_texts(const char *a, const char *b) {
        unsigned char hash_a[SHA256_SIZE], hash_b[SHA256_SIZE];

        make_hash(a, strlen(a), hash_a);
        make_hash(b, strlen(b), hash_b);
        return CRYPTO_memcmp(hash_a, hash_b, sizeof(hash_a)) == 0;
}
