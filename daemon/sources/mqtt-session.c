/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*      WAITING --backoff--> CONNECTING --open--> GREETING --CONNACK--> SUBSCRIBING --all SUBACKs--> READY
 *         ^                     |                   |                       |                        |
 *         +---------------------+-------------------+-----------------------+----- lost, refused ----+ */
/* clang-format on */
#include "sources/mqtt.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/text.h"

#define CONNECT_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define ANSWER_TIMEOUT_USEC (30 * USEC_PER_SEC) /* for CONNACK and SUBACK */
#define KEEP_ALIVE_SEC 60
#define RECEIVE_MAX 1000
/* Until it is connected again, all is lost that the broker does not keep, which is nearly all that sensors send. */
#define RECONNECT_MAX_USEC (30 * USEC_PER_SEC)
#define REFUSED_MAX_USEC (5 * USEC_PER_MINUTE) /* the same while only a person can change something */
#define STEADY_USEC USEC_PER_MINUTE            /* a connection that lasted this long is replaced without a long wait */
/* After another program took the session: that program waits before it takes it again, as we do. */
#define TAKEN_STEADY_USEC (3 * REFUSED_MAX_USEC)
/* What the broker kept for new subscribers comes within this time after we have subscribed. */
#define RETAINED_USEC USEC_PER_MINUTE
#define READ_MAX (256 * 1024) /* bytes read in one turn of the loop, which is one commit */
#define STATE_MAX (128 * 1024)
/* if the broker keeps the session for less, that is logged: the default of RabbitMQ is a day, of Azure Event Grid an
 * hour */
#define EXPIRY_SHORT_SEC (7 * 24 * 60 * 60)
#define DETAIL_MAX 400
#define REASON_TAKEN_OVER 0x8e /* of MQTT 5; mosquitto before 2.0.12, and MQTT 3.1.1, only close the connection */

typedef enum State { STATE_WAITING, STATE_CONNECTING, STATE_GREETING, STATE_SUBSCRIBING, STATE_READY, STATES } State;

_asserted_ static const bool moves[STATES][STATES] = {
        [STATE_WAITING] = { [STATE_CONNECTING] = true },
        [STATE_CONNECTING] = { [STATE_GREETING] = true, [STATE_WAITING] = true },
        [STATE_GREETING] = { [STATE_SUBSCRIBING] = true, [STATE_WAITING] = true },
        [STATE_SUBSCRIBING] = { [STATE_READY] = true, [STATE_WAITING] = true },
        [STATE_READY] = { [STATE_WAITING] = true },
};

struct MqttSession {
        Loop *loop;
        MqttSessionSpec spec;
        MqttSessionCallbacks callbacks;
        State state;
        MqttVersion version;
        bool speaks_5; /* the broker has answered in MQTT 5 */
        Stream *stream;
        LoopWatch *timer; /* for the next connect, an answer, or the next ping */
        Backoff backoff;
        usec_t ready_at; /* clock_now() when it became ready */
        /* How long a connection must last to count as well: two programs with one client id take it from each other
         * for ever, and each connects again and again. 0: it counts at once. */
        usec_t doubt;
        unsigned brief; /* connections in a row that lasted less than STEADY_USEC */
        bool held;
        Bytes in;
        size_t skip;      /* bytes still to come of a packet that was read or is too large to be read */
        unsigned answers; /* number of SUBACK and UNSUBACK that have not come yet */
        /* A PINGRESP shows that the broker has heard everything that was sent before the PINGREQ. */
        uint64_t pings, pongs; /* on this connection */
        uint64_t confirms;     /* number of the ping whose answer confirms acknowledgements; 0: none was sent */
        uint64_t mark;         /* number of the last acknowledgement */
        uint64_t asked;        /* number of the last acknowledgement before that ping */
        uint16_t packet_id;
        unsigned keep_alive_sec;
        usec_t heard;  /* clock_now() of the last byte */
        usec_t kept;   /* clock_now() until which a message marked as retained is one that the broker kept */
        char *file;    /* of the state: its name */
        char *owner;   /* ... and its session at the broker, which has one for each client id */
        char *id;      /* our name for that session */
        Bytes filters; /* of that session, one in each line; empty: not known */
        bool said_qos, said_expiry, said_gone;
        char detail[DETAIL_MAX];
};

static void session_move(MqttSession *s, State state) {
        assert(moves[s->state][state]);
        s->state = state;
}

/* ---- what is known about the broker's session: its name and its filters ---- */

static bool filters_have(const char *filters, Slice filter) {
        Slice rest = slice_of(filters ?: ""), other;

        while (slice_next(&rest, '\n', &other))
                if (slice_same(other, filter))
                        return true;
        return false;
}

/* Reads the state file. The first line is our name for the session and, after a blank, its owner (since 0.3.0); the
 * other lines are its filters. If the file cannot be read or belongs to another session, it is ignored. Then everything
 * is subscribed to again, because an old session at the broker may not have all our topics. */
static void state_read(MqttSession *s) {
        _cleanup_free_ char *path = NULL;
        _cleanup_bytes_ Bytes text = {};
        char *newline, *blank;

        if (s->spec.clean || text_format(&path, "%s/%s", s->spec.state_dir, s->file) < 0 ||
                file_load_own(path, STATE_MAX, &text) < 0)
                return;
        newline = strchr(text.data, '\n');
        if (!newline || newline == text.data)
                return;
        *newline = '\0';
        blank = strchr(text.data, ' ');
        if (blank && strcmp(blank + 1, s->owner) != 0)
                return;
        if (blank)
                *blank = '\0';
        if (bytes_append_text(&s->filters, newline + 1) == 0)
                s->id = strdup(text.data);
}

static void state_write(MqttSession *s, bool subscribed) {
        const char *filters = subscribed ? s->spec.filters : "";
        _cleanup_bytes_ Bytes text = {};
        int r;

        if (s->spec.clean)
                return;
        r = bytes_append_format(&text, "%s %s\n%s", s->id, s->owner, filters);
        if (r == 0)
                r = file_replace(s->spec.state_dir, s->file, text.data, text.size);
        if (r < 0)
                log_debug("mqtt: %s: the session's filters cannot be kept: %s", s->spec.name, strerror(-r));
        bytes_cut(&s->filters, 0);
        (void) bytes_append_text(&s->filters, filters);
}

/* A new session: packet identifiers begin again, and nothing is subscribed to. */
static int state_renew(MqttSession *s) {
        free(s->id);
        bytes_cut(&s->filters, 0);
        if (text_format(&s->id, "%016" PRIx64, loop_random()) < 0)
                return -ENOMEM;
        state_write(s, false); /* before its first message: if we are killed then, the message comes again with the same
                                  name */
        return 0;
}

/* ---- the end of a connection ---- */

static void session_connect(MqttSession *s);

static void session_close(MqttSession *s) {
        session_move(s, STATE_WAITING);
        s->stream = stream_free(s->stream);
        bytes_cut(&s->in, 0);
        s->skip = 0;
}

static void session_lose(MqttSession *s, Cause cause, const char *detail) {
        bool ready = s->state == STATE_READY;
        usec_t delay;

        if (s->state == STATE_WAITING)
                return;
        if (ready && clock_now() - s->ready_at >= STEADY_USEC) {
                backoff_reset(&s->backoff);
                s->brief = 0;
        } else if (ready && ++s->brief > 1)
                s->doubt = usec_max(s->doubt, STEADY_USEC);
        if (detail != s->detail)
                text_copy(s->detail, sizeof(s->detail), detail);
        session_close(s);
        s->backoff.max = cause == CAUSE_LOGIN || (ready && s->doubt > 0) ? REFUSED_MAX_USEC : RECONNECT_MAX_USEC;
        delay = backoff_next(&s->backoff, loop_random());
        loop_arm_in(s->timer, delay);
        s->callbacks.on_state(s->callbacks.userdata, cause, delay, s->detail);
}

static void session_fail(MqttSession *s, int error) {
        session_lose(s, err_is_want(error) ? CAUSE_MEMORY : CAUSE_SERVICE, strerror(-error));
}

/* Sends all packets, or none. */
static void session_send(MqttSession *s, const Bytes *packets) {
        int r = bytes_result(packets);

        if (r == 0 && packets->size > 0)
                r = stream_write(s->stream, packets->data, packets->size);
        if (r < 0)
                session_fail(s, r);
}

/* The broker does not know MQTT 5. Nothing has failed yet: `check` and `once` take the first failure for an answer. */
static void session_try_older(MqttSession *s) {
        s->version = MQTT_3_1_1;
        session_close(s);
        loop_arm_in(s->timer, 0);
}

/* What to look at, to stand behind the reason. */
static const char *lost_remedy(const MqttSession *s) {
        if (s->state == STATE_CONNECTING)
                return "; check the broker, url and, for mqtts, ca_file";
        if (s->state == STATE_GREETING && s->ready_at == 0)
                return "; is it an MQTT broker, and is mqtt:// or mqtts:// right?";
        /* When another program takes over the session, some brokers close the connection without a reason, and NATS
         * closes the next one, too. */
        if (s->state != STATE_READY || clock_now() - s->ready_at < STEADY_USEC)
                return "; if this persists, check whether another program uses the same client_id";
        return "";
}

/* If a broker closes the connection right after our CONNECT, it may not know MQTT 5, and 3.1.1 is tried. If it closes
 * that too, the version was not the reason, and MQTT 5 is tried next. A proxy may close connections while the broker is
 * away, and MQTT 5 loses less. */
static void on_lost(void *userdata, const char *detail) {
        MqttSession *s = userdata;
        bool want = stream_is_want(s->stream);

        if (s->state == STATE_GREETING && s->version == MQTT_5 && !want)
                return session_try_older(s);
        text_print(s->detail, sizeof(s->detail), "%s%s", detail, want ? "" : lost_remedy(s));
        if (s->state == STATE_GREETING)
                s->version = MQTT_5;
        session_lose(s, want ? CAUSE_MEMORY : CAUSE_SERVICE, s->detail);
}

/* ---- greeting and subscribing ---- */

static void session_await_answer(MqttSession *s) {
        loop_arm_in(s->timer, ANSWER_TIMEOUT_USEC);
}

static void on_open(void *userdata) {
        MqttSession *s = userdata;
        _cleanup_(bytes_wipe) Bytes packet = {};
        MqttConnect connect = {
                .version = s->version,
                .client_id = s->spec.client_id,
                .username = s->spec.username,
                .password = s->spec.password,
                .clean = s->spec.clean,
                .keep_alive_sec = KEEP_ALIVE_SEC,
                .receive_max = RECEIVE_MAX,
                .session_expiry = s->spec.clean ? 0 : MQTT_SESSION_FOR_EVER,
        };

        session_move(s, STATE_GREETING);
        s->keep_alive_sec = KEEP_ALIVE_SEC;
        s->heard = clock_now();
        mqtt_put_connect(&packet, &connect);
        session_await_answer(s);
        session_send(s, &packet);
}

/* Counts down: brokers count up, and Mochi 2.7.9 refuses an identifier that one of its own messages has. */
static uint16_t next_packet_id(MqttSession *s) {
        s->packet_id = s->packet_id > 1 ? (uint16_t) (s->packet_id - 1) : UINT16_MAX;
        return s->packet_id;
}

/* Unsubscribes from filters of the session that are no longer wanted. */
static void put_unsubscribe(MqttSession *s, Bytes *packets) {
        Slice rest = { s->filters.data, s->filters.size }, filter;

        while (slice_next(&rest, '\n', &filter))
                if (!filters_have(s->spec.filters, filter)) {
                        s->answers++;
                        mqtt_put_unsubscribe(packets, s->version, next_packet_id(s), filter);
                }
}

/* Subscribes to all filters, with one packet for each, so that each answer is about one filter. All: a broker that was
 * restarted may have an older state of the session without the latest filters. With MQTT 3.1.1 only those that the
 * session does not have, because the broker sends retained messages at each SUBSCRIBE. */
static void put_subscribe(MqttSession *s, Bytes *packets) {
        Slice rest = slice_of(s->spec.filters), filter;

        while (slice_next(&rest, '\n', &filter))
                if (s->version != MQTT_3_1_1 || !filters_have(s->filters.data, filter)) {
                        s->answers++;
                        mqtt_put_subscribe(packets, s->version, next_packet_id(s), filter, s->spec.retained);
                }
}

static void session_watch_silence(MqttSession *s) {
        loop_arm_in(s->timer, (usec_t) s->keep_alive_sec * USEC_PER_SEC / 2);
}

/* Tells that the session is well, unless the connection has not lasted long enough; then it is told later. */
static void session_tell_well(MqttSession *s) {
        if (s->doubt > clock_now() - s->ready_at)
                return;
        s->doubt = 0;
        s->callbacks.on_state(s->callbacks.userdata, CAUSE_NONE, 0, "");
}

static void session_ready(MqttSession *s) {
        session_move(s, STATE_READY);
        s->ready_at = clock_now();
        s->kept = s->ready_at + RETAINED_USEC;
        state_write(s, true);
        session_watch_silence(s);
        session_tell_well(s);
}

/* Logs once that the broker has lost the session; again only after it has kept one. */
static void session_log_gone(MqttSession *s, bool present) {
        bool gone = !present && !s->spec.clean && s->filters.size > 0, said = s->said_gone;

        s->said_gone = !present && (gone || said);
        if (!gone || said)
                return;
        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_SOURCE, s->spec.name }),
                "Source %s: the broker has lost the session: messages since the last connection are lost. Make it "
                "keep sessions across restarts (mosquitto: persistence true). If it was not restarted, another "
                "program may use the client_id.",
                s->spec.name);
}

static void session_subscribe(MqttSession *s, bool present) {
        _cleanup_bytes_ Bytes packets = {};

        session_move(s, STATE_SUBSCRIBING);
        s->answers = 0;
        session_log_gone(s, present);
        if (!present || !s->id)
                bytes_fail(&packets, state_renew(s));
        put_unsubscribe(s, &packets);
        put_subscribe(s, &packets);
        session_await_answer(s);
        session_send(s, &packets);
        if (s->state == STATE_SUBSCRIBING && s->answers == 0)
                session_ready(s);
}

static void session_refused(MqttSession *s, const MqttPacket *packet, const char *remedy) {
        text_print(s->detail, sizeof(s->detail), "the broker refuses: %s (%u)%s%.*s%s",
                mqtt_reason(s->version, packet->type, packet->reason), packet->reason,
                packet->words.size > 0 ? ": " : "", (int) text_cut(packet->words.data, packet->words.size, 150),
                packet->words.data ?: "", remedy);
}

/* Logs that the broker keeps the session for less time than we asked for (3.2.2.3.2). */
static void session_log_expiry(MqttSession *s, uint32_t expiry_sec) {
        char span[CLOCK_SPAN_SIZE];

        if (s->spec.clean || s->said_expiry || expiry_sec >= EXPIRY_SHORT_SEC)
                return;
        s->said_expiry = true;
        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_SOURCE, s->spec.name }),
                "Source %s: the broker keeps the session for only %s: if sensorqd is away for longer, messages sent "
                "meanwhile are lost. Make the broker keep sessions for longer.",
                s->spec.name, clock_format_span(expiry_sec * USEC_PER_SEC, span, sizeof(span)));
}

static void on_connack(MqttSession *s, const MqttPacket *packet) {
        if (s->state != STATE_GREETING)
                return session_lose(s, CAUSE_SERVICE, "the broker sent a second CONNACK");
        if (mqtt_refuses_version(s->version, packet))
                return session_try_older(s);
        if (packet->reason != 0) {
                bool passing = packet->reason == 3 || packet->reason == 0x88 || packet->reason == 0x89 ||
                               packet->reason == 0x8b;

                session_refused(
                        s, packet, passing ? "" : "; check username, password_file, client_id and the broker's rules");
                return session_lose(s, passing ? CAUSE_SERVICE : CAUSE_LOGIN, s->detail);
        }
        s->speaks_5 = s->version == MQTT_5;
        if (packet->keep_alive_sec > 0)
                s->keep_alive_sec = packet->keep_alive_sec;
        session_log_expiry(s, packet->session_expiry);
        session_subscribe(s, packet->session_present);
}

/* Logs that only QoS 0 is granted: the broker may lose such messages. */
static void session_log_qos(MqttSession *s) {
        if (s->said_qos)
                return;
        s->said_qos = true;
        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_SOURCE, s->spec.name }),
                "Source %s: the broker grants a topic QoS 0 only: messages sent while sensorqd is away are lost. Make "
                "the broker allow this user QoS 1.",
                s->spec.name);
}

static void on_suback(MqttSession *s, const MqttPacket *packet) {
        uint8_t code = packet->codes.size > 0 ? (uint8_t) packet->codes.data[0] : 0;

        if (s->state != STATE_SUBSCRIBING || s->answers == 0)
                return;
        if (packet->type == MQTT_SUBACK && code >= 0x80) {
                text_print(s->detail, sizeof(s->detail),
                        "the broker refuses a topic: %s (%u); check what this user may read",
                        mqtt_reason(s->version, MQTT_SUBACK, code), code);
                return session_lose(s, CAUSE_LOGIN, s->detail);
        }
        if (packet->type == MQTT_SUBACK && code == 0)
                session_log_qos(s);
        if (--s->answers == 0)
                session_ready(s);
}

/* ---- whether the broker has heard our acknowledgements ---- */

static void session_put_ping(MqttSession *s, Bytes *packets) {
        s->pings++;
        mqtt_put_pingreq(packets);
}

static void session_put_confirm(MqttSession *s, Bytes *packets) {
        if (s->confirms > 0)
                return; /* one at a time */
        s->confirms = s->pings + 1;
        s->asked = s->mark;
        session_put_ping(s, packets);
}

static void session_confirm(MqttSession *s) {
        _cleanup_bytes_ Bytes packets = {};

        if (s->confirms == 0 || s->pongs < s->confirms)
                return;
        s->confirms = 0;
        s->callbacks.on_confirmed(s->callbacks.userdata, s->asked);
        if (s->mark == s->asked)
                return;
        session_put_confirm(s, &packets);
        session_send(s, &packets);
}

/* ---- what the broker sends ---- */

static void on_disconnect(MqttSession *s, const MqttPacket *packet) {
        bool taken = packet->reason == REASON_TAKEN_OVER;

        if (taken) {
                s->doubt = TAKEN_STEADY_USEC;
                text_print(s->detail, sizeof(s->detail),
                        "another program uses the same client_id, %s, and takes over the session; give each its own "
                        "(a cloned machine has the same default)",
                        s->spec.client_id);
        } else
                session_refused(s, packet, "");
        session_lose(s, taken || packet->reason == 0x98 ? CAUSE_LOGIN : CAUSE_SERVICE, s->detail);
}

/* With an existing session a message may come before the SUBACK. Some brokers leave the mark of a retained message on
 * what is published now (EMQX 2.3.5, Mochi before 2.2.16), against 3.3.1.3. */
static void on_publish(MqttSession *s, MqttPacket *packet) {
        if (s->state != STATE_SUBSCRIBING && s->state != STATE_READY)
                return;
        if (s->state == STATE_READY && packet->retain && clock_now() >= s->kept)
                packet->retain = false;
        s->callbacks.on_message(s->callbacks.userdata, packet, s->id);
}

/* The broker has heard that the message is stored. Without an answer it asks again on each connection (4.3.3). */
static void on_pubrel(MqttSession *s, const MqttPacket *packet) {
        _cleanup_bytes_ Bytes answer = {};

        mqtt_put_answer(&answer, MQTT_PUBCOMP, packet->packet_id);
        session_send(s, &answer);
}

static void session_take(MqttSession *s, MqttPacket *packet) {
        switch (packet->type) {
        case MQTT_CONNACK:
                return on_connack(s, packet);
        case MQTT_PUBLISH:
                return on_publish(s, packet);
        case MQTT_PUBREL:
                return on_pubrel(s, packet);
        case MQTT_SUBACK:
        case MQTT_UNSUBACK:
                return on_suback(s, packet);
        case MQTT_PINGRESP:
                s->pongs++;
                return session_confirm(s);
        case MQTT_DISCONNECT:
                return on_disconnect(s, packet);
        }
}

/* Returns the data after the last packet. */
static Slice session_skip(MqttSession *s, Slice rest) {
        size_t n = s->skip < rest.size ? s->skip : rest.size;

        s->skip -= n;
        return (Slice){ rest.data + n, rest.size - n };
}

/* Handles all complete packets. */
static void session_parse(MqttSession *s) {
        Slice rest = session_skip(s, bytes_slice(&s->in));

        for (; rest.size > 0; rest = session_skip(s, rest)) {
                const char *problem;
                MqttPacket packet;
                int r = mqtt_read(s->version, rest, s->spec.packet_max, &packet, &s->skip, &problem);

                if (r == MQTT_MORE) {
                        s->skip = 0;
                        break;
                }
                if (r < 0) {
                        text_print(s->detail, sizeof(s->detail), "the broker sent %s; is it an MQTT broker?", problem);
                        return session_lose(s, CAUSE_SERVICE, s->detail);
                }
                session_take(s, &packet);
                if (s->state == STATE_WAITING)
                        return; /* the connection was lost meanwhile, and the buffer is empty */
        }
        memmove(s->in.data, rest.data, rest.size);
        s->in.size = rest.size;
}

static void on_readable(void *userdata) {
        MqttSession *s = userdata;
        char *room;
        size_t n = 0, total = 0;

        do {
                if (bytes_reserve(&s->in, READ_MAX / 4) < 0)
                        return session_fail(s, -ENOMEM);
                room = s->in.data + s->in.size;
                n = stream_read(s->stream, room, READ_MAX / 4);
                s->in.size += n;
                total += n;
        } while (n > 0 && total < READ_MAX);
        if (total == 0)
                return;
        s->heard = clock_now();
        session_parse(s);
}

/* ---- time ---- */

/* If it hears nothing from us for one and a half times the keep-alive time, the broker closes the connection
 * (3.1.2.10); we do the same. */
static void session_keep_alive(MqttSession *s) {
        usec_t patience = (usec_t) s->keep_alive_sec * USEC_PER_SEC * 3 / 2;
        _cleanup_bytes_ Bytes packet = {};

        if (!s->held && clock_now() - s->heard > patience)
                return session_lose(s, CAUSE_SERVICE, "the broker no longer answers");
        session_watch_silence(s);
        if (s->doubt > 0)
                session_tell_well(s);
        session_put_ping(s, &packet);
        session_send(s, &packet);
}

/* amqtt is silent when it is greeted in MQTT 5. */
static void session_give_up(MqttSession *s) {
        if (s->state == STATE_GREETING && s->version == MQTT_5 && !s->speaks_5)
                return session_try_older(s);
        if (s->state == STATE_GREETING)
                s->version = MQTT_5;
        session_lose(s, CAUSE_SERVICE, "the broker does not answer");
}

static void on_timer(void *userdata) {
        MqttSession *s = userdata;

        switch (s->state) {
        case STATE_WAITING:
                return session_connect(s);
        case STATE_READY:
                return session_keep_alive(s);
        default:
                if (s->held && s->state != STATE_CONNECTING) /* the answer may have come, but is not read */
                        return session_await_answer(s);
                return session_give_up(s);
        }
}

static void session_connect(MqttSession *s) {
        int r;

        session_move(s, STATE_CONNECTING);
        s->pings = s->pongs = s->confirms = 0;
        r = stream_open(s->loop, &s->spec.stream, &(StreamCallbacks){ on_open, on_readable, on_lost, s }, &s->stream);
        if (r < 0)
                return session_fail(s, r);
        stream_hold(s->stream, s->held);
        loop_arm_in(s->timer, CONNECT_TIMEOUT_USEC + ANSWER_TIMEOUT_USEC);
}

/* ---- for the source ---- */

void mqtt_session_acknowledge(MqttSession *s, const MqttAck *acks, size_t n) {
        _cleanup_bytes_ Bytes packets = {};

        if (s->state != STATE_READY && s->state != STATE_SUBSCRIBING)
                return;
        for (size_t i = 0; i < n; i++)
                mqtt_put_answer(&packets, acks[i].qos == 2 ? MQTT_PUBREC : MQTT_PUBACK, acks[i].packet_id);
        s->mark = acks[n - 1].number;
        session_put_confirm(s, &packets);
        session_send(s, &packets);
}

void mqtt_session_reset(MqttSession *s) {
        session_lose(s, CAUSE_SERVICE, "out of memory");
}

void mqtt_session_hold(MqttSession *s, bool hold) {
        if (!hold && s->heard < s->kept) /* what was not read may still be what the broker kept */
                s->kept = clock_now() + RETAINED_USEC;
        s->held = hold;
        s->heard = clock_now(); /* what the broker sent while held was not read */
        if (s->stream)
                stream_hold(s->stream, hold);
}

int mqtt_session_new(
        Loop *loop, const MqttSessionSpec *spec, const MqttSessionCallbacks *callbacks, MqttSession **ret) {
        _cleanup_(mqtt_session_freep) MqttSession *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->loop = loop;
        s->spec = *spec;
        s->spec.stream.timeout = CONNECT_TIMEOUT_USEC;
        s->callbacks = *callbacks;
        s->version = MQTT_5;
        s->backoff.initial = USEC_PER_SEC;
        r = text_format(&s->file, "mqtt-%s.session", spec->name);
        if (r == 0)
                r = text_format(&s->owner, "%s:%u %s", spec->stream.host, spec->stream.port, spec->client_id);
        if (r == 0)
                r = loop_add_timer(loop, LOOP_EXACT, on_timer, s, &s->timer);
        if (r < 0)
                return r;
        state_read(s);
        loop_arm_in(s->timer, 0);
        *ret = cleanup_steal(s);
        return 0;
}

MqttSession *mqtt_session_free(MqttSession *s) {
        _cleanup_bytes_ Bytes packet = {};

        if (!s)
                return NULL;
        if (s->state == STATE_READY && mqtt_put_disconnect(&packet) == 0)
                (void) stream_write(s->stream, packet.data, packet.size);
        stream_free(s->stream);
        loop_drop(s->timer);
        bytes_done(&s->filters);
        bytes_done(&s->in);
        free(s->file);
        free(s->owner);
        free(s->id);
        free(s);
        return NULL;
}
