/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/service.h"
#include "lib/text.h"
#include "subscribe/subscription.h"

/* What is watched; there is one watch of a kind for each source or subscription. */
typedef enum WatchKind {
        WATCH_PUBLISH,   /* the outbox gets shorter while nothing blocks it */
        WATCH_POLL,      /* polls are made when they are due */
        WATCH_HELD,      /* held messages get stored */
        WATCH_PULL,      /* pulls are answered */
        WATCH_RETENTION, /* unsettled messages are younger than the subscription's retention */
} WatchKind;

/* How long a stage may stand still before it is reported. */
static const usec_t patience[] = {
        [WATCH_PUBLISH] = 10 * USEC_PER_MINUTE, /* as long as ten publish timeouts */
        [WATCH_POLL] = 10 * USEC_PER_MINUTE,    /* after the time of the next poll */
        [WATCH_HELD] = 5 * USEC_PER_MINUTE,     /* several times the longest write of the driver */
        [WATCH_PULL] = 70 * USEC_PER_MINUTE,    /* the longest interval is 1 h, the longest pull 2 min */
};

typedef struct Watch {
        WatchKind kind;
        char *name;
        uint64_t progress; /* its value at the last check */
        usec_t since;  /* clock_now() of the last progress, or of the last check at which no progress was expected; of
                          WATCH_RETENTION, at which messages were as old as was reported */
        unsigned told; /* how much was reported; 0: nothing */
} Watch;

#define NOTES_NAME "unsettled" /* lines of "SECONDS SUBSCRIPTION": publish time or start of the outage, UTC */
#define NOTES_MAX (64 * 1024)
#define NOTES_AGE_USEC USEC_PER_MINUTE          /* younger messages are normal work */
#define NOTES_EVERY_USEC (10 * USEC_PER_MINUTE) /* the state directory may be on an SD card */

typedef enum OutboxLevel { OUTBOX_LEVEL_WELL, OUTBOX_LEVEL_HIGH, OUTBOX_LEVEL_FULL } OutboxLevel;

struct ReportStalls {
        Watch *watches; /* in the order of the figures; a watch of a stage that is gone is dropped at the next check */
        size_t n;
        OutboxLevel outbox;
        usec_t born;   /* clock_now() of the first check; 0: there was none */
        usec_t asleep; /* Figures.asleep at the last check */
        char *state_dir;
        char *before;    /* the content that the last process left; NULL: none */
        Bytes notes;     /* the content of the file, as far as this process knows */
        usec_t noted_at; /* clock_now() of the last write; 0: there was none */
};

/* Loads the file of the last process. If it cannot be read, ages are counted from now. */
static int stalls_load(ReportStalls *stalls) {
        _cleanup_free_ char *path = NULL;
        _cleanup_bytes_ Bytes text = {};
        int r;

        if (text_format(&path, "%s/" NOTES_NAME, stalls->state_dir) < 0)
                return -ENOMEM;
        r = file_load_own(path, NOTES_MAX, &text);
        if (r < 0 || text.size == 0)
                return r == -ENOMEM ? r : 0;
        r = bytes_append(&stalls->notes, text.data, text.size);
        stalls->before = bytes_steal(&text).data;
        return r;
}

int report_stalls_new(const char *state_dir, ReportStalls **ret) {
        _cleanup_(report_stalls_freep) ReportStalls *stalls = calloc(1, sizeof(ReportStalls));
        int r;

        if (!stalls)
                return -ENOMEM;
        stalls->state_dir = state_dir ? strdup(state_dir) : NULL;
        if (state_dir && !stalls->state_dir)
                return -ENOMEM;
        r = state_dir ? stalls_load(stalls) : 0;
        if (r < 0)
                return r;
        *ret = cleanup_steal(stalls);
        return 0;
}

static void watches_free(Watch *watches, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(watches[i].name);
        free(watches);
}

ReportStalls *report_stalls_free(ReportStalls *stalls) {
        if (!stalls)
                return NULL;
        watches_free(stalls->watches, stalls->n);
        bytes_done(&stalls->notes);
        free(stalls->before);
        free(stalls->state_dir);
        free(stalls);
        return NULL;
}

/* ---- one check: makes the new watches; each is a copy of the old one with its name ---- */

typedef struct Check {
        const ReportStalls *stalls;
        const Figures *figures;
        Watch *watches;
        size_t n;
        usec_t slept;               /* how long the machine slept since the last check */
        usec_t wall;                /* the time of day, by a source that knows that this machine's clock is wrong */
        char span[CLOCK_SPAN_SIZE]; /* how long it has stood still */
        char unit[SERVICE_UNIT_SIZE];
        Bytes notes; /* the new content of the file */
} Check;

/* Returns NULL when memory is short: then there is no warning, and the next check tries again. */
static Watch *carry_watch(Check *check, WatchKind kind, const char *name) {
        const ReportStalls *old = check->stalls;
        Watch *watch = &check->watches[check->n];

        for (size_t i = 0; i < old->n; i++) {
                Watch *before = &old->watches[(check->n + i) % old->n]; /* usually it has the same index as before */

                if (before->kind != kind || !before->name || strcmp(before->name, name) != 0)
                        continue;
                check->n++;
                *watch = *before;
                watch->since += check->slept; /* nothing could move while the machine slept */
                before->name = NULL;
                return watch;
        }
        *watch = (Watch){ .kind = kind, .name = strdup(name), .since = check->figures->now };
        return watch->name ? &check->watches[check->n++] : NULL;
}

/* True, once, when something has stood still for too long. *expected*: it should move; *progress* changes whenever it
 * moves. Uses a clock that no time server changes. */
static bool has_stalled(Check *check, WatchKind kind, const char *name, bool expected, uint64_t progress) {
        Watch *watch = carry_watch(check, kind, name);
        usec_t now = check->figures->now;

        if (!watch)
                return false;
        if (!expected || progress != watch->progress) {
                watch->progress = progress;
                watch->since = now;
                watch->told = 0;
                return false;
        }
        if (watch->told > 0 || now - watch->since < patience[kind])
                return false;
        watch->told = 1;
        (void) clock_format_span(now - watch->since, check->span, sizeof(check->span));
        return true;
}

/* ---- stalls ---- */

static void check_publisher(Check *check) {
        const Figures *f = check->figures;
        bool expected = f->outbox.rows > 0 && !f->publisher.failure.on && !f->publisher.paused &&
                        !f->token.failure.on && !f->outbox.failure.on && !f->stopping;
        char rows[24];

        if (!has_stalled(check, WATCH_PUBLISH, "", expected, f->publisher.published + f->publisher.rejected))
                return;
        (void) snprintf(rows, sizeof(rows), "%" PRIu64, f->outbox.rows);
        log_event(LOG_WARNING, EVENT_STALLED, LOG_FIELDS({ FIELD_ROWS, rows }),
                "%s reading%s wait%s in the outbox, safe on disk, and none has been published for %s, although no "
                "failure is known. If this persists: systemctl restart %s, and please report the log.",
                rows, text_s(f->outbox.rows), text_verb_s(f->outbox.rows), check->span, service_own_unit(check->unit));
}

static void check_source(Check *check, const SourceStatus *source) {
        const Figures *f = check->figures;
        bool due = source->next_poll > 0 && source->next_poll <= f->now;
        bool blocked = f->stopping || f->outbox.failure.on || source->failure.on || source->holding;

        if (has_stalled(check, WATCH_POLL, source->name, due && !blocked && !report_outbox_is_full(f),
                    source->polls + source->failures))
                log_event(LOG_WARNING, EVENT_STALLED, LOG_FIELDS({ FIELD_SOURCE, source->name }),
                        "Source %s should have been polled %s ago, and no failure is known. If this persists: "
                        "systemctl restart %s (nothing is lost), and please report the log.",
                        source->name, check->span, service_own_unit(check->unit));
}

static void check_held(Check *check, const SubscriberStatus *subscriber) {
        const SinkStatus *sink = &subscriber->sink;
        /* The sink waits after a write that stored nothing. This is not a stall: the next write says more, or the sink
         * is reported as down (sink.c). */
        bool waits = sink->refusing && sink->retry_at > check->figures->now;
        bool expected = subscriber->held > subscriber->aside && sink->ready && !waits && !subscriber->failure.on &&
                        !check->figures->stopping;
        uint64_t progress = subscriber->acknowledged + sink->stored + sink->duplicates + sink->rejected + sink->failed;

        if (has_stalled(check, WATCH_HELD, subscriber->subscription, expected, progress))
                log_event(LOG_WARNING, EVENT_STALLED, LOG_FIELDS({ FIELD_SUBSCRIPTION, subscriber->subscription }),
                        "%zu message%s of %s %s held, and none has been stored for %s, although %s answered last. "
                        "They are not lost. Check %s's log; if this persists: systemctl restart %s.",
                        subscriber->held, text_s(subscriber->held), subscriber->subscription,
                        subscriber->held == 1 ? "is" : "are", check->span, sink->what, sink->what,
                        service_own_unit(check->unit));
}

static void check_pulls(Check *check, const SubscriberStatus *subscriber) {
        const Figures *f = check->figures;
        bool expected = subscriber->held == subscriber->aside && !subscriber->paused && !subscriber->failure.on &&
                        !f->token.failure.on && !f->stopping;

        if (has_stalled(
                    check, WATCH_PULL, subscriber->subscription, expected, subscriber->pulls + subscriber->received))
                log_event(LOG_WARNING, EVENT_STALLED, LOG_FIELDS({ FIELD_SUBSCRIPTION, subscriber->subscription }),
                        "No pull from %s has completed for %s, and no failure is known. Messages wait in Pub/Sub. If "
                        "this persists: systemctl restart %s, and please report the log.",
                        subscriber->subscription, check->span, service_own_unit(check->unit));
}

/* ---- retention ---- */

static usec_t age(usec_t wall, usec_t since) {
        return since > 0 && wall > since ? wall - since : 0;
}

/* Returns how old the oldest message may be that is not stored: the oldest that is held, or one in the queue that
 * nobody saw because no pull succeeds. The second cannot be older than this process has been watching, even if the wall
 * clock was changed. */
static usec_t unsettled_age(const Check *check, const SubscriberStatus *subscriber) {
        usec_t wall = check->figures->wall, watched = check->figures->now - check->stalls->born;
        usec_t unseen = 0, held = age(check->wall, subscriber->oldest_unsettled);

        if (subscriber->paused)
                unseen = age(wall, subscriber->paused_since);
        if (subscriber->failure.on)
                unseen = usec_max(unseen, age(wall, subscriber->failure.since));
        return usec_max(held, usec_min(unseen, watched));
}

/* Returns the clock_wall() since which messages were waiting when the last process ended; 0: there were none, or they
 * are known to be gone. */
static usec_t unsettled_before(const Check *check, const SubscriberStatus *subscriber) {
        const char *line = subscriber->emptied ? NULL : check->stalls->before;
        size_t size = strlen(subscriber->subscription);

        for (; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
                char *name;
                unsigned long long seconds = strtoull(line, &name, 10);

                if (*name == ' ' && strncmp(name + 1, subscriber->subscription, size) == 0 && name[1 + size] == '\n')
                        return seconds < UINT32_MAX * 16ULL ? seconds * USEC_PER_SEC : 0;
        }
        return 0;
}

/* Notes the age for the next process. Without memory it is left out this time. */
static void note_unsettled(Check *check, const SubscriberStatus *subscriber, usec_t oldest) {
        usec_t since = check->wall - oldest;

        if (oldest >= NOTES_AGE_USEC && since < check->wall)
                (void) bytes_append_format(
                        &check->notes, "%" PRIu64 " %s\n", since / USEC_PER_SEC, subscriber->subscription);
}

/* Writes the file. Errors are ignored: only the age in a warning depends on it. */
static void stalls_note(ReportStalls *stalls, Check *check) {
        const Slice notes = bytes_slice(&check->notes);
        const Figures *f = check->figures;

        if (!stalls->state_dir || bytes_result(&check->notes) < 0 || slice_same(notes, bytes_slice(&stalls->notes)) ||
                (!f->stopping && stalls->noted_at > 0 && f->now - stalls->noted_at < NOTES_EVERY_USEC))
                return;
        if (file_replace(stalls->state_dir, NOTES_NAME, notes.data, notes.size) < 0)
                return;
        stalls->noted_at = f->now;
        bytes_done(&stalls->notes);
        stalls->notes = bytes_steal(&check->notes);
}

/* Returns the subscription's retention; if it may not be read, Pub/Sub's default. */
static usec_t retention_of(const SubscriberStatus *subscriber) {
        return subscriber->retention > 0 ? subscriber->retention : SUBSCRIPTION_RETENTION_DEFAULT_USEC;
}

static void log_retention(const SubscriberStatus *subscriber, unsigned level, usec_t oldest) {
        const SinkStatus *sink = &subscriber->sink;
        usec_t retention = retention_of(subscriber);
        bool over = oldest >= retention;
        char old_span[CLOCK_SPAN_SIZE], retention_span[CLOCK_SPAN_SIZE], left_span[CLOCK_SPAN_SIZE] = "";

        log_event(level == 2 ? LOG_ERR : LOG_WARNING, EVENT_RETENTION_NEAR,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, subscriber->subscription },
                        { FIELD_ERROR, sink->ready ? subscriber->failure.detail : sink->failure.detail }),
                "Messages of %s have been waiting for up to %s, and Pub/Sub drops them after %s%s%s. Restore %s %s%s, "
                "or raise the subscription's message retention (31 days at most).",
                subscriber->subscription, clock_format_span(oldest, old_span, sizeof(old_span)),
                clock_format_span(retention, retention_span, sizeof(retention_span)),
                subscriber->retention > 0 ? "" : " (assumed: its settings cannot be read)",
                over ? ": the oldest may be lost by now" : "", sink->ready ? "the pulls" : sink->what,
                over ? "now" : "within ",
                over ? "" : clock_format_span(retention - oldest, left_span, sizeof(left_span)));
}

static void check_retention(Check *check, const SubscriberStatus *subscriber) {
        Watch *watch = carry_watch(check, WATCH_RETENTION, subscriber->subscription);
        usec_t oldest = unsettled_age(check, subscriber), retention = retention_of(subscriber);
        usec_t before = age(check->wall, unsettled_before(check, subscriber));
        unsigned level;

        note_unsettled(check, subscriber, usec_max(before, oldest));
        if (before > oldest && check->figures->now - check->stalls->born >= NOTES_AGE_USEC) /* it may be on its way */
                oldest = before;
        level = oldest >= retention / 10 * 9 ? 2 : oldest >= retention / 2 ? 1 : 0;
        if (!watch)
                return;
        if (level > watch->told)
                log_retention(subscriber, level, oldest);
        if (level >= watch->told)
                watch->since = check->figures->now;

        /* Old messages come one after the other, from a backlog or because the clock is ahead, and in between there are
         * none: that is one warning. A new outage needs half of the retention to become one. */
        if (level > watch->told || check->figures->now - watch->since >= retention / 4)
                watch->told = level;
}

/* ---- outbox ---- */

static OutboxLevel outbox_level(const Figures *figures, OutboxLevel before) {
        const OutboxStatus *outbox = &figures->outbox;

        if (!figures->publishes)
                return OUTBOX_LEVEL_WELL;
        if (report_outbox_is_full(figures))
                return OUTBOX_LEVEL_FULL;
        if (report_outbox_is_high(figures))
                return before == OUTBOX_LEVEL_FULL ? OUTBOX_LEVEL_FULL : OUTBOX_LEVEL_HIGH;

        /* The level ends a little below its mark: an outbox that goes up and down around the mark must not fill the
         * log. */
        if (report_outbox_rows(figures) > outbox->max_rows / 10 * 7 ||
                report_outbox_bytes(figures) > outbox->max_bytes / 10 * 7)
                return before;
        return OUTBOX_LEVEL_WELL;
}

/* True if rejected readings fill the outbox; publishing may still work. */
static bool outbox_is_full_of_rejected(const OutboxStatus *outbox) {
        return outbox->rejected_rows > outbox->max_rows / 2 || outbox->rejected_bytes > outbox->max_bytes / 2;
}

#define FULL_REMEDY                                                                                                    \
        " See why publishing fails (sensorqd check), or raise publish.outbox.max_rows and max_bytes and reload."
#define FULL_OF_REJECTED                                                                                               \
        " Pub/Sub has refused most of it for good: see `sensorqd rejected list`, then replay or drop it."

static void check_outbox(ReportStalls *stalls, const Figures *figures) {
        static const struct {
                int level;
                const char *id, *begin, *polling, *remedy, *rejected;
        } says[] = {
                [OUTBOX_LEVEL_WELL] = { LOG_NOTICE, EVENT_OUTBOX_DRAINED, "The outbox has room again",
                        "Polling goes on.", "", "" },
                [OUTBOX_LEVEL_HIGH] = { LOG_WARNING, EVENT_OUTBOX_HIGH, "The outbox is over four fifths full",
                        "Polling goes on until it is full.", FULL_REMEDY, FULL_OF_REJECTED },
                [OUTBOX_LEVEL_FULL] = { LOG_ERR, EVENT_OUTBOX_FULL, "The outbox is full",
                        "Polling has stopped; readings from this time will be missing.", FULL_REMEDY,
                        FULL_OF_REJECTED },
        };
        const OutboxStatus *outbox = &figures->outbox;
        OutboxLevel level = outbox_level(figures, stalls->outbox), before = stalls->outbox;
        char rows[24], bytes[24];

        stalls->outbox = level;
        if (level == before || !figures->publishes)
                return;
        (void) snprintf(rows, sizeof(rows), "%" PRIu64, report_outbox_rows(figures));
        (void) snprintf(bytes, sizeof(bytes), "%" PRIu64, report_outbox_bytes(figures));
        log_event(says[level].level, says[level].id, LOG_FIELDS({ FIELD_ROWS, rows }, { FIELD_BYTES, bytes }),
                "%s: %s reading%s, %s bytes. %s%s", says[level].begin, rows, text_s(report_outbox_rows(figures)), bytes,
                says[level].polling, outbox_is_full_of_rejected(outbox) ? says[level].rejected : says[level].remedy);
}

/* Pub/Sub's times are compared with it. Our clock may have been set since the source was polled. */
static usec_t time_of_day(const Figures *figures) {
        for (size_t i = 0; i < figures->n_sources; i++)
                if (figures->sources[i].true_start != 0)
                        return figures->now + figures->sources[i].true_start;
        return figures->wall;
}

void report_stalls_check(ReportStalls *stalls, const Figures *figures) {
        Check check = { .stalls = stalls,
                .figures = figures,
                .slept = figures->asleep - stalls->asleep,
                .wall = time_of_day(figures) };

        if (stalls->born == 0)
                stalls->born = figures->now;
        stalls->asleep = figures->asleep;
        check_outbox(stalls, figures);

        check.watches = calloc(1 + figures->n_sources + 3 * figures->n_subscribers, sizeof(Watch));
        if (!check.watches)
                return;
        if (figures->publishes)
                check_publisher(&check);
        for (size_t i = 0; i < figures->n_sources; i++)
                check_source(&check, &figures->sources[i]);
        for (size_t i = 0; i < figures->n_subscribers; i++) {
                check_held(&check, &figures->subscribers[i]);
                check_pulls(&check, &figures->subscribers[i]);
                check_retention(&check, &figures->subscribers[i]);
        }
        stalls_note(stalls, &check);
        bytes_done(&check.notes);
        watches_free(stalls->watches, stalls->n);
        stalls->watches = check.watches;
        stalls->n = check.n;
}
