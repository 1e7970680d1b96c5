/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/service.h"

/* What systemd says that we run in; NULL: it does not know of us. */
static const char *system_unit, *user_unit;
int __wrap_sd_pid_get_unit(pid_t pid, char **unit);
int __wrap_sd_pid_get_user_unit(pid_t pid, char **unit);

int __wrap_sd_pid_get_unit(pid_t pid, char **unit) {
        *unit = system_unit ? strdup(system_unit) : *unit;
        return system_unit ? 0 : -ENODATA;
}

int __wrap_sd_pid_get_user_unit(pid_t pid, char **unit) {
        *unit = user_unit ? strdup(user_unit) : *unit;
        return user_unit ? 0 : -ENXIO;
}

typedef struct Fixture {
        char directory[64], lock[80];
        int fd; /* plays the service manager */
        char message[1024];
} Fixture;

static int set_up(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        static Fixture f;

        (void) snprintf(f.directory, sizeof(f.directory), "/tmp/test-service.XXXXXX");
        assert_non_null(mkdtemp(f.directory));
        (void) snprintf(f.lock, sizeof(f.lock), "%s/lock", f.directory);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", f.directory);
        f.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(f.fd >= 0);
        assert_int_equal(bind(f.fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        *state = &f;
        return 0;
}

static int tear_down(void **state) {
        char path[80];
        Fixture *f = *state;

        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        (void) close(f->fd);
        (void) snprintf(path, sizeof(path), "%s/notify", f->directory);
        assert_int_equal(unlink(path), 0);
        (void) unlink(f->lock);
        assert_int_equal(rmdir(f->directory), 0);
        return 0;
}

/* The message that has been sent, "" without one. */
static const char *received(Fixture *f) {
        ssize_t n = recv(f->fd, f->message, sizeof(f->message) - 1, MSG_DONTWAIT);

        f->message[n > 0 ? n : 0] = '\0';
        return f->message;
}

static uint64_t monotonic(void) {
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static void test_ready_and_stopping(void **state) {
        usec_t told;

        assert_true(service_ready());
        assert_string_equal(received(*state), "READY=1");
        service_stopping();
        assert_string_equal(received(*state), "STOPPING=1");
        service_working(NULL);
        assert_string_equal(received(*state), "EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1");
        told = clock_now();
        service_working(&told);
        assert_string_equal(received(*state), ""); /* a moment ago */
        told -= USEC_PER_SEC;
        service_working(&told);
        assert_string_equal(received(*state), "EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1");
        assert_true(told + USEC_PER_SEC / 4 > clock_now());
}

static void test_reloading(void **state) {
        uint64_t before = monotonic(), at = 0;

        assert_true(service_reloading());
        assert_int_equal(sscanf(received(*state), "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &at), 1);
        assert_true(at >= before && at <= monotonic());
}

static void test_status(void **state) {
        char last[32] = "";

        service_status("12 queued", last, sizeof(last));
        assert_string_equal(received(*state), "STATUS=12 queued");
        service_status("12 queued", last, sizeof(last));
        assert_string_equal(received(*state), "");
        service_status("13 queued", last, sizeof(last));
        assert_string_equal(received(*state), "STATUS=13 queued");
        assert_string_equal(last, "13 queued");
}

/* Without a descriptor nothing can be told: it is told later. */
static void test_no_descriptor(void **state) {
        struct rlimit before, none;
        char last[32] = "";

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ 0, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_false(service_ready());
        assert_false(service_reloading());
        service_status("12 queued", last, sizeof(last));
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_string_equal(received(*state), "");
        assert_true(service_ready());
        assert_string_equal(received(*state), "READY=1");
        service_status("12 queued", last, sizeof(last));
        assert_string_equal(received(*state), "STATUS=12 queued");
}

/* What a remote says cannot claim that we are ready, and no character is cut in half. */
static void test_status_is_one_line(void **state) {
        char last[12] = "";

        service_status("a\nREADY=1", last, sizeof(last));
        assert_string_equal(received(*state), "STATUS=a READY=1");
        service_status("temperature", last, sizeof(last));
        assert_string_equal(received(*state), "STATUS=temperature");
        service_status("temperatures", last, sizeof(last));
        assert_string_equal(received(*state), ""); /* the same, as far as it fits */
        service_status("0123456789\xe6\x97\xa5", last, sizeof(last));
        assert_string_equal(received(*state), "STATUS=0123456789");
        service_status("01234567\xe6\x97\xa5", last, sizeof(last));
        assert_string_equal(received(*state), "STATUS=01234567\xe6\x97\xa5");
}

static void test_no_manager(void **state) {
        char last[32] = "";

        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_true(service_ready());
        assert_true(service_reloading());
        service_status("x", last, sizeof(last));
        service_stopping();
        service_working(NULL);
        assert_string_equal(received(*state), "");
}

static void test_signals(void **state) {
        sigset_t before, now;

        assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
        assert_int_equal(service_block_signals(), 0);
        assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
        assert_true(sigismember(&now, SIGTERM) && sigismember(&now, SIGINT) && sigismember(&now, SIGHUP) &&
                    sigismember(&now, SIGPIPE) && sigismember(&now, SIGXFSZ));
        assert_true(sigismember(&now, SIGCHLD));
        assert_false(sigismember(&now, SIGUSR1));
        assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

/* Holds the lock in another process until *release* is closed, or until it is killed. */
static pid_t start_holder(const char *directory, int *ret_release) {
        int locked[2], release[2], fd = -1;
        char answer = 0;
        pid_t pid;

        assert_int_equal(pipe2(locked, O_CLOEXEC), 0);
        assert_int_equal(pipe2(release, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) close(release[1]);
                answer = service_lock(directory, &fd) == SERVICE_LOCKED ? 'y' : 'n';
                (void) !write(locked[1], &answer, 1);
                (void) !read(release[0], &answer, 1);
                _exit(0);
        }

        (void) close(locked[1]);
        (void) close(release[0]);
        assert_int_equal(read(locked[0], &answer, 1), 1);
        assert_int_equal(answer, 'y');
        (void) close(locked[0]);
        *ret_release = release[1];
        return pid;
}

static void check_lock(Fixture *f, int expected) {
        int fd = -1;

        assert_int_equal(service_lock(f->directory, &fd), expected);
        if (expected == SERVICE_LOCKED)
                (void) close(fd);
        else
                assert_int_equal(fd, -1);
}

static void test_lock(void **state) {
        Fixture *f = *state;
        int fd = -1, other = -1;
        struct stat st;

        assert_int_equal(chown(f->directory, 12345, 12346), geteuid() == 0 ? 0 : -1);
        assert_int_equal(service_lock(f->directory, &fd), SERVICE_LOCKED);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_uid, geteuid() == 0 ? 12345 : geteuid()); /* the directory's owner can take it, too */
        assert_int_equal(service_lock(f->directory, &other), SERVICE_LOCK_HELD);
        assert_int_equal(other, -1);
        (void) close(fd);
        check_lock(f, SERVICE_LOCKED);
}

/* The lock is the first that a daemon makes. Root makes none where a link of another user leads. */
static void test_lock_behind_a_link(void **state) {
        char target[] = "/tmp/test-service-XXXXXX", link[sizeof(((Fixture *) NULL)->directory) + 8];
        Fixture *f = *state;
        int fd = -1;

        if (geteuid() != 0)
                skip();
        assert_non_null(mkdtemp(target));
        assert_int_equal(chown(f->directory, 12345, 12346), 0);
        (void) snprintf(link, sizeof(link), "%s/state", f->directory);
        assert_int_equal(symlink(target, link), 0);
        assert_int_equal(service_lock(link, &fd), -ELOOP);
        assert_int_equal(rmdir(target), 0);
        assert_int_equal(unlink(link), 0);
}

static void test_lock_of_another_process(void **state) {
        Fixture *f = *state;
        int release, status;
        pid_t pid;

        pid = start_holder(f->directory, &release);
        check_lock(f, SERVICE_LOCK_HELD);
        (void) close(release);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        check_lock(f, SERVICE_LOCKED);

        pid = start_holder(f->directory, &release);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        check_lock(f, SERVICE_LOCKED);
        (void) close(release);
}

static void test_lock_errors(void **state) {
        Fixture *f = *state;
        int fd = -1;

        assert_int_equal(service_lock("/nonexistent", &fd), -ENOENT);
        assert_int_equal(symlink("/etc/passwd", f->lock), 0);
        assert_int_equal(service_lock(f->directory, &fd), -ELOOP);
        assert_int_equal(fd, -1);
}

static void test_knock(void **state) {
        Fixture *f = *state;
        int lock = -1, fd = -1;

        assert_int_equal(service_listen(f->directory, &fd), -ENOENT);
        service_knock(f->directory); /* nobody there */
        assert_int_equal(service_lock(f->directory, &lock), SERVICE_LOCKED);
        assert_int_equal(service_listen(f->directory, &fd), 0);
        for (unsigned i = 0; i < 2; i++) {
                struct pollfd wait = { .fd = fd, .events = POLLIN };

                assert_int_equal(poll(&wait, 1, 0), 0);
                service_knock(f->directory);
                assert_int_equal(poll(&wait, 1, 5000), 1);
                service_hear(fd);
        }
        (void) close(fd);
        (void) close(lock);
}

static void test_own_unit(void **state) {
        char unit[SERVICE_UNIT_SIZE], *socket = strdup(getenv("NOTIFY_SOCKET"));

        assert_string_equal(service_own_unit(unit), "sensorqd");
        system_unit = "sensorqd@attic.service";
        assert_string_equal(service_own_unit(unit), "sensorqd@attic");
        system_unit = "init.scope";
        assert_string_equal(service_own_unit(unit), "sensorqd");
        system_unit = "user@1000.service"; /* which has the sessions of that user */
        user_unit = "readings.service";
        assert_string_equal(service_own_unit(unit), "--user readings");
        user_unit = NULL;
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0); /* from a terminal */
        assert_string_equal(service_own_unit(unit), "sensorqd");
        assert_int_equal(setenv("NOTIFY_SOCKET", socket, 1), 0);
        system_unit = NULL;
        free(socket);
}

/* ---- the sandbox of a unit ---- */

static const char *bound; /* the property that names a bound directory; NULL: none does */
int __wrap_sd_bus_open_system(sd_bus **ret);

static int say_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
        void *userdata, sd_bus_error *error) {
        static const char *const texts[][2] = { { "LoadState", "loaded" }, { "User", "nobody" },
                { "ProtectHome", "yes" }, { "ProtectSystem", "strict" } };

        (void) bus, (void) path, (void) interface, (void) userdata, (void) error;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                if (strcmp(property, texts[i][0]) == 0)
                        return sd_bus_message_append(reply, "s", texts[i][1]);
        return sd_bus_message_append(reply, "s", "");
}

static int say_list(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
        void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) userdata, (void) error;
        if (strcmp(property, "ReadWritePaths") == 0)
                return sd_bus_message_append(reply, "as", 1, "/srv");
        if (strcmp(property, "StateDirectory") == 0)
                return sd_bus_message_append(reply, "as", 2, "sensorqd", "more");
        return sd_bus_message_append(reply, "as", strcmp(property, "LogsDirectory") == 0 ? 1 : 0, "sensors");
}

static int say_true(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
        void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) userdata, (void) error;
        return sd_bus_message_append(reply, "b", 1);
}

static int say_bound(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
        void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) userdata, (void) error;
        return sd_bus_message_append(
                reply, "a(ssbt)", bound && strcmp(property, bound) == 0 ? 1 : 0, "/tmp/a", "/tmp/a", 0, (uint64_t) 0);
}

static void *manager(void *userdata) {
        static const sd_bus_vtable unit[] = { SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("LoadState", "s", say_text, 0, 0),
                SD_BUS_VTABLE_END };
        static const sd_bus_vtable service[] = { SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("User", "s", say_text, 0, 0),
                SD_BUS_PROPERTY("ProtectHome", "s", say_text, 0, 0),
                SD_BUS_PROPERTY("ProtectSystem", "s", say_text, 0, 0),
                SD_BUS_PROPERTY("RootDirectory", "s", say_text, 0, 0),
                SD_BUS_PROPERTY("PrivateTmp", "b", say_true, 0, 0),
                SD_BUS_PROPERTY("SupplementaryGroups", "as", say_list, 0, 0),
                SD_BUS_PROPERTY("ReadWritePaths", "as", say_list, 0, 0),
                SD_BUS_PROPERTY("StateDirectory", "as", say_list, 0, 0),
                SD_BUS_PROPERTY("CacheDirectory", "as", say_list, 0, 0),
                SD_BUS_PROPERTY("LogsDirectory", "as", say_list, 0, 0),
                SD_BUS_PROPERTY("RuntimeDirectory", "as", say_list, 0, 0),
                SD_BUS_PROPERTY("BindPaths", "a(ssbt)", say_bound, 0, 0),
                SD_BUS_PROPERTY("BindReadOnlyPaths", "a(ssbt)", say_bound, 0, 0), SD_BUS_VTABLE_END };
        const char *path = "/org/freedesktop/systemd1/unit/sensorqd_2eservice";
        int fd = (int) (intptr_t) userdata;
        sd_bus *bus;

        assert_int_equal(sd_bus_new(&bus), 0);
        assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
        assert_true(sd_bus_set_server(bus, 1, (sd_id128_t){ .bytes = { 1 } }) >= 0);
        assert_true(sd_bus_add_object_vtable(bus, NULL, path, "org.freedesktop.systemd1.Unit", unit, NULL) >= 0);
        assert_true(sd_bus_add_object_vtable(bus, NULL, path, "org.freedesktop.systemd1.Service", service, NULL) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        for (int r = 0; r >= 0;) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        sd_bus_close_unref(bus);
        return NULL;
}

static pthread_t manager_thread;

int __wrap_sd_bus_open_system(sd_bus **ret) {
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(pthread_create(&manager_thread, NULL, manager, (void *) (intptr_t) pair[1]), 0);
        assert_int_equal(sd_bus_new(ret), 0);
        assert_true(sd_bus_set_fd(*ret, pair[0], pair[0]) >= 0);
        return sd_bus_start(*ret);
}

static void test_sandbox(void **state) {
        static const struct {
                const char *bound;
                bool hides, read_only;
        } cases[] = { { NULL, true, true }, { "BindReadOnlyPaths", false, true }, { "BindPaths", false, false } };
        static const char *const writable[] = { "/srv", "/var/lib/sensorqd", "/var/lib/more", "/var/log/sensors" };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                ServiceUser user;

                bound = cases[i].bound;
                assert_int_equal(service_unit_user("sensorqd.service", &user), 0);
                assert_int_equal(pthread_join(manager_thread, NULL), 0);
                assert_string_equal(user.name, "nobody");
                assert_int_equal(user.no_homes, cases[i].hides);
                assert_int_equal(user.own_tmp, cases[i].hides);
                assert_int_equal(user.read_only, cases[i].read_only);
                for (size_t k = 0; user.read_only && k < 4; k++)
                        assert_true(user.writable[k] && strcmp(user.writable[k], writable[k]) == 0);
                assert_true(!user.read_only || !user.writable[4]);
                service_user_done(&user);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_ready_and_stopping, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_reloading, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_descriptor, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_status_is_one_line, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_manager, set_up, tear_down),
                cmocka_unit_test(test_signals),
                cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lock_behind_a_link, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lock_of_another_process, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lock_errors, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_knock, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_own_unit, set_up, tear_down),
                cmocka_unit_test(test_sandbox),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
