/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/file.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/sha256.h"

#define SPARE 2000 /* lines that file_keys_undo() can take back */

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
        return (FileKey){ .id = hash_of(sha256_hex(id.data, id.size, hex)),
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
