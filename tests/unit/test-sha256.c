/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/crypto.h"

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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hex),
                cmocka_unit_test(test_hmac),
                cmocka_unit_test(test_equal_texts),
        };

        return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
