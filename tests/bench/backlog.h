/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The messages of one subscription by number: handed out once, acknowledged, or given back (modAck 0) and handed out
 * again. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Backlog Backlog;

typedef struct BacklogStats {
        uint64_t total, produced, delivered, acknowledged, again, unknown, returned;
} BacklogStats;

/* *total* messages. They are all there from the start, or come one by one through backlog_produce() when *paced*. */
Backlog *backlog_new(uint64_t total, bool paced);
Backlog *backlog_free(Backlog *b);
/* *n* more messages are there, sent at *usec* (wall). */
void backlog_produce(Backlog *b, uint64_t n, uint64_t usec);
/* Up to *max* of the messages that wait. Returns how many. */
size_t backlog_take(Backlog *b, size_t max, uint64_t *ret_numbers, uint64_t *ret_sent);
void backlog_acknowledge(Backlog *b, uint64_t number);
void backlog_return(Backlog *b, uint64_t number);
void backlog_stats(const Backlog *b, BacklogStats *ret);
