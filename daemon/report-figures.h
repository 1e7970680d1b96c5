/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One table of all figures. A row says what a figure is called in status.json and in /metrics, and where its value
 * is. */

#include "report.h"

typedef enum FigureKind {
        FIGURE_TEXT, /* in /metrics a label of the figures of its struct, if it has a name there */
        FIGURE_JSON, /* left out when it is NULL */
        FIGURE_FLAG,
        FIGURE_COUNT,
        FIGURE_SPAN,   /* usec_t, written as seconds */
        FIGURE_TIME,   /* clock_wall() */
        FIGURE_DUE,    /* clock_now() */
        FIGURE_KIND,   /* a Cause: its kind; null while there is no failure */
        FIGURE_REMEDY, /* a Cause: its remedy */
        FIGURE_OBJECT, /* a struct, or further members of the same struct */
        FIGURE_ARRAY,  /* an array of structs */
} FigureKind;

typedef struct Figure {
        const char *key; /* in status.json */
        FigureKind kind;
        size_t offset, size;
        const char *metric, *help;    /* in /metrics; NULL: it is not there */
        const struct Figure *members; /* for an object, or for each struct of an array; ends with a row without a key */
        size_t n;                     /* for an array: the place of its length in Told */
        size_t only, only_size; /* the figure is left out where the member of Told at this place is 0; no size: never */
} Figure;

/* Everything that is written. */
typedef struct Told {
        const char *version;
        const char *status; /* the line of STATUS=; only for status.json */
        bool outbox_full, well;
        const char *left_in;
        uint64_t msec; /* the present time, since 1970 */
        Figures figures;
} Told;

/* The members of Told. */
extern const Figure report_figures[];

/* Returns what there is to tell, but the status; it borrows from *figures*. */
Told report_tell(const Figures *figures);

/* Returns how many structs an array has. */
static inline size_t report_length(const Told *told, const Figure *figure) {
        return *(const size_t *) ((const char *) told + figure->n);
}

/* Returns the number of *size* bytes at *at*: a FLAG, COUNT, SPAN, TIME or DUE. */
static inline uint64_t report_number(const void *at, size_t size) {
        switch (size) {
        case sizeof(bool):
                return *(const bool *) at;
        case sizeof(uint32_t):
                return *(const uint32_t *) at;
        default:
                return *(const uint64_t *) at;
        }
}

static inline bool report_is_told(const Told *told, const Figure *figure) {
        return figure->only_size == 0 || report_number((const char *) told + figure->only, figure->only_size) != 0;
}
