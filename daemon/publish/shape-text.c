/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/json.h"
#include "lib/text.h"

/* An earlier time comes from a clock that was never set: it has counted from 1970 since the device was switched on. */
#define CLOCK_SET_MSEC INT64_C(31536000000) /* 1971 */
#define YEAR_10000_MSEC INT64_C(253402300800000)
#define SECONDS_PER_DAY INT64_C(86400)

/* ---- documents ---- */

int shape_text_has_form(Slice json) {
        _cleanup_bytes_ Bytes scratch = {};
        JsonReader r;
        size_t size;
        int token;

        if (!memchr(json.data, '\\', json.size))
                return 1;
        json_reader_init(&r, json.data, json.size, JSON_READER_DEPTH);
        while ((token = json_reader_next(&r)) > 0) {
                if ((token != JSON_KEY && token != JSON_STRING) || !r.escaped)
                        continue;
                if (bytes_reserve(&scratch, r.slice.size) < 0)
                        return -ENOMEM;
                if (json_unescape(r.slice, scratch.data, &size) < 0)
                        return 0;
        }
        return token == JSON_END;
}

/* Leaves out a byte order mark, blanks around the text, and NUL bytes after it. */
static Slice text_trim(Slice text) {
        if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
                text = (Slice){ text.data + 3, text.size - 3 };
        while (text.size > 0 && (bytes_is_space(text.data[text.size - 1]) || text.data[text.size - 1] == '\0'))
                text.size--;
        while (text.size > 0 && bytes_is_space(text.data[0]))
                text = (Slice){ text.data + 1, text.size - 1 };
        return text;
}

/* Returns the length of a word at *p* like NaN or Infinity; 0: there is none. */
static size_t not_a_number(const char *p, const char *end) {
        static const char *const words[] = { "NaN", "nan", "-NaN", "-nan", "Infinity", "-Infinity", "inf", "-inf",
                "Inf", "-Inf" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                size_t size = strlen(words[i]);
                const char *after = p + size;

                if ((size_t) (end - p) >= size && memcmp(p, words[i], size) == 0 &&
                        (after == end || bytes_is_space(*after) || *after == ',' || *after == ']' || *after == '}'))
                        return size;
        }
        return 0;
}

/* Returns the end of the string whose opening quote is at *p*. */
static const char *string_end(const char *p, const char *end) {
        for (p++; p < end && *p != '"'; p++)
                if (*p == '\\')
                        p++;
        return p < end ? p + 1 : end;
}

/* Bytes that are not UTF-8 become `?`: a device that writes its unit in Latin-1 has values all the same. */
static void append_clean(Bytes *made, Slice piece) {
        size_t begun = made->size;
        bool foreign = !bytes_is_utf8(piece.data, piece.size);

        if (bytes_append(made, piece.data, piece.size) == 0 && foreign)
                bytes_cut(made, begun + text_clean(made->data + begun, piece.size));
}

/* Copies *text*, with null for words like NaN or Infinity. */
static int replace_words(Slice text, Bytes *made) {
        const char *p = text.data, *end = text.data + text.size;

        while (p < end) {
                size_t word = not_a_number(p, end), size = word;

                if (word == 0)
                        size = *p == '"' ? (size_t) (string_end(p, end) - p) : 1;
                if (word > 0)
                        bytes_append_text(made, "null");
                else
                        append_clean(made, (Slice){ p, size });
                p += size;
        }
        return bytes_result(made);
}

static bool is_plain_text(Slice text) {
        if (text.size > SHAPE_BARE_MAX || !bytes_is_utf8(text.data, text.size))
                return false;
        for (size_t i = 0; i < text.size; i++)
                if (((unsigned char) text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f)
                        return false;
        return true;
}

/* True for a text that a device may print in place of JSON. A line that begins like a part of JSON is none: it comes
 * from JSON that is written over several lines. */
static bool is_bare_text(Slice text) {
        return !strchr("{}[]\"", text.data[0]) && is_plain_text(text);
}

/* Says why *text* is not JSON, which is wrong at that byte. */
static void text_describe(Slice text, size_t place, bool bare, char why[static 100]) {
        if (place == text.size)
                (void) snprintf(
                        why, 100, "its JSON breaks off (byte %zu), as if it were written over several lines", place);
        else if (bare && text.data[0] != '{' && text.data[0] != '[')
                (void) snprintf(why, 100, "it is neither JSON nor a text");
        else
                (void) snprintf(why, 100, "it is not JSON (byte %zu)", place);
}

int shape_text_read(Slice text, bool bare, Bytes *made, Slice *ret, char why[static 100]) {
        Slice trimmed = text_trim(text);
        size_t place;
        int r;

        *ret = trimmed;
        if (trimmed.size == 0) {
                (void) snprintf(why, 100, "it is empty");
                return 1;
        }
        if (json_is_whole(trimmed, SHAPE_DEPTH_MAX, &place))
                return 0;
        if (bare && is_bare_text(trimmed))
                r = bytes_append_json_string(made, trimmed.data, trimmed.size);
        else
                r = replace_words(trimmed, made);
        if (r < 0)
                return r;
        *ret = (Slice){ made->data, made->size };
        if (json_is_whole(*ret, SHAPE_DEPTH_MAX, NULL))
                return 0;
        if (json_is_whole(*ret, JSON_READER_DEPTH, NULL))
                (void) snprintf(why, 100, "it is nested more than %d deep", SHAPE_DEPTH_MAX);
        else
                text_describe(trimmed, place, bare, why);
        return 1;
}

/* ---- numbers ---- */

#define SPACES " \t\r\n"
#define DIGITS "0123456789"

/* Appends the digits before the point, without the separators between groups of three. Returns the place after them;
 * NULL: the groups are wrong, or without memory. */
static const char *read_whole(const char *p, char separator, Bytes *digits) {
        size_t n = strspn(p, DIGITS);
        bool grouped = separator != '\0' && n > 0 && p[n] == separator;

        if ((grouped && n > 3) || bytes_append(digits, p, n) < 0)
                return NULL;
        for (p += n; grouped && *p == separator; p += 4)
                if (strspn(p + 1, DIGITS) != 3 || bytes_append(digits, p + 1, 3) < 0)
                        return NULL;
        return p;
}

/* Appends the text as JSON writes numbers, if it is one: without `+` and zeros before it, and with a digit on either
 * side of the point. */
static int write_number(const char *text, char separator, Bytes *number) {
        _cleanup_bytes_ Bytes digits = {};
        bool minus = *text == '-';
        const char *whole;
        size_t size;

        text = read_whole(text + (minus || *text == '+'), separator, &digits);
        if (!text)
                return bytes_result(&digits);
        if (digits.size == 0 && !(text[0] == '.' && bytes_is_digit(text[1])))
                return 0;
        text += text[0] == '.' && text[1] != '.' && !bytes_is_digit(text[1]);
        size = strcspn(text, SPACES);
        if (text[size + strspn(text + size, SPACES)] != '\0')
                return 0;
        whole = digits.data + strspn(digits.data, "0");
        return bytes_append_format(
                number, "%s%s%.*s", minus ? "-" : "", whole[0] != '\0' ? whole : "0", (int) size, text);
}

int shape_number(const char *text, const char *thousands, Bytes *ret) {
        _cleanup_bytes_ Bytes number = {};

        if (write_number(text + strspn(text, SPACES), thousands ? thousands[0] : '\0', &number) < 0)
                return -ENOMEM;
        if (!json_is_whole((Slice){ number.data, number.size }, 1, NULL) || !isfinite(strtod(number.data, NULL)))
                return 0;
        bytes_done(ret);
        *ret = bytes_steal(&number);
        return 1;
}

/* ---- times ---- */

/* Reads a number of seconds or milliseconds, with a fraction. */
static int time_unix(const char *text, int64_t per_second, int64_t *ret_msec) {
        _cleanup_bytes_ Bytes number = {};
        long double value;
        int r;

        r = shape_number(text, NULL, &number);
        if (r <= 0)
                return r;
        value = strtold(number.data, NULL) * (long double) (1000 / per_second);
        if (value < 0 || value >= (long double) YEAR_10000_MSEC)
                return 0;
        *ret_msec = (int64_t) (value + 0.5L);
        return 1;
}

/* Returns how many seconds the machine's zone is ahead of UTC at that time. */
static int64_t zone_offset(int64_t seconds) {
        time_t at = (time_t) seconds;
        struct tm tm;

        return localtime_r(&at, &tm) ? tm.tm_gmtoff : 0;
}

/* Converts *shown*, local time written as if it were UTC, to UTC. A local time that occurs twice means the first one;
 * one that does not occur is read with the offset before the change. mktime(3) is not used, because its result depends
 * on earlier calls, and a point that comes again must get the same time. */
static int64_t zone_seconds(int64_t shown) {
        int64_t before = shown - zone_offset(shown - SECONDS_PER_DAY),
                after = shown - zone_offset(shown + SECONDS_PER_DAY);

        return before + zone_offset(before) == shown || after + zone_offset(after) != shown ? before : after;
}

/* Reads YYYY-MM-DDTHH:MM:SS in the machine's zone; fractions are allowed, seconds may be missing (Open-Meteo). If the
 * text has an offset, that is used. */
static bool time_local(const char *text, int64_t *ret_msec) {
        const char *seconds = strlen(text) == strlen("YYYY-MM-DDTHH:MM") ? ":00" : "";
        char utc[64];
        int64_t msec;

        if (clock_parse_rfc3339(text, strlen(text), ret_msec))
                return true;
        if ((size_t) snprintf(utc, sizeof(utc), "%s%sZ", text, seconds) >= sizeof(utc) ||
                !clock_parse_rfc3339(utc, strlen(utc), &msec) || msec < 0)
                return false;
        tzset(); /* the time zone may have been changed */
        *ret_msec = zone_seconds(msec / 1000) * 1000 + msec % 1000;
        return *ret_msec >= 0;
}

int shape_time(const char *text, ShapeTime format, int64_t *ret_msec) {
        int64_t msec = 0;
        int known = 0;

        switch (format) {
        case SHAPE_RFC3339:
                known = clock_parse_rfc3339(text, strlen(text), &msec);
                break;
        case SHAPE_UNIX:
                known = time_unix(text, 1, &msec);
                break;
        case SHAPE_UNIX_MS:
                known = time_unix(text, 1000, &msec);
                break;
        case SHAPE_LOCAL:
                known = time_local(text, &msec);
                break;
        }
        if (known <= 0 || msec < CLOCK_SET_MSEC || msec >= YEAR_10000_MSEC)
                return known < 0 ? known : 0;
        *ret_msec = msec;
        return 1;
}
