/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One disk with an outbox on it, and what is known of both. For outbox*.c. */

#include <sqlite3.h>
#include <stdio.h>

#include "disk.h"
#include "draw.h"
#include "outbox-book.h"

#define WORLD_ROOT "/disk"
#define WORLD_DIRECTORY WORLD_ROOT "/state"

/* How often something was seen. */
typedef struct WorldSeen {
        uint64_t worlds, lives, steps;
        uint64_t puts, readings, repeats, forgets, forgotten, rejects, replays, drops, settles;
        uint64_t died_opening, died_working, died_idle, ended_clean;
        uint64_t foul, failed_puts, failed_others, full, retried, no_room;
        uint64_t came_back, undone, resurrected, filled;
        uint64_t damages, salvages, died_salvaging, selected, carried;
} WorldSeen;

typedef struct World {
        uint64_t number;
        bool trace, guests; /* guests: the verb `rejected` is used as well */
        Draw draw;
        Disk *disk;
        Outbox *outbox;
        OutboxConfig caps;
        int checkpoint; /* the log goes into the file when it has so many pages; 0: as ever */
        Book book;
        uint64_t calls, dies_at; /* of this life; dies_at 0: it does not, or has */
        bool dies_by_cut;
        bool cut;         /* since the last look */
        bool unseen;      /* nobody has looked in this life */
        bool opened;      /* it was made once; before that SQLite may leave half a file, with nothing in it */
        bool failing;     /* the disk is made to */
        bool failed;      /* it was, in this life: the outbox may still be opened so that nobody else can */
        unsigned refused; /* calls in a row that failed on a disk that was made to fail before: a failed sync is told
                             later, too */
        usec_t now;
        char error[2000];
        WorldSeen *seen;
} World;

#define WORLD_TRACE(w, ...)                                                                                            \
        do {                                                                                                           \
                if ((w)->trace)                                                                                        \
                        (void) printf(__VA_ARGS__);                                                                    \
        } while (0)

/* Keeps the first. */
void world_wrong(World *w, const char *what);
/* Draws whether, when and how the life that begins ends. */
void world_draw_death(World *w);
void world_fair_weather(World *w);
void world_foul_weather(World *w);

/* One random call of the outbox, or some, and its entry in the book. */
void world_step(World *w);
/* Looks at all that is there, and compares. */
void world_look(World *w);
/* The outbox's own connection to its file. */
sqlite3 *world_connection(void);
/* The counters are those of the book. */
void world_check_counts(World *w);

/* Damages what is there, lets it be salvaged, dying meanwhile now and then, and compares what is there then with what a
 * SELECT found before. */
void world_damage(World *w);
