/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What must be in an outbox, by what it was told and what it answered. Since its last durable change an outbox may be,
 * after a cut, as it was after any number of the changes that followed, in their order; after a kill, as it was after
 * all of them. A change that failed, or that was under way, may be there as the last one. Anything else is an error.
 * Readings are numbers; what they hold follows from them. */

#include "../outbox-rows.h"

#define BOOK_READINGS 1024 /* a book is closed when it has met that many */
#define BOOK_SEEN 64       /* names of what may come again */
#define BOOK_CHANGES 128   /* since the last durable one, with those of a tail */
#define BOOK_NUMBERS 16    /* readings of one change */

typedef enum BookKind { BOOK_PUT, BOOK_FORGET, BOOK_REJECT, BOOK_REPLAY, BOOK_DROP, BOOK_SETTLE } BookKind;

typedef struct BookChange {
        BookKind kind;
        bool failed;
        uint32_t numbers[BOOK_NUMBERS];
        size_t n;
        uint32_t cursor;     /* BOOK_PUT: 0: none */
        uint32_t unreadable; /* BOOK_PUT: how many */
} BookChange;

/* What is there. */
typedef struct BookState {
        uint8_t where[BOOK_READINGS]; /* of each reading: BOOK_GONE ... */
        uint64_t seen;                /* names: a bit for each */
        uint32_t cursor, unreadable;
} BookState;

enum { BOOK_GONE = 0, BOOK_WAITING = 1, BOOK_REJECTED = 2 };

/* Changes that a cut undid. They lie behind the end of the log, with holes, until something else is written over them;
 * what is written over them and lost in its turn may fill a hole by chance, however many cuts later: all are kept. */
typedef struct BookTail {
        BookChange changes[BOOK_CHANGES];
        size_t n;
} BookTail;

#define BOOK_TAILS 64 /* a book is closed when it has that many */

typedef struct Book {
        uint32_t next;                    /* number of the next reading */
        uint32_t sizes[BOOK_READINGS];    /* bytes that they count for */
        BookState base;                   /* after the last durable change */
        BookState now;                    /* after all that succeeded */
        BookChange changes[BOOK_CHANGES]; /* since *base* */
        size_t n_changes;
        BookTail tails[BOOK_TAILS]; /* behind *base* */
        size_t n_tails;
        uint64_t filled, came_back, undone,
                resurrected; /* of what may happen: a forget that a cut undid; any change; one that had failed */
} Book;

/* No room for what a life may bring. */
bool book_is_full(const Book *book);

/* A list for outbox_put() with *n* new readings; some name what was seen before. *change* says so. */
void book_compose(Book *book, uint64_t draw, size_t n, ReadingList *ret, BookChange *change);
/* How many of the readings of a put are repeats, as things are. */
size_t book_repeats(const Book *book, const BookChange *change);
/* Whether a change writes anything, as things are: a put of repeats alone does not. */
bool book_writes(const Book *book, const BookChange *change);

/* The change was answered: with 0 where it did not fail. *durable*: it says that it survives a cut. */
void book_note(Book *book, const BookChange *change, bool durable);

/* What a life found at its begin, and when it looked. *cut*: a cut was among what ended the lives since the last look.
 * *error* says what is wrong, if the answer is false. */
bool book_check(Book *book, const BookState *found, bool cut, bool with_rejected, char *error, size_t size);

/* A row, or what the verb shows of a rejected one. *labels*: NULL: not shown. */
typedef struct BookRow {
        Slice key, payload;
        const Slice *labels;
} BookRow;

/* The number of a row, if it is as it was put; false, and *error* is written, if it is not. */
bool book_read_row(const Book *book, const BookRow *row, uint32_t *ret, char *error, size_t size);

/* What waits, or was rejected. */
uint64_t book_count(const Book *book, uint8_t where, uint64_t *ret_bytes);
