/* SPDX-License-Identifier: Apache-2.0 */
/* sim [--seeds A..B | --seed N] [--hours H] [--faults N] [--trace] [--counts] [--home]: runs seeds one after the other,
 * a line for each that fails. Exit 1 when one did. Used by tests/sim/run. */
#include <getopt.h>
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "broker.h"
#include "counts.h"
#include "latest.h"
#include "lib/crypto.h"
#include "life.h"
#include "plan.h"
#include "points.h"
#include "pushers.h"

#define ARENA_SIZE (UINT64_C(16) << 30) /* most of it is never touched */

typedef struct Options {
        uint64_t first, last;
        bool counts, digests, stop;
        RunOptions run;
} Options;

static void usage(void) {
        fprintf(stderr, "usage: sim [--seeds A..B | --seed N] [--hours H] [--faults N] [--trace] [--digests] "
                        "[--counts] [--home] [--stop]\n");
        exit(64);
}

static void read_range(const char *text, Options *o) {
        if (sscanf(text, "%" SCNu64 "..%" SCNu64, &o->first, &o->last) != 2 || o->first > o->last)
                usage();
}

static Options read_options(int argc, char **argv) {
        static const struct option options[] = { { "seeds", 1, NULL, 's' }, { "seed", 1, NULL, 'n' },
                { "hours", 1, NULL, 'h' }, { "faults", 1, NULL, 'f' }, { "trace", 0, NULL, 't' },
                { "counts", 0, NULL, 'c' }, { "digests", 0, NULL, 'd' }, { "home", 0, NULL, 'm' },
                { "stop", 0, NULL, 'x' }, {} };
        Options o = { .first = 1, .last = 1, .run = { .hours = 24 * USEC_PER_HOUR, .fault_limit = UINT64_MAX } };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
                switch (c) {
                case 's':
                        read_range(optarg, &o);
                        break;
                case 'n':
                        o.first = o.last = strtoull(optarg, NULL, 10);
                        break;
                case 'h':
                        o.run.hours = (usec_t) (strtod(optarg, NULL) * (double) USEC_PER_HOUR);
                        break;
                case 'f':
                        o.run.fault_limit = strtoull(optarg, NULL, 10);
                        break;
                case 't':
                        o.run.tracing = true;
                        break;
                case 'c':
                        o.counts = true;
                        break;
                case 'd':
                        o.digests = true;
                        break;
                case 'm':
                        o.run.home = true;
                        break;
                case 'x':
                        o.stop = true;
                        break;
                default:
                        usage();
                }
        if (optind != argc)
                usage();
        return o;
}

static FILE *create(const char *directory, const char *name) {
        char path[512];
        FILE *file;

        (void) snprintf(path, sizeof(path), "%s/%s", directory, name);
        file = fopen(path, "w");
        if (!file) {
                perror(path);
                exit(70);
        }
        return file;
}

/* As Google writes it, but for the key itself, which nobody looks at: doors-small.c. */
static void write_key(const char *directory) {
        FILE *file = create(directory, "key.json");

        fprintf(file, "{\"type\":\"service_account\",\"client_email\":\"sim@sim.example\",\"private_key_id\":\"1\","
                      "\"token_uri\":\"https://oauth2.googleapis.com/token\",\"private_key\":\"-----BEGIN PRIVATE "
                      "KEY-----\"}\n");
        (void) fclose(file);
}

static void write_secret(const char *directory, const char *name, const char *text) {
        FILE *file = create(directory, name);

        fprintf(file, "%s\n", text);
        (void) fclose(file);
}

static const char *make_directory(void) {
        static char directory[] = "/dev/shm/sensorqd-sim-XXXXXX";

        if (!mkdtemp(directory)) {
                perror(directory);
                exit(70);
        }
        write_key(directory);
        write_secret(directory, "remo.token", "remo-token");
        write_secret(directory, "broker.password", BROKER_PASSWORD);
        write_secret(directory, "push.token", PUSHERS_TOKEN);
        write_secret(directory, "points.refresh", POINTS_FIRST);
        write_secret(directory, "latest.secret", LATEST_SECRET);
        write_secret(directory, "line.token", PLAN_LINE_TOKEN);
        write_secret(directory, "slack.url", "https://hooks.slack.example/services/" PLAN_SLACK_PATH);
        write_secret(directory, "discord.url", "https://discord.example/api/webhooks/1/" PLAN_DISCORD_PATH "/slack");
        write_secret(directory, "ntfy.token", PLAN_NTFY_TOKEN);
        return directory;
}

static void remove_directory(const char *directory) {
        char command[128];

        (void) snprintf(command, sizeof(command), "rm -rf %s", directory);
        if (system(command) != 0)
                fprintf(stderr, "%s cannot be removed\n", directory);
}

static bool run_one(uint64_t seed, const Options *o) {
        RunResult result;

        run_seed(seed, &o->run, &result);
        if (o->digests)
                printf("DIGEST %" PRIu64 " %016" PRIx64 " %" PRIu64 " %" PRIu64 "\n", seed, result.digest, result.steps,
                        result.faults);
        if (result.failed)
                printf("FAILED %" PRIu64 " %" PRIu64 " %s\n", seed, result.faults, result.failure);
        fflush(stdout);
        counts_add("seeds");
        counts_add_n("seconds", result.span / USEC_PER_SEC);
        return !result.failed;
}

/* What each life would have to make ready anew otherwise, and what it would give back and take again. */
static void warm_up(void) {
        char hash[SHA256_HEX_SIZE];

        (void) mallopt(M_MMAP_THRESHOLD, 256 << 10); /* what is larger is mostly empty, and zeroed by the kernel */
        (void) mallopt(M_TRIM_THRESHOLD, 256 << 20);
        (void) mallopt(M_TOP_PAD, 256 << 10);
        (void) crypto_sha256_hex("", 0, hash);
        if (sqlite3_initialize() != SQLITE_OK)
                abort();
}

/* Once more with symbols looked up at the start, not in each life. */
static void start_again(char **argv) {
        if (getenv("LD_BIND_NOW"))
                return;
        (void) setenv("LD_BIND_NOW", "1", 1);
        (void) execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
        Options o = read_options(argc, argv);
        bool good = true;

        start_again(argv);
        (void) setenv("TZ", "UTC", 1);
        (void) unsetenv("PUBSUB_EMULATOR_HOST");
        (void) unsetenv("RUNTIME_DIRECTORY");
        (void) unsetenv("CREDENTIALS_DIRECTORY");
        warm_up();
        arena_open(ARENA_SIZE);
        counts_open();
        o.run.directory = make_directory();
        for (uint64_t seed = o.first; seed <= o.last && (good || !o.stop); seed++)
                good = run_one(seed, &o) && good;
        if (o.counts)
                counts_print(stdout);
        remove_directory(o.run.directory);
        return good ? 0 : 1;
}
