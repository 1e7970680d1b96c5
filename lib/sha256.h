/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SHA-256 (FIPS 180-4) as hex digits, and functions that use it. Only this module and lib/pem use OpenSSL. */

#include <stdbool.h>
#include <stddef.h>

#define SHA256_SIZE 32

#define SHA256_HEX_SIZE 65 /* 64 lower-case digits and the NUL */

/* Writes the hash of *size* bytes and returns *buffer*. Aborts when OpenSSL has no memory or no SHA-256. */
char *sha256_hex(const void *data, size_t size, char buffer[static SHA256_HEX_SIZE]);

/* *ret* gets the HMAC-SHA-256 (RFC 2104) of *size* bytes under *key*, as bytes. Aborts like sha256_hex(). */
void sha256_hmac(const char *key, const void *data, size_t size, unsigned char ret[static SHA256_SIZE]);

/* True when both texts are equal. The time does not depend on where they differ. */
bool sha256_equal_texts(const char *a, const char *b);
