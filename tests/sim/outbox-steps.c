/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon does with its outbox, and the verb `rejected` beside it. */
#include "outbox-world.h"

#include <errno.h>
#include <stdlib.h>

#include "publish/outbox-guest.h"

/* Enters the answer. True when it failed. */
static bool has_failed(World *w, int r, BookChange *change, bool durable) {
        change->failed = r < 0;
        WORLD_TRACE(w, "    = %d\n", r);
        book_note(&w->book, change, durable);
        w->refused = r < 0 && !w->failing ? w->refused + 1 : 0;
        if (w->refused > (w->failed ? 2 : 0) && !disk_is_dead(w->disk))
                world_wrong(w, "a call failed on a good disk");
        if (r < 0 && change->kind != BOOK_PUT)
                w->seen->failed_others++;
        return r < 0;
}

/* ---- the daemon ---- */

/* What failed is tried again, as a source does. */
static int put_again(World *w, const ReadingList *list, BookChange *change, bool writes, size_t *repeats) {
        w->seen->failed_puts++;
        if (draw_below(&w->draw, 2))
                world_fair_weather(w);
        w->now += 3 * USEC_PER_SEC;
        w->seen->retried++;
        int r = outbox_put(w->outbox, list, repeats);
        (void) has_failed(w, r, change, writes);
        return r;
}

static void step_put(World *w) {
        size_t n = 1 + draw_skewed(&w->draw, 7), repeats = 0, expected;
        ReadingList list = {};
        BookChange change;
        bool writes;
        int r;

        if (w->book.next + n > BOOK_READINGS)
                return;
        book_compose(&w->book, draw(&w->draw), n, &list, &change);
        expected = book_repeats(&w->book, &change);
        writes = book_writes(&w->book, &change);
        WORLD_TRACE(w, "  put %u..%u%s\n", change.numbers[0], change.numbers[n - 1], writes ? "" : ", repeats alone");
        r = outbox_put(w->outbox, &list, &repeats);
        if (has_failed(w, r, &change, writes) && !disk_is_dead(w->disk)) {
                w->seen->full += r == -ENOSPC;
                r = put_again(w, &list, &change, writes, &repeats);
        }
        if (r == 0 && repeats != expected)
                world_wrong(w, "another number of repeats than there were");
        if (r == 0) {
                w->seen->puts++;
                w->seen->readings += n;
                w->seen->repeats += repeats;
        }
        reading_list_done(&list);
}

/* Some of what waits, with its numbers. */
static bool peek(World *w, size_t max, OutboxRows *ret, uint32_t *numbers) {
        int r = outbox_rows_peek(w->outbox, 0, max, SIZE_MAX, ret);
        bool right = true;

        if (r < 0) {
                if (!w->failing && !disk_is_dead(w->disk))
                        world_wrong(w, "a good disk could not be read");
                return false;
        }
        for (size_t i = 0; right && i < ret->n; i++) {
                const OutboxRow *row = &ret->items[i];
                BookRow as_put = { row->key, row->payload, &row->labels };

                right = book_read_row(&w->book, &as_put, &numbers[i], w->error, sizeof(w->error));
        }
        if (!right)
                outbox_rows_done(ret);
        return right;
}

/* Pub/Sub has the first ones, or some of them. */
static void step_forget(World *w) {
        BookChange change = { .kind = BOOK_FORGET };
        bool all = draw_below(&w->draw, 2);
        uint32_t numbers[BOOK_NUMBERS];
        int64_t ids[BOOK_NUMBERS];
        OutboxRows rows;

        /* on a bad disk one: of several some could be gone and others not, which the book does not know */
        if (!peek(w, w->failing ? 1 : 1 + draw_below(&w->draw, BOOK_NUMBERS), &rows, numbers))
                return;
        for (size_t i = 0; i < rows.n; i++)
                if (all || draw_below(&w->draw, 2)) {
                        ids[change.n] = rows.items[i].id;
                        change.numbers[change.n++] = numbers[i];
                }
        outbox_rows_done(&rows);
        if (change.n == 0)
                return;
        WORLD_TRACE(w, "  forget");
        for (size_t i = 0; i < change.n; i++)
                WORLD_TRACE(w, " %u", change.numbers[i]);
        WORLD_TRACE(w, "\n");
        if (has_failed(w, outbox_forget(w->outbox, ids, change.n), &change, false))
                return;
        w->seen->forgets++;
        w->seen->forgotten += change.n;
}

static void step_reject(World *w) {
        BookChange change = { .kind = BOOK_REJECT, .n = 1 };
        uint32_t numbers[BOOK_NUMBERS];
        OutboxRows rows;

        if (!peek(w, BOOK_NUMBERS, &rows, numbers))
                return;
        if (rows.n > 0) {
                size_t i = draw_below(&w->draw, rows.n);

                change.numbers[0] = numbers[i];
                WORLD_TRACE(w, "  reject %u\n", numbers[i]);
                w->seen->rejects += !has_failed(w, outbox_reject(w->outbox, rows.items[i].id, "no"), &change, true);
        }
        outbox_rows_done(&rows);
}

static void step_room(World *w) {
        uint64_t waiting, bytes, rejected, rejected_bytes, rows = draw_below(&w->draw, 100),
                                                           more = draw_below(&w->draw, 100000);
        bool right, found;

        waiting = book_count(&w->book, BOOK_WAITING, &bytes);
        rejected = book_count(&w->book, BOOK_REJECTED, &rejected_bytes);
        bytes += rejected_bytes;
        right = waiting == 0 ? rejected < w->caps.max_rows && bytes < w->caps.max_bytes
                             : waiting + rejected + rows <= w->caps.max_rows && bytes + more <= w->caps.max_bytes;
        found = outbox_has_room(w->outbox, rows, more); /* may open the file anew, and fail */
        if (!w->failing && !outbox_is_failing(w->outbox) && found != right)
                world_wrong(w, "there is room, or there is none, and it says otherwise");
        w->seen->no_room += !right;
}

/* ---- the verb `rejected`, in another process ---- */

typedef struct Look {
        World *w;
        BookState *found; /* NULL: one of them is drawn */
        int64_t id;
        uint32_t number, n;
} Look;

static int see_rejected(void *userdata, const OutboxRejected *row) {
        BookRow as_put = { row->key, row->payload, NULL };
        Look *look = userdata;
        World *w = look->w;
        uint32_t number;

        if (!book_read_row(&w->book, &as_put, &number, w->error, sizeof(w->error)))
                return -EBADMSG;
        if (look->found)
                look->found->where[number] = BOOK_REJECTED;
        else if (draw_below(&w->draw, ++look->n) == 0) {
                look->id = row->id;
                look->number = number;
        }
        return 0;
}

static int see_unread(void *userdata, const OutboxRejected *row) {
        Look *look = userdata;

        look->id = row->id;
        look->n++;
        if (look->found)
                look->found->unreadable++;
        return 0;
}

static void guest_rejected(World *w, OutboxGuest *guest) {
        bool replays = draw_below(&w->draw, 2);
        BookChange change = { .kind = replays ? BOOK_REPLAY : BOOK_DROP, .n = 1 };
        Look look = { .w = w };
        int r;

        if (outbox_rejected_each(guest, 0, true, see_rejected, &look) < 0 || look.n == 0)
                return;
        change.numbers[0] = look.number;
        WORLD_TRACE(w, "  %s %u\n", replays ? "replay" : "drop", look.number);
        r = replays ? outbox_rejected_replay(guest, look.id) : outbox_rejected_drop(guest, look.id);
        if (has_failed(w, r, &change, true))
                return;
        w->seen->replays += replays;
        w->seen->drops += !replays;
}

static void guest_unread(World *w, OutboxGuest *guest) {
        BookChange change = { .kind = BOOK_SETTLE };
        Look look = { .w = w };

        if (outbox_unread_each(guest, 0, true, see_unread, &look) < 0 || look.n == 0)
                return;
        WORLD_TRACE(w, "  settle\n");
        w->seen->settles += !has_failed(w, outbox_unread_settle(guest, look.id, NULL), &change, true);
}

static void step_guest(World *w) {
        OutboxGuest *guest = NULL;
        int r = outbox_guest_open(WORLD_DIRECTORY, &guest);

        if (r == OUTBOX_OK && draw_below(&w->draw, 3))
                guest_rejected(w, guest);
        else if (r == OUTBOX_OK)
                guest_unread(w, guest);
        else if (!w->failed && !disk_is_dead(w->disk))
                world_wrong(w, "a guest cannot open it");
        outbox_guest_close(guest);
}

/* ---- together ---- */

void world_step(World *w) {
        uint64_t bytes, waiting = book_count(&w->book, BOOK_WAITING, &bytes);

        w->seen->steps++;
        w->now += draw_below(&w->draw, 10 * USEC_PER_SEC);
        switch (draw_below(&w->draw, 10)) {
        case 0 ... 4:
                return waiting > 40 ? step_forget(w) : step_put(w);
        case 5 ... 7:
                return step_forget(w);
        case 8:
                return w->guests ? step_reject(w) : step_room(w);
        default:
                return w->guests ? step_guest(w) : step_forget(w);
        }
}

static bool look_at_rejected(World *w, BookState *found) {
        Look look = { .w = w, .found = found };
        OutboxGuest *guest = NULL;
        int r = outbox_guest_open(WORLD_DIRECTORY, &guest);

        if (r == OUTBOX_OK)
                r = outbox_rejected_each(guest, 0, true, see_rejected, &look);
        if (r == OUTBOX_OK)
                r = outbox_unread_each(guest, 0, true, see_unread, &look);
        outbox_guest_close(guest);
        return r == OUTBOX_OK;
}

/* The names of what may come again, which the outbox shows nobody. */
static bool look_at_seen(BookState *found) {
        sqlite3_stmt *s = NULL;
        int code = sqlite3_prepare_v2(world_connection(), "SELECT key FROM seen", -1, &s, NULL);

        while (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
                found->seen |= UINT64_C(1) << strtoul((const char *) sqlite3_column_text(s, 0) + 1, NULL, 10);
                code = SQLITE_OK;
        }
        (void) sqlite3_finalize(s);
        return code == SQLITE_DONE;
}

static bool look_at_waiting(World *w, BookState *found) {
        _cleanup_bytes_ Bytes cursor = {};
        uint32_t numbers[256];
        OutboxRows rows;

        if (!peek(w, 256, &rows, numbers))
                return false;
        for (size_t i = 0; i < rows.n; i++) {
                if (found->where[numbers[i]] == BOOK_WAITING)
                        world_wrong(w, "a reading is there twice");
                found->where[numbers[i]] = BOOK_WAITING;
        }
        outbox_rows_done(&rows);
        if (outbox_cursor(w->outbox, "home", &cursor) < 0)
                return false;
        found->cursor = cursor.size > 0 ? (uint32_t) strtoul(cursor.data, NULL, 10) : 0;
        return true;
}

static void trace_found(const World *w, const BookState *found) {
        WORLD_TRACE(w, "  found");
        for (uint32_t i = 0; i < w->book.next; i++)
                if (found->where[i] != BOOK_GONE)
                        WORLD_TRACE(w, found->where[i] == BOOK_REJECTED ? " (%u)" : " %u", i);
        WORLD_TRACE(w, "; %zu changes, %zu tails\n", w->book.n_changes, w->book.n_tails);
}

void world_look(World *w) {
        BookState found = {};

        if (!look_at_waiting(w, &found) || !look_at_seen(&found) || (w->guests && !look_at_rejected(w, &found)))
                return;
        trace_found(w, &found);
        if (!book_check(&w->book, &found, w->cut, w->guests, w->error, sizeof(w->error)))
                return;
        w->cut = w->unseen = false;
}

void world_check_counts(World *w) {
        uint64_t bytes, rejected_bytes;
        OutboxStatus status;

        if (w->failing || w->unseen || disk_is_dead(w->disk) || outbox_is_failing(w->outbox))
                return;
        outbox_status(w->outbox, &status);
        if (disk_is_dead(w->disk))
                return;
        if (status.rows != book_count(&w->book, BOOK_WAITING, &bytes) || status.bytes != bytes)
                world_wrong(w, "the counters of what waits are wrong");
        if (status.rejected_rows != book_count(&w->book, BOOK_REJECTED, &rejected_bytes) ||
                status.rejected_bytes != rejected_bytes)
                world_wrong(w, "the counters of what was rejected are wrong");
}
