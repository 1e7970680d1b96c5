/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <errno.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/crypto.h"

/* ---- hashes ---- */

/* FIPS 180-4's own examples. */
static void test_hex(void **state) {
        char hex[SHA256_HEX_SIZE];

        assert_string_equal(
                crypto_sha256_hex("abc", 3, hex), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_string_equal(
                crypto_sha256_hex("", 0, hex), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231, test case 2. */
static void test_hmac(void **state) {
        static const unsigned char expected[SHA256_SIZE] =
                "\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7"
                "\x5a\x00\x3f\x08\x9d\x27\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43";
        unsigned char mac[SHA256_SIZE];

        crypto_hmac_sha256("Jefe", "what do ya want for nothing?", strlen("what do ya want for nothing?"), mac);
        assert_memory_equal(mac, expected, sizeof(mac));
}

static void test_equal_texts(void **state) {
        assert_true(crypto_equal_texts("token", "token"));
        assert_true(crypto_equal_texts("", ""));
        assert_false(crypto_equal_texts("token", "tokem"));
        assert_false(crypto_equal_texts("token", "toke"));
        assert_false(crypto_equal_texts("token", ""));
}

/* ---- keys and certificates ---- */

#define HEADER "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"iss\":\"sensor@example.iam.gserviceaccount.com\",\"iat\":1795501658,\"exp\":1795505258}"

/* A key of the test's own, drawn when it starts: none is in the repository. */
static EVP_PKEY *rsa;

static int setup(void **state) {
        rsa = EVP_RSA_gen(2048);
        return rsa ? 0 : -1;
}

static int teardown(void **state) {
        EVP_PKEY_free(rsa);
        return 0;
}

/* What was written to *bio*, NUL-terminated; frees it. */
static char *bio_text(BIO *bio) {
        char *data, *text;
        long size = BIO_get_mem_data(bio, &data);

        text = strndup(data, (size_t) size);
        assert_non_null(text);
        BIO_free(bio);
        return text;
}

static char *pem_pkcs8(EVP_PKEY *key) {
        BIO *bio = BIO_new(BIO_s_mem());

        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
        return bio_text(bio);
}

static char *pem_traditional(EVP_PKEY *key) {
        BIO *bio = BIO_new(BIO_s_mem());

        assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL), 1);
        return bio_text(bio);
}

static char *pem_encrypted(EVP_PKEY *key) {
        BIO *bio = BIO_new(BIO_s_mem());

        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL), 1);
        return bio_text(bio);
}

static char *pem_public(EVP_PKEY *key) {
        BIO *bio = BIO_new(BIO_s_mem());

        assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
        return bio_text(bio);
}

/* Checks the compact form with the public key alone. */
static void check_signed(const char *compact, const char *header, const char *claims) {
        _cleanup_bytes_ Bytes expected = {};
        const char *dot = strrchr(compact, '.');
        unsigned char signature[512];
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        size_t size;

        assert_int_equal(bytes_append_base64url(&expected, header, strlen(header)), 0);
        assert_int_equal(bytes_append_text(&expected, "."), 0);
        assert_int_equal(bytes_append_base64url(&expected, claims, strlen(claims)), 0);
        assert_non_null(dot);
        assert_int_equal(dot - compact, expected.size);
        assert_memory_equal(compact, expected.data, expected.size);

        assert_null(strpbrk(compact, "+/="));
        assert_int_equal(bytes_decode_base64(dot + 1, strlen(dot + 1), (char *) signature, &size), 0);
        assert_int_equal(size, 256);
        assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, rsa), 1);
        assert_int_equal(
                EVP_DigestVerify(ctx, signature, size, (const unsigned char *) compact, (size_t) (dot - compact)), 1);
        EVP_MD_CTX_free(ctx);
}

static void check_good(const char *pem) {
        _cleanup_(pem_key_freep) PemKey *key = NULL;
        _cleanup_free_ char *compact = NULL, *again = NULL, *empty = NULL;

        assert_int_equal(pem_key_parse(pem, &key), 0);
        assert_int_equal(pem_key_sign(key, HEADER, CLAIMS, &compact), 0);
        check_signed(compact, HEADER, CLAIMS);
        assert_int_equal(pem_key_sign(key, HEADER, CLAIMS, &again), 0);
        assert_string_equal(compact, again); /* RS256 has no randomness */
        assert_int_equal(pem_key_sign(key, "{}", "", &empty), 0);
        check_signed(empty, "{}", "");
}

static void check_bad(const char *pem) {
        PemKey *key = NULL;

        assert_int_equal(pem_key_parse(pem, &key), -EBADMSG);
        assert_null(key);
        assert_int_equal(ERR_peek_error(), 0); /* nothing is left for the next TLS connection to trip over */
}

static void test_pkcs8(void **state) {
        _cleanup_free_ char *pem = pem_pkcs8(rsa);

        assert_non_null(strstr(pem, "BEGIN PRIVATE KEY"));
        check_good(pem);
}

static void test_pkcs1(void **state) {
        _cleanup_free_ char *pem = pem_traditional(rsa);

        assert_non_null(strstr(pem, "BEGIN RSA PRIVATE KEY"));
        check_good(pem);
}

static void test_text_around(void **state) {
        _cleanup_free_ char *pem = pem_pkcs8(rsa);
        _cleanup_bytes_ Bytes text = {};

        assert_int_equal(bytes_append_format(&text, "a comment\n%s\n\nmore", pem), 0);
        check_good(text.data);
}

/* What a copy out of the JSON file without unescaping gives. */
static void test_literal_backslash_n(void **state) {
        _cleanup_free_ char *pem = pem_pkcs8(rsa);
        _cleanup_bytes_ Bytes text = {};

        for (const char *p = pem; *p; p++)
                assert_int_equal(*p == '\n' ? bytes_append_text(&text, "\\n") : bytes_append(&text, p, 1), 0);
        check_bad(text.data);
}

static void test_damaged(void **state) {
        _cleanup_free_ char *pem = pem_pkcs8(rsa);
        char *body = strchr(pem, '\n') + 1;
        size_t length = strlen(pem);
        char c;

        check_bad("");
        check_bad("\n");
        check_bad("not a key");
        check_bad("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n");
        check_bad("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");

        for (size_t cut = 1; cut < length; cut += 97) {
                _cleanup_free_ char *part = strndup(pem, length - 1 - cut);

                check_bad(part);
        }
        c = body[10];
        body[10] = '!';
        check_bad(pem);
        body[10] = c;
        check_good(pem);
}

/* One letter changed makes another number, which does not belong to the others. The versions before them and the spare
 * bits after them are left alone. */
static void test_flipped(void **state) {
        _cleanup_free_ char *pem = pem_pkcs8(rsa);
        size_t first = (size_t) (strchr(pem, '\n') - pem) + 1, end = (size_t) (strstr(pem, "-----END") - pem);

        for (size_t i = first + 61; i < end - 8; i += 251) {
                char c = pem[i];

                if (c == '\n')
                        continue;
                pem[i] = c == 'x' ? 'y' : 'x';
                check_bad(pem);
                pem[i] = c;
        }
        check_good(pem);
}

static void test_wrong_kind(void **state) {
        EVP_PKEY *ec = EVP_EC_gen("P-256"), *small = EVP_RSA_gen(1024), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        _cleanup_free_ char *encrypted = pem_encrypted(rsa), *public = pem_public(rsa), *ec8 = pem_pkcs8(ec),
                            *ec1 = pem_traditional(ec);
        _cleanup_free_ char *short_key = pem_pkcs8(small), *ed8 = pem_pkcs8(ed);

        assert_non_null(strstr(encrypted, "BEGIN ENCRYPTED PRIVATE KEY"));
        check_bad(encrypted);
        check_bad(public);
        check_bad(ec8);
        check_bad(ec1);
        check_bad(ed8);
        check_bad(short_key);
        EVP_PKEY_free(ec);
        EVP_PKEY_free(small);
        EVP_PKEY_free(ed);
}

static void test_nothing_to_free(void **state) {
        assert_null(pem_key_free(NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hex),
                cmocka_unit_test(test_hmac),
                cmocka_unit_test(test_equal_texts),
                cmocka_unit_test(test_pkcs8),
                cmocka_unit_test(test_pkcs1),
                cmocka_unit_test(test_text_around),
                cmocka_unit_test(test_literal_backslash_n),
                cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_flipped),
                cmocka_unit_test(test_wrong_kind),
                cmocka_unit_test(test_nothing_to_free),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
