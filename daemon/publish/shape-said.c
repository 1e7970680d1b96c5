/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/shape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/array.h"
#include "lib/log.h"

#define SAID_MAX 1000 /* how many are remembered; more are not logged */

void shape_said_done(ShapeSaid *said) {
        free(said->hashes);
        *said = (ShapeSaid){ .source = said->source };
}

/* True the first time, for each kind and device. */
static bool said_is_news(ShapeSaid *said, const char *kind, const char *device) {
        uint64_t hash = bytes_hash(bytes_hash(BYTES_HASH, kind, strlen(kind) + 1), device, strlen(device));

        for (size_t i = 0; i < said->n; i++)
                if (said->hashes[i] == hash)
                        return false;
        if (said->n == SAID_MAX ||
                array_reserve(&said->hashes, &said->allocated, said->n + 1, sizeof(*said->hashes)) < 0)
                return false;
        said->hashes[said->n++] = hash;
        return true;
}

void shape_said_note(void *userdata, const char *kind, const char *device, const char *text) {
        ShapeSaid *said = userdata;

        if (said_is_news(said, kind, device))
                log_event(LOG_WARNING, EVENT_READING_ODD,
                        LOG_FIELDS({ FIELD_SOURCE, said->source }, { FIELD_DEVICE, device[0] ? device : NULL }),
                        "Source %s%s%s: %s. Logged once.", said->source, device[0] ? ", device " : "", device, text);
}

static void log_unreadable(ShapeSaid *said, const Unreadable *unreadable) {
        if (said_is_news(said, "unreadable", unreadable->topic))
                log_event(LOG_WARNING, EVENT_READING_REJECTED,
                        LOG_FIELDS({ FIELD_SOURCE, said->source }, { FIELD_REASON, "unreadable" },
                                { FIELD_ERROR, unreadable->reason }),
                        "Source %s%s%s: this input cannot become a reading: %s. It is kept: see `sensorqd rejected`. "
                        "Logged once.",
                        said->source, unreadable->topic[0] ? ", topic " : "", unreadable->topic, unreadable->reason);
}

void shape_said_unreadable(ShapeSaid *said, const ReadingList *list, bool first) {
        for (size_t i = 0; i < list->n_unreadable; i++)
                log_unreadable(said, &list->unreadable[i]);
        said->unreadable += list->n_unreadable + list->n_dropped;
        said->left_out += list->n_left_out;
        if (list->n_unreadable == 0 || said->nothing_readable || !first || said->unreadable < SHAPE_UNREADABLE_MIN)
                return;
        said->nothing_readable = true;
        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_SOURCE, said->source }),
                "Source %s: none of its input could become a reading (%s). Its section `reading` does not match the "
                "data.",
                said->source, list->unreadable[0].reason);
}

void shape_said_dropped(ShapeSaid *said, uint64_t dropped) {
        if (dropped > said->dropped && !said->gone) /* even if another flood was logged */
                log_event(LOG_WARNING, EVENT_READING_REJECTED,
                        LOG_FIELDS({ FIELD_SOURCE, said->source }, { FIELD_REASON, "dropped" }),
                        "Source %s: more inputs could not become readings than `sensorqd rejected` keeps: %" PRIu64
                        " deleted so far. Logged once.",
                        said->source, dropped);
        said->gone = said->gone || dropped > said->dropped;
        said->dropped = dropped;
}
