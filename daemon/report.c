/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/text.h"

#define NAME_SHOWN_MAX 40 /* characters of a source's or subscription's name */
#define NAMED_MAX 2       /* as many sources and subscriptions are named; the rest is counted */
#define ERROR_SHOWN_MAX 200
#define NAME_SIZE (NAME_SHOWN_MAX + 4)

void report_done(Figures *figures) {
        free(figures->sources);
        free(figures->subscribers);
        *figures = (Figures){};
}

/* ---- the outbox and its limits ---- */

/* True if the readings that a source holds in memory did not fit, or the next poll's might not fit. */
static bool source_is_shut_out(const Figures *f, const SourceStatus *source) {
        if (f->outbox.failure.on || (!source->holding && !source->gated))
                return false;
        return report_outbox_is_high(f) || report_outbox_rows(f) + source->next_rows > f->outbox.max_rows ||
               report_outbox_bytes(f) + source->next_bytes > f->outbox.max_bytes;
}

bool report_outbox_is_full(const Figures *f) {
        if (!f->publishes || f->outbox.max_rows == 0)
                return false;
        if (report_outbox_rows(f) >= f->outbox.max_rows || report_outbox_bytes(f) >= f->outbox.max_bytes)
                return true;
        for (size_t i = 0; i < f->n_sources; i++)
                if (source_is_shut_out(f, &f->sources[i]))
                        return true;
        return false;
}

bool report_outbox_is_high(const Figures *f) {
        if (!f->publishes || f->outbox.max_rows == 0)
                return false;
        return report_outbox_rows(f) > f->outbox.max_rows / 5 * 4 ||
               report_outbox_bytes(f) > f->outbox.max_bytes / 5 * 4;
}

static bool source_is_garbled(const SourceStatus *source) {
        return source->readings + source->repeats == 0 && source->unreadable >= SHAPE_UNREADABLE_MIN;
}

/* ---- the whole ---- */

static bool subscriber_is_well(const SubscriberStatus *subscriber) {
        return subscriber->sink.ready && !subscriber->failure.on && !subscriber->missing && subscriber->unkept == 0;
}

bool report_is_well(const Figures *f) {
        bool well = !f->stopping && !f->page.on && !f->outbox.failure.on && !report_outbox_is_full(f) &&
                    !f->publisher.failure.on && !f->token.failure.on;

        for (size_t i = 0; well && i < f->n_sources; i++)
                well = !f->sources[i].failure.on && !f->sources[i].holding && !source_is_garbled(&f->sources[i]);
        for (size_t i = 0; well && i < f->n_subscribers; i++)
                well = subscriber_is_well(&f->subscribers[i]) && !f->subscribers[i].sink.figures.failing;
        return well;
}

/* ---- the line for STATUS= ---- */

/* The sentence while it is written. */
typedef struct Line {
        const Figures *figures;
        TextRoom words;
} Line;

/* Begins the next part of the sentence. */
static void line_comma(Line *line) {
        if (line->words.used > 0)
                text_add(&line->words, ", ");
}

/* Writes the local time: 12:00:04 for today, else with the day. */
static const char *local_time(usec_t wall, usec_t today, char buffer[static CLOCK_LOCAL_SIZE]) {
        char now[CLOCK_LOCAL_SIZE], *time = strchr(clock_format_local(wall, buffer), ' ') + 1;

        if (strncmp(buffer, clock_format_local(today, now), (size_t) (time - buffer)) == 0)
                return time;
        *strrchr(time, ':') = '\0'; /* without seconds */
        return buffer;
}

static const char *name_cut(const char *name, char buffer[static NAME_SIZE]) {
        (void) snprintf(buffer, NAME_SIZE, strlen(name) > NAME_SHOWN_MAX ? "%.*s..." : "%.*s", NAME_SHOWN_MAX, name);
        return buffer;
}

/* Writes " since 12:03:00", " (next try 12:03:40)"; each is left out when it is not known. */
static void line_since(Line *line, usec_t since, usec_t retry_at) {
        const Figures *f = line->figures;
        char time[CLOCK_LOCAL_SIZE];

        if (since > 0)
                text_add(&line->words, " since %s", local_time(since, f->wall, time));
        if (retry_at > f->now)
                text_add(&line->words, " (next try %s)", local_time(f->wall + (retry_at - f->now), f->wall, time));
}

/* Writes ", 2 more sources failing". */
static void line_more(Line *line, size_t n, const char *what, const char *how) {
        if (n > NAMED_MAX)
                text_add(&line->words, ", %zu more %s%s %s", n - NAMED_MAX, what, n == NAMED_MAX + 1 ? "" : "s", how);
}

static void line_figures(Line *line, const char *words) {
        if (words && *words)
                text_add(&line->words, "%s%s", line->words.used > 0 ? ", " : "", words);
}

static void line_failing_sources(Line *line) {
        const Figures *f = line->figures;
        size_t failing = 0, clock_wrong = 0;
        char name[NAME_SIZE];

        for (size_t i = 0; i < f->n_sources; i++) {
                const SourceStatus *source = &f->sources[i];

                clock_wrong += source->clock_wrong;
                if ((!source->failure.on && !source_is_garbled(source)) || failing++ >= NAMED_MAX)
                        continue;
                line_comma(line);
                text_add(&line->words, source->failure.on ? "%s failing" : "%s sends nothing that can be understood",
                        name_cut(source->name, name));
                line_since(line, source->failure.since, source->limited ? source->next_poll : 0);
        }
        line_more(line, failing, "source", "failing");
        line_figures(line, clock_wrong > 0 ? "this machine's clock is wrong (timedatectl)" : NULL);
}

static void line_well_sources(Line *line) {
        static const char *const words[2][2] = {
                { "polled", "last reading" },
                { "well, last poll", "well, last reading" },
        };
        const Figures *f = line->figures;
        char name[NAME_SIZE], time[CLOCK_LOCAL_SIZE];
        bool speaks = false; /* only the source with the latest reading or poll is named */
        usec_t last = 0, at, limit = 0;
        size_t well = 0;

        for (size_t i = 0; i < f->n_sources; i++) {
                const SourceStatus *source = &f->sources[i];

                if (source->failure.on || source_is_garbled(source))
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
                text_add(&line->words,
                        !speaks    ? "%s not polled yet"
                        : well > 1 ? "%s have sent no reading yet"
                                   : "%s has sent no reading yet",
                        name);
        else
                text_add(&line->words, "%s %s %s", name, words[well > 1][speaks], local_time(last, f->wall, time));
        if (limit > f->now)
                text_add(&line->words, " (rate limit, next poll %s)",
                        local_time(f->wall + (limit - f->now), f->wall, time));
}

static void line_outbox(Line *line) {
        const Figures *f = line->figures;
        uint64_t dropped = 0;

        for (size_t i = 0; i < f->n_sources; i++)
                dropped += f->sources[i].dropped;
        line_comma(line);
        text_add(&line->words, "%" PRIu64 " reading%s queued", f->outbox.rows, text_s(f->outbox.rows));
        if (f->outbox.rejected_rows > 0)
                text_add(&line->words, ", %" PRIu64 " rejected", f->outbox.rejected_rows);
        if (dropped > 0)
                text_add(&line->words, ", %" PRIu64 " unreadable gone", dropped);
        if (report_outbox_is_full(f))
                text_add(&line->words, ", outbox full, polling stopped");
        if (f->outbox.failure.on) {
                text_add(&line->words, ", disk refuses the outbox, polling stopped");
                line_since(line, f->outbox.failure.since, 0);
        }
}

static void line_left(Line *line) {
        const OutboxLeft *left = &line->figures->left;

        if (left->rows == 0)
                return;
        line_comma(line);
        text_add(&line->words, "%" PRIu64 " reading%s left in %s, not published", left->rows, text_s(left->rows),
                left->directory);
}

static void line_publisher(Line *line) {
        const PublisherStatus *publisher = &line->figures->publisher;

        if (publisher->failure.on) {
                text_add(&line->words, ", publishing failing");
                line_since(line, publisher->failure.since, publisher->retry_at);
        } else if (publisher->paused)
                text_add(&line->words, ", publishing paused until each subscription is known to exist");
}

static void line_token(Line *line) {
        const TokenStatus *token = &line->figures->token;

        if (!token->failure.on)
                return;
        line_comma(line);
        text_add(&line->words,
                token->expires > line->figures->now ? "access token cannot be renewed" : "no access token");
        line_since(line, token->failure.since, token->retry_at);
}

static void line_stored(Line *line) {
        const Figures *f = line->figures;
        char time[CLOCK_LOCAL_SIZE];
        size_t well = 0;
        usec_t last = 0;

        for (size_t i = 0; i < f->n_subscribers; i++) {
                usec_t stored = f->subscribers[i].sink.last_stored;

                well += subscriber_is_well(&f->subscribers[i]);
                last = usec_max(stored, last);
        }
        if (last == 0 && well == 0)
                return;
        line_comma(line);
        text_add(&line->words, "%s%s", last == 0 ? "nothing stored yet" : "last stored ",
                last == 0 ? "" : local_time(last, f->wall, time));
}

/* Writes how many messages the sinks can never store. */
static void line_set_apart(Line *line) {
        const Figures *f = line->figures;
        uint64_t apart = 0;

        for (size_t i = 0; i < f->n_subscribers; i++)
                apart += f->subscribers[i].sink.rejected;
        if (apart > 0)
                text_add(&line->words, ", %" PRIu64 " set apart since the start", apart);
}

static void line_trouble(Line *line, const SubscriberStatus *subscriber) {
        const SinkStatus *sink = &subscriber->sink;
        const char *slash = strrchr(subscriber->subscription, '/');
        bool first = sink->ready && !subscriber->failure.on && !subscriber->missing;
        char name[NAME_SIZE];

        line_comma(line);
        if (line->figures->n_subscribers > 1)
                text_add(&line->words, "%s: ", name_cut(slash ? slash + 1 : subscriber->subscription, name));
        if (!sink->ready) {
                text_add(&line->words,
                        sink->untried             ? "%s answers and has stored no message yet"
                        : sink->failure.since > 0 ? "%s down"
                                                  : "%s not reached yet",
                        sink->what);
                line_since(line, sink->failure.since, sink->retry_at);
                text_add(&line->words, subscriber->paused ? ", pulls paused" : "");
        }
        if (subscriber->failure.on || subscriber->missing) {
                text_add(&line->words, "%ssubscription %s", sink->ready ? "" : ", ",
                        subscriber->missing ? "missing" : "failing");
                line_since(line, subscriber->failure.since, subscriber->retry_at);
        }
        if (subscriber->held > 0)
                text_add(&line->words, "%s%zu message%s held", first ? "" : ", ", subscriber->held,
                        text_s(subscriber->held));
        if (subscriber->unkept > 0)
                text_add(&line->words, ", %zu of them can neither be stored nor set apart", subscriber->unkept);
}

static void line_subscribers(Line *line) {
        const Figures *f = line->figures;
        size_t troubled = 0;

        line_stored(line);
        line_set_apart(line);
        for (size_t i = 0; i < f->n_subscribers; i++)
                if (!subscriber_is_well(&f->subscribers[i]) && troubled++ < NAMED_MAX)
                        line_trouble(line, &f->subscribers[i]);
        line_more(line, troubled, "subscription", "not well");
        for (size_t i = 0; i < f->n_subscribers; i++)
                line_figures(line, f->subscribers[i].sink.figures.words);
}

static void line_page(Line *line) {
        if (!line->figures->page.on)
                return;
        line_comma(line);
        text_add(&line->words, "page not served");
        line_since(line, line->figures->page.since, 0);
}

static void line_reload(Line *line) {
        const Figures *f = line->figures;
        char error[ERROR_SHOWN_MAX], time[CLOCK_LOCAL_SIZE];

        if (f->reload_refused == 0)
                return;
        text_copy_words(error, sizeof(error), f->reload_error);
        line_comma(line);
        text_add(&line->words, "reload refused %s: %s", local_time(f->reload_refused, f->wall, time), error);
}

const char *report_format_line(const Figures *figures, char line[static REPORT_LINE_SIZE]) {
        char text[2 * REPORT_LINE_SIZE] = "";
        Line l = { .figures = figures, .words = { text, sizeof(text) } };

        tzset(); /* localtime_r(3) alone keeps the time zone of its first call, which may have been changed */
        if (figures->stopping)
                text_add(&l.words, "stopping");
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
        line_page(&l);

        text_copy_words(line, REPORT_LINE_SIZE, text);
        return line;
}

/* ---- status.json as a file ---- */

int report_write(const char *directory, const char *json, size_t size) {
        return file_show(directory, "status.json", json, size);
}

void report_remove(const char *directory) {
        _cleanup_free_ char *path = NULL;

        if (text_format(&path, "%s/status.json", directory) == 0)
                (void) unlink(path);
}
