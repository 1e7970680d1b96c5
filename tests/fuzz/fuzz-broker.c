/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a broker sends to a session, at once, before it closes the connection: each message has a topic and
 * lies in what was sent, and the end is told in words. The first byte: whether messages are acknowledged. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "sources/mqtt-packet.h"
#include "sources/mqtt.h"

#define TURNS_MAX 500
#define QUIET_TURNS 6

typedef struct Fixture {
        MqttSession *session;
        size_t most;
        bool acknowledges, ended;
} Fixture;

static void on_message(void *userdata, const MqttPacket *packet, const char *session) {
        Fixture *f = userdata;

        require(packet->type == MQTT_PUBLISH && packet->qos <= 2 && (packet->qos == 0) == (packet->packet_id == 0));
        require(packet->topic.size > 0 && packet->topic.size + packet->payload.size < f->most && session[0] != '\0');
        if (packet->qos > 0 && f->acknowledges)
                mqtt_session_acknowledge(f->session, &(MqttAck){ 1, packet->packet_id, packet->qos }, 1);
}

static void on_confirmed(void *userdata, uint64_t mark) {
        require(mark == 1);
}

static void on_state(void *userdata, Cause cause, usec_t retry_in, const char *detail) {
        Fixture *f = userdata;

        require((cause == CAUSE_NONE) == (detail[0] == '\0') && bytes_is_utf8(detail, strlen(detail)));
        f->ended |= cause != CAUSE_NONE;
}

/* Listens as long as the process lives, and never waits. Returns the socket. */
static int listener(uint16_t *ret_port) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        static int fd = -1;

        if (fd < 0) {
                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                require(bind(fd, (struct sockaddr *) &address, size) == 0 && listen(fd, 16) == 0);
        }
        require(getsockname(fd, (struct sockaddr *) &address, &size) == 0);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

static void converse(Loop *loop, const Fixture *f, int listening, Slice text) {
        int fd = -1, turns = 0;

        for (int i = 0; i < TURNS_MAX && !f->ended; i++) {
                require(loop_turn(loop, 2 * USEC_PER_MSEC) >= 0);
                if (fd < 0) {
                        fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                        if (fd >= 0)
                                require(send(fd, text.data, text.size, MSG_NOSIGNAL) == (ssize_t) text.size);
                } else if (++turns == QUIET_TURNS)
                        (void) shutdown(fd, SHUT_RDWR);
                else if (turns == 2 * QUIET_TURNS) { /* a broker that did not know MQTT 5 is greeted again, in 3.1.1 */
                        (void) close(fd);
                        fd = -1;
                        turns = 0;
                }
        }
        require(f->ended);
        if (fd >= 0)
                (void) close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        MqttSessionSpec spec = { .name = "n",
                .stream.host = "127.0.0.1",
                .client_id = "c",
                .filters = "home/#\n",
                .clean = true,
                .packet_max = 4096 };
        Fixture f = { .most = size };
        static Loop *loop;
        int listening;

        if (size < 2 || size > 16384)
                return 0;
        f.acknowledges = data[0] & 1;
        if (!loop)
                require(loop_new(&loop) == 0);
        listening = listener(&spec.stream.port);
        require(mqtt_session_new(loop, &spec, &(MqttSessionCallbacks){ on_message, on_confirmed, on_state, &f },
                        &f.session) == 0);
        converse(loop, &f, listening, (Slice){ (const char *) data + 1, size - 1 });
        (void) mqtt_session_free(f.session);
        return 0;
}
