/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that a broker sends again. Of one that counts packet identifiers up they are known: P4, nothing is stored
 * twice. Of one that uses identifier 1 for each message that it can they are not, since what it says about them is not
 * enough: P12, nothing is acknowledged that is not stored. */
#include "source-fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

typedef struct Broker {
        SourceFixture *f;
        int listen_fd, fd;
        bool knows;      /* the session */
        bool mute, deaf; /* answers no SUBSCRIBE; no PINGREQ */
        unsigned greeted, subscribed, acknowledged, pings;
} Broker;

static void say(Broker *b, const void *data, size_t size) {
        assert_int_equal(send(b->fd, data, size, 0), size);
}

static void publish_with(Broker *b, unsigned qos, unsigned id, bool dup, const char *payload) {
        char packet[64] = { (char) ((dup ? 0x38 : 0x30) | qos << 1), (char) (8 + strlen(payload)), 0, 3, 'n', '/', 'x',
                0, (char) id, 0 };

        memcpy(packet + 10, payload, strlen(payload));
        say(b, packet, 10 + strlen(payload));
}

static void publish(Broker *b, unsigned id, bool dup, const char *payload) {
        publish_with(b, 1, id, dup, payload);
}

static void hear_one(Broker *b, const unsigned char *packet) {
        switch (packet[0] & 0xf0) {
        case 0x10:
                b->greeted++;
                return say(b, b->knows ? "\x20\x03\x01\x00\x00" : "\x20\x03\x00\x00\x00", 5);
        case 0x80:
                b->subscribed++;
                if (!b->mute)
                        say(b, (char[]){ (char) 0x90, 4, (char) packet[2], (char) packet[3], 0, 1 }, 6);
                return;
        case 0x40:
        case 0x50:
                b->acknowledged++;
                return;
        case 0xc0:
                b->pings++;
                if (!b->deaf)
                        say(b, "\xd0\x00", 2);
                return;
        }
}

static void broker_turn(Broker *b) {
        unsigned char buffer[1024];
        ssize_t n;
        int fd = accept4(b->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
                if (b->fd >= 0)
                        close(b->fd);
                b->fd = fd;
        }
        n = b->fd >= 0 ? recv(b->fd, buffer, sizeof(buffer), 0) : 0;
        for (ssize_t at = 0; at + 1 < n;
                at += 2 + buffer[at + 1]) /* none is longer than 127 bytes, and each comes whole */
                hear_one(b, buffer + at);
        source_fixture_turn(b->f);
}

#define UNTIL(b, condition)                                                                                            \
        do {                                                                                                           \
                usec_t begin_ = clock_now();                                                                           \
                while (!(condition)) {                                                                                 \
                        assert_true(clock_now() - begin_ < 30 * USEC_PER_SEC);                                         \
                        broker_turn(b);                                                                                \
                }                                                                                                      \
        } while (0)

static void start(Broker *b) {
        struct sockaddr_in address;
        socklen_t size = sizeof(address);
        char lines[200];

        assert_int_equal(getsockname(b->listen_fd, (struct sockaddr *) &address, &size), 0);
        (void) snprintf(lines, sizeof(lines), "      type: mqtt\n      url: mqtt://127.0.0.1:%u\n      topics: 'n/#'\n",
                ntohs(address.sin_port));
        b->greeted = b->subscribed = b->acknowledged = b->pings = 0;
        source_fixture_start(b->f, lines);
        UNTIL(b, b->greeted == 1);
}

/* The connection ends, and with it what was on its way to either side. */
static void cut(Broker *b) {
        close(b->fd);
        b->fd = -1;
        b->greeted = b->subscribed = b->acknowledged = b->pings = 0;
        UNTIL(b, b->greeted == 1);
}

static int set_up(void **state) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        Broker *b = calloc(1, sizeof(*b));

        assert_non_null(b);
        assert_int_equal(source_fixture_set_up((void **) &b->f), 0);
        b->fd = -1;
        b->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(b->listen_fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(b->listen_fd, 8), 0);
        *state = b;
        return 0;
}

static int tear_down(void **state) {
        Broker *b = *state;

        assert_int_equal(source_fixture_tear_down((void **) &b->f), 0);
        if (b->fd >= 0)
                close(b->fd);
        close(b->listen_fd);
        free(b);
        return 0;
}

/* One message stored, its acknowledgement heard; then a pong has come back and been read. */
static void take_one(Broker *b, unsigned id) {
        unsigned pings = b->pings, acknowledged = b->acknowledged;

        publish(b, id, false, "21.5");
        UNTIL(b, b->acknowledged > acknowledged && b->pings > pings);
        for (int i = 0; i < 20; i++)
                broker_turn(b);
}

/* Identifier 1 is free, and it takes the next one. */
static void count(Broker *b) {
        take_one(b, 1);
        take_one(b, 2);
}

/* The next message says the same, under the same identifier, and is lost with its connection: it has never come to us.
 */
static void test_lost_on_its_way(void **state) {
        Broker *b = *state;

        start(b);
        take_one(b, 1);
        assert_int_equal(b->f->n, 1);
        b->knows = true;
        cut(b);
        publish(b, 1, true, "21.5");
        UNTIL(b, b->acknowledged == 1);
        assert_int_equal(b->f->n, 2);
}

static void test_lost_while_we_were_away(void **state) {
        Broker *b = *state;

        start(b);
        take_one(b, 1);
        source_fixture_stop(b->f);
        b->knows = true;
        start(b);
        publish(b, 1, true, "21.5");
        UNTIL(b, b->acknowledged == 1);
        assert_int_equal(b->f->n, 2);
}

/* Stored, and the broker has not heard of it: it is known, also where another one of them was heard in between. */
static void test_not_heard(void **state) {
        Broker *b = *state;

        start(b);
        count(b);
        b->deaf = true;
        publish(b, 3, false, "21.5");
        publish(b, 4, false, "21.5");
        UNTIL(b, b->acknowledged == 4);
        b->knows = true;
        cut(b);
        b->deaf = false;
        publish(b, 3, true, "21.5");
        UNTIL(b, b->acknowledged == 1 && b->pings >= 1);
        for (int i = 0; i < 20; i++)
                broker_turn(b);
        publish(b, 4, true, "21.5");
        UNTIL(b, b->acknowledged == 2);
        assert_int_equal(b->f->n, 4);
        assert_int_equal(b->f->n_repeats, 2);
}

/* Of a broker that takes the lowest identifier this may be a new message: it is kept, although it is none. */
static void test_not_heard_and_no_count(void **state) {
        Broker *b = *state;

        start(b);
        take_one(b, 1);
        take_one(b, 1);
        b->deaf = true;
        publish(b, 1, false, "21.5");
        UNTIL(b, b->acknowledged == 3);
        b->knows = true;
        cut(b);
        publish(b, 1, true, "21.5");
        UNTIL(b, b->acknowledged == 1);
        assert_int_equal(b->f->n, 4);
        assert_int_equal(b->f->n_repeats, 0);
}

/* It counted, and then it began to use identifiers again. */
static void test_counts_no_more(void **state) {
        Broker *b = *state;

        start(b);
        count(b);
        b->deaf = true;
        publish(b, 3, false, "21.5");
        publish(b, 1, false, "21.5");
        UNTIL(b, b->acknowledged == 4);
        b->knows = true;
        cut(b);
        publish(b, 3, true, "21.5");
        publish(b, 1, true, "21.5");
        UNTIL(b, b->acknowledged == 2);
        assert_int_equal(b->f->n, 6);
        assert_int_equal(b->f->n_repeats, 0);
}

/* A message with QoS 2 keeps its identifier for longer, so that another one after the next is no proof: whether 4 is a
 * copy is not known. */
static void test_qos_2_proves_nothing(void **state) {
        Broker *b = *state;

        start(b);
        count(b);
        publish_with(b, 2, 3, false, "21.5");
        UNTIL(b, b->acknowledged == 3 && b->pings >= 3);
        for (int i = 0; i < 20; i++)
                broker_turn(b);
        b->deaf = true;
        publish(b, 4, false, "21.5");
        UNTIL(b, b->acknowledged == 4);
        b->knows = true;
        cut(b);
        publish_with(b, 2, 3, true, "21.5");
        publish(b, 4, true, "21.5");
        UNTIL(b, b->acknowledged == 2);
        assert_int_equal(b->f->n, 6);
        assert_int_equal(b->f->n_repeats, 0);
}

/* We end when a third message is stored, and the broker has not heard of it. */
static void end_unheard(Broker *b) {
        start(b);
        count(b);
        b->deaf = true;
        publish(b, 3, false, "21.5");
        UNTIL(b, b->acknowledged == 3);
        source_fixture_stop(b->f);
        b->knows = true;
        b->deaf = false;
}

/* We end in between, and what is known about the broker is on disk. */
static void test_not_heard_before_the_end(void **state) {
        Broker *b = *state;

        end_unheard(b);
        start(b);
        publish(b, 3, true, "21.5");
        UNTIL(b, b->acknowledged == 1);
        assert_int_equal(b->f->n, 3);
        assert_int_equal(b->f->n_repeats, 1);
}

/* The same where the disk does not tell at the start what was known. */
static void test_not_heard_before_a_start_without_a_disk(void **state) {
        Broker *b = *state;

        end_unheard(b);
        b->f->refuses = true;
        start(b);
        publish(b, 3, true, "21.5");
        for (int i = 0; i < 20; i++)
                broker_turn(b);
        b->f->refuses = false;
        UNTIL(b, b->acknowledged == 1);
        assert_int_equal(b->f->n, 3);
        assert_int_equal(b->f->n_repeats, 1);
}

/* The broker has lost the session: its identifiers begin anew, and it has shown nothing yet. A message comes before the
 * SUBACK. */
static void test_session_that_was_lost(void **state) {
        Broker *b = *state;

        start(b);
        count(b);
        b->mute = b->deaf = true;
        cut(b);
        publish(b, 2, false, "21.5");
        UNTIL(b, b->acknowledged == 1);
        source_fixture_stop(b->f);
        b->mute = b->deaf = false;
        b->knows = true;
        start(b);
        publish(b, 2, true, "21.5");
        UNTIL(b, b->acknowledged == 1);
        assert_int_equal(b->f->n, 4);
        assert_int_equal(b->f->n_repeats, 0);
}

/* The broker knows the session, as it was written to its disk before the topics were granted: without them nothing
 * comes. */
static void test_session_of_before(void **state) {
        Broker *b = *state;

        start(b);
        UNTIL(b, b->subscribed == 1);
        b->knows = true;
        cut(b);
        UNTIL(b, b->subscribed == 1);
}

/* NATS sends again on the same connection what is not acknowledged for 30 s, and gives the identifier to another
 * message as soon as it is. P12: a copy from before it heard of the first one is not acknowledged, else that one would
 * be; one from after it is. */
static void test_copy_on_the_same_connection(void **state) {
        Broker *b = *state;

        start(b);
        b->deaf = true;
        publish(b, 1, false, "21.5");
        UNTIL(b, b->acknowledged == 1);
        publish(b, 1, true, "21.5");
        publish(b, 2, false, "21.6");
        UNTIL(b, b->acknowledged == 2);
        for (int i = 0; i < 20; i++)
                broker_turn(b);
        assert_int_equal(b->acknowledged, 2);
        b->deaf = false;
        say(b, "\xd0\x00", 2);
        UNTIL(b, b->pings > 1);
        for (int i = 0; i < 20; i++)
                broker_turn(b);
        publish(b, 1, true, "21.5");
        UNTIL(b, b->acknowledged == 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_copy_on_the_same_connection, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lost_on_its_way, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lost_while_we_were_away, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_not_heard, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_qos_2_proves_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_not_heard_and_no_count, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_counts_no_more, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_not_heard_before_the_end, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_not_heard_before_a_start_without_a_disk, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_session_that_was_lost, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_session_of_before, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("mqtt, sent again", tests, NULL, NULL);
}
