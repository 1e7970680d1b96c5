/* SPDX-License-Identifier: Apache-2.0 */
#include "publisher-fixture.h"

/* ---- what works ---- */

/* P2: forgotten when the ids are back; each once, in order, with its key. */
static void test_publishes(void **state) {
        Fixture *f = *state;
        char first[100];

        put(f, 0, 5, 10);
        assert_false(publisher_is_idle(f->publisher));
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(waiting(f), 0);
        PublisherStatus status = status_of(f);
        assert_int_equal(status.published, 5);
        assert_int_equal(status.requests, 1);
        assert_true(status.last_publish > 0);
        assert_false(status.failure.on);
        assert_true(f->changes > 0);
        pthread_mutex_lock(&f->lock);
        assert_string_equal(f->last_path, "POST /v1/" TOPIC ":publish");
        (void) snprintf(first, sizeof(first), "2026-11-24T06:27:38.123Z:home:d0:%016x\n", 0);
        assert_memory_equal(f->keys, first, strlen(first));
        pthread_mutex_unlock(&f->lock);
}

static void test_labels_are_attributes(void **state) {
        Fixture *f = *state;
        _cleanup_bytes_ Bytes labels = {}, payload = {};
        ReadingOrigin origin = { .source = "home", .type = "mqtt", .device = "d1", .at = "2026-11-24T06:27:38.123Z" };
        ReadingList list = {};

        assert_int_equal(reading_labels_add(&labels, "site", "nakano"), 0);
        origin.labels = bytes_slice(&labels);
        assert_int_equal(bytes_append_text(&payload, "{}"), 0);
        assert_int_equal(reading_list_add(&list, &origin, &payload), 0);
        assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
        reading_list_done(&list);
        publisher_wake(f->publisher);
        RUN_UNTIL(f, accepted(f) == 1);
        LOCKED(f, assert_true(f->labelled));
}

static void test_batches(void **state) {
        Fixture *f = *state;

        put(f, 0, 2500, 10);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(waiting(f), 0);
        assert_int_equal(status_of(f).requests, 3);
        assert_int_equal(accepted(f), 2500);
}

static void test_body_limit(void **state) {
        Fixture *f = *state;

        f->body_max = PUBLISHER_BODY_MAX; /* what the service would refuse fails here as well */
        put(f, 0, 30, 1000 * 1000);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(waiting(f), 0);
        assert_int_equal(status_of(f).failures, 0);
        assert_in_range(status_of(f).requests, 6, 10); /* it begins with less */
}

/* What was published before a restart is not published again, what was not is. */
static void test_goes_on_after_restart(void **state) {
        Fixture *f = *state;

        put(f, 0, 3, 10);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        put(f, 3, 2, 10);
        f->publisher = publisher_free(f->publisher); /* before anything was sent */
        start(f);
        publisher_wake(f->publisher);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(accepted(f), 5);
}

static void test_pause(void **state) {
        Fixture *f = *state;

        publisher_pause(f->publisher, PUBLISHER_SAID_ELSEWHERE);
        put(f, 0, 3, 10);
        assert_true(loop_turn(f->event, 50 * USEC_PER_MSEC) >= 0);
        assert_true(publisher_is_idle(f->publisher));
        assert_true(status_of(f).paused);
        assert_int_equal(http_server_calls(f->server), 0);
        publisher_pause(f->publisher, PUBLISHER_GO_ON);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(accepted(f), 3);
}

/* Why it is paused is said as a failure, once, also where what is known is looked at again in between. */
static void test_pause_with_a_reason(void **state) {
        Fixture *f = *state;

        publisher_pause(f->publisher, "nobody listens");
        put(f, 0, 3, 10);
        publisher_pause(f->publisher, PUBLISHER_SAID_ELSEWHERE);
        publisher_pause(f->publisher, "nobody listens");
        assert_true(loop_turn(f->event, 50 * USEC_PER_MSEC) >= 0);
        assert_true(status_of(f).paused && status_of(f).failure.on);
        assert_int_equal(status_of(f).failures, 1);
        assert_string_equal(status_of(f).failure.detail, "nobody listens");
        publisher_pause(f->publisher, PUBLISHER_GO_ON);
        assert_false(status_of(f).failure.on);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(accepted(f), 3);
}

/* The answer to what was under way when the pause began says nothing about the pause. */
static void test_pause_while_under_way(void **state) {
        Fixture *f = *state;
        Capture c;

        pthread_mutex_lock(&f->lock); /* the server has the request, and waits with its answer */
        put(f, 0, 3, 10);
        RUN_UNTIL(f, http_server_calls(f->server) == 1);
        c = capture_begin();
        publisher_pause(f->publisher, "nobody listens");
        pthread_mutex_unlock(&f->lock);
        RUN_UNTIL(f, waiting(f) == 0);
        publisher_pause(f->publisher, "nobody listens"); /* looked at again */
        assert_true(status_of(f).paused && status_of(f).failure.on);
        assert_string_equal(status_of(f).failure.detail, "nobody listens");

        put(f, 3, 1, 10);
        publisher_pause(f->publisher, PUBLISHER_GO_ON);
        assert_false(status_of(f).failure.on);
        RUN_UNTIL(f, waiting(f) == 0);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_PUBLISH_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_PUBLISH_RECOVERED), 1);
}

/* Nor does the end of a pause say that what failed before works again. */
static void test_pause_while_failing(void **state) {
        Fixture *f = *state;
        Capture c = capture_begin();
        char *log;

        set_status(f, 403, "");
        put(f, 0, 3, 10);
        RUN_UNTIL(f, status_of(f).failure.on);
        publisher_pause(f->publisher, "nobody listens");
        assert_string_equal(status_of(f).failure.detail, "nobody listens");
        publisher_pause(f->publisher, PUBLISHER_GO_ON);
        assert_true(status_of(f).failure.on);
        log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_PUBLISH_FAILING), 2);
        assert_int_equal(count_of(log, EVENT_PUBLISH_RECOVERED), 0);
}

/* ---- what fails ---- */

static void check_failure(Fixture *f, int http_status, const char *headers, usec_t least, usec_t most) {
        usec_t asked = clock_now();

        set_status(f, http_status, headers);
        put(f, 0, 2, 10);
        RUN_UNTIL(f, status_of(f).failure.on);
        PublisherStatus status = status_of(f);
        assert_true(publisher_is_idle(f->publisher)); /* nothing can be sent now */
        assert_in_range(status.retry_at, asked + least, clock_now() + most);
        assert_true(status.failure.detail[0] != '\0');
        publisher_wake(f->publisher); /* does not shorten the wait */
        assert_true(loop_turn(f->event, 10 * USEC_PER_MSEC) >= 0);
        if (clock_now() < status.retry_at)
                assert_int_equal(http_server_calls(f->server), status.requests);

        set_status(f, 0, "");
        skip_wait(f);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(waiting(f), 0); /* P2: nothing was lost */
}

static void test_unavailable(void **state) {
        check_failure(*state, 503, "", USEC_PER_SEC / 10, USEC_PER_SEC);
}

static void test_retry_after(void **state) {
        check_failure(*state, 429, "Retry-After: 50\r\n", 50 * USEC_PER_SEC, 50 * USEC_PER_SEC);
}

static void test_forbidden(void **state) {
        check_failure(*state, 403, "", 30 * USEC_PER_SEC, 60 * USEC_PER_SEC);
}

static void test_not_found(void **state) {
        Fixture *f = *state;

        set_status(f, 404, "");
        put(f, 5, 1, 10);
        RUN_UNTIL(f, status_of(f).failure.on);
        assert_int_equal(f->missing, 1); /* its subscriptions are looked at, once for each 404 */
}

static void test_not_found_waits(void **state) {
        check_failure(*state, 404, "", 30 * USEC_PER_SEC, 60 * USEC_PER_SEC);
}

static void test_other_400(void **state) {
        check_failure(*state, 400, "", 30 * USEC_PER_SEC, 60 * USEC_PER_SEC); /* no INVALID_ARGUMENT */
}

/* P2: ids that do not match what was sent prove nothing. */
static void test_missing_id(void **state) {
        Fixture *f = *state;

        f->one_id_less = true;
        put(f, 0, 3, 10);
        RUN_UNTIL(f, status_of(f).failure.on);
        assert_int_equal(waiting(f), 3);
        assert_true(status_of(f).retry_at > clock_now() + 25 * USEC_PER_SEC);
        LOCKED(f, f->one_id_less = false);
        skip_wait(f);
        RUN_UNTIL(f, waiting(f) == 0);
        pthread_mutex_lock(&f->lock);
        assert_int_equal(count_of(f->keys, ":home:d0:"), 2); /* P4: sent twice, under one key */
        char *half = f->keys + strlen(f->keys) / 2;
        assert_memory_equal(f->keys, half, strlen(half));
        pthread_mutex_unlock(&f->lock);
}

/* P2: nor does an answer that never came. P4: what was accepted all the same is sent again under the same keys. */
static void test_no_answer(void **state) {
        Fixture *f = *state;

        f->no_reply = true;
        put(f, 0, 3, 10);
        RUN_UNTIL(f, status_of(f).failure.on);
        assert_int_equal(waiting(f), 3);
        assert_int_equal(status_of(f).published, 0);
        assert_in_range(accepted(f), 3, 6); /* libcurl tries once more by itself on some connections */
        LOCKED(f, f->no_reply = false);
        skip_wait(f);
        RUN_UNTIL(f, waiting(f) == 0);
        assert_int_equal(status_of(f).published, 3);
        pthread_mutex_lock(&f->lock);
        for (unsigned i = 0; i < 3; i++) {
                char key[64];

                (void) snprintf(key, sizeof(key), "2026-11-24T06:27:38.123Z:home:d%u:%016x\n", i, i);
                assert_int_equal(count_of(f->keys, key), f->accepted / 3);
        }
        pthread_mutex_unlock(&f->lock);
}

/* A line on which answers get lost: each try is half of the one before, so that what was accepted all the same is at
 * most twice what one request held; and all goes in large pieces again when the line is good. */
static void test_halves_what_did_not_get_through(void **state) {
        Fixture *f = *state;
        unsigned doubled;

        f->no_reply = true;
        put(f, 0, 1000, 10);
        RUN_UNTIL(f, status_of(f).failures >= 3);
        pthread_mutex_lock(&f->lock);
        assert_int_equal(f->most, 1000);
        assert_in_range(f->last, 200, 300);
        doubled = f->accepted;
        f->no_reply = false;
        f->most = 0;
        pthread_mutex_unlock(&f->lock);
        assert_in_range(doubled, 1000, 2 * 2000); /* libcurl tries once more by itself on some connections */
        RUN_UNTIL(f, waiting(f) == 0);
        assert_int_equal(accepted(f), doubled + 1000);
        put(f, 1000, 3000, 10);
        RUN_UNTIL(f, waiting(f) == 0);
        LOCKED(f, assert_int_equal(f->most, 1000));
}

/* A proxy with a limit on the size of a request need not say 413: a backlog that is larger stood for ever. */
static void test_proxy_that_says_no_more_than_no(void **state) {
        Fixture *f = *state;

        f->body_max = 100000;
        f->over = 502;
        put(f, 0, 10000, 10);
        RUN_UNTIL(f, waiting(f) == 0);
        assert_int_equal(accepted(f), 10000);
        assert_in_range(f->most, 200, 999);
        assert_in_range(status_of(f).requests, 10, 30); /* it is not asked of every second one */
}

/* P6: a captive portal's page is no judgement about a message, and no reason for smaller requests. */
static void test_huge_answer(void **state) {
        Fixture *f = *state;

        f->huge = true;
        put(f, 0, 100, 1000);
        RUN_UNTIL(f, status_of(f).failure.on);
        assert_int_equal(status_of(f).requests, 1);
        assert_true(status_of(f).retry_at > clock_now() + 25 * USEC_PER_SEC);
        assert_int_equal(waiting(f), 100);
        LOCKED(f, f->huge = false);
        skip_wait(f);
        RUN_UNTIL(f, waiting(f) == 0);
        assert_int_equal(accepted(f), 100);
}

static void test_retries_by_itself(void **state) {
        Fixture *f = *state;

        set_status(f, 503, "");
        put(f, 0, 2, 10);
        RUN_UNTIL(f, status_of(f).failures >= 2);
        set_status(f, 0, "");
        RUN_UNTIL(f, waiting(f) == 0);
        assert_false(status_of(f).failure.on);
        assert_int_equal(status_of(f).retry_at, 0);
}

/* A report during a request, which may take long, does not show a next try that is over. */
static void test_tells_of_a_try(void **state) {
        Fixture *f = *state;
        usec_t since;

        set_status(f, 503, "");
        put(f, 0, 2, 10);
        RUN_UNTIL(f, f->told.retry_at > 0);
        since = clock_now();
        pthread_mutex_lock(&f->lock); /* the server cannot answer */
        while (f->told.requests < 2 && clock_now() - since < 5 * USEC_PER_SEC)
                run_once(f);
        pthread_mutex_unlock(&f->lock);
        assert_int_equal(f->told.requests, 2);
        assert_int_equal(f->told.retry_at, 0);
}

/* Nothing can be written to the outbox until disk_works(). */
static void disk_refuses(Fixture *f) {
        char file[100];

        (void) snprintf(file, sizeof(file), "%s/" OUTBOX_FILE, f->directory);
        assert_int_equal(sql_open(file, &f->other), 0);
        assert_int_equal(sql_exec(f->other, "BEGIN IMMEDIATE"), 0);
}

static void disk_works(Fixture *f) {
        f->other = sql_close(f->other); /* which rolls back */
}

/* The disk refuses to forget what was published: it is forgotten as soon as it can be, and not sent again. */
static void test_forgetting_fails(void **state) {
        Fixture *f = *state;

        put(f, 0, 3, 10);
        disk_refuses(f);
        RUN_UNTIL(f, status_of(f).failure.on);
        assert_non_null(strstr(status_of(f).failure.detail, "outbox"));
        assert_int_equal(waiting(f), 3);
        assert_int_equal(status_of(f).published, 3);
        disk_works(f);
        RUN_UNTIL(f, waiting(f) == 0);
        assert_false(status_of(f).failure.on);
        assert_int_equal(http_server_calls(f->server), 1);
        put(f, 3, 1, 10);
        RUN_UNTIL(f, waiting(f) == 0);
        assert_int_equal(accepted(f), 4);
}

/* A13: on a disk that is full from the start on nothing can be forgotten, and all that is queued goes out all the same,
 * once. */
static void test_goes_on_while_it_cannot_forget(void **state) {
        Fixture *f = *state;

        (void) strcpy(f->bad, "d1700");
        put(f, 0, 2500, 10);
        disk_refuses(f);
        RUN_UNTIL(f, accepted(f) == 2499 && status_of(f).retry_at > 0);
        publisher_resume(f->publisher); /* it looks again, and sends nothing twice */
        RUN_UNTIL(f, status_of(f).retry_at > 0);
        assert_true(status_of(f).failure.on);
        assert_int_equal(waiting(f), 2500);
        assert_int_equal(accepted(f), 2499);

        disk_works(f);
        publisher_resume(f->publisher);
        RUN_UNTIL(f, publisher_is_idle(f->publisher) && waiting(f) == 0);
        assert_false(status_of(f).failure.on);
        assert_int_equal(accepted(f), 2499);
        assert_int_equal(status_of(f).rejected, 1);
        put(f, 2500, 1, 10);
        RUN_UNTIL(f, waiting(f) == 0);
        assert_int_equal(accepted(f), 2500);
}

/* What a kill would send once more has a cap, and goes in pieces: a disk that was full has no room for all in one log.
 */
static void test_cannot_forget_more_than(void **state) {
        Fixture *f = *state;
        char log[100];
        struct stat st;

        for (unsigned i = 0; i < 101; i++)
                put(f, i * 1000, 1000, 1);
        disk_refuses(f);
        RUN_UNTIL(f, accepted(f) > 99000 && status_of(f).retry_at > 0);
        assert_true(accepted(f) <= 100000);
        disk_works(f);
        publisher_resume(f->publisher);
        RUN_UNTIL(f, waiting(f) == 0);
        assert_int_equal(accepted(f), 101000);
        (void) snprintf(log, sizeof(log), "%s/" OUTBOX_FILE "-wal", f->directory);
        assert_int_equal(stat(log, &st), 0);
        assert_true(st.st_size < 8 * 1024 * 1024); /* the 4 MB that it grows to, and a piece */
}

/* The disk works again long before the next try is due: what waits for it goes on at once. */
static void test_resumes(void **state) {
        Fixture *f = *state;

        put(f, 0, 3, 10);
        disk_refuses(f);
        RUN_UNTIL(f, status_of(f).failure.on && status_of(f).retry_at > clock_now() + USEC_PER_SEC);
        disk_works(f);
        usec_t retry_at = status_of(f).retry_at;
        publisher_resume(f->publisher);
        RUN_UNTIL(f, waiting(f) == 0);
        assert_true(clock_now() < retry_at);
        assert_false(status_of(f).failure.on);
        publisher_resume(f->publisher); /* nothing waits */
}

/* Nor sooner, where it is Pub/Sub that is waited for: only what was sent is forgotten. */
static void test_resumes_only_what_waits_for_the_disk(void **state) {
        Fixture *f = *state;

        LOCKED(f, f->body_max = 300000; f->over = 403);
        put(f, 0, 1000, 10);
        put(f, 1000, 1, 400000);
        disk_refuses(f);
        RUN_UNTIL(f, accepted(f) == 1000 && status_of(f).retry_at > clock_now() + 20 * USEC_PER_SEC);
        assert_int_equal(waiting(f), 1001);
        disk_works(f);
        publisher_resume(f->publisher);
        RUN_UNTIL(f, waiting(f) == 1);
        assert_true(loop_turn(f->event, 50 * USEC_PER_MSEC) >= 0);
        assert_int_equal(http_server_calls(f->server), 2);
        assert_true(status_of(f).retry_at > clock_now() + 10 * USEC_PER_SEC);
        assert_non_null(strstr(f->told.failure.detail, "firewall")); /* the disk's trouble is over, and that is told */
}

/* ---- a message that is refused ---- */

static unsigned rejected(Fixture *f) {
        OutboxStatus status;
        outbox_status(f->outbox, &status);
        return (unsigned) status.rejected_rows;
}

/* P6 */
static void test_bad_message(void **state) {
        Fixture *f = *state;

        (void) strcpy(f->bad, "d500");
        put(f, 0, 1500, 10);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(waiting(f), 0);
        assert_int_equal(rejected(f), 1);
        assert_int_equal(accepted(f), 1499);
        assert_int_equal(status_of(f).rejected, 1);
        assert_false(status_of(f).failure.on);
}

static void test_bad_message_waits_for_proof(void **state) {
        Fixture *f = *state;

        (void) strcpy(f->bad, "d1");
        put(f, 0, 2, 10);
        RUN_UNTIL(f, waiting(f) == 1 && publisher_is_idle(f->publisher));
        assert_int_equal(rejected(f), 0); /* nothing was accepted after it */
        assert_true(status_of(f).failure.on);
        assert_non_null(strstr(status_of(f).failure.detail, "no good"));
        assert_true(status_of(f).retry_at > clock_now());
        put(f, 2, 1, 10); /* sent at once, although the other one rests */
        RUN_UNTIL(f, waiting(f) == 0);
        assert_int_equal(rejected(f), 1);
        assert_false(status_of(f).failure.on);
}

/* A disk that takes all but the verdict: that is the trouble as long as the verdict waits, so that `once` ends. */
static void test_verdict_waits_for_the_disk(void **state) {
        Fixture *f = *state;
        char file[100];

        (void) snprintf(file, sizeof(file), "%s/" OUTBOX_FILE, f->directory);
        assert_int_equal(sql_open(file, &f->other), 0);
        assert_int_equal(sql_exec(f->other,
                                 "CREATE TRIGGER full BEFORE INSERT ON rejected BEGIN SELECT RAISE(FAIL, 'full'); END"),
                0);
        (void) strcpy(f->bad, "d1");
        put(f, 0, 3, 10);
        RUN_UNTIL(f, accepted(f) == 2 && status_of(f).retry_at > 0);
        assert_int_equal(waiting(f), 1);
        assert_true(status_of(f).failure.on);
        assert_non_null(strstr(status_of(f).failure.detail, "outbox"));
        assert_true(publisher_is_idle(f->publisher));

        assert_int_equal(sql_exec(f->other, "DROP TRIGGER full"), 0);
        f->other = sql_close(f->other);
        publisher_resume(f->publisher);
        RUN_UNTIL(f, rejected(f) == 1);
        assert_false(status_of(f).failure.on);
}

static void test_bad_topic(void **state) {
        Fixture *f = *state;

        (void) strcpy(f->bad, "*");
        put(f, 0, 1200, 10);
        RUN_UNTIL(f, status_of(f).failure.on);
        assert_int_equal(waiting(f), 1200);
        assert_int_equal(rejected(f), 0);
        assert_in_range(status_of(f).requests, 10, 30);
        assert_true(status_of(f).retry_at > clock_now() + 25 * USEC_PER_SEC);
        LOCKED(f, f->bad[0] = '\0');
        skip_wait(f);
        RUN_UNTIL(f, waiting(f) == 0);
        assert_int_equal(accepted(f), 1200);
        assert_int_equal(rejected(f), 0);
}

static void test_too_large_for_the_service(void **state) {
        Fixture *f = *state;

        f->body_max = 300000;
        put(f, 0, 1000, 1000);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(waiting(f), 0);
        assert_int_equal(accepted(f), 1000);
        assert_int_equal(rejected(f), 0);
        assert_in_range(status_of(f).requests, 4, 20); /* it learns */
}

static void test_too_large_row(void **state) {
        Fixture *f = *state;

        put(f, 0, 1, 10);
        put(f, 1, 1, 6 * 1000 * 1000); /* 8 MB as base64 */
        put(f, 2, 3, 10);
        RUN_UNTIL(f, publisher_is_idle(f->publisher));
        assert_int_equal(waiting(f), 0);
        assert_int_equal(rejected(f), 1);
        assert_int_equal(accepted(f), 4);
}

/* ---- the log ---- */

static void test_said_once(void **state) {
        Fixture *f = *state;
        Capture c = capture_begin();

        set_status(f, 503, "");
        put(f, 0, 2, 10);
        RUN_UNTIL(f, status_of(f).failures >= 2);
        set_status(f, 0, "");
        RUN_UNTIL(f, waiting(f) == 0);
        LOCKED(f, (void) strcpy(f->bad, "d5"));
        put(f, 5, 2, 10);
        RUN_UNTIL(f, waiting(f) == 0);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_PUBLISH_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_PUBLISH_RECOVERED), 1);
        assert_int_equal(count_of(log, EVENT_READING_REJECTED), 1);
        assert_int_equal(count_of(log, FIELD_KEY "=2026-11-24T06:27:38.123Z:home:d5:"), 1);
        assert_int_equal(count_of(log, FIELD_REASON "=invalid_argument"), 1);
        assert_int_equal(count_of(log, FIELD_TOPIC "=" TOPIC), 3);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_publishes),
                TEST(test_labels_are_attributes),
                TEST(test_batches),
                TEST(test_body_limit),
                TEST(test_goes_on_after_restart),
                TEST(test_pause),
                TEST(test_pause_with_a_reason),
                TEST(test_pause_while_under_way),
                TEST(test_pause_while_failing),
                TEST(test_unavailable),
                TEST(test_retry_after),
                TEST(test_forbidden),
                TEST(test_not_found),
                TEST(test_not_found_waits),
                TEST(test_other_400),
                TEST(test_missing_id),
                TEST(test_no_answer),
                TEST(test_halves_what_did_not_get_through),
                TEST(test_proxy_that_says_no_more_than_no),
                TEST(test_huge_answer),
                TEST(test_retries_by_itself),
                TEST(test_tells_of_a_try),
                TEST(test_forgetting_fails),
                TEST(test_goes_on_while_it_cannot_forget),
                TEST(test_cannot_forget_more_than),
                TEST(test_resumes),
                TEST(test_resumes_only_what_waits_for_the_disk),
                TEST(test_bad_message),
                TEST(test_bad_message_waits_for_proof),
                TEST(test_verdict_waits_for_the_disk),
                TEST(test_bad_topic),
                TEST(test_too_large_for_the_service),
                TEST(test_too_large_row),
                TEST(test_said_once),
        };
        return side_by_side(tests, ELEMENTSOF(tests));
}
