/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config-place.h"

#define LEVELS_MAX 32
#define WORD_MAX 48
#define WIDE_COLON "\xef\xbc\x9a" /* U+FF1A, typed on Japanese keyboards */
#define WIDE_BLANK "\xe3\x80\x80" /* U+3000 */
#define HARD_BLANK "\xc2\xa0"     /* U+00A0, often copied from web pages */
#define NEVER_CLOSED "what opens here is never closed; if it is text, put it in single quotes"

/* The column at which the lines of one mapping or one list begin. */
typedef struct Level {
        unsigned column;
        bool item;     /* true: a list, whose entries begin with a dash */
        bool open;     /* nothing followed the last key or dash: its value is on the next lines, indented more */
        unsigned n;    /* number of lines that began at this column */
        unsigned line; /* the first of these lines */
} Level;

typedef struct Scan {
        const ConfigReader *reader;
        bool drops; /* drops the errors that slips led to, and notes nothing yet */
        unsigned line;
        const char *begin, *end; /* the present line */
        Slice below;             /* the lines after it */
        Level levels[LEVELS_MAX];
        size_t n_levels;
        unsigned block; /* inside a text after | or >: its lines are indented more than this; 0: not inside one */
        unsigned depth; /* number of open { and [ */
        char quote;     /* the open quote; 0: none */
        unsigned open_line, open_column; /* where the first bracket or quote was opened */
        unsigned key_column;             /* column of the key or dash to which that value belongs */
} Scan;

static unsigned column_of(const Scan *s, const char *place) {
        unsigned column = 1;

        for (const char *c = s->begin; c < place; c++)
                column += ((unsigned char) *c & 0xc0) != 0x80;
        return column;
}

/* Errors about the line of a slip and the line above it are only its consequences. */
static _printf_(4, 5) int slip_at(const Scan *s, unsigned line, unsigned column, const char *format, ...) {
        char words[200];
        va_list list;
        int r;

        if (s->drops) {
                config_errors_drop(s->reader->errors, line > 1 ? line - 1 : 1, line);
                return 0;
        }
        va_start(list, format);
        (void) vsnprintf(words, sizeof(words), format, list);
        va_end(list);
        r = config_reader_fail(s->reader, line, column, "%s", words);
        return r == -EBADMSG ? 0 : r;
}

#define slip(s, place, ...) slip_at(s, (s)->line, column_of(s, place), __VA_ARGS__)

static bool begins(const Scan *s, const char *place, const char *text) {
        size_t size = strlen(text);

        return (size_t) (s->end - place) >= size && memcmp(place, text, size) == 0;
}

static const char *skip_blanks(const Scan *s, const char *place) {
        while (place < s->end && *place == ' ')
                place++;
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

/* ---- values ---- */

/* True if a quote begins a quoted text there; inside a plain text ("Bob's room") it is a letter. */
static bool opens_quote(const Scan *s, const char *place) {
        const char *before = place;

        while (before > s->begin && before[-1] == ' ')
                before--;
        return s->depth == 0 || before == s->begin || strchr("{[,:", before[-1]);
}

/* Follows quotes and brackets from *place* to where all of them are closed, or to the end of the line. */
static const char *follow(Scan *s, const char *place) {
        for (; place < s->end; place++) {
                if (s->quote != '\0') {
                        bool twice = *place == '\'' && place + 1 < s->end && place[1] == '\'';

                        if ((*place == '\\' && s->quote == '"') || (twice && s->quote == '\''))
                                place++;
                        else if (*place == s->quote)
                                s->quote = '\0';
                } else if ((*place == '"' || *place == '\'') && opens_quote(s, place))
                        s->quote = *place;
                else if (*place == '{' || *place == '[')
                        s->depth++;
                else if ((*place == '}' || *place == ']') && s->depth > 0)
                        s->depth--;
                else if (*place == '#' && place > s->begin && place[-1] == ' ')
                        return s->end;
                if (s->quote == '\0' && s->depth == 0)
                        return place + 1;
        }
        return s->end;
}

/* Returns the place after the quoted text that begins at *place*; NULL: none begins there, or it does not end in this
 * line. */
static const char *behind_quotes(const Scan *s, const char *place) {
        Scan copy = *s;
        const char *end;

        if (*place != '"' && *place != '\'')
                return NULL;
        end = follow(&copy, place);
        return copy.quote == '\0' ? end : NULL;
}

static int check_enclosed(Scan *s, const char *value) {
        char first = *value;
        const char *end;

        s->open_line = s->line;
        s->open_column = column_of(s, value);
        end = follow(s, value);
        if (s->quote != '\0' || s->depth > 0 || is_over(s, end))
                return 0;
        return slip(s, value,
                first == '{' || first == '['
                        ? "a value that holds { } or [ ] must be in quotes: put the whole of it in single quotes"
                        : "there is text after the closing quote: put the whole value in quotes");
}

/* Checks `&NAME`, `*NAME`, `!TAG`, or a text that begins like one. A value may follow an anchor or a tag in the next
 * lines. */
static int check_mark(Scan *s, const char *value) {
        const char *end = value;

        while (end < s->end && *end != ' ')
                end++;
        if (*value != '*' && is_over(s, end))
                s->levels[s->n_levels - 1].open = true;
        return slip(s, value,
                "a value that begins with %c must be in quotes; anchors, aliases and tags are not supported", *value);
}

static int check_value(Scan *s, const char *value) {
        value = skip_blanks(s, value);
        if (is_over(s, value))
                return 0;
        if (strchr("|>", *value)) {
                s->block = s->key_column;
                return 0;
        }
        if (strchr("\"'{[", *value))
                return check_enclosed(s, value);
        if (begins(s, value, "- "))
                return slip(s, value, "a list begins in the next line, each entry with a dash");
        if (strchr("*&!", *value))
                return check_mark(s, value);
        if (strchr("%@`,]}", *value))
                return slip(s, value, "a value that begins with %c must be in quotes", *value);
        return behind_colon(s, value) ? slip(s, value, "a value that holds a colon and a space must be in quotes") : 0;
}

/* ---- where lines begin ---- */

static Level *top(Scan *s) {
        return s->n_levels > 0 ? &s->levels[s->n_levels - 1] : NULL;
}

static void push(Scan *s, unsigned column, bool item) {
        if (s->n_levels < LEVELS_MAX)
                s->levels[s->n_levels++] = (Level){ .column = column, .item = item, .n = 1, .line = s->line };
}

/* Reports that line *line* begins at *column*, but its neighbours on one side begin at *expected*. */
static int slip_of_column(const Scan *s, unsigned line, unsigned column, unsigned expected) {
        return slip_at(s, line, column,
                "the line is indented by %u space%s, its neighbours %s by %u: lines of one section begin in the same "
                "column",
                column - 1, column == 2 ? "" : "s", line < s->line ? "below" : "above", expected - 1);
}

/* The key or dash begins at the column of the present level. */
static int enter_column(Scan *s, bool item) {
        if (item && !top(s)->item)
                push(s, top(s)->column, true); /* a list may begin at the same column as its key */
        else if (!item && top(s)->item && s->n_levels > 1)
                s->n_levels--; /* ... and this is the end of such a list */
        top(s)->n++;
        return 0;
}

/* Returns the column at which the next line begins, comments left out; 0: there is none. */
static unsigned next_column(const Scan *s) {
        Slice rest = s->below, line;

        while (slice_next(&rest, '\n', &line)) {
                size_t n = 0;

                while (n < line.size && line.data[n] == ' ')
                        n++;
                if (n < line.size && !strchr("\r#", line.data[n]))
                        return (unsigned) n + 1;
        }
        return 0;
}

/* A key or dash begins at *place*: finds its level, or reports a wrong column. */
static int enter(Scan *s, const char *place, bool item) {
        unsigned column = column_of(s, place);
        Level left = {}, first;

        while (top(s) && top(s)->column > column)
                left = s->levels[--s->n_levels];
        if (top(s) && top(s)->column == column)
                return enter_column(s, item);
        if (left.column == 0 && (!top(s) || top(s)->open)) {
                push(s, column, item);
                return 0;
        }

        /* It is between two levels, or below a level that is not open. Either this line or the one before it is wrong;
         * the next line shows which. */
        first = left.column > 0 ? left : *top(s);
        if (first.n == 1 && first.item == item && first.line < s->line && next_column(s) == column) {
                if (left.column == 0)
                        s->n_levels--;
                push(s, column, item);
                return slip_of_column(s, first.line, first.column, column);
        }
        if (left.column > 0)
                push(s, left.column, left.item);
        top(s)->n++;
        return slip_of_column(s, s->line, column, top(s)->column);
}

/* ---- lines ---- */

/* Reads the word at *place*: letters of any script, digits, - and _. Returns its end. For a quoted text it returns the
 * end of the quotes, and the word is "". */
static const char *read_word(const Scan *s, const char *place, char word[static WORD_MAX]) {
        const char *c = place, *quoted = place < s->end ? behind_quotes(s, place) : NULL;

        word[0] = '\0';
        if (quoted)
                return quoted;
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

/* Checks a word that should be a key; *ret_value* gets the place after its colon. NULL: it is not a key, and that is
 * not an error. */
static int check_key(Scan *s, const char *place, const char **ret_value) {
        char word[WORD_MAX];
        const char *end = read_word(s, place, word), *next = skip_blanks(s, end), *what = NULL;
        bool known = is_key(s, word);

        *ret_value = NULL;
        if (end == place)
                return 0;
        if (is_colon(s, next)) {
                *ret_value = next + 1;
                return 0;
        }
        if (begins(s, next, WIDE_COLON)) {
                *ret_value = next + strlen(WIDE_COLON);
                return slip(s, next, "there is a full-width colon (U+FF1A): write \"%s: VALUE\"", known ? word : "KEY");
        }
        if (!known)
                return 0;
        if (begins(s, end, ":\t"))
                what = ""; /* the parser takes it */
        else if (begins(s, end, ":" WIDE_BLANK) || begins(s, end, ":" HARD_BLANK))
                what = "the space after the colon is not an ordinary one";
        else if (end < s->end && *end == ':')
                what = "there is no space after the colon";
        else if (is_over(s, end) || *end == ' ' || begins(s, end, WIDE_BLANK))
                what = "there is no colon";
        if (what)
                *ret_value = s->end;
        return what && *what ? slip(s, end, "%s: write \"%s: VALUE\"", what, word) : 0;
}

/* Checks the rest of a line after its indentation and dashes. */
static int check_content(Scan *s, const char *place) {
        const char *value;
        int r;

        r = check_key(s, place, &value);
        if (r < 0)
                return r;
        if (!value && top(s) && !top(s)->item && (top(s)->open || column_of(s, place) <= top(s)->column) &&
                !strchr("\"'{[#", *place))
                value = behind_colon(s, place); /* a key that is no word: `Living Room`, `/params/temperature:0/tC` */
        if (value) {
                r = enter(s, place, false);
                if (r < 0)
                        return r;
                s->key_column = column_of(s, place);
                top(s)->open = is_over(s, value);
                return check_value(s, value);
        }
        if (!top(s) && *place == '{')
                return check_enclosed(s, place); /* the whole file is in brackets */
        /* A value after a dash, or one more line of the text above; at the column of a key it is neither. */
        if (place > s->begin && place[-1] == ' ' && top(s) && top(s)->item && !top(s)->open)
                return check_value(s, place);
        if (top(s) && !top(s)->item && column_of(s, place) <= top(s)->column && !strchr("\"'{[", *place))
                return slip(s, place, "there is no colon: write \"KEY: VALUE\"");
        return 0;
}

/* True if an entry begins with a key; *end* is the end of its first word. An address (`https://HOST`) is not a key. */
static bool begins_with_key(const Scan *s, const char *word, const char *end) {
        return end < s->end && (is_key(s, word) || is_colon(s, end));
}

static int check_dashes(Scan *s, const char *place) {
        char word[WORD_MAX];
        unsigned dash, dashes = 0;
        const char *end;
        int r;

        while (dashes++ < LEVELS_MAX && (begins(s, place, "- ") || (place + 1 == s->end && *place == '-'))) {
                dash = s->key_column = column_of(s, place);
                r = enter(s, place, true);
                if (r < 0)
                        return r;
                place = skip_blanks(s, place + 1);
                top(s)->open = is_over(s, place);
                if (top(s)->open)
                        return 0;
                end = read_word(s, place, word);
                if (is_key(s, word) && is_over(s, end) && next_column(s) <= dash)
                        return 0; /* a list of words, and this word is also the name of a key */
                if (begins_with_key(s, word, end)) {
                        push(s, column_of(s, place), false);
                        top(s)->n = 0; /* the key after the dash is counted when it is read */
                }
        }
        if (*place == '-' && place + 1 < s->end && begins(s, read_word(s, place + 1, word), ":") && is_key(s, word))
                return slip(s, place, "there is no space after the dash");
        return check_content(s, place);
}

/* Reports blanks that look like indentation but do not count as such. */
static int check_indent(Scan *s, const char *place) {
        if (top(s) && s->end > s->begin && s->end[-1] == ':')
                top(s)->open = true;
        if (*place == '\t')
                return slip(s, place, "the line is indented by a tab, use spaces");
        if (begins(s, place, WIDE_BLANK))
                return slip(s, place, "the line is indented by a full-width space (U+3000), use ordinary ones");
        return slip(s, place, "the line is indented by a no-break space (U+00A0), use ordinary ones");
}

/* Returns 1 if the line is inside a text, quote or bracket that an earlier line opened. */
static int check_inside(Scan *s, const char *place) {
        char word[WORD_MAX];
        const char *end;

        if (s->block > 0) {
                if (is_over(s, place) || column_of(s, place) > s->block)
                        return 1;
                s->block = 0;
        }
        if (s->quote == '\0' && s->depth == 0)
                return 0;
        end = read_word(s, place, word);
        if ((column_of(s, place) <= s->key_column && is_key(s, word) && end < s->end && *end == ':') ||
                (s->quote != '\0' && place < s->end && *place == '#')) {
                s->depth = 0;
                s->quote = '\0';
                return slip_at(s, s->open_line, s->open_column, NEVER_CLOSED);
        }
        (void) follow(s, place);
        return 1;
}

static int check_line(Scan *s) {
        const char *place = skip_blanks(s, s->begin);
        int r;

        r = check_inside(s, place);
        if (r != 0)
                return r < 0 ? r : 0;
        if (is_over(s, place) || begins(s, s->begin, "---") || begins(s, s->begin, "..."))
                return 0;
        if (*place == '\t' || begins(s, place, WIDE_BLANK) || begins(s, place, HARD_BLANK))
                return check_indent(s, place);
        if (begins(s, place, "```"))
                return slip(s, place, "the line comes from the page that this was copied from: remove it");
        return check_dashes(s, place);
}

static int check_lines(const ConfigReader *reader, bool drops) {
        Scan s = { .reader = reader, .drops = drops, .below = reader->text };
        Slice line;
        int r;

        while (slice_next(&s.below, '\n', &line)) {
                s.line++;
                s.begin = line.data;
                s.end = line.data + line.size;
                r = check_line(&s);
                if (r < 0)
                        return r;
        }
        if ((s.quote != '\0' || s.depth > 0) && s.key_column > 0)
                return slip_at(&s, s.open_line, s.open_column, NEVER_CLOSED);
        return 0;
}

int config_slips_note(const ConfigReader *reader) {
        int r = check_lines(reader, true);

        return r < 0 ? r : check_lines(reader, false);
}
