/* SPDX-License-Identifier: Apache-2.0 */
/* Batches and fates: P3 (which fates are acknowledged, and that none is taken back). */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "subscribe/delivery.h"

static const char reply[] = "{\"receivedMessages\":["
                            "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"publishTime\":\"2026-01-02T00:00:05Z\"}},"
                            "{\"ackId\":\"b\",\"message\":{\"messageId\":\"2\",\"publishTime\":\"2026-01-02T00:00:03.5Z\"}},"
                            "{\"ackId\":\"c\",\"message\":{\"messageId\":\"3\",\"publishTime\":\"yesterday\"}}]}";

static Batch *make(void) {
        _cleanup_bytes_ Bytes body = {};
        Batch *batch;

        assert_int_equal(bytes_append_text(&body, reply), 0);
        assert_int_equal(batch_new("projects/p/subscriptions/s", &body, 7, &batch), 0);
        assert_int_equal(body.size, 0);
        return batch;
}

static void test_new(void **state) {
        _cleanup_(batch_freep) Batch *batch = make();

        assert_int_equal(batch->pull.n, 3);
        assert_int_equal(batch->received, 7);
        assert_int_equal(batch->oldest_publish, UINT64_C(1767312003500) * USEC_PER_MSEC);
        assert_int_equal(batch_count(batch, FATE_PENDING), 3);
}

static void test_malformed_leaves_the_body(void **state) {
        _cleanup_bytes_ Bytes body = {};
        Batch *batch = NULL;

        assert_int_equal(bytes_append_text(&body, "{\"receivedMessages\":"), 0);
        assert_int_equal(batch_new("s", &body, 0, &batch), -EBADMSG);
        assert_null(batch);
        assert_true(body.size > 0);
}

static void test_settled(void **state) {
        assert_false(fate_is_settled(FATE_PENDING));
        assert_false(fate_is_settled(FATE_FAILED));
        assert_true(fate_is_settled(FATE_STORED));
        assert_true(fate_is_settled(FATE_DUPLICATE));
        assert_true(fate_is_settled(FATE_REJECTED));
        assert_string_equal(fate_name(FATE_DUPLICATE), "duplicate");
        assert_string_equal(fate_name((Fate) 99), "unknown");
}

/* Whether the move aborts, seen from outside. */
static bool aborts(Fate from, Fate to) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                Batch *batch = make();

                (void) close(STDERR_FILENO);
                (void) signal(SIGABRT, SIG_DFL);
                batch->fates[0] = from;
                delivery_set_fate(batch, 0, to);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void test_moves(void **state) {
#ifdef NDEBUG
        skip(); /* not possible here: moves are asserted */
#endif
        for (Fate from = FATE_PENDING; from <= FATE_FAILED; from++)
                for (Fate to = FATE_PENDING; to <= FATE_FAILED; to++) {
                        bool allowed = (from == FATE_PENDING && to != FATE_PENDING) || (from == FATE_FAILED && to == FATE_PENDING);

                        assert_int_equal(aborts(from, to), !allowed);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_new),
                cmocka_unit_test(test_malformed_leaves_the_body),
                cmocka_unit_test(test_settled),
                cmocka_unit_test(test_moves),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
