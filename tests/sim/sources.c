/* SPDX-License-Identifier: Apache-2.0 */
#include "sources.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "broker.h"
#include "counts.h"
#include "latest.h"
#include "points.h"
#include "pushers.h"

typedef struct Sources {
        bool have[_SOURCE_MAX];
        bool mqtt_both, mqtt_retained, mqtt_store; /* topics b and r are subscribed to; what is retained is wanted */
        unsigned some;                             /* KiB of a body */
} Sources;

void sources_new(void) {
        static const char *const names[_SOURCE_MAX] = { "mqtt", "http_push", "exec interval", "exec stream",
                "http_json", "http_json by client credentials" };
        static void (*const make[_SOURCE_MAX])(void) = { [SOURCE_MQTT] = broker_new,
                [SOURCE_PUSH] = pushers_new,
                [SOURCE_POINTS] = points_new,
                [SOURCE_LATEST] = latest_new };
        Draw d = draw_split(&world->chance, 's');

        world->sources = arena_alloc(sizeof(Sources));
        for (unsigned i = 0; i < _SOURCE_MAX; i++) {
                world->sources->have[i] = draw_below(&d, 3) == 0 && !world->home;
                if (!world->sources->have[i])
                        continue;
                counts_add_at("source ", names[i]);
                if (make[i])
                        make[i]();
        }
}

bool sources_have(SimSource source) {
        return world->sources->have[source];
}

int sources_find(const char *name) {
        static const char *const names[_SOURCE_MAX] = { "broker", "push", "run", "stream", "points", "latest" };

        for (int i = 0; i < _SOURCE_MAX; i++)
                if (strcmp(name, names[i]) == 0)
                        return i;
        return -1;
}

bool sources_want(unsigned topic) {
        const Sources *s = world->sources;

        return topic == 0 || (topic == 1 ? s->mqtt_both : s->mqtt_retained);
}

void sources_draw(Draw *d) {
        Sources *s = world->sources;

        if (draw_below(d, 2) == 0) {
                s->mqtt_both = draw_below(d, 4) > 0;
                s->mqtt_retained = draw_below(d, 2) == 0;
                s->mqtt_store = draw_below(d, 2) == 0;
                s->some = (unsigned) draw_below(d, 64);
        }
}

static void write_mqtt(FILE *file) {
        const Sources *s = world->sources;

        fprintf(file,
                "    - name: broker\n      type: mqtt\n      url: mqtt://" BROKER_HOST "\n      username: sim\n"
                "      password_file: broker.password\n      allow_plain: true\n      client_id: " BROKER_CLIENT "\n"
                "      topics: [\"a/{id}\"%s%s]\n      retained: %s\n",
                s->mqtt_both ? ", \"b/{id}\"" : "", s->mqtt_retained ? ", \"r/{id}\"" : "",
                s->mqtt_store ? "store" : "ignore");
}

static void write_push(FILE *file) {
        fprintf(file,
                "    - name: push\n      type: http_push\n      listen: 127.0.0.1:8427\n      path: /readings\n"
                "      token_file: push.token\n      max_body: %uKiB\n      reading: { id: /id }\n",
                64 + world->sources->some);
}

static void write_program(FILE *file, const char *name) {
        fprintf(file, "    - name: %s\n      type: exec\n      command: [/usr/bin/prog, %s]\n      mode: %s\n", name,
                strcmp(name, "run") == 0 ? "interval" : name, strcmp(name, "run") == 0 ? "interval" : name);
        if (strcmp(name, "run") == 0)
                fprintf(file, "      interval: %us\n", 120 + world->sources->some);
}

static void write_points(FILE *file) {
        fprintf(file,
                "    - name: points\n      type: http_json\n      interval: %us\n"
                "      url: \"https://points.example/v1/points?from={since:unix}&to={until:unix}\"\n"
                "      auth: { type: oauth2, token_url: \"https://points.example/token\", client_id: sim, "
                "refresh_token_file: points.refresh }\n"
                "      ok: { /status: ok }\n      paging: { next: /next, parameter: page, max: 100 }\n"
                "      since: { initial: 72h, overlap: 2h, window: %uh }\n"
                "      reading: { items: /points, id: /sensor, time: /at }\n",
                240 + world->sources->some, 1 + world->sources->some % 24);
}

static void write_latest(FILE *file) {
        fprintf(file,
                "    - name: latest\n      type: http_json\n      interval: %us\n"
                "      url: \"https://latest.example/v1/now\"\n"
                "      auth: { type: oauth2, token_url: \"https://latest.example/token\", client_id: sim, "
                "client_secret_file: latest.secret }\n"
                "      ok: { /status: ok }\n      reading: { id: /sensor, time: /at%s }\n",
                120 + world->sources->some, world->sources->some % 4 ? ", once_per: measurement" : "");
}

void sources_write(FILE *file) {
        if (sources_have(SOURCE_MQTT))
                write_mqtt(file);
        if (sources_have(SOURCE_PUSH))
                write_push(file);
        if (sources_have(SOURCE_RUN))
                write_program(file, "run");
        if (sources_have(SOURCE_STREAM))
                write_program(file, "stream");
        if (sources_have(SOURCE_POINTS))
                write_points(file);
        if (sources_have(SOURCE_LATEST))
                write_latest(file);
}

void sources_calm(void) {
        broker_calm();
        points_calm();
}

bool sources_settled(void) {
        return broker_settled() && pushers_settled() && points_settled() && latest_settled();
}

void sources_check(void) {
        broker_check();
        pushers_check();
        points_check();
        latest_check();
}
