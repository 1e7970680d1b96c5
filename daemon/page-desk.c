/* SPDX-License-Identifier: Apache-2.0 */
#include "page-desk.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "lib/gzip.h"
#include "lib/log.h"
#include "page-metrics.h"
#include "page-queue.h"
#include "page-render.h"
#include "page-store.h"
#include "subscribe/payload.h"
#include "trouble.h"
#include "types.h"

#define OPEN_AGAIN_USEC USEC_PER_MINUTE
#define LOST_SAID_USEC USEC_PER_HOUR
#define GZIP_MIN 1024 /* bytes; compressing less is not worth it */
/* For many viewers of many series: an answer is used again for this many times the time that it took to make. */
#define SERVES 20

struct PageDesk {
        atomic_uint references;
        char *directory;
        PageStore *store;
        PageFound found;
        PageQueueItem item;
        Trouble trouble; /* the file cannot be used */
        usec_t tried;    /* clock_now() of the last failed try to open it */
        bool newer;      /* a later version made the file */
        usec_t wanted; /* clock_now() of the first try to open it: messages stored after that are taken directly, not as
                          history */
        uint64_t lost_said;
        usec_t lost_at;
        uint64_t beyond_said;
        usec_t beyond_at;
        bool renewed; /* during this job the file was made anew or opened */
        Bytes list;   /* the last answer with all series, compressed */
        const Config *list_of;
        usec_t list_made, list_took; /* clock_now() */
};

/* ---- what is said ---- */

static void say_aside(const PageDesk *desk) {
        log_event(LOG_ERR, EVENT_PAGE_DAMAGED, LOG_FIELDS({ FIELD_FILE, desk->directory }),
                "The charts' file %s/" PAGE_TABLES_FILE
                " turned out to be damaged and was set aside as " PAGE_TABLES_ASIDE
                ". The charts begin anew; readings are where they always were.",
                desk->directory);
}

static void say_failing(PageDesk *desk, const char *detail) {
        if (trouble_fail(&desk->trouble, TROUBLE_LASTING, CAUSE_DISK, OPEN_AGAIN_USEC, detail))
                log_event(trouble_level(&desk->trouble), EVENT_PAGE_FAILING,
                        LOG_FIELDS({ FIELD_FILE, desk->directory }, { FIELD_ERROR, desk->trouble.detail }),
                        "The charts' values cannot be kept in %s/" PAGE_TABLES_FILE
                        ": %s. It is tried again; readings are stored as before.",
                        desk->directory, desk->trouble.detail);
}

static void say_well(PageDesk *desk) {
        char span[CLOCK_SPAN_SIZE];

        if (trouble_mend(&desk->trouble, span))
                log_event(LOG_NOTICE, EVENT_PAGE_RECOVERED, NULL, "The charts' values are kept again, after %s.", span);
}

/* Logs a failure of the store. True when the store succeeded. */
static bool desk_judge(PageDesk *desk, int r) {
        if (r < 0) {
                say_failing(desk, r == -ENOSPC ? "the disk is full; free space there" : strerror(-r));
                return false;
        }
        if (r == PAGE_STORE_ASIDE)
                say_aside(desk);
        desk->renewed = desk->renewed || r == PAGE_STORE_ASIDE;
        return true;
}

static void say_lost(PageDesk *desk) {
        uint64_t lost = page_store_lost(desk->store);
        usec_t now = clock_now();

        if (lost == desk->lost_said || (desk->lost_at > 0 && now - desk->lost_at < LOST_SAID_USEC))
                return;
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_FILE, desk->directory }),
                "%" PRIu64 " values are in no chart: there are more than %d series, or the disk does not keep up. They "
                "are stored as all others. Give devices an id that lasts; series silent for a month make room.",
                lost - desk->lost_said, PAGE_SERIES_MAX);
        desk->lost_said = lost;
        desk->lost_at = now;
}

/* Logs only the device of the last message; the page shows the numbers left out of every device. */
static void say_beyond(PageDesk *desk) {
        uint64_t before = desk->beyond_said;
        const PageFound *found = &desk->found;
        usec_t now = clock_now();

        desk->beyond_said = page_store_beyond(desk->store);
        if (desk->beyond_said == before || (desk->beyond_at > 0 && now - desk->beyond_at < LOST_SAID_USEC))
                return;
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_SOURCE, found->source }),
                "Not drawn of %s: %zu of its numbers. Of a message 64 are drawn, of a list 16, and none below 8 "
                "levels. All are stored as before. The page tells beside each device how many it leaves out.",
                found->name[0] ? found->name : found->device, found->beyond);
        desk->beyond_at = now;
}

/* ---- the store ---- */

static bool desk_open(PageDesk *desk, const PageJob *job) {
        usec_t now = clock_now();
        int r;

        if (desk->store)
                return true;
        if (desk->tried > 0 && now - desk->tried < OPEN_AGAIN_USEC)
                return false;
        desk->tried = now;
        desk->wanted = desk->wanted > 0 ? desk->wanted : clock_now();
        r = page_store_open(desk->directory, desk->wanted, &desk->store);
        desk->newer = r == PAGE_STORE_NEWER;
        if (desk->newer) {
                desk->wanted = 0;
                say_failing(desk, "a later sensorqd made it; install that version again, or move the file away");
                return false;
        }
        if (!desk_judge(desk, r))
                return false;
        say_well(desk);
        desk->tried = desk->wanted = 0;
        desk->renewed = job->kind != PAGE_JOB_OPEN; /* the answer to PAGE_JOB_OPEN says it itself */
        return true;
}

static int desk_look(PageDesk *desk, const PageJob *job) {
        PayloadFormat format = job->subscription ? (PayloadFormat) job->subscription->payload : PAYLOAD_JSON;
        PageMessage *message = &desk->item.message;
        _cleanup_(payload_done) Payload payload = {};
        int r;

        r = payload_open(message->text, format, &payload);
        if (r != PAYLOAD_OK)
                return r < 0 ? r : 0; /* no sink stores such a message */
        message->text = payload.text;
        message->id_attribute = job->subscription ? job->subscription->id_attribute : NULL;
        r = page_look(message, &desk->found);
        if (r == PAGE_LOOK_FOUND)
                r = page_store_add(desk->store, &desk->found);
        if (r == 0)
                say_beyond(desk);
        return r < 0 ? r : 0;
}

static bool desk_save(PageDesk *desk) {
        bool saved = desk_judge(desk, page_store_save(desk->store));

        if (saved) /* only a save shows that values can be kept, not a read */
                say_well(desk);
        return saved;
}

/* Saves while it takes: a backlog of days may not fit into memory. */
static void desk_take(PageDesk *desk, PageJob *job) {
        Slice queue = { job->queue.data, job->queue.size };
        bool saves = true;
        int r = 0;

        while (r == 0 && page_queue_next(&queue, &desk->item)) {
                r = desk_look(desk, job);
                if (saves && page_store_is_full(desk->store))
                        saves = desk_save(desk); /* if this fails, the save job that follows reports it */
        }
        if (r == 0 && job->kind == PAGE_JOB_PAST)
                r = page_store_note_past(desk->store, (Slice){ job->mark.data, job->mark.size }, job->complete);
        if (r < 0)
                log_debug("charts: %s", strerror(-r));
        say_lost(desk);
}

/* ---- answers ---- */

static int desk_render_values(PageDesk *desk, PageJob *job) {
        PageValues values = {};
        int r;

        r = page_store_values(desk->store, &job->query, &values);
        if (r == -ENOENT) {
                job->status = 404;
                job->words = "there is no such series";
                return 0;
        }
        if (!desk_judge(desk, r))
                return r;
        r = page_render_values(&job->query, &values, &job->body);
        page_store_values_done(&values);
        return r;
}

static int desk_compress(PageJob *job) {
        Bytes plain = bytes_steal(&job->body);
        int r;

        job->gzip = job->gzip && plain.size >= GZIP_MIN;
        if (!job->gzip) {
                job->body = plain;
                return 0;
        }
        r = gzip_make((Slice){ plain.data, plain.size }, &job->body);
        bytes_done(&plain);
        return r;
}

/* PageShown.limits: the limits of every subscription that has some. */
static void desk_limits(
        void *userdata, const PageSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to) {
        const Config *config = userdata;
        const SinkSeries asked = { series->key.source, series->key.device, series->name, series->key.field,
                series->key.labels };

        for (size_t i = 0; i < config->n_subscriptions; i++) {
                const SubscriptionConfig *subscription = &config->subscriptions[i];
                const SinkType *type = types_sink(subscription->sink);

                if (type->limits)
                        type->limits(subscription->keys, &asked, each, to);
        }
}

static int desk_render(PageDesk *desk, PageJob *job) {
        const PageShown shown = { &job->config->page->series, desk_limits, (Config *) job->config };
        const PageSeriesTable *series = page_store_series(desk->store);

        switch (job->kind) {
        case PAGE_JOB_SERIES:
                return page_render_series(series, &shown, &job->body);
        case PAGE_JOB_METRICS:
                return page_metrics_latest(series, shown.names, (int64_t) (clock_wall() / USEC_PER_MSEC), &job->body);
        default:
                return desk_render_values(desk, job);
        }
}

static bool desk_answer_again(const PageDesk *desk, PageJob *job) {
        return job->kind == PAGE_JOB_SERIES && job->gzip && desk->list.size > 0 && desk->list_of == job->config &&
               clock_now() - desk->list_made < SERVES * desk->list_took &&
               bytes_append(&job->body, desk->list.data, desk->list.size) >= 0;
}

static void desk_note_list(PageDesk *desk, const PageJob *job, usec_t began) {
        if (job->kind != PAGE_JOB_SERIES || !job->gzip)
                return;
        bytes_cut(&desk->list, 0);
        if (bytes_append(&desk->list, job->body.data, job->body.size) < 0)
                return;
        desk->list_of = job->config;
        desk->list_made = clock_now();
        desk->list_took = desk->list_made - began;
}

static void desk_answer(PageDesk *desk, PageJob *job) {
        usec_t began = clock_now();
        int r;

        job->status = 200;
        if (desk_answer_again(desk, job))
                return;
        bytes_cut(&job->body, job->body.size); /* the copy above may have failed for want of memory */
        r = desk_render(desk, job);
        if (r == 0 && job->status == 200)
                r = desk_compress(job);
        if (r >= 0)
                return desk_note_list(desk, job, began);
        bytes_done(&job->body);
        job->status = 503;
        job->words = "the values cannot be read now; the journal says why";
}

/* ---- jobs ---- */

static void desk_without(const PageDesk *desk, PageJob *job) {
        bool asked = job->kind == PAGE_JOB_SERIES || job->kind == PAGE_JOB_VALUES;

        job->status = job->kind == PAGE_JOB_METRICS ? 200 : 503; /* /metrics works without the charts */
        job->gzip = false;
        job->words = asked ? PAGE_DESK_NO_CHARTS : NULL;
        job->failed = job->kind == PAGE_JOB_TAKE && !desk->newer;
}

void page_desk_do(PageDesk *desk, PageJob *job) {
        job->begun = 0;
        desk->renewed = false;
        job->save = job->failed = job->renewed = false;
        if (!desk_open(desk, job))
                return desk_without(desk, job);
        switch (job->kind) {
        case PAGE_JOB_OPEN:
                break;
        case PAGE_JOB_TAKE:
        case PAGE_JOB_PAST:
                desk_take(desk, job);
                break;
        case PAGE_JOB_SERIES:
        case PAGE_JOB_VALUES:
        case PAGE_JOB_METRICS:
                desk_answer(desk, job);
                break;
        case PAGE_JOB_SAVE:
        case PAGE_JOB_CLOSE:
                job->failed = !desk_save(desk);
                break;
        }
        job->save = page_store_is_full(desk->store);
        job->renewed = desk->renewed || (job->kind == PAGE_JOB_TAKE && page_store_past_goes_on(desk->store));
        if (job->kind == PAGE_JOB_OPEN) {
                const PagePast *past = page_store_past(desk->store);

                job->begun = past->begun;
                job->since = past->since;
                job->complete = past->complete;
                bytes_cut(&job->mark, 0);
                (void) bytes_append(&job->mark, past->mark.data ? past->mark.data : "", past->mark.size);
        }
        if (job->kind == PAGE_JOB_CLOSE) {
                desk->store = page_store_free(desk->store);
                desk->lost_said = desk->beyond_said = 0; /* a new store counts from 0 */
        }
}

/* ---- life ---- */

int page_desk_new(const char *directory, PageDesk **ret) {
        PageDesk *desk = calloc(1, sizeof(*desk));

        if (!desk)
                return -ENOMEM;
        atomic_init(&desk->references, 1);
        desk->directory = strdup(directory);
        if (!desk->directory) {
                free(desk);
                return -ENOMEM;
        }
        *ret = desk;
        return 0;
}

PageDesk *page_desk_ref(PageDesk *desk) {
        (void) atomic_fetch_add(&desk->references, 1);
        return desk;
}

void page_desk_unref(PageDesk *desk) {
        if (!desk || atomic_fetch_sub(&desk->references, 1) > 1)
                return;
        page_store_free(desk->store);
        page_look_done(&desk->found);
        bytes_done(&desk->list);
        free(desk->directory);
        free(desk);
}
