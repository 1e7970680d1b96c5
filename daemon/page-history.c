/* SPDX-License-Identifier: Apache-2.0 */
#include "page-charts.h"

#include <errno.h>
#include <stdlib.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/worker.h"
#include "page-tables.h"
#include "trouble.h"
#include "types.h"

#define RETRY_USEC (10 * USEC_PER_SEC)
#define RETRY_MAX_USEC (10 * USEC_PER_MINUTE)
#define PAUSE_MIN_USEC (20 * USEC_PER_MSEC)

/* Data of the thread. It ends on the thread, too: a thread that hangs may outlive the loop's side. */
typedef struct Reader {
        const SinkHistory *type;
        void *self;
        SinkPiece piece;
        Bytes queue;
        int result; /* SINK_HISTORY_..., or a negative errno */
} Reader;

struct PageHistory {
        PageHistorySpec spec;
        PagePast past; /* its mark is the reader's */
        Reader *reader;
        Worker *worker;
        LoopWatch *timer;
        Backoff backoff;
        Trouble trouble;
        usec_t asked, took;
};

/* ---- on the thread ---- */

/* May block. */
static void reader_free(void *userdata) {
        Reader *reader = userdata;

        if (!reader)
                return;
        if (reader->self)
                reader->type->close(reader->self);
        bytes_done(&reader->queue);
        bytes_done(&reader->piece.mark);
        free(reader);
}

static void on_past(void *userdata, const SinkPast *past) {
        Reader *reader = userdata;
        int r = page_queue_put(&reader->queue, past);

        if (r < 0)
                reader->result = r;
}

static void run(void *userdata, void *job) {
        Reader *reader = job;
        int r;

        reader->result = 0;
        bytes_cut(&reader->queue, 0);
        r = reader->type->next(reader->self, &reader->piece);
        if (reader->result == 0)
                reader->result = r;
}

/* ---- on the loop ---- */

static void history_ask(void *userdata) {
        PageHistory *history = userdata;
        Reader *reader = history->reader;

        history->asked = clock_now();
        reader->piece.before = page_past_begun(&history->past);
        (void) worker_submit(history->worker, reader);
}

static void history_fail(PageHistory *history) {
        const Reader *reader = history->reader;
        usec_t delay = backoff_next(&history->backoff, loop_random());
        const char *detail = reader->result < 0 ? strerror(-reader->result) : reader->piece.detail;

        loop_arm_in(history->timer, delay);
        if (reader->result == SINK_HISTORY_AWAY) /* the sink itself logs that */
                return log_debug("history: %s", detail);
        if (trouble_fail(&history->trouble, TROUBLE_LASTING, CAUSE_SERVICE, delay, detail))
                log_event(LOG_WARNING, EVENT_PAGE_FAILING, LOG_FIELDS({ FIELD_ERROR, history->trouble.detail }),
                        "What was stored before the page was enabled cannot be read for its charts: %s. sensorqd "
                        "keeps trying; nothing else waits for it.",
                        history->trouble.detail);
}

static void on_done(void *userdata, void *job) {
        PageHistory *history = userdata;
        Reader *reader = job;
        bool complete = reader->result == SINK_HISTORY_END;
        char span[CLOCK_SPAN_SIZE];

        if (reader->result != SINK_HISTORY_MORE && !complete)
                return history_fail(history);
        history->took = clock_now() - history->asked;
        backoff_reset(&history->backoff);
        if (trouble_mend(&history->trouble, span))
                log_event(LOG_NOTICE, EVENT_PAGE_RECOVERED, NULL, "What was stored before can be read again, after %s.",
                        span);
        history->spec.on_piece(history->spec.userdata, &reader->queue, bytes_slice(&reader->piece.mark), complete);
}

void page_history_go_on(PageHistory *history) {
        loop_arm_in(history->timer, usec_max(history->took, PAUSE_MIN_USEC));
}

static int history_open(PageHistory *history) {
        const PageHistorySpec *spec = &history->spec;
        char problem[SINK_DETAIL_MAX] = "";
        Reader *reader = history->reader;
        int r;

        reader->type = types_sink(spec->config->sink)->history;
        reader->piece = (SinkPiece){ .each = on_past, .userdata = reader };
        r = bytes_append(&reader->piece.mark, spec->past->mark.data, spec->past->mark.size);
        if (r < 0)
                return r;
        r = loop_add_timer(spec->loop, LOOP_EXACT, history_ask, history, &history->timer);
        if (r < 0)
                return r;
        r = worker_new(spec->loop, "page-past", run, on_done, history, &history->worker);
        if (r < 0)
                return r;
        return reader->type->open(spec->config, &reader->self, problem);
}

int page_history_new(const PageHistorySpec *spec, PageHistory **ret) {
        _cleanup_(page_history_freep) PageHistory *history = calloc(1, sizeof(*history));
        int r;

        if (!history)
                return -ENOMEM;
        history->spec = *spec;
        history->past = (PagePast){ .begun = spec->past->begun, .since = spec->past->since };
        history->backoff = (Backoff){ .initial = RETRY_USEC, .max = RETRY_MAX_USEC };
        history->reader = calloc(1, sizeof(Reader));
        if (!history->reader)
                return -ENOMEM;
        r = history_open(history);
        if (r < 0)
                return r;
        loop_arm_in(history->timer, 0);
        *ret = cleanup_steal(history);
        return 0;
}

PageHistory *page_history_free(PageHistory *history) {
        if (!history)
                return NULL;
        worker_end(history->worker, reader_free, history->reader);
        loop_drop(history->timer);
        free(history);
        return NULL;
}
