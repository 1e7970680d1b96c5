/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The certificate that an address is served with, and its private key: two files, which somebody renews now and then.
 */

#include <stdbool.h>

#include "sha256.h"

typedef struct ListenPem {
        char *certificate_file, *key_file; /* NULL: plain http */
        char *certificate, *key;           /* their content, while it is needed */
        char digest[SHA256_HEX_SIZE];      /* of both contents: tells one pair from the next; "": never read */
} ListenPem;

/* *ret*, which is empty, gets the names. -ENOMEM. */
int listen_pem_name(ListenPem *ret, const char *certificate_file, const char *key_file);
bool listen_pem_is_of(const ListenPem *pem, const char *certificate_file, const char *key_file);
/* Reads both. Errors of open(2) and read(2), -ENOMEM; the digest is as before then. */
int listen_pem_read(ListenPem *pem);
/* Wipes and frees the contents. */
void listen_pem_forget(ListenPem *pem);
/* The names, too. */
void listen_pem_done(ListenPem *pem);
