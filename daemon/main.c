/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the options and the verb, runs the daemon or the verb, and returns the exit code. Only this file ends the
 * process. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"
#include "daemon.h"
#include "events.h"
#include "lib/err.h"
#include "lib/log.h"
#include "types.h"
#include "verbs/verbs.h"

typedef enum Verb { INIT, RUN, CHECK, SETUP, ONCE, STATUS, REJECTED, ALERTS, _VERB_MAX } Verb;

static const char *const verbs[] = { [INIT] = "init",
        [RUN] = "run",
        [CHECK] = "check",
        [SETUP] = "setup",
        [ONCE] = "once",
        [STATUS] = "status",
        [REJECTED] = "rejected",
        [ALERTS] = "alerts" };

typedef struct Options {
        const char *config_path;
        Verb verb;
        bool offline, run_programs, all;
        VerbStatus status;
        int argc; /* the words after the verb */
        char **argv;
} Options;

static void print_help(FILE *to) {
        fputs("sensorqd [-c|--config FILE] [VERB]\n"
              "Carries sensor readings through Google Cloud Pub/Sub to where they are kept, and loses none.\n"
              "\n"
              "  init [--dry-run]     ask for what a first configuration needs, try it, write it\n"
              "  run                  the daemon, in the foreground (default)\n"
              "  check [--offline] [--run-programs]\n                       read the configuration and test every "
              "remote end\n"
              "  setup                create what is missing: topic, subscriptions, indexes\n"
              "  once                 poll, publish and store once, then stop\n"
              "  status [--json | --check | --watch]\n                       what the running daemon is doing; "
              "whether all is well; again and again\n"
              "  rejected list | show ID | replay ID...|--all | drop ID...|--all\n"
              "                       what could not be read, published or stored\n"
              "  alerts [list [--json] | test TARGET]\n"
              "                       the state of each rule for each device; a test message\n"
              "\n"
              "  -c, --config FILE    default " CONFIG_FILE_DEFAULT "\n"
              "  -h, --help           this text\n"
              "      --version        the version\n"
              "\n"
              "See sensorqd(8) and sensorqd.yaml(5).\n",
                to);
}

/* Returns _VERB_MAX for a word that is no verb. */
static Verb verb_find(const char *word) {
        Verb verb = 0;

        while (verb < _VERB_MAX && strcmp(word, verbs[verb]) != 0)
                verb++;
        return verb;
}

static int usage_error(const char *what, const char *value) {
        fprintf(stderr, "sensorqd: %s%s. See sensorqd --help.\n", what, value);
        return EX_USAGE;
}

/* Returns the option string for getopt(3). Words may come in any order, but those after `init`, which has options of
 * its own, belong to it. */
static const char *short_options(int argc, char **argv) {
        int i = 1;

        while (i < argc && argv[i][0] == '-')
                i += strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0 ? 2 : 1;
        return i < argc && verb_find(argv[i]) == INIT ? "+c:h" : "c:h";
}

enum { GO_ON = -1 };

/* Refuses what does not belong to the verb. */
static int options_check(const Options *o, const char *word) {
        if (o->verb == _VERB_MAX)
                return usage_error("no such verb: ", word);
        if ((o->offline || o->run_programs) && o->verb != CHECK)
                return usage_error("--offline and --run-programs belong to check, not to ", word);
        if (o->status != VERB_STATUS_WORDS && o->verb != STATUS && (o->status != VERB_STATUS_JSON || o->verb != ALERTS))
                return usage_error(
                        "--json, --check and --watch belong to status, --json to alerts as well, none to ", word);
        if (o->all && o->verb != REJECTED)
                return usage_error("--all belongs to rejected, not to ", word);
        if (o->argc > 0 && o->verb != REJECTED && o->verb != ALERTS && o->verb != INIT)
                return usage_error("superfluous argument: ", o->argv[0]);
        if (o->verb == REJECTED && !verb_rejected_understands(o->argc, o->argv, o->all))
                return usage_error(
                        "usage: sensorqd rejected ", "list | show ID | replay ID...|--all | drop ID...|--all");
        if (o->verb == ALERTS && !verb_alerts_understands(o->argc, o->argv, o->status == VERB_STATUS_JSON))
                return usage_error("usage: sensorqd alerts ", "[list [--json] | test TARGET]");
        return GO_ON;
}

enum { OPTION_VERSION = 256, OPTION_OFFLINE, OPTION_RUN_PROGRAMS, OPTION_JSON, OPTION_CHECK, OPTION_WATCH, OPTION_ALL };
static const struct option known_options[] = {
        { "config", required_argument, NULL, 'c' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, OPTION_VERSION },
        { "offline", no_argument, NULL, OPTION_OFFLINE },
        { "run-programs", no_argument, NULL, OPTION_RUN_PROGRAMS },
        { "json", no_argument, NULL, OPTION_JSON },
        { "check", no_argument, NULL, OPTION_CHECK },
        { "watch", no_argument, NULL, OPTION_WATCH },
        { "all", no_argument, NULL, OPTION_ALL },
        {},
};

/* Returns GO_ON, or the exit code with which the options end the run: --help, a mistake. */
static int options_parse(int argc, char **argv, Options *ret) {
        static char name[] = "sensorqd";                 /* all errors begin with it, whatever argv[0] is */
        const char *letters = short_options(argc, argv); /* before getopt_long() reorders the words */
        Options o = { .config_path = CONFIG_FILE_DEFAULT };
        const char *word;
        int c;

        argv[0] = name;
        while ((c = getopt_long(argc, argv, letters, known_options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        o.config_path = optarg;
                        break;
                case 'h':
                        print_help(stdout);
                        return EX_OK;
                case OPTION_VERSION:
                        puts("sensorqd " SENSORQD_VERSION);
                        return EX_OK;
                case OPTION_OFFLINE:
                        o.offline = true;
                        break;
                case OPTION_RUN_PROGRAMS:
                        o.run_programs = true;
                        break;
                case OPTION_JSON ... OPTION_WATCH:
                        o.status = VERB_STATUS_JSON + (c - OPTION_JSON);
                        break;
                case OPTION_ALL:
                        o.all = true;
                        break;
                default:
                        fputs("See sensorqd --help.\n", stderr); /* getopt_long(3) has printed what is wrong */
                        return EX_USAGE;
                }
        word = optind < argc ? argv[optind++] : verbs[RUN];
        o.verb = verb_find(word);
        o.argc = argc - optind;
        o.argv = argv + optind;
        *ret = o;
        return options_check(&o, word);
}

static int run_daemon(Config *config, bool once) {
        _cleanup_(daemon_freep) Daemon *daemon = NULL;
        int r;

        r = daemon_new(config, once, &daemon);
        if (r == 0)
                r = daemon_run(daemon);
        if (r >= 0)
                return r;
        if (r == -EBADMSG)
                return EX_CONFIG;
        log_event(LOG_ERR | LOG_LAST, NULL, NULL, "sensorqd ends: %s", strerror(-r));
        return err_passes(r) ? EX_OSERR : EX_SOFTWARE;
}

static bool is_daemon(Verb verb) {
        return verb == RUN || verb == ONCE;
}

/* cron mails everything that `once` prints, so it prints nothing below a warning. On a terminal and in the journal it
 * prints everything. */
static int level_of(const Options *o, int level) {
        bool quiet = o->verb == ONCE && !isatty(STDERR_FILENO) && !getenv("JOURNAL_STREAM");

        return quiet && level > LOG_WARNING && level < LOG_DEBUG ? LOG_WARNING : level;
}

/* Reports what is wrong with the file. `check` prints it for the person who runs it. In `systemctl reload`, `check` is
 * the first step, and this line also says why the reload was refused; only there $MAINPID is set (systemd.exec(5)). The
 * daemon says it next, for itself. */
static void reject_config(const Options *o, const char *error) {
        bool reload = getenv("MAINPID") != NULL;
        const LogField *fields = LOG_FIELDS({ FIELD_FILE, o->config_path }, { FIELD_ERROR, error });

        if (o->verb != CHECK)
                log_event(LOG_ERR | LOG_LAST, EVENT_CONFIG_REJECTED, fields, "%s%s",
                        is_daemon(o->verb) ? "Not started: " : "", error);
        else if (reload)
                log_event(LOG_ERR, EVENT_RELOAD_REFUSED, fields,
                        "Reload refused, the previous configuration stays in use: %s", error);
        else
                printf("FAIL  config  %s\n", error);
}

static int run_verb(const Options *o, Config *config) {
        switch (o->verb) {
        case CHECK:
                return verb_check(config, o->offline, o->run_programs);
        case SETUP:
                return verb_setup(config);
        case REJECTED:
                return verb_rejected(config, o->argc, o->argv, o->all);
        case ALERTS:
                return verb_alerts(config, o->argc, o->argv, o->status == VERB_STATUS_JSON);
        default:
                return run_daemon(config, o->verb == ONCE);
        }
}

/* Reports if the output could not be written, for instance to a full disk: what `rejected show` prints may be deleted
 * next. */
static int end_of_output(int code) {
        if (fflush(stdout) == 0 && !ferror(stdout))
                return code;
        fprintf(stderr, "sensorqd: the output could not be written completely\n");
        return code == EX_OK ? EX_IOERR : code;
}

/* Ends without exit handlers. A thread may still be in the driver, abandoned on purpose (P8), and exit handlers free
 * what it uses: OpenSSL's handler ended the process with SIGABRT. A sanitizer's leak check is also such a handler, so a
 * build with it returns in the normal way. */
static int end_without_handlers(int code) {
        code = end_of_output(code);
#ifndef __SANITIZE_ADDRESS__
        (void) fflush(NULL);
        _exit(code);
#endif
        return code;
}

/* If a standard descriptor is closed, the next file or connection would get its number, and log lines would be written
 * there. */
static void open_standard_descriptors(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd >= 0)
                (void) close(fd);
}

/* The default action of SIGHUP would end a daemon that is asked to reload before it handles the signal. */
static void mask_hangup(int how) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGHUP);
        (void) sigprocmask(how, &set, NULL);
}

/* Removes the counters' file of MongoDB's driver, which nobody reads. libmongoc 1.x creates it before main() begins,
 * whatever is set here, and its destructor does not run (end_without_handlers(), kill -9). The file would stay in
 * /dev/shm, and a later process with the same number would print a warning. Memory that is already mapped stays
 * usable. */
static void drop_driver_counters(void) {
        char name[32];

        (void) setenv("MONGOC_DISABLE_SHM", "1", 0); /* for libmongoc 2, which starts with mongoc_init() */
        (void) snprintf(name, sizeof(name), "/mongoc-%d", (int) getpid());
        (void) shm_unlink(name);
}

int main(int argc, char **argv) {
        _cleanup_(config_unrefp) Config *config = NULL;
        Options options;
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        int r;

        mask_hangup(SIG_BLOCK);
        drop_driver_counters();
        open_standard_descriptors();
        r = options_parse(argc, argv, &options);
        if (r != GO_ON)
                return end_of_output(r);
        if (!is_daemon(options.verb))
                mask_hangup(SIG_UNBLOCK);
        log_open("sensorqd");
        if (options.verb == INIT) /* reads the words after it as its own options */
                return end_without_handlers(verb_init(options.config_path, options.argc + 1, options.argv - 1));

        r = config_load(&(ConfigInput){ options.config_path, &types_of_config }, &config, &errors);
        if (options.verb == STATUS)
                return end_of_output(verb_status(options.config_path, config, options.status));
        for (size_t i = 0; r < 0 && i < errors.n; i++)
                reject_config(&options, errors.texts[i]);
        if (r < 0 && errors.n == 0) /* the file is not wrong: there was no memory to read it */
                log_event(LOG_ERR | LOG_LAST, NULL, NULL, "sensorqd ends: %s", strerror(-r));
        if (r < 0)
                return err_passes(r) ? EX_OSERR : EX_CONFIG; /* after EX_CONFIG systemd does not start the unit again */
        log_set_level(level_of(&options, config->log_level));
        return end_without_handlers(run_verb(&options, config));
}
