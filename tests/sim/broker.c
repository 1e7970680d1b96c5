/* SPDX-License-Identifier: Apache-2.0 */
#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "broker-wire.h"
#include "ledger.h"
#include "plan.h"
#include "sources.h"

#define DEVICES 5
#define PUBLISH_EVERY (4 * USEC_PER_MINUTE)
#define SNAPSHOT_EVERY (2 * USEC_PER_HOUR)
#define BURST_MAX 200
#define WATCH_EVERY (10 * USEC_PER_SEC)
#define UNREAD_MAX ((size_t) 64 * 1024) /* of what it sends without being told that it came */
#define RETAINED 2                      /* the topic of what is retained */

enum { CONNECT = 1, PUBACK = 4, SUBSCRIBE = 8, UNSUBSCRIBE = 10, PINGREQ = 12, DISCONNECT = 14 };

/* QoS 1; in the order in which they came. */
typedef struct Message {
        struct Message *next;
        uint32_t serial; /* 0: it is nothing that a reading could be made of */
        unsigned id, topic, device;
        bool sent;    /* once, under that id */
        bool on_link; /* and on this connection */
        bool told;    /* the daemon has written its acknowledgement */
        bool retained;
} Message;

typedef struct Session {
        bool there;
        int granted[BROKER_TOPICS]; /* QoS; -1: not subscribed to */
        Message *first;
        unsigned next_id;
        /* Whether the daemon can know by now that identifiers are counted, so that a message has a number of its own:
         * it has heard that acknowledgements were heard, and then a new message came, which is on disk. */
        bool heard, acknowledged, counted;
        unsigned proof; /* the identifier of that message; 0: none yet */
        /* of the daemon, and of its source, that all this is about: what is not proven by their end begins anew */
        unsigned life;
        usec_t reloaded;
} Session;

typedef struct Broker {
        Link *link; /* of the client; NULL: it is away */
        bool greeted;
        unsigned version, window, keep_alive;
        unsigned pongs; /* under way on that link, from after an acknowledgement */
        usec_t heard, down_until;
        char *in; /* of that link, not a whole packet yet */
        size_t n_in;
        Session session, snapshot;
        uint32_t retained; /* the serial of what is retained; 0: nothing is */
} Broker;

static Bytes taken; /* by this daemon from this link, not a whole packet yet */

/* ---- sending ---- */

static void send_packet(Bytes *packet) {
        if (world->broker->link)
                link_send(world->broker->link, packet->data, packet->size);
        bytes_done(packet);
}

static void format_message(Bytes *out, unsigned qos, bool dup, const Message *message) {
        char topic[32], payload[64];
        unsigned flags = qos << 1 | (dup ? 8 : 0) | (message->retained ? 1 : 0);

        (void) snprintf(topic, sizeof(topic), "%c/dev-%u", "abr"[message->topic], message -> device);
        (void) snprintf(payload, sizeof(payload), "{\"newest_events\":{\"te\":{\"val\":%u}}}", message->serial);
        broker_wire_publish(out, world->broker->version, flags, topic, message->id,
                message->serial > 0 ? (Slice){ payload, strlen(payload) } : (Slice){ "\xff\xfe?", 3 });
}

static void send_message(Message *message) {
        Session *session = &world->broker->session;
        Bytes packet = {};

        if (!message->sent)
                message->id = session->next_id = session->next_id % UINT16_MAX + 1;
        if (message->sent)
                world_count("mqtt sent again");
        format_message(&packet, 1, message->sent, message);
        world_trace(
                "mqtt sends reading %u as message %u%s", message->serial, message->id, message->sent ? ", again" : "");
        message->sent = message->on_link = true;
        message->told = false;
        if (message->serial > 0)
                ledger_offered(message->serial);
        if (message->serial > 0 && !session->counted)
                ledger_doubt(message->serial);
        send_packet(&packet);
}

/* As much as the window lets through. What was sent is always at the front. */
static void pump(void) {
        Broker *b = world->broker;
        unsigned n = 0;

        for (Message *m = b->session.first; m && b->link && b->greeted && n < b->window; m = m->next, n++)
                if (!m->on_link)
                        send_message(m);
}

static void send_at_once(const Message *message) {
        Broker *b = world->broker;
        Bytes packet = {};

        if (!b->link || !b->greeted || link_unread(b->link) > UNREAD_MAX)
                return;
        format_message(&packet, 0, false, message);
        if (message->serial > 0)
                ledger_offered(message->serial);
        world_count("mqtt sent at QoS 0");
        send_packet(&packet);
}

static void enqueue(Message message) {
        Message **end = &world->broker->session.first, *new = arena_alloc(sizeof(Message));

        while (*end)
                end = &(*end)->next;
        *new = message;
        *end = new;
}

/* ---- the session ---- */

static void drop_messages(Session *session) {
        while (session->first) {
                Message *next = session->first->next;

                arena_free(session->first);
                session->first = next;
        }
}

static void session_end(Session *session) {
        drop_messages(session);
        *session = (Session){ .granted = { -1, -1, -1 } };
}

static void session_copy(Session *to, const Session *from) {
        Message **end = &to->first;

        session_end(to);
        *to = *from;
        to->first = NULL;
        for (const Message *m = from->first; m; m = m->next) {
                *end = arena_copy(m, sizeof(Message));
                (*end)->next = NULL;
                end = &(*end)->next;
        }
}

/* It has forgotten what it sent, or that it was told to forget it: nobody can know the repeats. */
static void loosen(const Session *older, const Session *newer) {
        for (const Message *m = older->first; m; m = m->next) {
                const Message *same = newer->first;

                while (same && same->serial != m->serial)
                        same = same->next;
                if (m->serial > 0 && (!same || same->sent != m->sent || same->id != m->id))
                        ledger_loosen(m->serial);
        }
}

static Message *find_message(unsigned id) {
        for (Message *m = world->broker->session.first; m; m = m->next)
                if (m->on_link && m->id == id)
                        return m;
        return NULL;
}

static void remove_message(const Message *message) {
        Message **at = &world->broker->session.first;

        while (*at != message)
                at = &(*at)->next;
        *at = message->next;
        arena_free((void *) message);
}

/* ---- the connection ---- */

static void let_go(void) {
        Broker *b = world->broker;

        b->link = NULL;
        b->greeted = false;
        b->n_in = 0;
        for (Message *m = b->session.first; m; m = m->next)
                m->on_link = m->told = false;
}

static void close_link(void) {
        Link *link = world->broker->link;

        let_go();
        if (link)
                link_close(link);
}

static void put_out(unsigned reason) {
        Broker *b = world->broker;
        Bytes packet = {};

        if (b->link && b->greeted && b->version == 5) {
                broker_wire_disconnect(&packet, reason);
                send_packet(&packet);
        }
        close_link();
}

static void refuse(const BrokerPacket *connect, Fault fault) {
        static const unsigned reasons[][3] = { { 0x87, 0x86, 0x84 }, { 0x88, 0x89, 0x97 } };
        bool passing = fault == FAULT_BUSY || fault == FAULT_BROKEN;
        unsigned reason = reasons[passing][draw_below(&world->chance, 3)];
        Bytes packet = {};

        if (fault == FAULT_PORTAL) {
                (void) bytes_append_text(&packet, "HTTP/1.1 400 Bad Request\r\n\r\n");
        } else {
                world_count("mqtt refused");
                broker_wire_connack(&packet, connect->version, false,
                        connect->version == 5 ? reason
                        : passing             ? 3
                                              : 5,
                        0, draw_below(&world->chance, 2) == 0 ? connect->password : NULL);
        }
        send_packet(&packet);
        close_link();
}

static bool is_refusal(Fault fault) {
        return fault == FAULT_DENIED || fault == FAULT_MISSING || fault == FAULT_UNAUTHORIZED || fault == FAULT_BUSY ||
               fault == FAULT_BROKEN || fault == FAULT_PORTAL;
}

static void forget_proof(Session *session) {
        session->heard = session->acknowledged = session->counted = false;
        session->proof = 0;
}

static void on_connect(const BrokerPacket *packet) {
        Broker *b = world->broker;
        Fault fault = link_fault(b->link);
        Bytes answer = {};

        if (strcmp(packet->client_id, BROKER_CLIENT) != 0 || packet->clean)
                world_fail("a client that was not expected: %s", packet->client_id);
        if (is_refusal(fault))
                return refuse(packet, fault);
        b->version = packet->version;
        b->window = packet->version == 5 ? packet->receive_max : 20;
        if (draw_below(&world->chance, 3) == 0)
                b->window = 1 + (unsigned) draw_below(&world->chance, b->window);
        b->keep_alive = packet->keep_alive;
        b->greeted = true;
        if ((b->session.life != world->life || b->session.reloaded != plan_reloaded()) && !b->session.counted)
                forget_proof(&b->session);
        b->session.acknowledged = false; /* of the connection before, nobody knows whether it came */
        b->session.life = world->life;
        b->session.reloaded = plan_reloaded();
        if (packet->version != 5)
                world_count("mqtt 3.1.1");
        world_trace("mqtt %s session, MQTT %s", b->session.there ? "kept" : "new", b->version == 5 ? "5" : "3.1.1");
        world_count(!b->session.there ? "mqtt session new" : "mqtt session kept");
        if (packet->version == 5 && draw_below(&world->chance, 4) == 0)
                b->keep_alive = 10 + (unsigned) draw_below(&world->chance, 110);
        broker_wire_connack(&answer, b->version, b->session.there, 0,
                b->keep_alive != packet->keep_alive ? b->keep_alive : 0, NULL);
        send_packet(&answer);
        b->session.there = true;
        pump();
}

/* ---- subscriptions ---- */

static unsigned topic_of(const BrokerPacket *packet) {
        const char *found = strchr("abr", packet->topic[0]);

        if (!found || strcmp(packet->topic + 1, "/+") != 0)
                world_fail("a topic that is not there: %s", packet->topic);
        return (unsigned) (found - "abr");
}

static int draw_granted(void) {
        Fault fault = weather_fault(TARGET_BROKER);

        if (fault == FAULT_DENIED || fault == FAULT_MISSING || fault == FAULT_UNAUTHORIZED)
                return 0x80;
        return fault == FAULT_BUSY || fault == FAULT_PROXY ? 0 : 1;
}

static void send_retained(const BrokerPacket *packet, bool new) {
        Broker *b = world->broker;
        bool wanted = b->version != 5 || packet->handling == 0 || (packet->handling == 1 && new);

        if (b->retained == 0 || !wanted)
                return;
        world_count("mqtt retained");
        enqueue((Message){ .serial = b->retained, .topic = RETAINED, .retained = true });
        pump();
}

static void on_subscribe(const BrokerPacket *packet) {
        Broker *b = world->broker;
        unsigned topic = topic_of(packet);
        int granted = draw_granted(), before = b->session.granted[topic];
        Bytes answer = {};

        world_count(granted == 1 ? "mqtt granted" : granted == 0 ? "mqtt granted QoS 0" : "mqtt topic refused");
        if (granted < 0x80)
                b->session.granted[topic] = granted;
        broker_wire_answer(&answer, b->version, true, packet->id,
                granted < 0x80    ? (unsigned) granted
                : b->version == 5 ? 0x87
                                  : 0x80);
        send_packet(&answer);
        if (topic == RETAINED && granted < 0x80)
                send_retained(packet, before < 0);
}

static void on_unsubscribe(const BrokerPacket *packet) {
        Broker *b = world->broker;
        Bytes answer = {};

        world_count("mqtt unsubscribed");
        b->session.granted[topic_of(packet)] = -1;
        broker_wire_answer(&answer, b->version, false, packet->id, 0);
        send_packet(&answer);
}

/* ---- what the daemon says ---- */

static void on_puback(const BrokerPacket *packet) {
        Message *message = find_message(packet->id);

        if (!message)
                world_fail("the broker hears of a message that it did not send: %u", packet->id);
        remove_message(message);
        world->broker->session.acknowledged = true;
        world_count("mqtt acknowledged");
        pump();
}

static void on_packet(const BrokerPacket *packet) {
        Bytes answer = {};

        if (!world->broker->greeted && packet->type != CONNECT)
                world_fail("packet %u comes before CONNECT", packet->type);
        switch (packet->type) {
        case CONNECT:
                return on_connect(packet);
        case PUBACK:
                return on_puback(packet);
        case SUBSCRIBE:
                return on_subscribe(packet);
        case UNSUBSCRIBE:
                return on_unsubscribe(packet);
        case PINGREQ:
                world->broker->pongs += world->broker->session.acknowledged;
                broker_wire_pingresp(&answer);
                return send_packet(&answer);
        case DISCONNECT:
                return close_link();
        default:
                world_fail("a packet of a kind that no client sends: %u", packet->type);
        }
}

static void on_data(Link *link, const char *data, size_t size) {
        Broker *b = world->broker;
        BrokerPacket packet;
        size_t used;

        if (link != b->link)
                return;
        b->in = arena_resize(b->in, b->n_in + size);
        memcpy(b->in + b->n_in, data, size);
        b->n_in += size;
        b->heard = world->now;
        while (b->link == link && (used = broker_wire_read(b->version, (Slice){ b->in, b->n_in }, &packet)) > 0) {
                b->n_in -= used;
                memmove(b->in, b->in + used, b->n_in);
                on_packet(&packet);
        }
}

/* P12: it may be told of what is on disk, and of nothing else, in the order in which it was sent (MQTT-4.6.0-2). */
static void check_puback(unsigned id) {
        for (Message *m = world->broker->session.first; m; m = m->next) {
                if (m->told)
                        continue;
                if (!m->on_link || m->id != id)
                        world_fail("the acknowledgement of message %u comes before that of %u", id, m->id);
                if (m->serial > 0 && !m->retained && !ledger_is_put(m->serial))
                        world_fail("reading %u is acknowledged to the broker and not on disk", m->serial);
                world_trace("mqtt reading %u is acknowledged", m->serial);
                m->told = true;
                world->broker->session.counted |= m->id == world->broker->session.proof;
                return;
        }
}

static void on_written(Link *link, const char *data, size_t size) {
        BrokerPacket packet;

        for (size_t at = 0, n; at < size; at += n) {
                n = broker_wire_read(world->broker->version, (Slice){ data + at, size - at }, &packet);
                if (n == 0)
                        world_fail("half a packet is written");
                if (packet.type == PUBACK && link == world->broker->link)
                        check_puback(packet.id);
        }
}

/* What the daemon has heard; see Session. */
static void note_proof(const BrokerPacket *packet) {
        Session *session = &world->broker->session;

        if (packet->type == 13 && world->broker->pongs > 0)
                session->heard = true;
        if (packet->type == 3 && (packet->flags & 10) == 2 && session->heard && session->proof == 0)
                session->proof = packet->id;
}

static void on_taken(Link *link, const char *data, size_t size) {
        BrokerPacket packet;
        size_t used;

        if (bytes_append(&taken, data, size) < 0)
                abort();
        while ((used = broker_wire_read(world->broker->version, (Slice){ taken.data, taken.size }, &packet)) > 0) {
                note_proof(&packet);
                if (packet.type == 3 && !(packet.flags & 1) &&
                        ledger_find(packet.payload.data, packet.payload.size) > 0)
                        ledger_delivered(ledger_find(packet.payload.data, packet.payload.size));
                taken.size -= used;
                memmove(taken.data, taken.data + used, taken.size);
        }
}

static void on_lost(Link *link) {
        if (link == world->broker->link)
                let_go();
}

/* Another connection under the same name: it puts the one before out. */
static void on_open(Link *link) {
        close_link();
        world->broker->link = link;
        world->broker->heard = world->now;
        world->broker->keep_alive = 60;
        world->broker->pongs = 0;
        taken.size = 0;
}

const LinkServer *broker_server(const char *host) {
        static const LinkServer server = { TARGET_BROKER, on_open, on_written, on_data, on_lost, on_taken };

        return strcmp(host, BROKER_HOST) == 0 ? &server : NULL;
}

bool broker_listens(void) {
        return world->now >= world->broker->down_until;
}

/* ---- sensors ---- */

static void publish(void) {
        Broker *b = world->broker;
        Message message = { .topic = (unsigned) draw_below(&world->chance, 2),
                .device = (unsigned) draw_below(&world->chance, DEVICES) };
        int qos = draw_below(&world->chance, 5) > 0;

        if (draw_below(&world->chance, 50) > 0)
                message.serial = ledger_serve();
        else
                world_count("mqtt nonsense");
        if (!b->session.there || !broker_listens() || b->session.granted[message.topic] < 0)
                return;
        if (qos == 0 || b->session.granted[message.topic] == 0)
                return send_at_once(&message);
        enqueue(message);
        pump();
}

static void on_publish(void *subject, uint64_t number) {
        uint64_t n = draw_below(&world->chance, 30) == 0 ? 1 + draw_skewed(&world->chance, BURST_MAX) : 1;

        if (world->phase != PHASE_WEATHER)
                return;
        while (n-- > 0)
                publish();
        if (draw_below(&world->chance, 10) == 0) {
                world->broker->retained = ledger_serve();
                ledger_loosen(world->broker->retained);
        }
        world_in(draw_skewed(&world->chance, 6 * PUBLISH_EVERY), on_publish, NULL, 0, 0);
}

/* ---- what happens to it ---- */

static void again(void (*run)(void *subject, uint64_t number), usec_t mean) {
        world_in(mean / 10 + draw_below(&world->chance, 2 * mean), run, NULL, mean, 0);
}

static void on_watch(void *subject, uint64_t number) {
        Broker *b = world->broker;

        world_in(WATCH_EVERY, on_watch, NULL, 0, 0);
        if (!b->link || world->now - b->heard <= (usec_t) b->keep_alive * USEC_PER_SEC * 3 / 2)
                return;
        world_count("mqtt kept alive no longer");
        put_out(0x8d);
}

static void on_snapshot(void *subject, uint64_t number) {
        again(on_snapshot, number);
        session_copy(&world->broker->snapshot, &world->broker->session);
}

static void on_kill(void *subject, uint64_t number) {
        Broker *b = world->broker;

        again(on_kill, number);
        if (!weather_may("the broker is killed"))
                return;
        close_link();
        b->down_until = world->now + draw_skewed(&world->chance, 20 * USEC_PER_MINUTE);
        switch (draw_below(&world->chance, 3)) {
        case 0:
                world_count("broker back as it was");
                return;
        case 1:
                world_count("broker back with an older state");
                loosen(&b->snapshot, &b->session);
                session_copy(&b->session, &b->snapshot);
                forget_proof(&b->session);
                return;
        default:
                world_count("broker back without a session");
                session_end(&b->session);
                session_end(&b->snapshot);
        }
}

static void on_other_client(void *subject, uint64_t number) {
        again(on_other_client, number);
        if (world->broker->link && weather_may("another client has the same name"))
                put_out(0x8e);
}

void broker_calm(void) {
        if (world->broker && world->broker->down_until > world->now)
                world->broker->down_until = world->now;
}

/* MQTT 3.1.1 subscribes only to what a session should not have yet. */
static bool is_subscribed(void) {
        const Broker *b = world->broker;

        for (unsigned i = 0; i < BROKER_TOPICS; i++)
                if (sources_want(i) && b->session.granted[i] < 0 && b->version == 5)
                        return false;
        return b->greeted;
}

bool broker_settled(void) {
        return !world->broker || (!world->broker->session.first && is_subscribed());
}

void broker_check(void) {
        if (!broker_settled() && !world->broker->session.first)
                world_fail("the broker is not asked for all topics");
        if (!broker_settled())
                world_fail("the broker waits for message %u (reading %u), %s", world->broker->session.first->id,
                        world->broker->session.first->serial,
                        world->broker->session.first->on_link ? "which was sent" : "which was not sent");
}

void broker_new(void) {
        world->broker = arena_alloc(sizeof(Broker));
        session_end(&world->broker->session);
        session_end(&world->broker->snapshot);
        again(on_publish, PUBLISH_EVERY);
        again(on_watch, WATCH_EVERY);
        again(on_snapshot, SNAPSHOT_EVERY >> draw_below(&world->chance, 4));
        if (draw_below(&world->chance, 2) == 0)
                again(on_kill, 12 * USEC_PER_HOUR >> draw_below(&world->chance, 4));
        if (draw_below(&world->chance, 2) == 0)
                again(on_other_client, 12 * USEC_PER_HOUR >> draw_below(&world->chance, 4));
}
