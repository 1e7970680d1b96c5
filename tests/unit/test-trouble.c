/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "lib/http.h"
#include "trouble.h"
#include "web-listen.h"

/* ---- causes ---- */

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

/* ---- troubles ---- */

/* So much is the wall clock behind (the linker's --wrap). */
static usec_t behind;
usec_t __real_clock_wall(void);
usec_t __wrap_clock_wall(void);

usec_t __wrap_clock_wall(void) {
        return __real_clock_wall() - behind;
}

static usec_t ahead;
usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);

usec_t __wrap_clock_now(void) {
        return __real_clock_now() + ahead;
}

static void test_a_single_failure_is_not_said(void **state) {
        char span[CLOCK_SPAN_SIZE] = "";
        Trouble t = {};

        assert_false(trouble_is_on(&t));
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "HTTP 503"));
        assert_true(trouble_is_on(&t));
        assert_int_equal(t.cause, CAUSE_NETWORK);
        assert_string_equal(t.detail, "HTTP 503");
        assert_true(t.since > 0 && trouble_since(&t) > 0);
        assert_false(trouble_mend(&t, span)); /* never said, so nothing to take back */
        assert_false(trouble_is_on(&t));
        assert_string_equal(t.detail, "");
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "HTTP 503")); /* counted anew */
}

/* A machine without a clock of its own begins days behind, and is set right: it began just now. */
static void test_begin_by_the_clock_of_today(void **state) {
        usec_t days = 3 * 24 * USEC_PER_HOUR;
        Trouble t = {};

        assert_int_equal(trouble_since(&t), 0);
        behind = days;
        (void) trouble_fail(&t, TROUBLE_LASTING, CAUSE_NETWORK, 0, "a");
        behind = 0;
        assert_true(trouble_since(&t) > clock_wall() - USEC_PER_HOUR);
        behind = __real_clock_wall() - USEC_PER_MINUTE; /* 1970 */
        assert_true(trouble_since(&t) > 0 && trouble_since(&t) < USEC_PER_HOUR);
        behind = 0;
}

static void test_lasting_is_said_once_and_taken_back_once(void **state) {
        char span[CLOCK_SPAN_SIZE] = "";
        Trouble t = {};
        usec_t since;

        (void) trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "a");
        since = t.since;
        assert_true(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "b"));
        assert_int_equal(trouble_level(&t), LOG_WARNING);
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "c"));
        assert_string_equal(t.detail, "c"); /* the newest words, the oldest time */
        assert_int_equal(t.since, since);
        assert_int_equal(t.failures, 3);
        assert_true(trouble_mend(&t, span));
        assert_string_not_equal(span, "");
        assert_false(trouble_mend(&t, span));
}

static void test_a_refusal_is_said_at_once(void **state) {
        char span[CLOCK_SPAN_SIZE] = "";
        Trouble t = {};

        assert_true(trouble_fail(&t, TROUBLE_LASTING, CAUSE_NETWORK, USEC_PER_SEC, "HTTP 403"));
        assert_int_equal(trouble_level(&t), LOG_ERR);
        assert_false(trouble_fail(&t, TROUBLE_LASTING, CAUSE_NETWORK, USEC_PER_SEC, "HTTP 403"));
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "HTTP 503")); /* worse was said */
        assert_false(trouble_fail(&t, TROUBLE_LASTING, CAUSE_NETWORK, USEC_PER_SEC, "HTTP 403"));
        assert_true(trouble_mend(&t, span));
}

static void test_what_turns_out_to_be_lasting_is_said_again(void **state) {
        char span[CLOCK_SPAN_SIZE] = "";
        Trouble t = {};

        (void) trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "a");
        assert_true(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "b"));
        assert_true(trouble_fail(&t, TROUBLE_LASTING, CAUSE_NETWORK, USEC_PER_SEC, "c"));
        assert_true(trouble_mend(&t, span));
}

static void test_said_at_once_when_the_next_try_is_far(void **state) {
        Trouble t = {}, unknown = {};

        assert_true(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, 61 * USEC_PER_SEC, "a"));
        assert_false(trouble_fail(&unknown, TROUBLE_PASSING, CAUSE_NETWORK, 0, "a"));
}

static void test_detail_is_cut_between_characters(void **state) {
        char text[TROUBLE_DETAIL_MAX + 3];
        Trouble t = {};

        memset(text, 'x', sizeof(text));
        memcpy(text + TROUBLE_DETAIL_MAX - 2, "\xe6\x9a\x91", 4);
        (void) trouble_fail(&t, TROUBLE_LASTING, CAUSE_NETWORK, 0, text);
        assert_int_equal(strlen(t.detail), TROUBLE_DETAIL_MAX - 2);
}

/* Twice failing, then as long well: how often is a begin, and an end, logged in *time*? */
static void flap(Trouble *t, usec_t failing, usec_t well, usec_t time, unsigned *ret_begins, unsigned *ret_ends) {
        const usec_t end = clock_now() + time, step = usec_min(failing, well) / 2;
        char span[CLOCK_SPAN_SIZE];

        *ret_begins = *ret_ends = 0;
        while (clock_now() < end) {
                for (usec_t left = failing; left > 0; left -= step, ahead += step)
                        *ret_begins += trouble_fail(t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "a");
                for (usec_t left = well; left > 0; left -= step, ahead += step)
                        *ret_ends += trouble_mend_proven(t, span);
        }
}

static void test_some_outages_in_a_row_are_each_said(void **state) {
        unsigned begins, ends;
        Trouble t = {};

        flap(&t, 2 * USEC_PER_SEC, 10 * USEC_PER_SEC, 48 * USEC_PER_SEC, &begins, &ends);
        assert_int_equal(begins, 4);
        assert_int_equal(ends, 4);
}

static void test_who_flaps_is_said_seldom(void **state) {
        static const usec_t lengths[] = { USEC_PER_SEC, 10 * USEC_PER_SEC, USEC_PER_MINUTE, 3 * USEC_PER_MINUTE,
                11 * USEC_PER_MINUTE, 14 * USEC_PER_MINUTE };

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                unsigned begins, ends;
                Trouble t = {};

                flap(&t, 2 * USEC_PER_SEC, lengths[i], USEC_PER_HOUR, &begins, &ends);
                assert_in_range(begins, 4, 9);
                flap(&t, 2 * USEC_PER_SEC, lengths[i], USEC_PER_HOUR, &begins, &ends);
                assert_in_range(begins + ends, 0, 12);
        }
}

/* Status and metrics tell the present state, the log what is proven; in the end both tell the same. */
static void test_the_present_state_is_told_while_it_flaps(void **state) {
        unsigned begins, ends;
        char span[CLOCK_SPAN_SIZE];
        Trouble t = {};

        flap(&t, 2 * USEC_PER_SEC, 2 * USEC_PER_SEC, USEC_PER_MINUTE, &begins, &ends);
        assert_int_equal(begins, 5);
        assert_int_equal(ends, 4);
        assert_false(trouble_is_on(&t));
        assert_int_equal(trouble_since(&t), 0);
        assert_int_equal(t.failures, 0);
        assert_int_equal(t.cause, CAUSE_NONE);
        assert_string_equal(t.detail, "");
        assert_int_not_equal(t.said, TROUBLE_NONE);
        assert_true(trouble_failure(&t).logged_since > 0);

        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "a"));
        assert_true(trouble_is_on(&t));
        assert_true(trouble_since(&t) > trouble_failure(&t).logged_since);
        assert_true(trouble_fail(&t, TROUBLE_LASTING, CAUSE_LOGIN, USEC_PER_SEC, "a")); /* worse than what was logged */
        assert_false(trouble_mend_proven(&t, span));
        ahead += 30 * USEC_PER_SEC;
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "a single one does not count"));
        assert_false(trouble_mend_proven(&t, span));
        ahead += 31 * USEC_PER_SEC;
        assert_true(trouble_mend_proven(&t, span));
        assert_string_equal(span, "44 s"); /* to the first success, not to the proof */
        assert_int_equal(t.said, TROUBLE_NONE);
        assert_false(trouble_mend_proven(&t, span));

        ahead += USEC_PER_HOUR;
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "a"));
        assert_true(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "b"));
        assert_true(trouble_mend_proven(&t, span)); /* long after: as the first time */
}

/* A lasting outage of another kind is in the log, also where it begins while the end of one that flapped is not proven
 * yet; and one of the same kind, where success has lasted although nobody asked meanwhile. */
static void test_another_outage_is_said_while_it_flaps(void **state) {
        unsigned begins, ends;
        char span[CLOCK_SPAN_SIZE];
        Trouble t = {};

        flap(&t, 2 * USEC_PER_SEC, 2 * USEC_PER_SEC, USEC_PER_MINUTE, &begins, &ends);
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "a"));
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "a"));
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_SEC, "b")); /* it is the same outage */
        assert_false(trouble_mend_proven(&t, span));
        assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_UNAVAILABLE, USEC_PER_SEC, "b"));
        assert_true(trouble_fail(&t, TROUBLE_PASSING, CAUSE_UNAVAILABLE, USEC_PER_SEC, "b"));
        assert_int_equal(t.began, t.since); /* their clock_wall() is read twice, and may differ */
        assert_false(trouble_mend_proven(&t, span));
        for (unsigned i = 0; i < 20; i++) { /* which does not begin it all anew */
                assert_false(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_HOUR, i % 2 > 0 ? "a" : "b"));
                assert_false(trouble_mend_proven(&t, span));
        }

        ahead += USEC_PER_HOUR;
        assert_true(trouble_fail(&t, TROUBLE_PASSING, CAUSE_NETWORK, USEC_PER_HOUR, "a"));
        assert_true(trouble_mend_proven(&t, span));
}

/* Other words are news; the same ones are not, even where others come in between. */
static void test_what_has_other_words_is_said(void **state) {
        char span[CLOCK_SPAN_SIZE], words[8];
        unsigned begins = 0;
        Trouble t = {};

        for (unsigned i = 0; i < 20; i++) {
                (void) snprintf(words, sizeof(words), "%u", i);
                assert_true(trouble_fail(&t, TROUBLE_LASTING, CAUSE_INVALID, 0, words));
                assert_true(trouble_mend_proven(&t, span));
        }
        for (unsigned i = 0; i < 20; i++) {
                begins += trouble_fail(&t, TROUBLE_LASTING, CAUSE_INVALID, 0, i % 2 > 0 ? "a" : "b");
                (void) trouble_mend_proven(&t, span);
        }
        assert_int_equal(begins, 6);
}

/* What another stage logs has neither begin nor end here. */
static void test_noted_is_not_said(void **state) {
        char span[CLOCK_SPAN_SIZE];
        Trouble t = {};

        for (unsigned i = 0; i < 20; i++) {
                trouble_note(&t, TROUBLE_LASTING, CAUSE_KEY, "a");
                assert_true(trouble_is_on(&t));
                assert_false(trouble_mend_proven(&t, span));
        }
        assert_true(trouble_fail(&t, TROUBLE_LASTING, CAUSE_ROLE, 0, "b"));
        assert_int_equal(t.tries, 1);
        assert_true(trouble_mend_proven(&t, span));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_has_a_kind),
                cmocka_unit_test(test_disk),
                cmocka_unit_test(test_listen),
                cmocka_unit_test(test_http),
                cmocka_unit_test(test_a_single_failure_is_not_said),
                cmocka_unit_test(test_begin_by_the_clock_of_today),
                cmocka_unit_test(test_lasting_is_said_once_and_taken_back_once),
                cmocka_unit_test(test_a_refusal_is_said_at_once),
                cmocka_unit_test(test_what_turns_out_to_be_lasting_is_said_again),
                cmocka_unit_test(test_said_at_once_when_the_next_try_is_far),
                cmocka_unit_test(test_detail_is_cut_between_characters),
                cmocka_unit_test(test_some_outages_in_a_row_are_each_said),
                cmocka_unit_test(test_who_flaps_is_said_seldom),
                cmocka_unit_test(test_the_present_state_is_told_while_it_flaps),
                cmocka_unit_test(test_another_outage_is_said_while_it_flaps),
                cmocka_unit_test(test_what_has_other_words_is_said),
                cmocka_unit_test(test_noted_is_not_said),
        };

        return cmocka_run_group_tests_name("trouble", tests, NULL, NULL);
}
