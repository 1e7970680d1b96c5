/* SPDX-License-Identifier: Apache-2.0 */
/* status.json: its members, and how they are written. */
#include "report.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/cleanup.h"

/* ---- the table ---- */

typedef enum FigureKind {
        FIGURE_TEXT,
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

/* A member of status.json, and the place of its value in a struct. */
typedef struct Figure {
        const char *key;
        FigureKind kind;
        size_t offset, size;
        const struct Figure *members; /* for an object, or for each struct of an array */
        size_t n;                     /* for an array: the place of its length */
        size_t only; /* place of a flag in Told; the member is left out unless it is true; 0: no flag */
} Figure;

/* Everything that is written. */
typedef struct Told {
        const char *version;
        char line[REPORT_LINE_SIZE];
        const char *status;
        bool outbox_full, reload_refused, left, page_failing, well;
        const char *left_in;
        Figures figures;
} Told;

#define MEMBER_SIZE(type, member) sizeof(((type *) 0)->member)
#define NAMED(kind, key, type, member)                                                                                 \
        { key, FIGURE_##kind, offsetof(type, member), MEMBER_SIZE(type, member) }
#define FIGURE(kind, type, member) NAMED(kind, #member, type, member)

static const Figure source_figures[] = {
        FIGURE(TEXT, SourceStatus, name),
        FIGURE(FLAG, SourceStatus, failing),
        FIGURE(TIME, SourceStatus, failing_since),
        FIGURE(FLAG, SourceStatus, speaks),
        FIGURE(TIME, SourceStatus, last_poll),
        FIGURE(TIME, SourceStatus, last_reading),
        FIGURE(DUE, SourceStatus, next_poll),
        FIGURE(FLAG, SourceStatus, limited),
        FIGURE(FLAG, SourceStatus, clock_wrong),
        FIGURE(COUNT, SourceStatus, polls),
        FIGURE(COUNT, SourceStatus, readings),
        FIGURE(COUNT, SourceStatus, repeats),
        FIGURE(COUNT, SourceStatus, failures),
        FIGURE(COUNT, SourceStatus, left_out),
        FIGURE(COUNT, SourceStatus, unreadable),
        FIGURE(COUNT, SourceStatus, dropped),
        FIGURE(FLAG, SourceStatus, holding),
        FIGURE(TEXT, SourceStatus, detail),
        NAMED(KIND, "kind", SourceStatus, cause),
        NAMED(REMEDY, "remedy", SourceStatus, cause),
        {},
};

static const Figure outbox_figures[] = {
        NAMED(COUNT, "rows", Told, figures.outbox.rows),
        NAMED(COUNT, "bytes", Told, figures.outbox.bytes),
        NAMED(COUNT, "rejected_rows", Told, figures.outbox.rejected_rows),
        NAMED(COUNT, "rejected_bytes", Told, figures.outbox.rejected_bytes),
        NAMED(COUNT, "max_rows", Told, figures.outbox.max_rows),
        NAMED(COUNT, "max_bytes", Told, figures.outbox.max_bytes),
        NAMED(TIME, "oldest", Told, figures.outbox.oldest),
        NAMED(FLAG, "full", Told, outbox_full),
        NAMED(FLAG, "failing", Told, figures.outbox_failing),
        NAMED(TIME, "failing_since", Told, figures.outbox.failing_since),
        NAMED(TEXT, "detail", Told, figures.outbox.detail),
        NAMED(KIND, "kind", Told, figures.outbox.cause),
        NAMED(REMEDY, "remedy", Told, figures.outbox.cause),
        {},
};

static const Figure publisher_figures[] = {
        FIGURE(FLAG, PublisherStatus, failing),
        FIGURE(TIME, PublisherStatus, failing_since),
        FIGURE(FLAG, PublisherStatus, paused),
        FIGURE(TIME, PublisherStatus, last_publish),
        FIGURE(DUE, PublisherStatus, retry_at),
        FIGURE(COUNT, PublisherStatus, published),
        FIGURE(COUNT, PublisherStatus, rejected),
        FIGURE(COUNT, PublisherStatus, requests),
        FIGURE(COUNT, PublisherStatus, failures),
        FIGURE(TEXT, PublisherStatus, detail),
        NAMED(KIND, "kind", PublisherStatus, cause),
        NAMED(REMEDY, "remedy", PublisherStatus, cause),
        {},
};

static const Figure token_figures[] = {
        FIGURE(FLAG, TokenStatus, failing),
        FIGURE(TIME, TokenStatus, failing_since),
        FIGURE(DUE, TokenStatus, expires),
        FIGURE(DUE, TokenStatus, retry_at),
        FIGURE(TEXT, TokenStatus, detail),
        NAMED(KIND, "kind", TokenStatus, cause),
        NAMED(REMEDY, "remedy", TokenStatus, cause),
        {},
};

static const Figure sink_figures[] = {
        FIGURE(TEXT, SinkStatus, what),
        FIGURE(FLAG, SinkStatus, ready),
        FIGURE(FLAG, SinkStatus, untried),
        FIGURE(TIME, SinkStatus, down_since),
        FIGURE(DUE, SinkStatus, retry_at),
        FIGURE(TIME, SinkStatus, last_stored),
        FIGURE(COUNT, SinkStatus, stored),
        FIGURE(COUNT, SinkStatus, duplicates),
        FIGURE(COUNT, SinkStatus, rejected),
        FIGURE(COUNT, SinkStatus, failed),
        FIGURE(COUNT, SinkStatus, writes),
        FIGURE(TEXT, SinkStatus, detail),
        NAMED(JSON, "alerts", SinkStatus, figures.json),
        NAMED(KIND, "kind", SinkStatus, cause),
        NAMED(REMEDY, "remedy", SinkStatus, cause),
        {},
};

static const Figure subscriber_figures[] = {
        FIGURE(TEXT, SubscriberStatus, subscription),
        FIGURE(FLAG, SubscriberStatus, failing),
        FIGURE(TIME, SubscriberStatus, failing_since),
        FIGURE(FLAG, SubscriberStatus, missing),
        FIGURE(FLAG, SubscriberStatus, paused),
        FIGURE(TIME, SubscriberStatus, paused_since),
        FIGURE(TIME, SubscriberStatus, last_pull),
        FIGURE(TIME, SubscriberStatus, last_ack),
        FIGURE(DUE, SubscriberStatus, retry_at),
        FIGURE(COUNT, SubscriberStatus, held),
        FIGURE(COUNT, SubscriberStatus, aside),
        FIGURE(COUNT, SubscriberStatus, unkept),
        FIGURE(TIME, SubscriberStatus, unkept_since),
        FIGURE(TIME, SubscriberStatus, oldest_unsettled),
        NAMED(SPAN, "retention_sec", SubscriberStatus, retention),
        FIGURE(COUNT, SubscriberStatus, received),
        FIGURE(COUNT, SubscriberStatus, acknowledged),
        FIGURE(COUNT, SubscriberStatus, pulls),
        FIGURE(COUNT, SubscriberStatus, empty_pulls),
        FIGURE(TEXT, SubscriberStatus, detail),
        { "sink", FIGURE_OBJECT, offsetof(SubscriberStatus, sink), .members = sink_figures },
        NAMED(KIND, "kind", SubscriberStatus, cause),
        NAMED(REMEDY, "remedy", SubscriberStatus, cause),
        {},
};

static const Figure reload_figures[] = {
        NAMED(TIME, "time", Told, figures.reload_refused),
        NAMED(TEXT, "error", Told, figures.reload_error),
        {},
};

static const Figure left_figures[] = {
        NAMED(COUNT, "rows", Told, figures.left.rows),
        NAMED(TEXT, "directory", Told, left_in),
        {},
};

static const Figure page_figures[] = {
        NAMED(TIME, "since", Told, figures.page_failing),
        NAMED(TEXT, "detail", Told, figures.page_detail),
        NAMED(KIND, "kind", Told, figures.page_cause),
        NAMED(REMEDY, "remedy", Told, figures.page_cause),
        {},
};

static const Figure all_figures[] = {
        FIGURE(TEXT, Told, version),
        NAMED(TEXT, "config", Told, figures.config),
        FIGURE(TEXT, Told, status),
        FIGURE(FLAG, Told, well),
        NAMED(TIME, "time", Told, figures.wall),
        NAMED(TIME, "started", Told, figures.started),
        NAMED(FLAG, "stopping", Told, figures.stopping),
        { "reload_refused", FIGURE_OBJECT, 0, .members = reload_figures, .only = offsetof(Told, reload_refused) },
        { "page_failing", FIGURE_OBJECT, 0, .members = page_figures, .only = offsetof(Told, page_failing) },
        { "sources", FIGURE_ARRAY, offsetof(Told, figures.sources), sizeof(SourceStatus), source_figures,
                .n = offsetof(Told, figures.n_sources) },
        { "outbox", FIGURE_OBJECT, 0, .members = outbox_figures, .only = offsetof(Told, figures.publishes) },
        { "outbox_left", FIGURE_OBJECT, 0, .members = left_figures, .only = offsetof(Told, left) },
        { "publisher", FIGURE_OBJECT, offsetof(Told, figures.publisher), .members = publisher_figures,
                .only = offsetof(Told, figures.publishes) },
        { "token", FIGURE_OBJECT, offsetof(Told, figures.token), .members = token_figures },
        { "subscriptions", FIGURE_ARRAY, offsetof(Told, figures.subscribers), sizeof(SubscriberStatus),
                subscriber_figures, .n = offsetof(Told, figures.n_subscribers) },
        {},
};

/* ---- the writer ---- */

typedef struct Writer {
        const Told *told;
        Bytes *json;
} Writer;

static void write_text(Writer *w, const char *text) {
        bytes_append_text(w->json, text);
}

/* In a text that is not UTF-8, every byte beyond ASCII becomes a question mark. */
static void write_string(Writer *w, const char *text) {
        size_t size = text ? strlen(text) : 0;
        _cleanup_free_ char *copy = NULL;

        if (size > 0 && !bytes_is_utf8(text, size)) {
                copy = strdup(text);
                if (!copy)
                        return (void) bytes_fail(w->json, -ENOMEM);
                for (char *c = copy; *c; c++)
                        if ((unsigned char) *c >= 0x80)
                                *c = '?';
                text = copy;
        }
        bytes_append_json_string(w->json, text, size);
}

static void write_number(Writer *w, const void *at, size_t size, usec_t unit) {
        uint64_t number = size == sizeof(uint32_t) ? *(const uint32_t *) at : *(const uint64_t *) at;

        bytes_append_format(w->json, "%" PRIu64, number / unit);
}

static void write_time(Writer *w, usec_t wall) {
        char buffer[CLOCK_RFC3339_SIZE];

        if (wall == 0)
                write_text(w, "null");
        else
                write_string(w, clock_format_rfc3339(wall, buffer));
}

static void write_word(Writer *w, const char *word) {
        if (word)
                write_string(w, word);
        else
                write_text(w, "null");
}

static void write_due(Writer *w, usec_t at) {
        const Figures *f = &w->told->figures;
        usec_t ahead = at > f->now ? at - f->now : 0;

        write_time(w, at == 0 || ahead > USEC_INFINITY / 2 ? 0 : f->wall + ahead);
}

static void write_value(Writer *w, const Figure *figure, const char *at);

static void write_object(Writer *w, const Figure *figures, const char *base) {
        char comma = '{';

        for (const Figure *f = figures; f->key; f++) {
                if (f->kind == FIGURE_JSON && !*(const char *const *) (base + f->offset))
                        continue;
                if (f->only > 0 && !*((const bool *) ((const char *) w->told + f->only)))
                        continue;
                bytes_append_format(w->json, "%c\"%s\":", comma, f->key);
                write_value(w, f, base + f->offset);
                comma = ',';
        }
        write_text(w, "}");
}

static void write_array(Writer *w, const Figure *figure, const char *items) {
        size_t n = *(const size_t *) ((const char *) w->told + figure->n);

        write_text(w, "[");
        for (size_t i = 0; i < n; i++) {
                write_text(w, i > 0 ? "," : "");
                write_object(w, figure->members, items + i * figure->size);
        }
        write_text(w, "]");
}

static void write_value(Writer *w, const Figure *figure, const char *at) {
        switch (figure->kind) {
        case FIGURE_TEXT:
                return write_string(w, *(const char *const *) at);
        case FIGURE_JSON:
                return write_text(w, *(const char *const *) at);
        case FIGURE_FLAG:
                return write_text(w, *(const bool *) at ? "true" : "false");
        case FIGURE_COUNT:
                return write_number(w, at, figure->size, 1);
        case FIGURE_SPAN: /* 0 means not known */
                return *(const usec_t *) at == 0 ? write_text(w, "null")
                                                 : write_number(w, at, figure->size, USEC_PER_SEC);
        case FIGURE_TIME:
                return write_time(w, *(const usec_t *) at);
        case FIGURE_DUE:
                return write_due(w, *(const usec_t *) at);
        case FIGURE_KIND:
                return write_word(w, cause_kind(*(const Cause *) at));
        case FIGURE_REMEDY:
                return write_word(w, cause_remedy(*(const Cause *) at));
        case FIGURE_OBJECT:
                return write_object(w, figure->members, at);
        case FIGURE_ARRAY:
                return write_array(w, figure, *(const char *const *) at);
        }
}

int report_format_json(const Figures *figures, Bytes *ret) {
        Told told = {
                .version = SENSORQD_VERSION,
                .outbox_full = report_outbox_is_full(figures),
                .well = report_is_well(figures),
                .reload_refused = figures->reload_refused > 0,
                .left = figures->left.rows > 0,
                .page_failing = figures->page_failing > 0,
                .left_in = figures->left.directory,
                .figures = *figures,
        };
        Writer w = { .told = &told, .json = ret };

        told.status = report_format_line(figures, told.line);
        write_object(&w, all_figures, (const char *) &told);
        return bytes_append_text(ret, "\n");
}
