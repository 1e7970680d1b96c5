/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd rejected replay` into a sink that does not answer: its thread may go on after the verb has given up. */
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "config-fixture.h"
#include "said.h"
#include "sinks/file.h"
#include "subscribe/rejected.h"
#include "types.h"

#define SUBSCRIPTION "projects/my-project/subscriptions/archive"
#define TEXT "{\"text\":\"a message that is still whole after the wait\"}"

extern __typeof__(clock_now) __real_clock_now;
extern __typeof__(file_archive_lock) __real_file_archive_lock;
__typeof__(clock_now) __wrap_clock_now;
__typeof__(file_archive_lock) __wrap_file_archive_lock;

static atomic_uint locks;
static atomic_bool waits;
static int goes_on[2];

/* A minute is over as soon as the sink waits. */
usec_t __wrap_clock_now(void) {
        return __real_clock_now() + (atomic_load(&waits) ? 2 * USEC_PER_MINUTE : 0);
}

/* The first is for the probe, the second for the message. */
int __wrap_file_archive_lock(FileArchive *archive, FileKeys *keys, usec_t told) {
        char c;

        if (atomic_fetch_add(&locks, 1) == 1) {
                atomic_store(&waits, true);
                assert_int_equal(read(goes_on[0], &c, 1), 1);
        }
        return __real_file_archive_lock(archive, keys, told);
}

static void set_apart(char *state_dir) {
        static char own[] = SUBSCRIPTION;
        RejectedKeeper keeper = { .state_dir = state_dir,
                .said = { .subscription = own, .place = "x", .where = REJECTED_FILE } };
        WireMessage message = { .message_id = slice_of("17"), .data = slice_of(TEXT) };
        SinkItem item = { .message = &message, .reason = "odd" };
        SinkWork work = { .items = &item, .n = 1 };

        rejected_set_apart(&keeper, &work);
        assert_int_equal(item.verdict, SINK_STORED);
}

/* Waits for the line of the archive. */
static void read_line(const char *directory, char line[static 1024]) {
        struct stat status;
        char command[256];
        FILE *found;

        (void) snprintf(command, sizeof(command), "cat %s/archive/*.ndjson 2>/dev/null", directory);
        for (unsigned i = 0; i < 500; i++) {
                line[0] = '\0';
                found = popen(command, "re");
                assert_non_null(found);
                line[fread(line, 1, 1023, found)] = '\0';
                (void) pclose(found);
                if (strchr(line, '\n'))
                        return;
                (void) poll(NULL, 0, 20);
        }
        fail_msg("nothing was written: %d", stat(directory, &status));
}

static void test_stuck(void **state) {
        char directory[] = "/tmp/test-rejected-XXXXXX", line[1024], command[64];
        _cleanup_bytes_ Bytes text = {};
        ConfigErrors errors = {};
        Config *config = NULL;
        Said said;

        assert_non_null(mkdtemp(directory));
        assert_int_equal(pipe2(goes_on, O_CLOEXEC), 0);
        set_apart(directory);
        assert_int_equal(bytes_append_format(&text,
                                 "state_dir: %s\npubsub: {project: my-project}\nsubscribe:\n"
                                 "  - {subscription: archive, file: {directory: %s/archive}}\n",
                                 directory, directory),
                0);
        assert_int_equal(config_parse(&(ConfigInput){ .path = "/f.yaml", .types = &types_of_config }, text.data,
                                 text.size, &config, &errors),
                0);

        said_rejected(config, "replay", NULL, &said);
        assert_int_equal(said.code, EX_UNAVAILABLE);
        assert_string_equal(said.out, "FAIL  " SUBSCRIPTION ":17  no answer in time; try again\n");
        assert_int_equal(write(goes_on[1], "x", 1), 1);
        read_line(directory, line);
        assert_non_null(strstr(line, "a message that is still whole after the wait"));
        assert_non_null(strstr(line, "\"message_id\":\"17\""));

        atomic_store(&waits, false);
        said_rejected(config, "replay", SUBSCRIPTION ":17", &said);
        assert_int_equal(said.code, EX_OK);
        assert_string_equal(said.out, "ok    " SUBSCRIPTION ":17  was stored already\n");
        config_unref(config);
        (void) snprintf(command, sizeof(command), "rm -r %s", directory);
        assert_int_equal(system(command), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_stuck) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
