/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config-place.h"

#define WORD_MAX 48
#define WIDE_COLON "\xef\xbc\x9a" /* U+FF1A, typed on Japanese keyboards */
#define WIDE_BLANK "\xe3\x80\x80" /* U+3000 */
#define HARD_BLANK "\xc2\xa0"     /* U+00A0, often copied from web pages */
#define NEVER_CLOSED "what opens here is never closed; if it is text, put it in single quotes"

typedef struct Scan {
        const ConfigReader *reader;
        unsigned line;
        const char *begin, *end; /* the present line */
        Slice below;             /* the lines after it */
        unsigned slip;           /* the last line with a slip; 0: none had one */
} Scan;

static unsigned column_of(const Scan *s, const char *place) {
        unsigned column = 1;

        for (const char *c = s->begin; c < place; c++)
                column += ((unsigned char) *c & 0xc0) != 0x80;
        return column;
}

/* Notes a slip in place of its consequences: the errors about its line and the line above it. */
static _printf_(3, 4) int slip(Scan *s, const char *place, const char *format, ...) {
        unsigned from = s->line > 1 && s->slip < s->line - 1 ? s->line - 1 : s->slip + 1; /* not the slip above it */
        char words[200];
        va_list list;
        int r;

        config_errors_drop(s->reader->errors, from, s->line);
        s->slip = s->line;
        va_start(list, format);
        (void) vsnprintf(words, sizeof(words), format, list);
        va_end(list);
        r = config_reader_fail(s->reader, s->line, column_of(s, place), "%s", words);
        return r == -EBADMSG ? 0 : r;
}

static bool next_line(Scan *s) {
        Slice line;

        if (!slice_next(&s->below, '\n', &line))
                return false;
        s->line++;
        s->begin = line.data;
        s->end = line.data + line.size;
        return true;
}

static bool begins(const Scan *s, const char *place, const char *text) {
        size_t size = strlen(text);

        return (size_t) (s->end - place) >= size && memcmp(place, text, size) == 0;
}

static const char *skip_blanks(const Scan *s, const char *place) {
        while (place < s->end && *place == ' ')
                place++;
        return place;
}

/* Skips the dashes that begin entries of lists. */
static const char *skip_dashes(const Scan *s, const char *place) {
        while (begins(s, place, "- "))
                place = skip_blanks(s, place + 1);
        return place;
}

/* True if only blanks or a comment follow. */
static bool is_over(const Scan *s, const char *place) {
        place = skip_blanks(s, place);
        return place == s->end || *place == '\r' || (*place == '#' && (place == s->begin || place[-1] == ' '));
}

/* True at the colon that ends a key. */
static bool is_colon(const Scan *s, const char *place) {
        return place < s->end && *place == ':' && (place + 1 == s->end || place[1] == ' ' || place[1] == '\r');
}

/* Returns the place after the first such colon from *place* on; NULL: there is none before a comment. */
static const char *behind_colon(const Scan *s, const char *place) {
        for (; place < s->end && !(*place == '#' && place[-1] == ' '); place++)
                if (is_colon(s, place))
                        return place + 1;
        return NULL;
}

/* Reads the word at *place*: letters of any script, digits, - and _. Returns its end. */
static const char *read_word(const Scan *s, const char *place, char word[static WORD_MAX]) {
        const char *c = place;

        word[0] = '\0';
        while (c < s->end && !strchr(" :\t\r#,'\"{}[]", *c) && !begins(s, c, WIDE_COLON) && !begins(s, c, WIDE_BLANK) &&
                !begins(s, c, HARD_BLANK))
                c++;
        if (c - place < WORD_MAX)
                *(char *) mempcpy(word, place, (size_t) (c - place)) = '\0';
        return c;
}

static bool is_key(const Scan *s, const char *word) {
        return word[0] != '\0' && config_table_search(s->reader->root, s->reader->types, word, NULL) > 0;
}

/* ---- values ---- */

/* What has been opened and not closed yet. */
typedef struct Open {
        unsigned depth; /* number of { and [ */
        char quote;     /* 0: none */
} Open;

/* True if a quote begins a quoted text there; inside a plain text ("Bob's room") it is a letter. */
static bool opens_quote(const Scan *s, const Open *open, const char *place) {
        const char *before = place;

        while (before > s->begin && before[-1] == ' ')
                before--;
        return open->depth == 0 || before == s->begin || strchr("{[,:", before[-1]);
}

/* Follows quotes and brackets from *place* to where all of them are closed, or to the end of the line. */
static const char *follow(const Scan *s, const char *place, Open *open) {
        for (; place < s->end; place++) {
                if (open->quote != '\0') {
                        bool twice = *place == '\'' && place + 1 < s->end && place[1] == '\'';

                        if ((*place == '\\' && open->quote == '"') || (twice && open->quote == '\''))
                                place++;
                        else if (*place == open->quote)
                                open->quote = '\0';
                } else if ((*place == '"' || *place == '\'') && opens_quote(s, open, place))
                        open->quote = *place;
                else if (*place == '{' || *place == '[')
                        open->depth++;
                else if ((*place == '}' || *place == ']') && open->depth > 0)
                        open->depth--;
                else if (*place == '#' && place > s->begin && place[-1] == ' ')
                        return s->end;
                if (open->quote == '\0' && open->depth == 0)
                        return place + 1;
        }
        return s->end;
}

/* True if the line shows that what an earlier one opened was never closed: it begins with a key, not further to the
 * right than *column*, or with a comment inside quotes. */
static bool is_outside(const Scan *s, const Open *open, unsigned column) {
        const char *place = skip_blanks(s, s->begin);
        char word[WORD_MAX];
        const char *end = read_word(s, skip_dashes(s, place), word);

        return (is_key(s, word) && begins(s, end, ":") && column_of(s, place) <= column) ||
               (open->quote != '\0' && place < s->end && *place == '#');
}

/* Checks a quoted text, or a section or list in brackets. It may end some lines below; the lines up to there are
 * passed. *column*: of the key or dash that it belongs to. */
static int check_enclosed(Scan *s, const char *value, unsigned column) {
        const bool text = *value == '"' || *value == '\'';
        Scan first = *s;
        Open open = {};
        const char *end = follow(s, value, &open);

        while (open.quote != '\0' || open.depth > 0) {
                Scan ahead = *s;

                if (!next_line(&ahead) || is_outside(&ahead, &open, column)) {
                        s->slip = first.line;
                        return column > 0 ? slip(&first, value, NEVER_CLOSED) : 0; /* it says nothing of a whole file */
                }
                *s = ahead;
                end = follow(s, s->begin, &open);
        }
        if (s->line > first.line || is_over(s, end))
                return 0;
        return slip(s, value,
                text ? "there is text after the closing quote: put the whole value in quotes"
                     : "a value that holds { } or [ ] must be in quotes: put the whole of it in single quotes");
}

/* Skips a text after | or >: its lines are empty, or further to the right than *column*, where its key begins. */
static void skip_block(Scan *s, unsigned column) {
        for (Scan ahead = *s; next_line(&ahead); *s = ahead) {
                const char *place = skip_blanks(&ahead, ahead.begin);

                if (!is_over(&ahead, place) && column_of(&ahead, place) <= column)
                        return;
        }
}

/* *column*: of the key or dash that the value belongs to. */
static int check_value(Scan *s, const char *value, unsigned column) {
        value = skip_blanks(s, value);
        if (is_over(s, value))
                return 0;
        if (strchr("|>", *value)) {
                skip_block(s, column);
                return 0;
        }
        if (strchr("\"'{[", *value))
                return check_enclosed(s, value, column);
        if (begins(s, value, "- "))
                return slip(s, value, "a list begins in the next line, each entry with a dash");
        if (strchr("*&!", *value))
                return slip(s, value,
                        "a value that begins with %c must be in quotes; anchors, aliases and tags are not supported",
                        *value);
        if (strchr("%@`,]}", *value))
                return slip(s, value, "a value that begins with %c must be in quotes", *value);
        return behind_colon(s, value) ? slip(s, value, "a value that holds a colon and a space must be in quotes") : 0;
}

/* ---- lines ---- */

/* What is wrong between a key, which ends at *end*, and its value; "": nothing that is known. */
static const char *slip_of_key(const Scan *s, const char *end) {
        if (begins(s, end, ":" WIDE_BLANK) || begins(s, end, ":" HARD_BLANK))
                return "the space after the colon is not an ordinary one";
        if (begins(s, end, ":\t"))
                return ""; /* the parser takes it */
        if (end < s->end && *end == ':')
                return "there is no space after the colon";
        return is_over(s, end) || *end == ' ' || begins(s, end, WIDE_BLANK) ? "there is no colon" : "";
}

/* Returns the place after a quoted text that begins at *place* and ends in this line; else *place*. */
static const char *behind_quotes(const Scan *s, const char *place) {
        Open open = {};
        const char *end = begins(s, place, "'") || begins(s, place, "\"") ? follow(s, place, &open) : place;

        return open.quote == '\0' ? end : place;
}

/* Checks what begins at *place*: a key and its value, or the value of an entry of a list. */
static int check_content(Scan *s, const char *place, bool entry) {
        const unsigned column = column_of(s, place);
        const char *end, *next, *what = "";
        char word[WORD_MAX];
        bool known;

        end = read_word(s, behind_quotes(s, place), word);
        known = is_key(s, word);
        next = skip_blanks(s, end);
        if (end > place && begins(s, next, WIDE_COLON)) {
                int r = slip(
                        s, next, "there is a full-width colon (U+FF1A): write \"%s: VALUE\"", known ? word : "KEY");

                return r < 0 ? r : check_value(s, next + strlen(WIDE_COLON), column);
        }
        if (is_colon(s, next))
                return check_value(s, next + 1, column);
        if (known && !(entry && is_over(s, end))) /* a list may have a word that is also the name of a key */
                what = slip_of_key(s, end);
        if (*what != '\0')
                return slip(s, end, "%s: write \"%s: VALUE\"", what, word);
        next = behind_colon(s, place);
        if (entry || *place == '{' || (next && strchr("*&!%@`,]}", *place)))
                return check_value(s, place, column - 1);
        return next && !strchr("\"'[", *place) ? check_value(s, next, column) : 0; /* a key of several words */
}

static int check_line(Scan *s) {
        const char *place = skip_blanks(s, s->begin), *content = skip_dashes(s, place);
        char word[WORD_MAX];

        if (is_over(s, place) || begins(s, s->begin, "---") || begins(s, s->begin, "..."))
                return 0;
        if (*place == '\t')
                return slip(s, place, "the line is indented by a tab, use spaces");
        if (begins(s, place, WIDE_BLANK))
                return slip(s, place, "the line is indented by a full-width space (U+3000), use ordinary ones");
        if (begins(s, place, HARD_BLANK))
                return slip(s, place, "the line is indented by a no-break space (U+00A0), use ordinary ones");
        if (begins(s, place, "```"))
                return slip(s, place, "the line comes from the page that this was copied from: remove it");
        if (begins(s, content, "-") && begins(s, read_word(s, content + 1, word), ":") && is_key(s, word))
                return slip(s, content, "there is no space after the dash");
        return content < s->end ? check_content(s, content, content > place) : 0;
}

/* ---- indentation ---- */

/* Returns the column of the key of a line, which may stand behind dashes; without a key, of the line. */
static unsigned key_column(const Scan *s) {
        const char *place = skip_blanks(s, s->begin), *content = skip_dashes(s, place);

        return column_of(s, content < s->end && strchr("{[", *content) ? place : content);
}

/* Goes to the nearest line above with a key or dash. */
static bool previous_line(Scan *s) {
        const char *text = s->reader->text.data, *before, *place;

        while (s->begin > text) {
                s->line--;
                s->end = s->begin - 1;
                before = memrchr(text, '\n', (size_t) (s->end - text));
                s->begin = before ? before + 1 : text;
                place = skip_blanks(s, s->begin);
                if (!is_over(s, place) && (*place == '-' || behind_colon(s, place)))
                        return true;
        }
        return false;
}

/* Returns the column at which the nearest line below begins, comments left out; 0: there is none. */
static unsigned next_column(Scan s) {
        while (next_line(&s))
                if (!is_over(&s, s.begin))
                        return column_of(&s, skip_blanks(&s, s.begin));
        return 0;
}

/* Of the sections and lists to which *above* and the lines above it belong, returns the column of the outermost one
 * that does not begin to the left of *column*; if all do, the column of *above*. */
static unsigned nearest_column(Scan above, unsigned column) {
        unsigned nearest = key_column(&above), begin;

        do {
                const unsigned key = key_column(&above);

                begin = column_of(&above, skip_blanks(&above, above.begin));
                if (key >= column && key < nearest)
                        nearest = key;
                if (begin >= column && begin < nearest)
                        nearest = begin;
        } while (begin > column && previous_line(&above));
        return nearest;
}

/* True if the value of the last key or dash of a line begins in the next line. */
static bool is_open(const Scan *s) {
        const char *content = skip_dashes(s, skip_blanks(s, s->begin)), *value = behind_colon(s, content);

        return value ? is_over(s, value) : begins(s, content, "-") && is_over(s, content + 1);
}

static int slip_of_column(Scan *s, unsigned column, const char *where, unsigned expected) {
        return slip(s, s->begin + column - 1,
                "the line is indented by %u space%s, its neighbours %s by %u: lines of one section begin in the same "
                "column",
                column - 1, column == 2 ? "" : "s", where, expected - 1);
}

/* Checks the line at which the parser stopped. Where it does not begin like its neighbours, either this line or the one
 * before it is wrong; the next line shows which. */
static int check_indent(Scan *s) {
        const unsigned column = column_of(s, skip_blanks(s, s->begin));
        Scan above = *s, before;
        unsigned nearest;

        if (is_over(s, s->begin) || !previous_line(&above))
                return 0;
        nearest = nearest_column(above, column);
        if (nearest == column || (nearest < column && is_open(&above)))
                return 0;
        before = above;
        if (next_column(*s) == column && nearest == key_column(&above) && previous_line(&before) && is_open(&before))
                return slip_of_column(&above, nearest, "below", column);
        return slip_of_column(s, column, "above", nearest);
}

/* ---- the file ---- */

int config_slips_note(const ConfigReader *reader, unsigned line) {
        Scan s = { .reader = reader, .below = reader->text };
        int r = 0;

        while (r == 0 && next_line(&s)) {
                Scan at = s;

                r = check_line(&s);
                if (r == 0 && at.line == line && s.slip == 0) {
                        r = check_indent(&at);
                        s.slip = at.slip;
                }
        }
        return r;
}
