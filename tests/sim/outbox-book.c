/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox-book.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"

#define SOURCE "home"
#define AT "2026-11-24T06:27:38.123Z"
#define LARGE 30000

/* ---- what a reading holds ---- */

static uint64_t hash_of(uint32_t number) {
        Draw d = { number };

        return draw(&d);
}

/* Small ones, and now and then one that goes on in further pages. */
static size_t filling_of(uint32_t number) {
        uint64_t hash = hash_of(number);

        return hash % 32 == 0 ? (hash >> 8) % LARGE : (hash >> 8) % 300;
}

/* A text of that size whose every eighth byte depends on the number. */
static void payload_of(uint32_t number, Bytes *ret) {
        size_t size = filling_of(number);
        uint64_t word = hash_of(~number);
        int r;

        r = bytes_append_format(ret, "{\"n\":%u,\"x\":\"", number);
        if (r == 0)
                r = bytes_reserve(ret, size + 16);
        assert(r == 0);
        for (size_t i = 0; i < size; i++)
                ret->data[ret->size++] = (char) ('a' + ((word >> i % 8 * 4) + i / 8) % 26);
        r = bytes_append_text(ret, "\"}");
        assert(r == 0);
        (void) r;
}

static Slice labels_of(uint32_t number) {
        static const char odd[] = "site\0nakano", even[] = "site\0itami";

        if (number % 3 != 0)
                return (Slice){};
        return number % 2 ? (Slice){ odd, sizeof(odd) } : (Slice){ even, sizeof(even) };
}

/* Half of the readings may come again, under one of a few names. */
static int seen_of(uint32_t number) {
        uint64_t hash = hash_of(number ^ 0x5555);

        return hash % 2 ? (int) (hash >> 8) % BOOK_SEEN : -1;
}

static void add_reading(ReadingList *list, uint32_t number) {
        ReadingOrigin origin = { .source = SOURCE, .type = "test", .device = "d", .at = AT, .unique = number };
        _cleanup_bytes_ Bytes payload = {};
        char seen[16];
        int r;

        payload_of(number, &payload);
        (void) snprintf(seen, sizeof(seen), "s%d", seen_of(number));
        origin.seen = seen_of(number) >= 0 ? seen : NULL;
        origin.labels = labels_of(number);
        r = reading_list_add(list, &origin, &payload);
        assert(r == 0);
        (void) r;
}

bool book_read_row(const Book *book, const BookRow *row, uint32_t *ret, char *error, size_t size) {
        static const char begin[] = AT ":" SOURCE ":d:";
        _cleanup_bytes_ Bytes payload = {};
        char digits[17] = "";
        uint64_t number;

        if (row->key.size != sizeof(begin) - 1 + 16 || memcmp(row->key.data, begin, sizeof(begin) - 1) != 0)
                return snprintf(error, size, "a key that nobody made: %.*s", (int) row->key.size, row->key.data), false;
        memcpy(digits, row->key.data + sizeof(begin) - 1, 16);
        number = strtoull(digits, NULL, 16);
        if (number >= book->next)
                return snprintf(error, size, "reading %s was never put", digits), false;
        payload_of((uint32_t) number, &payload);
        if (!slice_same(row->payload, bytes_slice(&payload)) ||
                (row->labels && !slice_same(*row->labels, labels_of((uint32_t) number))))
                return snprintf(error, size, "reading %s is not as it was put", digits), false;
        *ret = (uint32_t) number;
        return true;
}

/* ---- changes ---- */

bool book_is_full(const Book *book) {
        return book->next + 200 > BOOK_READINGS || book->n_changes + 40 > BOOK_CHANGES / 2 ||
               book->n_tails + 1 >= BOOK_TAILS;
}

void book_compose(Book *book, uint64_t chance, size_t n, ReadingList *ret, BookChange *change) {
        Draw d = { chance };
        char cursor[16];
        int r = 0;

        *change = (BookChange){ .kind = BOOK_PUT, .n = n };
        for (size_t i = 0; i < n; i++) {
                change->numbers[i] = book->next++;
                add_reading(ret, change->numbers[i]);
                book->sizes[change->numbers[i]] = (uint32_t) ret->items[ret->n - 1].size;
        }
        if (draw_below(&d, 4) == 0) {
                change->cursor = (uint32_t) draw_between(&d, 1, 1000000);
                (void) snprintf(cursor, sizeof(cursor), "%u", change->cursor);
                r = reading_list_set_cursor(ret, SOURCE, cursor);
        }
        if (draw_below(&d, 8) == 0) {
                _cleanup_bytes_ Bytes payload = {};

                change->unreadable = 1;
                if (r == 0)
                        r = bytes_append_text(&payload, "no reading");
                if (r == 0)
                        r = reading_list_add_unreadable(ret, SOURCE, slice_of("topic"), "reason", &payload);
        }
        assert(r == 0);
        (void) r;
}

/* Whether the reading is one that the outbox knows; it knows it afterwards. */
static bool is_repeat(BookState *state, uint32_t number) {
        int seen = seen_of(number);
        bool known;

        if (seen < 0)
                return false;
        known = state->seen >> seen & 1;
        state->seen |= UINT64_C(1) << seen;
        return known;
}

size_t book_repeats(const Book *book, const BookChange *change) {
        BookState state = { .seen = book->now.seen };
        size_t repeats = 0;

        for (size_t i = 0; i < change->n; i++)
                repeats += is_repeat(&state, change->numbers[i]);
        return repeats;
}

bool book_writes(const Book *book, const BookChange *change) {
        return change->kind != BOOK_PUT || change->cursor > 0 || change->unreadable > 0 ||
               book_repeats(book, change) < change->n;
}

static void apply(BookState *state, const BookChange *change) {
        static const uint8_t to[] = { [BOOK_FORGET] = BOOK_GONE,
                [BOOK_REJECT] = BOOK_REJECTED,
                [BOOK_REPLAY] = BOOK_WAITING,
                [BOOK_DROP] = BOOK_GONE };

        if (change->kind == BOOK_SETTLE)
                state->unreadable--;
        for (size_t i = 0; change->kind == BOOK_PUT && i < change->n; i++)
                if (!is_repeat(state, change->numbers[i]))
                        state->where[change->numbers[i]] = BOOK_WAITING;
        for (size_t i = 0; change->kind != BOOK_PUT && i < change->n; i++)
                state->where[change->numbers[i]] = to[change->kind];
        if (change->cursor > 0)
                state->cursor = change->cursor;
        state->unreadable += change->unreadable;
}

/* Whether both write the same bytes into the log. A put does not, nor a rejection: they note the time. */
static bool writes_the_same(const BookChange *a, const BookChange *b) {
        return a->kind == b->kind && a->kind != BOOK_PUT && a->kind != BOOK_REJECT && a->n == b->n &&
               memcmp(a->numbers, b->numbers, a->n * sizeof(a->numbers[0])) == 0;
}

/* How many changes of a tail are those of *changes* that succeeded, written once more; SIZE_MAX: it is another tail. */
static size_t tail_passed(const BookTail *tail, const BookChange *changes, size_t n) {
        size_t k = 0;

        for (size_t i = 0; i < n; i++) {
                if (changes[i].failed)
                        continue;
                while (k < tail->n && tail->changes[k].failed && !writes_the_same(&tail->changes[k], &changes[i]))
                        k++;
                if (k == tail->n || !writes_the_same(&tail->changes[k], &changes[i]))
                        return SIZE_MAX;
                k++;
        }
        return k;
}

/* What lies behind the end of the log when it goes on by these changes: the rest of the tails that begin with the same
 * ones. The others were written over, and what is left of them no longer fits: a frame's checksum goes on from that of
 * the one before. */
static void tails_pass(Book *book, const BookChange *changes, size_t n) {
        size_t left = 0;

        for (size_t i = 0; i < book->n_tails; i++) {
                BookTail *tail = &book->tails[i], *to = &book->tails[left];
                size_t passed = tail_passed(tail, changes, n);

                if (passed >= tail->n)
                        continue;
                to->n = tail->n - passed;
                memmove(to->changes, tail->changes + passed, to->n * sizeof(BookChange));
                left++;
        }
        book->n_tails = left;
}

void book_note(Book *book, const BookChange *change, bool durable) {
        if (!book_writes(book, change))
                return; /* what failed before it may still be the last thing in the log */
        assert(book->n_changes < BOOK_CHANGES);
        book->changes[book->n_changes++] = *change;
        if (change->failed)
                return;
        apply(&book->now, change);
        if (!durable)
                return;
        tails_pass(book, book->changes, book->n_changes);
        book->base = book->now;
        book->n_changes = 0;
}

/* ---- what was found ---- */

uint64_t book_count(const Book *book, uint8_t where, uint64_t *ret_bytes) {
        uint64_t n = 0, bytes = 0;

        for (uint32_t i = 0; i < book->next; i++)
                if (book->now.where[i] == where) {
                        n++;
                        bytes += book->sizes[i];
                }
        *ret_bytes = bytes;
        return n;
}

static bool is_same(const Book *book, const BookState *a, const BookState *b, bool with_rejected) {
        if (a->cursor != b->cursor || a->seen != b->seen)
                return false;
        if (with_rejected)
                return a->unreadable == b->unreadable && memcmp(a->where, b->where, book->next) == 0;
        for (uint32_t i = 0; i < book->next; i++)
                if ((a->where[i] == BOOK_WAITING) != (b->where[i] == BOOK_WAITING))
                        return false;
        return true;
}

/* One way in which it may be as it was found. */
typedef struct Way {
        BookState state;
        size_t n;         /* so many changes */
        BookChange *last; /* and this one, which had failed; or NULL */
} Way;

/* The changes are there up to some point, or *all* that succeeded; those that failed one at a time, as the last. */
static bool find_way(const Book *book, BookChange *changes, size_t n, bool all, const BookState *found,
        bool with_rejected, Way *ret) {
        size_t succeeded = 0, done = 0, i = 0;
        BookState state = book->base;

        for (size_t k = 0; k < n; k++)
                succeeded += !changes[k].failed;
        for (;; i++) {
                bool possible = !all || done == succeeded;

                *ret = (Way){ state, i, NULL };
                if (possible && is_same(book, &state, found, with_rejected))
                        return true;
                for (; i < n && changes[i].failed; i++) {
                        ret->state = state;
                        ret->last = &changes[i];
                        apply(&ret->state, &changes[i]);
                        if (possible && is_same(book, &ret->state, found, with_rejected))
                                return true;
                }
                if (i == n)
                        return false;
                apply(&state, &changes[i]);
                done++;
        }
}

/* What comes behind the first *n* changes is undone. */
static void keep_tail(Book *book, size_t n) {
        BookTail *tail;

        if (n == book->n_changes)
                return;
        assert(book->n_tails < BOOK_TAILS);
        tail = &book->tails[book->n_tails++];
        tail->n = book->n_changes - n;
        memcpy(tail->changes, book->changes + n, tail->n * sizeof(BookChange));
}

/* A cut has settled the disk at that point of *changes*. */
static void settle(Book *book, const BookChange *changes, const Way *way) {
        BookChange last = way->last ? *way->last : (BookChange){ .failed = true };

        last.failed = !way->last;
        tails_pass(book, changes, way->n);
        tails_pass(book, &last, 1);
        book->base = way->state;
}

/* Goes on from there. Unless a cut has settled the disk, changes that failed may lie below what was written over them,
 * and come to light at the next one. */
static void go_on(Book *book, const Way *way, bool settled) {
        for (size_t i = way->n; i < book->n_changes; i++) {
                book->undone += !book->changes[i].failed;
                book->came_back += !book->changes[i].failed && book->changes[i].kind == BOOK_FORGET;
        }
        book->resurrected += !!way->last;
        book->now = way->state;
        if (settled) {
                settle(book, book->changes, way);
                keep_tail(book, way->n);
                book->n_changes = 0;
        } else if (way->last) {
                BookChange moved = *way->last;

                moved.failed = false;
                *way->last = book->changes[book->n_changes - 1];
                book->changes[book->n_changes - 1] = moved;
        }
}

/* Goes on as a tail says. Unless a cut has settled the disk, the next one may undo it. */
static void go_on_by_tail(Book *book, const BookTail *tail, const Way *way, bool settled) {
        size_t n = 0;

        book->filled++;
        book->now = way->state;
        if (settled) {
                BookTail taken = *tail;

                keep_tail(book, 0);
                settle(book, taken.changes, way);
                book->n_changes = 0;
                return;
        }
        for (size_t i = 0; i < book->n_changes; i++)
                if (book->changes[i].failed)
                        book->changes[n++] = book->changes[i];
        assert(n + way->n < BOOK_CHANGES);
        memcpy(book->changes + n, tail->changes, way->n * sizeof(BookChange));
        n += way->n;
        if (way->last) {
                book->changes[n] = *way->last;
                book->changes[n++].failed = false;
        }
        book->n_changes = n;
}

/* One of the tails, or a part of it, is there. After a kill what succeeded is there as well, so it begins with that. */
static bool check_tails(Book *book, const BookState *found, bool cut, bool with_rejected) {
        for (size_t i = 0; i < book->n_tails; i++) {
                BookTail *tail = &book->tails[i];
                size_t passed = cut ? 0 : tail_passed(tail, book->changes, book->n_changes);
                Way way;

                if (passed > tail->n || !find_way(book, tail->changes, tail->n, false, found, with_rejected, &way) ||
                        way.n < passed)
                        continue;
                go_on_by_tail(book, tail, &way, cut);
                return true;
        }
        return false;
}

static void describe(const Book *book, const BookState *found, char *error, size_t size) {
        size_t used = 0;

        used += (size_t) snprintf(
                error, size, "it is as it never was: cursor %u, expected %u;", found->cursor, book->now.cursor);
        for (uint32_t i = 0; i < book->next && used + 80 < size; i++)
                if (found->where[i] != book->now.where[i])
                        used += (size_t) snprintf(error + used, size - used, " %u is %u (last known %u, durable %u)", i,
                                found->where[i], book->now.where[i], book->base.where[i]);
}

bool book_check(Book *book, const BookState *found, bool cut, bool with_rejected, char *error, size_t size) {
        Way way;

        if (find_way(book, book->changes, book->n_changes, !cut, found, with_rejected, &way))
                return go_on(book, &way, cut), true;
        if (check_tails(book, found, cut, with_rejected))
                return true;
        describe(book, found, error, size);
        return false;
}
