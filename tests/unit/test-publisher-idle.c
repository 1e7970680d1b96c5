/* SPDX-License-Identifier: Apache-2.0 */
/* An idle publisher sleeps. Whoever hears of its changes may wake it, and a wake-up must not make the next change: the
 * benchmark found a daemon that did nothing, at full speed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/loop.h"
#include "publish/publisher.h"

/* ---- a client in place of the real one: refuses every message ---- */

struct ClientCall {
        LoopWatch *due;
        ClientDone done;
        void *userdata;
};

static unsigned n_calls;

static void on_answer(void *userdata) {
        ClientCall *call = userdata;
        ClientReply reply = { .outcome = CLIENT_INVALID, .http_status = 400, .detail = "refused" };
        ClientDone done = call->done;
        void *of_done = call->userdata;

        loop_drop(call->due);
        free(call);
        done(of_done, &reply);
}

int client_call(Client *client, ClientSpec *spec, ClientDone done, void *userdata, ClientCall **ret) {
        ClientCall *call = calloc(1, sizeof *call);

        assert_non_null(call);
        call->done = done;
        call->userdata = userdata;
        assert_int_equal(loop_add_defer((Loop *) client, on_answer, call, &call->due), 0);
        loop_wake(call->due);
        bytes_done(&spec->body);
        n_calls++;
        *ret = call;
        return 0;
}

ClientCall *client_cancel(ClientCall *call) {
        if (call)
                loop_drop(call->due);
        free(call);
        return NULL;
}

bool client_withdraw(ClientCall *call) {
        return call;
}

/* ---- the daemon's part: every change brings a look, and the look a wake-up ---- */

typedef struct Fixture {
        char directory[64];
        Loop *event;
        LoopWatch *progress;
        Outbox *outbox;
        Publisher *publisher;
} Fixture;

static void on_progress(void *userdata) {
        Fixture *f = userdata;

        publisher_wake(f->publisher);
}

static void on_change(void *userdata) {
        Fixture *f = userdata;

        loop_wake(f->progress);
}

static int setup(void **state) {
        OutboxConfig caps = { .max_rows = 100, .max_bytes = 1 << 20 };
        Fixture *f = calloc(1, sizeof *f);
        OutboxSalvage salvage;

        assert_non_null(f);
        (void) strcpy(f->directory, "/tmp/test-publisher-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        assert_int_equal(loop_new(&f->event), 0);
        assert_int_equal(outbox_open(f->directory, &caps, &f->outbox, &salvage), OUTBOX_OK);
        assert_int_equal(loop_add_defer(f->event, on_progress, f, &f->progress), 0);
        assert_int_equal(publisher_new(&(PublisherSpec){ f->event, (Client *) f->event, f->outbox,
                                               "projects/p/topics/t", on_change, NULL, f },
                                 &f->publisher),
                0);
        n_calls = 0;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        char command[128];

        f->publisher = publisher_free(f->publisher);
        f->outbox = outbox_close(f->outbox);
        loop_drop(f->progress);
        loop_free(f->event);
        (void) snprintf(command, sizeof command, "rm -r %s", f->directory);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

/* Turns of the loop until nothing is left to do now. */
static unsigned turns(Fixture *f) {
        unsigned n = 0;
        int r;

        while ((r = loop_turn(f->event, 0)) > 0 && n < 1000)
                n++;
        assert_true(r >= 0);
        return n;
}

static void put(Fixture *f, unsigned number) {
        ReadingList list = {};
        Bytes payload = {};

        assert_int_equal(bytes_append_text(&payload, "{}"), 0);
        assert_int_equal(reading_list_add(&list,
                                 &(ReadingOrigin){ .source = "home",
                                         .type = "nature_remo",
                                         .device = "device",
                                         .at = "2026-01-15T08:13:00.123Z",
                                         .unique = number },
                                 &payload),
                0);
        assert_int_equal(outbox_put(f->outbox, &list, NULL), OUTBOX_OK);
        reading_list_done(&list);
}

static void test_empty_outbox(void **state) {
        Fixture *f = *state;

        publisher_wake(f->publisher);
        publisher_pause(f->publisher, PUBLISHER_SAID_ELSEWHERE);
        publisher_pause(f->publisher, PUBLISHER_GO_ON);
        assert_true(turns(f) < 20);
        assert_int_equal(n_calls, 0);
}

/* A row that is refused is a suspect; it rests there, and a new row is still looked at (P6). */
static void test_resting(void **state) {
        Fixture *f = *state;
        unsigned calls;

        put(f, 1);
        publisher_wake(f->publisher);
        assert_true(turns(f) < 50);
        calls = n_calls;
        assert_true(calls >= 1);
        publisher_wake(f->publisher);
        assert_true(turns(f) < 50);
        assert_int_equal(n_calls, calls);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_empty_outbox, setup, teardown),
                cmocka_unit_test_setup_teardown(test_resting, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
