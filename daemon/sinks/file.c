/* SPDX-License-Identifier: Apache-2.0 */
/* Files as a type of sink: a line for each message, see file-archive.c. All functions but file_open() run on the sink's
 * thread. */
#include "sinks/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/text.h"
#include "sinks/document.h"
#include "subscribe/sink-type.h"
#include "subscribe/sink-words.h"
#include "trouble.h"

#define PATH_SIZE_MAX 1024
#define SIZE_MIN 4096
#define SIZE_MAX_BYTES (UINT64_C(1) << 30) /* a file is compressed in one step, while the subscription waits */
#define YEARS_MAX 100
#define WRITE_MAX (4 * 1024 * 1024) /* bytes written before a sync */

/* ---- configuration ---- */

static const ConfigType type_compress = { "gzip or none", NULL, CONFIG_INT,
        .words = (const char *const[]){ "gzip", "none", NULL } };

#define FIELD(field) offsetof(FileConfig, field)

/* clang-format off */
static const ConfigRow rows[] = {
        { "directory", &config_type_state_directory, FIELD(directory), 1, PATH_SIZE_MAX, .flags = CONFIG_REQUIRED,
                .doc = "Directory of the files. A relative path is below state_dir. It is created, but its parents are not." },
        { "max_size", &config_type_size, FIELD(max_size), SIZE_MIN, SIZE_MAX_BYTES, "64MiB",
                .doc = "Size at which another file for the same day is started." },
        { "compress", &type_compress, FIELD(compress), .fallback = "gzip",
                .doc = "Compression of closed files." },
        { "keep", &config_type_duration, FIELD(keep), 24 * USEC_PER_HOUR, YEARS_MAX * 366 * 24 * USEC_PER_HOUR,
                .derived = "without end",
                .doc = "Age at which files are removed, by the day in their names." },
        {},
};
/* clang-format on */

/* Whether a path has a part "..". */
static bool climbs(const char *path) {
        for (const char *dots = strstr(path, ".."); dots; dots = strstr(dots + 1, ".."))
                if ((dots == path || dots[-1] == '/') && (dots[2] == '/' || dots[2] == '\0'))
                        return true;
        return false;
}

/* Normalises an absolute path: removes parts "." and double slashes. */
static void make_plain(char *path) {
        const char *part = path;
        char *end = path + (path[0] == '/');

        while (*part) {
                size_t size = strcspn(part, "/");
                const char *next = part + size + (part[size] == '/');

                if (size > 0 && !(size == 1 && part[0] == '.')) {
                        if (end > path && end[-1] != '/')
                                *end++ = '/';
                        memmove(end, part, size);
                        end += size;
                }
                part = next;
        }
        *end = '\0';
}

/* Makes the path of the directory. NULL: no memory. */
static char *directory_of(const char *directory, const char *state_dir) {
        char *path;

        if (directory[0] == '/' || !state_dir)
                path = strdup(directory);
        else
                (void) text_format(&path, "%s/%s", state_dir, directory);
        if (path)
                make_plain(path);
        return path;
}

/* Returns the state_dir of the configuration. Its default is not set yet when this rule runs. NULL: no memory. */
static char *state_dir_of(const ConfigPlace *top) {
        const YamlNode *state = yaml_get(top->node, "state_dir");

        if (state && state->type == YAML_SCALAR)
                return strdup(state->text);
        return config_state_dir(top->reader->path, false);
}

static Slice without_slashes(const char *path) {
        size_t size = strlen(path);

        while (size > 1 && path[size - 1] == '/')
                size--;
        return (Slice){ path, size };
}

static bool is_written_alike(const char *a, const char *b) {
        return slice_same(without_slashes(a), without_slashes(b));
}

/* Finds another sink in this configuration with the same directory, if possible one that writes it in the same way;
 * *ret is NULL: none. Such sinks would take each other's lines for their own. -ENOMEM. */
static int find_same(const ConfigPlace *place, const char *text, const YamlNode **ret) {
        const ConfigPlace *top = place->parent->parent;
        const YamlNode *list = yaml_get(top->node, "subscribe");
        _cleanup_free_ char *state_dir = state_dir_of(top),
                            *directory = state_dir ? directory_of(text, state_dir) : NULL;

        for (size_t i = 0; directory && list && i < list->n_children; i++) {
                const YamlNode *sink = yaml_get(list->children[i], "file"), *other = yaml_get(sink, "directory");
                _cleanup_free_ char *taken = NULL;

                if (sink == place->node)
                        break;
                if (!other || other->type != YAML_SCALAR || other->text[0] == '\0')
                        continue;
                taken = directory_of(other->text, state_dir);
                if (!taken)
                        return -ENOMEM;
                if (strcmp(taken, directory) == 0 && (!*ret || is_written_alike(other->text, text)))
                        *ret = other;
        }
        return directory ? 0 : -ENOMEM;
}

static int rule(const ConfigPlace *place, void *self, void *around) {
        FileConfig *file = self;
        const YamlNode *same = NULL;
        int r = find_same(place, file->directory, &same);

        if (r < 0)
                return r;
        if (climbs(file->directory))
                return config_place_fail(place, "directory", "has a part \"..\"; write the whole path, from / on");
        if (!same)
                return 0;
        if (is_written_alike(same->text, file->directory))
                return config_place_fail(place, "directory",
                        "is the directory of line %u already; each sink needs one of its own", same->line);
        return config_place_warn(place, "directory", /* 0.2.0 took it */
                "is the directory of line %u, written in another way; each sink needs one of its own", same->line);
}

static const ConfigSection section = { "file", "Stores messages in NDJSON files.", rows, sizeof(FileConfig), rule,
        NULL };

/* ---- a sink ---- */

typedef struct FileSink {
        char *directory, *subscription, *id_attribute;
        DocumentRules rules;
        FileArchive *archive;
        FileKeys *keys;
} FileSink;

typedef struct Writing {
        FileSink *sink;
        SinkWork *work;
        SinkVerdict *verdicts; /* valid after the lines are synced */
        size_t from;           /* the first item that waits for the sync */
        size_t lines;
        Bytes text;
        bson_t document; /* scratch */
        usec_t at;       /* time of storing; never before the publish time, since our clock may be behind */
} Writing;

static void file_probe(void *self, SinkAnswer *answer) {
        FileSink *f = self;
        int r = file_archive_lock(f->archive, f->keys, 0);

        if (r < 0)
                return sink_disk_answer(answer, r, file_archive_place(f->archive));
        file_archive_unlock(f->archive, true);
}

/* Makes the lines in the first *size* bytes durable, and sets the verdicts of the items before *until*. At most one
 * line is left. After a failure, the caller must take back the keys of w->lines. */
static int flush(Writing *w, size_t until, size_t size) {
        int r = size > 0 ? file_archive_append(w->sink->archive, (Slice){ w->text.data, size }, w->at) : 0;

        if (r < 0)
                return r;
        for (size_t i = w->from; i < until; i++)
                if (w->verdicts[i] != SINK_PENDING)
                        w->work->items[i].verdict = w->verdicts[i];
        w->work->answer.accepted |= size > 0;
        w->from = until;
        w->lines = w->text.size > size;
        if (w->lines > 0)
                memmove(w->text.data, w->text.data + size, w->text.size - size);
        bytes_cut(&w->text, w->text.size - size);
        return 0;
}

/* Appends the document of a message, and finds the line that has its id. Returns DOCUMENT_OK, a reason with a SINK_BAD
 * item, or -ENOMEM. */
static int build(Writing *w, const DocumentInput *input, SinkItem *item, FileKey *ret, const FileKey **ret_same) {
        char detail[DOCUMENT_DETAIL_SIZE] = "";
        int r = document_json(input, &w->document, &w->text, detail);

        if (r > 0)
                sink_item_bad(item, document_reason((DocumentReason) r), detail);
        if (r > 0 && item->verdict != SINK_BAD)
                return -ENOMEM; /* else it would become a line */
        if (r != DOCUMENT_OK)
                return r;
        *ret = file_key(document_text(&w->document, "_id"), document_text(&w->document, "pubsub.sha256").data,
                item->message->publish_time);
        *ret_same = file_keys_find(w->sink->keys, ret->id);
        return DOCUMENT_OK;
}

/* Compares a message with the line that has its id. The fallback id may repeat after a queue began anew (an emulator):
 * then the publish time distinguishes the messages, and becomes part of the id. */
static int judge(Writing *w, size_t index) {
        SinkItem *item = &w->work->items[index];
        DocumentInput input = { .message = item->message, .rules = &w->sink->rules, .at = w->at };
        _cleanup_bytes_ Bytes scratch = {};
        size_t before = w->text.size;
        const FileKey *same = NULL;
        FileKey key;
        Slice id;
        int kind = document_id(&input, &scratch, &id), r = kind < 0 ? kind : build(w, &input, item, &key, &same);

        if (r == DOCUMENT_OK && same && kind == DOCUMENT_ID_FALLBACK && same->published != key.published) {
                bytes_cut(&w->text, before);
                input.id_by_time = true;
                r = build(w, &input, item, &key, &same);
        }
        if (r != DOCUMENT_OK)
                return r < 0 ? r : 0;
        if (!same) {
                r = bytes_append(&w->text, "\n", 1);
                if (r < 0)
                        return r;
                file_keys_add(w->sink->keys, &key);
                w->lines++;
                w->verdicts[index] = SINK_STORED;
                return 0;
        }
        bytes_cut(&w->text, before);
        if (same->payload == key.payload && key.payload != 0)
                w->verdicts[index] = SINK_DUPLICATE;
        else
                sink_item_bad(item, document_reason(DOCUMENT_ID_CONFLICT), "its _id is taken by a different payload");
        return 0;
}

/* Adds a message. When it does not fit into the file or the buffer with the lines before it, these are synced first. */
static int add(Writing *w, size_t index) {
        size_t before = w->text.size, lines = w->lines, room = file_archive_room(w->sink->archive, w->at);
        int r = judge(w, index);

        if (r < 0 || w->lines == lines || lines == 0 || (w->text.size <= room && w->text.size <= WRITE_MAX))
                return r;
        return flush(w, index, before);
}

static int write_all(Writing *w) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < w->work->n; i++)
                r = add(w, i);
        if (r == 0)
                r = flush(w, w->work->n, w->text.size);
        if (r < 0)
                file_keys_undo(w->sink->keys, w->lines); /* these lines are not in the file */
        return r;
}

/* Returns the latest publish time of the messages; 0: none has one. */
static usec_t latest_publishing(const SinkWork *work) {
        int64_t latest = 0, msec;

        for (size_t i = 0; i < work->n; i++) {
                Slice time = work->items[i].message->publish_time;

                if (clock_parse_rfc3339(time.data, time.size, &msec) && msec > latest)
                        latest = msec;
        }
        return (usec_t) latest * USEC_PER_MSEC;
}

static void file_write(void *self, SinkWork *work) {
        FileSink *f = self;
        usec_t wall = clock_wall(), published = latest_publishing(work);
        Writing w = { .sink = f, .work = work, .at = wall > published ? wall : published };
        int r;

        bson_init(&w.document);
        w.verdicts = calloc(work->n + 1, sizeof(*w.verdicts));
        r = w.verdicts ? file_archive_lock(f->archive, f->keys, published) : -ENOMEM;
        if (r == 0) {
                r = write_all(&w);
                file_archive_unlock(f->archive, r == 0);
        }
        if (r < 0)
                sink_disk_answer(&work->answer, r, file_archive_place(f->archive));
        free(w.verdicts);
        bson_destroy(&w.document);
        bytes_done(&w.text);
}

/* ---- life ---- */

static const char *file_place(const void *self) {
        return ((const FileSink *) self)->directory;
}

static void *file_close(void *self) {
        FileSink *f = self;

        if (!f)
                return NULL;
        f->keys = file_keys_free(f->keys);
        f->archive = file_archive_free(f->archive);
        free(f->id_attribute);
        free(f->subscription);
        free(f->directory);
        free(f);
        return NULL;
}

/* Names the directory. Its lock also keeps away another daemon, or an old sink that still writes. */
static void file_exclusive(
        const SubscriptionConfig *config, const char *state_dir, char name[static SINK_EXCLUSIVE_MAX]) {
        _cleanup_free_ char *directory = directory_of(((const FileConfig *) config->keys)->directory, state_dir);

        if (snprintf(name, SINK_EXCLUSIVE_MAX, "the directory %s", directory ?: "") >= SINK_EXCLUSIVE_MAX)
                (void) crypto_sha256_hex(directory, strlen(directory), name + SINK_EXCLUSIVE_MAX - SHA256_HEX_SIZE);
}

static int open_archive(FileSink *f, const FileConfig *keys) {
        int r;

        if (!f->directory || !f->subscription || !f->id_attribute)
                return -ENOMEM;
        r = file_archive_new(&(FileArchiveSpec){ .directory = f->directory,
                                     .max_size = keys->max_size,
                                     .compress = keys->compress == 0,
                                     .keep = keys->keep,
                                     .subscription = f->subscription },
                &f->archive);
        return r < 0 ? r : file_keys_new(FILE_KEYS_MAX, &f->keys);
}

static int file_open(
        const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        const FileConfig *keys = config->keys;
        FileSink *f = calloc(1, sizeof(FileSink));
        int r;

        if (!f)
                return -ENOMEM;
        f->directory = directory_of(keys->directory, sink_host_means(host)->state_dir);
        f->subscription = strdup(config->subscription);
        f->id_attribute = strdup(config->id_attribute);
        f->rules = (DocumentRules){ .subscription = f->subscription,
                .id_attribute = f->id_attribute,
                .payload = (PayloadFormat) config->payload };
        r = open_archive(f, keys);
        if (r < 0) {
                (void) file_close(f);
                return r;
        }
        *ret_self = f;
        return 0;
}

/* ---- the verbs ---- */

static void admin_place(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]) {
        (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s", ((const FileConfig *) config->keys)->directory);
}

/* Checks only, and creates nothing: the service could not write to a directory made by root. */
static void admin_check(void *self, const SinkTeller *teller) {
        const SubscriptionConfig *config = self;
        const FileConfig *keys = config->keys;
        _cleanup_free_ char *directory = directory_of(keys->directory, config->state_dir);
        _cleanup_free_ char *above = directory ? strdup(directory) : NULL;
        _cleanup_free_ char *state_dir = directory_of(config->state_dir, NULL);
        struct statvfs disk;
        struct stat status;
        bool there = above && stat(directory, &status) == 0;

        if (!above || !state_dir)
                return sink_admin_tell(teller, SINK_GRADE_FAIL, "out of memory");
        above[strrchr(above, '/') && strrchr(above, '/') != above ? strrchr(above, '/') - above : 1] = '\0';
        if (there && !S_ISDIR(status.st_mode))
                return sink_admin_tell(teller, SINK_GRADE_FAIL, "%s is not a directory; name another one", directory);
        if (!there && access(above, F_OK) < 0 && errno == ENOENT && strcmp(above, state_dir) == 0)
                return sink_admin_tell(
                        teller, SINK_GRADE_OK, "%s will be made, in state_dir, at the first start", directory);
        if (access(there ? directory : above, W_OK | X_OK) < 0 || statvfs(there ? directory : above, &disk) < 0) {
                int error = errno;

                /* A user who may not write to state_dir is not the service's user: only a warning. */
                return sink_admin_tell(teller,
                        error == EACCES && access(config->state_dir, W_OK | X_OK) < 0 ? SINK_GRADE_WARN
                                                                                      : SINK_GRADE_FAIL,
                        "%s: %s; %s", there ? directory : above, strerror(error), cause_disk_remedy(-error));
        }
        if (disk.f_blocks > 0 && (uint64_t) disk.f_bavail * disk.f_frsize < FILE_FREE_MIN)
                return sink_admin_tell(teller, SINK_GRADE_FAIL, "%s: its disk is full; free space there", directory);
        sink_admin_tell(teller, SINK_GRADE_OK, "%s %s, %llu MiB free", directory,
                there ? "can be written to" : "will be made", (unsigned long long) disk.f_bavail * disk.f_frsize >> 20);
}

static const SinkAdmin file_admin = { .place = admin_place, .check = admin_check };

const SinkType sink_type_file = {
        .keys = &section,
        .what = "The archive",
        .blocks = true,
        .open = file_open,
        .exclusive = file_exclusive,
        .place = file_place,
        .probe = file_probe,
        .write = file_write,
        .close = file_close,
        .admin = &file_admin,
};
