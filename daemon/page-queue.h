/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Stored messages on their way to the charts' thread, one after another in one buffer. They are copied once, and read
 * there. */

#include "page-numbers.h"

/* Adds a message; its text is the published payload, or JSON. -ENOMEM. */
int page_queue_put(Bytes *queue, const SinkPast *message);

#define PAGE_QUEUE_ATTRIBUTES_MAX 64 /* per message; more are skipped */
typedef struct PageQueueItem {
        SinkPast message;
        WireAttribute attributes[PAGE_QUEUE_ATTRIBUTES_MAX];
} PageQueueItem;
/* Takes the first message from *queue*; *ret* points into it. False at the end. */
bool page_queue_next(Slice *queue, PageQueueItem *ret);
