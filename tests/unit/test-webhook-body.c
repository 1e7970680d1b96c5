/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the webhook sink, built by a slow machine. */
#include "document-fixture.h"

#include <time.h>

#include "real-calls.h"
#include "sinks/webhook.h"

static time_t slowness, passed; /* seconds: that each look at the clock takes; all of them */

int clock_gettime(clockid_t clock, struct timespec *now) {
        if (clock != CLOCK_BOOTTIME)
                return real_clock_gettime(clock, now);
        *now = (struct timespec){ .tv_sec = passed += slowness };
        return 0;
}

enum { BAD_ONES = 5, ALL = 8 };

static void set_up(SinkItem *items, WireMessage *messages) {
        for (size_t i = 0; i < ALL; i++) {
                messages[i] = i > 0 && i <= BAD_ONES ? message_of("{", 1) : message_of("{}", 2);
                items[i] = (SinkItem){ .message = &messages[i] };
        }
}

/* Builds a body of all, where each bad one takes *slow* seconds. */
static void check_turns(time_t slow, unsigned expected) {
        WireMessage messages[ALL];
        SinkItem items[ALL];
        SinkWork work = { .items = items, .n = ALL };
        WebhookSpan span = { 0, ALL };
        WebhookBody body = {};
        unsigned turns = 1;

        set_up(items, messages);
        slowness = slow;
        while (webhook_body_build(&rules, &work, ALL, &span, &body) == WEBHOOK_BODY_LATER) {
                webhook_body_done(&body);
                turns++;
        }
        assert_int_equal(turns, expected);
        assert_int_equal(body.n, ALL - BAD_ONES);
        assert_int_equal(span.end, ALL);
        webhook_body_done(&body);
        for (size_t i = 0; i < ALL; i++) {
                assert_int_equal(items[i].verdict, i > 0 && i <= BAD_ONES ? SINK_BAD : SINK_PENDING);
                free(items[i].detail);
        }
}

/* P6, P13: 40 messages of 30 kB, gzip of what is too large, held up the whole daemon for 15 s: the watchdog ended it,
 * and they came again. */
static void test_bad_ones_in_several_turns(void **state) {
        check_turns(1, 1 + BAD_ONES);
        check_turns(0, 1); /* what takes no time needs no other turn */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bad_ones_in_several_turns),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
