/* SPDX-License-Identifier: Apache-2.0 */
#include "archive.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "disk.h"
#include "ledger.h"
#include "plan.h"

#define FILES_MAX 4096 /* a disk that fails makes the sink begin further files */
#define ARCHIVE_DIRECTORY PLAN_STATE "/archive"

/* How far a file was read: whole lines only. */
typedef struct Read {
        char name[256];
        size_t offset;
} Read;

typedef struct Archive {
        Read *files;
        size_t n, allocated;
} Archive;

static Read *find(const char *name) {
        Archive *a = world->archive;

        if (!a)
                a = world->archive = arena_alloc(sizeof(Archive));
        for (size_t i = a->n; i > 0; i--)
                if (strcmp(a->files[i - 1].name, name) == 0)
                        return &a->files[i - 1];
        if (a->n == FILES_MAX)
                world_fail("more than %d files in the archive", FILES_MAX);
        if (a->n == a->allocated) {
                a->allocated = a->allocated > 0 ? 2 * a->allocated : 8;
                a->files = arena_resize(a->files, a->allocated * sizeof(Read));
        }
        a->files[a->n] = (Read){};
        (void) snprintf(a->files[a->n].name, sizeof(a->files[a->n].name), "%.255s", name);
        return &a->files[a->n++];
}

/* That it is whole is looked at; what else is in it, the C tests do. */
static void look_at_line(unsigned subscription, char *line, size_t size) {
        static const char before[] = "{\"_id\":\"";
        char *id = line + strlen(before), *end;
        uint32_t serial = ledger_find(line, size);

        end = strncmp(line, before, strlen(before)) == 0 ? strchr(id, '"') : NULL;
        if (!end || serial == 0 || line[size - 1] != '}')
                world_fail("a line of the archive that is not a document: %s", line);
        *end = '\0';
        ledger_stored(subscription, serial, id);
}

static void look_at_file(unsigned subscription, const char *name) {
        Read *read = find(name);
        char path[512], *line;
        const char *end, *data;
        size_t size, length;

        (void) snprintf(path, sizeof(path), ARCHIVE_DIRECTORY "/%.255s", name);
        data = (const char *) disk_contents(world->disk, path, &size);
        while (data && read->offset < size && (end = memchr(data + read->offset, '\n', size - read->offset))) {
                length = (size_t) (end - data) - read->offset;
                line = strndup(data + read->offset, length);
                if (!line)
                        abort();
                read->offset = (size_t) (end - data) + 1;
                look_at_line(subscription, line, length);
                free(line);
        }
}

void archive_look(unsigned subscription) {
        struct dirent *entry;
        DIR *directory = opendir(ARCHIVE_DIRECTORY);

        while (directory && (entry = readdir(directory)))
                if (strstr(entry->d_name, ".ndjson"))
                        look_at_file(subscription, entry->d_name);
        if (directory)
                (void) closedir(directory);
}

void archive_forget(unsigned subscription) {
        if (world->archive)
                arena_free(world->archive->files);
        world->archive = arena_free(world->archive);
        ledger_forget(subscription);
}
