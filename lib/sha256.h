/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SHA-256 (FIPS 180-4) as hex digits. OpenSSL behind this door. */

#include <stddef.h>

#define SHA256_HEX_SIZE 65 /* 64 lower-case digits and the NUL */

/* Writes the hash of *size* bytes. Returns *buffer*. Aborts where OpenSSL has no memory or no SHA-256. */
char *sha256_hex(const void *data, size_t size, char buffer[static SHA256_HEX_SIZE]);
