/* SPDX-License-Identifier: Apache-2.0 */
/* The session with a real broker, and with scripted ones where mosquitto would never say such a thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "capture.h"
#include "lib/file.h"
#include "mosquitto.h"
#include "side-by-side.h"
#include "sources/mqtt.h"

#define MESSAGES_MAX 4000
#define PATIENCE (30 * USEC_PER_SEC) /* of the session, for an answer */

static usec_t patience = PATIENCE; /* as it is for timers */
static unsigned waits;             /* that were begun */

void __real_loop_arm_in(LoopWatch *timer, usec_t delay);
void __wrap_loop_arm_in(LoopWatch *timer, usec_t delay);

void __wrap_loop_arm_in(LoopWatch *timer, usec_t delay) {
        waits += delay == PATIENCE;
        __real_loop_arm_in(timer, delay == PATIENCE ? patience : delay);
}

typedef struct Message {
        char topic[32], payload[32], session[20];
        uint16_t packet_id;
        uint8_t qos;
        bool dup, retain;
} Message;

typedef struct Fixture {
        Loop *loop;
        LoopWatch *tick;
        Mosquitto *broker;
        MqttSession *session;
        MqttSessionSpec spec;
        Message messages[MESSAGES_MAX];
        size_t n;
        bool acknowledge;
        bool ready, lost;
        Cause cause;
        unsigned states, confirmed;
        char detail[400];
} Fixture;

static void on_message(void *userdata, const MqttPacket *packet, const char *session) {
        Fixture *f = userdata;
        Message *m = &f->messages[f->n++];

        assert_true(f->n < MESSAGES_MAX);
        (void) snprintf(m->topic, sizeof(m->topic), "%.*s", (int) packet->topic.size, packet->topic.data);
        (void) snprintf(m->payload, sizeof(m->payload), "%.*s", (int) packet->payload.size, packet->payload.data);
        (void) snprintf(m->session, sizeof(m->session), "%s", session);
        m->packet_id = packet->packet_id;
        m->qos = packet->qos;
        m->dup = packet->dup;
        m->retain = packet->retain;
        if (f->acknowledge && m->qos > 0)
                mqtt_session_acknowledge(f->session, &m->packet_id, 1, m->packet_id);
}

static void on_confirmed(void *userdata, uint64_t mark) {
        Fixture *f = userdata;

        f->confirmed++;
}

static void on_state(void *userdata, Cause cause, usec_t retry_in, const char *detail) {
        Fixture *f = userdata;

        f->states++;
        f->cause = cause;
        f->ready = cause == CAUSE_NONE;
        f->lost = !f->ready;
        (void) snprintf(f->detail, sizeof(f->detail), "%s", detail);
        assert_true(f->ready == (retry_in == 0));
}

static void on_tick(void *userdata) {
        Fixture *f = userdata;

        loop_arm_in(f->tick, 5 * USEC_PER_MSEC);
}

static void turn(Fixture *f) {
        assert_true(loop_turn(f->loop, 20 * USEC_PER_MSEC) >= 0);
}

static void turn_until(Fixture *f, const bool *flag) {
        while (!*flag)
                turn(f);
}

static void start(Fixture *f) {
        MqttSessionCallbacks callbacks = { on_message, on_confirmed, on_state, f };

        f->ready = f->lost = false;
        assert_int_equal(mqtt_session_new(f->loop, &f->spec, &callbacks, &f->session), 0);
}

static void session_end(Fixture *f) {
        f->session = mqtt_session_free(f->session);
}

static MqttSessionSpec spec_of(const char *id, uint16_t port, const char *filters, size_t max) {
        return (MqttSessionSpec){ "home", { "127.0.0.1", port }, .client_id = id, .filters = filters,
                .packet_max = max };
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

/* ---- brokers that say what mosquitto never says ---- */

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

/* The eighth byte of the greeting is the version. */
static void test_older_version(void **state) {
        Script *s = *state;

        ANSWER(s, 0, "\x20\x02\x00\x01"); /* a broker of 3.1.1: it does not know that version */
        ANSWER(s, 1, "\x20\x02\x00\x00\x90\x03\x00\x01\x01");
        start(&s->f);
        while (s->accepted < 2 || s->heard.size < 9)
                script_turn(s);
        assert_int_equal(s->heard.data[8], 4);
        while (!s->f.ready)
                script_turn(s);
}

static void test_older_version_closed_door(void **state) {
        Script *s = *state;

        ANSWER(s, 1, "\x20\x02\x00\x00\x90\x03\x00\x01\x01");
        start(&s->f);
        while (s->accepted < 2 || s->heard.size < 9)
                script_turn(s);
        assert_int_equal(s->heard.data[8], 4);
        while (!s->f.ready)
                script_turn(s);
}

/* The broker still has a session, but what is known of it is that of another broker: its topics are asked for again. */
static void test_session_of_another_broker(void **state) {
        static const char kept[] = "0123456789abcdef elsewhere:1883\na\n",
                          subscribe[] = "\x82\x06\x00\x01\x00\x01\x61\x01";
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
        assert_non_null(strstr(s->f.detail, "two programs use one client_id"));
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
        ANSWER(s, 4, "\x20\x03\x00\x00\x00\x90\x04\x00\x05\x00\x01");
        capture = capture_begin();
        start(&s->f);
        while (s->accepted < 5 || !s->f.ready)
                script_turn(s);
        log = capture_end(&capture);
        assert_int_equal(count_of(log, "the broker has forgotten the session"), 2);
}

int main(void) {
        const struct CMUnitTest scripted[] = {
                cmocka_unit_test_setup_teardown(test_session_is_gone, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_session_that_ends, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_older_version, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_older_version_closed_door, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_session_of_another_broker, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_topic_refused, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_told_of_the_other_program, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_held_before_the_answer, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_nonsense, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_packet_too_large, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_topic_not_utf8, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_reply_too_large, script_set_up, script_tear_down),
                cmocka_unit_test_setup_teardown(test_closed_door_to_both, script_set_up, script_tear_down),
        };
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
        int failed = cmocka_run_group_tests_name("mqtt-session, scripted", scripted, NULL, NULL);

        if (!mosquitto_is_installed())
                return failed;
        return failed + side_by_side(tests, ELEMENTSOF(tests));
}
