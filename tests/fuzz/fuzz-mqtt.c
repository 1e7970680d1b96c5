/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a broker sends. The first byte chooses the version. Slices stay inside, every packet uses bytes up,
 * and what is short of a packet asks for more than there is. The rest of the input is a pattern and a topic as well. */
#include <stdlib.h>

#include "fuzz.h"
#include "sources/mqtt-packet.h"
#include "sources/mqtt.h"

static void require_inside(Slice slice, Slice whole) {
        require(slice.size == 0 || (slice.data >= whole.data && slice.data + slice.size <= whole.data + whole.size));
}

static void fuzz_packets(MqttVersion version, Slice rest) {
        while (rest.size > 0) {
                const char *problem;
                MqttPacket packet;
                size_t used = 0;
                int r = mqtt_read(version, rest, 4096, &packet, &used, &problem);

                if (r < 0) {
                        require(problem != NULL);
                        return;
                }
                if (r == MQTT_MORE) {
                        require(used > rest.size);
                        return;
                }
                require(used >= 2 && (packet.too_large ? used > 4096 && packet.payload.size == 0 : used <= rest.size));
                require_inside(packet.words, rest);
                require_inside(packet.topic, rest);
                require_inside(packet.payload, rest);
                require_inside(packet.codes, rest);
                require(packet.qos <= 2 && mqtt_reason(version, packet.type, packet.reason) != NULL);
                if (used >= rest.size)
                        return;
                rest = (Slice){ rest.data + used, rest.size - used };
        }
}

static void fuzz_topic(const char *pattern, Slice topic) {
        _cleanup_bytes_ Bytes filter = {};
        MqttTopic found = {};

        if (mqtt_topic_check(pattern))
                return;
        require(mqtt_topic_filter(pattern, &filter) == 0 && mqtt_topic_check(filter.data) == NULL);
        require(mqtt_topic_overlap(pattern, pattern));
        if (mqtt_topic_match(pattern, topic, &found)) {
                require_inside(found.id, topic);
                require_inside(found.name, topic);
                require_inside(found.field, topic);
                require(mqtt_topic_match(filter.data, topic, &found));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = NULL;
        size_t n;

        if (size < 1)
                return 0;
        text = malloc(size); /* of its own size: a sanitizer sees every step beyond */
        require(text != NULL);
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        fuzz_packets(data[0] % 2 ? MQTT_5 : MQTT_3_1_1, (Slice){ text, size - 1 });
        n = strlen(text);
        if (n + 1 < size)
                fuzz_topic(text, (Slice){ text + n + 1, size - n - 2 });
        return 0;
}
