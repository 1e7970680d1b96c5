/* SPDX-License-Identifier: Apache-2.0 */
#include "page-thread.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "events.h"
#include "lib/gzip.h"
#include "lib/log.h"
#include "lib/text.h"
#include "page-numbers.h"
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

struct PageThread {
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

static void log_aside(const PageThread *thread) {
        log_event(LOG_ERR, EVENT_PAGE_DAMAGED, LOG_FIELDS({ FIELD_FILE, thread->directory }),
                "The charts' file %s/" PAGE_TABLES_FILE " was damaged and has been set aside as " PAGE_TABLES_ASIDE
                ", or was removed. The charts start afresh; stored readings are not affected.",
                thread->directory);
}

static void log_mended(const PageThread *thread) {
        log_error("Some values in %s/" PAGE_TABLES_FILE " are impossible. They were deleted and are missing from the "
                  "charts; all others are kept. Check the disk (journalctl -k). Stored readings are not affected.",
                thread->directory);
}

static void log_failing(PageThread *thread, const char *detail) {
        if (trouble_fail(&thread->trouble, TROUBLE_LASTING, CAUSE_DISK, OPEN_AGAIN_USEC, detail))
                log_event(trouble_level(&thread->trouble), EVENT_PAGE_FAILING,
                        LOG_FIELDS({ FIELD_FILE, thread->directory }, { FIELD_ERROR, thread->trouble.detail }),
                        "The charts' values cannot be kept in %s/" PAGE_TABLES_FILE
                        ": %s. sensorqd keeps trying; readings are stored as usual.",
                        thread->directory, thread->trouble.detail);
}

static void log_well(PageThread *thread) {
        char span[CLOCK_SPAN_SIZE];

        if (trouble_mend(&thread->trouble, span))
                log_event(LOG_NOTICE, EVENT_PAGE_RECOVERED, NULL, "The charts' values are kept again, after %s.", span);
}

/* Logs a failure of the store. True when the store succeeded. */
static bool thread_judge(PageThread *thread, int r) {
        if (r < 0) {
                log_failing(thread, r == -ENOSPC ? "the disk is full; free space there" : strerror(-r));
                return false;
        }
        if (r == PAGE_STORE_ASIDE)
                log_aside(thread);
        if (r == PAGE_STORE_MENDED)
                log_mended(thread);
        thread->renewed = thread->renewed || r == PAGE_STORE_ASIDE;
        return true;
}

static void log_lost(PageThread *thread) {
        uint64_t lost = page_store_lost(thread->store);
        usec_t now = clock_now();

        if (lost == thread->lost_said || (thread->lost_at > 0 && now - thread->lost_at < LOST_SAID_USEC))
                return;
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_FILE, thread->directory }),
                "%" PRIu64 " value%s missing from the charts: there are more than %d series, or the disk cannot "
                "keep up. They are stored like all others. Give devices permanent ids; series silent for a month make "
                "room.",
                lost - thread->lost_said, text_s(lost - thread->lost_said), PAGE_SERIES_MAX);
        thread->lost_said = lost;
        thread->lost_at = now;
}

/* Logs only the device of the last message; the page shows the numbers left out of every device. */
static void log_beyond(PageThread *thread) {
        uint64_t before = thread->beyond_said;
        const PageFound *found = &thread->found;
        usec_t now = clock_now();

        thread->beyond_said = page_store_beyond(thread->store);
        if (thread->beyond_said == before || (thread->beyond_at > 0 && now - thread->beyond_at < LOST_SAID_USEC))
                return;
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_SOURCE, found->source }),
                "Numbers of %s without a chart: %zu. A message gets up to 64 charts, a list 16, and nothing below 8 "
                "levels. All are stored as usual. The page shows beside each device how many have none.",
                found->name[0]     ? found->name
                : found->device[0] ? found->device
                                   : "a device without a name or id",
                found->beyond);
        thread->beyond_at = now;
}

/* ---- the queue ---- */

typedef struct Header {
        int64_t published;
        uint32_t text, n_attributes;
} Header;

static void put_slice(Bytes *queue, Slice slice) {
        uint32_t size = (uint32_t) slice.size;

        bytes_append(queue, &size, sizeof(size));
        bytes_append(queue, slice.data, slice.size);
}

int page_queue_put(Bytes *queue, const SinkPast *message) {
        Header header = { .published = message->published, .text = (uint32_t) message->text.size };
        size_t before = queue->size;
        int r;

        header.n_attributes = (uint32_t) message->n_attributes;
        if (message->n_attributes > PAGE_QUEUE_ATTRIBUTES_MAX)
                header.n_attributes = PAGE_QUEUE_ATTRIBUTES_MAX;
        bytes_append(queue, &header, sizeof(header));
        bytes_append(queue, message->text.data, message->text.size);
        for (size_t i = 0; i < header.n_attributes; i++) {
                put_slice(queue, message->attributes[i].key);
                put_slice(queue, message->attributes[i].value);
        }
        r = bytes_result(queue);
        if (r < 0)
                bytes_cut(queue, before);
        return r;
}

static const char *take(Slice *queue, size_t size) {
        const char *data = queue->data;

        *queue = (Slice){ data + size, queue->size - size };
        return data;
}

static Slice take_slice(Slice *queue) {
        uint32_t size;

        memcpy(&size, take(queue, sizeof(size)), sizeof(size));
        return (Slice){ take(queue, size), size };
}

bool page_queue_next(Slice *queue, PageQueueItem *ret) {
        Header header;

        if (queue->size == 0)
                return false;
        memcpy(&header, take(queue, sizeof(header)), sizeof(header));
        ret->message = (SinkPast){ .text = { take(queue, header.text), header.text },
                .attributes = ret->attributes,
                .n_attributes = header.n_attributes,
                .published = header.published };
        for (size_t i = 0; i < header.n_attributes; i++) {
                ret->attributes[i].key = take_slice(queue);
                ret->attributes[i].value = take_slice(queue);
        }
        return true;
}

/* ---- the store ---- */

static bool thread_open(PageThread *thread, const PageJob *job) {
        usec_t now = clock_now();
        int r;

        if (thread->store)
                return true;
        if (thread->tried > 0 && now - thread->tried < OPEN_AGAIN_USEC)
                return false;
        thread->tried = now;
        thread->wanted = thread->wanted > 0 ? thread->wanted : clock_now();
        r = page_store_open(thread->directory, thread->wanted, &thread->store);
        thread->newer = r == PAGE_STORE_NEWER;
        if (thread->newer) {
                thread->wanted = 0;
                log_failing(thread, "a later sensorqd made it; install that version again, or move the file away");
                return false;
        }
        if (!thread_judge(thread, r))
                return false;
        log_well(thread);
        thread->tried = thread->wanted = 0;
        thread->renewed = job->kind != PAGE_JOB_OPEN; /* the answer to PAGE_JOB_OPEN says it itself */
        return true;
}

static int thread_add(PageThread *thread, const PageJob *job) {
        PayloadFormat format = job->subscription ? (PayloadFormat) job->subscription->payload : PAYLOAD_JSON;
        const char *id_attribute = job->subscription ? job->subscription->id_attribute : NULL;
        SinkPast *message = &thread->item.message;
        _cleanup_(payload_done) Payload payload = {};
        int r;

        r = payload_open(message->text, format, &payload);
        if (r != PAYLOAD_OK)
                return r < 0 ? r : 0; /* no sink stores such a message */
        message->text = payload.text;
        r = page_numbers_find(message, id_attribute, &thread->found);
        if (r == PAGE_NUMBERS_FOUND)
                r = page_store_add(thread->store, &thread->found);
        if (r == 0)
                log_beyond(thread);
        return r < 0 ? r : 0;
}

static bool thread_save(PageThread *thread) {
        bool saved = thread_judge(thread, page_store_save(thread->store));

        if (saved) /* only a save shows that values can be kept, not a read */
                log_well(thread);
        return saved;
}

/* Saves while it takes: a backlog of days may not fit into memory. */
static void thread_take(PageThread *thread, PageJob *job) {
        Slice queue = bytes_slice(&job->queue);
        bool saves = true;
        int r = 0;

        while (r == 0 && page_queue_next(&queue, &thread->item)) {
                r = thread_add(thread, job);
                if (saves && page_store_is_full(thread->store))
                        saves = thread_save(thread); /* if this fails, the save job that follows reports it */
        }
        if (r == 0 && job->kind == PAGE_JOB_PAST)
                r = page_store_note_past(thread->store, bytes_slice(&job->past.mark), job->past.complete);
        if (r < 0)
                log_debug("charts: %s", strerror(-r));
        log_lost(thread);
}

/* ---- answers ---- */

static int thread_render_values(PageThread *thread, PageJob *job) {
        PageValues values = {};
        int r;

        r = page_store_values(thread->store, &job->query, &values);
        if (r == -ENOENT) {
                job->status = 404;
                job->words = "there is no such series";
                return 0;
        }
        if (!thread_judge(thread, r))
                return r;
        r = page_render_values(&job->query, &values, &job->body);
        page_store_values_done(&values);
        return r;
}

static int thread_compress(PageJob *job) {
        Bytes plain = bytes_steal(&job->body);
        int r;

        job->gzip = job->gzip && plain.size >= GZIP_MIN;
        if (!job->gzip) {
                job->body = plain;
                return 0;
        }
        r = gzip_make(bytes_slice(&plain), &job->body);
        bytes_done(&plain);
        return r;
}

/* PageShown.limits: the limits of every subscription that has some. */
static void thread_limits(
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

static int thread_render(PageThread *thread, PageJob *job) {
        const PageShown shown = { &job->config->page->series, thread_limits, (Config *) job->config };
        const PageSeriesTable *series = page_store_series(thread->store);

        switch (job->kind) {
        case PAGE_JOB_SERIES:
                return page_render_series(series, &shown, &job->body);
        case PAGE_JOB_METRICS:
                return page_metrics_latest(series, shown.names, (int64_t) (clock_wall() / USEC_PER_MSEC), &job->body);
        default:
                return thread_render_values(thread, job);
        }
}

static bool thread_answer_again(const PageThread *thread, PageJob *job) {
        return job->kind == PAGE_JOB_SERIES && job->gzip && thread->list.size > 0 && thread->list_of == job->config &&
               clock_now() - thread->list_made < SERVES * thread->list_took &&
               bytes_append(&job->body, thread->list.data, thread->list.size) >= 0;
}

static void thread_note_list(PageThread *thread, const PageJob *job, usec_t began) {
        if (job->kind != PAGE_JOB_SERIES || !job->gzip)
                return;
        bytes_cut(&thread->list, 0);
        if (bytes_append(&thread->list, job->body.data, job->body.size) < 0)
                return;
        thread->list_of = job->config;
        thread->list_made = clock_now();
        thread->list_took = thread->list_made - began;
}

static void thread_answer(PageThread *thread, PageJob *job) {
        usec_t began = clock_now();
        int r;

        job->status = 200;
        if (thread_answer_again(thread, job))
                return;
        bytes_cut(&job->body, job->body.size); /* the copy above may have failed for want of memory */
        r = thread_render(thread, job);
        if (r == 0 && job->status == 200)
                r = thread_compress(job);
        if (r >= 0)
                return thread_note_list(thread, job, began);
        bytes_done(&job->body);
        job->status = 503;
        job->words = "the values cannot be read now; the journal says why";
}

/* ---- jobs ---- */

static void thread_without(const PageThread *thread, PageJob *job) {
        bool asked = job->kind == PAGE_JOB_SERIES || job->kind == PAGE_JOB_VALUES;

        job->status = job->kind == PAGE_JOB_METRICS ? 200 : 503; /* /metrics works without the charts */
        job->gzip = false;
        job->words = asked ? PAGE_THREAD_NO_CHARTS : NULL;
        job->failed = job->kind == PAGE_JOB_TAKE && !thread->newer;
}

void page_thread_do(PageThread *thread, PageJob *job) {
        thread->renewed = false;
        job->save = job->failed = job->renewed = false;
        if (!thread_open(thread, job))
                return thread_without(thread, job);
        switch (job->kind) {
        case PAGE_JOB_OPEN:
                break;
        case PAGE_JOB_TAKE:
        case PAGE_JOB_PAST:
                thread_take(thread, job);
                break;
        case PAGE_JOB_SERIES:
        case PAGE_JOB_VALUES:
        case PAGE_JOB_METRICS:
                thread_answer(thread, job);
                break;
        case PAGE_JOB_SAVE:
        case PAGE_JOB_CLOSE:
                job->failed = !thread_save(thread);
                break;
        }
        job->save = page_store_is_full(thread->store);
        job->renewed = thread->renewed || (job->kind == PAGE_JOB_TAKE && page_store_past_goes_on(thread->store));
        if (job->kind == PAGE_JOB_OPEN) {
                const PagePast *past = page_store_past(thread->store);

                job->past = (PagePast){ .begun = past->begun, .since = past->since, .complete = past->complete };
                if (bytes_append(&job->past.mark, past->mark.data, past->mark.size) < 0)
                        job->past.begun = 0; /* without its mark, history would be read twice */
        }
        if (job->kind == PAGE_JOB_CLOSE) {
                thread->store = page_store_free(thread->store);
                thread->lost_said = thread->beyond_said = 0; /* a new store counts from 0 */
        }
}

/* ---- life ---- */

int page_thread_new(const char *directory, PageThread **ret) {
        PageThread *thread = calloc(1, sizeof(*thread));

        if (!thread)
                return -ENOMEM;
        thread->directory = strdup(directory);
        if (!thread->directory) {
                free(thread);
                return -ENOMEM;
        }
        *ret = thread;
        return 0;
}

PageThread *page_thread_free(PageThread *thread) {
        if (!thread)
                return NULL;
        page_store_free(thread->store);
        page_numbers_done(&thread->found);
        bytes_done(&thread->list);
        free(thread->directory);
        free(thread);
        return NULL;
}
