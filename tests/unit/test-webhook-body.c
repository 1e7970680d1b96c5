/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the webhook sink, built by a slow machine, and what an answer to one means. */
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

/* P3: a web page with 200 is not the server's word that it has stored the documents, unless it says what it is to say.
 */
static void test_answers(void **state) {
        static const struct {
                int status;
                const char *body, *expect;
                WebClass class;
        } cases[] = {
                { 200, "", NULL, WEB_TAKEN },
                { 204, "", NULL, WEB_TAKEN },
                { 200, "ok", NULL, WEB_TAKEN },
                { 200, "{\"status\":\"success\"}", NULL, WEB_TAKEN },
                { 200, "<h1>Thank you</h1>", NULL, WEB_TAKEN },
                { 200, "<!DOCTYPE html><title>Hotel Wi-Fi login</title>", NULL, WEB_PERSON },
                { 202, "\n<html><body>Sign in</body></html>", NULL, WEB_PERSON },
                { 200, "<!DOCTYPE html><body>It is stored.</body>", "stored", WEB_TAKEN },
                { 200, "{\"stored\": 2}", "stored", WEB_TAKEN },
                { 200, "TypeError: sheet is null", "stored", WEB_PERSON },
                { 204, "", "stored", WEB_PERSON },
                { 302, "stored", "stored", WEB_PERSON },
                { 401, "<html>", NULL, WEB_PERSON },
                { 422, "<html>stored", "stored", WEB_REFUSED },
                { 503, "<html>", NULL, WEB_UNKNOWN },
                { 429, "<html>", NULL, WEB_LATER },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *body = (char *) cases[i].body;
                const HttpReply reply = { .status = cases[i].status, .body = { body, strlen(body) } };

                assert_int_equal(web_place_class(&reply, cases[i].expect), cases[i].class);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bad_ones_in_several_turns),
                cmocka_unit_test(test_answers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
