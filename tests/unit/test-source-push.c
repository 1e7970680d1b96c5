/* SPDX-License-Identifier: Apache-2.0 */
/* A source whose type speaks when it likes: commits, back-pressure, what the peer is told and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "capture.h"
#include "events.h"
#include "lib/err.h"
#include "publish/source.h"

#define PATIENCE (20 * USEC_PER_SEC)

typedef struct Fixture {
        SourceHost host;
        SourceConfig config;
        ShapeConfig shape; /* config.keys */
        Source *source;
        bool room;
        int store_error; /* what store answers */
        unsigned handed, stored, unreadable;
        uint64_t dropped;
        char payload[300];
} Fixture;

static const ConfigSection talker_section = {
        .name = "talker",
        .rows = (const ConfigRow[]){ { "reading", .section = &shape_section }, {} },
};

/* What the source takes for now is so much later (the linker's --wrap). */
static usec_t later;
usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);

usec_t __wrap_clock_now(void) {
        return __real_clock_now() + later;
}

static bool has_room(void *userdata, uint64_t rows, uint64_t bytes) {
        return ((Fixture *) userdata)->room;
}

static int store(void *userdata, const Source *source, const ReadingList *readings, size_t *ret_repeats) {
        Fixture *f = userdata;

        assert_false(reading_list_is_empty(readings));
        f->handed++;
        f->unreadable += (unsigned) readings->n_unreadable;
        if (readings->n > 0)
                (void) snprintf(f->payload, sizeof(f->payload), "%s", readings->items[0].payload.data);
        f->stored += f->store_error == 0 ? (unsigned) readings->n : 0;
        return f->store_error;
}

static uint64_t dropped(void *userdata, const char *name) {
        assert_string_equal(name, "home");
        return ((Fixture *) userdata)->dropped;
}

static void on_change(void *userdata) {}

static SourceStatus status_of(Fixture *f) {
        SourceStatus status;
        source_status(f->source, &status);
        return status;
}

/* Runs the loop until *condition* holds. */
#define RUN_UNTIL(f, condition)                                                                                        \
        do {                                                                                                           \
                usec_t begin = clock_now();                                                                            \
                while (!(condition)) {                                                                                 \
                        assert_true(clock_now() - begin < PATIENCE);                                                   \
                        assert_true(loop_turn((f)->host.means.loop, USEC_PER_SEC) >= 0);                               \
                }                                                                                                      \
        } while (0)

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));
        static char name[] = "home";

        assert_non_null(f);
        f->host = (SourceHost){
                .has_room = has_room, .store = store, .dropped = dropped, .on_change = on_change, .userdata = f
        };
        assert_true(loop_new(&f->host.means.loop) >= 0);
        f->shape = (ShapeConfig){ .time = (char *) "/at" };
        f->config = (SourceConfig){ .name = name, .type = "talker", .keys = &f->shape, .section = &talker_section };
        f->room = true;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        source_free(f->source);
        loop_free(f->host.means.loop);
        free(f);
        return 0;
}

/* ---- the type ---- */

typedef struct Talker {
        Source *source;
        unsigned holds, goes;
        unsigned stored; /* times that it was told */
        bool held;
} Talker;

static Talker talker;

static int talker_open(void *self) {
        talker = (Talker){ .source = ((const SourceContext *) self)->source };
        return 0;
}

static void talker_hold(void *self, bool hold) {
        assert_true(hold != talker.held);
        talker.held = hold;
        talker.holds += hold;
        talker.goes += !hold;
}

static void talker_stored(void *self) {
        talker.stored++;
}

static void talker_place(const void *keys, ShapeOrigin *origin) {
        origin->id = (Slice){ "d", 1 };
}

static const SourceType talker_type = {
        .keys = &talker_section,
        .size = sizeof(SourceContext),
        .open = talker_open,
        .hold = talker_hold,
        .stored = talker_stored,
        .place = talker_place,
};

static void start_talker(Fixture *f) {
        assert_int_equal(source_new(&f->host, &talker_type, &f->config, &f->source), 0);
}

static void say(size_t n) {
        ReadingList list = {};

        for (size_t i = 0; i < n; i++) {
                Bytes payload = {};

                assert_int_equal(bytes_append_text(&payload, "{}"), 0);
                assert_int_equal(reading_list_add(&list,
                                         &(ReadingOrigin){ .source = "home",
                                                 .type = "talker",
                                                 .device = "d",
                                                 .at = "2026-11-24T06:27:38.123Z" },
                                         &payload),
                        0);
        }
        assert_int_equal(source_put(talker.source, &list), 0);
        assert_int_equal(list.n, 0);
        reading_list_done(&list);
}

/* One commit for all that came in one turn; the peer is told afterwards, once. */
static void test_pushed(void **state) {
        Fixture *f = *state;

        start_talker(f);
        say(2);
        say(0); /* nothing that could be a reading: the peer hears of it too */
        say(1);
        assert_int_equal(f->handed, 0);
        assert_int_equal(talker.stored, 0);
        assert_true(source_is_busy(f->source));
        RUN_UNTIL(f, talker.stored == 1);
        assert_int_equal(f->handed, 1);
        assert_int_equal(f->stored, 3);
        say(0);
        RUN_UNTIL(f, talker.stored == 2);
        assert_int_equal(f->handed, 1);
        assert_false(source_is_busy(f->source));
        assert_int_equal(talker.holds, 0);
        assert_int_equal(status_of(f).next_poll, 0);
}

/* P12: while the disk refuses, the peer is held and told nothing. */
static void test_pushed_to_a_full_disk(void **state) {
        Fixture *f = *state;

        f->store_error = -ENOSPC;
        start_talker(f);
        say(1);
        RUN_UNTIL(f, f->handed >= 1);
        assert_true(talker.held);
        assert_true(status_of(f).holding);
        say(1); /* was on its way already */
        RUN_UNTIL(f, f->handed >= 2);
        assert_int_equal(talker.stored, 0);
        f->store_error = 0;
        source_resume(f->source); /* not after a backoff */
        assert_true(loop_turn(f->host.means.loop, 0) > 0);
        assert_int_equal(talker.stored, 1);
        assert_int_equal(f->stored, 2);
        assert_false(talker.held);
        assert_int_equal(talker.goes, 1);
}

/* P7: while there is no room, the peer is held; from the start, too. */
static void test_pushed_without_room(void **state) {
        Fixture *f = *state;

        f->room = false;
        start_talker(f);
        assert_true(talker.held);
        assert_true(status_of(f).gated);
        f->room = true;
        RUN_UNTIL(f, !talker.held);
        assert_false(status_of(f).gated);
        f->room = false;
        say(1); /* what was on its way is stored nevertheless */
        RUN_UNTIL(f, talker.stored == 1);
        assert_true(talker.held);
        source_retire(f->source);
        f->room = true;
        source_resume(f->source);
        (void) loop_turn(f->host.means.loop, 0);
        assert_true(talker.held);
}

/* What was handed over in this turn is stored by the end at the latest. */
static void test_pushed_at_the_end(void **state) {
        Fixture *f = *state;

        start_talker(f);
        say(2);
        f->source = source_free(f->source);
        assert_int_equal(f->stored, 2);
}

/* The mark of a source, and nothing else, waits for the disk at the end: no reading is lost. */
static void test_cursor_at_the_end(void **state) {
        ReadingList list = {};
        Fixture *f = *state;
        Capture c;

        start_talker(f);
        f->store_error = -ENOSPC;
        assert_true(reading_list_set_cursor(&list, "home", "1") >= 0);
        assert_int_equal(source_put(f->source, &list), 0);
        RUN_UNTIL(f, f->handed >= 1);
        c = capture_begin();
        f->source = source_free(f->source);
        assert_null(strstr(capture_end(&c), "lost"));
}

/* `once` ends although the disk still refuses: what it fetched is lost then, and said to be. */
static void test_once_gives_up(void **state) {
        Fixture *f = *state;
        Capture c;

        f->host.manual = true;
        f->store_error = -ENOSPC;
        start_talker(f);
        say(2);
        RUN_UNTIL(f, f->handed >= 1);
        assert_true(source_is_busy(f->source));
        later = 20 * USEC_PER_SEC;
        c = capture_begin();
        RUN_UNTIL(f, !source_is_busy(f->source));
        assert_non_null(
                strstr(capture_end(&c), "2 readings that could not be written to disk before the end are lost"));
        assert_true(status_of(f).failure.on);
        assert_int_equal(talker.stored, 0);
        later = 0;
}

static void test_one_is_lost(void **state) {
        Fixture *f = *state;
        Capture c;

        f->host.manual = true;
        f->store_error = -ENOSPC;
        start_talker(f);
        say(1);
        RUN_UNTIL(f, f->handed >= 1);
        c = capture_begin();
        f->source = source_free(f->source);
        assert_non_null(strstr(capture_end(&c), "1 reading that could not be written to disk before the end is lost"));
}

static int talker_poll(void *self) {
        say(2);
        return 0; /* the poll goes on when they are on disk */
}

/* So does a poll that waits for their way to the disk. */
static void test_once_gives_up_a_poll(void **state) {
        static SourceType type; /* the source outlives this function */
        Fixture *f = *state;
        Capture c;

        type = talker_type;
        type.poll = talker_poll;
        f->host.manual = true;
        f->store_error = -ENOSPC;
        assert_int_equal(source_new(&f->host, &type, &f->config, &f->source), 0);
        assert_int_equal(source_poll_now(f->source), 0);
        RUN_UNTIL(f, f->handed >= 1);
        assert_true(source_is_busy(f->source));
        later = 20 * USEC_PER_SEC;
        c = capture_begin();
        RUN_UNTIL(f, !source_is_busy(f->source));
        assert_non_null(
                strstr(capture_end(&c), "2 readings that could not be written to disk before the end are lost"));
        assert_true(status_of(f).failure.on);
        assert_false(source_must_end(f->source));
        assert_int_equal(talker.stored, 0);
        f->store_error = 0;
        source_resume(f->source); /* the disk works again: nobody is told of what is lost */
        assert_true(loop_turn(f->host.means.loop, 50 * USEC_PER_MSEC) >= 0);
        assert_int_equal(talker.stored, 0);
        later = 0;
}

/* ---- a type that is polled and held, as a program is ---- */

static unsigned polls;

static int counted_poll(void *self) {
        polls++;
        source_polled(talker.source, &(SourcePoll){ .outcome = SOURCE_POLLED });
        return 0;
}

/* Tells it that rows have left the outbox, or have come, and waits until it holds its peer or goes on. */
static void tell_of_room(Fixture *f, bool room) {
        f->room = room;
        source_resume(f->source);
        RUN_UNTIL(f, talker.held == !room);
        assert_true(loop_turn(f->host.means.loop, 50 * USEC_PER_MSEC) >= 0); /* a poll would come at once */
}

/* It is held while there is no room, and polled when its time has come, not with each row that leaves. A poll whose
 * time came meanwhile is made up for at once. */
static void test_polled_in_its_time(void **state) {
        static SourceType type; /* the source outlives this function */
        Fixture *f = *state;

        type = talker_type;
        type.poll = counted_poll;
        polls = 0;
        f->config.interval = USEC_PER_HOUR;
        assert_int_equal(source_new(&f->host, &type, &f->config, &f->source), 0);
        RUN_UNTIL(f, polls == 1);
        for (int i = 0; i < 3; i++) {
                tell_of_room(f, false);
                tell_of_room(f, true);
        }
        assert_int_equal(polls, 1);
        f->source = source_free(f->source);

        f->room = false;
        assert_int_equal(source_new(&f->host, &type, &f->config, &f->source), 0);
        RUN_UNTIL(f, status_of(f).next_poll > clock_now() + 500 * USEC_PER_MSEC);
        assert_int_equal(polls, 1);
        tell_of_room(f, true);
        assert_int_equal(polls, 2);
}

/* ---- documents ---- */

/* Returns the number of readings. */
static int take(const char *topic, const char *text) {
        return source_take(talker.source, &(SourceDocument){ .text = slice_of(text), .topic = slice_of(topic) });
}

/* Speaks three times, each time before the silence is over. False: the machine was silent for so long itself. */
static bool speak_three_times(Fixture *f, const SourceType *type, usec_t *ret_spoke) {
        assert_int_equal(source_new(&f->host, type, &f->config, &f->source), 0);
        assert_int_equal(source_poll_now(f->source), 0);
        assert_int_equal(source_poll_now(f->source), -EBUSY);
        source_tell(f->source, &(SourcePoll){ .outcome = SOURCE_POLLED }, 0);
        for (unsigned times = 1; times <= 3; times++) {
                usec_t spoke = *ret_spoke = clock_now();
                bool busy;

                say(1);
                RUN_UNTIL(f, talker.stored == times);
                while (clock_now() < spoke + type->quiet * 2 / 3)
                        assert_true(loop_turn(f->host.means.loop, 20 * USEC_PER_MSEC) >= 0);
                busy = source_is_busy(f->source);
                if (clock_now() >= spoke + type->quiet)
                        return false;
                assert_true(busy);
        }
        return true;
}

/* `once` listens to a type that says for how long silence counts; then the peer is held, so that it keeps the rest. */
static void test_once_listens(void **state) {
        static SourceType type; /* the source outlives this function */
        Fixture *f = *state;
        usec_t spoke = 0;

        type = talker_type;
        type.quiet = 300 * USEC_PER_MSEC;
        f->host.manual = true;
        while (!speak_three_times(f, &type, &spoke)) {
                assert_true(type.quiet < 20 * USEC_PER_SEC); /* three times, and a minute is all that is listened */
                type.quiet *= 3;
                f->source = source_free(f->source);
        }
        RUN_UNTIL(f, !source_is_busy(f->source));
        assert_true(clock_now() - spoke >= type.quiet);
        assert_true(talker.held);
        assert_false(status_of(f).failure.on);
        assert_true(status_of(f).speaks && status_of(f).last_reading > 0);
        f->source = source_free(f->source);

        /* A failure ends it, since nothing is tried twice in such a run; so does no answer at all. */
        assert_int_equal(source_new(&f->host, &type, &f->config, &f->source), 0);
        assert_int_equal(source_poll_now(f->source), 0);
        source_tell(f->source, &(SourcePoll){ .outcome = SOURCE_UNREACHABLE, .detail = "gone" }, USEC_PER_SEC);
        assert_false(source_is_busy(f->source));
        assert_true(status_of(f).failure.on);
}

/* Others are left out, and that is said. */
static void test_once_leaves_out(void **state) {
        Fixture *f = *state;
        Capture c;

        f->host.manual = true;
        start_talker(f);
        c = capture_begin();
        assert_int_equal(source_poll_now(f->source), 0);
        assert_non_null(strstr(capture_end(&c), "Source home sends when it wants to, so `once` leaves it out."));
        assert_false(source_is_busy(f->source));
        assert_false(status_of(f).failure.on);
}

/* What cannot become a reading is kept and told once a topic; what lacks its time goes on and is told once a device. */
static void test_documents(void **state) {
        Fixture *f = *state;
        char *log;
        Capture c;

        start_talker(f);
        c = capture_begin();
        assert_int_equal(take("t/1", "{\"v\":1}"), 1);
        assert_int_equal(take("t/1", "{\"v\":2}"), 1);
        for (int i = 0; i < 4; i++)
                assert_int_equal(take(i < 2 ? "t/1" : "t/2", "{\"v\":"), 0);
        assert_int_equal(take("t/3", "nan"), 0);
        RUN_UNTIL(f, talker.stored == 1);
        log = capture_end(&c);
        assert_int_equal(f->stored, 2);
        assert_int_equal(f->unreadable, 4);
        assert_int_equal(status_of(f).unreadable, 4);
        assert_int_equal(status_of(f).left_out, 1);
        assert_int_equal(count_of(log, EVENT_READING_ODD), 1);
        assert_int_equal(count_of(log, FIELD_DEVICE "=d"), 1);
        assert_int_equal(count_of(log, EVENT_READING_REJECTED), 2);
        assert_int_equal(count_of(log, EVENT_CONFIG_WARNING), 0);
}

static void test_nothing_readable(void **state) {
        Fixture *f = *state;
        Capture c;

        start_talker(f);
        c = capture_begin();
        for (int i = 0; i < 5; i++)
                assert_int_equal(take("t", "[[1]]"), 0);
        assert_int_equal(count_of(capture_end(&c), EVENT_CONFIG_WARNING), 1);
}

/* More than is kept: what was known at the start is no news, what comes is said once, and the number follows. */
static void test_dropped(void **state) {
        Fixture *f = *state;
        char *log;
        Capture c;

        f->dropped = 7;
        start_talker(f);
        assert_int_equal(status_of(f).dropped, 7);
        c = capture_begin();
        for (unsigned i = 1; i <= 4; i++) {
                f->dropped = i < 3 ? 7 : 7 + i;
                assert_int_equal(take("t", "[[1]]"), 0);
                RUN_UNTIL(f, f->unreadable == i);
        }
        log = capture_end(&c);
        assert_int_equal(status_of(f).dropped, 11);
        assert_int_equal(count_of(log, ": 10 deleted so far"), 1);
        assert_int_equal(count_of(log, "deleted so far"), 1);
}

/* So many topics that of none more is said: that some are gone is, since they are what fills both. */
static void test_dropped_after_many(void **state) {
        Fixture *f = *state;
        char topic[16];
        Capture c;

        start_talker(f);
        c = capture_begin();
        for (unsigned i = 0; i < 1000; i++) {
                (void) snprintf(topic, sizeof(topic), "t%u", i);
                assert_int_equal(take(topic, "[[1]]"), 0);
        }
        RUN_UNTIL(f, f->unreadable == 1000);
        (void) capture_end(&c);
        c = capture_begin();
        f->dropped = 2;
        assert_int_equal(take("new", "[[1]]"), 0);
        RUN_UNTIL(f, f->unreadable == 1001);
        assert_int_equal(count_of(capture_end(&c), ": 2 deleted so far"), 1);
}

/* Labels are part of every reading; the order of the file is not. */
static void test_labels(void **state) {
        ConfigPair pairs[] = { { (char *) "site", (char *[]){ (char *) "here", NULL } },
                { (char *) "floor", (char *[]){ (char *) "2", NULL } } };
        Fixture *f = *state;

        f->config.labels = (ConfigMap){ pairs, 2 };
        start_talker(f);
        assert_int_equal(take("t", "5"), 1);
        RUN_UNTIL(f, f->stored == 1);
        assert_non_null(
                strstr(f->payload, "{\"value\":5,\"floor\":\"2\",\"site\":\"here\",\"source\":\"home\",\"id\":\"d\""));
        f->config.labels = (ConfigMap){};
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_pushed),
                TEST(test_pushed_to_a_full_disk),
                TEST(test_pushed_without_room),
                TEST(test_pushed_at_the_end),
                TEST(test_cursor_at_the_end),
                TEST(test_once_gives_up),
                TEST(test_one_is_lost),
                TEST(test_once_gives_up_a_poll),
                TEST(test_once_listens),
                TEST(test_once_leaves_out),
                TEST(test_polled_in_its_time),
                TEST(test_documents),
                TEST(test_nothing_readable),
                TEST(test_dropped),
                TEST(test_dropped_after_many),
                TEST(test_labels),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
