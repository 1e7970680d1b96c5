/* SPDX-License-Identifier: Apache-2.0 */
#include "messages.h"

#include "latency.h"
#include "readings.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEAD "{\n  \"receivedMessages\": [\n"
#define TAIL "\n  ]\n}\n"
#define SEPARATOR ",\n"
#define ID_DIGITS 16
#define TIME_SIZE 24 /* 2026-01-15T08:13:00.123Z */

/* Where the numbers stand, from the start of the message. */
typedef struct Template {
        size_t start, size;
        size_t ack, key, id, time, sent;
} Template;

struct Messages {
        bool timed;
        Buffer text;
        Template templates[MESSAGES_MAX];
};

static void append_ack_id(Buffer *out, unsigned i) {
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        uint32_t x = i * 2654435761U + 1;

        for (size_t n = 0; n < MESSAGES_ACK_ID_SIZE - MESSAGES_ACK_DIGITS; n++) {
                x = x * 1664525U + 1013904223U;
                buffer_format(out, "%c", alphabet[x >> 26]);
        }
        buffer_format(out, "%0*u", MESSAGES_ACK_DIGITS, i);
}

static void append_attributes(Buffer *out, Template *t, bool timed, unsigned i) {
        char device[READINGS_DEVICE_SIZE + 1];

        reading_device(i, device);
        buffer_format(out,
                "        \"attributes\": {\n          \"source\": \"home\",\n          \"type\": \"nature_remo\",\n          \"device\": "
                "\"%s\",\n",
                device);
        if (timed) {
                buffer_format(out, "          \"" LATENCY_ATTRIBUTE "\": \"");
                t->sent = out->size - t->start;
                buffer_format(out, "%0*u\",\n", LATENCY_DIGITS, 0);
        }
        buffer_format(out, "          \"idempotency_key\": \"2026-01-15T08:13:00.%03uZ:home:%s:", i, device);
        t->key = out->size - t->start;
        buffer_format(out, "%0*u\"\n        },\n", ID_DIGITS, i);
}

static void append_template(Messages *m, unsigned i) {
        Template *t = &m->templates[i];
        Buffer *out = &m->text, payload = {};

        t->start = out->size;
        buffer_format(out, "    {\n      \"ackId\": \"");
        append_ack_id(out, i);
        t->ack = out->size - MESSAGES_ACK_DIGITS - t->start;
        buffer_format(out, "\",\n      \"message\": {\n        \"data\": \"");
        reading_append(&payload, i);
        base64_append(out, payload.data, payload.size);
        buffer_done(&payload);
        buffer_format(out, "\",\n");
        append_attributes(out, t, m->timed, i);
        buffer_format(out, "        \"messageId\": \"");
        t->id = out->size - t->start;
        buffer_format(out, "%0*u\",\n        \"publishTime\": \"", ID_DIGITS, i);
        t->time = out->size - t->start;
        buffer_format(out, "2026-01-15T08:13:01.%03uZ\"\n      }\n    }" SEPARATOR, i);
        t->size = out->size - t->start;
}

Messages *messages_new(bool timed) {
        Messages *m = calloc(1, sizeof *m);

        if (!m)
                err(EXIT_FAILURE, "calloc");
        m->timed = timed;
        for (unsigned i = 0; i < MESSAGES_MAX; i++)
                append_template(m, i);
        return m;
}

Messages *messages_free(Messages *m) {
        if (m)
                buffer_done(&m->text);
        free(m);
        return NULL;
}

size_t messages_size(const Messages *m, size_t n) {
        const Template *last = &m->templates[n - 1];

        return strlen(HEAD) + last->start + last->size - strlen(SEPARATOR) + strlen(TAIL);
}

static void put_digits(char *at, uint64_t value, size_t digits) {
        while (digits-- > 0) {
                at[digits] = (char) ('0' + value % 10);
                value /= 10;
        }
}

static void put_time(char *at, uint64_t usec) {
        time_t seconds = (time_t) (usec / 1000000U);
        char text[TIME_SIZE + 8];
        struct tm tm;
        size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", gmtime_r(&seconds, &tm));

        put_digits(text + n, usec / 1000 % 1000, 3);
        text[n + 3] = 'Z';
        memcpy(at, text, TIME_SIZE);
}

void messages_append(const Messages *m, const uint64_t *numbers, const uint64_t *sent, size_t n, Buffer *out) {
        size_t size = messages_size(m, n) - strlen(HEAD) - strlen(TAIL);
        char *text;

        buffer_append(out, HEAD, strlen(HEAD));
        buffer_append(out, m->text.data, size);
        text = out->data + out->size - size;
        for (size_t i = 0; i < n; i++) {
                const Template *t = &m->templates[i];
                char *at = text + t->start, digits[ID_DIGITS];

                put_digits(digits, numbers[i], ID_DIGITS);
                memcpy(at + t->ack, digits + ID_DIGITS - MESSAGES_ACK_DIGITS, MESSAGES_ACK_DIGITS);
                memcpy(at + t->key, digits, ID_DIGITS);
                memcpy(at + t->id, digits, ID_DIGITS);
                if (m->timed && sent) {
                        put_digits(at + t->sent, sent[i], LATENCY_DIGITS);
                        put_time(at + t->time, sent[i]);
                }
        }
        buffer_append(out, TAIL, strlen(TAIL));
}

void messages_devices(unsigned n, Buffer *out) {
        buffer_format(out, "[");
        for (unsigned i = 0; i < n; i++) {
                char device[READINGS_DEVICE_SIZE + 1];

                reading_device(i, device);
                buffer_format(out,
                        "%s{\"name\":\"Room "
                        "%03u\",\"id\":\"%s\",\"created_at\":\"2025-03-24T04:13:15Z\",\"updated_at\":\"2026-01-14T22:01:%02uZ\","
                        "\"mac_address\":\"00:00:5e:00:53:00\",\"serial_number\":\"1W3\",\"firmware_version\":\"Remo/"
                        "1.4.9\",\"temperature_offset\":0,"
                        "\"humidity_offset\":0,\"users\":[],\"newest_events\":",
                        i ? "," : "", i, device, i % 60);
                reading_append_events(out, i);
                buffer_format(out, ",\"online\":true}");
        }
        buffer_format(out, "]");
}
