/* SPDX-License-Identifier: Apache-2.0 */
/* From where a page's charts read what was stored before, over reloads. The type of sink is this program's own. */
#include "config-fixture.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "page-charts.h"
#include "page-thread.h"
#include "page-store.h"
#include "lib/sql.h"
#include "lib/worker.h"

usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);

usec_t __real_clock_wall(void);
usec_t __wrap_clock_wall(void);

static usec_t later, set_back;

usec_t __wrap_clock_wall(void) {
        return __real_clock_wall() - __atomic_load_n(&set_back, __ATOMIC_SEQ_CST);
}

usec_t __wrap_clock_now(void) {
        return __real_clock_now() + __atomic_load_n(&later, __ATOMIC_SEQ_CST);
}

/* ---- threads and answers ---- */

int __real_worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret);
int __wrap_worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret);
void __wrap_listen_answer(ListenRequest *request, const ListenAnswer *answer);
const char *__wrap_listen_header(const ListenRequest *request, const char *name);

static const char *no_thread = ""; /* of that name */
static WorkerRun page_run;
static unsigned page_jobs, page_may; /* the page's thread got so many jobs, and may do so many */
static int answered;                 /* the status of the last answer */
static char answer_text[256];

static void run_when_it_may(void *userdata, void *job) {
        unsigned number = __atomic_add_fetch(&page_jobs, 1, __ATOMIC_SEQ_CST);

        while (number > __atomic_load_n(&page_may, __ATOMIC_SEQ_CST))
                (void) usleep(1000);
        page_run(userdata, job);
}

int __wrap_worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret) {
        if (strcmp(name, "page") == 0) {
                page_run = run;
                run = run_when_it_may;
        }
        return strcmp(name, no_thread) == 0 ? -EAGAIN : __real_worker_new(loop, name, run, done, userdata, ret);
}

void __wrap_listen_answer(ListenRequest *request, const ListenAnswer *answer) {
        answered = answer->status;
        (void) snprintf(answer_text, sizeof(answer_text), "%.*s", (int) answer->body.size, answer->body.data);
}

const char *__wrap_listen_header(const ListenRequest *request, const char *name) {
        return NULL;
}

typedef struct FakeKeys {
        char *place;
} FakeKeys;

/* ---- a sink whose history is away ---- */

#define PIECES 8 /* twice as many values as are kept in memory */
#define PIECE_MESSAGES 256
#define MESSAGE_NUMBERS 64

static unsigned opened, open_now, asked;
static int64_t asked_before[PIECES];
static bool history_is_there;
static char opened_place[32];

static int history_open(const SubscriptionConfig *config, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        (void) snprintf(opened_place, sizeof(opened_place), "%s", ((const FakeKeys *) config->keys)->place);
        opened++;
        __atomic_fetch_add(&open_now, 1, __ATOMIC_SEQ_CST);
        *ret_self = &open_now;
        return 0;
}

static size_t write_message(char *text, size_t size, unsigned minute) {
        size_t n = (size_t) snprintf(text, size, "{\"id\":\"d\",\"request_at\":\"2026-11-%02u", 1 + minute / 1440);

        n += (size_t) snprintf(text + n, size - n, "T%02u:%02u:00Z\"", minute / 60 % 24, minute % 60);
        for (unsigned i = 0; i < MESSAGE_NUMBERS; i++)
                n += (size_t) snprintf(text + n, size - n, ",\"n%u\":%u", i, i);
        return n + (size_t) snprintf(text + n, size - n, "}");
}

static int history_next(void *self, SinkPiece *piece) {
        char text[1024];
        unsigned before = __atomic_load_n(&asked, __ATOMIC_SEQ_CST);

        if (history_is_there)
                asked_before[before] = piece->before;
        __atomic_fetch_add(&asked, 1, __ATOMIC_SEQ_CST);
        if (!history_is_there)
                return SINK_HISTORY_AWAY;
        for (unsigned i = 0; i < PIECE_MESSAGES; i++) {
                size_t size = write_message(text, sizeof(text), before * PIECE_MESSAGES + i);

                piece->each(piece->userdata, &(SinkPast){ .text = { text, size } });
        }
        return before + 1 < PIECES ? SINK_HISTORY_MORE : SINK_HISTORY_END;
}

static void *history_close(void *self) {
        __atomic_fetch_sub((unsigned *) self, 1, __ATOMIC_SEQ_CST);
        return NULL;
}

static const SinkHistory fake_history = { history_open, history_next, history_close };

static const ConfigRow fake_rows[] = {
        { .key = "place",
                .type = &config_type_name,
                .offset = offsetof(FakeKeys, place),
                .min = 1,
                .max = 20,
                .fallback = "here",
                .doc = "place" },
        {},
};

static const ConfigSection fake_section = { .name = "fake_sink", .rows = fake_rows, .size = sizeof(FakeKeys) };
static const SinkType fake_sink_type = { .keys = &fake_section, .what = "Nothing", .history = &fake_history };

const SourceType *types_source(const char *name) {
        return NULL;
}

const SinkType *types_sink(const char *name) {
        return &fake_sink_type;
}

static const ConfigSection *no_source(size_t index) {
        return NULL;
}

static const ConfigSection *fake_sink(size_t index) {
        return index == 0 ? &fake_section : NULL;
}

const ConfigTypes types_of_config = { no_source, fake_sink };

/* ---- fixture ---- */

typedef struct Fixture {
        Loop *loop;
        Secrets *secrets;
        PageCharts *charts;
        char directory[32];
} Fixture;

static unsigned stopped; /* how often it was said */

static void on_stopped(void *userdata) {
        stopped++;
}

static void turn(Fixture *f) {
        assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
}

#define UNTIL(f, condition)                                                                                            \
        do {                                                                                                           \
                usec_t _end = clock_now() + 10 * USEC_PER_SEC;                                                         \
                while (!(condition)) {                                                                                 \
                        assert_true(clock_now() < _end);                                                               \
                        turn(f);                                                                                       \
                }                                                                                                      \
        } while (0)

static void use_page(Fixture *f, const char *page, const char *subscribe) {
        char text[500];
        int size = snprintf(text, sizeof(text), PUBSUB "%ssubscribe: [%s]\n", page, subscribe);
        Config *config = parse_as("page.yaml", text, (size_t) size, &types_of_config);

        page_charts_use(f->charts, config, &config->subscriptions[0]);
        config_unref(config);
}

static void use(Fixture *f, const char *subscribe) {
        use_page(f, "page: {}\n", subscribe);
}

static int set_up(void **state) {
        Fixture *f = *state = calloc(1, sizeof(*f));

        assert_non_null(f);
        opened = open_now = asked = 0;
        history_is_there = false;
        later = set_back = 0;
        no_thread = "";
        page_jobs = 0;
        page_may = UINT_MAX;
        answered = stopped = 0;
        strcpy(f->directory, "/tmp/test-charts-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(secrets_new(&f->secrets), 0);
        assert_int_equal(
                page_charts_new(&(PageChartsHost){ f->loop, f->secrets, f->directory, on_stopped, f }, &f->charts), 0);
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;
        char path[64];

        page_charts_stop(f->charts);
        UNTIL(f, page_charts_is_stopped(f->charts));
        page_charts_free(f->charts);
        UNTIL(f, __atomic_load_n(&open_now, __ATOMIC_SEQ_CST) == 0); /* closing takes its time on a thread */
        (void) snprintf(path, sizeof(path), "%s/page.sqlite", f->directory);
        (void) unlink(path);
        secrets_free(f->secrets);
        loop_free(f->loop);
        assert_int_equal(rmdir(f->directory), 0);
        free(f);
        return 0;
}

/* ---- tests ---- */

/* What the new configuration says of the place counts, and the old place is left; what stays the same goes on. */
static void test_reload(void **state) {
        Fixture *f = *state;

        use(f, "{subscription: sub, fake_sink: {place: old}}");
        UNTIL(f, opened == 1);
        assert_string_equal(opened_place, "old");
        use(f, "{subscription: sub, fake_sink: {place: new}}");
        UNTIL(f, opened == 2);
        assert_string_equal(opened_place, "new");
        UNTIL(f, __atomic_load_n(&open_now, __ATOMIC_SEQ_CST) == 1);
        use(f, "{subscription: sub, fake_sink: {place: new}}");
        for (int i = 0; i < 5; i++)
                turn(f);
        assert_int_equal(opened, 2);
}

/* Files cannot grow. */
static void disk_refuses(bool refuses) {
        static const struct rlimit small = { 1, RLIM_INFINITY }, large = { RLIM_INFINITY, RLIM_INFINITY };

        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, refuses ? &small : &large), 0);
}

/* What was stored before stays where it is, and can be read again: it waits for the disk, and is not left out. */
static void test_history_waits_for_the_disk(void **state) {
        Fixture *f = *state;

        use(f, "{subscription: sub, fake_sink: {place: here}}");
        UNTIL(f, __atomic_load_n(&asked, __ATOMIC_SEQ_CST) == 1);
        history_is_there = true;
        use(f, "{subscription: sub, fake_sink: {place: there}}");
        disk_refuses(true);
        UNTIL(f, __atomic_load_n(&asked, __ATOMIC_SEQ_CST) >= 2);
        for (usec_t end = clock_now() + 400 * USEC_PER_MSEC; clock_now() < end;)
                turn(f);
        disk_refuses(false);
        assert_in_range(__atomic_load_n(&asked, __ATOMIC_SEQ_CST), 2, 4);
}

/* That values can be read does not end it. */
static void test_kept_again_is_said_when_they_are(void **state) {
        Fixture *f = *state;
        PageJob open = { .kind = PAGE_JOB_OPEN }, take = { .kind = PAGE_JOB_TAKE }, save = { .kind = PAGE_JOB_SAVE };
        PageJob values = { .kind = PAGE_JOB_VALUES,
                .query = { .series = { 1 }, .n = 1, .from = 1, .to = 2, .points = 1 } };
        static const char text_of_config[] =
                PUBSUB "page: {}\nsubscribe: [{subscription: sub, fake_sink: {place: here}}]\n";
        const char *said;
        Capture capture;
        PageThread *thread;
        char text[1024];

        assert_int_equal(page_thread_new(f->directory, &thread), 0);
        page_thread_do(thread, &open);
        assert_int_equal(
                page_queue_put(&take.queue, &(SinkPast){ .text = { text, write_message(text, sizeof(text), 0) } }), 0);
        page_thread_do(thread, &take);
        disk_refuses(true);
        page_thread_do(thread, &save);
        disk_refuses(false);
        assert_true(save.failed);
        values.config = parse_as("page.yaml", text_of_config, strlen(text_of_config), &types_of_config);
        capture = capture_begin();
        page_thread_do(thread, &values);
        said = strstr(capture_end(&capture), "kept again");
        assert_int_equal(values.status, 200);
        assert_null(said);
        capture = capture_begin();
        page_thread_do(thread, &save);
        said = strstr(capture_end(&capture), "kept again");
        assert_non_null(said);
        bytes_done(&open.past.mark);
        bytes_done(&take.queue);
        bytes_done(&values.body);
        config_unref((Config *) values.config);
        page_thread_free(thread);
}

/* What comes after somebody removed the file is in another one. */
static void test_file_is_removed(void **state) {
        Fixture *f = *state;
        PageJob take = { .kind = PAGE_JOB_TAKE }, save = { .kind = PAGE_JOB_SAVE };
        char text[1024], command[256];
        PageThread *thread;
        Capture capture;
        PageStore *store;

        assert_int_equal(page_thread_new(f->directory, &thread), 0);
        assert_int_equal(
                page_queue_put(&take.queue, &(SinkPast){ .text = { text, write_message(text, sizeof(text), 0) } }), 0);
        page_thread_do(thread, &take);
        page_thread_do(thread, &save);
        (void) snprintf(
                command, sizeof(command), "cd %s && rm page.sqlite* && touch page.sqlite.damaged", f->directory);
        assert_int_equal(system(command), 0);
        page_thread_do(thread, &take);
        capture = capture_begin();
        page_thread_do(thread, &save);
        assert_non_null(strstr(capture_end(&capture), "or was removed"));
        assert_true(!save.failed && save.renewed); /* history is read again */
        page_thread_free(thread);
        assert_int_equal(page_store_open(f->directory, clock_now(), &store), 0);
        assert_non_null(page_series_at(page_store_series(store), 0));
        page_store_free(store);
        (void) snprintf(command, sizeof(command), "rm %s/page.sqlite.damaged", f->directory); /* of an earlier damage */
        assert_int_equal(system(command), 0);
        bytes_done(&take.queue);
}

/* The 65th number: said once, of one device. */
static void test_numbers_beyond(void **state) {
        static const char more[] = ",\"n64\":64,\"n65\":65}", *const names[] = { "d", "e" };
        Fixture *f = *state;
        PageJob take = { .kind = PAGE_JOB_TAKE }, close = { .kind = PAGE_JOB_CLOSE }, next = { .kind = PAGE_JOB_TAKE };
        Capture capture = capture_begin();
        char text[1024], *said;
        PageThread *thread;

        assert_int_equal(page_thread_new(f->directory, &thread), 0);
        for (unsigned i = 0; i < 6; i++) {
                size_t size = write_message(text, sizeof(text), i) - 1;

                text[7] = names[i % 2][0];
                memcpy(text + size, more, sizeof(more) - 1);
                assert_int_equal(
                        page_queue_put(&take.queue, &(SinkPast){ .text = { text, size + sizeof(more) - 1 } }), 0);
        }
        page_thread_do(thread, &take);
        __atomic_store_n(&later, 2 * USEC_PER_HOUR, __ATOMIC_SEQ_CST);
        for (unsigned i = 0; i < 3; i++)
                page_thread_do(thread, &take);
        said = capture_end(&capture);
        assert_non_null(said = strstr(said, "Numbers of d without a chart: 2."));
        assert_null(strstr(said + 1, "Numbers of "));
        page_thread_do(thread,
                &close); /* the page is taken out, and comes back later: of what has few there is nothing to say */
        __atomic_store_n(&later, 4 * USEC_PER_HOUR, __ATOMIC_SEQ_CST);
        assert_int_equal(
                page_queue_put(&next.queue, &(SinkPast){ .text = { text, write_message(text, sizeof(text), 9) } }), 0);
        capture = capture_begin();
        page_thread_do(thread, &next);
        assert_null(strstr(capture_end(&capture), "Numbers of "));
        bytes_done(&next.queue);
        bytes_done(&take.queue);
        page_thread_free(thread);
}

#define MANY 200 /* are taken at once */

static void store_messages(Fixture *f, unsigned from) {
        char text[1024];

        for (unsigned i = from; i < from + MANY; i++) {
                size_t size = write_message(text, sizeof(text), i);

                page_charts_add(
                        f->charts, "projects/my-project/subscriptions/sub", &(WireMessage){ .data = { text, size } });
        }
        for (int i = 0; i < 10; i++)
                turn(f);
}

/* Begun while the disk refuses the file: what is stored meanwhile is in the charts when it can be opened. */
static void test_values_wait_for_the_file(void **state) {
        static const int64_t begin = INT64_C(1793491200000); /* 2026-11-01 */
        const PageQuery query = { .series = { 1 }, .n = 1, .from = begin, .to = begin + 3600000 * 24, .points = 2000 };
        Fixture *f = *state;
        PageValues values;
        PageStore *store;
        uint32_t count = 0;
        char path[64];

        (void) snprintf(path, sizeof(path), "%s/page.sqlite", f->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        use(f, "{subscription: sub, fake_sink: {place: here}}");
        store_messages(f, 0);
        assert_int_equal(rmdir(path), 0);
        __atomic_store_n(&later, 61 * USEC_PER_SEC, __ATOMIC_SEQ_CST);
        store_messages(f, MANY);
        page_charts_stop(f->charts);
        UNTIL(f, page_charts_is_stopped(f->charts));
        assert_int_equal(page_store_open(f->directory, clock_now(), &store), 0);
        assert_int_equal(page_store_values(store, &query, &values), 0);
        for (size_t i = 0; i < values.n; i++)
                count += values.buckets[i].count;
        page_store_values_done(&values);
        page_store_free(store);
        assert_int_equal(count, 2 * MANY);
}

/* The values that a kill would leave now. */
static int64_t saved(const Fixture *f) {
        char path[80], command[200];
        int64_t n = -1;
        Sql *sql;

        (void) snprintf(path, sizeof(path), "%s-killed/page.sqlite", f->directory);
        (void) snprintf(command, sizeof(command), "cp -r %s %s-killed", f->directory, f->directory);
        assert_int_equal(system(command), 0);
        assert_int_equal(sql_open(path, &sql), 0);
        assert_int_equal(sql_query_int(sql, "SELECT count(*) FROM minutes", &n), 0);
        sql_close(sql);
        (void) snprintf(command, sizeof(command), "rm -r %s-killed", f->directory);
        assert_int_equal(system(command), 0);
        return n;
}

static void page_may_do(Fixture *f, unsigned n) {
        __atomic_store_n(&page_may, n, __ATOMIC_SEQ_CST);
        UNTIL(f, __atomic_load_n(&page_jobs, __ATOMIC_SEQ_CST) == n + 1);
}

/* The job that closes the file would save, but the page is wanted again before it runs. */
static void test_off_and_on_while_a_save_is_due(void **state) {
        static const char sink[] = "{subscription: sub, fake_sink: {place: here}}";
        Fixture *f = *state;

        history_is_there = true;
        asked = PIECES - 1;
        page_may = 0;
        use(f, sink);
        page_may_do(f, 1);    /* opens: the last of history comes */
        store_messages(f, 0); /* wait behind it */
        page_may_do(f, 2);    /* a save is due after them */
        use_page(f, "", sink);
        use(f, sink);
        __atomic_store_n(&page_may, UINT_MAX, __ATOMIC_SEQ_CST);
        UNTIL(f, saved(f) == (PIECE_MESSAGES + MANY) * MESSAGE_NUMBERS);
}

/* What is stored after this machine's clock was set back bears times from before the page was switched on by the clock
 * of then: it is no history. */
static void test_clock_is_set_back(void **state) {
        const int64_t hour = 3600000, second = 1000;
        Fixture *f = *state;
        PageStore *store;
        int64_t begun;

        history_is_there = true;
        use(f, "{subscription: sub, fake_sink: {place: here}}");
        UNTIL(f, __atomic_load_n(&asked, __ATOMIC_SEQ_CST) > 0);
        __atomic_store_n(&set_back, USEC_PER_HOUR, __ATOMIC_SEQ_CST);
        UNTIL(f, __atomic_load_n(&asked, __ATOMIC_SEQ_CST) == PIECES);
        page_charts_stop(f->charts);
        UNTIL(f, page_charts_is_stopped(f->charts));
        begun = asked_before[0];
        assert_in_range(asked_before[PIECES - 1], begun - hour - second, begun - hour + second);
        assert_int_equal(page_store_open(f->directory, clock_now(), &store), 0);
        assert_in_range(page_store_past(store)->begun, begun - hour - second, begun - hour + second);
        page_store_free(store);
}

/* While it was behind, the newest of what there was seemed to be of the future. */
static void test_clock_is_set_forward(void **state) {
        Fixture *f = *state;

        history_is_there = true;
        set_back = USEC_PER_HOUR;
        use(f, "{subscription: sub, fake_sink: {place: here}}");
        UNTIL(f, opened == 1 && __atomic_load_n(&open_now, __ATOMIC_SEQ_CST) == 0);
        __atomic_store_n(&set_back, 0, __ATOMIC_SEQ_CST);
        asked = PIECES - 1;
        store_messages(f, 0);
        UNTIL(f, opened == 2 && __atomic_load_n(&open_now, __ATOMIC_SEQ_CST) == 0);
        assert_in_range(asked_before[PIECES - 1], clock_wall() / USEC_PER_MSEC - 20000, clock_wall() / USEC_PER_MSEC);
        __atomic_store_n(&later, 2 * USEC_PER_HOUR, __ATOMIC_SEQ_CST);
        __atomic_store_n(&set_back, -3 * USEC_PER_HOUR,
                __ATOMIC_SEQ_CST); /* set forward once more, too late to tell of the start */
        store_messages(f, 0);
        for (int i = 0; i < 5; i++)
                turn(f);
        assert_int_equal(opened, 2);
}

/* Who asks is not kept waiting for a thread that there is not; and as soon as there is one, what came meanwhile is
 * drawn. */
static void test_no_thread_for_the_charts(void **state) {
        static const PageQuery query = { .series = { 1 }, .n = 1, .from = 1, .to = 2, .points = 1 };
        ListenRequest *who = (ListenRequest *) &query;
        _cleanup_bytes_ Bytes figures = {};
        Fixture *f = *state;
        Capture capture = capture_begin();
        const char *said;

        no_thread = "page";
        use(f, "{subscription: sub, fake_sink: {place: here}}");
        page_charts_ask(f->charts, who, &(PageJob){ .kind = PAGE_JOB_VALUES, .query = query });
        assert_int_equal(answered, 503);
        store_messages(f, 0);
        answered = 0;
        page_charts_ask(f->charts, who, &(PageJob){ .kind = PAGE_JOB_SERIES });
        assert_int_equal(answered, 503);
        assert_non_null(strstr(answer_text, "there are no charts now"));
        assert_int_equal(bytes_append_text(&figures, "up 1\n"), 0);
        page_charts_ask(f->charts, who, &(PageJob){ .kind = PAGE_JOB_METRICS, .body = bytes_steal(&figures) });
        assert_int_equal(answered, 200);
        assert_string_equal(answer_text, "up 1\n");
        no_thread = "";
        for (int i = 0; i < 2; i++) { /* who asks and what waits take turns */
                answered = 0;
                page_charts_ask(f->charts, who, &(PageJob){ .kind = PAGE_JOB_SERIES });
                UNTIL(f, answered != 0);
        }
        said = capture_end(&capture);
        assert_int_equal(answered, 200);
        assert_non_null(strstr(answer_text, "\"field\":\"/n0\""));
        assert_non_null(said = strstr(said, "thread cannot be started"));
        assert_null(strstr(said + 1, "thread cannot be started"));
        assert_non_null(strstr(said, "has charts again"));
}

/* The last save finds that the file is gone: history was read again while sensorqd stopped, and since the end is said
 * once, the stop took its whole 15 s. */
static void test_file_is_removed_before_a_stop(void **state) {
        Fixture *f = *state;
        char path[64];

        use(f, "{subscription: sub, fake_sink: {place: here}}");
        store_messages(f, 0);
        UNTIL(f, opened == 1);
        (void) snprintf(path, sizeof(path), "%s/page.sqlite", f->directory);
        assert_int_equal(unlink(path), 0);
        page_charts_stop(f->charts);
        UNTIL(f, stopped > 0);
        assert_true(page_charts_is_stopped(f->charts));
        for (int i = 0; i < 20; i++)
                turn(f);
        assert_int_equal(opened, 1);
}

/* What was before is read when there is a thread for it. */
static void test_no_thread_for_history(void **state) {
        Fixture *f = *state;

        no_thread = "page-past";
        use(f, "{subscription: sub, fake_sink: {place: here}}");
        store_messages(f, 0);
        for (int i = 0; i < 20; i++)
                turn(f);
        assert_int_equal(opened, 0);
        no_thread = "";
        __atomic_store_n(&later, 61 * USEC_PER_SEC, __ATOMIC_SEQ_CST);
        store_messages(f, MANY);
        UNTIL(f, opened == 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_no_thread_for_the_charts, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_thread_for_history, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_file_is_removed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_file_is_removed_before_a_stop, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_numbers_beyond, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_reload, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_off_and_on_while_a_save_is_due, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_history_waits_for_the_disk, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_clock_is_set_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_clock_is_set_forward, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_values_wait_for_the_file, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_kept_again_is_said_when_they_are, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
