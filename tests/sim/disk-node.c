/* SPDX-License-Identifier: Apache-2.0 */
/* What is in files: for calls, and for a cut. */
#include "disk-internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "arena.h"

#define BLOCK 4096 /* what a file takes on the disk is a multiple of it */
#define FILE_ROOM_MIN 8192

/* ---- nodes ---- */

DiskNode *disk_node_new(Disk *disk, bool directory) {
        DiskNode *node = arena_alloc(sizeof(DiskNode));

        node->number = ++disk->numbers;
        node->directory = directory;
        if (disk->n_nodes == disk->nodes_room) {
                disk->nodes_room = disk->nodes_room > 0 ? 2 * disk->nodes_room : 16;
                disk->nodes = arena_resize(disk->nodes, disk->nodes_room * sizeof(DiskNode *));
        }
        disk->nodes[disk->n_nodes++] = node;
        return node;
}

static size_t blocks(size_t size) {
        return (size + BLOCK - 1) / BLOCK * BLOCK;
}

void disk_node_free(Disk *disk, DiskNode *node) {
        size_t i = 0;

        while (disk->nodes[i] != node)
                i++;
        disk->nodes[i] = disk->nodes[--disk->n_nodes];
        disk->used -= blocks(node->size);
        arena_free(node->now);
        arena_free(node->kept);
        arena_free(node->dirty);
        arena_free(node);
}

void disk_node_free_if_unused(Disk *disk, DiskNode *node) {
        if (node && node->names == 0 && node->handles == 0)
                disk_node_free(disk, node);
}

static size_t sectors(size_t size) {
        return (size + DISK_SECTOR - 1) / DISK_SECTOR;
}

static void *grow_zeroed(void *memory, size_t from, size_t to) {
        uint8_t *larger = arena_resize(memory, to);

        memset(larger + from, 0, to - from);
        return larger;
}

static void node_reserve(DiskNode *node, size_t size) {
        size_t room = node->room > 0 ? node->room : FILE_ROOM_MIN, words = node->room / DISK_SECTOR / 64 + 1;

        if (size <= node->room)
                return;
        while (room < size)
                room *= 2;
        node->now = grow_zeroed(node->now, node->room, room);
        node->kept = grow_zeroed(node->kept, node->room, room);
        node->dirty = grow_zeroed(node->dirty, node->room > 0 ? words * 8 : 0, (room / DISK_SECTOR / 64 + 1) * 8);
        node->room = room;
}

static bool is_dirty(const DiskNode *node, size_t sector) {
        return node->dirty[sector / 64] >> sector % 64 & 1;
}

static void mark_dirty(DiskNode *node, size_t sector) {
        node->dirty[sector / 64] |= UINT64_C(1) << sector % 64;
        if (node->dirty_from >= node->dirty_to) {
                node->dirty_from = sector;
                node->dirty_to = sector + 1;
        } else if (sector < node->dirty_from)
                node->dirty_from = sector;
        else if (sector >= node->dirty_to)
                node->dirty_to = sector + 1;
}

static void keep_sector(DiskNode *node, size_t sector) {
        memcpy(node->kept + sector * DISK_SECTOR, node->now + sector * DISK_SECTOR, DISK_SECTOR);
}

static void all_clean(DiskNode *node) {
        if (node->dirty_from < node->dirty_to)
                memset(node->dirty + node->dirty_from / 64, 0,
                        ((node->dirty_to - 1) / 64 - node->dirty_from / 64 + 1) * 8);
        node->dirty_from = node->dirty_to = 0;
}

/* What calls see is what a cut finds. */
void disk_node_keep(DiskNode *node) {
        for (size_t i = node->dirty_from; i < node->dirty_to; i++)
                if (is_dirty(node, i))
                        keep_sector(node, i);
        node->kept_size = node->size;
        all_clean(node);
}

/* An older version of a sector reaches the disk before it is written again, and its end of the file with it. */
static void write_back(Disk *disk, DiskNode *node, size_t sector) {
        size_t end = (sector + 1) * DISK_SECTOR;

        if (!is_dirty(node, sector) || !draw_chance(&disk->draw, disk->faults.writes_back))
                return;
        keep_sector(node, sector);
        if (end > node->size)
                end = node->size;
        if (end > node->kept_size)
                node->kept_size = end;
}

/* ---- contents ---- */

uint64_t disk_open_node(DiskNode *node) {
        node->handles++;
        return node->failures;
}

void disk_close_node(Disk *disk, DiskNode *node) {
        assert(node->handles > 0);
        node->handles--;
        disk_node_free_if_unused(disk, node);
}

uint64_t disk_free_bytes(const Disk *disk) {
        return disk->faults.size > disk->used ? disk->faults.size - disk->used : 0;
}

bool disk_has_room(Disk *disk, size_t size) {
        if (disk_free_bytes(disk) >= blocks(size))
                return true;
        disk->counts.full++;
        return false;
}

long disk_read(Disk *disk, const DiskNode *node, void *data, size_t size, size_t at) {
        if (draw_chance(&disk->draw, disk->faults.read_error)) {
                disk->counts.errors++;
                return -EIO;
        }
        if (at >= node->size)
                return 0;
        if (size > node->size - at)
                size = node->size - at;
        memcpy(data, node->now + at, size);
        return (long) size;
}

/* How many of these bytes fit. */
static size_t fitting(Disk *disk, const DiskNode *node, size_t size, size_t at) {
        size_t limit = blocks(node->size) + disk_free_bytes(disk) / BLOCK * BLOCK;

        if (at + size <= limit)
                return size;
        disk->counts.full++;
        return at < limit ? limit - at : 0;
}

static void put(Disk *disk, DiskNode *node, const void *data, size_t size, size_t at) {
        size_t from = at / DISK_SECTOR, to = sectors(at + size);

        node_reserve(node, to * DISK_SECTOR);
        if (at > node->size) /* the hole is written as well, as far as a cut is concerned */
                from = node->size / DISK_SECTOR;
        for (size_t i = from; i < to; i++) {
                write_back(disk, node, i);
                mark_dirty(node, i);
        }
        memcpy(node->now + at, data, size);
        if (at + size > node->size) {
                disk->used += blocks(at + size) - blocks(node->size);
                node->size = at + size;
        }
}

long disk_write(Disk *disk, DiskNode *node, const void *data, size_t size, size_t at) {
        size_t fits;

        if (disk->faults.read_only)
                return -EROFS;
        if (draw_chance(&disk->draw, disk->faults.write_error)) {
                disk->counts.errors++;
                size = draw_below(&disk->draw, 2) ? size / 2 : 0;
                if (size == 0)
                        return -EIO;
        }
        fits = fitting(disk, node, size, at);
        if (fits == 0 && size > 0)
                return -ENOSPC;
        put(disk, node, data, fits, at);
        return (long) fits;
}

int disk_truncate(Disk *disk, DiskNode *node, size_t size) {
        if (disk->faults.read_only)
                return -EROFS;
        if (size > node->size)
                return fitting(disk, node, size - node->size, node->size) < size - node->size
                               ? -ENOSPC
                               : (put(disk, node, "", size > 0, size - 1), 0);
        if (size == node->size)
                return 0;
        for (size_t i = size / DISK_SECTOR; i < sectors(node->size); i++)
                mark_dirty(node, i);
        memset(node->now + size, 0, node->size - size);
        disk->used -= blocks(node->size) - blocks(size);
        node->size = size;
        return 0;
}

int disk_sync(Disk *disk, DiskNode *node, uint64_t *heard) {
        if (!draw_chance(&disk->draw, disk->faults.sync_error)) {
                bool is_news = *heard != node->failures;

                disk_node_keep(node);
                *heard = node->failures;
                return is_news ? -EIO : 0;
        }
        *heard = ++node->failures;
        disk->counts.errors++;
        for (size_t i = node->dirty_from; i < node->dirty_to; i++) /* some of it was written */
                if (is_dirty(node, i) && draw_below(&disk->draw, 2))
                        keep_sector(node, i);
        if (disk->faults.sync_forgets) {
                node->forgotten = true;
                all_clean(node);
        }
        return -EIO;
}

/* ---- a cut ---- */

/* The first half of a sector, or the second one, had been written. */
static void tear(Disk *disk, DiskNode *node, size_t sector) {
        size_t at = 8 * draw_between(&disk->draw, 1, DISK_SECTOR / 8 - 1), from = sector * DISK_SECTOR;

        if (draw_below(&disk->draw, 2))
                memcpy(node->kept + from, node->now + from, at);
        else
                memcpy(node->kept + from + at, node->now + from + at, DISK_SECTOR - at);
        disk->counts.sectors_torn++;
}

/* What was not synced of one file. The end that a cut finds is behind every sector that is there. */
static void cut_node(Disk *disk, DiskNode *node) {
        static const unsigned chances[] = { 0, 0, PER_MILLION, PER_MILLION / 10, PER_MILLION / 2,
                PER_MILLION / 10 * 9 };
        unsigned chance = chances[draw_below(&disk->draw, sizeof(chances) / sizeof(chances[0]))];
        size_t end = 0;

        for (size_t i = node->dirty_from; i < node->dirty_to; i++) {
                if (!is_dirty(node, i))
                        continue;
                if (!draw_chance(&disk->draw, chance)) {
                        disk->counts.sectors_lost++;
                        continue;
                }
                disk->counts.sectors_kept++;
                end = (i + 1) * DISK_SECTOR < node->size ? (i + 1) * DISK_SECTOR : node->size;
                if (chance < PER_MILLION && draw_chance(&disk->draw, disk->faults.torn))
                        tear(disk, node, i);
                else
                        keep_sector(node, i);
        }
        if (end > node->kept_size)
                node->kept_size = end;
        if (chance == PER_MILLION || (chance > 0 && draw_below(&disk->draw, 2))) {
                if (node->kept_size > node->size)
                        memset(node->kept + node->size, 0, node->kept_size - node->size);
                node->kept_size = node->size;
        }
}

/* What is on the disk is what there is. */
static void settle_node(Disk *disk, DiskNode *node) {
        size_t larger = node->kept_size > node->size ? node->kept_size : node->size;

        if (node->dirty_from >= node->dirty_to && node->size == node->kept_size && !node->forgotten)
                return;
        if (node->kept_size < larger)
                memset(node->kept + node->kept_size, 0, larger - node->kept_size);
        if (larger > 0)
                memcpy(node->now, node->kept, sectors(larger) * DISK_SECTOR);
        disk->used += blocks(node->kept_size);
        disk->used -= blocks(node->size);
        node->size = node->kept_size;
        node->forgotten = false;
        all_clean(node);
}

void disk_node_cut(Disk *disk, DiskNode *node) {
        cut_node(disk, node);
        settle_node(disk, node);
}
