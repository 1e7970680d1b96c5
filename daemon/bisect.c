/* SPDX-License-Identifier: Apache-2.0 */
#include "bisect.h"

#include <assert.h>

void bisect_restart(Bisect *b) {
        b->after = b->line = 0;
        b->bad_end = 0;
        b->n_suspects = 0;
        b->judging = b->put_off = b->passed_over = false;
        b->window = b->probes > 0 ? 1 : BISECT_WINDOW_MAX;
        b->tried = b->probes > 0 ? BISECT_TRIED_MAX : 0;
        b->probes = b->probes > 0;
        b->in_line = BISECT_PROBES_MAX;
}

int64_t bisect_suspected(const Bisect *b) {
        assert(b->n_suspects > 0);
        return b->suspects[b->n_suspects - 1];
}

void bisect_next(const Bisect *b, int64_t *ret_after, size_t *ret_rows) {
        *ret_after = b->judging ? bisect_suspected(b) - 1 : b->after;
        *ret_rows = b->judging ? 1 : b->window;
}

static void all_judged(Bisect *b) {
        b->judging = false;
        if (b->passed_over) {
                b->passed_over = false;
                b->after = b->line = 0;
                b->bad_end = 0;
        }
}

/* The topic was at fault when it refused this suspect, so nothing is known against the others either. */
static void clear_suspects(Bisect *b) {
        b->n_suspects = 0;
        b->passed_over = true;
        all_judged(b);
}

void bisect_accepted(Bisect *b, int64_t last) {
        b->probes = b->tried = b->judged = 0;
        b->in_line = BISECT_LINE_ACCEPTED;
        if (b->judging)
                return clear_suspects(b);

        b->after = last;
        b->window = BISECT_WINDOW_MAX;
        if (last < b->bad_end) {
                uint64_t left = (uint64_t) (b->bad_end - last); /* about the number of rows: ids have few gaps */
                b->window = left > 2 * BISECT_WINDOW_MAX ? BISECT_WINDOW_MAX : (size_t) (left + 1) / 2;
        } else
                b->bad_end = 0;
        b->judging = b->n_suspects > 0;
        b->put_off = false;
}

void bisect_suspect(Bisect *b, int64_t id) {
        if (b->n_suspects < BISECT_SUSPECTS_MAX)
                b->suspects[b->n_suspects++] = id;
        else
                b->passed_over = true;
        b->after = id;
        b->bad_end = 0;
}

static void back_in_line(Bisect *b) {
        b->after = b->line;
        b->line = 0;
}

/* Row *last* was refused alone: the last one in line before it looks ahead, or a row ahead. False: it is back in line.
 */
static bool look_ahead(Bisect *b, int64_t last, int64_t newest) {
        if (b->line == 0)
                b->line = last;
        b->passed_over = true;
        if (last < newest && b->probes < BISECT_PROBES_MAX + BISECT_AHEAD_MAX) {
                b->after = last + (newest - last) / 2;
                return true;
        }
        back_in_line(b);
        return false;
}

static BisectVerdict rest(Bisect *b) {
        b->probes = 1; /* not 0, because the topic has not accepted a message yet */
        b->in_line = b->tried >= BISECT_TRIED_MAX       ? BISECT_PROBES_MAX
                     : b->in_line < BISECT_LINE_MAX / 4 ? b->in_line * 4
                                                        : BISECT_LINE_MAX;
        return BISECT_REST;
}

BisectVerdict bisect_refused(Bisect *b, int64_t last, size_t n, int64_t newest) {
        assert(n > 0);
        if (b->judging)
                return BISECT_REJECT;
        if (n > 1) {
                b->bad_end = last;
                b->window = n / 2;
                return BISECT_GO_ON;
        }

        if (b->line == 0)
                bisect_suspect(b, last);
        b->after = last;
        b->window = 1; /* one message as a probe: it is cheap, and shows whether the topic or the message is at fault */
        b->probes++;
        b->tried += b->tried < BISECT_TRIED_MAX;
        if ((b->line > 0 || b->probes == BISECT_PROBES_MAX) && look_ahead(b, last, newest))
                return BISECT_GO_ON;
        return b->probes < b->in_line ? BISECT_GO_ON : rest(b);
}

void bisect_put_off(Bisect *b) {
        b->judging = false;
        b->put_off = true;
        if (b->line > 0)
                back_in_line(b); /* what was skipped does not wait for the disk: at worst one row ahead goes twice */
}

bool bisect_take_up(Bisect *b) {
        if (b->put_off && b->n_suspects > 0)
                b->judging = true;
        b->put_off = false;
        return b->judging;
}

void bisect_forgotten(Bisect *b) {
        if (b->n_suspects == 0 && !b->passed_over)
                b->after = 0;
}

void bisect_judged(Bisect *b) {
        assert(b->n_suspects > 0);
        b->n_suspects--;
        b->judged++;
        if (b->n_suspects == 0)
                all_judged(b);
        else if (b->judged == BISECT_JUDGED_MAX)
                b->judging = false;
}

bool bisect_at_end(Bisect *b) {
        b->bad_end = 0;
        if (b->line > 0) {
                back_in_line(b);
                return false;
        }
        if (b->judged == BISECT_JUDGED_MAX && b->probes == 0 && !b->put_off) {
                b->judged = 0;
                b->judging = b->n_suspects > 0;
        }
        if (b->n_suspects > 0)
                return !b->judging;
        b->after = 0;
        b->passed_over = false;
        b->window = BISECT_WINDOW_MAX;
        return false;
}
