/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bisect.h"

/* A queue of ids 1..n and a topic that refuses some of them, driven as publisher.c does it. */
#define ROWS_MAX 20000
#define TRIED_BEFORE_A_REST (BISECT_PROBES_MAX + 15) /* ahead: each time half of the rows that are left */

typedef enum Fate { WAITING, SENT, REJECTED } Fate;

typedef struct World {
        Bisect bisect;
        Fate fate[ROWS_MAX + 1];
        bool bad[ROWS_MAX + 1];
        int64_t n;
        bool topic_bad, disk_full;
        unsigned requests, rests;
} World;

static World *world_new(int64_t n) {
        World *w = calloc(1, sizeof(World));
        assert_non_null(w);
        w->n = n;
        bisect_restart(&w->bisect);
        return w;
}

/* Up to *rows* waiting ids above *after*. */
static size_t peek(const World *w, int64_t after, size_t rows, int64_t *ids) {
        size_t n = 0;
        for (int64_t id = after + 1; id <= w->n && n < rows; id++)
                if (w->fate[id] == WAITING)
                        ids[n++] = id;
        return n;
}

static bool refuses(const World *w, const int64_t *ids, size_t n) {
        bool bad = w->topic_bad;
        for (size_t i = 0; i < n; i++)
                bad = bad || w->bad[ids[i]];
        return bad;
}

enum { STEP_ON, STEP_END, STEP_HELD, STEP_REST };

static int step(World *w) {
        int64_t ids[BISECT_WINDOW_MAX], after;
        size_t rows, n;

        bisect_next(&w->bisect, &after, &rows);
        assert_in_range(rows, 1, BISECT_WINDOW_MAX);
        n = peek(w, after, rows, ids);
        if (n == 0) {
                bool from_start = w->bisect.after != 0;
                return bisect_at_end(&w->bisect) ? STEP_HELD : from_start ? STEP_ON : STEP_END;
        }

        w->requests++;
        if (!refuses(w, ids, n)) {
                for (size_t i = 0; i < n; i++)
                        w->fate[ids[i]] = SENT;
                bisect_accepted(&w->bisect, ids[n - 1]);
                return STEP_ON;
        }
        switch (bisect_refused(&w->bisect, ids[n - 1], n, w->n)) {
        case BISECT_REJECT:
                assert_int_equal(n, 1);
                if (w->disk_full) {
                        bisect_put_off(&w->bisect);
                        return STEP_ON;
                }
                w->fate[ids[0]] = REJECTED;
                bisect_judged(&w->bisect);
                return STEP_ON;
        case BISECT_REST:
                w->rests++;
                return STEP_REST;
        case BISECT_GO_ON:
                break;
        }
        return STEP_ON;
}

static int run(World *w) {
        int r;
        while ((r = step(w)) == STEP_ON)
                assert_true(w->requests < 10 * ROWS_MAX);
        return r;
}

/* The same, with rests. */
static int run_on(World *w) {
        int r;
        while ((r = run(w)) == STEP_REST)
                assert_true(w->rests < 1000);
        return r;
}

static bool is_good_sent(const World *w) {
        for (int64_t id = 1; id <= w->n; id++)
                if (!w->bad[id] && w->fate[id] != SENT)
                        return false;
        return true;
}

static void check(const World *w) {
        for (int64_t id = 1; id <= w->n; id++)
                assert_int_equal(w->fate[id], w->bad[id] ? REJECTED : SENT);
}

static void test_all_good(void **state) {
        World *w = world_new(ROWS_MAX);

        assert_int_equal(run(w), STEP_END);
        check(w);
        assert_int_equal(w->requests, ROWS_MAX / BISECT_WINDOW_MAX);
        free(w);
}

/* P6: one bad message is found in about log2 steps and set aside; its neighbours go. */
static void test_one_bad(void **state) {
        static const int64_t places[] = { 1, 2, 499, 500, 501, 999, 1000, 1001, 2999 };

        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                World *w = world_new(3000);
                w->bad[places[i]] = true;
                assert_int_equal(run(w), STEP_END);
                check(w);
                assert_in_range(w->requests, 3, 40);
                free(w);
        }
}

/* The last message of all: nothing was accepted after it, so it stays, until something is. */
static void test_bad_at_the_end(void **state) {
        World *w = world_new(1001);

        w->bad[1001] = true;
        assert_int_equal(run(w), STEP_HELD);
        assert_int_equal(w->fate[1001], WAITING);
        bisect_restart(&w->bisect); /* the timer */
        assert_int_equal(run(w), STEP_HELD);
        assert_int_equal(w->fate[1001], WAITING);
        w->n = 1002; /* a new one */
        assert_int_equal(run(w), STEP_END);
        check(w);
        free(w);
}

/* A bad topic name answers 400 to everything: nothing is rejected, each row is tried once in few goes, then requests
 * become few and small, and all goes once it works. */
static void test_bad_topic(void **state) {
        World *w = world_new(3000);

        w->topic_bad = true;
        assert_int_equal(run(w), STEP_REST);
        assert_in_range(w->requests, 1, TRIED_BEFORE_A_REST + 10); /* it begins with few, too */
        for (unsigned i = 0; i < 50; i++)
                if (run(w) == STEP_HELD)
                        bisect_restart(&w->bisect); /* the timer */
        assert_in_range(w->requests, 3000, 3000 + 52 * TRIED_BEFORE_A_REST);
        w->requests = 0;
        for (unsigned i = 0; i < 50; i++)
                assert_int_equal(run(w), STEP_REST);
        assert_in_range(w->requests, 50, 50 * TRIED_BEFORE_A_REST);
        for (int64_t id = 1; id <= w->n; id++)
                assert_int_equal(w->fate[id], WAITING);
        w->topic_bad = false;
        assert_int_equal(run(w), STEP_END);
        check(w);
        free(w);
}

/* So many at fault are not all tried before it is left in peace. */
static void test_bad_topic_with_a_long_queue(void **state) {
        World *w = world_new(ROWS_MAX);

        w->topic_bad = true;
        while (w->requests < BISECT_TRIED_MAX)
                assert_int_equal(run(w), STEP_REST);
        assert_in_range(w->requests, BISECT_TRIED_MAX, BISECT_TRIED_MAX + BISECT_LINE_MAX + TRIED_BEFORE_A_REST);
        assert_in_range(w->rests, 10, 20);
        w->requests = 0;
        for (unsigned i = 0; i < 50; i++)
                assert_int_equal(run(w), STEP_REST);
        assert_in_range(w->requests, 50, 50 * TRIED_BEFORE_A_REST);
        free(w);
}

/* P6: a single good row among bad ones is sent after about as many requests as there are rows, and few rests, wherever
 * it is: a refusal does not tell which of the rows are good. */
static void test_lone_good(void **state) {
        static const int64_t counts[] = { 2, 11, 101, 1001 };

        for (size_t i = 0; i < 2 * sizeof(counts) / sizeof(counts[0]); i++) {
                const int64_t accepted = i % 2, n = counts[i / 2]; /* before them */

                for (int64_t good = 1; good <= n; good += n / 10 + 1) {
                        World *w = world_new(accepted + n);

                        for (int64_t id = 1; id <= n; id++)
                                w->bad[accepted + id] = id != good;
                        while (w->fate[accepted + good] != SENT)
                                assert_int_not_equal(step(w), STEP_HELD);
                        assert_in_range(w->requests, 1, (unsigned) n + 60);
                        assert_in_range(w->rests, 0, accepted ? n / 1000 : 4);
                        (void) run_on(w);
                        w->n++; /* a good one, which proves the others bad */
                        assert_int_equal(run_on(w), STEP_END);
                        check(w);
                        free(w);
                }
        }
}

/* A suspect that is accepted when it is judged shows that the topic was at fault: the others, which it refused in the
 * same time, are not rejected when it turns bad again. */
static void test_accepted_suspect_clears_the_others(void **state) {
        World *w = world_new(20);

        w->topic_bad = true;
        assert_int_equal(run_on(w), STEP_HELD);
        w->topic_bad = false;
        w->n = 21;
        assert_int_equal(step(w), STEP_ON); /* the new row */
        assert_true(w->bisect.judging);
        assert_int_equal(step(w), STEP_ON); /* a suspect */
        w->topic_bad = true;
        assert_int_equal(run_on(w), STEP_HELD);
        for (int64_t id = 1; id < w->n; id++)
                assert_int_not_equal(w->fate[id], REJECTED);
        w->topic_bad = false;
        bisect_restart(&w->bisect); /* the timer */
        assert_int_equal(run_on(w), STEP_END);
        check(w);
        free(w);
}

/* That a topic accepted one does not prove very many others bad, where it may be asked again in between. */
static void test_topic_turns_bad_while_many_are_judged(void **state) {
        World *w = world_new(1000);
        unsigned rejected = 0;

        w->topic_bad = true;
        assert_int_equal(run_on(w), STEP_HELD);
        w->topic_bad = false;
        w->n++;
        assert_int_equal(step(w), STEP_ON);
        assert_int_equal(w->fate[w->n], SENT);
        w->topic_bad = true;
        w->n++; /* a reading that came meanwhile */
        assert_int_equal(run_on(w), STEP_HELD);
        for (int64_t id = 1; id <= w->n; id++)
                rejected += w->fate[id] == REJECTED;
        assert_int_equal(rejected, BISECT_JUDGED_MAX);
        free(w);
}

/* A topic that turned bad gets fewer requests for each rest, down to few, also where not as many rows wait as would be
 * tried at first. */
static void test_bad_topic_is_left_in_peace(void **state) {
        World *w = world_new(1);

        assert_int_equal(run(w), STEP_END);
        w->topic_bad = true;
        w->n = 200;
        for (unsigned i = 0; i < 20; i++) {
                w->requests = 0;
                if (run(w) == STEP_HELD)
                        bisect_restart(&w->bisect); /* the timer */
        }
        assert_in_range(w->requests, 1, TRIED_BEFORE_A_REST);
        w->topic_bad = false;
        assert_int_equal(run(w), STEP_END);
        check(w);
        free(w);
}

/* A topic that is bad to the end of the queue, and then good. */
static void test_bad_topic_short_queue(void **state) {
        World *w = world_new(5);

        w->topic_bad = true;
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(run(w), STEP_HELD);
                bisect_restart(&w->bisect);
        }
        w->topic_bad = false;
        assert_int_equal(run(w), STEP_END);
        check(w);
        free(w);
}

/* P6: the disk cannot take the verdicts: the neighbours go all the same, and once it can, what was proved before
 * counts. */
static void test_verdicts_wait_for_the_disk(void **state) {
        World *w = world_new(3000);

        w->bad[500] = w->bad[2999] = w->disk_full = true;
        assert_int_equal(run(w), STEP_HELD);
        assert_int_equal(w->fate[500], WAITING);
        assert_int_equal(w->fate[3000], SENT);
        assert_false(w->fate[2999] == SENT);
        w->disk_full = false;
        assert_true(bisect_take_up(&w->bisect));
        assert_int_equal(run(w), STEP_END);
        check(w);
        assert_false(bisect_take_up(&w->bisect));
        free(w);
}

/* Nor does what was skipped, in order to see whether the topic takes others, wait for the disk. */
static void test_skipped_do_not_wait_for_the_disk(void **state) {
        static const int64_t heads[] = { 5, 20, 300, 700 };

        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
                World *w = world_new(1000);

                w->disk_full = true;
                for (int64_t id = 1; id <= heads[i]; id++)
                        w->bad[id] = true;
                assert_int_equal(run(w), STEP_HELD);
                for (int64_t id = 1; id <= w->n; id++)
                        assert_int_equal(w->fate[id], w->bad[id] ? WAITING : SENT);
                w->disk_full = false;
                for (int round = 0; round < 20 && w->fate[heads[i]] != REJECTED; round++) {
                        if (!bisect_take_up(&w->bisect))
                                bisect_restart(&w->bisect); /* the timer */
                        if (w->n < ROWS_MAX)
                                w->n++;
                        run(w);
                }
                assert_int_equal(run(w), STEP_END);
                check(w);
                free(w);
        }
}

/* More bad ones in a row than are remembered: those behind them go, and none of them is lost. */
static void test_many_bad_in_a_row(void **state) {
        World *w = world_new(2000);

        for (int64_t id = 1; id <= 700; id++)
                w->bad[id] = true;
        assert_int_equal(run_on(w), STEP_END);
        check(w);
        free(w);
}

/* P6: a source of which the topic takes nothing, beside others: they do not wait until the topic has rested. */
static void test_bad_source(void **state) {
        static const int64_t spans[] = { 110, 250, 1000, 4000 };

        for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
                World *w = world_new(ROWS_MAX);

                for (int64_t id = 1; id <= w->n; id++)
                        w->bad[id] = id % spans[i] > 10 && id <= 4200;
                assert_int_equal(run(w), STEP_END);
                assert_int_equal(w->rests, 0);
                check(w);
                free(w);
        }
}

/* The same where the others come later, and a topic that takes nothing any more rests as before. */
static void test_bad_to_the_end(void **state) {
        World *w = world_new(3001);

        for (int64_t id = 2; id <= w->n; id++)
                w->bad[id] = true;
        assert_int_equal(run_on(w), STEP_HELD);
        assert_in_range(w->rests, 1, 4);
        assert_in_range(w->requests, 3000, 3000 + 5 * TRIED_BEFORE_A_REST);
        for (int i = 0; i < 100 && w->fate[3001] != REJECTED; i++) {
                w->n++; /* a good one */
                (void) run_on(w);
        }
        assert_int_equal(run_on(w), STEP_END);
        check(w);

        w->topic_bad = true;
        w->n = 5000;
        assert_int_equal(run_on(w), STEP_HELD);
        bisect_restart(&w->bisect); /* the timer */
        w->requests = 0;
        assert_int_equal(run(w), STEP_REST);
        assert_in_range(w->requests, 1, TRIED_BEFORE_A_REST);
        free(w);
}

/* P6: after a restart nothing is known of the topic. What it refuses, however much, does not delay what it takes. */
static void test_bad_head_after_a_restart(void **state) {
        static const int64_t heads[] = { 9, 20, 300, 1000, 4990 };

        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
                World *w = world_new(ROWS_MAX);

                for (int64_t id = 1; id <= heads[i]; id++)
                        w->bad[id] = true;
                while (w->fate[w->n] != SENT)
                        assert_int_equal(step(w), STEP_ON);
                while (!is_good_sent(w)) /* one row may be left between the last one tried and the first accepted one */
                        assert_in_range(step(w) == STEP_REST, 0, heads[i] > BISECT_LINE_ACCEPTED);
                free(w);
        }
}

/* P6: good ones far from both ends are found, although the newest row is gone already. */
static void test_good_in_the_middle(void **state) {
        for (int first = 0; first <= 1; first++) { /* the topic has accepted none, or one */
                World *w = world_new(2000);

                for (int64_t id = 2 - first; id <= w->n; id++)
                        w->bad[id] = id < 600 || id > 602;
                w->bad[w->n] = false;
                w->fate[w->n] = SENT;
                for (int i = 0; i < 200 && w->fate[602] != SENT; i++)
                        if (run(w) == STEP_HELD)
                                bisect_restart(&w->bisect); /* the timer */
                assert_int_equal(w->fate[600], SENT);
                assert_int_equal(w->fate[602], SENT);
                free(w);
        }
}

/* Rows that come as fast as they are refused do not keep a topic from its rest that takes nothing any more. */
static void test_rows_come_fast(void **state) {
        World *w = world_new(100);

        assert_int_equal(run(w), STEP_END);
        w->topic_bad = true;
        w->requests = 0;
        do {
                assert_true(w->n + 3 <= ROWS_MAX);
                w->n += 3;
        } while (step(w) != STEP_REST);
        assert_in_range(w->requests, BISECT_LINE_ACCEPTED, BISECT_LINE_ACCEPTED + BISECT_AHEAD_MAX + 20);
        free(w);
}

static void test_random(void **state) {
        srand(7);
        for (unsigned round = 0; round < 300; round++) {
                World *w = world_new(1 + rand() % 3000);
                unsigned every = 1 + (unsigned) rand() % 500;
                int r;

                for (int64_t id = 1; id < w->n; id++)
                        w->bad[id] = (unsigned) rand() % every == 0;
                while ((r = run(w)) == STEP_REST)
                        assert_true(w->rests < 5000);
                assert_int_equal(r, STEP_END);
                check(w);
                free(w);
        }
}

/* Too large for any request: judged like the others, without being sent. */
static void test_too_large(void **state) {
        Bisect b = {};

        bisect_restart(&b);
        bisect_suspect(&b, 1);
        assert_false(b.judging);
        assert_true(bisect_at_end(&b));
        bisect_accepted(&b, 2);
        assert_true(b.judging);
        assert_int_equal(b.suspects[0], 1);
        bisect_judged(&b);
        assert_false(b.judging);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_good),
                cmocka_unit_test(test_one_bad),
                cmocka_unit_test(test_bad_at_the_end),
                cmocka_unit_test(test_bad_topic),
                cmocka_unit_test(test_bad_topic_with_a_long_queue),
                cmocka_unit_test(test_lone_good),
                cmocka_unit_test(test_accepted_suspect_clears_the_others),
                cmocka_unit_test(test_topic_turns_bad_while_many_are_judged),
                cmocka_unit_test(test_bad_topic_is_left_in_peace),
                cmocka_unit_test(test_bad_topic_short_queue),
                cmocka_unit_test(test_verdicts_wait_for_the_disk),
                cmocka_unit_test(test_skipped_do_not_wait_for_the_disk),
                cmocka_unit_test(test_many_bad_in_a_row),
                cmocka_unit_test(test_bad_source),
                cmocka_unit_test(test_bad_to_the_end),
                cmocka_unit_test(test_bad_head_after_a_restart),
                cmocka_unit_test(test_good_in_the_middle),
                cmocka_unit_test(test_rows_come_fast),
                cmocka_unit_test(test_random),
                cmocka_unit_test(test_too_large),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
