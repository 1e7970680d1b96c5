/* SPDX-License-Identifier: Apache-2.0 */
/* What one rule makes of one device: tables, and random histories against a model that keeps all of the past. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/err.h"
#include "sinks/alert-rules.h"

#define MINUTE USEC_PER_MINUTE
#define START (UINT64_C(1795822440) * USEC_PER_SEC)

static Slice slice(const char *text) {
        return (Slice){ text, text ? strlen(text) : 0 };
}

static void test_values(void **state) {
        char on[] = "ON", yes[] = "true", seven[] = "7";
        const AlertRule above = { .test = ALERT_ABOVE, .limit = 28, .clear = 27 };
        const AlertRule below = { .test = ALERT_BELOW, .limit = 5, .clear = 5 };
        const AlertRule on_off = { .test = ALERT_IS, .is = on }, leak = { .test = ALERT_IS, .is = yes },
                        number = { .test = ALERT_IS, .is = seven };
        const struct {
                const AlertRule *rule;
                const char *value;
                AlertTruth truth;
        } cases[] = {
                { &above, "28.1", ALERT_HOLDS },
                { &above, "28.0", ALERT_BETWEEN }, /* equal is not above */
                { &above, "28", ALERT_BETWEEN },
                { &above, "27.5", ALERT_BETWEEN },
                { &above, "27", ALERT_OVER },
                { &above, "-40", ALERT_OVER },
                { &above, "2.9e1", ALERT_HOLDS },
                { &above, "\"29\"", ALERT_SAYS_NOTHING }, /* text is not a number */
                { &above, "null", ALERT_SAYS_NOTHING },
                { &above, "true", ALERT_SAYS_NOTHING },
                { &above, "{\"val\":29}", ALERT_SAYS_NOTHING },
                { &above, "[29]", ALERT_SAYS_NOTHING },
                { &above, NULL, ALERT_SAYS_NOTHING },
                { &below, "4.99", ALERT_HOLDS },
                { &below, "5", ALERT_OVER },
                { &below, "-0.5", ALERT_HOLDS },
                { &on_off, "\"ON\"", ALERT_HOLDS },
                { &on_off, "\"\\u004fN\"", ALERT_HOLDS },
                { &on_off, "\"OFF\"", ALERT_OVER },
                { &on_off, "null", ALERT_SAYS_NOTHING },
                { &on_off, "[\"ON\"]", ALERT_SAYS_NOTHING },
                { &leak, "true", ALERT_HOLDS },
                { &leak, "false", ALERT_OVER },
                { &leak, "\"true\"", ALERT_HOLDS },
                { &number, "7.0", ALERT_HOLDS },
                { &number, "7.1", ALERT_OVER },
                /* no value, of many a device */
                { &above, "1.7976931348623157e308", ALERT_SAYS_NOTHING },
                { &above, "1e400", ALERT_SAYS_NOTHING },
                { &below, "-1.7976931348623157e308", ALERT_SAYS_NOTHING },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (alert_judge_value(cases[i].rule, slice(cases[i].value)) != cases[i].truth)
                        fail_msg("case %zu: %s", i, cases[i].value ? cases[i].value : "nothing");
}

/* A history in letters, a minute each: h holds, b between, o over, n nothing; "!" it fires, "." it ends, "-" neither,
 * " " nothing counted. */
static void run(usec_t wait, const char *history, const char *expected) {
        const AlertRule rule = { .test = ALERT_ABOVE, .limit = 28, .clear = 27, .wait = wait };
        AlertState state = {};
        char found[100] = "";

        for (size_t i = 0; history[i]; i++) {
                AlertTruth truth = history[i] == 'h'   ? ALERT_HOLDS
                                   : history[i] == 'b' ? ALERT_BETWEEN
                                   : history[i] == 'o' ? ALERT_OVER
                                                       : ALERT_SAYS_NOTHING;

                found[i] = " -!."[alert_judge_message(&rule, &state, START + i * MINUTE, truth)];
        }
        assert_string_equal(found, expected);
}

static void test_histories(void **state) {
        run(0, "ohhho", "-!--.");
        run(0, "hho", "!-.");                /* true at first sight */
        run(0, "hbbho", "!---.");            /* hysteresis: no end between, and no second beginning */
        run(0, "bbo", "---");                /* between is no beginning */
        run(2 * MINUTE, "hhho", "--!.");     /* for */
        run(2 * MINUTE, "hhohhh", "-----!"); /* an interruption begins anew, and says nothing */
        run(2 * MINUTE, "hhbhhh", "-----!"); /* between interrupts what is pending */
        run(2 * MINUTE, "hnnh", "-  !");     /* what is not there changes nothing */
        run(10 * MINUTE, "hhhhhho", "-------");
}

static void test_order(void **state) {
        const AlertRule rule = { .test = ALERT_ABOVE, .limit = 28, .clear = 27 };
        AlertState s = {};

        assert_int_equal(alert_judge_message(&rule, &s, START, ALERT_HOLDS), ALERT_FIRED);
        assert_int_equal(alert_judge_message(&rule, &s, START, ALERT_HOLDS), ALERT_OLD);
        assert_int_equal(alert_judge_message(&rule, &s, START, ALERT_OVER), ALERT_OLD);
        assert_int_equal(alert_judge_message(&rule, &s, START - MINUTE, ALERT_OVER), ALERT_OLD);
        assert_int_equal(alert_judge_message(&rule, &s, START + 1, ALERT_OVER), ALERT_CEASED);
        assert_int_equal(alert_judge_message(&rule, &s, START, ALERT_HOLDS), ALERT_OLD);
        assert_int_equal(s.phase, PHASE_OK);
}

static void test_time(void **state) {
        const AlertRule rule = { .test = ALERT_IS, .wait = 10 * MINUTE };
        AlertState s = {};

        assert_true(alert_judge_next(&rule, &s) == USEC_INFINITY);
        assert_int_equal(alert_judge_message(&rule, &s, START, ALERT_HOLDS), ALERT_STAYS);
        assert_true(alert_judge_next(&rule, &s) == START + 10 * MINUTE);
        assert_int_equal(alert_judge_time(&rule, &s, START + 10 * MINUTE - 1), ALERT_OLD);
        assert_int_equal(alert_judge_time(&rule, &s, START + 10 * MINUTE), ALERT_FIRED);
        assert_true(s.since == START);
        assert_int_equal(alert_judge_time(&rule, &s, START + 60 * MINUTE), ALERT_OLD);
        assert_true(alert_judge_next(&rule, &s) == USEC_INFINITY);
}

static AlertMove live(const AlertRule *rule, AlertState *s, usec_t at, usec_t now) {
        return alert_judge_life(rule, s, &(AlertLife){ .at = at, .heard = at }, now);
}

static void test_silence(void **state) {
        const AlertRule rule = { .test = ALERT_STALE, .stale = 30 * MINUTE, .wait = 10 * MINUTE };
        AlertState s = {};

        assert_int_equal(alert_judge_time(&rule, &s, START), ALERT_OLD); /* never heard of */
        assert_int_equal(live(&rule, &s, START, START), ALERT_STAYS);
        assert_true(alert_judge_next(&rule, &s) == START + 30 * MINUTE);
        assert_int_equal(alert_judge_time(&rule, &s, START + 31 * MINUTE), ALERT_STAYS);
        assert_int_equal(s.phase, PHASE_PENDING);
        assert_true(s.since == START + 30 * MINUTE);
        assert_int_equal(alert_judge_time(&rule, &s, START + 50 * MINUTE), ALERT_FIRED);
        /* old news is a sign of life, and not the end of the silence */
        assert_int_equal(live(&rule, &s, START + MINUTE, START + 51 * MINUTE), ALERT_STAYS);
        assert_int_equal(s.phase, PHASE_FIRING);
        assert_int_equal(live(&rule, &s, START + 50 * MINUTE, START + 51 * MINUTE), ALERT_CEASED);
        assert_int_equal(live(&rule, &s, START + 50 * MINUTE, START + 51 * MINUTE), ALERT_OLD);
}

static void test_offline(void **state) {
        const AlertRule rule = { .test = ALERT_STALE, .stale = 30 * MINUTE, .wait = 5 * MINUTE };
        AlertState s = {};

        assert_int_equal(live(&rule, &s, START, START), ALERT_STAYS);
        assert_int_equal(
                alert_judge_life(&rule, &s, &(AlertLife){ START + MINUTE, 0, true }, START + MINUTE), ALERT_STAYS);
        assert_int_equal(s.phase, PHASE_PENDING);
        assert_int_equal(alert_judge_time(&rule, &s, START + 6 * MINUTE), ALERT_FIRED);
        assert_int_equal(live(&rule, &s, START + 7 * MINUTE, START + 7 * MINUTE), ALERT_CEASED);
        assert_int_equal(alert_judge_life(&rule, &s, &(AlertLife){ START + 8 * MINUTE, 0, false }, START), ALERT_OLD);
}

/* ---- random histories ---- */

typedef struct Event {
        usec_t at;
        AlertTruth truth;
} Event;

/* The same said otherwise: every message that counts, in order of their times, from the beginning. */
static AlertPhase model(const AlertRule *rule, const Event *seen, size_t n, usec_t *ret_since) {
        usec_t last = 0;
        bool firing = false;

        *ret_since = 0;
        for (size_t i = 0; i < n; i++) {
                if (seen[i].truth == ALERT_SAYS_NOTHING || seen[i].at <= last)
                        continue; /* as they came */
                last = seen[i].at;
                if (seen[i].truth == ALERT_HOLDS) {
                        if (*ret_since == 0)
                                *ret_since = seen[i].at;
                        firing = firing || seen[i].at - *ret_since >= rule->wait;
                } else if (seen[i].truth == ALERT_OVER || !firing) {
                        *ret_since = 0;
                        firing = false;
                }
        }
        return firing ? PHASE_FIRING : *ret_since > 0 ? PHASE_PENDING : PHASE_OK;
}

static uint64_t draw(uint64_t *seed) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        return *seed;
}

static void test_random(void **state) {
        static const AlertTruth truths[] = { ALERT_SAYS_NOTHING, ALERT_HOLDS, ALERT_HOLDS, ALERT_BETWEEN, ALERT_OVER };
        uint64_t seed = 88172645463325252;

        for (int round = 0; round < 20000; round++) {
                const AlertRule rule = { .test = ALERT_ABOVE, .wait = draw(&seed) % 5 * MINUTE };
                Event events[40];
                AlertState s = {};
                size_t n = 1 + draw(&seed) % ELEMENTSOF(events);
                unsigned fired = 0, ceased = 0;
                usec_t since;

                for (size_t i = 0; i < n; i++) { /* mostly in order, some late, some twice */
                        events[i] = (Event){ START + (i + draw(&seed) % 3) * MINUTE, truths[draw(&seed) % 5] };
                        if (i > 0 && draw(&seed) % 6 == 0)
                                events[i] = events[draw(&seed) % i];
                        switch (alert_judge_message(&rule, &s, events[i].at, events[i].truth)) {
                        case ALERT_FIRED:
                                fired++;
                                break;
                        case ALERT_CEASED:
                                ceased++;
                                break;
                        default:
                                break;
                        }
                        assert_int_equal(s.phase, model(&rule, events, i + 1, &since));
                        if (s.phase != PHASE_OK)
                                assert_true(s.since == since);
                        assert_int_equal(fired - ceased, s.phase == PHASE_FIRING);
                }
                for (size_t i = 0; i < n; i++) /* all of it again: nothing */
                        assert_int_equal(alert_judge_message(&rule, &s, events[i].at, events[i].truth), ALERT_OLD);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_histories),
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_time),
                cmocka_unit_test(test_silence),
                cmocka_unit_test(test_offline),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
