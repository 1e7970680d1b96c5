/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/file.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/clock.h"
#include "lib/crypto.h"
#include "lib/file.h"
#include "lib/gzip.h"
#include "lib/json.h"

#define SPARE 2000 /* lines that file_keys_undo() can take back */
#define PIECE 65536
#define LINE_DEPTH 100

/* ---- keys ---- */

/* A ring of keys and a hash table of chains. A link is an index in the ring plus 1; 0 ends a chain, so memory from
 * calloc() that was never used is never touched. */
struct FileKeys {
        FileKey *ring;
        uint32_t *next;  /* next key of the same chain */
        uint32_t *heads; /* first key of each chain */
        size_t size, mask;
        size_t begin, n;
};

static uint64_t hash_of(const char *hex) {
        char first[17];

        memcpy(first, hex, 16);
        first[16] = '\0';
        return strtoull(first, NULL, 16);
}

FileKey file_key(Slice id, const char *payload_hash, Slice publish_time) {
        char hex[SHA256_HEX_SIZE];
        int64_t msec = 0;

        (void) clock_parse_rfc3339(publish_time.data, publish_time.size, &msec);
        return (FileKey){ .id = hash_of(crypto_sha256_hex(id.data, id.size, hex)),
                .payload = strlen(payload_hash) >= 16 ? hash_of(payload_hash) : 0,
                .published = msec };
}

int file_keys_new(size_t max, FileKeys **ret) {
        _cleanup_(file_keys_freep) FileKeys *keys = calloc(1, sizeof(FileKeys));
        size_t buckets = 16;

        if (!keys)
                return -ENOMEM;
        keys->size = max + SPARE;
        while (buckets < keys->size)
                buckets *= 2;
        keys->mask = buckets - 1;
        keys->ring = calloc(keys->size, sizeof(FileKey));
        keys->next = calloc(keys->size, sizeof(uint32_t));
        keys->heads = calloc(buckets, sizeof(uint32_t));
        if (!keys->ring || !keys->next || !keys->heads)
                return -ENOMEM;
        *ret = cleanup_steal(keys);
        return 0;
}

FileKeys *file_keys_free(FileKeys *keys) {
        if (!keys)
                return NULL;
        free(keys->heads);
        free(keys->next);
        free(keys->ring);
        free(keys);
        return NULL;
}

static void unlink_at(FileKeys *keys, uint32_t at) {
        uint32_t *link = &keys->heads[keys->ring[at].id & keys->mask];

        while (*link != at + 1)
                link = &keys->next[*link - 1];
        *link = keys->next[at];
}

void file_keys_add(FileKeys *keys, const FileKey *key) {
        uint32_t at;

        if (keys->n == keys->size) {
                unlink_at(keys, (uint32_t) keys->begin);
                keys->begin = (keys->begin + 1) % keys->size;
                keys->n--;
        }
        at = (uint32_t) ((keys->begin + keys->n++) % keys->size);
        keys->ring[at] = *key;
        keys->next[at] = keys->heads[key->id & keys->mask];
        keys->heads[key->id & keys->mask] = at + 1;
}

void file_keys_undo(FileKeys *keys, size_t n) {
        for (; n > 0 && keys->n > 0; n--)
                unlink_at(keys, (uint32_t) ((keys->begin + --keys->n) % keys->size));
}

const FileKey *file_keys_find(const FileKeys *keys, uint64_t id) {
        for (uint32_t link = keys->heads[id & keys->mask]; link != 0; link = keys->next[link - 1])
                if (keys->ring[link - 1].id == id)
                        return &keys->ring[link - 1];
        return NULL;
}

/* ---- the lines of a file ---- */

/* Reads a text; "" when it has no UTF-8 form. -ENOMEM is not ignored: an unknown key would count as not stored. */
static int read_text(const JsonReader *json, Bytes *text) {
        bytes_cut(text, 0);
        if (bytes_reserve(text, json->slice.size + 1) < 0)
                return -ENOMEM;
        if (json_unescape(json->slice, text->data, &text->size) < 0)
                text->size = 0;
        return 0;
}

/* Reads the two members of `pubsub` that matter. */
static int read_pubsub(JsonReader *json, char hash[static 65], Bytes *time) {
        int token, r = 0;

        while (r >= 0 && (token = json_reader_next(json)) == JSON_KEY) {
                bool is_hash = json_reader_equal(json, "sha256"), is_time = json_reader_equal(json, "publish_time");

                token = json_reader_next(json);
                if (token == JSON_STRING && is_hash && json->slice.size == 64) {
                        memcpy(hash, json->slice.data, 64);
                        hash[64] = '\0';
                } else if (token == JSON_STRING && is_time)
                        r = read_text(json, time);
                if (r >= 0)
                        r = json_reader_skip(json, NULL);
        }
        return r < 0 ? r : token == JSON_OBJECT_END ? 0 : -EBADMSG;
}

/* Reads the key of a line. -EBADMSG: it is not our document; -ENOMEM. */
static int read_line(Slice line, FileKey *ret) {
        _cleanup_bytes_ Bytes id = {}, time = {};
        char hash[65] = "";
        JsonReader json;
        bool named = false;
        int token, r = 0;

        json_reader_init(&json, line.data, line.size, LINE_DEPTH);
        if (json_reader_next(&json) != JSON_OBJECT)
                return -EBADMSG;
        while (r >= 0 && (token = json_reader_next(&json)) == JSON_KEY) {
                bool is_id = json_reader_equal(&json, "_id"), is_pubsub = json_reader_equal(&json, "pubsub");

                token = json_reader_next(&json);
                if (is_id && token == JSON_STRING) {
                        r = read_text(&json, &id);
                        named = true;
                }
                if (r >= 0)
                        r = is_pubsub && token == JSON_OBJECT ? read_pubsub(&json, hash, &time)
                                                              : json_reader_skip(&json, NULL);
        }
        if (r == -ENOMEM)
                return r;
        if (r < 0 || token != JSON_OBJECT_END || json_reader_next(&json) != JSON_END || !named)
                return -EBADMSG;
        *ret = file_key((Slice){ id.data, id.size }, hash, (Slice){ time.data ? time.data : "", time.size });
        return 0;
}

/* Copies a line with its newline. */
static int copy_line(const FileLines *lines, Slice line, bool hole) {
        const FileCopies *to = lines->copies;

        return file_write_all(hole || lines->end > to->good ? to->torn : to->whole, line.data, line.size + 1);
}

static int add_line(FileLines *lines, Slice line) {
        bool hole = memchr(line.data, '\0', line.size);
        FileKey key;
        int r;

        lines->end += line.size + 1;
        if (lines->copies)
                return copy_line(lines, line, hole);
        r = read_line(line, &key);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                lines->tail++;
                lines->tail_holes += hole;
                return 0;
        }
        r = array_reserve(&lines->keys, &lines->allocated, lines->n + 1, sizeof(FileKey));
        if (r < 0)
                return r;
        lines->keys[lines->n++] = key;
        lines->good = lines->end;
        lines->wrong += lines->tail;
        lines->holes += lines->tail_holes;
        lines->tail = lines->tail_holes = 0;
        return 0;
}

/* Takes the complete lines off *text*. */
static int take_lines(FileLines *lines, Bytes *text) {
        const char *begin = text->data, *end = text->data + text->size, *stop;
        int r = 0;

        while (r == 0 && (stop = memchr(begin, '\n', (size_t) (end - begin)))) {
                r = add_line(lines, (Slice){ begin, (size_t) (stop - begin) });
                begin = stop + 1;
        }
        text->size = (size_t) (end - begin);
        memmove(text->data, begin, text->size);
        return r;
}

int file_lines_read(int fd, FileLines *lines) {
        _cleanup_(gzip_reader_freep) GzipReader *reader = NULL;
        _cleanup_bytes_ Bytes text = {};
        size_t n = 1;
        int r;

        r = gzip_reader_new(fd, &reader);
        if (r < 0) {
                (void) close(fd);
                return r;
        }
        while (n > 0) {
                r = bytes_reserve(&text, PIECE);
                if (r < 0)
                        return r;
                r = gzip_reader_read(reader, text.data + text.size, PIECE, &n);
                if (r == GZIP_DAMAGED)
                        lines->tail++;
                if (r != GZIP_DONE)
                        return r < 0 ? r : 0;
                text.size += n;
                r = memchr(text.data + text.size - n, '\n', n) ? take_lines(lines, &text) : 0;
                if (r < 0)
                        return r;
        }
        lines->end += text.size;
        lines->tail += text.size > 0;
        return 0;
}
