/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Time as plain numbers. Intervals, deadlines and expiries use the boot-time clock (steps of the wall clock and
 * suspends do not disturb them); wall time is only for what leaves the process. Nothing here blocks or allocates. */

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t usec_t; /* microseconds */

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_INFINITY UINT64_MAX

/* The earlier or shorter one, the later or longer one. */
static inline usec_t usec_min(usec_t a, usec_t b) {
        return a < b ? a : b;
}

static inline usec_t usec_max(usec_t a, usec_t b) {
        return a > b ? a : b;
}

#define CLOCK_SPAN_SIZE 32    /* buffer of clock_format_span(): "6 d 4 h" */
#define CLOCK_RFC3339_SIZE 32 /* "2026-11-24T06:27:38.123Z" and its NUL, with room for years beyond 9999 */

/* CLOCK_BOOTTIME, for everything that is measured or scheduled. */
usec_t clock_now(void);

/* CLOCK_MONOTONIC, which stands still while the machine sleeps. For libraries that use this clock, and to find out that
 * the machine slept. */
usec_t clock_monotonic(void);

/* CLOCK_REALTIME since the epoch. */
usec_t clock_wall(void);

/* Returns the wall time of *at*, a moment of clock_now(). It uses the present wall clock: if somebody set that clock in
 * the meantime, the present value is the right one. Never returns 0. */
static inline usec_t clock_wall_of(usec_t at) {
        usec_t now = clock_now(), wall = clock_wall();

        if (at >= now)
                return wall + (at - now);
        return wall > now - at ? wall - (now - at) : 1;
}

/* Sets *oldest* to *time* if that is older. In both, 0 means: none. */
static inline void clock_keep_oldest(usec_t *oldest, usec_t time) {
        if (time > 0 && (*oldest == 0 || time < *oldest))
                *oldest = time;
}

/* Writes *wall* as RFC 3339 in UTC with milliseconds: 2026-11-24T06:27:38.123Z. Returns *buffer*. */
char *clock_format_rfc3339(usec_t wall, char buffer[static CLOCK_RFC3339_SIZE]);

#define CLOCK_LOCAL_SIZE 32 /* buffer of clock_format_local() */
/* Writes *wall* in this machine's time zone, as it was at the last tzset(3): 2026-11-24 15:27:38. Returns *buffer*. */
char *clock_format_local(usec_t wall, char buffer[static CLOCK_LOCAL_SIZE]);

/* Reads an RFC 3339 date-time (section 5.6: any offset, any number of fraction digits, `T` and `Z` in either case, or a
 * space for `T`), the whole of *text*. Fractions beyond milliseconds are cut. Returns false, and writes nothing, for
 * anything else: no such day, hour 24, a missing offset. A leap second (:60, only at 23:59 UTC) counts as the second
 * after :59. */
bool clock_parse_rfc3339(const char *text, size_t size, int64_t *ret_msec);

/* Reads an HTTP date (RFC 9110 section 5.6.7, IMF-fixdate only, from 1970 on, with the right day of the week). Returns
 * false for anything else. */
bool clock_parse_http_date(const char *text, usec_t *ret_wall);

/* Writes *span* in words for a reader of logs: "850 ms", "40 s", "3 min", "2 h 5 min", "6 d 4 h". Returns *buffer*. */
char *clock_format_span(usec_t span, char *buffer, size_t size);
