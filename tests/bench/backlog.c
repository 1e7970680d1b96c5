/* SPDX-License-Identifier: Apache-2.0 */
#include "backlog.h"

#include <err.h>
#include <stdlib.h>

enum { FREE, HELD, ACKNOWLEDGED };

struct Backlog {
        BacklogStats stats;
        uint64_t next; /* the first that was never handed out */
        uint8_t *states;
        uint64_t *sent;     /* NULL unless paced */
        uint64_t *returned; /* numbers given back */
        size_t n_returned, allocated;
};

static void *array(void *old, size_t n, size_t size) {
        void *p = reallocarray(old, n ? n : 1, size);

        if (!p)
                err(EXIT_FAILURE, "reallocarray");
        return p;
}

Backlog *backlog_new(uint64_t total, bool paced) {
        Backlog *b = calloc(1, sizeof *b);

        if (!b)
                err(EXIT_FAILURE, "calloc");
        b->stats.total = total;
        b->stats.produced = paced ? 0 : total;
        b->states = array(NULL, total, 1);
        for (uint64_t i = 0; i < total; i++)
                b->states[i] = FREE;
        if (paced)
                b->sent = array(NULL, total, sizeof *b->sent);
        return b;
}

Backlog *backlog_free(Backlog *b) {
        if (b) {
                free(b->states);
                free(b->sent);
                free(b->returned);
        }
        free(b);
        return NULL;
}

void backlog_produce(Backlog *b, uint64_t n, uint64_t usec) {
        for (; n > 0 && b->stats.produced < b->stats.total; n--)
                b->sent[b->stats.produced++] = usec;
}

size_t backlog_take(Backlog *b, size_t max, uint64_t *ret_numbers, uint64_t *ret_sent) {
        size_t n = 0;

        while (n < max) {
                uint64_t number;

                if (b->n_returned > 0)
                        number = b->returned[--b->n_returned];
                else if (b->next < b->stats.produced)
                        number = b->next++;
                else
                        break;
                if (b->states[number] == ACKNOWLEDGED)
                        continue;
                b->states[number] = HELD;
                ret_numbers[n] = number;
                ret_sent[n++] = b->sent ? b->sent[number] : 0;
        }
        b->stats.delivered += n;
        return n;
}

void backlog_acknowledge(Backlog *b, uint64_t number) {
        if (number >= b->next)
                b->stats.unknown++;
        else if (b->states[number] == ACKNOWLEDGED)
                b->stats.again++;
        else {
                b->states[number] = ACKNOWLEDGED;
                b->stats.acknowledged++;
        }
}

void backlog_return(Backlog *b, uint64_t number) {
        if (number >= b->next || b->states[number] != HELD)
                return;
        b->states[number] = FREE;
        b->stats.returned++;
        if (b->n_returned == b->allocated) {
                b->allocated = b->allocated ? b->allocated * 2 : 1024;
                b->returned = array(b->returned, b->allocated, sizeof *b->returned);
        }
        b->returned[b->n_returned++] = number;
}

void backlog_stats(const Backlog *b, BacklogStats *ret) {
        *ret = b->stats;
}
