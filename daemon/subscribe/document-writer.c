/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/document-writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define HASH_START 2166136261u
#define HASH_PRIME 16777619u /* FNV-1a */

/* Sorts the names of one large object: by hash, and by text where hashes are equal, so that hostile names cost no more than a logarithm. */
typedef struct NameOrder {
        const char *base;
} NameOrder;

void document_writer_init(DocumentWriter *w, bson_t *document) {
        w->document = document;
        w->level = 0;
        w->size = document->len;
        w->key = (Slice){};
        w->scratch = (Bytes){};
        w->levels[0].n = w->levels[0].base = 0;
        w->levels[0].array = false;
}

static bson_t *current(DocumentWriter *w) {
        return w->level == 0 ? w->document : &w->levels[w->level].bson;
}

/* Leaves the level that is open. */
static bool leave(DocumentWriter *w) {
        DocumentWriterLevel *level = &w->levels[w->level--];

        return level->array ? bson_append_array_end(current(w), &level->bson) : bson_append_document_end(current(w), &level->bson);
}

/* libbson aborts at the next append to a document in which another one is open, bson_reinit() in between or not. */
void document_writer_done(DocumentWriter *w) {
        while (w->level > 0)
                (void) leave(w);
        bytes_done(&w->scratch);
}

/* ---- names ---- */

static uint32_t name_hash(const char *name, size_t size) {
        uint32_t hash = HASH_START;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ (uint8_t) name[i]) * HASH_PRIME;
        return hash;
}

int document_key(Slice name, Bytes *scratch, Slice *ret) {
        bool plain = name.size > 0 && name.data[0] != '$';
        int r;

        for (size_t i = 0; plain && i < name.size; i++)
                plain = name.data[i] != '.' && name.data[i] != '\0';
        if (plain) {
                *ret = name;
                return DOCUMENT_OK;
        }

        scratch->size = 0;
        r = name.size > 0 ? bytes_append(scratch, name.data, name.size) : bytes_append(scratch, "_", 1);
        if (r < 0)
                return r;
        if (scratch->data[0] == '$')
                scratch->data[0] = '_';
        for (size_t i = 0; i < scratch->size; i++)
                if (scratch->data[i] == '.' || scratch->data[i] == '\0')
                        scratch->data[i] = '_';
        *ret = (Slice){ scratch->data, scratch->size };
        return DOCUMENT_OK;
}

/* `_id`, `pubsub` and `stored_at` of a payload keep their place under the same name with `_` appended. */
static int rename_reserved(DocumentWriter *w) {
        Slice name = w->key;
        int r;

        if (!slice_equal(name, "_id") && !slice_equal(name, "pubsub") && !slice_equal(name, "stored_at"))
                return DOCUMENT_OK;
        if (name.data != w->scratch.data) {
                w->scratch.size = 0;
                r = bytes_append(&w->scratch, name.data, name.size);
                if (r < 0)
                        return r;
        }
        r = bytes_append(&w->scratch, "_", 1);
        if (r < 0)
                return r;
        w->key = (Slice){ w->scratch.data, w->scratch.size };
        return DOCUMENT_OK;
}

static bool is_among(const DocumentWriter *w, const DocumentWriterLevel *level) {
        const char *base = (const char *) bson_get_data(w->document);

        for (uint32_t i = 0; i < level->n; i++) {
                const char *other = base + level->names[i].offset;

                if (level->names[i].hash == w->key_hash && strncmp(other, w->key.data, w->key.size) == 0 && other[w->key.size] == '\0')
                        return true;
        }
        return false;
}

int document_writer_name(DocumentWriter *w, Slice name) {
        DocumentWriterLevel *level = &w->levels[w->level];
        int r;

        assert(!level->array);
        r = document_key(name, &w->scratch, &w->key);
        if (r == DOCUMENT_OK && w->level == 0)
                r = rename_reserved(w);
        if (r != DOCUMENT_OK)
                return r;

        w->key_hash = name_hash(w->key.data, w->key.size);
        if (level->n <= DOCUMENT_WRITER_NAMES && is_among(w, level))
                return DOCUMENT_DUPLICATE_KEY;
        return DOCUMENT_OK;
}

void document_writer_own_name(DocumentWriter *w, const char *name) {
        w->key = (Slice){ name, strlen(name) };
        w->key_hash = 0; /* nobody looks for it: names of a payload become others than these */
}

static int name_order(const void *a, const void *b, void *userdata) {
        const DocumentWriterName *left = a, *right = b;
        const NameOrder *order = userdata;

        if (left->hash != right->hash)
                return left->hash < right->hash ? -1 : 1;
        return strcmp(order->base + left->offset, order->base + right->offset);
}

/* Whether a large object has a name twice: one sorted list of its names, so a million of them take a fraction of a second and 16 MB. */
static int check_names(const bson_t *object, uint32_t n) {
        NameOrder order = { .base = (const char *) bson_get_data(object) };
        _cleanup_free_ DocumentWriterName *names = NULL;
        bson_iter_t iter;
        uint32_t i = 0;

        names = calloc(n, sizeof(*names));
        if (!names || !bson_iter_init_from_data(&iter, bson_get_data(object), object->len))
                return -ENOMEM;
        for (; i < n && bson_iter_next(&iter); i++) {
                const char *name = bson_iter_key(&iter);

                names[i] = (DocumentWriterName){ (uint32_t) (name - order.base), name_hash(name, bson_iter_key_len(&iter)) };
        }
        qsort_r(names, i, sizeof(*names), name_order, &order);
        for (uint32_t k = 1; k < i; k++)
                if (name_order(&names[k - 1], &names[k], &order) == 0)
                        return DOCUMENT_DUPLICATE_KEY;
        return DOCUMENT_OK;
}

/* ---- values ---- */

/* Everything that a value needs before it is appended: its key, its place among the names, room for *size* bytes of value. */
static int begin_value(DocumentWriter *w, size_t size) {
        DocumentWriterLevel *level = &w->levels[w->level];
        const char *text = NULL;

        if (level->array) {
                size_t length = bson_uint32_to_string(level->n, &text, w->index, sizeof(w->index));

                w->key = (Slice){ text, length };
        }
        w->size += 1 + w->key.size + 1 + size;
        if (w->size > DOCUMENT_SIZE_MAX)
                return DOCUMENT_TOO_LARGE;

        if (!level->array && level->n < DOCUMENT_WRITER_NAMES) /* the element starts where the closing NUL is now, with one byte of type */
                level->names[level->n] = (DocumentWriterName){ level->base + current(w)->len, w->key_hash };
        level->n++;
        return DOCUMENT_OK;
}

static int appended(bool ok) {
        return ok ? DOCUMENT_OK : -ENOMEM; /* the size is far below BSON's own limit */
}

#define KEY(w) (w)->key.data, (int) (w)->key.size

int document_writer_open(DocumentWriter *w, bool array) {
        bson_t *parent = current(w);
        DocumentWriterLevel *level;
        int r;

        assert(w->level + 1 < DOCUMENT_DEPTH_MAX);
        r = begin_value(w, 5);
        if (r != DOCUMENT_OK)
                return r;
        level = &w->levels[w->level + 1];
        if (!(array ? bson_append_array_begin(parent, KEY(w), &level->bson) : bson_append_document_begin(parent, KEY(w), &level->bson)))
                return -ENOMEM;
        level->base = (uint32_t) (bson_get_data(&level->bson) - bson_get_data(w->document));
        level->array = array;
        level->n = 0;
        w->level++;
        return DOCUMENT_OK;
}

int document_writer_close(DocumentWriter *w) {
        DocumentWriterLevel *level = &w->levels[w->level];

        if (!level->array && level->n > DOCUMENT_WRITER_NAMES) {
                int r = check_names(current(w), level->n);

                if (r != DOCUMENT_OK)
                        return r;
        }
        return w->level == 0 ? DOCUMENT_OK : appended(leave(w));
}

int document_writer_string(DocumentWriter *w, Slice text) {
        int r = begin_value(w, 4 + text.size + 1);

        return r != DOCUMENT_OK ? r : appended(bson_append_utf8(current(w), KEY(w), text.data ? text.data : "", (int) text.size));
}

int document_writer_date(DocumentWriter *w, int64_t msec) {
        int r = begin_value(w, 8);

        return r != DOCUMENT_OK ? r : appended(bson_append_date_time(current(w), KEY(w), msec));
}

int document_writer_double(DocumentWriter *w, double value) {
        int r = begin_value(w, 8);

        return r != DOCUMENT_OK ? r : appended(bson_append_double(current(w), KEY(w), value));
}

int document_writer_int64(DocumentWriter *w, int64_t value) {
        int r = begin_value(w, 8);

        return r != DOCUMENT_OK ? r : appended(bson_append_int64(current(w), KEY(w), value));
}

int document_writer_bool(DocumentWriter *w, bool value) {
        int r = begin_value(w, 1);

        return r != DOCUMENT_OK ? r : appended(bson_append_bool(current(w), KEY(w), value));
}

int document_writer_null(DocumentWriter *w) {
        int r = begin_value(w, 0);

        return r != DOCUMENT_OK ? r : appended(bson_append_null(current(w), KEY(w)));
}
