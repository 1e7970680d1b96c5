/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs with sinks of other types than those that there are: one that has nothing to say, and one that has. This
 * program brings a list of types of its own. */
#include "config-fixture.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "capture.h"
#include "free-port.h"
#include "lib/err.h"
#include "lib/crypto.h"
#include "said.h"
#include "subscribe/sink-type.h"
#include "verbs/check.h"
#include "verbs/verbs.h"
#include "web-listen.h"

#define SINKS                                                                                                          \
        PUBSUB "state_dir: /usr\nsubscribe:\n"                                                                         \
               "- {subscription: sub-a, shelf: {label: one}}\n"                                                        \
               "- {subscription: sub-b, drawer: {label: two}}\n"

typedef struct FakeKeys {
        char *label;
} FakeKeys;

static const ConfigRow fake_rows[] = {
        { .key = "label",
                .type = &config_type_name,
                .offset = offsetof(FakeKeys, label),
                .min = 1,
                .max = 20,
                .doc = "a label" },
        {},
};

static const ConfigSection shelf_section = { .name = "shelf", .rows = fake_rows, .size = sizeof(FakeKeys) };
static const ConfigSection drawer_section = { .name = "drawer", .rows = fake_rows, .size = sizeof(FakeKeys) };

static void drawer_place(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]) {
        (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s", ((const FakeKeys *) config->keys)->label);
}

static int drawer_open(const SubscriptionConfig *config, void **ret_self, char text[static SINK_ADMIN_TEXT_MAX]) {
        *ret_self = config->keys;
        return 0;
}

static void *drawer_close(void *self) {
        return NULL;
}

static void drawer_check(void *self, const SinkTeller *teller) {
        teller->tell(teller->userdata, SINK_GRADE_OK, "opens");
        teller->tell(teller->userdata, SINK_GRADE_WARN, "it is\x1b[31m nearly full");
}

static bool tell_rejected(const SinkRejectedQuery *query, const char *id, const char *detail) {
        static const char data[] = "raw\x1b[2J";

        if (query->id && strcmp(query->id, id) != 0)
                return true;
        return query->each(query->userdata, &(SinkRejected){ .id = { id, strlen(id) },
                                                    .reason = { "odd", 3 },
                                                    .detail = { detail, strlen(detail) },
                                                    .data = { data, query->with_data ? sizeof(data) - 1 : 0 },
                                                    .size = sizeof(data) - 1,
                                                    .attributes = "{}" });
}

#define LONG                                                                                                           \
        "a reason of more than a hundred characters, whose end is what matters, since the remote's own words stand "   \
        "there: a wall"

static int drawer_each(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]) {
        if (tell_rejected(query, "two:1", LONG))
                (void) tell_rejected(query, "two:2", "bad\x1b]0;title\x07\xc2\x9b\xff");
        return SINK_ADMIN_OK;
}

static int drawer_replay(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "stored");
        return SINK_ADMIN_OK;
}

static int drawer_drop(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "stays");
        return SINK_ADMIN_FAILED;
}

static const SinkAdmin drawer_admin = {
        .place = drawer_place,
        .open = drawer_open,
        .close = drawer_close,
        .check = drawer_check,
        .each_rejected = drawer_each,
        .replay = drawer_replay,
        .drop = drawer_drop,
};

static const SinkType shelf = { .keys = &shelf_section, .what = "shelf" };
static const SinkType drawer = { .keys = &drawer_section, .what = "drawer", .admin = &drawer_admin };

/* ---- this program's types.c ---- */

const SourceType *types_source(const char *name) {
        return NULL;
}

const SinkType *types_sink(const char *name) {
        return strcmp(name, "shelf") == 0 ? &shelf : &drawer;
}

static const ConfigSection *no_source(size_t index) {
        return NULL;
}

static const ConfigSection *fake_sink(size_t index) {
        return index == 0 ? &shelf_section : index == 1 ? &drawer_section : NULL;
}

const ConfigTypes types_of_config = { no_source, fake_sink };

/* ---- a verb and what it printed ---- */

static Config *fake_config(void) {
        ConfigErrors errors = {};
        Config *config = NULL;

        if (config_parse(&(ConfigInput){ "/f.yaml", &types_of_config }, SINKS, strlen(SINKS), &config, &errors) < 0)
                fail_msg("%s", errors_text(&errors));
        return config;
}

static void run(int (*verb)(Config *config, int argc, char **argv), int argc, char **argv, Said *said) {
        Config *config = fake_config();

        said_run(config, verb, argc, argv, said);
        config_unref(config);
}

static int run_check(Config *config, int argc, char **argv) {
        return verb_check(config, false, false);
}

static int run_setup(Config *config, int argc, char **argv) {
        return verb_setup(config);
}

static void rejected(const char *action, const char *id, Said *said) {
        Config *config = fake_config();

        said_rejected(config, action, id, said);
        config_unref(config);
}

/* ---- tests ---- */

static void test_check_and_setup(void **state) {
        Said said;

        run(run_check, 0, NULL, &said);
        assert_int_equal(said.code, EX_UNAVAILABLE); /* no Pub/Sub here */
        assert_contains(said.out, "\nok    drawer two  opens\n");
        assert_contains(said.out, "\nwarn  drawer two  it is [31m nearly full\n");
        assert_contains(said.out, "  its sink (shelf) has nothing to be checked\n");

        run(run_setup, 0, NULL, &said);
        assert_int_equal(said.code, EX_UNAVAILABLE);
        assert_null(strstr(said.out, "drawer"));
        assert_null(strstr(said.out, "shelf"));
}

/* Whoever runs it stands in /etc/sensorqd, which may be a link. */
static const char *units_directory = "/etc/sensorqd";

char *__real_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved);

char *__wrap_realpath(const char *path, char *resolved) {
        bool is_there = strcmp(path, ".") == 0 || strcmp(path, "/etc/sensorqd") == 0;

        return is_there ? strdup(units_directory) : __real_realpath(path, resolved);
}

/* What a machine has; whatever else is asked for is looked for on this one. */
static bool booted;
static const char *status_directory = "";

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
struct passwd *__real_getpwnam(const char *name);
struct passwd *__wrap_getpwnam(const char *name);
int __real_file_load_own(const char *path, size_t most, Bytes *ret);
int __wrap_file_load_own(const char *path, size_t most, Bytes *ret);

int __wrap_access(const char *path, int mode) {
        if (strcmp(path, "/run/systemd/system") == 0)
                return booted ? 0 : -1;
        return strcmp(path, CONFIG_FILE_DEFAULT) == 0 ? 0 : __real_access(path, mode);
}

struct passwd *__wrap_getpwnam(const char *name) {
        return __real_getpwnam(strcmp(name, "sensorqd") == 0 ? "nobody" : name);
}

int __wrap_file_load_own(const char *path, size_t most, Bytes *ret) {
        size_t size = strlen(status_directory);

        if (size == 0 || strncmp(path, status_directory, size) != 0 || strcmp(path + size, "/status.json") != 0)
                return -ENOENT;
        return bytes_append_text(ret, "{\"config\": \"/etc/sensorqd/attic.yaml\"}");
}

/* As another user, with the groups of the unit. */
static void test_unit(void **state) {
        char unit[CONFIG_UNIT_SIZE];

        assert_true(config_unit("/etc/sensorqd/sensorqd.yaml", unit));
        assert_string_equal(unit, "sensorqd");
        assert_true(config_unit("/etc/sensorqd/attic.yaml", unit));
        assert_string_equal(unit, "sensorqd@attic");
        assert_true(config_unit("/etc/sensorqd/pi.attic.yaml", unit));
        assert_string_equal(unit, "sensorqd@pi.attic");
        assert_int_equal(config_name_size("pi.attic.yaml"), strlen("pi.attic")); /* where its status.json is, too */
        assert_true(config_unit("attic.yaml", unit));                            /* from there: __wrap_realpath() */
        assert_string_equal(unit, "sensorqd@attic");
        assert_true(config_unit("./sensorqd.yaml", unit));
        assert_string_equal(unit, "sensorqd");
        assert_false(config_unit("x/attic.yaml", unit));
        units_directory = "/usr";
        assert_true(config_unit("attic.yaml", unit));
        assert_true(config_unit("/etc/sensorqd/attic.yaml", unit));
        assert_true(config_unit("/usr/attic.yaml", unit));
        assert_false(config_unit("/etc/attic.yaml", unit));
        units_directory = "/etc/sensorqd";
        assert_false(config_unit("/etc/sensorqd/attic.conf", unit));
        assert_false(config_unit("/etc/sensorqd/x/attic.yaml", unit));
        assert_false(config_unit("/home/attic.yaml", unit));
        assert_false(config_unit("/e", unit));
}

static void test_may(void **state) {
        char name[] = "nobody", group[] = "12346", *groups[] = { group, NULL };
        const ServiceUser nobody = { .name = name }, grouped = { .name = name, .groups = groups }, none = {};
        char directory[] = "/tmp/test-verbs-XXXXXX", path[64];
        int fd;

        if (geteuid() != 0)
                skip(); /* only root can be another */
        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/key", directory);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(fchown(fd, 0, 12346), 0);
        assert_int_equal(fchmod(fd, 0640), 0);
        (void) close(fd);
        assert_true(check_unit_may(&none, path, R_OK));
        assert_false(check_unit_may(&grouped, path, R_OK)); /* the directory is closed to them */
        assert_int_equal(chmod(directory, 0711), 0);
        assert_false(check_unit_may(&nobody, path, R_OK));
        assert_true(check_unit_may(&grouped, path, R_OK));
        assert_false(check_unit_may(&grouped, path, R_OK | W_OK));
        assert_int_equal(unlink(path), 0);
        assert_true(check_unit_may(&nobody, path, R_OK)); /* that it is missing, others say */
        assert_int_equal(rmdir(directory), 0);
}

/* By the unit's settings alone, so that it is known before the first start. */
static void test_sandbox(void **state) {
        char one[] = "-/srv", all[] = "/", *some[] = { one, NULL }, *every[] = { all, NULL };
        const ServiceUser shut = { .no_homes = true, .own_tmp = true, .read_only = true }, open = {};
        const ServiceUser allowed = { .read_only = true, .writable = some },
                          wide = { .read_only = true, .writable = every };

        assert_string_equal(check_unit_hides(&shut, "/home/pi/key.json"), "ProtectHome=");
        assert_string_equal(check_unit_hides(&shut, "/root"), "ProtectHome=");
        assert_string_equal(check_unit_hides(&shut, "/tmp/ca.pem"), "PrivateTmp=");
        assert_null(check_unit_hides(&shut, "/homes/key.json"));
        assert_null(check_unit_hides(&open, "/home/pi/key.json"));
        assert_true(check_unit_protects(&shut, "/srv/archive"));
        assert_false(check_unit_protects(&open, "/srv/archive"));
        assert_false(check_unit_protects(&allowed, "/srv/archive"));
        assert_true(check_unit_protects(&allowed, "/srv-two/archive"));
        assert_false(check_unit_protects(&wide, "/srv/archive"));
}

#define SHELF "subscribe: [{subscription: sub-a, shelf: {label: one}}]\n"

/* Where verbs look: an instance that has never run has a directory of its own, but a daemon that was started by hand,
 * or by a drop-in of sensorqd.service, runs the file where it does. */
static void test_directory_of_a_daemon(void **state) {
        static const struct {
                const char *file, *status_directory, *state_dir;
        } cases[] = {
                { "attic", "", CONFIG_STATE_DIR_DEFAULT "-attic" },
                { "attic", CONFIG_STATE_DIR_DEFAULT, CONFIG_STATE_DIR_DEFAULT },
                { "attic", "/run/sensorqd", CONFIG_STATE_DIR_DEFAULT },
                { "cellar", CONFIG_STATE_DIR_DEFAULT, CONFIG_STATE_DIR_DEFAULT "-cellar" },
        };
        Said said;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *text = PUBSUB SHELF;
                _cleanup_(config_unrefp) Config *config = NULL;
                _cleanup_(session_closep) Session *session = NULL;
                char path[64];

                (void) snprintf(path, sizeof(path), "/etc/sensorqd/%s.yaml", cases[i].file);
                config = parse_as(path, text, strlen(text), &types_of_config);
                status_directory = cases[i].status_directory;
                assert_int_equal(session_open_local(config, &session), 0);
                status_directory = "";
                assert_string_equal(config->state_dir, cases[i].state_dir);
                if (i > 0)
                        continue;
                said_rejected(config, "list", NULL, &said);
                assert_contains(said.err, "no rejected readings; state_dir /var/lib/sensorqd-attic is not there yet");
        }
}

/* The directory of sensorqd.service, named in the file of an instance, is not made by the instance's unit. */
static void test_directory_of_another_unit(void **state) {
        const char *text = PUBSUB SHELF "state_dir: " CONFIG_STATE_DIR_DEFAULT "\n";
        _cleanup_(config_unrefp) Config *one =
                parse_as("/etc/sensorqd/sensorqd.yaml", text, strlen(text), &types_of_config);
        _cleanup_(config_unrefp) Config *other =
                parse_as("/etc/sensorqd/attic.yaml", text, strlen(text), &types_of_config);

        assert_true(check_unit_makes(one));
        assert_false(check_unit_makes(other));
}

static int check_these_files(Config *config, int argc, char **argv) {
        _cleanup_(session_closep) Session *session = NULL;

        assert_int_equal(session_open_local(config, &session), 0);
        return check_files(session);
}

/* Where there is no systemd, as in a container, there is no service that runs as the package's user. */
static void test_files_without_systemd(void **state) {
        char directory[] = "/tmp/test-verbs-XXXXXX", text[200];
        _cleanup_(config_unrefp) Config *config = NULL;
        Said said;

        if (geteuid() != 0)
                skip(); /* only root can be another */
        assert_non_null(mkdtemp(directory));
        (void) snprintf(text, sizeof(text), PUBSUB SHELF "state_dir: %s\n", directory);
        config = parse_as("/etc/sensorqd/sensorqd.yaml", text, strlen(text), &types_of_config);
        for (int i = 0; i < 2; i++) {
                booted = i > 0;
                said_run(config, check_these_files, 0, NULL, &said);
                assert_int_equal(strstr(said.out, "the service runs as sensorqd, who may not write") != NULL, booted);
        }
        assert_int_equal(rmdir(directory), 0);
}

/* A name that is printed may come from a directory. */
static void test_name_of_a_file(void **state) {
        char directory[] = "/tmp/test-verbs-XXXXXX", path[100], secrets[64], config_file[64];
        _cleanup_(config_unrefp) Config *config = NULL;
        Said said;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(config_file, sizeof(config_file), "%s/c.yaml", directory);
        (void) snprintf(secrets, sizeof(secrets), "%s/credentials", directory);
        (void) snprintf(path, sizeof(path), "%s/a\x1b[31m\nok    all  is well", secrets);
        assert_int_equal(mkdir(secrets, 0700), 0);
        assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
        config = parse_as(config_file, PUBSUB SHELF, strlen(PUBSUB SHELF), &types_of_config);
        said_run(config, check_these_files, 0, NULL, &said);
        assert_contains(said.out, "/a [31m ok    all  is well  systemd does not accept this name");
        assert_int_equal(unlink(path) + rmdir(secrets) + rmdir(directory), 0);
}

static void test_rejected_list(void **state) {
        Said said;

        rejected("list", NULL, &said);
        assert_int_equal(said.code, EX_OK);
        assert_string_equal(said.out, "two:1  1970-01-01T00:00:00.000Z  odd: " LONG "  (7 bytes)\n"
                                      "two:2  1970-01-01T00:00:00.000Z  odd: bad ]0;title  ?  (7 bytes)\n");
        rejected("show", "two:2", &said);
        assert_int_equal(said.code, EX_OK);
        assert_contains(said.out, "\nattributes: {}\nraw\x1b[2J\n"); /* no terminal: as it is */
        rejected("show", "two:3", &said);
        assert_int_equal(said.code, EX_UNAVAILABLE);
}

/* A file is not what bind(2) says of a port. */
static void test_tls_file_of_another(void **state) {
        char directory[] = "/tmp/test-verbs-XXXXXX", path[64];
        WebListenTry wanted = { "127.0.0.1:0", path, path, "/nonexistent" };
        Loop *loop;
        int r;

        if (geteuid() != 0)
                skip(); /* only root can be another */
        assert_int_equal(loop_new(&loop), 0);
        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/key", directory);
        assert_int_equal(seteuid(65534), 0);
        r = web_listen_try(loop, &wanted);
        assert_int_equal(seteuid(0), 0);
        loop_free(loop);
        assert_int_equal(rmdir(directory), 0);
        assert_int_equal(r, -ENOKEY);
        assert_contains(web_listen_words(r), "may not read a file of tls");
        assert_null(strstr(web_listen_words(-EACCES), "tls"));
}

/* Makes a file with a certificate and its key, for these days from now. */
static void make_certificate(const char *path, int begin, int end) {
        X509 *certificate = X509_new();
        EVP_PKEY *key = EVP_EC_gen("P-256");
        FILE *file = fopen(path, "we");

        assert_true(certificate && key && file);
        assert_true(X509_gmtime_adj(X509_getm_notBefore(certificate), begin * 86400L) &&
                    X509_gmtime_adj(X509_getm_notAfter(certificate), end * 86400L));
        assert_true(X509_set_pubkey(certificate, key) && X509_sign(certificate, key, EVP_sha256()) > 0);
        assert_true(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) && PEM_write_X509(file, certificate));
        assert_int_equal(fclose(file), 0);
        EVP_PKEY_free(key);
        X509_free(certificate);
}

/* Who checks it does not connect; nothing of sensorqd fails. What is renewed every few days is not told all the time.
 */
static void test_a_certificate_that_ends(void **state) {
        static const struct {
                int begin, end;
                const char *said;
        } cases[] = { { -77, 13, "; its certificate ends on 20" }, { -4, 2, "" },
                { -5, 1, "; its certificate ends on" }, { -9, -1, "; its certificate ended on 20" },
                { 1, 9, "; its certificate is valid only from 20" }, { -75, 15, "" } };
        char directory[] = "/tmp/test-verbs-XXXXXX", path[64], command[300], words[WEB_LISTEN_WORDS_MAX];
        usec_t begin, end;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/pem", directory);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                make_certificate(path, cases[i].begin, cases[i].end);
                assert_int_equal(web_listen_is_ending(path, words), cases[i].said[0] != '\0');
                assert_int_equal(strncmp(words, cases[i].said, strlen(cases[i].said)), 0);
        }
        assert_int_equal(crypto_certificate_times(path, &begin, &end), 0);
        assert_true(end - begin == 90 * 24 * USEC_PER_HOUR && begin <= clock_wall());
        (void) snprintf(command, sizeof(command), "echo no >%s", path);
        assert_int_equal(system(command), 0);
        assert_int_equal(crypto_certificate_times(path, &begin, &end), -EBADMSG);
        assert_false(web_listen_is_ending(path, words) || web_listen_is_ending(NULL, words));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(directory), 0);
}

/* The daemon says so of what it serves, whatever is in the file by then: once a day, until a reload. */
static void test_a_certificate_that_is_served(void **state) {
        char directory[] = "/tmp/test-verbs-XXXXXX", path[64], command[64], address[32];
        int level = log_level(); /* that of the verbs before */
        usec_t warned = 0, first;
        ListenRoute *route;
        Listen *listen;
        Capture log;
        Loop *loop;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/pem", directory);
        make_certificate(path, -77, 13);
        (void) snprintf(address, sizeof(address), "127.0.0.1:%u", free_port());
        assert_int_equal(loop_new(&loop), 0);
        assert_int_equal(listen_new(loop, &listen), 0);
        assert_int_equal(
                listen_route(listen,
                        &(ListenSpec){ .address = address, .certificate_file = path, .key_file = path, .path = "/" },
                        &(ListenHandler){}, &route),
                0);
        (void) snprintf(command, sizeof(command), "rm -r %s", directory);
        assert_int_equal(system(command), 0);
        log = capture_begin();
        log_set_level(LOG_WARNING);
        web_listen_warn(listen, &warned);
        first = warned;
        web_listen_warn(listen, &warned);
        assert_int_equal(warned, first);
        warned -= 24 * USEC_PER_HOUR;
        web_listen_warn(listen, &warned);
        assert_true(warned >= first);
        log_set_level(level);
        assert_int_equal(count_of(capture_end(&log), "is served with TLS; its certificate ends on 20"), 2);
        listen_drop(route);
        listen_free(listen);
        loop_free(loop);
}

/* What is set apart there is not gone. The sinks' is listed. */
static void test_rejected_without_a_disk(void **state) {
        Config *config = fake_config();
        Said said;

        free(config->state_dir);
        config->state_dir = strdup("/nonexistent");
        assert_non_null(config->state_dir);
        said_rejected(config, "list", NULL, &said);
        assert_int_equal(said.code, EX_UNAVAILABLE);
        assert_contains(said.out, "two:1  1970-");
        assert_contains(said.out, "state_dir is not there: is its disk mounted?");
        size_t n = config->n_subscriptions;
        config->n_subscriptions = 0; /* nor does anybody know that there are none */
        said_rejected(config, "list", NULL, &said);
        config->n_subscriptions = n;
        assert_int_equal(said.code, EX_UNAVAILABLE);
        assert_string_equal(said.err, "");
        config_unref(config);
}

static void test_rejected_act(void **state) {
        Said said;

        rejected("replay", NULL, &said);
        assert_int_equal(said.code, EX_OK);
        assert_string_equal(said.out, "ok    two:1  stored\nok    two:2  stored\n");
        rejected("drop", "two:2", &said);
        assert_int_equal(said.code, EX_UNAVAILABLE);
        assert_string_equal(said.out, "FAIL  two:2  stays\n");
}

static int without_descriptors(Config *config, int argc, char **argv) {
        struct rlimit before, none;
        int code;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ 0, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        code = verb_setup(config);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        return code;
}

/* It ended without a word. */
static void test_without_descriptors(void **state) {
        _cleanup_(config_unrefp) Config *config = fake_config();
        Said said;

        said_run(config, without_descriptors, 0, NULL, &said);
        assert_int_equal(said.code, EX_OSERR);
        assert_contains(said.err, "Too many open files");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_check_and_setup),
                cmocka_unit_test(test_unit),
                cmocka_unit_test(test_may),
                cmocka_unit_test(test_sandbox),
                cmocka_unit_test(test_directory_of_a_daemon),
                cmocka_unit_test(test_directory_of_another_unit),
                cmocka_unit_test(test_files_without_systemd),
                cmocka_unit_test(test_name_of_a_file),
                cmocka_unit_test(test_rejected_list),
                cmocka_unit_test(test_tls_file_of_another),
                cmocka_unit_test(test_a_certificate_that_ends),
                cmocka_unit_test(test_a_certificate_that_is_served),
                cmocka_unit_test(test_rejected_without_a_disk),
                cmocka_unit_test(test_rejected_act),
                cmocka_unit_test(test_without_descriptors),
        };

        (void) setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9", true); /* discard: nobody listens */
        return cmocka_run_group_tests(tests, NULL, NULL);
}
