/* SPDX-License-Identifier: Apache-2.0 */
#include "bisect.h"

#include <assert.h>
#include <string.h>

void bisect_restart(Bisect *b) {
        b->after = b->line;
        b->line = 0;
        b->bad_end = 0;
        b->n_suspects = 0;
        b->judging = b->put_off = false;
        b->passed_over = b->after > 0;
        b->window = b->probes > 0 ? 1 : BISECT_WINDOW_MAX;
        b->probes = b->probes > 0 ? 1 : 0;
        b->in_line = b->in_line / 2 > BISECT_PROBES_MAX ? b->in_line / 2 : BISECT_PROBES_MAX;
}

void bisect_next(const Bisect *b, int64_t *ret_after, size_t *ret_rows) {
        *ret_after = b->judging ? b->suspects[0] - 1 : b->after;
        *ret_rows = b->judging ? 1 : b->window;
}

void bisect_accepted(Bisect *b, int64_t last) {
        b->probes = 0;
        b->in_line = BISECT_SUSPECTS_MAX;
        if (b->judging) {
                bisect_judged(b);
                return;
        }

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

/* As many rows in line as are tried there were refused alone; *last* is the newest of them, or a row ahead. */
static BisectVerdict look_ahead(Bisect *b, int64_t last, int64_t newest, bool far_enough) {
        b->line = b->line > 0 ? b->line : last;
        b->passed_over = true;
        if (last < newest && !far_enough) {
                b->after = last + (newest - last) / 2;
                return BISECT_GO_ON;
        }
        b->probes = 1; /* not 0, because the topic has not accepted a message yet */
        if (b->in_line > BISECT_PROBES_MAX) {
                b->in_line = BISECT_PROBES_MAX;
                return BISECT_GO_ON; /* a new one may be accepted */
        }
        b->after = b->line;
        b->line = 0;
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
        if (b->probes < b->in_line)
                return BISECT_GO_ON;
        return look_ahead(b, last, newest, b->probes >= b->in_line + BISECT_AHEAD_MAX);
}

void bisect_put_off(Bisect *b) {
        b->judging = false;
        b->put_off = true;
        if (b->line > 0)
                b->after = b->line; /* what was skipped does not wait for the disk: at worst one row ahead goes twice */
        b->line = 0;
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
        memmove(&b->suspects[0], &b->suspects[1], b->n_suspects * sizeof(b->suspects[0]));
        if (b->n_suspects > 0)
                return;
        b->judging = false;
        if (b->passed_over) {
                b->passed_over = false;
                b->after = b->line = 0;
                b->bad_end = 0;
        }
}

bool bisect_at_end(Bisect *b) {
        b->bad_end = 0;
        if (b->n_suspects > 0)
                return true;
        b->after = b->line = 0;
        b->passed_over = false;
        b->window = BISECT_WINDOW_MAX;
        return false;
}
