/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/service.h"
#include "lib/text.h"
#include "publish/outbox-sql.h"
#include "trouble.h"

#define OUTBOX_REOPEN_USEC (2 * USEC_PER_SEC) /* time between tries to open a file that could not be opened */
/* If nobody repeated a refused put for this time, the outbox reports room, and the next put shows whether the disk
 * works. It is longer than SOURCE_STORE_MAX_USEC, so a source that holds the refused readings tries first. */
#define OUTBOX_TRIAL_USEC USEC_PER_MINUTE

/* Rows deleted in one transaction. After a full disk there may be many more, and deleting all at once would need room
 * for a log with as many pages. Fewer, if there is no room for that. */
#define OUTBOX_FORGET_MAX 1000

/* A transaction that takes longer counts as slow. Of a minute that holds more of them than that, a user is told, once
 * an hour: memory cards stall for a second now and then, but some stalls in a row are felt everywhere. */
#define OUTBOX_SLOW_USEC (250 * USEC_PER_MSEC)
#define OUTBOX_SLOW_SPENT_USEC (10 * USEC_PER_SEC)
#define OUTBOX_SLOW_QUIET_USEC USEC_PER_HOUR

#define LAST_ID "SELECT " OUTBOX_SQL_LAST_ID

/* What the disk refused. Each bit stays until that works again: reading may work while writing does not. */
typedef enum Refused {
        REFUSED_OPEN = 1 << 0,
        REFUSED_READ = 1 << 1,
        REFUSED_FORGET = 1 << 2,
        REFUSED_PUT = 1 << 3,
} Refused;

struct Outbox {
        char *directory;
        OutboxConfig caps;
        Sql *sql;            /* NULL: the next call opens it */
        bool damaged;        /* damage was found: the next open salvages the file */
        int open_error;      /* of the last try; until *reopen_at* each call returns it */
        usec_t reopen_at;    /* clock_now() of the next try */
        OutboxCounts counts; /* valid for data_version */
        int64_t data_version;
        int64_t last_id; /* the highest id seen: a new file after a repair continues above it */
        usec_t oldest;
        int64_t clock_offset; /* clock_wall() minus clock_now() at the last put; 0: there was none */
        Trouble trouble;      /* with the disk */
        unsigned refused;
        bool said_stop;             /* it was logged that polling waits */
        usec_t put_refused_at;      /* clock_now() of the last refused put */
        uint64_t put_refused_bytes; /* of the largest one since the failure was logged */
        usec_t forget_refused_at;   /* of the last refused forget; 0: none since one worked */
        usec_t pinged;              /* see service_working() */
        usec_t began;               /* clock_monotonic() at the begin of the transaction; 0: there is none */
        struct {
                usec_t since, spent; /* the minute that began then, and how long slow transactions took in it */
                usec_t said;         /* clock_monotonic() of the last entry; 0: there was none */
        } slow;
        void (*on_change)(void *userdata);
        void *userdata;
};

/* ---- log lines about the disk ---- */

static void outbox_changed(Outbox *o) {
        if (o->on_change)
                o->on_change(o->userdata);
}

static const char *what_follows(Refused what) {
        switch (what) {
        case REFUSED_OPEN:
                return "Polling and publishing are suspended. Readings already fetched stay in memory and are written "
                       "when it works again";
        case REFUSED_READ:
                return "Publishing is suspended until it works again; polling continues";
        case REFUSED_FORGET:
                return "Polling and publishing continue. If sensorqd is killed now, what it published meanwhile is "
                       "published again, under the same keys";
        case REFUSED_PUT:
                break;
        }
        return "Polling is suspended. Readings already fetched stay in memory and are written when it works again; "
               "queued readings are still published";
}

static void outbox_fails(Outbox *o, Refused what, int error, const char *source) {
        static const char *const words[] = { [REFUSED_OPEN] = "opened", [REFUSED_READ] = "read" };
        const char *cause = error == -EBUSY      ? "Another program is using the outbox"
                            : err_is_want(error) ? "Memory or file descriptors have run out"
                                                 : "The disk fails";
        bool first = o->refused == 0, stops = !outbox_is_failing(o);
        char detail[256];

        o->refused |= what;
        stops = stops && outbox_is_failing(o); /* polling stops: logged even if a lesser failure was logged before */
        if (what == REFUSED_PUT)
                o->put_refused_at = clock_now();
        if (what == REFUSED_FORGET)
                o->forget_refused_at = clock_now();
        text_print(detail, sizeof(detail), "the outbox in %s cannot be %s: %s", o->directory,
                what < ELEMENTSOF(words) ? words[what] : "written", strerror(-error));
        if (trouble_fail(&o->trouble, TROUBLE_LASTING, cause_of_disk(error), 0, detail) || (stops && !o->said_stop))
                log_event(LOG_ERR, EVENT_OUTBOX_FAILING,
                        LOG_FIELDS({ FIELD_FILE, o->directory }, { FIELD_SOURCE, source },
                                { FIELD_ERROR, strerror(-error) }),
                        "%s: %s. %s. To do: %s.", cause, detail, what_follows(what), cause_disk_remedy(error));
        o->said_stop |= stops;
        if (first || stops)
                outbox_changed(o);
}

/* False while a disk that is nearly full takes small puts and refuses a large one, or to forget many rows, which would
 * be logged in turn with each try. */
static bool outbox_works_for_all(const Outbox *o, uint64_t bytes) {
        usec_t now = clock_now();

        return (bytes >= o->put_refused_bytes || now - o->put_refused_at >= OUTBOX_TRIAL_USEC) &&
               (o->forget_refused_at == 0 || now - o->forget_refused_at >= OUTBOX_TRIAL_USEC);
}

/* Something works although there is trouble; without that, nothing was refused. Whatever works, the file is open.
 * *bytes*: the size of what was put. */
static void outbox_works(Outbox *o, unsigned what, uint64_t bytes) {
        unsigned refused = o->refused;
        char span[CLOCK_SPAN_SIZE];

        o->refused &= ~(what | REFUSED_OPEN);
        if (what == REFUSED_FORGET)
                o->forget_refused_at = 0;
        if (o->refused == 0 && outbox_works_for_all(o, bytes)) {
                o->said_stop = false;
                o->put_refused_bytes = 0;
                if (trouble_mend(&o->trouble, span))
                        log_event(LOG_NOTICE, EVENT_OUTBOX_RECOVERED, LOG_FIELDS({ FIELD_FILE, o->directory }),
                                "The outbox in %s works again after %s.", o->directory, span);
        }
        if (refused != 0 && o->refused == 0)
                outbox_changed(o);
}

/* A transaction was slow. Nothing was refused, so it is no failure; but the loop waited, and what others report then
 * (no reply within ...) points to everything but the disk. */
static void outbox_was_slow(Outbox *o, usec_t took) {
        usec_t now = clock_monotonic();
        char spent[CLOCK_SPAN_SIZE], of[CLOCK_SPAN_SIZE];

        if (o->began - o->slow.since >= USEC_PER_MINUTE) {
                o->slow.since = o->began;
                o->slow.spent = 0;
        }
        o->slow.spent += took;
        if (o->slow.spent < OUTBOX_SLOW_SPENT_USEC || (o->slow.said > 0 && now - o->slow.said < OUTBOX_SLOW_QUIET_USEC))
                return;
        o->slow.said = now;
        log_event(LOG_WARNING, EVENT_OUTBOX_SLOW, LOG_FIELDS({ FIELD_FILE, o->directory }),
                "The disk is slow: of the last %s, %s went into writing the outbox in %s. Nothing is lost; all else "
                "waits meanwhile, and requests may time out. Look at the disk (`journalctl -k`) and what else writes "
                "there.",
                clock_format_span(now - o->slow.since, of, sizeof(of)),
                clock_format_span(o->slow.spent, spent, sizeof(spent)), o->directory);
}

bool outbox_is_failing(const Outbox *o) {
        return o->refused & (REFUSED_OPEN | REFUSED_PUT);
}

/* True when a put may be tried: the last one was not refused, or it was refused a while ago and nobody repeated it. */
static bool outbox_may_put(const Outbox *o) {
        return !(o->refused & REFUSED_OPEN) &&
               (!(o->refused & REFUSED_PUT) || clock_now() - o->put_refused_at >= OUTBOX_TRIAL_USEC);
}

void outbox_watch(Outbox *o, void (*on_change)(void *userdata), void *userdata) {
        o->on_change = on_change;
        o->userdata = userdata;
}

/* Checks whether another process changed the file, and then reads the counts again. */
static int outbox_refresh(Outbox *o) {
        int64_t version;
        int r;

        r = sql_ints(o->sql, "PRAGMA data_version", NULL, 1, &version);
        if (r < 0 || version == o->data_version)
                return r;
        r = outbox_counts_load(&o->counts, o->sql);
        if (r == 0)
                o->data_version = version;
        return r;
}

/* ---- the open file ---- */

/* From now on, work on the file may take long: a large log must be copied into it, or all of it written again. */
static void outbox_start_pings(Outbox *o) {
        o->pinged = clock_now();
        sql_set_ping(o->sql, service_working, &o->pinged);
}

static void outbox_detach(Outbox *o) {
        if (o->sql)
                outbox_start_pings(o);
        o->sql = sql_close(o->sql);
        o->data_version = -1;
}

static int outbox_learn(Outbox *o) {
        int64_t last_id;
        int r;

        r = outbox_refresh(o);
        if (r == 0)
                r = sql_ints(o->sql, LAST_ID, NULL, 1, &last_id);
        if (r == 0 && last_id > o->last_id)
                o->last_id = last_id;
        return r;
}

/* Opens the file. OUTBOX_OK, OUTBOX_SALVAGED, OUTBOX_NEWER, or an errno. */
static int outbox_attach(Outbox *o, OutboxSalvage *ret_salvage) {
        bool salvages = o->damaged;
        int r, learnt;
        Sql *sql;

        r = o->sql ? outbox_file_renew(o->directory, o->last_id, o->sql, &sql, ret_salvage)
                   : outbox_file_open(o->directory, o->last_id, salvages, &sql, ret_salvage);
        if (r < 0 || r == OUTBOX_NEWER)
                return r;
        outbox_detach(o);
        o->sql = sql;
        learnt = outbox_learn(o);
        if (learnt < 0)
                outbox_detach(o);
        o->damaged = learnt == -EUCLEAN;
        if (o->damaged && !salvages) /* damage that the check did not find: repair it now, not at each start */
                return outbox_attach(o, ret_salvage);
        return learnt < 0 ? learnt : r;
}

static void outbox_log_needed(const Outbox *o, const OutboxSalvage *salvage) {
        char needed[24];

        (void) snprintf(needed, sizeof(needed), "%" PRIu64, salvage->needed);
        log_event(LOG_ERR, EVENT_OUTBOX_DAMAGED, LOG_FIELDS({ FIELD_FILE, o->directory }, { FIELD_BYTES, needed }),
                "The outbox in %s is damaged, and the disk has no room for a copy of the readable part: %s bytes are "
                "needed. Nothing is lost. Free that much on the disk of state_dir; sensorqd then resumes by itself.",
                o->directory, needed);
}

static void outbox_log_salvaged(const Outbox *o, const OutboxSalvage *salvage) {
        log_event(LOG_ERR, EVENT_OUTBOX_DAMAGED, LOG_FIELDS({ FIELD_FILE, salvage->aside }),
                "The outbox in %s is damaged. It was set aside as %s; what could be read, %" PRIu64
                " reading%s, was copied to a new one. Check the disk (journalctl -k); keep the file "
                "in case readings are missing.",
                o->directory, salvage->aside, salvage->rows, text_s(salvage->rows));
}

static void outbox_log_renewed(const Outbox *o, const OutboxSalvage *salvage) {
        bool replaced = salvage->aside[0] != '\0';

        log_event(LOG_ERR, EVENT_OUTBOX_DAMAGED, LOG_FIELDS({ FIELD_FILE, replaced ? salvage->aside : o->directory }),
                "The outbox in %s was %s while sensorqd was using it. A new one was created, and what waited, %" PRIu64
                " reading%s, is in it%s%s. Stop sensorqd before touching its files.",
                o->directory, replaced ? "replaced" : "removed", salvage->rows, text_s(salvage->rows),
                replaced ? "; the file that replaced it was set aside as " : "", salvage->aside);
}

/* Like outbox_attach(), and notes the result. */
static int outbox_reopen(Outbox *o, OutboxSalvage *ret_salvage) {
        bool first = !(o->refused & REFUSED_OPEN), gone = o->sql;
        int r;

        r = outbox_attach(o, ret_salvage);
        if (r == OUTBOX_NEWER)
                return r;
        if (r == OUTBOX_OK && gone)
                outbox_log_renewed(o, ret_salvage);
        if (r == OUTBOX_SALVAGED)
                outbox_log_salvaged(o, ret_salvage);
        if (r >= 0) {
                if (trouble_is_on(&o->trouble))
                        outbox_works(o, REFUSED_OPEN, 0);
                return r;
        }
        if (first && r == -ENOSPC && ret_salvage->needed > 0)
                outbox_log_needed(o, ret_salvage);
        o->open_error = r;
        o->reopen_at = clock_now() + OUTBOX_REOPEN_USEC;
        return r;
}

/* Makes sure that the file is open and is the one that the next start will find. */
static int outbox_ready(Outbox *o) {
        OutboxSalvage salvage = {};
        int r;

        if (o->sql && !(sql_standing(o->sql) & SQL_MOVED))
                return 0;
        if (clock_now() < o->reopen_at)
                return o->open_error;
        r = outbox_reopen(o, &salvage);
        if (r == OUTBOX_NEWER)
                return -EPROTONOSUPPORT;
        if (r < 0)
                outbox_fails(o, REFUSED_OPEN, r, NULL);
        return r < 0 ? r : 0;
}

int outbox_open(const char *directory, const OutboxConfig *caps, Outbox **ret, OutboxSalvage *ret_salvage) {
        _cleanup_(outbox_closep) Outbox *o = NULL;
        OutboxSalvage salvage = {};
        int r;

        o = calloc(1, sizeof(Outbox));
        if (!o)
                return -ENOMEM;
        o->caps = *caps;
        o->directory = strdup(directory);
        if (!o->directory)
                return -ENOMEM;

        r = outbox_reopen(o, &salvage);
        if (r == -ENOSPC) {
                outbox_fails(o, REFUSED_OPEN, r, NULL);
                r = OUTBOX_OK;
        }
        if (r < 0 || r == OUTBOX_NEWER)
                return r;
        if (r == OUTBOX_SALVAGED && ret_salvage)
                *ret_salvage = salvage;
        *ret = cleanup_steal(o);
        return r;
}

Outbox *outbox_close(Outbox *o) {
        if (!o)
                return NULL;
        outbox_detach(o);
        free(o->directory);
        free(o);
        return NULL;
}

void outbox_set_caps(Outbox *o, const OutboxConfig *caps) {
        o->caps = *caps;
}

/* ---- an operation: begin, work, end; and once more after a repair ---- */

enum { MENDED_DAMAGE = 1 << 0, MENDED_LOG = 1 << 1 };

/* True when the operation that failed with *error* must be repeated. Each kind of repair is tried once. */
static bool outbox_mends(Outbox *o, int error, unsigned *tried) {
        unsigned way = error == -EUCLEAN ? MENDED_DAMAGE : error == -ENOSPC && o->sql ? MENDED_LOG : 0;

        if (way == 0 || *tried & way)
                return false;
        *tried |= way;
        if (way == MENDED_DAMAGE) {
                outbox_detach(o);
                o->damaged = true;
                o->reopen_at = 0;
        } /* else sql_end() has emptied the log */
        return true;
}

static int outbox_begin(Outbox *o, bool durable) {
        int r;

        r = outbox_ready(o);
        if (r < 0)
                return r;
        outbox_start_pings(o);
        o->began = clock_monotonic(); /* sleep of the machine does not count */
        r = sql_begin(o->sql, durable);
        return r < 0 ? r : outbox_refresh(o);
}

/* Commits if *r* is 0; else rolls back and restores the counts. */
static int outbox_end(Outbox *o, int r) {
        usec_t took;

        if (!o->sql)
                return r;
        r = sql_end(o->sql, r);
        took = o->began > 0 ? clock_monotonic() - o->began : 0;
        if (took >= OUTBOX_SLOW_USEC)
                outbox_was_slow(o, took);
        o->began = 0;
        if (r < 0) {
                o->data_version = -1;
                (void) outbox_refresh(o);
        }
        return r;
}

/* Ends an operation and notes whether the disk worked. *bytes*: of a put. */
static int outbox_done(Outbox *o, Refused what, int r, const char *source, uint64_t bytes) {
        if (r < 0) {
                if (bytes > o->put_refused_bytes)
                        o->put_refused_bytes = bytes;
                outbox_fails(o, what, r, source);
                return r;
        }
        if (trouble_is_on(&o->trouble))
                outbox_works(o, what == REFUSED_PUT ? REFUSED_PUT | REFUSED_FORGET : what, bytes);
        if (what == REFUSED_PUT && sql_standing(o->sql) & SQL_ALONE)
                outbox_detach(o); /* there is room again: reopen with shared memory, so that others can use the file */
        return 0;
}

/* ---- room and status ---- */

/* Makes the counts current if that can be done, else the last known ones are used; no repair here. */
static int outbox_look(Outbox *o) {
        int r;

        r = outbox_ready(o);
        if (r < 0)
                return r;
        if (trouble_is_on(&o->trouble))
                outbox_works(o, REFUSED_OPEN, 0); /* and says that all is over where a lesser failure is */
        return outbox_refresh(o);
}

bool outbox_has_room(Outbox *o, uint64_t rows, uint64_t bytes) {
        uint64_t held_rows, held_bytes;

        (void) outbox_look(o);
        if (!outbox_may_put(o))
                return false;
        held_rows = o->counts.waiting.rows + o->counts.rejected.rows;
        held_bytes = o->counts.waiting.bytes + o->counts.rejected.bytes;
        if (o->counts.waiting.rows == 0) /* nothing waits, so there will never be more room */
                return held_rows < o->caps.max_rows && held_bytes < o->caps.max_bytes;
        return !__builtin_add_overflow(rows, held_rows, &rows) && !__builtin_add_overflow(bytes, held_bytes, &bytes) &&
               rows <= o->caps.max_rows && bytes <= o->caps.max_bytes;
}

void outbox_status(Outbox *o, OutboxStatus *ret) {
        int64_t oldest;

        if (outbox_look(o) == 0 &&
                sql_ints(o->sql, "SELECT coalesce((SELECT put_at FROM readings ORDER BY id LIMIT 1), 0)", NULL, 1,
                        &oldest) == 0)
                o->oldest = (usec_t) oldest;
        *ret = (OutboxStatus){
                .rows = o->counts.waiting.rows,
                .bytes = o->counts.waiting.bytes,
                .rejected_rows = o->counts.rejected.rows,
                .rejected_bytes = o->counts.rejected.bytes,
                .max_rows = o->caps.max_rows,
                .max_bytes = o->caps.max_bytes,
                .oldest = o->oldest,
                .last_id = o->last_id,
                .failure = outbox_is_failing(o) ? trouble_failure(&o->trouble) : (Failure){ .detail = "" },
        };
}

/* ---- put ---- */

/* *ret_put* gets what was put: not the readings that are known. */
static int put_readings(Outbox *o, const ReadingList *list, usec_t now, OutboxCount *ret_put) {
        int r;

        *ret_put = (OutboxCount){};
        for (size_t i = 0; i < list->n; i++) {
                const Reading *reading = &list->items[i];

                r = reading->seen ? outbox_source_see(o->sql, reading, now) : OUTBOX_SOURCE_NEW;
                if (r == OUTBOX_SOURCE_REPEAT)
                        continue;
                if (r == OUTBOX_SOURCE_NEW)
                        r = outbox_sql_insert(o->sql, reading, now);
                if (r < 0)
                        return r;
                ret_put->bytes += reading->size;
                ret_put->rows++;
        }
        return 0;
}

static int put_all(Outbox *o, const ReadingList *list, int64_t clock_moved, usec_t now, OutboxCount *ret_put) {
        int r;

        r = outbox_source_shift(o->sql, clock_moved, now);
        if (r == 0)
                r = put_readings(o, list, now, ret_put);
        if (r == 0)
                r = sql_ints(o->sql, LAST_ID, NULL, 1, &o->last_id);
        if (r == 0)
                r = outbox_counts_put(&o->counts, o->sql, ret_put);
        return r < 0 ? r : outbox_source_put(o->sql, list, now);
}

int outbox_put(Outbox *o, const ReadingList *list, size_t *ret_repeats) {
        OutboxCount put = {};
        unsigned tried = 0;
        int64_t offset;
        usec_t now;
        int r;

        if (reading_list_is_empty(list))
                return 0;
        do {
                r = outbox_begin(o, true);
                now = clock_wall();
                offset = (int64_t) (now - clock_now());
                if (r == 0)
                        r = put_all(o, list, o->clock_offset ? offset - o->clock_offset : 0, now, &put);
                r = outbox_end(o, r);
        } while (r < 0 && outbox_mends(o, r, &tried));
        if (r == 0)
                o->clock_offset = offset;
        if (r == 0 && ret_repeats)
                *ret_repeats = list->n - put.rows;
        return outbox_done(o, REFUSED_PUT, r, list->n > 0 ? list->items[0].source : list->source, list->bytes);
}

/* ---- cursor, peek ---- */

static int read_cursor(Sql *sql, const char *source, Bytes *ret) {
        SqlStatement *s;
        Slice value;
        int r;

        r = sql_use(sql, "SELECT value FROM cursors WHERE source = ?1", &s);
        if (r < 0)
                return r;
        sql_bind_text(s, 1, source);
        r = sql_step(s);
        if (r == SQL_ROW) {
                value = sql_column(s, 0);
                r = bytes_append(ret, value.data, value.size);
        }
        sql_reset(s);
        return r;
}

int outbox_cursor(Outbox *o, const char *source, Bytes *ret) {
        unsigned tried = 0;
        int r;

        do {
                r = outbox_ready(o);
                if (r == 0)
                        r = read_cursor(o->sql, source, ret);
        } while (r < 0 && outbox_mends(o, r, &tried));
        return outbox_done(o, REFUSED_READ, r, source, 0);
}

uint64_t outbox_dropped(Outbox *o, const char *source) {
        int64_t n = 0;

        if (outbox_ready(o) == 0) /* only operations that need rows make repairs */
                (void) sql_ints(o->sql, "SELECT coalesce((SELECT n FROM dropped WHERE source = ?1), 0)",
                        SQL_VALUES(SQL_TEXT(source)), 1, &n);
        return (uint64_t) n;
}

static int peek_rows(
        Outbox *o, int64_t after, size_t max_rows, bool (*each)(void *userdata, const OutboxRow *row), void *userdata) {
        bool more = each(userdata, NULL);
        int64_t last = 0;
        SqlStatement *s;
        int r;

        r = sql_use(o->sql,
                "SELECT id, key, source, type, device, payload, labels FROM readings WHERE id > ?1 ORDER BY id LIMIT "
                "?2",
                &s);
        if (r < 0)
                return r;
        sql_bind(s, SQL_VALUES(SQL_INT(after), SQL_INT(max_rows)));
        while (more && (r = sql_step(s)) == SQL_ROW) {
                last = sql_column_int(s, 0);
                more = each(userdata, &(OutboxRow){ last, .key = sql_column(s, 1), .source = sql_column(s, 2),
                                              .type = sql_column(s, 3), .device = sql_column(s, 4),
                                              .payload = sql_column(s, 5), .labels = sql_column(s, 6) });
        }
        sql_reset(s);
        if (r >= 0 && last > o->last_id)
                o->last_id = last;
        return r < 0 ? r : 0;
}

int outbox_peek(
        Outbox *o, int64_t after, size_t max_rows, bool (*each)(void *userdata, const OutboxRow *row), void *userdata) {
        unsigned tried = 0;
        int r;

        assert(max_rows > 0);
        do {
                r = outbox_ready(o);
                if (r == 0)
                        r = peek_rows(o, after, max_rows, each, userdata);
        } while (r < 0 && outbox_mends(o, r, &tried));
        return outbox_done(o, REFUSED_READ, r, NULL, 0);
}

/* ---- forget, reject ---- */

static int forget_all(Outbox *o, const int64_t *ids, size_t n) {
        int r = 0;

        for (size_t i = 0, end; r == 0 && i < n; i = end) {
                for (end = i + 1; end < n && ids[end] == ids[end - 1] + 1; end++)
                        ;
                r = outbox_counts_forget(&o->counts, o->sql, ids[i], ids[end - 1]);
        }
        return r;
}

static int forget_some(Outbox *o, const int64_t *ids, size_t n) {
        unsigned tried = 0;
        int r;

        do {
                r = outbox_begin(o, false);
                if (r == 0)
                        r = forget_all(o, ids, n);
                r = outbox_end(o, r);
        } while (r < 0 && outbox_mends(o, r, &tried));
        return r;
}

int outbox_forget(Outbox *o, const int64_t *ids, size_t n) {
        size_t most = OUTBOX_FORGET_MAX, done = 0;
        int r = 0;

        while (r == 0 && done < n) {
                size_t some = n - done < most ? n - done : most;

                if (done > 0)
                        service_working(NULL);
                r = forget_some(o, ids + done, some);
                done += r == 0 ? some : 0;
                if (r == -ENOSPC && some > 1) {
                        most = (some + 7) / 8;
                        r = 0;
                }
        }
        return n == 0 ? 0 : outbox_done(o, REFUSED_FORGET, r, NULL, 0);
}

bool outbox_is_empty(const Outbox *o) {
        return o->counts.waiting.rows == 0;
}

int outbox_reject(Outbox *o, int64_t id, const char *reason) {
        unsigned tried = 0;
        int r;

        do {
                r = outbox_begin(o, true);
                if (r == 0)
                        r = outbox_counts_reject(&o->counts, o->sql, id, reason, clock_wall());
                r = outbox_end(o, r);
        } while (r < 0 && outbox_mends(o, r, &tried));
        return outbox_done(o, REFUSED_FORGET, r, NULL, 0);
}
