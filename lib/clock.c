/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bytes.h"

/* Calendar arithmetic of UTC is done here: gmtime_r() and timegm() take glibc's time zone lock and may read
 * /etc/localtime. */

#define SECONDS_PER_DAY INT64_C(86400)
#define DAYS_PER_400_YEARS INT64_C(146097)
/* days from 0000-03-01 to 1970-01-01; years are counted from March, so that the leap day is the last day of its year */
#define DAYS_TO_1970 INT64_C(719468)

typedef struct Civil {
        unsigned year, month, day; /* month and day from 1 */
        unsigned hour, minute, second;
} Civil;

static usec_t clock_read(clockid_t id) {
        struct timespec ts;
        int r = clock_gettime(id, &ts);

        assert(r == 0);
        (void) r;
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

usec_t clock_now(void) {
        return clock_read(CLOCK_BOOTTIME);
}

usec_t clock_monotonic(void) {
        return clock_read(CLOCK_MONOTONIC);
}

usec_t clock_wall(void) {
        return clock_read(CLOCK_REALTIME);
}

/* Days since 1970-01-01 of a day in the Gregorian calendar. */
static int64_t days_from_civil(const Civil *c) {
        int64_t year = (int64_t) c->year - (c->month <= 2);
        int64_t era = (year >= 0 ? year : year - 399) / 400;
        int64_t year_of_era = year - era * 400;
        int64_t day_of_year = (153 * ((int64_t) c->month + (c->month > 2 ? -3 : 9)) + 2) / 5 + c->day - 1;

        return era * DAYS_PER_400_YEARS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
               DAYS_TO_1970;
}

/* The reverse of days_from_civil(), for days from 1970 on. */
static void civil_from_days(int64_t days, Civil *c) {
        int64_t since = days + DAYS_TO_1970;
        int64_t era = since / DAYS_PER_400_YEARS, day_of_era = since % DAYS_PER_400_YEARS;
        int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        int64_t month_from_march = (5 * day_of_year + 2) / 153;

        c->day = (unsigned) (day_of_year - (153 * month_from_march + 2) / 5 + 1);
        c->month = (unsigned) (month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
        c->year = (unsigned) (era * 400 + year_of_era) + (c->month <= 2);
}

char *clock_format_rfc3339(usec_t wall, char buffer[static CLOCK_RFC3339_SIZE]) {
        uint64_t msec = wall / USEC_PER_MSEC, seconds = msec / 1000;
        unsigned rest = (unsigned) (seconds % SECONDS_PER_DAY);
        Civil c = {};

        civil_from_days((int64_t) (seconds / SECONDS_PER_DAY), &c);
        (void) snprintf(buffer, CLOCK_RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", c.year, c.month, c.day,
                rest / 3600, rest / 60 % 60, rest % 60, (unsigned) (msec % 1000));
        return buffer;
}

char *clock_format_local(usec_t wall, char buffer[static CLOCK_LOCAL_SIZE]) {
        time_t seconds = (time_t) (wall / USEC_PER_SEC);
        struct tm tm = {};

        (void) localtime_r(&seconds, &tm);
        (void) strftime(buffer, CLOCK_LOCAL_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
        return buffer;
}

/* Reads exactly *digits* digits from *p*. */
static bool read_number(const char *p, unsigned digits, unsigned *ret) {
        unsigned value = 0;

        for (unsigned i = 0; i < digits; i++) {
                if (!bytes_is_digit(p[i]))
                        return false;
                value = value * 10 + (unsigned) (p[i] - '0');
        }
        *ret = value;
        return true;
}

/* HH:MM:SS */
static bool read_time(const char *p, Civil *c) {
        return read_number(p, 2, &c->hour) && p[2] == ':' && read_number(p + 3, 2, &c->minute) && p[5] == ':' &&
               read_number(p + 6, 2, &c->second);
}

static bool civil_exists(const Civil *c) {
        static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);

        if (c->month < 1 || c->month > 12 || c->day < 1)
                return false;
        return c->day <= days[c->month - 1] + (c->month == 2 && leap ? 1 : 0) && c->hour <= 23 && c->minute <= 59 &&
               c->second <= 60;
}

/* *ret* gets the seconds since the epoch of a time whose zone is *offset* seconds ahead of UTC. False for a leap second
 * that is not at the end of a UTC day. */
static bool civil_to_seconds(const Civil *c, int64_t offset, int64_t *ret) {
        int64_t seconds = days_from_civil(c) * SECONDS_PER_DAY + c->hour * 3600 + c->minute * 60 + c->second - offset;

        if (c->second == 60 && seconds % SECONDS_PER_DAY != 0)
                return false;
        *ret = seconds;
        return true;
}

/* Reads `Z` or `+HH:MM`, which must be the whole text. *ret* gets the seconds ahead of UTC. */
static bool read_offset(const char *p, size_t size, int64_t *ret) {
        unsigned hours, minutes;

        if (size == 1 && (*p == 'Z' || *p == 'z')) {
                *ret = 0;
                return true;
        }
        if (size != 6 || (*p != '+' && *p != '-') || !read_number(p + 1, 2, &hours) || p[3] != ':' ||
                !read_number(p + 4, 2, &minutes))
                return false;
        if (hours > 23 || minutes > 59)
                return false;

        *ret = (int64_t) (hours * 3600 + minutes * 60) * (*p == '-' ? -1 : 1);
        return true;
}

/* YYYY-MM-DDTHH:MM:SS */
static bool read_date_time(const char *p, Civil *c) {
        return read_number(p, 4, &c->year) && p[4] == '-' && read_number(p + 5, 2, &c->month) && p[7] == '-' &&
               read_number(p + 8, 2, &c->day) && (p[10] == 'T' || p[10] == 't' || p[10] == ' ') &&
               read_time(p + 11, c) && civil_exists(c);
}

bool clock_parse_rfc3339(const char *text, size_t size, int64_t *ret_msec) {
        int64_t offset, seconds, msec = 0;
        const char *p, *end;
        Civil c = {};

        if (size < 20 || !read_date_time(text, &c))
                return false;
        p = text + 19;
        end = text + size;
        if (*p == '.') {
                const char *fraction = ++p;

                for (int64_t unit = 100; p < end && bytes_is_digit(*p); p++, unit /= 10)
                        msec += (*p - '0') * unit;
                if (p == fraction)
                        return false;
        }
        if (p == end || !read_offset(p, (size_t) (end - p), &offset) || !civil_to_seconds(&c, offset, &seconds))
                return false;

        *ret_msec = seconds * 1000 + msec;
        return true;
}

bool clock_parse_http_date(const char *text, usec_t *ret_wall) {
        static const char week[] = "ThuFriSatSunMonTueWed",
                          months[] = "JanFebMarAprMayJunJulAugSepOctNovDec"; /* the epoch was a Thursday */
        int64_t seconds;
        Civil c = {};

        /* Sun, 06 Nov 1994 08:49:37 GMT */
        if (strlen(text) != 29 || memcmp(text + 3, ", ", 2) != 0 || text[7] != ' ' || text[11] != ' ' ||
                text[16] != ' ' || strcmp(text + 25, " GMT") != 0)
                return false;
        for (unsigned i = 0; i < 12; i++)
                if (memcmp(text + 8, months + 3 * i, 3) == 0)
                        c.month = i + 1;
        if (!read_number(text + 5, 2, &c.day) || !read_number(text + 12, 4, &c.year) || c.year < 1970 ||
                !read_time(text + 17, &c) || !civil_exists(&c) || !civil_to_seconds(&c, 0, &seconds))
                return false;
        if (memcmp(text, week + 3 * (days_from_civil(&c) % 7), 3) != 0)
                return false;

        *ret_wall = (usec_t) seconds * USEC_PER_SEC;
        return true;
}

/* Prints "2 h 5 min", or "2 h" when *small* is 0. */
static void format_units(
        char *buffer, size_t size, uint64_t large, const char *large_unit, uint64_t small, const char *small_unit) {
        if (small > 0)
                (void) snprintf(buffer, size, "%" PRIu64 " %s %" PRIu64 " %s", large, large_unit, small, small_unit);
        else
                (void) snprintf(buffer, size, "%" PRIu64 " %s", large, large_unit);
}

char *clock_format_span(usec_t span, char *buffer, size_t size) {
        uint64_t minutes = span / USEC_PER_MINUTE, hours = minutes / 60;

        if (span < USEC_PER_SEC)
                (void) snprintf(buffer, size, "%" PRIu64 " ms", span / USEC_PER_MSEC);
        else if (span < USEC_PER_MINUTE)
                (void) snprintf(buffer, size, "%" PRIu64 " s", span / USEC_PER_SEC);
        else if (span < USEC_PER_HOUR)
                (void) snprintf(buffer, size, "%" PRIu64 " min", minutes);
        else if (hours < 24)
                format_units(buffer, size, hours, "h", minutes % 60, "min");
        else
                format_units(buffer, size, hours / 24, "d", hours % 24, "h");
        return buffer;
}
