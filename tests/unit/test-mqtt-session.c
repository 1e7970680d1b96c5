/* SPDX-License-Identifier: Apache-2.0 */
/* The session with a real broker. */
#include "mqtt-session-fixture.h"
#include "side-by-side.h"

static void turn_until(Fixture *f, const bool *flag) {
        while (!*flag)
                turn(f);
}

static void session_end(Fixture *f) {
        f->session = mqtt_session_free(f->session);
}

static int set_up_with(void **state, const char *lines) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void) signal(SIGPIPE, SIG_IGN);
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_tick, f, &f->tick), 0);
        loop_arm_in(f->tick, 0);
        f->broker = mosquitto_new(lines);
        f->spec = spec_of("sensorqd-test", mosquitto_port(f->broker), "home/#\n", 65536);
        f->spec.state_dir = mosquitto_directory(f->broker);
        f->acknowledge = true;
        *state = f;
        return 0;
}

static int set_up(void **state) {
        return set_up_with(state, "");
}

static int tear_down(void **state) {
        Fixture *f = *state;

        mqtt_session_free(f->session);
        mosquitto_free(f->broker);
        loop_drop(f->tick);
        loop_free(f->loop);
        free(f);
        return 0;
}

static void wait_for(Fixture *f, size_t n) {
        while (f->n < n)
                turn(f);
        assert_int_equal(f->n, n);
}

static void test_receives(void **state) {
        Fixture *f = *state;

        start(f);
        turn_until(f, &f->ready);
        mosquitto_publish(f->broker, "home/kitchen", "21.5", false);
        mosquitto_publish(f->broker, "elsewhere", "0", false);
        mosquitto_publish(f->broker, "home/cellar", "12", false);
        wait_for(f, 2);
        assert_string_equal(f->messages[0].topic, "home/kitchen");
        assert_string_equal(f->messages[0].payload, "21.5");
        assert_int_equal(f->messages[0].qos, 1);
        assert_string_equal(f->messages[1].payload, "12");
        assert_int_equal(f->states, 1);
        while (f->confirmed == 0)
                turn(f);
}

/* What comes while we are away is kept by the broker, and what was not acknowledged comes again, marked. */
static void test_session_stays(void **state) {
        Fixture *f = *state;
        char first[20];

        start(f);
        turn_until(f, &f->ready);
        f->acknowledge = false;
        mosquitto_publish(f->broker, "home/a", "1", false);
        wait_for(f, 1);
        (void) snprintf(first, sizeof(first), "%s", f->messages[0].session);
        session_end(f);
        mosquitto_publish(f->broker, "home/a", "2", false);
        f->n = 0;
        f->acknowledge = true;
        start(f);
        wait_for(f, 2);
        assert_string_equal(f->messages[0].payload, "1");
        assert_true(f->messages[0].dup);
        assert_string_equal(f->messages[0].session, first); /* so the same packet identifier is the same message */
        assert_string_equal(f->messages[1].payload, "2");
        assert_false(f->messages[1].dup);
        f->confirmed = 0;
        while (f->confirmed == 0) /* an acknowledgement that the end of the session overtakes is none */
                turn(f);
        session_end(f);
        f->n = 0;
        start(f);
        turn_until(f, &f->ready);
        for (int i = 0; i < 5; i++)
                turn(f);
        assert_int_equal(f->n, 0); /* acknowledged is over */
}

static void test_another_session_has_another_name(void **state) {
        Fixture *f = *state;
        char first[20];

        start(f);
        turn_until(f, &f->ready);
        mosquitto_publish(f->broker, "home/a", "1", false);
        wait_for(f, 1);
        (void) snprintf(first, sizeof(first), "%s", f->messages[0].session);
        session_end(f);
        f->spec.client_id = "another";
        start(f);
        turn_until(f, &f->ready);
        mosquitto_publish(f->broker, "home/a", "1", false);
        wait_for(f, 2);
        assert_string_not_equal(f->messages[1].session, first);
}

/* Topics that were taken out of the configuration do not come any more, new ones do, and nothing else is asked for
 * twice. */
static void test_topics_change(void **state) {
        Fixture *f = *state;

        f->spec.filters = "home/#\nold/#\n";
        start(f);
        turn_until(f, &f->ready);
        session_end(f);
        f->spec.filters = "home/#\nnew/#\n";
        mosquitto_publish(f->broker, "home/kept", "r", true);
        start(f);
        turn_until(f, &f->ready);
        mosquitto_publish(f->broker, "old/a", "1", false);
        mosquitto_publish(f->broker, "new/a", "2", false);
        wait_for(f, 2);
        assert_string_equal(f->messages[0].topic, "home/kept");
        assert_false(f->messages[0].retain); /* it came as a message, not as the answer to a subscription */
        assert_string_equal(f->messages[1].topic, "new/a");
}

static void test_retained(void **state) {
        Fixture *f = *state;

        mosquitto_publish(f->broker, "home/kept", "old", true);
        start(f);
        turn_until(f, &f->ready);
        for (int i = 0; i < 5; i++)
                turn(f);
        assert_int_equal(f->n, 0); /* it was old already when we subscribed */
        session_end(f);
        f->spec.client_id = "another";
        f->spec.retained = true;
        start(f);
        wait_for(f, 1);
        assert_true(f->messages[0].retain);
}

static void test_hold(void **state) {
        Fixture *f = *state;

        start(f);
        turn_until(f, &f->ready);
        mqtt_session_hold(f->session, true);
        mosquitto_publish(f->broker, "home/a", "1", false);
        for (int i = 0; i < 10; i++)
                turn(f);
        assert_int_equal(f->n, 0);
        mqtt_session_hold(f->session, false);
        wait_for(f, 1);
}

/* The broker dies and comes back: told once each, and nothing that it had is missing. */
static void test_broker_dies(void **state) {
        Fixture *f = *state;

        start(f);
        turn_until(f, &f->ready);
        mosquitto_publish(f->broker, "home/a", "1", false);
        wait_for(f, 1);
        mosquitto_kill(f->broker);
        turn_until(f, &f->lost);
        assert_int_equal(f->cause, CAUSE_SERVICE);
        assert_string_not_equal(f->detail, "");
        mosquitto_start(f->broker);
        turn_until(f, &f->ready);
        mosquitto_publish(f->broker, "home/a", "2", false);
        while (strcmp(f->messages[f->n - 1].payload, "2") != 0)
                turn(f); /* the broker may have forgotten that it was told of the first one */
}

static void test_many(void **state) {
        Fixture *f = *state;
        char command[200];

        start(f);
        turn_until(f, &f->ready);
        (void) snprintf(command, sizeof(command),
                "seq 1 3000 | timeout 60 mosquitto_pub -h 127.0.0.1 -p %u -q 1 -t home/n -l >/dev/null 2>&1 &",
                f->spec.stream.port);
        assert_int_equal(system(command), 0);
        wait_for(f, 3000);
        for (size_t i = 0; i < f->n; i++)
                assert_int_equal(strtol(f->messages[i].payload, NULL, 10), i + 1); /* in order */
}

static const char *password_file(void) {
        static char path[64];

        (void) snprintf(path, sizeof(path), "/tmp/mosquitto-%d.passwd", getpid());
        return path;
}

static int set_up_password(void **state) {
        char command[200], lines[200];

        (void) snprintf(command, sizeof(command), "mosquitto_passwd -c -b %s sensorqd secret", password_file());
        assert_int_equal(system(command), 0);
        (void) snprintf(lines, sizeof(lines), "allow_anonymous false\npassword_file %s\n", password_file());
        return set_up_with(state, lines);
}

static void test_login(void **state) {
        Fixture *f = *state;

        f->spec.username = "sensorqd";
        f->spec.password = "wrong";
        start(f);
        turn_until(f, &f->lost);
        if (f->cause != CAUSE_LOGIN || !strstr(f->detail, "not authorized"))
                fail_msg("not taken for refused: %s", f->detail);
        session_end(f);
        f->spec.password = "secret";
        start(f);
        turn_until(f, &f->ready);
        assert_int_equal(unlink(password_file()), 0);
}

/* Two programs with one client identifier: each new one takes the session over. */
static void test_taken_over(void **state) {
        Fixture *f = *state;
        char command[200];

        start(f);
        turn_until(f, &f->ready);
        (void) snprintf(command, sizeof(command),
                "mosquitto_sub -V 5 -h 127.0.0.1 -p %u -i sensorqd-test -t x -W 1 >/dev/null 2>&1 &",
                f->spec.stream.port);
        assert_int_equal(system(command), 0);
        turn_until(f, &f->lost);
        assert_non_null(strstr(f->detail, "client_id")); /* whether mosquitto's own word arrives is a matter of luck */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_receives, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_session_stays, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_another_session_has_another_name, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_topics_change, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_retained, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hold, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_broker_dies, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_login, set_up_password, tear_down),
                cmocka_unit_test_setup_teardown(test_taken_over, set_up, tear_down),
        };

        if (!mosquitto_is_installed())
                return 0;
        return side_by_side(tests, ELEMENTSOF(tests));
}
