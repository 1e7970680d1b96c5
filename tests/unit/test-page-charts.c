/* SPDX-License-Identifier: Apache-2.0 */
/* From where a page's charts read what was stored before, over reloads. The type of sink is this program's own. */
#include "config-fixture.h"

#include <unistd.h>

#include "page-charts.h"

typedef struct FakeKeys {
        char *place;
} FakeKeys;

/* ---- a sink whose history is away ---- */

static unsigned opened, open_now;
static char opened_place[32];

static int history_open(const SubscriptionConfig *config, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        (void) snprintf(opened_place, sizeof(opened_place), "%s", ((const FakeKeys *) config->keys)->place);
        opened++;
        open_now++;
        *ret_self = &open_now;
        return 0;
}

static int history_next(void *self, SinkPiece *piece) {
        return SINK_HISTORY_AWAY;
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

static void on_stopped(void *userdata) {}

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

static void use(Fixture *f, const char *subscribe) {
        char text[500];
        int size = snprintf(text, sizeof(text), PUBSUB "page: {}\nsubscribe: [%s]\n", subscribe);
        Config *config = parse_as("page.yaml", text, (size_t) size, &types_of_config);

        page_charts_use(f->charts, config, &config->subscriptions[0]);
        config_unref(config);
}

static int set_up(void **state) {
        Fixture *f = *state = calloc(1, sizeof(*f));

        assert_non_null(f);
        opened = open_now = 0;
        strcpy(f->directory, "/tmp/test-charts-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(secrets_new(&f->secrets), 0);
        assert_int_equal(page_charts_new(&(PageChartsHost){ f->loop, f->secrets, f->directory, on_stopped, f }, &f->charts), 0);
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;
        char path[64];

        page_charts_stop(f->charts);
        UNTIL(f, page_charts_is_stopped(f->charts));
        page_charts_free(f->charts);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_reload, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
