/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload makes of stages: those that did not change stay as they are, the others end beside the new ones, and
 * what only one can have goes from the old stage to the new one when the old one has ended. The types are this
 * program's own. */
#include "capture.h"
#include "config-fixture.h"

#include <errno.h>
#include <unistd.h>

#include "events.h"
#include "free-port.h"
#include "lib/listen.h"
#include "stages.h"

typedef struct FakeKeys {
        char *slot, *text;
} FakeKeys;

typedef struct Fake {
        SourceContext context;
        Source *source;
        const SourceConfig *config; /* NULL: it could not be opened */
} Fake;

/* What the fakes did so far: "open NAME, poll NAME, close NAME". */
static Bytes story;
static unsigned open_now[2]; /* by slot: more than one is what must not be */

static int refuse_open; /* with this error; 0: not */

static void tell(const char *what, const SourceConfig *config) {
        assert_int_equal(bytes_append_format(&story, "%s%s %s", story.size > 0 ? ", " : "", what, config->name), 0);
}

static unsigned slot_of(const SourceConfig *config) {
        return strcmp(((const FakeKeys *) config->keys)->slot, "one") == 0 ? 0 : 1;
}

static int fake_open(void *self) {
        Fake *fake = self;

        if (refuse_open)
                return refuse_open;
        fake->source = fake->context.source;
        fake->config = fake->context.config;
        tell("open", fake->config);
        assert_true(open_now[slot_of(fake->config)]++ == 0 ||
                    strcmp(((const FakeKeys *) fake->config->keys)->slot, "shared") == 0);
        return 0;
}

static void fake_end_poll(const Fake *fake) {
        source_polled(fake->source, &(SourcePoll){ .outcome = SOURCE_POLLED });
}

static const Fake *polling;

static int fake_poll(void *self) {
        polling = self;
        return 0;
}

static void fake_close(void *self) {
        const Fake *fake = self;

        if (!fake->config)
                return;
        tell("close", fake->config);
        open_now[slot_of(fake->config)]--;
        if (polling == fake)
                polling = NULL;
}

static void fake_exclusive(const SourceConfig *config, char name[static SOURCE_EXCLUSIVE_MAX]) {
        (void) snprintf(name, SOURCE_EXCLUSIVE_MAX, "slot %s", ((const FakeKeys *) config->keys)->slot);
}

static bool fake_speaks(const void *keys) {
        return strcmp(((const FakeKeys *) keys)->text, "speaks") == 0;
}

static const ConfigRow fake_rows[] = {
        { .key = "slot",
                .type = &config_type_name,
                .offset = offsetof(FakeKeys, slot),
                .min = 1,
                .max = 20,
                .fallback = "one",
                .doc = "slot" },
        { .key = "text",
                .type = &config_type_name,
                .offset = offsetof(FakeKeys, text),
                .min = 1,
                .max = 20,
                .fallback = "text",
                .doc = "text" },
        {},
};

static const ConfigSection fake_section = { .name = "fake", .rows = fake_rows, .size = sizeof(FakeKeys) };
static const SourceType fake_type = { .keys = &fake_section,
        .size = sizeof(Fake),
        .open = fake_open,
        .exclusive = fake_exclusive,
        .poll = fake_poll,
        .speaks = fake_speaks,
        .close = fake_close };

/* ---- a sink, of which only one may be open ---- */

static unsigned sinks_open, sinks_opened, probes;
static bool sink_works; /* on something that it must end */

static int fake_sink_open(
        const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        if (refuse_open)
                return refuse_open;
        assert_int_equal(sinks_open++, 0);
        sinks_opened++;
        *ret_self = host;
        return 0;
}

static int fake_sink_usable(const SubscriptionConfig *config, char problem[static SINK_DETAIL_MAX]) {
        return strcmp(((const FakeKeys *) config->keys)->text, "bad") == 0 ? -EBADMSG : 0;
}

static void fake_sink_exclusive(
        const SubscriptionConfig *config, const char *state_dir, char name[static SINK_EXCLUSIVE_MAX]) {
        (void) snprintf(name, SINK_EXCLUSIVE_MAX, "the sink of %s", state_dir);
}

static const char *fake_sink_place(const void *self) {
        return "nowhere";
}

static void fake_sink_answer(void *self, SinkAnswer *answer) {
        probes++;
        sink_host_answer(self);
}

static bool fake_sink_is_busy(const void *self) {
        return sink_works;
}

static void *fake_sink_close(void *self) {
        sinks_open--;
        return NULL;
}

static const char *sink_words; /* what it has to say of itself */

static void fake_sink_figures(void *self, SinkFigures *ret) {
        ret->words = sink_words;
}

static const ConfigSection fake_sink_section = { .name = "fake_sink", .rows = fake_rows, .size = sizeof(FakeKeys) };
static const SinkType fake_sink_type = {
        .keys = &fake_sink_section,
        .what = "Nothing",
        .open = fake_sink_open,
        .exclusive = fake_sink_exclusive,
        .place = fake_sink_place,
        .probe = fake_sink_answer,
        .close = fake_sink_close,
        .is_busy = fake_sink_is_busy,
        .figures = fake_sink_figures,
        .usable = fake_sink_usable,
};

/* ---- this program's types.c ---- */

extern const SourceType source_type_http_push;

const SourceType *types_source(const char *name) {
        return strcmp(name, "http_push") == 0 ? &source_type_http_push : &fake_type;
}

const SinkType *types_sink(const char *name) {
        return &fake_sink_type;
}

static const ConfigSection *fake_source(size_t index) {
        return index == 0 ? &fake_section : index == 1 ? source_type_http_push.keys : NULL;
}

static const ConfigSection *fake_sink(size_t index) {
        return index == 0 ? &fake_sink_section : NULL;
}

const ConfigTypes types_of_config = { fake_source, fake_sink };

/* ---- fixture ---- */

typedef struct Fixture {
        StagesHost host;
        char directory[32];
} Fixture;

static void on_note(void *userdata) {}

/* Whether the stages asked for it since the last time. */
static bool noted(LoopWatch *watch) {
        bool armed = loop_is_armed(watch);

        loop_off(watch);
        return armed;
}

/* The stages of a configuration go to work. */
static void take_text(Fixture *f, const char *text) {
        char error[STAGES_ERROR_MAX];
        ConfigErrors errors = {};
        Config *config = NULL;
        Stages *stages;

        if (config_parse(&(ConfigInput){ "/f.yaml", &types_of_config }, text, strlen(text), &config, &errors) < 0)
                fail_msg("%s", errors_text(&errors));
        assert_int_equal(stages_new(&f->host, config, &stages, error), STAGES_OK);
        stages_take_over(stages);
        config_unref(config);
}

static void take(Fixture *f, const char *sources) {
        char text[1024];

        (void) snprintf(text, sizeof(text), PUBSUB "publish: {topic: top, sources: [%s]}\n", sources);
        take_text(f, text);
}

static void assert_story(const char *expected) {
        assert_string_equal(story.data ? story.data : "", expected);
        bytes_done(&story);
}

static int setup(void **state) {
        static Fixture f;
        OutboxConfig caps = { 1000, 1000000 };

        f = (Fixture){ .directory = "/tmp/test-stages.XXXXXX" };
        assert_non_null(mkdtemp(f.directory));
        assert_int_equal(loop_new(&f.host.loop), 0);
        assert_int_equal(loop_add_timer(f.host.loop, LOOP_EXACT, on_note, NULL, &f.host.report), 0);
        assert_int_equal(loop_add_defer(f.host.loop, on_note, NULL, &f.host.settle), 0);
        assert_int_equal(http_new(f.host.loop, "test", &f.host.http), 0);
        assert_int_equal(listen_new(f.host.loop, &f.host.listen), 0);
        assert_int_equal(secrets_new(&f.host.secrets), 0);
        assert_int_equal(outbox_open(f.directory, &caps, &f.host.outbox, NULL), OUTBOX_OK);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        char command[64];

        stages_free(f->host.stages);
        outbox_close(f->host.outbox);
        secrets_free(f->host.secrets);
        listen_free(f->host.listen);
        http_free(f->host.http);
        loop_drop(f->host.settle);
        loop_drop(f->host.report);
        loop_free(f->host.loop);
        assert_int_equal(open_now[0] + open_now[1], 0);
        bytes_done(&story);
        (void) snprintf(command, sizeof(command), "rm -r %s", f->directory);
        assert_int_equal(system(command), 0);
        return 0;
}

/* ---- tests ---- */

static void test_unchanged_stays(void **state) {
        Fixture *f = *state;

        take(f, "{name: a, type: fake}, {name: b, type: fake, slot: two}");
        assert_story("open a, open b");
        take(f, "{name: b, type: fake, slot: two}");
        assert_story("close a");
        take(f, "{name: b, type: fake, slot: two}, {name: c, type: fake}");
        assert_story("open c");
}

/* The old one is closed before the new one is opened, in one go where it is idle. */
static void test_exclusive_passes_on(void **state) {
        Fixture *f = *state;

        take(f, "{name: a, type: fake}");
        assert_story("open a");
        take(f, "{name: a, type: fake, text: other}");
        assert_story("close a, open a");
        take(f, "{name: b, type: fake}");
        assert_story("close a, open b");
}

/* A poll under way ends first, and a further reload meanwhile changes nothing about that. */
static void test_exclusive_waits(void **state) {
        Fixture *f = *state;
        Figures figures = {};
        const Fake *first;

        take(f, "{name: a, type: fake}");
        for (unsigned i = 0; !polling && i < 100; i++)
                assert_true(loop_turn(f->host.loop, USEC_PER_SEC) >= 0);
        first = polling;
        assert_non_null(first);
        take(f, "{name: b, type: fake}");
        assert_story("open a");
        take(f, "{name: c, type: fake}, {name: d, type: fake, slot: two}");
        assert_story("open d");
        stages_settle(f->host.stages);
        assert_story("");

        (void) noted(f->host.settle);
        fake_end_poll(first);
        assert_true(noted(f->host.settle));
        for (unsigned i = 0; open_now[0] > 0 && i < 10; i++)
                (void) loop_turn(f->host.loop, 0);
        stages_settle(f->host.stages);
        assert_story("close a, open c");
        assert_int_equal(stages_figures(f->host.stages, &figures), 0);
        assert_int_equal(figures.n_sources, 2);
        report_done(&figures);
}

/* Where the configuration gives one thing to two (0.2.0 took that, so it is only warned of), the one that stays is not
 * waited for: it never ends. */
static void test_shared_is_not_waited_for(void **state) {
        Fixture *f = *state;

        take(f, "{name: a, type: fake, slot: shared}, {name: b, type: fake, slot: shared}");
        assert_story("open a, open b");
        take(f, "{name: a, type: fake, slot: shared}, {name: b, type: fake, slot: shared, text: other}");
        assert_story("close b, open b");
}

/* A path is served on an address all through a reload: what others have there answered 404 meanwhile. */
static void test_path_of_a_shared_address(void **state) {
        Fixture *f = *state;
        char sources[400], address[32];
        const ListenSpec spec = { .address = address, .path = "/a" };
        ListenRoute *route;

        (void) snprintf(address, sizeof(address), "127.0.0.1:%u", free_port());
        for (unsigned size = 1024; size < 1026; size++) {
                (void) snprintf(sources, sizeof(sources),
                        "{name: a, type: http_push, listen: '%s', path: /a, max_body: %u}, "
                        "{name: b, type: http_push, listen: '%s', path: /b}",
                        address, size, address);
                take(f, sources);
                assert_int_equal(listen_route(f->host.listen, &spec, &(ListenHandler){}, &route), -EEXIST);
        }
}

/* Whether everything works, and what is said of the only source. */
static bool is_well(Fixture *f, SourceStatus *ret) {
        Figures figures = {};
        bool well;

        assert_int_equal(stages_figures(f->host.stages, &figures), 0);
        assert_int_equal(figures.n_sources, 1);
        *ret = figures.sources[0];
        well = report_is_well(&figures);
        report_done(&figures);
        return well;
}

/* What waited, and then cannot be opened, is said once, and said when it is over. The figures have it as long, with
 * what the outbox knows of it. */
static void test_waiting_cannot_be_opened(void **state) {
        _cleanup_(reading_list_done) ReadingList gone = { .n_dropped = 2 };
        _cleanup_bytes_ Bytes payload = {};
        Fixture *f = *state;
        SourceStatus source;
        Capture capture;
        char *said;

        assert_int_equal(bytes_append_text(&payload, "?"), 0);
        assert_int_equal(reading_list_add_unreadable(&gone, "b", (Slice){}, "no JSON", &payload), 0);
        assert_int_equal(outbox_put(f->host.outbox, &gone, NULL), OUTBOX_OK);
        take(f, "{name: a, type: fake}");
        capture = capture_begin();
        refuse_open = -EMFILE;
        take(f, "{name: b, type: fake, text: speaks}");
        stages_settle(f->host.stages);
        stages_settle(f->host.stages);
        assert_false(is_well(f, &source));
        assert_int_equal(source.dropped, 2);
        assert_true(source.speaks);
        assert_string_equal(source.name, "b");
        assert_string_equal(source.failure.detail, "Too many open files");
        assert_int_equal(source.failure.cause, CAUSE_MEMORY);
        assert_true(source.failure.on && source.failure.since > 0);
        refuse_open = 0;
        (void) noted(f->host.report);
        stages_settle(f->host.stages);
        assert_true(noted(f->host.report));
        stages_settle(f->host.stages);
        said = capture_end(&capture);
        assert_true(is_well(f, &source));
        assert_story("open a, close a, open b");
        assert_int_equal(count_of(said, "cannot be started: Too many open files"), 1);
        assert_int_equal(count_of(said, EVENT_PART_FAILING), 1);
        assert_int_equal(count_of(said, "slot one works again after"), 1);
        assert_int_equal(count_of(said, EVENT_PART_RECOVERED), 1);
}

/* A further reload that corrects its section, or takes it away, ends what was said of it. */
static void test_waiting_is_corrected(void **state) {
        Fixture *f = *state;
        SourceStatus source;
        Capture capture;
        char *said;

        take(f, "{name: a, type: fake}");
        capture = capture_begin();
        refuse_open = -EMFILE;
        take(f, "{name: b, type: fake}");
        take(f, "{name: b, type: fake}"); /* still the same */
        refuse_open = 0;
        take(f, "{name: b, type: fake, text: other}"); /* which has the same slot */
        said = capture_end(&capture);
        assert_true(is_well(f, &source));
        assert_story("open a, close a, open b");
        assert_int_equal(count_of(said, EVENT_PART_FAILING), 1);
        assert_int_equal(count_of(said, "was changed or removed by a reload: slot one"), 1);
        assert_int_equal(count_of(said, EVENT_PART_RECOVERED), 1);
}

/* What fails, and is corrected by a reload, gets an end in the log: what comes in its place has never failed. */
static void test_failing_is_corrected(void **state) {
        Fixture *f = *state;
        SourceStatus source;
        Capture capture;
        char *said;

        take(f, "{name: a, type: fake}");
        for (int i = 0; !polling && i < 100; i++)
                assert_true(loop_turn(f->host.loop, USEC_PER_SEC) >= 0);
        assert_non_null(polling);
        source_polled(polling->source, &(SourcePoll){ .outcome = SOURCE_REFUSED, .detail = "wrong token" });
        assert_false(is_well(f, &source));
        capture = capture_begin();
        take(f, "{name: a, type: fake}"); /* still the same, and failing */
        take(f, "{name: a, type: fake, text: other}");
        take(f, "{name: a, type: fake}"); /* it had not failed */
        said = capture_end(&capture);
        assert_int_equal(count_of(said, EVENT_PART_RECOVERED), 1);
        assert_int_equal(count_of(said, "a had been failing for "), 1);
        bytes_done(&story);
}

/* A single failure is not logged, so neither is its end. */
static void test_failed_once_is_corrected(void **state) {
        Fixture *f = *state;
        SourceStatus source;
        Capture capture;
        char *said;

        capture = capture_begin();
        take(f, "{name: a, type: fake}");
        for (int i = 0; !polling && i < 100; i++)
                assert_true(loop_turn(f->host.loop, USEC_PER_SEC) >= 0);
        assert_non_null(polling);
        source_polled(polling->source, &(SourcePoll){ .outcome = SOURCE_UNREACHABLE, .detail = "away" });
        assert_false(is_well(f, &source));
        take(f, "{name: a, type: fake, text: other}");
        said = capture_end(&capture);
        assert_int_equal(count_of(said, "a gives no readings"), 0);
        assert_int_equal(count_of(said, EVENT_PART_RECOVERED), 0);
        bytes_done(&story);
}

/* The same for sinks: the new one is opened when the old one has been closed. */
static void test_exclusive_sink(void **state) {
        Fixture *f = *state;

        take_text(f, PUBSUB "subscribe: [{subscription: sub, fake_sink: {}}]\n");
        assert_int_equal(sinks_open, 1);
        take_text(f, PUBSUB "subscribe: [{subscription: sub, fake_sink: {text: other}}]\n");
        for (unsigned i = 0; sinks_opened < 2 && i < 100; i++) {
                assert_true(loop_turn(f->host.loop, USEC_PER_SEC / 10) >= 0);
                stages_settle(f->host.stages);
        }
        assert_int_equal(sinks_opened, 2);
        assert_int_equal(sinks_open, 1);
        stages_free(f->host.stages);
        assert_int_equal(sinks_open, 0);
}

/* Alerts that fire in a subscription that is taken away: the targets went with it, so the log tells of them. */
static void test_alerts_are_taken_away(void **state) {
        Fixture *f = *state;
        Capture capture;
        char *said;

        take_text(f, PUBSUB "subscribe: [{subscription: sub, fake_sink: {}}]\n");
        sink_words = "1 alert firing (hot)";
        capture = capture_begin();
        take_text(f, PUBSUB "subscribe: [{subscription: sub, fake_sink: {text: other}}]\n"); /* it goes on */
        stages_settle(f->host.stages);
        sink_works = true; /* so it is there for longer than two reloads */
        take_text(f, PUBSUB "subscribe: [{subscription: another, fake_sink: {text: other}}]\n");
        take_text(f, PUBSUB "subscribe: [{subscription: another, fake_sink: {text: more}}]\n");
        said = capture_end(&capture);
        sink_words = NULL;
        sink_works = false;
        assert_int_equal(count_of(said, "with it: 1 alert firing (hot). Nobody will be notified"), 1);
}

/* One that cannot be opened counts as a sink that is down. */
static void test_sink_cannot_be_opened(void **state) {
        const SubscriberStatus *status;
        Fixture *f = *state;
        Figures figures = {};

        sinks_opened = 0;
        take_text(f, PUBSUB "subscribe: [{subscription: sub, fake_sink: {}}]\n");
        refuse_open = -EAGAIN; /* its thread */
        take_text(f, PUBSUB "subscribe: [{subscription: sub, fake_sink: {text: other}}]\n");
        for (unsigned i = 0; sinks_open > 0 && i < 100; i++) {
                assert_true(loop_turn(f->host.loop, USEC_PER_SEC / 10) >= 0);
                stages_settle(f->host.stages);
        }
        assert_int_equal(stages_figures(f->host.stages, &figures), 0);
        refuse_open = 0;
        assert_int_equal(figures.n_subscribers, 1);
        status = figures.subscribers;
        assert_false(status->sink.ready);
        assert_string_equal(status->subscription, "projects/my-project/subscriptions/sub");
        assert_string_equal(status->sink.what, "Nothing");
        assert_string_equal(status->sink.failure.detail, "Resource temporarily unavailable");
        assert_int_equal(status->sink.failure.cause, CAUSE_MEMORY);
        assert_true(status->paused && status->paused_since > 0 && status->sink.failure.since > 0);
        report_done(&figures);
}

/* What a reload that is refused has opened is closed before it asked anything: a thread that was asked would go on with
 * a configuration that is gone. */
static void test_refused_asks_nothing(void **state) {
        static const char text[] =
                PUBSUB "subscribe: [{subscription: sub, fake_sink: {}}, {subscription: two, fake_sink: {text: bad}}]\n";
        char error[STAGES_ERROR_MAX];
        ConfigErrors errors = {};
        Fixture *f = *state;
        Config *config;
        Stages *stages;

        sinks_opened = probes = 0;
        assert_int_equal(
                config_parse(&(ConfigInput){ "/f.yaml", &types_of_config }, text, strlen(text), &config, &errors), 0);
        assert_int_equal(stages_new(&f->host, config, &stages, error), -EBADMSG);
        config_unref(config);
        assert_int_equal(sinks_opened, 1);
        assert_int_equal(probes, 0);
}

/* P9: also where the new one would have to wait for the old one, which goes on. */
static void test_refused_behind_exclusive(void **state) {
        static const char text[] = PUBSUB "subscribe: [{subscription: sub, fake_sink: {text: bad}}]\n";
        char error[STAGES_ERROR_MAX];
        ConfigErrors errors = {};
        Fixture *f = *state;
        Config *config;
        Stages *stages;

        take_text(f, PUBSUB "subscribe: [{subscription: sub, fake_sink: {}}]\n");
        assert_int_equal(
                config_parse(&(ConfigInput){ "/f.yaml", &types_of_config }, text, strlen(text), &config, &errors), 0);
        assert_int_equal(stages_new(&f->host, config, &stages, error), -EBADMSG);
        config_unref(config);
        assert_int_equal(sinks_open, 1);
}

/* Turns and settles until the sinks that were opened are as many as *opened*, or for long enough to know that they do
 * not become so many. */
static void settle(Fixture *f, unsigned opened) {
        for (unsigned i = 0; sinks_opened < opened && i < 10; i++) {
                assert_true(loop_turn(f->host.loop, USEC_PER_SEC / 100) >= 0);
                stages_settle(f->host.stages);
        }
}

/* A stop while the new one waits for the old one: it is not opened any more, and the stop ends with the old one. */
static void test_stop_while_waiting(void **state) {
        Fixture *f = *state;

        sinks_opened = 0;
        sink_works = true;
        take_text(f, PUBSUB "subscribe: [{subscription: sub, fake_sink: {}}]\n");
        take_text(f, PUBSUB "subscribe: [{subscription: sub, fake_sink: {text: other}}]\n");
        f->host.stopping = true;
        stages_stop(f->host.stages);
        assert_false(stages_are_stopped(f->host.stages));
        sink_works = false;
        settle(f, 2);
        assert_int_equal(sinks_opened, 1);
        assert_true(stages_are_stopped(f->host.stages));
}

/* The only subscription waits for its predecessor: publishing waits for it, and that is not a fault of the
 * configuration. */
static void test_publishing_waits_for_waiting(void **state) {
#define PUBLISHES "publish: {topic: top, sources: [{name: a, type: fake}]}\n"
        Fixture *f = *state;
        Figures figures = {};

        sinks_opened = 0;
        sink_works = true;
        take_text(f, PUBSUB PUBLISHES "subscribe: [{subscription: sub, fake_sink: {}}]\n");
        take_text(f, PUBSUB PUBLISHES "subscribe: [{subscription: sub, fake_sink: {text: other}}]\n");
        settle(f, 2);
        assert_int_equal(sinks_opened, 1);
        assert_int_equal(stages_figures(f->host.stages, &figures), 0);
        assert_true(figures.publisher.paused);
        assert_false(figures.publisher.failure.on);
        report_done(&figures);
        sink_works = false;
        settle(f, 2);
        assert_int_equal(sinks_opened, 2);
}

/* Changes in a set that has settled are figures only: nobody is asked what came of it. */
static void test_quiet(void **state) {
        Fixture *f = *state;

        take(f, "{name: a, type: fake}");
        stages_settle(f->host.stages);
        while (!polling)
                assert_true(loop_turn(f->host.loop, USEC_PER_SEC) >= 0);
        (void) noted(f->host.settle);
        (void) noted(f->host.report);
        fake_end_poll(polling);
        assert_false(noted(f->host.settle));
        assert_true(noted(f->host.report));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_unchanged_stays, setup, teardown),
                cmocka_unit_test_setup_teardown(test_exclusive_passes_on, setup, teardown),
                cmocka_unit_test_setup_teardown(test_exclusive_waits, setup, teardown),
                cmocka_unit_test_setup_teardown(test_shared_is_not_waited_for, setup, teardown),
                cmocka_unit_test_setup_teardown(test_path_of_a_shared_address, setup, teardown),
                cmocka_unit_test_setup_teardown(test_waiting_cannot_be_opened, setup, teardown),
                cmocka_unit_test_setup_teardown(test_waiting_is_corrected, setup, teardown),
                cmocka_unit_test_setup_teardown(test_failing_is_corrected, setup, teardown),
                cmocka_unit_test_setup_teardown(test_failed_once_is_corrected, setup, teardown),
                cmocka_unit_test_setup_teardown(test_exclusive_sink, setup, teardown),
                cmocka_unit_test_setup_teardown(test_alerts_are_taken_away, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sink_cannot_be_opened, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused_asks_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused_behind_exclusive, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stop_while_waiting, setup, teardown),
                cmocka_unit_test_setup_teardown(test_publishing_waits_for_waiting, setup, teardown),
                cmocka_unit_test_setup_teardown(test_quiet, setup, teardown),
        };

        (void) setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9", true); /* discard: nobody listens */
        return cmocka_run_group_tests(tests, NULL, NULL);
}
