/* SPDX-License-Identifier: Apache-2.0 */
/* `since` of the type http_json: the cursor, and what it waits for. */
#include "http-json-fixture.h"

#define SINCE_OF(urls)                                                                                                 \
        HEAD urls "      since: {}\n"                                                                                  \
                  "      paging: { next: /next, parameter: token }\n"                                                  \
                  "      reading: { items: /points, id: /sensor, time: /at }\n"
#define SINCE SINCE_OF("      url: '@/x?from={since}&to={until:unix}'\n")

/* Seconds that our clock is ahead. */
static int64_t ahead;
usec_t __real_clock_wall(void);
usec_t __wrap_clock_wall(void);

usec_t __wrap_clock_wall(void) {
        return __real_clock_wall() + (usec_t) (ahead * (int64_t) USEC_PER_SEC);
}

static int64_t cursor_of(const World *w) {
        int64_t msec = 0;

        assert_true(clock_parse_rfc3339(w->f->cursor, strlen(w->f->cursor), &msec));
        return msec / 1000;
}

static void set_cursor(World *w, int64_t seconds) {
        (void) clock_format_rfc3339((usec_t) seconds * USEC_PER_SEC, w->f->cursor);
}

static int64_t wall(void) {
        return (int64_t) (clock_wall() / USEC_PER_SEC);
}

static void asked_from(const World *w, unsigned call, int64_t from) {
        char when[CLOCK_RFC3339_SIZE];
        int64_t msec;

        assert_true(sscanf(w->calls[call], "GET /x?from=%31[^&]", when) == 1);
        for (char *c; (c = strstr(when, "%3A"));) {
                *c = ':';
                memmove(c + 1, c + 3, strlen(c + 3) + 1);
        }
        assert_true(clock_parse_rfc3339(when, strlen(when), &msec));
        assert_in_range(msec / 1000 - from + 100, 98, 130);
}

/* Newest first, one stamped in 2038: the cursor is the time of the poll all the same. What comes again within the
 * overlap is known. */
static void test_since(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/x", 200, NULL,
                "{\"points\": [{\"sensor\": \"a\", \"at\": \"2038-01-19T03:14:07Z\", \"v\": 9}, {\"sensor\": \"a\", \"at\": \"2026-11-27T10:00:00Z\", \"v\": 1}]}",
                1 };
        w->routes[1] = (Route){ "/x", 200, NULL,
                "{\"points\": [{\"sensor\": \"b\", \"at\": \"2026-11-27T09:00:00Z\", \"v\": 5}, {\"sensor\": \"a\", \"at\": \"2026-11-27T10:00:00Z\", \"v\": 1}, "
                "{\"sensor\": \"a\", \"at\": \"2026-11-27T10:00:00Z\", \"v\": 2}, {\"v\": 3}]}" };
        run_once(w, SINCE);
        is_well(w);
        asked_from(w, 0, wall() - 24 * 3600);
        assert_in_range(wall() - cursor_of(w), 0, 30);
        assert_int_equal(w->f->n, 2);
        assert_true(has(source_fixture_payloads(w->f),
                "\"request_at\":\"2026-11-27T10:00:00.000Z\",\"measured_at\":\"2026-11-27T10:00:00.000Z\""));
        poll_again(w);
        asked_from(w, 1, wall() - 24 * 3600);
        assert_int_equal(w->f->n_repeats, 1);
        assert_int_equal(w->f->n, 4);                  /* a module that came late, and a value that was corrected */
        assert_int_equal(w->f->n_unreadable_again, 1); /* it has no id, and will come again, too */
        source_fixture_stop(w->f);
        run_once(w, SINCE); /* and after a restart */
        assert_int_equal(w->f->n, 4);
}

/* A server whose device is dead hands in what it had: that is no reading, and not taken for one that could not be read.
 */
static void test_nothing_but_repeats(void **state) {
        World *w = *state;
        SourceStatus status;

        w->routes[0] = (Route){
                "/x", 200, NULL,
                "{\"points\": [{\"sensor\": \"a\", \"at\": \"2026-11-27T10:00:00Z\", \"v\": 1}, {\"v\": 2}, {\"v\": 3}, {\"v\": 4}]}"
        };
        run_once(w, SINCE);
        status = source_fixture_status(w->f);
        assert_int_equal(status.readings, 1);
        assert_int_equal(status.repeats, 0);
        assert_true(status.last_reading > 0);
        source_fixture_stop(w->f);
        run_once(w, SINCE);
        status = source_fixture_status(w->f);
        assert_int_equal(status.readings, 0);
        assert_int_equal(status.repeats, 1);
        assert_int_equal(status.last_reading, 0);
        assert_true(status.last_poll > 0);
}

static void test_outage_longer_than_the_window(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/x", 200, NULL, "{\"points\": []}" };
        set_cursor(w, wall() - 60 * 3600);
        run_once(w, SINCE);
        is_well(w);
        assert_int_equal(w->n, 3);
        asked_from(w, 0, wall() - 84 * 3600);
        asked_from(w, 1, wall() - 60 * 3600);
        asked_from(w, 2, wall() - 36 * 3600);
        assert_int_equal(w->f->commits, 3);
        assert_in_range(wall() - cursor_of(w), 0, 30);
}

/* At a start whose disk does not tell the cursor nothing is asked for: the time before `initial` would be missing for
 * ever. */
static void test_start_without_a_disk(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/x", 200, NULL, "{\"points\": []}" };
        set_cursor(w, wall() - 60 * 3600);
        w->f->refuses = true;
        start(w, SINCE);
        for (int i = 0; i < 10; i++)
                source_fixture_turn(w->f);
        assert_int_equal(source_fixture_status(w->f).polls, 0);
        assert_true(source_fixture_status(w->f).gated);
        w->f->refuses = false;
        source_resume(w->f->source);
        wait_for_poll(w, 1);
        is_well(w);
        assert_int_equal(w->n, 3);
        asked_from(w, 0, wall() - 84 * 3600);
}

/* The cursor stays when a page of the window cannot be had. */
static void test_cursor_waits_for_every_page(void **state) {
        World *w = *state;
        int64_t before = wall() - 3600;

        w->routes[0] = (Route){ "token=a", 500, NULL, "", 1 };
        w->routes[1] = (Route){ "token=a", 200, NULL, "{\"points\": []}" };
        w->routes[2] = (Route){ "/x", 200, NULL,
                "{\"points\": [{\"sensor\": \"a\", \"at\": \"2026-11-27T10:00:00Z\", \"v\": 1}], \"next\": \"a\"}" };
        set_cursor(w, before);
        run_once(w, SINCE);
        fails_with(w, "answers HTTP 500");
        assert_int_equal(w->f->n, 1); /* what came is kept */
        assert_int_equal(cursor_of(w), before);
        poll_again(w);
        is_well(w);
        assert_int_equal(w->f->n, 1);
        assert_in_range(wall() - cursor_of(w), 0, 30);
}

/* A time without a colon in its offset is none of RFC 3339: what it belongs to is known all the same when it comes
 * again. */
static void test_time_that_cannot_be_read(void **state) {
        World *w = *state;

        w->routes[0] = (Route){
                "/x", 200, NULL,
                "{\"points\": [{\"sensor\": \"a\", \"at\": \"2026-11-27T10:00:00+0900\", \"v\": 1}, {\"sensor\": \"a\", \"at\": \"2026-11-27T10:01:00+0900\", \"v\": 1}, "
                "{\"sensor\": \"b\", \"at\": \"2026-11-27T10:00:00+0900\", \"v\": 1}, {\"sensor\": \"c\", \"v\": 1}, {\"sensor\": \"c\", \"v\": 1}]}"
        };
        run_once(w, SINCE);
        assert_int_equal(w->f->n, 5);
        poll_again(w);
        assert_int_equal(w->f->n_repeats, 3); /* nobody knows of those that have no time at all */
}

/* More than is read of one answer: the cursor stays, or the rest would be missing for ever. */
static void test_cursor_waits_for_every_item(void **state) {
        World *w = *state;
        int64_t before = wall() - 3600;
        Bytes body = {};

        assert_int_equal(bytes_append_text(&body, "{\"points\":[0"), 0);
        for (int i = 0; i < SHAPE_ITEMS_MAX; i++)
                assert_int_equal(bytes_append_text(&body, ",0"), 0);
        assert_int_equal(bytes_append_text(&body, "]}"), 0);
        w->routes[0] = (Route){ "/x", 200, NULL, body.data };
        set_cursor(w, before);
        run_once(w,
                HEAD "      url: '@/x?from={since}'\n      since: {}\n      reading: { items: /points, time: /at }\n");
        fails_with(w, "answers with more than 10000 items at once");
        assert_int_equal(w->f->n, SHAPE_ITEMS_MAX); /* what came is kept */
        assert_int_equal(cursor_of(w), before);
        source_fixture_stop(w->f);
        bytes_done(&body);
}

/* More points in a window than the outbox remembers are published again with each poll: that is said. */
static void test_more_than_is_remembered(void **state) {
        World *w = *state;
        Bytes pages[READING_SEEN_MAX / SHAPE_ITEMS_MAX + 1] = {};
        char names[ELEMENTSOF(pages)][8];

        for (unsigned i = 0; i < ELEMENTSOF(pages); i++) {
                assert_int_equal(bytes_append_text(&pages[i], "{\"points\":["), 0);
                for (int n = 0; n < SHAPE_ITEMS_MAX; n++)
                        assert_int_equal(bytes_append_text(&pages[i],
                                                 n > 0 ? ",{\"sensor\":\"a\",\"at\":\"2026-11-27T10:00:00Z\"}"
                                                       : "{\"sensor\":\"a\",\"at\":\"2026-11-27T10:00:00Z\"}"),
                                0);
                (void) snprintf(names[i], sizeof(names[i]), "=p%02u", i);
                assert_int_equal(bytes_append_format(&pages[i], "],\"next\":\"p%02u\"}", i + 1), 0);
        }
        for (unsigned i = 1; i < ELEMENTSOF(pages); i++)
                w->routes[i - 1] = (Route){ names[i], 200, NULL, pages[i].data };
        w->routes[ELEMENTSOF(pages) - 1] = (Route){ "/x", 200, NULL, pages[0].data };
        (void) strcpy(strstr(pages[ELEMENTSOF(pages) - 2].data, "\"next\""), "\"n\":1}");
        run_once(w, SINCE_OF("      url: '@/x?from={since}'\n"));
        is_well(w);
        assert_int_equal(w->n, ELEMENTSOF(pages) - 1);
        assert_false(source_fixture_status(w->f).odd);
        (void) strcpy(strstr(pages[ELEMENTSOF(pages) - 2].data, "\"n\""), "\"next\":\"p10\"}");
        (void) strcpy(strstr(pages[ELEMENTSOF(pages) - 1].data, "\"next\""), "\"n\":1}");
        poll_again(w);
        is_well(w);
        assert_true(source_fixture_status(w->f).odd);
        assert_true(has(source_fixture_status(w->f).answer, "/x has more than 100000 points in one window"));
        source_fixture_stop(w->f);
        for (unsigned i = 0; i < ELEMENTSOF(pages); i++)
                bytes_done(&pages[i]);
}

/* While the disk refuses, the next page waits; nothing is asked for twice. */
static void test_disk_refuses(void **state) {
        World *w = *state;
        int64_t before = wall() - 3600;

        w->routes[0] = (Route){ "token=a", 200, NULL, "{\"points\": []}" };
        w->routes[1] = (Route){ "/x", 200, NULL,
                "{\"points\": [{\"sensor\": \"a\", \"at\": \"2026-11-27T10:00:00Z\", \"v\": 1}], \"next\": \"a\"}" };
        set_cursor(w, before);
        start(w, SINCE);
        SOURCE_FIXTURE_UNTIL(w->f, w->n == 1);
        w->f->refuses = true;
        SOURCE_FIXTURE_UNTIL(w->f, source_fixture_status(w->f).holding);
        assert_int_equal(cursor_of(w), before);
        w->f->refuses = false;
        source_resume(w->f->source);
        wait_for_poll(w, 1);
        is_well(w);
        assert_int_equal(w->n, 2);
        assert_in_range(wall() - cursor_of(w), 0, 30);
}

/* A server says that our clock is wrong, ahead by years: the cursor does not pass its time, and the next poll asks by
 * it. */
static void test_wrong_clock(void **state) {
        World *w = *state;
        int64_t theirs = INT64_C(1732752000), before = theirs - 1800;

        w->routes[0] = (Route){ "/x", 200, "Date: Thu, 28 Nov 2024 00:00:00 GMT\r\n", "{\"points\": []}" };
        set_cursor(w, before);
        run_once(w, SINCE);
        assert_int_equal(cursor_of(w), theirs);
        poll_again(w);
        assert_in_range(cursor_of(w), theirs, theirs + 30);
}

/* A history is asked for by the clock of the device that has it; nothing else follows that clock, which may be the one
 * that is wrong. */
static void test_clock_of_a_device(void **state) {
        static const char *const hosts[] = { "127.0.0.1", "0.0.0.0" }; /* the other one is not the loopback */
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(hosts); i++) {
                char lines[400];

                w->routes[0] = (Route){ "/x", 200, "Date: Thu, 28 Nov 2024 00:00:00 GMT\r\n", "{\"points\": []}" };
                (void) snprintf(lines, sizeof(lines), SINCE_OF("      url: 'http://%s:%u/x?from={since}'\n"), hosts[i],
                        http_server_port(w->server));
                run_once(w, lines);
                assert_true(source_fixture_status(w->f).clock_wrong);
                assert_int_equal(source_fixture_status(w->f).true_start != 0, i == 0);
                source_fixture_stop(w->f);
        }
}

/* It is set: the cursor, which has followed the server's time, does not go back with it. Where no server tells one, it
 * does. */
static void test_clock_is_set(void **state) {
        World *w = *state;
        int64_t now = wall();
        time_t time = (time_t) now;
        char header[80];
        struct tm tm;

        assert_true(strftime(header, sizeof(header), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime_r(&time, &tm)) > 0);
        for (int i = 0; i < 2; i++) {
                w->routes[0] = (Route){ "/x", 200, i == 0 ? header : NULL, "{\"points\": []}" };
                set_cursor(w, now - 1800);
                ahead = INT64_C(10) * 24 * 3600;
                run_once(w, SINCE);
                assert_in_range(cursor_of(w), i == 0 ? now : now + ahead, (i == 0 ? now : now + ahead) + 30);
                ahead = 0;
                poll_again(w);
                poll_again(w);
                asked_from(w, w->n - 1, now - 24 * 3600);
                source_fixture_stop(w->f);
        }
}

/* Two servers, one of which tells another time than ours. */
static void two_servers(World *w, int64_t other, int64_t cursor) {
        time_t times[] = { (time_t) wall(), (time_t) (wall() + other) };
        static char headers[2][80];
        struct tm tm;

        for (int i = 0; i < 2; i++) {
                assert_true(strftime(headers[i], sizeof(headers[i]), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
                                    gmtime_r(&times[i], &tm)) > 0);
                w->routes[i] = (Route){ i == 0 ? "/x" : "/y", 200, headers[i], "{\"points\": []}" };
        }
        set_cursor(w, cursor);
        run_once(w, SINCE_OF("      urls: ['@/x?from={since}', '@/y?from={since}']\n"));
}

/* The cursor goes on, or what is older than a window would not be asked for any more. */
static void test_clocks_that_differ(void **state) {
        World *w = *state;

        two_servers(w, -600, wall() - 3600);
        for (int i = 0; i < 4; i++)
                poll_again(w);
        assert_in_range(cursor_of(w), wall() - 660, wall() - 300);
}

/* ... and comes back, if a clock of ours that was ahead has left it in the future. */
static void test_cursor_in_the_future(void **state) {
        World *w = *state;

        two_servers(w, 600, wall() + 7200);
        for (int i = 0; i < 4; i++) {
                assert_in_range(cursor_of(w), wall() - 60, wall() + 60);
                poll_again(w);
        }
}

/* A device without the time since it started: nothing is learnt from its Date. */
static void test_clock_that_was_never_set(void **state) {
        World *w = *state;

        w->routes[0] = (Route){ "/x", 200, "Date: Thu, 01 Jan 1970 00:05:00 GMT\r\n", "{\"points\": []}" };
        set_cursor(w, wall() - 3600);
        run_once(w, SINCE);
        poll_again(w);
        assert_in_range(wall() - cursor_of(w), 0, 30);
}

/* `check` asks for one window: for the last one, since a sensor may be younger than the first. */
static void test_check_asks_for_what_is_new(void **state) {
        World *w = *state;

        w->f->host.manual = w->f->host.checking = true;
        w->routes[0] = (Route){ "/x", 200, NULL,
                "{\"points\": [{\"sensor\": \"a\", \"at\": \"2026-11-27T10:00:00Z\", \"v\": 1}]}" };
        start(w, HEAD "      url: '@/x?from={since}'\n      since: { initial: 30d, window: 2h }\n"
                      "      reading: { items: /points, id: /sensor, time: /at }\n");
        poll_again(w);
        is_well(w);
        asked_from(w, 0, wall() - 2 * 3600);
        assert_int_equal(w->n, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_since),
                TEST(test_nothing_but_repeats),
                TEST(test_outage_longer_than_the_window),
                TEST(test_start_without_a_disk),
                TEST(test_cursor_waits_for_every_page),
                TEST(test_cursor_waits_for_every_item),
                TEST(test_time_that_cannot_be_read),
                TEST(test_more_than_is_remembered),
                TEST(test_disk_refuses),
                TEST(test_wrong_clock),
                TEST(test_clock_of_a_device),
                TEST(test_clock_is_set),
                TEST(test_clocks_that_differ),
                TEST(test_cursor_in_the_future),
                TEST(test_clock_that_was_never_set),
                TEST(test_check_asks_for_what_is_new),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
