/* SPDX-License-Identifier: Apache-2.0 */
/* alerts.sqlite in a directory of its own, and turns of the thread that has it. */
#pragma once
#include "alert-fixture.h"
#include "capture.h"

#include <unistd.h>

#include "sinks/alert-store.h"

#define RULES                                                                                                          \
        "        - { name: hot, field: t, above: 28, clear: 27, to: [a] }\n"                                           \
        "        - { name: cold, field: t, below: 5 }\n"

typedef struct Place {
        char directory[64], path[96];
        Config *config;
        SubscriptionConfig sub;
        AlertStore *store;
        usec_t wall;
        usec_t set; /* the wall clock was set forward by */
} Place;

static char sub_name[] = "projects/p/subscriptions/sub";

static SubscriptionConfig config_of(Place *p, char *subscription) {
        return (SubscriptionConfig){
                .state_dir = p->directory, .subscription = subscription, .keys = p->config->subscriptions[0].keys
        };
}

static void open_store(Place *p) {
        p->sub = config_of(p, sub_name);
        assert_int_equal(alert_store_new(&p->sub, &p->store), 0);
}

static int setup(void **state) {
        Place *p = calloc(1, sizeof(Place));

        (void) snprintf(p->directory, sizeof(p->directory), "%s/test-alert-store-XXXXXX",
                access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"); /* more happens between two kills */
        assert_non_null(mkdtemp(p->directory));
        (void) snprintf(p->path, sizeof(p->path), "%s/" ALERT_STORE_FILE, p->directory);
        p->config = alert_parse(RULES);
        p->wall = START;
        open_store(p);
        *state = p;
        return 0;
}

static int teardown(void **state) {
        Place *p = *state;
        char command[100];

        p->store = alert_store_free(p->store);
        config_unref(p->config);
        (void) snprintf(command, sizeof(command), "rm -rf %s", p->directory);
        assert_int_equal(system(command), 0);
        free(p);
        return 0;
}

/* Takes the turn, as the sink does. */
static int run(AlertStore *store, AlertTurn *turn) {
        if (alert_store_book(store))
                alert_book_begin(alert_store_book(store), &turn->moment);
        alert_work_run(store, turn);
        alert_figures_done(&turn->figures);
        return turn->result;
}

static AlertTurn new_turn(const Place *p) {
        return (AlertTurn){ .moment = { p->wall + p->set, BOOT + (p->wall - START), BOOT - 50 * HOUR,
                                    BOOT + (p->wall - START), false } };
}

/* One message. */
static int say_to(const Place *p, AlertStore *store, const char *device, const char *members) {
        AlertTurn turn = new_turn(p);
        Said said;

        said_init(&said, device, p->wall, p->wall, members);
        turn.items = &said.item;
        turn.n_items = 1;
        return run(store, &turn);
}

static int say(Place *p, const char *device, const char *members) {
        return say_to(p, p->store, device, members);
}
