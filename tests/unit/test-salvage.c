/* SPDX-License-Identifier: Apache-2.0 */
/* A salvage that takes long: what the service manager hears meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "lib/sql.h"
#include "publish/outbox-file.h"

typedef struct Fixture {
        char directory[64], file[128];
        int notify;
        pthread_t listener;
        unsigned asked; /* how often for more time; to be read when the listener has ended */
} Fixture;

static void *listen_to_it(void *userdata) {
        Fixture *f = userdata;
        char text[64];

        while (recv(f->notify, text, sizeof(text), 0) > 3)
                f->asked += strncmp(text, "EXTEND_TIMEOUT_USEC=", strlen("EXTEND_TIMEOUT_USEC=")) == 0;
        return NULL;
}

static int setup(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Fixture *f = calloc(1, sizeof(Fixture));

        assert_non_null(f);
        (void) snprintf(f->directory, sizeof(f->directory), "/tmp/test-salvage.XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        (void) snprintf(f->file, sizeof(f->file), "%s/" OUTBOX_FILE, f->directory);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", f->directory);
        f->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(f->notify, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        assert_int_equal(pthread_create(&f->listener, NULL, listen_to_it, f), 0);
        *state = f;
        return 0;
}

/* How often more time was asked for; nobody listens from now on. */
static unsigned times_asked(Fixture *f) {
        assert_int_equal(sd_notify(true, "END"), 1);
        assert_int_equal(pthread_join(f->listener, NULL), 0);
        return f->asked;
}

static int teardown(void **state) {
        Fixture *f = *state;
        char command[128];

        (void) close(f->notify);
        (void) snprintf(command, sizeof(command), "rm -rf %s", f->directory);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

static void make_file(const Fixture *f, int64_t *ret_root) {
        _cleanup_(sql_closep) Sql *sql = NULL;

        assert_int_equal(outbox_file_open(f->directory, 0, false, &sql, NULL), OUTBOX_OK);
        assert_int_equal(outbox_file_query_int(sql, "SELECT rootpage FROM sqlite_master WHERE name = 'readings'", ret_root), 0);
}

/* Nothing of the table can be read, so every id is tried: on a slow machine, or a disk that tries each read for seconds, that takes longer
 * than a watchdog waits, and the next start would end in the same way. */
static void test_asks_for_time_while_it_probes(void **state) {
        Fixture *f = *state;
        _cleanup_(sql_closep) Sql *sql = NULL;
        OutboxSalvage salvage = {};
        char junk[4096];
        int64_t root;
        int fd;

        make_file(f, &root);
        memset(junk, 0xa5, sizeof(junk));
        fd = open(f->file, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, junk, sizeof(junk), (off_t) (root - 1) * (off_t) sizeof(junk)), sizeof(junk));
        assert_int_equal(close(fd), 0);

        assert_int_equal(outbox_file_open(f->directory, 1000000, true, &sql, &salvage), OUTBOX_SALVAGED);
        assert_int_equal(salvage.rows, 0);
        assert_true(times_asked(f) >= 2); /* once at the begin */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_asks_for_time_while_it_probes, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
