/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Finds fields in a message without configuration: which device it is about, its time, and every number in it, at any
 * depth, under its JSON pointer; true is 1, false is 0. So a new kind of sensor appears by itself. Pure. */

#include "lib/bytes.h"
#include "subscribe/sink-type.h"

#define PAGE_NUMBERS_MAX 64 /* per message; more are only counted */
/* bytes of a name or pointer, with NUL; a longer name is cut, a longer pointer is not used */
#define PAGE_NUMBERS_TEXT_SIZE 256

typedef struct PageNumber {
        size_t field; /* offset of its pointer in PageFound.fields */
        double value;
        int64_t changed; /* ms since 1970: when the value changed last, from `created_at` beside it in `newest_events`;
                            0: not known */
} PageNumber;

/* `PageFound f = {};` is empty; can be used for many messages; page_numbers_done() frees it. */
typedef struct PageFound {
        char source[PAGE_NUMBERS_TEXT_SIZE], device[PAGE_NUMBERS_TEXT_SIZE], name[PAGE_NUMBERS_TEXT_SIZE];
        Bytes labels;  /* a JSON object of texts, members sorted by name */
        int64_t time;  /* ms since 1970 */
        int64_t moved; /* the newest PageNumber.changed, also that of a motion sensor */
        bool offline;  /* the message says `online: false` */
        PageNumber numbers[PAGE_NUMBERS_MAX];
        size_t n, beyond; /* beyond: how many more numbers there are that are too many, too deep, or have too long a
                             name */
        Bytes fields;     /* the pointers, each with a NUL */
} PageFound;

enum { PAGE_NUMBERS_FOUND = 0, PAGE_NUMBERS_NONE = 1 };
/* Reads *message*. *id_attribute* names its document, and no device; NULL: there is none. PAGE_NUMBERS_NONE: it is not
 * an object, or has no number or no time. The time is `request_at`, else `measured_at`, else the publish time; the
 * publish time also replaces a time in the future. -ENOMEM. */
int page_numbers_find(const SinkPast *message, const char *id_attribute, PageFound *found);
void page_numbers_done(PageFound *found);
