/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is in PEM files: private keys, which sign, and certificates. Only this module and lib/sha256 use OpenSSL. */

#include "clock.h"
#include "err.h"

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

/* Reads the first certificate of a file: wall times of its begin and its end. -EBADMSG: there is none in it; errors of
 * file_load(); -ENOMEM. */
int pem_certificate_times(const char *file, usec_t *ret_begin, usec_t *ret_end);
