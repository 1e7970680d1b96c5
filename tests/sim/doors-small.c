/* SPDX-License-Identifier: Apache-2.0 */
/* The smaller doors: lib/worker.h, whose jobs run on the loop, each at once and at a drawn time; lib/service.h, with no
 * service manager; and the outbox's door as the ledger sees it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "doors.h"
#include "ledger.h"
#include "lib/crypto.h"
#include "lib/service.h"
#include "lib/worker.h"
#include "plan.h"
#include "publish/outbox-sql.h"
#include "publish/outbox.h"
#include "report.h"
#include "sinks/file.h"
#include "sources.h"
#include "subscribe/rejected.h"
#include "talk.h"
#include "weather.h"

/* ---- workers ---- */

struct Worker {
        WorkerRun run;
        WorkerDone done;
        void *userdata, *job;
        bool busy, ran, freed;
        void (*release)(void *what); /* due when the job has run */
        void *what;
};

static unsigned busy;

bool door_worker_is_busy(void) {
        return busy > 0;
}

int worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret) {
        Worker *worker = calloc(1, sizeof(Worker));

        if (!worker)
                return -ENOMEM;
        *worker = (Worker){ .run = run, .done = done, .userdata = userdata };
        *ret = worker;
        return 0;
}

static void on_done(void *subject, uint64_t number) {
        Worker *worker = subject;
        void *job = worker->job;

        worker->busy = false;
        busy--;
        if (worker->freed)
                return free(worker);
        world_door("worker answer");
        worker->job = NULL;
        worker->done(worker->userdata, job);
        world_door("worker done");
}

/* What the job waits for is added up in world->ahead: its answer comes so much later. */
static void on_run(void *subject, uint64_t number) {
        Worker *worker = subject;
        usec_t took;

        world_door("worker start");
        world->ahead = 0;
        worker->run(worker->userdata, worker->job);
        worker->ran = true;
        if (worker->release)
                worker->release(worker->what);
        took = world->ahead;
        world->ahead = 0;
        world_door("worker ran");
        world_in(took + world_latency(USEC_PER_MSEC), on_done, worker, 0, world->life);
}

int worker_submit(Worker *worker, void *job) {
        if (worker->busy)
                return WORKER_BUSY;
        worker->busy = true;
        worker->ran = false;
        worker->job = job;
        busy++;
        world_in(draw_skewed(&world->chance, 2 * USEC_PER_MSEC), on_run, worker, 0, world->life);
        return WORKER_STARTED;
}

Worker *worker_free(Worker *worker) {
        if (!worker)
                return NULL;
        worker->freed = true;
        if (!worker->busy)
                free(worker);
        return NULL;
}

void worker_end(Worker *worker, void (*release)(void *what), void *what) {
        if (worker && worker->busy && !worker->ran) {
                worker->release = release;
                worker->what = what;
        } else
                release(what);
        (void) worker_free(worker);
}

/* ---- the service manager ---- */

int service_block_signals(void) {
        return 0;
}

bool service_ready(void) {
        return true;
}

bool service_reloading(void) {
        return true;
}

void service_stopping(void) {}

void service_working(void *told) {}

void service_status(const char *text, char *last, size_t size) {
        talk_check_secrets("STATUS=", text, strlen(text));
}

int service_lock(const char *directory, int *ret_fd) {
        *ret_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return *ret_fd < 0 ? -errno : SERVICE_LOCKED;
}

int service_socket(const char *name, int *ret_fd) {
        return -ENOENT;
}

void service_knock(const char *directory) {}

int service_listen(const char *directory, int *ret_fd) {
        return -EOPNOTSUPP;
}

void service_hear(int fd) {}

const char *service_own_unit(char unit[static SERVICE_UNIT_SIZE]) {
        return strcpy(unit, "sensorqd");
}

/* Most of them are not looked at: they would take a tenth of the time. */
int __real_report_format_json(const Figures *figures, Bytes *ret);
int __wrap_report_format_json(const Figures *figures, Bytes *ret);

int __wrap_report_format_json(const Figures *figures, Bytes *ret) {
        static unsigned n;

        return n++ % 8 == 0 ? __real_report_format_json(figures, ret) : bytes_append_text(ret, "{}");
}

int __real_report_write(const char *directory, const char *json, size_t size);
int __wrap_report_write(const char *directory, const char *json, size_t size);

int __wrap_report_write(const char *directory, const char *json, size_t size) {
        talk_check_secrets("status.json", json, size);
        return __real_report_write(directory, json, size);
}

/* ---- the outbox ---- */

int __real_outbox_put(Outbox *outbox, const ReadingList *readings, size_t *ret_repeats);
int __wrap_outbox_put(Outbox *outbox, const ReadingList *readings, size_t *ret_repeats);

static uint32_t serial_of(const Reading *reading) {
        return ledger_find(reading->payload.data, reading->payload.size);
}

/* What each of them was taken for. */
static const ReadingList *the_list;
static bool *repeats;

int __real_outbox_source_see(Sql *sql, const Reading *reading, usec_t now);
int __wrap_outbox_source_see(Sql *sql, const Reading *reading, usec_t now);

int __wrap_outbox_source_see(Sql *sql, const Reading *reading, usec_t now) {
        int r = __real_outbox_source_see(sql, reading, now);

        if (reading->seen)
                world_trace("%s %s is %s", reading->source, reading->seen, r == OUTBOX_SOURCE_REPEAT ? "known" : "new");
        repeats[reading - the_list->items] = r == OUTBOX_SOURCE_REPEAT;
        return r;
}

/* A cap is passed by one batch of each source at most. */
static void check_cap(Outbox *outbox, size_t n) {
        OutboxStatus status;

        if (plan_max_rows() == 0)
                return;
        world->largest = n > world->largest ? n : world->largest;
        outbox_status(outbox, &status);
        if (status.rows > plan_max_rows() + (1 + _SOURCE_MAX) * world->largest)
                world_fail("%" PRIu64 " rows in an outbox for %u", status.rows, plan_max_rows());
}

/* P12: what finds no room, or a disk that refuses, is not followed by more of the same peer until there is room. */
static unsigned rooms; /* how often there was room */

bool __real_outbox_has_room(Outbox *outbox, uint64_t rows, uint64_t bytes);
bool __wrap_outbox_has_room(Outbox *outbox, uint64_t rows, uint64_t bytes);

bool __wrap_outbox_has_room(Outbox *outbox, uint64_t rows, uint64_t bytes) {
        bool room = __real_outbox_has_room(outbox, rows, bytes);

        rooms += room;
        return room;
}

static void check_held(Outbox *outbox, const ReadingList *readings, bool refused) {
        static struct {
                bool closed;
                size_t n;
                unsigned rooms;
        } held[_SOURCE_MAX];
        OutboxStatus status;
        int i = readings->n > 0 ? sources_find(readings->items[0].source) : -1;

        /* its last words, which the pipe bounds: it has ended, or its source does */
        bool drains = (i == SOURCE_RUN || i == SOURCE_STREAM) && (door_program_has_ended() || plan_source_may_end());

        if (i < 0)
                return;
        if (held[i].closed && held[i].rooms == rooms && readings->n > held[i].n && !drains)
                world_fail("%zu readings of %s come although there is no room", readings->n - held[i].n,
                        readings->items[0].source);
        outbox_status(outbox, &status);
        held[i].closed = refused || status.rows >= status.max_rows;
        held[i].n = refused ? readings->n : 0;
        held[i].rooms = rooms;
}

int __wrap_outbox_put(Outbox *outbox, const ReadingList *readings, size_t *ret_repeats) {
        int r;

        the_list = readings;
        repeats = calloc(readings->n + 1, sizeof(bool));
        if (!repeats)
                abort();
        for (size_t i = 0; i < readings->n; i++)
                ledger_putting(serial_of(&readings->items[i]), readings->items[i].seen != NULL);
        world_door("outbox put");
        r = __real_outbox_put(outbox, readings, ret_repeats);
        for (size_t i = 0; i < readings->n && r == 0; i++)
                ledger_put(serial_of(&readings->items[i]), repeats[i]);
        free(repeats);
        check_held(outbox, readings, r < 0);
        check_cap(outbox, readings->n);
        world_door("outbox has put");
        return r;
}

/* ---- the lines that a file sink knows: more than a day has, and few enough for a new daemon to be there at once ----
 */

#define FILE_KEYS_SIM 60000

int __real_file_keys_new(size_t max, FileKeys **ret);
int __wrap_file_keys_new(size_t max, FileKeys **ret);

int __wrap_file_keys_new(size_t max, FileKeys **ret) {
        return __real_file_keys_new(max < FILE_KEYS_SIM ? max : FILE_KEYS_SIM, ret);
}

/* ---- what is set apart by types of sink that keep nothing apart themselves ---- */

void __real_rejected_set_apart(RejectedKeeper *keeper, SinkWork *work);
void __wrap_rejected_set_apart(RejectedKeeper *keeper, SinkWork *work);

void __wrap_rejected_set_apart(RejectedKeeper *keeper, SinkWork *work) {
        const char *number = strstr(keeper->said.subscription, "/sub-");

        world_door("reject");
        __real_rejected_set_apart(keeper, work);
        for (size_t i = 0; i < work->n; i++)
                if (number && (work->items[i].verdict == SINK_STORED || work->items[i].verdict == SINK_DUPLICATE))
                        ledger_rejected((unsigned) strtoul(number + strlen("/sub-"), NULL, 10),
                                ledger_find(work->items[i].message->data.data, work->items[i].message->data.size));
        world_door("rejected");
}

/* ---- signatures: nobody here checks them, and they would take most of the time ---- */

int __wrap_pem_key_parse(const char *pem, PemKey **ret);
PemKey *__wrap_pem_key_free(PemKey *key);
int __wrap_pem_key_sign(PemKey *key, const char *header, const char *claims, char **ret);

int __wrap_pem_key_parse(const char *pem, PemKey **ret) {
        *ret = malloc(1);
        return *ret ? 0 : -ENOMEM;
}

PemKey *__wrap_pem_key_free(PemKey *key) {
        free(key);
        return NULL;
}

int __wrap_pem_key_sign(PemKey *key, const char *header, const char *claims, char **ret) {
        Bytes assertion = {};

        if (bytes_append_text(&assertion, "e30.") < 0 ||
                bytes_append_base64url(&assertion, claims, strlen(claims)) < 0 ||
                bytes_append_text(&assertion, ".c2lt") < 0)
                return -ENOMEM;
        *ret = assertion.data;
        return 0;
}
