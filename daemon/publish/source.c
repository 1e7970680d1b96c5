/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/source.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"

/* time between tries while only a user can solve the problem; never less than the interval */
#define SOURCE_REFUSED_USEC (5 * USEC_PER_MINUTE)
/* A poll that failed and brought nothing is repeated sooner than the next slot, which may be a day away: often all is
 * well in a minute, as after a boot without network. */
#define SOURCE_RETRY_USEC USEC_PER_MINUTE
#define SOURCE_RETRY_MAX_USEC USEC_PER_HOUR
/* if a remote demands a longer pause, it is asked again anyway */
#define SOURCE_LIMIT_MAX_USEC USEC_PER_HOUR
#define SOURCE_GATE_MAX_USEC (10 * USEC_PER_SEC)  /* time between checks whether the outbox has room again */
#define SOURCE_STORE_MAX_USEC (30 * USEC_PER_SEC) /* time between tries to store readings that the disk refused */
/* `once` ends after this time although the disk still refuses */
#define SOURCE_ONCE_USEC (15 * USEC_PER_SEC)
/* `once` listens at most this long; later readings are for the next run */
#define SOURCE_LISTEN_MAX_USEC USEC_PER_MINUTE
/* room required before the first poll, for one row: more than a device's reading needs */
#define SOURCE_ROW_BYTES 1024

/* Drawn in source.h. While POLLING and LISTENING, a poll runs. */
typedef enum SourcePhase { SOURCE_RESTING, SOURCE_GATED, SOURCE_POLLING, SOURCE_LISTENING, SOURCE_PHASES } SourcePhase;
typedef enum SourceMemory { MEMORY_NONE, MEMORY_GATHERED, MEMORY_REFUSED } SourceMemory;

_asserted_ static const bool moves[SOURCE_PHASES][SOURCE_PHASES] = {
        [SOURCE_RESTING] = { [SOURCE_GATED] = true, [SOURCE_POLLING] = true, [SOURCE_LISTENING] = true },
        [SOURCE_GATED] = { [SOURCE_GATED] = true, [SOURCE_RESTING] = true },
        [SOURCE_POLLING] = { [SOURCE_RESTING] = true },
        [SOURCE_LISTENING] = { [SOURCE_RESTING] = true },
};

struct Source {
        const SourceHost *host;
        const SourceConfig *config;
        const SourceType *type;
        void *self;    /* the type's object; NULL: it is closed */
        bool retired;  /* no phase: a running poll goes on until it ends */
        bool answered; /* the remote has answered at least once, in whatever phase */

        SourcePhase phase;
        usec_t listen_end; /* LISTENING: clock_now() of its end, even if it is not silent */
        LoopWatch *due;    /* timer: the next poll */
        usec_t slot; /* the next poll by the interval alone: slots keep their distance, however long a poll takes */
        usec_t next_poll;  /* clock_now() */
        uint64_t before;   /* source_came() before this poll */
        bool recalled;     /* what the disk keeps about the source has been read; a peer may be held until then */
        usec_t not_before; /* clock_now() before which the remote wants no poll; 0: none */

        ReadingList readings;
        SourceMemory memory;  /* where *readings* are */
        usec_t refused_since; /* REFUSED: clock_now() */
        LoopWatch *commit;    /* defer */
        LoopWatch *again;     /* timer: stores refused readings again, or checks for room */
        /* gate: while there is no room, for a poll (GATED) or for a peer, which is held; store: while the disk refuses;
         * retry: while polls fail */
        Backoff gate, store, retry;
        bool held;                            /* what the type was told last: to hold its peer, for whatever reason */
        uint64_t largest_rows, largest_bytes; /* of the largest commit so far */

        Trouble trouble;
        ShapeSaid said;      /* what was logged about its readings */
        char answer[320];    /* detail of the last good poll */
        SourceStatus status; /* what source_status() does not find elsewhere */
        Bytes labels;
};

static void source_move(Source *s, SourcePhase phase) {
        assert(moves[s->phase][phase]);
        s->phase = phase;
}

static void source_close(Source *s) {
        if (s->self && s->type->close)
                s->type->close(s->self);
        free(s->self);
        s->self = NULL;
}

static void source_changed(Source *s) {
        s->host->on_change(s->host->userdata);
}

/* Returns how many inputs that could not become a reading were deleted. */
static uint64_t source_dropped(const Source *s) {
        return s->host->dropped ? s->host->dropped(s->host->userdata, s->config->name) : 0;
}

/* Whether its timer begins polls. */
static bool source_is_scheduled(const Source *s) {
        return !s->status.speaks && !s->host->manual && !s->retired;
}

/* ---- when ---- */

usec_t source_next_slot(usec_t slot, usec_t interval, usec_t now) {
        if (slot > now)
                return slot;
        return slot + ((now - slot) / interval + 1) * interval;
}

usec_t source_next_poll(const SourcePoll *poll, usec_t slot, usec_t interval, usec_t now) {
        usec_t next = slot;

        if (poll->outcome == SOURCE_REFUSED)
                next = now + usec_max(interval, SOURCE_REFUSED_USEC);
        if (poll->outcome == SOURCE_LIMITED)
                next = usec_max(next, now + interval);
        return usec_max(next, usec_min(poll->not_before, now + SOURCE_LIMIT_MAX_USEC));
}

static void source_room(const Source *s, uint64_t *ret_rows, uint64_t *ret_bytes) {
        *ret_rows = s->largest_rows > 0 ? s->largest_rows : 1;
        *ret_bytes = s->largest_bytes > 0 ? s->largest_bytes : SOURCE_ROW_BYTES;
}

static void source_wait(Source *s, usec_t next) {
        s->next_poll = next;
        if (source_is_scheduled(s))
                loop_arm(s->due, next);
}

/* ---- log lines, once for each change ---- */

static void source_well(Source *s) {
        uint64_t failures = s->trouble.tries;
        char span[CLOCK_SPAN_SIZE];

        if (!trouble_mend_proven(&s->trouble, span))
                return;
        log_event(LOG_NOTICE, EVENT_SOURCE_RECOVERED, LOG_FIELDS({ FIELD_SOURCE, s->config->name }),
                "Source %s answers again, after %s (failed tries: %" PRIu64
                "). Readings that it did not keep in the meantime are missing.",
                s->config->name, span, failures);
}

static Cause source_cause(const SourcePoll *poll) {
        static const Cause causes[] = {
                [SOURCE_POLLED] = CAUSE_NONE,
                [SOURCE_UNREACHABLE] = CAUSE_OTHER,
                [SOURCE_LIMITED] = CAUSE_LIMITED,
                [SOURCE_REFUSED] = CAUSE_SETTINGS,
        };

        return poll->cause != CAUSE_NONE ? poll->cause : causes[poll->outcome];
}

static void source_failed(Source *s, const SourcePoll *poll, usec_t retry_in) {
        TroubleGrade grade = poll->outcome == SOURCE_REFUSED ? TROUBLE_LASTING : TROUBLE_PASSING;
        char span[CLOCK_SPAN_SIZE], status[16], retry[24], detail[TROUBLE_DETAIL_MAX];
        bool manual = s->host->manual;

        s->status.failures++;
        if (s->retired)
                return; /* it is not tried again: its successor logs the state */
        text_copy(detail, sizeof(detail), poll->detail ?: "no detail");
        secrets_conceal(s->host->means.secrets, detail);
        if (!trouble_fail(&s->trouble, grade, source_cause(poll), manual ? USEC_INFINITY : retry_in, detail))
                return;

        (void) snprintf(status, sizeof(status), "%d", poll->http_status);
        (void) snprintf(retry, sizeof(retry), "%" PRIu64, retry_in / USEC_PER_SEC);
        (void) clock_format_span(retry_in, span, sizeof(span));
        log_event(trouble_level(&s->trouble), EVENT_SOURCE_FAILING,
                LOG_FIELDS({ FIELD_SOURCE, s->config->name }, { FIELD_ERROR, s->trouble.detail },
                        { FIELD_STATUS, poll->http_status > 0 ? status : NULL },
                        { FIELD_RETRY_SEC, manual ? NULL : retry }),
                "Source %s gives no readings: %s. %s%s%s", s->config->name, s->trouble.detail,
                manual ? "" : "Next try in ", manual ? "Not tried again in this run." : span,
                manual ? "" : "; logged once until it answers again.");
}

/* Notes a good answer, and logs it if it is odd. */
static void source_answered(Source *s, const SourcePoll *poll) {
        text_copy(s->answer, sizeof(s->answer), poll->detail ?: "");
        if (poll->odd && !s->status.odd && !s->host->checking) {
                secrets_conceal(s->host->means.secrets, s->answer);
                log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_SOURCE, s->config->name }),
                        "Source %s: %s.", s->config->name, s->answer);
        }
        s->status.odd = poll->odd;
        s->answered = true;
        source_well(s);
}

static void source_log_clock(Source *s, const SourcePoll *poll) {
        const int64_t offset = poll->clock_offset;
        const LogField *fields = LOG_FIELDS({ FIELD_SOURCE, s->config->name });
        char span[CLOCK_SPAN_SIZE];

        s->status.true_start = offset != 0 && !poll->clock_doubted ? clock_wall() + (usec_t) offset - clock_now() : 0;
        if ((offset != 0) == s->status.clock_wrong)
                return;
        s->status.clock_wrong = offset != 0;
        if (offset == 0)
                return log_event(LOG_NOTICE, EVENT_CLOCK_RIGHT, fields,
                        "This machine's clock agrees with that of source %s again; request_at comes from this machine "
                        "again.",
                        s->config->name);
        (void) clock_format_span((usec_t) (offset < 0 ? -offset : offset), span, sizeof(span));
        log_event(LOG_WARNING, EVENT_CLOCK_WRONG, fields,
                "This machine's clock is %s %s that of source %s. Until they agree, request_at comes from the source; "
                "check time synchronization (timedatectl).",
                span, offset < 0 ? "ahead of" : "behind", s->config->name);
}

/* ---- `once` with a source that is not polled ---- */

static void source_listen(Source *s) {
        usec_t now = clock_now();

        s->status.polls++;
        source_move(s, SOURCE_LISTENING);
        s->listen_end = now + SOURCE_LISTEN_MAX_USEC;
        loop_arm(s->due, now + (s->answered ? s->type->quiet : SOURCE_ONCE_USEC));
}

/* The source is connected or has sent something: the time of silence starts again. */
static void source_heard(Source *s) {
        if (s->phase == SOURCE_LISTENING)
                loop_arm(s->due, usec_min(clock_now() + s->type->quiet, s->listen_end));
}

/* `once` is done with it: it has been silent, or has failed, which is not tried again. Later readings are for the next
 * run. */
static void source_end(Source *s) {
        source_move(s, SOURCE_RESTING);
        source_retire(s);
        source_changed(s);
}

void source_tell(Source *s, const SourcePoll *poll, usec_t retry_in) {
        bool failed = poll->outcome != SOURCE_POLLED;

        if (failed)
                source_failed(s, poll, retry_in);
        else
                source_answered(s, poll);
        if (s->phase == SOURCE_LISTENING && failed)
                source_end(s);
        else
                source_heard(s);
        source_changed(s);
}

/* ---- what is kept over a restart: the cursor, and when the remote wants the next poll ---- */

/* The name of this cursor: the source's own name is used for the type's cursor. */
static void source_wait_name(const Source *s, char name[static 80]) {
        (void) snprintf(name, 80, "%s/wait", s->config->name);
}

/* Written only if a limit is longer than the interval, which is rare. An error is ignored: then the next start polls at
 * once. */
static void source_remember(Source *s, usec_t not_before, usec_t now) {
        _cleanup_(reading_list_done) ReadingList list = {};
        char name[80], text[32];

        if (not_before <= now + s->config->interval || !s->host->cursor)
                return;
        source_wait_name(s, name);
        (void) snprintf(text, sizeof(text), "%" PRIu64, (clock_wall() + (not_before - now)) / USEC_PER_SEC);
        if (reading_list_set_cursor(&list, name, text) >= 0)
                (void) s->host->store(s->host->userdata, s, &list, NULL);
}

/* Returns the clock_now() before which the remote wants no poll, as noted before the last stop; 0: none. */
static usec_t source_parse_wait(const char *text, usec_t now) {
        usec_t wall = clock_wall(), until = text ? strtoull(text, NULL, 10) * USEC_PER_SEC : 0;

        return until > wall && until - wall <= SOURCE_LIMIT_MAX_USEC ? now + (until - wall) : 0;
}

/* False while the disk cannot be read: without the stored cursor, a source would begin at the wrong place, and repeated
 * readings would not be recognised. */
static bool source_recall(Source *s) {
        _cleanup_bytes_ Bytes cursor = {}, wait = {};
        usec_t now = clock_now();
        char name[80];

        if (s->recalled)
                return true;
        source_wait_name(s, name);
        if (s->host->cursor && (s->host->cursor(s->host->userdata, s->config->name, &cursor) < 0 ||
                                       s->host->cursor(s->host->userdata, name, &wait) < 0))
                return false;
        s->recalled = true;
        s->said.dropped = source_dropped(s);
        s->not_before = source_parse_wait(wait.data, now);
        s->status.limited = s->not_before > now;
        if (s->type->recall)
                s->type->recall(s->self, cursor.data);
        return true;
}

static bool source_has_room(Source *s) {
        uint64_t rows, bytes;

        source_room(s, &rows, &bytes);
        return source_recall(s) && s->host->has_room(s->host->userdata, rows, bytes);
}

/* ---- readings to the disk ---- */

/* Holds the peer while readings wait in memory or there is no room; permanently when a source is retired and its poll
 * is done. */
static void source_hold(Source *s) {
        bool hold, ends = s->retired && s->phase != SOURCE_POLLING, refused = s->memory == MEMORY_REFUSED;

        if (!s->type->hold || !s->self)
                return;
        hold = ends || refused || !source_has_room(s);
        if (hold != s->held) {
                s->held = hold;
                s->type->hold(s->self, hold);
                source_changed(s);
        }
        if (!hold)
                backoff_reset(&s->gate);
        else if (!ends && !refused)
                loop_arm_in(s->again, backoff_next(&s->gate, loop_random()));
}

/* The disk refused until the end: the sender still has the readings if it keeps them until it is told; otherwise they
 * are lost. A cursor alone is no reading. */
static void source_log_lost(const Source *s) {
        size_t lost = s->readings.n + s->readings.n_unreadable;

        if (lost > 0)
                log_event(LOG_ERR, EVENT_OUTBOX_FAILING, LOG_FIELDS({ FIELD_SOURCE, s->config->name }),
                        "Source %s: %zu reading%s that could not be written to disk before the end %s lost, unless "
                        "the remote keeps them until they are stored (mqtt, http_push, http_json with since). Free "
                        "space on the disk of state_dir, or repair it.",
                        s->config->name, lost, text_s(lost), lost == 1 ? "is" : "are");
}

/* They are on disk, or lost. */
static void source_forget(Source *s) {
        reading_list_done(&s->readings);
        s->memory = MEMORY_NONE;
}

/* `once` must end even if the disk refuses: also a poll whose type waits until its readings are stored. */
static void source_give_up(Source *s) {
        bool polling = s->phase >= SOURCE_POLLING;

        if (polling)
                source_close(s);
        source_log_lost(s);
        source_failed(s,
                &(SourcePoll){ .outcome = SOURCE_UNREACHABLE,
                        .cause = CAUSE_DISK,
                        .detail = "its readings cannot be written "
                                  "to disk" },
                0);
        source_forget(s);
        if (polling)
                source_end(s);
}

static void source_refused(Source *s) {
        usec_t now = clock_now();

        if (s->memory != MEMORY_REFUSED)
                s->refused_since = now;
        s->memory = MEMORY_REFUSED;
        if (s->host->manual && now - s->refused_since > SOURCE_ONCE_USEC)
                source_give_up(s);
        else
                loop_arm_in(s->again, backoff_next(&s->store, loop_random()));
        source_hold(s);
        source_changed(s);
}

static void source_committed(Source *s, size_t repeats) {
        uint64_t rows = s->readings.n, bytes = s->readings.bytes;

        if (s->readings.n_unreadable > 0)
                shape_said_dropped(&s->said, source_dropped(s));
        s->status.readings += rows - repeats;
        s->status.repeats += repeats;
        if (rows > repeats)
                s->status.last_reading = clock_wall();
        /* a source that is not polled tells of its connection only when that changes */
        if (!trouble_is_on(&s->trouble))
                source_well(s);
        s->largest_rows = rows > s->largest_rows ? rows : s->largest_rows;
        s->largest_bytes = bytes > s->largest_bytes ? bytes : s->largest_bytes;
        backoff_reset(&s->store);
        source_forget(s);
        if (s->phase != SOURCE_POLLING && source_is_scheduled(s) && !loop_is_armed(s->due))
                source_wait(s, source_next_slot(s->next_poll, s->config->interval, clock_now()));
        if (s->self && s->type->stored)
                s->type->stored(s->self);
        source_hold(s);
        source_changed(s);
}

static void source_commit(void *userdata) {
        Source *s = userdata;
        size_t repeats = 0;

        assert(s->memory != MEMORY_NONE);
        if (!reading_list_is_empty(&s->readings) && s->host->store(s->host->userdata, s, &s->readings, &repeats) != 0)
                source_refused(s);
        else
                source_committed(s, repeats);
}

int source_put(Source *s, ReadingList *readings) {
        int r;

        shape_said_unreadable(
                &s->said, readings, s->status.readings + s->status.repeats + readings->n + s->readings.n == 0);
        r = reading_list_move(&s->readings, readings);
        if (r < 0)
                return r;
        source_heard(s);
        if (s->memory != MEMORY_NONE)
                return 0;
        s->memory = MEMORY_GATHERED;
        loop_wake(s->commit);
        return 0;
}

/* If a document may come again, each of its readings gets a name. */
static int source_name_readings(ReadingList *readings, const SourceDocument *document) {
        if (document->repeats)
                return reading_list_name(readings);
        return document->seen ? reading_list_name_by(readings, document->seen, document->anew) : 0;
}

int source_take(Source *s, const SourceDocument *document) {
        _cleanup_(reading_list_done) ReadingList readings = {};
        ShapeOrigin origin = {
                .source = s->config->name,
                .type = s->config->type,
                .topic = document->topic,
                .labels = bytes_slice(&s->labels),
                .arrived = document->arrived > 0 ? document->arrived : clock_wall(),
                .history = document->history,
                .random = loop_random,
                .note = shape_said_note,
                .userdata = &s->said,
        };
        size_t n;
        int r;

        if (s->type->place)
                s->type->place(s->config->keys, &origin);
        r = shape_read(shape_of(s->config->section, s->config->keys), &origin, document->text, &readings);
        if (r == 0)
                r = source_name_readings(&readings, document);
        n = readings.n;
        if (r == 0)
                r = source_put(s, &readings);
        return r < 0 ? r : (int) n;
}

static void source_on_again(void *userdata) {
        Source *s = userdata;

        if (s->memory == MEMORY_REFUSED)
                source_commit(s);
        else
                source_hold(s);
}

void source_resume(Source *s) {
        if (loop_is_armed(s->again))
                loop_arm(s->again, clock_now());
        else
                source_hold(s);
        if (s->phase == SOURCE_GATED && loop_is_armed(s->due))
                loop_arm(s->due, clock_now());
}

/* ---- polls ---- */

/* Returns how much has come, also what cannot be read or is left out: it would come again. */
static uint64_t source_came(const Source *s) {
        return s->status.readings + s->status.repeats + s->readings.n + s->said.unreadable + s->said.left_out;
}

void source_polled(Source *s, const SourcePoll *poll) {
        bool nothing = source_came(s) == s->before;
        usec_t now = clock_now(), next;

        s->slot = next = source_next_slot(s->slot, s->config->interval, now);
        if (poll->outcome == SOURCE_UNREACHABLE && nothing)
                next = usec_min(next, now + backoff_next_at_least(&s->retry, SOURCE_RETRY_USEC, loop_random()));
        else if (s->retry.attempt > 0)
                backoff_reset(&s->retry);
        next = source_next_poll(poll, next, s->config->interval, now);
        s->status.limited = poll->outcome == SOURCE_LIMITED || poll->not_before > s->slot;
        source_move(s, SOURCE_RESTING);
        if (poll->outcome == SOURCE_POLLED) {
                s->status.last_poll = clock_wall();
                source_log_clock(s, poll);
        }
        source_tell(s, poll, next - now);
        source_wait(s, next);
        source_remember(s, poll->not_before, now);
}

static void source_poll(Source *s) {
        int (*poll)(void *self) = s->host->checking && s->type->check ? s->type->check : s->type->poll;
        int r;

        s->status.polls++;
        s->before = source_came(s);
        source_move(s, SOURCE_POLLING);
        r = poll(s->self);
        if (r < 0)
                source_polled(s,
                        &(SourcePoll){ .outcome = SOURCE_UNREACHABLE, .cause = CAUSE_MEMORY, .detail = strerror(-r) });
}

static void source_silent(Source *s) {
        if (s->answered)
                source_end(s);
        else
                source_tell(s,
                        &(SourcePoll){ .outcome = SOURCE_UNREACHABLE,
                                .cause = CAUSE_UNANSWERED,
                                .detail = "it has not answered in time" },
                        s->config->interval);
}

/* Readings that wait for the disk come first: source_committed() sets the next slot. */
static void source_on_due(void *userdata) {
        Source *s = userdata;

        if (s->phase == SOURCE_LISTENING)
                return source_silent(s);
        if (s->memory != MEMORY_NONE)
                return;
        if (!source_has_room(s)) {
                source_move(s, SOURCE_GATED);
                source_wait(s, clock_now() + backoff_next(&s->gate, loop_random()));
                if (s->gate.attempt == 1)
                        source_changed(s);
                return;
        }
        if (s->phase == SOURCE_GATED)
                source_move(s, SOURCE_RESTING);
        backoff_reset(&s->gate);
        if (s->not_before > clock_now())
                source_wait(s, s->not_before);
        else
                source_poll(s);
}

int source_poll_now(Source *s) {
        SourcePoll poll = { .outcome = SOURCE_UNREACHABLE };
        bool listens = s->status.speaks && !s->host->checking;

        if (listens && s->type->quiet == 0) {
                log_notice("Source %s sends when it wants to, so `once` leaves it out.", s->config->name);
                return 0;
        }
        if (s->phase >= SOURCE_POLLING || (source_is_busy(s) && !listens))
                return -EBUSY;
        if (!source_has_room(s))
                poll.detail = "the outbox has no room for another poll";
        else if (s->not_before > clock_now() && !s->host->checking)
                poll.detail = "an earlier run used up its rate limit, so it is not asked before the limit resets";
        if (poll.detail)
                source_tell(s, &poll, s->config->interval);
        else if (listens)
                source_listen(s);
        else
                source_poll(s);
        return 0;
}

void source_retire(Source *s) {
        s->retired = true;
        loop_off(s->due);
        source_hold(s);
        if (!s->host->manual && !source_is_busy(s))
                source_close(s); /* the disk may refuse what it still reads: that is tried again */
}

/* ---- life ---- */

static int source_open(Source *s) {
        int r;

        r = loop_add_timer(s->host->means.loop, LOOP_RELAXED, source_on_due, s, &s->due);
        if (r < 0)
                return r;
        r = loop_add_timer(s->host->means.loop, LOOP_EXACT, source_on_again, s, &s->again);
        if (r < 0)
                return r;
        r = loop_add_defer(s->host->means.loop, source_commit, s, &s->commit);
        if (r < 0)
                return r;
        s->self = calloc(1, s->type->size);
        if (!s->self)
                return -ENOMEM;
        *(SourceContext *) s->self = (SourceContext){
                .config = s->config,
                .keys = s->config->keys,
                .means = s->host->means,
                .source = s,
                .retired = &s->retired,
                .labels = bytes_slice(&s->labels),
                .manual = s->host->manual && (s->host->checking || s->type->quiet == 0),
        };
        return s->type->open(s->self);
}

int source_new(const SourceHost *host, const SourceType *type, const SourceConfig *config, Source **ret) {
        _cleanup_(source_freep) Source *s = NULL;
        usec_t now = clock_now();
        int r;

        s = calloc(1, sizeof(Source));
        if (!s)
                return -ENOMEM;
        s->host = host;
        s->type = type;
        s->config = config;
        s->said = (ShapeSaid){ .source = config->name };
        s->status =
                (SourceStatus){ .name = config->name, .speaks = source_type_speaks(type, config), .answer = s->answer };
        s->gate = (Backoff){ .initial = USEC_PER_SEC, .max = SOURCE_GATE_MAX_USEC };
        s->store = (Backoff){ .initial = USEC_PER_SEC, .max = SOURCE_STORE_MAX_USEC };
        s->retry = (Backoff){ .initial = SOURCE_RETRY_USEC, .max = SOURCE_RETRY_MAX_USEC };
        /* sources that start together poll at different times from the second poll on */
        s->slot = now + config->interval - loop_random() % (config->interval / 10 + 1);
        r = shape_labels(&config->labels, &s->labels);
        if (r == 0)
                r = source_open(s);
        if (r < 0)
                return r;
        (void) source_recall(s);
        if (!s->status.speaks)
                source_wait(s, usec_max(s->not_before, now));
        source_hold(s);
        *ret = cleanup_steal(s);
        return 0;
}

Source *source_free(Source *s) {
        if (!s)
                return NULL;
        if (s->memory != MEMORY_NONE)
                source_commit(s); /* a peer that waits for its data to be stored is told before the end */
        source_close(s);
        s->commit = loop_drop(s->commit);
        s->again = loop_drop(s->again);
        s->due = loop_drop(s->due);
        if (!reading_list_is_empty(&s->readings) && s->host->store(s->host->userdata, s, &s->readings, NULL) != 0)
                source_log_lost(s);
        reading_list_done(&s->readings);
        bytes_done(&s->labels);
        shape_said_done(&s->said);
        free(s);
        return NULL;
}

bool source_is_busy(const Source *s) {
        return s->phase >= SOURCE_POLLING || s->memory != MEMORY_NONE;
}

bool source_must_end(const Source *s) {
        return s->self && s->type->must_end && s->type->must_end(s->self);
}

void source_status(const Source *s, SourceStatus *ret) {
        bool waits = !source_is_busy(s), refused = s->memory == MEMORY_REFUSED;

        *ret = s->status;
        ret->failure = trouble_failure(&s->trouble);
        ret->next_poll = waits && source_is_scheduled(s) ? s->next_poll : 0;
        ret->limited = s->status.limited && waits && source_is_scheduled(s);
        ret->unreadable = s->said.unreadable;
        ret->left_out = s->said.left_out;
        ret->dropped = source_dropped(s);
        ret->holding = refused;
        ret->gated = waits && s->gate.attempt > 0;
        source_room(s, &ret->next_rows, &ret->next_bytes);
        if (refused) {
                ret->next_rows = s->readings.n;
                ret->next_bytes = s->readings.bytes;
        }
}
