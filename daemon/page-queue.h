/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Stored messages on their way to the charts' thread, one behind another in one buffer: copied once, looked at there.
 */

#include "page-look.h"

/* Adds one: its text is what was published, or JSON. -ENOMEM. */
int page_queue_put(Bytes *queue, const PageMessage *message);

#define PAGE_QUEUE_ATTRIBUTES_MAX 64 /* of one message; others are passed over */
typedef struct PageQueueItem {
        PageMessage message;
        WireAttribute attributes[PAGE_QUEUE_ATTRIBUTES_MAX];
} PageQueueItem;
/* Takes the first one off *queue*; everything points into that. False at its end. */
bool page_queue_next(Slice *queue, PageQueueItem *ret);
