/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A session on a loop, and what it told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>

#include "mosquitto.h"
#include "sources/mqtt.h"

#define MESSAGES_MAX 4000

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
        usec_t longest; /* wait before a next try */
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
                mqtt_session_acknowledge(f->session, &(MqttAck){ m->packet_id, m->packet_id, m->qos }, 1);
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
        f->longest = usec_max(f->longest, retry_in);
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

static void start(Fixture *f) {
        MqttSessionCallbacks callbacks = { on_message, on_confirmed, on_state, f };

        f->ready = f->lost = false;
        assert_int_equal(mqtt_session_new(f->loop, &f->spec, &callbacks, &f->session), 0);
}

static MqttSessionSpec spec_of(const char *id, uint16_t port, const char *filters, size_t max) {
        return (MqttSessionSpec){ "home", { "127.0.0.1", port }, .client_id = id, .filters = filters,
                .packet_max = max };
}
