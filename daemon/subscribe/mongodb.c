/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* The sink's side on the loop: when to try, and what to say. All that blocks is on the worker's thread, in mongodb-write.c.
 *
 *                 timer, or a server appeared                     write()
 *      DOWN ----------------------------------> PROBING --> READY --------> WRITING ---+
 *       ^                                        |   ^       | ^              |  ^     | a fault, or some
 *       +-------------- no answer ---------------+   +-------+ +--- settled --+  |     | are to be tried again
 *                                                  a server disappeared          |     v
 *                                                                                +-- RETRYING: holds the batch
 *                                                                 timer, or a server appeared
 *      every one of them --stop()--> STOPPED
 *
 * A wait is cut short when a monitor of the driver sees a server that takes writes, so that recovery does not wait for the backoff; but
 * never for what only a person can mend, and never oftener than the gaps below. */
/* clang-format on */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/worker.h"
#include "subscribe/mongodb-outage.h"
#include "subscribe/mongodb-write.h"
#include "subscribe/sink.h"

/* between the end of one try and the next that a monitor called for ... */
#define SEEN_GAP_FIRST_USEC (500 * USEC_PER_MSEC)
/* ... doubling up to here: a server that breaks off each write is seen again after each */
#define SEEN_GAP_MAX_USEC (2 * USEC_PER_SEC)
#define RETRY_ACCURACY_USEC (10 * USEC_PER_MSEC) /* sd-event would take 250 ms */
/* odd messages are tried five times: not with minutes in between while their neighbours wait */
#define AGAIN_MAX_USEC (5 * USEC_PER_SEC)

/* One call into the driver takes less than a minute with the time limits of mongodb-uri.h. One that lasts for
 * STUCK_TICKS ticks hangs in a way that no timeout ends, and a thread cannot be taken back: the process ends and its
 * service manager starts it anew. Ticks, not time: a machine that slept for hours ticks once. */
#define STUCK_TICK_USEC (30 * USEC_PER_SEC)
#define STUCK_TICKS 10

typedef enum State {
        STATE_DOWN,
        STATE_PROBING,
        STATE_READY,
        STATE_WRITING,
        STATE_RETRYING,
        STATE_STOPPED,
        STATES
} State;

_asserted_ static const bool moves[STATES][STATES] = {
        [STATE_DOWN] = { [STATE_PROBING] = true, [STATE_STOPPED] = true },
        [STATE_PROBING] = { [STATE_READY] = true, [STATE_DOWN] = true, [STATE_STOPPED] = true },
        [STATE_READY] = { [STATE_WRITING] = true, [STATE_PROBING] = true, [STATE_STOPPED] = true },
        [STATE_WRITING] = { [STATE_READY] = true, [STATE_RETRYING] = true, [STATE_STOPPED] = true },
        [STATE_RETRYING] = { [STATE_WRITING] = true, [STATE_STOPPED] = true },
};

typedef enum JobKind { JOB_PROBE, JOB_WRITE } JobKind;

/* What the thread works on. Counted, because a thread that is stuck outlives the sink: the last one out releases it. */
typedef struct Job {
        atomic_uint references;
        JobKind kind;
        MongodbClient *client; /* the writer's; its atomics are shared with the loop */
        MongodbWriter *writer;
        Batch *batch; /* while JOB_WRITE runs */
        bool again;
        MongodbWriteResult result;
} Job;

typedef struct MongodbSink {
        Sink sink;
        State state;
        sd_event *event;
        SinkCallbacks callbacks;
        MongodbOutage outage;
        Worker *worker;
        Job *job;
        Batch *batch; /* held: being written or to be retried */
        Backoff backoff;
        sd_event_source *retry, *seen, *stuck;
        usec_t tried; /* clock_now() at the end of the last try */
        usec_t retry_at;
        bool server_seen; /* since the last try began */
        unsigned early;   /* tries that a monitor called for, in this outage */
        unsigned stuck_calls, stuck_ticks;
        SinkStatus status;
} MongodbSink;

static void move(MongodbSink *s, State state) {
        assert(moves[s->state][state]);
        s->state = state;
}

static void tell_change(MongodbSink *s) {
        if (s->callbacks.on_change)
                s->callbacks.on_change(s->callbacks.userdata);
}

/* ---- the thread ---- */

static Job *job_unref(Job *job) {
        if (!job || atomic_fetch_sub(&job->references, 1) > 1)
                return NULL;
        job->batch = batch_free(job->batch);
        job->writer = mongodb_writer_free(job->writer);
        free(job);
        return NULL;
}

/* On the thread. Touches the job and nothing else: the sink may be gone. */
static void run_job(void *userdata, void *argument) {
        Job *job = argument;

        switch (job->kind) {
        case JOB_PROBE:
                mongodb_writer_probe(job->writer, &job->result);
                break;
        case JOB_WRITE:
                mongodb_writer_write(job->writer, job->batch, job->again, &job->result);
                break;
        }
        (void) job_unref(job);
}

static void run_release(void *userdata, void *job) {
        (void) job_unref(job);
}

static usec_t stuck_tick(void) {
#ifdef SENSORQD_CRASHPOINTS
        const char *text = getenv("SENSORQD_TEST_STUCK_TICK_MSEC");

        if (text)
                return strtoull(text, NULL, 10) * USEC_PER_MSEC;
#endif
        return STUCK_TICK_USEC;
}

/* The loop's reference stays; the thread gets one of its own for as long as the job runs. */
static void submit(MongodbSink *s, JobKind kind) {
        int r;

        s->job->kind = kind;
        s->server_seen = false;
        s->stuck_ticks = 0;
        (void) atomic_fetch_add(&s->job->references, 1);
        r = worker_submit(s->worker, s->job);
        assert(r == WORKER_STARTED); /* the states see to it */
        (void) r;
        s->retry_at = 0;
        if (s->retry)
                (void) sd_event_source_set_enabled(s->retry, SD_EVENT_OFF);
        if (s->stuck) {
                (void) sd_event_source_set_time_relative(s->stuck, stuck_tick());
                (void) sd_event_source_set_enabled(s->stuck, SD_EVENT_ON);
        }
}

static void start_write(MongodbSink *s, bool again) {
        move(s, STATE_WRITING);
        s->job->batch = s->batch;
        s->job->again = again;
        submit(s, JOB_WRITE);
}

static void start_probe(MongodbSink *s) {
        move(s, STATE_PROBING);
        submit(s, JOB_PROBE);
}

static void note_up(MongodbSink *s) {
        mongodb_outage_end(&s->outage, clock_now());
        s->early = 0;
        backoff_reset(&s->backoff);
}

static void note_down(MongodbSink *s) {
        mongodb_outage_begin(&s->outage, s->job->result.fault, s->job->result.detail, clock_now(), clock_wall());
}

/* ---- when to try again ---- */

static usec_t seen_gap(const MongodbSink *s) {
        usec_t gap = SEEN_GAP_FIRST_USEC << (s->early < 4 ? s->early : 4);

        return gap < SEEN_GAP_MAX_USEC ? gap : SEEN_GAP_MAX_USEC;
}

static bool heeds_monitors(const MongodbSink *s) {
        return s->outage.fault != MONGODB_FAULT_NONE && !mongodb_fault_is_config(s->outage.fault);
}

/* A monitor sees a server that takes writes. */
static void try_early(MongodbSink *s) {
        usec_t at = s->tried + seen_gap(s);

        if (!heeds_monitors(s) || (s->retry_at > 0 && s->retry_at <= at))
                return;
        s->early++;
        s->retry_at = at;
        (void) sd_event_source_set_time(s->retry, at);
}

static void schedule(MongodbSink *s) {
        const MongodbWriteResult *result = &s->job->result;
        usec_t delay;

        s->tried = clock_now();
        delay = backoff_next(&s->backoff, loop_random());
        if (mongodb_fault_is_config(result->fault))
                delay = s->backoff.max;
        else if (result->fault == MONGODB_FAULT_NONE && delay > AGAIN_MAX_USEC)
                delay = AGAIN_MAX_USEC;

        s->retry_at = s->tried + delay;
        (void) sd_event_source_set_time(s->retry, s->retry_at);
        (void) sd_event_source_set_enabled(s->retry, SD_EVENT_ONESHOT);
        if (result->fault != MONGODB_FAULT_NONE)
                mongodb_outage_report(&s->outage, delay);
        if (s->server_seen)
                try_early(s);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        MongodbSink *s = userdata;

        if (s->state == STATE_DOWN)
                start_probe(s);
        else if (s->state == STATE_RETRYING)
                start_write(s, true);
        return 0;
}

static int on_seen(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        MongodbSink *s = userdata;
        eventfd_t count;
        unsigned seen;

        if (eventfd_read(fd, &count) < 0)
                return 0;
        seen = atomic_exchange(&s->job->client->seen, 0);
        if (seen & MONGODB_SEEN_WRITABLE) {
                s->server_seen = true;
                if (s->state == STATE_DOWN || s->state == STATE_RETRYING)
                        try_early(s);
        }
        if ((seen & MONGODB_SEEN_LOST) && s->state == STATE_READY) {
                start_probe(s); /* idle: ask before the next batch is pulled */
                tell_change(s);
        }
        return 0;
}

static int on_stuck(sd_event_source *source, uint64_t usec, void *userdata) {
        MongodbSink *s = userdata;
        unsigned calls = atomic_load(&s->job->client->calls);

        if (!worker_is_busy(s->worker)) {
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return 0;
        }
        s->stuck_ticks = calls % 2 == 1 && calls == s->stuck_calls ? s->stuck_ticks + 1 : 0;
        s->stuck_calls = calls;
        if (s->stuck_ticks >= STUCK_TICKS) {
                log_event(LOG_CRIT, NULL, LOG_FIELDS({ FIELD_SUBSCRIPTION, s->outage.subscription }),
                        "The MongoDB driver has not returned from one call for %s for %d min, far beyond its time "
                        "limits. Ending the "
                        "process so that the service manager starts it again; nothing is lost, what was not "
                        "acknowledged comes back",
                        s->outage.subscription, (int) (STUCK_TICKS * STUCK_TICK_USEC / USEC_PER_MINUTE));
                abort();
        }
        (void) sd_event_source_set_time_relative(source, stuck_tick());
        (void) sd_event_source_set_enabled(source, SD_EVENT_ON);
        return 0;
}

/* ---- results ---- */

static void count(MongodbSink *s) {
        const MongodbWriteResult *result = &s->job->result;

        s->status.writes++;
        s->status.stored += result->stored;
        s->status.duplicates += result->duplicates;
        s->status.rejected += result->rejected;
        s->status.failed += result->failed;
        if (result->stored > 0)
                s->status.last_stored = clock_wall();
}

/* Always the last thing done: from inside, the subscriber may hand over the next batch or close the sink. */
static void give_back(MongodbSink *s) {
        s->callbacks.on_settled(s->callbacks.userdata, cleanup_steal(s->batch));
}

static void on_probed(MongodbSink *s) {
        if (s->job->result.fault == MONGODB_FAULT_NONE) {
                note_up(s);
                move(s, STATE_READY);
        } else {
                note_down(s);
                move(s, STATE_DOWN);
                schedule(s);
        }
        tell_change(s);
}

static void on_written(MongodbSink *s) {
        const MongodbWriteResult *result = &s->job->result;

        if (result->fault == MONGODB_FAULT_NONE && !result->again) {
                note_up(s);
                move(s, STATE_READY);
                give_back(s);
                return;
        }
        if (result->fault != MONGODB_FAULT_NONE)
                note_down(s);
        else if (s->outage.since > 0)
                note_up(s); /* it answers; only some messages are odd */
        move(s, STATE_RETRYING);
        schedule(s);
        tell_change(s);
}

static void on_done(void *userdata, void *argument) {
        MongodbSink *s = userdata;
        Job *job = argument;

        job->batch = NULL;
        (void) sd_event_source_set_enabled(s->stuck, SD_EVENT_OFF);
        if (job->kind == JOB_WRITE)
                count(s);
        if (s->state == STATE_STOPPED && s->batch)
                give_back(s);
        else if (s->state == STATE_STOPPED)
                tell_change(s);
        else if (job->kind == JOB_WRITE)
                on_written(s);
        else
                on_probed(s);
}

/* ---- the interface of sink.h ---- */

/* The pool waits for its monitors when it is destroyed, up to the connect timeout: on a thread of its own, which nobody
 * waits for (P8). A write that still runs keeps its own reference, so whichever ends last releases the job; never the
 * loop. */
static void release_job(MongodbSink *s) {
        Worker *releaser;

        if (worker_new(NULL, "mongodb-close", run_release, NULL, NULL, &releaser) < 0)
                return; /* no memory for a thread: what it holds goes with the process */
        (void) worker_submit(releaser, s->job);
        (void) worker_free(releaser);
}

static Sink *mongodb_close(Sink *sink) {
        MongodbSink *s = (MongodbSink *) sink;

        if (!s)
                return NULL;
        s->stuck = sd_event_source_disable_unref(s->stuck);
        s->seen = sd_event_source_disable_unref(s->seen);
        s->retry = sd_event_source_disable_unref(s->retry);
        s->worker = worker_free(s->worker);
        if (s->batch && s->job->batch != s->batch)
                s->batch = batch_free(s->batch);
        if (s->job)
                release_job(s);
        mongodb_outage_done(&s->outage);
        (void) sd_event_unref(s->event);
        free(s);
        return NULL;
}

static int open_job(const SubscriptionConfig *config, const char *secret, Job **ret) {
        _cleanup_(mongodb_client_freep) MongodbClient *client = NULL;
        char problem[256] = "";
        Job *job;
        int r;

        r = mongodb_client_new(config, secret, &client, problem, sizeof(problem));
        if (r == -EBADMSG)
                log_event(LOG_ERR, EVENT_CONFIG_REJECTED,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, config->subscription }, { FIELD_ERROR, problem }),
                        "Subscription %s cannot be stored: %s", config->subscription, problem);
        if (r < 0)
                return r;
        job = calloc(1, sizeof(*job));
        if (!job)
                return -ENOMEM;
        job->client = client;
        r = mongodb_writer_new(client, &job->writer);
        if (r < 0) {
                free(job);
                return r;
        }
        cleanup_steal(client);
        atomic_init(&job->references, 1);
        *ret = job;
        return 0;
}

static int open_sources(MongodbSink *s) {
        int r;

        r = worker_new(s->event, "mongodb", run_job, on_done, s, &s->worker);
        if (r < 0)
                return r;
        r = sd_event_add_io(s->event, &s->seen, s->job->client->seen_fd, EPOLLIN, on_seen, s);
        if (r < 0)
                return r;
        r = sd_event_add_time(s->event, &s->retry, CLOCK_BOOTTIME, 0, RETRY_ACCURACY_USEC, on_retry, s);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(s->retry, SD_EVENT_OFF);
        r = sd_event_add_time(s->event, &s->stuck, CLOCK_BOOTTIME, 0, 0, on_stuck, s);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(s->stuck, SD_EVENT_OFF);
        return 0;
}

static int mongodb_open(sd_event *event, const SubscriptionConfig *config, const char *secret,
        const SinkCallbacks *callbacks, Sink **ret) {
        MongodbSink *s;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->sink.type = &sink_type_mongodb;
        s->event = sd_event_ref(event);
        s->callbacks = *callbacks;
        s->backoff = (Backoff){ .initial = config->mongodb.backoff_initial, .max = config->mongodb.backoff_max };
        r = mongodb_outage_init(&s->outage, config, clock_now());
        if (r == 0)
                r = open_job(config, secret, &s->job);
        if (r == 0)
                r = open_sources(s);
        if (r < 0) {
                (void) mongodb_close(&s->sink);
                return r;
        }
        start_probe(s);
        *ret = &s->sink;
        return 0;
}

static int mongodb_write(Sink *sink, Batch *batch) {
        MongodbSink *s = (MongodbSink *) sink;

        if (s->state != STATE_READY)
                return SINK_WRITE_BUSY;
        s->batch = batch;
        start_write(s, false);
        return SINK_WRITE_STARTED;
}

static void mongodb_stop(Sink *sink) {
        MongodbSink *s = (MongodbSink *) sink;
        bool retrying = s->state == STATE_RETRYING;

        if (s->state == STATE_STOPPED)
                return;
        move(s, STATE_STOPPED);
        (void) sd_event_source_set_enabled(s->retry, SD_EVENT_OFF);
        s->retry_at = 0;
        if (retrying)
                give_back(s);
        else
                tell_change(s);
}

static bool mongodb_is_busy(const Sink *sink) {
        const MongodbSink *s = (const MongodbSink *) sink;

        return s->batch && s->job->batch == s->batch;
}

static void mongodb_status(const Sink *sink, SinkStatus *ret) {
        const MongodbSink *s = (const MongodbSink *) sink;

        *ret = s->status;
        ret->ready = s->outage.since == 0 && s->state != STATE_STOPPED;
        ret->down_since = s->outage.since_wall;
        ret->retry_at = s->retry_at;
        ret->detail = s->outage.detail;
        ret->what = "MongoDB";
}

const SinkType sink_type_mongodb = {
        .name = "mongodb",
        .open = mongodb_open,
        .close = mongodb_close,
        .write = mongodb_write,
        .stop = mongodb_stop,
        .is_busy = mongodb_is_busy,
        .status = mongodb_status,
};
