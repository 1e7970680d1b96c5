/* SPDX-License-Identifier: Apache-2.0 */
#include "sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

char *sha256_hex(const void *data, size_t size, char buffer[static SHA256_HEX_SIZE]) {
        static const char digits[] = "0123456789abcdef";
        unsigned char hash[SHA256_DIGEST_LENGTH];

        if (!SHA256(size > 0 ? data : "", size, hash))
                abort();
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

        if (!SHA256((const unsigned char *) a, strlen(a), hash_a) ||
                !SHA256((const unsigned char *) b, strlen(b), hash_b))
                abort();
        return CRYPTO_memcmp(hash_a, hash_b, sizeof(hash_a)) == 0;
}
