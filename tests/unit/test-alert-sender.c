/* SPDX-License-Identifier: Apache-2.0 */
/* The sender of alerts: P14 (what is due is told once, whatever dies), P10, P11. */
#include "alert-sender-fixture.h"

#include <signal.h>

/* ---- what the target says ---- */

static int says_later_twice(const World *w, const Call *call) {
        return w->n_calls == 0 ? 429 : w->n_calls == 1 ? 503 : 200;
}

static int says_nothing_at_first(const World *w, const Call *call) {
        return w->n_calls == 0 ? NO_ANSWER : 200;
}

static int says_it_was_there(const World *w, const Call *call) {
        return w->n_calls == 0 ? NO_ANSWER : 409;
}

static int says_no_to_poison(const World *w, const Call *call) {
        return strstr(call->body, "poison") ? 400 : 200;
}

static int says_gone_five_times(const World *w, const Call *call) {
        return w->n_calls < 5 ? 410 : 200;
}

static int says_moved(const World *w, const Call *call) {
        return w->n_calls < 3 ? 302 : 200;
}

static int says_forbidden_once(const World *w, const Call *call) {
        return w->n_calls == 0 ? 403 : 200;
}

/* Of a gateway, after the server behind it took the message. */
static int says_gateway_at_first(const World *w, const Call *call) {
        return w->n_calls == 0 ? 502 : 200;
}

/* The first one has no answer; then it is refused for a while, and others are not. */
static int says_nothing_then_refuses(const World *w, const Call *call) {
        return !strstr(call->body, "one") ? 200 : w->n_calls == 0 ? NO_ANSWER : w->n_calls < 4 ? 403 : 409;
}

static int says_nothing_then_refuses_for_good(const World *w, const Call *call) {
        return !strstr(call->body, "one") ? 200 : w->n_calls == 0 ? NO_ANSWER : 403;
}

/* ---- tests ---- */

static void test_what_fires_together_is_one_message(void **state) {
        World *w = *state;

        due(w, "one");
        due(w, "two");
        due(w, "three");
        start(w, says_yes);
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 1);
        assert_contains(w->calls[0].body, "one\\ntwo\\nthree");
        assert_all_accepted_once(w);
        assert_in_range(w->longest_wait, 900 * USEC_PER_MSEC, 1 * USEC_PER_SEC);
        assert_int_equal(status(w).sent, 1);
}

static void test_a_webhook_has_one_request_for_each(void **state) {
        World *w = *state;

        as_web(w);
        due(w, "one");
        due(w, "two");
        start(w, says_yes);
        UNTIL(w, w->n_calls == 1);
        w->longest_wait = 0;
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 2);
        assert_int_equal(w->longest_wait, 0); /* the second has waited for others with the first */
        assert_contains(w->calls[0].body, "\"message\":\"one\"");
        assert_int_equal(strlen(w->calls[0].key), ALERT_KEY_SIZE - 1);
        assert_string_not_equal(w->calls[0].key, w->calls[1].key);
        assert_all_accepted_once(w);
}

static void test_ntfy_and_line_prove_who_they_are(void **state) {
        World *w = *state;

        w->target = (AlertTarget){
                .name = name, .type = ALERT_NTFY, .at.url = w->url, .topic = topic, .token = { file, token }
        };
        due(w, "one");
        start(w, says_yes);
        UNTIL(w, all_settled(w));
        assert_string_equal(w->calls[0].authorization, "Bearer t0ken-of-line");
        assert_string_equal(w->calls[0].path, "/");
        stop(w);
        as_line(w);
        due(w, "two");
        start(w, says_yes);
        UNTIL(w, all_settled(w));
        assert_string_equal(w->calls[1].authorization, "Bearer t0ken-of-line");
        assert_string_equal(w->calls[1].path, "/v2/bot/message/push");
        assert_int_equal(strlen(w->calls[1].key), ALERT_KEY_SIZE - 1);
        assert_all_accepted_once(w);
}

static void test_an_outage_is_said_once_and_loses_nothing(void **state) {
        World *w = *state;
        Capture capture = capture_begin();
        char *text;

        w->headers = "Retry-After: 77\r\n";
        due(w, "one");
        start(w, says_later_twice);
        UNTIL(w, all_settled(w));
        text = capture_end(&capture);
        assert_int_equal(w->n_calls, 3);
        assert_all_accepted_once(w);
        assert_in_range(w->longest_wait, 76 * USEC_PER_SEC, 77 * USEC_PER_SEC);
        assert_int_equal(count_of(text, EVENT_ALERT_TARGET_DOWN), 1);
        assert_int_equal(count_of(text, EVENT_ALERT_TARGET_UP), 1);
        assert_contains(text, "SENSORQD_TARGET=family");
}

/* The target and the network did nothing: no request was made. */
static void test_without_memory_nobody_else_is_blamed(void **state) {
        World *w = *state;
        Capture capture = capture_begin();
        char *text;

        w->starved = 2;
        due(w, "one");
        start(w, says_yes);
        UNTIL(w, all_settled(w));
        text = capture_end(&capture);
        assert_int_equal(w->n_calls, 1);
        assert_all_accepted_once(w);
        assert_int_equal(count_of(text, EVENT_ALERT_TARGET_DOWN), 1);
        assert_contains(text, "cannot be contacted: Cannot allocate memory");
        assert_contains(text, CAUSE_MEMORY_PLACES);
        assert_null(strstr(text, "network"));
}

/* It is sent twice, as it was. */
static void assert_sent_again(World *w, int (*says)(const World *w, const Call *call)) {
        due(w, "one");
        start(w, says);
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 2);
        assert_string_equal(w->calls[0].key, w->calls[1].key);
        assert_string_equal(w->calls[0].body, w->calls[1].body);
        assert_all_accepted_once(w);
}

/* Nobody answered, perhaps somebody listened. */
static void test_without_an_answer_the_key_stays(void **state) {
        as_web(*state);
        assert_sent_again(*state, says_nothing_at_first);
}

static void test_line_knows_its_key(void **state) {
        as_line(*state);
        assert_sent_again(*state, says_it_was_there);
}

static void test_a_gateway_says_nothing_of_the_server(void **state) {
        as_web(*state);
        assert_sent_again(*state, says_gateway_at_first);
}

static void test_without_an_answer_or_key_it_is_sent_again(void **state) {
        assert_sent_again(*state, says_nothing_at_first);
}

/* A refusal says nothing of the request before, which had no answer: the key stays, and others do not wait for it. */
static void test_refused_after_no_answer_the_key_stays(void **state) {
        World *w = *state;

        as_line(w);
        due(w, "one");
        start(w, says_nothing_then_refuses);
        UNTIL(w, w->n_calls >= 2);
        due(w, "two");
        UNTIL(w, all_settled(w));
        assert_all_accepted_once(w);
        for (size_t i = 1; i < w->n_calls; i++)
                if (strstr(w->calls[i].body, "one"))
                        assert_string_equal(w->calls[0].key, w->calls[i].key);
                else
                        assert_in_range(i, 2, 3); /* before what is refused comes to an end */
        assert_int_equal(status(w).trouble.grade, TROUBLE_NONE);
}

/* The target is well, and one message is not: how often that one is tried delays no other. */
static void test_refused_for_good_after_no_answer_nobody_waits(void **state) {
        World *w = *state;
        size_t tries = 0;

        as_line(w);
        due(w, "one");
        start(w, says_nothing_then_refuses_for_good);
        UNTIL(w, w->n_calls >= 6);
        due(w, "two");
        w->longest_wait = 0;
        while (!is_accepted(w, 1)) {
                assert_true(loop_turn(w->loop, 20 * USEC_PER_MSEC) >= 0);
                assert_true(is_accepted(w, 1) || w->n_calls < 20);
        }
        assert_in_range(w->longest_wait, 0, 1 * USEC_PER_SEC);
        for (size_t i = 0; i < w->n_calls; i++)
                tries += strstr(w->calls[i].body, "one") != NULL;
        assert_in_range(tries, 6, 7);
}

/* ... and that the target takes others is not forgotten at its next try. */
static void test_refused_after_no_answer_is_told_once(void **state) {
        static const char *const others[] = { "two", "three", "four", "five" };
        World *w = *state;
        Capture capture = capture_begin();
        char *text;

        as_line(w);
        due(w, "one");
        start(w, says_nothing_then_refuses_for_good);
        UNTIL(w, status(w).trouble.grade == TROUBLE_LASTING);
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                size_t before = w->n_calls;

                due(w, others[i]);
                UNTIL(w, is_accepted(w, i + 1) && w->n_calls >= before + 2);
        }
        text = capture_end(&capture);
        assert_int_equal(count_of(text, EVENT_ALERT_TARGET_DOWN), 1);
        assert_int_equal(count_of(text, EVENT_ALERT_TARGET_UP), 1);
        assert_true(is_due(w, 0) && is_sealed(w, 0));
}

static void test_a_web_page_took_nothing(void **state) {
        World *w = *state;

        w->headers = "Content-Type: text/html\r\n";
        w->words = "<!DOCTYPE html><title>Log in</title>";
        due(w, "one");
        start(w, says_yes);
        UNTIL(w, w->n_calls >= 2);
        assert_true(is_due(w, 0));
        assert_contains(status(w).trouble.detail, "web page");
        assert_int_equal(status(w).trouble.grade, TROUBLE_LASTING);
        w->words = "ok"; /* of the same type, as Slack and many a web server say it */
        UNTIL(w, all_settled(w));
        assert_all_accepted_once(w);
}

static void test_redirects_and_revoked_addresses_are_outages(void **state) {
        World *w = *state;

        due(w, "one");
        start(w, says_moved);
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 4);
        forget_calls(w);
        w->says = says_gone_five_times;
        due(w, "two");
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 6);
        assert_all_accepted_once(w);
        assert_in_range(w->longest_wait, 39 * USEC_PER_SEC, 40 * USEC_PER_SEC); /* five times the longest backoff */
}

/* P11: only while the target takes others is it the message's fault. */
static void test_one_that_is_refused_is_given_up_alone(void **state) {
        World *w = *state;
        Capture capture = capture_begin();
        char *text;

        due(w, "one");
        due(w, "poison");
        due(w, "three");
        start(w, says_no_to_poison);
        UNTIL(w, all_settled(w));
        text = capture_end(&capture);
        assert_true(is_accepted(w, 0) && is_accepted(w, 2));
        assert_true(is_refused(w, 1));
        assert_false(is_accepted(w, 1));
        assert_int_equal(count_of(text, EVENT_ALERT_REFUSED), 1);
        assert_contains(text, "It was about: hot, poison (Alert), and is not sent again. To do: correct the rule's");
        assert_int_equal(count_of(text, EVENT_ALERT_TARGET_DOWN), 0);
        assert_int_equal(status(w).refused, 1);
}

static void test_alone_it_waits_for_another(void **state) {
        World *w = *state;

        due(w, "poison");
        start(w, says_no_to_poison);
        UNTIL(w, w->n_calls >= 6);
        assert_true(is_due(w, 0));
        assert_int_equal(status(w).trouble.grade, TROUBLE_LASTING);
        due(w, "another");
        UNTIL(w, all_settled(w));
        assert_true(is_refused(w, 0));
        assert_true(is_accepted(w, 1));
        assert_int_equal(status(w).trouble.grade, TROUBLE_NONE);
}

/* The target had it, and we die before that is noted: told twice only where the service has no key. */
static void test_killed_between_answer_and_record(void **state) {
        World *w = *state;

        as_line(w);
        due(w, "one");
        start(w, says_yes);
        UNTIL(w, is_sealed(w, 0));
        w->store_fails = true;
        UNTIL(w, w->n_calls == 1 && status(w).sent == 1);
        w->store_fails = false;
        restart(w);
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 2);
        assert_string_equal(w->calls[0].key, w->calls[1].key);
        assert_string_equal(w->calls[0].body, w->calls[1].body);
        stop(w);
        as_slack(w);
        due(w, "two");
        start(w, says_yes);
        UNTIL(w, is_sealed(w, 1));
        w->store_fails = true;
        UNTIL(w, w->n_calls == 3 && status(w).sent == 1);
        w->store_fails = false;
        restart(w);
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 4);
        assert_all_accepted_once(w);
}

/* A store that cannot note an answer is asked again, the target is not. */
static void test_a_full_disk_sends_nothing_twice(void **state) {
        World *w = *state;
        unsigned before;

        due(w, "one");
        start(w, says_yes);
        UNTIL(w, is_sealed(w, 0));
        w->store_fails = true;
        UNTIL(w, status(w).sent == 1);
        before = w->turns;
        UNTIL(w, w->turns >= before + 2);
        w->store_fails = false;
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 1);
        assert_all_accepted_once(w);
}

static void test_what_is_over_before_it_is_sealed_is_not_sent(void **state) {
        World *w = *state;

        due(w, "one");
        start(w, says_yes);
        on_turn(w); /* it waits for others */
        w->stored[0].entry->closed = w->stored[0].entry->since;
        alert_entry_cease(w->stored[0].entry, USEC_PER_SEC, ALERT_END_OVER, "");
        UNTIL(w, all_settled(w) && !w->wanted);
        due(w, "two");
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 1);
        assert_contains(w->calls[0].body, "two");
}

/* The machine slept while a repeat waited for others or for its target: it then waits for what the queue has. */
static void test_a_repeat_that_waited_over_a_sleep_waits_for_the_queue(void **state) {
        World *w = *state;
        unsigned before;

        due(w, "one");
        start(w, says_yes);
        UNTIL(w, all_settled(w) && !w->wanted);
        w->rule.repeat = USEC_PER_HOUR;
        w->stored[0].entry->told_at -= 2 * USEC_PER_HOUR;
        on_turn(w); /* it waits for others */
        assert_int_equal(status(w).waiting, 1);
        w->deaf = true;
        before = w->turns;
        UNTIL(w, w->turns > before);
        want(w);
        UNTIL(w, !w->wanted);
        assert_int_equal(w->n_calls, 1);
        assert_false(is_sealed(w, 0));
        w->deaf = false;
        want(w);
        UNTIL(w, w->n_calls == 2);
}

/* While the disk was full, the seal was not noted, and messages said that it is over. */
static void test_what_is_over_before_its_seal_is_stored_is_not_sent(void **state) {
        World *w = *state;
        unsigned before;

        due(w, "one");
        start(w, says_yes);
        on_turn(w); /* it waits for others */
        w->store_fails = true;
        before = w->turns;
        UNTIL(w, w->turns >= before + 3);
        w->stored[0].entry->closed = w->stored[0].entry->since;
        alert_entry_cease(w->stored[0].entry, USEC_PER_SEC, ALERT_END_OVER, "");
        w->store_fails = false;
        due(w, "two");
        UNTIL(w, w->stored[1].entry && is_accepted(w, 1));
        assert_int_equal(w->n_calls, 1);
        assert_contains(w->calls[0].body, "two");
        assert_null(strstr(w->calls[0].body, "one"));
}

/* Which a message was before that, and has no answer, is sent again as it was. */
static void test_without_an_answer_the_key_outlives_a_full_disk(void **state) {
        World *w = *state;
        unsigned before;

        as_line(w);
        due(w, "one");
        start(w, says_nothing_at_first);
        UNTIL(w, w->n_calls == 1);
        w->store_fails = true;
        before = w->turns;
        UNTIL(w, w->turns >= before + 8);
        w->store_fails = false;
        UNTIL(w, all_settled(w));
        assert_int_equal(w->n_calls, 2);
        assert_string_equal(w->calls[0].key, w->calls[1].key);
        assert_string_equal(w->calls[0].body, w->calls[1].body);
        assert_all_accepted_once(w);
}

static void test_a_drained_sender_owes_nothing(void **state) {
        World *w = *state;

        due(w, "one");
        start(w, says_yes);
        assert_false(is_drained(w));
        alert_sender_drain(w->sender);
        UNTIL(w, is_drained(w));
        assert_int_equal(w->n_calls, 1);
        assert_all_accepted_once(w);
}

static void test_a_drained_sender_does_not_try_again(void **state) {
        World *w = *state;

        due(w, "one");
        start(w, says_forbidden_once);
        alert_sender_drain(w->sender);
        UNTIL(w, is_drained(w));
        assert_int_equal(w->n_calls, 1);
        assert_true(is_due(w, 0));
        assert_true(!is_sealed(w, 0));
}

/* What was refused, and is to be tried again in some minutes, is left to the next one. */
static void test_a_drained_sender_does_not_wait_for_what_was_refused(void **state) {
        World *w = *state;

        as_line(w);
        due(w, "one");
        start(w, says_nothing_then_refuses);
        UNTIL(w, w->n_calls >= 2);
        due(w, "two");
        UNTIL(w, is_accepted(w, 1));
        assert_int_equal(status(w).trouble.grade, TROUBLE_NONE);
        w->longest_wait = 0;
        alert_sender_drain(w->sender);
        UNTIL(w, is_drained(w));
        assert_in_range(w->longest_wait, 0, 2 * USEC_PER_SEC);
        assert_true(is_due(w, 0) && is_sealed(w, 0));
}

/* P10: a service that repeats the address. */
static void test_no_secret_is_repeated(void **state) {
        World *w = *state;
        Capture capture = capture_begin();
        char *text;

        w->words = "no such hook: /services/T0/4Hd8sK2p9QxZ";
        due(w, "one");
        start(w, says_forbidden_once);
        UNTIL(w, all_settled(w));
        text = capture_end(&capture);
        assert_contains(text, "no such hook");
        assert_null(strstr(text, "4Hd8sK2p9QxZ"));
}

static void test_a_wrong_secret_is_told(void **state) {
        World *w = *state;
        char problem[SINK_DETAIL_MAX] = "";
        AlertPost *post;

        w->target.at.url_file.text = (char[]){ "hooks.slack.com/services/T0" };
        assert_int_equal(alert_post_new(&(SinkMeans){ .http = w->http }, "s", &w->target, &post, problem), -EBADMSG);
        assert_contains(problem, "secret file secret does not hold a URL");
}

/* What `systemctl status` and status.json say. */
static void test_report(void **state) {
        World *w = *state;
        _cleanup_(alert_figures_done) AlertFigures figures = { .firing = 3 };
        _cleanup_bytes_ Bytes text = {}, words = {};
        _cleanup_(json_freep) Json *json = NULL;
        Json *target;

        due(w, "one");
        start(w, says_gone_five_times);
        UNTIL(w, w->n_calls == 1 && status(w).trouble.grade == TROUBLE_LASTING);
        assert_int_equal(bytes_append_text(&figures.rules, "[]"), 0);
        assert_int_equal(bytes_append_text(&figures.names, "hot: Bed\nroom, leak, ..."), 0);
        assert_int_equal(alert_report_write(&figures, w->sender, &text, &words), 0);
        assert_string_equal(
                words.data, "3 alerts firing (hot: Bed room, leak, ...), alert target family down, 1 waiting");
        assert_int_equal(json_parse(text.data, text.size, &json), 0);
        target = json_at(json_get(json, "targets"), 0);
        assert_string_equal(json_get_string(target, "name"), "family");
        assert_contains(json_get_string(target, "detail"), "HTTP 410");
        assert_non_null(json_get_string(target, "failing_since"));
        UNTIL(w, all_settled(w));
        assert_int_equal(alert_report_write(&(AlertFigures){}, w->sender, &text, &words), 0);
        assert_string_equal(words.data, "");
}

/* ---- */

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_what_fires_together_is_one_message),
                TEST(test_a_webhook_has_one_request_for_each),
                TEST(test_ntfy_and_line_prove_who_they_are),
                TEST(test_an_outage_is_said_once_and_loses_nothing),
                TEST(test_without_memory_nobody_else_is_blamed),
                TEST(test_without_an_answer_the_key_stays),
                TEST(test_line_knows_its_key),
                TEST(test_a_gateway_says_nothing_of_the_server),
                TEST(test_refused_after_no_answer_the_key_stays),
                TEST(test_without_an_answer_or_key_it_is_sent_again),
                TEST(test_refused_for_good_after_no_answer_nobody_waits),
                TEST(test_refused_after_no_answer_is_told_once),
                TEST(test_a_web_page_took_nothing),
                TEST(test_redirects_and_revoked_addresses_are_outages),
                TEST(test_one_that_is_refused_is_given_up_alone),
                TEST(test_alone_it_waits_for_another),
                TEST(test_killed_between_answer_and_record),
                TEST(test_a_full_disk_sends_nothing_twice),
                TEST(test_what_is_over_before_it_is_sealed_is_not_sent),
                TEST(test_a_repeat_that_waited_over_a_sleep_waits_for_the_queue),
                TEST(test_what_is_over_before_its_seal_is_stored_is_not_sent),
                TEST(test_without_an_answer_the_key_outlives_a_full_disk),
                TEST(test_a_drained_sender_owes_nothing),
                TEST(test_a_drained_sender_does_not_try_again),
                TEST(test_a_drained_sender_does_not_wait_for_what_was_refused),
                TEST(test_no_secret_is_repeated),
                TEST(test_a_wrong_secret_is_told),
                TEST(test_report),
        };

        (void) signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
