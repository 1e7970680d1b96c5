/* SPDX-License-Identifier: Apache-2.0 */
/* Files and names, what of them is durable, and what a cut leaves. */
#include "disk-internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"

static struct {
        Disk *disk;
        uint64_t mounts;
} mounted; /* of this process: SQLite and libc know no other way to hand it on */

/* ---- names ---- */

static DiskName *name_of(Disk *disk, const char *path, bool make) {
        size_t size = strlen(path);
        DiskName *name;

        for (size_t i = 0; i < disk->n_names; i++)
                if (disk->names[i]->size == size && memcmp(disk->names[i]->path, path, size) == 0)
                        return disk->names[i];
        if (!make)
                return NULL;
        name = arena_alloc(sizeof(DiskName));
        name->path = arena_text(path);
        name->size = size;
        disk->names = arena_resize(disk->names, (disk->n_names + 1) * sizeof(DiskName *));
        disk->names[disk->n_names++] = name;
        return name;
}

static void point(Disk *disk, DiskNode **at, DiskNode *node) {
        DiskNode *before = *at;

        if (node)
                node->names++;
        *at = node;
        if (before)
                before->names--;
        disk_node_free_if_unused(disk, before);
}

/* The change is on the disk. */
static void change_keep(Disk *disk, DiskChange *change) {
        point(disk, &change->name->kept, change->node);
        if (change->from)
                point(disk, &change->from->kept, NULL);
        change->done = true;
}

/* What is done, or given up, no longer holds its node. */
static void changes_drop(Disk *disk, bool all) {
        size_t n = 0;

        for (size_t i = 0; i < disk->n_changes; i++)
                if (all || disk->changes[i].done)
                        point(disk, &disk->changes[i].node, NULL);
                else
                        disk->changes[n++] = disk->changes[i];
        disk->n_changes = n;
}

/* A directory's entry changed. */
static void note_entry(Disk *disk, const DiskName *entry) {
        size_t size = (size_t) (strrchr(entry->path, '/') - entry->path);

        for (size_t i = 0; i < disk->n_names; i++) {
                const DiskName *name = disk->names[i];

                if (name->now && name->size == size && memcmp(name->path, entry->path, size) == 0)
                        name->now->changes++;
        }
}

static void change(Disk *disk, DiskName *name, DiskName *from, DiskNode *node) {
        if (disk->n_changes == DISK_CHANGES_MAX) {
                for (size_t i = 0; i < DISK_CHANGES_MAX / 2; i++)
                        change_keep(disk, &disk->changes[i]);
                changes_drop(disk, false);
        }
        disk->changes[disk->n_changes] = (DiskChange){ .name = name, .from = from };
        point(disk, &disk->changes[disk->n_changes++].node, node);
        point(disk, &name->now, node);
        if (from)
                point(disk, &from->now, NULL);
        note_entry(disk, name);
        if (from)
                note_entry(disk, from);
}

static bool is_changing(const Disk *disk, const DiskName *name) {
        for (size_t i = 0; i < disk->n_changes; i++)
                if (disk->changes[i].name == name || disk->changes[i].from == name)
                        return true;
        return false;
}

/* Names that stand for nothing. */
static void names_drop(Disk *disk) {
        size_t n = 0;

        for (size_t i = 0; i < disk->n_names; i++) {
                DiskName *name = disk->names[i];

                if (name->now || name->kept || is_changing(disk, name)) {
                        disk->names[n++] = name;
                        continue;
                }
                arena_free(name->path);
                arena_free(name);
        }
        disk->n_names = n;
}

static bool is_in(const DiskName *name, const char *directory, size_t size) {
        return name->size > size + 1 && name->path[size] == '/' && memcmp(name->path, directory, size) == 0 &&
               !memchr(name->path + size + 1, '/', name->size - size - 1);
}

DiskNode *disk_find(Disk *disk, const char *path) {
        DiskName *name = name_of(disk, path, false);

        return name ? name->now : NULL;
}

/* Whether the directory of *path* is there. */
static bool has_parent(Disk *disk, const char *path) {
        const char *slash = strrchr(path, '/');
        char parent[512];

        assert(slash && (size_t) (slash - path) < sizeof(parent));
        (void) snprintf(parent, sizeof(parent), "%.*s", (int) (slash - path), path);
        return disk_find(disk, parent) != NULL;
}

int disk_create(Disk *disk, const char *path, bool directory, DiskNode **ret) {
        if (disk->faults.read_only)
                return -EROFS;
        if (!has_parent(disk, path))
                return -ENOENT;
        if (disk_find(disk, path))
                return -EEXIST;
        if (!disk_has_room(disk, 1))
                return -ENOSPC;
        if (!disk_begins(disk, DISK_OPEN, path))
                return -EIO;
        *ret = disk_node_new(disk, directory);
        change(disk, name_of(disk, path, true), NULL, *ret);
        return disk_ends(disk, DISK_OPEN, path) ? 0 : -EIO;
}

int disk_unlink(Disk *disk, const char *path) {
        if (!disk_find(disk, path))
                return -ENOENT;
        if (disk->faults.read_only)
                return -EROFS;
        if (!disk_begins(disk, DISK_UNLINK, path))
                return -EIO;
        change(disk, name_of(disk, path, true), NULL, NULL);
        return disk_ends(disk, DISK_UNLINK, path) ? 0 : -EIO;
}

int disk_rename(Disk *disk, const char *from, const char *to) {
        DiskNode *node = disk_find(disk, from);

        if (!node || !has_parent(disk, to))
                return -ENOENT;
        if (disk->faults.read_only)
                return -EROFS;
        if (strcmp(from, to) == 0)
                return 0;
        if (!disk_begins(disk, DISK_RENAME, to))
                return -EIO;
        change(disk, name_of(disk, to, true), name_of(disk, from, true), node);
        return disk_ends(disk, DISK_RENAME, to) ? 0 : -EIO;
}

int disk_sync_directory(Disk *disk, const char *path) {
        size_t size = strlen(path);

        if (!disk_begins(disk, DISK_SYNC, path))
                return -EIO;
        if (draw_chance(&disk->draw, disk->faults.sync_error)) {
                disk->counts.errors++;
                return -EIO;
        }
        for (size_t i = 0; i < disk->n_changes; i++)
                if (is_in(disk->changes[i].name, path, size) ||
                        (disk->changes[i].from && is_in(disk->changes[i].from, path, size)))
                        change_keep(disk, &disk->changes[i]);
        changes_drop(disk, false);
        return disk_ends(disk, DISK_SYNC, path) ? 0 : -EIO;
}

const char *disk_entry(const Disk *disk, const char *directory, size_t n) {
        size_t size = strlen(directory);

        for (size_t i = 0; i < disk->n_names; i++)
                if (disk->names[i]->now && is_in(disk->names[i], directory, size) && n-- == 0)
                        return disk->names[i]->path;
        return NULL;
}

/* ---- calls ---- */

Disk *disk_mounted(void) {
        return mounted.disk;
}

uint64_t disk_life(const Disk *disk) {
        return disk->life;
}

uint64_t disk_mounts(void) {
        return mounted.mounts;
}

bool disk_is_dead(const Disk *disk) {
        return disk->dead;
}

const char *disk_root(const Disk *disk) {
        return disk->root;
}

bool disk_has(const Disk *disk, const char *path) {
        return strncmp(path, disk->root, disk->root_size) == 0 &&
               (path[disk->root_size] == '/' || path[disk->root_size] == '\0');
}

Draw *disk_draw(Disk *disk) {
        return &disk->draw;
}

const DiskFaults *disk_faults(const Disk *disk) {
        return &disk->faults;
}

bool disk_begins(Disk *disk, DiskCall call, const char *path) {
        if (disk->hook)
                disk->hook(disk->userdata, call, path, false);
        if (disk->dead)
                return false;
        disk->counts.calls[call]++;
        return true;
}

bool disk_ends(Disk *disk, DiskCall call, const char *path) {
        if (disk->hook)
                disk->hook(disk->userdata, call, path, true);
        return !disk->dead;
}

/* ---- the end of a life ---- */

static void cut_names(Disk *disk) {
        size_t first = draw_below(&disk->draw, disk->n_changes + 1); /* a journal keeps the order; others do not */
        bool ordered = draw_below(&disk->draw, 2) == 0;

        for (size_t i = 0; i < disk->n_changes; i++)
                if (ordered ? i < first : draw_below(&disk->draw, 2)) {
                        change_keep(disk, &disk->changes[i]);
                        disk->counts.names_kept++;
                } else
                        disk->counts.names_lost++;
        changes_drop(disk, true);
        for (size_t i = 0; i < disk->n_names; i++)
                point(disk, &disk->names[i]->now, disk->names[i]->kept);
}

static void end_life(Disk *disk) {
        for (size_t i = disk->n_nodes; i-- > 0;) {
                disk->nodes[i]->handles = 0;
                disk_node_free_if_unused(disk, disk->nodes[i]);
        }
        disk->life++;
        disk->dead = true;
}

void disk_kill(Disk *disk) {
        if (disk->dead)
                return;
        end_life(disk);
        names_drop(disk);
        disk->counts.kills++;
}

void disk_cut(Disk *disk) {
        if (!disk->dead)
                end_life(disk);
        cut_names(disk);
        for (size_t i = 0; i < disk->n_nodes; i++)
                disk_node_cut(disk, disk->nodes[i]);
        names_drop(disk);
        disk->counts.cuts++;
}

/* ---- a disk ---- */

Disk *disk_new(const char *root, uint64_t seed) {
        Disk *disk = arena_alloc(sizeof(Disk));
        DiskNode *node;
        DiskName *name;

        disk->root = arena_text(root);
        disk->root_size = strlen(root);
        disk->draw = (Draw){ seed };
        disk->faults = DISK_FAULTS_NONE;
        node = disk_node_new(disk, true);
        name = name_of(disk, root, true);
        point(disk, &name->now, node);
        point(disk, &name->kept, node);
        return disk;
}

Disk *disk_free(Disk *disk) {
        if (!disk)
                return NULL;
        if (mounted.disk == disk)
                mounted.disk = NULL;
        disk->n_changes = 0;
        while (disk->n_nodes > 0)
                disk_node_free(disk, disk->nodes[0]);
        for (size_t i = 0; i < disk->n_names; i++) {
                arena_free(disk->names[i]->path);
                arena_free(disk->names[i]);
        }
        arena_free(disk->nodes);
        arena_free(disk->names);
        arena_free(disk->root);
        return arena_free(disk);
}

void disk_mount(Disk *disk) {
        mounted.disk = disk;
        mounted.mounts++;
        disk->dead = false;
        disk_vfs_register();
}

void disk_set_faults(Disk *disk, const DiskFaults *faults) {
        disk->faults = *faults;
}

void disk_set_hook(
        Disk *disk, void (*hook)(void *userdata, DiskCall call, const char *path, bool done), void *userdata) {
        disk->hook = hook;
        disk->userdata = userdata;
}

void disk_settle(Disk *disk) {
        for (size_t i = 0; i < disk->n_changes; i++)
                change_keep(disk, &disk->changes[i]);
        changes_drop(disk, true);
        for (size_t i = 0; i < disk->n_nodes; i++)
                disk_node_keep(disk->nodes[i]);
}

const uint8_t *disk_contents(Disk *disk, const char *path, size_t *ret_size) {
        const DiskNode *node = disk_find(disk, path);

        if (!node || node->directory)
                return NULL;
        *ret_size = node->size;
        return node->now;
}

void disk_damage(Disk *disk, const char *path, size_t at, const void *data, size_t size) {
        DiskNode *node = disk_find(disk, path);

        if (!node || at >= node->size)
                return;
        if (!data) {
                disk_node_keep(node);
                (void) disk_truncate(disk, node, at);
                disk_node_keep(node);
                return;
        }
        if (size > node->size - at)
                size = node->size - at;
        disk_node_damage(node, data, size, at);
}

const DiskCounts *disk_counts(const Disk *disk) {
        return &disk->counts;
}

uint64_t disk_used(const Disk *disk) {
        return disk->used;
}
