/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Fields found by looking: which device a stored message is about, of what time, and every number in it, at whatever
 * depth, under its JSON pointer. So a new kind of sensor shows up by itself. Pure. */

#include "lib/bytes.h"
#include "pubsub/wire.h"

#define PAGE_LOOK_NUMBERS_MAX 64 /* of one message; others are counted */
#define PAGE_LOOK_TEXT_SIZE                                                                                            \
        256 /* of a name or pointer, with its NUL; a longer name is cut, a longer pointer is not used */

/* What is looked at: borrowed. */
typedef struct PageMessage {
        Slice text; /* JSON */
        const WireAttribute *attributes;
        size_t n_attributes;
        const char *id_attribute; /* the attribute that names the document, and no device */
        int64_t published;        /* ms since 1970; 0: not known */
} PageMessage;

typedef struct PageNumber {
        size_t field; /* where its pointer begins in PageFound.fields */
        double value;
        int64_t changed; /* ms since 1970: `created_at` beside a value in `newest_events`, which is when it changed
                            last; 0 */
} PageNumber;

/* `PageFound f = {};`, page_found_done(); used again and again. */
typedef struct PageFound {
        char source[PAGE_LOOK_TEXT_SIZE], device[PAGE_LOOK_TEXT_SIZE], name[PAGE_LOOK_TEXT_SIZE];
        Bytes labels;  /* an object of texts, its members in the order of their names */
        int64_t time;  /* ms since 1970 */
        int64_t moved; /* the newest PageNumber.changed, that of motion, too */
        bool offline;  /* it says `online: false` */
        PageNumber numbers[PAGE_LOOK_NUMBERS_MAX];
        size_t n, beyond; /* beyond: so many numbers more, which are too many, too deep or under too long a name */
        Bytes fields;     /* the pointers, each with its NUL */
} PageFound;

enum { PAGE_LOOK_FOUND = 0, PAGE_LOOK_NOTHING = 1 };
/* PAGE_LOOK_NOTHING: not an object, or without a number or a time. The time is `request_at`, else `measured_at`, else
 * that of publishing, which also counts where the message claims to come from the future. -ENOMEM. */
int page_look(const PageMessage *message, PageFound *found);
void page_look_done(PageFound *found);
