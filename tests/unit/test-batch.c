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

#include "subscribe/batch.h"

static const char reply[] =
        "{\"receivedMessages\":["
        "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"publishTime\":\"2026-01-02T00:00:05Z\"}},"
        "{\"ackId\":\"b\",\"deliveryAttempt\":3,\"message\":{\"messageId\":\"2\",\"data\":\"e30=\",\"orderingKey\":\"o\","
        "\"attributes\":{\"k\":\"v\",\"l\":\"\"},\"publishTime\":\"2026-01-02T00:00:03.5Z\"}},"
        "{\"ackId\":\"c\",\"message\":{\"messageId\":\"3\",\"publishTime\":\"yesterday\"}}]}";

static Batch *make(void) {
        _cleanup_bytes_ Bytes body = {};
        Batch *batch;

        assert_int_equal(bytes_append_text(&body, reply), 0);
        assert_int_equal(batch_new(&body, 7, &batch), 0);
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
        assert_int_equal(batch_new(&body, 0, &batch), -EBADMSG);
        assert_null(batch);
        assert_true(body.size > 0);
}

static void test_settled(void **state) {
        _cleanup_(batch_freep) Batch *batch = make();

        for (Fate fate = FATE_PENDING; fate <= FATE_MOVED; fate++) {
                batch->fates[0] = fate;
                assert_int_equal(batch_is_settled(batch, 0), fate >= FATE_STORED && fate <= FATE_REJECTED);
        }
}

/* Copies outlive what they were made of, and take along what is held against them. */
static void test_gather(void **state) {
        _cleanup_(batch_freep) Batch *copy = NULL;
        Batch *a = make(), *b = make();
        const BatchPick picks[] = { { a, 1 }, { b, 0 } };
        const WireMessage *message;

        a->suspicions[1] = (Suspicion){ .state = BLAME_SUSPECT, .code = 121 };
        a->fates[1] = FATE_SUSPECT;
        b->received = 5;
        assert_int_equal(batch_gather(picks, 2, &copy), 0);
        batch_free(a);
        batch_free(b);

        message = &copy->pull.messages[0];
        assert_int_equal(copy->pull.n, 2);
        assert_int_equal(copy->received, 5);
        assert_int_equal(copy->fates[0], FATE_PENDING);
        assert_int_equal(copy->suspicions[0].code, 121);
        assert_int_equal(copy->oldest_publish, UINT64_C(1767312003500) * USEC_PER_MSEC);
        assert_true(slice_equal(message->ack_id, "b"));
        assert_true(slice_equal(message->message_id, "2"));
        assert_true(slice_equal(message->data, "{}"));
        assert_true(slice_equal(message->ordering_key, "o"));
        assert_int_equal(message->delivery_attempt, 3);
        assert_int_equal(message->n_attributes, 2);
        assert_true(slice_equal(message->attributes[0].key, "k"));
        assert_true(slice_equal(message->attributes[0].value, "v"));
        assert_true(slice_equal(message->attributes[1].key, "l"));
        assert_true(slice_equal(copy->pull.messages[1].ack_id, "a"));
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
                batch_set_fate(batch, 0, to);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void test_moves(void **state) {
#ifdef NDEBUG
        skip(); /* not possible here: moves are asserted */
#endif
        for (Fate from = FATE_PENDING; from <= FATE_MOVED; from++)
                for (Fate to = FATE_PENDING; to <= FATE_MOVED; to++) {
                        bool allowed = (from == FATE_PENDING && to != FATE_PENDING) ||
                                       ((from == FATE_UNKEPT || from == FATE_SUSPECT) && to == FATE_MOVED);

                        assert_int_equal(aborts(from, to), !allowed);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_new),
                cmocka_unit_test(test_malformed_leaves_the_body),
                cmocka_unit_test(test_settled),
                cmocka_unit_test(test_gather),
                cmocka_unit_test(test_moves),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
