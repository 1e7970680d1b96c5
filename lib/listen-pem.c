/* SPDX-License-Identifier: Apache-2.0 */
#include "listen-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "err.h"
#include "file.h"
#include "text.h"

#define PEM_MAX (64 * 1024)

int listen_pem_name(ListenPem *ret, const char *certificate_file, const char *key_file) {
        if (!certificate_file)
                return 0;
        ret->certificate_file = strdup(certificate_file);
        ret->key_file = strdup(key_file);
        return ret->certificate_file && ret->key_file ? 0 : -ENOMEM;
}

bool listen_pem_is_of(const ListenPem *pem, const char *certificate_file, const char *key_file) {
        return text_equal(pem->certificate_file, certificate_file) && text_equal(pem->key_file, key_file);
}

static int pem_load(const char *path, char *text) {
        _cleanup_(bytes_wipe) Bytes content = {};
        int r;

        r = file_load(path, PEM_MAX - 1, &content);
        if (r == 0)
                memcpy(text, content.data, content.size); /* PEM_MAX zeros were allocated, so a NUL follows */
        return r == -EACCES ? -ENOKEY : r;                /* bind(2) says -EACCES of a port */
}

int listen_pem_read(ListenPem *pem) {
        int r;

        if (!pem->certificate_file)
                return 0;
        pem->certificate = calloc(2, PEM_MAX); /* one block for both: the key follows the certificate */
        if (!pem->certificate)
                return -ENOMEM;
        pem->key = pem->certificate + PEM_MAX;
        r = pem_load(pem->certificate_file, pem->certificate);
        if (r == 0)
                r = pem_load(pem->key_file, pem->key);
        if (r < 0) {
                listen_pem_forget(pem);
                return r;
        }
        (void) crypto_sha256_hex(pem->certificate, (size_t) 2 * PEM_MAX, pem->digest);
        (void) crypto_certificate_times(pem->certificate_file, &pem->begin, &pem->end);
        return 0;
}

void listen_pem_forget(ListenPem *pem) {
        if (pem->key)
                explicit_bzero(pem->key, PEM_MAX);
        free(pem->certificate);
        pem->certificate = pem->key = NULL;
}

void listen_pem_done(ListenPem *pem) {
        listen_pem_forget(pem);
        free(pem->certificate_file);
        free(pem->key_file);
        *pem = (ListenPem){};
}
