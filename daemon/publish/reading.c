/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/reading.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/err.h"
#include "lib/text.h"

static void reading_done(Reading *reading) {
        bytes_done(&reading->payload);
        free(reading->key);
        free(reading->device);
        free(reading->seen);
        *reading = (Reading){};
}

static void unreadable_done(Unreadable *unreadable) {
        bytes_done(&unreadable->payload);
        free(unreadable->seen);
        free(unreadable->topic);
        free(unreadable->reason);
        *unreadable = (Unreadable){};
}

bool reading_id_is_good(const char *id, size_t size) {
        return size > 0 && size <= READING_ID_MAX && !text_has_controls(id, size);
}

int reading_list_add(ReadingList *list, const ReadingOrigin *origin, Bytes *payload) {
        Reading reading = {};
        int r;

        r = array_reserve(&list->items, &list->allocated, list->n + 1, sizeof(Reading));
        if (r < 0)
                return r;

        reading.source = origin->source;
        reading.type = origin->type;
        reading.device = strdup(origin->device);
        reading.seen = origin->seen ? strdup(origin->seen) : NULL;
        (void) text_format(
                &reading.key, "%s:%s:%s:%016" PRIx64, origin->at, origin->source, origin->device, origin->unique);
        reading.labels = origin->labels;
        if (!reading.device || !reading.key || (origin->seen && !reading.seen)) {
                reading_done(&reading);
                return -ENOMEM;
        }

        reading.payload = bytes_steal(payload);
        reading.size = (uint64_t) reading.payload.size + reading.labels.size + strlen(reading.key) +
                       strlen(reading.source) + strlen(reading.type) + strlen(reading.device);
        list->items[list->n++] = reading;
        list->bytes += reading.size;
        return 0;
}

int reading_list_add_unreadable(
        ReadingList *list, const char *source, Slice topic, const char *reason, Bytes *payload) {
        Unreadable unreadable = {};
        int r;

        r = array_reserve(&list->unreadable, &list->unreadable_allocated, list->n_unreadable + 1, sizeof(Unreadable));
        if (r < 0)
                return r;

        unreadable.topic = strndup(topic.data ?: "", topic.size);
        unreadable.reason = strdup(reason);
        if (!unreadable.topic || !unreadable.reason) {
                unreadable_done(&unreadable);
                return -ENOMEM;
        }
        unreadable.payload = bytes_steal(payload);
        list->unreadable[list->n_unreadable++] = unreadable;
        list->source = source;
        return 0;
}

int reading_list_set_cursor(ReadingList *list, const char *source, const char *cursor) {
        char *copy = strdup(cursor);

        if (!copy)
                return -ENOMEM;
        free(list->cursor);
        list->cursor = copy;
        list->source = source;
        return 0;
}

bool reading_list_is_empty(const ReadingList *list) {
        return list->n == 0 && list->n_unreadable == 0 && !list->cursor;
}

int reading_list_name(ReadingList *list) {
        for (size_t i = 0; i < list->n_unreadable; i++)
                list->unreadable[i].repeats = true;
        for (size_t i = 0; i < list->n; i++) {
                Reading *reading = &list->items[i];

                reading->again = true;
                reading->seen = reading->seen ?: strdup(reading->key);
                if (!reading->seen)
                        return -ENOMEM;
        }
        return 0;
}

int reading_list_name_by(ReadingList *list, const char *seen, bool anew) {
        for (size_t i = 0; i < list->n; i++) {
                if (text_format(&list->items[i].seen, "%s:%zu", seen, i) < 0)
                        return -ENOMEM;
                list->items[i].anew = anew;
        }
        for (size_t i = 0; i < list->n_unreadable; i++) {
                if (text_format(&list->unreadable[i].seen, "%s:u%zu", seen, i) < 0)
                        return -ENOMEM;
                list->unreadable[i].anew = anew;
        }
        return 0;
}

int reading_list_move(ReadingList *to, ReadingList *from) {
        int r;

        if (reading_list_is_empty(to)) {
                reading_list_done(to);
                *to = *from;
                *from = (ReadingList){};
                return 0;
        }
        r = array_reserve(&to->items, &to->allocated, to->n + from->n, sizeof(Reading));
        if (r < 0)
                return r;
        r = array_reserve(
                &to->unreadable, &to->unreadable_allocated, to->n_unreadable + from->n_unreadable, sizeof(Unreadable));
        if (r < 0)
                return r;
        for (size_t i = 0; i < from->n; i++)
                to->items[to->n++] = from->items[i];
        for (size_t i = 0; i < from->n_unreadable; i++)
                to->unreadable[to->n_unreadable++] = from->unreadable[i];
        from->n = from->n_unreadable = 0; /* *to* owns them now */
        to->bytes += from->bytes;
        to->n_dropped += from->n_dropped;
        to->n_left_out += from->n_left_out;
        to->source = to->source ?: from->source;
        if (from->cursor) {
                free(to->cursor);
                to->cursor = cleanup_steal(from->cursor);
        }
        reading_list_done(from);
        return 0;
}

void reading_list_done(ReadingList *list) {
        while (list->n > 0)
                reading_done(&list->items[--list->n]);
        while (list->n_unreadable > 0)
                unreadable_done(&list->unreadable[--list->n_unreadable]);
        free(list->items);
        free(list->unreadable);
        free(list->cursor);
        *list = (ReadingList){};
}

int reading_labels_add(Bytes *labels, const char *name, const char *value) {
        bytes_append(labels, name, strlen(name) + 1);
        return bytes_append(labels, value, strlen(value) + 1);
}

bool reading_labels_next(Slice *rest, Slice *ret_name, Slice *ret_value) {
        /* behind a text without its NUL there is no place, not even an empty one */
        return slice_next(rest, '\0', ret_name) && slice_next(rest, '\0', ret_value) && rest->data;
}
