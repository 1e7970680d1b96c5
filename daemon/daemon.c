/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* The flow, from here:
 *
 *      source --readings--> outbox --rows--> publisher --POST :publish--> [Pub/Sub] --:pull--> subscriber --batch--> sink (worker thread)
 *                             ^-----forget------+                                      ^------------- fates ------------+
 *
 * Order of a start: event loop, signals, lock, outbox, stages (stages.c connects them), READY=1. It does not wait for
 * the network. When a stage changes, only a note is taken: the report is written within a second, and if it matters to
 * other stages, stages_settle() is called at the next turn of the loop. Only there it is decided to pause publishing or
 * to free a retired stage that has ended, never inside a stage. */
/* clang-format on */
#include "daemon.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"
#include "events.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/service.h"
#include "lib/text.h"
#include "page.h"
#include "report.h"
#include "stages.h"
#include "trouble.h"
#include "types.h"
#include "web-listen.h"

/* P8: time for the write and the requests in progress; must be shorter than TimeoutStopSec=, 30 s. What the parts still
 * have for a slow disk takes as long as it takes: the service manager is told. */
#define STOP_PATIENCE_USEC (15 * USEC_PER_SEC)
#define LOCK_PATIENCE_USEC (2 * USEC_PER_SEC)
#define LOCK_EVERY_USEC (50 * USEC_PER_MSEC)
#define WATCH_EVERY_USEC (60 * USEC_PER_SEC) /* ages grow although nothing changes: stalls, retention */

struct Daemon {
        Config *config;
        char *state_dir;   /* stays the same while configurations change */
        char *config_path; /* full name of the file, all links resolved */
        int lock_fd;
        StagesHost host;
        Page *page;
        LoopWatch *sigterm, *sigint, *sighup;
        LoopWatch *knock; /* io: another process has changed the outbox */
        int knock_fd;
        bool unready;        /* READY=1 is still to be told */
        bool reloading;      /* and before it RELOADING=1, without which Type=notify-reload waits in vain */
        LoopWatch *watch;    /* timer: checks ages */
        usec_t warned;       /* of web_listen_warn() */
        LoopWatch *patience; /* timer: ends a stop that takes too long */
        ReportStalls *stalls;
        Trouble unwritten;            /* status.json cannot be written */
        usec_t started, started_wall; /* clock_now(); what was told of it */
        char status_line[512];
        char reload_error[STAGES_ERROR_MAX]; /* why the last reload was refused; "": it was not refused */
        usec_t reload_refused;               /* clock_now(); 0: it was not */
        OutboxLeft left;
};

/* ---- status ---- */

static const char *status_directory(const Daemon *d) {
        const char *runtime = getenv("RUNTIME_DIRECTORY");

        return runtime && runtime[0] == '/' && !strchr(runtime, ':') ? runtime : d->config->state_dir;
}

/* Only a clock that is set moves the time of the start: whoever watches it for a change is to see starts. */
static usec_t daemon_started(Daemon *d) {
        usec_t wall = clock_wall_of(d->started);

        if (wall > d->started_wall + USEC_PER_SEC || wall + USEC_PER_SEC < d->started_wall)
                d->started_wall = wall;
        return d->started_wall;
}

/* The figures of all stages, of the reload and of the page. */
static int daemon_figures(void *userdata, Figures *ret) {
        Daemon *d = userdata;

        *ret = (Figures){
                .wall = clock_wall(),
                .now = clock_now(),
                .asleep = clock_now() - clock_monotonic(),
                .started = daemon_started(d),
                .config = d->config_path,
                .stopping = d->host.stopping,
                .reload_refused = d->reload_refused > 0 ? clock_wall_of(d->reload_refused) : 0,
                .reload_error = d->reload_error,
                .left = d->left,
                .page = trouble_failure(page_trouble(d->page)),
        };
        return stages_figures(d->host.stages, ret);
}

/* `sensorqd status` looks for the file under the name that its links have now. If the file is missing for a moment, the
 * old name is kept. */
static void daemon_follow_links(Daemon *d) {
        char *path = realpath(d->config->path, NULL);

        if (!path)
                return;
        free(d->config_path);
        d->config_path = path;
}

static int daemon_report(Daemon *d) {
        _cleanup_(report_done) Figures figures = {};
        _cleanup_bytes_ Bytes json = {};
        char line[REPORT_LINE_SIZE];
        int r;

        daemon_follow_links(d);
        r = daemon_figures(d, &figures);
        if (r < 0)
                return r;
        report_stalls_check(d->stalls, &figures);
        service_status(report_format_line(&figures, line), d->status_line, sizeof(d->status_line));
        r = report_format_json(&figures, &json);
        if (r < 0)
                return r;
        return report_write(status_directory(d), json.data, json.size);
}

static void daemon_tell_ready(Daemon *d) {
        d->reloading = d->reloading && !service_reloading();
        d->unready = d->reloading || !service_ready();
        if (d->unready)
                loop_arm_in(d->host.report, STAGES_REPORT_USEC);
}

/* Nothing depends on the report: a full disk or lack of memory must not stop the readings. But this is logged, because
 * a reader of an old report would think that the daemon is dead. */
static void daemon_report_or_log(void *userdata) {
        char span[CLOCK_SPAN_SIZE];
        Daemon *d = userdata;
        int r;

        if (d->unready)
                daemon_tell_ready(d);
        r = daemon_report(d);
        if (r == 0 && trouble_mend(&d->unwritten, span))
                log_notice("%s/status.json is written again, after %s.", status_directory(d), span);
        else if (r < 0 && trouble_fail(&d->unwritten, TROUBLE_PASSING, cause_of_disk(r), 0, strerror(-r)))
                log_warning(
                        "%s/status.json cannot be written: %s. `sensorqd status` shows what was before, or nothing; "
                        "readings go on. To do: %s.",
                        status_directory(d), d->unwritten.detail, cause_disk_remedy(r));
}

static void on_watch(void *userdata) {
        Daemon *d = userdata;

        if (d->left.rows > 0)
                outbox_left(d->config->state_dir, d->config->publishes, &d->left);
        daemon_report_or_log(d);
        web_listen_warn(d->host.listen, &d->warned);
        stages_wake(d->host.stages); /* rows of a process that was killed before its knock, or was not heard */
        loop_wake(d->host.settle); /* a stage that could not be opened is tried again, even if no other stage changes */
        (void) malloc_trim(0);     /* what a backlog took would stay ours for ever, between what is still in use */
        loop_arm_in(d->watch, WATCH_EVERY_USEC);
}

/* Warns of readings left in an outbox that nobody publishes, once for each configuration that is put to work. */
static void daemon_log_left(Daemon *d) {
        bool said = d->left.rows > 0;
        char rows[24];

        outbox_left(d->config->state_dir, d->config->publishes, &d->left);
        (void) snprintf(rows, sizeof(rows), "%" PRIu64, d->left.rows);
        if (d->left.rows > 0 && !said)
                log_event(LOG_WARNING, EVENT_OUTBOX_LEFT,
                        LOG_FIELDS({ FIELD_FILE, d->left.directory }, { FIELD_ROWS, rows }),
                        "%s reading%s wait%s in the outbox in %s, and this configuration does not publish from there. "
                        "Put the publish section, or state_dir, back until they are gone.",
                        rows, text_s(d->left.rows), text_verb_s(d->left.rows), d->left.directory);
}

/* ---- stop ---- */

static void on_patience(void *userdata) {
        Daemon *d = userdata;

        log_warning("Stopping without waiting any longer: a write or a request is still in progress. Its messages are "
                    "redelivered by Pub/Sub, or its readings stay in the outbox.");
        loop_exit(d->host.loop);
}

static void daemon_stop(Daemon *d) {
        if (d->host.stopping)
                return;
        d->host.stopping = true;
        service_stopping();
        listen_stop(d->host.listen);
        stages_stop(d->host.stages);
        daemon_report_or_log(d);
        loop_arm_in(d->patience, STOP_PATIENCE_USEC);
        loop_wake(d->host.settle);
}

static void on_terminate(void *userdata, int signal) {
        log_event(LOG_INFO, EVENT_STOPPING, NULL, "Stopping (%s).", signal == SIGINT ? "SIGINT" : "SIGTERM");
        daemon_stop(userdata);
}

/* Called once for each configuration that is put to work. Cron would mail the same words for each run of `once`. */
static void daemon_log_warnings(const Daemon *d) {
        int level = d->host.once ? LOG_INFO : LOG_WARNING;

        for (size_t i = 0; i < d->config->warnings.n; i++)
                log_event(level, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_FILE, d->config->path }), "%s.",
                        d->config->warnings.texts[i]);
}

/* ---- reload ---- */

/* Says what the machine lacks, where nothing said what is wrong with the configuration. */
static void daemon_put_words(char error[static STAGES_ERROR_MAX], int r) {
        if (error[0] == '\0')
                (void) snprintf(error, STAGES_ERROR_MAX, "%s%s", strerror(r < 0 ? -r : EIO),
                        err_is_want(r) || r == -EAGAIN ? "; look " CAUSE_MEMORY_PLACES : "");
}

/* Makes the new stages, or writes to *error* why they cannot be made. The running stages do not change. */
static int daemon_prepare_reload(
        Daemon *d, Config **ret_config, Stages **ret_stages, char error[static STAGES_ERROR_MAX]) {
        _cleanup_(config_unrefp) Config *config = NULL;
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        int r;

        r = config_load(&(ConfigInput){ d->config->path, &types_of_config }, &config, &errors);
        if (r < 0) {
                config_errors_sum_up(&errors, error, STAGES_ERROR_MAX);
                daemon_put_words(error, r);
                return r;
        }
        if (strcmp(config->state_dir, d->config->state_dir) != 0 || (config->publishes && !d->host.outbox)) {
                (void) snprintf(error, STAGES_ERROR_MAX,
                        "%s: state_dir, and a publish section where there was none, need a restart", config->path);
                return -EBADMSG;
        }
        r = stages_new(&d->host, config, ret_stages, error);
        if (r != 0) {
                daemon_put_words(error, r);
                return r;
        }
        *ret_config = cleanup_steal(config);
        return 0;
}

static void daemon_reload(Daemon *d) {
        Config *config;
        Stages *stages;

        if (daemon_prepare_reload(d, &config, &stages, d->reload_error) != 0) {
                d->reload_refused = clock_now();
                log_event(LOG_ERR, EVENT_RELOAD_REFUSED,
                        LOG_FIELDS({ FIELD_FILE, d->config->path }, { FIELD_ERROR, d->reload_error }),
                        "Reload refused, the previous configuration stays in use: %s", d->reload_error);
                return;
        }
        d->reload_refused = 0;
        stages_take_over(stages);
        page_use(d->page, config);
        web_listen_renew(d->host.listen);
        config_unref(d->config);
        d->config = config;
        if (d->host.outbox)
                outbox_set_caps(d->host.outbox, &config->outbox);
        log_set_level(config->log_level);
        log_event(LOG_NOTICE, EVENT_RELOADED, LOG_FIELDS({ FIELD_FILE, config->path }),
                "Configuration reloaded: %zu source%s, %zu subscription%s.", config->n_sources,
                text_s(config->n_sources), config->n_subscriptions, text_s(config->n_subscriptions));
        daemon_log_warnings(d);
        d->left = (OutboxLeft){};
        daemon_log_left(d);
}

static void on_hangup(void *userdata, int signal) {
        Daemon *d = userdata;

        if (d->host.stopping || d->host.once)
                return;
        d->reloading = !service_reloading();
        daemon_reload(d);
        daemon_report_or_log(d);
        daemon_tell_ready(d);
        loop_wake(d->host.settle);
}

/* ---- what stages tell ---- */

static void on_page_stopped(void *userdata) {
        Daemon *d = userdata;

        loop_wake(d->host.settle);
}

static void on_settle(void *userdata) {
        Daemon *d = userdata;

        stages_settle(d->host.stages);
        if (d->host.outbox && !d->config->publishes) /* what a poll gave that a reload let end */
                daemon_log_left(d);
        if (!d->host.stopping || !stages_are_stopped(d->host.stages))
                return;
        page_stop(d->page);
        if (page_is_stopped(d->page))
                loop_exit(d->host.loop);
}

/* ---- start ---- */

static int daemon_add_signals(Daemon *d) {
        Loop *loop = d->host.loop;
        int r;

        r = loop_add_signal(loop, SIGTERM, on_terminate, d, &d->sigterm);
        if (r < 0)
                return r;
        r = loop_add_signal(loop, SIGINT, on_terminate, d, &d->sigint);
        if (r < 0)
                return r;
        return loop_add_signal(loop, SIGHUP, on_hangup, d, &d->sighup);
}

static int daemon_add_timers(Daemon *d) {
        Loop *loop = d->host.loop;
        int r;

        r = loop_add_defer(loop, on_settle, d, &d->host.settle);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, LOOP_RELAXED, daemon_report_or_log, d, &d->host.report);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, LOOP_LAZY, on_watch, d, &d->watch);
        if (r < 0)
                return r;
        loop_arm_in(d->watch, WATCH_EVERY_USEC);
        return loop_add_timer(loop, LOOP_EXACT, on_patience, d, &d->patience);
}

/* What helps where a file of state_dir cannot be opened at the start. */
static const char *what_helps(const char *state_dir, int error) {
        if (error == -ENODEV)
                return "put state_dir on a local disk (ext4, xfs, btrfs; not 9p, CIFS or ntfs3)";
        if (error == -EACCES && secret_home_is_hidden(state_dir))
                return "name another directory: ProtectHome= of its unit hides home directories";
        if (error == -EACCES && access(state_dir, W_OK | X_OK) == 0)
                return "give the files there to the user that runs sensorqd (chown); `sensorqd check` names them";
        if (error == -EACCES || error == -ENOENT)
                return "create state_dir, and let the user that runs sensorqd write there";
        return cause_disk_remedy(error);
}

/* A child that a killed sensorqd had just forked holds its lock until execve(2). */
static int daemon_wait_for_lock(Daemon *d) {
        usec_t until = clock_now() + LOCK_PATIENCE_USEC;
        int r;

        do
                r = service_lock(d->config->state_dir, &d->lock_fd);
        while (r == SERVICE_LOCK_HELD && clock_now() < until && usleep(LOCK_EVERY_USEC) == 0);
        return r;
}

static int daemon_lock(Daemon *d) {
        int r;

        r = daemon_wait_for_lock(d);
        if (r == SERVICE_LOCK_HELD) {
                log_event(LOG_ERR | LOG_LAST, NULL, NULL,
                        "%s is in use by another sensorqd. One process owns a state directory: stop the other one, or "
                        "give this one a state_dir of its own.",
                        d->config->state_dir);
                return EX_TEMPFAIL;
        }
        if (r == 0)
                return EX_OK;
        log_event(LOG_ERR | LOG_LAST, NULL, NULL,
                "Not started: the lock in state_dir %s cannot be taken: %s. To do: %s.", d->config->state_dir,
                strerror(-r), what_helps(d->config->state_dir, r));
        return EX_CANTCREAT;
}

static void on_knock(void *userdata, int fd, uint32_t events) {
        Daemon *d = userdata;

        service_hear(fd);
        stages_wake(d->host.stages);
}

/* If this fails, changes by other processes are noticed a little later. */
static void daemon_listen(Daemon *d) {
        int r;

        r = service_listen(d->config->state_dir, &d->knock_fd);
        if (r >= 0)
                r = loop_add_io(d->host.loop, d->knock_fd, EPOLLIN, on_knock, d, &d->knock);
        if (r < 0)
                log_debug("%s cannot be watched: %s", d->config->state_dir, strerror(-r));
}

/* Notes where the outbox is, so that it is found after the next change of state_dir. */
static void daemon_note_outbox(const Daemon *d) {
        int r = outbox_left_note(d->state_dir);

        if (r < 0)
                log_debug("the place of the outbox cannot be noted: %s", strerror(-r));
}

static int daemon_open_outbox(Daemon *d) {
        const char *directory = d->state_dir, *why;
        int r;

        if (!d->config->publishes)
                return EX_OK;
        daemon_note_outbox(d);
        r = outbox_open(directory, &d->config->outbox, &d->host.outbox, NULL);
        if (r == OUTBOX_OK || r == OUTBOX_SALVAGED)
                return EX_OK;
        if (r == OUTBOX_NEWER) {
                log_event(LOG_ERR | LOG_LAST, NULL, NULL,
                        "%s/%s was made by a later sensorqd and is not touched. Install that version again, or give "
                        "this one another state_dir.",
                        directory, OUTBOX_FILE);
                return EX_CANTCREAT;
        }
        why = r == -ENODEV ? "its file system cannot share memory between programs, which SQLite needs" : strerror(-r);
        log_event(LOG_ERR | LOG_LAST, EVENT_OUTBOX_FAILING, LOG_FIELDS({ FIELD_FILE, directory }, { FIELD_ERROR, why }),
                "The outbox in %s cannot be opened: %s. Nothing was started, since readings would have no place that "
                "survives a power cut. To do: %s.",
                directory, why, what_helps(directory, r));
        return EX_CANTCREAT;
}

static int daemon_make_stages(Daemon *d) {
        char error[STAGES_ERROR_MAX];
        Stages *stages;
        int r;

        r = stages_new(&d->host, d->config, &stages, error);
        if (r == STAGES_SECRET) {
                log_event(LOG_ERR | LOG_LAST, EVENT_CONFIG_REJECTED,
                        LOG_FIELDS({ FIELD_FILE, d->config->path }, { FIELD_ERROR, error }), "Not started: %s", error);
                return EX_NOPERM;
        }
        if (r < 0) {
                daemon_put_words(error, r);
                log_event(LOG_ERR | LOG_LAST, EVENT_CONFIG_REJECTED,
                        LOG_FIELDS({ FIELD_FILE, d->config->path }, { FIELD_ERROR, error }), "Not started: %s: %s",
                        d->config->path, error);
        } else
                stages_take_over(stages);
        return r;
}

static int daemon_open(Daemon *d) {
        int r;

        r = loop_new(&d->host.loop);
        if (r < 0)
                return r;
        r = daemon_add_signals(d);
        if (r < 0)
                return r;
        r = daemon_add_timers(d);
        if (r < 0)
                return r;
        r = loop_ping_watchdog(d->host.loop);
        if (r < 0)
                return r;
        r = http_new(d->host.loop, "sensorqd/" SENSORQD_VERSION, &d->host.http);
        if (r < 0)
                return r;
        r = listen_new(d->host.loop, &d->host.listen);
        if (r < 0)
                return r;
        r = secrets_new(&d->host.secrets);
        if (r < 0)
                return r;
        r = report_stalls_new(d->state_dir, &d->stalls);
        if (r < 0)
                return r;
        r = page_new(&(PageHost){ .loop = d->host.loop,
                             .listen = d->host.listen,
                             .secrets = d->host.secrets,
                             .state_dir = d->state_dir,
                             .figures = daemon_figures,
                             .on_stopped = on_page_stopped,
                             .userdata = d },
                &d->page);
        if (r == 0)
                d->host.tap = (SinkTap){ page_stored, d->page };
        return r;
}

static void daemon_log_emulator(const Daemon *d) {
        if (d->config->pubsub.emulator)
                log_event(LOG_WARNING, EVENT_EMULATOR, LOG_FIELDS({ FIELD_ERROR, d->config->pubsub.endpoint }),
                        "PUBSUB_EMULATOR_HOST is set: everything goes to the emulator at %s, without credentials. "
                        "Unset it for the real Pub/Sub.",
                        d->config->pubsub.endpoint);
}

int daemon_new(Config *config, bool once, Daemon **ret) {
        _cleanup_(daemon_freep) Daemon *d = NULL;
        int r;

        d = calloc(1, sizeof(Daemon));
        if (!d)
                return -ENOMEM;
        d->config = config_ref(config);
        d->lock_fd = d->knock_fd = -1;
        d->started = clock_now();
        d->host.once = once;
        d->state_dir = strdup(config->state_dir);
        d->config_path = realpath(config->path, NULL) ?: strdup(config->path); /* it was there a moment ago */
        if (!d->state_dir || !d->config_path)
                return -ENOMEM;
        d->host.state_dir = d->state_dir;

        r = service_block_signals();
        if (r < 0)
                return r;
        r = daemon_lock(d);
        if (r != 0)
                return r;
        r = daemon_open(d);
        if (r < 0)
                return r;
        r = daemon_open_outbox(d);
        if (r != 0)
                return r;
        daemon_listen(d);
        daemon_log_emulator(d);
        r = daemon_make_stages(d);
        if (r != 0)
                return r;

        loop_wake(d->host.settle);
        *ret = cleanup_steal(d);
        return 0;
}

static void daemon_log_started(Daemon *d) {
        OutboxStatus outbox = {};

        if (d->host.outbox)
                outbox_status(d->host.outbox, &outbox);
        log_event(LOG_INFO, EVENT_STARTED, LOG_FIELDS({ FIELD_FILE, d->config->path }),
                "sensorqd " SENSORQD_VERSION " started: %zu source%s, %zu subscription%s, %" PRIu64
                " reading%s queued from before.",
                d->config->n_sources, text_s(d->config->n_sources), d->config->n_subscriptions,
                text_s(d->config->n_subscriptions), outbox.rows, text_s(outbox.rows));
        daemon_log_warnings(d);
}

static void daemon_log_stopped(const Daemon *d) {
        OutboxStatus outbox = {};

        if (d->host.outbox)
                outbox_status(d->host.outbox, &outbox);
        log_event(LOG_INFO, EVENT_STOPPED, NULL,
                "Stopped. %" PRIu64 " reading%s wait%s in the outbox; what was not acknowledged waits in Pub/Sub.",
                outbox.rows, text_s(outbox.rows), text_verb_s(outbox.rows));
}

int daemon_run(Daemon *d) {
        bool complete = true, told = true;
        int r;

        daemon_log_started(d);
        daemon_log_left(d);
        if (!d->host.once)
                page_use(d->page, d->config);
        /* before READY=1, so that the page and `sensorqd status` work as soon as `systemctl start` returns */
        daemon_report_or_log(d);
        daemon_tell_ready(d);
        if (d->host.once) {
                if (d->config->page)
                        log_info("`once` serves no page.");
                r = stages_run_once(&d->host, &complete);
                if (r < 0)
                        return r;
                daemon_stop(d);
        }
        r = loop_run(d->host.loop);
        if (r == 0 && d->host.once)
                r = stages_end_once(&d->host, &told);
        if (r < 0)
                return r;
        stages_free(d->host.stages); /* first, so that the stages' last log lines come before the daemon's */
        daemon_log_stopped(d);
        report_remove(status_directory(d));
        return complete && told ? EX_OK : EX_TEMPFAIL;
}

Daemon *daemon_free(Daemon *d) {
        if (!d)
                return NULL;
        stages_free(d->host.stages);
        outbox_close(d->host.outbox);
        page_free(d->page);
        report_stalls_free(d->stalls);
        listen_free(d->host.listen);
        http_free(d->host.http);
        secrets_free(d->host.secrets);
        loop_drop(d->patience);
        loop_drop(d->watch);
        loop_drop(d->host.report);
        loop_drop(d->host.settle);
        loop_drop(d->knock);
        loop_drop(d->sighup);
        loop_drop(d->sigint);
        loop_drop(d->sigterm);
        loop_free(d->host.loop);
        if (d->knock_fd >= 0)
                (void) close(d->knock_fd);
        if (d->lock_fd >= 0)
                (void) close(d->lock_fd);
        config_unref(d->config);
        free(d->config_path);
        free(d->state_dir);
        free(d);
        return NULL;
}
