/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON Web Signature in compact form (RFC 7515), RS256 only: the form that Google's token endpoint accepts as an
 * assertion. Only this module and lib/sha256 use OpenSSL. */

#include "cleanup.h"

typedef struct evp_pkey_st JwsKey;

/* Reads an RSA private key from PEM, PKCS#8 (`BEGIN PRIVATE KEY`) or PKCS#1 (`BEGIN RSA PRIVATE KEY`), not encrypted,
 * of 2048 bits or more (RFC 7518 section 3.3). -EBADMSG when it is anything else or damaged (a common cause: literal
 * `\n` from a copy and paste); -ENOMEM.
 */
int jws_key_parse(const char *pem, JwsKey **ret);
JwsKey *jws_key_free(JwsKey *key);
CLEANUP_DEFINE(JwsKey, jws_key_free)

/* *ret* gets base64url(header).base64url(claims).base64url(signature), malloc'ed. *header* and *claims* are JSON texts.
 * -ENOMEM. */
int jws_sign(JwsKey *key, const char *header, const char *claims, char **ret);
