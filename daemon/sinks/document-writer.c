/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/document-writer.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#define ALLOCATE_MIN 1024

/* A name of a large object. Names are sorted by hash, and by text when hashes are equal, so that names chosen by an
 * attacker cost only a logarithm. */
typedef struct SortedName {
        uint32_t offset;
        uint32_t hash;
} SortedName;

void document_writer_init(DocumentWriter *w, bson_t *document) {
        w->document = document;
        w->data = NULL;
        w->size = sizeof(uint32_t);
        w->allocated = 0;
        w->level = 0;
        w->result = DOCUMENT_OK;
        w->key = (Slice){};
        w->scratch = (Bytes){};
        w->levels[0].begin = w->levels[0].n = 0;
        w->levels[0].array = false;
}

static void put_uint32(char *p, uint32_t value) {
        value = htole32(value);
        memcpy(p, &value, sizeof(value));
}

/* Completes the current object or array. Returns its size. */
static uint32_t seal(DocumentWriter *w) {
        uint32_t begin = w->levels[w->level].begin, size = (uint32_t) w->size + 1 - begin;

        w->data[w->size] = '\0';
        put_uint32(w->data + begin, size);
        return size;
}

void document_writer_done(DocumentWriter *w) {
        if (w->data) {
                for (;; w->level--) {
                        (void) seal(w);
                        w->size++;
                        if (w->level == 0)
                                break;
                }
                w->document->len = (uint32_t) w->size;
        }
        bytes_done(&w->scratch);
}

/* ---- names ---- */

static bool is_changed(Slice name, size_t i) {
        return name.data[i] == '.' || name.data[i] == '\0' || (i == 0 && name.data[i] == '$');
}

bool document_key_is_plain(Slice name) {
        return name.size > 0 && name.data[0] != '$' && !memchr(name.data, '.', name.size) &&
               !memchr(name.data, '\0', name.size);
}

static void append_underscores(unsigned width, Bytes *ret) {
        for (unsigned i = 0; i < width; i++)
                bytes_append(ret, "_", 1);
}

int document_key_wide(Slice name, unsigned width, Bytes *ret) {
        if (name.size == 0)
                append_underscores(width, ret);
        for (size_t i = 0; i < name.size; i++)
                if (is_changed(name, i))
                        append_underscores(width, ret);
                else
                        bytes_append(ret, name.data + i, 1);
        return bytes_result(ret);
}

/* `_id`, `pubsub` and `stored_at` of a payload keep their place under the same name with `_` appended. */
static void rename_reserved(DocumentWriter *w) {
        Slice name = w->key;

        if (!slice_equal(name, "_id") && !slice_equal(name, "pubsub") && !slice_equal(name, "stored_at"))
                return;
        if (name.data != w->scratch.data) {
                bytes_cut(&w->scratch, 0);
                bytes_append(&w->scratch, name.data, name.size);
        }
        document_writer_fail(w, bytes_append(&w->scratch, "_", 1));
        w->key = (Slice){ w->scratch.data, w->scratch.size };
}

static bool is_among(const DocumentWriter *w, const DocumentWriterLevel *level) {
        for (uint32_t i = 0; i < level->n; i++)
                if (level->names[i].size == w->key.size &&
                        memcmp(w->data + level->names[i].offset, w->key.data, w->key.size) == 0)
                        return true;
        return false;
}

void document_writer_name(DocumentWriter *w, Slice name) {
        DocumentWriterLevel *level = &w->levels[w->level];

        assert(!level->array);
        if (w->result != DOCUMENT_OK)
                return;
        w->key = name;
        if (!document_key_is_plain(name)) {
                bytes_cut(&w->scratch, 0);
                document_writer_fail(w, document_key_wide(name, 1, &w->scratch));
                w->key = (Slice){ w->scratch.data, w->scratch.size };
        }
        if (w->level == 0)
                rename_reserved(w);
        if (level->n <= DOCUMENT_WRITER_NAMES && is_among(w, level))
                document_writer_fail(w, DOCUMENT_DUPLICATE_KEY);
}

void document_writer_own_name(DocumentWriter *w, const char *name) {
        w->key = (Slice){ name, strlen(name) };
}

static int name_order(const void *a, const void *b, void *base) {
        const SortedName *left = a, *right = b;

        if (left->hash != right->hash)
                return left->hash < right->hash ? -1 : 1;
        return strcmp((const char *) base + left->offset, (const char *) base + right->offset);
}

/* Checks that a large object has no name twice, with one sorted list of its names: a million names take a fraction of a
 * second and 16 MB. */
static int check_names(char *object, uint32_t size, uint32_t n) {
        _cleanup_free_ SortedName *names = NULL;
        bson_iter_t iter;
        uint32_t i = 0;

        names = calloc(n, sizeof(*names));
        if (!names || !bson_iter_init_from_data(&iter, (const uint8_t *) object, size))
                return -ENOMEM;
        for (; i < n && bson_iter_next(&iter); i++) {
                const char *name = bson_iter_key(&iter);

                names[i] = (SortedName){ (uint32_t) (name - object),
                        (uint32_t) bytes_hash(BYTES_HASH, name, bson_iter_key_len(&iter)) };
        }
        qsort_r(names, i, sizeof(*names), name_order, object);
        for (uint32_t k = 1; k < i; k++)
                if (name_order(&names[k - 1], &names[k], object) == 0)
                        return DOCUMENT_DUPLICATE_KEY;
        return DOCUMENT_OK;
}

/* ---- values ---- */

/* Makes room for *size* more bytes. The buffer may move. */
static void grow(DocumentWriter *w, size_t size) {
        size_t wanted = (w->size + size) * 2;
        uint8_t *data;

        if (wanted < ALLOCATE_MIN)
                wanted = ALLOCATE_MIN;
        if (wanted > DOCUMENT_SIZE_MAX)
                wanted = DOCUMENT_SIZE_MAX; /* begin_value() never needs more */
        data = bson_reserve_buffer(w->document, (uint32_t) wanted);
        if (!data)
                return document_writer_fail(w, -ENOMEM);
        w->data = (char *) data;
        w->allocated = wanted;
}

/* Writes the type and key of a value. Returns where its *size* bytes are to be written, or NULL after a failure. Enough
 * room always remains to close all levels. */
static char *begin_value(DocumentWriter *w, bson_type_t type, size_t size) {
        DocumentWriterLevel *level = &w->levels[w->level];
        size_t closing = w->level + 1, total;
        const char *text = NULL;

        if (level->array) {
                size_t length = bson_uint32_to_string(level->n, &text, w->index, sizeof(w->index));

                w->key = (Slice){ text, length };
        }
        total = 1 + w->key.size + 1 + size;
        if (w->size + total + closing > DOCUMENT_SIZE_MAX)
                document_writer_fail(w, DOCUMENT_TOO_LARGE);
        else if (w->size + total + closing > w->allocated)
                grow(w, total + closing);
        if (w->result != DOCUMENT_OK)
                return NULL;

        w->data[w->size] = (char) type;
        memcpy(w->data + w->size + 1, w->key.data, w->key.size);
        w->data[w->size + 1 + w->key.size] = '\0';
        if (!level->array && level->n < DOCUMENT_WRITER_NAMES)
                level->names[level->n] = (DocumentWriterName){ (uint32_t) w->size + 1, (uint32_t) w->key.size };
        level->n++;
        w->size += total;
        return w->data + w->size - size;
}

void document_writer_open(DocumentWriter *w, bool array) {
        char *value = begin_value(w, array ? BSON_TYPE_ARRAY : BSON_TYPE_DOCUMENT, 5);
        DocumentWriterLevel *level;

        if (!value)
                return;
        assert(w->level + 1 < DOCUMENT_DEPTH_MAX);
        w->size--; /* its closing NUL is written at the end */
        level = &w->levels[++w->level];
        level->begin = (uint32_t) (value - w->data);
        level->array = array;
        level->n = 0;
}

void document_writer_close(DocumentWriter *w) {
        DocumentWriterLevel *level = &w->levels[w->level];
        uint32_t size;

        if (w->result != DOCUMENT_OK || !w->data) /* or nothing was ever written */
                return;
        size = seal(w);
        if (!level->array && level->n > DOCUMENT_WRITER_NAMES)
                document_writer_fail(w, check_names(w->data + level->begin, size, level->n));
        if (w->result == DOCUMENT_OK && w->level > 0) {
                w->level--;
                w->size++;
        }
}

void document_writer_string(DocumentWriter *w, Slice text) {
        char *value = begin_value(w, BSON_TYPE_UTF8, 4 + text.size + 1);

        if (!value)
                return;
        put_uint32(value, (uint32_t) text.size + 1);
        if (text.size > 0)
                memcpy(value + 4, text.data, text.size);
        value[4 + text.size] = '\0';
}

static void put_number(DocumentWriter *w, bson_type_t type, uint64_t bits) {
        char *value = begin_value(w, type, sizeof(bits));

        bits = htole64(bits);
        if (value)
                memcpy(value, &bits, sizeof(bits));
}

void document_writer_date(DocumentWriter *w, int64_t msec) {
        put_number(w, BSON_TYPE_DATE_TIME, (uint64_t) msec);
}

void document_writer_double(DocumentWriter *w, double value) {
        uint64_t bits;

        memcpy(&bits, &value, sizeof(bits));
        put_number(w, BSON_TYPE_DOUBLE, bits);
}

void document_writer_int64(DocumentWriter *w, int64_t value) {
        put_number(w, BSON_TYPE_INT64, (uint64_t) value);
}

void document_writer_bool(DocumentWriter *w, bool value) {
        char *place = begin_value(w, BSON_TYPE_BOOL, 1);

        if (place)
                *place = value;
}

void document_writer_null(DocumentWriter *w) {
        (void) begin_value(w, BSON_TYPE_NULL, 0);
}
