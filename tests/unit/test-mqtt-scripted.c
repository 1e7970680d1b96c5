/* SPDX-License-Identifier: Apache-2.0 */
/* The session with brokers that say what mosquitto never says. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "capture.h"
#include "lib/file.h"
#include "mqtt-session-fixture.h"

#define PATIENCE (30 * USEC_PER_SEC) /* of the session, for an answer */

static usec_t patience = PATIENCE; /* as it is for timers */
static unsigned waits;             /* that were begun */
#define BEAT (29 * USEC_PER_SEC)
static unsigned beats;

static bool hurried; /* waits before a next try are short */

static usec_t ahead; /* of the clock */

usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);

usec_t __wrap_clock_now(void) {
        return __real_clock_now() + ahead;
}

void __real_loop_arm_in(LoopWatch *timer, usec_t delay);
void __wrap_loop_arm_in(LoopWatch *timer, usec_t delay);

void __wrap_loop_arm_in(LoopWatch *timer, usec_t delay) {
        waits += delay == PATIENCE;
        beats += delay == BEAT;
        if (delay == BEAT || (hurried && delay != 2 * PATIENCE))
                delay = 5 * USEC_PER_MSEC;
        __real_loop_arm_in(timer, delay == PATIENCE ? patience : delay);
}

typedef struct Script {
        Fixture f;
        int listen_fd, fd;
        unsigned accepted;
        Bytes heard;
        const char *answers[8]; /* to each connection's greeting; NULL: closes */
        size_t sizes[8];
} Script;

static void on_accept(Script *s) {
        int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
                return;
        if (s->fd >= 0)
                close(s->fd);
        s->fd = fd;
        s->accepted++;
        s->heard.size = 0;
}

static void script_turn(Script *s) {
        char buffer[512];
        ssize_t n;

        on_accept(s);
        n = s->fd >= 0 ? recv(s->fd, buffer, sizeof(buffer), 0) : -1;
        if (n > 0 && s->heard.size == 0) {
                unsigned i = s->accepted - 1 < 8 ? s->accepted - 1 : 7;

                assert_int_equal(bytes_append(&s->heard, buffer, (size_t) n), 0);
                if (s->answers[i])
                        assert_int_equal(send(s->fd, s->answers[i], s->sizes[i], 0), s->sizes[i]);
                else {
                        close(s->fd);
                        s->fd = -1;
                }
        } else if (n > 0)
                assert_int_equal(bytes_append(&s->heard, buffer, (size_t) n), 0);
        turn(&s->f);
}

static int script_set_up(void **state) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        Script *s = calloc(1, sizeof(*s));

        ahead = 0;
        hurried = false;
        assert_non_null(s);
        (void) signal(SIGPIPE, SIG_IGN);
        s->fd = -1;
        s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(s->listen_fd, (struct sockaddr *) &address, size), 0);
        assert_int_equal(listen(s->listen_fd, 8), 0);
        assert_int_equal(getsockname(s->listen_fd, (struct sockaddr *) &address, &size), 0);
        assert_int_equal(loop_new(&s->f.loop), 0);
        assert_int_equal(loop_add_timer(s->f.loop, LOOP_EXACT, on_tick, &s->f, &s->f.tick), 0);
        loop_arm_in(s->f.tick, 0);
        s->f.spec = spec_of("c", ntohs(address.sin_port), "a\n", 1024);
        s->f.spec.clean = true;
        *state = s;
        return 0;
}

static int script_tear_down(void **state) {
        Script *s = *state;

        mqtt_session_free(s->f.session);
        if (s->fd >= 0)
                close(s->fd);
        close(s->listen_fd);
        bytes_done(&s->heard);
        loop_drop(s->f.tick);
        loop_free(s->f.loop);
        free(s);
        return 0;
}

static void script_answer(Script *s, unsigned connection, const char *answer, size_t size) {
        s->answers[connection] = answer;
        s->sizes[connection] = size;
}
#define ANSWER(s, connection, literal) script_answer(s, connection, literal, sizeof(literal) - 1)

/* A connection whose beat is BEAT: half of 58 s. */
#define READY "\x20\x06\x00\x00\x03\x13\x00\x3a\x90\x04\x00\x01\x00\x01"

/* The eighth byte of the greeting is the version. Nothing has failed: `check` would say so. */
static void assert_older_version(Script *s) {
        while (s->accepted < 2 || s->heard.size < 9)
                script_turn(s);
        assert_int_equal(s->heard.data[8], 4);
        while (!s->f.ready)
                script_turn(s);
        assert_int_equal(s->f.states, 1);
}

static void test_older_version(void **state) {
        Script *s = *state;

        ANSWER(s, 0, "\x20\x02\x00\x01"); /* a broker of 3.1.1: it does not know that version */
        ANSWER(s, 1, "\x20\x02\x00\x00\x90\x03\x00\x01\x01");
        start(&s->f);
        assert_older_version(s);
}

static void test_older_version_closed_door(void **state) {
        Script *s = *state;

        ANSWER(s, 1, "\x20\x02\x00\x00\x90\x03\x00\x01\x01");
        start(&s->f);
        assert_older_version(s);
}

/* Goes on until so many waits for an answer were begun; the last one is short. */
static void wait_in_vain(Script *s, unsigned n) {
        unsigned begun = waits;

        while (waits < begun + n) {
                patience = waits == begun + n - 1 ? 5 * USEC_PER_MSEC : PATIENCE;
                script_turn(s);
        }
        patience = PATIENCE;
}

/* amqtt does not answer at all. */
static void test_older_version_silence(void **state) {
        Script *s = *state;

        ANSWER(s, 0, "");
        ANSWER(s, 1, "\x20\x02\x00\x00\x90\x03\x00\x01\x01");
        start(&s->f);
        wait_in_vain(s, 1);
        assert_older_version(s);
}

/* One that has answered in MQTT 5 before is only slow. */
static void test_silence_of_a_known_broker(void **state) {
        Script *s = *state;

        ANSWER(s, 0, READY);
        ANSWER(s, 1, "");
        start(&s->f);
        while (!s->f.ready)
                script_turn(s);
        assert_int_equal(shutdown(s->fd, SHUT_RDWR), 0);
        wait_in_vain(s, 1);
        while (s->f.states < 3)
                script_turn(s);
        assert_string_equal(s->f.detail, "the broker does not answer");
        while (s->accepted < 3 || s->heard.size < 9)
                script_turn(s);
        assert_int_equal(s->heard.data[8], 5);
}

/* The broker still has a session, but what is known of it is that of another broker: its topics are asked for again. */
static void test_session_of_another_broker(void **state) {
        static const char kept[] = "0123456789abcdef elsewhere:1883\na\n",
                          subscribe[] = "\x82\x06\xff\xff\x00\x01\x61\x01";
        char directory[] = "/tmp/sensorqd-session-XXXXXX", path[80];
        Script *s = *state;

        assert_non_null(mkdtemp(directory));
        assert_int_equal(file_replace(directory, "mqtt-home.session", kept, sizeof(kept) - 1), 0);
        s->f.spec.clean = false;
        s->f.spec.state_dir = directory;
        ANSWER(s, 0, "\x20\x02\x00\x01");                     /* not MQTT 5 */
        ANSWER(s, 1, "\x20\x02\x01\x00\x90\x03\x00\x01\x01"); /* the session is there */
        start(&s->f);
        while (!s->f.ready)
                script_turn(s);
        for (int i = 0; i < 50 && !memmem(s->heard.data, s->heard.size, subscribe, 8); i++)
                script_turn(s);
        assert_non_null(memmem(s->heard.data, s->heard.size, subscribe, 8));
        (void) snprintf(path, sizeof(path), "%s/mqtt-home.session", directory);
        (void) unlink(path);
        (void) rmdir(directory);
}

static void test_topic_refused(void **state) {
        Script *s = *state;

        ANSWER(s, 0, "\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x87");
        start(&s->f);
        while (!s->f.lost)
                script_turn(s);
        assert_int_equal(s->f.cause, CAUSE_LOGIN);
        assert_non_null(strstr(s->f.detail, "refuses a topic: not authorized"));
}

static void test_told_of_the_other_program(void **state) {
        Script *s = *state;

        ANSWER(s, 0, "\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x01\xe0\x01\x8e");
        start(&s->f);
        while (!s->f.lost)
                script_turn(s);
        assert_int_equal(s->f.cause, CAUSE_LOGIN);
        assert_non_null(strstr(s->f.detail, "another program uses the same client_id, c,"));
}

/* Goes on until the session was told of *n* states, and the connection had so many beats. */
static void beat(Script *s, unsigned n, unsigned more) {
        unsigned begun = beats;

        while (s->f.states < n || beats < begun + more)
                script_turn(s);
}

/* Two programs that take the session from each other: in the minutes between, all is not well. */
static void test_taken_again_and_again(void **state) {
        Script *s = *state;

        ANSWER(s, 0, READY "\xe0\x01\x8e");
        ANSWER(s, 1, READY);
        start(&s->f);
        while (s->accepted < 2)
                script_turn(s);
        beat(s, 2, 5);
        assert_int_equal(s->f.states, 2);      /* well, then taken */
        mqtt_session_hold(s->f.session, true); /* so that nobody misses answers to PINGREQ */
        ahead = 16 * USEC_PER_MINUTE;
        beat(s, 3, 0);
        assert_true(s->f.ready);
}

/* The same at a broker that only closes the connection: the first time may be chance. */
static void test_closed_again_and_again(void **state) {
        Script *s = *state;

        for (unsigned i = 0; i < 3; i++)
                ANSWER(s, i, READY);
        start(&s->f);
        for (unsigned i = 1; i < 3; i++) {
                beat(s, 2 * i - 1, 2);
                assert_true(s->f.ready);
                assert_int_equal(shutdown(s->fd, SHUT_RDWR), 0);
                while (s->accepted == i)
                        script_turn(s);
        }
        beat(s, 4, 5);
        assert_true(s->f.lost);
        assert_int_equal(s->f.states, 4);
        assert_non_null(strstr(s->f.detail, "another program uses the same client_id"));
        ahead = 61 * USEC_PER_SEC;
        beat(s, 5, 0);
        assert_true(s->f.ready);
}

static void say(Script *s, const char *packet, size_t size, size_t n) {
        assert_int_equal(send(s->fd, packet, size, 0), size);
        while (s->f.n < n)
                script_turn(s);
}

/* Some brokers mark what is published now as retained, too. What they kept comes when we subscribe, or when we read
 * on. */
static void test_marked_as_retained(void **state) {
#define MARKED "\x31\x05\x00\x01\x61\x00\x31"
        Script *s = *state;

        ANSWER(s, 0, READY MARKED);
        start(&s->f);
        while (s->f.n < 1)
                script_turn(s);
        assert_true(s->f.messages[0].retain);
        say(s, MARKED, sizeof(MARKED) - 1, 2);
        assert_true(s->f.messages[1].retain);
        mqtt_session_hold(s->f.session, true);
        ahead = 61 * USEC_PER_SEC;
        mqtt_session_hold(s->f.session, false);
        say(s, MARKED, sizeof(MARKED) - 1, 3);
        assert_true(s->f.messages[2].retain);
        ahead = 122 * USEC_PER_SEC;
        say(s, MARKED, sizeof(MARKED) - 1, 4);
        assert_false(s->f.messages[3].retain);
        assert_false(s->f.lost);
}

/* What sensors send with QoS 0 is lost until we are back; a login that is refused is another matter. */
static void test_away_for_long(void **state) {
        Script *s = *state;

        hurried = true;
        for (unsigned i = 0; i < 8; i++)
                ANSWER(s, i, "\x20\x03\x00\x87\x00"); /* not authorized */
        start(&s->f);
        while (s->f.states < 20)
                script_turn(s);
        assert_in_range(s->f.longest, USEC_PER_MINUTE, 5 * USEC_PER_MINUTE);
        s->f.longest = 0;
        assert_int_equal(shutdown(s->listen_fd, SHUT_RDWR), 0); /* connections are refused */
        while (s->f.states < 40)
                script_turn(s);
        assert_in_range(s->f.longest, USEC_PER_SEC, 30 * USEC_PER_SEC);
}

/* A broker that ends twice soon after its start, and is then away: no other program has our client_id meanwhile. */
static void test_away_after_short_connections(void **state) {
        Script *s = *state;

        for (unsigned i = 0; i < 2; i++)
                ANSWER(s, i, READY);
        start(&s->f);
        for (unsigned i = 1; i < 3; i++) {
                while (s->accepted < i)
                        script_turn(s);
                beat(s, 2 * i - 1, 2);
                if (i == 2)
                        assert_int_equal(shutdown(s->listen_fd, SHUT_RDWR), 0); /* connections are refused */
                assert_int_equal(shutdown(s->fd, SHUT_RDWR), 0);
                beat(s, 2 * i, 0);
        }
        hurried = true;
        while (s->f.states < 40)
                script_turn(s);
        assert_in_range(s->f.longest, USEC_PER_SEC, 30 * USEC_PER_SEC);
}

/* While nothing is read, since the disk is full, no answer can come: the broker is not to blame. */
static void test_held_before_the_answer(void **state) {
        Script *s = *state;
        unsigned begun = waits;

        ANSWER(s, 0, "\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x01");
        patience = 5 * USEC_PER_MSEC;
        start(&s->f);
        mqtt_session_hold(s->f.session, true);
        while (waits < begun + 3)
                script_turn(s);
        patience = PATIENCE;
        assert_false(s->f.lost);
        while (waits < begun + 4)
                script_turn(s);
        mqtt_session_hold(s->f.session, false);
        while (!s->f.ready && !s->f.lost)
                script_turn(s);
        assert_true(s->f.ready);
        assert_int_equal(s->f.states, 1);
        assert_int_equal(s->accepted, 1);
}

static void test_nonsense(void **state) {
        Script *s = *state;

        ANSWER(s, 0, "HTTP/1.1 400 Bad Request\r\n\r\n");
        start(&s->f);
        while (!s->f.lost)
                script_turn(s);
        assert_int_equal(s->f.cause, CAUSE_SERVICE);
        assert_non_null(strstr(s->f.detail, "is it an MQTT broker?"));
}

/* A message that is too large does not keep what is behind it from us. */
static void test_packet_too_large(void **state) {
        static char answer[] =
                "\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x01\x32\xb8\x17\x00\x01\x61\x00\x07\x00..."; /* 3000 bytes of
                                                                                                          it */
        static char all[11 + 3 + 3000 + 10];
        Script *s = *state;

        memset(all, '.', sizeof(all));
        memcpy(all, answer, sizeof(answer) - 1);
        memcpy(all + 11 + 3 + 3000, "\x32\x08\x00\x01\x61\x00\x08\x00\x32\x31", 10);
        script_answer(s, 0, all, sizeof(all));
        start(&s->f);
        while (s->f.n < 2)
                script_turn(s);
        assert_int_equal(s->f.messages[0].packet_id, 7);
        assert_string_equal(s->f.messages[0].payload, "");
        assert_int_equal(s->f.messages[1].packet_id, 8);
        assert_string_equal(s->f.messages[1].payload, "21");
        assert_true(s->f.ready);
}

/* Nor does one whose topic is not UTF-8: it would come again with each connection, and be the end of it. */
static void test_topic_not_utf8(void **state) {
        Script *s = *state;

        ANSWER(s, 0,
                "\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x01"
                "\x32\x0a\x00\x03K\xfc\x65\x00\x07\x00\x32\x30"
                "\x32\x08\x00\x01\x61\x00\x08\x00\x32\x31");
        start(&s->f);
        while (s->f.n < 2 && !s->f.lost)
                script_turn(s);
        assert_int_equal(s->f.n, 2);
        assert_int_equal(s->f.messages[0].packet_id, 7);
        assert_string_equal(s->f.messages[1].payload, "21");
        assert_true(s->f.ready);
}

static void hear(Script *s, const char *packet, size_t size) {
        while (!memmem(s->heard.data, s->heard.size, packet, size) && !s->f.lost)
                script_turn(s);
        assert_false(s->f.lost);
}

/* Nor does one with QoS 2, which was not asked for. */
static void test_qos_2(void **state) {
        Script *s = *state;

        ANSWER(s, 0,
                "\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x01"
                "\x34\x08\x00\x01\x61\x00\x07\x00\x32\x30"
                "\x32\x08\x00\x01\x61\x00\x08\x00\x32\x31");
        s->f.acknowledge = true;
        start(&s->f);
        hear(s, "\x50\x02\x00\x07", 4);
        hear(s, "\x40\x02\x00\x08", 4);
        assert_int_equal(s->f.n, 2);
        assert_string_equal(s->f.messages[0].payload, "20");
        assert_int_equal(send(s->fd, "\x62\x02\x00\x07", 4, 0), 4);
        hear(s, "\x70\x02\x00\x07", 4);
        assert_true(s->f.ready);
}

static void test_reply_too_large(void **state) {
        Script *s = *state;

        ANSWER(s, 0, "\x20\x03\x00\x00\x00\x90\xff\xff\x03");
        start(&s->f);
        while (!s->f.lost)
                script_turn(s);
        assert_non_null(strstr(s->f.detail, "larger than allowed"));
}

/* A proxy closes the door while the broker is away, to each version: the broker itself is greeted in MQTT 5 again. */
static void test_closed_door_to_both(void **state) {
        Script *s = *state;

        ANSWER(s, 2, "\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x01");
        start(&s->f);
        while (!s->f.lost)
                script_turn(s);
        assert_non_null(strstr(s->f.detail, "; is it an MQTT broker, and is mqtt:// or mqtts:// right?"));
        while (s->accepted < 3 || s->heard.size < 9)
                script_turn(s);
        assert_int_equal(s->heard.data[8], 5);
        while (!s->f.ready)
                script_turn(s);
}

/* NATS closes the door to a client whose session is taken again and again: it is an MQTT broker all the same. */
static void test_closed_door_of_a_known_broker(void **state) {
        Script *s = *state;

        ANSWER(s, 0, READY);
        start(&s->f);
        while (!s->f.ready)
                script_turn(s);
        assert_int_equal(shutdown(s->fd, SHUT_RDWR), 0);
        while (s->accepted < 2 || s->f.states < 3)
                script_turn(s);
        assert_non_null(strstr(s->f.detail, "; if this persists, check whether another program uses the same "
                                            "client_id"));
}

/* RabbitMQ answers so, whatever it was asked for: a day. Said once, and only of a session that is to stay. */
static void test_session_that_ends(void **state) {
        Script *s = *state;
        Capture capture;
        char *log;

        s->f.spec.clean = false;
        s->f.spec.state_dir = "/nowhere";
        ANSWER(s, 0, "\x20\x08\x00\x00\x05\x11\x00\x01\x51\x80\x90\x04\x00\x01\x00\x01\xe0\x01\x8b");
        ANSWER(s, 1, "\x20\x08\x00\x00\x05\x11\x00\x01\x51\x80\x90\x04\x00\x02\x00\x01");
        capture = capture_begin();
        start(&s->f);
        while (s->accepted < 2 || !s->f.ready)
                script_turn(s);
        log = capture_end(&capture);
        assert_int_equal(count_of(log, "the broker keeps the session for only 1 d"), 1);
}

/* A broker that keeps nothing over its restart: said once, and once more only where it had kept a session in between.
 */
static void test_session_is_gone(void **state) {
        Script *s = *state;
        Capture capture;
        char *log;

        s->f.spec.clean = false;
        s->f.spec.state_dir = "/nowhere";
        ANSWER(s, 0, "\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x01\xe0\x01\x8b");
        ANSWER(s, 1, "\x20\x03\x00\x00\x00\x90\x04\x00\x02\x00\x01\xe0\x01\x8b");
        ANSWER(s, 2, "\x20\x03\x00\x00\x00\x90\x04\x00\x03\x00\x01\xe0\x01\x8b");
        ANSWER(s, 3, "\x20\x03\x01\x00\x00\x90\x04\x00\x04\x00\x01\xe0\x01\x8b");
        ANSWER(s, 4, READY);
        capture = capture_begin();
        start(&s->f);
        while (s->accepted < 5)
                script_turn(s);
        beat(s, 0, 1);
        log = capture_end(&capture);
        assert_int_equal(count_of(log, "the broker has lost the session"), 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_session_is_gone, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_session_that_ends, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_older_version, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_older_version_silence, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_silence_of_a_known_broker, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_older_version_closed_door, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_session_of_another_broker, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_topic_refused, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_told_of_the_other_program, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_taken_again_and_again, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_closed_again_and_again, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_away_for_long, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_away_after_short_connections, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_marked_as_retained, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_held_before_the_answer, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_nonsense, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_packet_too_large, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_topic_not_utf8, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_qos_2, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_reply_too_large, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_closed_door_of_a_known_broker, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_closed_door_to_both, script_set_up, script_tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
