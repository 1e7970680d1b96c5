/* SPDX-License-Identifier: Apache-2.0 */
#include "archive.h"

#include <dirent.h>
#include <json-c/json.h>
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
        Read files[FILES_MAX];
} Archive;

static Read *find(const char *name) {
        if (!world->archive)
                world->archive = arena_alloc(sizeof(Archive));
        for (size_t i = 0; i < FILES_MAX; i++) {
                Read *file = &world->archive->files[i];

                if (strcmp(file->name, name) == 0)
                        return file;
                if (file->name[0] == '\0') {
                        (void) snprintf(file->name, sizeof(file->name), "%.255s", name);
                        return file;
                }
        }
        world_fail("more than %d files in the archive", FILES_MAX);
}

static void look_at_line(unsigned subscription, const char *line) {
        struct json_object *document = json_tokener_parse(line), *id;

        if (!document || !json_object_object_get_ex(document, "_id", &id))
                world_fail("a line of the archive that is not a document: %s", line);
        ledger_stored(subscription, ledger_find(line, strlen(line)), json_object_get_string(id));
        json_object_put(document);
}

static void look_at_file(unsigned subscription, const char *name) {
        Read *read = find(name);
        char path[512], *line;
        const char *end;
        size_t size;
        const char *data;

        (void) snprintf(path, sizeof(path), ARCHIVE_DIRECTORY "/%.255s", name);
        data = (const char *) disk_contents(world->disk, path, &size);
        while (data && read->offset < size && (end = memchr(data + read->offset, '\n', size - read->offset))) {
                line = strndup(data + read->offset, (size_t) (end - data) - read->offset);
                if (!line)
                        abort();
                read->offset = (size_t) (end - data) + 1;
                look_at_line(subscription, line);
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
        world->archive = arena_free(world->archive);
        ledger_forget(subscription);
}
