/* SPDX-License-Identifier: Apache-2.0 */
/* Who may see the page, and how guessing is slowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "page-answer.h"

#define NOW (1000 * USEC_PER_SEC)
#define RIGHT "Basic eDpzZWNyZXQ=" /* x:secret */
#define WRONG "Basic eDpzZWNyZWY=" /* x:secref */

static int try(PageLogin *login, const char *authorization, const char *peer, usec_t now) {
        unsigned wait = 0;
        int r = page_login_check(login, "secret", &(PageLoginTry){ authorization, peer, now }, &wait);

        assert_int_equal(wait > 0, r == PAGE_LOGIN_WAIT);
        return r;
}

static void test_headers(void **state) {
        static const char *const wrong[] = { WRONG, "Basic", "Basic ", "Basic !!!!", "Basic c2VjcmV0",
                "Basic eDo=", "Bearer secret", "", "Basic eDpzZWNyZXQAYQ==" /* a NUL behind the password */,
                "Basic eDpzZWNyZXRh" };

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                PageLogin login = {};

                assert_int_equal(try(&login, wrong[i], "10.0.0.1", NOW), PAGE_LOGIN_WRONG);
                assert_int_equal(try(&login, NULL, "10.0.0.1", NOW), PAGE_LOGIN_NONE);
                assert_int_equal(try(&login, RIGHT, "10.0.0.1", NOW), PAGE_LOGIN_OK);
                assert_int_equal(try(&login, "basic eDpzZWNyZXQ=", "10.0.0.1", NOW), PAGE_LOGIN_OK);
                assert_int_equal(try(&login, "Basic OnNlY3JldA==", "10.0.0.1", NOW), PAGE_LOGIN_OK); /* no user */
        }
}

static void test_long_header(void **state) {
        char header[5000];
        PageLogin login = {};

        memset(header, 'A', sizeof(header));
        memcpy(header, "Basic ", 6);
        header[sizeof(header) - 1] = '\0';
        assert_int_equal(try(&login, header, "::1", NOW), PAGE_LOGIN_WRONG);
}

/* The right password is not looked at either: who guesses learns nothing meanwhile. */
static void test_guessing_is_slowed(void **state) {
        PageLogin login = {};
        usec_t now = NOW;
        unsigned tried = 0;

        for (int i = 0; i < PAGE_LOGIN_BURST; i++)
                assert_int_equal(try(&login, WRONG, "10.0.0.1", now), PAGE_LOGIN_WRONG);
        assert_int_equal(try(&login, RIGHT, "10.0.0.1", now), PAGE_LOGIN_WAIT);
        assert_int_equal(try(&login, RIGHT, "10.0.0.2", now), PAGE_LOGIN_OK); /* others do not wait */
        assert_int_equal(try(&login, RIGHT, "10.0.0.1", now + PAGE_LOGIN_REFILL_USEC), PAGE_LOGIN_OK);

        for (int i = 0; i < 3600; i++, now += USEC_PER_SEC)
                tried += try(&login, WRONG, "10.0.0.1", now) == PAGE_LOGIN_WRONG;
        assert_in_range(tried, 355, 365);
        for (int i = 0; i < PAGE_LOGIN_BURST; i++) /* all is forgotten after a while */
                assert_int_equal(try(&login, WRONG, "10.0.0.1", now + USEC_PER_HOUR), PAGE_LOGIN_WRONG);
}

static void test_networks_of_six(void **state) {
        PageLogin login = {};
        char peer[64];

        for (int i = 0; i < PAGE_LOGIN_BURST; i++) {
                (void) snprintf(peer, sizeof(peer), "2001:db8::%x", i + 1);
                assert_int_equal(try(&login, WRONG, peer, NOW), PAGE_LOGIN_WRONG);
        }
        assert_int_equal(try(&login, WRONG, "2001:db8::ffff", NOW), PAGE_LOGIN_WAIT);
        assert_int_equal(try(&login, RIGHT, "2001:db8:0:1::1", NOW), PAGE_LOGIN_OK);
}

/* Many addresses: who was wrong last is remembered longest. */
static void test_many_peers(void **state) {
        PageLogin login = {};
        char peer[64];

        for (int i = 0; i < PAGE_LOGIN_BURST; i++)
                assert_int_equal(try(&login, WRONG, "10.9.9.9", NOW), PAGE_LOGIN_WRONG);
        for (int i = 0; i < 1000; i++) {
                (void) snprintf(peer, sizeof(peer), "10.0.%d.%d", i / 250, i % 250);
                assert_int_equal(try(&login, WRONG, peer, NOW), PAGE_LOGIN_WRONG);
        }
        assert_int_equal(try(&login, WRONG, "10.9.9.9", NOW), PAGE_LOGIN_WAIT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_headers),
                cmocka_unit_test(test_long_header),
                cmocka_unit_test(test_guessing_is_slowed),
                cmocka_unit_test(test_networks_of_six),
                cmocka_unit_test(test_many_peers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
