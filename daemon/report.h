/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the stages report: a table of figures, written as STATUS= for `systemctl status` and as status.json for
 * `sensorqd status` and monitoring. Figures never control anything. The formatting is pure: all times are arguments. */

#include "lib/bytes.h"
#include "lib/err.h"
#include "publish/outbox-guest.h"
#include "publish/outbox.h"
#include "publish/publisher.h"
#include "publish/source.h"
#include "pubsub/token.h"
#include "subscribe/subscriber.h"

/* The figures of every stage at one moment. A time of 0 means that there is none. */
typedef struct Figures {
        usec_t wall, now;   /* clock_wall(), clock_now() */
        usec_t asleep;      /* how much of *now* the machine slept since it started */
        usec_t started;     /* clock_wall() */
        const char *config; /* full name of the file; borrowed */
        bool stopping;
        usec_t reload_refused;    /* clock_wall() of the last reload if it was refused; else 0 */
        const char *reload_error; /* why; borrowed */
        bool publishes;
        OutboxStatus outbox;
        OutboxLeft left;
        Failure page;                  /* it cannot be served */
        const char *page_subscription; /* which the page draws, ""; NULL: it is not the page that asks; borrowed */
        PublisherStatus publisher;
        TokenStatus token;
        SourceStatus *sources; /* report_done() frees the arrays */
        size_t n_sources;
        SubscriberStatus *subscribers;
        size_t n_subscribers;
} Figures;

/* Frees the arrays; there are none afterwards. */
void report_done(Figures *figures);

/* What counts against the outbox's limits: what waits, and what was rejected. */
static inline uint64_t report_outbox_rows(const Figures *figures) {
        return figures->outbox.rows + figures->outbox.rejected_rows;
}

static inline uint64_t report_outbox_bytes(const Figures *figures) {
        return figures->outbox.bytes + figures->outbox.rejected_bytes;
}

/* _is_full: polling has stopped because there is no room. _is_high: the outbox holds more than four fifths of a limit,
 * rejected rows included. */
bool report_outbox_is_full(const Figures *figures);
bool report_outbox_is_high(const Figures *figures);

/* True if everything works: no source, queue, sink or page fails, waits for room, or has not answered yet, and of each
 * source something can be understood. */
bool report_is_well(const Figures *figures);

#define REPORT_LINE_SIZE 501

/* Writes STATUS= in plain words: "home polled 12:06:03, 3 readings queued, last stored 12:03:04, MongoDB down since
 * 12:03:05 (next try 12:06:40), pulls paused". One line of whole characters. Times are local and absolute, so that the
 * line is still true a minute later. Returns *line*. */
const char *report_format_line(const Figures *figures, char line[static REPORT_LINE_SIZE]);

/* Appends the figures, and more, as one JSON object (documented in sensorqd(8)). -ENOMEM. */
int report_format_json(const Figures *figures, Bytes *ret);

/* Writes DIRECTORY/status.json with mode 0644; a reader sees the whole old or the whole new text. It is not synced,
 * because it is only about this moment. Errors of open(2) and write(2); the old file then stays. */
int report_write(const char *directory, const char *json, size_t size);
/* Removes the file at the end of the process, so that nobody believes that it still runs. */
void report_remove(const char *directory);

/* ---- report-stalls.c ---- */

/* Watches the figures and warns: of stages that stand still although no failure is known, messages near the end of
 * their retention, an outbox that gets full. */
typedef struct ReportStalls ReportStalls;

/* STATE_DIR/unsettled keeps since when messages of each subscription have been waiting; without it, each restart would
 * count from 0. NULL: it is not kept. -ENOMEM. */
int report_stalls_new(const char *state_dir, ReportStalls **ret);
ReportStalls *report_stalls_free(ReportStalls *stalls);
CLEANUP_DEFINE(ReportStalls, report_stalls_free)

/* Logs EVENT_STALLED, EVENT_RETENTION_NEAR (at half and nine tenths) and EVENT_OUTBOX_HIGH, _FULL, _DRAINED, once for
 * each change. Call it about every minute, after each change, and at the stop. */
void report_stalls_check(ReportStalls *stalls, const Figures *figures);

/* ---- report-json.c ---- */

/* The table of all figures. A row says what one is called in status.json and in /metrics, and where its value is. */

typedef enum FigureKind {
        FIGURE_TEXT, /* in /metrics a label of the figures of its struct, if it has a name there */
        FIGURE_JSON, /* left out when it is NULL */
        FIGURE_FLAG,
        FIGURE_COUNT,
        FIGURE_SPAN,   /* usec_t, written as seconds */
        FIGURE_TIME,   /* clock_wall() */
        FIGURE_DUE,    /* clock_now() */
        FIGURE_KIND,   /* a Cause: its kind; null while there is no failure */
        FIGURE_REMEDY, /* a Cause: its remedy */
        FIGURE_OBJECT, /* a struct, or further members of the same struct */
        FIGURE_ARRAY,  /* an array of structs */
} FigureKind;

typedef struct Figure {
        const char *key; /* in status.json */
        FigureKind kind;
        size_t offset, size;
        const char *metric, *help;    /* in /metrics; NULL: it is not there */
        const struct Figure *members; /* for an object, or for each struct of an array; ends with a row without a key */
        size_t n;                     /* for an array: the place of its length in Told */
        size_t only, only_size; /* the figure is left out where the member of Told at this place is 0; no size: never */
} Figure;

/* Everything that is written. */
typedef struct Told {
        const char *version;
        const char *status; /* the line of STATUS=; only for status.json */
        bool outbox_full, well;
        const char *left_in;
        uint64_t msec; /* the present time, since 1970 */
        Figures figures;
} Told;

/* The members of Told. */
extern const Figure report_figures[];

/* Returns what there is to tell, but the status; it borrows from *figures*. */
Told report_tell(const Figures *figures);

/* Returns how many structs an array has. */
static inline size_t report_length(const Told *told, const Figure *figure) {
        return *(const size_t *) ((const char *) told + figure->n);
}

/* Returns the number of *size* bytes at *at*: a FLAG, COUNT, SPAN, TIME or DUE. */
static inline uint64_t report_number(const void *at, size_t size) {
        switch (size) {
        case sizeof(bool):
                return *(const bool *) at;
        case sizeof(uint32_t):
                return *(const uint32_t *) at;
        default:
                return *(const uint64_t *) at;
        }
}

static inline bool report_is_told(const Told *told, const Figure *figure) {
        return figure->only_size == 0 || report_number((const char *) told + figure->only, figure->only_size) != 0;
}
