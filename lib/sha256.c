/* SPDX-License-Identifier: Apache-2.0 */
#include "sha256.h"

#include <openssl/sha.h>
#include <stdlib.h>

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
