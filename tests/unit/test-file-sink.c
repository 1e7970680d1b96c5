/* SPDX-License-Identifier: Apache-2.0 */
/* Files as a sink: P3 (synced before it counts as stored), P4 (once, over restarts), P6, and what cannot be stored. */
#include "file-fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "capture.h"
#include "subscribe/rejected.h"
#include "subscribe/sink-type.h"

static void append_to_last(const World *w, const char *text, size_t size) {
        Found found = look(w);
        int fd = open(found.last, O_WRONLY | O_APPEND | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, size), (ssize_t) size);
        (void) close(fd);
        bytes_done(&found.text);
}

/* ---- the tests ---- */

static void test_lines(void **state) {
        World *w = *state;
        const char *begin =
                "{\"_id\":\"a\",\"te\":23.1,\"at\":\"2026-11-24T15:27:38+09:00\",\"pubsub\":{\"message_id\":\"17\",";
        struct stat status;
        Found found;

        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
        assert_int_equal(stat(w->archive, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0750);
        store(w, "a", "{\"te\":23.1,\"at\":\"2026-11-24T15:27:38+09:00\"}", "S");
        found = look(w);
        assert_int_equal(found.files, 1);
        assert_int_equal(found.lines, 1);
        assert_int_equal(strncmp(found.text.data, begin, strlen(begin)), 0);
        assert_int_equal(stat(found.last, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0640);
        bytes_done(&found.text);
}

/* P4: once, in one write, over writes and over a restart; another payload under the same id is none. */
static void test_once(void **state) {
        World *w = *state;
        const Given twice[] = { { "a", "{\"v\":1}", NULL }, { "a", "{\"v\":1}", NULL }, { "a", "{\"v\":2}", NULL },
                { "b", "{\"v\":1}", NULL } };
        SinkWork *work;

        work = write_as(w, SINK_STEP_WRITE, twice, 4, "SDBS");
        assert_string_equal(work->items[2].reason, "id_conflict");
        store(w, "a", "{\"v\":1}", "D");
        close_sink(w);
        open_sink(w);
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
        (void) write_as(w, SINK_STEP_WRITE, twice, 4, "DDBD");
        assert_int_equal(lines_of(w), 2);
}

/* Message ids that come again under another time are other messages. */
static void test_fallback_id(void **state) {
        World *w = *state;
        const Given given[] = { { NULL, "{\"v\":1}", NULL }, { NULL, "{\"v\":1}", NULL },
                { NULL, "{\"v\":1}", "2026-11-25T06:27:38.123Z" } };

        (void) write_as(w, SINK_STEP_WRITE, given, 3, "SDS");
        (void) write_as(w, SINK_STEP_WRITE, given, 3, "DDD");
        assert_int_equal(lines_of(w), 2);
}

static void test_bad(void **state) {
        World *w = *state;
        const Given given[] = { { "a", "{\"v\":1}", NULL }, { "b", "{\"v\":", NULL }, { "c", "[1]", NULL },
                { "d", "{\"v\":2}", NULL } };
        SinkWork *work = write_as(w, SINK_STEP_WRITE, given, 4, "SBBS");

        assert_string_equal(work->items[1].reason, "not_json");
        assert_string_equal(work->items[2].reason, "not_object");
        assert_int_equal(lines_of(w), 2);
}

/* By size, compressed, and known after a restart. */
static void test_rotation(void **state) {
        World *w = *state;
        char id[16], data[900];
        struct stat status;
        Found found;

        close_sink(w);
        w->keys.max_size = 4096;
        assert_int_equal(
                chown(w->directory, 12345, 12345), geteuid() == 0 ? 0 : -1); /* root makes files of that user's */
        open_sink(w);
        memset(data, 'x', sizeof(data));
        for (unsigned i = 0; i < 20; i++) {
                (void) snprintf(id, sizeof(id), "n%u", i);
                (void) snprintf(data, sizeof(data), "{\"n\":%u,\"x\":\"%0700d\"}", i, 0);
                store(w, id, data, "S");
        }
        found = look(w);
        assert_true(found.files >= 4);
        assert_int_equal(found.packed, found.files - 1);
        assert_int_equal(found.lines, 20);
        assert_int_equal(stat(found.last, &status), 0);
        assert_int_equal(status.st_uid, geteuid() == 0 ? 12345 : geteuid());
        bytes_done(&found.text);

        close_sink(w);
        open_sink(w);
        for (unsigned i = 0; i < 20; i++) {
                (void) snprintf(id, sizeof(id), "n%u", i);
                (void) snprintf(data, sizeof(data), "{\"n\":%u,\"x\":\"%0700d\"}", i, 0);
                store(w, id, data, "D");
        }
        assert_int_equal(lines_of(w), 20);
}

/* One batch that is larger than a file is spread over several; where the first of them cannot be written nothing is
 * known of it afterwards. */
static void test_large_batch(void **state) {
        const struct rlimit small = { 3000, RLIM_INFINITY }, large = { RLIM_INFINITY, RLIM_INFINITY };
        World *w = *state;
        char ids[20][16], data[20][800];
        Given given[20];
        struct dirent **entries;
        Found found;
        int n;

        close_sink(w);
        w->keys.max_size = 4096;
        w->keys.compress = 1;
        open_sink(w);
        for (unsigned i = 0; i < 20; i++) {
                (void) snprintf(ids[i], sizeof(ids[i]), "n%u", i);
                (void) snprintf(data[i], sizeof(data[i]), "{\"n\":%u,\"x\":\"%0700d\"}", i, 0);
                given[i] = (Given){ ids[i], data[i], NULL };
        }
        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        (void) write_as(w, SINK_STEP_WRITE, given, 20, "PPPPPPPPPPPPPPPPPPPP");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &large), 0);
        (void) write_as(w, SINK_STEP_WRITE, given, 20, "SSSSSSSSSSSSSSSSSSSS");
        found = look(w);
        assert_int_equal(found.lines, 20);
        assert_int_equal(found.packed, 0);
        bytes_done(&found.text);
        n = scandir(w->archive, &entries, NULL, by_name);
        for (int i = 0; i < n; i++) {
                char path[420];
                struct stat status;

                (void) snprintf(path, sizeof(path), "%s/%s", w->archive, entries[i]->d_name);
                assert_int_equal(stat(path, &status), 0);
                assert_true(!S_ISREG(status.st_mode) || status.st_size <= 4096);
                free(entries[i]);
        }
        free(entries);
        (void) write_as(w, SINK_STEP_WRITE, given, 20, "DDDDDDDDDDDDDDDDDDDD");
}

/* A power cut within a write: the whole lines stay, the rest goes, NULs of a file system included. */
static void test_torn(void **state) {
        static const struct {
                const char *text;
                size_t size;
        } tails[] = { { "{\"_id\":\"c\",\"v\"", 14 }, { "\0\0\0\0\0\0", 6 }, { "\0\0\0\n{\"_id\":\"d\"", 14 },
                { "{\"_id\":\"e\",}\n", 13 } };
        World *w = *state;

        store(w, "a", "{\"v\":1}", "S");
        for (size_t i = 0; i < ELEMENTSOF(tails); i++) {
                Found found;

                close_sink(w);
                append_to_last(w, tails[i].text, tails[i].size);
                open_sink(w);
                assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
                found = look(w);
                assert_int_equal(found.lines, 1 + i);
                assert_int_equal(found.text.data[found.text.size - 1], '\n');
                bytes_done(&found.text);
                store(w, "a", "{\"v\":1}", "D");
                store(w, (const char *[]){ "b0", "b1", "b2", "b3" }[i], "{\"v\":1}", "S");
        }
}

/* A power cut kept what was written around a part: lines with holes go out of the way, those that stand after them
 * count. Twice, since what is torn is kept beside. */
static void test_holes(void **state) {
        static const char known[] = "{\"_id\":\"h\",\"pubsub\":{\"sha256\":\"x\"}}\n",
                          torn[] = "\0\0\0\"c\"}\n{\"_id\0\0\"}\n", foreign[] = "# by hand\n";
        World *w = *state;
        char path[420];
        struct stat status;
        Found found;

        for (unsigned i = 1; i <= 2; i++) {
                store(w, i == 1 ? "a" : "b", "{\"v\":1}", "S");
                close_sink(w);
                append_to_last(w, torn, sizeof(torn) - 1);
                append_to_last(w, foreign, sizeof(foreign) - 1);
                append_to_last(w, known, sizeof(known) - 1);
                append_to_last(w, "{\"_id", 5);
                open_sink(w);
                assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
                found = look(w);
                assert_int_equal(found.files, 1);
                assert_int_equal(found.lines, 3 * i);
                assert_null(memchr(found.text.data, '\0', found.text.size));
                assert_memory_equal(found.text.data + found.text.size - sizeof(known) + 1, known, sizeof(known) - 1);
                (void) snprintf(path, sizeof(path), "%s", found.last);
                memcpy(strstr(path, ".ndjson"), ".torn", sizeof(".torn"));
                assert_int_equal(stat(path, &status), 0);
                assert_int_equal(status.st_size, i * (sizeof(torn) - 1));
                assert_int_equal(status.st_mode & 0777, 0640);
                bytes_done(&found.text);
                store(w, "h", "{\"v\":1}", "B");
                store(w, "a", "{\"v\":1}", "D");
        }
}

/* What another process changes is seen: its lines count, and what it took away does not. */
static void test_changed_by_others(void **state) {
        World *w = *state;
        Found found;

        store(w, "a", "{\"v\":1}", "S");
        append_to_last(w, "{\"_id\":\"b\",\"pubsub\":{\"sha256\":\"x\"}}\n", 36);
        store(w, "b", "{\"v\":1}", "B");
        found = look(w);
        assert_int_equal(unlink(found.last), 0);
        bytes_done(&found.text);
        store(w, "a", "{\"v\":1}", "S");
        assert_int_equal(lines_of(w), 1);
}

/* What others put there, or take away, is none of ours: what is known is not read again. A line that nobody can read
 * any more shows it. */
static void test_files_of_others(void **state) {
        World *w = *state;
        char path[420];
        Found found;
        int fd;

        store(w, "a", "{\"v\":1}", "S");
        found = look(w);
        fd = open(found.last, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0 && pwrite(fd, "###", 3, 0) == 3);
        (void) close(fd);
        (void) snprintf(path, sizeof(path), "%s/picture.jpg", w->archive);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void) close(fd);
        store(w, "a", "{\"v\":1}", "D");
        assert_int_equal(unlink(path), 0);
        store(w, "a", "{\"v\":1}", "D");

        (void) snprintf(path, sizeof(path), "%s.copy", found.last); /* another file under its name */
        assert_int_equal(rename(found.last, path), 0);
        fd = open(found.last, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        assert_true(fd >= 0 && write(fd, found.text.data, found.text.size) == (ssize_t) found.text.size);
        (void) close(fd);
        store(w, "b", "{\"v\":2}", "S");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(lines_of(w), 2);
        bytes_done(&found.text);
}

/* It is said once, and storing goes on. */
static void test_directory_removed(void **state) {
        World *w = *state;
        Capture capture;
        char command[200];

        store(w, "a", "{\"v\":1}", "S");
        (void) snprintf(command, sizeof(command), "rm -r %s", w->archive);
        assert_int_equal(system(command), 0);
        capture = capture_begin();
        store(w, "b", "{\"v\":2}", "S");
        store(w, "c", "{\"v\":3}", "S");
        assert_int_equal(count_of(capture_end(&capture), "was removed or moved away while in use"), 1);
        assert_int_equal(lines_of(w), 2);
}

/* Left by a kill between the rename and the unlink, or before the rename. */
static void test_interrupted_compression(void **state) {
        World *w = *state;
        char path[420];
        Found found;
        int fd;

        store(w, "a", "{\"v\":1}", "S");
        found = look(w);
        bytes_done(&found.text);
        (void) snprintf(path, sizeof(path), "%s.gz", found.last);
        close_sink(w);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        (void) close(fd);
        (void) snprintf(path, sizeof(path), "%s/.2026-01-01.ndjson.gz.part", w->archive);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        (void) close(fd);
        open_sink(w);
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
        assert_int_equal(access(path, F_OK), -1);
        store(w, "a", "{\"v\":1}", "D");
        store(w, "b", "{\"v\":1}", "S");
        found = look(w);
        assert_int_equal(found.files, 2);
        assert_int_equal(found.packed, 1);
        assert_int_equal(found.lines, 2);
        bytes_done(&found.text);
}

/* No room: nothing counts as stored, nothing is left of it, and it goes on when there is room. */
static void test_no_room(void **state) {
        World *w = *state;
        const struct rlimit small = { 1000, RLIM_INFINITY }, large = { RLIM_INFINITY, RLIM_INFINITY };
        const Given given[] = { { "b",
                                        "{\"x\":"
                                        "\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
                                        "yyyyyyyyyyyyyyyy\"}",
                                        NULL },
                { "c", "{\"x\":2}", NULL }, { "d", "{\"x\":3}", NULL } };
        SinkWork *work;

        store(w, "a", "{\"v\":1}", "S");
        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        work = write_as(w, SINK_STEP_WRITE, given, 3, "PPP");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &large), 0);
        assert_int_equal(work->answer.fault, SINK_FAULT_PASSING);
        assert_int_equal(lines_of(w), 1);
        store(w, "a", "{\"v\":1}", "D"); /* what stood there before is still known */
        (void) write_as(w, SINK_STEP_WRITE, given, 3, "SSS");
        assert_int_equal(lines_of(w), 4);
}

static void test_unusable(void **state) {
        World *w = *state;
        SinkAnswer answer;
        int fd;

        fd = open(w->archive, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        (void) close(fd);
        answer = probe(w);
        assert_int_equal(answer.fault, SINK_FAULT_PASSING);
        assert_string_equal(answer.reason, "missing");
        assert_int_equal(unlink(w->archive), 0);
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
}

/* P3, P4: killed at any moment, what was said to be stored is there, and each line once. */
static void test_kills(void **state) {
        World *w = *state;
        bool *told = calloc(4000, sizeof(bool));
        unsigned round, n = 0;

        close_sink(w);
        w->keys.max_size = 16384;
        for (round = 0; round < 25; round++) {
                char id[16], data[64], byte;
                int pipes[2];
                pid_t child;

                assert_int_equal(pipe(pipes), 0);
                child = fork();
                if (child == 0) {
                        assert_int_equal(loop_new(&w->loop), 0);
                        open_sink(w);
                        for (unsigned i = n > 5 ? n - 5 : 0;; i++) {
                                (void) snprintf(id, sizeof(id), "n%u", i);
                                (void) snprintf(data, sizeof(data), "{\"n\":%u}", i);
                                store(w, id, data, NULL);
                                if (w->answered->items[0].verdict == SINK_PENDING)
                                        _exit(1);
                                if (write(pipes[1], &i, sizeof(i)) != sizeof(i))
                                        _exit(1);
                        }
                }
                (void) close(pipes[1]);
                for (unsigned i, seen = 0; seen < 10 + round && read(pipes[0], &i, sizeof(i)) == sizeof(i); seen++) {
                        told[i] = true;
                        n = i + 1;
                }
                assert_int_equal(kill(child, SIGKILL), 0);
                assert_int_equal(waitpid(child, NULL, 0), child);
                for (unsigned i; read(pipes[0], &i, sizeof(i)) == sizeof(i);) {
                        told[i] = true;
                        n = i + 1;
                }
                (void) byte;
                (void) close(pipes[0]);
        }
        open_sink(w);
        assert_int_equal(probe(w).fault, SINK_FAULT_NONE);
        Found found = look(w);
        for (unsigned i = 0; i < n; i++) {
                char member[32];
                const char *first, *second;

                (void) snprintf(member, sizeof(member), "{\"_id\":\"n%u\",", i);
                first = memmem(found.text.data, found.text.size, member, strlen(member));
                assert_true(!told[i] || first);
                second = first ? memmem(first + 1, (size_t) (found.text.data + found.text.size - first - 1), member,
                                         strlen(member))
                               : NULL;
                assert_null(second);
        }
        bytes_done(&found.text);
        free(told);
}

static void on_tell(void *userdata, SinkGrade grade, const char *text) {
        *(SinkGrade *) userdata = grade;
}

/* What will be made is well before it is there, however its name is written, or that of the state, which is not there
 * either. */
static void test_check(void **state) {
        static char with_slashes[] = ".//archive//";
        World *w = *state;
        const SinkAdmin *admin = types_sink("file")->admin;
        char *const names[] = { relative, with_slashes };
        char none[400];

        (void) snprintf(none, sizeof(none), "%s//none/", w->directory);
        for (size_t i = 0; i < 2 * ELEMENTSOF(names); i++) {
                SinkGrade grade = SINK_GRADE_FAIL;

                w->config.state_dir = i % 2 ? none : w->directory;
                w->keys.directory = names[i / 2];
                admin->check(&w->config, &(SinkTeller){ on_tell, &grade, NULL });
                assert_int_equal(grade, SINK_GRADE_OK);
        }
        w->config.state_dir = w->directory;
        w->keys.directory = relative;
}

static void test_forgets_oldest(void **state) {
        FileKeys *keys;
        FileKey key;

        assert_int_equal(file_keys_new(100, &keys), 0);
        for (uint64_t i = 0; i < 5000; i++)
                file_keys_add(keys, &(FileKey){ .id = i * 16, .payload = i });
        assert_null(file_keys_find(keys, 0));
        for (uint64_t i = 4900; i < 5000; i++)
                assert_int_equal(file_keys_find(keys, i * 16)->payload, i);
        file_keys_undo(keys, 1000);
        assert_null(file_keys_find(keys, UINT64_C(4999) * 16));
        assert_non_null(file_keys_find(keys, UINT64_C(3999) * 16));
        key = file_key(slice("x"), "", slice("nonsense"));
        assert_int_equal(key.published, 0);
        file_keys_free(keys);
}

/* ---- what cannot be stored ---- */

typedef struct Listed {
        const char *directory;
        unsigned n;
        char id[128], reason[32], data[64], attributes[128];
} Listed;

/* Whether a read keeps the log of what was set apart from being written back to its begin. */
static bool is_log_held(const char *directory) {
        SqlStatement *s = NULL;
        Sql *sql = NULL;
        char path[512];
        bool held;

        (void) snprintf(path, sizeof(path), "%s/" REJECTED_FILE, directory);
        assert_int_equal(sql_open(path, &sql), 0);
        assert_int_equal(sql_prepare(sql, "PRAGMA wal_checkpoint(TRUNCATE)", &s), 0);
        assert_int_equal(sql_step(s), SQL_ROW);
        held = sql_column_int(s, 0) != 0;
        sql_finalize(s);
        sql_close(sql);
        return held;
}

static bool on_row(void *userdata, const SinkRejected *row) {
        Listed *listed = userdata;

        listed->n++;
        assert_false(is_log_held(listed->directory)); /* B6: nor while a pager waits in here */
        (void) snprintf(listed->id, sizeof(listed->id), "%.*s", (int) row->id.size, row->id.data);
        (void) snprintf(listed->reason, sizeof(listed->reason), "%.*s", (int) row->reason.size, row->reason.data);
        (void) snprintf(listed->data, sizeof(listed->data), "%.*s", (int) row->data.size, row->data.data);
        (void) snprintf(listed->attributes, sizeof(listed->attributes), "%s", row->attributes);
        return true;
}

static void test_apart(void **state) {
        World *w = *state;
        const Given given[] = { { "b", "{\"v\":", NULL }, { "b", "{\"v\":", NULL },
                { "c", "other", "2026-11-25T06:27:38.123Z" } };
        RejectedMessage message = {};
        Sql *guest;
        Listed listed = { .directory = w->directory };

        assert_int_equal(rejected_guest_open(w->directory, &guest), -ENOENT);
        (void) write_as(w, SINK_STEP_APART, given, 3, "SSS");
        (void) write_as(w, SINK_STEP_APART, given, 3, "SSS");
        assert_int_equal(rejected_guest_open(w->directory, &guest), 0);
        assert_int_equal(rejected_guest_each(
                                 guest, &(SinkRejectedQuery){ .with_data = true, .each = on_row, .userdata = &listed }),
                0);
        assert_int_equal(listed.n, 2);
        assert_string_equal(listed.id, SUBSCRIPTION ":17@2026-11-25T06:27:38.123Z");
        assert_string_equal(listed.reason, "not_json");
        assert_string_equal(listed.data, "other");
        assert_string_equal(listed.attributes, "{\"key\":\"c\"}");
        assert_int_equal(rejected_guest_message(guest, SUBSCRIPTION ":17", &message), 0);
        assert_true(slice_equal(message.subscription, SUBSCRIPTION));
        assert_true(slice_equal(message.wire.data, "{\"v\":"));
        assert_true(slice_equal(message.wire.attributes[0].value, "b"));
        rejected_message_done(&message);
        assert_int_equal(rejected_guest_drop(guest, SUBSCRIPTION ":17"), 0);
        assert_int_equal(rejected_guest_drop(guest, SUBSCRIPTION ":17"), -ENOENT);
        sql_close(guest);
}

/* Full: the oldest stay, and the sink is down. */
static void test_apart_full(void **state) {
        World *w = *state;
        char own[] = SUBSCRIPTION;
        RejectedKeeper keeper = {
                .state_dir = w->directory, .said = { .subscription = own, .place = "x" }, .rows_max = 2
        };
        WireMessage messages[] = { { .message_id = slice("1") }, { .message_id = slice("2") },
                { .message_id = slice("3") } };
        SinkItem items[] = { { .message = &messages[0], .reason = "not_json" },
                { .message = &messages[1], .reason = "not_json" }, { .message = &messages[2], .reason = "not_json" } };
        SinkWork work = { .items = items, .n = 2 };

        rejected_set_apart(&keeper, &work);
        assert_int_equal(work.answer.fault, SINK_FAULT_NONE);
        work = (SinkWork){ .items = items + 1, .n = 2 };
        items[1].verdict = SINK_PENDING;
        rejected_set_apart(&keeper, &work);
        assert_int_equal(work.answer.fault, SINK_FAULT_LASTING);
        assert_string_equal(work.answer.reason, "rejected_full");
        assert_int_equal(items[1].verdict, SINK_PENDING);
        work = (SinkWork){ .items = items, .n = 2 };
        rejected_set_apart(&keeper, &work);
        assert_int_equal(work.answer.fault, SINK_FAULT_NONE);
}

/* A size that cannot be right does not fill it. An id is printable and nothing else: `rejected replay` is given it. */
static void test_apart_of_odd_size_and_id(void **state) {
        World *w = *state;
        char own[] = SUBSCRIPTION;
        RejectedKeeper keeper = { .state_dir = w->directory, .said = { .subscription = own, .place = "x" } };
        WireMessage messages[] = { { .message_id = slice("1") }, { .message_id = slice("a\xe2\x80\xa8long id") } };
        SinkItem items[] = { { .message = &messages[0], .reason = "not_json" },
                { .message = &messages[1], .reason = "not_json" } };
        SinkWork work = { .items = items, .n = 1 };
        Sql *guest;
        int r;

        rejected_set_apart(&keeper, &work);
        assert_int_equal(rejected_guest_open(w->directory, &guest), 0);
        r = sql_exec(guest, "UPDATE rejected SET size = 9223372036854775807; CREATE TABLE t AS SELECT * FROM rejected;"
                            "UPDATE t SET row = 2, id = '', size = 70000000; INSERT INTO rejected SELECT * FROM t");
        assert_int_equal(r, 0);
        guest = sql_close(guest);
        work = (SinkWork){ .items = items + 1, .n = 1 };
        rejected_set_apart(&keeper, &work);
        assert_int_equal(work.answer.fault, SINK_FAULT_NONE);
        assert_int_equal(items[1].verdict, SINK_STORED);
        assert_int_equal(rejected_guest_open(w->directory, &guest), 0);
        assert_int_equal(rejected_guest_drop(guest, SUBSCRIPTION ":a long id"), 0);
        sql_close(guest);
}

extern const SinkType sink_type_file;

/* A reload lets one wait for the other only where it is the same directory, however long its name is. */
static void test_exclusive(void **state) {
        char text[1000] = "/", names[3][SINK_EXCLUSIVE_MAX];
        FileConfig keys = { .directory = text };
        const SubscriptionConfig config = { .keys = &keys };

        for (size_t i = 0; i < 3; i++) {
                memset(text + 1, 'a', 900);
                text[900] = i < 2 ? 'b' : 'c';
                sink_type_file.exclusive(&config, "/state", names[i]);
        }
        assert_string_equal(names[0], names[1]);
        assert_string_not_equal(names[0], names[2]);
}

/* What is short is not laid to the disk. */
static void test_apart_without_descriptors(void **state) {
        World *w = *state;
        char own[] = SUBSCRIPTION;
        RejectedKeeper keeper = { .state_dir = w->directory, .said = { .subscription = own, .place = "x" } };
        struct rlimit before, none;
        SinkWork work = {};

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ 0, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        rejected_set_apart(&keeper, &work);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(work.answer.cause, CAUSE_MEMORY);
        assert_null(strstr(work.answer.remedy, "disk"));
}

static void *commit_slowly(void *file) {
        Sql *sql = NULL;

        assert_int_equal(sql_open(file, &sql), 0);
        assert_int_equal(sql_begin(sql, true), 0);
        (void) usleep(800000);
        assert_int_equal(sql_end(sql, 0), 0);
        sql_close(sql);
        return NULL;
}

/* One bad message meets all subscriptions at once, and they share the file: on a slow disk, one waits for the commit
 * of another. */
static void test_apart_together(void **state) {
        World *w = *state;
        char own[] = SUBSCRIPTION, file[PATH_MAX];
        RejectedKeeper keeper = { .state_dir = w->directory, .said = { .subscription = own, .place = "x" } };
        WireMessage message = { .message_id = slice("1") };
        SinkItem item = { .message = &message, .reason = "not_json" };
        SinkWork work = { .items = &item };
        pthread_t thread;

        rejected_set_apart(&keeper, &work);
        (void) snprintf(file, sizeof(file), "%s/" REJECTED_FILE, w->directory);
        assert_int_equal(pthread_create(&thread, NULL, commit_slowly, file), 0);
        (void) usleep(200000);
        work.n = 1;
        rejected_set_apart(&keeper, &work);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(work.answer.fault, SINK_FAULT_NONE);
        assert_int_equal(item.verdict, SINK_STORED);
}

/* What a flood leaves unsaid is counted at once, as the last line of it. */
static void test_apart_flood(void **state) {
        World *w = *state;
        char own[] = SUBSCRIPTION, ids[30][8], *said;
        RejectedKeeper keeper = { .state_dir = w->directory, .said = { .subscription = own, .place = "x" } };
        WireMessage messages[30];
        SinkItem items[30];
        SinkWork work = { .items = items, .n = 30 };
        Capture c;

        for (size_t i = 0; i < 30; i++) {
                (void) snprintf(ids[i], sizeof(ids[i]), "%zu", i);
                messages[i] = (WireMessage){ .message_id = slice(ids[i]) };
                items[i] = (SinkItem){ .message = &messages[i], .reason = "not_json" };
        }
        c = capture_begin();
        rejected_set_apart(&keeper, &work);
        said = capture_end(&c);
        assert_int_equal(work.answer.fault, SINK_FAULT_NONE);
        assert_non_null(strstr(said, "Message 0 of " SUBSCRIPTION));
        assert_null(strstr(said, "Message 1 of " SUBSCRIPTION));
        assert_non_null(strstr(said, "29 more messages of " SUBSCRIPTION));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_lines),
                TEST(test_once),
                TEST(test_fallback_id),
                TEST(test_bad),
                TEST(test_rotation),
                TEST(test_large_batch),
                TEST(test_torn),
                TEST(test_holes),
                TEST(test_changed_by_others),
                TEST(test_files_of_others),
                TEST(test_directory_removed),
                TEST(test_interrupted_compression),
                TEST(test_no_room),
                TEST(test_unusable),
                TEST(test_check),
                TEST(test_kills),
                cmocka_unit_test(test_forgets_oldest),
                TEST(test_apart),
                TEST(test_apart_full),
                TEST(test_apart_of_odd_size_and_id),
                cmocka_unit_test(test_exclusive),
                TEST(test_apart_together),
                TEST(test_apart_flood),
                TEST(test_apart_without_descriptors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
