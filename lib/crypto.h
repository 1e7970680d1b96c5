/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What OpenSSL does for us, apart from TLS: SHA-256 and what is made of it, private keys, which sign, and certificates.
 * Only this module uses it. */

#include "clock.h"
#include "err.h"

/* ---- hashes ---- */

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE 65 /* 64 lower-case digits and the NUL */

/* Writes the SHA-256 (FIPS 180-4) of *size* bytes as hex digits and returns *buffer*. Aborts when OpenSSL has no memory
 * or no SHA-256. */
char *crypto_sha256_hex(const void *data, size_t size, char buffer[static SHA256_HEX_SIZE]);

/* *ret* gets the HMAC-SHA-256 (RFC 2104) of *size* bytes under *key*, as bytes. Aborts like crypto_sha256_hex(). */
void crypto_hmac_sha256(const char *key, const void *data, size_t size, unsigned char ret[static SHA256_SIZE]);

/* True when both texts are equal. The time does not depend on where they differ. */
bool crypto_equal_texts(const char *a, const char *b);

/* ---- private keys ---- */

typedef struct evp_pkey_st PemKey;

/* Reads an RSA private key from PEM, PKCS#8 (`BEGIN PRIVATE KEY`) or PKCS#1 (`BEGIN RSA PRIVATE KEY`), not encrypted,
 * of 2048 bits or more (RFC 7518 section 3.3). -EBADMSG when it is anything else or damaged (a common cause: literal
 * `\n` from a copy and paste); -ENOMEM. */
int pem_key_parse(const char *pem, PemKey **ret);
PemKey *pem_key_free(PemKey *key);
CLEANUP_DEFINE(PemKey, pem_key_free)

/* JSON Web Signature in compact form (RFC 7515), RS256 only, which Google's token endpoint accepts as an assertion:
 * *ret* gets base64url(header).base64url(claims).base64url(signature), malloc'ed. *header* and *claims* are JSON texts.
 * -ENOMEM. */
int pem_key_sign(PemKey *key, const char *header, const char *claims, char **ret);

/* ---- certificates ---- */

/* Reads the first certificate of a file: wall times of its begin and its end. -EBADMSG: there is none in it; errors of
 * file_load(); -ENOMEM. */
int crypto_certificate_times(const char *file, usec_t *ret_begin, usec_t *ret_end);
