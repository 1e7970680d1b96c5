/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <time.h>

#include "bytes.h"
#include "file.h"

#define KEY_BITS_MIN 2048 /* RFC 7518 section 3.3 */
#define FILE_MAX (64 * 1024)

CLEANUP_DEFINE(BIO, BIO_free)
CLEANUP_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free)
CLEANUP_DEFINE(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
CLEANUP_DEFINE(X509, X509_free)

/* ---- hashes ---- */

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

char *crypto_sha256_hex(const void *data, size_t size, char buffer[static SHA256_HEX_SIZE]) {
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

void crypto_hmac_sha256(const char *key, const void *data, size_t size, unsigned char ret[static SHA256_SIZE]) {
        unsigned n = 0;

        if (!HMAC(EVP_sha256(), key, (int) strlen(key), data, size, ret, &n) || n != SHA256_SIZE)
                abort();
}

/* The hashes have the same length, and how far they agree says nothing about the texts. */
bool crypto_equal_texts(const char *a, const char *b) {
        unsigned char hash_a[SHA256_SIZE], hash_b[SHA256_SIZE];

        make_hash(a, strlen(a), hash_a);
        make_hash(b, strlen(b), hash_b);
        return CRYPTO_memcmp(hash_a, hash_b, sizeof(hash_a)) == 0;
}

/* ---- private keys ---- */

/* Without a callback OpenSSL asks for the password of an encrypted key on the terminal. */
static int no_password(char *buffer, int size, int writing, void *userdata) {
        return -1;
}

/* Checks that the key's numbers belong together: reading alone accepts a damaged key as long as its form is right.
 * Takes about 10 ms. */
static int key_check(PemKey *key) {
        _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

        if (!ctx)
                return -ENOMEM;
        return EVP_PKEY_check(ctx) == 1 ? 0 : -EBADMSG;
}

static int key_read(const char *pem, PemKey **ret) {
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(pem, -1);

        if (!bio)
                return -ENOMEM;
        *ret = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
        if (!*ret || !EVP_PKEY_is_a(*ret, "RSA") || EVP_PKEY_get_bits(*ret) < KEY_BITS_MIN)
                return -EBADMSG;
        return key_check(*ret);
}

int pem_key_parse(const char *pem, PemKey **ret) {
        _cleanup_(pem_key_freep) PemKey *key = NULL;
        int r;

        /* OpenSSL would report an error that is left from a bad key as an error of the next TLS connection of this
         * thread. */
        (void) ERR_set_mark();
        r = key_read(pem, &key);
        (void) ERR_pop_to_mark();
        if (r < 0)
                return r;

        *ret = cleanup_steal(key);
        return 0;
}

PemKey *pem_key_free(PemKey *key) {
        EVP_PKEY_free(key);
        return NULL;
}

/* Appends `.` and the signature of all bytes in *b*. The key was checked before, so only memory can fail. */
static int append_signature(PemKey *key, Bytes *b) {
        _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        _cleanup_free_ unsigned char *signature = NULL;
        size_t size = (size_t) EVP_PKEY_get_size(key);

        signature = malloc(size);
        if (!ctx || !signature || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
                EVP_DigestSign(ctx, signature, &size, (const unsigned char *) b->data, b->size) != 1)
                return -ENOMEM;

        bytes_append_text(b, ".");
        return bytes_append_base64url(b, signature, size);
}

int pem_key_sign(PemKey *key, const char *header, const char *claims, char **ret) {
        _cleanup_bytes_ Bytes b = {};
        int r;

        bytes_append_base64url(&b, header, strlen(header));
        bytes_append_text(&b, ".");
        r = bytes_append_base64url(&b, claims, strlen(claims));
        if (r < 0)
                return r;

        (void) ERR_set_mark();
        r = append_signature(key, &b);
        (void) ERR_pop_to_mark();
        if (r < 0)
                return r;

        *ret = bytes_steal(&b).data;
        return 0;
}

/* ---- certificates ---- */

/* 0 of a time before 1970, which no certificate has in earnest. */
static bool time_of(const ASN1_TIME *time, usec_t *ret) {
        struct tm tm;
        time_t seconds;

        if (ASN1_TIME_to_tm(time, &tm) != 1)
                return false;
        seconds = timegm(&tm);
        *ret = seconds > 0 ? (usec_t) seconds * USEC_PER_SEC : 0;
        return true;
}

static int certificate_read(Slice pem, usec_t *ret_begin, usec_t *ret_end) {
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(pem.data, (int) pem.size);
        _cleanup_(X509_freep) X509 *certificate = NULL;
        usec_t begin, end;

        if (!bio)
                return -ENOMEM;
        certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL);
        if (!certificate || !time_of(X509_get0_notBefore(certificate), &begin) ||
                !time_of(X509_get0_notAfter(certificate), &end))
                return -EBADMSG;
        *ret_begin = begin;
        *ret_end = end;
        return 0;
}

int crypto_certificate_times(const char *file, usec_t *ret_begin, usec_t *ret_end) {
        _cleanup_bytes_ Bytes text = {};
        int r;

        r = file_load(file, FILE_MAX, &text);
        if (r < 0)
                return r;
        (void) ERR_set_mark();
        r = certificate_read(bytes_slice(&text), ret_begin, ret_end);
        (void) ERR_pop_to_mark();
        return r;
}
