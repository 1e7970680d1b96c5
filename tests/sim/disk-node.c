/* SPDX-License-Identifier: Apache-2.0 */
/* What is in files: for calls, and for a cut. */
#include "disk-internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "arena.h"

#define BLOCK 4096 /* what a file takes on the disk is a multiple of it */

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
        arena_free(node->dirty);
        arena_free(node->before);
        arena_free(node->old);
        arena_free(node);
}

void disk_node_free_if_unused(Disk *disk, DiskNode *node) {
        if (node && node->names == 0 && node->handles == 0)
                disk_node_free(disk, node);
}

static size_t sectors(size_t size) {
        return (size + DISK_SECTOR - 1) / DISK_SECTOR;
}

/* Few steps, since each copies: small files stay small, and those that grow on have room that nobody touches yet. */
static size_t room_for(size_t size) {
        static const size_t steps[] = { 8 << 10, 240 << 10, 8 << 20 };

        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
                if (size <= steps[i])
                        return steps[i];
        return 2 * size / BLOCK * BLOCK;
}

static size_t dirty_bytes(size_t room) {
        return (room / DISK_SECTOR / 64 + 1) * 8;
}

static void node_reserve(DiskNode *node, size_t size) {
        size_t room = room_for(size), before = node->room;

        if (size <= before)
                return;
        node->now = arena_grow(node->now, before, room);
        node->dirty = arena_grow(node->dirty, before > 0 ? dirty_bytes(before) : 0, dirty_bytes(room));
        node->before = arena_grow(
                node->before, before / DISK_SECTOR * sizeof(uint32_t), room / DISK_SECTOR * sizeof(uint32_t));
        node->room = room;
}

static bool is_dirty(const DiskNode *node, size_t sector) {
        return node->dirty[sector / 64] >> sector % 64 & 1;
}

#define ZEROS 1 /* an old sector that is not kept: there was none */

static uint8_t *old_at(DiskNode *node, size_t sector) {
        return node->old + (size_t) node->before[sector] * DISK_SECTOR;
}

/* Room for the old contents of a sector. */
static void old_new(DiskNode *node, size_t sector) {
        if (node->free_old > 0) {
                node->before[sector] = node->free_old;
                memcpy(&node->free_old, old_at(node, sector), sizeof(uint32_t));
                return;
        }
        if (node->n_old <= ZEROS)
                node->n_old = ZEROS + 1;
        if (node->n_old >= node->old_room) {
                size_t room = node->old_room > 0 ? 2 * node->old_room : 8;

                node->old = arena_grow(node->old, node->old_room * DISK_SECTOR, room * DISK_SECTOR);
                node->old_room = room;
        }
        node->before[sector] = (uint32_t) node->n_old++;
}

/* Where there is none yet, zeros. */
static void fill_old(DiskNode *node, size_t sector) {
        if (node->before[sector] != ZEROS)
                return;
        old_new(node, sector);
        memset(old_at(node, sector), 0, DISK_SECTOR);
}

/* Before a sector changes. */
static void remember(DiskNode *node, size_t sector) {
        if (node->before[sector] != DISK_SAME)
                return;
        if (sector >= node->differ_to)
                node->differ_to = sector + 1;
        node->before[sector] = ZEROS;
        if (sector * DISK_SECTOR >= node->size)
                return;
        old_new(node, sector);
        memcpy(old_at(node, sector), node->now + sector * DISK_SECTOR, DISK_SECTOR);
}

static void mark_dirty(DiskNode *node, size_t sector) {
        remember(node, sector);
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
        if (node->before[sector] > ZEROS) {
                memcpy(old_at(node, sector), &node->free_old, sizeof(uint32_t));
                node->free_old = node->before[sector];
        }
        node->before[sector] = DISK_SAME;
}

static void all_clean(DiskNode *node) {
        if (node->dirty_from < node->dirty_to)
                memset(node->dirty + node->dirty_from / 64, 0,
                        ((node->dirty_to - 1) / 64 - node->dirty_from / 64 + 1) * 8);
        node->dirty_from = node->dirty_to = 0;
}

static void all_same(DiskNode *node) {
        node->n_old = node->differ_to = 0;
        node->free_old = 0;
        node->forgotten = false;
}

/* What calls see is what a cut finds; but for what was forgotten. */
void disk_node_keep(DiskNode *node) {
        for (size_t i = node->dirty_from; i < node->dirty_to; i++)
                if (is_dirty(node, i))
                        keep_sector(node, i);
        node->kept_size = node->size;
        all_clean(node);
        if (!node->forgotten)
                all_same(node);
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

/* Whether a write of these bytes leaves that sector as it is everywhere. */
static bool changes_nothing(const DiskNode *node, size_t sector, const uint8_t *data, size_t size, size_t at) {
        size_t from = sector * DISK_SECTOR > at ? sector * DISK_SECTOR : at,
               to = (sector + 1) * DISK_SECTOR < at + size ? (sector + 1) * DISK_SECTOR : at + size;

        return at + size <= node->size && node->before[sector] == DISK_SAME && !is_dirty(node, sector) &&
               memcmp(node->now + from, data + (from - at), to - from) == 0;
}

static void put(Disk *disk, DiskNode *node, const void *data, size_t size, size_t at) {
        size_t from = at / DISK_SECTOR, to = sectors(at + size);
        bool changes = false;

        node_reserve(node, to * DISK_SECTOR);
        if (at > node->size) /* the hole is written as well, as far as a cut is concerned */
                from = node->size / DISK_SECTOR;
        for (size_t i = from; i < to; i++) {
                if (changes_nothing(node, i, data, size, at))
                        continue;
                write_back(disk, node, i);
                mark_dirty(node, i);
                changes = true;
        }
        if (changes)
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
        size_t at = 8 * draw_between(&disk->draw, 1, DISK_SECTOR / 8 - 1);
        const uint8_t *now = node->now + sector * DISK_SECTOR;
        bool first = draw_below(&disk->draw, 2) > 0;

        disk->counts.sectors_torn++;
        if (node->before[sector] == DISK_SAME)
                return;
        fill_old(node, sector);
        if (first)
                memcpy(old_at(node, sector), now, at);
        else
                memcpy(old_at(node, sector) + at, now + at, DISK_SECTOR - at);
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
        if (chance == PER_MILLION || (chance > 0 && draw_below(&disk->draw, 2)))
                node->kept_size = node->size;
}

/* What is on the disk of a sector is what there is. */
static void settle_sector(DiskNode *node, size_t sector) {
        if (node->before[sector] == ZEROS)
                memset(node->now + sector * DISK_SECTOR, 0, DISK_SECTOR);
        else if (node->before[sector] != DISK_SAME)
                memcpy(node->now + sector * DISK_SECTOR, old_at(node, sector), DISK_SECTOR);
        keep_sector(node, sector);
}

void disk_node_drop_cache(DiskNode *node) {
        for (size_t i = 0; i < node->differ_to; i++)
                if (!is_dirty(node, i))
                        settle_sector(node, i);
        if (node->dirty_from >= node->dirty_to)
                all_same(node);
}

/* The same of all there is. */
static void settle_node(Disk *disk, DiskNode *node) {
        for (size_t i = 0; i < node->differ_to; i++)
                settle_sector(node, i);
        if (node->now && sectors(node->size) * DISK_SECTOR > node->kept_size)
                memset(node->now + node->kept_size, 0, sectors(node->size) * DISK_SECTOR - node->kept_size);
        if (node->differ_to * DISK_SECTOR > node->kept_size)
                memset(node->now + node->kept_size, 0, node->differ_to * DISK_SECTOR - node->kept_size);
        disk->used += blocks(node->kept_size);
        disk->used -= blocks(node->size);
        node->size = node->kept_size;
        all_clean(node);
        all_same(node);
}

void disk_node_cut(Disk *disk, DiskNode *node) {
        cut_node(disk, node);
        settle_node(disk, node);
}

void disk_node_damage(DiskNode *node, const uint8_t *data, size_t size, size_t at) {
        while (size > 0) {
                size_t sector = at / DISK_SECTOR, from = at % DISK_SECTOR,
                       n = size < DISK_SECTOR - from ? size : DISK_SECTOR - from;

                memcpy(node->now + at, data, n);
                if (node->before[sector] != DISK_SAME) {
                        fill_old(node, sector);
                        memcpy(old_at(node, sector) + from, data, n);
                }
                data += n;
                size -= n;
                at += n;
        }
}
