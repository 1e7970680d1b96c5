/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox alone, through power cuts, kills, full and failing disks, and damage:
 *      sim-outbox [--seed N] [--cuts N] [--jobs N] [--world N [--trace]]
 * A world is a fresh disk and some hundred lives on it; all of it follows from the world's number. Ends with 1, and
 * says the world's number, when something is there that must not be, or something is not that must. */

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "outbox-world.h"

#define LIVES_MAX 400 /* of a world */
#define STEPS_MAX 10  /* of a life */

/* ---- time goes on as the world says, for whoever asks the kernel ---- */

static const World *present;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret) {
        usec_t usec = (present ? present->now : 0) + (clock == CLOCK_REALTIME ? 1700000000 * USEC_PER_SEC : 0);

        *ret = (struct timespec){ (time_t) (usec / USEC_PER_SEC), (long) (usec % USEC_PER_SEC) * 1000 };
        return 0;
}

/* ---- connections ---- */

static sqlite3 *connection;

int __real_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs) {
        int code = __real_sqlite3_open_v2(path, ret, flags, vfs);

        if (code == SQLITE_OK && !connection && strcmp(path, WORLD_DIRECTORY "/" OUTBOX_FILE) == 0)
                connection = *ret; /* others come later, and go before */
        return code;
}

static void closes(const sqlite3 *db) {
        if (db == connection)
                connection = NULL;
}

int __real_sqlite3_close(sqlite3 *db);
int __wrap_sqlite3_close(sqlite3 *db);
int __wrap_sqlite3_close(sqlite3 *db) {
        int code = __real_sqlite3_close(db);

        if (code == SQLITE_OK)
                closes(db);
        return code;
}

int __real_sqlite3_close_v2(sqlite3 *db);
int __wrap_sqlite3_close_v2(sqlite3 *db);
int __wrap_sqlite3_close_v2(sqlite3 *db) {
        closes(db);
        return __real_sqlite3_close_v2(db);
}

/* Worlds are too short for a log of 1000 pages, where it goes into the file: for some it seems to have them. */

typedef int (*Hook)(void *userdata, sqlite3 *db, const char *name, int pages);

static Hook committed;

static int on_commit(void *userdata, sqlite3 *db, const char *name, int pages) {
        bool many = present && present->checkpoint > 0 && pages >= present->checkpoint;

        return committed(userdata, db, name, many ? INT_MAX : pages);
}

void *__real_sqlite3_wal_hook(sqlite3 *db, Hook hook, void *userdata);
void *__wrap_sqlite3_wal_hook(sqlite3 *db, Hook hook, void *userdata);
void *__wrap_sqlite3_wal_hook(sqlite3 *db, Hook hook, void *userdata) {
        committed = hook;
        return __real_sqlite3_wal_hook(db, on_commit, userdata);
}

sqlite3 *world_connection(void) {
        return connection;
}

/* ---- deaths ---- */

void world_wrong(World *w, const char *what) {
        if (!w->error[0])
                (void) snprintf(w->error, sizeof(w->error), "%s", what);
}

static void die(World *w) {
        bool by_cut = w->dies_by_cut;

        WORLD_TRACE(w, "  -- %s, call %" PRIu64 "\n", by_cut ? "power cut" : "kill", w->calls);
        if (by_cut)
                disk_cut(w->disk);
        else
                disk_kill(w->disk);
        w->cut |= by_cut;
        w->dies_at = 0;
}

static void on_call(void *userdata, DiskCall call, const char *path, bool done) {
        static const char *const names[] = { "open", "write", "sync", "truncate", "rename", "unlink" };
        World *w = userdata;

        if (done)
                return;
        w->calls++;
        WORLD_TRACE(w, "     %3" PRIu64 " %s %s\n", w->calls, names[call], path);
        if (w->dies_at > 0 && w->calls >= w->dies_at)
                die(w);
}

void world_draw_death(World *w) {
        w->calls = 0;
        w->dies_at = draw_below(&w->draw, 8) == 0 ? 0 : 1 + draw_skewed(&w->draw, 200);
        w->dies_by_cut = draw_below(&w->draw, 5) > 0;
}

/* ---- weather ---- */

void world_fair_weather(World *w) {
        disk_set_faults(w->disk, &DISK_FAULTS_NONE);
        w->failing = false;
}

void world_foul_weather(World *w) {
        DiskFaults faults = DISK_FAULTS_NONE;

        w->failing = w->failed = true;
        w->seen->foul++;
        switch (draw_below(&w->draw, 4)) {
        case 0: /* full, or soon */
                faults.size = disk_used(w->disk) + draw_skewed(&w->draw, 100000);
                break;
        case 1:
                faults.read_only = true;
                break;
        case 2:
                faults.sync_error = 200000;
                faults.sync_forgets = true;
                break;
        default:
                faults.read_error = 5000;
                faults.write_error = 30000;
                faults.sync_error = 100000;
                break;
        }
        WORLD_TRACE(w, "  foul weather: %" PRIu64 " bytes left, read-only %d, errors %u %u %u\n",
                faults.size - disk_used(w->disk), faults.read_only, faults.read_error, faults.write_error,
                faults.sync_error);
        disk_set_faults(w->disk, &faults);
}

/* ---- lives ---- */

static bool open_outbox(World *w) {
        int r = outbox_open(WORLD_DIRECTORY, &w->caps, &w->outbox, NULL);

        if (r < 0 && w->failing && !disk_is_dead(w->disk)) {
                world_fair_weather(w);
                w->now += 3 * USEC_PER_SEC;
                r = outbox_open(WORLD_DIRECTORY, &w->caps, &w->outbox, NULL);
        }
        if (disk_is_dead(w->disk)) {
                w->seen->died_opening++;
                return false;
        }
        if (r == OUTBOX_SALVAGED && !w->opened)
                r = OUTBOX_OK;
        w->opened |= r == OUTBOX_OK;
        if (r == OUTBOX_SALVAGED)
                world_wrong(w, "a file was salvaged that nobody damaged");
        else if (r != OUTBOX_OK)
                world_wrong(w, "it does not open on a good disk");
        return r == OUTBOX_OK;
}

static void work(World *w) {
        uint64_t steps = draw_below(&w->draw, STEPS_MAX);

        world_look(w);
        for (uint64_t i = 0; i < steps && !disk_is_dead(w->disk) && !w->error[0]; i++) {
                if (draw_below(&w->draw, 20) == 0)
                        world_foul_weather(w);
                else if (w->failing && draw_below(&w->draw, 3) == 0) {
                        world_fair_weather(w);
                        w->now += 3 * USEC_PER_SEC;
                }
                if (w->unseen) /* it could not be looked at */
                        world_look(w);
                else
                        world_step(w);
                world_check_counts(w);
        }
}

static void live(World *w) {
        w->seen->lives++;
        disk_mount(w->disk);
        world_fair_weather(w);
        w->failed = false;
        w->unseen = true;
        w->refused = 0;
        world_draw_death(w);
        WORLD_TRACE(w, " life %" PRIu64 "\n", w->seen->lives);
        if (draw_below(&w->draw, 16) == 0)
                world_foul_weather(w);
        if (open_outbox(w)) {
                work(w);
                w->seen->died_working += disk_is_dead(w->disk);
        }
        if (!disk_is_dead(w->disk) && draw_below(&w->draw, 4)) {
                w->seen->died_idle++;
                die(w);
        }
        w->outbox = outbox_close(w->outbox);
        w->seen->ended_clean += !disk_is_dead(w->disk);
        if (!disk_is_dead(w->disk) && w->dies_at == 0) {
                w->dies_by_cut = draw_below(&w->draw, 2);
                die(w);
        }
}

static void world_begin(World *w) {
        DiskFaults faults = DISK_FAULTS_NONE;
        Draw own = { w->number ^ 9 };
        int fd;

        w->draw = (Draw){ w->number };
        w->now = 1000 * USEC_PER_SEC;
        w->guests = draw_below(&w->draw, 3) == 0;
        w->caps = (OutboxConfig){ 20 + draw_below(&w->draw, 100), 10000 + draw_below(&w->draw, 1000000) };
        w->checkpoint = draw_below(&own, 2) ? 0 : (int) draw_between(&own, 2, 60);
        w->disk = disk_new(WORLD_ROOT, draw(&w->draw));
        disk_set_faults(w->disk, &faults);
        disk_mount(w->disk);
        if (mkdir(WORLD_DIRECTORY, 0750) < 0)
                abort();
        fd = open(WORLD_ROOT, O_RDONLY | O_DIRECTORY);
        if (fd < 0 || fsync(fd) < 0)
                abort();
        (void) close(fd);
        disk_set_hook(w->disk, on_call, w);
        present = w;
}

static void add_up(WorldSeen *seen, DiskCounts *disk, const World *w) {
        const uint64_t *from = (const uint64_t *) disk_counts(w->disk);
        uint64_t *to = (uint64_t *) disk;

        for (size_t i = 0; i < sizeof(DiskCounts) / sizeof(uint64_t); i++)
                to[i] += from[i];
        seen->came_back += w->book.came_back;
        seen->filled += w->book.filled;
        seen->undone += w->book.undone;
        seen->resurrected += w->book.resurrected;
}

/* False when something was wrong. */
static bool world_run(uint64_t number, bool trace, WorldSeen *seen, DiskCounts *disk) {
        World *w = calloc(1, sizeof(World));
        bool right;

        if (!w)
                abort();
        w->number = number;
        w->trace = trace;
        w->seen = seen;
        world_begin(w);
        seen->worlds++;
        for (unsigned i = 0; i < LIVES_MAX && !w->error[0] && !book_is_full(&w->book); i++) {
                live(w);
                if (!w->error[0] && draw_below(&w->draw, 120) == 0) {
                        world_damage(w);
                        break;
                }
        }
        right = !w->error[0];
        if (!right)
                (void) printf("FAILED in world %" PRIu64 ", life %" PRIu64 ": %s\n  again: sim-outbox --world %" PRIu64
                              " --trace\n",
                        number, seen->lives, w->error, number);
        add_up(seen, disk, w);
        present = NULL;
        w->disk = disk_free(w->disk);
        free(w);
        return right;
}

/* ---- many worlds ---- */

typedef struct Share {
        WorldSeen seen;
        DiskCounts disk;
        uint64_t wrong;
} Share;

static void run_share(Share *share, uint64_t seed, uint64_t cuts) {
        Draw d = { seed };

        while (share->disk.cuts < cuts && share->wrong == 0)
                share->wrong += !world_run(draw(&d), false, &share->seen, &share->disk);
}

#define ROW(struct_, name)                                                                                             \
        { #name, offsetof(Share, struct_.name) }

static void report(const Share *shares, unsigned n) {
        static const struct {
                const char *name;
                size_t at;
        } rows[] = {
                ROW(disk, cuts),
                ROW(disk, kills),
                ROW(disk, sectors_lost),
                ROW(disk, sectors_kept),
                ROW(disk, sectors_torn),
                ROW(disk, names_lost),
                ROW(disk, names_kept),
                ROW(disk, errors),
                ROW(disk, full),
                ROW(seen, worlds),
                ROW(seen, lives),
                ROW(seen, steps),
                ROW(seen, puts),
                ROW(seen, readings),
                ROW(seen, repeats),
                ROW(seen, forgets),
                ROW(seen, forgotten),
                ROW(seen, rejects),
                ROW(seen, replays),
                ROW(seen, drops),
                ROW(seen, settles),
                ROW(seen, died_opening),
                ROW(seen, died_working),
                ROW(seen, died_idle),
                ROW(seen, ended_clean),
                ROW(seen, foul),
                ROW(seen, failed_puts),
                ROW(seen, failed_others),
                ROW(seen, full),
                ROW(seen, retried),
                ROW(seen, no_room),
                ROW(seen, undone),
                ROW(seen, came_back),
                ROW(seen, resurrected),
                ROW(seen, filled),
                ROW(seen, damages),
                ROW(seen, salvages),
                ROW(seen, died_salvaging),
                ROW(seen, selected),
                ROW(seen, carried),
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                uint64_t sum = 0;

                for (unsigned k = 0; k < n; k++)
                        sum += *(const uint64_t *) ((const char *) &shares[k] + rows[i].at);
                (void) printf("%-16s %" PRIu64 "%s\n", rows[i].name, sum, sum == 0 ? "   NEVER SEEN" : "");
        }
}

static int run_all(uint64_t seed, uint64_t cuts, unsigned jobs) {
        Share *shares = mmap(NULL, jobs * sizeof(Share), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        int status, result = 0;

        if (shares == MAP_FAILED)
                abort();
        (void) printf("seed %" PRIu64 "\n", seed);
        (void) fflush(stdout);
        for (unsigned i = 0; i < jobs; i++)
                if (fork() == 0) {
                        run_share(&shares[i], seed + i, cuts / jobs);
                        (void) fflush(stdout);
                        _exit(shares[i].wrong > 0);
                }
        while (wait(&status) > 0)
                result |= status != 0;
        report(shares, jobs);
        return result;
}

static void set_up(void) {
        (void) sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
        (void) sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
        log_set_level(LOG_EMERG);
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "seed", required_argument, NULL, 's' },
                { "cuts", required_argument, NULL, 'c' }, { "jobs", required_argument, NULL, 'j' },
                { "world", required_argument, NULL, 'w' }, { "trace", no_argument, NULL, 't' }, {} };
        uint64_t seed = (uint64_t) time(NULL), cuts = 20000, world = 0;
        WorldSeen seen = {};
        DiskCounts disk = {};
        unsigned jobs = 1;
        bool trace = false;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 's':
                        seed = strtoull(optarg, NULL, 10);
                        break;
                case 'c':
                        cuts = strtoull(optarg, NULL, 10);
                        break;
                case 'j':
                        jobs = (unsigned) strtoul(optarg, NULL, 10);
                        break;
                case 'w':
                        world = strtoull(optarg, NULL, 10);
                        break;
                case 't':
                        trace = true;
                        break;
                default:
                        return 64;
                }
        set_up();
        if (world > 0)
                return !world_run(world, trace, &seen, &disk);
        return run_all(seed, cuts, jobs > 0 ? jobs : 1);
}
