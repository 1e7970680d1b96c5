/* SPDX-License-Identifier: Apache-2.0 */
/* Which messages that come again are known, for brokers that give out packet identifiers in each of the ways that there
 * are. All messages say the same, so that nothing but the number tells one from another; connections are cut and we are
 * killed at any place. P12, P4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "sources/mqtt-packet.h"

#define MESSAGES 400
#define WAY 4096
#define IDS 65535

typedef enum Habit { COUNTS, COUNTS_WITH_GAPS, LOWEST, LAST_FREED, POOL, BY_CONNECTION, HABITS } Habit;

typedef struct Packet {
        enum { MESSAGE, PONG } kind;
        unsigned id, serial;
        uint64_t mark;
        bool dup;
} Packet;

typedef struct Way {
        Packet packets[WAY];
        size_t first, n;
} Way;

typedef struct World {
        uint32_t random;
        Habit habit;
        unsigned pool, window_max, window, last_id, freed; /* window: drawn for each connection */
        Packet flying[64];       /* what the broker has not heard an acknowledgement of, oldest first */
        size_t n_flying, n_sent; /* n_sent of them on this connection */
        unsigned published;
        Way to_us, to_broker;
        MqttNumbers numbers, kept;
        uint64_t mark;
        unsigned stored[MESSAGES];
        uint64_t number[MESSAGES]; /* under which it is known; 0: under none */
        bool named[MESSAGES];      /* when it came first */
        unsigned n_unnamed, n_lost;
} World;

static unsigned draw(World *w, unsigned below) {
        w->random = w->random * 1664525u + 1013904223u;
        return (w->random >> 8) % below;
}

static void way_put(Way *way, Packet packet) {
        assert_true(way->n < WAY);
        way->packets[way->n++] = packet;
}

static bool is_flying(const World *w, unsigned id) {
        for (size_t i = 0; i < w->n_flying; i++)
                if (w->flying[i].id == id)
                        return true;
        return false;
}

static unsigned next_id(World *w) {
        unsigned size = w->habit == POOL ? w->pool : IDS, id = w->last_id;

        if (w->habit == LAST_FREED && w->freed && !is_flying(w, w->freed))
                return w->freed;
        if (w->habit == LOWEST || w->habit == LAST_FREED)
                id = 0;
        if (w->habit == COUNTS_WITH_GAPS)
                id += draw(w, 50);
        do
                id = id % size + 1;
        while (is_flying(w, id));
        return id;
}

/* What was sent on an earlier connection comes before anything else. */
static void broker_sends(World *w) {
        while (w->n_sent < w->n_flying && w->n_sent < w->window)
                way_put(&w->to_us, w->flying[w->n_sent++]);
}

static void broker_publishes(World *w) {
        Packet packet = { .kind = MESSAGE, .serial = w->published };

        if (w->n_flying >= w->window || w->published == MESSAGES)
                return;
        packet.id = w->last_id = next_id(w);
        w->published++;
        w->flying[w->n_flying++] = packet;
        broker_sends(w);
}

static void broker_hears(World *w) {
        Packet heard;

        if (w->to_broker.first == w->to_broker.n)
                return;
        heard = w->to_broker.packets[w->to_broker.first++];
        if (heard.kind == PONG)
                return way_put(&w->to_us, heard);
        assert_int_equal(heard.id, w->flying[0].id);
        w->freed = heard.id;
        memmove(w->flying, w->flying + 1, --w->n_flying * sizeof(Packet));
        w->n_sent--;
        broker_sends(w);
}

/* As the source and the outbox do it. */
static void we_store(World *w, const Packet *packet) {
        uint64_t number = mqtt_numbers_take(&w->numbers, (uint16_t) packet->id, packet->dup);
        bool named = w->numbers.counts, repeat = false;

        for (unsigned i = 0; named && packet->dup && i < MESSAGES; i++)
                repeat |= w->number[i] == number;
        if (w->numbers.counts != w->kept.counts || w->numbers.last - w->kept.last >= MQTT_NUMBER_BACK / 2)
                w->kept = w->numbers;
        w->n_lost += repeat && w->stored[packet->serial] == 0;
        if (w->stored[packet->serial] == 0) {
                w->named[packet->serial] = named;
                w->n_unnamed += !named;
        }
        if (!repeat) {
                w->stored[packet->serial]++;
                w->number[packet->serial] = named ? number : 0;
        }
        w->mark = number;
}

static void we_take(World *w) {
        const Packet *packet;

        if (w->to_us.first == w->to_us.n)
                return;
        packet = &w->to_us.packets[w->to_us.first++];
        if (packet->kind == PONG)
                return mqtt_numbers_hear(&w->numbers, packet->mark);
        we_store(w, packet);
        way_put(&w->to_broker, *packet);
}

static void connect_again(World *w, bool killed) {
        char text[MQTT_NUMBERS_TEXT];

        w->to_us.first = w->to_us.n = w->to_broker.first = w->to_broker.n = 0;
        if (killed) {
                mqtt_numbers_print(&w->kept, text);
                mqtt_numbers_read(&w->numbers, text);
                w->kept = w->numbers;
        }
        w->mark = 0;
        w->n_sent = 0;
        w->window = 1 + draw(w, w->window_max);
        if (w->habit == BY_CONNECTION)
                w->last_id = 0;
        for (size_t i = 0; i < w->n_flying; i++)
                w->flying[i].dup = true;
        broker_sends(w);
}

static void step(World *w) {
        unsigned what = draw(w, 100);

        if (what < 30)
                broker_publishes(w);
        else if (what < 60)
                we_take(w);
        else if (what < 90)
                broker_hears(w);
        else if (what < 98 && w->mark)
                way_put(&w->to_broker, (Packet){ .kind = PONG, .mark = w->mark });
        else if (what >= 98)
                connect_again(w, what == 99);
}

static void live(World *w, Habit habit, uint32_t seed) {
        memset(w, 0, sizeof(*w));
        w->random = seed * 2654435761u + (uint32_t) habit;
        w->habit = habit;
        w->window_max = 1 + draw(w, 30);
        w->window = 1 + draw(w, w->window_max);
        w->pool = w->window_max + 1 + draw(w, 60);
        w->last_id = habit <= COUNTS_WITH_GAPS ? draw(w, 2) ? draw(w, IDS) : IDS - draw(w, 200) : 0;
        while (w->published < MESSAGES || w->n_flying > 0)
                step(w);
}

static void test_nothing_is_lost(void **state) {
        World *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        for (Habit habit = 0; habit < HABITS; habit++)
                for (uint32_t seed = 0; seed < 300; seed++) {
                        live(w, habit, seed);
                        if (w->n_lost > 0)
                                fail_msg("habit %d, seed %u: %u lost", habit, seed, w->n_lost);
                        for (unsigned i = 0; i < MESSAGES; i++)
                                assert_true(w->stored[i] > 0);
                }
        free(w);
}

/* Doubled is, of a broker that counts, only what came before it was seen to do so. */
static void test_once_where_it_counts(void **state) {
        World *w = calloc(1, sizeof(*w));
        unsigned unnamed = 0;

        assert_non_null(w);
        for (Habit habit = COUNTS; habit <= COUNTS_WITH_GAPS; habit++)
                for (uint32_t seed = 0; seed < 300; seed++) {
                        live(w, habit, seed);
                        for (unsigned i = 0; i < MESSAGES; i++)
                                if (w->named[i])
                                        assert_int_equal(w->stored[i], 1);
                        unnamed += w->n_unnamed;
                }
        assert_in_range(unnamed, 1, 600 * MESSAGES / 10);
        free(w);
}

/* Without a proof it may be either: kept. */
static void test_first_of_all(void **state) {
        MqttNumbers n = {};

        (void) mqtt_numbers_take(&n, 1, false);
        assert_false(n.counts);
        (void) mqtt_numbers_take(&n, 1, true);
        assert_false(n.counts);
}

/* What comes again has had its identifier for long. */
static void test_a_repeat_proves_nothing(void **state) {
        MqttNumbers n = {};

        mqtt_numbers_hear(&n, mqtt_numbers_take(&n, 1, true));
        (void) mqtt_numbers_take(&n, 2, true);
        assert_false(n.counts);
        (void) mqtt_numbers_take(&n, 3, false);
        assert_true(n.counts);
}

static MqttNumbers counting(void) {
        MqttNumbers n = {};

        mqtt_numbers_hear(&n, mqtt_numbers_take(&n, 1, false));
        (void) mqtt_numbers_take(&n, 2, false);
        assert_true(n.counts);
        return n;
}

static void test_round(void **state) {
        MqttNumbers n = counting();
        uint64_t second = n.last;

        for (unsigned i = 0; i < 3 * IDS; i++)
                (void) mqtt_numbers_take(&n, (uint16_t) ((i + 2) % IDS + 1), false);
        assert_true(n.counts);
        assert_int_equal(n.last, second + 3 * IDS);
        assert_int_equal(mqtt_numbers_take(&n, 2, true), second + 3 * IDS);
        assert_true(n.counts);
}

/* Its acknowledgement was heard: the identifier means another one. */
static void test_heard(void **state) {
        MqttNumbers n = counting();
        uint64_t second = n.last;

        mqtt_numbers_hear(&n, second);
        assert_true(mqtt_numbers_take(&n, 2, true) > second + MQTT_NUMBER_BACK);
        assert_false(n.counts);
}

static void test_another_session(void **state) {
        MqttNumbers n = counting();
        uint64_t second = n.last;

        mqtt_numbers_renew(&n);
        assert_true(mqtt_numbers_take(&n, 3, false) > second + MQTT_NUMBER_BACK);
        assert_false(n.counts);
}

static void test_kept(void **state) {
        static const char *const bad[] = { "", "7", "7 3", "x 1 1", "5 1 1" };
        MqttNumbers n = counting(), read;
        char text[MQTT_NUMBERS_TEXT];

        mqtt_numbers_print(&n, text);
        mqtt_numbers_read(&read, text);
        assert_int_equal(read.last, n.last);
        assert_int_equal(read.heard, n.heard);
        assert_true(read.counts);
        assert_int_equal(mqtt_numbers_take(&read, 2, true), n.last);
        assert_true(read.counts);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                mqtt_numbers_read(&read, bad[i]);
                (void) mqtt_numbers_take(&read, 1, true);
                assert_false(read.counts);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_is_lost),
                cmocka_unit_test(test_once_where_it_counts),
                cmocka_unit_test(test_first_of_all),
                cmocka_unit_test(test_a_repeat_proves_nothing),
                cmocka_unit_test(test_round),
                cmocka_unit_test(test_heard),
                cmocka_unit_test(test_another_session),
                cmocka_unit_test(test_kept),
        };

        return cmocka_run_group_tests_name("numbers of MQTT messages", tests, NULL, NULL);
}
