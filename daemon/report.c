/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/err.h"
#include "lib/text.h"

#define NAME_SHOWN_MAX 40 /* characters of a source's or subscription's name */
#define NAMED_MAX 2       /* sources and subscriptions told by name; the rest is counted */
#define ERROR_SHOWN_MAX 200
#define NAME_SIZE (NAME_SHOWN_MAX + 4)
#define TIME_SIZE 32

void report_done(Figures *figures) {
        free(figures->sources);
        free(figures->subscribers);
        *figures = (Figures){};
}

/* ---- the outbox against its caps ---- */

static uint64_t outbox_rows(const OutboxStatus *outbox) {
        return outbox->rows + outbox->rejected_rows;
}

static uint64_t outbox_bytes(const OutboxStatus *outbox) {
        return outbox->bytes + outbox->rejected_bytes;
}

/* What a source holds in memory did not fit, or what its next poll may bring would not. */
static bool source_is_shut_out(const Figures *f, const SourceStatus *source) {
        if (f->outbox_failing || (!source->holding && !source->gated))
                return false;
        return report_outbox_is_high(f) || outbox_rows(&f->outbox) + source->next_rows > f->outbox.max_rows ||
               outbox_bytes(&f->outbox) + source->next_bytes > f->outbox.max_bytes;
}

bool report_outbox_is_full(const Figures *f) {
        if (!f->publishes || f->outbox.max_rows == 0)
                return false;
        if (outbox_rows(&f->outbox) >= f->outbox.max_rows || outbox_bytes(&f->outbox) >= f->outbox.max_bytes)
                return true;
        for (size_t i = 0; i < f->n_sources; i++)
                if (source_is_shut_out(f, &f->sources[i]))
                        return true;
        return false;
}

bool report_outbox_is_high(const Figures *f) {
        if (!f->publishes || f->outbox.max_rows == 0)
                return false;
        return outbox_rows(&f->outbox) > f->outbox.max_rows / 5 * 4 ||
               outbox_bytes(&f->outbox) > f->outbox.max_bytes / 5 * 4;
}

/* ---- STATUS= ---- */

/* The sentence as it grows; what does not fit is cut at the end. */
typedef struct Line {
        const Figures *figures;
        size_t size;
        char text[2 * REPORT_LINE_SIZE];
} Line;

static _printf_(2, 3) void line_add(Line *line, const char *format, ...) {
        size_t room = sizeof(line->text) - line->size;
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(line->text + line->size, room, format, arguments);
        va_end(arguments);
        if (n > 0)
                line->size += (size_t) n < room ? (size_t) n : room - 1;
}

/* Begins the next piece of the sentence. */
static void line_comma(Line *line) {
        if (line->size > 0)
                line_add(line, ", ");
}

/* 12:00:04 of today, else with the day. */
static const char *local_time(usec_t wall, usec_t today, char buffer[static TIME_SIZE]) {
        time_t seconds = (time_t) (wall / USEC_PER_SEC), now = (time_t) (today / USEC_PER_SEC);
        struct tm tm, tm_now;
        bool same_day;

        if (!localtime_r(&seconds, &tm) || !localtime_r(&now, &tm_now))
                return "?";
        same_day = tm.tm_year == tm_now.tm_year && tm.tm_yday == tm_now.tm_yday;
        (void) strftime(buffer, TIME_SIZE, same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &tm);
        return buffer;
}

static const char *name_cut(const char *name, char buffer[static NAME_SIZE]) {
        (void) snprintf(buffer, NAME_SIZE, strlen(name) > NAME_SHOWN_MAX ? "%.*s..." : "%.*s", NAME_SHOWN_MAX, name);
        return buffer;
}

/* " since 12:03:00", " (next try 12:03:40)": both are left out when unknown. */
static void line_since(Line *line, usec_t since, usec_t retry_at) {
        const Figures *f = line->figures;
        char time[TIME_SIZE];

        if (since > 0)
                line_add(line, " since %s", local_time(since, f->wall, time));
        if (retry_at > f->now)
                line_add(line, " (next try %s)", local_time(f->wall + (retry_at - f->now), f->wall, time));
}

static void line_more(Line *line, size_t n, const char *what) {
        if (n > NAMED_MAX)
                line_add(line, ", %zu more %s", n - NAMED_MAX, what);
}

static void line_figures(Line *line, const char *words) {
        if (words && *words)
                line_add(line, "%s%s", line->size > 0 ? ", " : "", words);
}

static void line_failing_sources(Line *line) {
        const Figures *f = line->figures;
        size_t failing = 0, clock_wrong = 0;
        char name[NAME_SIZE];

        for (size_t i = 0; i < f->n_sources; i++) {
                const SourceStatus *source = &f->sources[i];

                clock_wrong += source->clock_wrong;
                if (!source->failing || failing++ >= NAMED_MAX)
                        continue;
                line_comma(line);
                line_add(line, "%s failing", name_cut(source->name, name));
                line_since(line, source->failing_since, source->limited ? source->next_poll : 0);
        }
        line_more(line, failing, "sources failing");
        line_figures(line, clock_wrong > 0 ? "this machine's clock is wrong (timedatectl)" : NULL);
}

static void line_well_sources(Line *line) {
        const Figures *f = line->figures;
        char name[NAME_SIZE], time[TIME_SIZE];
        bool speaks = false; /* the one that was heard last */
        usec_t last = 0, at, limit = 0;
        size_t well = 0;

        for (size_t i = 0; i < f->n_sources; i++) {
                const SourceStatus *source = &f->sources[i];

                if (source->failing)
                        continue;
                if (source->limited && source->next_poll > limit)
                        limit = source->next_poll;
                if (++well == 1)
                        (void) name_cut(source->name, name);
                at = source->speaks ? source->last_reading : source->last_poll;
                if (at > last || well == 1) {
                        last = at;
                        speaks = source->speaks;
                }
        }
        if (well == 0)
                return;
        if (well > 1)
                (void) snprintf(name, sizeof(name), "%zu sources", well);
        line_comma(line);
        if (last == 0)
                line_add(line, speaks ? "%s has sent no reading yet" : "%s not polled yet", name);
        else
                line_add(line,
                        speaks      ? well == 1 ? "%s last reading %s" : "%s well, last reading %s"
                        : well == 1 ? "%s polled %s"
                                    : "%s well, last poll %s",
                        name, local_time(last, f->wall, time));
        if (limit > f->now)
                line_add(line, " (rate limit, next poll %s)", local_time(f->wall + (limit - f->now), f->wall, time));
}

static void line_outbox(Line *line) {
        const Figures *f = line->figures;
        uint64_t dropped = 0;

        for (size_t i = 0; i < f->n_sources; i++)
                dropped += f->sources[i].dropped;
        line_comma(line);
        line_add(line, "%" PRIu64 " reading%s queued", f->outbox.rows, f->outbox.rows == 1 ? "" : "s");
        if (f->outbox.rejected_rows > 0)
                line_add(line, ", %" PRIu64 " rejected", f->outbox.rejected_rows);
        if (dropped > 0)
                line_add(line, ", %" PRIu64 " unreadable gone", dropped);
        if (report_outbox_is_full(f))
                line_add(line, ", outbox full, polling stopped");
        if (f->outbox_failing)
                line_add(line, ", disk refuses the outbox, polling stopped");
}

static void line_left(Line *line) {
        const OutboxLeft *left = &line->figures->left;

        if (left->rows == 0)
                return;
        line_comma(line);
        line_add(line, "%" PRIu64 " reading%s left in %s, not published", left->rows, left->rows == 1 ? "" : "s",
                left->directory);
}

static void line_publisher(Line *line) {
        const PublisherStatus *publisher = &line->figures->publisher;

        if (publisher->failing) {
                line_add(line, ", publishing failing");
                line_since(line, publisher->failing_since, publisher->retry_at);
        } else if (publisher->paused)
                line_add(line, ", publishing paused until each subscription is known to exist");
}

static void line_token(Line *line) {
        const TokenStatus *token = &line->figures->token;

        if (!token->failing)
                return;
        line_comma(line);
        line_add(line, token->expires > line->figures->now ? "access token cannot be renewed" : "no access token");
        line_since(line, token->failing_since, token->retry_at);
}

static bool subscriber_is_well(const SubscriberStatus *subscriber) {
        return subscriber->sink.ready && !subscriber->failing && !subscriber->missing && subscriber->unkept == 0;
}

bool report_is_well(const Figures *f) {
        bool well = !f->stopping && !f->outbox_failing && !report_outbox_is_full(f) && !f->publisher.failing &&
                    !f->token.failing;

        for (size_t i = 0; well && i < f->n_sources; i++)
                well = !f->sources[i].failing && !f->sources[i].holding;
        for (size_t i = 0; well && i < f->n_subscribers; i++)
                well = subscriber_is_well(&f->subscribers[i]);
        return well;
}

static void line_stored(Line *line) {
        const Figures *f = line->figures;
        char time[TIME_SIZE];
        size_t well = 0;
        usec_t last = 0;

        for (size_t i = 0; i < f->n_subscribers; i++) {
                usec_t stored = f->subscribers[i].sink.last_stored;

                well += subscriber_is_well(&f->subscribers[i]);
                last = stored > last ? stored : last;
        }
        if (last == 0 && well == 0)
                return;
        line_comma(line);
        line_add(line, "%s%s", last == 0 ? "nothing stored yet" : "last stored ",
                last == 0 ? "" : local_time(last, f->wall, time));
}

/* What the sinks could never store. */
static void line_set_apart(Line *line) {
        const Figures *f = line->figures;
        uint64_t apart = 0;

        for (size_t i = 0; i < f->n_subscribers; i++)
                apart += f->subscribers[i].sink.rejected;
        if (apart > 0)
                line_add(line, ", %" PRIu64 " set apart since the start", apart);
}

static void line_trouble(Line *line, const SubscriberStatus *subscriber) {
        const SinkStatus *sink = &subscriber->sink;
        const char *slash = strrchr(subscriber->subscription, '/');
        bool first = sink->ready && !subscriber->failing && !subscriber->missing;
        char name[NAME_SIZE];

        line_comma(line);
        if (line->figures->n_subscribers > 1)
                line_add(line, "%s: ", name_cut(slash ? slash + 1 : subscriber->subscription, name));
        if (!sink->ready) {
                line_add(line, sink->down_since > 0 ? "%s down" : "%s not reached yet", sink->what);
                line_since(line, sink->down_since, sink->retry_at);
                line_add(line, ", pulls paused");
        }
        if (subscriber->failing || subscriber->missing) {
                line_add(line, "%ssubscription %s", sink->ready ? "" : ", ",
                        subscriber->missing ? "missing" : "failing");
                line_since(line, subscriber->failing_since, subscriber->retry_at);
        }
        if (subscriber->held > 0)
                line_add(line, "%s%zu message%s held", first ? "" : ", ", subscriber->held,
                        subscriber->held == 1 ? "" : "s");
        if (subscriber->unkept > 0)
                line_add(line, ", %zu of them can neither be stored nor set apart", subscriber->unkept);
}

static void line_subscribers(Line *line) {
        const Figures *f = line->figures;
        size_t troubled = 0;

        line_stored(line);
        line_set_apart(line);
        for (size_t i = 0; i < f->n_subscribers; i++)
                if (!subscriber_is_well(&f->subscribers[i]) && troubled++ < NAMED_MAX)
                        line_trouble(line, &f->subscribers[i]);
        line_more(line, troubled, "subscriptions not well");
        for (size_t i = 0; i < f->n_subscribers; i++)
                line_figures(line, f->subscribers[i].sink.figures.words);
}

static void line_reload(Line *line) {
        const Figures *f = line->figures;
        char error[ERROR_SHOWN_MAX], time[TIME_SIZE];

        if (f->reload_refused == 0)
                return;
        text_copy(error, sizeof(error), f->reload_error);
        line_comma(line);
        line_add(line, "reload refused %s: %s", local_time(f->reload_refused, f->wall, time), error);
}

const char *report_format_line(const Figures *figures, char line[static REPORT_LINE_SIZE]) {
        Line l = { .figures = figures };

        if (figures->stopping)
                line_add(&l, "stopping");
        line_reload(&l);
        line_failing_sources(&l);
        line_well_sources(&l);
        if (figures->publishes) {
                line_outbox(&l);
                line_publisher(&l);
        }
        line_left(&l);
        line_token(&l);
        line_subscribers(&l);

        text_copy(line, REPORT_LINE_SIZE, l.text);
        if (l.size >= REPORT_LINE_SIZE) {
                text_copy(line, REPORT_LINE_SIZE - 3, l.text);
                strcat(line, "...");
        }
        return line;
}

/* ---- status.json: the table ---- */

typedef enum FigureKind {
        FIGURE_TEXT,
        FIGURE_JSON, /* left out where it is NULL */
        FIGURE_FLAG,
        FIGURE_COUNT,
        FIGURE_SPAN,   /* usec_t, told in seconds */
        FIGURE_TIME,   /* clock_wall() */
        FIGURE_DUE,    /* clock_now() */
        FIGURE_OBJECT, /* a struct, or more of the same one */
        FIGURE_ARRAY,  /* of structs */
} FigureKind;

/* A member of status.json, and where it stands in the struct that holds it. */
typedef struct Figure {
        const char *key;
        FigureKind kind;
        size_t offset, size;
        const struct Figure *members; /* of an object, or of each struct of an array */
        size_t n;                     /* of an array: where their number stands */
        size_t only;                  /* in Told: the flag without which it is left out; 0: none */
} Figure;

/* The whole of a report. */
typedef struct Told {
        const char *version;
        char line[REPORT_LINE_SIZE];
        const char *status;
        bool outbox_full, reload_refused, left, well;
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
        FIGURE(COUNT, SourceStatus, failures),
        FIGURE(COUNT, SourceStatus, unreadable),
        FIGURE(COUNT, SourceStatus, dropped),
        FIGURE(FLAG, SourceStatus, holding),
        FIGURE(TEXT, SourceStatus, detail),
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
        {},
};

static const Figure token_figures[] = {
        FIGURE(FLAG, TokenStatus, failing),
        FIGURE(TIME, TokenStatus, failing_since),
        FIGURE(DUE, TokenStatus, expires),
        FIGURE(DUE, TokenStatus, retry_at),
        FIGURE(TEXT, TokenStatus, detail),
        {},
};

static const Figure sink_figures[] = {
        FIGURE(TEXT, SinkStatus, what),
        FIGURE(FLAG, SinkStatus, ready),
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

static const Figure all_figures[] = {
        FIGURE(TEXT, Told, version),
        NAMED(TEXT, "config", Told, figures.config),
        FIGURE(TEXT, Told, status),
        FIGURE(FLAG, Told, well),
        NAMED(TIME, "time", Told, figures.wall),
        NAMED(TIME, "started", Told, figures.started),
        NAMED(FLAG, "stopping", Told, figures.stopping),
        { "reload_refused", FIGURE_OBJECT, 0, .members = reload_figures, .only = offsetof(Told, reload_refused) },
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

/* ---- status.json: the writer ---- */

typedef struct Writer {
        const Told *told;
        Bytes json;
        int error; /* the first one; nothing is added after it */
} Writer;

static void write_text(Writer *w, const char *text) {
        if (w->error >= 0)
                w->error = bytes_append_text(&w->json, text);
}

/* What is no UTF-8 is shown as question marks. */
static void write_string(Writer *w, const char *text) {
        size_t size = text ? strlen(text) : 0;
        _cleanup_free_ char *copy = NULL;

        if (w->error < 0)
                return;
        if (size > 0 && !bytes_is_utf8(text, size)) {
                copy = strdup(text);
                for (char *c = copy; c && *c; c++)
                        if ((unsigned char) *c >= 0x80)
                                *c = '?';
                text = copy ? copy : "";
        }
        w->error = bytes_append_json_string(&w->json, text, size);
}

static void write_number(Writer *w, const void *at, size_t size, usec_t unit) {
        uint64_t number = size == sizeof(uint32_t) ? *(const uint32_t *) at : *(const uint64_t *) at;

        if (w->error >= 0)
                w->error = bytes_append_format(&w->json, "%" PRIu64, number / unit);
}

static void write_time(Writer *w, usec_t wall) {
        char buffer[CLOCK_RFC3339_SIZE];

        if (wall == 0)
                write_text(w, "null");
        else
                write_string(w, clock_format_rfc3339(wall, buffer));
}

static void write_due(Writer *w, usec_t at) {
        const Figures *f = &w->told->figures;
        usec_t ahead = at > f->now ? at - f->now : 0;

        write_time(w, at == 0 || ahead > USEC_INFINITY / 2 ? 0 : f->wall + ahead);
}

static void write_value(Writer *w, const Figure *figure, const char *at);

static void write_object(Writer *w, const Figure *figures, const char *base) {
        const char *comma = "{\"";

        for (const Figure *f = figures; f->key; f++) {
                if (f->kind == FIGURE_JSON && !*(const char *const *) (base + f->offset))
                        continue;
                if (f->only > 0 && !*((const bool *) ((const char *) w->told + f->only)))
                        continue;
                write_text(w, comma);
                write_text(w, f->key);
                write_text(w, "\":");
                write_value(w, f, base + f->offset);
                comma = ",\"";
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
        case FIGURE_SPAN:
                return write_number(w, at, figure->size, USEC_PER_SEC);
        case FIGURE_TIME:
                return write_time(w, *(const usec_t *) at);
        case FIGURE_DUE:
                return write_due(w, *(const usec_t *) at);
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
                .left_in = figures->left.directory,
                .figures = *figures,
        };
        Writer w = { .told = &told };

        told.status = report_format_line(figures, told.line);
        write_object(&w, all_figures, (const char *) &told);
        write_text(&w, "\n");
        if (w.error < 0) {
                bytes_done(&w.json);
                return w.error;
        }
        *ret = w.json;
        return 0;
}

/* ---- the file ---- */

static int file_fill(int fd, const char *data, size_t size) {
        if (fchmod(fd, 0644) < 0) /* open(2) is under the umask */
                return err_errno();

        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno();
                data += n;
                size -= (size_t) n;
        }
        return 0;
}

int report_write(const char *directory, const char *json, size_t size) {
        _cleanup_free_ char *path = NULL, *temporary = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (asprintf(&path, "%s/status.json", directory) < 0)
                return path = NULL, -ENOMEM;
        if (asprintf(&temporary, "%s/.status.json.new", directory) < 0)
                return temporary = NULL, -ENOMEM;

        /* One left by a kill is used again. */
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0644);
        if (fd < 0)
                return err_errno();
        r = file_fill(fd, json, size);
        if (r >= 0 && rename(temporary, path) < 0)
                r = err_errno();
        if (r < 0)
                (void) unlink(temporary);
        return r;
}

void report_remove(const char *directory) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/status.json", directory) < 0)
                path = NULL;
        else
                (void) unlink(path);
}
