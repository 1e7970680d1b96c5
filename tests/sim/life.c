/* SPDX-License-Identifier: Apache-2.0 */
#include "life.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alert-targets.h"
#include "alerts.h"
#include "archive.h"
#include "arena.h"
#include "config.h"
#include "counts.h"
#include "daemon.h"
#include "disk.h"
#include "doors.h"
#include "ledger.h"
#include "mongo.h"
#include "peer.h"
#include "plan.h"
#include "pubsub.h"
#include "remotes.h"
#include "sources.h"
#include "talk.h"
#include "types.h"
#include "weather.h"

#define STOP_MAX (16 * USEC_PER_SEC)          /* P8: 15 s, and the turn after them */
#define PATIENCE (15 * USEC_PER_MINUTE)       /* after the last fault, for all to be stored, ... */
#define RETRY_AFTER_MAX (5 * USEC_PER_MINUTE) /* ... and the longest wait that a remote asks for */
#define LOOK_EVERY (10 * USEC_PER_SEC)
#define NOT_STARTED_MAX 1000

/* ---- a daemon ---- */

static unsigned count_descriptors(void) {
        DIR *directory = opendir("/proc/self/fd");
        unsigned n = 0;

        while (directory && readdir(directory))
                n++;
        if (directory)
                (void) closedir(directory);
        return n;
}

static int live_through(void) {
        Config *config = NULL;
        ConfigErrors errors = {};
        Daemon *daemon = NULL;
        int r;

        if (config_load(&(ConfigInput){ plan_config_path(), &types_of_config }, &config, &errors) < 0)
                world_fail("the configuration is refused: %s", errors.n > 0 ? errors.texts[0] : "");
        r = daemon_new(config, false, &daemon);
        config_unref(config);
        if (r != 0)
                return world_trace("not started: %d", r), LIFE_NOT_STARTED;
        r = daemon_run(daemon);
        if (r < 0 && world->disk_bad_until > 0)
                return LIFE_NOT_STARTED;
        if (r != 0)
                world_fail("the daemon ends with %d", r);
        if (world->stopped_at == 0)
                world_fail("the daemon ends without being asked to");
        if (world->now - world->stopped_at > STOP_MAX + (world->asleep - world->stopped_asleep))
                world_fail("the stop took %" PRIu64 " s", (world->now - world->stopped_at) / USEC_PER_SEC);
        (void) daemon_free(daemon);
        return LIFE_STOPPED;
}

static void on_disk(void *userdata, DiskCall call, const char *path, bool done) {
        static const char *const names[_DISK_CALL_MAX] = { "disk open", "disk write", "disk sync", "disk truncate",
                "disk rename", "disk unlink" };

        world_door_of(names[call], done ? " done" : " start");
}

static int live(void) {
        unsigned before = count_descriptors(), after;
        int r;

        talk_begin();
        alerts_begin();
        disk_mount(world->disk);
        disk_set_hook(world->disk, on_disk, NULL);
        r = live_through();
        disk_set_hook(world->disk, NULL, NULL);
        after = count_descriptors();
        if (r == LIFE_STOPPED && after != before && !door_worker_is_busy())
                world_fail("%u descriptors are open after the end, %u before the start", after, before);
        return r;
}

/* What is left of it: the disk. */
static void after_life(int end) {
        int archive = plan_subscription(SINK_FILE);

        if (end != LIFE_CUT)
                return disk_kill(world->disk);
        disk_cut(world->disk);
        if (archive >= 0)
                archive_forget((unsigned) archive);
}

/* The daemon's process. Returns how it ended. */
static int fork_life(void) {
        int status;
        pid_t pid;

        world->life = ++world->lives;
        world->stopped_at = 0;
        plan_start();
        world_trace("a daemon starts");
        fflush(NULL);
        pid = fork();
        if (pid < 0) {
                perror("fork");
                exit(70);
        }
        if (pid == 0) {
                int r = live();

                fflush(NULL);
                _exit(r);
        }
        while (waitpid(pid, &status, 0) < 0)
                ;
        world->life = 0;
        world->death_in = 0;
        world->ahead = 0;
        after_life(WIFEXITED(status) ? WEXITSTATUS(status) : LIFE_FAILED);
        if (WIFSIGNALED(status))
                world_fail("the daemon died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
        return WEXITSTATUS(status);
}

/* ---- the end ---- */

static bool is_all_well(void) {
        if (plan_subscription(SINK_FILE) >= 0)
                archive_look((unsigned) plan_subscription(SINK_FILE));
        return ledger_missing() == 0 && pubsub_backlog() == 0 && talk_open() == 0 && alerts_settled() &&
               sources_settled();
}

/* *number*: until when all must be stored. */
static void on_look(void *subject, uint64_t number) {
        if (world->life != 0 && is_all_well()) {
                world->phase = PHASE_OVER;
                world_trace("all is stored");
                return plan_stop();
        }
        if (world->now >= number) {
                ledger_check();
                alerts_check();
                talk_check();
                sources_check();
                world_fail("%zu messages are not acknowledged though all is well", pubsub_backlog());
        }
        world_in(LOOK_EVERY, on_look, NULL, number, 0);
}

static void on_calm(void *subject, uint64_t number) {
        world_trace("calm: no fault from now on");
        world->phase = PHASE_CALM;
        plan_calm();
        world_in(LOOK_EVERY, on_look, NULL, world->now + PATIENCE + RETRY_AFTER_MAX + plan_interval(), 0);
}

/* ---- the run ---- */

/* With state_dir on it, durably. */
static void make_disk(uint64_t seed) {
        int fd;

        world->disk = disk_new("/sim", seed);
        disk_mount(world->disk);
        if (mkdir(PLAN_STATE, 0700) < 0)
                abort();
        fd = open("/sim", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                abort();
        (void) close(fd);
}

static usec_t draw_downtime(int end) {
        if (world->phase != PHASE_WEATHER)
                return USEC_PER_SEC;
        switch (end) {
        case LIFE_NOT_STARTED:
                return 5 * USEC_PER_SEC + draw_below(&world->chance, 55 * USEC_PER_SEC);
        case LIFE_CUT:
                return 10 * USEC_PER_SEC + draw_skewed(&world->chance, USEC_PER_HOUR);
        case LIFE_STOPPED:
                return USEC_PER_SEC + draw_skewed(&world->chance, USEC_PER_HOUR);
        default:
                return 100 * USEC_PER_MSEC + draw_skewed(&world->chance, 10 * USEC_PER_MINUTE);
        }
}

static void run_world(void) {
        unsigned not_started = 0;
        usec_t until;

        for (;;) {
                int end = fork_life();

                if (end == LIFE_FAILED)
                        return;
                not_started = end == LIFE_NOT_STARTED ? not_started + 1 : 0;
                if (not_started > NOT_STARTED_MAX)
                        world_fail("the daemon does not start");
                if (end == LIFE_STOPPED && world->phase == PHASE_OVER)
                        return ledger_check();
                until = world->now + draw_downtime(end);
                if (world->phase == PHASE_WEATHER && until > world->end + USEC_PER_SEC)
                        until = world->end + USEC_PER_SEC; /* whoever is away comes back in the calm */
                world_pass(until);
        }
}

static void make_world(uint64_t seed, const RunOptions *options) {
        arena_reset();
        world_new(seed);
        world->fault_limit = options->fault_limit;
        world->tracing = options->tracing;
        world->home = options->home;
        world->end = world->now + options->hours;
        make_disk(seed);
        plan_new(options->directory);
        weather_new();
        remotes_new();
        mongo_new();
        pubsub_new(plan_subscriptions());
        peer_new();
        ledger_new(plan_subscriptions());
        talk_new();
        alerts_new();
        alert_targets_new();
        world_at(world->end, on_calm, NULL, 0, 0);
}

void run_seed(uint64_t seed, const RunOptions *options, RunResult *ret) {
        make_world(seed, options);
        if (setjmp(world_escape) == 0)
                run_world();
        *ret = (RunResult){ .failed = world->failed,
                .digest = world->digest,
                .faults = world->faults,
                .steps = world->steps,
                .span = world->now - WORLD_BOOT };
        memcpy(ret->failure, world->failure, sizeof(ret->failure));
        ledger_tell();
        counts_add_n("doors passed", world->calls);
        counts_add_n("faults", world->faults);
        counts_add_n("lives", world->lives);
}
