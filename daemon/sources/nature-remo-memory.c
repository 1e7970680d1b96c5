/* SPDX-License-Identifier: Apache-2.0 */
/* The API returns the newest value of each sensor again and again: this finds out whether a value is new. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/pointer.h"
#include "match.h"
#include "sources/nature-remo.h"

#define ID_MAX 256 /* an attribute's value may have 1024 bytes, and the idempotency key holds more than the id */

/* Returns the device of that id, and adds it if it is new. NULL: no memory, or too many devices. */
static NatureRemoDevice *memory_find(NatureRemoMemory *memory, const char *id) {
        NatureRemoDevice device = {};

        for (size_t i = 0; i < memory->n; i++)
                if (strcmp(memory->devices[i].id, id) == 0)
                        return &memory->devices[i];
        if (memory->n == NATURE_REMO_DEVICES_MAX ||
                array_reserve(&memory->devices, &memory->allocated, memory->n + 1, sizeof(NatureRemoDevice)) < 0)
                return NULL;
        device.id = strdup(id);
        if (!device.id)
                return NULL;
        memory->devices[memory->n] = device;
        return &memory->devices[memory->n++];
}

void nature_remo_memory_done(NatureRemoMemory *memory) {
        for (size_t i = 0; i < memory->n; i++)
                free(memory->devices[i].id);
        free(memory->devices);
        *memory = (NatureRemoMemory){};
}

bool nature_remo_is_wanted(const NatureRemoReply *reply, const char *id, Slice values) {
        NatureRemoDevice *device = reply->memory ? memory_find(reply->memory, id) : NULL;
        uint64_t hash = bytes_hash(BYTES_HASH, values.data, values.size);
        usec_t at = reply->request_at;

        if (!device)
                return true;
        if (device->put_at > 0 && device->values == hash && at >= device->put_at &&
                at - device->put_at < reply->silence)
                return false;
        device->values = hash;
        device->put_at = at;
        return true;
}

/* ---- sensors that stand still ---- */

typedef struct Still {
        usec_t now, since; /* since: the oldest time */
        char keys[100];
} Still;

static int on_created(void *userdata, const PointerMatch *match) {
        _cleanup_bytes_ Bytes text = {};
        Still *still = userdata;
        size_t n = strlen(still->keys);
        Slice key = match->stars[0].key;
        int64_t msec;
        usec_t at;

        if (!key.data || slice_equal(key, "mo")) /* nobody has moved there, which is not a fault */
                return 0;
        if (match_text(match->value, &text) <= 0 || !clock_parse_rfc3339(text.data, text.size, &msec) || msec <= 0)
                return 0;
        at = (usec_t) msec * USEC_PER_MSEC;
        if (at >= still->now || still->now - at < NATURE_REMO_STILL_USEC)
                return 0;
        still->since = still->since == 0 || at < still->since ? at : still->since;
        if (n + key.size + 3 < sizeof(still->keys))
                (void) snprintf(still->keys + n, sizeof(still->keys) - n, "%s%.*s", n > 0 ? ", " : "", (int) key.size,
                        key.data);
        return 0;
}

void nature_remo_check_still(const NatureRemoReply *reply, const char *id, const char *name, Slice events) {
        NatureRemoDevice *device = reply->memory ? memory_find(reply->memory, id) : NULL;
        Still still = { .now = reply->request_at };

        if (!device || !reply->still || events.size == 0)
                return;
        (void) pointer_each(events, "/*/created_at", on_created, &still);
        if (still.since > 0 && !device->still)
                reply->still(reply->userdata, id, name, still.keys, still.now - still.since);
        device->still = still.since > 0;
}

/* ---- what devices and meters share ---- */

bool nature_remo_id_is_good(const char *id, size_t size) {
        if (size == 0 || size > ID_MAX)
                return false;
        for (size_t i = 0; i < size; i++)
                if ((unsigned char) id[i] < ' ')
                        return false;
        return true;
}

int nature_remo_append_labels(Bytes *payload, Slice labels) {
        Slice name, value;

        while (reading_labels_next(&labels, &name, &value))
                bytes_append_json_member(payload, name.data, value.data);
        return bytes_result(payload);
}

int nature_remo_add(NatureRemoReply *reply, const char *id, Bytes *payload) {
        return reading_list_add(&reply->readings,
                &(ReadingOrigin){
                        .source = reply->source,
                        .type = NATURE_REMO_TYPE,
                        .device = id,
                        .at = reply->at,
                        .unique = reply->random(),
                        .labels = reply->labels,
                },
                payload);
}
