/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "trouble.h"
#include "lib/http.h"
#include "web-listen.h"

static void test_each_has_a_kind(void **state) {
        assert_null(cause_kind(CAUSE_NONE));
        assert_null(cause_remedy(CAUSE_NONE));
        for (Cause cause = CAUSE_NONE + 1; cause < _CAUSE_MAX; cause++) {
                assert_non_null(cause_kind(cause));
                if (cause != CAUSE_OTHER)
                        assert_non_null(cause_remedy(cause));
        }
}

static void test_disk(void **state) {
        assert_int_equal(cause_of_disk(-ENOSPC), CAUSE_SPACE);
        assert_int_equal(cause_of_disk(-EROFS), CAUSE_OWNER);
        assert_int_equal(cause_of_disk(-ENOENT), CAUSE_DIRECTORY);
        assert_int_equal(cause_of_disk(-EBUSY), CAUSE_OCCUPIED);
        assert_int_equal(cause_of_disk(-EIO), CAUSE_DISK);
        assert_int_equal(cause_of_disk(-EMFILE), CAUSE_MEMORY);
}

static void test_listen(void **state) {
        assert_int_equal(web_listen_cause(-EADDRINUSE), CAUSE_OCCUPIED);
        assert_int_equal(web_listen_cause(-EBUSY), CAUSE_OCCUPIED);
        assert_int_equal(web_listen_cause(-EADDRNOTAVAIL), CAUSE_SETTINGS);
        assert_int_equal(web_listen_cause(-EMFILE), CAUSE_MEMORY);
        assert_int_equal(web_listen_cause(-EPROTO), CAUSE_OTHER);
}

#define BODY(text)                                                                                                     \
        { (char *) (text), sizeof(text) - 1 }

static void test_http(void **state) {
        static const struct {
                HttpReply reply;
                Cause cause;
        } cases[] = {
                { { .outcome = HTTP_UNREACHABLE }, CAUSE_NETWORK },
                { { .outcome = HTTP_UNREACHABLE, .want = true }, CAUSE_MEMORY },
                { { .outcome = HTTP_TLS }, CAUSE_TLS },
                { { .outcome = HTTP_TIMEOUT }, CAUSE_UNANSWERED },
                { { .outcome = HTTP_CUT }, CAUSE_UNANSWERED },
                { { .outcome = HTTP_TOO_LARGE }, CAUSE_NONSENSE },
                { { .outcome = HTTP_ANSWERED, .status = 200 }, CAUSE_NONSENSE },
                { { .outcome = HTTP_ANSWERED, .status = 200, .body = BODY("<html><body>Log in") }, CAUSE_BETWEEN },
                { { .outcome = HTTP_ANSWERED, .status = 404, .body = BODY("<html><body>Not found") }, CAUSE_ADDRESS },
                { { .outcome = HTTP_ANSWERED, .status = 302 }, CAUSE_ADDRESS },
                { { .outcome = HTTP_ANSWERED, .status = 400 }, CAUSE_INVALID },
                { { .outcome = HTTP_ANSWERED, .status = 401 }, CAUSE_TOKEN },
                { { .outcome = HTTP_ANSWERED, .status = 404 }, CAUSE_ADDRESS },
                { { .outcome = HTTP_ANSWERED, .status = 407 }, CAUSE_BETWEEN },
                { { .outcome = HTTP_ANSWERED, .status = 429 }, CAUSE_LIMITED },
                { { .outcome = HTTP_ANSWERED, .status = 503 }, CAUSE_UNAVAILABLE },
                { { .outcome = HTTP_ANSWERED, .status = 511 }, CAUSE_BETWEEN },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(cause_of_http(&cases[i].reply), cases[i].cause);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_has_a_kind),
                cmocka_unit_test(test_disk),
                cmocka_unit_test(test_listen),
                cmocka_unit_test(test_http),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
